"""What is borrowed from a network and from torch during a call, and given back whatever happens."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from xaikit_torch._private import is_compiled

FUSED = (nn.MultiheadAttention, nn.TransformerEncoder, nn.TransformerEncoderLayer)


@contextmanager
def borrowed(net: nn.Module, device: torch.device, *, backward: bool = False) -> Iterator[None]:
    """Set a network and torch to what an explanation needs; training flags, random state and switches come back.

    Every submodule is in evaluation mode; attention runs unfused, so that hooks inside are called and a layer asked
    for does not change the numbers; dynamo is off, for the same reason; on CUDA, float32 is float32 and algorithms
    are deterministic; a recurrent network is pulled back without cuDNN, whose backward needs training mode.
    """
    modules = list(net.modules())
    with ExitStack() as stack:
        stack.enter_context(_evaluating(modules))
        stack.enter_context(torch.random.fork_rng([device] if device.type == "cuda" else [], device_type="cuda"))
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
def _unfused() -> Iterator[None]:
    was = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was)


def _exact(cudnn: bool) -> Any:
    enabled = cudnn and torch.backends.cudnn.enabled
    return torch.backends.cudnn.flags(enabled=enabled, benchmark=False, deterministic=True, allow_tf32=False)
