"""What a network takes is found from what reads its input first."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

import xaikit as xk
import xaikit_torch
from tests.torch import nets
from xaikit.errors import ModelError


class Permuting(nn.Module):
    """Takes channels last and moves them itself."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, x: Any) -> Any:
        return self.conv((x / 255 - 0.5).permute(0, 3, 1, 2)).mean((2, 3))


class Reading(nn.Module):
    """A recurrent network and a head on its last step."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.rnn, self.head, self.first = nn.GRU(3, 4, batch_first=batch_first), nn.Linear(4, 2), batch_first

    def forward(self, x: Any) -> Any:
        y = self.rnn(x)[0]
        return self.head(y[:, -1] if self.first else y[-1])


class Picturing(nn.Module):
    """Takes a series for a picture of one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1)

    def forward(self, x: Any) -> Any:
        return self.conv(x.unsqueeze(1))


class Mixing(nn.Module):
    """Elementwise all the way: any layout would do."""

    def forward(self, x: Any) -> Any:
        return (x * 2).relu().flatten(1).sum(1)


def conv_net(*before: nn.Module) -> nn.Module:
    return nn.Sequential(*before, nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


@pytest.mark.parametrize(
    ("make", "spec", "layout"),
    [
        (conv_net, xk.Image(8, 8), "channels-first"),
        (lambda: conv_net(nn.BatchNorm2d(3)), xk.Image(3, 3), "channels-first"),
        (lambda: conv_net(nn.Dropout(), nn.Identity(), nn.MaxPool2d(2)), xk.Image(8, 8), "channels-first"),
        (Permuting, xk.Image(8, 8), "as-given"),
        (Permuting, xk.Image(3, 3), "as-given"),
        (lambda: nn.Sequential(nn.Conv1d(3, 2, 1)), xk.Series(3, 3), "channels-first"),
        (lambda: nn.Sequential(nn.BatchNorm1d(3), nn.Conv1d(3, 2, 1)), xk.Series(5, 3), "channels-first"),
        (lambda: Reading(True), xk.Series(3, 3), "as-given"),
        (lambda: Reading(False), xk.Series(3, 3), "time-first"),
        (lambda: Reading(False), xk.Series(5, 3), "time-first"),
        (lambda: nn.Sequential(nn.Linear(3, 2)), xk.Series(3, 3), "as-given"),
        (lambda: nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 2)), xk.Series(3, 3), "as-given"),
        (lambda: nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), xk.Series(4, 4), "as-given"),
        (lambda: nn.TransformerEncoderLayer(4, 2, 8), xk.Series(4, 4), "time-first"),
        (lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), xk.Image(4, 4, 1), "as-given"),
        (Mixing, xk.Series(4, 1), "as-given"),
        (Picturing, xk.Series(4, 1), "as-given"),
        (lambda: nn.Sequential(nn.Linear(3, 2)), xk.Array(3), "as-given"),
    ],
)
def test_the_first_reader_tells_the_layout(make: Any, spec: Any, layout: str) -> None:
    model = xaikit_torch.wrap(make(), inputs=spec)
    assert model.layout == layout
    assert model.run(nets.draw(2, *spec.shape)).output.shape[0] == 2


@pytest.mark.parametrize("net", [nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), Mixing()])
def test_an_undecidable_layout_is_asked_for(net: Any) -> None:
    with pytest.raises(ModelError, match=r"layout='channels-first' or 'channels-last'"):
        _ = xaikit_torch.wrap(net, inputs=xk.Image(4, 4, 3)).layout
    model = xaikit_torch.wrap(net, inputs=xk.Image(4, 4, 3), layout="channels-first")
    assert model.run(nets.draw(2, 4, 4, 3)).output.shape[0] == 2


def test_a_network_that_runs_in_no_layout_says_why() -> None:
    with pytest.raises(ModelError, match=r"in any layout: .*expected input.* to have 5 channels"):
        _ = xaikit_torch.wrap(nn.Conv2d(5, 2, 3), inputs=xk.Image(8, 8, 3)).layout


def test_a_declared_layout_is_obeyed() -> None:
    net = nets.seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(48, 2)))
    x = nets.draw(2, 4, 4, 3)
    for layout, given in (("channels-last", x), ("channels-first", np.moveaxis(x, -1, 1))):
        model = xaikit_torch.wrap(net, inputs=xk.Image(4, 4, 3), layout=layout)
        expected = net(torch.tensor(np.ascontiguousarray(given))).detach().numpy()
        assert_allclose(model.run(x).output, expected, rtol=1e-6)
        assert model.pull(x, nets.ones_like).gradient.shape == x.shape


@pytest.mark.parametrize("batch_first", [True, False])
def test_recurrent_networks_are_run_and_pulled_in_their_own_order(batch_first: bool) -> None:
    net = nets.seeded(lambda: Reading(batch_first))
    model = xaikit_torch.wrap(net, inputs=xk.Series(5, 3))
    x = nets.draw(4, 5, 3)
    run = model.run(x, at=["rnn"])
    t = torch.tensor(x).requires_grad_()
    y = net(t if batch_first else t.transpose(0, 1))
    (gradient,) = torch.autograd.grad(y.sum(), t)
    assert_allclose(run.output, y.detach().numpy(), rtol=1e-5, atol=1e-6)
    assert_allclose(model.pull(x, nets.ones_like).gradient, gradient.numpy(), rtol=1e-4, atol=1e-6)
    assert run.activations["rnn"].shape == (4, 5, 4)
    assert model.layers["rnn"].axes == ("sample", "time", "channel")
    patched = model.run(x, patch={"rnn": run.activations["rnn"][::-1].copy()})
    assert_allclose(patched.output, run.output[::-1], rtol=1e-5)


def test_time_first_chunks_are_put_together_along_the_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    model = xaikit_torch.wrap(nets.seeded(lambda: nn.Sequential(nn.GRU(3, 4))), inputs=xk.Series(5, 3))
    x = nets.draw(7, 5, 3)
    seed = {"0": nets.draw(7, 5, 4)}
    whole, pulled = model.run(x).output, model.pull(x, seed)
    assert whole["0"].shape == (7, 5, 4)
    monkeypatch.setattr(type(model), "batch_size", 4)
    assert_allclose(model.run(x).output["0"], whole["0"], rtol=1e-6, atol=1e-7)
    assert_allclose(model.pull(x, seed).gradient, pulled.gradient, rtol=1e-5, atol=1e-7)


def test_only_inputs_with_places_are_moved() -> None:
    model = xaikit_torch.wrap(nets.seeded(nets.Two), inputs={"picture": xk.Image(5, 5, 1), "row": xk.Array(3)})
    x = {"picture": nets.draw(2, 5, 5, 1), "row": nets.draw(2, 3)}
    assert model.layout == "channels-first"
    gradient = model.pull(x, {"value": np.ones((2, 1))}).gradient
    assert {n: g.shape for n, g in gradient.items()} == {"picture": (2, 5, 5, 1), "row": (2, 3)}
    assert model.layers["image"].axes == ("sample", "height", "width", "channel")


def test_an_array_is_never_moved() -> None:
    model = xaikit_torch.wrap(nn.Sequential(nn.Conv2d(3, 2, 3)), inputs=xk.Array((3, 8, 8)))
    assert model.layout == "as-given"
    assert model.run(nets.draw(1, 3, 8, 8), at=["0"]).activations["0"].shape == (1, 2, 6, 6)
