"""Writers in processes of their own, which start at once: they are forks of one process that has loaded xaikit."""

import os
import signal
import time
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from xaikit import audit
from xaikit.audit import _places
from xaikit.audit._chain import CHAIN

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__])

Given = tuple[Mapping[str, Any], list[Mapping[str, Any]]]


def given(like: Path) -> Given:
    """What a writer has in hand before it goes into the chain: that of record 3 of a database."""
    entry, drop = audit.database(f"sqlite:///{like}").entry(3), ("id", "created", "clock", *CHAIN)
    columns = {n: v for n, v in entry.columns.items() if n not in drop}
    return columns, [{n: v for n, v in a.items() if n != "record"} for a in entry.arrays]


def started(target: Any, *arguments: Any) -> ForkServerProcess:
    process = CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def write(url: str, name: str, count: int, like: Given, gate: Path) -> None:
    """Append records once the gate is open; a file says that the first one is written."""
    _places.WAIT = 600  # seconds: a busy machine may be slow, and the lock of SQLite is not fair
    store, (columns, arrays) = audit.database(url), like
    (gate / f"ready {name}").touch()
    wait_for(gate / "go")
    for i in range(count):
        store.append({**columns, "author": name, "target_label": str(i)}, arrays)
        if i == 0:
            (gate / f"wrote {name}").touch()


def write_and_die(url: str, like: Given, statement: str) -> None:
    """Append a record, and be killed right after a statement of it."""

    @event.listens_for(Engine, "after_cursor_execute")
    def die(connection: Any, cursor: Any, said: str, *_: Any) -> None:
        if said.lstrip().startswith(statement):
            os.kill(os.getpid(), signal.SIGKILL)

    audit.database(url).append(*like)


def wait_for(path: Path, process: ForkServerProcess | None = None) -> None:
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process is None or process.is_alive(), f"the writer ended with {process.exitcode}"
        assert time.monotonic() < deadline, path
        time.sleep(0.001)
