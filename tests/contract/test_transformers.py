"""What every method promises, on a vision transformer and a text transformer in both frameworks."""

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk
from tests.contract.nets import state_of
from tests.contract.transformers import samples, wrapped
from xaikit.arrays import agreement
from xaikit.attribution import methods
from xaikit.attribution._families import FAMILIES
from xaikit.errors import NotSupported
from xaikit.perturb.memory import MEMORY

pytestmark = pytest.mark.slow

KINDS = ("vit", "text")
STYLES = (("torch", "functional"), ("keras", "functional"), ("keras", "subclassed"))
REFUSED = {
    **{(m, "text"): "token channels form no map" for m in ("grad-cam", "grad-cam-plus-plus", "layer-cam", "score-cam")},
    ("guided-grad-cam", "text"): "token channels form no map",
    **{(m, k): "no rule for attention" for m in ("deep-lift", "deep-shap", "lrp") for k in KINDS},
    **{(m, k): "no ReLU to rectify" for m in ("guided-backprop", "deconvnet") for k in KINDS},
    ("guided-grad-cam", "vit"): "no ReLU to rectify",
    ("rise", "text"): "nothing lies between two words",
    **{(m, "vit"): "a picture has no order of steps" for m in FAMILIES["step by step"]},
}
"""What cannot be served, and why; these must be refused, never answered by something else."""
CASES = [(m, k) for m, k in itertools.product(methods, KINDS) if (m, k) not in REFUSED]
COMPLETE = {"integrated-gradients", "kernel-shap", "exact-shapley", "permutation-shap", "partition-shap"}
FEW: dict[str, dict[str, dict[str, Any]]] = {
    "vit": {
        "lime": {"samples": 100, "segments": "grid"},
        "kernel-shap": {"samples": 100, "segments": 9},
        "permutation-shap": {"samples": 34, "segments": 9},
        "exact-shapley": {"segments": 6},
        "occlusion": {"window": 4},
        "smooth-grad": {"samples": 5},
    },
    "text": {"lime": {"samples": 100}, "smooth-grad": {"samples": 5}},
}


def explained(kind: str, framework: str, style: str, method: str, x: Any = None, seed: int = 5) -> Any:
    model = wrapped(kind, framework, style)
    return xk.explain(
        model, samples(kind) if x is None else x, method, target="b", seed=seed, **FEW[kind].get(method, {})
    )


@cache
def known(kind: str, framework: str, method: str) -> Any:
    return explained(kind, framework, "functional", method)


@pytest.mark.parametrize("kind", KINDS)
def test_the_networks_are_one(kind: str) -> None:
    models = [wrapped(kind, *style) for style in STYLES]
    x = models[0].inputs.encode(samples(kind))
    outputs = [m.run(x).output for m in models]
    attentions = [[n for n, layer in m.layers.items() if layer.kind == "attention_weights"] for m in models]
    for output in outputs[1:]:
        assert_allclose(output, outputs[0], atol=1e-5)
    assert [len(a) for a in attentions] == [2, 2, 2]
    for names in zip(*attentions, strict=True):
        weights = [m.run(x, at=[n]).activations[n] for m, n in zip(models, names, strict=True)]
        assert_allclose(weights[1], weights[0], atol=1e-6)
        assert_allclose(weights[2], weights[0], atol=1e-6)


@pytest.mark.parametrize(("method", "kind"), CASES)
def test_torch_equals_keras(method: str, kind: str) -> None:
    a, b = known(kind, "torch", method), known(kind, "keras", method)
    assert agreement(a.values, b.values).max() <= 1e-4
    assert a.axes == b.axes
    assert np.abs(a.values).max() > 0


@pytest.mark.parametrize(("method", "kind"), CASES)
@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_a_batch_equals_its_rows(method: str, kind: str, framework: str) -> None:
    batch = known(kind, framework, method)
    MEMORY.clear()  # or the sample alone would read the answers that the batch had
    alone = explained(kind, framework, "functional", method, samples(kind)[1])
    assert agreement(batch.values[1:2], alone.values).max() <= 1e-5


@pytest.mark.parametrize(("method", "kind"), CASES)
@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_nothing_is_left_behind(method: str, kind: str, framework: str) -> None:
    known(kind, framework, method)
    model = wrapped(kind, framework)
    before = state_of(model)
    MEMORY.clear()
    explained(kind, framework, "functional", method)
    assert state_of(model) == before


@pytest.mark.parametrize(("method", "kind"), [c for c in CASES if c[0] in COMPLETE])
@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_complete_methods_sum_to_the_rise(method: str, kind: str, framework: str) -> None:
    result = known(kind, framework, method)
    assert (result.quality["completeness_gap_relative"] <= 0.01).all()


@pytest.mark.parametrize(("method", "kind"), [c for c in CASES if methods[c[0]].stochastic])
def test_the_seed_decides(method: str, kind: str) -> None:
    if kind == "text" and method == "kernel-shap":
        pytest.skip("all coalitions of six words are asked: nothing is left to chance")
    again, other = (explained(kind, "torch", "functional", method, seed=s) for s in (5, 6))
    assert agreement(known(kind, "torch", method).values, again.values).max() <= 1e-6
    if method in ("permutation-shap", "partition-shap") and kind == "text":
        return  # few words: it may be exact
    assert agreement(again.values, other.values).max() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_a_subclassed_model_is_explained_alike(kind: str) -> None:
    for method in ("saliency", "occlusion", "attention-rollout"):
        result = explained(kind, "keras", "subclassed", method)
        assert agreement(known(kind, "keras", method).values, result.values).max() <= 1e-5


@pytest.mark.parametrize(("method", "kind"), [c for c in REFUSED if c[0] in methods])
@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_what_cannot_be_served_is_refused(method: str, kind: str, framework: str) -> None:
    with pytest.raises(NotSupported, match=r"use |embeds"):
        explained(kind, framework, "functional", method)


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_padded_steps_get_nothing(framework: str) -> None:
    padded = wrapped("text", framework).inputs.encode(samples("text")) == 0
    for method, kind in CASES:
        if kind == "text":
            assert (known(kind, framework, method).values[padded] == 0).all(), method
