"""The places in a data set that excite a unit most, what it sees there, and where in that its signal comes from."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, overload

import numpy as np

from xaikit.arrays import Array, Tensors, chunks, leaves, length, rows
from xaikit.attribution import origin_of, require_wrapped
from xaikit.attribution._rectified import OWN, RELUS, UNTOLD, kinds_of
from xaikit.errors import NotSupported, UnknownName
from xaikit.insight._activations import channels_last
from xaikit.insight._asking import require_name, require_whole
from xaikit.insight._samples import Samples, left_out
from xaikit.insight._seen import Sight, cut
from xaikit.insight._survey import chunk_of, placed, survey
from xaikit.model import Model, Rule
from xaikit.progress import Progress, bar
from xaikit.results import LayerPatches, Status, Survey, TopPatches

Projection = Literal["auto", "deconvnet", "guided", "gradient"]
PROJECTIONS: Mapping[str, Rule | None] = {"deconvnet": "deconvnet", "guided": "guided", "gradient": None}
REPRODUCED = 1e-3
"""By what share of itself an activation may differ when its sample is run again."""
CAUTION = (
    "A projection says where in the patch the unit's signal comes from, not what the unit computes: deconvnet and "
    "guided projections restore edges of the picture even where weights are random (Adebayo et al. 2018; Nie, Zhang "
    "and Patel 2018)."
)


@overload
def top_patches(
    model: Model,
    samples: Any,
    layer: str,
    channel: int,
    k: int = 9,
    *,
    per_sample: int = 1,
    projection: Projection | None = "auto",
    progress: Progress | bool | None = None,
) -> TopPatches: ...
@overload
def top_patches(
    model: Model,
    samples: Any,
    layer: str,
    channel: Sequence[int] | slice | None = None,
    k: int = 9,
    *,
    per_sample: int = 1,
    projection: Projection | None = "auto",
    progress: Progress | bool | None = None,
) -> LayerPatches: ...
def top_patches(
    model: Model,
    samples: Any,
    layer: str,
    channel: int | Sequence[int] | slice | None = None,
    k: int = 9,
    *,
    per_sample: int = 1,
    projection: Projection | None = "auto",
    progress: Progress | bool | None = None,
) -> TopPatches | LayerPatches:
    """Give the `k` places with the strongest activation of a channel, as TopPatches, strongest first.

    `samples` is a batch, a list, any iterable of samples, or a folder: of pictures, also in folders inside it, or of
    other files that `xaikit explain` reads. It is read once, in chunks, for all channels, and the answer is exact. Of
    one sample at most `per_sample` places are taken. Several channels, or None for all of the layer, give a
    LayerPatches: one TopPatches for each, and statistics over the data set.

    Each patch is cut out of its sample by the exact receptive field of its unit, in a window of one size for all; its
    sample is run again, and `status` warns where the activation is another. `projection` sends a one from the unit
    back to the input by the rule of "deconvnet" or "guided" backpropagation, or as the "gradient"; "auto" is deconvnet
    for one channel of a network that it can serve, and none otherwise. Multi-input networks have boxes and projections
    by input.

    `values` are (patch,), `places` (patch, axis of the layer), `boxes` (patch, axis of the input, 2), first and last.
    Raises UnknownName, ParameterError for a channel that the layer has not, NotSupported for a projection that the
    network or its input has not, InputError where there is no sample. Files of a folder that cannot be read are left
    out, with a warning in `status`. Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks"
    (2014), sections 2.1 and 4.
    """
    require_wrapped(model, "top_patches")
    require_whole(1, k=k, per_sample=per_sample)
    require_name(model, layer)
    one = isinstance(channel, int | np.integer)
    way = way_of(model, layer, projection if one or projection != "auto" else None)
    read = Samples(model, samples)
    with bar(progress, f"top patches of {layer}") as shown:
        wanted = [cast(int, channel)] if one else cast("Sequence[int] | slice | None", channel)
        found = survey(model, read, layer, wanted, int(k), int(per_sample), shown)
    patches = patches_of(model, read, found, way)
    return patches[int(cast(int, channel))] if one else patches


@dataclass(frozen=True)
class Way:
    """How a unit's signal goes back to the input: the `projection`, the adapter's rule for it, and what is to be said.

    Without a projection, `remark` says why there is none.
    """

    projection: str | None
    rule: Rule | None = None
    remark: str = ""


def way_of(model: Model, layer: str, asked: str | None) -> Way:
    """Settle a projection: the one that is asked for, or for "auto" the deconvnet's where there can be one."""
    if asked is None:
        return Way(None)
    if asked != "auto" and asked not in PROJECTIONS:
        raise UnknownName("projection", asked, ("auto", *PROJECTIONS))
    try:
        return _able(model, layer, "deconvnet" if asked == "auto" else asked)
    except NotSupported as error:
        if asked == "auto":
            return Way(None, remark=str(error))
        raise


def _able(model: Model, layer: str, projection: str) -> Way:
    """Raise NotSupported where the network or its input has no such projection."""
    specs = model.inputs.values() if isinstance(model.inputs, Mapping) else [model.inputs]
    if any(spec.kind == "Text" for spec in specs):
        raise NotSupported(f"{model.name} reads tokens, which have no gradient to project to: projection=None")
    rule = PROJECTIONS[projection]
    if "pull" not in model.can or (rule is not None and f"rule:{rule}" not in model.can):
        raise NotSupported(f"{model.name} ({model.framework}) has no backward rule {projection!r}: projection=None")
    if rule is None:
        return Way(projection)
    kinds = dict.fromkeys(_on_the_way(model, layer))
    own = ", ".join(kind for kind in kinds if kind in OWN)
    if (RELUS | UNTOLD) & set(kinds):
        return Way(projection, rule, CAUTION + (f" Of {own} it takes the gradient." if own else ""))
    if own:
        raise NotSupported(
            f"no ReLU lies between the input and {layer!r} but {own}, so the rule for ReLUs would give the plain "
            "gradient: projection='gradient'"
        )
    return Way(projection, None, f"No ReLU lies between the input and {layer}, so the projection is the gradient.")


def _on_the_way(model: Model, layer: str) -> Iterator[str]:
    """Give the kinds of a layer and of all before it, and of the activations inside them."""
    layers = model.layers
    todo, known = [layer], {layer}
    while todo:
        found = layers.get(todo.pop())
        if found is not None:
            yield from kinds_of(found)
            todo += [p for p in found.parents if p not in known]
            known |= set(found.parents)


def patches_of(model: Model, samples: Samples, found: Survey, way: Way) -> LayerPatches:
    """Read the samples of a Survey again, run them again, and cut out what the units see of them."""
    start = time.perf_counter()
    numbers = np.unique(found.samples)
    chunk = samples.again(numbers.tolist())
    sight = Sight(model, found.layer, chunk.x)
    at = np.searchsorted(numbers, found.samples)
    flat = found.places.reshape(found.samples.size, found.places.shape[-1])
    units = sight.units(flat, np.repeat(found.channels, at.shape[1]))
    seen = {} if units is None else {n: sight.boxes(n, units) for n in sight.axes}
    boxes = {n: b.reshape(*found.samples.shape, *b.shape[1:]) for n, (b, _) in seen.items()}
    windows = {n: w.reshape(*found.samples.shape, *w.shape[1:]) for n, (_, w) in seen.items()}
    reproduced = _again(model, found, chunk.x, at)
    projections = {} if way.projection is None else _projected(model, found, chunk.x, at, windows, way.rule)
    return LayerPatches(
        survey=found,
        numbers=numbers,
        x=chunk.x,
        display=chunk.display,
        sources=tuple(samples.name(n) for n in numbers.tolist()),
        boxes=boxes,
        windows=windows,
        reproduced=reproduced,
        projection=way.projection,
        projections=projections,
        input_spec=model.inputs,
        statuses=tuple(_verdict(found, i, reproduced[i]) for i in range(len(found))),
        origin=origin_of(
            model,
            chunk.x,
            "top-patches",
            parameters={**found.origin.parameters, "projection": way.projection},
            seconds=found.origin.seconds + time.perf_counter() - start,
            calls=found.seen + len(numbers),
            notes={"projection": way.remark} if way.remark else {},
        ),
    )


def _again(model: Model, found: Survey, x: Tensors, at: Array) -> Array:
    """Run the samples again and give the activation at every place: (channel, k)."""
    again = np.zeros(found.values.shape)
    for part in chunks(length(x), chunk_of(model, found.layer)):
        run = model.run(rows(x, part), at=[found.layer])
        values = placed(channels_last(run.activations[found.layer], model.layers[found.layer]))
        row, j = np.nonzero((at >= part.start) & (at < part.stop))
        places = found.places[row, j] if found.places.shape[-1] else np.zeros((len(row), values.ndim - 2), np.int64)
        again[row, j] = values[(at[row, j] - part.start, *places.T, found.channels[row])]
    return again


def _projected(
    model: Model, found: Survey, x: Tensors, at: Array, windows: Mapping[str, Array], rule: Rule | None
) -> dict[str, Array]:
    """Send a one from every unit back to the inputs, and cut it by the windows: (channel, k, *window, ...)."""
    row, j = np.divmod(np.arange(at.size), at.shape[1])
    parts: dict[str, list[Array]] = {}
    for part in chunks(at.size, max(1, chunk_of(model, found.layer))):
        some = rows(x, at.ravel()[part])
        hits = [(found.channels[c], found.places[c, i]) for c, i in zip(row[part], j[part], strict=True)]
        pulled = model.pull(some, _one_at(model, found.layer, hits, some), of=found.layer, rule=rule)
        for name, gradient in leaves(pulled.gradient):
            boxes = windows[name].reshape(at.size, *windows[name].shape[2:])[part] if name in windows else None
            cuts = gradient if boxes is None else np.stack(
                [cut(g, b) for g, b in zip(gradient, boxes.tolist(), strict=True)]
            )  # fmt: skip
            parts.setdefault(name, []).append(cuts)
    return {n: np.concatenate(p).reshape(*at.shape, *p[0].shape[1:]) for n, p in parts.items()}


def _one_at(model: Model, layer: str, hits: Sequence[tuple[int, Array]], x: Tensors) -> Array:
    """Give a seed in the layer's own axes that is one at the unit of every row, and zero elsewhere."""
    described = model.layers[layer]
    shape = described.shape
    if None in shape:
        shape = model.run(rows(x, slice(0, 1)), at=[layer]).activations[layer].shape[1:]
    seed = np.zeros((len(hits), *(int(n or 0) for n in shape)), np.float32)
    by_place = channels_last(seed, described)
    for i, (channel, place) in enumerate(hits):
        by_place[(i, *place.tolist(), channel)] = 1
    return seed


def _verdict(found: Survey, i: int, reproduced: Array) -> Status:
    """Judge the patches of one channel."""
    values, fails, warns = found.values[i], [], []
    if not np.isfinite(values).all():
        fails.append("the layer gives values that are not finite")
    elif len(values):
        off = np.abs(reproduced - values) / np.maximum(np.abs(values), np.finfo(np.float32).tiny)
        if off.max() > REPRODUCED:
            worst = int(off.argmax())
            warns.append(
                f"run again, sample {found.samples[i, worst]} gives {reproduced[worst]:.4g} instead of "
                f"{values[worst]:.4g}: the samples have changed, or the network is not deterministic"
            )
        if found.statistics["dead"][i]:
            warns.append(
                f"the unit is nowhere above zero in all {found.seen:,} samples: these patches do not excite it"
            )
    if found.unread:
        warns.append(left_out(found.unread))
    return Status("fail" if fails else "warn" if warns else "ok", (*fails, *warns))
