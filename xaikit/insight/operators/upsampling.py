"""More places than before: upsampling of each kind."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution import parameter, require
from xaikit.errors import ParameterError
from xaikit.graph import Geometry
from xaikit.insight.operators._operation import Operation, Windows, each, extended, operations, weighted
from xaikit.results import Steps


@operations("upsample-nearest")
@dataclass(frozen=True, kw_only=True)
class UpsampleNearest(Operation):
    """Every value repeated `factor` times along each axis."""

    factor: Any = parameter(2, "how many times as many places, or one number for each axis")

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Copy the place that each output place lies in."""
        factors = each(self.factor, x.ndim - 1, "factor")
        shapes = [(Geometry("upsample", (1,), (f,)), n, f) for n, f in zip(x.shape[:-1], factors, strict=True)]
        return copied(x, tuple(g.taps(0, n, n * f) for g, n, f in shapes))


@operations("bed-of-nails")
@dataclass(frozen=True, kw_only=True)
class BedOfNails(Operation):
    """Every value in the first corner of a cell of `factor` places a side, and zeros around it."""

    factor: Any = parameter(2, "how many times as many places, or one number for each axis")

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Copy the value of each cell into its corner."""
        factors = each(self.factor, x.ndim - 1, "factor")
        y = [np.arange(n * f) for n, f in zip(x.shape[:-1], factors, strict=True)]
        return copied(x, tuple(np.where(a % f == 0, a // f, -1)[:, None] for a, f in zip(y, factors, strict=True)))


@dataclass(frozen=True, kw_only=True)
class _Interpolation(Operation):
    factor: Any = parameter(2, "how many times as many places, or one number for each axis")
    align_corners: bool = parameter(False, "let the outermost places coincide, instead of the borders of the cells")

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Weigh the neighbours of every output place."""
        factors = each(self.factor, x.ndim - 1, "factor")
        found = [self._axis(n, n * f) for n, f in zip(x.shape[:-1], factors, strict=True)]
        windows, shares = Windows.of(tuple(t for t, _ in found)), tuple(s for _, s in found)
        output = weighted(x, windows, shares)
        return {"output": output, "rule": "sum", "taps": windows.taps, "spans": windows.spans, "shares": shares}

    def _source(self, n: int, m: int) -> Array:
        y = np.arange(m)
        return y * ((n - 1) / max(m - 1, 1)) if self.align_corners else (y + 0.5) * (n / m) - 0.5

    def _axis(self, n: int, m: int) -> tuple[Array, Array]:
        raise NotImplementedError


@operations("upsample-bilinear")
@dataclass(frozen=True, kw_only=True)
class UpsampleBilinear(_Interpolation):
    """Values between the places interpolated along straight lines, on each axis."""

    def _axis(self, n: int, m: int) -> tuple[Array, Array]:
        source = self._source(n, m).clip(0, n - 1)
        below = np.floor(source).astype(int)
        share = source - below
        return np.stack([below, np.minimum(below + 1, n - 1)], 1), np.stack([1 - share, share], 1)


@operations("upsample-bicubic")
@dataclass(frozen=True, kw_only=True)
class UpsampleBicubic(_Interpolation):
    """Values between the places interpolated by cubics through four neighbours, on each axis.

    Beyond the border stands the outermost value.

    Source: Keys (1981), "Cubic convolution interpolation for digital image
    processing", equation 15 for a = -1/2; PyTorch takes a = -3/4.
    """

    a: float = parameter(-0.75, "the slope of the kernel at distance 1")

    def _axis(self, n: int, m: int) -> tuple[Array, Array]:
        source = self._source(n, m)
        below = np.floor(source).astype(int)
        taps = below[:, None] + np.arange(-1, 3)
        return taps.clip(0, n - 1), self._cubic(np.abs(source[:, None] - taps))

    def _cubic(self, d: Array) -> Array:
        a = self.a
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


@operations("max-unpool")
@dataclass(frozen=True, kw_only=True)
class MaxUnpool(Operation):
    """Every value back at the place where the maximum of its window stood, and zeros elsewhere.

    Source: Zeiler and Fergus (2014), "Visualizing and understanding convolutional networks", section 2.1.
    """

    pooled: Any = parameter(None, "the Steps of the max-pool that is undone")

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Copy every value to its switch."""
        if not isinstance(self.pooled, Steps) or "switches" not in (self.pooled.parts or {}):
            raise ParameterError(
                "max-unpool undoes a max-pool: give pooled=xk.explore(x, 'max-pool'), which holds the switches"
            )
        switches, shape = (self.pooled.parts or {})["switches"], self.pooled.x.shape
        require(x.shape == switches.shape, f"the array has the shape {x.shape}, and the max-pool gave {switches.shape}")
        source = np.full((int(np.prod(shape[:-1])), shape[-1]), -1)
        for channel in range(shape[-1]):
            own = np.ravel_multi_index((*np.indices(x.shape[:-1]), np.full(x.shape[:-1], channel)), x.shape)
            source[switches[..., channel].ravel(), channel] = own.ravel()
        return moved(x, source.reshape(shape))


@operations("pixel-shuffle")
@dataclass(frozen=True, kw_only=True)
class PixelShuffle(Operation):
    """Channels laid out as places: each r² of them become a cell of r × r.

    Source: Shi et al. (2016), "Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network", arXiv:1609.05158, equation 4.
    """

    factor: int = parameter(2, "r: how many times as many places along each axis")

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Copy every value to its place in the cell."""
        rank, (r,) = x.ndim - 1, each(self.factor, 1, "factor")
        cell = r**rank
        require(x.shape[-1] % cell == 0, f"{x.shape[-1]} channels cannot be laid out in cells of {cell} places")
        source = np.arange(x.size).reshape(*x.shape[:-1], -1, *(r,) * rank)
        order = [a for k in range(rank) for a in (k, rank + 1 + k)]
        laid = source.transpose(*order, rank)
        return moved(x, laid.reshape(*(n * r for n in x.shape[:-1]), -1))


def copied(x: Array, taps: tuple[Array, ...]) -> dict[str, Any]:
    """Copy one place or none to every place of the output."""
    windows = Windows.of(taps)
    output = extended(x, 0.0)[np.ix_(*(t[:, 0] for t in taps))]
    return {"output": output, "rule": "copy", "taps": taps, "spans": windows.spans}


def moved(x: Array, source: Array) -> dict[str, Any]:
    """Copy to every place of the output what stands at a flat place of the input, or zero at -1."""
    output = np.where(source >= 0, x.ravel()[source.clip(0)], 0.0)
    return {"output": output, "rule": "copy", "parts": {"source": source}}
