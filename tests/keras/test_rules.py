"""The rules for ReLUs in Keras: on every way to write one, and refused where they would not be in force."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

import xaikit as xk
from xaikit.errors import NotSupported

L = keras.layers
X = np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)
SEED = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
FIRST = np.random.default_rng(2).normal(size=(5, 6)).astype(np.float32)
LAST = np.random.default_rng(3).normal(size=(6, 3)).astype(np.float32)


def wrapped(*middle):
    net = keras.Sequential([L.Input((5,)), L.Dense(6, use_bias=False), *middle, L.Dense(3, use_bias=False)])
    net.layers[0].set_weights([FIRST])
    net.layers[-1].set_weights([LAST])
    return xk.wrap(net, inputs=xk.Array((5,)), outputs=xk.Values(["a", "b", "c"]))


def by_hand(rule, ceiling=np.inf, scale=1.0):
    hidden = X @ FIRST * scale
    gate = np.ones_like(hidden) if rule == "deconvnet" else (hidden > 0) & (hidden < ceiling)
    return np.maximum(SEED @ LAST.T, 0) * gate @ FIRST.T * scale


class Own(L.Layer):
    """A layer of the user's own, whose call may be decorated."""

    def call(self, x):
        return tf.nn.relu(x)


class Decorated(Own):
    @tf.function
    def call(self, x):
        return tf.nn.relu(x)


class Calling(Own):
    """A layer that calls a function of its own, in a graph of its own."""

    def __init__(self):
        super().__init__()
        self.inner = tf.function(tf.nn.relu)

    def call(self, x):
        return self.inner(x)


SPELLINGS = {
    "layer": lambda: L.ReLU(),
    "activation": lambda: L.Activation("relu"),
    "function": lambda: L.Activation(keras.ops.relu),
    "own layer": Own,
    "decorated layer": Decorated,
    "nested": lambda: keras.Sequential([L.Activation("relu")]),
}


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_relu_follows_the_rule(spelling, rule):
    model = wrapped(SPELLINGS[spelling]())
    assert_allclose(model.pull(X, SEED, rule=rule).gradient, by_hand(rule), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", ["guided", "deconvnet"])
def test_a_relu6_keeps_its_ceiling(rule):
    model = wrapped(L.Rescaling(5.0), L.ReLU(max_value=6))
    assert (X @ FIRST * 5 > 6).any()
    assert_allclose(model.pull(X, SEED, rule=rule).gradient, by_hand(rule, 6, 5.0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("function", ["gelu", "silu", "leaky_relu", "tanh", "linear"])
def test_without_a_relu_the_rule_is_refused(function):
    with pytest.raises(NotSupported, match=r"no ReLU on this way.*use saliency"):
        wrapped(L.Activation(function)).pull(X, SEED, rule="guided")


def test_a_relu_that_is_out_of_reach_is_refused_even_beside_others():
    with pytest.raises(NotSupported, match=r"ReLU inside (Stateful)?PartitionedCall, where the rule 'guided' cannot"):
        wrapped(L.ReLU(), Calling()).pull(X, SEED, rule="guided")


def test_a_relu_inside_a_loop_over_time_is_refused():
    net = keras.Sequential([L.Input((5, 2)), L.SimpleRNN(3, activation="relu"), L.Dense(3, activation="relu")])
    model = xk.wrap(net, inputs=xk.Series(5, 2), outputs=xk.Values(["a", "b", "c"]))
    with pytest.raises(NotSupported, match="ReLU inside While"):
        model.pull(np.ones((4, 5, 2), np.float32), SEED, rule="guided")


def test_an_lstm_keeps_its_own_gradient_beside_a_relu():
    net = keras.Sequential([L.Input((5, 2)), L.LSTM(4), L.Dense(16, activation="relu"), L.Dense(3)])
    model = xk.wrap(net, inputs=xk.Series(5, 2), outputs=xk.Values(["a", "b", "c"]))
    x = np.random.default_rng(0).normal(size=(4, 5, 2)).astype(np.float32)
    guided, plain = (model.pull(x, SEED, rule=rule).gradient for rule in ("guided", None))
    assert np.isfinite(guided).all()
    assert not np.allclose(guided, plain)


def test_the_activation_inside_a_layer_is_in_its_description():
    model = wrapped(L.Dense(6, activation="gelu"))
    assert [layer.config.get("activation") for layer in model.layers.values()] == [None, "gelu", None]
