"""What methods for sequences share: where the steps are, and paths on which one step moves at a time."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xaikit.arrays import SPACE, Array, Tensors, chunks, concatenate, leaves
from xaikit.attribution._method import Method, Task, methods, parameter, require, sample_by_sample
from xaikit.attribution.integrated_gradients import quadrature
from xaikit.errors import NotSupported
from xaikit.model import Model

Rest = Callable[[Array, Array, int], Array]
"""Of one sample, with its steps first, its baseline and a step: what the other steps are while that one moves."""
STEPS = ("time", "token", "step")
"""Names of axes that are an order of steps."""


def require_steps(model: Model, cls: type[Method]) -> None:
    """Raise NotSupported for inputs that have no order of steps, and for several inputs."""
    name = next((n for n, m in methods.items() if m is cls), cls.__name__)
    several = isinstance(model.inputs, Mapping)
    if several or (not several and axis_of_steps(model.inputs) is None):
        what = "several inputs" if several else f"an input of kind {model.inputs.kind}, which has no order of steps"
        raise NotSupported(
            f"{name} is for one sequence, and {model.name} takes {what}; use integrated-gradients or occlusion"
        )


@dataclass(frozen=True, kw_only=True)
class OneStepAtATime(Method):
    """A method that lets one step of a sequence at a time go from its baseline to its value, along its gradient."""

    needs: ClassVar = frozenset({"pull"})
    score: ClassVar = "logit"
    tokens: ClassVar = "sum"

    steps: int = parameter(10, "points on the path of each step")
    baseline: Any = parameter(
        None, "where a step starts: a number (an id for Text), an array, a background, 'mean', 'zero'; None = by input"
    )

    def __post_init__(self) -> None:
        require(self.steps >= 1, f"steps must be at least 1, not {self.steps}")

    @classmethod
    def examine(cls, model: Model) -> str:
        """Say how the method would treat this model. Raises NotSupported where there is no order of steps."""
        require_steps(model, cls)
        return super().examine(model)

    def integrated(self, task: Task, starts: Tensors, rest: Rest) -> tuple[Tensors, dict[str, Array]]:
        """Integrate on the way of every step of all samples: the values, and how far the steps miss their rise."""
        found = sample_by_sample(task, lambda i: one_step_at_a_time(task, starts, i, self.steps, rest))
        values, sums, rises = zip(*found, strict=True)
        return concatenate(list(values)), missed(sums, rises)


def axis_of_steps(spec: Any) -> int | None:
    """Say which axis of one sample is the order of steps; None for pictures, tables, and arrays that name others.

    The axis named time, token or step; of arrays that name none, and where no spec says anything, the first.
    """
    if spec.kind in ("Image", "Table"):
        return None
    names = tuple(spec.axes or ())
    found = next((i for i, axis in enumerate(names) if axis in STEPS), None)
    return 0 if found is None and not set(names) & set(SPACE) else found


def one_step_at_a_time(task: Task, starts: Tensors, i: int, count: int, rest: Rest) -> tuple[Tensors, Array, Array]:
    """Let every step of sample `i` alone go from its baseline to its value, and integrate its gradient on the way.

    Gives (x_t - b_t) · ∫₀¹ ∂f/∂x_t dα by quadrature of `count` points, shaped like the sample and the mean over its
    baselines, the sum of that of each step (step,), and (step,) what the score rises by on the whole way of each. Steps
    that their baseline leaves as they are, pads among them, have 0.
    """
    axis = axis_of_steps(task.spec) or 0
    x = {n: np.moveaxis(a[i], axis, 0).astype(np.float64) for n, a in leaves(task.x)}
    b = {n: np.moveaxis(a[i], axis + 1, 1).astype(np.float64) for n, a in leaves(starts)}
    steps, several = len(next(iter(x.values()))), len(next(iter(b.values())))
    alpha, weights = quadrature(count)
    found = {n: np.zeros(a.shape) for n, a in x.items()}
    rise = np.zeros(steps)
    jobs = [(k, t) for k in range(several) for t in range(steps) if any((b[n][k, t] != x[n][t]).any() for n in x)]
    at = np.concatenate([alpha, [0.0, 1.0]])
    for s in chunks(len(jobs), max(1, task.model.batch_size // len(at))):
        these = jobs[s]
        path = _formed(task.x, {n: _way(x[n], b[n], these, at, rest, axis) for n in x})
        which = np.full(len(these) * len(at), i)
        pulled = task.pull(path, which)
        score = task.scores.value(pulled.value, path, which).reshape(len(these), -1)
        for n, g in leaves(pulled.gradient):
            gradient = np.moveaxis(g.reshape(len(these), len(at), *g.shape[1:]), axis + 2, 2)[:, :count]
            for j, (k, t) in enumerate(these):
                mean = np.tensordot(weights, gradient[j, :, t].astype(np.float64), axes=1)
                found[n][t] += (x[n][t] - b[n][k, t]) * mean / several
        for j, (_, t) in enumerate(these):
            rise[t] += (score[j, -1] - score[j, -2]) / several
        task.progress(i * len(jobs) + s.stop, len(task) * len(jobs))
    sums = np.sum([a.reshape(steps, -1).sum(1) for a in found.values()], axis=0)
    values = {n: np.moveaxis(a, 0, axis).astype(np.float32)[None] for n, a in found.items()}
    return _formed(task.x, values), sums, rise


def missed(sums: Iterable[Array], rises: Iterable[Array]) -> dict[str, Array]:
    """Say by how much the sum of a step's values misses what the score rises by on its way: the largest of a sample,
    and relative to the largest rise."""
    gap = np.array([np.abs(s - r).max(initial=0) for s, r in zip(sums, rises, strict=True)])
    size = np.array([np.abs(r).max(initial=0) for r in rises])
    relative = np.divide(gap, size, out=np.where(gap > 1e-6, np.inf, 0.0), where=size > 1e-6)
    return {"step_gap": gap, "step_gap_relative": relative}


def _way(x: Array, b: Array, jobs: list[tuple[int, int]], at: Array, rest: Rest, axis: int) -> Array:
    """Give the points of some ways, with the axis of steps in its place: (way · point, *shape), float32."""
    points = np.empty((len(jobs), len(at), *x.shape), np.float32)
    for place, (k, t) in zip(points, jobs, strict=True):
        place[:] = rest(x, b[k], t)
        place[:, t] = b[k, t] + at.reshape(-1, *(1,) * (x.ndim - 1)) * (x[t] - b[k, t])
    return np.ascontiguousarray(np.moveaxis(points.reshape(-1, *x.shape), 1, axis + 1))


def _formed(like: Tensors, found: dict[str, Array]) -> Tensors:
    return found if isinstance(like, Mapping) else found[""]
