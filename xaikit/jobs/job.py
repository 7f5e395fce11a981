"""What a caller holds of work in progress, and the interface that every way of running work has."""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, Protocol, cast

from xaikit import errors
from xaikit.errors import Cancelled, JobError, XaikitError
from xaikit.jobs.table import Row, Rows
from xaikit.jobs.unit import Unit

Status = Literal["waiting", "running", "done", "failed", "cancelled"]
PLAIN = {
    name: cls
    for name, cls in vars(errors).items()
    if isinstance(cls, type) and issubclass(cls, XaikitError) and "__init__" not in vars(cls)
}
"""The errors that can be made again from their text alone."""
GLANCE = 0.1
"""Seconds for which what was read of another process's work is still true."""


class Pace:
    """How fast steps are made, and from that how long the rest will take."""

    def __init__(self) -> None:
        self.steps: tuple[int, int] | None = None
        self._first = self._last = (0, 0.0)

    def step(self, done: int, total: int) -> None:
        """Take note of a step; where the total changes or steps begin anew, so does the estimate."""
        at, before = (done, time.monotonic()), self.steps
        if before is None or before[1] != total or done < before[0]:
            self._first = at
        self.steps, self._last = (done, total), at

    def left(self) -> float | None:
        """Estimate the seconds that are left; None as long as nothing can be said."""
        if self.steps is None:
            return None
        (first, began), (last, at) = self._first, self._last
        if last == first or at == began:
            return None
        expected = (self.steps[1] - last) * (at - began) / (last - first)
        return max(0.0, expected - (time.monotonic() - at))

    @property
    def quiet(self) -> float | None:
        """Seconds since the last step, or None before the first."""
        return None if self.steps is None else time.monotonic() - self._last[1]


class Work:
    """One piece of work that is carried out once, however many jobs wait for it."""

    def __init__(
        self, unit: Unit, read: Callable[[str], Any] | None = None, turn: Callable[["Work"], int | None] | None = None
    ) -> None:
        self.unit, self.read, self._turn = unit, read, turn
        self.status: Status = "waiting"
        self.started: float | None = None
        self.began = 0.0
        self.seconds: float | None = None
        self.pace = Pace()
        self.address: str | None = None
        self.result: Any = None
        self.error: XaikitError | None = None
        self.worker: int | None = None
        self.jobs: list[Job] = []
        self.finished = threading.Event()
        self._told: list[Callable[[], None]] = []
        self._once = threading.Lock()

    @property
    def left(self) -> float | None:
        """The seconds that are left, or None."""
        return self.pace.left()

    @property
    def quiet(self) -> float | None:
        """Seconds without a step, or None before the beginning."""
        if self.started is None:
            return None
        quiet = self.pace.quiet
        return max(0.0, time.time() - self.started) if quiet is None else quiet

    def wait(self, timeout: float | None) -> None:
        """Wait until the work is settled."""
        self.finished.wait(timeout)

    def value(self) -> Any:
        """Give the result of work that is done. Raises the error of work that has failed."""
        if self.error is not None:
            raise self.error
        if self.read is not None and self.address is not None:
            return self.read(self.address)
        return self.result

    @property
    def progress(self) -> tuple[int, int] | None:
        """Steps (done, total)."""
        return self.pace.steps

    @property
    def place(self) -> int | None:
        """The place among those that wait, 1 for the next, or None."""
        return self._turn(self) if self._turn is not None and self.status == "waiting" else None

    def begin(self) -> None:
        """Note that the work has begun."""
        self.started, self.began = time.time(), time.monotonic()
        if not self.finished.is_set():
            self.status = "running"

    def finish(self, status: Status, *, address: str | None = None, result: Any = None, error: Any = None) -> None:
        """Settle the work, once: what comes later is ignored."""
        with self._once:
            if self.finished.is_set():
                return
            if self.started is not None:
                self.seconds = time.monotonic() - self.began
            self.address, self.result, self.error, self.status = address, result, error, status
            self.finished.set()
        for call in self._told:
            call()

    def then(self, call: Callable[[], None]) -> None:
        """Call once the work is settled, at once where it is; in the thread that settles it."""
        with self._once:
            settled = self.finished.is_set()
            if not settled:
                self._told.append(call)
        if settled:
            call()


class Followed:
    """Work that another process carries out, seen through the rows that it writes."""

    worker: int | None = None

    def __init__(self, rows: Rows, row: Row, read: Callable[[str], Any], unit: Unit | None = None) -> None:
        self.rows, self.id, self.read = rows, row.id, read
        self.unit = unit or Unit(row.model, None, row.method, task=row.task)
        self.pace = Pace()
        self._row, self._at, self._once = row, time.monotonic(), threading.Lock()
        self._seen(row)

    def _seen(self, row: Row) -> Row:
        if row.progress is not None and row.progress != self.pace.steps:
            self.pace.step(*row.progress)
        self._row, self._at = row, time.monotonic()
        return row

    @property
    def row(self) -> Row:
        """The row as it was a moment ago at most."""
        with self._once:
            if not self._row.open or time.monotonic() - self._at < GLANCE:
                return self._row
            try:
                found = self.rows.row(self.id)
            except XaikitError:  # what cannot be asked now may be later
                self._at = time.monotonic()
                return self._row
            lost = f"{self.unit.title} is not known any more, run it again"
            return self._seen(replace(self._row, status="failed", error=lost) if found is None else found)

    @property
    def status(self) -> Status:
        return cast(Status, self.row.status)

    @property
    def progress(self) -> tuple[int, int] | None:
        return self.row.progress

    @property
    def place(self) -> int | None:
        return self.row.place

    @property
    def started(self) -> float | None:
        return self.row.started

    @property
    def seconds(self) -> float | None:
        return self.row.seconds

    @property
    def address(self) -> str | None:
        return self.row.address

    @property
    def left(self) -> float | None:
        return self.pace.left() if self.row.open else None

    @property
    def quiet(self) -> float | None:
        row = self.row
        quiet = self.pace.quiet
        return quiet if quiet is not None or row.started is None else max(0.0, time.time() - row.started)

    @property
    def error(self) -> XaikitError | None:
        row = self.row
        return rebuilt(list(row.kinds), row.error or f"{row.title} failed") if row.status == "failed" else None

    def wait(self, timeout: float | None) -> None:
        until = None if timeout is None else time.monotonic() + timeout
        while self.row.open and (until is None or time.monotonic() < until):
            time.sleep(GLANCE if until is None else max(0.0, min(GLANCE, until - time.monotonic())))

    def then(self, call: Callable[[], None]) -> None:
        if not self.row.open:
            call()
            return

        def follow() -> None:
            self.wait(None)
            call()

        threading.Thread(target=follow, daemon=True, name="xaikit-follow").start()

    def value(self) -> Any:
        if (error := self.error) is not None:
            raise error
        return None if self.row.address is None else self.read(self.row.address)


class Job:
    """A unit that was submitted: where it stands, and in the end its result or an error.

    `status` is "waiting", "running", "done", "failed" or "cancelled"; `id` finds the job again in its runner, and
    cannot be guessed. `owner` is who asked for it, if that was said, and `submitted` when, in seconds since 1970.
    """

    def __init__(
        self,
        unit: Unit,
        work: Work | Followed,
        abandon: Callable[["Job"], None],
        *,
        owner: str | None = None,
        id: str | None = None,
        submitted: float | None = None,
    ) -> None:
        self.id, self.unit, self.owner = id or secrets.token_hex(16), unit, owner
        self.submitted = time.time() if submitted is None else submitted
        self._work, self._abandon = work, abandon
        self._cancelled = threading.Event()
        self._once = threading.Lock()

    def __repr__(self) -> str:
        return f"<Job {self.unit.title}: {self.status}>"

    @property
    def status(self) -> Status:
        """Where the job stands."""
        return "cancelled" if self._cancelled.is_set() else self._work.status

    @property
    def done(self) -> bool:
        """Whether the job has ended, well or not."""
        return self.status in ("done", "failed", "cancelled")

    @property
    def progress(self) -> tuple[int, int] | None:
        """Steps (done, total), or None as long as nothing is known of them."""
        return self._work.progress

    @property
    def followed(self) -> bool:
        """Whether another process carries the work out."""
        return isinstance(self._work, Followed)

    @property
    def place(self) -> int | None:
        """The place among the jobs that wait, 1 for the next one; None for a job that does not wait."""
        return None if self.done else self._work.place

    @property
    def started(self) -> float | None:
        """When the work was begun, in seconds since 1970, or None where it was not."""
        return self._work.started

    @property
    def left(self) -> float | None:
        """The seconds that are left, estimated from the steps so far; None as long as nothing can be said."""
        return self._work.left if self.status == "running" else None

    @property
    def quiet(self) -> float | None:
        """Seconds in which a running job has made no step, or None."""
        return self._work.quiet if self.status == "running" else None

    @property
    def seconds(self) -> float | None:
        """How long the work took, or None where it has not ended or nothing was run."""
        return self._work.seconds

    @property
    def stored(self) -> bool:
        """Whether the result was there before, so that nothing was run."""
        return self._work.status == "done" and self._work.started is None

    @property
    def address(self) -> str | None:
        """The address of the result in the store, once it is done."""
        return self._work.address

    @property
    def worker(self) -> int | None:
        """The id of the process that carries the unit out, or None where none was needed."""
        return self._work.worker

    @property
    def error(self) -> str | None:
        """What went wrong, in one line, or None."""
        return " ".join(str(self._work.error).split()) if self.status == "failed" else None

    @property
    def failure(self) -> XaikitError | None:
        """The error of a job that failed, as `result` would raise it, or None."""
        return self._work.error if self.status == "failed" else None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the job has ended, and say whether it has."""
        if not self._cancelled.is_set():
            self._work.wait(timeout)
        return self.done

    def then(self, call: Callable[[], None]) -> None:
        """Have `call` called when the unit has been carried out, or has failed; at once where it has.

        It is called in another thread, and is to be short.
        """
        self._work.then(call)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the result and give it.

        Raises the error of a job that failed, Cancelled, and TimeoutError after `timeout` seconds.
        """
        if not self.wait(timeout):
            raise TimeoutError(f"{self.unit.title} has not ended in {timeout} s")
        if self.status == "cancelled":
            raise Cancelled(f"{self.unit.title} was cancelled")
        return self._work.value()

    def cancel(self) -> None:
        """Give the job up: it is cancelled at once, and its worker stops as soon as it can, unless others wait too."""
        with self._once:
            if self.done:
                return
            self._cancelled.set()
        self._abandon(self)


class Runner(Protocol):
    """A way to have units carried out: threads and processes of this machine, or the workers of several."""

    def submit(self, unit: Unit, owner: str | None = None) -> Job:
        """Take a unit. Raises QueueFull; everything else that is wrong with it makes the job fail."""

    def stored(self, unit: Unit) -> Any | None:
        """Give the result of a unit that was carried out before, without asking for it; None where there is none."""

    def get(self, id: str, owner: str | None = None) -> Job:
        """Find a job again; with an owner, only among theirs. Raises UnknownName."""

    def jobs(self, owner: str | None = None) -> list[Job]:
        """Give the jobs of an owner, or of all, newest first, without those whose result was there before."""

    def cancel(self, id: str, owner: str | None = None) -> None:
        """Give a job up. Raises UnknownName."""

    def close(self) -> None:
        """End: what waits or runs is cancelled here."""


def rebuilt(classes: list[str], text: str) -> XaikitError:
    """Make an error of another process again: of the nearest of its classes that has no more than a text."""
    return next((PLAIN[name] for name in classes if name in PLAIN), JobError)(text)
