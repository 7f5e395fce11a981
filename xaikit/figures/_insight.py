"""Filters as panels: small pictures in rows, the strongest first, on one scale; and words for what is inside."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.figures._attribution import panels
from xaikit.figures._colours import PERCENTILE, limit_of
from xaikit.figures._data import (
    Figure,
    Legend,
    MapPanel,
    Panel,
    Scale,
    Tile,
    TilesPanel,
)
from xaikit.figures._words import number, percent, spoken
from xaikit.results import Filters, Origin

TILES, ACROSS, ROWS = 64, 8, 8
"""How many small pictures a panel has at most, in how many columns, and how many panels of activations a figure has."""
BARS = 20


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
        subtitle=f"{network(result.origin)} · {_shape(result)}",
        rows=rows,
        legend=None if result.order else signed_legend(limit),
        notes=_about_filters(result, limit, any(isinstance(p, TilesPanel) for row in rows for p in row)),
    )


def _shape(result: Filters) -> str:
    count = f"{len(result)} of {result.total}" if len(result) < result.total else f"{result.total}"
    size = " × ".join(map(str, result.values.shape[1:-1]))
    inputs = result.values.shape[-1]
    grouped = f" in each of {result.groups} groups" if result.groups > 1 else ""
    return f"{count} filters{f' of {size}' if size else ''} on {many(inputs, 'input channel')}{grouped}"


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
        notes.append(f"Dead, with hardly any weight: {listed(dead)}.")
    twins = result.numbers[result.statistics["similarity"] > 0.95]
    if len(twins):
        notes.append(f"With a twin (cosine over 0.95): {listed(twins)}.")
    return tuple(notes)


def _colour_kernels(result: Filters, scale: Scale) -> TilesPanel:
    values = result.values if result.order == "rgb" else result.values[..., ::-1]
    pictures = np.rint(255 * np.clip(0.5 + values / (2 * scale.limit), 0, 1)).astype(np.uint8)
    return _panel(result, [Tile(p, *_named(result, i)) for i, p in enumerate(pictures)], scale)


def _kernels(result: Filters, scale: Scale) -> TilesPanel:
    """Every filter as one map; of a series with several channels, these are the rows."""
    series = result.values.ndim == 3
    planes = [v.T if series else plane(v[..., 0]) for v in result.values]
    return _panel(result, [Tile(p, *_named(result, i)) for i, p in enumerate(planes)], scale)


def _slices(result: Filters, scale: Scale) -> TilesPanel:
    """A row per filter: what it does with those input channels that it weighs most."""
    tiles = []
    for i, strengths in enumerate(result.strengths):
        channels = result.inputs_of(i)
        for c in np.argsort(-strengths, kind="stable")[:ACROSS]:
            name = f"{result.numbers[i]} ← {channels[c]}"
            tiles.append(Tile(plane(result.values[i, ..., c]), name, number(float(strengths[c]), 2)))
    return TilesPanel(
        tiles=tuple(tiles),
        across=min(ACROSS, result.values.shape[-1]),
        scale=scale,
        title=f"The {len(result)} strongest filters",
        subtitle=f"each row a filter ← its strongest input channels · colours ±{number(scale.limit)}",
        alt=f"Slices of the filters {listed(result.numbers)} of {result.layer}.",
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
        alt=f"The filters {listed(result.numbers)} of {result.layer}.",
    )


def _named(result: Filters, i: int) -> tuple[str, str]:
    return f"{result.numbers[i]}", number(float(result.statistics["norm"][i]), 2)


def plane(values: Array) -> Array:
    """Give values with places as a map: one axis as a row, of three the planes of the first side by side."""
    if values.ndim <= 2:
        return np.atleast_2d(values)
    return plane(np.concatenate(list(values), axis=-1))


def signed_legend(limit: float | None) -> Legend:
    """Give the key to signed colours, with the number at their ends where there is one."""
    said = ("−range", "0", "range") if limit is None else (number(-limit), "0", number(limit))
    return Legend("diverging", tuple(zip((0.0, 0.5, 1.0), said, strict=True)), "negative", "positive", opacity=1.0)


# ---------------------------------------------------------------- words


def network(origin: Origin) -> str:
    return f"{origin.model} · {spoken(origin.framework)}"


def many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def listed(items: Sequence[Any] | Array, most: int = 12) -> str:
    found = [str(x) for x in items]
    left = len(found) - most
    return ", ".join(found[:most]) + (f" and {left} more" if left > 0 else "")
