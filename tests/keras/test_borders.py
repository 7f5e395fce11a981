"""Several inputs and outputs, in every structure that Keras has; what a wrapped network is made of."""

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

import xaikit_keras
from tests.keras.nets import L, cnn, filled, hot, images, rows, sentences, text, two_headed
from xaikit.errors import InputError, ModelError, UnknownName
from xaikit.inputs import Array, Classes, Image, Reconstruction, Text, Values

pytestmark = pytest.mark.slow


def test_two_inputs_and_two_outputs():
    net = two_headed()
    model = xaikit_keras.wrap(net)
    x = {"left": rows(3), "right": rows(3) * 2}
    kind, size = net([tf.constant(x["left"]), tf.constant(x["right"])])
    output = model.run(x).output
    assert list(output) == ["kind", "size"]
    np.testing.assert_allclose(output["kind"], kind, rtol=1e-6)
    np.testing.assert_allclose(output["size"], size, rtol=1e-6)
    seed = {"kind": np.zeros((3, 3), "float32"), "size": np.ones((3, 1), "float32")}
    pull = model.pull(x, seed)
    assert {n: g.shape for n, g in pull.gradient.items()} == {"left": (3, 4), "right": (3, 4)}
    step = 1e-2 * rows(3)
    ahead, behind = (model.run({**x, "right": x["right"] + s * step}).output["size"] for s in (1, -1))
    difference = (ahead - behind)[:, 0] / 2
    np.testing.assert_allclose(difference, (pull.gradient["right"] * step).sum(1), rtol=1e-2, atol=1e-4)


def test_inputs_are_matched_by_name_not_by_order():
    model = xaikit_keras.wrap(two_headed())
    x = {"left": rows(3), "right": rows(3) * 2}
    turned = dict(reversed(x.items()))
    np.testing.assert_array_equal(model.run(turned).output["kind"], model.run(x).output["kind"])
    with pytest.raises(InputError, match="'right' is missing"):
        model.run({"left": rows(3)})
    with pytest.raises(UnknownName, match="did you mean 'left'"):
        model.run({"lefts": rows(3), "right": rows(3)})
    with pytest.raises(InputError, match="takes a mapping with"):
        model.run(rows(3))


def test_inputs_and_outputs_in_dictionaries_keep_their_keys():
    a, b = L.Input((4,), name="zebra"), L.Input((2,), name="ant")
    joined = L.Concatenate()([a, b])
    net = filled(keras.Model({"zebra": a, "ant": b}, {"y": L.Dense(2)(joined), "b": L.Dense(1)(joined)}))
    model = xaikit_keras.wrap(net)
    x = {"zebra": rows(3), "ant": rows(3, 2)}
    expected = net({n: tf.constant(v) for n, v in x.items()})
    got = model.run(x).output
    assert {n: v.shape for n, v in got.items()} == {"y": (3, 2), "b": (3, 1)}
    for name, value in got.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-6)


def test_ids_beside_numbers():
    ids, numbers = L.Input((3,), dtype="int32", name="ids"), L.Input((2,), name="numbers")
    words = L.Flatten()(L.Embedding(9, 2, name="embedding")(ids))
    net = filled(keras.Model([ids, numbers], L.Dense(1)(L.Concatenate()([words, numbers]))))
    model = xaikit_keras.wrap(net)
    x = {"ids": np.array([[1, 2, 3]]), "numbers": rows(1, 2)}
    gradient = model.pull(x, np.ones((1, 1), "float32")).gradient
    np.testing.assert_array_equal(gradient["ids"], np.zeros((1, 3)))
    np.testing.assert_allclose(gradient["numbers"], net.layers[-1].kernel.numpy()[-2:].T, rtol=1e-6)


def test_one_layer_that_gives_two_outputs_has_two_names():
    x = L.Input((4,))
    shared = L.Dense(3, name="shared")
    net = filled(keras.Model(x, [shared(x), shared(x * 2)]))
    assert list(xaikit_keras.wrap(net).run(rows(2)).output) == ["shared", "shared:1"]


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclass
class Both:
    one: Any
    two: Any


class Several(keras.Model):
    """Takes and gives what a subclass likes."""

    def __init__(self, gives):
        super().__init__(name="several")
        self.a, self.b, self.gives = L.Dense(3, name="a"), L.Dense(2, name="b"), gives

    def call(self, x, other=None):
        parts = x.values() if isinstance(x, dict) else x if isinstance(x, list) else [x, x if other is None else other]
        one, two = parts
        return self.gives(self.a(one), self.b(two))


@pytest.mark.parametrize(
    ("gives", "names"),
    [
        (lambda a, b: (a, b), ["a", "b"]),
        (lambda a, b: [a, keras.ops.tanh(b)], ["a", "output_1"]),
        (lambda a, b: {"first": a, "second": b}, ["first", "second"]),
        (lambda a, b: (a, None, {"more": b}), ["a", "b"]),
        (lambda a, b: {"deep": {"a": a, "b": b}}, ["deep/a", "deep/b"]),
        (lambda a, b: Pair(a, b), ["left", "right"]),
        (lambda a, b: Both(a, b), ["one", "two"]),
    ],
)
def test_what_a_subclass_gives_is_named(gives, names):
    model = xaikit_keras.wrap(Several(gives), inputs=Array((4,)))
    output = model.run(rows(2)).output
    assert list(output) == names
    assert [v.shape for v in output.values()] == [(2, 3), (2, 2)]


@pytest.mark.parametrize(
    ("gives", "shape"),
    [
        (lambda a, b: (a,), (2, 3)),
        (lambda a, b: [b, None], (2, 2)),
        (lambda a, b: b[:, 0], (2, 1)),
    ],
)
def test_a_single_output_is_one_array(gives, shape):
    assert xaikit_keras.wrap(Several(gives), inputs=Array((4,))).run(rows(2)).output.shape == shape


def test_an_output_without_a_sample_axis_is_refused():
    model = xaikit_keras.wrap(Several(lambda a, b: keras.ops.sum(a)), inputs=Array((4,)))
    with pytest.raises(ModelError, match="gave an output of shape"):
        model.run(rows(2))


@pytest.mark.parametrize("how", ["parameters", "list", "dictionary"])
def test_how_a_subclass_takes_several_inputs(how):
    net = Several(lambda a, b: (a, b))
    x, other = rows(2), 2 * rows(2)
    if how == "parameters":
        names = ["x", "other"]
        expected = net(tf.constant(x), other=tf.constant(other))
    elif how == "list":
        names = ["0", "1"]
        expected = net([tf.constant(x), tf.constant(other)])
    else:
        names = ["left", "right"]
        expected = net({"left": tf.constant(x), "right": tf.constant(other)})
    model = xaikit_keras.wrap(net, inputs=dict.fromkeys(names, Array((4,))))
    got = model.run(dict(zip(names, (x, other), strict=True))).output
    np.testing.assert_allclose(got["a"], expected[0], rtol=1e-6)
    np.testing.assert_allclose(got["b"], expected[1], rtol=1e-6)
    assert model.layers["b"].parents == (names[1],)


def test_a_dense_autoencoder_and_its_error():
    net = filled(keras.Sequential([L.Input((8,)), L.Dense(3, activation="relu", name="code"), L.Dense(8, name="back")]))
    model = xaikit_keras.wrap(net, outputs=Reconstruction())
    x = rows(3, 8)
    pull = model.pull(x, lambda y: 2 * (y - x) / 8)
    with tf.GradientTape() as tape:
        source = tf.constant(x)
        tape.watch(source)
        error = tf.reduce_mean((net(source) - x) ** 2, axis=1)
    np.testing.assert_allclose(pull.gradient, tape.gradient(error, source), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["my net (2)", "_net", "Netz für Zähler", ":-)"])
def test_names_that_no_graph_takes_are_no_hindrance(name):
    """Keras gives any name to a layer, and raises in a graph; its own scope of names then stays open for ever."""
    pytest.importorskip("tf2onnx", reason="the extra fast is not installed")
    x = keras.Input((8, 8, 1))
    y = keras.layers.Conv2D(2, 3, activation="relu", name=f"{name} layer")(x)
    net = keras.Model(x, keras.layers.Dense(2)(keras.layers.Flatten()(y)), name=name)
    model = xaikit_keras.wrap(net, inputs=Image(8, 8, 1), outputs=Classes(["a", "b"], "logits"))
    seen = images(2)[:, :8, :8, :1]
    assert next(iter(model.layers)) == f"{name} layer"
    assert model._read().traced
    np.testing.assert_allclose(model.run(seen).output, net(seen), rtol=1e-5)
    np.testing.assert_allclose(model.fast("onnxruntime").run(seen).output, net(seen), rtol=1e-4, atol=1e-5)
    later = keras.layers.Dense(1, name="later")
    later.build((None, 3))
    assert later.kernel.path == "later/kernel"


def test_specs_are_used():
    model = xaikit_keras.wrap(cnn(), inputs=Image(12, 12, 2), outputs=Classes(("a", "b", "c")), name="mine")
    assert (model.name, model.layout, model.framework) == ("mine", "as-given", "keras")
    assert model.outputs == Classes(("a", "b", "c"), "softmax")
    assert model.layers["c1"].axes == ("sample", "height", "width", "channel")
    words = xaikit_keras.wrap(text(), inputs=Text(7), outputs=Values(("y",)))
    assert words.run(sentences()).output.shape == (3, 1)
    with pytest.raises(ModelError, match="gives 3 numbers"):
        xaikit_keras.wrap(cnn(), outputs=Classes(("a", "b"))).run(images())


def test_weights_are_copies_by_name():
    net = text()
    model = xaikit_keras.wrap(net)
    assert {n: w.shape for n, w in model.weights("lstm").items()} == {
        "kernel": (5, 16),
        "recurrent_kernel": (4, 16),
        "bias": (16,),
    }
    assert list(model.weights("embedding")) == ["embeddings"]
    assert model.weights("lstm/i") == {}
    before = net.get_layer("head").kernel.numpy()
    model.weights("head")["kernel"][:] = 0
    np.testing.assert_array_equal(net.get_layer("head").kernel.numpy(), before)
    assert list(xaikit_keras.wrap(cnn()).weights("bn")) == ["gamma", "beta", "moving_mean", "moving_variance"]
    with pytest.raises(UnknownName):
        model.weights("heads")


@pytest.mark.parametrize("build", [cnn, two_headed, text])
def test_a_copy_has_other_weights(build):
    net = build()
    model = xaikit_keras.wrap(net)
    layer = next(n for n in model.layers if "kernel" in model.weights(n))
    kernel = np.zeros_like(model.weights(layer)["kernel"])
    before = [np.array(w) for w in net.weights]
    other = model.with_weights({f"{layer}/kernel": kernel})
    np.testing.assert_array_equal(other.weights(layer)["kernel"], kernel)
    assert list(other.layers) == list(model.layers)
    assert other.net is not net
    for a, b in zip(before, net.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert other.fingerprint() != model.fingerprint()
    assert model.with_weights({}).fingerprint() == model.fingerprint()
    with pytest.raises(UnknownName, match=f"did you mean '{layer}/kernel'"):
        model.with_weights({f"{layer}/kernels": kernel})
    with pytest.raises(InputError, match="has shape"):
        model.with_weights({f"{layer}/kernel": kernel[..., :1]})


class Own(keras.Model):
    """Takes arguments and has no get_config, so Keras cannot make another one."""

    def __init__(self, units):
        super().__init__(name="own")
        self.a, self.b = L.Dense(units, activation="relu", name="a"), L.Dense(2, name="b")
        self.norm, self.lstm = L.BatchNormalization(name="norm"), L.LSTM(2, name="lstm")

    def call(self, x):
        h = self.norm(self.a(x))
        return self.b(keras.ops.concatenate([h, self.lstm(h[:, :, None])], axis=-1))


def own():
    net = Own(5)
    net(rows(1))
    return filled(net)


@pytest.mark.parametrize("count", [3, 12])
def test_a_network_that_keras_cannot_copy_is_shared_but_not_changed(count):
    net = own()
    model = xaikit_keras.wrap(net)
    names = {f"{layer}/{n}": w for layer in model.layers for n, w in model.weights(layer).items()}
    assert len(names) == len(net.weights)
    new = {n: np.abs(np.random.default_rng(8).normal(size=w.shape)).astype("float32") for n, w in names.items()}
    changed = own()
    for name, value in new.items():
        layer, _, weight = name.partition("/")
        next(v for v in getattr(changed, layer).weights if v.name == weight).assign(value)
    other = model.with_weights(new)
    x, at = rows(count), next(iter(model.layers))
    before = net(x).numpy()
    np.testing.assert_allclose(other.run(x).output, changed(x), rtol=1e-5, atol=1e-6)
    expected = xaikit_keras.wrap(changed)
    seed = hot(count, 2, 1)
    np.testing.assert_allclose(other.pull(x, seed).gradient, expected.pull(x, seed).gradient, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(other.weights(at)["kernel"], new[f"{at}/kernel"])
    np.testing.assert_array_equal(net(x).numpy(), before)
    assert other.fingerprint() == expected.fingerprint() != model.fingerprint()
    last = list(model.layers)[-1]
    twice = other.with_weights({f"{last}/bias": np.zeros(2)})
    np.testing.assert_allclose(twice.run(x).output, other.run(x).output - new[f"{last}/bias"], rtol=1e-4, atol=1e-5)


def test_a_copy_does_not_follow_later_training():
    for net in (own(), cnn()):
        x = rows(2) if net.name == "own" else images(2)
        model = xaikit_keras.wrap(net)
        copy = model.with_weights({})
        before = copy.run(x).output
        filled(net, seed=5)
        np.testing.assert_array_equal(copy.run(x).output, before)
        assert np.abs(model.run(x).output - before).max() > 1e-3


def test_the_fingerprint_does_not_depend_on_how_often_a_network_was_built(tmp_path):
    def build():
        return filled(keras.Sequential([L.Input((4,)), L.Dense(5), L.Dense(5), L.Dense(2, name="head")]))

    first, second = build(), build()
    assert first.layers[0].name != second.layers[0].name
    assert xaikit_keras.wrap(first).fingerprint() == xaikit_keras.wrap(second).fingerprint()
    first.save(tmp_path / "net.keras")
    for _ in range(2):
        assert xaikit_keras.wrap(xaikit_keras.load_network(tmp_path / "net.keras")).fingerprint() == (
            xaikit_keras.wrap(first).fingerprint()
        )
    assert xaikit_keras.wrap(own()).fingerprint() == xaikit_keras.wrap(own()).fingerprint()


def test_the_fingerprint_tells_apart_weights_that_changed_places():
    net = filled(
        keras.Sequential([L.Input((4,)), L.Dense(4, use_bias=False, name="a"), L.Dense(4, use_bias=False, name="b")])
    )
    model = xaikit_keras.wrap(net)
    before = model.fingerprint()
    net.set_weights(net.get_weights()[::-1])
    assert model.fingerprint() != before
    net.set_weights(net.get_weights()[::-1])
    assert model.fingerprint() == before


@pytest.mark.filterwarnings("ignore:`build\\(\\)` was called on layer")
def test_an_unused_layer_does_no_harm():
    class Spare(keras.Model):
        def __init__(self):
            super().__init__(name="spare")
            self.used, self.spare = L.Dense(2, name="used"), L.Dense(2, name="spare")
            self.noise = keras.random.SeedGenerator(1)

        def call(self, x):
            return self.used(x) + keras.random.uniform((), seed=self.noise)

    net = Spare()
    net(rows(1))
    state = net.noise.state.numpy()
    model = xaikit_keras.wrap(net)
    assert list(model.layers) == ["used", "output"]
    assert model.layers["output"].kind == "add"
    np.testing.assert_array_equal(net.noise.state.numpy(), state)
    assert not net.spare.built


def test_wrap_refuses_what_is_no_network(monkeypatch):
    with pytest.raises(ModelError, match=r"expected a keras.Model, not keras's Dense"):
        xaikit_keras.wrap(L.Dense(3))
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(ModelError, match="set KERAS_BACKEND=tensorflow"):
        xaikit_keras.wrap(cnn())


def test_the_package_offers_what_an_adapter_has():
    assert set(xaikit_keras.__all__) == {
        *("KerasModel", "build", "fit", "get_weights", "load_network", "placing", "set_weights"),
        *("training_device", "wrap"),
    }
    for name in xaikit_keras.__all__:
        assert callable(getattr(xaikit_keras, name))
    model = xaikit_keras.wrap(cnn())
    assert {"run", "pull", "patch"} <= model.can
    assert model.device in ("cpu", "cuda:0")
    assert hot(1, 3, 0).shape == model.run(images(1)).output.shape


def test_weights_are_copied_without_a_warning():
    """What Keras itself has NumPy warn of is let pass in all tests, but a notebook would say it of this library."""
    model = xaikit_keras.wrap(keras.Sequential([L.Input((8,)), L.Dense(3, name="code")]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        taken = model.weights("code")["kernel"]
    taken[:] = 7
    assert not np.any(model.weights("code")["kernel"] == 7)
