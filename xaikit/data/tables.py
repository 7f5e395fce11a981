"""Rows of a table: applicants for credit."""

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.data._folder import find
from xaikit.data._part import Part, Split
from xaikit.data.files import cell
from xaikit.errors import DataError, InputError
from xaikit.inputs import Category, Number, Table

FIFTH = 5


WEALTH = ("not_known", "little", "moderate", "quite rich", "rich")
PURPOSES = (
    *("business", "car", "domestic appliances", "education"),
    *("furniture/equipment", "radio/TV", "repairs", "vacation/others"),
)
COUNTS: Mapping[str, Mapping[Any, int]] = {
    "sex": {"female": 245, "male": 555},
    "job": dict(enumerate((17, 161, 507, 115))),
    "housing": {"free": 91, "own": 567, "rent": 142},
    "saving_accounts": dict(zip(WEALTH, (155, 468, 87, 51, 39), strict=True)),
    "checking_account": {"not_known": 321, "little": 216, "moderate": 215, "rich": 48},
    "purpose": dict(zip(PURPOSES, (83, 280, 7, 49, 137, 216, 18, 10), strict=True)),
}
"""How many of the 800 applicants of the training part are in each category."""
DECILES: Mapping[str, tuple[float, ...]] = {
    "credit_amount": (250, 946.2, 1281.2, 1490.3, 1925.8, 2325.5, 2897.2, 3635.3, 5119.4, 7436, 18424),
    "duration": (4, 8.9, 12, 12, 15, 18, 24, 24, 30, 36, 72),
    "age": (19, 24, 26, 28, 31, 34, 36, 40, 45, 52, 75),
}
"""The smallest number of the training part, its nine deciles, and the largest."""
TYPICAL = 40


@cache
def german_table() -> Table:
    """Give the columns of `german_credit`: nine, which fill 29 of a network's inputs.

    All that is written here of the training part are counts, deciles, means and standard deviations, so that a model
    loads without it. The background is drawn by code: 40 rows whose columns are distributed as in the training part,
    but independent of each other, so that none of them is an applicant.
    """
    numbers = {
        "credit_amount": Number(mean=3359.31875, std=2894.397115056681),
        "duration": Number(mean=20.74875, std=12.082244139128292),
        "age": Number(mean=35.9175, std=11.334822175490888),
    }
    known: dict[str, Number | Category] = {name: Category(tuple(counts)) for name, counts in COUNTS.items()}
    known.update(numbers)
    order = (
        "sex",
        "job",
        "housing",
        "saving_accounts",
        "checking_account",
        "credit_amount",
        "duration",
        "purpose",
        "age",
    )
    return Table({name: known[name] for name in order}, background=_typical(order))


def _typical(order: Sequence[str]) -> list[dict[str, Any]]:
    """Rows at evenly spread quantiles of every column, in an order of its own for each."""
    rng, quantile = np.random.default_rng(0), (np.arange(TYPICAL) + 0.5) / TYPICAL
    columns: dict[str, list[Any]] = {}
    for name in order:
        if name in DECILES:
            drawn = [round(float(v)) for v in np.interp(quantile, np.linspace(0, 1, 11), DECILES[name])]
        else:
            edges = np.cumsum(list(COUNTS[name].values())) / sum(COUNTS[name].values())
            drawn = [list(COUNTS[name])[i] for i in np.searchsorted(edges, quantile)]
        columns[name] = [drawn[i] for i in rng.permutation(TYPICAL)]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@cache
def german_credit(split: Split = "train") -> Part:
    """Give applicants for credit, x (sample, 9) in an object array and y (sample,): 0 for a bad risk, 1 for a good one.

    The columns are those of `german_table`, in its order and in their own units: marks, months, years, words. From
    tabular/german.csv in the folder XAIKIT_DATA names; every fifth of each class is for testing.
    Hofmann (1994), Statlog (German Credit Data), UCI.
    """
    path = find(
        "tabular/german.csv",
        f"its columns are risk (1 for good), {', '.join(german_table().names)}; "
        "https://archive.ics.uci.edu/dataset/144/statlog+german+credit+data",
    )
    table = german_table()
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        y = np.array([int(row["risk"]) for row in rows])
        x = np.array([[_cell(row[name], column) for name, column in table.columns.items()] for row in rows], object)
        table.encode(x)
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError, InputError) as error:
        raise DataError(f"{path} is not a readable german.csv: {error}") from None
    chosen = stratified(y, split)
    return Part(x[chosen], y[chosen])


def _cell(text: str, column: Number | Category) -> Any:
    return float(text) if isinstance(column, Number) else cell(text, column)


def stratified(y: Array, split: Split) -> Array:
    """Give the indices of a part: every fifth sample of each class is for testing, the rest for training."""
    test = np.zeros(len(y), bool)
    for label in np.unique(y):
        test[np.flatnonzero(y == label)[FIFTH - 1 :: FIFTH]] = True
    return np.flatnonzero(test if split == "test" else ~test)
