"""Vector-Jacobian products against closed forms and against autograd by hand."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

import xaikit as xk
import xaikit_torch
from tests.torch import nets
from xaikit.errors import InputError, ModelError, NotSupported, UnknownName

CLOSE = {"rtol": 1e-5, "atol": 1e-6}
"""float32 sums in another order than the closed form's."""


@pytest.fixture
def residual() -> Any:
    return xaikit_torch.wrap(nets.seeded(nets.Residual), inputs=xk.Image(16, 16, 3))


def first(a: Any) -> Any:
    return torch.tensor(np.moveaxis(a, -1, 1) if np.ndim(a) == 4 else a)


def last(t: Any) -> Any:
    a = t.detach().numpy()
    return np.moveaxis(a, 1, -1) if a.ndim == 4 else a


def test_the_gradient_of_a_linear_network_is_its_weights() -> None:
    net = nets.seeded(lambda: nn.Linear(3, 2))
    seed = nets.draw(4, 2)
    pull = xaikit_torch.wrap(net, inputs=xk.Array(3)).pull(nets.draw(4, 3, seed=2), seed)
    assert_allclose(pull.gradient, seed @ net.weight.detach().numpy(), **CLOSE)
    assert_array_equal(pull.source, nets.draw(4, 3, seed=2))
    assert_allclose(pull.value, net(torch.tensor(nets.draw(4, 3, seed=2))).detach().numpy(), **CLOSE)


def test_a_seed_may_be_a_function_of_the_value(residual: Any) -> None:
    x = nets.draw(5, 16, 16, 3)
    value = residual.run(x).output
    given = residual.pull(x, value**2, wrt="stem")
    asked = residual.pull(x, lambda y: y**2, wrt="stem")
    assert_allclose(asked.gradient, given.gradient, **CLOSE)


@pytest.mark.parametrize("layer", ["stem", "layer1.0.bn", "layer1.1.relu:1", "layer1/0/add", "layer1", "drop"])
def test_the_gradient_at_a_layer_is_autograds(residual: Any, layer: str) -> None:
    x, seed = nets.draw(2, 16, 16, 3), nets.draw(2, 5)
    pull = residual.pull(x, seed, wrt=layer, score="logit")
    net = copy.deepcopy(residual.net).eval()
    net.layer1[0].relu.inplace = net.layer1[1].relu.inplace = False
    kept: dict[str, Any] = {}
    keep_calls(net, kept)
    net(first(x))
    names = {"layer1.1.relu:1": "layer1.1.relu#1", "layer1/0/add": "layer1.0.relu#1 input"}
    source = kept[names.get(layer, f"{layer}#0")]
    (expected,) = torch.autograd.grad(kept["head#0"], source, torch.tensor(seed))
    assert_allclose(pull.gradient, last(expected), **CLOSE)
    assert_allclose(pull.source, last(source), **CLOSE)
    assert_allclose(pull.value, last(kept["head#0"]), **CLOSE)


def keep_calls(net: Any, kept: dict[str, Any]) -> None:
    for name, module in net.named_modules():
        counter = iter(range(9))

        def hook(m: Any, args: Any, out: Any, name: str = name, counter: Any = counter) -> None:
            number = next(counter)
            kept[f"{name}#{number}"], kept[f"{name}#{number} input"] = out, args[0]

        module.register_forward_hook(hook)


@pytest.mark.parametrize("of", ["stem", "layer1.0.bn", "layer1/0/add", "layer1", "drop"])
def test_a_layer_can_be_pulled_from(residual: Any, of: str) -> None:
    x = nets.draw(2, 16, 16, 3)
    activation = residual.run(x, at=[of]).activations[of]
    seed = nets.draw(*activation.shape)
    pull = residual.pull(x, seed, of=of)
    net = copy.deepcopy(residual.net).eval()
    net.layer1[0].relu.inplace = net.layer1[1].relu.inplace = False
    kept: dict[str, Any] = {}
    keep_calls(net, kept)
    source = first(x).requires_grad_()
    net(source)
    value = kept[{"layer1/0/add": "layer1.0.relu#1 input"}.get(of, f"{of}#0")]
    (expected,) = torch.autograd.grad(value, source, first(seed))
    assert_allclose(pull.value, activation, **CLOSE)
    assert_allclose(pull.gradient, last(expected), **CLOSE)


def test_a_layer_is_pulled_to_another(residual: Any) -> None:
    x = nets.draw(2, 16, 16, 3)
    seed = nets.draw(2, 3, 3, 4)
    pull = residual.pull(x, seed, of="layer1.0.conv2", wrt="layer1.0.relu")
    kernel = residual.net.layer1[0].conv2.weight
    expected = torch.nn.functional.conv_transpose2d(first(seed), kernel, padding=1)
    assert_allclose(pull.gradient, last(expected), **CLOSE)


def test_of_and_wrt_the_same_layer_give_the_seed_back(residual: Any) -> None:
    x, seed = nets.draw(2, 16, 16, 3), nets.draw(2, 7, 7, 4)
    assert_array_equal(residual.pull(x, seed, of="stem", wrt="stem").gradient, seed)


def test_what_is_not_connected_has_gradient_zero(residual: Any) -> None:
    x = nets.draw(2, 16, 16, 3)
    pull = residual.pull(x, nets.ones_like, of="stem", wrt="head")
    assert pull.gradient.shape == pull.source.shape == (2, 5)
    assert not pull.gradient.any()
    patched = residual.pull(x, nets.ones_like, patch={"layer1": nets.draw(2, 3, 3, 4)})
    assert patched.gradient.shape == x.shape
    assert not patched.gradient.any()


def test_the_gradient_is_taken_at_the_patched_value() -> None:
    net = nets.seeded(lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))
    model = xaikit_torch.wrap(net, inputs=xk.Array(3))
    z, seed = nets.draw(5, 4), nets.draw(5, 2)
    pull = model.pull(nets.draw(5, 3), seed, wrt="0", patch={"0": z})
    expected = (seed @ net[2].weight.detach().numpy()) * (1 - np.tanh(z) ** 2)
    assert_allclose(pull.gradient, expected, **CLOSE)
    assert_array_equal(pull.source, z)


def test_a_patched_embedding_is_where_paths_between_words_run() -> None:
    model = xaikit_torch.wrap(nets.seeded(nets.Attentive), inputs=xk.Text(4))
    ids = np.array([[1, 2, 3, 0], [4, 5, 6, 7]])
    embedded = model.run(ids, at=["embed"]).activations["embed"]
    half = model.pull(ids, nets.ones_like, wrt="embed", patch={"embed": embedded / 2})
    assert_allclose(half.source, embedded / 2, rtol=1e-6)
    whole = model.pull(ids, nets.ones_like, wrt="embed")
    assert half.gradient.shape == (2, 4, 8)
    assert np.abs(half.gradient - whole.gradient).max() > 1e-3


def test_integers_have_no_gradient_and_the_error_names_the_embedding() -> None:
    model = xaikit_torch.wrap(nets.seeded(nets.Attentive), inputs=xk.Text(4))
    with pytest.raises(NotSupported, match="wrt='embed'"):
        model.pull(np.ones((1, 4), int), nets.ones_like)


def test_integers_beside_numbers_have_gradient_zero() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.fc = nn.Embedding(5, 3), nn.Linear(3, 1)

        def forward(self, code: Any, row: Any) -> Any:
            return self.fc(self.embed(code[:, 0]) + row)

    model = xaikit_torch.wrap(Net(), inputs={"code": xk.Text(1), "row": xk.Array(3)})
    pull = model.pull({"code": np.ones((2, 1), int), "row": nets.draw(2, 3)}, nets.ones_like)
    assert not pull.gradient["code"].any()
    assert_allclose(pull.gradient["row"], np.repeat(model.weights("fc")["weight"], 2, 0), **CLOSE)


@pytest.mark.parametrize("wrt", ["conv", "relu"])
def test_gradients_are_right_when_what_follows_works_in_place(wrt: str) -> None:
    model = xaikit_torch.wrap(nets.seeded(nets.Inplace), inputs=xk.Series(8, 2))
    x, seed = nets.draw(3, 8, 2), nets.draw(3, 2)
    pull = model.pull(x, seed, wrt=wrt)
    conv = model.run(x, at=["conv"]).activations["conv"]
    at_mean = seed @ model.weights("head")["weight"] / 6
    # the head sees the mean over six places of relu_(conv) + conv, and relu_ has written into conv
    twice = np.repeat(2 * at_mean[:, None], 6, 1)
    expected = twice * (conv > 0) if wrt == "conv" else twice
    if wrt == "relu":  # cut at the call of relu_, the other summand is a tensor of its own: one path is left
        expected = np.repeat(at_mean[:, None], 6, 1)
    assert_allclose(pull.gradient, expected, **CLOSE)


def test_a_layer_that_hands_on_its_input_has_a_value_of_its_own() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.same = nn.Linear(3, 3), nn.Identity()

        def forward(self, x: Any) -> Any:
            y = self.fc(x)
            z = self.same(y)
            y.relu_()
            return 2 * z

    model = xaikit_torch.wrap(nets.seeded(Net), inputs=xk.Array(3))
    pull = model.pull(nets.draw(4, 3), nets.ones_like, wrt="same")
    assert pull.source.min() < 0
    assert_array_equal(pull.source, model.run(nets.draw(4, 3), at=["fc"]).activations["fc"])
    assert (pull.gradient == 2).all()


def test_what_comes_after_the_layer_pulled_from_is_not_run() -> None:
    rows = []
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    net[2].register_forward_hook(lambda m, a, out: rows.append(len(out)))
    model = xaikit_torch.wrap(net, inputs=xk.Array(3))
    model.run(nets.draw(2, 3))
    rows.clear()
    model.pull(nets.draw(2, 3), nets.ones_like, of="1", wrt="0")
    assert rows == []
    assert not model.pull(nets.draw(2, 3), nets.ones_like, of="1", wrt="2").gradient.any()
    assert rows == [2]


def test_a_network_that_writes_into_its_input_can_be_pulled() -> None:
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 1))
    x = nets.draw(4, 3)
    pull = xaikit_torch.wrap(net, inputs=xk.Array(3)).pull(x, nets.ones_like)
    assert_allclose(pull.gradient, (x > 0) * net[1].weight.detach().numpy(), **CLOSE)
    assert_array_equal(pull.source, x)


def test_shared_layers_have_one_gradient_for_each_call() -> None:
    model = xaikit_torch.wrap(nets.seeded(nets.Siamese), inputs={"a": xk.Array(4), "b": xk.Array(4)})
    x = {"a": nets.draw(3, 4), "b": nets.draw(3, 4, seed=2)}
    swapped = {"a": x["b"], "b": x["a"]}
    gradients = [model.pull(v, nets.ones_like) for v in (x, swapped)]
    assert_allclose(gradients[0].gradient["a"], gradients[1].gradient["b"], **CLOSE)
    at = [model.pull(x, nets.ones_like, wrt=n).gradient for n in ("trunk.0", "trunk.0:1")]
    run = model.run(x, at=["sub", "trunk.0", "trunk.0:1"]).activations
    slope = np.sign(run["sub"]) * model.weights("head")["weight"]
    assert_allclose(at[0], slope * (run["trunk.0"] > 0), **CLOSE)
    assert_allclose(at[1], -slope * (run["trunk.0:1"] > 0), **CLOSE)


def test_only_some_outputs_may_be_seeded() -> None:
    model = xaikit_torch.wrap(nets.seeded(nets.Two))
    x = {"picture": nets.draw(2, 1, 5, 5), "row": nets.draw(2, 3)}
    pull = model.pull(x, {"value": np.ones((2, 1))})
    assert_allclose(pull.gradient["row"], np.repeat(model.weights("table")["weight"].sum(0)[None], 2, 0), **CLOSE)
    with pytest.raises(UnknownName, match="did you mean 'value'"):
        model.pull(x, {"values": np.ones((2, 1))})


def test_a_seed_of_another_shape_is_refused(residual: Any) -> None:
    with pytest.raises(InputError, match=r"the seed has shape \(2, 4\), the value \(2, 5\)"):
        residual.pull(nets.draw(2, 16, 16, 3), np.ones((2, 4)))


def test_rows_do_not_mix(residual: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x, seed = nets.draw(5, 16, 16, 3), nets.draw(5, 5)
    together = residual.pull(x, seed)
    monkeypatch.setattr(type(residual), "batch_size", 2)
    assert_allclose(residual.pull(x, seed).gradient, together.gradient, rtol=1e-5, atol=1e-7)


def test_values_that_are_not_finite_go_through() -> None:
    class Net(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.sqrt()

    pull = xaikit_torch.wrap(Net(), inputs=xk.Array(2)).pull(np.array([[0.0, -1.0]]), nets.ones_like)
    assert np.isinf(pull.gradient[0, 0])
    assert np.isnan(pull.gradient[0, 1])


def test_pulling_works_inside_inference_mode() -> None:
    model = xaikit_torch.wrap(nets.seeded(lambda: nn.Linear(3, 1)))
    with torch.inference_mode():
        pull = model.pull(nets.draw(2, 3), nets.ones_like)
    assert_allclose(pull.gradient, np.repeat(model.weights("linear")["weight"], 2, 0), **CLOSE)


def test_a_frozen_network_can_be_pulled() -> None:
    model = xaikit_torch.wrap(nets.seeded(nets.Autoencoder).requires_grad_(False), inputs=xk.Array(8))
    pulls = [model.pull(nets.draw(2, 8), nets.ones_like, wrt=w) for w in (None, "encoder.0", "decoder")]
    assert all(p.gradient.any() for p in pulls)


class Overwritten(nn.Module):
    """Changes what the gradient of its ReLU needs."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        y = torch.relu(self.dense(x))
        y += 1
        return y


def test_a_network_whose_gradient_torch_cannot_take_says_so_in_one_line() -> None:
    model = xaikit_torch.wrap(Overwritten(), inputs=xk.Array(3))
    with pytest.raises(ModelError, match=r"Overwritten has no gradient: .* modified by an inplace operation") as raised:
        model.pull(nets.draw(2, 3), np.ones((2, 2), np.float32))
    assert "\n" not in str(raised.value)
    assert model.run(nets.draw(2, 3)).output.shape == (2, 2)


def test_whole_numbers_for_a_network_of_others_are_named() -> None:
    with pytest.raises(ModelError, match="dtype='float32'"):
        xaikit_torch.wrap(nn.Linear(3, 2), inputs=xk.Array(3)).run(np.array([[1, 2, 3]]))


def test_one_pass_gives_the_gradients_at_several_layers(residual):
    x = nets.draw(3, 16, 16, 3)
    seed = nets.draw(3, 5)
    names = ["stem", "layer1.0.bn", "layer1.0.relu:1", "layer1.1.conv2", "head"]
    many = residual.pull(x, seed, wrt=names, score="logit")
    assert list(many.gradient) == list(many.source) == names
    for name in names:
        one = residual.pull(x, seed, wrt=name, score="logit")
        assert_allclose(many.gradient[name], one.gradient, **CLOSE)
        assert_allclose(many.source[name], one.source, **CLOSE)
    with pytest.raises(UnknownName, match="did you mean 'stem'"):
        residual.pull(x, seed, wrt=["head", "sten"])
