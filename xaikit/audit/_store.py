"""The database of audit records: two tables that only grow, through SQLAlchemy.

A record and its arrays are written in one transaction that takes the write lock before it reads the head of the
chain, so that concurrent writers queue up and a crash leaves nothing half-written. Triggers refuse every change.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    inspect,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import NullPool

from xaikit.audit._chain import ARRAY, CHAIN, GROUPS, START, Columns, Fault, Verification, examine, own_fault, sealed
from xaikit.audit._record import AuditRecord, record_of
from xaikit.errors import StorageError, UnknownName, UsageError

WAIT = 60.0
"""Seconds that a writer waits for the others."""

NUMBERS = ("id", "schema", "seed", "model_calls")
OPTIONAL = ("source", "fingerprint", "weights_id")
NAMES = tuple(name for group in GROUPS.values() for name in group) + CHAIN

metadata = MetaData()
RECORDS = Table(
    "audit_records",
    metadata,
    *(
        Column(n, Integer if n in NUMBERS else Text, primary_key=n == "id", autoincrement=False, nullable=n in OPTIONAL)
        for n in NAMES
    ),
)
ARRAYS = Table(
    "audit_arrays",
    metadata,
    Column("record", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, primary_key=True),
    *(Column(n, LargeBinary if n == "data" else Text, nullable=False) for n in ARRAY[2:]),
)
FOLLOWS = """NEW.id IS NOT (SELECT coalesce(max(id), 0) + 1 FROM audit_records)
    OR NEW.previous IS NOT coalesce((SELECT hash FROM audit_records ORDER BY id DESC LIMIT 1), '{start}')"""
TRIGGERS = {
    **{
        f"{table}_no_{action}": f"BEFORE {action.upper()} ON {table}"
        for table in ("audit_records", "audit_arrays")
        for action in ("update", "delete")
    },
    "audit_records_append": f"BEFORE INSERT ON audit_records WHEN {FOLLOWS.format(start=START)}",
    "audit_arrays_append": (
        "BEFORE INSERT ON audit_arrays WHEN EXISTS (SELECT 1 FROM audit_records WHERE id = NEW.record)"
    ),
}
"""Arrays are written before their record, so none can be added to, or replaced in, a record that exists."""

Mode = Literal["read", "write"]


class Database:
    """One database of audit records, named by its URL. Raises UsageError, or StorageError that names the file."""

    def __init__(self, url: str) -> None:
        self.path = _file(url)

    def check_writable(self) -> None:
        """Raise StorageError now if a record could not be written later; nothing is created."""
        if self.path.exists():
            with self._begin("write"):
                return
        folder = self.path.absolute().parent
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            why = "cannot be written to" if folder.is_dir() else "does not exist"
            raise StorageError(f"the audit database {self.path} cannot be made: the folder {folder} {why}")

    def append(self, columns: Columns, arrays: list[dict[str, Any]]) -> AuditRecord:
        """Write one record at the end of the chain and give it as it now stands in the database."""
        with self._begin("write") as connection:
            metadata.create_all(connection)
            for name, when in TRIGGERS.items():
                refuse = "SELECT RAISE(ABORT, 'audit records are append-only')"
                connection.exec_driver_sql(f"CREATE TRIGGER IF NOT EXISTS {name} {when} BEGIN {refuse}; END")
            last = connection.execute(
                select(RECORDS.c.id, RECORDS.c.hash).order_by(RECORDS.c.id.desc()).limit(1)
            ).one_or_none()
            number, previous = (last.id + 1, last.hash) if last else (1, START)
            created = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            own = [{"record": number, **a} for a in arrays]
            row = sealed({**columns, "id": number, "created": created}, own, previous)
            if own:
                connection.execute(insert(ARRAYS), own)
            connection.execute(insert(RECORDS), row)
        return record_of(row, own)

    def read(self, number: int) -> AuditRecord:
        """Read one record. Raises UnknownName, and StorageError if it was changed."""
        with self._begin("read") as connection:
            row = next(_rows(connection, f"WHERE id = {int(number)}"), None)
            if row is None:
                raise UnknownName("audit record", number, _numbers(connection))
            arrays = _arrays(connection, number)
        fault = own_fault(row, arrays)
        if fault is not None:
            raise StorageError(f"{fault.message}; see `xaikit audit verify`")
        return record_of(row, arrays)

    def numbers(self) -> list[int]:
        """List the numbers of all records."""
        with self._begin("read") as connection:
            return _numbers(connection)

    def verify(self, head: str | None) -> Verification:
        """Walk the chain and give its head, or the first fault."""
        try:
            with self._begin("read") as connection:
                return _verified(connection, head)
        except StorageError as error:
            if "malformed" not in str(error):
                raise
            fault = Fault(None, "damaged", (), str(error))
            return Verification(0, START, fault, None, guarded=False)

    @contextmanager
    def _begin(self, mode: Mode) -> Iterator[Connection]:
        """Open the database for one transaction: all of it happens, or nothing."""
        if mode == "read" and not self.path.exists():
            raise StorageError(f"there is no audit database {self.path}")
        engine = _engine(self.path, mode)
        try:
            with engine.begin() as connection:
                if mode == "read" and not inspect(connection).has_table("audit_records"):
                    raise StorageError(f"{self.path} holds no audit records")
                yield connection
        except DBAPIError as error:
            raise StorageError(f"the audit database {self.path}: {error.orig}") from None
        except UnicodeDecodeError:  # of sqlite3 itself, when it quotes a spoilt schema
            raise StorageError(f"the audit database {self.path}: its schema is malformed") from None
        finally:
            engine.dispose()


def _file(url: str) -> Path:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise UsageError(f"an audit database is named by a URL, sqlite:///{url}, not {url!r}") from None
    if parsed.get_backend_name() != "sqlite":
        raise UsageError(f"an audit database is a file, sqlite:///audit.db, not {parsed.render_as_string()!r}")
    if not parsed.database or parsed.database == ":memory:" or parsed.query:
        raise UsageError(f"{url!r} names no file that lasts: write sqlite:///audit.db")
    return Path(parsed.database)


def _engine(path: Path, mode: Mode) -> Engine:
    def connect() -> sqlite3.Connection:
        how = "rw" if mode == "read" or path.exists() else "rwc"
        name = f"{path.absolute().as_uri()}?mode={how}"
        connection = sqlite3.connect(name, uri=True, timeout=WAIT, isolation_level=None)
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        if mode == "read":
            connection.execute("PRAGMA query_only = ON")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if mode == "write" else "BEGIN")

    return engine


def _rows(connection: Connection, where: str = "") -> Iterator[Columns]:
    """Give the records in order, each value as the database holds it, whatever type a column should have."""
    found = connection.exec_driver_sql(f"SELECT {', '.join(NAMES)} FROM audit_records {where} ORDER BY id")
    return (dict(zip(NAMES, row, strict=True)) for row in found.yield_per(100))


def _arrays(connection: Connection, number: int) -> list[Columns]:
    found = connection.exec_driver_sql(f"SELECT {', '.join(ARRAY)} FROM audit_arrays WHERE record = ?", (number,))
    return [dict(zip(ARRAY, row, strict=True)) for row in found]


def _numbers(connection: Connection) -> list[int]:
    return list(connection.execute(select(RECORDS.c.id).order_by(RECORDS.c.id)).scalars())


def _verified(connection: Connection, head: str | None) -> Verification:
    count, previous, noted = 0, START, None
    fault = _damage(connection)
    for row in () if fault else _rows(connection):
        fault = examine(row, _arrays(connection, row["id"]), count + 1, previous)
        if fault is not None:
            break
        count, previous = count + 1, row["hash"]
        noted = count if head == previous else noted
    fault = fault or _stray(connection)
    if fault is None and head is not None and noted is None:
        said = f"no record has the noted head {head}: the end was cut off, or the chain was written anew"
        fault = Fault(count + 1, "truncated", ("chain",), said)
    return Verification(count, previous, fault, noted, _guarded(connection))


def _damage(connection: Connection) -> Fault | None:
    """Look for pages that SQLite cannot read, and for columns that no record has."""
    said = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar())
    if said != "ok":
        return Fault(None, "damaged", (), f"the database file is damaged: {said.splitlines()[-1]}")
    for table in (RECORDS, ARRAYS):
        unknown = [c["name"] for c in inspect(connection).get_columns(table.name) if c["name"] not in table.c]
        if unknown:
            return Fault(None, "inserted", (), f"the table {table.name} has the unknown column {unknown[0]!r}")
    return None


def _stray(connection: Connection) -> Fault | None:
    """Look for arrays of records that do not exist."""
    stray = select(func.min(ARRAYS.c.record)).where(ARRAYS.c.record.not_in(select(RECORDS.c.id)))
    number = connection.execute(stray).scalar()
    if number is None:
        return None
    return Fault(None, "inserted", (), f"there are arrays of a record {number!r}, which does not exist")


def _guarded(connection: Connection) -> bool:
    """Whether all triggers are there."""
    names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars()
    return set(TRIGGERS) <= set(names)
