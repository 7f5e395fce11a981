"""One pass through a network, with values read, replaced and watched on the way."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import keras
import tensorflow as tf

from xaikit.errors import NotSupported
from xaikit.graph import between
from xaikit.inputs import ScoreKind
from xaikit.model import named_sources
from xaikit_keras._gates import opened
from xaikit_keras._graph import kind_of
from xaikit_keras._private import called_functions, intercepted, replaced, untouched, with_mask_of
from xaikit_keras._reading import Final, Place, Reading, ending_function
from xaikit_keras._tensors import as_columns, call_net, single

RELU_RULES = {"guided": "XaikitGuidedRelu", "deconvnet": "XaikitDeconvnetRelu"}
RELUS = ("Relu", "Relu6")


@dataclass(frozen=True)
class Task:
    """What is asked of a pass: the key under which its traced function is kept, together with the shapes."""

    at: tuple[str, ...] = ()
    patch: tuple[str, ...] = ()
    score: ScoreKind = "output"
    pulls: bool = False
    of: str | None = None
    wrt: str | tuple[str, ...] | None = None
    rule: str | None = None
    native: tuple[Any, ...] = ()

    @property
    def read(self) -> tuple[str, ...]:
        """The layers whose values are needed."""
        return tuple(dict.fromkeys((*self.at, *([self.of] if self.of else []), *self.sources)))

    @property
    def sources(self) -> tuple[str, ...]:
        """The layers that a gradient is asked for at."""
        return named_sources(self.wrt)


@dataclass
class Taps:
    """Reads, replaces and watches the values of layers: a handler for `intercepted`.

    A layer with several outputs is known by its first: the sequence of a recurrent layer that also gives its states.
    """

    reading: Reading
    task: Task
    patch: Mapping[str, Any]
    watch: Callable[[Any], None] = lambda tensor: None
    values: dict[str, Any] = field(default_factory=dict)
    ended: dict[Place, Any] = field(default_factory=dict)
    steps: dict[str, dict[int, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        asked = {*self.task.read, *self.task.patch}
        places = {name: (id(op), turn) for name, (op, turn) in self.reading.calls.items()}
        self._names = {places[n]: n for n in asked if n in places}
        self._gates: dict[Place, dict[str, str]] = {}
        for name in asked & set(self.reading.gates):
            layer, gate = self.reading.gates[name]
            self._gates.setdefault(places[layer], {})[gate] = name
        ends = self.reading.ends.values() if self.task.score == "logit" and self.task.of is None else ()
        self._bare = {end.place for end in ends if end.place is not None}
        touched = {i for i, _ in {*self._names, *self._gates, *self._bare}}
        self.targets = [op for op in {id(o): o for o, _ in self.reading.calls.values()}.values() if id(op) in touched]

    def __call__(self, operation: Any, turn: int, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        place = (id(operation), turn)
        run = call
        if place in self._gates:
            gates = self._gates[place]

            def run(*a: Any, **k: Any) -> Any:
                return opened(operation, lambda g, t, v: self._step(gates.get(g), t, v), call, a, k)

        if place in self._bare:
            return self._without_end(operation, place, run, args, kwargs)
        result = run(*args, **kwargs)
        return self._through(self._names[place], result) if place in self._names else result

    def _without_end(self, operation: Any, place: Place, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Leave out the final softmax or sigmoid; the layer's own value is still what the layer gives.

        That value is kept: it is the network's output.
        """
        name = self._names.get(place)
        if name is not None and name in self.patch:
            raise NotSupported(f"the logit behind {name!r} is not known when its value is replaced: use score='output'")
        if kind_of(operation) == ending_function(operation):
            logits = args[0]
            value = call(*args, **kwargs)
        else:
            function = operation.activation
            with replaced(operation, "activation", keras.activations.linear):
                logits = call(*args, **kwargs)
            value = function(logits)
        self.ended[place] = value
        if name:
            self._through(name, value)
        return logits

    def _through(self, name: str, result: Any) -> Any:
        parts = keras.tree.flatten(result)
        first = next(i for i, part in enumerate(parts) if tf.is_tensor(part))
        parts[first] = self._value(name, parts[first])
        self.values[name] = parts[first]
        return keras.tree.pack_sequence_as(result, parts)

    def _value(self, name: str, value: Any) -> Any:
        if name in self.patch:
            value = with_mask_of(value, tf.cast(self.patch[name], value.dtype))
        return self._watched(name, value) if name in self.task.sources else value

    def _watched(self, name: str, value: Any) -> Any:
        if not value.dtype.is_floating:
            raise NotSupported(f"there is no gradient to {name!r}: its values are {value.dtype.name}")
        own = with_mask_of(value, tf.identity(value))
        self.watch(own)
        return own

    def _step(self, name: str | None, time: int | None, value: Any) -> Any:
        if name is None:
            return value
        if name in self.patch:
            chosen = self.patch[name] if time is None else self.patch[name][:, time]
            value = tf.cast(chosen, value.dtype)
        if name in self.task.sources:
            value = self._watched(name, value)
        if time is None:
            self.values[name] = value
        else:
            self.steps.setdefault(name, {})[time] = value
        return value

    def value(self, name: str) -> Any:
        """Give what a layer gave, as float32; the steps of a gate are joined."""
        if name in self.steps:
            return single(tf.stack([v for _, v in sorted(self.steps[name].items())], axis=1))
        return single(self.values[name])

    def sources(self, name: str) -> list[Any]:
        """Give the tensors that were watched for a layer, one per step for a gate."""
        if name in self.steps:
            return [v for _, v in sorted(self.steps[name].items())]
        return [self.values[name]]


@dataclass(frozen=True)
class Pass:
    """A network with what is known of it: computes tasks on tensors, eagerly or while being traced.

    `count` is the number of rows, None while tracing for any number; `final` names the function that turns an output
    of logits into probabilities; `values` stand in the place of some variables.
    """

    net: Any
    name: str
    reading: Reading
    count: int | None
    final: Mapping[str | None, Final]
    values: Sequence[tuple[Any, Any]] = ()

    def compute(self, task: Task, x: Any, patch: Sequence[Any], seed: Any) -> tuple[Any, ...]:
        """Give what a Run holds, its activations in the order of the layers asked for; or a Pull if the task pulls."""
        named = dict(zip(task.patch, patch, strict=True))
        return self.pull(task, x, named, seed) if task.pulls else self.run(task, x, named)

    def run(self, task: Task, x: Any, patch: Mapping[str, Any]) -> tuple[Any, list[Any], Any]:
        """Give the output, the values at the layers asked for, and the raw output beside one of logits."""
        result, taps = self._through(task, x, patch)
        raw = self._whole(result, task, taps) if task.score == "logit" else None
        return self.outputs(result, task), [taps.value(n) for n in task.at], raw

    def pull(self, task: Task, x: Any, patch: Mapping[str, Any], seed: Any) -> tuple[Any, Any, Any, Any]:
        """Give value, source (None for the input itself), gradient, and the raw output where it is not the value.

        `seed` is the cotangent or, outside of a trace, a function of the value.
        """
        if task.rule is not None:
            return self._pull_by_rule(task, x, patch, seed)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            inputs = [] if task.sources else floating(x)
            for tensor in inputs:
                tape.watch(tensor)
            result, taps = self._through(task, x, patch, tape.watch)
            value = taps.value(task.of) if task.of else self.outputs(result, task)
        sources = [t for n in task.sources for t in taps.sources(n)] or inputs
        seeds = parts(seed(value) if callable(seed) else seed)
        found = tape.gradient(parts(value), sources, seeds, tf.UnconnectedGradients.ZERO)
        return self._pulled(task, x, value, found, result, taps)

    def _pull_by_rule(self, task: Task, x: Any, patch: Mapping[str, Any], seed: Any) -> tuple[Any, Any, Any, Any]:
        graph = tf.compat.v1.get_default_graph()
        with graph.gradient_override_map(dict.fromkeys(RELUS, RELU_RULES[str(task.rule)])):
            result, taps = self._through(task, x, patch)
            value = taps.value(task.of) if task.of else self.outputs(result, task)
        sources = [t for n in task.sources for t in taps.sources(n)] or floating(x)
        _require_relus(parts(value), sources, str(task.rule), self.name)
        found = tf.gradients(parts(value), sources, parts(seed), unconnected_gradients="zero")
        return self._pulled(task, x, value, found, result, taps)

    def _pulled(self, task: Task, x: Any, value: Any, found: list[Any], result: Any, taps: Taps) -> tuple[Any, ...]:
        source = by_layer(task, taps.value) if task.sources else None
        return value, source, _assembled(task, x, found, taps), self._whole(result, task, taps)

    def _through(
        self, task: Task, x: Any, patch: Mapping[str, Any], watch: Callable[[Any], None] = lambda tensor: None
    ) -> tuple[Any, Taps]:
        taps = Taps(self.reading, task, patch, watch)
        with untouched(self.net, self.values), ExitStack() as stack:
            hidden = [op for op in self.reading.decorated if op not in taps.targets]
            stack.enter_context(intercepted(hidden, passed_on))
            stack.enter_context(intercepted(taps.targets, taps))
            return call_net(self.net, x), taps

    def _whole(self, result: Any, task: Task, taps: Taps) -> Any:
        """Give the raw output beside its logits or probabilities; None where it is itself what was asked for."""
        if task.of is not None or task.score == "output":
            return None
        named = self.reading.named(result)
        if isinstance(named, Mapping):
            return {n: self._ended(n, t, taps) for n, t in named.items()}
        return self._ended(None, named, taps)

    def _ended(self, name: str | None, tensor: Any, taps: Taps) -> Any:
        """Put the final softmax or sigmoid back where it was left out; no more than a reshaping comes after it."""
        end = self.reading.ends.get(name)
        left_out = None if end is None or end.place is None else taps.ended.get(end.place)
        if left_out is not None:
            tensor = tf.reshape(left_out, tf.shape(tensor))
        return as_columns(tensor, self.count, self.name)

    def outputs(self, result: Any, task: Task) -> Any:
        """Give a network's result by name, as float32 and in the form of the score."""
        named = self.reading.named(result)
        if isinstance(named, Mapping):
            return {n: self._in_form(n, t, task) for n, t in named.items()}
        return self._in_form(None, named, task)

    def _in_form(self, name: str | None, tensor: Any, task: Task) -> Any:
        end = self.reading.ends.get(name)
        if task.score == "logit" and end is not None and end.place is None and task.of is None:
            tensor = before_final(tensor)
        tensor = as_columns(tensor, self.count, self.name)
        if task.score == "probability" and name in self.final:
            return tf.nn.softmax(tensor) if self.final[name] == "softmax" else tf.nn.sigmoid(tensor)
        return tensor


def passed_on(operation: Any, turn: int, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Let a call happen: for layers whose tf.function would otherwise hide the layers inside."""
    return call(*args, **kwargs)


def before_final(tensor: Any) -> Any:
    """Give what enters a softmax or sigmoid that no layer applies, in the shape of what comes out."""
    last = tensor
    while last.op.type not in ("Softmax", "Sigmoid"):
        last = last.op.inputs[0]
    return tf.reshape(last.op.inputs[0], tf.shape(tensor))


def floating(x: Any) -> list[Any]:
    """List the tensors that have gradients."""
    return [t for t in parts(x) if t.dtype.is_floating]


def parts(value: Any) -> list[Any]:
    """List the tensors of a value, by name or alone."""
    return list(value.values()) if isinstance(value, Mapping) else [value]


def by_layer(task: Task, value: Callable[[str], Any]) -> Any:
    """Give the value of the only source, or those of several by name."""
    return value(task.wrt) if isinstance(task.wrt, str) else {n: value(n) for n in task.sources}


def _assembled(task: Task, x: Any, found: list[Any], taps: Taps) -> Any:
    """Give gradients in the form of their source."""
    gradients = [single(tf.convert_to_tensor(g)) for g in found]
    left = iter(gradients)
    if task.sources:

        def whole(name: str) -> Any:
            own = [next(left) for _ in taps.sources(name)]
            return tf.stack(own, axis=1) if name in taps.steps else own[0]

        return by_layer(task, whole)
    if isinstance(x, Mapping):
        return {n: next(left) if t.dtype.is_floating else tf.zeros(tf.shape(t)) for n, t in x.items()}
    return next(left)


def _require_relus(values: list[Any], sources: list[Any], rule: str, name: str) -> None:
    """Raise NotSupported unless the rule is in force at every ReLU between the sources and the values.

    Without a ReLU the pull would be the plain gradient, and so would a ReLU be inside a loop or a called function.
    """
    passed = between([t.op for t in values], [t.op for t in sources], lambda op: [t.op for t in op.inputs])
    calling = {op.type for op in passed if called_functions(op)}
    if calling and any(n.op in RELUS for f in passed[0].graph.as_graph_def().library.function for n in f.node_def):
        raise NotSupported(
            f"{name} has a ReLU inside {', '.join(sorted(calling))}, where the rule {rule!r} cannot be put; "
            "use saliency, smooth-grad, integrated-gradients or grad-cam"
        )
    if not any(op.type in RELUS for op in passed):
        raise NotSupported(
            f"{name} has no ReLU on this way, so the rule {rule!r} would give the plain gradient; "
            "use saliency, smooth-grad, integrated-gradients or grad-cam"
        )


@tf.RegisterGradient(RELU_RULES["guided"])
def _guided(op: Any, grad: Any) -> Any:
    """Let through what is positive, where the ReLU was open: above zero and, where it has a ceiling, below that."""
    output = op.outputs[0]
    is_open = (output > 0) & (output < 6) if op.type == "Relu6" else output > 0
    return tf.where((grad > 0) & is_open, grad, tf.zeros_like(grad))


@tf.RegisterGradient(RELU_RULES["deconvnet"])
def _deconvnet(op: Any, grad: Any) -> Any:
    """Let through what is positive."""
    return tf.nn.relu(grad)
