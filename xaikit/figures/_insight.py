"""What figures of the inside of networks have in common: maps of places, keys, words."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.figures._data import Legend
from xaikit.figures._words import number, spoken
from xaikit.results import Origin

TILES, ACROSS, ROWS = 64, 8, 8
"""How many small pictures a panel has at most, in how many columns, and how many panels of activations a figure has."""
BARS = 20


def plane(values: Array) -> Array:
    """Give values with places as a map: one axis as a row, of three the planes of the first side by side."""
    if values.ndim <= 2:
        return np.atleast_2d(values)
    return plane(np.concatenate(list(values), axis=-1))


def signed_legend(limit: float | None) -> Legend:
    """Give the key to signed colours, with the number at their ends where there is one."""
    said = ("−range", "0", "range") if limit is None else (number(-limit), "0", number(limit))
    return Legend("diverging", tuple(zip((0.0, 0.5, 1.0), said, strict=True)), "negative", "positive", opacity=1.0)


# ---------------------------------------------------------------- words


def network(origin: Origin) -> str:
    return f"{origin.model} · {spoken(origin.framework)}"


def listed(items: Sequence[Any] | Array, most: int = 12) -> str:
    found = [str(x) for x in items]
    left = len(found) - most
    return ", ".join(found[:most]) + (f" and {left} more" if left > 0 else "")
