"""Convolutions of a copy on the CPU that keep their weights as oneDNN reads them, and apply the ReLU behind them.

torch's own call puts the weights into oneDNN's blocks on every pass, and walks over the result once more for a ReLU.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

import torch
from torch import nn

from xaikit_torch._private import can_pack, packed_convolution, packed_weight

KEPT = 2
"""For how many sizes of pictures a convolution keeps its weights: the blocks depend on the size."""


class Packed:
    """What answers in the place of a convolution's `forward`, for batches of pictures in float32."""

    def __init__(self, convolution: nn.Conv2d, padding: Sequence[int], relu: bool) -> None:
        self.own: Callable[[torch.Tensor], torch.Tensor] = convolution.forward
        self.weight, self.bias = convolution.weight.detach(), convolution.bias
        self.how = (list(padding), list(convolution.stride), list(convolution.dilation), convolution.groups)
        self.relu = relu
        self.blocks: dict[tuple[int, ...], torch.Tensor] = {}

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim != 4 or x.dtype != torch.float32 or not x.numel():
            return self.own(x).relu() if self.relu else self.own(x)
        size = tuple(x.shape[2:])
        if size not in self.blocks:
            if len(self.blocks) >= KEPT:
                self.blocks.pop(next(iter(self.blocks)))
            self.blocks[size] = packed_weight(self.weight, *self.how, list(x.shape))
        return packed_convolution(x, self.blocks[size], self.bias, *self.how, "relu" if self.relu else "none")


def pack(net: nn.Module, readers: Mapping[str, str]) -> int:
    """Pack the convolutions of a network at rest, in place; give how many.

    `readers` names the module that alone reads what another gives, each of them called once: a ReLU that so reads a
    convolution becomes part of it.
    """
    if not can_pack():
        return 0
    packed = 0
    for path, module in list(net.named_modules()):
        padding = _padding(module) if _packable(module) else None
        if padding is None:
            continue
        relu = _relu(net, readers, path)
        module.forward = Packed(module, padding, relu is not None)
        if relu is not None:
            relu.forward = _given
        packed += 1
    return packed


def unpack(net: nn.Module) -> None:
    """Give the modules of a network their own calls again."""
    for module in net.modules():
        if isinstance(vars(module).get("forward"), Packed) or vars(module).get("forward") is _given:
            del module.forward


def _given(x: torch.Tensor) -> torch.Tensor:
    return x


def _packable(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    return (
        type(module) is nn.Conv2d
        and module.padding_mode == "zeros"
        and module.weight.device.type == "cpu"
        and module.weight.dtype == torch.float32
        and "forward" not in vars(module)
    )


def _padding(convolution: nn.Conv2d) -> tuple[int, ...] | None:
    """Give the padding by axis; None where it differs between the sides."""
    if convolution.padding == "valid":
        return (0, 0)
    if convolution.padding == "same":
        spans = [d * (k - 1) for d, k in zip(convolution.dilation, convolution.kernel_size, strict=True)]
        return None if any(s % 2 for s in spans) else tuple(s // 2 for s in spans)
    return tuple(int(p) for p in convolution.padding)


def _relu(net: nn.Module, readers: Mapping[str, str], path: str) -> Any:
    """Give the ReLU that alone reads a convolution, directly or through modules that pass on what they get."""
    reader = readers.get(path)
    while reader is not None and type(net.get_submodule(reader)) is nn.Identity:
        reader = readers.get(reader)
    found = None if reader is None else net.get_submodule(reader)
    return found if type(found) is nn.ReLU and "forward" not in vars(found) else None
