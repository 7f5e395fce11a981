"""Following places through the single operations of TensorFlow: inside layers, and between them.

Each operation that moves places is run once on their numbers; those that work element by element keep them.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from xaikit.arrays import Array
from xaikit.graph import Geometry, places
from xaikit_keras._geometry import POINTWISE, lengths
from xaikit_keras._graph import Value
from xaikit_keras._private import operation_arguments

MOST = 2**22
"""Entries of a table beyond which places are not followed."""
KEPT = 2**20
"""Entries of a table that is kept."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ELEMENTWISE = _words(
    "Abs Acos Acosh Add AddN AddV2 Asin Asinh Atan Atan2 Atanh BiasAdd Cast Ceil CheckNumerics ClipByValue Cos Cosh "
    "Digamma Div DivNoNan Elu Equal Erf Erfc Exp Expm1 Floor FloorDiv FloorMod Greater GreaterEqual Identity Inv "
    "IsFinite IsInf IsNan LeakyRelu Less LessEqual Lgamma Log Log1p LogicalAnd LogicalNot LogicalOr Maximum Minimum "
    "Mod Mul MulNoNan Neg NotEqual OnesLike Pow PreventGradient RealDiv Reciprocal Relu Relu6 Rint Round Rsqrt Select "
    "SelectV2 Selu Sigmoid Sign Sin Sinh Snapshot Softplus Softsign Sqrt Square SquaredDifference StopGradient Sub Tan "
    "Tanh Xdivy Xlogy ZerosLike FusedBatchNormV3"
)
MOVING = _words(
    "BroadcastTo ConcatV2 DepthToSpace ExpandDims Gather GatherNd GatherV2 MirrorPad Pack Pad PadV2 Reshape Reverse "
    "ReverseV2 Roll Slice SpaceToDepth Split SplitV Squeeze StridedSlice Tile Transpose Unpack"
)
REDUCING = _words("All Any ArgMax ArgMin Max Mean Min Prod Sum")
MIXING = _words("BatchMatMul BatchMatMulV2 BatchMatMulV3 LogSoftmax MatMul Softmax")
"""They mix the last axis of the first input, where the other one is a weight."""
DATA = ("T", "Tparams")
"""The types of what is moved; inputs of other types tell where to."""
SIZES = _words("Shape ShapeN Size Rank")
READS = _words("Placeholder ReadVariableOp VarHandleOp ResourceGather")

Sees = dict[str, Array]
"""For each parent, which of its places an element sees: 1 + the flat place, 0 = none; integers (K, *shape)."""


class Untold(Exception):
    """Places cannot be followed through an operation, which is named."""


@dataclass
class Noted:
    """An operation that ran eagerly, told like one of a graph."""

    type: str
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    attributes: Mapping[str, Any]

    def get_attr(self, name: str) -> Any:
        return self.attributes[name]

    @property
    def op_def(self) -> Any:
        return operation_arguments(self.type)


@dataclass
class Tape:
    """The operations that tensors come from: those of a graph, or those that were noted while they ran.

    `origin` names the parent of which a tensor is the value.
    """

    origin: Callable[[Any], str | None]
    noted: Mapping[int, Noted] | None = None

    def op(self, tensor: Any) -> Any:
        if self.noted is None:
            return tensor.op if tf.is_symbolic_tensor(tensor) else None
        return self.noted.get(id(tensor))

    def key(self, tensor: Any) -> Any:
        return tensor.name if self.noted is None and tf.is_symbolic_tensor(tensor) else id(tensor)


def fragment(result: Any, after: Value, parents: Mapping[str, Value], tape: Tape) -> Geometry | None:
    """Say how the places of a tensor look at those of the parents it came from; None where that is not known."""
    operations = _between(result, tape)
    if operations is None:
        return None
    if all(op.type in ELEMENTWISE and _for_inference(op) for op in operations) and _fits(after, parents):
        return POINTWISE
    known = [n for v in (after, *parents.values()) for n in v.shape[1:]]
    if None in known:
        return None
    try:
        with tf.init_scope():
            sees = _followed(result, operations, parents, tape)
        return _as_geometry({p: _places(sees[p], after) for p in parents if p in sees}, parents, after)
    except (Untold, tf.errors.OpError, ValueError, TypeError, AttributeError, KeyError):
        return None


def _between(result: Any, tape: Tape) -> list[Any] | None:
    """List the operations between a tensor and its origins, each after those that it reads; None: no way is known."""
    found: list[Any] = []
    depends: dict[Any, bool] = {}
    stack: list[tuple[Any, bool]] = [(result, False)]
    while stack:
        tensor, ready = stack.pop()
        key = tape.key(tensor)
        if key in depends:
            continue
        op = tape.op(tensor)
        if tape.origin(tensor) is not None or op is None or op.type in SIZES:
            depends[key] = tape.origin(tensor) is not None
        elif not ready:
            stack.append((tensor, True))
            stack.extend((t, False) for t in op.inputs)
        else:
            reads = any(depends.get(tape.key(t), False) for t in op.inputs)
            depends.update((tape.key(t), reads) for t in op.outputs)
            found.extend([op] if reads else [])
    return found if depends[tape.key(result)] else None


def _for_inference(op: Any) -> bool:
    """Say whether an operation treats samples and places one by one: a batch norm does, but not while it learns."""
    return op.type != "FusedBatchNormV3" or not op.get_attr("is_training")


def _fits(after: Value, parents: Mapping[str, Value]) -> bool:
    """Say whether parents spread over the result axis by axis."""
    return all(
        len(v.shape) == len(after.shape)
        and all(n in (1, m) for n, m in zip(v.shape[1:], after.shape[1:], strict=True))
        and (v.axes == after.axes or len(places(v.axes)) == len(places(after.axes)))
        for v in parents.values()
    )


# --- following -------------------------------------------------------------------------------------------------------


def _followed(result: Any, operations: Sequence[Any], parents: Mapping[str, Value], tape: Tape) -> Sees:
    found: dict[Any, Sees] = {}

    def seen(tensor: Any) -> Sees | None:
        name = tape.origin(tensor)
        if name in parents:
            return {str(name): _numbered(parents[str(name)])}
        return found.get(tape.key(tensor))

    for op in operations:
        given = [seen(t) for t in op.inputs]
        for tensor, sees in zip(op.outputs, _stepped(op, given, seen, tape), strict=False):
            found[tape.key(tensor)] = sees
    end = seen(result)
    if end is None:
        raise Untold("nothing is read")
    return end


def _numbered(value: Value) -> Array:
    """Number the places of a tensor from 1 on, alike in all channels: integers (1, *shape)."""
    shape = (1, *(int(n or 1) for n in value.shape[1:]))
    free = tuple(n if a not in ("sample", "channel") else 1 for a, n in zip(value.axes, shape, strict=True))
    _check(int(np.prod(shape)))
    return np.broadcast_to(1 + np.arange(int(np.prod(free))).reshape(free), shape)[None]


def _check(count: int) -> None:
    if count > MOST:
        raise Untold("too many places")


def _stepped(op: Any, given: Sequence[Sees | None], seen: Callable[[Any], Sees | None], tape: Tape) -> list[Sees]:
    """Give what the outputs of one operation see."""
    names = dict.fromkeys(n for sees in given if sees for n in sees)
    if op.type in ELEMENTWISE and _for_inference(op):
        return [{n: _spread([s[n] for s in given if s and n in s], _shape_of(op.outputs[0], given)) for n in names}]
    if op.type in REDUCING:
        axes = np.atleast_1d(_concrete(op.inputs[1], seen, tape))
        keep = not op.type.startswith("Arg") and op.get_attr("keep_dims")
        return [{n: _reduced(given[0][n], axes, bool(keep)) for n in names}]  # type: ignore[index]
    if op.type in MIXING:
        if any(given[1:]) or not given[0] or (op.type == "MatMul" and op.get_attr("transpose_a")):
            raise Untold(op.type)
        size = op.outputs[0].shape[-1]
        last = {n: _reduced(given[0][n], np.array([-1]), True) for n in names}
        return [{n: np.broadcast_to(t, (*t.shape[:-1], size)) for n, t in last.items()}]
    if op.type not in MOVING:
        raise Untold(op.type)
    moved = {n: _moved(op, [s.get(n) if s else None for s in given], given, seen, tape) for n in names}
    return [{n: outputs[i] for n, outputs in moved.items()} for i in range(len(op.outputs))]


def _shape_of(tensor: Any, given: Sequence[Sees | None]) -> tuple[int, ...]:
    known = tuple(1 if i == 0 and n is None else n for i, n in enumerate(tensor.shape))
    if None not in known:
        return known
    return tuple(np.broadcast_shapes(*(t.shape[1:] for s in given if s for t in s.values())))


def _spread(tables: Sequence[Array], shape: tuple[int, ...]) -> Array:
    """Put side by side what several inputs see at an element."""
    kept: list[Array] = []
    for table in tables:
        wide = np.broadcast_to(table.reshape(len(table), *[1] * (len(shape) + 1 - table.ndim), *table.shape[1:]),
                               (len(table), *shape))  # fmt: skip
        if not any(len(k) == len(wide) and np.array_equal(k, wide) for k in kept):
            kept.append(wide)
    if len(kept) == 1:
        return kept[0]
    _check(sum(k.size for k in kept))
    return _distinct(np.concatenate(kept))


def _reduced(table: Array, axes: Array, keep: bool) -> Array:
    """Take axes of a table into what each element sees."""
    count = table.ndim - 1
    gone = sorted({int(a) % count for a in axes})
    rest = [i for i in range(count) if i not in gone]
    seen = table.transpose(0, *(1 + i for i in gone), *(1 + i for i in rest))
    seen = _distinct(seen.reshape(-1, *(table.shape[1 + i] for i in rest)))
    return np.expand_dims(seen, tuple(1 + i for i in gone)) if keep else seen


def _distinct(table: Array) -> Array:
    """Leave out what an element sees twice, and nothing."""
    if len(table) == 1:
        return table
    ordered = np.sort(table, 0)
    ordered[1:][ordered[1:] == ordered[:-1]] = 0
    ordered = np.sort(ordered, 0)[::-1]
    return ordered[: max(int((ordered.reshape(len(ordered), -1) > 0).any(1).sum()), 1)]


def _moved(
    op: Any,
    tables: Sequence[Array | None],
    given: Sequence[Sees | None],
    seen: Callable[[Any], Sees | None],
    tape: Tape,
) -> list[Array]:
    """Run an operation on the numbers of the places of one parent; other values of the same type see nothing."""
    depth = max(len(t) for t in tables if t is not None)
    _check(depth * max(t.size // len(t) for t in tables if t is not None) * 4)
    kinds = [arg.type_attr for arg, _ in _arguments(op)]
    if any(sees and kind not in DATA for kind, sees in zip(kinds, given, strict=True)):
        raise Untold(f"{op.type} by places that depend on values")
    data = next(k for k, t in zip(kinds, tables, strict=True) if t is not None)
    rows = []
    for k in range(depth):
        values = []
        for tensor, table, sees, kind in zip(op.inputs, tables, given, kinds, strict=True):
            if table is not None:
                values.append(table[min(k, len(table) - 1)])
            elif kind == data:
                shape = next(iter(sees.values())).shape[1:] if sees else _constant_shape(tensor)
                values.append(np.zeros(shape, np.int64))
            else:
                values.append(_concrete(tensor, seen, tape))
        rows.append(_run(op, values))
    return [np.stack([r[i] for r in rows]) for i in range(len(rows[0]))]


def _constant_shape(tensor: Any) -> tuple[int, ...]:
    shape = tuple(1 if i == 0 and n is None else n for i, n in enumerate(tensor.shape))
    if None in shape:
        raise Untold("an unknown length")
    return shape


def _arguments(op: Any) -> list[tuple[Any, int]]:
    """List, for each input tensor of an operation, the argument that it belongs to, and its number among them."""
    single = sum(not arg.number_attr for arg in op.op_def.input_arg)
    found: list[tuple[Any, int]] = []
    for arg in op.op_def.input_arg:
        found.extend((arg, i) for i in range(len(op.inputs) - single if arg.number_attr else 1))
    return found


def _run(op: Any, values: Sequence[Any]) -> list[Array]:
    """Run one operation of a graph on other values."""
    function = getattr(tf.raw_ops, op.type)
    parameters = [p for p in inspect.signature(function).parameters if p != "name"]
    attributes = {a.name for a in op.op_def.attr}
    names = _parameters([a.name for a in op.op_def.input_arg], [p for p in parameters if p not in attributes])
    given: dict[str, Any] = {}
    for (arg, _), value in zip(_arguments(op), values, strict=True):
        if arg.number_attr:
            given.setdefault(names[arg.name], []).append(value)
        else:
            given[names[arg.name]] = value
    made = function(**given, **{p: op.get_attr(p) for p in parameters if p in attributes})
    return [np.asarray(t) for t in (made if isinstance(made, list | tuple) else [made])]


def _parameters(arguments: Sequence[str], parameters: Sequence[str]) -> dict[str, str]:
    """Match the inputs of an operation with the parameters of its function, some of which have another name."""
    renamed = iter([p for p in parameters if p not in arguments])
    return {a: a if a in parameters else next(renamed) for a in arguments}


def _concrete(tensor: Any, seen: Callable[[Any], Sees | None], tape: Tape) -> Any:
    """Give the value of a tensor that depends on shapes alone, for one sample."""
    value = tf.get_static_value(tensor)
    if value is not None:
        return value
    op = tape.op(tensor)
    if op.type in READS:
        raise Untold(op.type)
    if op.type == "Shape":
        sees = seen(op.inputs[0])
        shape = next(iter(sees.values())).shape[1:] if sees else _constant_shape(op.inputs[0])
        return np.array(shape, tensor.dtype.as_numpy_dtype)
    return _run(op, [_concrete(t, seen, tape) for t in op.inputs])[tensor.value_index]


# --- what the tables say ---------------------------------------------------------------------------------------------


def _places(table: Array, after: Value) -> Array:
    """Give which flat places of a parent each place of the result sees: (*places, K), -1 = none."""
    wide = np.broadcast_to(table, (len(table), 1, *(int(n or 1) for n in after.shape[1:])))
    gone = np.array([i for i, a in enumerate(after.axes) if a in ("sample", "channel")])
    return np.moveaxis(_reduced(wide, gone, False), 0, -1).astype(np.int64) - 1


def _as_geometry(tables: Mapping[str, Array], parents: Mapping[str, Value], after: Value) -> Geometry | None:
    """Write tables in the simplest way: the same places, a step along each axis, else as they are."""
    axes = places(after.axes)
    if set(tables) != set(parents) or any(t.size > KEPT for t in tables.values()):
        return None
    if all(_stays(t, parents[p], after) for p, t in tables.items()):
        return POINTWISE
    if len(tables) == 1:
        ((name, table),) = tables.items()
        window = _step_of_each(table, parents[name], axes)
        if window is not None:
            return window
    return Geometry("moved", names=axes, sources=tuple(tables.values()))


def _stays(table: Array, before: Value, after: Value) -> bool:
    """Say whether each place sees the one of its own number along the axes of one name, or else in order."""
    own, axes, sizes = places(before.axes), places(after.axes), lengths(before)
    if table.shape[-1] != 1 or len(own) > len(axes) or len(set(own)) < len(own):
        return False
    if not set(own) <= set(axes) and len(own) < len(axes):
        return False
    order = [axes.index(a) for a in own] if set(own) <= set(axes) else list(range(len(own)))
    grid = np.indices(table.shape[:-1])
    flat = np.zeros(table.shape[:-1], np.int64)
    for i, n in zip(order, sizes, strict=True):
        if n not in (1, table.shape[i]):
            return False
        flat = flat * int(n or 1) + (grid[i] if n != 1 else 0)
    return bool(np.array_equal(flat, table[..., 0]))


def _step_of_each(table: Array, before: Value, axes: tuple[str, ...]) -> Geometry | None:
    """Find a stride and a start along each axis, of which what lies outside reads nothing: slices, crops, padding."""
    sizes = tuple(int(n or 1) for n in lengths(before))
    if table.shape[-1] != 1 or table.ndim - 1 != len(sizes) or not sizes or places(before.axes) != axes:
        return None
    read = table[..., 0]
    if (read < 0).all():
        return None
    coordinates = np.unravel_index(read.clip(0), sizes)
    steps = []
    for i, (n, m) in enumerate(zip(sizes, read.shape, strict=True)):
        others = tuple(j for j in range(len(sizes)) if j != i)
        line = np.where(read >= 0, coordinates[i], -1).max(others)
        there = np.flatnonzero(line >= 0)
        stride = int(line[there[1]] - line[there[0]]) if len(there) > 1 else 1
        start = int(line[there[0]] - stride * there[0])
        if stride < 1 or n < 1:
            return None
        steps.append((stride, start, m))
    grid = np.indices(read.shape)
    flat, inside = np.zeros(read.shape, np.int64), np.ones(read.shape, bool)
    for g, (stride, start, _), n in zip(grid, steps, sizes, strict=True):
        at = g * stride + start
        flat, inside = flat * n + at.clip(0, n - 1), inside & (at >= 0) & (at < n)
    if not np.array_equal(np.where(inside, flat, -1), read):
        return None
    padding = tuple(
        (-start, (m - 1) * stride + 1 - n + start) for (stride, start, m), n in zip(steps, sizes, strict=True)
    )
    count = len(sizes)
    return Geometry("window", (1,) * count, tuple(s for s, _, _ in steps), padding, (1,) * count, axes)
