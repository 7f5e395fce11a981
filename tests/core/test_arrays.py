"""Arithmetic on named arrays against the definitions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from xaikit.arrays import agreement, chunks, concatenate, each, total, upsample
from xaikit.graph import Geometry
from xaikit.results import Status, judge


def test_upsampling_is_what_torch_calls_bilinear():
    torch = pytest.importorskip("torch")
    maps = np.random.default_rng(0).normal(size=(2, 5, 7))
    for shape in ((10, 14), (13, 9), (5, 20)):
        theirs = torch.nn.functional.interpolate(
            torch.tensor(maps)[:, None], shape, mode="bilinear", align_corners=False
        )
        assert_allclose(upsample(maps, shape), theirs[:, 0].numpy(), atol=1e-12)


def test_what_is_not_finite_agrees_with_the_same_only():
    a = np.array([[np.nan, 1.0], [np.nan, 1.0], [1.0, 2.0], [np.inf, 2.0], [np.inf, 2.0], [-np.inf, 2.0]])
    b = np.array([[np.nan, 1.0], [0.0, 1.0], [np.nan, 2.0], [np.inf, 2.0], [1.0, 2.0], [np.inf, 2.0]])
    assert_allclose(agreement(a, b), [0.0, np.inf, np.inf, 0.0, np.inf, np.inf])


def test_agreement_is_relative_to_the_largest_value_of_each_sample():
    a = np.array([[1.0, -4.0], [0.0, 0.0], [0.0, 0.0]])
    b = np.array([[1.0, -3.0], [0.0, 0.0], [0.0, 1.0]])
    assert_allclose(agreement(a, b), [0.25, 0.0, np.inf])


def test_mappings_are_treated_name_by_name():
    x = {"a": np.ones((2, 3)), "b": np.ones((2, 2, 2))}
    assert_allclose(total(each(np.add, x, x)), [14, 14])
    assert concatenate([x, x])["b"].shape == (4, 2, 2)


def test_chunks_cover_every_row_once():
    assert [s.stop - s.start for s in chunks(10, 4)] == [4, 4, 2]


@pytest.mark.parametrize(
    ("n", "k", "s", "p", "expected"), [(227, 11, 4, 0, 55), (13, 3, 2, 0, 6), (5, 3, 1, 1, 5), (6, 3, 1, 0, 4)]
)
def test_the_length_of_a_convolution(n, k, s, p, expected):
    assert Geometry("window", (k,), (s,), ((p, p),), (1,)).output_size((n,)) == (expected,)


@pytest.mark.parametrize(
    ("quality", "level"),
    [
        ({}, "ok"),
        ({"completeness_gap_relative": [0.005]}, "ok"),
        ({"completeness_gap_relative": [0.0, 0.02]}, "warn"),
        ({"completeness_gap_relative": [0.06]}, "fail"),
        ({"completeness_gap_relative": [np.nan]}, "fail"),
        ({"surrogate_r2": [0.9]}, "ok"),
        ({"surrogate_r2": [0.4]}, "warn"),
        ({"surrogate_r2": [0.9, 0.1]}, "fail"),
        ({"complete": [0.5]}, "warn"),
    ],
)
def test_the_verdict_follows_the_thresholds(quality, level):
    status = judge({k: np.array(v) for k, v in quality.items()}, np.ones((1, 2)))
    assert status == level
    assert bool(status.reasons) == (level != "ok")


def test_maps_that_are_not_finite_fail_and_maps_of_zeros_warn():
    assert judge({}, np.array([[1.0, np.nan]])) == "fail"
    assert judge({}, np.zeros((1, 3))) == "warn"


def test_a_status_survives_copies():
    import copy

    status = copy.deepcopy(Status("warn", ("why",)))
    assert (status, status.reasons) == ("warn", ("why",))
