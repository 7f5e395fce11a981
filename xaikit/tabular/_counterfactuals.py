"""Counterfactuals: the smallest changes of a row after which the model says something else."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import InputError, ParameterError, TargetError, UnknownName
from xaikit.inputs import At, Classes
from xaikit.model import Model
from xaikit.results import Counterfactuals
from xaikit.tabular._break_down import require_one
from xaikit.tabular._neighbours import neighbours
from xaikit.tabular._reading import (
    Asked,
    about,
    answers,
    judged,
    output_of,
    questions,
    read,
    require_count,
    require_seed,
)
from xaikit.tabular._variables import Frame, Variable, frame_of
from xaikit.tabular._what_if import words

BEAM = 40
"""Rows that are kept after every change, to be changed further."""
VALUES = 15
"""Values of a number that are tried: quantiles of the data."""
HALVINGS = 12
EACH = 0.1
"""What every changed column costs beside how far it moves, so that of equal moves the fewest win."""


@dataclass(frozen=True, eq=False)
class _Choice:
    """A variable that may change, the values that are tried, and what a step of one costs.

    `limits` are those between which a number may take any value, None where it may take those of `values` alone.
    """

    variable: Variable
    values: Array
    unit: float
    whole: bool
    limits: tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class _Goal:
    """What the model shall say: `output` between two bounds."""

    output: int
    low: float
    high: float
    words: str

    def miss(self, said: Array) -> Array:
        """How far answers (row, output) are from it: (row,), zero where it is reached."""
        value = said[:, self.output]
        return np.asarray(np.maximum(np.maximum(self.low - value, value - self.high), 0))


def counterfactuals(
    model: Model,
    X: Any,
    row: Any,
    wanted: Any,
    *,
    count: int = 3,
    most: int = 3,
    immutable: Sequence[str] = (),
    ranges: Mapping[str, tuple[float | None, float | None]] | None = None,
    allowed: Mapping[str, Sequence[Any]] | None = None,
    at_least: float | None = None,
    score: str | None = None,
    variables: Any = None,
    seed: int = 0,
) -> Counterfactuals:
    """Give the nearest changes of a row after which the model says what is wanted, as Counterfactuals.

    X: rows of the data, from which come the values that are tried, their scale, and the limits of numbers. wanted: for
    Classes the name or index of a class, whose probability shall be `at_least` (None: more than half); for Values
    (low, high) of the only output, or (output, low, high), None for no bound; of a network with several outputs
    xk.At(output=..., index=class), or (xk.At(output=...), low, high). count: how many, each of which changes
    other columns than the others. most: how many columns may change. immutable: columns that must not. ranges: for
    numbers (least, largest), None for no bound; allowed: for categories those that may be chosen.

    A search in the breadth: every single change is tried in one batch, the best forty rows are changed further, up to
    `most` columns; numbers of what was found are then moved back towards the row by bisection. Whole numbers stay
    whole. What a change costs is its distance, numbers in standard deviations of X and a category one, and a tenth for
    every column. Each row that is given has been run: its score is the model's. Where none is found the result is
    empty, its status warns, and `best` says how near the search came. It looks at very many rows, but not at all.

    Scores and costs are (counterfactual,), the least costly first.
    Raises UnknownName, TargetError, ParameterError, InputError. Source: Wachter, Mittelstadt and Russell,
    "Counterfactual explanations without opening the black box" (2017); Mothilal, Sharma and Tan, "Explaining machine
    learning classifiers through diverse counterfactual explanations" (2020).
    """
    require_seed(seed)
    require_count("count", count)
    require_count("most", most)
    start = time.perf_counter()
    data, x = read(model, X, "counterfactuals"), read(model, row, "counterfactuals")
    require_one(x, "counterfactuals")
    frame = frame_of(model.inputs, data, variables, whole=True)
    flat, old = frame.flatten(data), frame.flatten(x)
    asked, wanted = _wanted(model, wanted)
    ask = questions(model, x, asked, score)
    goal = _goal(ask, wanted, at_least)
    choices = _choices(model, frame, flat, old, immutable, dict(ranges or {}), dict(allowed or {}))
    said = answers(ask, frame, old).astype(np.float64)
    search = _Search(ask, frame, old, goal, choices)
    found = [] if goal.miss(said)[0] == 0 else search.run(most, count)
    near = neighbours(frame, flat, seed)
    rows = np.concatenate(found) if found else old[:0]
    scores = answers(ask, frame, rows)[:, goal.output].astype(np.float64) if found else np.empty(0)
    changes = tuple(_changes(frame, old, r[None]) for r in rows)
    off = near.distance(rows) > near.limit if found else np.zeros(0, bool)
    start_at = float(said[0, goal.output])
    best = min((search.best, start_at), key=lambda v: max(goal.low - v, v - goal.high, 0.0))
    return Counterfactuals(
        columns=frame.names,
        row=words(model, frame, x, old),
        rows=tuple(words(model, frame, frame.restore(r[None]), r[None]) for r in rows),
        changes=changes,
        wanted=goal.words,
        start=start_at,
        bounds=(goal.low, goal.high),
        scores=scores,
        costs=np.array([search.cost(r[None])[0] for r in rows]),
        off_data=off,
        best=best,
        score=ask.score,
        status=judged(
            (goal.miss(said)[0] == 0, "the model says so already: nothing need be changed"),
            (
                not found and goal.miss(said)[0] > 0,
                f"no row with up to {most} changes was found; the best reaches {best:.3g} of {goal.words}",
            ),
            (0 < len(found) < count, f"{len(found)} of {count} were found"),
            (bool(off.any()), "some lie outside the data"),
            values=scores,
        ),
        origin=about(
            ask,
            x,
            "counterfactuals",
            {"wanted": goal.words, "count": count, "most": most, "immutable": list(immutable)},
            start,
            seed,
        ),
    )


def _wanted(model: Model, wanted: Any) -> tuple[At | None, Any]:
    """Split what is wanted of a network with several outputs into the output, and what is wanted of that."""
    if not isinstance(model.outputs, Mapping):
        return None, wanted
    if not isinstance(wanted, Sequence) or isinstance(wanted, str):
        name, _, entry = output_of(model, wanted)
        return At(name), entry
    name, _, entry = output_of(model, wanted[0] if len(wanted) == 3 else None)
    return At(name), wanted if len(wanted) != 3 else wanted[1:] if entry is None else (entry, *wanted[1:])


def _goal(ask: Asked, wanted: Any, at_least: float | None) -> _Goal:
    spec = ask.spec
    if isinstance(spec, Classes):
        if isinstance(wanted, Sequence) and not isinstance(wanted, str):
            raise TargetError(f"wanted is one class of {', '.join(map(str, spec.names[:10]))}, not {wanted!r}")
        k = spec.index(wanted)
        if ask.score != "probability":
            low = 0.0 if at_least is None else at_least
        elif at_least is None:
            low = float(np.nextafter(0.5, 1))
        else:
            low = at_least
            if not 0 < low <= 1:
                raise ParameterError(f"at_least is a probability above 0, at most 1, not {at_least!r}")
        return _Goal(k, low, float("inf"), ask.names[k])
    if not isinstance(wanted, Sequence) or isinstance(wanted, str) or len(wanted) not in (2, 3):
        raise TargetError(f"wanted is (low, high), or (output, low, high), for a model of values, not {wanted!r}")
    *output, low, high = wanted
    if not output and len(ask.names) > 1:
        raise TargetError(f"the model has {len(ask.names)} outputs; want (output, low, high): {', '.join(ask.names)}")
    k = spec.index(output[0]) if output else 0
    least, largest = -np.inf if low is None else float(low), np.inf if high is None else float(high)
    if not least <= largest:
        raise ParameterError(f"wanted lies from low to high, not from {low} to {high}")
    return _Goal(k, float(least), float(largest), ask.names[k])


def _choices(
    model: Model,
    frame: Frame,
    flat: Array,
    old: Array,
    immutable: Sequence[str],
    ranges: dict[str, Any],
    allowed: dict[str, Any],
) -> list[_Choice]:
    if isinstance(immutable, str):
        immutable = [immutable]
    for name in (*immutable, *ranges, *allowed):
        if name not in frame.names:
            raise UnknownName("variable", name, frame.names)
    found = []
    for v in frame.variables:
        if v.name in immutable:
            continue
        now, seen = float(v.numbers(old)[0]), v.numbers(flat)
        whole = v.kind == "number" and _whole(np.append(seen, now))
        limits = _limits(v, seen, ranges, allowed)
        if limits is None:
            values = _allowed(v, allowed)
        else:
            low, high = (np.ceil(limits[0]), np.floor(limits[1])) if whole else limits
            limits = float(low), float(high)
            values = np.append(np.quantile(seen, np.linspace(0, 1, VALUES)), limits)
            values = np.round(values) if whole else values
            values = values[(values >= low) & (values <= high)]
        values = np.unique(values)
        values = values[~np.isclose(values, now)]
        if len(values):
            unit = 1.0 if v.kind == "category" else float(seen.std()) or 1.0
            found.append(_Choice(v, values, unit, whole, limits))
    if not found:
        raise ParameterError("no column may change: all are immutable, or have one value alone")
    return found


def _whole(seen: Array) -> bool:
    """Whether a column counts: float32 leaves some hundredths of large whole numbers."""
    return bool(np.allclose(seen, np.round(seen), rtol=1e-6, atol=1e-3))


def _allowed(v: Variable, allowed: dict[str, Any]) -> Array:
    """Give the values that a category may take, or a number whose values are listed."""
    if v.kind != "category":
        return np.asarray(allowed[v.name], np.float64)
    if v.name not in allowed:
        return np.arange(len(v.words), dtype=np.float64)
    unknown = [w for w in allowed[v.name] if w not in v.words]
    if unknown:
        raise InputError(f"column {v.name!r} has no category {unknown[0]!r}; it has {', '.join(map(str, v.words))}")
    return np.array([v.words.index(w) for w in allowed[v.name]], np.float64)


def _limits(v: Variable, seen: Array, ranges: dict[str, Any], allowed: dict[str, Any]) -> tuple[float, float] | None:
    """Give the least and the largest value that a number may take; None for what is chosen from a list."""
    if v.kind == "category" and v.name in ranges:
        raise ParameterError(f"{v.name!r} is a category: allowed= names its values")
    if v.kind == "category" or v.name in allowed:
        return None
    low, high = ranges.get(v.name, (None, None))
    low, high = float(seen.min()) if low is None else float(low), float(seen.max()) if high is None else float(high)
    if not low <= high:
        raise ParameterError(f"the range of {v.name!r} goes from {low:g} to {high:g}")
    return low, high


class _Search:
    """The search in the breadth: rows, which of the choices they have changed, and how far off they still are."""

    def __init__(self, ask: Asked, frame: Frame, old: Array, goal: _Goal, choices: list[_Choice]) -> None:
        self.ask, self.frame, self.old, self.goal, self.choices = ask, frame, old, goal, choices
        self.best, self.missed = float("nan"), float("inf")

    def run(self, most: int, count: int) -> list[Array]:
        """Give up to `count` rows (1, place) that reach the goal and change different columns, the cheapest first."""
        rows, taken = self.old, np.zeros((1, len(self.choices)), bool)
        reached: dict[bytes, tuple[float, Array]] = {}
        for _ in range(min(most, len(self.choices))):
            rows, taken = self._changed(rows, taken)
            if not len(rows):
                break
            miss = self._miss(rows)
            cost = self.cost(rows)
            for i in np.flatnonzero(miss == 0):
                key = taken[i].tobytes()
                if key not in reached or cost[i] < reached[key][0]:
                    reached[key] = (float(cost[i]), rows[[i]])
            open_ = np.flatnonzero(miss > 0)
            kept = open_[_best(miss[open_], cost[open_], taken[open_])]
            rows, taken = rows[kept], taken[kept]
            if len(reached) >= 4 * count:
                break
        first = sorted(reached.items(), key=lambda r: r[1][0])[: 4 * count]
        moved = [(self._back(row, np.frombuffer(key, bool))) for key, (_, row) in first]
        costs = [float(self.cost(m)[0]) for m in moved]
        return self._different([moved[i] for i in np.argsort(costs, kind="stable")], count)

    def cost(self, rows: Array) -> Array:
        """What the changes of rows cost: (row,)."""
        total = np.zeros(len(rows))
        for c in self.choices:
            away = np.abs(c.variable.numbers(rows) - c.variable.numbers(self.old))
            changed = (rows[:, c.variable.places] != self.old[:, c.variable.places]).any(1)
            total += np.where(changed, (1.0 if c.variable.kind == "category" else away / c.unit) + EACH, 0)
        return total

    def _changed(self, rows: Array, taken: Array) -> tuple[Array, Array]:
        """Change every row once more, in every column that it has left alone."""
        found, marks = [rows[:0]], [taken[:0]]
        for k, c in enumerate(self.choices):
            free = ~taken[:, k]
            for value in c.values if free.any() else ():
                part, mark = rows[free].copy(), taken[free].copy()
                c.variable.put(part, float(value))
                mark[:, k] = True
                found.append(part)
                marks.append(mark)
        both = np.concatenate(found), np.concatenate(marks)
        _, first = np.unique(both[0], axis=0, return_index=True)  # two orders of the same changes meet again
        first.sort()
        return both[0][first], both[1][first]

    def _miss(self, rows: Array) -> Array:
        said = answers(self.ask, self.frame, rows).astype(np.float64)
        miss = self.goal.miss(said)
        nearest = said[[int(np.nan_to_num(miss, nan=np.inf).argmin())]]
        if not np.isfinite(self.best) or self.goal.miss(nearest)[0] < self.missed:
            self.best, self.missed = float(nearest[0, self.goal.output]), float(self.goal.miss(nearest)[0])
        return miss

    def _back(self, row: Array, taken: Array) -> Array:
        """Move each changed number back towards its own value as far as the goal stays reached; verified by runs."""
        for k in np.flatnonzero(taken):
            c = self.choices[int(k)]
            if c.limits is None:
                continue
            near = float(np.clip(c.variable.numbers(self.old)[0], *c.limits))
            far = float(c.variable.numbers(row)[0])
            for _ in range(HALVINGS):
                middle = (near + far) / 2
                middle = float(np.round(middle)) if c.whole else middle
                if middle in (near, far):
                    break
                trial = row.copy()
                c.variable.put(trial, middle)
                if self._miss(trial)[0] == 0:
                    far, row = middle, trial
                else:
                    near = middle
        return row

    def _different(self, rows: list[Array], count: int) -> list[Array]:
        """Take the cheapest first; leave out a row that changes all that one taken has changed, and more."""
        found: list[Array] = []
        sets: list[set[str]] = []
        for row in rows:
            own = {name for name, _, _ in _changes(self.frame, self.old, row)}
            if own and not any(other <= own for other in sets):
                found.append(row)
                sets.append(own)
        return found[:count]


def _best(miss: Array, cost: Array, taken: Array) -> Array:
    """Keep the rows nearest to the goal, and of each set of columns a few alone, so that they stay different."""
    kept: list[int] = []
    seen: dict[bytes, int] = {}
    for i in np.lexsort((cost, miss)):
        key = taken[i].tobytes()
        if seen.get(key, 0) < 3:
            seen[key] = seen.get(key, 0) + 1
            kept.append(int(i))
        if len(kept) == BEAM:
            break
    return np.array(kept, int)


def _changes(frame: Frame, old: Array, new: Array) -> tuple[tuple[str, str, str], ...]:
    return tuple(
        (v.name, v.word(float(v.numbers(old)[0])), v.word(float(v.numbers(new)[0])))
        for v in frame.variables
        if (old[:, v.places] != new[:, v.places]).any()
    )
