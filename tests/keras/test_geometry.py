"""Receptive fields of Keras networks: every layer's geometry against what its places truly see."""

import inspect
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import xaikit_keras
from tests.fields import assert_sees, seen_places
from tests.keras.nets import L
from xaikit.graph import fields, places
from xaikit_keras._graph import default_axes

DOUBLE: dict[str, Any] = {"dtype": "float64"}


def positive(net: Any) -> Any:
    """Give a network positive weights and no biases, so that it answers to all that it reads."""
    for variable in net.weights:
        none = any(word in variable.path for word in ("bias", "beta", "moving_mean", "seed"))
        variable.assign(np.zeros(variable.shape) if none else np.full(variable.shape, 0.5))
    return net


def walked(net: Any, **options: Any) -> tuple[Any, Any]:
    """Give the layers of a network and what they see."""
    model = xaikit_keras.wrap(net)
    layers = model.layers
    assert model._read().traced
    names = ["input"] if len(net.inputs) == 1 else [t.name for t in net.inputs]
    lengths = {
        name: {a: n for a, n in zip(default_axes(len(t.shape)), t.shape, strict=True) if a not in ("sample", "channel")}
        for name, t in zip(names, net.inputs, strict=True)
    }
    return layers, fields(layers, lengths, **options)


def answers(net: Any, base: Any = None, channel: int | None = -1) -> list[Any]:
    """Give what the outputs of a network answer to."""
    shape = net.inputs[0].shape[1:]

    def run(x: Any) -> list[Any]:
        return [np.asarray(y) for y in keras.tree.flatten(net(x, training=False))]

    return seen_places(run, shape, channel=channel, base=base)


def check(net: Any, names: Any, base: Any = None, *, inside: bool = False, channel: int | None = -1) -> int:
    """Compare all the outputs of a network, which are the layers of the given names; count the units."""
    layers, nodes = walked(net)
    axes = default_axes(len(net.inputs[0].shape))
    sizes = [n for a, n in zip(axes, net.inputs[0].shape, strict=True) if a not in ("sample", "channel")]
    for name, seen in zip(names, answers(net, base, channel), strict=True):
        assert_sees(nodes[name], "input", sizes, layers[name], seen, inside=inside)
        assert not nodes[name].bounds, f"{name} is only bounded: {layers[name].geometry}"
    return len(names)


def branches(shape: tuple[int, ...], made: Any, **check_options: Any) -> int:
    """Set layers side by side on one input, and check them all."""
    x = L.Input(shape, dtype="float64")
    net = positive(keras.Model(x, [layer(x) for layer in made]))
    return check(net, [layer.name for layer in made], **check_options)


def grid(n: int) -> Iterator[Any]:
    """Make the layers of one dimension that take `n` places."""
    for k in range(1, 6):
        for s in (1, 2, 3):
            for padding in ("same", "valid", "causal"):
                for d in (1, 2, 3) if s == 1 else (1,):
                    if padding != "valid" or d * (k - 1) < n:
                        yield L.Conv1D(1, k, s, padding, dilation_rate=d, **DOUBLE)
            for padding in ("same", "valid"):
                yield L.Conv1DTranspose(1, k, s, padding, **DOUBLE)
                if padding == "same" or k <= n:
                    yield L.MaxPooling1D(k, s, padding, **DOUBLE)
                    yield L.AveragePooling1D(k, s, padding, **DOUBLE)
                    yield L.SeparableConv1D(2, k, s, padding, **DOUBLE)
                    yield L.DepthwiseConv1D(k, s, padding, **DOUBLE)
            if s > 1:
                yield L.Conv1DTranspose(1, k, s, "valid", output_padding=s - 1, **DOUBLE)
    yield from (L.UpSampling1D(f, **DOUBLE) for f in (1, 2, 3))
    for m in range(2, n + 1):  # Keras fails to pool to one place
        yield from (L.AdaptiveAveragePooling1D(m, **DOUBLE), L.AdaptiveMaxPooling1D(m, **DOUBLE))
    yield from (L.ZeroPadding1D((1, 2), **DOUBLE), L.Cropping1D((1, 2), **DOUBLE))


@pytest.mark.slow
@pytest.mark.parametrize("n", [5, 6, 7, 8, 9])
def test_every_layer_of_one_dimension_sees_what_is_told(n):
    assert branches((n, 1), list(grid(n))) > 180


def planes() -> Iterator[Any]:
    """Make layers of two dimensions, with two different ones where they may differ."""
    yield L.Conv2D(2, (3, 2), (2, 1), "same", **DOUBLE)
    yield L.Conv2D(2, (2, 3), dilation_rate=(2, 1), **DOUBLE)
    yield L.Conv2D(2, 3, groups=2, padding="same", **DOUBLE)
    yield L.DepthwiseConv2D((3, 2), (2, 2), "same", **DOUBLE)
    yield L.SeparableConv2D(2, (1, 3), padding="same", **DOUBLE)
    yield L.Conv2DTranspose(2, (3, 2), (2, 3), "same", **DOUBLE)
    yield L.Conv2DTranspose(2, 3, 2, "valid", **DOUBLE)
    yield L.Conv2DTranspose(2, 3, 2, "same", output_padding=1, **DOUBLE)
    yield L.Conv2DTranspose(2, 3, 3, "same", output_padding=0, **DOUBLE)
    yield L.MaxPooling2D((2, 3), (1, 2), "same", **DOUBLE)
    yield L.AveragePooling2D(2, **DOUBLE)
    for how in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"):
        yield L.UpSampling2D((2, 3), interpolation=how, **DOUBLE)
        yield L.Resizing(10, 7, interpolation=how, **DOUBLE)
        yield L.Resizing(3, 4, interpolation=how, **DOUBLE)
        yield L.Resizing(12, 14, interpolation=how, **DOUBLE)
    yield L.ZeroPadding2D(((1, 2), (0, 3)), **DOUBLE)
    yield L.Cropping2D(((1, 0), (2, 1)), **DOUBLE)
    yield L.GlobalAveragePooling2D(**DOUBLE)
    yield L.GlobalMaxPooling2D(keepdims=True, **DOUBLE)
    yield L.AdaptiveAveragePooling2D((2, 3), **DOUBLE)
    yield L.Dense(3, **DOUBLE)
    yield L.EinsumDense("bhwc,cd->bhwd", (6, 7, 3), **DOUBLE)
    yield L.Flatten(**DOUBLE)
    yield L.Reshape((42, 2), **DOUBLE)
    yield L.Reshape((7, 6, 2), **DOUBLE)
    yield L.Reshape((6, 14), **DOUBLE)
    yield L.Permute((2, 1, 3), **DOUBLE)
    yield L.Permute((3, 1, 2), **DOUBLE)
    yield L.BatchNormalization(**DOUBLE)
    yield L.SpatialDropout2D(0.5, **DOUBLE)
    yield L.Rescaling(2.0, **DOUBLE)
    yield L.LeakyReLU(**DOUBLE)


MOVES = (
    lambda x: x[:, ::2, 1:],
    lambda x: x[:, ::-1],
    lambda x: x[:, 3, 1:],
    lambda x: ops.roll(x, 2, axis=2),
    lambda x: ops.pad(x, ((0, 0), (1, 2), (2, 1), (0, 0))),
    lambda x: ops.pad(x, ((0, 0), (2, 1), (1, 2), (0, 0)), mode="reflect"),
    lambda x: ops.pad(x, ((0, 0), (2, 1), (1, 2), (0, 0)), mode="symmetric"),
    lambda x: ops.mean(x, axis=2),
    lambda x: ops.max(x, axis=1, keepdims=True),
    lambda x: ops.concatenate([x[:, 3:], x[:, :3]], axis=1),
    lambda x: x + x[:, :1],
    lambda x: x * 2 + x[:, ::-1],
    lambda x: ops.tile(x, (1, 2, 1, 1)),
    lambda x: ops.repeat(x, 2, axis=2),
    lambda x: ops.stack([x, x[:, ::-1]], axis=1)[:, 1],
    lambda x: ops.split(x, 3, axis=1)[1],
    lambda x: ops.swapaxes(x, 1, 2),
    lambda x: ops.take(x, [2, 0, 5], axis=1),
    lambda x: ops.expand_dims(x, 1)[:, 0],
    lambda x: ops.reshape(x, (-1, 3, 2, 7, 2)),
    lambda x: ops.sum(ops.reshape(x, (-1, 3, 2, 7, 2)), axis=2),
    lambda x: tf.nn.space_to_depth(x[:, :, 1:], 2),
    lambda x: tf.nn.depth_to_space(ops.concatenate([x, x], axis=-1), 2),
    lambda x: 2 * ops.relu(x),
    lambda x: ops.matmul(x, ops.ones((2, 3), "float64")),
)
ops = keras.ops


def test_every_layer_of_two_dimensions_sees_what_is_told():
    assert branches((6, 7, 2), list(planes())) > 45


def test_operations_that_move_places_are_followed_through_layers_of_the_users_own():
    assert branches((6, 7, 2), [L.Lambda(move, **DOUBLE) for move in MOVES]) == len(MOVES)


def test_operations_of_a_functional_network_are_followed_too():
    x = L.Input((6, 7, 2), dtype="float64")
    made = [move(x) for move in MOVES if "tf." not in inspect.getsource(move)]
    net = keras.Model(x, made)
    check(net, [t._keras_history.operation.name for t in made])
