"""Databases that somebody made to break the reader: they end in a clear verdict, and within bounded memory."""

import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.audit.conftest import Store, of_file
from xaikit import audit
from xaikit.audit import _places, _store
from xaikit.audit._canonical import canonical
from xaikit.audit._chain import CHAIN, START
from xaikit.errors import StorageError

pytestmark = pytest.mark.slow

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"


def untyped(store: Store, table: str) -> list[str]:
    """Statements that put the rows of a table into one that takes anything: no types, no keys, nothing required."""
    names = ", ".join(c[1] for c in store.rows(f"PRAGMA table_info({table})"))
    moved = [f"CREATE TABLE loose ({names})", f"INSERT INTO loose SELECT * FROM {table}"]
    return [*moved, f"DROP TABLE {table}", f"ALTER TABLE loose RENAME TO {table}"]


@pytest.mark.parametrize("value", ["NULL", "'x'", "x'33'", "2.5", "9e999"])
@pytest.mark.parametrize("table", ["audit_records.id", "audit_arrays.record", "audit_events.id", "audit_keys.record"])
def test_an_entry_whose_number_is_none_is_damage(sealed: Store, table: str, value: str) -> None:
    name, _, column = table.partition(".")
    last = f"(SELECT max(rowid) FROM {name})"
    fault = sealed.spoil(*untyped(sealed, name), f"UPDATE {name} SET {column} = {value} WHERE rowid = {last}").fault
    assert fault is not None
    assert fault.kind == "damaged"
    assert f"a row of {name} belongs to the entry" in fault.message
    if name == "audit_events":
        with pytest.raises(StorageError, match="which is no number"):
            audit.events(sealed.url)


@pytest.mark.parametrize("column", ["digests", "previous", "hash", "schema", "sealed", "key_hash"])
@pytest.mark.parametrize("value", ["2.5", "x'00'", "'['", "9e999"])
def test_a_value_of_any_type_is_judged(sealed: Store, column: str, value: str) -> None:
    changed = f"UPDATE audit_records SET {column} = {value} WHERE id = 2"
    fault = sealed.spoil(*untyped(sealed, "audit_records"), changed).fault
    assert fault is not None
    assert (fault.record, fault.kind) == (2, "changed")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("audit_records", "holds no audit records"),
        ("audit_events", "the data key of record 5 is gone, and no event"),
        ("audit_keys", "the data key of record 4 is gone, and no event"),
    ],
)
def test_a_view_is_no_table(sealed: Store, table: str, said: str) -> None:
    """One whose rows never end would otherwise never be read to its end."""
    view = f"CREATE VIEW {table} AS {ENDLESS} SELECT i AS id, i AS record, 'erasure' AS kind FROM n"
    sealed.run(f"ALTER TABLE {table} RENAME TO other", view)
    if table == "audit_records":
        with pytest.raises(StorageError, match=said):
            sealed.verify()
    else:
        fault = sealed.verify().fault
        assert fault is not None
        assert said in fault.message
    if table == "audit_events":
        assert audit.events(sealed.url) == []


def test_arrays_that_no_memory_would_hold_are_damage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_store, "MOST", 2**20)
    monkeypatch.setattr(_places, "MOST", 2**20)
    assert store.verify().ok
    one = "INSERT INTO audit_arrays SELECT 2, 'z{}', '<f4', '[]', '', {} FROM audit_arrays WHERE name = 'card/a0'"
    data = "zeroblob(300000)" if store.kind == "sqlite" else "convert_to(repeat('0', 300000), 'UTF8')"
    one += " AND record = 1"
    fault = store.spoil(*(one.format(n, data) for n in range(4))).fault
    assert fault is not None
    assert (fault.kind, "record 2 has more than the 1 MiB of arrays" in fault.message) == ("damaged", True)
    store.run("DELETE FROM audit_arrays WHERE record = 2", one.format(9, data.replace("300000", "3000000")))
    fault = store.verify().fault
    assert fault is not None
    assert (fault.kind, "too big" in fault.message or "has 2 MiB" in fault.message) == ("damaged", True)


def test_what_could_not_be_verified_is_not_written(sealed: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_store, "MOST", 2**20)
    columns, arrays = written(sealed.url)
    with pytest.raises(StorageError, match="the arrays of a record have 2 MiB, and at most 1 are kept"):
        audit.database(sealed.url).append(columns, [*arrays, {**arrays[0], "name": "x/z", "data": b"0" * 2**21}])
    assert sealed.verify().entries == 7


def written(url: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a writer has in hand of record 1 before it goes into the chain."""
    entry, drop = audit.database(url).entry(1), ("id", "created", "clock", *CHAIN)
    columns = {n: v for n, v in entry.columns.items() if n not in drop}
    return columns, [{n: v for n, v in a.items() if n != "record"} for a in entry.arrays]


@pytest.mark.parametrize(
    "told",
    [
        {"x": "[" * 100_000},
        {"x": '{"$": "array"}'},
        {"x": '{"$": "array", "name": "none"}'},
        {"explanation": "[]"},
        {"quality": '{"a": {}}'},
        {"seconds": "{"},
        {"input_spec": '{"kind": "none"}'},
        {"status": "fine"},
        {"evidence": "5"},
        {"scores": '{"names": ["a"], "values": 3}'},
        {"threshold": "much"},
    ],
)
def test_a_forged_record_whose_hashes_fit_is_not_read(sealed: Store, told: dict[str, str]) -> None:
    columns, arrays = written(sealed.url)
    forged = audit.database(sealed.url).append({**columns, **told}, arrays).columns["id"]
    assert sealed.verify().ok, "a forger with xaikit at hand makes a whole chain"
    with pytest.raises(StorageError, match="record 8 does not fit its schema"):
        audit.read(sealed.url, forged)


@pytest.mark.parametrize(
    "told",
    [
        {"shape": "[1000000000, 1000]"},
        {"shape": f"[{10**40}]"},
        {"shape": "[-1]"},
        {"shape": "[]"},
        {"dtype": "|O"},
        {"dtype": "none"},
        {"data": b"no zip"},
        {"data": zlib.compress(b"no array")},
    ],
)
def test_a_forged_array_is_not_unpacked(sealed: Store, told: dict[str, Any]) -> None:
    columns, arrays = written(sealed.url)
    bomb = {**arrays[0], "data": zlib.compress(bytes(2**24)), **told}
    audit.database(sealed.url).append(columns, [bomb, *arrays[1:]])
    assert sealed.verify().ok
    with pytest.raises(StorageError, match="record 8 does not fit its schema"):
        audit.read(sealed.url, 8)


@pytest.mark.parametrize("content", ["[" * 100_000, "{", "5", "null"])
def test_a_forged_event_is_not_read(sealed: Store, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setattr(_store, "canonical", lambda value: content if value == {} else canonical(value))
    with pytest.raises(StorageError, match="event 8 does not fit its schema"):
        audit.append_event(sealed.url, "letter", 1, content={})
    assert sealed.verify().ok
    with pytest.raises(StorageError, match="event 8 does not fit its schema"):
        audit.events(sealed.url)


def test_an_emptied_database_has_lost_what_was_anchored(sealed: Store, tmp_path: Path) -> None:
    audit.anchor(sealed.url, tmp_path / "anchors")
    found = sealed.spoil(*(f"DELETE FROM audit_{t}" for t in ("records", "arrays", "events", "keys")))
    assert (found.ok, found.entries, found.head) == (True, 0, START)
    fault = sealed.verify(anchors=tmp_path / "anchors").fault
    assert fault is not None
    assert (fault.record, fault.kind) == (1, "truncated")
    assert sealed.verify(head=START).noted == 0


@pytest.fixture
def sealed(seven: Path, tmp_path: Path) -> Store:
    """Seven entries in a file, whose triggers do not matter."""
    path = tmp_path / "audit.db"
    path.write_bytes(seven.read_bytes())
    return of_file(path)
