"""Effective receptive fields: how strongly each place of the input moves one unit, measured by gradients."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, concatenate, length, rows
from xaikit.attribution import origin_of, require_wrapped
from xaikit.errors import NotSupported, with_article
from xaikit.graph import Layer
from xaikit.insight._asking import layers_named, require_whole
from xaikit.insight._field_inputs import axes_given
from xaikit.insight._receptive_field import receptive_field
from xaikit.insight._samples import Samples, left_out
from xaikit.model import Model
from xaikit.progress import Progress, bar
from xaikit.results import EffectiveField, EffectiveFields, Field, Status

ENOUGH = 16
"""Samples below which the mean over them says more of the samples than of the network."""
COUNTED = 1 - 0.9545
"""Share of the strongest gradient from which on a place counts, as Luo and others have it: what 2 sigma leave."""
ENERGY = 0.95
CHUNK = 64
"""Samples that are read at a time."""
RESAMPLED = 200
"""Draws of as many samples, with repetition, for the interval of the square."""


def effective_field(
    model: Model,
    samples: Any,
    layers: str | Sequence[str],
    unit: Any = None,
    *,
    input: str | None = None,
    seed: int = 0,
    progress: Progress | bool | None = None,
) -> EffectiveFields:
    """Give how strongly each place of the input moves one unit of layers, over `samples`, as EffectiveFields.

    The energy at a place is the mean over the samples of (d/dx of the sum over channels of ±y at the unit)², summed
    over the input's channels; the signs are drawn from `seed` for every sample and channel, so that channels do not
    cancel, and the mean is the sum over channels of the squared gradients. Sixteen samples or more give a steady one.
    `unit` is a place of the layer, None = the middle; of a layer without places all units together, or one by number.
    `input` names one where there are several. `samples` is a batch, a list, any iterable of samples, or a folder, whose
    files that cannot be read are left out, with a warning in `status`.

    `energy` has the places of the input, such as (height, width), and sums over the channels.
    Raises UnknownName, ParameterError for a unit that is not there, and NotSupported for a model without gradients, and
    a layer that no gradient passes. Source: Luo, Li, Urtasun and Zemel, "Understanding the Effective Receptive Field in
    Deep Convolutional Neural Networks" (2016), sections 2 and 4.1.
    """
    require_wrapped(model, "effective_field")
    if "pull" not in model.can:
        raise NotSupported(
            f"{with_article(model.framework)} model has no gradients, which effective fields need: {model.name}"
        )
    start = time.perf_counter()
    require_whole(0, seed=seed)
    read = Samples(model, samples)
    parts = [chunk.x for chunk in read.chunks(CHUNK)]
    if not parts:
        raise read.none()
    x = concatenate(parts)
    model.run(rows(x, slice(0, 1)))  # a network that declares no input is known after its first call
    names = layers_named(model, layers)
    rf = receptive_field(model)
    found = {}
    with bar(progress, "effective fields") as shown:
        for i, name in enumerate(names):
            field = _of(rf, name, input)
            found[name] = _measured(model, x, field, unit, np.random.default_rng(seed))
            shown(i + 1, len(names))
    count = length(x)
    return EffectiveFields(
        fields=found,
        samples=count,
        input_spec=model.inputs,
        status=_status(found, count, left_out(read.unread)),
        origin=origin_of(
            model,
            x,
            "effective-field",
            parameters={"layers": tuple(names), "unit": unit},
            seconds=time.perf_counter() - start,
            calls=count * len(names),
            seed=seed,
        ),
    )


def _of(rf: Any, name: str, input: str | None) -> Field:
    found = rf[name]
    return found.only if input is None else found.of(input)


def _measured(model: Model, x: Tensors, field: Field, unit: Any, rng: np.random.Generator) -> EffectiveField:
    layer = model.layers[field.layer]
    at = _unit(layer, field, unit)
    energies = _energies(model, x, layer, field, at, rng)
    whole = at if at is not None else tuple(0 for _ in field.shape)
    (lo, hi), (reach_lo, reach_hi) = field.box(whole), field.box(whole, inside=False)
    energy = energies.mean(0)
    if not energy.any():
        raise NotSupported(
            f"no sample moves unit {at or 'any'} of {field.layer!r}: it is dead for them, or nothing passes a "
            "gradient; give other samples or another unit"
        )
    mean, sigma = _moments(energy)
    in_line = None not in field.stride  # else the field has no middle that means anything, as of all steps before
    centre = tuple(
        (a + b) / 2 if in_line else float(round(m)) for a, b, m in zip(reach_lo, reach_hi, mean, strict=True)
    )
    rings, radii = _rings(energies, centre)
    radius = _radius(rings.mean(0), radii)
    return EffectiveField(
        layer=field.layer,
        kind=field.kind,
        input=field.input,
        axes=field.axes,
        unit=at or (),
        energy=energy,
        error=energies.std(0, ddof=1) / np.sqrt(len(energies)) if len(energies) > 1 else np.full_like(energy, np.nan),
        lo=lo,
        hi=hi,
        reach_lo=reach_lo,
        reach_hi=reach_hi,
        centre=centre,
        diameter=_diameter(energy),
        mean=mean,
        sigma=sigma,
        radius=radius,
        radius_interval=_interval(rings, radii, rng),
        outside=_outside(mean, sigma, energy.shape),
        stray=_stray(energy, lo, hi),
        truncated=any(a < b or c > d for a, b, c, d in zip(reach_lo, lo, reach_hi, hi, strict=True)),
    )


def _unit(layer: Layer, field: Field, unit: Any) -> tuple[int, ...] | None:
    """Give the place of a unit; None for all units of a layer without places."""
    if unit is None:
        return field.middle if layer.channel is not None or field.places != ("feature",) else None
    field.box(unit)
    return tuple(int(p) for p in np.atleast_1d(unit))


def _energies(
    model: Model, x: Tensors, layer: Layer, field: Field, at: tuple[int, ...] | None, rng: np.random.Generator
) -> Array:
    """Give the squared gradient of every sample, summed over the input's channels: (sample, *places)."""
    count = length(x)
    named = list(layer.axes[1:]) if layer.axes[0] == "sample" else [a for a in layer.axes if a != "sample"]
    signs = np.where(rng.random((count, *(int(n or 1) for n in _shape(layer, field)))) < 0.5, -1.0, 1.0)
    seed = np.zeros_like(signs, dtype=np.float32)
    places = iter(at or ())
    chosen = tuple(slice(None) if a == "channel" or at is None else next(places) for a in named)
    seed[(slice(None), *chosen)] = signs[(slice(None), *chosen)]
    axes, wrt = _source(model, field)
    pulled = model.pull(x, seed, of=layer.name, wrt=wrt).gradient
    gradient = np.asarray(pulled[field.input] if isinstance(pulled, Mapping) else pulled, np.float64)
    inner = tuple(1 + i for i, a in enumerate(axes) if a not in field.axes)
    squared = np.square(gradient)
    summed = squared.sum(inner) if inner else squared
    order = [a for a in axes if a in field.axes]
    return summed.transpose(0, *(1 + order.index(a) for a in field.axes))


def _shape(layer: Layer, field: Field) -> tuple[int | None, ...]:
    """Give the lengths of a layer's axes without the sample; those that vary as the walk found them."""
    places = iter(field.shape)
    axes = [a for a in layer.axes if a != "sample"]
    return tuple(n if a == "channel" else next(places) for a, n in zip(axes, layer.shape, strict=True))


def _source(model: Model, field: Field) -> tuple[tuple[str, ...], str | None]:
    """Name the axes of what the gradient is taken for: the input, or the embedding of one that has no gradient."""
    layers = model.layers
    for layer in layers.values():
        if layer.kind == "embedding" and field.input in layer.parents:
            named = tuple(a for a in layer.axes[1:] if a != "channel")
            places = dict(zip(named, field.axes, strict=True))
            return tuple(places.get(a, a) for a in layer.axes[1:]), layer.name
    return axes_given(model, layers)[field.input], None


# --- numbers of a map ------------------------------------------------------------------------------------------------


def _diameter(energy: Array) -> float:
    """Give the side of the square (cube, stretch) of as many places as count: the gradient over 4.55 % of the most."""
    size = np.sqrt(energy)
    return float((size > COUNTED * size.max()).sum() ** (1 / energy.ndim))


def _moments(energy: Array) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Give the centre of the energy, and the standard deviation of the gradient's size: √2 that of its square."""
    total = energy.sum()
    mean, sigma = [], []
    for axis, n in enumerate(energy.shape):
        marginal = energy.sum(tuple(i for i in range(energy.ndim) if i != axis)) / total
        at = np.arange(n)
        centre = float(marginal @ at)
        mean.append(centre)
        sigma.append(float(np.sqrt(2 * (marginal @ np.square(at - centre)))))
    return tuple(mean), tuple(sigma)


def _rings(energies: Array, centre: Sequence[float]) -> tuple[Array, Array]:
    """Give the energy of every sample at each distance from the centre, the largest along any axis: (sample, ring)."""
    far = np.zeros(energies.shape[1:])
    for axis, c in enumerate(centre):
        shape = [1] * far.ndim
        shape[axis] = -1
        far = np.maximum(far, np.abs(np.arange(far.shape[axis]) - c).reshape(shape))
    radii, ring = np.unique(far, return_inverse=True)
    flat = energies.reshape(len(energies), -1)
    return np.stack([np.bincount(ring.ravel(), e, len(radii)) for e in flat]), radii


def _radius(rings: Array, radii: Array) -> float:
    """Give how far from the centre the square goes that holds 95 % of the energy."""
    share = np.cumsum(rings) / rings.sum()
    return float(radii[min(int(np.searchsorted(share, ENERGY - 1e-12)), len(radii) - 1)])


def _interval(rings: Array, radii: Array, rng: np.random.Generator) -> tuple[float, float]:
    """Give the 95 % interval of the radius over samples drawn anew (bootstrap)."""
    drawn = [rings[rng.integers(0, len(rings), len(rings))].mean(0) for _ in range(RESAMPLED)]
    found = [_radius(d, radii) for d in drawn if d.any()]
    low, high = np.percentile(found, [2.5, 97.5], method="nearest") if found else (np.nan, np.nan)
    return float(low), float(high)


def _outside(mean: Sequence[float], sigma: Sequence[float], shape: Sequence[int]) -> float:
    """Give the share of the fitted Gaussian's energy that lies outside of the input."""
    from math import erf

    inside = 1.0
    for m, s, n in zip(mean, sigma, shape, strict=True):
        if s > 0:  # the energy has the standard deviation s / √2, and erf counts in √2 of them
            inside *= (erf((n - 0.5 - m) / s) + erf((m + 0.5) / s)) / 2
    return 1 - inside


def _stray(energy: Array, lo: Sequence[int], hi: Sequence[int]) -> float:
    """Give the share of the energy outside of the field in theory, where there should be none."""
    inside = energy[tuple(slice(a, b + 1) for a, b in zip(lo, hi, strict=True))].sum()
    return max(0.0, 1 - float(inside / energy.sum()))


def _status(found: Mapping[str, EffectiveField], count: int, unread: str) -> Status:
    stray = [
        f"{n}: {f.stray:.2%} of the energy lies outside of the field in theory"
        for n, f in found.items()
        if f.stray > 1e-9
    ]
    lost = [unread] if unread else []
    few = [f"{count} samples: {ENOUGH} or more give a steady mean"] if count < ENOUGH else []
    cut = [
        f"{n}: the field is truncated by the input's border"
        for n, f in found.items()
        if f.truncated and f.outside > 0.01
    ]
    return Status("fail" if stray else "warn" if few or cut or lost else "ok", (*stray, *few, *cut, *lost))
