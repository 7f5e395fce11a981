"""What is made large: a function of a layer's values or of the output for every picture, with its derivative."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from xaikit.arrays import Array, Tensors, each, total
from xaikit.graph import Layer
from xaikit.inputs import ScoreKind

COSINE = 0.1
"""The least cosine that a direction is weighed by, so that a picture that points elsewhere has a gradient too."""
POWER = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Objective(ABC):
    """One number for every picture: `signs` (objective,) is -1 where the least is sought, and values are times it.

    `of` is the layer it is a function of, None for the output in the form `score`. `opened` is the same before the ReLU
    that `of` is, where it is one: it has a gradient also where the ReLU is closed.
    """

    of: str | None
    signs: Array
    score: ScoreKind = "output"
    opened: "Objective | None" = None
    linear: ClassVar[bool] = True

    def __len__(self) -> int:
        """Count the objectives."""
        return len(self.signs)

    @abstractmethod
    def seed(self, value: Any, which: Array) -> Tensors:
        """Give d number / d value for rows with the objectives `which`; linear ones take nothing of the value."""

    @abstractmethod
    def values(self, value: Any, which: Array) -> Array:
        """Give the number of every row: (row,)."""

    @abstractmethod
    def of_samples(self, value: Any) -> Array:
        """Give what samples have at most: (sample, objective), over all places where one place is asked for."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Target(Objective):
    """Σ weights·output + offset: a class logit, or what else a target names."""

    of: str | None = None
    weights: Tensors
    offsets: Array

    def seed(self, value: Any, which: Array) -> Tensors:
        return each(lambda w: w[which], self.weights)

    def values(self, value: Any, which: Array) -> Array:
        return total(each(lambda w, v: w[which] * v, self.weights, value)) + self.offsets[which]

    def of_samples(self, value: Any) -> Array:
        parts = [
            np.asarray(total(each(lambda w, v, k=k: w[k] * v, self.weights, value)), np.float64)
            for k in range(len(self))
        ]
        return np.stack(parts, 1) + self.offsets


@dataclass(frozen=True, kw_only=True, eq=False)
class OfLayer(Objective):
    """A function of one layer's values, taken as (row, place, channel); `place` is one of them, None = all."""

    layer: Layer
    place: int | None

    def flat(self, value: Array) -> Array:
        """Bring values to (row, place, channel)."""
        moved = np.moveaxis(value, self._channel, -1)
        return moved.reshape(len(value), -1, moved.shape[-1])

    def back(self, flat: Array, value: Array) -> Array:
        """Undo `flat` for an array as `value` is laid out."""
        moved = np.moveaxis(value, self._channel, -1).shape
        return np.moveaxis(flat.reshape(len(flat), *moved[1:]), -1, self._channel)

    @property
    def _channel(self) -> int:
        return -1 if self.layer.channel is None else self.layer.channel


@dataclass(frozen=True, kw_only=True, eq=False)
class Channels(OfLayer):
    """The mean of a channel over all places, or its value at one place."""

    channels: Array
    shape: tuple[int, ...]
    """What the layer gives for one sample, in its own order."""

    @cached_property
    def _seeds(self) -> Array:
        blank = np.zeros((len(self), *self.shape), np.float32)
        flat = np.zeros_like(self.flat(blank))
        rows = np.arange(len(self))
        if self.place is None:
            flat[rows, :, self.channels] = (self.signs / flat.shape[1])[:, None]
        else:
            flat[rows, self.place, self.channels] = self.signs
        return np.ascontiguousarray(self.back(flat, blank))

    def seed(self, value: Any, which: Array) -> Tensors:
        return self._seeds if np.array_equal(which, np.arange(len(self))) else self._seeds[which]

    def values(self, value: Any, which: Array) -> Array:
        flat, rows = self.flat(value), np.arange(len(which))
        own = flat[rows, :, self.channels[which]]
        chosen = own.mean(1) if self.place is None else own[:, self.place]
        return np.asarray(chosen * self.signs[which], np.float64)

    def of_samples(self, value: Any) -> Array:
        own = self.flat(value)[..., self.channels] * self.signs
        return np.asarray(own.mean(1) if self.place is None else own.max(1), np.float64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Directions(OfLayer):
    """dot·max(0.1, cosine)² of a place's values with a direction; the mean over all places, or at one.

    The cosine keeps the ascent from making everything large at once (Olah et al., discussed with Lucid's release).
    """

    vectors: Array
    linear: ClassVar[bool] = False

    def _parts(self, flat: Array, d: Array) -> tuple[Array, Array, Array]:
        """Give dot, cosine and the length of the values: (row, place, 1); `d` (row, 1, channel)."""
        dot = (flat * d).sum(-1, keepdims=True)
        length = np.maximum(np.linalg.norm(flat, axis=-1, keepdims=True), 1e-12)
        return dot, dot / (length * np.linalg.norm(d, axis=-1, keepdims=True)), length

    def _numbers(self, flat: Array, d: Array) -> Array:
        dot, cosine, _ = self._parts(flat, d)
        return (dot * np.maximum(cosine, COSINE) ** POWER)[..., 0]

    def seed(self, value: Any, which: Array) -> Tensors:
        flat, d = self.flat(value), self.vectors[which][:, None] * self.signs[which, None, None]
        dot, cosine, length = self._parts(flat, d)
        turning = d / (length * np.linalg.norm(d, axis=-1, keepdims=True)) - cosine * flat / length**2
        near = cosine > COSINE
        slope = np.where(near, cosine, COSINE) ** POWER * d + near * POWER * dot * cosine ** (POWER - 1) * turning
        if self.place is None:
            slope = slope / slope.shape[1]
        else:
            slope[:, [p for p in range(slope.shape[1]) if p != self.place]] = 0
        return np.asarray(self.back(slope.astype(np.float32), value))

    def values(self, value: Any, which: Array) -> Array:
        d = self.vectors[which][:, None] * self.signs[which, None, None]
        found = self._numbers(self.flat(value), d)
        return np.asarray(found.mean(1) if self.place is None else found[:, self.place], np.float64)

    def of_samples(self, value: Any) -> Array:
        flat = self.flat(value)
        every = [self._numbers(flat, (v * s)[None, None]) for v, s in zip(self.vectors, self.signs, strict=True)]
        return np.stack([e.mean(1) if self.place is None else e.max(1) for e in every], 1).astype(np.float64)


def unlike(flat: Array, copies: int) -> tuple[Array, Array]:
    """Give minus the mean cosine of the Gram matrices of pictures of one objective, and its derivative.

    `flat` (row, place, channel), the copies of an objective one after the other; (row,) and as `flat`. Source: Olah,
    Mordvintsev and Schubert, "Feature Visualization" (2017), section "Diversity".
    """
    groups = flat.reshape(-1, copies, *flat.shape[1:]).astype(np.float64)
    gram = np.einsum("gapc,gapd->gacd", groups, groups, optimize=True)
    length = np.maximum(np.sqrt((gram**2).sum((2, 3), keepdims=True)), 1e-12)
    unit = gram / length
    others = unit.sum(1, keepdims=True) - unit
    cosine = (unit * others).sum((2, 3), keepdims=True)
    slope = (others - cosine * unit) / length
    pulled = -np.einsum("gapc,gacd->gapd", groups, slope + slope.swapaxes(2, 3)) / (copies - 1)
    return -(cosine[..., 0, 0] / (copies - 1)).reshape(-1), pulled.reshape(flat.shape).astype(np.float32)
