"""Which units of a recurrent layer follow what a person has marked in the sequences."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import InputError, ParameterError
from xaikit.results import HiddenStates, UnitScores


def following_units(
    states: HiddenStates,
    annotation: Any,
    gate: str | None = None,
    *,
    rotations: int = 500,
    seed: int = 0,
) -> UnitScores:
    """Give how well each unit follows an annotation of the steps, as UnitScores, the best first in its `order`.

    `annotation` (sample, time) holds yes and no or numbers for every step (those of padded steps do not count), or is a
    function from the tokens of a sample to them; for one sample (time,) will do. `gate=None` takes the cell of an LSTM,
    or the state. Scores are areas under the ROC curve for yes/no, Pearson's correlations for numbers.

    The p-value of a unit is the share of `rotations` of the annotation along the steps (which keep how it changes from
    step to step) under which the best of all units does as well, the annotation itself counted among them. Raises
    InputError for an annotation of another shape or without two values. Source: Westfall and Young, "Resampling-Based
    Multiple Testing" (1993), section 2.3.
    """
    if rotations < 1:
        raise ParameterError(f"rotations are at least 1, not {rotations!r}")
    name = states.cell if gate is None else gate
    marked = _marked(states, annotation)
    values = states[name][states.present].astype(np.float64)
    marks = marked[states.present]
    binary = bool(np.isin(marks, (0, 1)).all())
    if not np.isfinite(marks).all():
        raise InputError("the annotation holds values that are not finite at steps that are no padding")
    if len(np.unique(marks)) < 2:
        raise InputError(f"the annotation is {marks[0]:g} at all {len(marks)} steps: there is nothing to follow")
    score = _areas(values) if binary else _correlations(values)
    found = score(marks[None])[0]
    turns = np.random.default_rng(seed).integers(1, len(marks), size=rotations)
    turned = np.stack([np.roll(marks, k) for k in turns])
    middle = 0.5 if binary else 0.0
    best = np.nanmax(np.abs(score(turned) - middle), axis=1)
    p = (1 + (best[:, None] >= np.abs(found - middle)[None] - 1e-12).sum(0)) / (1 + rotations)
    return UnitScores(
        scores=found,
        p_values=p,
        measure="auroc" if binary else "correlation",
        gate=name,
        layer=states.layer,
        annotation=marked,
        steps=len(marks),
        rotations=rotations,
        origin=replace(
            states.origin,
            method="following-units",
            parameters={"layer": states.layer, "gate": name, "rotations": rotations},
            seed=seed,
            model_calls=0,
        ),
    )


def _marked(states: HiddenStates, annotation: Any) -> Array:
    """Bring an annotation to (sample, time), NaN at padded steps."""
    if callable(annotation):
        rows: Sequence[Any] = [annotation(list(states.names(i))) for i in range(len(states))]
    else:
        rows = annotation
    try:
        marks = np.asarray(rows, np.float64)
    except (TypeError, ValueError):
        raise InputError("an annotation holds yes and no, or numbers, for every step of every sample") from None
    marks = marks[None] if marks.ndim == 1 and len(states) == 1 else marks
    if marks.shape != states.present.shape:
        raise InputError(
            f"the annotation has shape {marks.shape}; the states of {states.layer} have {states.present.shape} "
            "(sample, time)"
        )
    return np.where(states.present, marks, np.nan)


def _areas(values: Array) -> Callable[[Array], Array]:
    """Give the function from annotations (case, step) to areas under the ROC curve (case, unit), ties counted half."""
    ranks = np.stack([_ranks(column) for column in values.T], axis=1)

    def areas(marks: Array) -> Array:
        high = marks.sum(1, keepdims=True)
        low = marks.shape[1] - high
        return np.asarray((marks @ ranks - high * (high + 1) / 2) / (high * low))

    return areas


def _ranks(values: Array) -> Array:
    """Rank numbers from 1; equal ones share the mean of their ranks."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[where], np.float64)


def _correlations(values: Array) -> Callable[[Array], Array]:
    """Give the function from annotations (case, step) to Pearson's correlations (case, unit), 0 for constant units."""
    columns = _standard(values.T).T

    def correlations(marks: Array) -> Array:
        return np.asarray(_standard(marks) @ columns / values.shape[0])

    return correlations


def _standard(rows: Array) -> Array:
    off = rows - rows.mean(1, keepdims=True)
    spread = off.std(1, keepdims=True)
    return np.asarray(np.divide(off, spread, out=np.zeros_like(off), where=spread > 1e-12))
