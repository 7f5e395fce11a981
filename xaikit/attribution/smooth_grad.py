"""SmoothGrad: the gradient averaged over noisy copies."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xaikit.arrays import Array, Tensors, concatenate, each, leaves, rows
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require


@methods("smooth-grad")
@dataclass(frozen=True, kw_only=True)
class SmoothGrad(Method):
    """The mean gradient over noisy copies of the input.

    Σ ∇f(x + ε)/n, ε ~ N(0, σ²), where σ is `noise` times the range (max - min) of each sample. Values have the
    shape of the encoded input. Without noise it is saliency. `quality["standard_error"]` is the mean over the map
    of the standard error of the mean, relative to the map's largest value. Source: Smilkov et al., "SmoothGrad:
    removing noise by adding noise" (2017), section 3.
    """

    needs: ClassVar = frozenset({"pull"})
    score: ClassVar = "logit"
    tokens: ClassVar = "norm"
    stochastic: ClassVar = True

    samples: int = parameter(50, "noisy copies of each input")
    noise: float = parameter(0.15, "standard deviation of the noise as a share of each sample's range")

    def __post_init__(self) -> None:
        require(self.samples >= 1, f"samples must be at least 1, not {self.samples}")
        require(self.noise >= 0, f"noise must not be negative, not {self.noise}")

    def __call__(self, task: Task) -> Map:
        found = [self._one(task, i) for i in range(len(task))]
        values = concatenate([mean for mean, _ in found])
        return Map(values, quality={"standard_error": np.array([error for _, error in found])})

    def _one(self, task: Task, i: int) -> tuple[Tensors, float]:
        rng = task.rng()
        noisy = each(lambda a: _add_noise(a, self.samples, self.noise, rng), rows(task.x, slice(i, i + 1)))
        gradient = task.pull(noisy, np.full(self.samples, i)).gradient
        task.progress((i + 1) * self.samples, len(task) * self.samples)
        mean = each(lambda g: g.mean(0, keepdims=True), gradient)
        return mean, _relative_error(gradient)


def _add_noise(x: Array, count: int, noise: float, rng: np.random.Generator) -> Array:
    if x.dtype.kind in "iu":
        return np.repeat(x, count, axis=0)
    sigma = noise * float(x.max() - x.min())
    return (x + sigma * rng.standard_normal((count, *x.shape[1:]))).astype(x.dtype)


def _relative_error(gradient: Tensors) -> float:
    g = np.concatenate([a.reshape(len(a), -1) for _, a in leaves(gradient)], axis=1).astype(np.float64)
    if len(g) < 2:
        return float("nan")
    largest = np.abs(g.mean(0)).max()
    return float((g.std(0, ddof=1) / np.sqrt(len(g))).mean() / largest) if largest else 0.0
