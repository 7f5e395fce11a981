"""Series: read from CSV files, cut into windows that keep to their side of the border, labelled by their intervals."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit import data
from xaikit.data import series
from xaikit.errors import DataError

LOADERS = (data.nyc_taxi, data.ecg5000_normal, data.art_daily)


def forget() -> None:
    for loader in LOADERS:
        loader.cache_clear()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder for data sets."""
    (tmp_path / "nab").mkdir()
    monkeypatch.setenv("XAIKIT_DATA", str(tmp_path))
    forget()
    yield tmp_path
    forget()


@pytest.fixture
def real(data_folder: Path) -> Iterator[Path]:
    forget()
    yield data_folder
    forget()


def write(path: Path, values: list[float], minutes: int) -> None:
    start = datetime(2014, 4, 1)
    lines = [f"{start + timedelta(minutes=i * minutes)},{v}" for i, v in enumerate(values)]
    path.write_text("\n".join(["timestamp,value", *lines]))


def test_a_series_is_read_by_column(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    path.write_text("when,a,b\n2020-01-01 00:00:00,1,2.5\n\n2020-01-01 00:30:00,3,4\n")
    times, values = data.read_series(path)
    assert_array_equal(values, [1.0, 3.0])
    assert_array_equal(np.diff(times), [np.timedelta64(1800, "s")])
    assert_array_equal(data.read_series(path, "b").values, [2.5, 4.0])


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        (None, None, "not a readable CSV file"),
        ("", None, "not a readable CSV file with a header"),
        ("when\n2020-01-01\n", None, "no column 'of values'"),
        ("when,rides\n2020-01-01,1\n", "ride", "no column 'ride'.*rides"),
        ("when,rides\n2020-01-01,many\n", None, "holds a line that is no moment and rides.*many"),
        ("when,rides\nyesterday,1\n", None, "holds a line that is no moment and rides"),
        ("when,rides\n2020-01-01\n", None, "holds a line that is no moment and rides"),
        ("when,rides\n2020-01-01,nan\n", None, "finite values"),
        ("when,rides\n2020-01-02,1\n2020-01-01,1\n", None, "moments that grow"),
    ],
)
def test_what_is_wrong_with_a_series_is_said(
    tmp_path: Path, content: str | None, column: str | None, message: str
) -> None:
    path = tmp_path / "some.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        data.read_series(path, column)


def test_windows_begin_a_stride_apart() -> None:
    cut = series.windows(np.arange(6.0), 3, 2)
    assert_array_equal(cut[..., 0], [[0, 1, 2], [2, 3, 4]])


def test_forecasts_that_need_no_network() -> None:
    x = np.arange(8.0).reshape(2, 4, 1)
    assert_array_equal(data.naive(x), [[3], [7]])
    assert_array_equal(data.naive(x, season=4), [[0], [4]])


def test_no_window_reaches_over_the_border(home: Path) -> None:
    write(home / "nab" / "nyc_taxi.csv", [float(i) for i in range(500)], 30)
    training, test = data.nyc_taxi("train"), data.nyc_taxi("test")
    assert training.x.shape == (400 - 48, 48, 1)
    assert_array_equal(training.y[-1], [399])
    assert_array_equal(test.x[0, :, 0], np.arange(400, 448))
    assert_array_equal(test.y[0], [448])
    assert_array_equal(training.x[:, -1] + 1, training.y)


def test_windows_with_the_labelled_moment_are_abnormal(home: Path) -> None:
    days = 8 * 288
    for name in ("jumpsup", "jumpsdown", "no_noise", "small_noise"):
        write(home / "nab" / f"art_daily_{name}.csv", [float(i) for i in range(days)], 5)
    interval = ["2014-04-04 06:00:00.000000", "2014-04-04 18:00:00.000000"]
    labels = {f"artificialWithAnomaly/art_daily_{n}.csv": [interval] for n in ("jumpsup", "jumpsdown")}
    (home / "nab" / "combined_windows.json").write_text(json.dumps(labels))
    x, y = data.art_daily("test")
    middle, first, last = 3.5 * 288, 3.25 * 288, 3.75 * 288
    start = x[:, 0, 0]
    assert (y == 1).sum() == 2 * 24
    assert ((start[y == 1] <= middle) & (start[y == 1] > middle - 144)).all()
    assert ((start[y == 0] + 288 <= first) | (start[y == 0] > last)).all()
    training = data.art_daily("train")
    assert training.x.shape == (2 * ((days - 288) // 6 + 1), 288, 1)
    assert not training.y.any()


@pytest.mark.parametrize("name", ["nyc_taxi", "art_daily"])
def test_missing_series(home: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"no nab/.*\.csv: put it into.*github\.com/numenta/NAB"):
        data.load(name).read("test")


def test_intervals_that_are_not_there(home: Path) -> None:
    write(home / "nab" / "art_daily_jumpsup.csv", [0.0] * 300, 5)
    (home / "nab" / "combined_windows.json").write_text("{}")
    with pytest.raises(DataError, match="holds no interval of art_daily_jumpsup"):
        data.art_daily("test")


def test_heartbeats_missing_or_damaged(home: Path) -> None:
    with pytest.raises(DataError, match=r"no ecg5000_train\.txt.*timeseriesclassification"):
        data.ecg5000_normal()
    (home / "ecg5000_train.txt").write_text("1 2 3\n")
    with pytest.raises(DataError, match="3 numbers a line, expected a class and 140 values"):
        data.ecg5000_normal()
    (home / "ecg5000_train.txt").write_text("heart\n")
    with pytest.raises(DataError, match="not a readable table of numbers"):
        data.ecg5000_normal()


@pytest.mark.usefixtures("real")
def test_taxis() -> None:
    training, test = data.nyc_taxi("train"), data.nyc_taxi("test")
    assert training.x.shape == (8208, 48, 1)
    assert test.y.shape == (2016, 1)
    assert_allclose(abs(data.naive(test.x) - test.y).mean(), 1186.077381, rtol=1e-6)


@pytest.mark.usefixtures("real")
def test_heartbeats() -> None:
    training, test = data.ecg5000_normal("train"), data.ecg5000_normal("test")
    assert training.x.shape == (150, 140, 1)
    assert not training.y.any()
    assert_array_equal(np.bincount(test.y), [142, 208])
    assert not {r.tobytes() for r in training.x} & {r.tobytes() for r in test.x}
    assert_allclose(training.x.mean(axis=(1, 2)), 0, atol=1e-6)


@pytest.mark.usefixtures("real")
def test_days_with_an_anomaly_reach_another_level() -> None:
    x, y = data.art_daily("test")
    assert_array_equal(np.bincount(y), [1020, 48])
    top = x.max(axis=(1, 2))
    assert ((top[y == 1] > 100) | (top[y == 1] < 60)).all()
    assert ((top[y == 0] > 80) & (top[y == 0] < 92)).all()
