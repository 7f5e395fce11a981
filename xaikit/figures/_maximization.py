"""Optima as panels: the pictures in rows, an optimum beside its opposite, and how the ascent went."""

from collections.abc import Sequence

import numpy as np

from xaikit.arrays import Array
from xaikit.figures._attribution import panels
from xaikit.figures._colours import limit_of, picture
from xaikit.figures._data import (
    Badge,
    CurvePanel,
    Figure,
    Line,
    LinePanel,
    MapPanel,
    Panel,
    Scale,
    Tile,
    TilesPanel,
    Trace,
)
from xaikit.figures._words import number, spoken, time_axis
from xaikit.inputs import Image, Series
from xaikit.results import Maximization

ACROSS, TILES, LINES = 8, 64, 6
"""Pictures in a row, pictures at most, and lines at most."""
SMOOTH = 8
"""Steps over which the shown ascent is averaged: every step is shown another change of the picture."""


@panels.register
def _maximization(result: Maximization, *, shared: bool = False) -> Figure:
    """The optima, least ones beside the others, and the objective over the steps."""
    if isinstance(result.input_spec, Image):
        first: Panel = _pictures(result)
    elif isinstance(result.input_spec, Series) or result.image.ndim == 3:
        first = _series(result)
    else:
        first = _values(result)
    where = f"{result.layer}{_place(result)}" if result.layer else "the output"
    return Figure(
        title=f"What {where} reacts to most" if (result.signs > 0).all() else f"What {where} reacts to",
        subtitle=f"{result.origin.model} · {spoken(result.origin.framework)} · {_recipe(result)}",
        rows=((first,), *(((_ascent(result),),) if result.trace.shape[1] else ())),
        notes=_notes(result),
    )


def _pictures(result: Maximization) -> TilesPanel:
    """Every picture with its channel and how it compares with the best sample."""
    shown = min(len(result), TILES)
    pairs = bool((result.signs < 0).any() and (result.signs > 0).any())
    across = min(5 if shown in (5, 9, 10) and not pairs else ACROSS, max(shown, 3))
    return TilesPanel(
        tiles=tuple(Tile(_shown(result, i), _short(result.names[i]), _said(result, i)) for i in range(shown)),
        across=across - across % 2 if pairs and across > 1 else across,
        scale=Scale(1.0),
        subtitle=_below(result),
        badge=_badge(result),
        alt="Pictures made by gradient ascent: " + _told(result),
    )


def _short(name: str) -> str:
    """Give a name as it has room below a small picture."""
    return name.removeprefix("channel ").removeprefix("unit ")


def _shown(result: Maximization, i: int) -> Array:
    """Give one picture over its range, (height, width, 3) uint8."""
    low, high = result.limits.T
    return picture((result.image[i] - low) / (high - low), 1.0)


def _series(result: Maximization) -> LinePanel:
    """Every optimum as a line; of several channels the first is drawn."""
    x, label = time_axis(result.image.shape[1], getattr(result.input_spec, "rate", None))
    lines = []
    for i in range(min(len(result), LINES)):
        signal = np.asarray(result.image[i], np.float64).reshape(result.image.shape[1], -1)[:, 0]
        pulled = np.asarray(result.sensitivity[i], np.float64).ravel()
        lines.append(Line(result.names[i], x, signal, pulled))
    return LinePanel(
        lines=tuple(lines),
        scale=Scale(limit_of([line.contributions for line in lines]), "pull", "sequential"),
        x_label=label,
        subtitle=f"coloured: where the ascent pulled most{_first(result)}",
        facts=(f"Beside the best real sample: {_told(result)}" if "best" in result.quality else _told(result),),
        badge=_badge(result),
        alt="Series made by gradient ascent: " + _told(result),
    )


def _first(result: Maximization) -> str:
    several = int(np.prod(result.image.shape[2:])) > 1
    return "; of several channels the first is drawn" if several else ""


def _values(result: Maximization) -> MapPanel:
    """Inputs without places that are known: a row each, as deviations from the background."""
    flat = result.image.reshape(len(result), -1)
    off = flat - np.resize(result.background, flat.shape[1])
    return MapPanel(
        values=off,
        scale=Scale(limit_of([off], robust=off.size > 1000), "off the background"),
        opacity=1.0,
        subtitle=f"rows: optima, columns: inputs · {_below(result)}",
        badge=_badge(result),
        alt="Inputs made by gradient ascent: " + _told(result),
    )


def _ascent(result: Maximization) -> CurvePanel:
    """The objective over the steps, smoothed; of many rows the first."""
    steps = np.arange(1, result.trace.shape[1] + 1)
    traces = tuple(
        Trace(result.names[i], steps, _smooth(result.trace[i]), i, bool(result.signs[i] < 0))
        for i in range(min(len(result), LINES))
    )
    more = f"; the first {LINES} of {len(result)}" if len(result) > LINES else ""
    return CurvePanel(
        title="The ascent",
        subtitle=f"{'times its sign' if (result.signs < 0).any() else 'the activation'}, mean of {SMOOTH} steps{more}",
        traces=traces,
        x_label="step",
        alt="The activation over the steps of the ascent: " + _told(result),
    )


def _smooth(trace: Array) -> Array:
    """Give running means over the last steps; NaN stays."""
    total = np.cumsum(np.nan_to_num(trace))
    whole = total - np.concatenate([np.zeros(SMOOTH), total])[: len(trace)]
    return np.where(np.isfinite(trace), whole / np.minimum(np.arange(1, len(trace) + 1), SMOOTH), np.nan)


def _said(result: Maximization, i: int) -> str:
    """Say how a picture compares with the best sample."""
    if result.quality["silent"][i]:
        return "dead"
    if "activation_ratio" in result.quality and np.isfinite(result.quality["activation_ratio"][i]):
        return f"× {number(float(result.quality['activation_ratio'][i]), 2)}"
    return number(float(result.quality["activation"][i] * result.signs[i]), 2)


def _below(result: Maximization) -> str:
    if "activation_ratio" in result.quality:
        return "below each: the activation, as a multiple of that of the best real sample"
    return "below each: the activation"


def _told(result: Maximization) -> str:
    said = [f"{name} {_said(result, i)}" for i, name in enumerate(result.names[:6])]
    return ", ".join(said) + (f" and {len(result) - 6} more" if len(result) > 6 else "") + "."


def _badge(result: Maximization) -> Badge:
    status = result.status
    return Badge(str(status), _brief(status.reasons) or "stronger than the best real sample")


def _brief(reasons: Sequence[str], most: int = 3) -> str:
    left = len(reasons) - most
    return "; ".join(reasons[:most]) + (f"; and {left} more" if left > 0 else "")


def _recipe(result: Maximization) -> str:
    used = result.origin.parameters
    return f"{used['method']}, {result.trace.shape[1]} steps, seed {result.origin.seed}"


def _place(result: Maximization) -> str:
    return "" if result.place is None else f" at {', '.join(map(str, result.place))}"


def _notes(result: Maximization) -> tuple[str, ...]:
    notes = [
        "Real samples help people more to predict a unit than such pictures do (Borowski et al. 2020): see top patches."
    ]
    if "tapped" in result.origin.notes:
        notes.append(f"Made at {result.origin.notes['tapped']}, whose values {result.layer} cuts at zero.")
    if len(result) > TILES and isinstance(result.input_spec, Image):
        notes.append(f"The first {TILES} of {len(result)} are shown: take others by result[{TILES}:].")
    return tuple(notes)
