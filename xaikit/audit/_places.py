"""Where the audit tables lie: a file of SQLite or a database of PostgreSQL, and what is different between the two."""

import os
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from xaikit.audit._chain import START, Fault
from xaikit.audit._urls import without_password
from xaikit.errors import MissingPackage, StorageError, UsageError, not_there

WAIT = 60.0
"""Seconds that a writer waits for the others."""
LOCK = int.from_bytes(b"xaikit", "big")
"""The advisory lock of writers on PostgreSQL."""
MOST = 2**29
"""Bytes that the arrays of one record may have. No value that is larger is read, whoever made the database."""
REFUSED = "audit records are append-only"

Mode = Literal["read", "write"]
Rules = Mapping[str, tuple[str, str, str | None]]

LAST = "(SELECT coalesce(max(id), 0) FROM {})"
LINK = "(SELECT hash FROM {} WHERE id = NEW.id - 1)"
TABLES = ("audit_records", "audit_events")


def _follows(table: str) -> str:
    """The condition under which an entry does not follow the last one."""
    other = TABLES[1 - TABLES.index(table)]
    last = f"NEW.id - 1 IS DISTINCT FROM {LAST.format(table)} AND NEW.id - 1 IS DISTINCT FROM {LAST.format(other)}"
    more = f"NEW.id <= {LAST.format(table)} OR NEW.id <= {LAST.format(other)}"
    hash_ = f"coalesce({LINK.format(table)}, {LINK.format(other)}, '{START}')"
    return f"{last} OR {more} OR NEW.previous IS DISTINCT FROM {hash_}"


RULES: Rules = {
    **{
        f"{table}_no_{action}": (action, table, None)
        for table in ("audit_records", "audit_arrays", "audit_events")
        for action in ("update", "delete")
    },
    "audit_keys_no_update": ("update", "audit_keys", None),
    "audit_keys_no_delete": (
        "delete",
        "audit_keys",
        "NOT EXISTS (SELECT 1 FROM audit_events WHERE kind = 'erasure' AND record = OLD.record)",
    ),
    **{f"{table}_append": ("insert", table, _follows(table)) for table in TABLES},
    **{
        f"{table}_append": (
            "insert",
            table,
            "EXISTS (SELECT 1 FROM audit_records WHERE id = NEW.record)",
        )
        for table in ("audit_arrays", "audit_keys")
    },
}
"""What the database refuses by itself, and when. Arrays and keys are written before their record, so none can be added
to, or replaced in, a record that exists; a key goes only where an event says that it was erased."""


class Place(Protocol):
    """What the two kinds of databases differ in."""

    def __str__(self) -> str: ...
    def exists(self) -> bool: ...
    def check(self, mode: Mode) -> None: ...
    def engine(self, mode: Mode) -> Engine: ...
    def lock(self, connection: Connection) -> None: ...
    def protect(self, connection: Connection) -> None: ...
    def guarded(self, connection: Connection) -> bool: ...
    def damage(self, connection: Connection) -> Fault | None: ...
    def wipe(self) -> str | None: ...


def place_of(url: str) -> Place:
    """Read the URL of an audit database. Raises UsageError, MissingPackage."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a port that is no number is a ValueError
        shown = without_password(url)
        raise UsageError(f"an audit database is named by a URL, sqlite:///audit.db, not {shown!r}") from None
    if "@" in (parsed.host or ""):  # what follows the first @ would be shown as the name of a server
        raise UsageError(f"write an @ in a password as %40, also in {without_password(url)!r}")
    if parsed.get_backend_name() == "postgresql":
        return PostgreSQL(parsed)
    if parsed.get_backend_name() != "sqlite":
        known = "a file, sqlite:///audit.db, or on a server, postgresql://user@host/name"
        raise UsageError(f"an audit database is {known}, not {without_password(url)!r}")
    if not parsed.database or parsed.database == ":memory:" or parsed.query:
        raise UsageError(f"{without_password(url)!r} names no file that lasts: write sqlite:///audit.db")
    return SQLite(Path(parsed.database))


class SQLite:
    """A file. Writers take its lock as they begin; what is deleted is overwritten."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()

    def check(self, mode: Mode) -> None:
        """Raise StorageError where there is nothing to read, or no folder to write to."""
        if self.exists():
            return
        if mode == "read":
            raise StorageError(not_there(self.path, "audit database"))
        folder = self.path.absolute().parent
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            why = "cannot be written to" if folder.is_dir() else "does not exist"
            raise StorageError(f"the audit database {self.path} cannot be made: the folder {folder} {why}")

    def engine(self, mode: Mode) -> Engine:
        """Open the file; a reader can change nothing."""
        engine = create_engine("sqlite://", creator=lambda: self._connect(mode), poolclass=NullPool)

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if mode == "write" else "BEGIN")

        return engine

    def _connect(self, mode: Mode) -> sqlite3.Connection:
        how = "rw" if mode == "read" or self.path.exists() else "rwc"
        name = f"{self.path.absolute().as_uri()}?mode={how}"
        connection = sqlite3.connect(name, uri=True, timeout=WAIT, isolation_level=None)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST)
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        for pragma in ("trusted_schema = OFF", "query_only = ON" if mode == "read" else "secure_delete = ON"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        return connection

    def lock(self, connection: Connection) -> None:
        """BEGIN IMMEDIATE has taken it."""

    def protect(self, connection: Connection) -> None:
        """Make the triggers, or make them anew where they are others."""
        there = self._triggers(connection)
        for name, statement in self._statements().items():
            if there.get(name) != statement:
                connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
                connection.exec_driver_sql(statement)

    def guarded(self, connection: Connection) -> bool:
        """Whether all triggers are there, and are ours; those that schema 1 had, where no more tables are there."""
        there = self._triggers(connection)
        if inspect(connection).has_table("audit_events"):
            return self._statements().items() <= there.items()
        return {n for n, (_, table, _) in RULES.items() if table in ("audit_records", "audit_arrays")} <= set(there)

    def _triggers(self, connection: Connection) -> dict[str, str]:
        found = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        return dict(map(tuple, found))

    def _statements(self) -> dict[str, str]:
        refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END"
        return {
            name: f"CREATE TRIGGER {name} BEFORE {action.upper()} ON {table}{f' WHEN {when}' if when else ''} {refuse}"
            for name, (action, table, when) in RULES.items()
        }

    def damage(self, connection: Connection) -> Fault | None:
        """Look for pages that SQLite cannot read."""
        said = str(connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar())
        if said == "ok":
            return None
        return Fault(None, "damaged", (), f"the database file is damaged: {said.splitlines()[-1]}")

    def wipe(self) -> str | None:
        """A deleted key is overwritten as it is deleted."""
        return None


class PostgreSQL:
    """A database on a server. Writers queue up at an advisory lock, which goes with the transaction."""

    def __init__(self, url: URL) -> None:
        try:
            import psycopg  # noqa: F401
        except ImportError:
            raise MissingPackage("psycopg", "postgresql", "an audit database on PostgreSQL") from None
        self.url = url.set(drivername="postgresql+psycopg")

    def __str__(self) -> str:
        return self.url.set(drivername="postgresql", password=None, query={}).render_as_string()

    def exists(self) -> bool:
        """Yes: no database is made here."""
        return True

    def check(self, mode: Mode) -> None:
        """Only the server knows."""

    def engine(self, mode: Mode) -> Engine:
        """Connect; a reader sees one state of the database throughout, and can change nothing."""
        options: dict[str, Any] = {"isolation_level": "READ COMMITTED"}
        if mode == "read":
            options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        settings = {"connect_timeout": 10, "options": f"-c lock_timeout={int(WAIT * 1000)}"}
        arguments = {**settings, **{n: v for n, v in self.url.query.items() if n in settings}}
        url = self.url.difference_update_query(settings)
        return create_engine(url, poolclass=NullPool, execution_options=options, connect_args=arguments)

    def lock(self, connection: Connection) -> None:
        """Wait until no other writer is at work."""
        connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))

    def protect(self, connection: Connection) -> None:
        """Make the functions and triggers that are not there."""
        if self.guarded(connection):
            return
        for name, (action, table, _) in RULES.items():
            connection.exec_driver_sql(
                f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $${_body(name)}$$"
            )
            self._trigger(connection, name, f"BEFORE {action.upper()} ON {table} FOR EACH ROW", name)
        for table in _tables():
            when = f"BEFORE TRUNCATE ON {table} FOR EACH STATEMENT"
            self._trigger(connection, f"{table}_no_truncate", when, "audit_records_no_update")

    def _trigger(self, connection: Connection, name: str, when: str, function: str) -> None:
        table = when.partition(" ON ")[2].partition(" ")[0]
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name} ON {table}")
        connection.exec_driver_sql(f"CREATE TRIGGER {name} {when} EXECUTE FUNCTION {function}()")

    def guarded(self, connection: Connection) -> bool:
        """Whether all triggers are there, switched on, and their functions are ours."""
        found = connection.exec_driver_sql(
            "SELECT t.tgname, p.proname, p.prosrc FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
            "JOIN pg_class c ON c.oid = t.tgrelid "
            "WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND pg_table_is_visible(c.oid)"
        )
        there = {trigger: (function, source) for trigger, function, source in found}
        wanted = {name: (name, _body(name)) for name in RULES}
        one = "audit_records_no_update"
        wanted |= {f"{table}_no_truncate": (one, _body(one)) for table in _tables()}
        return wanted.items() <= there.items()

    def damage(self, connection: Connection) -> Fault | None:
        """A page that the server cannot read is an error when it is read."""
        return None

    def wipe(self) -> str | None:
        """Write the table of keys anew: a deleted row stays in its page until then."""
        return "VACUUM FULL audit_keys"


def _tables() -> Sequence[str]:
    return sorted({table for _, table, _ in RULES.values()})


def _body(name: str) -> str:
    """The body of the function behind a trigger."""
    action, _, when = RULES[name]
    refuse = f"RAISE EXCEPTION '{REFUSED}' USING ERRCODE = 'integrity_constraint_violation';"
    kept = "OLD" if action == "delete" else "NEW"
    return f" BEGIN IF {when} THEN {refuse} END IF; RETURN {kept}; END " if when else f" BEGIN {refuse} END "
