"""Scores: published values of linear autoencoders, closed forms of variational ones, and parts that sum up."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal
from skimage.metrics import structural_similarity
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import average_precision_score, roc_auc_score

import xaikit as xk
from tests.anomaly.nets import Variational, digits, flat, pictures
from xaikit.anomaly import SCORES
from xaikit.anomaly._scores import divergence
from xaikit.errors import InputError, NotSupported, ParameterError, UnknownName

pytestmark = pytest.mark.slow


@cache
def ranking(score: str) -> Any:
    """AUROC and average precision of every digit against the others."""
    found = []
    for digit in range(10):
        training, held_out, others = digits(digit)
        x, y = np.concatenate([held_out, others]), np.repeat([0, 1], [len(held_out), len(others)])
        values = xk.anomaly.fit(Variational(training, 8).wrapped(), training, score=score).score(x).values
        found.append((roc_auc_score(y, values), average_precision_score(y, values)))
    return np.array(found).T


@pytest.mark.parametrize(("score", "mean"), [("mse", 0.9948), ("mae", 0.9943), ("latent", 0.8437), ("joint", 0.9951)])
def test_published_means_over_ten_digits(score: str, mean: float) -> None:
    assert_allclose(ranking(score)[0].mean(), mean, atol=5.1e-5)  # printed to four places


def test_the_published_average_precision() -> None:
    assert_allclose(ranking("mse")[1].mean(), 0.9997, atol=5.1e-5)


@cache
def cancer() -> tuple[Any, Any, Any, Any]:
    """Standardised benign samples to train with, all samples, the rows to test, and which are malignant."""
    data = load_breast_cancer()
    own = np.flatnonzero(data.target == 1)[::2]
    z = (data.data - data.data[own].mean(0)) / data.data[own].std(0)
    rest = np.setdiff1d(np.arange(len(z)), own)
    return z[own], z, rest, data.target[rest] == 0


@pytest.mark.parametrize(("size", "auroc"), [(2, 0.915863), (5, 0.896597), (10, 0.920712)])
def test_published_scores_of_breast_cancer(size: int, auroc: float) -> None:
    training, z, rest, bad = cancer()
    values = xk.anomaly.fit(flat(training, size), training).score(z[rest]).values
    assert_allclose(roc_auc_score(bad, values), auroc, atol=5.1e-7)  # printed to six places


def test_the_published_anomaly_of_breast_cancer() -> None:
    training, z, rest, bad = cancer()
    detector = xk.anomaly.fit(Variational(training, 5).wrapped(), training)
    scores = detector.score(z)
    assert int(scores.values.argmax()) == 461
    assert_allclose(scores.values[461], 60.150473, atol=5e-5)  # the network counts in float32
    largest = np.argsort(-scores.contributions[461])[:3]
    names = load_breast_cancer().feature_names[largest]
    assert list(names) == ["area error", "texture error", "worst fractal dimension"]
    assert_allclose(scores.contributions[461][largest], [36.784995, 2.995278, 2.151593], atol=3e-5)
    assert_allclose(average_precision_score(bad, scores.values[rest]), 0.910663, atol=2e-6)
    latent = xk.anomaly.fit(Variational(training, 5).wrapped(), training, score="latent").score(z[rest])
    assert_allclose(roc_auc_score(bad, latent.values), 0.959879, atol=2e-6)


def test_the_joint_score_is_the_log_likelihood_of_probabilistic_pca() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6))
    net = Variational(x, 2)
    scores = xk.anomaly.fit(net.wrapped(), x, score="joint").score(x)
    _u, s, v = np.linalg.svd(x - x.mean(0), full_matrices=False)
    variances = s**2 / (len(x) - 1)
    noise = variances[2:].mean()
    covariance = v.T @ np.diag([*variances[:2], *[noise] * 4]) @ v
    expected = -2 * multivariate_normal(x.mean(0), covariance).logpdf(x)
    gap = expected - scores.values
    assert_allclose(gap, gap.mean(), atol=1e-3)  # a constant, in float32 of numbers up to 50


@pytest.mark.parametrize("name", SCORES)
def test_parts_sum_to_the_score_and_a_sample_scores_alone_as_in_a_batch(name: str) -> None:
    training, held_out, others = digits(0)
    kind = pictures(training) if name == "ssim" else Variational(training, 8).wrapped()
    shape = (-1, 8, 8) if name == "ssim" else (-1, 64)
    scale = 16 if name == "ssim" else 1
    given = {"window": 7} if name == "ssim" else {}
    x = scale * np.concatenate([held_out[:4], others[:4]]).reshape(shape)
    detector = xk.anomaly.fit(kind, list(scale * training.reshape(shape)), score=name, **given)
    scores = detector.score(list(x))
    code = 0 if scores.code is None else scores.code.sum(1)
    assert_allclose(scores.contributions.reshape(8, -1).sum(1) + code, scores.values, rtol=1e-12)
    assert scores.contributions.shape == (8, *detector.model.inputs.shape)
    assert scores.error == name
    alone = detector.score(x[5])
    # float32 of another batch size
    assert_allclose(alone.values, scores.values[5:6], rtol=1e-4)
    assert len(scores[5]) == 1
    assert scores.values[4:].mean() > scores.values[:4].mean()


def test_structural_similarity_is_that_of_scikit_image() -> None:
    training, held_out, _ = digits(3)
    model = pictures(training)
    x = 16 * held_out[:3].reshape(-1, 8, 8)
    scores = xk.anomaly.fit(model, list(x), score="ssim", window=7).score(list(x))
    for k in range(3):
        a, b = (np.float64(v[k][..., 0]) for v in (scores.x, scores.reconstruction))
        assert_allclose(scores.values[k], 1 - structural_similarity(a, b, win_size=7, data_range=1.0), rtol=1e-9)


def test_the_largest_share_and_standardised_errors_are_what_their_formulas_say() -> None:
    training, held_out, _ = digits(1)
    model = flat(training)
    squares = np.square(np.float64(np.float32(held_out)) - model.run(np.float32(held_out)).output)
    top = xk.anomaly.fit(model, held_out, score="top-share", share=0.1).score(held_out)
    assert_allclose(top.values, np.sort(squares, 1)[:, -7:].mean(1), rtol=1e-9)
    assert ((top.contributions > 0).sum(1) <= 7).all()
    usual = np.square(np.float64(np.float32(training)) - model.run(np.float32(training)).output).mean(0)
    usual = np.maximum(usual, usual[usual > 0].min())
    found = xk.anomaly.fit(model, held_out, score="standardised", training=training).score(held_out)
    assert_allclose(found.values, (squares / usual).mean(1), rtol=1e-6)


def test_the_divergence_from_the_prior() -> None:
    assert_array_equal(divergence(np.zeros(3), np.zeros(3)), np.zeros(3))
    assert_array_equal(divergence(np.ones(3), np.zeros(3)), np.full(3, 0.5))
    sd = np.exp(0.35)
    z = np.random.default_rng(0).normal(0.4, sd, 400_000)
    drawn = np.mean(-0.5 * ((z - 0.4) / sd) ** 2 - np.log(sd) + 0.5 * z**2)
    assert_allclose(divergence(np.array(0.4), np.array(0.7)), drawn, atol=5e-3)  # one part in 600 by chance


def test_the_evidence_bound_of_a_linear_network_has_a_closed_form() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6)) * 3
    net = Variational(x, 2, log_variance=-1.0)
    scores = xk.anomaly.fit(net.wrapped(), x, score="elbo", samples=4000, likelihood="gaussian").score(x[:5])
    back = net(x[:5])
    variance = np.square(net(x) - x).mean()
    spread = np.exp(-1.0) * (net.components**2).sum()  # orthonormal rows: what the draws add to the squares
    expected = (np.square(back - x[:5]).sum(1) + spread) / (2 * variance) + 3 * np.log(2 * np.pi * variance)
    z = (x[:5] - net.mean) @ net.components.T
    kl = divergence(z, np.full_like(z, -1.0))
    assert_allclose(scores.code, kl, rtol=1e-4)
    assert_allclose(scores.values, expected + kl.sum(1), rtol=5e-3)  # 4000 draws
    probability = xk.anomaly.fit(net.wrapped(), x, score="reconstruction-probability", samples=4000).score(x[:5])
    assert probability.code is None
    assert_allclose(probability.values, expected, rtol=5e-3)
    assert probability.origin.parameters["likelihood"] == "gaussian"
    assert probability.origin.model_calls == 5 * 4001


def test_draws_come_from_the_seed() -> None:
    training, held_out, _ = digits(0)
    model = Variational(training, 8).wrapped()
    one, again, other = (
        xk.anomaly.fit(model, held_out, score="elbo", seed=s).score(held_out[:3]).values for s in (1, 1, 2)
    )
    assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_mistakes_are_said() -> None:
    training, held_out, _ = digits(0)
    model, plain = Variational(training, 8).wrapped(), flat(training)
    with pytest.raises(UnknownName, match="mse"):
        xk.anomaly.fit(model, held_out, score="msee")
    with pytest.raises(ParameterError, match="no parameter 'share'"):
        xk.anomaly.fit(model, held_out, score="mse", share=0.1)
    with pytest.raises(ParameterError, match="share"):
        xk.anomaly.fit(model, held_out, score="top-share", share=0)
    with pytest.raises(ParameterError, match="odd"):
        xk.anomaly.fit(model, held_out, score="ssim", window=4)
    with pytest.raises(NotSupported, match="compares pictures"):
        xk.anomaly.fit(model, held_out, score="ssim")
    with pytest.raises(ParameterError, match="does not fit"):
        xk.anomaly.fit(pictures(training), list(16 * held_out.reshape(-1, 8, 8)), score="ssim", window=11)
    with pytest.raises(NotSupported, match="no layer that is narrower"):
        xk.anomaly.fit(plain, held_out, score="latent")
    with pytest.raises(NotSupported, match="no variational autoencoder"):
        xk.anomaly.fit(plain, held_out, score="elbo")
    with pytest.raises(ParameterError, match="Bernoulli"):
        xk.anomaly.fit(model, held_out - 2, score="elbo", likelihood="bernoulli")
    with pytest.raises(UnknownName, match="poisson"):
        xk.anomaly.fit(model, held_out, score="elbo", likelihood="poisson")
    with pytest.raises(InputError, match="at least two"):
        xk.anomaly.fit(model, held_out[:1], score="latent")
