"""Networks from files: .keras, .h5, and weights alone. What could run code is found in the text and never built."""

import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

import xaikit_keras.layers  # noqa: F401  (makes the zoo's own layers known to Keras)
from xaikit import untrusted
from xaikit.errors import ModelError, UnsafeFile, XaikitError, not_there

CODE = frozenset(("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "__lambda__"))
"""Classes whose configuration holds or names a program: a Python function, a saved graph, a pickled module."""
LAMBDA_KEYS = frozenset(("function_type", "output_shape_type", "arguments_type"))
"""Keys under which Keras 2 wrote the compiled Python code of a Lambda layer."""


def load(path: Path, factory: Any) -> Any:
    """Load a network, or weights into the network that `factory()` builds."""
    if path.is_dir():
        raise ModelError(f"{path} is a folder, not a model file: save the network again as .keras")
    if not path.is_file():
        raise ModelError(not_there(path, "model file"))
    if path.name.endswith((".weights.h5", ".safetensors")):
        return _filled(path, factory)
    if path.suffix == ".keras":
        return _built(path, _keras_config(path))
    if path.suffix in (".h5", ".hdf5"):
        config = _h5_config(path)
        return _filled(path, factory) if config is None else _built(path, config)
    raise ModelError(f"{path.name} is none of .keras, .h5, .weights.h5 and .safetensors")


def _built(path: Path, config: Any) -> Any:
    _refuse_code(path, config)
    _refuse_unknown(path, config)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except XaikitError:
        raise
    except Exception as error:
        raise ModelError(f"{path.name} cannot be loaded: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:300]


def _keras_config(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            untrusted.refuse_bomb(archive, path.stat().st_size)
            return untrusted.jsonic(archive.read("config.json"))
    except Exception as error:  # zipfile raises many kinds for a damaged file
        raise ModelError(f"{path.name} is no Keras model file or is damaged: {_reason(error)}") from error


def _h5_config(path: Path) -> Any:
    """Give the configuration of a whole model, None for a file that holds only weights."""
    import h5py  # type: ignore[import-untyped]

    try:
        with h5py.File(path) as file:
            text = file.attrs.get("model_config")
            return None if text is None else untrusted.jsonic(text)
    except Exception as error:  # h5py raises many kinds for a damaged file
        raise ModelError(f"{path.name} is no HDF5 model file or is damaged: {_reason(error)}") from error


def _refuse_code(path: Path, config: Any) -> None:
    for part in _parts(config):
        names = {str(part.get(k)).rpartition(">")[2] for k in ("class_name", "registered_name") if part.get(k)}
        found = sorted(names & CODE)
        if found or LAMBDA_KEYS & set(part):
            what = (found or ["Lambda"])[0].strip("_")
            raise UnsafeFile(
                f"{path.name} holds a {what} layer, which can run any code while it is loaded; it was not opened. "
                "Build the network in your own code, load its weights, and wrap that"
            )


def _refuse_unknown(path: Path, config: Any) -> None:
    for part in _parts(config):
        name, module = part.get("registered_name"), str(part.get("module") or "")
        known = name is None or module.split(".")[0] in ("keras", "builtins") or part.get("class_name") == "function"
        if not known and keras.saving.get_registered_object(name) is None:
            raise ModelError(
                f"{path.name} holds {part.get('class_name')!r}, which is not known here: import the module that "
                "defines it with @keras.saving.register_keras_serializable() first"
            )


def _parts(config: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every mapping in a configuration, however deep."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _filled(path: Path, factory: Callable[[], Any] | None) -> Any:
    if factory is None:
        raise ModelError(
            f"{path.name} holds only weights: name the function that builds the network, factory = in a model.toml"
        )
    net = factory()
    if not isinstance(net, keras.Model):
        raise ModelError(f"the factory for {path.name} gave {type(net).__name__}, expected a keras.Model")
    try:
        if path.suffix == ".safetensors":
            _fill(net, path)
        else:
            net.load_weights(path)
    except XaikitError:
        raise
    except Exception as error:
        raise ModelError(f"the weights in {path.name} do not fit the network: {_reason(error)}") from error
    return net


def _fill(net: Any, path: Path) -> None:
    """Assign the arrays of a safetensors file, named "layer/weight", to the layers of those names."""
    from safetensors.numpy import load_file

    from xaikit_keras._weights import addressed

    values, known = load_file(path), addressed(net)
    missing = [n for n in known if n not in values] or [n for n in values if n not in known]
    if missing:
        where = "the file" if missing[0] in known else "the network"
        raise ModelError(f"the weights in {path.name} do not fit the network: {where} has no {missing[0]!r}")
    for name, variable in known.items():
        if tuple(variable.shape) != values[name].shape:
            raise ModelError(
                f"the weights in {path.name} do not fit the network: {name!r} has shape {values[name].shape}, "
                f"expected {tuple(variable.shape)}"
            )
        variable.assign(values[name])
