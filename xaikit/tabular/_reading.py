"""From what a person has to rows of numbers: whole columns at a time, and the questions a model is asked of them."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaikit.arrays import Array, chunks, leaves
from xaikit.attribution import origin_of, prepare, require_wrapped
from xaikit.attribution._explain import SCORES, input_hash
from xaikit.errors import InputError, NotSupported, ParameterError, TargetError, nearest
from xaikit.inputs import Array as ArraySpec
from xaikit.inputs import At, Classes, LinearScore, Masks, Number, Raw, Table, resolve
from xaikit.model import Model
from xaikit.results import Origin, Status
from xaikit.tabular._variables import Frame

BYTES = 2**24
"""What the rows given to a model at once hold at most: larger ones gain nothing and leave the cache."""
MANY = 4
"""How many of its own batches a model is given at once."""


def read(model: Model, X: Any, asked: str) -> Array:
    """Encode rows: (row, *shape), as the model takes them. Columns of a frame are found by their names.

    A table that comes as a frame or as arrays is encoded column by column; anything else by the spec, which also says
    what is wrong. Raises UsageError, NotSupported for several inputs, InputError.
    """
    require_wrapped(model, asked)
    if isinstance(model.inputs, Mapping):
        raise NotSupported(f"{asked} works on one input, and {model.name} has {', '.join(model.inputs)}")
    spec = model.inputs
    if isinstance(spec, Table):
        quick = _by_column(spec, X)
        if quick is not None:
            return quick
    elif hasattr(X, "to_numpy"):
        X = X.to_numpy()
    like = spec.shape if isinstance(spec, ArraySpec) and spec.dtype != "int64" else None
    raw = isinstance(spec, Raw) and np.ndim(X) == 2
    if isinstance(X, np.ndarray) and X.dtype.kind == "f" and (raw or (like is not None and X.shape[1:] == like)):
        if not len(X):
            raise InputError("there is no row to work on: the data are empty")
        if not np.isfinite(X).all():
            wrong = int(X.size - np.isfinite(X).sum())
            raise InputError(f"the data hold {wrong} values that are NaN or infinite; clean or impute them first")
        return np.asarray(X, np.float32)
    return np.asarray(prepare(model, X)[0])


def _by_column(spec: Table, X: Any) -> Array | None:
    """Encode a frame or an array (row, column) in whole columns; None where the spec must look at single rows."""
    frame = hasattr(X, "columns") and hasattr(X, "iloc")
    names = [str(c) for c in X.columns] if frame else []
    if len(set(names)) < len(names):
        raise InputError(f"the frame has the column {max(names, key=names.count)!r} more than once")
    if frame and set(names) == set(spec.names):
        named = {str(c): X[c].to_numpy() for c in X.columns}
        columns = [named[n] for n in spec.names]
    elif isinstance(X, np.ndarray) and X.ndim == 2 and X.shape[1] == len(spec.names):
        columns = list(X.T)
    else:
        return None
    if not len(columns[0]):
        return None
    out = np.empty((len(columns[0]), *spec.shape), np.float32)
    at = 0
    for (_, column), values in zip(spec.columns.items(), columns, strict=True):
        coded = _coded(column, values)
        if coded is None:
            return None
        out[:, at : at + column.width] = coded
        at += column.width
    return out


def _coded(column: Any, values: Array) -> Array | None:
    if isinstance(column, Number):
        try:
            numbers = np.asarray(values, np.float64)
        except (TypeError, ValueError):
            return None
        if not np.isfinite(numbers).all():
            return None
        return np.asarray(((numbers - column.mean) / column.std)[:, None])
    known = {v: i for i, v in enumerate(column.values)}
    try:
        index = np.array([known.get(v, -1) for v in values.tolist()])
    except TypeError:
        return None
    if (index < 0).any():
        return None
    return index[:, None] if column.encoding == "index" else np.eye(len(column.values), dtype=np.float32)[index]


@dataclass(eq=False)
class Asked:
    """The numbers that a model is asked for: rows in, (row, output) in float64 out; counts what it was asked.

    `names` are those of the outputs: all classes or values, or the one that was asked for as a target; `spec` says what
    the network's output is that they are of.
    """

    model: Model
    spec: Any
    names: tuple[str, ...]
    score: str
    weights: Array | None
    offset: Array
    calls: int = 0

    def __call__(self, x: Array) -> Array:
        """Run the model on rows (row, *shape)."""
        self.calls += len(x)
        output = self.model.run(x, score=self.score).output  # type: ignore[arg-type]
        flat = np.concatenate([a.reshape(len(a), -1) for _, a in leaves(output)], 1)
        if self.weights is None:
            return flat
        return np.asarray(flat @ self.weights + self.offset)

    @property
    def rows(self) -> int:
        """How many rows the model is given at once."""
        return MANY * self.model.batch_size


def output_of(model: Model, target: Any = None) -> tuple[str | None, Any, Any]:
    """Give the output that a target is of: its name, None for the only one, its spec, and what of it is meant.

    Of a network with several outputs one is named by `xk.At(output=...)` or by its name alone. What is meant is an
    entry's index or name, None for all entries, or the target as it is. Raises TargetError, which lists the outputs.
    """
    spec = model.outputs
    if not isinstance(spec, Mapping):
        if not isinstance(target, At) or target.step is not None or target.position is not None:
            return None, spec, target
        if target.output is not None:
            raise TargetError(f"{model.name} has one output: leave output={target.output!r} out of xk.At")
        return None, spec, target.index
    names = list(spec)
    name = target.output if isinstance(target, At) else target if isinstance(target, str) and target in names else None
    if name is None and len(names) > 1:
        raise TargetError(f"{model.name} has the outputs {', '.join(names)}: choose one, xk.At(output={names[0]!r})")
    if name is None:
        name = names[0]
        target = replace(target, output=name) if isinstance(target, At) else At(name, index=target)
    if name not in names:
        raise TargetError(f"there is no output {name!r}{nearest(name, names)}")
    if not isinstance(target, At):
        return name, spec[name], None
    placed = target.step is not None or target.position is not None
    return name, spec[name], target if placed else target.index


def whole_output(model: Model, target: Any, asked: str) -> tuple[str | None, Any]:
    """Give the name and spec of the output that a target is of, of which no entry may be chosen. Raises TargetError."""
    name, spec, entry = output_of(model, target)
    if entry is not None:
        raise TargetError(f"{asked} is of a whole output, which xk.At(output=...) names, not of {entry!r} alone")
    return name, spec


def questions(model: Model, x: Array, target: Any = None, score: str | None = None) -> Asked:
    """Find what the model is asked: the outputs that `target` names, None = all of them, At(output=...) = all of one.

    `score` is "probability", "logit" or "output"; None is the probability of classes. Raises TargetError,
    ParameterError, NotSupported.
    """
    if score is not None and score not in SCORES:
        raise ParameterError(f"score must be one of {', '.join(SCORES)}, not {score!r}")
    name, spec, entry = output_of(model, target)
    kind: Any = (score or "probability") if isinstance(spec, Classes | Masks) else "output"
    output = model.run(x[:1], score=kind).output
    own = output if name is None or not isinstance(output, Mapping) else output[name]
    several = isinstance(own, Mapping) or np.ndim(own) != 2 or not hasattr(spec, "names")
    entries = [entry] if entry is not None or several else list(range(len(spec.names)))
    targets = [e if name is None or isinstance(e, At) else At(name, index=e) for e in entries]
    scores = [resolve(t, model.outputs, output, kind).each[0] for t in targets]
    if not all(isinstance(s, LinearScore) for s in scores):
        raise NotSupported(f"{model.name} gives its input again: its error is explained by xk.anomaly")
    weights = np.stack([np.concatenate([w.reshape(-1) for _, w in leaves(s.weights)]) for s in scores], 1)  # type: ignore[attr-defined]
    offset = np.array([s.offset for s in scores])  # type: ignore[attr-defined]
    plain = weights.shape[0] == weights.shape[1] and (weights == np.eye(len(weights))).all() and not offset.any()
    return Asked(model, spec, tuple(s.label for s in scores), kind, None if plain else weights, offset)


def answers(ask: Asked, frame: Frame, flat: Array) -> Array:
    """Ask of flat rows, in pieces: (row, output)."""
    step = rows_at_once(ask, flat)
    return np.concatenate([ask(frame.restore(flat[s])) for s in chunks(len(flat), step)])


def rows_at_once(ask: Asked, flat: Array) -> int:
    """How many rows a block holds: some batches of the model, and no more than fits the cache."""
    return int(np.clip(BYTES // max(flat[:1].nbytes, 1), 1, max(ask.rows, 1)))


Edit = Callable[[Array, slice], None]
"""Rewrites some places of a block of rows, which are those of a slice of all rows."""


def edited(ask: Asked, frame: Frame, flat: Array, edits: Sequence[Edit]) -> Iterator[Array]:
    """For every edit of all rows `flat` (row, place) give what the model says: (row, output), in large batches.

    Several edits share a batch where the rows are few; where they are many one is asked piece by piece.
    """
    n, step = len(flat), rows_at_once(ask, flat)
    together = max(1, step // n)
    block = np.empty((min(together, max(len(edits), 1)) * min(n, step), flat.shape[1]), flat.dtype)
    for group in chunks(len(edits), together):
        some = edits[group]
        pieces = []
        for s in chunks(n, step):
            size = s.stop - s.start
            part = block[: len(some) * size]
            for k, edit in enumerate(some):
                own = part[k * size : (k + 1) * size]
                own[:] = flat[s]
                edit(own, s)
            pieces.append(ask(frame.restore(part)).reshape(len(some), size, -1))
        yield from pieces[0] if len(pieces) == 1 else np.concatenate(pieces, 1)


def about(
    ask: Asked, x: Array, method: str, parameters: Mapping[str, Any], start: float, seed: int = 0, **notes: Any
) -> Origin:
    """Record how a result came about: the whole data set has one hash."""
    origin = origin_of(
        ask.model,
        None,
        method,
        parameters=parameters,
        seconds=time.perf_counter() - start,
        calls=ask.calls,
        score=ask.score,
        seed=seed,
        notes=notes,
    )
    return replace(origin, input_hash=(input_hash(x),))


def judged(*reasons: tuple[bool, str], values: Array | None = None) -> Status:
    """Give "fail" where values are not finite, "warn" for every reason that holds, else "ok"."""
    held = tuple(said for holds, said in reasons if holds)
    if values is not None and not np.isfinite(values).all():
        return Status("fail", (f"{int((~np.isfinite(values)).sum())} numbers are not finite", *held))
    return Status("warn" if held else "ok", held)


def constant(frame: Frame, flat: Array) -> tuple[str, ...]:
    """Name the variables that have the same value in all rows."""
    return tuple(v.name for v in frame.variables if (flat[:, v.places] == flat[:1, v.places]).all())


def require_seed(seed: Any) -> None:
    """Raise ParameterError for what is no seed."""
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ParameterError(f"the seed is a whole number from 0 to 2**32 - 1, not {seed!r}")


def require_count(name: str, value: Any, least: int = 1) -> None:
    """Raise ParameterError for what is no whole number from `least` on."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise ParameterError(f"{name} is a whole number, at least {least}, not {value!r}")
