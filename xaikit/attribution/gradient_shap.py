"""Gradient SHAP: expected gradients, integrated gradients averaged over a background by sampling."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from xaikit.arrays import Array, Tensors, chunks, concatenate, each, leaves, rows
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require
from xaikit.attribution.integrated_gradients import completeness
from xaikit.errors import TimeUp
from xaikit.perturb.budget import Reached, until


@methods("gradient-shap")
@dataclass(frozen=True, kw_only=True)
class GradientShap(Method):
    """Expected gradients: E[(x - b) · ∇f(b + α(x - b))] over background samples b and α uniform on [0, 1].

    Every background sample is drawn equally often (to within one), and its α come one from each of equal strata, which
    are also spread evenly over the background; without noise. Values have the shape of the encoded input and sum to
    f(x) - E[f(b)] but for what the sampling misses: `quality` has "completeness_gap", "completeness_gap_relative",
    "standard_error" (from neighbouring strata, hence rather too large; the mean over the map, relative to its largest
    value) and "complete". With one background sample it is integrated gradients, by sampling. Token ids are followed
    through their embeddings as there.

    Source: Erion, Janizek, Sturmfels, Lundberg and Lee, "Improving performance of deep learning models with axiomatic
    attribution priors and expected gradients" (2021), equation 2; the shap package's GradientExplainer.
    """

    needs: ClassVar = frozenset({"pull"})
    score: ClassVar = "logit"
    stochastic: ClassVar = True
    tokens: ClassVar = "sum"

    background: Any = parameter(
        None,
        "typical samples, from which the paths start: an array or a list of them, or what integrated-gradients takes "
        "as baseline; None = by input, for a Table its background rows",
    )
    samples: int = parameter(200, "points, each on the path from one background sample to the input")

    def __post_init__(self) -> None:
        require(self.samples >= 1, f"samples must be at least 1, not {self.samples}")

    def __call__(self, task: Task) -> Map:
        starts = task.baselines(self.background)
        draws = _from_seed(self.samples, next(a.shape[1] for _, a in leaves(starts)), task.seed)
        group = 1 if task.tolerance is not None else max(1, task.model.batch_size // self.samples)
        found: list[_Mean] = []
        try:
            for s in chunks(len(task), group):
                found.append(_estimate(task, draws, starts, np.arange(s.start, s.stop)))
        except TimeUp:
            if not found:
                raise
        values = concatenate([mean.values for mean in found])
        quality = completeness(task, values, starts)
        quality["standard_error"] = np.concatenate([mean.relative_error for mean in found])
        quality["complete"] = np.concatenate([np.full(len(mean.samples), mean.reached.complete) for mean in found])
        return Map(values, quality=quality)


@dataclass(frozen=True, eq=False)
class Draws:
    """Points on the paths: the background sample `which`, `alpha` and `weight` of each (draw,); the weights sum to 1.

    They come in pairs of neighbours, the pairs in random order, so that any first part is a fair sample.
    """

    which: Array
    alpha: Array
    weight: Array

    def __len__(self) -> int:
        return len(self.alpha)


@lru_cache(8)
def _from_seed(samples: int, background: int, seed: int) -> Draws:
    """Draw points from a stream that starts at the seed, as it does for every sample."""
    return drawn(samples, background, np.random.default_rng(seed))


def drawn(samples: int, background: int, rng: np.random.Generator) -> Draws:
    """Draw points: background samples in turn, their α stratified."""
    counts = np.full(background, samples // background)
    counts[rng.permutation(background)[: samples % background]] += 1
    which = np.repeat(np.arange(background), counts)
    stratum = np.arange(samples) - (np.cumsum(counts) - counts)[which]
    within = rng.permuted(np.tile(np.arange(background), (int(counts.max()), 1)), axis=1)
    within = (within + rng.random(within.shape)) / background
    alpha = (stratum + within[stratum, which]) / counts[which]
    weight = 1 / (counts[which] * np.count_nonzero(counts))
    order = np.arange(samples) if samples >= background else np.argsort(alpha)
    pairs = order[: samples // 2 * 2].reshape(-1, 2)
    order = np.concatenate([rng.permutation(pairs).ravel(), order[samples // 2 * 2 :]])
    return Draws(which[order], alpha[order], weight[order])


def _estimate(task: Task, draws: Draws, starts: Tensors, samples: Array) -> "_Mean":
    """Ask for the gradients at all points of some samples, in batches of pairs over all of them."""
    mean = _Mean(samples, rows(task.x, samples), len(draws))

    def more(s: slice) -> None:
        part = slice(2 * s.start, min(2 * s.stop, len(draws)))
        which, alpha, weight = draws.which[part], draws.alpha[part], draws.weight[part]
        ways = each(lambda x, b: x[samples, None] - b[samples[:, None], which].astype(np.float64), task.x, starts)
        points = each(lambda x, way: _points(x[samples, None], way, alpha), task.x, ways)
        gradient = task.pull(points, np.repeat(samples, len(alpha)), beside=starts).gradient
        mean.add(each(lambda way, g: _weighted(way, g, weight), ways, gradient), weight)
        task.progress(int(samples[0]) * len(draws) + part.stop * len(samples), len(task) * len(draws))

    pairs = -(-len(draws) // 2)
    batch = max(1, task.model.batch_size // (2 * len(samples)))
    mean.reached = until(task, pairs, batch, more, lambda: float(mean.relative_error.max()))
    return mean


def _points(x: Array, way: Array, alpha: Array) -> Array:
    """The points x - (1 - α)(x - b): (sample · draw, ...)."""
    back = (1 - alpha).reshape(-1, *(1,) * (way.ndim - 2))
    return np.asarray(x - back * way, x.dtype).reshape(-1, *way.shape[2:])


def _weighted(way: Array, gradient: Array, weight: Array) -> Array:
    """Turn the ways (sample, draw, ...) into w · (x - b) · gradient, in their place."""
    way *= gradient.reshape(way.shape)
    way *= weight.reshape(-1, *(1,) * (way.ndim - 2))
    return way


class _Mean:
    """The running mean over the draws for some samples, and how far from it the draws lie."""

    def __init__(self, samples: Array, x: Tensors, total: int) -> None:
        self.samples, self.total, self.count, self.pairs, self.weight = samples, total, 0, 0, 0.0
        self.reached = Reached(0, total, False)
        self.sums: dict[str, Array] = {name: np.zeros((3, *a.shape)) for name, a in leaves(x)}
        self.single = not isinstance(x, Mapping)

    def add(self, terms: Tensors, weight: Array) -> None:
        """Take the weighted terms (sample, draw, ...) of some draws; two that follow each other are a pair."""
        pairs = len(weight) // 2
        for name, a in leaves(terms):
            total, together, apart = self.sums[name]
            first, second = a[:, : 2 * pairs : 2], a[:, 1 : 2 * pairs : 2]
            total += a.sum(1)
            together += np.square(first + second).sum(1)
            apart += np.square(first - second).sum(1)
        self.count, self.pairs, self.weight = self.count + len(weight), self.pairs + pairs, self.weight + weight.sum()

    @property
    def values(self) -> Tensors:
        found = {name: (total / self.weight).astype(np.float32) for name, (total, _, _) in self.sums.items()}
        return found[""] if self.single else found

    @property
    def relative_error(self) -> Array:
        """The mean standard error over the maps of all inputs, relative to their largest value: (sample,).

        When all is drawn, from the differences of neighbouring strata; before, from those of the pairs drawn so far.
        """
        errors, values = [], []
        for total, together, apart in self.sums.values():
            if self.count == self.total:
                variance = apart
            else:
                variance = np.maximum(together - total**2 / max(self.pairs, 1), 0) * self.pairs / max(self.pairs - 1, 1)
            errors.append(np.sqrt(variance).reshape(len(total), -1))
            values.append(np.abs(total).reshape(len(total), -1))
        mean, largest = np.concatenate(errors, axis=1).mean(1), np.concatenate(values, axis=1).max(1)
        if self.pairs < (1 if self.count == self.total else 2):
            return np.full(len(mean), np.nan)
        return np.divide(mean, largest, out=np.zeros_like(mean), where=largest > 0)
