"""Nothing is left on the network or on torch, after a call and after one that failed."""

import contextlib
import copy
import time
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import xaikit as xk
import xaikit_torch
from tests.torch import nets
from xaikit.errors import ModelError
from xaikit_torch._state import _exact


class Noisy(nn.Module):
    """Draws random numbers even in evaluation mode, and has a frozen part and a part kept in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.attend = nets.Residual(), nn.MultiheadAttention(5, 1, batch_first=True)
        self.body.stem.requires_grad_(False)
        self.body.layer1[0].eval()

    def forward(self, x: Any) -> Any:
        y = self.body(x)
        y = y + torch.nn.functional.dropout(y, 0.5, training=True)
        y, _ = self.attend(y[:, None], y[:, None], y[:, None])
        return y[:, 0]


def state(net: nn.Module) -> dict[str, Any]:
    """Everything that a call might leave behind."""
    return {
        "training": [m.training for m in net.modules()],
        "hooks": [
            [len(getattr(m, k)) for k in vars(m) if k.endswith("_hooks") or k.startswith("_forward_hooks")]
            for m in net.modules()
        ],
        "attributes": [sorted(vars(m)) for m in net.modules()],
        "requires_grad": [p.requires_grad for p in net.parameters()],
        "grad": [None if p.grad is None else p.grad.sum().item() for p in net.parameters()],
        "versions": [t._version for t in (*net.parameters(), *net.buffers())],
        "random": torch.random.get_rng_state().tolist(),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002
        "switches": (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.get_default_dtype(),
            torch.backends.mha.get_fastpath_enabled(),
            torch.backends.cudnn.enabled,
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.allow_tf32,
        ),
        "modes": torch.overrides._get_current_function_mode_stack(),
    }


@pytest.fixture
def noisy() -> Any:
    net = nets.seeded(Noisy)
    net.body.head.register_forward_hook(lambda m, a, out: None)
    net.body.head.weight.grad = torch.ones_like(net.body.head.weight)
    return xaikit_torch.wrap(net, inputs=xk.Image(16, 16, 3))


def fail(value: Any) -> Any:
    raise ZeroDivisionError


def test_a_call_leaves_everything_as_it_was(noisy: Any) -> None:
    before, x = state(noisy.net), nets.draw(3, 16, 16, 3)
    _ = noisy.layers
    assert state(noisy.net) == before
    run = noisy.run(x, at=["body.stem", "body/relu", "attend"], patch={"body.layer1": nets.draw(1, 3, 3, 4)})
    assert set(run.activations) == {"body.stem", "body/relu", "attend"}
    assert state(noisy.net) == before
    noisy.run(x, score="logit")
    noisy.pull(x, nets.ones_like)
    noisy.pull(x, nets.ones_like, of="body/layer1/0/add", wrt="body.stem")
    noisy.fingerprint()
    noisy.with_weights({"attend.out_proj.bias": np.ones(5)})
    assert state(noisy.net) == before


@pytest.mark.parametrize("wrt", [None, "body.stem", "body/relu"])
def test_an_error_in_a_seed_leaves_everything_as_it_was(noisy: Any, wrt: str | None) -> None:
    before = state(noisy.net)
    with pytest.raises(ZeroDivisionError):
        noisy.pull(nets.draw(2, 16, 16, 3), fail, wrt=wrt)
    assert state(noisy.net) == before


def test_an_error_in_the_network_leaves_everything_as_it_was() -> None:
    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.calls = nn.Linear(3, 3), 0

        def forward(self, x: Any) -> Any:
            y = self.fc(x).relu()
            if x.max() > 1:
                raise RuntimeError("too large\nby far")
            return y

    model = xaikit_torch.wrap(Failing(), inputs=xk.Array(3), name="failing")
    _ = model.layers
    before = state(model.net)
    for call in (
        lambda x: model.run(x, at=["relu"]),
        lambda x: model.pull(x, nets.ones_like, wrt="fc"),
    ):
        with pytest.raises(ModelError, match=r"^failing cannot be run on \(2, 3\): too large$"):
            call(np.full((2, 3), 2.0))
        assert state(model.net) == before


def test_random_numbers_are_those_that_the_caller_would_have_drawn(noisy: Any) -> None:
    x = nets.draw(2, 16, 16, 3)
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        expected = torch.rand(3)
        torch.manual_seed(3)
        first, second = noisy.run(x).output, noisy.run(x).output
        assert torch.equal(torch.rand(3), expected)
    assert np.array_equal(first, second)


def test_the_own_exceptions_of_a_network_that_it_catches_do_not_confuse_the_trace() -> None:
    class Trying(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wrong, self.right = nn.Sequential(nn.Linear(9, 2)), nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            for part, given in ((self.wrong, x), (self.right, x[:, :2]), (self.right, x)):
                try:
                    y = part(given)
                except RuntimeError:
                    continue
            return y.relu()

    model = xaikit_torch.wrap(Trying(), inputs=xk.Array(3))
    assert list(model.layers) == ["getitem", "right", "relu"]
    assert model.layers["relu"].parents == ("right",)
    assert model.run(nets.draw(2, 3), at=["relu"]).activations["relu"].shape == (2, 2)


def test_wrapping_runs_nothing_and_takes_no_time() -> None:
    class Never(nn.Module):
        def forward(self, x: Any) -> Any:
            raise AssertionError

    net = nn.Sequential(*[nets.Block(4) for _ in range(30)], Never())
    started = time.perf_counter()
    xaikit_torch.wrap(net, inputs=xk.Image(8, 8, 4))
    assert time.perf_counter() - started < 0.05


def test_a_hook_of_the_user_is_seen_at_work() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    net[0].register_forward_hook(lambda m, a, out: out * 0 + 2)
    run = xaikit_torch.wrap(net, inputs=xk.Array(3)).run(nets.draw(2, 3), at=["0"])
    assert (run.activations["0"] == 2).all()
    assert (run.output == 2).all()


def switches() -> dict[str, Any]:
    flags = torch.backends.cudnn
    return {
        **{n: getattr(flags, n) for n in ("enabled", "benchmark", "deterministic")},
        **{n: getattr(flags, n).fp32_precision for n in ("conv", "rnn")},
    }


@pytest.fixture(params=["ieee", "tf32"])
def mixed(request: pytest.FixtureRequest) -> Any:
    """Switches that a user may have set, convolutions in another precision than recurrent layers."""
    flags, before = torch.backends.cudnn, switches()
    flags.conv.fp32_precision, flags.benchmark = request.param, True
    yield switches()
    flags.conv.fp32_precision, flags.benchmark = before["conv"], before["benchmark"]


def test_switches_of_cuda_come_back(mixed: Any) -> None:
    with _exact(cudnn=False):
        assert switches() == {
            **{"enabled": False, "benchmark": False, "deterministic": True},
            **{"conv": "ieee", "rnn": "ieee"},
        }
    assert switches() == mixed
    with contextlib.suppress(ZeroDivisionError), _exact(cudnn=True):
        fail(None)
    assert switches() == mixed


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_recurrent_network_on_cuda_gives_what_it_gives_on_the_cpu() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.lstm, self.head = nn.Conv1d(3, 8, 3), nn.LSTM(8, 16, batch_first=True), nn.Linear(16, 2)

        def forward(self, x: Any) -> Any:
            return self.head(self.lstm(self.conv(x).transpose(1, 2))[0][:, -1])

    net, x = nets.seeded(Net), nets.draw(5, 20, 3)
    on_cpu = xaikit_torch.wrap(copy.deepcopy(net), inputs=xk.Series(20, 3))
    model = xaikit_torch.wrap(net.cuda(), inputs=xk.Series(20, 3))
    before, stream = state(net), torch.cuda.get_rng_state().tolist()
    for wrt in (None, "lstm", "conv"):
        one, other = (m.pull(x, nets.ones_like, wrt=wrt) for m in (on_cpu, model))
        np.testing.assert_allclose(other.gradient, one.gradient, rtol=1e-4, atol=1e-6)
    assert model.device == "cuda:0"
    assert state(net) == before
    assert torch.cuda.get_rng_state().tolist() == stream


def test_a_copy_of_the_network_is_not_affected(noisy: Any) -> None:
    net = copy.deepcopy(noisy.net)
    noisy.run(nets.draw(1, 16, 16, 3), at=["body.stem"])
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), noisy.net.parameters(), strict=True))


def test_walks_over_modules_and_weights_are_those_of_torch():
    from xaikit_torch._private import modules_of, weights_of

    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            inner = nn.Linear(3, 3)
            self.deep = nn.Sequential(nn.Sequential(inner, nn.BatchNorm1d(3)), nn.ReLU())
            self.again, self.none, self.tied = inner, None, nn.Linear(3, 3, bias=False)
            self.tied.weight = inner.weight
            self.register_buffer("empty", None)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch would rather have other formats
        scripted = torch.jit.script(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    for net in (Shared(), nets.Residual(), nets.Two(), nets.Attentive(), scripted):
        assert [(n, id(m)) for n, m in modules_of(net)] == [(n, id(m)) for n, m in net.named_modules()]
        expected = [*net.named_parameters(), *net.named_buffers()]
        found = list(weights_of(net))
        assert [n for n, _ in found] == [n for n, _ in expected]
        assert all(torch.equal(a, b) for (_, a), (_, b) in zip(found, expected, strict=True))
