"""Coalitions: drawn as their papers and packages draw them."""

from math import comb

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit.perturb.coalitions import coin_flips, exhaustive, permutations, shapley_kernel


def rng(seed=0):
    return np.random.default_rng(seed)


def test_coin_flips_are_those_of_lime():
    expected = np.random.RandomState(7).randint(0, 2, 50 * 6).reshape(50, 6)
    expected[0] = 1
    assert_array_equal(coin_flips(50, 6, 7), expected == 1)


@pytest.mark.parametrize("parts", range(13))
def test_exhaustive_is_every_coalition_once_with_all_and_none_first(parts):
    found = exhaustive(parts)
    assert len(np.unique(found.masks, axis=0)) == len(found.masks) == 2**parts
    assert found.masks[0].all()
    assert not found.masks[1:2].any()
    assert not found.drawn.any()


@pytest.mark.parametrize("parts", [4, 7, 10])
def test_enumerated_sizes_have_the_weight_of_the_shapley_kernel(parts):
    found = exhaustive(parts)
    size = found.masks.sum(1)[2:]
    kernel = np.array([(parts - 1) / (comb(parts, s) * s * (parts - s)) for s in size])
    assert_allclose(found.weights[2:], kernel / kernel.sum(), rtol=1e-12)


@pytest.mark.parametrize(
    ("parts", "samples"), [(50, 2148), (13, 500), (14, 2076), (30, 64), (200, 300), (3, 4), (5, 2)]
)
def test_samples_come_in_pairs_within_the_budget(parts, samples):
    found = shapley_kernel(parts, samples, rng())
    assert len(found.masks) <= samples
    assert len(found.masks) >= samples - 1 or not found.drawn.any()
    assert_array_equal(found.masks[::2], ~found.masks[1::2])
    assert found.weights[:2].sum() == 0
    assert_allclose(found.weights.sum(), 1 if samples > 3 else 0)


def test_outer_sizes_are_enumerated_and_the_others_drawn_by_the_root_of_their_weight():
    found = shapley_kernel(50, 40_000, rng())
    size = np.minimum(found.masks.sum(1), 50 - found.masks.sum(1))
    assert_array_equal(np.bincount(size)[:3], [2, 100, 2450])
    assert not found.drawn[size <= 2].any()
    assert found.drawn[size > 2].all()
    s = np.arange(3, 26)
    often = np.where(s == 25, 1, 2) / np.sqrt(s * (50 - s))
    expected = often / often.sum() * found.drawn.sum()
    assert np.abs(np.bincount(size, minlength=26)[3:] - expected).max() <= 4


def test_drawn_sizes_have_the_weight_of_the_shapley_kernel_too():
    found = shapley_kernel(30, 1000, rng())
    size = np.minimum(found.masks.sum(1), 30 - found.masks.sum(1))
    s = np.arange(1, 16)
    kernel = np.where(s == 15, 1, 2) / (s * (30 - s))
    assert_allclose(np.bincount(size, weights=found.weights)[1:], kernel / kernel.sum(), rtol=1e-12)


def test_a_part_of_what_is_drawn_is_a_fair_sample_of_the_sizes():
    size = shapley_kernel(50, 4000, rng()).masks.sum(1)[102:]
    size = np.minimum(size, 50 - size)
    first, second = np.array_split(size, 2)
    assert abs(first.mean() - second.mean()) < 1


def test_parts_appear_alike_often():
    """A coalition and its complement are both there, so every part is shown in exactly half the rows."""
    assert_array_equal(shapley_kernel(21, 999, rng()).masks.mean(0), 0.5)


def test_the_seed_decides_what_is_drawn():
    one, same, other = (shapley_kernel(40, 500, rng(s)).masks for s in (1, 1, 2))
    assert_array_equal(one, same)
    assert (one != other).any()


def test_permutations_come_with_their_reverse_and_add_part_by_part():
    found = permutations(5, 27, rng())
    assert found.orders.shape == (6, 5)
    assert_array_equal(np.sort(found.orders, axis=1), np.broadcast_to(np.arange(5), (6, 5)))
    assert_array_equal(found.orders[::2], found.orders[1::2, ::-1])
    assert found.masks[0].all()
    assert not found.masks[1].any()
    walks = found.masks[2:].reshape(6, 4, 5)
    assert_array_equal(walks.sum(2), np.broadcast_to(np.arange(1, 5), (6, 4)))
    steps = np.concatenate([np.zeros((6, 1, 5), bool), walks, np.ones((6, 1, 5), bool)], axis=1)
    assert_array_equal((steps[:, 1:] & ~steps[:, :-1]).argmax(2), found.orders)


@pytest.mark.parametrize(("samples", "orders"), [(6, 1), (9, 1), (10, 2), (17, 2), (18, 4)])
def test_as_many_orders_as_the_samples_hold(samples, orders):
    found = permutations(5, samples, rng())
    assert len(found.orders) == orders
    assert len(found.masks) <= samples
