"""Time two or more sides in turn, and the memory of one: what every benchmark here measures with."""

import gc
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

Work = Callable[[], Any]
Clock = Callable[[], float]

CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "processor": time.process_time}


class Ratio(NamedTuple):
    """How many times as long one side took as another: the median over the rounds, and the quartiles."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}–{self.high:.2f})"


@dataclass(frozen=True)
class Turns:
    """The seconds of every side, round by round, and by how many MiB the process grew at the peak of a call."""

    seconds: Mapping[str, list[float]]
    memory: Mapping[str, float] = field(default_factory=dict)

    def median(self, side: str) -> float:
        return float(np.median(self.seconds[side]))

    def ratio(self, side: str, over: str) -> Ratio:
        rounds = zip(self.seconds[side], self.seconds[over], strict=True)
        low, median, high = np.percentile([a / b for a, b in rounds], [25, 50, 75])
        return Ratio(float(median), float(low), float(high))


def seconds(work: Work, clock: Clock = time.perf_counter) -> float:
    """Give the seconds that one call takes."""
    start = clock()
    work()
    return clock() - start


def turns(
    sides: Mapping[str, Work],
    *,
    limit: float = 6,
    least: int = 3,
    most: int = 25,
    warm: bool = True,
    clock: Clock = time.perf_counter,
    memory: bool = False,
) -> Turns:
    """Run all sides in turn, once to warm up and then until `limit` seconds are over: `least` to `most` rounds.

    With `memory` each side is run once more, unmeasured by the clock, to see what it needs at its peak.
    """
    if warm:
        for work in sides.values():
            work()
    peaks = {name: peak(work) for name, work in sides.items()} if memory else {}
    found: dict[str, list[float]] = {name: [] for name in sides}
    start, rounds = time.perf_counter(), 0
    while rounds < least or (rounds < most and time.perf_counter() - start < limit):
        for name, work in sides.items():
            found[name].append(seconds(work, clock))
        rounds += 1
    return Turns(found, {name: mib for name, mib in peaks.items() if mib is not None})


def peak(work: Work) -> float | None:
    """Give by how many MiB a call makes the process grow at its peak; None where the system does not say (no Linux)."""
    gc.collect()
    try:
        _give_back()
        with open("/proc/self/clear_refs", "w") as refs:
            refs.write("5")  # the peak starts again from what is held now
        before = _status("VmRSS")
    except OSError:
        return None
    work()
    return (_status("VmHWM") - before) / 1024


def _status(name: str) -> float:
    with open("/proc/self/status") as lines:
        return next(float(line.split()[1]) for line in lines if line.startswith(name))


def _give_back() -> None:
    """Hand memory that is free already back to the system, or a call would take it unseen."""
    import ctypes

    ctypes.CDLL("libc.so.6").malloc_trim(0)


def threads() -> int:
    """Give the threads that calculations use: OMP_NUM_THREADS, or the cores."""
    return int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


def keep_to(count: int) -> None:
    """Let torch use so many threads, and TensorFlow, if it is not imported yet; peers draw no bars."""
    os.environ["OMP_NUM_THREADS"] = str(count)
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(count))
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", str(count))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TQDM_DISABLE", "1")  # the bars of the peers
    import torch

    torch.set_num_threads(count)
