"""Rows near to a row, and whether a row lies where the data are."""

from dataclasses import dataclass

import numpy as np

from xaikit.arrays import Array, chunks
from xaikit.tabular._variables import Frame

NEAREST = 5
"""Over so many nearest rows the distance to the data is averaged."""
SAMPLE = 500
"""Rows of the data whose own distances say what is usual."""
QUANTILE = 0.99
BLOCK = 2**22


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The rows of a data set as points: numbers in standard deviations, categories at distance one from each other.

    `points` (row, axis); `usual` (row,) is the mean distance of rows, drawn from the data, to the nearest others.
    """

    frame: Frame
    scale: Array
    points: Array
    usual: Array

    def at(self, flat: Array) -> Array:
        """Give rows (row, place) as points."""
        return _axes(self.frame, flat, self.scale)

    def nearest(self, flat: Array, count: int = NEAREST) -> tuple[Array, Array]:
        """Give the nearest rows of the data and their distances, for each row: (row, count) both."""
        return _nearest(self.at(flat), self.points, min(count, len(self.points)))

    def distance(self, flat: Array) -> Array:
        """Mean distance of each row to its nearest rows in the data: (row,)."""
        return np.asarray(self.nearest(flat)[1].mean(1))

    @property
    def limit(self) -> float:
        """The distance beyond which a row is off the data."""
        return float(np.quantile(self.usual, QUANTILE)) if len(self.usual) else float("inf")


def neighbours(frame: Frame, flat: Array, seed: int = 0) -> Neighbours:
    """Measure a data set (row, place); what is usual is found on some of its rows, each without itself."""
    scale = _scale(frame, flat)
    points = _axes(frame, flat, scale)
    chosen = np.random.default_rng(seed).permutation(len(flat))[:SAMPLE]
    usual = np.empty(0)
    if len(points) > NEAREST:
        found = _nearest(points[chosen], points, NEAREST + 1)[1]
        usual = found[:, 1:].mean(1)  # the first is the row itself
    return Neighbours(frame, scale, points, usual)


def _scale(frame: Frame, flat: Array) -> Array:
    """Standard deviation of every place that is not of a category; one for what does not vary."""
    spread = np.abs(flat - flat.mean(0)).astype(np.float64)
    std = np.sqrt((spread**2).mean(0))
    return np.where(std > 0, std, 1.0)


def _axes(frame: Frame, flat: Array, scale: Array) -> Array:
    """Numbers in standard deviations; categories one-hot by 1/√2, so that two lie at distance one."""
    found = []
    for v in frame.variables:
        if v.kind == "category":
            found.append(np.eye(len(v.words))[v.numbers(flat).astype(int)] / np.sqrt(2))
        else:
            part = flat[:, v.places] / scale[v.places] / np.sqrt(len(v.places))
            found.append(part if not np.iscomplexobj(part) else np.concatenate([part.real, part.imag], 1))
    return np.concatenate(found, 1).astype(np.float64)


def _nearest(points: Array, data: Array, count: int) -> tuple[Array, Array]:
    norms = (data**2).sum(1)
    rows, distances = [], []
    for s in chunks(len(points), max(1, BLOCK // max(len(data), 1))):
        some = points[s]
        squared = np.maximum((some**2).sum(1)[:, None] + norms[None] - 2 * some @ data.T, 0)
        best = np.argpartition(squared, min(count, len(data)) - 1, axis=1)[:, :count]
        best = np.sort(best, 1)
        order = np.argsort(np.take_along_axis(squared, best, 1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, 1)
        exact = np.sqrt(((data[best] - some[:, None]) ** 2).sum(-1))  # the product loses digits where rows are equal
        rows.append(best)
        distances.append(exact)
    return np.concatenate(rows), np.concatenate(distances)
