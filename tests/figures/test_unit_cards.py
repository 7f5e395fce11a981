"""A card as panels: every part that is there, cut and labelled, and what is not there in words."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import xaikit as xk
from tests.contract.nets import image_pair
from xaikit.figures import BarPanel, CurvePanel, TilesPanel, panels
from xaikit.figures._unit_cards import optimum_picture
from xaikit.render import draw, png
from xaikit.results import UnitCard

pytestmark = pytest.mark.slow


@cache
def card(layer: str = "r2", channel: int = 5) -> UnitCard:
    x = np.random.default_rng(8).integers(0, 256, (5, 12, 12, 3)).astype(np.uint8)
    return xk.unit_card(image_pair("torch")[0], layer, channel, x, k=4, steps=2)


def titles(result: UnitCard) -> list[str]:
    return [p.title for p in panels(result).panels]


def named(result: UnitCard, title: str) -> Any:
    return next(p for p in panels(result).panels if p.title == title)


def test_the_parts_of_a_card() -> None:
    figure = panels(card())
    seen = ["What the unit sees", "Projection", "Where"]
    assert titles(card()) == [
        *seen,
        "Its filter",
        "Its effective field",
        "Its optimum and the opposite",
        "What it gives",
    ]
    assert (len(figure.rows), len(figure.below)) == (1, 1)
    assert figure.title == "Channel 5 of r2"
    assert figure.subtitle.endswith("one of 8 channels of a relu layer with 8 × 8 places · sees 5 × 5 pixels, stride 1")
    assert len(figure.notes) == 2


def test_parts_that_are_missing_are_said() -> None:
    bare = replace(
        card(),
        **{"patches": None, "filter": None, "optimum": None, "opposite": None, "effective": None},
        missing={"patches": "no samples", "fields": "not known"},
    )
    figure = panels(bare)
    assert titles(bare) == ["What it gives"]
    assert figure.notes == ("No patches: no samples", "No receptive field: not known")


def test_the_optimum_is_cut_to_the_field_of_its_unit() -> None:
    result = card()
    panel = named(result, "Its optimum and the opposite")
    assert isinstance(panel, TilesPanel)
    assert [t.name for t in panel.tiles] == ["largest", "smallest"]
    assert result.optimum is not None
    whole = optimum_picture(replace(result, fields={}), result.optimum)
    (field,) = result.fields.values()
    (top, left), (bottom, right) = field.box(result.optimum.place)
    assert whole.shape == (12, 12, 3)
    assert_array_equal(panel.tiles[0].values, whole[top : bottom + 1, left : right + 1])
    assert panel.tiles[0].values.shape == (5, 5, 3)


def test_the_filter_of_the_first_layer_has_its_colours_and_a_deeper_one_its_strongest_inputs() -> None:
    first = card("c1", 2)
    panel = named(first, "Its filter")
    assert [t.name for t in panel.tiles] == ["all colours", "red", "green", "blue"]
    values = first.filter.values[0]  # type: ignore[union-attr]
    assert_array_equal(panel.tiles[1].values, values[..., 0])
    deeper = named(card(), "Its filter")
    strengths = card().filter.strengths[0]  # type: ignore[union-attr]
    assert [t.name for t in deeper.tiles] == [f"input {n}" for n in np.argsort(-strengths)]
    assert "of c2" in deeper.facts
    assert isinstance(named(card("head", 1), "Its strongest weights"), BarPanel)


def test_the_histogram_is_drawn_as_its_outline() -> None:
    panel = named(card(), "What it gives")
    assert isinstance(panel, CurvePanel)
    (trace,) = panel.traces
    many = replace(card(), counts=np.arange(1, 41) * 100, edges=np.arange(41) * 0.5)
    (exact,) = named(many, "What it gives").traces
    assert_array_equal(exact.y[1:-1:2], many.counts)
    assert_array_equal(exact.x[::2], many.edges)
    assert trace.y[1:-1:2].sum() == card().counts.sum()
    few = replace(card(), counts=np.ones(33, int), edges=np.arange(34) * 0.5)
    (merged,) = named(few, "What it gives").traces
    assert_array_equal(merged.y[1:-1:2], [4] * 8 + [1])
    assert_array_equal(merged.x[::2], np.arange(10) * 2.0)
    dead = replace(card(), counts=np.zeros(0, int), edges=np.zeros(1), statistics={**card().statistics, "dead": 1.0})
    assert any("dead in these data" in fact for fact in named(dead, "What it gives").facts)


@pytest.mark.parametrize("renderer", ["plotly", "matplotlib", "none", "svg"])
def test_every_renderer_draws_it(renderer: str) -> None:
    for result in (card(), card("head", 1), card("c1", 2), replace(card(), patches=None)):
        assert draw(panels(result), renderer) is not None


def test_it_is_a_picture_of_a_page() -> None:
    assert png(card(), width=900)[:4] == b"\x89PNG"


def test_a_series_has_lines() -> None:
    from tests.torch import nets

    model = xk.wrap(nets.seeded(nets.Inplace), inputs=xk.Series(9, 2))
    result = xk.unit_card(model, "conv", 1, nets.draw(4, 9, 2), k=2, steps=2)
    assert titles(result) == [
        "Where",
        "Its filter",
        "Its effective field",
        "Its optimum and the opposite",
        "What it gives",
    ]
    assert isinstance(named(result, "Its optimum and the opposite"), CurvePanel)


def test_a_card_of_nothing_that_can_be_drawn_says_so() -> None:
    nn = pytest.importorskip("torch").nn
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 2))
    card = xk.unit_card(xk.wrap(net, inputs=xk.Image(8, 8)), "1", 0, optimum=False)
    (panel,) = panels(card).panels
    assert "nothing to draw" in panel.alt
    assert png(card)[:4] == b"\x89PNG"
