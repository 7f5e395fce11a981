"""The health of a network's layers as panels: the gradient by depth, dead and saturated units, histograms."""

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import many
from xaikit.figures._attribution import panels
from xaikit.figures._data import Badge, BarPanel, CurvePanel, Figure, Panel, Trace
from xaikit.figures._insight import listed, network
from xaikit.figures._words import number, percent
from xaikit.results import Histogram, LayerHealth, LayerState
from xaikit.results._functions import FUNCTIONS

SHOWN = 8
"""Layers whose histograms are drawn."""
BARS = 24
LEVELS = {"steady": "ok", "vanishing": "warn", "exploding": "warn", "blocked": "fail", "unknown": "none"}


@panels.register
def _health(result: LayerHealth, *, shared: bool = False) -> Figure:
    """The gradient by depth beside dead and saturated units; below, the histograms of the layers, one in a row."""
    chosen = _spread(list(result))
    numbered = {name: k for k, name in enumerate(result, 1)}
    below = [row for name in chosen if (row := _histograms(result[name], numbered[name]))]
    left = len(result) - len(chosen)
    notes = [*result.status.reasons]
    if left:
        notes.append(f"Histograms of {len(chosen)} of {len(result)} layers are shown: ask for fewer by layers=[...].")
    return Figure(
        title="What comes through the layers",
        subtitle=f"{network(result.origin)} · {many(result.seen, 'sample')}"
        + (f" · gradient of the {result.loss}" if result.loss else ""),
        rows=(tuple(_overview(result, numbered)),),
        notes=tuple(notes),
        below=tuple(below),
    )


def _spread(names: list[str]) -> list[str]:
    """Take some of many names: the first, the last, and others evenly between."""
    places = np.unique(np.linspace(0, len(names) - 1, min(len(names), SHOWN)).round().astype(int))
    return [names[int(k)] for k in places]


def _overview(result: LayerHealth, numbered: dict[str, int]) -> list[Panel]:
    found: list[Panel] = []
    if any(s.gradient > 0 for s in result.layers.values()):
        found.append(_by_depth(result, numbered))
    bars = (
        ("dead", "Dead units", "never above zero on these samples"),
        ("saturated", "Saturated", "share of values on flat ends"),
    )
    for field, title, said in bars:
        shares = {n: getattr(s, field) for n, s in result.layers.items() if not np.isnan(getattr(s, field))}
        if shares:
            found.append(_shares(shares, numbered, title, said))
    if not found:
        found.append(_shares({n: s.zeros for n, s in result.layers.items()}, numbered, "Zeros", "share of values"))
    return found


def _by_depth(result: LayerHealth, numbered: dict[str, int]) -> CurvePanel:
    there = [s for s in result.layers.values() if s.gradients is not None]
    x = np.array([numbered[s.layer] for s in there], np.float64)
    silent = [s.layer for s in there if s.gradient == 0]
    facts = [f"From {there[0].layer!r} ({int(x[0])}) to {there[-1].layer!r} ({int(x[-1])})."]
    if silent:
        facts.append(f"Zero, which cannot be drawn here: {listed(silent, 4)}.")
    return CurvePanel(
        traces=(
            Trace("all values of a layer", x, _above_zero([s.gradient for s in there])),
            Trace("root mean square of a value", x, _above_zero([s.gradient_per_value for s in there]), 1, dashed=True),
        ),
        x_label="layer, in call order",
        logarithmic=True,
        title="Gradient by depth",
        subtitle="norm of the gradient at the layers' outputs",
        facts=tuple(facts),
        badge=Badge(LEVELS[result.flow], result.verdict),
        alt=result.verdict,
    )


def _above_zero(values: list[float]) -> Array:
    a = np.array(values, np.float64)
    return np.where(a > 0, a, np.nan)


def _shares(shares: dict[str, float], numbered: dict[str, int], title: str, said: str) -> BarPanel:
    names = list(shares)[:BARS]
    left = len(shares) - len(names)
    worst = max(shares, key=lambda n: shares[n])
    return BarPanel(
        labels=tuple(f"{numbered[n]}  {n}" for n in names),
        values=np.array([100 * shares[n] for n in names]),
        unit="%",
        limit=100.0,
        ends=("", ""),
        signed=False,
        title=title,
        subtitle=f"{said}, %",
        facts=(f"{many(left, 'layer')} more {'is' if left == 1 else 'are'} not shown.",) if left else (),
        alt=f"{title}: most at {worst}, {percent(shares[worst])}.",
    )


# ---------------------------------------------------------------- histograms


def _histograms(state: LayerState, k: int) -> tuple[Panel, ...]:
    """Give what is known of one layer: its weights, what enters its function, its values, its gradients."""
    s = state.statistics
    found: list[Panel] = []
    if state.weights is not None and len(state.weights):
        found.append(_counted(state.weights, f"{k}  {state.layer}: weights", many(len(state.weights), "weight"), 3))
    if state.before is not None and len(state.before) and state.function is not None:
        found.append(_over_function(state, state.before, f"{k}  {state.layer}: before {state.function}"))
    if len(state.activations):
        said = f"{percent(state.zeros)} zero · mean {number(float(np.mean(s['mean'])), 2)}"
        found.append(_counted(state.activations, f"{k}  {state.layer}: values", said, 0))
    if state.gradients is not None and len(state.gradients):
        said = f"norm {number(state.gradient, 2)}"
        found.append(_counted(state.gradients, f"{k}  {state.layer}: gradient", said, 1))
    return tuple(found)


def _counted(histogram: Histogram, title: str, said: str, colour: int) -> CurvePanel:
    x, y = _outline(histogram.edges, 100 * histogram.shares)
    reach = f"{number(histogram.least, 2)} to {number(histogram.largest, 2)}"
    return CurvePanel(
        traces=(Trace("% of values", x, y, colour, band=(np.zeros_like(y), y)),),
        title=title,
        subtitle=f"{said} · {reach}",
        alt=f"{title}: from {reach}.",
    )


def _outline(edges: Array, heights: Array) -> tuple[Array, Array]:
    """Give the steps of a histogram as a line: up at the first edge, down at the last."""
    x = np.repeat(edges, 2)
    return x, np.concatenate([[0.0], np.repeat(heights, 2), [0.0]])


def _over_function(state: LayerState, before: Histogram, title: str) -> CurvePanel:
    """Draw how often a function is given each number behind the function itself; its flat part in another colour."""
    assert state.function is not None
    function = FUNCTIONS[state.function]
    span = before.edges[-1] - before.edges[0]
    z = np.linspace(before.edges[0] - 0.02 * span, before.edges[-1] + 0.02 * span, 200)
    values = function.value(z)
    low, high = float(min(values.min(), 0)), float(values.max()) or 1.0
    middles = (before.edges[:-1] + before.edges[1:]) / 2
    out = function.value(middles)
    flat = middles <= 0 if function.rectifies else np.zeros(len(middles), bool)
    flat |= (out <= function.flat[0]) | (out >= function.flat[1])
    heights = (high - low) * before.shares / before.shares.max()
    traces = [_area("how often", before.edges, heights, low, -1)]
    if flat.any():
        word = "not active" if function.rectifies else "saturated"
        share = percent(float(before.shares[flat].sum())) if function.rectifies else percent(state.saturated)
        traces.append(_area(f"{word} {share}", before.edges, np.where(flat, heights, 0), low, 1))
    traces.append(Trace(state.function, z, values, 0))
    dead = "" if np.isnan(state.dead) else f"{percent(state.dead)} of {many(len(state), 'unit')} dead"
    said = dead or (f"{percent(state.saturated)} saturated" if not np.isnan(state.saturated) else "no flat ends")
    return CurvePanel(
        traces=tuple(traces),
        title=title,
        subtitle=f"{said} · the line is the function",
        alt=f"{title}: inputs from {number(before.least, 2)} to {number(before.largest, 2)}, {said}.",
    )


def _area(name: str, edges: Array, heights: Array, low: float, colour: int) -> Trace:
    x, y = _outline(edges, heights)
    return Trace(name, x, low + y, colour, band=(np.full_like(y, low), low + y))
