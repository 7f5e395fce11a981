"""Small torch networks of many kinds, for the tests of the adapter."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def seeded(make: Any, seed: int = 0) -> Any:
    """Build a network with weights drawn from a seed, leaving the global stream as it was."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return make()


def draw(*shape: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def ones_like(value: Any) -> Any:
    return np.ones_like(value)


class Block(nn.Module):
    """A residual block whose ReLU works in place and is called twice."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        y = self.relu(self.bn(self.conv1(x)))
        return self.relu(self.conv2(y) + x)


class Residual(nn.Module):
    """Convolutions, two blocks, functional calls, dropout and a softmax; left in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2)
        self.layer1 = nn.Sequential(Block(4), Block(4))
        self.drop, self.head = nn.Dropout(0.5), nn.Linear(4, 5)

    def forward(self, x: Any) -> Any:
        x = F.max_pool2d(F.relu(self.stem(x)), 2)
        x = self.layer1(x)
        x = torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)
        return F.softmax(self.head(self.drop(x)), dim=1)


class Inplace(nn.Module):
    """y = head(relu_(conv(x)) + conv(x)): the sum is twice the rectified value, since relu_ overwrites."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv1d(2, 3, 3), nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        y = self.conv(x)
        z = y.relu_()
        return self.head((z + y).mean(2))


class Padded(nn.Module):
    """An LSTM over packed sequences of words, 0 is a pad; returns a tuple of score and last state."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 6, padding_idx=0)
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.head = nn.Linear(5, 3)

    def forward(self, ids: Any) -> Any:
        lengths = (ids != 0).sum(1).clamp(min=1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(self.embed(ids), lengths, batch_first=True, enforce_sorted=False)
        out, (h, _) = self.lstm(packed)
        out, _ = nn.utils.rnn.pad_packed_sequence(out, batch_first=True, total_length=ids.shape[1])
        return self.head(out.sum(1)), h


class Two(nn.Module):
    """Two inputs, two outputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.table = nn.Conv2d(1, 2, 3), nn.Linear(3, 2)
        self.head = nn.Linear(4, 2)

    def forward(self, picture: Any, row: Any) -> Any:
        joined = torch.cat([self.image(picture).mean((2, 3)), self.table(row)], 1)
        return {"score": self.head(joined).softmax(-1), "value": joined.sum(1)}


class Siamese(nn.Module):
    """Two inputs through the same layers."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True))
        self.head = nn.Linear(6, 1)

    def forward(self, a: Any, b: Any) -> Any:
        return self.head((self.trunk(a) - self.trunk(b)).abs())


class Autoencoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(8, 4), nn.Tanh(), nn.Linear(4, 2))
        self.decoder = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 8), nn.Sigmoid())

    def forward(self, x: Any) -> Any:
        return self.decoder(self.encoder(x))


class Attentive(nn.Module):
    """Words, a transformer layer and a mean over the words that are no pads."""

    def __init__(self, batch_first: bool = True) -> None:
        super().__init__()
        self.first = batch_first
        self.embed = nn.Embedding(12, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first)
        self.head = nn.Linear(8, 3)

    def forward(self, ids: Any) -> Any:
        x = self.embed(ids)
        x = self.encoder(x, src_key_padding_mask=ids == 0) if self.first else self.encoder(x.transpose(0, 1))
        return self.head(x.mean(1 if self.first else 0))


def pictures(net: Any, head: int = 2, size: int = 9) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), net, nn.Flatten(), nn.Linear(4 * (size - 2) ** 2, head))
