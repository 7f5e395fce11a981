"""Receptive fields of all layers: the walk through the graph, read for people."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor, lcm
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution import origin_of, require_wrapped
from xaikit.errors import NotSupported, ParameterError, UnknownName
from xaikit.graph import Affine, Geometry, Layer, Misaligned, Node, between, fields
from xaikit.graph._fields import NOTHING
from xaikit.insight._field_inputs import Lengths, input_lengths
from xaikit.insight._probe import checked, failures
from xaikit.model import Model, require_layers
from xaikit.progress import Progress
from xaikit.results import Field, Misalignment, ReceptiveFields, Status

Size = Sequence[int | None] | Mapping[str, Sequence[int | None]]
WIDEST = 20_000
"""The longest axis that is walked along to find units free of the borders."""
LONGEST = 64
"""The longest period of input lengths that is tried out for branches to come in line."""


def receptive_field(
    model: Model, *, size: Size | None = None, verify: bool = False, progress: Progress | bool | None = None
) -> ReceptiveFields:
    """Give what the units of every layer see of the input, as ReceptiveFields.

    For every layer and input the size, stride and left padding of the field on each axis (space, time, tokens), and
    the exact first and last pixel that each unit sees, inside the input. Pixels are counted from 0. Branches that are
    merged out of line, layers that make a unit see everything, and operations that are not known (the field is then an
    upper bound) are named. Nothing is run but what reads the layers.

    With `verify` the boxes are compared with what the network reacts to: in each of as many samples as the input has
    rows, columns, steps, one of them is NaN, which reaches every unit that sees it whatever the weights are; where an
    operation swallows NaN, a copy with positive weights is shown one row alone. `checks` then holds the verdict on
    every layer: "equal"; "within" where single units react to less, as each of a flattened layer does; "beyond" where
    they see more than theory has, which is an error.

    `size` are other lengths of the input's axes than those that the model was wrapped for, in a mapping by name where
    there are several inputs; None in it = not known: then there are no boxes of single units. Raises NotSupported for a
    model that shows no layers, and where an operation holds for the size it was traced with alone.
    Source: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks" (2019).
    """
    require_wrapped(model, "receptive_field")
    start = time.perf_counter()
    require_layers(model)
    layers = dict(model.layers)
    inputs = input_lengths(model, layers)
    if size is not None:
        inputs, layers = _resized(model, layers, inputs, size)
    nodes, local = fields(layers, inputs), fields(layers, inputs, local=True)
    wide = _widened(layers, nodes, inputs)
    found = {
        name: {
            i: _field(layers, name, nodes, local, wide, i, tuple(axes))
            for i, axes in inputs.items()
            if _sees(nodes[name], i)
        }
        for name in layers
    }
    misaligned = _misaligned(layers, nodes, inputs)
    if verify and size is not None:
        raise ParameterError("verify runs the network, which takes the size that it was wrapped for: leave size out")
    checks = checked(model, layers, nodes, inputs, progress) if verify else ()
    unknown = tuple(dict.fromkeys(b for n in layers for b in nodes[n].bounds))
    return ReceptiveFields(
        fields=found,
        inputs=inputs,
        misaligned=misaligned,
        unknown=unknown,
        status=_status(layers, misaligned, unknown, failures(checks)),
        origin=origin_of(
            model,
            None,
            "receptive-field",
            parameters={"size": size, "verify": verify},
            seconds=time.perf_counter() - start,
            calls=sum(n or 0 for axes in inputs.values() for n in axes.values()) if verify else 0,
        ),
        checks=checks,
    )


# --- inputs ----------------------------------------------------------------------------------------------------------


def _resized(
    model: Model, layers: Mapping[str, Layer], inputs: Mapping[str, Lengths], size: Size
) -> tuple[dict[str, Lengths], dict[str, Layer]]:
    """Give the inputs other lengths, and take from the layers those of the size they were read with."""
    asked = size if isinstance(size, Mapping) else dict.fromkeys(inputs, size)
    for name in asked:
        if name not in inputs:
            raise UnknownName(f"input of {model.name}", name, inputs)
    resized = {n: _relengthed(n, axes, asked.get(n)) for n, axes in inputs.items()}
    if resized == dict(inputs):
        return resized, dict(layers)
    free = {n: _freed(model, layer) for n, layer in layers.items()}
    return resized, free


def _relengthed(name: str, axes: Lengths, size: Sequence[int | None] | None) -> Lengths:
    if size is None:
        return axes
    given = [size] if isinstance(size, int) else list(size)
    if len(given) != len(axes) or not all(n is None or (isinstance(n, int | np.integer) and n > 0) for n in given):
        raise ParameterError(f"size has one length (or None) for each of {', '.join(axes)} of {name}, not {size!r}")
    return {a: None if n is None else int(n) for a, n in zip(axes, given, strict=True)}


FIXED = ("moved", "adaptive", "unknown")
"""Geometries that hold for the lengths alone that they were read with."""


def _freed(model: Model, layer: Layer) -> Layer:
    """Take the lengths of places from a layer. Raises NotSupported where its geometry is of one size alone."""
    if any(g.kind == "moved" for g in _parts(layer.geometry)) or layer.kind in ("flatten", "reshape"):
        raise NotSupported(
            f"{layer.name!r} ({layer.kind}) of {model.name} holds for the size it was read with alone: wrap the "
            "network for the other size, xk.wrap(net, inputs=...), and leave size out"
        )
    named = dict(zip(layer.axes[1:], layer.shape, strict=False))
    if layer.geometry is not None and layer.geometry.kind == "adaptive":
        return layer
    return replace(layer, shape=tuple(n if a == "channel" or a == "feature" else None for a, n in named.items()))


def _parts(geometry: Geometry | None) -> Iterator[Geometry]:
    """Give a geometry with all those that it is made of."""
    if geometry is not None:
        yield geometry
        for part in geometry.parts:
            yield from _parts(part)


# --- one layer -------------------------------------------------------------------------------------------------------


def _sees(node: Node, name: str) -> bool:
    return any(given == name for given, _ in (*node.affine, *node.edges))


def _widened(
    layers: Mapping[str, Layer], nodes: Mapping[str, Node], inputs: Mapping[str, Lengths]
) -> Mapping[str, Node]:
    """Walk behind a multiple of the input, where upsampling leaves it to single units how much they see.

    The line of a layer bounds what its units see; with a longer input there are units that show it. Nothing where no
    layer upsamples, or a length is not known.
    """
    kinds = {g.kind for layer in layers.values() for g in _parts(layer.geometry)}
    lengths = [n for axes in inputs.values() for n in axes.values()]
    if not kinds & {"transposed", "upsample"} or None in lengths:
        return {}
    largest = max((a.size for node in nodes.values() for a in node.affine.values() if a is not None), default=1)
    times = 2 + int(2 * largest) // max(min(n or 1 for n in lengths), 1)
    if max(n or 1 for n in lengths) * times > WIDEST:
        return {}
    free = {n: _lengthless(layer) for n, layer in layers.items()}
    return fields(free, {i: {a: (n or 1) * times for a, n in axes.items()} for i, axes in inputs.items()})


def _field(
    layers: Mapping[str, Layer],
    name: str,
    nodes: Mapping[str, Node],
    local: Mapping[str, Node],
    wide: Mapping[str, Node],
    given: str,
    axes: tuple[str, ...],
) -> Field:
    strict = _read(layers, name, nodes, wide, given, axes)
    of_features = _read(layers, name, local, {}, given, axes) if _sees(local[name], given) else strict
    same = of_features.global_ == strict.global_ and of_features.size == strict.size
    return strict if same else replace(strict, of_features=of_features)


def _read(
    layers: Mapping[str, Layer],
    name: str,
    nodes: Mapping[str, Node],
    wide: Mapping[str, Node],
    given: str,
    axes: tuple[str, ...],
) -> Field:
    node = nodes[name]
    each = [_Axis(nodes[given], node, given, a) for a in axes]
    for a, e in zip(axes, each, strict=True):
        if name in wide and e.bordered:
            e.taken_from(_Axis(wide[given], wide[name], given, a))
    known = node.known and all(e.lo is not None for e in each)
    return Field(
        layer=name,
        kind=layers[name].kind,
        input=given,
        axes=axes,
        lengths=nodes[given].lengths,
        places=node.axes,
        shape=node.lengths,
        size=tuple(e.size for e in each),
        stride=tuple(e.stride for e in each),
        padding=tuple(e.padding for e in each),
        sizes=tuple(e.sizes for e in each),
        global_=tuple(e.whole for e in each),
        aligned=all(e.regular for e in each) and not any(m.input == given for m in node.misaligned),
        lo=tuple(e.lo for e in each) if known else (),
        hi=tuple(e.hi for e in each) if known else (),
        reach_lo=tuple(e.reach_lo for e in each) if known else (),
        reach_hi=tuple(e.reach_hi for e in each) if known else (),
        mixed_by=_mixing(layers, nodes, name, given),
        bounds=node.bounds,
    )


class _Axis:
    """The field along one axis of an input, in the numbers that are reported."""

    lo: Any = None
    hi: Any = None
    reach_lo: Any = None
    reach_hi: Any = None
    sizes: tuple[int, int] | None = None
    bordered = False
    """Whether no unit is free of the borders, so that the line has to say the size."""

    def __init__(self, source: Node, node: Node, given: str, axis: str) -> None:
        length = source.lengths[source.axes.index(axis)]
        affine = node.affine.get((given, axis))
        self.whole = (given, axis) in node.mixed
        self.size: int | float | None = length if self.whole else None if affine is None else plain(affine.size)
        self.stride = None if affine is None or self.whole else plain(affine.stride)
        self.padding = None if self.stride is None or affine is None or affine.start is None else plain(-affine.start)
        self.regular = self.whole or affine is not None  # until the boxes say more
        edges = node.edges.get((given, axis))
        if edges is None or not node.known or length is None:
            return
        there = edges[0] < NOTHING
        self.lo, self.hi = np.where(there, edges[0], 0), np.where(there, -edges[1], -1)
        self.reach_lo, self.reach_hi = self.lo, self.hi
        if affine is not None and affine.start is not None and not self.whole:
            self.reach_lo, self.reach_hi = _reach(node, affine)
        self._measured(length, affine)

    def _measured(self, length: int, affine: Affine | None) -> None:
        """Take the sizes from the units away from the borders, where there are any."""
        sizes = self.hi - self.lo + 1
        if affine is not None and not self.whole:
            free = (self.reach_lo >= 0) & (self.reach_hi < length)
            free, sizes = np.broadcast_arrays(free, sizes)
            counted = sizes[free & (sizes > 0)]
            if not len(counted):
                self.size = ceil(self.size or 0)
                self.sizes = (self.size, self.size)
                self.bordered = True
                return
        else:
            free = (self.lo > 0) & (self.hi < length - 1) & (sizes > 0)
            counted = sizes[free] if free.sum() > 1 else sizes[sizes > 0]
        if not len(counted):
            return
        self.sizes = int(counted.min()), int(counted.max())
        self.regular = self.whole or self.sizes[0] == self.sizes[1]
        if affine is not None and not self.whole:
            if self.size != self.sizes[1]:  # the line bounds the phases of what was upsampled; these are the units
                self.padding = plain(max(Fraction(-lo) for lo in self._begun(affine, free)))
                self.reach_lo = np.where(free, self.lo, self.reach_lo)
                self.reach_hi = np.where(free, self.hi, self.reach_hi)
            self.size = self.sizes[1]
        elif self.regular and not self.whole and free.sum() > 1:
            self.size = self.sizes[0]
            self._in_steps(free)

    def taken_from(self, wide: "_Axis") -> None:
        """Take size and padding from the same layer behind a longer input, if it has units free of the borders."""
        if wide.sizes is not None and not wide.bordered and wide.stride == self.stride:
            self.size, self.sizes, self.padding, self.regular = wide.size, wide.sizes, wide.padding, wide.regular

    def _begun(self, affine: Affine, free: Array) -> list[Fraction]:
        """Give where the fields of units begin, less their stride times their number."""
        at = int(np.argmax(free.shape))
        lo = np.broadcast_to(self.lo, free.shape)
        return [int(lo[tuple(u)]) - affine.stride * int(u[at]) for u in np.argwhere(free)[:512]]

    def _in_steps(self, free: Array) -> None:
        """Give stride and padding where the fields that are free of the borders go on in equal steps."""
        along = [i for i, n in enumerate(free.shape) if n > 1]
        if len(along) != 1:
            return
        starts, where = self.lo.ravel()[free.ravel()], np.flatnonzero(free)
        steps = np.unique(np.diff(starts) / np.diff(where))
        if len(steps) == 1 and steps[0] > 0 and float(steps[0]).is_integer():
            self.stride = int(steps[0])
            self.padding = int(self.stride * where[0] - starts[0])


def _reach(node: Node, affine: Affine) -> tuple[Array, Array]:
    """Give the first and last pixel of the affine field of every place, over the layer's places."""
    at = node.axes.index(affine.along)
    starts = [affine.stride * y + (affine.start or 0) for y in range(node.lengths[at] or 0)]
    shape = [1] * len(node.axes)
    shape[at] = len(starts)
    lo = np.array([floor(s) for s in starts], np.int64)
    hi = np.array([ceil(s + affine.size) - 1 for s in starts], np.int64)
    return lo.reshape(shape), hi.reshape(shape)


def plain(number: Fraction) -> int | float:
    """Give a fraction as a whole number if it is one."""
    return int(number) if number.denominator == 1 else float(number)


def _mixing(layers: Mapping[str, Layer], nodes: Mapping[str, Node], name: str, given: str) -> tuple[str, ...]:
    """Name the layers, at or before one, that made its units see the whole of an axis of an input."""
    found = set()
    for axis in (k for k in nodes[name].mixed if k[0] == given):
        seen, left = {name}, [name]
        while left:
            at = left.pop()
            mixed = [p for p in layers[at].parents if p in layers and axis in nodes[p].mixed]
            if not mixed:
                found.add(at)
            left += [p for p in mixed if p not in seen]
            seen.update(mixed)
    return tuple(n for n in layers if n in found)


# --- branches out of line --------------------------------------------------------------------------------------------


def _misaligned(
    layers: Mapping[str, Layer], nodes: Mapping[str, Node], inputs: Mapping[str, Lengths]
) -> tuple[Misalignment, ...]:
    found = dict.fromkeys(m for n in layers for m in nodes[n].misaligned if m.layer == n)
    return tuple(_described(layers, nodes, inputs, m) for m in found)


def _described(
    layers: Mapping[str, Layer], nodes: Mapping[str, Node], inputs: Mapping[str, Lengths], m: Misaligned
) -> Misalignment:
    fork = _fork(layers, m.parents)
    branches = [nodes[p].affine.get((m.input, m.axis)) for p in m.parents]
    offsets = _offsets(nodes[m.layer], [b for b in branches if b is not None])
    differing = [y for y, off in enumerate(offsets or ()) if off]
    offset = max(offsets) if offsets else m.offset
    return Misalignment(
        layer=m.layer,
        parents=m.parents,
        input=m.input,
        axis=m.axis,
        fork=fork,
        paths=tuple(_path(layers, p, fork) for p in m.parents),
        offset=None if offset is None else float(offset),
        strides=tuple(float(s) for s in m.strides),
        units=(differing[0], differing[-1]) if differing else None,
        lengths=_lengths_in_line(layers, inputs, m),
    )


def _offsets(node: Node, branches: Sequence[Affine]) -> list[Fraction] | None:
    """Give for each place by how many pixels the centres of the branches differ; None where lengths are not known."""
    if not branches or branches[0].along not in node.axes or any(b.middle is None for b in branches):
        return None
    count = node.lengths[node.axes.index(branches[0].along)]
    if count is None:
        return None
    centres = [[b.stride * y + (b.middle or 0) / 2 for y in range(count)] for b in branches]
    return [max(c) - min(c) for c in zip(*centres, strict=True)]


def _before(layers: Mapping[str, Layer], name: str) -> set[str]:
    """Give a layer with all layers and inputs before it."""
    seen, left = {name}, [name]
    while left:
        at = left.pop()
        parents = [p for p in layers[at].parents if p not in seen] if at in layers else []
        seen.update(parents)
        left += parents
    return seen


def _fork(layers: Mapping[str, Layer], parents: Sequence[str]) -> str:
    """Name the last layer or input that is before, or is, every one of some layers."""
    common = set.intersection(*(_before(layers, p) for p in parents))
    last = [n for n in layers if n in common]
    return last[-1] if last else next(iter(common), "")


def _path(layers: Mapping[str, Layer], parent: str, fork: str) -> tuple[str, ...]:
    """List the layers of a branch: on any way from the fork to one of a merge's parents, in call order."""
    on = set(between([parent], [fork], lambda n: layers[n].parents if n in layers else ())) - {fork}
    return tuple(n for n in layers if n in on)


def _lengths_in_line(
    layers: Mapping[str, Layer], inputs: Mapping[str, Lengths], m: Misaligned
) -> tuple[tuple[int, ...], int] | None:
    """Find for which lengths of the axis a merge is in line, where its padding follows them (TensorFlow's "same").

    Paddings repeat with the product of the strides before: every remainder is tried at three lengths.
    """
    before = _before(layers, m.layer)
    kept = {n: _lengthless(layer) for n, layer in layers.items() if n in before}
    read = [g for layer in kept.values() for g in _parts(layer.geometry)]
    if not any(g.mode == "same" for g in read) or any(g.kind in FIXED for g in read):
        return None
    whole = [s.numerator for s in map(Fraction, m.strides) if s.denominator == 1]
    period = lcm(*whole) if len(whole) == len(m.strides) else LONGEST + 1
    if period > LONGEST:
        return None
    length = inputs[m.input][m.axis] or 1
    first = max(length - length % period, 4 * period)
    in_line = {n: _is_in_line(kept, inputs, m, n) for n in range(first, first + 3 * period)}
    remainders = [r for r in range(period) if all(in_line[n] for n in in_line if n % period == r)]
    return _shortest(remainders, period)


def _is_in_line(layers: Mapping[str, Layer], inputs: Mapping[str, Lengths], m: Misaligned, n: int) -> bool:
    """Walk once more with the axis `n` long, of the other axes nothing being known."""
    given: dict[str, Lengths] = {i: dict.fromkeys(axes) for i, axes in inputs.items()}
    given[m.input][m.axis] = n
    nodes = fields(layers, given)
    node = nodes[m.layer]
    lengths = {nodes[p].lengths for p in m.parents if p in nodes}
    affine = node.affine.get((m.input, m.axis))
    return (
        affine is not None
        and len(lengths) == 1
        and not any((w.layer, w.input, w.axis) == (m.layer, m.input, m.axis) for w in node.misaligned)
    )


def _shortest(remainders: Sequence[int], period: int) -> tuple[tuple[int, ...], int]:
    """Say the same with the shortest period."""
    for p in range(1, period):
        short = {r % p for r in remainders}
        if period % p == 0 and len(short) * (period // p) == len(remainders):
            return tuple(sorted(short)), p
    return tuple(remainders), period


def _lengthless(layer: Layer) -> Layer:
    named = zip(layer.axes[1:], layer.shape, strict=False)
    return replace(layer, shape=tuple(n if a == "channel" else None for a, n in named))


# --- verdict ---------------------------------------------------------------------------------------------------------


def _status(
    layers: Mapping[str, Layer], misaligned: Iterable[Misalignment], unknown: Sequence[str], failed: Sequence[str]
) -> Status:
    reasons = [str(m) for m in misaligned]
    reasons += [
        f"{n} ({layers[n].kind}) is not known: its field and those behind it are upper bounds; "
        "put the operation in layers that are known, or trust xk.receptive_field(model, verify=True)"
        for n in unknown
        if n in layers
    ]
    return Status("fail" if failed else "warn" if reasons else "ok", (*failed, *reasons))
