"""SmoothGrad: the gradient averaged over noisy copies, and its squared and variance forms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xaikit.arrays import Array, Tensors, concatenate, leaves, rows
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require, sample_by_sample
from xaikit.perturb.budget import Reached, until

FORMS = ("mean", "squared", "variance", "absolute")
UNITS = ("range", "input")


@methods("smooth-grad")
@dataclass(frozen=True, kw_only=True)
class SmoothGrad(Method):
    """The mean gradient over noisy copies of the input, the mean of its square, or its variance.

    Of ∇f(x + ε), ε ~ N(0, σ²), where σ is `noise` times the range (max - min) of each sample: the mean, without noise
    saliency; with `form="squared"` the mean of the squares (SquareGrad), with "variance" the variance over the copies
    (VarGrad), with "absolute" the mean size, which have no sign. With `unit="input"` σ is `noise` itself, in the
    numbers that the network takes. Values have the shape of the encoded input. `quality["standard_error"]` is the mean
    over the map of its standard error, relative to the map's largest value, "complete" the share of the copies that
    were needed and made. Copies are made a batch at a time. Source: Smilkov et al., "SmoothGrad: removing noise by
    adding noise" (2017), section 3; Hooker et al., "A Benchmark for Interpretability Methods in Deep Neural Networks"
    (2019), section 4.2; Adebayo et al., "Local Explanation Methods for Deep Neural Networks Lack Sensitivity to
    Parameter Values" (2018), section 2.
    """

    needs: ClassVar = frozenset({"pull"})
    score: ClassVar = "logit"
    tokens: ClassVar = "norm"
    stochastic: ClassVar = True

    samples: int = parameter(50, "noisy copies of each input")
    noise: float = parameter(0.15, "standard deviation of the noise as a share of each sample's range")
    unit: str = parameter(
        "range", "what noise is a share of: each sample's 'range', or 'input' for 1 as the network sees it", UNITS
    )
    form: str = parameter(
        "mean", "'mean' of the gradients, of the 'squared' or 'absolute' ones, or their 'variance'", FORMS
    )

    def __post_init__(self) -> None:
        require(self.form in FORMS, f"form is one of {', '.join(FORMS)}, not {self.form!r}")
        least = 2 if self.form == "variance" else 1
        require(self.samples >= least, f"samples must be at least {least}, not {self.samples}")
        require(self.unit in UNITS, f"unit is one of {', '.join(UNITS)}, not {self.unit!r}")
        require(self.noise >= 0, f"noise must not be negative, not {self.noise}")

    def __call__(self, task: Task) -> Map:
        found = sample_by_sample(task, lambda i: self._one(task, i))
        quality = {
            "standard_error": np.array([error for _, error, _ in found]),
            "complete": np.array([reached.complete for _, _, reached in found]),
        }
        return Map(concatenate([value for value, _, _ in found]), quality=quality)

    def _sigma(self, x: Array) -> float:
        return self.noise * (1.0 if self.unit == "input" else float(x.max() - x.min()))

    def _one(self, task: Task, i: int) -> tuple[Tensors, float, Reached]:
        x = dict(leaves(rows(task.x, slice(i, i + 1))))
        streams = dict(zip(x, _streams(task, len(x)), strict=True))
        moments: dict[str, _Moments] = {}

        def more(s: slice) -> None:
            noisy = {n: _noisy(a, s.stop - s.start, self._sigma(a), streams[n]) for n, a in x.items()}
            batch: Tensors = noisy if isinstance(task.x, Mapping) else noisy[""]
            for name, g in leaves(task.pull(batch, np.full(s.stop - s.start, i), beside=True).gradient):
                moments.setdefault(name, _Moments(self.form, g[0])).add(g)
            task.progress(i * self.samples + s.stop, len(task) * self.samples)

        def error() -> float:
            return _relative_error(list(moments.values()))

        reached = until(task, self.samples, task.model.batch_size, more, error)
        values = {n: m.value[None] for n, m in moments.items()}
        return (values if isinstance(task.x, Mapping) else values[""]), error(), reached


def _streams(task: Task, count: int) -> list[np.random.Generator]:
    """A stream of noise for each input, so that it does not matter how many copies are drawn at a time."""
    return [task.rng()] if count == 1 else task.rng().spawn(count)


def _noisy(x: Array, count: int, sigma: float, rng: np.random.Generator) -> Array:
    if x.dtype.kind in "iu":
        return np.repeat(x, count, axis=0)
    return (x + sigma * rng.standard_normal((count, *x.shape[1:]))).astype(x.dtype)


class _Moments:
    """Running sums of the powers of gradients, taken from near their mean so that nothing cancels."""

    def __init__(self, form: str, near: Array) -> None:
        self.form, self.count = form, 0
        self.near = self._of(near)
        self.sums = np.zeros((4 if form == "variance" else 2, *near.shape))

    def _of(self, gradient: Array) -> Array:
        g = np.asarray(gradient, np.float64)
        return g**2 if self.form == "squared" else np.abs(g) if self.form == "absolute" else g

    def add(self, gradients: Array) -> None:
        """Take some gradients (copy, *shape)."""
        off = self._of(gradients) - self.near
        power = np.ones_like(off)
        for total in self.sums:
            power *= off
            total += power.sum(0)
        self.count += len(gradients)

    @property
    def variance(self) -> Array:
        """The variance over the copies (*shape), as a mean over all of them."""
        mean, square = self.sums[:2] / self.count
        return np.maximum(square - mean**2, 0)

    @property
    def value(self) -> Array:
        """The map: (*shape), float32."""
        found = self.variance if self.form == "variance" else self.near + self.sums[0] / self.count
        return found.astype(np.float32)

    @property
    def error(self) -> Array:
        """The standard error of the map: (*shape)."""
        if self.form != "variance":
            return np.sqrt(self.variance / (self.count - 1))
        a, b, c, d = self.sums / self.count
        fourth = d - 4 * a * c + 6 * a**2 * b - 3 * a**4
        return np.sqrt(np.maximum(fourth - self.variance**2, 0) / self.count)


def _relative_error(moments: list[_Moments]) -> float:
    """Give the mean standard error over the maps of all inputs, relative to their largest value."""
    if moments[0].count < 2:
        return float("nan")
    largest = max(float(np.abs(m.value).max()) for m in moments)
    mean = np.concatenate([m.error.ravel() for m in moments]).mean()
    return float(mean / largest) if largest else 0.0
