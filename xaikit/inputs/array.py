"""Arrays that need no translation, and series of measurements."""

from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, Literal

import numpy as np

from xaikit.arrays import Array as Values
from xaikit.errors import InputError, ParameterError
from xaikit.inputs._spec import InputSpec, channels_last_hint, finite, frozen, numeric, split


@dataclass(frozen=True)
class Array(InputSpec):
    """Arrays of `shape` given to the network as they are; `axes` may name their axes.

    With `dtype` ("float32", "int64") that is what the network is given; without, integer arrays stay as they are (token
    ids) and everything else becomes float32. `rate` is in samples per second along an axis named "time", for bands of
    frequencies.
    """

    kind: ClassVar[str] = "Array"

    shape: tuple[int, ...]
    axes: tuple[str, ...] | None = None  # type: ignore[assignment]
    dtype: Literal["float32", "int64"] | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.dtype not in (None, "float32", "int64"):
            raise ParameterError(f"Array dtype must be 'float32' or 'int64', not {self.dtype!r}")
        shape = (self.shape,) if isinstance(self.shape, int) else tuple(self.shape)
        if not all(isinstance(n, Integral) and n > 0 for n in shape):
            raise ParameterError(f"Array takes the whole sizes of one sample as its shape, not {self.shape!r}")
        shape = tuple(int(n) for n in shape)
        object.__setattr__(self, "shape", shape)
        axes = tuple(f"axis {i}" for i in range(len(shape))) if self.axes is None else tuple(self.axes)
        if len(axes) != len(shape):
            raise ParameterError(f"Array has {len(shape)} axes {shape} but {len(axes)} names {axes}")
        object.__setattr__(self, "axes", axes)
        if self.rate is not None and ("time" not in axes or not self.rate > 0):
            raise ParameterError(f"the rate of an Array is positive, along an axis 'time'; given {self.rate!r}, {axes}")

    def samples(self, x: Any) -> list[Any]:
        return split(x, len(self.shape), "the array", self.shape)

    def display(self, sample: Any) -> Values:
        array = finite(numeric(sample, "the array"), "the array")
        if array.shape != self.shape:
            hint = channels_last_hint(array.shape, self.shape)
            raise InputError(f"the array has shape {array.shape}, expected {self.shape} for one sample{hint}")
        return array

    def to_network(self, display: Any) -> Values:
        array = np.asarray(display)
        return array if self.dtype is None and array.dtype.kind in "iu" else array.astype(self.dtype or np.float32)

    def decode(self, encoded: Values) -> Values:
        return np.asarray(encoded)


@dataclass(frozen=True)
class Series(InputSpec):
    """Series of `steps` × `channels` in their own units, given to the network as (v - mean)/std.

    `rate` is in samples per second, for the time axis of figures. `mean` and `std` are numbers or one per channel.
    A series of one channel may lack its channel axis. `pad` is the number (in the series' own units) that fills steps
    before or after a shorter series: such steps are no part of it, are never hidden, and have the attribution 0.
    """

    kind: ClassVar[str] = "Series"

    steps: int
    channels: int = 1
    rate: float | None = None
    mean: float | tuple[float, ...] = 0.0
    std: float | tuple[float, ...] = 1.0
    pad: float | None = None

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            object.__setattr__(self, name, frozen(getattr(self, name)))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one encoded sample: (time, channel)."""
        return (self.steps, self.channels)

    @property
    def axes(self) -> tuple[str, ...]:
        """The names of the axes of `shape`: ("time", "channel")."""
        return ("time", "channel")

    def samples(self, x: Any) -> list[Any]:
        if isinstance(x, list) and x and np.isscalar(x[0]):
            x = np.asarray(x)
        if isinstance(x, list):
            return x
        array = numeric(x, "the series")
        if self.channels == 1 and (array.ndim == 1 or (array.ndim == 2 and array.shape[-1] != 1)):
            array = array[..., None]
        return split(array, 2, "the series", self.shape)

    def display(self, sample: Any) -> Values:
        array = finite(numeric(sample, "the series"), "the series")
        array = array[:, None] if array.ndim == 1 and self.channels == 1 else array
        if array.shape != self.shape:
            hint = channels_last_hint(array.shape, self.shape)
            raise InputError(f"the series has shape {array.shape}, expected {self.shape} (time, channel){hint}")
        if self.pad is not None and (array == self.pad).all():
            raise InputError(f"the series is empty: all its steps hold the padding {self.pad:g}")
        return array

    def present(self, encoded: Values) -> Values | None:
        """Say where a batch (sample, time, channel) has steps that are no padding at its ends: (sample, time) bool."""
        if self.pad is None:
            return None
        empty = (encoded == self.to_network(np.full(self.shape, self.pad))).all(-1)
        ends = [np.logical_and.accumulate(e, axis=1) for e in (empty, empty[:, ::-1])]
        return np.asarray(~(ends[0] | ends[1][:, ::-1]))

    def to_network(self, display: Any) -> Values:
        return ((np.asarray(display, np.float64) - np.asarray(self.mean)) / np.asarray(self.std)).astype(np.float32)

    def decode(self, encoded: Values) -> Values:
        return np.asarray(encoded, np.float64) * np.asarray(self.std) + np.asarray(self.mean)
