"""The database of audit records: tables that only grow, through SQLAlchemy, on SQLite or PostgreSQL.

An entry (a record with its arrays and its data key, or an event) is written in one transaction that takes the writers'
lock before it reads the head of the chain, so that concurrent writers queue up and a crash or a lost connection leaves
nothing half-written. Triggers refuse every change, but the deletion of a data key that an event says was erased.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from heapq import merge
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    delete,
    insert,
    inspect,
    text,
)
from sqlalchemy.exc import DBAPIError

from xaikit.audit._canonical import canonical, now
from xaikit.audit._chain import (
    ARRAY,
    CHAIN,
    COLUMNS,
    EVENT,
    FIRST,
    KEY,
    SCHEMA,
    START,
    Columns,
    Fault,
    Verification,
    own_fault,
    sealed,
    walk,
)
from xaikit.audit._places import MOST, Mode, place_of
from xaikit.errors import StorageError, UnknownName

PAUSES = (0.2, 1.0, 3.0)
"""Seconds to wait before a lost connection is tried again."""
ROW = 1024
"""Bytes that a row is counted for beside its data."""
AT_ONCE, ROWS = 2**25, 200
"""Bytes and rows that a server sends at a time."""

NUMBERS = ("id", "schema", "seed", "model_calls", "record")
NAMES = (*COLUMNS, *CHAIN)
EVENT_NAMES = (*(name for group in EVENT.values() for name in group), *CHAIN)
OLD = {name for group in FIRST.values() for name in group} | set(CHAIN)
OPTIONAL = {"source", "fingerprint", "weights_id"} | (set(NAMES) - OLD)
"""Columns that may be empty, among them all that schema 2 added to a table that may be there already."""

Whole = BigInteger().with_variant(Integer, "sqlite")
metadata = MetaData()


def _column(name: str, *, key: bool = False, optional: bool = False) -> "Column[Any]":
    kind = LargeBinary if name in ("data", "wrapped") else Whole if name in NUMBERS else Text
    return Column(name, kind, primary_key=key, autoincrement=False, nullable=optional)


RECORDS = Table("audit_records", metadata, *(_column(n, key=n == "id", optional=n in OPTIONAL) for n in NAMES))
ARRAYS = Table("audit_arrays", metadata, *(_column(n, key=n in ("record", "name")) for n in ARRAY))
EVENTS = Table(
    "audit_events",
    metadata,
    *(_column(n, key=n == "id", optional=n in ("clock", "record", "author")) for n in EVENT_NAMES),
)
KEYS = Table("audit_keys", metadata, *(_column(n, key=n == "record") for n in KEY))


@dataclass(frozen=True, eq=False)
class Entry:
    """One entry as the database holds it: the columns of a record or event, its arrays, and its wrapped data key."""

    columns: Columns
    arrays: list[Columns] = field(default_factory=list)
    keys: list[Columns] = field(default_factory=list)


class _Lost(Exception):
    """The connection was lost; `late` is whether the transaction was being committed."""

    def __init__(self, said: str, late: bool) -> None:
        super().__init__(said)
        self.late = late


class _Damaged(StorageError):
    """What is in the tables is nothing that was ever written there: `verify` makes it a fault."""


class Database:
    """One database of audit records, named by its URL. Raises UsageError, or StorageError that names the place."""

    def __init__(self, url: str) -> None:
        self.place = place_of(url)
        self._engines: dict[Mode, Engine] = {}

    def check_writable(self) -> None:
        """Raise StorageError now if a record could not be written later; nothing is created."""
        self.place.check("write")
        if self.place.exists():
            self._retried(lambda: self._try("write", lambda connection: None))

    def append(self, columns: Columns, arrays: Sequence[Columns], key: Columns | None = None) -> Entry:
        """Write one record at the end of the chain, and give it as it now stands in the database."""
        keys = [] if key is None else [dict(key)]
        size = sum(map(_size, arrays))
        if size > MOST:
            raise StorageError(f"the arrays of a record have {size >> 20} MiB, and at most {MOST >> 20} are kept")
        return self._append(RECORDS, {**columns, "schema": SCHEMA}, [dict(a) for a in arrays], keys)

    def append_event(
        self, kind: str, record: int | None, author: str | None, content: Mapping[str, Any], erase: bool = False
    ) -> Entry:
        """Write an event about a record, or about the chain, at the end of the chain.

        `content` is what canonical JSON can hold. With `erase` the data key of the record goes in the same transaction.
        """
        told = {"kind": kind, "record": record, "author": author, "content": canonical(content)}
        written = self._append(EVENTS, {**told, "schema": SCHEMA}, [], [], erase)
        statement = self.place.wipe() if erase else None
        if statement is not None:
            self._wipe(statement)
        return written

    def _append(self, table: Table, columns: Columns, arrays: list[Any], keys: list[Any], erase: bool = False) -> Entry:
        written: list[Entry] = []

        def write(connection: Connection) -> Entry:
            self.place.lock(connection)
            self._prepare(connection)
            if written and _is_there(connection, table, written[0].columns["hash"]):
                return written[0]
            entry = _next(connection, columns, arrays, keys)
            written[:] = [entry]
            for beside, rows in ((ARRAYS, entry.arrays), (KEYS, entry.keys)):
                if rows:
                    connection.execute(insert(beside), [dict(r) for r in rows])
            connection.execute(insert(table), dict(entry.columns))
            if erase:
                connection.execute(delete(KEYS).where(KEYS.c.record == columns["record"]))
            return entry

        return self._retried(lambda: self._try("write", write))

    def entry(self, number: int) -> Entry:
        """Read one entry as it is. Raises UnknownName, and StorageError if it was changed."""
        with self._begin("read") as connection:
            with closing(_entries(connection, int(number))) as entries:
                found = next(entries, None)
            if found is None:
                raise UnknownName("audit record", number, _numbers(connection))
        fault = own_fault(found.columns, found.arrays)
        if fault is not None:
            raise StorageError(f"{fault.message}; see `xaikit audit verify`")
        return found

    def entries(self) -> Iterator[Entry]:
        """Read all entries in their order, one at a time, unjudged."""
        with self._begin("read") as connection, closing(_entries(connection)) as found:
            yield from found

    def events(self, record: int | None = None) -> list[Entry]:
        """Read the events about a record, or all events."""
        with self._begin("read") as connection:
            if EVENTS.name not in _tables(connection):
                return []
            where = "" if record is None else "WHERE record = :record"
            with closing(_rows(connection, EVENTS, where, "ORDER BY id", record=record)) as rows:
                found = [Entry(r) for r in _numbered(rows, EVENTS, "id")]
        for entry in found:
            fault = own_fault(entry.columns, [])
            if fault is not None:
                raise StorageError(f"{fault.message}; see `xaikit audit verify`")
        return found

    def numbers(self) -> list[int]:
        """List the numbers of all records."""
        with self._begin("read") as connection:
            return _numbers(connection)

    def verify(self, head: str | None, anchors: Mapping[int, str] | None = None) -> Verification:
        """Walk the chain and give its head, or the first fault. `anchors` are noted heads by their entry's number."""
        try:
            with self._begin("read") as connection:
                return self._verified(connection, head, anchors or {})
        except StorageError as error:
            if not isinstance(error, _Damaged) and not any(words in str(error) for words in UNREADABLE):
                raise
            fault = Fault(None, "damaged", (), str(error))
            return Verification(0, 0, START, fault, None, guarded=False)

    def _verified(self, connection: Connection, head: str | None, anchors: Mapping[int, str]) -> Verification:
        guarded, fault = self.place.guarded(connection), self.place.damage(connection) or _unknown_columns(connection)
        if fault is not None:
            return Verification(0, 0, START, fault, None, guarded)
        heads = {*anchors.values(), *([head] if head is not None else [])}
        with closing(_entries(connection)) as entries:
            found, noted = walk(((e.columns, e.arrays, e.keys) for e in entries), _erased(connection), heads)
        fault = found.fault or _stray(connection) or _cut_off(head, anchors, noted, found.entries)
        return replace(found, fault=fault, noted=None if head is None else noted.get(head), guarded=guarded)

    def _prepare(self, connection: Connection) -> None:
        """Make what is missing: tables, the columns that a later schema added, triggers."""
        there = _tables(connection)
        if not {t.name for t in metadata.sorted_tables} <= there:
            metadata.create_all(connection)
        if RECORDS.name in there:
            names = _columns(connection, RECORDS)
            for name in [n for n in NAMES if n not in names]:
                connection.exec_driver_sql(f"ALTER TABLE {RECORDS.name} ADD COLUMN {name} TEXT")
        self.place.protect(connection)

    def _wipe(self, statement: str) -> None:
        try:
            with self._engine("write").connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(statement)
        except DBAPIError as error:
            said = f"the key was erased, but its old page not overwritten; run {statement}: {error.orig}"
            raise StorageError(f"the audit database {self.place}: {said}") from None

    def _engine(self, mode: Mode) -> Engine:
        """Give the engine for a mode, which keeps its statements ready but no connection open."""
        if mode not in self._engines:
            self._engines[mode] = self.place.engine(mode)
        return self._engines[mode]

    def _retried(self, attempt: Callable[[], Any]) -> Any:
        """Try again where the connection was lost; then say so, and what is known of the record."""
        for pause in (*PAUSES, None):
            try:
                return attempt()
            except _Lost as lost:
                if pause is None:
                    late = "`xaikit audit verify` tells whether the record was still taken, whole, or not at all"
                    said = f"no connection after {len(PAUSES) + 1} attempts: {lost}"
                    known = late if lost.late else "nothing was recorded"
                    raise StorageError(f"the audit database {self.place}: {said}; {known}") from None
                time.sleep(pause)
        raise AssertionError

    def _try(self, mode: Mode, work: Callable[[Connection], Any]) -> Any:
        with self._begin(mode, lost=True) as connection:
            return work(connection)

    @contextmanager
    def _begin(self, mode: Mode, lost: bool = False) -> Iterator[Connection]:
        """Open the database for one transaction: all of it happens, or nothing."""
        self.place.check(mode)
        late = False
        try:
            with self._engine(mode).connect() as connection, connection.begin() as transaction:
                if mode == "read" and RECORDS.name not in _tables(connection):
                    raise StorageError(f"{self.place} holds no audit records")
                yield connection
                late = True
                transaction.commit()
        except DBAPIError as error:
            if lost and _is_lost(error):
                raise _Lost(_words(error), late) from None
            raise StorageError(f"the audit database {self.place}: {_words(error)}") from None
        except UnicodeDecodeError:  # of sqlite3 itself, when it quotes a spoilt schema
            raise StorageError(f"the audit database {self.place}: its schema is malformed") from None


UNREADABLE = ("malformed", "invalid page", "too big")
"""What databases say of pages and values that they do not give."""
STARTING = ("starting up", "shutting down", "too many", "terminating connection", "recovery mode")


def _is_lost(error: DBAPIError) -> bool:
    """Whether trying again may help: the server went away or cannot be reached, not that it refused what was asked."""
    if type(error.orig).__module__.startswith("sqlite3"):
        return False
    said = str(error.orig)
    unreached = error.connection_invalidated or getattr(error.orig, "sqlstate", None) in (
        None,
        "57P01",
        "57P02",
        "57P03",
    )
    return unreached and ("FATAL" not in said or any(words in said for words in STARTING))


def _words(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())


def _next(connection: Connection, columns: Columns, arrays: list[Any], keys: list[Any]) -> Entry:
    """Give an entry its number, its time and its place in the chain."""
    number, previous, before = _head(connection)
    created = now("microseconds")
    clock = created if created < before else None
    own: list[Columns] = [{**a, "record": number + 1} for a in arrays]
    told = {**columns, "id": number + 1, "created": max(created, before), "clock": clock}
    return Entry(sealed(told, own, previous), own, [{**k, "record": number + 1} for k in keys])


def _head(connection: Connection) -> tuple[int, str, str]:
    """Give the number, hash and time of the last entry."""
    tables = (RECORDS, EVENTS)
    last = "SELECT id, hash, created FROM {} ORDER BY id DESC LIMIT 1"
    found = [connection.execute(text(last.format(t.name))).one_or_none() for t in tables]
    return max(((r.id, r.hash, r.created) for r in found if r is not None), default=(0, START, ""))


def _is_there(connection: Connection, table: Table, hash_: str) -> bool:
    found = connection.execute(text(f"SELECT 1 FROM {table.name} WHERE hash = :hash"), {"hash": hash_})
    return found.first() is not None


def _rows(
    connection: Connection, table: Table, where: str, order: str, **values: Any
) -> Generator[dict[str, Any], None, None]:
    """Give the rows of a table, each value as the database holds it, whatever type a column should have.

    Columns that an older table does not have are empty.
    """
    names = tuple(c.name for c in table.c)
    there = _columns(connection, table)
    own = [n for n in names if n in there]
    given = {n: v for n, v in values.items() if v is not None}
    many = _many(connection, table, own, where, given)
    streamed = connection.execution_options(stream_results=True, yield_per=many)
    empty = dict.fromkeys(names)
    with streamed.execute(text(f"SELECT {', '.join(own)} FROM {table.name} {where} {order}"), given) as found:
        for row in found:
            yield {**empty, **dict(zip(own, row, strict=True))}


def _many(connection: Connection, table: Table, names: list[str], where: str, given: Mapping[str, Any]) -> int:
    """Give how many rows to fetch at a time, so that they fit into memory however large they are."""
    if connection.dialect.name == "sqlite":  # gives them one by one, and none above the limit
        return ROWS
    widths = [f"coalesce(octet_length({n}), 0)" for n in names if n not in NUMBERS]
    asked = f"SELECT max({' + '.join(['0', *widths])}) FROM {table.name} {where}"
    largest = connection.execute(text(asked), given).scalar() or 1
    if largest > MOST:
        raise _Damaged(f"a row of {table.name} has {largest >> 20} MiB, and at most {MOST >> 20} are ever written")
    return max(1, min(ROWS, AT_ONCE // largest))


def _tables(connection: Connection) -> set[str]:
    """Name the tables that are there; a view is none, whatever its name."""
    return set(inspect(connection).get_table_names())


def _columns(connection: Connection, table: Table) -> list[str]:
    """Name the columns of a table that is there; a server is asked much faster so than for their descriptions."""
    with connection.execute(text(f"SELECT * FROM {table.name} LIMIT 0")) as found:
        return list(found.keys())


def _numbered(rows: Iterable[dict[str, Any]], table: Table, column: str) -> Iterator[dict[str, Any]]:
    """Pass on rows whose entry has a number."""
    for row in rows:
        if type(row[column]) is not int:
            raise _Damaged(f"a row of {table.name} belongs to the entry {row[column]!r}, which is no number")
        yield row


def _entries(connection: Connection, number: int | None = None) -> Generator[Entry, None, None]:
    """Give all entries in their order, or one, with their arrays and keys; each table is read once, as a stream."""
    there = _tables(connection)
    with ExitStack() as open_:

        def stream(table: Table, column: str, order: str) -> Iterator[dict[str, Any]]:
            if table.name not in there:
                return iter(())
            where = "" if number is None else f"WHERE {column} = :number"
            rows = open_.enter_context(closing(_rows(connection, table, where, f"ORDER BY {order}", number=number)))
            return _numbered(rows, table, column)

        arrays, keys = (_Beside(stream(t, "record", o)) for t, o in ((ARRAYS, "record, name"), (KEYS, "record")))
        both = merge(stream(RECORDS, "id", "id"), stream(EVENTS, "id", "id"), key=lambda row: row["id"])
        for row in both:
            yield Entry(row, arrays.of(row["id"]), keys.of(row["id"]))


def _size(row: Columns) -> int:
    return ROW + sum(len(value) for value in row.values() if isinstance(value, str | bytes))


class _Beside:
    """Rows of another table, in the order of the entries that they belong to."""

    def __init__(self, rows: Iterator[dict[str, Any]]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def of(self, number: int) -> list[Columns]:
        """Give the rows of an entry; those of earlier numbers are passed over, since they belong to none."""
        own, size = list[Columns](), 0
        while self._next is not None and self._next["record"] <= number:
            if self._next["record"] == number:
                own.append(self._next)
                size += _size(self._next)
            if size > MOST:
                raise _Damaged(f"record {number} has more than the {MOST >> 20} MiB of arrays that are ever written")
            self._next = next(self._rows, None)
        return own


def _numbers(connection: Connection) -> list[int]:
    return list(connection.execute(text("SELECT id FROM audit_records ORDER BY id")).scalars())


def _erased(connection: Connection) -> frozenset[Any]:
    """Give the numbers of the records whose data key was erased, as events say, which are judged themselves."""
    if EVENTS.name not in _tables(connection):
        return frozenset()
    return frozenset(connection.execute(text("SELECT record FROM audit_events WHERE kind = 'erasure'")).scalars())


def _unknown_columns(connection: Connection) -> Fault | None:
    """Look for columns that no record has."""
    there = _tables(connection)
    for table in (t for t in metadata.sorted_tables if t.name in there):
        unknown = [name for name in _columns(connection, table) if name not in table.c]
        if unknown:
            return Fault(None, "inserted", (), f"the table {table.name} has the unknown column {unknown[0]!r}")
    return None


def _stray(connection: Connection) -> Fault | None:
    """Look for arrays and keys of records that do not exist."""
    there = _tables(connection)
    for table, what in ((ARRAYS, "arrays"), (KEYS, "a data key")):
        stray = f"SELECT min(record) FROM {table.name} WHERE record NOT IN (SELECT id FROM audit_records)"
        number = connection.execute(text(stray)).scalar() if table.name in there else None
        if number is not None:
            said = f"there {'are' if what == 'arrays' else 'is'} {what} of a record {number!r}, which does not exist"
            return Fault(None, "inserted", (), said)
    return None


def _cut_off(head: str | None, anchors: Mapping[int, str], noted: Mapping[str, int], entries: int) -> Fault | None:
    """Look for noted heads that no entry has any more, or another entry than the one they were noted for."""
    said = "{} has the noted head {}: the end was cut off, or the chain was written anew"
    if head is not None and head not in noted:
        return Fault(entries + 1, "truncated", ("chain",), said.format("no record", head))
    for number, hash_ in sorted(anchors.items()):
        if noted.get(hash_) != number:
            return Fault(
                min(number, entries + 1), "truncated", ("chain",), said.format(f"entry {number} no longer", hash_)
            )
    return None
