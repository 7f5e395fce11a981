"""Values made comparable within a group: normalisations, and softmax."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution import parameter, require
from xaikit.insight.operators._operation import Operation, operations

SAMPLES: Mapping[int, tuple[str, ...]] = {
    1: ("channel",),
    2: ("sample", "channel"),
    3: ("sample", "time", "channel"),
    4: ("sample", "height", "width", "channel"),
    5: ("sample", "depth", "height", "width", "channel"),
}
"""What the axes of an array are taken for where they are not named: the first counts samples."""
OVER = ("all", "channel")


@dataclass(frozen=True, kw_only=True)
class _Normalisation(Operation):
    axes: ClassVar[Mapping[int, tuple[str, ...]]] = SAMPLES
    windows: ClassVar[bool] = False

    epsilon: float = parameter(1e-5, "added to the variance")
    scale: Any = parameter(1.0, "what the result is multiplied by: a number, or one for each channel")
    shift: Any = parameter(0.0, "what is added after that: a number, or one for each channel")

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Give (x - mean) / sqrt(variance + epsilon) · scale + shift."""
        group = self._groups(x, axes)
        mean, std = self._moments(x, group)
        scale, shift = _by_channel(self.scale, x, "scale"), _by_channel(self.shift, x, "shift")
        parts = {"group": group, "mean": mean, "std": std, "scale": scale, "shift": shift}
        return {"output": (x - mean[group]) / std[group] * scale + shift, "rule": "normalise", "parts": parts}

    def _groups(self, x: Array, axes: tuple[str, ...]) -> Array:
        raise NotImplementedError

    def _moments(self, x: Array, group: Array) -> tuple[Array, Array]:
        mean = average(x, group)
        return mean, np.sqrt(average((x - mean[group]) ** 2, group) + self.epsilon)


@operations("batch-norm")
@dataclass(frozen=True, kw_only=True)
class BatchNorm(_Normalisation):
    """Each channel to mean 0 and variance 1 over all samples and places, as in training.

    The variance is the biased one.

    Source: Ioffe and Szegedy (2015), "Batch normalization", arXiv:1502.03167, algorithm 1.
    """

    def _groups(self, x: Array, axes: tuple[str, ...]) -> Array:
        return grouped(x, axes, ("channel",))


@operations("layer-norm")
@dataclass(frozen=True, kw_only=True)
class LayerNorm(_Normalisation):
    """Each sample to mean 0 and variance 1 over its channels and places, or its channels place by place.

    Source: Ba, Kiros and Hinton (2016), "Layer normalization", arXiv:1607.06450, equation 3.
    """

    over: str = parameter("all", "all: channels and places; channel: the channels of each place, as Keras does", OVER)

    def _groups(self, x: Array, axes: tuple[str, ...]) -> Array:
        return _of_layer(self.over, x, axes)


@operations("rms-norm")
@dataclass(frozen=True, kw_only=True)
class RmsNorm(_Normalisation):
    """Each sample divided by the root of its mean square, over its channels and places or its channels place by place.

    Source: Zhang and Sennrich (2019), "Root mean square layer normalization", arXiv:1910.07467, equation 4.
    """

    over: str = parameter("all", "all: channels and places; channel: the channels of each place", OVER)

    def _groups(self, x: Array, axes: tuple[str, ...]) -> Array:
        return _of_layer(self.over, x, axes)

    def _moments(self, x: Array, group: Array) -> tuple[Array, Array]:
        square = average(x**2, group)
        return np.zeros_like(square), np.sqrt(square + self.epsilon)


@operations("instance-norm")
@dataclass(frozen=True, kw_only=True)
class InstanceNorm(_Normalisation):
    """Each channel of each sample to mean 0 and variance 1 over its places.

    Source: Ulyanov, Vedaldi and Lempitsky (2016), "Instance normalization", arXiv:1607.08022, equation 4.
    """

    def _groups(self, x: Array, axes: tuple[str, ...]) -> Array:
        return grouped(x, axes, ("sample", "channel"))


@operations("group-norm")
@dataclass(frozen=True, kw_only=True)
class GroupNorm(_Normalisation):
    """Groups of channels of each sample to mean 0 and variance 1 over their places.

    One group is layer norm, as many as channels instance norm.

    Source: Wu and He (2018), "Group normalization", arXiv:1803.08494, equation 7.
    """

    groups: int = parameter(1, "into how many groups the channels are split")

    def _groups(self, x: Array, axes: tuple[str, ...]) -> Array:
        channels = x.shape[-1]
        require(
            self.groups >= 1 and channels % self.groups == 0,
            f"{channels} channels cannot be split into {self.groups} groups",
        )
        sample = grouped(x, axes, ("sample",))
        return np.asarray(sample * self.groups + np.arange(channels) * self.groups // channels)


@operations("softmax")
@dataclass(frozen=True, kw_only=True)
class Softmax(Operation):
    """The channels of each place as shares of one: exp(x) / Σ exp(x)."""

    axes: ClassVar[Mapping[int, tuple[str, ...]]] = SAMPLES
    windows: ClassVar[bool] = False

    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Give the shares; the largest is taken off first, so that nothing overflows."""
        group = grouped(x, axes, tuple(a for a in axes if a != "channel"))
        largest = np.full(int(group.max()) + 1, -np.inf)
        np.maximum.at(largest, group, x)
        powers = np.exp(x - largest[group])
        total = np.bincount(group.ravel(), powers.ravel())
        parts = {"group": group, "mean": largest, "total": total}
        return {"output": powers / total[group], "rule": "softmax", "parts": parts}


def grouped(x: Array, axes: tuple[str, ...], apart: tuple[str, ...]) -> Array:
    """Number the groups of values that have the same place on the axes `apart`: integers of the shape of `x`."""
    kept = [n if a in apart else 1 for a, n in zip(axes, x.shape, strict=True)]
    return np.broadcast_to(np.arange(np.prod(kept, dtype=np.int64)).reshape(kept), x.shape).copy()


def average(x: Array, group: Array) -> Array:
    """Give the mean of every group: (group,)."""
    return np.asarray(np.bincount(group.ravel(), x.ravel()) / np.bincount(group.ravel()))


def _of_layer(over: str, x: Array, axes: tuple[str, ...]) -> Array:
    require(over in OVER, f"over is one of {', '.join(OVER)}, not {over!r}")
    return grouped(x, axes, ("sample",) if over == "all" else tuple(a for a in axes if a != "channel"))


def _by_channel(value: Any, x: Array, what: str) -> Array:
    found = np.asarray(value, np.float64)
    require(
        found.ndim == 0 or found.shape == x.shape[-1:],
        f"{what} has the shape {found.shape}; there are {x.shape[-1]} channels",
    )
    return np.broadcast_to(found, x.shape[-1:]).copy()
