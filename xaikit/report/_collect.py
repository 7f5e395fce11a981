"""Everything that a report shows, carried out as units of jobs: what is in the store is not calculated again."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from xaikit.attribution import methods as known
from xaikit.errors import InputError, LoadError, QueueFull, UsageError
from xaikit.jobs import Job, Runner, Unit
from xaikit.report._names import of_methods
from xaikit.results import Attribution, Attributions, Origin, Prediction

Told = Callable[[float, int, str], None]
"""Called with the units that are done, all units, and what is being done."""
TICK = 0.1
PREDICT = "predict"


@dataclass(frozen=True)
class Failure:
    """A unit without a result: which method ("predict": the input could not be read or run) on which input, and why."""

    input: str
    method: str
    error: str


@dataclass(frozen=True, eq=False)
class Explained:
    """One input, which may hold several samples: what the network says of it, and the results by method."""

    name: str
    given: str
    prediction: Prediction
    results: Mapping[str, Attribution | Attributions]

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.prediction)


@dataclass(frozen=True, eq=False)
class Explanations:
    """What a report is made from; `failures` are units without a result, `parameters` what was asked by method."""

    model: str
    methods: tuple[str, ...]
    parameters: Mapping[str, Mapping[str, Any]]
    target: Any
    seed: int
    inputs: tuple[Explained, ...]
    failures: tuple[Failure, ...]

    @property
    def origin(self) -> Origin:
        """How the first prediction came about: model, framework, versions."""
        return self.inputs[0].prediction.origin

    @property
    def made(self) -> int:
        """Count the units that have a result, predictions left out."""
        return sum(len(each.results) for each in self.inputs)


def collect(
    runner: Runner,
    model: str,
    inputs: Mapping[str, Any],
    methods: Sequence[str],
    *,
    target: Any = None,
    seed: int = 0,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Told | None = None,
) -> Explanations:
    """Have every input predicted and explained by every method, in the runner, and give all that came of it.

    `model` is a name in the runner, `inputs` maps names to what a person has (Path, array, text, mapping), `parameters`
    maps methods to theirs. A unit that fails is listed in `failures` and stops nothing else. Raises UnknownName and
    ParameterError for methods and parameters that are none, UsageError where nothing is asked, and the first error
    where the model cannot be loaded or no input can be read.
    """
    parameters = {name: dict(given) for name, given in (parameters or {}).items()}
    methods = tuple(dict.fromkeys(methods))
    if not methods or not inputs:
        raise UsageError("a report needs at least one input and one method")
    for name in methods:
        known[name]  # raises UnknownName with the nearest
    of_methods(parameters, methods)
    count = _Count(progress, len(inputs) * (1 + len(methods)))
    predictions, unread = _predicted(runner, model, inputs, seed, count)
    count.total -= len(unread) * len(methods)
    asked = [(name, method) for name in predictions for method in methods]
    jobs = [
        _submitted(runner, Unit(model, inputs[name], method, parameters.get(method, {}), target, seed))
        for name, method in asked
    ]
    results: dict[str, dict[str, Any]] = {name: {} for name in predictions}
    failures = list(unread)
    for (name, method), job in zip(asked, count.through(jobs, [f"{m}: {n}" for n, m in asked]), strict=True):
        if job.status == "done":
            results[name][method] = job.result()
        else:
            failures.append(Failure(name, method, job.error or job.status))
    explained = tuple(
        Explained(name, _place(inputs[name]), prediction, results[name]) for name, prediction in predictions.items()
    )
    return Explanations(model, methods, parameters, target, seed, explained, tuple(failures))


def _place(value: Any) -> str:
    """Say where an input comes from."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_place(each)}" for name, each in value.items())
    if isinstance(value, str | Path):
        return str(value)
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"array of {' × '.join(map(str, shape))}"


def _predicted(
    runner: Runner, model: str, inputs: Mapping[str, Any], seed: int, count: "_Count"
) -> tuple[dict[str, Prediction], list[Failure]]:
    """Ask the network about every input; a model that cannot be loaded, or inputs none of which can, end it here."""
    jobs = [_submitted(runner, Unit(model, value, seed=seed, task=PREDICT)) for value in inputs.values()]
    predictions: dict[str, Prediction] = {}
    failures: list[Failure] = []
    first: Job | None = None
    for name, job in zip(inputs, count.through(jobs, [f"reading {name}" for name in inputs]), strict=True):
        if job.status == "done":
            predictions[name] = job.result()
            continue
        first = first or job
        failures.append(Failure(name, PREDICT, job.error or job.status))
        if not predictions and _is_the_models(job):
            for other in jobs:
                other.cancel()
            _again(name, job)
    if not predictions and first is not None:
        _again(next(iter(inputs)), first)
    return predictions, failures


def _is_the_models(job: Job) -> bool:
    """Whether every other input would meet the same error."""
    try:
        job.result()
    except LoadError as error:
        return not isinstance(error, InputError)
    except Exception:
        return False
    return False


def _again(name: str, job: Job) -> NoReturn:
    try:
        job.result()
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    raise AssertionError("a failed job raises")


def _submitted(runner: Runner, unit: Unit) -> Job:
    while True:
        try:
            return runner.submit(unit)
        except QueueFull:
            time.sleep(TICK)


class _Count:
    """Tells how far all units are."""

    def __init__(self, progress: Told | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def through(self, jobs: Sequence[Job], words: Sequence[str]) -> Iterator[Job]:
        """Give the jobs in their order, each when it has ended."""
        for job, said in zip(jobs, words, strict=True):
            while not job.wait(TICK):
                part, whole = job.progress or (0, 1)
                self._tell(min(part / max(whole, 1), 1.0), said)
            self.done += 1
            self._tell(0.0, said)
            yield job

    def _tell(self, part: float, said: str) -> None:
        if self.progress is not None:
            self.progress(self.done + part, self.total, said)
