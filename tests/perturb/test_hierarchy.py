"""Hierarchies: trees with answers on paper, and Owen values by their definition."""

import time
from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit.errors import ParameterError
from xaikit.perturb.hierarchy import Owen, by_correlation, by_linkage, by_place, centres, together
from xaikit.perturb.segments import grid

RNG = np.random.default_rng(0)


def nested(tree, node=0):
    """Write a tree as nested pairs of parts."""
    left, right = tree.children[node]
    return int(tree.parts(node)[0]) if left < 0 else (nested(tree, left), nested(tree, right))


def is_a_tree(tree):
    inner = tree.children[:, 0] >= 0
    children = tree.children[inner]
    assert_array_equal(np.sort(tree.order), np.arange(len(tree.order)))
    assert_array_equal(np.sort(children.ravel()), np.arange(1, len(tree.bounds)))
    assert (children > np.flatnonzero(inner)[:, None]).all()
    assert_array_equal(tree.bounds[children[:, 0], 0], tree.bounds[inner, 0])
    assert_array_equal(tree.bounds[children[:, 0], 1], tree.bounds[children[:, 1], 0])
    assert_array_equal(tree.bounds[children[:, 1], 1], tree.bounds[inner, 1])
    assert_array_equal(np.diff(tree.bounds[~inner], axis=1), 1)


def test_a_line_is_halved():
    assert nested(by_place(np.arange(4.0)[:, None])) == ((0, 1), (2, 3))
    assert nested(by_place(np.array([[0.0], [1], [10]]))) == ((0, 1), 2)
    assert nested(by_place(np.zeros((1, 2)))) == 0


def test_a_grid_is_halved_along_its_longer_axis():
    tree = by_place(centres(np.arange(8).reshape(2, 4)))
    assert nested(tree) == (((0, 1), (4, 5)), ((2, 3), (6, 7)))


@pytest.mark.parametrize("places", [RNG.normal(size=(50, 2)), np.zeros((7, 2)), RNG.integers(0, 3, (40, 3)) * 1.0])
def test_any_places_give_a_tree(places):
    is_a_tree(by_place(places))


def test_parts_next_to_each_other_stay_together_and_the_tree_of_a_large_image_is_quick():
    labels = grid((224, 224), 4096)
    start = time.process_time()
    tree = by_place(centres(labels))
    assert time.process_time() - start < 0.5  # about 0.03 s; the bound is for busy machines
    assert_array_equal(np.unique(labels[:112]), np.sort(tree.parts(tree.children[0, 0])))


def test_a_linkage_matrix_is_read():
    from scipy.cluster.hierarchy import linkage

    assert nested(by_linkage([[1, 3], [0, 4], [2, 5]], 4)) == (2, (0, (1, 3)))
    assert nested(by_linkage(np.zeros((0, 4)), 1)) == 0
    is_a_tree(by_linkage(linkage(RNG.normal(size=(30, 2))), 30))


@pytest.mark.parametrize(
    ("linkage", "said"),
    [
        ([[0, 1]], "joins 2 parts, but there are 4"),
        ([[0, 1], [0, 4], [2, 5]], "no tree"),
        ([[0, 5], [1, 4], [2, 3]], "no tree"),
        ("ward", "linkage matrix of 3 rows, not 'ward'"),
    ],
)
def test_what_is_no_tree_is_refused(linkage, said):
    with pytest.raises(ParameterError, match=said):
        by_linkage(linkage, 4)


def test_columns_that_move_together_are_joined_first():
    a, b = RNG.normal(size=(2, 200))
    dummies = np.stack([a > 0, a <= 0], axis=1)
    rows = np.column_stack([b, dummies, a, -b + 0.1 * RNG.normal(size=200), np.ones(200)])
    tree = by_correlation(rows, np.array([0, 1, 1, 2, 3, 4]))
    assert {frozenset(tree.parts(k).tolist()) for k in range(len(tree.bounds))} >= {
        frozenset((0, 3)),
        frozenset((1, 2)),
    }
    is_a_tree(tree)


def test_rows_that_say_nothing_still_give_a_tree():
    is_a_tree(by_correlation(np.ones((1, 5)), np.arange(5)))
    is_a_tree(by_correlation(np.ones((3, 2)), np.array([0, 0])))


def test_inputs_are_split_from_each_other_first():
    tree = together([by_place(np.arange(2.0)[:, None]), by_place(np.zeros((1, 1))), by_place(np.arange(2.0)[:, None])])
    assert nested(tree) == ((0, 1), (2, (3, 4)))
    is_a_tree(tree)


def orders(tree, node=0):
    """All orders of the parts in which those of a node follow each other."""
    left, right = tree.children[node]
    if left < 0:
        return [tree.parts(node).tolist()]
    pairs = [(a, b) for a in orders(tree, left) for b in orders(tree, right)]
    return [a + b for a, b in pairs] + [b + a for a, b in pairs]


def played(tree, game, varying=None, samples=10**6):
    n = len(tree.order)
    owen = Owen(tree, np.ones(n, bool) if varying is None else varying, np.array([game(np.ones(n)), game(np.zeros(n))]))
    count = 0
    while len(masks := owen.ask(samples - count)):
        count += len(masks)
        owen.learn(np.array([game(m * 1.0) for m in masks]), np.ones(len(masks), bool))
    return owen, count


def curved(n):
    w = RNG.normal(size=(n, 5))
    return lambda z: float(np.tanh(z @ w).sum() + z[0] * z[-1])


def test_owen_values_are_the_mean_over_the_orders_that_keep_nodes_together():
    tree, game = by_linkage([[1, 3], [0, 5], [2, 4], [6, 7]], 5), curved(5)
    expected = np.zeros(5)
    allowed = orders(tree)
    assert len(allowed) == 2**4 < len(list(permutations(range(5))))
    for order in allowed:
        z = np.zeros(5)
        for part in order:
            before = game(z)
            z[part] = 1
            expected[part] += (game(z) - before) / len(allowed)
    owen, _ = played(tree, game)
    assert_allclose(owen.values(), expected, atol=1e-12)
    assert owen.resolved == 1


@pytest.mark.parametrize("samples", [0, 2, 7, 30])
def test_what_is_not_reached_is_shared_evenly_and_nothing_is_lost(samples):
    game, n = curved(16), 16
    owen, count = played(by_place(np.arange(16.0)[:, None]), game, samples=samples)
    assert count == samples // 2 * 2
    assert_allclose(owen.values().sum(), game(np.ones(n)) - game(np.zeros(n)), atol=1e-12)
    assert owen.resolved < 1
    if samples < 2:
        assert_allclose(np.diff(owen.values()), 0, atol=1e-15)


def test_the_budget_goes_where_most_is_at_stake():
    owen, _ = played(by_place(np.arange(64.0)[:, None]), lambda z: 5 * z[37] + 0.001 * z.sum(), samples=40)
    assert owen.values()[37] > 5 / 4  # level by level 20 splits end at nodes of 8 parts
    assert_allclose(owen.values()[:32], 0.001, rtol=1e-9)


def test_parts_that_do_not_vary_are_passed_over():
    game = curved(8)
    varying = np.array([1, 0, 0, 0, 1, 1, 0, 1], bool)
    tree = by_place(np.arange(8.0)[:, None])

    def masked(z):
        return game(np.where(varying, z, 1))

    (some, few), (all_, many) = played(tree, masked, varying), played(tree, masked)
    assert_allclose(some.values(), all_.values(), atol=1e-12)
    assert few < many
    assert_array_equal(some.values()[~varying], 0)


def test_a_question_that_was_not_answered_stays_open():
    owen = Owen(by_place(np.arange(2.0)[:, None]), np.ones(2, bool), np.array([1.0, 0.0]))
    owen.ask(2)
    owen.learn(np.array([0.7, np.nan]), np.array([True, False]))
    assert_allclose(owen.values(), 0.5)
    owen.ask(2)
    owen.learn(np.array([0.7, 0.1]), np.array([True, True]))
    assert_allclose(owen.values(), [0.8, 0.2])
