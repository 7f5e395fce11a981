"""Quartile bins of a table's columns, and rows drawn from them: what lime's tabular explainer asks a model about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import ParameterError
from xaikit.inputs import Number, Table


@dataclass(frozen=True, eq=False)
class Bins:
    """The bins of each column of a table, all as wide as the widest column has bins (column, bin).

    `share` is how much of the background lies in each. Numbers have quartiles for bins, with `borders` (three per
    column, infinite where there are fewer) and, inside a bin, a normal distribution of `mean` and `std` between `low`
    and `high`; a category is a bin of its own.
    """

    spec: Table
    share: Array
    borders: Array
    low: Array
    high: Array
    mean: Array
    std: Array

    def places(self, rows: Sequence[Mapping[str, Any]]) -> Array:
        """Give the bin of every entry of some rows: (row, column)."""
        found = np.empty((len(rows), len(self.spec.columns)), np.intp)
        numbers = _numbers(self.spec)
        found[:, numbers] = _above(_data(self.spec, rows), self.borders[numbers])
        for k, (name, column) in enumerate(self.spec.columns.items()):
            if not isinstance(column, Number):
                found[:, k] = [column.values.index(row[name]) for row in rows]
        return found

    def draw(self, row: Mapping[str, Any], samples: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw rows near nothing in particular: whether each entry lies in the bin of `row`'s, and the encoded rows.

        Gives (sample, column) bool and (sample, feature); the first is `row` itself.
        """
        u = rng.random((2, samples, len(self.share)))
        bins = _reached(u[0], np.cumsum(self.share, axis=1)[:, :-1])
        shown = bins == self.places([row])
        shown[0] = True
        encoded = self._encoded(bins, u[1])
        encoded[0] = self.spec.to_network(row)
        return shown, encoded

    def _encoded(self, bins: Array, u: Array) -> Array:
        columns = list(self.spec.columns.values())
        starts = np.cumsum([0] + [column.width for column in columns])
        found = np.empty((len(bins), starts[-1]), np.float32)
        numbers = _numbers(self.spec)
        own = [column for column in columns if isinstance(column, Number)]
        values = self._inside(bins, u, numbers) - [column.mean for column in own]
        found[:, starts[numbers]] = values / [column.std for column in own]
        for k, column in enumerate(columns):
            if not isinstance(column, Number):
                place = bins[:, k, None]
                found[:, starts[k] : starts[k + 1]] = (
                    place if column.encoding == "index" else place == range(column.width)
                )
        return found

    def _inside(self, bins: Array, u: Array, numbers: Array) -> Array:
        """Give the numbers of some columns: of the normal distribution of their bin, between its ends."""
        from scipy.special import ndtr, ndtri

        if len(numbers) < bins.shape[1]:
            bins, u = bins[:, numbers], u[:, numbers]
        place = bins + self.share.shape[1] * numbers
        start = ndtr((self.low - self.mean) / self.std)
        wide = ndtr((self.high - self.mean) / self.std) - start
        low, high, mean, std, start, wide = (
            a.ravel().take(place) for a in (self.low, self.high, self.mean, self.std, start, wide)
        )
        return np.asarray(np.clip(mean + std * ndtri(start + u * wide), low, high))


def quartile_bins(spec: Table, rows: Any = None) -> Bins:
    """Give the bins of a table from background rows (None: those of the spec), those of lime's discretizer.

    Raises ParameterError where there are no rows.
    """
    background = spec.background if rows is None else spec.show(rows)
    if not background:
        raise ParameterError(
            "bins need typical rows: give baseline=rows (a DataFrame or a list of rows), "
            "or wrap the model with xk.Table(columns, background=rows)"
        )
    most = max(4, *(column.width for column in spec.columns.values()))
    most = max([most, *(len(c.values) for c in spec.columns.values() if not isinstance(c, Number))])
    count = len(spec.columns)
    low, high, mean, std = (np.full((count, most), start) for start in (0.0, 0.0, 0.0, 1.0))
    borders = np.full((count, 3), np.inf)
    numbers = _numbers(spec)
    if len(numbers):
        data = _data(spec, background)
        borders[numbers] = edges = _distinct(np.percentile(data, (25, 50, 75), axis=0).T)
        ends = data.min(0)[:, None], data.max(0)[:, None]
        low[numbers, :4] = np.concatenate([ends[0], np.where(np.isfinite(edges), edges, 0)], axis=1)
        high[numbers, :4] = np.minimum(np.concatenate([edges, ends[1]], axis=1), ends[1])
        mean[numbers, :4], std[numbers, :4] = _moments(data, _above(data, edges))
    bins = Bins(spec, np.zeros((count, most)), borders, low, high, mean, std)
    places = bins.places(background)
    share = np.stack([np.bincount(p, minlength=most) for p in places.T]) / len(places)
    return Bins(spec, share, borders, low, high, mean, std)


def _numbers(spec: Table) -> Array:
    return np.array([k for k, column in enumerate(spec.columns.values()) if isinstance(column, Number)], np.intp)


def _data(spec: Table, rows: Sequence[Mapping[str, Any]]) -> Array:
    """Give the numbers of some rows: (row, number)."""
    names = [name for name, column in spec.columns.items() if isinstance(column, Number)]
    return np.array([[float(row[name]) for name in names] for row in rows]).reshape(len(rows), len(names))


def _above(values: Array, borders: Array) -> Array:
    """Count the borders (column, border) that each value (row, column) lies above."""
    return np.asarray((values[..., None] > borders).sum(-1))


def _reached(u: Array, shares: Array) -> Array:
    """Count the cumulated shares (column, bin) that each of some numbers (row, column) has reached."""
    found = np.zeros(u.shape, np.intp)
    for share in shares.T:
        found += u >= share
    return found


def _distinct(edges: Array) -> Array:
    """Leave each of a row's ascending edges once, the rest infinite."""
    again = np.diff(edges, axis=1, prepend=-np.inf) == 0
    return np.sort(np.where(again, np.inf, edges), axis=1)


def _moments(data: Array, places: Array) -> tuple[Array, Array]:
    """Give mean and standard deviation of the values (row, column) in each of four bins: (column, bin), 0 where none.

    A deviation is never quite 0, so that it can be divided by.
    """
    inside = places[..., None] == np.arange(4)
    count = np.maximum(inside.sum(0), 1)
    mean = (inside * data[..., None]).sum(0) / count
    spread = (inside * (data[..., None] - mean) ** 2).sum(0) / count
    return mean, np.sqrt(spread) + 1e-11
