"""A plan carried out into a folder: every unit exactly once, whatever interrupts it."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from xaikit.errors import ParameterError, StorageError, UsageError, XaikitError
from xaikit.inputs import InputSpec, target_to_json
from xaikit.jobs import Recipe, Store, Unit
from xaikit.jobs.unit import address, model_identity, unit_digest
from xaikit.model import Model
from xaikit.study._executors import Executor, Here, Outcome, Planned, Workers
from xaikit.study._folder import MANIFEST, PLAN, Manifest, Study, held, open_study, sweep
from xaikit.study._gate import Gate, Rule
from xaikit.study._inputs import Item, items
from xaikit.study._plan import MethodPlan, Plan, difference, load_plan
from xaikit.study._row import row_at


@dataclass(frozen=True)
class Counts:
    """How far a study is: units in all, carried out now, failed, and skipped since their results were there."""

    units: int
    done: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def ended(self) -> int:
        """Units that have an outcome."""
        return self.done + self.failed + self.skipped


@dataclass(frozen=True)
class StudyResult:
    """What a run did: the `study` on disk, its `counts`, the rules that are `broken`, and the `seconds` it took."""

    study: Study
    counts: Counts
    broken: tuple[str, ...]
    seconds: float

    def __repr__(self) -> str:
        c = self.counts
        return f"<StudyResult {self.study.folder}: {c.done} done, {c.failed} failed, {c.skipped} skipped of {c.units}>"

    def to_dict(self) -> dict[str, Any]:
        """Give the result as JSON types."""
        c = self.counts
        return {
            "folder": str(self.study.folder),
            "units": c.units,
            "done": c.done,
            "failed": c.failed,
            "skipped": c.skipped,
            "broken": list(self.broken),
            "seconds": round(self.seconds, 3),
        }


Told = Callable[[Counts], None]
Making = Callable[[Recipe, Store], Executor]
"""Makes another executor from the model's recipe and the store of the folder."""


def run(
    plan: Plan | str | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    *,
    resume: bool = False,
    workers: int = 1,
    threads: int | None = None,
    fail_on: Sequence[str] = (),
    allow_code: bool = False,
    progress: Told | None = None,
    executor: Making | None = None,
) -> StudyResult:
    """Carry out a plan into a folder, and give what came of it.

    One unit is one (input, method, target). Its result is stored whole or not at all under SHA-256 of the model's
    identity, the input, method, parameters, target, seed and the version of the code; the folder's manifest gets a line
    for it. A unit that fails stops nothing else. `resume` goes on in a folder that has this plan: what is there is
    skipped, what failed is tried again.

    One worker is this process; several are processes of their own with `threads` each (None: the processors shared
    out), and one of them that dies costs only its unit, which is begun once more. `fail_on` are rules such as
    "status=fail:0.1", besides those of the plan. `progress` is called with Counts after every unit. `allow_code` lets a
    model.toml import its factory.

    Raises UsageError for a folder of another plan, of this plan without `resume`, or in which another run is at work;
    the errors of a model that cannot be loaded; InputError where the plan means no input at all; StorageError. On
    KeyboardInterrupt everything that is done stays in the folder.
    """
    plan = plan if isinstance(plan, Plan) else load_plan(plan)
    place = _place(plan, folder)
    rules = (*plan.rules, *(Rule.of(text) for text in fail_on))
    if workers < 1:
        raise ParameterError(f"workers must be at least 1, not {workers}")
    begun = time.perf_counter()
    with held(place):
        normal = _admitted(plan, place, resume)
        course = _Course(normal, place, allow_code, Gate(rules), progress)
        model = course.load()
        _keep_plan(normal, place)
        sweep(place)
        way: Executor = executor(course.recipe, course.store) if executor else Here(model, course.store)
        if executor is None and workers > 1:
            way = Workers(plan.model, course.recipe, course.store, workers, threads)
        del model
        with closing(way), Manifest(place / MANIFEST) as manifest:
            course.go(way, manifest)
        sweep(place)
    return StudyResult(Study(place, normal), course.counts, course.gate.broken(), time.perf_counter() - begun)


def _place(plan: Plan, folder: str | os.PathLike[str] | None) -> Path:
    if folder is not None:
        return Path(folder)
    if plan.outputs.folder is None:
        raise UsageError("say where the results go: a folder, or [outputs] folder = ... in the plan")
    return plan.folder / plan.outputs.folder


def _admitted(plan: Plan, folder: Path, resume: bool) -> Plan:
    """Give the plan as it is run, if the folder is free for it or holds it already."""
    normal = replace(plan, framework=plan.recipe().framework, root=str(plan.folder.absolute()))
    if not (folder / PLAN).is_file():
        if resume and (folder / MANIFEST).exists():
            raise StorageError(f"{folder} has a {MANIFEST} and no {PLAN}: it cannot be told which plan it belongs to")
        return normal
    other = difference(normal, open_study(folder).plan)
    if other:
        more = f", and {len(other) - 3} more" if len(other) > 3 else ""
        raise UsageError(f"{folder} belongs to another plan: {'; '.join(other[:3])}{more}. Choose another folder")
    if not resume:
        raise UsageError(f"{folder} holds results of this plan already: go on with --resume, or choose another folder")
    return normal


def _keep_plan(plan: Plan, folder: Path) -> None:
    if not (folder / PLAN).is_file() or open_study(folder).plan != plan:
        plan.save(folder / PLAN)


class _Course:
    """One run: the units that a plan means, one after the other, and the lines about them."""

    def __init__(self, plan: Plan, folder: Path, allow_code: bool, gate: Gate, progress: Told | None) -> None:
        self.plan, self.gate, self.progress = plan, gate, progress
        self.recipe, self.store = plan.recipe(allow_code), Store(folder.absolute())
        self.identity = ""
        self.spec: InputSpec | Any = None
        self.counts = Counts(0)
        self.manifest: Manifest | None = None

    def load(self) -> Model:
        """Load the model, and note what the units need to know of it."""
        model = self.recipe.load()
        self.identity, self.spec = model_identity(model, self.recipe.source()), model.inputs
        each = sum(1 for _ in self.plan.asked())
        self.counts = Counts(each * sum(1 for _ in self.inputs()))
        return model

    def inputs(self) -> Iterator[Item]:
        return items(self.plan.inputs, self.plan.folder, self.spec)

    def go(self, way: Executor, manifest: Manifest) -> None:
        """Have all units carried out."""
        self.manifest = manifest
        for outcome in way.outcomes(self.due()):
            self.settle(outcome)

    def due(self) -> Iterator[Planned]:
        """Give the units that have no result yet; tell of the others."""
        for item in self.inputs():
            for method, target in self.plan.asked():
                planned = self.planned(item, method, target)
                if planned is not None and not self.is_there(planned):
                    yield planned

    def planned(self, item: Item, method: MethodPlan, target: Any) -> Planned | None:
        """Give the unit of an input, unless that cannot be read."""
        if item.error is not None:
            self.note(_line(item.name, method, target), "failed", error=item.error)
            return None
        unit = unit_of(self.plan, item, method, target)
        try:
            digest = unit_digest(unit)
            return Planned(address(self.identity, digest), digest, item.name, method, target, unit)
        except XaikitError as error:
            self.note(_line(item.name, method, target), "failed", error=str(error))
            return None

    def is_there(self, planned: Planned) -> bool:
        """Whether the result of a unit is in the store, whole; a damaged one is removed."""
        if planned.key not in self.store:
            return False
        try:
            row = row_at(self.store.path(planned.key))
        except StorageError:
            self.store.drop(planned.key)
            return False
        self.note(_line(planned.input, planned.method, planned.target, planned.key), "skipped", **row)
        return True

    def settle(self, outcome: Outcome) -> None:
        """Tell what came of a unit."""
        planned = outcome.planned
        line = _line(planned.input, planned.method, planned.target, planned.key)
        if outcome.row is None:
            self.note(line, "failed", error=outcome.error, worker=outcome.worker)
        else:
            self.note(line, "done", worker=outcome.worker, **outcome.row)

    def note(self, line: dict[str, Any], state: str, **more: Any) -> None:
        """Write one line of the manifest, and count it."""
        assert self.manifest is not None
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = {**line, "state": state, "error": None, "seconds": None, "worker": None, "at": now, **more}
        self.manifest.append(event)
        self.gate.see(event)
        self.counts = replace(self.counts, **{state: getattr(self.counts, state) + 1})
        if self.progress is not None:
            self.progress(self.counts)


def unit_of(plan: Plan, item: Item, method: MethodPlan, target: Any) -> Unit:
    """Give the unit of an input, a method and a target."""
    checks = {} if plan.quality.evidence == "free" else {"evidence": plan.quality.evidence}
    return Unit(plan.model, item.value, method.name, {**checks, **method.parameters}, target, plan.seed)


def _line(name: str, method: MethodPlan, target: Any, key: str | None = None) -> dict[str, Any]:
    asked = None if target is None else target_to_json(target)
    line: dict[str, Any] = {"key": key, "input": name, "method": method.name, "target": asked}
    return {**line, "parameters": dict(method.parameters)} if method.parameters else line
