"""One run in which layers are captured, replaced, cut out of the graph, or left out."""

import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from xaikit_torch._calls import Call, Calls, Reached, is_leaf, module_at
from xaikit_torch._trace import WEIGHTS, Record
from xaikit_torch._values import activation, replaced, tensors

PUT = " put"
"""Behind a gate's name: what is put in its place, by step; without it, what is added to take the gradient to."""
Patch = Callable[[torch.Tensor], torch.Tensor]


@dataclass
class Watch:
    """What to do at which layers, and what was found there.

    `keep`: remember a copy of the value. `patches`: put another value in its place. `sources`: the layers to which
    a gradient is taken: a graph begins at the only one, and at the first of several. `skip`: hand on what enters (a
    final softmax); `skipped` has what was handed on with what would have been. `stop`: end the run when all of `keep`
    and the sources have been seen. `whole`: false where nobody asks what would have been, so that it may not be there.
    """

    keep: Collection[str] = ()
    patches: Mapping[str, Patch] = field(default_factory=dict)
    sources: Collection[str] = ()
    skip: Collection[str] = ()
    stop: bool = False
    whole: bool = True
    kept: dict[str, torch.Tensor] = field(default_factory=dict)
    steps: dict[str, dict[int, torch.Tensor]] = field(default_factory=dict)
    moved: dict[str, tuple[torch.Tensor, ...]] = field(default_factory=dict)
    skipped: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)
    lean: "_LeftOut | None" = None

    @property
    def names(self) -> set[str]:
        """The layers at which something is to be done."""
        return {n for n in (*self.keep, *self.patches, *self.skip, *self.sources) if n}

    def on(self, net: nn.Module, records: Mapping[str, Record]) -> AbstractContextManager[Any]:
        """Give the context in which a run of `net` is watched."""
        self.lean = self.lean or self._left_out(net, records)
        if self.lean is not None:
            return self.lean
        names = self.names
        self._wanted = {*self.keep, *self.sources}
        self._by_call = {records[n].call: (n, records[n]) for n in names}
        paths = {records[n].path for n in names}
        only = None if None in paths else {p for p in paths if p is not None}
        opened = {call.removesuffix("/weights") for call, (_, r) in self._by_call.items() if r.kind == WEIGHTS}
        unrolled = {r.within for _, r in self._by_call.values() if r.within is not None}
        functions = (
            None if opened or unrolled else {_function(r.call) for _, r in self._by_call.values() if r.path is None}
        )
        inside = {"opening": opened.__contains__, "unrolling": unrolled.__contains__}
        return Calls(net, self._visit, only=only, functions=functions, **inside)

    def _left_out(self, net: nn.Module, records: Mapping[str, Record]) -> "_LeftOut | None":
        """Give the lean context, where all that is to be done is to leave one module out."""
        names = self.names
        if len(names) != 1 or self.keep or self.patches or self.sources:
            return None
        end = records[next(iter(names))]
        module = _alone(net, end)
        return None if module is None else _LeftOut(module, end.call, self.skipped, self.whole)

    def _visit(self, call: Call) -> Any:
        if call.name not in self._by_call or not (call.leaf or call.path):
            return call.out
        name, record = self._by_call[call.name]
        if record.within is not None:
            return self._gate(name, record, call)
        out = self._at(name, record, call.out)
        if self.stop and self._wanted <= self.kept.keys():
            raise Reached
        if name not in self.skip:
            return out
        entering = next(tensors((call.args, call.kwargs))).clone()
        self.skipped.append((entering, call.out))
        return entering

    def _gate(self, name: str, record: Record, call: Call) -> Any:
        """Replace or keep a gate at one step; it is known when all steps have been seen.

        A source is what is added to the gate, zero, so that its gradient follows all later steps.
        """
        value, found = call.out, self.steps.setdefault(name, {})
        if not found:
            self._begin(name, record, call)
        if name in self.patches:
            value = self.moved[name + PUT][call.step]
        if name in self.sources:
            value = value + self.moved[name][call.step]
        found[call.step] = value
        if len(found) == call.steps and name in self._wanted:
            self._complete(name, record, call.order)
            if self.stop and self._wanted <= self.kept.keys():
                raise Reached
        return value

    def _begin(self, name: str, record: Record, call: Call) -> None:
        steps = max(call.steps, record.shape[1])
        if name in self.patches:
            whole = call.out.new_zeros(len(call.out), steps, call.out.shape[-1])
            self.moved[name + PUT] = _at_steps(self.patches[name](whole), call.order).unbind(1)
        if name in self.sources:
            added = call.out.new_zeros(len(call.out), steps, call.out.shape[-1]).requires_grad_()
            self.kept[name], self.moved[name] = added, _at_steps(added, call.order).unbind(1)

    def _complete(self, name: str, record: Record, order: torch.Tensor | None) -> None:
        found = self.steps.pop(name)
        whole = torch.stack([v for _, v in sorted(found.items())], 1)
        short = max(0, record.shape[1] - whole.shape[1])
        whole = functional.pad(whole, (0, 0, 0, short))
        if order is not None:
            whole = torch.zeros_like(whole).scatter(1, order[..., None].expand_as(whole), whole)
        if name in self.sources:
            with torch.no_grad():  # sums do not look back at what was added: it may show the values from now on
                self.kept[name].copy_(whole)
        else:
            self.kept[name] = whole

    def unskipped(self, t: torch.Tensor) -> torch.Tensor | None:
        """Give what the network would have given for an output that was handed on; None where more came after it."""
        return next((left for entering, left in self.skipped if entering is t), None)

    def _at(self, name: str, record: Record, out: Any) -> Any:
        value = activation(out, record.shape[1] if _is_padded(record) else None)
        if value is None:
            return out
        changed = False
        if name in self.patches:
            value, changed = self.patches[name](value), True
        if name in self.sources:
            further = len(self.sources) > 1 and value.requires_grad
            value = value.clone() if further else value.detach().clone().requires_grad_()
            self.kept[name] = value
            return replaced(out, value.clone())
        if name in self.keep:
            self.kept[name] = value.clone()
        return replaced(out, value.clone()) if changed else out


class _LeftOut:
    """Has one module hand on what enters it while the context lasts, on this thread; `skipped` takes both values.

    What most explanations need, by the one hook that it takes: a small network runs in less time than `Calls` needs to
    be set up. A softmax or sigmoid whose value nobody asks for is given no rows: of two classes and many rows a softmax
    takes as long as a layer.
    """

    def __init__(
        self, module: nn.Module, call: str, skipped: list[tuple[torch.Tensor, torch.Tensor]], whole: bool
    ) -> None:
        self.module, self.skipped, self.thread = module, skipped, threading.get_ident()
        self.before = int(call.rpartition(":")[2]) if ":" in call else 0  # calls before the one that is meant
        plain = type(module) in (nn.Softmax, nn.Sigmoid) and not (module._forward_pre_hooks or module._forward_hooks)
        self.spared = plain and not whole and self.before == 0

    def __enter__(self) -> None:
        self.left, self.entering = self.before, None
        self.hooks = [self.module.register_forward_hook(self._hand_on, with_kwargs=True)]
        if self.spared:
            self.hooks.append(self.module.register_forward_pre_hook(self._spare))

    def __exit__(self, *_: object) -> None:
        for hook in self.hooks:
            hook.remove()

    def _spare(self, module: nn.Module, args: Any) -> Any:
        if threading.get_ident() != self.thread or self.left != 0 or not args:
            return None
        self.entering = args[0].clone()
        return (args[0][:0],)

    def _hand_on(self, module: nn.Module, args: Any, kwargs: Any, out: Any) -> Any:
        if threading.get_ident() != self.thread:
            return None
        self.left -= 1
        if self.left != -1:
            return None
        if self.entering is not None:
            return self.entering
        entering = next(tensors(args or kwargs)).clone()
        self.skipped.append((entering, out))
        return entering


def _alone(net: nn.Module, record: Record) -> nn.Module | None:
    """Give the module whose call a record is, if it is one layer that takes hooks and is known by one path."""
    if record.path is None or record.within is not None or record.kind == WEIGHTS or is_leaf(net):
        return None
    module = module_at(net, record.path)
    return module if module is not None and is_leaf(module) and not isinstance(module, torch.jit.ScriptModule) else None


def _at_steps(whole: torch.Tensor, order: torch.Tensor | None) -> torch.Tensor:
    """Give values of a sequence (sample, step, unit) in the order in which its steps are walked.

    The sum is what is kept for the gradient: `whole` itself may be written over.
    """
    return whole if order is None else (whole + 0.0).gather(1, order[..., None].expand_as(whole))


def _function(call: str) -> str:
    """Give the name of the function in the name of its call: softmax of head/softmax:1."""
    return call.rpartition("/")[2].partition(":")[0]


def _is_padded(record: Record) -> bool:
    """Whether the layer is a recurrent one, whose packed sequences are as long as the longest of a chunk."""
    return record.kind in ("lstm", "gru", "rnn") and len(record.shape) == 3
