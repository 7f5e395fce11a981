"""An exported program as a module: it takes batches of any size, though the program may take only some."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from xaikit.arrays import Array
from xaikit.errors import ModelError
from xaikit_torch._values import tensors


class Exported(nn.Module):
    """A program saved by torch.export that takes batches of any size, in pieces and padded with its last sample.

    `program` takes between `least` and `most` samples (None: no limit); `inputs` names its inputs, with the shape of
    one sample (None where it varies) and the type of each.
    """

    def __init__(self, exported: Any) -> None:
        super().__init__()
        # the checks of shapes are Python text in the file, and would be executed; the padding here replaces them
        self.program = exported.module(check_guards=False)
        self.inputs = _inputs(exported)
        self.least, self.most = _batch(exported)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Give what the program gives for these inputs, whatever their number of samples."""
        count = len(next(tensors((args, kwargs))))
        step = self.most or max(count, self.least)
        parts = [self._piece(args, kwargs, slice(start, min(start + step, count))) for start in range(0, count, step)]
        return parts[0] if len(parts) == 1 else _joined(parts)

    def _piece(self, args: Any, kwargs: Any, s: slice) -> Any:
        rows = s.stop - s.start
        index = torch.arange(s.start, max(s.stop, s.start + self.least)).clamp(max=s.stop - 1)
        given = _each((args, kwargs), lambda t: t[index.to(t.device)])
        return _each(self.program(*given[0], **given[1]), lambda t: t[:rows])

    def blank(self) -> Mapping[str, Array]:
        """Give one sample of zeros for each input."""
        return {
            name: np.zeros((1, *(n or 1 for n in shape)), np.float32 if dtype.is_floating_point else np.int64)
            for name, (shape, dtype) in self.inputs.items()
        }


def _inputs(exported: Any) -> dict[str, tuple[tuple[int | None, ...], torch.dtype]]:
    found = {}
    for name, value in _placeholders(exported):
        shape = tuple(n if isinstance(n, int) else None for n in value.shape[1:])
        found[name] = (shape, value.dtype)
    if not found:
        raise ModelError("the exported program takes no tensor")
    return found


def _placeholders(exported: Any) -> list[tuple[str, Any]]:
    names = set(exported.graph_signature.user_inputs)
    nodes = [n for n in exported.graph.nodes if n.op == "placeholder" and n.name in names]
    return [(n.name, n.meta["val"]) for n in nodes if isinstance(n.meta.get("val"), torch.Tensor)]


def _batch(exported: Any) -> tuple[int, int | None]:
    """Read how many samples the program takes: (least, most)."""
    count = _placeholders(exported)[0][1].shape[0]
    if isinstance(count, int):
        return count, count
    limits = exported.range_constraints.get(count.node.expr)
    if limits is None:
        return 1, None
    upper = limits.upper
    return max(1, int(limits.lower)), int(upper) if upper.is_finite and upper < 2**31 else None


def _each(value: Any, function: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return function(value) if value.ndim else value
    return torch.utils._pytree.tree_map_only(torch.Tensor, lambda t: function(t) if t.ndim else t, value)


def _joined(parts: list[Any]) -> Any:
    return torch.utils._pytree.tree_map(
        lambda *ts: torch.cat(ts) if isinstance(ts[0], torch.Tensor) and ts[0].ndim else ts[0], *parts
    )
