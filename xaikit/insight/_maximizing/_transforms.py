"""Random changes of a picture's place, each with its adjoint: shift, turn, scale, mirror, blur, crop.

A change is one linear resampling: whatever it is made of, places are interpolated once, and the gradient goes back
through the same weights. What lies beyond the border is the background.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import ParameterError

RANDOM = np.random.Generator


@dataclass(frozen=True)
class Transformations:
    """What is drawn for every step: a shift by up to a share of each side, a turn by up to so many degrees, a change
    of size by up to a share, mirroring, and a blur with a standard deviation of up to so many places.

    Source: Mordvintsev, Olah and Tyka, "Inceptionism" (2015); Olah, Mordvintsev and Schubert, "Feature Visualization"
    (2017), on transformation robustness.
    """

    shift: float = 0.07
    rotation: float = 5.0
    scale: float = 0.05
    flips: bool = False
    blur: float = 0.0

    def __post_init__(self) -> None:
        for name, least, most in (("shift", 0, 0.5), ("rotation", 0, 180), ("scale", 0, 0.5), ("blur", 0, 50)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                raise ParameterError(f"{name} is a number from {least} to {most}, not {value!r}")
        if not isinstance(self.flips, bool):
            raise ParameterError(f"flips is True or False, not {self.flips!r}")

    @property
    def still(self) -> bool:
        """Whether nothing ever changes."""
        return not (self.shift or self.rotation or self.scale or self.flips or self.blur)

    def draw(self, places: tuple[int, ...], rng: RANDOM) -> "Resampling":
        """Draw one change. The numbers drawn do not depend on which of the parts are switched on."""
        size = np.array(places, np.float64)
        at_random = rng.uniform(-1, 1, len(places) + 4)
        shift = at_random[: len(places)] * np.round(self.shift * size)
        turn, grow, flip, blur = at_random[len(places) :]
        matrix = _turned(len(places), np.deg2rad(self.rotation * turn)) / (1 + self.scale * grow)
        if self.flips and flip > 0:
            matrix[:, -1] *= -1
        return Resampling(places, matrix, shift, abs(blur) * self.blur)


@dataclass(frozen=True, eq=False)
class Resampling:
    """Place p of the result is place c + matrix·(p - c) + shift of the picture, c the centre; then a blur.

    Applied to u (row, *places, channel) as deviations from the background, which are zero outside.
    """

    places: tuple[int, ...]
    matrix: Array
    shift: Array
    blur: float = 0.0

    def __call__(self, u: Array) -> Array:
        """Change pictures (row, *places, channel)."""
        return self._blurred(self._through(self._weights, u))

    def adjoint(self, gradient: Array) -> Array:
        """Give the gradient before the change from that after it: the blur is its own adjoint."""
        return self._through(self._weights.T, self._blurred(gradient))

    def _through(self, weights: Any, u: Array) -> Array:
        """Multiply the places by a sparse matrix."""
        count, channels = len(u), u.shape[-1]
        flat = u.reshape(count, -1, channels).transpose(1, 0, 2).reshape(-1, count * channels)
        changed = weights @ flat
        return np.ascontiguousarray(
            changed.reshape(-1, count, channels).transpose(1, 0, 2).reshape(count, *self.places, channels)
        )

    @cached_property
    def _weights(self) -> Any:
        """The interpolation weights: (place of the result, place of the picture), sparse."""
        from scipy.sparse import csr_array

        offsets, centre = _grid(self.places)
        at = self.matrix.astype(np.float32) @ offsets + (centre + self.shift[:, None]).astype(np.float32)
        below = np.floor(at)
        near = at - below
        ends = below.astype(np.int32) + np.arange(2, dtype=np.int32)[:, None, None]  # (end, axis, place)
        last = np.array(self.places, np.int32)[:, None] - 1
        inside = np.minimum(np.maximum(ends, 0), last)
        shares = np.stack([1 - near, near]) * (inside == ends)
        weight, column = shares[:, 0], inside[:, 0]
        for axis in range(1, len(self.places)):
            weight = (weight[:, None] * shares[:, axis]).reshape(-1, at.shape[1])
            column = (column[:, None] * self.places[axis] + inside[:, axis]).reshape(-1, at.shape[1])
        taps, count = weight.shape
        rows = np.arange(0, taps * count + 1, taps, dtype=np.int32)
        return csr_array((weight.T.ravel(), column.T.ravel(), rows), shape=(count, count))

    def _blurred(self, u: Array) -> Array:
        if self.blur < 1e-3:
            return u
        from scipy.ndimage import gaussian_filter1d

        for axis in range(1, len(self.places) + 1):
            u = gaussian_filter1d(u, self.blur, axis=axis, mode="constant")
        return u


@cache
def _grid(places: tuple[int, ...]) -> tuple[Array, Array]:
    """Give every place as an offset from the centre (axis, place), and the centre (axis, 1)."""
    centre = (np.array(places, np.float32)[:, None] - 1) / 2
    grid = np.stack([g.ravel() for g in np.meshgrid(*map(np.arange, places), indexing="ij")])
    return np.asarray(grid - centre, np.float32), centre


def _turned(axes: int, angle: float) -> Array:
    """Give the matrix of a turn in the plane of the last two axes; one axis does not turn."""
    matrix = np.eye(axes)
    if axes >= 2:
        matrix[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return matrix


def crop(places: tuple[int, ...], share: float, centre: Array) -> Resampling:
    """Give the resampling that brings a box, `share` of every side long, to the full size.

    `centre` is in 0..1 of every side; the box is moved inside.
    """
    size = np.array(places, np.float64)
    reach = share / 2
    middle = np.clip(centre, reach, 1 - reach)
    return Resampling(places, np.eye(len(places)) * share, (middle - 0.5) * size)
