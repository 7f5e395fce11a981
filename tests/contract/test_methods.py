"""What every method promises, over every adapter: a new method joins by being registered."""

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import ADAPTERS, IMAGE, TABULAR, image_pair, linear_net, state_of
from xaikit.arrays import agreement
from xaikit.attribution import methods
from xaikit.errors import NotSupported, XaikitError
from xaikit.perturb.memory import MEMORY

ELSEWHERE = {
    "attention-rollout",  # needs attention: test_transformers.py
    "sequential-integrated-gradients",  # these need an order of steps: test_sequences.py
    "temporal-integrated-gradients",
    "temporal-saliency-rescaling",
}
METHODS = [m for m in methods if m not in ELSEWHERE]
CASES = list(itertools.product(METHODS, ADAPTERS))
COMPLETE = {
    "integrated-gradients",
    "kernel-shap",
    "exact-shapley",
    "permutation-shap",
    "partition-shap",
    "gradient-shap",
    "deep-lift",
    "deep-shap",
}
EXACT = COMPLETE | {"gradient-x-input", "occlusion", "lrp"}
"""Methods that give weight · (input - baseline) for a linear score."""
STOCHASTIC = [m for m in METHODS if methods[m].stochastic]
FEW: dict[str, dict[str, Any]] = {
    "lime": {"samples": 200, "segments": "grid"},
    "kernel-shap": {"samples": 100, "segments": 9},
    "exact-shapley": {"segments": 6},
    "permutation-shap": {"samples": 34, "segments": 9},
    "partition-shap": {"samples": 60, "segments": 9},
    "gradient-shap": {"samples": 100},
    "occlusion": {"window": 4},
    "smooth-grad": {"samples": 5},
    "rise": {"samples": 200},
}
"""Parameters that keep the suite short on pictures."""


def needs_map(method: str) -> bool:
    return "cam" in method


def needs_relu(method: str) -> bool:
    return any(need.startswith("rule:") for need in methods[method].needs)


@pytest.mark.parametrize(("method", "framework"), CASES)
def test_a_linear_model_has_its_closed_form(method: str, framework: str) -> None:
    if needs_map(method):
        pytest.skip("a linear model has no map of channels")
    model, weights = linear_net(framework)
    x = np.array([[1.0, 2.0, 3.0, -1.0], [0.5, -2.0, 1.0, 4.0]], np.float32)
    if needs_relu(method):  # the plain gradient is never given under another name
        with pytest.raises(NotSupported, match=r"has no ReLU.*saliency"):
            xk.explain(model, x, method, target=1)
        return
    values = xk.explain(model, x, method, target=1, seed=0).values
    expected = weights[:, 1] * x if method in EXACT else np.broadcast_to(weights[:, 1], x.shape)
    if method == "lime":  # ridge shrinks by alpha / (alpha + the weighted number of coalitions)
        expected = weights[:, 1] * x
        assert_allclose(values, expected, rtol=0.05, atol=0.05)
    elif method == "rise":  # E[f | shown] - E[f] = (1 - p) weight · x; four standard errors of 4000 masks
        assert_allclose(values, weights[:, 1] * x / 2, atol=4 * 2 * np.abs(weights[:, 1] * x).sum(1).max() / 4000**0.5)
    else:
        assert_allclose(values, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("method", "framework"), CASES)
def test_a_batch_equals_its_rows(method: str, framework: str) -> None:
    model, x = image_pair(framework)
    batch = xk.explain(model, x, method, target=2, seed=5, **FEW.get(method, {}))
    MEMORY.clear()  # or the samples alone would read the answers that the batch had
    alone = [xk.explain(model, row, method, target=2, seed=5, **FEW.get(method, {})) for row in x]
    assert agreement(batch.values, np.concatenate([a.values for a in alone])).max() <= 1e-5


@pytest.mark.parametrize(("method", "framework"), [*itertools.product(STOCHASTIC, ADAPTERS)])
def test_the_seed_decides(method: str, framework: str) -> None:
    model, x = image_pair(framework)
    parameters = {**FEW.get(method, {}), **({"samples": 60} if "samples" in methods[method].parameters() else {})}
    one, same, other = (xk.explain(model, x[0], method, target=2, seed=s, **parameters).values for s in (1, 1, 2))
    assert agreement(one, same).max() <= 1e-6
    assert agreement(one, other).max() > 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_torch_equals_keras(method: str) -> None:
    pairs = [image_pair(framework) for framework in ("torch", "keras")]
    a, b = (xk.explain(m, x, method, target=2, seed=5, **FEW.get(method, {})) for m, x in pairs)
    assert agreement(a.values, b.values).max() <= 1e-4
    assert_allclose(a.prediction, b.prediction, atol=1e-5)
    assert a.target == b.target
    assert a.axes == b.axes


@pytest.mark.parametrize(("method", "framework"), [*itertools.product(sorted(COMPLETE), ADAPTERS)])
def test_complete_methods_sum_to_the_rise(method: str, framework: str) -> None:
    model, x = image_pair(framework)
    result = xk.explain(model, x, method, target=2, **FEW.get(method, {}))
    assert (result.quality["completeness_gap_relative"] <= 0.01).all()
    parts = result.values if result.part_values is None else result.part_values
    assert np.isfinite(np.nansum(parts.reshape(len(x), -1), axis=1)).all()


@pytest.mark.parametrize(("method", "framework"), CASES)
def test_nothing_is_left_behind(method: str, framework: str) -> None:
    model, x = image_pair(framework)
    given = x.copy()
    xk.explain(model, x, method, target=2, **FEW.get(method, {}))  # so that what is traced once is traced
    before = state_of(model)
    xk.explain(model, x, method, target=2, **FEW.get(method, {}))
    with pytest.raises(XaikitError):
        xk.explain(model, x, method, target="no such class")
    assert state_of(model) == before
    assert_array_equal(x, given)


@pytest.mark.parametrize("method", METHODS)
def test_stored_and_read_back_equal(method: str, tmp_path: Any) -> None:
    model, x = image_pair("torch")
    result = xk.explain(model, x, method, target=2, **FEW.get(method, {}))
    back = xk.load(xk.save(result, tmp_path / "result"))
    assert_array_equal(back.values, result.values)
    assert_array_equal(back.x, result.x)
    assert_array_equal(back.display, result.display)
    assert (back.axes, back.target, back.target_labels, back.layer) == (
        result.axes,
        result.target,
        result.target_labels,
        result.layer,
    )
    assert (back.status, back.status.reasons) == (result.status, result.status.reasons)
    assert back.input_spec == result.input_spec
    assert back.output_spec == result.output_spec
    assert dict(back.origin.versions) == dict(result.origin.versions)
    assert back.origin.parameters.keys() == result.origin.parameters.keys()
    for key, value in result.quality.items():
        assert_array_equal(back.quality[key], value)


@pytest.mark.parametrize("method", METHODS)
def test_a_figure_from_the_stored_result_alone(method: str, tmp_path: Any) -> None:
    model, x = image_pair("torch")
    path = xk.save(xk.explain(model, x[0], method, target=2, **FEW.get(method, {})), tmp_path / "result")
    figure = xk.plot(xk.load(path))
    assert "2" in str(figure.to_dict())
    assert len(figure.data) > 0


@pytest.mark.parametrize("method", METHODS)
def test_every_result_carries_its_evidence(method: str) -> None:
    model, x = image_pair("torch")
    result = xk.explain(model, x, method, target=2, seed=4, **FEW.get(method, {}))
    assert result.status in ("ok", "warn", "fail")
    assert result.origin.seed == 4
    assert result.origin.model_calls > 0
    assert result.origin.fingerprint == model.fingerprint()
    assert len(result.origin.input_hash) == len(x)
    assert result.values.shape[0] == len(x)
    assert len(result.axes) == result.values.ndim


@pytest.mark.parametrize("method", METHODS)
def test_declared_needs_suffice(method: str) -> None:
    """A method that says it only runs the model explains a plain function."""
    if methods[method].needs != {"run"}:
        pytest.skip("needs gradients")
    model, x = image_pair("torch")
    function = xk.wrap(lambda a: model.run(a).output, inputs=IMAGE, outputs=model.outputs)
    a, b = (xk.explain(m, x, method, target=2, **FEW.get(method, {})).values for m in (model, function))
    assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_names_its_source_and_parameters(method: str) -> None:
    cls = methods[method]
    assert cls.__doc__
    assert "Source:" in cls.__doc__
    assert all(p.help for p in cls.parameters().values())


def test_tables_are_explained_by_column() -> None:
    for framework in ADAPTERS:
        model, _ = linear_net(framework, TABULAR)
        row = {"age": 40.0, "job": "clerk"}
        for method in ("integrated-gradients", "kernel-shap", "occlusion", "exact-shapley", "lime", "saliency"):
            result = xk.explain(model, row, method, target=1)
            assert result.values.shape == (1, 2), method
            assert result.axes == ("sample", "column")
