"""Activations as panels: in the order asked for, compared, and laid over the input."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import image_pair
from tests.torch import nets as torch_nets
from xaikit.errors import NotSupported, ParameterError, UnknownName
from xaikit.figures import (
    BarPanel,
    CurvePanel,
    LinePanel,
    MapPanel,
    TilesPanel,
    activation_figure,
    difference_figure,
    overlay_figure,
    panels,
)
from xaikit.render import draw, plot


@pytest.fixture
def one() -> Any:
    model, x = image_pair("torch")
    return xk.activations(model, x[:1], ["c2", "r2", "head"])


def tiles(figure: Any) -> list[TilesPanel]:
    return [p for p in figure.panels if isinstance(p, TilesPanel)]


@pytest.mark.parametrize("order", ["max", "mean", "mean-abs", "sparsity", "class-difference"])
def test_maps_come_in_the_recorded_order(order: str) -> None:
    model, x = image_pair("torch")
    a = xk.activations(model, x, "r2", order=order, classes=["a", "b", "b"] if order == "class-difference" else None)
    assert a.origin.parameters["order"] == a.order == order
    shown = tiles(panels(a))
    for i, panel in enumerate(shown):
        assert [int(t.name) for t in panel.tiles] == a.ranking("r2", i).tolist()
        assert panel.subtitle.split(", ")[1].partition(" ·")[0].endswith("first")


def test_signed_layers_are_diverging_and_maps_may_have_ranges_of_their_own(one: Any) -> None:
    c2, r2 = tiles(activation_figure(one))
    assert (c2.scale.kind, r2.scale.kind) == ("diverging", "sequential")
    own = tiles(activation_figure(one, "map"))[0]
    assert all(t.scale is not None for t in own.tiles)
    assert all(t.scale is None for t in c2.tiles)


def test_many_maps_are_one_picture_with_words_to_point_at(one: Any) -> None:
    wide = replace(one, values={"r2": np.tile(one["r2"][:1], (1, 1, 1, 64))}, axes={"r2": one.axes["r2"]})
    figure = activation_figure(wide, maps=512)
    (panel,) = tiles(figure)
    assert len(panel.tiles) == 512
    assert panel.across == 32
    drawn = plot(figure)
    assert len(drawn.data) == 1  # what is said when a tile is pointed at
    assert len(drawn.layout.images) == 3  # the input, all maps, and the key to the colours
    assert len(drawn.to_json()) < 600_000
    (hints,) = [i for i in draw(figure, "none")["items"] if i["kind"] == "hints"]
    assert len(hints["words"]) == 16
    first = panel.tiles[0]
    assert hints["words"][0][0] == first.hint
    assert first.hint.startswith(f"channel {first.name}: ")
    few = activation_figure(wide)
    assert len(tiles(few)[0].tiles) == 64
    assert "The first 64 of 512 channels in this order are shown." in tiles(few)[0].facts
    assert any("nearly repeat another" in f for f in tiles(few)[0].facts)


def test_tiles_are_painted_where_they_stand() -> None:
    from xaikit.figures import Figure, Scale, Tile

    red, grey = np.zeros((4, 4, 3), np.uint8), np.full((2, 4, 3), 77, np.uint8)
    red[..., 0] = 250
    panel = TilesPanel(tiles=(Tile(red, "one"), Tile(np.full((3, 3), -2.0)), Tile(grey)), across=2, scale=Scale(2.0))
    items = draw(Figure("t", ((panel,),)), "none")["items"]
    (picture,) = [i for i in items if i["kind"] == "picture"]
    image = picture["image"]
    assert image.shape == (round(2 * picture["box"].height), round(2 * picture["box"].width), 4)
    height, width = image.shape[:2]
    assert_array_equal(image[height // 4, width // 4], [250, 0, 0, 255])
    assert image[height // 4, 3 * width // 4, 2] > image[height // 4, 3 * width // 4, 0]  # blue: negative
    assert image[-1, -1, 3] == 0  # clear where nothing is
    assert 77 in image[3 * height // 4 - 30 :, width // 8, 0]


def test_two_inputs_are_compared_channel_by_channel() -> None:
    model, x = image_pair("torch")
    a = xk.activations(model, list(x[:2]), ["r1", "r2", "head"], order="difference")
    change = a["r2"][0] - a["r2"][1]
    assert_array_equal(a.difference("r2"), change)
    order = np.argsort(-np.abs(change).mean((0, 1)), kind="stable")
    assert_array_equal(a.ranking("r2"), order)
    figure = panels(a)
    panel = next(p for p in tiles(figure) if p.title == "r2")
    assert [t.name for t in panel.tiles[:3]] == [f"{order[0]} a", f"{order[0]} b", "a − b"]
    for place, c in enumerate(order):
        first, second, third = panel.tiles[3 * place : 3 * place + 3]
        assert_array_equal(third.values, change[..., c])
        assert_array_equal(first.values - second.values, third.values)
        assert first.scale is second.scale is None  # both on the panel's range
        assert third.scale is not None
        assert third.scale.kind == "diverging"
    (bars,) = [p for p in figure.panels if isinstance(p, BarPanel)]
    assert_allclose(bars.values[0], np.max(np.abs(a["head"][0] - a["head"][1])) * np.sign(bars.values[0]))
    with pytest.raises(ParameterError, match="there are 2 samples"):
        difference_figure(a, 0, 5)


def test_a_map_lies_over_the_input_by_the_centres_of_fields() -> None:
    import torch
    from torch import nn

    class Shifted(nn.Module):
        """Valid convolutions with strides: the first unit sees the pixels 0 to 6, its centre is 3."""

        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 1, 3, stride=2, bias=False), nn.Conv2d(1, 1, 3, stride=2, bias=False)
            self.head = nn.Linear(1, 2)

        def forward(self, x: Any) -> Any:
            return self.head(self.b(self.a(x)).mean((2, 3)))

    net = Shifted()
    with torch.no_grad():
        for conv in (net.a, net.b):
            conv.weight.fill_(1 / 9)
    model = xk.wrap(net, inputs=xk.Image(31, 31, 1, scale=1.0))
    spot = np.zeros((31, 31, 1), "f")
    spot[19, 11] = 1  # the centre of unit (4, 2): 3 + 4u
    a = xk.activations(model, spot, ["a", "b", "head"])
    assert_allclose(a.centres["b"][0], 3 + 4 * np.arange(7))
    assert_allclose(a.centres["a"][1], 1 + 2 * np.arange(15))
    placed = a.on_input("b", 0)
    assert np.unravel_index(placed.argmax(), placed.shape) == (19, 11)
    assert placed[19, 11] == a["b"][0, 4, 2, 0]
    assert_allclose(placed[19, 13], a["b"][0, 4, 2:4, 0].mean(), rtol=1e-6)
    assert_allclose(a.misplaced("b"), np.abs((np.arange(7) + 0.5) * 31 / 7 - 0.5 - a.centres["b"][0]).max())
    figure = overlay_figure(a, "b")
    over = [p for p in figure.panels if isinstance(p, MapPanel)][-1]
    assert_array_equal(over.values, placed)
    assert figure.notes[0].startswith("A plain resize would be off by up to")
    assert "head" not in a.centres
    with pytest.raises(NotSupported, match="cannot be laid over"):
        overlay_figure(a, "head", 0)
    with pytest.raises(ParameterError, match="channels 0 to 0"):
        overlay_figure(a, "b", 7)


def test_where_fields_are_not_known_the_map_is_resized_and_says_so(one: Any) -> None:
    figure = overlay_figure(replace(one, centres={}), "r2", 3)
    over = [p for p in figure.panels if isinstance(p, MapPanel)][-1]
    assert "resized to cover the input" in over.subtitle
    assert one.misplaced("r2") is not None
    assert replace(one, centres={}).misplaced("r2") is None
    assert over.values.shape == (12, 12)


def test_a_series_has_its_channel_as_a_band() -> None:
    model = xk.wrap(torch_nets.seeded(torch_nets.Inplace), inputs=xk.Series(9, 2, rate=3.0))
    a = xk.activations(model, torch_nets.draw(1, 9, 2), "conv")
    (panel,) = overlay_figure(a, "conv", 1).panels
    assert isinstance(panel, LinePanel)
    assert_allclose(a.centres["conv"][0], np.arange(1, 8))
    assert_allclose(panel.lines[0].contributions[1:8], a["conv"][0, :, 1], rtol=1e-6)
    assert panel.x_label == "time (s)"


def test_values_that_are_not_finite_are_told_and_come_last(one: Any) -> None:
    values = one["r2"].copy()
    values[0, 0, 0, 5] = np.nan
    broken = replace(one, values={"r2": values[:1]}, axes={"r2": one.axes["r2"]})
    (panel,) = tiles(panels(broken))
    assert panel.tiles[-1].name == "5"
    assert "1 value is not finite: yellow." in panel.facts
    assert plot(broken).layout.images
    assert_allclose(broken.statistics("r2")["lost"][5], 1 / values[0, ..., 0].size)
    assert np.isfinite(broken.statistics("r2")["mean"]).all()


@pytest.mark.parametrize("values", [np.zeros((1, 1, 1, 3)), np.full((1, 4, 4, 2), 3.0), np.ones((1, 2, 3, 4, 2))])
def test_one_pixel_constant_and_deep_maps(one: Any, values: Any) -> None:
    axes = ("sample", *("depth", "height", "width")[5 - values.ndim :], "channel")
    a = replace(one, values={"r2": values}, axes={"r2": axes}, centres={})
    (panel,) = tiles(panels(a))
    assert len(panel.tiles) == values.shape[-1]
    assert plot(a) is not None
    assert (f"A map is the channel's {values.shape[1]} slices along depth, side by side." in panel.facts) == (
        values.ndim == 5
    )
    assert not a.statistics("r2")["duplicate"].any()  # what does not vary repeats nothing


def test_duplicates_are_found(one: Any) -> None:
    values = one["r2"].copy()
    values[..., 7] = -2 * values[..., 1] + 3
    s = replace(one, values={"r2": values}).statistics("r2")
    assert (s["nearest"][7], s["duplicate"][7], s["duplicate"][1]) == (1, True, True)
    assert_allclose(s["correlation"][7], -1, rtol=1e-6)
    with np.errstate(invalid="ignore"):
        by_hand = np.abs(np.corrcoef(values.reshape(-1, 8).T))
    np.fill_diagonal(by_hand, 0)
    varies = values.std((0, 1, 2)) > 0
    assert_allclose(np.abs(s["correlation"])[varies], by_hand[varies][:, varies].max(1), rtol=1e-5)
    assert_array_equal(s["nearest"] == -1, ~varies)


def test_orders_that_these_samples_do_not_have(one: Any) -> None:
    model, x = image_pair("torch")
    with pytest.raises(UnknownName, match="did you mean 'mean'"):
        xk.activations(model, x, "c2", order="means")
    with pytest.raises(ParameterError, match="two classes"):
        xk.activations(model, x, "c2", order="class-difference", classes=["a", "a", "a"])
    with pytest.raises(ParameterError, match="2 classes were given for 3"):
        xk.activations(model, x, "c2", order="class-difference", classes=["a", "b"])
    with pytest.raises(ParameterError, match="there are 1 samples"):
        xk.activations(model, x[0], "c2", order="difference")


def test_the_health_of_layers_as_panels() -> None:
    model, x = image_pair("torch")
    found = xk.layer_health(model, x, [0, 1, 2])
    figure = panels(found)
    depth = next(p for p in figure.panels if p.title == "Gradient by depth")
    assert isinstance(depth, CurvePanel)
    assert depth.logarithmic
    assert_array_equal(depth.traces[0].y, [s.gradient for s in found.layers.values()])
    assert (depth.badge.level, depth.badge.text) == ("ok", found.verdict)  # type: ignore[union-attr]
    dead = next(p for p in figure.panels if p.title == "Dead units")
    assert isinstance(dead, BarPanel)
    assert_allclose(dead.values, [100 * found["r1"].dead, 100 * found["r2"].dead])
    titles = [p.title for p in figure.panels]
    assert "2  r1: before relu" in titles
    before = next(p for p in figure.panels if p.title == "4  r2: before relu")
    assert isinstance(before, CurvePanel)
    line = before.traces[-1]
    assert_allclose(line.y, np.maximum(line.x, 0))
    assert [t.name.partition(" ")[0] for t in before.traces] == ["how", "not", "relu"]
    assert before.traces[1].name == f"not active {float(100 * found['r2'].zeros):.0f} %"
    for renderer in ("plotly", "matplotlib", "svg", "none"):
        assert draw(figure, renderer) is not None


def test_a_network_that_was_not_asked_for_gradients_has_a_figure_too() -> None:
    model, x = image_pair("torch")
    figure = panels(xk.layer_health(model, x, layers=["c1", "head"], gradients=False))
    assert [p.title for p in figure.rows[0] if p is not None] == ["Zeros"]
    assert plot(figure) is not None
