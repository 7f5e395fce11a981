"""How the places of what a call gives look at the places of what it reads.

A rule gives one geometry for all that a call reads, or "each" (and "concat") with a part for each tensor. What only
moves places is asked of the function itself, in `_moves`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from xaikit.arrays import SPACE, Array
from xaikit.graph import FOLDED, Geometry
from xaikit_torch._graph import CHANNELS_SECOND, ELEMENTWISE, PLACES, RECURRENT, Axes, Op, Value, default_axes, words
from xaikit_torch._moves import MISSING, Untold, chained, parts

POINTWISE, WHOLE, UNKNOWN = Geometry("pointwise"), Geometry("global"), Geometry("unknown")
Rule = Callable[[Op, Sequence[Value], Value], Geometry]

SAME_PLACE = ELEMENTWISE | words(
    "absolute negative sgn asin acos atan arcsin arccos arctan sinh cosh asinh acosh atanh tan exp2 expm1 log2 "
    "log10 floor ceil round trunc frac remainder fmod floor_divide true_divide floordiv mod atan2 arctan2 erfc "
    "erfinv clamp_min clamp_max fmax fmin logit logaddexp logaddexp2 hypot gt lt ge le eq ne greater less "
    "greater_equal less_equal equal not_equal isnan isinf isfinite logical_and logical_or logical_not logical_xor "
    "bitwise_and bitwise_or bitwise_xor bitwise_not and or xor invert pos positive lgamma digamma sinc heaviside "
    "rsub xlogy copysign signbit deg2rad rad2deg alpha_dropout feature_alpha_dropout dropout1d dropout2d dropout3d "
    "feature_dropout bernoulli channel_shuffle contiguous copy_ to float half bfloat16 double type type_as cpu cuda "
    "clone detach requires_grad data alias to_copy lift_fresh_copy lift_fresh long int bool real imag to_dense "
    "pin_memory pack_padded_sequence pad_packed_sequence fill one_hot native_dropout softmax2d"
)
MOVING = words(
    "view reshape view_as reshape_as unflatten flatten ravel squeeze unsqueeze permute transpose t T mT H mH "
    "adjoint swapaxes swapdims movedim moveaxis getitem select narrow index_select gather take_along_dim slice flip "
    "fliplr flipud rot90 roll repeat tile repeat_interleave stack hstack vstack dstack column_stack cat concat "
    "concatenate chunk split tensor_split unbind split_with_sizes unsafe_chunk unsafe_split unfold im2col "
    "pixel_shuffle pixel_unshuffle diagonal tril triu broadcast_to broadcast_tensors expand expand_as setitem copy "
    "atleast_1d atleast_2d atleast_3d hsplit vsplit dsplit index_put slice_scatter select_scatter diag_embed "
    "unsafe_view squeeze_copy"
)
REDUCING = words(
    "mean sum prod max min amax amin std var var_mean std_mean norm linalg_vector_norm vector_norm logsumexp median "
    "nanmean nansum nanmedian quantile argmax argmin all any count_nonzero aminmax"
)
SECOND_IS_A_NUMBER = words("norm linalg_vector_norm vector_norm quantile")
RUNNING = words("cumsum cumprod cummax cummin logcumsumexp")
SORTING = words("sort topk argsort kthvalue msort")
SCALING = words("softmax log_softmax softmin gumbel_softmax normalize _softmax _log_softmax safe_softmax")


def geometry(op: Op, sources: Sequence[Value], result: Value, which: int = 0) -> tuple[Geometry, bool]:
    """Say how places of a result read those of the sources, and whether places folded into its samples come late.

    `which` counts the results of a call that gives several.
    """
    if not sources:
        return WHOLE, False
    if _moves(op, sources, result):
        try:
            found, late = parts(op, sources, result, which)
        except Untold:
            return UNKNOWN, False
        return _joint(found), late
    late = sources[0].late
    if any(v.fold != result.fold and v.fold > 1 for v in sources):
        return UNKNOWN, late
    rule = _RULES.get(op.kind) or _RULES.get(op.name, _other)
    return rule(op, sources, result), late


def _joint(found: tuple[Geometry, ...]) -> Geometry:
    """Give one geometry for all sources where they are read alike."""
    if len(found) == 1 or all(g == POINTWISE for g in found):
        return found[0]
    return Geometry("each", parts=found)


def named(op: Op, value: Value, result: Value, convolutional: bool) -> Axes:
    """Name a value's axes as the call takes them, where they are not known."""
    if value.axes is not None:
        return value.axes
    count = len(value.shape)
    if op.kind in CHANNELS_SECOND and op.kind != "prelu" and 3 <= count <= 5:
        return ("sample", "channel", *PLACES[count - 2])
    alike = result.axes and count == len(result.shape) and not _moves(op, [value], result)
    return result.axes if result.axes and alike else default_axes(count, convolutional)


# --- several calls as one ---------------------------------------------------------------------------------------------

Path = tuple[str, Geometry]
"""A layer or input that a tensor comes from, and how the tensor's places read its."""


def composed(own: Geometry, read: Sequence[Sequence[Path]], parents: Sequence[str]) -> Geometry:
    """Give how a layer reads its parents, from how it reads its arguments and these their layers."""
    first = [path[0] for path in read if len(path) == 1 and path[0][1] == POINTWISE]
    if len(first) == len(read) and [p for p, _ in first] == list(parents):
        return replace(own, parts=()) if own.kind == "concat" else own
    whole = own.kind not in ("each", "concat")
    joined = [(p, g if whole else chained(g, own.parts[i])) for i, path in enumerate(read) for p, g in path]
    each = [(p, g) for k, (p, g) in enumerate(joined) if not any(p == q and same(g, h) for q, h in joined[:k])]
    if len(each) == 1:
        return chained(each[0][1], own) if whole else each[0][1]
    reads = tuple(parents.index(p) for p, _ in each)
    alike = all(g == POINTWISE for _, g in each) and reads == tuple(range(len(parents)))
    joint = POINTWISE if alike else Geometry("each", parts=tuple(g for _, g in each), reads=reads)
    return chained(joint, own) if whole else joint


def onward(own: Geometry, read: Sequence[Sequence[Path]]) -> tuple[Path, ...]:
    """Give the paths of a tensor that is no layer, from those of what it was made of."""
    whole = own.kind not in ("each", "concat")
    found: list[Path] = []
    for i, path in enumerate(read):
        for p, g in path:
            step = chained(g, own if whole else own.parts[i])
            if not any(p == q and same(step, h) for q, h in found):
                found.append((p, step))
    return tuple(found)


def same(one: Geometry, other: Geometry) -> bool:
    """Compare geometries with their tables."""
    return (
        one == other
        and len(one.sources) == len(other.sources)
        and all(np.array_equal(a, b) for a, b in zip(one.sources, other.sources, strict=True))
        and all(same(a, b) for a, b in zip(one.parts, other.parts, strict=True))
    )


def unfolded(paths: Sequence[Path], inner: Mapping[str, tuple[Sequence[str], Geometry]]) -> tuple[Path, ...]:
    """Replace paths that start in a group of calls (parents and geometry by name) by those that lead into it."""
    found: list[Path] = []
    for name, geometry in paths:
        steps: tuple[Path, ...] = ((name, POINTWISE),)
        if name in inner:
            steps = unfolded(_entries(*inner[name]), inner)
        for p, g in steps:
            step = chained(g, geometry)
            if not any(p == q and same(step, h) for q, h in found):
                found.append((p, step))
    return tuple(found)


def _entries(parents: Sequence[str], own: Geometry) -> tuple[Path, ...]:
    """Tell apart how a call reads each of its parents."""
    own = replace(own, folded=1)
    first, rest = (own.parts[0], own.parts[1:]) if own.kind == "steps" else (own, ())
    if first.kind == "each":
        reads = first.reads or range(len(first.parts))
        return tuple((parents[i], chained(g, *rest)) for i, g in zip(reads, first.parts, strict=True))
    if len(parents) == 1 or first.kind == "pointwise":
        return tuple((p, own) for p in parents)
    return tuple((p, UNKNOWN) for p in parents)


def state_of(value: Value) -> Geometry:
    """Say how a state that a layer gives beside its sequence reads that: all of it."""
    return Geometry("renamed", value.lengths, axes=("",) * len(value.places), names=value.places)


# --- axes that stay, go and come --------------------------------------------------------------------------------------


def _renaming(source: Value, result: Value, kept: Mapping[str, str]) -> Geometry:
    """Say that places of the result (by name) read those of the source; others of the source are mixed whole."""
    kept = {a: b for a, b in kept.items() if b in source.places and a in result.places}
    gone = [a for a, n in zip(source.places, source.lengths, strict=True) if a not in kept.values() and n > 1]
    if not kept and gone:
        return WHOLE
    axes = tuple(kept.get(a, "") for a in result.places)
    if not gone and _as_merged(source, result) == axes:
        return POINTWISE
    size = tuple(0 if a else n for a, n in zip(axes, result.lengths, strict=True))
    return Geometry("renamed", size, axes=axes, names=result.places)


def _as_merged(source: Value, result: Value) -> Axes | None:
    """Give which axes a merge would line up with those of the result: by name, else in order from the last on."""
    if set(source.places) <= set(result.places):
        return tuple(a if a in source.places else "" for a in result.places)
    if len(source.places) > len(result.places):
        return None
    return ("",) * (len(result.places) - len(source.places)) + source.places


def _lined_up(source: Value, result: Value) -> Geometry:
    """Line up axes from the last one on, as all functions of several tensors do."""
    axes, shift = source.axes or (), len(result.shape) - len(source.shape)
    kept = {FOLDED: FOLDED} if source.fold > 1 else {}
    for i, a in enumerate(result.axes or ()):
        j = i - shift
        if j < 0 or source.shape[j] != result.shape[i]:
            continue
        if "sample" in (a, axes[j]) and a != axes[j] and source.shape[j] > 1:
            return UNKNOWN
        if a != "sample":
            kept[a] = axes[j]
    return _renaming(source, result, kept)


def _each(rule: Callable[[Value], Geometry], sources: Sequence[Value]) -> Geometry:
    return _joint(tuple(rule(v) for v in sources))


def _whole(source: Value, axes: Sequence[str], gate: bool = False) -> Geometry:
    """Mix all places along some axes."""
    long = [a for a, n in zip(source.places, source.lengths, strict=True) if n > 1 or a in axes]
    chosen = tuple(a for a in source.places if a in axes)
    if not chosen:
        return POINTWISE
    return Geometry("global", axes=() if set(long) <= set(chosen) else chosen, gate=gate)


# --- windows ----------------------------------------------------------------------------------------------------------


def _sliding(rule: Callable[[Op, Value, Value, int], Geometry]) -> Rule:
    """Make a rule about the places of a tensor (sample, channel, *places), whatever these are called."""

    def applied(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
        source = sources[0]
        count = len(source.shape) - 2
        if len(sources) > 1 or count not in (1, 2, 3) or source.axes is None or source.axes[0] != "sample":
            return UNKNOWN
        names = tuple(a for a in source.axes[2:])
        read = replace(source, axes=("sample", "channel", *PLACES[count]))
        taken = {"sample", "channel", *([] if names == PLACES[count] else PLACES[count])}
        if not taken.isdisjoint(names) or _found(source.places, count) != names:
            kept = {a: b for a, b in zip(PLACES[count], names, strict=True) if b not in ("sample", "channel")}
            kept |= {FOLDED: FOLDED} if source.fold > 1 else {}
            return chained(_renaming(source, read, kept), rule(op, read, result, count))
        return rule(op, read, result, count)

    return applied


def _found(places: Axes, count: int) -> Axes:
    """Give the axes that a geometry without axes is about."""
    spatial = tuple(a for a in places if a in SPACE)
    return spatial if len(spatial) == count else places[len(places) - count :]


def _numbers(value: Any, count: int) -> tuple[int, ...]:
    value = value if isinstance(value, tuple | list) else (value,)
    return tuple(int(v) for v in (value if len(value) == count else value * count))


def _pairs(source: Value, result: Value) -> list[tuple[int, int]]:
    """The length of each axis of places before and after."""
    return list(zip(source.shape[2:], result.shape[2:], strict=True))


def _window(op: Op, source: Value, result: Value, count: int) -> Geometry:
    p = op.parameters
    if p.get("kernel_size") is None:
        return _adaptive(source, result)
    size = _numbers(p["kernel_size"], count)
    stride = p.get("stride")
    default = 1 if op.kind == "conv" else size
    strides = _numbers(default if stride is None or stride == [] else stride, count)
    dilation = _numbers(p.get("dilation", 1), count)
    padding = _padding(p.get("padding", 0), size, dilation, count)
    places = zip(_pairs(source, result), size, strides, padding, dilation, strict=True)
    # ceil_mode lets the last window hang over the edge: that much more padding behind
    padding = tuple((a, max(b, (out - 1) * s + d * (k - 1) + 1 - n - a)) for (n, out), k, s, (a, b), d in places)
    mode = str(p.get("padding_mode", "zeros")) if op.kind == "conv" else "zeros"
    return Geometry("window", size, strides, padding, dilation, mode="" if mode == "zeros" else mode)


def _padding(padding: Any, size: Sequence[int], dilation: Sequence[int], count: int) -> tuple[tuple[int, int], ...]:
    if padding == "same":
        totals = [d * (k - 1) for k, d in zip(size, dilation, strict=True)]
        return tuple((n // 2, n - n // 2) for n in totals)
    return tuple((n, n) for n in _numbers(0 if padding == "valid" else padding, count))


def _adaptive(source: Value, result: Value) -> Geometry:
    pairs = _pairs(source, result)
    if all(m == 1 for _, m in pairs):
        return _whole(source, source.axes[2:] if source.axes else ())
    if any(m == 0 or n % m for n, m in pairs):
        return Geometry("adaptive", tuple(m for _, m in pairs))
    ratios = tuple(n // m for n, m in pairs)
    return Geometry("window", ratios, ratios, ((0, 0),) * len(ratios), (1,) * len(ratios))


def _transposed(op: Op, source: Value, result: Value, count: int) -> Geometry:
    p = op.parameters
    if p.get("kernel_size") is None:
        return UNKNOWN
    size = _numbers(p["kernel_size"], count)
    stride, dilation = _numbers(p.get("stride", 1), count), _numbers(p.get("dilation", 1), count)
    before = _numbers(p.get("padding", 0), count)
    places = zip(_pairs(source, result), size, stride, dilation, before, strict=True)
    padding = tuple((b, (n - 1) * s + d * (k - 1) + 1 - b - m) for (n, m), k, s, d, b in places)
    return Geometry("transposed", size, stride, padding, dilation)


def _pixels(op: Op, source: Value, result: Value, count: int) -> Geometry:
    pairs = _pairs(source, result)
    if op.kind == "pixel_shuffle":
        factors = tuple(m // n for n, m in pairs)
        return Geometry("upsample", (1,) * count, factors, ((0, 0),) * count, (1,) * count)
    factors = tuple(n // m for n, m in pairs)
    return Geometry("window", factors, factors, ((0, 0),) * count, (1,) * count)


def _upsample(op: Op, source: Value, result: Value, count: int) -> Geometry:
    """Nearest, linear and cubic by whole factors; all else by what interpolation does to each axis alone."""
    p = op.parameters
    mode = _mode(op)
    pairs = _pairs(source, result)
    plain = not p.get("align_corners") and not p.get("antialias") and "aa" not in op.name.split("_")
    if plain and mode != "area" and all(n and m % n == 0 for n, m in pairs) and not _odd_scales(p, pairs):
        reach = 4 if "cubic" in mode else 2 if "linear" in mode else 1
        factors = tuple(m // n for n, m in pairs)
        return Geometry("upsample", (reach,) * count, factors, ((0, 0),) * count, (1,) * count)
    if mode == "area":
        return _adaptive(source, result)
    if p.get("align_corners") and not p.get("antialias") and "linear" in mode:
        whole = all(n and m % n == 0 for n, m in pairs)
        factors = tuple(m // n if whole else 1 for n, m in pairs)
        ratio = () if whole else tuple(n / m for n, m in pairs)
        return Geometry("upsample", (2,) * count, factors, ((0, 0),) * count, (1,) * count, mode="corners", ratio=ratio)
    if op.name and op.function is not F.interpolate and op.name not in ("interpolate", "upsample"):
        return _by_size(mode, p, pairs) if plain else UNKNOWN
    tables = tuple(_interpolated(op, mode, i, n, m, count) for i, (n, m) in enumerate(pairs))
    return Geometry("table", (1,) * count, sources=tables)


def _mode(op: Op) -> str:
    if op.kind == "upsample" and op.name.lstrip("_").startswith("upsample_"):
        return op.name
    return str(op.parameters.get("mode", "nearest"))


def _by_size(mode: str, p: Mapping[str, Any], pairs: Sequence[tuple[int, int]]) -> Geometry:
    """Interpolation by a primitive operation, which is told no more than the size."""
    count = len(pairs)
    reach = 4 if "cubic" in mode else 2 if "linear" in mode else 1
    return Geometry(
        "upsample", (reach,) * count, (1,) * count, ((0, 0),) * count, (1,) * count,
        mode="centres" if "exact" in mode else "", ratio=tuple(n / m for n, m in pairs),
    )  # fmt: skip


def _odd_scales(p: Mapping[str, Any], pairs: Sequence[tuple[int, int]]) -> bool:
    """Say whether a factor is given that is not quite that of the lengths, and counts."""
    factor = p.get("scale_factor")
    if factor is None or p.get("recompute_scale_factor"):
        return False
    factors = factor if isinstance(factor, tuple | list) else [factor] * len(pairs)
    return any(abs(f * n - m) > 1e-9 * m for f, (n, m) in zip(factors, pairs, strict=True))


def _interpolated(op: Op, mode: str, axis: int, n: int, m: int, count: int) -> Array:
    """Ask what each place along an axis is made of: interpolate one line for each input place that has a one there."""
    p = op.parameters
    factor = p.get("scale_factor")
    if isinstance(factor, tuple | list):
        factor = factor[axis]
    given: dict[str, Any] = {"align_corners": p.get("align_corners"), "antialias": bool(p.get("antialias"))}
    if factor is not None:
        given["recompute_scale_factor"] = p.get("recompute_scale_factor")
    lines = torch.eye(n, dtype=torch.float64)[:, None]
    flat = mode in ("bilinear", "bicubic")  # these know planes alone: one that is constant across
    simple = {"trilinear": "linear", "bilinear": "bilinear"}.get(mode, mode)
    lines = lines[..., None, :].expand(n, 1, 2, n) if flat else lines
    if factor is not None:
        said: dict[str, Any] = {"scale_factor": (1.0, float(factor)) if flat else (float(factor),)}
    else:
        said = {"size": (2, m) if flat else (m,)}
    out = F.interpolate(lines, mode=simple, **said, **given)
    weights = out.reshape(n, -1, out.shape[-1])[:, 0].T.numpy()
    taps = np.where(np.abs(weights) > 1e-12, np.arange(n), MISSING)
    taps = -np.sort(-taps, axis=1)
    return taps[:, : max(int((taps != MISSING).sum(1).max(initial=0)), 1)]


def _pad(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
    source = sources[0]
    flat = op.parameters.get("pad", ())
    flat = flat if isinstance(flat, tuple | list) else (flat,) * 2 * (len(source.shape) - 2)
    pairs = [(int(flat[i]), int(flat[i + 1])) for i in range(0, len(flat) - 1, 2)][::-1]
    # pairs run from the last axis backwards, in the network's own order of axes
    axes = (source.axes or ())[len(source.shape) - len(pairs) :]
    by_name = {a: pair for a, pair in zip(axes, pairs, strict=True) if a != "channel" and (any(pair) or a in SPACE)}
    if "sample" in by_name and any(by_name["sample"]):
        return UNKNOWN
    spatial = tuple(a for a in source.places if a in SPACE)
    names = spatial if set(by_name) <= set(spatial) else tuple(a for a in source.places if a in by_name)
    if not names:
        return POINTWISE
    padding = tuple(by_name.get(a, (0, 0)) for a in names)
    count = len(names)
    mode = str(op.parameters.get("mode", "constant"))
    asked = () if names == spatial else names
    return Geometry(
        "window", (1,) * count, (1,) * count, padding, (1,) * count, asked, "" if mode == "constant" else mode
    )


# --- layers that mix --------------------------------------------------------------------------------------------------


def _normalised(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
    """Norms over the last axes, over all places, or over those of the batch."""
    source = sources[0]
    if len(sources) > 1:
        return _scaled_by_others(_normalised(op, sources[:1], result), sources, result)
    if op.kind == "batch_norm":
        training = bool(op.parameters.get("training", False))
        return _whole(source, source.places, gate=True) if training else POINTWISE
    if op.kind in ("layer_norm", "rms_norm") or op.name in ("native_layer_norm",):
        shape = op.parameters.get("normalized_shape", op.args[1] if len(op.args) > 1 else ())
        covered = len(shape) if isinstance(shape, tuple | list) else 1
        axes = (source.axes or ())[len(source.shape) - covered :]
        return _whole(source, [a for a in axes if a not in ("sample", "channel")], gate=True)
    return _whole(source, (source.axes or ())[2:], gate=True)


def _scaled_by_others(own: Geometry, sources: Sequence[Value], result: Value) -> Geometry:
    """Adaptive norms: what scales is calculated from the input too, and read at the same place."""
    return Geometry("each", parts=(own, *(_lined_up(v, result) for v in sources[1:])))


def _scaled(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
    source = sources[0]
    axes = source.axes or ()
    default = 1 if op.kind == "normalize" else None
    dim = op.parameters.get("dim", default)
    if dim is None and op.kind == "normalize":
        dim = 1
    if op.kind == "normalize":
        dim = op.kwargs.get("dim", op.args[2] if len(op.args) > 2 else 1)
    along = axes[dim] if isinstance(dim, int) and -len(axes) <= dim < len(axes) else "channel"
    return UNKNOWN if along == "sample" else _whole(source, (along,), gate=True)


def _gated_half(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
    source = sources[0]
    dim = op.parameters.get("dim", op.args[1] if len(op.args) > 1 else -1)
    axis = (source.axes or ())[dim]
    if axis == "channel":
        return POINTWISE
    if axis not in source.places:
        return UNKNOWN
    m = result.shape[dim]
    return Geometry("window", (2,), (1,), ((0, 0),), (m,), (axis,))


def _dense(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
    """A product with a matrix mixes the last axis."""
    given = op.args[1] if op.name == "addmm" and len(op.args) > 1 else None
    if given is not None and any(v.key != id(given) for v in sources):
        return UNKNOWN

    def rule(source: Value) -> Geometry:
        axes = zip((source.axes or ())[:-1], (result.axes or ())[:-1], strict=False)
        if len(source.shape) != len(result.shape):
            return UNKNOWN
        return _renaming(source, result, {FOLDED: FOLDED} | {b: a for a, b in axes})

    if op.name in ("", "linear", "bilinear", "addmm") and len(sources) == (2 if "bilinear" in op.name else 1):
        return _each(rule, sources)
    return _each(rule, sources) if len(sources) == 1 or not op.name else UNKNOWN


def _product(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
    """matmul and its kin: the rows of the first with the columns of the second."""
    start = 1 if op.name in ("baddbmm",) else 0
    values = [*op.args, *op.kwargs.values()]
    first = values[start] if len(values) > start else None
    reads = result.axes or ()
    if op.name in ("einsum", "tensordot") or first is None:
        return _einsum(op, sources, result) if op.name == "einsum" else UNKNOWN

    def rule(source: Value) -> Geometry:
        axes = source.axes or ()
        if start and source.key == id(values[0]):
            return _lined_up(source, result)
        if len(axes) < 2 or len(axes) > len(reads):
            return UNKNOWN
        shift = len(reads) - len(axes)
        stays = -2 if source.key == id(first) else -1
        kept = {reads[i + shift]: a for i, a in enumerate(axes[:-2]) if source.shape[i] > 1} | {
            reads[stays]: axes[stays]
        }
        ahead = [(r, a) for r, a in kept.items() if "sample" in (r, a) and r != a]
        if ahead or (source.key == id(first) and any(source.key == id(v) for v in values[start + 1 :])):
            return UNKNOWN
        return _renaming(source, result, kept | ({FOLDED: FOLDED} if source.fold > 1 else {}))

    return _each(rule, sources)


def _einsum(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
    equation = op.args[0] if op.args and isinstance(op.args[0], str) else ""
    left, arrow, right = equation.replace(" ", "").partition("->")
    given = op.args[1] if len(op.args) > 1 and isinstance(op.args[1], tuple | list) else op.args[1:]
    terms = left.split(",")
    if not arrow or "." in equation or len(right) != len(result.shape) or len(terms) != len(given):
        return UNKNOWN

    def rule(source: Value) -> Geometry:
        mine = [t for t, g in zip(terms, given, strict=True) if id(g) == source.key]
        if len(mine) != 1 or len(set(mine[0])) < len(mine[0]) or len(mine[0]) != len(source.axes or ()):
            return UNKNOWN
        by_letter = dict(zip(mine[0], source.axes or (), strict=True))
        kept = {r: by_letter[c] for r, c in zip(result.axes or (), right, strict=True) if c in by_letter}
        if any("sample" in (r, a) and r != a for r, a in kept.items()):
            return UNKNOWN
        return _renaming(source, result, kept | ({FOLDED: FOLDED} if source.fold > 1 else {}))

    return _each(rule, sources)


def _recurrent(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
    """A sequence is read up to each step, or whole in both directions; a state that is given is read whole."""
    p = op.parameters
    cell = "num_layers" not in p and (op.name == "" or op.name.endswith("cell"))
    if cell:
        return _each(lambda v: _renaming(v, result, {FOLDED: FOLDED}), sources)
    if op.name:  # a primitive: (input, state, weights, biases, layers, dropout, training, bidirectional, batch first)
        flags = [a for a in op.args if isinstance(a, bool)]
        first, both = flags[-1], flags[-2]
    else:
        first, both = bool(p.get("batch_first")), bool(p.get("bidirectional"))
    axes = sources[0].axes or ()
    time = axes[1 if first else 0] if len(axes) == 3 else "sample"
    if time in ("sample", "channel"):
        return UNKNOWN
    own = _whole(sources[0], (time,)) if both else Geometry("prefix", axes=(time,))
    return own if len(sources) == 1 else Geometry("each", parts=(own, *(_state_read(v, result) for v in sources[1:])))


def geometry_of_gate(owner: Geometry, gate: str) -> Geometry:
    """Give what a gate sees: as its layer does, but for a first depth of two directions, whose gates read one way."""
    first = owner.parts[0] if owner.kind == "each" else owner
    place = gate.rpartition("/")[0].removeprefix("l0/")
    if place not in ("forward", "backward") or first.kind != "global":
        return owner
    turned = Geometry("prefix" if place == "forward" else "suffix", axes=first.axes)
    return turned if owner is first else replace(owner, parts=(turned, *owner.parts[1:]))


def _state_read(source: Value, result: Value) -> Geometry:
    return Geometry("renamed", result.lengths, axes=("",) * len(result.places), names=result.places)


def _attention(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
    """A place of the queries sees itself and all keys; of a causal one, those up to itself."""
    given = _arguments(op)
    masked = op.parameters.get("is_causal") or given.get("is_causal")
    mask = given.get("attn_mask")
    axis = _steps_axis(op, result)
    if axis is None:
        return UNKNOWN
    prefix = _is_triangle(mask) or (masked and mask is None)
    queries = id(given.get("query"))
    keys = [id(given.get(n)) for n in ("key", "value")]

    def rule(source: Value) -> Geometry:
        own = _steps_axis(op, source)
        if source.key not in (queries, *keys) or own is None:
            return Geometry("unknown", axes=()) if source.key != id(mask) else _state_read(source, result)
        if source.key in keys:
            if prefix and source.places == result.places and source.lengths == result.lengths:
                return Geometry("prefix", axes=(own,))
            if isinstance(mask, torch.Tensor) and source.key == queries:
                return Geometry("unknown", axes=() if len(source.places) == 1 else (own,))
            if source.key == queries and source.places == result.places:
                return _whole(source, (own,))
            kept = {a: b for a, b in zip(result.places, source.places, strict=False) if b != own and a != axis}
            return _renaming(source, result, kept)
        return _renaming(source, result, dict(zip(result.places, source.places, strict=False)))

    return _each(rule, sources)


def _arguments(op: Op) -> dict[str, Any]:
    """Name the arguments of an attention."""
    if op.name == "":
        names: Axes = ("query", "key", "value", "key_padding_mask", "need_weights", "attn_mask", "average", "is_causal")
    elif op.name == "scaled_dot_product_attention":
        names = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")
    else:
        names = ("query", "key", "value")
    return dict(zip(names, op.args, strict=False)) | dict(op.kwargs)


def _steps_axis(op: Op, value: Value) -> str | None:
    """Name the axis that queries or keys are counted along."""
    axes = value.axes or ()
    if len(axes) < 3:
        return None
    at = -2 if op.name == "scaled_dot_product_attention" else 1 if op.parameters.get("batch_first") else 0
    return axes[at] if axes[at] not in ("sample", "channel") else None


def _is_triangle(mask: Any) -> bool:
    """Say whether a mask lets each query see the keys up to itself."""
    if not isinstance(mask, torch.Tensor) or mask.ndim != 2 or mask.shape[0] != mask.shape[1]:
        return False
    hidden = mask if mask.dtype == torch.bool else mask == -torch.inf
    later = torch.ones_like(hidden, dtype=torch.bool).triu(1)
    return bool((hidden.bool() == later).all()) or bool((mask.dtype == torch.bool) and (mask == ~later).all())


def _embedding(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
    ids = sources[0]
    if len(ids.shape) + 1 != len(result.shape):
        return _renaming(ids, result, {FOLDED: FOLDED})
    kept = dict(zip(result.axes or (), ids.axes or (), strict=False))
    return _renaming(ids, result, {FOLDED: FOLDED} | kept)


def _reduced(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
    """Axes that are summed over are mixed whole; torch.max of two tensors goes place by place."""
    if len([a for a in op.args if isinstance(a, torch.Tensor)]) + ("other" in op.kwargs) > 1:
        return _same_place(op, sources, result)
    source = sources[0]
    count = len(source.shape)
    dims = op.kwargs.get("dim", op.kwargs.get("axis"))
    rest = op.args[2:] if op.name in SECOND_IS_A_NUMBER else op.args[1:]
    if dims is None and rest and not isinstance(rest[0], bool):
        dims = rest[0]
    chosen = range(count) if dims is None or dims == [] else [d % count for d in _numbers_of(dims)]
    if len(result.shape) == count:
        left = [(i, i) for i in range(count) if i not in chosen]
    else:
        left = list(enumerate(i for i in range(count) if i not in chosen))
    axes, named = source.axes or (), result.axes or ()
    if len(left) > len(named) or "sample" not in named:
        return WHOLE
    kept = {FOLDED: FOLDED} | {named[i]: axes[j] for i, j in left}
    return _renaming(source, result, kept)


def _numbers_of(value: Any) -> list[int]:
    return [int(v) for v in value] if isinstance(value, tuple | list) else [int(value)]


def _running(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
    source, dim = sources[0], op.kwargs.get("dim", op.args[1] if len(op.args) > 1 else None)
    axis = (source.axes or ())[dim] if isinstance(dim, int) else ""
    if axis == "channel":
        return POINTWISE
    return Geometry("prefix", axes=(axis,)) if axis in source.places else UNKNOWN


def _sorted(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
    source = sources[0]
    at = 2 if op.name in ("topk", "kthvalue") else 1
    dim = op.kwargs.get("dim", op.args[at] if len(op.args) > at else -1)
    axis = (source.axes or ())[dim] if isinstance(dim, int) and not isinstance(dim, bool) else ""
    if axis in ("", "sample"):
        return UNKNOWN
    if axis == "channel":
        return _lined_up(source, result)
    return _renaming(source, result, {a: a for a in source.places if a != axis})


def _joined(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
    """Tensors one behind the other: along channels the same places; along places one range after the other."""
    given = op.args[0] if op.args else op.kwargs.get("tensors")
    dim = op.parameters.get("dim", op.kwargs.get("axis", 0))
    axes = result.axes or ()
    along = axes[dim] if isinstance(dim, int) and -len(axes) <= dim < len(axes) else "sample"
    if along == "channel":
        return _each(lambda v: _lined_up(v, result), sources)
    raise_to = parts(op, sources, result)[0]
    complete = isinstance(given, tuple | list) and [id(t) for t in given] == [v.key for v in sources]
    alike = all(v.places == result.places for v in sources)
    if complete and alike and along != "sample" and len(sources) > 1:
        return Geometry("concat", axes=(along,), parts=raise_to)
    return _joint(raise_to)


def _same_place(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
    return _each(lambda v: _lined_up(v, result), sources)


def _other(op: Op, sources: Sequence[Value], result: Value) -> Geometry:
    return _same_place(op, sources, result) if {op.kind, op.name} & SAME_PLACE else UNKNOWN


def _moves(op: Op, sources: Sequence[Value], result: Value) -> bool:
    if op.kind in ("pixel_shuffle", "pixel_unshuffle"):
        return len(sources[0].shape) != 4
    if op.kind == "concat":
        return False
    return op.kind in MOVING or op.name in MOVING


_RULES: Mapping[str, Rule] = {
    **{kind: _sliding(_window) for kind in ("conv", "max_pool", "avg_pool", "lp_pool")},
    **{kind: _sliding(_pixels) for kind in ("pixel_shuffle", "pixel_unshuffle")},
    "conv_transposed": _sliding(_transposed),
    "upsample": _sliding(_upsample),
    "pad": _pad,
    **dict.fromkeys(
        ("layer_norm", "rms_norm", "group_norm", "instance_norm", "batch_norm", "native_layer_norm",
         "native_group_norm"), _normalised),
    **dict.fromkeys(SCALING, _scaled),
    **dict.fromkeys(REDUCING, _reduced),
    **dict.fromkeys(RUNNING, _running),
    **dict.fromkeys(SORTING, _sorted),
    **dict.fromkeys((*RECURRENT, "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"), _recurrent),
    "glu": _gated_half,
    "dense": _dense,
    "matmul": _product,
    "attention": _attention,
    "embedding": _embedding,
    "concat": _joined,
}  # fmt: skip
