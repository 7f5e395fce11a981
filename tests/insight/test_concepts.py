"""Concepts that were planted in networks are found, random ones are not, and both frameworks agree."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

import xaikit as xk
from tests.contract.nets import ADAPTERS, IMAGE
from tests.contract.transformers import wrapped
from xaikit.errors import InputError, NotSupported, ParameterError, UnknownName


def kernel() -> Any:
    """Eight filters: the first one sees red, the second one vertical edges, the others anything."""
    k = 0.3 * np.random.default_rng(3).normal(size=(3, 3, 3, 8))
    k[..., :2] = 0
    k[1, 1, :, 0] = (1, -0.5, -0.5)
    k[:, :, :, 1] = np.array([-1, 2, -1])[None, :, None] / 9
    return k.astype(np.float32)


HEAD = np.zeros((8, 3), np.float32)
HEAD[0, :2] = (1, -1)  # red speaks for the first class and against the second
HEAD[1, 2] = 1  # stripes for the third


@cache
def planted(framework: str) -> Any:
    """Give the wrapped network conv -> ReLU -> mean -> dense, three classes by logits."""
    if framework == "torch":
        import torch
        from torch import nn

        net: Any = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
        with torch.no_grad():
            net[0].weight.copy_(torch.tensor(kernel().transpose(3, 2, 0, 1)))
            net[4].weight.copy_(torch.tensor(HEAD.T))
            net[0].bias.zero_()
            net[4].bias.zero_()
    else:
        import keras

        layers = keras.layers
        net = keras.Sequential(
            [
                layers.Input((12, 12, 3)),
                layers.Conv2D(8, 3, name="0"),
                layers.ReLU(name="1"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(3),
            ]
        )
        net.get_layer("0").set_weights([kernel(), np.zeros(8)])
        net.layers[-1].set_weights([HEAD, np.zeros(3)])
    return xk.wrap(net, inputs=IMAGE, outputs=xk.Classes(["red", "blue", "striped"], form="logits"), name="planted")


def noise(count: int, seed: int) -> Any:
    return np.random.default_rng(seed).integers(40, 160, (count, 12, 12, 3)).astype(np.uint8)


def red(count: int, seed: int) -> Any:
    pictures = noise(count, seed)
    pictures[..., 0] += 80
    return pictures


def striped(count: int, seed: int) -> Any:
    pictures = noise(count, seed)
    pictures[:, :, ::3] += 90
    return pictures


@cache
def found(framework: str, target: str, seed: int = 0) -> Any:
    known = {"red": red(30, 1), "stripes": striped(30, 2), "nothing": noise(30, 3)}
    layer = "1" if target == "striped" else "0"  # only what has passed the ReLU sums to more where there are stripes
    return xk.concepts(planted(framework), noise(20, 9), known, noise(200, 4), layer, target, seed=seed)


@pytest.mark.parametrize("framework", ADAPTERS)
def test_a_planted_concept_is_found_and_a_random_one_is_not(framework: str) -> None:
    for target, score in (("red", 1.0), ("blue", 0.0)):
        result = found(framework, target)
        assert_allclose(result["red"], score, atol=0.02)
        assert result.p_values[0] < 0.05
        assert result.p_values[2] > 0.05
        assert result.significant.tolist()[::2] == [True, False]
        assert 0.2 < result.random_runs.mean() < 0.8
    stripes = found(framework, "striped")
    assert stripes["stripes"] > 0.98
    assert stripes.p_values[1] < 0.05
    assert stripes.p_values[2] > 0.05


@pytest.mark.parametrize("framework", ADAPTERS)
def test_what_is_in_the_layer_is_told_apart_and_chance_is_not(framework: str) -> None:
    result = found(framework, "red")
    assert (result.accuracies[:2] > 0.95).all()
    assert 0.35 < result.accuracies[2].mean() < 0.65
    assert 0.35 < result.random_accuracies.mean() < 0.65
    assert result.status == "warn"
    assert any("nothing is told from random samples" in reason for reason in result.status.reasons)


def test_the_frameworks_agree() -> None:
    a, b = (found(f, "red") for f in ADAPTERS)
    gaps = np.abs(a.sensitivities - b.sensitivities).max(0)  # by sample: a pooling may decide otherwise for one
    assert (gaps > 1e-5 * np.abs(a.sensitivities).max()).mean() <= 0.1
    assert_allclose(a.vectors, b.vectors, atol=1e-4 * np.abs(a.vectors).max())
    assert_allclose(a.runs, b.runs, atol=0.1)
    assert_array_equal(a.p_values < 0.05, b.p_values < 0.05)


def test_sensitivity_is_the_slope_of_the_score_along_the_vector() -> None:
    model, result = planted("torch"), found("torch", "red")
    x = model.inputs.encode(noise(20, 9))
    values = model.run(x, at=["0"]).activations["0"]
    step = 1e-3 * result.vectors[0][None]
    ends = [model.run(x, patch={"0": values + s * step}).output[:, 0].astype(np.float64) for s in (1, -1)]
    assert_allclose((ends[0] - ends[1]) / 2e-3, result.sensitivities[0], rtol=0.02)


def test_the_test_is_welchs_with_the_variance_of_runs_that_share_samples() -> None:
    result = found("torch", "striped")
    assert result.random_runs.shape == (50,)
    for k in range(3):
        variances = []
        for runs, of in ((result.runs[k], 30), (result.random_runs, 200)):
            shared = (15 / of + 15 / 200) / 2  # sets of fifteen: half of a concept's thirty
            variances.append(runs.var(ddof=1) * (1 / len(runs) + shared / (1 - shared)))
        freedom = sum(variances) ** 2 / (variances[0] ** 2 / 9 + variances[1] ** 2 / 49)
        statistic = (result.runs[k].mean() - result.random_runs.mean()) / np.sqrt(sum(variances))
        assert_allclose(result.p_values[k], min(1.0, 3 * 2 * stats.t.sf(abs(statistic), freedom)))


def test_without_shared_samples_it_is_welchs_own() -> None:
    from xaikit.insight._concepts import _p_value

    a, b = np.random.default_rng(0).normal(size=(2, 12))
    assert_allclose(_p_value(a, 0.0, b[:9], 0.0), stats.ttest_ind(a, b[:9], equal_var=False).pvalue)
    assert _p_value(np.ones(3), 0.1, np.ones(4), 0.1) == 1.0
    assert _p_value(np.ones(3), 0.1, np.zeros(4), 0.1) == 0.0


def test_the_seed_decides_and_a_concept_does_not_hang_on_others() -> None:
    first = found("torch", "striped")
    again = xk.concepts(
        planted("torch"), noise(20, 9), {"stripes": striped(30, 2)}, noise(200, 4), "1", "striped", seed=0
    )
    assert_array_equal(again.runs[0], first.runs[1])
    assert_array_equal(again.random_runs, first.random_runs)
    assert (found("torch", "striped", 1).random_runs != first.random_runs).any()


@pytest.mark.slow
def test_random_concepts_are_seldom_significant() -> None:
    for seed in range(4):
        known = {str(k): noise(30, 100 + k) for k in range(30)}
        result = xk.concepts(planted("torch"), noise(20, 9), known, noise(200, 4), "0", "red", seed=seed)
        assert result.significant.sum() <= 1
        assert (result.p_values < 1).sum() <= 6  # p under 1/30 before Bonferroni's factor: one is expected


def test_the_layer_of_grad_cam_is_the_default_and_text_is_served() -> None:
    by_default = xk.concepts(planted("torch"), noise(5, 9), {"red": red(12, 1)}, noise(24, 4), target="red", runs=3)
    assert by_default.layer == xk.explain(planted("torch"), noise(1, 9), "grad-cam", target="red").layer
    model = wrapped("text", "torch")
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(["film", "plot", "a", "the", "was", "bad"], 5)) for _ in range(24)]
    praise = [f"{t} good" for t in texts[:16]]
    result = xk.concepts(model, texts[:4], {"praise": praise}, texts, "embed", "a", runs=3)
    assert result.vectors.shape == (1, 6, 12)
    assert result.accuracies.mean() > 0.8


def test_what_is_asked_is_checked() -> None:
    model, x = planted("torch"), noise(3, 9)
    with pytest.raises(ParameterError, match="'red' has 11"):
        xk.concepts(model, x, {"red": red(11, 1)}, noise(30, 4), "0")
    with pytest.raises(ParameterError, match="random pool has 11"):
        xk.concepts(model, x, {"red": red(12, 1)}, noise(11, 4), "0")
    with pytest.raises(UnknownName, match="layer of planted"):
        xk.concepts(model, x, {"red": red(12, 1)}, noise(30, 4), "conv")
    with pytest.raises(InputError, match="name of every concept"):
        xk.concepts(model, x, red(12, 1), noise(30, 4), "0")
    with pytest.raises(ParameterError, match="runs"):
        xk.concepts(model, x, {"red": red(12, 1)}, noise(30, 4), "0", runs=1)
    function = xk.wrap(lambda a: a.mean((1, 2)), inputs=IMAGE)
    with pytest.raises(NotSupported, match="no gradients"):
        xk.concepts(function, x, {"red": red(12, 1)}, noise(30, 4), "0")


def test_stored_drawn_and_told(tmp_path: Any) -> None:
    result = found("torch", "red")
    back = xk.load(xk.save(result, tmp_path / "c"))
    for name in ("scores", "runs", "accuracies", "p_values", "random_runs", "sensitivities", "vectors"):
        assert_array_equal(getattr(back, name), getattr(result, name))
    assert repr(back) == repr(result)
    assert "red 1.00*" in repr(result)
    figure = str(xk.plot(back).to_dict())
    assert "red *" in figure
    assert "random sets" in figure
