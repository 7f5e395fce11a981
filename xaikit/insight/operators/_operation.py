"""What an operation is, and what it reads."""

import dataclasses
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution import Parameter, checked, described
from xaikit.errors import ParameterError
from xaikit.graph import Geometry
from xaikit.registry import Registry

PLACES: Mapping[int, tuple[str, ...]] = {
    1: ("time",),
    2: ("height", "width"),
    3: ("height", "width", "channel"),
    4: ("depth", "height", "width", "channel"),
}
"""What the axes of an array are taken for where they are not named."""


@dataclass(frozen=True, kw_only=True)
class Operation(ABC):
    """Something that a layer does to an array. It is a frozen dataclass whose fields are its parameters.

    `axes` names the axes of an array by their number, where the caller does not; `windows` says that the operation
    moves over places, and takes one sample.
    """

    axes: ClassVar[Mapping[int, tuple[str, ...]]] = PLACES
    windows: ClassVar[bool] = True

    @abstractmethod
    def __call__(self, x: Array, axes: tuple[str, ...]) -> dict[str, Any]:
        """Apply it to `x` (*axes), the channel last: fields of `Steps` by name, "output" and "rule" at least."""

    @classmethod
    def parameters(cls) -> dict[str, Parameter]:
        """Describe the parameters by name, in order: what a form or a command line needs."""
        return described(cls)

    @classmethod
    def make(cls, parameters: Mapping[str, Any]) -> "Operation":
        """Build it from keyword parameters. Raises ParameterError: the nearest name, or the type asked for."""
        title = next((n for n, o in operations.items() if o is cls), cls.__name__)
        checked(cls, title, parameters)
        return cls(**parameters)

    def given(self) -> dict[str, Any]:
        """Give the parameters by name as a result records them, defaults included."""
        fields = dataclasses.fields(cast(Any, self))
        return {f.name: _recorded(getattr(self, f.name)) for f in fields}


operations: Registry[type[Operation]] = Registry("operation", "xaikit.insight.operators")
"""What can be explored, by name."""


def _recorded(value: Any) -> Any:
    if isinstance(value, list):
        return np.asarray(value)
    return repr(value) if dataclasses.is_dataclass(value) else value


def each(value: Any, rank: int, what: str, least: int = 1) -> tuple[int, ...]:
    """Give a whole number for each of the axes of space, from one for all or one for each. Raises ParameterError."""
    found = (value,) * rank if isinstance(value, int | np.integer) else tuple(value)
    whole = all(isinstance(v, int | np.integer) and not isinstance(v, bool) and v >= least for v in found)
    if len(found) != rank or not whole:
        raise ParameterError(f"{what} is a whole number from {least} on, or one for each of {rank} axes, not {value!r}")
    return tuple(int(v) for v in found)


@dataclass(frozen=True)
class Windows:
    """Which places every window reads, by axis of space: `taps` (place, tap), -1 for none, and `spans` (place, 2).

    Of windows that slide, `padding` is what was put before and after each axis, filled by `border`.
    """

    taps: tuple[Array, ...]
    spans: tuple[Array, ...]
    padding: tuple[tuple[int, int], ...] = ()
    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    border: str = ""

    @classmethod
    def sliding(
        cls,
        space: tuple[int, ...],
        size: Any,
        stride: Any,
        dilation: Any,
        padding: Any,
        border: str,
        ceil: bool = False,
    ) -> "Windows":
        """Give windows of `size` places, `dilation` apart, every `stride` places. Raises ParameterError.

        `padding` is "valid", "same" as TensorFlow has it, "full" (every window with one real place), "causal" (in front
        only), a number, or for each axis a number or (before, after). `border` says what stands there: "zero",
        "reflect", "replicate" or "circular". With `ceil` the last window may begin inside and end outside.
        """
        rank = len(space)
        sizes, strides = each(size, rank, "size"), each(stride, rank, "stride")
        apart = each(dilation, rank, "dilation")
        around = [
            _around(padding, a, rank, n, k, s, d)
            for a, (n, k, s, d) in enumerate(zip(space, sizes, strides, apart, strict=True))
        ]
        taps, spans = [], []
        for n, k, s, d, (before, after) in zip(space, sizes, strides, apart, around, strict=True):
            count = _count(n + before + after, d * (k - 1) + 1, s, ceil, n + before)
            if count < 1:
                raise ParameterError(
                    f"a window of {d * (k - 1) + 1} places does not fit into {n + before + after}"
                    " (padding included): take a smaller one, or padding='same'"
                )
            mode = "" if border == "zero" else border
            shape = Geometry("window", (k,), (s,), ((before, after),), (d,), mode=mode)
            taps.append(shape.taps(0, n, count))
            first = np.arange(count) * s - before
            spans.append(np.stack([first, first + d * (k - 1)], 1))
        return cls(tuple(taps), tuple(spans), tuple(around), strides, apart, "" if border == "zero" else border)

    @classmethod
    def of(cls, taps: tuple[Array, ...]) -> "Windows":
        """Give the windows that read these places."""
        return cls(taps, tuple(_span(t) for t in taps))

    def cuts(self, x: Array) -> Iterator[tuple[tuple[int, ...], Array]]:
        """Go through the places of a window, each with what all windows read there: (*places, channel)."""
        offsets = itertools.product(*(range(t.shape[1]) for t in self.taps))
        if not self.stride:
            whole = extended(x, 0.0)
            for offset in offsets:
                yield offset, whole[np.ix_(*(t[:, j] for t, j in zip(self.taps, offset, strict=True)))]
            return
        whole = self._padded(x)
        for offset in offsets:
            starts = [j * d for j, d in zip(offset, self.dilation, strict=True)]
            ends = [s * (m - 1) + 1 for s, m in zip(self.stride, self.space, strict=True)]
            yield offset, whole[tuple(slice(a, a + e, s) for a, e, s in zip(starts, ends, self.stride, strict=True))]

    def _padded(self, x: Array) -> Array:
        """Lay out all that sliding windows read, from the first place of the first to the last of the last."""
        for axis, span in enumerate(self.spans):
            n, before = x.shape[axis], -int(span[0, 0])
            count = int(span[-1, 1]) + before + 1
            line = Geometry("window", (1,), (1,), ((before, 0),), (1,), mode=self.border).taps(0, n, count)
            x = taken(x, line[:, 0], axis, 0.0)
        return x

    @property
    def space(self) -> tuple[int, ...]:
        """How many places there are along each axis of the output."""
        return tuple(len(t) for t in self.taps)


def _span(taps: Array) -> Array:
    """Give the first and last real place of every window; (0, -1) where there is none."""
    lowest = np.where(taps >= 0, taps, np.iinfo(taps.dtype).max).min(1)
    highest = taps.max(1)
    return np.where((highest >= 0)[:, None], np.stack([lowest, highest], 1), [[0, -1]])


def _count(room: int, reach: int, stride: int, ceil: bool, last: int) -> int:
    """Count the windows: floor((room - reach) / stride) + 1; with `ceil` as long as they begin before `last`."""
    if not ceil or room < reach:
        return (room - reach) // stride + 1
    count = -(-(room - reach) // stride) + 1
    return count - 1 if (count - 1) * stride >= last else count


def _around(padding: Any, axis: int, rank: int, n: int, k: int, s: int, d: int) -> tuple[int, int]:
    """Give the padding before and after one axis."""
    reach = d * (k - 1)
    if padding == "same":
        total = max(reach - (n - 1) % s, 0)
        return total // 2, total - total // 2
    named = {"valid": (0, 0), "full": (reach, reach), "causal": (reach, 0)}
    if isinstance(padding, str):
        if padding not in named:
            raise ParameterError(f"padding is one of valid, same, full, causal, or a number, not {padding!r}")
        return named[padding]
    if isinstance(padding, int | np.integer):
        padding = (padding,) * rank
    if rank == 1 and len(padding) == 2:
        padding = (tuple(padding),)
    if len(padding) != rank:
        raise ParameterError(f"padding has {len(padding)} entries for {rank} axes: {padding!r}")
    one = padding[axis]
    before, after = each((one, one) if isinstance(one, int | np.integer) else one, 2, "padding", 0)
    return before, after


def extended(x: Array, fill: float) -> Array:
    """Put `fill` behind the last place of every axis of space, where the index -1 finds it."""
    return np.pad(x, [(0, 1)] * (x.ndim - 1) + [(0, 0)], constant_values=fill)


def taken(x: Array, taps: Array, axis: int, fill: float) -> Array:
    """Read windows along one axis: (..., place, tap, ...); `fill` where there is nothing."""
    whole = np.concatenate([x, np.full_like(x.take([0], axis), fill)], axis)
    return np.take(whole, taps, axis)


def weighted(x: Array, windows: Windows, shares: tuple[Array, ...]) -> Array:
    """Sum windows by shares that are products of one for each axis."""
    for axis, (taps, share) in enumerate(zip(windows.taps, shares, strict=True)):
        lined = share.reshape(share.shape + (1,) * (x.ndim - axis - 1))
        x = (taken(x, taps, axis, 0.0) * lined).sum(axis + 1)
    return x
