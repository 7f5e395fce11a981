"""What the audit's database costs: verifying many records, beside the bare reading of their rows, and writing them.

python benchmarks/audit.py [--records 10000] [--db URL]    the records are those of a small table, all arrays included
"""

import argparse
import contextlib
import resource
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine, event

import xaikit as xk
from xaikit import audit
from xaikit.attribution import explain
from xaikit.audit._record import Besides, columns_of
from xaikit.audit._terms import Terms

CHUNK = 500


def fill(url: str, records: int) -> float:
    """Append the same explanation many times, as a record each, and give the seconds per record."""
    model = xk.zoo.load("credit_mlp")
    result = explain(model, next(iter(model.inputs.background)), "integrated-gradients")
    columns, arrays = columns_of(result, "credit_mlp", True, Besides(Terms("Ada", "no. 7", threshold=0.5), "a card"))
    event.listen(Engine, "connect", do_not_wait)
    store = audit.database(url)
    start = time.perf_counter()
    for _ in range(records):
        store.append(columns, arrays)
    return (time.perf_counter() - start) / records


def do_not_wait(connection: Any, _: Any) -> None:
    """Let SQLite leave it to the system when a page reaches the disk: ten thousand waits would tell of the disk."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


def read_bare(path: Path) -> float:
    """Read every row of the file, without looking at it."""
    start = time.perf_counter()
    with contextlib.closing(sqlite3.connect(path)) as raw:
        for table in ("audit_records", "audit_arrays"):
            for _ in raw.execute(f"SELECT * FROM {table}"):
                pass
    return time.perf_counter() - start


def peak() -> float:
    """Give the most memory held so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--records", type=int, default=10_000)
    asked.add_argument("--db", help="An empty database; by default a file that is thrown away.")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.db"
        url = given.db or f"sqlite:///{path}"
        each = fill(url, given.records)
        before, seconds = peak(), []
        for _ in range(3):
            start = time.perf_counter()
            found = audit.verify(url)
            seconds.append(time.perf_counter() - start)
        assert found.ok, found.fault
        took = float(np.median(seconds))
        one, memory = took / found.records * 1e6, peak() - before
        print(f"{found.records} records: written in {each * 1e3:.1f} ms each, without waiting for the disk")
        print(f"verified in {took:.2f} s ({one:.0f} µs each), {memory:.0f} MiB more memory")
        if not given.db:
            bare = read_bare(path)
            print(f"{path.stat().st_size / 2**20:.0f} MiB; {took / bare:.1f} times the bare reading of the rows")


if __name__ == "__main__":
    main()
