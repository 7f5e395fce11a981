"""Units carried out by the workers of several machines, which Celery tells through Redis that there is work."""

import hashlib
import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from xaikit.errors import MissingPackage, QueueFull, UnknownName, XaikitError
from xaikit.jobs._packing import packed
from xaikit.jobs.board import PREFIX, Board, Unreached
from xaikit.jobs.job import Followed, Job, Work
from xaikit.jobs.line import Asked, Recipes, crowded, full, settled_recipes
from xaikit.jobs.remote import store_at
from xaikit.jobs.table import Row
from xaikit.jobs.unit import Recipe, Unit, unit_digest

log = logging.getLogger(__name__)
TASK = "xaikit.next"
MEND_EVERY = 2.0
"""Seconds from one look for workers that are gone to the next."""
TIMEOUT = 5.0
REMEMBERED = 1000
"""So many jobs are kept in mind; others are looked up again."""


class Cluster(Recipes):
    """The same as Pool, with workers that `xaikit worker` starts on any machine that reaches the broker and the store.

    `broker` is the Redis that all share, as redis://host:6379/0, `models` and `queue` are as in Pool, and `folder` is
    the store that all see: a folder, or a URL as s3://bucket/results. Jobs, their places, progress and limits are
    shared by all servers that use the broker; a job lasts when its server ends. A worker serves a model when it has
    the same file, or the same trained network of the zoo. A unit whose worker goes away is begun once more by another.
    Raises UsageError for a broker that is no such URL, MissingPackage without celery and redis.
    """

    def __init__(
        self,
        broker: str,
        models: Mapping[str, Recipe | str] | Iterable[str],
        queue: int = 64,
        folder: str | os.PathLike[str] | None = None,
        *,
        per_owner: int | None = None,
    ) -> None:
        self.board, self.messages = Board(broker), messages(broker)
        self.models, self.store = settled_recipes(models), store_at(folder)
        self.queue, self.per_owner = queue, per_owner
        self._identities: dict[str, str] = {}
        self._known: OrderedDict[str, Job] = OrderedDict()
        self._untold: set[str] = set()
        self._ending, self._lock = threading.Event(), threading.Lock()
        self._mender = threading.Thread(target=self._mend, daemon=True, name="xaikit-mend")
        self._mender.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def submit(self, unit: Unit, owner: str | None = None) -> Job:
        """Take a unit and give its job, which is done already where the result is in the store.

        An owner who asks again for what waits or runs for them gets the same job. Raises QueueFull where as many jobs
        wait as may, or as many wait and run for this owner; everything else that is wrong makes the job fail, also a
        broker that cannot be reached.
        """
        try:
            asked, digest = self._asked(unit.model), unit_digest(unit)
            stored = self._stored(asked, digest)
            if stored is not None:
                return self._ended(unit, owner, "done", **stored)
            return self._posted(unit, asked, digest, owner)
        except QueueFull:
            raise
        except XaikitError as error:
            return self._ended(unit, owner, "failed", error=error)

    def get(self, id: str, owner: str | None = None) -> Job:
        """Find a job by its id, of whichever server; with an owner, only among theirs.

        Raises UnknownName, and JobError where the broker cannot be reached.
        """
        with self._lock:
            job = self._known.get(id)
        if job is None and (row := self.board.row(id)) is not None:
            job = self._followed(row)
        if job is None or owner not in (None, job.owner):
            raise UnknownName("job", id, ())
        return job

    def jobs(self, owner: str | None = None) -> list[Job]:
        """Give the jobs of an owner, or of all, newest first, without those whose result was there before."""
        return [self._followed(row) for row in self.board.rows(owner)]

    def cancel(self, id: str, owner: str | None = None) -> None:
        """Give a job up by its id. Raises UnknownName."""
        self.get(id, owner).cancel()

    def serving(self, name: str) -> int:
        """Count the workers that have a model. Raises UnknownName."""
        return self.board.serving(source_of(self._asked(name)))

    def close(self) -> None:
        """Let the broker go; jobs stay with the cluster."""
        self._ending.set()
        self._mender.join(TIMEOUT)
        self.messages.close()
        self.board.close()

    def _posted(self, unit: Unit, asked: Asked, digest: str, owner: str | None) -> Job:
        """Put a unit on the board and announce it."""
        job = Job(unit, Work(unit), self._abandon, owner=owner)
        row = Row(job.id, unit.model, unit.task, unit.method, owner)
        source = source_of(asked)
        told, what = self.board.submit(
            row,
            request=f"{source} {digest}",
            source=source,
            unit=packed(unit, content=True),
            queue=self.queue,
            per_owner=self.per_owner,
        )
        if told in ("full", "crowded"):
            raise QueueFull((full if told == "full" else crowded)(int(what)))
        if told == "fresh":
            announce(self.messages, source)
        found = self.board.row(what)
        return self._followed(row if found is None else found, unit)

    def _followed(self, row: Row, unit: Unit | None = None) -> Job:
        """Give the job of a row, the same each time, so that its pace is known."""
        with self._lock:
            if row.id in self._known:
                return self._known[row.id]
        work = Followed(self.board, row, self._read, unit)
        job = Job(work.unit, work, self._abandon, owner=row.owner, id=row.id, submitted=row.submitted)
        return self._remember(job)

    def _ended(self, unit: Unit, owner: str | None, status: Any, **outcome: Any) -> Job:
        work = Work(unit)
        work.finish(status, **outcome)
        return self._remember(Job(unit, work, self._abandon, owner=owner))

    def _remember(self, job: Job) -> Job:
        with self._lock:
            self._known.setdefault(job.id, job)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            return self._known.get(job.id, job)

    def _abandon(self, job: Job) -> None:
        try:
            self.board.abandon(job.id)
        except Unreached as error:
            log.warning("a job is given up as soon as that can be told: %s", error)
            with self._lock:
                self._untold.add(job.id)

    def _mend(self) -> None:
        while not self._ending.wait(MEND_EVERY):
            mend(self.board, self.messages)
            self._tell_again()

    def _tell_again(self) -> None:
        """Give up what was given up while the broker could not be reached."""
        with self._lock:
            untold = [*self._untold]
        with suppress(Unreached):
            for id in untold:
                self.board.abandon(id)
                with self._lock:
                    self._untold.discard(id)


def mend(board: Board, app: Any) -> None:
    """See to what workers that are gone were at."""
    try:
        for source in board.mend():
            announce(app, source)
    except Unreached as error:
        log.warning("%s", error)


def messages(broker: str) -> Any:
    """Give the Celery app that carries messages: JSON alone, and no results."""
    try:
        from celery import Celery
    except ImportError:
        raise MissingPackage("celery", "distributed", "work on several servers") from None
    app = Celery("xaikit", broker=broker, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "global_keyprefix": f"{PREFIX}celery:",
            "socket_timeout": TIMEOUT,
            "socket_connect_timeout": TIMEOUT,
        },
        task_ignore_result=True,
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0.1, "interval_max": 0.1},
        task_serializer="json",
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
    )
    return app


def announce(app: Any, source: str) -> None:
    """Tell the workers of a model that one more unit waits; where that is lost, it is told again later."""
    try:
        app.send_task(TASK, args=[source], queue=source, ignore_result=True)
    except Exception as error:  # every transport has errors of its own
        log.warning("workers could not be told of a unit, and will be told again: %s", error)


def source_of(asked: Asked) -> str:
    """Give what tells the same model on all machines: the content of its files, or its weights in the zoo."""
    recipe: Recipe = asked.model
    return recipe.source() or hashlib.sha256(f"untrained {recipe.name} {recipe.framework}".encode()).hexdigest()


__all__ = ["Cluster"]
