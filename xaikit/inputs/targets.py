"""Targets: which single number of a network's output is explained, as a function with a derivative."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from xaikit.arrays import Array, Tensors, concatenate, each, leaves, length, rows
from xaikit.errors import TargetError, many, nearest
from xaikit.inputs._spec import plain
from xaikit.inputs.outputs import Classes, Masks, OutputSpec, OutputSpecs, Reconstruction, Values

ScoreKind = Literal["output", "logit", "probability"]


@dataclass(frozen=True)
class Margin:
    """The score of `a` minus the score of `b`: what speaks for a and against b."""

    a: int | str
    b: int | str


@dataclass(frozen=True)
class At:
    """One entry of a structured output: of the named `output`, at time `step`, at spatial `position`, with `index`.

    What is not given must be the only choice, or, for `index` of Classes, is the predicted class at that place.
    """

    output: str | None = None
    step: int | None = None
    index: int | str | None = None
    position: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class Region:
    """The mean score of class `label` over a region of a per-pixel output.

    The region is a `box` (top, left, bottom, right; the last two exclusive), a boolean `mask` (height, width), or one
    `pixel` (row, column).
    """

    label: int | str
    box: tuple[int, int, int, int] | None = None
    mask: Any = None
    pixel: tuple[int, int] | None = None

    def weights(self, height: int, width: int) -> Array:
        """Give the averaging weights of the region: (height, width), summing to one. Raises TargetError."""
        if sum(r is not None for r in (self.box, self.mask, self.pixel)) != 1:
            raise TargetError("a Region is exactly one of box=, mask= or pixel=")
        chosen = np.zeros((height, width), bool)
        if self.mask is not None:
            mask = np.asarray(self.mask, bool)
            if mask.shape != chosen.shape:
                raise TargetError(f"the Region's mask has shape {mask.shape}, the output {chosen.shape}")
            chosen = mask
        elif self.box is not None:
            top, left, bottom, right = self.box
            if not (0 <= top < bottom <= height and 0 <= left < right <= width):
                raise TargetError(f"the Region's box {self.box} does not lie inside {height}×{width}")
            chosen[top:bottom, left:right] = True
        elif self.pixel is not None:
            row, column = self.pixel
            if not (0 <= row < height and 0 <= column < width):
                raise TargetError(f"the Region's pixel {self.pixel} does not lie inside {height}×{width}")
            chosen[row, column] = True
        if not chosen.any():
            raise TargetError("the Region is empty: its mask selects no pixel")
        return np.asarray(chosen / chosen.sum())


@dataclass(frozen=True)
class ReconstructionError:
    """How far a reconstruction is from its input: mean of squares ("mse") or of absolute differences ("mae").

    `error=None` takes the one that the model's Reconstruction spec names.
    """

    error: Literal["mse", "mae"] | None = None


Target = int | str | Margin | At | Region | ReconstructionError
KINDS: dict[str, type[Any]] = {c.__name__: c for c in (Margin, At, Region, ReconstructionError)}


def target_to_json(target: Target) -> Any:
    """Give a target as JSON types."""
    if isinstance(target, int | str):
        return target
    return {"kind": type(target).__name__, **plain(dataclasses.asdict(target))}


def target_from_json(data: Any) -> Target:
    """Rebuild a target from `target_to_json`."""
    if not isinstance(data, Mapping):
        return data
    fields = {k: tuple(v) if isinstance(v, list) and k != "mask" else v for k, v in data.items() if k != "kind"}
    return KINDS[data["kind"]](**fields)


class Score(ABC):
    """The scalar that is explained, for one sample: a function of the network's output (and, for errors, its input).

    `target` is normal (an index instead of a name); `label` is for people; `kind` is what the model is asked for.
    """

    target: Target
    label: str
    linear: bool

    @abstractmethod
    def value(self, output: Tensors, x: Tensors) -> Array:
        """Give the scalar for each row of `output` (row, ...): (row,), float64."""

    @abstractmethod
    def seed(self, output: Tensors, x: Tensors) -> Tensors:
        """Give d value / d output for each row, shaped like `output`."""

    def direct(self, output: Tensors, x: Tensors) -> Tensors | None:
        """Give the part of d value / d x that does not pass through the network, or None."""
        return None


@dataclass(frozen=True, eq=False)
class LinearScore(Score):
    """Σ weights·output + offset, with weights shaped like one sample's output."""

    target: Target
    label: str
    weights: Tensors
    offset: float = 0.0
    linear = True

    def value(self, output: Tensors, x: Tensors) -> Array:
        sums = dict(leaves(each(_weighted, self.weights, output)))  # one product with each output, and no array between
        return np.asarray(sum(sums.values()) + self.offset)

    def seed(self, output: Tensors, x: Tensors) -> Tensors:
        n = length(output)
        return each(lambda w: np.repeat(w.astype(np.float32)[None], n, axis=0), self.weights)


def _weighted(weights: Array, output: Array) -> Array:
    """Give Σ weights·output of each row: (row,), float64."""
    return np.asarray(np.asarray(output, np.float64).reshape(len(output), -1) @ np.asarray(weights, np.float64).ravel())


@dataclass(frozen=True, eq=False)
class ErrorScore(Score):
    """The mean squared or absolute difference between input and output of one sample."""

    target: Target
    label: str
    error: str
    linear = False

    def value(self, output: Tensors, x: Tensors) -> Array:
        return np.asarray(self.contributions(output, x).reshape(length(output), -1).sum(1))

    def contributions(self, output: Tensors, x: Tensors) -> Array:
        """Split the error over the features: an array like x whose sum over a sample is the score."""
        d = self._difference(output, x)
        return np.asarray(d**2 if self.error == "mse" else np.abs(d)) / max(d[0].size, 1)

    def seed(self, output: Tensors, x: Tensors) -> Tensors:
        d = self._difference(output, x)
        slope = np.asarray(2 * d if self.error == "mse" else np.sign(d))
        return np.asarray(slope / max(d[0].size, 1), np.float32)

    def direct(self, output: Tensors, x: Tensors) -> Tensors | None:
        return each(lambda s: -s, self.seed(output, x))

    def _difference(self, output: Tensors, x: Tensors) -> Array:
        y, x = np.asarray(output, np.float64), np.asarray(x, np.float64)
        if y.shape != x.shape:
            raise TargetError(
                f"ReconstructionError needs an output shaped like the input {x.shape[1:]}, not {y.shape[1:]}"
            )
        return y - x


@dataclass(frozen=True, eq=False)
class Scores:
    """One Score per sample; `kind` is the form in which the model is asked for its output."""

    each: tuple[Score, ...]
    kind: ScoreKind = "output"

    def __len__(self) -> int:
        return len(self.each)

    def __getitem__(self, i: int) -> Score:
        return self.each[i]

    @property
    def linear(self) -> bool:
        """Whether the derivative does not depend on the output."""
        return all(s.linear for s in self.each)

    def value(self, output: Tensors, x: Tensors, index: Array | None = None) -> Array:
        """Give the scalar of each row; `index` says to which sample a row belongs (default: row i is sample i)."""
        return self._spread(lambda s, y, u: s.value(y, u), output, x, index)

    def seed(self, output: Tensors, x: Tensors, index: Array | None = None) -> Tensors:
        """Give d value / d output of each row."""
        return _gather([(r, s.seed(rows(output, r), rows(x, r))) for s, r in self._groups(output, index)])

    def direct(self, output: Tensors, x: Tensors, index: Array | None = None) -> Tensors | None:
        """Give the part of d value / d x that does not pass through the network, or None."""
        if self.linear:
            return None
        found = [(r, s.direct(rows(output, r), rows(x, r)), rows(x, r)) for s, r in self._groups(output, index)]
        return _gather([(r, each(np.zeros_like, u) if d is None else d) for r, d, u in found])

    def _spread(self, function: Any, output: Tensors, x: Tensors, index: Array | None) -> Array:
        values = np.empty(length(output))
        for score, r in self._groups(output, index):
            values[r] = function(score, rows(output, r), rows(x, r))
        return values

    @cached_property
    def _first(self) -> Array:
        """For each sample, the first one that has the same score: (sample,)."""
        places: dict[int, int] = {}
        return np.array([places.setdefault(id(score), i) for i, score in enumerate(self.each)], int)

    def _groups(self, output: Tensors, index: Array | None) -> list[tuple[Score, Any]]:
        """Give each score with its rows."""
        if len(self.each) == 1:
            return [(self.each[0], slice(None))]
        index = self._first[np.arange(length(output)) if index is None else np.asarray(index)]
        if len(index) and (index == index[0]).all():
            return [(self.each[int(index[0])], slice(None))]
        order = np.argsort(index, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(index[order])) + 1)
        return [(self.each[int(index[r[0]])], r) for r in groups if len(r)]


def _gather(parts: list[tuple[Any, Tensors]]) -> Tensors:
    if len(parts) == 1:  # the rows of one group are in order
        return parts[0][1]
    order = np.argsort(np.concatenate([r for r, _ in parts]), kind="stable")
    if isinstance(parts[0][1], Mapping):
        return each(lambda a: a[order], concatenate([p for _, p in parts]))
    return np.asarray(concatenate([p for _, p in parts]))[order]


def resolve(target: Any, spec: OutputSpecs, output: Tensors, kind: ScoreKind = "output") -> Scores:
    """Turn a person's target (or a list with one per sample) into Scores.

    `output` is the network's raw output for the samples, from which predicted classes are read; `kind` is the form
    ("output", "logit", "probability") in which the scalar will be taken. Raises TargetError.
    """
    n = length(output)
    if isinstance(target, list) or (isinstance(target, np.ndarray) and target.ndim):
        targets = list(target)
        if len(targets) != n:
            raise TargetError(
                f"{many(len(targets), 'target')} were given for {many(n, 'sample')}: "
                "give one name or index for all of them, or a list with one for each"
            )
    else:
        targets = [target] * n
        if isinstance(_python(target), int | str):  # says itself which entry is meant, whatever the sample's output
            return Scores((_one(_python(target), spec, rows(output, slice(0, 1)), kind),) * n, kind)
    found = [_one(_python(t), spec, rows(output, slice(i, i + 1)), kind) for i, t in enumerate(targets)]
    same: dict[Any, Score] = {}  # samples that are asked for one class share its score, and are asked together
    return Scores(tuple(same.setdefault(s.target, s) if type(s.target) is int else s for s in found), kind)


def _python(target: Any) -> Any:
    return target.item() if isinstance(target, np.generic | np.ndarray) and target.ndim == 0 else target


def _one(target: Any, spec: OutputSpecs, output: Tensors, kind: ScoreKind) -> Score:
    if isinstance(spec, Mapping) or isinstance(output, Mapping):
        return _of_several(target, spec, output, kind)
    array = np.asarray(output)[0]
    if isinstance(target, ReconstructionError) or (target is None and isinstance(spec, Reconstruction)):
        error: Any = (target.error if target else None) or getattr(spec, "error", "mse")
        return ErrorScore(ReconstructionError(error), f"reconstruction error ({error})", error)
    if isinstance(target, Region):
        return _region(target, spec, array)
    if isinstance(target, Margin):
        a, b = (_entry(t, spec, array, kind, At()) for t in (target.a, target.b))
        weights = each(lambda u, v: u - v, a.weights, b.weights)
        return LinearScore(Margin(a.target, b.target), f"{a.label} - {b.label}", weights, a.offset - b.offset)  # type: ignore[arg-type]
    if isinstance(target, At):
        if target.output is not None:
            raise TargetError(f"the model has one output: leave output={target.output!r} out of xk.At")
        return _entry(target.index, spec, array, kind, target)
    return _entry(target, spec, array, kind, At())


def _of_several(target: Any, spec: OutputSpecs, output: Tensors, kind: ScoreKind) -> Score:
    names = [name for name, _ in leaves(output)]
    if not isinstance(target, At) or target.output is None:
        raise TargetError(
            f"the model has several outputs {names}: choose one with xk.At(output={names[0]!r}, index=...)"
        )
    if target.output not in names:
        raise TargetError(f"there is no output {target.output!r}{nearest(target.output, names)}")
    chosen = spec[target.output] if isinstance(spec, Mapping) else spec
    inner = _one(dataclasses.replace(target, output=None), chosen, output[target.output], kind)
    if not isinstance(inner, LinearScore):
        raise TargetError(f"output {target.output!r} of several cannot be explained by its reconstruction error")
    weights = {n: inner.weights if n == target.output else np.zeros(a.shape[1:]) for n, a in leaves(output)}
    place = inner.target if isinstance(inner.target, At) else At(index=inner.target)  # type: ignore[arg-type]
    label = f"{target.output}: {inner.label}"
    return LinearScore(dataclasses.replace(place, output=target.output), label, weights, inner.offset)  # type: ignore[arg-type]


def _entry(index: Any, spec: OutputSpec, output: Array, kind: ScoreKind, at: At) -> LinearScore:
    """One entry of one output: pick the place (step, position), then the index on the last axis."""
    if index is not None and not isinstance(index, int | str):
        raise TargetError(
            f"a target is a name, an index, xk.Margin, xk.At, xk.Region or xk.ReconstructionError, not {index!r}"
        )
    if output.ndim == 0:
        output = output.reshape(1)
    if output.ndim == 1 and at.step is not None and index is None:  # a forecast: its steps are its entries
        index, at = at.step, dataclasses.replace(at, step=None)
    place, where = _place(output, at)
    last = output[place] if place else output
    i, name, column, sign, offset = _index(index, spec, np.atleast_1d(last), kind)
    weights = np.zeros(output.shape)
    weights[(*place, column) if last.ndim else place] = sign
    target = dataclasses.replace(at, index=i) if where else i
    return LinearScore(target, f"{name}{where}", weights, offset)


def _place(output: Array, at: At) -> tuple[tuple[int, ...], str]:
    """Turn step and position into the leading indices of an output without its sample axis."""
    asked = (at.step,) if at.step is not None else (tuple(at.position) if at.position is not None else ())
    free = output.ndim - 1
    if len(asked) > free:
        raise TargetError(f"the output has shape {output.shape}: it has no place {asked}")
    if len(asked) < free:
        word = "step" if free == 1 else "position"
        raise TargetError(f"the output has shape {output.shape}: choose a place with xk.At({word}=..., index=...)")
    for value, size in zip(asked, output.shape, strict=False):
        if not -size <= value < size:
            raise TargetError(f"place {value} is outside 0..{size - 1} of the output's shape {output.shape}")
    place = tuple(int(v) % size for v, size in zip(asked, output.shape, strict=False))
    word = "step" if at.step is not None else "position"
    return place, f" at {word} {', '.join(map(str, place))}" if place else ""


def _index(index: Any, spec: OutputSpec, last: Array, kind: ScoreKind) -> tuple[int, str, int, float, float]:
    """Give (index, name, column, sign, offset) of an entry: its score is sign · output[column] + offset."""
    width = len(last)
    if isinstance(spec, Classes):
        i = int(spec.predicted(last[None])[0]) if index is None else spec.index(index)
        if not spec.binary(width):
            return i, spec.label(i), i, 1.0, 0.0
        if i == 1:
            return 1, spec.label(1), 0, 1.0, 0.0
        return 0, spec.label(0), 0, -1.0, 1.0 if _is_probability(spec, kind) else 0.0
    if index is None:
        if width > 1:
            known = ", ".join(str(n) for n in [*getattr(spec, "names", range(width))][:20])
            more = f" and {width - 20} more" if width > 20 else ""
            raise TargetError(f"the model has {width} outputs; choose one as target: {known}{more}")
        index = 0
    named = _names(spec, width)
    i = named.index(index)
    return i, named.label(i), i, 1.0, 0.0


def _names(spec: OutputSpec, width: int) -> Classes | Values | Masks:
    """Give the spec itself if it names `width` entries, else numbers as names."""
    if isinstance(spec, Classes | Values | Masks) and len(spec.names) == width:
        return spec
    return Values(tuple(range(width)))


def _is_probability(spec: Classes, kind: ScoreKind) -> bool:
    return kind == "probability" or (kind == "output" and spec.form in ("softmax", "sigmoid"))


def _region(target: Region, spec: OutputSpec, output: Array) -> Score:
    if output.ndim != 3:
        raise TargetError(f"a Region needs a per-pixel output (height, width, class), not shape {output.shape}")
    height, width, classes = output.shape
    named = _names(spec, classes)
    i = named.index(target.label)
    weights = np.zeros(output.shape)
    weights[..., i] = target.weights(height, width)
    return LinearScore(dataclasses.replace(target, label=i), f"{named.label(i)} in the region", weights)
