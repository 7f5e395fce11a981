"""Sequence models as panels: gates over time, gradients along it, answers so far, units as coloured text, attention."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import many
from xaikit.figures._attribution import panels
from xaikit.figures._colours import limit_of
from xaikit.figures._data import (
    Badge,
    BarPanel,
    CurvePanel,
    Figure,
    Legend,
    Panel,
    Scale,
    StepsPanel,
    TextPanel,
    Trace,
)
from xaikit.figures._insight import listed, network, signed_legend
from xaikit.figures._words import number
from xaikit.results import AttentionMap, GradientFlow, HiddenStates, Prefixes, UnitScores, UnitText

SAMPLES, HEADS, BARS = 4, 8, 20
CHUNK = 50
"""Steps of a coloured text whose predictions stand in one row, at most."""
GATES = {
    "i": "input gate: how much of the new is written",
    "f": "forget gate: how much of the cell is kept",
    "g": "candidate: what would be written",
    "o": "output gate: how much of the cell is shown",
    "c": "cell: the memory",
    "z": "update gate: how much of the old state is kept",
    "r": "reset gate: how much of the old state the candidate sees",
    "n": "candidate: what would be the new state",
    "h": "state: what the layer gives",
}
GATE_KINDS = ("i", "f", "o", "z", "r")


@panels.register
def _states(result: HiddenStates, *, shared: bool = False) -> Figure:
    """The first sample's gates, one below the other over the same steps; padded steps are left out."""
    there = np.flatnonzero(result.present[0])
    names = [result.names(0)[k] for k in there]
    drawn = {gate: _gate(result, gate, there, names) for gate in result.gates}
    badge = Badge(str(result.status), "; ".join(result.status.reasons) or "the pass through the gates is the network's")
    shown = (f"The first of {len(result)} samples is shown.",) if len(result) > 1 else ()
    return Figure(
        title=f"Inside {result.layer} ({result.kind.upper()})",
        subtitle=f"{network(result.origin)} · {many(len(there), 'step')}, rows are units",
        rows=_badged(_beside(drawn), badge),
        notes=shown,
    )


def _beside(drawn: dict[str, StepsPanel]) -> list[tuple[StepsPanel, ...]]:
    """Put the two directions of a gate beside each other."""
    return [
        (panel, drawn[gate.replace("forward/", "backward/")]) if "forward/" in gate else (panel,)
        for gate, panel in drawn.items()
        if "backward/" not in gate
    ]


def _badged(rows: list[tuple[StepsPanel, ...]], badge: Badge) -> tuple[tuple[StepsPanel, ...], ...]:
    """Put the verdict below the last row."""
    first, *others = rows[-1]
    return (*rows[:-1], (replace(first, badge=badge), *others))


def _gate(result: HiddenStates, gate: str, there: Array, names: Sequence[str]) -> StepsPanel:
    values = result.values[gate][0, there].T.astype(np.float64)
    plain = gate.rpartition("/")[2]
    scale = Scale(1.0, "", "sequential") if plain in GATE_KINDS else Scale(limit_of([values]))
    range_ = "0 dark, 1 yellow" if plain in GATE_KINDS else f"blue −{number(scale.limit)}, red {number(scale.limit)}"
    return StepsPanel(
        values=values,
        columns=tuple(names),
        scale=scale,
        title=f"{gate} · {GATES[plain]}",
        subtitle=f"{many(len(values), 'unit')}, {range_}",
        alt=f"{gate}: mean {number(float(values.mean()))}, from {number(float(values.min()))} to "
        f"{number(float(values.max()))}.",
    )


@panels.register
def _flow(result: GradientFlow, *, shared: bool = False) -> Figure:
    traces = []
    for n, way in enumerate(result.states):
        curve = result.curve(way)
        name = f"state, {way}" if way else "state"
        traces.append(Trace(name, -np.arange(len(curve), dtype=float)[::-1], _positive(curve[::-1]), n))
    if result.inputs is not None:
        curve = result.input_curve
        traces.append(Trace("input", -np.arange(len(curve), dtype=float)[::-1], _positive(curve[::-1]), 5, True))
    curves = CurvePanel(
        traces=tuple(traces),
        x_label="steps after the last one that is read",
        logarithmic=True,
        title="Length of the gradient",
        subtitle=f"mean over {many(len(result), 'sample')}, logarithmic",
        facts=tuple(result.words(way) for way in result.states),
        badge=Badge(str(result.status), listed([result.verdict(w) for w in result.states])),
        alt="; ".join(result.words(way) for way in result.states),
    )
    row = _by_token(result)
    return Figure(
        title=f"Gradient flow through {result.layer}",
        subtitle=f"{network(result.origin)} · of the {result.origin.score} of {_quoted(result.target)}",
        rows=((curves,), (row,)) if row is not None else ((curves,),),
    )


def _quoted(labels: Sequence[str]) -> str:
    """List labels, one that begins or ends with a space in quotes."""
    return listed([repr(label) if label != label.strip() else label for label in sorted(set(labels))], 3)


def _positive(curve: Array) -> Array:
    return np.where(curve > 0, curve, np.nan)


def _by_token(result: GradientFlow) -> Panel | None:
    if result.tokens is None or result.inputs is None:
        return None
    there = np.flatnonzero(result.present[0])
    rows = {"input": result.inputs, **{f"state {way}".strip(): s for way, s in result.states.items()}}
    values = np.stack([a[0, there] / max(float(np.nanmax(a[0])), 1e-300) for a in rows.values()])
    return StepsPanel(
        values=values,
        rows=tuple(rows),
        columns=tuple(result.tokens[0][k] for k in there),
        scale=Scale(1.0, "", "sequential"),
        title="Step by step" + (", the first sample" if len(result) > 1 else ""),
        subtitle="each row over its largest: 0 dark, 1 yellow",
        alt=f"The gradient at the input is largest at step {int(np.nanargmax(values[0]))}.",
    )


@panels.register
def _prefixes(result: Prefixes, *, shared: bool = False) -> Figure:
    rows: list[tuple[Panel, ...]] = []
    for i in range(min(len(result), SAMPLES)):
        known = np.isfinite(result.scores[i])
        x, y = result.lengths[i][known].astype(float), result.scores[i][known]
        settled = result.settled(i)
        curve = CurvePanel(
            traces=(Trace(f"score of {result.target[i]}", x, y, 0),),
            x_label="steps read",
            title="Prediction so far" if len(result) == 1 else f"Prediction so far, sample {i + 1}",
            subtitle=result.how,
            facts=(f"Within a tenth of its range of the last score from step {settled} on.",),
            alt=f"The score of {result.target[i]} goes from {number(float(y[0]))} to {number(float(y[-1]))}.",
        )
        text = _changes(result, i, x, y)
        rows += [(curve,)] if text is None else [(curve,), (text,)]
    left = (f"{SAMPLES} of {len(result)} samples are shown.",) if len(result) > SAMPLES else ()
    limit = [p.scale.limit for row in rows for p in row if isinstance(p, TextPanel)]
    return Figure(
        title="What is predicted as the sequence is read",
        subtitle=f"{network(result.origin)} · {result.origin.score} of the target",
        rows=tuple(rows),
        legend=_changed(max(limit)) if limit else None,
        notes=left,
    )


def _changed(limit: float) -> Legend:
    ticks = ((0.0, number(-limit)), (0.5, "0"), (1.0, number(limit)))
    return Legend("diverging", ticks, "lowers the score", "raises it")


def _changes(result: Prefixes, i: int, x: Array, y: Array) -> TextPanel | None:
    """Each token on the change of the score when it was read."""
    if result.tokens is None or len(y) < 2 or np.any(np.diff(x) != 1):
        return None
    words = [t for t in result.tokens[i] if t]
    steps = np.diff(y, prepend=np.nan)
    shown = list(zip(words, steps, strict=False))
    values = [None if np.isnan(v) else float(v) for _, v in shown]
    limit = max((float(np.nanmax(np.abs(np.diff(s)))) for s in _finite(result)), default=1.0) or 1.0
    return TextPanel(
        pieces=_pieces([w for w, _ in shown], values),
        scale=Scale(limit, "of the score"),
        title="What each token changed",
        subtitle=f"±{number(limit)}; the first token has nothing before it",
        alt=f"The score changes most at {words[int(np.nanargmax(np.abs(steps)))]!r}.",
    )


def _finite(result: Prefixes) -> list[Array]:
    rows = [s[np.isfinite(s)] for s in result.scores[:SAMPLES]]
    return [r for r in rows if len(r) > 1]


def _pieces(tokens: Sequence[str], values: Sequence[float | None]) -> tuple[tuple[str, float | None], ...]:
    """Put tokens in a row: characters as they are, words with spaces between."""
    if all(len(t) <= 1 or t.startswith("[") for t in tokens):
        return tuple(zip(tokens, values, strict=True))
    return tuple(p for t, v in zip(tokens, values, strict=True) for p in ((t, v), (" ", None)))


@panels.register
def _unit_text(result: UnitText, *, shared: bool = False) -> Figure:
    there = np.flatnonzero(result.present)
    tokens, values = [result.tokens[k] for k in there], result.values[there]
    limit = 1.0 if np.abs(values).max() <= 1 else float(np.abs(values).max())
    text = TextPanel(
        pieces=_pieces(tokens, [float(v) for v in values]),
        scale=Scale(limit),
        title=f"Unit {result.unit} of {result.layer}",
        subtitle=f"each token on {result.label} after it was read",
        alt=f"{result.label} of unit {result.unit} is highest at {tokens[int(values.argmax())]!r} "
        f"({number(float(values.max()))}) and lowest at {tokens[int(values.argmin())]!r}.",
    )
    rows: list[tuple[Panel, ...]] = [(text,)]
    if result.predicted:
        parts = np.array_split(there, -(-len(there) // CHUNK))  # of like lengths, so that no letter stands alone
        rows += [(_next(result, part, k == 0),) for k, part in enumerate(parts)]
    return Figure(
        title=f"{result.label}, unit {result.unit}",
        subtitle=network(result.origin),
        rows=tuple(rows),
        legend=signed_legend(limit),
    )


def _next(result: UnitText, steps: Array, first: bool) -> StepsPanel:
    found = [result.predicted[k] for k in steps]
    most = len(found[0])
    return StepsPanel(
        values=np.array([[answer[k][1] for answer in found] for k in range(most)]),
        rows=tuple(f"{k + 1}." for k in range(most)),
        columns=tuple(result.tokens[k] for k in steps),
        texts=tuple(tuple(answer[k][0] for answer in found) for k in range(most)),
        scale=Scale(1.0, "", "sequential"),
        title="What is expected next" if first else "",
        subtitle="below: what was read; above it the most probable answers, 0 dark, 1 yellow" if first else "",
        alt="The most probable answers at each step.",
    )


@panels.register
def _unit_scores(result: UnitScores, *, shared: bool = False) -> Figure:
    best = result.order[:BARS]
    middle = 0.5 if result.measure == "auroc" else 0.0
    said = "area under the ROC curve − 0.5" if middle else "correlation"
    bars = BarPanel(
        labels=tuple(f"unit {k} · p {number(float(result.p_values[k]), 2)}" for k in best),
        values=result.scores[best] - middle,
        unit=said,
        limit=0.5 if middle else 1.0,
        ends=("low where it holds", "high where it holds"),
        title=f"Units of {result.gate}",
        subtitle=said,
        facts=(f"p: share of {result.rotations:,} rotations in which the best of all units does as well.",),
        alt=f"Unit {best[0]} follows it best, {result.measure} {number(float(result.scores[best[0]]))}.",
    )
    return Figure(
        title=f"Units of {result.layer} that follow the annotation",
        subtitle=f"{network(result.origin)} · {many(result.steps, 'step')}, {many(len(result.scores), 'unit')}",
        rows=((bars,),),
    )


@panels.register
def _attention(result: AttentionMap, *, shared: bool = False) -> Figure:
    rows = [
        (_looked(result, i, head),)
        for i in range(min(len(result), SAMPLES))
        for head in (range(min(result.heads, HEADS)) if "head" in result.axes else [None])
    ]
    left = [f"{SAMPLES} of {len(result)} samples are shown."] if len(result) > SAMPLES else []
    left += [f"{HEADS} of {result.heads} heads are shown."] if result.heads > HEADS else []
    return Figure(
        title=f"Where {result.layer} looked",
        subtitle=f"{network(result.origin)} · each row sums to one",
        rows=tuple(rows),
        notes=("It says where the network looked, not why it answered.", *left),
    )


def _looked(result: AttentionMap, i: int, head: int | None) -> StepsPanel:
    weights = result.head(head)[i]
    asked, seen = (np.flatnonzero(np.isfinite(weights).any(axis)) for axis in (1, 0))
    shown = weights[np.ix_(asked, seen)]
    target, source = [result.target[i][k] for k in asked], [result.source[i][k] for k in seen]
    named = "" if head is None else f"head {head}"
    strongest = np.unravel_index(int(np.nanargmax(shown)), shown.shape)
    badge = Badge(str(result.status), "; ".join(result.status.reasons)) if result.status.reasons else None
    return StepsPanel(
        values=shown,
        rows=tuple(target),
        columns=tuple(source),
        scale=Scale(1.0, "", "sequential"),
        title=" · ".join(p for p in (f"Sample {i + 1}" if len(result) > 1 else "", named) if p) or "Attention",
        subtitle="rows: what is answered; columns: what is read; 0 dark, 1 yellow",
        badge=badge,
        alt=f"The strongest look is from {target[strongest[0]]!r} at {source[strongest[1]]!r}.",
    )
