"""What an optimum is drawn on: the input of a network as places × channels, between the ends of its range."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xaikit.arrays import SPACE, Array
from xaikit.errors import InputError, NotSupported, ParameterError
from xaikit.inputs import Image, InputSpec, Raw, Series
from xaikit.model import Model

LARGE, SMALL = 96, 64
"""Sides from which on a picture is called large, and under which it is called small."""
SPREAD = 4.0
"""How many standard deviations around the mean are the range of a series whose spec knows these."""
COMMON = 0.25
"""The share of all values from which on one value is the background; below it the mean is."""


@dataclass(frozen=True, eq=False)
class Canvas:
    """An input as u (row, *places, channel) in 0..1 of its range; the network is given low + u·(high - low).

    `shape` and `space` are one encoded sample's and the positions of its axes with places; `low`, `high` and
    `background` (channel,), the last in 0..1. `known` says what each was read from.
    """

    spec: Any
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    space: tuple[int, ...]
    low: Array
    high: Array
    background: Array
    known: Mapping[str, str]

    @property
    def places(self) -> tuple[int, ...]:
        """The lengths of the axes with places."""
        return tuple(self.shape[i] for i in self.space)

    @property
    def channels(self) -> int:
        """How many values a place has."""
        return len(self.low)

    @property
    def photo(self) -> bool:
        """Whether this is a picture in three colours."""
        return isinstance(self.spec, Image) and self.spec.channels == 3

    @property
    def large(self) -> bool:
        """Whether the defaults for large photos hold."""
        return self.photo and min(self.places) >= LARGE

    def inputs(self, u: Array) -> Array:
        """Give what the network takes: (row, *shape), float32."""
        return self._as_given(u * self._width + self.low)

    def pulled(self, gradient: Array) -> Array:
        """Give the gradient with respect to u from that with respect to the network's input."""
        return self.laid_out(gradient) * self._width

    @cached_property
    def _width(self) -> Array:
        return self.high - self.low

    def read(self, x: Array) -> Array:
        """Give u of encoded samples: (row, *places, channel)."""
        return (self.laid_out(np.asarray(x, np.float32)) - self.low) / (self.high - self.low)

    def display(self, u: Array) -> Array:
        """Give u as a person sees it, in display units: (row, *shape), float32."""
        return np.asarray(self.spec.decode(self.inputs(u)), np.float32)

    def laid_out(self, x: Array) -> Array:
        """Bring (row, *shape) to (row, *places, channel)."""
        if not self._in_order:
            x = np.moveaxis(x, [i + 1 for i in self.space], range(1, len(self.space) + 1))
        return x.reshape(len(x), *self.places, self.channels)

    @property
    def _in_order(self) -> bool:
        """Whether the axes with places come first, as everywhere but in networks without an input spec."""
        return self.space == tuple(range(len(self.space)))

    def _as_given(self, laid: Array) -> Array:
        rest = tuple(n for i, n in enumerate(self.shape) if i not in self.space)
        whole = laid.reshape(len(laid), *self.places, *rest)
        return (
            whole
            if self._in_order
            else np.moveaxis(whole, tuple(range(1, len(self.space) + 1)), [i + 1 for i in self.space])
        )


def canvas(model: Model, spec: Any, name: str, like: Array | None, limits: Any, background: Any) -> Canvas:
    """Lay out the input `name`; `like` are encoded samples of it, `limits` and `background` in display units.

    What neither these nor the spec tell is not guessed: ParameterError says what to give. NotSupported for inputs that
    are no numbers on a scale.
    """
    _require_numbers(model, spec, name, like)
    shape = tuple(spec.shape) if isinstance(spec, InputSpec) and not isinstance(spec, Raw) else None
    if shape is None:
        if like is None:
            raise InputError(
                f"the shape of the input of {model.name} is not known: wrap it with inputs= (xk.Image, xk.Series, "
                "...), or give like= some samples"
            )
        shape = like.shape[1:]
    axes = _axes(model, spec, name, shape)
    space = tuple(i for i, a in enumerate(axes) if a in SPACE)
    blank = Canvas(spec, shape, axes, space, *_unit(shape, space), {})
    (low, high), told = _limits(spec, blank, like, limits)
    ranged = Canvas(spec, shape, axes, space, low, high, np.zeros_like(low), {})
    filling, said = _background(spec, ranged, like, background)
    filling = np.clip(filling, 0, 1).astype(np.float32)
    return Canvas(spec, shape, axes, space, low, high, filling, {"limits": told, "background": said})


def _require_numbers(model: Model, spec: Any, name: str, like: Array | None) -> None:
    kind = getattr(spec, "kind", "Raw")
    ids = kind == "Text" or getattr(spec, "dtype", None) == "int64" or (like is not None and like.dtype.kind in "iu")
    if ids:
        raise NotSupported(
            f"{name or 'the input'} of {model.name} takes token ids, which have no gradient and no values in between: "
            "use xk.top_patches for the texts that excite a unit, or xk.explain on one"
        )
    if kind == "Table":
        raise NotSupported(
            f"{model.name} takes rows of a table, whose columns are not of one kind: use xk.top_patches for the rows "
            "that excite a unit, or xk.explain on one"
        )


def _unit(shape: tuple[int, ...], space: tuple[int, ...]) -> tuple[Array, Array, Array]:
    count = int(np.prod([n for i, n in enumerate(shape) if i not in space]))
    return np.zeros(count, np.float32), np.ones(count, np.float32), np.zeros(count, np.float32)


def _axes(model: Model, spec: Any, name: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Name the axes of one sample: as the spec does, or as the layer does that reads it first."""
    own = tuple(getattr(spec, "axes", None) or ())
    if len(own) == len(shape) and any(a in SPACE for a in own):
        return own
    for layer in model.layers.values():
        if set(layer.parents) & {name, "input"} and len(layer.axes) == len(shape) + 1 and layer.space:
            return layer.axes[1:]
    return tuple(f"axis {i}" for i in range(len(shape)))


def _limits(spec: Any, blank: Canvas, like: Array | None, given: Any) -> tuple[tuple[Array, Array], str]:
    """Find the ends of the range, by channel, in the network's units."""
    if given is not None:
        return _ends(spec, blank, given), "limits="
    if isinstance(spec, Image) and 0 < spec.scale < 0.1:
        return _ends(spec, blank, (0, 1 / spec.scale)), "the scale of the input spec"
    if like is not None:
        laid = blank.laid_out(np.asarray(like, np.float32)).reshape(-1, blank.channels)
        low, high = laid.min(0), laid.max(0)
        if isinstance(spec, Image):  # a picture's colours share one scale
            shown = np.asarray(spec.decode(like), np.float64)
            low, high = _ends(spec, blank, (shown.min(), shown.max()))
        high = np.where(high > low, high, low + 1)
        return (low.astype(np.float32), high.astype(np.float32)), "the samples of like="
    if isinstance(spec, Series) and (np.any(np.asarray(spec.mean) != 0) or np.any(np.asarray(spec.std) != 1)):
        width = np.full(blank.channels, SPREAD, np.float32)
        return (-width, width), f"mean ± {SPREAD:g} std of the input spec"
    raise ParameterError(
        "the range of the input is not known: give like= (samples, or a folder of them) or limits=(low, high) in the "
        "input's own units"
    )


def _ends(spec: Any, blank: Canvas, given: Any) -> tuple[Array, Array]:
    try:
        low, high = (np.asarray(v, np.float64) for v in given)
    except (TypeError, ValueError):
        raise ParameterError(f"limits are two numbers, or two rows of one per channel, not {given!r}") from None
    if not np.all(low < high) or not np.isfinite([low.sum(), high.sum()]).all():
        raise ParameterError(f"limits run from the lower to the higher, not {given!r}")
    found = [_encoded(spec, blank, v, "limits") for v in (low, high)]
    return np.minimum(*found), np.maximum(*found)


def _encoded(spec: Any, blank: Canvas, value: Any, what: str) -> Array:
    """Give one value, or one per channel, in display units as the network has it: (channel,)."""
    try:
        whole = np.broadcast_to(np.asarray(value, np.float64), blank.shape)
    except (TypeError, ValueError):
        given = repr(value) if isinstance(value, str) else np.shape(value)
        raise ParameterError(f"{what} is a number or one per channel ({blank.channels}), not {given}") from None
    encoded = np.asarray(spec.to_network(whole), np.float32)
    first = blank.laid_out(encoded[None])
    return np.array(first.reshape(-1, blank.channels)[0], np.float32)


def _background(spec: Any, ranged: Canvas, like: Array | None, given: Any) -> tuple[Array, str]:
    """Find what is where nothing is, in 0..1 by channel."""

    def scaled(v: Array) -> Array:
        return (v - ranged.low) / (ranged.high - ranged.low)

    if given is not None:
        return scaled(_encoded(spec, ranged, given, "background")), "background="
    if like is not None:
        u = ranged.read(like).reshape(-1, ranged.channels)
        found = np.array([_usual(column) for column in u.T])
        return found, "the samples of like="
    if isinstance(spec, Image | Series) and np.any(np.asarray(spec.mean) != 0):
        return scaled(np.zeros(ranged.channels)), "the mean of the input spec"
    if ranged.large:
        return np.full(ranged.channels, 0.5), "the middle of the range"
    if isinstance(spec, Image) and np.all(np.asarray(spec.std) == 1):
        return scaled(_encoded(spec, ranged, 0.0, "background")), "black, with which the input spec pads"
    return scaled(np.zeros(ranged.channels)), "zero"


def _usual(values: Array) -> float:
    """Give the value that a good part of all has, or else the mean."""
    found, counts = np.unique(np.round(values, 3), return_counts=True)
    return float(found[counts.argmax()]) if counts.max() >= COMMON * len(values) else float(values.mean())
