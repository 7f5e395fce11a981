"""What-if: one row with other values, what the model says then, and whether there are such rows."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import InputError, ParameterError
from xaikit.inputs import Number, Table
from xaikit.model import Model
from xaikit.results import BreakDown, WhatIf
from xaikit.tabular._break_down import Steps, entries_of, explained, gathered, require_one
from xaikit.tabular._neighbours import NEAREST, neighbours
from xaikit.tabular._reading import about, answers, judged, read
from xaikit.tabular._variables import Frame, Variable, frame_of


def what_if(
    model: Model,
    X: Any,
    row: Any,
    changes: Mapping[Any, Any] | Any,
    target: Any = None,
    *,
    interactions: bool = False,
    score: str | None = None,
    variables: Any = None,
    seed: int = 0,
) -> WhatIf:
    """Give what the model says of a row before and after `changes`, and how each of them contributes, as WhatIf.

    X: rows of the data, among which the nearest are looked for. row: one row, as a person has it. changes: a mapping
    from column to its new value, or a whole row. target: the output whose difference is broken down (None: the class
    that is predicted for the row as it is, or the only output). The break-down goes from the row to the changed one, in
    the order of `xaikit.break_down`, so its intercept is the old prediction. variables: as in `xaikit.importance`;
    the new value of a window or channel is its mean, to which all its numbers are shifted.

    Distances are Euclidean, numbers in standard deviations of X and different categories one apart. A row is off the
    data if its mean distance to its five nearest rows is larger than that of 99 % of the rows of X to theirs. Status:
    warn for that, and for changes that change nothing. Predictions are (output,), the neighbours' (neighbour, output).
    Raises UnknownName, InputError, ParameterError, TargetError. Source: that of `xaikit.break_down`.
    """
    start = time.perf_counter()
    data, x = read(model, X, "what_if"), read(model, row, "what_if")
    require_one(x, "what_if")
    frame = frame_of(model.inputs, data, variables, whole=True)
    flat, old = frame.flatten(data), frame.flatten(x)
    new, changed = _changed(model, frame, old, changes)
    ask, entry = entries_of(model, x, target, score)
    alone = np.repeat(old, len(changed), 0)
    for k, v in enumerate(changed):
        alone[k, v.places] = new[0, v.places]
    near = neighbours(frame, flat, seed)
    nearest, distances = (a[0] for a in near.nearest(new, NEAREST))
    said = answers(ask, frame, np.concatenate([old, new, alone, flat[nearest]])).astype(np.float64)
    count = len(changed)
    chosen = explained(ask, said[:1], entry)
    origin = about(ask, x, "what-if", {"changes": [v.name for v in changed], "score": score}, start, seed)
    broken = _difference(ask, frame, old, new, changed, chosen, said[1], interactions, origin)
    distance = near.distance(np.concatenate([old, new]))
    limit = near.limit
    return WhatIf(
        columns=frame.names,
        row=words(model, frame, x, old),
        changed=words(model, frame, frame.restore(new), new),
        changes=tuple((v.name, _said(v, old), _said(v, new)) for v in changed),
        outputs=ask.names,
        target=ask.names[chosen[0]],
        before=said[0],
        alone=said[2 : 2 + count],
        after=said[1],
        break_down=broken,
        nearest=nearest,
        distances=distances,
        neighbours=tuple(words(model, frame, frame.restore(flat[[i]]), flat[[i]]) for i in nearest),
        neighbour_predictions=said[2 + count :],
        distance=distance,
        usual=near.usual,
        score=ask.score,
        status=judged(
            (not changed, "nothing was changed"),
            (bool(distance[1] > limit), "the changed row lies outside the data: what the model says there is a guess"),
            values=said[:2],
        ),
        origin=about(ask, x, "what-if", {"changes": [v.name for v in changed], "score": score}, start, seed),
    )


def _changed(model: Model, frame: Frame, old: Array, changes: Any) -> tuple[Array, list[Variable]]:
    """Give the row with all changes, and the variables that they really change."""
    if isinstance(changes, Mapping):
        if not changes:
            raise ParameterError("changes are a mapping from columns to new values, and this one is empty")
        new = old.copy()
        for name, value in changes.items():
            put_value(model, frame[name], new, value)
    else:
        x = read(model, changes, "what_if")
        require_one(x, "changes")
        new = frame.flatten(x)
    return new, [v for v in frame.variables if (new[:, v.places] != old[:, v.places]).any()]


def put_value(model: Model, variable: Variable, out: Array, value: Any) -> None:
    """Write a value that a person gives into all rows of `out`. Raises InputError."""
    column = model.inputs.columns.get(variable.name) if isinstance(model.inputs, Table) else None
    if column is not None and len(variable.places) == column.width:
        out[:, variable.places] = column.to_network(value, variable.name)
        return
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"the variable {variable.name!r} takes a number, not {value!r}") from None
    if not np.isfinite(number):
        raise InputError(f"the new value of {variable.name!r} is {number}")
    variable.put(out, number)


def _said(variable: Variable, flat: Array) -> str:
    return variable.word(float(variable.numbers(flat)[0]))


def words(model: Model, frame: Frame, x: Array, flat: Array) -> tuple[Any, ...]:
    """Give a row's values in its own units, variable by variable."""
    spec = model.inputs
    if isinstance(spec, Table) and frame.names == spec.names:
        row = spec.decode(x)[0]
        return tuple(
            float(f"{row[n]:.6g}") if isinstance(c, Number) else row[n]  # float32 leaves more digits than there were
            for n, c in spec.columns.items()
        )
    return tuple(float(f"{float(v.numbers(flat)[0]):.6g}") for v in frame.variables)


def _difference(
    ask: Any,
    frame: Frame,
    old: Array,
    new: Array,
    changed: list[Variable],
    chosen: Array,
    said: Array,
    interactions: bool,
    origin: Any,
) -> BreakDown | None:
    """Break the difference of two rows down: the one as it was is the reference."""
    if not changed:
        return None
    moved = Frame(tuple(changed), frame.shape, frame.flatten, frame.restore)
    path = Steps(ask, moved, old, interactions, 1.0, None).of(new[0], int(chosen[0]), said)
    found = gathered([path], moved, new, chosen, ask, score=ask.score, interactions=interactions, rows=1, origin=origin)
    return found
