"""The folder of a study: plan.toml, manifest.jsonl, and units/ab/<key>.json with .npz."""

import json
import os
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from xaikit.errors import StorageError
from xaikit.jobs.store import Store
from xaikit.study._files import MANIFEST, PLAN
from xaikit.study._places import Place, place_of
from xaikit.study._plan import Plan, read_plan
from xaikit.study._row import ROW


@dataclass(frozen=True)
class Study:
    """A study on disk or at a URL: its `folder`, a Path or the URL as text, and the `plan` that was run into it."""

    folder: Any
    plan: Plan

    @property
    def place(self) -> Place:
        """What reads and writes there."""
        return place_of(self.folder)

    @property
    def store(self) -> Store:
        """The results by their keys."""
        return self.place.store()

    @property
    def manifest(self) -> Path:
        """The file with a line for every event of a unit; of a study at a URL read `events`."""
        return Path(self.folder) / MANIFEST

    def events(self) -> Iterator[dict[str, Any]]:
        """Give the lines of the manifest in their order; one that is torn is left out. Raises StorageError."""
        return self.place.events()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Give the last line about each unit, in the order in which the units came first; memory stays flat.

        A unit without a result has None for what only a result tells.
        """
        with Ledger() as ledger:
            ledger.add(self.events())
            yield from ({**dict.fromkeys(ROW), **row} for row in ledger.rows())

    def result(self, row: Mapping[str, Any]) -> Any | None:
        """Give the result of a row, or None where it has none."""
        return None if row["key"] is None else self.store.get(row["key"])


def open_study(folder: str | os.PathLike[str]) -> Study:
    """Open the folder or URL of a study that was run. Raises StorageError where it is none."""
    place = place_of(folder)
    if not place.has(PLAN):
        raise StorageError(f"{place.name} is no folder of a study: it has no {PLAN}")
    plan = read_plan(place.read(PLAN), f"{place.name}/{PLAN}")
    return Study(place.name, plan)


def is_running(folder: str | os.PathLike[str]) -> bool:
    """Whether a run is at work in a folder, or has left its lease at a URL."""
    return place_of(folder).at_work()


def unit_name(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """Give what tells a unit from the others of its study: input, method with its parameters, and target."""
    asked = row["method"], row.get("parameters") or {}
    return str(row["input"]), json.dumps(asked, sort_keys=True), json.dumps(row["target"], sort_keys=True)


class Ledger:
    """The last line about each unit, in a file of its own that goes with it: memory does not grow with the units."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="xaikit-study-")
        self._rows = sqlite3.connect(Path(self._folder.name) / "rows.db", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("PRAGMA synchronous = OFF")
        self._rows.execute(
            "CREATE TABLE rows (number INTEGER PRIMARY KEY, input, method, target, row, UNIQUE (input, method, target))"
        )

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *error: object) -> None:
        self._rows.close()
        self._folder.cleanup()

    def add(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take lines of a manifest; a later one about a unit replaces what was before."""
        self._rows.execute("BEGIN")
        for event in events:
            row = json.dumps(event, ensure_ascii=False)
            self._rows.execute(
                "INSERT INTO rows (input, method, target, row) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (input, method, target) DO UPDATE SET row = excluded.row",
                (*unit_name(event), row),
            )
        self._rows.execute("COMMIT")

    def find(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """Give the line about the same unit, or None."""
        query = "SELECT row FROM rows WHERE input = ? AND method = ? AND target = ?"
        found = self._rows.execute(query, unit_name(row)).fetchone()
        return None if found is None else json.loads(found[0])

    def rows(self) -> Iterator[dict[str, Any]]:
        """Give the lines in the order of their units."""
        for (row,) in self._rows.execute("SELECT row FROM rows ORDER BY number"):
            yield json.loads(row)

    def inputs(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Give the inputs in the order in which they came first, each with the lines of its units."""
        query = (
            "SELECT rows.input, row FROM rows "
            "JOIN (SELECT input, MIN(number) AS first FROM rows GROUP BY input) AS firsts ON firsts.input = rows.input "
            "ORDER BY first, number"
        )
        found = self._rows.execute(query)
        for name, group in groupby(found, key=lambda pair: str(pair[0])):
            yield name, [json.loads(row) for _, row in group]
