"""Sliding windows: where they lie, and what is averaged at a place."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.perturb.questions import question
from xaikit.errors import ParameterError
from xaikit.inputs import Array, Category, Image, Number, Series, Table, Text
from xaikit.perturb.windows import Axis, Grid, windows


def test_the_last_window_is_clipped_where_the_input_ends():
    starts, ends = Axis(10, 4, 3).bounds
    assert_array_equal(starts, [0, 3, 6])
    starts, ends = Axis(11, 4, 3).bounds
    assert_array_equal(starts, [0, 3, 6, 9])
    assert_array_equal(ends, [4, 7, 10, 11])


@pytest.mark.parametrize(
    ("size", "window", "stride"), [(10, 4, 3), (11, 4, 3), (5, 5, 5), (7, 1, 1), (9, 3, 3), (28, 5, 2)]
)
def test_cells_and_covers_say_the_same_as_the_bounds(size, window, stride):
    axis = Axis(size, window, stride)
    steps = np.arange(size)
    inside = np.array([(steps >= a) & (steps < b) for a, b in zip(*axis.bounds, strict=True)])
    assert_array_equal(axis.covers[:, axis.cells], inside)
    assert inside.any(0).all()


def test_the_mean_at_a_place_is_over_the_windows_that_cover_it():
    grid = Grid((Axis(7, 3, 2), Axis(5, 2, 1)))
    values = np.random.default_rng(0).normal(size=int(np.prod(grid.shape)))
    known = np.arange(len(values)) != 5
    covers = grid.covered(np.arange(len(values)))[:, grid.labels.ravel()]
    expected = np.array([values[c & known].mean() for c in covers.T])
    assert_allclose(grid.mean(values, known)[grid.labels.ravel()], expected, rtol=1e-12)


def test_coalitions_hide_one_window_each_over_all_inputs():
    task = question({"a": np.zeros((1, 3)), "b": np.zeros((1, 4, 1))}, {"a": Array(3), "b": Series(4)})
    parts, hidden = windows(task, {"b": 2}, None)
    rows = hidden[slice(0, len(hidden))]
    assert len(hidden) == 1 + 3 + 3
    assert rows[0].all()
    back = hidden.split(np.arange(len(hidden.order)))
    one = rows[1:][back["b"]][:, parts.slices["b"]][:, parts.labels["b"]]
    assert_array_equal(~one, [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]])
    assert rows[1:][back["b"]][:, parts.slices["a"]].all()
    assert_array_equal(~rows[1:][back["a"]][:, parts.slices["a"]], np.eye(3))


def sizes(x, spec, window=None, stride=None):
    _, hidden = windows(question(x, spec), window, stride)
    return [(a.window, a.stride) for a in hidden.grids[""].axes]


def test_default_windows():
    assert sizes(np.zeros((1, 28, 224, 3)), Image(28, 224)) == [(4, 2), (28, 14)]
    assert sizes(np.zeros((1, 140, 1)), Series(140)) == [(18, 9)]
    assert sizes(np.zeros((1, 9), int), Text(9)) == [(1, 1)]
    assert sizes(np.zeros((1, 300)), Array(300)) == [(1, 1)]
    assert sizes(np.zeros((1, 3, 32, 32)), Array((3, 32, 32))) == [(3, 1), (4, 2), (4, 2)]
    assert sizes(np.zeros((1, 2, 32)), Array((2, 32), ("channel", "time"))) == [(2, 2), (4, 2)]
    table = Table({"a": Number(), "b": Category("xyz")})
    assert sizes(np.zeros((1, 4)), table) == [(1, 1)]


@pytest.mark.parametrize(
    ("window", "stride", "message"),
    [
        (9, None, "larger than the height of 8"),
        (3, 4, "stride 4"),
        (0, None, "at least 1"),
        ((2, 2, 3, 1), None, "tuple of 2"),
        (2.5, 1, "number of steps"),
    ],
)
def test_windows_that_do_not_fit_are_refused(window, stride, message):
    with pytest.raises(ParameterError, match=message):
        windows(question(np.zeros((1, 8, 12, 3)), Image(8, 12)), window, stride)


def test_a_table_takes_no_window():
    with pytest.raises(ParameterError, match="column by column"):
        windows(question(np.zeros((1, 1)), Table({"a": Number()})), 2, None)
