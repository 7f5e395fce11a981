"""What is inside a network: filters, the patches that excite a unit, concepts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors
from xaikit.errors import NotSupported, UnknownName
from xaikit.results._origin import Origin, Shown, Status


@dataclass(frozen=True, eq=False)
class Filters(Shown):
    """The kernels of one layer: `values` (filter, *space, in), raw, with `axes` names, and `bias` (filter,) or None.

    `numbers` (filter,) are the filters' own numbers in the layer, since a part may be taken: `filters[64:128]`,
    `filters[[3, 5]]`; the layer has `total`. With `groups` > 1 a filter sees the `in` channels of its group only.
    `order` is "rgb" or "bgr" where the input channels are the colours of a picture, else None. `before` are the same
    filters of the network that these are compared with, or None.

    `statistics` (filter,) by name, against the whole layer: "norm" (L2), "mean", "std", "sparsity" (share of weights
    under a thousandth of the layer's largest), "dead" (a norm under a thousandth of the median), and of the filter
    most alike, of those that see the same channels, "nearest" its number and "similarity" the cosine of the two, which
    may be negative; the filter's own number and 0 where there is none. Where samples were given, of what the filter
    gives for them "activation" (mean), "active" (share above zero), "silent" (never above zero), and of the filter
    that goes with it most "correlated" its number and "correlation". Where there is a `before`, "change" (L2 norm of
    the difference), "relative_change" (in norms before) and "agreement" (cosine of before and after). `by` names the
    one by which they are shown.
    """

    values: Array
    bias: Array | None
    axes: tuple[str, ...]
    numbers: Array
    layer: str
    kind: str
    groups: int
    total: int
    order: str | None
    statistics: Mapping[str, Array]
    origin: Origin
    before: Array | None = None
    by: str = "norm"

    def __len__(self) -> int:
        """Count the filters."""
        return len(self.values)

    def __getitem__(self, index: Any) -> "Filters":
        """Give some filters by place: a number, a slice, a list of places or of truths."""
        i = _places(index, len(self), "filter")
        bias = None if self.bias is None else self.bias[i]
        before = None if self.before is None else self.before[i]
        statistics = {n: a[i] for n, a in self.statistics.items()}
        numbers = self.numbers[i]
        return replace(self, values=self.values[i], bias=bias, before=before, numbers=numbers, statistics=statistics)

    @property
    def strengths(self) -> Array:
        """The L2 norm of every filter over space, by input channel: (filter, in)."""
        return _lengths(self.values)

    @property
    def changes(self) -> Array:
        """The L2 norm over space of what became of every filter, by input channel: (filter, in); 0 without `before`."""
        return _lengths(self.values - (self.values if self.before is None else self.before))

    @property
    def twins(self) -> Array:
        """Which filters have one that is the same but for size and sign, or that goes with them: truths (filter,)."""
        alike = [np.abs(self.statistics[n]) for n in ("similarity", "correlation") if n in self.statistics]
        return np.asarray(np.any([np.nan_to_num(a) > TWIN for a in alike], axis=0))

    def strongest(self, by: str | None = None) -> "Filters":
        """Give the filters in falling order of one of the statistics; None = `by`. Raises UnknownName."""
        by = self.by if by is None else by
        if by not in self.statistics:
            raise UnknownName("statistic", by, self.statistics)
        falling = np.nan_to_num(self.statistics[by].astype(np.float64), nan=-np.inf)
        return self[np.argsort(-falling, kind="stable")]

    def components(self) -> tuple[Array, Array]:
        """Give the one pattern in space that is nearest to each filter, and how much of the filter it is.

        The first singular vector of the matrix of places by input channels, times its singular value: (filter, *space),
        with the sign that most of the input channels give it; and the share of the squared norm that it has: (filter,),
        0 for a filter of zeros. Source: the singular value decomposition (Eckart and Young 1936).
        """
        flat = np.nan_to_num(self.values.reshape(len(self), -1, self.values.shape[-1]).astype(np.float64))
        left, sizes, right = np.linalg.svd(flat, full_matrices=False)
        whole = (sizes**2).sum(1)
        sign = np.where(right[:, 0].sum(1) < 0, -1.0, 1.0)
        pattern = (left[..., 0] * (sizes[:, 0] * sign)[:, None]).reshape(self.values.shape[:-1])
        return pattern, np.divide(sizes[:, 0] ** 2, whole, out=np.zeros(len(self)), where=whole > 0)

    def table(self) -> list[dict[str, Any]]:
        """List the statistics of every filter, with its number and bias, in the order of `strongest`."""
        ordered = self.strongest()
        bias = {} if ordered.bias is None else {"bias": ordered.bias}
        columns = {"filter": ordered.numbers, **ordered.statistics, **bias}
        return [{n: a[i].item() for n, a in columns.items()} for i in range(len(ordered))]

    def inputs_of(self, i: int) -> Array:
        """Give the numbers of the input channels that the filter at place `i` sees: (in,)."""
        width = self.values.shape[-1]
        return int(self.numbers[i]) * self.groups // self.total * width + np.arange(width)

    def __repr__(self) -> str:
        shape = dict(zip(self.axes, self.values.shape, strict=True))
        return f"<Filters of {self.layer!r} in {self.origin.model} {shape}>"


TWIN = 0.95
"""From this cosine or correlation on, up to its sign, two filters do the same."""


def _lengths(values: Array) -> Array:
    """Give L2 norms over space: (filter, *space, in) -> (filter, in)."""
    return np.sqrt(np.sum(np.square(values, dtype=np.float64), axis=tuple(range(1, values.ndim - 1))))


@dataclass(frozen=True, eq=False)
class TopPatches(Shown):
    """The places in a data set that excite one channel of a layer most, strongest first.

    `values` (patch,); `samples` (patch,) the numbers of their samples among the `seen`, `sources` their files ("" for
    what is none); `places` (patch, axis) where in the layer, whose places have the lengths `space` and the names
    `axes`. `boxes` (patch, axis, 2) are the first and last place of the input that the unit sees, exactly, and
    `windows` (patch, axis, 2) boxes of one size around them, which reach beyond the border of the input where the unit
    sees padding; None where it sees everything or that is not known. `x` (patch, ...) and `display` are the samples,
    whole. `reproduced` (patch,) are the activations when the samples were run again.

    `projections` (patch, *window, channel), in units of activation per encoded input, are what a one at the unit
    becomes on its way back to the input by the rule of `projection`, in the same windows; None without one. With
    several inputs boxes, windows and projections are mappings by input.
    """

    values: Array
    samples: Array
    places: Array
    boxes: Any
    axes: tuple[str, ...]
    space: tuple[int, ...]
    layer: str
    channel: int
    seen: int
    x: Tensors
    display: Any
    input_spec: Any
    origin: Origin
    windows: Any = None
    sources: tuple[str, ...] = ()
    reproduced: Array | None = None
    projection: str | None = None
    projections: Any = None
    status: Status = field(default_factory=lambda: Status("ok"))

    def __len__(self) -> int:
        """Count the patches."""
        return len(self.values)

    @property
    def by_input(self) -> "Mapping[str, TopPatches]":
        """Give the patches of each input of a network with several; {"": self} of one with one."""
        if not isinstance(self.input_spec, Mapping):
            return {"": self}
        return {
            name: replace(
                self,
                x=self.x[name],
                display=self.display[name],
                input_spec=spec,
                boxes=(self.boxes or {}).get(name),
                windows=(self.windows or {}).get(name),
                projections=(self.projections or {}).get(name),
            )
            for name, spec in self.input_spec.items()
        }

    def patch(self, i: int, input: str = "") -> Any:
        """Give what the unit sees of patch `i`, in display units: (*space, channel), cut at the border of the input.

        Of a text it is the words. Of several inputs name one. Raises NotSupported where the box is not known.
        """
        own = self.by_input.get(input)
        if own is None:
            raise UnknownName("input", input, self.by_input)
        if own.boxes is None:
            raise NotSupported(f"what a unit of {self.layer!r} sees is not known, or everything: take display[i]")
        shown = own.display[i]
        if isinstance(shown, str):
            return _stretch(shown, own.input_spec, *own.boxes[i][0].tolist())
        return np.asarray(shown)[tuple(slice(lo, hi + 1) for lo, hi in own.boxes[i].tolist())]

    def __repr__(self) -> str:
        return f"<TopPatches of channel {self.channel} of {self.layer!r}: {len(self)} of {self.seen} samples>"


def _stretch(text: str, spec: Any, first: int, last: int) -> str:
    """Cut the words at some positions out of a text; "" where only pads are."""
    offsets = spec.offsets(text)[first : last + 1]
    there = offsets[offsets[:, 0] >= 0]
    return text[there[:, 0].min() : there[:, 1].max()] if len(there) else ""


def _places(index: Any, count: int, what: str) -> Array:
    """Turn an index into places 0..count-1. Raises IndexError."""
    index = [int(index)] if isinstance(index, int | np.integer) else index
    try:
        return np.arange(count)[index]
    except IndexError:
        raise IndexError(f"there are {count} {what}s: {index} is not among them") from None


@dataclass(frozen=True, eq=False)
class Concepts(Shown):
    """How a class depends on the directions that concepts have in one layer (TCAV).

    For every concept `scores` (concept,) is the share of the samples whose score rises when the layer moves towards it,
    the mean over the runs: each tells the concept from another set of random samples. `runs` (concept, run) are the
    single shares, `accuracies` (concept, run) how well the two sets were told apart where the separating plane was not
    fitted. `random_runs` (random run,) are the shares for random sets in the place of a concept, `random_accuracies`
    theirs. `p_values` (concept,) are of the two-sided t-test that both have one mean, multiplied by the number of
    concepts (Bonferroni). `sensitivities` (concept, sample) is the mean over the runs of d score along the unit vector,
    `vectors` (concept, *layer) the mean of those unit vectors.
    """

    concepts: tuple[str, ...]
    scores: Array
    runs: Array
    accuracies: Array
    p_values: Array
    random_runs: Array
    random_accuracies: Array
    sensitivities: Array
    vectors: Array
    layer: str
    axes: tuple[str, ...]
    level: float
    target: tuple[Any, ...]
    target_labels: tuple[str, ...]
    status: Status
    origin: Origin

    @property
    def significant(self) -> Array:
        """Whether each concept differs from random ones at the given level: (concept,) bool."""
        return np.asarray(self.p_values < 1 - self.level)

    def __len__(self) -> int:
        """Count the concepts."""
        return len(self.concepts)

    def __getitem__(self, name: str) -> float:
        """Give the score of one concept. Raises UnknownName."""
        if name not in self.concepts:
            raise UnknownName("concept", name, self.concepts)
        return float(self.scores[self.concepts.index(name)])

    def __iter__(self) -> Iterator[str]:
        """Give the names of the concepts."""
        return iter(self.concepts)

    def __repr__(self) -> str:
        said = ", ".join(
            f"{n} {s:.2f}{'*' if star else ''}"
            for n, s, star in zip(self.concepts, self.scores, self.significant, strict=True)
        )
        return f"<Concepts in {self.layer!r} of {self.origin.model} for {', '.join(self.target_labels[:1])}: {said}>"
