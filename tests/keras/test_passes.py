"""run and pull: values, gradients, patches, and when a pass is traced."""

import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import xaikit_keras
from tests.keras.nets import L, cnn, filled, hot, images, rows, subclassed, two_headed
from xaikit.errors import InputError, NotSupported
from xaikit.inputs import Array
from xaikit_keras._traced import EAGER_ROWS

pytestmark = pytest.mark.slow


def test_activations_are_those_of_the_frameworks_own_submodel():
    net, x = cnn(), images()
    names = ["c1", "bn", "drop", "c2", "r2", "gap", "head"]
    own = keras.Model(net.inputs, [net.get_layer(n).output for n in names])(tf.constant(x), training=False)
    ran = xaikit_keras.wrap(net).run(x, at=names)
    for name, value in zip(names, own, strict=True):
        np.testing.assert_allclose(ran.activations[name], value, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ran.output, own[-1], rtol=1e-6)


def test_the_gradient_of_a_linear_network_is_its_weights():
    net = filled(keras.Sequential([L.Input((4,)), L.Dense(3, name="d")]))
    model = xaikit_keras.wrap(net)
    pull = model.pull(rows(), hot(3, 3, 1))
    np.testing.assert_array_equal(pull.gradient, np.tile(model.weights("d")["kernel"][:, 1], (3, 1)))
    np.testing.assert_array_equal(pull.source, rows())
    np.testing.assert_allclose(pull.value, net(rows()), rtol=1e-6)


@pytest.mark.parametrize(("of", "wrt"), [(None, None), (None, "c2"), ("c2", None), ("c2", "c1"), ("r2", "drop")])
def test_pulls_are_the_gradients_of_a_tape_by_hand(of, wrt):
    net, x = cnn(), tf.constant(images())
    start = net.get_layer(wrt).output if wrt else net.inputs[0]
    upper = keras.Model(start, net.get_layer(of or "head").output)
    source = keras.Model(net.inputs, start)(x, training=False) if wrt else x
    seed = np.random.default_rng(4).normal(size=(3, *upper.output_shape[1:])).astype("float32")
    with tf.GradientTape() as tape:
        tape.watch(source)
        value = upper(source, training=False)
    gradient = tape.gradient(value, source, output_gradients=tf.constant(seed))
    pull = xaikit_keras.wrap(net).pull(images(), seed, of=of, wrt=wrt)
    for ours, theirs in ((pull.value, value), (pull.source, source), (pull.gradient, gradient)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_value_pulled_to_itself_gives_the_seed():
    model, x = xaikit_keras.wrap(cnn()), images()
    seed = np.random.default_rng(0).normal(size=(3, 5, 5, 6)).astype("float32")
    np.testing.assert_array_equal(model.pull(x, seed, of="c2", wrt="c2").gradient, seed)


def test_what_is_not_connected_has_a_gradient_of_zero():
    model, x = xaikit_keras.wrap(cnn()), images()
    pull = model.pull(x, np.ones((3, 10, 10, 4), "float32"), of="c1", wrt="c2")
    np.testing.assert_array_equal(pull.gradient, np.zeros((3, 5, 5, 6)))


def test_a_residual_connection_is_not_counted_for_the_layer_beside_it():
    x = L.Input((4,))
    h = L.Dense(4, name="h")(x)
    net = filled(keras.Model(x, L.Add(name="sum")([h, L.Dropout(0.5, name="drop")(h)])))
    seed = np.ones((2, 4), "float32")
    model = xaikit_keras.wrap(net)
    assert model.layers["sum"].parents == ("h", "drop")
    np.testing.assert_array_equal(model.pull(rows(2), seed, wrt="drop").gradient, seed)
    np.testing.assert_array_equal(model.pull(rows(2), seed, wrt="h").gradient, 2 * seed)
    zero = {"drop": np.zeros((1, 4), "float32")}
    np.testing.assert_allclose(model.run(rows(2), patch=zero).output, model.run(rows(2), at=["h"]).activations["h"])


def test_patches_replace_values_and_gradients_are_taken_there():
    net, x = cnn(), images()
    model = xaikit_keras.wrap(net)
    upper = keras.Model(net.get_layer("c2").output, net.outputs[0])
    value = np.random.default_rng(5).normal(size=(3, 5, 5, 6)).astype("float32")
    np.testing.assert_allclose(model.run(x, patch={"c2": value}).output, upper(value), rtol=1e-5)
    one = model.run(x, at=["c2"], patch={"c2": value[:1]})
    np.testing.assert_allclose(one.output, np.repeat(upper(value[:1]), 3, axis=0), rtol=1e-5)
    np.testing.assert_array_equal(one.activations["c2"], np.repeat(value[:1], 3, axis=0))
    with tf.GradientTape() as tape:
        source = tf.constant(value)
        tape.watch(source)
        expected = upper(source)
    gradient = tape.gradient(expected, source, output_gradients=tf.constant(hot(3, 3, 2)))
    pull = model.pull(x, hot(3, 3, 2), wrt="c2", patch={"c2": value})
    np.testing.assert_allclose(pull.gradient, gradient, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(pull.source, value)
    assert not np.any(model.pull(x, hot(3, 3, 2), patch={"c2": value}).gradient)


def test_a_patch_of_another_shape_is_refused():
    with pytest.raises(InputError, match=r"layer 'c2' gives \('sample', 5, 5, 6\) for 3 samples, not \(3, 5, 5, 7\)"):
        xaikit_keras.wrap(cnn()).run(images(), patch={"c2": np.zeros((3, 5, 5, 7))})
    with pytest.raises(InputError, match=r"not \(2, 5, 5, 6\)"):
        xaikit_keras.wrap(cnn()).run(images(), patch={"c2": np.zeros((2, 5, 5, 6))})


def test_a_subclassed_network_gives_values_and_gradients():
    net, x = subclassed(), rows()
    ran = xaikit_keras.wrap(net).run(x, at=["first", "inner/b", "last"])
    first = net.first(x)
    np.testing.assert_allclose(ran.activations["first"], first, rtol=1e-6)
    np.testing.assert_allclose(ran.activations["inner/b"], net.inner(first), rtol=1e-6)
    np.testing.assert_array_equal(ran.activations["last"], ran.output)
    pull = xaikit_keras.wrap(net).pull(x, hot(3, 3, 0), wrt="inner/b")
    np.testing.assert_allclose(pull.gradient, np.tile(net.last.kernel.numpy()[:, 0], (3, 1)), rtol=1e-6)


def test_the_two_calls_of_a_shared_layer_are_told_apart():
    net = two_headed()
    model = xaikit_keras.wrap(net)
    x = {"left": rows(), "right": -rows()}
    ran = model.run(x, at=["shared", "shared:1"])
    shared = net.get_layer("shared")
    np.testing.assert_allclose(ran.activations["shared"], shared(rows()), rtol=1e-6)
    np.testing.assert_allclose(ran.activations["shared:1"], shared(-rows()), rtol=1e-6)
    zeros = np.zeros((1, 3), "float32")
    cut = model.run(x, patch={"shared:1": zeros}).output
    upper = keras.Model(net.get_layer("both").output, net.outputs)
    expected = upper(np.concatenate([ran.activations["shared"], np.zeros((3, 3))], axis=1))
    np.testing.assert_allclose(cut["size"], expected[1], rtol=1e-5, atol=1e-6)


def test_eager_and_traced_passes_give_the_same_numbers():
    net, x = cnn(), images(3)
    eager, traced = xaikit_keras.wrap(net), xaikit_keras.wrap(net)
    seed = hot(3, 3, 1)
    first = eager.pull(x, seed, wrt="c1", score="logit")
    ran = eager.run(x, at=["c2"])
    assert eager.traced.made == 1  # the one for reading
    many = np.concatenate([x] * EAGER_ROWS)
    second = traced.pull(many, np.concatenate([seed] * EAGER_ROWS), wrt="c1", score="logit")
    np.testing.assert_allclose(second.gradient[:3], first.gradient, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(traced.run(many, at=["c2"]).activations["c2"][:3], ran.activations["c2"], atol=1e-6)
    assert traced.traced.made == 3


def test_nothing_is_traced_twice():
    model = xaikit_keras.wrap(cnn())
    for count in (1, 5, 9, 13, 2, 40, 7):
        x = images(count)
        model.run(x)
        model.run(x, at=["c1", "c2"])
        model.run(x, patch={"c1": np.zeros((1, 10, 10, 4))}, score="logit")
        model.pull(x, hot(count, 3, 0), wrt="c2")
        model.pull(x, lambda y: hot(len(y), 3, 0), of="gap" if count == 0 else None, score="logit")
    first = model.traced.made
    for count in (3, 17):
        model.run(images(count), at=["c1", "c2"])
        model.pull(images(count), hot(count, 3, 0), wrt="c2")
    assert model.traced.made == first == 6  # reading, at, patch, pull, and for the callable its value and its pull


def test_small_passes_stay_eager_until_they_come_again():
    model = xaikit_keras.wrap(cnn())
    made = []
    for _ in range(EAGER_ROWS + 2):
        model.pull(images(1), hot(1, 3, 0), wrt="c2")
        made.append(model.traced.made)
    assert made == [1] * EAGER_ROWS + [2, 2]


def test_the_number_of_traces_that_are_kept_is_bounded(monkeypatch):
    monkeypatch.setattr("xaikit_keras._traced.KEPT", 3)
    model, x = xaikit_keras.wrap(cnn()), images(EAGER_ROWS + 1)
    expected = [model.run(x, at=[n]).activations[n] for n in ("c1", "bn", "c2", "r2")]
    again = [model.run(x, at=[n]).activations[n] for n in ("c1", "bn", "c2", "r2")]
    for a, b in zip(expected, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(model.traced._functions) == 3


def test_weights_that_changed_are_seen_in_a_traced_pass():
    net, x = cnn(), images(EAGER_ROWS + 1)
    model = xaikit_keras.wrap(net)
    before = model.run(x, at=["c2"])
    filled(net, seed=9)
    after = model.run(x, at=["c2"])
    np.testing.assert_allclose(after.output, net(x, training=False), rtol=1e-5)
    assert np.abs(before.activations["c2"] - after.activations["c2"]).max() > 0.1
    assert model.traced.made == 2


@pytest.mark.parametrize("count", [1, EAGER_ROWS + 1])
def test_a_callable_seed_is_shown_the_value(count):
    model, x = xaikit_keras.wrap(cnn()), images(count)
    shown = []

    def seed(value):
        shown.append(value)
        return 2 * value

    pull = model.pull(x, seed, of="gap")
    np.testing.assert_allclose(np.concatenate(shown), model.run(x, at=["gap"]).activations["gap"], rtol=1e-5)
    by_array = model.pull(x, 2 * pull.value, of="gap")
    np.testing.assert_allclose(pull.gradient, by_array.gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_rules_change_the_way_back_through_relu(rule):
    net = filled(keras.Sequential([L.Input((4,)), L.Dense(6, activation="relu", name="h"), L.Dense(1, name="y")]))
    x = rows(5)
    model = xaikit_keras.wrap(net)
    first, last = model.weights("h"), model.weights("y")["kernel"][:, 0]
    opened = x @ first["kernel"] + first["bias"] > 0
    back = np.maximum(np.broadcast_to(last, opened.shape), 0) * (opened if rule == "guided" else 1)
    pull = model.pull(x, np.ones((5, 1), "float32"), rule=rule)
    np.testing.assert_allclose(pull.gradient, back @ first["kernel"].T, rtol=1e-5, atol=1e-6)
    assert np.any(pull.gradient != model.pull(x, np.ones((5, 1), "float32")).gradient)
    with pytest.raises(NotSupported, match="no backward rule"):
        model.pull(x, np.ones((5, 1), "float32"), rule="lrp")


def test_a_wrong_shape_is_one_line():
    model = xaikit_keras.wrap(cnn())
    with pytest.raises(InputError, match=r"takes \('sample', 12, 12, 2\), not an array of shape \(1, 9, 9, 2\)"):
        model.run(np.zeros((1, 9, 9, 2), "float32"))
    free = xaikit_keras.wrap(filled(keras.Sequential([L.Input((None, 3)), L.Dense(2), L.GlobalMaxPooling1D()])))
    assert free.run(np.zeros((1, 5, 3), "float32")).output.shape == (1, 2)
    with pytest.raises(InputError, match=r"could not be run on float32 \(1, 5, 4\)") as caught:
        free.run(np.zeros((1, 5, 4), "float32"))
    assert "\n" not in str(caught.value)


def test_a_network_with_a_fixed_number_of_rows_is_fed_in_padded_chunks():
    net = filled(keras.Sequential([L.Input(batch_shape=(4, 4)), L.Dense(5, activation="relu", name="h"), L.Dense(3)]))
    model = xaikit_keras.wrap(net)
    x = rows(6)
    assert model.batch_size == 4
    expected = np.concatenate([net(x[:4]), net(x[2:])[2:]])
    np.testing.assert_allclose(model.run(x).output, expected, rtol=1e-6)
    pull = model.pull(x, lambda y: hot(len(y), 3, 1), wrt="h")
    np.testing.assert_allclose(pull.gradient, np.tile(net.layers[-1].kernel.numpy()[:, 1], (6, 1)), rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "float64", "mixed_bfloat16"])
def test_other_precisions_go_in_and_come_out_as_float32(policy):
    layers = [L.Input((4,)), L.Dense(5, activation="relu", name="h", dtype=policy), L.Dense(3, dtype=policy)]
    net = filled(keras.Sequential([*layers, L.Activation("softmax", dtype="float32", name="end")]))
    model, x = xaikit_keras.wrap(net), rows()
    ran = model.run(x, at=["h"])
    assert ran.output.dtype == ran.activations["h"].dtype == np.float32
    np.testing.assert_allclose(ran.output, net(x), rtol=1e-6)
    assert model.outputs.form == "softmax"
    pull = model.pull(x, hot(3, 3, 0), score="logit")
    assert pull.gradient.dtype == np.float32
    single = keras.Sequential([L.Input((4,)), L.Dense(5, activation="relu"), L.Dense(3)])
    single.set_weights([np.asarray(w, np.float32) for w in net.get_weights()])
    exact = xaikit_keras.wrap(single).pull(x, hot(3, 3, 0)).gradient
    # half precision has 10 bits of mantissa, bfloat16 has 7
    np.testing.assert_allclose(pull.gradient, exact, atol=0.05 if "b" in policy else 0.01)


def test_preprocessing_layers_inside_are_inactive_or_applied():
    normal = L.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 4.0, 4.0], name="normal")
    net = keras.Sequential(
        [
            L.Input((8, 8, 3)),
            L.RandomFlip(name="flip"),
            L.RandomRotation(0.2, name="turn"),
            L.Rescaling(1 / 255, name="scale"),
            normal,
            L.GlobalAveragePooling2D(name="gap"),
        ]
    )
    x = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3)).astype("float32")
    model = xaikit_keras.wrap(net)
    ran = model.run(x, at=["turn", "normal"])
    np.testing.assert_array_equal(ran.activations["turn"], x)
    np.testing.assert_allclose(ran.activations["normal"], (x / 255 - [1, 2, 3]) / 2, rtol=1e-5, atol=1e-6)
    pull = model.pull(x[:2], np.ones((2, 3), "float32"))
    np.testing.assert_allclose(pull.gradient, np.full((2, 8, 8, 3), 1 / (255 * 2 * 64)), rtol=1e-5)


def test_whole_numbers_are_given_to_a_network_of_floats():
    model = xaikit_keras.wrap(cnn())
    x = np.random.default_rng(0).integers(0, 5, (2, 12, 12, 2))
    np.testing.assert_array_equal(model.run(x).output, model.run(x.astype("float32")).output)
    assert model.pull(x, hot(2, 3, 0)).gradient.shape == x.shape


def test_two_threads_share_a_wrapped_network():
    model, x = xaikit_keras.wrap(cnn()), images(4)
    expected = [model.pull(x, hot(4, 3, i), wrt="c1").gradient for i in range(3)]
    found: dict[int, list[np.ndarray]] = {i: [] for i in range(3)}

    def work(i):
        for _ in range(6):
            found[i].append(model.pull(x, hot(4, 3, i), wrt="c1").gradient)
            model.run(x, at=["c2"])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for i, gradients in found.items():
        assert len(gradients) == 6
        for g in gradients:
            np.testing.assert_allclose(g, expected[i], rtol=1e-4, atol=1e-6)


def test_another_thread_that_uses_the_network_is_not_disturbed():
    class Busy(keras.Model):
        """While it is called, another thread calls one of its layers."""

        def __init__(self):
            super().__init__(name="busy")
            self.a, self.b = L.Dense(3, name="a"), L.Dense(2, name="b")
            self.seen = []

        def call(self, x):
            if tf.executing_eagerly():
                other = threading.Thread(target=lambda: self.seen.append(self.a(tf.ones((1, 4))).numpy()))
                other.start()
                other.join()
            return self.b(self.a(x))

    net = Busy()
    net(rows(1))
    model = xaikit_keras.wrap(net, inputs=Array((4,)))
    ran = model.run(rows(2), at=["a"], patch={"a": np.zeros((1, 3))})
    np.testing.assert_array_equal(ran.activations["a"], np.zeros((2, 3)))
    assert len(net.seen) == 2
    np.testing.assert_array_equal(net.seen[1], net.seen[0])


@pytest.mark.parametrize("count", [2, EAGER_ROWS + 1])
def test_one_pass_gives_the_gradients_at_several_layers(count):
    model, x = xaikit_keras.wrap(cnn()), images(count)
    names = ["c1", "bn", "c2", "r2"]
    many = model.pull(x, hot(count, 3, 1), wrt=names)
    assert list(many.gradient) == list(many.source) == names
    for name in names:
        one = model.pull(x, hot(count, 3, 1), wrt=name)
        np.testing.assert_allclose(many.gradient[name], one.gradient, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(many.source[name].shape, one.source.shape)
