"""The chain: what a record's hash covers, and how a later change is found.

The columns of a record fall into groups. Each group, with the arrays that belong to it, has a digest; the record's
hash covers all digests and the hash of the record before it. So a change is found, and the digest says where it is.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from xaikit.audit._canonical import canonical, sha256

GROUPS: Mapping[str, tuple[str, ...]] = {
    "record": ("id", "schema", "created"),
    "model": ("source", "model", "framework", "fingerprint", "weights_id", "input_spec", "output_spec"),
    "input": ("input_hash", "x", "display"),
    "question": ("method", "parameters", "score", "target", "target_label", "seed"),
    "prediction": ("prediction",),
    "result": ("explanation", "quality", "status", "reasons", "notes"),
    "environment": ("device", "versions", "system", "seconds", "model_calls"),
}
CHAIN = ("digests", "previous", "hash")
ARRAY = ("record", "name", "dtype", "shape", "sha256", "data")
"""The columns of an array; the first says to which record's digests the others go."""
START = "0" * 64
"""What the first record names as the hash before it."""

Kind = Literal["changed", "missing", "inserted", "moved", "replaced", "truncated", "damaged"]
Columns = Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """The first thing that is wrong with a chain: at which record, of what kind, in which groups of columns."""

    record: int | None
    kind: Kind
    groups: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class Verification:
    """What was found out about a chain.

    `head` is the hash of the last record: note it elsewhere, since only a noted head shows that records were cut off
    at the end, or all of them written anew. `noted` is the record that a given head belongs to. `guarded` says whether
    the database itself still refuses changes.
    """

    records: int
    head: str
    fault: Fault | None
    noted: int | None
    guarded: bool

    @property
    def ok(self) -> bool:
        """Whether every record is as it was written."""
        return self.fault is None


def sealed(columns: Columns, arrays: Iterable[Columns], previous: str) -> dict[str, Any]:
    """Add digests, the previous hash and the hash to the columns of a new record."""
    digests = canonical(group_digests(columns, arrays))
    return {**columns, "digests": digests, "previous": previous, "hash": _hash(digests, previous)}


def group_digests(columns: Columns, arrays: Iterable[Columns]) -> dict[str, str]:
    """Give the SHA-256 of each group: its columns, and its arrays in the order of their names."""
    ordered = sorted(arrays, key=lambda a: str(a["name"]))
    return {group: _digest(group, columns, [a for a in ordered if _group_of(a) == group]) for group in GROUPS}


def _digest(group: str, columns: Columns, arrays: Iterable[Columns]) -> str:
    own = [[_cell(a[c]) for c in ARRAY[1:]] for a in arrays]
    return sha256({"columns": {n: _cell(columns[n]) for n in GROUPS[group]}, "arrays": own})


def _group_of(array: Columns) -> str:
    """Name the group of an array by the column before the slash; what belongs to none counts as a result."""
    column = str(array["name"]).partition("/")[0]
    return next((group for group, names in GROUPS.items() if column in names), "result")


def _cell(value: Any) -> Any:
    """Give a value of a database as JSON types, each type apart: text, number, bytes, nothing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return {"bytes": hashlib.sha256(value).hexdigest()}
    return {"number": repr(value)}


def _hash(digests: Any, previous: Any) -> str:
    return sha256({"digests": _cell(digests), "previous": _cell(previous)})


def examine(row: Columns, arrays: list[Columns], place: int, previous: str) -> Fault | None:
    """Judge one record that should be number `place` and follow the hash `previous`; None if all is well."""
    number = row["id"]
    if number > place:
        gone = f"record {place} is" if number == place + 1 else f"records {place} to {number - 1} are"
        return Fault(place, "missing", ("record",), f"{gone} missing: the next one is {number}")
    if number < place:
        return Fault(number, "inserted", ("record",), f"record {number} stands where none was written")
    return own_fault(row, arrays) or _link_fault(row, previous)


def own_fault(row: Columns, arrays: list[Columns]) -> Fault | None:
    """Judge a record by itself: whether its columns and arrays fit its digests, and these its hash."""
    number, found = row["id"], group_digests(row, arrays)
    if _hash(row["digests"], row["previous"]) == row["hash"]:
        stated = _stated(row["digests"])
        wrong = tuple(group for group in GROUPS if stated.get(group) != found[group])
        if not wrong:
            return None
        origin = _origin(row, stated) if wrong == ("record",) else None
        if origin is not None:
            return Fault(number, "moved", wrong, f"record {number} was moved: it was written as record {origin}")
        return Fault(number, "changed", wrong, f"record {number} was changed: {', '.join(wrong)}")
    column = _chain_column(row, found)
    return Fault(number, "changed", ("chain",), f"record {number} was changed: the chain itself ({column})")


def _stated(digests: Any) -> Mapping[str, Any]:
    try:
        read = json.loads(digests)
    except (TypeError, ValueError):
        return {}
    return read if isinstance(read, Mapping) else {}


def _origin(row: Columns, stated: Mapping[str, Any], reach: int = 1000) -> int | None:
    """Find the number under which a record was written, near the one that it has now."""
    near = range(max(1, row["id"] - reach), row["id"] + reach)
    own = ({**row, "id": number} for number in near)
    return next((r["id"] for r in own if _digest("record", r, []) == stated.get("record")), None)


def _chain_column(row: Columns, found: Mapping[str, str]) -> str:
    """Say which of digests, previous and hash no longer fits the other two, as far as it can be told."""
    if _hash(canonical(found), row["previous"]) == row["hash"]:
        return "digests"
    return "previous or hash"


def _link_fault(row: Columns, previous: str) -> Fault | None:
    if row["previous"] == previous:
        return None
    number = row["id"]
    if number == 1:
        return Fault(1, "replaced", ("chain",), "record 1 names a record before it, so it was not written as the first")
    said = f"record {number} does not follow record {number - 1}: one of them was replaced or inserted"
    return Fault(number, "replaced", ("chain",), said)
