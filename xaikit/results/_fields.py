"""What the units of a network see of its inputs: receptive fields in theory, and as the gradient shows them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import NotSupported, ParameterError, UnknownName, UsageError, many
from xaikit.results._origin import Origin, Shown, Status

Number = int | float
Place = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Field:
    """What the units of one layer see of one input, with one entry for each of `axes`, the input's.

    Pixels (steps, tokens) are counted from 0, and one has its centre at its number. Away from the borders unit y sees
    `size` pixels from y · `stride` - `padding` on; so `padding` is the left one. `size` is None where units differ
    without a rule, and `stride` and `padding` where no such line describes them or, for `padding`, where it depends on
    the input's length. `sizes` (least, most) are those of units away from the borders, of all units where none is;
    None where lengths are not known. `global_`: every unit sees the whole axis, since one of `mixed_by` mixes its
    places. `aligned`: one size everywhere, and no merge of branches out of line before.

    The units have `places` (names of axes) in the numbers `shape`. `lo`, `hi` are the first and last pixel that each
    one sees, exactly, inside the input: integers over its places, an axis of one standing for all; a unit that sees
    nothing has its `hi` before its `lo`. `reach_lo`, `reach_hi` are the same as if the input went on beyond its
    borders: what lies outside is padding. All four are empty where lengths are not known. `bounds` names layers before
    whose operation is not known: the field is then no more than an upper bound. `of_features`: the gates aside, where
    that makes a difference.
    """

    layer: str
    kind: str
    input: str
    axes: tuple[str, ...]
    lengths: tuple[int | None, ...]
    places: tuple[str, ...]
    shape: tuple[int | None, ...]
    size: tuple[Number | None, ...]
    stride: tuple[Number | None, ...]
    padding: tuple[Number | None, ...]
    sizes: tuple[tuple[int, int] | None, ...]
    global_: tuple[bool, ...]
    aligned: bool
    lo: tuple[Array, ...] = ()
    hi: tuple[Array, ...] = ()
    reach_lo: tuple[Array, ...] = ()
    reach_hi: tuple[Array, ...] = ()
    mixed_by: tuple[str, ...] = ()
    bounds: tuple[str, ...] = ()
    of_features: "Field | None" = None

    @property
    def local(self) -> "Field":
        """The field of the features alone, gates left out: squeeze-and-excitation, norms over places, attention.

        A gate only scales what the other branch sees; with it, strictly, everything is seen.
        """
        return self.of_features or self

    @property
    def known(self) -> bool:
        """Whether the exact boxes of single units are known."""
        return len(self.lo) == len(self.axes) > 0

    @property
    def middle(self) -> Place:
        """The unit in the middle of the layer."""
        return tuple((n or 1) // 2 for n in self.shape)

    def box(self, unit: int | Place | None = None, *, inside: bool = True) -> tuple[Place, Place]:
        """Give the first and the last pixel that a unit sees, on each axis of the input; None = the middle unit.

        Exact; with `inside=False` as far as the field would go if the input had no borders. A unit that sees nothing
        gives a last pixel before the first. Raises ParameterError for a unit that is not there, and NotSupported where
        the lengths are not known.
        """
        at = self._unit(unit)
        lo, hi = (self.lo, self.hi) if inside else (self.reach_lo, self.reach_hi)
        return tuple(_at(a, at) for a in lo), tuple(_at(a, at) for a in hi)

    def centre(self, unit: int | Place | None = None) -> tuple[float, ...]:
        """Give the middle of a unit's field, in pixels; it may lie outside of the input."""
        lo, hi = self.box(unit, inside=False)
        return tuple((a + b) / 2 for a, b in zip(lo, hi, strict=True))

    def padded(self, unit: int | Place | None = None) -> float:
        """Give the share of a unit's field that holds no pixel: padding, or pixels that no layer before looks at."""
        seen, whole = (
            np.prod([max(b - a + 1, 0) for a, b in zip(*self.box(unit, inside=i), strict=True)]) for i in (True, False)
        )
        return 1 - float(seen / whole) if whole else 0.0

    def exceeds(self) -> bool:
        """Say whether the field is larger than the input along any axis, or all of it."""
        return any(
            g or (s is not None and n is not None and s > n)
            for g, s, n in zip(self.global_, self.size, self.lengths, strict=True)
        )

    def row(self) -> dict[str, Any]:
        """Give the field as a row of a table."""
        local = self.local
        return {
            "layer": self.layer,
            "kind": self.kind,
            "input": self.input,
            "axes": self.axes,
            "units": self.shape,
            "size": self.size,
            "stride": self.stride,
            "padding": self.padding,
            "global": self.global_,
            "sizes": self.sizes,
            "aligned": self.aligned,
            "local size": local.size,
            "local global": local.global_,
            "mixed by": self.mixed_by,
            "upper bound by": self.bounds,
        }

    def _unit(self, unit: int | Place | None) -> Place:
        if not self.known:
            raise NotSupported(
                f"lengths are not known, so neither are the boxes of single units of {self.layer!r}: give size="
            )
        if unit is None:
            return self.middle
        at: Any = (unit,) if isinstance(unit, int | np.integer) else unit
        whole = isinstance(at, Sequence | np.ndarray) and all(isinstance(p, int | np.integer) for p in at)
        shape = tuple(n or 0 for n in self.shape)
        if not whole or len(at) != len(shape) or not all(0 <= p < n for p, n in zip(at, shape, strict=True)):
            named = " × ".join(f"{n} ({a})" for a, n in zip(self.places, shape, strict=True)) or "no places"
            raise ParameterError(f"layer {self.layer!r} has units in {named}; {at!r} is not among them")
        return tuple(int(p) for p in at)

    def __repr__(self) -> str:
        every = zip(self.axes, self.size, self.stride, self.padding, self.global_, strict=True)
        said = ", ".join(
            f"{a}: all" if g else f"{a}: size {spoken(s)} stride {spoken(t)} padding {spoken(p)}"
            for a, s, t, p, g in every
        )
        return f"<Field of {self.layer!r} in {self.input!r}: {said}{' (upper bound)' * bool(self.bounds)}>"


def _at(values: Array, unit: Place) -> int:
    """Read an array over places at a unit; an axis of one stands for all."""
    return int(values[tuple(p if n > 1 else 0 for p, n in zip(unit, values.shape, strict=True))])


def spoken(number: Number | None) -> str:
    """Write a number of a field; "varies" where there is none."""
    return "varies" if number is None else f"{number:g}"


@dataclass(frozen=True, eq=False)
class Fields(Mapping[str, Field]):
    """The fields of one layer in each input, by name. Of the only input the numbers are given directly."""

    layer: str
    each: Mapping[str, Field]

    def of(self, name: str) -> Field:
        """Give the field in one input. Raises UnknownName."""
        if name not in self.each:
            raise UnknownName(f"input of {self.layer}", name, self.each)
        return self.each[name]

    @property
    def only(self) -> Field:
        """The field in the only input. Raises UsageError where the layer sees several, or none."""
        if len(self.each) != 1:
            seen = ", ".join(self.each) or "no input"
            raise UsageError(f"layer {self.layer!r} sees {seen}: take one by .of(name)")
        return next(iter(self.each.values()))

    def __getitem__(self, name: str) -> Field:
        return self.of(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.each)

    def __len__(self) -> int:
        return len(self.each)

    @property
    def size(self) -> tuple[Number | None, ...]:
        """How many pixels a unit sees on each axis."""
        return self.only.size

    @property
    def stride(self) -> tuple[Number | None, ...]:
        """By how many pixels the fields of neighbours differ on each axis."""
        return self.only.stride

    @property
    def padding(self) -> tuple[Number | None, ...]:
        """How far the field of the first unit begins before the input, on each axis."""
        return self.only.padding

    @property
    def global_(self) -> tuple[bool, ...]:
        """Whether every unit sees the whole of an axis."""
        return self.only.global_

    @property
    def sizes(self) -> tuple[tuple[int, int] | None, ...]:
        """The least and the most pixels that units see on each axis."""
        return self.only.sizes

    @property
    def aligned(self) -> bool:
        """Whether one size holds everywhere, and no branches out of line were merged before."""
        return self.only.aligned

    @property
    def lo(self) -> tuple[Array, ...]:
        """The first pixel that each unit sees, on each axis."""
        return self.only.lo

    @property
    def hi(self) -> tuple[Array, ...]:
        """The last pixel that each unit sees, on each axis."""
        return self.only.hi

    @property
    def local(self) -> "Fields":
        """The fields of the features alone, gates left out."""
        return Fields(self.layer, {n: f.local for n, f in self.each.items()})

    def box(self, unit: int | Place | None = None, *, inside: bool = True) -> tuple[Place, Place]:
        """Give the first and the last pixel that a unit sees, on each axis: see Field.box."""
        return self.only.box(unit, inside=inside)

    def centre(self, unit: int | Place | None = None) -> tuple[float, ...]:
        """Give the middle of a unit's field, in pixels."""
        return self.only.centre(unit)

    def padded(self, unit: int | Place | None = None) -> float:
        """Give the share of a unit's field that holds no pixel."""
        return self.only.padded(unit)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.each.values())) or f"<Field of {self.layer!r}: it sees no input>"


@dataclass(frozen=True)
class Misalignment:
    """A merge of branches whose fields do not lie in line: `layer` joins `parents`, along `axis` of `input`.

    `paths` are the layers of each branch from the fork to the merge, `fork` the layer or input where they part.
    `offset` is by how many pixels their centres differ, at most over the units; `strides` those of the branches.
    `units` (first, last) are those whose centres differ, None where lengths are not known. `lengths` (remainders,
    period) are the lengths n of the axis for which the branches are in line, n = remainder mod period: () with a
    period where there are none; None where it was not sought, since the padding does not follow the length.
    """

    layer: str
    parents: tuple[str, ...]
    input: str
    axis: str
    fork: str
    paths: tuple[tuple[str, ...], ...]
    offset: float | None
    strides: tuple[float, ...]
    units: tuple[int, int] | None = None
    lengths: tuple[tuple[int, ...], int] | None = None

    def __str__(self) -> str:
        """Say it in a sentence."""
        branches = " and ".join(_path(p, self.fork) for p in self.paths)
        by = "by amounts that differ from unit to unit" if self.offset is None else f"by {self.offset:g} px"
        if len(set(self.strides)) > 1:
            strides = " and ".join(f"{s:g}" for s in self.strides)
            by = f"{by if self.offset is None else f'by up to {self.offset:g} px'} (strides {strides})"
        where = "" if self.units is None else f", units {self.units[0]} to {self.units[1]}"
        return f"{self.layer}: the branches {branches} are out of line {by} along {self.axis}{where}{self._when()}"

    def _when(self) -> str:
        if self.lengths is None:
            return ""
        remainders, period = self.lengths
        if not remainders:
            return "; no length of the input brings them in line"
        return f"; in line for n = {' or '.join(map(str, remainders))} mod {period}"


def _path(path: tuple[str, ...], fork: str) -> str:
    """Name a branch by its layers: the first and the last where there are many."""
    if not path:
        return f"straight from {fork}"
    return " → ".join(path if len(path) <= 3 else (path[0], "…", path[-1]))


@dataclass(frozen=True)
class FieldCheck:
    """What a network reacts to, compared with the fields of one layer in one input.

    `verdict` is "equal", "within" (some of the `units` react to less than theory has), "beyond" (some react to more),
    or "unprobed"; `differing` counts the units along all axes that do, `example` tells of the first. `bounded`: theory
    had an upper bound only.
    """

    layer: str
    input: str
    verdict: str
    units: int
    differing: int
    example: str = ""
    bounded: bool = False


@dataclass(frozen=True, eq=False)
class ReceptiveFields(Shown):
    """What the units of every layer see of every input, layers in call order: `rf["conv3"].size`.

    `fields` holds them by layer, then by input; `inputs` the lengths of the inputs' axes, None where they are not
    known. `misaligned` are the merges of branches that do not lie in line, `unknown` the layers whose operation is not
    known: all behind them are upper bounds. `checks` compare theory with the network itself, where that was asked for.
    `status` warns of upper bounds and branches out of line, and fails where a check does.
    """

    fields: Mapping[str, Mapping[str, Field]]
    inputs: Mapping[str, Mapping[str, int | None]]
    misaligned: tuple[Misalignment, ...]
    unknown: tuple[str, ...]
    status: Status
    origin: Origin
    checks: tuple[FieldCheck, ...] = ()

    def __getitem__(self, layer: str) -> Fields:
        """Give the fields of one layer. Raises UnknownName."""
        if layer not in self.fields:
            raise UnknownName(f"layer of {self.origin.model}", layer, self.fields)
        return Fields(layer, self.fields[layer])

    def __iter__(self) -> Iterator[str]:
        """Give the names of the layers in call order."""
        return iter(self.fields)

    def __len__(self) -> int:
        """Count the layers."""
        return len(self.fields)

    def __contains__(self, layer: object) -> bool:
        return layer in self.fields

    @property
    def local(self) -> "ReceptiveFields":
        """The same with gates left out: what the features see that a gate scales."""
        return replace(self, fields={n: {i: f.local for i, f in each.items()} for n, each in self.fields.items()})

    def box(
        self, layer: str, unit: int | Place | None = None, *, input: str | None = None, inside: bool = True
    ) -> tuple[Place, Place]:
        """Give the first and the last pixel that a unit of a layer sees, on each axis of an input: (lo, hi).

        As Field.box; `input` names one where there are several. Raises UnknownName and ParameterError.
        """
        found = self[layer]
        return (found.only if input is None else found.of(input)).box(unit, inside=inside)

    def exceeding(self, input: str | None = None) -> str | None:
        """Name the first layer whose field is larger than the input on an axis, or all of it; None: there is none."""
        for name, each in self.fields.items():
            if any(f.exceeds() for i, f in each.items() if input is None or i == input):
                return name
        return None

    def table(self) -> list[dict[str, Any]]:
        """Give a row for each layer and input, in call order; pandas.DataFrame(rf.table()) makes a table of them."""
        return [f.row() for each in self.fields.values() for f in each.values()]

    def __repr__(self) -> str:
        sizes = "; ".join(
            f"{n} " + " × ".join("?" if k is None else str(k) for k in axes.values()) for n, axes in self.inputs.items()
        )
        beyond = self.exceeding()
        said = f", the whole input or more from {beyond!r} on" if beyond else ""
        noted = f", {self.status}: {self.status.reasons[0]}" if self.status.reasons else ""
        return f"<ReceptiveFields of {many(len(self), 'layer')} of {self.origin.model} ({sizes}){said}{noted}>"


@dataclass(frozen=True, eq=False)
class EffectiveField:
    """How strongly each place of an input moves one unit of a layer: `energy` over the input's `axes`.

    The energy is the mean over samples of the squared gradient, `error` the standard error of that mean. `unit` is the
    place in the layer, () for all units of one without places. `lo`, `hi` are the first and last pixel of the field in
    theory, inside the input; `reach_lo`, `reach_hi` the same beyond its borders, `centre` its middle; where units see
    everything or what is before them, the middle of the energy. `diameter` is the
    side of a square of as many pixels as have a gradient over 4.55 % of the largest; `mean` and `sigma` are the centre
    and the standard deviation of the Gaussian with the moments of the gradient's size, on each axis. The square around
    `centre` that holds 95 % of the energy goes `radius` pixels from it, and in 95 % of draws of samples between the two
    of `radius_interval`. `outside` is the share of the Gaussian's energy that lies outside of the input, `stray` the
    share of the energy outside of the field in theory, which should be none. `truncated`: the border cuts the field.
    """

    layer: str
    kind: str
    input: str
    axes: tuple[str, ...]
    unit: Place
    energy: Array
    error: Array
    lo: Place
    hi: Place
    reach_lo: Place
    reach_hi: Place
    centre: tuple[float, ...]
    diameter: float
    mean: tuple[float, ...]
    sigma: tuple[float, ...]
    radius: float
    radius_interval: tuple[float, float]
    outside: float
    stray: float
    truncated: bool

    @property
    def size(self) -> Place:
        """How many pixels the field has in theory on each axis, beyond the borders too."""
        return tuple(b - a + 1 for a, b in zip(self.reach_lo, self.reach_hi, strict=True))

    @property
    def square(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The first and last pixel of the square that holds 95 % of the energy, cut at the input's border."""
        lo = tuple(max(0.0, c - self.radius) for c in self.centre)
        hi = tuple(min(n - 1.0, c + self.radius) for c, n in zip(self.centre, self.energy.shape, strict=True))
        return lo, hi

    @property
    def side(self) -> float:
        """How many pixels wide that square is, if the border did not cut it."""
        return 2 * self.radius + 1

    @property
    def share(self) -> float:
        """The side of that square over the size in theory, the largest of the axes."""
        return self.side / max(self.size)

    def row(self) -> dict[str, Any]:
        """Give the numbers as a row of a table."""
        return {
            "layer": self.layer,
            "input": self.input,
            "axes": self.axes,
            "unit": self.unit,
            "size": self.size,
            "diameter": self.diameter,
            "sigma": self.sigma,
            "square": self.side,
            "square interval": tuple(2 * r + 1 for r in self.radius_interval),
            "share": self.share,
            "outside": self.outside,
            "truncated": self.truncated,
        }

    def __repr__(self) -> str:
        size = " × ".join(map(str, self.size))
        cut = ", truncated by the border" * self.truncated
        return (
            f"<EffectiveField of {self.layer!r} unit {self.unit}: {size} in theory, 95 % of the energy in "
            f"{self.side:g}, diameter {self.diameter:.1f}{cut}>"
        )


@dataclass(frozen=True, eq=False)
class EffectiveFields(Shown):
    """Effective receptive fields of one unit each of some layers, over the same samples: `ef["conv3"].energy`.

    `status` warns of few samples and of fields that the border truncates, and fails where a gradient comes from outside
    of the field in theory.
    """

    fields: Mapping[str, EffectiveField]
    samples: int
    input_spec: Any
    status: Status
    origin: Origin

    def __getitem__(self, layer: str) -> EffectiveField:
        """Give the field of one layer. Raises UnknownName."""
        if layer not in self.fields:
            raise UnknownName("measured layer", layer, self.fields)
        return self.fields[layer]

    def __iter__(self) -> Iterator[str]:
        """Give the names of the layers as they were asked for."""
        return iter(self.fields)

    def __len__(self) -> int:
        """Count the layers."""
        return len(self.fields)

    def table(self) -> list[dict[str, Any]]:
        """Give a row for each layer."""
        return [f.row() for f in self.fields.values()]

    def __repr__(self) -> str:
        said = "; ".join(f"{n}: {f.side:g} of {max(f.size)} px" for n, f in self.fields.items())
        return f"<EffectiveFields in {self.origin.model} over {self.samples} samples: {said}, {self.status}>"
