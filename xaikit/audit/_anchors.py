"""Anchors: the head of the chain noted in a file outside the database, one line for each time, signed where asked.

Whoever can write to the database can cut off its end or write all of it anew, with hashes that fit; they cannot change
a file that lies elsewhere, nor sign.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xaikit.audit._canonical import canonical, now
from xaikit.audit._keys import is_signed, signature
from xaikit.errors import StorageError, UsageError, not_there

WORDS = ("entries", "head", "created")


@dataclass(frozen=True)
class Anchor:
    """The head of a chain at a time: after how many entries, which hash; signature and public key in hex digits."""

    entries: int
    head: str
    created: str
    signature: str | None = None
    public_key: str | None = None

    @property
    def text(self) -> str:
        """What is signed: canonical JSON of the number of entries, the head and the time."""
        return canonical({n: getattr(self, n) for n in WORDS})

    @property
    def line(self) -> str:
        """The anchor as one line of a file."""
        signed = {n: v for n in ("signature", "public_key") if (v := getattr(self, n)) is not None}
        return canonical({**json.loads(self.text), **signed})


def new_anchor(entries: int, head: str, sign_key: str | os.PathLike[str] | None) -> Anchor:
    """Note a head now, signed by the Ed25519 key in a file where one is named."""
    anchor = Anchor(entries, head, now())
    signed: Mapping[str, str] = {} if sign_key is None else signature(sign_key, anchor.text)
    return Anchor(anchor.entries, anchor.head, anchor.created, **signed)


def add_line(path: str | os.PathLike[str], anchor: Anchor) -> None:
    """Add an anchor to a file of them. Raises StorageError."""
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(anchor.line + "\n")
    except OSError as error:
        raise StorageError(f"the anchor cannot be written to {path}: {error.strerror}") from None


def anchored(path: str | os.PathLike[str] | None, public_key: str | os.PathLike[str] | None) -> dict[int, str]:
    """Read a file of anchors: the heads by the number of entries. Raises StorageError for one that does not hold."""
    if path is None:
        if public_key is not None:
            raise UsageError("a public key checks the signatures of anchors: name their file too")
        return {}
    found: dict[int, str] = {}
    for place, line in enumerate(_lines(Path(path)), start=1):
        anchor = _parsed(line, f"{path}, line {place}")
        if public_key is not None and not is_signed(public_key, anchor.text, anchor.signature):
            raise StorageError(f"{path}, line {place}: not signed by the key in {public_key}, or changed since")
        if found.setdefault(anchor.entries, anchor.head) != anchor.head:
            raise StorageError(f"{path}, line {place}: another head for entry {anchor.entries} than in a line before")
    if not found:
        raise StorageError(f"{path} holds no anchors: `xaikit audit anchor FILE` notes one")
    return found


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise StorageError(not_there(path, "file of anchors")) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"the anchors in {path} cannot be read: {error}") from None


def _parsed(line: str, where: str) -> Anchor:
    try:
        read: Any = json.loads(line)
        anchor = Anchor(**read)
        if type(anchor.entries) is int and isinstance(anchor.head, str) and isinstance(anchor.created, str):
            return anchor
    except (TypeError, ValueError):
        pass
    raise StorageError(f"{where}: no anchor, which has {', '.join(WORDS)}")
