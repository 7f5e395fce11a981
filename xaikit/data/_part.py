"""What a data set is: its name, where it comes from, and its two parts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from xaikit.arrays import Array

Split = Literal["train", "test"]


class Part(NamedTuple):
    """Samples x and what a network is to say of them, y.

    x: as a person has them, (sample, ...): bytes for pictures, channels last; strings in an object array for text;
    rows in their own units, (sample, column), for tables; raw values (sample, time, channel) for series.
    y: class indices (sample,), (sample, step) for sequences or (sample, height, width) for masks; float targets; or a
    mapping of such arrays by the name of the output, for networks with several.
    """

    x: Array
    y: Any


@dataclass(frozen=True)
class DataSet:
    """A data set: its classes, where it comes from, under which terms, and how each part is read.

    classes: names in the order of their indices; empty where y holds no classes. naive: for a series, what is forecast
    from x without a network.
    """

    name: str
    classes: tuple[str, ...]
    origin: str
    licence: str
    split: str
    read: Callable[[Split], Part]
    naive: Callable[[Array], Array] | None = None
