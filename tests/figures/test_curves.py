"""Training curves as panels and as drawn by every renderer."""

import numpy as np
import pytest

import xaikit as xk
from xaikit.figures import CurvePanel, panels
from xaikit.render import draw, png

HISTORY = {
    "loss": [4.0, 2.0, 1.0],
    "val_loss": [5.0, 3.0, 3.5],
    "accuracy": [0.5, 0.7, 0.9],
    "learning_rate": [1e-3] * 3,
}


def test_one_panel_per_metric_with_its_parts_and_the_best_epoch():
    figure = panels(xk.curves(HISTORY))
    loss, accuracy, rate = figure.panels
    assert [p.title for p in figure.panels] == ["Loss", "Accuracy", "Learning rate"]
    assert [(t.name, t.dashed) for t in loss.traces] == [("training", False), ("validation", True)]
    assert loss.traces[0].colour != loss.traces[1].colour
    assert (loss.mark.x, loss.mark.y) == (2, 3.0)
    assert (accuracy.mark.x, accuracy.mark.y) == (2, 0.7)
    assert rate.mark is None
    assert "validation from 5 to 3.5" in loss.alt


@pytest.mark.parametrize(
    ("training", "validation", "told"),
    [
        ([4.0, 2.0, 1.0], [5.0, 3.0, 3.5], True),  # the one falls on, the other rises
        ([4.0, 2.0, 2.5], [5.0, 3.0, 3.5], False),  # both rise
        ([4.0, 2.0, 1.0], [5.0, 3.0, 2.5], False),  # the last epoch is the best
        ([4.0, 2.0, np.nan], [5.0, 3.0, 3.5], False),  # nobody knows
    ],
)
def test_a_loss_that_rises_on_validation_alone_is_called_a_sign_of_overfitting(training, validation, told):
    notes = " ".join(panels(xk.curves({"loss": training, "val_loss": validation})).notes)
    assert ("a sign of overfitting" in notes) is told
    assert ("After epoch 2 the training loss falls on, from 2 to 1" in notes) is told


def test_a_wide_range_is_logarithmic_and_its_marks_fit():
    figure = panels(xk.curves({"loss": [1000.0, 1.0, 0.1]}))
    (panel,) = figure.panels
    assert panel.logarithmic
    (curve,) = [i for i in draw(figure, "none")["items"] if i["kind"] == "curve"]
    low, high = curve["limits"][2:]
    assert low < -1 < 3 < high


def test_a_value_that_is_no_number_breaks_the_line():
    figure = panels(xk.curves({"loss": [2.0, np.nan, np.inf, 1.0]}))
    assert "broken" in figure.notes[0]
    drawn = draw(figure, "plotly").data[0]
    np.testing.assert_array_equal(drawn.y, [2.0, np.nan, np.nan, 1.0])
    assert png(figure, width=500).startswith(b"\x89PNG")


@pytest.mark.parametrize("values", [[0.0], [3.0, 3.0], [np.nan, np.nan], [-1.0, -2.0]])
def test_unusual_curves_are_drawn_by_all(values):
    curves = xk.curves({"loss": values})
    assert png(curves, width=400)
    assert len(xk.plot(curves).data) == 1


def test_plotly_tells_the_parts_apart_by_dash_too():
    drawn = [t for t in xk.plot(xk.curves(HISTORY)).data if t.name in ("training", "validation")]
    assert {(t.name, t.line.dash) for t in drawn} == {("training", "solid"), ("validation", "dash")}


def test_many_runs_have_colours_in_turn_and_a_key_in_rows():
    curves = xk.curves({"loss": [1.0, 2.0]})
    traces = tuple(
        xk.figures.Trace(f"a long name of run {k}", curves.curves[0].steps, curves.curves[0].values, k)
        for k in range(12)
    )
    figure = xk.figures.Figure("many", ((CurvePanel(title="Loss", traces=traces),),))
    drawn = draw(figure, "none")
    assert len([i for i in drawn["items"] if i["kind"] == "curve"]) == 12
    keys = [i for i in drawn["items"] if i["kind"] == "text" and i["words"].startswith("a long")]
    assert all(i["x"] < drawn["width"] - 100 for i in keys)
    assert len({i["y"] for i in keys}) > 1


def test_ticks_lie_between_the_first_epoch_and_the_last():
    drawn = draw(panels(xk.curves({"loss": list(np.linspace(3, 1, 60))})), "none")
    below = [i["words"] for i in drawn["items"] if i["kind"] == "text" and i["anchor"] == "center"]
    assert below == ["10", "20", "30", "40", "50", "60", "epoch"]
