"""What a call of a layer or operation is: its kind, and the axes of what it gives.

Everything here works on configurations and shapes; nothing runs.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from xaikit.arrays import SPACE

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
    **{
        f"Adaptive{how}Pooling{n}D": f"{short}_pool"
        for how, short in (("Max", "max"), ("Average", "avg"))
        for n in (1, 2, 3)
    },
    **{f"UpSampling{n}D": "upsample" for n in (1, 2, 3)},
    **{f"ZeroPadding{n}D": "zero_pad" for n in (1, 2, 3)},
    **{f"Cropping{n}D": "crop" for n in (1, 2, 3)},
    **{f"SpatialDropout{n}D": "dropout" for n in (1, 2, 3)},
    **{f"ConvLSTM{n}D": "conv_lstm" for n in (1, 2, 3)},
    **dict.fromkeys(("AlphaDropout", "GaussianDropout"), "dropout"),
    **dict.fromkeys(("Attention", "AdditiveAttention", "MultiHeadAttention", "GroupedQueryAttention"), "attention"),
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
    "Amin": "min",
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
    if kind in ("permute", "transpose"):
        return _permuted(operation, inputs, count)
    if kind == "time_distributed" and inputs:
        return _distributed(operation, inputs[0], shape)
    if kind in REDUCING and inputs:
        return _left(operation, inputs[0], count)
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
    axes = getattr(operation, "axes", None)
    order = (0, *dims) if dims is not None else axes or tuple(range(count))[::-1]
    if not inputs or len(inputs[0].axes) != count or order[0] != 0:
        return default_axes(count)
    return tuple(inputs[0].axes[d] for d in order)


def _distributed(operation: Any, source: Value, shape: Shape) -> Axes:
    """Keep the axis of steps, and name the others as the layer inside does."""
    inner = Value((source.shape[0], *source.shape[2:]), ("sample", *source.axes[2:]))
    named = axes_of(operation.layer, kind_of(operation.layer), [inner], (shape[0], *shape[2:]))
    rest = tuple("channel" if a == "feature" else a for a in named[1:])
    axes = ("sample", source.axes[1], *rest)
    return axes if len(axes) == len(shape) and len(set(axes)) == len(axes) else default_axes(len(shape))


def _left(operation: Any, source: Value, count: int) -> Axes:
    """Name the axes that a reduction leaves."""
    axis = getattr(operation, "axis", None)
    if len(source.axes) == count or axis is None:
        return source.axes if len(source.axes) == count else default_axes(count)
    gone = {int(a) % len(source.axes) for a in (axis if isinstance(axis, tuple | list) else (axis,))}
    left = tuple(a for i, a in enumerate(source.axes) if i not in gone)
    return (
        ("sample", "feature") if left == ("sample", "channel") else left if len(left) == count else default_axes(count)
    )
