"""Every method on networks with several inputs or outputs, on regions of pixels, and on reconstruction errors."""

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.cases import some
from tests.contract.nets import ADAPTERS
from tests.contract.odd import OUTPUTS, answering, autoencoder, named, numbers, pairs, pictures, two_inputs
from xaikit.arrays import agreement, total
from xaikit.attribution import methods
from xaikit.data.shapes import draw_shapes
from xaikit.errors import NotSupported, TargetError
from xaikit.inputs import resolve

pytestmark = pytest.mark.slow

CASES = list(itertools.product(methods, ADAPTERS))
FEW: dict[str, dict[str, Any]] = {
    "lime": {"samples": 100, "segments": "grid"},
    "kernel-shap": {"samples": 60, "segments": 9},
    "permutation-shap": {"samples": 34, "segments": 9},
    "partition-shap": {"samples": 60},
    "exact-shapley": {"segments": 6},
    "occlusion": {"window": 4},
    "smooth-grad": {"samples": 5},
    "rise": {"samples": 60},
}
REFUSED = {("lrp", "mse"), ("lrp", "mae"), ("deep-lift", "mae"), ("deep-shap", "mae")}
"""Methods by layers that know no rule for an error."""
COMPLETE = {"integrated-gradients", "kernel-shap", "permutation-shap", "partition-shap", "exact-shapley"}


def few(method: str, cut: bool = True) -> dict[str, Any]:
    """Give short parameters; without those that cut pictures."""
    return {n: v for n, v in FEW.get(method, {}).items() if cut or n == "samples"}


def served(model: Any, method: str) -> None:
    """Skip what the method itself says it cannot serve, with its reason."""
    try:
        methods[method].examine(model)
    except NotSupported as error:
        pytest.skip(str(error))


@cache
def plain(framework: str, method: str) -> Any:
    return xk.explain(answering("plain", framework), pictures(), method, target="b", **few(method))


@pytest.mark.parametrize(("method", "framework"), CASES)
def test_one_of_nested_outputs_is_explained_as_if_it_were_alone(method: str, framework: str) -> None:
    model = answering("nested", framework)
    served(model, method)
    result = xk.explain(model, pictures(), method, target=xk.At(output="heads/0", index="b"), **few(method))
    assert agreement(plain(framework, method).values, result.values).max() <= 1e-5
    assert result.target_labels == ("heads/0: b", "heads/0: b")
    assert set(result.prediction) == {"heads/0", "heads/1", "state/sum"}


@pytest.mark.parametrize(("kind", "framework"), OUTPUTS)
def test_outputs_of_every_kind_are_explained(kind: str, framework: str) -> None:
    model = answering(kind, framework)
    for method in ("saliency", "integrated-gradients", "occlusion", "kernel-shap", "grad-cam"):
        target = xk.At(output=named(kind, framework), index="b")
        result = xk.explain(model, pictures(), method, target=target, **few(method))
        assert agreement(plain(framework, method).values, result.values).max() <= 1e-5, method
    with pytest.raises(TargetError, match=r"choose one with xk\.At"):
        xk.explain(model, pictures(), "saliency", target="b")
    with pytest.raises(TargetError, match="there is no output 'logit'"):
        xk.explain(model, pictures(), "saliency", target=xk.At(output="logit", index="b"))


@cache
def of_two(framework: str, method: str) -> Any:
    return xk.explain(two_inputs(framework), pairs(), method, target="b", **few(method, cut=False))


@pytest.mark.parametrize("method", methods)
def test_a_network_of_two_inputs_gives_a_map_for_each(method: str) -> None:
    served(two_inputs("torch"), method)
    if method == "exact-shapley":
        pytest.skip("the parts of both inputs are over twelve")
    a, b = (of_two(f, method) for f in ADAPTERS)
    assert set(a) == set(b)
    assert set(a) == {"photo"} if "cam" in method else set(a) == {"photo", "numbers"}
    for name in a:
        assert agreement(a[name].values, b[name].values).max() <= 1e-4
        assert a[name].axes == b[name].axes
        assert len(a[name]) == 2
    if method in COMPLETE:
        assert (a["photo"].quality["completeness_gap_relative"] <= 0.01).all()


@pytest.mark.parametrize("error", ["mse", "mae"])
@pytest.mark.parametrize("method", methods)
def test_reconstruction_errors_are_explained(method: str, error: Any) -> None:
    models = [autoencoder(f, error) for f in ADAPTERS]
    served(models[0], method)
    if (method, error) in REFUSED:
        with pytest.raises(NotSupported, match="explains outputs and mean squared errors"):
            xk.explain(models[0], numbers(), method, xk.ReconstructionError(error))
        return
    a = xk.explain(models[0], numbers(), method, xk.ReconstructionError(error), **few(method, cut=False))
    b = xk.explain(models[1], numbers(), method, xk.ReconstructionError(error), **few(method, cut=False))
    assert agreement(a.values, b.values).max() <= 1e-4
    x = models[0].inputs.encode(numbers()).astype(np.float64)
    difference = x - models[0].run(models[0].inputs.encode(numbers())).output
    expected = (difference**2 if error == "mse" else np.abs(difference)).mean(1)
    assert_allclose(a.quality["score"], expected, rtol=1e-6)
    if method in COMPLETE:
        assert (a.quality["completeness_gap_relative"] <= 0.01).all()


@pytest.mark.parametrize("error", ["mse", "mae"])
@pytest.mark.parametrize("framework", ADAPTERS)
def test_the_parts_of_an_error_are_exact_and_the_same_everywhere(framework: str, error: Any) -> None:
    """Target, explanation and anomaly detector agree on the score and on what every feature adds to it."""
    model = autoencoder(framework, error)
    x = model.inputs.encode(numbers())
    output = model.run(x).output
    scores = resolve(None, model.outputs, output)
    parts = np.concatenate([scores[i].contributions(output[i : i + 1], x[i : i + 1]) for i in range(len(x))])  # type: ignore[attr-defined]
    anomalies = xk.anomaly.fit(model, numbers(20)).score(numbers())
    assert_allclose(anomalies.contributions, parts, rtol=1e-6)
    assert_allclose(total(anomalies.contributions), anomalies.values, rtol=1e-9)
    assert_allclose(xk.explain(model, numbers(), "saliency").quality["score"], anomalies.values, rtol=1e-6)


BOX, PIXEL = (12, 12, 36, 36), (20, 24)
ON_REGIONS = ("lime", "kernel-shap", "occlusion", "saliency", "integrated-gradients", "grad-cam")
SPARSE: dict[str, dict[str, Any]] = {
    "lime": {"samples": 30, "segments": "grid", "accelerate": "none"},
    "kernel-shap": {"samples": 24, "segments": 9, "accelerate": "none"},
    "occlusion": {"window": 24, "stride": 24, "accelerate": "none"},
    "integrated-gradients": {"steps": 4},
}
"""Parameters for a network that takes its time."""


@cache
def segmenting(framework: str) -> tuple[Any, Any]:
    return xk.zoo.load("unet", framework), draw_shapes(1, seed=3)[0]


@pytest.mark.parametrize("kind", ["probability", "logit"])
@pytest.mark.parametrize("method", ["lime", "saliency", "occlusion"])
def test_a_region_is_explained_in_the_form_that_is_said(method: str, kind: str) -> None:
    torch = pytest.importorskip("torch")
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3, padding=1), torch.nn.Softmax(1))
    model = xk.wrap(net, inputs=xk.Image(12, 12, 3), outputs=xk.Masks(["sky", "sea"]))
    x = pictures(1)
    e = xk.explain(model, x, method, xk.Region("sea", box=(2, 2, 8, 8)), score=kind, **few(method))
    run = model.run(model.inputs.encode(x), score=e.origin.score).output
    assert e.origin.score == kind
    assert_allclose(e.quality["score"], run[:, 2:8, 2:8, 1].mean((1, 2)), rtol=1e-5)


@pytest.mark.parametrize("method", ON_REGIONS)
@pytest.mark.parametrize("region", some(["box", "mask", "pixel"], ["box", "mask"]))
def test_regions_of_a_segmentation_are_explained(method: str, region: str) -> None:
    found = []
    for framework in ADAPTERS:
        model, x = segmenting(framework)
        mask = np.zeros(model.inputs.shape[:2], bool)
        mask[BOX[0] : BOX[2], BOX[1] : BOX[3]] = True
        where: dict[str, Any] = {"box": {"box": BOX}, "mask": {"mask": mask}, "pixel": {"pixel": PIXEL}}[region]
        parameters = SPARSE.get(method, {})
        found.append(xk.explain(model, x, method, target=xk.Region(1, **where), **parameters))
        run = model.run(model.inputs.encode(x), score=found[-1].origin.score).output[0, ..., 1]
        expected = run[PIXEL] if region == "pixel" else run[mask].mean()
        assert_allclose(found[-1].quality["score"], expected, rtol=1e-4, atol=1e-6)
    assert np.abs(found[0].values).max() > 0
    assert agreement(found[0].values, found[1].values).max() <= 2e-3  # ReLUs and poolings that decide otherwise
    assert_array_equal(found[0].values.shape[:3], found[1].values.shape[:3])
