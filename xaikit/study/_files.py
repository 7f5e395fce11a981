"""The files of a study in a folder of this machine: its manifest, its lock, and what a killed writer leaves."""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from xaikit.errors import StorageError, UsageError

PLAN, MANIFEST, LOCK = "plan.toml", "manifest.jsonl", ".lock"


def read_events(manifest: Path) -> Iterator[dict[str, Any]]:
    """Give the lines of a manifest; the last one is left out where it is torn. Raises StorageError."""
    try:
        file = manifest.open("rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"{manifest} cannot be read: {error.strerror or error}") from None
    with file:
        for line in file:
            if line.endswith(b"\n"):
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict):
                    yield event


class Manifest:
    """Appends lines, each by one write; only the holder of the folder's lock does."""

    def __init__(self, path: Path) -> None:
        try:
            self.file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror or error}") from None
        self.path = path
        self._mend()

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self.file)

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one line. Raises StorageError."""
        line = json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
        try:
            if os.write(self.file, line) != len(line):
                raise OSError("the disk is full")
        except OSError as error:
            raise StorageError(f"{self.path} cannot be written: {error.strerror or error}") from None

    def _mend(self) -> None:
        """Cut off a last line that was torn when its writer was killed."""
        size = os.fstat(self.file).st_size
        end = size
        with self.path.open("rb") as file:
            while end:
                start = max(0, end - 65536)
                file.seek(start)
                found = file.read(end - start).rfind(b"\n")
                if found >= 0:
                    end = start + found + 1
                    break
                end = start
        if end != size:
            os.ftruncate(self.file, end)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder for one run; the system lets go of it when the process ends, however that happens.

    Raises UsageError, with who holds it, where another run is at work in it, and StorageError for a folder that cannot
    be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StorageError(f"the folder {folder} cannot be written: {error.strerror or error}") from None
    try:
        if not _locked(file):
            owner = os.pread(file, 200, 0).decode(errors="replace").strip() if hasattr(os, "pread") else ""
            raise UsageError(f"another run is at work in {folder}{owner and f' ({owner})'}: wait for it, or stop it")
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        os.close(file)


def is_running(folder: Path) -> bool:
    """Whether a run is at work in a folder."""
    try:
        file = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        return not _locked(file)
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    """Take the lock of an open file, unless another process has it."""
    try:
        import fcntl
    except ImportError:
        import msvcrt

        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def sweep(folder: Path) -> None:
    """Remove what a writer that was killed left unfinished: nothing reads it."""
    for part in folder.glob("units/??/.*.part"):
        with suppress(FileNotFoundError):
            part.unlink()
    for arrays in folder.glob("units/??/*.npz"):
        if not arrays.with_suffix(".json").exists():
            arrays.unlink(missing_ok=True)
