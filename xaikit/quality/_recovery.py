"""Recovery: does an attribution find the places that are known to matter?"""

from dataclasses import replace
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import ParameterError
from xaikit.results import Attribution, Recovery, Status

POINTS = 101
"""So many thresholds have a point on the curves; areas are over all thresholds."""


def recovery(e: Attribution, truth: Any) -> Recovery:
    """Compare an explanation with the truth of a white box or of drawn data, and give a Recovery.

    `truth` says which places matter, as bools of the shape of `e.values` or of one sample's; for parts bring the
    explanation to these places first, as with e.by("time"). What counts is the size of a value, over the range of sizes
    of its sample (0 for the smallest, 1 for the largest): a place is found at a threshold τ if its size is at least τ.
    Areas over τ are exact, since precision and recall are steps: no trapezium lies over the first one, which spans from
    0 to the smallest size of what matters. Precision where nothing is found, as over an even map, is NaN.

    Source: Crabbé and van der Schaar, "Explaining Time Series Predictions with Dynamic Masks" (2021), section 4.1, for
    the areas under precision and recall. Raises ParameterError for a truth of another shape, and for one in which all
    or none of a sample's places matter.
    """
    if not isinstance(e, Attribution):
        raise ParameterError(f"recovery takes the Attribution of one input, not {type(e).__name__}")
    known = _truth(truth, e.values.shape)
    sizes = np.abs(np.asarray(e.values, np.float64)).reshape(len(e), -1)
    if not np.isfinite(sizes).all():
        raise ParameterError("the explanation holds values that are not finite: nothing ranks them")
    thresholds = np.linspace(0, 1, POINTS)
    found = [_of_sample(s, k, thresholds) for s, k in zip(sizes, known.reshape(len(e), -1), strict=True)]
    aup, aur, auroc, auprc, precision, recall = (np.array(f) for f in zip(*found, strict=True))
    return Recovery(
        aup=aup,
        aur=aur,
        auroc=auroc,
        auprc=auprc,
        prevalence=known.reshape(len(e), -1).mean(1),
        thresholds=thresholds,
        precision=precision,
        recall=recall,
        target_labels=e.target_labels,
        explained=e.origin,
        status=_judged(auroc),
        origin=replace(e.origin, method="recovery", parameters={}, notes={}, model_calls=0, seconds=0.0),
    )


def _truth(truth: Any, shape: tuple[int, ...]) -> Array:
    given = np.asarray(truth)
    if given.shape == shape[1:]:
        given = np.broadcast_to(given, shape)
    if given.shape != shape:
        raise ParameterError(
            f"the truth has shape {given.shape}, the explanation {shape}: give one bool for each value"
        )
    if given.dtype != bool and not np.isin(given, (0, 1)).all():
        raise ParameterError("the truth says of each place whether it matters: bools, or 0 and 1")
    known = given.astype(bool)
    flat = known.reshape(len(known), -1)
    even = np.flatnonzero(flat.all(1) | ~flat.any(1))
    if len(even):
        raise ParameterError(f"of sample {even[0]} all places matter, or none: there is nothing to find among them")
    return known


def _of_sample(sizes: Array, known: Array, thresholds: Array) -> tuple[Any, ...]:
    """Give aup, aur, auroc, auprc, and the curves of precision and recall at the thresholds."""
    low, high = sizes.min(), sizes.max()
    scaled = (sizes - low) / (high - low) if high > low else np.zeros_like(sizes)
    levels, place = np.unique(scaled, return_inverse=True)
    matters = np.bincount(place, known)[::-1].cumsum()[::-1]  # of what is found at each level
    found = np.bincount(place)[::-1].cumsum()[::-1]
    precision, recall = matters / found, matters / known.sum()
    widths = np.diff(levels, prepend=0.0)  # between two levels the upper one's places are found
    reached = high > low
    aup = float(widths @ precision) if reached else np.nan
    gained = -np.diff(recall, append=0.0)
    others = (found - matters) / (~known).sum()
    auroc = float((-np.diff(others, append=0.0)) @ (np.append(recall[1:], 0.0) + gained / 2))
    k = np.searchsorted(levels, thresholds - 1e-12)
    curves = [
        np.where(k < len(a), a[np.minimum(k, len(a) - 1)], fill) for a, fill in ((precision, np.nan), (recall, 0))
    ]
    return aup, float(widths @ recall), auroc, float(gained @ precision), *curves


def _judged(auroc: Array) -> Status:
    worst = float(auroc.min())
    return Status("fail", (f"AUROC {worst:.2f}: no better than chance",)) if worst <= 0.5 else Status("ok")
