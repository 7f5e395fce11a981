"""Rows of a table: applicants for credit."""

import csv
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


def german_table() -> Table:
    """Give the columns of `german_credit`: nine, which fill 29 of a network's inputs.

    The means and standard deviations are those of the training part, written here so that a model loads without it.
    """
    wealth = ("not_known", "little", "moderate", "quite rich", "rich")
    return Table(
        {
            "sex": Category(("female", "male")),
            "job": Category((0, 1, 2, 3)),
            "housing": Category(("free", "own", "rent")),
            "saving_accounts": Category(wealth),
            "checking_account": Category(("not_known", "little", "moderate", "rich")),
            "credit_amount": Number(mean=3359.31875, std=2894.397115056681),
            "duration": Number(mean=20.74875, std=12.082244139128292),
            "purpose": Category(
                (
                    "business",
                    "car",
                    "domestic appliances",
                    "education",
                    "furniture/equipment",
                    "radio/TV",
                    "repairs",
                    "vacation/others",
                )
            ),
            "age": Number(mean=35.9175, std=11.334822175490888),
        }
    )


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
