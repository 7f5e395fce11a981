"""Solvers: games and fits with answers on paper."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose

from xaikit.perturb.coalitions import coin_flips, exhaustive, shapley_kernel
from xaikit.perturb.solvers import shapley_regression, shapley_values, surrogate

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
