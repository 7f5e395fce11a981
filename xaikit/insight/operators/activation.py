"""Activation functions with their derivatives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution import parameter
from xaikit.errors import UnknownName
from xaikit.insight.operators._operation import Operation, operations
from xaikit.results._functions import ALPHA, LAMBDA, logistic, normal
from xaikit.results._functions import FUNCTIONS as PLAIN

Pointwise = Callable[[Array, float], Array]


@dataclass(frozen=True)
class Function:
    """A function of one number and the parameter `alpha`, with its derivative and its formula in words."""

    formula: str
    value: Pointwise
    derivative: Pointwise
    alpha: float = 1.0


def _plain(name: str) -> Pointwise:
    """Give the values of a function that has no parameter."""
    return lambda x, a: np.asarray(PLAIN[name].value(x))


def _bell(x: Array) -> Array:
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def _softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


def _mish_slope(x: Array) -> Array:
    t = np.tanh(_softplus(x))
    return t + x * (1 - t**2) * logistic(x)


def _between(x: Array, low: float, high: float) -> Array:
    return ((x > low) & (x < high)).astype(np.float64)


FUNCTIONS: Mapping[str, Function] = {
    "identity": Function("x", lambda x, a: x, lambda x, a: np.ones_like(x)),
    "step": Function("1 from 0 on, else 0", lambda x, a: np.where(x >= 0, 1.0, 0.0), lambda x, a: np.zeros_like(x)),
    "sigmoid": Function("1 / (1 + exp(−x))", _plain("sigmoid"), lambda x, a: logistic(x) * logistic(-x)),
    "tanh": Function("tanh x", _plain("tanh"), lambda x, a: 1 - np.tanh(x) ** 2),
    "arctan": Function("arctan x", lambda x, a: np.arctan(x), lambda x, a: 1 / (1 + x**2)),
    "softsign": Function("x / (1 + |x|)", _plain("softsign"), lambda x, a: (1 + np.abs(x)) ** -2),
    "relu": Function("max(0, x)", _plain("relu"), lambda x, a: np.where(x > 0, 1.0, 0.0)),
    "relu6": Function("min(max(0, x), 6)", _plain("relu6"), lambda x, a: _between(x, 0, 6)),
    "leaky-relu": Function(
        "x above 0, α·x below", lambda x, a: np.where(x > 0, x, a * x), lambda x, a: np.where(x > 0, 1.0, a), 0.01
    ),
    "prelu": Function(
        "x above 0, α·x below, α learned",
        lambda x, a: np.where(x > 0, x, a * x),
        lambda x, a: np.where(x > 0, 1.0, a),
        0.25,
    ),
    "elu": Function(
        "x above 0, α·(exp x − 1) below",
        lambda x, a: np.where(x > 0, x, a * np.expm1(np.minimum(x, 0))),
        lambda x, a: np.where(x > 0, 1.0, a * np.exp(np.minimum(x, 0))),
    ),
    "selu": Function(
        "λ·x above 0, λ·α·(exp x − 1) below, λ = 1.0507, α = 1.6733",
        _plain("selu"),
        lambda x, a: LAMBDA * np.where(x > 0, 1.0, ALPHA * np.exp(np.minimum(x, 0))),
    ),
    "softplus": Function("log(1 + exp x)", _plain("softplus"), lambda x, a: logistic(x)),
    "gelu": Function("x·Φ(x)", _plain("gelu"), lambda x, a: normal(x) + x * _bell(x)),
    "silu": Function(
        "x / (1 + exp(−x))",
        _plain("silu"),
        lambda x, a: logistic(x) * (1 + x * logistic(-x)),
    ),
    "mish": Function("x·tanh(log(1 + exp x))", lambda x, a: x * np.tanh(_softplus(x)), lambda x, a: _mish_slope(x)),
    "hard-sigmoid": Function("x/6 + 1/2, between 0 and 1", _plain("hard_sigmoid"), lambda x, a: _between(x, -3, 3) / 6),
    "hard-tanh": Function("x, between −1 and 1", _plain("hard_tanh"), lambda x, a: _between(x, -1, 1)),
    "hard-swish": Function(
        "x·(x/6 + 1/2), the factor between 0 and 1",
        lambda x, a: x * (x / 6 + 0.5).clip(0, 1),
        lambda x, a: np.where(x >= 3, 1.0, np.where(x <= -3, 0.0, x / 3 + 0.5)),
    ),
}
"""Where a function has a corner, its derivative is the one that frameworks take: 0 for relu at 0."""
DRAWN = 4.0
"""The curve is given from minus this to this at least."""


@operations("activation")
@dataclass(frozen=True, kw_only=True)
class Activation(Operation):
    """A function of every number by itself; `parts["derivative"]` is its slope there, and `parts["curve"]` (3, point)
    has x, the function and its derivative along the axis.

    Source: Goodfellow, Bengio and Courville (2016), Deep Learning, section 6.3; Dubey, Singh and Chaudhuri (2022),
    "Activation functions in deep learning", arXiv:2109.14545.
    """

    axes: ClassVar[Mapping[int, tuple[str, ...]]] = {
        **Operation.axes,
        5: ("sample", "depth", "height", "width", "channel"),
    }
    windows: ClassVar[bool] = False

    function: str = parameter("relu", f"one of {', '.join(FUNCTIONS)}", tuple(FUNCTIONS))
    alpha: float | None = parameter(None, "the parameter of leaky-relu (0.01), prelu (0.25) and elu (1)")

    def __post_init__(self) -> None:
        if self.function not in FUNCTIONS:
            raise UnknownName("activation function", self.function, FUNCTIONS)

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Apply the function, and its derivative."""
        function = FUNCTIONS[self.function]
        alpha = function.alpha if self.alpha is None else float(self.alpha)
        at = np.linspace(min(x.min(), -DRAWN), max(x.max(), DRAWN), 401)
        curve = np.stack([at, function.value(at, alpha), function.derivative(at, alpha)])
        slopes = np.asarray(function.derivative(x, alpha), np.float64)
        return {
            "output": function.value(x, alpha),
            "rule": "function",
            "parts": {"derivative": slopes, "curve": curve},
        }
