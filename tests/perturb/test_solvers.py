"""Solvers: games and fits with answers on paper."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

from xaikit.perturb.coalitions import coin_flips, exhaustive, shapley_kernel
from xaikit.perturb.solvers import shapley_kriging, shapley_regression, shapley_values, surrogate

RNG = np.random.default_rng(0)


def regression(game, scores):
    return shapley_regression(game.masks, scores, game.weights, game.drawn)


@pytest.mark.parametrize("parts", range(1, 13))
def test_regression_over_all_coalitions_is_the_shapley_value(parts):
    game = exhaustive(parts)
    scores = RNG.normal(size=2**parts)
    exact = shapley_values(game.masks, scores)
    found, error = regression(game, scores)
    assert_allclose(found, exact, atol=1e-13)
    assert_allclose(exact.sum(), scores[0] - scores[1], atol=1e-13)
    assert_allclose(error, 0)


def test_the_glove_game():
    """Parts 0 and 1 are left gloves, part 2 the right one; a pair is worth 1: (1/6, 1/6, 4/6)."""
    game = exhaustive(3)
    scores = (game.masks[:, :2].any(1) & game.masks[:, 2]).astype(float)
    assert_allclose(shapley_values(game.masks, scores), [1 / 6, 1 / 6, 4 / 6], rtol=1e-12)


def test_an_additive_game_is_solved_by_any_sample():
    game = shapley_kernel(30, 100, np.random.default_rng(1))
    worth = RNG.normal(size=30)
    found, error = regression(game, game.masks @ worth + 4)
    assert_allclose(found, worth, atol=1e-10)
    assert_allclose(error, 0, atol=1e-10)


def test_too_few_coalitions_share_what_is_left_evenly():
    game = shapley_kernel(6, 2, np.random.default_rng(0))
    found, _ = regression(game, np.array([12.0, 0.0]))
    assert_allclose(found, 2)


def test_the_standard_error_is_that_of_repeated_runs():
    """Pairs of parts interact: the estimate varies with the coalitions drawn, about as much as it says."""
    interactions = np.triu(RNG.normal(size=(20, 20)), 1)

    def play(masks):
        return np.einsum("ci,ij,cj->c", masks * 1.0, interactions, masks * 1.0) ** 2 / 50

    runs = [shapley_kernel(20, 400, np.random.default_rng(s)) for s in range(60)]
    found = [regression(game, play(game.masks)) for game in runs]
    spread = np.std([phi for phi, _ in found], axis=0, ddof=1).mean()
    said = np.mean([error for _, error in found])
    assert 0.7 < said / spread < 1.5


def test_kriging_solves_games_of_single_effects_and_pairs():
    worth, pairs = RNG.normal(size=12), np.triu(RNG.normal(size=(12, 12)), 1)
    masks = shapley_kernel(12, 40, np.random.default_rng(1)).masks
    scores = masks @ worth + np.einsum("ci,ij,cj->c", masks * 1.0, pairs, masks * 1.0) + 3
    found, error = shapley_kriging(masks, scores)
    assert_allclose(found, worth + (pairs + pairs.T).sum(1) / 2, atol=1e-9)
    assert_allclose(error, 0, atol=1e-9)


def test_kriging_knows_the_shapley_value_of_every_interaction():
    """Over all pairs nothing is left to predict but the nugget: a product of three signs is 2/3 for each of them."""
    masks = exhaustive(7).masks
    signs = np.where(masks, 1.0, -1.0)
    for parts in ([0, 2, 5], [1, 2, 3, 4, 6]):
        found, _ = shapley_kriging(masks, signs[:, parts].prod(1))
        assert_allclose(found, np.isin(range(7), parts) * 2 / len(parts), atol=0.02)
    found, _ = shapley_kriging(masks, signs[:, :4].prod(1))
    assert_allclose(found, 0, atol=1e-12)


def bent(parts, seed=0):
    """A saturating game of a few strong parts and many weak ones."""
    w = np.random.default_rng(seed).normal(size=parts) * np.where(np.arange(parts) % 3, 0.3, 2.0)
    return lambda masks: 1 / (1 + np.exp(-(masks @ w - w.sum() / 2)))


def test_kriging_is_nearer_to_the_truth_than_the_plain_regression_and_says_how_near():
    game = exhaustive(13)
    ratio, said = [], []
    for seed in range(8):
        exact = shapley_values(game.masks, bent(13, seed)(game.masks))
        some = shapley_kernel(13, 130, np.random.default_rng(seed))
        scores = bent(13, seed)(some.masks)
        plain = np.sqrt(np.mean((regression(some, scores)[0] - exact) ** 2))
        found, error = shapley_kriging(some.masks, scores)
        ratio.append(np.sqrt(np.mean((found - exact) ** 2)) / plain)
        said.append(np.abs(found - exact).mean() / error.mean())
    assert np.median(ratio) < 0.6
    assert 0.3 < np.median(said) < 1.5  # the mean of |error| is 0.8 standard errors


@pytest.mark.parametrize("samples", [2, 4, 10, 24, 26, 60])
def test_kriging_adds_up_for_any_number_of_pairs(samples):
    masks = shapley_kernel(12, samples, np.random.default_rng(0)).masks
    found, error = shapley_kriging(masks, bent(12)(masks))
    rise = bent(12)(np.ones((1, 12))) - bent(12)(np.zeros((1, 12)))
    assert_allclose(found.sum(), rise[0], atol=1e-13)
    assert np.isnan(error).all() == (len(masks) <= 24)
    if samples == 2:
        assert_allclose(found, rise[0] / 12, rtol=1e-9)


def test_kriging_treats_like_parts_alike_and_says_of_no_numbers_that_they_are_none():
    masks = exhaustive(6).masks[:30]
    found, _ = shapley_kriging(masks, np.full(30, 0.25))
    assert_allclose(found, 0, atol=1e-15)
    all_pairs = exhaustive(6).masks
    found, _ = shapley_kriging(all_pairs, all_pairs[:, :3].any(1) * 1.0)
    assert_allclose(found[:3], found[0], rtol=1e-9)
    assert np.isnan(shapley_kriging(masks, np.where(np.arange(30) == 7, np.nan, 0.5))[0]).all()


def test_the_surrogate_is_sklearns_weighted_ridge():
    from sklearn.linear_model import Ridge

    masks = coin_flips(200, 7, 0)
    scores = RNG.normal(size=200)
    distance = 1 - np.sqrt(masks.mean(1))
    weights = np.sqrt(np.exp(-(distance**2) / 0.25**2))
    ridge = Ridge(alpha=1, fit_intercept=True).fit(masks * 1.0, scores, sample_weight=weights)
    found = surrogate(masks, scores, 0.25)
    assert_allclose(found.values, ridge.coef_, atol=1e-12)
    assert_allclose(found.intercept, ridge.intercept_, atol=1e-12)
    assert_allclose(found.r2, ridge.score(masks * 1.0, scores, sample_weight=weights), atol=1e-12)
    assert_allclose(found.predicts, ridge.predict(np.ones((1, 7)))[0], atol=1e-12)


def test_the_surrogate_of_a_constant_is_zero_and_fits():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = surrogate(coin_flips(50, 3, 0), np.full(50, 0.25), 0.25)
    assert_allclose(found.values, 0, atol=1e-15)
    assert (found.r2, found.intercept) == (1.0, 0.25)


def test_scores_that_are_no_numbers_are_not_called_a_fit():
    scores = np.where(np.arange(50) == 7, np.nan, 0.5)
    assert np.isnan(surrogate(coin_flips(50, 3, 0), scores, 0.25).r2)
