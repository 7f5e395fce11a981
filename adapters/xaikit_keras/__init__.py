"""The adapter for Keras 3 with the TensorFlow backend: `wrap`, `load_network`, and the zoo's `build` and `fit`.

Importing it is light; TensorFlow comes with the first network.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaikit.errors import ModelError

if TYPE_CHECKING:
    from xaikit_keras._model import KerasModel
    from xaikit_keras._placing import placing
    from xaikit_keras.building import build, get_weights, set_weights
    from xaikit_keras.training import fit, training_device

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

_HOMES = {
    "KerasModel": "_model",
    "build": "building",
    "fit": "training",
    "training_device": "training",
    "get_weights": "building",
    "set_weights": "building",
    "placing": "_placing",
}

__all__ = [
    "KerasModel",
    "build",
    "fit",
    "get_weights",
    "load_network",
    "placing",
    "set_weights",
    "training_device",
    "wrap",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _require_tensorflow()
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def wrap(
    net: Any,
    *,
    inputs: Any = None,
    outputs: Any = None,
    name: str | None = None,
    layout: Any = None,
    version: str | None = None,
    weights_id: str | None = None,
) -> "KerasModel":
    """Wrap a trained keras.Model. Nothing is run or traced yet.

    Raises ModelError for another object, or when Keras runs on another backend than TensorFlow.
    """
    _require_tensorflow()
    import keras

    from xaikit_keras._model import KerasModel

    if not isinstance(net, keras.Model):
        kind = f"{type(net).__module__.split('.')[0]}'s {type(net).__name__}"
        raise ModelError(f"expected a keras.Model, not {kind}; put a single layer into keras.Sequential([...])")
    return KerasModel(
        net, inputs=inputs, outputs=outputs, name=name, layout=layout, version=version, weights_id=weights_id
    )


def load_network(path: str | Path, *, factory: Any = None) -> Any:
    """Load a keras.Model from a .keras or .h5 file, or weights (.weights.h5, .safetensors) into `factory()`'s network.

    Raises UnsafeFile for a file that could run code, ModelError for one that is missing, damaged or of another kind.
    """
    _require_tensorflow()
    from xaikit_keras._loading import load

    return load(Path(path), factory)


def _require_tensorflow() -> None:
    with _notices_hidden():
        import keras

    if keras.config.backend() != "tensorflow":
        raise ModelError(
            f"Keras runs on {keras.config.backend()!r} here; xaikit needs TensorFlow: "
            "set KERAS_BACKEND=tensorflow in the environment before keras is imported"
        )


@contextmanager
def _notices_hidden() -> Iterator[None]:
    """Keep from stderr what TensorFlow's libraries say while they load, before their log level counts."""
    if "tensorflow" in sys.modules or os.environ["TF_CPP_MIN_LOG_LEVEL"] in ("0", "1"):
        yield
        return
    with tempfile.TemporaryFile() as kept:
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            kept.seek(0)
            told = (line for line in kept if b"port.cc" not in line and b"absl::InitializeLog" not in line)
            os.write(2, b"".join(told))
