"""Events: what happened to a record after it was written, appended to the same chain: reviews, erasures, and more.

A record is never changed. That another person looked at it, that its private part was erased, that a letter was sent:
each is an entry of its own that names the record.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xaikit.audit._anchors import Anchor, add_line, new_anchor
from xaikit.audit._recording import database, verify
from xaikit.audit._terms import require_words
from xaikit.errors import ParameterError, StorageError, UnknownName, UsageError, nearest

VERDICTS = ("approved", "rejected", "questioned")
ERASURE = "erasure"


@dataclass(frozen=True)
class Event:
    """One event on record: its number in the chain, its kind, about which record, by whom, and what it says."""

    id: int
    created: str
    kind: str
    record: int | None
    author: str | None
    content: Mapping[str, Any]
    hash: str


def _event(columns: Mapping[str, Any]) -> Event:
    told = {n: columns[n] for n in ("id", "created", "kind", "record", "author", "hash")}
    try:
        return Event(**told, content=dict(json.loads(columns["content"])))
    except (TypeError, ValueError, RecursionError) as error:
        raise StorageError(f"event {columns['id']} does not fit its schema: {error!r}") from None


def events(db: str, record: int | None = None) -> list[Event]:
    """List the events about a record, or all, in their order. Raises StorageError for one that was changed."""
    return [_event(entry.columns) for entry in database(db).events(record)]


def append_event(
    db: str, kind: str, record: int | None = None, *, author: str | None = None, content: Mapping[str, Any]
) -> Event:
    """Write an event at the end of the chain, and give it. `content` holds text, numbers, lists and objects.

    Raises UnknownName for a record that is not there, ParameterError for content that JSON cannot hold.
    """
    store = database(db)
    if record is not None and record not in store.numbers():
        raise UnknownName("audit record", record, store.numbers())
    if kind == ERASURE:
        raise UsageError("an erasure is no event to add: `xk.audit.erase` makes it, and puts it on record")
    try:
        return _event(store.append_event(kind, record, author, content).columns)
    except ValueError as error:
        raise ParameterError(f"the event cannot be put on record: {error}") from None


def review(db: str, number: int, *, reviewer: str, verdict: str, comment: str = "", author: str | None = None) -> Event:
    """Put on record that another person than its author looked at a record, and what they found.

    `verdict` is "approved", "rejected" or "questioned". `author` says who made a record that names nobody itself, as
    those of schema 1; the review then tells so. Raises UnknownName; ParameterError for the author as reviewer, for
    another author than the record names, and where nobody is named; StorageError for a record that was changed.
    """
    require_words("reviewer", reviewer)
    require_words("author", author, may_be_none=True)
    if verdict not in VERDICTS:
        hint = nearest(str(verdict), VERDICTS)
        raise ParameterError(f"a verdict is one of {', '.join(VERDICTS)}, not {verdict!r}{hint}")
    columns = _record_columns(db, number)
    named = columns.get("author")
    if named is None and author is None:
        raise ParameterError(f"record {number} names no author, who must be another person: name who made it, author")
    if named is not None and author is not None and not _same(named, author):
        raise ParameterError(f"record {number} is by {named}, not by {author}")
    made_by = author if named is None else named
    if _same(str(made_by), reviewer):
        raise ParameterError(f"record {number} is by {made_by}: another person reviews it")
    content = {"verdict": verdict, "comment": comment, "reviewed": columns["hash"]}
    if named is None:
        content["author"] = str(made_by)
    return append_event(db, "review", number, author=reviewer, content=content)


def erase(db: str, number: int, *, author: str, reason: str) -> Event:
    """Delete the data key of a record, so that nobody can read its private part again, and put that on record.

    The input, the recipient and the counterfactual are gone; the rest of the record, and the chain, stay whole. Raises
    UnknownName; UsageError for a record that is not encrypted, whose private part lies open for good, or erased before.
    """
    require_words("author", author)
    require_words("reason", reason)
    columns = _record_columns(db, number)
    if columns.get("key_hash") is None:
        kept = "keeps no input" if columns["x"] == "null" else "was not encrypted, so what it says cannot be taken back"
        raise UsageError(f"record {number} {kept}: there is no data key to erase")
    if any(e.kind == ERASURE for e in events(db, number)):
        raise UsageError(f"record {number} was erased before")
    content = {"reason": reason, "key_hash": columns["key_hash"]}
    return _event(database(db).append_event(ERASURE, number, author, content, erase=True).columns)


def anchor(
    db: str, path: str | os.PathLike[str] | None = None, *, sign_key: str | os.PathLike[str] | None = None
) -> Anchor:
    """Verify the chain, note its head, in a new line of the file `path` if one is named, and give the anchor.

    `sign_key` is the file of an Ed25519 key (`xaikit audit new-key FILE --signing`). Keep the file where those who can
    write to the database cannot. Raises StorageError for a chain that does not hold, since no head of it is worth
    noting, and for one that no longer has the heads noted in the file.
    """
    known = path if path is not None and os.path.exists(path) else None
    found = verify(db, anchors=known)
    if found.fault is not None:
        raise StorageError(f"the chain does not hold: {found.fault.message}")
    made = new_anchor(found.entries, found.head, sign_key)
    if path is not None:
        add_line(path, made)
    return made


def _record_columns(db: str, number: int) -> Mapping[str, Any]:
    columns = database(db).entry(number).columns
    if "kind" in columns:
        raise UsageError(f"entry {number} is an event: {columns['kind']}, not a record")
    return columns


def _same(one: str, other: str) -> bool:
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()
