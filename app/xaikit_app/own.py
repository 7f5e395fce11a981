"""What people gave, kept for their session under ids that cannot be guessed: uploads, drawings, texts and rows."""

import json
import os
import re
import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from xaikit.errors import InputError
from xaikit.storage import write_atomically
from xaikit_app import sessions
from xaikit_app.settings import MIB, Settings

ID = re.compile(r"own-[0-9a-f]{32}")
DAY = 86_400


class Own:
    """A folder of arrays, texts and rows by id, one folder in it for each session.

    An id in an address finds its input again for the session that gave it, `keep_days` after its last use; where there
    is more than may be kept, what was unused for longest gives way.
    """

    PREFIX: ClassVar[str] = "own-"

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings

    def put(self, value: Any, session: str | None = None) -> str:
        """Keep an array, a text or a row for a session (None: the present one) and give its id.

        Raises InputError for more than a session may keep at all.
        """
        id = f"{self.PREFIX}{secrets.token_hex(16)}"
        array = isinstance(value, np.ndarray)
        said = {"array": value.tolist(), "dtype": value.dtype.str} if array else {"value": value}
        data = json.dumps(said).encode()
        if len(data) > self.settings.max_session_bytes:
            size, most = len(data) / MIB, self.settings.max_session_mb
            raise InputError(f"this input takes {size:.1f} MiB as it is kept; {most:g} MiB is the most for one person")
        path = self._place(id, session)
        write_atomically(path, data)
        self._forget(path)
        return id

    def get(self, id: str, session: str | None = None) -> Any:
        """Give an input of a session again. Raises InputError for one that is not kept, not any more, or not its own.

        The words are the same for all three, so that nobody learns what others gave.
        """
        path = self._place(id, session)
        if not ID.fullmatch(id) or _used(path) < self._oldest():
            raise InputError("this link names an upload or drawing that is not kept here any more; give it again")
        os.utime(path)
        said = json.loads(path.read_text(encoding="utf-8"))
        return np.array(said["array"], said["dtype"]) if "array" in said else said["value"]

    def _place(self, id: str, session: str | None) -> Path:
        return self.folder / (session or sessions.current()) / f"{id}.json"

    def _oldest(self) -> float:
        return time.time() - self.settings.keep_days * DAY

    def _forget(self, new: Path) -> None:
        """Remove what is too old, then what the session and all sessions together have too much of."""
        kept = sorted((self.folder.glob("*/own-*.json")), key=_used)
        gone = {path for path in kept if _used(path) < self._oldest()}
        left = [path for path in kept if path not in gone and path != new]
        gone |= set(_surplus([p for p in left if p.parent == new.parent], new, self.settings.max_session_bytes))
        gone |= set(_surplus([p for p in left if p not in gone], new, self.settings.max_kept_bytes))
        for path in gone - {new}:
            path.unlink(missing_ok=True)


def _surplus(oldest_first: list[Path], new: Path, most: int) -> Iterable[Path]:
    """Give the files that have to go so that all of them take no more than so many bytes."""
    taken = _size(new) + sum(map(_size, oldest_first))
    for path in oldest_first:
        if taken <= most:
            return
        taken -= _size(path)
        yield path


def _used(path: Path) -> float:
    return float(_stat(path, "st_mtime"))


def _size(path: Path) -> int:
    return int(_stat(path, "st_size"))


def _stat(path: Path, field: str) -> float:
    """Read a file's figure; 0 where another process has just removed it."""
    try:
        return float(getattr(path.stat(), field))
    except FileNotFoundError:
        return 0.0
