"""No record can be changed, removed, inserted or moved unseen: every column of every table, by raw SQL."""

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xaikit import audit
from xaikit.audit._chain import ARRAY, CHAIN, GROUPS
from xaikit.audit._store import NAMES, TRIGGERS
from xaikit.errors import StorageError

pytestmark = pytest.mark.slow

COLUMNS = [(column, group) for group, columns in GROUPS.items() for column in columns]


def spoil(db: Path, *statements: str, arguments: tuple[Any, ...] = ()) -> audit.Verification:
    """Change the database behind its triggers, and verify."""
    with sqlite3.connect(db) as raw:
        raw.execute("PRAGMA ignore_check_constraints = ON")
        for name in TRIGGERS:
            raw.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            assert raw.execute(statement, arguments).rowcount > 0
    raw.close()
    return audit.verify(f"sqlite:///{db}")


def content(db: Path) -> Any:
    raw = sqlite3.connect(db)
    tables = [raw.execute(f"SELECT * FROM {t} ORDER BY 1, 2").fetchall() for t in ("audit_records", "audit_arrays")]
    raw.close()
    return tables


def test_the_chain_covers_every_column(db: Path) -> None:
    raw = sqlite3.connect(db)
    found = {t: [c[1] for c in raw.execute(f"PRAGMA table_info({t})")] for t in ("audit_records", "audit_arrays")}
    tables = {t for (t,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    raw.close()
    assert found == {"audit_records": [*(c for c, _ in COLUMNS), *CHAIN], "audit_arrays": list(ARRAY)}
    assert tables == set(found)


def test_an_untouched_chain_is_whole(db: Path) -> None:
    found = audit.verify(f"sqlite:///{db}")
    assert (found.ok, found.records, found.guarded) == (True, 3, True)
    assert found.head == audit.read(f"sqlite:///{db}", 3).hash


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize(("column", "group"), COLUMNS[1:])
def test_a_changed_column_is_found_with_its_group(db: Path, column: str, group: str, number: int) -> None:
    new = f"UPDATE audit_records SET {column} = coalesce({column}, '') || '9' WHERE id = {number}"
    fault = spoil(db, new).fault
    assert fault is not None
    assert (fault.record, fault.kind, fault.groups) == (number, "changed", (group,))
    assert f"record {number} was changed: {group}" in fault.message


@pytest.mark.parametrize("column", [c for c, _ in COLUMNS[1:] if c not in ("source", "weights_id", "fingerprint")])
def test_a_text_that_becomes_bytes_or_nothing_is_found(db: Path, column: str) -> None:
    fault = spoil(db, f"UPDATE audit_records SET {column} = CAST({column} AS BLOB) WHERE id = 2").fault
    assert fault is not None
    assert (fault.record, fault.kind) == (2, "changed")


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("column", CHAIN)
def test_a_changed_link_is_found(db: Path, column: str, number: int) -> None:
    fault = spoil(db, f"UPDATE audit_records SET {column} = '{'1' * 64}' WHERE id = {number}").fault
    assert fault is not None
    assert (fault.record, fault.kind, fault.groups) == (number, "changed", ("chain",))


@pytest.mark.parametrize("column", ARRAY[1:])
@pytest.mark.parametrize(
    ("name", "group"),
    [("x/a0", "input"), ("parameters/a0", "question"), ("prediction/a0", "prediction"), ("explanation/a0", "result")],
)
def test_a_changed_array_is_found_with_its_group(db: Path, column: str, name: str, group: str) -> None:
    value = "CAST(data || x'00' AS BLOB)" if column == "data" else f"{column} || '0'"
    fault = spoil(db, f"UPDATE audit_arrays SET {column} = {value} WHERE record = 3 AND name = '{name}'").fault
    assert fault is not None
    assert (fault.record, fault.kind, fault.groups) == (3, "changed", (group,))


def test_an_array_that_changes_its_record_is_found(db: Path) -> None:
    fault = spoil(db, "UPDATE audit_arrays SET record = 2 WHERE record = 3 AND name = 'parameters/a0'").fault
    assert fault is not None
    assert (fault.record, fault.groups) == (2, ("question",))


def test_the_arrays_of_two_records_cannot_change_places(db: Path) -> None:
    moves = [(1, 99), (2, 1), (99, 2)]
    update = "UPDATE audit_arrays SET record = {} WHERE record = {} AND name LIKE 'prediction/%'"
    fault = spoil(db, *(update.format(new, old) for old, new in moves)).fault
    assert fault is not None
    assert (fault.record, fault.groups) == (1, ("prediction",))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_deleted_or_added_array_is_found(db: Path, number: int) -> None:
    fault = spoil(db, f"DELETE FROM audit_arrays WHERE record = {number} AND name = 'x/a0'").fault
    assert fault is not None
    assert (fault.record, fault.groups) == (number, ("input",))


@pytest.mark.parametrize(("record", "said"), [(2, "record 2 was changed: result"), (8, "arrays of a record 8")])
def test_an_added_array_is_found(db: Path, record: int, said: str) -> None:
    fault = spoil(db, f"INSERT INTO audit_arrays VALUES ({record}, 'other', '<f4', '[]', '', x'00')").fault
    assert fault is not None
    assert said in fault.message


@pytest.mark.parametrize("number", [1, 2])
def test_a_deleted_record_is_found(db: Path, number: int) -> None:
    deletions = [f"DELETE FROM audit_records WHERE id = {number}", f"DELETE FROM audit_arrays WHERE record = {number}"]
    fault = spoil(db, *deletions).fault
    assert fault is not None
    assert (fault.record, fault.kind) == (number, "missing")


def test_a_chain_cut_off_at_the_end_is_found_by_its_noted_head(db: Path) -> None:
    head = audit.verify(f"sqlite:///{db}").head
    deleted = spoil(db, "DELETE FROM audit_records WHERE id = 3", "DELETE FROM audit_arrays WHERE record = 3")
    assert (deleted.ok, deleted.records, deleted.guarded) == (True, 2, False)
    found = audit.verify(f"sqlite:///{db}", head=head)
    assert found.fault is not None
    assert (found.fault.record, found.fault.kind) == (3, "truncated")
    assert head in found.fault.message


def test_a_noted_head_inside_the_chain_is_named(db: Path) -> None:
    found = audit.verify(f"sqlite:///{db}", head=audit.read(f"sqlite:///{db}", 2).hash)
    assert (found.ok, found.noted, found.records) == (True, 2, 3)


def test_a_deleted_record_whose_number_is_taken_by_the_next_is_found(db: Path) -> None:
    close = ("DELETE FROM {} WHERE {} = 2", "UPDATE {} SET {} = 2 WHERE {} = 3")
    tables = (("audit_records", "id"), ("audit_arrays", "record"))
    fault = spoil(db, *(s.format(t, c, c) for t, c in tables for s in close)).fault
    assert fault is not None
    assert (fault.record, fault.kind) == (2, "moved")


def test_records_that_change_places_are_found(db: Path) -> None:
    moves = [(1, 99), (2, 1), (99, 2)]
    tables = (("audit_records", "id"), ("audit_arrays", "record"))
    fault = spoil(db, *(f"UPDATE {t} SET {c} = {new} WHERE {c} = {old}" for t, c in tables for old, new in moves)).fault
    assert fault is not None
    assert (fault.record, fault.kind) == (1, "moved")
    assert "written as record 2" in fault.message


@pytest.mark.parametrize("number", [0, -5])
def test_a_record_before_the_first_is_found(db: Path, number: int) -> None:
    copied = ", ".join(str(number) if c == "id" else c for c in NAMES)
    fault = spoil(db, f"INSERT INTO audit_records SELECT {copied} FROM audit_records WHERE id = 3").fault
    assert fault is not None
    assert (fault.record, fault.kind) == (number, "inserted")


def test_a_record_that_is_written_anew_breaks_the_link_to_the_next(db: Path, model: Any, picture: Any) -> None:
    """A forger with xaikit at hand makes a whole record; the one after it still names the old one."""
    forged = db.with_name("forged.db")
    shutil.copy(db, forged)
    delete = [f"DELETE FROM {t} WHERE {c} >= 2" for t, c in (("audit_records", "id"), ("audit_arrays", "record"))]
    spoil(forged, *delete)
    audit.record(model, picture(9), "saliency", db=f"sqlite:///{forged}")
    columns = ", ".join(NAMES)
    fault = spoil(
        db,
        "DELETE FROM audit_records WHERE id = 2",
        "DELETE FROM audit_arrays WHERE record = 2",
    ).fault
    assert fault is not None
    raw = sqlite3.connect(db)
    raw.execute("ATTACH ? AS forged", (str(forged),))
    raw.execute(f"INSERT INTO audit_records SELECT {columns} FROM forged.audit_records WHERE id = 2")
    raw.execute("INSERT INTO audit_arrays SELECT * FROM forged.audit_arrays WHERE record = 2")
    raw.commit()
    raw.close()
    found = audit.verify(f"sqlite:///{db}").fault
    assert found is not None
    assert (found.record, found.kind) == (3, "replaced")
    assert audit.verify(f"sqlite:///{forged}").ok


@pytest.mark.parametrize("table", ["audit_records", "audit_arrays"])
def test_an_added_column_is_found(db: Path, table: str) -> None:
    raw = sqlite3.connect(db)
    raw.execute(f"ALTER TABLE {table} ADD COLUMN approved TEXT DEFAULT 'yes'")
    raw.close()
    fault = audit.verify(f"sqlite:///{db}").fault
    assert fault is not None
    assert "unknown column 'approved'" in fault.message


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_records SET status = 'ok' WHERE id = 1",
        "DELETE FROM audit_records WHERE id = 3",
        "UPDATE audit_arrays SET data = x'' WHERE record = 1",
        "DELETE FROM audit_arrays WHERE record = 1",
        "INSERT INTO audit_arrays VALUES (1, 'other', '<f4', '[]', '', x'00')",
        "INSERT OR REPLACE INTO audit_arrays VALUES (1, 'x/a0', '<f4', '[]', '', x'00')",
        f"INSERT OR REPLACE INTO audit_records SELECT {', '.join(NAMES)} FROM audit_records WHERE id = 2",
        f"INSERT INTO audit_records SELECT {', '.join('4' if c == 'id' else c for c in NAMES)} FROM audit_records",
        f"INSERT INTO audit_records SELECT {', '.join('9' if c == 'id' else c for c in NAMES)} FROM audit_records",
    ],
)
def test_the_database_itself_refuses_changes(db: Path, statement: str) -> None:
    before = content(db)
    raw = sqlite3.connect(db)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        raw.execute(statement)
    raw.close()
    assert content(db) == before


def test_a_changed_record_is_not_read(db: Path) -> None:
    spoil(db, "UPDATE audit_records SET target_label = 'cat' WHERE id = 2")
    assert audit.read(f"sqlite:///{db}", 1).target_label == "X"
    with pytest.raises(StorageError, match="record 2 was changed: question"):
        audit.read(f"sqlite:///{db}", 2)


def test_a_flipped_byte_anywhere_is_found_or_harmless(db: Path) -> None:
    """A byte may lie in a counter or in unused space; then every record still reads as it was written."""
    whole, before = db.read_bytes(), content(db)
    found = 0
    for place in np.random.default_rng(0).integers(0, len(whole), 150):
        spoilt = bytearray(whole)
        spoilt[place] ^= 0xFF
        db.write_bytes(spoilt)
        try:
            ok = audit.verify(f"sqlite:///{db}").ok
        except StorageError:
            ok = False
        found += not ok
        assert not ok or content(db) == before, place
    assert found > 20
