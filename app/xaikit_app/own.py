"""What people gave: uploads, drawings, typed texts and rows, kept under ids that cannot be guessed."""

import json
import re
import secrets
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from xaikit.errors import InputError
from xaikit.storage import write_atomically
from xaikit_app.settings import Settings

ID = re.compile(r"own-[0-9a-f]{32}")
KEPT = 500
"""How many inputs are kept; the oldest give way."""


class Own:
    """A folder of arrays, texts and rows by id. An id in an address finds its input again while that is kept."""

    PREFIX: ClassVar[str] = "own-"

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings

    def put(self, value: Any) -> str:
        """Keep an array, a text or a row and give its id."""
        id = f"{self.PREFIX}{secrets.token_hex(16)}"
        array = isinstance(value, np.ndarray)
        said = {"array": value.tolist(), "dtype": value.dtype.str} if array else {"value": value}
        write_atomically(self.folder / f"{id}.json", json.dumps(said).encode())
        self._forget()
        return id

    def get(self, id: str) -> Any:
        """Give an input again. Raises InputError for one that is not kept, or no more."""
        path = self.folder / f"{id}.json"
        if not ID.fullmatch(id) or not path.is_file():
            raise InputError("this link names an upload or drawing that is not kept here any more; give it again")
        said = json.loads(path.read_text(encoding="utf-8"))
        return np.array(said["array"], said["dtype"]) if "array" in said else said["value"]

    def _forget(self) -> None:
        kept = sorted(self.folder.glob("own-*.json"), key=lambda p: p.stat().st_mtime_ns)
        for path in kept[: max(0, len(kept) - KEPT)]:
            path.unlink(missing_ok=True)
