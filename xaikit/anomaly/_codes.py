"""Where a network holds its code: the narrow layer that all of a reconstruction is made from."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors
from xaikit.attribution._explain import require_wrapped
from xaikit.errors import ModelError, NotSupported, UnknownName
from xaikit.inputs import Reconstruction
from xaikit.model import Model

MEAN = ("mean", "z_mean", "mu", "fc_mu", "z_mu", "fc_mean")
LOG_VARIANCE = (
    *("log_variance", "z_log_var", "logvar", "log_var", "fc_logvar"),
    *("fc_log_var", "z_logvar", "z_log_variance", "fc_log_variance"),
)
DRAWN = ("z", "sampling", "latent", "z_sample", "sampler", "reparameterize")
"""What people call the layers of a variational autoencoder."""
NAMED = 12
"""How many layers an error lists."""
NOTHING = -100.0
"""The logarithm of a variance whose root, 2·10⁻²², moves no float32 code."""


@dataclass(frozen=True)
class Code:
    """The layers of a variational code: its mean, the logarithm of its variance, and what was drawn from both.

    Where a network draws nothing outside training, z is the mean's layer.
    """

    mean: str
    log_variance: str
    z: str


def require_one_input(model: Any, asked: str) -> None:
    """Raise NotSupported where a code would be decoded to several inputs, or to one of unknown shape."""
    require_wrapped(model, f"anomaly.latent.{asked}")
    if isinstance(model.inputs, Mapping) or not getattr(model.inputs, "shape", None):
        raise NotSupported(f"{model.name} has several inputs, or one of unknown shape: a code is decoded to one input")


def code_layer(model: Model) -> str:
    """Name the layer of the code: what is drawn of a variational one, else the narrowest; the last of several.

    Raises NotSupported for a network whose layers are not known or none of which is narrower than its input.
    """
    found = _variational(model)
    if found is not None:
        return found.mean
    inputs = prod(s for s in model.inputs.shape if s)
    narrow = {n: s for n, s in sizes(model).items() if s < inputs}
    if not narrow:
        raise NotSupported(
            f"{model.name} has no layer that is narrower than its input, so no code; name it with layer= (of a view: "
            "code=)"
        )
    smallest = min(narrow.values())
    return [n for n, s in narrow.items() if s == smallest][-1]


def sizes(model: Model) -> dict[str, int]:
    """Give how many numbers each layer has for a sample, where its whole shape is known."""
    known = {n: [s for s in v.shape if s is not None] for n, v in model.layers.items()}
    return {n: prod(s) for n, s in known.items() if s and len(s) == len(model.layers[n].shape)}


def coded(model: Model, code: "Code | str | None" = None) -> "Code | str":
    """Give the code that is asked for: the layers of a variational one, or the layer of another one.

    By default what the names of layers tell, else the narrowest layer. Raises UnknownName, NotSupported.
    """
    for name in (code.mean, code.log_variance, code.z) if isinstance(code, Code) else (code,) if code else ():
        if name not in model.layers:
            raise UnknownName(f"layer of {model.name}", name, model.layers)
    return code or _variational(model) or code_layer(model)


def where(code: "Code | str") -> str:
    """Name the layer whose values are the code of a sample: the mean of a variational one."""
    return code.mean if isinstance(code, Code) else code


def variational_at(model: Model, code: "Code | str") -> Code | None:
    """Give the variational code that has its mean at a layer, None where there is none."""
    if isinstance(code, Code):
        return code
    found = _variational(model)
    return found if found is not None and found.mean == code else None


def variational(model: Model, mean: str | None = None, log_variance: str | None = None, z: str | None = None) -> Code:
    """Find the layers of a variational code, or take those named.

    Raises UnknownName, and NotSupported for a network that has none.
    """
    for name in filter(None, (mean, log_variance, z)):
        if name not in model.layers:
            raise UnknownName(f"layer of {model.name}", name, model.layers)
    found = _variational(model)
    named = mean and log_variance
    if found is None and not named:
        raise NotSupported(
            f"{model.name} is no variational autoencoder, as far as the names of its layers tell; give mean= and "
            "log_variance=, and z= where it is drawn (to a view: code=latent.Code(mean, log_variance, z)), of "
            f"{_some(list(model.layers))}"
        )
    known = found or Code(str(mean), str(log_variance), str(z or mean))
    return Code(mean or known.mean, log_variance or known.log_variance, z or known.z)


def _some(names: list[str]) -> str:
    """List the first names; all of a deep network would hide what is said of them."""
    if not names:
        return "a network with known layers"
    return ", ".join(names[:NAMED]) + (f", ... ({len(names)} in all)" if len(names) > NAMED else "")


def _variational(model: Model) -> Code | None:
    last = {n.rpartition("/")[2].rpartition(".")[2].lower(): n for n in model.layers}
    mean, log_variance, z = (next((last[n] for n in names if n in last), None) for names in (MEAN, LOG_VARIANCE, DRAWN))
    return None if mean is None or log_variance is None else Code(mean, log_variance, z or mean)


def encode(model: Model, x: Tensors, layer: str | None = None) -> Array:
    """Give the codes of encoded samples at the layer: (sample, number), float64."""
    layer = layer or code_layer(model)
    z = model.run(x, at=(layer,)).activations[layer]
    return np.asarray(z, np.float64).reshape(len(z), -1)


def decode(model: Model, codes: Array, code: Code | str | None = None) -> Array:
    """Give what codes (sample, number) are decoded to, in the network's units: (sample, *input).

    Where a network draws from its code without a layer for it, the variance is set to almost nothing, so that what is
    decoded is the mean. Raises ModelError for a code of another size than the layer has.
    """
    known = coded(model, code)
    layer = known.z if isinstance(known, Code) else known
    shape = [s for s in model.layers[layer].shape if s]
    if prod(shape) != codes.shape[1]:
        raise ModelError(f"the layer {layer} has {prod(shape)} numbers, and codes have {codes.shape[1]}")
    patch: dict[str, Array] = {layer: np.float32(codes).reshape(len(codes), *shape)}
    if isinstance(known, Code) and known.z == known.mean:
        patch |= nothing(model, known.log_variance)
    blank = np.zeros((len(codes), *model.inputs.shape), np.float32)
    return given_back(model, model.run(blank, patch=patch).output)


def reconstructed(model: Model, x: Array) -> Array:
    """Give what comes back of encoded samples: (sample, *input); of a variational code what its mean is decoded to."""
    known = _variational(model) if "patch" in model.can else None
    return given_back(model, model.run(x, patch={} if known is None else nothing(model, known.log_variance)).output)


def nothing(model: Model, layer: str) -> dict[str, Array]:
    """Give the patch that makes a variance almost nothing, `layer` holding its logarithm."""
    return {layer: np.full((1, *(s for s in model.layers[layer].shape if s)), NOTHING, np.float32)}


def given_back(model: Model, output: Any, name: str | None = None) -> Array:
    """Take the reconstruction of a network's output: of several the one named, or said to be one, else the first.

    Numbers in one row are brought to the shape of the input, in the network's own order. Raises NotSupported where
    there are not as many as the input has.
    """
    outputs = dict(output) if isinstance(output, Mapping) else {"": output}
    specs = model.outputs if isinstance(model.outputs, Mapping) else {}
    said = [n for n in outputs if isinstance(specs.get(n), Reconstruction)]
    found = [name] if name is not None else said or list(outputs)
    wanted = prod(s for s in model.inputs.shape if s)
    fitting = [a for a in (np.asarray(outputs[n]) for n in found) if prod(a.shape[1:]) == wanted]
    if not fitting:
        given = ", ".join(str(("sample", *np.shape(outputs[n])[1:])) for n in found)
        raise NotSupported(f"{model.name} does not give its input again: it gives {given} for {model.inputs.shape}")
    back, shape = fitting[0], tuple(model.inputs.shape)
    if _flattened(model, back.shape[1:]):
        return np.moveaxis(back.reshape(len(back), shape[-1], *shape[:-1]), 1, -1)
    return back.reshape(len(back), *shape)


def taken_back(model: Model, x: Array, shape: tuple[int, ...]) -> Array:
    """Bring what is shaped like the input to an output's `shape`, the reverse of `given_back`."""
    flat = np.moveaxis(x, -1, 1) if _flattened(model, shape[1:]) else x
    return flat.reshape(len(x), *shape[1:])


def _flattened(model: Model, shape: tuple[int, ...]) -> bool:
    """Whether an output holds the channels of its input one after the other, in one row."""
    return getattr(model, "layout", None) == "channels-first" and len(shape) == 1 < len(model.inputs.shape)
