"""Whether a report may go where something is: only an earlier report, as it was written, gives way."""

import hashlib
import os
from pathlib import Path

from xaikit.errors import StorageError, UsageError


def nearest_folder(target: Path) -> Path:
    """Give the folder itself, or the nearest one above it that is there. Raises UsageError for a file in its place."""
    there = next(p for p in (target, *target.parents) if p.exists())
    if not there.is_dir():
        raise UsageError(f"{there} is a file; a report needs a folder")
    return there


def check_writable(target: Path, folder: Path) -> None:
    """Raise StorageError where nothing can be written to `folder`, which a report in `target` needs."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"the report cannot be written to {target}: permission denied in {folder}")


def check_own(path: Path, digest: str | None) -> None:
    """Raise UsageError for a file that no earlier report wrote (`digest` None), or that was changed since."""
    if digest is None:
        raise UsageError(f"{path} is there already and was not written by xaikit report: choose another folder")
    if digest_of(path) != digest:
        raise UsageError(f"{path} was changed since the report was written: move it, or choose another folder")


def digest_of(path: Path) -> str:
    """Give the SHA-256 of a file; what is no plain file has none that fits."""
    if path.is_symlink() or not path.is_file():
        return "no file"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
