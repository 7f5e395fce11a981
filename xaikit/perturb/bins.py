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
        for k, (name, column) in enumerate(self.spec.columns.items()):
            if isinstance(column, Number):
                found[:, k] = np.searchsorted(self.borders[k], [float(row[name]) for row in rows])
            else:
                found[:, k] = [column.values.index(row[name]) for row in rows]
        return found

    def draw(self, row: Mapping[str, Any], samples: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw rows near nothing in particular: whether each entry lies in the bin of `row`'s, and the encoded rows.

        Gives (sample, column) bool and (sample, feature); the first is `row` itself.
        """
        u = rng.random((2, samples, len(self.share)))
        reached = np.cumsum(self.share, axis=1)[:, :-1]
        bins = (u[0][..., None] >= reached).sum(-1)
        shown = bins == self.places([row])
        shown[0] = True
        encoded = self._encoded(bins, u[1])
        encoded[0] = self.spec.to_network(row)
        return shown, encoded

    def _encoded(self, bins: Array, u: Array) -> Array:
        from scipy.special import ndtr, ndtri

        columns = np.arange(len(self.share))
        low, high, mean, std = (a[columns, bins] for a in (self.low, self.high, self.mean, self.std))
        ends = ndtr((self.low - self.mean) / self.std), ndtr((self.high - self.mean) / self.std)
        start, end = (a[columns, bins] for a in ends)
        values = np.clip(mean + std * ndtri(start + u * (end - start)), low, high)
        parts = []
        for k, column in enumerate(self.spec.columns.values()):
            if isinstance(column, Number):
                parts.append(((values[:, k] - column.mean) / column.std)[:, None])
            elif column.encoding == "index":
                parts.append(bins[:, k, None])
            else:
                parts.append(np.eye(column.width)[bins[:, k]])
        return np.concatenate(parts, axis=1).astype(np.float32)


def quartile_bins(spec: Table, rows: Any = None) -> Bins:
    """Give the bins of a table from background rows (None: those of the spec), by lime's own discretizer.

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
    numbers = [(k, n) for k, (n, c) in enumerate(spec.columns.items()) if isinstance(c, Number)]
    if numbers:
        from lime.discretize import QuartileDiscretizer

        data = np.array([[float(row[n]) for _, n in numbers] for row in background])
        found = QuartileDiscretizer(data, [], [n for _, n in numbers])
        for j, (k, _) in enumerate(numbers):
            edges = found.mins[j][1:]
            borders[k, : len(edges)] = edges
            for into, given in ((low, found.mins), (high, found.maxs), (mean, found.means), (std, found.stds)):
                into[k, : len(given[j])] = given[j]
    bins = Bins(spec, np.zeros((count, most)), borders, low, high, mean, std)
    places = bins.places(background)
    share = np.stack([np.bincount(p, minlength=most) for p in places.T]) / len(places)
    return Bins(spec, share, borders, low, high, mean, std)
