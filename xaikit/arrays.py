"""Arrays with named axes: the shapes that travel between the layers of xaikit, and arithmetic on them."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Tensors = Array | Mapping[str, Array]
"""One array, or one per named input or output of a network."""

SPACE = ("time", "depth", "height", "width")
"""Axis names along which a layer has places; the others are "sample", "channel", "token", "column" or free."""


def each(function: Callable[..., Array], first: Tensors, *others: Tensors) -> Tensors:
    """Apply a function of arrays to one array, or name by name to mappings with the same names."""
    if isinstance(first, np.ndarray) or not isinstance(first, Mapping):  # arrays first: asking for a protocol is slow
        return function(first, *others)
    return {name: function(first[name], *(_named(other, name) for other in others)) for name in first}


def _named(value: Tensors, name: str) -> Any:
    return value[name] if isinstance(value, Mapping) else value


def leaves(x: Tensors) -> Iterator[tuple[str, Array]]:
    """Yield (name, array) of each part of `x`; a single array has the name ""."""
    if isinstance(x, np.ndarray) or not isinstance(x, Mapping):
        yield "", x
    else:
        yield from x.items()


def length(x: Tensors) -> int:
    """Count the samples: the length of the leading axis, equal for all parts."""
    return len(x) if isinstance(x, np.ndarray) else len(next(iter(leaves(x)))[1])


def rows(x: Tensors, index: Any) -> Tensors:
    """Select along the leading sample axis, in every part."""
    return x[index] if isinstance(x, np.ndarray) else each(lambda a: a[index], x)


def concatenate(parts: list[Tensors]) -> Tensors:
    """Join along the leading sample axis, name by name; the parts have the same names."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Mapping):
        return {name: np.concatenate([_named(p, name) for p in parts]) for name in first}
    return np.concatenate([np.asarray(p) for p in parts])


def chunks(count: int, size: int) -> Iterator[slice]:
    """Cut `count` rows into slices of at most `size` rows."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def total(x: Tensors) -> Array:
    """Sum everything but the leading sample axis, over all parts, in float64: (sample,)."""
    sums = [a.reshape(len(a), -1).sum(1, dtype=np.float64) for _, a in leaves(x)]
    return sums[0] if len(sums) == 1 else np.sum(sums, axis=0)


def stacked(parts: list[Array]) -> Array:
    """Put samples behind each other along a new leading axis: always a copy, laid out row by row."""
    return np.array(parts[0], order="C")[None] if len(parts) == 1 else np.stack(parts)


def upsample(maps: Array, shape: tuple[int, ...]) -> Array:
    """Resize maps (sample, *space) to (sample, *shape) by linear interpolation between cell centres.

    Cell i of n covers [i/n, (i+1)/n) of its axis, so its centre lies at (i + 0.5)/n; places beyond the outer
    centres take the outer value. It is what torch and Keras call bilinear without aligned corners.
    """
    for axis, size in enumerate(shape, start=1):
        maps = _resize_axis(maps, axis, size)
    return maps


def _resize_axis(maps: Array, axis: int, size: int) -> Array:
    cells = maps.shape[axis]
    if cells == size:
        return maps
    below, above, away, towards = _places(cells, size, maps.ndim - axis - 1, maps.dtype)
    return maps.take(below, axis) * away + maps.take(above, axis) * towards


@lru_cache(256)
def _places(cells: int, size: int, after: int, dtype: Any) -> tuple[Array, Array, Array, Array]:
    """Give for each of `size` places the cells at both sides of it, and their shares in it, before so many axes."""
    place = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
    below = np.floor(place).astype(int)
    towards = (place - below).reshape(-1, *(1,) * after).astype(dtype)
    return below, np.minimum(below + 1, cells - 1), 1 - towards, towards


def agreement(a: Tensors, b: Tensors) -> Array:
    """Give max|a - b| / max|a| for each sample: the measure by which two results are called equal.

    Entries that are not finite agree with the same only; with anything else the result is infinite.
    """
    difference = _largest(each(_difference, a, b))
    scale = _largest(each(lambda u: np.where(np.isfinite(u), u, 0.0), a))
    return np.divide(difference, scale, out=np.where(difference > 0, np.inf, 0.0), where=scale > 0)


def _difference(a: Array, b: Array) -> Array:
    with np.errstate(invalid="ignore"):
        off = np.asarray(a, np.float64) - b
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isfinite(off), off, np.inf))


def _largest(x: Tensors) -> Array:
    return np.max([np.abs(a.reshape(len(a), -1)).max(1) for _, a in leaves(x)], axis=0).astype(np.float64)
