"""What a data set of rows says of a model, as panels: importance, break-down, profiles, what-if, fairness."""

from collections.abc import Sequence

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import many
from xaikit.figures._attribution import panels
from xaikit.figures._data import (
    Badge,
    BarPanel,
    CurvePanel,
    Figure,
    Mark,
    Panel,
    Scale,
    SurfacePanel,
    TablePanel,
    Trace,
)
from xaikit.figures._insight import listed, network
from xaikit.figures._words import number, seconds, spoken, story_of_bars
from xaikit.results import BreakDown, Counterfactuals, Effect, Fairness, Importance, Origin, Profile, Status, WhatIf

BARS = 20
"""Variables that are drawn."""
SAMPLES = 4
CLASSES = 8
BEHIND = 30
"""Curves of single rows that are drawn behind a mean."""
WITHOUT_CHECK = Badge("none", "nothing here can be checked without knowing the truth")
MEASURED = ("share predicted positive", "true positive rate", "false positive rate", "mean probability less share")
"""The measures of fairness that have a panel of bars."""


def _cost(origin: Origin) -> str:
    return f"{origin.model_calls:,} model calls · {seconds(origin.seconds)} · seed {origin.seed}"


def _trust(status: Status, held: str) -> Badge:
    return Badge(str(status), "; ".join(status.reasons)) if status != "ok" else Badge("ok", held)


# ---------------------------------------------------------------- importance


@panels.register
def _importance(result: Importance, *, shared: bool = False) -> Figure:
    order = result.order[:BARS]
    names = tuple(result.variables[i] for i in order)
    values = result.difference[order]
    left = len(result) - len(order)
    rows: list[Panel] = [
        BarPanel(
            labels=names,
            values=values,
            points=result.differences[order],
            unit=f"rise of {result.loss}",
            ends=("better without it", "worse without it"),
            title=f"Rise of {result.loss} when a variable is shuffled",
            subtitle=f"loss {number(result.baseline)} as it is, {number(float(result.reference.mean()))} with the "
            "truth shuffled",
            facts=(f"Bars are means of {many(result.losses.shape[1], 'repeat')}, strokes the repeats.",)
            + ((f"{many(left, 'variable')} of less weight not shown.",) if left else ()),
            badge=_trust(result.status, "the model does better than with the truth shuffled"),
            alt=story_of_bars(names, values, f"Rise of {result.loss}"),
        )
    ]
    if len(result.outputs) > 2:
        rows.append(_by_output(result, order))
    return Figure(
        title="What the model relies on",
        subtitle=f"{network(result.origin)} · {many(result.rows, 'row')} · {_cost(result.origin)}",
        rows=(tuple(rows),),
    )


def _by_output(result: Importance, order: Array) -> SurfacePanel:
    outputs = result.outputs[:CLASSES]
    values = np.stack([result.of(o)[order] for o in outputs], 1)
    return SurfacePanel(
        values=values,
        rows=tuple(result.variables[i] for i in order),
        columns=tuple(outputs),
        scale=Scale(_limit(values), f"rise of {result.loss}"),
        written=True,
        title="By output",
        subtitle=f"rise of {result.loss} over the rows of each class, or for each output",
        alt=f"Rise of {result.loss} by variable and output.",
    )


def _limit(values: Array) -> float:
    found = np.abs(values[np.isfinite(values)])
    return float(found.max()) if found.size and found.max() > 0 else 1.0


# ---------------------------------------------------------------- break-down


@panels.register
def _break_down(result: BreakDown, *, shared: bool = False) -> Figure:
    shown = range(min(len(result), SAMPLES))
    left = len(result) - len(shown)
    kind = "with interactions" if result.interactions else "one variable after the other"
    return Figure(
        title=f"Break-down of the {result.score} of {listed(dict.fromkeys(result.targets), 4)}",  # type: ignore[arg-type]
        subtitle=f"{network(result.origin)} · {kind} · reference: {many(result.rows, 'row')} · {_cost(result.origin)}",
        rows=tuple((waterfall(result, i),) for i in shown),
        notes=(f"{many(left, 'sample')} more not shown.",) if left else (),
    )


def waterfall(result: BreakDown, i: int, first: str = "", last: str = "prediction") -> BarPanel:
    """Give the way from the intercept to the prediction of one sample; the smallest contributions as one."""
    path = result.path(i)
    rest = sum(c for _, _, c in path[BARS:])
    steps = [(f"{name.replace(':', ' : ')} = {value}", c) for name, value, c in path[:BARS]]
    steps += [(f"{len(path) - BARS} more", rest)] if len(path) > BARS else []
    first = first or ("mean prediction" if result.rows > 1 else "reference row")
    start, end = float(result.intercept[i]), float(result.prediction[i])
    values = np.array([0.0, *(c for _, c in steps), 0.0])
    levels = start + np.cumsum(values)
    labels = (first, *(label for label, _ in steps), last)
    said = (number(start), *(f"{'+' if c > 0 else ''}{number(c)}" for _, c in steps), number(end))
    return BarPanel(
        labels=labels,
        values=values,
        starts=levels - values,
        said=said,
        unit=result.score,
        title=result.targets[i],
        subtitle=f"{number(start)} {'+' if end >= start else '−'} {number(abs(end - start))} = {number(end)}",
        badge=_trust(result.status, f"contributions sum to the prediction, gap {number(float(abs(result.gap[i])), 1)}"),
        alt=story_of_bars(labels[1:-1], values[1:-1], f"From {first} {number(start)} to {number(end)}"),
    )


# ---------------------------------------------------------------- profiles


@panels.register
def _profile(result: Profile, *, shared: bool = False) -> Figure:
    kind = {"ale": "Accumulated local effects", "ceteris-paribus": "Ceteris paribus"}
    drawn = [panel for effect in result.effects for panel in _effect(result, effect)]
    return Figure(
        title=kind.get(result.kind, spoken(result.kind)),
        subtitle=f"{network(result.origin)} · {result.score} · {many(result.rows, 'row')} · {_cost(result.origin)}",
        rows=tuple(tuple(drawn[k : k + 2]) for k in range(0, len(drawn), 2)),
        notes=(_about(result), *result.status.reasons),
    )


def _about(result: Profile) -> str:
    if result.kind == "ale":
        return "Zero is the mean over the data: a curve says how much more or less the model answers there."
    behind = "Pale lines are single rows. " if any(len(e.curves) > 1 for e in result) else ""
    return f"{behind}Rows are asked with the column set to each value, whether or not there are such rows."


def _effect(result: Profile, effect: Effect) -> list[Panel]:
    chosen = _outputs(result)
    if len(effect.columns) == 2:
        return [_surface(result, effect, k) for k in chosen[:2]]
    if effect.kinds[0] == "category":
        return [_categories(result, effect, k) for k in chosen[:2]]
    return [_curve(result, effect, chosen)]


def _outputs(result: Profile) -> list[int]:
    """Choose the outputs to draw: of two classes the second, which says all, else the first few."""
    count = len(result.outputs)
    return [1] if count == 2 and result.score == "probability" else list(range(min(count, CLASSES)))


def _facts(effect: Effect, output: int) -> tuple[str, ...]:
    facts = [effect.remark[:1].upper() + effect.remark[1:] + "."] if effect.remark else []
    if len(effect.curves):
        mean = float(effect.oscillations[:, output].mean())
        facts.append(f"Oscillation {number(mean)}: how far single curves stray from their own prediction, on average.")
    return tuple(facts)


def _curve(result: Profile, effect: Effect, chosen: Sequence[int]) -> CurvePanel:
    x = np.asarray(effect.grid[0], np.float64)
    k = chosen[0]
    traces: list[Trace] = []
    if len(chosen) == 1 and len(effect.curves) > 1:
        some = effect.curves[np.linspace(0, len(effect.curves) - 1, min(len(effect.curves), BEHIND)).astype(int), k]
        gap = np.full((len(some), 1), np.nan)
        xs = np.tile(np.append(x, x[-1]), len(some))
        traces.append(Trace("", xs, np.concatenate([some, gap], 1).reshape(-1), -2, silent=True))
    if effect.groups:
        traces += [Trace(f"{result.by} {g}", x, effect.grouped[i, k], i + 1) for i, g in enumerate(effect.groups)]
    if not effect.groups or len(chosen) == 1:
        one = len(chosen) == 1
        named = "mean" if one and len(effect.curves) > 1 else ""
        traces += [
            Trace(named or result.outputs[c], x, effect.values[c], 0 if one else i, dashed=bool(effect.groups))
            for i, c in enumerate(chosen)
        ]
    own = None
    if len(effect.curves) == 1 and len(chosen) == 1 and effect.kinds == ("number",):
        own = Mark(float(effect.at[0, 0]), float(effect.starts[0, k]), f"this row {number(float(effect.starts[0, k]))}")
    low, high = float(effect.values[k].min()), float(effect.values[k].max())
    return CurvePanel(
        traces=tuple(traces),
        mark=own,
        x_label=effect.columns[0],
        title=effect.name,
        subtitle=f"{listed([result.outputs[c] for c in chosen], 4)} · from {number(low)} to {number(high)}",
        facts=_facts(effect, k),
        alt=f"{effect.name}: {result.outputs[k]} from {number(low)} to {number(high)}.",
    )


def _categories(result: Profile, effect: Effect, k: int) -> BarPanel:
    names = tuple(str(v) for v in effect.grid[0])
    values = effect.values[k]
    signed = result.kind == "ale"
    points = None
    if len(effect.curves) > 1:
        points = effect.curves[:BEHIND, k].T
    counted = effect.counts if effect.counts.sum() > 1 else ()
    labels = (
        tuple(f"{n} ({many(int(c), 'row')})" for n, c in zip(names, counted, strict=True)) if len(counted) else names
    )
    return BarPanel(
        labels=labels,
        values=values,
        points=points,
        unit=result.score,
        ends=("below the mean", "above it") if signed else ("", ""),
        signed=signed,
        title=effect.name,
        subtitle=result.outputs[k],
        facts=_facts(effect, k),
        alt=story_of_bars(names, values, f"{effect.name}: {result.outputs[k]}"),
    )


def _surface(result: Profile, effect: Effect, k: int) -> SurfacePanel:
    values = effect.values[k]
    middle = 0.0 if result.kind == "ale" else float((values * effect.counts).sum() / max(effect.counts.sum(), 1))
    away = (values - middle).T[::-1]
    limit = _limit(away)
    across, up = (tuple(_tick(v) for v in grid) for grid in effect.grid)
    said = "effect of both beyond that of each" if result.kind == "ale" else f"away from the mean {number(middle)}"
    return SurfacePanel(
        values=away,
        rows=up[::-1],
        columns=across,
        scale=Scale(limit, said),
        row_label=effect.columns[1],
        column_label=effect.columns[0],
        title=effect.name,
        subtitle=f"{result.outputs[k]}, {said}: from {number(-limit)} (blue) to {number(limit)} (red)",
        facts=_facts(effect, k),
        alt=f"{effect.name}: {result.outputs[k]} from {number(float(values.min()))} to {number(float(values.max()))}.",
    )


def _tick(value: object) -> str:
    return str(value) if isinstance(value, str) else number(float(value), 3)  # type: ignore[arg-type]


# ---------------------------------------------------------------- what-if


@panels.register
def _what_if(result: WhatIf, *, shared: bool = False) -> Figure:
    k = result.outputs.index(result.target)
    steps = [f"{name}: {old} → {new}" for name, old, new in result.changes]
    labels = ("as it is", *steps, *(("all together",) if len(steps) > 1 else ()))
    values = np.array([result.before[k], *result.alone[:, k], *([result.after[k]] if len(steps) > 1 else [])])
    first: list[Panel] = [
        BarPanel(
            labels=labels,
            values=values,
            signed=False,
            ends=("", ""),
            unit=result.score,
            title=f"{result.score} of {result.target}" if result.score != "output" else result.target,
            subtitle=f"{number(float(result.before[k]))} before, {number(float(result.after[k]))} after",
            facts=(
                f"Distance to the nearest rows {number(float(result.distance[0]))} before, "
                f"{number(float(result.distance[1]))} after; 99 % of the data lie within {number(result.limit)}.",
            ),
            badge=_trust(result.status, "the changed row lies where the data are"),
            alt=story_of_bars(labels, values, result.target),
        )
    ]
    if result.break_down is not None:
        first.append(waterfall(result.break_down, 0, "before", "after"))
    return Figure(
        title=f"What if {listed(steps, 3)}",
        subtitle=f"{network(result.origin)} · {_cost(result.origin)}",
        rows=(tuple(first),),
        below=((_nearest(result, k),),),
    )


def _nearest(result: WhatIf, k: int) -> TablePanel:
    """The row, the changed row and the nearest rows of the data, column by column."""
    changed = {name for name, _, _ in result.changes}
    rows = [("as it is", *map(_cell, result.row), number(float(result.before[k])))]
    rows.append(("changed", *map(_cell, result.changed), number(float(result.after[k]))))
    for i, values, said in zip(result.nearest, result.neighbours, result.neighbour_predictions, strict=True):
        rows.append((f"row {i}", *map(_cell, values), number(float(said[k]))))
    strong = {(1, c + 1) for c, name in enumerate(result.columns) if name in changed}
    headers, kept = ("", *result.columns, result.target), range(len(result.columns) + 2)
    if len(kept) > 13:  # no page is wide enough: those that change, and the answer
        kept = [0, *(c + 1 for c, name in enumerate(result.columns) if name in changed), len(kept) - 1]  # type: ignore[assignment]
    place = {c: n for n, c in enumerate(kept)}
    return TablePanel(
        headers=tuple(headers[c] for c in kept),
        rows=tuple(tuple(row[c] for c in kept) for row in rows),
        strong=frozenset((r, place[c]) for r, c in strong if c in place),
        title="The nearest rows of the data",
        subtitle=f"to the changed row, at {listed([number(float(d)) for d in result.distances], 5)}",
        alt=f"The {len(result.nearest)} nearest rows of the data.",
    )


def _cell(value: object) -> str:
    return number(float(value), 6) if isinstance(value, float) else str(value)


def _between(low: float, high: float) -> str:
    """Say what a number has to lie between."""
    if not np.isfinite(high):
        return "more than 0.5" if low == np.nextafter(0.5, 1) else f"{number(low)} or more"
    return f"{number(low)} to {number(high)}" if np.isfinite(low) else f"{number(high)} or less"


@panels.register
def _counterfactuals(result: Counterfactuals, *, shared: bool = False) -> Figure:
    names = list(dict.fromkeys(name for some in result.changes for name, _, _ in some))
    old = {name: was for some in result.changes for name, was, _ in some}
    rows = [("as it is", *(old[n] for n in names), number(result.start), "")]
    strong = set()
    for i, some in enumerate(result.changes):
        new = {name: to for name, _, to in some}
        rows.append(
            (
                f"{i + 1}" + (" (off the data)" if result.off_data[i] else ""),
                *(new.get(n, "same") for n in names),
                number(float(result.scores[i])),
                number(float(result.costs[i])),
            )
        )
        strong |= {(i + 1, c + 1) for c, n in enumerate(names) if n in new}
    return Figure(
        title=f"What would have to change for {result.wanted}",
        subtitle=f"{network(result.origin)} · {_cost(result.origin)}",
        rows=(
            (
                TablePanel(
                    headers=("", *names, f"{result.score} of {result.wanted}", "cost"),
                    rows=tuple(rows),
                    strong=frozenset(strong),
                    title=f"{many(len(result), 'row')} found",
                    subtitle=f"wanted: {_between(*result.bounds)}; the nearest first",
                    facts=() if result.found else (f"The nearest that was seen is {number(result.best)}.",),
                    badge=_trust(result.status, "each was run through the model"),
                    alt=f"{len(result)} counterfactuals over {listed(names)}.",
                ),
            ),
        ),
    )


# ---------------------------------------------------------------- fairness


@panels.register
def _fairness(result: Fairness, *, shared: bool = False) -> Figure:
    rows = []
    for i, group in enumerate(result.groups):
        cells = [
            f"{number(v, 2)} ({number(a, 2)} to {number(b, 2)})" if np.isfinite(v) else "–"
            for v, a, b in zip(result.values[i], result.low[i], result.high[i], strict=True)
        ]
        rows.append((group, f"{int(result.counts[i]):,}", *cells))
    table = TablePanel(
        headers=(result.by, "rows", *result.measures),
        rows=tuple(rows),
        title="Every measure, with its 95 % interval",
        badge=_trust(result.status, "every group has rows enough for intervals"),
        alt=f"{len(result.measures)} measures by {result.by}.",
    )
    shown = [m for m in MEASURED if m in result.measures] or list(result.measures[2:])
    bars = tuple(_measure(result, m) for m in shown)
    about = f" · {result.positive} from {number(result.cutoff)} on" if result.positive else ""
    return Figure(
        title=f"How the model does by {result.by}",
        subtitle=f"{network(result.origin)} · {many(int(result.counts.sum()), 'row')}{about} · {_cost(result.origin)}",
        rows=tuple(bars[k : k + 2] for k in range(0, len(bars), 2)),
        below=((table,),),
    )


def _measure(result: Fairness, measure: str) -> BarPanel:
    k = result.measures.index(measure)
    signed = "less" in measure or "error" in measure
    values = result.values[:, k]
    return BarPanel(
        labels=tuple(f"{g} ({int(n):,})" for g, n in zip(result.groups, result.counts, strict=True)),
        values=values,
        intervals=np.stack([result.low[:, k], result.high[:, k]], 1),
        signed=signed,
        ends=("too low", "too high") if signed else ("", ""),
        title=measure[:1].upper() + measure[1:],
        alt=story_of_bars(result.groups, np.nan_to_num(values), measure),
    )
