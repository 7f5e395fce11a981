"""What all pages share: the models on offer, the work that is done for them, and what people gave."""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import xaikit_app
from xaikit.errors import UnknownName, UsageError, XaikitError
from xaikit.jobs import Cluster, Job, Local, Pool, Recipe, Runner, Unit
from xaikit.jobs.serving import tasks_in
from xaikit.jobs.store import default_folder
from xaikit.jobs.table import FILE
from xaikit_app import addresses, sessions
from xaikit_app.normals import Normals
from xaikit_app.own import Own
from xaikit_app.samples import Galleries, Gallery, given_stock
from xaikit_app.settings import Choice, Settings, choices
from xaikit_app.state import State
from xaikit_app.tray import Notes
from xaikit_app.work.describe import Description

PATIENCE = 60.0
"""Seconds before a model that could not be loaded is tried again: a page asks several times a second."""


@dataclass(frozen=True)
class Chosen:
    """A model of the app in one framework; `key` is what its units name."""

    choice: Choice
    framework: str
    key: str

    @property
    def name(self) -> str:
        """The name of the model without its framework."""
        return self.choice.name


class Services:
    """One app's models, runners, galleries and inputs; pages get it and keep nothing themselves."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.choices = choices(settings)
        folder = Path(settings.cache) if settings.cache else default_folder()
        self.own = Own(folder / "own", settings)
        self.galleries = Galleries(settings)
        self.normals = Normals(settings)
        if settings.audit is not None:
            addresses.keep(settings.audit)
        recipes = {_key(c.name, f): r for c in self.choices.values() for f, r in c.recipes.items()}
        objects = {c.name: c.model for c in self.choices.values() if c.model is not None}
        modules = workers()
        limits: dict[str, Any] = {"queue": settings.queue, "per_owner": settings.per_session}
        self.pool = _pool(settings, folder, recipes, modules, limits) if recipes else None
        self.local = Local(objects, folder=settings.store or folder, table=folder / FILE, **limits) if objects else None
        self.notes = Notes()
        self._descriptions: dict[str, Description] = {}
        self._describing: dict[str, Job] = {}
        self._failed: dict[str, float] = {}
        self._versions: dict[str, str] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """End all work."""
        for runner in self.runners:
            runner.close()

    # --- models ---------------------------------------------------------------------------------------------------

    def choose(self, state: State) -> Chosen:
        """Find the model and framework of a view, the first of each where it names none. Raises UnknownName."""
        name = state.model or next(iter(self.choices))
        if name not in self.choices:
            raise UnknownName("model", name, self.choices)
        choice = self.choices[name]
        framework = state.framework or choice.frameworks[0]
        if framework not in choice.frameworks:
            raise UnknownName("framework", framework, choice.frameworks)
        return Chosen(choice, framework, _key(name, framework) if choice.model is None else name)

    def description(self, chosen: Chosen) -> "Description | Job":
        """Give what is known of a model, or the job that finds it out; of a file that was replaced, of the new one."""
        with self._lock:
            version = self._version(chosen)
            if version in self._descriptions:
                return self._descriptions[version]
            job = self._describing.get(version)
            if job is not None and job.status in ("failed", "cancelled"):
                since = self._failed.setdefault(version, time.monotonic())
                job = None if time.monotonic() - since > PATIENCE else job
            if job is None:
                self._failed.pop(version, None)
                job = self._describing[version] = self.submit(Unit(chosen.key, None, task="describe"))
            if job.status == "done":
                if version != chosen.key:  # a replaced file may take other inputs
                    self.galleries.forget(chosen.name)
                return self._descriptions.setdefault(version, job.result())
            return job

    def _version(self, chosen: Chosen) -> str:
        """Tell a model from what its file held before; one whose file is gone stays as it was known."""
        recipe = chosen.choice.recipes.get(chosen.framework)
        if recipe is None or not recipe.is_file:
            return chosen.key
        with suppress(XaikitError, OSError):
            self._versions[chosen.key] = f"{chosen.key} {recipe.source()}"
        return self._versions.get(chosen.key, chosen.key)

    def known(self, name: str, framework: str) -> tuple[Chosen, Description]:
        """Give a model that a page shows, with its description. Raises UnknownName, UsageError while it is loaded."""
        chosen = self.choose(State(model=name, framework=framework))
        found = self.description(chosen)
        if not isinstance(found, Description):
            raise UsageError(f"{name} is still being loaded: try again in a moment")
        return chosen, found

    def both(self, chosen: Chosen) -> tuple[Chosen, ...]:
        """Give a model in all its frameworks, the chosen one first."""
        others = [f for f in chosen.choice.frameworks if f != chosen.framework]
        return (chosen, *(self.choose(State(model=chosen.name, framework=f)) for f in others))

    # --- work -----------------------------------------------------------------------------------------------------

    def submit(self, unit: Unit, words: str = "", owner: str | None = None) -> Job:
        """Have a unit carried out; done at once where its result is stored. Raises QueueFull.

        `words` name it in the tray. An owner, in a request its session, has so many jobs at a time as the settings say.
        """
        job = self._line(unit.model).submit(unit, owner or sessions.asking())
        if not job.done:
            self.notes.add(job, words)
        return job

    def stored(self, unit: Unit) -> Any | None:
        """Give the result of a unit that was carried out before, without asking for it. None where there is none."""
        return self._line(unit.model).stored(unit)

    def result(self, address: str) -> Any | None:
        """Give the result at an address of the store, or None where there is none. Raises ParameterError."""
        line = self.pool or self.local
        return None if line is None else line.store.get(address)

    def job(self, id: str, owner: str | None = None) -> Job:
        """Find a job again, only among those of an owner, in a request of its session. Raises UnknownName."""
        owner = owner or sessions.asking()
        for runner in self.runners:
            with suppress(UnknownName):
                return self._own_line(runner.get(id, owner), runner).get(id, owner)
        raise UnknownName("job", id, ())

    def found(self, id: str | None, owner: str | None = None) -> Job | None:
        """Find a job again as `job` does; None where there is none."""
        with suppress(UnknownName):
            return self.job(id, owner) if id else None
        return None

    def jobs(self, owner: str | None = None) -> list[Job]:
        """Give the jobs of an owner, or of all, newest first, without those whose result was there before."""
        jobs = [(job, runner) for runner in self.runners for job in runner.jobs(owner)]
        found = {job.id: job for job, runner in jobs if self._own_line(job, runner) is runner}
        return sorted(found.values(), key=lambda job: job.submitted, reverse=True)

    @property
    def runners(self) -> tuple[Runner, ...]:
        """What carries units out: one for models that are loaded elsewhere, one for those of this process."""
        return tuple(runner for runner in (self.pool, self.local) if runner is not None)

    def _own_line(self, job: Job, runner: Runner) -> Runner:
        """Give what carries a job out: both kinds of runner see it in the table, but only its own has the result."""
        try:
            return self._line(job.unit.model)
        except UnknownName:  # of a model that is not on offer any more
            return runner

    def _line(self, key: str) -> Runner:
        if self.local is not None and key in self.local.models:
            return self.local
        if self.pool is None:
            raise UnknownName("model", key, self.choices)
        return self.pool

    # --- samples --------------------------------------------------------------------------------------------------

    def sample(self, chosen: Chosen, description: Description, id: str) -> Any:
        """Give the sample of an id as the model's spec takes it. Raises UnknownName, DataError.

        Of a model with several inputs the id names one for each, "photo:own-…,row:row-3", and so does what is given.
        """
        if not isinstance(description.inputs, Mapping):
            return self._sample(self.gallery(chosen, description), id)
        ids = dict(part.partition(":")[::2] for part in id.split(","))
        return {n: self._sample(self.gallery(chosen, description, n), ids.get(n, "")) for n in description.inputs}

    def gallery(self, chosen: Chosen, description: Description, input: str = "") -> Gallery:
        """Give the gallery of a model, or of one of its several inputs."""
        if not input:
            return self.galleries.of(chosen.name, description)
        one = replace(description, inputs=description.inputs[input])
        return self.galleries.of(f"{chosen.name}, input {input}", one)

    def _sample(self, gallery: Gallery, id: str) -> Any:
        if id.startswith(Own.PREFIX):
            of, _, row = id.partition(".")
            return given_stock(self.own, of).take(int(row)).value if row.isdecimal() else self.own.get(id)
        return gallery.sample(id)


def _pool(
    settings: Settings, folder: Path, recipes: Mapping[str, Recipe], modules: tuple[str, ...], limits: Mapping[str, Any]
) -> Pool | Cluster:
    """Give what carries out units on models that are loaded elsewhere: processes of this machine, or a cluster's."""
    place = settings.store or folder
    if settings.broker is not None:
        return Cluster(settings.broker, recipes, folder=place, **limits)
    told = {} if settings.audit is None else {addresses.VARIABLE: settings.audit}
    return Pool(
        recipes, settings.workers, folder=place, modules=modules, table=folder / FILE, environment=told, **limits
    )


def workers() -> tuple[str, ...]:
    """Import the modules with the tasks of the workers and give their names."""
    return tuple(import_module(name).__name__ for name in tasks_in(xaikit_app.__name__))


def _key(name: str, framework: str) -> str:
    return f"{name} ({framework})" if framework else name


__all__ = ["Chosen", "Services"]
