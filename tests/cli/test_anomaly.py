"""`xaikit anomaly`: a detector is fitted, scores, explains and is compared, and mistakes have exit codes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xaikit as xk

pytestmark = pytest.mark.slow


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


def test_a_series_is_read_with_and_without_moments(run: Any, beats: Path, detector: Path, tmp_path: Path) -> None:
    long = np.load(beats / "long.npy")
    np.savetxt(tmp_path / "plain.csv", long)
    moments = np.datetime64("2020-01-01T00:00") + np.arange(len(long)) * np.timedelta64(60, "s")
    rows = [f"{m},{v}" for m, v in zip(moments, long, strict=True)]
    (tmp_path / "timed.csv").write_text("timestamp,value\n" + "\n".join(rows))
    (tmp_path / "named.csv").write_text("value\n" + "\n".join(map(str, long)))
    asked = ("anomaly", "score", *MODEL, str(detector))
    expected = run(*asked, str(beats / "long.npy"), "--stream", "--stride", "7", "--json")
    for name in ("plain", "timed", "named"):
        assert run(*asked, str(tmp_path / f"{name}.csv"), "--stream", "--stride", "7", "--json") == expected
    assert run(*asked, str(tmp_path / "none.csv"), "--stream")[0] == 5


def test_events_are_joined_cut_off_and_compared_with_true_ones(run: Any, beats: Path, detector: Path) -> None:
    asked = ("anomaly", "score", *MODEL, str(detector), str(beats / "long.npy"))
    options = ("--how", "min", "--gap", "5", "--shortest", "3")
    code, out, _ = run(*asked, "--stream", *options, "--event", "200-209", "--event", "300", "--json")
    told = json.loads(out)
    model = xk.zoo.load("series_autoencoder", framework="torch")
    found = xk.anomaly.Detector.of(model, xk.load(detector)).stream(
        np.load(beats / "long.npy"), how="min", gap=5, shortest=3
    )
    truth = np.zeros(420, bool)
    truth[[*range(200, 210), 300]] = True
    assert code == 0
    assert [(e["start"], e["stop"]) for e in told["events"]] == [(e.start, e.stop) for e in found.events]
    assert told["scores"] == [xk.anomaly.event_scores(found.flags, truth)]
    assert told["scores"][0]["events"] == 2
    assert "event_f1" in run(*asked, "--stream", "--event", "200-209")[1].replace("\n", "")
    for wrong, said in (
        ((*asked[4:], "--event", "1"), "--stream"),
        ((*asked[4:], "--stream", "--event", "500"), "419"),
    ):
        code, _, err = run(*asked[:4], *wrong)
        assert code == 2
        assert said in err.splitlines()[-1]


def test_forecasters_and_hidden_patches_have_detectors(run: Any, beats: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    days = np.float32(15416 + 6864 * np.sin(np.linspace(0, 6, 49))[None, :, None] + rng.normal(0, 200, (30, 49, 1)))
    np.save(tmp_path / "days.npy", days)
    asked = ("anomaly", "fit", "rnn_forecast", str(tmp_path / "days.npy"), "-o", str(tmp_path))
    assert run(*asked)[0] == 2
    assert run(*asked, "--as", "forecasts")[0] == 2
    assert run(*asked, "--as", "forecast")[0] == 0
    scored = ("anomaly", "score", "rnn_forecast", str(tmp_path / "detector"), str(tmp_path / "days.npy"), "--json")
    code, out, _ = run(*scored, "--as", "forecast")
    model = xk.anomaly.forecasting(xk.zoo.load("rnn_forecast"))
    assert code == 0
    assert [r["score"] for r in json.loads(out)] == pytest.approx(
        list(xk.anomaly.fit(model, days).score(days).values), rel=1e-6
    )
    masked = ("--as", "masked:patch=20,rounds=2", "-o", str(tmp_path / "m"))
    assert run("anomaly", "fit", *MODEL, str(beats / "normal.npy"), *masked)[0] == 0
    assert xk.load(tmp_path / "m" / "detector").model == "series_autoencoder masked"


def test_known_anomalies_set_the_threshold(run: Any, beats: Path, tmp_path: Path) -> None:
    asked = ("anomaly", "fit", *MODEL, str(beats / "normal.npy"), "-o", str(tmp_path), "--rule", "best-f1")
    assert run(*asked)[0] == 2
    assert run(*asked, "--anomalous", str(beats / "bad.npy"))[0] == 0
    model = xk.zoo.load("series_autoencoder", framework="torch")
    expected = xk.anomaly.fit(
        model, np.load(beats / "normal.npy"), "best-f1", anomalous=np.load(beats / "bad.npy")
    )  # fmt: skip
    assert xk.load(tmp_path / "detector").calibration.threshold == pytest.approx(expected.threshold, rel=1e-6)
