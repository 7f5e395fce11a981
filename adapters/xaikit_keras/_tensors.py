"""What crosses the border of a network: inputs in the structure that it takes, outputs by name."""

import dataclasses
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from xaikit.arrays import Tensors
from xaikit.errors import InputError, ModelError
from xaikit.masked import MaskedRows
from xaikit_keras._private import functional

Declared = dict[str, tuple[tuple[int | None, ...], str]]
"""By input name: the shape with its sample axis (None = varies) and the type ("" = not known)."""


def declared_inputs(net: Any) -> Declared:
    """Give the inputs that a functional or sequential network declares; {} for a subclassed or unbuilt one."""
    graph = functional(net)
    return {} if graph is None else {name: (tuple(t.shape), t.dtype) for name, t in _named_inputs(graph)}


def built_inputs(net: Any) -> Declared:
    """Give the inputs that a subclassed network was first called on; it remembers their shapes, but not their types."""
    built = (net.get_build_config() or {}) if net.built else {}
    shapes: Any = built.get("input_shape") or {
        n.removesuffix("_shape"): s for n, s in built.get("shapes_dict", {}).items()
    }
    if isinstance(shapes, list | tuple) and shapes:
        nested = all(isinstance(s, list | tuple) for s in shapes)
        shapes = {str(i): s for i, s in enumerate(shapes)} if nested else {"input": shapes}
    return {str(n): ((None, *s[1:]), "") for n, s in shapes.items() if s is not None}


def _named_inputs(graph: Any) -> list[tuple[str, Any]]:
    struct = graph.input
    if isinstance(struct, Mapping):
        return [(str(k), t) for k, t in struct.items() if hasattr(t, "shape")]
    return [(t.name, t) for t in graph.inputs]


def call_net(net: Any, x: Any) -> Any:
    """Call a network in inference mode on a tensor, or on a mapping of tensors by input name."""
    graph = functional(net)
    if graph is not None:
        return net(_like(graph.input, x), training=False)
    if not isinstance(x, Mapping):
        return net(x, training=False)
    wanted = list(inspect.signature(type(net).call).parameters)[1:]
    if set(x) <= set(wanted):
        return net(**x, training=False)
    listed = list(x) == [str(i) for i in range(len(x))]
    return net(list(x.values()) if listed else dict(x), training=False)


def _like(struct: Any, x: Any) -> Any:
    """Give inputs in the structure that a functional model was built with."""
    if isinstance(struct, Mapping):
        return {k: x[str(k)] for k in struct} if isinstance(x, Mapping) else dict.fromkeys(struct, x)
    if isinstance(struct, list | tuple):
        parts = [x[t.name] if isinstance(x, Mapping) else x for t in keras.tree.flatten(struct)]
        return keras.tree.pack_sequence_as(struct, parts)
    return next(iter(x.values())) if isinstance(x, Mapping) else x


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the tensors of a nested result with their paths; what is no tensor is passed over."""
    value = named(value)
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves(part, f"{path}/{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for i, part in enumerate(value):
            yield from leaves(part, f"{path}/{i}" if path else str(i))
    elif tf.is_tensor(value):
        yield path, value


def named(result: Any) -> Any:
    """Give a result with named parts (a dataclass, a named tuple) as a mapping; others as they are."""
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
    return result._asdict() if hasattr(result, "_asdict") else result


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """Make names differ: the second "a" becomes "a:1"."""
    given: list[str] = []
    for name in names:
        free = (n for i in range(len(names) + 1) if (n := f"{name}:{i}" if i else name) not in given)
        given.append(next(free))
    return tuple(given)


def prepared(x: Tensors, declared: Declared) -> Tensors:
    """Give inputs the types that the network declares; double floats become single where it declares none."""
    if isinstance(x, Mapping):
        missing = [n for n in declared if n not in x]
        if missing:
            raise InputError(f"the network takes inputs {list(declared)}; {missing[0]!r} is missing")
        return {n: _typed(a, declared.get(n)) for n, a in x.items()}
    return _typed(x, next(iter(declared.values())) if len(declared) == 1 else None)


def _typed(a: Any, known: tuple[Any, str] | None) -> Any:
    a = a if isinstance(a, MaskedRows) else np.asarray(a)
    if known is None or not known[1]:
        return a.astype(np.float32) if a.dtype == np.float64 else a
    kind = tf.as_dtype(known[1])
    numbers = (kind.is_floating or kind.is_integer) and a.dtype.kind in "fiub"
    return a.astype(kind.as_numpy_dtype, copy=False) if numbers else a


def as_columns(tensor: Any, count: int | None, name: str) -> Any:
    """Give one output as float32 (sample, ...); a vector (sample,) becomes a column."""
    tensor = tf.cast(tensor, tf.float32)
    if tensor.shape.rank == 1:
        tensor = tensor[:, None]
    if tensor.shape.rank == 0 or tensor.shape[0] not in (None, count):
        raise ModelError(f"{name} gave an output of shape {tuple(tensor.shape)} for {count} samples")
    return tensor


def single(tensor: Any) -> Any:
    """Give a value as float32 if it is a floating one."""
    return tf.cast(tensor, tf.float32) if tensor.dtype.is_floating else tensor
