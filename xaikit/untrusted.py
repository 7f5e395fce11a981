"""What strangers' files hold, read so that every fault is a ValueError of one line.

Python's and NumPy's readers raise many kinds of errors for damaged files, recurse until the stack is full, and reserve
the memory that a header asks for. Callers turn the ValueError into the error of their own border.
"""

import json
import math
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from xaikit.arrays import Array

MUCH, FOLD = 2**30, 200
"""Bytes from which an archive is not unpacked if they are more than so many times its size: it is made to fill memory.
Label maps of superpixels shrink to a fiftieth."""
HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
"""By version of the format; the third is for names of fields, which no array of numbers has."""


def brief(error: BaseException, most: int = 200) -> str:
    """Give an error's text in one line of at most so many characters; its kind where it has no text."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else text[: most - 1] + "…"


def toml(text: str) -> dict[str, Any]:
    """Read TOML. Raises ValueError; tomllib.TOMLDecodeError, which is one, where the line is known."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("its tables or lists are nested too deeply") from None


def jsonic(text: str | bytes) -> Any:
    """Read JSON. Raises ValueError, also for bytes that are no text."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("its lists or objects are nested too deeply") from None


def array(file: BinaryIO, size: int) -> Array:
    """Read a .npy array of numbers or text from a file of `size` bytes. Nothing is unpickled.

    Raises ValueError for what is none, for Python objects, and for a header that promises more than there is.
    """
    try:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            raise ValueError(f"a .npy array of version {version[0]}.{version[1]} is not read here")
        shape, _, dtype = HEADERS[version](file)
        if dtype.hasobject:
            raise ValueError("it holds Python objects, which could run code when they are read")
        promised = file.tell() + math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or promised > size:
            raise ValueError(f"its header promises an array {shape} of {dtype}, and there are {size:,} bytes")
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:  # the header is parsed as Python, and every parser has errors of its own
        raise ValueError(brief(error)) from None


def refuse_bomb(archive: zipfile.ZipFile, size: int) -> None:
    """Raise ValueError for an archive of `size` bytes that would fill the memory if it were unpacked."""
    unpacked = sum(m.file_size for m in archive.infolist())
    if unpacked > MUCH and unpacked > FOLD * size:
        raise ValueError(f"it would grow from {size:,} bytes to {unpacked:,}, and is not unpacked")


class Archive(Mapping[str, Array]):
    """The arrays of a .npz file by name, each read as it is asked for; raises ValueError, KeyError for a name."""

    def __init__(self, file: BinaryIO) -> None:
        try:
            size = file.seek(0, 2)
            self._zip = zipfile.ZipFile(file)
            self._members = {m.filename.removesuffix(".npy"): m for m in self._zip.infolist()}
        except Exception as error:  # struct.error, OverflowError, NotImplementedError, BadZipFile, ...
            raise ValueError(brief(error)) from None
        refuse_bomb(self._zip, size)

    def __getitem__(self, name: str) -> Array:
        member = self._members[name]
        try:
            with self._zip.open(member) as file:
                return array(file, member.file_size)  # type: ignore[arg-type]  # a ZipExtFile is a BinaryIO
        except Exception as error:  # zlib.error, RuntimeError of an encrypted part, NotImplementedError, ...
            raise ValueError(f"its part {name[:40]!r}: {brief(error)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)
