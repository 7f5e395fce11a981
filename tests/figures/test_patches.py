"""Patches as panels: cut by what the unit sees, all of one size, beside their projections and the whole samples."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import image_pair
from xaikit.figures import BarPanel, LinePanel, TilesPanel, panels
from xaikit.figures._patches import CHANNELS, projection_of
from xaikit.render import draw
from xaikit.results import LayerPatches, Status, TopPatches


def draws(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape)


def patches(layer: str = "c2", **changes: Any) -> TopPatches:
    model, x = image_pair("torch")
    found = xk.top_patches(model, x, layer, 1, k=2)
    assert isinstance(found, TopPatches)
    return replace(found, **changes)


def tiles(result: Any) -> list[TilesPanel]:
    found = list(panels(result).panels)
    assert all(isinstance(p, TilesPanel) for p in found)
    return found  # type: ignore[return-value]


def test_patches_are_cut_from_their_samples_and_framed_in_them() -> None:
    found = patches()
    seen, projected, whole = tiles(found)
    for i, (crop, tile) in enumerate(zip(seen.tiles, whole.tiles, strict=True)):
        (top, bottom), (left, right) = found.boxes[i]
        assert_array_equal(crop.values, found.display[i][top : bottom + 1, left : right + 1])
        assert_array_equal(tile.values, found.display[i])
        assert tile.frame == (top, left, bottom + 1, right + 1)
        values = found.projections[i]
        expected = 127.5 + 127.5 * values / np.abs(values).max()
        assert_allclose(projected.tiles[i].values, expected, atol=0.51)
    assert any("weights are random" in note for note in panels(found).notes)


def test_without_a_projection_there_is_no_panel_of_it() -> None:
    assert len(tiles(patches(projections=None, projection=None))) == 2


def test_what_lies_beyond_the_border_is_grey() -> None:
    found = patches(
        windows=np.array([[[-2, 3], [4, 8]], [[9, 14], [8, 12]]]),
        boxes=np.array([[[0, 3], [4, 8]], [[9, 11], [8, 11]]]),
        projections=None,
    )
    seen, whole = tiles(found)
    assert [t.values.shape for t in seen.tiles] == [(6, 5, 3)] * 2
    assert_array_equal(seen.tiles[0].values[:2], 225)
    assert_array_equal(seen.tiles[0].values[2:], found.display[0][:4, 4:9])
    assert_array_equal(seen.tiles[1].values[:3, :4], found.display[1][9:, 8:])
    assert_array_equal(seen.tiles[1].values[3:], 225)
    assert whole.tiles[0].frame == (0, 4, 4, 9)
    assert any("beyond its border" in note for note in panels(found).notes)


def test_a_frame_is_large_enough_to_be_seen() -> None:
    found = patches(
        input_spec=xk.Image(100, 100, 3),
        display=np.zeros((2, 100, 100, 3), np.uint8),
        boxes=np.array([[[50, 50], [0, 1]], [[10, 29], [99, 99]]]),
        windows=np.array([[[50, 69], [0, 19]], [[10, 29], [90, 109]]]),
        projections=None,
    )
    *_, whole = tiles(found)
    assert [t.frame for t in whole.tiles] == [(47.5, 0, 53.5, 4), (10, 96.5, 30, 100)]


def test_a_unit_that_sees_nothing_has_a_grey_patch() -> None:
    """As some units of a transposed convolution with a stride over its kernel."""
    boxes = np.array([[[0, -1], [0, -1]], [[2, 4], [2, 4]]])
    seen, whole = tiles(patches(windows=np.array([[[2, 4], [2, 4]]] * 2), boxes=boxes, projections=None))
    assert_array_equal(seen.tiles[0].values, 225)
    assert whole.tiles[0].frame is None


def test_units_without_places_show_whole_samples() -> None:
    whole, projected = tiles(patches("head"))
    assert [t.frame for t in whole.tiles] == [None, None]
    assert projected.tiles[0].values.shape == (12, 12, 3)


def test_projections_on_grey_pictures_tell_the_sign() -> None:
    found = patches(input_spec=xk.Image(12, 12, 1), projections=np.stack([np.eye(5)[..., None], -np.eye(5)[..., None]]))
    raises, lowers = (projection_of(found, i) for i in range(2))
    assert raises[0, 0, 0] > raises[0, 0, 2]
    assert lowers[0, 0, 0] < lowers[0, 0, 2]
    assert_array_equal(raises[0, 1], 255)


def test_colours_of_a_network_that_takes_bgr_are_turned() -> None:
    values = np.zeros((2, 5, 5, 3))
    values[..., 0] = 1.0
    found = patches(input_spec=xk.Image(12, 12, 3, order="bgr"), projections=values)
    assert_array_equal(projection_of(found, 0)[0, 0], [128, 128, 255])


def test_a_warning_is_on_the_figure() -> None:
    panel, *_ = tiles(patches(status=Status("warn", ("two files could not be read",))))
    assert panel.badge is not None
    assert (panel.badge.level, panel.badge.text) == ("warn", "two files could not be read")


def test_stretches_of_series_are_bands() -> None:
    x = draws(4, 9, 2)
    found = replace(
        patches(),
        boxes=np.array([[[0, 2]], [[4, 7]]]),
        windows=np.array([[[-1, 2]], [[4, 7]]]),
        places=np.array([[0], [5]]),
        axes=("time",),
        display=x[:2],
        input_spec=xk.Series(9, 2),
        projections=None,
    )
    (panel,) = panels(found).panels
    assert isinstance(panel, LinePanel)
    assert_array_equal(np.flatnonzero(panel.lines[0].contributions), [0, 1, 2])
    assert_array_equal(np.flatnonzero(panel.lines[1].contributions), [4, 5, 6, 7])
    assert_array_equal(panel.lines[1].y, x[1, :, 0])
    (bars,) = panels(replace(found, boxes=None, input_spec=xk.Array((9, 2)))).panels
    assert isinstance(bars, BarPanel)
    assert bars.labels[0] == f"sample {found.samples[0]}, time 0"


def test_series_are_coloured_by_the_projection() -> None:
    from tests.torch import nets

    model = xk.wrap(nets.seeded(nets.Inplace), inputs=xk.Series(9, 2))
    found = xk.top_patches(model, nets.draw(4, 9, 2), "conv", 1, k=2)
    (panel,) = panels(found).panels
    assert isinstance(panel, LinePanel)
    for i, line in enumerate(panel.lines):
        lo, hi = found.boxes[i, 0]
        assert_allclose(line.contributions[lo : hi + 1], found.projections[i].sum(-1), rtol=1e-6)
        assert_array_equal(np.flatnonzero(line.contributions), np.arange(lo, hi + 1))


def test_patches_of_a_text_are_its_words() -> None:
    spec = xk.Text(6, {"a": 2, "dull": 3, "film": 4})
    found = replace(
        patches(),
        display=["A dull film", "film"],
        input_spec=spec,
        boxes=np.array([[[4, 5]], [[0, 2]]]),
        windows=np.array([[[4, 5]], [[0, 2]]]),
        projections=None,
    )
    (bars,) = panels(found).panels
    assert isinstance(bars, BarPanel)
    assert bars.labels == ("“dull film”", f"sample {found.samples[1]}, before its first word")


def layer(channels: int = 8) -> LayerPatches:
    model, x = image_pair("torch")
    found = xk.top_patches(model, x, "c2", list(range(channels)), k=2, projection="deconvnet")
    assert isinstance(found, LayerPatches)
    return found


def test_a_layer_has_a_row_for_each_channel_the_strongest_first() -> None:
    found = layer()
    seen, projected = tiles(found)
    order = np.argsort(-found.survey.statistics["max"])
    assert [t.name.split(" · ")[0] for t in seen.tiles[::2]] == [str(c) for c in order]
    assert len(projected.tiles) == len(seen.tiles) == 16
    statistics = {**found.survey.statistics, "dead": np.arange(8) == 3}
    figure = panels(replace(found, survey=replace(found.survey, statistics=statistics)))
    assert "Nowhere above zero in the data: 3." in figure.notes
    assert CHANNELS >= 8


@pytest.mark.parametrize("renderer", ["plotly", "matplotlib", "none", "svg"])
def test_every_renderer_draws_them(renderer: str) -> None:
    for result in (patches(), patches("head"), layer()):
        assert draw(panels(result), renderer) is not None


def test_an_input_that_nothing_comes_from_is_left_out() -> None:
    torch = pytest.importorskip("torch")

    class Two(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = torch.nn.Conv1d(1, 2, 3), torch.nn.Conv1d(2, 2, 3)

        def forward(self, left: Any, right: Any) -> Any:
            return self.a(left).mean(2) + self.b(right).mean(2)

    model = xk.wrap(Two(), inputs={"left": xk.Series(9, 1), "right": xk.Series(9, 2)})
    x = {n: np.random.default_rng(0).normal(size=(3, 9, c)).astype(np.float32) for n, c in (("left", 1), ("right", 2))}
    figure = panels(xk.top_patches(model, x, "b", 0, k=2))
    assert len(list(figure.panels)) == 1
    assert "Nothing comes from left." in figure.notes
