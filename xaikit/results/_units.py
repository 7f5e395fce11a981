"""What is known of the units of a layer: one pass over a data set, the places that excite each, and a card of one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, rows
from xaikit.errors import ParameterError
from xaikit.results._inside import TopPatches
from xaikit.results._origin import Origin, Status


@dataclass(frozen=True, eq=False)
class Survey:
    """What one pass over a data set finds of the channels of a layer.

    For each of the `channels` (channel,) its k highest values: `values` (channel, k), strongest first, the numbers of
    their `samples` (channel, k), and their `places` (channel, k, axis) in the layer, whose places have the lengths
    `space` and the names `axes`. `statistics` (channel,) by name, over all samples and places: "mean", "std", "min",
    "max", "sparsity" (share that is zero), "positive" (share above zero), and "dead": nowhere above zero.
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

    def of(self, channel: int) -> dict[str, float]:
        """Give a channel's statistics by name."""
        i = self.row(channel)
        return {name: float(values[i]) for name, values in self.statistics.items()}

    def __repr__(self) -> str:
        return f"<Survey of {len(self)} channels of {self.layer!r} over {self.seen} samples>"


@dataclass(frozen=True, eq=False)
class LayerPatches:
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
