"""Nothing is left behind: layers, variables, masks, random streams and settings are what they were, also on errors."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

import xaikit_keras
from tests.keras.nets import L, cnn, hot, images, rows, sentences, subclassed, text
from xaikit.inputs import Array
from xaikit_keras import _private
from xaikit_keras._model import KerasModel
from xaikit_keras._private import operations
from xaikit_keras._traced import EAGER_ROWS

pytestmark = pytest.mark.slow


class Noisy(keras.Model):
    """Draws random numbers in inference, as the encoder of a variational autoencoder does."""

    def __init__(self):
        super().__init__(name="noisy")
        self.mean = L.Dense(3, name="mean")
        self.seeds = keras.random.SeedGenerator(5)

    def call(self, x):
        z = self.mean(x)
        return z + keras.random.normal(keras.ops.shape(z), seed=self.seeds)


def regularised():
    layers = [
        L.Dense(4, activity_regularizer="l2", name="a"),
        L.Dropout(0.5, seed=3),
        L.Dense(3, activation="softmax", name="z"),
    ]
    return keras.Sequential([L.Input((4,)), *layers], name="regularised")


def stateful():
    return keras.Sequential(
        [L.Input(batch_shape=(2, 5, 3)), L.LSTM(4, stateful=True, dropout=0.3, name="lstm"), L.Dense(2)]
    )


def gated():
    return keras.Sequential([L.Input((5, 3)), L.Bidirectional(L.GRU(2), name="both"), L.Dense(2)])


def attending():
    x = L.Input((4, 6))
    return keras.Model(x, L.Attention(name="attention")([L.MultiHeadAttention(2, 3, name="mha")(x, x), x]))


CASES = {
    "cnn": (cnn, images(2), "c2", ["c1", "head"]),
    "text": (text, sentences(), "embedding", ["lstm", "lstm/c"]),
    "subclassed": (subclassed, rows(2), "first", ["inner/a", "last"]),
    "regularised": (regularised, rows(2), "a", ["z"]),
    "stateful": (stateful, np.ones((2, 5, 3), "float32"), "lstm", ["lstm/h"]),
    "both directions": (gated, np.ones((2, 5, 3), "float32"), "both", ["both/forward/z", "both/backward/h"]),
    "attention": (attending, np.ones((2, 4, 6), "float32"), "mha", ["mha/weights", "attention/weights"]),
}


def state_of(net):
    """Give all that a pass could change: attributes of every operation, variables, losses."""
    inside = []
    for operation in operations(net):
        cell = getattr(operation, "cell", None)
        inside += [operation, *([cell] if cell is not None else [])]
    for operation in list(inside):
        inside += [v for k, v in vars(operation).items() if k in ("_softmax", "forward_layer", "backward_layer")]
    # Keras itself notes these on parts of a layer when they are first called, as the softmax of an attention is here
    noted = ("_called", "_parent_path")
    marks = {
        (i, key): value if isinstance(value, bool | int | float | str | type(None)) else id(value)
        for i, operation in enumerate(inside)
        for key, value in vars(operation).items()
        if key not in noted
    }
    return marks, [np.array(v) for v in net.variables], [float(v) for v in net.losses]


def assert_same(before, after):
    assert before[0] == after[0]
    for a, b in zip(before[1], after[1], strict=True):
        np.testing.assert_array_equal(a, b)
    assert before[2] == after[2]


def work(model, x, wrt, at, seed):
    many = x if model.batch_size == len(x) else np.concatenate([x] * (EAGER_ROWS + 1))
    for batch in (x, many):
        model.run(batch, at=at)
        model.run(batch, at=at, score="logit")
        value = model.run(batch, at=[wrt]).activations[wrt]
        model.run(batch, patch={wrt: value})
        for source in (wrt, at[-1]):
            model.pull(batch, seed, wrt=source, score="logit")


@pytest.mark.parametrize("case", CASES)
def test_a_pass_leaves_nothing_behind(case):
    build, x, wrt, at = CASES[case]
    net = build()
    net(x, training=True)
    before = state_of(net)
    work(xaikit_keras.wrap(net), x, wrt, at, np.ones_like)
    assert_same(before, state_of(net))


@pytest.mark.parametrize("case", CASES)
def test_an_error_in_a_seed_passes_through_and_leaves_nothing_behind(case):
    build, x, wrt, at = CASES[case]
    net = build()
    net(x, training=True)
    model = xaikit_keras.wrap(net)
    model.layers  # noqa: B018
    before = state_of(net)
    fixed = model.batch_size == len(x)

    def seed(value):
        raise ZeroDivisionError("mine")

    for source in (wrt, at[-1]):
        for batch in (x, x if fixed else np.concatenate([x] * (EAGER_ROWS + 1))):
            with pytest.raises(ZeroDivisionError, match="mine"):
                model.pull(batch, seed, wrt=source)
    assert_same(before, state_of(net))


def test_an_error_inside_the_network_leaves_nothing_behind():
    class Choosy(keras.Model):
        def __init__(self):
            super().__init__(name="choosy")
            self.a, self.b = L.Dense(4, name="a"), L.Dense(2, name="b")
            self.refuses = False

        def call(self, x):
            h = self.b(self.a(x))
            if self.refuses:
                raise RuntimeError("not now")
            return h

    net = Choosy()
    x = rows(2)
    net(x)
    model = xaikit_keras.wrap(net, inputs=Array((4,)))
    model.layers  # noqa: B018
    net.refuses = True
    before = state_of(net)
    for count in (2, EAGER_ROWS + 1):
        with pytest.raises(Exception, match=r"could not be run.*not now"):
            model.run(rows(count), at=["a"])
    assert_same(before, state_of(net))
    net.refuses = False
    np.testing.assert_allclose(model.run(x, at=["a"]).output, net(x), rtol=1e-6)


def test_random_streams_and_settings_are_untouched():
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    tf.random.set_seed(1)
    expected = [np.random.rand(), random.random(), float(tf.random.uniform(())), float(keras.random.uniform(()))]  # noqa: NPY002
    settings = (tf.executing_eagerly(), keras.config.dtype_policy().name, keras.config.floatx())
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    tf.random.set_seed(1)
    generator = keras.src.random.seed_generator.global_seed_generator()
    start = generator.state.numpy()
    net = regularised()
    random.seed(1)
    model = xaikit_keras.wrap(net)
    work(model, rows(2), "a", ["z"], np.ones_like)
    model.with_weights({"z/bias": np.ones(3)}).run(rows(2))
    model.fingerprint()
    np.testing.assert_array_equal(generator.state.numpy(), start)
    assert [np.random.rand(), random.random(), float(tf.random.uniform(()))] == expected[:3]  # noqa: NPY002
    assert settings == (tf.executing_eagerly(), keras.config.dtype_policy().name, keras.config.floatx())


def test_a_network_that_draws_numbers_repeats_itself_and_keeps_its_stream():
    net = Noisy()
    net(rows(2))
    state = net.seeds.state.numpy()
    model = xaikit_keras.wrap(net)
    first = model.run(rows(2), at=["mean"])
    np.testing.assert_array_equal(first.output, model.run(rows(2), at=["mean"]).output)
    assert np.abs(first.output - first.activations["mean"]).min() > 0
    np.testing.assert_array_equal(net.seeds.state.numpy(), state)
    assert np.abs(net(rows(2)) - net(rows(2))).max() > 0


def test_dropout_and_batch_normalisation_are_in_inference_mode():
    net, x = cnn(), images(2)
    model = xaikit_keras.wrap(net)
    np.testing.assert_allclose(
        model.run(x, at=["drop"]).activations["drop"], model.run(x, at=["bn"]).activations["bn"], rtol=1e-6
    )
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(net(x, training=True), model.run(x).output, rtol=1e-2)


def test_wrapping_runs_nothing():
    import time

    net = keras.applications.MobileNetV2((64, 64, 3), weights=None)
    calls = []
    net.layers[1].call = lambda *a, **k: calls.append(a)
    start = time.perf_counter()
    model = xaikit_keras.wrap(net)
    assert time.perf_counter() - start < 0.05
    assert not calls
    assert model.traced.made == 0


def test_seeds_see_only_rows_that_were_asked_for():
    net = keras.Sequential([L.Input(batch_shape=(4, 4)), L.Dense(3, name="z")])
    seen = []

    def seed(value):
        seen.append(value.shape)
        return hot(len(value), 3, 0)

    assert xaikit_keras.wrap(net).pull(rows(3), seed).gradient.shape == (3, 4)
    assert all(s[0] <= 3 for s in seen)


CHANGES = {
    "assigned": lambda v: v.assign(v + 1),
    "added to": lambda v: v.value.assign_add(tf.ones(v.shape)),
    "a slice": lambda v: v.value[0].assign(tf.fill(v.shape[1:], 7.0)),
    "scattered": lambda v: v.value.scatter_nd_update([[0, 0]], [7.0]),
    "in a graph": lambda v: tf.function(lambda: v.value.assign_sub(tf.ones(v.shape)))(),
}


@pytest.mark.parametrize("how", CHANGES)
def test_the_fingerprint_sees_every_change_of_a_weight(how):
    net = regularised()
    model, kernel = xaikit_keras.wrap(net), net.weights[0]
    seen = [model.fingerprint()]
    for _ in range(3):  # what is written in place once no longer is when others hold it, and the other way round
        CHANGES[how](kernel)
        kernel.assign(kernel + 0.5)
        CHANGES[how](kernel)
        seen.append(model.fingerprint())
        assert model.fingerprint() == seen[-1] == xaikit_keras.wrap(net).fingerprint()
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("how", CHANGES)
def test_a_traced_pull_tells_the_fingerprint_of_the_weights_that_it_has_read(how):
    net, x = regularised(), rows(EAGER_ROWS + 1)
    model, kernel = xaikit_keras.wrap(net), net.weights[0]
    seen = []
    for _ in range(3):
        pull = model.pull(x, hot(len(x), 3, 0))
        seen.append(pull.fingerprint)
        assert pull.fingerprint == model.fingerprint() == xaikit_keras.wrap(net).fingerprint()
        again = model.pull(x, hot(len(x), 3, 1), wrt="a")  # another graph
        assert again.fingerprint == pull.fingerprint
        assert_allclose(pull.gradient, xaikit_keras.wrap(net).pull(x, hot(len(x), 3, 0)).gradient, rtol=1e-5)
        CHANGES[how](kernel)
        kernel.assign(kernel + 0.5)
    assert len(set(seen)) == len(seen)


def test_what_has_read_no_weights_of_the_network_tells_no_fingerprint():
    shared = L.Dense(3, name="z")
    net = keras.Sequential([L.Input((4,)), keras.Sequential([L.Input((4,)), shared]), L.Lambda(lambda x: x * 1.0)])
    model, x = xaikit_keras.wrap(net), rows(EAGER_ROWS + 1)
    assert model.pull(rows(1), hot(1, 3, 0)).fingerprint is None, "it runs eagerly"
    own = next(n for n in model.layers if n.endswith("z"))
    values = KerasModel(net, values=[(shared.kernel, tf.zeros((4, 3)))])
    assert not values.pull(x, hot(len(x), 3, 0)).gradient.any()
    assert values.pull(x, hot(len(x), 3, 0)).fingerprint is None
    changed = model.with_weights({f"{own}/kernel": np.zeros((4, 3))})
    assert changed.fingerprint() != model.fingerprint() == model.pull(x, hot(len(x), 3, 0)).fingerprint
    assert changed.pull(x, hot(len(x), 3, 0)).fingerprint in (None, changed.fingerprint())


def test_graphs_that_are_dropped_take_what_they_read_with_them(monkeypatch):
    monkeypatch.setattr("xaikit_keras._traced.KEPT", 2)
    model, x = xaikit_keras.wrap(cnn()), images(EAGER_ROWS + 1)
    for name in ("c1", "bn", "c2", "r2", "c1"):
        assert model.pull(x, hot(len(x), 3, 0), wrt=name).fingerprint == model.fingerprint()
    assert len(model._read_in) <= 3


def test_the_fingerprint_sees_training():
    net = regularised()
    net.compile("adam", "mse")
    model = xaikit_keras.wrap(net)
    seen = [model.fingerprint()]
    for _ in range(3):
        net.train_on_batch(rows(4), np.zeros(net(rows(4)).shape))
        seen.append(model.fingerprint())
        assert seen[-1] == xaikit_keras.wrap(net).fingerprint()
    assert len(set(seen)) == len(seen)


def without_private_parts(monkeypatch, taken):
    """Take private parts of TensorFlow away, as in a version that has them elsewhere."""
    for name in taken:
        monkeypatch.setattr(_private, name, None)
    for found in (_private.reads_together, _private.calls_flatly, _private._small):
        found.cache_clear()
    return _private.reads_together(), _private.calls_flatly()


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        ((), (True, True)),
        (("execute",), (False, True)),
        (("convert_to_eager_tensor",), (True, False)),
        (("context", "execute", "convert_to_eager_tensor"), (False, False)),
    ],
)
def test_without_private_parts_of_tensorflow_numbers_stay(monkeypatch, taken, left):
    net, x = cnn(), images(3)
    expected = xaikit_keras.wrap(net)
    seed = hot(3, expected.run(x).output.shape[1], 1)
    pulls = [expected.pull(x, seed) for _ in range(2 * EAGER_ROWS)]
    try:
        assert without_private_parts(monkeypatch, taken) == left
        model = xaikit_keras.wrap(net)
        found = [model.pull(x, seed) for _ in range(2 * EAGER_ROWS)]
        assert model.traced.made > 0
        assert_allclose(found[-1].gradient, pulls[-1].gradient, rtol=1e-5, atol=1e-7)
        assert_allclose(model.run(x, score="logit").output, expected.run(x, score="logit").output, rtol=1e-5)
        before = model.fingerprint()
        net.weights[0].assign(net.weights[0] + 1)
        assert before != model.fingerprint() == expected.fingerprint()
    finally:
        monkeypatch.undo()
        _private.reads_together.cache_clear()
        _private.calls_flatly.cache_clear()


def test_a_function_that_tensorflow_runs_otherwise_is_called_as_documented(monkeypatch):
    """A version whose traced functions lack what is called, not what is imported."""
    from tensorflow.python.eager.polymorphic_function.concrete_function import ConcreteFunction

    _private.calls_flatly.cache_clear()
    try:
        with monkeypatch.context() as m:
            m.setattr(ConcreteFunction, "captured_inputs", property(lambda _: 1 / 0))
            assert not _private.calls_flatly()
    finally:
        _private.calls_flatly.cache_clear()
    assert _private.calls_flatly()
