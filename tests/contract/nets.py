"""The same small networks in both frameworks, with the same weights."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

import xaikit as xk

ADAPTERS = ("torch", "keras")
IMAGE = xk.Image(12, 12, 3)
NAMES = ("a", "b", "c", "d")
TABULAR = xk.Table(
    {"age": xk.Number(mean=30, std=10), "job": xk.Category(["clerk", "cook", "none"])},
    background=[{"age": 30.0, "job": "none"}, {"age": 20.0, "job": "cook"}],
)


def weights() -> dict[str, Any]:
    """Draw the weights of the picture network, in Keras layouts."""
    rng = np.random.default_rng(7)
    shapes = {"c1": (3, 3, 3, 6), "c2": (3, 3, 6, 8), "head": (8, 4)}
    drawn = {n: rng.normal(size=s) * np.sqrt(2 / np.prod(s[:-1])) for n, s in shapes.items()}
    return {n: (k.astype("f"), rng.normal(size=k.shape[-1]).astype("f") * 0.1) for n, k in drawn.items()}


@cache
def image_pair(framework: str) -> tuple[Any, Any]:
    """Give the wrapped picture network and three pictures in display units."""
    x = np.random.default_rng(3).integers(0, 256, (3, 12, 12, 3)).astype(np.uint8)
    net = _torch_image() if framework == "torch" else _keras_image()
    return xk.wrap(net, inputs=IMAGE, outputs=xk.Classes(NAMES), name="pair"), x


def _torch_image() -> Any:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.c1, self.r1 = nn.Conv2d(3, 6, 3), nn.ReLU(inplace=True)
            self.c2, self.r2 = nn.Conv2d(6, 8, 3), nn.ReLU(inplace=True)
            self.drop, self.head = nn.Dropout(0.5), nn.Linear(8, 4)

        def forward(self, x: Any) -> Any:
            x = self.r2(self.c2(self.r1(self.c1(x))))
            return torch.softmax(self.head(self.drop(x.mean((2, 3)))), dim=-1)

    net = Net().train()
    with torch.no_grad():
        for name, (kernel, bias) in weights().items():
            layer = getattr(net, name)
            layer.weight.copy_(torch.tensor(kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel.T))
            layer.bias.copy_(torch.tensor(bias))
    return net


def _keras_image() -> Any:
    import keras

    layers = keras.layers
    net = keras.Sequential(
        [
            layers.Input((12, 12, 3)),
            layers.Conv2D(6, 3, name="c1", activation="relu"),
            layers.Conv2D(8, 3, name="c2", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.5),
            layers.Dense(4, activation="softmax", name="head"),
        ]
    )
    for name, pair in weights().items():
        net.get_layer(name).set_weights(pair)
    return net


@cache
def linear_net(framework: str, spec: Any = None) -> tuple[Any, Any]:
    """Give a wrapped linear network of four inputs and two outputs without bias, and its weights (input, output)."""
    kernel = np.random.default_rng(1).normal(size=(4, 2)).astype("f")
    spec = spec or xk.Array((4,))
    if framework == "torch":
        import torch

        net = torch.nn.Linear(4, 2, bias=False)
        with torch.no_grad():
            net.weight.copy_(torch.tensor(kernel.T))
    else:
        import keras

        net = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2, use_bias=False)])
        net.layers[0].set_weights([kernel])
    return xk.wrap(net, inputs=spec, outputs=xk.Values(["low", "high"])), kernel


def state_of(model: Any) -> Mapping[str, Any]:
    """Describe everything that an explanation must leave as it was."""
    state = {"numpy": str(np.random.get_state()[1][:5]), "fingerprint": model.fingerprint()}  # noqa: NPY002
    if model.framework == "torch":
        import torch

        net = model.net
        state |= {
            "modes": [m.training for m in net.modules()],
            "hooks": [
                len(m._forward_hooks) + len(m._backward_hooks) + len(m._forward_pre_hooks) for m in net.modules()
            ],
            "requires": [p.requires_grad for p in net.parameters()],
            "grads": [p.grad is None for p in net.parameters()],
            "rng": torch.get_rng_state().sum().item(),
            "grad enabled": torch.is_grad_enabled(),
            "cudnn": torch.backends.cudnn.enabled,
        }
    else:
        import tensorflow as tf

        state |= {
            "eager": tf.config.functions_run_eagerly(),
            "calls": ["call" in vars(layer) for layer in model.net.layers],
            "activations": [str(getattr(layer, "activation", "")).partition(" at ")[0] for layer in model.net.layers],
            "trainable": [layer.trainable for layer in model.net.layers],
        }
    return state
