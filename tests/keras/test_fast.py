"""Accelerated copies in Keras: they give what the network gives, or say why they cannot."""

import gc
import sys
import weakref
from typing import Any

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk
import xaikit_keras
from tests.cases import some
from tests.keras.nets import L, cnn, filled, images, sentences, subclassed, text
from xaikit.errors import InputError, NotSupported, UnknownName

pytest.importorskip("onnxruntime", reason="the extra fast is not installed")
pytest.importorskip("tf2onnx", reason="the extra fast is not installed")

pytestmark = pytest.mark.slow

CLOSE = {"atol": 1e-4, "rtol": 1e-4}
"""What every copy is held to."""
KINDS = ("auto", "onnxruntime")


def assert_same(copied: Any, model: Any, x: Any, scores: tuple[str, ...] = ("output", "probability", "logit")) -> None:
    for score in scores:
        right, given = model.run(x, score=score).output, copied.run(x, score=score).output
        for (name, r), (_, g) in zip(xk.arrays.leaves(right), xk.arrays.leaves(given), strict=True):
            assert g.dtype == r.dtype == np.float32
            assert g.shape == r.shape, (score, name)
            assert_allclose(g, r, **CLOSE, err_msg=f"{score} {name}")


def draw(*shape: int, seed: int = 1) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def pictures(net: Any = None, **kwargs: Any) -> Any:
    return xaikit_keras.wrap(net or cnn(), inputs=xk.Image(12, 12, 2), **kwargs)


ZOO = {
    "mnist_cnn": ("refused", "right"),
    "cats_vs_dogs": ("refused", "right"),
    "resnet20_cifar10": ("right", "right"),
    "conv_autoencoder": ("refused", "right"),
    "lstm_imdb": ("refused", "right"),
    "credit_mlp": ("refused", "right"),
    "eeg_cnn": ("right", "right"),
    "series_autoencoder": ("refused", "right"),
    "mnist_two_heads": ("refused", "right"),
    "gru_forecast": ("refused", "right"),
    "unet": ("right", "right"),
}
"""What "auto", which folds batch norms behind convolutions, and ONNX Runtime give."""


@pytest.mark.parametrize(
    "name", some(ZOO, ("mnist_cnn", "resnet20_cifar10", "lstm_imdb", "credit_mlp", "mnist_two_heads"))
)
def test_copies_of_the_zoo_are_right_or_refused(name: str, capfd: Any) -> None:
    model = xk.zoo.load(name, framework="keras")
    x = xk.arrays.rows(model._blank(), np.zeros(5, int))
    if isinstance(model.inputs, xk.Text):
        x = np.random.default_rng(0).integers(2, 400, x.shape)
        x[:3, :50] = model.inputs.pad
    else:
        x = xk.arrays.each(lambda a: draw(*a.shape), x)
    for kind, expected in zip(KINDS, ZOO[name], strict=True):
        if expected == "refused":
            with pytest.raises(NotSupported, match="nothing to gain"):
                model.fast(kind)
        else:
            assert_same(model.fast(kind), model, x)
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def copies() -> Any:
    """A classifier of pictures with a norm behind its first convolution, and its copies, shared as making them takes
    time."""
    net = cnn()
    net.layers[0].activation = keras.activations.linear
    model = pictures(net, outputs=xk.Classes(list("abc")))
    return model, {kind: model.fast(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_called_and_answers_like_the_network(copies: Any, kind: str) -> None:
    model, made = copies
    copied = made[kind]
    assert_same(copied, model, images(7))
    assert copied.can == {"run"}
    assert (copied.name, copied.framework, copied.device) == (model.name, "keras", model.device)
    assert copied.inputs is model.inputs
    assert copied.outputs == model.outputs
    assert copied.batch_size == model.batch_size
    assert copied.fingerprint() == model.fingerprint()
    assert list(copied.layers) == list(model.layers)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_only_runs(copies: Any, kind: str) -> None:
    model, made = copies
    with pytest.raises(NotSupported, match="ask the model"):
        made[kind].run(images(), ["c1"])
    with pytest.raises(NotSupported, match="ask the model"):
        made[kind].pull(images(), model.run(images()).output)
    with pytest.raises(InputError):
        made[kind].run(images()[:, 1:])


def test_the_norm_is_gone_from_the_graph_that_is_run(copies: Any) -> None:
    """The weights of a folded norm are constants: nothing of the network is read while the copy runs."""
    model, made = copies
    x = images()
    right = made["auto"].run(x).output
    old = model.net.get_weights()
    try:
        model.net.set_weights([2 * w for w in old])
        for copied in made.values():
            assert_allclose(copied.run(x).output, right, **CLOSE)
            assert copied.fingerprint() != model.fingerprint()
    finally:
        model.net.set_weights(old)


def test_recurrent_networks_keep_their_masks_in_onnx() -> None:
    for cell in (L.LSTM(4), L.GRU(4), L.Bidirectional(L.LSTM(3))):
        model = xaikit_keras.wrap(text(cell), outputs=xk.Classes(["no", "yes"]))
        assert_same(model.fast("onnxruntime"), model, sentences())


def test_several_inputs_and_outputs_keep_their_names() -> None:
    a, b = L.Input((6, 6, 2), name="picture"), L.Input((3,), name="row")
    joined = L.Concatenate()([L.GlobalMaxPooling2D()(L.Conv2D(3, 3)(a)), L.Dense(2)(b)])
    heads = {"score": L.Dense(2, activation="softmax", name="score")(joined), "value": L.Dense(1, name="value")(joined)}
    model = xaikit_keras.wrap(filled(keras.Model({"picture": a, "row": b}, heads)))
    copied = model.fast("onnxruntime")
    assert_same(copied, model, {"row": draw(5, 3), "picture": draw(5, 6, 6, 2, seed=2)}, ("output", "logit"))


def softmax_by_operation() -> Any:
    x = L.Input((4,))
    return filled(keras.Model(x, keras.ops.softmax(L.Dense(3)(x))))


def of_logits() -> Any:
    return filled(keras.Sequential([L.Input((4,)), L.Dense(3)]))


def of_fixed_rows() -> Any:
    return filled(keras.Sequential([L.Input(batch_shape=(4, 4)), L.Dense(3, activation="softmax")]))


@pytest.mark.parametrize("make", [softmax_by_operation, of_logits, of_fixed_rows, subclassed])
def test_the_forms_of_the_score_wherever_the_softmax_stands(make: Any) -> None:
    form = "logits" if make in (of_logits, subclassed) else None
    model = xaikit_keras.wrap(make(), inputs=xk.Array((4,)), outputs=xk.Classes(list("abc"), form))
    assert_same(model.fast("onnxruntime"), model, draw(6, 4))


def test_replaced_weights_are_in_the_copy() -> None:
    model = xaikit_keras.wrap(subclassed(), inputs=xk.Array((4,)))
    changed = model.with_weights({"last/bias": np.full(3, 5.0, np.float32)})
    assert_same(changed.fast("onnxruntime"), changed, draw(4, 4), ("output",))


def test_refusals_say_why(copies: Any) -> None:
    model = copies[0]
    with pytest.raises(NotSupported, match="XLA"):
        model.fast("compile")
    with pytest.raises(UnknownName, match="onnxruntime"):
        model.fast("onnxruntme")
    with pytest.raises(NotSupported, match="nothing to gain"):
        xaikit_keras.wrap(of_logits()).fast()
    half = keras.Sequential([L.Input((4,)), L.Dense(3, dtype="mixed_float16")])
    with pytest.raises(NotSupported, match="float16"):
        xaikit_keras.wrap(half).fast("onnxruntime")


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "tf2onnx"])
def test_a_missing_package_is_named(package: str, copies: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(NotSupported, match=rf"{package}.*pip install 'xaikit\[fast\]'"):
        copies[0].fast("onnxruntime")


def test_a_copy_does_not_keep_the_model() -> None:
    model = xaikit_keras.wrap(of_logits())
    copied, gone = model.fast("onnxruntime"), weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    assert copied.run(draw(2, 4)).output.shape == (2, 3)
