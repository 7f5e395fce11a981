"""`xaikit anomaly`: a detector is fitted, scores, explains and is compared, and mistakes have exit codes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xaikit as xk


@pytest.fixture(scope="module")
def beats(tmp_path_factory: Any) -> Path:
    """A folder with series like heartbeats, and some with a jump."""
    folder = tmp_path_factory.mktemp("beats")
    rng = np.random.default_rng(0)
    normal = np.sin(np.linspace(0, 6, 140)) + rng.normal(0, 0.1, (40, 140))
    np.save(folder / "normal.npy", normal[:20, :, None].astype(np.float32))
    np.save(folder / "more.npy", normal[20:, :, None].astype(np.float32))
    bad = normal[:5, :, None].copy()
    bad[:, 30:40] += 6
    np.save(folder / "bad.npy", bad.astype(np.float32))
    long = np.tile(normal[0], 3)
    long[200:210] += 9
    np.save(folder / "long.npy", long)
    np.save(folder / "short.npy", long[:50])
    return folder


MODEL = ("series_autoencoder", "--framework", "torch")


@pytest.fixture(scope="module")
def detector(beats: Path) -> Path:
    normal = np.load(beats / "normal.npy")
    fitted = xk.anomaly.fit(xk.zoo.load("series_autoencoder", framework="torch"), normal, level=0.9)
    xk.save(fitted.record(), beats / "detector")
    return beats / "detector"


def test_a_fitted_detector_is_written_and_scores_as_in_python(run: Any, beats: Path, tmp_path: Path) -> None:
    code, out, _ = run("anomaly", "fit", *MODEL, str(beats / "normal.npy"), "--level", "0.9", "-o", str(tmp_path))
    assert code == 0
    assert Path(out.strip()) == (tmp_path / "detector.json").resolve()
    assert (tmp_path / "threshold.png").exists()
    bad = str(beats / "bad.npy")
    code, out, _ = run("anomaly", "score", *MODEL, str(tmp_path / "detector"), bad, "--json")
    rows = json.loads(out)
    model = xk.zoo.load("series_autoencoder", framework="torch")
    expected = xk.anomaly.fit(model, np.load(beats / "normal.npy"), level=0.9).score(np.load(bad))
    assert code == 0
    assert [r["score"] for r in rows] == pytest.approx(list(expected.values), rel=1e-6)
    assert [r["anomalous"] for r in rows] == list(expected.flags)


def test_a_long_series_has_events_and_a_short_one_is_refused(run: Any, beats: Path, detector: Path) -> None:
    code, out, _ = run("anomaly", "score", *MODEL, str(detector), str(beats / "long.npy"), "--stream", "--json")
    assert code == 0
    assert any(r["start"] <= 205 < r["stop"] for r in json.loads(out))
    code, _, err = run("anomaly", "score", *MODEL, str(detector), str(beats / "short.npy"), "--stream")
    assert code == 5
    assert "less than the network's window of 140" in err


def test_one_sample_is_explained(run: Any, beats: Path, detector: Path, tmp_path: Path) -> None:
    given = (*MODEL, str(detector), str(beats / "bad.npy"))
    code, out, _ = run("anomaly", "explain", *given, "--index", "2", "-o", str(tmp_path))
    assert code == 0
    found = xk.load(out.strip())
    assert found.repaired_score <= found.threshold < found.value
    code, _, err = run("anomaly", "explain", *given, "--index", "9", "-o", str(tmp_path))
    assert code == 5
    assert "from 0 to 4" in err


def test_what_cannot_be_trusted_is_said_beside_the_tables(run: Any, beats: Path, detector: Path) -> None:
    exchanged = ("--anomalous", str(beats / "more.npy"), "--normal", str(beats / "bad.npy"))
    code, out, err = run("anomaly", "report", *MODEL, str(detector), *exchanged)
    assert code == 0
    assert "nan" not in out
    assert "whether the two are exchanged" in err
    assert "quantile: a level of 0.99 needs at least 100 normal samples" in err


def test_thresholds_and_metrics_are_reported(run: Any, beats: Path, detector: Path, tmp_path: Path) -> None:
    given = ("anomaly", "report", *MODEL, str(detector))
    code, out, _ = run(*given)
    assert code == 0
    assert "alert-rate" in out
    labelled = ("--anomalous", str(beats / "bad.npy"), "--normal", str(beats / "more.npy"))
    code, out, _ = run(*given, *labelled, "--json", "-o", str(tmp_path))
    rows = json.loads(out)
    assert code == 0
    assert rows["thresholds"][-1]["rule"] == "best-f1"
    assert rows["detection"][1]["detector"] == "distance to mean"
    assert "NaN" not in out
    assert rows["detection"][1]["deployed_f1"] is None  # a baseline has no fitted threshold
    assert (tmp_path / "detection.png").exists()


def test_mistakes_have_exit_codes(run: Any, beats: Path, detector: Path) -> None:
    normal = str(beats / "normal.npy")
    code, _, err = run("anomaly", "fit", *MODEL, normal, "--score", "top-share", "-p", "share=2")
    assert (code, "share" in err) == (2, True)
    code, _, err = run("anomaly", "fit", "mnist_cnn", normal)
    assert code in (2, 5)
    code, _, err = run("anomaly", "score", *MODEL, str(beats / "nothing"), normal)
    assert (code, "no stored result" in err) == (5, True)
    code, _, err = run("anomaly", "report", *MODEL, str(detector), "--normal", normal)
    assert (code, "--anomalous too" in err) == (2, True)
