"""What is borrowed from a network and from torch during a call, and given back whatever happens."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache
from types import TracebackType
from typing import Any

import torch
from torch import nn

from xaikit_torch._private import every_module, is_compiled

FUSED = (nn.MultiheadAttention, nn.TransformerEncoder, nn.TransformerEncoderLayer)


class borrowed:  # noqa: N801  (called like a function, as contextlib.suppress)
    """Set a network and torch to what an explanation needs; training flags, random state and switches come back.

    Every submodule is in evaluation mode; attention runs unfused, so that hooks inside are called and a layer asked
    for does not change the numbers; dynamo is off, for the same reason; on CUDA, float32 is float32 and algorithms
    are deterministic; a recurrent network is pulled back without cuDNN, whose backward needs training mode.
    """

    # a class, and one walk over the modules: a small network runs in less time than several of either take

    def __init__(self, net: nn.Module, device: torch.device, *, backward: bool = False) -> None:
        self.net, self.device, self.backward = net, device, backward

    def __enter__(self) -> "borrowed":
        modules = every_module(self.net)
        self.switches = ExitStack()
        self.random = None if self.device.type == "cuda" else torch.get_rng_state()
        # the flag itself, not eval(): a module may override train(), and an exported one refuses it
        self.training = [m for m in modules if m.training]
        try:
            for module in self.training:
                module.training = False
            for switch in self._wanted(modules):
                self.switches.enter_context(switch)
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def begin(self) -> None:
        """Set the random state of the CPU to what it was: another pass of the same loan draws as the first did."""
        if self.random is not None:
            torch.set_rng_state(self.random)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.switches.__exit__(kind, error, trace)
        finally:
            if self.random is not None:
                torch.set_rng_state(self.random)
            for module in self.training:
                module.training = True

    def _wanted(self, modules: list[nn.Module]) -> Iterator[AbstractContextManager[Any]]:
        """Give the switches that a network of these modules needs: none, for most of them."""
        kinds = set(map(type, modules))
        if self.device.type == "cuda":
            yield torch.random.fork_rng([self.device], device_type="cuda")
        if any(map(_is_fused, kinds)):
            yield _unfused()
        if any(is_compiled(m) for m in modules):
            yield torch.compiler.set_stance("force_eager")
        if self.device.type == "cuda":
            recurrent = self.backward and any(issubclass(k, nn.RNNBase) for k in kinds)
            yield _exact(cudnn=not recurrent)


@cache
def _is_fused(kind: type) -> bool:
    return issubclass(kind, FUSED)


@contextmanager
def _unfused() -> Iterator[None]:
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


@contextmanager
def _exact(cudnn: bool) -> Iterator[None]:
    # one by one: torch.backends.cudnn.flags refuses where convolutions and recurrent layers differ in precision
    flags = torch.backends.cudnn
    wanted: list[tuple[Any, str, Any]] = [
        (flags, "enabled", cudnn and flags.enabled),
        (flags, "benchmark", False),
        (flags, "deterministic", True),
    ]
    if hasattr(flags, "conv"):
        wanted += [(part, "fp32_precision", "ieee") for part in (flags.conv, flags.rnn)]
    else:  # torch before 2.9
        wanted.append((flags, "allow_tf32", False))
    before = [getattr(owner, name) for owner, name, _ in wanted]
    try:
        for owner, name, value in wanted:
            setattr(owner, name, value)
        yield
    finally:
        for (owner, name, _), value in zip(wanted, before, strict=True):
            setattr(owner, name, value)
