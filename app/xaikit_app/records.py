"""The databases of audit records that an app shows: which there are, what is in them, and what stands in a record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xaikit import audit
from xaikit.audit import AuditRecord, Event
from xaikit.errors import MissingPackage, StorageError, UsageError
from xaikit.figures import number, seconds, spoken
from xaikit_app.settings import Settings

GIVEN, OWN = "given", "own"
MOST = 2000
"""So many records are listed, the newest."""
LONGEST = 300
"""Letters of a value that are shown of it."""


@dataclass(frozen=True)
class Database:
    """One database: what an address calls it, its URL, and what people call it."""

    id: str
    url: str
    title: str
    file: Path | None = None

    @property
    def name(self) -> str:
        """Its URL without the password, as jobs carry it: the work they ask for finds the rest."""
        return audit.without_password(self.url)

    @property
    def begun(self) -> bool:
        """Whether it can hold anything: a file is made with its first record."""
        return self.file is None or self.file.is_file()


def databases(settings: Settings, owner: str) -> dict[str, Database]:
    """Give the databases that a session may see: the one that the app was started with, and the session's own file."""
    own = settings.folder / "audit" / f"{owner}.db"
    found = {OWN: Database(OWN, f"sqlite:///{own.absolute()}", "This app's own file", own)}
    if settings.audit is None:
        return found
    made = Path(settings.audit.removeprefix(SQLITE)) if settings.audit.startswith(SQLITE) else None
    return {GIVEN: Database(GIVEN, settings.audit, "The database of this app", made), **found}


SQLITE = "sqlite:///"
"""How the URL of a file begins, which is made with the first record."""


def chosen(settings: Settings, owner: str, id: str | None) -> Database:
    """Give the database of an address, the first where it names none. Raises UsageError."""
    found = databases(settings, owner)
    if id and id not in found:
        raise UsageError("this link names a database that the app was not started with")
    return found[id] if id else next(iter(found.values()))


def prepared(db: Database) -> str:
    """Give the name of a database to write to; the folder of a file is made."""
    if db.file is not None:
        try:
            db.file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"no records can be kept in {db.file.parent}: {error.strerror or error}") from None
    return db.name


def ready() -> str | None:
    """Say what is missing for records to be kept, or None."""
    try:
        audit.database("sqlite:///none.db")
    except MissingPackage as error:
        return str(error)
    return None


def listed(db: Database) -> list[dict[str, Any]]:
    """List the newest records as rows, the last one first. Raises StorageError."""
    if not db.begun:
        return []
    rows: dict[int, dict[str, Any]] = {}
    for entry in audit.database(db.url).entries():
        columns = entry.columns
        if "kind" in columns:
            record = rows.get(columns["record"] or 0)
            if record is not None:
                record["events"] = ", ".join(filter(None, [record["events"], str(columns["kind"])]))
            continue
        rows[columns["id"]] = _row(columns)
        if len(rows) > MOST:
            del rows[next(iter(rows))]
    return list(rows.values())[::-1]


def _row(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": columns["id"],
        "created": str(columns["created"])[:19].replace("T", " "),
        "model": columns["model"],
        "method": spoken(columns["method"]),
        "target": columns["target_label"],
        "decision": columns.get("decision") or "",
        "status": columns["status"],
        "author": columns.get("author") or "",
        "input": "encrypted" if columns.get("sealed") else "hash only" if columns["x"] == "null" else "kept",
        "events": "",
    }


def facts_of(record: AuditRecord) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Give what a record says, in groups of names and values; what is not there is left out."""
    origin = record.origin
    groups: list[tuple[str, list[tuple[str, Any]]]] = [
        (
            "Decision",
            [
                ("explained for", record.target_label),
                ("the model decides", record.decision),
                ("decided in the end", record.taken),
                ("threshold", record.threshold),
                *((f"score of {name}", score) for name, score in list((record.scores or {}).items())[:10]),
                ("part of a person", record.involvement and audit.INVOLVEMENT.get(record.involvement)),
                ("made by", record.author),
                ("about or for", record.recipient),
                ("kept until", record.until),
            ],
        ),
        (
            "Question",
            [
                ("method", spoken(origin.method)),
                ("parameters", dict(origin.parameters) or None),
                ("score", origin.score),
                ("seed", origin.seed),
                ("layer", record.layer),
            ],
        ),
        (
            "Evidence",
            [
                ("verdict", "; ".join([str(record.status), *record.status.reasons])),
                *((name.replace("_", " "), value) for name, value in record.quality.items()),
                ("second method", record.second and spoken(record.second["method"])),
                ("its agreement", record.second and record.second.get("agreement")),
                *((f"no {MISSING.get(name, name.replace('_', ' '))}", why) for name, why in record.without.items()),
            ],
        ),
        (
            "Model",
            [
                ("model", origin.model),
                ("loaded from", record.source),
                ("framework", spoken(origin.framework)),
                ("fingerprint", origin.fingerprint),
                ("weights", origin.weights_id),
                ("device", origin.device),
                ("versions", dict(origin.versions)),
                ("system", record.system),
                ("time", seconds(origin.seconds)),
                ("model calls", f"{origin.model_calls:,}"),
            ],
        ),
        (
            "Place in the chain",
            [
                ("entry", record.id),
                ("created", record.created),
                ("input", PRIVACY[record.privacy]),
                ("hash of the input", origin.input_hash[0]),
                ("kind of that hash", record.input_hash_kind),
                ("hash", record.hash),
                ("hash of the entry before", record.previous),
            ],
        ),
    ]
    return [(title, [(name, said(value)) for name, value in own if value is not None]) for title, own in groups]


MISSING = {"second": "second method"}
"""Pieces of evidence that the record names by one word."""
PRIVACY = {
    "clear": "kept as it was",
    "hash": "only its hash was kept",
    "encrypted": "kept encrypted; the key is not here",
    "opened": "kept encrypted, opened with the key",
    "erased": "erased",
}
"""What became of the input."""


def said(value: Any) -> str:
    """Give a value in words, long ones cut."""
    if isinstance(value, Mapping):
        text = ", ".join(f"{name} {said(each)}" for name, each in value.items())
    elif isinstance(value, float):
        text = number(value, 6)
    elif isinstance(value, np.ndarray):
        text = f"array {value.shape}"
    elif isinstance(value, list | tuple):
        text = ", ".join(map(said, value))
    else:
        text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def told(events: Sequence[Event]) -> list[tuple[str, ...]]:
    """Give events as rows: number, time, kind, by whom, and what they say."""
    return [
        (
            str(event.id),
            event.created[:19].replace("T", " "),
            event.kind,
            event.author or "",
            said({name: value for name, value in event.content.items() if name != "letter" and value is not None}),
        )
        for event in events
    ]


__all__ = ["GIVEN", "OWN", "Database", "chosen", "databases", "facts_of", "listed", "prepared", "ready", "said", "told"]
