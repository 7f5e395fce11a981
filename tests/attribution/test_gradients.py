"""Gradient methods against answers on paper."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.analytic import Analytic, golden
from tests.contract.nets import ADAPTERS, image_pair
from xaikit.attribution import explain
from xaikit.errors import NotSupported, ParameterError, TargetError, UnknownName
from xaikit.inputs import Array, Classes, Margin
from xaikit.wrapping import wrap

W = np.array([[1.0, -2.0], [3.0, 0.5], [-1.0, 4.0]])
X = np.array([[1.0, 2.0, 3.0], [-1.0, 0.5, 2.0]], np.float32)
GRADIENT = ["saliency", "gradient-x-input", "smooth-grad", "integrated-gradients"]


def linear() -> Analytic:
    return Analytic(W, (5.0, -5.0))


@pytest.mark.parametrize(("method", "expected"), [("saliency", W[:, 1] + 0 * X), ("gradient-x-input", W[:, 1] * X)])
def test_a_linear_score_has_its_weights(method, expected):
    assert_allclose(explain(linear(), X, method, target=1).values, expected, rtol=1e-6)


def test_smooth_grad_of_a_linear_score_is_its_weights_for_any_noise():
    result = explain(linear(), X, "smooth-grad", target=0, noise=3.0, samples=7)
    assert_allclose(result.values, W[:, 0] + 0 * X, rtol=1e-6)


def test_smooth_grad_without_noise_is_saliency():
    net = golden()
    x = [[20.0, 50.0, 30.0]]
    smooth = explain(net, x, "smooth-grad", target=0, noise=0.0, samples=1)
    assert_allclose(smooth.values, explain(net, x, "saliency", target=0).values)


def test_smooth_grad_depends_on_the_seed_alone():
    net, x = Analytic(np.ones((3, 1)), -0.1, [[1.0]]), [[0.1, 0.1, -0.1]]
    one, same, other = (explain(net, x, "smooth-grad", seed=s, noise=1.0).values for s in (1, 1, 2))
    assert_allclose(one, same)
    assert np.abs(one - other).max() > 0


def test_integrated_gradients_of_a_linear_score_is_weights_times_the_way_from_the_baseline():
    result = explain(linear(), X, "integrated-gradients", target=0, baseline=0.5, steps=1)
    assert_allclose(result.values, W[:, 0] * (X - 0.5), rtol=1e-5)
    assert_allclose(result.quality["completeness_gap"], 0, atol=1e-5)
    assert result.status == "ok"


def test_integrated_gradients_sum_to_the_rise_from_the_baseline():
    """One of the four hidden units has its kink on the way, at α = 0.1; 200 nodes miss it by at most 1/200 of 100."""
    result = explain(golden(), [[20.0, 50.0, 30.0]], "integrated-gradients", target=0, steps=200)
    assert_allclose(result.values.sum(), 390, atol=0.5)
    assert_allclose(result.values[0], 390 * np.array([0.2, 0.5, 0.3]), atol=0.5)


def test_too_few_steps_are_seen_in_the_status():
    result = explain(golden(), [[10.0, 10.0, 10.0]], "integrated-gradients", target=0, steps=1)
    assert result.status == "fail"
    assert "completeness gap" in result.status.reasons[0]


def test_several_baselines_are_averaged():
    starts = [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    both = explain(linear(), X, "integrated-gradients", target=0, baseline=np.array(starts)).values
    each = [explain(linear(), X, "integrated-gradients", target=0, baseline=np.array(s)).values for s in starts]
    assert_allclose(both, np.mean(each, axis=0), rtol=1e-6, atol=1e-6)


def test_a_margin_is_the_difference_of_two_scores():
    a, b, both = (explain(linear(), X, "saliency", target=t).values for t in (0, 1, Margin(0, 1)))
    assert_allclose(both, a - b, rtol=1e-6)


@pytest.mark.parametrize("method", GRADIENT)
def test_a_batch_equals_its_rows(method):
    net = golden()
    batch = explain(net, X, method, target=0, seed=3)
    for i, row in enumerate(X):
        assert_allclose(explain(net, row, method, target=0, seed=3).values[0], batch.values[i], rtol=1e-6)


def test_targets_may_differ_from_sample_to_sample():
    result = explain(linear(), X, "saliency", target=[0, 1])
    assert_allclose(result.values, W.T, rtol=1e-6)
    assert result.target == (0, 1)


def test_calls_are_counted():
    net = golden()
    explain(net, X, "saliency", target=0)  # the first call looks at the shape of the output
    net.rows = net.pulled = 0
    result = explain(net, X, "integrated-gradients", target=0, steps=10)
    assert result.origin.model_calls == net.rows + net.pulled


@pytest.mark.parametrize("method", ["saliency", "gradient-x-input"])
def test_one_pass_gives_the_gradient_the_score_and_the_prediction(method):
    net = golden()
    expected = net.run(X).output
    explain(net, X, method, target=0)
    net.rows = net.pulled = 0
    result = explain(net, X, method, target=0)
    assert (net.rows, net.pulled, result.origin.model_calls) == (0, len(X), len(X))
    assert_array_equal(result.prediction, expected)
    assert_allclose(result.quality["score"], expected[:, 0], rtol=1e-6)


@pytest.mark.parametrize("framework", ADAPTERS)
@pytest.mark.parametrize(
    ("method", "others"), [("smooth-grad", {"samples": 9}), ("integrated-gradients", {"steps": 8})]
)
def test_one_pass_gives_the_score_and_the_prediction(method, others, framework):
    model, x = image_pair(framework)
    e = explain(model, x, method, target=1, **others)
    expected, logits = (model.run(e.x, score=s).output for s in ("output", "logit"))
    assert_allclose(e.prediction, expected, rtol=1e-6)
    assert_allclose(e.quality["score"], logits[:, 1], rtol=1e-6)
    assert e.origin.model_calls == len(x) * (9 + 1)  # nine noisy copies; eight steps and the baseline


def test_the_model_is_run_where_the_target_is_the_predicted_class():
    net = Analytic(W, (5.0, -5.0), outputs=Classes(("a", "b"), "logits"))
    explain(net, X, "saliency", target=0)
    net.rows = net.pulled = 0
    result = explain(net, X, "saliency", target=[0, None])
    assert (net.rows, net.pulled) == (len(X), len(X))
    assert result.target == (0, int(result.prediction[1].argmax()))


def test_a_model_that_can_only_run_is_told_what_can_serve_it():
    model = wrap(lambda a: a.sum(1), inputs=Array((3,)))
    with pytest.raises(NotSupported, match=r"has no gradients; use .*occlusion"):
        explain(model, X, "saliency")


def test_grad_cam_refuses_a_model_without_maps():
    with pytest.raises(NotSupported, match="no layer with channels over space"):
        explain(linear(), X, "grad-cam", target=0)


@pytest.mark.parametrize(
    ("method", "wrong", "message"),
    [
        ("smooth-grad", {"samples": "many"}, "takes int for samples, not 'many'"),
        ("smooth-grad", {"samples": True}, "takes int for samples, not True"),
        ("smooth-grad", {"noise": "0.1"}, "takes float for noise"),
        ("grad-cam", {"layer": 3}, r"takes str \| None for layer, not 3"),
        ("grad-cam", {"relu": 1}, "takes bool for relu, not 1"),
    ],
)
def test_a_parameter_of_another_type_is_refused(method, wrong, message):
    with pytest.raises(ParameterError, match=message):
        explain(linear(), X, method, target=0, **wrong)


def test_whole_numbers_serve_as_floats():
    assert explain(linear(), X, "smooth-grad", target=0, samples=np.int64(2), noise=1).values.shape == X.shape


@pytest.mark.parametrize("seed", [-1, 1.5, None, True, 2**32])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ParameterError, match="the seed is a whole number"):
        explain(linear(), X, "saliency", target=0, seed=seed)


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnknownName, match="did you mean 'saliency'"):
        explain(linear(), X, "salience", target=0)
    with pytest.raises(ParameterError, match="no parameter 'step'; did you mean 'steps'"):
        explain(linear(), X, "integrated-gradients", target=0, step=3)
    with pytest.raises(TargetError, match="choose one as target: 0, 1"):
        explain(linear(), X, "saliency")


def test_a_saturated_probability_is_taken_from_the_logits():
    """Of p = 1 - 1e-9 float32 says 1: occlusion of a confident network would be all zeros."""
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Softmax(1))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[10.0, 10.0], [0.0, 0.0]]))
        net[0].bias.zero_()
    model = wrap(net, inputs=Array((2,)), outputs=Classes(["a", "b"]))
    x = np.array([1.0, 1.5])
    result = explain(model, x, "occlusion", target="a")
    exact = 1 / (1 + np.exp(-25)) - np.array([1 / (1 + np.exp(-15)), 1 / (1 + np.exp(-10))])
    assert_allclose(result.values[0], exact, rtol=1e-4)
    assert_allclose(result.quality["score"], 1 / (1 + np.exp(-25)), rtol=1e-12)


def test_arithmetic_that_only_looks_like_a_softmax_keeps_its_own_probabilities():
    torch = pytest.importorskip("torch")

    class Own(torch.nn.Module):
        def forward(self, x):
            e = torch.exp(x)
            return e / e.sum(1, keepdim=True)

    model = wrap(Own(), inputs=Array((2,)), outputs=Classes(["a", "b"], "softmax"))
    result = explain(model, [1.0, 0.0], "occlusion", target="a", baseline=0)
    assert_allclose(result.values[0], [1 / (1 + np.exp(-1)) - 0.5, 0], atol=1e-6)


@pytest.mark.parametrize("framework", ADAPTERS)
def test_a_tolerance_takes_more_steps_where_the_sum_is_missed(framework: str) -> None:
    model, x = image_pair(framework)
    few = explain(model, x, "integrated-gradients", 1, steps=1)
    fine = explain(model, x, "integrated-gradients", 1, steps=1, tolerance=0.002)
    assert few.quality["completeness_gap_relative"].max() > 0.002
    assert fine.quality["completeness_gap_relative"].max() <= 0.002
    assert fine.quality["steps"].min() > 1
    alone = [explain(model, row, "integrated-gradients", 1, steps=1, tolerance=0.002) for row in x]
    assert_allclose(fine.values, np.concatenate([a.values for a in alone]), rtol=1e-4, atol=1e-6)
    assert_array_equal(fine.quality["steps"], [a.quality["steps"][0] for a in alone])
    assert "steps" not in few.quality


def test_a_baseline_that_all_samples_share_is_asked_for_once() -> None:
    model, x = image_pair("torch")
    shared = explain(model, x, "integrated-gradients", 1, steps=5, baseline=0)
    own = explain(model, x, "integrated-gradients", 1, steps=5, baseline="mean")
    assert (shared.origin.model_calls, own.origin.model_calls) == (3 * 5 + 3 + 1, 3 * 5 + 3 + 3)
    alone = [explain(model, row, "integrated-gradients", 1, steps=5, baseline=0) for row in x]
    for key in ("completeness_gap", "score"):
        assert_allclose(shared.quality[key], [a.quality[key][0] for a in alone], atol=1e-6)


@pytest.mark.parametrize("method", ["integrated-gradients", "gradient-shap"])
@pytest.mark.parametrize(("steps", "passes"), [(20, 0), (64, 1)])
def test_the_ends_of_a_path_are_run_beside_its_gradients_where_they_fit(method, steps, passes, monkeypatch):
    model, pictures = image_pair("torch")
    names = ("steps", "baseline") if method == "integrated-gradients" else ("samples", "background")
    of = {**dict(zip(names, (steps, 0.0), strict=True)), "target": 0, "score": "logit"}
    explain(model, pictures[0], method, **of)
    monkeypatch.setattr(type(model), "batch_size", 128)
    ran = []
    run = type(model)._forward
    monkeypatch.setattr(type(model), "_forward", lambda self, x, *rest: ran.append(len(x)) or run(self, x, *rest))
    result = explain(model, pictures[0], method, **of)
    assert len(ran) == passes
    f = model.run(np.concatenate([result.x, np.zeros_like(result.x)]), score="logit").output[:, 0].astype(np.float64)
    gap = abs(result.values.sum(dtype=np.float64) - (f[0] - f[1]))
    assert_allclose(result.quality["completeness_gap"], gap, atol=1e-6)  # f in float32
    assert_allclose(result.quality["score"], f[0], atol=1e-6)
    assert result.origin.model_calls == steps + 2
