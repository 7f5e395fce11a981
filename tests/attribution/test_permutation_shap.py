"""Permutation SHAP against the definition, the shap package, and games with answers on paper."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit.attribution import explain
from xaikit.errors import ParameterError
from xaikit.inputs import Array, Category, Image, Number, Series, Table
from xaikit.perturb.memory import MEMORY
from xaikit.wrapping import wrap

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _empty_memory():
    MEMORY.clear()


def curved(width, seed=0):
    w = np.random.default_rng(seed).normal(size=(width, 6))
    return lambda x: np.tanh(x @ w / 2).sum(1) + (x[:, 0] * x[:, 1])


def test_few_parts_are_enumerated_and_exact():
    f, x = curved(5), RNG.normal(size=(2, 5))
    found = explain(wrap(f, inputs=Array(5)), x, "permutation-shap")
    exact = explain(wrap(f, inputs=Array(5)), x, "exact-shapley")
    assert_allclose(found.values, exact.values, atol=1e-6)  # the functions are two: nothing is remembered between them
    assert_array_equal(found.quality["standard_error"], 0)
    assert found.origin.model_calls == 2 * (2**5 + 1)
    assert found.status == "ok"


@pytest.mark.slow
def test_equal_to_the_shap_package_on_small_games():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its colour maps are drawn up by deprecated means
        import shap
    f, x, background = curved(6), RNG.normal(size=(2, 6)).astype("f"), RNG.normal(size=(7, 6)).astype("f")
    found = explain(wrap(f, inputs=Array(6)), x, "permutation-shap", samples=64, baseline=background)
    masker = shap.maskers.Independent(background)
    expected = shap.explainers.ExactExplainer(lambda rows: f(rows).astype(np.float64), masker)(x).values
    assert_allclose(found.values, expected, atol=2e-6)  # the scores are float32


def test_interactions_of_two_need_but_one_pair_of_orders():
    w = np.triu(RNG.normal(size=(20, 20)), 1)
    model = wrap(lambda x: np.einsum("ci,ij,cj->c", x, w, x), inputs=Array(20))
    x = RNG.normal(size=20)
    found = explain(model, x, "permutation-shap", samples=40)
    assert_allclose(found.values[0], x * ((w + w.T) @ x) / 2, atol=1e-4)
    assert found.origin.model_calls <= 41


def test_the_definition_over_the_orders_that_were_drawn():
    from xaikit.perturb.coalitions import permutations

    f, x = curved(13), RNG.normal(size=13).astype("f")
    found = explain(wrap(f, inputs=Array(13)), x, "permutation-shap", samples=50, seed=3)
    expected = np.zeros(13)
    for order in permutations(13, 50, np.random.default_rng(3)).orders:
        row = np.zeros(13, "f")
        for part in order:
            before = f(row[None])[0]
            row[part] = x[part]
            expected[part] += (f(row[None])[0] - before) / 4
    assert_allclose(found.values[0], expected, atol=1e-6)


def test_the_standard_error_is_that_of_repeated_runs():
    f, x = curved(16), RNG.normal(size=16)
    runs = [explain(wrap(f, inputs=Array(16)), x, "permutation-shap", samples=400, seed=s) for s in range(30)]
    spread = np.std([r.values[0] for r in runs], axis=0, ddof=1).mean()
    said = np.mean([r.quality["standard_error"][0] * np.abs(r.values).max() for r in runs])
    assert 0.7 < said / spread < 1.4


@pytest.mark.parametrize("samples", [31, 40, 60, 61, 300, None])
def test_the_values_sum_to_the_rise_for_any_budget(samples):
    f, x = curved(30), RNG.normal(size=(2, 30)).astype("f")
    found = explain(wrap(f, inputs=Array(30)), x, "permutation-shap", samples=samples)
    assert_allclose(found.part_values.sum(1), f(x) - f(np.zeros((1, 30))), atol=1e-5)
    assert found.quality["completeness_gap"].max() < 1e-12
    assert found.origin.model_calls <= 2 * (samples or 582) + 2
    assert found.status == "ok"


@pytest.mark.parametrize("budget", [2, 3, 20, 100])
def test_a_budget_gives_a_partial_result_that_still_adds_up(budget):
    found = explain(
        wrap(curved(30), inputs=Array(30)), RNG.normal(size=30), "permutation-shap", samples=118, max_calls=budget
    )
    assert_allclose(found.quality["complete"], budget / 118)
    assert found.quality["completeness_gap"] < 1e-12
    assert found.status == "warn"


def test_what_is_known_of_the_first_order_stands():
    w = RNG.normal(size=9)
    found = explain(
        wrap(lambda x: x @ w, inputs=Array(9)), np.ones(9), "permutation-shap", samples=20, max_calls=5, seed=2
    )
    order = np.random.default_rng(2).permutation(9)
    assert_allclose(found.values[0, order[:3]], w[order[:3]], atol=1e-6)
    assert_allclose(found.values[0, order[3:]], w[order[3:]].mean(), atol=1e-6)


def test_parts_that_are_alike_share_evenly_and_those_without_effect_get_nothing():
    model = wrap(lambda x: np.maximum(x[:, :3].max(1), 0) + 0 * x[:, 3], inputs=Array(5))
    found = explain(model, [2.0, 2, 2, 7, 0], "permutation-shap")
    assert_allclose(found.values, [[2 / 3, 2 / 3, 2 / 3, 0, 0]], atol=1e-12)
    assert found.origin.model_calls <= 2**4 + 1


def test_one_part_has_all_of_it_and_a_constant_model_gives_zeros():
    found = explain(
        wrap(lambda x: x.reshape(len(x), -1).sum(1), inputs=Image(4, 4, scale=1)),
        np.full((4, 4, 3), 2.0),
        "permutation-shap",
        segments=np.zeros((4, 4), int),
        baseline=0,
    )
    assert_allclose(found.part_values, [[96]])
    constant = explain(wrap(lambda x: np.ones(len(x)), inputs=Array(30)), np.ones(30), "permutation-shap")
    assert_array_equal(constant.values, 0)
    assert constant.quality["standard_error"] == 0
    assert constant.status == "warn"  # a map of zeros


def test_columns_with_dummies_are_one_part():
    rows = [{"a": a, "b": b, "c": c} for a, b, c in [(0, "x", 1), (2, "z", -1), (1, "x", 0)]]
    spec = Table({"a": Number(), "b": Category("xyz"), "c": Number()}, background=rows)
    f, row = curved(5), {"a": 1, "b": "y", "c": 2}
    found, exact = (explain(wrap(f, inputs=spec), row, m) for m in ("permutation-shap", "exact-shapley"))
    assert found.values.shape == (1, 3)
    assert_allclose(found.values, exact.values, atol=1e-6)
    assert found.status == "ok"


def test_several_inputs_are_one_game():
    model = wrap(lambda x: x["a"][:, 0] * x["b"].sum((1, 2)), inputs={"a": Array(1), "b": Series(3)})
    found = explain(model, {"a": [4.0], "b": [1.0, 2, 3]}, "permutation-shap")
    assert_allclose(found["a"].part_values, [[12]])
    assert_allclose(found["b"].part_values, [[2, 4, 6]], rtol=1e-6)


def test_the_seed_decides_and_a_repetition_is_free():
    model, x = wrap(curved(30), inputs=Array(30), version="1"), RNG.normal(size=30)
    one, same, other = (explain(model, x, "permutation-shap", samples=60, seed=s) for s in (1, 1, 2))
    assert_array_equal(one.values, same.values)
    assert same.origin.model_calls == 1  # the prediction itself
    assert np.abs(one.values - other.values).max() > 1e-3


def test_too_little_for_one_order_is_refused():
    model = wrap(curved(9), inputs=Array(9))
    with pytest.raises(ParameterError, match="takes 10 coalitions: samples=9 is too few"):
        explain(model, np.ones(9), "permutation-shap", samples=9)
    with pytest.raises(ParameterError, match="samples must be at least 2"):
        explain(model, np.ones(9), "permutation-shap", samples=1)
