"""Units carried out by the workers of a Dask cluster."""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

from xaikit.errors import InputError, JobError, ModelError, ParameterError, UsageError, XaikitError
from xaikit.jobs import Recipe, Store
from xaikit.jobs.pool import THREADS, processors
from xaikit.jobs.unit import model_files
from xaikit.model import Model
from xaikit.study._executors import Outcome, Planned
from xaikit.study._shipping import File, Setup, Shelf, carry_out, differences, environment, without_paths

log = logging.getLogger(__name__)
LOCAL = "local"
AHEAD = 3
"""So many units are with the scheduler for each thread of the workers, so that none is idle."""
LOOK = 2.0
"""Seconds between two looks at who works."""
CONNECTING = 10.0
"""Seconds that a scheduler has to answer."""
ALONE = 120.0
"""Seconds that a study waits for a first or a next worker."""
REFUSALS = 20
"""So often may one unit come to workers that are refused, each of which is another."""


class Cluster:
    """The workers of a Dask scheduler, which may join and leave; or of one that is started here for the run.

    Only a few units for each thread are with the scheduler at a time. Dask itself has the units of a worker that dies
    done by others. One during which workers die again and again is tried once more with nothing beside it, when all
    others are done, and only then fails.
    """

    def __init__(
        self, address: str, recipe: Recipe, store: Store, model: Model, *, workers: int = 1, threads: int | None = None
    ) -> None:
        if address != LOCAL and not _is_address(address):
            raise UsageError(
                f"a scheduler has an address such as tcp://10.0.0.1:8786, or is {LOCAL!r}, not {address!r}"
            )
        if store.address.startswith("memory:"):
            raise UsageError(f"{store.address} is the memory of one process: workers need a folder or a URL they share")
        self.address, self.store = address, store
        self.setup = _setup(recipe, store, model)
        self.run = uuid4().hex[:12]
        self._ended: SimpleQueue[tuple[Planned, Any, int]] = SimpleQueue()
        self._futures: set[Any] = set()
        self._numbers = 0
        self._looked = -LOOK
        self._threads = 0
        self._last_worker = time.monotonic()
        self._refused: dict[str, str] = {}
        self._bound: dict[Any, tuple[Planned, int, frozenset[str]]] = {}
        self.cluster = _local(workers, threads) if address == LOCAL else None
        self.client = _connected(
            address if self.cluster is None else self.cluster.scheduler_address, self.close_cluster
        )
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def outcomes(self, units: Iterator[Planned]) -> Iterator[Outcome]:
        """Keep every thread of every worker busy, and give what came of units as they end."""
        suspects: list[Planned] = []
        for planned in units:
            while len(self._futures) >= max(2, AHEAD * self._working()):
                yield from self._next(suspects)
            self._begin(planned)
        while self._futures:
            yield from self._next(suspects)
        for planned in suspects:
            yield self._alone(planned)

    def close(self) -> None:
        """Have the units that wait given up, and let go of the cluster; one that was started here ends."""
        connected = self.client.status == "running"
        with suppress(Exception):  # what is lost already cannot be told
            if connected:
                self.client.cancel(
                    [f for f in self._futures if not isinstance(f, Exception)], force=True, reason="the study has ended"
                )
                self.client.unregister_worker_plugin(self.setup.name)
        with suppress(Exception):
            self.client.close(timeout=2)
        self.close_cluster()

    def close_cluster(self) -> None:
        """End the cluster that was started here."""
        if self.cluster is not None:
            self.cluster.close(timeout=10)

    def _prepare(self) -> None:
        """Wait for a worker, look whether all of them are what they must be, and give them the model's files."""
        while not self._working():
            self._check_alive()
            time.sleep(0.1)
        found = self._answered(lambda: self.client.run(environment, self.setup.framework, on_error="return"))
        for worker, theirs in found.items():
            if isinstance(theirs, BaseException):
                raise JobError(f"the worker {worker} cannot use xaikit: {type(theirs).__name__}: {theirs}")
            other = differences(self.setup.environment, theirs)
            if other:
                raise JobError(f"the worker {worker} is refused: {other}")
        self._answered(lambda: self.client.register_plugin(Shelf(self.setup), name=self.setup.name))

    def _begin(self, planned: Planned, tried: int = 1) -> None:
        """Give a unit to the scheduler, with the content of its files."""
        try:
            unit = without_paths(planned.unit)
        except OSError as error:
            why = InputError(f"{planned.input} cannot be read: {error.strerror or error}")
            self._ended.put((planned, why, tried))
            self._futures.add(why)
            return
        self._numbers += 1
        asked = (carry_out, self.setup.name, unit, planned.key, planned.digest)
        name = f"xaikit-{self.run}-{self._numbers}"
        only = self._accepted()
        future = self._answered(lambda: self.client.submit(*asked, key=name, pure=False, workers=only))
        self._futures.add(future)
        if only is not None:
            self._bound[future] = planned, tried, frozenset(only)
        future.add_done_callback(lambda ended: self._ended.put((planned, ended, tried)))

    def _next(self, suspects: list[Planned]) -> Iterator[Outcome]:
        """Wait for the next unit that ends, and give its outcome, unless it is begun again."""
        planned, ended, tried = self._wait()
        if isinstance(ended, XaikitError):
            yield Outcome(planned, error=str(ended))
            return
        if ended.status == "error" and _is_killer(ended.exception()):
            suspects.append(planned)
            return
        told = self._told(ended)
        if told.get("refused") is not None:
            self._refuse(planned, told, tried)
            return
        yield self._outcome(planned, told)

    def _alone(self, planned: Planned) -> Outcome:
        """Carry out a unit with nothing beside it."""
        self._begin(planned)
        while True:
            _, ended, tried = self._wait()
            if isinstance(ended, XaikitError):
                return Outcome(planned, error=str(ended))
            if ended.status == "error" and _is_killer(ended.exception()):
                killed = ended.exception()
                return Outcome(
                    planned,
                    error=f"workers died during {planned.unit.title} again and again, also with nothing beside it "
                    f"(the last was {getattr(killed.last_worker, 'address', killed.last_worker)}); their logs say why, "
                    "and want of memory is the likeliest",
                )
            told = self._told(ended)
            if told.get("refused") is None:
                return self._outcome(planned, told)
            self._refuse(planned, told, tried)

    def _told(self, ended: Any) -> Mapping[str, Any]:
        """Read what a worker says of a unit."""
        if ended.status == "cancelled":
            raise JobError(self._gone())
        if ended.status == "error":
            error = ended.exception()
            raise error if isinstance(error, XaikitError) else JobError(f"{type(error).__name__} in Dask: {error}")
        told: Mapping[str, Any] = self._answered(ended.result)
        return told

    def _outcome(self, planned: Planned, told: Mapping[str, Any]) -> Outcome:
        if told["row"] is not None and told["first"] and planned.key not in self.store:
            raise JobError(
                f"the worker {told['worker']} has written to {self.store.address}, and nothing is seen of it here: "
                "give a folder that all machines share, or a URL"
            )
        return Outcome(planned, told["row"], told["error"], told["worker"])

    def _refuse(self, planned: Planned, told: Mapping[str, Any], tried: int) -> None:
        """Give a unit to another worker than one that has joined and is not what it must be."""
        worker, why = told["worker"], told["refused"]
        if self._refused.get(worker) != why:
            log.warning("the worker %s is refused: %s", worker, why)
        self._refused[worker] = why
        if tried >= REFUSALS or not self._accepted():
            raise JobError(f"the worker {worker} is refused: {why}")
        self._begin(planned, tried + 1)

    def _accepted(self) -> list[str] | None:
        """Give the workers that are not refused, or None where that is all of them."""
        return [w for w in self._workers() if w not in self._refused] if self._refused else None

    def _unbind(self) -> None:
        """Begin units anew that only workers may do who are gone: Dask would keep them for ever."""
        there = set(self._workers())
        for future in [f for f, (_, _, only) in self._bound.items() if not only & there]:
            planned, tried, _ = self._bound.pop(future)
            self._futures.discard(future)
            self._answered(future.cancel)
            self._begin(planned, tried)

    def _wait(self) -> tuple[Planned, Any, int]:
        """Wait for the next end of a unit, as long as there is a scheduler and somebody at work."""
        while True:
            try:
                planned, ended, tried = self._ended.get(timeout=LOOK / 4)
            except Empty:
                self._working()
                self._check_alive()
                self._unbind()
                continue
            self._bound.pop(ended, None)
            if ended in self._futures:
                self._futures.discard(ended)
                return planned, ended, tried

    def _working(self) -> int:
        """Count the threads of all workers, looked at now and then."""
        if time.monotonic() - self._looked >= LOOK:
            self._threads = sum(self._workers().values())
            self._looked = time.monotonic()
            if self._threads:
                self._last_worker = self._looked
        return self._threads

    def _workers(self) -> dict[str, int]:
        """Give the threads of each worker."""
        return dict(self._answered(self.client.nthreads))

    def _check_alive(self) -> None:
        if self.client.status != "running":
            raise JobError(self._gone())
        if not self._threads and time.monotonic() - self._last_worker > ALONE:
            raise JobError(
                f"the scheduler at {self.address} has had no worker for {ALONE:.0f} s: start some "
                f"(dask worker {self.address}) and go on with --resume"
            )

    def _answered(self, call: Callable[[], Any]) -> Any:
        """Ask the scheduler, and say so where it does not answer any more."""
        try:
            return call()
        except XaikitError:
            raise
        except Exception as error:  # comm errors, timeouts, cancelled futures: Dask has many names for it
            if self.client.status != "running" or isinstance(error, OSError | TimeoutError):
                raise JobError(self._gone()) from None
            raise JobError(f"the scheduler at {self.address} cannot do this: {type(error).__name__}: {error}") from None

    def _gone(self) -> str:
        return f"the scheduler at {self.address} is gone; what is done is kept: go on with --resume when it is back"


def _is_address(text: str) -> bool:
    from distributed.comm.addressing import get_address_host_port, parse_address
    from distributed.comm.registry import get_backend

    try:
        get_backend(parse_address(text, strict=True)[0])
        return bool(get_address_host_port(text, strict=True)[0])
    except (ValueError, NotImplementedError):
        return False


def _connected(address: str, undo: Callable[[], None]) -> Any:
    from distributed import Client

    make: Any = Client
    try:
        return make(address, timeout=CONNECTING, set_as_default=False, name="xaikit-study")
    except Exception as error:  # whatever the protocol of the address has for it
        undo()
        why = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise JobError(f"there is no Dask scheduler at {address}: {why}") from None


def _local(workers: int, threads: int | None) -> Any:
    """Start a scheduler and worker processes on this machine, each with one unit at a time and its share of threads."""
    import dask
    from distributed import LocalCluster

    make: Any = LocalCluster
    each = str(threads or max(1, processors() // workers))
    with dask.config.set({"distributed.nanny.pre-spawn-environ": dict.fromkeys(THREADS, each)}):
        return make(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            memory_limit=0,
            silence_logs=logging.ERROR,
            host="127.0.0.1",
        )


def _setup(recipe: Recipe, store: Store, model: Model) -> Setup:
    """Put together what every worker needs once. Raises ModelError, ParameterError."""
    source = recipe.source()
    if source is None:
        raise ModelError(
            f"{recipe.name} has no weights that workers could be sure to have: save the model as a file first"
        )
    files, name = _files(recipe) if recipe.is_file else ((), recipe.name)
    where = f"{store.address} {source}"
    return Setup(
        f"xaikit-study-{hashlib.sha256(where.encode()).hexdigest()[:16]}",
        replace(recipe, name=name),
        source,
        store.address,
        model.framework,
        environment(model.framework),
        files,
    )


def _files(recipe: Recipe) -> tuple[tuple[File, ...], str]:
    """Read the files of a model; its place among them stays, from the folder that its description lies in."""
    path = Path(recipe.name).absolute()
    found = []
    for file in model_files(path):
        place = Path(os.path.relpath(file.resolve(), path.parent.resolve())).as_posix()
        if place.startswith(".."):
            raise ParameterError(f"{file} lies outside of {path.parent}: put what belongs to a model into one folder")
        data = file.read_bytes()
        found.append(File(f"{path.parent.name}/{place}", data, hashlib.sha256(data).hexdigest()))
    return tuple(found), f"{path.parent.name}/{path.name}"


def _is_killer(error: BaseException | None) -> bool:
    from distributed import KilledWorker

    return isinstance(error, KilledWorker)
