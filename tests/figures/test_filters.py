"""Filters as panels beyond one layer: before and after, side by side, by a statistic, odd ones told."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import image_pair
from xaikit.figures import MapPanel, TilesPanel, filter_figure, panels
from xaikit.insight._filters import _changes, _statistics
from xaikit.render import draw, png
from xaikit.results import Filters


def made(values: Any, before: Any = None, order: str | None = None, **known: Any) -> Filters:
    """Filters of a real layer with other values."""
    found = xk.filters(image_pair("torch")[0], "c1")
    statistics = {**_statistics(values), **({} if before is None else _changes(before, values)), **known}
    space = {2: (), 3: ("time",), 4: ("height", "width"), 5: ("depth", "height", "width")}[values.ndim]
    return replace(
        found,
        values=values,
        bias=None,
        axes=("filter", *space, "in"),
        numbers=np.arange(len(values)),
        total=len(values),
        order=order,
        statistics=statistics,
        before=before,
        by="norm" if before is None else "change",
    )


def draws(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


def tiles(figure: Any) -> list[TilesPanel]:
    return [p for p in figure.panels if isinstance(p, TilesPanel)]


@pytest.mark.parametrize("order", ["rgb", None])
def test_before_and_after_have_one_scale_and_one_order(order: str | None) -> None:
    values = draws(6, 3, 3, 3 if order else 1)
    before = values.copy()
    before[4] += 1.0
    before[2] -= 0.5
    f = made(values, before, order)
    earlier, later, change = tiles(panels(f))
    assert [p.title for p in (earlier, later, change)] == ["Before", "After", "Change"]
    assert earlier.scale == later.scale
    assert earlier.scale.limit == max(np.abs(values).max(), np.abs(before).max())
    assert change.scale.limit == pytest.approx(1.0)
    for panel in (earlier, later, change):
        assert [t.name for t in panel.tiles][:2] == ["4", "2"]
    if order is None:
        assert_array_equal(earlier.tiles[0].values, before[4, ..., 0])
        assert_allclose(change.tiles[0].values, -1)


def test_slices_of_deeper_layers_are_those_that_changed_most() -> None:
    values = draws(9, 3, 3, 5)
    before = values.copy()
    before[7, ..., 3] += 1.0
    changes, earlier, later, change = panels(made(values, before)).panels
    assert isinstance(changes, MapPanel)
    assert_allclose(changes.values[7], [0, 0, 0, 3, 0])
    for panel, expected in ((earlier, before), (later, values), (change, values - before)):
        assert isinstance(panel, TilesPanel)
        assert panel.tiles[0].name == "7 ← 3"
        assert_array_equal(panel.tiles[0].values, expected[7, ..., 3])


def test_no_change_is_said() -> None:
    values = draws(4, 6)
    figure = panels(made(values, values.copy()))
    assert figure.notes[0] == "No weight has changed."
    assert [p.title for p in figure.panels] == ["Before", "After", "Change"]


def test_components_are_drawn_with_their_share() -> None:
    f = made(draws(70, 3, 3, 8))
    strengths, panel = filter_figure(f, "components").panels
    assert isinstance(strengths, MapPanel)
    assert isinstance(panel, TilesPanel)
    pattern, share = f.strongest().components()
    assert len(panel.tiles) == 64
    assert_array_equal(panel.tiles[5].values, pattern[5])
    assert panel.tiles[5].note == f"{100 * share[5]:.0f} %"


def test_filters_of_two_networks_stand_side_by_side() -> None:
    figure = panels(
        {"dense": made(draws(30, 14, 14, 1)), "conv": made(draws(8, 3, 3, 1)), "deep": made(draws(9, 2, 2, 7))}
    )
    assert [p.title for p in figure.panels] == ["dense", "conv", "deep"]
    assert [len(p.tiles) for p in tiles(figure)] == [24, 8, 24]
    assert png(figure, width=400)


def test_filters_in_the_order_of_what_they_give() -> None:
    given = {"activation": np.array([0.1, 0.9, 0.5, 0.0]), "silent": np.array([False, False, False, True])}
    f = replace(made(draws(4, 3, 3, 1), **given), by="activation")
    figure = panels(f)
    (panel,) = tiles(figure)
    assert [t.name for t in panel.tiles] == ["1", "2", "0", "3"]
    assert panel.tiles[0].note == "0.9"
    assert panel.subtitle.startswith("most active first")
    assert "Silent, never above zero for the samples: 3." in figure.notes


@pytest.mark.slow
def test_odd_filters_are_told_and_drawn() -> None:
    values = draws(6, 3, 3, 1)
    values[1] = -2 * values[4]
    values[2] = 0
    values[5, 0, 0, 0] = np.nan
    figure = panels(made(values))
    assert "Alike but for their size and sign (|cosine| over 0.95): 1 ≈ 4." in figure.notes
    assert "Dead, with hardly any weight: 2." in figure.notes
    assert "With weights that are NaN or infinite: 5." in figure.notes
    names = {t.name for t in tiles(figure)[0].tiles}
    assert {"1 ≈", "4 ≈", "2 dead", "0"} <= names
    assert png(figure, width=300)
    coloured = made(np.concatenate([values] * 3, -1), order="rgb")
    (panel,) = tiles(panels(coloured))
    broken = next(t for t in panel.tiles if t.name == "5")
    assert_array_equal(broken.values[0, 0], [255, 216, 0])
    assert png(panels(coloured), width=300)


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        np.ones((5, 3, 3, 1)),
        np.zeros((5, 3, 3, 4)),
        draws(1, 3, 3, 1),
        draws(1, 1),
        draws(300, 5, 5, 1),
        draws(4, 7, 6),
        draws(3, 2, 3, 4, 5),
        draws(2, 1, 1, 9),
        np.full((3, 2, 2, 2), np.nan),
    ],
    ids=lambda v: str(v.shape),
)
@pytest.mark.parametrize("compared", [False, True])
def test_all_kinds_of_kernels_are_drawn(values: Any, compared: bool) -> None:
    before = np.zeros_like(values) if compared else None
    figure = panels(made(values, before))
    for renderer in ("plotly", "svg", "none"):
        assert draw(figure, renderer) is not None
    assert png(figure, width=300)
