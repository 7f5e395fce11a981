"""What a plan would do, found out without doing it: are all its parts there, how many units, how long."""

import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from xaikit.attribution import methods as known
from xaikit.attribution._explain import prepare
from xaikit.errors import NotSupported, XaikitError
from xaikit.jobs import given, tasks
from xaikit.model import Model
from xaikit.progress import silent
from xaikit.study._inputs import Item, items
from xaikit.study._plan import MethodPlan, Plan, load_plan
from xaikit.study._run import unit_of

LOOKED_AT = 100
"""So many inputs are read; of the others only names and rows are looked at."""
TOLD = 20


@dataclass(frozen=True)
class Validation:
    """What a plan would do: how many `inputs` and `units`, and how long each unit takes by method, once it is warm.

    `problems` stop methods or everything; `unreadable` are inputs that would fail alone: `broken` in number, the first
    of them told. `checked` inputs were read, of the others only the names. `load_seconds` is the time to load the
    model, which every worker does once.
    """

    model: str
    framework: str
    inputs: int
    units: int
    checked: int
    seconds_per_unit: dict[str, float]
    load_seconds: float
    problems: tuple[str, ...]
    unreadable: tuple[str, ...]
    broken: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not self.broken

    def estimated_seconds(self, workers: int = 1) -> float:
        """Give the time for all units on so many workers, each with a processor of its own; NaN where it is unknown."""
        if not self.seconds_per_unit:
            return math.nan
        each = self.inputs - self.broken
        return self.load_seconds * (1 + (workers > 1)) + each * sum(self.seconds_per_unit.values()) / workers

    def to_dict(self, workers: int = 1) -> dict[str, Any]:
        """Give the validation as JSON types."""
        estimate = self.estimated_seconds(workers)
        return {
            "ok": self.ok,
            "model": self.model,
            "framework": self.framework,
            "inputs": self.inputs,
            "units": self.units,
            "checked": self.checked,
            "seconds_per_unit": self.seconds_per_unit,
            "load_seconds": round(self.load_seconds, 3),
            "workers": workers,
            "estimated_seconds": None if math.isnan(estimate) else round(estimate, 1),
            "problems": list(self.problems),
            "unreadable": list(self.unreadable),
            "broken": self.broken,
        }


def validate(plan: Plan | str | os.PathLike[str], *, allow_code: bool = False) -> Validation:
    """Find out what a plan would do: the model is loaded, inputs are read, and one unit of each method is timed.

    Raises UsageError for a plan that is wrong, with the line, the errors of a model that cannot be loaded, and
    InputError where the plan means no input.
    """
    plan = plan if isinstance(plan, Plan) else load_plan(plan)
    start = time.perf_counter()
    model = plan.recipe(allow_code).load()
    load_seconds = time.perf_counter() - start
    sample, counted, broken, told = _looked_at(plan, model)
    served: list[tuple[MethodPlan, Any]] = []
    problems: list[str] = []
    for method, target in plan.asked():
        try:
            known[method.name].examine(model)
        except NotSupported as error:
            problems.append(f"{method.name}: {error}")
        else:
            served.append((method, target))
    seconds: dict[str, float] = {}
    if sample is None:
        problems.append("none of the inputs that were looked at can be read")
        served = []
    for method, target in served:
        assert sample is not None
        try:
            taken = _timed(plan, model, sample, method, target)
            seconds[method.name] = seconds.get(method.name, 0.0) + taken
        except XaikitError as error:
            problems.append(f"{method.name} of {sample.name}: {error}")
    each = sum(1 for _ in plan.asked())
    return Validation(
        model.name,
        model.framework,
        counted,
        counted * each,
        min(counted, LOOKED_AT),
        {name: float(f"{s:.4g}") for name, s in seconds.items()},
        load_seconds,
        tuple(dict.fromkeys(problems)),
        tuple(told),
        broken,
    )


def _looked_at(plan: Plan, model: Model) -> tuple[Item | None, int, int, list[str]]:
    """Go through all inputs: the first that can be read, how many there are, how many cannot be, and why."""
    first, counted, broken = None, 0, 0
    told: list[str] = []
    found = items(plan.inputs, plan.folder, model.inputs)
    for item, error in _read(plan, model, found):
        counted += 1
        broken += error is not None
        if error is None and first is None:
            first = item
        if error is not None and len(told) < TOLD:
            told.append(f"{item.name}: {error}")
    return first, counted, broken, told


def _read(plan: Plan, model: Model, found: Iterator[Item]) -> Iterator[tuple[Item, str | None]]:
    for item in islice(found, LOOKED_AT):
        try:
            if item.error is None:
                prepare(model, given(model, unit_of(plan, item, plan.methods[0], None)))
            yield item, item.error
        except XaikitError as error:
            yield item, str(error)
    for item in found:
        yield item, item.error


def _timed(plan: Plan, model: Model, item: Item, method: MethodPlan, target: Any) -> float:
    """Give the seconds of a unit; where it is quick, of a second one, since the first one prepares the network."""
    unit = unit_of(plan, item, method, target)
    for _ in range(2):
        start = time.perf_counter()
        tasks[unit.task].run(model, unit, silent)
        taken = time.perf_counter() - start
        if taken > 1:
            break
    return taken
