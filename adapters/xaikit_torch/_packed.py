"""Convolutions of a copy on the CPU that keep their weights as oneDNN reads them, and do what stands around them.

torch's own call puts the weights into oneDNN's blocks on every pass, a module of its own that pads makes a larger
picture first, and a ReLU walks over the result once more.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeGuard

import torch
from torch import nn

from xaikit_torch._private import can_pack, packed_convolution, packed_weight

Step = Callable[[torch.Tensor], torch.Tensor]

PADDERS = (nn.ZeroPad2d, nn.ConstantPad2d)
KEPT = 2
"""For how many sizes of pictures a convolution keeps its weights: the blocks depend on the size."""


class Packed:
    """What answers in the place of a convolution's `forward`, for batches of pictures in float32.

    `padding` is all that stands around a picture; `widen` is the part of it that the convolution itself does not add.
    """

    def __init__(self, convolution: nn.Conv2d, padding: Sequence[int], relu: bool, widen: Step) -> None:
        self.widen, self.convolve = widen, convolution.forward
        self.weight, self.bias = convolution.weight.detach(), convolution.bias
        self.how = (list(padding), list(convolution.stride), list(convolution.dilation), convolution.groups)
        self.relu = relu
        self.blocks: dict[tuple[int, ...], torch.Tensor] = {}

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim != 4 or x.dtype != torch.float32 or not x.numel():
            return self.own(x)
        size = tuple(x.shape[2:])
        if size not in self.blocks:
            if len(self.blocks) >= KEPT:
                self.blocks.pop(next(iter(self.blocks)))
            self.blocks[size] = packed_weight(self.weight, *self.how, list(x.shape))
        return packed_convolution(x, self.blocks[size], self.bias, *self.how, "relu" if self.relu else "none")

    def own(self, x: torch.Tensor) -> torch.Tensor:
        """Pad, convolve and cut off below 0 one after the other, as the network itself does."""
        found: torch.Tensor = self.convolve(self.widen(x))
        return found.relu() if self.relu else found


def pack(net: nn.Module, readers: Mapping[str, str]) -> int:
    """Pack the convolutions of a network at rest, in place; give how many.

    `readers` names the module that alone reads what another gives, each of them called once: a ReLU that so reads a
    convolution becomes part of it, and so does what pads with zeros for it.
    """
    if not can_pack():
        return 0
    packed, sources = 0, {b: a for a, b in readers.items()}
    for path, module in list(net.named_modules()):
        padding = _padding(module) if _packable(module) else None
        if padding is None:
            continue
        relu = _relu(net, readers, path)
        padder, border = _border(net, sources, path)
        whole = [own + around for own, around in zip(padding, border, strict=True)]
        module.forward = Packed(module, whole, relu is not None, _given if padder is None else padder.forward)
        for done in (relu, padder):
            if done is not None:
                done.forward = _given
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


def _border(net: nn.Module, sources: Mapping[str, str], path: str) -> tuple[Any, tuple[int, int]]:
    """Give the module that pads with zeros for a convolution alone, as wide on both sides, and its rows and columns."""
    source = sources.get(path)
    found: Any = None if source is None else net.get_submodule(source)
    if type(found) in PADDERS and "forward" not in vars(found) and getattr(found, "value", 0) == 0:
        left, right, top, bottom = found.padding
        if left == right >= 0 and top == bottom >= 0:
            return found, (top, left)
    return None, (0, 0)
