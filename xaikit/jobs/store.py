"""Results on disk under their addresses: units/ab/abcdef….npz and .json."""

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from xaikit import storage
from xaikit.errors import ParameterError, StorageError
from xaikit.storage import write_atomically
from xaikit.zoo.shelf import cache_folder

log = logging.getLogger(__name__)
KEY = re.compile(r"[0-9a-f]{64}")
SUFFIXES = (".npz", ".json")
"""What an entry has, in the order in which it is written."""
ROOM = 0.9
"""What eviction leaves of the limit, so that it is not due again at the next result."""


def default_folder() -> Path:
    """Give the folder of results in the user's cache."""
    return cache_folder().parent / "results"


def place_of(key: str) -> str:
    """Give the place of an entry in its store, without suffix. Raises ParameterError for what is no address."""
    if not KEY.fullmatch(key):
        raise ParameterError(f"an address is 64 hexadecimal digits, not {key!r}")
    return f"units/{key[:2]}/{key}"


class Store:
    """A folder of results by address, for any number of processes.

    An entry is there when its .json is: it is written after the arrays and removed before them. What cannot be read is
    removed and counts as not there. With a `limit` in bytes, results unread for longest give way to new ones.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, limit: int | None = None) -> None:
        if limit is not None and limit <= 0:
            raise ParameterError(f"the limit of a store is a positive number of bytes, not {limit}")
        self.folder, self.limit = Path(folder) if folder is not None else default_folder(), limit
        self._size: int | None = None

    def __repr__(self) -> str:
        return f"<Store {self.address}>"

    @property
    def address(self) -> str:
        """What `store_at` opens the same store by, in any process of this machine."""
        return str(self.folder.absolute())

    def path(self, key: str) -> Path:
        """Give the place of an entry's .json. Raises ParameterError for what is no address."""
        return self.folder / f"{place_of(key)}.json"

    def __contains__(self, key: str) -> bool:
        return self.path(key).is_file()

    def get(self, key: str) -> Any | None:
        """Give the result at an address, or None; an entry that is damaged is removed."""
        path = self.path(key)
        if not path.is_file():
            return None
        try:
            result = storage.load(path)
            os.utime(path)
        except FileNotFoundError:
            return None
        except Exception as error:  # whatever damaged bytes provoke, the entry is worth nothing
            log.warning("the stored result %s is damaged and will be made again: %s", path, error)
            self.drop(key)
            return None
        return result

    def glance(self, key: str, fields: Iterable[str]) -> list[dict[str, Any]]:
        """Read only these fields of the result at an address, as `storage.glance` does. Raises StorageError."""
        return storage.glance(self.path(key), fields)

    def data(self, key: str) -> dict[str, bytes]:
        """Give the bytes of an entry, by suffix, in the order in which they are written. Raises StorageError."""
        try:
            return {suffix: self.path(key).with_suffix(suffix).read_bytes() for suffix in SUFFIXES}
        except OSError as error:
            raise StorageError(
                f"the result {key} cannot be read from {self.address}: {error.strerror or error}"
            ) from None

    def put_data(self, key: str, data: Mapping[str, bytes]) -> None:
        """Write the bytes of an entry. Raises StorageError."""
        try:
            for suffix in SUFFIXES:
                write_atomically(self.path(key).with_suffix(suffix), data[suffix])
        except OSError as error:
            raise StorageError(
                f"the result {key} cannot be written to {self.address}: {error.strerror or error}"
            ) from None

    def put(self, key: str, result: Any) -> None:
        """Write a result. Raises StorageError for what cannot be stored, or a folder that cannot be written."""
        path = self.path(key)
        storage.save(result, path)
        if self.limit is not None:
            self._make_room(path)

    def drop(self, key: str) -> None:
        """Remove an entry, if it is there."""
        path = self.path(key)
        path.unlink(missing_ok=True)
        path.with_suffix(".npz").unlink(missing_ok=True)

    def keys(self) -> Iterator[str]:
        """Give the addresses of all entries."""
        return (path.stem for path in self.folder.glob("units/??/*.json"))

    def identity_of(self, source: str) -> str | None:
        """Give the identity of the model that is noted under an address of its source and code, or None."""
        try:
            text = self._note(source).read_text(encoding="ascii")
        except (OSError, ValueError):
            return None
        return text if KEY.fullmatch(text) else None

    def note_identity(self, source: str, identity: str) -> None:
        """Remember the identity of the model that a source gives. Raises StorageError."""
        try:
            write_atomically(self._note(source), identity.encode("ascii"))
        except OSError as error:
            raise StorageError(f"{self.folder} cannot be written: {error.strerror or error}") from None

    def _note(self, source: str) -> Path:
        return self.folder / "models" / source

    def _make_room(self, new: Path) -> None:
        """Count the new entry; over the limit, look at what is there and remove what was unread for longest."""
        assert self.limit is not None
        if self._size is not None:
            self._size += _bytes(new)
        if self._size is not None and self._size <= self.limit:
            return
        entries = sorted((_used(p), p) for p in self.folder.glob("units/??/*.json") if p != new)
        sizes = [_bytes(p) for _, p in entries]
        self._size = sum(sizes) + _bytes(new)
        for (_, path), size in zip(entries, sizes, strict=True):
            if self._size <= self.limit * ROOM:
                break
            self.drop(path.stem)
            self._size -= size


def _bytes(path: Path) -> int:
    return sum(_stat(p, "st_size") for p in (path, path.with_suffix(".npz")))


def _used(path: Path) -> int:
    return _stat(path, "st_mtime_ns")


def _stat(path: Path, field: str) -> int:
    """Read a file's figure; 0 where another process has just removed it."""
    try:
        return int(getattr(path.stat(), field))
    except FileNotFoundError:
        return 0
