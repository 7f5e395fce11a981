"""Small networks of every kind of operation, for the tests of fields: sequences (sample, 8, 4), images of 8 x 8."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    """A function of its modules and the input."""

    def __init__(self, function: Callable[[Any, Any], Any], *modules: nn.Module) -> None:
        super().__init__()
        self.function, self.m = function, nn.ModuleList(modules)

    def forward(self, x: Any) -> Any:
        return self.function(self.m, x)


def stepped(m: Any, x: Any) -> Any:
    """Run a cell through four steps and give all its states."""
    h, states = torch.zeros(len(x), 3, dtype=x.dtype), []
    for t in range(4):
        h = m[0](x[:, t], h)
        states.append(h)
    return torch.stack(states, 1)


def heads(m: Any, x: Any) -> Any:
    q, k, v = m[0](x).reshape(len(x), 8, 3, 2, 2).permute(2, 0, 3, 1, 4).unbind(0)
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return m[1](y.transpose(1, 2).reshape(len(x), 8, 4))


def by_hand(m: Any, x: Any) -> Any:
    """Attention from matrix products."""
    count, steps, width = x.shape
    q, k, v = (t.view(count, steps, 2, 2).transpose(1, 2) for t in m[0](x).chunk(3, -1))
    weights = (q @ k.transpose(-2, -1) / 2).softmax(-1)
    return m[1]((weights @ v).transpose(1, 2).contiguous().view(count, steps, width))


def shifted(m: Any, x: Any) -> Any:
    y = m[0](x)
    z = torch.zeros_like(y)
    z[:, 1:] = y[:, :-1]
    return z + y


def added_to_a_slice(m: Any, x: Any) -> Any:
    y = m[0](x).clone()
    y[:, 2:] += x[:, :-2]
    return y * 1


def added_to_a_view(m: Any, x: Any) -> Any:
    y = m[0](x)
    y[:, 2:].add_(x[:, :-2])
    return y * 1


def linear(*widths: int) -> list[nn.Module]:
    return [nn.Linear(4, n) for n in widths]


def encoder(**how: Any) -> nn.Module:
    return nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, **how)


ATTENTION = nn.MultiheadAttention
SEQUENCES: dict[str, Callable[[], nn.Module]] = {
    "lstm": lambda: Net(lambda m, x: m[0](x)[0], nn.LSTM(4, 3, 2, batch_first=True)),
    "both ways": lambda: Net(lambda m, x: m[0](x)[0] * 2, nn.GRU(4, 3, batch_first=True, bidirectional=True)),
    "last state": lambda: Net(lambda m, x: m[1](m[0](x)[1][0][-1]), nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 2)),
    "one step": lambda: Net(lambda m, x: m[1](m[0](x)[0][:, 3]), nn.LSTM(4, 3, batch_first=True), nn.Linear(3, 2)),
    "time first": lambda: Net(lambda m, x: m[0](x.transpose(0, 1))[0].transpose(0, 1) + 0, nn.RNN(4, 3)),
    "cells": lambda: Net(stepped, nn.GRUCell(4, 3)),
    "attention": lambda: Net(lambda m, x: m[0](x, x, x)[0], ATTENTION(4, 2, batch_first=True)),
    "heads": lambda: Net(heads, *linear(12, 4)),
    "attention by hand": lambda: Net(by_hand, *linear(12, 4)),
    "scaled dot product": lambda: Net(
        lambda m, x: F.scaled_dot_product_attention(m[0](x), m[1](x), m[2](x)), *linear(3, 3, 3)
    ),
    "causal": lambda: Net(
        lambda m, x: F.scaled_dot_product_attention(m[0](x), m[1](x), m[2](x), is_causal=True), *linear(3, 3, 3)
    ),
    "causal module": lambda: Net(
        lambda m, x: m[0](x, x, x, attn_mask=torch.ones(8, 8, dtype=torch.bool).triu(1))[0],
        ATTENTION(4, 2, batch_first=True),
    ),
    "crossed": lambda: Net(lambda m, x: m[0](x[:, :3], x[:, 3:], x[:, 3:])[0], ATTENTION(4, 2, batch_first=True)),
    "encoder": encoder,
    "encoder, norm first": lambda: encoder(norm_first=True),
    "norm over channels": lambda: nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)),
    "norm over time": lambda: nn.Sequential(nn.Linear(4, 4), nn.LayerNorm((8, 4))),
    "softmax over time": lambda: Net(lambda m, x: m[0](x).softmax(1), *linear(4)),
    "softmax over channels": lambda: Net(lambda m, x: m[0](x).softmax(-1), *linear(4)),
    "mean": lambda: Net(lambda m, x: m[0](x).mean(1), *linear(4)),
    "causal convolution": lambda: Net(
        lambda m, x: m[0](F.pad(x.transpose(1, 2), (4, 0))), nn.Conv1d(4, 3, 3, dilation=2)
    ),
    "gated halves of time": lambda: Net(lambda m, x: F.glu(m[0](x), 1), *linear(6)),
    "dense over time": lambda: Net(lambda m, x: m[0](x.transpose(1, 2)), nn.Linear(8, 5)),
    "time in the batch": lambda: Net(lambda m, x: m[0](x.reshape(-1, 4)).reshape(len(x), 8, 3), *linear(3)),
    "einsum": lambda: Net(lambda m, x: torch.einsum("btc,bsc->bts", m[0](x), x), *linear(4)),
    "in place": lambda: Net(lambda m, x: m[0](x).add_(1).mul_(x), *linear(4)),
    "written places": lambda: Net(shifted, *linear(4)),
    "added to a slice": lambda: Net(added_to_a_slice, *linear(4)),
    "running sum": lambda: Net(lambda m, x: m[0](x).cumsum(1), *linear(4)),
    "shared module": lambda: Net(lambda m, x: m[0](m[0](x.transpose(1, 2))), nn.Conv1d(4, 4, 3, padding=1)),
    "difference": lambda: Net(lambda m, x: m[0](x)[:, 1:] - m[0](x)[:, :-1], *linear(4)),
    "stacked": lambda: Net(lambda m, x: torch.stack([m[0](x), x], 2).mean(2), *linear(4)),
}
BOUNDED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "band": (
        lambda: Net(
            lambda m, x: m[0](x, x, x, attn_mask=(torch.arange(8)[:, None] - torch.arange(8)).abs() > 1)[0],
            ATTENTION(4, 2, batch_first=True),
        ),
        "m.0",
    ),
    "read where the input says": (
        lambda: Net(lambda m, x: m[0](x).gather(1, x[:, :, :1].argsort(1).expand(-1, -1, 4)), *linear(4)),
        "gather",
    ),
    "spectrum": (lambda: Net(lambda m, x: torch.fft.rfft(m[0](x), dim=1).abs(), *linear(4)), "abs"),
    "added to a view": (lambda: Net(added_to_a_view, *linear(4)), "mul"),
}
"""Networks with an operation whose places cannot be told, and the layer that is named for it."""


class Excited(nn.Module):
    """Squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Linear(4, 2), nn.Linear(2, 4)

    def forward(self, x: Any) -> Any:
        x = self.conv(x)
        gate = torch.sigmoid(self.fc2(F.gelu(self.fc1(self.pool(x).view(x.shape[:2])))))
        return x * gate.view(*x.shape[:2], 1, 1).expand_as(x)


class ViT(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 4, 4, 4)
        self.token, self.position = nn.Parameter(torch.ones(1, 1, 4)), nn.Parameter(torch.ones(1, 5, 4))
        self.encoder, self.head = encoder(), nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        return self.head(self.encoder(x)[:, 0])


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.up, self.join = nn.ConvTranspose2d(4, 4, 2, 2), nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x: Any) -> Any:
        a = F.gelu(self.down1(x))
        b = F.gelu(self.down2(F.avg_pool2d(a, 2)))
        return F.gelu(self.join(torch.cat([a, self.up(b)], 1)))


class ConvNeXt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.deep = nn.Conv2d(3, 4, 2, 2), nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.norm, self.up, self.down = nn.LayerNorm(4), nn.Linear(4, 8), nn.Linear(8, 4)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        y = self.down(F.gelu(self.up(self.norm(self.deep(x).permute(0, 2, 3, 1)))))
        return x + y.permute(0, 3, 1, 2)


class Swin(nn.Module):
    """Attention inside of shifted windows, which stand along the sample axis; then four places become one."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.shift = shift
        self.patch, self.norm = nn.Conv2d(3, 4, 2, 2), nn.LayerNorm(4)
        self.qkv, self.project, self.merge = nn.Linear(4, 12), nn.Linear(4, 4), nn.Linear(16, 4)

    def forward(self, x: Any) -> Any:
        x = self.patch(x).permute(0, 2, 3, 1)
        count, h, w, c = x.shape
        y = torch.roll(self.norm(x), (-self.shift, -self.shift), (1, 2))
        y = y.view(count, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
        q, k, v = self.qkv(y).reshape(len(y), 4, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
        y = ((q @ k.transpose(-2, -1)).softmax(-1) @ v).transpose(1, 2).reshape(-1, 4, c)
        y = self.project(y).view(count, h // 2, w // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(count, h, w, c)
        x = x + torch.roll(y, (self.shift, self.shift), (1, 2))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.merge(x)


class DenseNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(3 + 2 * i, 2, 3, padding=1) for i in range(3))
        self.mix = nn.Conv2d(9, 2, 1)

    def forward(self, x: Any) -> Any:
        for conv in self.convs:
            x = torch.cat([x, torch.tanh(conv(x))], 1)
        return F.avg_pool2d(self.mix(x), 2)


def patches(m: Any, x: Any) -> Any:
    """Cut an image into tokens of 4 x 4."""
    count, c, h, w = x.shape
    x = x.reshape(count, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 3, 5, 1)
    return m[0](x.reshape(count, (h // 4) * (w // 4), 16 * c))


def non_local(m: Any, x: Any) -> Any:
    y = m[0](x)
    flat = y.flatten(2)
    return (flat @ (flat.transpose(1, 2) @ flat).softmax(-1)).view_as(y) + y


def attended(m: Any, x: Any) -> Any:
    """The spatial half of CBAM."""
    y = m[0](x)
    return y * m[1](torch.cat([y.mean(1, keepdim=True), y.amax(1, keepdim=True)], 1)).sigmoid()


IMAGES: dict[str, Callable[[], nn.Module]] = {
    "squeeze and excitation": Excited,
    "vit": ViT,
    "u-net": UNet,
    "convnext": ConvNeXt,
    "swin": lambda: Swin(0),
    "swin, shifted": lambda: Swin(1),
    "densenet": DenseNet,
    "mobilenet": lambda: nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 3, 2, 1, groups=6), nn.Conv2d(6, 2, 1)),
    "patches": lambda: Net(patches, nn.Linear(48, 4)),
    "unfold": lambda: Net(lambda m, x: F.unfold(m[0](x), 3, padding=1, stride=2), nn.Conv2d(3, 2, 1)),
    "non-local": lambda: Net(non_local, nn.Conv2d(3, 2, 1)),
    "cbam": lambda: Net(attended, nn.Conv2d(3, 2, 3), nn.Conv2d(2, 1, 3, padding=1)),
    "norms": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), nn.Conv2d(4, 4, 3), nn.GroupNorm(2, 4)),
    "generator": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(192, 8), nn.Tanh(), nn.Unflatten(1, (2, 2, 2)), nn.ConvTranspose2d(2, 2, 3, 2)
    ),
    "channels shuffled": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ChannelShuffle(2), nn.Conv2d(4, 4, 3)),
    "lp pool": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.LPPool2d(2, 2)),
    "mean over one axis": lambda: Net(lambda m, x: m[0](x).mean(2), nn.Conv2d(3, 2, 3)),
    "columns in time": lambda: Net(
        lambda m, x: m[1](m[0](x).mean(2).transpose(1, 2))[0], nn.Conv2d(3, 2, 3), nn.LSTM(2, 3, batch_first=True)
    ),
}
