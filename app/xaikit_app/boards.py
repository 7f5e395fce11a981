"""Scores of many samples beside a threshold that moves: how many it flags, what it misses, and what that costs.

Everything that moves is calculated in the browser from the scores that came with the page (assets/anomalies.js), so
that the threshold follows the hand; `counted` says the same in Python, for the words that stand there at first.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import dcc, html

from xaikit.arrays import Array
from xaikit.figures import number, percent
from xaikit_app.exhibits import folded
from xaikit_app.pictures import data_url

BINS = 48
WIDE = 30.0
"""From so many times the smallest score on, the axis is logarithmic."""
STEPS = 1000
NORMAL, OTHERS = "#3f7fd0", "#d9730d"


@dataclass(frozen=True, eq=False)
class Counted:
    """What a threshold does: false alarms among normal samples and what is flagged of others, and of labelled ones."""

    alarms: int
    normal: int
    flagged: int
    samples: int
    missed: int
    found: int
    false: int
    right: int

    @property
    def labelled(self) -> int:
        """How many samples are known to be anomalies or not."""
        return self.missed + self.found + self.false + self.right


def counted(threshold: float, normal: Array, scores: Array, bad: Array | None) -> Counted:
    """Count what lies above a threshold; `bad` (sample,) says which samples are anomalies, None where nobody knows."""
    above = ~(scores <= threshold)
    known = bad is not None
    truth = bad if bad is not None else np.zeros(len(scores), bool)
    return Counted(
        alarms=int((normal > threshold).sum()),
        normal=len(normal),
        flagged=int(above.sum()),
        samples=len(scores),
        missed=int((truth & ~above).sum()) if known else 0,
        found=int((truth & above).sum()) if known else 0,
        false=int((~truth & above).sum()) if known else 0,
        right=int((~truth & ~above).sum()) if known else 0,
    )


def cheapest(normal: Array, scores: Array, bad: Array | None, miss: float, alarm: float) -> tuple[float, float]:
    """Give the threshold with the least expected cost per sample, and that cost; the largest of equally cheap ones.

    Without labels only false alarms cost anything, so that the largest score is the cheapest.
    """
    places = np.unique(np.concatenate([normal, scores[np.isfinite(scores)]]))
    costs = [cost(counted(float(t), normal, scores, bad), miss, alarm) for t in places]
    best = len(costs) - 1 - int(np.argmin(costs[::-1]))
    return float(places[best]), float(costs[best])


def cost(found: Counted, miss: float, alarm: float) -> float:
    """Give the expected cost per sample: of the labelled ones, or of false alarms among the normal ones."""
    if found.labelled:
        return (miss * found.missed + alarm * found.false) / found.labelled
    return alarm * found.alarms / max(found.normal, 1)


@dataclass(frozen=True)
class Axis:
    """Where a score stands on the board: shares 0..1 of the way from `low` to `high`, evenly or by their logarithm."""

    low: float
    high: float
    logarithmic: bool

    @classmethod
    def of(cls, *groups: Array) -> "Axis":
        """Choose an axis that holds all finite scores."""
        known = np.concatenate([g[np.isfinite(g)] for g in groups])
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
        if high <= low:
            return cls(low - abs(low or 1) / 2, low + abs(low or 1) / 2, False)
        wide = low > 0 and high / low > WIDE
        edge = 1.02 if wide else 0.0
        return (
            cls(low / edge, high * edge, True)
            if wide
            else cls(low - 0.02 * (high - low), high + 0.02 * (high - low), False)
        )

    def share(self, score: Any) -> Any:
        """Give where a score stands, 0..1."""
        if self.logarithmic:
            return np.log(np.maximum(score, 1e-300) / self.low) / np.log(self.high / self.low)
        return (np.asarray(score) - self.low) / (self.high - self.low)

    def score(self, share: Any) -> Any:
        """Give the score at a place."""
        if self.logarithmic:
            return self.low * (self.high / self.low) ** np.asarray(share)
        return self.low + np.asarray(share) * (self.high - self.low)


def histogram(axis: Axis, normal: Array, scores: Array, bad: Array | None) -> tuple[str, str]:
    """Draw how many normal samples and others have which score, each group over its own largest; with the words."""
    groups = [("normal samples", normal, NORMAL, True)]
    if len(scores):
        if bad is None:
            groups.append(("samples of the slice", scores, OTHERS, False))
        else:
            groups += [("anomalies by their label", scores[bad], OTHERS, False)]
    drawn, told = [], []
    for name, values, colour, filled in groups:
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        counts, _ = np.histogram(np.clip(axis.share(values), 0, 1), bins=BINS, range=(0, 1))
        top = counts / max(counts.max(), 1)
        points = " ".join(
            f"{1000 * (k + side) / BINS:.1f},{98 - 92 * t:.1f}" for k, t in enumerate(top) for side in (0, 1)
        )
        fill = f'fill="{colour}" fill-opacity="0.35"' if filled else f'fill="{colour}" fill-opacity="0.12"'
        drawn.append(
            f'<polygon points="0,98 {points} 1000,98" {fill} stroke="{colour}" stroke-width="1.5" '
            'vector-effect="non-scaling-stroke"/>'
        )
        low, high = number(float(values.min())), number(float(values.max()))
        told.append(f"{len(values):,} {name}, scores {low} to {high}, median {number(float(np.median(values)))}")
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 100" preserveAspectRatio="none">'
        f'<path d="M0 98H1000" stroke="#7a8794" stroke-width="1" vector-effect="non-scaling-stroke"/>'
        f"{''.join(drawn)}</svg>"
    )
    return data_url(svg.encode(), "svg+xml"), "; ".join(told) + "."


def board(
    normal: Array,
    scores: Array,
    ids: Sequence[str],
    bad: Array | None,
    threshold: float,
    costs: tuple[float, float],
    rule: str,
    by_hand: bool,
) -> Any:
    """Give the histogram, the slider over it, and what the threshold there does and costs."""
    axis = Axis.of(normal, scores, np.array([threshold]))
    picture, told = histogram(axis, normal, scores, bad)
    found = counted(threshold, normal, scores, bad)
    place = float(np.clip(axis.share(threshold), 0, 1))
    ticks = [(s, number(float(axis.score(s)), 2)) for s in (0.0, 0.25, 0.5, 0.75, 1.0)]
    data = {
        "normal": _numbers_of(np.sort(normal)),
        "scores": _numbers_of(scores),
        "bad": None if bad is None else [bool(b) for b in bad],
        "ids": list(ids),
        "axis": {"low": axis.low, "high": axis.high, "logarithmic": axis.logarithmic},
        "rule": threshold if not by_hand else None,
    }
    slider = html.Label(
        [
            html.Span("Threshold", className="unseen"),
            dcc.Input(
                id="anomalies-slider",
                type="range",
                min=0,
                max=STEPS,
                step=1,
                value=round(STEPS * place),
                className="board-slider",
            ),
        ]
    )
    plot = html.Div(
        [
            html.Img(src=picture, alt=told, className="board-histogram"),
            html.Div(className="board-curve", role="img", **{"aria-label": "Expected cost by threshold"}),
            html.Span(className="board-line", style={"left": f"{100 * place:.2f}%"}),
        ],
        className="board-plot",
    )
    return html.Div(
        [
            _legend(bad, len(scores)),
            plot,
            slider,
            html.Div([html.Span(words) for _, words in ticks], className="board-ticks", **{"aria-hidden": "true"}),
            dmc.Text(f"Score{', on a logarithmic axis' if axis.logarithmic else ''}. {told}", size="xs", c="dimmed"),
            html.Div(_said(found, threshold, rule), className="board-said", role="status"),
            _costs(found, costs, bad is not None),
            _table(found) if bad is not None else None,
            _numbers(axis, normal, scores, bad, costs),
        ],
        id="anomalies-board",
        className="board",
        **{
            "data-board": json.dumps(data),
            "data-start": repr(float(threshold)),
            "data-hand": "yes" if by_hand else "no",
        },
    )


def _numbers_of(values: Array) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]


def _legend(bad: Array | None, count: int) -> Any:
    names = [("normal samples", NORMAL)]
    if count:
        names.append(("anomalies by their label" if bad is not None else "samples of the slice", OTHERS))
    marks = [
        html.Span([html.Span(className="board-mark", style={"background": colour}), name], className="board-name")
        for name, colour in (*names, ("expected cost", "#2b8a3e"))
    ]
    return html.Div(marks, className="board-legend")


def _said(found: Counted, threshold: float, rule: str) -> list[Any]:
    share = percent(found.alarms / max(found.normal, 1))
    return [
        html.Strong(f"Threshold {number(threshold, 4)}", className="board-threshold"),
        html.Span(f" ({rule}). ", className="board-rule"),
        html.Span(
            f"{found.alarms:,} of {found.normal:,} normal samples lie above it ({share}); of {found.samples:,} samples "
            f"of the slice {found.flagged:,} are flagged.",
            className="board-counts",
        ),
    ]


def _costs(found: Counted, costs: tuple[float, float], known: bool) -> Any:
    miss, alarm = costs
    fields = [
        dmc.NumberInput(
            id=f"anomalies-{name}",
            label=label,
            value=value,
            min=0,
            size="xs",
            w=150,
            className=f"board-{name}",
        )
        for name, label, value in (
            *((("miss", "Cost of a missed anomaly", miss),) if known else ()),
            ("alarm", "Cost of a false alarm", alarm),
        )
    ]
    typed = dmc.NumberInput(
        id="anomalies-typed", label="Threshold", value=None, size="xs", w=130, className="board-typed", decimalScale=8
    )
    words = f"Expected cost per sample here: {number(cost(found, miss, alarm))}."
    best = html.Button("Go to the cheapest", type="button", className="start board-cheapest") if known else None
    back = html.Button("Back to the rule", type="button", className="start board-back")
    return html.Div(
        [
            dmc.Group([typed, *fields], gap="sm", align="flex-end"),
            html.Div([html.Span(words, className="board-cost"), best, back], className="board-buttons"),
        ]
    )


def _table(found: Counted) -> Any:
    def cell(name: str, value: int) -> Any:
        return html.Td(f"{value:,}", className=f"board-{name}")

    head = html.Thead(html.Tr([html.Td(), html.Th("flagged", scope="col"), html.Th("not flagged", scope="col")]))
    rows = [
        html.Tr(
            [html.Th("anomaly by its label", scope="row"), cell("found", found.found), cell("missed", found.missed)]
        ),
        html.Tr([html.Th("other sample", scope="row"), cell("false", found.false), cell("right", found.right)]),
    ]
    caption = html.Caption("The labelled samples of the slice at this threshold")
    return html.Table([caption, head, html.Tbody(rows)], className="confusion")


def _numbers(axis: Axis, normal: Array, scores: Array, bad: Array | None, costs: tuple[float, float]) -> Any:
    """Give what some thresholds would do, as a table."""
    names = [
        "Threshold",
        "Normal above",
        "Slice flagged",
        *(["Missed", "False alarms"] if bad is not None else []),
        "Cost",
    ]
    rows = []
    for share in np.linspace(0, 1, 21):
        at = float(axis.score(share))
        found = counted(at, normal, scores, bad)
        known = [f"{found.missed:,}", f"{found.false:,}"] if bad is not None else []
        rows.append((number(at, 4), f"{found.alarms:,}", f"{found.flagged:,}", *known, number(cost(found, *costs))))
    return folded(names, rows, "Thresholds", "In words and numbers")


def labels_of(labels: Sequence[str], asked: str | None) -> tuple[str | None, Mapping[str, int]]:
    """Give which label counts as an anomaly, the one asked for or one that is called so, and how many have which."""
    counts = {name: labels.count(name) for name in dict.fromkeys(sorted(filter(None, labels)))}
    if asked is not None:
        return (asked if asked in counts else None), counts
    named = next((n for n in counts if n.lower().startswith(("abnormal", "anomal", "defect", "outlier"))), None)
    return named, counts


__all__ = ["Axis", "Counted", "board", "cheapest", "cost", "counted", "histogram", "labels_of"]
