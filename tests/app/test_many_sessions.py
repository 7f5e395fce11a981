"""Many sessions at once, and a server that is gone in mid-work: everyone gets what they asked for, and no other."""

import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

pytest.importorskip("dash")
pytest.importorskip("torch")

import xaikit as xk
import xaikit.data
from tests.app.conftest import serving

ROOT = Path(__file__).parents[2]
SESSIONS = 8
pytestmark = pytest.mark.slow


@pytest.fixture
def visiting(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield __import__("visitors")
    sys.modules.pop("visitors")


def address(sample: int, seed: int, samples: int = 20) -> str:
    asked = f"methods=smooth-grad&smooth-grad.samples={samples}&seed={seed}&view=expert"
    return f"/explain?model=xo_cnn&framework=torch&sample=test-{sample}&{asked}"


def test_many_sessions_at_once_get_each_their_own(visiting: Any, tmp_path: Path) -> None:
    model, x = xk.zoo.load("xo_cnn", framework="torch"), xk.data.load("xo").read("test").x

    def own(sample: int, seed: int) -> Any:
        return xk.explain(model, x[sample], "smooth-grad", seed=seed, samples=20).values

    wished = [[(n % 3, 1), (n % 5, 100 + n), ((n + 1) % 3, 1)] for n in range(SESSIONS)]
    with serving("xo_cnn", cache=tmp_path) as app:
        visiting.crowd(app.url, [[address(sample, 1) for sample in range(3)]])
        found = visiting.crowd(app.url, [[address(*each) for each in one] for one in wished])
        assert len(app.workers()) == 1
    assert [line for line in app.errors if "rror" in line] == []
    for one, got in zip(wished, found, strict=True):
        assert [seen.stored for seen in got] == [True, False, True]
        for each, seen in zip(one, got, strict=True):
            assert_allclose(np.asarray(seen.result.values), own(*each), rtol=1e-4, atol=1e-6)


def test_work_goes_on_where_the_server_was_killed(visiting: Any, tmp_path: Path) -> None:
    long = address(0, 7, 5_000)
    with serving("xo_cnn", cache=tmp_path) as app:
        visitor = visiting.Visitor(app.url)
        visitor.open(long)
        visitor.held["explain-run"]["n_clicks"] = 1
        visitor.fire("explain-shown.children", "explain-run.n_clicks")
        until = time.monotonic() + 120
        while "unning" not in str(visitor.held["explain-running"]):
            assert time.monotonic() < until, visitor.held["explain-running"]
            time.sleep(0.05)
            visitor.fire("explain-shown.children", "explain-poll.n_intervals")
        app.process.send_signal(signal.SIGKILL)
        app.process.wait()
    with serving("xo_cnn", cache=tmp_path) as app:
        visitor.url = app.url.rstrip("/")
        seen = visitor.followed()
    expected = xk.explain(
        xk.zoo.load("xo_cnn", framework="torch"),
        xk.data.load("xo").read("test").x[0],
        "smooth-grad",
        seed=7,
        samples=5_000,
    )
    assert_allclose(np.asarray(seen.values), expected.values, rtol=1e-4, atol=1e-6)
