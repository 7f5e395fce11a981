"""What the units of a layer see of the inputs: exact boxes, and windows of one size around them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xaikit.arrays import SPACE, Array, Tensors, leaves
from xaikit.graph import Node, fields
from xaikit.insight._field_inputs import input_lengths
from xaikit.model import Model

WITH_PLACES = (*SPACE, "token")


class Sight:
    """The fields of one layer's units, for inputs of one size.

    `axes` names, for each input whose places a unit sees a part of, the axes of those places. An input is not in it
    where a unit sees all of it, or what it sees is not known. Gates are left out: they scale what the others see.
    """

    def __init__(self, model: Model, layer: str, x: Tensors) -> None:
        layers = model.layers
        given = input_lengths(model, layers)
        self.sizes = {name: _sizes(_spec(model, name), a) for name, a in leaves(x)}
        self._named = {name: name or next(iter(given)) for name in self.sizes}
        lengths = {self._named[n]: {**given[self._named[n]], **sizes} for n, sizes in self.sizes.items()}
        self.node: Node | None = fields(layers, lengths, local=True).get(layer)
        self.axes = {n: tuple(sizes) for n, sizes in self.sizes.items() if sizes and self._is_part(n)}

    def _is_part(self, name: str) -> bool:
        node, given = self.node, self._named[name]
        if node is None or not node.known or not node.lengths:
            return False
        keys = {(given, axis) for axis in self.sizes[name]}
        return keys <= set(node.edges) and not keys & node.mixed

    def units(self, places: Array, channels: Array) -> Array | None:
        """Give units at places (unit, axis) of channels (unit,) as the field counts them; None where it does not.

        Of a layer without channels, as behind a flattening, the last of its places is what is taken for the channel.
        """
        rank = 0 if self.node is None else len(self.node.lengths)
        if rank == places.shape[1] + 1:
            return np.concatenate([places, channels[:, None]], axis=1)
        return places if rank == places.shape[1] else None

    def boxes(self, name: str, places: Array) -> tuple[Array, Array]:
        """Give boxes and windows of units at places (unit, axis): (unit, axis of the input, 2), first and last place.

        A box is what the unit sees, inside the input; one that sees nothing has its last place before its first. All
        windows have one size: they are the boxes as if the input had no border, or at least hold them.
        """
        assert self.node is not None
        given, sizes = self._named[name], np.array(list(self.sizes[name].values()))
        seen = [self.node.box(given, p) for p in places.tolist()]
        reach = [self.node.reach(given, p) for p in places.tolist()]
        empty = tuple((0, -1) for _ in sizes)
        boxes = np.array([empty if b is None else b for b in seen]).reshape(len(places), len(sizes), 2)
        windows = np.array([b if r is None else r for b, r in zip(boxes.tolist(), reach, strict=True)])
        windows = windows.reshape(boxes.shape)
        there = boxes[..., 1] >= boxes[..., 0]
        low = np.where(there, np.minimum(windows[..., 0], boxes[..., 0]), windows[..., 0])
        high = np.where(there, np.maximum(windows[..., 1], boxes[..., 1]), windows[..., 1])
        return boxes, _of_one_size(low, high, sizes)


def _of_one_size(low: Array, high: Array, sizes: Array) -> Array:
    """Widen windows to the largest; where that is no smaller than the input, they are the input."""
    longest = np.max(high - low + 1, axis=0, initial=1)
    whole = longest >= sizes
    low = np.where(whole, 0, low - (longest - (high - low + 1)) // 2)
    return np.stack([low, low + np.where(whole, sizes, longest) - 1], axis=-1)


def cut(values: Array, box: Sequence[Sequence[int]], fill: Any = 0) -> Array:
    """Cut a box (first, last place) out of an array along its first axes; what lies beyond its border is `fill`."""
    shape, inside, target = list(values.shape), [slice(None)] * values.ndim, [slice(None)] * values.ndim
    for axis, (lo, hi) in enumerate(box):
        n = values.shape[axis]
        shape[axis] = max(hi - lo + 1, 0)
        start, stop = min(max(lo, 0), n), max(min(hi + 1, n), 0)
        inside[axis] = slice(start, max(stop, start))
        target[axis] = slice(start - lo, start - lo + max(stop - start, 0))
    found = np.full(shape, fill, values.dtype)
    found[tuple(target)] = values[tuple(inside)]
    return found


def placed_axes(spec: Any) -> tuple[str, ...]:
    """Name the axes of an input's places, which come first in a sample; () where they do not."""
    axes = tuple(getattr(spec, "axes", None) or ())
    placed = tuple(a for a in axes if a in WITH_PLACES)
    return placed if axes[: len(placed)] == placed else ()


def _spec(model: Model, name: str) -> Any:
    return model.inputs[name] if isinstance(model.inputs, Mapping) else model.inputs


def _sizes(spec: Any, x: Array) -> dict[str, int]:
    return dict(zip(placed_axes(spec), map(int, x.shape[1:]), strict=False))


def only_input(model: Model) -> str:
    """Name the only input as the layers name it."""
    return next(iter(input_lengths(model, model.layers)))
