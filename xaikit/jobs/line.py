"""Units that wait, the jobs that wait for them, and what all ways of carrying units out have in common."""

import atexit
import itertools
import logging
import os
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from xaikit.errors import Cancelled, JobError, ParameterError, QueueFull, StorageError, UnknownName, XaikitError
from xaikit.jobs._packing import packed, unpacked
from xaikit.jobs.job import Followed, Job, Work
from xaikit.jobs.remote import store_at
from xaikit.jobs.store import Store
from xaikit.jobs.table import RESTARTED, Orphan, Row, Table
from xaikit.jobs.unit import Recipe, Unit, address, code_version, unit_digest

log = logging.getLogger(__name__)
T = TypeVar("T")
REMEMBERED = 200
"""How many jobs that have ended can still be found by their id."""
FAREWELL = 2.0
"""Seconds that a thread has to end."""
LOOK = 0.5
"""Seconds from one look at what other processes ask for to the next."""
PRUNE_EVERY = 1000
"""Looks between two prunings of the table."""
NOTE_EVERY = 0.5
"""Seconds between two notes of a job's steps in the table."""
TRIES = 2
"""So often is a job begun whose server ends during it."""


@dataclass(frozen=True)
class Asked:
    """The model that a unit asks for: what loads it or is it, what tells it from others, and its identity if known."""

    model: Any
    source: str
    identity: str | None


class Order:
    """Work on its way through a line; `request` is equal for units that ask for the same."""

    def __init__(self, number: int, work: Work, asked: Asked, request: str, digest: str) -> None:
        self.number, self.work, self.asked, self.request, self.digest = number, work, asked, request, digest
        self.slot: Slot | None = None
        self.told = 0.0

    def of(self, owner: str) -> Job | None:
        """Give the job of an owner that waits for it."""
        return next((job for job in self.work.jobs if job.owner == owner), None)


class Keeper(ABC):
    """What finds the results of units that were carried out before."""

    store: Store
    fetch = True
    """Whether a result is read as soon as it is there."""

    @abstractmethod
    def _asked(self, name: str) -> Asked:
        """Find the model of that name. Raises UnknownName, and the errors of a model that is not there."""

    def stored(self, unit: Unit) -> Any | None:
        """Give the result of a unit that was carried out before, without asking for it; None where there is none."""
        try:
            found = self._stored(self._asked(unit.model), unit_digest(unit))
        except XaikitError:
            return None
        return None if found is None else found["result"] if self.fetch else self.store.get(found["address"])

    def _stored(self, asked: Asked, digest: str) -> dict[str, Any] | None:
        """Give address and result of a unit that was carried out before."""
        if asked.identity is None:
            return None
        key = address(asked.identity, digest)
        if not self.fetch:
            return {"address": key} if key in self.store else None
        result = self.store.get(key)
        return None if result is None else {"address": key, "result": result}

    def _read(self, key: str) -> Any:
        result = self.store.get(key)
        if result is None:
            raise JobError("the result is gone from the store: run it again")
        return result


class Recipes(Keeper):
    """The same, for models that other processes load: known by their recipes."""

    models: Mapping[str, Recipe]
    _identities: dict[str, str]

    def _asked(self, name: str) -> Asked:
        if name not in self.models:
            raise UnknownName("model", name, self.models)
        recipe = self.models[name]
        source = recipe.source()
        return Asked(recipe, f"{source} {recipe}", self._identity(source) if source else None)

    def _knows(self, name: str) -> bool:
        return name in self.models

    def _identity(self, source: str) -> str | None:
        """Give the identity of the model that a source gives, where a worker with the same code has noted it."""
        known = self._identities.get(source) or self.store.identity_of(address(source, code_version()))
        if known is not None:
            self._identities[source] = known
        return known


def settled_recipes(models: Mapping[str, Recipe | str] | Iterable[str]) -> dict[str, Recipe]:
    """Give recipes by name: of names of the zoo and paths too."""
    named = models if isinstance(models, Mapping) else {name: name for name in models}
    return {n: (Recipe(r) if isinstance(r, str) else r).settled() for n, r in named.items()}


class Line(Keeper):
    """A bounded queue of units before one or several slots, and a store of what was carried out.

    A unit whose result is in the store needs no slot, and equal units that wait at the same time run once. With a
    `table`, a SQLite file, jobs are found again by other processes and later ones; those that waited or ran when this
    process ended are begun anew by the next one that has their model, unless `resume` is off.
    """

    watched = False
    """Whether slots are to be looked after."""

    def __init__(
        self,
        queue: int,
        folder: str | os.PathLike[str] | None,
        limit: int | None,
        fetch: bool = True,
        *,
        table: str | os.PathLike[str] | None = None,
        per_owner: int | None = None,
        resume: bool = True,
    ) -> None:
        for name, value in {"queue": queue, "per_owner": 1 if per_owner is None else per_owner}.items():
            if value < 1:
                raise ParameterError(f"{name} must be at least 1, not {value}")
        self.store, self.queue, self.fetch = store_at(folder, limit), queue, fetch
        self.per_owner, self.resume = per_owner, resume
        self.table = None if table is None else Table(table)
        self._changed = threading.Condition()
        self._waiting: deque[Order] = deque()
        self._live: dict[str, Order] = {}
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._numbers = itertools.count()
        self._closed = False
        self._slots: list[Slot] = []
        self._ending = threading.Event()
        self._watch: threading.Thread | None = None
        atexit.register(self.close)

    def _begin(self, slots: Callable[[], list["Slot"]]) -> None:
        """Take up what a server that has ended left behind, and begin to work."""
        if self.table is not None:
            self._noted(self.table.prune)
            for orphan in self._noted(self.table.orphans) or ():
                self._adopt(orphan)
        self._slots = slots()
        if self.table is not None or self.watched:
            self._watch = threading.Thread(target=self._look_after, daemon=True, name="xaikit-watch")
            self._watch.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @abstractmethod
    def _knows(self, name: str) -> bool:
        """Whether units may ask for a model of that name."""

    def submit(self, unit: Unit, owner: str | None = None) -> Job:
        """Take a unit and give its job, which is done already where the result is in the store.

        An owner who asks again for what waits or runs for them gets the same job. Raises QueueFull where as many jobs
        wait as may, or as many wait and run for this owner, and JobError after `close`; everything else that is wrong
        with the unit makes the job fail.
        """
        try:
            asked, digest = self._asked(unit.model), unit_digest(unit)
            stored = self._stored(asked, digest)
        except XaikitError as error:
            return self._settled(unit, owner, "failed", error=error)
        if stored is not None:
            return self._settled(unit, owner, "done", **stored)
        kept = self._packed(unit)
        with self._changed:
            self._room(owner, f"{asked.source} {digest}")
            return self._ordered(unit, asked, digest, owner, kept=kept)

    def get(self, id: str, owner: str | None = None) -> Job:
        """Find a job by its id; with an owner, only among theirs. Raises UnknownName.

        Without a table it is found as long as it is remembered.
        """
        with self._changed:
            job = self._jobs.get(id)
        if job is None or (job.followed and job.done):  # what ended with its server may have been begun anew
            job = self._looked_up(id)
        if job is None or owner not in (None, job.owner):
            raise UnknownName("job", id, ())
        return job

    def jobs(self, owner: str | None = None) -> list[Job]:
        """Give the jobs of an owner, or of all, newest first, without those whose result was there before."""
        with self._changed:
            here = {id: job for id, job in reversed(self._jobs.items()) if owner in (None, job.owner)}
        if self.table is None:
            return [job for job in here.values() if not job.stored]
        table = self.table
        rows = self._noted(lambda: table.rows(owner)) or []
        return [here.get(row.id) or self._followed(row) for row in rows]

    def cancel(self, id: str, owner: str | None = None) -> None:
        """Give a job up by its id. Raises UnknownName."""
        self.get(id, owner).cancel()

    def close(self) -> None:
        """Cancel what waits and runs, and end what carries it out.

        With a table, and unless `resume` is off, the jobs stay there for the next process.
        """
        with self._changed:
            if self._closed:
                return
            self._closed = True
            orders = [*self._live.values()]
            self._waiting.clear()
            self._changed.notify_all()
        atexit.unregister(self.close)
        self._ending.set()
        for order in orders:
            if not self.resume:
                self._write(order.work.jobs, status="cancelled", ended=time.time())
            order.work.finish("cancelled", error=Cancelled("the pool was closed"))
        for slot in self._slots:
            slot.hang_up()
        for slot in self._slots:
            slot.close()
        if self._watch is not None:
            self._watch.join(FAREWELL)
        if self.table is not None:
            self.table.close()

    def _work(self, unit: Unit) -> Work:
        return Work(unit, None if self.fetch else self._read, self._place)

    def _place(self, work: Work) -> int | None:
        with self._changed:
            return next((n for n, order in enumerate(self._waiting, 1) if order.work is work), None)

    def _settled(self, unit: Unit, owner: str | None, status: Any, **outcome: Any) -> Job:
        """Give a job that needs no slot; it gets a row where it has failed."""
        work = self._work(unit)
        work.finish(status, **outcome)
        job = Job(unit, work, self._abandon, owner=owner)
        if status == "failed":
            self._add(job, "", None)
        with self._changed:
            return self._remember(job)

    def _room(self, owner: str | None, request: str) -> None:
        """Refuse what there is no room for. Raises QueueFull, and JobError after `close`."""
        if self._closed:
            raise JobError("the pool is closed")
        order = self._live.get(request)
        if order is None and len(self._waiting) >= self.queue:
            raise QueueFull(full(len(self._waiting)))
        if owner is None or self.per_owner is None or (order is not None and order.of(owner) is not None):
            return
        theirs = sum(each.of(owner) is not None for each in self._live.values())
        if theirs >= self.per_owner:
            raise QueueFull(crowded(theirs))

    def _ordered(
        self, unit: Unit, asked: Asked, digest: str, owner: str | None, *, kept: bytes | None, again: Row | None = None
    ) -> Job:
        """Queue a unit, or join the one that asks for the same; `again` is the row of a job that is begun anew."""
        request = f"{asked.source} {digest}"
        order, fresh = self._live.get(request), False
        if order is None:
            order, fresh = Order(next(self._numbers), self._work(unit), asked, request, digest), True
        elif again is None and owner is not None and (same := order.of(owner)) is not None:
            return same
        id, submitted = (None, None) if again is None else (again.id, again.submitted)
        job = Job(unit, order.work, self._abandon, owner=owner, id=id, submitted=submitted)
        if again is None:
            self._add(job, asked.source, kept)
        order.work.jobs.append(job)
        if order.work.status == "running":
            self._write([job], status="running", started=order.work.started)
        if fresh:
            self._live[request] = order
            self._waiting.append(order)
            self._changed.notify()
        return self._remember(job)

    def _remember(self, job: Job) -> Job:
        """Keep a job by its id; of those that have ended only the last."""
        self._jobs[job.id] = job
        if len(self._jobs) > REMEMBERED:
            for id in [i for i, j in self._jobs.items() if j.done][: len(self._jobs) - REMEMBERED]:
                del self._jobs[id]
        return job

    def _abandon(self, job: Job) -> None:
        """Let a job go; when it was the last that waited for the work, stop that."""
        self._write([job], status="cancelled", ended=time.time())
        with self._changed:
            order = next((o for o in self._live.values() if job in o.work.jobs), None)
            if order is None:
                return
            order.work.jobs.remove(job)
            if order.work.jobs:
                return
            del self._live[order.request]
            if order in self._waiting:
                self._waiting.remove(order)
        order.work.finish("cancelled", error=Cancelled(f"{order.work.unit.title} was cancelled"))
        if order.slot is not None:
            order.slot.stop(order)

    # --- the table ------------------------------------------------------------------------------------------------

    def _noted(self, call: Callable[[], T]) -> T | None:
        """Call the table; work goes on where it cannot be used."""
        try:
            return call()
        except StorageError as error:
            log.warning("%s", error)
            return None

    def _packed(self, unit: Unit) -> bytes | None:
        if self.table is None or not self.resume:
            return None
        try:
            return packed(unit)
        except XaikitError:
            return None

    def _add(self, job: Job, source: str, kept: bytes | None) -> None:
        if (table := self.table) is None:
            return
        failure, unit = job.failure, job.unit
        row = Row(
            *(job.id, unit.model, unit.task, unit.method, job.owner, job.status),
            submitted=job.submitted,
            ended=job.submitted if failure is not None else None,
            error=job.error,
            kinds=kinds_of(failure),
        )
        self._noted(lambda: table.add(row, source, kept))

    def _write(self, jobs: Iterable[Job], **values: Any) -> None:
        table, ids = self.table, [job.id for job in jobs]
        if table is not None and ids:
            self._noted(lambda: table.change(ids, **values))

    def _looked_up(self, id: str) -> Job | None:
        """Find a job in the table; one whose server has ended is begun anew where that can be."""
        if (table := self.table) is None:
            return None
        for orphan in self._noted(lambda: table.orphans(id)) or ():
            if (job := self._adopt(orphan)) is not None:
                return job
        row = self._noted(lambda: table.row(id))
        if row is None:
            return None
        job = self._followed(row)
        with self._changed:
            return self._remember(job)  # the same each time, so that its pace is known

    def _followed(self, row: Row) -> Job:
        assert self.table is not None
        work = Followed(self.table, row, self._read)
        table = self.table

        def abandon(job: Job) -> None:
            self._noted(lambda: table.abandon(job.id))

        return Job(work.unit, work, abandon, owner=row.owner, id=row.id, submitted=row.submitted)

    def _adopt(self, orphan: Orphan) -> Job | None:
        """Begin a job anew that an ended server left, if its model is one of these; what cannot be begun has failed."""
        table, row = self.table, orphan.row
        assert table is not None
        if not self.resume or self._closed or not self._knows(row.model):
            return None
        if not self._noted(lambda: table.adopt(orphan)):  # another process was first
            return None
        try:
            return self._again(orphan, unpacked(table.unit(row.id)))
        except XaikitError as error:
            log.info("%s is not begun again: %s", row.title, error)
            lost = {"status": "failed", "ended": time.time(), "error": f"{row.title}: {RESTARTED}", "kinds": "JobError"}
            self._noted(lambda: table.change([row.id], **lost))
            return None

    def _again(self, orphan: Orphan, unit: Unit) -> Job:
        asked, digest = self._asked(unit.model), unit_digest(unit)
        if asked.source != orphan.source:
            raise JobError("its model is another one now")
        if orphan.tries >= TRIES:
            raise JobError(f"its server has ended {TRIES} times during it")
        with self._changed:
            return self._ordered(unit, asked, digest, orphan.row.owner, kept=None, again=orphan.row)

    def _look_after(self) -> None:
        """Give up what other processes ask to, and what slots find."""
        looks = itertools.count(1)
        while not self._ending.wait(LOOK):
            if (table := self.table) is not None:
                if next(looks) % PRUNE_EVERY == 0:
                    self._noted(table.prune)
                for id in self._noted(table.abandoned) or ():
                    job = self._jobs.get(id)
                    if job is not None:
                        job.cancel()
            for slot in self._slots:
                slot.look()

    def begun(self, order: Order) -> None:
        """Note that an order has begun."""
        self._write(self._jobs_of(order), status="running", started=order.work.started)

    def step(self, order: Order, done: int, total: int) -> None:
        """Note a step of an order."""
        order.work.pace.step(done, total)
        now = time.monotonic()
        if self.table is not None and now - order.told > NOTE_EVERY:
            order.told = now
            self._write(self._jobs_of(order), done=done, total=total)

    def _jobs_of(self, order: Order) -> list[Job]:
        with self._changed:
            return [*order.work.jobs]

    def take(self, slot: "Slot") -> Order | None:
        """Wait for an order and give it to a slot; None when the line is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            order = self._waiting.popleft()
            order.slot = slot
            order.work.begin()
            return order

    def settle(self, order: Order, status: Any, **outcome: Any) -> None:
        """End an order; the table says so before those who wait are told."""
        with self._changed:
            if self._live.get(order.request) is order:
                del self._live[order.request]
            jobs = [*order.work.jobs]
        if not (self._closed and self.resume and status == "cancelled"):
            self._write_end(jobs, order.work, status, outcome)
        order.work.finish(status, **outcome)

    def _write_end(self, jobs: list[Job], work: Work, status: str, outcome: Mapping[str, Any]) -> None:
        error = outcome.get("error") if status == "failed" else None
        steps = {} if work.progress is None else dict(zip(("done", "total"), work.progress, strict=True))
        self._write(
            jobs,
            status=status,
            ended=time.time(),
            seconds=time.monotonic() - work.began,
            address=outcome.get("address"),
            error=None if error is None else str(error),
            kinds=" ".join(kinds_of(error)),
            **steps,
        )


class Slot(ABC):
    """A place at which one order after the other is carried out, with a thread of its own."""

    turn: AbstractContextManager[Any] = nullcontext()
    """What one of several slots has at a time, from taking an order to its end."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self.order: Order | None = None
        self.thread = threading.Thread(target=self._serve, daemon=True, name="xaikit-jobs")
        self.thread.start()

    @abstractmethod
    def carry_out(self, order: Order) -> dict[str, Any]:
        """Carry out an order and give its outcome: status, address, result, error. Any error raised fails it."""

    @abstractmethod
    def stop(self, order: Order) -> None:
        """Stop at an order that nobody waits for any more, if it is the present one."""

    def look(self) -> None:
        """Look whether all is well; called now and then."""
        return

    def hang_up(self) -> None:
        """Begin to end."""
        return

    def close(self) -> None:
        """Wait for the end."""
        self.thread.join(FAREWELL)

    def _serve(self) -> None:
        while True:
            with self.turn:
                order = self.line.take(self)
                if order is None:
                    return
                self._finish(order)

    def _finish(self, order: Order) -> None:
        self.order = order
        try:
            if not order.work.finished.is_set():
                self.line.begun(order)
                self.line.settle(order, **self.carry_out(order))
        except Cancelled as error:
            self.line.settle(order, "cancelled", error=error)
        except XaikitError as error:
            self.line.settle(order, "failed", error=error)
        except Exception as error:
            self.line.settle(order, "failed", error=JobError(unforeseen(order.work.unit, error)))
        finally:
            self.order = None


def full(waiting: int) -> str:
    """Say that as many jobs wait as may."""
    return f"{waiting} jobs are waiting already, as many as may: try again later"


def crowded(theirs: int) -> str:
    """Say that an owner has as many jobs as may be."""
    return f"{theirs} of your jobs are waiting or running, as many as may: wait until one has ended, or cancel one"


def kinds_of(error: XaikitError | None) -> tuple[str, ...]:
    """Give the classes of an error, the nearest first, as `rebuilt` takes them."""
    return () if error is None else tuple(cls.__name__ for cls in type(error).__mro__)


def unforeseen(unit: Unit, error: Exception) -> str:
    """Say that an error was none of those that xaikit raises on purpose."""
    return f"{unit.title} met an unforeseen {type(error).__name__}: {error}"
