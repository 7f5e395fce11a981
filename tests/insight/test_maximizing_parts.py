"""The parts of feature maximisation: every derivative is the one of its function, every adjoint that of its map."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from xaikit.errors import ParameterError
from xaikit.graph import Layer
from xaikit.insight._maximizing._ascent import Adam, Penalties
from xaikit.insight._maximizing._canvas import Canvas
from xaikit.insight._maximizing._objectives import Channels, Directions, unlike
from xaikit.insight._maximizing._parameters import Fourier, Phases, Pixels, colours_of, phases
from xaikit.insight._maximizing._transforms import Resampling, Transformations, crop

RNG = np.random.default_rng(4)


def sheet(*places: int, channels: int = 3) -> Canvas:
    spec = xk.Image(places[0], places[1], channels) if len(places) == 2 else xk.Array((*places, channels))
    low, high = np.zeros(channels, np.float32), np.ones(channels, np.float32)
    shape = (*places, channels)
    axes = ("depth", "height", "width")[-len(places) :]
    space = tuple(range(len(places)))
    return Canvas(spec, shape, (*axes, "channel"), space, low, high, np.full(channels, 0.4, np.float32), {})


def slope_of(function: Any, x: Any, direction: Any, step: float = 1e-3) -> float:
    """The derivative along a direction, from both sides."""
    return float((function(x + step * direction) - function(x - step * direction)) / (2 * step))


@pytest.mark.parametrize("places", [(11,), (9, 12), (5, 6, 7)])
@pytest.mark.parametrize("changes", [Transformations(), Transformations(0.2, 40, 0.2, True), Transformations(blur=2.0)])
def test_the_adjoint_of_a_change_is_its_transpose(places: tuple[int, ...], changes: Transformations) -> None:
    drawn = changes.draw(places, np.random.default_rng(1))
    u, v = RNG.standard_normal((2, 3, *places, 2)).astype(np.float32)
    assert_allclose((drawn(u) * v).sum(), (u * drawn.adjoint(v)).sum(), rtol=1e-4, atol=1e-4)
    assert np.abs(drawn(u) - u).max() > 0.1


def test_a_whole_shift_moves_places_and_a_still_one_nothing() -> None:
    u = RNG.random((1, 6, 7, 1), np.float32)
    moved = Resampling((6, 7), np.eye(2), np.array([1.0, -2.0]))(u)
    assert_allclose(moved[0, :5, 2:, 0], u[0, 1:, :5, 0], atol=1e-6)
    assert_array_equal(moved[0, 5], 0)
    assert_allclose(Resampling((6, 7), np.eye(2), np.zeros(2))(u), u, atol=1e-6)


def test_a_quarter_turn_turns_the_picture() -> None:
    u = RNG.random((1, 5, 5, 1), np.float32)
    turned = Resampling((5, 5), np.array([[0.0, -1.0], [1.0, 0.0]]), np.zeros(2))(u)
    assert_allclose(turned[0, :, :, 0], np.rot90(u[0, :, :, 0], -1), atol=1e-5)


def test_a_crop_of_the_middle_half_is_the_middle_half() -> None:
    u = np.broadcast_to(np.arange(8.0, dtype=np.float32)[None, :, None], (1, 8, 1))
    cut = crop((8,), 0.5, np.array([0.5]))(u)
    assert_allclose(cut[0, :, 0], 1.75 + 0.5 * np.arange(8), atol=1e-6)


@pytest.mark.parametrize("places", [(8, 8), (7, 9), (6,)])
def test_spectra_have_the_gradient_of_their_pictures(places: tuple[int, ...]) -> None:
    on = sheet(*places)
    colours = RNG.standard_normal((3, 3)).astype(np.float32)
    seed = RNG.standard_normal((1, *places, 3)).astype(np.float32)
    samples = RNG.random((5, *places, 3), np.float32)
    for made in (Fourier(on, colours), Fourier(on), phases(on, samples, colours)):
        p = made.start(np.random.default_rng(2))
        direction = RNG.standard_normal(p.shape).astype(np.float32)
        found = made.pulled(seed, p, made.picture(p))
        expected = slope_of(lambda q, made=made: (made.picture(q.astype(np.float32)) * seed).sum(), p, direction, 1e-2)
        assert found.shape == p.shape
        assert_allclose((found * direction).sum(), expected, rtol=2e-2, atol=1e-3)


def test_phases_keep_the_magnitude_of_the_samples() -> None:
    on = sheet(8, 8, channels=1)
    samples = RNG.random((9, 8, 8, 1), np.float32)
    made = phases(on, samples, None)
    assert isinstance(made, Phases)
    assert made.magnitude is not None
    spectrum = made._spectrum(made.start(np.random.default_rng(0)))
    assert_allclose(np.abs(spectrum[0]), made.magnitude, rtol=1e-5)


def test_pixels_stay_in_the_range_and_start_at_the_background() -> None:
    made = Pixels(sheet(6, 6))
    assert_allclose(made.start(np.random.default_rng(0)), 0.4, atol=0.06)
    assert_array_equal(made.admitted(np.array([-1.0, 0.5, 2.0])), [0, 0.5, 1])


def test_colours_of_samples_are_the_root_of_their_covariance() -> None:
    on, u = sheet(8, 8), RNG.random((20, 8, 8, 3), np.float32) @ RNG.random((3, 3), np.float32)
    root = colours_of(on, u)
    covariance = np.cov(u.reshape(-1, 3).T)
    ratio = (root @ root.T) / covariance
    assert_allclose(ratio, ratio[0, 0], rtol=1e-3)


@pytest.mark.parametrize("which", [Penalties(total_variation=1.0), Penalties(l1=1.0), Penalties(l2=1.0)])
def test_penalties_have_the_slope_of_what_they_measure(which: Penalties) -> None:
    u = RNG.random((1, 5, 6, 2))
    direction = RNG.standard_normal(u.shape)

    def measured(u: Any) -> float:
        soft = lambda d: np.sqrt(d * d + 0.01**2).mean()  # noqa: E731
        tv = soft(np.diff(u, axis=1)) + soft(np.diff(u, axis=2))
        return float(which.total_variation * tv + which.l1 * soft(u - 0.3) + which.l2 * np.square(u - 0.3).mean())

    found = (which.slope(u, np.float32(0.3)) * direction).sum()
    assert_allclose(found, slope_of(measured, u, direction, 1e-5), rtol=1e-3)


LAYER = Layer("conv", "conv", ("sample", "channel", "height", "width"), (4, 3, 2))


@pytest.mark.parametrize("place", [None, 4])
def test_a_direction_has_the_gradient_of_its_number(place: int | None) -> None:
    value = RNG.standard_normal((2, 4, 3, 2)).astype(np.float32) + 1
    vectors = RNG.standard_normal((2, 4)).astype(np.float32)
    made = Directions(of="conv", signs=np.array([1.0, -1.0]), layer=LAYER, place=place, vectors=vectors)
    which, direction = np.arange(2), RNG.standard_normal(value.shape)
    found = np.sum(made.seed(value, which) * direction)
    assert_allclose(found, slope_of(lambda v: made.values(v, which).sum(), value, direction), rtol=1e-2, atol=1e-3)


def test_channels_know_the_channel_axis_and_the_sign() -> None:
    value = RNG.standard_normal((2, 4, 3, 2)).astype(np.float32)
    signs, channels = np.array([1.0, -1.0], np.float32), np.array([2, 0])
    mean = Channels(of="conv", signs=signs, layer=LAYER, place=None, channels=channels, shape=(4, 3, 2))
    assert_allclose(mean.values(value, np.arange(2)), [value[0, 2].mean(), -value[1, 0].mean()], rtol=1e-5)
    assert_allclose(
        (np.asarray(mean.seed(None, np.arange(2))) * value).sum((1, 2, 3)), mean.values(value, np.arange(2))
    )
    unit = Channels(of="conv", signs=signs, layer=LAYER, place=3, channels=channels, shape=(4, 3, 2))
    assert_allclose(unit.values(value, np.arange(2)), [value[0, 2, 1, 1], -value[1, 0, 1, 1]])
    assert_allclose(unit.of_samples(value)[:, 0], value[:, 2].max((1, 2)))


def test_being_unlike_has_the_gradient_of_the_cosine_of_gram_matrices() -> None:
    flat = RNG.standard_normal((6, 5, 4))
    direction = np.zeros_like(flat)
    direction[1] = RNG.standard_normal((5, 4))
    numbers, slope = unlike(flat, 3)
    assert numbers.shape == (6,)
    assert_allclose((slope * direction).sum(), slope_of(lambda f: unlike(f, 3)[0][1], flat, direction), rtol=1e-3)
    same, _ = unlike(np.repeat(flat[:1], 3, axis=0), 3)
    assert_allclose(same, -1, atol=1e-6)


def test_adam_takes_the_first_step_along_the_sign_of_large_gradients() -> None:
    step = Adam(0.1, floor=0.0).step(np.array([[3.0, -2.0, 0.0]], np.float32))
    assert_allclose(step, [[0.1, -0.1, 0.0]], rtol=1e-4)
    damped = Adam(0.1, floor=1.0).step(np.array([[1.0, 1e-6]], np.float32))
    assert_allclose(damped, [[0.05, 1e-7]], rtol=1e-3)


@pytest.mark.parametrize("wrong", [{"shift": 0.7}, {"rotation": -1}, {"scale": "much"}, {"blur": True}, {"flips": 1}])
def test_changes_have_their_ranges(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        Transformations(**wrong)
