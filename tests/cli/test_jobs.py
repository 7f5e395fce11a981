"""`xaikit jobs` and `xaikit worker` on the command line, with jobs that run in another process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.jobs.conftest import SOON, until
from xaikit.cli import cli
from xaikit.errors import Cancelled, UnknownName, UsageError
from xaikit.jobs import Pool, Recipe, Unit
from xaikit.jobs.table import FILE
from xaikit.study import run

pytest.importorskip("torch")
pytestmark = pytest.mark.slow
X = np.zeros((9, 9))


def asked(*words: str) -> str:
    found = CliRunner().invoke(cli, ["jobs", *words], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_jobs_are_listed_shown_and_given_up_from_another_terminal(tmp_path: Path) -> None:
    place = ["--folder", str(tmp_path)]
    with Pool({"xo": Recipe("xo_cnn", "torch")}, folder=tmp_path, table=tmp_path / FILE) as pool:
        done = pool.submit(Unit("xo", X, "saliency"), "ann")
        assert done.result(SOON) is not None
        wrong = pool.submit(Unit("xo", X, "salience"), "ann")
        busy = pool.submit(Unit("xo", X, "lime", {"samples": 10**7}), "ann")
        waiting = pool.submit(Unit("xo", X + 1, "saliency"), "bob")
        until(lambda: busy.progress)
        until(lambda: "running, " in asked("list", *place))
        found = json.loads(asked("list", *place, "--json"))
        assert [row["id"] for row in found] == [waiting.id, busy.id, wrong.id, done.id]
        assert [row["status"] for row in found] == ["waiting", "running", "failed", "done"]
        assert found[0] == {
            **{"id": waiting.id, "title": "saliency on xo", "model": "xo", "task": "explain", "method": "saliency"},
            **{"owner": "bob", "status": "waiting", "progress": None, "place": 1},
            **{"submitted": pytest.approx(waiting.submitted), "started": None, "ended": None, "seconds": None},
            **{"address": None, "error": None},
        }
        assert [row["id"] for row in json.loads(asked("list", *place, "--open", "--json"))] == [waiting.id, busy.id]
        assert [row["id"] for row in json.loads(asked("list", *place, "--owner", "bob", "--json"))] == [waiting.id]
        assert "did you mean 'saliency'" in asked("show", *place, wrong.id[:8])
        assert str(done.address) in asked("show", *place, done.id)
        assert asked("cancel", *place, busy.id[:8]) == "cancelled\n"
        until(lambda: busy.status == "cancelled")
        assert waiting.result(SOON) is not None
        with pytest.raises(UsageError, match="has ended already: cancelled"):
            asked("cancel", *place, busy.id)
        for id in ("ffffffff", done.id[:3]):
            with pytest.raises(UnknownName):
                asked("show", *place, id)


def test_a_place_without_jobs_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no job was ever noted in"):
        asked("list", "--folder", str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="give one of them"):
        asked("list", "--folder", str(tmp_path), "--broker", "redis://127.0.0.1:1")


def test_the_units_of_a_study_are_seen_and_can_be_given_up(tmp_path: Path) -> None:
    from PIL import Image

    for number in range(4):
        Image.fromarray(np.full((9, 9), number, np.uint8)).save(tmp_path / f"{number}.png")
    plan = tmp_path / "plan.toml"
    plan.write_text('model = "xo_cnn"\nframework = "torch"\ninputs = "*.png"\n[[methods]]\nname = "saliency"\n')
    table = tmp_path / "cache" / FILE
    table.parent.mkdir()
    assert run(plan, tmp_path / "out", workers=2, table=table).counts.done == 4
    rows = json.loads(asked("list", "--folder", str(table.parent), "--json"))
    assert [(row["title"], row["status"]) for row in rows] == [("saliency on xo_cnn", "done")] * 4

    plan.write_text(plan.read_text().replace('"saliency"', '"lime"\nparameters = { samples = 10000000 }'))

    def give_up() -> None:
        until(lambda: '"running"' in asked("list", "--folder", str(table.parent), "--open", "--json"))
        rows = json.loads(asked("list", "--folder", str(table.parent), "--open", "--json"))
        asked("cancel", "--folder", str(table.parent), rows[-1]["id"])

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as other:
        given_up = other.submit(give_up)
        with pytest.raises(Cancelled):
            run(plan, tmp_path / "longer", workers=2, table=table)
        given_up.result(SOON)
    assert json.loads(asked("list", "--folder", str(table.parent), "--open", "--json")) == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["-m", "xo_cn", "--broker", "redis://127.0.0.1:1"], "did you mean 'xo_cnn'?"),
        (["-m", "none.keras", "--broker", "redis://127.0.0.1:1"], "there is no model file none.keras"),
        (["-m", "xo_cnn", "--broker", "10.0.0.1"], "a broker is a URL as redis://host:6379/0"),
        (["-m", "xo_cnn"], "--broker"),
    ],
)
def test_a_worker_that_cannot_begin_says_why(words: list[str], text: str) -> None:
    pytest.importorskip("celery")
    program = [sys.executable, "-c", "from xaikit.cli import main; main()", "worker", *words]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=SOON, env={**os.environ})
    assert ended.returncode in (2, 5)
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_worker_teaches() -> None:
    text = CliRunner().invoke(cli, ["worker", "--help"]).output
    for word in ("--broker", "--store", "redis://", "xaikit app", "Ctrl-C"):
        assert word in text
