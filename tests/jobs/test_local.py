"""Units carried out in this process."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import xaikit as xk
from tests.analytic import golden
from tests.jobs.conftest import SOON
from xaikit.errors import Cancelled, ParameterError, QueueFull, UnknownName, UsageError
from xaikit.jobs import Job, Local, Pool, Runner, Unit

pytestmark = pytest.mark.slow

X = np.array([1.0, 2.0, 3.0])


LONG = np.arange(30.0)


def slow(x: Any) -> Any:
    """Give the mean, slowly enough to be cancelled."""
    time.sleep(0.3)
    return x.mean(1)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    models = {
        "golden": golden(),
        "slow": xk.wrap(slow, inputs=xk.Array((30,)), version="1"),
        "nameless": xk.wrap(lambda x: x.mean(1), inputs=xk.Array((3,))),
    }
    with Local(models, folder=tmp_path, queue=2) as local:
        yield local


def test_a_result_is_that_of_explain_and_is_stored(local: Local) -> None:
    unit = Unit("golden", X, "integrated-gradients", target=0)
    job = local.submit(unit)
    found = job.result(30)
    assert_array_equal(found.values, xk.explain(golden(), X, "integrated-gradients", 0).values)
    assert job.address in local.store
    again = local.submit(unit)
    assert again.status == "done"
    assert again.result().origin.seconds == found.origin.seconds


def test_a_function_without_version_is_explained_each_time(local: Local) -> None:
    jobs = [local.submit(Unit("nameless", X, "occlusion", {"window": 1})) for _ in range(2)]
    assert [job.result(30).values.shape for job in jobs] == [(1, 3)] * 2
    assert [job.address for job in jobs] == [None, None]
    assert list(local.store.keys()) == []


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        (Unit("gilded", X, "lime"), "did you mean 'golden'?"),
        (Unit("golden", X, "limes"), "did you mean 'lime'?"),
        (Unit("golden", X, "saliency", target=7), "no output 7"),
    ],
)
def test_what_is_wrong_fails_in_the_librarys_words(local: Local, unit: Unit, text: str) -> None:
    job = local.submit(unit)
    assert job.wait(SOON)
    assert job.status == "failed"
    assert text in str(job.error)


def test_cancelling_frees_the_thread(local: Local) -> None:
    job = local.submit(Unit("slow", LONG, "lime", {"samples": 400_000}))
    time.sleep(0.1)
    local.cancel(job.id)
    assert local.get(job.id).status == "cancelled"
    with pytest.raises(Cancelled):
        job.result()
    # the work itself would take half a minute
    assert len(local.submit(Unit("golden", X, "saliency", target=0)).result(10)) == 1


def test_the_queue_is_bounded(local: Local) -> None:
    busy = local.submit(Unit("slow", LONG, "occlusion", {"window": 1}, target=0))
    jobs: list[Job] = []
    with pytest.raises(QueueFull):
        jobs.extend(local.submit(Unit("slow", LONG + i, "occlusion", {"window": 1})) for i in range(1, 9))
    assert busy.result(30) is not None


def test_only_wrapped_models_are_taken(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="f is a function, not a wrapped model"):
        Local({"f": slow}, folder=tmp_path)  # type: ignore[dict-item]
    with pytest.raises(ParameterError, match="queue must be at least 1"):
        Local({}, queue=0, folder=tmp_path)


def test_the_end_leaves_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    local = Local({"golden": golden()}, folder=tmp_path)
    assert threading.active_count() == before + 1
    local.close()
    assert threading.active_count() == before


def test_ids_are_told_apart(local: Local) -> None:
    with pytest.raises(UnknownName, match="unknown job 'x'"):
        local.get("x")


def test_pool_and_local_are_runners_and_agree(pool: Pool, sample: Any, tmp_path: Path) -> None:
    runners: list[Runner] = [pool, Local({"xo": xk.zoo.load("xo_cnn", framework="torch")}, folder=tmp_path)]
    jobs = [runner.submit(Unit("xo", sample, "lime", {"samples": 70}, seed=2)) for runner in runners]
    assert_array_equal(jobs[0].result(90).values, jobs[1].result(90).values)
    runners[1].close()
