"""What workers do for the pages Layers and Anomalies: filters, activations, a unit's best patches, anomaly scores."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from xaikit.anomaly import Detector, calibrate, fit
from xaikit.arrays import Array
from xaikit.errors import InputError, ParameterError, nearest
from xaikit.insight import activations, filters, top_patches
from xaikit.jobs import Task, Unit, tasks
from xaikit.model import Model, canonical_hash
from xaikit.progress import Progress
from xaikit.results import Activations, AnomalyScores, Filters, TopPatches

FORMAT = 2
"""Raised when one of these tasks gives something else than before, so that stored results are made anew."""
KNOWN: Mapping[str, Mapping[str, Any]] = {
    "app-filters": {"layer": None, "first": 0, "count": 64},
    "app-activations": {"layer": None},
    "app-patches": {"layer": None, "unit": 0},
    "app-anomaly": {"rule": "quantile", "level": 0.99},
}
"""The tasks' parameters with their defaults."""


def some_filters(model: Model, unit: Unit, progress: Progress) -> Filters:
    """Give `count` filters of a layer from number `first` on."""
    asked = _asked(unit)
    found = filters(model, asked["layer"])
    if not 0 <= asked["first"] < len(found):
        last = len(found) - 1
        raise InputError(f"layer {asked['layer']!r} has the filters 0 to {last}, there is no number {asked['first']}")
    progress(1, 1)
    return found[asked["first"] : asked["first"] + asked["count"]]


def activations_of(model: Model, unit: Unit, progress: Progress) -> Activations:
    """Give what one layer makes of a sample: (sample, *places, unit). The heads of an attention are its units."""
    layer = _asked(unit)["layer"]
    found = activations(model, unit.input, layer)
    values, axes = found[layer], found.axes[layer]
    progress(1, 1)
    if "head" not in axes:
        return found
    values = np.moveaxis(values, axes.index("head"), -1)
    return replace(found, values={layer: values}, axes={layer: (*(a for a in axes if a != "head"), "head")})


def best_patches(model: Model, unit: Unit, progress: Progress) -> TopPatches:
    """Give the samples of a list that excite a unit most, and what it sees of them."""
    asked = _asked(unit)
    found = top_patches(model, unit.input, asked["layer"], asked["unit"], k=len(unit.input))
    progress(1, 1)
    return found


def anomaly_scores(model: Model, unit: Unit, progress: Progress) -> AnomalyScores:
    """Score `samples` with a detector that was fitted on `normal` samples; None: on themselves, for want of any."""
    asked = _asked(unit)
    normal = unit.input["normal"]
    normal = np.asarray(unit.input["samples"] if normal is None else normal)
    scores, error = _normal_scores(_Normal(model, normal, progress))
    return Detector(model, calibrate(scores, asked["rule"], asked["level"]), error).score(unit.input["samples"])


class _Normal:
    """Normal samples of a model, equal to others of the same content."""

    def __init__(self, model: Model, normal: Array, progress: Progress) -> None:
        self.model, self.normal, self.progress = model, normal, progress
        self.key = (id(model), canonical_hash({"": normal}))

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Normal) and self.key == other.key


@lru_cache(maxsize=2)
def _normal_scores(of: _Normal) -> tuple[Array, Any]:
    """Run the network over normal samples, once for all that is scored afterwards."""
    detector = fit(of.model, of.normal, progress=of.progress)
    return detector.calibration.scores, detector.error


def _asked(unit: Unit) -> dict[str, Any]:
    known = KNOWN[unit.task]
    for name in unit.parameters:
        if name not in known:
            raise ParameterError(f"{unit.task} has no parameter {name!r}{nearest(name, known)}")
    return {**known, **unit.parameters}


def _address(unit: Unit) -> Mapping[str, Any]:
    return {**_asked(unit), "format": FORMAT}


for name, run in {
    "app-filters": some_filters,
    "app-activations": activations_of,
    "app-patches": best_patches,
    "app-anomaly": anomaly_scores,
}.items():
    tasks(name)(Task(run, _address))
