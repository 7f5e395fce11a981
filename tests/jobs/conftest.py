"""A pool with a small network of the zoo, and with tasks that are slow, deaf or deadly on purpose."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xaikit.jobs import Pool, Recipe, Unit

pytest.importorskip("torch")

SOON = 180
"""Seconds within which what is waited for comes, also where a loaded machine has to import a framework first."""


def until(true: Callable[[], Any], seconds: float = SOON) -> None:
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


TASKS = '''
import os, signal, time
from xaikit.jobs import Task, given, tasks
from xaikit.jobs.kinds import _predict

def count(model, unit, progress):
    """Run for as many steps as asked, and say so."""
    for i in range(unit.parameters["steps"]):
        time.sleep(0.01)
        progress(i + 1, unit.parameters["steps"])
    return _predict(model, unit, progress)

def deaf(model, unit, progress):
    progress(1, 2)
    time.sleep(600)

def die(model, unit, progress):
    progress(1, 2)
    os.kill(os.getpid(), signal.SIGKILL)

def odd(model, unit, progress):
    raise ZeroDivisionError("an odd\\nend")

def leave(model, unit, progress):
    return "no result"

for task in (count, deaf, die, odd, leave):
    tasks(task.__name__)(Task(task))
'''


@pytest.fixture(scope="session")
def more_tasks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a module with more tasks, which this process and its workers can import."""
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "tasks_of_tests.py").write_text(TASKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        import tasks_of_tests  # type: ignore[import-not-found]  # noqa: F401

        yield "tasks_of_tests"


@pytest.fixture(scope="module")
def pool(more_tasks: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    folder = tmp_path_factory.mktemp("store")
    with Pool({"xo": Recipe("xo_cnn", "torch")}, folder=folder, queue=4, modules=[more_tasks]) as pool:
        yield pool


@pytest.fixture(scope="module")
def sample() -> Any:
    """A picture for xo_cnn, in display units."""
    import xaikit as xk

    spec = xk.zoo.card("xo_cnn").inputs
    return np.random.default_rng(3).integers(0, 2, spec.shape, np.uint8)


@pytest.fixture
def new(sample: Any) -> Any:
    """Make a unit that no test has asked for before: its seed is fresh."""

    def make(method: str = "", task: str = "explain", seed: int | None = None, **parameters: Any) -> Unit:
        return Unit("xo", sample, method, parameters, seed=next(SEEDS) if seed is None else seed, task=task)

    return make


SEEDS = iter(range(1000, 10**6))


def wait_for_progress(job: Any) -> None:
    """Wait until the job's worker has reported a step."""
    until(lambda: job.progress is not None or job.done)
    assert not job.done, job.error


@pytest.fixture
def picture(tmp_path: Path, sample: Any) -> Path:
    from PIL import Image

    Image.fromarray(sample[..., 0]).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"
