"""Distances between rows, from their definition: numbers in standard deviations, categories one apart."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.tabular.models import normal
from xaikit.tabular._neighbours import NEAREST, QUANTILE, SAMPLE, neighbours
from xaikit.tabular._variables import frame_of

TOWNS = ("a", "b", "c")
TABLE = xk.Table({"size": xk.Number(50, 20), "town": xk.Category(TOWNS), "floor": xk.Number(2, 1)})


def flats(count: int) -> Any:
    rng = np.random.default_rng(0)
    names = rng.choice(TOWNS, count)
    rows = zip(rng.normal(50, 20, count), names, rng.normal(2, 3, count), strict=True)
    return TABLE.encode([{"size": float(s), "town": str(t), "floor": float(f)} for s, t, f in rows])


def apart(x: Any, y: Any, scale: Any) -> Any:
    """Distance of every row of x to every row of y: places 0 and 4 are numbers, 1 to 3 a town."""
    number = ((x[:, None, [0, 4]] - y[None, :, [0, 4]]) / scale[[0, 4]]) ** 2
    town = (x[:, None, 1:4] != y[None, :, 1:4]).any(-1)
    return np.sqrt(number.sum(-1) + town)


@pytest.mark.parametrize("count", [40, SAMPLE + 100])
def test_distances_are_those_of_the_definition(count: int) -> None:
    data = flats(count).astype(np.float64)
    near = neighbours(frame_of(TABLE, data), data, seed=3)
    own = apart(data, data, data.std(0))
    rows, distances = near.nearest(data[:7])
    assert_array_equal(rows[:, 0], np.arange(7))
    assert_allclose(distances, np.sort(own[:7], 1)[:, :NEAREST], atol=1e-7)
    assert_allclose(near.distance(data[:7]), np.sort(own[:7], 1)[:, :NEAREST].mean(1), atol=1e-7)
    chosen = np.random.default_rng(3).permutation(count)[:SAMPLE]
    others = np.sort(own[chosen], 1)[:, 1 : NEAREST + 1].mean(1)
    assert_allclose(near.usual, others, atol=1e-7)
    assert near.limit == pytest.approx(np.quantile(others, QUANTILE))


def test_what_does_not_vary_is_no_distance_and_few_rows_have_no_limit() -> None:
    data = np.stack([np.arange(5.0), np.full(5, 7.0)], 1)
    near = neighbours(frame_of(xk.Array((2,)), data), data)
    assert near.limit == float("inf")
    assert_allclose(near.nearest(np.array([[0.0, 9.0]]), 1)[1], 2)  # a place without spread counts as it is
    assert near.nearest(data)[0].shape == (5, 5)
    six = np.concatenate([data, [[9.0, 7.0]]])
    assert np.isfinite(neighbours(frame_of(xk.Array((2,)), six), six).limit)


def test_channels_count_alike_however_long_they_are_and_bands_have_two_parts() -> None:
    data = normal(9, 12).reshape(9, 6, 2).astype(np.float64)
    spec = xk.Series(6, 2, 6.0)
    frame = frame_of(spec, data)
    flat = frame.flatten(data)
    expected = np.sqrt((((flat[0] - flat[1]) / flat.std(0)) ** 2).sum() / 6)
    found = neighbours(frame, flat).nearest(flat[:1], 9)
    assert found[1][0, found[0][0].tolist().index(1)] == pytest.approx(expected)
    frame = frame_of(spec, data, {"bands": {"all": (0, 9)}})
    flat = frame.flatten(data)
    spread = np.sqrt((np.abs(flat - flat.mean(0)) ** 2).mean(0))
    expected = np.sqrt((np.abs((flat[0] - flat[1]) / spread) ** 2).sum() / flat.shape[1])
    found = neighbours(frame, flat).nearest(flat[:1], 9)
    assert found[1][0, found[0][0].tolist().index(1)] == pytest.approx(expected)
