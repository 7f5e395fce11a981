"""Audit: one explained prediction on record, in a chain of hashes that shows every later change, and its replay."""

from xaikit.audit._chain import Fault, Verification
from xaikit.audit._record import AuditRecord
from xaikit.audit._recording import numbers, read, record, verify
from xaikit.audit._replaying import Replay, replay

__all__ = ["AuditRecord", "Fault", "Replay", "Verification", "numbers", "read", "record", "replay", "verify"]
