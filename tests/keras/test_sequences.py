"""Recurrent and attention layers: masks, states, and the gates inside."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import xaikit as xk
import xaikit_keras
from tests.keras.nets import L, filled, sentences, text
from xaikit.arrays import agreement
from xaikit.errors import NotSupported

pytestmark = pytest.mark.slow

RECURRENT = {
    "lstm": lambda **k: L.LSTM(4, **k),
    "lstm without bias": lambda **k: L.LSTM(4, use_bias=False, recurrent_activation="hard_sigmoid", **k),
    "gru": lambda **k: L.GRU(4, **k),
    "gru, reset before": lambda **k: L.GRU(4, reset_after=False, **k),
    "rnn": lambda **k: L.SimpleRNN(4, **k),
}


def test_padding_is_masked():
    net, ids = text(), sentences()
    model = xaikit_keras.wrap(net)
    ran = model.run(ids, at=["embedding", "lstm"])
    np.testing.assert_allclose(ran.output, net(ids), rtol=1e-6)
    short = text(length=3)
    short.set_weights(net.get_weights())
    np.testing.assert_allclose(ran.output[1:2], short(ids[1:2, :3]), rtol=1e-5)
    pull = model.pull(ids, np.ones((3, 1), "float32"), wrt="embedding")
    assert np.all(np.any(pull.gradient, axis=-1) == (ids > 0))


def test_a_patched_embedding_keeps_its_mask():
    net, ids = text(), sentences()
    model = xaikit_keras.wrap(net)
    value = model.run(ids, at=["embedding"]).activations["embedding"]
    np.testing.assert_allclose(model.run(ids, patch={"embedding": value}).output, net(ids), rtol=1e-6)
    noisy = value + np.where(ids == 0, 7, 0)[..., None]
    np.testing.assert_allclose(model.run(ids, patch={"embedding": noisy}).output, net(ids), rtol=1e-6)
    pull = model.pull(ids, np.ones((3, 1), "float32"), wrt="embedding", patch={"embedding": value})
    np.testing.assert_allclose(pull.gradient, model.pull(ids, np.ones((3, 1)), wrt="embedding").gradient, rtol=1e-5)


def test_a_mask_that_comes_from_inside_a_layer_is_kept():
    class Words(keras.Layer):
        def __init__(self):
            super().__init__(name="words")
            self.table = L.Embedding(20, 5, mask_zero=True, name="table")

        def build(self, shape):
            self.unused = self.add_weight(shape=(), name="unused")

        def call(self, x):
            return self.table(x)

    net = filled(keras.Sequential([L.Input((7,), dtype="int32"), Words(), L.LSTM(4), L.Dense(1)]))
    model, ids = xaikit_keras.wrap(net), sentences()
    value = model.run(ids, at=["words"]).activations["words"]
    np.testing.assert_allclose(model.run(ids, patch={"words": value}).output, net(ids), rtol=1e-6)
    gradient = model.pull(ids, np.ones((3, 1), "float32"), wrt="words").gradient
    assert np.all(np.any(gradient, axis=-1) == (ids > 0))


def test_a_masking_layer_is_kept():
    net = filled(keras.Sequential([L.Input((5, 2)), L.Masking(name="mask"), L.GRU(3, name="gru")]))
    x = np.random.default_rng(0).normal(size=(2, 5, 2)).astype("float32")
    x[1, 3:] = 0
    model = xaikit_keras.wrap(net)
    ran = model.run(x, at=["mask"])
    np.testing.assert_array_equal(ran.activations["mask"], x)
    np.testing.assert_allclose(ran.output, net(x), rtol=1e-6)
    assert not np.any(model.pull(x, np.ones((2, 3), "float32"), wrt="mask").gradient[1, 3:])


@pytest.mark.parametrize("dtype", ["int32", "float32"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.filterwarnings("ignore:Layer 'flat' .* was passed an input with a mask")
def test_ids_have_no_gradient(dtype, masked):
    net = filled(
        keras.Sequential([L.Input((4,), dtype=dtype), L.Embedding(9, 3, name="embedding"), L.Flatten(), L.Dense(1)])
    )
    model = xaikit_keras.wrap(net)
    ids = np.array([[1, 2, 3, 4]])
    with pytest.raises(NotSupported, match="ask for the gradient at 'embedding'"):
        model.pull(ids, np.ones((1, 1), "float32"))
    assert model.pull(ids, np.ones((1, 1), "float32"), wrt="embedding").gradient.shape == (1, 4, 3)


def test_whole_numbers_inside_have_no_gradient():
    x = L.Input((4,))
    best = keras.ops.argmax(x, axis=-1)
    model = xaikit_keras.wrap(keras.Model(x, L.Embedding(4, 2, name="embedding")(best)))
    with pytest.raises(NotSupported, match="no gradient to 'argmax'"):
        model.pull(np.ones((2, 4), "float32"), np.ones((2, 2), "float32"), wrt="argmax")


def test_a_stateful_layer_starts_from_zero_and_keeps_its_state():
    net = filled(keras.Sequential([L.Input(batch_shape=(2, 5, 3)), L.LSTM(4, stateful=True, name="lstm"), L.Dense(1)]))
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    net.get_layer("lstm").reset_state()
    fresh = net(x).numpy()
    states = [s.numpy() for s in net.get_layer("lstm").states]
    model = xaikit_keras.wrap(net)
    for _ in range(2):
        np.testing.assert_allclose(model.run(x, at=["lstm"]).output, fresh, rtol=1e-5)
    model.pull(x, np.ones((2, 1), "float32"))
    for before, after in zip(states, net.get_layer("lstm").states, strict=True):
        np.testing.assert_array_equal(before, after)
    assert np.any(states[0])


def test_a_layer_with_states_is_known_by_its_sequence():
    x = L.Input((5, 3))
    sequence, h, c = L.LSTM(4, return_sequences=True, return_state=True, name="lstm")(x)
    net = filled(keras.Model(x, L.Dense(1)(L.Concatenate()([sequence[:, -1], h, c]))))
    values = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    model = xaikit_keras.wrap(net)
    ran = model.run(values, at=["lstm"])
    assert ran.activations["lstm"].shape == (2, 5, 4)
    np.testing.assert_allclose(model.run(values, patch={"lstm": ran.activations["lstm"]}).output, ran.output, rtol=1e-5)


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("backwards", [False, True])
def test_the_state_recomputed_from_the_gates_is_the_layers_own(name, backwards):
    layer = RECURRENT[name](return_sequences=True, go_backwards=backwards, name="r")
    net = filled(keras.Sequential([L.Input((6, 3)), L.Masking(name="mask"), layer]))
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    x[1, 4:] = 0
    ran = xaikit_keras.wrap(net).run(x, at=["r/h", "r"])
    own = net(x).numpy()
    np.testing.assert_allclose(ran.output, own, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ran.activations["r/h"], own[:, ::-1] if backwards else own, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", RECURRENT)
@pytest.mark.parametrize("sequences", [False, True])
def test_a_masked_layer_of_two_directions_is_the_same_through_its_gates(name, sequences):
    layer = L.Bidirectional(RECURRENT[name](return_sequences=sequences), name="b")
    net = filled(keras.Sequential([L.Input((6, 3)), L.Masking(name="mask"), layer]))
    x = np.random.default_rng(0).normal(size=(3, 6, 3)).astype("float32")
    x[1, 4:] = x[2, :3] = 0
    ran = xaikit_keras.wrap(net).run(x, at=["b/backward/h"])
    np.testing.assert_allclose(ran.output, net(x).numpy(), rtol=1e-5, atol=1e-6)
    if sequences:
        there = x.any(-1)
        units = ran.activations["b/backward/h"].shape[-1]
        np.testing.assert_allclose(ran.activations["b/backward/h"][there], ran.output[..., units:][there], atol=1e-6)


def test_the_gates_of_an_lstm_make_its_state():
    net = filled(keras.Sequential([L.Input((6, 3)), L.LSTM(4, name="lstm"), L.Dense(1)]))
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    model = xaikit_keras.wrap(net)
    assert [n for n in model.layers if "/" in n] == [f"lstm/{g}" for g in "ifgoch"]
    assert list(model.layers)[-1] == "dense" if "dense" in model.layers else True
    assert model.layers["lstm/i"].axes == ("sample", "time", "channel")
    assert model.layers["lstm/i"].shape == (6, 4)
    got = model.run(x, at=[f"lstm/{g}" for g in "ifgoch"] + ["lstm"]).activations
    i, f, g, o, c, h = (got[f"lstm/{k}"] for k in "ifgoch")
    before = np.concatenate([np.zeros_like(c[:, :1]), c[:, :-1]], axis=1)
    np.testing.assert_allclose(c, f * before + i * g, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(h, o * np.tanh(c), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got["lstm"], h[:, -1])
    assert 0 < i.min() < i.max() < 1


def test_the_gates_of_a_gru_make_its_state():
    net = filled(keras.Sequential([L.Input((6, 3)), L.GRU(4, name="gru")]))
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    got = xaikit_keras.wrap(net).run(x, at=[f"gru/{g}" for g in "zrnh"]).activations
    z, n, h = got["gru/z"], got["gru/n"], got["gru/h"]
    before = np.concatenate([np.zeros_like(h[:, :1]), h[:, :-1]], axis=1)
    np.testing.assert_allclose(h, z * before + (1 - z) * n, rtol=1e-5, atol=1e-6)


def test_a_gradient_to_a_state_follows_all_later_steps():
    """h_t = w h_(t-1) + x_t: the last state has the derivative w^(T-1-t) in state t."""
    layer = L.SimpleRNN(1, activation="linear", use_bias=False, name="r")
    net = keras.Sequential([L.Input((5, 1)), layer])
    layer.set_weights([np.ones((1, 1)), np.full((1, 1), 0.5)])
    model = xaikit_keras.wrap(net)
    x = np.random.default_rng(0).normal(size=(2, 5, 1)).astype("float32")
    pull = model.pull(x, np.ones((2, 1), "float32"), wrt="r/h")
    np.testing.assert_allclose(pull.gradient[..., 0], np.tile(0.5 ** np.arange(4, -1, -1), (2, 1)), rtol=1e-6)
    np.testing.assert_array_equal(pull.source, model.run(x, at=["r/h"]).activations["r/h"])
    value = np.zeros((1, 5, 1), "float32")
    value[0, 2] = 8.0
    assert np.all(model.run(x, patch={"r/h": value}).output == 0)
    back = model.pull(x, lambda h: np.ones_like(h), of="r/h").gradient
    np.testing.assert_allclose(back[0, :, 0], [sum(0.5**k for k in range(5 - t)) for t in range(5)], rtol=1e-6)


def test_both_directions_are_aligned_to_the_input():
    forward, backward = L.LSTM(3, return_sequences=True), L.LSTM(3, return_sequences=True, go_backwards=True)
    both = L.Bidirectional(forward, backward_layer=backward, name="both")
    net = filled(keras.Sequential([L.Input((6, 2)), L.Masking(name="masking"), both]))
    x = np.random.default_rng(0).normal(size=(2, 6, 2)).astype("float32")
    model = xaikit_keras.wrap(net)
    assert [n for n, layer in model.layers.items() if layer.kind != "gate"] == ["masking", "both"]
    got = model.run(x, at=["both", "both/forward/h", "both/backward/h"]).activations
    np.testing.assert_allclose(got["both"][..., :3], got["both/forward/h"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got["both"][..., 3:], got["both/backward/h"], rtol=1e-5, atol=1e-6)
    assert set(model.weights("both")) == {
        f"{d}_{n}" for d in ("forward", "backward") for n in ("kernel", "recurrent_kernel", "bias")
    }


def test_attention_weights_are_the_layers_own_and_can_be_replaced():
    x = L.Input((4, 6))
    attention = L.MultiHeadAttention(2, 3, name="mha")
    net = filled(keras.Model(x, attention(x, x)))
    values = np.random.default_rng(0).normal(size=(2, 4, 6)).astype("float32")
    own, scores = attention(values, values, return_attention_scores=True)
    model = xaikit_keras.wrap(net)
    assert model.layers["mha/weights"].axes == ("sample", "head", "target", "source")
    assert model.layers["mha/weights"].shape == (2, 4, 4)
    ran = model.run(values, at=["mha/weights"])
    np.testing.assert_allclose(ran.activations["mha/weights"], scores, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ran.output, own, rtol=1e-5, atol=1e-6)
    seed = np.random.default_rng(1).normal(size=(2, 4, 6)).astype("float32")
    pull = model.pull(values, seed, wrt="mha/weights")
    step = 1e-2 * np.random.default_rng(2).normal(size=scores.shape).astype("float32")
    moved = [model.run(values, patch={"mha/weights": scores.numpy() + s * step}).output for s in (1, -1)]
    # the output is linear in the weights, so the difference is exact up to rounding
    np.testing.assert_allclose(((moved[0] - moved[1]) / 2 * seed).sum(), (pull.gradient * step).sum(), rtol=1e-3)
    assert set(model.weights("mha")) == {
        f"{part}/{n}" for part in ("query", "key", "value", "attention_output") for n in ("kernel", "bias")
    }


@pytest.mark.parametrize("kind", [L.Attention, L.AdditiveAttention])
def test_weights_of_plain_attention(kind):
    query, value = L.Input((3, 4), name="query"), L.Input((5, 4), name="value")
    net = filled(keras.Model([query, value], kind(name="attention")([query, value])))
    rng = np.random.default_rng(0)
    x = {n: rng.normal(size=(2, t, 4)).astype("float32") for n, t in (("query", 3), ("value", 5))}
    model = xaikit_keras.wrap(net)
    ran = model.run(x, at=["attention/weights"])
    weights = ran.activations["attention/weights"]
    assert model.layers["attention/weights"].shape == weights.shape[1:] == (3, 5)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(weights @ x["value"], ran.output, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ran.output, net(list(map(tf.constant, x.values()))), rtol=1e-5, atol=1e-6)


def test_an_lstm_is_traced_at_once():
    model, ids = xaikit_keras.wrap(text()), sentences()
    for count in (3, 1, 2):
        model.run(ids[:count])
        model.pull(ids[:count], np.ones((count, 1), "float32"), wrt="embedding")
    assert model.traced.made == 2


# --- attributions over steps and tokens -------------------------------------------------------------------------------

GRADIENT = ("saliency", "gradient-x-input", "integrated-gradients")


@pytest.mark.parametrize("recurrent", [lambda: L.LSTM(4), lambda: L.Bidirectional(L.GRU(4)), lambda: L.SimpleRNN(4)])
def test_tokens_are_explained_at_their_embeddings(recurrent):
    """The mask is that of the sample all along the way, which starts at a sentence of pads."""
    spec = xk.Text(7, pad_side="right")
    model = xk.wrap(text(recurrent()), inputs=spec, outputs=xk.Classes(["bad", "good"]))
    e = xk.explain(model, sentences(), "integrated-gradients", target="good")
    assert e.axes == ("sample", "token")
    assert (e.quality["completeness_gap_relative"] < 1e-3).all()
    for method in GRADIENT:
        batch = xk.explain(model, sentences(), method, target="good").values
        np.testing.assert_array_equal(batch != 0, sentences() != 0)
        alone = [xk.explain(model, ids, method, target="good").values for ids in sentences()]
        assert agreement(batch, np.concatenate(alone)).max() <= 1e-5


def test_the_embeddings_gradient_is_the_tapes():
    net = text()
    model = xk.wrap(net, inputs=xk.Text(7, pad_side="right"), outputs=xk.Classes(["bad", "good"]))
    table = net.get_layer("embedding").get_weights()[0]
    ids = sentences()[:1]  # without pads, so that a mask makes no difference
    value = tf.Variable(table[ids])
    with tf.GradientTape() as tape:
        p = net.get_layer("head")(net.get_layer("lstm")(value))
        logit = tf.math.log(p / (1 - p))
    gradient = tape.gradient(logit, value).numpy()
    e = {m: xk.explain(model, ids, m, target="good").values for m in GRADIENT}
    np.testing.assert_allclose(e["saliency"], np.linalg.norm(gradient, axis=-1), rtol=1e-4)
    np.testing.assert_allclose(e["gradient-x-input"], (gradient * table[ids]).sum(-1), rtol=1e-4, atol=1e-7)


def test_ids_of_a_float_type_are_explained_at_their_embeddings_too():
    net = filled(keras.Sequential([L.Input((4,)), L.Embedding(9, 3, name="embedding"), L.Flatten(), L.Dense(1)]))
    model = xk.wrap(net, inputs=xk.Array((4,)), outputs=xk.Values(["y"]))
    e = xk.explain(model, np.array([1, 2, 3, 8]), "integrated-gradients", baseline="zero", steps=3)
    assert e.values.shape == (1, 4)
    assert e.origin.notes["embedding"] == ["embedding"]
    bias = float(net.layers[-1].get_weights()[1][0])
    np.testing.assert_allclose(e.values.sum(), float(e.prediction[0, 0]) - bias, rtol=1e-4)


def test_a_text_and_a_row_in_one_network():
    words, row = L.Input((5,), dtype="int32", name="words"), L.Input((3,), name="row")
    read = L.LSTM(4)(L.Embedding(20, 5, mask_zero=True, name="embedding")(words))
    net = filled(keras.Model([words, row], L.Dense(1)(L.Concatenate()([read, L.Dense(4, "tanh")(row)]))))
    model = xk.wrap(net, inputs={"words": xk.Text(5), "row": xk.Array((3,))}, outputs=xk.Values(["y"]))
    x = {"words": np.array([[0, 0, 3, 4, 5], [1, 2, 3, 4, 5]]), "row": np.ones((2, 3), "float32")}
    e = xk.explain(model, x, "integrated-gradients")
    assert e["words"].values.shape == (2, 5)
    assert e["row"].values.shape == (2, 3)
    assert (e["row"].quality["completeness_gap_relative"] < 1e-3).all()
    np.testing.assert_array_equal(e["words"].values[0, :2], 0)


@pytest.mark.parametrize("method", [*GRADIENT, "lime", "occlusion", "exact-shapley"])
def test_masked_steps_of_a_series_are_no_part(method):
    net = filled(keras.Sequential([L.Input((6, 2)), L.Masking(name="mask"), L.GRU(3), L.Dense(1)]))
    x = np.random.default_rng(0).normal(size=(2, 6, 2)).astype("float32")
    x[1, 4:] = 0
    model = xk.wrap(net, inputs=xk.Series(6, 2, pad=0.0), outputs=xk.Values(["y"]))
    e = xk.explain(model, x, method, **({"samples": 40} if method == "lime" else {}))
    np.testing.assert_array_equal(e.values[1, 4:], 0)
    assert np.all(e.values[0] != 0)


@pytest.mark.parametrize("method", [*GRADIENT, "lime"])
def test_a_stateful_network_is_explained_from_zero_and_keeps_its_state(method):
    """The size of a batch is fixed at two, so one sample is filled up."""
    net = filled(keras.Sequential([L.Input(batch_shape=(2, 5, 3)), L.LSTM(4, stateful=True, name="lstm"), L.Dense(1)]))
    x = np.random.default_rng(0).normal(size=(3, 5, 3)).astype("float32")
    net(x[:2])
    states = [s.numpy() for s in net.get_layer("lstm").states]
    model = xk.wrap(net, inputs=xk.Series(5, 3), outputs=xk.Values(["y"]))
    how = {"samples": 30} if method == "lime" else {}
    batch = xk.explain(model, x, method, **how).values
    alone = np.concatenate([xk.explain(model, row, method, **how).values for row in x])
    assert agreement(batch, alone).max() <= 1e-5
    for before, after in zip(states, net.get_layer("lstm").states, strict=True):
        np.testing.assert_array_equal(before, after)
    assert np.any(states[0])


def test_a_stateful_network_keeps_its_state_when_it_raises():
    net = keras.Sequential([L.Input(batch_shape=(2, 5, 3)), L.LSTM(4, stateful=True, name="lstm"), L.Dense(1)])
    net(np.ones((2, 5, 3), "float32"))
    states = [s.numpy() for s in net.get_layer("lstm").states]
    model = xaikit_keras.wrap(net)
    with pytest.raises(xk.XaikitError):
        model.pull(np.ones((2, 5, 3), "float32"), np.full((2, 1), np.nan, "float32"), wrt="no such layer")

    def seed(value):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        model.pull(np.ones((2, 5, 3), "float32"), seed)
    for before, after in zip(states, net.get_layer("lstm").states, strict=True):
        np.testing.assert_array_equal(before, after)
