"""Baselines: what stands in place of a hidden part, or where a path starts."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.analytic import Analytic
from xaikit.attribution import explain
from xaikit.errors import ParameterError
from xaikit.inputs import Array, Image, Number, Series, Table, Text
from xaikit.perturb.baseline import baselines

RNG = np.random.default_rng(0)
WORDS = Text(4, vocabulary=("", "?", "good", "bad"), pad_side="right")


def encoded(spec, count=2):
    return spec.encode(RNG.integers(0, 256, (count, *spec.shape)).astype(float))


def test_noise_is_uniform_over_the_display_range_of_an_image():
    spec = Image(20, 30, mean=0.5, std=0.25)
    x = encoded(spec)
    found = baselines(("noise", {"draws": 4}), spec, x, seed=1)
    assert found.shape == (2, 4, 20, 30, 3)
    shown = spec.decode(found[0])
    assert 0 <= shown.min() < 1 < 254 < shown.max() <= 255
    assert_allclose(shown.mean(), 127.5, atol=3)  # 7200 draws: a standard error of 0.9
    assert_array_equal(found[0], found[1])  # the stream starts anew for every sample
    assert_array_equal(found, baselines(("noise", {"draws": 4}), spec, x, seed=1))
    assert np.abs(found - baselines(("noise", {"draws": 4}), spec, x, seed=2)).max() > 0.1


def test_noise_elsewhere_has_each_channels_range_in_the_sample():
    spec = Series(200, 2)
    x = np.stack([np.linspace(0, 1, 200), np.linspace(-5, 5, 200)], axis=1)[None].astype("f")
    found = baselines("noise", spec, x)
    assert found.shape == (1, 5, 200, 2)
    assert_allclose(found.min((0, 1, 2)), [0, -5], atol=0.1)
    assert_allclose(found.max((0, 1, 2)), [1, 5], atol=0.1)


def test_a_list_holds_all_its_baselines():
    spec = Series(6, 2)
    x = encoded(spec)
    names = ["mean", "blur", ("noise", {"draws": 2}), None]
    found = baselines(names, spec, x, seed=3)
    assert found.shape == (2, 5, 6, 2)
    assert_array_equal(found, np.concatenate([baselines(n, spec, x, 3) for n in names], axis=1))
    assert_array_equal(baselines([0, 2.0, 5], spec, x)[:, :, 0, 0], [[0, 2, 5]] * 2)
    assert_array_equal(
        baselines([1.0, 2.0], Array(2), np.zeros((1, 2), "f")), [[[1, 2]]]
    )  # one sample, not two numbers


def test_integrated_gradients_are_the_mean_over_a_list():
    net = Analytic(RNG.normal(size=(6, 5)), 0.1, RNG.normal(size=(5, 1)), inputs=Array((6,)))
    x = RNG.normal(size=(2, 6)).astype("f")
    names = ["mean", "zero", ("noise", {"draws": 3})]
    both = explain(net, x, "integrated-gradients", baseline=names, seed=4, steps=30)
    each = [explain(net, x, "integrated-gradients", baseline=n, seed=4, steps=30).values for n in names]
    assert_allclose(both.values, (each[0] + each[1] + 3 * each[2]) / 5, rtol=1e-5, atol=1e-6)


def test_many_points_are_asked_for_in_batches():
    net = Analytic(np.ones((3, 1)))
    type(net).batch_size, before = 7, Analytic.batch_size
    try:
        sizes, pull = [], net._backward
        net._backward = lambda x, *how: sizes.append(len(x)) or pull(x, *how)
        found = explain(net, [[1.0, 2, 3], [4, 5, 6]], "integrated-gradients", steps=20)
    finally:
        Analytic.batch_size = before
    assert sum(sizes) == 40
    assert max(sizes) <= 7
    assert_allclose(found.values, [[1, 2, 3], [4, 5, 6]], rtol=1e-6)


def test_padding_stays_what_it_is():
    x = WORDS.encode("good bad")
    assert_array_equal(baselines(3, WORDS, x), [[[3, 3, 0, 0]]])
    assert_array_equal(baselines("unknown", WORDS, x), [[[1, 1, 0, 0]]])
    assert_array_equal(baselines(["good bad good bad", "bad"], WORDS, x), [[[2, 3, 0, 0], [3, 0, 0, 0]]])
    spec = Series(4, 1, pad=0.0)
    assert_array_equal(baselines(9, spec, spec.encode([1.0, 2, 0, 0]))[0, 0, :, 0], [9, 9, 0, 0])


@pytest.mark.parametrize("method", ["integrated-gradients", "exact-shapley"])
def test_what_is_padded_does_not_count_for_a_network_without_a_mask(method):
    spec = Series(4, 1, pad=0.0)
    found = explain(Analytic(np.ones((4, 1)), inputs=spec), [1.0, 2, 0, 0], method, baseline=9)
    assert_allclose(found.values.reshape(-1), [-8, -7, 0, 0], rtol=1e-5)
    assert_allclose(found.values.sum(), 3 - 18, rtol=1e-5)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nois", "did you mean 'noise'"),
        (np.nan, "finite number"),
        (np.inf, "finite number"),
        (True, "finite number"),
        (("noise", {"draws": 0}), "draws, a number from 1"),
        (("noise", {"draw": 2}), "draws, a number from 1"),
        (("blur", {"sigma": 2}), "takes no parameters"),
        ([], "empty list"),
        (["mean", "nois"], "did you mean 'noise'"),
    ],
)
def test_wrong_baselines_are_refused(value, message):
    with pytest.raises(ParameterError, match=message):
        baselines(value, Series(4, 1), np.zeros((1, 4, 1), "f"))


@pytest.mark.parametrize("name", ["mean", "blur", "noise"])
def test_words_and_rows_have_no_colours(name):
    with pytest.raises(ParameterError, match="makes no sense for integer inputs"):
        baselines(name, WORDS, WORDS.encode("good"))
    with pytest.raises(ParameterError, match="is a set of rows"):
        baselines(name, Table({"a": Number()}, background=[[1.0]]), np.zeros((1, 1), "f"))


def test_several_inputs_have_baselines_row_by_row():
    spec = {"a": Array(2), "b": Array(1)}
    x = {"a": np.zeros((1, 2), "f"), "b": np.ones((1, 1), "f")}
    found = baselines({"a": np.arange(6.0).reshape(3, 2), "b": 7}, spec, x)
    assert_array_equal(found["b"], [[[7], [7], [7]]])
    with pytest.raises(ParameterError, match=r"different numbers of baselines \(a: 3, b: 2\)"):
        baselines({"a": np.zeros((3, 2)), "b": np.zeros((2, 1))}, spec, x)


def test_a_tables_own_background_is_encoded_once() -> None:
    spec = Table({"a": Number(mean=1, std=2)}, background=[[1.0], [5.0]])
    x = np.zeros((3, 1), "f")
    first, again = baselines(None, spec, x), baselines(None, spec, x)
    assert_allclose(first[:, :, 0], [[0, 2]] * 3)  # (value - 1) / 2
    assert np.shares_memory(first, again)
    with pytest.raises(ValueError, match="read-only"):
        spec.encoded_background[:] = 0
    assert_allclose(baselines([[3.0]], spec, x)[:, :, 0], [[1]] * 3)  # rows that are given go first
