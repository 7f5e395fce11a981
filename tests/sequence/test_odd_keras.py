"""Keras networks of odd structures: their gates make the network's own states."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.sequence.nets import CHANNELS, STEPS, UNITS, series
from xaikit.sequence import gradient_flow, prefixes

pytestmark = pytest.mark.slow


def built(*layers, **how):
    import keras

    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.layers.Input((STEPS, CHANNELS), **how), *layers])


def states_of(net):
    return xk.hidden_states(xk.wrap(net, inputs=xk.Series(STEPS, CHANNELS)), series())


@pytest.mark.parametrize("reset_after", [True, False])
def test_both_kinds_of_gru_make_their_state(reset_after) -> None:
    from keras import layers as L

    found = states_of(built(L.GRU(UNITS, reset_after=reset_after), L.Dense(1)))
    z, n, h = found["z"], found["n"], found["h"]
    before = np.concatenate([np.zeros_like(h[:, :1]), h[:, :-1]], axis=1)
    assert_allclose(h, z * before + (1 - z) * n, atol=1e-6)
    assert found.deviation < 1e-5


def test_going_backwards_stands_at_the_steps_of_the_input() -> None:
    from keras import layers as L

    net = built(L.LSTM(UNITS, go_backwards=True, return_sequences=True))
    assert_allclose(states_of(net)["h"], net(series()).numpy()[:, ::-1], atol=1e-6)


def test_stateful_networks_begin_anew() -> None:
    import keras
    from keras import layers as L

    keras.utils.set_random_seed(0)
    net = keras.Sequential(
        [keras.layers.Input(batch_shape=(2, STEPS, CHANNELS)), L.LSTM(UNITS, stateful=True), L.Dense(1)]
    )
    model = xk.wrap(net, inputs=xk.Series(STEPS, CHANNELS))
    first, again = (xk.hidden_states(model, series()) for _ in range(2))
    assert_array_equal(first["h"], again["h"])
    so_far = prefixes(model, series())
    assert_allclose(so_far.scores[:, -1], model.run(series()).output[:, 0], atol=1e-6)


def test_nested_networks_and_subclassed_layers_have_gates() -> None:
    from keras import layers as L

    class Own(L.LSTM):
        pass

    inner = built(Own(UNITS, return_sequences=True, name="own"), L.GRU(2, name="top"))
    net = built(inner, L.Dense(1))
    model = xk.wrap(net, inputs=xk.Series(STEPS, CHANNELS))
    names = [n.removesuffix("/h") for n in model.layers if n.endswith("/h")]
    assert len(names) == 2
    own, top = (xk.hidden_states(model, series(), n) for n in names)
    assert (own.kind, top.kind) == ("lstm", "gru")
    assert_allclose(top["h"][:, -1], inner(series()).numpy(), atol=1e-6)


def test_queries_in_groups_show_their_weights() -> None:
    import keras
    from keras import layers as L

    keras.utils.set_random_seed(0)
    x = L.Input((STEPS, CHANNELS))
    answer, weights = L.GroupQueryAttention(4, 4, 2)(x, x, return_attention_scores=True)
    model = xk.wrap(keras.Model(x, L.GlobalAveragePooling1D()(answer)), inputs=xk.Series(STEPS, CHANNELS))
    found = xk.attention(model, series())
    assert found.axes == ("sample", "head", "target", "source")
    assert_allclose(found.weights, keras.Model(x, weights)(series()).numpy(), atol=1e-6)


@pytest.mark.parametrize("cell", ["LSTM", "GRU", "SimpleRNN"])
def test_masked_steps_are_passed_over_on_either_side(cell) -> None:
    import keras
    from keras import layers as L

    layer, head = getattr(L, cell)(UNITS), L.Dense(1)
    net = built(L.Masking(-1.0), layer, head)
    model = xk.wrap(net, inputs=xk.Series(STEPS, CHANNELS, pad=-1.0))
    x = series(3)
    x[0, 4:] = -1
    x[1, :2] = -1
    there = np.ones((3, STEPS), bool)
    there[0, 4:] = there[1, :2] = False
    states, flow, so_far = xk.hidden_states(model, x), gradient_flow(model, x), prefixes(model, x)
    assert_array_equal(np.isnan(states["h"]).all(-1), ~there)
    assert_array_equal(np.isnan(flow.states[""]), ~there)
    assert_array_equal(np.isnan(flow.inputs), ~there)
    assert states.deviation < 1e-6
    for gate in {"c", "h"} & set(states.values):  # what is passed over leaves both as they were
        held = model.run(x, at=[f"{states.layer}/{gate}"]).activations[f"{states.layer}/{gate}"]
        assert_allclose(held[0, 4:], held[0, [3, 3]], atol=1e-7)
        assert_array_equal(held[1, :2], 0)
    assert so_far.how == "the rest is padding"
    for i in range(3):
        own = x[i, there[i]]
        for n in range(1, len(own) + 1):
            short = keras.Sequential([L.Input((n, CHANNELS)), layer, head])(own[None, :n]).numpy()
            assert_allclose(so_far.scores[i, n - 1], short[0, 0], atol=1e-6)
        assert_array_equal(so_far.lengths[i], [*range(1, len(own) + 1), *[0] * (STEPS - len(own))])


@pytest.mark.parametrize("masked", [True, False])
def test_attention_made_by_hand_sums_a_text_up(masked) -> None:
    import keras
    from keras import layers as L

    keras.utils.set_random_seed(0)
    ids = L.Input((STEPS,), dtype="int32")
    states = L.GRU(UNITS, return_sequences=True)(L.Embedding(8, 5)(ids))
    worth = L.Flatten()(L.Dense(1)(states))
    if masked:
        worth = L.Subtract()([worth, L.Lambda(lambda i: 1e9 * keras.ops.cast(keras.ops.equal(i, 0), "float32"))(ids)])
    shares = L.Softmax(name="shares")(worth)
    net = keras.Model(ids, L.Dense(1)(L.Dot(axes=1)([shares, states])))
    spec = xk.Text(STEPS, vocabulary=["[pad]", "[unknown]", *"abcdef"], tokenizer="characters", pad_side="right")
    model = xk.wrap(net, inputs=spec)
    found = xk.attention(model, ["abca", "fedcba"], "shares")
    assert found.axes == ("sample", "target", "source")
    own = keras.Model(ids, shares)(model.inputs.encode(["abca", "fedcba"])).numpy()
    assert_allclose(found.weights[1, 0], own[1], atol=1e-6)
    assert_allclose(found.weights[0, 0, :4], own[0, :4], atol=1e-6)
    assert found.source[0] == ("a", "b", "c", "a", "", "")
    assert np.isnan(found.weights[0, 0, 4:]).all() == masked
    assert any("on padding" in reason for reason in found.status.reasons) != masked


def test_one_to_many_has_prefixes_and_gates_of_both_of_its_layers() -> None:
    from keras import layers as L

    net = built(
        L.GRU(UNITS, name="reads"),
        L.RepeatVector(3),
        L.GRU(UNITS, return_sequences=True, name="writes"),
        L.TimeDistributed(L.Dense(2)),
    )
    model = xk.wrap(net, inputs=xk.Series(STEPS, CHANNELS))
    reads, writes = (xk.hidden_states(model, series(), n) for n in ("reads", "writes"))
    assert (reads["h"].shape, writes["h"].shape) == ((2, STEPS, UNITS), (2, 3, UNITS))
    target = xk.At(step=1, index=0)
    found = prefixes(model, series(), target)
    assert_allclose(found.scores[:, -1], model.run(series()).output[:, 1, 0], atol=1e-6)
    flow = gradient_flow(model, series(), "writes", target)
    assert not flow.states[""][:, 2].any()  # the third step is written after the second
    assert flow.states[""][:, 1].all()
    explained = xk.explain(model, series(), "integrated-gradients", target, baseline="zero", steps=100)
    from_zero = model.run(series()).output[:, 1, 0] - model.run(0 * series()).output[:, 1, 0]
    assert_allclose(explained.values.sum((1, 2)), from_zero, rtol=1e-3)
