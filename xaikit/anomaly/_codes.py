"""Where a network holds its code: the narrow layer that all of a reconstruction is made from."""

from dataclasses import dataclass
from math import prod

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import NotSupported, UnknownName
from xaikit.model import Model

MEAN = ("mean", "z_mean", "mu", "fc_mu")
LOG_VARIANCE = ("log_variance", "z_log_var", "logvar", "log_var", "fc_logvar")
DRAWN = ("z", "sampling", "latent")
"""What people call the layers of a variational autoencoder."""


@dataclass(frozen=True)
class Code:
    """The layers of a variational code: its mean, the logarithm of its variance, and what was drawn from both.

    Where a network draws nothing outside training, z is the mean's layer.
    """

    mean: str
    log_variance: str
    z: str


def code_layer(model: Model) -> str:
    """Name the layer of the code: what is drawn of a variational one, else the narrowest; the last of several.

    Raises NotSupported for a network whose layers are not known or none of which is narrower than its input.
    """
    found = _variational(model)
    if found is not None:
        return found.mean
    known = {n: [s for s in v.shape if s is not None] for n, v in model.layers.items()}
    sizes = {n: prod(s) for n, s in known.items() if s and len(s) == len(model.layers[n].shape)}
    inputs = prod(s for s in model.inputs.shape if s)
    narrow = {n: s for n, s in sizes.items() if s < inputs}
    if not narrow:
        raise NotSupported(
            f"{model.name} has no layer that is narrower than its input, so no code; name it with layer="
        )
    smallest = min(narrow.values())
    return [n for n, s in narrow.items() if s == smallest][-1]


def decoding_layer(model: Model) -> str:
    """Name the layer that is replaced to decode a code: what a variational autoencoder has drawn, else the code."""
    found = _variational(model)
    return found.z if found is not None else code_layer(model)


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
            f"log_variance=, and z= where it is drawn, of {', '.join(model.layers) or 'a network with known layers'}"
        )
    known = found or Code(str(mean), str(log_variance), str(z or mean))
    return Code(mean or known.mean, log_variance or known.log_variance, z or known.z)


def _variational(model: Model) -> Code | None:
    last = {n.rpartition("/")[2].rpartition(".")[2].lower(): n for n in model.layers}
    mean, log_variance, z = (next((last[n] for n in names if n in last), None) for names in (MEAN, LOG_VARIANCE, DRAWN))
    return None if mean is None or log_variance is None else Code(mean, log_variance, z or mean)


def encode(model: Model, x: Array, layer: str | None = None) -> Array:
    """Give the codes of encoded samples at the layer: (sample, number), float64."""
    layer = layer or code_layer(model)
    z = model.run(x, at=(layer,)).activations[layer]
    return np.asarray(z, np.float64).reshape(len(z), -1)


def decode(model: Model, codes: Array, layer: str | None = None) -> Array:
    """Give what codes (sample, number) are decoded to, in the network's units: (sample, *input)."""
    layer = layer or decoding_layer(model)
    shape = [s for s in model.layers[layer].shape if s]
    blank = np.zeros((len(codes), *model.inputs.shape), np.float32)
    return np.asarray(model.run(blank, patch={layer: np.float32(codes).reshape(len(codes), *shape)}).output)
