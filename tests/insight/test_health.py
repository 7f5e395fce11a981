"""What comes through the layers: exact in one pass, equal to the frameworks' own, and judged by the rule it states."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import ADAPTERS, IMAGE, NAMES, image_pair, state_of
from tests.keras import nets as keras_nets
from tests.torch import nets as torch_nets
from xaikit.errors import InputError, NotSupported, UnknownName, UsageError
from xaikit.insight import _health

pytestmark = pytest.mark.slow

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
"""float32 passes in chunks of other sizes."""


def many(count: int = 150) -> Any:
    return np.random.default_rng(5).integers(0, 256, (count, 12, 12, 3)).astype(np.uint8)


def wrapped(net: Any, width: int = 8, classes: int = 3) -> Any:
    return xk.wrap(net, inputs=xk.Array((width,)), outputs=xk.Classes(range(classes)))


def chain(function: Any, layers: int, gain: float = 1.0, width: int = 24) -> Any:
    """Give a torch MLP whose weights are `gain` times torch's own."""
    import torch
    from torch import nn

    def build() -> Any:
        parts: list[Any] = []
        for k in range(layers):
            parts += [nn.Linear(width if k else 8, width), function()]
        return nn.Sequential(*parts, nn.Linear(width, 3))

    net = torch_nets.seeded(build)
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(gain)
    return net


@pytest.mark.parametrize("framework", ADAPTERS)
def test_a_stream_gives_what_the_whole_gives(framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = image_pair(framework)[0], many()
    y = np.arange(len(x)) % len(NAMES)
    whole = xk.layer_health(model, x, y)
    monkeypatch.setattr(_health, "CHUNK", 13)
    monkeypatch.setattr(_health, "HELD", 40_000)

    def stream() -> Iterator[Any]:
        yield from x

    parts = xk.layer_health(model, stream(), [NAMES[k] for k in y])
    assert list(parts) == list(whole)
    assert (parts.seen, parts.origin.input_hash) == (150, whole.origin.input_hash)
    for name in whole:
        for key, value in whole[name].statistics.items():
            assert_allclose(parts[name].statistics[key], value, **CLOSE, err_msg=f"{name} {key}")
        assert_allclose(parts[name].gradient, whole[name].gradient, rtol=1e-5)
        assert len(parts[name].activations) == len(whole[name].activations) == x.shape[0] * whole[name].values


@pytest.mark.parametrize("framework", ADAPTERS)
def test_the_numbers_are_those_of_activations_and_of_pull(framework: str) -> None:
    model, x = image_pair(framework)
    before = state_of(model)
    found = xk.layer_health(model, x, [0, 1, 2])
    assert state_of(model) == before
    a = xk.activations(model, x, list(found))
    p = model.run(model.inputs.encode(x), score="probability").output
    seed = (p - np.eye(4)[[0, 1, 2]]).astype("f")
    for name in found:
        own = a.statistics(name)
        for key in ("mean", "std", "min", "max", "sparsity", "dead"):
            assert_allclose(found[name].statistics[key], own[key], rtol=1e-6, atol=1e-7)
        if name == "head":
            continue
        gradient = model.pull(model.inputs.encode(x), seed, wrt=name, score="logit").gradient
        norm = np.sqrt((gradient.reshape(3, -1) ** 2).sum(1).mean())
        assert_allclose(found[name].gradient, norm, rtol=1e-5)
    assert_allclose(found["head"].gradient, np.sqrt((seed**2).sum(1).mean()), rtol=1e-5)


def test_both_frameworks_agree() -> None:
    ours, theirs = (xk.layer_health(image_pair(f)[0], many(20), np.arange(20) % 4) for f in ADAPTERS)
    assert (ours.loss, ours.flow) == (theirs.loss, theirs.flow) == ("cross-entropy", "steady")
    assert_allclose(ours.ratio, theirs.ratio * ours["c1"].gradient / theirs["c1"].gradient, rtol=1e-4)
    assert_allclose(ours["r1"].statistics["mean"], theirs["c1"].statistics["mean"], rtol=1e-5)  # fused in Keras
    assert (ours["r1"].dead, ours["r2"].dead) == (theirs["c1"].dead, theirs["c2"].dead)
    assert_array_equal(ours["c1"].weights.counts, theirs["c1"].weights.counts)
    assert_array_equal(ours["r2"].before.edges, theirs["c2"].before.edges)
    assert np.abs(ours["r2"].before.counts - theirs["c2"].before.counts).sum() <= 4  # rounding at the bins' edges


def test_gradients_are_those_of_autograd_by_hand() -> None:
    import torch

    net, x, y = chain(torch.nn.Tanh, 2), torch_nets.draw(20, 8), np.arange(20) % 3
    found = xk.layer_health(wrapped(net), x, y)
    values, t = [], torch.tensor(x)
    for layer in net:
        t = layer(t)
        t.retain_grad()
        values.append(t)
    torch.nn.functional.cross_entropy(t, torch.tensor(y), reduction="sum").backward()
    for name, value in zip(found, values, strict=True):
        assert_allclose(found[name].gradient, np.sqrt((value.grad.numpy() ** 2).sum(1).mean()), rtol=1e-5)
    before = np.concatenate([v.detach().numpy().ravel() for v in (values[0],)])
    assert_array_equal(found["1"].before.counts, np.histogram(before, found["1"].before.edges)[0])


@pytest.mark.parametrize(
    ("function", "layers", "gain", "flow"),
    [("Sigmoid", 10, 1.0, "vanishing"), ("ReLU", 3, 1.0, "steady"), ("Identity", 12, 5.0, "exploding")],
)
def test_the_verdict_on_the_gradient(function: str, layers: int, gain: float, flow: str) -> None:
    from torch import nn

    found = xk.layer_health(wrapped(chain(getattr(nn, function), layers, gain)), torch_nets.draw(50, 8))
    assert found.flow == flow
    assert (found.status == "ok") == (flow == "steady")
    assert (flow in " ".join(found.status.reasons)) == (flow != "steady")
    assert found.ratio == found[found.ends[0]].gradient / found[found.ends[1]].gradient
    assert flow in found.verdict


def test_a_deep_sigmoid_network_in_keras_vanishes_too() -> None:
    import keras

    layers = [keras.layers.Dense(16, activation="sigmoid", name=f"d{k}") for k in range(9)]
    net = keras.Sequential([keras.layers.Input((8,)), *layers, keras.layers.Dense(3, activation="softmax")])
    found = xk.layer_health(xk.wrap(net), torch_nets.draw(30, 8), np.arange(30) % 3)
    assert found.flow == "vanishing"
    assert found["d3"].before is not None
    assert (found["d3"].function, found["d3"].before.largest) != ("relu", 0)


def test_dead_units_are_found_and_a_dead_layer_fails() -> None:
    import torch

    net = chain(torch.nn.ReLU, 2, width=16)
    with torch.no_grad():
        net[2].bias[:12] = -50.0
    found = xk.layer_health(wrapped(net), torch_nets.draw(60, 8), np.arange(60) % 3)
    assert found["3"].dead >= 12 / 16
    assert found["3"].statistics["dead"][:12].all()
    assert np.isnan(found["2"].dead)  # a dense layer may well be negative
    assert found.status == "warn"
    assert "of the units are dead at '3'" in found.status.reasons[0]
    with torch.no_grad():
        net[2].bias[:] = -50.0
    gone = xk.layer_health(wrapped(net), torch_nets.draw(60, 8), np.arange(60) % 3)
    assert (gone.status, gone.flow, gone.ratio) == ("fail", "blocked", 0)
    assert "every unit is dead at '3'" in gone.status.reasons[0]
    assert any("no gradient reaches '0'" in r for r in gone.status.reasons)


def test_saturated_values_are_found() -> None:
    import torch

    x = torch_nets.draw(60, 8)
    net = chain(torch.nn.Tanh, 1, gain=40.0)
    found = xk.layer_health(wrapped(net), x)
    out = np.tanh(x @ net[0].weight.detach().numpy().T + net[0].bias.detach().numpy())
    assert_allclose(found["1"].saturated, np.mean(1 - out**2 < 0.05), atol=1e-3)
    assert "of the values are saturated at '1'" in found.status.reasons[0]


def test_values_that_are_not_finite_fail() -> None:
    import torch

    net = chain(torch.nn.ReLU, 2)
    with torch.no_grad():
        net[2].weight[0] = np.nan
    found = xk.layer_health(wrapped(net), torch_nets.draw(5, 8))
    assert found.status == "fail"
    assert "not finite begin at '2'" in found.status.reasons[0]
    assert found.flow == "unknown"
    assert found["2"].statistics["lost"][0] == 1
    assert "2" in found.text


def test_a_fused_layer_has_what_enters_its_function() -> None:
    import keras

    layers = keras.layers
    net = keras_nets.filled(
        keras.Sequential(
            [
                layers.Input((9, 9, 4)),
                layers.Conv2D(6, 3, strides=2, padding="same", groups=2, activation="relu", name="a"),
                layers.Conv2D(5, 2, dilation_rate=2, activation="tanh", name="b"),
                layers.Flatten(),
                layers.Dense(7, activation="relu", name="c"),
            ]
        )
    )
    x = np.random.default_rng(2).normal(size=(5, 9, 9, 4)).astype("f")
    found = xk.layer_health(xk.wrap(net), x, gradients=False)
    bare = keras.models.clone_model(net)
    bare.set_weights(net.get_weights())
    entered = x
    for name in ("a", "b", None, "c"):
        layer = bare.layers[2] if name is None else bare.get_layer(name)
        function = getattr(layer, "activation", keras.activations.linear)
        if name:
            layer.activation = keras.activations.linear
            z = np.asarray(layer(entered))
            assert_allclose([found[name].before.least, found[name].before.largest], [z.min(), z.max()], rtol=1e-5)
            counted = np.histogram(z, found[name].before.edges)[0]
            assert np.abs(found[name].before.counts - counted).sum() <= 4  # rounding at the bins' edges
        entered = function(layer(entered))


def test_recurrent_text_and_what_has_no_labels() -> None:
    found = xk.layer_health(xk.wrap(keras_nets.text(), inputs=xk.Text(7)), keras_nets.sentences())
    assert list(found) == ["embedding", "lstm", "head"]
    assert found.flow == "steady"
    assert found["lstm"].gradient > 0
    net = torch_nets.seeded(torch_nets.Padded)
    padded = xk.wrap(net, inputs=xk.Text(7), outputs={"0": xk.Classes(range(3))})
    told = xk.layer_health(padded, keras_nets.sentences(), {"0": [0, 1, 2]})
    assert told.loss == "cross-entropy"
    assert told["embed"].gradient > 0


def test_a_layer_whose_last_state_alone_is_read_does_not_block() -> None:
    from torch import nn

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.GRU(2, 5, batch_first=True), nn.Linear(5, 3)
            self.more = nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            return self.more(self.head(self.rnn(x)[1][0]))

    found = xk.layer_health(xk.wrap(torch_nets.seeded(Last), inputs=xk.Series(9, 2)), torch_nets.draw(6, 9, 2))
    assert found["rnn"].gradient == 0
    assert (found.flow, found.ends, found.status) == ("steady", ("head", "more"), "ok")


def test_autoencoders_and_several_outputs() -> None:
    import torch

    net = torch_nets.seeded(torch_nets.Autoencoder)
    x = torch_nets.draw(12, 8)
    found = xk.layer_health(xk.wrap(net, inputs=xk.Array((8,)), outputs=xk.Reconstruction()), x)
    assert found.loss == "reconstruction error (mse)"
    out = net(torch.tensor(x)).detach().numpy()
    assert_allclose(found["decoder.3"].gradient, np.sqrt(((2 * (out - x) / 8) ** 2).sum(1).mean()), rtol=1e-5)
    both = xk.wrap(keras_nets.two_headed())
    sides = {"left": keras_nets.rows(), "right": keras_nets.rows() + 1}
    told = xk.layer_health(both, sides, {"size": [1.0, 2.0, 3.0]})
    assert told.loss == "mean squared error"
    assert told["shared:1"].gradient > 0
    assert xk.layer_health(both, sides).loss == "logit of the predicted class + sum of the outputs"


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_half_precision(kind: str) -> None:
    import torch

    net = chain(torch.nn.ReLU, 2)
    full = xk.layer_health(wrapped(net), torch_nets.draw(20, 8))
    half = xk.layer_health(wrapped(net.to(getattr(torch, kind))), torch_nets.draw(20, 8))
    assert half.status == "ok"
    assert_allclose(half.ratio, full.ratio, rtol=0.1)


def test_shared_layers_functional_calls_and_layers_by_name() -> None:
    model = xk.wrap(torch_nets.seeded(torch_nets.Residual), inputs=xk.Image(17, 17, 3, scale=1.0))
    x = torch_nets.draw(4, 17, 17, 3)
    found = xk.layer_health(model, x, layers=["layer1.0.relu", "layer1.0.relu:1", "stem", "relu"])
    assert found["layer1.0.relu"].gradient != found["layer1.0.relu:1"].gradient
    assert found["relu"].function == "relu"
    assert found["layer1.0.relu"].before.least < 0
    values = xk.activations(model, x, "layer1.0.relu:1")["layer1.0.relu:1"]
    assert_allclose(found["layer1.0.relu:1"].statistics["mean"], values.mean((0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize("framework", ADAPTERS)
def test_what_cannot_be_asked(framework: str) -> None:
    model, x = image_pair(framework)
    with pytest.raises(UnknownName, match="did you mean 'c1'"):
        xk.layer_health(model, x, layers="cl1")
    with pytest.raises(UsageError, match="no layer was asked for"):
        xk.layer_health(model, x, layers=[])
    with pytest.raises(InputError, match="2 entries"):
        xk.layer_health(model, x, [0, 1])
    with pytest.raises(InputError, match="4 entries for 3"):
        xk.layer_health(model, x, [0, 1, 2, 3])
    with pytest.raises(InputError, match="classes are 0 to 3"):
        xk.layer_health(model, x, [0, 1, 9])
    with pytest.raises(InputError, match="no sample"):
        xk.layer_health(model, [])
    with pytest.raises(InputError, match="one sequence"):
        xk.layer_health(model, x, {"a": [0, 1, 2]})


def test_a_function_shows_no_layers() -> None:
    with pytest.raises(NotSupported, match="shows no layers"):
        xk.layer_health(xk.wrap(lambda x: x, inputs=xk.Array((3,))), np.ones((2, 3)))


def test_progress_is_told_and_may_stop_it() -> None:
    told: list[tuple[int, int]] = []
    xk.layer_health(image_pair("torch")[0], many(130), gradients=False, progress=lambda *s: told.append(s))
    assert told == [(64, 130), (128, 130), (130, 130)]


def test_what_was_stored_reads_back_equal(tmp_path: Path) -> None:
    import torch

    model, x = wrapped(chain(torch.nn.ReLU, 1)), torch_nets.draw(9, 8)
    found = xk.layer_health(model, x)
    back = xk.load(xk.save(found, tmp_path / "health"))
    assert back.text == found.text
    assert back.table() == found.table()
    assert (back.origin, back.status, back.status.reasons) == (found.origin, found.status, found.status.reasons)
    for name in found:
        assert_array_equal(back[name].gradients.counts, found[name].gradients.counts)
        assert back[name].before is None or back[name].before.width == found[name].before.width
    with pytest.raises(UnknownName, match="measured layer"):
        found["5"]


def test_without_gradients_the_rest_is_there() -> None:
    model, x = image_pair("torch")
    found = xk.layer_health(model, x, gradients=False)
    assert (found.loss, found.flow, found.status) == ("", "unknown", "ok")
    assert np.isnan(found["c1"].gradient)
    assert found["c1"].gradients is None
    assert IMAGE is model.inputs
