"""Series of measurements: taxi rides, heartbeats, and daily rhythms with a fault."""

import csv
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xaikit.arrays import Array
from xaikit.data._folder import find
from xaikit.data._part import Part, Split
from xaikit.errors import DataError, nearest

DAY = 48
TEST_SHARE = 0.2
NORMAL_BEATS = 150
STEPS_A_DAY, STRIDE = 288, 6
NAB = "from the Numenta Anomaly Benchmark, https://github.com/numenta/NAB"


class Recording(NamedTuple):
    """Values (time,) float64 and the moments (time,) datetime64[s] at which they were measured."""

    times: Array
    values: Array


def read_series(path: str | Path, column: str | None = None) -> Recording:
    """Give a series from a CSV file with a header: moments (ISO 8601) in the first column, values in another.

    column: the name of the values; by default the second column. Raises DataError for a missing file or column, a
    moment or a value that cannot be read, and moments that do not grow.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            header, *rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise DataError(f"{path} is not a readable CSV file with a header: {error}") from None
    place = _column(path, header, column)
    try:
        times = np.array([np.datetime64(row[0].strip().replace(" ", "T"), "s") for row in rows], "datetime64[s]")
        values = np.array([float(row[place]) for row in rows])
    except (ValueError, IndexError) as error:
        raise DataError(f"{path} holds a line that is no moment and {header[place]}: {error}") from None
    if not np.isfinite(values).all() or (np.diff(times) <= np.timedelta64(0, "s")).any():
        raise DataError(f"{path} must hold finite values at moments that grow from line to line")
    return Recording(times, values)


def _column(path: str | Path, header: Sequence[str], column: str | None) -> int:
    if column is None and len(header) > 1:
        return 1
    if column not in header[1:]:
        raise DataError(f"{path} has no column {column or 'of values'!r}{nearest(str(column), header[1:])}")
    return header.index(column, 1)


def windows(values: Array, steps: int, stride: int = 1) -> Array:
    """Give all windows (window, steps, 1) of a series (time,), each `stride` steps after the one before."""
    return np.lib.stride_tricks.sliding_window_view(values, steps)[::stride, :, None].copy()


@cache
def nyc_taxi(split: Split = "train") -> Part:
    """Give the demand for taxis in New York, x (sample, 48, 1) half-hourly counts of one day, y (sample, 1) the next.

    From nab/nyc_taxi.csv in the folder XAIKIT_DATA names. The last fifth of the time, from 20 December 2014, is for
    testing, and no window reaches over that moment. It holds the holidays and a blizzard, unlike the training part.
    """
    values = read_series(find("nab/nyc_taxi.csv", f"realKnownCause/nyc_taxi.csv {NAB}")).values
    border = len(values) - round(TEST_SHARE * len(values))
    cut = windows(values[:border] if split == "train" else values[border:], DAY + 1)
    return Part(cut[:, :-1], cut[:, -1])


def naive(x: Array, season: int = 1) -> Array:
    """Give the forecast that the next value equals the one `season` steps before it: (sample, channel).

    x: (sample, time, channel). With a season of 1 it is the last value, with 48 half hours that of a day ago.
    """
    return np.asarray(x)[:, -season]


@cache
def ecg5000_normal(split: Split = "train") -> Part:
    """Give heartbeats, x (sample, 140, 1) standardised voltages and y (sample,): 0 for a normal one, 1 for another.

    From ecg5000_train.txt in the folder XAIKIT_DATA names: 500 lines of a class and 140 values. The first 150 beats of
    class 1 are for training, and all of them are normal; the other 350 lines are for testing.
    """
    path = find("ecg5000_train.txt", "ECG5000_TRAIN.txt of https://timeseriesclassification.com/ is this file")
    try:
        rows = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable table of numbers: {error}") from None
    if rows.shape[1:] != (141,):
        raise DataError(f"{path} has {rows.shape[-1]} numbers a line, expected a class and 140 values")
    normal = rows[:, 0] == 1
    training = normal & (np.cumsum(normal) <= NORMAL_BEATS)
    chosen = training if split == "train" else ~training
    return Part(rows[chosen, 1:, None], (~normal[chosen]).astype(np.int64))


@cache
def art_daily(split: Split = "train") -> Part:
    """Give days of an artificial series, x (sample, 288, 1) and y (sample,): 1 for a window with the anomaly, else 0.

    A window has 24 hours of five minutes each and begins half an hour after the one before. Training: two series
    without an anomaly. Testing: art_daily_jumpsup and art_daily_jumpsdown; a window is abnormal when the labelled
    moment, the middle of the interval in combined_windows.json, lies in its first half; windows that touch the interval
    otherwise are left out. art_daily_flatmiddle is not used: its nights lie at another level.
    """
    if split == "train":
        x = np.concatenate([windows(_daily(name).values, STEPS_A_DAY, STRIDE) for name in ("no_noise", "small_noise")])
        return Part(x, np.zeros(len(x), np.int64))
    parts = [_labelled(name) for name in ("jumpsup", "jumpsdown")]
    return Part(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _daily(name: str) -> Recording:
    return read_series(find(f"nab/art_daily_{name}.csv", f"it is {NAB}"))


def _labelled(name: str) -> tuple[Array, Array]:
    times, values = _daily(name)
    first, last = _interval(name)
    middle, day = first + (last - first) // 2, np.timedelta64(24 * 3600, "s")
    begins = times[: len(times) - STEPS_A_DAY + 1 : STRIDE]
    abnormal = (begins <= middle) & (middle < begins + day // 2)
    apart = (begins > last) | (begins + day <= first)
    kept = abnormal | apart
    return windows(values, STEPS_A_DAY, STRIDE)[kept], abnormal[kept].astype(np.int64)


def _interval(name: str) -> tuple[Any, Any]:
    path = find("nab/combined_windows.json", f"labels/combined_windows.json {NAB}")
    try:
        labelled = json.loads(path.read_text(encoding="utf-8"))
        ((first, last),) = labelled[f"artificialWithAnomaly/art_daily_{name}.csv"]
        return np.datetime64(first, "s"), np.datetime64(last, "s")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} holds no interval of art_daily_{name}: {error}") from None
