"""How the places of a layer's output look at the places of its input."""

from dataclasses import dataclass
from typing import Literal

GeometryKind = Literal["window", "transposed", "pointwise", "global", "upsample", "unknown"]


@dataclass(frozen=True)
class Geometry:
    """How the places of a layer's output look at the places of its input, one entry per spatial axis.

    `kind`: "window" (convolution, pooling), "transposed", "upsample" (stride is the factor), "pointwise" (a place
    sees the same place), "global" (every place sees all), "unknown" (an upper bound: all). `padding` is
    (before, after) in input places.
    """

    kind: GeometryKind
    size: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    dilation: tuple[int, ...] = ()

    def output_size(self, places: tuple[int, ...]) -> tuple[int, ...]:
        """Count the output places of a window layer: floor((n + p - d(k-1) - 1)/s) + 1 on each axis."""
        if self.kind != "window":
            raise ValueError(f"output_size is defined for windows, not for {self.kind!r}")
        return tuple(
            (n + sum(p) - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(places, self.size, self.stride, self.padding, self.dilation, strict=True)
        )

    def sees(self, box: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        """Give the input places, first and last along each axis, that a box of output places looks at.

        They may lie outside the input, where its padding is. "global" and "unknown" have no box: ValueError.
        """
        if self.kind == "pointwise":
            return box
        if self.kind not in ("window", "transposed", "upsample"):
            raise ValueError(f"sees is defined for windows, not for {self.kind!r}")
        axes = zip(box, self.size, self.stride, self.padding, self.dilation, strict=True)
        return tuple(_SEEN[self.kind](lo, hi, k, s, p[0], d) for (lo, hi), k, s, p, d in axes)


def _window(lo: int, hi: int, k: int, s: int, p: int, d: int) -> tuple[int, int]:
    return lo * s - p, hi * s - p + d * (k - 1)


def _transposed(lo: int, hi: int, k: int, s: int, p: int, d: int) -> tuple[int, int]:
    """Input i reaches the outputs i·s - p + d·j for j = 0..k-1."""
    return -(-(lo + p - d * (k - 1)) // s), (hi + p) // s


def _upsample(lo: int, hi: int, k: int, s: int, p: int, d: int) -> tuple[int, int]:
    """Output o has its centre at (o + 1/2)/s - 1/2 and takes the k nearest inputs."""
    if k == 1:
        return lo // s, hi // s
    return (2 * lo + 1 - s) // (2 * s) - k // 2 + 1, (2 * hi + 1 - s) // (2 * s) + k // 2


_SEEN = {"window": _window, "transposed": _transposed, "upsample": _upsample}
