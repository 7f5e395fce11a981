"""The neutral description: shapes, parameter counts, starting weights, refusals."""

import hashlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit.errors import ParameterError
from xaikit.zoo.building import Ops, Symbol, check_weights, describe, initial_weights, weights_id
from xaikit.zoo.networks import networks


def test_shapes_of_mnist_cnn() -> None:
    shapes = {n.name: n.shape for n in networks["mnist_cnn"].architecture.nodes}
    assert shapes["conv1"] == (26, 26, 32)
    assert shapes["pool2"] == (5, 5, 64)
    assert shapes["conv3"] == (3, 3, 64)
    assert shapes["flatten1"] == (576,)
    assert list(shapes)[-1] == "dense2_softmax"


@pytest.mark.parametrize(
    ("length", "kernel", "stride", "dilation", "padding", "expected"),
    [(227, 11, 4, 1, "valid", 55), (13, 3, 2, 1, "valid", 6), (7, 2, 2, 1, "same", 4), (9, 3, 1, 2, "valid", 5)],
)
def test_length_after_a_window(
    length: int, kernel: int, stride: int, dilation: int, padding: str, expected: int
) -> None:
    net = Ops()
    y = net.conv(net.input(length, 1), 1, kernel, stride=stride, dilation=dilation, padding=padding)  # type: ignore[arg-type]
    assert y.shape == (expected, 1)


def test_batch_norm_counts_statistics_as_fixed() -> None:
    a = describe("bn", lambda net: net.batch_norm(net.conv(net.input(100, 16, 1), 64, 3, padding="same")))
    assert (a.total, a.trainable) == (640 + 256, 640 + 128)


def test_starting_weights_come_from_the_seed_alone() -> None:
    architecture = networks["mnist_cnn"].architecture
    before = np.random.get_state()[1]  # noqa: NPY002
    first, again, other = (initial_weights(architecture, seed) for seed in (3, 3, 4))
    assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert_array_equal(first["conv2/kernel"], again["conv2/kernel"])
    assert np.abs(first["conv2/kernel"] - other["conv2/kernel"]).max() > 0.01
    assert all(v.dtype == np.float32 for v in first.values())


def test_glorot_limit_and_orthogonal_start() -> None:
    a = describe("r", lambda net: net.lstm(net.embedding(net.input(5, integer=True), 9, 8), 16))
    w = initial_weights(a)
    assert 0.9 < np.abs(w["lstm1/kernel"]).max() / np.sqrt(6 / (8 + 64)) <= 1.0
    # Rows of an orthogonal (16, 64) matrix have length one and right angles; float32 keeps six digits.
    assert_allclose(w["lstm1/recurrent_kernel"] @ w["lstm1/recurrent_kernel"].T, np.eye(16), atol=1e-5)
    assert_array_equal(w["lstm1/bias"], np.repeat([0, 1, 0, 0], 16))


def test_weights_id_depends_on_name_shape_and_bytes() -> None:
    weights = {"b/kernel": np.ones((2, 3), np.float32), "a/bias": np.zeros(2, np.float32)}
    listed = b"net\na/bias (2,) float32\n" + bytes(8) + b"b/kernel (2, 3) float32\n" + np.ones(6, "<f4").tobytes()
    expected = hashlib.sha256(listed).hexdigest()
    assert weights_id(weights, "net") == expected
    in_other_order = {k: np.asfortranarray(weights[k]) for k in ("a/bias", "b/kernel")}
    assert weights_id(in_other_order, "net") == expected
    for changed, name in (
        (weights, "other"),
        ({**weights, "b/kernel": np.ones((3, 2), np.float32)}, "net"),
        ({**weights, "a/bias": np.array([0, 1], np.float32)}, "net"),
    ):
        assert weights_id(changed, name) != expected


def test_weights_that_do_not_fit_are_named() -> None:
    architecture = networks["xo_cnn"].architecture
    weights = initial_weights(architecture)
    with pytest.raises(ParameterError, match=r"dense1/kernel has shape \(2, 12\), expected \(12, 2\)"):
        check_weights(architecture, {**weights, "dense1/kernel": weights["dense1/kernel"].T})
    with pytest.raises(ParameterError, match=r"missing.*dense1/bias.*unknown.*dense1/bases"):
        check_weights(architecture, {("dense1/bases" if k == "dense1/bias" else k): v for k, v in weights.items()})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda n, x: n.activation(x, "rleu"), "an activation is one of .*'rleu'"),
        (lambda n, x: n.conv(x, 4, 9), r"would be empty: \(0, 0, 4\)"),
        (lambda n, x: n.conv(x, 4, (3, 3, 3)), "one positive size for each of 2 axes"),
        (lambda n, x: n.conv(x, 4, 3, padding="full"), "padding is 'valid' or 'same', not 'full'"),
        (lambda n, x: n.max_pool(x, 2, stride=1, padding="same"), "is not offered"),
        (lambda n, x: n.reshape(x, 7, 7), "cannot be reshaped"),
        (lambda n, x: n.add(x, n.conv(x, 1, 3)), "add needs equal shapes"),
        (lambda n, x: n.relu_twice(x), "relu_twice"),
        (lambda n, x: n.dense(n.dense(x, 2, name="a"), 2, name="a"), "two nodes are called 'a'"),
        (lambda n, x: n.bidirectional(n.reshape(x, 8, 24), "rnn", 2), "a recurrent cell is one of"),
        (lambda n, x: n.lstm(x, 4), r"takes \(time, channel\), not \(8, 8, 3\)"),
        (lambda n, x: n.bidirectional(n.reshape(x, 8, 24), "lstm", 2, reset_after=False), "for the cell 'gru'"),
        (lambda n, x: n.repeat(x, 4), r"takes a vector \(features,\), not \(8, 8, 3\)"),
        (lambda n, x: n.repeat(n.flatten(x), 0), "would be empty"),
        (lambda n, x: n.sampling(x, n.flatten(x)), "sampling needs equal shapes"),
        (lambda n, x: n.group_norm(x, 2), "3 channels cannot be cut into 2 equal groups"),
        (lambda n, x: n.local_response_norm(x, size=4), "is odd, not 4"),
        (lambda n, x: n.local_response_norm(n.flatten(x)), r"takes \(\*space, channel\)"),
        (lambda n, x: n.upsample(x, 2, kind="cubic"), "one of nearest, bilinear, not 'cubic'"),
        (lambda n, x: n.upsample(n.reshape(x, 8, 24), 2, kind="bilinear"), r"not \(8, 24\)"),
        (lambda n, x: n.attention(x, x), r"attention takes \(time, channel\)"),
        (lambda n, x: n.attention(*[n.reshape(x, 8, 24)] * 2, kind="general"), "one of additive, dot, not 'general'"),
        (lambda n, x: n.attention(n.reshape(x, 8, 24), n.reshape(x, 4, 48)), "does not fit"),
        (lambda n, x: n.attention(*[n.reshape(x, 8, 24)] * 2, n.reshape(x, 4, 48)), "does not fit"),
        (lambda n, x: n.conv(x, 4, 3, fixed=np.ones((3, 3, 1, 4))), r"expected \(3, 3, 3, 4\)"),
    ],
)
def test_what_cannot_be_built_is_refused(wrong: object, message: str) -> None:
    with pytest.raises((ParameterError, AttributeError), match=message):
        describe("wrong", lambda net: wrong(net, net.input(8, 8, 3)))  # type: ignore[operator]


def test_scales_of_attention_start_as_in_keras() -> None:
    a = describe("a", lambda net: net.attention(*[net.attention(*[net.input(5, 300)] * 2)] * 2, kind="dot"))
    w = initial_weights(a)
    assert {name: value.shape for name, value in w.items()} == {"attention1/scale": (300,), "attention2/scale": ()}
    # Glorot's limit of a vector counts its length as the numbers of inputs and of outputs.
    assert 0.9 < np.abs(w["attention1/scale"]).max() / np.sqrt(6 / (300 + 300)) <= 1.0
    assert w["attention2/scale"] == 1.0


def test_a_gru_after_cho_has_one_bias() -> None:
    def both(net: Ops) -> Symbol:
        x = net.gru(net.input(5, 3), 4, sequences=True, reset_after=False)
        return net.bidirectional(x, "gru", 2, reset_after=False)

    shapes = {name: w.shape for name, w in describe("cho", both).weights.items()}
    assert shapes["gru1/bias"] == (12,)
    assert shapes["bi_gru1/forward_bias"] == shapes["bi_gru1/backward_bias"] == (6,)


def test_attention_is_masked_by_its_query_and_refuses_a_mask_of_the_key_alone() -> None:
    net = Ops()
    tokens = net.input(5, integer=True)
    plain, masked = net.embedding(tokens, 9, 8), net.embedding(tokens, 9, 8, mask_zero=True)
    assert net.attention(masked, plain).masked
    assert not net.attention(plain, masked).masked
    with pytest.raises(ParameterError, match="here only the key is"):
        net.attention(plain, plain, masked)


@pytest.mark.parametrize(
    "op", ["group_norm", "local_response_norm", "batch_norm", "sampling", "concat", "add", "upsample"]
)
def test_operations_that_would_mix_or_lose_masked_steps_refuse_them(op: str) -> None:
    more: dict[str, tuple[object, ...]] = {"group_norm": (2,), "upsample": (2,)}
    net = Ops()
    x = net.embedding(net.input(5, integer=True), 9, 8, mask_zero=True)
    given = more.get(op, () if op.endswith("norm") else (x,))
    with pytest.raises(ParameterError, match=f"{op} cannot read masked steps"):
        getattr(net, op)(x, *given)


def test_only_recurrent_layers_read_masked_steps() -> None:
    def wrong(net: Ops) -> object:
        return net.flatten(net.embedding(net.input(5, integer=True), 9, 8, mask_zero=True))

    with pytest.raises(ParameterError, match="flatten cannot read masked steps"):
        describe("masked", wrong)  # type: ignore[arg-type]
