"""What is known of the units of a layer: one pass over a data set, the places that excite each, and a card of one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, rows
from xaikit.errors import ParameterError, many
from xaikit.results._fields import EffectiveField, Field
from xaikit.results._inside import Filters, TopPatches
from xaikit.results._maximization import Maximization
from xaikit.results._origin import Origin, Shown, Status


@dataclass(frozen=True, eq=False)
class Survey:
    """What one pass over a data set finds of the channels of a layer.

    For each of the `channels` (channel,) its k highest values: `values` (channel, k), strongest first, the numbers of
    their `samples` (channel, k), and their `places` (channel, k, axis) in the layer, whose places have the lengths
    `space` and the names `axes`. `statistics` (channel,) by name, over all samples and places: "mean", "std", "min",
    "max", "skew", "sparsity" (share that is zero), "positive" (share above zero), "lost" (not finite), and
    "dead": nowhere above zero.
    `counts` (channel, bin) count the values that are not zero; bin i of channel c goes from (first[c] + i)·width[c] to
    the next, and the widths are powers of two. `seen` samples were read; `unread` says why others could not be.
    """

    layer: str
    channels: Array
    values: Array
    samples: Array
    places: Array
    axes: tuple[str, ...]
    space: tuple[int, ...]
    statistics: Mapping[str, Array]
    counts: Array
    first: Array
    width: Array
    seen: int
    unread: Mapping[str, str]
    origin: Origin

    def __len__(self) -> int:
        """Count the channels."""
        return len(self.channels)

    def row(self, channel: int) -> int:
        """Give the place of a channel among those that were looked at. Raises ParameterError."""
        found = np.flatnonzero(self.channels == channel)
        if not len(found):
            raise ParameterError(f"channel {channel} of {self.layer!r} was not looked at: {_some(self.channels)} were")
        return int(found[0])

    def histogram(self, channel: int) -> tuple[Array, Array]:
        """Give how often a channel's values that are not zero fall between edges: counts (bin,), edges (bin + 1,)."""
        i = self.row(channel)
        filled = np.flatnonzero(self.counts[i])
        if not len(filled):
            return np.zeros(0, np.int64), np.zeros(1)
        low, high = filled[0], filled[-1] + 1
        return self.counts[i, low:high], (self.first[i] + np.arange(low, high + 1)) * self.width[i]

    def some(self, channels: Sequence[int]) -> "Survey":
        """Give the same for some of the channels. Raises ParameterError."""
        at = [self.row(int(c)) for c in channels]
        own = {f: getattr(self, f)[at] for f in ("channels", "values", "samples", "places", "counts", "first", "width")}
        return replace(self, **own, statistics={n: a[at] for n, a in self.statistics.items()})

    def of(self, channel: int) -> dict[str, float]:
        """Give a channel's statistics by name."""
        i = self.row(channel)
        return {name: float(values[i]) for name, values in self.statistics.items()}

    def __repr__(self) -> str:
        return f"<Survey of {len(self)} channels of {self.layer!r} over {many(self.seen, 'sample')}>"


@dataclass(frozen=True, eq=False)
class LayerPatches(Shown):
    """The places in a data set that excite each of several channels of a layer most: a mapping to TopPatches.

    `survey` says which they are, and the statistics of each channel over the data set. `numbers` (sample,) are the
    samples that occur, `x` (sample, ...) and `display` those samples, whole, `sources` their files. `boxes` and
    `windows` (channel, k, axis, 2), `projections` (channel, k, ...) and `reproduced` (channel, k) are as in TopPatches.
    """

    survey: Survey
    numbers: Array
    x: Tensors
    display: Any
    sources: tuple[str, ...]
    boxes: Mapping[str, Array]
    windows: Mapping[str, Array]
    reproduced: Array
    projection: str | None
    projections: Mapping[str, Array]
    input_spec: Any
    statuses: tuple[Status, ...]
    origin: Origin

    def __len__(self) -> int:
        """Count the channels."""
        return len(self.survey)

    def __iter__(self) -> Iterator[int]:
        """Give the numbers of the channels."""
        return (int(c) for c in self.survey.channels)

    def __getitem__(self, channel: int) -> TopPatches:
        """Give the patches of one channel. Raises ParameterError for one that was not looked at."""
        s, i = self.survey, self.survey.row(channel)
        at = np.searchsorted(self.numbers, s.samples[i])
        one = not isinstance(self.x, Mapping)

        def own(values: Mapping[str, Array]) -> Any:
            mine = {name: a[i] for name, a in values.items()}
            return (mine.get("") if one else mine) if mine else None

        return TopPatches(
            values=s.values[i],
            samples=s.samples[i],
            places=s.places[i],
            boxes=own(self.boxes),
            axes=s.axes,
            space=s.space,
            layer=s.layer,
            channel=int(channel),
            seen=s.seen,
            x=rows(self.x, at),
            display=_shown(self.display, at),
            input_spec=self.input_spec,
            origin=_of_channel(self.origin, int(channel), at),
            windows=own(self.windows),
            sources=tuple(self.sources[n] for n in at),
            reproduced=self.reproduced[i],
            projection=self.projection,
            projections=own(self.projections),
            status=self.statuses[i],
        )

    def __repr__(self) -> str:
        s = self.survey
        return f"<LayerPatches of {len(self)} channels of {s.layer!r}: {s.values.shape[1]} of {s.seen} samples each>"


@dataclass(frozen=True, eq=False)
class UnitCard(Shown):
    """What is known of one channel (or unit) of a layer: what it weighs, sees, gives, and what excites it most.

    `filter` holds the one kernel that makes the channel, of the layer or of the one in front whose channels it passes
    on. `fields` are what a unit sees of each input, `effective` how strongly each place of it moves the unit in the
    middle (of all channels together). `statistics` by name are over the `seen` samples and all places, as Survey has
    them; `counts` (bin,) say how often values that are not zero lie between `edges` (bin + 1,). `patches` are the
    places in the data that excite it most. `optimum` and `opposite` are inputs of one row that make the unit in the
    middle of the layer as large, and as small, as can be. A part that could not be had is None or empty, and `missing`
    says why, by its name. The channel is one of `total`, and the layer has `space` (axis,) places.
    """

    layer: str
    kind: str
    channel: int
    total: int
    space: tuple[int, ...]
    filter: Filters | None
    fields: Mapping[str, Field]
    statistics: Mapping[str, float]
    counts: Array
    edges: Array
    seen: int
    patches: TopPatches | None
    optimum: Maximization | None
    opposite: Maximization | None
    missing: Mapping[str, str]
    input_spec: Any
    status: Status
    origin: Origin
    effective: EffectiveField | None = None

    @property
    def ratio(self) -> float | None:
        """The activation of the optimum as a multiple of the highest in the data; None where that is not positive."""
        highest = self.statistics.get("max", 0.0)
        if self.optimum is None or highest <= 0:
            return None
        return float(self.optimum.quality["activation"][0]) / highest

    def text(self) -> str:
        """Say what is on the card, a line for each part."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        what = "Channel" if self.space else "Unit"
        places = f" with {' × '.join(map(str, self.space))} places" if self.space else ""
        yield f"{what} {self.channel} of {self.total} in {self.layer} ({self.kind}{places}) of {self.origin.model}."
        if self.filter is not None:
            norm, size = self.filter.statistics["norm"][0], " × ".join(map(str, self.filter.values.shape[1:]))
            dead = ": hardly any weight" if self.filter.statistics["dead"][0] else ""
            yield f"Filter: {size} weights of {self.filter.layer}, norm {norm:.3g}{dead}."
        for name, field in self.fields.items():
            yield f"Sees of {name}: {field_words(field)}."
        if self.effective is not None:
            of = f"{max(self.effective.size)}"
            yield f"Of these, 95 % of what moves the layer lies within {self.effective.side:g} of {of}."
        if self.statistics:
            s = self.statistics
            yield (
                f"Over {self.seen:,} samples: mean {s['mean']:.3g}, standard deviation {s['std']:.3g}, from "
                f"{s['min']:.3g} to {s['max']:.3g}; zero in {100 * s['sparsity']:.3g} % of the places"
                f"{', nowhere above zero: dead in these data' if s['dead'] else ''}."
            )
        if self.patches is not None:
            best = [
                f"{source or f'sample {n}'} ({v:.3g})"
                for source, n, v in zip(self.patches.sources, self.patches.samples, self.patches.values, strict=True)
            ]
            yield f"Most excited by {', '.join(best[:3])}."
        if self.optimum is not None:
            ratio = f", {self.ratio:.3g} times the highest in the data" if self.ratio is not None else ""
            yield f"Optimum: activation {self.optimum.quality['activation'][0]:.3g}{ratio}."
        yield from (f"No {part}: {why}" for part, why in self.missing.items())

    def __repr__(self) -> str:
        named = ("filter", "fields", "statistics", "patches", "optimum", "opposite")
        parts = [part for part in named if getattr(self, part) not in (None, {})]
        return f"<UnitCard of channel {self.channel} of {self.layer!r} in {self.origin.model}: {', '.join(parts)}>"


def field_words(field: Field) -> str:
    """Say what a unit sees, gates left out: its size, and by how much the fields of neighbours differ."""
    own = field.local
    if all(own.global_):
        return "everything"
    sizes = [
        f"all of {axis}" if whole else "varying" if size is None else f"{size:g}"
        for axis, size, whole in zip(own.axes, own.size, own.global_, strict=True)
    ]
    strides = [f"{s:g}" for s, whole in zip(own.stride, own.global_, strict=True) if s is not None and not whole]
    said = " × ".join(sizes) + (
        " pixels" if own.axes == ("height", "width") else " place" if sizes == ["1"] else " places"
    )
    if strides:
        said += f", stride {' × '.join(dict.fromkeys(strides) if len(set(strides)) == 1 else strides)}"
    return said + (", beside a gate that sees everything" if field.of_features is not None else "")


def _of_channel(origin: Origin, channel: int, at: Array) -> Origin:
    hashes = tuple(origin.input_hash[n] for n in at)
    parameters = {n: v for n, v in origin.parameters.items() if n != "channels"}
    return replace(origin, parameters={**parameters, "channel": channel}, input_hash=hashes)


def _shown(display: Any, at: Array) -> Any:
    if isinstance(display, Mapping):
        return {n: _shown(d, at) for n, d in display.items()}
    return display[at] if isinstance(display, np.ndarray) else [display[n] for n in at]


def _some(channels: Array, most: int = 12) -> str:
    left = len(channels) - most
    return ", ".join(map(str, channels[:most])) + (f" and {left} more" if left > 0 else "")
