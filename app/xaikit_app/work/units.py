"""What workers do for the page Layers: filters, activations, a unit's best patches."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from xaikit.errors import InputError
from xaikit.insight import activations, filters, top_patches
from xaikit.jobs import Task, Unit, tasks
from xaikit.model import Model
from xaikit.progress import Progress
from xaikit.results import Activations, Filters, TopPatches
from xaikit_app.work._asking import asked as asked_of

FORMAT = 2
"""Raised when one of these tasks gives something else than before, so that stored results are made anew."""
KNOWN: Mapping[str, Mapping[str, Any]] = {
    "app-filters": {"layer": None, "first": 0, "count": 64},
    "app-activations": {"layer": None},
    "app-patches": {"layer": None, "unit": 0},
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


def _asked(unit: Unit) -> dict[str, Any]:
    return asked_of(unit, KNOWN)


def _address(unit: Unit) -> Mapping[str, Any]:
    return {**_asked(unit), "format": FORMAT}


for name, run in {
    "app-filters": some_filters,
    "app-activations": activations_of,
    "app-patches": best_patches,
}.items():
    tasks(name)(Task(run, _address))
