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

TEST_SHARE = 0.2


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
            "credit_amount": Number(mean=3182.7825, std=2716.8795336182557),
            "duration": Number(mean=20.43625, std=11.674156754879558),
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
            "age": Number(mean=35.6975, std=11.371059482299792),
        }
    )


@cache
def german_credit(split: Split = "train") -> Part:
    """Give applicants for credit, x (sample, 9) in an object array and y (sample,): 0 for a bad risk, 1 for a good one.

    The columns are those of `german_table`, in its order and in their own units: marks, months, years, words. From
    tabular/german.csv in the folder XAIKIT_DATA names; a fifth of each class, drawn with seed 0, is for testing.
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


def stratified(y: Array, split: Split, seed: int = 0) -> Array:
    """Give the indices of a part: of each class a fifth, drawn with the seed, is for testing, the rest for training."""
    rng, chosen = np.random.default_rng(seed), []
    for label in np.unique(y):
        drawn = rng.permutation(np.flatnonzero(y == label))
        first = round(TEST_SHARE * len(drawn))
        chosen.append(drawn[:first] if split == "test" else drawn[first:])
    return np.sort(np.concatenate(chosen))
