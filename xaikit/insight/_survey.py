"""One pass over a data set: the highest values of every channel of a layer, and their statistics."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution import origin_of
from xaikit.graph import Layer
from xaikit.insight._activations import axes_of, channels_last
from xaikit.insight._asking import channels_named
from xaikit.insight._samples import Samples
from xaikit.model import Model
from xaikit.progress import Progress
from xaikit.results import Moments, Survey

CHUNK = 64
"""Samples that are read at a time, at most."""
CHUNK_BYTES = 2**24
"""What a layer may give for them."""
BINS = 64
SHARPEST = 12
"""No bin of a histogram is narrower than the largest value over 2 to the power of this."""


def survey(
    model: Model,
    samples: Samples,
    layer: str,
    channels: Sequence[int] | slice | None,
    k: int,
    per_sample: int,
    progress: Progress,
) -> Survey:
    """Read all samples once and give the Survey of some channels of a layer; None = all. `progress` counts samples."""
    start = time.perf_counter()
    found: _Pass | None = None
    seen = 0
    for chunk in samples.chunks(chunk_of(model, layer)):
        run = model.run(chunk.x, at=[layer])
        values = placed(channels_last(run.activations[layer], model.layers[layer]))
        if found is None:
            asked = dict.fromkeys(channels_named(channels, values.shape[-1], layer).tolist())  # each once
            found = _Pass(model.layers[layer], values, np.array(list(asked)), k, per_sample)
        found.add(values, np.array(chunk.numbers))
        samples.keep(found.samples.ravel().tolist())
        seen += len(chunk.numbers)
        progress(seen, max(samples.total, seen))
    if found is None:
        raise samples.none()
    parameters = {"layer": layer, "channels": found.channels.tolist(), "k": k, "per_sample": per_sample}
    origin = origin_of(model, None, "survey", parameters=parameters, seconds=time.perf_counter() - start, calls=seen)
    return found.result(seen, samples.unread, origin)


def chunk_of(model: Model, layer: str) -> int:
    """Say how many samples are read at a time: as many as a layer has room for."""
    described = model.layers.get(layer)
    size = 4 * int(np.prod([n or 1 for n in described.shape], dtype=np.int64)) if described is not None else 1
    return int(np.clip(CHUNK_BYTES // max(size, 1), 1, CHUNK))


def placed(values: Array) -> Array:
    """Give a layer's values as (sample, *places, channel), also where it gives one number."""
    return values[:, None] if values.ndim == 1 else values


class _Pass:
    """The highest values so far, and what statistics are made from."""

    def __init__(self, layer: Layer, values: Array, channels: Array, k: int, per_sample: int) -> None:
        self.layer, self.channels, self.k, self.per_sample = layer, channels, k, per_sample
        self.shape = values.shape[1:-1]
        count = len(channels)
        self.values = np.full((count, 0), -np.inf)
        self.samples = np.zeros((count, 0), np.int64)
        self.flat = np.zeros((count, 0), np.int64)
        self.moments: Moments | None = None
        self.bins = _Histogram(count)

    def add(self, values: Array, numbers: Array) -> None:
        """Take in the values (sample, *places, channel) of samples with these numbers."""
        some = values.reshape(len(values), -1, values.shape[-1])
        if len(self.channels) < some.shape[-1]:
            some = some[..., self.channels]
        moments = Moments.of(some.reshape(-1, some.shape[-1]))
        self.moments = moments if self.moments is None else self.moments + moments
        self.bins.add(some.reshape(-1, some.shape[-1]))
        top = np.nan_to_num(some, nan=-np.inf, posinf=np.inf, neginf=-np.inf) if np.isnan(some).any() else some
        at = self._highest(top)
        highest = np.take_along_axis(top, at, axis=1)
        own = np.broadcast_to(numbers[:, None, None], at.shape)
        # The earlier come first, so that a stable sort takes of equals the earlier sample and place.
        values, samples, flat = (
            np.concatenate([before, new.reshape(-1, new.shape[-1]).T], axis=1)
            for before, new in ((self.values, highest), (self.samples, own), (self.flat, at))
        )
        order = np.argsort(-values, axis=1, kind="stable")[:, : self.k]
        self.values, self.samples, self.flat = (np.take_along_axis(a, order, axis=1) for a in (values, samples, flat))

    def _highest(self, values: Array) -> Array:
        """Find the highest places of every sample and channel: (sample, place, channel)."""
        if self.per_sample == 1:
            return values.argmax(1)[:, None]
        return np.argsort(-values, axis=1, kind="stable")[:, : self.per_sample]

    def result(self, seen: int, unread: Any, origin: Any) -> Survey:
        assert self.moments is not None
        places = np.stack(np.unravel_index(self.flat, self.shape), axis=-1) if self.shape else None
        axes = axes_of(self.layer)[1:-1]
        return Survey(
            layer=self.layer.name,
            channels=self.channels,
            values=self.values,
            samples=self.samples,
            places=np.zeros((*self.flat.shape, 0), np.int64) if places is None else places.astype(np.int64),
            axes=axes,
            space=tuple(int(n) for n in self.shape),
            statistics={n: a for n, a in self.moments.statistics().items() if n != "saturated"},
            **self.bins.result(),
            seen=seen,
            unread=dict(unread),
            origin=origin,
        )


class _Histogram:
    """Counts of values that are not zero, in bins whose widths are powers of two, so that chunks can be added.

    The bins are the narrowest of which 64 hold all values so far; two of them make one of the next width, so that the
    counts do not depend on the order of the chunks.
    """

    def __init__(self, count: int) -> None:
        self.low, self.high = np.full(count, np.inf), np.full(count, -np.inf)
        self.power = np.zeros(count, np.int64)
        self.first = np.zeros(count, np.int64)
        self.counts = np.zeros((count, BINS), np.int64)

    def add(self, rows: Array) -> None:
        """Take in values (place, channel)."""
        there = (rows != 0) & np.isfinite(rows)
        self.low = np.minimum(self.low, np.min(rows, axis=0, initial=np.inf, where=there))
        self.high = np.maximum(self.high, np.max(rows, axis=0, initial=-np.inf, where=there))
        self._widen()
        bins = np.floor(np.ldexp(np.where(there, rows, 0), -self.power)).astype(np.int64)
        bins += np.arange(len(self.power)) * BINS - self.first
        self.counts += np.bincount(bins[there], minlength=self.counts.size).reshape(self.counts.shape)

    def _widen(self) -> None:
        known = np.isfinite(self.low)
        low, high = np.where(known, self.low, 0.0), np.where(known, self.high, 0.0)
        largest = np.maximum(np.abs(low), np.abs(high))
        power = np.where(known, np.frexp(largest)[1] - SHARPEST, 0)
        while (over := _bin(high, power) - _bin(low, power) >= BINS).any():
            power = power + over
        first = _bin(low, power)
        counts = np.zeros_like(self.counts)
        channel, bins = np.nonzero(self.counts)
        moved = (self.first[channel] + bins) >> (power - self.power)[channel].clip(0, 62)
        np.add.at(counts, (channel, moved - first[channel]), self.counts[channel, bins])
        self.power, self.first, self.counts = power, first, counts

    def result(self) -> dict[str, Array]:
        """Give the counts, the first bins and the widths."""
        return {"counts": self.counts, "first": self.first, "width": np.ldexp(1.0, self.power)}


def _bin(values: Array, power: Array) -> Array:
    return np.floor(np.ldexp(values, -power)).astype(np.int64)
