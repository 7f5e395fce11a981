"""Anomaly scores as panels and as drawn by every renderer."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.figures.synthetic import origin
from xaikit.anomaly import calibrate
from xaikit.figures import BarPanel, CurvePanel, ImagePanel, LinePanel, MapPanel, panels
from xaikit.inputs import Array, Category, Image, Number, Reconstruction, Series, Table
from xaikit.render import draw, png
from xaikit.results import AnomalyScores

pytestmark = pytest.mark.slow

NORMAL = np.linspace(0.01, 0.2, 200)


def scores(spec: Any, x: Any, back: Any, display: Any = None, **other: Any) -> AnomalyScores:
    x, back = np.asarray(x, np.float64), np.asarray(back, np.float64)
    parts = (x - back) ** 2 / x[0].size
    calibration = calibrate(NORMAL, level=0.95)
    fields: dict[str, Any] = {
        "values": parts.reshape(len(x), -1).sum(1),
        "contributions": parts,
        "axes": ("sample", *spec.axes),
        "x": x,
        "reconstruction": back,
        "display": spec.decode(x) if display is None else display,
        "error": "mse",
        "calibration": calibration,
        "input_spec": spec,
        "output_spec": Reconstruction(),
        "status": calibration.status,
        "origin": origin("anomaly", input_hash=("00",) * len(x)),
    }
    return AnomalyScores(**(fields | other))


def pictures(samples: int = 2, channels: int = 1) -> AnomalyScores:
    """The first comes back whole but for a tenth; the others lose their white lower half."""
    x = np.zeros((samples, 6, 4, channels))
    x[:, 3:] = 1.0
    back = np.where(np.arange(samples)[:, None, None, None] == 0, 0.9 * x, 0.1)
    return scores(Image(6, 4, channels), x, np.broadcast_to(back, x.shape))


def series() -> AnomalyScores:
    x = np.zeros((1, 10, 2))
    back = x.copy()
    back[0, 4, 1] = 2.0
    return scores(Series(10, 2, rate=100.0), x, back)


def table() -> AnomalyScores:
    spec = Table({"age": Number(40, 10), "job": Category(("clerk", "cook", "nurse"))})
    row = [{"age": 52, "job": "nurse"}]
    return scores(spec, spec.encode(row), [[1.0, 0.0, 1.0, 0.0]], display=row, axes=("sample", "feature"))


def vector() -> AnomalyScores:
    return scores(Array((3,)), [[1.0, 2.0, 3.0]], [[1.0, 1.0, 1.0]], axes=("sample", "feature"))


KINDS = {"pictures": pictures, "series": series, "table": table, "vector": vector}


def test_a_picture_is_shown_with_its_reconstruction_difference_parts_and_score() -> None:
    figure = panels(pictures())
    kinds = [ImagePanel, ImagePanel, MapPanel, MapPanel, CurvePanel]
    assert [[type(p) for p in row] for row in figure.rows] == [kinds, kinds]
    given, back, difference, parts, score = figure.rows[1]
    assert given.title == "Input 2"
    assert back.image.max() in (25, 26)
    assert_allclose(difference.values, np.repeat([-0.1, 0.9], 3)[:, None] * np.ones(4))
    assert difference.scale.kind == "diverging"
    assert parts.scale.kind == "sequential"
    assert_allclose(parts.values.sum(), pictures().values[1])
    assert "half of it in 29 % of the places" in parts.facts[0]
    assert score.badge.level == "warn"
    assert score.badge.text == "anomalous: 2.15 × the threshold, above all 200 normal samples"


def test_normal_samples_are_paler_than_others() -> None:
    figure = panels(pictures())
    ranges = [[p.scale.limit for p in row if isinstance(p, MapPanel)] for row in figure.rows]
    assert ranges[0] == ranges[1]
    first = figure.rows[0][-1]
    assert first.badge.level == "ok"
    assert first.badge.text.startswith("normal: 0.0262 × the threshold, above 0 of 200 normal samples")


def test_the_figure_says_how_many_and_by_which_rule() -> None:
    figure = panels(pictures(3))
    assert figure.title == "2 of 3 samples are anomalous"
    assert "threshold: 95 % quantile of 200 normal samples" in figure.subtitle
    assert "mean squared error" in figure.subtitle
    assert panels(pictures(1)).title.startswith("Normal: score 0.005")
    by_deviations = replace(pictures(1), calibration=calibrate(NORMAL, "median-mad", k=3))
    assert "median + 3 MAD of 200" in panels(by_deviations).subtitle
    by_level = replace(pictures(1), calibration=calibrate(NORMAL, "mean-sd", 0.99))
    assert "mean + 2.33 standard deviations of 200 normal samples (99 % of a normal" in panels(by_level).subtitle


def test_an_untrusted_threshold_is_told_below() -> None:
    few = replace(pictures(1), calibration=calibrate(NORMAL[:10]))
    assert any(note.startswith("Caution: a level of 0.99 needs") for note in panels(few).notes)
    assert len(panels(pictures()).notes) == 1
    assert "8 of 9 samples are shown." in panels(pictures(9)).notes


def test_the_histogram_holds_every_normal_score_and_both_lines() -> None:
    score = panels(pictures()).rows[1][-1]
    normal, threshold, own = score.traces
    steps = np.diff(normal.x) > 0
    assert normal.y[:-1][steps].sum() == len(NORMAL)
    assert_array_equal(threshold.x, [pictures().threshold] * 2)
    assert_array_equal(own.x, [pictures().values[1]] * 2)
    assert (normal.dashed, threshold.dashed) == (False, True)


def test_channels_are_averaged_in_the_difference_and_summed_in_the_parts() -> None:
    _, _, difference, parts, _ = panels(pictures(2, channels=3)).rows[1]
    assert_allclose(difference.values.max(), 0.9)
    assert "mean of the channels" in difference.facts
    assert_allclose(parts.values.sum(), pictures(2, channels=3).values[1])


def test_a_series_shows_the_channel_with_the_largest_error_before_and_after() -> None:
    overlay, parts, score = panels(series()).rows[0]
    assert "channel 1" in overlay.subtitle
    assert [t.name for t in overlay.traces] == ["input", "reconstruction"]
    assert overlay.traces[1].y[4] == 2.0
    assert_allclose(overlay.traces[0].x[-1], 0.09)
    assert isinstance(parts, LinePanel)
    assert_allclose(parts.lines[1].contributions[4], 0.2)
    assert score.badge.level == "warn"


def test_a_column_of_a_table_is_one_bar() -> None:
    bars, _ = panels(table()).rows[0]
    assert isinstance(bars, BarPanel)
    assert bars.labels == ("job = nurse", "age = 52")
    assert_allclose(bars.values.sum(), table().values[0])


def test_the_threshold_alone_is_a_figure() -> None:
    figure = panels(calibrate(NORMAL[:10]))
    (panel,) = figure.panels
    assert figure.title == "Threshold 0.0185"
    assert panel.badge.level == "warn"
    assert png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("kind", KINDS)
def test_every_renderer_draws_it(kind: str) -> None:
    result = KINDS[kind]()
    for renderer in ("none", "plotly", "svg"):
        assert draw(panels(result), renderer)
    assert png(result, width=600).startswith(b"\x89PNG")


def test_the_axis_of_scores_has_numbers_between_whole_ones() -> None:
    drawn = draw(panels(calibrate(NORMAL)), "none")
    said = [i["words"] for i in drawn["items"] if i["kind"] == "text" and i["anchor"] == "center"]
    assert said == ["0.05", "0.1", "0.15", "0.2", "score"]


def test_a_score_that_is_no_number_is_drawn_and_said() -> None:
    broken = replace(pictures(1), values=np.array([np.nan]))
    score = panels(broken).rows[0][-1]
    assert score.badge.level == "fail"
    assert len(score.traces) == 2
    assert png(broken, width=600)


def test_it_shows_itself_in_a_notebook() -> None:
    data, _ = pictures(1)._repr_mimebundle_()  # type: ignore[attr-defined]
    assert set(data) == {"text/plain", "image/png"}
    assert xk.plot(pictures(1)).data
