"""Faithfulness: closed forms on linear models, parity with a plain loop, controls, and what it costs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.analytic import Analytic
from tests.contract.nets import ADAPTERS, TABULAR, image_pair, linear_net, state_of
from xaikit.errors import ParameterError, UsageError
from xaikit.perturb.memory import MEMORY

X = np.array([[1.0, -2.0, 0.5, 3.0, -1.0, 2.0]], np.float32)


@pytest.fixture(autouse=True)
def fresh() -> None:
    MEMORY.clear()


def linear(weights: Any = (0.7, 0.3, -1.1, 0.4, 0.9, -0.2)) -> Analytic:
    return Analytic(np.asarray(weights)[:, None])


def curves_of(contributions: Any) -> tuple[Any, Any]:
    """What is left of a sum, and what has come, taking its terms in falling order."""
    ordered = np.sort(contributions)[::-1]
    come = np.concatenate([[0.0], np.cumsum(ordered)])
    return come[-1] - come, come


def test_a_linear_model_has_its_closed_form() -> None:
    model = linear()
    f = xk.faithfulness(model, xk.explain(model, X, "exact-shapley"))
    gone, come = curves_of(model.kernel[:, 0] * X[0])
    assert_allclose(f.deletion_curves[0], gone, atol=1e-6)
    assert_allclose(f.insertion_curves[0], come, atol=1e-6)
    assert_allclose(f.deletion, np.trapezoid(gone, dx=1 / 6), atol=1e-6)
    assert_allclose(f.insertion, np.trapezoid(come, dx=1 / 6), atol=1e-6)
    assert_allclose(f.shares[0], np.arange(7) / 6)


def test_random_maps_come_in_pairs_whose_mean_is_the_even_share() -> None:
    model = linear()
    f = xk.faithfulness(model, xk.explain(model, X, "exact-shapley"), random_maps=4)
    assert f.random_deletion_curves.shape == (1, 4, 7)
    half = float(model.kernel[:, 0] @ X[0]) / 2  # an order and its reverse together lose the sum evenly
    assert_allclose(f.random_deletion, half, atol=1e-6)
    assert_allclose(f.random_insertion, half, atol=1e-6)
    assert_allclose(f.random_gains.mean(), 0, atol=1e-7)
    assert_allclose(f.random_gains[0, :2], -f.random_gains[0, 2:], atol=1e-6)


def test_the_order_decides_the_verdict() -> None:
    rng = np.random.default_rng(0)
    model = linear(rng.normal(size=30))
    e = xk.explain(model, rng.normal(size=(1, 30)).astype("f"), "gradient-x-input")
    perfect, reverse = (xk.faithfulness(model, replace(e, values=s * e.values)) for s in (1, -1))
    assert (perfect.status, perfect.better.all()) == ("ok", True)
    assert (reverse.status, reverse.better.any()) == ("fail", False)
    assert "no better than random" in reverse.status.reasons[0]
    assert_allclose(perfect.advantage, -reverse.advantage)
    assert perfect.deletion < perfect.random_deletion
    assert perfect.insertion > perfect.random_insertion


def test_most_random_maps_fail() -> None:
    rng = np.random.default_rng(1)
    model = linear(rng.normal(size=150))
    e = xk.explain(model, rng.normal(size=(40, 150)).astype("f"), "gradient-x-input")
    noise = xk.faithfulness(model, replace(e, values=rng.normal(size=e.values.shape)), perturbations=0)
    assert noise.better.mean() < 0.25
    assert xk.faithfulness(model, e, perturbations=0).better.all()


@pytest.mark.parametrize("framework", ADAPTERS)
def test_deletion_on_pictures_equals_a_plain_loop(framework: str) -> None:
    model, x = image_pair(framework)
    e = xk.explain(model, x[:1], "integrated-gradients", target=2, baseline=0)
    f = xk.faithfulness(model, e, baseline=0, steps=6, perturbations=0)
    order = np.argsort(-e.values[0].astype(np.float64).sum(-1).ravel(), kind="stable")
    expected = []
    for share in f.shares[0]:
        hidden = x[0].reshape(-1, 3).copy()
        hidden[order[: round(share * len(order))]] = 0
        encoded = model.inputs.encode(hidden.reshape(12, 12, 3))
        expected.append(model.run(encoded, score="logit").output[0, 2])
    assert_allclose(f.deletion_curves[0], expected, atol=2e-4)


def test_parts_are_hidden_as_the_method_did_and_cost_nothing_twice() -> None:
    model, x = image_pair("torch")
    told: list[int] = []
    function = xk.wrap(
        lambda a: told.append(len(a)) or model.run(a).output,  # type: ignore[func-returns-value]
        inputs=model.inputs,
        outputs=model.outputs,
        version="1",
    )
    e = xk.explain(function, x[:1], "lime", target=2, samples=50, segments=9)
    alone = xk.explain(function, x[:1], "exact-shapley", target=2, segments=9, baseline=None)
    told.clear()
    f = xk.faithfulness(function, e, perturbations=0, steps=2)
    first = sum(told)
    told.clear()
    again = xk.faithfulness(function, e, perturbations=0, steps=2)
    assert sum(told) == 1  # whether the function has logits is tried on one sample
    assert_array_equal(again.deletion_curves, f.deletion_curves)
    # Two points of two curves along six orders, the shares, and the empty coalition that no coin flip met.
    assert first <= 1 + 2 * 2 * 6 + 2 * len(f.origin.parameters["shares"]) + 1
    told.clear()
    xk.faithfulness(function, alone, perturbations=0)
    assert sum(told) == 1  # all coalitions of these parts are known


def test_the_full_and_the_empty_coalition_are_not_asked_for_again() -> None:
    model = linear()
    e = xk.explain(model, X, "kernel-shap", samples=2)
    before = model.rows
    xk.faithfulness(model, e, steps=2, random_maps=2, shares=(1.0,), perturbations=0)
    # The middle of two curves along two orders; everything and nothing are known, and so is a share of all parts.
    assert model.rows - before <= 4


def test_a_gradient_ranks_by_what_it_says_that_hiding_does() -> None:
    model = linear()
    x = np.repeat(X, 2, 0)
    f, g = (xk.faithfulness(model, xk.explain(model, x, m)) for m in ("saliency", "gradient-x-input"))
    assert_allclose(f.deletion_curves, g.deletion_curves)
    assert_allclose(f.infidelity, 0, atol=1e-10)


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "exact-shapley", "gradient-x-input"])
def test_an_exact_map_of_a_linear_model_has_no_infidelity(method: str) -> None:
    model = linear()
    e = xk.explain(model, X, method)
    assert_allclose(xk.faithfulness(model, e).infidelity, 0, atol=1e-10)
    nothing = replace(e, values=np.zeros_like(e.values), part_values=None, parts=None)
    assert_allclose(xk.faithfulness(model, nothing).infidelity_relative, 1)


def test_infidelity_is_the_mean_squared_miss() -> None:
    model = linear()
    e = xk.explain(model, X, "gradient-x-input")
    off = replace(e, values=e.values + np.float32(0.5))
    f = xk.faithfulness(model, off, steps=6)
    sizes = np.tile(np.arange(7), 10)  # of the hidden parts, in deletion and insertion along 5 orders
    assert_allclose(f.infidelity, np.mean((0.5 * sizes) ** 2), rtol=1e-5)


def test_a_map_without_a_unit_is_scaled_to_fit_best() -> None:
    model, x = image_pair("torch")
    e = xk.explain(model, x[:1], "grad-cam", target=2, relu=False)
    f, g = (xk.faithfulness(model, replace(e, values=c * e.values), perturbations=0) for c in (1, 100))
    assert_allclose(f.infidelity, g.infidelity, rtol=1e-3)
    assert f.infidelity_relative <= 1


def test_comprehensiveness_and_sufficiency_of_a_linear_model() -> None:
    model = linear((4.0, 3.0, 2.0, 1.0))
    x = np.ones((1, 4), np.float32)
    f = xk.faithfulness(model, xk.explain(model, x, "exact-shapley"), shares=(0.25, 0.5))
    assert_allclose(f.comprehensiveness, np.mean([4, 7]))
    assert_allclose(f.sufficiency, np.mean([10 - 4, 10 - 7]))


def test_sensitivity_of_a_constant_gradient_is_zero_and_of_the_product_that_of_the_input() -> None:
    model = linear((1.0, 1.0, 1.0, 1.0))
    x = np.array([[0.0, 1.0, 2.0, 3.0]], np.float32)
    gradient = xk.faithfulness(model, xk.explain(model, x, "saliency"), perturbations=3, radius=0.1)
    assert_allclose(gradient.max_sensitivity, 0, atol=1e-7)
    product = xk.faithfulness(model, xk.explain(model, x, "gradient-x-input"), perturbations=3, radius=0.1, seed=5)
    noise = 0.1 * 3 * np.random.default_rng(5).uniform(-1, 1, (3, 4))
    assert_allclose(product.max_sensitivity, np.linalg.norm(noise, axis=1).max() / np.linalg.norm(x), rtol=1e-5)


def test_sensitivity_is_left_out_where_it_is_dear_or_makes_no_sense() -> None:
    rng = np.random.default_rng(0)
    model = linear(rng.normal(size=30))
    dear = xk.explain(model, rng.normal(size=(1, 30)).astype("f"), "lime", samples=1000)
    assert np.isnan(xk.faithfulness(model, dear).max_sensitivity)
    assert np.isfinite(xk.faithfulness(model, dear, perturbations=1).max_sensitivity)


def test_a_map_on_its_own_grid_is_interpolated() -> None:
    model, x = image_pair("torch")
    fine, coarse = (xk.explain(model, x[:1], "grad-cam", target=2, upsample=u) for u in (True, False))
    assert coarse.values.shape != fine.values.shape
    a, b = (xk.faithfulness(model, e, perturbations=0) for e in (fine, coarse))
    assert_allclose(a.deletion_curves, b.deletion_curves, atol=1e-5)
    assert a.parts == 144


def test_tables_are_ranked_by_column() -> None:
    model, _ = linear_net("torch", TABULAR)
    e = xk.explain(model, {"age": 40.0, "job": "clerk"}, "kernel-shap", target=1)
    f = xk.faithfulness(model, e)
    assert f.parts == 2
    gone, _ = curves_of(e.part_values[0])
    assert_allclose(f.deletion_curves[0], f.deletion_curves[0, -1] + gone, atol=1e-5)


def test_padding_is_no_part_of_a_text() -> None:
    spec = xk.Text(6, vocabulary=("", "?", "good", "bad", "film"))
    values = np.array([0.0, 0.0, 2.0, -3.0, 0.5])
    model = xk.wrap(lambda ids: values[ids].sum(1, keepdims=True), inputs=spec, version="1")
    f = xk.faithfulness(model, xk.explain(model, "good film bad", "occlusion"))
    assert f.parts == 3
    assert_allclose(f.deletion_curves[0], [-0.5, -2.5, -3.0, 0.0])
    assert np.isnan(f.max_sensitivity)


def test_what_raises_a_reconstruction_error_is_taken_away_first() -> None:
    model = xk.wrap(lambda x: 0 * x, inputs=xk.Array((4,)), outputs=xk.Reconstruction(), version="1")
    x = np.array([[3.0, 1.0, 0.0, 2.0]], np.float32)
    f = xk.faithfulness(model, xk.explain(model, x, "exact-shapley"))
    gone, come = curves_of(x[0] ** 2 / 4)
    assert_allclose(f.deletion_curves[0], gone, atol=1e-6)
    assert_allclose(f.insertion_curves[0], come, atol=1e-6)


def test_several_inputs_are_ranked_together() -> None:
    model = xk.wrap(
        lambda x: x["a"] @ np.array([[1.0], [5.0]]) + x["b"] @ np.array([[3.0]]),
        inputs={"a": xk.Array((2,)), "b": xk.Array((1,))},
        version="1",
    )
    x = {"a": np.ones((1, 2), np.float32), "b": np.ones((1, 1), np.float32)}
    f = xk.faithfulness(model, xk.explain(model, x, "exact-shapley"))
    assert_allclose(f.deletion_curves[0], [9, 4, 1, 0], atol=1e-6)


def test_a_constant_score_is_told_apart_from_a_bad_map() -> None:
    model = Analytic(np.zeros((5, 1)), 2.0)
    f = xk.faithfulness(model, xk.explain(model, X[:, :5], "exact-shapley"))
    assert np.isnan(f.advantage)
    assert f.status == "ok"
    assert not f.better


def test_a_batch_equals_its_samples_and_the_seed_decides() -> None:
    model = Analytic(np.random.default_rng(0).normal(size=(9, 12)), 0.1, np.random.default_rng(1).normal(size=(12, 1)))
    x = np.random.default_rng(2).normal(size=(3, 9)).astype("f")
    e = xk.explain(model, x, "integrated-gradients")
    whole = xk.faithfulness(model, e, 3)
    MEMORY.clear()
    alone = [xk.faithfulness(model, one, 3) for one in e]
    for name in ("deletion", "random_deletion", "infidelity", "max_sensitivity", "advantage", "sufficiency"):
        each = np.concatenate([getattr(one, name) for one in alone])
        assert_allclose(getattr(whole, name), each, rtol=1e-5)
        assert_allclose(getattr(whole[1], name), each[1:2], rtol=1e-5)
    assert not np.allclose(xk.faithfulness(model, e, 4).random_gains, whole.random_gains)
    assert whole.origin.seed == 3
    assert whole.origin.parameters["steps"] == 20


def test_samples_of_different_parts_are_filled_up(tmp_path: Any) -> None:
    model, x = image_pair("torch")
    labels = np.stack([np.arange(144).reshape(12, 12) // 48, np.arange(144).reshape(12, 12) // 72])
    e = xk.explain(model, x[:2], "exact-shapley", target=2, segments=labels)
    f = xk.faithfulness(model, e)
    assert_array_equal(f.parts, [3, 2])
    assert_array_equal(np.isnan(f.shares), [[False] * 4, [False] * 3 + [True]])
    assert np.isfinite(f.deletion).all()
    back = xk.load(xk.save(f, tmp_path / "f"))
    for name in ("shares", "deletion_curves", "random_insertion_curves", "infidelity", "parts"):
        assert_array_equal(getattr(back, name), getattr(f, name))
    assert (back.status, back.explained.method, back.target_labels) == (f.status, "exact-shapley", f.target_labels)


@pytest.mark.parametrize("framework", ADAPTERS)
def test_nothing_is_left_behind(framework: str) -> None:
    model, x = image_pair(framework)
    e = xk.explain(model, x[:1], "integrated-gradients", target=2, steps=5)
    xk.faithfulness(model, e, perturbations=1)
    before, values = state_of(model), e.values.copy()
    xk.faithfulness(model, e, perturbations=1)
    assert state_of(model) == before
    assert_array_equal(e.values, values)


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 1}, {"random_maps": 3}, {"shares": ()}, {"shares": (2.0,)}, {"radius": 0}, {"perturbations": -1}],
)
def test_parameters_out_of_range_are_named(wrong: dict[str, Any]) -> None:
    model = linear()
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        xk.faithfulness(model, xk.explain(model, X, "saliency"), **wrong)


def test_what_is_no_explanation_of_this_network_is_refused() -> None:
    model = linear()
    e = xk.explain(model, X, "saliency")
    with pytest.raises(UsageError, match="another network"):
        xk.faithfulness(linear(np.ones(6)), e)
    with pytest.raises(UsageError, match="not ndarray"):
        xk.faithfulness(model, e.values)  # type: ignore[arg-type]
