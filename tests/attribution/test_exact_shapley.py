"""Exact Shapley values of games with answers on paper."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from xaikit.attribution import explain
from xaikit.errors import ParameterError
from xaikit.inputs import Array, Classes, Image, Series, Text, softmax
from xaikit.perturb.memory import MEMORY
from xaikit.wrapping import wrap

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _empty_memory():
    MEMORY.clear()


def hidden_units(x):
    h = np.maximum(x @ np.ones((3, 4)) + [-10, 1, 1, 1], 0)
    return h.sum(1) - 1


def test_the_reference_value():
    found = explain(wrap(hidden_units, inputs=Array(3)), [20.0, 50.0, 30.0], "exact-shapley")
    assert_allclose(found.values, [[230 / 3, 590 / 3, 350 / 3]], rtol=1e-6)
    assert found.quality["completeness_gap"] < 1e-12
    assert found.origin.model_calls == 2**3 + 1


def test_a_product_is_shared_evenly_and_a_linear_score_has_its_weights():
    assert_allclose(
        explain(wrap(lambda x: x[:, 0] * x[:, 1], inputs=Array(2)), [3.0, 5.0], "exact-shapley").values, [[7.5, 7.5]]
    )
    w, x = np.array([1.0, -2, 3]), np.array([[4.0, 5, 6], [1, 0, -1]])
    found = explain(wrap(lambda x: x @ w, inputs=Array(3)), x, "exact-shapley", baseline=0.5)
    assert_allclose(found.values, w * (x - 0.5), rtol=1e-6)


def test_the_definition_over_orders():
    """The mean over all orders of what a part adds when it joins."""
    from itertools import permutations

    w = RNG.normal(size=(4, 5))

    def f(x):
        return np.tanh(x @ w).sum(1)

    x, b = RNG.normal(size=4).astype(np.float32), RNG.normal(size=4).astype(np.float32)
    expected = np.zeros(4)
    for order in permutations(range(4)):
        row = b.copy()
        for part in order:
            before = f(row[None])[0]
            row[part] = x[part]
            expected[part] += (f(row[None])[0] - before) / 24
    found = explain(wrap(f, inputs=Array(4)), x, "exact-shapley", baseline=b)
    assert_allclose(found.values[0], expected, atol=1e-6)


def test_kernel_shap_over_all_coalitions_is_the_same_and_is_free():
    w = RNG.normal(size=(9, 5))
    model = wrap(lambda x: softmax(x @ w), inputs=Array(9), outputs=Classes(5, "softmax"))
    x = RNG.normal(size=(2, 9))
    exact = explain(model, x, "exact-shapley")
    kernel = explain(model, x, "kernel-shap")
    assert_allclose(kernel.values, exact.values, atol=1e-12)
    assert kernel.origin.model_calls == len(x)


@pytest.mark.parametrize(
    ("spec", "x", "shape"),
    [
        (Image(28, 28), RNG.integers(0, 256, (2, 28, 28, 3)), (28, 28)),
        (Series(100, 2), RNG.normal(size=(2, 100, 2)), (100,)),
        (Text(6), RNG.integers(1, 9, (2, 6)), (6,)),
        (Array((3, 32, 32)), RNG.normal(size=(2, 3, 32, 32)), (3, 32, 32)),
    ],
)
def test_without_segments_there_are_few_enough_parts(spec, x, shape):
    model = wrap(lambda x: np.sqrt(np.abs(x.reshape(len(x), -1).sum(1))), inputs=spec)
    found = explain(model, x, "exact-shapley")
    assert found.values.shape == (2, *shape)
    assert found.part_values.shape[1] <= 12
    assert found.status == "ok"


def test_more_than_twelve_parts_are_refused_with_the_method_that_can():
    with pytest.raises(ParameterError, match=r"at most 12 parts, not 13: use kernel-shap"):
        explain(wrap(lambda x: x.sum(1), inputs=Array(13)), np.ones(13), "exact-shapley")


def test_an_evaluation_cut_short_is_a_regression_that_still_adds_up():
    w = RNG.normal(size=(9, 5))
    model = wrap(lambda x: np.tanh(x @ w).sum(1), inputs=Array(9))
    x = RNG.normal(size=9)
    part = explain(model, x, "exact-shapley", max_calls=200)
    whole = explain(model, x, "exact-shapley")
    assert part.status == "warn"
    assert part.quality["completeness_gap"] < 1e-12
    assert np.abs(part.values - whole.values).max() < 0.3 * np.abs(whole.values).max()
