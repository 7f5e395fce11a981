"""Maskers: from rows of shown and hidden parts to inputs of the model, many at once, into a given buffer."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from xaikit.arrays import Array, chunks, leaves, upsample
from xaikit.errors import ParameterError
from xaikit.masked import Hiding, Piece
from xaikit.perturb.bands import Bands
from xaikit.perturb.baseline import baselines, by_input
from xaikit.perturb.question import Question
from xaikit.perturb.segments import Parts

Fill = Callable[[Array, Array | slice, Mapping[str, Array]], None]

BLOCK_BYTES = 2**19
"""How much is masked at a time, so that the passes over it stay in the processor's cache."""


BRIDGES = ("linear", "reverse")
"""Ways to make hidden steps of a Series of the others."""


@dataclass(frozen=True, eq=False)
class Masker:
    """One sample with its parts and with what stands in their place when they are hidden.

    By input name ("" for an only input): `x` (*shape), encoded, and `hidden` (baseline, *shape), the same number of
    baselines for all inputs. Inputs in `inpainted` are filled from what is shown instead; there `hidden` stands in only
    where nothing is shown. From those in `dropped` hidden tokens are taken out, and the others close up; `hidden` then
    fills the side that is named, "left" or "right". Hidden steps of those in `bridged` are made of the others: "linear"
    is the line between the borders of a hidden stretch, "reverse" the stretch turned round in time.
    """

    x: Mapping[str, Array]
    parts: Parts
    hidden: Mapping[str, Array]
    inpainted: frozenset[str] = frozenset()
    dropped: Mapping[str, str] = field(default_factory=dict)
    bridged: Mapping[str, str] = field(default_factory=dict)

    @property
    def baselines(self) -> int:
        """The number of baselines: one coalition is that many rows, and its value their mean."""
        return len(next(iter(self.hidden.values())))

    @cached_property
    def places(self) -> dict[str, Array]:
        """The part of every number of each input, flat, numbered over all inputs; no part is the last label."""
        slices, count = self.parts.slices, self.parts.count
        return {
            name: _spread(self.parts.labels[name], x.shape, slices[name].start, count)
            for name, x in self.x.items()
            if name not in self.bands
        }

    @cached_property
    def bands(self) -> dict[str, Bands]:
        """By input what takes bands of frequencies out, where these are the parts."""
        slices, count, labels = self.parts.slices, self.parts.count, self.parts.labels
        return {
            name: Bands(self.x[name], labels[name], self.hidden[name], layout, count, slices[name].start)
            for name, layout in self.parts.layouts.items()
            if layout.spectral
        }

    @cached_property
    def varying(self) -> Array:
        """Whether hiding a part changes the input at all: (part,) bool."""
        found = np.zeros(self.parts.count + 1, bool)
        for name, x in self.x.items():
            if name in self.bands:
                found[self.bands[name].varying()] = True
                continue
            made = name in self.inpainted or name in self.bridged
            changes = np.ones(x.size, bool) if made else (self.hidden[name] != x).any(0).ravel()
            found[self.places[name][changes]] = True
        return found[:-1]

    @cached_property
    def identity(self) -> bytes:
        """A digest of everything that decides the masked inputs."""
        digest = hashlib.blake2b(digest_size=16)
        for name, x in self.x.items():
            for a in (x, self.parts.labels[name], self.hidden[name]):
                way = "inpainted" if name in self.inpainted else self.dropped.get(name, "swapped")
                way = repr(self.parts.layouts[name]) if name in self.bands else self.bridged.get(name, way)
                digest.update(f"{name}\0{a.shape}\0{a.dtype.str}\0{way}\0".encode())
                digest.update(np.ascontiguousarray(a).data)
        return digest.digest()

    def filler(self) -> Fill:
        """Give the function (masks, which, out): fills `out` with one masked input per row.

        `masks` (row, part) is True where a part is shown, `which` (row,) the baseline of each row, `out` holds for each
        input name a C-contiguous (row, *shape). Where `which` is a slice, each row of `masks` is filled with all these
        baselines, row after row of `out`. The numbers are those of `x` and `hidden`, bit by bit.
        """
        fills = {name: self._filler(name) for name in self.x}

        def fill(masks: Array, which: Array | slice, out: Mapping[str, Array]) -> None:
            shown = _with_rest(masks)
            for name, one in fills.items():
                one(shown, which, out[name])

        return fill

    @property
    def swaps(self) -> bool:
        """Whether there is one input, in which what is hidden is exchanged: so that a device can make the rows."""
        return list(self.x) == [""] and not (self.inpainted or self.dropped or self.bridged or self.bands)

    @cached_property
    def hiding(self) -> Hiding:
        """What masked rows of the only input are made of."""
        return Hiding(self.x[""], self.hidden[""], self.places[""])

    def rows(self, masks: Array, which: slice) -> Piece:
        """Give what `filler` makes, yet to be made: each row of `masks` (coalition, part) with all these baselines."""
        count = which.stop - which.start
        shown = np.repeat(_with_rest(masks), count, axis=0)
        return Piece(self.hiding, shown, np.tile(np.arange(which.start, which.stop), len(masks)))

    def _filler(self, name: str) -> Callable[[Array, Array | slice, Array], None]:
        if name in self.bands:
            return self.bands[name]
        if name in self.bridged:
            return _Bridge(self.x[name], self.places[name], self.hidden[name], self.bridged[name])
        if name in self.inpainted:
            return _Inpaint(self.x[name], self.places[name], self.hidden[name])
        if name in self.dropped:
            return _Drop(self.x[name], self.places[name], self.hidden[name], self.dropped[name])
        return _Swap(self.x[name], self.places[name], self.hidden[name])


def _with_rest(masks: Array) -> Array:
    """Add to coalitions (row, part) what is no part, which is always shown."""
    return np.concatenate([masks, np.ones((len(masks), 1), bool)], axis=1)


def maskers(task: Question, parts: Sequence[Parts], baseline: Any = None) -> list[Masker]:
    """Give the masker of every sample.

    `baseline` is what `xaikit.perturb.baseline.baselines` takes, or "segment-mean" (each part's own mean, for an Image
    in display units and in the display's number type, as in the lime package) or "inpaint" (filled from the parts that
    are shown, by pull-push interpolation) or, for a Series, "linear" (the line between the borders of a hidden stretch,
    at an end of the series the value of the one border) and "reverse" (the stretch turned round in time) or "drop" (for
    Text: hidden tokens are taken out, and the others close up, as in the lime package); for several inputs also a
    mapping by input name. Several baselines (a background set) mean that a coalition's value is the mean over them.
    Raises ParameterError.
    """
    inputs, several = dict(leaves(task.x)), isinstance(task.x, Mapping)
    asked = by_input(baseline, inputs) if several else dict.fromkeys(inputs, baseline)
    hidden: dict[str, Sequence[Array]] = {}
    for name, x in inputs.items():
        spec, display = (task.spec[name], task.display[name]) if several else (task.spec, task.display)
        labels = [p.labels[name] for p in parts]
        hidden[name] = (
            _segment_means(spec, x, display, labels)
            if _is(asked[name], "segment-mean")
            else _plain(asked[name], spec, x, task.seed)
        )
    inpainted = frozenset(name for name, value in asked.items() if _is(value, "inpaint"))
    specs = task.spec if several else {"": task.spec}
    dropped = {name: specs[name].pad_side for name, value in asked.items() if _is(value, "drop")}
    bridged = {name: value for name, value in asked.items() if isinstance(value, str) and value in BRIDGES}
    _require_places(parts[0], {**dict.fromkeys(inpainted, "inpaint"), **bridged})
    return [
        Masker(
            {n: x[i] for n, x in inputs.items()},
            p,
            _aligned({n: h[i] for n, h in hidden.items()}),
            inpainted,
            dropped,
            bridged,
        )
        for i, p in enumerate(parts)
    ]


def _require_places(parts: Parts, made: Mapping[str, str]) -> None:
    """Raise ParameterError where bands, which have no place in time, are to be filled from what is around them."""
    for name, baseline in made.items():
        if name in parts.layouts and parts.layouts[name].spectral:
            raise ParameterError(f"baseline {baseline!r} fills steps from those around, and a band is at all of them")


def _is(value: Any, name: str) -> bool:
    return isinstance(value, str) and value == name


def _plain(value: Any, spec: Any, x: Array, seed: int) -> Sequence[Array]:
    if _is(value, "inpaint"):
        if spec.kind not in ("Image", "Series"):
            raise ParameterError(f"baseline 'inpaint' is for an Image or a Series, not {spec.kind}")
        value = "mean"
    if isinstance(value, str) and value in BRIDGES:
        if spec.kind != "Series":
            raise ParameterError(f"baseline {value!r} is for a Series, whose steps have an order, not {spec.kind}")
        value = "mean"
    if _is(value, "drop"):
        if spec.kind != "Text":
            raise ParameterError(f"baseline 'drop' is for Text, whose tokens can close up, not {spec.kind}")
        value = spec.pad
    found = np.asarray(baselines(value, spec, x, seed))
    if not found.shape[1]:
        raise ParameterError("the baseline is an empty set of rows")
    return list(found)


def _aligned(hidden: dict[str, Array]) -> dict[str, Array]:
    """Give all inputs the same number of baselines, row by row."""
    count = max(len(h) for h in hidden.values())
    if any(len(h) not in (1, count) for h in hidden.values()):
        said = ", ".join(f"{name}: {len(h)}" for name, h in hidden.items())
        raise ParameterError(f"the inputs have different numbers of baselines ({said}); their rows belong together")
    return {name: np.broadcast_to(h, (count, *h.shape[1:])) for name, h in hidden.items()}


def _segment_means(spec: Any, x: Array, display: Any, labels: Sequence[Array]) -> Sequence[Array]:
    """Fill each part with its own mean, channel by channel: for each sample (1, *shape), encoded."""
    if spec.kind in ("Text", "Table") or x.dtype.kind in "iu":
        raise ParameterError(f"baseline 'segment-mean' makes no sense for {spec.kind} of {x.dtype}")
    if spec.kind == "Image":
        means = [_part_means(np.asarray(d), a) for d, a in zip(display, labels, strict=True)]
        return [spec.to_network(m)[None].astype(x.dtype) for m in means]
    return [_part_means(values, a)[None] for values, a in zip(x, labels, strict=True)]


def _part_means(values: Array, labels: Array) -> Array:
    """Replace every number by the mean over its part and channel, in the array's own type."""
    flat = labels.ravel() + 1
    columns = values.reshape(labels.size, -1)
    sizes = np.maximum(np.bincount(flat), 1)
    means = np.stack([np.bincount(flat, weights=c) / sizes for c in columns.T], axis=1)
    return means[flat].astype(values.dtype).reshape(values.shape)


def _spread(labels: Array, shape: tuple[int, ...], offset: int, count: int) -> Array:
    own = labels.reshape(*labels.shape, *(1,) * (len(shape) - labels.ndim))
    return np.where(np.broadcast_to(own, shape) < 0, count, own + offset).ravel()


class _Swap:
    """Masked rows by exchange of bits: hidden ^ (m & (x ^ hidden)), with m all ones where a part is shown.

    Runs of `width` numbers are looked up at once: a run inside one part is that part's row of a small table, any other
    run its own row. Exact for every type, and several times faster than a choice number by number.
    """

    def __init__(self, x: Array, places: Array, hidden: Array) -> None:
        self.bits = np.dtype(f"u{x.dtype.itemsize}")
        self.hidden = np.ascontiguousarray(hidden, x.dtype).reshape(len(hidden), -1).view(self.bits)
        self.change = self.hidden ^ np.ascontiguousarray(x).reshape(1, -1).view(self.bits)
        self.table, self.run = _runs(places)
        self.rows = max(1, BLOCK_BYTES // max(1, x.nbytes))

    def __call__(self, shown: Array, which: Array | slice, out: Array) -> None:
        flat = out.reshape(len(out), -1).view(self.bits)
        if isinstance(which, slice) and len(shown) < len(out):
            return self._with_all(shown, which, flat)
        for s in chunks(len(shown), self.rows):
            block = flat[s]
            self._masks(shown[s], block)
            block &= self._of(self.change, which, s)
            block ^= self._of(self.hidden, which, s)

    def _with_all(self, shown: Array, which: slice, flat: Array) -> None:
        """Fill every coalition with each of some baselines."""
        change, hidden = self.change[which], self.hidden[which]
        out = flat.reshape(len(shown), -1)  # all baselines of a coalition in one row: few long rows are quicker
        for s in chunks(len(shown), max(1, self.rows // len(hidden))):
            masks = np.empty((s.stop - s.start, flat.shape[1]), self.bits)
            self._masks(shown[s], masks)
            wide = np.repeat(masks, len(hidden), axis=0).reshape(len(masks), -1)
            wide &= change.ravel()
            np.bitwise_xor(wide, hidden.ravel(), out=out[s])

    def _masks(self, shown: Array, out: Array) -> None:
        """Spread coalitions (row, part) over the numbers of an input: all ones where a part is shown."""
        masks = shown * self.bits.type(np.iinfo(self.bits).max)
        if self.table is None:
            np.take(masks, self.run, axis=1, out=out, mode="clip")
        else:
            runs = out.reshape(len(out), len(self.run), -1)
            np.take(np.take(masks, self.table, axis=1, mode="clip"), self.run, axis=1, out=runs, mode="clip")

    def _of(self, rows: Array, which: Array | slice, s: slice) -> Array:
        """Rows of the baselines; one row where it serves all."""
        if len(rows) == 1:
            return rows
        if isinstance(which, slice):
            return rows[which]
        own = which[s]
        return rows[own[0]] if len(own) == 1 else np.take(rows, own, axis=0, mode="clip")


def _runs(places: Array) -> tuple[Array | None, Array]:
    """Cut labels into runs of equal width: the distinct runs (run, width), and which one stands where.

    Where hardly any run lies inside one part there is no table, and the labels themselves are looked up.
    """
    width = next(w for w in (8, 4, 2, 1) if places.size % w == 0)
    cut = np.ascontiguousarray(places.reshape(-1, width), np.int32)
    mixed = (cut != cut[:, :1]).any(1)
    if width == 1 or mixed.mean() > 0.5:
        return None, places.astype(np.intp)
    pure = np.repeat(np.arange(places.max() + 1)[:, None], width, axis=1)
    keys = cut[mixed].view(np.dtype((np.void, 4 * width))).ravel()
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    run = cut[:, 0].astype(np.intp)
    run[mixed] = len(pure) + place
    return np.concatenate([pure, cut[mixed][first]]).astype(np.intp), run


class _Drop:
    """Masked rows without their hidden tokens: the others close up, and the first baseline fills the side of pads."""

    def __init__(self, x: Array, places: Array, hidden: Array, side: str) -> None:
        self.x, self.places, self.pads, self.left = x, places, hidden[0], side == "left"

    def __call__(self, shown: Array, which: Array | slice, out: Array) -> None:
        kept = _for_every_row(shown, out)[:, self.places]
        count = np.count_nonzero(kept, axis=1)[:, None]
        place = np.arange(len(self.x))
        out[:] = self.pads
        out[place >= len(self.x) - count if self.left else place < count] = np.broadcast_to(self.x, kept.shape)[kept]


class _Inpaint:
    """Masked rows whose hidden places are interpolated from the shown ones, in space or in time.

    Pull-push: halve the picture until no hole is left, and fill the holes of each size from the next smaller one.
    Source: Gortler et al., "The Lumigraph" (1996), section 3.4.
    """

    def __init__(self, x: Array, places: Array, hidden: Array) -> None:
        shape = x.shape if x.ndim == 3 else (len(x), 1, x.shape[-1])  # a series is a picture one pixel wide
        self.x, places = x.reshape(shape), places.reshape(shape)
        self.places = places[..., :1] if (places == places[..., :1]).all() else places
        self.rest = hidden[0].reshape(-1, shape[-1]).mean(0)

    def __call__(self, shown: Array, which: Array | slice, out: Array) -> None:
        shown = _for_every_row(shown, out)
        for s in chunks(len(shown), max(1, BLOCK_BYTES // self.x.nbytes)):
            seen, block = shown[s][:, self.places], out[s].reshape(-1, *self.x.shape)
            np.copyto(block, _filled(np.where(seen, self.x, 0), seen.astype(np.float32), self.rest))
            np.copyto(block, self.x, where=seen)


class _Bridge:
    """Masked rows whose hidden steps are made of the others, channel by channel: see BRIDGES."""

    def __init__(self, x: Array, places: Array, hidden: Array, way: str) -> None:
        self.x, self.places, self.rest, self.way = x, places.reshape(x.shape), hidden[0], way

    def __call__(self, shown: Array, which: Array | slice, out: Array) -> None:
        shown = _for_every_row(shown, out)
        for s in chunks(len(shown), max(1, BLOCK_BYTES // self.x.nbytes)):
            out[s] = self._made(shown[s][:, self.places])

    def _made(self, seen: Array) -> Array:
        """Make rows (row, step, channel) of which steps are seen."""
        count = len(self.x)
        step = np.broadcast_to(np.arange(count)[:, None], self.x.shape)
        before = np.maximum.accumulate(np.where(seen, step, -1), axis=1)
        after = np.minimum.accumulate(np.where(seen, step, count)[:, ::-1], axis=1)[:, ::-1]
        if self.way == "reverse":
            return np.where(seen, self.x, self._at(np.clip(before + after - step, 0, count - 1)))
        left, right = self._at(np.maximum(before, 0)), self._at(np.minimum(after, count - 1))
        left, right = np.where(before < 0, right, left), np.where(after == count, left, right)
        share = np.where((before < 0) | (after == count), 0.0, (step - before) / np.maximum(after - before, 1))
        line = np.where((before < 0) & (after == count), self.rest, left + share * (right - left))
        return np.where(seen, self.x, line)

    def _at(self, step: Array) -> Array:
        """Give the values at steps (row, step, channel) of each channel."""
        return np.asarray(np.take_along_axis(np.broadcast_to(self.x, step.shape), step, axis=1))


def _for_every_row(shown: Array, out: Array) -> Array:
    """Repeat coalitions that stand for several rows each."""
    return shown if len(shown) == len(out) else np.repeat(shown, len(out) // len(shown), axis=0)


def _filled(values: Array, weight: Array, rest: Array) -> Array:
    """Give values (row, height, width, channel) where weight, of one or all channels, is 1, and fill the others."""
    height, width = values.shape[1:3]
    if height == width == 1:
        return np.where(weight > 0, values, rest)
    sums, amount = _halved(values * weight), _halved(weight)
    coarse = _filled(sums / np.maximum(amount, 1e-9), np.minimum(amount, 1), rest)
    return np.asarray(weight * values + (1 - weight) * upsample(coarse, (height, width)))


def _halved(a: Array) -> Array:
    """Sum blocks of two by two pixels; a last odd row or column stands alone."""
    a = np.pad(a, ((0, 0), (0, a.shape[1] % 2), (0, a.shape[2] % 2), (0, 0)))
    return np.asarray(a[:, ::2, ::2] + a[:, 1::2, ::2] + a[:, ::2, 1::2] + a[:, 1::2, 1::2])
