"""Keras networks of odd structures: their gates make the network's own states."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.sequence.nets import CHANNELS, STEPS, UNITS, series
from xaikit.sequence import prefixes

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
