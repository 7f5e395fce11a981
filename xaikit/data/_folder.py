"""Where data sets lie."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from xaikit.errors import DataError


def folder() -> Path | None:
    """Give the folder that the environment variable XAIKIT_DATA names, or None."""
    named = os.environ.get("XAIKIT_DATA")
    return Path(named).expanduser() if named else None


def find(file: str, how_to_get: str) -> Path:
    """Give the path of a file in that folder. Raises DataError: what is missing, where it goes, how to get it."""
    home = folder()
    if home is not None and (home / file).is_file():
        return home / file
    where = f"the folder XAIKIT_DATA names, {home}" if home else "a folder, and name it in XAIKIT_DATA"
    raise DataError(f"there is no {file}: put it into {where}; {how_to_get}")


_may_download: ContextVar[bool] = ContextVar("may_download", default=True)


@contextmanager
def local_only() -> Iterator[None]:
    """While open, sets are read from XAIKIT_DATA or not at all: who looks at a page does not wait for a download."""
    token = _may_download.set(False)
    try:
        yield
    finally:
        _may_download.reset(token)


def may_download() -> bool:
    """Say whether a data set may be fetched from where it is published."""
    return _may_download.get()
