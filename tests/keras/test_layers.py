"""What a network says of itself: layers in call order, names, kinds, axes, parents, geometry."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import xaikit_keras
from tests.keras.nets import L, cnn, filled, images, subclassed, two_headed
from xaikit.errors import ModelError, UnknownName
from xaikit.graph import Geometry
from xaikit.inputs import Array, Image

pytestmark = pytest.mark.slow


def test_a_sequential_network_lists_its_layers_in_call_order():
    layers = xaikit_keras.wrap(cnn()).layers
    assert [(n, layer.kind) for n, layer in layers.items()] == [
        ("c1", "conv"),
        ("bn", "batch_norm"),
        ("drop", "dropout"),
        ("c2", "conv"),
        ("r2", "relu"),
        ("gap", "global_avg_pool"),
        ("head", "dense"),
    ]
    assert [layer.parents for layer in layers.values()] == [
        ("input",),
        ("c1",),
        ("bn",),
        ("drop",),
        ("c2",),
        ("r2",),
        ("gap",),
    ]
    assert layers["c1"].axes == ("sample", "height", "width", "channel")
    assert layers["c2"].shape == (5, 5, 6)
    assert layers["head"].axes == ("sample", "feature")
    assert sum(layer.parameters for layer in layers.values()) == cnn().count_params()
    assert layers["bn"].parameters == 16
    assert layers["bn"].trainable == 8


def test_frozen_layers_have_no_trainable_parameters():
    net = cnn()
    net.get_layer("c1").trainable = False
    layer = xaikit_keras.wrap(net).layers["c1"]
    assert (layer.parameters, layer.trainable) == (76, 0)


@pytest.mark.parametrize(
    ("layer", "places", "geometry"),
    [
        (L.Conv2D(2, 3), 8, Geometry("window", (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1))),
        (L.Conv2D(2, 3, padding="same"), 8, Geometry("window", (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))),
        (
            L.Conv2D(2, 3, 2, padding="same"),
            8,
            Geometry("window", (3, 3), (2, 2), ((0, 1), (0, 1)), (1, 1), mode="same"),
        ),
        (
            L.Conv2D(2, 3, 2, padding="same"),
            9,
            Geometry("window", (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), mode="same"),
        ),
        (L.Conv2D(2, 4, padding="same"), 8, Geometry("window", (4, 4), (1, 1), ((1, 2), (1, 2)), (1, 1))),
        (L.Conv2D(2, 3, dilation_rate=2), 8, Geometry("window", (3, 3), (1, 1), ((0, 0), (0, 0)), (2, 2))),
        (L.DepthwiseConv2D((3, 2)), 8, Geometry("window", (3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1))),
        (L.SeparableConv2D(2, 3), 8, Geometry("window", (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1))),
        (L.MaxPooling2D(2), 8, Geometry("window", (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))),
        (
            L.MaxPooling2D(2, padding="same"),
            7,
            Geometry("window", (2, 2), (2, 2), ((0, 1), (0, 1)), (1, 1), mode="same"),
        ),
        (L.AveragePooling2D(3, 1, padding="same"), 8, Geometry("window", (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))),
        (L.ZeroPadding2D(((1, 2), (0, 3))), 8, Geometry("window", (1, 1), (1, 1), ((1, 2), (0, 3)), (1, 1))),
        (L.Cropping2D(((1, 0), (2, 1))), 8, Geometry("window", (1, 1), (1, 1), ((-1, 0), (-2, -1)), (1, 1))),
    ],
)
def test_window_geometry_counts_the_places_that_come_out(layer, places, geometry):
    found = xaikit_keras.wrap(keras.Sequential([L.Input((places, places, 2)), layer])).layers[layer.name]
    assert found.geometry == geometry
    assert found.geometry.output_size((places, places)) == found.shape[:2]


@pytest.mark.parametrize(
    ("size", "stride", "mode"), [(3, 2, "same"), (4, 2, "same"), (2, 3, "same"), (3, 2, "valid"), (3, 1, "same")]
)
def test_transposed_geometry_is_the_cut_from_the_full_output(size, stride, mode):
    layer = L.Conv1DTranspose(1, size, stride, padding=mode, use_bias=False, kernel_initializer="ones", name="up")
    model = xaikit_keras.wrap(keras.Sequential([L.Input((5, 1)), layer]))
    geometry = model.layers["up"].geometry
    before, after = geometry.padding[0]
    full = (5 - 1) * stride + size
    assert full - before - after == model.layers["up"].shape[0]
    lit = np.zeros((1, 5, 1), "float32")
    lit[0, 2] = 1
    reached = np.flatnonzero(model.run(lit).output[0, :, 0])
    assert list(reached) == [2 * stride - before + i for i in range(size)]


@pytest.mark.parametrize(
    ("layer", "shape", "kind", "geometry"),
    [
        (L.Conv1D(2, 3, padding="causal"), (6, 2), "conv", Geometry("window", (3,), (1,), ((2, 0),), (1,))),
        (L.UpSampling2D(2), (4, 4, 2), "upsample", Geometry("upsample", (1, 1), (2, 2), ((0, 0),) * 2, (1, 1))),
        (
            L.UpSampling2D((2, 3), interpolation="bilinear"),
            (4, 4, 2),
            "upsample",
            Geometry("upsample", (2, 2), (2, 3), ((0, 0),) * 2, (1, 1)),
        ),
        (L.Activation("gelu"), (4, 4, 2), "gelu", Geometry("pointwise")),
        (L.LeakyReLU(), (4, 4, 2), "leaky_relu", Geometry("pointwise")),
        (L.Dense(3), (4, 4, 2), "dense", Geometry("pointwise")),
        (L.Dense(3), (4,), "dense", Geometry("global", axes=("feature",))),
        (L.Flatten(), (4, 4, 2), "flatten", Geometry("moved", names=("feature",))),
        (L.Rescaling(2.0), (4, 4, 2), "rescaling", Geometry("pointwise")),
        (L.LayerNormalization(), (4, 4, 2), "layer_norm", Geometry("pointwise")),
        (
            L.LayerNormalization(axis=(1, 2, 3)),
            (4, 4, 2),
            "layer_norm",
            Geometry("global", axes=("height", "width"), gate=True),
        ),
        (L.Softmax(), (4, 4, 2), "softmax", Geometry("pointwise")),
        (L.Softmax(axis=1), (4, 4, 2), "softmax", Geometry("global", axes=("height",))),
        (L.GlobalMaxPooling2D(), (4, 4, 2), "global_max_pool", Geometry("global", axes=("height", "width"))),
        (L.LSTM(3, return_sequences=True), (5, 2), "lstm", Geometry("prefix", axes=("time",))),
        (L.Bidirectional(L.GRU(3)), (5, 2), "bidirectional", Geometry("global", axes=("time",))),
        (L.SimpleRNN(3), (5, 2), "rnn", Geometry("global", axes=("time",))),
        (L.TimeDistributed(L.Dense(3)), (5, 2), "time_distributed", Geometry("pointwise")),
        (L.Reshape((2, 4, 4)), (4, 4, 2), "reshape", Geometry("moved", names=("height", "width"))),
        (L.Permute((2, 1, 3)), (4, 5, 2), "permute", Geometry("pointwise")),
    ],
)
def test_kinds_and_geometry(layer, shape, kind, geometry):
    found = xaikit_keras.wrap(keras.Sequential([L.Input(shape), layer])).layers[layer.name]
    assert found.kind == kind
    assert found.geometry == geometry


def test_axes_follow_the_layers():
    net = keras.Sequential(
        [
            L.Input((6,), dtype="int32"),
            L.Embedding(9, 4, name="embedding"),
            L.Dropout(0.1, name="drop"),
            L.Conv1D(3, 2, name="conv"),
            L.LSTM(2, return_sequences=True, name="lstm"),
            L.Flatten(name="flat"),
        ]
    )
    axes = {n: layer.axes for n, layer in xaikit_keras.wrap(net).layers.items()}
    assert axes["embedding"] == axes["drop"] == ("sample", "token", "channel")
    assert axes["conv"] == axes["lstm"] == ("sample", "time", "channel")
    assert axes["flat"] == ("sample", "feature")


def test_channels_first_is_found_and_its_axes_are_named():
    net = filled(
        keras.Sequential([L.Input((2, 8, 8)), L.Conv2D(3, 3, data_format="channels_first", name="c"), L.Flatten()])
    )
    model = xaikit_keras.wrap(net, inputs=Image(8, 8, 2))
    assert model.layout == "channels-first"
    assert model.layers["c"].axes == ("sample", "channel", "height", "width")
    assert model.layers["c"].geometry.output_size((8, 8)) == (6, 6)
    x = np.random.default_rng(0).random((2, 8, 8, 2), "float32")
    try:
        right = net(np.moveaxis(x, -1, 1))
    except tf.errors.UnimplementedError:
        pytest.skip("TensorFlow convolves channels first on some kinds of processor only")
    np.testing.assert_allclose(model.run(x).output, right, rtol=1e-6)
    pull = model.pull(x, np.ones((2, 108), "float32"))
    assert pull.gradient.shape == x.shape


def test_nested_networks_have_paths_and_shared_layers_have_turns():
    backbone = keras.Sequential([L.Input((6, 6, 2)), L.Conv2D(3, 3, name="conv"), L.ReLU(name="relu")], name="backbone")
    a, b = L.Input((6, 6, 2), name="a"), L.Input((6, 6, 2), name="b")
    gap = L.GlobalAveragePooling2D(name="gap")
    net = keras.Model([a, b], L.Subtract(name="difference")([gap(backbone(a)), gap(backbone(b))]))
    layers = xaikit_keras.wrap(net).layers
    assert set(layers) == {
        *("backbone/conv", "backbone/relu", "gap", "backbone/conv:1", "backbone/relu:1", "gap:1", "difference"),
    }
    assert list(layers)[-1] == "difference"
    assert {layers["backbone/conv"].parents, layers["backbone/conv:1"].parents} == {("a",), ("b",)}
    assert set(layers["difference"].parents) == {"gap", "gap:1"}
    assert sum(layer.parameters for layer in layers.values()) == net.count_params()


def test_operations_of_a_functional_network_are_layers_named_by_function():
    x = L.Input((4,), name="x")
    h = L.Dense(4, name="dense")(x)
    y = keras.ops.relu(h + x) + h
    layers = xaikit_keras.wrap(keras.Model(x, keras.ops.concatenate([y, x]))).layers
    assert list(layers) == ["dense", "add", "relu", "add:1", "concatenate"]
    assert layers["add"].parents == ("dense", "input")
    assert layers["add:1"].parents == ("relu", "dense")
    assert (layers["relu"].kind, layers["concatenate"].kind) == ("relu", "concat")


def test_a_subclassed_network_is_read_from_one_pass():
    layers = xaikit_keras.wrap(subclassed()).layers
    assert list(layers) == ["first", "inner/a", "inner/b", "last"]
    assert layers["last"].parents == ("first", "inner/b")


def test_what_a_subclassed_network_does_last_is_its_output_layer():
    model = xaikit_keras.wrap(subclassed(keras.ops.tanh))
    assert list(model.layers)[-1] == "output"
    x = np.ones((2, 4), "float32")
    ran = model.run(x, at=["output", "last"])
    np.testing.assert_array_equal(ran.output, ran.activations["output"])
    np.testing.assert_allclose(ran.output, np.tanh(ran.activations["last"]), rtol=1e-6)


def test_layers_of_the_users_own_are_seen_through():
    class Block(keras.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.up, self.down = L.Dense(8, activation="relu", name="up"), L.Dense(4, name="down")

        def build(self, shape):
            self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

        def call(self, x):
            return x + self.scale * self.down(self.up(x))

    net = keras.Sequential([L.Input((4,)), Block(name="block"), L.Dense(2, name="head")])
    layers = xaikit_keras.wrap(net).layers
    assert list(layers) == ["block/up", "block/down", "block", "head"]
    assert layers["block"].parameters == 1
    assert layers["block"].parents == ("input", "block/down")
    assert layers["head"].parents == ("block",)


def test_a_layer_of_which_only_the_size_is_used_is_no_parent():
    class Sized(keras.Model):
        def __init__(self):
            super().__init__(name="sized")
            self.a, self.b, self.c = L.Dense(4, name="a"), L.Dense(4, name="b"), L.Dense(2, name="c")

        def call(self, x):
            count = keras.ops.shape(self.b(x))[0]
            return self.c(keras.ops.reshape(self.a(x), (count, 4)))

    layers = xaikit_keras.wrap(Sized(), inputs=Array((4,))).layers
    assert list(layers) == ["b", "a", "c"]
    assert layers["c"].parents == ("a",)


def test_two_layers_of_one_name_are_told_apart():
    class Twins(keras.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = L.Dense(2, name="same"), L.Dense(3, name="same")

        def call(self, x):
            return self.b(self.a(x))

    model = xaikit_keras.wrap(Twins(), inputs=Array((4,)))
    assert {n: layer.shape for n, layer in model.layers.items()} == {"same": (2,), "same:1": (3,)}
    assert model.weights("same:1")["kernel"].shape == (2, 3)


def test_a_decorated_call_hides_nothing():
    import tensorflow as tf

    class Decorated(keras.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = L.Dense(2, name="a"), L.Dense(3, name="b")

        @tf.function
        def call(self, x):
            return self.b(self.a(x))

    net = Decorated()
    x = np.ones((2, 4), "float32")
    expected = net(x).numpy()
    model = xaikit_keras.wrap(net)
    assert list(model.layers) == ["a", "b"]
    ran = model.run(x, at=["a"])
    np.testing.assert_allclose(ran.output, expected, rtol=1e-6)
    np.testing.assert_allclose(ran.activations["a"], net.a(x), rtol=1e-6)
    assert type(net.call).__name__ == "Function"


def test_a_network_that_cannot_be_traced_runs_eagerly():
    class Deciding(keras.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = L.Dense(3, name="a"), L.Dense(3, activation="softmax", name="b")

        def call(self, x):
            h = self.a(x)
            return self.b(h) if float(keras.ops.sum(h)) > 1e9 else self.b(-h)

    net = Deciding()
    x = np.ones((2, 4), "float32")
    expected = net(x).numpy()
    model = xaikit_keras.wrap(net)
    ran = [model.run(x, at=["a"]).output for _ in range(12)]
    assert list(model.layers) == ["a", "b"]
    np.testing.assert_allclose(ran[-1], expected, rtol=1e-6)
    assert model.traced.made == 0
    assert model.outputs.form == "softmax"
    assert model.pull(x, np.ones((2, 3), "float32"), wrt="a", score="logit").gradient.shape == (2, 3)


def test_a_network_that_needs_to_know_the_number_of_rows_is_traced_for_few_sizes():
    class Sized(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = L.Dense(3, name="head")

        def call(self, x):
            return self.head(keras.ops.reshape(x, (int(x.shape[0]), 4)))

    net = Sized()
    net(np.ones((1, 2, 2), "float32"))
    model = xaikit_keras.wrap(net, inputs=Array((2, 2)))
    x = np.random.default_rng(0).normal(size=(23, 2, 2)).astype("float32")
    for count in (9, 10, 12, 16, 13):
        np.testing.assert_allclose(model.run(x[:count]).output, net(x[:count]), rtol=1e-5, atol=1e-6)
    assert model.traced.made == 2  # one row for reading, sixteen for all of these


def test_layers_need_an_input():
    class Plain(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = L.Dense(3, name="head")

        def call(self, x):
            return self.head(x)

    with pytest.raises(ModelError, match=r"wrap it with inputs=.* or run it once"):
        xaikit_keras.wrap(Plain()).layers  # noqa: B018
    assert list(xaikit_keras.wrap(Plain(), inputs=Array((4,))).layers) == ["head"]
    model = xaikit_keras.wrap(Plain())
    assert model.run(np.ones((2, 4), "float32"), at=["head"]).activations["head"].shape == (2, 3)
    unbuilt = keras.Sequential([L.Dense(3, name="head")])
    assert list(xaikit_keras.wrap(unbuilt, inputs=Array((4,))).layers) == ["head"]


def test_an_image_of_any_size_takes_its_size_from_the_spec():
    net = filled(
        keras.Sequential(
            [L.Input((None, None, 3)), L.Conv2D(2, 3, 2, padding="same", name="c"), L.GlobalMaxPooling2D()]
        )
    )
    assert xaikit_keras.wrap(net, inputs=Image(9, 10)).layers["c"].shape == (5, 5, 2)
    free = xaikit_keras.wrap(net)
    assert free.inputs.kind == "Raw"
    for size in (9, 10):
        assert free.run(np.zeros((1, size, size, 3), "float32")).output.shape == (1, 2)


def test_natural_inputs_and_unknown_layers():
    assert xaikit_keras.wrap(cnn()).inputs == Array((12, 12, 2))
    assert xaikit_keras.wrap(two_headed()).inputs == {"left": Array((4,)), "right": Array((4,))}
    with pytest.raises(UnknownName, match="did you mean 'head'"):
        xaikit_keras.wrap(cnn()).run(images(), at=["heads"])


def test_pretrained_architectures_are_read():
    net = keras.applications.MobileNetV2((32, 32, 3), weights=None, classes=10)
    layers = xaikit_keras.wrap(net).layers
    expected = [layer.name for layer in net.layers if not isinstance(layer, L.InputLayer)]
    assert set(layers) == set(expected)
    assert list(layers)[-1] == "predictions"
    assert layers["block_2_add"].parents == ("block_1_project_BN", "block_2_project_BN")
    assert sum(layer.parameters for layer in layers.values()) == net.count_params()
