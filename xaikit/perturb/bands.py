"""Frequency bands and channels of a series as parts: a band is taken out in the Fourier domain, the rest stays."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from xaikit.arrays import Array, chunks
from xaikit.errors import ParameterError

BANDS: Mapping[str, tuple[float, float]] = {
    "delta": (0.5, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "beta": (13.0, 30.0),
    "gamma": (30.0, np.inf),
}
"""The bands of an electroencephalogram in Hz, from and below: what is slower than half a hertz is always there."""
KINDS = ("bands", "channels", "bands-by-channel")
SILENT = 1e-7
"""An amplitude below this share of the largest is the rounding of a transform, and no content of a band."""
BLOCK_BYTES = 2**23
"""How much of the rows' spectra is made at a time."""


@dataclass(frozen=True, eq=False)
class Layout:
    """How the parts of a series lie: the `axes` that their values have, of `shape`.

    Where they are bands, `time` is the axis of time of the input, and its steps from `start` to `stop` are transformed,
    those that are no padding; labels are then those of its frequencies, (frequency,) or (frequency, *other axes).
    """

    axes: tuple[str, ...]
    shape: tuple[int, ...]
    time: int | None = None
    start: int = 0
    stop: int = 0

    @property
    def spectral(self) -> bool:
        """Whether the parts are bands of frequencies."""
        return self.time is not None

    def spectrum(self, values: Array) -> Array:
        """Transform values (row, *shape): (row, frequency, *other axes)."""
        rows = np.moveaxis(values, (self.time or 0) + 1, 1)
        return np.asarray(np.fft.rfft(rows[:, self.start : self.stop], axis=1))

    def labels_of(self, labels: Array, spectrum: Array) -> Array:
        """Give the labels of every entry of spectra: (frequency, *other axes)."""
        return np.broadcast_to(
            labels.reshape(*labels.shape, *(1,) * (spectrum.ndim - 1 - labels.ndim)), spectrum.shape[1:]
        )


def laid_out(spec: Any, x: Array, kind: str, parameters: Mapping[str, Any]) -> tuple[list[Array], list[Layout], Any]:
    """Give labels and layout of every sample for one of KINDS, and the bands in Hz (None for channels).

    `parameters` of bands are "rate" in samples per second (by default that of the input spec) and "bands", a mapping of
    names to (from, below) in Hz. Raises ParameterError where there is no axis of time, no rate, or no frequency.
    """
    time = time_axis(spec, kind)
    others = [i for i in range(x.ndim - 1) if i != time]
    sizes = tuple(x.shape[i + 1] for i in others)
    kept = [i for i in others if x.shape[i + 1] > 1] or others[-1:]  # an axis of one is no choice
    names, counts = tuple(spec.axes[i] for i in kept), tuple(x.shape[i + 1] for i in kept)
    if kind == "channels":
        _only(parameters, ())
        labels = np.arange(int(np.prod(sizes)), dtype=np.int32).reshape(sizes)
        return (
            [np.broadcast_to(np.expand_dims(labels, time), x.shape[1:]).copy()] * len(x),
            [Layout(names, counts)] * len(x),
            None,
        )
    _only(parameters, ("rate", "bands"))
    rate = _rate(parameters.get("rate", getattr(spec, "rate", None)))
    bands = _in_reach(_checked(parameters.get("bands", BANDS)), rate, x.shape[time + 1])
    whole = kind == "bands"
    layout = Layout(("band",), (len(bands),)) if whole else Layout(("band", *names), (len(bands), *counts))
    cells = np.zeros((), np.int32) if whole else np.arange(int(np.prod(sizes)), dtype=np.int32).reshape(sizes)
    present = spec.present(x)
    both = [
        _of_sample(x.shape[time + 1], None if present is None else present[i], (time, rate), bands, cells, layout)
        for i in range(len(x))
    ]
    said = {n: [low, min(high, rate / 2)] for n, (low, high) in bands.items()}
    return [a for a, _ in both], [b for _, b in both], said


def time_axis(spec: Any, what: str) -> int:
    """Say which axis of one sample is time. Raises ParameterError where none is."""
    if "time" not in tuple(spec.axes or ()):
        raise ParameterError(
            f"segments {what!r} are for inputs with an axis of time: xk.Series(...) or "
            f"xk.Array(shape, axes=('time', 'channel')), not {spec.kind}"
        )
    return int(spec.axes.index("time"))


def _of_sample(
    count: int,
    present: Array | None,
    clock: tuple[int, float],
    bands: Mapping[str, tuple[float, float]],
    cells: Array,
    layout: Layout,
) -> tuple[Array, Layout]:
    """Give the labels of the frequencies of one sample, and which of its `count` steps are transformed.

    `clock` is the axis of time and the rate; `cells` (*other axes) number what is told apart within a band.
    """
    steps = np.arange(count) if present is None else np.flatnonzero(present)
    start, stop = (int(steps[0]), int(steps[-1]) + 1) if len(steps) else (0, 1)
    frequency = np.fft.rfftfreq(stop - start, 1 / clock[1])
    band = np.full(len(frequency), -1, np.int32)
    for k, (low, high) in enumerate(bands.values()):
        band[(low <= frequency) & (frequency < high)] = k
    wide = band.reshape(-1, *(1,) * cells.ndim)
    labels = np.where(wide < 0, -1, wide * cells.size + cells).astype(np.int32)
    return labels, Layout(layout.axes, layout.shape, clock[0], start, stop)


def _only(parameters: Mapping[str, Any], known: tuple[str, ...]) -> None:
    wrong = set(parameters) - set(known)
    if wrong:
        takes = " and ".join(known) or "no parameters"
        raise ParameterError(f"these segments take {takes}, not {', '.join(sorted(wrong))}")


def _rate(rate: Any) -> float:
    if rate is None:
        raise ParameterError(
            "bands need the sampling rate: wrap the model with xk.Series(..., rate=250) or xk.Array(..., rate=250), "
            "or give segments=('bands', {'rate': 250})"
        )
    if isinstance(rate, bool | str) or not np.isfinite(rate) or rate <= 0:
        raise ParameterError(f"the rate is in samples per second, a positive number, not {rate!r}")
    return float(rate)


def _checked(bands: Any) -> dict[str, tuple[float, float]]:
    try:
        found = {str(name): (float(low), float(high)) for name, (low, high) in bands.items()}
    except (AttributeError, TypeError, ValueError):
        raise ParameterError(f"bands is a mapping of names to (from, below) in Hz, not {bands!r}") from None
    ends = sorted(found.values())
    if not ends or any(not 0 <= low < high for low, high in ends):
        raise ParameterError(f"each band is (from, below) in Hz with 0 <= from < below, not {bands!r}")
    if any(b[0] < a[1] for a, b in pairwise(ends)):
        raise ParameterError(f"the bands overlap: a frequency belongs to one band, not {bands!r}")
    return found


def _in_reach(bands: Mapping[str, tuple[float, float]], rate: float, steps: int) -> dict[str, tuple[float, float]]:
    """Keep the bands that hold a frequency of a series of so many steps."""
    frequency = np.fft.rfftfreq(steps, 1 / rate)
    found = {n: (low, high) for n, (low, high) in bands.items() if ((low <= frequency) & (frequency < high)).any()}
    if not found:
        apart = f"{rate / steps:g} Hz apart up to {rate / 2:g} Hz"
        raise ParameterError(
            f"{steps} steps at {rate:g} per second hold frequencies {apart}: none is in {', '.join(bands)}"
        )
    return found


class Bands:
    """Masked rows without the hidden bands: the baseline's own are put in their place, frequencies and phases of the
    others stay. Where nothing is hidden the row is the input, number by number."""

    def __init__(self, x: Array, labels: Array, hidden: Array, layout: Layout, count: int, first: int) -> None:
        self.x, self.layout = x, layout
        self.difference = layout.spectrum(x[None].astype(np.float64) - hidden)
        own = layout.labels_of(labels, self.difference)
        self.places = np.where(own < 0, count, own + first)

    def varying(self) -> Array:
        """Give the parts with a content that hiding takes away, counted over all inputs."""
        size = np.abs(self.difference).max(0)
        return np.unique(self.places[size > SILENT * size.max(initial=0)])

    def __call__(self, shown: Array, which: Array | slice, out: Array) -> None:
        shown = shown if len(shown) == len(out) else np.repeat(shown, len(out) // len(shown), axis=0)
        own = np.arange(len(self.difference))[which]
        own = np.tile(own, len(out) // len(own))
        layout, steps = self.layout, self.layout.stop - self.layout.start
        rows = np.moveaxis(out, (layout.time or 0) + 1, 1)
        for s in chunks(len(out), max(1, BLOCK_BYTES // max(1, self.difference[0].nbytes))):
            taken = np.where(shown[s][:, self.places], 0, self.difference[own[s]])
            out[s] = self.x
            rows[s, layout.start : layout.stop] -= np.fft.irfft(taken, steps, axis=1).astype(out.dtype)
