"""What the ascent moves: the pixels themselves, a spectrum, or only its phases; each with its adjoint."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from xaikit.arrays import Array
from xaikit.inputs import sigmoid
from xaikit.insight._maximizing._canvas import Canvas

SPREAD = 0.01
"""The standard deviation of what the ascent starts from, around the background."""
EDGE = 0.02
"""How far inside its range a value is kept before its logit is taken."""
IMAGENET = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
"""The square root of the covariance of red, green and blue in ImageNet (Olah et al. 2017, the colours of Lucid)."""


@dataclass(frozen=True, eq=False)
class Parameters(ABC):
    """Pictures u (row, *places, channel) in 0..1 as a differentiable function of parameters p (row, ...), float32."""

    canvas: Canvas

    @abstractmethod
    def start(self, rng: np.random.Generator) -> Array:
        """Draw the parameters of one picture: (1, ...)."""

    @abstractmethod
    def picture(self, p: Array) -> Array:
        """Give the pictures."""

    @abstractmethod
    def pulled(self, gradient: Array, p: Array, u: Array) -> Array:
        """Give the gradient with respect to p from that with respect to the pictures u = picture(p)."""

    def admitted(self, p: Array) -> Array:
        """Bring parameters back to where they may be."""
        return p


@dataclass(frozen=True, eq=False)
class Pixels(Parameters):
    """The values themselves, kept in the range; started at the `mean` of real samples, or at the background."""

    mean: Array | None = None

    def start(self, rng: np.random.Generator) -> Array:
        shape = (1, *self.canvas.places, self.canvas.channels)
        noise = SPREAD * rng.standard_normal(shape, np.float32)
        return self.admitted((self.canvas.background if self.mean is None else self.mean) + noise)

    def picture(self, p: Array) -> Array:
        return p

    def pulled(self, gradient: Array, p: Array, u: Array) -> Array:
        return gradient

    def admitted(self, p: Array) -> Array:
        return np.clip(p, 0, 1)


@dataclass(frozen=True, eq=False)
class Spectral(Parameters):
    """Pictures made from a spectrum: sigmoid(colours·F⁻¹(spectrum) + logit(background))."""

    colours: Array | None = None

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(1, len(self.canvas.places) + 1))

    @property
    def _frequencies(self) -> tuple[int, ...]:
        """The shape of the spectrum of one picture: half of the last axis, since pictures are real."""
        *others, last = self.canvas.places
        return (*others, last // 2 + 1, self.canvas.channels)

    @cached_property
    def _level(self) -> Array:
        return logit(self.canvas.background)

    @cached_property
    def _doubled(self) -> Array:
        """How often a frequency stands in the whole spectrum: those of the last axis twice, except the ends."""
        last = self.canvas.places[-1]
        weights = np.full(last // 2 + 1, 2.0, np.float32)
        weights[0] = 1
        if last % 2 == 0:
            weights[-1] = 1
        return weights[:, None]

    def _rendered(self, spectrum: Array) -> Array:
        from scipy.fft import irfftn

        plane = irfftn(spectrum, self.canvas.places, self._axes)
        mixed = plane if self.colours is None else plane @ self.colours.T
        return sigmoid(mixed + self._level).astype(np.float32)

    def _spectral(self, gradient: Array, u: Array) -> Array:
        """Give d/d Re + i·d/d Im of the spectrum."""
        from scipy.fft import rfftn

        mixed = gradient * (u * (1 - u))
        plane = mixed if self.colours is None else mixed @ self.colours
        count = np.float32(np.prod(self.canvas.places))
        return rfftn(plane, axes=self._axes) * (self._doubled / count)


@dataclass(frozen=True, eq=False)
class Fourier(Spectral):
    """A spectrum whose amplitudes are scaled by 1/frequency^decay, so that coarse and fine move alike.

    Source: Olah, Mordvintsev and Schubert, "Feature Visualization" (2017), section "Preconditioning and
    Parameterization".
    """

    decay: float = 1.0

    def start(self, rng: np.random.Generator) -> Array:
        return SPREAD * rng.standard_normal((1, *self._frequencies, 2), np.float32)

    def picture(self, p: Array) -> Array:
        return self._rendered(p.view(np.complex64)[..., 0] * self._scale)

    def pulled(self, gradient: Array, p: Array, u: Array) -> Array:
        found = np.ascontiguousarray(self._spectral(gradient, u) * self._scale, np.complex64)
        return found[..., None].view(np.float32)

    @cached_property
    def _scale(self) -> Array:
        places = self.canvas.places
        rates = [np.fft.fftfreq(n) for n in places[:-1]] + [np.fft.rfftfreq(places[-1])]
        frequency = np.sqrt(sum(np.square(f) for f in np.meshgrid(*rates, indexing="ij")))
        scale = np.maximum(frequency, 1 / max(places)) ** -self.decay * np.sqrt(np.prod(places)) / 4
        return scale[..., None].astype(np.float32)


@dataclass(frozen=True, eq=False)
class Phases(Spectral):
    """The phases of a spectrum whose `magnitude` (*frequency, channel) is that of real samples.

    Source: Fel et al., "Unlocking Feature Visualization for Deeper Networks with Magnitude Constrained Optimization"
    (2023), section 3.
    """

    magnitude: Array | None = None

    def start(self, rng: np.random.Generator) -> Array:
        return rng.uniform(-np.pi, np.pi, (1, *self._frequencies)).astype(np.float32)

    def picture(self, p: Array) -> Array:
        return self._rendered(self._spectrum(p))

    def pulled(self, gradient: Array, p: Array, u: Array) -> Array:
        found = self._spectral(gradient, u)
        made = self._spectrum(p)
        return np.asarray(found.imag * made.real - found.real * made.imag, np.float32)

    def _spectrum(self, p: Array) -> Array:
        assert self.magnitude is not None
        return np.asarray(self.magnitude * np.exp(1j * p), np.complex64)


def phases(canvas: Canvas, like: Array, colours: Array | None) -> Phases:
    """Give phases beside the mean magnitude of samples u (sample, *places, channel), taken as they are rendered."""
    from scipy.fft import rfftn

    planes = logit(like) - logit(canvas.background)
    if colours is not None:
        planes = planes @ np.linalg.inv(colours).T
    axes = tuple(range(len(canvas.places)))
    magnitude = np.mean([np.abs(rfftn(plane, axes=axes)) for plane in planes], axis=0)
    return Phases(canvas, colours, np.asarray(magnitude, np.float32))


def logit(u: Array) -> Array:
    """Give log(u/(1 - u)), kept finite at the ends of the range."""
    inside = np.clip(u, EDGE, 1 - EDGE)
    return np.log(inside / (1 - inside)).astype(np.float32)


def colours_of(canvas: Canvas, like: Array | None) -> Array:
    """Give the matrix that makes correlated colours of independent ones: (channel, channel), columns up to length 1.

    The square root of the covariance of the samples u, or of ImageNet's where there are none.
    """
    if like is not None:
        values, vectors = np.linalg.eigh(np.cov(like.reshape(-1, canvas.channels).T.astype(np.float64)))
        root = vectors * np.sqrt(np.maximum(values, 1e-6 * values.max()))
    else:
        root = np.array(IMAGENET)[:: -1 if canvas.spec.order == "bgr" else 1]
    return np.asarray(root / np.linalg.norm(root, axis=0).max(), np.float32)
