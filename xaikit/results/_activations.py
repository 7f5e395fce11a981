"""What layers give for samples, with what can be counted, ordered and laid over the input of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, chunks, upsample
from xaikit.errors import NotSupported, ParameterError, UnknownName, many
from xaikit.results._functions import FUNCTIONS
from xaikit.results._numbers import Moments
from xaikit.results._origin import Origin, Shown

TWINS = 0.95
"""The size of the correlation over which two channels are called duplicates."""
FEWEST, MOST_CHANNELS = 10, 4096
"""Places that a correlation needs to mean anything, and channels up to which each is compared with each."""
ACTIVITY: Mapping[str, Any] = {
    "max": lambda rows: rows.max(0),
    "mean": lambda rows: rows.mean(0, dtype=np.float64),
    "mean-abs": lambda rows: np.abs(rows).mean(0, dtype=np.float64),
    "sparsity": lambda rows: np.where(rows.any(0), (rows == 0).mean(0), -1.0),
}
"""What is called active: a function of values (place, channel) to (channel,). The sparsest that are not silent."""
ORDERS = (*ACTIVITY, "class-difference", "difference")
"""By what channels are ordered: their activity, or how it differs between classes or between two samples."""


@dataclass(frozen=True, eq=False)
class Activations(Shown):
    """What layers give for samples: by layer `values` (sample, *space, channel), raw, whatever the network's layout.

    `axes` names the axes of each; the last is the channel, or the unit of a layer without places. `x` is the encoded
    input (sample, ...), `display` what a person sees. `order` says by what channels are ordered (ORDERS), `classes`
    (sample,) the numbers of the classes that "class-difference" compares. `functions` names the activation function of
    layers that are or end in one. `centres` has, for each axis of the input's places, where the fields of the units
    have their centres, in input places from 0 (unit,); layers are left out whose fields are not known or have none.
    """

    values: Mapping[str, Array]
    axes: Mapping[str, tuple[str, ...]]
    x: Tensors
    display: Any
    input_spec: Any
    origin: Origin
    order: str = "max"
    classes: Array | None = None
    functions: Mapping[str, str] = field(default_factory=dict)
    centres: Mapping[str, tuple[Array, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.origin.input_hash)

    def __getitem__(self, layer: str) -> Array:
        """Give one layer's values (sample, *space, channel). Raises UnknownName."""
        if layer not in self.values:
            raise UnknownName("recorded layer", layer, self.values)
        return self.values[layer]

    def __iter__(self) -> Iterator[str]:
        """Give the names of the layers in call order."""
        return iter(self.values)

    def statistics(self, layer: str) -> dict[str, Array]:
        """Give numbers of every channel over all samples and places, by name: (channel,).

        Over the finite values "mean", "std", "min", "max", "skew", "sparsity" (share that is zero), "positive" (share
        above zero), "saturated" (share on the flat ends of the layer's function: less than a twentieth as steep as it
        can be), and "dead": never above zero. "lost" is the share that is not finite. "nearest" is the channel that
        correlates most with it in size, "correlation" that correlation, and "duplicate" whether its size is over 0.95;
        -1 and NaN where there are under ten places or over 4,096 channels.
        """
        values = self[layer]
        rows = values.reshape(-1, values.shape[-1])
        flat = FUNCTIONS[self.functions[layer]].flat if layer in self.functions else (-np.inf, np.inf)
        nearest, correlation = _twins(rows)
        return Moments.of(rows, flat).statistics() | {
            "nearest": nearest,
            "correlation": correlation,
            "duplicate": np.abs(np.nan_to_num(correlation)) > TWINS,
        }

    def ranking(self, layer: str, sample: int | None = None, by: str | None = None) -> Array:
        """Give the channels' numbers in falling order of activity: (channel,); over all samples, or in one.

        `by` (None = the result's own order) is "max", "mean", "mean-abs", "sparsity" (the largest share of zeros first,
        channels of nothing but zeros last), "class-difference" (between the classes' mean activations, in standard
        deviations over samples), or "difference" (between the first two samples, on average over places). What is not
        finite comes last. Raises UnknownName.
        """
        by = by or self.order
        if by not in ORDERS:
            raise UnknownName("measure of activity", by, ORDERS)
        if by == "difference":
            return _falling(np.abs(self.difference(layer)).reshape(-1, self[layer].shape[-1]).mean(0))
        if by == "class-difference":
            return _falling(self._between_classes(layer))
        values = self[layer] if sample is None else self[layer][sample][None]
        return _falling(ACTIVITY[by](values.reshape(-1, values.shape[-1])))

    def difference(self, layer: str, a: int = 0, b: int = 1) -> Array:
        """Give what a layer gives for sample `a` minus what it gives for `b`: (*space, channel).

        Raises ParameterError where there is no such sample.
        """
        values = self[layer]
        for n in (a, b):
            if not -len(values) <= n < len(values):
                raise ParameterError(f"there are {len(values)} samples: a difference of {a} and {b} cannot be taken")
        with np.errstate(invalid="ignore"):
            return np.asarray(values[a] - values[b])

    def _between_classes(self, layer: str) -> Array:
        """Give the largest difference between two classes' mean activations, in standard deviations: (channel,)."""
        if self.classes is None or len(set(self.classes.tolist())) < 2:
            raise ParameterError("a class difference needs samples of two classes: classes=[...], one for each sample")
        values = self[layer].astype(np.float64)
        means = values.reshape(len(values), -1, values.shape[-1]).mean(1)
        by_class = np.stack([means[self.classes == c].mean(0) for c in sorted(set(self.classes.tolist()))])
        spread = means.std(0)
        return np.divide(np.ptp(by_class, axis=0), spread, out=np.zeros_like(spread), where=spread > 0)

    def on_input(self, layer: str, channel: int, sample: int = 0) -> Array:
        """Give one channel's map at every place of the input: (*space,).

        Between the centres of the units' fields it is interpolated linearly, beyond the outermost ones it stays. Where
        the centres are not known it is the plain resize that takes the layer's cells to cover the input. Raises
        NotSupported where layer or input have no places, ParameterError for a channel that the layer has not.
        """
        values, spec = self[layer], self.input_spec
        shape = tuple(spec.shape[:-1]) if getattr(spec, "kind", "") in ("Image", "Series") else ()
        if not shape or values.ndim - 2 != len(shape):
            raise NotSupported(f"{layer!r} cannot be laid over the input: one of them has no places, or others")
        if not 0 <= channel < values.shape[-1]:
            raise ParameterError(f"layer {layer!r} has the channels 0 to {values.shape[-1] - 1}, not {channel!r}")
        found = values[sample, ..., channel].astype(np.float64)
        if layer not in self.centres:
            return np.asarray(upsample(found[None], shape)[0])
        for axis, (centres, size) in enumerate(zip(self.centres[layer], shape, strict=True)):
            found = np.apply_along_axis(partial(_between, np.arange(size), centres), axis, found)
        return found

    def misplaced(self, layer: str) -> float | None:
        """Give by how many places of the input a plain resize would misplace a unit at most; None if not known."""
        if layer not in self.centres:
            return None
        shape = self.input_spec.shape[:-1]
        plain = [(np.arange(len(c)) + 0.5) * n / len(c) - 0.5 for c, n in zip(self.centres[layer], shape, strict=True)]
        return float(max(np.abs(c - p).max() for c, p in zip(self.centres[layer], plain, strict=True)))

    def limits(self, layer: str, percentile: float = 99.0, roi: tuple[slice, ...] | None = None) -> tuple[float, float]:
        """Give the (100 - percentile)th and the percentile of a layer's values: the ends of a display.

        `roi` has one slice for each axis of space; only values in it count. Raises ParameterError.
        """
        values = self[layer]
        if not 50 < percentile <= 100:
            raise ParameterError(f"percentile is over 50 and at most 100, not {percentile!r}")
        if roi is not None and len(roi) != values.ndim - 2:
            raise ParameterError(f"layer {layer!r} has {values.ndim - 2} axes of space; roi has {len(roi)} slices")
        inside = values if roi is None else values[(slice(None), *roi)]
        if not inside.size:
            raise ParameterError(f"roi holds no place of layer {layer!r}, whose places are {values.shape[1:-1]}")
        low, high = np.percentile(inside, [100 - percentile, percentile])
        return float(low), float(high)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{n} {a.shape[1:]}" for n, a in list(self.values.items())[:4])
        more = ", ..." * (len(self.values) > 4)
        return f"<Activations of {many(len(self), 'sample')} in {self.origin.model}: {shapes}{more}>"


def _between(at: Array, centres: Array, line: Array) -> Array:
    return np.interp(at, centres, line)


def _falling(numbers: Array) -> Array:
    return np.argsort(-np.nan_to_num(numbers, nan=-np.inf), kind="stable")


def _twins(rows: Array) -> tuple[Array, Array]:
    """Give for every channel the one that correlates with it most in size, and that correlation."""
    count, width = rows.shape
    none = np.full(width, -1), np.full(width, np.nan)
    if count < FEWEST or not 1 < width <= MOST_CHANNELS:
        return none
    whole = np.isfinite(rows).all(1)
    if whole.sum() < FEWEST:
        return none
    kept = rows if whole.all() else rows[whole]
    mean = kept.mean(0, dtype=np.float64)
    products = np.zeros((width, width))
    for s in chunks(len(kept), 4096):
        off = kept[s] - mean
        products += off.T @ off
    spread = np.sqrt(np.diag(products))
    # what varies by rounding alone correlates with nothing
    varies = spread > 1e-6 * np.sqrt(len(kept)) * np.maximum(np.abs(kept).max(0), np.finfo(np.float32).tiny)
    scale = np.divide(1, spread, out=np.zeros(width), where=varies)
    products *= scale[:, None] * scale
    np.fill_diagonal(products, 0)
    nearest = np.abs(products).argmax(1)
    correlation = np.where(varies, products[np.arange(width), nearest], np.nan)
    return np.where(np.isnan(correlation), -1, nearest), correlation
