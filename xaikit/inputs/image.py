"""Images: from a path, a PIL picture or an array in display units to the network's numbers."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import InputError, ParameterError, not_there
from xaikit.inputs._spec import InputSpec, channels_last_hint, finite, frozen, numeric
from xaikit.untrusted import brief

LARGEST_SCALED = 10
"""What a scaled picture holds at most: larger numbers were in other units before."""

MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class Image(InputSpec):
    """Pictures of `height` × `width` × `channels`, given to the network as (v·scale - mean)/std.

    Display units are those of `v`: 0..255 for the default scale of 1/255. `mean` and `std` are numbers or one per
    channel, in the network's channel `order` ("rgb" or "bgr"). A picture of another size is brought to this one by
    `fit`: "stretch" it, "crop" the centre of the scaled picture, or "pad" it with black; `interpolation` is
    "nearest", "bilinear", "bicubic" or "lanczos" with Pillow's antialiasing.
    """

    kind: ClassVar[str] = "Image"
    zero_baseline: ClassVar[bool] = False

    height: int
    width: int
    channels: int = 3
    scale: float = 1 / 255
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0
    order: Literal["rgb", "bgr"] = "rgb"
    fit: Literal["stretch", "crop", "pad"] = "stretch"
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            object.__setattr__(self, name, frozen(getattr(self, name)))
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != self.channels:
                raise ParameterError(f"Image {name} has {len(value)} entries for {self.channels} channels")
        for name, allowed in (
            ("order", ("rgb", "bgr")),
            ("fit", ("stretch", "crop", "pad")),
            ("interpolation", ("nearest", "bilinear", "bicubic", "lanczos")),
        ):
            if getattr(self, name) not in allowed:
                raise ParameterError(f"Image {name} must be one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if min(self.height, self.width, self.channels) < 1:
            raise ParameterError(f"an Image of {self.height}×{self.width}×{self.channels} has no pixels")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one encoded sample: (height, width, channel)."""
        return (self.height, self.width, self.channels)

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes of `shape`: ("height", "width", "channel")."""
        return ("height", "width", "channel")

    def samples(self, x: Any) -> list[Any]:
        if isinstance(x, list):
            return x
        if isinstance(x, str | os.PathLike) or _is_picture(x):
            return [x]
        array = numeric(x, "the image")
        single = array.ndim == 2 and self.channels == 1
        lacks_channel = self.channels == 1 and array.ndim == 3 and array.shape[1:] == (self.height, self.width)
        if single or (array.ndim == 3 and not lacks_channel):
            return [array]
        if array.ndim == 4 or lacks_channel:
            return list(array)
        raise InputError(
            f"the image has shape {array.shape}; one image is {self.shape} (height, width, channel), "
            f"a batch {('n', *self.shape)}"
        )

    def display(self, sample: Any) -> Array:
        """Give one image (height, width, channel) in display units, fitted; an array of this size is not touched.

        Raises InputError for a file that is missing or no picture, and for an array of another shape or scale.
        """
        if isinstance(sample, str | os.PathLike):
            sample = read_picture(Path(sample))
        if _is_picture(sample):
            return self._from_picture(sample)
        array = finite(numeric(sample, "the image"), "the image")
        if array.ndim == 2 and self.channels == 1:
            array = array[:, :, None]
        self._check(array)
        return array if array.shape == self.shape else self._fit(array)

    def _check(self, array: Array) -> None:
        if array.ndim != 3 or array.shape[-1] != self.channels:
            hint = channels_last_hint(array.shape, self.shape)
            if not hint and array.ndim == 3 and array.shape[-1] == 4 and self.channels == 3:
                hint = "; drop the alpha channel: x[..., :3]"
            raise InputError(f"the image has shape {array.shape}, expected {self.shape} (height, width, channel){hint}")
        if 0 in array.shape:
            raise InputError(f"the image has shape {array.shape}: it is empty")
        if array.dtype != np.uint8 or self.scale * 255 > LARGEST_SCALED:  # else eight bits cannot be wrong
            self._check_units(float(array.min()), float(array.max()), floats=array.dtype.kind == "f")

    def _check_units(self, low: float, high: float, floats: bool) -> None:
        """Refuse numbers in 0..1, normalised ones and those of more than 8 bits for a spec that scales from 0..255."""
        largest = max(abs(low), abs(high))
        if self.scale >= 0.1 or largest == 0:
            return
        if floats and largest <= 1:
            what_next = "give x * 255, or the spec Image(..., scale=1)"
        elif floats and low < 0 and largest <= 10:
            what_next = "give the picture before it was normalised"
        elif largest * self.scale > LARGEST_SCALED:
            what_next = "bring it to 0..255 first, or give Image(...) the scale of these values"
        else:
            return
        raise InputError(
            f"the image holds {'floats' if floats else 'numbers'} in {low:.3g}..{high:.5g}, but this model takes "
            f"display units 0..255 (scale={self.scale:.6g}); {what_next}"
        )

    def _from_picture(self, picture: Any) -> Array:
        if self.channels not in MODES:
            raise InputError(f"a picture file cannot fill {self.channels} channels; give an array {self.shape}")
        array = _pixels(picture, MODES[self.channels])
        return array if array.shape == self.shape else self._fit(array)

    def _fit(self, array: Array) -> Array:
        height, width = array.shape[:2]
        if self.fit == "stretch":
            return self._resize(array, self.height, self.width)
        choose = max if self.fit == "crop" else min
        factor = choose(self.height / height, self.width / width)
        scaled = self._resize(array, max(1, round(height * factor)), max(1, round(width * factor)))
        return _centre(scaled, self.height, self.width)

    def _resize(self, array: Array, height: int, width: int) -> Array:
        from PIL import Image as Pillow

        method = Pillow.Resampling[self.interpolation.upper()]
        if array.dtype == np.uint8 and self.channels in MODES:
            flat = array[:, :, 0] if self.channels == 1 else array
            resized = np.asarray(Pillow.fromarray(flat).resize((width, height), method))
            return resized.reshape(height, width, self.channels)
        planes = np.asarray(array, np.float32)
        return np.stack(
            [
                np.asarray(Pillow.fromarray(planes[:, :, c]).resize((width, height), method))
                for c in range(self.channels)
            ],
            axis=-1,
        )

    def to_network(self, display: Any) -> Array:
        values = np.asarray(display, np.float64)
        if self.order == "bgr":
            values = values[..., ::-1]
        return np.asarray((values * self.scale - np.asarray(self.mean)) / np.asarray(self.std), np.float32)

    def decode(self, encoded: Array) -> Array:
        own = np.asarray(encoded, np.float64) * np.asarray(self.std) + np.asarray(self.mean)
        values = np.asarray(own / self.scale)
        return values[..., ::-1] if self.order == "bgr" else values


def read_picture(path: Path) -> Any:
    """Open and fully decode a picture file; raise InputError if it is missing, corrupt or suspiciously large."""
    from PIL import Image as Pillow

    try:
        with _decoding(str(path)), Pillow.open(path) as picture:
            if picture.format in PROGRAMS:
                raise InputError(f"{path} is {picture.format}, a program that draws; save what it draws as PNG")
            picture.load()
            if picture.getexif() != {}:
                return picture
            found = picture.copy()
            found.format = picture.format  # which says what numbers beyond 255 are
            return found
    except FileNotFoundError:
        raise InputError(not_there(path)) from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; give the pictures in it one by one or as a list") from None


PROGRAMS = ("EPS", "PS", "WMF", "EMF")
"""What Pillow draws by starting another program, such as Ghostscript."""


@contextmanager
def _decoding(what: str) -> Iterator[None]:
    """Turn what Pillow raises for a picture that is corrupt or suspiciously large into InputError.

    Its decoders raise many kinds of errors, and warn of notes beside the pixels that are damaged, which nobody needs.
    """
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Pillow.DecompressionBombWarning)
            yield
    except (FileNotFoundError, IsADirectoryError, InputError):
        raise
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning):
        raise InputError(f"{what} has more than {Pillow.MAX_IMAGE_PIXELS:,} pixels; scale it down first") from None
    except UnidentifiedImageError:
        raise InputError(f"{what} is not a picture that Pillow can read, or it is corrupt") from None
    except Exception as error:
        raise InputError(f"{what} cannot be read as a picture: {brief(error)}") from None


def picture_array(x: Any, grey: bool = False) -> Array | None:
    """Give a picture file or PIL picture as it is, (height, width, 1 or 3) uint8; None for anything else.

    `grey` takes the lightness of a colour picture. Raises InputError if the file is missing or cannot be decoded.
    """
    if isinstance(x, str | os.PathLike):
        x = read_picture(Path(x))
    if not _is_picture(x):
        return None
    return _pixels(x, "L" if grey or x.mode in GREY else "RGB")


GREY = ("1", "L", "LA", "I", "I;16", "F")
"""The modes of PIL pictures without colour."""


def _pixels(picture: Any, mode: str) -> Array:
    """Decode a PIL picture the right way up: (height, width, channel) uint8."""
    from PIL import ImageOps

    with _decoding("the picture"):
        upright = ImageOps.exif_transpose(picture)
        if upright.mode in DEEP:
            upright = _eight_bits(upright, getattr(picture, "format", None))
        array = np.asarray(upright.convert(mode))
    return array[:, :, None] if array.ndim == 2 else array


DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
"""The modes of PIL pictures of more than eight bits, which its `convert` cuts off at 255."""


def _eight_bits(picture: Any, format_: str | None) -> Any:
    """Bring 16 bits to 8, dividing by 257. Raises InputError for other numbers that are not in 0..255."""
    from PIL import Image as Pillow

    values = np.asarray(picture)
    if picture.mode.startswith("I;16") or format_ in ("PNG", "PPM"):
        values = (values.astype(np.float64) / 257).round()
    low, high = (float(v) for v in (values.min(), values.max()))
    if not (low >= 0 and high <= 255) or (picture.mode == "F" and 0 < high <= 1):
        raise InputError(
            f"the picture holds {'floats' if picture.mode == 'F' else 'numbers'} in {low:.5g}..{high:.5g}, and a "
            "picture file is read as 0..255: bring it to 0..255 first, or give an array"
        )
    return Pillow.fromarray(values.astype(np.uint8))


def _is_picture(x: Any) -> bool:
    return type(x) is not np.ndarray and any(c.__module__.startswith("PIL.") for c in type(x).__mro__)


def _centre(array: Array, height: int, width: int) -> Array:
    """Cut or pad with zeros around the centre, to height × width."""
    out = np.zeros((height, width, array.shape[2]), array.dtype)
    (source_y, target_y), (source_x, target_x) = (
        _overlap(array.shape[0], height),
        _overlap(array.shape[1], width),
    )
    out[target_y, target_x] = array[source_y, source_x]
    return out


def _overlap(have: int, want: int) -> tuple[slice, slice]:
    shared = min(have, want)
    source, target = (have - shared) // 2, (want - shared) // 2
    return slice(source, source + shared), slice(target, target + shared)
