"""The folder of a study: plan.toml, manifest.jsonl, and units/ab/<key>.json with .npz."""

import json
import os
import socket
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from xaikit.errors import StorageError, UsageError
from xaikit.jobs.store import Store
from xaikit.study._plan import Plan, load_plan

PLAN, MANIFEST, LOCK = "plan.toml", "manifest.jsonl", ".lock"


@dataclass(frozen=True)
class Study:
    """A study on disk: its `folder`, and the `plan` that was run into it."""

    folder: Path
    plan: Plan

    @property
    def store(self) -> Store:
        """The results by their keys."""
        return Store(self.folder)

    @property
    def manifest(self) -> Path:
        """The file with a line for every event of a unit."""
        return self.folder / MANIFEST

    def events(self) -> Iterator[dict[str, Any]]:
        """Give the lines of the manifest in their order; one that is torn is left out. Raises StorageError."""
        return read_events(self.manifest)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Give the last line about each unit, in the order in which the units came first; memory stays flat."""
        with Ledger() as ledger:
            ledger.add(self.events())
            yield from ledger.rows()

    def result(self, row: Mapping[str, Any]) -> Any | None:
        """Give the result of a row, or None where it has none."""
        return None if row["key"] is None else self.store.get(row["key"])


def open_study(folder: str | os.PathLike[str]) -> Study:
    """Open the folder of a study that was run. Raises StorageError where it is none."""
    folder = Path(folder)
    if not (folder / PLAN).is_file():
        raise StorageError(f"{folder} is no folder of a study: it has no {PLAN}")
    return Study(folder, load_plan(folder / PLAN))


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


def unit_name(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Give what tells a unit from the others of its study: input, method with its parameters, and target."""
    asked = row["method"], row.get("parameters") or {}
    return str(row["input"]), json.dumps(asked, sort_keys=True), json.dumps(row["target"], sort_keys=True)


class Ledger:
    """The last line about each unit, in a file of its own that goes with it: memory does not grow with the units."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="xaikit-study-")
        self._rows = sqlite3.connect(Path(self._folder.name) / "rows.db", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("PRAGMA synchronous = OFF")
        self._rows.execute(
            "CREATE TABLE rows (number INTEGER PRIMARY KEY, input, method, target, row, UNIQUE (input, method, target))"
        )

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *error: object) -> None:
        self._rows.close()
        self._folder.cleanup()

    def add(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take lines of a manifest; a later one about a unit replaces what was before."""
        self._rows.execute("BEGIN")
        for event in events:
            row = json.dumps(event, ensure_ascii=False)
            self._rows.execute(
                "INSERT INTO rows (input, method, target, row) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (input, method, target) DO UPDATE SET row = excluded.row",
                (*unit_name(event), row),
            )
        self._rows.execute("COMMIT")

    def find(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Give the line about the same unit, or None."""
        query = "SELECT row FROM rows WHERE input = ? AND method = ? AND target = ?"
        found = self._rows.execute(query, unit_name(row)).fetchone()
        return None if found is None else json.loads(found[0])

    def rows(self) -> Iterator[dict[str, Any]]:
        """Give the lines in the order of their units."""
        for (row,) in self._rows.execute("SELECT row FROM rows ORDER BY number"):
            yield json.loads(row)

    def inputs(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Give the inputs in the order in which they came first, each with the lines of its units."""
        query = (
            "SELECT rows.input, row FROM rows "
            "JOIN (SELECT input, MIN(number) AS first FROM rows GROUP BY input) AS firsts ON firsts.input = rows.input "
            "ORDER BY first, number"
        )
        found = self._rows.execute(query)
        for name, group in groupby(found, key=lambda pair: str(pair[0])):
            yield name, [json.loads(row) for _, row in group]
