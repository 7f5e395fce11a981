"""Receptive fields of Keras networks: padding that follows the length, gates, free sizes, the same numbers as torch."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk

keras = pytest.importorskip("keras")
L = keras.layers


def fields_of(layers: list[Any], spec: Any, **asked: Any) -> Any:
    return xk.receptive_field(xk.wrap(keras.Sequential([L.Input(spec.shape), *layers]), inputs=spec), **asked)


def branches(length: int) -> Any:
    """Two strided branches with TensorFlow's "same" padding, three and one places wide."""
    given = keras.Input((length, 1))
    three = L.Conv1D(2, 3, strides=2, padding="same", name="three")(given)
    one = L.Conv1D(2, 1, strides=2, padding="same", name="one")(given)
    return xk.wrap(keras.Model(given, L.Add(name="add")([three, one])), inputs=xk.Series(length, 1))


def test_padding_that_follows_the_length_brings_branches_out_of_line() -> None:
    (found,) = xk.receptive_field(branches(16)).misaligned
    assert (found.layer, found.paths, found.offset, found.lengths) == ("add", (("three",), ("one",)), 1.0, ((1,), 2))
    assert "in line for n = 1 mod 2" in str(found)
    assert xk.receptive_field(branches(17)).misaligned == ()
    unknown = xk.receptive_field(branches(16), size=(None,))
    assert (unknown["add"].size, unknown["add"].stride, unknown["add"].padding) == ((3,), (2,), (None,))


def test_the_example_of_every_course() -> None:
    layers = [L.Conv2D(8, 3), L.MaxPooling2D(2), L.Conv2D(8, 3), L.MaxPooling2D(2, name="last")]
    rf = fields_of(layers, xk.Image(28, 28, 1), verify=True)
    assert (rf["last"].size, rf["last"].stride, rf["last"].padding) == ((10, 10), (4, 4), (0, 0))
    assert {c.verdict for c in rf.checks} == {"equal"}  # though TensorFlow's max pooling swallows NaN


def test_a_gate_makes_all_seen_but_not_the_features() -> None:
    given = keras.Input((12, 10, 3))
    y = L.Conv2D(4, 3, padding="same", activation="relu")(given)
    gate = L.Dense(4, activation="sigmoid")(L.GlobalAveragePooling2D(name="squeeze")(y))
    scaled = L.Multiply(name="scaled")([y, L.Reshape((1, 1, 4))(gate)])
    net = keras.Model(given, L.Conv2D(2, 3, name="last")(scaled))
    rf = xk.receptive_field(xk.wrap(net, inputs=xk.Image(12, 10)), verify=True)
    assert (rf["scaled"].global_, rf["scaled"].local.size) == ((True, True), (3, 3))
    assert (rf["last"].local.size, rf["last"].only.mixed_by) == ((5, 5), ("squeeze",))
    assert {c.verdict for c in rf.checks} == {"equal"}


def test_sequences() -> None:
    rf = fields_of([L.Conv1D(2, 3, padding="causal"), L.LSTM(3, return_sequences=True)], xk.Series(6, 1), verify=True)
    conv, lstm = next(iter(rf)), list(rf)[-1]
    assert [rf.box(conv, t) for t in range(3)] == [((0,), (0,)), ((0,), (1,)), ((0,), (2,))]
    assert (rf[conv].size, rf[conv].padding) == ((3,), (2,))
    assert [rf.box(lstm, t) for t in range(6)] == [((0,), (t,)) for t in range(6)]
    assert rf.box(f"{lstm}/i", 2) == ((0,), (2,))
    assert {c.verdict for c in rf.checks} == {"equal"}


def test_a_net_for_any_size() -> None:
    layers = [L.Conv2D(2, 3, strides=2, padding="same"), L.Conv2D(2, 3, padding="same", name="last")]
    small = fields_of(layers, xk.Image(16, 16, 1), size=(33, 40))
    assert (small["last"].size, small["last"].padding) == ((7, 7), (3, 2))
    assert small["last"].only.shape == (17, 20)


def test_a_volume_of_steps() -> None:
    spec = xk.Array((3, 8, 7, 1), axes=("time", "height", "width", "channel"))
    rf = fields_of([L.ConvLSTM2D(2, 3, padding="same", return_sequences=True)], spec, verify=True)
    (name,) = rf
    assert rf.box(name, (0, 4, 3)) == ((0, 3, 2), (0, 5, 4))
    assert rf.box(name, (2, 4, 3)) == ((0, 1, 0), (2, 7, 6))
    assert {c.verdict for c in rf.checks} == {"equal"}


def test_effective_fields_are_those_of_torch() -> None:
    torch = pytest.importorskip("torch")
    kernel, bias = np.random.default_rng(0).normal(size=(3, 3, 1, 4)).astype(np.float32), np.zeros(4, np.float32)
    layer = L.Conv2D(4, 3, padding="same", name="conv")
    net = keras.Sequential([L.Input((9, 9, 1)), layer, L.Activation("tanh", name="end")])
    layer.set_weights([kernel, bias])
    twin = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.Tanh())
    with torch.no_grad():
        twin[0].weight.copy_(torch.from_numpy(kernel.transpose(3, 2, 0, 1)))
        twin[0].bias.zero_()
    x, spec = np.random.default_rng(1).normal(size=(16, 9, 9, 1)).astype(np.float32) + 5, xk.Image(9, 9, 1, scale=1.0)
    a = xk.effective_field(xk.wrap(net, inputs=spec), x, "end")["end"]
    b = xk.effective_field(xk.wrap(twin.eval(), inputs=spec), x, "1")["1"]
    assert_allclose(a.energy, b.energy, rtol=2e-4, atol=1e-6 * a.energy.max())  # tanh' is small: 1 - tanh² cancels
    assert (a.lo, a.hi, a.radius) == (b.lo, b.hi, b.radius)
