"""Receptive fields as panels: lines by depth, bars where they change, boxes on a picture, maps and curves."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import xaikit as xk
from xaikit.errors import NotSupported, UnknownName
from xaikit.figures import BarPanel, CurvePanel, ImagePanel, MapPanel, boxes_figure, panels
from xaikit.render import draw

torch = pytest.importorskip("torch")
nn = torch.nn


@pytest.fixture(scope="module")
def model() -> Any:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(2, 2, 5, padding=2), nn.Flatten(),
        nn.Linear(2 * 6 * 5, 3),
    )  # fmt: skip
    return xk.wrap(net.eval(), inputs=xk.Image(12, 10, 1))


def test_lines_by_depth_and_bars(model: Any) -> None:
    figure = panels(xk.receptive_field(model))
    curve, bars = figure.rows[0]
    assert isinstance(curve, CurvePanel)
    assert isinstance(bars, BarPanel)
    named = {t.name: t.y for t in curve.traces}
    assert_array_equal(named["field (height)"][:4], [3, 3, 4, 12])
    assert_array_equal(named["input (width)"], np.full(6, 10.0))
    assert bars.labels[:3] == ("0 · 3 / 1, 1", "2 · 4 / 2, 1", "3 · 12 / 2, 5")
    assert any("From 3 on the field is the whole input or larger" in n for n in figure.notes)


def test_boxes_on_a_picture(model: Any) -> None:
    image = np.random.default_rng(0).integers(0, 256, (12, 10, 1)).astype(np.uint8)
    figure = boxes_figure(xk.receptive_field(model), image, ["0", "3"], (0, 0))
    (panel,) = figure.panels
    assert isinstance(panel, ImagePanel)
    # unit (0, 0) of "3" sees rows -5 to 6: five rows of padding above the picture
    assert panel.image.shape == (12 + 5, 10 + 5, 3)
    assert_array_equal(panel.image[5:, 5:, :1], image)
    assert [f.box for f in panel.frames] == [(4.0, 4.0, 7.0, 7.0), (0.0, 0.0, 12.0, 12.0)]
    assert "padding" in panel.facts[1]
    with pytest.raises(UnknownName):
        boxes_figure(xk.receptive_field(model), image, ["9"])


def test_boxes_need_a_picture() -> None:
    rf = xk.receptive_field(xk.wrap(nn.Sequential(nn.Conv1d(1, 1, 3)).eval(), inputs=xk.Series(9, 1)))
    with pytest.raises(NotSupported, match="pictures"):
        boxes_figure(rf, np.zeros((9, 9)))


def test_a_map_with_two_squares(model: Any) -> None:
    x = np.random.default_rng(0).integers(0, 256, (16, 12, 10, 1)).astype(np.uint8)
    result = xk.effective_field(model, x, ["0", "3"])
    small, large = list(panels(result).panels)
    assert isinstance(small, MapPanel)
    assert isinstance(large, MapPanel)
    assert small.values.max() == 1.0
    assert small.values.shape == (5, 5)  # the field and as much as half of it around
    assert large.values.shape == (12, 10)
    assert small.frames[0].box == (1.0, 1.0, 4.0, 4.0)


def test_a_curve_over_time() -> None:
    model = xk.wrap(nn.Sequential(nn.Conv1d(1, 2, 3)).eval(), inputs=xk.Series(9, 1))
    x = np.random.default_rng(0).normal(size=(16, 9, 1))
    (panel,) = panels(xk.effective_field(model, x, "0", 2)).panels
    assert isinstance(panel, CurvePanel)
    strength, theory, _ = panel.traces
    assert np.flatnonzero(strength.y).tolist() == [2, 3, 4]
    assert (theory.x.min(), theory.x.max()) == (1.5, 4.5)


@pytest.mark.parametrize("renderer", ["none", "svg", "matplotlib", "plotly"])
def test_every_renderer_draws_frames(model: Any, renderer: str) -> None:
    image = np.zeros((12, 10, 3), np.uint8)
    figure = boxes_figure(xk.receptive_field(model), image, ["0", "2", "3"])
    assert draw(figure, renderer) is not None
    assert [f.name for p in figure.panels for f in p.frames] == ["0 3", "2 4", "3 12"]  # type: ignore[attr-defined]
