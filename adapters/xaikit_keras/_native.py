"""DeepLIFT and layer-wise relevance propagation on the graph of a network: a walk back over its operations.

Every operation between the inputs and the outputs hands back what its rule says. What has no rule stops the walk, so
that no plain gradient passes for one of these methods. The definitions are those of the adapter for torch.
"""

import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from xaikit.errors import NotSupported
from xaikit.graph import Layer, between
from xaikit_keras._passes import Pass, Task, floating, parts
from xaikit_keras._private import called_functions, intercepted
from xaikit_keras._tensors import single


def words(text: str) -> frozenset[str]:
    """Give the words of a text."""
    return frozenset(text.split())


ACTIVATIONS = words("Relu Relu6 Elu Selu LeakyRelu Sigmoid Tanh Softplus Softsign Maximum Minimum")
ELEMENTWISE = ACTIVATIONS | words(
    "Exp Expm1 Log Log1p Sqrt Rsqrt Square Abs Erf Erfc Sin Cos Tan Atan Pow Reciprocal Inv Xlogy SquaredDifference"
)
MOVES = words(
    "Identity Reshape Transpose Squeeze ExpandDims ConcatV2 Pad PadV2 MirrorPad StridedSlice Slice GatherV2 Pack "
    "Unpack Split SplitV Tile BroadcastTo ReverseV2 Cast SpaceToDepth DepthToSpace SpaceToBatchND BatchToSpaceND "
    "EnsureShape CheckNumerics Roll"
)
CONVOLUTIONS = words(
    "MatMul BatchMatMulV2 Einsum Conv2D Conv3D DepthwiseConv2dNative Conv2DBackpropInput Conv3DBackpropInputV2"
)
LINEAR = CONVOLUTIONS | words(
    "BiasAdd AddV2 Add AddN Sub Neg Mean Sum AvgPool AvgPool3D ResizeBilinear ResizeNearestNeighbor ResizeBicubic Mul "
    "RealDiv FusedBatchNormV3 Cumsum"
)
SUMS = words("BiasAdd AddV2 Add Sub")
PRODUCTS = words("Mul MatMul BatchMatMulV2 Einsum")
POOLS = words("MaxPool MaxPool3D")
DIVIDING = words("Split SplitV Unpack")
CELLS = words("rnn lstm gru bidirectional conv_lstm attention")
UNKNOWN = Layer("", "", (), ())
ROUNDING = 1e-6
"""Changes below this share of the value are rounding where the two passes had not the same number of rows."""
TINY = {tf.float16: 6.2e-5}
"""What stands for 0 where it would be divided by 0, by type; 1e-37 for those with a wide range."""
TIE = 2e-6
"""Values closer than some times this share of the largest count as equal: a maximum is then found at the first."""


@dataclass
class Walk:
    """A walk back from the outputs; `twins` has for each operation the same one in the pass of the baseline.

    `places` names the layers that made operations; `varying` are the tensors that depend on the input; `stopped`
    collects what stops the walk, where it is not to raise.
    """

    layers: Mapping[str, Layer]
    places: Mapping[str, str]
    varying: set[str]
    twins: Mapping[str, Any]
    parameters: Mapping[str, Any]
    stopped: dict[str, str] | None = None
    shares: dict[str, Any] = field(default_factory=dict)

    def back(self, op: Any, given: Any) -> list[Any]:
        """Give what each input of an operation gets of what came to its output; None for inputs that do not vary."""
        raise NotImplementedError

    def own(self, op: Any, given: Any) -> list[Any]:
        """Give the operation's own vector-Jacobian product."""
        moving = [t for t in op.inputs if t.name in self.varying]
        found = iter(tf.gradients(op.outputs[0], moving, given, stop_gradients=moving, unconnected_gradients="zero"))
        return [next(found) if t.name in self.varying else None for t in op.inputs]

    def stop(self, op: Any, why: str = "has no rule") -> list[Any]:
        """Raise, or note, that an operation cannot be treated."""
        name = self.layer(op)
        kind = self.layers[name].kind if name in self.layers else op.type
        if self.stopped is None:
            raise NotSupported(f"layer {name!r} ({kind}) {why}")
        self.stopped[name] = f"{kind} {why}"
        return [tf.zeros_like(t) if t.name in self.varying and t.dtype.is_floating else None for t in op.inputs]

    def layer(self, op: Any) -> str:
        """Name the layer that made an operation, or the operation itself."""
        return self.places.get(op.name, op.name)

    def moving(self, op: Any) -> list[int]:
        """The places of the inputs that vary."""
        return [i for i, t in enumerate(op.inputs) if t.name in self.varying]


@dataclass
class Rescale(Walk):
    """The rescale rule: Δout / Δin, the derivative where |Δin| < eps.

    Shrikumar, Greenside and Kundaje, "Learning Important Features Through Propagating Activation Differences" (2017),
    section 3.5.1. Of a maximum, the rise goes to the place that is largest now, the fall to the one that was largest in
    the baseline. Of a product of two varying values each gets its own change times the other's mean, as in Lundberg and
    Lee (2017).
    """

    def back(self, op: Any, given: Any) -> list[Any]:
        moving = self.moving(op)
        if op.type in ELEMENTWISE and len(moving) == 1:
            return self._scaled(op, given, moving[0])
        if op.type in PRODUCTS and len(moving) == 2:
            return self._product(op, given)
        if op.type in POOLS:
            return [self._pooled(op, given)]
        if op.type == "Max":
            return [self._largest(op, given), None]
        return self.own(op, given) if op.type in MOVES or _is_linear(op, moving) else self.stop(op)

    def _scaled(self, op: Any, given: Any, place: int) -> list[Any]:
        twin = self.twins[op.name]
        before, y = twin.inputs[place], op.outputs[0]
        if op.type == "Relu" and self.parameters.get("eps", 1e-10) < 1e-6:
            return [given * _ratio_of_relu(op.inputs[0], before, twin.outputs[0])]
        change, rise = op.inputs[place] - before, y - twin.outputs[0]
        derivative = self.own(op, given)
        # a pass of another number of rows may round otherwise
        other = tf.cast(tf.shape(before)[:1] != tf.shape(change)[:1], change.dtype) * ROUNDING
        small = tf.abs(change) < tf.maximum(self._eps(change), other * tf.abs(before))
        ratio = given * rise / tf.where(small, tf.ones_like(change), change)
        derivative[place] = tf.where(small, derivative[place], ratio)
        return derivative

    def _eps(self, like: Any) -> Any:
        return tf.cast(self.parameters.get("eps", 1e-10), like.dtype)

    def _product(self, op: Any, given: Any) -> list[Any]:
        means = [(t + b) / 2 for t, b in zip(op.inputs, self.twins[op.name].inputs, strict=True)]
        return list(tf.gradients(again(op, means), means, given))

    def _pooled(self, op: Any, given: Any) -> Any:
        twin, pool = self.twins[op.name], _Pool.of(op)
        x, before = op.inputs[0], twin.inputs[0]
        change, rise = x - before, op.outputs[0] - twin.outputs[0]
        found = tf.zeros_like(x)
        for value, top, part, own in (
            (x, op.outputs[0], tf.nn.relu(rise), 1.0),
            (before, twin.outputs[0], -tf.nn.relu(-rise), 0.0),
        ):
            untied = _untied(value, top, pool)
            largest = again(op, [untied])
            if pool.apart:  # faster than the same by the second derivative of the maximum
                chosen = pool.gradient(untied, largest, tf.ones_like(largest))
                share = self._share(pool.sums(chosen * change), part, own)
                found += chosen * pool.spread(given * share, x)
            else:
                untied, largest = tf.broadcast_to(untied, tf.shape(x)), tf.broadcast_to(largest, tf.shape(rise))
                share = self._share(pool.picked(untied, largest, change), part, own)
                found += pool.gradient(untied, largest, given * share)
        return found

    def _share(self, moved: Any, part: Any, own: float) -> Any:
        small = tf.abs(moved) < self._eps(moved)
        ratio = tf.clip_by_value(part / tf.where(small, tf.ones_like(moved), moved), 0, 1)
        return tf.where(small, tf.ones_like(moved) * own, ratio)

    def _largest(self, op: Any, given: Any) -> Any:
        twin, axes = self.twins[op.name], op.inputs[1]
        x, before = op.inputs[0], twin.inputs[0]
        now, then = (tf.reduce_max(t, axes, keepdims=True) for t in (x, before))
        given = tf.reshape(given, tf.shape(now))
        found = tf.zeros_like(x)
        rise = now - then
        for value, top, part, own in ((x, now, tf.nn.relu(rise), 1.0), (before, then, -tf.nn.relu(-rise), 0.0)):
            first = _first(value >= top - TIE * tf.abs(top), axes, value)
            moved = tf.reduce_sum(first * (x - before), axes, keepdims=True)
            found += first * given * self._share(moved, part, own)
        return found


def _ratio_of_relu(x: Any, b: Any, after: Any) -> Any:
    """Give (x⁺ - b⁺) / (x - b), and where x = b the derivative, which is the limit of it: `after` is b⁺.

    It is h⁺ / (h⁺ + l⁻), h the larger of both and l the smaller: 0/0 only where both are 0, and without cancellation.
    """
    high = tf.maximum(x, after)
    return high / (high - tf.minimum(x, tf.minimum(b, -tf.cast(TINY.get(x.dtype, 1e-37), x.dtype))))


@dataclass
class Relevance(Walk):
    """Layer-wise relevance propagation: each input gets the share that it had in the output.

    The epsilon rule (Bach et al. (2015), equation 58), gamma and alpha1-beta0 (Montavon et al. (2019), section 10.2).
    A sum with a constant, a bias or the shift of a normalisation, and the operation before it are one layer.
    """

    def back(self, op: Any, given: Any) -> list[Any]:
        moving = self.moving(op)
        if op.type in MOVES or op.type in (*POOLS, "Max"):
            return self.own(op, given)
        if op.type in ACTIVATIONS and len(moving) == 1:
            return [given if i in moving else None for i in range(len(op.inputs))]
        if op.type in SUMS and len(moving) == 1 and self._is_bias(op, moving[0]):
            before = op.inputs[moving[0]].op
            shift = op.outputs[0] - before.outputs[0]
            share = self._share(given, self._weighted(before, before.inputs) + shift)
            self.shares[before.name] = share
            return [tf.zeros_like(t) if i in moving else None for i, t in enumerate(op.inputs)]
        if _is_linear(op, moving):
            return self._linear(op, given, moving)
        return self.stop(op)

    def _linear(self, op: Any, given: Any, moving: list[int]) -> list[Any]:
        held = [tf.identity(t) if i in moving else t for i, t in enumerate(op.inputs)]
        y = self._weighted(op, held)
        share = self.shares.pop(op.name) if op.name in self.shares else self._share(given, y)
        found = iter(tf.gradients(y, [held[i] for i in moving], share, unconnected_gradients="zero"))
        return [t * next(found) if i in moving else None for i, t in enumerate(op.inputs)]

    def _share(self, relevance: Any, y: Any) -> Any:
        epsilon = tf.cast(self.parameters.get("epsilon", 1e-9), y.dtype)
        return relevance / (y + tf.where(y < 0, -epsilon, epsilon))

    def _is_bias(self, op: Any, place: int) -> bool:
        before = op.inputs[place].op
        moving = self.moving(before)
        alone = [c for c in op.inputs[place].consumers() if any(t.name in self.varying for t in c.outputs)]
        return len(alone) == 1 and before.type not in SUMS and len(moving) == 1 and _is_linear(before, moving)

    def _weighted(self, op: Any, inputs: Sequence[Any]) -> Any:
        """Give an operation's value for other inputs, with the weights of the rule."""
        rule, moving = self.parameters.get("rule", "epsilon"), self.moving(op)
        if rule != "epsilon" and op.type in CONVOLUTIONS:
            gamma = self.parameters.get("gamma", 0.25)
            inputs = [t if i in moving else _changed(t, rule, gamma) for i, t in enumerate(inputs)]
        return again(op, inputs)


def _changed(weight: Any, rule: str, gamma: float) -> Any:
    if not weight.dtype.is_floating:
        return weight
    positive = tf.nn.relu(weight)
    return positive if rule == "alpha1-beta0" else weight + gamma * positive


def _is_linear(op: Any, moving: list[int]) -> bool:
    """Whether an operation is linear in what varies among its inputs."""
    if op.type == "FusedBatchNormV3":
        return moving == [0] and not op.get_attr("is_training")
    if op.type == "RealDiv":
        return moving == [0]
    return op.type in LINEAR and (op.type not in PRODUCTS | CONVOLUTIONS or len(moving) == 1)


def again(op: Any, inputs: Sequence[Any]) -> Any:
    """Give the first output of the same operation on other inputs."""
    function = getattr(tf.raw_ops, op.type)
    arguments, left = op.op_def.input_arg, iter(inputs)
    given = [
        [next(left) for _ in range(op.get_attr(a.number_attr))] if a.number_attr else next(left) for a in arguments
    ]
    derived = {name for a in arguments for name in (a.type_attr, a.number_attr, a.type_list_attr)}
    attributes = {a.name: op.get_attr(a.name) for a in op.op_def.attr if a.name not in derived}
    attributes = {n: v.decode() if isinstance(v, bytes) else v for n, v in attributes.items()}
    # by place: some inputs have another name here than in the operation's own definition
    names = [n for n in inspect.signature(function).parameters if n not in attributes]
    found = function(**dict(zip(names, given, strict=False)), **attributes)
    return found[0] if isinstance(found, tuple | list) else found


@dataclass(frozen=True)
class _Pool:
    """The windows of a maximum over places, `dims` of them from the axis `start` on."""

    kind: str
    how: Mapping[str, Any]
    start: int
    dims: int

    @classmethod
    def of(cls, op: Any) -> "_Pool":
        """Read the windows of an operation."""
        how = {n: op.get_attr(n) for n in ("ksize", "strides", "padding", "data_format")}
        start = 2 if how["data_format"] in (b"NCHW", b"NCDHW") else 1
        return cls("3D" if op.type == "MaxPool3D" else "", how, start, len(how["ksize"]) - 2)

    @property
    def apart(self) -> bool:
        """Whether every place lies in one window at most, and no window over the border."""
        far = all(k <= s for k, s in zip(self.how["ksize"], self.how["strides"], strict=True))
        return far and self.how["padding"] == b"VALID"

    def gradient(self, x: Any, largest: Any, given: Any) -> Any:
        """Give the places that hold the maxima what is given for their windows."""
        return self._op("MaxPool", "Grad", orig_input=x, orig_output=largest, grad=given)

    def picked(self, x: Any, largest: Any, values: Any) -> Any:
        """Give of other values those at the places that hold the maxima."""
        return self._op("MaxPool", "GradGrad", orig_input=x, orig_output=largest, grad=values)

    def sums(self, values: Any) -> Any:
        """Sum values over every window."""
        mean = self._op("AvgPool", "", **{"input" if self.kind else "value": values})
        return mean * tf.cast(np.prod(self.how["ksize"]), values.dtype)

    def spread(self, given: Any, like: Any) -> Any:
        """Give every place what is given for its window, for windows that are apart."""
        shape = tf.concat([tf.shape(given)[:1], tf.shape(like)[1:]], 0)
        return self._op(
            "AvgPool", "Grad", orig_input_shape=shape, grad=given * tf.cast(np.prod(self.how["ksize"]), given.dtype)
        )

    def _op(self, name: str, suffix: str, **given: Any) -> Any:
        return getattr(tf.raw_ops, f"{name}{self.kind}{suffix}")(**given, **self.how)


def _untied(x: Any, top: Any, pool: _Pool) -> Any:
    """Lower places by their order, by less than differences count, so that rounding does not choose among equals.

    `top` are the maxima. Equals must not be left even where all of them are zero: which of them is the first, or
    whether all are, is another on every kind of processor. In three dimensions TensorFlow takes what is within 1e-5
    for equal, whatever the size of the numbers: there they are in steps of the order, of which no two of a window are
    the same. In two the first of those that still are is found alike everywhere, and smaller steps choose better.
    """
    most = tf.reduce_max(tf.abs(top), range(1, x.shape.rank), keepdims=True)
    step = tf.cast(TIE, x.dtype) * tf.where(most <= tf.cast(1e-30, x.dtype), tf.ones_like(most), most)
    order = tf.zeros([1] * x.shape.rank, x.dtype)
    base = max(4, *pool.how["ksize"]) if pool.dims == 3 else 4
    for i in range(pool.dims):
        shape = [1] * x.shape.rank
        shape[pool.start + i] = -1
        places = tf.reshape(tf.range(tf.shape(x)[pool.start + i]), shape)
        order += tf.cast(places, x.dtype) * base ** (pool.dims - 1 - i)
    return x / step - order if pool.dims == 3 else x - step * order


def _first(chosen: Any, axes: Any, like: Any) -> Any:
    """Mark the first of the chosen places along axes: 1 there, 0 elsewhere."""
    rank = like.shape.rank
    axes = [int(a) % rank for a in np.ravel(tf.get_static_value(axes))]
    order = tf.zeros_like(like)
    for axis in axes:
        size = tf.shape(like)[axis]
        place = tf.reshape(tf.range(size), [-1 if i == axis else 1 for i in range(rank)])
        order = order * tf.cast(size, like.dtype) + tf.cast(place, like.dtype)
    order = tf.where(chosen, order, tf.ones_like(order) * like.dtype.max)
    return tf.cast(order == tf.reduce_min(order, axes, keepdims=True), like.dtype)


# --- the whole -------------------------------------------------------------------------------------------------------


def contributed(made: Pass, task: Task, x: Any, start: Any, seed: Any, stopped: dict[str, str] | None = None) -> Any:
    """Give the contributions of the inputs `x`, and what is said of them and of DeepLIFT's baseline `start`: an output
    and the raw one each. It is done in the graph that is being traced.

    One row of a baseline stands for all samples.
    """
    name, parameters = task.native[0], dict(task.native[1:])
    before, _, below = ([], {}, (None, None)) if start is None else _pass(made, task, start)
    now, places, (value, raw) = _pass(made, task, x)
    if start is not None and [op.type for op in before] != [op.type for op in now]:
        raise NotSupported(f"{made.name} takes another way for the baseline than for the sample")
    twins = {op.name: twin for op, twin in zip(now, before, strict=False)}
    sources, values = floating(x), parts(value)
    # sizes, indices and masks: what depends on the input through them alone does not vary smoothly with its values
    passed = between(
        [t.op for t in values],
        [t.op for t in sources],
        lambda op: [t.op for t in op.inputs if not (t.dtype.is_integer or t.dtype.is_bool)],
    )
    varying = {t.name for op in passed for t in op.outputs}
    walk = (Relevance if name == "lrp" else Rescale)(made.reading.layers, places, varying, twins, parameters, stopped)
    given = seed(value) if callable(seed) else seed
    seeds = [tf.cast(s, v.dtype) for s, v in zip(parts(given), values, strict=True)]
    ends = [s * v for s, v in zip(seeds, values, strict=True)] if name == "lrp" else seeds
    found = _walked(walk, passed, values, ends, sources)
    if start is not None:
        found = [m * (t - b) for m, t, b in zip(found, sources, floating(start), strict=True)]
    left = iter([single(t) for t in found])
    if not isinstance(x, Mapping):
        return next(left), (value, raw), below
    named = {n: next(left) if t.dtype.is_floating else tf.zeros(tf.shape(t)) for n, t in x.items()}
    return named, (value, raw), below


def _pass(made: Pass, task: Task, x: Any) -> tuple[list[Any], dict[str, str], tuple[Any, Any]]:
    """Run; give the operations that this has made, the layers that made them, and the outputs, also the raw ones.

    What is captured from outside is made once for all passes, and left out.
    """
    graph = tf.compat.v1.get_default_graph()
    calls = made.reading.calls
    names = {(id(operation), turn): name for name, (operation, turn) in calls.items()}
    places: dict[str, str] = {}

    def note(operation: Any, turn: int, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        first = len(graph.get_operations())
        result = call(*args, **kwargs)
        if (id(operation), turn) in names:
            for op in graph.get_operations()[first:]:
                places.setdefault(op.name, names[id(operation), turn])
        return result

    start = len(graph.get_operations())
    with intercepted(list({id(o): o for o, _ in calls.values()}.values()), note):
        outputs, _, raw = made.run(task, x, {})
    return [op for op in graph.get_operations()[start:] if op.type != "Placeholder"], places, (outputs, raw)


def _walked(walk: Walk, passed: Sequence[Any], values: list[Any], seeds: list[Any], sources: list[Any]) -> list[Any]:
    """Walk back over operations, the last first, and give what comes to the sources."""
    given: defaultdict[str, list[Any]] = defaultdict(list)
    for value, seed in zip(values, seeds, strict=True):
        given[value.name].append(seed)
    order = {op.name: i for i, op in enumerate(sources[0].graph.get_operations())}
    ends = {t.name for t in sources}
    for op in sorted(passed, key=lambda op: -order[op.name]):
        if any(t.name in ends for t in op.outputs):
            continue
        came = [given[t.name] for t in op.outputs]
        if not any(came):
            continue
        if op.type == "IdentityN":  # also around functions with a gradient of their own, which is passed by
            found = [tf.add_n(c) if c else None for c in came]
        elif called_functions(op) or walk.layers.get(walk.layer(op), UNKNOWN).kind in CELLS:
            found = walk.stop(op)
        elif op.type in DIVIDING:
            found = _divided(walk, op, came)
        else:
            found = walk.back(op, tf.add_n(came[0])) if came[0] and not any(came[1:]) else walk.stop(op)
        for tensor, part in zip(op.inputs, found, strict=True):
            if part is not None:
                given[tensor.name].append(part)
    return [tf.add_n(given[t.name]) if given[t.name] else tf.zeros_like(t) for t in sources]


def _divided(walk: Walk, op: Any, came: list[list[Any]]) -> list[Any]:
    moving = [t for t in op.inputs if t.name in walk.varying]
    seeds = [tf.add_n(c) if c else tf.zeros_like(t) for c, t in zip(came, op.outputs, strict=True)]
    found = iter(tf.gradients(op.outputs, moving, seeds, stop_gradients=moving, unconnected_gradients="zero"))
    return [next(found) if t.name in walk.varying else None for t in op.inputs]
