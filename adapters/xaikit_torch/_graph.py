"""What a call of a module or function is: its kind, and the axes of what it gives.

Everything here works on names, shapes and parameters; nothing runs but functions that move axes, on tensors without
data.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from xaikit.arrays import SPACE
from xaikit.graph import FOLDED, places

Axes = tuple[str, ...]
PLACES: Mapping[int, Axes] = {0: (), 1: ("time",), 2: ("height", "width"), 3: ("depth", "height", "width")}
SEQUENCE: Axes = ("time", "token")
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19)


def words(text: str) -> frozenset[str]:
    """Give the words of a text."""
    return frozenset(text.split())


MODULE_KINDS: Mapping[str, str] = {
    "_ConvTransposeNd": "conv_transposed",
    "_ConvNd": "conv",
    "Linear": "dense",
    "Bilinear": "dense",
    "_BatchNorm": "batch_norm",
    "_InstanceNorm": "instance_norm",
    "_DropoutNd": "dropout",
    "_MaxPoolNd": "max_pool",
    "_AvgPoolNd": "avg_pool",
    "_AdaptiveAvgPoolNd": "avg_pool",
    "_AdaptiveMaxPoolNd": "max_pool",
    "_LPPoolNd": "lp_pool",
    "RNNCell": "rnn",
    "LSTMCell": "lstm",
    "GRUCell": "gru",
    "MultiheadAttention": "attention",
    "Unflatten": "reshape",
    "EmbeddingBag": "embedding",
    "UpsamplingNearest2d": "upsample",
    "UpsamplingBilinear2d": "upsample",
    "Softmax2d": "softmax",
    "_ConstantPadNd": "pad",
    "_ReflectionPadNd": "pad",
    "_ReplicationPadNd": "pad",
    "_CircularPadNd": "pad",
    "ZeroPad": "pad",
    "ScriptModule": "scripted",
}
PADDINGS: Mapping[str, str] = {
    "reflection_pad": "reflect",
    "replication_pad": "replicate",
    "circular_pad": "circular",
}
FUNCTION_KINDS: Mapping[str, str] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "convolution"), "conv"),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), "conv_transposed"),
    **dict.fromkeys(("linear", "addmm", "bilinear"), "dense"),
    **{f"{a}{kind}_pool{n}d": f"{kind}_pool" for a in ("", "adaptive_") for kind in ("max", "avg") for n in (1, 2, 3)},
    **{f"lp_pool{n}d": "lp_pool" for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": "max_pool" for n in (1, 2, 3)},
    **dict.fromkeys(("dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_dropout"), "dropout"),
    **dict.fromkeys(("view", "reshape", "unflatten", "squeeze", "unsqueeze", "view_as", "expand"), "reshape"),
    **dict.fromkeys(
        ("permute", "transpose", "swapaxes", "swapdims", "movedim", "moveaxis", "t", "T", "mT", "H", "mH", "adjoint"),
        "permute",
    ),
    **dict.fromkeys(("cat", "concat", "concatenate"), "concat"),
    **dict.fromkeys(("matmul", "bmm", "mm", "mv", "baddbmm", "einsum", "tensordot"), "matmul"),
    **dict.fromkeys(("scaled_dot_product_attention", "multi_head_attention_forward"), "attention"),
    **dict.fromkeys(("getitem", "select", "narrow", "index_select", "gather", "take_along_dim", "slice"), "index"),
    **dict.fromkeys(("max", "amax"), "max"),
    **dict.fromkeys(("min", "amin"), "min"),
    **{f"pixel_{s}": f"pixel_{s}" for s in ("shuffle", "unshuffle")},
    **dict.fromkeys(("rnn_tanh", "rnn_relu"), "rnn"),
    **{
        f"{start}upsample_{m}{end}": "upsample"
        for start in ("", "_")
        for m in ("nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "trilinear3d", "bicubic2d")
        for end in ("", "_aa")
    },
    **{f"upsample_nearest_exact{n}d": "upsample" for n in (1, 2, 3)},
    "sub": "subtract",
    "mul": "multiply",
    "div": "divide",
    "expit": "sigmoid",
    **{f"{name}{n}d": "pad" for name in PADDINGS for n in (1, 2, 3)},
    "constant_pad_nd": "pad",
    "im2col": "unfold",
    "interpolate": "upsample",
    "upsample": "upsample",
    "instance_norm": "instance_norm",
    "special_softmax": "softmax",
}
ELEMENTWISE = words(
    "relu relu6 rrelu prelu leaky_relu elu selu celu gelu silu swish mish hardtanh hardswish hardsigmoid "
    "softplus softsign softshrink hardshrink tanhshrink threshold tanh sigmoid log_sigmoid logsigmoid identity dropout "
    "batch_norm add subtract multiply divide neg abs exp log log1p sqrt rsqrt square pow clamp clip sin cos erf sign "
    "where masked_fill maximum minimum lerp addcmul addcdiv reciprocal nan_to_num embedding local_response_norm"
)
REDUCING = words(
    "mean sum prod max min amax amin std var norm logsumexp median quantile squeeze unsqueeze select argmax all any"
)
REPEATING = words("expand expand_as broadcast_to repeat tile")
RECURRENT = ("lstm", "gru", "rnn")
CHANNELS_SECOND = words(
    "conv conv_transposed batch_norm instance_norm group_norm max_pool avg_pool lp_pool global_avg_pool "
    "global_max_pool upsample pixel_shuffle pixel_unshuffle prelu local_response_norm"
)
EVERYWHERE = words("lstm gru rnn attention group_norm instance_norm scripted global_avg_pool global_max_pool")
CHANNELS_LAST = frozenset(("dense", "layer_norm", "rms_norm"))

ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "conv": ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    "conv_transposed": ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
    "max_pool": ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "avg_pool": ("input", "kernel_size", "stride", "padding", "ceil_mode"),
    "lp_pool": ("input", "norm_type", "kernel_size", "stride", "ceil_mode"),
    "pad": ("input", "pad", "mode", "value"),
    "upsample": ("input", "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias"),
    "softmax": ("input", "dim"),
    "log_softmax": ("input", "dim"),
    "concat": ("tensors", "dim"),
    "layer_norm": ("input", "normalized_shape"),
    "rms_norm": ("input", "normalized_shape"),
}
MODULE_PARAMETERS = (
    *("kernel_size", "stride", "padding", "output_padding", "dilation", "ceil_mode", "mode", "dim", "normalized_shape"),
    *("batch_first", "hidden_size", "num_layers", "bidirectional", "groups", "in_channels", "out_channels"),
    *("padding_mode", "size", "scale_factor", "align_corners", "recompute_scale_factor", "antialias", "upscale_factor"),
    *("in_features", "out_features", "num_features", "num_embeddings", "embedding_dim", "embed_dim", "num_heads", "p"),
)


@dataclass(frozen=True)
class Op:
    """One call: what it is, with the parameters that its places depend on; `function` moves axes when asked."""

    kind: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    function: Callable[..., Any] | None = None
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Value:
    """The shape of a tensor, and the names of its axes where they are known.

    `rows` is how many samples there are; a sample axis of a multiple of that holds places too, which change more
    slowly than the samples if they come `late`. `key` is the tensor's identity, `argument` its place among the call's
    tensors.
    """

    shape: tuple[int, ...]
    axes: Axes | None = None
    rows: int = 1
    late: bool = False
    key: int = 0
    argument: int = 0

    @property
    def space(self) -> dict[str, int]:
        """The length of each axis of places."""
        return {a: n for a, n in zip(self.axes or (), self.shape, strict=False) if a in SPACE}

    @property
    def fold(self) -> int:
        """How many places of each sample stand along the sample axis."""
        axes = self.axes or ()
        count = self.shape[axes.index("sample")] if "sample" in axes else self.rows
        return max(count // self.rows, 1) if count % self.rows == 0 else 1

    @property
    def places(self) -> Axes:
        """The axes of places: all but sample and channel, and first those folded into the sample axis."""
        return (*[FOLDED] * (self.fold > 1), *places(self.axes or ()))

    @property
    def lengths(self) -> tuple[int, ...]:
        """The lengths of the axes of places."""
        own = [n for a, n in zip(self.axes or (), self.shape, strict=False) if a not in ("sample", "channel")]
        return (*[self.fold] * (self.fold > 1), *own)

    @property
    def count(self) -> int:
        """The number of places of a sample."""
        return math.prod(self.lengths)


# --- kinds -----------------------------------------------------------------------------------------------------------


def module_op(module: nn.Module, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Op:
    """Describe the call of a module of torch's own."""
    kind = next((MODULE_KINDS[c.__name__] for c in type(module).__mro__ if c.__name__ in MODULE_KINDS), None)
    kind = kind or _words(native_class(module).__name__)
    parameters = {n: getattr(module, n) for n in MODULE_PARAMETERS if hasattr(module, n)}
    if kind == "pad":
        parameters = {"pad": module.padding, "mode": PADDINGS.get(_words(native_class(module).__name__), "constant")}
    if kind == "attention" or kind in RECURRENT:
        parameters.setdefault("batch_first", True)
    if kind == "batch_norm":
        parameters["training"] = module.running_mean is None
    return Op(kind, parameters, "", module.forward, args, kwargs or {})


def native_class(module: nn.Module) -> type:
    """Give torch's own class that a module is, or is derived from; nn.Module itself if there is none."""
    return next(c for c in type(module).__mro__ if c.__module__.startswith(("torch.nn.modules", "torch.jit")))


def _words(name: str) -> str:
    """Write a class name with underscores: LeakyReLU -> leaky_relu, BatchNorm -> batch_norm."""
    name = re.sub("[A-Z]+LU", lambda m: m.group().capitalize(), name.replace("ReLU", "Relu").replace("SiLU", "Silu"))
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"_?[123]d$", "", name.lower())


def function_name(function: Any) -> str:
    """Give the plain name of a function: __iadd__, add_ and aten.add.Tensor are all "add"."""
    name: str = getattr(function, "__name__", "") or type(function).__name__
    if name == "__get__":
        name = getattr(function.__self__, "__name__", name)
    if isinstance(function, torch._ops.OpOverload):
        name = function._schema.name.partition("::")[2]
    if name.startswith("__"):
        name = name.strip("_")
        bare = name.removeprefix("i") if name[:1] == "i" else name.removeprefix("r")
        name = bare if bare in ("add", "sub", "mul", "truediv", "div", "matmul", "pow", "floordiv", "mod") else name
        name = {"truediv": "div"}.get(name, name)
    return name.strip("_") or "function"


def function_op(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Op:
    """Describe the call of a function."""
    name = function_name(function)
    kind = FUNCTION_KINDS.get(name, name)
    known = dict(zip(ARGUMENTS.get(kind, ()), args, strict=False)) | dict(kwargs)
    if "self" in known:
        known["input"] = known.pop("self")
    if name.startswith("adaptive"):
        known = {"output_size": True}
    if name in ("convolution", "_convolution") and len(args) > 6 and args[6]:
        kind, known = "conv_transposed", known | {"output_padding": args[7]}
    mode = next((m for start, m in PADDINGS.items() if name.startswith(start)), None)
    if mode is not None:
        known["mode"] = mode
    if kind in ("conv", "conv_transposed") and isinstance(known.get("weight"), torch.Tensor):
        known["kernel_size"] = tuple(known["weight"].shape[2:])
    parameters = {k: v for k, v in known.items() if not isinstance(v, torch.Tensor | list | tuple) or _plain(v)}
    return Op(kind, parameters, name, function, args, kwargs)


def _plain(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value)


def settled_kind(op: Op, source: Value | None, result: Value) -> str:
    """Give the kind once the shapes are known: a pool or mean over all places is a global one."""
    if source is None or op.kind not in ("max_pool", "avg_pool", "mean", "max"):
        return op.kind
    adaptive = "kernel_size" not in op.parameters
    collapsed = bool(source.space) and all(n == 1 for n in result.space.values())
    if not adaptive or not collapsed or result.axes is None or len(result.shape) < 2:
        return op.kind
    if op.kind in ("mean", "max") and result.shape[1:2] != _channels(source):
        return op.kind
    return {"mean": "global_avg_pool", "avg_pool": "global_avg_pool"}.get(op.kind, "global_max_pool")


def _channels(value: Value) -> tuple[int, ...]:
    return tuple(n for a, n in zip(value.axes or (), value.shape, strict=False) if a == "channel")


# --- axes ------------------------------------------------------------------------------------------------------------


def result_axes(op: Op, inputs: Sequence[Value], shape: tuple[int, ...], convolutional: bool) -> Axes:
    """Name the axes of what a call gives; `convolutional` says how to read three unknown axes."""
    found = _known_axes(op, inputs, shape)
    if found is None or len(found) != len(shape):
        found = default_axes(len(shape), convolutional)
    if found == ("sample", "channel"):
        return ("sample", "feature")
    return tuple(a if found.index(a) == i else f"axis {i}" for i, a in enumerate(found))


def default_axes(count: int, convolutional: bool) -> Axes:
    """Name axes by their number alone."""
    if count == 2:
        return ("sample", "feature")
    if count == 3 and not convolutional:
        return ("sample", "time", "channel")
    if 3 <= count <= 5:
        return ("sample", "channel", *PLACES[count - 2])
    return ("sample", *(f"axis {i}" for i in range(1, count)))[:count]


def _known_axes(op: Op, inputs: Sequence[Value], shape: tuple[int, ...]) -> Axes | None:
    source = next((v for v in inputs if v.axes is not None), None)
    if op.kind in CHANNELS_SECOND and op.kind != "prelu" and 3 <= len(shape) <= 5:
        return ("sample", "channel", *PLACES[len(shape) - 2])
    if op.kind in RECURRENT and len(shape) == 3:
        return (
            ("sample", "time", "channel") if op.parameters.get("batch_first", True) else ("time", "sample", "channel")
        )
    if op.kind == "attention" and op.name == "" and len(shape) == 3:
        return _attended(op, source)
    if op.kind == "embedding" and source is not None and source.axes is not None:
        return (*source.axes[:1], *("token" if a == "feature" else a for a in source.axes[1:]), "channel")
    if op.kind == "embedding":
        return ("sample", *("token", "axis 2", "axis 3")[: len(shape) - 2], "channel")
    if op.name == "pad_packed_sequence":
        return ("sample", "time", "channel") if op.args[2:3] == (True,) else ("time", "sample", "channel")
    if source is None or source.axes is None:
        return None
    return _moved_axes(op, inputs, source, shape)


def _attended(op: Op, source: Value | None) -> Axes:
    if source is not None and source.axes is not None and len(source.axes) == 3:
        return source.axes
    return ("sample", "time", "channel") if op.parameters.get("batch_first") else ("time", "sample", "channel")


def _moved_axes(op: Op, inputs: Sequence[Value], source: Value, shape: tuple[int, ...]) -> Axes | None:
    if op.kind == "permute" or op.name in REDUCING or op.name == "unbind":
        return _probed(op, source)
    if op.name == "getitem":
        return _indexed(op.args[1] if len(op.args) > 1 else None, source)
    if op.kind == "dense" or op.kind == "matmul":
        last = "channel" if len(shape) > 2 else "feature"
        return (*source.axes[:-1], last) if source.axes and len(source.axes) == len(shape) else None
    if op.name in REPEATING:
        return source.axes if source.axes and len(source.axes) == len(shape) else None
    if op.kind == "unfold" and len(shape) == 3 and len(source.shape) == 4:
        return ("sample", "channel", "token")
    if op.name == "unfold" and source.axes is not None:
        return (*source.axes, f"axis {len(source.axes)}")
    if op.name == "stack" and len(source.shape) > 2:
        return _with_new(source, op, len(shape))
    if op.kind in ("reshape", "flatten"):
        return _regrouped(source, shape)
    same = next((v for v in inputs if v.axes is not None and v.shape == shape), None)
    if same is not None:
        return same.axes
    return next((v.axes for v in inputs if v.axes is not None and len(v.shape) == len(shape)), None)


def _with_new(source: Value, op: Op, count: int) -> Axes | None:
    dim = op.kwargs.get("dim", op.args[1] if len(op.args) > 1 else 0)
    at = dim % count
    axes = source.axes or ()
    return (*axes[:at], f"axis {at}", *axes[at:])


def _probed(op: Op, source: Value) -> Axes | None:
    """Find where a function takes its axes, from a tensor without data whose axes have different lengths."""
    if op.function is None or source.axes is None or len(source.shape) > len(PRIMES):
        return None
    marks = [1 if n == 1 and op.name == "squeeze" else p for n, p in zip(source.shape, PRIMES, strict=False)]
    replaced = [torch.empty(marks, device="meta") if isinstance(a, torch.Tensor) else a for a in op.args]
    try:
        result = op.function(*replaced, **op.kwargs)
    except (RuntimeError, TypeError, IndexError, ValueError):
        return None
    result = result[0] if isinstance(result, tuple | list) else result
    names = dict(zip(marks, source.axes, strict=True))
    if len(result.shape) == len(marks) and op.kind != "permute":
        return source.axes
    return tuple(names.get(n, f"axis {i}") if n != 1 else f"axis {i}" for i, n in enumerate(result.shape))


def _indexed(index: Any, source: Value) -> Axes | None:
    """Name the axes that are left after x[index]: numbers take one away, slices keep it, None adds one."""
    index = index if isinstance(index, tuple) else (index,)
    if source.axes is None or not all(i is None or i is Ellipsis or isinstance(i, int | slice) for i in index):
        return None
    used = sum(i is not None and i is not Ellipsis for i in index)
    if Ellipsis not in index:
        index = (*index, Ellipsis)
    left = iter(source.axes)
    found: list[str] = []
    for position, i in enumerate(index):
        if i is None:
            found.append(f"axis {position}")
        elif i is Ellipsis:
            found += [next(left) for _ in range(len(source.axes) - used)]
        else:
            axis = next(left)
            found += [axis] if isinstance(i, slice) else []
    return tuple(found)


def _regrouped(source: Value, shape: tuple[int, ...]) -> Axes | None:
    """Follow axes through a reshape: those left alone keep their names, places put together become "token"."""
    found: list[str] = []
    for before, after in _groups(source.shape, shape):
        names = [source.axes[i] for i in before] if source.axes else []
        real = [n for i, n in zip(before, names, strict=True) if source.shape[i] != 1] or names[:1]
        if len(after) == 1:
            found.append(_together(real))
        elif "sample" in real:
            found += _rows_apart(source, after, shape)
        else:
            found += [f"axis {i}" for i in after[:-1]] + [_together(real)]
    if len(shape) >= 3 and "feature" in found:
        kept = any(
            len(b) == len(a) == 1 and source.axes and source.axes[b[0]] == "feature"
            for b, a in _groups(source.shape, shape)
        )
        if not kept or "channel" in found:
            return None
        found[found.index("feature")] = "channel"
    return tuple(found) if len(found) == len(shape) else None


def _rows_apart(source: Value, after: Sequence[int], shape: Sequence[int]) -> list[str]:
    """Find the samples among the axes that a sample axis is split into."""
    fit = [i for i in after if shape[i] == source.rows] or list(after)
    sample = fit[-1] if source.late else fit[0]
    return ["sample" if i == sample else f"axis {i}" for i in after]


def _together(names: Sequence[str]) -> str:
    if len(names) == 1 or "sample" in names:
        return names[0] if len(names) == 1 else "sample"
    return "token" if names and not {"channel", "feature"}.intersection(names) else "feature"


def _groups(before: tuple[int, ...], after: tuple[int, ...]) -> list[tuple[list[int], list[int]]]:
    """Cut two shapes of equal size into the shortest runs of axes that hold the same numbers."""
    found, i, j = [], 0, 0
    while i < len(before) and j < len(after):
        a, b = [i], [j]
        m, n = before[i], after[j]
        while m != n and (i + 1 < len(before) if m < n else j + 1 < len(after)):
            if m < n:
                i += 1
                a.append(i)
                m *= before[i]
            else:
                j += 1
                b.append(j)
                n *= after[j]
        found.append((a, b))
        i, j = i + 1, j + 1
    if found and j >= len(after):
        found[-1][0].extend(range(i, len(before)))
    if found and i >= len(before):
        found.extend(([], [k]) for k in range(j, len(after)))
    return found


# --- what the first reader of the input tells about its layout -------------------------------------------------------


def fits(op: Op, axes: Axes) -> bool | None:
    """Say whether a call reads axes so named where it should; None when it does not care."""
    if op.kind in CHANNELS_SECOND:
        if axes[1].startswith("axis"):
            return None
        return axes[0] == "sample" and len(axes) > 2 and axes[1] == "channel"
    if op.kind in RECURRENT or op.kind == "attention":
        first = axes[0] == "sample" if op.parameters.get("batch_first") else axes[1:2] == ("sample",)
        return first and axes[-1] == "channel"
    if op.kind in CHANNELS_LAST:
        return axes[0] == "sample" and axes[-1] == "channel"
    return None
