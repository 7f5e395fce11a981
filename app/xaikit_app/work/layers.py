"""What workers do for the pages Layers and Convolution: what units see, what they would like to see, how they do."""

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import NotSupported, ParameterError
from xaikit.graph import Layer, flattened
from xaikit.insight import (
    activations,
    effective_field,
    explore,
    filters,
    layer_health,
    maximize,
    operations,
    receptive_field,
    unit_card,
)
from xaikit.jobs import Unit
from xaikit.model import Model
from xaikit.progress import Progress
from xaikit.results import (
    RESULTS,
    Activations,
    EffectiveFields,
    LayerHealth,
    Maximization,
    ReceptiveFields,
    Steps,
    UnitCard,
)
from xaikit.zoo.graphs import ACTIVATIONS
from xaikit_app.work._asking import add, asked

FORMAT = 1
"""Raised when one of these tasks gives something else than before, so that stored results are made anew."""
KNOWN: Mapping[str, Mapping[str, Any]] = {
    "app-fields": {"layer": None},
    "app-maximize": {"layer": None, "units": (), "both": False, "steps": None},
    "app-unit-card": {"layer": None, "unit": 0},
    "app-effective": {"layer": None},
    "app-health": {},
    "app-convolution": {"layer": None, "channel": 0, "first": None},
}
"""The tasks' parameters with their defaults."""
MOST_NUMBERS = 150_000
"""As many numbers of a layer's input are sent to a browser; the channels beyond are summed before."""
MOST_CHANNELS = 256
POOLS = {"max_pool": "max-pool", "avg_pool": "average-pool"}
WHOLE_POOLS = {"global_avg_pool": "global-average-pool", "global_max_pool": "global-max-pool"}
AT_WORK = ("conv", "conv_transposed", "dense", *POOLS, *WHOLE_POOLS)
"""The kinds of layers whose work can be followed place by place."""
AFTER = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "dropout", "identity")
BORDERS = ("reflect", "replicate", "circular")
RANK = 2
"""As many axes of places are drawn."""


@dataclass(frozen=True, eq=False)
class AtWork:
    """One channel of one layer at work on a sample, with all that is needed to follow it to every number.

    `x` (row, column, input) holds the input channels `inputs` of `width` that the channel reads, `kernel` (row, column,
    input) what their windows are multiplied by (None: nothing, a pooling); of a series there is one row. `taps` by axis
    (place, tap) are the places that are read, -1 in the padding, `spans` (place, 2) the first and last. `sums` (row,
    column) is the layer's own number by this arithmetic, with the `bias`; `rest` the part of the inputs left out.
    `after` are the layers that only change single numbers, with what they make of it: (name, kind). `gap` is the
    largest difference from what the network itself gave, of the largest value; None where that cannot be told.
    """

    layer: str
    kind: str
    channel: int
    channels: int
    rule: str
    rank: int
    x: Array
    kernel: Array | None
    inputs: Array
    width: int
    bias: float
    taps: tuple[Array, ...]
    spans: tuple[Array, ...]
    stride: tuple[int, ...]
    sums: Array
    rest: Array | None
    after: tuple[tuple[str, str], ...]
    then: tuple[Array, ...]
    gap: float | None
    flat: bool


RESULTS[AtWork.__name__] = AtWork


# ---------------------------------------------------------------- what units see, and would like to see


_FIELDS: "weakref.WeakKeyDictionary[Model, ReceptiveFields]" = weakref.WeakKeyDictionary()
"""The fields of a model that a worker holds: one walk serves all of its layers."""


def fields_of(model: Model, unit: Unit, progress: Progress) -> ReceptiveFields:
    """Give what the units of one layer see of the inputs."""
    layer = asked(unit, KNOWN)["layer"]
    if model not in _FIELDS:
        _FIELDS[model] = receptive_field(model)
    found = _FIELDS[model]
    progress(1, 1)
    return replace(found, fields={layer: dict(found[layer].each)})


def optima(model: Model, unit: Unit, progress: Progress) -> Maximization:
    """Make the inputs that some units of a layer react to most, and with `both` to least, beside real samples."""
    given = asked(unit, KNOWN)
    return maximize(
        model,
        given["layer"],
        [int(k) for k in given["units"]],
        steps=given["steps"],
        negative="both" if given["both"] else False,
        like=unit.input,
        progress=progress,
    )


def card_of(model: Model, unit: Unit, progress: Progress) -> UnitCard:
    """Give what is known of one unit over samples, without its optimum, which is asked for by itself."""
    given = asked(unit, KNOWN)
    return unit_card(model, given["layer"], given["unit"], unit.input, optimum=False, progress=progress)


def effective(model: Model, unit: Unit, progress: Progress) -> EffectiveFields:
    """Measure how strongly each place of the input moves the middle of a layer."""
    return effective_field(model, unit.input, asked(unit, KNOWN)["layer"], progress=progress)


def health(model: Model, unit: Unit, progress: Progress) -> LayerHealth:
    """Measure how every layer does over samples."""
    return layer_health(model, unit.input, progress=progress)


# ---------------------------------------------------------------- a layer at work


def at_work(model: Model, unit: Unit, progress: Progress) -> AtWork:
    """Follow one channel of a layer over a sample. Raises NotSupported for a layer that has nothing to follow."""
    given = asked(unit, KNOWN)
    layer = model.layers.get(given["layer"])
    if layer is None or layer.kind not in AT_WORK:
        kind = f"{layer.kind!r} layer" if layer is not None else "layer that the model has not"
        raise NotSupported(f"{given['layer']} is a {kind}: only convolutions, poolings and dense layers are followed")
    source, after = _source(model, layer), _after(model, layer)
    names = [n for n in (source, layer.name, *(la.name for la in after)) if n in model.layers]
    found = activations(model, unit.input, names)
    progress(1, 1)
    return _followed(model, layer, source, after, found, given)


def _followed(
    model: Model, layer: Layer, source: str, after: Sequence[Layer], found: Activations, wanted: Mapping[str, Any]
) -> AtWork:
    own, channel = found[layer.name][0], int(wanted["channel"])
    if not 0 <= channel < own.shape[-1]:
        raise ParameterError(f"layer {layer.name!r} has the channels 0 to {own.shape[-1] - 1}, there is no {channel}")
    given = np.asarray(_given(found, source), np.float64)
    x = given if given.ndim > 1 else given[None]
    rank = x.ndim - 1
    if rank > RANK or int(np.prod(x.shape[:-1])) > MOST_NUMBERS:
        size = " × ".join(map(str, x.shape))
        raise NotSupported(f"{layer.name} reads {size} numbers: at most two axes of places, and fewer, are drawn")
    inside = found.functions.get(layer.name) if layer.kind not in (*POOLS, *WHOLE_POOLS) else None
    steps, inputs, bias = _steps(model, layer, x, channel, own)
    shown, rest = _strongest(steps, wanted["first"])
    then = [] if inside is None else [(layer.name, inside, own)]
    then += [(la.name, la.kind, found[la.name][0]) for la in after]
    return AtWork(
        layer=layer.name,
        kind=layer.kind,
        channel=channel,
        channels=own.shape[-1],
        rule=steps.rule,
        rank=given.ndim - 1,
        x=_plane(steps.x[..., shown], rank),
        kernel=None if steps.kernel is None else _plane(steps.kernel[0][..., shown], rank),
        inputs=inputs[shown],
        width=len(inputs),
        bias=bias,
        taps=_both(steps.taps, 1),
        spans=_both(steps.spans, 2),
        stride=layer.geometry.stride if layer.geometry is not None else (),
        sums=_plane(steps.output, rank)[..., 0],
        rest=None if rest is None else _plane(rest, rank)[..., 0],
        after=tuple((name, kind) for name, kind, _ in then),
        then=tuple(_plane(values[..., [channel]].reshape(steps.output.shape), rank)[..., 0] for _, _, values in then),
        gap=_gap(steps.output[..., 0], own[..., channel].reshape(steps.output.shape[:-1]), inside),
        flat=source not in layer.parents,
    )


def _source(model: Model, layer: Layer) -> str:
    """Name what a layer reads with its places: for a dense layer what was flattened before it."""
    before = flattened(model.layers, layer.name) if layer.kind == "dense" else None
    return before or layer.parents[0]


def _after(model: Model, layer: Layer) -> list[Layer]:
    """List the layers behind one that only change single numbers, up to the first activation."""
    found: list[Layer] = []
    last = layer
    while len(found) < len(AFTER):
        reading = [la for la in model.layers.values() if last.name in la.parents]
        if len(reading) != 1 or reading[0].shape != layer.shape or reading[0].kind not in (*AFTER, *ACTIVATIONS):
            break
        last = reading[0]
        found.append(last)
        if last.kind in ACTIVATIONS:
            break
    return found


def _given(found: Activations, source: str) -> Array:
    """Give what a layer reads, (*places, channel): what a layer before it gives, or an input."""
    if source in found.values:
        return np.asarray(found[source][0])
    return np.asarray((found.x[source] if isinstance(found.x, Mapping) else found.x)[0])


def _steps(model: Model, layer: Layer, x: Array, channel: int, own: Array) -> tuple[Steps, Array, float]:
    """Give one channel of a layer as the steps of its operation, with the channels that it reads, and its bias."""
    if layer.kind in (*POOLS, *WHOLE_POOLS):
        return _pooled(layer, x[..., [channel]], own[..., channel]), np.array([channel]), 0.0
    every = filters(model, layer.name)
    one, bias = every[[channel]], 0.0 if every.bias is None else float(every.bias[channel])
    kernel = np.asarray(one.values[0], np.float64)
    inputs = np.asarray(one.inputs_of(0))
    kernel = kernel.reshape((1,) * (x.ndim - kernel.ndim) + kernel.shape)[None]
    with_bias: dict[str, Any] = {"kernel": kernel, "bias": bias, "axes": _axes(x)}
    if layer.kind == "dense":
        return explore(x, "cross-correlation", **with_bias), np.arange(x.shape[-1]), bias
    g = layer.geometry
    if g is None or len(g.stride) != x.ndim - 1:
        raise NotSupported(f"{layer.name} does not say how its windows lie on what it reads")
    read = x[..., inputs]
    windows: dict[str, Any] = {"stride": g.stride, "dilation": g.dilation or 1}
    if layer.kind == "conv_transposed":
        cut = [before for before, _ in g.padding]
        full = [
            (n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(x.shape, g.stride, g.dilation, g.size, strict=False)
        ]
        more = [m - f + 2 * c for m, f, c in zip(own.shape, full, cut, strict=False)]
        given = {**with_bias, **windows, "padding": tuple(cut), "output_padding": tuple(more)}
        return explore(read, "transposed-convolution", **given), inputs, bias
    border = g.mode if g.mode in BORDERS else "zero"
    given = {**with_bias, **windows, "padding": _around(layer, x), "border": border}
    return explore(read, "cross-correlation", **given), inputs, bias


def _pooled(layer: Layer, x: Array, own: Array) -> Steps:
    """Give a pooling as steps; whether the padding counts in a mean is told by the network's own numbers."""
    g = layer.geometry
    if layer.kind in WHOLE_POOLS or g is None or g.kind == "global":
        name = WHOLE_POOLS.get(layer.kind) or ("global-max-pool" if layer.kind == "max_pool" else "global-average-pool")
        return explore(x, name, axes=_axes(x))
    if g.kind != "window":
        raise NotSupported(f"the windows of {layer.name} have different sizes: they are not drawn")
    ceil = tuple(own.shape) != g.output_size(x.shape[:-1])
    given: dict[str, Any] = {
        "size": g.size,
        "stride": g.stride,
        "padding": _around(layer, x),
        "ceil": ceil,
        "axes": _axes(x),
    }
    if layer.kind == "max_pool":
        return explore(x, "max-pool", dilation=g.dilation or 1, **given)
    ways = [explore(x, "average-pool", count_padding=counted, **given) for counted in (False, True)]
    return min(ways, key=lambda steps: _gap(steps.output[..., 0], own, None) or 0.0)


def _around(layer: Layer, x: Array) -> tuple[tuple[int, int], ...]:
    assert layer.geometry is not None
    return tuple(layer.geometry.around(axis, n) for axis, n in enumerate(x.shape[:-1]))


def _axes(x: Array) -> tuple[str, ...]:
    return (*({1: ("time",), 2: ("height", "width")}[x.ndim - 1]), "channel")


def _strongest(steps: Steps, first: int | None) -> tuple[Array, Array | None]:
    """Choose the input channels that there is room for, and sum what the others give; None where all are shown."""
    size, count = int(np.prod(steps.x.shape[:-1])), steps.x.shape[-1]
    room = int(np.clip(MOST_NUMBERS // size, 1, MOST_CHANNELS))
    if count <= room or steps.kernel is None:
        return np.arange(count), None
    flat = tuple(range(steps.x.ndim - 1))
    strength = np.abs(steps.x).mean(flat) * np.sqrt((steps.kernel[0] ** 2).sum(flat))
    if first is not None and 0 <= first < count:
        strength[first] = np.inf
    shown = np.sort(np.argsort(-strength, kind="stable")[:room])
    left = np.setdiff1d(np.arange(count), shown)
    kernel = np.ascontiguousarray(steps.kernel[..., left])
    return shown, _summed(steps, left, kernel)


def _summed(steps: Steps, channels: Array, kernel: Array) -> Array:
    """Sum what some input channels give, without the bias: (*places, 1)."""
    padded = np.pad(steps.x[..., channels], [(0, 1)] * len(steps.taps) + [(0, 0)])
    total = np.zeros(steps.output.shape)
    for at in np.ndindex(*kernel.shape[1:-1]):
        cut = padded[np.ix_(*(t[:, j] for t, j in zip(steps.taps, at, strict=True)))]
        total[..., 0] += cut @ kernel[0][at]
    return total


def _plane(values: Array, rank: int) -> Array:
    """Give (row, column, channel) of an array with one or two axes of places."""
    return np.asarray(values if rank == RANK else values[None], np.float32)


def _both(each: Sequence[Array], width: int) -> tuple[Array, ...]:
    """Give what is known along two axes of places; a series has a single row."""
    return tuple(each) if len(each) == RANK else (np.zeros((1, width), int), *each)


def _gap(ours: Array, own: Array, inside: str | None) -> float | None:
    """Give max|ours − own| / max|own|, behind the function inside the layer; None for one that is not pointwise."""
    if inside is not None:
        known = operations["activation"].parameters()["function"].choices or ()
        if inside not in known:
            return None
        ours = explore(ours[..., None], "activation", function=inside, axes=_axes(ours[..., None])).output[..., 0]
    size = float(np.abs(own).max())
    return float(np.abs(ours - own).max()) / (size or 1.0)


add(
    KNOWN,
    {
        "app-fields": fields_of,
        "app-maximize": optima,
        "app-unit-card": card_of,
        "app-effective": effective,
        "app-health": health,
        "app-convolution": at_work,
    },
    FORMAT,
)
