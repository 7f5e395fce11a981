"""One app for all browser tests: the command line's own, in a process of its own on a free port."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

OWN = ("http://127.0.0.1", "data:", "blob:")
LIMIT_MB = 2
PATIENCE_MS = 180_000
"""A worker that loads a framework takes its time where other work is going on; nothing here is a measurement."""


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
    command = [sys.executable, "-c", "from xaikit.cli import main; main()", "app", "--port", "0"]
    command += ["--cache", str(tmp_path_factory.mktemp("app")), "--max-upload-mb", str(LIMIT_MB)]
    command += ["-m", "xo_cnn", "-m", "mnist_cnn"]
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **threads}
    )
    assert process.stdout is not None
    assert process.stderr is not None
    app = Served(process.stdout.readline().strip(), process)
    reader = threading.Thread(target=app.errors.extend, args=(process.stderr,), daemon=True)
    reader.start()
    assert app.url.startswith("http://127.0.0.1:"), app.errors
    yield app
    process.terminate()
    process.wait(20)
    reader.join(5)
    process.stdout.close()
    process.stderr.close()


@dataclass
class Tab:
    """A page in a fresh session, with what it must not do: complain, or ask anybody but the app."""

    page: Any
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, address: str) -> Any:
        """Go to an address of the app and wait for its page."""
        self.page.goto(self.url + address)
        self.page.wait_for_selector(".page-title")
        return self.page


@pytest.fixture
def tab(chromium: Any, served: Served) -> Iterator[Tab]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    found = _tab(context, served)
    yield found
    context.close()
    assert found.complaints == []


def _tab(context: Any, served: Served) -> Tab:
    context.set_default_timeout(PATIENCE_MS)
    tab = Tab(context.new_page(), served.url)
    tab.page.on("console", lambda m: tab.complaints.append(m.text) if m.type == "error" else None)
    tab.page.on("pageerror", lambda error: tab.complaints.append(str(error)))
    tab.page.on("request", lambda r: None if r.url.startswith(OWN) else tab.complaints.append(f"asked {r.url}"))
    tab.page.on("response", lambda r: tab.complaints.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    return tab
