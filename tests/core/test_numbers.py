"""Moments and histograms gathered in pieces are those of the whole."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from xaikit.results import Histogram, Moments
from xaikit.results._functions import FUNCTIONS, function_named

RNG = np.random.default_rng(0)
DRAWN = (RNG.gamma(1.5, size=(400, 3)) * [1, 1e-3, 50] - [0.5, 0, 20]).astype(np.float32)


@pytest.mark.parametrize("cuts", [(1,), (7, 8, 300), (200, 399)])
def test_moments_in_pieces_are_those_of_the_whole(cuts: tuple[int, ...]) -> None:
    first, *others = np.split(DRAWN, cuts)
    found = Moments.of(first, (0.0, 1.0))
    for piece in others:
        found = found + Moments.of(piece, (0.0, 1.0))
    s, x = found.statistics(), DRAWN.astype(np.float64)
    assert_allclose(s["mean"], x.mean(0), rtol=1e-12)
    assert_allclose(s["std"], x.std(0), rtol=1e-12)
    assert_allclose(s["skew"], stats.skew(x), rtol=1e-10)
    assert_array_equal(s["max"], DRAWN.max(0))
    assert_array_equal(s["saturated"], ((DRAWN <= 0) | (DRAWN >= 1)).mean(0))
    assert_array_equal(s["positive"], (DRAWN > 0).mean(0))


def test_what_is_not_finite_is_counted_apart() -> None:
    x = np.array([[1, np.nan, np.nan], [2, 4, np.inf], [6, -np.inf, np.nan]], np.float32)
    s = (Moments.of(x[:1]) + Moments.of(x[1:])).statistics()
    assert_allclose(s["mean"], [3, 4, np.nan])
    assert_allclose(s["lost"], [0, 2 / 3, 1])
    assert_array_equal(s["dead"], [False, False, False])
    assert s["skew"][1] == 0


def test_values_that_differ_by_rounding_have_no_skew() -> None:
    x = np.full((50, 1), 0.1, np.float32)
    x[0] = np.nextafter(x[0], np.float32(1))
    assert Moments.of(x).statistics()["skew"] == 0


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e9])
@pytest.mark.parametrize("shift", [0.0, 1.0, -1e4])
def test_a_histogram_in_pieces_is_that_of_the_whole(scale: float, shift: float) -> None:
    x = scale * (RNG.normal(size=500) + shift)
    whole = Histogram.of(x)
    pieces = np.split(x, [1, 2, 90, 91])
    found = Histogram.of(np.zeros(0))
    for piece in pieces:
        found = found + Histogram.of(piece)
    assert_array_equal(found.counts, whole.counts)
    assert_array_equal(found.edges, whole.edges)
    assert 32 < len(whole.counts) <= 65
    assert len(whole) == 500
    counted, _ = np.histogram(x, whole.edges)
    assert_array_equal(whole.counts, counted)


def test_histograms_of_one_value_join_with_those_of_many() -> None:
    zeros, many = Histogram.of(np.zeros(10)), Histogram.of(np.array([1e-6, 3e-6]))
    both = zeros + many
    assert both.counts.sum() == 12
    assert both.counts[0] == 10
    assert_array_equal(both.counts, Histogram.of(np.array([0.0] * 10 + [1e-6, 3e-6])).counts)
    assert len(Histogram.of(np.array([np.nan, np.inf]))) == 0


@pytest.mark.parametrize("name", [n for n, f in FUNCTIONS.items() if np.isfinite(f.flat).any()])
def test_flat_ends_begin_where_the_slope_is_a_twentieth_of_the_steepest(name: str) -> None:
    f = FUNCTIONS[name]
    z = np.linspace(-12, 12, 480_001)
    y = f.value(z)
    slope = np.abs(np.gradient(y, z))
    flat = (y <= f.flat[0]) | (y >= f.flat[1])
    ends = slope < 0.05 * slope.max()
    if f.rectifies:
        ends &= z > 1
    assert np.mean(flat != ends) < 1e-4
    assert flat.any()


def test_functions_are_known_by_their_other_names() -> None:
    assert (function_named("swish"), function_named("hardtanh"), function_named("conv")) == ("silu", "hard_tanh", None)
