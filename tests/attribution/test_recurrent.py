"""Recurrent torch networks: gradients over time, padding, and a network that is left as it was."""

from contextlib import nullcontext

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import state_of
from xaikit.arrays import agreement
from xaikit.errors import InputError

torch = pytest.importorskip("torch")
nn = torch.nn

STEPS, CHANNELS = 6, 2
X = np.random.default_rng(0).normal(size=(2, STEPS, CHANNELS)).astype("f")
GRADIENT = ("saliency", "gradient-x-input", "smooth-grad", "integrated-gradients")


class Recurrent(nn.Module):
    """A recurrent layer and a dense head on what `read` takes from (output, state)."""

    def __init__(self, cell, read, width=None, **how):
        super().__init__()
        self.cell = cell(CHANNELS, 4, batch_first=how.pop("batch_first", True), **how)
        self.head, self.read = nn.Linear(width or 4, 2), read

    def forward(self, x):
        return self.head(self.read(*self.cell(x)))


class Cells(nn.Module):
    """An LSTMCell in a loop."""

    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.LSTMCell(CHANNELS, 4), nn.Linear(4, 2)

    def forward(self, x):
        state = None
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state)
        return self.head(state[0])


class Packed(nn.Module):
    """An LSTM over packed sequences; steps of zeros at the end are padding."""

    def __init__(self, bidirectional=False):
        super().__init__()
        self.lstm = nn.LSTM(CHANNELS, 4, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Linear(8 if bidirectional else 4, 2)

    def forward(self, x):
        lengths = (x != 0).any(-1).sum(1).clamp(min=1).cpu()
        pack = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, (h, _) = self.lstm(pack)
        return self.head(torch.cat(list(h), 1))


NETS = {
    "lstm, last output": lambda: Recurrent(nn.LSTM, lambda out, state: out[:, -1]),
    "lstm, h_n": lambda: Recurrent(nn.LSTM, lambda out, state: state[0][-1]),
    "gru, h_n": lambda: Recurrent(nn.GRU, lambda out, h: h[-1]),
    "rnn, last output": lambda: Recurrent(nn.RNN, lambda out, h: out[:, -1]),
    "two layers, dropout": lambda: Recurrent(nn.LSTM, lambda out, state: out[:, -1], num_layers=2, dropout=0.5),
    "projection": lambda: Recurrent(nn.LSTM, lambda out, state: out[:, -1], width=3, proj_size=3),
    "both directions": lambda: Recurrent(nn.GRU, lambda out, h: torch.cat([h[0], h[1]], 1), 8, bidirectional=True),
    "time first": lambda: Recurrent(nn.LSTM, lambda out, state: out[-1], batch_first=False),
    "cells": Cells,
    "packed": Packed,
    "packed, both directions": lambda: Packed(bidirectional=True),
}


def wrapped(name):
    """Give a wrapped network that is in training mode, as users leave it."""
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        net = NETS[name]()
    return xk.wrap(net.train(), inputs=xk.Series(STEPS, CHANNELS), outputs=xk.Values(["a", "b"]))


def autograd(name, x):
    """The gradient of output "b" by hand, in evaluation mode."""
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        net = NETS[name]().eval()
    first = name == "time first"
    t = torch.tensor(x.swapaxes(0, 1) if first else x, requires_grad=True)
    net(t)[:, 1].sum().backward()
    gradient = t.grad.numpy()
    return gradient.swapaxes(0, 1) if first else gradient


@pytest.mark.parametrize("name", NETS)
def test_saliency_is_autograds_gradient_by_step_and_channel(name):
    e = xk.explain(wrapped(name), X, "saliency", target="b")
    assert e.axes == ("sample", "time", "channel")
    assert_allclose(e.values, autograd(name, X), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", NETS)
def test_the_way_is_complete_and_a_batch_equals_its_rows(name):
    """Packed ones start next to 0, where their lengths would differ."""
    model, baseline = wrapped(name), 1e-3 if "packed" in name else 0
    e = xk.explain(model, X, "integrated-gradients", target="b", baseline=baseline)
    assert (e.quality["completeness_gap_relative"] < 1e-3).all()
    for method in GRADIENT:
        batch = xk.explain(model, X, method, target="b", seed=1)
        alone = [xk.explain(model, x, method, target="b", seed=1).values for x in X]
        assert agreement(batch.values, np.concatenate(alone)).max() <= 1e-5


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "lime", "occlusion"])
def test_the_network_is_left_as_it_was(name, method):
    model = wrapped(name)
    model.run(X)
    before, given = state_of(model), X.copy()
    xk.explain(model, X, method, target="b", **({"samples": 20} if method == "lime" else {}))
    assert state_of(model) == before
    assert_array_equal(X, given)
    assert model.net.training


def test_the_network_is_left_as_it_was_when_it_raises():
    class Angry(Cells):
        calls = 0

        def forward(self, x):
            self.calls += 1
            if self.calls == 4:
                raise RuntimeError("enough")
            return super().forward(x)

    model = xk.wrap(Angry().train(), inputs=xk.Series(STEPS, CHANNELS), outputs=xk.Values(["a", "b"]))
    before = state_of(model)
    xk.explain(model, X, "saliency", target="b")
    model.net.calls = 3
    with pytest.raises(xk.XaikitError, match="enough"):
        xk.explain(model, X, "saliency", target="b")
    assert state_of(model) == before


@pytest.mark.parametrize(("half", "unseen"), [(slice(0, 4), slice(3, None)), (slice(4, 8), slice(0, 2))])
def test_both_directions_are_aligned_to_the_input(half, unseen):
    """At step 2 the forward half has seen steps 0 to 2, the backward half steps 2 to the end."""
    net = Recurrent(nn.LSTM, lambda out, state: out[:, 2, half], bidirectional=True)
    model = xk.wrap(net, inputs=xk.Series(STEPS, CHANNELS), outputs=xk.Values(["a", "b"]))
    for method in ("saliency", "integrated-gradients"):
        values = xk.explain(model, X, method, target="b").values
        assert_array_equal(values[:, unseen], 0)
        assert (np.abs(np.delete(values, np.r_[0:STEPS][unseen], axis=1)) > 0).all()


@pytest.mark.parametrize("name", ["packed", "packed, both directions"])
@pytest.mark.parametrize("method", [*GRADIENT, "lime", "kernel-shap", "occlusion", "exact-shapley"])
def test_padded_steps_are_no_part_and_have_exactly_zero(name, method):
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        net = NETS[name]()
    spec = xk.Series(STEPS, CHANNELS, pad=0.0)
    model = xk.wrap(net, inputs=spec, outputs=xk.Values(["a", "b"]))
    x = X.copy()
    x[1, 4:] = 0
    parameters = {"lime": {"samples": 50}, "kernel-shap": {"samples": 50}, "smooth-grad": {"noise": 0.0}}
    e = xk.explain(model, x, method, target="b", **parameters.get(method, {}))
    assert_array_equal(e.values[1, 4:], 0)
    assert (np.abs(e.values[0]) > 0).all()
    if e.parts is not None and method != "occlusion":
        assert_array_equal(e.parts[1].reshape(STEPS, -1)[4:], -1)
    short = xk.wrap(net, inputs=xk.Series(4, CHANNELS), outputs=xk.Values(["a", "b"]))
    if method not in ("lime", "kernel-shap", "occlusion"):  # whose windows and draws depend on the length
        alone = xk.explain(short, x[1, :4], method, target="b", **parameters.get(method, {})).values
        assert_allclose(e.values[1:, :4], alone, rtol=1e-4, atol=1e-6)


def test_zeros_inside_a_series_are_no_padding_and_an_empty_series_is_refused():
    spec = xk.Series(5, 1, pad=0.0)
    assert_array_equal(spec.present(spec.encode([0, 1, 0, 2, 0])), [[False, True, True, True, False]])
    assert xk.Series(5, 1).present(np.zeros((1, 5, 1), "f")) is None
    with pytest.raises(InputError, match="the series is empty"):
        spec.encode([0, 0, 0, 0, 0])


@pytest.mark.parametrize("segments", [None, 3])
def test_windows_of_a_series_are_equal_by_default(segments):
    model = xk.wrap(lambda x: x[:, :, 0].sum(1), inputs=xk.Series(60, 2))
    e = xk.explain(model, np.ones((60, 2)), "lime", samples=10, segments=segments)
    assert_array_equal(np.bincount(e.parts[0]), [60 // (segments or 20)] * (segments or 20))


def test_cudnn_is_off_for_gradients_of_recurrent_layers_alone(monkeypatch):
    """Its backward pass needs training mode, and dropout would be at work then."""
    from xaikit_torch import _state

    seen = []
    monkeypatch.setattr(_state, "_exact", lambda cudnn: seen.append(cudnn) or nullcontext())
    monkeypatch.setattr(torch.random, "fork_rng", lambda *devices, device_type: nullcontext())
    for net in (Cells(), Recurrent(nn.LSTM, lambda out, state: out)):
        for backward in (True, False):
            with _state.borrowed(net, torch.device("cuda"), backward=backward):
                pass
    assert seen == [True, True, False, True]
