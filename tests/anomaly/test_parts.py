"""Draws of thresholds and parts of samples, from their definitions."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.anomaly.nets import Variational, digits, flat
from xaikit import anomaly
from xaikit.anomaly._codes import encode
from xaikit.anomaly._explanation import _parts
from xaikit.errors import ParameterError


@pytest.mark.parametrize("rule", ["mean-sd", "quantile"])
def test_every_draw_sets_the_threshold_anew_and_alerts_what_it_left_out(rule: str) -> None:
    scores = np.random.default_rng(0).exponential(size=60)
    report = anomaly.threshold_report(scores, [rule], level=0.9, draws=25, seed=4)
    rng, thresholds, alerts = np.random.default_rng(4), [], []
    for _ in range(25):
        chosen = rng.integers(0, 60, 60)
        thresholds.append(anomaly.calibrate(scores[chosen], rule, 0.9).threshold)
        alerts.append((scores[~np.isin(np.arange(60), chosen)] > thresholds[-1]).mean())
    assert_allclose(report.intervals[0], np.quantile(thresholds, [0.05, 0.95]))
    assert_allclose(report.alerts[0], np.mean(alerts))
    assert_allclose(report.alert_intervals[0], np.quantile(alerts, [0.05, 0.95]))


def test_a_report_warns_where_one_of_its_thresholds_does() -> None:
    scores = np.random.default_rng(1).exponential(size=100)
    good = anomaly.threshold_report(scores, ["quantile", "alert-rate"], level=0.9, draws=10)
    assert (good.status, good.status.reasons) == ("ok", ())
    mixed = anomaly.threshold_report(scores, ["quantile", "median-mad"], level=0.9, draws=10)
    assert [c.status == "ok" for c in mixed.calibrations] == [True, False]
    assert mixed.status == "warn"
    assert all(r.startswith("median-mad: ") for r in mixed.status.reasons)
    with pytest.raises(ParameterError, match="not 9"):
        anomaly.threshold_report(scores, draws=9)


def test_where_a_draw_leaves_nothing_out_all_samples_are_counted() -> None:
    report = anomaly.threshold_report(np.array([1.0]), ["quantile"], draws=10)
    assert_array_equal(report.alerts, [0])


def test_known_anomalies_are_drawn_too() -> None:
    rng = np.random.default_rng(2)
    normal, bad = rng.normal(size=50), rng.normal(1.5, size=20)
    report = anomaly.threshold_report(normal, ["best-f1"], anomalous=bad, draws=30, seed=1)
    draws, found = np.random.default_rng(1), []
    for _ in range(30):
        chosen = normal[draws.integers(0, 50, 50)]
        found.append(anomaly.calibrate(chosen, "best-f1", anomalous=draws.choice(bad, 20)).threshold)
    assert_allclose(report.intervals[0], np.quantile(found, [0.05, 0.95]))


class Given:
    """Scores of one sample of zeros."""

    def __init__(self, *shape: int) -> None:
        self.x = np.zeros((1, *shape))


def test_pictures_are_cut_into_patches() -> None:
    labels, names = _parts(xk.Image(10, 15, 3), Given(10, 15, 3), None)
    rows, columns = np.arange(10) // 2, np.arange(15) // 3  # ⌈10/7⌉ and ⌈15/7⌉
    assert_array_equal(labels, np.broadcast_to((rows[:, None] * 5 + columns)[..., None], (10, 15, 3)))
    assert len(names) == 25
    assert (names[0], names[6], names[24]) == (
        "rows 0-1, columns 0-2",
        "rows 2-3, columns 3-5",
        "rows 8-9, columns 12-14",
    )
    labels, names = _parts(xk.Image(9, 5, 1), Given(9, 5, 1), None)
    assert names[-1] == "rows 8-8, columns 4-4"
    assert labels.max() == len(names) - 1 == 24


def test_series_are_cut_into_windows_of_each_channel() -> None:
    labels, names = _parts(xk.Series(44, 2), Given(44, 2), None)
    assert_array_equal(labels, (np.arange(44) // 3)[:, None] * 2 + np.arange(2))
    assert names[:3] == ("steps 0-2, channel 0", "steps 0-2, channel 1", "steps 3-5, channel 0")
    assert names[-1] == "steps 42-43, channel 1"
    assert len(names) == 30
    assert _parts(xk.Series(44, 1), Given(44, 1), None)[1][0] == "steps 0-2"


def test_numbers_are_single_parts_up_to_64_and_runs_beyond() -> None:
    labels, names = _parts(xk.Array((64,)), Given(64), None)
    assert_array_equal(labels, np.arange(64))
    assert names == tuple(map(str, range(64)))
    labels, names = _parts(xk.Array((5, 13)), Given(5, 13), None)
    assert_array_equal(labels, (np.arange(65) // 2).reshape(5, 13))
    assert (names[0], names[-1], len(names)) == ("0-1", "64", 33)


def test_the_nearest_code_is_that_of_the_narrowest_layer() -> None:
    training, held_out, others = digits(0)
    model = Variational(training, 8).wrapped()
    detector = xk.anomaly.fit(model, held_out)
    found = detector.explain(others[0])
    layer = anomaly._codes.code_layer(model)
    apart = np.square(encode(model, np.float32(held_out), layer) - encode(model, found.scores.x, layer)).sum(1)
    assert found.nearest[1] == apart.argmin()
    assert_allclose(found.distances[1], np.sqrt(apart.min()))
    assert_array_equal(found.nearest_x[1], np.float32(held_out)[apart.argmin()])
    itself = detector.explain(held_out[0])
    assert itself.nearest.tolist() == [0, 0]
    assert_array_equal(itself.nearest_x, np.float32(held_out[[0, 0]]))


def test_a_score_at_the_threshold_needs_no_repair_and_one_above_does() -> None:
    training, held_out, others = digits(0)
    detector = xk.anomaly.fit(flat(training), held_out)
    value = float(detector.score(others[0]).values[0])
    at = replace(detector, calibration=replace(detector.calibration, threshold=value))
    assert at.explain(others[0]).restored == ()
    below = replace(detector, calibration=replace(detector.calibration, threshold=np.nextafter(value, 0)))
    told = below.explain(others[0])
    assert len(told.restored) == 1
    assert told.status == detector.status
    cut_off = detector.explain(others[0], limit=0)
    assert cut_off.status == "warn"
    assert "restoring 0 of 64 parts" in cut_off.status.reasons[-1]


def test_parts_that_others_make_needless_are_given_back() -> None:
    def back(x: Any) -> Any:
        """Zeros, but the first number comes back where the others are zero."""
        given = np.asarray(x, np.float64)
        return np.where([1, 0, 0], given * ~given[:, 1:].any(1)[:, None], 0)

    model = xk.wrap(back, inputs=xk.Array((3,)), outputs=xk.Reconstruction())
    normal = np.random.default_rng(0).normal(0, 0.1, (200, 3))
    found = xk.anomaly.fit(model, normal).explain(np.array([3.0, 2.0, 2.0]))
    assert found.restored == (0, 1, 2)
    assert_allclose(found.path, [17 / 3, 8 / 3, 4 / 3, 0])
    assert found.needed == (1, 2)
    assert_array_equal(found.repaired, [3, 0, 0])
    assert found.repaired_score == 0
    # the score, one candidate less each time, then two tries to give a part back
    assert found.origin.model_calls == 1 + 3 + 2 + 1 + 2
    assert np.isnan(found.nearest_x[1]).all()
