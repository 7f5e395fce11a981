"""Pace: half the batch is tried in a long run, and half of that while it gains; cheap rows are asked for in one go."""

import platform
import subprocess
import sys
import time

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.perturb.questions import question
from xaikit.inputs import Array
from xaikit.model import CallableModel
from xaikit.perturb.evaluate import ask
from xaikit.perturb.maskers import maskers
from xaikit.perturb.memory import MEMORY
from xaikit.perturb.pace import LONG, QUICK, TRIALS, Pace
from xaikit.perturb.segments import cut


def paced(
    size: int, due: int, per_row: dict[int, float], model: object = None, kind: str = "none"
) -> tuple[list, Pace]:
    """Run through a pace where a row takes so long in batches of a size."""
    pace = Pace(model or CallableModel(lambda x: x), kind, size, due)
    sizes = []
    while sum(sizes) < due:
        sizes.append(pace.rows)
        pace.took(sizes[-1], per_row[sizes[-1]] * sizes[-1])
    return sizes, pace


@pytest.mark.parametrize(("half", "kept"), [(0.5, 32), (0.95, 64), (1.5, 64)])
def test_the_faster_size_stays_unless_the_gain_is_small(half, kept):
    sizes, pace = paced(64, 64 * 100, {64: 1.0, 32: half, 16: half})
    assert sizes[: 2 * TRIALS] == [64, 32] * TRIALS
    assert set(sizes[4 * TRIALS :]) == {kept}
    assert pace.rows == kept


def test_a_batch_is_halved_for_as_long_as_it_gains():
    sizes, pace = paced(64, 64 * 100, {64: 1.0, 32: 0.8, 16: 0.6, 8: 0.59})
    assert sizes[: 6 * TRIALS] == [*[64, 32] * TRIALS, *[32, 16] * TRIALS, *[16, 8] * TRIALS]
    assert set(sizes[6 * TRIALS :]) == {16}
    assert pace.rows == 16
    assert paced(2, 200, {2: 1.0, 1: 0.1})[1].rows == 1, "one row cannot be halved"


def test_several_batches_are_gathered_where_no_smaller_one_is_better():
    assert Pace(CallableModel(lambda x: x), "none", 64, 100, (4, 4)).rows == 256, "of a short run at once"
    for half, rows in ((1.0, 256), (0.5, 32)):
        pace = Pace(CallableModel(lambda x: x), "none", 64, 6400, (4, 4))
        for _ in range(4 * TRIALS):
            if pace.rows < 256:
                pace.took(pace.rows, pace.rows * (1.0 if pace.rows == 64 else half))
        assert pace.rows == rows


@pytest.mark.parametrize(("seconds", "rows"), [(QUICK, 64), (QUICK / 2.5, 128), (QUICK / 100, 512)])
def test_as_many_are_gathered_as_are_quick(seconds, rows):
    pace = Pace(CallableModel(lambda x: x), "none", 64, 640, (1, 8))
    assert pace.rows == 64, "of the first nothing is known"
    pace.took(10, 1e-9)
    assert pace.rows == 64, "a batch that is hardly filled says nothing"
    pace.took(64, seconds)
    assert pace.rows == rows


def test_a_short_run_tries_nothing():
    assert set(paced(64, 64 * (LONG - 1), {64: 1.0})[0]) == {64}
    assert set(paced(1, 100, {1: 1.0})[0]) == {1}


def test_what_was_found_is_kept_for_the_model_and_the_kind():
    model = CallableModel(lambda x: x)
    paced(64, 64 * LONG, {64: 1.0, 32: 0.5, 16: 0.5}, model)
    assert set(paced(64, 64, {32: 1.0}, model)[0]) == {32}
    assert paced(64, 64 * LONG, {64: 1.0, 32: 2.0}, model, "onnxruntime")[1].rows == 64


def test_a_time_that_is_no_trial_changes_nothing():
    pace = Pace(CallableModel(lambda x: x), "none", 64, 6400)
    pace.took(10, 1e-9)
    assert pace.rows == 64


@pytest.mark.parametrize(("share", "kept"), [(1.0, 64), (0.3, 64), (0.01, 32)])
def test_a_busy_machine_makes_no_batch_smaller(share, kept):
    """Others on the machine lengthen a large batch, not the work in it; what hardly works is timed by the wall."""
    pace = Pace(CallableModel(lambda x: x), "none", 64, 6400)
    for _ in range(4 * TRIALS):
        rows = pace.rows
        pace.took(rows, rows * (2.0 if rows == 64 else 1.0), share * rows)
    assert pace.rows == kept


def test_a_long_evaluation_goes_at_the_better_pace_and_gives_the_same(monkeypatch):
    monkeypatch.setattr(CallableModel, "batch_size", 8)
    batches = []

    def cramped(x):
        batches.append(len(x))
        time.sleep(0.02 if len(x) > 4 else 0.0001)
        return np.tanh(x.sum(1, keepdims=True))

    masks = np.unique(np.random.default_rng(0).random((600, 12)) < 0.5, axis=0)
    task = question(np.random.default_rng(1).normal(size=(1, 12)), Array(12), cramped)
    batches.clear()
    MEMORY.clear()
    found = ask(task, maskers(task, cut(task)), [masks])[0].values
    assert batches[: 4 * TRIALS] == [*[8, 4] * TRIALS, *[4, 2] * TRIALS]
    assert set(batches[4 * TRIALS : -1]) <= {1, 2, 4}
    assert_allclose(found, np.tanh((masks * task.x[0]).sum(1)), rtol=1e-5, atol=1e-6)


FAULTS = """
import resource
import numpy as np
from xaikit.perturb.pace import settle_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [np.ones(3 * 2**20, np.uint8) for _ in range(4)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

rounds = [faults() for _ in range(3)]
settle_memory()
print(rounds[-1], [faults() for _ in range(3)][-1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is glibc that gives such blocks back")
def test_memory_of_a_batch_is_kept_for_the_next_one():
    told = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    before, after = map(int, told.split())
    assert before > 1000, "pages of 4 KiB for 12 MiB"
    assert after < before / 10
