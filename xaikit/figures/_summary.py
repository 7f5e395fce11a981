"""Summaries over a data set, and concepts, as panels: bars with their intervals, or maps over the mean picture."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import many
from xaikit.figures._attribution import panels
from xaikit.figures._colours import limit_of, paled, picture
from xaikit.figures._data import (
    Badge,
    BarPanel,
    CurvePanel,
    Figure,
    ImagePanel,
    Legend,
    MapPanel,
    Panel,
    Scale,
    Trace,
)
from xaikit.figures._words import number, percent, spoken, story, story_of_bars, time_axis
from xaikit.inputs import Image
from xaikit.results import Concepts, Summary

CLASSES, BARS = 6, 20
MAGNITUDE, SIGNED = "mean |value|", "mean value"


@panels.register
def _summary(result: Summary, *, shared: bool = False) -> Figure:
    """A row per class, at most six: how much the parts count, and in which direction. All rows have one range."""
    known = [i for i in range(len(result.classes)) if np.isfinite(result.magnitude[i]).any()]
    rows = tuple(tuple(_class(result, i)) for i in known[:CLASSES])
    rows = tuple((replace(row[0], badge=_badge(result)) if k == 0 else row[0], *row[1:]) for k, row in enumerate(rows))
    bare = ", ".join(c for i, c in enumerate(result.classes) if i not in known)
    left = len(known) - len(rows)
    maps = any(isinstance(p, MapPanel) for row in rows for p in row)
    return Figure(
        title=f"{spoken(result.method)} over {len(result)} samples",
        subtitle=f"{result.origin.model} · {spoken(result.origin.framework)} · "
        f"{percent(result.level)} confidence intervals",
        rows=rows,
        legend=_legend() if maps else None,
        notes=(
            "On the left how much every part moves the score on average, in either direction; on the right which way.",
            *((f"{left} more classes are not drawn; take them by summary[name].",) if left else ()),
            *((f"Too few samples hold the same word: {bare}.",) if bare else ()),
            *result.status.reasons,
        ),
    )


def _class(result: Summary, i: int) -> Iterator[Panel]:
    count = int(result.samples[i])
    title = f"{result.classes[i]} ({many(count, 'sample')})"
    if result.parts:
        yield from _bars(result, i, title)
    elif isinstance(result.input_spec, Image):
        yield from _maps(result, i, title)
    elif result.magnitude[i].ndim == 1 or result.magnitude.shape[2:] == (1,):
        yield from _curves(result, i, title)
    else:
        yield from _planes(result, i, title)


def _bars(result: Summary, i: int, title: str) -> Iterator[Panel]:
    """The largest parts of the class by their magnitude; both panels have them in one order."""
    order = [int(k) for k in result.ranking(result.classes[i]) if np.isfinite(result.magnitude[i, k])][:BARS]
    labels = tuple(_label(result, i, k) for k in order)
    left = int(np.isfinite(result.magnitude[i]).sum()) - len(order)
    facts = (f"{left} parts that count less are not drawn",) if left else ()
    for what, values, intervals in (
        (MAGNITUDE, result.magnitude[i, order], np.maximum(result.magnitude_interval[i, order], 0)),
        (SIGNED, result.signed[i, order], result.signed_interval[i, order]),
    ):
        yield BarPanel(
            labels=labels,
            values=values,
            intervals=intervals,
            unit=what,
            title=title if what == MAGNITUDE else "",
            subtitle=f"{what}, {result.origin.score}",
            facts=facts if what == MAGNITUDE else (),
            ends=("", "") if what == MAGNITUDE else ("lowers", "raises"),
            signed=what == SIGNED,
            alt=story_of_bars(labels, values, f"{title}, {what}"),
        )


def _label(result: Summary, i: int, k: int) -> str:
    """Name a part; a word with the number of samples that it occurs in."""
    return f"{result.parts[k]} ({int(result.counts[i, k])})" if result.axes == ("word",) else result.parts[k]


def _maps(result: Summary, i: int, title: str) -> Iterator[Panel]:
    spec = result.input_spec
    back = None if result.display is None else picture(result.display[i], spec.scale)
    if back is not None:
        yield ImagePanel(image=back, title=title, subtitle="mean picture", alt=f"The mean of the pictures: {title}.")
    limits = [limit_of([v], robust=v[0].size > 1000) for v in (result.magnitude, result.signed)]
    pale = None if back is None else paled(back)
    yield MapPanel(
        values=result.magnitude[i],
        scale=Scale(limits[0], MAGNITUDE, "sequential"),
        opacity=1.0,
        title="" if back is not None else title,
        subtitle=f"{MAGNITUDE}: 0 dark, {number(limits[0])} yellow",
        alt=story(result.magnitude[i], f"{title}, {MAGNITUDE}"),
    )
    sure = _sure(result.signed_interval[i])
    yield MapPanel(
        values=result.signed[i],
        scale=Scale(limits[1], SIGNED),
        background=pale,
        subtitle=f"{SIGNED}, ±{number(limits[1])}",
        facts=(f"{percent(sure)} of the places differ from zero",) if np.isfinite(sure) else (),
        alt=story(result.signed[i], f"{title}, {SIGNED}"),
    )


def _sure(intervals: Array) -> float:
    """The share of intervals that do not hold zero; NaN where there are none."""
    known = np.isfinite(intervals).all(-1)
    apart = (intervals[..., 0] > 0) | (intervals[..., 1] < 0)
    return float(apart[known].mean()) if known.any() else float("nan")


def _curves(result: Summary, i: int, title: str) -> Iterator[Panel]:
    steps = result.magnitude[i].size
    x, label = time_axis(steps, getattr(result.input_spec, "rate", None))
    for what, values, intervals in (
        (MAGNITUDE, result.magnitude[i], np.maximum(result.magnitude_interval[i], 0)),
        (SIGNED, result.signed[i], result.signed_interval[i]),
    ):
        low, high = intervals.reshape(steps, 2).T
        yield CurvePanel(
            traces=(Trace(what, x, values.reshape(steps), band=(low, high)),),
            x_label=label,
            title=title if what == MAGNITUDE else "",
            subtitle=f"{what}, {result.origin.score}",
            alt=story(values.reshape(1, steps), f"{title}, {what}"),
        )


def _planes(result: Summary, i: int, title: str) -> Iterator[Panel]:
    """Channels one below the other over time; of more axes the first, with the others one after the other."""
    for what, all_values in ((MAGNITUDE, result.magnitude), (SIGNED, result.signed)):
        values = all_values[i].reshape(len(all_values[i]), -1).T
        limit = limit_of([all_values], robust=values.size > 1000)
        signed = what == SIGNED
        yield MapPanel(
            values=values,
            scale=Scale(limit, what, "diverging" if signed else "sequential"),
            opacity=0.85 if signed else 1.0,
            title=title if not signed else "",
            subtitle=f"{what}, ±{number(limit)}" if signed else f"{what}: 0 dark, {number(limit)} yellow",
            facts=(f"down: {', '.join(result.axes[1:])}; across: {result.axes[0]}",),
            alt=story(values, f"{title}, {what}"),
        )


def _badge(result: Summary) -> Badge:
    said = "; ".join(result.status.reasons) or "all explanations are sound"
    return Badge(str(result.status), said)


def _legend() -> Legend:
    return Legend("diverging", ((0.0, "−"), (0.5, "0"), (1.0, "+")), low="lowers the score", high="raises the score")


# ---------------------------------------------------------------- concepts


@panels.register
def _concepts(result: Concepts, *, shared: bool = False) -> Figure:
    """The score of every concept with the spread of its runs, and of random sets in its place."""
    labels = [f"{name}{' *' if star else ''}" for name, star in zip(result, result.significant, strict=True)]
    runs = [*result.runs, result.random_runs]
    means = np.array([r.mean() for r in runs])
    spread = np.array([[r.mean() - r.std(ddof=1), r.mean() + r.std(ddof=1)] for r in runs])
    panel = BarPanel(
        labels=(*labels, "random sets"),
        values=means,
        intervals=np.clip(spread, 0, 1),
        limit=1.0,
        unit="share of samples",
        ends=("", ""),
        signed=False,
        title=f"{result.target_labels[0]} in layer {result.layer}",
        subtitle="share of samples whose score rises towards the concept ± one standard deviation of the runs",
        facts=tuple(_fact(result, k) for k in range(len(result))),
        badge=Badge(str(result.status), "; ".join(result.status.reasons) or "the concepts are told apart"),
        alt=story_of_bars([*labels, "random sets"], means, "TCAV scores"),
    )
    return Figure(
        title=f"What {result.target_labels[0]} depends on",
        subtitle=f"{result.origin.model} · {spoken(result.origin.framework)} · {result.runs.shape[1]} random sets each",
        rows=((panel,),),
        notes=(
            f"* differs from random sets in the place of a concept at the level {number(1 - result.level)}, "
            "after Bonferroni's correction.",
            "A score over that of random sets: the concept speaks for the class; below it: against the class.",
        ),
    )


def _fact(result: Concepts, k: int) -> str:
    p = result.p_values[k]
    said = "p < 0.001" if p < 0.001 else f"p = {number(float(p), 2)}"
    return f"{result.concepts[k]}: {said}, classifier right in {percent(float(result.accuracies[k].mean()))}"
