"""Filters, activations and patches as panels: small pictures in rows, the strongest first, on one scale."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from xaikit.arrays import Array
from xaikit.figures._attribution import panels
from xaikit.figures._colours import PERCENTILE, limit_of, picture
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
from xaikit.figures._words import number, percent, spoken
from xaikit.inputs import Image, Series
from xaikit.results import Activations, Filters, Origin, TopPatches

TILES, ACROSS, ROWS = 64, 8, 8
"""How many small pictures a panel has at most, in how many columns, and how many panels of activations a figure has."""
BARS = 20
Range = Literal["layer", "map", "figure"]


@panels.register
def _filters(result: Filters, *, shared: bool = False) -> Figure:
    """The strongest filters; of a deeper layer the strength of every input channel, and the strongest slices."""
    limit = limit_of([result.values], robust=result.values.size > 1000)
    scale = Scale(limit, "weight")
    shown = result.strongest()[:TILES]
    if result.order is not None and result.values.ndim == 4:
        rows: tuple[tuple[Panel | None, ...], ...] = ((_colour_kernels(shown, scale),),)
    elif max(result.values.shape[1:-1], default=1) == 1:
        rows = ((_weights(result, scale),),)
    elif result.values.shape[-1] == 1 or result.values.ndim == 3:
        rows = ((_kernels(shown, scale),),)
    else:
        rows = ((_strengths(result), _slices(result.strongest()[:ROWS], scale)),)
    return Figure(
        title=f"Filters of {result.layer}",
        subtitle=f"{_network(result.origin)} · {_shape(result)}",
        rows=rows,
        legend=None if result.order else _signed(limit),
        notes=_about_filters(result, limit, any(isinstance(p, TilesPanel) for row in rows for p in row)),
    )


def _shape(result: Filters) -> str:
    count = f"{len(result)} of {result.total}" if len(result) < result.total else f"{result.total}"
    size = " × ".join(map(str, result.values.shape[1:-1]))
    inputs = result.values.shape[-1]
    grouped = f" in each of {result.groups} groups" if result.groups > 1 else ""
    return f"{count} filters{f' of {size}' if size else ''} on {_many(inputs, 'input channel')}{grouped}"


def _about_filters(result: Filters, limit: float, tiled: bool) -> tuple[str, ...]:
    notes = []
    if result.order:
        notes.append(
            f"One scale for all: grey is a weight of zero, black −{number(limit)}, white {number(limit)}; "
            "a filter reacts to the colours that it shows."
        )
    if tiled:
        notes.append("Below each filter: its number, and the L2 norm of what is shown.")
    beyond = float(np.mean(np.abs(result.values) > limit))
    if beyond:
        top = number(float(np.abs(result.values).max()))
        notes.append(
            f"The colours cover {PERCENTILE:.0f} % of the weights; {percent(beyond)} lie beyond, up to ±{top}."
        )
    shown = TILES if result.order or result.values.shape[-1] == 1 or result.values.ndim == 3 else len(result)
    if len(result) > shown and tiled:
        notes.append(f"The {shown} with the largest norm of {len(result)} are shown; take others by filters[64:128].")
    dead = result.numbers[result.statistics["dead"]]
    if len(dead):
        notes.append(f"Dead, with hardly any weight: {_listed(dead)}.")
    twins = result.numbers[result.statistics["similarity"] > 0.95]
    if len(twins):
        notes.append(f"With a twin (cosine over 0.95): {_listed(twins)}.")
    return tuple(notes)


def _colour_kernels(result: Filters, scale: Scale) -> TilesPanel:
    values = result.values if result.order == "rgb" else result.values[..., ::-1]
    pictures = np.rint(255 * np.clip(0.5 + values / (2 * scale.limit), 0, 1)).astype(np.uint8)
    return _panel(result, [Tile(p, *_named(result, i)) for i, p in enumerate(pictures)], scale)


def _kernels(result: Filters, scale: Scale) -> TilesPanel:
    """Every filter as one map; of a series with several channels, these are the rows."""
    series = result.values.ndim == 3
    planes = [v.T if series else _plane(v[..., 0]) for v in result.values]
    return _panel(result, [Tile(p, *_named(result, i)) for i, p in enumerate(planes)], scale)


def _slices(result: Filters, scale: Scale) -> TilesPanel:
    """A row per filter: what it does with those input channels that it weighs most."""
    tiles = []
    for i, strengths in enumerate(result.strengths):
        channels = result.inputs_of(i)
        for c in np.argsort(-strengths, kind="stable")[:ACROSS]:
            name = f"{result.numbers[i]} ← {channels[c]}"
            tiles.append(Tile(_plane(result.values[i, ..., c]), name, number(float(strengths[c]), 2)))
    return TilesPanel(
        tiles=tuple(tiles),
        across=min(ACROSS, result.values.shape[-1]),
        scale=scale,
        title=f"The {len(result)} strongest filters",
        subtitle=f"each row a filter ← its strongest input channels · colours ±{number(scale.limit)}",
        alt=f"Slices of the filters {_listed(result.numbers)} of {result.layer}.",
    )


def _strengths(result: Filters) -> MapPanel:
    strengths = result.strengths
    strongest = int(result.numbers[strengths.sum(1).argmax()])
    return MapPanel(
        values=strengths,
        scale=Scale(limit_of([strengths], robust=strengths.size > 1000), "norm", "sequential"),
        opacity=1.0,
        title="Strength by input channel",
        subtitle=f"rows: filters, columns: input channels; L2 norm up to {number(float(strengths.max()))}",
        facts=("dark: none, yellow: most",),
        alt=f"The norm of every filter by input channel; filter {strongest} is the strongest.",
    )


def _weights(result: Filters, scale: Scale) -> MapPanel:
    """All weights at once, where a filter has one place only."""
    values = result.values.reshape(len(result), -1)
    return MapPanel(
        values=values,
        scale=scale,
        opacity=1.0,
        title="All weights",
        subtitle=f"rows: {'units' if result.kind == 'dense' else 'filters'}, columns: inputs · ±{number(scale.limit)}",
        alt=f"The weights of {result.layer}, up to {number(float(np.abs(values).max()))} in size.",
    )


def _panel(result: Filters, tiles: Sequence[Tile], scale: Scale) -> TilesPanel:
    return TilesPanel(
        tiles=tuple(tiles),
        across=min(ACROSS, len(tiles)),
        scale=scale,
        subtitle=f"strongest first · {'colours' if result.order else 'weights'} ±{number(scale.limit)}",
        alt=f"The filters {_listed(result.numbers)} of {result.layer}.",
    )


def _named(result: Filters, i: int) -> tuple[str, str]:
    return f"{result.numbers[i]}", number(float(result.statistics["norm"][i]), 2)


def _plane(values: Array) -> Array:
    """Give values with places as a map: one axis as a row, of three the planes of the first side by side."""
    if values.ndim <= 2:
        return np.atleast_2d(values)
    return _plane(np.concatenate(list(values), axis=-1))


# ---------------------------------------------------------------- activations


@panels.register
def _activations(result: Activations, *, shared: bool = False) -> Figure:
    return activation_figure(result, "figure" if shared else "layer")


def activation_figure(result: Activations, ranges: Range = "layer") -> Figure:
    """Give activations as a Figure: for each sample and layer the most active channels, with their maxima.

    Colours have one range for each layer, for each map, or for the whole figure. A layer over time is one map of
    channels and steps, one without places a list of its strongest units.
    """
    cases = [(i, name) for i in range(len(result)) for name in result]
    shown = cases[:ROWS]
    scales = {name: _scale(result[name]) for name in result}
    if ranges == "figure":
        widest = max(s.limit for s in scales.values())
        scales = {n: Scale(widest, s.unit, s.kind) for n, s in scales.items()}
    rows: list[tuple[Panel | None, ...]] = []
    for k, (i, name) in enumerate(shown):
        given = _input(result, i) if k == 0 or shown[k - 1][0] != i else None
        panel = _layer(result, i, name, scales[name], ranges == "map", max(TILES // len(shown), 2 * ACROSS))
        rows.append((given, panel) if _has_picture(result) else (panel,))
    notes = [f"{len(shown)} of {len(cases)} maps of layers are shown: ask for fewer layers or samples."]
    return Figure(
        title=f"What {_listed(list(result), 3)} give{'s' * (len(result.values) == 1)}",
        subtitle=_network(result.origin),
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
    top = values.reshape(-1, values.shape[-1]).max(0)
    tiles = [
        Tile(_plane(values[..., c]), f"{c}", number(float(top[c]), 2), _scale(values[..., c]) if own else None)
        for c in order[:most]
    ]
    count, silent = values.shape[-1], int((~values.reshape(-1, values.shape[-1]).any(0)).sum())
    places = " × ".join(map(str, values.shape[:-1]))
    facts = ["Below each map: the channel's number, and its maximum."]
    if count > most:
        facts.append(f"The {most} highest of {count} channels are shown.")
    if silent:
        facts.append(f"{_many(silent, 'channel')} of {count} {'is' if silent == 1 else 'are'} zero everywhere here.")
    return TilesPanel(
        tiles=tuple(tiles),
        across=min(ACROSS, len(tiles)),
        scale=scale,
        title=name,
        subtitle=f"{_many(count, 'channel')} of {places} places, highest first · {_said(scale, own)}",
        facts=tuple(facts),
        alt=f"Maps of {name}; most active is channel {order[0]}, up to {number(float(top[order[0]]))}.",
    )


def _over_time(values: Array, axes: tuple[str, ...], name: str, scale: Scale) -> MapPanel:
    step, channel = np.unravel_index(int(np.abs(values).argmax()), values.shape)
    place = {"time": "step"}.get(axes[0], axes[0])
    return MapPanel(
        values=values.T,
        scale=scale,
        opacity=1.0,
        title=name,
        subtitle=f"rows: {values.shape[1]} channels, columns: {values.shape[0]} {place}s · {_said(scale, False)}",
        alt=f"{name} over {place}s; strongest is channel {channel} at {place} {step}.",
    )


def _units(values: Array, name: str) -> BarPanel:
    order = np.argsort(-np.abs(values), kind="stable")[:BARS]
    left = len(values) - len(order)
    return BarPanel(
        labels=tuple(f"unit {k}" for k in order),
        values=values[order].astype(np.float64),
        unit="activation",
        ends=("", ""),
        title=name,
        subtitle=f"{_many(len(values), 'unit')}, strongest first",
        facts=(f"{_many(left, 'unit')} with smaller values {'is' if left == 1 else 'are'} not shown.",) if left else (),
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
    kind: Literal["sequential", "diverging"] = "sequential" if values.min() >= 0 else "diverging"
    return Scale(limit_of([values], robust=values.size > 1000), "activation", kind)


def _said(scale: Scale, own: bool) -> str:
    if own:
        return "colours of each map to its own maximum"
    low = "0 to " if scale.kind == "sequential" else "±"
    return f"colours {low}{number(scale.limit)}"


def _legend(scales: Sequence[Scale], ranges: Range) -> Legend | None:
    if len({s.kind for s in scales}) != 1:
        return None
    alike = len({s.limit for s in scales}) == 1 and ranges != "map"
    if scales[0].kind == "diverging":
        return _signed(scales[0].limit if alike else None)
    top = number(scales[0].limit) if alike else "range"
    half = number(scales[0].limit / 2) if alike else "½"
    return Legend("sequential", ((0.0, "0"), (0.5, half), (1.0, top)), "not active", "active", opacity=1.0)


def _signed(limit: float | None) -> Legend:
    said = ("−range", "0", "range") if limit is None else (number(-limit), "0", number(limit))
    return Legend("diverging", tuple(zip((0.0, 0.5, 1.0), said, strict=True)), "negative", "positive", opacity=1.0)


# ---------------------------------------------------------------- patches

OUTSIDE = 225
"""The grey of what lies beyond the border of a picture."""
HITS = 36
"""How many patches a figure has at most."""


@panels.register
def _patches(result: TopPatches, *, shared: bool = False) -> Figure:
    """What the unit saw in the strongest places, all at one scale, beside the whole samples."""
    if isinstance(result.input_spec, Image):
        row: tuple[Panel, ...] = _crops(result)
    elif isinstance(result.input_spec, Series) and result.boxes is not None:
        row = (_stretches(result),)
    else:
        row = (_ranked(result),)
    placed = result.places.shape[1] > 0
    seen = f"{_many(len(result), 'place') if placed else len(result)} of {_many(result.seen, 'sample')}"
    notes = [] if result.boxes is not None else ["A unit sees the whole input here, or what it sees is not known."]
    if isinstance(result.input_spec, Image) and result.boxes is not None and _beyond(result):
        notes.append("What lies beyond the border of a picture is grey: there the unit sees padding.")
    if len(result) > HITS:
        notes.append(f"The {HITS} strongest of {len(result)} are shown.")
    return Figure(
        title=f"What excites {'channel' if placed else 'unit'} {result.channel} of {result.layer}",
        subtitle=f"{_network(result.origin)} · the {seen} with the highest activation",
        rows=(row,),
        notes=tuple(notes),
    )


def _crops(result: TopPatches) -> tuple[Panel, ...]:
    photos = [picture(d, result.input_spec.scale) for d in result.display[:HITS]]
    named = [(f"sample {s}", number(float(v))) for s, v in zip(result.samples, result.values, strict=True)]
    frames = [_framed(result, i) for i in range(len(photos))]
    across = min(3, len(photos)) if len(photos) <= 9 else 6
    said = (
        "the whole sample, and what the unit sees"
        if result.boxes is not None
        else "with the unit's place" * any(frames)
    )
    whole = TilesPanel(
        tiles=tuple(Tile(p, *n, frame=f) for p, n, f in zip(photos, named, frames, strict=False)),
        across=across,
        scale=Scale(1.0),
        title="Where" if result.boxes is not None else "The samples",
        subtitle=said,
        alt=f"Samples {_listed(result.samples)} with the places framed.",
    )
    if result.boxes is None or _sees_all(result):
        return (whole,)
    crops = [_crop(p, b) for p, b in zip(photos, result.boxes.tolist(), strict=False)]
    size = " × ".join(str(hi - lo + 1) for lo, hi in result.boxes[0])
    seen = TilesPanel(
        tiles=tuple(Tile(c, *n) for c, n in zip(crops, named, strict=False)),
        across=across,
        scale=Scale(1.0),
        title="What the unit sees",
        subtitle=f"{size} pixels each, strongest first",
        facts=("Below each: the sample's number, and the activation.",),
        alt=f"Patches; the activations run from {named[0][1]} down to {named[len(photos) - 1][1]}.",
    )
    return (seen, whole)


def _sees_all(result: TopPatches) -> bool:
    assert result.boxes is not None
    size = np.array(result.input_spec.shape[:-1])
    return bool(np.any(result.boxes[0, :, 1] - result.boxes[0, :, 0] + 1 >= size))


def _beyond(result: TopPatches) -> bool:
    assert result.boxes is not None
    size = np.array(result.input_spec.shape[:-1])
    return not _sees_all(result) and bool(np.any((result.boxes[..., 0] < 0) | (result.boxes[..., 1] >= size)))


def _crop(photo: Array, box: Sequence[tuple[int, int]]) -> Array:
    """Cut a box out of a picture; what lies beyond its border is grey."""
    (top, bottom), (left, right) = box
    cut = np.full((bottom - top + 1, right - left + 1, 3), OUTSIDE, np.uint8)
    inside = photo[max(top, 0) : bottom + 1, max(left, 0) : right + 1]
    cut[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
    return cut


def _framed(result: TopPatches, i: int) -> tuple[float, float, float, float] | None:
    """Give the frame on the whole picture: what the unit sees, or the cell that its place covers."""
    height, width = result.input_spec.shape[:2]
    if result.boxes is not None:
        (top, bottom), (left, right) = result.boxes[i].tolist()
        return max(top, 0), max(left, 0), min(bottom + 1, height), min(right + 1, width)
    if result.places.shape[1] != 2:
        return None
    cells = np.array([height, width]) / np.array(result.space)
    (top, left), (bottom, right) = result.places[i] * cells, (result.places[i] + 1) * cells
    return float(top), float(left), float(bottom), float(right)


def _stretches(result: TopPatches) -> LinePanel:
    """Every series with the stretch that the unit sees as a band; of several channels the first is drawn."""
    assert result.boxes is not None
    rate = getattr(result.input_spec, "rate", None)
    lines = []
    for i in range(min(len(result), ROWS)):
        signal = np.asarray(result.display[i], np.float64).reshape(len(result.display[i]), -1)[:, 0]
        (lo, hi), steps = result.boxes[i][0], np.arange(len(signal))
        band = np.where((steps >= lo) & (steps <= hi), float(result.values[i]), 0.0)
        lines.append(Line(f"no. {result.samples[i]}", steps / (rate or 1), signal, band))
    first = result.input_spec.channels > 1
    return LinePanel(
        lines=tuple(lines),
        scale=Scale(float(np.abs(result.values).max()) or 1.0, "activation"),
        x_label="time (s)" if rate else "step",
        title="Where",
        subtitle=f"coloured: what the unit sees{'; of the channels the first is drawn' * first}",
        facts=(f"activations from {number(float(result.values[0]))} down to {number(float(result.values[-1]))}",),
        alt=f"Samples {_listed(result.samples)} with the stretches that excite the unit.",
    )


def _ranked(result: TopPatches) -> BarPanel:
    shown = min(len(result), BARS)
    labels = [f"sample {s}{_at(result, i)}" for i, s in enumerate(result.samples[:shown])]
    return BarPanel(
        labels=tuple(labels),
        values=result.values[:shown],
        unit="activation",
        ends=("", ""),
        title="The strongest",
        subtitle="activation",
        alt=f"Samples {_listed(result.samples)}.",
    )


def _at(result: TopPatches, i: int) -> str:
    place = ", ".join(f"{a} {p}" for a, p in zip(result.axes, result.places[i], strict=False))
    return f", {place}" if place else ""


# ---------------------------------------------------------------- words


def _network(origin: Origin) -> str:
    return f"{origin.model} · {spoken(origin.framework)}"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _listed(items: Sequence[Any] | Array, most: int = 12) -> str:
    found = [str(x) for x in items]
    left = len(found) - most
    return ", ".join(found[:most]) + (f" and {left} more" if left > 0 else "")
