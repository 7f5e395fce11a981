"""Rank agreement: closed forms, and maps brought to one grid."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import spearmanr

from tests.figures import synthetic as s
from xaikit.arrays import upsample
from xaikit.quality import agreements, rank_agreement


def test_rank_agreement_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, (2, 60)).astype(float)  # with ties
    assert_allclose(rank_agreement(a, b), spearmanr(a, b).statistic, rtol=1e-12)
    assert_allclose(rank_agreement(a, a), 1)
    assert_allclose(rank_agreement(a, -a), -1)


@pytest.mark.parametrize("b", [np.ones(4), np.array([1.0, 2.0]), np.array([1.0, np.nan, 2.0, 3.0])])
def test_what_cannot_be_ranked_has_no_agreement(b: np.ndarray) -> None:
    assert np.isnan(rank_agreement(np.arange(4.0), b))


def test_only_results_for_one_target_are_compared() -> None:
    e = s.image()
    other = replace(e, target_labels=("dog",))
    table = agreements([e, e, other, None])
    assert_allclose(table[0, 1], 1)
    assert np.isnan(table[0, 2])
    assert np.isnan(table[3]).all()


def test_pixels_are_added_up_over_the_parts_of_the_other_map() -> None:
    parts = s.segmented()
    half = np.arange(s.SIDE) // (s.SIDE // 2)
    label = 2 * half[:, None] + half[None]
    sums = np.array([0.4, -0.1, 0.0, 0.2])  # as the parts, spread unevenly inside each of them
    uneven = np.random.default_rng(0).normal(size=(s.SIDE, s.SIDE))
    uneven -= (np.bincount(label.ravel(), uneven.ravel()) / (s.SIDE // 2) ** 2)[label]
    pixels = s.attribution((uneven + sums[label])[None], ("height", "width"), "occlusion", input_spec=parts.input_spec)
    assert_allclose(agreements([parts, pixels])[0, 1], 1)
    assert_allclose(agreements([pixels, parts])[0, 1], 1)


def test_a_coarse_map_is_interpolated() -> None:
    coarse = s.coarse()
    fine = replace(coarse, values=upsample(coarse.values, (s.SIDE, s.SIDE)))
    assert_allclose(agreements([coarse, fine])[0, 1], 1)


def test_sizes_agree_where_signs_do_not() -> None:
    e = s.image()
    other = replace(e, values=-e.values)
    assert_allclose(agreements([e, other])[0, 1], -1)
    assert_allclose(agreements([e, other], absolute=True)[0, 1], 1)
