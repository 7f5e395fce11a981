"""What workers do for the pages What-if and Importance: rows that are changed, and what a data set says of a model."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xaikit.errors import ParameterError, nearest
from xaikit.inputs import Classes
from xaikit.jobs import Task, Unit, tasks
from xaikit.model import Model
from xaikit.progress import Progress
from xaikit.results import BreakDown, Counterfactuals, Fairness, Importance, Profile, WhatIf
from xaikit.tabular import break_down, counterfactuals, fairness, importance, profile, what_if

FORMAT = 1
"""Raised when one of these tasks gives something else than before, so that stored results are made anew."""
KNOWN: Mapping[str, Mapping[str, Any]] = {
    "app-what-if": {"changes": {}},
    "app-nearest": {
        "wanted": None, "count": 3, "most": 3, "immutable": (), "ranges": None, "allowed": None, "at_least": None,
    },
    "app-importance": {"loss": None, "repeats": 10, "variables": None},
    "app-break-down": {"interactions": False, "variables": None},
    "app-profile": {"columns": (), "kind": "partial-dependence", "grid": 20, "by": None, "variables": None},
    "app-fairness": {"by": None, "positive": None, "cutoff": 0.5},
}  # fmt: skip
"""The tasks' parameters with their defaults."""


def changed_row(model: Model, unit: Unit, progress: Progress) -> WhatIf:
    """Give what the model says of a `row` among `X` before and after changes."""
    found = what_if(model, unit.input["X"], unit.input["row"], _asked(unit)["changes"], unit.target, seed=unit.seed)
    progress(1, 1)
    return found


def nearest_rows(model: Model, unit: Unit, progress: Progress) -> Counterfactuals:
    """Find the rows nearest to a `row` for which the model says what is wanted."""
    asked = _asked(unit)
    wanted = asked.pop("wanted")
    wanted = tuple(wanted) if isinstance(wanted, list) else wanted
    progress(0, 1)
    if wanted is None:
        wanted = _second(model, unit.input["row"])
    found = counterfactuals(model, unit.input["X"], unit.input["row"], wanted, seed=unit.seed, **asked)
    progress(1, 1)
    return found


def _second(model: Model, row: Any) -> int:
    """Give the class that is most probable after the one that is predicted. Raises ParameterError for no classes."""
    if not isinstance(model.outputs, Classes):
        raise ParameterError(f"{model.name} has no classes: say which values are wanted")
    p = model.outputs.probabilities(np.asarray(model.run(model.inputs.encode([row])).output))[0]
    return int(np.argsort(-p, kind="stable")[1])


def importance_of(model: Model, unit: Unit, progress: Progress) -> Importance:
    """Give how much worse the model does without each variable."""
    asked = _variables(unit)
    X, y = unit.input["X"], np.asarray(unit.input["y"])
    return importance(model, _array(X), y, seed=unit.seed, target=unit.target, progress=progress, **asked)


def break_down_of(model: Model, unit: Unit, progress: Progress) -> BreakDown:
    """Give what each value of a `row` adds to the mean answer over `X`."""
    asked = _variables(unit)
    return break_down(model, _array(unit.input["X"]), unit.input["row"], unit.target, progress=progress, **asked)


def profile_of(model: Model, unit: Unit, progress: Progress) -> Profile:
    """Give how the answer goes with columns; the curves of `rows` where these are asked for."""
    asked = _variables(unit)
    columns = [tuple(c) if isinstance(c, list | tuple) else c for c in asked.pop("columns")]
    X, rows = _array(unit.input["X"]), unit.input.get("rows")
    how = {"target": unit.target, "seed": unit.seed, "progress": progress, **asked}
    return profile(model, X, columns, rows=rows, **how)


def fairness_of(model: Model, unit: Unit, progress: Progress) -> Fairness:
    """Give how the model does for groups of rows."""
    found = fairness(model, unit.input["X"], np.asarray(unit.input["y"]), target=unit.target, **_asked(unit))
    progress(1, 1)
    return found


def _array(X: Any) -> Any:
    """Give samples that are arrays of one shape as one array."""
    return np.stack(X) if isinstance(X, list) and X and isinstance(X[0], np.ndarray) and X[0].ndim > 1 else X


def _variables(unit: Unit) -> dict[str, Any]:
    """Give what is asked; "squares:4" are the parts of a picture cut into 4 × 4."""
    asked = _asked(unit)
    variables = asked.get("variables")
    kind, _, count = str(variables or "").partition(":")
    if kind == "squares":
        asked["variables"] = squares(np.shape(_array(unit.input["X"]))[1:], int(count))
    elif kind == "windows" and count:
        asked["variables"] = {"windows": int(count)}
    return asked


def squares(shape: tuple[int, ...], count: int) -> Any:
    """Number the parts of a picture (row, column, channel) that is cut into `count` × `count`: of the same shape."""
    rows, columns = (np.arange(n) * count // n for n in shape[:2])
    labels = rows[:, None] * count + columns[None]
    return np.broadcast_to(labels.reshape(*shape[:2], *[1] * (len(shape) - 2)), shape).copy()


def _asked(unit: Unit) -> dict[str, Any]:
    known = KNOWN[unit.task]
    for name in unit.parameters:
        if name not in known:
            raise ParameterError(f"{unit.task} has no parameter {name!r}{nearest(name, known)}")
    return {**known, **unit.parameters}


def _address(unit: Unit) -> Mapping[str, Any]:
    return {**_asked(unit), "format": FORMAT}


RUNS: Mapping[str, Callable[[Model, Unit, Progress], Any]] = {
    "app-what-if": changed_row,
    "app-nearest": nearest_rows,
    "app-importance": importance_of,
    "app-break-down": break_down_of,
    "app-profile": profile_of,
    "app-fairness": fairness_of,
}
for name, run in RUNS.items():
    tasks(name)(Task(run, _address))
