"""Asking again: from an explanation back to the question that it answers."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, leaves
from xaikit.attribution import Task, methods, origin_of
from xaikit.attribution._explain import answer, has_logits, require_wrapped
from xaikit.attribution._method import fingerprint
from xaikit.errors import NotSupported, UsageError
from xaikit.inputs import resolve
from xaikit.model import Model
from xaikit.progress import Progress, silent
from xaikit.quality._agreement import each_input
from xaikit.results import Attribution, Attributions, Origin

SAME = 1e-3
"""How far the outputs of one network may be apart in two frameworks or on two devices."""


def first(e: Attribution | Attributions) -> Attribution:
    """Give the Attribution, or that of the first input; what is common to all inputs stands in each."""
    if not isinstance(e, Attribution | Attributions):
        raise UsageError(f"what is judged is what xk.explain gives, not {type(e).__name__}")
    return next(iter(each_input(e).values()))


def question(
    model: Model,
    e: Attribution | Attributions,
    *,
    score: str | None = None,
    seed: int | None = None,
    progress: Progress = silent,
) -> Task:
    """Give the task that an explanation answered, for the same or another model.

    `score` and `seed` are the explanation's own unless given. Raises UsageError for what is no explanation, or one of
    other inputs or of another network; NotSupported for one that leaves an input out.
    """
    one = first(e)
    require_wrapped(model, "this")
    several = isinstance(model.inputs, Mapping)
    if several != isinstance(e, Attributions) or (several and not set(e) <= set(model.inputs)):
        raise UsageError(f"the explanation is of other inputs than those of {model.name}")
    x, display = _of_all(model, e)
    prediction = one.prediction
    if one.origin.fingerprint is None or fingerprint(model) != one.origin.fingerprint:
        prediction = model.run(x).output
    kind: Any = score or one.origin.score
    scores = resolve(list(one.target), model.outputs, prediction, kind)
    by_logits = scores.kind == "probability" and has_logits(model, x, prediction)
    seed = one.origin.seed if seed is None else seed
    deadline = getattr(model, "deadline", np.inf)
    return Task(
        model, x, model.inputs, display, scores, prediction, seed, progress, by_logits=by_logits, deadline=deadline
    )


def _of_all(model: Model, e: Attribution | Attributions) -> tuple[Tensors, Any]:
    if isinstance(e, Attribution):
        return e.x, e.display
    missing = [name for name in model.inputs if name not in e]
    if missing:
        raise NotSupported(f"the explanation says nothing of the input {missing[0]!r}: it cannot be asked again")
    return {n: a.x for n, a in e.items()}, {n: a.display for n, a in e.items()}


def again(task: Task, e: Attribution | Attributions, **changed: Any) -> Attribution | Attributions:
    """Carry out an explanation's method, with its parameters, on a task with some fields `changed`.

    What it asks of the model is counted in the task given. Raises TimeUp after the task's deadline: what was cut short
    is no answer to the same question.
    """
    origin = first(e).origin
    own = dataclasses.replace(task, **changed, calls={"model_calls": 0}, notes={}, marks=[], progress=silent)
    explainer = methods[origin.method].make(origin.parameters)
    found = answer(own, origin.method, explainer, time.perf_counter())
    task.calls["model_calls"] += own.calls["model_calls"]
    task.check_time()
    if isinstance(found, Attribution) and "summed over" in origin.notes:
        return found.by(*first(e).axes[1:], sizes=bool(origin.notes["sizes"]))
    return found


def recorded(
    task: Task, method: str, start: float, parameters: Mapping[str, Any], *, seed: int | None = None
) -> Origin:
    """Record how a judgement about a task came about, begun at `start`; `seed` is the task's own unless given."""
    return origin_of(
        task.model,
        task.x,
        method,
        parameters=parameters,
        seconds=time.perf_counter() - start,
        calls=task.calls["model_calls"],
        score=task.scores.kind,
        seed=task.seed if seed is None else seed,
    )


def no_numbers(e: Attribution | Attributions) -> Array:
    """Give of the maps, for a verdict, those that hold what is no finite number: how alike such are says nothing."""
    inputs = [np.asarray(a.values).reshape(len(a), -1) for a in each_input(e).values()]
    maps = np.concatenate(inputs, axis=1)
    return np.asarray(maps[~np.isfinite(maps).all(1)])


def same_network(task: Task, e: Attribution | Attributions) -> None:
    """Raise UsageError where the model says something else of the samples than the explanation has recorded."""
    told, says = dict(leaves(first(e).prediction)), dict(leaves(task.prediction))
    for name, a in told.items():
        b = says.get(name)
        if b is None or a.shape != b.shape or not np.allclose(a, b, rtol=SAME, atol=SAME, equal_nan=True):
            raise UsageError(
                f"the explanation is of another network than {task.model.name}: their outputs differ; "
                "explain again with this one"
            )
