"""Profiles: how the answer goes with a column: partial dependence, ceteris paribus, accumulated local effects."""

import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import InputError, ParameterError, UnknownName
from xaikit.model import Model
from xaikit.progress import Progress, bar
from xaikit.results import Effect, Profile
from xaikit.tabular._ale import ale
from xaikit.tabular._reading import (
    Asked,
    Edit,
    about,
    answers,
    constant,
    edited,
    judged,
    questions,
    read,
    require_count,
    require_seed,
)
from xaikit.tabular._variables import Frame, Variable, frame_of

PROFILES = ("partial-dependence", "ceteris-paribus", "ale")
BEHIND = 50
"""Rows whose own curves are kept beside a partial dependence."""
PARTS = 3
"""Groups that a column of numbers is cut into."""


def profile(
    model: Model,
    X: Any,
    columns: Any,
    kind: str = "partial-dependence",
    rows: Any = None,
    grid: Any = 20,
    target: Any = None,
    *,
    by: Any = None,
    spacing: str = "uniform",
    score: str | None = None,
    seed: int = 0,
    variables: Any = None,
    progress: Progress | bool | None = None,
) -> Profile:
    """Give how the model's answer goes with columns of `X`, as Profile: an Effect for each column or pair.

    columns: a name, or a list of names and of pairs (name, name). kind: "partial-dependence", the mean over rows of the
    answer with the column set to each value z; "ceteris-paribus", the same with the curve of every row (ICE); "ale",
    accumulated local effects: the mean differences over bins between quantiles, summed up, with mean zero over the
    data. rows: for ceteris-paribus the rows whose curves are asked for, as a person has them; for all kinds a whole
    number takes so many rows of X, drawn by `seed`. None is all of X.

    grid: how many values (`spacing` "uniform" from the least to the largest, or "quantiles"; bins for ale), "observed"
    (each value that occurs, weighted by how often), the values themselves, or a mapping from column to these.
    Categories take all of theirs; ale puts them in an order of likeness by the other columns (Apley and Zhu 2020,
    appendix E). target: an output; None is all of them. by: a column, or a label for every row, for which groups of
    rows have curves of their own (numbers are cut into thirds). variables: as in `xaikit.importance`; the value of a
    window or channel is its mean, and setting it shifts all its numbers; that of a band is its amplitude.

    Curves are (output, *grid), those of single rows (row, output, *grid). Raises UnknownName, InputError,
    ParameterError, TargetError. Source: Friedman, "Greedy function approximation"
    (2001), section 8.2; Goldstein et al., "Peeking inside the black box" (2015); Apley and Zhu, "Visualizing the
    effects of predictor variables in black box supervised learning models" (2020).
    """
    if kind not in PROFILES:
        raise UnknownName("kind of profile", kind, PROFILES)
    if spacing not in ("uniform", "quantiles"):
        raise ParameterError(f"spacing is 'uniform' or 'quantiles', not {spacing!r}")
    require_seed(seed)
    start = time.perf_counter()
    data = read(model, X, "profile")
    frame = frame_of(model.inputs, data, variables)
    asked = _asked(columns, frame)
    own, labels = _rows(model, data, rows, kind, seed, by)
    ask = questions(model, own, target, score)
    grids = [tuple(_grid(v, frame.flatten(data), grid, spacing, kind) for v in vs) for vs in asked]
    groups = _groups(frame, frame.flatten(own), by, labels)
    total = len(asked)
    with bar(progress, f"profile of {model.name}") as shown:
        flat = frame.flatten(own)
        given = answers(ask, frame, flat) if kind != "ale" else np.empty((0, len(ask.names)))
        effects = []
        for k, (chosen, values) in enumerate(zip(asked, grids, strict=True)):
            if kind == "ale":
                effects.append(ale(ask, frame, flat, chosen, values, groups))
            else:
                kept = _kept(len(flat), kind, seed)
                effects.append(_set(ask, frame, flat, given, chosen, values, groups, kept))
            shown(k + 1, total)
    still = [n for n in constant(frame, frame.flatten(data)) if any(n == v.name for vs in asked for v in vs)]
    return Profile(
        kind=kind,
        effects=tuple(effects),
        outputs=ask.names,
        score=ask.score,
        by="" if by is None else by if isinstance(by, str) else "group",
        rows=len(own),
        status=judged(
            (bool(still), f"the same in all rows: {', '.join(still)}"),
            values=np.concatenate([e.values.reshape(-1) for e in effects]),
        ),
        origin=about(ask, own, kind, {"columns": [e.name for e in effects], "spacing": spacing}, start, seed),
    )


def _asked(columns: Any, frame: Frame) -> list[tuple[Variable, ...]]:
    if isinstance(columns, str | int | np.integer):
        columns = [columns]
    if not isinstance(columns, Sequence) or not len(columns):
        raise ParameterError(f"columns are a name or a list of names and pairs, not {columns!r}")
    found = []
    for item in columns:
        names = item if isinstance(item, tuple) else (item,)
        if len(names) > 2 or len(set(names)) < len(names):
            raise ParameterError(f"a profile is of one column or of two different ones, not {names}")
        found.append(tuple(frame[n] for n in names))
    return found


def _rows(model: Model, data: Array, rows: Any, kind: str, seed: int, by: Any) -> tuple[Array, Array | None]:
    """Give the rows that are asked about, and their labels where `by` is one for every row of X."""
    labels = None if by is None or isinstance(by, str) else np.asarray(by)
    if labels is not None and labels.shape != (len(data),):
        raise InputError(
            f"by has shape {labels.shape}: give a column's name, or one label for each of {len(data)} rows"
        )
    if rows is None:
        return data, labels
    if isinstance(rows, int | np.integer) and not isinstance(rows, bool):
        require_count("rows", rows)
        chosen = np.sort(np.random.default_rng(seed).permutation(len(data))[:rows])
        return data[chosen], None if labels is None else labels[chosen]
    if kind == "ale":
        raise ParameterError("ale is of a data set: rows= is a number of them")
    if labels is not None:
        raise ParameterError("labels in by= are of the rows of X: with rows= name a column")
    return read(model, rows, "profile"), None


def _kept(count: int, kind: str, seed: int) -> Array:
    """Say whose curves are kept: of all rows, or of some of them behind a partial dependence."""
    if kind == "ceteris-paribus" or count <= BEHIND:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).permutation(count)[:BEHIND])


def _grid(variable: Variable, flat: Array, grid: Any, spacing: str, kind: str) -> tuple[Array, Array]:
    """Give the values of a variable, as numbers, and how much each counts: (place,) both."""
    if isinstance(grid, Mapping):
        grid = grid.get(variable.name, 20)
    seen = variable.numbers(flat)
    if variable.kind == "category":
        places = np.arange(len(variable.words), dtype=np.float64)
        return places, np.full(len(places), 1 / len(places))
    if isinstance(grid, str):
        if grid != "observed":
            raise ParameterError(f"grid is a number, values, 'observed', or a mapping of these by column, not {grid!r}")
        values, counts = np.unique(seen, return_counts=True)
        return values, counts / counts.sum()
    if np.ndim(grid) == 1:
        values = np.unique(np.asarray(grid, np.float64))
        if not len(values) or not np.isfinite(values).all():
            raise ParameterError(f"the grid of {variable.name!r} holds no values, or some that are not finite")
    else:
        require_count("grid", grid, 1 if kind == "ale" else 2)
        if kind == "ale":
            values = np.unique(np.quantile(seen, np.linspace(0, 1, int(grid) + 1), method="inverted_cdf"))
        elif spacing == "quantiles":
            values = np.unique(np.quantile(seen, np.linspace(0, 1, int(grid))))
        else:
            values = np.unique(np.linspace(seen.min(), seen.max(), int(grid)))
    return values, np.full(len(values), 1 / len(values))


def _groups(frame: Frame, flat: Array, by: Any, labels: Array | None) -> dict[str, Array]:
    """Give the rows of every group by its name."""
    if by is None:
        return {}
    if labels is not None:
        return grouped(labels)
    variable = frame[by]
    numbers = variable.numbers(flat)
    if variable.kind == "category":
        return {str(w): np.flatnonzero(numbers == i) for i, w in enumerate(variable.words) if (numbers == i).any()}
    return grouped(numbers)


def grouped(labels: Array) -> dict[str, Array]:
    """Give the rows of every label; numbers of more than a few values are cut at their thirds."""
    labels = np.asarray(labels)
    different = np.unique(labels.astype(str) if labels.dtype.kind == "O" else labels)
    if labels.dtype.kind != "f" or len(different) <= 2 * PARTS:
        text = labels.astype(str) if labels.dtype.kind == "O" else labels
        return {_label(v): np.flatnonzero(text == v) for v in different}
    edges = np.unique(np.quantile(labels, np.linspace(0, 1, PARTS + 1)))
    part = np.clip(np.searchsorted(edges, labels, side="left") - 1, 0, len(edges) - 2)
    found = {f"{a:.4g} to {b:.4g}": np.flatnonzero(part == i) for i, (a, b) in enumerate(pairwise(edges))}
    return {name: rows for name, rows in found.items() if len(rows)}


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)


def _set(
    ask: Asked,
    frame: Frame,
    flat: Array,
    given: Array,
    chosen: tuple[Variable, ...],
    grids: tuple[tuple[Array, Array], ...],
    groups: Mapping[str, Array],
    kept: Array,
) -> Effect:
    """Set one or two variables of all rows to every value of the grid."""
    values = [g for g, _ in grids]
    shape = tuple(len(g) for g in values)
    places = [tuple(g[i] for g, i in zip(values, at, strict=True)) for at in np.ndindex(*shape)]

    def edit(place: tuple[float, ...]) -> Edit:
        def write(out: Array, s: slice) -> None:
            for variable, value in zip(chosen, place, strict=True):
                variable.put(out, value)

        return write

    mean = np.empty((len(places), len(ask.names)))
    curves = np.empty((len(kept), len(ask.names), len(places)))
    parts = np.empty((len(groups), len(ask.names), len(places)))
    for k, said in enumerate(edited(ask, frame, flat, [edit(p) for p in places])):
        mean[k] = said.mean(0, dtype=np.float64)
        curves[..., k] = said[kept]
        for g, rows in enumerate(groups.values()):
            parts[g, :, k] = said[rows].mean(0, dtype=np.float64)
    weights = np.asarray(grids[0][1] if len(grids) == 1 else np.outer(grids[0][1], grids[1][1]))
    return Effect(
        columns=tuple(v.name for v in chosen),
        kinds=kinds(chosen),
        grid=tuple(shown(v, g) for v, g in zip(chosen, values, strict=True)),
        values=mean.T.reshape(len(ask.names), *shape),
        curves=curves.reshape(len(kept), len(ask.names), *shape),
        starts=given[kept].astype(np.float64),
        at=np.stack([v.numbers(flat[kept]) for v in chosen], 1),
        numbers=kept,
        counts=_counts(chosen, values, flat),
        weights=weights,
        groups=tuple(groups),
        grouped=parts.reshape(len(groups), len(ask.names), *shape),
        remark="",
    )


def kinds(chosen: Sequence[Variable]) -> tuple[str, ...]:
    """Say what the values of variables are: numbers or categories."""
    return tuple("category" if v.kind == "category" else "number" for v in chosen)


def shown(variable: Variable, values: Array) -> Array:
    """Give values of a grid as a person reads them: the words of a category as text, and numbers as they are."""
    return np.array([variable.word(v) for v in values]) if variable.kind == "category" else values


def _counts(chosen: Sequence[Variable], values: Sequence[Array], flat: Array) -> Array:
    """Count the rows that are nearest to every value of the grid."""
    at = [np.abs(v.numbers(flat)[:, None] - g[None]).argmin(1) for v, g in zip(chosen, values, strict=True)]
    counts = np.zeros([len(g) for g in values], int)
    np.add.at(counts, tuple(at), 1)
    return counts
