"""What a job says of itself: its place, its times and what is left."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.analytic import golden
from tests.jobs.conftest import SOON, until
from xaikit.errors import ParameterError
from xaikit.jobs import Job, Local, Task, Unit, tasks
from xaikit.jobs import job as module
from xaikit.jobs.job import Pace
from xaikit.jobs.kinds import _predict

X = np.array([1.0, 2.0, 3.0])


class Gate:
    """A task of two steps, of which the second waits until it may."""

    def __init__(self) -> None:
        self.open = threading.Event()

    def run(self, model: Any, unit: Unit, progress: Callable[[int, int], None]) -> Any:
        progress(1, 4)
        time.sleep(0.02)
        progress(2, 4)
        assert self.open.wait(SOON)
        progress(4, 4)
        return _predict(model, unit, progress)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    tasks("gated")(Task(gate.run))
    yield gate
    gate.open.set()
    del tasks._known["gated"]


@pytest.fixture
def local(tmp_path: Path, gate: Gate) -> Iterator[Local]:
    with Local({"golden": golden()}, folder=tmp_path, queue=8) as local:
        yield local
        gate.open.set()


def unit(seed: int) -> Unit:
    return Unit("golden", X, task="gated", seed=seed)


def facts(job: Job) -> tuple[Any, ...]:
    return job.status, job.place, job.started, job.left, job.seconds, job.stored


def test_places_move_up_as_jobs_end_and_are_given_up(local: Local, gate: Gate) -> None:
    jobs = [local.submit(unit(seed)) for seed in range(4)]
    until(lambda: jobs[0].progress == (2, 4))
    assert [job.place for job in jobs] == [None, 1, 2, 3]
    assert facts(jobs[2]) == ("waiting", 2, None, None, None, False)
    jobs[1].cancel()
    assert [job.place for job in jobs] == [None, None, 1, 2]
    gate.open.set()
    assert jobs[3].result(20) is not None
    assert [job.place for job in jobs] == [None] * 4


def test_times_are_those_of_the_run(local: Local, gate: Gate) -> None:
    before = time.time()
    job = local.submit(unit(0))
    until(lambda: job.progress == (2, 4))
    assert job.started is not None
    assert before <= job.started <= time.time()
    assert job.seconds is None
    assert job.left is not None
    assert 0 <= job.left < 10
    assert job.quiet is not None
    quiet = job.quiet
    time.sleep(0.02)
    assert job.quiet >= quiet + 0.02
    gate.open.set()
    job.result(20)
    assert job.seconds is not None
    assert 0.04 <= job.seconds <= time.time() - before
    assert (job.left, job.quiet, job.stored) == (None, None, False)


def test_a_stored_result_says_that_nothing_was_run(local: Local, gate: Gate) -> None:
    gate.open.set()
    local.submit(unit(0)).result(20)
    assert facts(local.submit(unit(0))) == ("done", None, None, None, None, True)


def test_an_equal_unit_shares_the_run(local: Local, gate: Gate) -> None:
    first = local.submit(unit(0))
    until(lambda: first.progress == (2, 4))
    pair = [local.submit(unit(1)) for _ in range(2)]
    assert [job.place for job in pair] == [1, 1]
    pair[0].cancel()
    assert [job.place for job in pair] == [None, 1]
    gate.open.set()
    assert pair[1].result(20) is not None
    assert pair[1].seconds is not None


def test_what_is_left_is_estimated_from_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    pace = Pace()
    assert pace.left() is None
    pace.step(10, 100)
    assert pace.left() is None, "one report tells no speed"
    now = 104.0
    pace.step(30, 100)
    assert pace.left() == pytest.approx(14)
    now = 110.0
    assert pace.left() == pytest.approx(8)
    now = 200.0
    assert pace.left() == 0
    assert pace.quiet == pytest.approx(96)
    pace.step(1, 50)
    assert pace.left() is None, "another count of steps is another part of the work"
    now = 201.0
    pace.step(2, 50)
    assert pace.left() == pytest.approx(48)


def test_a_failed_job_says_how_long_it_tried(local: Local, gate: Gate) -> None:
    wrong = local.submit(Unit("golden", X, "saliency", target=7))
    assert wrong.wait(SOON)
    assert wrong.seconds is not None
    assert not wrong.stored
    unknown = local.submit(Unit("golden", X, "salience"))
    assert facts(unknown) == ("failed", None, None, None, None, False)
    with pytest.raises(ParameterError):
        Local({}, queue=0)
