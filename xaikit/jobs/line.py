"""Units that wait, the jobs that wait for them, and what all ways of carrying units out have in common."""

import atexit
import itertools
import os
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from xaikit.errors import Cancelled, JobError, ParameterError, QueueFull, UnknownName, XaikitError
from xaikit.jobs.job import Job, Work
from xaikit.jobs.remote import store_at
from xaikit.jobs.unit import Unit, address, unit_digest

REMEMBERED = 200
"""How many jobs that have ended can still be found by their id."""
FAREWELL = 2.0
"""Seconds that a thread has to end."""


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


class Line(ABC):
    """A bounded queue of units before one or several slots, and a store of what was carried out.

    A unit whose result is in the store needs no slot, and equal units that wait at the same time run once.
    """

    def __init__(
        self, queue: int, folder: str | os.PathLike[str] | None, limit: int | None, fetch: bool = True
    ) -> None:
        if queue < 1:
            raise ParameterError(f"queue must be at least 1, not {queue}")
        self.store, self.queue, self.fetch = store_at(folder, limit), queue, fetch
        self._changed = threading.Condition()
        self._waiting: deque[Order] = deque()
        self._live: dict[str, Order] = {}
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._numbers = itertools.count()
        self._closed = False
        self._slots: list[Slot] = []
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @abstractmethod
    def _asked(self, name: str) -> Asked:
        """Find the model of that name. Raises UnknownName, and the errors of a model that is not there."""

    def submit(self, unit: Unit) -> Job:
        """Take a unit and give its job, which is done already where the result is in the store.

        Raises QueueFull, and JobError after `close`; everything else that is wrong with the unit makes the job fail.
        """
        try:
            asked, digest = self._asked(unit.model), unit_digest(unit)
            stored = self._stored(asked, digest)
        except XaikitError as error:
            return self._settled(unit, "failed", error=error)
        if stored is not None:
            return self._settled(unit, "done", **stored)
        return self._ordered(unit, asked, digest)

    def stored(self, unit: Unit) -> Any | None:
        """Give the result of a unit that was carried out before, without asking for it; None where there is none."""
        try:
            found = self._stored(self._asked(unit.model), unit_digest(unit))
        except XaikitError:
            return None
        return None if found is None else found["result"] if self.fetch else self.store.get(found["address"])

    def get(self, id: str) -> Job:
        """Find a job by its id, as long as it is remembered. Raises UnknownName."""
        with self._changed:
            job = self._jobs.get(id)
        if job is None:
            raise UnknownName("job", id, ())
        return job

    def cancel(self, id: str) -> None:
        """Give a job up by its id. Raises UnknownName."""
        self.get(id).cancel()

    def close(self) -> None:
        """Cancel what waits and runs, and end what carries it out."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            orders = [*self._live.values()]
            self._waiting.clear()
            self._changed.notify_all()
        atexit.unregister(self.close)
        for order in orders:
            order.work.finish("cancelled", error=Cancelled("the pool was closed"))
        for slot in self._slots:
            slot.hang_up()
        for slot in self._slots:
            slot.close()

    def _stored(self, asked: Asked, digest: str) -> dict[str, Any] | None:
        """Give address and result of a unit that was carried out before."""
        if asked.identity is None:
            return None
        key = address(asked.identity, digest)
        if not self.fetch:
            return {"address": key} if key in self.store else None
        result = self.store.get(key)
        return None if result is None else {"address": key, "result": result}

    def _work(self, unit: Unit) -> Work:
        return Work(unit, None if self.fetch else self._read)

    def _read(self, key: str) -> Any:
        result = self.store.get(key)
        if result is None:
            raise JobError("the result was gone from the store before it was read")
        return result

    def _settled(self, unit: Unit, status: Any, **outcome: Any) -> Job:
        work = self._work(unit)
        work.finish(status, **outcome)
        with self._changed:
            return self._remember(Job(unit, work, self._abandon))

    def _ordered(self, unit: Unit, asked: Asked, digest: str) -> Job:
        """Queue a unit, or join the one that asks for the same."""
        request = f"{asked.source} {digest}"
        with self._changed:
            if self._closed:
                raise JobError("the pool is closed")
            order = self._live.get(request)
            if order is None:
                if len(self._waiting) >= self.queue:
                    raise QueueFull(f"{len(self._waiting)} jobs are waiting already, as many as may: try again later")
                order = Order(next(self._numbers), self._work(unit), asked, request, digest)
                self._live[request] = order
                self._waiting.append(order)
                self._changed.notify()
            order.work.jobs += 1
            return self._remember(Job(unit, order.work, self._abandon))

    def _remember(self, job: Job) -> Job:
        """Keep a job by its id; of those that have ended only the last."""
        self._jobs[job.id] = job
        if len(self._jobs) > REMEMBERED:
            for id in [i for i, j in self._jobs.items() if j.done][: len(self._jobs) - REMEMBERED]:
                del self._jobs[id]
        return job

    def _abandon(self, work: Work) -> None:
        """Let a job go; when it was the last that waited for the work, stop that."""
        with self._changed:
            work.jobs -= 1
            order = next((o for o in self._live.values() if o.work is work), None)
            if work.jobs > 0 or order is None:
                return
            del self._live[order.request]
            if order in self._waiting:
                self._waiting.remove(order)
        work.finish("cancelled", error=Cancelled(f"{work.unit.title} was cancelled"))
        if order.slot is not None:
            order.slot.stop(order)

    def take(self, slot: "Slot") -> Order | None:
        """Wait for an order and give it to a slot; None when the line is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            order = self._waiting.popleft()
            order.slot, order.work.status = slot, "running"
            return order

    def settle(self, order: Order, status: Any, **outcome: Any) -> None:
        """End an order."""
        with self._changed:
            if self._live.get(order.request) is order:
                del self._live[order.request]
        order.work.finish(status, **outcome)


class Slot(ABC):
    """A place at which one order after the other is carried out, with a thread of its own."""

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

    def hang_up(self) -> None:
        """Begin to end."""
        return

    def close(self) -> None:
        """Wait for the end."""
        self.thread.join(FAREWELL)

    def _serve(self) -> None:
        while (order := self.line.take(self)) is not None:
            self.order = order
            try:
                if not order.work.finished.is_set():
                    self.line.settle(order, **self.carry_out(order))
            except Cancelled as error:
                self.line.settle(order, "cancelled", error=error)
            except XaikitError as error:
                self.line.settle(order, "failed", error=error)
            except Exception as error:
                self.line.settle(order, "failed", error=JobError(unforeseen(order.work.unit, error)))
            finally:
                self.order = None


def unforeseen(unit: Unit, error: Exception) -> str:
    """Say that an error was none of those that xaikit raises on purpose."""
    return f"{unit.title} met an unforeseen {type(error).__name__}: {error}"
