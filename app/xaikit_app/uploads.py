"""Uploads: what a browser sends, checked by its content against the limits of the app, and read by the model's spec."""

import base64
import csv
import math
import unicodedata
from collections.abc import Callable, Mapping
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.data.files import READERS, read_samples
from xaikit.errors import InputError
from xaikit_app.settings import MIB, Settings

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
ACCEPTED = {
    "Image": ".png,.jpg,.jpeg,.webp,.gif,.bmp,.tif,.tiff,.npy",
    "Text": ".txt",
    "Table": ".csv",
    "Series": ".csv,.npy",
    "Array": ".csv,.npy",
}
"""What a file dialogue offers for each kind of input; the content decides."""
NAME = 80
"""As many characters of a file's name are shown."""
MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x93NUMPY", "a .npy array"),
    (b"PK\x03\x04", "an archive"),
    (b"PK\x05\x06", "an archive"),
    (b"\x1f\x8b", "an archive"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"II*\x00", "a picture"),
    (b"MM\x00*", "a picture"),
    (b"\x89HDF", "a network or other HDF5 file"),
)
"""How files begin, and what they are then."""


def read_upload(contents: str, filename: str | None, spec: Any, settings: Settings) -> Any:
    """Read one upload, a data URL, as the spec takes it. Raises InputError in words for the person who gave it."""
    name = shown_name(filename)
    data = received(contents, name, settings)
    kind, suffix = spec.kind, Path(filename or "").suffix.lower()
    if data.startswith(MAGIC[0][0]) and ".npy" in ACCEPTED.get(kind, ".npy"):
        return _one(spec, read_npy(data, name, settings))
    if kind == "Image" and suffix != ".npy":
        return _picture(data, name, spec, settings)
    if suffix not in READERS or (suffix != ".npy" and (looks := _looks(data)) != "text"):
        given = "" if suffix not in READERS else f": its content is {looks}"
        raise InputError(f"{name} is no input for this model{given}: give {ACCEPTED.get(kind, '.npy')}")
    if suffix == ".npy":
        return _one(spec, read_npy(data, name, settings))
    CHECKS[suffix](data, name, settings)
    return _one(spec, _read(data, name, suffix, spec))


def shown_name(filename: str | None) -> str:
    """Give a file's name as it may stand in a sentence: short, in one line, and read from left to right."""
    plain = "".join(c for c in str(filename or "") if unicodedata.category(c)[0] != "C").strip()
    return f"{plain[: NAME // 2]} … {plain[-NAME // 2 :]}" if len(plain) > NAME else plain or "the file"


def received(contents: str, name: str, settings: Settings) -> bytes:
    """Give the bytes of a data URL. Raises InputError for too many, for none, and for a broken transfer."""
    _, _, encoded = contents.partition(",")
    if len(encoded) * 3 / 4 > settings.max_upload_bytes + 3:
        size = len(encoded) * 3 / 4 / MIB
        raise InputError(f"{name} has {size:.1f} MiB; an upload has at most {settings.max_upload_mb:g} MiB")
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise InputError(f"{name} did not arrive whole: try again") from None
    if not data:
        raise InputError(f"{name} is empty")
    return data


def _one(spec: Any, given: Any) -> Any:
    return spec.display(spec.samples(given)[0])


def _read(data: bytes, name: str, suffix: str, spec: Any) -> Any:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{suffix}"
        path.write_bytes(data)
        try:
            return read_samples(str(path), spec)
        except InputError as error:
            raise InputError(str(error).replace(str(path), name)) from None


# ---------------------------------------------------------------- arrays, tables and texts


def read_npy(data: bytes, name: str, settings: Settings) -> Array:
    """Read a .npy array without unpickling, its header first. Raises InputError.

    A header may claim any size, and the array would be made before it is filled: so it is compared with what is there.
    """
    file = BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read = HEADERS.get(version)
        if read is None:
            raise ValueError(f"it is of version {version[0]}.{version[1]}")
        shape, _, dtype = read(file)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{name} is not a .npy array that can be read without unpickling: {error}") from None
    if dtype.kind not in "biufc":
        raise InputError(f"{name} is not a .npy array of numbers that can be read without unpickling: it has {dtype}")
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size != len(data) - file.tell():
        raise InputError(f"{name} is damaged: its header says {size:,} bytes, it has {len(data) - file.tell():,}")
    if math.prod(shape) > settings.max_values:
        raise InputError(f"{name} holds {math.prod(shape):,} numbers; at most {settings.max_values:,} are read")
    file.seek(0)
    return np.asarray(np.lib.format.read_array(file, allow_pickle=False))


HEADERS: Mapping[Any, Callable[[Any], Any]] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def check_table(data: bytes, name: str, settings: Settings) -> None:
    """See that a CSV file stays within the limits of rows, columns and cells. Raises InputError."""
    check_text(data, name, settings, MIB * settings.max_upload_mb)
    try:
        for number, row in enumerate(csv.reader(StringIO(data.decode("utf-8-sig"), newline=""))):
            if number > settings.max_rows:
                raise InputError(f"{name} has more than {settings.max_rows:,} rows, as many as are read")
            if len(row) > settings.max_columns:
                raise InputError(f"{name} has {len(row):,} columns; at most {settings.max_columns:,} are read")
            if row and max(map(len, row)) > settings.max_cell:
                raise InputError(
                    f"{name} has an entry of more than {settings.max_cell:,} characters in row {number + 1}"
                )
    except csv.Error as error:
        raise InputError(f"{name} is not a readable CSV file: {error}") from None


def check_text(data: bytes, name: str, settings: Settings, most: float | None = None) -> None:
    """See that a text is one, and not too long. Raises InputError."""
    try:
        length = len(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not a text in UTF-8: {error}") from None
    if length > (most or settings.max_text):
        raise InputError(f"{name} has {length:,} characters; a text has at most {settings.max_text:,}")


CHECKS: Mapping[str, Callable[[bytes, str, Settings], None]] = {".csv": check_table, ".txt": check_text}


def typed(text: str | None, spec: Any, settings: Settings) -> Any:
    """Give a text that someone typed as the spec takes it. Raises InputError."""
    if len(text or "") > settings.max_text:
        raise InputError(f"the text has {len(text or ''):,} characters; at most {settings.max_text:,} are read")
    return spec.display(text or "")


# ---------------------------------------------------------------- pictures


def _picture(data: bytes, name: str, spec: Any, settings: Settings) -> Any:
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    if spec.scale > 0.1:
        raise InputError("this model's pictures are numbers of their own scale: give them as a .npy array")
    try:
        with Pillow.open(BytesIO(data), formats=FORMATS) as picture:  # reads the header alone, of the first frame
            pixels = picture.width * picture.height
            if pixels > settings.max_pixels:
                raise InputError(f"{name} has {pixels:,} pixels; at most {settings.max_pixels:,} are read")
            picture.load()
            return spec.display(picture)
    except InputError:
        raise
    except UnidentifiedImageError:
        looks = _looks(data)
        if looks == "a picture":
            raise InputError(f"{name} cannot be read as a picture, it may be damaged") from None
        raise InputError(f"{name} is not a picture: its content is {looks}; give {', '.join(FORMATS)}") from None
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
        raise InputError(f"{name} holds far more pixels than may be read") from None
    except Exception as error:  # damaged bytes provoke errors of any type in the decoders
        raise InputError(f"{name} cannot be read as a picture, it may be damaged: {error}") from None


def _looks(data: bytes) -> str:
    """Say what a file is by how it begins."""
    for magic, what in MAGIC:
        if data.startswith(magic):
            return what
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "a picture"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return "of no known kind"
    return "text" if b"\0" not in data else "of no known kind"
