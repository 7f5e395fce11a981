"""What the methods with a rule for ReLUs share: which activations a network has, and what that means for them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from xaikit.attribution._method import Map, Method, Task, methods
from xaikit.errors import NotSupported
from xaikit.graph import Layer
from xaikit.inputs import Raw
from xaikit.model import Model, Rule

RELUS = frozenset(("relu", "relu6"))
OWN = frozenset(
    (
        *("leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "swish", "mish", "hard_swish"),
        *("hardswish", "hard_silu", "softplus", "softsign", "tanh", "sigmoid", "hard_sigmoid", "hardsigmoid"),
        *("hard_tanh", "hardtanh", "threshold", "glu", "log_sigmoid", "logsigmoid", "exponential", "squareplus"),
        *("hardshrink", "softshrink", "tanhshrink", "lstm", "gru", "rnn"),
    )
)
"""Activations that are no ReLU, and layers with such inside: on the way back they do what their derivative says."""
UNTOLD = frozenset(("clamp", "clip", "hardtanh", "rnn", "block", "scripted", "attention", "maximum"))
"""Layers that may hold a ReLU without saying so."""


@dataclass(frozen=True, kw_only=True)
class Rectified(Method):
    """The gradient at the input under a rule for the network's ReLUs; a subclass names the rule."""

    score: ClassVar = "logit"
    tokens: ClassVar = "norm"
    rule: ClassVar[Rule]

    @classmethod
    def examine(cls, model: Model) -> str:
        super().examine(model)
        return "" if isinstance(model.inputs, Raw) else remark(model)

    def __call__(self, task: Task) -> Map:
        return Map(task.pull(task.x, rule=self.rule).gradient, notes=notes(task.model))


def remark(model: Model) -> str:
    """Say which activations keep their own gradient. Raises NotSupported if there is plainly no ReLU."""
    kinds = [kind for layer in model.layers.values() for kind in kinds_of(layer)]
    own = own_gradients(model)
    if not RELUS & set(kinds) and not any(_untold(layer) for layer in model.layers.values()):
        there = f" but {', '.join(own)}" if own else ""
        able = ", ".join(
            n for n, m in methods.items() if m.needs <= model.can and not any(w.startswith("rule:") for w in m.needs)
        )
        raise NotSupported(
            f"{model.name} has no ReLU{there}, so the rule for ReLUs would give the plain gradient; use {able}"
        )
    return f"{', '.join(own)} keep their own gradient" if own else ""


def _untold(layer: Layer) -> bool:
    """Whether a layer may hold a ReLU without saying so; PyTorch's plain recurrent layers say it as their mode."""
    told = isinstance(layer.config.get("activation"), str) or layer.config.get("mode") == "RNN_TANH"
    return layer.kind in UNTOLD and not told


def own_gradients(model: Model) -> list[str]:
    """Name the kinds of activations, in call order, to which no rule applies; the function at the end is none."""
    layers = list(model.layers.values())
    kinds = [kind for layer in layers[:-1] for kind in kinds_of(layer)]
    return list(dict.fromkeys(kind for kind in kinds if kind in OWN))


def notes(model: Model) -> dict[str, list[str]]:
    """Give what is worth recording of the activations."""
    own = own_gradients(model)
    return {"own_gradient": own} if own else {}


def kinds_of(layer: Layer) -> Iterator[str]:
    """A layer's kind, and that of the activation inside it."""
    yield layer.kind
    if isinstance(inside := layer.config.get("activation"), str):
        yield inside
