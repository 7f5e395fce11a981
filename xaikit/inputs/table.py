"""Rows of a table: named columns of numbers and categories."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import InputError, ParameterError, nearest
from xaikit.inputs._spec import InputSpec


@dataclass(frozen=True)
class Number:
    """A numeric column, given to the network as (v - mean)/std."""

    mean: float = 0.0
    std: float = 1.0

    @property
    def width(self) -> int:
        """How many of the network's inputs the column fills."""
        return 1

    def to_network(self, value: Any, column: str) -> list[float]:
        """Encode one value of the column: one number, or one for each category. Raises InputError."""
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise InputError(f"column {column!r} takes numbers, not {value!r}") from None
        if not np.isfinite(number):
            raise InputError(f"column {column!r} is {number}: clean or impute it first")
        return [(number - self.mean) / self.std]

    def decode(self, encoded: Array) -> Any:
        """Undo `to_network`."""
        return float(encoded[0]) * self.std + self.mean


@dataclass(frozen=True)
class Category:
    """A column of one of `values`, given to the network one-hot or as its index."""

    values: tuple[Any, ...]
    encoding: Literal["one-hot", "index"] = "one-hot"

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if self.encoding not in ("one-hot", "index"):
            raise ParameterError(f"Category encoding must be 'one-hot' or 'index', not {self.encoding!r}")

    @property
    def width(self) -> int:
        """How many of the network's inputs the column fills."""
        return len(self.values) if self.encoding == "one-hot" else 1

    def to_network(self, value: Any, column: str) -> list[float]:
        """Encode one value of the column: one number, or one for each category. Raises InputError."""
        try:
            index = self.values.index(value)
        except ValueError:
            known = [str(v) for v in self.values]
            alike = known.index(str(value)) if str(value) in known else -1  # of another type: the 3 for the text "3"
            said = nearest(str(value), known) if alike < 0 else f"; it has {self.values[alike]!r}"
            raise InputError(f"column {column!r} has no category {value!r}{said}") from None
        return [float(index)] if self.encoding == "index" else [float(i == index) for i in range(len(self.values))]

    def decode(self, encoded: Array) -> Any:
        """Undo `to_network`; one-hot numbers between categories give the nearest."""
        index = round(float(encoded[0])) if self.encoding == "index" else int(np.argmax(encoded))
        return self.values[min(max(index, 0), len(self.values) - 1)]


COLUMNS: dict[str, type[Number] | type[Category]] = {"Number": Number, "Category": Category}


@dataclass(frozen=True)
class Table(InputSpec):
    """Rows with named columns; a part of an explanation is a column, never one of its dummies.

    `columns` maps a name to Number or Category, in the order in which the network takes them. `background` holds
    typical rows (mappings, or a DataFrame), which methods that hide columns take instead of the hidden values.
    """

    kind: ClassVar[str] = "Table"
    zero_baseline: ClassVar[bool] = False

    columns: Mapping[str, Number | Category] = field(hash=False)
    background: Any = field(default=None, hash=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.columns, Mapping):
            raise ParameterError(
                f"a Table maps names to columns, such as {{'age': xk.Number()}}, and is not {self.columns!r}"
            )
        columns = {str(k): _column(v) for k, v in self.columns.items()}
        if not columns:
            raise ParameterError("a Table needs at least one column, such as {'age': xk.Number(mean=40, std=12)}")
        object.__setattr__(self, "columns", columns)
        if self.background is not None:
            object.__setattr__(self, "background", tuple(self.show(self.background)))

    @property
    def names(self) -> tuple[str, ...]:
        """The columns in order."""
        return tuple(self.columns)

    @cached_property
    def shape(self) -> tuple[int, ...]:  # asked for at every pass
        return (sum(c.width for c in self.columns.values()),)

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes of `shape`: ("feature",)."""
        return ("feature",)

    @property
    def parts(self) -> Array:
        """For each of the network's inputs, the index of its column: (feature,)."""
        return np.repeat(np.arange(len(self.columns)), [c.width for c in self.columns.values()])

    @cached_property
    def encoded_background(self) -> Array:
        """The background as the network takes it, encoded once: (row, feature), not to be written to."""
        encoded = self.encode(self.background)
        encoded.flags.writeable = False
        return encoded

    def samples(self, x: Any) -> list[Any]:
        if hasattr(x, "columns") and hasattr(x, "iloc"):
            return [{str(k): row[k] for k in x.columns} for _, row in x.iterrows()] if len(x) else []
        if isinstance(x, tuple) and x and all(isinstance(row, Mapping) for row in x):
            return list(x)
        if isinstance(x, Mapping) or (hasattr(x, "index") and hasattr(x, "iloc")):
            return [x]
        if isinstance(x, np.ndarray) and x.ndim == 2:
            return list(x)
        if isinstance(x, np.ndarray) and x.ndim == 1:
            return [x]
        if isinstance(x, Sequence) and not isinstance(x, str):
            single = x and not isinstance(x[0], Mapping | Sequence | np.ndarray) and not hasattr(x[0], "iloc")
            return [x] if single or (x and isinstance(x[0], str)) else list(x)
        raise InputError(f"a row is a mapping, a DataFrame row or {len(self.columns)} values, not {type(x).__name__}")

    def display(self, sample: Any) -> dict[str, Any]:
        """Give one row as {column: value in its own units}, in the order of the spec. Raises InputError."""
        row = self._named(sample)
        missing = [c for c in self.columns if c not in row]
        extra = [c for c in row if c not in self.columns]
        if missing or extra:
            hint = nearest(str(extra[0]), self.names) if extra else ""
            said = [f"lacks {', '.join(map(repr, missing))}"] if missing else []
            said += [f"has unknown {', '.join(map(repr, extra))}{hint}"] if extra else []
            raise InputError(f"the row {' and '.join(said)}; the columns are {', '.join(self.names)}")
        return {c: _python(row[c]) for c in self.columns}

    def _named(self, sample: Any) -> dict[str, Any]:
        if isinstance(sample, Mapping) or hasattr(sample, "to_dict"):
            return {str(k): v for k, v in dict(sample).items()}
        values = list(sample)
        if len(values) != len(self.columns):
            raise InputError(f"the row has {len(values)} values for {len(self.columns)} columns {self.names}")
        return dict(zip(self.names, values, strict=True))

    def to_network(self, display: Any) -> Array:
        encoded = [v for name, column in self.columns.items() for v in column.to_network(display[name], name)]
        return np.array(encoded, np.float32)

    def show(self, x: Any) -> Any:
        return [self.display(s) for s in self._some(x)]

    def _gather(self, shown: list[Any]) -> Any:
        return shown

    def decode(self, encoded: Array) -> Any:
        """Give the rows of a batch (sample, feature) as a list of {column: value}."""
        starts = np.cumsum([0] + [c.width for c in self.columns.values()])
        return [
            {name: c.decode(row[a : a + c.width]) for (name, c), a in zip(self.columns.items(), starts, strict=False)}
            for row in np.asarray(encoded)
        ]

    def to_dict(self) -> dict[str, Any]:
        columns = {k: {"kind": type(c).__name__, **asdict(c)} for k, c in self.columns.items()}
        rows = None if self.background is None else [dict(row) for row in self.background]
        return {"kind": self.kind, "columns": columns, "background": rows}


def _column(value: Any) -> Number | Category:
    if isinstance(value, Number | Category):
        return value
    if isinstance(value, Mapping) and value.get("kind") in COLUMNS:
        return COLUMNS[value["kind"]](**{k: v for k, v in value.items() if k != "kind"})
    raise ParameterError(f"a column is an xk.Number or an xk.Category, not {value!r}")


def _python(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
