"""A cluster with a real Redis, real servers and real workers, some of which die."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import xaikit as xk
from tests.jobs.conftest import SOON, until
from xaikit.errors import Cancelled, InputError, JobError, QueueFull, UnknownName, UsageError
from xaikit.jobs import Cluster, Job, Recipe, Unit
from xaikit.jobs import board as board_module

pytest.importorskip("torch")
pytest.importorskip("celery")
pytest.importorskip("redis")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed"),
]
X = np.zeros((9, 9))


class Redis:
    """A Redis of the tests, which can go and come back with what it had."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.password = folder, secrets.token_hex(8)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://:{self.password}@127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        given = {"port": self.port, "bind": "127.0.0.1", "requirepass": self.password, "dir": self.folder}
        given |= {"appendonly": "yes", "appendfsync": "always"}
        program = ["redis-server", *(part for name, value in given.items() for part in (f"--{name}", str(value)))]
        self.process = subprocess.Popen([*program, "--save", ""], stdout=subprocess.DEVNULL)
        import redis

        with redis.Redis.from_url(self.url) as client:
            until(lambda: answers(client))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def answers(client: Any) -> bool:
    import redis

    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


class Workers:
    """Processes of `xaikit worker`; `modules` are those of a folder that register more tasks."""

    def __init__(self, redis: Redis, store: Path, modules: Path | None = None) -> None:
        self.redis, self.store, self.modules = redis, store, modules
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-c", "from xaikit.cli import main; main()", "worker", "-m", "xo_cnn"]
        program += ["--framework", "torch", "--store", str(self.store)]
        environment = {**os.environ, "XAIKIT_BROKER": self.redis.url}
        if self.modules is not None:
            program += ["--module", self.modules.stem]
            environment["PYTHONPATH"] = os.pathsep.join([str(self.modules.parent), os.environ.get("PYTHONPATH", "")])
        self.processes.append(subprocess.Popen(program, env=environment))
        return self.processes[-1]

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    redis = Redis(tmp_path_factory.mktemp("redis"))
    yield redis
    redis.stop()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def workers(redis: Redis, store: Path, more_tasks: str) -> Iterator[Workers]:
    workers = Workers(redis, store, Path(sys.modules[more_tasks].__file__ or ""))
    for _ in range(2):
        workers.start()
    yield workers
    workers.stop()


def cluster(redis: Redis, store: Path, **given: Any) -> Cluster:
    return Cluster(redis.url, {"xo": Recipe("xo_cnn", "torch")}, folder=store, **given)


@pytest.fixture
def servers(redis: Redis, store: Path, workers: Workers) -> Iterator[tuple[Cluster, Cluster]]:
    """Two servers on a cluster whose workers are there."""
    with cluster(redis, store) as one, cluster(redis, store) as two:
        until(lambda: one.serving("xo") >= 2)
        yield one, two
        for job in one.jobs():
            job.cancel()
        until(lambda: not [job for job in two.jobs() if not job.done])


SEEDS = iter(range(10**6))


def new(task: str = "explain", **parameters: Any) -> Unit:
    method = "saliency" if task == "explain" else ""
    return Unit("xo", X, method, parameters, seed=next(SEEDS), task=task)


def at_work(job: Job) -> None:
    until(lambda: job.progress or job.done)
    assert job.status == "running", job.error


def both_at_work(server: Cluster) -> None:
    """Have both workers load the model, so that the next units begin at once."""
    jobs = [server.submit(new("count", steps=10**6)) for _ in range(2)]
    for job in jobs:
        at_work(job)
    for job in jobs:
        job.cancel()


def test_a_result_is_that_of_explain_for_every_server(servers: tuple[Cluster, Cluster]) -> None:
    one, two = servers
    unit = Unit("xo", X, "lime", {"samples": 80}, seed=5)
    job = one.submit(unit, "ann")
    wanted = xk.explain(xk.zoo.load("xo_cnn", framework="torch"), X, "lime", samples=80, seed=5)
    assert_array_equal(job.result(SOON).values, wanted.values)
    assert job.seconds is not None
    assert not job.stored
    assert_array_equal(two.get(job.id, "ann").result().values, wanted.values)
    again = two.submit(unit, "bob")
    assert (again.status, again.stored) == ("done", True)
    stored = two.stored(unit)
    assert stored is not None
    assert two.stored(new()) is None
    assert two.get(again.id, "bob") is again


def test_files_travel(servers: tuple[Cluster, Cluster], tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a.png")
    unit = Unit("xo", tmp_path / "a.png", "saliency", seed=next(SEEDS))
    job = servers[0].submit(unit)
    (tmp_path / "a.png").unlink()
    assert job.result(SOON).values.shape == (1, 9, 9, 1)
    gone = servers[0].submit(unit)
    assert gone.status == "failed"
    with pytest.raises(InputError, match="there is no file"):
        gone.result()


def test_what_is_wrong_fails_in_the_librarys_words(servers: tuple[Cluster, Cluster]) -> None:
    one, two = servers
    early = one.submit(Unit("xu", X, "saliency"))
    assert "unknown model 'xu'; known: 'xo'" in str(early.error)
    late = one.submit(Unit("xo", X, "saliency", target="Z"), "ann")
    assert late.wait(SOON)
    assert "no output 'Z'" in str(two.get(late.id).error)
    with pytest.raises(UsageError):
        late.result()
    odd = one.submit(new("odd"))
    assert odd.wait(SOON)
    assert odd.error == "odd on xo_cnn met an unforeseen ZeroDivisionError: an odd end"


def test_two_servers_share_places_progress_and_cancelling(servers: tuple[Cluster, Cluster]) -> None:
    one, two = servers
    busy = [one.submit(new("count", steps=10**6), "ann") for _ in range(2)]
    for job in busy:
        at_work(job)
    waiting = [one.submit(new(), "ann"), two.submit(new(), "bob"), one.submit(new(), "ann")]
    assert [job.place for job in waiting] == [1, 2, 3]
    assert [two.get(job.id).place for job in waiting] == [1, 2, 3]
    seen = two.get(busy[0].id, "ann")
    until(lambda: seen.left is not None)
    assert seen.progress is not None
    assert seen.started == busy[0].started
    with pytest.raises(UnknownName):
        two.get(busy[0].id, "bob")
    two.cancel(waiting[0].id, "ann")
    until(lambda: waiting[0].status == "cancelled")
    until(lambda: [job.place for job in waiting] == [None, 1, 2])
    two.cancel(busy[0].id)
    with pytest.raises(Cancelled):
        two.get(busy[0].id).result()
    assert waiting[1].result(SOON) is not None
    assert waiting[2].result(SOON) is not None
    assert [job.status for job in two.jobs("ann")][:4] == ["done", "cancelled", "running", "cancelled"]
    busy[1].cancel()


def test_equal_units_of_two_owners_run_once_and_are_given_up_apart(servers: tuple[Cluster, Cluster]) -> None:
    one, two = servers
    unit = new("count", steps=150)
    ann, bob, again = one.submit(unit, "ann"), two.submit(unit, "bob"), two.submit(unit, "ann")
    assert again.id == ann.id != bob.id
    at_work(ann)
    ann.cancel()
    assert bob.result(SOON) is not None
    assert bob.status == "done"
    assert two.get(ann.id).status == "cancelled"


def test_limits_are_shared(redis: Redis, store: Path, servers: tuple[Cluster, Cluster]) -> None:
    with cluster(redis, store, queue=3, per_owner=2) as one, cluster(redis, store, queue=3, per_owner=2) as two:
        busy = [one.submit(new("count", steps=10**6)) for _ in range(2)]
        for job in busy:
            at_work(job)
        theirs = [one.submit(new(), "ann"), two.submit(new(), "ann")]
        with pytest.raises(QueueFull, match="2 of your jobs are waiting or running"):
            one.submit(new(), "ann")
        two.submit(new(), "bob")
        with pytest.raises(QueueFull, match="3 jobs are waiting already"):
            two.submit(new(), "carl")
        assert two.submit(theirs[0].unit, "carl").place == 1, "what waits already takes no room"
        theirs[1].cancel()
        assert one.submit(new(), "ann").place == 3
        for job in busy:
            job.cancel()


def test_units_of_many_threads_all_end(servers: tuple[Cluster, Cluster], redis: Redis, store: Path) -> None:
    jobs: list[Job] = []
    first = next(SEEDS)
    for _ in range(25):
        next(SEEDS)
    with cluster(redis, store, queue=500) as one, cluster(redis, store, queue=500) as two:

        def ask(number: int) -> None:
            for step in range(25):
                unit = Unit("xo", X, "saliency", seed=first + step)
                jobs.append((one, two)[number % 2].submit(unit, f"owner {number}"))
                if step % 9 == number:
                    jobs[-1].cancel()

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(jobs) == 200
        for job in jobs:
            assert job.wait(SOON)
            assert job.status in ("done", "cancelled"), job.error
        assert sum(job.status == "done" for job in jobs) >= 170
        shown = {job.result().origin.seed for job in jobs if job.status == "done"}
        assert shown == set(range(first, first + 25))


def test_a_unit_whose_process_dies_is_tried_again_and_then_fails(servers: tuple[Cluster, Cluster]) -> None:
    job = servers[0].submit(new("die"), "ann")
    assert job.wait(SOON)
    assert "was killed by SIGKILL, perhaps for want of memory, during die on xo_cnn" in str(job.error)
    assert servers[1].submit(new()).result(SOON) is not None


def test_what_a_killed_worker_was_at_is_done_by_another(
    redis: Redis, servers: tuple[Cluster, Cluster], workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_module, "SILENCE", 8.0)
    one, two = servers
    jobs = [one.submit(new("count", steps=10**6)) for _ in range(2)]
    for job in jobs:
        at_work(job)
    workers.processes[0].kill()
    until(lambda: any(job.status == "waiting" for job in jobs))
    jobs.sort(key=lambda job: job.status)
    assert [job.status for job in jobs] == ["running", "waiting"]
    assert jobs[1].place == 1
    jobs[0].cancel()
    at_work(jobs[1])
    until(lambda: two.serving("xo") == 1)
    jobs[1].cancel()
    last = two.submit(new("count", steps=10**6))
    at_work(last)
    workers.processes[1].kill()
    until(lambda: last.status == "waiting")
    workers.start()
    workers.start()
    at_work(last)
    last.cancel()
    until(lambda: two.serving("xo") == 2)


def test_redis_may_go_and_come_back(redis: Redis, servers: tuple[Cluster, Cluster], workers: Workers) -> None:
    one, _ = servers
    both_at_work(one)
    running = [one.submit(new("count", steps=600)) for _ in range(2)]
    for job in running:
        at_work(job)
    waiting = one.submit(new(), "ann")
    redis.stop()
    before = running[0].status
    refused = one.submit(new())
    assert (before, refused.status) == ("running", "failed")
    assert "the queue at redis://…@127.0.0.1" in str(refused.error)
    assert redis.password not in str(refused.error)
    with pytest.raises(JobError, match="cannot be reached"):
        one.get("0" * 32)
    time.sleep(3)
    redis.start()
    for job in (*running, waiting):
        assert job.result(SOON) is not None
    assert one.submit(new()).result(SOON) is not None


def test_what_redis_has_lost_is_said(redis: Redis, servers: tuple[Cluster, Cluster]) -> None:
    import redis as client

    one, _ = servers
    job = one.submit(new("count", steps=10**6))
    at_work(job)
    with client.Redis.from_url(redis.url) as connection:
        connection.flushall()
    assert job.wait(SOON)
    assert job.error == "count on xo is not known any more, run it again"
    assert one.submit(new()).result(SOON) is not None


def test_a_unit_for_which_there_is_no_worker_fails_in_the_end(
    redis: Redis, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_module, "NOBODY", 1.0)
    monkeypatch.setattr(board_module, "SILENCE", 0.5)
    with Cluster(redis.url, {"digits": Recipe("mnist_cnn", "torch")}, folder=store) as one:
        job = one.submit(Unit("digits", np.zeros((28, 28)), "saliency"))
        assert (job.status, job.place, one.serving("digits")) == ("waiting", 1, 0)
        assert job.wait(SOON)
        assert job.error == "no worker has this model: start one with xaikit worker, or run it again later"


def test_a_message_is_json_and_holds_nothing_of_the_input(redis: Redis, store: Path) -> None:
    import redis as client

    with client.Redis.from_url(redis.url) as connection:
        connection.flushall()
        with Cluster(redis.url, {"digits": Recipe("mnist_cnn", "torch")}, folder=store) as one:
            job = one.submit(Unit("digits", "a secret of a person", "saliency", seed=77))
            queues = [key for key in connection.keys("xaikit:celery:*") if connection.type(key) == b"list"]
            messages = [text for key in queues for text in connection.lrange(key, 0, -1)]
            assert messages
            for text in messages:
                assert b'"content-type": "application/json"' in text
                assert b"secret" not in text
            job.cancel()
            assert connection.keys("xaikit:unit:*") == []


def test_a_broker_is_a_url_of_redis(tmp_path: Path) -> None:
    for url in ("10.0.0.1", "http://user:hidden@host"):
        with pytest.raises(UsageError, match="a broker is a URL as redis://host:6379/0") as refused:
            Cluster(url, ["xo_cnn"], folder=tmp_path)
        assert "hidden" not in str(refused.value)


def test_a_worker_ends_when_it_is_told_to(redis: Redis, servers: tuple[Cluster, Cluster], workers: Workers) -> None:
    before = servers[0].serving("xo")
    process = workers.start()
    until(lambda: servers[0].serving("xo") > before)
    process.send_signal(signal.SIGTERM)
    assert process.wait(SOON) == 0
