"""Studies that the app made, and those that it was given: their folders, what was asked, and how far they are."""

import csv
import json
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from xaikit.errors import InputError, StorageError, UsageError
from xaikit.jobs import Recipe
from xaikit.report import safe
from xaikit.storage import write_atomically
from xaikit.study import InputsPlan, MethodPlan, Plan, QualityPlan, Rule, open_study
from xaikit_app.settings import Settings
from xaikit_app.work.reports import PLAN, REPORT, STUDY

ID = re.compile(r"[0-9a-f]{32}")
GIVEN = "given-"
ABOUT = "about.json"
SHOWN, ERRORS = 300, 50
"""So many units are listed of a study, and so many errors."""
FILES = ("html", "pdf", "json")
KINDS = {".html": "text/html", ".css": "text/css", ".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp"}
"""The types of a report's pages and of what belongs to them, by how their files end; PDF and JSON are taken along."""


@dataclass(frozen=True)
class Kept:
    """A study by its id: where it is, what people call it, what it is about, who made it when, and the job that is at
    work on it. `given` is one that the app was started with, of which only the report is the app's own."""

    id: str
    folder: Path
    title: str
    model: str
    methods: tuple[str, ...]
    inputs: int
    units: int
    created: float
    owner: str = ""
    job: str = ""
    given: bool = False

    @property
    def study(self) -> Path:
        """The folder of the study itself."""
        return self.folder

    @property
    def report(self) -> Path:
        """The folder of its report."""
        return self.folder.parent / REPORT


@dataclass(frozen=True)
class Read:
    """How far a study is: units by `states` and explanations by `levels`, the first `rows` and `errors`, whether its
    rules hold, and whether somebody is at work on it."""

    states: Mapping[str, int]
    levels: Mapping[str, int]
    rows: tuple[Mapping[str, Any], ...]
    errors: tuple[Mapping[str, Any], ...]
    gate: tuple[tuple[str, int, bool], ...]
    at_work: bool

    @property
    def units(self) -> int:
        """How many units have an outcome."""
        return sum(self.states.values())


class Studies:
    """The studies of an app, each for the session that made it; those it was given are for all."""

    def __init__(self, settings: Settings) -> None:
        self.home = settings.folder / "studies"
        self.given = {f"{GIVEN}{i}": folder for i, folder in enumerate(settings.study, 1)}

    def new(
        self, owner: str, recipe: Recipe, inputs: Mapping[str, Any], methods: Sequence[str], **asked: Any
    ) -> tuple[str, Path]:
        """Write down a study of inputs, by name, and methods: give its id and the folder for `work.reports`.

        `asked` are target, seed, checked (whether the full evidence is wanted), rules, title and the model's name.
        """
        if not inputs:
            raise UsageError("choose at least one input")
        if not methods:
            raise UsageError("choose at least one method")
        rules = tuple(str(Rule.of(text)) for text in asked.get("rules") or ())
        id = secrets.token_hex(16)
        folder = self.home / id
        plan = Plan(
            str(Path(recipe.name).absolute()) if recipe.is_file else recipe.name,
            _written(folder, inputs),
            tuple(MethodPlan(name, asked.get("target")) for name in methods),
            None if recipe.is_file else recipe.settled().framework,
            int(asked.get("seed") or 0),
            QualityPlan(**dict.fromkeys(CHECKS, bool(asked.get("checked"))), limits=rules),
        )
        plan.save(folder / PLAN)
        title = " ".join(str(asked.get("title") or "").split())[:120]
        about = {
            "title": title or f"{asked.get('name', recipe.name)}: {len(inputs)} inputs, {len(methods)} methods",
            "model": str(asked.get("name", recipe.name)),
            "methods": list(methods),
            "inputs": len(inputs),
            "units": len(inputs) * len(methods),
            "created": time.time(),
            "owner": owner,
            "job": "",
        }
        _note(folder, about)
        return id, folder

    def begun(self, id: str, job: str) -> None:
        """Note which job is at work on a study."""
        if id in self.given:
            _note(self._aside(id), {"job": job})
        else:
            _note(self.home / id, {**_about(self.home / id), "job": job})

    def all(self, owner: str) -> list[Kept]:
        """List the studies that a session may see: those given, then its own, the newest first."""
        own = [self._own(path.parent) for path in self.home.glob(f"*/{ABOUT}") if ID.fullmatch(path.parent.name)]
        mine = sorted((k for k in own if k is not None and k.owner == owner), key=lambda k: -k.created)
        return [*(self._given(id) for id in self.given), *mine]

    def find(self, owner: str, id: str) -> Kept:
        """Give a study by its id. Raises InputError for one that is not there, or is another session's."""
        if id in self.given:
            return self._given(id)
        found = self._own(self.home / id) if ID.fullmatch(id) else None
        if found is None or found.owner != owner:
            raise InputError("this link names a study that is not kept here: choose one from the list")
        return found

    def _own(self, folder: Path) -> Kept | None:
        try:
            about = _about(folder)
            return Kept(folder.name, folder / STUDY, **{**about, "methods": tuple(about["methods"])})
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _given(self, id: str) -> Kept:
        folder = self.given[id]
        plan = open_study(folder).plan
        methods = tuple(dict.fromkeys(m.name for m in plan.methods))
        aside = self._aside(id)
        job = _about(aside).get("job", "") if (aside / ABOUT).is_file() else ""
        made = (folder / "plan.toml").stat().st_mtime
        kept = Kept(id, folder, folder.absolute().name, plan.model, methods, 0, 0, made, job=job, given=True)
        return _Elsewhere(**{**asdict(kept), "aside": aside / REPORT})

    def _aside(self, id: str) -> Path:
        """Give the app's own folder for a study that lies elsewhere."""
        return self.home / id


@dataclass(frozen=True)
class _Elsewhere(Kept):
    """A study whose report lies in a folder of the app, since the study's own is not the app's to write to."""

    aside: Path = Path()

    @property
    def report(self) -> Path:
        return self.aside


CHECKS = ("faithfulness", "stability", "randomisation")


def read_study(kept: Kept) -> Read | None:
    """Read how far a study is; None where it has not begun. Raises StorageError for one that is damaged."""
    if not (kept.study / "plan.toml").is_file():
        return None
    study = open_study(kept.study)
    states, levels = Counter[str](), Counter[str]()
    rows: list[Mapping[str, Any]] = []
    errors: list[Mapping[str, Any]] = []
    counts = dict.fromkeys(study.plan.rules, 0)
    for row in study.rows():
        state = "failed" if row["state"] == "failed" else "done"
        states[state] += 1
        levels.update([row["status"]] if row["status"] else [])
        for rule in counts:
            counts[rule] += rule.holds_of(row)
        if len(rows) < SHOWN:
            rows.append(row)
        if state == "failed" and len(errors) < ERRORS:
            errors.append(row)
    total = sum(states.values())
    gate = tuple((str(rule), n, n <= rule.share * total) for rule, n in counts.items())
    return Read(states, levels, tuple(rows), tuple(errors), gate, study.place.at_work())


def file_of(kept: Kept, form: str) -> tuple[bytes, str] | None:
    """Give a study's report in one form with its type: its pages as a zip file, PDF or JSON; None where it is not."""
    places = {"pdf": ("report.pdf", "application/pdf"), "json": ("report.json", "application/json")}
    if form == "html":
        return _zipped(kept.report), "application/zip"
    if form not in places:
        return None
    name, kind = places[form]
    path = kept.report / name
    return (path.read_bytes(), kind) if path.is_file() else None


def made_forms(kept: Kept) -> tuple[str, ...]:
    """Say in which forms a report is there."""
    there = {"html": "index.html", "pdf": "report.pdf", "json": "report.json"}
    return tuple(form for form in FILES if (kept.report / there[form]).is_file())


def page_of(kept: Kept, place: str) -> Path | None:
    """Give the file of a report's page by its place in the report; None for what is no part of it."""
    parts = (path for path in _parts(kept.report) if path.suffix in KINDS)
    return next((path for path in parts if path.relative_to(kept.report).as_posix() == place), None)


def _parts(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())


def _zipped(folder: Path) -> bytes:
    from io import BytesIO
    from zipfile import ZIP_DEFLATED, ZipFile

    held = BytesIO()
    with ZipFile(held, "w", ZIP_DEFLATED) as archive:
        for path in _parts(folder):
            archive.write(path, f"report/{path.relative_to(folder).as_posix()}")
    return held.getvalue()


# ---------------------------------------------------------------- what is written down


def _about(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    return dict(found)


def _note(folder: Path, about: Mapping[str, Any]) -> None:
    try:
        write_atomically(folder / ABOUT, json.dumps(about).encode())
    except OSError as error:
        raise StorageError(f"the study cannot be kept in {folder}: {error.strerror or error}") from None


def _written(folder: Path, inputs: Mapping[str, Any]) -> InputsPlan:
    """Write the inputs as files that a plan can name: rows as one table, texts and arrays one by one."""
    values = list(inputs.values())
    names = [f"{number:03d}-{safe(name)}" for number, name in enumerate(inputs, 1)]
    if all(isinstance(value, Mapping) for value in values):
        columns = list(dict.fromkeys(name for value in values for name in value))
        id = next(name for name in ("input", "_input", "__input") if name not in columns)
        held = StringIO()
        writer = csv.DictWriter(held, [id, *columns])
        writer.writeheader()
        writer.writerows({id: name, **value} for name, value in zip(names, values, strict=True))
        _put(folder / "inputs" / "rows.csv", held.getvalue().encode())
        return InputsPlan(("inputs/rows.csv",), id=id)
    for name, value in zip(names, values, strict=True):
        if isinstance(value, str):
            _put(folder / "inputs" / f"{name}.txt", value.encode())
        else:
            _put(folder / "inputs" / f"{name}.npy", _npy(value))
    return InputsPlan(("inputs/*.txt",) if isinstance(values[0], str) else ("inputs/*.npy",))


def _npy(value: Any) -> bytes:
    from io import BytesIO

    held = BytesIO()
    np.save(held, np.asarray(value), allow_pickle=False)
    return held.getvalue()


def _put(path: Path, data: bytes) -> None:
    try:
        write_atomically(path, data)
    except OSError as error:
        raise StorageError(f"the inputs of the study cannot be written to {path}: {error.strerror or error}") from None


__all__ = ["FILES", "KINDS", "Kept", "Read", "Studies", "file_of", "made_forms", "page_of", "read_study"]
