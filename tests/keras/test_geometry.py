"""Receptive fields of Keras networks: every layer's geometry against what its places truly see."""

import inspect
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import xaikit as xk
import xaikit_keras
from tests.cases import some
from tests.drawing import RANDOM, Drawn
from tests.fields import edges, hulls
from tests.keras.nets import L
from xaikit.graph import Geometry, fields
from xaikit.inputs import Array
from xaikit.insight._field_inputs import input_lengths
from xaikit_keras._graph import default_axes

pytestmark = pytest.mark.slow

ops = keras.ops

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


def answers(net: Any, base: Any = None) -> list[Any]:
    """Light one place after the other, all channels at once, unequally: for each output, what answers, (place, *shape).

    A linear network of positive weights without biases answers to every place that it reads. A millionth of the largest
    answer is rounding: the float32 weights of an interpolation where they should be zero.
    """
    shape = net.inputs[0].shape[1:]
    places = shape[:-1]
    lit = np.eye(int(np.prod(places))).reshape(-1, *places, 1) / np.arange(1, shape[-1] + 1)
    start = np.zeros((1, *shape)) if base is None else base[None]
    before, after = (keras.tree.flatten(net(x, training=False)) for x in (start, start + lit))
    changes = [np.abs(np.asarray(a) - np.asarray(b)) for a, b in zip(after, before, strict=True)]
    return [c > 1e-6 * c.max() for c in changes]


def check(net: Any, base: Any = None) -> int:
    """Compare all the outputs of a network, each of which is a layer; count them."""
    layers, nodes = walked(net)
    sizes = net.inputs[0].shape[1:-1]
    for name, seen in zip(ends(net), answers(net, base), strict=True):
        layer, node = layers[name], nodes[name]
        assert not node.bounds, f"{name} is only bounded: {layer.geometry}"
        seen = seen.any(layer.axes.index("channel")) if "channel" in layer.axes else seen
        told = [edges(node, key) for key in node.edges]
        for (lo, hi), (first, last) in zip(told, hulls(seen, sizes), strict=True):
            np.testing.assert_array_equal(np.broadcast_to(lo, first.shape), first, f"{name} {layer.geometry}")
            np.testing.assert_array_equal(np.broadcast_to(hi, last.shape), last, f"{name} {layer.geometry}")
    return len(net.outputs)


def ends(net: Any) -> list[str]:
    """Name the layers that make the outputs of a network."""
    made = {id(operation): name for name, (operation, _) in xaikit_keras.wrap(net)._read().calls.items()}
    return [made[id(t._keras_history.operation)] for t in net.outputs]


def branches(shape: tuple[int, ...], made: Any, **options: Any) -> int:
    """Set layers side by side on one input, and check them all."""
    x = L.Input(shape, dtype="float64")
    net = positive(keras.Model(x, [layer(x) for layer in made]))
    return check(net, **options)


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


@pytest.mark.parametrize("n", some(range(5, 10), (5,)))
def test_every_layer_of_one_dimension_sees_what_is_told(n):
    assert branches((n, 1), list(grid(n))) > 180


def planes() -> Iterator[Any]:
    """Make layers of two dimensions, with two different ones where they may differ."""
    yield L.Conv2D(2, (3, 2), (2, 1), "same", **DOUBLE)
    yield L.Conv2D(2, (2, 4), padding="same", **DOUBLE)
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


def test_every_layer_of_two_dimensions_sees_what_is_told():
    assert branches((6, 7, 2), list(planes())) > 45


def test_operations_that_move_places_are_followed_through_layers_of_the_users_own():
    assert branches((6, 7, 2), [L.Lambda(move, **DOUBLE) for move in MOVES]) == len(MOVES)


def test_operations_of_a_functional_network_are_followed_too():
    x = L.Input((6, 7, 2), dtype="float64")
    made = [move(x) for move in MOVES if not any(w in inspect.getsource(move) for w in ("tf.", "split"))]
    net = keras.Model(x, made)
    assert check(net) == len(made)


WEIGHTS = np.ones((3, 2, 2, 2))
FUNCTIONS = (
    lambda x: ops.conv(x, WEIGHTS, 2, "same"),
    lambda x: ops.depthwise_conv(x, WEIGHTS[..., :1], 1, "same"),
    lambda x: ops.max_pool(x, 2, 1, "same"),
    lambda x: ops.average_pool(x, (2, 3)),
    lambda x: ops.image.resize(x, (9, 4), interpolation="nearest"),
    lambda x: ops.einsum("bhwc,cd->bhwd", x, np.ones((2, 3))),
    lambda x: ops.einsum("bhwc,hd->bdwc", x, np.ones((6, 3))),
    lambda x: ops.cumsum(x, axis=1),
    lambda x: ops.mean(x, axis=(1, 2, 3)),
    lambda x: ops.reshape(x, (-1, 42, 2)),
    lambda x: L.SpectralNormalization(L.Conv2D(2, 3, **DOUBLE), **DOUBLE)(x),
    lambda x: L.CenterCrop(4, 4, **DOUBLE)(x),
    lambda x: L.RepeatVector(3, **DOUBLE)(ops.max(x, axis=(1, 2))),
    lambda x: L.Add(**DOUBLE)([x, ops.mean(x, axis=1)]),
    lambda x: L.Add(**DOUBLE)([L.Flatten(**DOUBLE)(x), L.Flatten(**DOUBLE)(L.AveragePooling2D(3, 1, "same")(x))]),
    lambda x: L.TimeDistributed(L.GRU(2, return_sequences=True, **DOUBLE), **DOUBLE)(x),
)


def test_functions_and_wrapped_layers_tell_their_geometry():
    x = L.Input((6, 7, 2), dtype="float64")
    assert check(positive(keras.Model(x, [f(x) for f in FUNCTIONS]))) == len(FUNCTIONS)


# --- sequences, norms, attention -------------------------------------------------------------------------------------


def sequences() -> Iterator[Any]:
    """Make layers of sequences."""
    for made in (L.LSTM, L.GRU, L.SimpleRNN):
        yield made(2, return_sequences=True, **DOUBLE)
        yield made(2, return_sequences=True, go_backwards=True, **DOUBLE)
        yield made(2, **DOUBLE)
    yield L.Bidirectional(L.GRU(2, return_sequences=True, **DOUBLE), **DOUBLE)
    yield L.Bidirectional(L.GRU(2, **DOUBLE), **DOUBLE)
    yield L.TimeDistributed(L.Dense(2, **DOUBLE), **DOUBLE)
    yield L.LayerNormalization(**DOUBLE)
    yield L.LayerNormalization(axis=(1, 2), **DOUBLE)
    yield L.GroupNormalization(1, **DOUBLE)
    yield L.UnitNormalization(axis=1, **DOUBLE)
    yield L.Softmax(axis=1, **DOUBLE)
    yield L.Softmax(**DOUBLE)
    yield L.Permute((2, 1), **DOUBLE)
    yield L.EinsumDense("btc,cd->btd", (6, 2), **DOUBLE)
    yield L.EinsumDense("btc,ts->bsc", (4, 3), **DOUBLE)


def start(*shape: int) -> Any:
    return np.random.default_rng(0).random(shape)


def test_layers_of_sequences_see_what_is_told():
    assert branches((6, 3), list(sequences()), base=start(6, 3)) == 21


def test_attention_sees_all_or_what_is_behind():
    x = L.Input((5, 4), dtype="float64")
    whole = L.MultiHeadAttention(2, 2, name="whole", **DOUBLE)(x, x)
    causal = L.MultiHeadAttention(2, 2, name="causal", **DOUBLE)(x, x, use_causal_mask=True)
    dot = L.Attention(name="dot", **DOUBLE)([x, x], use_causal_mask=True)
    added = L.AdditiveAttention(name="added", **DOUBLE)([x, x])
    grouped = L.GroupQueryAttention(2, 2, 1, **DOUBLE)(x, x, use_causal_mask=True)
    net = keras.Model(x, [whole, causal, dot, added, grouped])
    assert check(net, base=start(5, 4)) == 5


def test_a_query_stays_in_its_place_and_a_mask_of_the_users_own_bounds():
    x = L.Input((4, 2), name="x")
    seen = L.Input((6, 2), name="seen")
    crossed = L.Attention(name="crossed")([x, seen])
    masked = L.MultiHeadAttention(1, 2, name="masked")(x, x, attention_mask=ops.ones((1, 4, 4), "bool"))
    _, nodes = walked(keras.Model([x, seen], [crossed, masked]))
    assert [nodes["crossed"].box("x", (i,)) for i in range(4)] == [((i, i),) for i in range(4)]
    assert {nodes["crossed"].box("seen", (i,)) for i in range(4)} == {((0, 5),)}
    assert nodes["crossed"].bounds == ()
    assert nodes["masked"].bounds == ("masked",)
    assert nodes["masked"].box("x", (2,)) == ((0, 3),)


def clips() -> Iterator[Any]:
    """Make layers of pictures in time."""
    window: dict[str, Any] = {"kernel_size": (3, 1), "padding": "same", **DOUBLE}
    yield L.ConvLSTM2D(1, return_sequences=True, **window)
    yield L.ConvLSTM2D(1, **window)
    yield L.ConvLSTM2D(1, go_backwards=True, return_sequences=True, **window)
    yield L.ConvLSTM2D(1, (2, 3), (2, 1), return_sequences=True, **DOUBLE)
    yield L.TimeDistributed(L.Conv2D(1, (3, 2), (2, 1), padding="same", **DOUBLE), **DOUBLE)
    yield L.TimeDistributed(L.GlobalAveragePooling2D(**DOUBLE), **DOUBLE)
    yield L.TimeDistributed(L.Flatten(**DOUBLE), **DOUBLE)
    yield L.TimeDistributed(L.MaxPooling2D(2, **DOUBLE), **DOUBLE)
    yield L.Conv3D(1, (1, 2, 3), (1, 2, 1), "same", **DOUBLE)
    yield L.Conv3DTranspose(1, (2, 1, 3), 2, **DOUBLE)
    yield L.UpSampling3D((1, 2, 1), **DOUBLE)
    yield L.ZeroPadding3D(1, **DOUBLE)
    yield L.Cropping3D((1, 1, 2), **DOUBLE)
    yield L.GlobalMaxPooling3D(**DOUBLE)


def test_layers_of_clips_see_what_is_told():
    assert branches((3, 7, 6, 1), list(clips()), base=start(3, 7, 6, 1)) == 14


# --- graphs ----------------------------------------------------------------------------------------------------------


def squeezed(x: Any) -> Any:
    """Squeeze and excite: a gate from the mean over all places."""
    gate = L.GlobalAveragePooling2D(name="mean")(x)
    return L.Multiply(name="scaled")([x, L.Dense(2, activation="sigmoid", name="gate")(gate)])


def test_a_gate_over_space_sees_all_and_leaves_the_local_field_alone():
    x = L.Input((8, 8, 2))
    net = keras.Model(x, squeezed(L.Conv2D(2, 3, name="conv")(x)))
    _, nodes = walked(net)
    _, local = walked(net, local=True)
    assert nodes["scaled"].box("input", (2, 3)) == ((0, 7), (0, 7))
    assert nodes["scaled"].bounds == ()
    assert local["scaled"].box("input", (2, 3)) == ((2, 4), (3, 5))
    assert [a.size for a in local["scaled"].affine.values()] == [3, 3]


def test_branches_of_every_kind_are_joined():
    x = L.Input((8, 9, 2), dtype="float64")
    conv = L.Conv2D(2, 3, padding="same", name="conv", **DOUBLE)(x)
    shared = L.Conv2D(2, (1, 3), padding="same", name="shared", **DOUBLE)
    twice = shared(shared(conv))
    tall = L.Concatenate(axis=1, name="tall", **DOUBLE)([conv, twice])
    doubled = L.Concatenate(axis=2, name="doubled", **DOUBLE)([conv, conv])
    deep = L.Concatenate(name="deep", **DOUBLE)([twice, conv])
    spread = L.Add(name="spread", **DOUBLE)([conv, L.Lambda(lambda t: t[:, :1], name="row", **DOUBLE)(twice)])
    strided = L.Conv2D(1, 3, 2, "same", name="strided", **DOUBLE)(spread)
    again = L.Conv2DTranspose(2, 3, 2, "same", name="again", **DOUBLE)(strided)
    cropped = L.Cropping2D(((0, 0), (0, 1)), name="cropped", **DOUBLE)(again)
    joined = L.Add(name="joined", **DOUBLE)([cropped, conv])
    part = L.Conv2D(1, (1, 3), name="part", **DOUBLE)(ops.split(conv, 2, axis=1)[1])
    net = positive(keras.Model(x, [tall, doubled, deep, spread, joined, part]))
    assert check(net) == 6
    layers, _ = walked(net)
    assert {"shared", "shared:1"} <= set(layers)


class Blocks(keras.Model):
    """Layers with plain operations before, between and after them."""

    def __init__(self, decides: bool = False) -> None:
        super().__init__(name="blocks")
        self.a, self.b, self.c = (L.Conv1D(2, 3, padding="same", name=n, **DOUBLE) for n in "abc")
        self.inner = keras.Sequential([L.Conv1D(2, 2, padding="causal", name="d", **DOUBLE)], name="inner")
        self.decides = decides

    def call(self, x: Any) -> Any:
        h = self.a(x[:, 1:])
        if self.decides and float(ops.sum(h)) > 1e9:
            return h
        h = self.b(ops.flip(h, axis=1)) + h
        h = self.inner(ops.concatenate([h, x[:, :2]], axis=1))
        return self.c(ops.pad(h, ((0, 0), (1, 0), (0, 0)), mode="reflect")) * 2.0


@pytest.mark.parametrize("decides", [False, True])
def test_a_subclassed_network_is_followed_through_the_operations_between_its_layers(decides):
    net = Blocks(decides)
    net(np.zeros((1, 8, 2)))
    positive(net)
    model = xaikit_keras.wrap(net, inputs=Array((8, 2)))
    layers = model.layers
    assert model._read().traced != decides
    node = fields(layers, {"input": {"time": 8}})[list(layers)[-1]]
    lit = np.broadcast_to(np.eye(8)[..., None], (8, 8, 2))
    seen = np.asarray(net(lit) - net(np.zeros((1, 8, 2)))).any(-1)
    ((first, last),) = hulls(seen, [8])
    lo, hi = edges(node, ("input", "time"))
    np.testing.assert_array_equal(lo, first)
    np.testing.assert_array_equal(hi, last)
    assert node.bounds == ()


class Sorting(L.Layer):
    def call(self, x: Any) -> Any:
        return ops.sort(x, axis=1)


def test_what_cannot_be_told_is_a_bound_that_is_named():
    x = L.Input((8, 2))
    h = L.Conv1D(2, 3, name="conv")(x)
    chosen = L.Lambda(lambda t: ops.take_along_axis(t, ops.argmax(t, axis=1, keepdims=True), axis=1), name="chosen")(h)
    net = keras.Model(x, [Sorting(name="sorting")(h), L.Conv1D(1, 1, name="after")(ops.sort(h, axis=1)), chosen])
    layers, nodes = walked(net)
    assert nodes["chosen"].bounds == ("chosen",)
    assert nodes["chosen"].box("input", (0,)) == ((0, 7),)
    assert layers["sorting"].geometry == Geometry("unknown")
    assert nodes["sorting"].bounds == ("sorting",)
    assert nodes["after"].bounds == ("sort",)
    assert nodes["sorting"].box("input", (0,)) == ((0, 7),)


def test_an_embedding_keeps_places_and_states_see_the_whole_sequence():
    x = L.Input((6,), dtype="int32")
    embedded = L.Embedding(9, 3, name="embedding")(x)
    steps, h, c = L.LSTM(3, return_sequences=True, return_state=True, name="lstm")(embedded)
    decoded = L.LSTM(3, return_sequences=True, name="decoded")(
        L.Conv1D(3, 2, name="conv")(embedded), initial_state=[h, c]
    )
    _, nodes = walked(keras.Model(x, [steps, decoded, L.Dense(2, name="head")(h)]))
    assert nodes["embedding"].box("input", (4,)) == ((4, 4),)
    assert nodes["lstm"].box("input", (2,)) == ((0, 2),)
    assert nodes["decoded"].box("input", (0,)) == ((0, 5),)
    assert nodes["head"].box("input", (0,)) == ((0, 5),)
    assert nodes["head"].bounds == nodes["decoded"].bounds == ()


def test_channels_first_slides_along_the_same_axes():
    net = keras.Sequential([L.Input((2, 8, 9)), L.Conv2D(3, (3, 1), 2, data_format="channels_first", name="c")])
    layers = xaikit_keras.wrap(net).layers
    node = fields(layers, {"input": {"height": 8, "width": 9}})["c"]
    assert node.box("input", (1, 2)) == ((2, 4), (4, 4))


# --- random networks -------------------------------------------------------------------------------------------------


def step(rng: Any, x: Any) -> Any:
    """Add a random layer."""
    n, k, s = int(x.shape[1]), int(rng.integers(1, 5)), int(rng.integers(1, 4))
    padding = str(rng.choice(["same", "valid", "causal"]))
    how = rng.integers(0, 9)
    if how < 3 and (padding != "valid" or k <= n):
        dilation = int(rng.integers(1, 3)) if s == 1 and 2 * (k - 1) < n else 1
        return L.Conv1D(2, k, s, padding, dilation_rate=dilation, **DOUBLE)(x)
    if how == 3 and k <= n:
        return L.AveragePooling1D(k, s, "same" if padding == "same" else "valid", **DOUBLE)(x)
    if how == 4 and n < 20:
        return L.Conv1DTranspose(2, k, s, "same" if padding == "same" else "valid", **DOUBLE)(x)
    if how == 5 and n < 20:
        return L.UpSampling1D(s, **DOUBLE)(x)
    if how == 6 and n > 3:
        return L.Cropping1D((int(rng.integers(0, 2)), int(rng.integers(0, 2))), **DOUBLE)(x)
    if how == 7:
        return x[:, ::-1]
    return L.ZeroPadding1D((int(rng.integers(0, 3)), int(rng.integers(0, 3))), **DOUBLE)(x)


def joined(rng: Any, a: Any, b: Any) -> Any:
    """Join two branches, in line or not."""
    if rng.random() < 0.4:
        return L.Concatenate(axis=1, **DOUBLE)([a, b])
    n = min(a.shape[1], b.shape[1])
    first = int(rng.integers(0, b.shape[1] - n + 1))
    a, b = a[:, :n], b[:, first : first + n]
    return L.Add(**DOUBLE)([a, b]) if rng.random() < 0.5 else L.Concatenate(**DOUBLE)([a, b])


def random_net(rng: Any) -> Any:
    """Make a network of two branches between two stems, of a dozen random layers."""
    x = L.Input((int(rng.integers(6, 14)), 2), dtype="float64")
    stem = L.Conv1D(2, 3, padding="same", **DOUBLE)(x)
    ends = []
    for _ in range(2):
        end = stem
        for _ in range(int(rng.integers(1, 5))):
            end = step(rng, end)
        ends.append(L.Conv1D(2, 1, **DOUBLE)(end))
    made = [*ends, joined(rng, *ends)]
    for _ in range(int(rng.integers(0, 3))):
        made.append(step(rng, made[-1]))
    return positive(keras.Model(x, made))


@settings(RANDOM, max_examples=6)
@given(st.data())
def test_every_unit_of_a_random_network_sees_what_is_told(data):
    assert check(random_net(Drawn(data))) > 2


@pytest.mark.long
@settings(RANDOM, max_examples=40)
@given(st.data())
def test_every_unit_of_many_random_networks_sees_what_is_told(data):
    assert check(random_net(Drawn(data))) > 2


# --- published values ------------------------------------------------------------------------------------------------


def affine(node: Any, axis: str = "time") -> tuple[Any, Any, Any] | None:
    """Give size, stride and padding in front."""
    found = node.affine["input", axis]
    return None if found is None else (found.size, found.stride, None if found.start is None else -found.start)


PUBLISHED: dict[str, tuple[int, dict[str, tuple[int, int, int]]]] = {
    # Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks" (Distill 2019), the table;
    # the padding of ResNet50 is that of Keras, which pads the first convolution by 3 on both sides
    "VGG16": (224, {"block1_pool": (6, 2, 2), "block3_conv2": (32, 4, 14), "block5_pool": (212, 32, 90)}),
    "ResNet50": (224, {"conv2_block3_out": (35, 4, 17), "conv5_block3_out": (483, 32, 241)}),
    "MobileNet": (224, {"conv_pw_13_relu": (315, 32, 126)}),
    "InceptionV3": (299, {"mixed10": (1311, 32, 618)}),
    "InceptionResNetV2": (299, {"conv_7b_ac": (3039, 32, 1482)}),
    # by the recurrence of the same article
    "VGG19": (224, {"block5_pool": (268, 32, 118)}),
    "MobileNetV2": (224, {"out_relu": (491, 32, 214)}),
    "ResNet50V2": (224, {"post_relu": (483, 32, 241)}),
    "DenseNet121": (224, {"relu": (2071, 32, 1021)}),
    "Xception": (299, {"block14_sepconv2_act": (1083, 32, 534)}),
}
ALWAYS = ("VGG16", "ResNet50", "MobileNet", "InceptionV3")


@pytest.mark.parametrize("name", some(PUBLISHED, ALWAYS))
def test_networks_of_keras_have_the_published_fields(name):
    size, expected = PUBLISHED[name]
    made = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), include_top=False)
    _, nodes = walked(made)
    for layer, values in expected.items():
        assert affine(nodes[layer], "height") == affine(nodes[layer], "width") == values
        assert nodes[layer].bounds == ()


def test_squeeze_and_excite_makes_the_field_whole_and_leaves_a_local_one():
    net = keras.applications.EfficientNetB0(weights=None, input_shape=(224, 224, 3), include_top=False)
    _, nodes = walked(net)
    _, local = walked(net, local=True)
    assert affine(nodes["top_activation"], "height") is None
    assert nodes["top_activation"].box("input", (3, 3)) == ((0, 223), (0, 223))
    assert affine(local["top_activation"], "height") == (851, 32, 394)
    assert nodes["top_activation"].bounds == ()


def line(n: int, *branches: Any) -> Any:
    """Join branches on one input of `n` places, each a list of (kernel, stride, padding): numbers, or "same"."""
    x = L.Input((n, 1))
    ends = []
    for branch in branches:
        end = x
        for k, s, padding in branch:
            mode = padding if isinstance(padding, str) else "valid"
            padded = end if mode == "same" or padding == (0, 0) else L.ZeroPadding1D(padding)(end)
            end = L.Conv1D(1, k, s, mode)(padded)
        ends.append(end)
    return keras.Model(x, L.Add(name="add")(ends) if len(ends) > 1 else ends[0])


def any_length(layers: Any) -> Any:
    """Forget the lengths of layers and input."""
    free = {n: replace(layer, shape=(*[None] * (len(layer.shape) - 1), 1)) for n, layer in layers.items()}
    return fields(free, {"input": {"time": None}})


NONE = (0, 0)


def test_small_networks_have_the_fields_of_the_reference_implementation():
    """The test networks of google-research/receptive_field: aligned, and aligned for some lengths only."""
    aligned = line(8, [(1, 4, NONE)], [(3, 2, (1, 0)), (1, 2, NONE)])
    layers, nodes = walked(aligned)
    assert affine(nodes["add"]) == affine(any_length(layers)["add"]) == (3, 4, 1)
    assert nodes["add"].misaligned == ()
    for n in (8, 9):
        layers, nodes = walked(line(n, [(1, 4, "same")], [(3, 2, "same"), (1, 2, "same")]))
        assert affine(any_length(layers)["add"]) == (3, 4, None)
        assert affine(nodes["add"])[:2] == (3, 4)
        assert bool(nodes["add"].misaligned) == (n == 8)
    assert affine(nodes["add"]) == (3, 4, 1)


def test_a_merge_within_a_network_is_joined_on_the_way():
    for padded in (False, True):
        three: Any = (1, 0) if padded else "same"
        one: Any = NONE if padded else "same"
        x = L.Input((16 if padded else 17, 1))

        def block(h: Any, ways: Any) -> Any:
            ends = []
            for way in ways:
                end = h
                for k, s, padding in way:
                    end = L.ZeroPadding1D(padding)(end) if padding not in ("same", NONE) else end
                    end = L.Conv1D(1, k, s, padding if padding == "same" else "valid")(end)
                ends.append(end)
            return L.Add()(ends)

        first = block(x, [[(1, 4, one)], [(3, 2, three), (1, 2, one)]])
        last = block(first, [[(1, 2, one)], [(3, 2, three)]])
        layers, nodes = walked(keras.Model(x, last))
        assert affine(nodes[list(layers)[-1]]) == (11, 8, 5)
        assert nodes[list(layers)[-1]].misaligned == ()


def test_kernels_that_are_not_square():
    net = keras.Sequential([L.Input((20, 20, 1)), L.Conv2D(1, (3, 5), 2), L.Conv2D(1, (3, 1), 2, name="last")])
    _, nodes = walked(net)
    assert affine(nodes["last"], "height") == (7, 4, 0)
    assert affine(nodes["last"], "width") == (5, 4, 0)


def test_branches_out_of_line_are_told_with_both_their_names():
    net = line(8, [(5, 2, (2, 1))], [(3, 1, NONE), (3, 1, NONE)])
    _, nodes = walked(net)
    assert [nodes["add"].box("input", (i,)) for i in range(4)] == [((0, 4),), ((0, 5),), ((2, 6),), ((3, 7),)]
    (found,) = nodes["add"].misaligned
    assert (found.layer, found.axis, found.offset, found.strides) == ("add", "time", None, (2, 1))
    assert len(set(found.parents)) == 2
    assert affine(nodes["add"]) is None


def test_places_that_a_stride_leaves_out_are_seen_by_nobody():
    net = line(8, [(3, 3, NONE), (3, 1, "same")])
    layers, nodes = walked(net)
    last = nodes[list(layers)[-1]]
    assert last.reach("input", (1,)) == ((0, 8),)
    assert last.box("input", (1,)) == ((0, 5),)


def test_the_first_pooling_layers_of_a_digit_network():
    net = keras.Sequential(
        [
            L.Input((28, 28, 1)),
            *(L.Conv2D(4, 3), L.MaxPooling2D(2), L.Conv2D(4, 3), L.MaxPooling2D(2, name="pool")),
        ]
    )
    _, nodes = walked(net)
    assert affine(nodes["pool"], "width") == (10, 4, 0)


# --- trained networks ------------------------------------------------------------------------------------------------

ZOO = (
    *("mnist_cnn", "xo_cnn", "lenet5_cifar10", "resnet20_cifar10", "cats_vs_dogs", "unet", "conv_autoencoder"),
    *("eeg_cnn", "lstm_forecast", "series_autoencoder"),
)


def zoo(name: str, framework: str) -> Any:
    model = xk.zoo.load(name, framework)
    return model, model.layers, fields(model.layers, input_lengths(model, model.layers))


@pytest.mark.parametrize("name", ZOO[:8])
def test_both_frameworks_have_one_field(name):
    _, ours, nodes = zoo(name, "keras")
    _, theirs, others = zoo(name, "torch")
    kinds = ("conv", "conv_transposed", "max_pool", "avg_pool", "global_avg_pool", "upsample", "add")
    common = [n for n in ours if n in theirs and ours[n].kind in kinds and ours[n].kind == theirs[n].kind]
    assert common
    for n in common:
        here, there = nodes[n], others[n]
        assert here.affine.keys() == there.affine.keys()
        assert affine_of(here) == affine_of(there), n
        for (_, mine), (_, other) in zip(sorted(here.edges.items()), sorted(there.edges.items()), strict=True):
            shape = (2, *(k or 1 for k in here.lengths))
            np.testing.assert_array_equal(np.broadcast_to(mine, shape), np.broadcast_to(other, shape), n)


def affine_of(node: Any) -> list[Any]:
    return [a and (a.size, a.stride, a.start) for _, a in sorted(node.affine.items())]


@pytest.mark.parametrize("name", some(ZOO, ("mnist_cnn", "cats_vs_dogs", "conv_autoencoder", "series_autoencoder")))
def test_no_unit_of_a_trained_network_reacts_to_what_lies_outside_of_its_box(name):
    model, layers, nodes = zoo(name, "keras")
    rng = np.random.default_rng(0)
    x = rng.random((1, *model.inputs.shape)).astype("float32")
    for layer in [n for n in layers.values() if "channel" in n.axes][:12]:
        value = model.run(x, at=[layer.name]).activations[layer.name]
        for _ in range(2):
            unit = tuple(int(rng.integers(k)) for k in value.shape[1:])
            seed = np.zeros_like(value)
            seed[(0, *unit)] = 1
            reacts = model.pull(x, seed, of=layer.name).gradient[0] != 0
            place = [u for u, a in zip(unit, layer.axes[1:], strict=True) if a != "channel"]
            box = nodes[layer.name].box("input", place)
            reacts[tuple(slice(lo, hi + 1) for lo, hi in box or ())] = False
            assert not reacts.any(), (layer.name, unit, box)
