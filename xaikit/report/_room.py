"""A folder that is written whole: made aside, and put in its place at the end, where only an earlier report may be."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType

from xaikit.errors import StorageError
from xaikit.report._claimed import check_own, check_writable, digest_of, nearest_folder
from xaikit.report._sheet import KIND

LISTED = "files.sha256"
"""The digests of all other files of a report, as `sha256sum --check` reads them."""
STALE = 3600.0
"""Seconds after which a folder that nobody writes to was left by a run that was killed."""


class Room:
    """A folder aside for a report's files; `settle` puts it in its place, and on leaving before that it is removed.

    Raises UsageError where anything but an earlier report, as that was written, is in the place, and StorageError
    where nothing can be written.
    """

    def __init__(self, target: Path) -> None:
        self.target = target.resolve()
        _check(self.target)
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            _sweep(self.target)
            self.aside = Path(mkdtemp(prefix=f".{self.target.name}.", suffix=".part", dir=self.target.parent))
            self.aside.chmod(0o777 & ~_umask())
            self._list = (self.aside / LISTED).open("w", encoding="utf-8")
        except OSError as error:
            raise StorageError(_unwritable(self.target, error)) from None
        self.size = 0

    def __enter__(self) -> "Room":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._list.close()
        shutil.rmtree(self.aside, ignore_errors=True)
        if isinstance(error, OSError):
            raise StorageError(_unwritable(self.target, error)) from None

    def write(self, place: str, content: bytes) -> int:
        """Write a file, and give its size."""
        path = self.aside / place
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        self._note(place, hashlib.sha256(content).hexdigest())
        self.size += len(content)
        return len(content)

    def take(self, place: str, path: Path) -> None:
        """Take in a file that was written elsewhere."""
        digest = digest_of(path)
        shutil.move(path, self.aside / place)
        self._note(place, digest)

    def settle(self) -> None:
        """Put the folder in its place; an earlier report goes only then."""
        self._list.close()
        _check(self.target)
        before = self.aside.with_suffix(".old")
        there = self.target.exists()
        if there:
            os.rename(self.target, before)
        try:
            os.rename(self.aside, self.target)
        except OSError:
            if there:
                os.rename(before, self.target)
            raise
        shutil.rmtree(before, ignore_errors=True)

    def _note(self, place: str, digest: str) -> None:
        self._list.write(f"{digest}  {place}\n")


def check_free(folder: Path) -> None:
    """Check before the work that a report can be put there. Raises UsageError and StorageError."""
    target = folder.resolve()
    _check(target)
    there = nearest_folder(target)
    check_writable(target, there if there != target else target.parent)  # all of it is replaced


def _check(target: Path) -> None:
    nearest_folder(target)
    if not target.exists() or not any(target.iterdir()):
        return
    known = _listed(target)
    for path in _files(target):
        digest = known.get(path.relative_to(target).as_posix())
        if digest != "":
            check_own(path, digest)


def _listed(target: Path) -> dict[str, str]:
    """Give the digests of an earlier report's files, "" for the list itself."""
    with suppress(OSError, ValueError):
        lines = (target / LISTED).read_text(encoding="utf-8").splitlines()
        return {place: digest for digest, _, place in (line.partition("  ") for line in lines)} | {LISTED: ""}
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        found = json.loads((target / "report.json").read_text(encoding="utf-8"))
        if found["kind"] == KIND:
            return {str(p): str(d) for p, d in found["files"].items()} | {"report.json": ""}
    return {}


def _files(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())


def _sweep(target: Path) -> None:
    """Remove what runs that were killed left beside the place."""
    for suffix in ("part", "old"):
        for path in target.parent.glob(f".{target.name}.*.{suffix}"):
            with suppress(OSError):
                if path.is_dir() and time.time() - path.stat().st_mtime > STALE:
                    shutil.rmtree(path, ignore_errors=True)


def _umask() -> int:
    found = os.umask(0o022)
    os.umask(found)
    return found


def _unwritable(target: Path, error: OSError) -> str:
    return f"the report cannot be written to {target}: {error.strerror or error}"
