"""Folders of the same study, each with a part of its inputs, made one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xaikit import storage
from xaikit.errors import StorageError, UsageError
from xaikit.jobs import Store
from xaikit.storage import write_atomically
from xaikit.study._folder import MANIFEST, PLAN, Ledger, Manifest, Study, held, open_study, sweep
from xaikit.study._plan import InputsPlan, Plan, difference


@dataclass(frozen=True)
class Merged:
    """What a merge gave: the `study`, how many `units` with a result it has, and how many `failed` ones."""

    study: Study
    units: int
    failed: int

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON types."""
        return {"folder": str(self.study.folder), "units": self.units, "failed": self.failed}


def merge(folders: Sequence[str | os.PathLike[str]], into: str | os.PathLike[str]) -> Merged:
    """Put the units of several folders into one, and give what it holds.

    The plans may differ in their inputs, and in nothing else. A unit that failed in one folder and has a result in
    another has a result. Nothing is written where two folders have different results for the same unit, or where a
    result is damaged. The folders themselves stay as they are.

    Raises UsageError for plans that differ, for a conflict, and for a folder of another plan; StorageError.
    """
    studies = [open_study(folder) for folder in folders]
    if len(studies) < 2:
        raise UsageError("a merge takes at least two folders")
    place = Path(into)
    if any(place.resolve() == s.folder.resolve() for s in studies):
        raise UsageError(f"{place} is one of the folders to merge: choose another")
    for study in studies[1:]:
        other = [d for d in difference(studies[0].plan, study.plan) if not d.startswith("inputs")]
        if other:
            raise UsageError(
                f"{studies[0].folder} and {study.folder} belong to different plans: {'; '.join(other[:3])}"
            )
    plan = _united([s.plan for s in studies])
    with Ledger() as ledger:
        for study in studies:
            _take(study, ledger)
        return _written(ledger, studies, plan, place)


def _united(plans: Sequence[Plan]) -> Plan:
    """Give the plan of all inputs; where folders differ, paths become absolute."""
    one_root = len({p.root for p in plans}) == 1
    paths = (path if one_root else _absolute(plan, path) for plan in plans for path in plan.inputs.paths)
    first = plans[0].inputs
    return replace(plans[0], inputs=InputsPlan(tuple(dict.fromkeys(paths)), first.column, first.id, None))


def _absolute(plan: Plan, word: str) -> str:
    path = plan.folder / word
    return str(path.absolute()) if path.exists() or set("*?[") & set(word) else word


def _take(study: Study, ledger: Ledger) -> None:
    """Add a folder's rows, unless one contradicts what is there."""
    for row in study.rows():
        row = {**row, "folder": str(study.folder)}
        before = ledger.find(row)
        if before is None or before["state"] == "failed":
            ledger.add([row])
        elif row["state"] != "failed" and row["key"] != before["key"]:
            raise UsageError(
                f"{before['folder']} and {study.folder} have different results for {row['method']} of {row['input']}: "
                "the input, the model or the code was another; nothing was written"
            )


def _written(ledger: Ledger, studies: Sequence[Study], plan: Plan, place: Path) -> Merged:
    stores = {str(study.folder): study.store for study in studies}
    for row in ledger.rows():
        if row["state"] != "failed":
            storage.glance(stores[row["folder"]].path(row["key"]), ("status",))
    counts = {"done": 0, "failed": 0}
    with held(place):
        if (place / PLAN).is_file() and (other := difference(plan, open_study(place).plan)):
            raise UsageError(f"{place} belongs to another plan: {'; '.join(other[:3])}. Choose another folder")
        if (place / MANIFEST).exists() and not (place / PLAN).is_file():
            raise StorageError(f"{place} has a {MANIFEST} and no {PLAN}: it cannot be told which plan it belongs to")
        plan.save(place / PLAN)
        sweep(place)
        target = Store(place)
        with Manifest(place / MANIFEST) as manifest:
            for row in ledger.rows():
                source = stores[row.pop("folder")]
                state = "failed" if row["state"] == "failed" else "done"
                if state == "done":
                    _copied(source, target, row["key"])
                manifest.append({**row, "state": state, "at": datetime.now(UTC).isoformat(timespec="milliseconds")})
                counts[state] += 1
    return Merged(Study(place, plan), counts["done"], counts["failed"])


def _copied(source: Store, target: Store, key: str) -> None:
    """Copy a result, its .json last, as the store does."""
    if key in target:
        return
    try:
        for suffix in (".npz", ".json"):
            data = source.path(key).with_suffix(suffix).read_bytes()
            write_atomically(target.path(key).with_suffix(suffix), data)
    except OSError as error:
        raise StorageError(f"the result {key} cannot be copied to {target.folder}: {error.strerror or error}") from None
