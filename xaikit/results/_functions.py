"""Activation functions: their values, and where their outputs tell that a unit sits on a flat end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from xaikit.arrays import Array

NARROW = 0.05
"""The share of a function's steepest slope under which it counts as flat."""


@dataclass(frozen=True)
class Function:
    """An activation function of numbers; `flat` are the outputs from which on its ends are flat, low and high.

    There the slope is under a twentieth of the steepest, so that hardly any gradient comes through. `rectifies` says
    that it gives zero for all negative numbers: a unit that never exceeds zero is dead, and zero is no flat end.
    """

    value: Callable[[Array], Array]
    flat: tuple[float, float] = (-np.inf, np.inf)
    rectifies: bool = False


def logistic(z: Array) -> Array:
    """Give 1 / (1 + exp(-z)), also where exp(-z) is too large for a number."""
    from scipy.special import expit

    return np.asarray(expit(z))


def normal(z: Array) -> Array:
    """Give the distribution function of the standard normal distribution."""
    from scipy.special import ndtr

    return np.asarray(ndtr(z))


def _elu(z: Array) -> Array:
    return np.asarray(np.where(z > 0, z, np.expm1(np.minimum(z, 0))))


LAMBDA, ALPHA = 1.0507009873554805, 1.6732632423543772
"""The two constants of SELU: the fixed point of Klambauer et al. (2017), arXiv:1706.02515, equation 14."""
_HALF = 0.5 * (1 + np.sqrt(1 - NARROW))
"""Where σ(1 - σ) is NARROW / 4: the sigmoid's upper flat end; tanh is 2σ - 1."""

FUNCTIONS: Mapping[str, Function] = {
    "relu": Function(lambda z: np.maximum(z, 0), rectifies=True),
    "relu6": Function(lambda z: np.clip(z, 0, 6), (-np.inf, 6.0), rectifies=True),
    "leaky_relu": Function(lambda z: np.where(z > 0, z, 0.01 * z)),
    "elu": Function(_elu, (NARROW - 1, np.inf)),
    "selu": Function(lambda z: LAMBDA * np.where(z > 0, z, ALPHA * _elu(z)), (LAMBDA * ALPHA * (NARROW - 1), np.inf)),
    "sigmoid": Function(logistic, (1 - float(_HALF), float(_HALF))),
    "tanh": Function(np.tanh, (1 - 2 * float(_HALF), 2 * float(_HALF) - 1)),
    "hard_sigmoid": Function(lambda z: np.clip(z / 6 + 0.5, 0, 1), (0.0, 1.0)),
    "hard_tanh": Function(lambda z: np.clip(z, -1, 1), (-1.0, 1.0)),
    "softsign": Function(lambda z: z / (1 + np.abs(z)), (float(np.sqrt(NARROW)) - 1, 1 - float(np.sqrt(NARROW)))),
    "softplus": Function(lambda z: np.logaddexp(0, z), (float(-np.log1p(-NARROW)), np.inf)),
    "gelu": Function(lambda z: z * normal(z)),
    "silu": Function(lambda z: z * logistic(z)),
}
"""By the kind of the layer, or the name that a layer's configuration gives its own."""
ALIASES: Mapping[str, str] = {"hardtanh": "hard_tanh", "hardsigmoid": "hard_sigmoid", "swish": "silu"}


def function_named(name: str) -> str | None:
    """Give the name under which a function is known here; None for any other."""
    name = ALIASES.get(name, name)
    return name if name in FUNCTIONS else None
