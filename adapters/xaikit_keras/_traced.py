"""Traced passes: which are worth tracing, and the ones that are kept."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from xaikit.arrays import Array, Tensors, each, leaves, rows
from xaikit.masked import MaskedRows
from xaikit_keras._masked import to_tensor
from xaikit_keras._passes import Task
from xaikit_keras._private import as_graph, flatly_called

EAGER_ROWS = 8
"""A pass is traced once more rows than this ask for it: tracing costs about as much as ten eager passes of one row."""
KEPT = 24
"""How many traced passes one wrapped network keeps."""

Shapes = tuple[tuple[str, tuple[int, ...], str], ...]


@dataclass(frozen=True)
class Key:
    """What a traced pass was made for; `rows` is None when it takes any number of them."""

    task: Task
    shapes: Shapes
    rows: int | None


def shapes_of(x: Tensors) -> Shapes:
    """Give name, shape without the sample axis and type of every input."""
    return tuple((n, a.shape[1:], a.dtype.str) for n, a in leaves(x))


def made_rows(a: Tensors, count: int) -> Tensors:
    """Repeat the last row, or the only one, until there are `count`."""

    def own(part: Array) -> Array:
        if len(part) == count:
            return part
        if len(part) == 1:
            return np.broadcast_to(part, (count, *part.shape[1:]))
        return np.concatenate([part, np.repeat(part[-1:], count - len(part), axis=0)])

    return each(own, a)


def one_row(a: Tensors) -> Tensors | None:
    """Give the first row where several rows are all equal; None where they differ or there is but one."""
    several = any(len(part) > 1 for _, part in leaves(a))
    return rows(a, slice(1)) if several and all((part == part[:1]).all() for _, part in leaves(a)) else None


def power_above(count: int) -> int:
    """Give the next power of two, so that few sizes are ever traced."""
    return 1 << (count - 1).bit_length()


def as_arrays(value: Any, count: int) -> Any:
    """Turn the first `count` rows of a tensor, or of a mapping or list of tensors, into arrays."""
    if value is None:
        return None
    if isinstance(value, tf.Tensor):  # first: to ask for a mapping takes as long
        return rows(value.numpy(), slice(count))
    if isinstance(value, Mapping):
        return {n: as_arrays(v, count) for n, v in value.items()}
    return [as_arrays(v, count) for v in value]


def as_tensors(value: Any) -> Any:
    """Turn an array, or a mapping or list of arrays, into tensors; a function stays what it is."""
    if isinstance(value, Mapping):
        return {n: as_tensors(v) for n, v in value.items()}
    if isinstance(value, list | tuple):
        return [as_tensors(v) for v in value]
    return to_tensor(value) if isinstance(value, np.ndarray | MaskedRows) else value


@dataclass(frozen=True)
class Graph:
    """A traced function of tensors in the structure that it was made for, and the same of arrays without names."""

    traced: Callable[..., Any]
    flatly: Callable[[Sequence[Any]], Any]


class Traced:
    """The traced passes of one network, least recently used first; `made` counts all that were ever traced."""

    def __init__(self) -> None:
        self.made = 0
        self._functions: OrderedDict[Key, Graph] = OrderedDict()
        self._eager: Counter[Key] = Counter()

    def __contains__(self, key: Key) -> bool:
        return key in self._functions

    def worth(self, key: Key, count: int, ahead: int) -> bool:
        """Say whether to trace; otherwise note that `count` rows of the `ahead` ones ran eagerly."""
        if key in self or self._eager[key] + ahead > EAGER_ROWS:
            return True
        self._eager[key] += count
        return False

    def __call__(self, key: Key, function: Callable[..., Any], *arguments: Any) -> Any:
        """Compute `function(*arguments)` on arrays in a graph, traced on the first call for `key`."""
        found = self._functions.get(key) or self.trace(key, function, *arguments)
        self._functions.move_to_end(key)
        if any(isinstance(a, Mapping) for a in arguments):
            return found.traced(*as_tensors(arguments))
        return found.flatly(arguments)

    def trace(self, key: Key, function: Callable[..., Any], *arguments: Any) -> "Graph":
        """Trace a function of arrays, mappings and lists of arrays, and None."""
        specs = [_specs(a, key.rows) for a in arguments]
        traced = as_graph(function, *specs)
        self.made += 1
        found = self._functions[key] = Graph(traced, flatly_called(traced))
        while len(self._functions) > KEPT:
            self._functions.popitem(last=False)
        return found


def _specs(value: Any, rows: int | None) -> Any:
    if isinstance(value, Mapping):
        return {n: _specs(v, rows) for n, v in value.items()}
    if isinstance(value, list | tuple):
        return [_specs(v, rows) for v in value]
    return None if value is None else tf.TensorSpec((rows, *value.shape[1:]), value.dtype)
