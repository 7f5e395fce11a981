"""The SVG renderer draws every kind of panel as well-formed XML, in a page's own colours where asked."""

from xml.etree import ElementTree

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
