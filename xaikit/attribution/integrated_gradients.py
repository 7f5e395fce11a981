"""Integrated gradients: the gradient averaged along the straight path from a baseline."""

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

from xaikit.arrays import Array, Tensors, concatenate, each, rows, total
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require


@methods("integrated-gradients")
@dataclass(frozen=True, kw_only=True)
class IntegratedGradients(Method):
    """How the score f builds up on the straight way from a baseline b to the input x.

    (x - b) · ∫₀¹ ∇f(b + α(x - b)) dα, by Gauss-Legendre quadrature; with several baselines the mean over them.
    Values have the shape of the encoded input and sum to f(x) - f(b): `quality["completeness_gap"]` is how much
    they miss it by, `completeness_gap_relative` the same over |f(x) - f(b)|. Source: Sundararajan, Taly and Yan,
    "Axiomatic Attribution for Deep Networks" (2017), section 3, equation 1.
    """

    needs: ClassVar = frozenset({"pull"})
    score: ClassVar = "logit"

    steps: int = parameter(50, "points on the path from the baseline to the input")
    baseline: Any = parameter(
        None, "where the path starts: a number, an array, 'mean', 'blur' or 'zero'; None = by input"
    )

    def __post_init__(self) -> None:
        require(self.steps >= 1, f"steps must be at least 1, not {self.steps}")

    def __call__(self, task: Task) -> Map:
        starts = task.baselines(self.baseline)
        values = concatenate([self._one(task, i, rows(starts, i)) for i in range(len(task))])
        return Map(values, quality=completeness(task, values, starts))

    def _one(self, task: Task, i: int, starts: Tensors) -> Tensors:
        alpha, weights = quadrature(self.steps)
        x = rows(task.x, slice(i, i + 1))
        path = each(lambda a, b: _path(a, b, alpha), x, starts)
        gradient = task.pull(path, np.full(_count(starts) * self.steps, i)).gradient
        task.progress(i + 1, len(task))
        return each(lambda g, a, b: _integral(g, a, b, weights), gradient, x, starts)


@cache
def quadrature(steps: int) -> tuple[Array, Array]:
    """Give the nodes and weights of Gauss-Legendre quadrature on [0, 1]: (steps,) each."""
    from scipy.special import roots_legendre  # numpy's takes the third power of the steps: 16 s for 2000

    nodes, weights = roots_legendre(steps)
    return (nodes + 1) / 2, weights / 2


def _path(x: Array, starts: Array, alpha: Array) -> Array:
    """Points b + α(x - b) for every baseline and node: (baseline · node, ...)."""
    at = alpha.reshape(-1, *(1,) * x.ndim)
    return (
        np.asarray(starts + at * (x.astype(np.float64) - starts))
        .swapaxes(0, 1)
        .reshape(-1, *x.shape[1:])
        .astype(x.dtype)
    )


def _integral(gradient: Array, x: Array, starts: Array, weights: Array) -> Array:
    g = gradient.reshape(len(starts), len(weights), *x.shape[1:]).astype(np.float64)
    mean = np.tensordot(weights, g, axes=(0, 1))
    return np.asarray(((x - starts) * mean).mean(0, keepdims=True), np.float32)


def _count(starts: Tensors) -> int:
    return len(next(iter(starts.values()))) if isinstance(starts, dict) else len(starts)


def completeness(task: Task, values: Tensors, starts: Tensors) -> dict[str, Array]:
    """Compare the sum of the values with f(x) - f(b), for each sample."""
    count = _count(rows(starts, 0))
    index = np.repeat(np.arange(len(task)), count)
    at_start = task.value(each(lambda b: b.reshape(-1, *b.shape[2:]), starts), index).reshape(-1, count).mean(1)
    difference = task.value(task.x) - at_start
    gap = np.abs(total(values) - difference)
    return {"completeness_gap": gap, "completeness_gap_relative": relative(gap, difference)}


def relative(gap: Array, difference: Array) -> Array:
    """Give gap / |difference|; where there is no difference, 0 if the gap is rounding and infinity if it is not."""
    size = np.abs(difference)
    return np.divide(gap, size, out=np.where(gap > 1e-6, np.inf, 0.0), where=size > 1e-6)
