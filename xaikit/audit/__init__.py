"""Audit: one explained prediction on record, in a chain of hashes that shows every later change, and its replay."""

from xaikit.audit._anchors import Anchor
from xaikit.audit._annex import explained
from xaikit.audit._bundle import Bundle, check_bundle, export
from xaikit.audit._chain import Fault, Verification
from xaikit.audit._events import VERDICTS, Event, anchor, append_event, erase, events, review
from xaikit.audit._keys import Key, key_of, new_key, new_signing_key
from xaikit.audit._letter import FORMATS, Letter, letter, note_letter
from xaikit.audit._record import AuditRecord
from xaikit.audit._recording import database, numbers, read, record, verify
from xaikit.audit._replaying import Replay, replay
from xaikit.audit._terms import INVOLVEMENT, RETENTION
from xaikit.audit._urls import without_password
from xaikit.audit._words import Words

__all__ = [
    "FORMATS",
    "INVOLVEMENT",
    "RETENTION",
    "VERDICTS",
    "Anchor",
    "AuditRecord",
    "Bundle",
    "Event",
    "Fault",
    "Key",
    "Letter",
    "Replay",
    "Verification",
    "Words",
    "anchor",
    "append_event",
    "check_bundle",
    "database",
    "erase",
    "events",
    "explained",
    "export",
    "key_of",
    "letter",
    "new_key",
    "new_signing_key",
    "note_letter",
    "numbers",
    "read",
    "record",
    "replay",
    "review",
    "verify",
    "without_password",
]
