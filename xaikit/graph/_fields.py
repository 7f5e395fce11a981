"""Receptive fields of every layer: one walk forward through the graph, exact interval by interval.

Two descriptions go side by side. The exact one holds, for every place of a layer and every axis of every input, the
first and the last input place that it sees; it needs the lengths of the axes, and no special case for asymmetric
padding, hanging windows, phases of transposed convolutions, crops, or branches out of line. The affine one (stride,
start, size) is what tables print, and needs no lengths. Source: Araujo, Norris and Sim, "Computing Receptive Fields of
Convolutional Neural Networks" (2019); the union of intervals at merges as in MatConvNet's notes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor

import numpy as np

from xaikit.arrays import SPACE, Array
from xaikit.graph._geometry import FOLDED, MISSING, Geometry
from xaikit.graph._layers import Layer, places

Axis = tuple[str, str]
"""An input, and the name of one of its axes."""
NOTHING = 2**40
"""The edge of an empty interval: larger than any place, so that a minimum leaves it out."""
MOST = 2**22
"""Places of a layer beyond which moved ones are not followed one by one: their field is bounded instead."""
POINTWISE = Geometry("pointwise")
UNKNOWN = Geometry("unknown")
ALONG_FEATURES = Geometry("global", axes=("feature",))


@dataclass(frozen=True)
class Affine:
    """The field of place y along one axis: `size` input places from stride·y + start on; `start` None = not known.

    `along` names the layer's axis that y counts.
    """

    along: str
    stride: Fraction
    start: Fraction | None
    size: Fraction

    @property
    def middle(self) -> Fraction | None:
        """Twice the centre of the field of place 0, less a constant: equal for branches that lie in line."""
        return None if self.start is None else 2 * self.start + self.size


@dataclass(frozen=True)
class Misaligned:
    """A merge whose branches do not lie in line: `layer` joins `parents`, whose centres along `axis` differ.

    `offset` is by how many input places, at most; None where the strides differ and the offset with every place.
    """

    layer: str
    parents: tuple[str, ...]
    input: str
    axis: str
    offset: Fraction | None
    strides: tuple[Fraction, ...]


@dataclass(frozen=True)
class Node:
    """What the places of one layer see of the inputs.

    `axes` and `lengths` (None = not known) are those of its places: without sample and channel. `edges` (2, *places)
    holds, for each input axis, the first place and minus the last one, an axis of one place standing for all where
    they are equal; an empty field has NOTHING in both. `affine` is None for an axis that has no such description,
    `mixed` names the input axes that a layer before mixes whole, `bounds` the layers that are not known and so taken
    to mix all.
    """

    axes: tuple[str, ...]
    lengths: tuple[int | None, ...]
    edges: Mapping[Axis, Array]
    affine: Mapping[Axis, Affine | None]
    mixed: frozenset[Axis] = frozenset()
    bounds: tuple[str, ...] = ()
    misaligned: tuple[Misaligned, ...] = ()

    @property
    def known(self) -> bool:
        """Whether all lengths are known, and with them the exact field."""
        return None not in self.lengths

    def box(self, name: str, place: Sequence[int]) -> tuple[tuple[int, int], ...] | None:
        """Give the first and last place of the input `name` that a unit sees, along each axis; None: it sees nothing.

        Exact, and inside the input. ValueError where a length is not known, IndexError for a place that is not there.
        """
        if not self.known:
            raise ValueError(f"lengths {self.lengths} are not all known")
        if len(place) != len(self.lengths) or not all(
            0 <= p < (n or 0) for p, n in zip(place, self.lengths, strict=True)
        ):
            raise IndexError(f"there is no place {tuple(place)} among {self.lengths}")
        box = []
        for (given, _), e in self.edges.items():
            if given == name:
                at = tuple(p if n > 1 else 0 for p, n in zip(place, e.shape[1:], strict=True))
                lo, minus_hi = e[(0, *at)], e[(1, *at)]
                if lo == NOTHING:
                    return None
                box.append((int(lo), -int(minus_hi)))
        return tuple(box)

    def reach(self, name: str, place: Sequence[int]) -> tuple[tuple[int, int], ...] | None:
        """Give the same with places outside of the input, in its padding; None where an axis has no affine field."""
        box = []
        for (given, _), a in self.affine.items():
            if given == name:
                if a is None or a.start is None:
                    return None
                lo = a.stride * place[self.axes.index(a.along)] + a.start
                box.append((floor(lo), ceil(lo + a.size) - 1))
        return tuple(box)


def fields(
    layers: Mapping[str, Layer],
    inputs: Mapping[str, Mapping[str, int | None]],
    *,
    local: bool = False,
) -> dict[str, Node]:
    """Walk through a graph and give what each layer sees, layers and inputs by name.

    `inputs` gives, for each input, the length of every axis of places (None = not known). `local` leaves out gates: a
    norm over places, and at a merge the branches that mix all places where another does not (squeeze-and-excitation,
    attention beside a residual path).
    """
    found = {name: _source(name, axes) for name, axes in inputs.items()}
    for name, layer in layers.items():
        parents = [found[p] for p in layer.parents if p in found]
        found[name] = _node(layer, parents, local) if parents else _constant(layer)
    return found


def _source(name: str, lengths: Mapping[str, int | None]) -> Node:
    axes = tuple(lengths)
    edges = {
        (name, a): _along(np.stack([np.arange(n), -np.arange(n)]), i, len(axes))
        for i, (a, n) in enumerate(lengths.items())
        if n is not None
    }
    affine = {(name, a): Affine(a, Fraction(1), Fraction(0), Fraction(1)) for a in axes}
    return Node(axes, tuple(lengths.values()), edges, affine)


def _along(edges: Array, axis: int, count: int) -> Array:
    """Lay out edges (2, n) along one of `count` axes."""
    shape = [2] + [1] * count
    shape[1 + axis] = edges.shape[1]
    return edges.astype(np.int64).reshape(shape)


def _constant(layer: Layer) -> Node:
    """A layer that reads no input (a learnt position, say) sees nothing."""
    axes = _places(layer)
    return Node(axes, _own_lengths(layer), {}, {})


def _places(layer: Layer) -> tuple[str, ...]:
    """List the axes of a layer's places, with those that it has put into its sample axis."""
    return (*[FOLDED] * (_folded(layer) > 1), *places(layer.axes))


def _folded(layer: Layer) -> int:
    return layer.geometry.folded if layer.geometry is not None else 1


def _own_lengths(layer: Layer) -> tuple[int | None, ...]:
    if len(layer.axes) != len(layer.shape) + 1:
        return ()
    own = tuple(n for a, n in zip(layer.axes[1:], layer.shape, strict=True) if a != "channel")
    return (_folded(layer), *own) if _folded(layer) > 1 else own


def _node(layer: Layer, parents: Sequence[Node], local: bool) -> Node:
    geometry = layer.geometry or Geometry("global")
    if local and geometry.gate:
        geometry = POINTWISE
    if geometry.kind in _OF_SEVERAL:
        return _OF_SEVERAL[geometry.kind](layer, geometry, parents, local)
    joined = _merged(layer, parents, local) if len(parents) > 1 or geometry.kind == "pointwise" else parents[0]
    if geometry.kind == "pointwise":
        return joined
    return _applied(layer, geometry, joined)


def _steps(layer: Layer, geometry: Geometry, parents: Sequence[Node], local: bool) -> Node:
    """Apply geometries one after the other; the first may join several parents."""
    first, *rest = geometry.parts
    if first.kind in _OF_SEVERAL:
        node = _OF_SEVERAL[first.kind](replace(layer, axes=(), shape=()), first, parents, local)
    else:
        rest = [first, *rest]
        node = _merged(layer, parents, local) if len(parents) > 1 else parents[0]
    for part in rest:
        node = _one(layer, part, node, local)
    return _finished(layer, node)


def _each(layer: Layer, geometry: Geometry, parents: Sequence[Node], local: bool) -> Node:
    """Join what a layer sees of its parents through a geometry for each."""
    reads = geometry.reads or tuple(range(len(geometry.parts)))
    if any(i >= len(parents) for i in reads):
        return _bounded(layer, parents)
    if local and any(not parents[i].mixed for i in reads):
        kept = [k for k, i in enumerate(reads) if not parents[i].mixed]
    else:
        kept = list(range(len(reads)))
    nodes = [_one(layer, geometry.parts[k], parents[reads[k]], local, last=bool(layer.axes)) for k in kept]
    names = tuple(layer.parents[reads[k]] for k in kept)
    joint = layer if layer.axes else replace(_called_like(layer, nodes[0]), shape=_spread([n.lengths for n in nodes]))
    found = _merged(replace(joint, parents=names), nodes, False)
    return found if len(set(names)) > 1 else replace(found, misaligned=_notes(nodes)[2])


def _spread(lengths: Sequence[tuple[int | None, ...]]) -> tuple[int | None, ...]:
    """Give the lengths that arrays of these broadcast to; those of the first where their numbers differ."""
    read = [each for each in lengths if len(each) == len(lengths[0])]
    columns = zip(*read, strict=True)
    return tuple(None if None in column else max(n or 0 for n in column) for column in columns)


def _one(layer: Layer, geometry: Geometry, node: Node, local: bool, last: bool = False) -> Node:
    """Give what is seen of one node through a geometry; unless it is the `last`, before it gets a layer's names."""
    if geometry.kind == "pointwise" or (local and geometry.gate):
        return node
    between = _called_like(layer, node)
    if geometry.kind in _OF_SEVERAL:
        return _OF_SEVERAL[geometry.kind](replace(between, axes=(), shape=()), geometry, [node], local)
    return _applied(layer if last else between, geometry, node)


def _called_like(layer: Layer, node: Node) -> Layer:
    """Give a layer between the steps of another, with the places of a node."""
    return replace(layer, geometry=None, axes=("sample", *node.axes), shape=(None,) * len(node.axes))


def _finished(layer: Layer, node: Node) -> Node:
    """Give a node the names and lengths of its layer; bound it where they do not fit."""
    if not layer.axes:
        return node
    axes, own = _places(layer), _own_lengths(layer)
    if len(axes) != len(node.axes):
        return _bounded(layer, [node])
    called = _called(node, axes)
    lengths = tuple(n if n is not None else m for n, m in zip(own or node.lengths, called.lengths, strict=True))
    fits = all(None in (n, m) or n == m for n, m in zip(lengths, called.lengths, strict=True))
    return replace(called, lengths=lengths) if fits else _bounded(layer, [node])


# --- merges ----------------------------------------------------------------------------------------------------------


def _merged(layer: Layer, parents: Sequence[Node], local: bool) -> Node:
    """Join what the parents see at the same place: the union of intervals, and a note where they are out of line."""
    axes, lengths = _places(layer), _lengths(layer, parents)
    read = list(zip(layer.parents, parents, strict=False))
    if local:
        read = [(n, p) for n, p in read if not p.mixed] or read
    most = max(len(p.axes) for p in parents)
    placed = [(n, _placed(_as_channel(p, layer) if len(p.axes) < most else p, axes, lengths)) for n, p in read]
    if any(p is None for _, p in placed):
        return _bounded(layer, parents)
    nodes = [p for _, p in placed if p is not None]
    edges: dict[Axis, Array] = {}
    for key in dict.fromkeys(k for p in nodes for k in p.edges):
        edges[key] = _least([p.edges[key] for p in nodes if key in p.edges])
    affine, out = _joined_affine(layer.name, [n for n, _ in placed], nodes, lengths)
    return Node(axes, lengths, edges, affine, *_notes(nodes, out))


def _as_channel(node: Node, layer: Layer) -> Node:
    """Take the features of a vector that is spread over places for their channels."""
    if layer.axes[-1] != "channel" or node.axes[-1:] != ("feature",) or "feature" in layer.axes:
        return node
    return _mixed(replace(layer, axes=("sample", *node.axes[:-1]), shape=node.lengths[:-1]), ALONG_FEATURES, node)


def _least(each: Sequence[Array]) -> Array:
    found = each[0]
    for other in each[1:]:
        found = np.minimum(found, other)
    return found


def _notes(
    nodes: Sequence[Node], out: Sequence[Misaligned] = ()
) -> tuple[frozenset[Axis], tuple[str, ...], tuple[Misaligned, ...]]:
    return (
        frozenset().union(*(n.mixed for n in nodes)),
        tuple(dict.fromkeys(b for n in nodes for b in n.bounds)),
        tuple(dict.fromkeys([*(m for n in nodes for m in n.misaligned), *out])),
    )


def _lengths(layer: Layer, parents: Sequence[Node]) -> tuple[int | None, ...]:
    """Give the lengths of a layer's places; where they vary, those of the parents, of which the larger spread."""
    own = _own_lengths(layer)
    axes = _places(layer)
    read = [p for p in parents if len(p.lengths) == len(axes)]
    each = [[p.lengths[i] for p in read] for i in range(len(axes))]
    spread = [None if not n or None in n else max(k for k in n if k is not None) for n in each]
    return tuple(n if n is not None else s for n, s in zip(own or [None] * len(axes), spread, strict=True))


def _placed(node: Node, axes: tuple[str, ...], lengths: tuple[int | None, ...]) -> Node | None:
    """Line up a parent's places with the axes of a layer: by name, else in order, else from the last axis on.

    None where the lengths do not fit.
    """
    if set(node.axes) <= set(axes):
        order = [node.axes.index(a) if a in node.axes else None for a in axes]
    elif len(node.axes) <= len(axes):
        order = [None] * (len(axes) - len(node.axes)) + list(range(len(node.axes)))
    elif all(n == 1 for n in node.lengths[: len(node.axes) - len(axes)]):
        order = list(range(len(node.axes) - len(axes), len(node.axes)))
    else:
        return None
    for i, n in zip(order, lengths, strict=True):
        if i is not None and node.lengths[i] not in (1, n, None) and n is not None:
            return None
    edges = {k: _reordered(e, order) for k, e in node.edges.items()}
    names = {node.axes[i]: a for i, a in zip(order, axes, strict=True) if i is not None}
    spread = {a for i, a, n in zip(order, axes, lengths, strict=True) if i is None or (node.lengths[i] == 1 and n != 1)}
    affine = {k: _renamed(a, names, spread) for k, a in node.affine.items()}
    return Node(axes, lengths, edges, affine, node.mixed, node.bounds, node.misaligned)


def _reordered(edges: Array, order: Sequence[int | None]) -> Array:
    kept = [i for i in order if i is not None]
    left = [i for i in range(edges.ndim - 1) if i not in kept]
    moved = edges.transpose(0, *(1 + i for i in kept), *(1 + i for i in left)).reshape(
        2, *(edges.shape[1 + i] for i in kept)
    )
    for position, i in enumerate(order):
        if i is None:
            moved = np.expand_dims(moved, 1 + position)
    return moved


def _renamed(affine: Affine | None, names: Mapping[str, str], spread: set[str]) -> Affine | None:
    if affine is None or affine.along not in names or names[affine.along] in spread:
        return None
    return replace(affine, along=names[affine.along])


def _joined_affine(
    layer: str, names: Sequence[str], nodes: Sequence[Node], lengths: Sequence[int | None]
) -> tuple[dict[Axis, Affine | None], list[Misaligned]]:
    """Join the affine fields of branches: of equal strides the union; a note where the centres differ."""
    found: dict[Axis, Affine | None] = {}
    out = []
    for key in dict.fromkeys(k for n in nodes for k in n.affine):
        reading = [(name, n.affine[key]) for name, n in zip(names, nodes, strict=True) if key in n.affine]
        each = [a for _, a in reading if a is not None]
        if len(each) < len(reading):
            found[key] = None
            continue
        found[key], offset = _union(each)
        if offset != 0:
            strides = tuple(a.stride for a in each)
            out.append(Misaligned(layer, tuple(n for n, _ in reading), *key, offset, strides))
    return found, out


def _union(each: Sequence[Affine]) -> tuple[Affine | None, Fraction | None]:
    """Join affine fields, and say by how many input places their centres differ; None = more with every place."""
    first = each[0]
    if any(a.stride != first.stride or a.along != first.along for a in each):
        return None, None
    starts = [a.start for a in each if a.start is not None]
    if len(starts) < len(each):
        return replace(first, start=None, size=max(a.size for a in each)), Fraction(0)
    start, end = min(starts), max(s + a.size for s, a in zip(starts, each, strict=True))
    middles = [a.middle for a in each if a.middle is not None]
    return replace(first, start=start, size=end - start), (max(middles) - min(middles)) / 2


def _bounded(layer: Layer, parents: Sequence[Node]) -> Node:
    """Bound the field of a layer whose places cannot be told: each sees whatever any place of a parent sees."""
    mixed, bounds, misaligned = _notes(parents)
    edges, affine = _all_edges(parents), {k: None for p in parents for k in p.affine}
    return _mixed(layer, UNKNOWN, replace(parents[0], edges=edges, affine=affine, mixed=mixed, bounds=bounds,
                                          misaligned=misaligned))  # fmt: skip


def _all_edges(parents: Sequence[Node]) -> dict[Axis, Array]:
    """Give the hull over all places of several nodes, as edges of no axis."""
    found: dict[Axis, Array] = {}
    for node in parents:
        for key, edges in node.edges.items():
            hull = edges.reshape(2, -1).min(1)
            found[key] = np.minimum(found[key], hull) if key in found else hull
    return found


# --- one parent ------------------------------------------------------------------------------------------------------


def _applied(layer: Layer, geometry: Geometry, node: Node) -> Node:
    """Give what a layer sees through a node, along the axes that the geometry is about."""
    if geometry.kind in ("global", "unknown"):
        return _mixed(layer, geometry, node)
    if geometry.kind == "recurrent_window":
        return _recurrent_window(layer, geometry, node)
    if geometry.kind in ("prefix", "suffix"):
        return _from_one_end(layer, geometry, node)
    axes = _named(geometry, node)
    if any(a not in node.axes for a in axes):
        return _mixed(layer, UNKNOWN, node)
    lengths = _after(layer, geometry, axes, node)
    edges = dict(node.edges)
    for i, axis in enumerate(axes):
        at = node.axes.index(axis)
        n, m = node.lengths[at], lengths[at]
        if n is None or m is None:
            edges = {}
            break
        taps = geometry.taps(i, n, m)
        edges = {k: _gathered(e, taps, 1 + at) for k, e in edges.items()}
    affine = {k: _composed(a, geometry, axes, node) for k, a in node.affine.items()}
    seen = replace(node, lengths=tuple(lengths), edges=edges, affine=affine)
    return _called(seen, _places(layer))


def _called(node: Node, after: tuple[str, ...]) -> Node:
    """Give a node the names of a layer's axes, in whose order they come."""
    if len(node.axes) == len(after) and set(node.axes) == set(after) and node.axes != after:
        order = [node.axes.index(a) for a in after]
        return replace(
            node,
            axes=after,
            lengths=tuple(node.lengths[i] for i in order),
            edges={k: _reordered(e, list(order)) for k, e in node.edges.items()},
        )
    names = dict(zip(node.axes, _renaming(node.axes, after), strict=True))
    affine = {k: a and replace(a, along=names[a.along]) for k, a in node.affine.items()}
    return replace(node, axes=tuple(names.values()), affine=affine)


def _named(geometry: Geometry, node: Node) -> tuple[str, ...]:
    """Name the axes of the node that a geometry speaks of; by default the spatial ones, else the last ones."""
    count = len(geometry.size)
    if geometry.axes:
        return geometry.axes
    spatial = tuple(a for a in node.axes if a in SPACE)
    return spatial if len(spatial) == count or not count else node.axes[len(node.axes) - count :]


def _renaming(before: tuple[str, ...], after: tuple[str, ...]) -> tuple[str, ...]:
    return after if len(before) == len(after) and set(before) != set(after) else before


def _after(layer: Layer, geometry: Geometry, axes: Sequence[str], node: Node) -> list[int | None]:
    """Give the lengths of a layer's places in the order of the node's axes."""
    own = dict(zip(_places(layer), _own_lengths(layer), strict=False))
    renamed = dict(zip(node.axes, _renaming(node.axes, tuple(own)), strict=True))
    lengths: list[int | None] = []
    for a, n in zip(node.axes, node.lengths, strict=True):
        said = own.get(renamed[a])
        counted = geometry.count(axes.index(a), n) if a in axes and n is not None else n
        lengths.append(said if said is not None else counted)
    return lengths


def _gathered(edges: Array, taps: Array, axis: int) -> Array:
    """Take the hull of what each output place reads along one axis; nothing where it reads nothing."""
    if edges.shape[axis] == 1:
        empty = (taps == MISSING).all(1)
        if not empty.any():
            return edges
        shape = [1] * edges.ndim
        shape[axis] = len(taps)
        return np.where(empty.reshape(shape), NOTHING, edges)
    first = np.moveaxis(edges, axis, 0)
    read = first[taps.clip(0)]
    missing = (taps == MISSING).reshape(*taps.shape, *(1,) * (read.ndim - 2))
    return np.moveaxis(np.where(missing, NOTHING, read).min(1), 0, axis)


def _composed(affine: Affine | None, geometry: Geometry, axes: Sequence[str], node: Node) -> Affine | None:
    """Compose an affine field with that of a layer."""
    if affine is None or affine.along not in axes:
        return affine
    step = geometry.affine(axes.index(affine.along), node.lengths[node.axes.index(affine.along)])
    if step is None:
        return None
    s, a, r = step
    start = None if a is None or affine.start is None else affine.start + affine.stride * a
    return replace(affine, stride=affine.stride * s, start=start, size=affine.size + affine.stride * (r - 1))


def _mixed(layer: Layer, geometry: Geometry, node: Node) -> Node:
    """Every place sees all along the axes concerned, or along all; axes that the layer has not are given up."""
    after = _places(layer)
    concerned = geometry.axes or node.axes
    gone = [a for a in node.axes if a not in after]
    chosen = [i for i, a in enumerate(node.axes) if a in concerned or a in gone]
    mixed = {
        k
        for k, e in node.edges.items()
        if any(1 + i < e.ndim and e.shape[1 + i] > 1 for i in chosen) or e.ndim == 1 or not geometry.axes
    } | {k for k, a in node.affine.items() if a is None or a.along in concerned or a.along in gone}
    edges = {}
    for k, e in node.edges.items():
        hull = e.min(tuple(1 + i for i in chosen if 1 + i < e.ndim), keepdims=True) if e.ndim > 1 else e
        hull = _reordered(hull, [node.axes.index(a) if a in node.axes else None for a in after]) if e.ndim > 1 else hull
        edges[k] = hull.reshape(2, *([1] * len(after))) if hull.ndim - 1 != len(after) else hull
    affine = {k: None if k in mixed else a for k, a in node.affine.items()}
    bounds = (layer.name,) if geometry.kind == "unknown" else ()
    lengths = [
        said if said is not None else (1 if a in gone else node.lengths[node.axes.index(a)] if a in node.axes else None)
        for a, said in zip(after, _own_lengths(layer) or [None] * len(after), strict=True)
    ]
    return Node(
        after, tuple(lengths), edges, affine, node.mixed | mixed,
        tuple(dict.fromkeys([*node.bounds, *bounds])), node.misaligned,
    )  # fmt: skip


def _from_one_end(layer: Layer, geometry: Geometry, node: Node) -> Node:
    """Each place sees itself and all places before it, or after it."""
    axis = geometry.axes[0] if geometry.axes else node.axes[0]
    if axis not in node.axes:
        return _mixed(layer, Geometry("global"), node)
    at = 1 + node.axes.index(axis)
    edges = {k: _accumulated(e, at, geometry.kind == "suffix") for k, e in node.edges.items()}
    if geometry.mode == "reversed":
        edges = {k: np.flip(e, at) for k, e in edges.items()}
    affine = {k: None if a is not None and a.along == axis else a for k, a in node.affine.items()}
    return _called(replace(node, edges=edges, affine=affine), _places(layer))


def _accumulated(edges: Array, axis: int, backwards: bool) -> Array:
    order = slice(None, None, -1) if backwards else slice(None)
    turned = np.moveaxis(edges, axis, 0)[order]
    return np.moveaxis(np.minimum.accumulate(turned, axis=0)[order], 0, axis)


def _recurrent_window(layer: Layer, geometry: Geometry, node: Node) -> Node:
    """Walk a convolutional recurrent cell through time: a step sees its own window and that of the state before."""
    order, inner, state = geometry.parts
    read = _applied(replace(layer, axes=("sample", *node.axes), shape=(None,) * len(node.axes)), inner, node)
    time = node.axes.index(order.axes[0] if order.axes else "time")
    count = node.lengths[time]
    if count is None or not read.known:
        return _mixed(layer, Geometry("global"), node)
    steps = range(count)[::-1] if order.kind == "suffix" else range(count)
    edges = {k: _through_time(e, read, state, 1 + time, count, steps) for k, e in read.edges.items()}
    moving = {read.axes[time], *(state.axes or ())} if any(k > 1 for k in state.size) else {read.axes[time]}
    affine = {k: None if a is not None and a.along in moving else a for k, a in read.affine.items()}
    if order.mode == "reversed":
        edges = {k: np.flip(e, 1 + time) for k, e in edges.items()}
        steps = range(count)
    whole = replace(read, edges=edges, affine=affine)
    if len(read.axes) == len(_places(layer)):
        return _called(whole, _places(layer))
    last = steps[-1]
    kept = {k: e.take([last], 1 + time) if e.shape[1 + time] > 1 else e for k, e in edges.items()}
    rest = [i for i in range(len(read.axes)) if i != time]
    last_step = replace(
        whole,
        axes=tuple(read.axes[i] for i in rest),
        lengths=tuple(read.lengths[i] for i in rest),
        edges={k: _reordered(e, rest) for k, e in kept.items()},
    )
    return _called(last_step, _places(layer))


def _through_time(edges: Array, read: Node, state: Geometry, axis: int, count: int, steps: range) -> Array:
    full = np.broadcast_to(edges, [*edges.shape[:axis], count, *edges.shape[axis + 1 :]]).copy()
    before: Array | None = None
    for t in steps:
        now = full.take([t], axis)
        if before is not None:
            for i, name in enumerate(state.axes):
                at = 1 + read.axes.index(name)
                n = read.lengths[at - 1] or 1
                before = _gathered(before, state.taps(i, n, n), at)
            now = np.minimum(now, before)
        before = now
        full[(slice(None),) * axis + (slice(t, t + 1),)] = now
    return full


# --- places that move ------------------------------------------------------------------------------------------------


def _concatenated(layer: Layer, geometry: Geometry, parents: Sequence[Node], local: bool) -> Node:
    """Put the places of the parents one behind the other along one axis."""
    axes, axis = _places(layer), geometry.axes[0]
    placed = [_placed(p, axes, p.lengths) for p in parents]
    nodes = [p for p in placed if p is not None]
    if len(nodes) < len(parents) or axis not in axes:
        return _bounded(layer, parents)
    at = axes.index(axis)
    own = _own_lengths(layer) or (None,) * len(axes)
    along = [p.lengths[at] for p in nodes]
    total = None if None in along else sum(n or 0 for n in along)
    lengths = tuple(n if n is not None else total if i == at else nodes[0].lengths[i] for i, n in enumerate(own))
    edges: dict[Axis, Array] = {}
    if total is not None:
        for key in dict.fromkeys(k for p in nodes for k in p.edges):
            edges[key] = _end_to_end([p.edges.get(key) for p in nodes], [n or 0 for n in along], 1 + at)
    affine: dict[Axis, Affine | None] = {}
    for key in dict.fromkeys(k for p in nodes for k in p.affine):
        each = [p.affine.get(key) for p in nodes]
        same = each[0] is not None and all(a == each[0] for a in each)
        affine[key] = each[0] if same and each[0] is not None and each[0].along != axis else None
    return Node(axes, lengths, edges, affine, *_notes(nodes))


def _end_to_end(each: Sequence[Array | None], lengths: Sequence[int], axis: int) -> Array:
    shapes = [e.shape for e in each if e is not None]
    common = list(np.broadcast_shapes(*([*s[:axis], 1, *s[axis + 1 :]] for s in shapes)))
    parts = []
    for edges, n in zip(each, lengths, strict=True):
        shape = [*common[:axis], n, *common[axis + 1 :]]
        parts.append(np.full(shape, NOTHING) if edges is None else np.broadcast_to(edges, shape))
    return np.concatenate(parts, axis)


def _moved(layer: Layer, geometry: Geometry, parents: Sequence[Node], local: bool) -> Node:
    """Follow places that are moved, cut or repeated, by the table of what each one reads."""
    axes = geometry.names or _places(layer)
    lengths = geometry.sources[0].shape[:-1] if geometry.sources else _lengths(layer, [])
    placed = [_in_order(p, geometry.axes) for p in parents]
    nodes = [p for p in placed if p is not None]
    sizes = [int(np.prod([n or 0 for n in p.lengths])) for p in nodes]
    follows = all(p.known for p in nodes) and max(sizes, default=0) <= MOST and None not in lengths
    fits = len(nodes) == len(parents) == len(geometry.sources) and all(
        t.max(initial=MISSING) < n for t, n in zip(geometry.sources, sizes, strict=True)
    )
    if not fits or not follows:
        return _bounded(layer if layer.axes else replace(layer, axes=("sample", *axes), shape=lengths), parents)
    edges: dict[Axis, Array] = {}
    for node, table in zip(nodes, geometry.sources, strict=True):
        for key, e in node.edges.items():
            flat = np.broadcast_to(e, [2, *(n or 0 for n in node.lengths)]).reshape(2, -1)
            read = np.where(table == MISSING, NOTHING, flat[:, table.clip(0)]).min(-1)
            edges[key] = np.minimum(edges[key], read) if key in edges else read
    found = Node(axes, tuple(lengths), edges, {k: None for p in nodes for k in p.affine}, *_notes(nodes))
    return _finished(layer, found)


def _in_order(node: Node, axes: tuple[str, ...]) -> Node | None:
    """Give a node with its axes in this order, by name, else as they stand; None where their number differs."""
    if axes and len(axes) != len(node.axes):
        return None
    return _called(node, axes) if axes else node


def _with_new_names(layer: Layer, geometry: Geometry, parents: Sequence[Node], local: bool) -> Node:
    """Keep some axes of a node under new names, mix the others whole, and spread over new ones."""
    node, names = parents[0], geometry.names
    if not {a for a in geometry.axes if a} <= set(node.axes):
        lengths = tuple(n or None for n in geometry.size)
        return _bounded(layer if layer.axes else replace(layer, axes=("sample", *names), shape=lengths), parents)
    gone = [i for i, a in enumerate(node.axes) if a not in geometry.axes]
    order = [node.axes.index(a) if a else None for a in geometry.axes]
    full = {k: e if e.ndim > 1 else e.reshape(2, *[1] * len(node.axes)) for k, e in node.edges.items()}
    edges = {k: _reordered(e.min(tuple(1 + i for i in gone), keepdims=True), order) for k, e in full.items()}
    new = {a: n for a, n in zip(geometry.axes, names, strict=True) if a}
    affine = {k: a and (replace(a, along=new[a.along]) if a.along in new else None) for k, a in node.affine.items()}
    whole = {i for i in gone if node.lengths[i] != 1}
    mixed = {k for k, e in full.items() if any(e.shape[1 + i] > 1 for i in whole)}
    mixed |= {k for k, a in node.affine.items() if a is not None and a.along in {node.axes[i] for i in whole}}
    lengths = tuple(
        n or 1 if i is None else node.lengths[i] for i, n in zip(order, geometry.size or (0,) * len(order), strict=True)
    )
    return _finished(layer, Node(names, lengths, edges, affine, node.mixed | mixed, node.bounds, node.misaligned))


_OF_SEVERAL: Mapping[str, Callable[[Layer, Geometry, Sequence[Node], bool], Node]] = {
    "steps": _steps,
    "each": _each,
    "concat": _concatenated,
    "moved": _moved,
    "renamed": _with_new_names,
}
"""Geometries that name the axes themselves, or read several parents."""
