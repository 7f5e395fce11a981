"""Weights read, replaced in a copy, and hashed."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

import xaikit as xk
import xaikit_torch
from tests.torch import nets
from xaikit.errors import InputError, UnknownName
from xaikit.model import canonical_hash


@pytest.fixture
def model() -> Any:
    return xaikit_torch.wrap(nets.seeded(nets.Residual), inputs=xk.Image(16, 16, 3), outputs=xk.Classes(5))


def test_weights_are_copies_by_name(model: Any) -> None:
    found = model.weights("layer1.0.bn")
    assert set(found) == {"weight", "bias", "running_mean", "running_var"}
    found["weight"][:] = 9
    assert model.net.layer1[0].bn.weight.max() == 1
    assert set(model.weights("layer1.0.relu:1")) == set()
    assert "0.conv1.weight" in model.weights("layer1")


def test_an_unknown_layer_has_no_weights(model: Any) -> None:
    with pytest.raises(UnknownName, match="did you mean 'stem'"):
        model.weights("stam")


def test_attention_keeps_its_weights_together() -> None:
    found = xaikit_torch.wrap(nets.Attentive(), inputs=xk.Text(4)).weights("encoder.self_attn")
    assert set(found) == {"in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"}


def test_half_precision_is_read_as_float32() -> None:
    net = nn.Sequential(nn.Linear(3, 2).bfloat16())
    found = xaikit_torch.wrap(net).weights("0")["weight"]
    assert found.dtype == np.float32
    assert_array_equal(found, net[0].weight.detach().float().numpy())


@pytest.mark.parametrize("name", ["head.weight", "head/weight"])
def test_a_copy_has_the_new_weights_and_the_old_network_the_old(model: Any, name: str) -> None:
    x = nets.draw(3, 16, 16, 3)
    before, fingerprint = model.run(x).output, model.fingerprint()
    made = model.with_weights({name: np.zeros((5, 4)), "head.bias": np.arange(5.0)})
    assert_array_equal(made.run(x, score="logit").output, np.repeat(np.arange(5.0)[None], 3, 0))
    assert_array_equal(model.run(x).output, before)
    assert model.fingerprint() == fingerprint != made.fingerprint()
    assert (made.outputs, made.layout, made.name) == (model.outputs, model.layout, model.name)
    assert made.net.training


def test_statistics_can_be_replaced_too(model: Any) -> None:
    made = model.with_weights({"layer1.0.bn.running_mean": np.full(4, 3.0)})
    assert_array_equal(made.weights("layer1.0.bn")["running_mean"], np.full(4, 3.0))


def test_every_weight_that_can_be_read_can_be_replaced() -> None:
    net = nets.seeded(nets.Attentive)
    model = xaikit_torch.wrap(net, inputs=xk.Text(4))
    names = {f"{layer}.{n}": a for layer in model.layers for n, a in model.weights(layer).items()}
    made = model.with_weights({n: a + 1 for n, a in names.items()})
    assert len(names) == len(list(net.parameters()))
    for before, after in zip(net.parameters(), made.net.parameters(), strict=True):
        assert_allclose(after.detach().numpy(), before.detach().numpy() + 1, rtol=1e-6)


def test_wrong_names_and_shapes_of_weights_are_refused(model: Any) -> None:
    with pytest.raises(UnknownName, match=r"unknown weight of Residual 'head\.wight'; did you mean 'head\.weight'"):
        model.with_weights({"head.wight": np.zeros((5, 4))})
    with pytest.raises(InputError, match=r"'head\.weight' of Residual has shape \(5, 4\), not \(4, 5\)"):
        model.with_weights({"head.weight": np.zeros((4, 5))})


def test_one_layer_alone_has_weights_by_its_class() -> None:
    model = xaikit_torch.wrap(nn.Linear(3, 2), inputs=xk.Array(3))
    made = model.with_weights({"linear.weight": np.ones((2, 3)), "bias": np.zeros(2)})
    assert_array_equal(made.run(np.ones((1, 3))).output, [[3, 3]])
    assert set(model.weights("linear")) == {"weight", "bias"}


def test_weights_of_functions_are_those_they_were_given() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = nn.Parameter(torch.ones(2, 3))

        def forward(self, x: Any) -> Any:
            return torch.nn.functional.linear(x, self.kernel)

    model = xaikit_torch.wrap(Net(), inputs=xk.Array(3))
    assert_array_equal(model.weights("linear")["kernel"], np.ones((2, 3)))
    made = model.with_weights({"linear.kernel": np.zeros((2, 3))})
    assert not made.run(np.ones((1, 3))).output.any()


def test_the_fingerprint_is_the_canonical_hash_of_the_state() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    state = {n: t.numpy() for n, t in net.state_dict().items() if "num_batches" not in n}
    assert xaikit_torch.wrap(net).fingerprint() == canonical_hash(state)


def test_the_fingerprint_is_kept_while_the_weights_stand(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr("xaikit_torch._model.canonical_hash", lambda w: calls.append(1) or canonical_hash(w))
    first = model.fingerprint()
    assert model.fingerprint() == first
    assert len(calls) == 1
    with torch.no_grad():
        model.net.head.bias += 1
    second = model.fingerprint()
    assert second != first
    model.net.head.weight = nn.Parameter(torch.zeros(5, 4))
    assert model.fingerprint() not in (first, second)
    model.net.layer1[0].bn.num_batches_tracked += 1
    assert len(calls) == 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precision_is_part_of_the_fingerprint(dtype: Any) -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    single = xaikit_torch.wrap(net).fingerprint()
    assert xaikit_torch.wrap(net.to(dtype)).fingerprint() != single


def test_weights_made_in_inference_mode_have_a_fingerprint_too() -> None:
    with torch.inference_mode():
        net = nn.Sequential(nn.Linear(2, 2))
        model = xaikit_torch.wrap(net)
        before = model.fingerprint()
        net[0].bias += 1
        assert model.fingerprint() != before
