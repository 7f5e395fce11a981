"""What all methods that estimate Shapley values share: axioms, closed forms, one memory, and verdicts without alarm."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit.attribution import explain
from xaikit.inputs import Array, Category, Classes, Image, Number, Series, Table, softmax
from xaikit.perturb.memory import MEMORY
from xaikit.wrapping import wrap

RNG = np.random.default_rng(0)
EXACT = ("exact-shapley", "kernel-shap", "permutation-shap")
FAMILY = (*EXACT, "partition-shap")
ALL = {method: {} if method == "exact-shapley" else {"samples": 4096} for method in FAMILY}
"""So many samples that nothing is left to chance."""


@pytest.fixture(autouse=True)
def _empty_memory():
    MEMORY.clear()


def classifier(width, seed=0):
    w = np.random.default_rng(seed).normal(size=(width, 4))
    return wrap(lambda x: softmax(np.tanh(x @ w) * 3), inputs=Array(width), outputs=Classes(4, "softmax"), version="1")


@pytest.mark.parametrize("width", [3, 8, 12])
def test_all_together_ask_for_each_coalition_once(width):
    model, x = classifier(width), RNG.normal(size=width)
    results = [explain(model, x, method, target=1, **ALL[method]) for method in EXACT]
    assert sum(r.origin.model_calls - 1 for r in results) == 2**width  # beside the predictions
    for r in results:
        assert_allclose(r.values, results[0].values, atol=1e-12)
    again = [explain(model, x, method, target=1, **ALL[method]) for method in (*EXACT, "partition-shap")]
    assert [r.origin.model_calls for r in again] == [1] * 4


def test_what_is_sampled_is_not_asked_for_again_either():
    model, x = classifier(30), RNG.normal(size=30)
    for method, how in (("kernel-shap", {}), ("permutation-shap", {}), ("partition-shap", {"samples": 300})):
        first = explain(model, x, method, target=1, **how)
        second = explain(model, x, method, target=1, **how)
        assert second.origin.model_calls == 1
        assert_array_equal(second.values, first.values)
        assert first.origin.model_calls > 100


@pytest.mark.parametrize("method", FAMILY)
class TestAxioms:
    def test_efficiency_and_a_dummy(self, method):
        model = wrap(lambda x: np.exp(x[:, 0] * x[:, 1]) + x[:, 2] + 0 * x[:, 3], inputs=Array(4))
        found = explain(model, [1.0, 2, 3, 4], method, **ALL[method])
        assert_allclose(found.values.sum(), np.exp(2) + 3 - 1, rtol=1e-6)
        assert_allclose(found.values[0, 2:], [3, 0], atol=1e-6)
        assert_allclose(found.values[0, 0], found.values[0, 1], rtol=1e-9)

    def test_a_product_with_zero_baseline_and_a_maximum(self, method):
        product = wrap(lambda x: x[:, 0] * x[:, 1], inputs=Array(2))
        assert_allclose(explain(product, [3.0, 5.0], method, **ALL[method]).values, [[7.5, 7.5]])
        largest = wrap(lambda x: x.max(1), inputs=Array(2))
        assert_allclose(explain(largest, [4.0, 10.0], method, **ALL[method]).values, [[2, 8]])

    def test_parts_that_are_alike_share_evenly(self, method):
        model = wrap(lambda x: x.reshape(len(x), -1).sum(1) ** 2, inputs=Image(4, 4, channels=1, scale=1))
        cells = np.kron(np.arange(4).reshape(2, 2), np.ones((2, 2), int))
        found = explain(model, np.ones((4, 4, 1)), method, segments=cells, baseline=0, **ALL[method])
        assert_allclose(found.part_values, 64, rtol=1e-6)

    def test_a_constant_model_and_a_sample_that_is_its_own_baseline(self, method):
        constant = explain(wrap(lambda x: np.full(len(x), 7.0), inputs=Array(5)), np.ones(5), method, **ALL[method])
        assert_array_equal(constant.values, 0)
        assert constant.quality["completeness_gap_relative"] == 0
        same = explain(wrap(lambda x: np.exp(x).sum(1), inputs=Array(5)), np.zeros(5), method, **ALL[method])
        assert_array_equal(same.values, 0)

    def test_exact_results_raise_no_alarm(self, method):
        """Also where f(x) and f(b) are nearly equal numbers, large ones, or saturated probabilities."""
        for seed in range(10):
            x = np.random.default_rng(seed).normal(size=6)
            w = np.random.default_rng(seed + 50).normal(size=(6, 3))
            balanced = w[:, 0] - x * (x @ w[:, 0]) / (x @ x)  # sums to nothing but rounding
            for f in (
                lambda a, w=w: np.tanh(a @ w).sum(1),
                lambda a, v=balanced: a @ v,
                lambda a, v=balanced: a @ v + 1e6,
                lambda a, w=w: 1e-9 * (a @ w).sum(1),
                lambda a, w=w: 1 / (1 + np.exp(-40 * (a @ w[:, 0]))),
            ):
                found = explain(wrap(f, inputs=Array(6)), x, method, **ALL[method])
                assert not any("gap" in reason for reason in found.status.reasons)
                assert found.status != "fail"
                assert found.status == "ok" or not found.values.any()

    def test_a_column_of_dummies_is_one_part(self, method):
        rows = [{"a": a, "b": b, "c": c} for a, b, c in [(0, "x", 1), (2, "z", -1), (1, "x", 0)]]
        spec = Table({"a": Number(), "b": Category("xyz"), "c": Number()}, background=rows)
        model = wrap(lambda x: x[:, 0] + 2 * x[:, 2] - 4 * x[:, 3] + 0 * x[:, 4], inputs=spec)
        found = explain(model, {"a": 4, "b": "y", "c": 9}, method, **ALL[method])
        assert_allclose(found.values, [[3, 2 + 4 / 3, 0]], atol=1e-5)
        assert found.status == "ok"

    def test_several_inputs(self, method):
        model = wrap(lambda x: x["a"][:, 0] * x["b"].sum((1, 2)), inputs={"a": Array(1), "b": Series(3)})
        found = explain(model, {"a": [4.0], "b": [1.0, 2, 3]}, method, **ALL[method])
        assert_allclose(found["a"].part_values, [[12]])
        assert_allclose(found["b"].part_values, [[2, 4, 6]], rtol=1e-6)
        assert found["a"].status == "ok"

    def test_scores_that_are_no_numbers_fail(self, method):
        model = wrap(lambda x: np.where(x[:, 0] > 0, x.sum(1), np.nan), inputs=Array(4))
        assert explain(model, np.ones(4), method, **ALL[method]).status == "fail"
