"""Recovery of a known truth: white boxes, closed forms of the areas, and the published numbers for text."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk
from xaikit.errors import ParameterError
from xaikit.perturb.solvers import weights_of


def arma(count: int, seed: int) -> Any:
    """Draw series of an autoregressive moving average process: x_t = ¼ x_{t-1} + ½ ε_t + ½ ε_{t-1}."""
    noise = np.random.default_rng(seed).normal(size=(51, count))
    x = np.zeros((51, count))
    for t in range(1, 51):
        x[t] = 0.25 * x[t - 1] + 0.5 * (noise[t] + noise[t - 1])
    return x[1:]


X = arma(50, 0).astype(np.float32)
FEATURES, TIMES = np.zeros((50, 50), bool), np.zeros((50, 50), bool)
FEATURES[12:37, [3, 11, 20, 33, 41]] = True
TIMES[[5, 17, 18, 30, 44], 12:37] = True


def white_box(salient: Any) -> Any:
    """Wrap f = Σ x² over what is salient, with its gradient in torch."""
    torch = pytest.importorskip("torch")

    class Box(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return (x**2 * torch.tensor(salient)).sum((1, 2))[:, None]

    return xk.wrap(Box(), inputs=xk.Series(50, 50), outputs=xk.Values(["y"]), layout="channels-last")


@pytest.mark.parametrize("salient", [FEATURES, TIMES], ids=["rare features", "rare times"])
@pytest.mark.parametrize(
    ("method", "how"),
    [
        ("integrated-gradients", {"steps": 4}),
        ("occlusion", {"window": (1, 1), "stride": (1, 1)}),
        ("sequential-integrated-gradients", {"steps": 3}),
        ("temporal-integrated-gradients", {"steps": 3}),
    ],
)
def test_a_white_box_is_found_with_full_precision(salient: Any, method: str, how: Any) -> None:
    e = xk.explain(white_box(salient), X, method, **how)
    assert_allclose(e.values[0], X**2 * salient, atol=1e-4)  # a difference of sums of about 100 in float32
    exact = xk.explain(white_box(salient), X, "gradient-x-input")  # 2 x²: the same order, without a rounding
    found = xk.recovery(exact, salient)
    assert found.aup[0] == 1.0
    size = (X**2 * salient)[salient] / (X**2 * salient).max()
    assert_allclose(found.aur[0], size.mean(), rtol=1e-5)  # ∫ of the share that is at least τ is the mean
    assert 0.05 < found.aur[0] < 0.25  # 0.13 is published for such series
    assert_allclose((found.auroc[0], found.auprc[0]), 1.0)
    assert xk.recovery(e, salient).aup[0] > 0.999


def explained(values: Any) -> Any:
    """Give an attribution with these values (sample, step)."""
    values = np.asarray(values, np.float64)
    model = xk.wrap(lambda a: a.sum((1, 2))[:, None], inputs=xk.Series(values.shape[1], 1), outputs=xk.Values(["y"]))
    import dataclasses

    e = xk.explain(model, np.ones((*values.shape, 1)), "occlusion", window=1)
    return dataclasses.replace(e, values=values)


def test_areas_by_hand() -> None:
    """Sizes 0, 0.5, 1 of which the first and the last matter: precision 2/3, 1/2, 1 at levels 0, ½, 1."""
    found = xk.recovery(explained([[0.0, -5.0, 10.0]]), [True, False, True])
    assert_allclose(found.aup, 0.5 * 0.5 + 0.5 * 1)
    assert_allclose(found.aur, 0.5 * 0.5 + 0.5 * 0.5)
    assert_allclose(found.auroc, 0.5)  # of the pairs (10, 5), (0, 5) one is right
    assert_allclose(found.auprc, 0.5 * 1 + 0.5 * 2 / 3)
    assert_allclose(found.prevalence, 2 / 3)
    assert found.status == "fail"


def test_chance_and_ties() -> None:
    rng = np.random.default_rng(0)
    known = rng.random((3, 400)) < 0.2
    by_chance = xk.recovery(explained(rng.normal(size=(3, 400))), known)
    assert_allclose(by_chance.auroc, 0.5, atol=0.12)  # three standard errors of about 0.036
    even = xk.recovery(explained(np.ones((3, 400))), known)
    assert np.isnan(even.aup).all()
    assert_allclose(even.aur, 0)
    assert_allclose(even.auroc, 0.5)
    assert_allclose(even.auprc, known.mean(1))


def test_it_agrees_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    values, known = np.round(rng.normal(size=(2, 60)), 1), rng.random((2, 60)) < 0.3
    found = xk.recovery(explained(values), known)
    for i in range(2):
        assert_allclose(found.auroc[i], metrics.roc_auc_score(known[i], np.abs(values[i])), rtol=1e-12)
        assert_allclose(found.auprc[i], metrics.average_precision_score(known[i], np.abs(values[i])), rtol=1e-12)


def test_it_is_stored_and_shown(tmp_path: Any) -> None:
    found = xk.recovery(explained([[0.0, 1.0, 10.0], [3.0, 1.0, 2.0]]), [False, True, True])
    back = xk.load(xk.save(found, tmp_path / "recovery"))
    assert_allclose(back.precision, found.precision)
    assert len(xk.plot(back).data) > 0
    assert "Recovery by occlusion of 2 samples" in repr(back)


@pytest.mark.parametrize(
    ("truth", "why"),
    [
        ([True, False], "shape"),
        ([True, True, True], "all places matter"),
        ([0, 0, 0], "or none"),
        ([0, 2, 1], "0 and 1"),
    ],
)
def test_no_truth(truth: Any, why: str) -> None:
    with pytest.raises(ParameterError, match=why):
        xk.recovery(explained([[1.0, 2.0, 3.0]]), truth)


def test_values_that_nothing_ranks() -> None:
    with pytest.raises(ParameterError, match="not finite"):
        xk.recovery(explained([[1.0, np.nan, 3.0]]), [True, False, False])


# ---------------------------------------------------------------- the numbers of text explanations


def test_the_kernel_of_lime_for_texts() -> None:
    """A cosine distance in hundreds and a width of 25 are a distance in ones and a width of a quarter."""
    masks = np.arange(10) < np.array([9, 5, 1, 0])[:, None]
    assert_allclose(weights_of(masks, 0.25), [0.97915313, 0.50343962, 0.02374565, 0.00033546], atol=5e-9)


def test_comprehensiveness_and_sufficiency_of_additive_scores() -> None:
    """Published for scores 3, -1, 2, ½, 0 and k = 1..5: comprehensiveness 4.7, sufficiency -0.2 on average."""
    scores = np.array([3, -1, 2, 0.5, 0])
    model = xk.wrap(lambda a: (a * scores).sum(1)[:, None], inputs=xk.Array((5,)), outputs=xk.Values(["y"]))
    found = xk.faithfulness(
        model, xk.explain(model, np.ones(5, np.float32), "occlusion"), shares=[0.2, 0.4, 0.6, 0.8, 1]
    )
    assert_allclose(found.comprehensiveness, 4.7, atol=1e-6)
    assert_allclose(found.sufficiency, -0.2, atol=1e-6)
