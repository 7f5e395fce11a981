"""Colours: zero in the middle, the same sign the same hue, readable with colour-blindness."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit.figures import NOT_FINITE, Scale, borders, limit_of, over, paled, picture, rgba, stops
from xaikit.figures._colours import around_grey

SCALE = Scale(2.0)

# Machado, Oliveira and Fernandes 2009, table 1: severity 1, applied to linear RGB.
BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colour: np.ndarray, blindness: str | None) -> np.ndarray:
    from skimage.color import rgb2lab

    if blindness is not None:
        linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
        linear = np.clip(linear @ np.array(BLINDNESS[blindness]).T, 0, 1)
        colour = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(rgb2lab(colour[None])[0])


def test_zero_is_transparent_and_strength_is_symmetric() -> None:
    values = np.linspace(-2, 2, 9)
    alpha = rgba(values, SCALE)[:, 3]
    assert alpha[4] == 0
    assert_allclose(alpha, alpha[::-1])
    assert np.all(np.diff(alpha[4:]) > 0)


def test_above_zero_is_red_and_below_is_blue() -> None:
    positive, negative = over(np.array([1.0, -1.0]), SCALE)
    assert positive[0] > positive[2]
    assert negative[2] > negative[0]


def test_beyond_the_limit_takes_the_last_colour() -> None:
    assert_allclose(rgba(np.array([5.0, -9.0]), SCALE), rgba(np.array([2.0, -2.0]), SCALE))


def test_what_is_not_finite_is_yellow_and_opaque() -> None:
    assert_allclose(rgba(np.array([np.nan, np.inf]), SCALE, 0.5), [[*NOT_FINITE, 1.0]] * 2)


@pytest.mark.parametrize("blindness", [None, *BLINDNESS])
def test_signs_differ_for_every_kind_of_sight(blindness: str | None) -> None:
    # Twenty CIELAB units are plain to see side by side; half strength must be told apart too.
    for share in (0.5, 1.0):
        red, blue = lab(over(np.array([share, -share]) * 2, SCALE), blindness)
        assert np.linalg.norm(red - blue) > 20


@pytest.mark.parametrize("blindness", [None, *BLINDNESS])
def test_lightness_falls_with_strength_on_both_arms(blindness: str | None) -> None:
    lightness = lab(over(np.linspace(-2, 2, 41), SCALE), blindness)[:, 0]
    assert np.all(np.diff(lightness[:21]) > 0)
    assert np.all(np.diff(lightness[20:]) < 0)


def test_a_sequential_scale_starts_at_zero() -> None:
    scale = Scale(2.0, kind="sequential")
    assert scale.low == 0
    assert_allclose(rgba(np.array([-1.0]), scale), rgba(np.array([0.0]), scale))
    assert np.all(np.diff(lab(over(np.linspace(0, 2, 20), scale), None)[:, 0]) > 0)


def test_stops_are_the_colours_of_the_numbers_along_the_scale() -> None:
    found = stops(SCALE, 0.8, 5)
    assert [at for at, _ in found] == [0, 0.25, 0.5, 0.75, 1]
    assert_allclose([colour for _, colour in found], rgba(np.linspace(-2, 2, 5), SCALE, 0.8))


def test_the_limit_is_a_percentile_or_the_maximum() -> None:
    values = np.arange(-50.0, 51)
    assert limit_of([values], robust=False) == 50
    assert_allclose(limit_of([values]), np.percentile(np.abs(values), 99))


@pytest.mark.parametrize(
    ("values", "limit"),
    [(np.zeros(5), 1.0), (np.array([np.nan, np.inf]), 1.0), (np.r_[np.zeros(999), -3.0], 3.0)],
)
def test_a_limit_is_never_zero(values: np.ndarray, limit: float) -> None:
    assert limit_of([values]) == limit


def test_pictures_become_three_channels_of_bytes() -> None:
    assert_array_equal(picture(np.full((2, 2), 7, np.uint8)), np.full((2, 2, 3), 7))
    assert_array_equal(picture(np.full((2, 2, 4), 7, np.uint8)), np.full((2, 2, 3), 7))
    assert picture(np.full((2, 2, 3), 127.5)).max() == 128
    stretched = picture(np.linspace(-1, 1, 12).reshape(2, 2, 3), scale=1.0)
    assert (stretched.min(), stretched.max()) == (0, 255)


def test_what_is_not_finite_in_a_picture_is_yellow() -> None:
    shown = picture(np.array([[[np.nan] * 3, [0.5, np.inf, 0.5], [0.2, 0.2, 0.2]]]), scale=1.0)
    assert_array_equal(shown[0, :2], np.rint(255 * np.array([NOT_FINITE] * 2)))
    assert_array_equal(shown[0, 2], [51] * 3)


def test_a_paled_picture_is_light_grey() -> None:
    pale = paled(np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], np.uint8))
    assert np.all(pale == pale[..., :1])
    assert pale[0, 0, 0] == round(255 * 0.45)
    assert pale[0, 1, 0] == 255


def test_borders_lie_between_different_labels() -> None:
    labels = np.array([[0, 0, 1], [0, 0, 1], [2, 2, 2]])
    found = {tuple(map(tuple, segment)) for segment in borders(labels)}
    assert found == {((0, 2), (3, 2)), ((2, 0), (2, 2))}


def test_borders_have_the_length_of_all_changes() -> None:
    labels = np.random.default_rng(0).integers(0, 3, (17, 23))
    changes = np.sum(labels[1:] != labels[:-1]) + np.sum(labels[:, 1:] != labels[:, :-1])
    ends = borders(labels)
    assert np.abs(ends[:, 1] - ends[:, 0]).sum() == changes


def test_one_label_has_no_border() -> None:
    assert borders(np.zeros((4, 4), int)).shape == (0, 2, 2)


def test_signed_colours_lie_around_grey() -> None:
    values = np.array([[[0.0, 0.0, 0.0], [-2.0, 0.0, 2.0], [np.nan, 1.0, 1.0]]])
    shown = around_grey(values, 2.0)
    assert_array_equal(shown[0, :2], [[128] * 3, [0, 128, 255]])
    assert_array_equal(shown[0, 2], np.rint(255 * np.array(NOT_FINITE)))
