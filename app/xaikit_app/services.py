"""What all pages share: the models on offer, the work that is done for them, and what people gave."""

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xaikit.errors import UnknownName, UsageError
from xaikit.jobs import Job, Local, Pool, Unit
from xaikit.jobs.line import Line
from xaikit.jobs.store import default_folder
from xaikit_app import tasks, work
from xaikit_app.normals import Normals
from xaikit_app.own import Own
from xaikit_app.samples import Galleries
from xaikit_app.settings import Choice, Settings, choices
from xaikit_app.state import State
from xaikit_app.tasks import Description


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
        recipes = {_key(c.name, f): r for c in self.choices.values() for f, r in c.recipes.items()}
        objects = {c.name: c.model for c in self.choices.values() if c.model is not None}
        modules = (tasks.__name__, work.__name__)
        self.pool = Pool(recipes, settings.workers, settings.queue, folder, modules=modules) if recipes else None
        self.local = Local(objects, settings.queue, folder) if objects else None
        self._descriptions: dict[str, Description] = {}
        self._describing: dict[str, Job] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """End all work."""
        for runner in (self.pool, self.local):
            if runner is not None:
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
        """Give what is known of a model, or the job that finds it out."""
        with self._lock:
            if chosen.key in self._descriptions:
                return self._descriptions[chosen.key]
            job = self._describing.get(chosen.key)
            if job is None or job.status in ("failed", "cancelled"):
                job = self._describing[chosen.key] = self.submit(Unit(chosen.key, None, task="describe"))
            if job.status == "done":
                return self._descriptions.setdefault(chosen.key, job.result())
            return job

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

    def submit(self, unit: Unit) -> Job:
        """Have a unit carried out; done at once where its result is stored. Raises QueueFull."""
        return self._line(unit.model).submit(unit)

    def stored(self, unit: Unit) -> Any | None:
        """Give the result of a unit that was carried out before, without asking for it. None where there is none."""
        return self._line(unit.model).stored(unit)

    def job(self, id: str) -> Job:
        """Find a job again. Raises UnknownName."""
        for runner in (self.pool, self.local):
            if runner is not None:
                try:
                    return runner.get(id)
                except UnknownName:
                    continue
        raise UnknownName("job", id, ())

    def _line(self, key: str) -> Line:
        if self.local is not None and key in self.local.models:
            return self.local
        if self.pool is None:
            raise UnknownName("model", key, self.choices)
        return self.pool

    # --- samples --------------------------------------------------------------------------------------------------

    def sample(self, chosen: Chosen, description: Description, id: str) -> Any:
        """Give the sample of an id as the model's spec takes it. Raises UnknownName, DataError."""
        if id.startswith(Own.PREFIX):
            return self.own.get(id)
        return self.galleries.of(chosen.name, description).sample(id)


def _key(name: str, framework: str) -> str:
    return f"{name} ({framework})" if framework else name


__all__ = ["Chosen", "Services"]
