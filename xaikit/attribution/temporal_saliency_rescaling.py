"""Temporal saliency rescaling: first which steps a map depends on, then which features at those steps."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from xaikit.arrays import Array, chunks, rows
from xaikit.attribution._embedded import carry_out
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require, sample_by_sample
from xaikit.attribution._stepwise import axis_of_steps, require_steps
from xaikit.errors import ParameterError
from xaikit.inputs import Scores
from xaikit.model import Model
from xaikit.progress import silent

ROWS = 256
"""How many masked samples the method below is asked about at a time."""


@methods("temporal-saliency-rescaling")
@dataclass(frozen=True, kw_only=True)
class TemporalSaliencyRescaling(Method):
    """How much the map R of another method changes when a step, and a feature at that step, is masked.

    Δ_t = Σ |R(x) - R(x with all of step t masked)|, and at steps whose Δ_t reaches the `alpha` quantile (over those
    that are no padding) Δ_it = Σ |R(x) - R(x with feature i at step t masked)|; the value is Δ_it · Δ_t, and 0 at the
    other steps. Where a step has but one feature, or is a token, the second factor would repeat the first, and the
    value is Δ_t. Values have the shape of the encoded input, no sign and no unit of the score: they rank. Pads have 0.
    It costs a map for each step, and one for each feature of a step that is looked into; `quality["maps"]` counts them.

    `base` is the name of any method for this input, or (name, {parameters}). Source: Ismail et al., "Benchmarking Deep
    Learning Interpretability in Time Series Predictions" (2020), section 4, algorithm 1, whose threshold alpha is here
    a quantile.
    """

    score: ClassVar = "logit"

    base: Any = parameter("saliency", "the method whose maps are compared: a name, or (name, {parameters})")
    alpha: float = parameter(0.55, "features are looked into at steps from this quantile of Δ_t on; 0 = at all steps")
    baseline: Any = parameter(
        None, "what masks: a number (an id for Text), an array, 'mean', 'unknown', 'zero'; None = by input"
    )

    def __post_init__(self) -> None:
        require(0 <= self.alpha <= 1, f"alpha is a quantile from 0 to 1, not {self.alpha}")
        self.method()

    @classmethod
    def examine(cls, model: Model) -> str:
        """Say how the method would treat this model. Raises NotSupported where there is no order of steps."""
        require_steps(model, cls)
        said = super().examine(model)
        return said if "pull" in model.can else "has no gradients for saliency: give base='occlusion'"

    def method(self) -> Method:
        """Give the method whose maps are compared. Raises UnknownName or ParameterError."""
        name, parameters = (self.base, {}) if isinstance(self.base, str) else self._pair()
        if name == "temporal-saliency-rescaling":
            raise ParameterError(
                "temporal-saliency-rescaling cannot be its own base: name another method, base='saliency'"
            )
        return methods[name].make(parameters)

    def _pair(self) -> tuple[str, Mapping[str, Any]]:
        given = tuple(self.base) if isinstance(self.base, tuple | list) else ()
        if len(given) != 2 or not isinstance(given[0], str) or not isinstance(given[1], Mapping):
            raise ParameterError(f"base is the name of a method, or (name, {{parameters}}), not {self.base!r}")
        return given

    def __call__(self, task: Task) -> Map:
        base = self.method()
        base.examine(task.model)
        hidden = np.asarray(task.baselines(self.baseline))
        require(hidden.shape[1] == 1, f"one baseline masks, not {hidden.shape[1]}: give a single one")
        own = np.asarray(_mapped(base, task, np.asarray(task.x), np.arange(len(task))))
        found = sample_by_sample(task, lambda i: self._one(base, task, hidden[i, 0], own[i], i))
        values = np.stack([v for v, _ in found]).astype(np.float32)
        return Map(values, quality={"maps": np.array([float(n) for _, n in found])})

    def _one(self, base: Method, task: Task, hidden: Array, own: Array, i: int) -> tuple[Array, int]:
        axis = axis_of_steps(task.spec) or 0
        x = np.moveaxis(np.asarray(task.x)[i], axis, 0)
        other = np.moveaxis(hidden, axis, 0)
        shape, flat, masks = x.shape, x.reshape(len(x), -1), other.reshape(len(x), -1)
        there = np.flatnonzero((flat != masks).any(1))
        swaps: list[tuple[int, Any]] = [(t, slice(None)) for t in there.tolist()]
        steps = np.zeros(len(x))
        steps[there] = _changes(base, task, i, axis, shape, (flat, masks), swaps, own)
        values = np.zeros(flat.shape)
        if flat.shape[1] == 1:
            values[:, 0] = steps
            cells: list[tuple[int, Any]] = []
        else:
            least = np.quantile(steps[there], self.alpha) if len(there) else 0.0
            cells = [
                (t, f)
                for t in there.tolist()
                if steps[t] >= least
                for f in np.flatnonzero(flat[t] != masks[t]).tolist()
            ]
            for (t, f), change in zip(
                cells, _changes(base, task, i, axis, shape, (flat, masks), cells, own), strict=True
            ):
                values[t, f] = change * steps[t]
        task.progress(i + 1, len(task))
        return np.moveaxis(values.reshape(shape), 0, axis), 1 + len(swaps) + len(cells)


def _changes(
    base: Method,
    task: Task,
    i: int,
    axis: int,
    shape: tuple[int, ...],
    both: tuple[Array, Array],
    cells: list[tuple[int, Any]],
    own: Array,
) -> Array:
    """Give Σ |R(x) - R(x masked)| for each (step, features) of sample `i` that is masked: (cell,)."""
    x, masks = both
    found = np.empty(len(cells))
    for s in chunks(len(cells), ROWS):
        task.check_time()
        batch = np.repeat(x[None], s.stop - s.start, axis=0)
        for row, (t, f) in zip(batch, cells[s], strict=True):
            row[t, f] = masks[t, f]
        masked = np.ascontiguousarray(np.moveaxis(batch.reshape(-1, *shape), 1, axis + 1))
        maps = _mapped(base, task, masked, np.full(len(masked), i))
        found[s] = np.abs(np.asarray(maps, np.float64) - own).reshape(len(maps), -1).sum(1)
    return found


def _mapped(base: Method, task: Task, x: Array, which: Array) -> Array:
    """Give the maps of the method below for inputs `x`, explained as the samples `which` are."""
    scores = Scores(tuple(task.scores.each[k] for k in which), task.scores.kind)
    display = task.spec.decode(x) if task.spec.kind == "Series" else rows(x, slice(None))
    said: dict[Any, Any] = {}
    asked = replace(task, x=x, display=display, scores=scores, predicted=None, said=said, progress=silent)
    return np.asarray(carry_out(base, asked).values)
