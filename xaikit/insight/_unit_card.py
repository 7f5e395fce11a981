"""One card of one unit: its filter, its field, its statistics, what excites it in the data, and its optimum."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from xaikit.attribution import origin_of, require_wrapped
from xaikit.attribution._rectified import OWN, RELUS
from xaikit.errors import Cancelled, NotSupported, ParameterError, XaikitError
from xaikit.graph import Layer
from xaikit.insight._asking import channels_named, require_layer, require_whole
from xaikit.insight._effective_field import effective_field
from xaikit.insight._filters import filters
from xaikit.insight._maximize import maximize
from xaikit.insight._patches import Projection, Way, patches_of, way_of
from xaikit.insight._receptive_field import receptive_field
from xaikit.insight._samples import Samples
from xaikit.insight._survey import survey
from xaikit.model import Model
from xaikit.progress import Progress, bar, silent
from xaikit.results import (
    EffectiveField,
    Field,
    Filters,
    LayerPatches,
    Maximization,
    Status,
    Survey,
    TopPatches,
    UnitCard,
)

Found = TypeVar("Found")
PASSED_ON = (
    RELUS
    | OWN - {"lstm", "gru", "rnn", "glu"}
    | {"dropout", "identity", "batch_norm", "max_pool", "avg_pool", "lp_pool", "global_avg_pool", "global_max_pool"}
    | {"normalization", "local_response_norm", "zero_pad", "pad", "upsample", "activation", "gaussian_noise"}
)
"""Kinds of layers whose channel c comes from channel c of the layer before, and no other."""
MEASURED = 16
"""Over how many samples the effective field is measured."""


@dataclass(frozen=True)
class Asked:
    """What a card is to hold: `k` patches, a projection, and optima of at most `steps` steps (None: as it takes)."""

    k: int = 9
    per_sample: int = 1
    projection: Projection | None = "auto"
    optimum: bool = True
    steps: int | None = None
    seed: int = 0


def unit_card(
    model: Model,
    layer: str,
    channel: int,
    samples: Any = None,
    k: int = 9,
    *,
    per_sample: int = 1,
    projection: Projection | None = "auto",
    optimum: bool = True,
    steps: int | None = None,
    seed: int = 0,
    progress: Progress | bool | None = None,
) -> UnitCard:
    """Give what is known of one channel (or unit) of a layer as UnitCard; xk.plot shows it on one figure.

    Filter, receptive field, and, over `samples` (as in xk.top_patches: a batch (sample, ...), a list, a folder),
    statistics, histogram and the `k` places that excite it most with their `projection`; and with `optimum` the inputs
    that make the unit in the middle largest and smallest, in `steps` steps of xk.maximize. A part that cannot be had (a
    pooling has no filter, a plain function no gradient) is left out, and `missing` says why. Raises UnknownName for the
    layer, ParameterError for the channel, InputError for samples that cannot be read.
    """
    require_wrapped(model, "unit_card")
    asked = Asked(k, per_sample, projection, optimum, steps, seed)
    what = described(model, layer)
    require_whole(0, channel=channel, seed=seed)
    require_whole(1, k=k, per_sample=per_sample, steps=1 if steps is None else steps)
    channel = int(channels_named(channel, channels_in(model, what), layer)[0])
    read = None if samples is None else Samples(model, samples)
    with bar(progress, f"unit card of {layer}") as shown:
        found = None if read is None else survey(model, read, layer, [channel], k, per_sample, shown)
    (card,) = cards_of(model, read, found, layer, [channel], asked)
    return card


def cards_of(
    model: Model,
    samples: Samples | None,
    found: Survey | None,
    layer: str,
    channels: Sequence[int],
    asked: Asked,
    progress: Progress = silent,
) -> Iterator[UnitCard]:
    """Give the cards of some channels of a layer, whose optima are made in one batch; `found` is of its pass."""
    start = time.perf_counter()
    shared: dict[str, str] = {}
    what = described(model, layer)
    kernels = _had(shared, "filter", lambda: _filters(model, what))
    fields = _had(shared, "fields", lambda: dict(receptive_field(model)[layer].each)) or {}
    patches = None
    if samples is None or found is None:
        shared["statistics"] = shared["patches"] = "no samples were given (samples=)"
    else:
        some = found.some(channels)
        way = way_of(model, layer, asked.projection)
        patches = _had(shared, "projections", lambda: patches_of(model, samples, some, way), optional=True)
        if patches is None:
            patches = patches_of(model, samples, some, Way(None, remark=shared["projections"]))
        elif way.projection is None and asked.projection is not None:
            shared["projections"] = way.remark
    effective = _effective(model, what, samples, patches, asked, shared)
    optima = _optima(model, what, channels, patches, asked, shared, progress)
    seconds = time.perf_counter() - start
    for channel in channels:
        missing = dict(shared)
        card = _card(model, what, int(channel), kernels, fields, found, patches, optima, missing, asked, seconds)
        yield replace(card, effective=effective)


def _card(
    model: Model,
    what: Layer,
    channel: int,
    kernels: Filters | None,
    fields: Mapping[str, Field],
    found: Survey | None,
    patches: LayerPatches | None,
    optima: Maximization | None,
    missing: dict[str, str],
    asked: Asked,
    seconds: float,
) -> UnitCard:
    own: TopPatches | None = None if patches is None else patches[channel]
    counts, edges = (np.zeros(0, np.int64), np.zeros(1)) if found is None else found.histogram(channel)
    reasons = [] if own is None else list(own.status.reasons)
    level = "ok" if own is None else str(own.status)
    best = None if optima is None else optima.of(channel, 1)
    return UnitCard(
        layer=what.name,
        kind=what.kind,
        channel=channel,
        total=channels_in(model, what),
        space=_space(what) if own is None else own.space,
        filter=None if kernels is None else kernels[channel],
        fields=fields,
        statistics={} if found is None else found.of(channel),
        counts=counts,
        edges=edges,
        seen=0 if found is None else found.seen,
        patches=own,
        optimum=best,
        opposite=None if optima is None else optima.of(channel, -1),
        missing=missing,
        input_spec=model.inputs,
        status=Status(level, tuple(reasons)),
        origin=origin_of(
            model,
            None,
            "unit-card",
            parameters={"layer": what.name, "channel": channel, **_parameters(asked)},
            seconds=seconds,
            calls=(0 if found is None else found.seen) + (0 if optima is None else optima.origin.model_calls),
            seed=asked.seed,
        ),
    )


def _parameters(asked: Asked) -> dict[str, Any]:
    return {
        "k": asked.k,
        "per_sample": asked.per_sample,
        "projection": asked.projection,
        "optimum": asked.optimum,
        "steps": asked.steps,
    }


def described(model: Model, layer: str) -> Layer:
    """Give a layer. Raises UnknownName, and NotSupported for a model that shows none."""
    require_layer(model, layer)
    return model.layers[layer]


def channels_in(model: Model, layer: Layer) -> int:
    """Count the channels or units of a layer."""
    at = layer.channel
    count = (layer.shape[at - 1] if at else layer.shape[-1]) if layer.shape else 1
    if count is None:
        raise ParameterError(f"how many channels {layer.name!r} of {model.name} has varies: it has no cards")
    return int(count)


def _space(layer: Layer) -> tuple[int, ...]:
    named = zip(layer.axes[1:], layer.shape, strict=False)
    return tuple(int(n or 0) for a, n in list(named) if a != "channel")[: max(len(layer.shape) - 1, 0)]


def _had(missing: dict[str, str], part: str, make: Callable[[], Found], optional: bool = False) -> Found | None:
    """Give a part of the card, or note why it cannot be had; what is `optional` fails for its own reasons alone."""
    kinds = (NotSupported,) if optional else (XaikitError,)
    try:
        return make()
    except Cancelled:
        raise
    except kinds as error:
        missing[part] = str(error)
        return None


def _filters(model: Model, layer: Layer) -> Filters:
    """Give the filters that make the channels of a layer: its own, or those whose channels it passes on."""
    layers, first = model.layers, layer
    while layer.kind in PASSED_ON and len(layer.parents) == 1 and layer.parents[0] in layers:
        layer = layers[layer.parents[0]]
    found = filters(model, layer.name)
    if len(found) != channels_in(model, first):
        raise NotSupported(f"the channels of {first.name!r} are not the filters of {layer.name!r}")
    return found


def _effective(
    model: Model,
    layer: Layer,
    samples: Samples | None,
    patches: LayerPatches | None,
    asked: Asked,
    missing: dict[str, str],
) -> EffectiveField | None:
    """Measure what moves the unit in the middle of a layer with places, over some samples of the data."""
    if samples is None or patches is None or not _space(layer):
        return None
    drawn, _ = _drawn(model, patches)

    def measured() -> EffectiveField:
        shown = samples.some(MEASURED) if samples.items is not None else patches.display
        found = effective_field(model, shown, layer.name, input=drawn, seed=asked.seed, progress=False)[layer.name]
        return replace(found, energy=found.energy.astype(np.float32), error=found.error.astype(np.float32))

    return _had(missing, "effective", measured)


def _optima(
    model: Model,
    layer: Layer,
    channels: Sequence[int],
    patches: LayerPatches | None,
    asked: Asked,
    missing: dict[str, str],
    progress: Progress,
) -> Maximization | None:
    """Make the optima of all channels, and their opposites, in one batch."""
    if not asked.optimum:
        missing["optimum"] = "it was not asked for"
        return None
    like = None if patches is None else patches.display
    unit = "centre" if _space(layer) else None
    drawn, held = _drawn(model, patches)
    return _had(
        missing,
        "optimum",
        lambda: maximize(
            model,
            layer.name,
            list(channels),
            unit,
            steps=asked.steps,
            seed=asked.seed,
            negative="both",
            like=like,
            input=drawn,
            held=held,
            progress=progress,
        ),
    )


def _drawn(model: Model, patches: LayerPatches | None) -> tuple[str | None, Mapping[str, Any] | None]:
    """Say which of several inputs is drawn, the first with places, and what the others hold: the best sample's."""
    if not isinstance(model.inputs, Mapping) or patches is None:
        return None, None
    order = sorted(model.inputs, key=lambda n: model.inputs[n].kind not in ("Image", "Series"))
    at = int(np.searchsorted(patches.numbers, patches.survey.samples[0, 0]))
    return order[0], {n: patches.display[n][at] for n in order[1:]}
