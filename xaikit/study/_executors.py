"""Ways to have the units of a study carried out: units in, outcomes out, in whatever order they end."""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Protocol

from xaikit.errors import Cancelled, InputError, JobError, QueueFull, WorkerLost, XaikitError
from xaikit.jobs import Job, Pool, Recipe, Store, Unit, tasks
from xaikit.jobs.line import unforeseen
from xaikit.jobs.remote import Unreachable
from xaikit.jobs.unit import unit_digest
from xaikit.model import Model
from xaikit.progress import silent
from xaikit.study._plan import MethodPlan
from xaikit.study._row import row_at, row_of

AHEAD = 4
"""So many units wait for each worker, so that none is idle."""
TRIES = 2
"""So often is a unit begun whose worker dies."""
PAUSE = 0.01


@dataclass(frozen=True, eq=False)
class Planned:
    """A unit that is to be carried out: its `key` in the store, the name of its input, what the plan asks about it.

    `digest` is of all that decides its result but model and code.
    """

    key: str
    digest: str
    input: str
    method: MethodPlan
    target: Any
    unit: Unit


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a unit: the `row` that tells of its result, or the `error`; `worker` tells who was at it."""

    planned: Planned
    row: Mapping[str, Any] | None = None
    error: str | None = None
    worker: str | int | None = None


class Executor(Protocol):
    """A way to have units carried out.

    A result is in the store, under the unit's key, before its outcome is given; a unit has exactly one outcome.
    """

    def outcomes(self, units: Iterator[Planned]) -> Iterator[Outcome]:
        """Carry units out and give what came of them, in any order.

        Units are taken one by one, only a few ahead of the outcomes, and in the thread that asks for outcomes.
        """

    def close(self) -> None:
        """End, also in the midst of work: what is not done is given up."""


class Here:
    """One unit after the other in this process, on a model that is loaded already."""

    def __init__(self, model: Model, store: Store) -> None:
        self.model, self.store = model, store

    def outcomes(self, units: Iterator[Planned]) -> Iterator[Outcome]:
        """Carry out each unit as it is asked for."""
        for planned in units:
            yield self._outcome(planned)

    def close(self) -> None:
        """Have nothing to end."""

    def _outcome(self, planned: Planned) -> Outcome:
        row, error = carried_out(self.model, planned.unit, planned.key, self.store)
        return Outcome(planned, row, error, os.getpid())


def carried_out(model: Model, unit: Unit, key: str, store: Store) -> tuple[dict[str, Any] | None, str | None]:
    """Put the result of a unit into the store and give the row that tells of it, or the error."""
    try:
        result = tasks[unit.task].run(model, unit, silent)
        store.put(key, result)
        return row_of(result), None
    except Unreachable:  # every other unit would fail of it too
        raise
    except XaikitError as error:
        return None, str(error)
    except Exception as error:
        return None, " ".join(unforeseen(unit, error).split())


class Workers:
    """A pool of processes on this machine, each with the model; a unit whose process dies is begun once more."""

    def __init__(
        self,
        name: str,
        recipe: Recipe,
        store: Store,
        workers: int,
        threads: int | None = None,
        table: str | os.PathLike[str] | None = None,
    ) -> None:
        self.store, self.ahead = store, workers * AHEAD
        self.pool = Pool(
            {name: recipe},
            workers,
            queue=self.ahead,
            folder=store.address,
            threads=threads,
            fetch=False,
            table=table,
            resume=False,
        )
        self._ended: SimpleQueue[tuple[Planned, Job, int]] = SimpleQueue()

    def outcomes(self, units: Iterator[Planned]) -> Iterator[Outcome]:
        """Keep every worker busy, and give what came of units as they end."""
        under_way = 0
        for planned in units:
            self._begin(planned, 1)
            under_way += 1
            if under_way >= self.ahead:
                yield self._next()
                under_way -= 1
        for _ in range(under_way):
            yield self._next()

    def close(self) -> None:
        """End the processes."""
        self.pool.close()

    def _begin(self, planned: Planned, tried: int) -> None:
        job = self._submitted(planned.unit)
        job.then(lambda: self._ended.put((planned, job, tried)))

    def _submitted(self, unit: Unit) -> Job:
        while True:
            try:
                return self.pool.submit(unit)
            except QueueFull:
                time.sleep(PAUSE)

    def _next(self) -> Outcome:
        """Wait for the next unit that has ended for good."""
        while True:
            planned, job, tried = self._ended.get()
            error = self._error(planned, job)
            if isinstance(error, WorkerLost) and tried < TRIES:
                self._begin(planned, tried + 1)
                continue
            if error is not None:
                return Outcome(planned, error=str(error), worker=job.worker)
            return Outcome(planned, row_at(self.store, planned.key), worker=job.worker)

    def _error(self, planned: Planned, job: Job) -> XaikitError | None:
        if job.status == "cancelled":
            raise Cancelled("the study was cancelled")
        if job.failure is not None:
            return job.failure
        if job.address == planned.key:
            return None
        if unit_digest(planned.unit) != planned.digest:
            return InputError(f"{planned.input} has been changed since its turn came: run again with --resume")
        raise JobError("the model or the code of xaikit has been changed since the study began: run it again")
