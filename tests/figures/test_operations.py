"""Operations as panels: the window, its weights and products are those of the step, at the right place."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from xaikit.figures import CurvePanel, GridsPanel, ImagePanel, MapPanel, panels
from xaikit.render import draw, png

pytestmark = pytest.mark.slow

PHOTO = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)


def drawn(*shape: int) -> Any:
    return np.random.default_rng(1).normal(size=shape)


def grids(figure: Any) -> list[GridsPanel]:
    return [p for p in figure.panels if isinstance(p, GridsPanel)]


def test_small_arrays_are_numbers_with_the_window_framed() -> None:
    steps = xk.explore(drawn(6, 5), "cross-correlation", kernel=drawn(2, 3)).at(3, 1)
    whole, one = grids(panels(steps))
    before, after = whole.grids
    assert_array_equal(before.values, steps.x[..., 0])
    assert_array_equal(after.values, steps.output[..., 0])
    assert_array_equal(np.argwhere(before.marked), [[3, 1], [3, 2], [3, 3], [4, 1], [4, 2], [4, 3]])
    assert_array_equal(np.argwhere(after.marked), [[3, 1]])
    window, weights, products, total = one.grids
    assert one.signs == ("×", "=", "→")
    assert_array_equal(window.values, steps.x[3:5, 1:4, 0])
    assert_array_equal(products.values, window.values * weights.values)
    assert_allclose(total.values, products.values.sum(), rtol=1e-12)


def test_a_window_with_gaps_frames_the_places_that_are_read() -> None:
    steps = xk.explore(drawn(5, 5), "max-pool", size=2, dilation=2, stride=1).at(1, 0)
    before, _ = grids(panels(steps))[0].grids
    assert_array_equal(np.argwhere(before.marked), [[1, 0], [1, 2], [3, 0], [3, 2]])


def test_pictures_stay_pictures_as_long_as_they_can() -> None:
    blurred = panels(xk.explore(PHOTO, "cross-correlation", kernel="box-3").at(10, 20))
    before, after = (p for p in blurred.panels if isinstance(p, ImagePanel))
    assert_array_equal(before.image, PHOTO)
    assert before.frame == (10, 20, 13, 23)
    assert after.frame == (10, 20, 11, 21)
    edges = panels(xk.explore(PHOTO, "cross-correlation", kernel="sobel-x"))
    assert [type(p) for p in edges.panels][:2] == [ImagePanel, MapPanel]


def test_the_frame_on_a_large_picture_is_large_enough_to_be_seen() -> None:
    large = panels(xk.explore(np.zeros((400, 600)), "cross-correlation", kernel="box-3", padding="same").at(0, 300))
    frames = [p.frame for p in large.panels if isinstance(p, MapPanel)]
    for top, left, bottom, right in frames:
        assert bottom - top >= 7
        assert right - left >= 14
        assert top >= 0


def test_many_channels_are_cut_to_those_that_give_most() -> None:
    x, kernel = drawn(4, 4, 6), np.zeros((3, 3, 6))
    kernel[..., 4], kernel[..., 1] = 5.0, 1.0
    rows = grids(panels(xk.explore(x, "cross-correlation", kernel=kernel)))[1:]
    assert len(rows) == 3
    names = [r.grids[0].name for r in rows]
    assert {"window, channel 1", "window, channel 4"} <= set(names)
    assert [len(r.grids) for r in rows] == [3, 3, 4]
    assert rows[-1].facts == ("The 3 of 6 input channels that give most are shown.",)


def test_a_series_has_its_output_over_the_middle_of_its_window() -> None:
    steps = xk.explore(drawn(40), "cross-correlation", kernel="mean-5").at(7)
    (curve,) = (p for p in panels(steps).panels if isinstance(p, CurvePanel))
    given, window, output = curve.traces
    assert_array_equal(given.y, steps.x[:, 0])
    assert_array_equal(np.flatnonzero(np.isfinite(window.y)), np.arange(7, 12))
    assert output.x[7] == 9
    assert curve.mark is not None
    assert (curve.mark.x, curve.mark.y) == (9, steps.output[7, 0])


def test_a_function_stands_beside_its_derivative() -> None:
    steps = xk.explore(np.linspace(-2, 2, 5), "activation", function="tanh").at(3)
    (curve,) = (p for p in panels(steps).panels if isinstance(p, CurvePanel))
    function, derivative = curve.traces
    assert_allclose(function.y, np.tanh(function.x))
    assert_allclose(derivative.y, 1 - np.tanh(function.x) ** 2)
    assert curve.mark is not None
    assert_allclose((curve.mark.x, curve.mark.y), (1, np.tanh(1)))


def test_a_normalisation_frames_its_group() -> None:
    steps = xk.explore(drawn(5, 3), "layer-norm").at(2, 1)
    figure = panels(steps)
    before, after = grids(figure)[0].grids
    assert_array_equal(np.argwhere(before.marked), [[2, 0], [2, 1], [2, 2]])
    assert_array_equal(np.argwhere(after.marked), [[2, 1]])
    assert any("over 3 values" in n for n in figure.notes)


def test_words_say_what_the_padding_counts_for() -> None:
    zeros = panels(xk.explore(drawn(4, 4), "cross-correlation", kernel="box-3", padding="same").at(0, 0))
    assert any("5 of 9 places of the window have no input and count as 0" in n for n in zeros.notes)
    apart = panels(xk.explore(drawn(4, 4), "max-pool", padding=1).at(0, 0))
    assert any("3 of 4 places of the window lie in the padding" in n for n in apart.notes)


ALL = [
    ("cross-correlation", {"kernel": "sobel-x"}),
    ("normalised-cross-correlation", {"kernel": "cross"}),
    ("transposed-convolution", {"kernel": "box-3", "stride": 2}),
    ("max-pool", {"size": 3, "padding": "same"}),
    ("lp-pool", {}),
    ("global-average-pool", {}),
    ("upsample-nearest", {}),
    ("upsample-bicubic", {}),
    ("bed-of-nails", {}),
    ("softmax", {}),
    ("instance-norm", {"axes": ("height", "width", "channel")}),
    ("activation", {"function": "gelu"}),
]


@pytest.mark.parametrize("shape", [(4, 4, 2), (30, 40, 3)], ids=str)
@pytest.mark.parametrize(("operation", "parameters"), ALL, ids=lambda v: v if isinstance(v, str) else "")
def test_all_are_drawn_by_every_renderer(operation: str, parameters: Any, shape: tuple[int, ...]) -> None:
    figure = panels(xk.explore(drawn(*shape), operation, **parameters))
    assert all(p.alt for p in figure.panels)
    for renderer in ("plotly", "svg", "none"):
        assert draw(figure, renderer) is not None
    assert png(figure, width=300)[:4] == b"\x89PNG"


@pytest.mark.parametrize("shape", [(3, 4, 5, 2), (2, 6, 7, 8, 1)], ids=str)
def test_volumes_are_drawn_by_the_plane_that_is_shown(shape: tuple[int, ...]) -> None:
    if len(shape) == 4:
        steps = xk.explore(drawn(*shape), "max-pool", size=2, stride=1).at(1, 2, 3, 0)
        before, _ = grids(panels(steps))[0].grids
        assert_array_equal(before.values, steps.x[1, :, :, 0])
    else:
        steps = xk.explore(drawn(*shape), "batch-norm")
    assert png(panels(steps), width=300)


def test_a_single_number_and_a_vector() -> None:
    for x in ([3.0], [[2.0]]):
        assert png(panels(xk.explore(x, "activation")), width=300)
    assert png(panels(xk.explore([1.0, 2.0, 3.0], "softmax")), width=300)
