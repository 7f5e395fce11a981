"""Kernel SHAP against the shap package, and against games with answers on paper."""

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


def hidden_units(x):
    h = np.maximum(x @ np.ones((3, 4)) + [-10, 1, 1, 1], 0)
    return h.sum(1) - 1


def curved(width, seed=0):
    w = np.random.default_rng(seed).normal(size=(width, 6))
    return lambda x: np.tanh(x @ w / 2).sum(1) + (x[:, 0] * x[:, 1])


def shap_package():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its colour maps are drawn up by deprecated means
        import shap
    return shap


def of_shap(f, x, background, samples="auto"):
    explainer = shap_package().KernelExplainer(lambda rows: f(rows).astype(np.float64), background)
    return explainer.shap_values(x, nsamples=samples, l1_reg=0, silent=True)


def test_the_reference_value():
    found = explain(wrap(hidden_units, inputs=Array(3)), [20.0, 50.0, 30.0], "kernel-shap")
    assert_allclose(found.values, [[230 / 3, 590 / 3, 350 / 3]], rtol=1e-6)
    assert_allclose(found.values.sum(), 390, rtol=1e-12)
    assert found.quality["standard_error"] == 0
    assert found.status == "ok"


def test_a_product_is_shared_evenly():
    found = explain(wrap(lambda x: x[:, 0] * x[:, 1], inputs=Array(2)), [3.0, 5.0], "kernel-shap")
    assert_allclose(found.values, [[7.5, 7.5]])


def test_a_linear_score_has_weight_times_distance_from_the_baseline_even_when_sampled():
    w, x = RNG.normal(size=40), RNG.normal(size=(2, 40)).astype(np.float32)
    model = wrap(lambda x: x @ w, inputs=Array(40))
    found = explain(model, x, "kernel-shap", samples=300, baseline=0.5)
    assert_allclose(found.values, w * (x - 0.5), atol=1e-5)
    assert found.quality["standard_error"].max() < 1e-5


@pytest.mark.parametrize("width", [2, 5, 10])
def test_equal_to_the_shap_package_where_all_coalitions_fit(width):
    f = curved(width)
    x, background = RNG.normal(size=(2, width)), RNG.normal(size=(7, width))
    found = explain(wrap(f, inputs=Array(width)), x, "kernel-shap", baseline=background)
    expected = of_shap(f, x.astype(np.float32), background.astype(np.float32))
    assert_allclose(found.values, expected, atol=2e-6)  # the scores are float32


def test_a_sampled_run_is_as_near_to_the_truth_as_it_says_and_no_farther_than_shap():
    from xaikit.perturb.coalitions import exhaustive
    from xaikit.perturb.solvers import shapley_values

    f, x = curved(14), RNG.normal(size=14).astype(np.float32)
    game = exhaustive(14)
    exact = shapley_values(game.masks, f(game.masks * x))
    model = wrap(f, inputs=Array(14))
    runs = [explain(model, x, "kernel-shap", samples=600, seed=s) for s in range(8)]
    errors = [np.abs(run.values[0] - exact) for run in runs]
    said = np.mean([run.quality["standard_error"][0] * np.abs(run.values).max() for run in runs])
    assert 0.3 < np.mean(errors) / said < 1.5  # the mean of |error| is 0.8 standard errors
    theirs = []
    for s in range(8):
        np.random.seed(s)  # noqa: NPY002
        theirs.append(np.abs(of_shap(f, x, np.zeros((1, 14)), 600) - exact))
    assert np.mean(errors) <= 1.1 * np.mean(theirs)


@pytest.mark.parametrize("samples", [2, 3, 10, 64, None])
def test_the_values_sum_to_the_rise_for_any_budget(samples):
    model = wrap(curved(30), inputs=Array(30))
    x = RNG.normal(size=(2, 30))
    found = explain(model, x, "kernel-shap", samples=samples)
    rise = (
        model.run(x.astype(np.float32)).output[:, 0].astype(float)
        - model.run(np.zeros((1, 30), np.float32)).output[0, 0]
    )
    assert_allclose(found.part_values.sum(1), rise, atol=1e-12)
    assert found.quality["completeness_gap"].max() < 1e-12
    assert found.origin.model_calls <= 2 * (samples or 2108) + 2


def test_parts_that_hiding_does_not_change_get_nothing_and_cost_nothing():
    model = wrap(curved(6), inputs=Array(6))
    x = np.array([1.0, 2, 0, 0, 0, 3])
    found = explain(model, x, "kernel-shap")
    assert_array_equal(found.values[0, 2:5], 0)
    assert found.origin.model_calls == 2**3 + 1


def test_the_baseline_itself_has_nothing_to_explain():
    found = explain(wrap(curved(6), inputs=Array(6)), np.zeros(6), "kernel-shap")
    assert_array_equal(found.values, 0)
    assert found.quality["completeness_gap_relative"] == 0
    assert found.origin.model_calls == 2


def test_one_part_has_all_of_it():
    model = wrap(lambda x: x.reshape(len(x), -1).sum(1), inputs=Image(4, 4, scale=1))
    found = explain(model, np.full((4, 4, 3), 2.0), "kernel-shap", segments=np.zeros((4, 4), int), baseline=0)
    assert_allclose(found.part_values, [[96]])


def test_columns_with_a_background_equal_shap_grouped_by_column():
    spec_columns = {"a": Number(), "b": Category("xyz"), "c": Number(), "d": Number()}
    rows = [{"a": a, "b": b, "c": c, "d": 1.5} for a, b, c in [(0, "x", 1), (2, "z", -1), (1, "x", 0)]]
    spec = Table(spec_columns, background=rows)
    f = curved(6)
    model = wrap(f, inputs=spec)
    found = explain(model, {"a": 1, "b": "y", "c": 2, "d": 1.5}, "kernel-shap")
    x, background = spec.encode({"a": 1, "b": "y", "c": 2, "d": 1.5}), spec.encode(rows)
    shap = shap_package()
    groups = [np.array([0]), np.array([1, 2, 3]), np.array([4]), np.array([5])]
    data = shap.utils._legacy.DenseData(background, list(spec.names), groups)
    expected = shap.KernelExplainer(lambda r: f(r).astype(np.float64), data).shap_values(x, l1_reg=0, silent=True)
    assert_allclose(found.values, expected, atol=2e-6)
    assert found.values[0, 3] == 0


def test_images_are_painted_by_part():
    w = RNG.normal(size=(16, 16, 3))
    model = wrap(lambda x: (x * w).sum((1, 2, 3)), inputs=Image(16, 16, scale=1))
    x = RNG.random((2, 16, 16, 3)).astype(np.float32)
    found = explain(model, x, "kernel-shap")
    assert found.values.shape == (2, 16, 16)
    assert found.axes == ("sample", "height", "width")
    away = ((x - x.mean((1, 2), keepdims=True)) * w).sum(-1)
    for i in range(2):
        sums = np.bincount(found.parts[i].ravel(), weights=away[i].ravel())
        assert_allclose(found.part_values[i][: len(sums)], sums, atol=1e-4)
        assert_array_equal(found.values[i], found.part_values[i][found.parts[i]])


def test_several_inputs_are_one_game():
    model = wrap(lambda x: x["a"][:, 0] * x["b"].sum((1, 2)), inputs={"a": Array(1), "b": Series(3)})
    found = explain(model, {"a": [4.0], "b": [1.0, 2, 3]}, "kernel-shap")
    assert_allclose(found["a"].part_values, [[12]])
    assert_allclose(found["b"].part_values, [[2, 4, 6]], rtol=1e-6)
    assert found["a"].quality["completeness_gap"] < 1e-12


def test_the_seed_decides_and_a_batch_equals_its_rows():
    model = wrap(curved(30), inputs=Array(30))
    x = RNG.normal(size=(3, 30)).astype(np.float32)
    batch = explain(model, x, "kernel-shap", samples=200, seed=5)
    for i, row in enumerate(x):
        MEMORY.clear()
        alone = explain(model, row, "kernel-shap", samples=200, seed=5)
        assert_allclose(batch[i].values, alone.values, rtol=1e-6, atol=1e-6)
    other = explain(model, x, "kernel-shap", samples=200, seed=6)
    assert np.abs(batch.values - other.values).max() > 1e-3


@pytest.mark.parametrize("budget", [2, 3, 50, 150])
def test_a_budget_gives_a_partial_result_that_still_adds_up(budget):
    model = wrap(curved(30), inputs=Array(30))
    found = explain(model, RNG.normal(size=30), "kernel-shap", samples=200, max_calls=budget)
    assert_allclose(found.quality["complete"], budget / 200)
    assert found.quality["completeness_gap"] < 1e-12
    assert found.quality["standard_error"] != 0
    assert found.status == "warn"


def test_enumerated_sizes_that_were_not_finished_are_not_called_exact():
    model = wrap(curved(30), inputs=Array(30))
    x = RNG.normal(size=30)
    assert np.isnan(explain(model, x, "kernel-shap", max_calls=42).quality["standard_error"])


def test_too_little_of_anything_is_refused():
    model = wrap(curved(5), inputs=Array(5))
    with pytest.raises(ParameterError, match="samples"):
        explain(model, np.ones(5), "kernel-shap", samples=1)
    with pytest.raises(ParameterError, match="max_calls=1"):
        explain(model, np.ones(5), "kernel-shap", max_calls=1)
