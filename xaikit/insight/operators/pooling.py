"""Windows reduced to one number: pooling of each kind."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution import parameter, require
from xaikit.errors import ParameterError
from xaikit.graph import Geometry
from xaikit.insight.operators._operation import Operation, Windows, each, operations, taken, weighted


@dataclass(frozen=True, kw_only=True)
class _Pool(Operation):
    """What all pools with a window have in common."""

    size: Any = parameter(2, "places of a window, or one number for each axis")
    stride: Any = parameter(None, "step from window to window, or one for each axis; None = the size")
    padding: Any = parameter("valid", "valid, same, a number, or (before, after) for each axis; it takes no part")
    ceil: bool = parameter(False, "keep a last window that ends beyond the input")

    def _windows(self, x: Array, dilation: Any = 1) -> Windows:
        stride = self.size if self.stride is None else self.stride
        return Windows.sliding(x.shape[:-1], self.size, stride, dilation, self.padding, "zero", self.ceil)


@operations("max-pool")
@dataclass(frozen=True, kw_only=True)
class MaxPool(_Pool):
    """The largest value in each window; `parts["switches"]` says at which flat place of its channel it stood.

    Of several the first, row by row.

    Source: Ranzato, Huang, Boureau and LeCun (2007), "Unsupervised learning of invariant
    feature hierarchies".
    """

    dilation: Any = parameter(1, "distance between the places of a window, or one for each axis")

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Take the largest of every window."""
        return largest(x, self._windows(x, self.dilation))


@operations("min-pool")
@dataclass(frozen=True, kw_only=True)
class MinPool(_Pool):
    """The smallest value in each window: the erosion of mathematical morphology.

    Source: Serra (1982), Image Analysis and Mathematical Morphology.
    """

    dilation: Any = parameter(1, "distance between the places of a window, or one for each axis")

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Take the smallest of every window."""
        found = largest(-x, self._windows(x, self.dilation))
        return {**found, "output": -found["output"], "rule": "min", "fill": np.inf}


@operations("average-pool")
@dataclass(frozen=True, kw_only=True)
class AveragePool(_Pool):
    """The mean of each window.

    Source: LeCun et al. (1998), "Gradient-based learning applied to document recognition", section II.
    """

    count_padding: bool = parameter(False, "count padding as zeros, as PyTorch does by default and Keras never")

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Average every window."""
        windows = self._windows(x)
        ends = [n + after for n, (_, after) in zip(x.shape[:-1], windows.padding, strict=True)]
        shares = tuple(self._share(*of) for of in zip(windows.taps, windows.spans, ends, strict=True))
        return averaged(x, windows, shares)

    def _share(self, taps: Array, spans: Array, end: int) -> Array:
        """Give each place's part in the mean: what a window has beyond the padding is never counted."""
        counted = spans[:, :1] + np.arange(taps.shape[1]) < end if self.count_padding else taps >= 0
        return np.asarray((taps >= 0) / np.maximum(counted.sum(1, keepdims=True), 1))


@operations("lp-pool")
@dataclass(frozen=True, kw_only=True)
class LpPool(_Pool):
    """The Lp norm of each window, (Σ |x|^p)^(1/p): p = 1 sums sizes, large p nears the maximum.

    Source: Sermanet, Chintala and LeCun (2012), "Convolutional neural networks applied to house numbers digit
    classification".
    """

    p: float = parameter(2.0, "the power, over 0")

    def __post_init__(self) -> None:
        require(self.p > 0, f"p is over 0, not {self.p!r}")

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Take the norm of every window."""
        windows = self._windows(x)
        ones = tuple(np.ones_like(t, np.float64) for t in windows.taps)
        powers = weighted(np.abs(x) ** self.p, windows, ones)
        return {"output": powers ** (1 / self.p), "rule": "norm", "taps": windows.taps, "spans": windows.spans}


@operations("global-max-pool")
@dataclass(frozen=True, kw_only=True)
class GlobalMaxPool(Operation):
    """The largest value of each channel."""

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Take the largest of all places."""
        return largest(x, whole(x))


@operations("global-average-pool")
@dataclass(frozen=True, kw_only=True)
class GlobalAveragePool(Operation):
    """The mean of each channel.

    Source: Lin, Chen and Yan (2013), "Network in network", arXiv:1312.4400, section 3.2.
    """

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Average all places."""
        windows = whole(x)
        return averaged(x, windows, tuple(np.full_like(t, 1 / t.size, np.float64) for t in windows.taps))


@operations("adaptive-average-pool")
@dataclass(frozen=True, kw_only=True)
class AdaptiveAveragePool(Operation):
    """The means of as many windows as are asked for, as equal and as little overlapping as can be.

    Window i of m on n places runs from ⌊i·n/m⌋ to ⌈(i + 1)·n/m⌉.
    """

    size: Any = parameter(1, "places of the output, or one number for each axis")

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Average every window."""
        counts = each(self.size, x.ndim - 1, "size")
        taps = tuple(Geometry("adaptive").taps(0, n, m) for n, m in zip(x.shape[:-1], counts, strict=True))
        shares = tuple((t >= 0) / (t >= 0).sum(1, keepdims=True) for t in taps)
        return averaged(x, Windows.of(taps), shares)


def whole(x: Array) -> Windows:
    """Give the one window that holds everything."""
    return Windows.of(tuple(np.arange(n)[None] for n in x.shape[:-1]))


def averaged(x: Array, windows: Windows, shares: tuple[Array, ...]) -> dict[str, Any]:
    """Sum windows by shares that sum to one."""
    output = weighted(x, windows, shares)
    return {"output": output, "rule": "sum", "taps": windows.taps, "spans": windows.spans, "shares": shares}


def largest(x: Array, windows: Windows) -> dict[str, Any]:
    """Take the largest value of every window, one axis after the other, and the flat place where it stood."""
    places = np.arange(np.prod(x.shape[:-1], dtype=np.int64)).reshape(x.shape[:-1])
    values, at = x, np.broadcast_to(places[..., None], x.shape)
    for axis in reversed(range(x.ndim - 1)):
        read, where = taken(values, windows.taps[axis], axis, -np.inf), taken(at, windows.taps[axis], axis, -1)
        best = np.expand_dims(read.argmax(axis + 1), axis + 1)
        values = np.take_along_axis(read, best, axis + 1).squeeze(axis + 1)
        at = np.take_along_axis(where, best, axis + 1).squeeze(axis + 1)
    if not np.isfinite(values).all():
        raise ParameterError("a window lies in the padding altogether: pad by less than the window's size")
    return {
        "output": values,
        "rule": "max",
        "taps": windows.taps,
        "spans": windows.spans,
        "fill": -np.inf,
        "parts": {"switches": at},
    }
