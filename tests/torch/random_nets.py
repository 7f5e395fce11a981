"""Random linear networks with positive weights: windows, pools, resizing, branches, and places that move."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

Rng = Any
"""What draws: a NumPy generator, or hypothesis under the same names."""
CHANNELS = 2
CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
AVERAGES = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
ADAPTIVE = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


class Call(nn.Module):
    """A function as a module, so that it stands in the network as itself."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


class Residual(nn.Module):
    """Two branches, cut to the same places and added, or side by side as channels that are then mixed."""

    def __init__(self, one: nn.Module, other: nn.Module, mix: nn.Module | None) -> None:
        super().__init__()
        self.one, self.other, self.mix = one, other, mix

    def forward(self, x: Any) -> Any:
        a, b = self.one(x), self.other(x)
        cut = [slice(None)] * 2 + [slice(min(n, m)) for n, m in zip(a.shape[2:], b.shape[2:], strict=True)]
        a, b = a[tuple(cut)], b[tuple(cut)]
        return a + b if self.mix is None else self.mix(torch.cat([a, b], 1))


def network(rng: Rng, dims: int, lengths: tuple[int, ...], depth: int) -> nn.Module:
    """Build a network of up to `depth` layers for inputs of these lengths, each of which leaves some places."""
    layers: list[nn.Module] = [CONVS[dims](CHANNELS, CHANNELS, 1)]  # it tells the axes of the input
    x = torch.zeros(2, CHANNELS, *lengths, dtype=torch.float64)
    for _ in range(depth):
        layer = _layer(rng, dims, tuple(x.shape[2:])).double()
        try:
            y = layer(x)
        except (RuntimeError, ValueError, IndexError):
            continue  # too few places for it
        if y.shape[:2] == x.shape[:2] and y.ndim == x.ndim and 0 < y[0, 0].numel() <= 200:
            layers, x = [*layers, layer], y
    net = nn.Sequential(*layers).double()
    with torch.no_grad():
        for name, weight in net.named_parameters():
            drawn = rng.uniform(0.5, 1, weight.shape) if name.endswith("weight") else np.zeros(weight.shape)
            weight.copy_(torch.from_numpy(drawn))
    return net.eval()


def _layer(rng: Rng, dims: int, lengths: tuple[int, ...]) -> nn.Module:
    kinds = [
        _conv,
        _conv,
        _same,
        _pool,
        _transposed,
        _adaptive,
        _resized,
        _residual,
        _moved,
        _moved,
        _padded,
        _shuffled,
    ]
    return kinds[rng.integers(len(kinds))](rng, dims, lengths)


def _draw(rng: Rng, dims: int, low: int, high: int) -> tuple[int, ...]:
    return tuple(int(n) for n in rng.integers(low, high + 1, dims))


def _conv(rng: Rng, dims: int, lengths: tuple[int, ...]) -> nn.Module:
    mode = rng.choice(["zeros", "zeros", "reflect", "replicate", "circular"])
    size, stride, dilation = _draw(rng, dims, 1, 4), _draw(rng, dims, 1, 3), _draw(rng, dims, 1, 2)
    return CONVS[dims](CHANNELS, CHANNELS, size, stride, _draw(rng, dims, 0, 3), dilation, padding_mode=str(mode))


def _same(rng: Rng, dims: int, lengths: tuple[int, ...]) -> nn.Module:
    groups = int(rng.integers(1, 3))
    size, dilation = _draw(rng, dims, 1, 4), _draw(rng, dims, 1, 2)
    mode = str(rng.choice(["zeros", "circular"]))
    return CONVS[dims](CHANNELS, CHANNELS, size, padding="same", dilation=dilation, groups=groups, padding_mode=mode)


def _pool(rng: Rng, dims: int, lengths: tuple[int, ...]) -> nn.Module:
    size = _draw(rng, dims, 1, 4)
    stride = None if rng.random() < 0.3 else _draw(rng, dims, 1, 3)
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in size)
    if dims == 1:
        return nn.AvgPool1d(size[0], stride and stride[0], padding[0], bool(rng.integers(2)))
    return AVERAGES[dims](size, stride, padding, bool(rng.integers(2)))


def _transposed(rng: Rng, dims: int, lengths: tuple[int, ...]) -> nn.Module:
    size, stride, dilation = _draw(rng, dims, 1, 4), _draw(rng, dims, 1, 3), _draw(rng, dims, 1, 2)
    more = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True))
    return TRANSPOSED[dims](CHANNELS, CHANNELS, size, stride, _draw(rng, dims, 0, 2), more, 1, True, dilation)


def _adaptive(rng: Rng, dims: int, lengths: tuple[int, ...]) -> nn.Module:
    return ADAPTIVE[dims](_draw(rng, dims, 1, 6))


def _resized(rng: Rng, dims: int, lengths: tuple[int, ...]) -> nn.Module:
    modes = ["nearest", "nearest-exact", "area", LINEAR[dims], LINEAR[dims], *["bicubic"] * (dims == 2)]
    mode = str(rng.choice(modes))
    how: dict[str, Any] = {"mode": mode}
    if "linear" in mode or mode == "bicubic":
        how["align_corners"] = bool(rng.integers(2))
        how["antialias"] = dims == 2 and bool(rng.integers(3) == 0)
    if rng.random() < 0.5:
        how["size"] = _draw(rng, dims, 1, 9)
    else:
        how["scale_factor"] = float(rng.choice([0.5, 0.7, 1.5, 2, 2.3, 3]))
        how["recompute_scale_factor"] = bool(rng.integers(2)) or None

    def resized(x: Any) -> Any:
        y = F.interpolate(x, **how)
        if how.get("antialias") and y.shape[-1] == 1:
            raise ValueError("torch 2.13 reads the wrong rows here unless the channels come last")
        return y

    return Call(resized)


def _residual(rng: Rng, dims: int, lengths: tuple[int, ...]) -> nn.Module:
    one, other = _conv(rng, dims, lengths), (_pool if rng.random() < 0.5 else _moved)(rng, dims, lengths)
    mix = CONVS[dims](2 * CHANNELS, CHANNELS, 1) if rng.random() < 0.5 else None
    return Residual(one, other, mix)


def _padded(rng: Rng, dims: int, lengths: tuple[int, ...]) -> nn.Module:
    mode = str(rng.choice(["constant", "reflect", "replicate", "circular"]))
    low = -1 if mode == "constant" else 0
    pad = _draw(rng, 2 * dims, low, 2)
    return Call(lambda x: F.pad(x, pad, mode))


def _shuffled(rng: Rng, dims: int, lengths: tuple[int, ...]) -> nn.Module:
    if dims != 2:
        return _moved(rng, dims, lengths)
    if rng.random() < 0.5:
        return nn.Sequential(nn.Conv2d(CHANNELS, 4 * CHANNELS, 1), nn.PixelShuffle(2))
    return nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * CHANNELS, CHANNELS, 1))


def _moved(rng: Rng, dims: int, lengths: tuple[int, ...]) -> nn.Module:
    axis = int(rng.integers(2, 2 + dims))
    n = lengths[axis - 2]
    start, step, shift = int(rng.integers(0, 3)), int(rng.integers(1, 4)), int(rng.integers(-3, 4))
    cut = [slice(None)] * (2 + dims)
    cut[axis] = slice(start, int(rng.choice([n, -1])) or None, step)
    cutting, half = tuple(cut), max(n // 2, 1)
    order = torch.from_numpy(rng.integers(0, n, int(rng.integers(1, 6))))
    functions: list[Callable[[Any], Any]] = [
        lambda x: x[cutting],
        lambda x: x.flip(axis),
        lambda x: torch.roll(x, shift, axis),
        lambda x: torch.cat([x, x.flip(axis)], axis),
        lambda x: torch.cat([x.narrow(axis, 0, half), F.avg_pool1d(x, 2) if dims == 1 else x], axis),
        lambda x: x.repeat_interleave(2, axis),
        lambda x: x.index_select(axis, order),
        lambda x: sum(x.chunk(2, axis)) if n % 2 == 0 else x,
        lambda x: x.transpose(2, 1 + dims),
        lambda x: x.flatten(2).reshape(x.shape),
        lambda x: x.reshape(2 if len(x) == 2 else len(x), CHANNELS, *x.shape[2:][::-1]),
        lambda x: torch.stack([x, x.roll(1, axis)], axis).flatten(axis, axis + 1),
        lambda x: x.mean(axis, keepdim=True) + x,
        lambda x: x.cumsum(axis),
        lambda x: _filled(x, axis),
        lambda x: x.unfold(axis, min(2, n), 1).sum(-1),
        lambda x: torch.stack(x.unbind(axis)[::-1], axis),
        lambda x: x.tril() if dims > 1 else x,
        lambda x: (
            torch.einsum("ncx,xy->ncy", x, torch.ones(n, 3, dtype=x.dtype)) if dims == 1 else x.transpose(2, 3) @ x
        ),
    ][:-1]
    return Call(functions[rng.integers(len(functions))])


def _filled(x: Any, axis: int) -> Any:
    """Write into places of a tensor of zeros: every second one."""
    into = torch.zeros_like(x)
    index: list[Any] = [slice(None)] * x.ndim
    index[axis] = slice(0, None, 2)
    into[tuple(index)] = x[tuple(index)]
    return into
