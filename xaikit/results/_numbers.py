"""Numbers of many values, gathered piece by piece and exact: moments of every channel, and histograms."""

from dataclasses import dataclass

import numpy as np

from xaikit.arrays import Array

BINS = 64
"""The most bins between the least and the largest value; there are over half as many."""
FINEST = 2.0**-50
"""The narrowest bin, as a share of the largest size: what float64 still tells apart."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Count, mean and central sums of the finite values of every channel, each (channel,), for values in pieces.

    `second` and `third` are Σ(v - mean)² and Σ(v - mean)³; `zeros`, `positive` and `flat` count the values that are
    zero, above zero, and on the flat ends of the layer's function; `lost` those that are not finite; `least` and
    `largest` are the extremes. Pieces are joined without loss. Source: Pébay, "Formulas for Robust, One-Pass Parallel
    Computation of Covariances and Arbitrary-Order Statistical Moments" (2008), equations 2.1 and 3.1.
    """

    count: Array
    mean: Array
    second: Array
    third: Array
    least: Array
    largest: Array
    zeros: Array
    positive: Array
    flat: Array
    lost: Array

    @classmethod
    def of(cls, rows: Array, flat: tuple[float, float] = (-np.inf, np.inf)) -> "Moments":
        """Measure values (place, channel); those from the first number of `flat` down and the second up are flat."""
        finite = np.isfinite(rows)
        whole = bool(finite.all())
        values = (rows if whole else np.where(finite, rows, 0)).astype(np.float64)
        count = finite.sum(0)
        mean = values.sum(0) / np.maximum(count, 1)
        values -= mean
        off = values if whole else np.where(finite, values, 0)
        squares = off * off
        return cls(
            count,
            mean,
            squares.sum(0),
            np.einsum("ij,ij->j", squares, off),
            np.where(finite, rows, np.inf).min(0, initial=np.inf),
            np.where(finite, rows, -np.inf).max(0, initial=-np.inf),
            (rows == 0).sum(0),
            (finite & (rows > 0)).sum(0),
            (finite & ((rows <= flat[0]) | (rows >= flat[1]))).sum(0),
            len(rows) - count,
        )

    def __add__(self, other: "Moments") -> "Moments":
        """Join two pieces."""
        count = self.count + other.count
        a, b = self.count / np.maximum(count, 1), other.count / np.maximum(count, 1)
        apart = other.mean - self.mean
        return Moments(
            count,
            self.mean + b * apart,
            self.second + other.second + count * a * b * apart**2,
            self.third
            + other.third
            + count * a * b * (a - b) * apart**3
            + 3 * apart * (a * other.second - b * self.second),
            np.minimum(self.least, other.least),
            np.maximum(self.largest, other.largest),
            self.zeros + other.zeros,
            self.positive + other.positive,
            self.flat + other.flat,
            self.lost + other.lost,
        )

    def statistics(self) -> dict[str, Array]:
        """Give the numbers of every channel by name, as `Activations.statistics` lists them; NaN without values."""
        none, count = self.count == 0, np.maximum(self.count, 1)
        std = np.sqrt(self.second / count)
        # values that differ by rounding alone have no shape
        spread = std > 1e-7 * np.maximum(np.abs(self.mean), np.maximum(-self.least, self.largest))
        skew = np.divide(self.third / count, std**3, out=np.zeros_like(std), where=spread & ~none)
        found = {
            "mean": self.mean,
            "std": std,
            "min": self.least,
            "max": self.largest,
            "skew": skew,
            "sparsity": self.zeros / count,
            "positive": self.positive / count,
            "saturated": self.flat / count,
        }
        told = {n: np.where(none, np.nan, a) for n, a in found.items()}
        return told | {"lost": self.lost / np.maximum(self.lost + self.count, 1), "dead": ~none & (self.largest <= 0)}


@dataclass(frozen=True, eq=False)
class Histogram:
    """How many finite values lie in bins of equal width: `counts` (bin,), bin i from (first + i) · width on.

    The width is a power of two that only the least and the largest value decide, so that pieces are joined without
    loss, whatever they are; 33 to 65 bins hold the values. `least` and `largest` are exact, NaN where there is none.
    """

    counts: Array
    first: int
    width: float
    least: float
    largest: float

    @classmethod
    def of(cls, values: Array) -> "Histogram":
        """Count values of any shape."""
        there = np.asarray(values, np.float64).ravel()
        finite = np.isfinite(there)
        there = there if finite.all() else there[finite]
        if not there.size:
            return cls(np.zeros(0, np.int64), 0, 1.0, np.nan, np.nan)
        least, largest = float(there.min()), float(there.max())
        width = _width(least, largest)
        bins = np.floor(there / width).astype(np.int64)
        first = int(bins.min())
        return cls(np.bincount(bins - first), first, width, least, largest)

    def __add__(self, other: "Histogram") -> "Histogram":
        """Join two pieces."""
        if not len(self.counts) or not len(other.counts):
            return self if len(self.counts) else other
        least, largest = min(self.least, other.least), max(self.largest, other.largest)
        width = _width(least, largest)
        a, b = self._coarser(width), other._coarser(width)
        first = min(int(a[0]), int(b[0]))
        counts = np.bincount(np.concatenate([a, b]) - first, np.concatenate([self.counts, other.counts]))
        return Histogram(np.rint(counts).astype(np.int64), first, width, least, largest)

    def _coarser(self, width: float) -> Array:
        """Give for every bin the number of the bin of another width that it lies in."""
        bins = self.first + np.arange(len(self.counts))
        return np.floor(bins * (self.width / width)).astype(np.int64)

    @property
    def edges(self) -> Array:
        """Where bins begin, and where the last one ends: (bin + 1,)."""
        return (self.first + np.arange(len(self.counts) + 1)) * self.width

    @property
    def shares(self) -> Array:
        """The share of the values in every bin: (bin,)."""
        return np.asarray(self.counts / max(int(self.counts.sum()), 1))

    def __len__(self) -> int:
        """Count the values."""
        return int(self.counts.sum())


def _width(least: float, largest: float) -> float:
    """Give the power of two that cuts a range into at most BINS bins, and one more."""
    size = max(abs(least), abs(largest))
    span = max((largest - least) / BINS, size * FINEST)
    return float(2.0 ** np.ceil(np.log2(span))) if span > 0 else 2.0**-1000
