"""What a call of a layer or operation is: its kind, the axes of what it gives, how its places see the input's.

Everything here works on configurations and shapes; nothing runs.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from xaikit.arrays import SPACE
from xaikit.graph import Geometry

Axes = tuple[str, ...]
Shape = tuple[int | None, ...]

PLACES: Mapping[int, Axes] = {0: (), 1: ("time",), 2: ("height", "width"), 3: ("depth", "height", "width")}

KINDS: Mapping[str, str] = {
    **{f"Conv{n}D": "conv" for n in (1, 2, 3)},
    **{f"{how}Conv{n}D": "conv" for how in ("Depthwise", "Separable") for n in (1, 2)},
    **{f"Conv{n}DTranspose": "conv_transposed" for n in (1, 2, 3)},
    **{f"{how}Pooling{n}D": f"{short}_pool" for how, short in (("Max", "max"), ("Average", "avg")) for n in (1, 2, 3)},
    **{
        f"Global{how}Pooling{n}D": f"global_{short}_pool"
        for how, short in (("Max", "max"), ("Average", "avg"))
        for n in (1, 2, 3)
    },
    **{f"Adaptive{how}Pooling{n}D": f"{how[:3].lower()}_pool" for how in ("Max", "Average") for n in (1, 2, 3)},
    **{f"UpSampling{n}D": "upsample" for n in (1, 2, 3)},
    **{f"ZeroPadding{n}D": "zero_pad" for n in (1, 2, 3)},
    **{f"Cropping{n}D": "crop" for n in (1, 2, 3)},
    **{f"SpatialDropout{n}D": "dropout" for n in (1, 2, 3)},
    **{f"ConvLSTM{n}D": "conv_lstm" for n in (1, 2, 3)},
    **dict.fromkeys(("AlphaDropout", "GaussianDropout"), "dropout"),
    **dict.fromkeys(("Attention", "AdditiveAttention", "MultiHeadAttention", "GroupQueryAttention"), "attention"),
    **dict.fromkeys(("Dense", "EinsumDense"), "dense"),
    "BatchNormalization": "batch_norm",
    "LayerNormalization": "layer_norm",
    "GroupNormalization": "group_norm",
    "LocalResponseNormalization": "local_response_norm",
    "RMSNormalization": "rms_norm",
    "UnitNormalization": "unit_norm",
    "SimpleRNN": "rnn",
    "Concatenate": "concat",
    "TrueDivide": "divide",
    "GetItem": "index",
    "Amax": "max",
    "ReLU": "relu",
    "PReLU": "prelu",
    "LeakyReLU": "leaky_relu",
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ELEMENTWISE = _words(
    "relu relu6 prelu leaky_relu elu selu celu gelu silu swish mish hard_tanh hard_sigmoid hard_silu hard_swish "
    "hard_shrink soft_shrink tanh_shrink threshold softplus softsign squareplus sparse_plus tanh sigmoid log_sigmoid "
    "exponential linear identity glu dropout gaussian_noise batch_norm rescaling normalization masking "
    "activity_regularization add subtract multiply divide average minimum maximum negative absolute exp expm1 log "
    "log1p sqrt rsqrt square power clip sin cos erf sign where cast embedding reciprocal logical_not floor round "
    "rms_norm local_response_norm sampling stop_gradient layer_scale stochastic_depth"
)
RECURRENT = frozenset(("rnn", "lstm", "gru", "bidirectional", "conv_lstm"))
REDUCING = _words("mean sum max min prod std var logsumexp any all argmax argmin")
IDS = _words("embedding string_lookup integer_lookup category_encoding hashing text_vectorization")


@dataclass(frozen=True)
class Value:
    """The shape of a tensor with its sample axis, and the names of its axes."""

    shape: Shape
    axes: Axes

    @property
    def space(self) -> dict[str, int | None]:
        """The length of each axis of places; None = varies."""
        return {a: n for a, n in zip(self.axes, self.shape, strict=True) if a in SPACE}


# --- kinds ----------------------------------------------------------------------------------------------------------


def kind_of(operation: Any) -> str:
    """Give the lower-case word for what an operation does; an activation is named by its function."""
    names = [c.__name__ for c in type(operation).__mro__]
    if "Activation" in names and isinstance(operation, keras.Layer):
        return _function_name(operation.activation)
    return next((KINDS[n] for n in names if n in KINDS), function_name(operation))


def _function_name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__)).lower()


def function_name(operation: Any) -> str:
    """Write the class of an operation with underscores: MaxPooling2D -> max_pooling2d, GetItem -> get_item."""
    name = type(operation).__name__.replace("ReLU", "Relu")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


# --- axes -----------------------------------------------------------------------------------------------------------


def default_axes(count: int) -> Axes:
    """Name axes by their number alone, channels last."""
    if count == 2:
        return ("sample", "feature")
    if 3 <= count <= 5:
        return ("sample", *PLACES[count - 2], "channel")
    return ("sample", *(f"axis {i}" for i in range(1, count)))[:count]


def axes_of(operation: Any, kind: str, inputs: Sequence[Value], shape: Shape) -> Axes:
    """Name the axes of what a call gives."""
    count = len(shape)
    places = PLACES.get(count - 2, ())
    if kind == "embedding" and inputs:
        return (*("token" if a == "feature" else a for a in inputs[0].axes), "channel")[:count]
    if kind in RECURRENT:
        return _recurrent_axes(operation, count)
    if places and getattr(operation, "data_format", None) in ("channels_first", "channels_last"):
        first = operation.data_format == "channels_first"
        return ("sample", "channel", *places) if first else ("sample", *places, "channel")
    if kind == "permute":
        return _permuted(operation, inputs, count)
    if kind in ("reshape", "flatten"):
        return _regrouped(inputs, shape)
    if kind == "expand_dims" and inputs and inputs[0].axes == ("sample", "feature") and operation.axis in (-1, 2):
        return ("sample", "token", "channel")
    return next((v.axes for v in inputs if len(v.axes) == count), None) or default_axes(count)


def _regrouped(inputs: Sequence[Value], shape: Shape) -> Axes:
    """Name the axes of what is reshaped: places of a picture in one row are tokens, in no order of time."""
    sides = list(inputs[0].space.values()) if inputs else []
    together = len(sides) > 1 and None not in sides and inputs[0].axes[-1] == "channel"
    if together and len(shape) == 3 and shape[1] == math.prod(n or 0 for n in sides):
        return ("sample", "token", "channel")
    return default_axes(len(shape))


def _recurrent_axes(operation: Any, count: int) -> Axes:
    if count <= 3:
        return ("sample", "time", "channel")[:count] if count == 3 else ("sample", "feature")[:count]
    steps = ("time",) if getattr(operation, "return_sequences", False) else ()
    places = PLACES.get(count - 2 - len(steps), ())
    first = getattr(operation, "data_format", None) == "channels_first"
    named = ("sample", *steps, "channel", *places) if first else ("sample", *steps, *places, "channel")
    return named if len(named) == count and len(set(named)) == count else default_axes(count)


def _permuted(operation: Any, inputs: Sequence[Value], count: int) -> Axes:
    dims = getattr(operation, "dims", None)
    if dims is None or not inputs or len(inputs[0].axes) != count:
        return default_axes(count)
    return ("sample", *(inputs[0].axes[d] for d in dims))


# --- geometry -------------------------------------------------------------------------------------------------------


def geometry_of(operation: Any, kind: str, inputs: Sequence[Value], result: Value) -> Geometry | None:
    """Say how places of the result look at places of the input; None where neither has places."""
    source = next((v for v in inputs if v.space), None)
    if source is None:
        return Geometry("global") if result.space else None
    if not result.space:
        return Geometry("global")
    if list(source.space) != list(result.space):
        return Geometry("global" if kind in REDUCING else "unknown")
    return _RULES.get(kind, _other)(operation, kind, source, result)


def _tuple(value: Any, count: int) -> tuple[int, ...]:
    numbers = tuple(value) if isinstance(value, tuple | list) else (value,) * count
    return tuple(int(n) for n in (numbers if len(numbers) == count else numbers[:1] * count))


def _window(operation: Any, kind: str, source: Value, result: Value) -> Geometry:
    count = len(result.space)
    size = getattr(operation, "kernel_size", None) or getattr(operation, "pool_size", None)
    if size is None:
        return _adaptive(source, result)
    sizes, strides = _tuple(size, count), _tuple(operation.strides, count)
    dilations = _tuple(getattr(operation, "dilation_rate", 1), count)
    padding = tuple(
        _padding(operation.padding, k, s, d, n)
        for k, s, d, n in zip(sizes, strides, dilations, source.space.values(), strict=True)
    )
    return Geometry("window", sizes, strides, padding, dilations)


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


def _adaptive(source: Value, result: Value) -> Geometry:
    pairs = list(zip(source.space.values(), result.space.values(), strict=True))
    if all(n == 1 for _, n in pairs):
        return Geometry("global")
    if any(m is None or n is None or m % n for m, n in pairs):
        return Geometry("unknown")
    ratios = tuple(int(m // n) for m, n in pairs)  # type: ignore[operator]
    return Geometry("window", ratios, ratios, ((0, 0),) * len(ratios), (1,) * len(ratios))


def _transposed(operation: Any, kind: str, source: Value, result: Value) -> Geometry:
    """Give the cut from the full output (n-1)·s + d(k-1) + 1: "same" cuts it to n·s, the smaller half in front."""
    count = len(result.space)
    sizes, strides = _tuple(operation.kernel_size, count), _tuple(operation.strides, count)
    dilations = _tuple(operation.dilation_rate, count)
    cuts = []
    for k, s, d, n, m in zip(sizes, strides, dilations, source.space.values(), result.space.values(), strict=True):
        reach = d * (k - 1) + 1
        total = (n - 1) * s + reach - m if n is not None and m is not None else reach - s
        before = max(reach - s, 0) // 2 if operation.padding == "same" else 0
        cuts.append((before, total - before))
    return Geometry("transposed", sizes, strides, tuple(cuts), dilations)


def _upsample(operation: Any, kind: str, source: Value, result: Value) -> Geometry:
    count = len(result.space)
    mode = str(getattr(operation, "interpolation", "nearest"))
    reach = {"nearest": 1, "bilinear": 2, "bicubic": 4}.get(mode)
    if reach is None:
        return Geometry("unknown")
    return Geometry("upsample", (reach,) * count, _tuple(operation.size, count), ((0, 0),) * count, (1,) * count)


def _shifted(operation: Any, kind: str, source: Value, result: Value) -> Geometry:
    """Padding with zeros, or cropping: padding by less than nothing."""
    count = len(result.space)
    amounts = operation.padding if kind == "zero_pad" else operation.cropping
    pairs = [tuple(amounts)] if count == 1 else [tuple(p) for p in amounts]
    sign = 1 if kind == "zero_pad" else -1
    padding = tuple((sign * int(a), sign * int(b)) for a, b in pairs)
    return Geometry("window", (1,) * count, (1,) * count, padding, (1,) * count)


def _along_axis(operation: Any, kind: str, source: Value, result: Value) -> Geometry:
    """Softmax and layer normalisation mix the places if they run along one of them; joining ends a place's world."""
    axis = getattr(operation, "axis", -1)
    chosen = axis if isinstance(axis, tuple | list) else (axis,)
    names = {source.axes[int(i)] for i in chosen if i is not None and -len(source.axes) <= i < len(source.axes)}
    if names and not names & set(SPACE):
        return Geometry("pointwise")
    return Geometry("unknown" if kind == "concat" else "global")


def _inner(operation: Any, kind: str, source: Value, result: Value) -> Geometry:
    """A layer applied to every time step: known when it is itself a matter of single places."""
    inside = kind_of(operation.layer)
    return Geometry("pointwise" if inside in ELEMENTWISE or inside == "dense" else "unknown")


def _global(operation: Any, kind: str, source: Value, result: Value) -> Geometry:
    return Geometry("global")


def _pointwise(operation: Any, kind: str, source: Value, result: Value) -> Geometry:
    return Geometry("pointwise")


def _other(operation: Any, kind: str, source: Value, result: Value) -> Geometry:
    same = list(source.space.values()) == list(result.space.values())
    return Geometry("pointwise" if kind in ELEMENTWISE and same else "unknown")


_RULES: Mapping[str, Callable[[Any, str, Value, Value], Geometry]] = {
    **dict.fromkeys(("conv", "max_pool", "avg_pool"), _window),
    "conv_transposed": _transposed,
    "upsample": _upsample,
    **dict.fromkeys(("zero_pad", "crop"), _shifted),
    **dict.fromkeys(("softmax", "log_softmax", "layer_norm", "unit_norm", "concat"), _along_axis),
    **dict.fromkeys(("group_norm", "attention", "global_avg_pool", "global_max_pool", *RECURRENT), _global),
    "dense": _pointwise,
    "time_distributed": _inner,
}
