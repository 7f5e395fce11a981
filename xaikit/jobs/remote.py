"""Results where fsspec writes: object stores, file servers, and the memory of this process."""

import logging
import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

from xaikit import storage
from xaikit.errors import MissingPackage, NotSupported, ParameterError, StorageError, UsageError
from xaikit.jobs.store import KEY, SUFFIXES, Store, place_of

log = logging.getLogger(__name__)
URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+(://|::)")
WHOLE = ("memory", "s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "oci")
"""Protocols that show an object only when all of it is there; elsewhere a new file takes its name when it is whole."""
T = TypeVar("T")


def is_remote(place: object) -> bool:
    """Whether a place is one for fsspec, as s3://bucket/study is; file:///... is a folder of this machine."""
    return isinstance(place, str) and URL.match(place) is not None and not place.startswith("file://")


def placed(place: str | os.PathLike[str]) -> Path | str:
    """Give a URL for fsspec as it is, and everything else, also file:///..., as a path."""
    if is_remote(place):
        return str(place).rstrip("/")
    text = os.fspath(place)
    if not text.startswith("file://"):
        return Path(text)
    from urllib.request import url2pathname  # brings all of HTTP

    return Path(url2pathname(urlsplit(text).path))


def store_at(place: str | os.PathLike[str] | None, limit: int | None = None) -> Store:
    """Open the store in a folder, at a URL, or in the user's cache for None; a limit is for folders alone."""
    if place is None or not is_remote(place):
        return Store(None if place is None else placed(place), limit)
    if limit is not None:
        raise ParameterError(f"the results at {place} have no limit: it is for folders")
    return RemoteStore(str(place))


class Unreachable(StorageError):
    """A place that cannot be reached, or that refuses."""


class Remote:
    """A folder at a URL, in which a file is seen whole or not at all.

    Servers and keys are those of the protocol's own configuration: environment variables such as AWS_PROFILE, or
    fsspec's (FSSPEC_S3_ENDPOINT_URL, ~/.config/fsspec). Raises UsageError for a protocol that is not known, and
    StorageError, in all that it does, for what cannot be reached.
    """

    def __init__(self, url: str) -> None:
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise MissingPackage("fsspec", "distributed", f"writing to {url}") from None
        self.url = url.rstrip("/")
        if "://" not in self.url:
            raise UsageError(f"{url} is no place for results: it names no folder")
        try:
            self.files, root = url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            raise StorageError(f"{url} cannot be reached: {error}") from None
        except ValueError as error:
            raise UsageError(f"{url} is no place for results: {error}") from None
        self.root = root.rstrip("/")
        named = self.files.protocol
        self.whole = not set(WHOLE).isdisjoint([named] if isinstance(named, str) else named)

    def read(self, name: str) -> bytes:
        """Give the content of a file. Raises FileNotFoundError."""
        return self._tried(lambda: bytes(self.files.cat_file(self._path(name))))

    def write(self, name: str, data: bytes) -> None:
        """Write a file, or another content for it."""
        path = self._path(name)
        if self.whole:
            self._tried(lambda: self.files.pipe_file(path, data))
            return
        part = f"{path}.{uuid4().hex}.part"
        self._tried(lambda: self.files.makedirs(posixpath.dirname(path), exist_ok=True))
        self._tried(lambda: self.files.pipe_file(part, data))
        self._tried(lambda: self.files.mv(part, path))

    def make(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one, and say whether there was none; for protocols that can tell."""
        path = self._path(name)
        try:
            self._tried(lambda: self.files.makedirs(posixpath.dirname(path), exist_ok=True))
            self._tried(lambda: self.files.pipe_file(path, data, mode="create"))
        except FileExistsError:
            return False
        return True

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        return self._tried(lambda: bool(self.files.exists(self._path(name))))

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            self._tried(lambda: self.files.rm_file(self._path(name)))
        except FileNotFoundError:
            return

    def names(self, folder: str) -> list[str]:
        """Give the names of the files in a folder, in their order; none where there is no such folder."""
        try:
            self.files.invalidate_cache()
            found = self._tried(lambda: self.files.ls(self._path(folder), detail=False))
        except FileNotFoundError:
            return []
        return sorted(posixpath.basename(str(path).rstrip("/")) for path in found)

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _tried(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except (FileNotFoundError, FileExistsError):
            raise
        except Exception as error:  # every protocol has errors of its own
            raise Unreachable(f"{self.url} cannot be used: {type(error).__name__}: {error}") from None


class RemoteStore(Store):
    """A store at a URL, for any number of processes and machines; nothing is ever evicted.

    An entry is there when its .json is: it is written after the arrays, and both appear whole.
    """

    def __init__(self, url: str) -> None:
        self.remote = Remote(url)
        self.limit = None

    @property
    def address(self) -> str:
        """The URL."""
        return self.remote.url

    def path(self, key: str) -> Any:
        """Have no path. Raises NotSupported."""
        raise NotSupported(f"the results at {self.address} are no files of this machine: read them with get")

    def __contains__(self, key: str) -> bool:
        return self.remote.exists(f"{place_of(key)}.json")

    def get(self, key: str) -> Any | None:
        """Give the result at an address, or None; an entry that is damaged is removed."""
        if key not in self:
            return None
        try:
            data = self.data(key)
            return storage.load_from(lambda suffix: BytesIO(data[suffix]), f"{self.address}/{place_of(key)}")
        except Unreachable:  # says nothing about the entry
            raise
        except StorageError as error:
            log.warning("the stored result %s is damaged and will be made again: %s", key, error)
            self.drop(key)
            return None

    def glance(self, key: str, fields: Iterable[str]) -> list[dict[str, Any]]:
        """Read only these fields of the result at an address. Raises StorageError."""
        return storage.glance_from(self._opening(key), f"{self.address}/{place_of(key)}", fields)

    def data(self, key: str) -> dict[str, bytes]:
        """Give the bytes of an entry, by suffix. Raises StorageError."""
        try:
            return {suffix: self.remote.read(f"{place_of(key)}{suffix}") for suffix in SUFFIXES}
        except FileNotFoundError:
            raise StorageError(f"there is no stored result {self.address}/{place_of(key)}") from None

    def put_data(self, key: str, data: Mapping[str, bytes]) -> None:
        """Write the bytes of an entry. Raises StorageError."""
        for suffix in SUFFIXES:
            self.remote.write(f"{place_of(key)}{suffix}", data[suffix])

    def put(self, key: str, result: Any) -> None:
        """Write a result. Raises StorageError."""
        self.put_data(key, storage.to_bytes(result))

    def drop(self, key: str) -> None:
        """Remove an entry, if it is there."""
        for suffix in reversed(SUFFIXES):
            self.remote.remove(f"{place_of(key)}{suffix}")

    def keys(self) -> Iterator[str]:
        """Give the addresses of all entries; one folder of them is listed at a time."""
        for folder in self.remote.names("units"):
            names = (name.removesuffix(".json") for name in self.remote.names(f"units/{folder}"))
            yield from (name for name in names if KEY.fullmatch(name))

    def identity_of(self, source: str) -> str | None:
        """Give the identity of the model that is noted under an address of its source and code, or None."""
        try:
            text = self.remote.read(f"models/{source}").decode("ascii")
        except (FileNotFoundError, ValueError):
            return None
        return text if KEY.fullmatch(text) else None

    def note_identity(self, source: str, identity: str) -> None:
        """Remember the identity of the model that a source gives. Raises StorageError."""
        self.remote.write(f"models/{source}", identity.encode("ascii"))

    def _opening(self, key: str) -> Callable[[str], BinaryIO]:
        return lambda suffix: BytesIO(self.remote.read(f"{place_of(key)}{suffix}"))
