"""What layers give: equal to the framework's own values, channels last whatever the framework."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import ADAPTERS, image_pair, state_of
from tests.keras import nets as keras_nets
from tests.torch import nets as torch_nets
from xaikit.errors import NotSupported, ParameterError, UnknownName, UsageError
from xaikit.insight import _activations


def hooked(net: Any, path: str, x: Any) -> Any:
    """Give what a torch module returns at its first call, copied before anything can overwrite it."""
    import torch

    kept: list[Any] = []
    handle = net.get_submodule(path).register_forward_hook(lambda m, i, o: kept.append(o.detach().clone()))
    training = net.training
    try:
        with torch.no_grad():
            net.eval()(torch.tensor(x))
    finally:
        handle.remove()
        net.train(training)
    return kept[0].numpy()


def test_torch_values_are_those_of_forward_hooks() -> None:
    net = torch_nets.seeded(torch_nets.Residual)
    model = xk.wrap(net, inputs=xk.Image(17, 17, 3, scale=1.0))
    x = torch_nets.draw(3, 17, 17, 3)
    before = state_of(model)
    a = xk.activations(model, x)
    assert state_of(model) == before
    assert list(a) == list(model.layers)
    own = x.transpose(0, 3, 1, 2)
    for path in ("stem", "layer1.0.conv1", "layer1.1.bn"):
        assert_allclose(a[path], hooked(net, path, own).transpose(0, 2, 3, 1), atol=1e-6)
        assert a.axes[path] == ("sample", "height", "width", "channel")
    assert a["head"].shape == (3, 5)


def test_values_before_a_relu_in_place_are_its_input() -> None:
    model = xk.wrap(torch_nets.seeded(torch_nets.Inplace), inputs=xk.Series(9, 2))
    a = xk.activations(model, torch_nets.draw(2, 9, 2))
    relu = next(n for n, layer in model.layers.items() if layer.kind == "relu")
    assert a["conv"].shape == (2, 7, 3)
    assert a["conv"].min() < 0
    assert_array_equal(a[relu], np.maximum(a["conv"], 0))


def test_the_second_call_of_a_layer_has_values_of_its_own() -> None:
    model = xk.wrap(torch_nets.seeded(torch_nets.Residual), inputs=xk.Image(17, 17, 3, scale=1.0))
    x = torch_nets.draw(2, 17, 17, 3)
    names = ["layer1.0.conv2", "layer1.0.relu", "layer1.0.relu:1"]
    a = xk.activations(model, x, names)
    assert list(a) == names
    assert (a["layer1.0.relu"] != a["layer1.0.relu:1"]).any()


def test_without_a_spec_channels_come_last_all_the_same() -> None:
    net = torch_nets.seeded(torch_nets.Residual)
    x = torch_nets.draw(2, 3, 17, 17)
    a = xk.activations(xk.wrap(net), x)
    assert_allclose(a["stem"], hooked(net, "stem", x).transpose(0, 2, 3, 1), atol=1e-6)
    assert a.axes["stem"] == ("sample", "height", "width", "channel")


def test_keras_values_are_those_of_an_intermediate_model() -> None:
    import keras

    net = keras_nets.cnn()
    model, x = xk.wrap(net), keras_nets.images()
    before = state_of(model)
    a = xk.activations(model, x, ["c1", "bn", "c2", "r2", "gap", "head"])
    assert state_of(model) == before
    inner = keras.Model(net.inputs[0], [net.get_layer(n).output for n in a])
    for name, value in zip(a, inner(x, training=False), strict=True):
        assert_allclose(a[name], value, atol=1e-6)


def test_keras_subclassed_and_nested_layers() -> None:
    net = keras_nets.subclassed()
    x = keras_nets.rows()
    a = xk.activations(xk.wrap(net, inputs=xk.Array((4,))), x)
    first = np.asarray(net.first(x))
    assert_allclose(a["first"], first, atol=1e-6)
    assert_allclose(a["inner/b"], np.maximum(net.inner.layers[0](first), 0), atol=1e-6)


def test_keras_channels_first_comes_out_channels_last() -> None:
    import keras

    layers = keras.layers
    net = keras.Sequential([layers.Input((2, 9)), layers.Conv1D(3, 3, data_format="channels_first", name="c")])
    x = np.random.default_rng(0).normal(size=(2, 2, 9)).astype("f")
    model = xk.wrap(net)
    try:
        a = xk.activations(model, x, "c")
    except xk.XaikitError as error:
        pytest.skip(f"TensorFlow cannot run channels first here: {error}")
    assert a.axes["c"] == ("sample", "time", "channel")
    assert_allclose(a["c"], model.run(x).output.transpose(0, 2, 1), atol=1e-6)


@pytest.mark.parametrize("framework", ADAPTERS)
def test_sequences(framework: str) -> None:
    if framework == "torch":
        model = xk.wrap(torch_nets.seeded(torch_nets.Padded), inputs=xk.Text(7), outputs={"0": xk.Values(range(3))})
        name = "lstm"
    else:
        import keras

        layer = keras.layers.LSTM(4, return_sequences=True, name="lstm")
        net = keras.Sequential([keras.layers.Input((7,), dtype="int32"), keras.layers.Embedding(20, 6), layer])
        model, name = xk.wrap(net, inputs=xk.Text(7)), "lstm"
    a = xk.activations(model, keras_nets.sentences(), name)
    assert a.axes[name] == ("sample", "time", "channel")
    assert a[name].shape[:2] == (3, 7)


def test_two_inputs() -> None:
    model = xk.wrap(keras_nets.two_headed())
    x = {"left": keras_nets.rows(), "right": keras_nets.rows() + 1}
    a = xk.activations(model, x, ["shared", "shared:1"])
    assert len(a) == 3
    assert (a["shared"] != a["shared:1"]).any()


@pytest.mark.parametrize("framework", ADAPTERS)
def test_one_sample_or_many_give_the_same(framework: str) -> None:
    model, x = image_pair(framework)
    many, alone = xk.activations(model, x, "c2"), xk.activations(model, x[1], "c2")
    assert_allclose(alone["c2"][0], many["c2"][1], rtol=1e-6, atol=1e-6)
    assert alone.origin.input_hash == many.origin.input_hash[1:2]
    assert_array_equal(many.display, x)


def test_statistics_rankings_and_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = image_pair("torch")
    a = xk.activations(model, x, "r2")
    values = np.zeros((2, 2, 2, 4), "f")
    values[0, 0, 0] = [1, 0, -2, 8]
    values[1, 1, 1] = [3, 0, 0, 0]
    monkeypatch.setitem(a.values, "r2", values)
    s = a.statistics("r2")
    assert_allclose(s["mean"], [0.5, 0, -0.25, 1])
    assert_array_equal(s["max"], [3, 0, 0, 8])
    assert_array_equal(s["min"], [0, 0, -2, 0])
    assert_allclose(s["sparsity"], [6 / 8, 1, 7 / 8, 7 / 8])
    assert_allclose(s["positive"], [2 / 8, 0, 0, 1 / 8])
    assert_array_equal(s["dead"], [False, True, True, False])  # never above zero
    assert_allclose(
        s["skew"], [15 / 8 / s["std"][0] ** 3, 0, -np.sqrt(7) + 1 / np.sqrt(7), np.sqrt(7) - 1 / np.sqrt(7)]
    )
    assert_array_equal(s["nearest"], -1)  # eight places are too few to compare channels by
    assert_array_equal(a.ranking("r2"), [3, 0, 1, 2])
    assert_array_equal(a.ranking("r2", sample=1), [0, 1, 2, 3])
    assert_array_equal(a.ranking("r2", by="mean-abs"), [3, 0, 2, 1])
    assert a.limits("r2", 100) == (-2, 8)
    assert a.limits("r2", 100, roi=(slice(1, 2), slice(1, 2))) == (0, 3)
    low, high = a.limits("r2", 90)
    assert -2 < low <= 0 <= high < 8
    for wrong, match in (({"percentile": 40}, "percentile"), ({"roi": (slice(2),)}, "2 axes of space")):
        with pytest.raises(ParameterError, match=match):
            a.limits("r2", **wrong)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="no place"):
        a.limits("r2", roi=(slice(5, 9), slice(5, 9)))
    with pytest.raises(UnknownName):
        a.ranking("r2", by="maximum")


@pytest.mark.parametrize("framework", ADAPTERS)
def test_what_cannot_be_asked(framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = image_pair(framework)
    with pytest.raises(UnknownName, match="did you mean 'c1'"):
        xk.activations(model, x, "cl1")
    with pytest.raises(UnknownName, match="recorded layer"):
        xk.activations(model, x, "c1")["c2"]
    with pytest.raises(UsageError, match="no layer was asked for"):
        xk.activations(model, x, [])
    monkeypatch.setattr(_activations, "MOST_BYTES", 1000)
    with pytest.raises(ParameterError, match="name some layers"):
        xk.activations(model, x)


def test_a_function_shows_no_layers() -> None:
    model = xk.wrap(lambda x: x, inputs=xk.Array((3,)))
    with pytest.raises(NotSupported, match="shows no layers"):
        xk.activations(model, np.ones((2, 3)))


def test_what_was_stored_reads_back_equal(tmp_path: Path) -> None:
    model, x = image_pair("keras")
    a = xk.activations(model, x, ["c1", "head"])
    back = xk.load(xk.save(a, tmp_path / "activations"))
    assert list(back) == ["c1", "head"]
    for name in a:
        assert_array_equal(back[name], a[name])
    assert (dict(back.axes), back.origin, back.input_spec) == (dict(a.axes), a.origin, a.input_spec)


def test_order_centres_and_functions_read_back_equal(tmp_path: Path) -> None:
    model, x = image_pair("torch")
    a = xk.activations(model, x, ["c1", "r1", "head"], order="class-difference", classes=["a", "b", "a"])
    back = xk.load(xk.save(a, tmp_path / "activations"))
    assert (back.order, dict(back.functions)) == ("class-difference", {"r1": "relu"})
    assert_array_equal(back.classes, [0, 1, 0])
    assert list(back.centres) == ["c1", "r1"]
    for ours, theirs in zip(back.centres["c1"], a.centres["c1"], strict=True):
        assert_array_equal(ours, theirs)
        assert_allclose(ours, np.arange(1, 11))
    assert_array_equal(back.ranking("r1"), a.ranking("r1"))


@pytest.mark.parametrize(("size", "first"), [(8, 1.0), (9, 0.0)])
def test_centres_heed_padding_that_is_not_the_same_on_both_sides(size: int, first: float) -> None:
    import keras

    layers = keras.layers
    net = keras.Sequential(
        [
            layers.Input((size, size, 1)),
            layers.Conv2D(2, 3, strides=2, padding="same", name="c"),
            layers.GlobalAveragePooling2D(name="all"),
        ]
    )
    a = xk.activations(xk.wrap(net, inputs=xk.Image(size, size, 1)), np.zeros((size, size, 1), np.uint8))
    assert_allclose(a.centres["c"][0], first + 2 * np.arange(-(-size // 2)))
    assert "all" not in a.centres


FLAT = ("flatten", "dropout")
"""Kinds behind which torch has channel by channel what Keras has place by place."""


@pytest.mark.parametrize("name", ["mnist_cnn", "cats_vs_dogs", "resnet20_cifar10"])
def test_shipped_networks_give_the_same_in_both_frameworks(name: str) -> None:
    models = [xk.zoo.load(name, framework) for framework in ADAPTERS]
    x = np.random.default_rng(0).integers(0, 256, (2, *models[0].inputs.shape)).astype(np.uint8)
    ours, theirs = (xk.activations(m, x) for m in models)
    common = [n for n in ours if n in theirs.values and models[0].layers[n].kind not in FLAT]
    assert len(common) > 5
    for layer in common:
        assert ours.axes[layer] == theirs.axes[layer]
        assert np.abs(ours[layer] - theirs[layer]).max() <= 1e-5 * np.abs(theirs[layer]).max(), layer
