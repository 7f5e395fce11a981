"""The kernels of a layer, in one layout for all frameworks."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xaikit.arrays import SPACE, Array
from xaikit.attribution import origin_of, require_wrapped
from xaikit.errors import NotSupported, ParameterError, UnknownName
from xaikit.graph import Layer, flattened
from xaikit.inputs import Image, InputSpec
from xaikit.insight._activations import channels_last, function_of
from xaikit.insight._asking import require_name
from xaikit.insight._samples import Samples, left_out
from xaikit.insight._survey import chunk_of, placed
from xaikit.model import Kernel, Model
from xaikit.results import Filters, Moments

NEGLIGIBLE = 1e-3
"""Weights under this share of a layer's largest count as zero, filters under this share of its median norm as dead."""
LARGE = 2**24
"""Layers with more weights than this are compared in float32."""
WITH_KERNELS = ("conv", "conv_transposed", "dense")
THROUGH = ("dropout", "identity", "zero_pad", "pad", "rescaling", "normalization", "batch_norm", "gaussian_noise")
"""Kinds of layers behind which channels are still those in front."""
COMPARED = 2**11
"""So many filters are compared with each other at most: more pairs take too long."""


def filters(
    model: Model,
    layer: str,
    *,
    by: str | None = None,
    samples: Any = None,
    before: Model | Filters | None = None,
    shape: Sequence[int] | None = None,
) -> Filters:
    """Give the kernels of a convolution or dense layer as Filters: (filter, *space, in), raw, with their statistics.

    Convolutions of any rank, grouped, depthwise and transposed ones; a separable convolution gives the one kernel that
    its two steps are together. A dense layer has no space, unless it reads flattened places: its weights then have
    their shape, channels last, or the `shape` that is given.

    `samples` (a list, batch, stream or folder) add what the filters give for them, behind the activation function that
    follows; files of a folder that cannot be read are left out, and `origin.notes` names them. `before` is the network
    before fine-tuning, or Filters: how much each has changed is added. `by` names the statistic by which they are
    shown; None = "change" with a `before`, "activation" with samples, else "norm". Of more than 2048 filters it is not
    said which are alike.

    Raises UnknownName for a layer that the model has not, or a statistic; NotSupported for a layer without kernels,
    with the nearest that have; ParameterError where `before` or `shape` do not fit.
    """
    require_wrapped(model, "filters")
    require_name(model, layer)
    start = time.perf_counter()
    kernel, space = _kernel(model, layer, shape)
    statistics, calls, unread = _statistics(kernel.values, kernel.groups), 0, ""
    parameters: dict[str, Any] = {"layer": layer}
    if samples is not None:
        parameters["response"] = responding(model.layers, layer)
        given, calls, unread = _responses(model, parameters["response"], samples, len(kernel.values))
        statistics |= given
    earlier = None if before is None else _before(before, layer, kernel, shape)
    if before is not None and earlier is not None:
        parameters["before"] = before.origin.model if isinstance(before, Filters) else before.name
        statistics |= _changes(earlier, kernel.values)
    described = model.layers.get(layer)
    chosen = _chosen(by, statistics)
    return Filters(
        values=kernel.values,
        bias=kernel.bias,
        axes=("filter", *space, "in"),
        numbers=np.arange(len(kernel.values)),
        layer=layer,
        kind=described.kind if described is not None else "conv",
        groups=kernel.groups,
        total=len(kernel.values),
        order=_order(model, described, kernel.values.shape[-1]),
        statistics=statistics,
        origin=origin_of(
            model,
            None,
            "filters",
            parameters={**parameters, "by": chosen},
            seconds=time.perf_counter() - start,
            calls=calls,
            notes={"unread": unread} if unread else {},
        ),
        before=earlier,
        by=chosen,
    )


def _chosen(by: str | None, statistics: Mapping[str, Array]) -> str:
    """Name the statistic that filters are shown by. Raises ParameterError where it is not there, and UnknownName."""
    if by is None:
        return next(n for n in ("change", "activation", "norm") if n in statistics)
    for needed, added in (("samples", ("activation", *RESPONSES)), ("before", CHANGES)):
        if by in added and by not in statistics:
            raise ParameterError(f"by={by!r} needs {needed}=...")
    if by not in statistics:
        raise UnknownName("statistic", by, statistics)
    return by


def _kernel(model: Model, layer: str, shape: Sequence[int] | None) -> tuple[Kernel, tuple[str, ...]]:
    """Give a layer's kernel and the names of its axes of space; a dense one in the shape that was flattened."""
    kernel = model.kernel(layer)
    if kernel is None:
        raise NotSupported(f"layer {layer!r} of {model.name} has no filters{_instead(model.layers, layer)}")
    if shape is not None:
        return _shaped(kernel, layer, tuple(shape))
    values, space = _placed(model, kernel, model.layers.get(layer))
    return replace(kernel, values=values), space


def _shaped(kernel: Kernel, layer: str, shape: tuple[int, ...]) -> tuple[Kernel, tuple[str, ...]]:
    """Lay out what a dense layer reads as an array of a shape, with the channel last."""
    width = kernel.values.shape[-1]
    if kernel.values.ndim > 2 or np.prod(shape) not in (width, 0) or len(shape) > 4:
        said = f"reads {width:,} numbers" if kernel.values.ndim == 2 else "has a shape of its own"
        raise ParameterError(f"shape {shape} does not fit: layer {layer!r} {said}")
    shape = shape if len(shape) > 2 else (*shape, 1)
    return replace(kernel, values=kernel.values.reshape(-1, *shape)), _space(len(shape) - 1)


def _before(before: Model | Filters, layer: str, kernel: Kernel, shape: Sequence[int] | None) -> Array:
    """Give the same filters of another network. Raises ParameterError where they are not of the same shape."""
    if isinstance(before, Filters):
        name, earlier, groups = before.origin.model, before.values, before.groups
    else:
        require_wrapped(before, "filters with a `before`")
        found, _ = _kernel(before, layer, shape)
        name, earlier, groups = before.name, found.values, found.groups
    if earlier.shape != kernel.values.shape or groups != kernel.groups:
        raise ParameterError(
            f"filters {earlier.shape} of {name} (filter, *space, in) cannot be compared with {kernel.values.shape}: "
            "take the same layer of the same architecture"
        )
    return earlier


CHANGES = ("change", "relative_change", "agreement")


def _changes(earlier: Array, later: Array) -> dict[str, Array]:
    """Measure what became of every filter: (filter,)."""
    a, b = (v.reshape(len(v), -1).astype(np.float64) for v in (earlier, later))
    change, norm, now = (np.linalg.norm(v, axis=1) for v in (b - a, a, b))
    nothing = np.where(change > 0, np.inf, 0.0)
    return {
        "change": change,
        "relative_change": np.divide(change, norm, out=nothing, where=norm > 0),
        "agreement": np.divide((a * b).sum(1), norm * now, out=np.zeros(len(a)), where=norm * now > 0),
    }


# ---------------------------------------------------------------- what filters give for samples

RESPONSES = ("active", "silent", "correlated", "correlation")


def responding(layers: Mapping[str, Layer], name: str) -> str:
    """Name the layer that gives what a filter's unit says: its own, or the activation function behind it."""
    while True:
        after = [n for n, layer in layers.items() if name in layer.parents]
        only = layers[after[0]] if len(after) == 1 else None
        if only is None or len(only.parents) > 1 or only.kind == "softmax":
            return name
        if only.kind in WITH_KERNELS or (only.kind != "batch_norm" and function_of(only) is None):
            return name
        name = only.name


def _responses(model: Model, layer: str, samples: Any, count: int) -> tuple[dict[str, Array], int, str]:
    """Measure what every filter gives over samples and places; with the number of samples, and what was not read."""
    given, seen, gauge = Samples(model, samples), 0, _Gauge(count)
    for chunk in given.chunks(chunk_of(model, layer)):
        values = channels_last(model.run(chunk.x, at=[layer]).activations[layer], model.layers[layer])
        if placed(values).shape[-1] != count:
            raise NotSupported(f"layer {layer!r} gives {placed(values).shape[-1]} channels for {count} filters")
        gauge.add(placed(values).reshape(-1, count))
        seen += len(chunk.numbers)
    if not seen:
        raise given.none()
    return gauge.statistics(), seen, left_out(given.unread)


class _Gauge:
    """Sums over rows of responses (place, filter), as they come."""

    def __init__(self, count: int) -> None:
        self.rows = 0
        self.moments: Moments | None = None
        self.products = np.zeros((count, count)) if count <= COMPARED else None
        self.centre: Array | None = None

    def add(self, rows: Array) -> None:
        """Take in some rows; products are taken around the first mean, so that little is lost to rounding."""
        moments = Moments.of(rows)
        self.moments = moments if self.moments is None else self.moments + moments
        if self.centre is None:
            self.centre = moments.mean
        if self.products is not None:
            off = np.nan_to_num(rows.astype(np.float64) - self.centre)
            self.products += off.T @ off
        self.rows += len(rows)

    def statistics(self) -> dict[str, Array]:
        """Give what is known of every filter, by name: (filter,)."""
        assert self.moments is not None
        assert self.centre is not None
        found = self.moments.statistics()
        given = {"activation": found["mean"], "active": found["positive"], "silent": found["dead"]}
        if self.products is None:
            return given
        off = found["mean"] - self.centre
        covariance = self.products / self.rows - np.outer(off, off)
        spread = np.sqrt(np.maximum(np.diag(covariance), 0))
        size = np.maximum(np.abs(found["min"]), np.abs(found["max"]))
        varies = spread > NEGLIGIBLE**2 * size  # what varies by rounding alone goes with nothing
        unit = np.divide(1, spread, out=np.zeros_like(spread), where=varies)
        partner, correlation = _most_alike(np.clip(covariance * np.outer(unit, unit), -1, 1))
        return {**given, "correlated": partner, "correlation": correlation}


# ---------------------------------------------------------------- layouts


def _placed(model: Model, kernel: Kernel, layer: Layer | None) -> tuple[Array, tuple[str, ...]]:
    """Give the values with the names of their axes of space; those of a dense layer in the shape that was flattened."""
    values = kernel.values
    if values.ndim > 2 or layer is None:
        return values, _space(values.ndim - 2)
    axes, shape = _flattened(model, layer.name)
    if len(axes) < 2 or values.shape[1] != np.prod(shape) or values.shape[1] == shape[-1]:
        return values, ()
    return values.reshape(-1, *shape), axes[:-1]


def _flattened(model: Model, layer: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Give axes, the channel last, and lengths of what is flattened before a layer; nothing where that is not known."""
    name = flattened(model.layers, layer)
    spec = model.inputs
    if name is not None and name in model.layers:
        before = model.layers[name]
        if before.axes[-1:] == ("channel",) and None not in before.shape:
            return before.axes[1:], tuple(int(n or 0) for n in before.shape)
    elif name is not None and isinstance(spec, InputSpec) and spec.kind in ("Image", "Series"):
        return spec.axes, spec.shape
    return (), ()


def _space(rank: int) -> tuple[str, ...]:
    return ("time",) if rank == 1 else SPACE[4 - rank :] if rank else ()


def _source(layers: Mapping[str, Layer], layer: Layer, through: tuple[str, ...]) -> str | None:
    """Name the input that a layer reads, directly or through layers of such kinds; None if others lie between."""
    while len(layer.parents) == 1:
        parent = layer.parents[0]
        if parent not in layers or layers[parent].kind in ("input", "input_layer"):
            return parent
        layer = layers[parent]
        if layer.kind not in through:
            return None
    return None


def _order(model: Model, layer: Layer | None, channels: int) -> str | None:
    """Say in which order the input channels of a layer are the colours of a picture; None if they are not."""
    spec = model.inputs
    if layer is None or channels != 3 or not isinstance(spec, Image) or spec.channels != 3:
        return None
    flat = ("flatten", "reshape") if layer.kind == "dense" else ()
    return spec.order if _source(model.layers, layer, (*THROUGH, *flat)) is not None else None


def _statistics(values: Array, groups: int = 1) -> dict[str, Array]:
    flat = values.reshape(len(values), -1).astype(np.float32 if values.size > LARGE else np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        norm = np.linalg.norm(flat, axis=1).astype(np.float64)
        sizes = np.abs(flat)
        finite = np.isfinite(norm)
        largest, usual = (
            sizes.max(initial=0, where=np.isfinite(sizes)),
            np.median(norm[finite]) if finite.any() else 0.0,
        )
        nearest, similarity = _alike(flat, norm, groups)
        return {
            "norm": norm,
            "mean": flat.mean(1, dtype=np.float64),
            "std": flat.std(1, dtype=np.float64),
            "sparsity": (sizes <= NEGLIGIBLE * largest).mean(1),
            "dead": norm <= NEGLIGIBLE * usual,
            "nearest": nearest,
            "similarity": similarity,
        }


def _alike(flat: Array, norm: Array, groups: int) -> tuple[Array, Array]:
    """Find for every filter the one of its group that it is most alike, and the cosine of the two: (filter,).

    Its own number and 0 where there is none: no other filter sees the same channels, it is zero or not finite, or a
    filter has a single weight, so that all are alike.
    """
    each = len(flat) // groups
    nearest, similarity = np.arange(len(flat)), np.zeros(len(flat))
    if each == 1 or each > COMPARED or flat.shape[1] == 1:
        return nearest, similarity
    whole = np.isfinite(norm) & (norm > 0)
    unit = np.divide(flat, norm[:, None], out=np.zeros_like(flat), where=whole[:, None])
    for first in range(0, len(flat), each):
        own = slice(first, first + each)
        partner, cosine = _most_alike(unit[own] @ unit[own].T)
        nearest[own], similarity[own] = partner + first, cosine
    return nearest, similarity


def _most_alike(products: Array) -> tuple[Array, Array]:
    """Find in every row the largest entry in size but for the diagonal's: its column, and the entry with its sign.

    The own number and 0 where all others are 0.
    """
    count = len(products)
    others = np.where(np.eye(count, dtype=bool), 0.0, products)
    partner = np.abs(others).argmax(1)
    found = others[np.arange(count), partner].astype(np.float64)
    return np.where(found == 0, np.arange(count), partner), found


def _instead(layers: Mapping[str, Layer], layer: str) -> str:
    """Name the nearest layers before and after one, or inside it, that have kernels."""
    names = list(layers)
    having = [n for n in names if layers[n].kind in WITH_KERNELS]
    inside = [n for n in having if n.startswith((f"{layer}.", f"{layer}/"))]
    place = names.index(layer) if layer in names else 0
    near = inside or sorted(having, key=lambda n: abs(names.index(n) - place))
    if not near:
        return "; nor has any other layer"
    shown = sorted(near[:3], key=names.index)
    return f"; the {'layers inside it' if inside else 'nearest'} that have: {', '.join(map(repr, shown))}"
