"""From signed numbers to colours, in NumPy, so that every renderer shows the same.

Signed values take ColorBrewer's nine-class RdBu (Brewer 2003): blue below zero, white at zero, red above. Its
two arms differ in hue for all common kinds of colour-blindness and lightness falls with |value| on both, so
that the strength reads without hue; numbers and words at the legend's ends tell the sign without colour.
Values without a sign take viridis (Smith, van der Walt 2015).
"""

from collections.abc import Iterable

import numpy as np

from xaikit.arrays import Array
from xaikit.figures._data import Scale

BLUE_TO_RED = ("2166ac", "4393c3", "92c5de", "d1e5f0", "f7f7f7", "fddbc7", "f4a582", "d6604d", "b2182b")
VIRIDIS = ("440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725")
NOT_FINITE = (1.0, 0.85, 0.0)
LUMA = (0.299, 0.587, 0.114)
PERCENTILE = 99.0
FAINTEST = 0.3
"""Where on an arm of the diverging colours the smallest value starts: it is nearly transparent, so that it
needs its hue more than its lightness."""


def limit_of(values: Iterable[Array], robust: bool = True) -> float:
    """Give the number at which the colours end: the 99th percentile of |values|, or their maximum if not
    `robust`.

    A few extreme pixels would otherwise leave the rest of a map without colour. Values that are not finite
    are left out; a percentile of zero gives way to the maximum, and maps of zeros have the limit 1.
    """
    sizes = np.concatenate([np.abs(np.asarray(v, np.float64)).ravel() for v in values])
    sizes = sizes[np.isfinite(sizes)]
    if not sizes.any():
        return 1.0
    limit = float(np.percentile(sizes, PERCENTILE)) if robust else 0.0
    return limit or float(sizes.max())


def rgba(values: Array, scale: Scale, opacity: float = 1.0) -> Array:
    """Give the colour of each value: (..., 4) in 0..1. Diverging colours are transparent at zero."""
    share = np.asarray(values, np.float64) / scale.limit
    finite = np.isfinite(share)
    share = np.clip(np.where(finite, share, 0.0), -1.0, 1.0)
    if scale.kind == "diverging":
        place = np.where(share == 0, 0.0, np.sign(share) * (FAINTEST + (1 - FAINTEST) * np.abs(share)))
        colour, alpha = _ramp(BLUE_TO_RED, (place + 1) / 2), opacity * np.abs(share) ** 0.75
    else:
        colour, alpha = _ramp(VIRIDIS, np.clip(share, 0, 1)), np.full(share.shape, opacity)
    colour = np.where(finite[..., None], colour, NOT_FINITE)
    return np.concatenate([colour, np.where(finite, alpha, 1.0)[..., None]], axis=-1)


def over(values: Array, scale: Scale, background: Array | float = 1.0, opacity: float = 1.0) -> Array:
    """Give the values' colours blended over a background in 0..1 (a picture or one shade): (..., 3) in
    0..1."""
    layers = rgba(values, scale, opacity)
    colour, alpha = layers[..., :3], layers[..., 3:]
    return np.asarray(alpha * colour + (1 - alpha) * background)


def stops(scale: Scale, opacity: float = 1.0, count: int = 65) -> list[tuple[float, tuple[float, ...]]]:
    """List (position 0..1, rgba) along the scale, for renderers that interpolate colours themselves."""
    at = np.linspace(0, 1, count)
    colours = rgba(scale.low + at * (scale.limit - scale.low), scale, opacity)
    return [(float(p), tuple(float(c) for c in row)) for p, row in zip(at, colours, strict=True)]


def sign_colour(value: float) -> str:
    """Give the colour of a bar: red above zero, blue below."""
    return "#" + (BLUE_TO_RED[-1] if value > 0 else BLUE_TO_RED[0])


OF_CLASSES = (
    *(("#3b4252", "dark"), ("#e69f00", "orange"), ("#56b4e9", "light blue"), ("#009e73", "green")),
    *(("#f0e442", "yellow"), ("#0072b2", "blue"), ("#d55e00", "red"), ("#cc79a7", "pink")),
)
"""Colours of the classes of pixels, in their order, with what to call them: Okabe and Ito's (2008), the first dark."""


def class_colour(number: int) -> tuple[str, str]:
    """Give the colour of a class of pixels, as "#e69f00", and its name; beyond the eighth they begin anew."""
    return OF_CLASSES[number % len(OF_CLASSES)]


def class_picture(classes: Array) -> Array:
    """Turn the classes of pixels (height, width), numbered from 0, into a picture (height, width, 3) uint8."""
    colours = np.array([[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour, _ in OF_CLASSES], np.uint8)
    return colours[np.asarray(classes) % len(colours)]


def picture(display: Array, scale: float = 1 / 255) -> Array:
    """Turn a displayed image (height, width[, channel]) into (height, width, 3) uint8.

    Floats are taken as 0..1/scale, the display units of the Image spec, or stretched from their least to
    their largest value where they leave that range; one channel is grey, more than four are averaged. What is not
    finite is yellow, as in a map.
    """
    image = np.asarray(display)
    image = image[..., None] if image.ndim == 2 else image
    image = (
        image
        if image.shape[-1] in (1, 3)
        else image[..., :3]
        if image.shape[-1] == 4
        else image.mean(-1, keepdims=True)
    )
    if image.dtype != np.uint8:
        finite = np.isfinite(image)
        unit = _unit(np.where(finite, image, 0.0).astype(np.float64), 1 / scale)
        unit = np.where(finite.all(-1, keepdims=True), unit, NOT_FINITE)
        image = np.rint(255 * unit).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def around_grey(values: Array, limit: float) -> Array:
    """Turn signed colours (height, width, 3) into uint8: zero is the middle grey, ±limit the ends."""
    return picture(np.clip(0.5 + 0.5 * np.asarray(values, np.float64) / limit, 0, 1), 1.0)


def paled(image: Array, darkest: float = 0.45) -> Array:
    """Turn a picture (height, width, 3) uint8 into light greys, so that only the map over it has colour."""
    grey = image @ np.array(LUMA) / 255
    shade = np.rint(255 * (darkest + (1 - darkest) * grey)).astype(np.uint8)
    return np.repeat(shade[..., None], 3, axis=-1)


def _unit(image: Array, full: float) -> Array:
    low, high = (0.0, full) if image.min() >= 0 and image.max() <= full else (image.min(), image.max())
    return np.asarray((image - low) / (high - low if high > low else 1.0))


def _ramp(colours: tuple[str, ...], place: Array) -> Array:
    table = np.array([[int(c[i : i + 2], 16) / 255 for i in (0, 2, 4)] for c in colours])
    at = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(place, at, table[:, i]) for i in range(3)], axis=-1)
