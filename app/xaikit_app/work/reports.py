"""What workers do for the pages Reports and Audit: studies with their reports, records, verification, replays."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from xaikit import audit
from xaikit.jobs import Unit
from xaikit.model import Model
from xaikit.progress import Progress
from xaikit.report import write_study_report
from xaikit.results import RESULTS
from xaikit.study import run
from xaikit_app import addresses
from xaikit_app.work._asking import Known, add, asked

FORMAT = 1
"""Raised when one of these tasks gives something else than before."""
PLAN, STUDY, REPORT = "study.toml", "study", "report"
"""What lies in the folder of a study that the app makes: what is asked, the study itself, and its report."""
KNOWN: Known = {
    "app-study": {"folder": "", "allow_code": False, "attempt": ""},
    "app-study-report": {"study": "", "folder": "", "attempt": ""},
    "app-record": {"db": "", "source": None, "parameters": {}, "terms": {}, "attempt": ""},
    "app-verify": {"db": "", "head": "", "attempt": ""},
    "app-replay": {"db": "", "record": 0, "attempt": ""},
}
"""The tasks' parameters. `attempt` tells one doing from the next, since none of them is to be read from the store."""


@dataclass(frozen=True)
class StudyMade:
    """What became of a study: how many units it has, how many of them failed, the rules that are broken, and what its
    report is written as."""

    units: int
    failed: int
    broken: tuple[str, ...]
    formats: tuple[str, ...]


@dataclass(frozen=True)
class Recorded:
    """A record that was made: its number in the chain and its hash."""

    number: int
    hash: str


@dataclass(frozen=True)
class Verified:
    """What was found out about a chain, as `xaikit.audit.Verification` says it; `fault` is a sentence, "" for none."""

    entries: int
    records: int
    head: str
    fault: str
    kind: str
    entry: int | None
    guarded: bool
    noted: int | None


@dataclass(frozen=True, eq=False)
class Replayed:
    """How a replay went, as `xaikit.audit.Replay` says it."""

    record: int
    verdict: str
    reason: str
    framework: str
    tolerance: float | None
    differences: Mapping[str, float] = field(default_factory=dict)
    changes: Mapping[str, tuple[str, str]] = field(default_factory=dict)


RESULTS.update({cls.__name__: cls for cls in (StudyMade, Recorded, Verified, Replayed)})


def attempt() -> str:
    """Give what tells one doing of the same from the next."""
    return secrets.token_hex(8)


def formats() -> tuple[str, ...]:
    """Give what a report can be written as here: PDF where what writes it is installed."""
    return ("html", "pdf", "json") if find_spec("fpdf") else ("html", "json")


def carry_out(model: Model, unit: Unit, progress: Progress) -> StudyMade:
    """Run the study of a folder, or go on with it, and write its report; the last step is the report's."""
    given = asked(unit, KNOWN)
    folder = Path(given["folder"])
    made = run(
        folder / PLAN,
        folder / STUDY,
        resume=True,
        allow_code=bool(given["allow_code"]),
        progress=lambda counts: progress(counts.ended, counts.units + 1),
    )
    written = formats()
    write_study_report(made.study, folder / REPORT, formats=written)
    progress(made.counts.units + 1, made.counts.units + 1)
    return StudyMade(made.counts.units, made.counts.failed, made.broken, written)


def report_of(model: Model, unit: Unit, progress: Progress) -> StudyMade:
    """Write the report of a study that was run elsewhere into a folder of the app."""
    written = formats()
    made = write_study_report(
        unit.parameters["study"],
        unit.parameters["folder"],
        formats=written,
        progress=lambda done, total, _: progress(int(done), max(int(total), 1)),
    )
    return StudyMade(made.explanations + made.failed, made.failed, (), written)


def record(model: Model, unit: Unit, progress: Progress) -> Recorded:
    """Explain a prediction and put it on record."""
    given = asked(unit, KNOWN)
    made = audit.record(
        model,
        unit.input,
        unit.method,
        unit.target,
        db=addresses.whole(given["db"]),
        source=given["source"],
        seed=unit.seed,
        progress=progress,
        **given["terms"],
        **given["parameters"],
    )
    return Recorded(made.id, made.hash)


def verify(model: Model, unit: Unit, progress: Progress) -> Verified:
    """Walk a chain of records from its start."""
    found = audit.verify(addresses.whole(unit.parameters["db"]), asked(unit, KNOWN)["head"] or None)
    progress(1, 1)
    fault = found.fault
    said = ("", "", None) if fault is None else (fault.message, str(fault.kind), fault.record)
    message, kind, entry = said
    return Verified(found.entries, found.records, found.head, message, kind, entry, found.guarded, found.noted)


def replay(model: Model, unit: Unit, progress: Progress) -> Replayed:
    """Ask the model the question of a record once more."""
    kept = audit.read(addresses.whole(unit.parameters["db"]), unit.parameters["record"])
    found = audit.replay(kept, model, progress=progress)
    told = {name: getattr(found, name) for name in ("record", "verdict", "reason", "framework", "tolerance")}
    changes = {name: (str(then), str(now)) for name, (then, now) in found.changes.items()}
    return Replayed(**told, differences=dict(found.differences), changes=changes)


add(
    KNOWN,
    {
        "app-study": carry_out,
        "app-study-report": report_of,
        "app-record": record,
        "app-verify": verify,
        "app-replay": replay,
    },
    FORMAT,
)
