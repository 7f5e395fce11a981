"""Recurrent networks with closed forms or odd structures, for the tests of sequence models."""

from typing import Any

import numpy as np
import torch
from torch import nn

import xaikit as xk

STEPS, CHANNELS, UNITS = 6, 3, 4
GOLDEN = np.array([[1, 2], [0, -1], [3, 1], [2, 4]], np.float32)
"""The series of the golden linear network h_t = 0.8 h_(t-1) + (1, -0.5)·x_t, y = 2 h_T = 4.64."""


class Last(nn.Module):
    """y = head(h_T) of a recurrent layer."""

    def __init__(self, cell: nn.RNNBase, outputs: int = 2) -> None:
        super().__init__()
        self.cell = cell
        self.head = nn.Linear(cell.hidden_size * (2 if cell.bidirectional else 1), outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.cell.batch_first
        states = self.cell(x if first else x.transpose(0, 1))[0]
        return self.head(states[:, -1] if first else states[-1])


def linear_torch(a: float = 0.8, w: Any = (1.0, -0.5), steps: int = 4) -> Any:
    """y = 2 h_T with h_t = a h_(t-1) + w·x_t.

    torch has no linear cell: a bias of 30 keeps a ReLU open, and the head takes away what it adds.
    """
    net = Last(nn.RNN(len(w), 1, nonlinearity="relu", batch_first=True), 1)
    with torch.no_grad():
        net.cell.weight_ih_l0.copy_(torch.tensor([w]))
        net.cell.weight_hh_l0.fill_(a)
        net.cell.bias_ih_l0.fill_(30.0)
        net.cell.bias_hh_l0.zero_()
        net.head.weight.fill_(2.0)
        net.head.bias.fill_(-2 * 30.0 * sum(a**k for k in range(steps)))
    return xk.wrap(net, inputs=xk.Series(steps, len(w)), outputs=xk.Values(["y"]))


def linear_keras(a: float = 0.8, w: Any = (1.0, -0.5), steps: int = 4) -> Any:
    """The same network with Keras' linear cell."""
    import keras

    cell = keras.layers.SimpleRNN(1, activation="linear", use_bias=False, name="cell")
    head = keras.layers.Dense(1, use_bias=False, name="head")
    net = keras.Sequential([keras.layers.Input((steps, len(w))), cell, head])
    cell.set_weights([np.array(w, np.float32)[:, None], np.full((1, 1), a, np.float32)])
    head.set_weights([np.full((1, 1), 2.0, np.float32)])
    return xk.wrap(net, inputs=xk.Series(steps, len(w)), outputs=xk.Values(["y"]))


LINEAR = {"torch": linear_torch, "keras": linear_keras}


def of(cell: nn.RNNBase, seed: int = 0) -> Any:
    """Wrap the last state of a cell with drawn weights."""
    torch.manual_seed(seed)
    cell.reset_parameters()
    net = Last(cell).eval()
    return xk.wrap(net, inputs=xk.Series(STEPS, CHANNELS), outputs=xk.Values(["a", "b"]))


def series(count: int = 2, seed: int = 0) -> np.ndarray:
    """Draw series of STEPS × CHANNELS."""
    return np.random.default_rng(seed).normal(size=(count, STEPS, CHANNELS)).astype(np.float32)
