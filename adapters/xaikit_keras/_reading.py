"""Reading a network: its calls in order, how they are joined, what its outputs are called and end in.

One pass is recorded, in a graph without data where the network can be traced, else on a batch of zeros.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import keras
import tensorflow as tf

from xaikit.graph import Geometry, Layer, places
from xaikit_keras._fragments import Noted, Tape, fragment
from xaikit_keras._gates import gates_of
from xaikit_keras._geometry import POINTWISE, UNKNOWN, WHOLE, Seen, geometry_of
from xaikit_keras._graph import IDS, RECURRENT, Value, axes_of, default_axes, function_name, kind_of
from xaikit_keras._private import (
    functional,
    is_container,
    is_decorated,
    operations,
    operations_noted,
    sublayers,
    with_mask_of,
)
from xaikit_keras._tensors import leaves, unique
from xaikit_keras._tensors import named as as_named

Final = Literal["softmax", "sigmoid"]
Place = tuple[int, int]
"""The id of an operation, and which of its calls."""

COPIES = ("Identity", "Cast")
RESHAPES = ("Squeeze", "Reshape", "ExpandDims")
SIZES = ("Shape", "ShapeN", "Size", "Rank")
FINALS: Mapping[str, Final] = {"Softmax": "softmax", "Sigmoid": "sigmoid"}


@dataclass(frozen=True)
class Call:
    """One call that was recorded; `inputs` and `outputs` are its tensors, `parents` name where the inputs are from.

    `arguments` go by name, or by number where they were given none.
    """

    name: str
    operation: Any
    turn: int
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    parents: tuple[str, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        """Where the call is found again in another pass."""
        return id(self.operation), self.turn


@dataclass(frozen=True)
class End:
    """The function that an output ends in: `place` is the call that applies it, None when no layer does."""

    function: Final
    place: Place | None


@dataclass(frozen=True)
class Reading:
    """What was found.

    `calls` tells by name which operation and which of its calls a layer is; `gates` the layer and the gate in it that
    a name means. `outputs` is None when the network gives one array.
    """

    layers: Mapping[str, Layer]
    calls: Mapping[str, tuple[Any, int]]
    outputs: tuple[str, ...] | None
    ends: Mapping[str | None, End]
    gates: Mapping[str, tuple[str, str]]
    decorated: tuple[Any, ...]
    traced: bool

    def named(self, result: Any) -> Any:
        """Give the network's result as one tensor, or as a mapping by output name."""
        parts = [tensor for _, tensor in leaves(result)]
        return parts[0] if self.outputs is None else dict(zip(self.outputs, parts, strict=True))

    @cached_property
    def recurrent(self) -> bool:
        """Whether time steps are walked through one by one, which is slow outside of a graph."""
        return any(layer.kind in ("rnn", "lstm", "gru", "bidirectional", "conv_lstm") for layer in self.layers.values())

    def embeddings(self, name: str) -> list[str]:
        """List the layers that read the named input, if all of them take it as ids; else []."""
        return self._embeddings.get(name, [])

    @cached_property
    def _embeddings(self) -> dict[str, list[str]]:
        readers: dict[str, list[Layer]] = {}
        for layer in self.layers.values():
            for name in dict.fromkeys(layer.parents):
                readers.setdefault(name, []).append(layer)
        return {n: [r.name for r in found] for n, found in readers.items() if all(r.kind in IDS for r in found)}


@dataclass
class Recorder:
    """Records one pass of a network: a handler for `intercepted`."""

    net: Any
    inputs: Mapping[str, Any]
    graph: Any = None
    calls: list[Call] = field(default_factory=list)
    _path: list[str] = field(default_factory=list)
    _inside: bool = False
    _made: dict[Any, str] = field(default_factory=dict)
    _first: dict[Any, str] = field(default_factory=dict)
    _other: dict[Any, str] = field(default_factory=dict)
    _noted: dict[int, Noted] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, tensor in self.inputs.items():
            self._made[self._key(tensor)] = self._first[self._key(tensor)] = name

    def noting(self) -> Any:
        """Note the operations that run eagerly, so that what lies between layers is known too."""

        def note(kind: str, inputs: Any, attributes: Any, outputs: Any) -> None:
            found = Noted(
                kind, tuple(inputs), tuple(outputs), dict(zip(attributes[::2], attributes[1::2], strict=False))
            )
            self._noted.update((id(t), found) for t in outputs)

        return operations_noted(note)

    def __call__(self, operation: Any, turn: int, call: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Let a call happen, and note it; what happens inside one of Keras' own layers is that layer's business."""
        if self._inside or isinstance(operation, keras.layers.InputLayer):
            return call(*args, **kwargs)
        first = len(self.calls)
        sources = _tensors(args, {k: v for k, v in kwargs.items() if not k.endswith("mask")})
        parents = self._origins(sources)
        container = is_container(operation)
        with self._entered(operation, container):
            result = call(*args, **kwargs)
        if container and self._only_passes_on(operation, result, first):
            return result
        if container:
            parents = self._origins([t for _, t in leaves(result)][:1]) or parents
        result = _copied(result, sources)
        made = [t for _, t in leaves(result)]
        if made and self._belongs(made[0]):
            name = self._name(operation)
            self.calls.append(Call(name, operation, turn, tuple(sources), tuple(made), parents, _named(args, kwargs)))
            self._first[self._key(made[0])] = name
            parts = made if isinstance(operation, keras.Layer) else made[:1]
            self._made.update((self._key(t), name) for t in parts)
            # where the other parts of a split come from, TensorFlow's own operations tell
            self._other.update((self._key(t), name) for t in made[len(parts) :])
        return result

    def _only_passes_on(self, operation: Any, result: Any, first: int) -> bool:
        """Say whether a container gives what a layer inside gave, and has no weights of its own."""
        made = next((t for _, t in leaves(result)), None)
        inside = {call.name for call in self.calls[first:]}
        return made is None or (self._made.get(self._key(made)) in inside and not own_weights(operation))

    def _entered(self, operation: Any, container: bool) -> Any:
        return _Entered(self, operation.name if container and operation is not self.net else None, not container)

    def _name(self, operation: Any) -> str:
        own = operation.name if isinstance(operation, keras.Layer) else function_name(operation)
        own = "output" if operation is self.net else own
        base = "/".join([*self._path, own])
        taken = {call.name for call in self.calls} | set(self.inputs)
        return next(n for i in range(len(taken) + 1) if (n := f"{base}:{i}" if i else base) not in taken)

    def _key(self, tensor: Any) -> Any:
        return tensor.name if self.graph is not None and tf.is_symbolic_tensor(tensor) else id(tensor)

    def _belongs(self, tensor: Any) -> bool:
        """Say whether a tensor can be taken out: not one from inside a loop or a function within the network."""
        return self.graph is None or (tf.is_symbolic_tensor(tensor) and tensor.graph is self.graph)

    def _origins(self, tensors: list[Any]) -> tuple[str, ...]:
        """Name the recorded calls and inputs that tensors come from, through operations that are no layers."""
        found: list[str] = []
        seen: set[Any] = set()
        waiting = list(reversed(tensors))
        while waiting:
            tensor = waiting.pop()
            key = self._key(tensor)
            if key in seen or not self._belongs(tensor):
                continue
            seen.add(key)
            if key in self._made:
                found.append(self._made[key])
            elif (op := self._operation(tensor)) is not None and op.type not in SIZES:
                waiting.extend(reversed(op.inputs))
        return tuple(dict.fromkeys(found))

    def _operation(self, tensor: Any) -> Any:
        return self._noted.get(id(tensor)) if self.graph is None else tensor.op

    def tape(self, parents: tuple[str, ...]) -> Tape:
        """Give the way from a tensor back to the values of some calls or inputs."""

        def origin(tensor: Any) -> str | None:
            name = self._first.get(self._key(tensor)) if self._belongs(tensor) else None
            return name if name in parents else None

        return Tape(origin, self._noted if self.graph is None else None)

    def depends(self, tensor: Any) -> bool:
        """Say whether a tensor depends on what the network is given."""
        return bool(self._origins([tensor]))

    def is_state(self, tensor: Any) -> bool:
        """Say whether a tensor is the state that a recurrent layer ends in."""
        key = self._key(tensor)
        made = next((c for c in self.calls if c.name == self._made.get(key)), None)
        return made is not None and key not in self._first and kind_of(made.operation) in RECURRENT

    def used(self, results: list[Any]) -> list[Call]:
        """List the calls, without operations of the graph that no value depends on: those that only make masks."""
        needed, found = {*self._origins(results), *(self._other.get(self._key(t), "") for t in results)}, []
        for call in reversed(self.calls):
            if isinstance(call.operation, keras.Layer) or call.name in needed:
                needed.update(call.parents)
                found.append(call)
        return found[::-1]

    def origin(self, tensor: Any) -> str | None:
        """Name the call that made a tensor."""
        key = self._key(tensor)
        return self._made.get(key) or self._other.get(key)

    def end(self, tensor: Any) -> End | None:
        """Find the function that an output ends in."""
        if self.graph is None:
            made = next((c for c in self.calls if self._key(tensor) in map(self._key, c.outputs)), None)
            function = ending_function(made.operation) if made else None
            return End(function, made.place) if made and function else None
        last, reshaped = _before(tensor, COPIES + RESHAPES)
        function = FINALS.get(last.op.type)
        if function is None or (function == "softmax" and reshaped):
            return None
        made = next((c for c in self.calls if c.outputs and self._ends_with(c, last)), None)
        return End(function, made.place if made and ending_function(made.operation) == function else None)

    def _ends_with(self, call: Call, last: Any) -> bool:
        return self._belongs(call.outputs[0]) and _before(call.outputs[0], COPIES)[0].name == last.name


class _Entered:
    """The recorder's place in the nesting of layers while one of them is being called."""

    def __init__(self, recorder: Recorder, step: str | None, inside: bool) -> None:
        self.recorder, self.step, self.inside = recorder, step, inside

    def __enter__(self) -> None:
        self.recorder._inside = self.inside
        if self.step is not None:
            self.recorder._path.append(self.step)

    def __exit__(self, *error: object) -> None:
        self.recorder._inside = False
        if self.step is not None:
            self.recorder._path.pop()


def _before(tensor: Any, passed: tuple[str, ...]) -> tuple[Any, bool]:
    """Go back through operations that change no value; say whether one of them changed the shape."""
    reshaped = False
    while tensor.op.type in passed and tensor.op.inputs:
        reshaped |= tensor.op.type in RESHAPES
        tensor = tensor.op.inputs[0]
    return tensor, reshaped


def _named(args: Any, kwargs: Any) -> dict[str, Any]:
    """Give the arguments of a call by name; those without one by their number."""
    return {**{str(i): value for i, value in enumerate(args)}, **kwargs}


def _tensors(args: Any, kwargs: Any) -> list[Any]:
    return [t for _, t in leaves([*args, *kwargs.values()])]


def _copied(result: Any, sources: list[Any]) -> Any:
    """Give a layer that returns its own input (dropout) an output of its own."""
    ids = {id(t) for t in sources}

    def own(tensor: Any) -> Any:
        return with_mask_of(tensor, tf.identity(tensor)) if tf.is_tensor(tensor) and id(tensor) in ids else tensor

    return keras.tree.map_structure(own, result)


def ending_function(operation: Any) -> Final | None:
    """Give softmax or sigmoid if an operation applies it last, over its last axis."""
    kind = kind_of(operation)
    if kind in ("softmax", "sigmoid"):
        axis = getattr(operation, "axis", -1)
        return kind if kind == "sigmoid" or axis == -1 else None  # type: ignore[return-value]
    if kind not in ("dense", "conv", "conv_transposed"):
        return None
    name = getattr(getattr(operation, "activation", None), "__name__", None)
    return name if name in ("softmax", "sigmoid") else None


def own_weights(operation: Any) -> list[Any]:
    """List the variables of a layer, without those of layers that are listed on their own."""
    weights = list(getattr(operation, "weights", ()))
    if not is_container(operation):
        return weights
    inner = {id(w) for layer in sublayers(operation) for w in layer.weights}
    graph = functional(operation)
    inner |= {id(w) for layer in (graph.layers if graph is not None else ()) for w in layer.weights}
    return [w for w in weights if id(w) not in inner]


def read(recorder: Recorder, result: Any, axes: Mapping[str, tuple[str, ...]]) -> Reading:
    """Put together what a recorder saw."""
    values = {n: Value(tuple(t.shape), axes.get(n) or default_axes(len(t.shape))) for n, t in recorder.inputs.items()}
    layers: dict[str, Layer] = {}
    gates: dict[str, tuple[str, str]] = {}
    counted: set[int] = set()
    named = list(leaves(result))
    used = recorder.used([tensor for _, tensor in named])
    for call in used:
        layer = _layer(call, values, counted, recorder)
        for gate, inner in gates_of(call.operation, layer, [tuple(t.shape) for t in call.inputs]):
            gates[inner.name] = (call.name, gate)
            layers[inner.name] = inner
        layers[call.name] = layer
    outputs = _output_names(recorder, result, named)
    found = {name: recorder.end(tensor) for name, (_, tensor) in zip(outputs or (None,), named, strict=True)}
    calls = {call.name: (call.operation, call.turn) for call in used}
    decorated = tuple(op for op in operations(recorder.net) if is_decorated(op))
    ends = {n: e for n, e in found.items() if e}
    return Reading(layers, calls, outputs, ends, gates, decorated, recorder.graph is not None)


def _layer(call: Call, values: dict[str, Value], counted: set[int], recorder: Recorder) -> Layer:
    operation, kind = call.operation, kind_of(call.operation)
    if is_container(operation):
        kind = _last_operation(call.outputs[0])
    sources = [_as_value(t, values, call.parents) for t in call.inputs] or [values[p] for p in call.parents]
    shape = tuple(call.outputs[0].shape)
    axes = axes_of(operation, kind, sources, shape)
    values[call.name] = Value(shape, axes)
    own = [w for w in own_weights(operation) if id(w) not in counted]
    counted.update(map(id, own))
    trainable = {id(w) for w in getattr(operation, "trainable_weights", ())}
    return Layer(
        call.name,
        kind,
        axes,
        shape[1:],
        call.parents,
        _geometry(call, kind, sources, values, recorder),
        sum(_size(w) for w in own),
        sum(_size(w) for w in own if id(w) in trainable),
        {"class": type(operation).__name__, **_activation(operation), **_stateful(operation)},
    )


def _geometry(call: Call, kind: str, sources: list[Value], values: Mapping[str, Value], recorder: Recorder) -> Geometry:
    """Say how a call's places look at those of its parents: by the rule for its kind, else by what it does inside."""
    after, parents = values[call.name], {p: values[p] for p in call.parents if p in values}
    if not parents:
        return WHOLE
    tape, container = recorder.tape(call.parents), is_container(call.operation)
    read = [t for t in call.inputs if recorder.depends(t)]
    same = len({id(t) for t in read}) == 1 and len(read) > 1
    seen = Seen(call.operation, kind, sources, after, call.arguments, same, len(read))
    rule = None if container else geometry_of(seen)
    origins = [None] if container or not _first_is(read, call) else [tape.origin(t) for t in read]
    direct = None not in origins and tuple(dict.fromkeys(origins)) == call.parents
    if rule is not None and direct and (same or rule == POINTWISE or len(origins) == len(call.parents)):
        return rule
    if kind in RECURRENT and len(parents) > 1 and origins[0] == call.parents[0]:
        return Geometry("each", parts=(rule.parts[0], *[WHOLE] * (len(parents) - 1))) if rule else UNKNOWN
    whole = fragment(call.outputs[0], after, parents, tape)
    if whole is not None:
        return whole
    if rule is not None and _first_is(read, call) and (len(read) == 1 or same):
        first = fragment(read[0], sources[0], parents, tape)
        return _behind(first, rule, sources[0]) if first is not None or not recorder.is_state(read[0]) else WHOLE
    return WHOLE if kind == "flatten" else UNKNOWN


def _first_is(read: list[Any], call: Call) -> bool:
    """Say whether the first tensor of a call is the first that depends on what the network is given."""
    return bool(read) and read[0] is call.inputs[0]


def _behind(first: Geometry | None, rule: Geometry, source: Value) -> Geometry:
    """Put a layer's own geometry behind that of the operations in front of it, which no layer tells of."""
    if first is None:
        return UNKNOWN
    if first == POINTWISE:
        return rule
    if rule == POINTWISE:
        rule = Geometry("pointwise", axes=places(source.axes))
    return Geometry("steps", parts=(first, rule))


def _activation(operation: Any) -> dict[str, str]:
    """Name the function that a layer applies to what it computes, where that changes anything."""
    name = getattr(getattr(operation, "activation", None), "__name__", "linear")
    return {} if name == "linear" else {"activation": str(name)}


def _stateful(operation: Any) -> dict[str, bool]:
    """Say of a recurrent layer that keeps its state from batch to batch."""
    return {"stateful": True} if getattr(operation, "stateful", False) else {}


def _last_operation(tensor: Any) -> str:
    """Name what a container does itself by its last operation, where that is plain to see."""
    known = {
        "Softmax": "softmax",
        "Sigmoid": "sigmoid",
        "Tanh": "tanh",
        "Relu": "relu",
        "AddV2": "add",
        "Mul": "multiply",
    }
    return known.get(tensor.op.type, "block") if tf.is_symbolic_tensor(tensor) else "block"


def _as_value(tensor: Any, values: Mapping[str, Value], parents: tuple[str, ...]) -> Value:
    """Name the axes of a tensor that enters a call by those of its origins, where the shapes agree."""
    shape = tuple(tensor.shape)
    same = (values[p] for p in parents if p in values and values[p].shape[1:] == shape[1:])
    return next(same, Value(shape, default_axes(len(shape))))


def _size(weight: Any) -> int:
    total = 1
    for n in weight.shape:
        total *= int(n)
    return total


def _output_names(recorder: Recorder, result: Any, named: list[tuple[str, Any]]) -> tuple[str, ...] | None:
    if isinstance(as_named(result), Mapping):
        return unique([path for path, _ in named])
    if len(named) == 1:
        return None
    graph = functional(recorder.net)
    if graph is not None and len(graph.output_names) == len(named):
        return unique(graph.output_names)
    return unique([recorder.origin(tensor) or f"output_{path}" for path, tensor in named])
