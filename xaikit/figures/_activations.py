"""Activations as panels: maps in rows in the order asked for, differences of two samples, maps over inputs."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import NotSupported, many
from xaikit.figures._attribution import panels
from xaikit.figures._colours import limit_of, paled, picture
from xaikit.figures._data import (
    BarPanel,
    Figure,
    ImagePanel,
    Legend,
    Line,
    LinePanel,
    MapPanel,
    Panel,
    Scale,
    Tile,
    TilesPanel,
)
from xaikit.figures._insight import BARS, ROWS, TILES, listed, network, plane, signed_legend
from xaikit.figures._words import number, percent, time_axis
from xaikit.inputs import Image, Series
from xaikit.results import Activations
from xaikit.results._activations import ACTIVITY

ACROSS, WIDEST = 8, 32
"""Maps in a row, and in a row of very many."""
COMPARED = 24
"""Channels that a difference of two samples shows of a layer."""
Range = Literal["layer", "map", "figure"]
FIRST = {
    "max": "highest first",
    "mean": "highest mean first",
    "mean-abs": "largest mean size first",
    "sparsity": "sparsest first",
    "class-difference": "those that differ most between classes first",
    "difference": "those that differ most first",
}
NOTED = {"mean": "mean", "mean-abs": "mean size", "sparsity": "share of zeros"}
"""What stands below a map for each order; the maximum for any other."""


@panels.register
def _activations(result: Activations, *, shared: bool = False) -> Figure:
    if result.order == "difference" and len(result) == 2:
        return difference_figure(result)
    return activation_figure(result, "figure" if shared else "layer")


def activation_figure(result: Activations, ranges: Range = "layer", maps: int | None = None) -> Figure:
    """Give activations as a Figure: for each sample and layer the first channels in the result's order.

    Colours have one range for each layer, for each map, or for the whole figure. At most `maps` channels of a layer are
    shown (None: 64, fewer where there are several layers). A layer over time is one map of channels and steps, one
    without places a list of its strongest units.
    """
    cases = [(i, name) for i in range(len(result)) for name in result]
    shown = cases[:ROWS]
    scales = {name: _scale(result[name]) for name in result}
    if ranges == "figure":
        widest = max(s.limit for s in scales.values())
        scales = {n: Scale(widest, s.unit, s.kind) for n, s in scales.items()}
    most = maps or max(TILES // len(shown), 2 * ACROSS)
    rows: list[tuple[Panel | None, ...]] = []
    for k, (i, name) in enumerate(shown):
        given = _input(result, i) if k == 0 or shown[k - 1][0] != i else None
        panel = _layer(result, i, name, scales[name], ranges == "map", most)
        rows.append((given, panel) if _has_picture(result) else (panel,))
    notes = [f"{len(shown)} of {len(cases)} maps of layers are shown: ask for fewer layers or samples."]
    return Figure(
        title=f"What {listed(list(result), 3)} give{'s' * (len(result.values) == 1)}",
        subtitle=network(result.origin),
        rows=tuple(rows),
        legend=_legend([p.scale for row in rows for p in row if isinstance(p, TilesPanel | MapPanel)], ranges),
        notes=tuple(notes) if len(cases) > len(shown) else (),
    )


def _layer(result: Activations, i: int, name: str, scale: Scale, own: bool, most: int) -> Panel:
    values, axes = result[name][i], result.axes[name][1:]
    if values.ndim == 1:
        return _units(values, name)
    if values.ndim == 2:
        return _over_time(values, axes, name, scale)
    return _maps(result, i, name, scale, own, most)


def _maps(result: Activations, i: int, name: str, scale: Scale, own: bool, most: int) -> TilesPanel:
    values = result[name][i]
    order = result.ranking(name, i)
    rows = values.reshape(-1, values.shape[-1])
    noted = ACTIVITY.get(result.order if result.order in NOTED else "max", ACTIVITY["max"])(rows)
    tiles = [
        Tile(
            plane(values[..., c]),
            f"{c}",
            percent(float(noted[c])) if result.order == "sparsity" else number(float(noted[c]), 2),
            _scale(values[..., c]) if own else None,
            hint=_hint(rows[:, c], int(c)),
        )
        for c in order[:most]
    ]
    count, silent = values.shape[-1], int((~rows.any(0)).sum())
    places = " × ".join(map(str, values.shape[:-1]))
    facts = [f"Below each map: the channel's number, and its {NOTED.get(result.order, 'maximum')}."]
    if values.ndim == 4:
        facts.append(f"A map is the channel's {values.shape[0]} slices along {result.axes[name][1]}, side by side.")
    if count > most:
        facts.append(f"The first {most} of {count} channels in this order are shown.")
    if silent:
        facts.append(f"{many(silent, 'channel')} of {count} {'is' if silent == 1 else 'are'} zero everywhere here.")
    twins = int(result.statistics(name)["duplicate"].sum()) if count <= 512 else 0
    if twins:
        facts.append(f"{many(twins, 'channel')} of {count} nearly repeat another, up to sign (correlation over 0.95).")
    facts += _not_finite(values)
    return TilesPanel(
        tiles=tuple(tiles),
        across=min(ACROSS if most <= TILES else min(WIDEST, int(np.ceil(np.sqrt(2 * len(tiles))))), len(tiles)),
        scale=scale,
        title=name,
        subtitle=f"{many(count, 'channel')} of {places} places, {FIRST[result.order]} · {_said(scale, own)}",
        facts=tuple(facts),
        alt=f"Maps of {name}; the first is channel {order[0]}, up to {number(float(rows[:, order[0]].max()))}.",
    )


def _hint(values: Array, channel: int) -> str:
    there = values[np.isfinite(values)]
    if not there.size:
        return f"channel {channel}: not finite"
    low, mean, high = (number(float(f(there))) for f in (np.min, np.mean, np.max))
    return f"channel {channel}: {low} to {high}, mean {mean}, {percent(float(np.mean(values == 0)))} zero"


def _not_finite(values: Array) -> list[str]:
    lost = int(values.size - np.isfinite(values).sum())
    return [f"{many(lost, 'value')} {'is' if lost == 1 else 'are'} not finite: yellow."] if lost else []


def _over_time(values: Array, axes: tuple[str, ...], name: str, scale: Scale, order: Array | None = None) -> MapPanel:
    sizes = np.nan_to_num(np.abs(values))
    step, channel = np.unravel_index(int(sizes.argmax()), values.shape)
    place = {"time": "step"}.get(axes[0], axes[0])
    rows = f"{values.shape[1]} channels{'' if order is None else ', most different first'}"
    return MapPanel(
        values=values.T if order is None else values.T[order],
        scale=scale,
        opacity=1.0,
        title=name,
        subtitle=f"rows: {rows}, columns: {values.shape[0]} {place}s · {_said(scale, False)}",
        facts=tuple(_not_finite(values)),
        alt=f"{name} over {place}s; strongest is channel {channel} at {place} {step}.",
    )


def _units(values: Array, name: str, subtitle: str = "strongest first", unit: str = "activation") -> BarPanel:
    order = np.argsort(-np.nan_to_num(np.abs(values)), kind="stable")[:BARS]
    left = len(values) - len(order)
    return BarPanel(
        labels=tuple(f"unit {k}" for k in order),
        values=values[order].astype(np.float64),
        unit=unit,
        ends=("", ""),
        title=name,
        subtitle=f"{many(len(values), 'unit')}, {subtitle}",
        facts=(f"{many(left, 'unit')} with smaller values {'is' if left == 1 else 'are'} not shown.",) if left else (),
        alt=f"{name}: unit {order[0]} is the strongest with {number(float(values[order[0]]))}.",
    )


def _input(result: Activations, i: int) -> Panel | None:
    spec = result.input_spec
    if not isinstance(spec, Image):
        return None
    size = f"{spec.width} × {spec.height} pixels, as the network is given it"
    title = "Input" if len(result) == 1 else f"Input {i + 1}"
    return ImagePanel(image=picture(result.display[i], spec.scale), title=title, subtitle=size, alt="The input.")


def _has_picture(result: Activations) -> bool:
    return isinstance(result.input_spec, Image)


def _scale(values: Array) -> Scale:
    kind: Literal["sequential", "diverging"] = "diverging" if np.any(values < 0) else "sequential"
    return Scale(limit_of([values], robust=values.size > 1000), "activation", kind)


def _said(scale: Scale, own: bool) -> str:
    if own:
        return "colours of each map to its own maximum"
    low = "0 to " if scale.kind == "sequential" else "±"
    return f"colours {low}{number(scale.limit)}"


def _legend(scales: Sequence[Scale], ranges: Range = "layer") -> Legend | None:
    if len({s.kind for s in scales}) != 1:
        return None
    alike = len({s.limit for s in scales}) == 1 and ranges != "map"
    if scales[0].kind == "diverging":
        return signed_legend(scales[0].limit if alike else None)
    top = number(scales[0].limit) if alike else "range"
    half = number(scales[0].limit / 2) if alike else "½"
    return Legend("sequential", ((0.0, "0"), (0.5, half), (1.0, top)), "not active", "active", opacity=1.0)


# ---------------------------------------------------------------- two samples


def difference_figure(result: Activations, a: int = 0, b: int = 1) -> Figure:
    """Give what layers give for sample `a`, for `b`, and a minus b, as a Figure: the most different channels first.

    Both samples have one range in every layer. Raises ParameterError where there is no such sample.
    """
    names = list(result)[:ROWS]
    changes = {name: result.difference(name, a, b) for name in names}
    rows: list[tuple[Panel | None, ...]] = []
    if _has_picture(result):
        rows.append(tuple(_input(result, i) for i in (a, b)))
    for name, change in changes.items():
        own = _scale(result[name][[a, b]])
        signed = Scale(limit_of([change], robust=change.size > 1000), "difference")
        rows.append(_compared(result, name, (a, b), change, own, signed))
    widest = max(len(row) for row in rows)
    left = len(result.values) - len(names)
    return Figure(
        title=f"What {listed(names, 3)} give{'s' * (len(names) == 1)} for two samples",
        subtitle=f"{network(result.origin)} · a is sample {a + 1}, b is sample {b + 1}",
        rows=tuple(rows) if widest < 2 or not _has_picture(result) else tuple(rows[:1]),
        below=() if not _has_picture(result) else tuple(tuple(p for p in row if p is not None) for row in rows[1:]),
        legend=None if any(len(result[n].shape) == 2 for n in names) else signed_legend(None),
        notes=(f"{many(left, 'layer')} more {'is' if left == 1 else 'are'} not shown.",) if left else (),
    )


def _compared(
    result: Activations, name: str, pair: tuple[int, int], change: Array, own: Scale, signed: Scale
) -> tuple[Panel, ...]:
    if change.ndim == 1:
        return (_units(change, name, "the largest a − b first", "a − b"),)
    if change.ndim == 2:
        axes, order = result.axes[name][1:], _most_changed(change)
        three = [(result[name][pair[0]], "a", own), (result[name][pair[1]], "b", own), (change, "a − b", signed)]
        return tuple(_over_time(v, axes, f"{name}, {w}", scale, order) for v, w, scale in three)
    order = _most_changed(change)[:COMPARED]
    tiles = [
        tile
        for c in order
        for tile in (
            *(Tile(plane(result[name][i][..., c]), f"{c} {w}") for i, w in zip(pair, "ab", strict=True)),
            Tile(plane(change[..., c]), "a − b", number(float(_mean_size(change)[c]), 2), signed),
        )
    ]
    shown = f"the first {len(order)} of {many(change.shape[-1], 'channel')}" if len(order) < change.shape[-1] else ""
    return (
        TilesPanel(
            tiles=tuple(tiles),
            across=min(9, len(tiles)),
            scale=own,
            title=name,
            subtitle=" · ".join(
                filter(None, (f"most different first, {_said(own, False)}, a − b ±{number(signed.limit)}", shown))
            ),
            facts=("Three maps a channel: a, b, and a − b with its mean size.", *_not_finite(change)),
            alt=f"Differences in {name}; channel {order[0]} differs most.",
        ),
    )


def _mean_size(change: Array) -> Array:
    return np.asarray(np.abs(change).reshape(-1, change.shape[-1]).mean(0, dtype=np.float64))


def _most_changed(change: Array) -> Array:
    return np.argsort(-np.nan_to_num(_mean_size(change), nan=-np.inf), kind="stable")


# ---------------------------------------------------------------- over the input


def overlay_figure(result: Activations, layer: str, channel: int | None = None, sample: int = 0) -> Figure:
    """Give one channel of a layer over its input as a Figure; None takes the first in the result's order.

    Every unit lies at the centre of what it sees of the input. Where that is not known the map is resized to cover the
    input, and the figure says so. Raises NotSupported for layers or inputs without places.
    """
    channel = int(result.ranking(layer, sample)[0]) if channel is None else channel
    placed, spec = result.on_input(layer, channel, sample), result.input_spec
    scale = Scale(_scale(placed).limit, "activation")  # over a picture zero is clear, whatever the signs
    off = result.misplaced(layer)
    how = (
        "resized to cover the input: what the units see is not known, so that places may be off"
        if off is None
        else "every unit at the centre of its field"
    )
    place = "pixel" if isinstance(spec, Image) else "step"
    notes = [] if off is None else [f"A plain resize would be off by up to {number(off, 2)} {place}s."]
    grid = result[layer][sample, ..., channel]
    title = f"Channel {channel} of {layer} over the input"
    if isinstance(spec, Image):
        given = picture(result.display[sample], spec.scale)
        row: tuple[Panel, ...] = (
            ImagePanel(image=given, title="Input", alt="The input."),
            MapPanel(values=grid, scale=scale, opacity=1.0, title=f"{' × '.join(map(str, grid.shape))} units"),
            MapPanel(
                values=placed, scale=scale, background=paled(given), title="Over the input", subtitle=how,
                alt=f"Channel {channel} over the input; strongest at {_strongest(placed)}.",
            ),
        )  # fmt: skip
    elif isinstance(spec, Series):
        row = (_band(result, placed, sample, scale, how),)
    else:
        raise NotSupported(f"a map cannot be laid over {type(spec).__name__} inputs")
    return Figure(
        title=title,
        subtitle=network(result.origin),
        rows=(row,),
        legend=signed_legend(scale.limit),
        notes=(*notes, *_not_finite(grid)),
    )


def _band(result: Activations, placed: Array, sample: int, scale: Scale, how: str) -> LinePanel:
    spec = result.input_spec
    signal = np.asarray(result.display[sample], np.float64).reshape(len(placed), -1)
    times, label = time_axis(len(placed), spec.rate)
    return LinePanel(
        lines=tuple(Line(f"{k}", times, signal[:, k], placed) for k in range(min(signal.shape[1], ROWS))),
        scale=scale,
        x_label=label,
        title="Over the input",
        subtitle=how,
        alt=f"The channel over the series; strongest at {_strongest(placed)}.",
    )


def _strongest(placed: Array) -> str:
    at = np.unravel_index(int(np.nan_to_num(placed, nan=-np.inf).argmax()), placed.shape)
    return ", ".join(str(int(n)) for n in at)
