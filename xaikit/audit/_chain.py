"""The chain: what the hash of an entry covers, and how a later change is found.

An entry is a record (one explained prediction) or an event (a review of a record, an erasure). All entries are counted
together, from 1. The columns of an entry fall into groups. Each group, with the arrays that belong to it, has a digest;
the entry's hash covers all digests and the hash of the entry before it. So a change is found, and the digest says where
it is. The wrapped data key of an encrypted record lies in a table of its own, since it may be deleted; the record holds
the digest of the key, and an event must say that it was deleted.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from xaikit.audit._canonical import canonical, canonical_words, text_hash

Groups = Mapping[str, tuple[str, ...]]

FIRST: Groups = {
    "record": ("id", "schema", "created"),
    "model": ("source", "model", "framework", "fingerprint", "weights_id", "input_spec", "output_spec"),
    "input": ("input_hash", "x", "display"),
    "question": ("method", "parameters", "score", "target", "target_label", "seed"),
    "prediction": ("prediction",),
    "result": ("explanation", "quality", "status", "reasons", "notes"),
    "environment": ("device", "versions", "system", "seconds", "model_calls"),
}
ADDED: Groups = {
    "record": ("clock",),
    "model": ("card", "card_hash", "preprocessing"),
    "input": ("input_hash_kind", "sealed", "key_hash"),
    "prediction": ("scores", "decision", "threshold", "taken", "involvement"),
    "evidence": ("evidence", "second", "counterfactual"),
    "people": ("author", "recipient", "retention", "until"),
}
"""What schema 2 added to schema 1."""
SCHEMA = 2
GROUPS: Mapping[int, Groups] = {
    1: FIRST,
    2: {group: FIRST.get(group, ()) + ADDED.get(group, ()) for group in {**FIRST, **ADDED}},
}
"""The groups of columns of a record, by its schema."""
EVENT: Groups = {"record": ("id", "schema", "created", "clock"), "event": ("kind", "record", "author", "content")}
CHAIN = ("digests", "previous", "hash")
ARRAY = ("record", "name", "dtype", "shape", "sha256", "data")
"""The columns of an array; the first says to which record's digests the others go."""
KEY = ("record", "algorithm", "wrapped")
"""The columns of a data key, all of which the record's `key_hash` covers."""
START = "0" * 64
"""What the first entry names as the hash before it."""
COLUMNS = tuple(name for group in GROUPS[SCHEMA].values() for name in group)

Kind = Literal["changed", "missing", "inserted", "moved", "replaced", "truncated", "damaged"]
Columns = Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """The first thing that is wrong with a chain: at which entry, of what kind, in which groups of columns."""

    record: int | None
    kind: Kind
    groups: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class Verification:
    """What was found out about a chain.

    `entries` is the number of whole entries from the start, `records` how many of them are records and not events.
    `head` is the hash of the last of them: note it elsewhere (`anchor` does), since only a noted head shows that
    entries were cut off at the end, or all of them written anew. `noted` is the entry that a given head belongs to.
    `guarded` says whether the database itself still refuses changes.
    """

    entries: int
    records: int
    head: str
    fault: Fault | None
    noted: int | None
    guarded: bool

    @property
    def ok(self) -> bool:
        """Whether every entry is as it was written."""
        return self.fault is None


def sealed(columns: Columns, arrays: Iterable[Columns], previous: str) -> dict[str, Any]:
    """Add digests, the previous hash and the hash to the columns of a new entry."""
    digests = canonical(group_digests(columns, arrays))
    return {**columns, "digests": digests, "previous": previous, "hash": chained(digests, previous)}


def is_event(row: Columns) -> bool:
    """Whether an entry is an event and not a record."""
    return "kind" in row


def named(row: Columns) -> str:
    """Name an entry in a message."""
    return f"{'event' if is_event(row) else 'record'} {row['id']}"


def groups_of(row: Columns) -> Groups:
    """Give the groups of an entry's columns; those of the newest schema where its own is unknown."""
    if is_event(row):
        return EVENT
    schema = row["schema"]
    return GROUPS[schema if type(schema) is int and schema in GROUPS else SCHEMA]


def group_digests(columns: Columns, arrays: Iterable[Columns]) -> dict[str, str]:
    """Give the SHA-256 of each group: its columns, and its arrays in the order of their names."""
    groups, own = groups_of(columns), dict[str, list[Columns]]()
    for array in sorted(arrays, key=lambda a: str(a["name"])):
        own.setdefault(_group_of(array, groups), []).append(array)
    return {group: digest_of(names, columns, own.get(group, [])) for group, names in groups.items()}


def digest_of(names: Sequence[str], columns: Columns, arrays: Iterable[Columns]) -> str:
    """Give the SHA-256 of some columns, and of arrays in the order given."""
    own = [[_cell(a[c]) for c in ARRAY[1:]] for a in arrays]
    return text_hash(canonical_words({"columns": {n: _cell(columns[n]) for n in names}, "arrays": own}))


def _group_of(array: Columns, groups: Groups) -> str:
    """Name the group of an array by the column before the slash; what belongs to none counts as a result."""
    column = str(array["name"]).partition("/")[0]
    return next((group for group, names in groups.items() if column in names), "result")


def key_digest(key: Columns) -> str:
    """Give the SHA-256 of a wrapped data key, as the record holds it."""
    return text_hash(canonical_words([_cell(key[c]) for c in KEY[1:]]))


def _cell(value: Any) -> Any:
    """Give a value of a database as JSON types, each type apart: text, number, bytes, nothing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return {"bytes": hashlib.sha256(value).hexdigest()}
    return {"number": repr(value)}


def chained(digests: Any, previous: Any) -> str:
    """Give the hash of an entry: over its digests and the hash of the entry before it."""
    return text_hash(canonical_words({"digests": _cell(digests), "previous": _cell(previous)}))


def examine(row: Columns, arrays: list[Columns], place: int, previous: str) -> Fault | None:
    """Judge one entry that should be number `place` and follow the hash `previous`; None if all is well."""
    number = row["id"]
    if number > place:
        gone = f"entry {place} is" if number == place + 1 else f"entries {place} to {number - 1} are"
        return Fault(place, "missing", ("record",), f"{gone} missing: the next one is {number}")
    if number < place:
        return Fault(number, "inserted", ("record",), f"{named(row)} stands where none was written")
    return own_fault(row, arrays) or _link_fault(row, previous)


def own_fault(row: Columns, arrays: list[Columns]) -> Fault | None:
    """Judge an entry by itself: whether its columns and arrays fit its digests, and these its hash."""
    number, found = row["id"], group_digests(row, arrays)
    if chained(row["digests"], row["previous"]) == row["hash"]:
        stated = _stated(row["digests"])
        wrong = tuple(group for group in found if stated.get(group) != found[group]) or _beyond(row)
        if not wrong:
            return None
        origin = _origin(row, stated) if wrong == ("record",) else None
        if origin is not None:
            return Fault(number, "moved", wrong, f"{named(row)} was moved: it was written as entry {origin}")
        return Fault(number, "changed", wrong, f"{named(row)} was changed: {', '.join(wrong)}")
    column = _chain_column(row, found)
    return Fault(number, "changed", ("chain",), f"{named(row)} was changed: the chain itself ({column})")


def _beyond(row: Columns) -> tuple[str, ...]:
    """Name the groups in which an older record has something in columns that its schema did not have."""
    own = {name for names in groups_of(row).values() for name in names}
    wrong = {name for name in row if name not in own and name not in CHAIN and row[name] is not None}
    return tuple(group for group, names in GROUPS[SCHEMA].items() if wrong & set(names))


def _stated(digests: Any) -> Mapping[str, Any]:
    try:
        read = json.loads(digests)
    except (TypeError, ValueError, RecursionError):
        return {}
    return read if isinstance(read, Mapping) else {}


def _origin(row: Columns, stated: Mapping[str, Any], reach: int = 1000) -> int | None:
    """Find the number under which an entry was written, near the one that it has now."""
    near = range(max(1, row["id"] - reach), row["id"] + reach)
    names = groups_of(row)["record"]
    own = ({**row, "id": number} for number in near)
    return next((r["id"] for r in own if digest_of(names, r, []) == stated.get("record")), None)


def _chain_column(row: Columns, found: Mapping[str, str]) -> str:
    """Say which of digests, previous and hash no longer fits the other two, as far as it can be told."""
    if chained(canonical(found), row["previous"]) == row["hash"]:
        return "digests"
    return "previous or hash"


def _link_fault(row: Columns, previous: str) -> Fault | None:
    if row["previous"] == previous:
        return None
    number = row["id"]
    if number == 1:
        said = f"{named(row)} names an entry before it, so it was not written as the first"
        return Fault(1, "replaced", ("chain",), said)
    said = f"{named(row)} does not follow entry {number - 1}: one of them was replaced or inserted"
    return Fault(number, "replaced", ("chain",), said)


def key_fault(row: Columns, keys: Sequence[Columns], erased: bool) -> Fault | None:
    """Judge the data key of a record: it is the one that was written, or an event says that it was deleted."""
    number, stated = row["id"], None if is_event(row) else row.get("key_hash")
    if stated is None:
        if keys:
            return Fault(number, "inserted", ("input",), f"there is a data key of {named(row)}, which has none")
        return None
    if not keys:
        said = f"the data key of record {number} is gone, and no event says that it was erased"
        return None if erased else Fault(number, "missing", ("input",), said)
    if erased:
        return Fault(number, "inserted", ("input",), f"the data key of record {number} is back, though it was erased")
    if [key_digest(k) for k in keys] != [stated]:
        return Fault(number, "changed", ("input",), f"record {number} was changed: its data key")
    return None


def walk(
    entries: Iterable[tuple[Columns, list[Columns], list[Columns]]],
    erased: Collection[int] = (),
    heads: Collection[str] = (),
) -> tuple[Verification, dict[str, int]]:
    """Judge entries (columns, arrays, keys) one by one; the second gives the numbers of those with the given hashes."""
    count, records, previous, fault = 0, 0, START, None
    found = {START: 0} if START in heads else {}
    for row, arrays, keys in entries:
        fault = examine(row, arrays, count + 1, previous) or key_fault(row, keys, row["id"] in erased)
        if fault is not None:
            break
        count, records, previous = count + 1, records + (not is_event(row)), row["hash"]
        if previous in heads:
            found[previous] = count
    return Verification(count, records, previous, fault, None, guarded=False), found
