"""Windows multiplied by a kernel: cross-correlation, convolution, and how well a pattern fits at each place."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution import parameter, require
from xaikit.errors import ParameterError
from xaikit.graph import Geometry
from xaikit.insight.operators._kernels import kernels
from xaikit.insight.operators._operation import Operation, Windows, each, operations
from xaikit.results import Filters
from xaikit.results._steps import FLAT

KERNEL = (
    "a name from xk.kernels, the Filters of a layer, or weights: (*size) for every channel on its own, (*size, in) for "
    "one filter, (filter, *size, in) for several"
)
BORDERS = ("zero", "reflect", "replicate", "circular")


@dataclass(frozen=True, kw_only=True)
class _Windowed(Operation):
    """What all that multiply windows by a kernel have in common."""

    kernel: Any = parameter(None, KERNEL)
    stride: Any = parameter(1, "step from window to window, or one for each axis")
    dilation: Any = parameter(1, "distance between the places of a window, or one for each axis")
    padding: Any = parameter("valid", "valid, same, full, causal, a number, or (before, after) for each axis")
    border: str = parameter("zero", "what stands in the padding", BORDERS)
    groups: int = parameter(1, "into how many groups the input channels are split, each with filters of its own")

    def __post_init__(self) -> None:
        require(self.border in BORDERS, f"border is one of {', '.join(BORDERS)}, not {self.border!r}")

    def _filters(self, x: Array) -> tuple[Array, Array | None, int]:
        return filters_for(x, self.kernel, self.groups)

    def _windows(self, x: Array, size: tuple[int, ...]) -> Windows:
        return Windows.sliding(x.shape[:-1], size, self.stride, self.dilation, self.padding, self.border)


@operations("cross-correlation")
@dataclass(frozen=True, kw_only=True)
class CrossCorrelation(_Windowed):
    """The sum of the products of a kernel with the window at each place: what frameworks call a convolution.

    y[i] = Σ_j k[j] · x[i·stride - before + j·dilation] + bias, on each axis; the kernel is not turned. It has
    ⌊(n + padding - dilation·(k - 1) - 1) / stride⌋ + 1 places.

    Source: Goodfellow, Bengio and Courville (2016), Deep Learning, section 9.1.
    """

    bias: Any = parameter(None, "added to the sum: a number, one for each filter; None = that of the Filters, or 0")

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Sum the products in every window."""
        kernel, own, groups = self._filters(x)
        kernel = self._turned(kernel)
        windows = self._windows(x, kernel.shape[1:-1])
        return _sums(x, windows, kernel, bias_for(self.bias, own, len(kernel)), groups)

    def _turned(self, kernel: Array) -> Array:
        return kernel


def _sums(x: Array, windows: Windows, kernel: Array, bias: Array | None, groups: int) -> dict[str, Any]:
    """Give the sums of the products in every window, and what their steps need."""
    output = summed(x, windows, kernel, groups)
    return {
        "output": output if bias is None else output + bias,
        "rule": "sum",
        "kernel": kernel,
        "bias": bias,
        "groups": groups,
        "taps": windows.taps,
        "spans": windows.spans,
    }


@operations("convolution")
@dataclass(frozen=True, kw_only=True)
class Convolution(CrossCorrelation):
    """The sum of the products of a kernel, turned around on every axis, with the window at each place.

    It is the convolution of mathematics and of signal processing, y[i] = Σ_j k[j] · x[i - j]; frameworks leave the
    kernel as it is ("cross-correlation"). The kernel that the steps show is the turned one.

    Source: Oppenheim and Schafer (2010), Discrete-Time Signal Processing, section 2.3.
    """

    def _turned(self, kernel: Array) -> Array:
        return np.flip(kernel, tuple(range(1, kernel.ndim - 1)))


@operations("match")
@dataclass(frozen=True, kw_only=True)
class Match(_Windowed):
    """The mean of the products of a pattern with the window at each place: 1 where both are ±1 and equal."""

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Average the products in every window."""
        kernel, _, groups = self._filters(x)
        windows = self._windows(x, kernel.shape[1:-1])
        return {
            "output": summed(x, windows, kernel, groups) / kernel[0].size,
            "rule": "mean",
            "kernel": kernel,
            "groups": groups,
            "taps": windows.taps,
            "spans": windows.spans,
        }


@operations("normalised-cross-correlation")
@dataclass(frozen=True, kw_only=True)
class NormalisedCrossCorrelation(_Windowed):
    """The correlation coefficient of a pattern with the window at each place, from -1 to 1; 0 where a window is flat.

    Brightness and contrast of the window do not count.

    Source: Lewis (1995), "Fast normalized cross-correlation", equation 2.
    """

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Correlate every window with the pattern."""
        kernel, _, groups = self._filters(x)
        windows = self._windows(x, kernel.shape[1:-1])
        return {
            "output": correlated(x, windows, kernel, groups),
            "rule": "correlation",
            "kernel": kernel,
            "groups": groups,
            "taps": windows.taps,
            "spans": windows.spans,
        }


@operations("transposed-convolution")
@dataclass(frozen=True, kw_only=True)
class TransposedConvolution(Operation):
    """Every input place stamps its value times the kernel into the output, `stride` places from stamp to stamp.

    y[i·stride - padding + j·dilation] += k[j] · x[i]: the transpose of a cross-correlation. Followed from the output,
    each place sums the kernel's weights with the input places that reach it.

    Source: Dumoulin and Visin (2016), "A guide to convolution arithmetic for deep learning", arXiv:1603.07285,
    chapter 4.
    """

    kernel: Any = parameter(None, KERNEL)
    stride: Any = parameter(1, "places from stamp to stamp, or one for each axis")
    dilation: Any = parameter(1, "distance between the places of the kernel, or one for each axis")
    padding: Any = parameter(
        "valid", "what is cut off the full output: a number as in PyTorch; valid and same as in Keras"
    )
    output_padding: Any = parameter(0, "places added behind the output where the padding is a number")
    groups: int = parameter(1, "into how many groups the input channels are split, each with filters of its own")
    bias: Any = parameter(None, "added to the sum: a number, one for each filter; None = that of the Filters, or 0")

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Sum what reaches every output place."""
        kernel, own, groups = filters_for(x, self.kernel, self.groups)
        windows = Windows.of(self._taps(x.shape[:-1], kernel.shape[1:-1]))
        return _sums(x, windows, kernel, bias_for(self.bias, own, len(kernel)), groups)

    def _taps(self, space: tuple[int, ...], size: tuple[int, ...]) -> tuple[Array, ...]:
        rank = len(space)
        strides, apart = each(self.stride, rank, "stride"), each(self.dilation, rank, "dilation")
        named = isinstance(self.padding, str)
        require(
            not named or self.padding in ("valid", "same"), f"padding is valid, same or a number, not {self.padding!r}"
        )
        cut = (0,) * rank if named else each(self.padding, rank, "padding", 0)
        more = each(self.output_padding, rank, "output_padding", 0)
        found = []
        for n, k, s, d, p, extra in zip(space, size, strides, apart, cut, more, strict=True):
            reach = d * (k - 1) + 1
            beyond = max(reach - s, 0)
            if named:
                p, count = (beyond // 2, n * s) if self.padding == "same" else (0, n * s + beyond)
            else:
                count = (n - 1) * s - 2 * p + reach + extra
            require(count > 0, f"a padding of {p} cuts off the whole output of {count + 2 * p} places")
            found.append(Geometry("transposed", (k,), (s,), ((p, p),), (d,)).taps(0, n, count))
        return tuple(found)


def filters_for(x: Array, kernel: Any, groups: int) -> tuple[Array, Array | None, int]:
    """Give weights (filter, *size, in) that fit `x` (*space, channel), the bias that they bring, and the groups.

    Weights without channels act on every channel on its own. Raises UnknownName and ParameterError.
    """
    rank, channels = x.ndim - 1, x.shape[-1]
    if kernel is None:
        raise ParameterError(
            "kernel is missing: a name from xk.kernels, the Filters of a layer, or an array of weights"
        )
    bias = None
    if isinstance(kernel, Filters):
        require(kernel.groups == 1 or len(kernel) == kernel.total, "of grouped filters all are needed: take no part")
        kernel, bias, groups = kernel.values, kernel.bias, kernel.groups
    values = kernels[kernel] if isinstance(kernel, str) else np.asarray(kernel, np.float64)
    require(
        values.size > 0 and bool(np.isfinite(values).all()), "the kernel is empty, or holds NaN or infinite weights"
    )
    if values.ndim == rank:
        return np.repeat(values[None, ..., None], channels, 0), bias, channels
    values = values[None] if values.ndim == rank + 1 else np.asarray(values, np.float64)
    if values.ndim != rank + 2:
        raise ParameterError(
            f"a kernel {values.shape} does not fit {rank} axes of space: give {rank} to {rank + 2} axes"
        )
    if groups < 1 or channels % groups or len(values) % groups or values.shape[-1] != channels // groups:
        raise ParameterError(
            f"{len(values)} filters on {values.shape[-1]} input channels in {groups} groups do not fit an array of "
            f"{channels} channels"
        )
    return values, bias, groups


def bias_for(given: Any, own: Array | None, filters: int) -> Array | None:
    """Give a bias (filter,), or None where there is none to add."""
    if given is None:
        return None if own is None else np.asarray(own, np.float64)
    bias = np.asarray(given, np.float64)
    require(bias.ndim == 0 or bias.shape == (filters,), f"bias has the shape {bias.shape}; there are {filters} filters")
    return np.broadcast_to(bias, (filters,)).copy()


def _split(cut: Array, groups: int) -> Array:
    """(*space, channel) -> (group, place, in)."""
    return np.moveaxis(cut.reshape(-1, groups, cut.shape[-1] // groups), 1, 0)


def _by_group(kernel: Array, groups: int) -> Array:
    """(filter, *size, in) -> (*size, group, in, filter of the group)."""
    split = kernel.reshape(groups, -1, *kernel.shape[1:])
    return np.moveaxis(split, (0, 1), (-3, -1))


def _placed(sums: Array, windows: Windows) -> Array:
    """(group, place, filter of the group) -> (*space, filter)."""
    return np.ascontiguousarray(np.moveaxis(sums, 0, 1)).reshape(*windows.space, -1)


def summed(x: Array, windows: Windows, kernel: Array, groups: int) -> Array:
    """Sum the products of kernels with all windows, one place of the kernel at a time: (*space, filter)."""
    weights = _by_group(kernel, groups)
    if groups == len(kernel) == x.shape[-1]:  # one channel, one filter: no sums over channels
        alone = np.zeros((*windows.space, groups))
        for offset, cut in windows.cuts(x):
            alone += cut * weights[offset][:, 0, 0]
        return alone
    sums = np.zeros((groups, int(np.prod(windows.space)), len(kernel) // groups))
    for offset, cut in windows.cuts(x):
        sums += _split(cut, groups) @ weights[offset]
    return _placed(sums, windows)


def correlated(x: Array, windows: Windows, kernel: Array, groups: int) -> Array:
    """Correlate kernels with all windows: the means first, then what is around them."""
    count = kernel[0].size
    centred = _by_group(kernel - kernel.mean(tuple(range(1, kernel.ndim)), keepdims=True), groups)
    lengths = np.linalg.norm(centred.reshape(count // kernel.shape[-1], groups, kernel.shape[-1], -1), axis=(0, 2))
    mean = sum(_split(cut, groups).sum(-1) for _, cut in windows.cuts(x)) / count
    squares, products = np.zeros_like(mean), np.zeros((*mean.shape, centred.shape[-1]))
    largest, farthest = np.zeros_like(mean), np.zeros_like(mean)
    for offset, cut in windows.cuts(x):
        given = _split(cut, groups)
        around = given - mean[..., None]
        squares += (around**2).sum(-1)
        products += around @ centred[offset]
        largest = np.maximum(largest, np.abs(given).max(-1))
        farthest = np.maximum(farthest, np.abs(around).max(-1))
    scale = np.sqrt(squares)[..., None] * lengths[:, None, :]
    lively = (farthest > FLAT * largest)[..., None] & (scale > 0)
    return _placed(np.divide(products, scale, out=np.zeros_like(products), where=lively), windows)
