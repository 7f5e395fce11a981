"""Folders of the same study, each with a part of its inputs, made one."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xaikit.errors import StorageError, UsageError
from xaikit.study._files import MANIFEST, PLAN
from xaikit.study._folder import Ledger, Study, open_study
from xaikit.study._places import Place, place_of
from xaikit.study._plan import Plan, difference


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
    """Put the units of several folders into one, and give what it holds; one alone is copied, as from a URL to a disk.

    The plans may differ in the paths of their inputs, and in nothing else. A unit that failed in one folder and has a
    result in another has a result. Nothing is written where two folders have different results for the same unit, or
    where a result is damaged. The folders themselves stay as they are.

    Raises UsageError for plans that differ, for a conflict, and for a folder of another plan; StorageError.
    """
    studies = [open_study(folder) for folder in folders]
    if not studies:
        raise UsageError("a merge takes at least one folder")
    place = place_of(into)
    if any(_resolved(place.name) == _resolved(s.folder) for s in studies):
        raise UsageError(f"{place.name} is one of the folders to merge: choose another")
    for study in studies[1:]:
        other = difference(_apart(studies[0].plan), _apart(study.plan))
        if other:
            raise UsageError(
                f"{studies[0].folder} and {study.folder} belong to different plans: {'; '.join(other[:3])}"
            )
    plan = _united([s.plan for s in studies])
    with Ledger() as ledger:
        for study in studies:
            _take(study, ledger)
        return _written(ledger, studies, plan, place)


def _resolved(folder: Any) -> Any:
    return folder.resolve() if isinstance(folder, Path) else folder


def _apart(plan: Plan) -> Plan:
    """Give a plan apart from which inputs it means: how the rows of a file are read stays."""
    return replace(plan, inputs=replace(plan.inputs, paths=(), limit=None))


def _united(plans: Sequence[Plan]) -> Plan:
    """Give the plan of all inputs; where folders differ, paths become absolute.

    A limit is of a list of inputs as a whole: of equal lists the larger one stays. One of other lists would take from
    the inputs of both, and is refused.
    """
    one_root = len({p.root for p in plans}) == 1
    paths = (path if one_root else _absolute(plan, path) for plan in plans for path in plan.inputs.paths)
    asked = tuple(dict.fromkeys(paths))
    return replace(plans[0], inputs=replace(plans[0].inputs, paths=asked, limit=_limit(plans)))


def _limit(plans: Sequence[Plan]) -> int | None:
    limits = [p.inputs.limit for p in plans]
    given = [limit for limit in limits if limit is not None]
    if len({(p.root, p.inputs.paths) for p in plans}) == 1:
        return max(given) if len(given) == len(limits) else None
    if given:
        raise UsageError(
            "folders of other inputs cannot be merged where one has a limit, since no plan says so much of each: "
            "make the parts by their paths"
        )
    return None


def _absolute(plan: Plan, word: str) -> str:
    path = plan.folder / word
    return str(path.absolute()) if path.exists() or set("*?[") & set(word) else word


def _take(study: Study, ledger: Ledger) -> None:
    """Add a folder's rows, unless one contradicts what is there."""
    with Ledger() as own:  # not study.rows(), which has fields that the folder's own lines may lack
        own.add(study.events())
        for row in own.rows():
            row = {**row, "folder": str(study.folder)}
            before = ledger.find(row)
            if before is None or before["state"] == "failed":
                ledger.add([row])
            elif row["state"] != "failed" and row["key"] != before["key"]:
                raise UsageError(
                    f"{before['folder']} and {study.folder} have different results for {row['method']} of "
                    f"{row['input']}: the input, the model or the code was another; nothing was written"
                )


def _written(ledger: Ledger, studies: Sequence[Study], plan: Plan, place: Place) -> Merged:
    stores = {str(study.folder): study.store for study in studies}
    for row in ledger.rows():
        if row["state"] != "failed":
            stores[row["folder"]].glance(row["key"], ("status",))
    counts = {"done": 0, "failed": 0}
    with place.held():
        if place.has(PLAN) and (other := difference(plan, open_study(place.name).plan)):
            raise UsageError(f"{place.name} belongs to another plan: {'; '.join(other[:3])}. Choose another folder")
        if place.begun() and not place.has(PLAN):
            raise StorageError(
                f"{place.name} has a {MANIFEST} and no {PLAN}: it cannot be told which plan it belongs to"
            )
        place.write(PLAN, plan.toml())
        place.sweep()
        target = place.store()
        with place.manifest() as manifest:
            for row in ledger.rows():
                source = stores[row.pop("folder")]
                state = "failed" if row["state"] == "failed" else "done"
                if state == "done" and row["key"] not in target:
                    target.put_data(row["key"], source.data(row["key"]))
                manifest.append({**row, "state": state, "at": datetime.now(UTC).isoformat(timespec="milliseconds")})
                counts[state] += 1
    return Merged(Study(place.name, plan), counts["done"], counts["failed"])
