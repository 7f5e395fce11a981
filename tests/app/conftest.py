"""One app for all browser tests: the command line's own, in a process of its own on a free port."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

OWN = ("http://127.0.0.1", "data:", "blob:")
LIMIT_MB = 2
PATIENCE_MS = 180_000
"""A worker that loads a framework takes its time where other work is going on; nothing here is a measurement."""

IDLE = """() => {
    const state = window.store && window.store.getState();
    if (!state || state.isLoading || !document.querySelector("h1")) { return false; }
    const busy = ["requested", "prioritized", "blocked", "executing", "watched", "executed"];
    if (busy.some((key) => (state.callbacks[key] || []).length)) { return false; }
    return !document.querySelector("#main .waiting");
}"""
"""Dash has no callback under way, and nothing on the page is still to come."""
SETTLED = 3
"""So often in a row, with a moment in between, a page must be idle."""


@dataclass
class Served:
    """A running app: its address and its process."""

    url: str
    process: "subprocess.Popen[str]"
    errors: list[str] = field(default_factory=list)

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        found = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            found += [int(pid) for pid in (task / "children").read_text().split()]
        return found


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving("xo_cnn", "mnist_cnn", cache=tmp_path_factory.mktemp("app")) as app:
        yield app


ROWS = [{"age": float(20 + i % 50), "place": ("land", "town")[i % 2], "rooms": float(1 + i % 5)} for i in range(120)]


def spend(rows: Any) -> Any:
    """Say how much each row spends: more with age, and three times as much in town."""
    return (rows[:, :1] * (1 + 2 * rows[:, 1:2])).astype(np.float32)


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An app in this process, with small networks of several kinds and a function of rows."""
    import xaikit as xk
    import xaikit_app

    columns = {"age": xk.Number(), "place": xk.Category(("land", "town"), "index"), "rooms": xk.Number()}
    own = xk.wrap(spend, inputs=xk.Table(columns, background=ROWS), outputs=xk.Values(["spent"]), name="spending")
    models = ("xo_cnn", "series_autoencoder", "seq2seq_dates", "dense_vae", own)
    shown = xaikit_app.show(*models, cache=tmp_path_factory.mktemp("shown"))
    yield shown
    shown.close()


@contextmanager
def serving(*models: str, cache: Path, more: Sequence[str] = ()) -> Iterator[Served]:
    """Serve these models from a process of its own, with `more` options."""
    command = [sys.executable, "-c", "from xaikit.cli import main; main()", "app", "--port", "0"]
    command += ["--cache", str(cache), "--max-upload-mb", str(LIMIT_MB), *more]
    command += [word for model in models for word in ("-m", model)]
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **threads}
    )
    assert process.stdout is not None
    assert process.stderr is not None
    app = Served(process.stdout.readline().strip(), process)
    reader = threading.Thread(target=app.errors.extend, args=(process.stderr,), daemon=True)
    reader.start()
    try:
        if not app.url.startswith("http://127.0.0.1:"):
            process.kill()
            reader.join(5)
            pytest.fail("the app did not start:\n" + "".join(app.errors))
        yield app
    finally:
        process.terminate()
        process.wait(20)
        reader.join(5)
        process.stdout.close()
        process.stderr.close()


def settle(page: Any) -> None:
    """Wait until a page has nothing more to do."""
    for _ in range(SETTLED):
        page.wait_for_function(IDLE)
        page.wait_for_timeout(50)


@dataclass
class Tab:
    """A page in a fresh session, with what it must not do: complain, or ask anybody but the app."""

    page: Any
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, address: str) -> Any:
        """Go to an address of the app and wait for its page."""
        from playwright.sync_api import TimeoutError

        for framework in ("torch", "keras"):
            if f"framework={framework}" in address:
                pytest.importorskip(framework, reason=f"the page shows a network in {framework}")
        self.page.goto(self.url + address)
        try:
            self.page.wait_for_selector(".page-title")
        except TimeoutError:
            pytest.fail(f"{address} does not come; there stands: {self.page.inner_text('body')!r}; {self.complaints}")
        return self.page


@pytest.fixture
def tab(chromium: Any, served: Served) -> Iterator[Tab]:
    # Conditions that playwright waits for are evaluated in the page, which its own policy would not let.
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light", bypass_csp=True)
    found = tab_of(context, served)
    yield found
    context.close()
    assert found.complaints == []


def tab_of(context: Any, served: Served) -> Tab:
    """Open a tab in a session, which notes what must not happen."""
    context.set_default_timeout(PATIENCE_MS)
    tab = Tab(context.new_page(), served.url)
    tab.page.on("console", lambda m: tab.complaints.append(m.text) if m.type == "error" else None)
    tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.page.on("request", lambda r: None if r.url.startswith(OWN) else tab.complaints.append(f"asked {r.url}"))
    tab.page.on("response", lambda r: tab.complaints.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    return tab
