"""Layer-wise relevance propagation: closed forms, conservation, and captum's numbers."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

import xaikit as xk
from tests.contract.nets import image_pair, state_of
from xaikit.arrays import agreement
from xaikit.errors import NotSupported, ParameterError

captum = pytest.importorskip("captum.attr")
rules = pytest.importorskip("captum.attr._utils.lrp_rules")

PICTURES = np.random.default_rng(0).normal(size=(3, 2, 10, 12)).astype(np.float32)
ROWS = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)
THEIRS = {"epsilon": rules.EpsilonRule, "gamma": rules.GammaRule, "alpha1-beta0": rules.Alpha1_Beta0_Rule}


def ours(net: Any, x: Any, **how: Any) -> Any:
    how.setdefault("target", 0)
    return xk.explain(xk.wrap(net), x, "lrp", **how)


def dense(weights: Any, bias: Any = None) -> nn.Linear:
    layer = nn.Linear(len(weights[0]), len(weights), bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weights))
        if bias is not None:
            layer.bias.copy_(torch.tensor(bias))
    return layer


def test_shares_of_two_layers() -> None:
    """h = relu(2a + b, a - b), y = h1 + 3 h2 at (2, 1): y = 5 + 3; of 5 a has 4, of 3 a has 6 and b -3."""
    net = nn.Sequential(dense([[2.0, 1.0], [1.0, -1.0]]), nn.ReLU(), dense([[1.0, 3.0]]))
    assert_allclose(ours(net, np.float32([[2, 1]])).values, [[4 + 6, 1 - 3]], rtol=1e-6)


def test_gamma_and_alpha_beta_by_hand() -> None:
    """y = 3a - b at (2, 1): 5. With γ = 1 the shares are (6 · 2, -1) of 11, with w⁺ all is a's."""
    net = dense([[3.0, -1.0]])
    x = np.float32([[2, 1]])
    assert_allclose(ours(net, x, rule="gamma", gamma=1.0).values, [[5 * 12 / 11, -5 / 11]], rtol=1e-6)
    assert_allclose(ours(net, x, rule="alpha1-beta0").values, [[5, 0]], rtol=1e-6)
    assert_allclose(ours(net, x, epsilon=5.0).values, [[5 * 6 / 10, -5 / 10]], rtol=1e-6)


def test_without_biases_the_score_is_conserved() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(80, 2, bias=False)
    )
    found = ours(net, PICTURES)
    with torch.no_grad():
        assert_allclose(found.values.sum((1, 2, 3)), net(torch.tensor(PICTURES))[:, 0], rtol=1e-4, atol=1e-6)
    assert (found.quality["relevance_absorbed"] < 1e-3).all()


class Pictures(nn.Module):
    """What captum has rules for: it refuses a module that flattens."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.Sequential(
            *(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 2), nn.BatchNorm2d(6), nn.Tanh()),
            *(nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1)),
        )
        self.dense, self.relu, self.head = nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.relu(self.dense(self.parts(x).flatten(1))))


@pytest.mark.parametrize("rule", THEIRS)
def test_as_captum(rule: str) -> None:
    torch.manual_seed(0)
    net = Pictures().eval()
    found = ours(net, PICTURES, rule=rule, target=1)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.rule = THEIRS[rule]()
    theirs = captum.LRP(net).attribute(torch.tensor(PICTURES, requires_grad=True), target=1).detach().numpy()
    assert_allclose(found.values, theirs, rtol=1e-4, atol=1e-6 * max(1, np.abs(theirs).max()))


def test_a_sum_of_two_ways_divides_and_counts_nothing_twice() -> None:
    """y = relu(a) + a at 3: each way has half, together 6; the plain pass through both would give 12."""

    class Residual(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.relu(x) + x

    assert_allclose(ours(Residual(), np.float32([[3]])).values, [[6]], rtol=1e-6)


@pytest.mark.parametrize("rule", THEIRS)
def test_torch_equals_keras(rule: str) -> None:
    (a, x), (b, _) = image_pair("torch"), image_pair("keras")
    found = [xk.explain(m, x, "lrp", target=2, rule=rule).values for m in (a, b)]
    assert agreement(*found).max() <= 1e-4
    assert np.abs(found[0]).max() > 0


def test_a_product_of_two_values_is_refused_and_nothing_is_left() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            return x * torch.sigmoid(self.gate(x))

    model = xk.wrap(Gated().train(), inputs=xk.Array((4,)))
    before = state_of(model)
    with pytest.raises(NotSupported, match="multiply"):
        xk.explain(model, ROWS, "lrp", target=0)
    assert state_of(model) == before


@pytest.mark.parametrize("wrong", [{"rule": "zplus"}, {"epsilon": 0.0}, {"gamma": -1.0}])
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError):
        ours(dense([[1.0]]), np.float32([[1]]), **wrong)
