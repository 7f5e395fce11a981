"""The pool, with real worker processes: results, order, cancelling, death and the end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import xaikit as xk
from tests.jobs.conftest import SOON, until, wait_for_progress
from xaikit.arrays import agreement
from xaikit.errors import (
    Cancelled,
    InputError,
    JobError,
    ModelError,
    ParameterError,
    QueueFull,
    StorageError,
    TargetError,
    UnknownName,
    UnsafeFile,
    UsageError,
)
from xaikit.jobs import Pool, Recipe, Unit
from xaikit.results import Prediction

pytestmark = pytest.mark.slow

"""Seconds in which a worker has surely started, also on a machine with other work."""


def gone(pid: int) -> bool:
    """Whether a process has ended and nothing of it is left."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def idle(pool: Pool, new: Any) -> int:
    """Give the pid of the pool's worker once it has nothing to do."""
    assert pool.submit(new("saliency")).wait(SOON)
    return pool.processes[0]


def test_a_result_is_that_of_explain(pool: Pool, new: Any, sample: Any) -> None:
    job = pool.submit(new("lime", samples=80, seed=5))
    assert job.status in ("waiting", "running")
    found = job.result(SOON)
    model = xk.zoo.load("xo_cnn", framework="torch")
    wanted = xk.explain(model, sample, "lime", samples=80, seed=5)
    assert_array_equal(found.values, wanted.values)
    assert found.origin.fingerprint == wanted.origin.fingerprint
    assert found.origin.input_hash == wanted.origin.input_hash
    assert (job.status, job.done, job.error) == ("done", True, None)
    assert job.progress is not None
    assert job.progress[0] == job.progress[1]
    assert job.address in pool.store
    assert pool.get(job.id) is job


def test_a_repeated_unit_needs_no_worker(pool: Pool, new: Any, sample: Any) -> None:
    first = pool.submit(new("occlusion", seed=1)).result(SOON)
    with Pool({"other name": Recipe("xo_cnn", "torch")}, folder=pool.store.folder) as second:
        job = second.submit(Unit("other name", sample, "occlusion", seed=1))
        assert job.status == "done"
        assert second.processes == []
    assert_array_equal(job.result().values, first.values)
    assert job.result().origin.seconds == first.origin.seconds


def test_a_stored_unit_is_answered_at_once(pool: Pool, new: Any) -> None:
    unit = new("saliency")
    pool.submit(unit).result(SOON)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        assert pool.submit(unit).status == "done"
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.02


def test_predict_gives_the_best_classes(pool: Pool, sample: Any, new: Any) -> None:
    found = pool.submit(new(task="predict")).result(SOON)
    assert isinstance(found, Prediction)
    model = xk.zoo.load("xo_cnn", framework="torch")
    output = model.run(model.inputs.encode(sample)).output
    assert_array_equal(found.output, output)
    ((name, probability), (_, rest)) = found.top()[0]
    assert name == model.outputs.names[int(output.argmax())]
    assert probability == pytest.approx(output.max(), abs=1e-6)
    assert probability + rest == pytest.approx(1, abs=1e-6)
    assert pool.submit(new(task="predict", seed=1000, samples=3)).error == "predict has no parameter 'samples'"


def test_files_are_inputs(pool: Pool, picture: Path) -> None:
    job = pool.submit(Unit("xo", picture, "saliency"))
    assert job.result(SOON).values.shape == (1, 9, 9, 1)
    both = pool.submit(Unit("xo", [picture, picture], "saliency")).result(SOON)
    assert len(both) == 2


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"model": "xu"}, UsageError, "unknown model 'xu'; known: 'xo'"),
        ({"method": "lim"}, UsageError, "unknown method 'lim'; did you mean 'lime'?"),
        ({"task": "predikt"}, UsageError, "did you mean 'predict'?"),
        ({"parameters": {"sampels": 9}}, ParameterError, "did you mean 'samples'?"),
        ({"parameters": {"samples": 1}}, ParameterError, "samples must be at least 2, not 1"),
        ({"target": "Z"}, TargetError, "no output 'Z'"),
        ({"seed": -1}, ParameterError, "the seed is a whole number"),
        ({"input": np.zeros((9, 9, 7))}, InputError, "(9, 9, 7)"),
        ({"input": np.full((9, 9), np.nan)}, InputError, "NaN"),
        ({"input": Path("nowhere.png")}, InputError, "there is no file nowhere.png"),
        ({"input": object()}, ParameterError, "not object: give one of these"),
    ],
)
def test_what_is_wrong_fails_in_the_librarys_words(
    pool: Pool, sample: Any, change: dict[str, Any], error: type[Exception], text: str
) -> None:
    job = pool.submit(Unit(**{"model": "xo", "input": sample, "method": "lime", **change}))
    assert job.wait(SOON)
    assert job.status == "failed"
    assert job.error is not None
    assert text in job.error
    assert "\n" not in job.error
    with pytest.raises(error):
        job.result()


def test_an_unforeseen_error_fails_its_job_alone(pool: Pool, new: Any) -> None:
    before = idle(pool, new)
    job = pool.submit(new(task="odd"))
    assert job.wait(SOON)
    assert job.error == "odd on xo met an unforeseen ZeroDivisionError: an odd end"
    with pytest.raises(JobError):
        job.result()
    assert idle(pool, new) == before


def test_what_cannot_be_stored_fails(pool: Pool, new: Any) -> None:
    with pytest.raises(StorageError, match="str is no result"):
        pool.submit(new(task="leave")).result(SOON)


def test_cancelling_stops_the_work_and_keeps_the_worker(pool: Pool, new: Any) -> None:
    before = idle(pool, new)
    for unit in (new(task="count", steps=10**6), new("lime", samples=400_000)):
        job = pool.submit(unit)
        wait_for_progress(job)
        stored = set(pool.store.keys())
        job.cancel()
        assert job.status == "cancelled"
        assert job.error is None
        with pytest.raises(Cancelled):
            job.result()
        after = pool.submit(new("saliency"))
        assert after.result(SOON) is not None
        assert set(pool.store.keys()) - stored == {after.address}, "nothing partial is stored"
        job.cancel()
    assert pool.processes == [before]


def test_a_worker_that_does_not_listen_is_replaced(pool: Pool, new: Any) -> None:
    before = idle(pool, new)
    job = pool.submit(new(task="deaf"))
    wait_for_progress(job)
    pool.cancel(job.id)
    assert pool.submit(new("saliency")).result(SOON) is not None
    assert pool.processes != [before]
    assert gone(before)


def test_a_waiting_job_can_be_cancelled(pool: Pool, new: Any) -> None:
    busy = pool.submit(new(task="count", steps=10**6))
    wait_for_progress(busy)
    waiting = pool.submit(new("saliency"))
    assert waiting.status == "waiting"
    waiting.cancel()
    assert waiting.wait(SOON)
    assert waiting.status == "cancelled"
    assert busy.status == "running"
    busy.cancel()


def test_a_killed_worker_fails_its_job_and_the_next_one_works(pool: Pool, new: Any) -> None:
    job = pool.submit(new(task="count", steps=10**6))
    wait_for_progress(job)
    (pid,) = pool.processes
    os.kill(pid, signal.SIGKILL)
    assert job.wait(SOON)
    assert job.status == "failed"
    assert job.error is not None
    assert "killed by SIGKILL, perhaps for want of memory, during count on xo" in job.error
    with pytest.raises(JobError):
        job.result()
    assert pool.submit(new("saliency")).result(SOON) is not None
    assert gone(pid)


def test_a_worker_that_died_while_idle_is_not_noticed(pool: Pool, new: Any) -> None:
    pid = idle(pool, new)
    os.kill(pid, signal.SIGKILL)
    assert pool.submit(new("saliency")).result(SOON) is not None
    assert gone(pid)


def test_work_that_kills_its_worker_fails_each_time(pool: Pool, new: Any) -> None:
    for _ in range(2):
        job = pool.submit(new(task="die"))
        assert job.wait(SOON)
        assert "SIGKILL" in str(job.error)


def test_a_worker_that_cannot_start_says_so(new: Any, tmp_path: Path) -> None:
    with Pool({"xo": "xo_cnn"}, folder=tmp_path, modules=["no_such_module"]) as pool:
        job = pool.submit(new("saliency"))
        assert job.wait(SOON)
        assert "the worker process for saliency on xo could not start (exit code 1)" in str(job.error)


def test_the_queue_is_bounded(pool: Pool, new: Any) -> None:
    busy = pool.submit(new(task="count", steps=10**6))
    wait_for_progress(busy)
    waiting = [pool.submit(new("saliency")) for _ in range(4)]
    with pytest.raises(QueueFull, match="4 jobs are waiting already"):
        pool.submit(new("saliency"))
    assert pool.submit(waiting[0].unit).status == "waiting", "a unit that waits already takes no room"
    busy.cancel()
    assert [len(job.result(SOON)) for job in waiting] == [1] * 4


def test_equal_units_run_once_and_each_may_give_up_alone(pool: Pool, new: Any) -> None:
    unit = new(task="count", steps=100)
    first, second, third = (pool.submit(unit) for _ in range(3))
    assert len({first.id, second.id, third.id}) == 3
    wait_for_progress(first)
    first.cancel()
    assert (first.status, second.status) == ("cancelled", "running")
    assert second.result(SOON) is third.result(SOON)


def test_a_damaged_result_is_made_again(pool: Pool, new: Any) -> None:
    unit = new("saliency")
    job = pool.submit(unit)
    first = job.result(SOON)
    assert job.address is not None
    pool.store.path(job.address).with_suffix(".npz").write_bytes(b"damaged")
    again = pool.submit(unit)
    assert_array_equal(again.result(SOON).values, first.values)
    assert again.result().origin.seconds != first.origin.seconds


def test_unknown_ids_are_told(pool: Pool) -> None:
    for ask in (pool.get, pool.cancel):
        with pytest.raises(UnknownName, match="unknown job 'a'"):
            ask("a")


def test_waiting_ends_with_the_timeout(pool: Pool, new: Any) -> None:
    job = pool.submit(new(task="count", steps=10**6))
    with pytest.raises(TimeoutError, match="count on xo has not ended"):
        job.result(0.05)
    job.cancel()


def test_two_pools_share_one_store(pool: Pool, new: Any, more_tasks: str) -> None:
    unit = new("lime", samples=60)
    with Pool(pool.models, folder=pool.store.folder, modules=[more_tasks]) as other:
        jobs = [p.submit(unit) for p in (pool, other, pool, other)]
        values = [job.result(SOON).values for job in jobs]
        for each in values[1:]:
            assert_array_equal(each, values[0])
        assert all(job.address in pool.store for job in jobs)


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"queue": 0}, {"keep": 0}, {"threads": -1}])
def test_a_pool_without_room_is_refused(wrong: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="at least 1"):
        Pool(["xo_cnn"], folder=tmp_path, **wrong)  # type: ignore[arg-type]


def test_the_end_leaves_no_process(new: Any, more_tasks: str, tmp_path: Path) -> None:
    with Pool({"xo": "xo_cnn"}, workers=2, folder=tmp_path, modules=[more_tasks]) as pool:
        running = [pool.submit(new(task=task, steps=10**6)) for task in ("count", "deaf")]
        for job in running:
            wait_for_progress(job)
        waiting = pool.submit(new("saliency"))
        pids = pool.processes
        assert len(pids) == 2
    assert [job.status for job in (*running, waiting)] == ["cancelled"] * 3
    assert all(gone(pid) for pid in pids)
    with pytest.raises(JobError, match="the pool is closed"):
        pool.submit(new("saliency"))
    pool.close()


PARENT = """
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
import numpy as np
from xaikit.jobs import Pool, Recipe, Unit
import tasks_of_tests

pool = Pool({"xo": Recipe("xo_cnn", "torch")}, folder=sys.argv[1], modules=["tasks_of_tests"])
job = pool.submit(Unit("xo", np.zeros((9, 9)), task=sys.argv[3], parameters={"steps": 10**6}))
while job.progress is None:
    time.sleep(0.01)
print(*pool.processes, flush=True)
if sys.argv[4] == "stay":
    time.sleep(600)
"""


@pytest.mark.parametrize(
    ("task", "end"),
    [
        pytest.param("deaf", "killed", marks=pytest.mark.slow),
        ("count", "killed"),
        pytest.param("count", "exit", marks=pytest.mark.long),
    ],
)
def test_workers_end_with_their_parent(task: str, end: str, more_tasks: str, tmp_path: Path) -> None:
    import tasks_of_tests  # type: ignore[import-not-found]

    folder = str(Path(tasks_of_tests.__file__).parent)
    stay = "stay" if end == "killed" else "go"
    program = [sys.executable, "-c", PARENT, str(tmp_path), folder, task, stay]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        if end == "killed":
            parent.kill()
        assert parent.wait(SOON) == (-signal.SIGKILL if end == "killed" else 0)
    until(lambda: ended(pid))


def ended(pid: int) -> bool:
    """Whether a process that is no child of this one runs no more; its new parent may not have noticed yet."""
    stat = Path(f"/proc/{pid}/stat")
    return gone(pid) or (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")


NET = """
from torch import nn

def build():
    return nn.Sequential(nn.Linear(3, 2), nn.Softmax(-1))
"""


def described(folder: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    save_file({"0.weight": torch.eye(2, 3), "0.bias": torch.zeros(2)}, folder / "w.safetensors")
    (folder / "net_of_tests.py").write_text(NET)
    toml = 'framework = "torch"\nweights = "w.safetensors"\nfactory = "net_of_tests:build"\n'
    inputs, outputs = '[inputs]\nkind = "Array"\nshape = [3]\n', '[outputs]\nkind = "Classes"\nnames = ["a", "b"]\n'
    (folder / "model.toml").write_text(toml + inputs + outputs)
    return folder / "model.toml"


def test_models_of_files(tmp_path: Path, new: Any) -> None:
    import torch
    from safetensors.torch import save_file

    path = described(tmp_path)
    models = {"mine": Recipe(str(path), allow_code=True), "unsafe": str(path), "none": str(tmp_path / "none.pt2")}
    x = np.array([1.0, 2.0, 3.0])
    with Pool(models, folder=tmp_path / "store") as pool:
        first = pool.submit(Unit("mine", x, "gradient-x-input", target="a"))
        assert_array_equal(first.result(SOON).values, [[1.0, 0.0, 0.0]])
        with pytest.raises(UnsafeFile):
            pool.submit(Unit("unsafe", x, "saliency")).result(SOON)
        with pytest.raises(ModelError, match="there is no model file"):
            pool.submit(Unit("none", x, "saliency")).result(SOON)
        # other weights in the same place are another model, for a worker that has loaded the first one too
        save_file({"0.weight": 2 * torch.eye(2, 3), "0.bias": torch.zeros(2)}, tmp_path / "w.safetensors")
        second = pool.submit(Unit("mine", x, "gradient-x-input", target="a"))
        assert_array_equal(second.result(SOON).values, [[2.0, 0.0, 0.0]])
        assert first.address != second.address


def test_keras_explains_in_a_worker_as_here(tmp_path: Path, sample: Any) -> None:
    pytest.importorskip("keras")
    with Pool({"k": Recipe("xo_cnn", "keras"), "t": Recipe("xo_cnn", "torch")}, folder=tmp_path) as pool:
        jobs = [pool.submit(Unit(name, sample, "occlusion")) for name in ("k", "t")]
        keras, torch = (job.result(SOON) for job in jobs)
    assert (keras.origin.framework, torch.origin.framework) == ("keras", "torch")
    assert jobs[0].address != jobs[1].address
    assert agreement(keras.values, torch.values).max() <= 1e-5


@pytest.mark.parametrize("workers", [1, 2, 64])
def test_processors_are_shared_out(workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xaikit.jobs.pool.processors", lambda: 8)
    with Pool(["xo_cnn"], workers=workers, folder=tmp_path) as pool:
        assert pool.threads == max(1, 8 // workers)
