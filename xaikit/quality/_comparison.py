"""Comparison: several methods on the same samples, side by side."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution import explain
from xaikit.attribution import methods as known
from xaikit.attribution._evidence import judged
from xaikit.attribution._explain import origin_of, prepare, require_wrapped
from xaikit.errors import NotSupported, ParameterError, TimeUp
from xaikit.model import Model
from xaikit.perturb.budget import Budget
from xaikit.perturb.copies import check_kind
from xaikit.progress import Progress, bar
from xaikit.quality._agreement import agreements, each_input
from xaikit.quality._asking import first
from xaikit.quality._faithfulness import faithfulness
from xaikit.quality._parity import named
from xaikit.results import Attribution, Attributions, Comparison, Faithfulness

TICKS = 1000
SHARED = ("segments", "baseline")
"""Parameters that methods have in common: with equal ones they ask the model about the same coalitions."""


def compare(
    model: Model,
    x: Any,
    methods: Sequence[str | tuple[str, Mapping[str, Any]]],
    target: Any = None,
    *,
    segments: Any = None,
    baseline: Any = None,
    seed: int = 0,
    score: str | None = None,
    evidence: bool = True,
    progress: Progress | bool | None = None,
    max_calls: int | None = None,
    max_batch: int | None = None,
    time_limit: float | None = None,
    tolerance: float | None = None,
    accelerate: str = "auto",
) -> Comparison:
    """Explain the same samples by several methods, and give a Comparison: results, agreement, faithfulness.

    `methods` are names, or pairs of a name and parameters. All methods that have the parameters get the same
    `baseline` and, where given, `segments`, unless a pair says otherwise; so each coalition of parts is paid for once,
    whichever methods ask for it. `target` and `score` are those of xk.explain (`score=None`: each method explains its
    own). Faithfulness is measured on one score for all: `score`, or the probability where there are classes; it is
    without the max-sensitivity, which explains again, and `evidence=False` leaves all of it out. A method that cannot
    serve the model, or whose parameters do not fit the sample, is named in `failed` with the reason; so is one that has
    a result but no curves.

    The budget is that of xk.explain: `max_calls` and `tolerance` hold for each method, `time_limit`, in seconds, for
    each method with its curves, `max_batch` for every pass. `accelerate` is for the methods that only run the model.

    The agreement has the shape (method, method), rank correlations in -1..1. Raises UnknownName and ParameterError for
    methods and parameters that are none, InputError, TargetError, and the first method's error if all failed. Source:
    Krishna et al., "The Disagreement Problem in Explainable Machine Learning" (2022).
    """
    require_wrapped(model, "compare")
    check_kind(accelerate)
    budget = Budget(max_calls, max_batch, time_limit, tolerance)
    bounds = asdict(budget)
    start, asked = time.perf_counter(), named(methods)
    encoded, _ = prepare(model, x)
    found: dict[str, Attribution | Attributions] = {}
    curves: dict[str, Faithfulness] = {}
    failed: dict[str, NotSupported | ParameterError | TimeUp] = {}
    common = score or ("probability" if _classes(model) else "output")
    with bar(progress, "compare") as shown:
        for k, (label, (name, given)) in enumerate(asked.items()):
            copy = "auto" if "pull" in known[name].needs else accelerate
            parameters = {**_shared(name, segments, baseline), **given, **bounds, "accelerate": copy}
            begun = time.perf_counter()
            step = _part(shown, k, len(asked), 2 if evidence else 1)
            try:
                e = found[label] = explain(
                    model, x, name, target, seed=seed, score=score, progress=step(0), **parameters
                )
                if evidence:
                    how = {"baseline": baseline, "score": common, "perturbations": 0}
                    curves[label] = faithfulness(budget.timed(model, begun), e, seed, progress=step(1), **how)
                    found[label] = _with_numbers(e, curves[label])
            except (NotSupported, ParameterError, TimeUp) as error:
                failed[label] = error
            shown((k + 1) * TICKS, len(asked) * TICKS)
    if not found:
        raise next(iter(failed.values()))
    return Comparison(
        attributions=found,
        methods=tuple(found),
        agreement=_mean_agreement(list(found.values()), absolute=False),
        agreement_absolute=_mean_agreement(list(found.values()), absolute=True),
        faithfulness=curves,
        failed={label: str(error) for label, error in failed.items()},
        origin=origin_of(
            model,
            encoded,
            "compare",
            parameters={"methods": tuple(asked), "segments": segments, "baseline": baseline, "target": target},
            seconds=time.perf_counter() - start,
            calls=_calls(found, curves),
            score=common,
            seed=seed,
        ),
    )


def _classes(model: Model) -> bool:
    specs = model.outputs.values() if isinstance(model.outputs, Mapping) else [model.outputs]
    return any(s.kind in ("Classes", "Masks") for s in specs)


def _shared(name: str, segments: Any, baseline: Any) -> dict[str, Any]:
    """Give what a method shares with the others; segments only where some are asked for, since each has its own."""
    given = {"segments": segments, "baseline": baseline}
    own = known[name].parameters()
    return {p: given[p] for p in SHARED if p in own and (p == "baseline" or given[p] is not None)}


def _part(shown: Progress, k: int, count: int, steps: int) -> Any:
    """Give for each step of method `k` a Progress that reports to the whole."""

    def step(s: int) -> Progress:
        def report(done: int, total: int) -> None:
            shown(k * TICKS + (s * TICKS + done * TICKS // max(total, 1)) // steps, count * TICKS)

        return report

    return step


def _with_numbers(e: Attribution | Attributions, curves: Faithfulness) -> Attribution | Attributions:
    """Let the status heed the curves, if they are of the score that was explained."""
    if first(e).origin.score != curves.origin.score:
        return e
    if isinstance(e, Attribution):
        return judged(e, curves.quality, {})
    return Attributions({name: judged(own, curves.quality, {}) for name, own in e.items()})


def _mean_agreement(found: Sequence[Attribution | Attributions], absolute: bool) -> Array:
    """The mean over samples and inputs: (method, method); NaN where no sample could be ranked."""
    tables = []
    for name in {n: None for e in found for n in each_input(e)}:
        own = [each_input(e).get(name) for e in found]
        for i in range(len(first(found[0]))):
            tables.append(agreements([None if e is None else e[i] for e in own], absolute))
    stack = np.stack(tables)
    there = np.isfinite(stack).sum(0)
    return np.divide(np.nansum(stack, 0), there, out=np.full(there.shape, np.nan), where=there > 0)


def _calls(found: Mapping[str, Attribution | Attributions], curves: Mapping[str, Faithfulness]) -> int:
    return sum(first(e).origin.model_calls for e in found.values()) + sum(f.origin.model_calls for f in curves.values())
