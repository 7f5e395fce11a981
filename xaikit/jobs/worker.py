"""The program of a worker process: takes units from standard input, keeps its models, and puts results in the store.

Messages are pickles between a parent and the child that it has started itself. To the worker: ("run", number, unit,
recipe) and ("cancel", number). From it: ("started",), ("alive",), ("loading",), ("loaded", source, identity, code
version), ("progress", done, total), and at the end of each unit ("done", address), ("cancelled",) or ("failed", classes
of the error, text).
"""

import logging
import os
import pickle
import queue
import signal
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any, BinaryIO

from xaikit.errors import Cancelled, XaikitError
from xaikit.jobs.kinds import tasks
from xaikit.jobs.line import unforeseen
from xaikit.jobs.remote import store_at
from xaikit.jobs.unit import Recipe, Unit, address, code_version, model_identity, unit_digest
from xaikit.model import Model

log = logging.getLogger(__name__)
PROGRESS_EVERY = 0.05
BEAT = 2.0
"""Seconds from one sign of life to the next during a unit."""
LAST_BREATH = 2.0
"""Seconds from the end of standard input to the end of the process, whatever it is doing."""


@dataclass(frozen=True)
class Setup:
    """What a worker is told at its start; `modules` register more tasks; `keep` is how many models it keeps."""

    folder: str
    limit: int | None
    keep: int
    modules: tuple[str, ...] = ()


class Inbox:
    """Reads messages on a thread of its own, so that cancelling and the parent's end are noticed during work."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.work = stream, queue.SimpleQueue[tuple[int, Unit, Recipe] | None]()
        self.cancelled = -1
        self.ended = False
        threading.Thread(target=self._read, daemon=True, name="inbox").start()

    def stops(self, number: int) -> bool:
        """Whether the unit of that number is to be given up."""
        return self.ended or self.cancelled == number

    def _read(self) -> None:
        try:
            while True:
                kind, number, *rest = pickle.load(self.stream)
                if kind == "cancel":
                    self.cancelled = number
                else:
                    self.work.put((number, *rest))
        except (EOFError, OSError, pickle.UnpicklingError):
            self.ended = True
            self.work.put(None)
            time.sleep(LAST_BREATH)
            os._exit(0)


class Worker:
    """Carries out units one after the other."""

    def __init__(self, setup: Setup, inbox: Inbox, send: Callable[..., None]) -> None:
        self.inbox, self.send, self.keep = inbox, send, setup.keep
        self.store = store_at(setup.folder, setup.limit)
        self.models: OrderedDict[tuple[Recipe, str | None], tuple[Model, str]] = OrderedDict()

    def loop(self) -> None:
        """Work until standard input ends."""
        while (item := self.inbox.work.get()) is not None:
            self.send("started")
            with self.alive():
                outcome = self.outcome(*item)
            self.send(*outcome)

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Give signs of life for as long as a unit lasts; between units nobody would read them."""
        ended = threading.Event()

        def beat() -> None:
            with suppress(OSError):  # the parent is gone, which the inbox sees too
                while not ended.wait(BEAT):
                    self.send("alive")

        thread = threading.Thread(target=beat, daemon=True, name="beat")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def outcome(self, number: int, unit: Unit, recipe: Recipe) -> tuple[Any, ...]:
        """Carry out one unit and give the message that ends it."""
        try:
            return "done", self.carry_out(number, unit, recipe)
        except Cancelled:
            return ("cancelled",)
        except XaikitError as error:
            return "failed", [c.__name__ for c in type(error).__mro__], str(error)
        except Exception as error:
            log.exception("an unforeseen error in %s", unit.title)
            return "failed", ["JobError"], unforeseen(unit, error)

    def carry_out(self, number: int, unit: Unit, recipe: Recipe) -> str:
        """Put the result of a unit into the store, unless it is there, and give its address."""
        model, identity = self.model(recipe)
        self.check(number)
        key = address(identity, unit_digest(unit))
        if self.store.get(key) is None:
            result = tasks[unit.task].run(model, unit, self.progress(number))
            self.check(number)  # some methods end early with what they have when they are told to stop
            self.store.put(key, result)
        return key

    def model(self, recipe: Recipe) -> tuple[Model, str]:
        """Give a model and its identity, kept or freshly loaded; the one unused for longest gives way."""
        source = recipe.source()
        if (recipe, source) not in self.models:
            self.send("loading")
            model = recipe.load()
            self.models[recipe, source] = model, model_identity(model, source)
            if len(self.models) > self.keep:
                self.models.popitem(last=False)
        self.models.move_to_end((recipe, source))
        model, identity = self.models[recipe, source]
        self.send("loaded", source, identity, code_version())
        return model, identity

    def check(self, number: int) -> None:
        """Raise Cancelled where the unit is to be given up."""
        if self.inbox.stops(number):
            raise Cancelled("the job was cancelled")

    def progress(self, number: int) -> Callable[[int, int], None]:
        """Give the function that a unit reports to: it passes reports on now and then, and stops what is cancelled."""
        last = 0.0

        def step(done: int, total: int) -> None:
            nonlocal last
            self.check(number)
            now = time.monotonic()
            if done >= total or now - last >= PROGRESS_EVERY:
                last = now
                self.send("progress", int(done), int(total))

        return step


def main() -> None:
    """Serve the parent process over standard input and output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)  # what a library prints must not come between the messages
    os.close(null)
    setup: Setup = pickle.load(incoming)
    inbox = Inbox(incoming)
    for module in setup.modules:
        import_module(module)

    lock = threading.Lock()

    def send(*message: Any) -> None:
        with lock:
            outgoing.write(pickle.dumps(message, protocol=5))
            outgoing.flush()

    try:
        Worker(setup, inbox, send).loop()
    except BrokenPipeError:  # the parent is gone, and with it whoever could be told
        log.debug("the parent process is gone")
    sys.stderr.flush()
    os._exit(0)  # taking frameworks down in order costs time and can hang
