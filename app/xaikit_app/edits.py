"""Changes that people make to one input: a region of a picture put away, a span of a series made flat."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import InputError, UnknownName

GRID = 96
"""As many cells as a brushed region has across or down."""
PICTURE_FILLS = {"blur": "a blur of it", "mean": "the mean colour", "noise": "noise", "black": "black"}
SERIES_FILLS = {"line": "a straight line", "mean": "its mean", "zero": "zero", "noise": "noise"}


def brushed(picture: Array, region: str, size: tuple[int, int], fill: str, seed: int = 0) -> Array:
    """Give a picture (row, column, channel) with a region put away: `region` has a 0 or 1 for every cell of `size`.

    Raises InputError for a region that is empty or did not arrive whole, UnknownName for the fill.
    """
    rows, columns = size
    if not 0 < rows <= GRID or not 0 < columns <= GRID or len(region) != rows * columns or set(region) - {"0", "1"}:
        raise InputError("the region did not arrive whole: brush it again")
    cells = np.array(list(region)) == "1"
    if not cells.any():
        raise InputError("nothing is brushed yet: draw over the picture, or add a box")
    height, width = picture.shape[:2]
    down, across = np.arange(height) * rows // height, np.arange(width) * columns // width
    return _filled(picture, cells.reshape(rows, columns)[down][:, across], fill, PICTURE_MAKERS, seed)


def flattened(series: Array, first: int, last: int, fill: str, channel: int | None = None, seed: int = 0) -> Array:
    """Give a series (time, ...) with the steps from `first` to `last` replaced, in one channel or in all."""
    steps = len(series)
    if not 0 <= first <= last < steps:
        raise InputError(f"a span lies within the steps 0 to {steps - 1}, not {first} to {last}")
    where = np.zeros(series.shape, bool)
    where[first : last + 1] = True
    if channel is not None:
        if series.ndim < 2 or not 0 <= channel < series.shape[1]:
            raise InputError(f"this series has no channel {channel}")
        where &= (np.arange(series.shape[1]) == channel).reshape(1, -1, *[1] * (series.ndim - 2))
    if fill == "line":
        share = np.linspace(0, 1, last - first + 1).reshape(-1, *[1] * (series.ndim - 1))
        before, after = series[max(first - 1, 0)], series[min(last + 1, steps - 1)]
        out = np.array(series)
        out[first : last + 1] = before + share * (after - before)
        return np.asarray(np.where(where, out, series), series.dtype)
    return _filled(series, where, fill, SERIES_MAKERS, seed)


def _filled(x: Array, where: Array, fill: str, makers: Mapping[str, Callable[..., Any]], seed: int) -> Array:
    if fill not in makers:
        raise UnknownName("fill", fill, makers)
    made = np.broadcast_to(makers[fill](x.astype(np.float64), np.random.default_rng(seed)), x.shape)
    if x.dtype.kind in "iu":
        made = np.clip(np.rint(made), np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
    spread = where.reshape(*where.shape, *[1] * (x.ndim - where.ndim))
    return np.asarray(np.where(spread, made, x), x.dtype)


def _blurred(x: Array, _: Any) -> Array:
    """Blur over an eighth of the longer side: a Gaussian, rows and columns after each other."""
    sigma = max(x.shape[:2]) / 8
    reach = int(3 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        pad = [(reach, reach) if k == axis else (0, 0) for k in range(x.ndim)]
        wide = np.pad(x, pad, mode="edge")
        views = np.lib.stride_tricks.sliding_window_view(wide, 2 * reach + 1, axis)
        x = views @ weights
    return x


def _noise(x: Array, rng: np.random.Generator) -> Array:
    return np.asarray(rng.normal(x.mean((0, 1) if x.ndim > 2 else 0), x.std(), x.shape))


PICTURE_MAKERS: Mapping[str, Callable[..., Any]] = {
    "blur": _blurred,
    "mean": lambda x, _: x.mean((0, 1)),
    "noise": _noise,
    "black": lambda x, _: min(float(x.min()), 0.0),
}
SERIES_MAKERS: Mapping[str, Callable[..., Any]] = {
    "mean": lambda x, _: x.mean(0),
    "zero": lambda x, _: 0.0,
    "noise": _noise,
    "line": lambda x, _: x,
}

__all__ = ["PICTURE_FILLS", "SERIES_FILLS", "brushed", "flattened"]
