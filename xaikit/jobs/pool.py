"""A pool of worker processes on this machine."""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from xaikit.errors import Cancelled, JobError, ParameterError, WorkerLost
from xaikit.jobs.job import rebuilt
from xaikit.jobs.line import Line, Order, Recipes, Slot, settled_recipes
from xaikit.jobs.unit import Recipe, Unit, address, code_version
from xaikit.jobs.worker import LAST_BREATH, Setup

PATIENCE = 3.0
"""Seconds that a worker has to stop at what was cancelled, before it is replaced by a fresh one."""
PATIENCE_LOADING = 60.0
"""The same while it loads a model, which it will need again."""
SILENCE = 300.0
"""Seconds without a sign of life, of which there is one every two, after which a worker counts as hung and is ended."""
GPUS = Path("/proc/driver/nvidia/gpus")
THREADS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
)
PROGRAM = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from xaikit.jobs.worker import main; main()"


class Pool(Recipes, Line):
    """Worker processes that carry out units, keep the models they have loaded, and put results into a store.

    `models` names what units may ask for: recipes by name, or names of the zoo and paths of model files. At most
    `queue` units wait. `folder` and `limit` (bytes) are those of the store, `keep` the models that a worker keeps,
    `threads` the threads of each worker (None: the processors shared out), `modules` Python modules that register more
    tasks. Without `fetch` a result is read from the store only when it is asked for. `table` is a SQLite file in which
    jobs are found again by other processes and later ones, which begin anew what waited or ran, unless `resume` is off;
    at most `per_owner` jobs wait and run for one owner. `devices` are GPUs by number (None: those of this machine),
    which the workers share out; each has one job at a time, and without one every worker has. `environment` are
    variables for the workers alone, which is how they learn what is secret: units are kept and shown. A unit whose
    result is in the store needs no worker, and equal units that wait at the same time run once. A worker that dies
    fails its job, and a fresh one takes the next. Processes start with the first unit that needs one, and end with
    `close`, at the end of a `with`, and with this process, however it ends.
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
        fetch: bool = True,
        table: str | os.PathLike[str] | None = None,
        per_owner: int | None = None,
        resume: bool = True,
        devices: Iterable[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        for name, value in {"workers": workers, "keep": keep, "threads": threads or 1}.items():
            if value < 1:
                raise ParameterError(f"{name} must be at least 1, not {value}")
        super().__init__(queue, folder, limit, fetch, table=table, per_owner=per_owner, resume=resume)
        self.models = settled_recipes(models)
        self.threads = threads or max(1, processors() // workers)
        self.setup = Setup(self.store.address, limit, keep, tuple(modules))
        self.environment = dict(environment or {})
        self._identities: dict[str, str] = {}
        named_devices = gpus() if devices is None else list(devices)
        places = [(name, threading.Lock()) for name in named_devices]
        self._begin(lambda: [_Slot(self, *(places[i % len(places)] if places else ())) for i in range(workers)])

    @property
    def processes(self) -> list[int]:
        """The process ids of the workers that are alive."""
        workers = [slot.worker for slot in self._slots if isinstance(slot, _Slot)]
        return [worker.process.pid for worker in workers if worker is not None and worker.alive]

    watched = True

    def note(self, source: str | None, identity: str, code: str) -> None:
        """Remember which model a source gave a worker, so that its stored results are found without loading it.

        Beyond this process only where the worker, which may have started later, had the same code.
        """
        if source is not None and self._identity(source) != identity:
            self._identities[source] = identity
            if code == code_version():
                self.store.note_identity(address(source, code), identity)


class _Slot(Slot):
    """A place for one worker process."""

    def __init__(self, pool: Pool, device: str | None = None, turn: AbstractContextManager[Any] | None = None) -> None:
        self.pool, self.device, self.turn = pool, device, turn or nullcontext()
        self.worker: _Process | None = None
        self.loading = False
        self._lock = threading.Lock()
        self._closed = False
        super().__init__(pool)

    def carry_out(self, order: Order) -> dict[str, Any]:
        """Have one order carried out; a worker that was dead before it began is replaced, once."""
        self.loading = False
        message = pickle.dumps(("run", order.number, order.work.unit, order.asked.model), protocol=5)
        worker, fresh = self._ready()
        begun, outcome = self._listen(worker, message, order)
        if outcome is None and not begun and not fresh:
            worker, fresh = self._ready()
            begun, outcome = self._listen(worker, message, order)
        if outcome is None:
            raise (WorkerLost if begun else JobError)(worker.epitaph(order.work.unit, begun))
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
            self.worker = _Process(self.pool.setup, self.pool.threads, self.device, self.pool.environment)
            return self.worker, True

    def _listen(self, worker: "_Process", message: bytes, order: Order) -> tuple[bool, dict[str, Any] | None]:
        """Send an order and follow it to its end: whether the worker began, and the outcome; None if it died."""
        begun, order.work.worker = False, worker.process.pid
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

    def _heard(self, order: Order, kind: str, told: list[Any]) -> dict[str, Any] | None:
        """Take one message; give the outcome if it is the last."""
        if kind != "alive":
            self.loading = kind == "loading"
        if kind == "loaded":
            self.pool.note(*told)
        elif kind == "progress":
            self.pool.step(order, told[0], told[1])
        elif kind == "done":
            if not self.pool.fetch:
                return {"status": "done", "address": told[0]}
            result = self.pool.store.get(told[0])
            if result is None:
                raise JobError(f"the result of {order.work.unit.title} was gone from the store before it was read")
            return {"status": "done", "address": told[0], "result": result}
        elif kind == "cancelled":
            return {"status": "cancelled", "error": Cancelled(f"{order.work.unit.title} was cancelled")}
        elif kind == "failed":
            return {"status": "failed", "error": rebuilt(*told)}
        return None

    def stop(self, order: Order) -> None:
        """Tell the worker to give an order up, and end it if it does not."""
        worker = self.worker
        if worker is None or self.order is not order:
            return
        worker.tell(pickle.dumps(("cancel", order.number), protocol=5))
        self._insist(order, worker, 0.0)

    def _insist(self, order: Order, worker: "_Process", waited: float) -> None:
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

    def look(self) -> None:
        """End a worker that has given no sign of life for long during a unit."""
        worker, order = self.worker, self.order
        if order is None or worker is None:
            return
        if time.monotonic() - max(worker.heard, order.work.began) > SILENCE:
            worker.hung = True
            worker.kill()

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
        super().close()
        if self.worker is not None:
            self.worker.bury()


class _Process:
    """A worker process, seen from its parent."""

    def __init__(self, setup: Setup, threads: int, device: str | None, more: Mapping[str, str]) -> None:
        environment = {**os.environ, **{name: str(threads) for name in THREADS}, **more}
        if device is not None:
            environment["CUDA_VISIBLE_DEVICES"] = device
        self.heard, self.hung = time.monotonic(), False
        program = [sys.executable, "-P", "-c", PROGRAM, json.dumps([str(place) for place in sys.path])]
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
            self.heard = time.monotonic()
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
        message = pickle.load(self.stdout)
        self.heard = time.monotonic()
        return message

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
        if self.hung:
            how = f"gave no sign of life for {SILENCE:.0f} s and was ended"
            return f"the worker process {how} during {unit.title}; the next job gets a fresh one"
        how = f"was killed by {signal.Signals(-code).name}" if code and code < 0 else f"ended with exit code {code}"
        why = ", perhaps for want of memory," if code == -9 else ""
        return f"the worker process {how}{why} during {unit.title}; the next job gets a fresh one"


def gpus() -> list[str]:
    """Give the numbers of the GPUs that this process may use, without asking a framework."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        return [name.strip() for name in allowed.split(",") if name.strip() not in ("", "-1")]
    return [str(number) for number, _ in enumerate(GPUS.iterdir())] if GPUS.is_dir() else []


def processors() -> int:
    """Count the processors that this process may use; OMP_NUM_THREADS may allow fewer."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return min(found, max(1, int(allowed))) if allowed.isdigit() else found
