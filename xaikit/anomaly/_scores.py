"""How unusual a sample is: scores of what a network gives back, each the exact sum of its parts.

A score has parts at the places of the input, at the numbers of a code, or both. What it must know of normal samples
(their spread, the variance of their errors) it learns once.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np

from xaikit.anomaly._codes import code_layer, variational
from xaikit.arrays import Array, chunks
from xaikit.errors import InputError, NotSupported, ParameterError, UnknownName
from xaikit.inputs import ErrorScore, Image, ReconstructionError
from xaikit.model import Model

CHUNK = 1024
"""How many samples are reconstructed at a time: all differences of a large data set would not fit into memory."""
TINY = float(np.finfo(np.float32).tiny)
"""The variance of errors where all samples come back exactly."""


@dataclass(frozen=True, eq=False)
class Parts:
    """What scores are the sums of: `places` (sample, *input), `code` (sample, number) or None; and what came back."""

    places: Array
    reconstruction: Array
    code: Array | None = None

    @property
    def values(self) -> Array:
        """The scores: (sample,)."""
        values = np.asarray(self.places.reshape(len(self.places), -1).sum(1))
        return values if self.code is None else values + self.code.sum(1)


@dataclass(frozen=True, eq=False)
class Score(ABC):
    """A score of samples; fields without an underscore are parameters, the others what it has learned."""

    name: ClassVar[str]
    runs: ClassVar[int] = 1
    """How often the network is run on a sample."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if not f.name.startswith("_")}

    @property
    def calls(self) -> int:
        """How many rows of the network's input one sample costs."""
        return self.runs

    def learn(self, model: Model, x: Array) -> "Score":
        """Give the score that has learned from encoded normal samples."""
        return self

    @abstractmethod
    def parts(self, model: Model, x: Array) -> Parts:
        """Split the scores of encoded samples."""


class MeanSquare(Score):
    """The mean of the squared differences between input and reconstruction."""

    name = "mse"

    def parts(self, model: Model, x: Array) -> Parts:
        back = _back(model, x)
        return Parts(_error(self.name).contributions(back, x), back)


class MeanAbsolute(Score):
    """The mean of the differences without their signs."""

    name = "mae"
    parts = MeanSquare.parts


@dataclass(frozen=True, eq=False)
class TopShare(Score):
    """The mean of the largest squared differences, a `share` of all places: what is unusual in few places only."""

    name = "top-share"
    share: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ParameterError(
                f"share is the share of the places that count, above 0 and at most 1, not {self.share}"
            )

    def parts(self, model: Model, x: Array) -> Parts:
        back = _back(model, x)
        squares = np.square(_difference(back, x)).reshape(len(x), -1)
        count = int(np.ceil(round(self.share * squares.shape[1], 9)))
        kept = np.zeros_like(squares)
        largest = np.argsort(-squares, axis=1, kind="stable")[:, :count]
        np.put_along_axis(kept, largest, np.take_along_axis(squares, largest, 1) / count, 1)
        return Parts(kept.reshape(x.shape), back)


@dataclass(frozen=True, eq=False)
class Standardised(Score):
    """The mean of squared differences, each divided by its mean square over normal samples.

    A place that is hard for every sample counts no more than others. `_scale` (*input) is that mean square; places that
    always come back exactly take the smallest that others have.
    """

    name = "standardised"
    _scale: Array | None = None

    def learn(self, model: Model, x: Array) -> "Standardised":
        scale = sum(np.square(_difference(b, part)).sum(0) for part, b in _reconstructed(model, x)) / len(x)
        lowest = float(scale[scale > 0].min()) if (scale > 0).any() else 1.0
        return replace(self, _scale=np.maximum(scale, lowest))

    def parts(self, model: Model, x: Array) -> Parts:
        back = _back(model, x)
        assert self._scale is not None
        return Parts(np.square(_difference(back, x)) / self._scale / self._scale.size, back)


@dataclass(frozen=True, eq=False)
class Dissimilarity(Score):
    """One minus the structural similarity of picture and reconstruction (Wang et al. 2004), in a square `window`.

    The mean of the map without its border of half a window, as usual; channels are averaged.
    """

    name = "ssim"
    window: int = 11

    def __post_init__(self) -> None:
        if self.window < 3 or self.window % 2 == 0:
            raise ParameterError(f"window is an odd number of pixels from 3 on, not {self.window}")

    def learn(self, model: Model, x: Array) -> "Dissimilarity":
        spec = model.inputs
        if not isinstance(spec, Image):
            raise NotSupported(f"ssim compares pictures, and {model.name} takes {type(spec).__name__}; use mse")
        if self.window > min(spec.height, spec.width):
            raise ParameterError(f"a window of {self.window} does not fit into {spec.height}×{spec.width} pixels")
        return self

    def parts(self, model: Model, x: Array) -> Parts:
        back, half = _back(model, x), self.window // 2
        _difference(back, x)  # says it where the shapes differ
        maps = np.stack([_ssim(a, b, self.window, _span(model.inputs)) for a, b in zip(x, back, strict=True)])
        inner = np.zeros(maps.shape[1:])
        inner[half : maps.shape[1] - half, half : maps.shape[2] - half] = 1
        return Parts((1 - maps) * inner / inner.sum(), back)


@dataclass(frozen=True, eq=False)
class CodeDistance(Score):
    """The squared Mahalanobis distance of the code from those of normal samples: (z - m)' S⁻¹ (z - m).

    It finds anomalies that come back well. `layer` holds the code (None: the narrowest layer). Its parts are those of
    the numbers of the code, (z - m) · S⁻¹ (z - m) each; the places of the input have none.
    """

    name = "latent"
    layer: str | None = None
    _mean: Array | None = None
    _precision: Array | None = None

    def learn(self, model: Model, x: Array) -> "CodeDistance":
        layer = self.layer or code_layer(model)
        z = np.concatenate([_code(model, x[s], layer) for s in chunks(len(x), CHUNK)])
        if len(z) < 2:
            raise InputError("a distance of codes needs at least two normal samples to have a spread")
        return replace(self, layer=layer, _mean=z.mean(0), _precision=_inverse(np.atleast_2d(np.cov(z.T))))

    def parts(self, model: Model, x: Array) -> Parts:
        assert self.layer is not None
        run = model.run(x, at=(self.layer,))
        return Parts(np.zeros(x.shape), np.asarray(run.output), self._distances(run.activations[self.layer]))

    def _distances(self, z: Array) -> Array:
        assert self._mean is not None
        assert self._precision is not None
        d = _flat(z) - self._mean
        return np.asarray(d * (d @ self._precision))


@dataclass(frozen=True, eq=False)
class Joint(CodeDistance):
    """Distance of the code plus squared differences over their variance σ²: of both what probabilistic PCA has.

    For a linear autoencoder, whose code holds principal components, it is -2 log p(x) but for a constant when σ² is the
    mean variance of the components left out (Tipping and Bishop 1999).
    """

    name = "joint"
    _variance: float = 1.0

    def learn(self, model: Model, x: Array) -> "Joint":
        found = super().learn(model, x)
        assert isinstance(found, Joint)
        assert found._mean is not None
        squares = sum(float(np.square(_difference(b, part)).sum()) for part, b in _reconstructed(model, x))
        free = max(x[0].size - len(found._mean), 1) * max(len(x) - 1, 1)
        return replace(found, _variance=max(squares / free, TINY))

    def parts(self, model: Model, x: Array) -> Parts:
        found = super().parts(model, x)
        return replace(found, places=np.square(_difference(found.reconstruction, x)) / self._variance)


@dataclass(frozen=True, eq=False)
class Sampled(Score):
    """What the scores of a variational autoencoder share: samples z = m + s·ε of the code, and a likelihood.

    The `samples` draws ε come from `seed` and are the same for every input. `likelihood` of the pixels is "bernoulli"
    (inputs in 0..1), "gaussian" with the variance that normal samples have, or None to choose by the inputs. `mean`,
    `log_variance` and `z` name the layers (None: found by their names).
    """

    samples: int = 10
    seed: int = 0
    likelihood: str | None = None
    mean: str | None = None
    log_variance: str | None = None
    z: str | None = None
    _variance: float = 1.0

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ParameterError(f"samples is a number of draws from 1 on, not {self.samples}")
        if self.likelihood not in (None, "bernoulli", "gaussian"):
            raise UnknownName("likelihood", self.likelihood, ("bernoulli", "gaussian"))

    @property
    def calls(self) -> int:
        return 1 + self.samples

    def learn(self, model: Model, x: Array) -> "Sampled":
        code = variational(model, self.mean, self.log_variance, self.z)
        bounded = float(x.min()) >= 0 and float(x.max()) <= 1
        likelihood = self.likelihood or ("bernoulli" if bounded else "gaussian")
        if likelihood == "bernoulli" and not bounded:
            raise ParameterError(f"a Bernoulli likelihood is of inputs in 0..1, not {x.min():.3g}..{x.max():.3g}")
        squares = sum(float(np.square(_difference(b, part)).sum()) for part, b in _reconstructed(model, x))
        variance = max(squares / x.size, TINY)
        return replace(
            self, likelihood=likelihood, mean=code.mean, log_variance=code.log_variance, z=code.z, _variance=variance
        )

    def _sampled(self, model: Model, x: Array) -> tuple[Array, Array, Array, Array]:
        """Give the mean of -log p at every place, the reconstruction at the mean, mean and log variance."""
        assert self.mean
        assert self.log_variance
        assert self.z
        run = model.run(x, at=(self.mean, self.log_variance))
        mean, log_variance = (_flat(run.activations[n]) for n in (self.mean, self.log_variance))
        noise = np.random.default_rng(self.seed).standard_normal((self.samples, mean.shape[1]))
        lost = np.zeros(x.shape)
        for e in noise:
            z = np.asarray(mean + np.exp(log_variance / 2) * e, np.float32).reshape(run.activations[self.mean].shape)
            lost += self._surprise(np.asarray(model.run(x, patch={self.z: z}).output, np.float64), x)
        return lost / self.samples, np.asarray(run.output), mean, log_variance

    def _surprise(self, back: Array, x: Array) -> Array:
        if self.likelihood == "bernoulli":
            p = np.clip(back, 1e-6, 1 - 1e-6)
            return np.asarray(-(x * np.log(p) + (1 - x) * np.log1p(-p)))
        return np.asarray((np.square(_difference(back, x)) / self._variance + np.log(2 * np.pi * self._variance)) / 2)


@dataclass(frozen=True, eq=False)
class ReconstructionProbability(Sampled):
    """-1/L Σ log p(x | z_l) with z_l ~ q(z | x), in nats: low probability, high score (An and Cho 2015)."""

    name = "reconstruction-probability"

    def parts(self, model: Model, x: Array) -> Parts:
        lost, back, _, _ = self._sampled(model, x)
        return Parts(lost, back)


@dataclass(frozen=True, eq=False)
class Elbo(Sampled):
    """-log p(x | z) + KL(q(z | x) ‖ N(0, 1)), the negative evidence bound in nats; `code` has the KL."""

    name = "elbo"

    def parts(self, model: Model, x: Array) -> Parts:
        lost, back, mean, log_variance = self._sampled(model, x)
        return Parts(lost, back, divergence(mean, log_variance))


def divergence(mean: Array, log_variance: Array) -> Array:
    """KL(N(mean, exp(log_variance)) ‖ N(0, 1)) of every number, in nats: -(1 + log s² - m² - s²)/2."""
    mean, log_variance = np.asarray(mean, np.float64), np.asarray(log_variance, np.float64)
    return np.asarray((np.square(mean) + np.exp(log_variance) - 1 - log_variance) / 2)


SCORES: dict[str, type[Score]] = {
    c.name: c
    for c in (
        MeanSquare,
        MeanAbsolute,
        TopShare,
        Standardised,
        Dissimilarity,
        CodeDistance,
        Joint,
        ReconstructionProbability,
        Elbo,
    )
}


def score_of(name: str, parameters: dict[str, Any]) -> Score:
    """Make a score that has learned nothing yet. Raises UnknownName, ParameterError."""
    if name not in SCORES:
        raise UnknownName("score", name, SCORES)
    known = [f.name for f in fields(SCORES[name]) if not f.name.startswith("_")]
    for asked in parameters:
        if asked not in known:
            takes = f"its parameters are {', '.join(known)}" if known else "it has none"
            raise ParameterError(f"the score {name} has no parameter {asked!r}; {takes}")
    return SCORES[name](**parameters)


def _reconstructed(model: Model, x: Array) -> Iterator[tuple[Array, Array]]:
    for s in chunks(len(x), CHUNK):
        yield x[s], _back(model, x[s])


def _back(model: Model, x: Array) -> Array:
    return np.asarray(model.run(x).output)


def _error(name: Any) -> ErrorScore:
    return ErrorScore(ReconstructionError(name), name, name)


def _difference(back: Array, x: Array) -> Array:
    return np.asarray(_error("mse")._difference(back, x))


def _flat(z: Array) -> Array:
    return np.asarray(z, np.float64).reshape(len(z), -1)


def _code(model: Model, x: Array, layer: str) -> Array:
    return _flat(model.run(x, at=(layer,)).activations[layer])


def _inverse(covariance: Array) -> Array:
    """The inverse, or where directions have no spread that of the others."""
    return np.asarray(np.linalg.pinv(covariance, rcond=1e-10, hermitian=True))


def _span(spec: Image) -> float:
    """From the lowest to the highest number that a picture has in the network's units."""
    return float(np.max(1 / np.abs(np.asarray(spec.std))))


def _ssim(a: Array, b: Array, window: int, span: float) -> Array:
    from skimage import metrics

    similarity: Any = metrics.structural_similarity
    pair = np.asarray(a, np.float64), np.asarray(b, np.float64)
    found = similarity(*pair, win_size=window, data_range=span, channel_axis=-1, full=True)[1]
    return np.asarray(found) / a.shape[-1]
