"""Training curves as panels: one per metric, training and validation in it."""

import numpy as np

from xaikit.figures._attribution import panels
from xaikit.figures._data import CurvePanel, Figure, Mark, Trace
from xaikit.figures._words import number
from xaikit.results import Curve, Curves

PER_ROW = 2
RATES = ("learning_rate", "lr")
DECADES = 2.0
"""A panel whose positive values span more than so many powers of ten has a logarithmic axis."""


@panels.register
def _curves(result: Curves, *, shared: bool = False) -> Figure:
    by_metric: dict[tuple[str, str], list[Curve]] = {}
    for curve in result.curves:
        by_metric.setdefault((curve.metric, curve.axis), []).append(curve)
    parts = list(dict.fromkeys(c.part for c in result.curves))
    judged = result.curves[0].axis
    drawn = [
        _panel(members, parts, result.best if axis == judged and metric not in RATES else None)
        for (metric, axis), members in by_metric.items()
    ]
    rows = tuple(tuple(drawn[k : k + PER_ROW]) for k in range(0, len(drawn), PER_ROW))
    notes = (*_overfitting(result), *_notes(drawn))
    return Figure(title=f"Training of {result.source}", subtitle=_said(result), rows=rows, notes=notes)


def _panel(curves: list[Curve], parts: list[str], best: float | None) -> CurvePanel:
    traces = tuple(
        Trace(c.part, c.steps, c.values, parts.index(c.part), "validation" in c.part or "test" in c.part)
        for c in curves
    )
    first = curves[0]
    values = np.concatenate([c.values[np.isfinite(c.values)] for c in curves])
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    wide = bool(low > 0 and np.log10(high / low) > DECADES)
    return CurvePanel(
        title=_spoken(first.metric),
        subtitle="logarithmic" if wide else "",
        traces=traces,
        mark=_mark(curves, best),
        x_label=first.axis,
        logarithmic=wide,
        alt=f"{_spoken(first.metric)} over {first.axis}s: " + "; ".join(map(_story, curves)) + ".",
    )


def _mark(curves: list[Curve], best: float | None) -> Mark | None:
    """The best weights, on the validation curve where it has that step."""
    if best is None:
        return None
    for curve in sorted(curves, key=lambda c: "validation" not in c.part):
        place = np.flatnonzero(curve.steps == best)
        if len(place) and np.isfinite(curve.values[place[0]]):
            value = float(curve.values[place[0]])
            return Mark(best, value, f"best {curve.axis} {best:g}: {number(value)}")
    return None


def _story(curve: Curve) -> str:
    finite = curve.values[np.isfinite(curve.values)]
    if not len(finite):
        return f"{curve.part} is never a number"
    return f"{curve.part} from {number(float(finite[0]))} to {number(float(finite[-1]))}"


def _said(result: Curves) -> str:
    first = result.curves[0]
    last = max(float(c.steps[-1]) for c in result.curves if c.axis == first.axis)
    best = "" if result.best is None else f"; best validation loss at {first.axis} {result.best:g}"
    return f"{first.axis}s up to {last:,.0f}{best}"


def _overfitting(result: Curves) -> tuple[str, ...]:
    """Say whether the training loss went on falling after the best weights while the validation loss rose."""
    if result.best is None:
        return ()
    moves = {}
    for curve in result.curves:
        after = np.isfinite(curve.values) & (curve.steps >= result.best)
        if curve.metric.lower() == "loss" and curve.part in ("training", "validation") and after.sum() > 1:
            moves[curve.part] = curve.values[after][[0, -1]]
    if len(moves) < 2:
        return ()
    axis, learnt, judged = result.curves[0].axis, moves["training"], moves["validation"]
    if learnt[1] >= learnt[0] or judged[1] <= judged[0]:
        return ()
    return (
        f"After {axis} {result.best:g} the training loss falls on, from {number(float(learnt[0]))} to "
        f"{number(float(learnt[1]))}, while the validation loss rises from {number(float(judged[0]))} to "
        f"{number(float(judged[1]))}, a sign of overfitting.",
    )


def _notes(drawn: list[CurvePanel]) -> tuple[str, ...]:
    gaps = any(not np.isfinite(t.y).all() for p in drawn for t in p.traces)
    return ("A line is broken where the value is not a number.",) if gaps else ()


def _spoken(metric: str) -> str:
    words = metric.replace("_", " ").replace("/", " ")
    return words[:1].upper() + words[1:]
