"""A study on the workers of a Dask cluster: a real scheduler and real processes, some of which are killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from xaikit.errors import JobError, UsageError
from xaikit.jobs import Store
from xaikit.study import InputsPlan, MethodPlan, Plan, merge, open_study, run

from .conftest import draw

pytest.importorskip("distributed")
pytestmark = pytest.mark.slow
BIN = Path(sys.executable).parent
READY = 120
"""Seconds that a process may take to begin, on a machine that does much else."""


class Dask:
    """A scheduler and workers as processes of this machine."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        self.home = home
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.address = ""

    def scheduler(self, **environment: str) -> None:
        """Start the scheduler at a free port."""
        file = self.home / "scheduler.json"
        file.unlink(missing_ok=True)
        self.begin("scheduler", "scheduler", "--no-dashboard", "--scheduler-file", file, **environment)
        self.until(lambda: file.exists() and file.read_text().rstrip().endswith("}"))
        self.address = json.loads(file.read_text())["address"]

    def worker(self, name: str, *options: object, **environment: str) -> None:
        """Start a worker of one thread, which has the framework in memory when it joins."""
        own = ("--nthreads", 1, "--memory-limit", 0, "--no-dashboard", "--preload", "xaikit_torch")
        self.begin(name, "worker", self.address, "--name", name, *own, *(options or ("--no-nanny",)), **environment)

    def begin(self, name: str, *command: object, **environment: str) -> None:
        log = (self.home / f"{name}.log").open("wb")
        usual = {"OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "false"}
        self.processes[name] = subprocess.Popen(
            [
                BIN / "dask",
                *map(str, command),
                *(("--host", "127.0.0.1", "--port", "0") if name == "scheduler" else ()),
            ],
            env={**os.environ, **usual, **environment},
            stdout=log,
            stderr=log,
            cwd=self.home,
        )
        log.close()

    def workers(self) -> list[str]:
        """Give the names of the workers that have joined."""
        from distributed import Client

        with Client(self.address, set_as_default=False, timeout=30) as client:
            return sorted(str(w["name"]) for w in client.scheduler_info(n_workers=-1)["workers"].values())

    def wait_for(self, *names: str) -> None:
        self.until(lambda: set(names) <= set(self.workers()))

    def until(self, true) -> None:
        end = time.monotonic() + READY
        while not true():
            assert time.monotonic() < end, [p.read_text()[-2000:] for p in self.home.glob("*.log")]
            time.sleep(0.2)

    def kill(self, name: str) -> None:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(30)

    def close(self) -> None:
        """End everything, the scheduler last: workers that miss it try for long to find it."""
        for process in reversed(self.processes.values()):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def dask(tmp_path) -> Iterator[Dask]:
    found = Dask(tmp_path / "dask")
    yield found
    found.close()


def check_complete(folder: Path, units: int, failed: int = 0) -> list[dict]:
    """Every unit is told of once and is there once, whole, and nothing else is."""
    study = open_study(folder)
    rows = list(study.rows())
    assert Counter(row["state"] == "failed" for row in rows) == Counter({False: units - failed, True: failed})
    made = [row for row in rows if row["state"] != "failed"]
    files = sorted(folder.glob("units/??/*"))
    assert sorted(row["key"] for row in made) == sorted(p.stem for p in files if p.suffix == ".json")
    assert {p.suffix for p in files} == {".json", ".npz"}
    assert len(files) == 2 * len(made)
    assert all(study.result(row) is not None for row in made)
    assert max(Counter(e["key"] for e in study.events() if e["state"] == "done").values()) == 1
    return rows


def test_a_worker_is_killed_another_joins_and_every_unit_is_there_once(dask, plan, digits, tmp_path) -> None:
    draw(digits, 30)
    (digits / "900.png").write_bytes(b"no picture")
    dask.scheduler()
    dask.worker("first")
    dask.worker("second")
    dask.wait_for("first", "second")
    late = []

    def change(counts) -> None:
        if counts.ended == 20:
            dask.kill("first")
            dask.worker("third")
            dask.wait_for("third")
            late.append(counts)

    asked = plan("saliency", MethodPlan("lime", None, {"samples": 100}), MethodPlan("saliency", "no such class"))
    done = run(asked, tmp_path / "out", scheduler=dask.address, progress=change)
    assert late
    assert (done.counts.units, done.counts.done, done.counts.failed) == (93, 60, 33)
    rows = check_complete(tmp_path / "out", 93, 33)
    assert len({row["worker"] for row in rows if row["state"] == "done"}) == 3, "one was killed, one came late"
    broken = [row["error"] for row in rows if row["input"] == "digits/900.png"]
    assert all(f"{digits}/900.png" in error and "not a picture" in error for error in broken), broken
    assert sum("no such class" in (row["error"] or "") for row in rows) == 30
    here = run(plan("saliency"), tmp_path / "here").study
    for row in here.rows():
        if row["state"] == "done":
            theirs, ours = done.study.store.get(row["key"]), here.result(row)
            np.testing.assert_array_equal(theirs.values, ours.values)


@pytest.mark.long
def test_the_scheduler_is_killed_and_the_study_goes_on_with_another(dask, plan, digits, tmp_path) -> None:
    draw(digits, 20)
    dask.scheduler()
    dask.worker("first", "--no-nanny", "--death-timeout", 5)
    dask.wait_for("first")
    begun = []

    def kill(counts) -> None:
        if counts.ended == 10:
            dask.kill("scheduler")
            begun.append(time.monotonic())

    asked = plan("saliency", MethodPlan("lime", None, {"samples": 100}))
    with pytest.raises(JobError, match=r"the scheduler at tcp://127.* is gone; .*--resume"):
        run(asked, tmp_path / "out", scheduler=dask.address, progress=kill)
    assert time.monotonic() - begun[0] < 20
    there = set(Store(tmp_path / "out").keys())
    assert 10 <= len(there) < 40
    dask.kill("first")
    dask.scheduler()
    dask.worker("first")
    done = run(asked, tmp_path / "out", scheduler=dask.address, resume=True)
    assert (done.counts.skipped, done.counts.done) == (len(there), 40 - len(there))
    assert there < set(Store(tmp_path / "out").keys())
    check_complete(tmp_path / "out", 40)


FACTORY = '''
import os, signal
import torch

class Deadly(torch.nn.Module):
    """Ends its process at a white picture."""

    def __init__(self):
        super().__init__()
        self.dense = torch.nn.Linear(16, 2)

    def forward(self, x):
        if float(x.detach().min()) == 255:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.dense(x.flatten(1))

def make():
    return Deadly()
'''
DESCRIPTION = """
framework = "torch"
weights = "weights.safetensors"
factory = "deadly:make"

[inputs]
kind = "Image"
height = 4
width = 4
channels = 1
scale = 1.0

[outputs]
kind = "Values"
names = ["a", "b"]
"""


@pytest.mark.long
def test_a_unit_that_kills_workers_fails_alone(dask, tmp_path) -> None:
    """The model has files of its own, which the workers do not have, and code, which must be allowed."""
    import torch
    from safetensors.torch import save_file

    model = tmp_path / "deadly"
    model.mkdir()
    (model / "deadly.py").write_text(FACTORY)
    (model / "model.toml").write_text(DESCRIPTION)
    torch.manual_seed(0)
    save_file(torch.nn.Linear(16, 2).state_dict(prefix="dense."), model / "weights.safetensors")
    (tmp_path / "pictures").mkdir()
    for i in range(6):
        pixels = np.full((4, 4), 255) if i == 3 else np.random.default_rng(i).integers(0, 250, (4, 4))
        Pillow.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"pictures/{i}.png")
    asked = Plan("deadly/model.toml", InputsPlan(("pictures",)), (MethodPlan("saliency", "a"),), root=str(tmp_path))
    dask.scheduler(DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="0")
    dask.worker("nurse", "--nanny")
    dask.wait_for("nurse")
    done = run(asked, tmp_path / "out", scheduler=dask.address, allow_code=True)
    assert (done.counts.done, done.counts.failed) == (5, 1)
    rows = check_complete(tmp_path / "out", 6, 1)
    (failed,) = (row for row in rows if row["state"] == "failed")
    assert failed["input"] == "pictures/3.png"
    assert "workers died during saliency on deadly/model.toml again and again" in failed["error"]


OTHER = """
import xaikit.study._shipping as shipping
shipping.code_version = lambda: "0.0.1+of-yesterday"
"""


@pytest.mark.long
def test_a_worker_with_other_code_is_refused_with_the_difference(dask, plan, digits, tmp_path) -> None:
    """At the start the study does not begin; one that joins later gets no unit done, and harms none."""
    (dask.home / "other.py").write_text(OTHER)
    dask.scheduler()
    dask.worker("other", "--no-nanny", "--preload", dask.home / "other.py")
    dask.wait_for("other")
    with pytest.raises(JobError, match=r"refused: code of xaikit is 0\.0\.1\+of-yesterday there and .* here$"):
        run(plan("saliency"), tmp_path / "out", scheduler=dask.address)
    assert list(Store(tmp_path / "out").keys()) == []
    dask.kill("other")
    dask.worker("good")
    dask.until(lambda: dask.workers() == ["good"])

    def join(counts) -> None:
        if counts.ended == 2:
            dask.worker("other", "--no-nanny", "--preload", dask.home / "other.py")
            dask.wait_for("other")

    draw(digits, 20)
    done = run(plan("saliency"), tmp_path / "out", resume=True, scheduler=dask.address, progress=join)
    assert (done.counts.done, done.counts.failed) == (20, 0)
    assert len({row["worker"] for row in check_complete(tmp_path / "out", 20)}) == 1


def test_where_there_is_no_scheduler_it_is_told_in_seconds(plan, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("xaikit.study._cluster.CONNECTING", 2.0)
    begun = time.monotonic()
    with pytest.raises(JobError, match=r"there is no Dask scheduler at tcp://127\.0\.0\.1:1"):
        run(plan("saliency"), tmp_path / "out", scheduler="tcp://127.0.0.1:1")
    assert time.monotonic() - begun < 15
    for wrong in ("127.0.0.1:8786", "foo://a:1", "tcp://a"):
        with pytest.raises(UsageError, match="a scheduler has an address such as"):
            run(plan("saliency"), tmp_path / "out", resume=True, scheduler=wrong)
    with pytest.raises(UsageError, match="the memory of one process"):
        run(plan("saliency"), "memory://nowhere", scheduler="tcp://127.0.0.1:1")


@pytest.fixture
def bucket(monkeypatch) -> Iterator[str]:
    """Give the URL of an empty bucket of an S3 server on this machine, which every process of the test reaches."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server")
    import logging

    import fsspec

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir("studies")
    yield "s3://studies/digits"
    running.stop()


@pytest.mark.long
def test_workers_write_to_an_object_store(dask, plan, digits, bucket, tmp_path) -> None:
    """Several processes write what one reads; the study goes on there, with workers of its own, and is brought home."""
    dask.scheduler()
    dask.worker("first")
    dask.wait_for("first")
    run(plan("saliency"), bucket, scheduler=dask.address)
    (digits / "000.png").write_bytes((digits / "001.png").read_bytes())
    draw(digits, 1, first=50)
    done = run(plan("saliency"), bucket, resume=True, workers=2, threads=1)
    assert (done.counts.done, done.counts.skipped, done.counts.failed) == (1, 6, 0)
    events = list(done.study.events())
    assert [e["state"] for e in events].count("done") == 7
    assert len({e["worker"] for e in events if e["state"] == "done"}) == 2
    home = merge([bucket], tmp_path / "home").study
    here = {row["input"]: row for row in run(plan("saliency"), tmp_path / "here").study.rows()}
    for row in home.rows():
        assert row["key"] == here[row["input"]]["key"]
        np.testing.assert_array_equal(home.result(row).values, done.study.result(row).values)
    with pytest.raises(UsageError, match="holds results of this plan already"):
        run(plan("saliency"), bucket)
