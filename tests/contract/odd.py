"""Networks with several inputs, or outputs in dataclasses, dicts, tuples and their nestings, in both frameworks."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

import xaikit as xk

OUTPUTS = (("dict", "torch"), ("dict", "keras"), ("tuple", "torch"), ("tuple", "keras"), ("dataclass", "torch"))
"""A functional Keras network cannot give a dataclass."""


def named(kind: str, framework: str) -> str:
    """Say which of the outputs is the one with the classes: Keras names what is in a tuple by its layers."""
    if kind == "tuple":
        return "0" if framework == "torch" else "head"
    return "heads/0" if kind == "nested" else "logits"


def draw(*shape: int, seed: int) -> Any:
    return (0.4 * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


KERNEL, HEAD, OTHER = draw(3, 3, 3, 6, seed=1), draw(6, 4, seed=2), draw(6, 2, seed=3)
LINEAR = draw(5, 6, seed=4)
CODE, BACK = draw(8, 5, seed=5), draw(5, 8, seed=6)
CLASSES = xk.Classes(("a", "b", "c", "d"), form="logits")


@dataclass
class Answer:
    """Like the outputs of well-known text models: a loss that is not there, logits, and what came before."""

    loss: Any = None
    logits: Any = None
    pooled: Any = None


def arranged(kind: str, logits: Any, other: Any) -> Any:
    if kind == "plain":
        return logits
    if kind == "dataclass":
        return Answer(logits=logits, pooled=other)
    if kind == "dict":
        return {"logits": logits, "other": other}
    return (logits, other) if kind == "tuple" else {"heads": [logits, other], "state": {"sum": other * 2}}


@cache
def answering(kind: str, framework: str) -> Any:
    """Give a picture network whose outputs are arranged in one of the ways."""
    if framework == "torch":
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv, self.relu = nn.Conv2d(3, 6, 3), nn.ReLU()
                self.head, self.other = nn.Linear(6, 4, bias=False), nn.Linear(6, 2, bias=False)
                with torch.no_grad():
                    self.conv.weight.copy_(torch.tensor(KERNEL.transpose(3, 2, 0, 1)))
                    self.conv.bias.zero_()
                    self.head.weight.copy_(torch.tensor(HEAD.T))
                    self.other.weight.copy_(torch.tensor(OTHER.T))

            def forward(self, x: Any) -> Any:
                pooled = self.relu(self.conv(x)).mean((2, 3))
                return arranged(kind, self.head(pooled), self.other(pooled))

        net: Any = Net()
    else:
        import keras

        layers = keras.layers
        x = keras.Input((12, 12, 3))
        features = layers.ReLU(name="relu")(layers.Conv2D(6, 3, name="conv", use_bias=False)(x))
        pooled = layers.GlobalAveragePooling2D()(features)
        head, other = layers.Dense(4, use_bias=False, name="head"), layers.Dense(2, use_bias=False, name="other")
        net = keras.Model(x, arranged(kind, head(pooled), other(pooled)))
        known = {layer.name: layer for layer in net.layers}
        for name, kernel in (("conv", KERNEL), ("head", HEAD), ("other", OTHER)):
            if name in known:
                known[name].set_weights([kernel])
    outputs: Any = CLASSES if kind == "plain" else {named(kind, framework): CLASSES}
    return xk.wrap(net, inputs=xk.Image(12, 12, 3), outputs=outputs, name=f"answering-{kind}")


def pictures(count: int = 2) -> Any:
    return np.random.default_rng(3).integers(0, 256, (count, 12, 12, 3)).astype(np.uint8)


@cache
def two_inputs(framework: str) -> Any:
    """Give a network of a picture and five numbers."""
    if framework == "torch":
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv, self.relu = nn.Conv2d(3, 6, 3), nn.ReLU()
                self.linear, self.head = nn.Linear(5, 6, bias=False), nn.Linear(6, 4, bias=False)
                self.late = nn.ReLU()
                with torch.no_grad():
                    self.conv.weight.copy_(torch.tensor(KERNEL.transpose(3, 2, 0, 1)))
                    self.conv.bias.zero_()
                    self.linear.weight.copy_(torch.tensor(LINEAR.T))
                    self.head.weight.copy_(torch.tensor(HEAD.T))

            def forward(self, photo: Any, numbers: Any) -> Any:
                pooled = self.relu(self.conv(photo)).mean((2, 3))
                return self.head(self.late(pooled + self.linear(numbers)))

        net: Any = Net()
    else:
        import keras

        layers = keras.layers
        photo, numbers = keras.Input((12, 12, 3), name="photo"), keras.Input((5,), name="numbers")
        features = layers.ReLU(name="relu")(layers.Conv2D(6, 3, name="conv", use_bias=False)(photo))
        together = layers.Add()(
            [layers.GlobalAveragePooling2D()(features), layers.Dense(6, use_bias=False, name="linear")(numbers)]
        )
        head = layers.Dense(4, use_bias=False, name="head")
        net = keras.Model({"photo": photo, "numbers": numbers}, head(layers.ReLU()(together)))
        for name, kernel in (("conv", KERNEL), ("linear", LINEAR), ("head", HEAD)):
            net.get_layer(name).set_weights([kernel])
    specs = {"photo": xk.Image(12, 12, 3), "numbers": xk.Array((5,))}
    return xk.wrap(net, inputs=specs, outputs=CLASSES, name="two-inputs")


def pairs() -> Any:
    return {"photo": pictures(), "numbers": draw(2, 5, seed=9) * 4}


@cache
def autoencoder(framework: str, error: str = "mse") -> Any:
    """Give a small autoencoder of eight numbers."""
    if framework == "torch":
        import torch
        from torch import nn

        net: Any = nn.Sequential(nn.Linear(8, 5, bias=False), nn.Tanh(), nn.Linear(5, 8, bias=False))
        with torch.no_grad():
            net[0].weight.copy_(torch.tensor(CODE.T))
            net[2].weight.copy_(torch.tensor(BACK.T))
    else:
        import keras

        layers = keras.layers
        net = keras.Sequential(
            [
                layers.Input((8,)),
                layers.Dense(5, activation="tanh", use_bias=False),
                layers.Dense(8, use_bias=False),
            ]
        )
        net.set_weights([CODE, BACK])
    return xk.wrap(net, inputs=xk.Array((8,)), outputs=xk.Reconstruction(error), name="autoencoder")  # type: ignore[arg-type]


def numbers(count: int = 3) -> Any:
    return draw(count, 8, seed=12) * 2
