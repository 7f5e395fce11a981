"""Functions that only move places: run once on the numbers of the places, they tell what each place reads."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from xaikit.arrays import Array
from xaikit.graph import Geometry
from xaikit_torch._graph import Op, Value, words
from xaikit_torch._values import tensors

MISSING = -1
MOST = 2**24
"""Numbers of a tensor beyond which it is not followed place by place: single precision counts so far."""
WIDEST = 64
"""Places along one axis beyond which what a place reads is told by a table of all places."""
BY_INDEX = words(
    "getitem index_select gather take_along_dim setitem repeat_interleave index_put index_copy slice_scatter scatter"
)
"""Functions whose other tensors say which places are read: constant ones are kept as they are."""


class Untold(Exception):
    """Which place reads which cannot be told from the numbers that came out."""


def parts(op: Op, sources: Sequence[Value], result: Value, which: int = 0) -> tuple[tuple[Geometry, ...], bool]:
    """Say how places of a result (the one that `which` counts, of several) read each of the sources.

    Also whether the places folded into the sample axis change more slowly than the samples. Raises Untold.
    """
    most = max(v.count for v in sources)
    for v in sources:
        if v.axes is None or "sample" not in v.axes or v.shape[v.axes.index("sample")] != v.rows * v.fold:
            raise Untold
    if result.axes is None or "sample" not in result.axes or len(sources) * sources[0].rows * most >= MOST:
        raise Untold
    numbers = {v.key: _numbers(v, i, most) for i, v in enumerate(sources)}
    given = _numbers_out(op, numbers, which)
    if given is None or given.shape != result.shape or given.numel() >= MOST:
        raise Untold
    return _read(given.numpy().astype(np.int64), sources, result, most)


def _numbers(value: Value, position: int, most: int) -> torch.Tensor:
    """Number the entries of a tensor by source, sample and place; 0 is left for nothing."""
    axes = value.axes or ()
    sample = axes.index("sample")
    j = np.arange(value.shape[sample])
    row, place = (j % value.rows, j // value.rows) if value.late else (j // value.fold, j % value.fold)
    number = np.zeros([1] * len(axes), np.int64)
    own = [(i, np.arange(n)) for i, (a, n) in enumerate(zip(axes, value.shape, strict=True)) if _is_place(a)]
    for i, coordinate in [(sample, place), *own]:
        shape = [1] * len(axes)
        shape[i] = len(coordinate)
        number = number * (1 if i == sample else len(coordinate)) + coordinate.reshape(shape)
    shape = [1] * len(axes)
    shape[sample] = len(j)
    number = number + (position * value.rows + row.reshape(shape)) * most + 1
    return torch.from_numpy(np.broadcast_to(number, value.shape).astype(np.float32))


def _is_place(axis: str) -> bool:
    return axis not in ("sample", "channel")


def _numbers_out(op: Op, numbers: Mapping[int, torch.Tensor], which: int) -> torch.Tensor | None:
    """Run a function on numbers; constants are nothing, but where they say which places are read."""
    if op.function is None:
        raise Untold
    by_index = op.name in BY_INDEX

    def replaced(value: Any, inner: bool) -> Any:
        if isinstance(value, torch.Tensor):
            if id(value) in numbers:
                if by_index and inner and not value.is_floating_point():
                    raise Untold  # what is read depends on the input
                return numbers[id(value)].clone()
            if by_index and not value.is_floating_point():
                return value.cpu()
            return torch.zeros(value.shape)
        if isinstance(value, tuple | list):
            return type(value)([replaced(v, inner) for v in value])
        return value

    args = [replaced(a, i > 0) for i, a in enumerate(op.args)]
    kwargs = {k: replaced(v, k not in ("input", "self", "tensors")) for k, v in op.kwargs.items()}
    if op.name == "setitem" and len(args) == 3 and not isinstance(args[2], torch.Tensor):
        args[2] = 0
    try:
        with torch.no_grad():
            out = op.function(*args, **kwargs)
    except (RuntimeError, TypeError, IndexError, ValueError, NotImplementedError, AttributeError) as error:
        raise Untold from error
    found = [args[0]] if op.name in ("setitem", "copy") else list(tensors(out))
    return found[which] if which < len(found) else None


def _read(given: Array, sources: Sequence[Value], result: Value, most: int) -> tuple[tuple[Geometry, ...], bool]:
    rows, axes = sources[0].rows, result.axes or ()
    sample = axes.index("sample")
    count = given.shape[sample]
    if count % rows:
        raise Untold
    late = _order(given, sample, rows, most)
    # one sample is like another: the places of the first
    first = given.take(np.arange(0, count, rows) if late else np.arange(count // rows), sample)
    order = [
        sample,
        *(i for i, a in enumerate(axes) if _is_place(a)),
        *(i for i, a in enumerate(axes) if a == "channel"),
    ]
    first = first.transpose(order)
    first = first if "channel" in axes else first[..., None]
    first = first if count > rows else first[0]
    source, place = np.divmod(first - 1, rows * most)
    found = []
    for i, value in enumerate(sources):
        table = compact(np.where((first > 0) & (source == i), place, MISSING))
        found.append(told(table, value, result))
    return tuple(found), late


def _order(given: Array, sample: int, rows: int, most: int) -> bool:
    """Find how samples follow each other along the sample axis: whole (False), or alternating (True)."""
    count = given.shape[sample]
    row = (given - 1) // most % rows
    j = np.arange(count).reshape([-1 if i == sample else 1 for i in range(given.ndim)])
    for late, expected in ((False, j // (count // rows)), (True, j % rows)):
        if ((given == 0) | (row == expected)).all():
            return late
    raise Untold


def compact(table: Array) -> Array:
    """Leave out what a place reads twice: (*places, K)."""
    if (table == table[..., :1]).all():
        return table[..., :1]
    table = -np.sort(-table, axis=-1)
    again = table[..., 1:] == table[..., :-1]
    table = table.copy()
    table[..., 1:][again] = MISSING
    table = -np.sort(-table, axis=-1)
    return table[..., : max(int((table != MISSING).sum(-1).max()), 1)]


# --- the simplest way to say it --------------------------------------------------------------------------------------


def told(table: Array, source: Value, result: Value) -> Geometry:
    """Give the simplest geometry of a table: axes that stay, crops, strides and tables along one axis, or all of it."""
    found = _along_axes(table, source, result)
    if found is not None:
        return found
    return Geometry("moved", axes=source.places, names=result.places, sources=(table,))


def _along_axes(table: Array, source: Value, result: Value) -> Geometry | None:
    lengths, places = source.lengths, table.shape[:-1]
    present = table != MISSING
    if not present.any() or not lengths:
        return None
    coordinates = np.unravel_index(table.clip(0), lengths)
    chosen: list[tuple[int, Array]] = []
    for a, c in enumerate(coordinates):
        ways = [(b, _taps(c, present, b)) for b in range(len(places))]
        fit = [(t.shape[1], -int((t[:, 0] == MISSING).sum()), source.places[a] != result.places[b], b, t)
               for b, t in ways if t is not None]  # fmt: skip
        if not fit:
            return None
        *_, b, t = min(fit, key=lambda f: f[:4])
        chosen.append((b, t))
    if not _same(table, _product(chosen, lengths, places)):
        return None
    return _steps(chosen, source, result)


def _taps(coordinate: Array, present: Array, axis: int) -> Array | None:
    """Give what is read along one axis of the parent for each place along one of the result; None where too much."""
    count = coordinate.shape[axis]
    c = np.moveaxis(np.where(present, coordinate, MISSING), axis, 0).reshape(count, -1)
    there = np.moveaxis(present, axis, 0).reshape(count, -1)
    high = c.max(1)
    low = np.where(there, c, 2**40).min(1)
    if (np.where(high == MISSING, 0, high - low) == 0).all():
        return high[:, None]
    return compact(c) if (high - low).max() < WIDEST else None


def _product(chosen: Sequence[tuple[int, Array]], lengths: Sequence[int], places: Sequence[int]) -> Array | None:
    """Build the table of a description axis by axis."""
    if np.prod([t.shape[1] for _, t in chosen]) > WIDEST**2:
        return None
    flat = np.zeros([1] * len(places) + [1], np.int64)
    missing = np.zeros(flat.shape, bool)
    for (b, t), n in zip(chosen, lengths, strict=True):
        shape = [1] * len(places) + [t.shape[1]]
        shape[b] = len(t)
        taps = t.reshape(shape)
        flat = (flat[..., :, None] * n + taps[..., None, :]).reshape(
            [*np.broadcast_shapes(flat.shape[:-1], taps.shape[:-1]), -1]
        )
        missing = (missing[..., :, None] | (taps == MISSING)[..., None, :]).reshape(flat.shape)
    return np.broadcast_to(np.where(missing, MISSING, flat), [*places, flat.shape[-1]])


def _same(table: Array, other: Array | None) -> bool:
    return other is not None and np.array_equal(compact(table), compact(other))


def _steps(chosen: Sequence[tuple[int, Array]], source: Value, result: Value) -> Geometry | None:
    windows: list[tuple[str, tuple[Any, ...]]] = []
    others: list[Geometry] = []
    new_names = dict.fromkeys(result.places, "")
    for name, n, (b, t) in zip(source.places, source.lengths, chosen, strict=True):
        constant = t.shape[1] == 1 and (t == t[0]).all() and t[0, 0] != MISSING
        if constant and (n == 1 or len(t) > 1 or source.places != result.places):
            if n == 1 and len(t) == 1 and name in new_names and new_names[name] == "":
                new_names[name] = name
            elif n > 1:
                windows.append((name, (1, 1, (-int(t[0, 0]), int(t[0, 0]) + 1 - n), 1)))
            continue
        if new_names[result.places[b]] not in ("", name):
            return None
        new_names[result.places[b]] = name
        step = _step(name, n, t)
        if isinstance(step, Geometry):
            others.append(step)
        elif step is not None:
            windows.append((name, step))
    steps = list(others)
    if windows:
        size, stride, padding, dilation = zip(*(w for _, w in windows), strict=True)
        steps.insert(0, Geometry("window", size, stride, padding, dilation, tuple(n for n, _ in windows)))
    if source.places != result.places or any(new_names[a] != a for a in result.places):
        axes = tuple(new_names[a] for a in result.places)
        if len({a for a in axes if a}) < sum(a != "" for a in axes):
            return None
        size = tuple(0 if a else n for a, n in zip(axes, result.lengths, strict=True))
        steps.append(Geometry("renamed", size, axes=axes, names=result.places))
    return chained(*steps)


def _step(name: str, n: int, t: Array) -> Geometry | tuple[Any, ...] | None:
    """Describe taps along one axis: nothing where each place reads itself, a window, places repeated, or a table."""
    m, k = t.shape
    t = np.sort(t, axis=1)
    if m == n and k == 1 and (t[:, 0] == np.arange(n)).all():
        return None
    start = int(t[0, 0])
    stride = int(t[1, 0]) - start if m > 1 else 1
    dilation = int(t[0, 1]) - start if k > 1 else 1
    if start >= 0 and stride > 0 and dilation > 0:
        window = start + stride * np.arange(m)[:, None] + dilation * np.arange(k)
        if (window == t).all():
            after = (m - 1) * stride + dilation * (k - 1) + 1 - n + start
            return k, stride, (-start, after), dilation
    if n and m % n == 0 and k == 1 and (t[:, 0] == np.arange(m) // (m // n)).all():
        return Geometry("upsample", (1,), (m // n,), ((0, 0),), (1,), (name,))
    return Geometry("table", axes=(name,), sources=(t,))


def chained(*steps: Geometry) -> Geometry:
    """Put geometries one after the other."""
    flat = [p for g in steps for p in (g.parts if g.kind == "steps" else (g,)) if p.kind != "pointwise"]
    if not flat:
        return Geometry("pointwise")
    return flat[0] if len(flat) == 1 else Geometry("steps", parts=tuple(flat))
