"""A long series: windows are scored, points get the scores of the windows over them, and events are runs of points."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from xaikit.anomaly._detector import Detector
from xaikit.anomaly._metrics import runs
from xaikit.arrays import Array, chunks
from xaikit.attribution._explain import origin_of
from xaikit.errors import InputError, NotSupported, ParameterError, UnknownName
from xaikit.inputs import Series
from xaikit.progress import Progress, bar
from xaikit.results import Event, SeriesScores, Status

HOW: dict[str, Callable[..., Any]] = {"mean": np.nanmean, "median": np.nanmedian, "min": np.nanmin, "max": np.nanmax}
AT_ONCE = 2**22
"""How many numbers are held while points collect the scores of their windows."""


def stream(
    detector: Detector,
    series: Any,
    *,
    stride: int = 1,
    how: str = "mean",
    gap: int = 0,
    shortest: int = 1,
    progress: Progress | bool | None = None,
) -> SeriesScores:
    """Score a long series (time,) or (time, channel), in its own units, window by window.

    A window as long as the network's input begins every `stride` steps, the last one at the end of the series. A point
    has the `how` of the windows that cover it: "mean", "median", "max", or "min", which is above the threshold where
    all windows are. Points above the threshold in a row are an event; events at most `gap` steps apart are one, and
    those of fewer than `shortest` steps are none. Raises NotSupported for a model that takes no series, and InputError
    for one that is shorter than the window or has numbers that are not finite.
    """
    start = time.perf_counter()
    spec = detector.model.inputs
    if not isinstance(spec, Series):
        raise NotSupported(f"{detector.model.name} takes {type(spec).__name__}, no series: score samples one by one")
    if how not in HOW:
        raise UnknownName("way to join windows", how, HOW)
    if stride < 1 or gap < 0 or shortest < 1:
        raise ParameterError(f"stride and shortest are from 1 on, gap from 0 on, not {stride}, {shortest}, {gap}")
    signal = _read(series, spec)
    last = len(signal) - spec.steps
    starts = np.unique(np.append(np.arange(0, last + 1, stride), last))
    encoded = spec.to_network(signal)
    cut = np.lib.stride_tricks.sliding_window_view(encoded, spec.steps, axis=0)
    found = np.zeros(len(starts))
    with bar(progress, "scoring windows") as shown:
        for s in chunks(len(starts), 1024):
            found[s] = detector.values(np.ascontiguousarray(np.moveaxis(cut[starts[s]], -1, 1)))
            shown(min(s.stop, len(starts)), len(starts))
    points = _points(starts, found, spec.steps, len(signal), how)
    lost = int((~np.isfinite(found)).sum())
    cal = detector.calibration
    return SeriesScores(
        signal=signal,
        starts=starts,
        windows=found,
        points=points,
        events=events_of(points, detector.threshold, gap, shortest),
        how=how,
        steps=spec.steps,
        calibration=cal,
        rate=spec.rate,
        status=Status("fail", (f"{lost} windows have no finite score",)) if lost else cal.status,
        origin=origin_of(
            detector.model,
            encoded[None],
            "anomaly-stream",
            parameters={"error": detector.error.name, "stride": stride, "how": how, "gap": gap, "shortest": shortest},
            seconds=time.perf_counter() - start,
            calls=len(starts) * detector.error.calls,
        ),
    )


def events_of(points: Array, threshold: float, gap: int = 0, shortest: int = 1) -> tuple[Event, ...]:
    """Group points above the threshold: runs at most `gap` steps apart are one event, too short ones are none."""
    joined: list[list[int]] = []
    for a, b in runs(np.nan_to_num(points, nan=-np.inf) > threshold):
        if joined and a - joined[-1][1] <= gap:
            joined[-1][1] = b
        else:
            joined.append([a, b])
    found = []
    for a, b in joined:
        if b - a >= shortest:
            peak = a + int(np.nanargmax(points[a:b]))
            found.append(Event(a, b, peak, float(points[peak])))
    return tuple(found)


def _read(series: Any, spec: Series) -> Array:
    signal = np.asarray(getattr(series, "values", series), np.float64)
    signal = signal[:, None] if signal.ndim == 1 else signal
    if signal.ndim != 2 or signal.shape[1] != spec.channels:
        raise InputError(f"the series has shape {signal.shape}, expected (time, {spec.channels})")
    if len(signal) < spec.steps:
        raise InputError(
            f"the series has {len(signal):,} steps, less than the network's window of {spec.steps:,}: give a longer one"
        )
    if not np.isfinite(signal).all():
        raise InputError(f"the series has {int((~np.isfinite(signal)).sum()):,} numbers that are not finite")
    return signal


def _points(starts: Array, scores: Array, steps: int, length: int, how: str) -> Array:
    """Join the scores of the windows over every step, some steps at a time."""
    t = np.arange(length)
    low = np.searchsorted(starts, t - steps + 1)
    high = np.searchsorted(starts, t, side="right")
    most = int((high - low).max())
    points = np.full(length, np.nan)
    for s in chunks(length, max(1, AT_ONCE // most)):
        at = low[s, None] + np.arange(most)
        there = at < high[s, None]
        known = there.any(1)
        over = np.where(there, scores[np.minimum(at, len(scores) - 1)], np.nan)
        points[np.flatnonzero(known) + s.start] = HOW[how](over[known], axis=1)
    return points
