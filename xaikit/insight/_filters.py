"""The kernels of a layer, in one layout for all frameworks."""

import time
from collections.abc import Mapping

import numpy as np

from xaikit.arrays import SPACE, Array
from xaikit.attribution import origin_of, require_wrapped
from xaikit.errors import NotSupported
from xaikit.graph import Layer, flattened
from xaikit.inputs import Image, InputSpec
from xaikit.model import Kernel, Model
from xaikit.results import Filters

NEGLIGIBLE = 1e-3
"""Weights under this share of a layer's largest count as zero, filters under this share of its median norm as dead."""
WITH_KERNELS = ("conv", "conv_transposed", "dense")
THROUGH = ("dropout", "identity", "zero_pad", "pad", "rescaling", "normalization", "batch_norm", "gaussian_noise")
"""Kinds of layers behind which channels are still those in front."""


def filters(model: Model, layer: str) -> Filters:
    """Give the kernels of a convolution or dense layer as Filters: (filter, *space, in), raw.

    Convolutions of any rank, grouped, depthwise and transposed ones; a separable convolution gives the one kernel that
    its two steps are together. A dense layer has no space, unless it reads flattened places: its weights then have
    their shape. Raises UnknownName for a layer that the model has not, and NotSupported for one without kernels,
    with the nearest that have.
    """
    require_wrapped(model, "filters")
    start = time.perf_counter()
    kernel = model.kernel(layer)
    if kernel is None:
        raise NotSupported(f"layer {layer!r} of {model.name} has no filters{_instead(model.layers, layer)}")
    found = model.layers.get(layer)
    values, space = _placed(model, kernel, found)
    return Filters(
        values=values,
        bias=kernel.bias,
        axes=("filter", *space, "in"),
        numbers=np.arange(len(values)),
        layer=layer,
        kind=found.kind if found is not None else "conv",
        groups=kernel.groups,
        total=len(values),
        order=_order(model, found, values.shape[-1]),
        statistics=_statistics(values),
        origin=origin_of(
            model, None, "filters", parameters={"layer": layer}, seconds=time.perf_counter() - start, calls=0
        ),
    )


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


def _statistics(values: Array) -> dict[str, Array]:
    flat = values.reshape(len(values), -1).astype(np.float64)
    norm = np.linalg.norm(flat, axis=1)
    nearest, similarity = _most_alike(flat, norm)
    return {
        "norm": norm,
        "mean": flat.mean(1),
        "std": flat.std(1),
        "sparsity": (np.abs(flat) <= NEGLIGIBLE * np.abs(flat).max()).mean(1),
        "dead": norm <= NEGLIGIBLE * np.median(norm),
        "nearest": nearest,
        "similarity": similarity,
    }


def _most_alike(flat: Array, norm: Array) -> tuple[Array, Array]:
    """Find for every filter the other one with the largest cosine, and the cosine; its own number and 0 if alone."""
    count = len(flat)
    if count == 1:
        return np.zeros(1, int), np.zeros(1)
    unit = np.divide(flat, norm[:, None], out=np.zeros_like(flat), where=norm[:, None] > 0)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    nearest = cosine.argmax(1)
    return nearest, cosine[np.arange(count), nearest]


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
