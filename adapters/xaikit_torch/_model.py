"""A torch network behind the adapter protocol."""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from xaikit.accelerated import Accelerated
from xaikit.arrays import Array, Tensors, chunks, each, leaves, length, rows
from xaikit.errors import InputError, ModelError, NotSupported, UnknownName, XaikitError
from xaikit.graph import Layer, flattened
from xaikit.inputs import Array as ArraySpec
from xaikit.inputs import Classes, Raw, ScoreKind
from xaikit.model import (
    DESCRIBE,
    Contributions,
    Kernel,
    Layout,
    Network,
    Pull,
    Rule,
    Run,
    Seed,
    canonical_hash,
    named_sources,
)
from xaikit_torch._calls import Reached, module_paths
from xaikit_torch._exported import Exported
from xaikit_torch._graph import Axes
from xaikit_torch._kernels import channels_last, kernel_of, kernel_of_call
from xaikit_torch._native import frozen, one_row, passed, placed, rules_of
from xaikit_torch._private import is_exported_program, unwrapped, version, weights_of
from xaikit_torch._rules import put_rule
from xaikit_torch._state import borrowed
from xaikit_torch._trace import Record, Trace, Tracer, layer
from xaikit_torch._values import named_outputs, to_array, to_tensor
from xaikit_torch._watch import Patch, Watch

Shown = tuple[dict[str, torch.Tensor], dict[str, torch.Tensor] | None]
"""The outputs of a pass in the form asked for, and beside logits as the network gives them."""
TRACED_ROWS = 2
"""Samples in the run that reads the layers: with one, a network's squeeze() would take the sample axis away."""


class Layers(Mapping[str, Layer]):
    """The layers in call order, gates ("lstm/i") before their own; a module made of layers ("layer4") is found too."""

    def __init__(self, layers: Mapping[str, Layer], blocks: Mapping[str, Layer]) -> None:
        self._layers, self._blocks = dict(layers), dict(blocks)

    def __getitem__(self, name: str) -> Layer:
        return self._layers[name] if name in self._layers else self._blocks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def __repr__(self) -> str:
        return f"Layers({', '.join(self)})"


class TorchModel(Network):
    """A torch.nn.Module: runs under inference mode, pulls by autograd, and is left as it was found.

    Its layers are the calls of one run: torch's modules by their path, functions on tensors by name and place.
    """

    framework = "torch"
    own_threads = makes_masked = True
    can = frozenset({"run", "pull", "patch", "rule:guided", "rule:deconvnet", "native:deep-lift", "native:lrp"})

    def __init__(self, net: Any, **described: Any) -> None:
        net = _module(net)
        super().__init__(net, **described)
        self._trace: Trace | None = None
        self._recorded: tuple[Trace, Mapping[str, Record]] | None = None
        self._layers: Layers | None = None
        self._seen: Tensors | None = None
        self._batch: int | None = None
        self._hashed: tuple[Any, str] | None = None
        self._untreated: dict[tuple[str, str], dict[str, str]] = {}
        if isinstance(net, torch.jit.ScriptModule):
            self.can = frozenset({"run", "pull"})

    @property
    def _called(self) -> nn.Module:
        """The module that is run on chunks: the program inside an exported one, since chunks are padded here."""
        return self.net.program if isinstance(self.net, Exported) else self.net

    @property
    def device(self) -> str:
        return str(self._device)

    @property
    def _device(self) -> torch.device:
        return self._numbers[0]

    @property
    def _dtype(self) -> torch.dtype:
        return self._numbers[1]

    @property
    def _numbers(self) -> tuple[torch.device, torch.dtype]:
        """Where the network's numbers are, by the first of its weights, and of what type, by the first with a fraction.

        Asked anew for every pass, since a network may be moved: so in one walk, which mostly ends at the first.
        """
        first = None
        for _, t in _state(self.net):
            first = t if first is None else first
            if t.is_floating_point():
                return first.device, t.dtype
        return torch.device("cpu") if first is None else first.device, torch.float32

    @property
    def precision(self) -> str:
        """The type of number that the network computes in."""
        return str(self._dtype).removeprefix("torch.")

    @property
    def batch_size(self) -> int:
        if self._batch is None:
            most = self.net.most if isinstance(self.net, Exported) else None
            self._batch = min(super().batch_size, most or 2**31)
        return self._batch

    # --- inputs ---------------------------------------------------------------------------------------------------

    def _natural_inputs(self) -> Any:
        if isinstance(self.net, Exported):
            specs = {n: _exported_spec(*described) for n, described in self.net.inputs.items()}
        else:
            specs = dict.fromkeys(_required(self.net), Raw())
        return specs if len(specs) > 1 else next(iter(specs.values()), Raw())

    def _blank(self) -> Tensors:
        if isinstance(self.net, Exported) and _any_raw(self.inputs):
            blank = self.net.blank()
            return blank if isinstance(self.inputs, Mapping) else next(iter(blank.values()))
        if not _any_raw(self.inputs):
            return super()._blank()
        if self._seen is None:
            raise ModelError(
                f"{self.name} was wrapped without inputs=, so its layers are known only after the first call: "
                "wrap it with inputs=, or run it once"
            )
        return self._seen

    def _check(self, x: Tensors, at: Any, patch: Mapping[str, Array]) -> None:
        if self._seen is None and len(next(leaves(x))[1]):
            self._check_shapes(x)
            self._seen = each(lambda a: np.array(a[:1]), x)
        super()._check(x, at, patch)

    def _sample_axis(self, name: str, layout: Layout | None = None) -> int:
        return 1 if (layout or self.layout) == "time-first" and self._moves(self._spec_of(name)) else 0

    def _count(self, x: Tensors) -> int:
        name, a = next(leaves(x))
        return int(a.shape[self._sample_axis(name)])

    def _filled(self, count: int) -> int:
        """Give how many rows the network is given for so many samples."""
        return max(count, self.net.least) if isinstance(self.net, Exported) else count

    def _tensors(self, x: Tensors, layout: Layout | None = None) -> dict[str, torch.Tensor]:
        """Copy a chunk to the device; a program with a least batch has it filled up with the last sample."""
        device, dtype = self._numbers
        found = {}
        for name, a in leaves(x):
            t, axis = to_tensor(a, device, dtype), self._sample_axis(name, layout)
            short = self._filled(t.shape[axis]) - t.shape[axis]
            if short > 0:
                t = torch.cat([t, *[t.narrow(axis, t.shape[axis] - 1, 1)] * short], axis)
            found[name] = t
        return found

    def _arguments(self, tensors: Mapping[str, torch.Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Pass several inputs by name where the network's arguments have these names, in order where not."""
        if list(tensors) == [""]:
            return (tensors[""],), {}
        named = _parameters(self._called)
        if all(n in named for n in tensors):
            return (), dict(tensors)
        order = self.inputs if isinstance(self.inputs, Mapping) else tensors
        return tuple(tensors[n] for n in order if n in tensors), {}

    # --- one call of the network ----------------------------------------------------------------------------------

    def _call(self, tensors: Mapping[str, torch.Tensor], watch: Watch) -> Any:
        """Run the network while watched; None if the watch has ended the run."""
        args, kwargs = self._arguments(tensors)
        watched = watch.on(self._called, self._records) if watch.names else nullcontext()
        try:
            with watched:
                return self._called(*args, **kwargs)
        except Reached:
            return None
        except XaikitError:
            raise
        except Exception as error:
            shapes = ", ".join(str(tuple(t.shape)) for t in tensors.values())
            hint = "; it was given whole numbers: if it takes others, xk.Array(..., dtype='float32')"
            whole = "dtype" in str(error) and any(not t.is_floating_point() for t in tensors.values())
            raise ModelError(f"{self.name} cannot be run on {shapes}: {_line(error)}{hint * whole}") from error

    def _forward(
        self, x: Tensors, at: tuple[str, ...], patch: Mapping[str, Array], score: ScoreKind, raw: bool = True
    ) -> Run:
        self._check_logit(score)
        patches, skip = self._patches(patch, self._count(x)), self._skipped(score)
        watch = Watch(keep=at, patches=patches, skip=skip, whole=raw)
        # Not in inference mode: a network that keeps a state would keep tensors that no gradient may go through.
        with borrowed(self._called, self._device), torch.inference_mode(False), torch.no_grad():
            return self._run(x, watch, score)

    def _forwards(self, x: Tensors, step: int, score: ScoreKind, raw: bool) -> list[Run]:
        """Run several chunks, for which the network is borrowed once; each begins with the same random numbers."""
        if self._device.type != "cpu":
            return super()._forwards(x, step, score, raw)
        self._check_logit(score)
        found, watch = [], Watch(skip=self._skipped(score), whole=raw)
        with borrowed(self._called, self._device) as loan, torch.inference_mode(False), torch.no_grad():
            for s in chunks(length(x), step):
                loan.begin()
                watch.skipped.clear()
                found.append(self._run(self._inwards(rows(x, s)), watch, score))
        return found

    def _run(self, x: Tensors, watch: Watch, score: ScoreKind) -> Run:
        """Run the borrowed network on one chunk."""
        count = self._count(x)
        out = self._call(self._tensors(x), watch)
        output = self._emitted(out, count, score)
        kept = {n: self._kept(watch, n, count) for n in watch.keep}
        whole = self._whole(out, count, watch) if score == "logit" and watch.whole else None
        raw = None if whole is None else _public(whole)
        return Run(_public(output), {n: _float32(to_array(t)) for n, t in kept.items()}, raw)

    def _backward(
        self,
        x: Tensors,
        seed: Seed,
        of: str | None,
        wrt: str | tuple[str, ...] | None,
        patch: Mapping[str, Array],
        rule: Rule | None,
        score: ScoreKind,
    ) -> Pull:
        self._check_logit(score)
        count = self._count(x)
        watch = Watch(
            keep=[of] if of else [],
            patches=self._patches(patch, count),
            sources=named_sources(wrt),
            skip=() if of else self._skipped(score),
            stop=of is not None,
        )
        with torch.inference_mode(False), torch.enable_grad(), borrowed(self._called, self._device, backward=True):
            given = self._tensors(x)
            if wrt is None:
                self._require(given)
            # the network gets a copy: it may work in place, which a leaf does not allow
            out = self._call({n: t.clone() for n, t in given.items()}, watch)
            value = {"": self._kept(watch, of, count)} if of else self._emitted(out, count, score)
            whole = None if of or score == "output" else self._whole(out, count, watch)
            cotangent = self._cotangent(seed, value)
            for name in named_sources(wrt):
                self._kept(watch, name, count)
            sources = {"": watch.kept[wrt]} if isinstance(wrt, str) else {n: watch.kept[n] for n in wrt or ()} or given
            if rule is not None:
                put_rule(rule, value.values(), sources.values(), self.name)
            try:
                gradients = _gradients(value, cotangent, sources)
            except XaikitError:
                raise
            except Exception as error:  # such as a value that was changed in place before its gradient was taken
                raise ModelError(f"{self.name} has no gradient: {_line(error)}") from error
            show = self._showing(wrt, count)
            return Pull(
                _public(value),
                _public({n: show(n, t) for n, t in sources.items()}),
                _public({n: show(n, t) for n, t in gradients.items()}),
                None if whole is None else _public(whole),
            )

    def _native(
        self, name: str, x: Tensors, seed: Tensors, baseline: Tensors | None, score: ScoreKind, parameters: Any
    ) -> Contributions:
        shown: list[Shown] = []
        values = _public(self._by_rules(name, x, seed, baseline, score, parameters, shown=shown))
        *before, at_x = [Run(_public(y), {}, None if whole is None else _public(whole)) for y, whole in shown]
        return Contributions(values, at_x, before[-1] if before else None)

    def untreated(self, name: str, score: ScoreKind = "logit") -> Mapping[str, str]:
        with self._lock:
            if (name, score) not in self._untreated:
                stopped: dict[str, str] = {}
                x = self._inwards(self._blank())
                self._by_rules(name, x, lambda y: each(np.ones_like, y), x, score, {}, stopped)
                self._untreated[name, score] = stopped
            return self._untreated[name, score]

    def _by_rules(
        self,
        name: str,
        x: Tensors,
        seed: Seed,
        baseline: Tensors | None,
        score: ScoreKind,
        parameters: Mapping[str, Any],
        stopped: dict[str, str] | None = None,
        shown: "list[Shown] | None" = None,
    ) -> dict[str, torch.Tensor]:
        """Explain one chunk by the rules of DeepLIFT or LRP; `stopped` collects what has none instead of raising.

        `shown` collects what the passes give, that of the sample last.
        """
        self._check_logit(score)
        count = self._count(x)
        device, program = self._device, self._called

        def run(tensors: Mapping[str, torch.Tensor], count: int = count) -> dict[str, torch.Tensor]:
            watch = Watch(skip=self._skipped(score))
            out = self._call({n: t.clone() for n, t in tensors.items()}, watch)
            value = self._emitted(out, count, score)
            if shown is not None:
                shown.append((value, self._whole(out, count, watch) if score == "logit" else None))
            return value

        with torch.inference_mode(False), borrowed(program, device, backward=True), frozen(program):
            start = None if baseline is None else self._tensors(baseline)
            given = self._tensors(x)
            self._require(given)

            def explained(first: Callable[[], Any] | None, alone: bool = False) -> dict[str, torch.Tensor]:
                rules = rules_of(name, first, parameters, stopped, alone)
                with nullcontext() if stopped is None else placed(program, rules):
                    return passed(rules, partial(run, given), given, partial(self._weighted, name, seed))

            whole = None if start is None else partial(run, start)
            shared = None if start is None or stopped is not None else one_row(start, self._sample_axis)
            try:
                found = explained(whole) if shared is None else explained(partial(run, shared, 1), alone=True)
            except XaikitError:
                if shared is None:
                    raise
                found = explained(whole)  # the network takes another way for a single row, or its rows depend
            if start is not None:
                found = {n: t * (given[n] - start[n]).detach() for n, t in found.items()}
            return {n: t.narrow(self._sample_axis(n), 0, count) for n, t in found.items()}

    def _weighted(self, name: str, seed: Seed, value: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Give what goes in at the outputs: their weights in the score, or with LRP their shares of it."""
        seeds = self._cotangent(seed, value)
        return {n: t * value[n].detach() for n, t in seeds.items()} if name == "lrp" else seeds

    def _showing(self, wrt: str | tuple[str, ...] | None, count: int) -> Callable[[str, torch.Tensor], torch.Tensor]:
        """Give the function that brings a source into the order in which it is returned, without filled-up rows."""
        if wrt:
            return lambda name, t: self._shown(self._records[name or str(wrt)], t, count)
        return lambda name, t: t.narrow(self._sample_axis(name), 0, count)

    def _require(self, given: Mapping[str, torch.Tensor]) -> None:
        floating = [t for t in given.values() if t.is_floating_point()]
        if not floating:
            embedding = next((r.name for r in self._records.values() if r.kind == "embedding"), None)
            instead = f": ask for the gradient at the layer that embeds them, wrt={embedding!r}" if embedding else ""
            raise NotSupported(f"{self.name} takes integers, which have no gradient{instead}")
        for t in floating:
            t.requires_grad_()

    def _cotangent(self, seed: Seed, value: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        given = seed(_public(value)) if callable(seed) else seed
        found = {}
        for name, a in leaves(given):
            if name not in value:
                raise UnknownName(f"output of {self.name}", name, value)
            like = value[name]
            if np.shape(a) != tuple(like.shape):
                raise InputError(f"the seed has shape {np.shape(a)}, the value {tuple(like.shape)}")
            found[name] = to_tensor(a, like.device, like.dtype).to(like.dtype)
        return found

    # --- values at layers -----------------------------------------------------------------------------------------

    def _kept(self, watch: Watch, name: str, count: int) -> torch.Tensor:
        if name not in watch.kept:
            raise ModelError(f"{self.name} has not called its layer {name!r} for this input")
        return self._shown(self._records[name], watch.kept[name], count)

    def _shown(self, record: Record, t: torch.Tensor, count: int) -> torch.Tensor:
        """Bring a layer's value into the public order of axes, without the rows that fill up a batch."""
        order = self._order(record.own)
        t = t.permute(order) if t.ndim == len(order) else t
        filled = self._filled(count)
        return t if filled == count else t[: t.shape[0] * count // filled]

    def _order(self, own: Axes) -> tuple[int, ...]:
        """Give the places of the public axes among a value's own: the sample first, the channel last when moved."""
        last = ["channel"] if self.moved and "channel" in own else []
        first = ["sample"] if "sample" in own else []
        middle = [a for a in own if a not in (*first, *last)]
        return tuple(own.index(a) for a in (*first, *middle, *last))

    def _patches(self, patch: Mapping[str, Array], count: int) -> dict[str, Patch]:
        return {name: self._patch(name, np.asarray(a), count) for name, a in patch.items()}

    def _patch(self, name: str, given: Array, count: int) -> Patch:
        record, filled = self._records[name], self._filled(count)

        def put(value: torch.Tensor) -> torch.Tensor:
            order = self._order(record.own)
            order = order if len(order) == value.ndim else tuple(range(value.ndim))
            shape = tuple(value.shape[i] for i in order)
            if given.shape[1:] != shape[1:] or len(given) not in (1, count):
                raise InputError(
                    f"the patch of layer {name!r} has shape {given.shape}; it has {(count, *shape[1:])} here"
                )
            t = to_tensor(given, value.device, value.dtype).to(value.dtype)
            t = torch.cat([t, t[-1:].expand(filled - len(t), *t.shape[1:])])
            return t.permute(tuple(int(i) for i in np.argsort(order)))

        return put

    # --- outputs --------------------------------------------------------------------------------------------------

    def _emitted(self, out: Any, count: int, score: ScoreKind) -> dict[str, torch.Tensor]:
        """Give the outputs by name, the sample axis first and at least two axes, in the form asked for."""
        found = {name: self._columns(name, t, count) for name, t in named_outputs(out).items()}
        if not found:
            raise ModelError(f"{self.name} gives no tensor but {type(out).__name__}")
        if score != "probability":
            return found
        return {n: _probability(t, self._output_spec(n)) for n, t in found.items()}

    def _whole(self, out: Any, count: int, watch: Watch) -> dict[str, torch.Tensor] | None:
        """Give the outputs as the network gives them, though their last softmax or sigmoid was left out of this run."""
        ending = {n for n, o in self._traced.outputs.items() if o.end in watch.skip}
        found = {n: watch.unskipped(t) if n in ending else t for n, t in named_outputs(out).items()}
        there = {n: t for n, t in found.items() if t is not None}
        return {n: self._columns(n, t, count) for n, t in there.items()} if len(there) == len(found) else None

    def _columns(self, name: str, t: torch.Tensor, count: int) -> torch.Tensor:
        filled = self._filled(count)
        own = self._output_axes(name, t.ndim)
        if "sample" in own and own[0] != "sample":
            t = t.movedim(own.index("sample"), 0)
        if t.ndim < 2 and t.numel() == filled:
            t = t.reshape(filled, 1)
        if t.ndim == 0 or t.shape[0] != filled:
            where = f"output {name!r}" if name else "the output"
            raise ModelError(f"{self.name}: {where} has shape {tuple(t.shape)} for {filled} samples, sample first")
        return t[:count]

    def _output_axes(self, name: str, ndim: int) -> Axes:
        traced = self._traced.outputs.get(name)
        return traced.own if traced is not None and len(traced.own) == ndim else ()

    def _outwards(self, y: Tensors, back: bool = False) -> Tensors:
        """Move outputs that have a channel axis, as the trace has found it, to the public layout or back."""
        if not self.moved:
            return y
        moved = {name: self._output_moved(name, np.asarray(a), back) for name, a in leaves(y)}
        return moved if isinstance(y, Mapping) else moved[""]

    def _output_moved(self, name: str, a: Array, back: bool) -> Array:
        own = self._output_axes(name, a.ndim)
        ordered = [x for x in own if x == "sample"] + [x for x in own if x != "sample"]
        if a.ndim < 3 or "channel" not in ordered:
            return a
        place = ordered.index("channel")
        return np.moveaxis(a, -1, place) if back else np.moveaxis(a, place, -1)

    def _output_spec(self, name: str) -> Any:
        return self._outputs.get(name) if isinstance(self._outputs, Mapping) else self._outputs

    def _check_logit(self, score: ScoreKind) -> None:
        """Raise NotSupported where the logit behind declared probabilities cannot be had."""
        if score != "logit":
            return
        for name, output in self._traced.outputs.items():
            spec = self._output_spec(name)
            if isinstance(spec, Classes) and spec.form in ("softmax", "sigmoid") and output.end is None:
                raise NotSupported(
                    f"{self.name} gives {spec.form} probabilities, but ends in no call of {spec.form}, so its "
                    "logit is not known: use score='probability'"
                )

    def _skipped(self, score: ScoreKind) -> tuple[str, ...]:
        if score != "logit":
            return ()
        return tuple(o.end for o in self._traced.outputs.values() if o.end is not None)

    def _ends_in(self, output: str | None) -> Literal["softmax", "sigmoid"] | None:
        traced = self._traced.outputs.get(output or "")
        return traced.form if traced is not None else None

    def _knows_its_end(self) -> bool:
        return not isinstance(self.net, torch.jit.ScriptModule)

    # --- layers ---------------------------------------------------------------------------------------------------

    @property
    def _traced(self) -> Trace:
        if self._trace is None:
            self._trace = self._read()
        return self._trace

    @property
    def _records(self) -> Mapping[str, Record]:
        trace = self._traced
        if self._recorded is None or self._recorded[0] is not trace:
            self._recorded = (trace, {**trace.blocks, **trace.gates, **trace.records})
        return self._recorded[1]

    def _read(self) -> Trace:
        """Trace one run on a blank sample, or on the first one that was given."""
        try:
            return self._traced_on(self._blank())
        except ModelError:
            if self._seen is None or _any_raw(self.inputs):
                raise
            return self._traced_on(self._seen)

    def _traced_on(self, sample: Tensors) -> Trace:
        tracer, tensors = self._tracer(sample, self.layout)
        args, kwargs = self._arguments(tensors)
        with torch.inference_mode(False), torch.no_grad(), borrowed(self._called, self._device):
            try:
                return tracer.trace(tracer.run(args, kwargs))
            except Exception as error:
                shapes = ", ".join(str(tuple(t.shape)) for t in tensors.values())
                said = f"{self.name} cannot be run on a sample of {shapes}: {_line(error)}"
                raise ModelError(f"{said}; {DESCRIBE}") from error

    def _tracer(self, sample: Tensors, layout: Layout) -> tuple[Tracer, dict[str, torch.Tensor]]:
        """Give a tracer, and some copies of a sample in the layout, as the tensors that it will know."""
        several = {n: self._laid_out(n, a, layout) for n, a in leaves(rows(sample, np.zeros(TRACED_ROWS, int)))}
        tensors = self._tensors(several, layout)
        described = {
            name or "input": (t, self._input_axes(self._spec_of(name), layout, t.ndim)) for name, t in tensors.items()
        }
        return Tracer(self._called, described), tensors

    def _laid_out(self, name: str, a: Array, layout: Layout) -> Array:
        if not self._moves(self._spec_of(name)):
            return a
        return a.transpose(_arrangement(a.ndim, layout))

    def _input_axes(self, spec: Any, layout: Layout, ndim: int) -> Axes | None:
        axes = ("sample", *(spec.axes if spec is not None else ()))
        if len(axes) != ndim or any(a.startswith("axis ") for a in axes):
            return None
        if not self._moves(spec):
            return axes
        return tuple(axes[i] for i in _arrangement(ndim, layout))

    def _read_layers(self) -> Mapping[str, Layer]:
        if self._layers is None:
            counted: set[int] = set()
            modules = self._modules()
            inner: dict[str | None, list[Record]] = {}
            for gate in self._traced.gates.values():
                inner.setdefault(gate.within, []).append(gate)
            listed = [r for own in self._traced.records.values() for r in (*inner.get(own.call, ()), own)]
            layers = {r.name: self._layer(r, modules, counted) for r in listed}
            blocks = {n: self._layer(r, modules, set()) for n, r in self._traced.blocks.items()}
            self._layers = Layers(layers, blocks)
        return self._layers

    def _layer(self, record: Record, modules: Mapping[str, nn.Module], counted: set[int]) -> Layer:
        """Describe a layer; numbers that several layers share are counted at the first."""
        own = {id(t): t for _, t in self._owned(record, modules) if id(t) not in counted}
        counted.update(own)
        trainable = sum(t.numel() for t in own.values() if isinstance(t, nn.Parameter) and t.requires_grad)
        return layer(record, self._order(record.own), sum(t.numel() for t in own.values()), trainable)

    def _owned(self, record: Record, modules: Mapping[str, nn.Module]) -> list[tuple[str, torch.Tensor]]:
        """List a layer's weights: those of its module, and for a function those that went into it."""
        own = list(_state(modules[record.path])) if record.path is not None else []
        if own or not record.owned:
            return own
        state = dict(_state(self._called))
        return [(n.rpartition(".")[2], state[n]) for n in record.owned if n in state]

    def _modules(self) -> dict[str, nn.Module]:
        paths = module_paths(self._called)
        return {paths[id(m)]: m for m in self._called.modules()}

    # --- layout ---------------------------------------------------------------------------------------------------

    def _find_layout(self) -> Layout:
        """Try the layouts on blank samples; the first call that cares about axes must find them where it reads."""
        specs = [s for s in _specs(self.inputs) if self._moves(s)]
        candidates: list[Layout] = ["channels-first", "as-given"]
        if all(s.kind == "Series" for s in specs):
            candidates.append("time-first")
        open_to: list[Layout] = []
        errors: list[str] = []
        for layout in candidates:
            found = self._fits(layout)
            if found is True:
                return layout
            if found is None:
                open_to.append(layout)
            elif found is not False:
                errors.append(found)
        if len(open_to) == 1 or (len(open_to) > 1 and all(s.shape[-1] == 1 for s in specs)):
            return "as-given" if "as-given" in open_to else open_to[0]
        if not open_to and len(errors) == len(candidates):
            raise ModelError(f"{self.name} cannot be run on a blank sample in any layout: {errors[0]}")
        raise ModelError(
            f"what reads the input of {self.name} first does not tell its layout: wrap it with "
            f"layout={' or '.join(repr(c) for c in ('channels-first', 'channels-last', *candidates[2:]))}"
        )

    def _fits(self, layout: Layout) -> bool | str | None:
        """Say whether the network reads this layout: yes, no, undecided, or the error that it raised."""
        tracer, tensors = self._tracer(self._blank(), layout)
        tracer.deciding = True
        args, kwargs = self._arguments(tensors)
        try:
            with torch.inference_mode(False), torch.no_grad(), borrowed(self._called, self._device):
                out = tracer.run(args, kwargs)
        except Reached:
            return tracer.fits
        except Exception as error:
            return _line(error)
        read = [t for t in named_outputs(out).values() if TRACED_ROWS in (t.shape[:1] if t.ndim < 3 else t.shape[:2])]
        return None if read else "it gives no output for each sample"

    # --- weights --------------------------------------------------------------------------------------------------

    def weights(self, layer: str) -> Mapping[str, Array]:
        """Give the weights of a layer by name, batch-norm statistics included, as copies: floats of 32 or 64 bits.

        A parametrised weight is given as the layer uses it. Raises UnknownName.
        """
        path = layer.partition(":")[0]
        modules = self._modules()
        if path and path in modules and "/" not in layer:  # a gate of a second call, "lstm:1/i", has none
            return {n: to_array(t) for n, t in _effective(modules[path])}
        if layer not in self.layers:
            raise UnknownName(f"layer of {self.name}", layer, [*self.layers, *filter(None, modules)])
        return {n: to_array(t) for n, t in self._owned(self._records[layer], modules)}

    def kernel(self, layer: str) -> Kernel | None:
        weights, module = self.weights(layer), self._modules().get(layer.partition(":")[0])
        found = None if module is None else kernel_of(module)
        record = self._records.get(layer) if found is None else None
        found = kernel_of_call(record, list(weights.values())) if record is not None else found
        if found is None or found.values.ndim > 2:
            return found
        return channels_last(found, *self._flattened(layer))

    def _flattened(self, layer: str) -> tuple[Axes, tuple[int, ...]]:
        """Give the network's own axes, and their lengths, of what is flattened before a layer."""
        name = flattened(self._records, layer)
        if name is not None and name in self._records:
            record = self._records[name]
            return record.own[1:], record.shape[1:]
        spec = None if name is None else self._spec_of(name) or self.inputs
        axes = (
            None if spec is None or isinstance(spec, Raw) else self._input_axes(spec, self.layout, len(spec.shape) + 1)
        )
        if spec is None or axes is None:
            return (), ()
        order = _arrangement(len(axes), self.layout) if self._moves(spec) else range(len(axes))
        return axes[1:], tuple((0, *spec.shape)[i] for i in order)[1:]

    kernel.__doc__ = Network.kernel.__doc__

    def with_weights(self, weights: Mapping[str, Array]) -> "TorchModel":
        """Give a copy with some weights ("layer.weight" or "layer/weight") replaced.

        Raises UnknownName for a weight, InputError for a wrong shape.
        """
        try:
            net = copy.deepcopy(self.net)
        except (RuntimeError, TypeError) as error:
            raise ModelError(f"{self.name} cannot be copied: {_line(error)}") from error
        made = self.twin(net)
        with torch.no_grad():
            for name, a in weights.items():
                made._set(name, np.asarray(a))
        return made

    def twin(self, net: nn.Module) -> "TorchModel":
        """Give another network of the same structure behind what is known of this one."""
        made = type(self)(net, inputs=self._inputs, outputs=self._asked_outputs, name=self.name, version=self.version)
        for field in ("_asked_layout", "_found_layout", "_outputs", "_trace", "_layers", "_batch", "_seen"):
            setattr(made, field, getattr(self, field))
        return made

    def fast(self, kind: str = "auto") -> Accelerated:
        from xaikit_torch._fast import fast

        with self._lock:
            return fast(self, kind)

    fast.__doc__ = Network.fast.__doc__

    def _set(self, name: str, a: Array) -> None:
        module, key = self._place(name)
        current = getattr(module, key)
        if tuple(current.shape) != a.shape:
            raise InputError(f"the weight {name!r} of {self.name} has shape {tuple(current.shape)}, not {a.shape}")
        value = to_tensor(a, current.device, current.dtype).to(current.dtype)
        if parametrize.is_parametrized(module, key):
            setattr(module, key, value)
        else:
            current.copy_(value)

    def _place(self, name: str) -> tuple[nn.Module, str]:
        """Find the module and the attribute that a weight's name means."""
        known = self._weight_names()
        plain = name.replace("/", ".")
        layer, _, key = plain.rpartition(".")
        plain = f"{layer.partition(':')[0]}.{key}" if layer else key
        if plain not in known:
            record = self._records.get(name.rpartition("/")[0] or name.rpartition(".")[0]) if self._trace else None
            owned = [n for n in record.owned if n.rpartition(".")[2] == key] if record else []
            if not owned:
                raise UnknownName(f"weight of {self.name}", name, known)
            plain = owned[0]
        return known[plain]

    def _weight_names(self) -> dict[str, tuple[nn.Module, str]]:
        found = {}
        for path, module in self._modules().items():
            effective = [n for n, _ in _effective(module, recurse=False)]
            direct = [n for n, _ in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))]
            for key in (*effective, *direct):
                found[f"{path}.{key}" if path else key] = (module, key)
                if module is self._called:
                    found[key] = (module, key)
        return found

    def fingerprint(self) -> str:
        state = list(_state(self.net))
        stands = [(n, id(t), t.data_ptr(), version(t)) for n, t in state]
        if self._hashed is None or self._hashed[0] != stands or any(v[3] is None for v in stands):
            self._hashed = (stands, canonical_hash({n: a for n, t in state for n, a in [_exact(n, t)]}))
        return self._hashed[1]


# --- what a network is -----------------------------------------------------------------------------------------------


def _module(net: Any) -> nn.Module:
    """Check that a network can be wrapped, and take compiled and parallel wrappers off it."""
    if is_exported_program(net):
        net = Exported(net)
    net = unwrapped(net)
    if not isinstance(net, nn.Module):
        raise ModelError(f"a {type(net).__name__} is no torch.nn.Module")
    for name, t in (*net.named_parameters(), *net.named_buffers()):
        if nn.parameter.is_lazy(t):
            raise ModelError(f"{name} has no shape yet: run the network once on a batch before it is wrapped")
        if t.is_meta:
            raise ModelError(f"{name} is on the meta device, without numbers: load the weights before it is wrapped")
    return net


def _state(net: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Walk over the parameters and buffers that decide what a network gives."""
    return ((name, t) for name, t in weights_of(net) if not name.endswith("num_batches_tracked"))


def _effective(module: nn.Module, recurse: bool = True) -> Iterator[tuple[str, torch.Tensor]]:
    """Walk over a module's weights as it uses them: a parametrised one by its own name."""
    parametrised = list(getattr(module, "parametrizations", {})) if parametrize.is_parametrized(module) else []
    for name in parametrised:
        yield name, getattr(module, name)
    source = _state(module) if recurse else module.named_parameters(recurse=False)
    for name, t in source:
        if not name.startswith("parametrizations."):
            yield name, t


def _exact(name: str, t: torch.Tensor) -> tuple[str, Array]:
    """Give a weight's bytes; bfloat16, which NumPy does not know, as integers under a name that says so."""
    t = t.detach().cpu()
    if t.dtype == torch.bfloat16:
        return f"{name} bfloat16", t.contiguous().view(torch.int16).numpy()
    return name, t.numpy()


def _required(net: nn.Module) -> list[str]:
    """Name the arguments that the network cannot do without."""
    empty, plain = inspect.Parameter.empty, inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [n for n, p in _parameters(net).items() if p.default is empty and p.kind is plain]


def _parameters(net: nn.Module) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(net.forward).parameters
    except (TypeError, ValueError):
        return {}


def _exported_spec(shape: tuple[int | None, ...], dtype: torch.dtype) -> Any:
    fixed = tuple(n for n in shape if n is not None)
    return ArraySpec(fixed) if len(fixed) == len(shape) and dtype.is_floating_point else Raw()


def _specs(spec: Any) -> list[Any]:
    return list(spec.values()) if isinstance(spec, Mapping) else [spec]


def _any_raw(spec: Any) -> bool:
    return any(isinstance(s, Raw) for s in _specs(spec))


# --- small things ----------------------------------------------------------------------------------------------------


def _arrangement(ndim: int, layout: Layout) -> tuple[int, ...]:
    """Give the order in which a layout has the public axes (sample, *places, channel)."""
    first, *places, last = range(ndim)
    if layout == "channels-first":
        return (first, last, *places)
    return (places[0], first, *places[1:], last) if layout == "time-first" else tuple(range(ndim))


def _gradients(
    value: Mapping[str, torch.Tensor], cotangent: Mapping[str, torch.Tensor], sources: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Pull cotangents back to the sources; zero where nothing leads."""
    connected = [n for n in cotangent if value[n].requires_grad]
    wanted = [n for n, t in sources.items() if t.requires_grad]
    found: dict[str, torch.Tensor] = {}
    if connected and wanted:
        gradients = torch.autograd.grad(
            [value[n] for n in connected],
            [sources[n] for n in wanted],
            [cotangent[n] for n in connected],
            allow_unused=True,
        )
        found = {n: g for n, g in zip(wanted, gradients, strict=True) if g is not None}
    return {n: found[n] if n in found else torch.zeros_like(t) for n, t in sources.items()}


def _probability(t: torch.Tensor, spec: Any) -> torch.Tensor:
    if not isinstance(spec, Classes) or spec.form != "logits":
        return t
    return t.sigmoid() if t.shape[-1] == 1 else t.softmax(-1)


def _public(value: Mapping[str, torch.Tensor]) -> Tensors:
    arrays = {n: to_array(t) for n, t in value.items()}
    return arrays[""] if list(arrays) == [""] else arrays


def _float32(a: Array) -> Array:
    return a.astype(np.float32) if a.dtype.kind == "f" else a


def _line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
