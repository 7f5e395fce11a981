"""The contract of adapters, on the adapters of the project, on a plain function, and on adapters that break it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import xaikit as xk
from tests.contract.nets import ADAPTERS, image_pair, linear_net
from xaikit.errors import NotSupported
from xaikit.graph import Layer
from xaikit.model import CallableModel, Pull, Run
from xaikit.testing import CHECKS, adapter_contract

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("framework", ADAPTERS)
def test_adapters_keep_it(framework: str) -> None:
    model, x = image_pair(framework)
    assert adapter_contract(model, model.inputs.encode(x)) == set(CHECKS)
    model, _ = linear_net(framework)
    assert adapter_contract(model, np.eye(4, dtype=np.float32) + 1) == set(CHECKS)


def test_a_plain_function_keeps_what_it_can() -> None:
    model = xk.wrap(lambda a: a @ np.eye(3)[:, :2], inputs=xk.Array((3,)), outputs=xk.Values(["a", "b"]))
    served = adapter_contract(model, np.eye(3, dtype=np.float32))
    assert served == {"run", "scores", "refusals", "methods"}


class Squares(CallableModel):
    """x² by one layer, and everything that an adapter supplies: the classes below break one promise each."""

    framework = "squares"
    can = frozenset({"run", "pull", "patch"})

    def __init__(self) -> None:
        super().__init__(np.square, inputs=xk.Array((3,)), outputs=xk.Values(3), name="squares")

    def _read_layers(self) -> Mapping[str, Layer]:
        return {"square": Layer("square", "square", ("sample", "channel"), (3,), ("input",))}

    def _forward(self, x: Any, at: tuple[str, ...], patch: Mapping[str, Any], score: Any) -> Run:
        y = np.array(np.broadcast_to(patch.get("square", np.square(x)), x.shape))
        return Run(y, dict.fromkeys(at, y))

    def _backward(self, x: Any, seed: Any, of: Any, wrt: Any, patch: Any, rule: Any, score: Any) -> Pull:
        value = np.square(x)
        return Pull(value, x, 2 * x * (seed(value) if callable(seed) else seed))

    def fingerprint(self) -> str:
        return "0" * 64


def broken(**changed: Any) -> Any:
    return type("Broken", (Squares,), changed)()


def _changes_its_input(self: Any, x: Any, *rest: Any) -> Run:
    found = Squares._forward(self, x.copy(), *rest)
    x[-1] += 1
    return found


def _by_batch(self: Any, x: Any, *rest: Any) -> Run:
    return Squares._forward(self, x - x.mean(0, keepdims=True), *rest)


def _deaf_to_patches(self: Any, x: Any, at: Any, patch: Any, score: Any) -> Run:
    return Run(np.square(x), {n: patch.get(n, np.square(x)) for n in at})


def _half(self: Any, x: Any, seed: Any, *rest: Any) -> Pull:
    right = Squares._backward(self, x, seed, *rest)
    return Pull(right.value, right.source, right.gradient / 2)


def _zeros(self: Any, x: Any, seed: Any, **how: Any) -> Pull:
    return Pull(x, x, np.zeros_like(x))


BREACHES = {
    "the same batch gives the same output again|the input is left": {"_forward": _changes_its_input},
    "a sample gives alone what it gives in a batch": {"_forward": _by_batch},
    "reach the layers that read it|patched with": {"_forward": _deaf_to_patches},
    "the derivative of the output: it is off by": {"_backward": _half},
    "a gradient that there is not is NotSupported": {"can": frozenset({"run"}), "pull": _zeros},
    "says the shape": {"_read_layers": lambda self: {"s": Layer("s", "square", ("sample", "channel"), (4,))}},
    "a fingerprint is a SHA-256": {"fingerprint": lambda self: "v1"},
    "a fingerprint stays": {"fingerprint": lambda self: f"{np.random.default_rng().integers(2**60):064x}"},
    "`can` names 'run'": {"can": frozenset({"pull"})},
}


def test_one_that_keeps_everything_passes() -> None:
    assert adapter_contract(Squares(), np.arange(6, dtype=np.float32).reshape(2, 3)) == set(CHECKS)


@pytest.mark.parametrize("clause", BREACHES)
def test_each_breach_is_named(clause: str) -> None:
    with pytest.raises(AssertionError, match=clause):
        adapter_contract(broken(**BREACHES[clause]), np.arange(6, dtype=np.float32).reshape(2, 3))


def test_a_refusal_that_names_no_version_is_a_breach() -> None:
    def fingerprint(self: Any) -> str:
        raise NotSupported("there is none")

    with pytest.raises(AssertionError, match="how to give a version"):
        adapter_contract(broken(fingerprint=fingerprint), np.arange(6, dtype=np.float32).reshape(2, 3))
