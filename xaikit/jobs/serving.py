"""A worker of a cluster: takes the units of its models from the broker, one after the other, and carries them out."""

import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from pkgutil import iter_modules
from tempfile import mkdtemp
from typing import Any

from xaikit import wrapping, zoo
from xaikit.apps import GROUP
from xaikit.errors import JobError, WorkerLost, XaikitError
from xaikit.jobs._packing import unpacked
from xaikit.jobs.board import Board, Claim, Unreached
from xaikit.jobs.cluster import TASK, announce, mend, messages, source_of
from xaikit.jobs.job import Job
from xaikit.jobs.line import kinds_of
from xaikit.jobs.pool import Pool
from xaikit.jobs.unit import Recipe

log = logging.getLogger(__name__)
BEAT = 1.0
"""Seconds from one sign of life, and one look whether a unit is still wanted, to the next."""
SHORTLY = 0.1
HELD = 600.0
"""Seconds for which an outcome is held while the broker cannot be reached."""


class Serving:
    """Carries out units of a cluster on processes of this machine.

    `models` are recipes by name; a unit is carried out on the one that is the same as its server's, whatever its name
    there. `folder` is the store that all see, `workers` how many units at a time, `modules` register more tasks.
    Raises as Cluster does.
    """

    def __init__(
        self,
        broker: str,
        models: Mapping[str, Recipe],
        folder: str | os.PathLike[str] | None = None,
        workers: int = 1,
        *,
        threads: int | None = None,
        modules: Iterable[str] = (),
    ) -> None:
        modules = tuple(modules)
        for module in modules:
            import_module(module)
        self.board, self.messages = Board(broker), messages(broker)
        self.name = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self.workers = workers
        self.pool = Pool(models, workers, 2 * workers, folder, threads=threads, modules=modules, fetch=False)
        self.sources = {source_of(self.pool._asked(name)): name for name in models}
        self.folder = Path(mkdtemp(prefix="xaikit-worker-"))
        self._ending = threading.Event()
        self._present = threading.Thread(target=self._tell, daemon=True, name="xaikit-present")

    def run(self) -> None:
        """Serve until this process is told to end; then units that run are ended first."""
        self.messages.task(name=TASK, bind=False)(self.next)
        if threading.current_thread() is threading.main_thread():  # until Celery has handlers of its own
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        self._present.start()
        try:
            self.messages.Worker(
                concurrency=self.workers,
                hostname=self.name,
                loglevel="WARNING",
                pool="threads",
                queues=list(self.sources),
                quiet=True,
                without_gossip=True,
                without_mingle=True,
            ).start()
        finally:
            self.close()

    def close(self) -> None:
        """End the processes and leave nothing."""
        self._ending.set()
        self.pool.close()
        self.board.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def next(self, source: str) -> None:
        """Carry out the unit of a model whose turn it is, if there is one."""
        if source not in self.sources:
            return
        try:
            claim = self.board.claim(source, self.name)
        except Unreached as error:  # what is not taken is announced again
            log.warning("%s", error)
            return
        if claim is not None:
            self._carry_out(claim, source)

    def _carry_out(self, claim: Claim, source: str) -> None:
        place = Path(mkdtemp(dir=self.folder))
        begun = time.monotonic()
        try:
            unit = replace(unpacked(claim.unit, place), model=self.sources[source])
            job = self.pool.submit(unit)
            while not job.wait(SHORTLY) and self._wanted(claim, job):
                pass
            if not job.done:
                job.cancel()
            self._tell_end(claim, job, time.monotonic() - begun)
        except XaikitError as error:
            self._failed(claim, error)
        except Exception as error:
            log.exception("an unforeseen error in a unit")
            self._failed(claim, JobError(f"the worker met an unforeseen {type(error).__name__}: {error}"))
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _wanted(self, claim: Claim, job: Job) -> bool:
        """Tell how far a unit is, and ask whether it is still wanted; it is as long as nobody can say."""
        until = time.monotonic() + BEAT
        while time.monotonic() < until:
            if job.wait(SHORTLY):
                return True
        try:
            return self.board.beat(claim.work, self.name, job.progress)
        except Unreached as error:
            log.warning("%s", error)
            return True

    def _tell_end(self, claim: Claim, job: Job, seconds: float) -> None:
        if job.status == "failed":
            self._failed(claim, job.failure or JobError(f"{job.unit.title} failed"))
            return
        ended: dict[str, Any] = {"address": job.address, "seconds": seconds, "progress": job.progress}
        self._surely(lambda: self.board.finish(claim.work, job.status, **ended))

    def _failed(self, claim: Claim, error: XaikitError) -> None:
        """Fail a unit; one whose process died is begun once more."""
        text, kinds = str(error), kinds_of(error)
        if not isinstance(error, WorkerLost):
            self._surely(lambda: self.board.finish(claim.work, "failed", error=text, kinds=kinds))
            return

        def again() -> None:
            source = self.board.again(claim.work, self.name, text, kinds)
            if source is not None:
                announce(self.messages, source)

        self._surely(again)

    def _surely(self, tell: Callable[[], None]) -> None:
        """Tell the broker, also where that takes until it can be reached again."""
        until = time.monotonic() + HELD
        while True:
            try:
                return tell()
            except Unreached as error:
                log.warning("%s", error)
                if time.monotonic() > until or self._ending.wait(BEAT):
                    return None

    def _tell(self) -> None:
        """Tell again and again that this worker is there, and see to what others left."""
        while True:
            try:
                self.board.here(self.name, [*self.sources])
            except Unreached as error:
                log.warning("%s", error)
            mend(self.board, self.messages)
            if self._ending.wait(2 * BEAT):
                return


def served(names: Iterable[str], framework: str | None = None, *, allow_code: bool = False) -> dict[str, Recipe]:
    """Give the recipes that a worker serves: of a network of the zoo one for each framework that is installed.

    Raises UnknownName, ModelError, and ParameterError where no name is given.
    """
    found: dict[str, Recipe] = {}
    for name in names:
        recipe = Recipe(name, framework, allow_code)
        if recipe.path is not None or framework is not None:
            recipe.source()
            found[recipe.name] = recipe
            continue
        zoo.card(name)
        found |= {f"{name} ({each})": Recipe(name, each, allow_code) for each in wrapping.frameworks()}
    return found


def tasks_of_apps() -> tuple[str, ...]:
    """Give the modules with the tasks of the web app, where it is installed."""
    return tuple(name for point in entry_points(group=GROUP) for name in tasks_in(point.module))


def tasks_in(package: str) -> tuple[str, ...]:
    """Give the modules of an app's package that register tasks: all that its subpackage `work` makes public."""
    work = import_module(f"{package}.work")
    return tuple(f"{work.__name__}.{m.name}" for m in iter_modules(work.__path__) if not m.name.startswith("_"))


__all__ = ["Serving", "served", "tasks_in", "tasks_of_apps"]
