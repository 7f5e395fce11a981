"""Networks with several named outputs: the one that is meant is named, and gives what it gives alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.tabular.models import normal
from xaikit.errors import InputError, TargetError

A, B = np.random.default_rng(0).normal(size=(2, 4, 3))
RISK = xk.Classes(["low", "middle", "high"], form="softmax")
COST = xk.Values(["cost", "delay"])


def risk(x: Any) -> Any:
    z = np.asarray(x, np.float64)
    e = np.exp(z @ A + (z[:, :1] * z[:, 1:2]) @ B[:1])
    return e / e.sum(1, keepdims=True)


def cost(x: Any) -> Any:
    z = np.asarray(x, np.float64)
    return np.stack([z[:, 0] * z[:, 1] + 3 * z[:, 2], z[:, 3] - z[:, 0]], 1)


def both() -> Any:
    return xk.wrap(
        lambda x: {"risk": risk(x), "cost": cost(x)}, inputs=xk.Array((4,)), outputs={"risk": RISK, "cost": COST}
    )


def alone(name: str) -> Any:
    function: Callable[[Any], Any] = {"risk": risk, "cost": cost}[name]
    return xk.wrap(function, inputs=xk.Array((4,)), outputs={"risk": RISK, "cost": COST}[name])


X = normal(60, 4)
Y = {"risk": np.random.default_rng(1).integers(0, 3, 60), "cost": cost(X) + 0.3}


@pytest.mark.parametrize("name", ["risk", "cost"])
@pytest.mark.parametrize("target", [lambda n: xk.At(output=n), lambda n: n])
def test_importance(name: str, target: Any) -> None:
    found = xk.importance(both(), X, Y[name], repeats=3, target=target(name))
    expected = xk.importance(alone(name), X, Y[name], repeats=3)
    assert_allclose(found.losses, expected.losses, rtol=1e-6)
    assert_allclose(found.by_output, expected.by_output, rtol=1e-6)
    assert found.loss == expected.loss
    assert found.outputs == tuple(f"{name}: {n}" for n in expected.outputs)
    assert_array_equal(xk.importance(both(), X, Y, repeats=3, target=target(name)).losses, found.losses)


@pytest.mark.parametrize("interactions", [False, True])
def test_break_down(interactions: bool) -> None:
    found = xk.break_down(both(), X, X[:3], xk.At(output="risk"), interactions)
    expected = xk.break_down(alone("risk"), X, X[:3], interactions=interactions)
    assert found.variables == expected.variables
    assert_allclose(found.contributions, expected.contributions, atol=1e-7)
    assert_allclose(found.every, expected.every, atol=1e-7)
    assert found.targets == tuple(f"risk: {t}" for t in expected.targets)
    delay = xk.break_down(both(), X, X[0], xk.At(output="cost", index="delay"))
    assert_allclose(delay.contributions, xk.break_down(alone("cost"), X, X[0], "delay").contributions, atol=1e-6)
    assert delay.score == "output"
    assert found.score == "probability"
    with pytest.raises(TargetError, match="choose one as target: cost: cost, cost: delay"):
        xk.break_down(both(), X, X[0], xk.At(output="cost"))


@pytest.mark.parametrize("kind", ["partial-dependence", "ceteris-paribus", "ale"])
def test_profile(kind: str) -> None:
    for name in ("risk", "cost"):
        found = xk.profile(both(), X, ["0", ("0", "1")], kind, grid=5, target=xk.At(output=name))
        expected = xk.profile(alone(name), X, ["0", ("0", "1")], kind, grid=5)
        for one, other in zip(found, expected, strict=True):
            assert_allclose(one.values, other.values, atol=1e-6)
    single = xk.profile(both(), X, "0", kind, grid=5, target=xk.At(output="cost", index="delay"))
    assert single.outputs == ("cost: delay",)
    assert_allclose(single.values[0], xk.profile(alone("cost"), X, "0", kind, grid=5).values[1], atol=1e-6)


def test_what_if_and_counterfactuals() -> None:
    found = xk.what_if(both(), X, X[0], {"0": 2.0, "2": 1.0}, xk.At(output="risk"))
    expected = xk.what_if(alone("risk"), X, X[0], {"0": 2.0, "2": 1.0})
    assert_allclose(found.after, expected.after, atol=1e-7)
    assert found.target == f"risk: {expected.target}"
    for name, wanted, outer in (
        ("risk", "high", xk.At(output="risk", index="high")),
        ("cost", ("delay", 2.0, None), (xk.At(output="cost", index="delay"), 2.0, None)),
    ):
        one = xk.counterfactuals(both(), X, X[1], outer)
        other = xk.counterfactuals(alone(name), X, X[1], wanted)
        assert one.changes == other.changes
        assert_allclose(one.scores, other.scores, atol=1e-6)
        assert len(one.scores)
    with pytest.raises(TargetError, match="risk, cost"):
        xk.counterfactuals(both(), X, X[1], (0.0, 1.0))
    with pytest.raises(TargetError, match="risk, cost"):
        xk.counterfactuals(both(), X, X[1], "high")


def test_fairness() -> None:
    by = np.where(X[:, 3] > 0, "new", "old")
    found = xk.fairness(both(), X, Y, by, target=xk.At(output="risk", index="high"))
    expected = xk.fairness(alone("risk"), X, Y["risk"], by, positive="high")
    assert_allclose(found.values, expected.values, atol=1e-7)
    assert found.positive == "risk: high"
    delay = xk.fairness(both(), X, Y, by, target=xk.At(output="cost", index="delay"))
    assert_allclose(delay.of("mean error")["new"][0], -0.3, atol=1e-6)
    error = cost(X)[by == "old", 1] - Y["cost"][by == "old", 1]
    assert_allclose(delay.of("mean absolute error")["old"][0], np.abs(error).mean(), atol=1e-6)
    assert_allclose(delay.values, xk.fairness(alone("cost"), X, Y["cost"], by, target="delay").values, atol=1e-6)
    with pytest.raises(TargetError, match="choose one as target"):
        xk.fairness(both(), X, Y, by, target=xk.At(output="cost"))


def test_one_name_needs_no_choice() -> None:
    model = xk.wrap(lambda x: {"risk": risk(x)}, inputs=xk.Array((4,)), outputs={"risk": RISK})
    found = xk.importance(model, X, Y["risk"], repeats=2)
    assert_allclose(found.losses, xk.importance(alone("risk"), X, Y["risk"], repeats=2).losses, rtol=1e-6)
    assert xk.break_down(model, X, X[0], "high").targets == ("risk: high",)
    assert xk.profile(model, X, "0", target="high").outputs == ("risk: high",)


@pytest.mark.parametrize(
    "ask",
    [
        lambda m, t: xk.importance(m, X, Y["risk"], target=t),
        lambda m, t: xk.break_down(m, X, X[0], t),
        lambda m, t: xk.profile(m, X, "0", target=t),
        lambda m, t: xk.what_if(m, X, X[0], {"0": 1.0}, t),
        lambda m, t: xk.fairness(m, X, Y["risk"], np.arange(60) % 2, target=t),
    ],
)
def test_what_is_not_clear_is_asked(ask: Any) -> None:
    with pytest.raises(TargetError, match=r"has the outputs risk, cost: choose one, xk\.At\(output='risk'\)"):
        ask(both(), None)
    with pytest.raises(TargetError, match=r"no output 'rsk'.*risk"):
        ask(both(), xk.At(output="rsk"))


def test_a_loss_is_of_a_whole_output_and_its_own_truth() -> None:
    with pytest.raises(TargetError, match="whole output"):
        xk.importance(both(), X, Y["risk"], target=xk.At(output="risk", index="high"))
    with pytest.raises(InputError, match="y is of cost"):
        xk.importance(both(), X, {"cost": Y["cost"]}, target="risk")
