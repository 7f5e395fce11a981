"""A plan carried out into a folder: every unit exactly once, whatever interrupts it."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from xaikit.errors import MissingPackage, ParameterError, StorageError, UsageError, XaikitError
from xaikit.inputs import InputSpec, target_to_json
from xaikit.jobs import Recipe, Store, Unit
from xaikit.jobs.remote import is_remote
from xaikit.jobs.unit import address, model_identity, unit_digest
from xaikit.model import Model
from xaikit.study._executors import Executor, Here, Outcome, Planned, Workers
from xaikit.study._files import MANIFEST, PLAN
from xaikit.study._folder import Study, open_study
from xaikit.study._gate import Gate, Rule
from xaikit.study._inputs import Item, items
from xaikit.study._known import Known, known_at
from xaikit.study._places import Appends, Place, place_of
from xaikit.study._plan import MethodPlan, Plan, difference, load_plan


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
    scheduler: str | None = None,
    fail_on: Sequence[str] = (),
    allow_code: bool = False,
    progress: Told | None = None,
    executor: Making | None = None,
    table: str | os.PathLike[str] | None = None,
) -> StudyResult:
    """Carry out a plan into a folder, or a URL that fsspec writes to, and give what came of it.

    One unit is one (input, method, target). Its result is stored whole or not at all under SHA-256 of the model's
    identity, the input, method, parameters, target, seed and the version of the code; the folder's manifest gets a line
    for it. A unit that fails stops nothing else. `resume` goes on in a folder that has this plan: what is there is
    skipped, what failed is tried again.

    One worker is this process; several are processes of their own with `threads` each (None: the processors shared
    out), and one of them that dies costs only its unit, which is begun once more. `scheduler` is the address of a Dask
    scheduler whose workers do the work, such as "tcp://10.0.0.1:8786", or "local" for a cluster of `workers` processes
    on this machine that ends with the run; it needs xaikit[distributed]. `executor` is another way. `table` is a file
    in which other processes see what several workers are at, and can give it up, as `xaikit jobs` does; a unit that is
    given up ends the run.

    `fail_on` are rules such as "status=fail:0.1", besides those of the plan. `progress` is called with Counts after
    every unit. `allow_code` lets a model.toml import its factory.

    Raises UsageError for a folder of another plan, of this plan without `resume`, or in which another run is at work;
    the errors of a model that cannot be loaded; InputError where the plan means no input at all; StorageError; JobError
    for a scheduler that is not there or goes away, and for workers with other code or libraries. On KeyboardInterrupt
    everything that is done stays in the folder.
    """
    plan = plan if isinstance(plan, Plan) else load_plan(plan)
    place = _place(plan, folder)
    rules = (*plan.rules, *(Rule.of(text) for text in fail_on))
    if workers < 1:
        raise ParameterError(f"workers must be at least 1, not {workers}")
    begun = time.perf_counter()
    with place.held():
        normal = _admitted(plan, place, resume)
        course = _Course(normal, place, allow_code, Gate(rules), progress)
        model = course.load()
        _keep_plan(normal, place)
        place.sweep()
        way = (
            executor(course.recipe, course.store)
            if executor
            else _way(course, model, workers, threads, scheduler, table)
        )
        del model
        with closing(way), place.manifest() as manifest, closing(known_at(place, course.store)) as known:
            course.go(way, manifest, known)
        place.sweep()
    return StudyResult(Study(place.name, normal), course.counts, course.gate.broken(), time.perf_counter() - begun)


def _way(
    course: "_Course",
    model: Model,
    workers: int,
    threads: int | None,
    scheduler: str | None,
    table: str | os.PathLike[str] | None,
) -> Executor:
    """Choose who carries the units out."""
    recipe, store = course.recipe, course.store
    if scheduler is not None:
        try:
            from xaikit.study._cluster import Cluster
        except ModuleNotFoundError:
            raise MissingPackage("dask", "distributed", f"the scheduler {scheduler}") from None
        return Cluster(scheduler, recipe, store, model, workers=workers, threads=threads)
    if workers == 1:
        return Here(model, store)
    if store.address.startswith("memory:"):
        raise UsageError(f"{store.address} is the memory of one process: it takes one worker")
    return Workers(course.plan.model, recipe, store, workers, threads, table)


def _place(plan: Plan, folder: str | os.PathLike[str] | None) -> Place:
    if folder is not None:
        return place_of(folder)
    asked = plan.outputs.folder
    if asked is None:
        raise UsageError("say where the results go: a folder, or [outputs] folder = ... in the plan")
    return place_of(asked if is_remote(asked) else plan.folder / asked)


def _admitted(plan: Plan, place: Place, resume: bool) -> Plan:
    """Give the plan as it is run, if the folder is free for it or holds it already."""
    normal = replace(plan, framework=plan.recipe().framework, root=str(plan.folder.absolute()))
    if not place.has(PLAN):
        if resume and place.begun():
            raise StorageError(
                f"{place.name} has a {MANIFEST} and no {PLAN}: it cannot be told which plan it belongs to"
            )
        return normal
    other = difference(normal, open_study(place.name).plan)
    if other:
        more = f", and {len(other) - 3} more" if len(other) > 3 else ""
        raise UsageError(f"{place.name} belongs to another plan: {'; '.join(other[:3])}{more}. Choose another folder")
    if not resume:
        raise UsageError(
            f"{place.name} holds results of this plan already: go on with --resume, or choose another folder"
        )
    return normal


def _keep_plan(plan: Plan, place: Place) -> None:
    if not place.has(PLAN) or open_study(place.name).plan != plan:
        place.write(PLAN, plan.toml())


class _Course:
    """One run: the units that a plan means, one after the other, and the lines about them."""

    def __init__(self, plan: Plan, place: Place, allow_code: bool, gate: Gate, progress: Told | None) -> None:
        self.plan, self.gate, self.progress = plan, gate, progress
        self.recipe, self.store = plan.recipe(allow_code), place.store()
        self.identity = ""
        self.spec: InputSpec | Any = None
        self.counts = Counts(0)
        self.manifest: Appends | None = None
        self.known: Known | None = None

    def load(self) -> Model:
        """Load the model, and note what the units need to know of it."""
        model = self.recipe.load()
        self.identity, self.spec = model_identity(model, self.recipe.source()), model.inputs
        each = sum(1 for _ in self.plan.asked())
        self.counts = Counts(each * sum(1 for _ in self.inputs()))
        return model

    def inputs(self) -> Iterator[Item]:
        return items(self.plan.inputs, self.plan.folder, self.spec)

    def go(self, way: Executor, manifest: Appends, known: Known) -> None:
        """Have all units carried out."""
        self.manifest, self.known = manifest, known
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
        """Whether the result of a unit is there, whole; a damaged one is removed."""
        assert self.known is not None
        row = self.known.row(planned.key)
        if row is None:
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
            assert self.known is not None
            self.known.add(planned.key, outcome.row)
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
