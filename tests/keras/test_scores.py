"""The logit before a final softmax or sigmoid, wherever it stands, and probabilities behind logits."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import xaikit_keras
from tests.keras.nets import L, filled, hot, rows, subclassed
from xaikit.errors import NotSupported
from xaikit.inputs import Classes, Values

pytestmark = pytest.mark.slow


def plain(width=3, last="linear"):
    return keras.Sequential([L.Input((4,)), L.Dense(5, activation="relu", name="h"), L.Dense(width, last, name="z")])


def softmax_net(how):
    x = L.Input((4,))
    h = L.Dense(5, activation="relu", name="h")(x)
    if how == "activation of the layer":
        return keras.Model(x, L.Dense(3, activation="softmax", name="z")(h))
    z = L.Dense(3, name="z")(h)
    if how == "nested":
        head = keras.Sequential([L.Input((5,)), L.Dense(3, activation="softmax", name="z")], name="head")
        return keras.Model(x, head(h))
    ends = {
        "Activation layer": L.Activation("softmax"),
        "Softmax layer": L.Softmax(),
        "operation": keras.ops.softmax,
        "keras.activations": keras.activations.softmax,
        "then dropout": lambda t: L.Dropout(0.3)(L.Softmax()(t)),
        "then a cast": lambda t: L.Activation("linear", dtype="float64")(L.Softmax()(t)),
    }
    return keras.Model(x, ends[how](z))


@pytest.mark.parametrize(
    "how",
    [
        *("activation of the layer", "nested", "Activation layer", "Softmax layer"),
        *("operation", "keras.activations", "then dropout", "then a cast"),
    ],
)
@pytest.mark.parametrize("count", [2, 12])
def test_the_logit_is_what_enters_the_final_softmax(how, count):
    net, x = filled(softmax_net(how)), rows(count)
    logits = plain()
    logits.set_weights(net.get_weights())
    model = xaikit_keras.wrap(net)
    assert model.outputs == Classes(range(3), "softmax")
    np.testing.assert_allclose(model.run(x, score="logit").output, logits(x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.run(x, score="output").output, tf.nn.softmax(logits(x)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.run(x, score="probability").output, tf.nn.softmax(logits(x)), rtol=1e-5, atol=1e-6)
    ours = model.pull(x, hot(count, 3, 1), score="logit")
    theirs = xaikit_keras.wrap(logits).pull(x, hot(count, 3, 1))
    np.testing.assert_allclose(ours.gradient, theirs.gradient, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.value, theirs.value, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.output, model.run(x).output, rtol=1e-6)
    np.testing.assert_allclose(model.run(x, score="logit").raw, model.run(x).output, rtol=1e-6)


@pytest.mark.parametrize(
    ("tail", "function"),
    [
        (tf.nn.softmax, "softmax"),
        (keras.ops.softmax, "softmax"),
        (keras.ops.sigmoid, "sigmoid"),
        (lambda y: keras.ops.squeeze(tf.nn.sigmoid(y[:, :1]), -1), "sigmoid"),
        (lambda y: 2 * tf.nn.softmax(y), None),
        (lambda y: tf.nn.softmax(y, axis=0), None),
    ],
)
def test_a_function_at_the_end_of_call_is_found(tail, function):
    net, x = subclassed(tail), rows()
    model = xaikit_keras.wrap(net)
    ran = model.run(x, at=["last"], score="logit")
    assert model._ends_in(None) == function
    expected = (
        ran.activations["last"][:, : ran.output.shape[1]] if function else np.asarray(tail(ran.activations["last"]))
    )
    np.testing.assert_allclose(ran.output, expected, rtol=1e-5, atol=1e-6)
    width = ran.output.shape[1]
    np.testing.assert_allclose(model.run(x).output, np.reshape(net(x), (3, width)), rtol=1e-6)
    pull = model.pull(x, hot(3, width, 0), wrt="last", score="logit")
    np.testing.assert_allclose(pull.output, model.run(x).output, rtol=1e-6)
    if function:
        np.testing.assert_allclose(pull.gradient, hot(3, 3, 0), rtol=1e-6)


def test_the_layer_with_the_softmax_still_gives_probabilities():
    net = filled(softmax_net("activation of the layer"))
    model = xaikit_keras.wrap(net)
    ran = model.run(rows(), at=["z"], score="logit")
    np.testing.assert_allclose(ran.activations["z"], net(rows()), rtol=1e-5)
    assert np.abs(ran.output - ran.activations["z"]).max() > 0.1
    np.testing.assert_allclose(model.pull(rows(), hot(3, 3, 0), of="z", score="logit").value, net(rows()), rtol=1e-5)
    with pytest.raises(NotSupported, match="the logit behind 'z' is not known"):
        model.run(rows(), patch={"z": np.zeros((1, 3))}, score="logit")


def test_a_gate_in_the_middle_is_not_the_end():
    x = L.Input((4,))
    gate = L.Dense(3, activation="sigmoid", name="gate")(x)
    model = xaikit_keras.wrap(filled(keras.Model(x, L.Multiply()([gate, L.Dense(3)(x)]))))
    assert model.outputs == Values(range(3))
    np.testing.assert_array_equal(model.run(rows(), score="logit").output, model.run(rows()).output)


@pytest.mark.parametrize(
    "tail",
    [L.Softmax(axis=1), lambda y: L.Reshape((3, 4))(L.Softmax()(y)), lambda y: L.Permute((2, 1))(L.Softmax()(y))],
)
def test_what_is_no_longer_a_softmax_over_the_last_axis_is_not_the_end(tail):
    x = L.Input((4, 3))
    assert xaikit_keras.wrap(keras.Model(x, tail(L.Dense(3)(x))))._ends_in(None) is None


@pytest.mark.parametrize(("axis", "end"), [(-1, "softmax"), (1, None)])
def test_the_end_of_a_network_that_runs_eagerly(axis, end):
    class Eager(keras.Model):
        def __init__(self):
            super().__init__(name="eager")
            self.z, self.end = L.Dense(3, name="z"), L.Softmax(axis, name="end")

        def call(self, x):
            return self.end(self.z(x + float(keras.ops.sum(x))))

    model = xaikit_keras.wrap(Eager())
    x = np.random.default_rng(0).normal(size=(2, 4, 4)).astype("float32")
    ran = model.run(x, at=["z", "end"], score="logit")
    assert model._ends_in(None) == end
    np.testing.assert_array_equal(ran.output, ran.activations["z" if end else "end"])


@pytest.mark.parametrize(("width", "names"), [(1, ("no", "yes")), (3, ("a", "b", "c"))])
def test_probabilities_of_a_network_that_gives_logits(width, names):
    net = filled(plain(width))
    model = xaikit_keras.wrap(net, outputs=Classes(names))
    assert model.outputs.form == "logits"
    z = net(rows()).numpy()
    p = tf.nn.softmax(z).numpy() if width > 1 else tf.nn.sigmoid(z).numpy()
    np.testing.assert_allclose(model.run(rows(), score="probability").output, p, rtol=1e-5)
    np.testing.assert_allclose(model.run(rows(), score="logit").output, z, rtol=1e-6)
    slope = p[:, 0] * (1 - p[:, 0])
    pull = model.pull(rows(), hot(3, width, 0), score="probability")
    np.testing.assert_allclose(pull.output, z, rtol=1e-6)
    got = pull.gradient
    assert got.shape == (3, 4)
    if width == 1:
        logit = model.pull(rows(), hot(3, width, 0)).gradient
        np.testing.assert_allclose(got, slope[:, None] * logit, rtol=1e-4, atol=1e-7)


def test_a_sigmoid_network_with_two_names():
    model = xaikit_keras.wrap(filled(plain(1, "sigmoid")), outputs=Classes(("no", "yes")))
    assert model.outputs.form == "sigmoid"
    p, z = model.run(rows()).output, model.run(rows(), score="logit").output
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-z)), rtol=1e-5)


def test_every_output_has_its_own_end():
    x = L.Input((4,))
    kind, size = L.Dense(3, activation="softmax", name="kind")(x), L.Dense(2, name="size")(x)
    net = filled(keras.Model(x, {"kind": kind, "size": size}))
    model = xaikit_keras.wrap(net)
    raw, logit = model.run(rows()).output, model.run(rows(), score="logit").output
    assert {n: s.kind for n, s in model.outputs.items()} == {"kind": "Classes", "size": "Values"}
    np.testing.assert_allclose(tf.nn.softmax(logit["kind"]), raw["kind"], rtol=1e-5)
    np.testing.assert_array_equal(logit["size"], raw["size"])
    pull = model.pull(rows(), {"kind": hot(3, 3, 0), "size": hot(3, 2, 0)}, score="logit")
    for name in raw:
        np.testing.assert_allclose(pull.output[name], raw[name], rtol=1e-6)


def test_per_pixel_softmax():
    x = L.Input((4, 4, 2))
    net = filled(keras.Model(x, L.Conv2D(3, 1, activation="softmax", name="masks")(x)))
    model = xaikit_keras.wrap(net)
    values = np.random.default_rng(0).normal(size=(2, 4, 4, 2)).astype("float32")
    logit = model.run(values, score="logit").output
    np.testing.assert_allclose(tf.nn.softmax(logit), model.run(values).output, rtol=1e-5, atol=1e-6)
