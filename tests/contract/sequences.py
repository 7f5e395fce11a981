"""The same small networks for sequences in both frameworks, with the same weights."""

from functools import cache
from typing import Any

import numpy as np

import xaikit as xk

DECAY = 0.8
KERNEL = np.array([[1.0], [-0.5]], np.float32)
S1 = np.array([[1, 2], [0, -1], [3, 1], [2, 4]], np.float32)
"""The input of the linear recurrence h_t = 0.8 h_{t-1} + x_t · (1, -0.5), y = 2 h_4, whose contributions are known."""
S1_VALUES = np.array([[1.024, -1.024], [0, 0.64], [4.8, -0.8], [4, -4]])
STEPS, CHANNELS, WORDS = 6, 3, 5
SERIES = xk.Series(STEPS, CHANNELS)
TEXT = xk.Text(6, pad=0, vocabulary=[*"abcdefghijk"])


def linear_recurrence(framework: str) -> Any:
    """Wrap S1's recurrent network without an activation."""
    if framework == "torch":
        import torch

        class Net(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.cell = torch.nn.Linear(2, 1, bias=False)
                self.head = torch.nn.Linear(1, 1, bias=False)

            def forward(self, x: Any) -> Any:
                h = torch.zeros(len(x), 1)
                for t in range(x.shape[1]):
                    h = DECAY * h + self.cell(x[:, t])
                return self.head(h)

        net = Net()
        with torch.no_grad():
            net.cell.weight.copy_(torch.tensor(KERNEL.T))
            net.head.weight.fill_(2.0)
    else:
        import keras

        net = keras.Sequential(
            [
                keras.layers.Input((4, 2)),
                keras.layers.SimpleRNN(1, activation="linear", use_bias=False),
                keras.layers.Dense(1, use_bias=False),
            ]
        )
        net.set_weights([KERNEL, np.array([[DECAY]], np.float32), np.array([[2.0]], np.float32)])
    return xk.wrap(net, inputs=xk.Series(4, 2), outputs=xk.Values(["y"]))


def weights() -> dict[str, np.ndarray[Any, Any]]:
    """Draw the weights of a GRU (Keras layout, reset_after) on three channels with a head of two outputs a step."""
    rng = np.random.default_rng(5)
    shapes = {
        "words": (12, CHANNELS),
        "kernel": (CHANNELS, 12),
        "recurrent": (4, 12),
        "bias": (2, 12),
        "head": (4, 2),
    }
    return {n: (rng.normal(size=s) * 0.7).astype(np.float32) for n, s in shapes.items()}


@cache
def many_to_many(framework: str, text: bool = False) -> tuple[Any, Any]:
    """Give a wrapped GRU that answers two numbers at every step, and two samples; of `text` one with pads."""
    net = _torch(text) if framework == "torch" else _keras(text)
    x = [[0, 0, 3, 5, 2, 7], [4, 1, 1, 9, 6, 2]] if text else np.random.default_rng(2).normal(size=(2, STEPS, CHANNELS))
    spec = TEXT if text else SERIES
    given = np.array(x, np.int64) if text else np.asarray(x, np.float32)
    return xk.wrap(net, inputs=spec, outputs=xk.Values(["low", "high"])), given


def _torch(text: bool) -> Any:
    import torch

    w = weights()
    z, r, h = (slice(0, 4), slice(4, 8), slice(8, 12))

    def rows(a: Any) -> Any:
        return torch.tensor(np.concatenate([a[..., r], a[..., z], a[..., h]], axis=-1).T)

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(12, CHANNELS)
            self.gru = torch.nn.GRU(CHANNELS, 4, batch_first=True)
            self.head = torch.nn.Linear(4, 2, bias=False)

        def forward(self, x: Any) -> Any:
            out, _ = self.gru(self.words(x) if text else x)
            return self.head(out)

    net = Net()
    with torch.no_grad():
        net.words.weight.copy_(torch.tensor(w["words"]))
        net.gru.weight_ih_l0.copy_(rows(w["kernel"]))
        net.gru.weight_hh_l0.copy_(rows(w["recurrent"]))
        net.gru.bias_ih_l0.copy_(rows(w["bias"][0]))
        net.gru.bias_hh_l0.copy_(rows(w["bias"][1]))
        net.head.weight.copy_(torch.tensor(w["head"].T))
    return net


def _keras(text: bool) -> Any:
    import keras

    w, layers = weights(), keras.layers
    first = [layers.Input((STEPS,), dtype="int32"), layers.Embedding(12, CHANNELS)] if text else []
    first = first or [layers.Input((STEPS, CHANNELS))]
    net = keras.Sequential([*first, layers.GRU(4, return_sequences=True), layers.Dense(2, use_bias=False)])
    words = [w["words"]] if text else []
    net.set_weights([*words, w["kernel"], w["recurrent"], w["bias"], w["head"]])
    return net
