"""Stability over seeds: what chance has no part in, and what it has."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.analytic import Analytic
from tests.contract.nets import image_pair, state_of
from xaikit.errors import ParameterError
from xaikit.quality import rank_agreement, stability

RNG = np.random.default_rng(0)
NET = Analytic(RNG.normal(size=(20, 8)), 0.1, RNG.normal(size=(8, 1)))
X = RNG.normal(size=(2, 20)).astype("f")


def test_a_method_without_chance_agrees_with_itself() -> None:
    found = stability(NET, xk.explain(NET, X, "saliency"))
    assert_array_equal(found.agreement, np.ones((2, 3, 3)))
    assert_array_equal(found.spread, 0)
    assert (found.status, found.seeds) == ("ok", (0, 1, 2))


def test_pairs_of_seeds_are_those_of_explanations_made_apart() -> None:
    first, second = (xk.explain(NET, X, "lime", samples=60, seed=s) for s in (4, 5))
    found = stability(NET, first, seeds=2)
    for i in range(2):
        assert_allclose(found.agreement[i, 0, 1], rank_agreement(first.part_values[i], second.part_values[i]))
    both = np.stack([first.values, second.values])
    expected = both.std(0, ddof=1).mean(1) / np.abs(both.mean(0)).max(1)
    assert_allclose(found.spread, expected, rtol=1e-6)
    assert_allclose(found.rank_agreement, found.agreement[:, 0, 1])


def test_few_samples_are_less_stable_than_many() -> None:
    few, many = (stability(NET, xk.explain(NET, X, "lime", samples=n)) for n in (25, 3000))
    assert (few.rank_agreement < many.rank_agreement).all()
    assert (few.spread > many.spread).all()
    assert many.status == "ok"
    assert few.status == "warn"
    assert "rank agreement" in few.status.reasons[0]


def test_it_is_stored_and_nothing_is_left_behind(tmp_path: Any) -> None:
    model, x = image_pair("torch")
    e = xk.explain(model, x[:1], "smooth-grad", target=2, samples=3)
    before = state_of(model)
    found = stability(model, e)
    assert state_of(model) == before
    back = xk.load(xk.save(found, tmp_path / "s"))
    assert_array_equal(back.agreement, found.agreement)
    assert back.seeds == found.seeds


def test_one_seed_is_too_few() -> None:
    with pytest.raises(ParameterError, match="seeds"):
        stability(NET, xk.explain(NET, X, "saliency"), seeds=1)
