"""Processes that are killed, and processes that work at once: nothing is lost, doubled or half-written."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cases import some
from xaikit.errors import UsageError
from xaikit.jobs import Store
from xaikit.study import MethodPlan, open_study, run

from .conftest import draw

pytestmark = pytest.mark.slow

KILLS = 20
MOTHER = """
import os, signal, sys
import xaikit_torch
from xaikit.cli import main

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what runs in its background ignore it

for line in sys.stdin:
    child = os.fork()
    if not child:
        os.dup2(2, 1)
        main(line.rstrip("\\n").split("\\t"))
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""
"""Has the framework in memory, so that each run that is killed begins at once; a run is a process of its own."""


class Runs:
    """Starts runs of the command line as processes."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", MOTHER]
        pipe = subprocess.PIPE
        self.mother = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)

    def begin(self, *arguments: object) -> int:
        """Start a run and give its process id."""
        assert self.mother.stdin is not None
        self.mother.stdin.write("\t".join(map(str, arguments)) + "\n")
        self.mother.stdin.flush()
        return self._number()

    def end(self) -> int:
        """Wait for the end of the run, and give its exit code, negative for a signal."""
        return os.waitstatus_to_exitcode(self._number())

    def _number(self) -> int:
        assert self.mother.stdout is not None
        return int(self.mother.stdout.readline())

    def close(self) -> None:
        assert self.mother.stdin is not None
        assert self.mother.stdout is not None
        self.mother.stdin.close()
        self.mother.wait(30)
        self.mother.stdout.close()


@pytest.fixture
def runs() -> Iterator[Runs]:
    found = Runs()
    yield found
    found.close()


@pytest.fixture
def written(plan, digits, tmp_path) -> Path:
    """A plan of 80 units, each of which takes some milliseconds."""
    draw(digits, 40)
    return plan("saliency", MethodPlan("lime", None, {"samples": 150})).save(tmp_path / "plan.toml")


def whole(folder: Path) -> int:
    """Read every entry that a reader would take as there, and count them."""
    store = Store(folder)
    keys = list(store.keys())
    assert all(store.get(key) is not None for key in keys)
    return len(keys)


@pytest.mark.parametrize("workers", some([1, 2], [2]))
def test_a_run_that_is_killed_anywhere_goes_on_and_loses_nothing(runs, written, tmp_path, workers) -> None:
    chance = random.Random(workers)
    kills = rounds = 0
    while kills < KILLS // 2:
        rounds += 1
        folder = tmp_path / f"out-{rounds}"
        there, code = 0, -9
        while code == -9:
            going = ["--resume"] if (folder / "plan.toml").is_file() else []
            child = runs.begin("study", "run", written, "-o", folder, "--workers", workers, *going)
            time.sleep(chance.uniform(0.05, 2.5 if kills % 3 else 0.6))
            if kills < KILLS // 2:
                os.kill(child, signal.SIGKILL)
            code = runs.end()
            kills += code == -9
            now = whole(folder)
            assert now >= there, "what was there is there"
            there = now
        assert code == 0
        check_complete(folder)


def check_complete(folder: Path) -> None:
    """Every unit is there exactly once, nothing is left over, and the manifest tells of each."""
    study = open_study(folder)
    rows = list(study.rows())
    assert Counter(row["state"] == "failed" for row in rows) == {False: 80}
    files = sorted(p for p in folder.glob("units/??/*"))
    assert sorted(row["key"] for row in rows) == sorted(p.stem for p in files if p.suffix == ".json")
    assert {p.suffix for p in files} == {".json", ".npz"}
    assert len(files) == 160
    assert all(study.result(row) is not None for row in rows)
    lines = study.manifest.read_bytes().splitlines()
    done = Counter(event["key"] for event in map(json.loads, lines) if event["state"] == "done")
    assert max(done.values()) == 1, "no unit was carried out twice"


def test_an_interrupt_ends_with_its_code_and_says_how_to_go_on(runs, plan, digits, tmp_path) -> None:
    draw(digits, 40)
    lime = MethodPlan("lime", None, {"samples": 1500})  # long enough that the interrupt finds it at work
    written, folder = plan("saliency", lime).save(tmp_path / "plan.toml"), tmp_path / "out"
    child = runs.begin("study", "run", written, "-o", folder)
    manifest = folder / "manifest.jsonl"
    until(lambda: manifest.exists() and manifest.stat().st_size > 0)
    os.kill(child, signal.SIGINT)
    assert runs.end() == 130
    assert 0 < whole(folder) < 80
    runs.begin("study", "run", written, "-o", folder, "--resume")
    assert runs.end() == 0
    check_complete(folder)


def until(true, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.mark.long
def test_two_runs_into_one_folder_at_once(runs, written, tmp_path) -> None:
    """One does the work, the other is told who is at it; together they leave what one would have."""
    folder, other = tmp_path / "out", Runs()
    try:
        runs.begin("study", "run", written, "-o", folder)
        other.begin("study", "run", written, "-o", folder)
        codes = {runs.end(), other.end()}
    finally:
        other.close()
    assert codes == {0, 2}
    check_complete(folder)


def test_a_worker_that_is_killed_costs_no_unit(plan, digits, tmp_path) -> None:
    draw(digits, 40)
    killed = []

    def kill(counts) -> None:
        if counts.ended == 10 and not killed:
            worker = [e["worker"] for e in open_study(tmp_path / "out").events()][-1]
            os.kill(worker, signal.SIGKILL)
            killed.append(worker)

    asked = plan("saliency", MethodPlan("lime", None, {"samples": 150}))
    done = run(asked, tmp_path / "out", workers=2, threads=1, progress=kill)
    assert killed
    assert (done.counts.done, done.counts.failed) == (80, 0)
    check_complete(tmp_path / "out")
    assert len({row["worker"] for row in done.study.rows()}) == 3


def test_a_folder_at_work_in_another_process_is_refused(runs, written, tmp_path) -> None:
    folder = tmp_path / "out"
    child = runs.begin("study", "run", written, "-o", folder)
    until(lambda: (folder / "plan.toml").exists())
    with pytest.raises(UsageError, match=f"process {child} on"):
        run(written, folder, resume=True)
    os.kill(child, signal.SIGKILL)
    runs.end()
    assert run(written, folder, resume=True).counts.failed == 0
    check_complete(folder)
