"""The rules for ReLUs, on every way that torch has to write one."""

import gc
import threading

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn
from torch.nn import functional as F

import xaikit as xk
from xaikit.errors import NotSupported

pytestmark = pytest.mark.slow

X = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
SEED = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)


class Net(nn.Module):
    """Two linear layers with the given function between them."""

    def __init__(self, function):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(5, 6), nn.Linear(6, 3)
        self.function = function

    def forward(self, x):
        return self.last(self.function(self.first(x)))


def wrapped(net, **described):
    return xk.wrap(net, inputs=xk.Array((5,)), outputs=xk.Values(list("abc")), **described)


def by_hand(net, rule, ceiling=np.inf):
    """The pull through `Net`, worked out on its matrices."""
    first, last = (net.first, net.last)
    hidden = X @ first.weight.detach().numpy().T + first.bias.detach().numpy()
    back = SEED @ last.weight.detach().numpy()
    gate = np.ones_like(hidden) if rule == "deconvnet" else (hidden > 0) & (hidden < ceiling)
    return np.maximum(back, 0) * gate @ first.weight.detach().numpy()


SPELLINGS = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "functional": F.relu,
    "functional in place": lambda x: F.relu(x, inplace=True),
    "torch": torch.relu,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "clamp": lambda x: x.clamp(min=0),
    "clamp in place": lambda x: x.clamp_(0),
    "torch.clamp": lambda x: torch.clamp(x, min=0.0),
    "clamp_min": lambda x: torch.clamp_min(x, 0),
    "clamp by a tensor": lambda x: torch.clamp(x, min=torch.zeros(())),
}


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_relu_follows_the_rule(spelling, rule):
    net = Net(SPELLINGS[spelling])
    pulled = wrapped(net).pull(X, SEED, rule=rule)
    assert_allclose(pulled.gradient, by_hand(net, rule), rtol=1e-5, atol=1e-6)
    assert not np.allclose(pulled.gradient, wrapped(net).pull(X, SEED).gradient)


@pytest.mark.parametrize("six", [nn.ReLU6(), nn.ReLU6(inplace=True), F.relu6, lambda x: x.clamp(0, 6)])
def test_a_relu6_keeps_its_ceiling(six):
    net = Net(six)
    with torch.no_grad():
        net.first.weight.mul_(10)
    pulled = wrapped(net).pull(X, SEED, rule="guided")
    assert_allclose(pulled.gradient, by_hand(net, "guided", ceiling=6), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "function",
    [nn.GELU(), nn.SiLU(), nn.LeakyReLU(), nn.Tanh(), nn.Identity(), nn.Hardtanh(), lambda x: x.clamp(min=-1), F.elu],
)
@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_without_a_relu_the_rule_is_refused(function, rule):
    with pytest.raises(NotSupported, match=r"no ReLU on this way.*plain gradient; use saliency"):
        wrapped(Net(function)).pull(X, SEED, rule=rule)


def test_a_relu_over_weights_is_none_of_the_networks_own():
    """Only what stands between the input and the output counts."""

    class Positive(Net):
        def forward(self, x):
            return self.last(F.gelu(F.linear(x, F.relu(self.first.weight))))

    with pytest.raises(NotSupported, match="no ReLU"):
        wrapped(Positive(None)).pull(X, SEED, rule="guided")


def test_a_module_called_twice_follows_the_rule_twice():
    relu = nn.ReLU()

    class Twice(Net):
        def __init__(self):
            super().__init__(relu)
            self.middle = nn.Linear(6, 6)

        def forward(self, x):
            return self.last(relu(self.middle(relu(self.first(x)))))

    net = Twice()
    w = [m.weight.detach().numpy() for m in (net.first, net.middle, net.last)]
    b = [m.bias.detach().numpy() for m in (net.first, net.middle)]
    one = X @ w[0].T + b[0]
    two = np.maximum(one, 0) @ w[1].T + b[1]
    back = np.maximum(np.maximum(SEED @ w[2], 0) * (two > 0) @ w[1], 0) * (one > 0) @ w[0]
    assert_allclose(wrapped(net).pull(X, SEED, rule="guided").gradient, back, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_half_precision_follows_the_rule(rule):
    net = Net(nn.ReLU())
    expected = by_hand(net, rule)
    found = wrapped(net.half()).pull(X, SEED, rule=rule).gradient
    assert found.dtype == np.float32
    assert_allclose(found, expected, atol=2e-3)  # float16 keeps 11 bits


def test_the_pull_to_a_layer_follows_the_rule():
    net = Net(nn.ReLU())
    hidden = X @ net.first.weight.detach().numpy().T + net.first.bias.detach().numpy()
    back = np.maximum(SEED @ net.last.weight.detach().numpy(), 0) * (hidden > 0)
    assert_allclose(wrapped(net).pull(X, SEED, wrt="first", rule="guided").gradient, back, rtol=1e-5, atol=1e-6)
    with pytest.raises(NotSupported, match="no ReLU on this way"):
        wrapped(net).pull(X, SEED, wrt="function", rule="guided")


def test_the_feed_forward_part_of_a_transformer_follows_the_rule():
    torch.manual_seed(0)
    net = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.Flatten(), nn.Linear(24, 2))
    model = xk.wrap(net, inputs=xk.Array((3, 8)), outputs=xk.Values(list("ab")))
    x = np.random.default_rng(0).normal(size=(2, 3, 8)).astype(np.float32)
    seed = np.ones((2, 2), np.float32)
    guided, plain = model.pull(x, seed, rule="guided").gradient, model.pull(x, seed).gradient
    assert np.isfinite(guided).all()
    assert not np.allclose(guided, plain)


def test_a_recurrent_network_of_relus_follows_the_rule():
    torch.manual_seed(0)

    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.RNN(2, 3, nonlinearity="relu", batch_first=True)

        def forward(self, x):
            return self.rnn(x)[0][:, -1]

    net = Steps()
    x = np.random.default_rng(0).normal(size=(2, 4, 2)).astype(np.float32)
    seed = np.random.default_rng(1).normal(size=(2, 3)).astype(np.float32)
    found = xk.wrap(net, inputs=xk.Series(4, 2), outputs=xk.Values(list("abc"))).pull(x, seed, rule="guided").gradient
    w, u = net.rnn.weight_ih_l0.detach().numpy(), net.rnn.weight_hh_l0.detach().numpy()
    bias = (net.rnn.bias_ih_l0 + net.rnn.bias_hh_l0).detach().numpy()
    h, before = np.zeros((2, 3)), []
    for t in range(4):
        before.append(x[:, t] @ w.T + h @ u.T + bias)
        h = np.maximum(before[-1], 0)
    back, expected = seed, np.zeros_like(x)
    for t in reversed(range(4)):
        back = np.maximum(back, 0) * (before[t] > 0)
        expected[:, t] = back @ w
        back = back @ u
    assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning")
def test_a_checkpointed_part_that_hides_its_relus_is_refused():
    from torch.utils.checkpoint import checkpoint

    relu = nn.Sequential(nn.Linear(6, 6), nn.ReLU())
    hidden = Net(lambda x: F.relu(checkpoint(relu, x, use_reentrant=True)))
    with pytest.raises(NotSupported, match="use_reentrant=False"):
        wrapped(hidden).pull(X, SEED, rule="guided")
    seen = Net(lambda x: F.relu(checkpoint(relu, x, use_reentrant=False)))
    plain = Net(lambda x: F.relu(relu(x)))
    found, expected = (wrapped(n).pull(X, SEED, rule="guided").gradient for n in (seen, plain))
    assert_allclose(found, expected, rtol=1e-6)


def test_nothing_stays_on_the_network_and_plain_pulls_are_as_before():
    net = Net(nn.ReLU())
    model = wrapped(net)
    before = model.pull(X, SEED).gradient
    model.pull(X, SEED, rule="guided")
    with pytest.raises(ValueError, match="on purpose"):
        model.pull(X, lambda value: (_ for _ in ()).throw(ValueError("on purpose")), rule="guided")
    assert_array_equal(model.pull(X, SEED).gradient, before)
    assert not any(m._forward_hooks or m._backward_hooks or m._forward_pre_hooks for m in net.modules())
    assert all(p.grad is None for p in net.parameters())


def test_pulls_by_several_rules_at_once_do_not_meet():
    """Two wrapped models share one network; each pull has a graph of its own."""
    net = Net(nn.ReLU())
    models = {rule: wrapped(net) for rule in (None, "guided", "deconvnet")}
    alone = {rule: m.pull(X, SEED, rule=rule).gradient for rule, m in models.items()}
    wrong = []

    def pull(rule):
        for _ in range(50):
            if not np.array_equal(models[rule].pull(X, SEED, rule=rule).gradient, alone[rule]):
                wrong.append(rule)

    threads = [threading.Thread(target=pull, args=(rule,)) for rule in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_pull_by_a_rule_frees_its_graph():
    model = wrapped(Net(nn.ReLU()))
    model.pull(X, SEED, rule="guided")
    gc.collect()
    before = sum(type(o) is torch.Tensor for o in gc.get_objects())
    for _ in range(5):
        model.pull(X, SEED, rule="guided")
    gc.collect()
    assert sum(type(o) is torch.Tensor for o in gc.get_objects()) == before


def test_an_input_that_does_not_reach_the_output_has_no_gradient():
    class Ignoring(Net):
        def forward(self, a, b):
            return self.last(F.relu(self.first(a)))

    net = Ignoring(None)
    model = xk.wrap(net, inputs={"a": xk.Array((5,)), "b": xk.Array((5,))}, outputs=xk.Values(list("abc")))
    found = model.pull({"a": X, "b": X}, SEED, rule="guided").gradient
    assert_allclose(found["a"], by_hand(net, "guided"), rtol=1e-5, atol=1e-6)
    assert not found["b"].any()


def test_a_deep_graph_is_walked_without_recursion():
    net = Net(lambda x: torch.stack([x := F.relu(x) for _ in range(3000)])[-1])
    assert np.isfinite(wrapped(net).pull(X[:1], SEED[:1], rule="guided").gradient).all()


def test_an_exported_program_follows_the_rule():
    net = Net(nn.ReLU())
    program = torch.export.export(net, (torch.tensor(X),))
    model = xk.wrap(program, inputs=xk.Array((5,)), outputs=xk.Values(list("abc")))
    assert_allclose(model.pull(X, SEED, rule="guided").gradient, by_hand(net, "guided"), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_scripted_network_cannot_be_given_a_rule():
    model = wrapped(torch.jit.script(nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))))
    with pytest.raises(NotSupported, match="no backward rule 'guided'"):
        model.pull(X, SEED, rule="guided")
