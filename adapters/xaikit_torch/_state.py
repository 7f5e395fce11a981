"""What is borrowed from a network and from torch during a call, and given back whatever happens."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from xaikit_torch._private import is_compiled, modules_of

FUSED = (nn.MultiheadAttention, nn.TransformerEncoder, nn.TransformerEncoderLayer)


@contextmanager
def borrowed(net: nn.Module, device: torch.device, *, backward: bool = False) -> Iterator[None]:
    """Set a network and torch to what an explanation needs; training flags, random state and switches come back.

    Every submodule is in evaluation mode; attention runs unfused, so that hooks inside are called and a layer asked
    for does not change the numbers; dynamo is off, for the same reason; on CUDA, float32 is float32 and algorithms
    are deterministic; a recurrent network is pulled back without cuDNN, whose backward needs training mode.
    """
    modules = [m for _, m in modules_of(net)]
    with ExitStack() as stack:
        stack.enter_context(_evaluating(modules))
        if device.type == "cuda":
            stack.enter_context(torch.random.fork_rng([device], device_type="cuda"))
        else:
            stack.enter_context(_random_state())
        if any(isinstance(m, FUSED) for m in modules):
            stack.enter_context(_unfused())
        if any(is_compiled(m) for m in modules):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        if device.type == "cuda":
            recurrent = backward and any(isinstance(m, nn.RNNBase) for m in modules)
            stack.enter_context(_exact(cudnn=not recurrent))
        yield


@contextmanager
def _evaluating(modules: list[nn.Module]) -> Iterator[None]:
    # the flag itself, not eval(): a module may override train(), and an exported one refuses it
    training = [m for m in modules if m.training]
    try:
        for m in training:
            m.training = False
        yield
    finally:
        for m in training:
            m.training = True


@contextmanager
def _random_state() -> Iterator[None]:
    """Give the state of torch's random stream back."""
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)


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
