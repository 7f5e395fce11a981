"""Many writers, killed ones, lost connections, clocks that go backwards, changed bytes: on both kinds of databases."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.audit.conftest import TABLES, Store, of_file
from tests.audit.server import Server, running
from tests.audit.writing import given, started, wait_for, write, write_and_die
from xaikit import audit
from xaikit.audit import _store
from xaikit.errors import StorageError

EACH = 60
"""Records of each writer."""


@pytest.mark.slow
def test_eight_writers_at_the_same_time_make_one_chain(empty: Store, three: Path, tmp_path: Path) -> None:
    names, like = [f"writer {n}" for n in range(8)], given(three)
    writers = [started(write, empty.url, name, EACH, like, tmp_path) for name in names]
    for name, process in zip(names, writers, strict=True):
        wait_for(tmp_path / f"ready {name}", process)
    (tmp_path / "go").touch()
    for process in writers:
        process.join(900)
    assert [process.exitcode for process in writers] == [0] * 8
    found = empty.verify()
    assert (found.fault, found.records, found.entries, found.guarded) == (None, 8 * EACH, 8 * EACH, True)
    rows = empty.rows("SELECT author, target_label FROM audit_records ORDER BY id")
    assert sorted(rows) == sorted((name, str(i)) for name in names for i in range(EACH))
    assert [n for n, _ in rows] != sorted(n for n, _ in rows), "they did not write at the same time"


def has_records(store: Store) -> bool:
    """Whether a first record was ever written; before, nobody made the tables."""
    if store.kind == "sqlite":
        path = Path(store.url.removeprefix("sqlite:///"))
        return path.exists() and bool(store.rows("SELECT 1 FROM sqlite_master WHERE name = 'audit_records'"))
    return store.rows("SELECT to_regclass('audit_records') IS NOT NULL") == [(True,)]


@pytest.mark.slow
def test_a_writer_killed_at_any_moment_leaves_whole_records(empty: Store, three: Path, tmp_path: Path) -> None:
    """The first five are killed as they begin, the others somewhere after their first record."""
    rng, whole, like = np.random.default_rng(0), 0, given(three)
    (tmp_path / "go").touch()
    for moment in range(20):
        process = started(write, empty.url, str(moment), 10**6, like, tmp_path)
        wait_for(tmp_path / f"{'ready' if moment < 5 else 'wrote'} {moment}", process)
        time.sleep(float(rng.uniform(0, 0.05)))
        process.kill()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        time.sleep(0.05)  # until the server sees that it is gone
        if not has_records(empty):
            assert moment < 5
            continue
        found = empty.verify()
        assert found.fault is None
        assert found.records >= whole + (moment >= 5)
        whole = found.records
        arrays = empty.rows("SELECT record, count(*) FROM audit_arrays GROUP BY record ORDER BY record")
        assert arrays == [(n, len(like[1])) for n in range(1, whole + 1)]


@pytest.mark.slow
@pytest.mark.parametrize("statement", ["INSERT INTO audit_arrays", "INSERT INTO audit_records"])
def test_a_kill_between_two_statements_leaves_nothing_of_the_record(store: Store, three: Path, statement: str) -> None:
    like, before = given(three), store.content()
    process = started(write_and_die, store.url, like, statement)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    if store.kind == "sqlite":
        journal = Path(f"{store.url.removeprefix('sqlite:///')}-journal")
        assert journal.exists(), "the kill came before the transaction wrote anything"
    assert (store.verify().fault, store.content()) == (None, before)
    assert audit.database(store.url).append(*like).columns["id"] == 8


@pytest.mark.slow
def test_a_changed_byte_anywhere_is_found_or_changes_no_content(db: Path, model: Any, key: Any, picture: Any) -> None:
    """A change is harmless only where every value of every row of every table is read, type and all, as it was.

    That is so for bytes of free space, of counters, and of the words in which the tables are described.
    """
    url, store = f"sqlite:///{db}", of_file(db)
    audit.record(model, picture(4), "saliency", db=url, key=key, encrypt=True, author="Ada")
    audit.review(url, 4, reviewer="Bob", verdict="approved")
    whole, before = db.read_bytes(), store.content()
    rng, found = np.random.default_rng(0), 0
    for place, bit in zip(rng.integers(0, len(whole), 500), rng.integers(0, 8, 500), strict=True):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << int(bit)
        db.write_bytes(spoilt)
        try:
            ok = store.verify().ok
        except StorageError:
            ok = False
        found += not ok
        assert not ok or store.content() == before, place
    assert 0 < found < 500, "the places held no content, or nothing else"


@pytest.mark.slow
def test_a_changed_byte_of_any_value_is_found(store: Store) -> None:
    """Of what the tables hold, on both kinds: 100 places in the values of all columns, each weighed by its length."""
    if store.kind == "sqlite":
        names = {t: [c[1] for c in store.rows(f"PRAGMA table_info({t})")] for t in TABLES}
    else:
        asked = "SELECT column_name FROM information_schema.columns WHERE table_name = '{}'"
        asked += " AND table_schema = 'public' ORDER BY ordinal_position"
        names = {t: [c for (c,) in store.rows(asked.format(t))] for t in TABLES}
    values = [
        (table, tuple(row[:2]), column, value)
        for table in TABLES
        for row in store.rows(f"SELECT * FROM {table} ORDER BY 1, 2")
        for column, value in zip(names[table], row, strict=True)
        if isinstance(value, str | bytes) and len(value)
    ]
    rng = np.random.default_rng(1)
    weights = np.sqrt([len(v[3]) for v in values])
    store.run()
    database, raw, mark = audit.database(store.url), store.connect(), "%s" if store.kind == "postgresql" else "?"
    for i in rng.choice(len(values), 100, p=weights / weights.sum()):
        table, (first, second), column, value = values[i]
        place = int(rng.integers(len(value)))
        other: Any = "~" if value[place] != "~" else "!"  # of which no name has one, so it is not that of another row
        if isinstance(value, bytes):
            other = bytes([value[place] ^ 1 << int(rng.integers(8))])
        new = value[:place] + other + value[place + 1 :]
        where = {"audit_arrays": f"record = {first} AND name = '{second}'", "audit_keys": f"record = {first}"}
        at = where.get(table, f"id = {first}")
        back = at.replace(f"'{second}'", f"'{new}'") if column == "name" else at
        change(raw, mark, table, column, at, new)
        assert not database.verify(None).ok, (table, at, column, place)
        change(raw, mark, table, column, back, value)
    raw.close()
    assert store.verify().ok


def change(raw: Any, mark: str, table: str, column: str, where: str, value: str | bytes) -> None:
    assert raw.execute(f"UPDATE {table} SET {column} = {mark} WHERE {where}", (value,)).rowcount == 1
    raw.commit()


def test_a_clock_that_goes_backwards_is_on_record(
    empty: Store, model: Any, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = audit.record(model, picture(1), "saliency", db=empty.url, author="Ada")
    monkeypatch.setattr(_store, "now", lambda *_: "2001-02-03T04:05:06.000000Z")
    second = audit.record(model, picture(2), "saliency", db=empty.url)
    assert (second.created, second.clock) == (first.created, "2001-02-03T04:05:06.000000Z")
    event = audit.review(empty.url, 1, reviewer="Bob", verdict="approved")
    assert event.created == first.created
    monkeypatch.undo()
    third = audit.record(model, picture(3), "saliency", db=empty.url)
    assert third.created > first.created
    assert (first.clock, third.clock, empty.verify().ok) == (None, None, True)


@pytest.fixture
def own_server() -> Iterator[Server]:
    with running() as found:
        if isinstance(found, str):
            pytest.skip(found)
        yield found


@pytest.mark.slow
def test_a_lost_connection_is_tried_again(
    own_server: Server, model: Any, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server goes away between the arrays of a record and the record itself, and comes back."""
    url, original, lost = own_server.url(own_server.create("lost")), _store._next, []
    audit.record(model, picture(1), "saliency", db=url)

    def interrupted(connection: Any, *given: Any) -> Any:
        entry = original(connection, *given)
        if not lost:
            lost.append(entry)
            own_server.stop()
            own_server.start()
        return entry

    monkeypatch.setattr(_store, "_next", interrupted)
    made = audit.record(model, picture(2), "saliency", db=url)
    assert lost
    assert (made.id, audit.verify(url).fault, audit.verify(url).records) == (2, None, 2)


@pytest.mark.slow
def test_a_commit_whose_answer_is_lost_is_not_written_twice(
    own_server: Server, model: Any, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, attempts = own_server.url(own_server.create("twice")), []
    original = _store.Database._try

    def unanswered(self: Any, mode: Any, work: Any) -> Any:
        found = original(self, mode, work)
        if found is not None and not attempts:
            attempts.append(found)
            raise _store._Lost("the server closed the connection", late=True)
        return found

    monkeypatch.setattr(_store.Database, "_try", unanswered)
    made = audit.record(model, picture(1), "saliency", db=url)
    assert (made.id, audit.verify(url).records) == (1, 1)
    assert made.hash == attempts[0].columns["hash"]


@pytest.mark.slow
def test_a_server_that_stays_away_is_an_error_and_nothing_is_recorded(
    own_server: Server, model: Any, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_store, "PAUSES", (0.01, 0.01))
    url, original = own_server.url(own_server.create("away")), _store._next
    audit.record(model, picture(1), "saliency", db=url)

    def interrupted(connection: Any, *given: Any) -> Any:
        entry = original(connection, *given)
        own_server.stop()
        return entry

    monkeypatch.setattr(_store, "_next", interrupted)
    with pytest.raises(StorageError, match=r"no connection after 3 attempts: .*; nothing was recorded"):
        audit.record(model, picture(2), "saliency", db=url)
    with pytest.raises(StorageError, match="postgresql://audit@/away"):
        audit.verify(url)
    own_server.start()
    assert (audit.verify(url).fault, audit.verify(url).records) == (None, 1)
    assert {
        r
        for (r,) in Store("postgresql", url, lambda: own_server.connect("away")).rows("SELECT record FROM audit_arrays")
    } == {1}


@pytest.mark.slow
def test_what_a_server_refuses_is_not_tried_again(own_server: Server, model: Any, picture: Any) -> None:
    start = time.monotonic()
    with pytest.raises(StorageError, match='database "gone" does not exist'):
        audit.record(model, picture(1), "saliency", db=own_server.url("gone"))
    assert time.monotonic() - start < sum(_store.PAUSES)
