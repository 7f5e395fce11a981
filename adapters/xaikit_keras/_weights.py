"""The weights of layers by name, copies of networks, and the fingerprint."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import is_
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xaikit.arrays import Array
from xaikit.model import Kernel, canonical_hash, separable
from xaikit_keras._private import (
    automatic_name,
    functional,
    is_container,
    python_randomness_kept,
    read_together,
    stored_in,
    sublayers,
)
from xaikit_keras._reading import own_weights
from xaikit_keras._tensors import unique


def named_weights(operation: Any) -> dict[str, Any]:
    """Give the variables that a layer owns by name; those of layers inside it get the inner names in front."""
    variables = own_weights(operation)
    names = [v.name for v in variables]
    if len(set(names)) < len(names):
        names = [_inner_name(operation, v) for v in variables]
    return dict(zip(unique(names), variables, strict=True))


CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
SEPARABLE = (keras.layers.SeparableConv1D, keras.layers.SeparableConv2D)
TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)


def kernel_of(operation: Any, weights: Mapping[str, Array]) -> Kernel | None:
    """Give a layer's kernel from its weights by name; None if it is no convolution or dense layer."""
    bias = weights.get("bias")
    if isinstance(operation, keras.layers.TimeDistributed):
        return kernel_of(operation.layer, weights)
    if isinstance(operation, SEPARABLE):
        pointwise = Kernel(np.moveaxis(weights["pointwise_kernel"], -1, 0), bias)
        return separable(_depthwise(weights["depthwise_kernel"], None), pointwise)
    if isinstance(operation, DEPTHWISE):
        return _depthwise(weights["kernel"], bias)
    if isinstance(operation, (*CONVOLUTIONS, keras.layers.Dense)):
        return Kernel(np.moveaxis(weights["kernel"], -1, 0), bias, getattr(operation, "groups", 1))
    return Kernel(np.moveaxis(weights["kernel"], -2, 0), bias) if isinstance(operation, TRANSPOSED) else None


def _depthwise(kernel: Array, bias: Array | None) -> Kernel:
    """(*space, in, multiplier) -> (in · multiplier, *space, 1)."""
    moved = np.moveaxis(kernel, (-2, -1), (0, 1))
    return Kernel(moved.reshape(-1, *kernel.shape[:-2], 1), bias, kernel.shape[-2])


def _inner_name(operation: Any, variable: Any) -> str:
    """Name a weight of a composite layer by its part: "query/kernel", "forward_recurrent_kernel"."""
    for part in ("forward", "backward"):
        inner = getattr(operation, f"{part}_layer", None)
        if inner is not None and any(v is variable for v in inner.weights):
            return f"{part}_{variable.name}"
    _, _, rest = str(variable.path).rpartition(f"{operation.name}/")
    return rest or str(variable.name)


def addressed(net: Any) -> dict[str, Any]:
    """Give all weights of a network as "layer/weight", with the names of nested layers joined by "/"."""
    found: dict[str, Any] = {}
    _address(net, "", found, set())
    return found


def _address(layer: Any, path: str, found: dict[str, Any], seen: set[int]) -> None:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    for name, variable in named_weights(layer).items():
        found.setdefault(f"{path}{name}", variable)
    for part in _parts(layer) if is_container(layer) else ():
        _address(part, f"{path}{part.name}/", found, seen)


def clone(net: Any) -> Any:
    """Give a network with the same structure and the same values in weights of its own; None if that cannot be made.

    Only functional and sequential networks say all of what they are made of, and not when parts share a layer.
    """
    if functional(net) is None:
        return None
    with python_randomness_kept():
        try:
            made = keras.models.clone_model(net)
        except Exception:  # a layer of the user's own whose configuration does not make another one
            return None
    if [(v.name, tuple(v.shape)) for v in made.weights] != [(v.name, tuple(v.shape)) for v in net.weights]:
        return None
    made.set_weights(net.weights)
    return made


def fingerprint(net: Any, replaced: Mapping[int, Any]) -> str:
    """SHA-256 over the names, shapes, types and bytes of all weights of a network.

    `replaced` gives by id the values that stand for variables.
    """
    found: dict[str, Any] = {}
    _collect(net, "", found, set())
    return canonical_hash({name: np.asarray(replaced.get(id(v), v)) for name, v in found.items()})


@dataclass(frozen=True)
class Mark:
    """A weight as it was read, its numbers where they lie in memory (None: not on the CPU), and their checksum."""

    value: Any
    lies: Array | None
    checksum: bytes


class Marks:
    """Quick checksums of all weights of a network, to see that none has changed: a tenth of the fingerprint's time.

    TensorFlow writes into the memory of a variable only while nobody else holds it, and else takes new memory. What was
    read is held here, so that a weight which still lies in the same place has not changed and is not summed again.
    """

    def __init__(self) -> None:
        self._stored: list[Any] = []
        self._reads: Callable[[], list[Any]] | None = None
        self._held: list[Mark] = []

    def __call__(self, weights: Sequence[Any]) -> tuple[bytes, ...]:
        stored = [stored_in(v) for v in weights]
        self._turn_to(stored)
        self._reads = self._reads or read_together(stored)
        return self.of(stored, self._reads())

    def of(self, stored: list[Any], values: Sequence[Any]) -> tuple[bytes, ...]:
        """Give the checksums of what a pass has read of TensorFlow's variables."""
        self._turn_to(stored)
        before: list[Any] = self._held or [None] * len(values)
        self._held = [
            m if m and m.lies is not None and np.may_share_memory(np.asarray(v), m.lies) else _marked(v)
            for m, v in zip(before, values, strict=True)
        ]
        return tuple(mark.checksum for mark in self._held)

    def _turn_to(self, stored: list[Any]) -> None:
        """Hold nothing of other variables any more."""
        same = stored is self._stored or (len(stored) == len(self._stored) and all(map(is_, stored, self._stored)))
        if not same:
            self._reads, self._held = None, []
        self._stored = stored


def _marked(value: Any) -> Mark:
    checksum = tf.fingerprint(tf.reshape(value, (1, -1))).numpy().tobytes()
    return Mark(value, np.asarray(value) if "CPU" in value.device else None, checksum)


def _collect(layer: Any, path: str, found: dict[str, Any], seen: set[int]) -> None:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    inner = _parts(layer)
    owned_inside = {id(v) for part in inner for v in part.weights}
    own = [v for v in layer.weights if id(v) not in owned_inside]
    for name, variable in zip(unique([v.name for v in own]), own, strict=True):
        found[f"{path}{name}"] = variable
    for name, part in zip(unique([_lasting_name(p) for p in inner]), inner, strict=True):
        _collect(part, f"{path}{name}/", found, seen)


def _parts(layer: Any) -> list[Any]:
    graph = functional(layer)
    listed = [*(graph.layers if graph is not None else ()), *sublayers(layer)]
    return list({id(p): p for p in listed if p is not graph}.values())


def _lasting_name(layer: Any) -> str:
    """Take from a name the number that Keras gave it: dense_7 is the eighth in this process, not in the network."""
    kind = automatic_name(layer)
    return kind if re.fullmatch(rf"{re.escape(kind)}(_\d+)?", layer.name) else str(layer.name)
