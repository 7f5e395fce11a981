"""Integrated gradients: the gradient averaged along the straight path from a baseline."""

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

from xaikit.arrays import Array, Tensors, chunks, each, leaves, length, total
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require
from xaikit.errors import TimeUp

MOST_STEPS = 1600
"""As many steps as are taken to reach a tolerance."""


@methods("integrated-gradients")
@dataclass(frozen=True, kw_only=True)
class IntegratedGradients(Method):
    """How the score f builds up on the straight way from a baseline b to the input x.

    (x - b) · ∫₀¹ ∇f(b + α(x - b)) dα, by Gauss-Legendre quadrature; with several baselines the mean over them.
    Values have the shape of the encoded input and sum to f(x) - f(b): `quality["completeness_gap"]` is how much
    they miss it by, `completeness_gap_relative` the same over |f(x) - f(b)|. Source: Sundararajan, Taly and Yan,
    "Axiomatic Attribution for Deep Networks" (2017), section 3, equation 1.

    For token ids the path leads through the space of embeddings, from those of a baseline text to those of x, while the
    ids, and with them every mask, stay those of x; a token's value is the sum over the channels (sample, token), and
    pads have exactly 0. Source: section 6.4 of the same paper.

    With a `tolerance` the steps are doubled, up to 1600, for the samples whose relative completeness gap is larger
    than that; `quality["steps"]` says how many each needed. Scores with many kinks on the way need them.
    """

    needs: ClassVar = frozenset({"pull"})
    score: ClassVar = "logit"
    tokens: ClassVar = "sum"

    steps: int = parameter(50, "points on the path from the baseline to the input")
    baseline: Any = parameter(
        None,
        "where the path starts: a number (an id for Text), an array, a background, 'mean', 'blur', 'zero', 'noise', "
        "or a list of these; None = by input",
    )

    def __post_init__(self) -> None:
        require(self.steps >= 1, f"steps must be at least 1, not {self.steps}")

    def __call__(self, task: Task) -> Map:
        starts = task.baselines(self.baseline)
        values = along_paths(task, starts, *quadrature(self.steps))
        difference = task.risen(starts, length(values))
        if task.tolerance is None or length(values) < len(task):
            return Map(values, quality=gaps(values, difference))
        return self._refined(task, starts, values, difference, task.tolerance)

    def _refined(self, task: Task, starts: Tensors, values: Tensors, difference: Array, tolerance: float) -> Map:
        """Double the steps of the samples whose values miss their sum by too much."""
        steps = np.full(len(task), self.steps)
        while True:
            quality = gaps(values, difference)
            open_ = np.flatnonzero((quality["completeness_gap_relative"] > tolerance) & (steps < MOST_STEPS))
            if not len(open_):
                break
            steps[open_] = min(2 * steps[open_[0]], MOST_STEPS)
            try:
                finer = along_paths(task, starts, *quadrature(int(steps[open_[0]])), which=open_)
            except TimeUp:
                break
            done = open_[: length(finer)]
            values = each(lambda v, f: _replaced(v, done, f), values, finer)  # noqa: B023
            if len(done) < len(open_):
                break
        return Map(values, quality={**gaps(values, difference), "steps": steps})


def along_paths(task: Task, starts: Tensors, alpha: Array, weights: Array, which: Array | None = None) -> Tensors:
    """Give Σ w (x - b) · ∇f(b + α(x - b)), the mean over the baselines b of every sample: shaped like `task.x`.

    `which` are the samples that are asked about (sample,), None for all. The points of all paths are made and asked for
    in batches, in float64 until the model takes them. When time is up the samples that are done are given; raises
    TimeUp where none is.
    """
    everything = which is None
    which = np.arange(len(task)) if which is None else which
    baselines, steps = _count(starts), len(alpha)
    sums = each(lambda a: np.zeros(a.shape), task.x)
    points = len(which) * baselines * steps
    for s in chunks(points, max(1, task.model.batch_size)):
        place, b, k = np.unravel_index(np.arange(s.start, s.stop), (len(which), baselines, steps))
        i = which[place]
        path = each(lambda x, y: _points(x, y, i, b, alpha[k]), task.x, starts)  # noqa: B023
        try:
            gradient = task.pull(path, i, beside=starts if everything else False).gradient
        except TimeUp:
            if not place[0]:
                raise
            return each(lambda a: a[which[: place[0]]].astype(np.float32), sums)  # noqa: B023
        each(lambda t, g, x, y: _gathered(t, g, x, y, i, b, weights[k] / baselines), sums, gradient, task.x, starts)  # noqa: B023
        task.progress(s.stop, points)
    return each(lambda a: a[which].astype(np.float32), sums)


@cache
def quadrature(steps: int) -> tuple[Array, Array]:
    """Give the nodes and weights of Gauss-Legendre quadrature on [0, 1]: (steps,) each."""
    from scipy.special import roots_legendre  # numpy's takes the third power of the steps: 16 s for 2000

    nodes, weights = roots_legendre(steps)
    return (nodes + 1) / 2, weights / 2


def _points(x: Array, starts: Array, i: Array, b: Array, alpha: Array) -> Array:
    """Points b + α(x - b) on the ways of samples i from their baselines b: (point, ...)."""
    out = np.empty((len(i), *x.shape[1:]), x.dtype)
    for run in _ways(i, b):
        start = starts[i[run.start], b[run.start]].astype(np.float64)
        at = alpha[run].reshape(-1, *(1,) * start.ndim)
        out[run] = start + at * (x[i[run.start]] - start)
    return out


def _gathered(sums: Array, gradient: Array, x: Array, starts: Array, i: Array, b: Array, weights: Array) -> Array:
    """Add Σ w (x - b) · gradient to the sums of the samples i."""
    for run in _ways(i, b):
        sample, start = i[run.start], starts[i[run.start], b[run.start]].astype(np.float64)
        sums[sample] += (x[sample] - start) * np.tensordot(weights[run], gradient[run].astype(np.float64), axes=1)
    return sums


def _ways(i: Array, b: Array) -> list[slice]:
    """Cut a batch of points into those of one path each, which follow each other."""
    ends = np.flatnonzero((np.diff(i) != 0) | (np.diff(b) != 0)) + 1
    return [slice(int(s), int(e)) for s, e in zip([0, *ends], [*ends, len(i)], strict=True)]


def _count(starts: Tensors) -> int:
    """How many baselines each sample has."""
    return int(next(a.shape[1] for _, a in leaves(starts)))


def _replaced(values: Array, which: Array, by: Array) -> Array:
    """Give values with those of some samples replaced."""
    changed = values.copy()
    changed[which] = by
    return changed


def completeness(task: Task, values: Tensors, starts: Tensors) -> dict[str, Array]:
    """Compare the sum of the values with f(x) - f(b), for each sample that there are values of."""
    return gaps(values, task.risen(starts, length(values)))


def gaps(values: Tensors, difference: Array) -> dict[str, Array]:
    """Say how much sums of values (sample, ...) miss differences of scores (sample,), as they are and relatively."""
    gap = np.abs(total(values) - difference)
    return {"completeness_gap": gap, "completeness_gap_relative": relative(gap, difference)}


def relative(gap: Array, difference: Array) -> Array:
    """Give gap / |difference|; where there is no difference, 0 if the gap is rounding and infinity if it is not."""
    size = np.abs(difference)
    return np.divide(gap, size, out=np.where(gap > 1e-6, np.inf, 0.0), where=size > 1e-6)
