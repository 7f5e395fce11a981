"""Jobs of several owners, and the table in which other processes and later ones find them."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.analytic import golden
from tests.cases import some
from tests.jobs.conftest import SOON, until
from tests.jobs.test_job import Gate
from tests.jobs.test_job import gate as gate
from xaikit.errors import JobError, ParameterError, QueueFull, StorageError, TargetError, UnknownName
from xaikit.jobs import Local, Pool, Recipe, Unit
from xaikit.jobs.line import TRIES
from xaikit.jobs.table import RESTARTED, Row, Table

pytestmark = pytest.mark.slow

X = np.array([1.0, 2.0, 3.0])


def unit(seed: int) -> Unit:
    return Unit("golden", X, task="gated", seed=seed)


@pytest.fixture
def local(tmp_path: Path, gate: Gate) -> Iterator[Local]:
    with Local({"golden": golden()}, folder=tmp_path, queue=300, table=tmp_path / "jobs.db", per_owner=3) as local:
        yield local
        gate.open.set()


def test_an_owner_sees_their_own_jobs_alone(local: Local, gate: Gate) -> None:
    mine = [local.submit(unit(seed), "ann") for seed in range(2)]
    other = local.submit(unit(9), "bob")
    assert [job.id for job in local.jobs("ann")] == [mine[1].id, mine[0].id]
    assert [job.id for job in local.jobs()] == [other.id, mine[1].id, mine[0].id]
    assert local.get(other.id).owner == "bob"
    assert local.get(mine[0].id, "ann") is mine[0]
    for ask in (local.get, local.cancel):
        with pytest.raises(UnknownName) as refused:
            ask(other.id, "ann")
        with pytest.raises(UnknownName) as unknown:
            ask("f" * 32, "ann")
        assert str(refused.value).replace(other.id, "f" * 32) == str(unknown.value)
    assert not other.done


def test_an_owner_has_so_many_jobs_at_a_time(local: Local, gate: Gate) -> None:
    jobs = [local.submit(unit(seed), "ann") for seed in range(3)]
    until(lambda: jobs[0].status == "running")
    with pytest.raises(QueueFull, match=r"3 of your jobs are waiting or running.*cancel one"):
        local.submit(unit(3), "ann")
    assert local.submit(unit(1), "ann") is jobs[1], "who asks again gets the same job"
    assert local.submit(unit(3), "bob").place == 3
    assert local.submit(unit(4)).place == 4, "nobody in particular has no limit"
    jobs[2].cancel()
    assert local.submit(unit(3), "ann").status == "waiting", "what waits for another owner can be joined"
    gate.open.set()
    assert jobs[1].result(SOON) is not None
    assert [local.submit(unit(seed), "ann").stored for seed in (0, 1)] == [True, True], "stored results are no jobs"


def test_equal_units_of_two_owners_run_once_and_are_given_up_apart(local: Local, gate: Gate) -> None:
    ann, bob = (local.submit(unit(0), owner) for owner in ("ann", "bob"))
    assert ann.id != bob.id
    until(lambda: ann.progress == (2, 4))
    ann.cancel()
    assert (ann.status, bob.status) == ("cancelled", "running")
    gate.open.set()
    assert bob.result(SOON) is not None
    with Reader(local) as table:
        assert [row.status for row in table.rows("ann") + table.rows("bob")] == ["cancelled", "done"]


class Reader:
    """The table of a line, as another process sees it."""

    def __init__(self, line: Any) -> None:
        self.table = Table(line.table.path)

    def __enter__(self) -> Table:
        return self.table

    def __exit__(self, *told: object) -> None:
        self.table.close()


def test_another_process_sees_where_jobs_stand(local: Local, gate: Gate) -> None:
    running, waiting = (local.submit(unit(seed), "ann") for seed in range(2))
    until(lambda: running.progress == (2, 4))
    with Reader(local) as table:
        until(lambda: table.row(running.id).started is not None)  # type: ignore[union-attr]
        row, later = table.row(running.id), table.row(waiting.id)
        assert row is not None
        assert later is not None
        assert (row.status, row.owner, row.title, row.place) == ("running", "ann", "gated on golden", None)
        assert row.progress is not None
        assert row.started == pytest.approx(running.started)
        assert (later.status, later.place, later.submitted) == ("waiting", 1, pytest.approx(waiting.submitted))
        gate.open.set()
        waiting.result(SOON)
        until(lambda: not table.row(waiting.id).open)  # type: ignore[union-attr]
        row = table.row(running.id)
        assert row is not None
        assert (row.status, row.address, row.progress) == ("done", running.address, (1, 1))
        assert row.seconds == pytest.approx(running.seconds, abs=0.1)
        assert row.ended is not None
        assert row.submitted is not None
        assert row.submitted <= row.ended <= time.time()


def test_another_runner_on_the_table_follows_and_cancels(local: Local, gate: Gate, tmp_path: Path) -> None:
    running, waiting = (local.submit(unit(seed), "ann") for seed in range(2))
    until(lambda: running.progress == (2, 4))
    with Local({"golden": golden()}, folder=tmp_path, table=tmp_path / "jobs.db") as other:
        seen, later = other.get(running.id, "ann"), other.get(waiting.id)
        with pytest.raises(UnknownName):
            other.get(running.id, "bob")
        assert (seen.status, later.status, later.place) == ("running", "waiting", 1)
        assert seen.unit.title == "gated on golden"
        assert other.get(running.id) is seen, "its pace is known from one look to the next"
        called = threading.Event()
        seen.then(called.set)
        other.cancel(waiting.id)
        until(lambda: waiting.status == "cancelled")
        assert running.status == "running"
        gate.open.set()
        assert seen.result(SOON).output.shape == running.result(SOON).output.shape
        assert called.wait(SOON)
        assert (seen.status, seen.stored, other.get(running.id).seconds) == (
            *("done", False),
            pytest.approx(running.seconds, abs=0.1),
        )
        assert [job.status for job in other.jobs("ann")] == ["cancelled", "done"]


def test_a_failure_is_the_same_error_elsewhere(local: Local) -> None:
    job = local.submit(Unit("golden", X, "saliency", target=7), "ann")
    at_once = local.submit(Unit("golden", X, "salience"), "ann")
    assert job.wait(SOON)
    with Reader(local) as table:
        until(lambda: not table.row(job.id).open)  # type: ignore[union-attr]
    local._jobs.clear()
    assert local.get(job.id).error == job.error
    with pytest.raises(TargetError, match="no output 7"):
        local.get(job.id).result()
    assert "did you mean 'saliency'" in str(local.get(at_once.id).error)


def test_a_result_that_is_gone_says_so(local: Local, gate: Gate) -> None:
    gate.open.set()
    job = local.submit(unit(0), "ann")
    assert job.result(SOON) is not None
    assert job.address is not None
    until(lambda: local.table is not None and not local.table.row(job.id).open)  # type: ignore[union-attr]
    local.store.drop(job.address)
    local._jobs.clear()
    with pytest.raises(JobError, match="gone from the store: run it again"):
        local.get(job.id).result()


def test_units_of_many_threads_all_end_and_no_row_is_left_open(local: Local, gate: Gate) -> None:
    gate.open.set()
    jobs: list[Any] = []

    def ask(owner: int) -> None:
        for seed in range(25):
            job = local.submit(unit(seed % 20), None)
            if seed % 7 == owner % 7:
                job.cancel()
            jobs.append(job)

    threads = [threading.Thread(target=ask, args=(owner,)) for owner in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(jobs) == 200
    for job in jobs:
        assert job.wait(SOON)
        assert job.status in ("done", "cancelled")
        assert job.error is None
    assert {job.status for job in jobs} >= {"done"}
    with Reader(local) as table:
        until(lambda: not any(row.open for row in table.rows(most=500)))
        until(lambda: not list(table.folder.glob("*.unit")))


def test_closing_while_others_submit_and_cancel_ends_each_job(tmp_path: Path, gate: Gate) -> None:
    local = Local({"golden": golden()}, folder=tmp_path, queue=300, table=tmp_path / "jobs.db")
    gate.open.set()
    jobs: list[Any] = []

    def ask(number: int) -> None:
        for seed in range(1000):
            try:
                jobs.append(local.submit(unit(number * 1000 + seed)))
            except JobError:
                return
            if seed % 3 == 0:
                jobs[-1].cancel()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(jobs) > 50)
    local.close()
    for thread in threads:
        thread.join(SOON)
        assert not thread.is_alive()
    assert all(job.wait(SOON) for job in jobs)


OPENING = """
import sys
from xaikit.jobs.table import Row, Table
table = Table(sys.argv[1])
for number in range(20):
    table.add(Row(f"{sys.argv[2]}-{number}", "m"), "")
    table.change([f"{sys.argv[2]}-{number}"], status="done")
"""


def test_processes_may_open_a_new_table_and_write_at_once(tmp_path: Path) -> None:
    programs = [
        subprocess.Popen([sys.executable, "-c", OPENING, str(tmp_path / "jobs.db"), str(number)]) for number in range(6)
    ]
    assert [program.wait(SOON) for program in programs] == [0] * 6
    table = Table(tmp_path / "jobs.db")
    assert {row.status for row in table.rows()} == {"done"}
    assert len(table.rows()) == 120
    table.close()


def test_old_rows_are_dropped(tmp_path: Path) -> None:
    now = time.time()
    table = Table(tmp_path / "jobs.db", keep_days=2, keep=3)
    ages = {"old": 3 * 86400, "a": 5, "b": 4, "c": 3, "d": 2}
    for id, age in ages.items():
        table.add(Row(id, "m", status="done", submitted=now - age), "")
    table.add(Row("open", "m", submitted=now), "", b"unit")
    table.prune()
    assert [row.id for row in table.rows()] == ["open", "d", "c"]
    assert (table.folder / "open.unit").exists()
    table.close()
    with pytest.raises(StorageError, match="cannot be used"):
        table.rows()


def test_a_damaged_table_is_put_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "jobs.db").write_bytes(b"no database " * 99)
    table = Table(tmp_path / "jobs.db")
    assert table.rows() == []
    assert "is damaged and was put aside" in caplog.text
    assert (tmp_path / "jobs.db.damaged").exists()
    table.close()
    with pytest.raises(StorageError, match="cannot be used"):
        Table(tmp_path / "jobs.db.damaged" / "x")


def test_work_goes_on_where_the_table_cannot_be_used(
    local: Local, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    gate.open.set()
    assert local.table is not None
    local.table._file.execute("drop table jobs")
    assert local.submit(unit(0), "ann").result(SOON) is not None
    assert "cannot be used: no such table" in caplog.text


def test_the_table_holds_nothing_of_the_input_and_units_are_for_this_user_alone(local: Local, gate: Gate) -> None:
    secret = np.frombuffer(b"SECRET OF A PERSON 123", np.uint8).astype(np.uint8)
    job = local.submit(Unit("golden", secret, task="gated"), "ann")
    assert local.table is not None
    kept = local.table.folder / f"{job.id}.unit"
    assert b"SECRET OF" in kept.read_bytes()
    assert kept.stat().st_mode & 0o077 == 0
    for path in local.table.path.parent.glob("jobs.db*"):
        assert path.is_dir() or b"SECRET" not in path.read_bytes()
    with sqlite3.connect(local.table.path) as file:
        columns = [row[1] for row in file.execute("pragma table_info(jobs)")]
    file.close()
    assert "input" not in columns
    job.cancel()
    until(lambda: not kept.exists())


@pytest.mark.parametrize("wrong", [{"per_owner": 0}, {"queue": 0}])
def test_limits_are_positive(wrong: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="at least 1"):
        Local({}, folder=tmp_path, **wrong)  # type: ignore[arg-type]


SERVER = """
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
import numpy as np
from xaikit.jobs import Pool, Recipe, Unit
import tasks_of_tests

folder = Path(sys.argv[1])
pool = Pool({"xo": Recipe("xo_cnn", "torch"), "old": Recipe("xo_cnn", "torch")}, folder=folder,
            modules=["tasks_of_tests"], table=folder / "jobs.db")
x = np.zeros((9, 9))
done = pool.submit(Unit("xo", x, "saliency", seed=1), "ann")
done.result(180)
running = pool.submit(Unit("xo", x, task="count", parameters={"steps": int(sys.argv[3])}), "ann")
waiting = pool.submit(Unit("xo", x, "saliency", seed=2), "bob")
other = pool.submit(Unit("old", x, "saliency", seed=3), "ann")
given_up = pool.submit(Unit("xo", x, "saliency", seed=4), "ann")
given_up.cancel()
while pool.table.row(running.id).started is None:
    time.sleep(0.01)
print(*[job.id for job in (done, running, waiting, other, given_up)], flush=True)
if sys.argv[4] == "stay":
    time.sleep(600)
pool.close()
"""


def server(folder: Path, steps: int, end: str) -> list[str]:
    """Run a server until it is at work, end it, and give the ids of its jobs."""
    import tasks_of_tests  # type: ignore[import-not-found]

    tasks = str(Path(tasks_of_tests.__file__).parent)
    stay = "stay" if end == "killed" else "go"
    program = [sys.executable, "-c", SERVER, str(folder), tasks, str(steps), stay]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ids = process.stdout.readline().split()
        if end == "killed":
            process.send_signal(signal.SIGKILL)
        assert process.wait(SOON) == (-signal.SIGKILL if end == "killed" else 0)
    return ids


@pytest.mark.parametrize("end", some(["killed", "closed"], ["killed"]))
def test_a_later_server_finds_all_jobs_again(end: str, more_tasks: str, tmp_path: Path) -> None:
    done, running, waiting, other, given_up = server(tmp_path, 300, end)
    table = Table(tmp_path / "jobs.db")
    lost = table.row(running)
    assert lost is not None
    assert (lost.status, lost.error) == ("failed", f"count on xo: {RESTARTED}"), "as long as no server has it"
    table.close()
    with Pool(
        {"xo": Recipe("xo_cnn", "torch")}, folder=tmp_path, modules=[more_tasks], table=tmp_path / "jobs.db"
    ) as pool:
        found = pool.get(done, "ann")
        assert found.status == "done"
        assert found.result().values.shape == (1, 9, 9, 1)
        for id, owner in ((done, "bob"), ("%", None), ("_" * 32, None)):
            with pytest.raises(UnknownName):
                pool.get(id, owner)
        assert pool.get(given_up).status == "cancelled"
        again = pool.get(running, "ann")
        assert again.status in ("waiting", "running")
        assert pool.get(waiting, "bob").place in (1, 2)
        assert again.result(SOON).output.shape == (1, 2)
        assert pool.get(waiting).result(SOON).values.shape == (1, 9, 9, 1)
        gone = pool.get(other, "ann")
        assert gone.status == "failed"
        assert gone.error == f"saliency on old: {RESTARTED}"
        assert [job.id for job in pool.jobs("ann")] == [given_up, other, running, done]


def test_a_job_during_which_the_server_ends_each_time_is_given_up(more_tasks: str, tmp_path: Path) -> None:
    _, running, *_ = server(tmp_path, 10**6, "killed")
    table = Table(tmp_path / "jobs.db")
    file = sqlite3.connect(table.path)
    file.execute("update jobs set tries = ?", (TRIES,))
    file.commit()
    file.close()
    table.close()
    with Pool(
        {"xo": Recipe("xo_cnn", "torch")}, folder=tmp_path, modules=[more_tasks], table=tmp_path / "jobs.db"
    ) as pool:
        job = pool.get(running)
        assert job.status == "failed"
        assert job.error == f"count on xo: {RESTARTED}"
        assert pool.processes == []


def test_a_model_that_has_changed_is_not_run_again(more_tasks: str, tmp_path: Path) -> None:
    _, running, *_ = server(tmp_path, 10**6, "killed")
    with Pool(
        {"xo": Recipe("mnist_cnn", "torch")}, folder=tmp_path, modules=[more_tasks], table=tmp_path / "jobs.db"
    ) as pool:
        assert pool.get(running).status == "failed"


def test_a_worker_without_a_sign_of_life_is_ended(
    more_tasks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Pool({"xo": Recipe("xo_cnn", "torch")}, folder=tmp_path, modules=[more_tasks]) as pool:
        pool.submit(Unit("xo", np.zeros((9, 9)), "saliency")).result(SOON)
        deaf = pool.submit(Unit("xo", np.zeros((9, 9)), task="deaf"))
        until(lambda: deaf.progress)
        worker = pool._slots[0].worker  # type: ignore[attr-defined]
        heard = worker.heard
        until(lambda: worker.heard > heard + 2)
        assert deaf.status == "running", "a worker that is slow gives signs of life"
        assert deaf.quiet is not None
        assert deaf.quiet > 1.5
        (pid,) = pool.processes
        os.kill(pid, signal.SIGSTOP)
        with monkeypatch.context() as patch:
            patch.setattr("xaikit.jobs.pool.SILENCE", 4.0)
            assert deaf.wait(SOON)
        assert deaf.error == (
            "the worker process gave no sign of life for 4 s and was ended during deaf on xo; "
            "the next job gets a fresh one"
        )
        assert pool.submit(Unit("xo", np.ones((9, 9)), "saliency")).result(SOON) is not None


def test_a_device_has_one_job_at_a_time(more_tasks: str, tmp_path: Path) -> None:
    with Pool(
        {"xo": Recipe("xo_cnn", "torch")}, workers=2, folder=tmp_path, modules=[more_tasks], devices=["0"]
    ) as pool:
        jobs = [
            pool.submit(Unit("xo", np.zeros((9, 9)), task="count", parameters={"steps": 80}, seed=i)) for i in range(2)
        ]
        together = False
        while not all(job.done for job in jobs):
            together |= all(job.status == "running" for job in jobs)
            time.sleep(0.01)
        assert [job.status for job in jobs] == ["done", "done"]
        assert not together
