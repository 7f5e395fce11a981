"""Break-down: a prediction as the mean prediction plus what each variable adds when it is set in turn."""

import time
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from xaikit.arrays import Array, chunks
from xaikit.errors import InputError, ParameterError, TargetError
from xaikit.inputs import At, Classes
from xaikit.model import Model
from xaikit.progress import Progress, bar
from xaikit.results import BreakDown
from xaikit.tabular._reading import Asked, about, answers, judged, output_of, questions, read, rows_at_once
from xaikit.tabular._variables import Frame, frame_of

Entry = tuple[int, ...]
"""One variable, or two that are set at once."""


def break_down(
    model: Model,
    X: Any,
    x: Any,
    target: Any = None,
    interactions: bool = False,
    order: Sequence[Any] | None = None,
    *,
    score: str | None = None,
    preference: float = 1.0,
    variables: Any = None,
    progress: Progress | bool | None = None,
) -> BreakDown:
    """Give the mean prediction over `X`, and what each value of `x` adds to it when set in turn, as BreakDown.

    X: the rows of reference. x: one row or several. With E(S) the mean over X of what the model says when the columns S
    have the values of x, each variable adds E(S and it) - E(S), S those set before it; the sum is f(x) - E(). Without
    `order` variables come by decreasing |E(it) - E()|. `interactions`: pairs compete too, by what they do together
    beyond what each does, times `preference`; an entry is taken if all its variables are still open, and both of a
    pair are then set at once, under the name "a:b". `order` names variables, and pairs as "a:b" or tuples, in the order
    to take; those left out follow by size.

    target: what `contributions` are of; None is each row's predicted class, or the only output; of a network with
    several outputs xk.At(output=...), with an index or without. All classes or values of that output are in `every`, in
    the same order, from the same runs. score: "probability" (the default for Classes), "logit", "output".
    variables: as in `xaikit.importance`; what none of them holds is one more.

    Contributions are (sample, variable), intercept and prediction (sample,). Raises InputError, TargetError,
    UnknownName, ParameterError. Source: Staniak and Biecek, "Explanations of model predictions with live and breakDown
    packages" (2018); Gosiewska and Biecek, "Do not trust additive explanations" (2019).
    """
    start = time.perf_counter()
    reference = read(model, X, "break_down")
    rows = read(model, x, "break_down")
    frame = frame_of(model.inputs, reference, variables, whole=True)
    ask, entry = entries_of(model, rows, target, score)
    said = answers(ask, frame, frame.flatten(rows))
    chosen = explained(ask, said, entry)
    fixed = None if order is None else _entries(order, frame)
    with bar(progress, f"break-down for {model.name}") as shown:
        steps = Steps(ask, frame, frame.flatten(reference), interactions, preference, fixed)
        found = []
        for i, row in enumerate(frame.flatten(rows)):
            found.append(steps.of(row, chosen[i], said[i]))
            shown(i + 1, len(rows))
    return gathered(
        found,
        frame,
        frame.flatten(rows),
        chosen,
        ask,
        score=ask.score,
        interactions=interactions,
        rows=len(reference),
        origin=about(
            ask,
            rows,
            "break-down",
            {"interactions": interactions, "order": None if order is None else [str(o) for o in order], "score": score},
            start,
        ),
    )


def entries_of(model: Model, x: Array, target: Any, score: str | None) -> tuple[Asked, Any]:
    """Ask for all classes or values of the output that a target is of, and give which is meant (None: not said)."""
    name, spec, entry = output_of(model, target)
    plain = entry is None or (isinstance(entry, int | str | np.integer) and not isinstance(entry, bool))
    if not plain or not hasattr(spec, "names"):
        return questions(model, x, target, score), None
    return questions(model, x, None if name is None else At(name), score), entry


def explained(ask: Asked, said: Array, entry: Any) -> Array:
    """Give the output that is explained for each row: (row,) indices. Raises TargetError."""
    if entry is not None:
        return np.full(len(said), ask.spec.index(entry))
    if len(ask.names) == 1:
        return np.zeros(len(said), int)
    if isinstance(ask.spec, Classes):
        return np.asarray(said.argmax(1))
    raise TargetError(f"the model has {len(ask.names)} outputs; choose one as target: {', '.join(ask.names)}")


def _entries(order: Sequence[Any], frame: Frame) -> list[Entry]:
    """Turn names, and pairs of names, into indices of variables. Raises UnknownName, ParameterError."""
    if isinstance(order, str):
        raise ParameterError(f"order lists the variables to set, one after the other, not the one string {order!r}")
    found: list[Entry] = []
    for item in order:
        names = [item] if item in frame.names or not isinstance(item, str | tuple) else item
        names = names.split(":") if isinstance(names, str) else list(names)
        found.append(tuple(frame.variables.index(frame[n]) for n in names))
    flat = [i for entry in found for i in entry]
    if len(set(flat)) != len(flat):
        raise ParameterError("order names a variable twice")
    return found


class Steps:
    """The steps from a reference (row, place) to single rows; what the reference itself gives is asked for once."""

    def __init__(
        self,
        ask: Asked,
        frame: Frame,
        reference: Array,
        interactions: bool,
        preference: float,
        order: list[Entry] | None,
    ) -> None:
        if interactions and not preference > 0:
            raise ParameterError(f"preference is a number above 0, not {preference!r}")
        self.ask, self.frame, self.reference = ask, frame, reference
        self.interactions, self.preference, self.order = interactions, preference, order
        self.mean = answers(ask, frame, reference).mean(0, dtype=np.float64)

    def of(self, row: Array, output: int, said: Array) -> "Path":
        """Set the variables of one row, in the order of one of the outputs."""
        count = len(self.frame.variables)
        sets: list[Entry] = [(i,) for i in range(count)]
        if self.interactions:
            sets += combinations(range(count), 2)
        alone = self.means(row, sets) - self.mean
        singles = alone[:count]
        size: dict[Entry, float] = {(i,): abs(float(singles[i, output])) for i in range(count)}
        for pair, both in zip(sets[count:], alone[count:], strict=True):
            beyond = both - singles[pair[0]] - singles[pair[1]]
            size[pair] = abs(float(beyond[output])) * self.preference
        taken = _taken(size, self.order or [], count)
        before = list(np.cumsum([len(e) for e in taken]))
        flat = [i for entry in taken for i in entry]
        middle = self.means(row, [tuple(flat[:k]) for k in before[:-1]])
        levels = np.vstack([self.mean[None], middle, said[None]])
        return Path(taken, np.diff(levels, axis=0), singles, self.mean, said)

    def means(self, row: Array, sets: Sequence[Entry]) -> Array:
        """Mean over the reference with some variables set to those of the row: (set, output)."""
        places = [np.concatenate([self.frame.variables[i].places for i in s]) for s in sets]
        return means(self.ask, self.frame, self.reference, row, places)


class Path:
    """The steps of one row: entries, what each adds (step, output), single effects, start and end (output,)."""

    def __init__(self, entries: list[Entry], adds: Array, singles: Array, start: Array, end: Array) -> None:
        self.entries, self.adds, self.singles, self.start, self.end = entries, adds, singles, start, end


def means(ask: Asked, frame: Frame, reference: Array, row: Array, places: Sequence[Array]) -> Array:
    """Mean answer over a reference (row, place) with each set of places as in one row: (set, output)."""
    total = np.zeros((len(places), len(ask.names)))
    n, step = len(reference), rows_at_once(ask, reference)
    together = max(1, step // n)
    for group in chunks(len(places), together):
        some = places[group]
        for s in chunks(n, step):
            size = s.stop - s.start
            block = np.broadcast_to(reference[s], (len(some), size, reference.shape[1])).copy()
            for part, own in zip(block, some, strict=True):
                part[:, own] = row[own]
            said = ask(frame.restore(block.reshape(-1, reference.shape[1])))
            total[group] += said.reshape(len(some), size, -1).sum(1, dtype=np.float64)
    return total / n


def _taken(size: dict[Entry, float], first: list[Entry], count: int) -> list[Entry]:
    """Walk down the entries by size; take each whose variables are all still open."""
    found: list[Entry] = []
    taken: set[int] = set()
    for entry in [*first, *sorted(size, key=lambda e: -size[e])]:
        if not taken & set(entry):
            found.append(entry)
            taken |= set(entry)
        if len(taken) == count:
            break
    return found


def gathered(paths: list[Path], frame: Frame, flat: Array, chosen: Array, ask: Asked, **about: Any) -> BreakDown:
    """Put the steps of all rows side by side."""
    count = len(frame.variables)
    pairs = sorted({e for p in paths for e in p.entries if len(e) > 1})
    entries: list[Entry] = [*((i,) for i in range(count)), *pairs]
    place = {e: i for i, e in enumerate(entries)}
    longest = max(len(p.entries) for p in paths)
    every = np.zeros((len(paths), len(entries), len(ask.names)))
    order = np.full((len(paths), longest), -1)
    for i, p in enumerate(paths):
        at = [place[e] for e in p.entries]
        every[i, at], order[i, : len(at)] = p.adds, at
    samples = np.arange(len(paths))
    name: Callable[[Entry], str] = lambda e: ":".join(frame.names[i] for i in e)  # noqa: E731
    intercepts = np.stack([p.start for p in paths])
    predictions = np.stack([p.end for p in paths]).astype(np.float64)
    contributions = every[samples, :, chosen]
    return BreakDown(
        variables=tuple(name(e) for e in entries),
        contributions=contributions,
        intercept=intercepts[samples, chosen],
        prediction=predictions[samples, chosen],
        order=order,
        singles=np.stack([p.singles[:, k] for p, k in zip(paths, chosen, strict=True)]),
        values=tuple(tuple(_said(frame, e, row) for e in entries) for row in flat),
        targets=tuple(ask.names[k] for k in chosen),
        outputs=ask.names,
        every=every,
        intercepts=intercepts,
        predictions=predictions,
        status=judged(values=contributions),
        **about,
    )


def _said(frame: Frame, entry: Entry, row: Array) -> str:
    some = [frame.variables[i] for i in entry]
    return ", ".join(v.word(float(v.numbers(row[None])[0])) for v in some)


def require_one(rows: Array, what: str) -> None:
    """Raise InputError for more than one row."""
    if len(rows) != 1:
        raise InputError(f"{what} takes one row, not {len(rows)}")
