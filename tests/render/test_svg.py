"""The SVG renderer draws every kind of panel as well-formed XML, in a page's own colours where asked."""

from xml.etree import ElementTree

import numpy as np
import pytest

import xaikit as xk
from tests.figures import synthetic as s
from xaikit.errors import UnknownName
from xaikit.figures import panels
from xaikit.render import draw

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("make", [s.image, s.segmented, s.coarse])
def test_results_are_well_formed(make):
    root = ElementTree.fromstring(draw(panels(make()), "svg"))
    assert root.find(f"{SVG}image") is not None
    assert float(root.get("width")) > 100


def test_curves_are_paths_that_break_where_a_value_is_missing():
    figure = panels(xk.curves({"loss": [3.0, float("nan"), 2.0, 1.0], "val_loss": [3.0, 2.5, 2.0, 2.1]}))
    root = ElementTree.fromstring(draw(figure, "svg"))
    training, validation = (p for p in root.iter(f"{SVG}path") if "stroke-width:2" in p.get("style"))
    assert training.get("d").count("M") == 2
    assert validation.get("d").count("M") == 1
    assert "dasharray" in validation.get("style")
    assert "dasharray" not in training.get("style")


def test_a_page_s_colours_are_variables_and_only_svg_knows_them():
    figure = panels(xk.curves({"loss": [3.0, 2.0]}))
    assert "var(--line0)" in draw(figure, "svg", theme="page")
    with pytest.raises(UnknownName):
        draw(figure, "matplotlib", theme="page")


def test_numbers_of_a_break_down_stand_clear_of_the_names_before_them():
    """Small steps down to the least value, whose long numbers are written to the left of the bars."""
    weights = np.array([-1e-4, -3.0, -2.0, 1.5, 2.3456e-5])
    model = xk.wrap(lambda x: np.asarray(x, np.float64) @ weights, inputs=xk.Array((5,)), outputs=xk.Values(["y"]))
    found = xk.break_down(model, np.zeros((2, 5)), np.ones((1, 5)), progress=False)
    root = ElementTree.fromstring(draw(panels(found), "svg"))
    lines: dict[float, list[tuple[float, float]]] = {}
    for text in root.iter(f"{SVG}text"):
        size, x = float(text.get("style").split("font-size:")[1].split("px")[0]), float(text.get("x"))
        wide = 0.6 * size * len(text.text)
        left = x - wide if text.get("text-anchor") == "end" else x
        lines.setdefault(float(text.get("y")), []).append((left, left + wide))
    rows = [sorted(places) for places in lines.values() if len(places) == 2]
    assert len(rows) == 7
    assert all(name[1] < said[0] for name, said in rows)
