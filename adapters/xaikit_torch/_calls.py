"""Every call inside a network, named by place and number: what tracing, capturing and patching have in common.

A layer is a call of one of torch's own modules, named by its path in `named_modules()`, or of a function on tensors
that is no module, named by the path of the module it stands in with "/" ("block1/add"). The second call of a name has
":1" behind it. Modules made of modules are named too, but are no layers.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache, partial
from types import TracebackType
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode

from xaikit_torch._attention import opened
from xaikit_torch._gates import order_of, unrolled
from xaikit_torch._graph import function_name, native_class, words
from xaikit_torch._private import modules_of
from xaikit_torch._values import activation
from xaikit_torch.layers import ResetBeforeGRU

TRANSPARENT = words(
    "contiguous copy to float half bfloat16 double type type_as cpu cuda clone detach requires_grad data alias "
    "to_copy lift_fresh_copy lift_fresh chunk split tensor_split unbind split_with_sizes unsafe_chunk unsafe_split "
    "pack_padded_sequence pad_packed_sequence set real imag to_dense pin_memory long int bool"
)
CONSTANT = words(
    "zeros_like ones_like full_like empty_like rand_like randn_like randint_like new_zeros new_ones new_full new_empty "
    "new_tensor empty zeros ones full arange linspace tensor rand randn"
)
"""Functions that read no more of a tensor than its shape."""

PROPERTIES = frozenset(("T", "mT", "H", "mH", "data", "real", "imag"))


class Reached(BaseException):
    """All that was asked has been seen, and the rest of the run is not needed; the network must not catch it."""


@dataclass
class Call:
    """One call that has just returned, or a module that is about to be called.

    `path` is the module's path, None for a function; `leaf` says whether it is a layer. `inside` is the name of the
    call that this value was seen inside of: attention weights, or a gate at one `step` of so many `steps`, which are
    those of the sequence that `order` (sample, step) names, where they are not the first ones.
    """

    name: str
    path: str | None
    target: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    out: Any = None
    leaf: bool = True
    inside: str | None = None
    step: int = 0
    steps: int = 0
    order: torch.Tensor | None = None


Visit = Callable[[Call], Any]
"""What to do with a call: give back what it returns from now on."""


class Calls:
    """Visits the calls of a network while the context lasts, on this thread; no hook stays.

    `visit` sees every call that returns, in order; `enter`, if given, every module before it is called. With
    `only` (paths of modules) no more than these are hooked, and functions are not seen; with `functions` (names) no
    other functions are. With `opening` the attention weights are visited too, as "mha/weights": attention is then
    computed by its formula. It is given the name of a call and says whether its weights are wanted. With `unrolling`,
    which says the same of recurrent layers, so are their gates, step by step, as "lstm/i".
    """

    def __init__(
        self,
        net: nn.Module,
        visit: Visit,
        *,
        enter: Visit | None = None,
        only: Collection[str] | None = None,
        functions: Collection[str] | None = None,
        opening: Callable[[str], bool] = lambda name: False,
        unrolling: Callable[[str], bool] = lambda name: False,
    ) -> None:
        self.net = net
        self.visit = visit
        self.enter = enter
        self.only = only
        self.functions = functions
        self.opening = opening
        self.unrolling = unrolling
        # with few to be hooked, a walk over a large network's modules would take longer than their calls
        named = list(modules_of(net)) if only is None else _found(net, only)
        self.modules = [m for _, m in named]
        self.paths = _paths(net, named)
        self.numbers: Counter[str] = Counter()
        self.inside: list[str] = []
        self.leaf: nn.Module | None = None
        self.given: Any = None
        self.busy = False
        self.thread = threading.get_ident()

    def __enter__(self) -> "Calls":
        with ExitStack() as stack:
            for module in self.modules:
                if not isinstance(module, torch.jit.ScriptModule):
                    self._hook(stack, module)
            scripted = {id(m) for m in self.modules if isinstance(m, torch.jit.ScriptModule)}
            if scripted:
                self._hook_everywhere(stack, scripted)
            if self.only is None:
                stack.enter_context(_Functions(self))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _hook(self, stack: ExitStack, module: nn.Module) -> None:
        before = module.register_forward_pre_hook(self._before, with_kwargs=True)
        stack.callback(before.remove)
        after = module.register_forward_hook(self._after, with_kwargs=True, always_call=True)
        stack.callback(after.remove)

    def _hook_everywhere(self, stack: ExitStack, scripted: set[int]) -> None:
        """Hook scripted modules, which take no hooks of their own, by hooks on all modules."""

        def before(module: nn.Module, args: Any) -> None:
            if id(module) in scripted:
                self._before(module, args, {})

        def after(module: nn.Module, args: Any, out: Any) -> Any:
            return self._after(module, args, {}, out) if id(module) in scripted else None

        stack.callback(register_module_forward_pre_hook(before).remove)
        # without keyword arguments: torch 2.13 does not take all of such a hook back
        stack.callback(register_module_forward_hook(after, always_call=True).remove)

    def _before(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if self.leaf is not None or threading.get_ident() != self.thread:
            return
        path = self.paths[id(module)]
        leaf = is_leaf(module)
        self.inside.append(path)
        if leaf:
            self.leaf, self.given = module, args[0] if args else kwargs.get("input")
        if isinstance(module, ResetBeforeGRU) and self.unrolling(name := self._next(path)):
            module.tap = partial(self._gate, name, module, args, kwargs)
        if self.enter is not None:
            self._quietly(self.enter, Call(path, path, module, args, kwargs, None, leaf))

    def _after(self, module: nn.Module, args: Any, kwargs: Any, out: Any) -> Any:
        if (self.leaf is not None and self.leaf is not module) or threading.get_ident() != self.thread:
            return None
        leaf, self.leaf = self.leaf is not None, None
        if isinstance(module, ResetBeforeGRU):
            module.tap = None
        path = self.inside.pop()
        if out is None:  # it has raised, and the network may catch that
            return None
        return self._quietly(self.visit, Call(self._number(path), path, module, args, kwargs, out, leaf))

    def function(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call a function that the network has called, and visit it if it gives a tensor."""
        if self.busy:
            return function(*args, **kwargs)
        if self.leaf is not None:
            return self._inside(self.paths[id(self.leaf)], function, args, kwargs)
        if getattr(function, "__name__", "").startswith("sigmoid_"):
            return self._overwritten(torch.sigmoid, args, kwargs)
        out = self._inside(self._placed(function_name(function)), function, args, kwargs)
        if isinstance(out, bool | int | float | str | torch.Size | torch.dtype | torch.device):
            return out
        name = function_name(function)
        if _is_property(function) and name not in PROPERTIES:
            return out
        return self._quietly(self._visit_function, Call(name, None, function, args, kwargs, out))

    def _inside(self, name: str, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call a function; attention weights and gates that are looked into are visited on the way."""
        recurrence = None if self.leaf is None else unrolled(function_name(function), args, self.given)
        if recurrence is not None and self.unrolling(name := self._next(name)):
            return recurrence(partial(self._gate, name, function, args, kwargs))
        attention = opened(function_name(function), args, kwargs)
        if attention is None or not self.opening(name := self._next(name)):
            return function(*args, **kwargs)

        def tap(weights: torch.Tensor) -> torch.Tensor:
            call = Call(f"{name}/weights", None, function, args, kwargs, weights, inside=name)
            return self._quietly(self.visit, call)

        return attention(tap)

    def _gate(
        self, name: str, function: Any, args: Any, kwargs: Any, gate: str, step: int, steps: int, value: torch.Tensor
    ) -> Any:
        inside = Call(f"{name}/{gate}", None, function, args, kwargs, value, inside=name, step=step, steps=steps)
        inside.order = order_of(self.given)
        return self._quietly(self.visit, inside)

    def _overwritten(self, function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Do in two steps what is done in place, so that a visit still finds the argument as it was."""
        return self.function(torch.Tensor.copy_, (args[0], self.function(function, args, kwargs)), {})

    def _visit_function(self, call: Call) -> Any:
        value = activation(call.out)
        # a number that the network calculates for itself, from all samples, is no layer
        counts = value is not None and value.is_floating_point() and value.ndim > 0
        call.leaf = counts and call.name not in TRANSPARENT | CONSTANT
        if call.leaf:
            call.name = self._number(self._placed(call.name))
        return self.visit(call)

    def _placed(self, name: str) -> str:
        """Put the path of the module that a function is called in before the function's name."""
        place = self.inside[-1].replace(".", "/") if self.inside else ""
        return f"{place}/{name}" if place else name

    def _quietly(self, visit: Visit, call: Call) -> Any:
        """Visit without seeing the functions that the visit itself calls."""
        self.busy = True
        try:
            return visit(call)
        finally:
            self.busy = False

    def _number(self, name: str) -> str:
        numbered = self._next(name)
        self.numbers[name] += 1
        return numbered

    def _next(self, name: str) -> str:
        """Give the name that the next call of this name has."""
        count = self.numbers[name]
        return f"{name}:{count}" if count else name


class _Functions(TorchFunctionMode):
    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self.calls = calls

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.calls.functions is not None and _name(func) not in self.calls.functions:
            return func(*args, **(kwargs or {}))
        return self.calls.function(func, args, kwargs or {})


_name = lru_cache(function_name)


def _is_property(function: Any) -> bool:
    return getattr(function, "__name__", "") == "__get__"


def module_paths(net: nn.Module) -> dict[int, str]:
    """Give the path of every module by its identity; a network that is one layer itself has its class as path."""
    return _paths(net, modules_of(net))


def _paths(net: nn.Module, modules: Iterable[tuple[str, nn.Module]]) -> dict[int, str]:
    paths = {id(m): path for path, m in modules}
    if is_leaf(net):
        paths[id(net)] = str(getattr(net, "original_name", type(net).__name__)).lower()
    return paths


def _found(net: nn.Module, paths: Iterable[str]) -> list[tuple[str, nn.Module]]:
    """Find the modules at some paths, as `module_paths` names them; those that are there."""
    if is_leaf(net):
        return [(path, net) for path in paths if path == _paths(net, ())[id(net)]]
    found = [(path, module_at(net, path)) for path in paths]
    return [(path, module) for path, module in found if module is not None]


def module_at(net: nn.Module, path: str) -> nn.Module | None:
    """Give the module at a path of `named_modules()`, None where there is none."""
    module: nn.Module | None = net
    for name in path.split(".") if path else ():
        module = None if module is None else module._modules.get(name)
    return module


def is_leaf(module: nn.Module) -> bool:
    """Say whether a module is one layer: torch's own, with no modules inside that are seen at work."""
    home = native_class(module).__module__
    if home.startswith("torch.jit"):
        return True
    if home in ("torch.nn.modules.module", "torch.nn.modules.container"):
        return False
    inside = [name for name, _ in module.named_children() if name != "parametrizations"]
    return not inside or isinstance(module, nn.MultiheadAttention)
