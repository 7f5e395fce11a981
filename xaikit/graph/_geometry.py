"""How the places of a layer's output look at the places of its input."""

from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Literal

import numpy as np

from xaikit.arrays import Array

GeometryKind = Literal[
    "window", "transposed", "upsample", "adaptive", "table", "pointwise", "prefix", "suffix", "concat", "moved",
    "renamed", "each", "steps", "recurrent_window", "global", "unknown",
]  # fmt: skip
FOLDED = "folded"
"""The name of the axis of places that a network has put into its sample axis: windows, heads, steps in time."""
MISSING = -1
"""In tables of taps: nothing is read there."""


@dataclass(frozen=True)
class Geometry:
    """How the places of a layer's output look at the places of its input.

    `kind`:
    - "window": convolution and pooling; a crop is a window of one place with negative padding.
    - "transposed": transposed convolution; `padding` is what is cut off the full output on each side.
    - "upsample": `size` is how many inputs a place takes (1 nearest, 2 linear, 4 cubic), `stride` the factor.
    - "adaptive": pooling to a number of places that need not divide the input's.
    - "pointwise": a place sees the same place of every parent; axes go by name, else in order; parents of one place
      are spread.
    - "prefix" and "suffix": a place sees itself and all before (after) it: recurrent layers, causal attention.
    - "concat": parents one behind the other along the only axis of `axes`.
    - "renamed": the places of `axes` ("" = every place sees all) get `names`, new ones the lengths of `size`; axes of
      the parent that are not in it are mixed whole.
    - "table": `sources`, one for each of `axes`, gives what each place reads along it: integers (place, K), -1 = none.
    - "moved": any other way to move, cut or repeat places; `sources` tells it.
    - "each": each of `parts` reads one parent, the one that `reads` counts (() = in order), and a place sees what it
      sees through any of them.
    - "recurrent_window": a convolution inside a recurrent cell; `parts` are (prefix or suffix along time, the input's
      window, the state's window).
    - "steps": the geometries of `parts` one after the other, each along its own axes; only the first may read several
      parents.
    - "global": every place sees all along `axes`; "unknown": the same, as an upper bound.

    `size`, `stride`, `padding` (before, after, in input places) and `dilation` have one entry for each of `axes`, the
    names of the axes concerned; () = the spatial axes of the layer, in order. `mode` is how padding is filled
    ("reflect", "replicate", "circular"; "" = with nothing), "same" where the padding follows TensorFlow's rule for
    the number of places, "corners" where upsampling keeps the corners in their place, "centres" where the nearest
    place is the one that its centre falls in, and "reversed" where a suffix gives its last place first. `ratio` is
    input places per output place where upsampling has another than input length / output length. `gate`: places are
    mixed only to scale them (a norm over space), which the local field leaves out. `sources`, one for each parent,
    gives for each output place (all axes but sample and channel, in the layer's order) the flat places of the parent
    that it reads: integers (*places, K), -1 = none. There `axes` are the parent's, in the order in which flat places
    count, and `names` those of the places; () = the parent's own, and the layer's. `folded`: how many places of each
    sample the layer has put into its sample axis; they are the first axis of its places, named "folded".
    """

    kind: GeometryKind
    size: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    dilation: tuple[int, ...] = ()
    axes: tuple[str, ...] = ()
    mode: str = ""
    ratio: tuple[float, ...] = ()
    gate: bool = False
    parts: tuple["Geometry", ...] = ()
    names: tuple[str, ...] = ()
    reads: tuple[int, ...] = ()
    folded: int = 1
    sources: tuple[Array, ...] = field(default=(), compare=False, repr=False)

    def __repr__(self) -> str:
        said = ((f.name, getattr(self, f.name), f.default) for f in fields(self)[1:] if f.repr)
        return f"Geometry({', '.join([repr(self.kind), *(f'{n}={v!r}' for n, v, d in said if v != d)])})"

    def output_size(self, places: tuple[int, ...]) -> tuple[int, ...]:
        """Count the output places of a window layer: floor((n + p - d(k-1) - 1)/s) + 1 on each axis."""
        if self.kind != "window":
            raise ValueError(f"output_size is defined for windows, not for {self.kind!r}")
        return tuple(self.count(i, n) for i, n in enumerate(places))  # type: ignore[misc]

    def count(self, axis: int, n: int) -> int | None:
        """Count the output places along one of the axes, of `n` input places; None where the kind does not tell."""
        if self.kind in ("pointwise", "prefix", "suffix"):
            return n
        if self.kind == "window":
            before, after = self.around(axis, n)
            reach = self.dilation[axis] * (self.size[axis] - 1)
            return (n + before + after - reach - 1) // self.stride[axis] + 1
        if self.kind == "transposed":
            reach = self.dilation[axis] * (self.size[axis] - 1)
            return (n - 1) * self.stride[axis] + reach + 1 - sum(self.padding[axis])
        if self.kind == "table":
            return len(self.sources[axis])
        if self.kind == "adaptive" and self.size:
            return self.size[axis]
        if self.kind == "upsample":
            return int(n / self.ratio[axis] + NEAR) if self.ratio else n * self.stride[axis]
        return None

    def around(self, axis: int, n: int) -> tuple[int, int]:
        """Give the padding before and after `n` places along one of the axes."""
        if self.mode != "same":
            return self.padding[axis]
        reach = self.dilation[axis] * (self.size[axis] - 1)
        total = max(reach - (n - 1) % self.stride[axis], 0)
        return total // 2, total - total // 2

    def taps(self, axis: int, n: int, m: int) -> Array:
        """Give what each of `m` output places reads of `n` input places along one of the axes: integers (m, K).

        -1 stands for nothing: padding with zeros, or a place between the strides of a transposed convolution.
        """
        return _TAPS[self.kind](self, axis, n, m)

    def affine(self, axis: int, n: int | None) -> tuple[Fraction, Fraction | None, Fraction] | None:
        """Give (s, a, r) along one axis: output place y looks at the r places from s·y + a on; None if not so simple.

        For "transposed" and "upsample" they bound the field of every phase. a is None where it depends on the number
        of input places (TensorFlow's "same" padding) and `n` is not known.
        """
        if self.kind == "pointwise":
            return Fraction(1), Fraction(0), Fraction(1)
        if self.kind not in ("window", "transposed", "upsample") or self.ratio or "corners" in self.mode:
            return None
        k, s, d = self.size[axis], self.stride[axis], self.dilation[axis]
        if self.kind == "transposed":
            p = self.padding[axis][0]
            return Fraction(1, s), Fraction(p - d * (k - 1), s), Fraction(d * (k - 1), s) + 1
        if self.kind == "upsample":
            reach = k // 2 if k > 1 else 0
            centre = Fraction(1, 2 * s) - Fraction(1, 2) if k > 1 else Fraction(0)
            early = Fraction(s - 1, s) if k == 1 else Fraction(reach)
            return Fraction(1, s), centre - early, early + reach + 1
        return Fraction(s), self._before(axis, n), Fraction(d * (k - 1) + 1)

    def _before(self, axis: int, n: int | None) -> Fraction | None:
        """Give where a window starts: minus the padding in front; "same" padding may need the number of places."""
        if self.mode != "same" or n is not None:
            return Fraction(-self.around(axis, n or 0)[0])
        reach, s = self.dilation[axis] * (self.size[axis] - 1), self.stride[axis]
        possible = {max(reach - rest, 0) // 2 for rest in range(s)}
        return Fraction(-possible.pop()) if len(possible) == 1 else None


def _filled(t: Array, n: int, mode: str) -> Array:
    """Say which real place stands at a place outside of `n`."""
    if mode == "circular":
        return t % n
    if mode == "replicate":
        return t.clip(0, n - 1)
    if mode == "reflect" and n > 1:
        period = 2 * (n - 1)
        folded = t % period
        return np.minimum(folded, period - folded)
    return np.where((t >= 0) & (t < n), t, MISSING)


def _window(g: Geometry, axis: int, n: int, m: int) -> Array:
    starts = np.arange(m)[:, None] * g.stride[axis] - g.around(axis, n)[0]
    return _filled(starts + np.arange(g.size[axis]) * g.dilation[axis], n, g.mode)


def _transposed(g: Geometry, axis: int, n: int, m: int) -> Array:
    """Input x reaches the outputs x·s - p + d·j for j = 0..k-1."""
    ahead = np.arange(m)[:, None] + g.padding[axis][0] - g.dilation[axis] * np.arange(g.size[axis])
    x, rest = np.divmod(ahead, g.stride[axis])
    return np.where((rest == 0) & (x >= 0) & (x < n), x, MISSING)


def _upsample(g: Geometry, axis: int, n: int, m: int) -> Array:
    """Nearest takes floor(y·n/m); linear and cubic take the neighbours of (y + 1/2)·n/m - 1/2."""
    y, reach = np.arange(m), g.size[axis]
    ratio = g.ratio[axis] if g.ratio else n / m
    if reach == 1:
        start = 0.5 if "centres" in g.mode else 0.0
        return np.floor((y + start) * ratio + NEAR).astype(int).clip(0, n - 1)[:, None]
    source = y * ((n - 1) / max(m - 1, 1)) if "corners" in g.mode else (y + 0.5) * ratio - 0.5
    if reach == 2:
        source = source.clip(0, n - 1)
    whole = np.floor(source + NEAR).astype(int)
    exact = np.abs(source - whole) < NEAR  # then all the weight is on one place
    taps = whole[:, None] + np.arange(1 - reach // 2, reach // 2 + 1)
    return np.where(exact[:, None], whole[:, None], taps).clip(0, n - 1)


NEAR = 1e-6
"""Places closer than this are one: frameworks count them in float32."""


def _adaptive(g: Geometry, axis: int, n: int, m: int) -> Array:
    i = np.arange(m)
    starts, ends = i * n // m, -(-(i + 1) * n // m)
    taps = starts[:, None] + np.arange((ends - starts).max(initial=1))
    return np.where(taps < ends[:, None], taps, MISSING)


def _table(g: Geometry, axis: int, n: int, m: int) -> Array:
    return g.sources[axis]


def _same_place(g: Geometry, axis: int, n: int, m: int) -> Array:
    return np.arange(m)[:, None] if n > 1 else np.zeros((m, 1), int)


_TAPS = {
    "window": _window,
    "transposed": _transposed,
    "upsample": _upsample,
    "adaptive": _adaptive,
    "table": _table,
    "pointwise": _same_place,
}
