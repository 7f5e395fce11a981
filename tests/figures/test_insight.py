"""Filters and activations as panels: what is shown is what was found, on one scale, the strongest first."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import ADAPTERS, image_pair
from xaikit.figures import BarPanel, ImagePanel, MapPanel, TilesPanel, panels
from xaikit.figures._activations import activation_figure
from xaikit.figures._insight import TILES
from xaikit.render import draw, png
from xaikit.results import Activations, Filters

pytestmark = pytest.mark.slow


def filters(values: Any, order: str | None = None, **changes: Any) -> Filters:
    """Filters of a real layer with other values."""
    found = xk.filters(image_pair("torch")[0], "c1")
    norm = np.linalg.norm(values.reshape(len(values), -1), axis=1)
    nothing = np.zeros(len(values))
    statistics = {"norm": norm, "dead": norm == 0, "similarity": nothing}
    space = {2: (), 3: ("time",), 4: ("height", "width"), 5: ("depth", "height", "width")}[values.ndim]
    made = replace(
        found,
        values=values,
        bias=None,
        axes=("filter", *space, "in"),
        numbers=np.arange(len(values)),
        total=len(values),
        order=order,
        statistics=statistics,
    )
    return replace(made, **changes)


def draws(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("framework", ADAPTERS)
def test_colour_kernels_are_grey_at_zero_on_one_scale(framework: str) -> None:
    f = xk.filters(image_pair(framework)[0], "c1")
    (panel,) = panels(f).panels
    assert isinstance(panel, TilesPanel)
    by_norm = f.strongest()
    assert [t.name for t in panel.tiles] == [str(n) for n in by_norm.numbers]
    limit = panel.scale.limit
    assert_allclose(limit, np.abs(f.values).max())
    for tile, kernel in zip(panel.tiles, by_norm.values, strict=True):
        assert_allclose(tile.values / 255, 0.5 + kernel / (2 * limit), atol=0.5 / 255 + 1e-9)


def test_colours_of_a_network_that_takes_bgr_are_turned() -> None:
    values = np.zeros((1, 2, 2, 3))
    values[..., 0] = 1.0  # its first channel is blue
    (panel,) = panels(filters(values, "bgr")).panels
    assert isinstance(panel, TilesPanel)
    assert_array_equal(panel.tiles[0].values[0, 0], [128, 128, 255])


def test_deeper_layers_show_strengths_and_the_strongest_slices() -> None:
    f = filters(draws(20, 3, 3, 12))
    strengths, slices = panels(f).panels
    assert isinstance(strengths, MapPanel)
    assert_allclose(strengths.values, np.linalg.norm(f.values.reshape(20, 9, 12), axis=1))
    assert isinstance(slices, TilesPanel)
    assert (len(slices.tiles), slices.across) == (64, 8)
    best = f.strongest()
    row, channel = best.values[0], int(best.strengths[0].argmax())
    assert slices.tiles[0].name == f"{best.numbers[0]} ← {channel}"
    assert_array_equal(slices.tiles[0].values, row[..., channel])


@pytest.mark.parametrize(
    ("shape", "tile"), [((3, 5, 5, 1), (5, 5)), ((3, 5, 2), (2, 5)), ((3, 2, 4, 5, 1), (4, 10))], ids=str
)
def test_single_channels_series_and_volumes(shape: tuple[int, ...], tile: tuple[int, int]) -> None:
    (panel,) = panels(filters(draws(*shape))).panels
    assert isinstance(panel, TilesPanel)
    assert {t.values.shape for t in panel.tiles} == {tile}


@pytest.mark.parametrize("shape", [(4, 6), (4, 1, 1, 6)], ids=str)
def test_filters_of_one_place_are_one_map(shape: tuple[int, ...]) -> None:
    (panel,) = panels(filters(draws(*shape))).panels
    assert isinstance(panel, MapPanel)
    assert panel.values.shape == (4, 6)


def test_many_filters_are_cut_and_odd_ones_are_told() -> None:
    values = draws(100, 3, 3, 1)
    values[7] = 0
    f = filters(values)
    figure = panels(f)
    (panel,) = figure.panels
    assert isinstance(panel, TilesPanel)
    assert len(panel.tiles) == TILES
    assert any("64 with the largest norm of 100" in n for n in figure.notes)
    assert any("hardly any weight: 7." in n for n in figure.notes)
    (page,) = panels(f[64:]).panels
    assert isinstance(page, TilesPanel)
    assert {int(t.name) for t in page.tiles} == set(range(64, 100))


def activations(values: Any, axes: tuple[str, ...]) -> Activations:
    model, x = image_pair("torch")
    found = xk.activations(model, x[:1], "c1")
    return replace(found, values={"layer": values}, axes={"layer": axes})


@pytest.mark.parametrize("framework", ADAPTERS)
def test_maps_are_ordered_and_carry_their_maximum(framework: str) -> None:
    model, x = image_pair(framework)
    a = xk.activations(model, x[:1], ["c2"])
    given, panel = panels(a).panels
    assert isinstance(given, ImagePanel)
    assert isinstance(panel, TilesPanel)
    order = a.ranking("c2")
    assert [t.name for t in panel.tiles] == [str(c) for c in order]
    assert_array_equal(panel.tiles[0].values, a["c2"][0, ..., order[0]])
    assert panel.scale.limit >= float(np.percentile(np.abs(a["c2"]), 99)) * 0.999


def test_ranges_by_layer_by_map_and_for_all() -> None:
    values = np.zeros((1, 2, 2, 2))
    values[0, 0, 0] = [1.0, 4.0]
    a = activations(values, ("sample", "height", "width", "channel"))
    two = replace(a, values={"layer": values, "twice": 2 * values}, axes={**a.axes, "twice": a.axes["layer"]})

    def tiled(ranges: Any) -> list[TilesPanel]:
        return [p for p in activation_figure(two, ranges).panels if isinstance(p, TilesPanel)]

    assert [p.scale.limit for p in tiled("layer")] == [4, 8]
    assert [p.scale.limit for p in tiled("figure")] == [8, 8]
    own = [t.scale.limit for t in tiled("map")[0].tiles if t.scale is not None]
    assert own == [4, 1]
    assert all(p.scale.kind == "sequential" for p in tiled("layer"))


def test_more_layers_have_fewer_maps_each() -> None:
    a = activations(draws(1, 3, 3, 100), ("sample", "height", "width", "channel"))
    two = replace(a, values={"one": a["layer"], "two": a["layer"]}, axes=dict.fromkeys(("one", "two"), a.axes["layer"]))
    for result, most in ((a, 64), (two, 32)):
        for panel in panels(result).panels:
            if isinstance(panel, TilesPanel):
                assert len(panel.tiles) == most
                assert f"The first {most} of 100 channels in this order are shown." in panel.facts


def test_series_and_units() -> None:
    over_time = activations(draws(1, 9, 4), ("sample", "time", "channel"))
    panel = next(p for p in panels(over_time).panels if isinstance(p, MapPanel))
    assert_array_equal(panel.values, over_time["layer"][0].T)
    assert panel.scale.kind == "diverging"
    units = activations(np.arange(50.0)[None], ("sample", "feature"))
    bars = next(p for p in panels(units).panels if isinstance(p, BarPanel))
    assert bars.labels[0] == "unit 49"
    assert bars.facts == ("30 units with smaller values are not shown.",)


def test_silent_channels_are_told() -> None:
    values = np.zeros((1, 2, 2, 3))
    values[0, 0, 0, 1] = 1
    figure = panels(activations(values, ("sample", "height", "width", "channel")))
    assert any("2 channels of 3 are zero everywhere" in f for p in figure.panels for f in p.facts)


@pytest.mark.parametrize("renderer", ["plotly", "matplotlib", "none", "svg"])
def test_every_renderer_draws_them(renderer: str) -> None:
    model, x = image_pair("torch")
    for result in (
        xk.filters(model, "c1"),
        xk.filters(model, "c2"),
        xk.activations(model, x[:1], ["r2", "head"]),
    ):
        assert draw(panels(result), renderer) is not None


def test_the_tiles_of_a_picture_have_the_colours_of_its_kernels() -> None:
    from io import BytesIO

    from PIL import Image

    f = xk.filters(image_pair("torch")[0], "c1")
    (panel,) = panels(f).panels
    assert isinstance(panel, TilesPanel)
    pixels = np.asarray(Image.open(BytesIO(png(f)))).reshape(-1, 3)
    seen = {tuple(p) for p in np.unique(pixels, axis=0)}
    assert {tuple(p) for t in panel.tiles for p in t.values.reshape(-1, 3)} <= seen
