"""What workers do for the pages Explain and Compare besides explaining: how fast a model is, how good a map."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import each
from xaikit.attribution import explain, prepare
from xaikit.errors import ParameterError, XaikitError
from xaikit.jobs import Task, Unit, tasks
from xaikit.model import Model
from xaikit.progress import Progress
from xaikit.quality import faithfulness
from xaikit.results import RESULTS, Faithfulness

FORMAT = 1
"""Raised when one of these tasks gives something else than before, so that stored results are made anew."""
ROWS = 16
"""As many rows as a pass has whose time is taken."""
LONG = 0.05
"""A network that takes so many seconds for one row gains nothing from several at once."""


@dataclass(frozen=True, eq=False)
class Pace:
    """How long one model call takes here, in seconds: `run` forward, `pull` forward and back (0: it has no gradients).

    One row of a pass of several, as methods make them, after a first pass that nobody counts.
    """

    run: float
    pull: float


RESULTS[Pace.__name__] = Pace


def pace_of(model: Model, unit: Unit, progress: Progress) -> Pace:
    """Take the time of passes with copies of one sample."""
    x, _ = prepare(model, unit.input)
    alone = _timed(lambda: model.run(x))
    progress(1, 1)
    if alone > LONG:
        return Pace(alone, 3 * alone if "pull" in model.can else 0.0)
    many = each(lambda a: np.repeat(a, ROWS, axis=0), x)
    run = _timed(lambda: model.run(many)) / ROWS
    return Pace(run, _pull(model, many, run) if "pull" in model.can else 0.0)


def _pull(model: Model, x: Any, run: float) -> float:
    seed = each(np.ones_like, model.run(x).output)
    try:
        return _timed(lambda: model.pull(x, seed)) / ROWS
    except XaikitError:  # integers have no gradient; methods follow it to the embedding
        return 3 * run


def _timed(work: Any) -> float:
    work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def tried(model: Model, unit: Unit, progress: Progress) -> Faithfulness:
    """Explain a sample, then hide and show its parts in the map's order and in that of random maps.

    The curves are of one score for all methods: of the probability where there are classes.
    """
    found = explain(model, unit.input, unit.method, unit.target, seed=unit.seed, progress=False, **unit.parameters)
    specs = model.outputs.values() if isinstance(model.outputs, Mapping) else [model.outputs]
    score = "probability" if any(spec.kind in ("Classes", "Masks") for spec in specs) else "output"
    return faithfulness(model, found, unit.seed, score=score, perturbations=0, progress=progress)


def _nothing(unit: Unit) -> Mapping[str, Any]:
    for name in unit.parameters:
        raise ParameterError(f"{unit.task} has no parameter {name!r}")
    return {"format": FORMAT}


def _as_explained(unit: Unit) -> Mapping[str, Any]:
    return {**tasks["explain"].parameters(unit), "format": FORMAT}


tasks("app-pace")(Task(pace_of, _nothing))
tasks("app-curves")(Task(tried, _as_explained))
__all__ = ["Pace"]
