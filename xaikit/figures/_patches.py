"""What excites units: patches of one size, strongest first, beside their projections and the whole samples."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import many
from xaikit.figures._attribution import panels
from xaikit.figures._colours import around_grey, limit_of, over, picture
from xaikit.figures._data import (
    Badge,
    BarPanel,
    Figure,
    Line,
    LinePanel,
    Panel,
    Scale,
    Tile,
    TilesPanel,
)
from xaikit.figures._insight import BARS, ROWS, listed, network
from xaikit.figures._words import number, time_axis
from xaikit.inputs import Image, Series, Text
from xaikit.results import LayerPatches, TopPatches

OUTSIDE = 225
"""The grey of what lies beyond the border of a picture."""
HITS = 36
"""How many patches a figure has at most."""
CHANNELS = 12
"""How many channels a figure of a layer has at most."""
SMALLEST = 0.06
"""The share of the side of a picture that a frame on it has at least."""
READING = {
    "deconvnet": "deconvnet: where in the patch the unit's signal comes from",
    "guided": "guided backpropagation: where in the patch the unit's signal comes from",
    "gradient": "the gradient: what raises the unit",
}


@panels.register
def _patches(result: TopPatches, *, shared: bool = False) -> Figure:
    """What the unit saw in the strongest places, all at one scale, beside the whole samples."""
    rows = tuple(panels_of(own, f"{name}: " if name else "") for name, own in moving(result).items())
    placed = result.places.shape[1] > 0
    seen = f"{many(len(result), 'place') if placed else len(result)} of {many(result.seen, 'sample')}"
    return Figure(
        title=f"What excites {'channel' if placed else 'unit'} {result.channel} of {result.layer}",
        subtitle=f"{network(result.origin)} · the {seen} with the highest activation",
        rows=rows,
        notes=tuple(_notes(result)),
    )


def moving(result: TopPatches) -> dict[str, TopPatches]:
    """Give the patches of the inputs that move the unit: where there are several, not those that nothing comes from."""
    every = dict(result.by_input)
    found = {n: own for n, own in every.items() if own.projections is None or np.any(own.projections)}
    return found or every


def _notes(result: TopPatches) -> list[str]:
    boxed = [own for own in result.by_input.values() if own.boxes is not None]
    notes = [] if boxed else ["Nothing is cut out: a unit sees the whole input, or its places have no names."]
    if any(isinstance(own.input_spec, Image) and _beyond(own) for own in boxed):
        notes.append("Grey around a picture is what lies beyond its border: there the unit sees padding.")
    if left := [n for n in result.by_input if n not in moving(result)]:
        notes.append(f"Nothing comes from {' and '.join(left)}.")
    if said := result.origin.notes.get("projection"):
        notes.append(said)
    if len(result) > HITS:
        notes.append(f"The {HITS} strongest of {len(result)} are shown.")
    return notes


def panels_of(result: TopPatches, prefix: str = "") -> tuple[Panel, ...]:
    """Give the panels of the patches in one input."""
    if isinstance(result.input_spec, Image):
        return patch_panels(result, prefix)
    if isinstance(result.input_spec, Series) and result.boxes is not None:
        return (_stretches(result, prefix),)
    return (_ranked(result, prefix),)


def patch_panels(result: TopPatches, prefix: str = "", across: int | None = None) -> tuple[Panel, ...]:
    """Give the panels of patches of pictures: what the unit sees, the projections, and the whole samples."""
    count = min(len(result), HITS)
    across = across or (min(3, count) if count <= 9 else 6)
    named = [_named(result, i) for i in range(count)]
    cropped = is_cropped(result)
    found: list[Panel] = []
    if cropped:
        found.append(
            TilesPanel(
                tiles=tuple(Tile(crop_of(result, i), *named[i]) for i in range(count)),
                across=across,
                scale=Scale(1.0),
                title=f"{prefix}What the unit sees",
                subtitle=f"{_size(result)} pixels each, strongest first",
                facts=("Below each: the sample, and the activation.",),
                alt=f"Patches; the activations run from {named[0][1]} down to {named[-1][1]}.",
            )
        )
    whole = _whole(result, prefix, named, across)
    projected = [_projections(result, prefix, named, across)] if result.projections is not None else []
    found += [*projected, whole] if cropped else [whole, *projected]
    first, *rest = found
    return (_judged(first, result), *rest)


def _judged(panel: Panel, result: TopPatches) -> Panel:
    if result.status == "ok":
        return panel
    return replace(panel, badge=Badge(str(result.status), "; ".join(result.status.reasons)))


def _named(result: TopPatches, i: int) -> tuple[str, str]:
    source = result.sources[i] if result.sources else ""
    name = source.rpartition("/")[2] if source else f"sample {result.samples[i]}"
    return (name if len(name) <= 16 else f"{name[:7]}…{name[-8:]}"), number(float(result.values[i]))


def _size(result: TopPatches) -> str:
    return " × ".join(str(hi - lo + 1) for lo, hi in result.windows[0].tolist())


def _whole(result: TopPatches, prefix: str, named: Sequence[tuple[str, str]], across: int) -> TilesPanel:
    photos = [picture(d, result.input_spec.scale) for d in result.display[: len(named)]]
    frames = [_framed(result, i) for i in range(len(photos))]
    said = (
        "the whole sample, and what the unit sees"
        if result.boxes is not None
        else "with the unit's place" * any(frames)
    )
    return TilesPanel(
        tiles=tuple(Tile(p, *n, frame=f) for p, n, f in zip(photos, named, frames, strict=True)),
        across=across,
        scale=Scale(1.0),
        title=f"{prefix}{'Where' if result.boxes is not None else 'The samples'}",
        subtitle=said,
        alt=f"Samples {listed(result.samples[: len(named)])} with the places framed.",
    )


def _projections(result: TopPatches, prefix: str, named: Sequence[tuple[str, str]], across: int) -> TilesPanel:
    colours = "grey is zero" if result.input_spec.channels == 3 else "red raises the unit, blue lowers it"
    return TilesPanel(
        tiles=tuple(Tile(projection_of(result, i), *n) for i, n in enumerate(named)),
        across=across,
        scale=Scale(1.0),
        title=f"{prefix}Projection",
        subtitle=READING[str(result.projection)],
        facts=(f"Each to its own maximum; {colours}.",),
        alt=f"Projections by {result.projection} of the samples {listed(result.samples[: len(named)])}.",
    )


def crop_of(result: TopPatches, i: int) -> Array:
    """Give what the unit sees of a picture, in a window of one size; what it does not see there is grey: uint8."""
    photo = picture(result.display[i], result.input_spec.scale)
    (top, bottom), (left, right) = result.windows[i].tolist()
    found = np.full((bottom - top + 1, right - left + 1, 3), OUTSIDE, np.uint8)
    (y0, y1), (x0, x1) = result.boxes[i].tolist()
    if y1 < y0 or x1 < x0:
        return found
    found[y0 - top : y1 - top + 1, x0 - left : x1 - left + 1] = photo[y0 : y1 + 1, x0 : x1 + 1]
    return found


def projection_of(result: TopPatches, i: int) -> Array:
    """Give a projection as a picture, to its own maximum: in its colours around grey, or by sign: uint8."""
    spec = result.input_spec
    values = np.asarray(result.projections[i], np.float64) * spec.scale / np.asarray(spec.std)
    if values.shape[-1] == 3:
        values = values[..., ::-1] if spec.order == "bgr" else values
        return around_grey(values, limit_of([values], robust=False))
    signed = values.sum(-1)
    return np.rint(255 * over(signed, Scale(limit_of([signed], robust=False)))).astype(np.uint8)


def is_cropped(result: TopPatches) -> bool:
    """Whether the patches are parts of their samples."""
    return result.boxes is not None and not _sees_all(result)


def _sees_all(result: TopPatches) -> bool:
    """Whether the windows are the whole input."""
    size = np.array(result.input_spec.shape[:-1])
    return bool(np.all(result.windows[..., 1] - result.windows[..., 0] + 1 >= size))


def _beyond(result: TopPatches) -> bool:
    return not _sees_all(result) and bool(np.any(result.windows != result.boxes))


def _framed(result: TopPatches, i: int) -> tuple[float, float, float, float] | None:
    """Give the frame on the whole picture: what the unit sees, or the cell that its place covers."""
    height, width = result.input_spec.shape[:2]
    if result.boxes is not None:
        (top, bottom), (left, right) = result.boxes[i].tolist()
        if bottom < top or right < left:
            return None
        top, bottom = _visible(top, bottom + 1, height)
        left, right = _visible(left, right + 1, width)
        return top, left, bottom, right
    if result.places.shape[1] != 2:
        return None
    cells = np.array([height, width]) / np.array(result.space)
    (top, left), (bottom, right) = result.places[i] * cells, (result.places[i] + 1) * cells
    return float(top), float(left), float(bottom), float(right)


def _visible(start: float, end: float, size: int) -> tuple[float, float]:
    """Widen a frame that would be too small to be seen."""
    more = max(0.0, SMALLEST * size - (end - start)) / 2
    return max(start - more, 0), min(end + more, size)


def _stretches(result: TopPatches, prefix: str) -> Panel:
    """Every series with what the unit sees of it: coloured by the projection, or all of it; of channels the first."""
    count, first = min(len(result), ROWS), result.input_spec.channels > 1
    signals = [np.asarray(d, np.float64).reshape(len(d), -1)[:, 0] for d in result.display[:count]]
    bands = [_band(result, i, len(signal)) for i, signal in enumerate(signals)]
    x, label = time_axis(len(signals[0]), getattr(result.input_spec, "rate", None))
    lines = [
        Line(f"no. {result.samples[i]}", x, signal, band)
        for i, (signal, band) in enumerate(zip(signals, bands, strict=True))
    ]
    projected = READING[str(result.projection)] if result.projections is not None else "what the unit sees"
    unit = "activation" if result.projections is None else "activation per unit of input"
    return _judged(
        LinePanel(
            lines=tuple(lines),
            scale=Scale(limit_of(bands, robust=False), unit),
            x_label=label,
            title=f"{prefix}Where",
            subtitle=f"coloured: {projected}{'; of the channels the first is drawn' * first}",
            facts=(f"activations from {number(float(result.values[0]))} down to {number(float(result.values[-1]))}",),
            alt=f"Samples {listed(result.samples)} with the stretches that excite the unit.",
        ),
        result,
    )


def _band(result: TopPatches, i: int, steps: int) -> Array:
    """Give a number for every step of a series: the projection, summed over channels, or where the unit sees it."""
    band = np.zeros(steps)
    lo, hi = result.boxes[i][0].tolist()
    if result.projections is None:
        band[lo : hi + 1] = float(result.values[i])
    else:
        start = lo - int(result.windows[i][0][0])
        band[lo : hi + 1] = np.asarray(result.projections[i], np.float64).sum(-1)[start : start + hi - lo + 1]
    return band


def _ranked(result: TopPatches, prefix: str) -> Panel:
    shown = min(len(result), BARS)
    return _judged(
        BarPanel(
            labels=tuple(_label(result, i) for i in range(shown)),
            values=result.values[:shown],
            unit="activation",
            ends=("", ""),
            title=f"{prefix}The strongest",
            subtitle="activation",
            alt=f"Samples {listed(result.samples)}.",
        ),
        result,
    )


def _label(result: TopPatches, i: int) -> str:
    """Name a patch: by the words that the unit sees, or by sample and place."""
    if isinstance(result.input_spec, Text) and result.boxes is not None and isinstance(result.display[i], str):
        words = result.patch(i)
        return f"“{words}”" if words else f"sample {result.samples[i]}, before its first word"
    place = ", ".join(f"{a} {p}" for a, p in zip(result.axes, result.places[i], strict=False))
    return f"sample {result.samples[i]}" + (f", {place}" if place else "")


# ---------------------------------------------------------------- many channels


@panels.register
def _layer(result: LayerPatches, *, shared: bool = False) -> Figure:
    """A row of patches for each channel, those with the highest activation first."""
    s = result.survey
    order = np.argsort(-s.statistics["max"], kind="stable")
    shown = [result[int(s.channels[i])] for i in order[:CHANNELS]]
    own = shown[0]
    if isinstance(own.input_spec, Image):
        row: tuple[Panel, ...] = _table(shown)
    else:
        row = (_maxima(result, order),)
    notes = [f"Below each: channel and sample, and the activation. Take one channel by patches[{own.channel}]."]
    if len(result) > len(shown):
        notes.append(f"The {len(shown)} channels with the highest activation of {len(result)} are shown.")
    dead = s.channels[s.statistics["dead"].astype(bool)]
    if len(dead):
        notes.append(f"Nowhere above zero in the data: {listed(dead)}.")
    return Figure(
        title=f"What excites the channels of {s.layer}",
        subtitle=f"{network(result.origin)} · {many(len(result), 'channel')} over {many(s.seen, 'sample')}",
        rows=(row,),
        notes=tuple(notes),
    )


def _table(shown: Sequence[TopPatches]) -> tuple[Panel, ...]:
    across = min(len(shown[0]), 6)
    cropped = is_cropped(shown[0])

    def tiles(draw: Callable[[TopPatches, int], Array]) -> tuple[Tile, ...]:
        return tuple(
            Tile(draw(one, i), f"{one.channel} · {one.samples[i]}", number(float(one.values[i])))
            for one in shown
            for i in range(across)
        )

    what = crop_of if cropped else lambda one, i: picture(one.display[i], one.input_spec.scale)
    size = f"{_size(shown[0])} pixels each" if cropped else "the whole samples"
    found: list[Panel] = [
        TilesPanel(
            tiles=tiles(what),
            across=across,
            scale=Scale(1.0),
            title="What the units see",
            subtitle=f"a row for each channel, strongest first · {size}",
            alt=f"Patches of the channels {listed([one.channel for one in shown])}.",
        )
    ]
    if shown[0].projections is not None:
        found.append(
            TilesPanel(
                tiles=tiles(projection_of),
                across=across,
                scale=Scale(1.0),
                title="Projections",
                subtitle=READING[str(shown[0].projection)],
                alt="Their projections.",
            )
        )
    return tuple(found)


def _maxima(result: LayerPatches, order: Array) -> BarPanel:
    s, first = result.survey, order[:BARS]
    return BarPanel(
        labels=tuple(f"{s.channels[i]} · sample {s.samples[i, 0]}" for i in first),
        values=s.values[first, 0],
        unit="activation",
        ends=("", ""),
        title="The highest activation of each channel",
        alt=f"Channels {listed(s.channels[first])}.",
    )
