"""DeepLIFT and LRP on the graphs of Keras networks: complete, equal to torch, refused by the layer's name."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch
from keras import layers
from numpy.testing import assert_allclose
from torch import nn

import xaikit as xk
from tests.contract.nets import state_of
from xaikit.errors import NotSupported

pytestmark = pytest.mark.slow

PICTURES = np.random.default_rng(0).normal(size=(3, 12, 12, 3)).astype(np.float32)
ROWS = np.random.default_rng(1).normal(size=(5, 4)).astype(np.float32)


def many() -> Any:
    """A functional network with most of the layers that have rules."""
    keras.utils.set_random_seed(0)
    x = entry = keras.Input((12, 12, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    drawn = keras.initializers.RandomNormal(1, 0.3, seed=0)
    x = layers.BatchNormalization(gamma_initializer=drawn, beta_initializer=drawn)(x)
    x = layers.DepthwiseConv2D(3)(layers.SeparableConv2D(5, 3)(x))
    x = layers.MaxPooling2D(3, 2)(layers.ELU()(layers.LeakyReLU()(x)))
    x = layers.Add()([layers.Conv2D(5, 1)(x), x])
    x = layers.Dropout(0.1)(layers.AveragePooling2D(2)(layers.ZeroPadding2D()(x)))
    x = layers.Concatenate()([layers.GlobalMaxPooling2D()(x), layers.GlobalAveragePooling2D()(x)])
    x = layers.Reshape((3, 2))(layers.Dense(6, activation="softplus")(x))
    x = layers.Flatten()(layers.MaxPooling1D(2)(layers.Conv1D(2, 2)(x)))
    x = layers.Dense(3, activation="softmax")(layers.Activation("selu")(x))
    return keras.Model(entry, x)


@pytest.mark.parametrize("baseline", [0, "mean", PICTURES[2]])
def test_most_layers_are_complete(baseline: Any) -> None:
    model = xk.wrap(many(), inputs=xk.Image(12, 12, 3, scale=1), outputs=xk.Classes(["a", "b", "c"]))
    before = state_of(model)
    found = xk.explain(model, PICTURES[:2], "deep-lift", target=0, baseline=baseline)
    assert (found.quality["completeness_gap"] < 1e-5).all()
    assert np.abs(found.values).max() > 1e-3
    assert state_of(model) == before


@pytest.mark.parametrize(
    "activation", ["relu", "relu6", "elu", "selu", "sigmoid", "tanh", "softplus", "softsign", "gelu", "silu"]
)
def test_activations_are_complete(activation: str) -> None:
    net = keras.Sequential([layers.Input((4,)), layers.Dense(6, activation=activation), layers.Dense(2)])
    found = xk.explain(xk.wrap(net), ROWS, "deep-lift", target=1)
    assert (found.quality["completeness_gap"] < 1e-5).all()


def test_an_mlp_is_that_of_torch() -> None:
    keras.utils.set_random_seed(0)
    net = keras.Sequential([layers.Input((4,)), layers.Dense(8, "relu"), layers.Dense(5, "tanh"), layers.Dense(2)])
    dense = [nn.Linear(4, 8), nn.Linear(8, 5), nn.Linear(5, 2)]
    with torch.no_grad():
        for theirs, mine in zip(net.layers, dense, strict=True):
            kernel, bias = theirs.get_weights()
            mine.weight.copy_(torch.tensor(kernel.T))
            mine.bias.copy_(torch.tensor(bias))
    other = nn.Sequential(dense[0], nn.ReLU(), dense[1], nn.Tanh(), dense[2])
    for method, how in (("deep-lift", {"baseline": 0.2}), ("deep-shap", {"background": ROWS[2:]}), ("lrp", {})):
        a, b = (xk.explain(xk.wrap(m, inputs=xk.Array((4,))), ROWS, method, target=1, **how) for m in (net, other))
        assert_allclose(a.values, b.values, rtol=1e-4, atol=1e-6, err_msg=method)


class Own(keras.Model):
    """A subclassed network with functions that are no layers, a layer used twice, a gate."""

    def __init__(self, **described: Any) -> None:
        super().__init__(**described)
        self.first, self.second, self.relu = layers.Dense(5), layers.Dense(2), layers.ReLU()

    def call(self, x: Any) -> Any:
        h = tf.nn.relu(self.first(x))
        return tf.nn.softmax(self.second(self.relu(h) * self.relu(1 - h)))


def test_functions_in_a_network_of_ones_own_have_their_rules() -> None:
    keras.utils.set_random_seed(0)
    found = xk.explain(xk.wrap(Own(), inputs=xk.Array((4,))), ROWS, "deep-lift", target=0)
    assert (found.quality["completeness_gap"] < 1e-6).all()


def test_a_convolution_over_volumes_is_complete() -> None:
    net = keras.Sequential(
        [
            layers.Input((6, 6, 6, 1)),
            *(layers.Conv3D(2, 2), layers.MaxPooling3D(2), layers.Conv3DTranspose(2, 2), layers.UpSampling3D(2)),
            *(layers.Flatten(), layers.Dense(2)),
        ]
    )
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 6, 1)).astype(np.float32)
    found = xk.explain(xk.wrap(net), x, "deep-lift", target=0)
    assert (found.quality["completeness_gap"] < 1e-5).all()


@pytest.mark.parametrize("method", ["deep-lift", "deep-shap", "lrp"])
@pytest.mark.parametrize("cell", ["LSTM", "GRU", "SimpleRNN"])
def test_recurrent_cells_are_refused_by_name_and_reason(method: str, cell: str) -> None:
    net = keras.Sequential([layers.Input((5, 3)), getattr(layers, cell)(4, name="cell"), layers.Dense(2)])
    with pytest.raises(NotSupported, match=r"'cell'.*gates of a recurrent cell.*gradient-shap"):
        xk.explain(xk.wrap(net), np.zeros((1, 5, 3), np.float32), method, target=0)


@pytest.mark.parametrize("method", ["deep-lift", "lrp"])
def test_a_normalisation_over_the_sample_is_refused_by_name(method: str) -> None:
    net = keras.Sequential([layers.Input((4,)), layers.LayerNormalization(name="norm"), layers.Dense(2)])
    with pytest.raises(NotSupported, match="'norm'"):
        xk.explain(xk.wrap(net), ROWS, method, target=0)


def test_a_bias_and_its_kernel_are_one_layer_for_lrp() -> None:
    """y = relu(3a - b + 1) at (2, 1): 6. With ε = 6 the shares are 6 and -1 of 12."""
    net = keras.Sequential([layers.Input((2,)), layers.Dense(1, "relu")])
    net.layers[0].set_weights([np.float32([[3], [-1]]), np.float32([1])])
    found = xk.explain(xk.wrap(net), np.float32([[2, 1]]), "lrp", epsilon=6.0)
    assert_allclose(found.values, [[6 * 6 / 12, -6 / 12]], rtol=1e-6)


@pytest.mark.parametrize("kind", ["pictures", "steps"])
def test_samples_that_share_a_baseline_have_the_values_they_have_alone(kind: str) -> None:
    keras.utils.set_random_seed(0)
    if kind == "pictures":
        entry = keras.Input((12, 12, 3))
        x = layers.MaxPooling2D(2)(layers.Conv2D(4, 3, activation="relu")(entry))
        x = layers.GlobalMaxPooling2D()(layers.Conv2D(4, 2, activation="softplus")(x))
    else:
        entry = keras.Input((3, 4))
        x = layers.Flatten()(layers.Dense(5, activation="tanh")(entry))
    model = xk.wrap(keras.Model(entry, layers.Dense(2)(x)))
    given = PICTURES if kind == "pictures" else np.random.default_rng(2).normal(size=(4, 3, 4)).astype(np.float32)
    together = xk.explain(model, given, "deep-lift", target=0, baseline=0.3)
    assert together.quality["completeness_gap_relative"].max() < 1e-4
    for i in range(len(given)):
        alone = xk.explain(model, given[i : i + 1], "deep-lift", target=0, baseline=0.3)
        assert_allclose(together.values[i], alone.values[0], atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "pool"),
    [
        ((11, 9, 3), layers.MaxPooling2D(2)),
        ((11, 9, 3), layers.MaxPooling2D((3, 2), strides=(4, 2))),
        ((11, 2), layers.MaxPooling1D(3)),
        ((5, 6, 4, 2), layers.MaxPooling3D(2)),
    ],
)
@pytest.mark.parametrize("baseline", [0, "rows"])
def test_maxima_of_windows_apart_pass_on_what_those_of_any_windows_do(
    shape: tuple[int, ...], pool: Any, baseline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    keras.utils.set_random_seed(0)
    drawn = np.random.default_rng(2)
    x = drawn.integers(-2, 3, (3, *shape)).astype(np.float32)  # whole numbers, so that there are ties
    starts = baseline if baseline == 0 else drawn.normal(size=(3, *shape)).astype(np.float32)

    def values() -> Any:
        net = keras.Sequential([layers.Input(shape), layers.ReLU(), pool, layers.Flatten(), layers.Dense(2)])
        net.layers[-1].set_weights([np.linspace(-1, 1, 2 * net.layers[-1].kernel.shape[0]).reshape(-1, 2), np.ones(2)])
        model = xk.wrap(net)
        found = [model.native("deep-lift", x, np.ones((3, 2)), baseline=np.broadcast_to(starts, x.shape))]
        return np.concatenate(found), model.run(x).output.sum(1) - model.run(
            np.broadcast_to(starts, x.shape)
        ).output.sum(1)

    apart, rise = values()
    assert_allclose(apart.reshape(3, -1).sum(1), rise, atol=1e-5)  # float32
    monkeypatch.setattr("xaikit_keras._native._Pool.apart", False)
    assert_allclose(apart, values()[0], atol=1e-6)
    assert np.abs(apart).max() > 0.1
