"""What layers give for samples, channels last whatever the framework."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, length, rows
from xaikit.attribution import origin_of, prepare, require_wrapped
from xaikit.errors import ParameterError, UnknownName
from xaikit.graph import Layer, Node, fields
from xaikit.inputs import Classes, InputSpec
from xaikit.insight._asking import layers_named
from xaikit.insight._seen import only_input
from xaikit.model import Model, require_layers
from xaikit.results import Activations
from xaikit.results._activations import ORDERS
from xaikit.results._functions import function_named

MOST_BYTES = 2 * 2**30
"""What the activations of one call may hold."""


def activations(
    model: Model,
    x: Any,
    layers: str | Sequence[str] | None = None,
    *,
    order: str = "max",
    classes: Sequence[Any] | None = None,
) -> Activations:
    """Give what layers give for samples `x`, as Activations: by layer (sample, *space, channel), raw.

    `x` is what a person has (a path, a picture, an array in display units, a string) or a list or batch of these.
    `layers` is a name or several; None = all, in call order. Layers without channels (dense, recurrent states) give
    their units last. `order` says by what figures order the channels, and is recorded: "max", "mean", "mean-abs",
    "sparsity", "class-difference" (between the `classes` of the samples, one index or name each; None = those that the
    network predicts), or "difference" (between the first two samples), as Activations.ranking explains.

    Raises UnknownName, InputError, NotSupported for a model that only runs, and ParameterError where the values would
    take over two gigabytes, or for an order that these samples do not have.
    """
    require_wrapped(model, "activations")
    if order not in ORDERS:
        raise UnknownName("order of channels", order, ORDERS)
    start = time.perf_counter()
    encoded, display = prepare(model, x)
    names = named(model, layers, encoded)
    run = model.run(encoded, at=names)
    known = [model.layers[n] for n in names]
    found = Activations(
        values={layer.name: channels_last(run.activations[layer.name], layer) for layer in known},
        axes={layer.name: axes_of(layer) for layer in known},
        x=encoded,
        display=display,
        input_spec=model.inputs,
        origin=origin_of(
            model,
            encoded,
            "activations",
            parameters={"layers": tuple(names), "order": order},
            seconds=time.perf_counter() - start,
            calls=length(encoded),
        ),
        order=order,
        classes=_classes(model, classes, run.output, length(encoded)) if order == "class-difference" else None,
        functions={layer.name: f for layer in known if (f := function_of(layer)) is not None},
        centres=centres(model, names, encoded),
    )
    if order in ("difference", "class-difference"):  # which not all samples have
        found.ranking(names[0])
    return found


def _classes(model: Model, given: Sequence[Any] | None, output: Tensors, count: int) -> Array:
    """Give the class of every sample as a number: what was said, or what the network predicts."""
    spec = model.outputs
    if given is None:
        if not isinstance(spec, Classes) or not isinstance(output, np.ndarray) or output.ndim != 2:
            raise ParameterError(f"{model.name} predicts no one class: say classes=[...], one for each sample")
        return np.asarray(spec.predicted(output))
    if len(given) != count:
        raise ParameterError(f"{len(given)} classes were given for {count} samples")
    labels = [g.item() if isinstance(g, np.generic) else g for g in given]
    if isinstance(spec, Classes):
        return np.array([spec.index(label) for label in labels])
    return np.unique(np.asarray(labels), return_inverse=True)[1]


def function_of(layer: Layer) -> str | None:
    """Name the activation function that a layer is, or applies to what it computes; None for any other."""
    inside = layer.config.get("activation")
    if isinstance(inside, str) and layer.kind in ("conv", "conv_transposed", "dense"):
        return function_named(inside)
    return function_named(layer.kind)


def centres(model: Model, names: Sequence[str], x: Tensors) -> dict[str, tuple[Array, ...]]:
    """Give by layer, for each axis of the input's places, where the fields of its units have their centres.

    That of unit u is u·S - P + (r - 1)/2, in input places from 0, where its field may reach beyond the input; where a
    layer has no such description it is the middle of what is inside. Source: Araujo, Norris and Sim, "Computing
    Receptive Fields of Convolutional Neural Networks" (2019).
    """
    spec = model.inputs
    if not isinstance(spec, InputSpec) or spec.kind not in ("Image", "Series") or isinstance(x, Mapping):
        return {}
    axes = [a for a in spec.axes if a != "channel"]
    entrance = only_input(model)
    seen = fields(model.layers, {entrance: dict(zip(axes, x.shape[1:], strict=False))}, local=True)
    found = {n: [_centres(seen[n], entrance, axis) for axis in axes] for n in names if n in seen}
    return {n: tuple(c for c in cs if c is not None) for n, cs in found.items() if all(c is not None for c in cs)}


def _centres(node: Node, entrance: str, axis: str) -> Array | None:
    """Give the centres along one axis; None where units see all of it, or do not lie in order."""
    key = (entrance, axis)
    count = dict(zip(node.axes, node.lengths, strict=True)).get(axis)
    if key in node.mixed or not count:
        return None
    affine = node.affine.get(key)
    if affine is not None and affine.start is not None and affine.along == axis:
        return np.array([float(affine.start + (affine.size - 1) / 2 + affine.stride * u) for u in range(count)])
    if key not in node.edges:
        return None
    place = node.axes.index(axis)
    low, negated = np.moveaxis(node.edges[key], place + 1, 1).reshape(2, node.edges[key].shape[place + 1], -1)[:, :, 0]
    middles = (low - negated) / 2
    return middles if len(middles) == count and np.all(np.diff(middles) > 0) and np.abs(low).max() < 2**39 else None


def named(model: Model, layers: str | Iterable[str] | None, x: Tensors) -> list[str]:
    """List the layers asked for, once each; all where none are, if their values for `x` have room in memory."""
    if layers is not None:
        return layers_named(model, layers)
    model.run(rows(x, slice(0, 1)))  # a network that declares no input is known after its first call
    require_layers(model)
    found = model.layers
    size = length(x) * sum(4 * int(np.prod([n or 1 for n in layer.shape], dtype=np.int64)) for layer in found.values())
    if size > MOST_BYTES:
        raise ParameterError(
            f"all {len(found)} layers for {length(x)} samples would take {size / 2**30:.1f} GB: name some layers"
        )
    return list(found)


def axes_of(layer: Layer) -> tuple[str, ...]:
    """Name the axes of a layer's values once the channel is last."""
    if "channel" not in layer.axes:
        return layer.axes
    return (*(a for a in layer.axes if a != "channel"), "channel")


def channels_last(values: Array, layer: Layer) -> Array:
    """Bring a layer's values (sample, ...) to (sample, *space, channel)."""
    if layer.channel is None or values.ndim != len(layer.axes):
        return values
    return np.moveaxis(values, layer.channel, -1)
