"""The memory: whose answers are read, how keys are made, and one copy for all that is asked of a sample."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from xaikit.perturb.memory import MEMORY

X = np.random.default_rng(0).normal(size=(1, 6)).astype(np.float32)


@pytest.fixture(autouse=True)
def _empty():
    MEMORY.clear()


def wrapped(factor):
    return xk.wrap(lambda x: factor * x.sum(1, keepdims=True), inputs=xk.Array(6), version="1")


def test_a_network_with_the_same_fingerprint_is_asked_itself():
    one, other = wrapped(1.0), wrapped(-2.0)
    assert one.fingerprint() == other.fingerprint()
    xk.explain(one, X, "exact-shapley", target=0)
    found = xk.explain(other, X, "exact-shapley", target=0)
    assert_allclose(found.values, -2 * X, rtol=1e-5)
    assert xk.explain(one, X, "exact-shapley", target=0).origin.model_calls == 1


def test_networks_of_the_same_weights_and_another_forward_are_not_confused():
    torch = pytest.importorskip("torch")

    class Sum(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x)

    class Squared(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x) ** 2

    torch.manual_seed(0)
    one, other = Sum(6, 1), Squared(6, 1)
    other.load_state_dict(one.state_dict())
    first, second = (xk.wrap(net, inputs=xk.Array(6)) for net in (one, other))
    assert first.fingerprint() == second.fingerprint()
    xk.explain(first, X, "kernel-shap", target=0)
    found = xk.explain(second, X, "kernel-shap", target=0)
    ends = second.run(np.stack([X[0], 0 * X[0]])).output[:, 0]
    assert_allclose(found.values.sum(), ends[0] - ends[1], rtol=1e-4)


def test_changed_weights_are_asked_again_and_old_ones_are_remembered():
    torch = pytest.importorskip("torch")
    net = torch.nn.Linear(6, 1)
    model = xk.wrap(net, inputs=xk.Array(6))
    first = xk.explain(model, X, "lime", target=0, samples=40)
    kept = net.weight.detach().clone()
    with torch.no_grad():
        net.weight.mul_(3)
    assert xk.explain(model, X, "lime", target=0, samples=40).origin.model_calls > 20
    with torch.no_grad():
        net.weight.copy_(kept)
    again = xk.explain(model, X, "lime", target=0, samples=40)
    assert again.origin.model_calls == 1
    assert_array_equal(again.values, first.values)
