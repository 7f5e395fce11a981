"""The kernels of torch's convolutions and dense layers in the neutral layout (filter, *space, in)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from xaikit.arrays import Array
from xaikit.model import Kernel, separable
from xaikit_torch._trace import Record
from xaikit_torch._values import to_array

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def kernel_of(module: nn.Module) -> Kernel | None:
    """Give the kernel of a convolution, a dense layer, or a depthwise and a 1×1 convolution in sequence; else None."""
    if isinstance(module, nn.Sequential):
        return _pair(list(module))
    if not isinstance(module, (*CONVOLUTIONS, *TRANSPOSED, nn.Linear)):
        return None
    bias = None if module.bias is None else to_array(module.bias)
    kind = "conv_transposed" if isinstance(module, TRANSPOSED) else "conv"
    return _neutral(kind, to_array(module.weight), bias, getattr(module, "groups", 1))


def kernel_of_call(record: Record, weights: Sequence[Array]) -> Kernel | None:
    """Give the kernel of a function's call (F.conv2d) by the weights that went into it; None if it has none.

    The kernel is the one weight with more than one axis.
    """
    kernels = [w for w in weights if w.ndim > 1]
    if record.kind not in ("conv", "conv_transposed", "dense") or len(kernels) != 1:
        return None
    groups = int(record.config.get("groups", 1))
    neutral = _neutral(record.kind, kernels[0], None, groups)
    bias = next((w for w in weights if w.shape == neutral.values.shape[:1]), None)
    return Kernel(neutral.values, bias, groups)


def channels_last(kernel: Kernel, own: Sequence[str], shape: Sequence[int]) -> Kernel:
    """Bring what a dense layer reads of flattened places, with these axes and lengths, into the order channels last."""
    if "channel" not in own or kernel.values.shape[1:] != (np.prod(shape),):
        return kernel
    placed = np.moveaxis(kernel.values.reshape(-1, *shape), own.index("channel") + 1, -1)
    return replace(kernel, values=placed.reshape(kernel.values.shape))


def _neutral(kind: str, weight: Array, bias: Array | None, groups: int) -> Kernel:
    """(out, in / groups, *space), or (in, out / groups, *space) if transposed -> (out, *space, in / groups)."""
    if kind == "conv_transposed":
        split = weight.reshape(groups, -1, *weight.shape[1:])
        weight = np.swapaxes(split, 1, 2).reshape(-1, len(weight) // groups, *weight.shape[2:])
    return Kernel(np.moveaxis(weight, 1, -1), bias, groups)


def _pair(modules: list[Any]) -> Kernel | None:
    """Join a convolution of single channels and a 1×1 convolution behind it into the one kernel that they are."""
    if len(modules) != 2 or not all(isinstance(m, CONVOLUTIONS) for m in modules):
        return None
    first, second = kernel_of(modules[0]), kernel_of(modules[1])
    if first is None or second is None or first.values.shape[-1] > 1 or first.groups == 1 or second.groups > 1:
        return None
    mixes = all(n == 1 for n in modules[1].kernel_size) and modules[1].padding in ("valid", (0,), (0, 0), (0, 0, 0))
    return separable(first, second) if mixes else None
