"""Files that were made for somebody to take along: kept for a while under names that cannot be guessed."""

import json
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from xaikit.storage import write_atomically

TOKEN = re.compile(r"[0-9a-f]{32}")
KEPT = 200
"""How many files are kept; the oldest give way."""


@dataclass(frozen=True)
class Held:
    """A file: what it is called where it is saved, its type, and what it holds."""

    name: str
    kind: str
    data: bytes


class Shelf:
    """A folder of files by token, each for the session that it was made for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, owner: str, held: Held) -> str:
        """Keep a file and give its token."""
        token = secrets.token_hex(16)
        about = {"owner": owner, "name": held.name, "kind": held.kind}
        write_atomically(self.folder / f"{token}.bin", held.data)
        write_atomically(self.folder / f"{token}.json", json.dumps(about).encode())
        self._forget()
        return token

    def get(self, owner: str, token: str) -> Held | None:
        """Give a file again; None for one that is not kept, or is somebody else's."""
        if not TOKEN.fullmatch(token):
            return None
        try:
            about = json.loads((self.folder / f"{token}.json").read_text(encoding="utf-8"))
            data = (self.folder / f"{token}.bin").read_bytes()
        except OSError:
            return None
        return Held(about["name"], about["kind"], data) if about["owner"] == owner else None

    def _forget(self) -> None:
        kept = sorted(self.folder.glob("*.json"), key=lambda p: p.stat().st_mtime_ns)
        for path in kept[: max(0, len(kept) - KEPT)]:
            path.unlink(missing_ok=True)
            path.with_suffix(".bin").unlink(missing_ok=True)


__all__ = ["Held", "Shelf"]
