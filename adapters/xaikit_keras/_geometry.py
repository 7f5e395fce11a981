"""How the places of what a call gives look at the places of what it takes: one rule for each kind of layer.

Everything here works on configurations and shapes; nothing runs. None = the rule cannot say, and the operations inside
of the call are asked.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from xaikit.graph import Geometry, places
from xaikit_keras._graph import ELEMENTWISE, RECURRENT, REDUCING, Value, axes_of, kind_of

POINTWISE, WHOLE, UNKNOWN = Geometry("pointwise"), Geometry("global"), Geometry("unknown")


@dataclass(frozen=True)
class Seen:
    """What is known of a call: its operation and kind, the tensors in and out, the other arguments."""

    operation: Any
    kind: str
    inputs: Sequence[Value]
    result: Value
    arguments: Mapping[str, Any] = field(default_factory=dict)
    same: bool = False
    """Whether all that enters is one and the same tensor."""
    reads: int = 1
    """How many of the tensors depend on what the network is given; the others are weights."""

    @property
    def source(self) -> Value:
        return self.inputs[0]

    @property
    def spatial(self) -> tuple[str, ...]:
        """The axes that a window slides along: all but sample and channel, where a layer is about space."""
        return places(self.source.axes)

    @property
    def pairs(self) -> list[tuple[int | None, int | None]]:
        """The length of each axis of places before and after."""
        return list(zip(lengths(self.source), lengths(self.result), strict=False))


def lengths(value: Value) -> tuple[int | None, ...]:
    """Give the lengths of the axes of places."""
    return tuple(n for a, n in zip(value.axes, value.shape, strict=True) if a not in ("sample", "channel"))


def geometry_of(seen: Seen) -> Geometry | None:
    """Say how places of the result look at places of the input; None where no rule can."""
    if not seen.inputs:
        return WHOLE
    return _RULES.get(seen.kind, _other)(seen)


def _tuple(value: Any, count: int) -> tuple[int, ...]:
    numbers = tuple(value) if isinstance(value, tuple | list) else (value,) * count
    return tuple(int(n) for n in (numbers if len(numbers) == count else numbers[:1] * count))


# --- windows --------------------------------------------------------------------------------------------------------


def _kernel(seen: Seen) -> Any:
    operation = seen.operation
    size = getattr(operation, "kernel_size", None) or getattr(operation, "pool_size", None)
    if size is None and seen.kind.startswith(("conv", "depthwise", "separable")):
        kernel = seen.arguments.get("kernel", seen.arguments.get("1"))
        size = tuple(getattr(kernel, "shape", ()))[:-2] or None
    return size


def _window(seen: Seen) -> Geometry | None:
    operation, count = seen.operation, len(places(seen.result.axes))
    size = _kernel(seen)
    if size is None or len(seen.spatial) != count or not isinstance(operation.padding, str):
        return None
    sizes = _tuple(size, count)
    strides = _tuple(getattr(operation, "strides", None) or size, count)
    dilations = _tuple(getattr(operation, "dilation_rate", 1), count)
    padding = tuple(
        _padding(operation.padding, k, s, d, n)
        for k, s, d, (n, _) in zip(sizes, strides, dilations, seen.pairs, strict=True)
    )
    mode = "same" if operation.padding == "same" and any(s > 1 for s in strides) else ""
    return Geometry("window", sizes, strides, padding, dilations, mode=mode)


def _padding(mode: str, size: int, stride: int, dilation: int, places: int | None) -> tuple[int, int]:
    """Give TensorFlow's padding: "same" puts the odd one behind and depends on the number of places."""
    reach = dilation * (size - 1)
    if mode == "causal":
        return reach, 0
    if mode != "same":
        return 0, 0
    last = 0 if places is None else (places - 1) % stride
    total = max(reach - (last if places is not None else stride - 1), 0)
    return total // 2, total - total // 2


def _adaptive(seen: Seen) -> Geometry | None:
    if all(m == 1 for _, m in seen.pairs):
        return Geometry("global", axes=seen.spatial)
    return Geometry("adaptive", axes=seen.spatial)


def _pool(seen: Seen) -> Geometry | None:
    return _adaptive(seen) if hasattr(seen.operation, "output_size") else _window(seen)


def _transposed(seen: Seen) -> Geometry | None:
    """Give the cut from the full output (n-1)·s + d(k-1) + 1: "same" takes the smaller half off the front."""
    operation, count, size = seen.operation, len(places(seen.result.axes)), _kernel(seen)
    if size is None or len(seen.spatial) != count:
        return None
    sizes, strides = _tuple(size, count), _tuple(operation.strides, count)
    dilations = _tuple(operation.dilation_rate, count)
    cuts = []
    for k, s, d, (n, m) in zip(sizes, strides, dilations, seen.pairs, strict=True):
        reach, same = d * (k - 1) + 1, operation.padding == "same"
        total = reach - s if same else min(reach - s, 0)
        if n is not None and m is not None:
            total = (n - 1) * s + reach - m
        before = max(total, 0) // 2 if same else 0
        cuts.append((before, total - before))
    return Geometry("transposed", sizes, strides, tuple(cuts), dilations)


TAPS = {"nearest": 1, "bilinear": 2, "bicubic": 4, "lanczos3": 6, "lanczos5": 10}


def _upsample(seen: Seen) -> Geometry | None:
    count = len(places(seen.result.axes))
    reach = TAPS.get(str(getattr(seen.operation, "interpolation", "nearest")))
    if reach is None or len(seen.spatial) != count:
        return None
    return Geometry("upsample", (reach,) * count, _tuple(seen.operation.size, count), ((0, 0),) * count, (1,) * count)


def _resized(seen: Seen) -> Geometry | None:
    """Resizing to any size: TensorFlow takes the place nearest to the middle of the new one."""
    operation, count = seen.operation, len(places(seen.result.axes))
    reach = TAPS.get(str(operation.interpolation))
    keeps = any(getattr(operation, f"{how}_to_aspect_ratio", False) for how in ("crop", "pad"))
    unknown = any(n is None or m is None for n, m in seen.pairs)
    if reach is None or keeps or unknown or getattr(operation, "antialias", False) or len(seen.spatial) != count:
        return None
    pairs = [(n or 1, m or 1) for n, m in seen.pairs]
    whole = all(m % n == 0 for n, m in pairs)
    return Geometry(
        "upsample",
        (reach,) * count,
        tuple(m // n if whole else 1 for n, m in pairs),
        ((0, 0),) * count,
        (1,) * count,
        mode="" if whole else "centres",
        ratio=() if whole else tuple(n / m for n, m in pairs),
    )


def _shifted(seen: Seen) -> Geometry:
    """Padding with zeros, or cropping: padding by less than nothing."""
    operation, count = seen.operation, len(places(seen.result.axes))
    amounts = operation.padding if seen.kind == "zero_pad" else operation.cropping
    pairs = [tuple(amounts)] if count == 1 and not isinstance(amounts[0], tuple | list) else [tuple(p) for p in amounts]
    sign = 1 if seen.kind == "zero_pad" else -1
    padding = tuple((sign * int(a), sign * int(b)) for a, b in pairs)
    return Geometry("window", (1,) * count, (1,) * count, padding, (1,) * count)


# --- axes that are mixed --------------------------------------------------------------------------------------------


def _chosen(seen: Seen, axis: Any) -> tuple[str, ...]:
    """Name the axes of places among those that an operation runs along."""
    count = len(seen.source.axes)
    numbers = axis if isinstance(axis, tuple | list) else (axis,)
    names = {seen.source.axes[int(i)] for i in numbers if i is not None and -count <= int(i) < count}
    return tuple(a for a in seen.spatial if a in names)


def _along_axis(seen: Seen) -> Geometry:
    """Softmax and layer normalisation mix the places if they run along one of them."""
    chosen = _chosen(seen, getattr(seen.operation, "axis", -1))
    return Geometry("global", axes=chosen, gate="norm" in seen.kind) if chosen else POINTWISE


def _group_norm(seen: Seen) -> Geometry:
    return Geometry("global", axes=seen.spatial, gate=True) if seen.spatial else WHOLE


def _joined(seen: Seen) -> Geometry | None:
    """Joining channels is a matter of single places; joining places is not."""
    axes, axis = seen.result.axes, getattr(seen.operation, "axis", -1)
    name = axes[int(axis)]
    if name == "channel":
        return POINTWISE
    alike = all(v.axes == axes for v in seen.inputs) and seen.reads == len(seen.inputs) and not seen.same
    return Geometry("concat", axes=(name,)) if alike and name != "sample" else None


def _dense(seen: Seen) -> Geometry | None:
    """A dense layer mixes the last axis."""
    equation = getattr(seen.operation, "equation", None)
    if equation is not None:
        return _einsum(seen, equation)
    chosen = _chosen(seen, -1)
    if not chosen:
        return POINTWISE
    return Geometry("global", axes=chosen)


def _einsum(seen: Seen, equation: str) -> Geometry | None:
    """Places stay where they are if the equation keeps their letters, and mix where it sums over them."""
    left, right = equation.replace(" ", "").split("->")
    before, after = left.split(",")[0], right
    if "." in left and (before.index(".") or after.index(".")):
        return None
    was = dict(zip(before.replace(".", "")[::-1], seen.source.axes[::-1], strict=False))
    now = dict(zip(after.replace(".", "")[::-1], seen.result.axes[::-1], strict=False))
    if any(was[c] != now[c] for c in was if c in now):
        return None
    gone = tuple(a for c, a in was.items() if c not in now and a in seen.spatial)
    return Geometry("global", axes=gone) if gone else POINTWISE


def _summed(seen: Seen) -> Geometry | None:
    return _einsum(seen, seen.operation.subscripts) if seen.reads == 1 else None


def _cumulated(seen: Seen) -> Geometry | None:
    chosen = _chosen(seen, getattr(seen.operation, "axis", None))
    return Geometry("prefix", axes=chosen) if len(chosen) == 1 and seen.result.axes == seen.source.axes else None


def _reduced(seen: Seen) -> Geometry | None:
    axis = getattr(seen.operation, "axis", None)
    chosen = seen.spatial if axis is None else _chosen(seen, axis)
    kept = tuple(a for a in seen.spatial if a not in chosen)
    left = places(seen.result.axes)
    if left not in (kept, seen.spatial):
        return None if kept else WHOLE
    return Geometry("global", axes=chosen) if chosen else POINTWISE


def _whole(seen: Seen) -> Geometry:
    return Geometry("global", axes=seen.spatial)


def _flattened(seen: Seen) -> Geometry | None:
    return None if len(places(seen.result.axes)) else WHOLE


# --- sequences ------------------------------------------------------------------------------------------------------


def _recurrent(seen: Seen) -> Geometry:
    """Each step sees itself and those before; what enters as the first state is seen by all."""
    operation, time = seen.operation, seen.source.axes[1:2]
    backwards = bool(getattr(operation, "go_backwards", False))
    whole = seen.kind == "bidirectional" or not getattr(operation, "return_sequences", False)
    kind: Any = "suffix" if backwards else "prefix"
    own = Geometry("global", axes=time) if whole else Geometry(kind, axes=time, mode="reversed" if backwards else "")
    return Geometry("each", parts=(own, *[WHOLE] * (len(seen.inputs) - 1))) if len(seen.inputs) > 1 else own


def _conv_lstm(seen: Seen) -> Geometry | None:
    operation = seen.operation
    time, axes = seen.source.axes[1], seen.source.axes[2:-1]
    count = len(axes)
    if operation.data_format != "channels_last" or seen.source.axes[-1] != "channel" or len(seen.inputs) > 1:
        return None
    size, strides = _tuple(operation.kernel_size, count), _tuple(operation.strides, count)
    dilations = _tuple(operation.dilation_rate, count)
    read = seen.source.shape[2:-1]
    padding = tuple(
        _padding(operation.padding, k, s, d, n) for k, s, d, n in zip(size, strides, dilations, read, strict=True)
    )
    around = tuple(_padding("same", k, 1, 1, None) for k in size)
    mode = "same" if operation.padding == "same" and any(s > 1 for s in strides) else ""
    inner = Geometry("window", size, strides, padding, dilations, axes, mode)
    state = Geometry("window", size, (1,) * count, around, (1,) * count, axes)
    kind: Any = "suffix" if operation.go_backwards else "prefix"
    order = Geometry(kind, axes=(time,), mode="reversed" if operation.go_backwards else "")
    return Geometry("recurrent_window", parts=(order, inner, state))


def _attention(seen: Seen) -> Geometry:
    """Queries stay in their place, keys and values are seen by all, or by those behind them.

    A mask of the caller's own leaves out some: the whole is an upper bound.
    """
    axes = _chosen(seen, getattr(seen.operation, "_attention_axes", None)) or seen.spatial
    causal = bool(seen.arguments.get("use_causal_mask"))
    masked = seen.arguments.get("attention_mask") is not None
    alone = seen.same or len(seen.inputs) == 1
    if causal and len(axes) == 1:
        seeing = Geometry("prefix", axes=axes if alone else places(seen.inputs[-1].axes))
    else:
        seeing = Geometry("unknown" if masked else "global", axes=axes if alone else ())
    return seeing if alone else Geometry("each", parts=(POINTWISE, *[seeing] * (len(seen.inputs) - 1)))


def _inner(seen: Seen) -> Geometry | None:
    """A layer applied to every time step: its own geometry, along its own axes."""
    operation, source, result = seen.operation.layer, seen.source, seen.result
    names = source.axes[2:]
    inner = Value((source.shape[0], *source.shape[2:]), ("sample", *names))
    if not places(inner.axes):
        return POINTWISE
    kind = kind_of(operation)
    shape = (result.shape[0], *result.shape[2:])
    given = Value(shape, axes_of(operation, kind, [inner], shape))
    step = geometry_of(Seen(operation, kind, [inner], given))
    axes = places(inner.axes)
    if step is None or not places(given.axes) or (step.kind in ("global", "unknown") and not step.axes):
        exact = not places(given.axes) or (step is not None and step.kind == "global") or kind in ("flatten", "dense")
        return Geometry("global" if exact else "unknown", axes=axes)
    if step.kind == "pointwise" or step.axes:
        return step
    return Geometry(**{**vars(step), "axes": axes}) if len(step.size) == len(axes) else Geometry("unknown", axes=axes)


def _wrapped(seen: Seen) -> Geometry | None:
    """A wrapper that only changes the weights of its layer."""
    inner = seen.operation.layer
    return geometry_of(replace(seen, operation=inner, kind=kind_of(inner)))


# --- single places --------------------------------------------------------------------------------------------------


def _pointwise(seen: Seen) -> Geometry:
    return POINTWISE


def _permuted(seen: Seen) -> Geometry | None:
    """Axes that only change their order keep their names."""
    moved = set(seen.source.axes) == set(seen.result.axes) and len(set(seen.source.axes)) == len(seen.source.axes)
    return POINTWISE if moved else None


def _other(seen: Seen) -> Geometry | None:
    """Operations known to work place by place, on tensors that spread over one another."""
    if seen.kind not in ELEMENTWISE:
        return None
    after = seen.result.shape[1:]
    return POINTWISE if all(_spreads(v.shape[1:], after) for v in seen.inputs) else None


def _spreads(shape: Sequence[int | None], after: Sequence[int | None]) -> bool:
    if len(shape) > len(after):
        return False
    return all(n in (1, m) for n, m in zip(shape[::-1], after[::-1], strict=False))


_RULES: Mapping[str, Callable[[Seen], Geometry | None]] = {
    **dict.fromkeys(("conv", "depthwise_conv", "separable_conv"), _window),
    **dict.fromkeys(("max_pool", "avg_pool", "average_pool"), _pool),
    **dict.fromkeys(("conv_transposed", "conv_transpose"), _transposed),
    "upsample": _upsample,
    **dict.fromkeys(("resizing", "resize"), _resized),
    **dict.fromkeys(("zero_pad", "crop"), _shifted),
    **dict.fromkeys(("softmax", "log_softmax", "layer_norm", "unit_norm", "rms_norm"), _along_axis),
    "group_norm": _group_norm,
    "einsum": _summed,
    **dict.fromkeys(("cumsum", "cumprod"), _cumulated),
    "concat": _joined,
    "dense": _dense,
    **dict.fromkeys(REDUCING - {"argmax", "argmin"}, _reduced),
    **dict.fromkeys(("global_avg_pool", "global_max_pool"), _whole),
    "flatten": _flattened,
    **dict.fromkeys(RECURRENT - {"conv_lstm"}, _recurrent),
    "conv_lstm": _conv_lstm,
    "attention": _attention,
    "time_distributed": _inner,
    "spectral_normalization": _wrapped,
    "embedding": _pointwise,
    **dict.fromkeys(("permute", "transpose"), _permuted),
}
