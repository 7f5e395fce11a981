"""Parity: one network in two frameworks must be explained alike."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xaikit.arrays import Array, agreement, leaves
from xaikit.attribution import Task, explain, methods
from xaikit.attribution._explain import origin_of, prepare, score_kind
from xaikit.errors import NotSupported, ParameterError, UsageError
from xaikit.inputs import resolve
from xaikit.model import Model
from xaikit.progress import Progress, bar
from xaikit.quality._agreement import each_input
from xaikit.results import Attribution, Attributions, Parity, Status

OUTPUTS, VALUES, FLIPS = 1e-5, 1e-4, 0.01
"""How far outputs and values may be apart, and the share of samples in which decisions may flip."""


def parity(
    a: Model,
    b: Model,
    x: Any,
    methods: Sequence[str | tuple[str, Mapping[str, Any]]],
    *,
    target: Any = None,
    seed: int = 0,
    progress: Progress | bool | None = None,
) -> Parity:
    """Explain the same samples with two models, and say how far outputs and explanations are apart.

    Every number is max|a - b| / max|a| of a sample; explanations are compared by their part values where they have
    parts. A ReLU or a maximum whose inputs are nearly equal may be decided otherwise in another framework: then the
    outputs agree and the gradients do not, and the sample is counted as a flip and left out of the verdict. Fails when
    outputs are further apart than 1e-5, values than 1e-4, or more than 1 % of the samples (one at least) flip.
    A method that a model cannot serve is listed in `failed`. Raises UsageError for models of different inputs.
    """
    start = time.perf_counter()
    tasks = [_task(m, x, target, seed) for m in (a, b)]
    outputs = agreement(tasks[0].prediction, tasks[1].prediction)
    flips = _flips(tasks, outputs)
    found: dict[str, Array] = {}
    failed: dict[str, str] = {}
    targets = [s.target for s in tasks[0].scores.each]
    chosen = named(methods)
    calls = sum(t.calls["model_calls"] for t in tasks)
    with bar(progress, "parity") as shown:
        for k, (label, (name, parameters)) in enumerate(chosen.items()):
            try:
                pair = [explain(m, x, name, targets, seed=seed, progress=False, **parameters) for m in (a, b)]
            except (NotSupported, ParameterError) as error:
                failed[label] = str(error)
            else:
                found[label] = apart(*pair)
                calls += sum(next(iter(each_input(e).values())).origin.model_calls for e in pair)
            shown(k + 1, len(chosen))
    values = np.stack(list(found.values())) if found else np.zeros((0, len(outputs)))
    origin = origin_of(
        a,
        tasks[0].x,
        "parity",
        parameters={"methods": tuple(chosen), "target": target},
        seconds=time.perf_counter() - start,
        calls=calls,
        seed=seed,
        notes={"other": {"model": b.name, "framework": b.framework, "weights_id": b.weights_id}},
    )
    names = (f"{a.name} ({a.framework})", f"{b.name} ({b.framework})")
    status = _judged(outputs, dict(zip(found, values, strict=True)), flips)
    return Parity(names, tuple(found), outputs, values, flips, failed, status, origin)


def named(asked: Sequence[str | tuple[str, Mapping[str, Any]]]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Check names and parameters of methods, and name each: with its parameters where a method occurs twice.

    Raises UnknownName, ParameterError, UsageError where nothing is asked.
    """
    pairs = [
        (m, {}) if isinstance(m, str) else (m[0], dict(m[1])) for m in ([asked] if isinstance(asked, str) else asked)
    ]
    if not pairs:
        raise UsageError("there is no method: give names such as ['lime', 'kernel-shap']")
    for name, parameters in pairs:
        methods[name].make(parameters)
    names = [name for name, _ in pairs]
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for name, parameters in pairs:
        told = ", ".join(f"{k}={v}" if np.ndim(v) == 0 else k for k, v in parameters.items())
        label = f"{name} ({told})" if names.count(name) > 1 and told else name
        if label in found:
            raise UsageError(f"the method {label!r} is asked for twice with the same parameters")
        found[label] = (name, parameters)
    return found


def apart(a: Attribution | Attributions, b: Attribution | Attributions) -> Array:
    """Give max|a - b| / max|a| of two explanations by sample: of part values where there are any."""
    first, second = each_input(a), each_input(b)
    return agreement({n: _numbers(e) for n, e in first.items()}, {n: _numbers(second[n]) for n in first})


def _numbers(e: Attribution) -> Array:
    return np.asarray(e.values if e.part_values is None else e.part_values, np.float64)


def _task(model: Model, x: Any, target: Any, seed: int) -> Task:
    encoded, display = prepare(model, x)
    prediction = model.run(encoded).output
    kind: Any = score_kind(model, methods["saliency"], None) if "pull" in model.can else "output"
    scores = resolve(target, model.outputs, prediction, kind)
    task = Task(model, encoded, model.inputs, display, scores, prediction, seed)
    task.calls["model_calls"] += len(task)
    return task


def _flips(tasks: Sequence[Task], outputs: Array) -> Array:
    """Mark samples where the outputs agree and the gradients do not; none where a model has no gradients."""
    integers = any(a.dtype.kind in "iu" for _, a in leaves(tasks[0].x))
    if integers or not all("pull" in t.model.can for t in tasks):
        return np.zeros(len(outputs), bool)
    gradients = agreement(*(t.pull(t.x).gradient for t in tasks))
    return (outputs <= OUTPUTS) & (gradients > VALUES)


def _judged(outputs: Array, values: Mapping[str, Array], flips: Array) -> Status:
    reasons = []
    if outputs.max() > OUTPUTS:
        reasons.append(f"the outputs are {outputs.max():.1e} apart")
    for method, own in values.items():
        worst = float(own[~flips].max(initial=0.0))
        if not worst <= VALUES:
            reasons.append(f"{method} is {worst:.1e} apart")
    if flips.sum() > max(1, FLIPS * len(flips)):
        reasons.append(f"decisions flip in {int(flips.sum())} of {len(flips)} samples")
    return Status("fail" if reasons else "ok", tuple(reasons))
