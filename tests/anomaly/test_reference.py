"""Reference numbers on real data: digits, heartbeats, and a series with a labelled anomaly."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk
from tests.anomaly.nets import Linear, digits, flat
from tests.anomaly.test_scores import cancer
from xaikit.anomaly import calibrate
from xaikit.data.series import ecg5000_normal, read_series

DATA = Path(os.environ.get("XAIKIT_DATA", ""))


def needs(name: str) -> Any:
    there = bool(os.environ.get("XAIKIT_DATA")) and (DATA / name).exists()
    return pytest.mark.skipif(not there, reason="XAIKIT_DATA names no folder with it")


def test_published_thresholds_of_zeros_and_their_false_alarms() -> None:
    training, held_out, others = digits(0)
    detector = xk.anomaly.fit(flat(training), training)
    scores = detector.calibration.scores
    assert_allclose([scores.mean(), scores.max()], [0.00564667, 0.01650460], atol=5.1e-9)  # printed to eight places
    found = {
        "q95": calibrate(scores, level=0.95).threshold,
        "mean + sd": calibrate(scores, "mean-sd", k=1).threshold,
        "mean + 3 sd": calibrate(scores, "mean-sd", k=3).threshold,
    }
    assert_allclose(list(found.values()), [0.01055957, 0.00816780, 0.01321006], atol=5.1e-9)
    normal, bad = detector.score(held_out).values, detector.score(others).values
    limits = [found["q95"], found["mean + sd"], scores.max(), found["mean + 3 sd"]]
    assert_allclose(sorted((normal > t).mean() for t in limits), [0.0787, 0.0899, 0.1685, 0.3146], atol=5.1e-5)
    assert all((bad > t).mean() > 0.9995 for t in limits)


def test_the_trivial_baseline_of_breast_cancer_is_the_published_one_and_is_told_to_be_better() -> None:
    training, z, rest, bad = cancer()
    found = xk.anomaly.fit(flat(training, 5), training).evaluate(z[rest][~bad], z[rest][bad], draws=20)
    assert_allclose(found.auroc[:2], [0.896597, 0.960197], atol=5.1e-7)  # printed to six places
    assert found.status == "warn"


@needs("ecg5000_train.txt")
def test_heartbeats_are_told_apart_better_than_by_their_distance_from_the_mean() -> None:
    """The first 150 normal beats of the training file trained the network; of the other 142 each second one is for the
    threshold, the rest and all 208 abnormal ones are for testing."""
    beats = ecg5000_normal("test")
    normal, bad = beats.x[beats.y == 0], beats.x[beats.y == 1]
    detector = xk.anomaly.fit(xk.zoo.load("series_autoencoder", framework="torch"), normal[::2], level=0.95)
    found = detector.evaluate(normal[1::2], bad)
    told = dict(zip(found.names, found.auroc, strict=True))
    assert told["series_autoencoder"] >= 0.95
    assert told["series_autoencoder"] > told["distance to mean"] > told["random"]
    assert found.status == "ok"


@needs("nab/art_daily_jumpsup.csv")
@pytest.mark.parametrize("how", ["mean", "median", "min", "max"])
def test_the_labelled_jump_of_a_day_is_the_only_event(how: str) -> None:
    """A linear autoencoder of one day, from art_daily_small_noise, on art_daily_jumpsup."""
    quiet = read_series(DATA / "nab/art_daily_small_noise.csv").values
    assert_allclose([quiet.mean(), quiet.std(ddof=1)], [42.43835333580657, 28.07712228126252], rtol=1e-12)
    spec = xk.Series(288, 1, rate=1 / 300, mean=float(quiet.mean()), std=float(quiet.std()))
    windows = np.lib.stride_tricks.sliding_window_view(quiet, 288)[..., None]
    net = Linear(spec.to_network(windows).reshape(len(windows), -1), 8)
    model = xk.wrap(net, inputs=spec, outputs=xk.Reconstruction(), name="day")
    detector = xk.anomaly.fit(model, windows[::12], "mean-sd", k=6)
    recording = read_series(DATA / "nab/art_daily_jumpsup.csv")
    found = detector.stream(recording.values, how=how)
    # combined_windows.json: from 10 April, 16:15, to 12 April, 01:45
    labelled = [
        int(np.searchsorted(recording.times, np.datetime64(t))) for t in ("2014-04-10T16:15", "2014-04-12T01:45")
    ]
    truth = np.zeros(len(found), bool)
    truth[labelled[0] : labelled[1] + 1] = True
    told = xk.anomaly.event_scores(found.flags, truth)
    assert len(found.windows) == 3745
    assert (told["found"], told["false_events"]) == (1, 0)
    assert len(found.events) == 1
    assert truth[found.events[0].peak]
