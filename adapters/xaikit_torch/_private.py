"""The framework's private parts that this adapter depends on, in one place."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def unwrapped(net: Any) -> Any:
    """Give the module that `torch.compile` or a data-parallel wrapper stands for."""
    while True:
        if hasattr(net, "_orig_mod"):
            net = net._orig_mod
        elif isinstance(net, nn.DataParallel | nn.parallel.DistributedDataParallel):
            net = net.module
        else:
            return net


def is_compiled(module: nn.Module) -> bool:
    """Whether a call of this module runs code compiled by dynamo, past the hooks inside."""
    return "_orig_mod" in module._modules or getattr(module, "_compiled_call_impl", None) is not None


def modules_of(net: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Walk over a network's modules with their paths, in the order and a fraction of the time of `named_modules`."""
    seen: set[nn.Module] = set()
    left = [("", net)]
    while left:
        path, module = left.pop()
        if module not in seen:
            seen.add(module)
            yield path, module
            inside = [(f"{path}.{n}" if path else n, m) for n, m in module._modules.items() if m is not None]
            left += reversed(inside)


def every_module(net: nn.Module) -> list[nn.Module]:
    """List a network's modules, each once, in no given order: what a pass looks at, so in the least time."""
    found = {net: None}
    left = [net]
    while left:
        for module in left.pop()._modules.values():
            if module is not None and module not in found:
                found[module] = None
                left.append(module)
    return list(found)


def weights_of(net: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Walk over a network's parameters, then over its buffers, each once, with their paths."""
    for kind in ("_parameters", "_buffers"):
        seen: dict[int, torch.Tensor] = {}
        for path, module in modules_of(net):
            for name, t in getattr(module, kind).items():
                if t is not None and id(t) not in seen:
                    seen[id(t)] = t
                    yield f"{path}.{name}" if path else name, t


def is_exported_program(net: Any) -> bool:
    """Whether this is a torch.export.ExportedProgram, without importing torch.export, which takes a second."""
    export = sys.modules.get("torch.export")
    return export is not None and isinstance(net, export.ExportedProgram)


def version(tensor: torch.Tensor) -> int | None:
    """Give the counter of in-place changes; None for tensors made in inference mode, which have none."""
    return None if tensor.is_inference() else tensor._version


def memory(tensor: torch.Tensor) -> int:
    """Give the address of the memory that a tensor shares with its views; its own identity where it has none."""
    try:
        return tensor.untyped_storage().data_ptr() or id(tensor)
    except (RuntimeError, NotImplementedError):  # sparse
        return id(tensor)


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Keep the graph of a network that cannot be written as ONNX off stdout, where torch puts it asked or not."""
    printed = torch._C._jit_onnx_log
    torch._C._jit_onnx_log = lambda *_: None
    try:
        yield
    finally:
        torch._C._jit_onnx_log = printed


def archive_members(content: bytes) -> dict[str, Any]:
    """Give, for each member of a .pt2 archive, the function that reads it, as torch's own reader finds them."""
    from torch.export.pt2_archive._package import PT2ArchiveReader

    reader = PT2ArchiveReader(io.BytesIO(content))
    return dict.fromkeys(reader.get_file_names(), reader.read_bytes)


def exported_program(content: bytes) -> Any:
    """Load the one program of a .pt2 archive, without the older formats that `torch.export.load` falls back to."""
    from torch.export.pt2_archive._package import load_pt2

    return load_pt2(io.BytesIO(content)).exported_programs["model"]


def gradient_node(tensor: torch.Tensor) -> Any:
    """Give the node of the autograd graph at which a tensor's gradient arrives."""
    return torch.autograd.graph.get_gradient_edge(tensor).node


def saved(node: Any, name: str) -> Any:
    """Give what a node of the autograd graph has kept of its call: a bound, a slope."""
    return getattr(node, f"_saved_{name}")


def packed_weight(
    weight: torch.Tensor, padding: list[int], stride: list[int], dilation: list[int], groups: int, of: list[int]
) -> torch.Tensor:
    """Put the weights of a convolution into the blocks in which oneDNN reads them, for an input of a shape."""
    found: torch.Tensor = torch.ops.mkldnn._reorder_convolution_weight(weight, padding, stride, dilation, groups, of)
    return found


def packed_convolution(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    padding: list[int],
    stride: list[int],
    dilation: list[int],
    groups: int,
    then: str,
) -> torch.Tensor:
    """Convolve by weights in oneDNN's blocks, as compiled networks do, and apply "relu" or "none"."""
    found: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, weight, bias, padding, stride, dilation, groups, then, [], ""
    )
    return found


def can_pack() -> bool:
    """Whether this build of torch keeps weights in oneDNN's blocks."""
    names = ("_reorder_convolution_weight", "_convolution_pointwise")
    return torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, n) for n in names)
