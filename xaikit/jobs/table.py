"""What is known of every job beside the store, so that another process, and a later one, finds it again."""

import logging
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from xaikit.errors import StorageError

log = logging.getLogger(__name__)
SCHEMA = """
create table if not exists jobs (
    number integer primary key, id text unique not null, owner text, model text, task text, method text,
    status text not null, done integer, total integer, submitted real, started real, ended real, seconds real,
    address text, error text, kinds text, server text, source text, tries integer not null default 1,
    abandoned integer not null default 0
);
create index if not exists jobs_of_owner on jobs (owner, number);
create index if not exists jobs_of_server on jobs (server, status);
"""
FILE = "jobs.db"
"""The name of the table beside a store."""
OPEN = ("waiting", "running")
PATIENCE = 10.0
"""Seconds to wait for another process that writes."""
KEEP_DAYS = 30.0
KEEP = 10_000
"""So many rows are kept, the newest."""
SHOWN = 200
RESTARTED = "the server was restarted, run it again"


@dataclass(frozen=True)
class Row:
    """A job in plain data; times in seconds since 1970, and nothing of its input.

    `place` is the place among those that wait, `kinds` the classes of the error, the nearest first.
    """

    id: str
    model: str
    task: str = "explain"
    method: str = ""
    owner: str | None = None
    status: str = "waiting"
    progress: tuple[int, int] | None = None
    place: int | None = None
    submitted: float | None = None
    started: float | None = None
    ended: float | None = None
    seconds: float | None = None
    address: str | None = None
    error: str | None = None
    kinds: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Name the work for people: "lime on mnist_cnn"."""
        return f"{self.method or self.task} on {self.model}"

    @property
    def open(self) -> bool:
        """Whether it waits or runs."""
        return self.status in OPEN


class Rows(Protocol):
    """Where jobs are looked up: a table on this machine, or one that several servers share."""

    def row(self, id: str) -> Row | None:
        """Give a job's row, or None."""

    def rows(self, owner: str | None = None, most: int = SHOWN) -> list[Row]:
        """Give the rows of an owner, or of all, newest first."""

    def abandon(self, id: str) -> None:
        """Ask whoever carries a job out to give it up."""


@dataclass(frozen=True)
class Orphan:
    """A job whose server has ended before it; `source` tells its model, `tries` how often it was begun."""

    row: Row
    server: str
    source: str
    tries: int


class Table:
    """A SQLite file with a row for each job, for any number of processes of this machine.

    Beside it, in a folder of the same name with .units, lie the units that wait or run, so that a later process can
    carry them out, and a locked file for each process that is there. Rows are dropped after `keep_days`, and beyond the
    newest `keep`. A file that is damaged is put aside, and a new one begun. Raises StorageError for a folder that
    cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], *, keep_days: float = KEEP_DAYS, keep: int = KEEP) -> None:
        self.path, self.keep_days, self.keep = Path(path), keep_days, keep
        self.server = secrets.token_hex(8)
        self._lock = threading.RLock()
        self._sign: sqlite3.Connection | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._file = self._opened()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                aside = self.path.with_name(f"{self.path.name}.damaged")
                log.warning("the table of jobs %s is damaged and was put aside as %s", self.path, aside.name)
                self.path.replace(aside)
                self._file = self._opened()
        except (OSError, sqlite3.Error) as error:
            raise StorageError(f"the table of jobs {self.path} cannot be used: {error}") from None

    @property
    def folder(self) -> Path:
        """The folder of the units that wait or run."""
        return self.path.with_name(f"{self.path.name}.units")

    def _opened(self) -> sqlite3.Connection:
        file = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            file.row_factory = sqlite3.Row
            _patiently(lambda: file.execute("pragma journal_mode = wal"))
            file.execute("pragma synchronous = normal")
            file.executescript(SCHEMA)
        except sqlite3.Error:
            file.close()
            raise
        return file

    def close(self) -> None:
        """Let the file go; open jobs are from now on those of a server that has ended."""
        with self._lock:
            self._file.close()
            if self._sign is not None:
                self._sign.close()
                self._sign = None
                self._sign_of(self.server).unlink(missing_ok=True)

    @contextmanager
    def _asking(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._file
            except sqlite3.Error as error:
                raise StorageError(f"the table of jobs {self.path} cannot be used: {error}") from None

    # --- writing --------------------------------------------------------------------------------------------------

    def add(self, row: Row, source: str, unit: bytes | None = None) -> None:
        """Write a new job, and the unit by which it can be begun again. Raises StorageError."""
        self._here()
        if unit is not None:
            self._keep(row.id, unit)
        with self._asking() as file:
            file.execute(
                "insert into jobs (id, owner, model, task, method, status, submitted, ended, error, kinds, server,"
                " source) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(row.id, row.owner, row.model, row.task, row.method, row.status, row.submitted, row.ended),
                    *(row.error, " ".join(row.kinds), self.server, source),
                ),
            )

    def change(self, ids: list[str], **values: Any) -> None:
        """Change jobs that have not ended. Raises StorageError."""
        names = ", ".join(f"{name} = ?" for name in values)
        with self._asking() as file:
            file.executemany(
                f"update jobs set {names} where id = ? and status in ('waiting', 'running')",
                [(*values.values(), id) for id in ids],
            )
        if values.get("status", "waiting") not in OPEN:
            for id in ids:
                self._unit(id).unlink(missing_ok=True)

    def abandon(self, id: str) -> None:
        """Ask whoever carries a job out to give it up; where its server has ended, it is given up at once."""
        with self._asking() as file:
            file.execute("update jobs set abandoned = 1 where id = ? and status in ('waiting', 'running')", (id,))
            found = file.execute("select server from jobs where id = ?", (id,)).fetchone()
        if found is not None and not self._there(found["server"]):
            self.change([id], status="cancelled", ended=time.time())

    def prune(self) -> None:
        """Drop old rows, and what is left of them."""
        with self._asking() as file:
            file.execute(
                "delete from jobs where submitted < ? or (status not in ('waiting', 'running') and number <= "
                "(select max(number) from jobs) - ?)",
                (time.time() - self.keep_days * 86400, self.keep),
            )
            known = {row["id"] for row in file.execute("select id from jobs where status in ('waiting', 'running')")}
        for path in self.folder.glob("*.unit"):
            if path.stem not in known and _age(path) > PATIENCE:
                path.unlink(missing_ok=True)

    # --- reading --------------------------------------------------------------------------------------------------

    def row(self, id: str) -> Row | None:
        """Give a job's row, or None; one that ended with its server has failed. Raises StorageError."""
        with self._asking() as file:
            found = file.execute("select * from jobs where id = ?", (id,)).fetchone()
        return None if found is None else self._seen(found)

    def rows(self, owner: str | None = None, most: int = SHOWN) -> list[Row]:
        """Give the rows of an owner, or of all, newest first. Raises StorageError."""
        of = "" if owner is None else "where owner = ?"
        with self._asking() as file:
            asked = (most,) if owner is None else (owner, most)
            found = file.execute(f"select * from jobs {of} order by number desc limit ?", asked).fetchall()
        return [self._seen(each) for each in found]

    def abandoned(self) -> list[str]:
        """Give the ids of this server's jobs that another process has asked to give up. Raises StorageError."""
        with self._asking() as file:
            found = file.execute(
                "select id from jobs where server = ? and abandoned = 1 and status in ('waiting', 'running')",
                (self.server,),
            ).fetchall()
        return [row["id"] for row in found]

    def _seen(self, found: sqlite3.Row) -> Row:
        """Give a row as it is to be read: a job whose server has ended has failed, until another one takes it over."""
        row = _row(found)
        if row.open and not self._there(found["server"]):
            return replace(row, status="failed", error=f"{row.title}: {RESTARTED}")
        return row if row.status != "waiting" else replace(row, place=self._place(found))

    def _place(self, found: sqlite3.Row) -> int:
        with self._asking() as file:
            before = file.execute(
                "select count(*) from jobs where server = ? and status = 'waiting' and number < ?",
                (found["server"], found["number"]),
            ).fetchone()
        return int(before[0]) + 1

    # --- what a server that has ended left ------------------------------------------------------------------------

    def orphans(self, id: str = "") -> list[Orphan]:
        """Give the jobs, or the one, that wait or run on servers that have ended, the oldest first.

        Raises StorageError.
        """
        with self._asking() as file:
            found = file.execute(
                "select * from jobs where status in ('waiting', 'running') and server != ?"
                " and ? in ('', id) order by number",
                (self.server, id),
            ).fetchall()
        ended = {server for server in {row["server"] for row in found} if not self._there(server)}
        return [
            Orphan(_row(row), row["server"], row["source"], row["tries"]) for row in found if row["server"] in ended
        ]

    def adopt(self, orphan: Orphan) -> bool:
        """Take a job over, and say whether it is now this server's: another one may have been first."""
        self._here()
        with self._asking() as file:
            taken = file.execute(
                "update jobs set server = ?, status = 'waiting', started = null, done = null, total = null,"
                " tries = tries + 1 where id = ? and server = ? and status in ('waiting', 'running')",
                (self.server, orphan.row.id, orphan.server),
            )
        return taken.rowcount == 1

    def unit(self, id: str) -> bytes:
        """Give the unit of a job that waits or runs. Raises StorageError where it was not kept."""
        try:
            return self._unit(id).read_bytes()
        except OSError as error:
            raise StorageError(f"the unit of a job cannot be read: {error.strerror or error}") from None

    def _here(self) -> None:
        """Show that this process is there: a lock on a file, which ends with the process however that ends."""
        with self._lock:
            if self._sign is None:
                self._sign = sqlite3.connect(self._sign_of(self.server), isolation_level=None, check_same_thread=False)
                self._sign.execute("begin exclusive")

    def _there(self, server: str | None) -> bool:
        """Whether the process of that name is there."""
        if server is None:
            return False
        if server == self.server:
            return self._sign is not None
        path = self._sign_of(server)
        if not path.exists():
            return False
        look = sqlite3.connect(path, timeout=0, isolation_level=None)
        try:
            look.execute("begin exclusive")
        except sqlite3.OperationalError:  # it is locked
            return True
        finally:
            look.close()
        path.unlink(missing_ok=True)
        return False

    def _sign_of(self, server: str) -> Path:
        return self.folder / f"{server}.server"

    def _unit(self, id: str) -> Path:
        return self.folder / f"{id}.unit"

    def _keep(self, id: str, unit: bytes) -> None:
        path = self._unit(id)
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(unit)
        except OSError as error:
            raise StorageError(f"{path} cannot be written: {error.strerror or error}") from None


def _patiently(call: Callable[[], object]) -> None:
    """Try until another process has changed the kind of journal, for which SQLite itself does not wait."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            call()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _row(found: sqlite3.Row) -> Row:
    names = ("id", "model", "task", "method", "owner", "status", "submitted", "started", "ended", "seconds", "address")
    progress = None if found["done"] is None else (found["done"], found["total"])
    return Row(
        **{name: found[name] for name in names},
        progress=progress,
        error=found["error"],
        kinds=tuple((found["kinds"] or "").split()),
    )


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
