"""Backward rules: what a ReLU lets through on the way back.

The rule sits on the nodes of one autograd graph, which is thrown away after the pull: modules, functions, in-place
calls and modules called twice are all the same there, and nothing is left on the network.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch

from xaikit.errors import NotSupported
from xaikit.graph import between
from xaikit.model import Rule
from xaikit_torch._private import gradient_node, saved

Node = Any
Hook = Callable[[tuple[torch.Tensor | None, ...], tuple[torch.Tensor | None, ...]], Any]

LOWER_BOUND = {
    "ClampMinBackward0": "min",
    "ClampBackward0": "min",
    "ClampBackward1": "min",
    "HardtanhBackward0": "min_val",
}
"""Functions that are a ReLU, with or without a ceiling, where they are bounded by zero from below."""
HIDING = ("CheckpointFunctionBackward",)
"""Functions that run a part of the network again on the way back, in a graph that is not there yet."""


def put_rule(rule: Rule, values: Iterable[torch.Tensor], sources: Iterable[torch.Tensor], name: str) -> None:
    """Put a rule on every ReLU between the sources and the values.

    "guided": a ReLU lets back what its derivative lets back, and of that what is positive (Springenberg et al. 2015);
    "deconvnet": what is positive, wherever the ReLU was closed (Zeiler and Fergus 2014). The ceiling of a ReLU6 stays
    in force under "guided". Raises NotSupported where there is no ReLU, since the pull would be the plain gradient.
    """
    passed = _passed(values, sources)
    hiding = next((n.name() for n in passed if n.name().endswith(HIDING)), None)
    if hiding is not None:
        raise NotSupported(
            f"{name} runs parts again on the way back ({hiding}), which hides their ReLUs from the rule {rule!r}: "
            "use torch.utils.checkpoint with use_reentrant=False"
        )
    rectifiers = [n for n in passed if _rectifies(n)]
    if not rectifiers:
        raise NotSupported(
            f"{name} has no ReLU on this way, so the rule {rule!r} would give the plain gradient; "
            "use saliency, smooth-grad, integrated-gradients or grad-cam"
        )
    for node in rectifiers:
        node.register_hook(_HOOKS[rule])


def _passed(values: Iterable[torch.Tensor], sources: Iterable[torch.Tensor]) -> list[Node]:
    """List the nodes on a way from a value back to a source."""
    starts = [t.grad_fn for t in values if t.grad_fn is not None]
    return between(starts, [gradient_node(t) for t in sources if t.requires_grad], _earlier)


def _earlier(node: Node) -> list[Node]:
    return [n for n, _ in node.next_functions if n is not None]


def _rectifies(node: Node) -> bool:
    kind = node.name()
    if kind == "ReluBackward0":
        return True
    bound = saved(node, LOWER_BOUND[kind]) if kind in LOWER_BOUND else None
    return bound is not None and not torch.as_tensor(bound).any()


def _guided(gradients: tuple[torch.Tensor | None, ...], cotangents: tuple[torch.Tensor | None, ...]) -> Any:
    return (_positive(gradients[0]), *gradients[1:])


def _deconvnet(gradients: tuple[torch.Tensor | None, ...], cotangents: tuple[torch.Tensor | None, ...]) -> Any:
    return (_positive(cotangents[0]), *gradients[1:])


def _positive(t: torch.Tensor | None) -> torch.Tensor | None:
    return None if t is None else t.clamp(min=0)


_HOOKS: dict[str, Hook] = {"guided": _guided, "deconvnet": _deconvnet}
