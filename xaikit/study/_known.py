"""Which results are there already, and what is told of them."""

import json
import sqlite3
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from xaikit.errors import StorageError
from xaikit.jobs import Store
from xaikit.study._places import Place
from xaikit.study._row import ROW, row_at


class Known(Protocol):
    """Knows the results that are there."""

    def row(self, key: str) -> Mapping[str, Any] | None:
        """Tell of a result, or give None where there is none; one that is damaged is removed."""

    def add(self, key: str, row: Mapping[str, Any]) -> None:
        """Take note of a result that has just been stored."""

    def close(self) -> None:
        """End."""


def known_at(place: Place, store: Store) -> Known:
    """Give what knows the results of a place."""
    return Listed(place, store) if place.listed else Seen(store)


class Seen:
    """Looks whenever it is asked."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def row(self, key: str) -> Mapping[str, Any] | None:
        """Tell of a result, or give None where there is none; one that is damaged is removed."""
        return _row(self.store, key) if key in self.store else None

    def add(self, key: str, row: Mapping[str, Any]) -> None:
        """Need no note."""

    def close(self) -> None:
        """Have nothing to end."""


class Listed:
    """Lists the results once, into a file of its own, with what the manifest tells of them: nothing is asked twice."""

    def __init__(self, place: Place, store: Store) -> None:
        self.store = store
        self._folder = tempfile.TemporaryDirectory(prefix="xaikit-study-")
        self._rows = sqlite3.connect(Path(self._folder.name) / "keys.db", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("PRAGMA synchronous = OFF")
        self._rows.execute("CREATE TABLE there (key PRIMARY KEY, row) WITHOUT ROWID")
        self._rows.execute("BEGIN")
        self._rows.executemany("INSERT INTO there VALUES (?, NULL)", zip(store.keys()))
        told = ((_text(event), event["key"]) for event in place.events() if event["state"] != "failed")
        self._rows.executemany("UPDATE there SET row = ? WHERE key = ?", told)
        self._rows.execute("COMMIT")

    def row(self, key: str) -> Mapping[str, Any] | None:
        """Tell of a result, or give None where there is none; one that is damaged is removed."""
        found = self._rows.execute("SELECT row FROM there WHERE key = ?", (key,)).fetchone()
        if found is None:
            return None
        return json.loads(found[0]) if found[0] is not None else _row(self.store, key)

    def add(self, key: str, row: Mapping[str, Any]) -> None:
        """Take note of a result that has just been stored."""
        self._rows.execute("INSERT OR REPLACE INTO there VALUES (?, ?)", (key, _text(row)))

    def close(self) -> None:
        """Remove the file."""
        self._rows.close()
        self._folder.cleanup()


def _row(store: Store, key: str) -> Mapping[str, Any] | None:
    try:
        return row_at(store, key)
    except StorageError:
        store.drop(key)
        return None


def _text(row: Mapping[str, Any]) -> str:
    return json.dumps({name: row[name] for name in ROW}, ensure_ascii=False)
