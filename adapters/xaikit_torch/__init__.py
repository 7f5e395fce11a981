"""PyTorch networks for xaikit: wrapping, loading, building and training.

`wrap` and `load_network` are what the core asks an adapter for; `build`, `set_weights`, `get_weights` and `fit` serve
the zoo, `placing` the self-test.
"""

import importlib
from collections.abc import Callable
from typing import Any

from xaikit.model import Layout
from xaikit_torch._loading import load_network
from xaikit_torch._model import TorchModel

_ZOO = {
    "build": "building",
    "set_weights": "building",
    "get_weights": "building",
    "fit": "training",
    "training_device": "training",
    "placing": "_placing",
}

__all__ = [
    "TorchModel",
    "build",
    "fit",
    "get_weights",
    "load_network",
    "placing",
    "set_weights",
    "training_device",
    "wrap",
]

build: Callable[..., Any]
set_weights: Callable[..., Any]
get_weights: Callable[..., Any]
fit: Callable[..., Any]
training_device: Callable[..., str]
placing: Callable[..., Any]


def wrap(
    net: Any,
    *,
    inputs: Any = None,
    outputs: Any = None,
    name: str | None = None,
    layout: Layout | None = None,
    version: str | None = None,
    weights_id: str | None = None,
) -> TorchModel:
    """Wrap a torch.nn.Module, or a torch.export.ExportedProgram, and give a Model; nothing is run yet.

    Raises ModelError for a network without numbers (lazy or meta), or what is no network.
    """
    return TorchModel(
        net, inputs=inputs, outputs=outputs, name=name, layout=layout, version=version, weights_id=weights_id
    )


def __getattr__(name: str) -> Any:
    if name in _ZOO:
        return getattr(importlib.import_module(f"xaikit_torch.{_ZOO[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
