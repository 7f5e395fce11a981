"""What the units of a network really see, measured: the reference for the fields that are calculated."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xaikit.graph import Layer, Node, fields
from xaikit.graph._fields import NOTHING

Hull = tuple[Any, Any]
"""First and last place that each unit sees along one axis; NOTHING and -NOTHING where it sees nothing."""


def measured(
    model: Any, layers: Sequence[str], shape: Sequence[int], places: Sequence[int], base: Any = None
) -> dict[str, Any]:
    """Give, for each layer, what moves when one place of the input does: (input place, *places of the layer), bool.

    `shape` is that of a sample, `places` the positions among its axes of those of places. `base` is the sample that is
    moved: None = zeros, for a linear network without biases, whose answer to a one is its exact derivative in float64.
    """
    lengths = [shape[i] for i in places]
    count = int(np.prod(lengths))
    start = np.zeros(shape) if base is None else base
    ask = np.random.default_rng(7).normal(size=shape)  # a norm over channels does not see all of them move alike
    moved = np.repeat(start[None], count, 0)
    for row, place in enumerate(np.ndindex(*lengths)):
        index: list[Any] = [slice(None)] * len(shape)
        for i, p in zip(places, place, strict=True):
            index[i] = p
        moved[(row, *index)] += 1 if base is None else ask[tuple(index)]
    names = list(layers)
    rest = model.run(np.stack([start] * 2), at=names).activations
    after = model.run(moved, at=names).activations
    return {name: _support(model.layers[name], rest[name], after[name], count) for name in names}


def _support(layer: Layer, rest: Any, after: Any, count: int) -> Any:
    fold = layer.geometry.folded if layer.geometry is not None else 1
    changed = np.abs(after.reshape(count, fold, *after.shape[1:]) - rest.reshape(2, fold, *rest.shape[1:])[:1])
    # interpolation leaves weights of the size of rounding where a place falls on another
    changed = changed > 1e-11 * max(changed.max(initial=0), 1e-300)
    axes = [a for a in layer.axes if a != "sample"]
    for i in [i for i, a in enumerate(axes) if a == "channel"]:
        changed = changed.any(2 + i)
    return changed if fold > 1 else changed[:, 0]


def hulls(support: Any, lengths: Sequence[int]) -> list[Hull]:
    """Give the hull of what each unit sees along each axis of the input."""
    found = []
    cells = support.reshape(*lengths, *support.shape[1:])
    for axis, n in enumerate(lengths):
        others = tuple(i for i in range(len(lengths)) if i != axis)
        along = cells.any(others)
        at = np.arange(n).reshape(-1, *[1] * (along.ndim - 1))
        found.append((np.where(along, at, NOTHING).min(0), np.where(along, at, -NOTHING).max(0)))
    return found


def mismatches(
    model: Any, axes: Mapping[str, int], supports: Mapping[str, Any], *, exact: bool = True, name: str = "input"
) -> list[str]:
    """List the layers, axes and units whose field is not what was measured (or does not hold it, if not `exact`)."""
    nodes = fields(model.layers, {name: axes})
    found = []
    for layer, support in supports.items():
        node = nodes[layer]
        for axis, (low, high) in zip(axes, hulls(support, list(axes.values())), strict=True):
            lo, hi = edges(node, (name, axis))
            seen = high >= low
            wrong = (lo != low) | (hi != high) if exact else seen & ((lo > low) | (hi < high))
            wrong = np.broadcast_to(wrong, low.shape)
            for unit in np.argwhere(wrong)[:2]:
                u = tuple(unit)
                lo_u, hi_u = (int(np.broadcast_to(e, low.shape)[u]) for e in (lo, hi))
                kind = model.layers[layer].geometry
                found.append(f"{layer} {axis} {u}: said {lo_u, hi_u}, is {int(low[u]), int(high[u])}: {kind}")
    return found


def edges(node: Node, key: tuple[str, str]) -> Hull:
    """Give the first and last place that each unit of a node sees."""
    found = node.edges.get(key)
    if found is None:
        return np.array(NOTHING), np.array(-NOTHING)
    return found[0], -found[1]
