"""Variables: what setting one does to a row, and how its value and name are written."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.tabular.models import normal
from xaikit.errors import ParameterError, UnknownName
from xaikit.tabular._ale import binned, likeness
from xaikit.tabular._variables import frame_of


def test_a_channel_is_shifted_to_a_mean_in_its_own_units() -> None:
    x = normal(4, 12).reshape(4, 6, 2)
    frame = frame_of(xk.Series(6, 2, None, (10.0, 20.0), (3.0, 0.5)), x)
    one = frame["channel 1"]
    flat = frame.flatten(x).copy()
    assert_allclose(one.numbers(flat), 20 + 0.5 * x[..., 1].mean(1), rtol=1e-6)
    one.put(flat, 21.0)
    assert_allclose(one.numbers(flat), 21, rtol=1e-6)
    back = frame.restore(flat)
    assert_array_equal(back[..., 0], x[..., 0])
    assert_allclose(back[..., 1] - back[:, :1, 1], x[..., 1] - x[:, :1, 1], atol=1e-5)


def test_a_band_is_scaled_to_its_root_mean_square() -> None:
    x = normal(3, 32).reshape(3, 32, 1)
    frame = frame_of(xk.Series(32, 1, 32.0), x, {"bands": {"low": (0, 4), "high": (4, 17)}})
    flat = frame.flatten(x)
    low = frame["low"]
    spectrum = np.fft.rfft(x[..., 0], axis=1)
    spectrum[:, 4:] = 0  # four hertz belong to the band that begins there
    part = np.fft.irfft(spectrum, 32, 1)
    assert_allclose(low.numbers(flat), np.sqrt((part**2).mean(1)), rtol=1e-6)
    changed = flat.copy()
    low.put(changed, 0.7)
    assert_allclose(low.numbers(changed), 0.7, rtol=1e-6)
    louder = part * (0.7 / np.sqrt((part**2).mean(1)))[:, None]
    assert_allclose((frame.restore(changed) - frame.restore(flat))[..., 0], louder - part, atol=1e-5)
    silent = np.zeros_like(flat)
    low.put(silent, 1.0)
    assert not silent.any()


@pytest.mark.parametrize(
    ("value", "text"), [(999.94, "999.9"), (1000.0, "1000"), (12345.6, "12345.6"), (-2e3, "-2000")]
)
def test_numbers_are_written_with_the_digits_that_they_need(value: float, text: str) -> None:
    assert frame_of(xk.Array((2,)), np.zeros((1, 2)))["0"].word(value) == text


@pytest.mark.parametrize(
    ("axes", "shape", "names"),
    [
        (("time", "electrode", "kind"), (5, 3, 1), ("electrode 0", "electrode 1", "electrode 2")),
        (
            ("time", "electrode", "kind"),
            (5, 2, 2),
            tuple(f"electrode {i}, kind {k}" for i in range(2) for k in range(2)),
        ),
        (("time", "electrode", "kind"), (5, 1, 1), ("channel 0",)),
        (("time", "electrode"), (5, 2), ("channel 0", "channel 1")),
        (("height", "width", "channel"), (5, 2, 2), ("channel 0", "channel 1")),
    ],
)
def test_channels_are_named_by_their_axes(axes: Any, shape: tuple[int, ...], names: tuple[str, ...]) -> None:
    assert frame_of(xk.Array(shape, axes=axes), np.zeros((2, *shape))).names == names


def test_variables_are_asked_for_by_number_mask_and_group() -> None:
    x = normal(3, 4)
    frame = frame_of(xk.Array((4,)), x)
    assert [frame[i].name for i in (0, 3, -4, -1)] == ["0", "3", "0", "3"]
    for wrong in (4, -5, True):
        with pytest.raises(UnknownName):
            frame[wrong]
    mask = np.array([True, False, True, False])
    asked = frame_of(xk.Array((4,)), x, {"some": mask, "one": 1, "pair": [1, 3], "single": ["3"]})
    assert [v.kind for v in asked.variables] == ["level", "number", "level", "number"]
    assert [v.places.tolist() for v in asked.variables] == [[0, 2], [1], [1, 3], [3]]
    assert_allclose(asked["some"].numbers(x), x[:, [0, 2]].mean(1), rtol=1e-6)
    labels = frame_of(xk.Array((4,)), x, np.array([2, 0, 2, 5]))
    assert [(v.name, v.places.tolist()) for v in labels.variables] == [("0", [1]), ("2", [0, 2]), ("5", [3])]
    with pytest.raises(ParameterError, match="no members"):
        frame_of(xk.Array((4,)), x, {"none": []})


def test_windows_of_channels_in_one_unit_have_it() -> None:
    x = normal(3, 8).reshape(3, 8, 1)
    frame = frame_of(xk.Series(8, 1, None, 5.0, 2.0), x, {"windows": 2})
    assert frame.names == ("0–4", "4–8")
    assert_allclose(frame["0–4"].numbers(frame.flatten(x)), 5 + 2 * x[:, :4, 0].mean(1), rtol=1e-6)


def order(words: Any, codes: Any, others: dict[str, Any]) -> list[str]:
    """The likeness order of the categories of a column beside others."""
    columns: dict[str, Any] = {"town": xk.Category(tuple(words))}
    rows: list[dict[str, Any]] = [{"town": words[c]} for c in codes]
    for name, values in others.items():
        text = isinstance(values[0], str)
        columns[name] = xk.Category(tuple(sorted(set(values)))) if text else xk.Number(0, 1)
        for row, value in zip(rows, values, strict=True):
            row[name] = value
    table = xk.Table(columns)
    x = table.encode(rows)
    frame = frame_of(table, x)
    present = np.unique(codes)
    return [words[i] for i in present[likeness(frame, frame.flatten(x), frame["town"], present)]]


def test_categories_lie_as_their_shares_of_another_category_do() -> None:
    # shares of "x": p 0, q 1/2, r 1, s 1/4; so p, s, q, r in a row, or the other way round, however many there are
    codes = np.repeat([0, 1, 2, 3], [4, 2, 9, 4])
    found = order("pqrs", codes, {"kind": [*"yyyy", *"xy", *"xxxxxxxxx", *"xyyy"]})
    assert found in ([*"psqr"], [*"rqsp"])


def test_categories_lie_as_distributions_of_a_number_do() -> None:
    codes = np.repeat([0, 1, 2, 3], [4, 2, 9, 4])
    found = order("pqrs", codes, {"size": [*[0.0] * 4, 0.0, 9.0, *[9.0] * 9, 9.0, 0.0, 0.0, 0.0]})
    assert found in ([*"psqr"], [*"rqsp"])


def test_numbers_and_categories_weigh_alike_in_likeness() -> None:
    # distances: the largest difference of distribution functions, which is 1 here, for each of two columns of numbers
    # that part {p, q} from {r} and {p} from {q, r}; half the sum over shares would be 1 for a category as well
    codes = np.repeat([0, 1, 2], 5)
    low_high = np.repeat([0.0, 0.0, 9.0], 5)
    found = order("pqr", codes, {"a": low_high.tolist(), "b": np.repeat([*"uvv"], 5).tolist()})
    assert found in ([*"pqr"], [*"rqp"])
    assert order(["3", "1", "2"], codes, {"a": low_high.tolist()}) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("seen", "edges", "place", "kept", "outside"),
    [
        ([1, 2, 3, 4], [1, 2, 4], [0, 0, 1, 1], [1, 2, 4], False),
        ([0, 2, 5], [1, 2, 4], [-1, 0, -1], [1, 2], True),
        ([7, 8], [7], [0, -1], [7], True),
        ([7, 7], [7], [0, 0], [7], False),
        ([3.5, 3.8], [1, 2, 3, 4], [0, 0], [3, 4], False),
        ([1, 3.5], [1, 2, 3, 4], [0, 1], [1, 2, 4], False),
        ([9], [1, 2], [-1], [1], True),
    ],
)
def test_bins(seen: Any, edges: Any, place: Any, kept: Any, outside: bool) -> None:
    found, left, out = binned(np.array(seen, float), np.array(edges, float))
    assert_array_equal(found, place)
    assert_array_equal(left, kept)
    assert out is outside
