"""Reading a network: one run on a small batch, and what its calls tell about layers, parents, axes and outputs."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import nn

from xaikit.graph import GATE, Geometry, Layer
from xaikit_torch import _graph as graph
from xaikit_torch._calls import CONSTANT, TRANSPARENT, Call, Calls, Reached
from xaikit_torch._gates import gates_of
from xaikit_torch._geometry import (
    POINTWISE,
    UNKNOWN,
    Path,
    composed,
    geometry,
    geometry_of_gate,
    named,
    onward,
    state_of,
    unfolded,
)
from xaikit_torch._graph import Axes, Op, Value
from xaikit_torch._private import memory, version
from xaikit_torch._values import activation, named_outputs, tensors

End = Literal["softmax", "sigmoid"]
WEIGHTS = "attention_weights"
"""The kind of the layer that stands for the weights inside an attention."""

RESHAPING = ("reshape", "flatten", "permute", "dropout", "identity")


@dataclass(frozen=True)
class Known:
    """What is known of a tensor: the layers or inputs it comes from, its axes, and parameters that went into it.

    `paths` says how its places read those of the parents. `shape` is its shape when it was made: it may change in
    place. Places folded into its sample axis change more slowly than the samples if they come `late`.
    """

    parents: tuple[str, ...] = ()
    axes: Axes | None = None
    owned: frozenset[str] = frozenset()
    paths: tuple[Path, ...] = ()
    shape: tuple[int, ...] | None = None
    late: bool = False


@dataclass
class Record:
    """A layer as it was traced.

    `call` is the call's name among all calls; `own` are the axes in the network; `owned` names the parameters and
    buffers that went into it.
    """

    name: str
    kind: str
    call: str
    path: str | None
    shape: tuple[int, ...]
    own: Axes
    parents: tuple[str, ...]
    geometry: Geometry | None = None
    owned: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    softmax: End | None = None
    within: str | None = None
    """The call that a gate is inside of."""


@dataclass(frozen=True)
class Output:
    """An output as it was traced: its axes, and the layer with the softmax or sigmoid that it ends in."""

    own: Axes
    end: str | None = None
    form: End | None = None


@dataclass(frozen=True)
class Trace:
    """The layers of a network in call order, the modules made of them, and the outputs by name ("" the only one).

    `gates` are those inside recurrent layers.
    """

    records: Mapping[str, Record]
    blocks: Mapping[str, Record]
    outputs: Mapping[str, Output]
    gates: Mapping[str, Record]


class Tracer:
    """Follows the tensors of one run from call to call by identity. Use once: `run`, then `trace`.

    When `deciding`, the run ends at the first call that cares about the axes of the input; `fits` is then its answer.
    """

    def __init__(self, net: nn.Module, inputs: Mapping[str, tuple[torch.Tensor, Axes | None]]) -> None:
        self.net = net
        self.convolutional = any(isinstance(m, nn.Conv1d) for m in net.modules())
        self.names = {id(t): n for n, t in (*net.named_parameters(), *net.named_buffers())}
        self.known: dict[int, Known] = {}
        self.alive: list[Any] = []
        self.records: list[Record] = []
        self.blocks: list[Record] = []
        self.gates: list[Record] = []
        self.entered: list[tuple[str, int]] = []
        self.given: Call | None = None
        self.versions: dict[int, int | None] = {}
        self.before: dict[int, Known] = {}
        self.numbers: Counter[str] = Counter()
        self.fits: bool | None = None
        self.deciding = False
        self.rows = 1
        for name, (tensor, axes) in inputs.items():
            self.rows = tensor.shape[axes.index("sample") if axes else 0] if tensor.ndim else 1
            self._know(tensor, Known((name,), axes, paths=((name, POINTWISE),)))

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run the network on tensors given to the constructor; nothing stays on it."""
        with Calls(self.net, self._visit, enter=self._enter, opening=lambda name: True):
            return self.net(*args, **kwargs)

    # --- one call -------------------------------------------------------------------------------------------------

    def _enter(self, call: Call) -> None:
        self.given = call
        self.entered.append((call.name, len(self.records)))

    def _left(self, path: str) -> int:
        """Give how many layers there were when a module was entered, past any that raised and was caught inside."""
        while True:
            entered, start = self.entered.pop()
            if entered == path:
                return start

    def _visit(self, call: Call) -> Any:
        if call.inside is not None:
            return self._weights(call)
        if call.path is None:
            return self._function(call)
        start = self._left(call.path)
        if call.leaf:
            call.out = self._apart(call)
            return self._layer(call, graph.module_op(call.target, call.args, call.kwargs), call.path)
        self._block(call, start)
        return call.out

    def _function(self, call: Call) -> Any:
        name = graph.function_name(call.target)
        if name == "setitem":
            self._written(call)
        if name == "copy":
            self._know(call.args[0], self._of(call.args[1]))
            self._written_through(call.args[0], self._of(call.args[1]))
            return call.out
        if call.out is None or name in CONSTANT:
            return call.out
        read = self._read(call)
        if call.leaf and any(k.parents for k in read):
            call.out = self._apart(call)
            return self._layer(call, graph.function_op(call.target, call.args, call.kwargs), None)
        if name == "pack_padded_sequence":  # a recurrent layer takes steps of any size from a pack: judged here
            batch_first = call.args[2] if len(call.args) > 2 else False
            self._judge(Op("lstm", {"batch_first": batch_first}), [self._value(call.args[0])])
        self._pass_on(call, read, keeps_axes=name in TRANSPARENT)
        return call.out

    def _layer(self, call: Call, op: Op, path: str | None) -> Any:
        value = activation(call.out)
        if value is None:
            return call.out
        read = self._read(call)
        inputs = self._values(call)
        self._judge(op, inputs)
        shape = tuple(value.shape)
        result = Value(shape, graph.result_axes(op, inputs, shape, self.convolutional), self.rows)
        packed = value is not call.out and not any(value is t for t in tensors(call.out))
        if packed:
            result = Value(shape, ("sample", "time", "channel"), self.rows)
        if any(v.axes is None for v in inputs):
            inputs = self._named(call, op, result)
            axes = result.axes if packed else graph.result_axes(op, inputs, shape, self.convolutional)
            result = replace(result, axes=axes)
        parents = _unique(k.parents for k in read)
        own, late = geometry(op, inputs, result)
        paths = [self._paths(v) for v in inputs]
        seen = composed(own, paths, parents)
        seen = replace(seen, folded=result.fold) if result.fold > 1 else seen
        source = next(iter(inputs), None)
        kind = graph.settled_kind(op, source, result)
        name = call.name if path else self._number(call.name.partition(":")[0])
        record = Record(
            name,
            kind,
            call.name,
            path,
            shape,
            result.axes or (),
            parents,
            seen,
            _unique((*(k.owned for k in read), self._parameters(call))),
            _config(op),
            _end(kind),
        )
        self.records.append(record)
        self.gates += _gates(
            record, call.target, result, lambda gate: composed(geometry_of_gate(own, gate), paths, parents)
        )
        for tensor in tensors(call.args):
            if self.versions.get(id(tensor), version(tensor)) != version(tensor):
                self._written_through(tensor, Known((name,), paths=((name, POINTWISE),)))
        given = next(tensors(call.out), value) if packed else value
        for tensor in tensors(call.out):
            if tensor is given or tuple(tensor.shape) == shape:
                known = Known((name,), result.axes, paths=((name, POINTWISE),), shape=shape, late=late)
            else:
                state = Value(tuple(tensor.shape), self._state_axes(op, tensor), self.rows)
                known = Known((name,), state.axes, paths=((name, state_of(state)),), shape=state.shape)
            self._know(tensor, known)
        return call.out

    def _weights(self, call: Call) -> Any:
        """The weights of an attention, seen before the attention itself returns: (sample, *head, target, source)."""
        within, shape = str(call.inside), tuple(call.out.shape)
        module = self.given if self.given is not None and self.given.name == within.partition(":")[0] else None
        read = self._read(module or call)  # a module may transpose what it is given
        if module is None:
            within = self._numbered(within.partition(":")[0])
        record = Record(
            f"{within}/weights",
            WEIGHTS,
            call.name,
            None,
            shape,
            ("sample", *("head",) * (len(shape) - 3), "target", "source"),
            _unique(k.parents for k in read),
            self._all_of(module or call, shape),
        )
        if record.parents:
            self.records.append(record)
        return call.out

    def _all_of(self, call: Call, shape: tuple[int, ...]) -> Geometry:
        """Say that each weight of an attention reads all queries and all keys, as their sum over keys is one."""
        inputs = self._values(call)
        axes = ("sample", *(f"axis {i}" for i in range(1, len(shape))))
        whole = Geometry("each", parts=(state_of(Value(shape, axes, shape[0])),) * len(inputs))
        return composed(whole, [self._paths(v) for v in inputs], _unique(self._of_key(v).parents for v in inputs))

    def _of_key(self, value: Value) -> Known:
        return self.known[value.key]

    def _number(self, name: str) -> str:
        """Number functions that work on the input anew: others, on constants, are no layers and take no number."""
        numbered = self._numbered(name)
        self.numbers[name] += 1
        return numbered

    def _numbered(self, name: str) -> str:
        count = self.numbers[name]
        return f"{name}:{count}" if count else name

    def _state_axes(self, op: Op, tensor: torch.Tensor) -> Axes:
        """Name the axes of what a layer gives beside its activation; a recurrent state has its sample axis second."""
        if op.kind in graph.RECURRENT and tensor.ndim == 3:
            return ("layer", "sample", "channel")
        return graph.default_axes(tensor.ndim, self.convolutional)

    def _block(self, call: Call, start: int) -> None:
        """A module made of modules, or one of the user's own: it is one layer if all its calls are of one kind."""
        value = activation(call.out)
        if value is None or not call.path:
            return
        axes = self._of(value).axes or graph.default_axes(value.ndim, self.convolutional)
        inner = self.records[start:]
        known = self._of(value)
        seen = composed(POINTWISE, [known.paths], known.parents) if known.paths else None
        fold = Value(tuple(value.shape), axes, self.rows).fold
        seen = replace(seen, folded=fold) if seen is not None and fold > 1 else seen
        block = Record(call.name, "block", call.name, call.path, tuple(value.shape), axes, known.parents, seen)
        if next(call.target.children(), None) is None and inner and len({r.kind for r in inner}) == 1:
            del self.records[start:]
            calls = {r.name: (r.parents, r.geometry or UNKNOWN) for r in inner}
            whole = _joined(block, inner)
            seen = composed(POINTWISE, [unfolded(known.paths, calls)], whole.parents)
            self.records.append(replace(whole, geometry=replace(seen, folded=fold)))
            self._rename({r.name for r in inner}, call.name)
            self._know(value, replace(known, parents=(call.name,), paths=((call.name, POINTWISE),)))
        else:
            self.blocks.append(block)

    def _rename(self, names: set[str], new: str) -> None:
        for key, known in self.known.items():
            if names.intersection(known.parents):
                parents = _unique([new if p in names else p] for p in known.parents)
                paths = tuple((new if p in names else p, g) for p, g in known.paths)
                self.known[key] = replace(known, parents=parents, paths=paths)

    # --- tensors --------------------------------------------------------------------------------------------------

    def _of(self, tensor: torch.Tensor) -> Known:
        found = self.known.get(id(tensor))
        if found is None:
            name = self.names.get(id(tensor))
            found = Known(owned=frozenset([name]) if name else frozenset())
        return found

    def _know(self, tensor: torch.Tensor, known: Known) -> None:
        self.alive.append(tensor)  # as long as it lives, its identity is its own
        self.known[id(tensor)] = known if known.shape is not None else replace(known, shape=tuple(tensor.shape))
        self.versions[id(tensor)] = version(tensor)

    def _read(self, call: Call) -> list[Known]:
        return [self._of(t) for t in tensors((call.args, call.kwargs))]

    def _value(self, tensor: torch.Tensor) -> Value:
        known = self._of(tensor)
        return Value(known.shape or tuple(tensor.shape), known.axes, self.rows, known.late, id(tensor))

    def _values(self, call: Call) -> list[Value]:
        """Describe the tensors that a call reads, each once, and that come from layers or inputs."""
        read = {id(t): t for t in tensors((call.args, call.kwargs)) if self._of(t).parents}
        return [self._value(t) for t in read.values()]

    def _named(self, call: Call, op: Op, result: Value) -> list[Value]:
        """Describe what a call reads, with the names that it gives to axes of which nothing is known yet."""
        for tensor in tensors((call.args, call.kwargs)):
            known = self._of(tensor)
            if known.parents and known.axes is None:
                self.known[id(tensor)] = replace(known, axes=named(op, self._value(tensor), result, self.convolutional))
        return self._values(call)

    def _paths(self, value: Value) -> tuple[Path, ...]:
        known = self._of_key(value)
        return known.paths or tuple((p, UNKNOWN) for p in known.parents)

    def _parameters(self, call: Call) -> tuple[str, ...]:
        return tuple(n for t in tensors((call.args, call.kwargs)) if (n := self.names.get(id(t))) is not None)

    def _pass_on(self, call: Call, read: list[Known], keeps_axes: bool) -> None:
        """Something that is no layer (a cast, a piece, a mask) comes from where its arguments come from."""
        owned = frozenset().union(*(k.owned for k in read)) if read else frozenset()
        parents = _unique(k.parents for k in read)
        op = graph.function_op(call.target, call.args, call.kwargs)
        inputs = self._named(call, op, Value((), None, self.rows))
        first = next((k for k in self._read(call) if k.parents), Known())
        for which, tensor in enumerate(tensors(call.out)):
            if keeps_axes and tensor.ndim == len(first.axes or ()):
                axes = first.axes
            else:
                axes = graph.result_axes(op, inputs, tuple(tensor.shape), self.convolutional) if first.axes else None
            known = Known(parents, axes, owned if not first.parents else frozenset())
            if parents:
                known = self._followed(call, op, tensor, which, known)
            self._know(tensor, known)

    def _followed(self, call: Call, op: Op, tensor: torch.Tensor, which: int, known: Known) -> Known:
        """Say how the places of something that is no layer read the layers before."""
        if op.name == "pack_padded_sequence":
            source = self._of(call.args[0])
            same = tensor.is_floating_point()  # the rest of a pack are numbers of samples
            return replace(source, owned=known.owned) if same else known
        result = Value(tuple(tensor.shape), known.axes, self.rows)
        inputs = self._values(call)
        if any(v.axes is None for v in inputs) or known.axes is None or not inputs:
            return replace(known, paths=tuple((p, UNKNOWN) for p in known.parents))
        own, late = geometry(op, inputs, result, which)
        return replace(known, paths=onward(own, [self._paths(v) for v in inputs]), late=late)

    def _written(self, call: Call) -> None:
        into, *_, value = call.args
        if isinstance(value, torch.Tensor) and memory(value) == memory(into) and id(into) in self.before:
            self.known[id(into)] = self.before.pop(id(into))  # x[i] += y: what is written stands at i alone
        known = [self._of(t) for t in tensors((call.args, call.kwargs))]
        op = graph.function_op(call.target, call.args, call.kwargs)
        whole = Known(
            _unique(k.parents for k in known), self._of(into).axes or next((k.axes for k in known if k.axes), None)
        )
        if whole.parents:
            whole = self._followed(call, op, into, 0, whole)
        self._know(into, whole)
        self._written_through(into, whole)

    def _written_through(self, into: torch.Tensor, written: Known) -> None:
        """Let all tensors of the same memory know what was written; which of their places, is not followed."""
        place = memory(into)
        for other in [t for t in self.alive if t is not into and memory(t) == place]:
            known = self._of(other)
            if other.shape == into.shape and other.stride() == into.stride() and other.data_ptr() == into.data_ptr():
                self._know(other, replace(known, parents=written.parents, paths=written.paths))
            elif known.parents:
                self.before[id(other)] = known
                added = tuple((p, UNKNOWN) for p in written.parents)
                parents = _unique((known.parents, written.parents))
                self._know(other, replace(known, parents=parents, paths=known.paths + added))

    def _apart(self, call: Call) -> Any:
        """Tell a result that is one of the arguments, unchanged (dropout at rest), from that argument."""
        for tensor in tensors((call.args, call.kwargs)):
            if call.out is tensor and self.versions.get(id(tensor)) == version(tensor):
                return tensor.view_as(tensor)
        return call.out

    def _judge(self, op: Op, inputs: list[Value]) -> None:
        """Note whether the first call that cares about the input's axes finds them where it reads them."""
        if not self.deciding:
            return
        for value in inputs:
            if value.axes is not None and len(value.axes) > 2 and value.space:
                self.fits = graph.fits(op, value.axes)
            if self.fits is not None:
                raise Reached

    # --- the whole ------------------------------------------------------------------------------------------------

    def trace(self, out: Any) -> Trace:
        """Put together what the run has told; `out` is what the network returned."""
        outputs = {name: self._output(t) for name, t in named_outputs(out).items()}
        last = next((self._of(t).parents for t in named_outputs(out).values()), ())
        records = sorted(self.records, key=lambda r: r.name in last[-1:])
        return Trace(
            {r.name: r for r in records}, {b.name: b for b in self.blocks}, outputs, {g.name: g for g in self.gates}
        )

    def _output(self, tensor: torch.Tensor) -> Output:
        known = self._of(tensor)
        axes = known.axes or graph.default_axes(tensor.ndim, self.convolutional)
        end = self._ending(known)
        return Output(axes, end.name if end else None, end.softmax if end else None)

    def _ending(self, known: Known) -> Record | None:
        """Walk back from an output over calls that only reshape, to a softmax or sigmoid."""
        by_name = {r.name: r for r in self.records}
        selected = False
        while len(known.parents) == 1 and (record := by_name.get(known.parents[0])) is not None:
            if record.softmax == "sigmoid" or (record.softmax == "softmax" and not selected):
                return record
            selected = selected or record.kind == "index"
            if record.kind not in (*RESHAPING, "index"):
                return None
            known = Known(record.parents)
        return None


def _unique(groups: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(n for group in groups for n in group))


def _end(kind: str) -> End | None:
    return kind if kind in ("softmax", "sigmoid") else None  # type: ignore[return-value]


def _gates(owner: Record, module: Any, value: Value, seen: Callable[[str], Geometry]) -> list[Record]:
    """Describe the gates of a recurrent layer, always (sample, time, channel); none of any other layer."""
    if owner.kind not in graph.RECURRENT or not isinstance(module, nn.Module) or len(owner.shape) != 3:
        return []
    steps = owner.shape[owner.own.index("time")] if "time" in owner.own else owner.shape[1]
    axes = ("sample", "time", "channel")
    return [
        Record(
            f"{owner.name}/{gate}",
            GATE,
            f"{owner.call}/{gate}",
            None,
            (value.rows, steps, units),
            axes,
            owner.parents,
            seen(gate),
            within=owner.call,
        )
        for gate, units in gates_of(module)
    ]


def _joined(block: Record, inner: list[Record]) -> Record:
    """Make one layer of a module that holds nothing but functions of one kind."""
    names = {r.name for r in inner}
    return replace(
        block,
        kind=inner[-1].kind,
        softmax=inner[-1].softmax,
        parents=_unique([p for p in r.parents if p not in names] for r in inner),
        owned=_unique(r.owned for r in inner),
        config=inner[-1].config,
    )


def _config(op: Op) -> dict[str, Any]:
    simple = (bool, int, float, str, tuple, list, type(None))
    return {k: v for k, v in op.parameters.items() if isinstance(v, simple)}


def layer(record: Record, order: tuple[int, ...], parameters: int, trainable: int) -> Layer:
    """Give the public description of a record whose axes are shown in `order`."""
    axes = tuple(record.own[i] for i in order)
    shape = tuple(record.shape[i] for i in order)[1:]
    return Layer(
        record.name, record.kind, axes, shape, record.parents, record.geometry, parameters, trainable, record.config
    )
