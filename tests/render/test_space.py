"""Points in space: seen from the same side by every renderer, near ones over far ones, all of them on the paper."""

import re
from itertools import product

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from numpy.testing import assert_allclose, assert_array_equal

from xaikit.figures import Cloud, Figure, SpacePanel
from xaikit.render import draw, png
from xaikit.render._layout import Box
from xaikit.render._space import EYE, View, cube_of, directions, symbol_of

CORNERS = np.array(list(product((-1.0, 1.0), repeat=3)))
NAMES = ("first", "second", "third")


def view(*clouds: Cloud) -> View:
    centre, half = cube_of(clouds)
    ticks = [[(float(c), "middle")] for c in centre]
    return View(clouds, ["#111111", "#222222"][: len(clouds)], NAMES, centre, half, ticks, "#000", "#555", "#ccc")


def figure(*clouds: Cloud) -> Figure:
    return Figure(title="Space", rows=((SpacePanel(clouds=clouds, labels=NAMES),),))


def test_directions_are_at_right_angles_and_up_is_up() -> None:
    axes = np.stack(directions())
    assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    assert_allclose(np.linalg.det(axes), 1)  # right, up, towards the eye: as a person sees it
    assert axes[1][2] > 0.5


def test_a_whole_cube_is_on_the_paper_with_one_scale() -> None:
    box = Box(10, 20, 400, 300)
    seen = view(Cloud("a", 5 + CORNERS * [3, 1, 2]))
    assert_allclose(seen.half, 3 * 1.08)
    assert_allclose(seen.centre, 5)
    places = seen.on_paper(seen.centre + seen.half * CORNERS, box)
    assert (places >= [10, 20]).all()
    assert (places <= [410, 320]).all()
    assert np.ptp(places[:, 1]) > 0.8 * 300
    # up is up on paper: y grows downwards
    assert seen.on_paper(seen.centre + np.array([0, 0, 1]), box)[1] < seen.on_paper(seen.centre, box)[1]


def test_near_points_are_drawn_over_far_ones() -> None:
    far, near = -2 * np.array([EYE]), 2 * np.array([EYE])
    dots = list(view(Cloud("near", near), Cloud("far", far)).dots(Box(0, 0, 100, 100)))
    assert [d.colour for d in dots] == ["#222222", "#111111"]
    assert dots[0].size < dots[1].size
    assert dots[0].opacity < dots[1].opacity


def test_points_that_are_not_finite_are_left_out() -> None:
    points = np.vstack([CORNERS, [np.nan, 0, 0]])
    assert sum(len(d.places) for d in view(Cloud("a", points)).dots(Box(0, 0, 9, 9))) == 8
    nowhere = Cloud("a", np.full((2, 3), np.nan))
    assert cube_of([nowhere])[1] == 1.0
    assert cube_of([Cloud("a", np.zeros((3, 3)))])[1] == 1.0
    assert png(figure(nowhere), width=300)


def test_shapes_begin_anew_with_the_colours() -> None:
    assert [symbol_of(Cloud("", CORNERS, k)) for k in (-1, 0, 5, 6, 12)] == [
        *("circle", "circle", "circle", "square", "diamond")
    ]
    assert symbol_of(Cloud("", CORNERS, "#123456")) == "circle"


def test_plotly_begins_at_the_side_of_the_printed_picture() -> None:
    drawn = draw(figure(Cloud("a", CORNERS, "#123456"), Cloud("b", CORNERS + 1, 7)), "plotly")
    eye = drawn.layout.scene.camera.eye
    assert_allclose(np.cross([eye.x, eye.y, eye.z], EYE), 0, atol=1e-12)
    assert drawn.layout.scene.camera.projection.type == "orthographic"
    assert [t.marker.symbol for t in drawn.data] == ["circle", "square"]
    assert drawn.data[0].marker.color == "#123456"
    assert_array_equal(drawn.data[1].x, CORNERS[:, 0] + 1)
    assert {a.text for a in drawn.layout.annotations} >= {"a", "b"}
    two = draw(Figure(title="", rows=(figure(Cloud("a", CORNERS)).rows[0] * 2,)), "plotly")
    assert {t.scene for t in two.data} == {"scene", "scene2"}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_and_pictures_hold_every_point_and_name(theme: str) -> None:
    shown = figure(Cloud("a", CORNERS, "#123456"))
    page = draw(shown, "svg", theme=theme)
    assert sum(len(re.findall("h0", p)) for p in re.findall(r'd="([^"]*)" style="[^"]*#123456', page)) == 8
    for name in (*NAMES, "a"):
        assert f">{name}</text>" in page
    printed = draw(shown, "matplotlib", theme=theme)
    collections = [c for c in printed.axes[0].collections if isinstance(c, PathCollection)]
    assert sum(len(c.get_offsets()) for c in collections) == 8
