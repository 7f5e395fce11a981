"""A unit on one figure: what excites it in the data, what it weighs, sees and gives, and its optimum."""

from dataclasses import replace

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import many
from xaikit.figures._attribution import panels
from xaikit.figures._colours import around_grey, limit_of, picture
from xaikit.figures._data import (
    BarPanel,
    CurvePanel,
    Figure,
    MapPanel,
    Panel,
    Scale,
    TextPanel,
    Tile,
    TilesPanel,
    Trace,
)
from xaikit.figures._fields import effective_panel as effective_field_panel
from xaikit.figures._insight import network
from xaikit.figures._patches import moving, panels_of
from xaikit.figures._words import number, percent
from xaikit.inputs import Image, Series
from xaikit.results import Maximization, UnitCard, field_words

INPUTS, ACROSS = 6, 3
"""How many input channels of a filter are shown, and in how many columns."""
FEWEST = 8
"""Bars of a histogram that are shown however few the values are."""


@panels.register
def _card(result: UnitCard, *, shared: bool = False) -> Figure:
    """Patches above; below filter, optimum, and how often the unit gives what."""
    rows: tuple[tuple[Panel, ...], ...] = ()
    if result.patches is not None:
        rows = tuple(panels_of(own, f"{n}: " if n else "") for n, own in moving(result.patches).items())
    parts = (kernel_panel(result), effective_panel(result), optimum_panel(result), values_panel(result))
    below = tuple(p for p in parts if p is not None)
    if not rows:
        rows, below = (below or (_nothing(result),),), ()
    unit = "Channel" if result.space else "Unit"
    return Figure(
        title=f"{unit} {result.channel} of {result.layer}",
        subtitle=f"{network(result.origin)} · {about(result)}",
        rows=rows,
        below=(below,) if below else (),
        notes=notes_of(result),
    )


def _nothing(result: UnitCard) -> TextPanel:
    """Say that no part of a card can be drawn; its notes say why."""
    said = f"There is nothing to draw of this {result.kind} layer: no weights of its own, and no samples to measure."
    return TextPanel(title="What is known", pieces=((said, None),), scale=Scale(1.0), alt=said)


def about(result: UnitCard) -> str:
    """Say in a line what the unit is and what it sees."""
    places = f" with {' × '.join(map(str, result.space))} places" if result.space else ""
    sees = [f"{field_words(f)}{f' of {n}' if len(result.fields) > 1 else ''}" for n, f in result.fields.items()]
    told = f"one of {many(result.total, 'channel' if result.space else 'unit')} of a {result.kind} layer{places}"
    return told + (f" · sees {', '.join(sees)}" if sees else "")


def notes_of(result: UnitCard) -> tuple[str, ...]:
    """Say what is not on the card and why, and how to read what is."""
    notes = []
    if result.patches is not None and result.patches.projection is not None:
        notes += [said] if (said := result.patches.origin.notes.get("projection")) else []
    if result.optimum is not None:
        notes.append(
            "Patches help people more to predict a unit than an optimum (Borowski et al. 2020): read them together."
        )
    return (*notes, *(f"No {PARTS.get(part, part)}: {why}" for part, why in result.missing.items()))


PARTS = {"fields": "receptive field", "effective": "effective field"}


def kernel_panel(result: UnitCard) -> Panel | None:
    """The filter: in colours, as a map, or of a deeper layer its strongest input channels."""
    own = result.filter
    if own is None:
        return None
    values = own.values[0]
    limit = limit_of([values], robust=False)
    scale = Scale(limit, "weight")
    said = f"norm {number(float(own.statistics['norm'][0]))}, weights ±{number(limit)}"
    if own.bias is not None:
        said += f", bias {number(float(own.bias[0]))}"
    facts = (f"of {own.layer}",) if own.layer != result.layer else ()
    if own.order is not None and values.ndim == 3:
        colours = values if own.order == "rgb" else values[..., ::-1]
        tiles: tuple[Tile, ...] = (Tile(around_grey(colours, limit), "all colours", ""),)
        tiles += tuple(Tile(colours[..., c], name, "") for c, name in enumerate(("red", "green", "blue")))
        return _kernel_tiles(tiles, 2, scale, said, facts)
    if values.ndim == 1 or max(values.shape[:-1]) == 1:
        return _weights(result, values.reshape(-1), said, facts)
    strongest = np.argsort(-own.strengths[0], kind="stable")[:INPUTS]
    numbers = own.inputs_of(0)
    tiles = tuple(
        Tile(_plane(values[..., c]), f"input {numbers[c]}", number(float(own.strengths[0][c]), 2)) for c in strongest
    )
    if len(own.strengths[0]) > len(strongest):
        facts = (*facts, f"the {len(strongest)} strongest of {len(own.strengths[0])} input channels, with their norms")
    return _kernel_tiles(tiles, min(ACROSS, len(tiles)), scale, said, facts)


def _kernel_tiles(tiles: tuple[Tile, ...], across: int, scale: Scale, said: str, facts: tuple[str, ...]) -> TilesPanel:
    return TilesPanel(
        tiles=tiles,
        across=across,
        scale=scale,
        title="Its filter",
        subtitle=said,
        facts=(*facts, "red is positive, blue negative"),
        alt=f"The filter: {said}.",
    )


def _weights(result: UnitCard, weights: Array, said: str, facts: tuple[str, ...]) -> BarPanel:
    assert result.filter is not None
    numbers = result.filter.inputs_of(0)
    order = np.argsort(-np.abs(weights), kind="stable")[:INPUTS]
    left = len(weights) - len(order)
    return BarPanel(
        labels=tuple(f"input {numbers[i]}" for i in order),
        values=weights[order].astype(np.float64),
        unit="weight",
        title="Its strongest weights",
        subtitle=said,
        facts=(*facts, f"{many(left, 'smaller weight')} {'is' if left == 1 else 'are'} not shown") if left else facts,
        alt=f"The strongest weights: {said}.",
    )


def _plane(values: Array) -> Array:
    """Give values with places as a map: one axis as a row, of three the planes of the first side by side."""
    if values.ndim <= 2:
        return np.atleast_2d(values)
    return _plane(np.concatenate(list(values), axis=-1))


def effective_panel(result: UnitCard) -> Panel | None:
    """What moves the unit in the middle, within the field in theory."""
    if result.effective is None:
        return None
    panel = effective_field_panel(result.effective)
    lines = "; orange: in theory, blue: 95 % of the energy" if isinstance(panel, MapPanel) else ""
    return replace(panel, title="Its effective field", subtitle=f"of all channels together{lines}")


def optimum_panel(result: UnitCard) -> Panel | None:
    """The optimum beside its opposite, cut to what the unit sees."""
    if result.optimum is None or result.opposite is None:
        return None
    each = (("largest", result.optimum), ("smallest", result.opposite))
    said = f"{result.ratio:.3g} × the highest in the data" if result.ratio is not None else "by gradient ascent"
    reasons = [r for r in result.optimum.status.reasons if "no samples" not in r]
    facts = tuple(reasons[:2])
    alt = f"Inputs that make the unit largest and smallest; {said}."
    if isinstance(result.optimum.input_spec, Image):
        return TilesPanel(
            tiles=tuple(Tile(optimum_picture(result, of), name, _reached(of)) for name, of in each),
            across=2,
            scale=Scale(1.0),
            title="Its optimum and the opposite",
            subtitle=said,
            facts=facts,
            alt=alt,
        )
    if isinstance(result.optimum.input_spec, Series) or result.optimum.image.ndim == 3:
        steps = np.arange(result.optimum.image.shape[1], dtype=np.float64)
        return CurvePanel(
            traces=tuple(
                Trace(f"{name} {_reached(of)}", steps, of.image[0].reshape(len(steps), -1)[:, 0], k, k > 0)
                for k, (name, of) in enumerate(each)
            ),
            x_label="step",
            title="Its optimum and the opposite",
            subtitle=said,
            facts=facts,
            alt=alt,
        )
    flat = np.stack([of.image[0].ravel() for _, of in each])
    off = flat - np.resize(result.optimum.background, flat.shape[1])
    return MapPanel(
        values=off,
        scale=Scale(limit_of([off], robust=off.size > 1000), "off the background"),
        opacity=1.0,
        title="Its optimum and the opposite",
        subtitle=f"rows: largest, smallest; columns: inputs · {said}",
        facts=facts,
        alt=alt,
    )


def _reached(of: Maximization) -> str:
    return number(float(of.quality["activation"][0] * of.signs[0]))


def optimum_picture(result: UnitCard, of: Maximization) -> Array:
    """Give an optimum as a picture, cut to the field of the unit it was made for: uint8."""
    low, high = of.limits.T
    whole = picture((of.image[0] - low) / (high - low), 1.0)
    name = of.input if of.input is not None else next(iter(result.fields), "")
    field = result.fields.get(name)
    if field is None or of.place is None or not field.local.known or field.axes != ("height", "width"):
        return whole
    lo, hi = field.local.box(of.place)
    if any(b < a for a, b in zip(lo, hi, strict=True)):
        return whole
    return np.ascontiguousarray(whole[lo[0] : hi[0] + 1, lo[1] : hi[1] + 1])


def values_panel(result: UnitCard) -> Panel | None:
    """How often the unit gives which value, zeros left out."""
    if not result.statistics:
        return None
    s = result.statistics
    places = "places" if result.space else "samples"
    facts = [
        f"mean {number(s['mean'])}, standard deviation {number(s['std'])}",
        f"from {number(s['min'])} to {number(s['max'])}",
        f"above zero in {percent(s['positive'])} of the {places}, zero in {percent(s['sparsity'])}",
    ]
    if s["dead"]:
        facts.append("nowhere above zero: dead in these data")
    edges, counts = _steps(result)
    return CurvePanel(
        traces=(Trace(f"{places} with this value", edges, counts, 0),),
        x_label="activation" + (", zeros left out" if s["sparsity"] else ""),
        title="What it gives",
        subtitle=f"over {many(result.seen, 'sample')}",
        facts=tuple(facts),
        alt=f"Histogram of the activations: {'; '.join(facts)}.",
    )


def _steps(result: UnitCard) -> tuple[Array, Array]:
    """Give a histogram as the outline of its bars; of few values, two bins as one until they are not too many."""
    counts, edges = result.counts.astype(np.float64), result.edges
    if not len(counts):
        return np.zeros(2), np.zeros(2)
    while len(counts) > max(FEWEST, 2 * np.sqrt(counts.sum())):
        if len(counts) % 2:
            counts, edges = np.append(counts, 0.0), np.append(edges, 2 * edges[-1] - edges[-2])
        counts, edges = counts.reshape(-1, 2).sum(1), edges[::2]
    return np.repeat(edges, 2), np.concatenate([[0.0], np.repeat(counts, 2), [0.0]])
