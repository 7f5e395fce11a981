"""Forward passes: outputs of every shape, values captured and replaced at layers, and the three scores."""

import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

import xaikit as xk
import xaikit_torch
from tests.torch import nets
from xaikit.errors import InputError, ModelError, NotSupported

IMAGE = xk.Image(16, 16, 3)
CLOSE = {"rtol": 1e-6, "atol": 1e-6}
"""The adapter and the framework calculate the same sums in the same order; only chunks may differ."""


@pytest.fixture
def residual() -> Any:
    return xaikit_torch.wrap(nets.seeded(nets.Residual), inputs=IMAGE, outputs=xk.Classes(5))


def by_hand(net: Any, x: Any, *modules: str) -> tuple[Any, list[Any]]:
    """Run a copy of a network in evaluation mode, and copy what modules give when they are called."""
    net, seen = copy.deepcopy(net).eval(), {}
    for name in modules:
        net.get_submodule(name).register_forward_hook(lambda m, a, out, n=name: seen.update({n: out.clone()}))
    with torch.no_grad():
        out = net(torch.tensor(np.moveaxis(x, -1, 1)))
    return out.numpy(), [np.moveaxis(seen[n].numpy(), 1, -1) for n in modules]


def test_what_is_captured_is_what_the_framework_has(residual: Any) -> None:
    x = nets.draw(3, 16, 16, 3)
    modules = ("stem", "layer1.0.bn", "layer1.1.conv2", "layer1")
    run = residual.run(x, at=modules)
    output, seen = by_hand(residual.net, x, *modules)
    assert_allclose(run.output, output, **CLOSE)
    for name, value in zip(modules, seen, strict=True):
        assert_allclose(run.activations[name], value, **CLOSE)


def test_a_value_is_captured_before_an_in_place_function_overwrites_it() -> None:
    model = xaikit_torch.wrap(nets.seeded(nets.Inplace), inputs=xk.Series(8, 2))
    run = model.run(nets.draw(2, 8, 2), at=["conv", "relu", "add"])
    conv = run.activations["conv"]
    assert conv.min() < 0
    assert_array_equal(run.activations["relu"], np.maximum(conv, 0))
    assert_array_equal(run.activations["add"], 2 * np.maximum(conv, 0))


def test_the_second_call_of_a_layer_is_another_layer(residual: Any) -> None:
    found = residual.run(
        nets.draw(2, 16, 16, 3), at=["layer1.0.bn", "layer1.0.relu", "layer1/0/add", "layer1.0.relu:1"]
    )
    a = found.activations
    assert_array_equal(a["layer1.0.relu"], np.maximum(a["layer1.0.bn"], 0))
    assert_array_equal(a["layer1.0.relu:1"], np.maximum(a["layer1/0/add"], 0))


def test_a_sample_alone_and_in_a_batch_give_the_same(residual: Any) -> None:
    x = nets.draw(7, 16, 16, 3)
    together = residual.run(x, at=["layer1/1/add"])
    alone = [residual.run(x[i : i + 1], at=["layer1/1/add"]) for i in range(7)]
    assert_allclose(together.output, np.concatenate([r.output for r in alone]), **CLOSE)
    assert_allclose(
        together.activations["layer1/1/add"], np.concatenate([r.activations["layer1/1/add"] for r in alone]), **CLOSE
    )


def test_chunks_are_put_together_again(residual: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = nets.draw(7, 16, 16, 3)
    whole = residual.run(x, at=["stem"], patch={"head": nets.draw(7, 5)})
    monkeypatch.setattr(type(residual), "batch_size", 2)
    pieces = residual.run(x, at=["stem"], patch={"head": nets.draw(7, 5)})
    assert_allclose(pieces.output, whole.output, **CLOSE)
    assert_allclose(pieces.activations["stem"], whole.activations["stem"], **CLOSE)


@pytest.mark.parametrize("layer", ["stem", "relu", "layer1.0.bn", "layer1/0/add", "layer1", "layer1.1.relu:1"])
def test_a_patch_with_the_own_value_changes_nothing(residual: Any, layer: str) -> None:
    x = nets.draw(3, 16, 16, 3)
    plain = residual.run(x, at=[layer])
    patched = residual.run(x, patch={layer: plain.activations[layer]})
    assert_allclose(patched.output, plain.output, **CLOSE)


def test_a_patch_is_what_the_network_goes_on_with(residual: Any) -> None:
    x, value = nets.draw(3, 16, 16, 3), nets.draw(1, 3, 3, 4)
    run = residual.run(x, at=["layer1/0/add", "layer1.0.relu:1"], patch={"layer1/0/add": value})
    assert_array_equal(run.activations["layer1/0/add"], np.repeat(value, 3, axis=0))
    assert_array_equal(run.activations["layer1.0.relu:1"], np.repeat(np.maximum(value, 0), 3, axis=0))
    assert_allclose(run.output, np.repeat(run.output[:1], 3, axis=0), **CLOSE)


def test_a_patch_of_another_shape_is_refused_with_both_shapes(residual: Any) -> None:
    with pytest.raises(InputError, match=r"'stem' has shape \(1, 4, 7, 7\); it has \(2, 7, 7, 4\) here"):
        residual.run(nets.draw(2, 16, 16, 3), patch={"stem": nets.draw(1, 4, 7, 7)})


# --- outputs ---------------------------------------------------------------------------------------------------------


@dataclass
class Fields:
    score: Any
    loss: Any = None


class Pair(NamedTuple):
    mean: Any
    spread: Any


class Returning(nn.Module):
    def __init__(self, make: Any) -> None:
        super().__init__()
        self.fc, self.make = nn.Linear(3, 2), make

    def forward(self, x: Any) -> Any:
        return self.make(self.fc(x))


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda y: (y, y + 1), ["0", "1"]),
        (lambda y: [y, (y + 1, y + 2)], ["0", "1/0", "1/1"]),
        (lambda y: {"a": y, "b": None, "c": y.sum(), "d": y + 1}, ["a", "d"]),
        (lambda y: Fields(y, y + 1), ["score", "loss"]),
        (lambda y: Pair(y, y + 1), ["mean", "spread"]),
    ],
)
def test_several_outputs_are_a_mapping(make: Any, names: list[str]) -> None:
    model = xaikit_torch.wrap(Returning(make), inputs=xk.Array(3))
    x = nets.draw(4, 3)
    output = model.run(x).output
    assert list(output) == names
    plain = model.net.fc(torch.tensor(x)).detach().numpy()
    for i, name in enumerate(names):
        assert_allclose(output[name], plain + i, **CLOSE)
    assert list(model.outputs) == names


@pytest.mark.parametrize(
    "make", [lambda y: (y,), lambda y: {"only": y}, lambda y: Fields(y), lambda y: (y, None), lambda y: ((y,), y.sum())]
)
def test_a_single_output_is_that_output(make: Any) -> None:
    model = xaikit_torch.wrap(Returning(make), inputs=xk.Array(3), outputs=xk.Values(["u", "v"]))
    assert model.run(nets.draw(4, 3)).output.shape == (4, 2)
    assert model.pull(nets.draw(4, 3), np.ones((4, 2))).gradient.shape == (4, 3)


@pytest.mark.parametrize("count", [1, 3])
def test_numbers_become_columns(count: int) -> None:
    model = xaikit_torch.wrap(Returning(lambda y: y[:, 0].squeeze()), inputs=xk.Array(3))
    pull = model.pull(nets.draw(count, 3), np.ones((count, 1)))
    assert model.run(nets.draw(count, 3)).output.shape == (count, 1)
    assert_allclose(pull.gradient, np.repeat(model.weights("fc")["weight"][:1], count, axis=0), **CLOSE)


def test_the_state_of_a_recurrent_network_has_its_samples_first() -> None:
    net = nets.seeded(lambda: nn.LSTM(3, 4, num_layers=2, batch_first=True))
    x = nets.draw(2, 5, 3)
    output = xaikit_torch.wrap(net, inputs=xk.Series(5, 3)).run(x).output
    out, (h, c) = net(torch.tensor(x))
    assert list(output) == ["0", "1/0", "1/1"]
    assert_allclose(output["0"], out.detach().numpy(), **CLOSE)
    assert_allclose(output["1/0"], h.detach().numpy().swapaxes(0, 1), **CLOSE)
    assert_allclose(output["1/1"], c.detach().numpy().swapaxes(0, 1), **CLOSE)


def test_an_output_without_samples_is_an_error() -> None:
    model = xaikit_torch.wrap(Returning(lambda y: y.sum(0)), inputs=xk.Array(3), name="pooled")
    with pytest.raises(ModelError, match=r"pooled: the output has shape \(2,\) for 4 samples"):
        model.run(nets.draw(4, 3))


def test_an_output_with_channels_first_is_moved_and_one_with_channels_last_is_not() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 5, 1)

        def forward(self, x: Any) -> Any:
            y = self.conv(x)
            return {"map": y, "tokens": y.flatten(2).transpose(1, 2)}

    model = xaikit_torch.wrap(nets.seeded(Net), inputs=xk.Image(2, 4, 3))
    x = nets.draw(2, 2, 4, 3)
    output = model.run(x).output
    assert output["map"].shape == (2, 2, 4, 5)
    assert_array_equal(output["tokens"], output["map"].reshape(2, 8, 5))
    seed = {"map": nets.draw(2, 2, 4, 5), "tokens": nets.draw(2, 8, 5, seed=2)}
    expected = (seed["map"] + seed["tokens"].reshape(2, 2, 4, 5)) @ model.weights("conv")["weight"][:, :, 0, 0]
    assert_allclose(model.pull(x, seed).gradient, expected, rtol=1e-5, atol=1e-6)


# --- scores ----------------------------------------------------------------------------------------------------------


def ending(name: str) -> Any:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.soft, self.sigm = nn.Linear(3, 4), nn.Softmax(-1), nn.Sigmoid()
            self.fc1 = nn.Linear(3, 1)

        def forward(self, x: Any) -> Any:
            y = self.fc(x)
            if name == "squeezed":
                return torch.sigmoid(self.fc1(x)).squeeze(-1)
            ends = {
                "softmax module": lambda: self.soft(y),
                "softmax function": lambda: F.softmax(y, 1),
                "softmax method": lambda: y.softmax(dim=-1),
                "sigmoid module": lambda: self.sigm(y),
                "sigmoid function": lambda: torch.sigmoid(y),
                "sigmoid in place": lambda: y.sigmoid_(),
                "reshaped": lambda: F.softmax(y.view(-1, 2, 2).flatten(1), -1).reshape(-1, 4),
                "first of a sigmoid": lambda: torch.sigmoid(y)[:, :4],
            }
            return ends[name]()

    return nets.seeded(Net)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("softmax module", "softmax"),
        ("softmax function", "softmax"),
        ("softmax method", "softmax"),
        ("reshaped", "softmax"),
        ("sigmoid module", "sigmoid"),
        ("sigmoid function", "sigmoid"),
        ("sigmoid in place", "sigmoid"),
        ("first of a sigmoid", "sigmoid"),
        ("squeezed", "sigmoid"),
    ],
)
def test_the_logit_is_what_enters_the_final_softmax_or_sigmoid(name: str, form: str) -> None:
    net = ending(name)
    model = xaikit_torch.wrap(net, inputs=xk.Array(3), outputs=xk.Classes(2 if name == "squeezed" else 4))
    x = 20 * nets.draw(5, 3)  # far out, where a logit cannot be had back from the probability
    fc = net.fc1 if name == "squeezed" else net.fc
    logit = fc(torch.tensor(x)).detach().numpy()
    assert_allclose(model.run(x, score="logit").output, logit, **CLOSE)
    assert model.outputs.form == form
    expected = torch.tensor(logit).softmax(-1) if form == "softmax" else torch.tensor(logit).sigmoid()
    for score in ("output", "probability"):
        assert_allclose(model.run(x, score=score).output, expected.numpy(), **CLOSE)
    seed = nets.draw(*logit.shape)
    pull = model.pull(x, seed, score="logit")
    assert_allclose(pull.value, logit, **CLOSE)
    if name in ("sigmoid in place", "reshaped", "first of a sigmoid", "squeezed"):  # something comes after the end
        assert pull.output is model.run(x, score="logit").raw is None
    else:
        assert_array_equal(pull.output, model.run(x).output)
        assert_array_equal(model.run(x, score="logit").raw, model.run(x).output)
    assert_allclose(pull.gradient, seed @ fc.weight.detach().numpy(), rtol=1e-5, atol=1e-6)


class Counting(nn.Softmax):
    """A softmax of a user's own, which counts the rows that it is given."""

    rows = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        type(self).rows += len(x)
        return super().forward(x)


def rows_of(module: nn.Module) -> list[int]:
    seen: list[int] = []
    module.register_forward_hook(lambda m, a, out: seen.append(len(a[0])))
    return seen


@pytest.mark.parametrize(("name", "kind"), [("softmax module", nn.Softmax), ("sigmoid module", nn.Sigmoid)])
def test_what_nobody_asks_for_behind_the_logits_is_not_computed(
    name: str, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = xaikit_torch.wrap(ending(name), inputs=xk.Array(3), outputs=xk.Classes(4))
    monkeypatch.setattr(model, "_batch", 4)
    x = nets.draw(10, 3)
    whole = model.run(x, score="logit")
    seen: list[int] = []
    plain = kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, x: (seen.append(len(x)), plain(self, x))[1])
    spared = model.run(x, score="logit", raw=False)
    assert seen == [0, 0, 0]
    assert spared.raw is None
    assert whole.raw is not None
    assert_array_equal(spared.output, whole.output)
    assert_array_equal(model.run(x, raw=False).output, whole.raw)
    model.run(x, score="logit")
    assert seen == [0, 0, 0, 4, 4, 2, 4, 4, 2]


def test_an_end_that_others_watch_or_that_is_a_users_own_is_given_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    watched, own = ending("softmax module"), ending("softmax module")
    seen = rows_of(watched.soft)
    own.soft = Counting(-1)
    for net in (watched, own):
        model = xaikit_torch.wrap(net, inputs=xk.Array(3), outputs=xk.Classes(4))
        monkeypatch.setattr(model, "_batch", 4)
        x = nets.draw(10, 3)
        logits = model.run(x, score="logit").output
        seen.clear()
        Counting.rows = 0
        assert_array_equal(model.run(x, score="logit", raw=False).output, logits)
        assert sum(seen) == 10 if net is watched else Counting.rows == 10


def test_the_end_itself_keeps_its_value_when_the_logit_is_asked_for() -> None:
    model = xaikit_torch.wrap(ending("softmax module"), inputs=xk.Array(3))
    run = model.run(nets.draw(2, 3), at=["soft"], score="logit")
    assert_allclose(run.activations["soft"].sum(1), 1, rtol=1e-6)
    assert not np.allclose(run.output.sum(1), 1)


def test_a_patched_logit_follows_the_patch() -> None:
    model = xaikit_torch.wrap(ending("softmax function"), inputs=xk.Array(3))
    assert_array_equal(model.run(nets.draw(2, 3), patch={"fc": nets.draw(2, 4)}, score="logit").output, nets.draw(2, 4))


@pytest.mark.parametrize("width", [1, 3])
def test_logits_become_probabilities(width: int) -> None:
    net = nets.seeded(lambda: nn.Sequential(nn.Linear(3, width)))
    model = xaikit_torch.wrap(net, inputs=xk.Array(3), outputs=xk.Classes(max(width, 2)))
    x, seed = nets.draw(4, 3), nets.draw(4, width)
    z = net(torch.tensor(x)).detach().numpy().astype(np.float64)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True) if width > 1 else 1 / (1 + np.exp(-z))
    assert model.run(x, score="logit").output.shape == z.shape
    assert model.outputs.form == "logits"
    pull = model.pull(x, seed, score="probability")
    assert_allclose(pull.value, p, **CLOSE)
    assert_allclose(pull.output, z, **CLOSE)
    inner = p * (seed - (p * seed).sum(1, keepdims=True)) if width > 1 else p * (1 - p) * seed
    assert_allclose(pull.gradient, inner @ net[0].weight.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_log_probabilities_count_as_logits() -> None:
    net = nets.seeded(lambda: nn.Sequential(nn.Linear(3, 4), nn.LogSoftmax(-1)))
    model = xaikit_torch.wrap(net, inputs=xk.Array(3), outputs=xk.Classes(4))
    x = nets.draw(4, 3)
    assert_array_equal(model.run(x, score="logit").output, model.run(x).output)
    assert_allclose(model.run(x, score="probability").output, np.exp(model.run(x).output), rtol=1e-5)


def test_a_selected_probability_of_a_softmax_has_no_logit() -> None:
    net = nets.seeded(lambda: Returning(lambda y: y.softmax(1)[:, 1]))
    model = xaikit_torch.wrap(net, inputs=xk.Array(3), outputs=xk.Classes(2, form="sigmoid"))
    with pytest.raises(NotSupported, match="ends in no call of sigmoid"):
        model.run(nets.draw(2, 3), score="logit")


def test_several_outputs_have_each_their_own_end() -> None:
    model = xaikit_torch.wrap(nets.seeded(nets.Two), inputs={"row": xk.Array(3), "picture": xk.Array((1, 5, 5))})
    x = {"row": nets.draw(2, 3), "picture": nets.draw(2, 1, 5, 5)}
    run, logit = model.run(x, at=["head"]), model.run(x, score="logit")
    assert model.outputs == {"score": xk.Classes((0, 1), "softmax"), "value": xk.Values((0,))}
    assert_array_equal(logit.output["score"], run.activations["head"])
    assert_array_equal(logit.output["value"], run.output["value"])
    pull = model.pull(x, {"score": nets.draw(2, 2), "value": nets.draw(2, 1)}, score="logit")
    assert pull.output is not None
    for name in ("score", "value"):
        assert_array_equal(pull.output[name], run.output[name])


# --- inputs and types ------------------------------------------------------------------------------------------------


def test_inputs_go_by_the_names_of_arguments_or_in_the_order_of_the_spec() -> None:
    net = nets.seeded(nets.Two)
    x = {"row": nets.draw(2, 3), "picture": nets.draw(2, 1, 5, 5)}
    by_name = xaikit_torch.wrap(net, inputs={"row": xk.Array(3), "picture": xk.Array((1, 5, 5))}).run(x).output
    renamed = xaikit_torch.wrap(net, inputs={"a": xk.Array((1, 5, 5)), "b": xk.Array(3)})
    in_order = renamed.run({"b": x["row"], "a": x["picture"]}).output
    assert_array_equal(by_name["value"], in_order["value"])
    assert renamed.layers["image"].parents == ("a",)


def test_without_a_spec_the_arguments_are_the_inputs() -> None:
    model = xaikit_torch.wrap(nets.seeded(nets.Two))
    assert list(model.inputs) == ["picture", "row"]
    assert list(model.run({"picture": nets.draw(2, 1, 5, 5), "row": nets.draw(2, 3)}).output) == ["score", "value"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_networks_of_other_precision_take_and_give_float32(dtype: Any) -> None:
    net = nets.seeded(lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))
    single = xaikit_torch.wrap(copy.deepcopy(net), inputs=xk.Array(3))
    model = xaikit_torch.wrap(net.to(dtype), inputs=xk.Array(3))
    x, seed = nets.draw(4, 3), nets.draw(4, 2)
    run, pull = model.run(x, at=["1"], patch={"0": nets.draw(1, 4)}), model.pull(x, seed, wrt="1")
    reference = single.run(x, at=["1"], patch={"0": nets.draw(1, 4)})
    assert run.output.dtype == run.activations["1"].dtype == pull.gradient.dtype == np.float32
    close = {torch.float16: 5e-3, torch.bfloat16: 5e-2, torch.float64: 1e-6}[dtype]
    assert_allclose(run.output, reference.output, rtol=close, atol=close)
    assert_allclose(pull.gradient, seed @ single.weights("2")["weight"], rtol=close, atol=close)


def test_integers_stay_integers() -> None:
    seen: list[Any] = []

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(9, 3)

        def forward(self, ids: Any) -> Any:
            seen.append(ids.dtype)
            return self.embed(ids).mean(1)

    model = xaikit_torch.wrap(Net().half(), inputs=xk.Text(4))
    model.run(np.array([[1, 2, 3, 4]], np.int32))
    assert set(seen) == {torch.int64, torch.int32}


def test_the_callers_array_is_not_written_to() -> None:
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 1))
    x = nets.draw(4, 3)
    before = x.copy()
    x.flags.writeable = False
    model = xaikit_torch.wrap(net, inputs=xk.Array(3))
    model.run(x)
    model.pull(x, nets.ones_like)
    assert_array_equal(x, before)


def test_a_result_does_not_share_memory_with_the_weights() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.constant = nn.Parameter(torch.ones(2, 3))

        def forward(self, x: Any) -> Any:
            return self.constant

    model = xaikit_torch.wrap(Net(), inputs=xk.Array(3))
    model.run(nets.draw(2, 3)).output[:] = 7
    assert model.net.constant.detach().numpy().max() == 1
