"""What a caller holds of work in progress, and the interface that every way of running work has."""

import secrets
import threading
from collections.abc import Callable
from typing import Any, Literal, Protocol

from xaikit import errors
from xaikit.errors import Cancelled, JobError, XaikitError
from xaikit.jobs.unit import Unit

Status = Literal["waiting", "running", "done", "failed", "cancelled"]
PLAIN = {
    name: cls
    for name, cls in vars(errors).items()
    if isinstance(cls, type) and issubclass(cls, XaikitError) and "__init__" not in vars(cls)
}
"""The errors that can be made again from their text alone."""


class Work:
    """One piece of work that is carried out once, however many jobs wait for it."""

    def __init__(self, unit: Unit, read: Callable[[str], Any] | None = None) -> None:
        self.unit, self.read = unit, read
        self.status: Status = "waiting"
        self.progress: tuple[int, int] | None = None
        self.address: str | None = None
        self.result: Any = None
        self.error: XaikitError | None = None
        self.worker: int | None = None
        self.jobs = 0
        self.finished = threading.Event()
        self._told: list[Callable[[], None]] = []
        self._once = threading.Lock()

    def finish(self, status: Status, *, address: str | None = None, result: Any = None, error: Any = None) -> None:
        """Settle the work, once: what comes later is ignored."""
        with self._once:
            if self.finished.is_set():
                return
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


class Job:
    """A unit that was submitted: where it stands, and in the end its result or an error.

    `status` is "waiting", "running", "done", "failed" or "cancelled"; `id` finds the job again in its runner, and
    cannot be guessed.
    """

    def __init__(self, unit: Unit, work: Work, abandon: Callable[[Work], None]) -> None:
        self.id, self.unit = secrets.token_hex(16), unit
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
            self._work.finished.wait(timeout)
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
        if self._work.error is not None:
            raise self._work.error
        if self._work.read is not None and self._work.address is not None:
            return self._work.read(self._work.address)
        return self._work.result

    def cancel(self) -> None:
        """Give the job up: it is cancelled at once, and its worker stops as soon as it can, unless others wait too."""
        with self._once:
            if self.done:
                return
            self._cancelled.set()
        self._abandon(self._work)


class Runner(Protocol):
    """A way to have units carried out: a pool of processes here, and other machines in time."""

    def submit(self, unit: Unit) -> Job:
        """Take a unit. Raises QueueFull; everything else that is wrong with it makes the job fail."""

    def get(self, id: str) -> Job:
        """Find a job again. Raises UnknownName."""

    def cancel(self, id: str) -> None:
        """Give a job up. Raises UnknownName."""

    def close(self) -> None:
        """End: what waits or runs is cancelled."""


def rebuilt(classes: list[str], text: str) -> XaikitError:
    """Make an error of another process again: of the nearest of its classes that has no more than a text."""
    return next((PLAIN[name] for name in classes if name in PLAIN), JobError)(text)
