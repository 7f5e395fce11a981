"""An architecture as data: a graph of named operations, recorded by a short function, that both frameworks build.

Shapes carry no batch axis and have their channels last. Weights have the names and layouts of Keras: "conv1/kernel" is
(height, width, in, out). `xaikit_torch.building` and `xaikit_keras.building` make networks of description and weights.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from xaikit.errors import ParameterError

Array = npt.NDArray[Any]
Shape = tuple[int, ...]
Padding = Literal["valid", "same"]

ACTIVATIONS = ("relu", "leaky_relu", "elu", "sigmoid", "softmax", "tanh", "softplus")
ELEMENTWISE = ("activation", "dropout")
MASK_KEEPING = (*ELEMENTWISE, "dense", "layer_norm")
MASK_READING = ("recurrent", "attention")
RECURRENT = ("lstm", "gru", "simple_rnn")
ATTENTIONS = ("additive", "dot")
RESAMPLINGS = ("nearest", "bilinear")
GATES = {"lstm": 4, "gru": 3, "simple_rnn": 1}


@dataclass(frozen=True)
class Weight:
    """One array of a node: its shape, how it starts, and whether training changes it.

    `statistic` marks the moving statistics of batch normalisation, which no gradient reaches.
    """

    shape: Shape
    start: str
    trainable: bool = True
    statistic: bool = False

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Node:
    """One operation: its name, the nodes that it reads, its parameters, output shape and weights."""

    op: str
    name: str
    parents: tuple[str, ...]
    parameters: Mapping[str, Any]
    shape: Shape
    weights: Mapping[str, Weight]
    masked: bool = False


@dataclass(frozen=True, eq=False)
class Architecture:
    """A network without its numbers: nodes in call order, and which of them are read and given back."""

    name: str
    nodes: tuple[Node, ...]
    outputs: Mapping[str, str]

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The input nodes in the order in which they were declared."""
        return tuple(n for n in self.nodes if n.op == "input")

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """The nodes by name."""
        return {n.name: n for n in self.nodes}

    @cached_property
    def readers(self) -> Mapping[str, tuple[Node, ...]]:
        """Which nodes read each node."""
        return {n.name: tuple(r for r in self.nodes if n.name in r.parents) for n in self.nodes}

    @cached_property
    def weights(self) -> Mapping[str, Weight]:
        """Every weight by its full name, node/weight, in call order."""
        return {f"{n.name}/{w}": weight for n in self.nodes for w, weight in n.weights.items()}

    @property
    def total(self) -> int:
        """Number of weights, moving statistics and fixed kernels included."""
        return sum(w.size for w in self.weights.values())

    @property
    def trainable(self) -> int:
        """Number of weights that training changes."""
        return sum(w.size for w in self.weights.values() if w.trainable)

    @property
    def last(self) -> Node:
        """The node of the only output. Raises ParameterError for a network with several."""
        if len(self.outputs) != 1:
            raise ParameterError(f"{self.name} has {len(self.outputs)} outputs: {', '.join(self.outputs)}")
        return self.by_name[next(iter(self.outputs.values()))]


@dataclass(frozen=True)
class Symbol:
    """What an operation gives while a network is being described."""

    name: str
    shape: Shape
    masked: bool = False


def describe(name: str, function: Callable[[Ops], Symbol | Mapping[str, Symbol]]) -> Architecture:
    """Record the architecture that `function` describes with the operations it is handed."""
    ops = Ops()
    given = function(ops)
    outputs = given if isinstance(given, Mapping) else {"output": given}
    return Architecture(name, tuple(ops.nodes), {k: s.name for k, s in outputs.items()})


@dataclass
class Ops:
    """The operations of the neutral graph; each appends a node and gives its output.

    Every operation takes `name`; without it nodes are called by kind and number: conv1, conv2, pool1, dense1.
    `activation` appends a node of its own, conv1_relu. Sizes are an int, or one int per axis of space.
    """

    nodes: list[Node] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def input(self, *shape: int, integer: bool = False, name: str | None = None) -> Symbol:
        """What the network is given: (*space or time, channel) numbers, or integers (token indices)."""
        return self._add("input", "input", name, (), shape, {"integer": integer}, {})

    # ------------------------------------------------------------------ convolution

    def conv(
        self,
        x: Symbol,
        filters: int,
        kernel: int | Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: Padding = "valid",
        dilation: int | Sequence[int] = 1,
        bias: bool = True,
        activation: str | None = None,
        fixed: Array | None = None,
        name: str | None = None,
    ) -> Symbol:
        """Cross-correlation along one to three axes; `fixed` (*kernel, in, filters) is a kernel that is not trained."""
        window = _Window.of(x, kernel, stride, dilation, padding)
        shape = (*window.kernel, x.shape[-1], filters)
        start = "glorot" if fixed is None else "fixed"
        if fixed is not None and np.shape(fixed) != shape:
            raise ParameterError(f"the fixed kernel has shape {np.shape(fixed)}, expected {shape}")
        weights = {"kernel": Weight(shape, start, trainable=fixed is None), **_bias(bias, filters)}
        parameters = {"filters": filters, **window.parameters, "bias": bias, "fixed": _frozen(fixed)}
        y = self._add("conv", "conv", name, (x,), (*window.outputs, filters), parameters, weights)
        return self._activate(y, activation)

    def depthwise_conv(
        self,
        x: Symbol,
        kernel: int | Sequence[int],
        *,
        stride: int = 1,
        padding: Padding = "valid",
        multiplier: int = 1,
        bias: bool = True,
        activation: str | None = None,
        name: str | None = None,
    ) -> Symbol:
        """Every channel convolved on its own with `multiplier` kernels (one or two axes of space)."""
        window = _Window.of(x, kernel, stride, 1, padding, most=2)
        channels = x.shape[-1] * multiplier
        weights = {"kernel": Weight((*window.kernel, x.shape[-1], multiplier), "glorot"), **_bias(bias, channels)}
        parameters = {**window.parameters, "multiplier": multiplier, "bias": bias}
        y = self._add("depthwise_conv", "depthwise", name, (x,), (*window.outputs, channels), parameters, weights)
        return self._activate(y, activation)

    def separable_conv(
        self,
        x: Symbol,
        filters: int,
        kernel: int | Sequence[int],
        *,
        stride: int = 1,
        padding: Padding = "valid",
        bias: bool = True,
        activation: str | None = None,
        name: str | None = None,
    ) -> Symbol:
        """A depthwise convolution, then a 1×1 convolution over channels (Chollet 2017, "Xception")."""
        window = _Window.of(x, kernel, stride, 1, padding, most=2)
        ones = (1,) * len(window.kernel)
        weights = {
            "depthwise_kernel": Weight((*window.kernel, x.shape[-1], 1), "glorot"),
            "pointwise_kernel": Weight((*ones, x.shape[-1], filters), "glorot"),
            **_bias(bias, filters),
        }
        parameters = {"filters": filters, **window.parameters, "bias": bias}
        y = self._add("separable_conv", "separable", name, (x,), (*window.outputs, filters), parameters, weights)
        return self._activate(y, activation)

    def conv_transpose(
        self,
        x: Symbol,
        filters: int,
        kernel: int | Sequence[int],
        *,
        stride: int | Sequence[int] = 1,
        padding: Padding = "valid",
        bias: bool = True,
        activation: str | None = None,
        name: str | None = None,
    ) -> Symbol:
        """Transposed convolution to length · stride ("same") or (length − 1) · stride + max(kernel, stride)."""
        rank = len(x.shape) - 1
        k, s = _sizes(kernel, rank), _sizes(stride, rank)
        grow = [0 if padding == "same" else max(a - b, 0) for a, b in zip(k, s, strict=True)]
        outputs = tuple(n * b + g for n, b, g in zip(x.shape, s, grow, strict=False))
        weights = {"kernel": Weight((*k, filters, x.shape[-1]), "glorot"), **_bias(bias, filters)}
        parameters = {"filters": filters, "kernel": k, "stride": s, "padding": padding, "bias": bias}
        y = self._add("conv_transpose", "deconv", name, (x,), (*outputs, filters), parameters, weights)
        return self._activate(y, activation)

    # ------------------------------------------------------------------ pooling and resampling

    def max_pool(
        self,
        x: Symbol,
        size: int | Sequence[int],
        *,
        stride: int | Sequence[int] | None = None,
        padding: Padding = "valid",
        name: str | None = None,
    ) -> Symbol:
        """Maximum over windows; the stride is the size unless given."""
        return self._pool("max_pool", x, size, stride, padding, name)

    def avg_pool(
        self,
        x: Symbol,
        size: int | Sequence[int],
        *,
        stride: int | Sequence[int] | None = None,
        padding: Padding = "valid",
        name: str | None = None,
    ) -> Symbol:
        """Mean over windows; padding does not count."""
        return self._pool("avg_pool", x, size, stride, padding, name)

    def _pool(self, op: str, x: Symbol, size: Any, stride: Any, padding: Padding, name: str | None) -> Symbol:
        window = _Window.of(x, size, size if stride is None else stride, 1, padding)
        for (before, after), step in zip(window.pads, window.stride, strict=True):
            if before != after and step == 1:
                raise ParameterError("pooling with padding 'same', an even size and stride 1 is not offered")
        return self._add(op, "pool", name, (x,), (*window.outputs, x.shape[-1]), window.parameters, {})

    def global_avg_pool(self, x: Symbol, *, name: str | None = None) -> Symbol:
        """Mean over all axes but the channel."""
        return self._add("global_avg_pool", "global_pool", name, (x,), x.shape[-1:], {}, {})

    def global_max_pool(self, x: Symbol, *, name: str | None = None) -> Symbol:
        """Maximum over all axes but the channel."""
        return self._add("global_max_pool", "global_pool", name, (x,), x.shape[-1:], {}, {})

    def upsample(
        self, x: Symbol, factor: int | Sequence[int], *, kind: str = "nearest", name: str | None = None
    ) -> Symbol:
        """Every position repeated ("nearest"), or between positions ("bilinear", two axes of space).

        Bilinear interpolation takes a position as the centre of its cell; edges are continued, not zero.
        """
        factors = _sizes(factor, len(x.shape) - 1)
        _one_of("a kind of upsampling", kind, RESAMPLINGS)
        if kind == "bilinear" and len(factors) != 2:
            raise ParameterError(f"bilinear upsampling takes (height, width, channel), not {x.shape}")
        shape = (*(n * f for n, f in zip(x.shape, factors, strict=False)), x.shape[-1])
        return self._add("upsample", "upsample", name, (x,), shape, {"factor": factors, "kind": kind}, {})

    def zero_pad(self, x: Symbol, *pads: tuple[int, int], name: str | None = None) -> Symbol:
        """Zeros (before, after) around each axis of space."""
        if len(pads) != len(x.shape) - 1:
            raise ParameterError(f"zero_pad got {len(pads)} pairs for {len(x.shape) - 1} axes of space")
        shape = (*(n + a + b for n, (a, b) in zip(x.shape, pads, strict=False)), x.shape[-1])
        return self._add("zero_pad", "pad", name, (x,), shape, {"pads": tuple(pads)}, {})

    # ------------------------------------------------------------------ dense and pointwise

    def dense(
        self, x: Symbol, units: int, *, bias: bool = True, activation: str | None = None, name: str | None = None
    ) -> Symbol:
        """An affine map of the last axis."""
        weights = {"kernel": Weight((x.shape[-1], units), "glorot"), **_bias(bias, units)}
        parameters = {"units": units, "bias": bias}
        y = self._add("dense", "dense", name, (x,), (*x.shape[:-1], units), parameters, weights)
        return self._activate(y, activation)

    def activation(self, x: Symbol, kind: str, *, name: str | None = None) -> Symbol:
        """One of ACTIVATIONS; softmax is over the last axis, leaky_relu has the slope 0.2."""
        _one_of("an activation", kind, ACTIVATIONS)
        return self._add("activation", kind, name, (x,), x.shape, {"kind": kind}, {})

    def dropout(self, x: Symbol, rate: float, *, name: str | None = None) -> Symbol:
        """In training, that share of the entries set to zero and the rest scaled up."""
        return self._add("dropout", "dropout", name, (x,), x.shape, {"rate": rate}, {})

    def flatten(self, x: Symbol, *, name: str | None = None) -> Symbol:
        """All axes as one, the channel running fastest."""
        return self._add("flatten", "flatten", name, (x,), (math.prod(x.shape),), {}, {})

    def reshape(self, x: Symbol, *shape: int, name: str | None = None) -> Symbol:
        """Another shape with as many entries, read in row-major order."""
        if math.prod(shape) != math.prod(x.shape):
            raise ParameterError(f"{x.shape} cannot be reshaped to {shape}: {math.prod(x.shape)} entries")
        return self._add("reshape", "reshape", name, (x,), shape, {}, {})

    def repeat(self, x: Symbol, times: int, *, name: str | None = None) -> Symbol:
        """A vector at each of `times` steps: (features,) -> (times, features)."""
        if len(x.shape) != 1:
            raise ParameterError(f"repeat takes a vector (features,), not {x.shape}")
        return self._add("repeat", "repeat", name, (x,), (times, *x.shape), {"times": times}, {})

    def sampling(self, mean: Symbol, log_variance: Symbol, *, name: str | None = None) -> Symbol:
        """A draw from a normal distribution, mean + exp(log_variance / 2) · ε with ε ~ N(0, 1), while training.

        Otherwise the mean, so that predictions and explanations have no chance in them. Kingma and Welling (2014),
        section 2.4.
        """
        if mean.shape != log_variance.shape:
            raise ParameterError(f"sampling needs equal shapes, got {mean.shape} and {log_variance.shape}")
        return self._add("sampling", "sampling", name, (mean, log_variance), mean.shape, {}, {})

    def concat(self, *parts: Symbol, name: str | None = None) -> Symbol:
        """Parts side by side along the last axis."""
        if len({p.shape[:-1] for p in parts}) != 1:
            raise ParameterError(f"concat needs equal leading axes, got {', '.join(str(p.shape) for p in parts)}")
        shape = (*parts[0].shape[:-1], sum(p.shape[-1] for p in parts))
        return self._add("concat", "concat", name, parts, shape, {}, {})

    def add(self, *parts: Symbol, name: str | None = None) -> Symbol:
        """The sum of parts of equal shape."""
        if len({p.shape for p in parts}) != 1:
            raise ParameterError(f"add needs equal shapes, got {', '.join(str(p.shape) for p in parts)}")
        return self._add("add", "add", name, parts, parts[0].shape, {}, {})

    # ------------------------------------------------------------------ normalisation

    def batch_norm(
        self,
        x: Symbol,
        *,
        scale: bool = True,
        epsilon: float = 1e-3,
        momentum: float = 0.99,
        name: str | None = None,
    ) -> Symbol:
        """Batch normalisation per channel (Ioffe and Szegedy 2015); the moving statistics keep `momentum` per step.

        Without `scale` there is no gamma: through a ReLU, the kernel that reads it can scale instead.
        """
        c = x.shape[-1:]
        weights = {
            **({"gamma": Weight(c, "ones")} if scale else {}),
            "beta": Weight(c, "zeros"),
            "moving_mean": Weight(c, "zeros", trainable=False, statistic=True),
            "moving_variance": Weight(c, "ones", trainable=False, statistic=True),
        }
        parameters = {"scale": scale, "epsilon": epsilon, "momentum": momentum}
        return self._add("batch_norm", "batch_norm", name, (x,), x.shape, parameters, weights)

    def layer_norm(self, x: Symbol, *, epsilon: float = 1e-3, name: str | None = None) -> Symbol:
        """Layer normalisation over the last axis (Ba, Kiros and Hinton 2016)."""
        weights = {"gamma": Weight(x.shape[-1:], "ones"), "beta": Weight(x.shape[-1:], "zeros")}
        return self._add("layer_norm", "layer_norm", name, (x,), x.shape, {"epsilon": epsilon}, weights)

    def group_norm(self, x: Symbol, groups: int, *, epsilon: float = 1e-3, name: str | None = None) -> Symbol:
        """Normalisation over space and each of `groups` runs of neighbouring channels (Wu and He 2018).

        One group is layer normalisation over space and channels; a group per channel, instance normalisation.
        """
        channels = x.shape[-1]
        if groups < 1 or channels % groups:
            raise ParameterError(f"{channels} channels cannot be cut into {groups} equal groups")
        weights = {"gamma": Weight((channels,), "ones"), "beta": Weight((channels,), "zeros")}
        parameters = {"groups": groups, "epsilon": epsilon}
        return self._add("group_norm", "group_norm", name, (x,), x.shape, parameters, weights)

    def local_response_norm(
        self,
        x: Symbol,
        *,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 2.0,
        name: str | None = None,
    ) -> Symbol:
        """a / (k + alpha · Σ a²)^beta, the sum over `size` neighbouring channels (Krizhevsky et al. 2012, section 3.3).

        `size` is odd; beyond the first and the last channel there are none.
        """
        if size < 1 or size % 2 == 0:
            raise ParameterError(f"the number of neighbouring channels is odd, not {size}")
        if len(x.shape) < 2:
            raise ParameterError(f"local_response_norm takes (*space, channel), not {x.shape}")
        parameters = {"size": size, "alpha": alpha, "beta": beta, "k": k}
        return self._add("local_response_norm", "lrn", name, (x,), x.shape, parameters, {})

    # ------------------------------------------------------------------ sequences

    def embedding(
        self, x: Symbol, vocabulary: int, size: int, *, mask_zero: bool = False, name: str | None = None
    ) -> Symbol:
        """A vector per token; with mask_zero, recurrent layers skip the steps whose token is 0."""
        weights = {"embeddings": Weight((vocabulary, size), "uniform")}
        parameters = {"vocabulary": vocabulary, "size": size, "mask_zero": mask_zero}
        return self._add("embedding", "embedding", name, (x,), (*x.shape, size), parameters, weights, masked=mask_zero)

    def lstm(self, x: Symbol, units: int, *, sequences: bool = False, name: str | None = None) -> Symbol:
        """Long short-term memory (Hochreiter and Schmidhuber 1997): the last state, or with `sequences` every state."""
        return self._recurrent({"cell": "lstm", "units": units, "sequences": sequences}, x, name)

    def gru(
        self, x: Symbol, units: int, *, sequences: bool = False, reset_after: bool = True, name: str | None = None
    ) -> Symbol:
        """Gated recurrent unit with the reset gate after the recurrent product, as cuDNN computes it.

        Without `reset_after` the gate comes before the product, as in Cho et al. (2014), and there is one bias.
        """
        parameters = {"cell": "gru", "units": units, "sequences": sequences, "reset_after": reset_after}
        return self._recurrent(parameters, x, name)

    def simple_rnn(self, x: Symbol, units: int, *, sequences: bool = False, name: str | None = None) -> Symbol:
        """Elman's recurrent layer with tanh (1990)."""
        return self._recurrent({"cell": "simple_rnn", "units": units, "sequences": sequences}, x, name)

    def bidirectional(
        self,
        x: Symbol,
        cell: str,
        units: int,
        *,
        sequences: bool = False,
        reset_after: bool = True,
        name: str | None = None,
    ) -> Symbol:
        """A recurrent layer ("lstm", "gru", "simple_rnn") in both directions, the two states side by side.

        `reset_after` is as in `gru`.
        """
        _one_of("a recurrent cell", cell, RECURRENT)
        if cell != "gru" and not reset_after:
            raise ParameterError(f"reset_after is for the cell 'gru', {cell!r} has no reset gate")
        own = {"reset_after": reset_after} if cell == "gru" else {}
        parameters = {"cell": cell, "units": units, "sequences": sequences, "bidirectional": True, **own}
        return self._recurrent(parameters, x, name)

    def _recurrent(self, given: Mapping[str, Any], x: Symbol, name: str | None) -> Symbol:
        parameters = {"bidirectional": False, "reset_after": None, **given}
        cell, units, both = parameters["cell"], parameters["units"], parameters["bidirectional"]
        if len(x.shape) != 2:
            raise ParameterError(f"a recurrent layer takes (time, channel), not {x.shape}")
        columns = GATES[cell] * units
        bias_shape = (2, columns) if parameters["reset_after"] else (columns,)
        own = {
            "kernel": Weight((x.shape[-1], columns), "glorot"),
            "recurrent_kernel": Weight((units, columns), "orthogonal"),
            "bias": Weight(bias_shape, "lstm_bias" if cell == "lstm" else "zeros"),
        }
        sides = {f"{side}_{k}": w for side in ("forward", "backward") for k, w in own.items()} if both else own
        width = units * (2 if both else 1)
        shape = (x.shape[0], width) if parameters["sequences"] else (width,)
        kind = f"bi_{cell}" if both else cell
        masked = x.masked and parameters["sequences"]
        return self._add("recurrent", kind, name, (x,), shape, parameters, sides, masked=masked)

    def attention(
        self,
        query: Symbol,
        value: Symbol,
        key: Symbol | None = None,
        *,
        kind: str = "additive",
        scale: bool = True,
        name: str | None = None,
    ) -> Symbol:
        """For every query the mean of the values, weighted by the softmax of its scores with the keys.

        query (target steps, d), value (source steps, dv), key (source steps, d; the values unless given) give
        (target steps, dv). "additive": Σ scale · tanh(q + k) over d (Bahdanau et al. 2015); "dot": scale · q·k (Luong
        et al. 2015); `scale` is learned, d numbers and one number, or left out. Masked source steps weigh nothing;
        where the query is masked the output is zero and masked.
        """
        _one_of("a kind of attention", kind, ATTENTIONS)
        key = value if key is None else key
        if {len(s.shape) for s in (query, value, key)} != {2}:
            raise ParameterError(f"attention takes (time, channel), not {query.shape}, {value.shape}, {key.shape}")
        if query.shape[1] != key.shape[1] or value.shape[0] != key.shape[0]:
            raise ParameterError(f"attention of query {query.shape}, value {value.shape}, key {key.shape} does not fit")
        if key.masked and not value.masked:
            raise ParameterError("attention leaves out the steps that are masked in its value, here only the key is")
        weight = Weight((query.shape[1],), "glorot_vector") if kind == "additive" else Weight((), "ones")
        parents = (query, value) if key is value else (query, value, key)
        weights = {"scale": weight} if scale else {}
        parameters = {"kind": kind, "scale": scale}
        shape = (query.shape[0], value.shape[1])
        return self._add("attention", "attention", name, parents, shape, parameters, weights, masked=query.masked)

    # ------------------------------------------------------------------ recording

    def _activate(self, x: Symbol, kind: str | None) -> Symbol:
        return x if kind is None else self.activation(x, kind, name=f"{x.name}_{kind}")

    def _add(
        self,
        op: str,
        kind: str,
        name: str | None,
        parents: Sequence[Symbol],
        shape: Shape,
        parameters: Mapping[str, Any],
        weights: Mapping[str, Weight],
        *,
        masked: bool = False,
    ) -> Symbol:
        if min(shape, default=1) < 1:
            raise ParameterError(f"{kind} of {', '.join(str(p.shape) for p in parents)} would be empty: {shape}")
        inherited = any(p.masked for p in parents)
        if inherited and op not in (*MASK_KEEPING, *MASK_READING):
            raise ParameterError(f"{op} cannot read masked steps; put a recurrent layer between")
        name = name or self._number(kind)
        if any(n.name == name for n in self.nodes):
            raise ParameterError(f"two nodes are called {name!r}")
        masked = masked or (inherited and op in MASK_KEEPING)
        names = tuple(p.name for p in parents)
        self.nodes.append(Node(op, name, names, dict(parameters), tuple(shape), dict(weights), masked))
        return Symbol(name, tuple(shape), masked)

    def _number(self, kind: str) -> str:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"{kind}{self.counts[kind]}"


@dataclass(frozen=True)
class _Window:
    """A sliding window over the axes of space, the zeros (before, after) that it needs, and the lengths it gives."""

    kernel: Shape
    stride: Shape
    dilation: Shape
    padding: Padding
    pads: tuple[tuple[int, int], ...]
    outputs: Shape

    @classmethod
    def of(cls, x: Symbol, kernel: Any, stride: Any, dilation: Any, padding: Padding, most: int = 3) -> _Window:
        rank = len(x.shape) - 1
        if not 1 <= rank <= most:
            raise ParameterError(f"a window slides over 1 to {most} axes and a channel, not over {x.shape}")
        k, s, d = _sizes(kernel, rank), _sizes(stride, rank), _sizes(dilation, rank)
        if padding == "same":
            outputs = tuple(-(-n // step) for n, step in zip(x.shape, s, strict=False))
            pads = tuple(_same(*axis) for axis in zip(x.shape, outputs, k, s, d, strict=False))
        elif padding == "valid":
            outputs = tuple((n - e * (w - 1) - 1) // b + 1 for n, w, b, e in zip(x.shape, k, s, d, strict=False))
            pads = ((0, 0),) * rank
        else:
            raise ParameterError(f"padding is 'valid' or 'same', not {padding!r}")
        return cls(k, s, d, padding, pads, outputs)

    @property
    def parameters(self) -> dict[str, Any]:
        names = ("kernel", "stride", "dilation", "padding", "pads")
        return {name: getattr(self, name) for name in names}


def _same(length: int, output: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """TensorFlow's rule: just enough zeros, the odd one behind."""
    total = max((output - 1) * stride + dilation * (kernel - 1) + 1 - length, 0)
    return total // 2, total - total // 2


def _sizes(value: int | Sequence[int], rank: int) -> Shape:
    sizes = (value,) * rank if isinstance(value, int) else tuple(value)
    if len(sizes) != rank or min(sizes) < 1:
        raise ParameterError(f"{value} does not give one positive size for each of {rank} axes")
    return sizes


def _one_of(what: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        raise ParameterError(f"{what} is one of {', '.join(known)}, not {given!r}")


def _bias(wanted: bool, size: int) -> dict[str, Weight]:
    return {"bias": Weight((size,), "zeros")} if wanted else {}


def _frozen(kernel: Array | None) -> Array | None:
    if kernel is None:
        return None
    copy = np.array(kernel, np.float32)
    copy.flags.writeable = False
    return copy


# ---------------------------------------------------------------------- weights


def initial_weights(architecture: Architecture, seed: int = 0) -> dict[str, Array]:
    """Starting weights (float32) of every node, the same for both frameworks.

    Kernels and the scale of additive attention after Glorot and Bengio (2010), uniform; recurrent kernels orthogonal
    (Saxe et al. 2014); embeddings in ±0.05; the forget bias of an LSTM is one (Jozefowicz et al. 2015); other biases
    zero; all other scales one.
    """
    rng = np.random.default_rng(seed)
    made = {}
    for node in architecture.nodes:
        for name, weight in node.weights.items():
            value = node.parameters["fixed"] if weight.start == "fixed" else START[weight.start](rng, weight.shape)
            made[f"{node.name}/{name}"] = np.array(value, np.float32)  # its own: a fixed kernel is read-only
    return made


def check_weights(architecture: Architecture, weights: Mapping[str, Array]) -> None:
    """Raise ParameterError unless `weights` has exactly the names and shapes of the architecture."""
    expected = architecture.weights
    missing, extra = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    if missing or extra:
        raise ParameterError(
            f"weights do not fit {architecture.name}: missing {missing or '-'}, unknown {extra or '-'}"
        )
    for name, weight in expected.items():
        if np.shape(weights[name]) != weight.shape:
            raise ParameterError(f"{name} has shape {np.shape(weights[name])}, expected {weight.shape}")


def weights_id(weights: Mapping[str, Array], architecture_name: str) -> str:
    """SHA-256 (hexadecimal) over the architecture's name and each weight's name, shape, type and bytes, by name."""
    digest = hashlib.sha256(f"{architecture_name}\n".encode())
    for name in sorted(weights):
        value = np.ascontiguousarray(weights[name])
        value = value.astype(value.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{name} {value.shape} {value.dtype.name}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def _glorot(rng: np.random.Generator, shape: Shape) -> Array:
    field_size = math.prod(shape[:-2])
    limit = math.sqrt(6.0 / (field_size * (shape[-2] + shape[-1])))
    return rng.uniform(-limit, limit, shape)


def _glorot_vector(rng: np.random.Generator, shape: Shape) -> Array:
    """As many inputs as outputs, the length of the vector."""
    limit = math.sqrt(3.0 / shape[0])
    return rng.uniform(-limit, limit, shape)


def _orthogonal(rng: np.random.Generator, shape: Shape) -> Array:
    q, r = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
    q = q * np.sign(np.diag(r))
    return q if shape[0] >= shape[1] else q.T


def _lstm_bias(rng: np.random.Generator, shape: Shape) -> Array:
    units = shape[0] // 4
    return np.concatenate([np.zeros(units), np.ones(units), np.zeros(2 * units)])


START: Mapping[str, Callable[[np.random.Generator, Shape], Array]] = {
    "glorot": _glorot,
    "glorot_vector": _glorot_vector,
    "orthogonal": _orthogonal,
    "lstm_bias": _lstm_bias,
    "uniform": lambda rng, shape: rng.uniform(-0.05, 0.05, shape),
    "zeros": lambda rng, shape: np.zeros(shape),
    "ones": lambda rng, shape: np.ones(shape),
}
