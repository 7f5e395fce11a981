"""Receptive fields as panels: their size by depth, their boxes on a picture, and what the gradient shows."""

from collections.abc import Iterable, Sequence

import numpy as np

from xaikit.arrays import SPACE, Array
from xaikit.errors import NotSupported, UnknownName, many
from xaikit.figures._attribution import panels
from xaikit.figures._colours import picture
from xaikit.figures._data import (
    Badge,
    BarPanel,
    CurvePanel,
    Figure,
    Frame,
    ImagePanel,
    Legend,
    MapPanel,
    Mark,
    Panel,
    Scale,
    Trace,
)
from xaikit.figures._insight import network
from xaikit.figures._words import number, percent
from xaikit.results import EffectiveField, EffectiveFields, Field, ReceptiveFields

BARS = 40
"""How many layers are listed beside the curve."""
OUTSIDE = 225
"""The grey of what lies beyond the border of a picture."""
BEYOND = 0.5
"""How far beyond its border a picture is continued, at most, relative to its size."""
LEGEND = Legend("sequential", ((0.0, "0"), (0.5, "½"), (1.0, "largest")), "moves nothing", "moves most", opacity=1.0)
UNITS = {"time": "steps", "token": "tokens", "feature": "columns"}


@panels.register
def _receptive_fields(result: ReceptiveFields, *, shared: bool = False) -> Figure:
    """The size of the field by depth beside the input's, and a list of the layers where it changes."""
    named = list(result.inputs)
    rows = tuple((_by_depth(result, n, many=len(named) > 1), _listed(result, n)) for n in named if _steps(result, n))
    lengths = "; ".join(
        f"{n}: {' × '.join('?' if k is None else str(k) for k in axes.values())}" for n, axes in result.inputs.items()
    )
    return Figure(
        title=f"Receptive fields of {result.origin.model}",
        subtitle=f"{network(result.origin)} · {many(len(result), 'layer')} · {lengths}",
        rows=rows or ((_nothing(result),),),
        notes=_notes(result),
    )


def _fields(result: ReceptiveFields, name: str) -> list[Field]:
    return [each[name] for each in result.fields.values() if name in each]


def _steps(result: ReceptiveFields, name: str) -> list[Field]:
    """List the fields in call order, one for each run of layers with the same."""
    found: list[Field] = []
    for f in _fields(result, name):
        if not found or _numbers(found[-1]) != _numbers(f):
            found.append(f)
    return found


def _numbers(f: Field) -> tuple[object, ...]:
    return f.size, f.stride, f.padding, f.global_, f.local.size, f.local.global_


def _by_depth(result: ReceptiveFields, name: str, many: bool) -> CurvePanel:
    """Lines of the field's size over the layers in call order, with the input's size."""
    given = _fields(result, name)
    x = np.arange(1, len(given) + 1)
    axes = result.inputs[name]
    alike = len({tuple(_sizes(f, i) for f in given) for i in range(len(axes))} | set(axes.values())) <= 2 or (
        len({tuple(_sizes(f, i) for f in given) for i in range(len(axes))}) == 1
    )
    traces = []
    for i, (axis, length) in enumerate(axes.items()):
        if i and alike:
            break
        said = " × ".join(axes) if alike else axis
        size = np.array([np.nan if (s := _sizes(f, i)) is None else s for f in given])
        local = np.array([np.nan if (s := _sizes(f.local, i)) is None else s for f in given])
        traces.append(Trace(f"field ({said})", x, size, i))
        if not np.array_equal(size, local, equal_nan=True):
            traces.append(Trace(f"gates left out ({said})", x, local, i, dashed=True))
        if length is not None:
            traces.append(Trace(f"input ({said})", x, np.full(len(x), float(length)), -1, dashed=True))
    beyond = next((k for k, f in enumerate(given) if f.exceeds()), None)
    first = None if beyond is None else given[beyond]
    mark = None
    if first is not None and beyond is not None:
        whole = "sees all" if all(first.global_) else "larger than the input"
        at = max([float(s) for i in range(len(axes)) if (s := _sizes(first, i)) is not None], default=0.0)
        mark = Mark(float(x[beyond]), at, f"{first.layer}: {whole}")
    return CurvePanel(
        traces=tuple(traces),
        mark=mark,
        x_label="layer, in call order",
        title=f"Size of the field in {name}" if many else "Size of the field",
        subtitle=f"in {_unit(axes)}",
        alt=_told(given),
    )


def _sizes(f: Field, axis: int) -> float | None:
    """Give the size along an axis; where units differ, the largest of them."""
    size, varied = f.size[axis], f.sizes[axis]
    return float(size) if size is not None else None if varied is None else float(varied[1])


def _unit(axes: Iterable[str]) -> str:
    named = {UNITS.get(a, "pixels" if a in SPACE else "places") for a in axes}
    return named.pop() if len(named) == 1 else "places"


def _told(given: Sequence[Field]) -> str:
    last = next((f for f in reversed(given) if not any(f.global_) and None not in f.size), None)
    if last is None:
        return "The size of the receptive field by layer."
    return f"The size of the receptive field by layer, up to {_size(last)} at {last.layer}."


def _listed(result: ReceptiveFields, name: str) -> BarPanel:
    """A bar for every layer at which the field changes."""
    steps = _steps(result, name)
    shown = steps if len(steps) <= BARS else [*steps[: BARS // 2], *steps[-BARS // 2 :]]
    values = np.array([max((s for i in range(len(f.axes)) if (s := _sizes(f, i))), default=np.nan) for f in shown])
    left = len(steps) - len(shown)
    return BarPanel(
        labels=tuple(f"{f.layer} · {_size(f)}{_step(f)}{_of_features(f)}" for f in shown),
        values=values,
        signed=False,
        ends=("", ""),
        title="Where it changes",
        subtitle="size / stride, left padding",
        facts=(f"{left} between them are left out; `.table()` has all.",) if left else (),
        alt=", ".join(f"{f.layer} {_size(f)}" for f in shown[:12]),
    )


def _size(f: Field) -> str:
    if all(f.global_):
        return "all"
    said = ["all" if g else _number(s, r) for g, s, r in zip(f.global_, f.size, f.sizes, strict=True)]
    return said[0] if len(set(said)) == 1 else " × ".join(said)


def _number(size: float | None, varied: tuple[int, int] | None) -> str:
    if size is not None:
        return f"{size:g}"
    return "varies" if varied is None else "–".join(map(str, dict.fromkeys(varied)))


def _of_features(f: Field) -> str:
    """What is seen with gates left out, where that is less."""
    return "" if f.of_features is None else f" (gates aside {_size(f.of_features)})"


def _step(f: Field) -> str:
    if all(f.global_) or all(s is None for s in f.stride):
        return ""
    strides, paddings = (["–" if n is None else f"{n:g}" for n in each] for each in (f.stride, f.padding))
    short = [s[0] if len(set(s)) == 1 else "×".join(s) for s in (strides, paddings)]
    return f" / {short[0]}, {short[1]}"


def _nothing(result: ReceptiveFields) -> BarPanel:
    return BarPanel(labels=(), values=np.zeros(0), title="No layer sees an input", alt="No layer sees an input.")


def _notes(result: ReceptiveFields) -> tuple[str, ...]:
    notes = []
    beyond = result.exceeding()
    if beyond is not None:
        notes.append(f"From {beyond} on the field is the whole input or larger.")
    mixing = dict.fromkeys(m for each in result.fields.values() for f in each.values() for m in f.mixed_by)
    if mixing:
        said = ", ".join(list(mixing)[:4]) + (f" and {len(mixing) - 4} more" if len(mixing) > 4 else "")
        notes.append(f"Every unit sees a whole axis from here on: {said}.")
    notes += list(result.status.reasons[:6])
    if len(result.status.reasons) > 6:
        notes.append(f"{len(result.status.reasons) - 6} more remarks are in .status.reasons.")
    if result.checks:
        counts = {v: sum(c.verdict == v for c in result.checks) for v in ("equal", "within", "beyond", "unprobed")}
        said = ", ".join(f"{n} {v}" for v, n in counts.items() if n)
        notes.append(f"Compared with what the network reacts to, layer by layer: {said}.")
    return tuple(notes)


# --- boxes on a picture ----------------------------------------------------------------------------------------------


def boxes_figure(
    result: ReceptiveFields,
    image: Array,
    layers: Sequence[str] | None = None,
    unit: int | tuple[int, ...] | None = None,
    input: str | None = None,
) -> Figure:
    """Give the boxes of one unit of each of some layers on a picture, as a Figure.

    `image` (height, width, 3) is of the size of the input, in 0..255 or 0..1; `layers` None = up to six whose field
    differs and leaves something of the picture out; `unit` None = the middle one of each. What a box has beyond the
    border is padding, drawn grey. Raises UnknownName, and NotSupported for an input that is no picture.
    """
    name = input or next(iter(result.inputs), "")
    if name not in result.inputs:
        raise UnknownName(f"input of {result.origin.model}", name, result.inputs)
    if tuple(result.inputs[name]) != ("height", "width"):
        raise NotSupported(f"boxes are drawn on pictures; {name} has the axes {', '.join(result.inputs[name])}")
    chosen = list(layers) if layers is not None else _telling(result, name)
    found = [(n, *result[n].of(name).box(unit, inside=False)) for n in chosen]
    shown, shift = _continued(np.asarray(image), [(lo, hi) for _, lo, hi in found])
    frames = tuple(
        Frame(_box(lo, hi, shift, shown.shape), f"{n} {_size(result[n].of(name))}", i)
        for i, (n, lo, hi) in enumerate(found)
    )
    where = "the middle unit" if unit is None else f"unit {unit}"
    panel = ImagePanel(
        image=shown,
        frames=frames,
        title=f"What {where} sees",
        subtitle="of each layer; grey is padding",
        facts=tuple(_fact(result[n].of(name), unit) for n in chosen),
        alt=", ".join(f.name for f in frames),
    )
    return Figure(title=f"Receptive fields of {result.origin.model}", subtitle=network(result.origin), rows=((panel,),))


def _fact(f: Field, unit: int | tuple[int, ...] | None) -> str:
    (lo, hi), share = f.box(unit), f.padded(unit)
    inside = ", ".join(f"{a} {i} to {j}" for a, i, j in zip(f.axes, lo, hi, strict=True))
    return f"{f.layer}: {inside}" + (f"; {percent(share)} padding" if share else "")


def _telling(result: ReceptiveFields, name: str) -> list[str]:
    """Choose layers whose fields differ and are smaller than the picture."""
    steps = [f for f in _steps(result, name) if f.known and not all(f.global_) and len(f.shape) == 2]
    small = [f for f in steps if not f.exceeds()] or steps[:1]
    picked = np.linspace(0, len(small) - 1, min(6, len(small))).round().astype(int)
    return [small[i].layer for i in dict.fromkeys(picked.tolist())]


def _continued(image: Array, boxes: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> tuple[Array, tuple[int, int]]:
    """Give the picture with a grey border wide enough for the boxes, and where its corner went."""
    shown = image if image.dtype == np.uint8 else picture(image, 1.0 if float(np.max(image)) > 1 else 1 / 255)
    shown = shown[..., None] if shown.ndim == 2 else shown
    shown = np.repeat(shown, 3, -1) if shown.shape[-1] == 1 else shown
    pads = []
    for axis in (0, 1):
        most = int(BEYOND * shown.shape[axis])
        before = max([0, *(-lo[axis] for lo, _ in boxes)])
        after = max([0, *(hi[axis] + 1 - shown.shape[axis] for _, hi in boxes)])
        pads.append((min(before, most), min(after, most)))
    return np.pad(shown[..., :3], [*pads, (0, 0)], constant_values=OUTSIDE), (pads[0][0], pads[1][0])


def _box(
    lo: Sequence[float], hi: Sequence[float], shift: Sequence[int], shape: Sequence[int]
) -> tuple[float, float, float, float]:
    """Give a box of first and last pixels as a frame (top, left, bottom, right), cut at the picture's edge."""
    top, left = (max(0.0, lo[i] + shift[i]) for i in (0, 1))
    bottom, right = (min(float(shape[i]), hi[i] + 1 + shift[i]) for i in (0, 1))
    return top, left, bottom, right


# --- effective fields ------------------------------------------------------------------------------------------------


@panels.register
def _effective_fields(result: EffectiveFields, *, shared: bool = False) -> Figure:
    """What moves one unit of each layer: a map, or over time a curve, with the field in theory and its 95 % square."""
    shown = list(result.fields.values())
    each = [effective_panel(f) for f in shown]
    across = min(4, len(each)) if any(isinstance(p, MapPanel) for p in each) else 1
    padded: list[Panel | None] = [*each, *[None] * (-len(each) % across)]
    rows = tuple(tuple(padded[i : i + across]) for i in range(0, len(padded), across))
    maps = any(isinstance(p, MapPanel) for p in each)
    return Figure(
        title="Effective receptive fields" if len(shown) > 1 else f"Effective receptive field of {shown[0].layer}",
        subtitle=f"{network(result.origin)} · mean of {many(result.samples, 'sample')} · seed {result.origin.seed}",
        rows=rows,
        legend=Legend(
            "sequential", ((0.0, "0"), (0.5, "½"), (1.0, "largest")), "moves nothing", "moves most", opacity=1
        )
        if maps
        else None,
        notes=(
            "Shown is the root of the mean squared gradient, relative to its largest; the signs of channels are drawn, "
            "so that they do not cancel." + " Orange: the field in theory; blue: 95 % of the energy." * maps,
            *result.status.reasons,
        ),
    )


def effective_panel(f: EffectiveField) -> MapPanel | CurvePanel:
    """Show what moves a unit: over space as a map, over time as a curve."""
    return _map(f) if f.energy.ndim > 1 else _curve(f)


def _strength(energy: Array) -> Array:
    """Give the gradient's size relative to the largest; of a volume along the first axes the largest."""
    size = np.sqrt(energy.reshape(-1, *energy.shape[-2:]).sum(0)) if energy.ndim > 2 else np.sqrt(energy)
    return np.asarray(size / (size.max() or 1.0))


def _map(f: EffectiveField) -> MapPanel:
    """The map around the field in theory: as much again on each side of it, where the input goes so far."""
    values = _strength(f.energy)
    lo, hi = f.lo[-2:], f.hi[-2:]
    start = [max(0, a - (b - a + 1) // 2) for a, b in zip(lo, hi, strict=True)]
    stop = [min(n, b + 1 + (b - a + 1) // 2) for a, b, n in zip(lo, hi, values.shape, strict=True)]
    shown = values[start[0] : stop[0], start[1] : stop[1]]
    shift = [-s for s in start]
    first, last = (e[-2:] for e in f.square)
    return MapPanel(
        values=shown,
        scale=Scale(1.0, "gradient", "sequential"),
        opacity=1.0,
        frames=(
            Frame(_box(lo, hi, shift, shown.shape), "", 1),
            Frame(_box(first, last, shift, shown.shape), "", 0),
        ),
        title=f.layer,
        subtitle=f"{_about(f)} · rows {start[0]} to {stop[0] - 1}, columns {start[1]} to {stop[1] - 1}",
        facts=_facts(f),
        badge=_cut(f),
        alt=repr(f),
    )


def _cut(f: EffectiveField) -> Badge | None:
    return Badge("warn", "the border cuts the field") if f.truncated and f.outside > 0.01 else None


def _about(f: EffectiveField) -> str:
    unit = f"unit {', '.join(map(str, f.unit))}" if f.unit else "all units"
    summed = " · summed over " + " and ".join(f.axes[:-2]) if f.energy.ndim > 2 else ""
    return f"{unit}{summed}"


def _facts(f: EffectiveField) -> tuple[str, ...]:
    what = _unit(f.axes)
    size = " × ".join(map(str, f.size))
    low, high = (2 * r + 1 for r in f.radius_interval)
    spread = f" ({low:g} to {high:g})" if low != high else ""
    return (
        f"In theory {size} {what}; 95 % of the energy lies within {f.side:g}{spread}.",
        f"Diameter over 4.55 % of the largest: {number(f.diameter)}; 2σ of the Gaussian: "
        f"{' × '.join(number(2 * s) for s in f.sigma)}.",
        *([f"About {percent(f.outside)} of the energy would lie beyond the border."] if f.outside > 0.001 else []),
    )


def _curve(f: EffectiveField) -> CurvePanel:
    strength = np.sqrt(f.energy)
    top = strength.max() or 1.0
    x = np.arange(len(strength))
    error = f.error / (2 * np.maximum(strength, 1e-3 * top)) / top
    band = None if np.isnan(error).any() else (np.maximum(strength / top - error, 0), strength / top + error)
    (lo,), (hi,) = f.square
    return CurvePanel(
        traces=(
            Trace("size of the gradient", x, strength / top, 0, band=band),
            _span("field in theory", f.lo[0], f.hi[0], 1),
            _span("95 % of the energy", lo, hi, 2),
        ),
        x_label=f.axes[0],
        title=f.layer,
        subtitle=_about(f),
        facts=_facts(f),
        badge=_cut(f),
        alt=repr(f),
    )


def _span(name: str, lo: float, hi: float, colour: int) -> Trace:
    """A stretch of the axis as a line with two ends."""
    at = np.array([lo - 0.5, lo - 0.5, hi + 0.5, hi + 0.5])
    return Trace(name, at, np.array([0.0, 0.06 + 0.04 * colour, 0.06 + 0.04 * colour, 0.0]), colour, dashed=True)
