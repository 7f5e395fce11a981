"""What is asked of a network, checked in the same words by every function."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution import require
from xaikit.errors import ParameterError, UnknownName, UsageError
from xaikit.model import Model, require_layers


def require_name(model: Model, layer: Any) -> None:
    """Raise UsageError for what is no name of a layer."""
    if not isinstance(layer, str):
        raise UsageError(f"a layer is asked for by its name, a string as {_example(model)}, not {layer!r}")


def require_layer(model: Model, layer: Any) -> None:
    """Raise UsageError for what is no name, NotSupported for a model without layers, and UnknownName."""
    require_name(model, layer)
    require_layers(model)
    if layer not in model.layers:
        raise UnknownName(f"layer of {model.name}", layer, model.layers)


def layers_named(model: Model, layers: Any) -> list[str]:
    """List the layers asked for, one name or several, once each. Raises UsageError where there is none."""
    if layers is None or not isinstance(layers, Iterable):
        raise UsageError(f"layers is a name or several, such as {_example(model)}, not {layers!r}")
    names = [layers] if isinstance(layers, str) else list(dict.fromkeys(layers))
    if not names:
        raise UsageError("no layer was asked for: give the name of one, or several")
    for name in names:
        require_name(model, name)
    return names


def require_whole(least: int, **numbers: Any) -> None:
    """Raise ParameterError for what is no whole number from the least on."""
    for name, number in numbers.items():
        whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
        require(whole and number >= least, f"{name} is a whole number from {least} on, not {number!r}")


def channels_named(channel: Any, count: int, layer: str) -> Array:
    """List the channels asked for: a number, several, a slice, or None = all. Raises ParameterError."""
    if channel is None:
        return np.arange(count)
    chosen = np.arange(count)[channel] if isinstance(channel, slice) else np.atleast_1d(np.asarray(channel))
    if chosen.dtype.kind not in "iu" or chosen.ndim != 1 or not len(chosen):
        raise ParameterError(f"channel is a whole number, a list of these or a slice with some, not {channel!r}")
    beyond = chosen[(chosen < 0) | (chosen >= count)]
    if len(beyond):
        raise ParameterError(f"layer {layer!r} has the channels 0 to {count - 1}, not {beyond[0]}")
    return chosen


def _example(model: Model) -> str:
    return repr(next(iter(model.layers), "conv1"))
