"""Sequences as people have them: a review, a heartbeat, a window of brain waves."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from xaikit.data.eeg import draw_eeg

pytestmark = pytest.mark.slow
FRAMEWORKS = ("torch", "keras")
REVIEW = (
    "I expected a dull evening, but this film is wonderful: the acting is superb and the story never boring. "
    "Only the ending was a little weak."
)


def words(e: Any) -> dict[str, float]:
    placed = e.input_spec.placed(REVIEW)
    return {p[0]: float(v) for p, v in zip(placed, e.values[0], strict=True) if p is not None}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_review(framework: str) -> None:
    model = xk.zoo.load("lstm_imdb", framework=framework)
    whole = xk.explain(model, REVIEW, "integrated-gradients", target=1)
    for method in ("sequential-integrated-gradients", "temporal-integrated-gradients"):
        e = xk.explain(model, REVIEW, method, target=1)
        found = words(e)
        assert found["superb"] > 0 > found["boring"], method
        assert (e.quality["step_gap_relative"] < 0.01).all()
        pads = e.x[0] == e.input_spec.pad
        assert_array_equal(e.values[0, pads], 0)
        assert_allclose(e.quality["score"], whole.quality["score"], atol=1e-6)
        judged = xk.faithfulness(model, e)
        assert judged.deletion[0] < judged.random_deletion[0]
    ranked = words(xk.explain(model, REVIEW, "temporal-saliency-rescaling", target=1))
    assert max(ranked.values()) > 0
    assert ranked["the"] < max(ranked.values())


def test_both_frameworks_read_a_review_alike() -> None:
    for method in ("sequential-integrated-gradients", "temporal-integrated-gradients"):
        a, b = (xk.explain(xk.zoo.load("lstm_imdb", framework=f), REVIEW, method, target=1).values for f in FRAMEWORKS)
        assert_allclose(a, b, atol=1e-4 * np.abs(a).max())


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_window_of_brain_waves(framework: str) -> None:
    """The discharge is slow and strongest at one place: its band and its electrodes come first."""
    model = xk.zoo.load("eeg_cnn", framework=framework)
    waves = draw_eeg(4, seed=3)
    x, discharge = waves.x[1], waves.discharge[1]
    bands = xk.explain(model, x, "exact-shapley", target="seizure-like", segments="bands")
    assert list(bands.origin.notes["bands"]) == ["delta", "theta", "alpha", "beta"]  # nothing is above 25 Hz
    assert bands.values[0].argmax() == 0  # three waves a second
    assert (bands.quality["completeness_gap_relative"] < 1e-3).all()
    electrodes = xk.explain(model, x, "kernel-shap", target="seizure-like", segments="channels")
    strength = discharge.std(0)
    assert np.corrcoef(electrodes.values[0], strength)[0, 1] > 0.5
    e = xk.explain(model, x, "sequential-integrated-gradients", target="seizure-like")
    truth = np.abs(discharge)[..., None] > 0.3 * np.abs(discharge).max()
    assert xk.recovery(e, truth).auroc[0] > 0.6


def test_a_heartbeat() -> None:
    """What of an odd beat an autoencoder cannot repeat: hidden by the line between its borders, not by zeros."""
    root = os.environ.get("XAIKIT_DATA")
    if root is None or not (Path(root) / "ecg5000_train.txt").exists():
        pytest.skip("needs the heartbeats")
    rows = np.loadtxt(Path(root) / "ecg5000_train.txt")
    beat = rows[rows[:, 0] != 1][0, 1:].astype(np.float32)
    model = xk.zoo.load("series_autoencoder", framework="torch")
    maps = {}
    for baseline in ("linear", "reverse", "mean", 0.0):
        e = xk.explain(
            model, beat, "occlusion", target=xk.ReconstructionError(), window=10, stride=5, baseline=baseline
        )
        assert e.values.shape == (1, 140)
        maps[baseline] = e.values[0]
    assert not np.allclose(maps["linear"], maps["mean"], atol=1e-3)
    e = xk.explain(model, beat, "occlusion", target=xk.ReconstructionError(), segments=("bands", {"rate": 140.0}))
    assert e.axes == ("sample", "band")
    assert np.isfinite(e.values).all()
