"""Partition SHAP against the shap package, and against games with answers on paper."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit.attribution import explain
from xaikit.errors import Cancelled, ParameterError
from xaikit.inputs import Array, Category, Image, Number, Series, Table, Text
from xaikit.perturb.memory import MEMORY
from xaikit.wrapping import wrap

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _empty_memory():
    MEMORY.clear()


def curved(width, seed=0):
    w = np.random.default_rng(seed).normal(size=(width, 6))
    return lambda x: np.tanh(x @ w / 2).sum(1) + (x[:, 0] * x[:, 1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_equal_to_the_shap_package_over_the_same_tree():
    import shap
    from scipy.cluster.hierarchy import linkage

    for width, rows in ((2, 1), (6, 1), (9, 5)):
        f, x = curved(width), RNG.normal(size=(2, width)).astype("f")
        background, tree = RNG.normal(size=(rows, width)).astype("f"), linkage(RNG.normal(size=(width, 2)))
        model = wrap(f, inputs=Array(width))
        found = explain(model, x, "partition-shap", samples=10**6, baseline=background, hierarchy=tree)
        masker = shap.maskers.Partition(background, clustering=tree)
        explainer = shap.explainers.PartitionExplainer(lambda a, f=f: f(a.astype("f")).astype(np.float64), masker)
        expected = explainer(x, max_evals=10**6, silent=True).values
        assert_allclose(found.values, expected, atol=1e-6)  # the scores are float32
        assert found.status == "ok"
        assert_array_equal(found.quality["resolved"], 1)


def test_two_parts_have_their_shapley_values():
    f, x = curved(2), RNG.normal(size=(3, 2)).astype("f")
    found, exact = (explain(wrap(f, inputs=Array(2)), x, m) for m in ("partition-shap", "exact-shapley"))
    assert_allclose(found.values, exact.values, atol=1e-6)


def test_the_glove_game_depends_on_who_stands_together():
    """Parts 0 and 1 are left gloves, part 2 the right one; the Owen values are 1/4, 1/4, 1/2 or 1/4, 0, 3/4."""
    model = wrap(lambda x: np.maximum(x[:, 0], x[:, 1]) * x[:, 2], inputs=Array(3))
    left = explain(model, np.ones(3), "partition-shap", hierarchy=[[0, 1], [2, 3]])
    mixed = explain(model, np.ones(3), "partition-shap", hierarchy=[[1, 2], [0, 3]])
    assert_allclose(left.values, [[1 / 4, 1 / 4, 1 / 2]], atol=1e-12)
    assert_allclose(mixed.values, [[0, 1 / 4, 3 / 4]], atol=1e-12)


def test_a_linear_score_has_weight_times_distance_from_the_baseline():
    w, x = RNG.normal(size=20), RNG.normal(size=(2, 20)).astype("f")
    found = explain(wrap(lambda x: x @ w, inputs=Array(20)), x, "partition-shap", baseline=0.5)
    assert_allclose(found.values, w * (x - 0.5), atol=1e-5)
    assert found.status == "ok"


def test_pixels_are_the_parts_of_an_image_and_lose_nothing_to_a_small_budget():
    w = RNG.normal(size=(16, 12, 3))
    model = wrap(lambda x: np.tanh((x * w).sum((1, 2, 3)) / 9), inputs=Image(16, 12, scale=1))
    x = RNG.random((2, 16, 12, 3)).astype("f")
    found = explain(model, x, "partition-shap", samples=100)
    assert found.values.shape == (2, 16, 12)
    assert found.part_values.shape == (2, 192)
    assert found.quality["completeness_gap"].max() < 1e-12
    assert found.quality["resolved"].max() < 1
    assert found.origin.model_calls <= 2 * 101
    assert found.status == "ok"


def test_a_budget_is_spent_round_by_round_and_a_cut_one_still_adds_up():
    model = wrap(curved(30), inputs=Array(30))
    x = RNG.normal(size=30)
    for budget in (2, 3, 10, 61):
        MEMORY.clear()
        found = explain(model, x, "partition-shap", samples=100, max_calls=budget)
        assert found.quality["completeness_gap"] < 1e-12
        assert_allclose(found.quality["complete"], budget / 100)
        assert found.origin.model_calls <= budget + 1
        assert found.status == "warn"
    MEMORY.clear()
    with pytest.raises(ParameterError, match="max_calls=1"):
        explain(model, x, "partition-shap", max_calls=1)


def test_a_batch_equals_its_rows_and_a_repetition_is_free():
    model = wrap(curved(30), inputs=Array(30), version="1")
    x = RNG.normal(size=(3, 30)).astype("f")
    batch = explain(model, x, "partition-shap", samples=120)
    again = explain(model, x, "partition-shap", samples=120)
    assert_array_equal(again.values, batch.values)
    assert again.origin.model_calls == 3  # the predictions themselves
    for i, row in enumerate(x):
        MEMORY.clear()
        assert_allclose(explain(model, row, "partition-shap", samples=120).values[0], batch.values[i], atol=1e-6)


def test_columns_are_clustered_and_dummies_stay_together():
    rows = [{"a": a, "b": b, "c": c, "d": 1.0} for a, b, c in [(0, "x", 0.1), (2, "z", 2.0), (1, "x", 0.9)]]
    spec = Table({"a": Number(), "b": Category("xyz"), "c": Number(), "d": Number()}, background=rows)
    f, row = curved(6), {"a": 1, "b": "y", "c": 2, "d": 1}
    found = explain(wrap(f, inputs=spec), row, "partition-shap")
    assert found.values.shape == (1, 4)
    assert found.values[0, 3] == 0
    expected = explain(wrap(f, inputs=spec), row, "partition-shap", hierarchy=[[0, 2], [1, 4], [3, 5]])
    assert_allclose(found.values, expected.values, atol=1e-6)
    assert found.status == "ok"


def test_texts_and_series_are_halved_in_time():
    text = wrap(lambda x: np.sqrt((x == 7).sum(1) + 2.0 * (x == 3).sum(1)), inputs=Text(6))
    found = explain(text, np.array([[0, 7, 5, 3, 7, 5]]), "partition-shap")
    assert_allclose(found.values[0, [0, 2, 5]], 0, atol=1e-12)
    assert_allclose(found.values.sum(), 2, rtol=1e-6)
    series = wrap(lambda x: x[:, 10:12].sum((1, 2)) ** 2, inputs=Series(16, 1))
    found = explain(series, np.ones((16, 1)), "partition-shap")
    assert_allclose(found.values[0], np.isin(np.arange(16), (10, 11)) * 2.0, atol=1e-12)


def test_several_inputs_are_split_first():
    model = wrap(lambda x: x["a"][:, 0] * x["b"].sum((1, 2)), inputs={"a": Array(1), "b": Series(3)})
    found = explain(model, {"a": [4.0], "b": [1.0, 2, 3]}, "partition-shap")
    assert_allclose(found["a"].part_values, [[12]])
    assert_allclose(found["b"].part_values, [[2, 4, 6]], rtol=1e-6)


def test_one_part_has_all_of_it_and_a_constant_model_gives_zeros():
    sums = wrap(lambda x: x.reshape(len(x), -1).sum(1), inputs=Image(4, 4, scale=1))
    found = explain(sums, np.full((4, 4, 3), 2.0), "partition-shap", segments=np.zeros((4, 4), int), baseline=0)
    assert_allclose(found.part_values, [[96]])
    constant = explain(wrap(lambda x: np.ones(len(x)), inputs=Array(30)), np.ones(30), "partition-shap")
    assert_array_equal(constant.values, 0)
    assert constant.status == "warn"  # a map of zeros
    same = explain(wrap(curved(6), inputs=Array(6)), np.zeros(6), "partition-shap")
    assert_array_equal(same.values, 0)


def test_a_tree_of_other_parts_is_refused():
    with pytest.raises(ParameterError, match="joins 3 parts, but there are 5"):
        explain(wrap(curved(5), inputs=Array(5)), np.ones(5), "partition-shap", hierarchy=[[0, 1], [2, 3]])


def test_a_caller_can_stop():
    seen = []

    def stop(done, total):
        seen.append((done, total))
        if done > 20:
            raise Cancelled("enough")

    found = explain(wrap(curved(30), inputs=Array(30)), np.ones(30), "partition-shap", samples=200, progress=stop)
    assert found.status == "warn"
    assert found.quality["completeness_gap"] < 1e-12
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
