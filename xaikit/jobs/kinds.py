"""The kinds of work that a unit can ask for, by name: a function from model and unit to a result."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaikit.arrays import length
from xaikit.attribution import explain, methods
from xaikit.attribution._explain import SCORES, origin_of, prepare
from xaikit.data.files import read_samples
from xaikit.errors import ParameterError
from xaikit.model import Model
from xaikit.progress import Progress
from xaikit.registry import Registry
from xaikit.results import Prediction

if TYPE_CHECKING:
    from xaikit.jobs.unit import Unit

BESIDES = ("score", "max_calls", "max_batch", "time_limit", "tolerance", "accelerate", "evidence")
"""What a unit says of an explanation among its parameters, besides those of the method."""
ALWAYS = BESIDES[:2]
"""Those that stand in every unit's address; the others only where they were given."""


def _as_given(unit: "Unit") -> Mapping[str, Any]:
    return dict(unit.parameters)


@dataclass(frozen=True)
class Task:
    """One kind of work: `run(model, unit, progress)` gives a result that `xk.save` can store.

    `progress` is called with (done, total) as often as is handy, and raises Cancelled to stop. `parameters(unit)` gives
    the parameters after defaults, which become part of the result's address, and raises ParameterError for wrong ones.
    """

    run: Callable[[Model, "Unit", Progress], Any]
    parameters: Callable[["Unit"], Mapping[str, Any]] = _as_given


tasks: Registry[Task] = Registry("task", "xaikit.jobs")


def given(model: Model, unit: "Unit") -> Any:
    """Give a unit's input as the model's spec takes it: files are read. Raises InputError."""
    return _read(unit.input, model.inputs)


def _read(value: Any, spec: Any) -> Any:
    if isinstance(spec, Mapping) and isinstance(value, Mapping):
        return {name: _read(v, spec[name]) if name in spec else v for name, v in value.items()}
    if isinstance(value, list):
        return [_read(v, spec) for v in value]
    return read_samples(str(value), spec) if isinstance(value, Path) else value


def _explain(model: Model, unit: "Unit", progress: Progress) -> Any:
    x = given(model, unit)
    return explain(model, x, unit.method, unit.target, seed=unit.seed, progress=progress, **unit.parameters)


def _explained_with(unit: "Unit") -> Mapping[str, Any]:
    cls = methods[unit.method]
    own = {k: v for k, v in unit.parameters.items() if k not in BESIDES}
    also = (*BESIDES, "dialect")
    asked = {k: unit.parameters.get(k) for k in also if k in ALWAYS or k in unit.parameters}
    if asked["score"] not in (None, *SCORES):
        raise ParameterError(f"score must be one of {', '.join(SCORES)}, not {asked['score']!r}")
    explainer = cls.make(own)
    return {**{name: getattr(explainer, name) for name in cls.parameters()}, **asked}


def _predict(model: Model, unit: "Unit", progress: Progress) -> Prediction:
    start = time.perf_counter()
    x, display = prepare(model, given(model, unit))
    output = model.run(x).output
    progress(length(x), length(x))
    seconds = time.perf_counter() - start
    origin = origin_of(model, x, "predict", parameters={}, seconds=seconds, calls=length(x), seed=unit.seed)
    return Prediction(output, x, display, model.inputs, model.outputs, origin)


def _predicted_with(unit: "Unit") -> Mapping[str, Any]:
    for name in unit.parameters:
        raise ParameterError(f"predict has no parameter {name!r}")
    return {}


tasks("explain")(Task(_explain, _explained_with))
tasks("predict")(Task(_predict, _predicted_with))
