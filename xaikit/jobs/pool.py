"""A pool of worker processes on this machine."""

import atexit
import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from xaikit.errors import Cancelled, JobError, ParameterError, QueueFull, UnknownName, XaikitError
from xaikit.jobs.job import Job, Work, rebuilt
from xaikit.jobs.store import Store
from xaikit.jobs.unit import Recipe, Unit, address, unit_digest
from xaikit.jobs.worker import LAST_BREATH, Setup

PATIENCE = 3.0
"""Seconds that a worker has to stop at what was cancelled, before it is replaced by a fresh one."""
PATIENCE_LOADING = 60.0
"""The same while it loads a model, which it will need again."""
REMEMBERED = 200
"""How many jobs that have ended can still be found by their id."""
THREADS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
)
PROGRAM = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from xaikit.jobs.worker import main; main()"


class Pool:
    """Worker processes that carry out units, keep the models they have loaded, and put results into a store.

    `models` names what units may ask for: recipes by name, or names of the zoo and paths of model files. At most
    `queue` units wait. `folder` and `limit` (bytes) are those of the store, `keep` the models that a worker keeps,
    `threads` the threads of each worker (None: the processors shared out), `modules` Python modules that register more
    tasks. A unit whose result is in the store needs no worker, and equal units that wait at the same time run once. A
    worker that dies fails its job, and a fresh one takes the next. Processes start with the first unit that needs one,
    and end with `close`, at the end of a `with`, and with this process, however it ends.
    """

    def __init__(
        self,
        models: Mapping[str, Recipe | str] | Iterable[str],
        workers: int = 1,
        queue: int = 64,
        folder: str | os.PathLike[str] | None = None,
        *,
        limit: int | None = None,
        keep: int = 3,
        threads: int | None = None,
        modules: Iterable[str] = (),
    ) -> None:
        for name, value in {"workers": workers, "queue": queue, "keep": keep, "threads": threads or 1}.items():
            if value < 1:
                raise ParameterError(f"{name} must be at least 1, not {value}")
        named = models if isinstance(models, Mapping) else {name: name for name in models}
        self.models = {n: (Recipe(r) if isinstance(r, str) else r).settled() for n, r in named.items()}
        self.store, self.queue = Store(folder, limit), queue
        self.threads = threads or max(1, processors() // workers)
        self._setup = Setup(str(self.store.folder.absolute()), limit, keep, tuple(modules))
        self._identities: dict[str, str] = {}
        self._changed = threading.Condition()
        self._waiting: deque[_Order] = deque()
        self._live: dict[str, _Order] = {}
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._numbers = itertools.count()
        self._closed = False
        self._slots = [_Slot(self, i) for i in range(workers)]
        atexit.register(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def submit(self, unit: Unit) -> Job:
        """Take a unit and give its job, which is done already where the result is in the store.

        Raises QueueFull, and JobError after `close`; everything else that is wrong with the unit makes the job fail.
        """
        try:
            if unit.model not in self.models:
                raise UnknownName("model", unit.model, self.models)
            recipe = self.models[unit.model]
            source, digest = recipe.source(), unit_digest(unit)
            stored = self._stored(source, digest)
        except XaikitError as error:
            return self._settled(unit, "failed", error=error)
        if stored is not None:
            return self._settled(unit, "done", **stored)
        return self._order(unit, recipe, f"{source} {recipe} {digest}")

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
        """Cancel what waits and runs, and end the processes."""
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

    @property
    def processes(self) -> list[int]:
        """The process ids of the workers that are alive."""
        return [slot.worker.process.pid for slot in self._slots if slot.worker is not None and slot.worker.alive]

    # --- before a worker is needed --------------------------------------------------------------------------------

    def _stored(self, source: str | None, digest: str) -> dict[str, Any] | None:
        """Give address and result of a unit that was carried out before, for a model whose identity is known."""
        identity = self._identity(source) if source else None
        if identity is None:
            return None
        key = address(identity, digest)
        result = self.store.get(key)
        return None if result is None else {"address": key, "result": result}

    def _identity(self, source: str) -> str | None:
        known = self._identities.get(source) or self.store.identity_of(source)
        if known is not None:
            self._identities[source] = known
        return known

    def note(self, source: str | None, identity: str) -> None:
        """Remember which model a source gives, so that its stored results are found without loading it."""
        if source is not None and self._identity(source) != identity:
            self._identities[source] = identity
            self.store.note_identity(source, identity)

    def _settled(self, unit: Unit, status: Any, **outcome: Any) -> Job:
        work = Work(unit)
        work.finish(status, **outcome)
        with self._changed:
            return self._remember(Job(unit, work, self._abandon))

    def _order(self, unit: Unit, recipe: Recipe, request: str) -> Job:
        """Queue a unit, or join the one that asks for the same."""
        with self._changed:
            if self._closed:
                raise JobError("the pool is closed")
            order = self._live.get(request)
            if order is None:
                if len(self._waiting) >= self.queue:
                    raise QueueFull(f"{len(self._waiting)} jobs are waiting already, as many as may: try again later")
                order = _Order(next(self._numbers), Work(unit), recipe, request)
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

    # --- for the slots --------------------------------------------------------------------------------------------

    def take(self, slot: "_Slot") -> "_Order | None":
        """Wait for an order and give it to a slot; None when the pool is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            order = self._waiting.popleft()
            order.slot, order.work.status = slot, "running"
            return order

    def settle(self, order: "_Order", status: Any, **outcome: Any) -> None:
        """End an order."""
        with self._changed:
            if self._live.get(order.request) is order:
                del self._live[order.request]
        order.work.finish(status, **outcome)


class _Order:
    """Work on its way through the pool; `request` is equal for units that ask for the same."""

    def __init__(self, number: int, work: Work, recipe: Recipe, request: str) -> None:
        self.number, self.work, self.recipe, self.request = number, work, recipe, request
        self.slot: _Slot | None = None


class _Slot:
    """A place for one worker, with the thread that serves it."""

    def __init__(self, pool: Pool, number: int) -> None:
        self.pool = pool
        self.worker: _Process | None = None
        self.order: _Order | None = None
        self.loading = False
        self._lock = threading.Lock()
        self._closed = False
        self.thread = threading.Thread(target=self._serve, daemon=True, name=f"xaikit-jobs-{number}")
        self.thread.start()

    def _serve(self) -> None:
        while (order := self.pool.take(self)) is not None:
            self.order = order
            try:
                if order.work.finished.is_set():
                    continue
                self.pool.settle(order, **self._carry_out(order))
            except XaikitError as error:
                self.pool.settle(order, "failed", error=error)
            except Exception as error:
                self.pool.settle(order, "failed", error=JobError(f"{order.work.unit.title} could not be run: {error}"))
            finally:
                self.order, self.loading = None, False

    def _carry_out(self, order: _Order) -> dict[str, Any]:
        """Have one order carried out; a worker that was dead before it began is replaced, once."""
        message = pickle.dumps(("run", order.number, order.work.unit, order.recipe), protocol=5)
        worker, fresh = self._ready()
        begun, outcome = self._listen(worker, message, order)
        if outcome is None and not begun and not fresh:
            worker, fresh = self._ready()
            begun, outcome = self._listen(worker, message, order)
        if outcome is None:
            raise JobError(worker.epitaph(order.work.unit, begun))
        return outcome

    def _ready(self) -> "tuple[_Process, bool]":
        """Give a live worker, and whether it is a fresh one."""
        with self._lock:
            if self._closed:
                raise Cancelled("the pool was closed")
            if self.worker is not None and self.worker.alive:
                return self.worker, False
            if self.worker is not None:
                self.worker.bury()
            self.worker = _Process(self.pool._setup, self.pool.threads)
            return self.worker, True

    def _listen(self, worker: "_Process", message: bytes, order: _Order) -> tuple[bool, dict[str, Any] | None]:
        """Send an order and follow it to its end: whether the worker began, and the outcome; None if it died."""
        begun = False
        try:
            worker.send(message)
            if order.work.finished.is_set():  # cancelled between being taken and being sent
                self.stop(order)
            while True:
                kind, *told = worker.receive()
                begun = True
                outcome = self._heard(order, kind, told)
                if outcome is not None:
                    return begun, outcome
        except (EOFError, OSError, pickle.UnpicklingError):
            worker.bury()
            return begun, None

    def _heard(self, order: _Order, kind: str, told: list[Any]) -> dict[str, Any] | None:
        """Take one message; give the outcome if it is the last."""
        self.loading = kind == "loading"
        if kind == "loaded":
            self.pool.note(*told)
        elif kind == "progress":
            order.work.progress = (told[0], told[1])
        elif kind == "done":
            result = self.pool.store.get(told[0])
            if result is None:
                raise JobError(f"the result of {order.work.unit.title} was gone from the store before it was read")
            return {"status": "done", "address": told[0], "result": result}
        elif kind == "cancelled":
            return {"status": "cancelled", "error": Cancelled(f"{order.work.unit.title} was cancelled")}
        elif kind == "failed":
            return {"status": "failed", "error": rebuilt(*told)}
        return None

    def stop(self, order: _Order) -> None:
        """Tell the worker to give an order up, and end it if it does not."""
        worker = self.worker
        if worker is None or self.order is not order:
            return
        worker.tell(pickle.dumps(("cancel", order.number), protocol=5))
        self._insist(order, worker, 0.0)

    def _insist(self, order: _Order, worker: "_Process", waited: float) -> None:
        """Kill a worker that is still at a cancelled order after its time."""
        if waited >= (PATIENCE_LOADING if self.loading else PATIENCE):
            worker.kill()
            return

        def again() -> None:
            if self.order is order:
                self._insist(order, worker, waited + PATIENCE)

        timer = threading.Timer(PATIENCE, again)
        timer.daemon = True
        timer.start()

    def hang_up(self) -> None:
        """Tell the worker that there is no more to do."""
        with self._lock:
            self._closed = True
            if self.worker is not None:
                self.worker.hang_up()

    def close(self) -> None:
        """Wait for the end of the worker and of the thread."""
        if self.worker is not None:
            self.worker.end()
        self.thread.join(LAST_BREATH)
        if self.worker is not None:
            self.worker.bury()


class _Process:
    """A worker process, seen from its parent."""

    def __init__(self, setup: Setup, threads: int) -> None:
        environment = {**os.environ, **{name: str(threads) for name in THREADS}}
        program = [sys.executable, "-P", "-c", PROGRAM, json.dumps(sys.path)]
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self._lock = threading.Lock()
        self.tell(pickle.dumps(setup, protocol=5))

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def send(self, message: bytes) -> None:
        """Write a message. Raises OSError where the process is gone."""
        with self._lock:
            self.stdin.write(message)
            self.stdin.flush()

    def tell(self, message: bytes) -> None:
        """Write a message to a process that may be gone."""
        try:
            self.send(message)
        except (OSError, ValueError):  # a pipe that was closed meanwhile is a ValueError
            return

    def receive(self) -> Any:
        """Wait for a message. Raises EOFError where the process is gone."""
        return pickle.load(self.stdout)

    def kill(self) -> None:
        self.process.kill()

    def hang_up(self) -> None:
        """Close the process's standard input, at which it stops by itself."""
        try:
            self.stdin.close()
        except OSError:  # what could not be written any more
            return

    def end(self) -> None:
        """Wait for a process that is ending, and kill one that is not."""
        try:
            self.process.wait(LAST_BREATH + 1)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait()

    def bury(self) -> None:
        """Leave nothing of a process that nobody listens to any more."""
        self.hang_up()
        self.end()
        self.stdout.close()

    def epitaph(self, unit: Unit, begun: bool) -> str:
        """Say in one line how the process ended."""
        code = self.process.returncode
        if not begun:
            return (
                f"the worker process for {unit.title} could not start (exit code {code}); its own words are on stderr"
            )
        how = f"was killed by {signal.Signals(-code).name}" if code and code < 0 else f"ended with exit code {code}"
        why = ", perhaps for want of memory" if code == -9 else ""
        return f"the worker process {how}{why} during {unit.title}; the next job gets a fresh one"


def processors() -> int:
    """Count the processors that this process may use; OMP_NUM_THREADS may allow fewer."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return min(found, max(1, int(allowed))) if allowed.isdigit() else found
