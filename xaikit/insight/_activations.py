"""What layers give for samples, channels last whatever the framework."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, length, rows
from xaikit.attribution import origin_of, prepare, require_wrapped
from xaikit.errors import NotSupported, ParameterError, UsageError
from xaikit.graph import Layer
from xaikit.model import Model
from xaikit.results import Activations

MOST_BYTES = 2 * 2**30
"""What the activations of one call may hold."""


def activations(model: Model, x: Any, layers: str | Sequence[str] | None = None) -> Activations:
    """Give what layers give for samples `x`, as Activations: by layer (sample, *space, channel), raw.

    `x` is what a person has (a path, a picture, an array in display units, a string) or a list or batch of these.
    `layers` is a name or several; None = all, in call order. Layers without channels (dense, recurrent states) give
    their units last. Raises UnknownName, InputError, NotSupported for a model that only runs, and ParameterError where
    the values would take over two gigabytes.
    """
    require_wrapped(model, "activations")
    start = time.perf_counter()
    encoded, display = prepare(model, x)
    names = named(model, layers, encoded)
    run = model.run(encoded, at=names)
    known = [model.layers[n] for n in names]
    return Activations(
        values={layer.name: channels_last(run.activations[layer.name], layer) for layer in known},
        axes={layer.name: axes_of(layer) for layer in known},
        x=encoded,
        display=display,
        input_spec=model.inputs,
        origin=origin_of(
            model,
            encoded,
            "activations",
            parameters={"layers": tuple(names)},
            seconds=time.perf_counter() - start,
            calls=length(encoded),
        ),
    )


def named(model: Model, layers: str | Iterable[str] | None, x: Tensors) -> list[str]:
    """List the layers asked for, once each; all where none are, if their values for `x` have room in memory."""
    if layers is not None:
        asked = list(dict.fromkeys([layers] if isinstance(layers, str) else layers))
        if not asked:
            raise UsageError("no layer was asked for: give the name of one, or None for all")
        return asked
    model.run(rows(x, slice(0, 1)))  # a network that declares no input is known after its first call
    found = model.layers
    if not found:
        raise NotSupported(f"{model.name} is a {model.framework} model: it shows no layers")
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
