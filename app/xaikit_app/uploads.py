"""Uploads: what a browser sends, checked by its content and read by the model's spec."""

import base64
import warnings
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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


def read_upload(contents: str, filename: str, spec: Any, settings: Settings) -> Any:
    """Read one upload, a data URL, as the spec takes it. Raises InputError in words for the person who gave it."""
    data = _bytes(contents, filename, settings)
    suffix = Path(filename).suffix.lower()
    if spec.kind == "Image" and suffix != ".npy":
        return _picture(data, filename, spec, settings)
    if suffix not in READERS:
        raise InputError(f"{filename} is no input for this model: give {ACCEPTED.get(spec.kind, '.npy')}")
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{suffix}"
        path.write_bytes(data)
        try:
            given = read_samples(str(path), spec)
        except InputError as error:
            raise InputError(str(error).replace(str(path), filename)) from None
    return spec.display(spec.samples(given)[0])


def _bytes(contents: str, filename: str, settings: Settings) -> bytes:
    _, _, encoded = contents.partition(",")
    if len(encoded) * 3 / 4 > settings.max_upload_bytes + 3:
        size = len(encoded) * 3 / 4 / MIB
        raise InputError(f"{filename} has {size:.1f} MiB; an upload has at most {settings.max_upload_mb:g} MiB")
    try:
        data = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise InputError(f"{filename} did not arrive whole: try again") from None
    if not data:
        raise InputError(f"{filename} is empty")
    return data


def _picture(data: bytes, filename: str, spec: Any, settings: Settings) -> Any:
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    if spec.scale > 0.1:
        raise InputError("this model's pictures are numbers of their own scale: give them as a .npy array")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Pillow.DecompressionBombWarning)
            with Pillow.open(BytesIO(data), formats=FORMATS) as picture:
                pixels = picture.width * picture.height
                if pixels > settings.max_pixels:
                    raise InputError(f"{filename} has {pixels:,} pixels; at most {settings.max_pixels:,} are read")
                picture.load()
                return spec.display(picture)
    except UnidentifiedImageError:
        raise InputError(f"{filename} is not a picture: {_looks(data)}; give {', '.join(FORMATS)}") from None
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
        raise InputError(f"{filename} holds far more pixels than may be read") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{filename} cannot be read as a picture, it may be damaged: {error}") from None


def _looks(data: bytes) -> str:
    if data[:4] in (b"PK\x03\x04", b"%PDF"):
        return "its content is an archive" if data[:2] == b"PK" else "its content is a PDF"
    try:
        data[:4096].decode("utf-8")
    except UnicodeDecodeError:
        return "its content is of no known kind"
    return "its content is text"
