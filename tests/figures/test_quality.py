"""Evidence as panels and as drawn by every renderer."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.figures import synthetic as s
from xaikit.figures import CurvePanel, MatrixPanel, panels
from xaikit.render import RENDERERS, draw
from xaikit.results import Comparison, Faithfulness, Parity, Randomisation, Recovery, Stability, Status

OK = Status("ok")


def faithful(better: bool = True, **other: Any) -> Faithfulness:
    """One sample of four parts: the score falls from 4 to 0 in steps of 3, 1, 0, 0, or rises like that."""
    falls, rises = np.array([[4.0, 1, 0, 0, 0]]), np.array([[0.0, 3, 4, 4, 4]])
    random = np.array([[[4.0, 4, 3, 1, 0], [4.0, 3, 1, 0, 0]]])
    given: dict[str, Any] = {
        "shares": np.linspace(0, 1, 5)[None],
        "deletion_curves": falls if better else rises[:, ::-1],
        "insertion_curves": rises if better else falls[:, ::-1],
        "random_deletion_curves": random,
        "random_insertion_curves": random[:, ::-1, ::-1],
        "comprehensiveness": np.array([3.0]),
        "sufficiency": np.array([1.0]),
        "infidelity": np.array([0.5]),
        "infidelity_relative": np.array([0.1]),
        "max_sensitivity": np.array([np.nan]),
        "parts": np.array([4]),
        "target_labels": ("cat",),
        "explained": s.origin("lime"),
        "status": OK,
        "origin": s.origin("faithfulness"),
    }
    return Faithfulness(**(given | other))


def compared() -> Comparison:
    found = {"lime": s.segmented(), "grad-cam": s.coarse()}
    agreement = np.array([[1.0, np.nan], [np.nan, 1.0]])
    curves = {"lime": faithful(), "grad-cam": faithful(False)}
    return Comparison(found, tuple(found), agreement, faithfulness=curves, failed={"lrp": "no such rule"})


KINDS = {
    "faithfulness": faithful(),
    "comparison": compared(),
    "stability": Stability((0, 1), np.ones((1, 2, 2)), np.zeros(1), ("cat",), s.origin("lime"), OK, s.origin("x")),
    "recovery": Recovery(
        *(np.array([v]) for v in (0.9, 0.2, 0.8, 0.7, 0.1)),
        np.array([0.0, 0.5, 1.0]),
        np.array([[0.1, 1.0, np.nan]]),
        np.array([[1.0, 0.4, 0.0]]),
        ("cat",),
        s.origin("lime"),
        OK,
        s.origin("x"),
    ),
    "randomisation": Randomisation(
        ("head", "c1"),
        np.array([[0.5], [0.1]]),
        np.array([[0.6], [0.2]]),
        np.full((2, 1), np.nan),
        ("cat",),
        s.origin("lime"),
        OK,
        s.origin("x"),
    ),
    "parity": Parity(
        ("a", "b"), ("lime",), np.zeros(1), np.full((1, 1), 2e-7), np.zeros(1, bool), {"lrp": "no"}, OK, s.origin("x")
    ),
}


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_renderer_draws_every_kind(renderer: str, kind: str) -> None:
    assert draw(panels(KINDS[kind]), renderer, theme="dark") is not None


def test_curves_stand_beside_random_maps_and_their_spread() -> None:
    deletion, insertion = panels(faithful()).panels
    assert isinstance(deletion, CurvePanel)
    random, own = deletion.traces
    assert_allclose(own.y, [4, 1, 0, 0, 0])
    assert_allclose(random.y, [4, 3.5, 2, 0.5, 0])
    assert random.band is not None
    assert_allclose(random.band[0], [4, 3.1, 1.2, 0.1, 0])
    assert own.band is None
    assert "area 0.75, random 2" in deletion.subtitle  # (4/2 + 1)/4, and (4/2 + 3.5 + 2 + 0.5)/4
    assert insertion.badge is not None
    assert insertion.badge.level == "ok"


def test_a_map_that_is_no_better_says_so() -> None:
    assert [p.badge.level for p in panels(faithful(False)).panels if p.badge] == ["fail"]


def test_the_band_is_drawn_by_all_and_fits_the_axes() -> None:
    wide = np.array([[[4.0, 9, 3, 1, 0], [4.0, -5, 1, 0, 0]]])
    figure = panels(faithful(random_deletion_curves=wide, random_insertion_curves=wide[:, ::-1, ::-1]))
    drawn = [i for i in draw(figure, "none")["items"] if i["kind"] == "curve"]
    low, high = drawn[0]["limits"][2:]
    assert low < drawn[0]["trace"].band[0].min()
    assert high > drawn[0]["trace"].band[1].max()
    assert [t.fill for t in draw(figure, "plotly").data].count("toself") == 2
    assert draw(figure, "svg").count("fill-opacity:0.18") == 2
    assert len(draw(figure, "matplotlib").axes[0].patches) >= 2


def test_a_comparison_has_maps_agreement_curves_and_what_failed() -> None:
    figure = panels(compared())
    assert [p.title for p in figure.below[0]] == ["Rank agreement", "Deletion", "Insertion"]
    agreement, deletion, _ = figure.below[0]
    assert isinstance(agreement, MatrixPanel)
    assert "no pair" in agreement.alt
    assert isinstance(deletion, CurvePanel)
    assert [t.name for t in deletion.traces] == ["LIME", "Grad-CAM", "random maps"]
    assert deletion.facts[0].startswith("areas: LIME 0.75")
    assert figure.notes[0] == "LRP gave nothing: no such rule"


def test_maps_without_a_check_of_their_own_are_judged_by_random_maps() -> None:
    lime, cam = (p.badge for row in panels(compared()).rows for p in row if p is not None and p.badge is not None)
    assert lime.level == "warn"  # its R² is 0.4
    assert (cam.level, "no better than random" in cam.text) == ("fail", True)


def test_numbers_are_written_on_their_colours() -> None:
    texts = [i["words"] for i in draw(panels(compared()), "none")["items"] if i["kind"] == "text"]
    assert texts.count("–") == 2  # a pair that cannot be compared
    assert "2  Grad-CAM" in texts


def test_rows_below_have_widths_of_their_own() -> None:
    figure = panels(compared())
    maps = [i["box"].width for i in draw(figure, "none")["items"] if i["kind"] == "heat"][:2]
    alone = [i["box"].width for i in draw(replace(figure, below=()), "none")["items"] if i["kind"] == "heat"]
    assert_allclose(maps, alone)
