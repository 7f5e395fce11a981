"""No entry can be changed, removed, inserted or moved unseen: every column of every table, by raw SQL."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.audit.conftest import TABLES, Store, of_file
from xaikit import audit
from xaikit.audit._canonical import canonical, canonical_words
from xaikit.audit._chain import ARRAY, CHAIN, EVENT, GROUPS, KEY, SCHEMA, chained, group_digests
from xaikit.audit._store import EVENT_NAMES, NAMES, NUMBERS
from xaikit.errors import StorageError

pytestmark = pytest.mark.slow

COLUMNS = [(column, group) for group, columns in GROUPS[SCHEMA].items() for column in columns]
OF_EVENTS = [(column, group) for group, columns in EVENT.items() for column in columns]
MOVES = [(1, 99), (2, 1), (99, 2)]
RECORDS, ARRAYS = ("audit_records", "id"), ("audit_arrays", "record")


def more(column: str) -> str:
    """Another value for a column, of its own type."""
    return f"coalesce({column}, 0) + 1" if column in NUMBERS else f"coalesce({column}, '') || '9'"


def without(number: int) -> list[str]:
    return [f"DELETE FROM {table} WHERE {column} = {number}" for table, column in (RECORDS, ARRAYS)]


def test_the_chain_covers_every_column(store: Store) -> None:
    if store.kind == "sqlite":
        tables = {t for (t,) in store.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found = {t: [c[1] for c in store.rows(f"PRAGMA table_info({t})")] for t in tables}
    else:
        named = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        found = {}
        for table, column in store.rows(named + " ORDER BY ordinal_position"):
            found.setdefault(table, []).append(column)
    assert found == {
        "audit_records": [*(c for c, _ in COLUMNS), *CHAIN],
        "audit_arrays": list(ARRAY),
        "audit_events": [*(c for c, _ in OF_EVENTS), *CHAIN],
        "audit_keys": list(KEY),
    }
    assert set(found) == set(TABLES)


def test_an_untouched_chain_is_whole(store: Store) -> None:
    found = store.verify()
    assert (found.fault, found.entries, found.records, found.guarded) == (None, 7, 5, True)
    assert found.head == audit.events(store.url)[-1].hash


def test_records_of_the_first_schema_still_hold(tmp_path: Path) -> None:
    old = Path(__file__).with_name("schema_1.db")
    before = old.read_bytes()
    found = audit.verify(f"sqlite:///{old}")
    head = "2d644917cb44beb54051b365a5ed6a6b7322b72528ba7404750d65ee867d569c"
    assert (found.fault, found.records, found.head, found.guarded) == (None, 3, head, True)
    read = audit.read(f"sqlite:///{old}", 2)
    assert (read.schema, read.target_label, read.scores, read.decision, read.author) == (1, "O", None, None, None)
    assert (read.privacy, read.input_hash_kind, audit.events(f"sqlite:///{old}")) == ("clear", "sha256", [])
    assert old.read_bytes() == before


def test_a_database_of_the_first_schema_grows_on(tmp_path: Path, model: Any, picture: Any) -> None:
    path = tmp_path / "old.db"
    path.write_bytes(Path(__file__).with_name("schema_1.db").read_bytes())
    url = f"sqlite:///{path}"
    old = audit.read(url, 1)
    assert audit.replay(old, model).verdict == "equal"
    made = audit.record(model, picture(1), "saliency", db=url, author="Ada")
    audit.review(url, made.id, reviewer="Bob", verdict="approved")
    found = audit.verify(url)
    assert (found.fault, found.entries, found.records, found.guarded) == (None, 5, 4, True)
    fault = of_file(path).spoil("UPDATE audit_records SET decision = 'X' WHERE id = 2").fault
    assert fault is not None
    assert (fault.record, fault.kind, fault.groups) == (2, "changed", ("prediction",))


@pytest.mark.parametrize(("column", "group"), COLUMNS[1:])
def test_a_changed_column_is_found_with_its_group(store: Store, column: str, group: str) -> None:
    fault = store.spoil(f"UPDATE audit_records SET {column} = {more(column)} WHERE id = 2").fault
    assert fault is not None
    assert (fault.record, fault.kind, fault.groups) == (2, "changed", (group,))
    assert f"record 2 was changed: {group}" in fault.message


@pytest.mark.parametrize("number", [1, 3, 4, 5])
@pytest.mark.parametrize(("column", "group"), [("target", "question"), ("card", "model"), ("until", "people")])
def test_it_is_found_in_every_record(store: Store, column: str, group: str, number: int) -> None:
    fault = store.spoil(f"UPDATE audit_records SET {column} = {more(column)} WHERE id = {number}").fault
    assert fault is not None
    assert (fault.record, fault.kind, fault.groups) == (number, "changed", (group,))


@pytest.mark.parametrize("number", [6, 7])
@pytest.mark.parametrize(("column", "group"), OF_EVENTS[1:])
def test_a_changed_event_is_found(store: Store, column: str, group: str, number: int) -> None:
    changed = store.spoil(f"UPDATE audit_events SET {column} = {more(column)} WHERE id = {number}").fault
    assert changed is not None
    if number == 7 and column in ("kind", "record"):  # then nothing says any more that the key of record 5 was erased
        assert (changed.record, changed.kind, changed.groups) == (5, "missing", ("input",))
    else:
        assert (changed.record, changed.kind, changed.groups) == (number, "changed", (group,))
        assert f"event {number} was changed" in changed.message


@pytest.mark.parametrize("column", [c for c, _ in COLUMNS[1:] if c not in NUMBERS])
def test_a_text_that_becomes_bytes_is_found(db: Path, column: str) -> None:
    """SQLite holds bytes in a column of text."""
    changed = f"UPDATE audit_records SET {column} = CAST(coalesce({column}, '') AS BLOB) WHERE id = 2"
    fault = of_file(db).spoil(changed).fault
    assert fault is not None
    assert (fault.record, fault.kind) == (2, "changed")


@pytest.mark.parametrize(("table", "number"), [("audit_records", 1), ("audit_records", 5), ("audit_events", 7)])
@pytest.mark.parametrize("column", CHAIN)
def test_a_changed_link_is_found(store: Store, column: str, table: str, number: int) -> None:
    fault = store.spoil(f"UPDATE {table} SET {column} = '{'1' * 64}' WHERE id = {number}").fault
    assert fault is not None
    assert (fault.record, fault.kind, fault.groups) == (number, "changed", ("chain",))


@pytest.mark.parametrize("column", ARRAY[1:])
@pytest.mark.parametrize(
    ("number", "name", "group"),
    [
        (3, "x/a0", "input"),
        (3, "parameters/a0", "question"),
        (3, "prediction/a0", "prediction"),
        (3, "explanation/a0", "result"),
        (1, "card/a0", "model"),
        (4, "sealed/private", "input"),
    ],
)
def test_a_changed_array_is_found_with_its_group(store: Store, column: str, number: int, name: str, group: str) -> None:
    value = f"data || {store.bytes(0)}" if column == "data" else f"{column} || '0'"
    if column == "data" and store.kind == "sqlite":
        value = f"CAST({value} AS BLOB)"
    fault = store.spoil(f"UPDATE audit_arrays SET {column} = {value} WHERE record = {number} AND name = '{name}'").fault
    assert fault is not None
    assert (fault.record, fault.kind) == (number, "changed")
    assert group in fault.groups


def test_an_array_that_changes_its_record_is_found(store: Store) -> None:
    fault = store.spoil("UPDATE audit_arrays SET record = 2 WHERE record = 3 AND name = 'parameters/a0'").fault
    assert fault is not None
    assert (fault.record, fault.groups) == (2, ("question",))


def test_the_arrays_of_two_records_cannot_change_places(store: Store) -> None:
    update = "UPDATE audit_arrays SET record = {} WHERE record = {} AND name LIKE 'prediction/%'"
    fault = store.spoil(*(update.format(new, old) for old, new in MOVES)).fault
    assert fault is not None
    assert (fault.record, fault.groups) == (1, ("prediction",))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_deleted_array_is_found(store: Store, number: int) -> None:
    fault = store.spoil(f"DELETE FROM audit_arrays WHERE record = {number} AND name = 'x/a0'").fault
    assert fault is not None
    assert (fault.record, fault.groups) == (number, ("input",))


@pytest.mark.parametrize(
    ("record", "said"),
    [(2, "record 2 was changed: result"), (8, "arrays of a record 8"), (0, "arrays of a record 0")],
)
def test_an_added_array_is_found(store: Store, record: int, said: str) -> None:
    values = f"({record}, 'other', '<f4', '[]', '', {store.bytes(0)})"
    fault = store.spoil(f"INSERT INTO audit_arrays VALUES {values}").fault
    assert fault is not None
    assert said in fault.message


def test_a_changed_key_is_found(store: Store) -> None:
    for changed in (f"wrapped = {store.bytes(1, 2)}", "algorithm = 'none'"):
        fault = store.spoil(f"UPDATE audit_keys SET {changed} WHERE record = 4").fault
        assert fault is not None
        assert (fault.record, fault.kind, fault.groups) == (4, "changed", ("input",))
        assert "its data key" in fault.message


def test_a_key_deleted_without_an_event_is_found(store: Store) -> None:
    fault = store.spoil("DELETE FROM audit_keys WHERE record = 4").fault
    assert fault is not None
    assert (fault.record, fault.kind) == (4, "missing")
    assert "no event says that it was erased" in fault.message


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (5, "the data key of record 5 is back, though it was erased"),
        (1, "there is a data key of record 1, which has none"),
        (6, "there is a data key of event 6, which has none"),
        (9, "there is a data key of a record 9, which does not exist"),
    ],
)
def test_an_added_key_is_found(store: Store, record: int, said: str) -> None:
    fault = store.spoil(f"UPDATE audit_keys SET record = {record} WHERE record = 4").fault
    if record == 9:  # the one that is missing comes first
        assert fault is not None
        assert fault.record == 4
        store.run(f"INSERT INTO audit_keys SELECT 4, algorithm, wrapped FROM audit_keys WHERE record = {record}")
        fault = store.verify().fault
    assert fault is not None
    if record == 5 or record == 6:
        assert fault.message.startswith("the data key of record 4 is gone")
        store.run(f"INSERT INTO audit_keys SELECT 4, algorithm, wrapped FROM audit_keys WHERE record = {record}")
        fault = store.verify().fault
        assert fault is not None
    assert said in fault.message


@pytest.mark.parametrize("number", [1, 2])
def test_a_deleted_record_is_found(store: Store, number: int) -> None:
    fault = store.spoil(*without(number)).fault
    assert fault is not None
    assert (fault.record, fault.kind) == (number, "missing")


def test_a_deleted_event_is_found(store: Store) -> None:
    fault = store.spoil("DELETE FROM audit_events WHERE id = 6").fault
    assert fault is not None
    assert (fault.record, fault.kind) == (6, "missing")


def test_a_chain_cut_off_at_the_end_is_found_by_its_noted_head(store: Store) -> None:
    review = audit.events(store.url, 1)[0]
    head = audit.review(store.url, 1, reviewer="Cleo", verdict="rejected").hash
    cut = store.spoil("DELETE FROM audit_events WHERE id = 8")
    assert (cut.ok, cut.entries, cut.guarded) == (True, 7, False)
    found = store.verify(head=head)
    assert found.fault is not None
    assert (found.fault.record, found.fault.kind) == (8, "truncated")
    assert head in found.fault.message
    assert store.verify(head=review.hash).noted == 6


def test_a_noted_head_inside_the_chain_is_named(store: Store) -> None:
    found = store.verify(head=audit.read(store.url, 2).hash)
    assert (found.ok, found.noted, found.records) == (True, 2, 5)


def test_a_deleted_record_whose_number_is_taken_by_the_next_is_found(store: Store) -> None:
    close = ("DELETE FROM {} WHERE {} = 2", "UPDATE {} SET {} = 2 WHERE {} = 3")
    fault = store.spoil(*(s.format(t, c, c) for t, c in (RECORDS, ARRAYS) for s in close)).fault
    assert fault is not None
    assert (fault.record, fault.kind) == (2, "moved")


def test_records_that_change_places_are_found(store: Store) -> None:
    update = "UPDATE {} SET {} = {} WHERE {} = {}"
    moved = (update.format(t, c, new, c, old) for t, c in (RECORDS, ARRAYS) for old, new in MOVES)
    fault = store.spoil(*moved).fault
    assert fault is not None
    assert (fault.record, fault.kind) == (1, "moved")
    assert "written as entry 2" in fault.message


@pytest.mark.parametrize("number", [0, -5])
def test_a_record_before_the_first_is_found(store: Store, number: int) -> None:
    copied = ", ".join(str(number) if c == "id" else c for c in NAMES)
    names = ", ".join(NAMES)
    fault = store.spoil(f"INSERT INTO audit_records ({names}) SELECT {copied} FROM audit_records WHERE id = 3").fault
    assert fault is not None
    assert (fault.record, fault.kind) == (number, "inserted")


def test_an_event_with_the_number_of_a_record_is_found(store: Store) -> None:
    copied, names = (", ".join(n) for n in (["3" if c == "id" else c for c in EVENT_NAMES], EVENT_NAMES))
    fault = store.spoil(f"INSERT INTO audit_events ({names}) SELECT {copied} FROM audit_events WHERE id = 6").fault
    assert fault is not None
    assert (fault.record, fault.kind) == (3, "inserted")


def test_a_record_that_is_written_anew_breaks_the_link_to_the_next(store: Store, model: Any, picture: Any) -> None:
    """A forger with xaikit at hand makes a whole record; the one after it still names the old one."""
    store.run("UPDATE audit_records SET previous = hash, hash = previous WHERE id = 2")
    row = dict(zip(NAMES, store.rows(f"SELECT {', '.join(NAMES)} FROM audit_records WHERE id = 2")[0], strict=True))
    columns = store.rows(f"SELECT {', '.join(ARRAY)} FROM audit_arrays WHERE record = 2")
    arrays = [dict(zip(ARRAY, a, strict=True)) for a in columns]
    digests = canonical(group_digests({**row, "target_label": "cat"}, arrays))
    previous = store.rows("SELECT hash FROM audit_records WHERE id = 1")[0][0]
    hash_ = chained(digests, previous)
    fault = store.spoil(
        f"UPDATE audit_records SET target_label = 'cat', digests = '{digests}', previous = '{previous}', "
        f"hash = '{hash_}' WHERE id = 2"
    ).fault
    assert audit.read(store.url, 2).target_label == "cat", "the forgery is no whole record"
    assert fault is not None
    assert (fault.record, fault.kind) == (3, "replaced")


@pytest.mark.parametrize("table", TABLES)
def test_an_added_column_is_found(store: Store, table: str) -> None:
    store.run(f"ALTER TABLE {table} ADD COLUMN approved TEXT DEFAULT 'yes'", guarded=True)
    fault = store.verify().fault
    assert fault is not None
    assert "unknown column 'approved'" in fault.message


OTHERS = {c: ", ".join(c if n == "id" else n for n in NAMES) for c in ("3", "8", "9")}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_records SET status = 'ok' WHERE id = 1",
        "DELETE FROM audit_records WHERE id = 3",
        "UPDATE audit_arrays SET name = 'y' WHERE record = 1",
        "DELETE FROM audit_arrays WHERE record = 1",
        "UPDATE audit_events SET author = 'Eve'",
        "DELETE FROM audit_events",
        "UPDATE audit_keys SET algorithm = ''",
        "DELETE FROM audit_keys WHERE record = 4",
        "INSERT INTO audit_arrays VALUES (1, 'other', '<f4', '[]', '', {byte})",
        "INSERT INTO audit_keys VALUES (5, 'none', {byte})",
        *(
            f"INSERT INTO audit_records ({', '.join(NAMES)}) SELECT {own} FROM audit_records WHERE id = 2"
            for own in OTHERS.values()
        ),
    ],
)
def test_the_database_itself_refuses_changes(store: Store, statement: str) -> None:
    before = store.content()
    with pytest.raises(Exception, match="append-only"):
        store.run(statement.replace("{byte}", store.bytes(0)), guarded=True)
    assert store.content() == before


def test_each_kind_refuses_its_own_ways_around(store: Store) -> None:
    ways = [f"TRUNCATE {table} CASCADE" for table in TABLES]
    if store.kind == "sqlite":
        ways = [
            "INSERT OR REPLACE INTO audit_arrays VALUES (1, 'x/a0', '<f4', '[]', '', x'00')",
            f"INSERT OR REPLACE INTO audit_records SELECT {', '.join(NAMES)} FROM audit_records WHERE id = 2",
            "INSERT OR REPLACE INTO audit_keys VALUES (4, 'none', x'00')",
        ]
    before = store.content()
    for way in ways:
        with pytest.raises(Exception, match="append-only"):
            store.run(way, guarded=True)
    assert store.content() == before


def test_a_weakened_guard_is_told(store: Store) -> None:
    if store.kind == "sqlite":
        weak = ["DROP TRIGGER audit_events_no_delete"]
        weak += ["CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events BEGIN SELECT 1; END"]
    else:
        weak = ["CREATE OR REPLACE FUNCTION audit_events_no_delete() RETURNS trigger LANGUAGE plpgsql"]
        weak[0] += " AS $$ BEGIN RETURN OLD; END $$"
    store.run(*weak, guarded=True)
    assert (store.verify().ok, store.verify().guarded) == (True, False)
    audit.review(store.url, 1, reviewer="Cleo", verdict="approved")
    assert store.verify().guarded, "the next writer makes it anew"


def test_a_changed_record_is_not_read(store: Store) -> None:
    store.spoil("UPDATE audit_records SET target_label = 'cat' WHERE id = 2")
    assert audit.read(store.url, 1).target_label == "X"
    with pytest.raises(StorageError, match="record 2 was changed: question"):
        audit.read(store.url, 2)
    store.spoil("UPDATE audit_events SET author = 'Eve' WHERE id = 6")
    with pytest.raises(StorageError, match="event 6 was changed: event"):
        audit.events(store.url, 1)


def test_the_quick_way_to_canonical_json_is_the_same() -> None:
    words = {"b": ["é\n\u0007", None, {"€": '"\\', "ö": "😀\x7f\u2028"}], "a": {}, "": []}
    assert canonical_words(words) == canonical(words)
    rng = np.random.default_rng(0)
    for _ in range(200):
        text = "".join(map(chr, rng.integers(0, 0xD800, 20)))
        assert canonical_words({"text": [text]}) == canonical({"text": [text]})
