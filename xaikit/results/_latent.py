"""What a code means: what codes are decoded to, where samples lie, which numbers are used, which words are near."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.results._origin import Origin, Shown, Status


@dataclass(frozen=True, eq=False)
class Decoded(Shown):
    """What codes in rows and columns are decoded to: a "grid" of two numbers, an "interpolation", or a "traversal".

    `codes` (row, column, number), `decoded` (row, column, *input) in the network's units, `scores` (row, column) of a
    detector or None. `row_names` and `column_names` say what the rows and columns are; `effects` (row,) by what the
    rows of a traversal are sorted, which `effect` names ("divergence" in nats or "change" of the output), None
    elsewhere.
    """

    kind: str
    codes: Array
    decoded: Array
    scores: Array | None
    threshold: float | None
    row_names: tuple[str, ...]
    column_names: tuple[str, ...]
    effects: Array | None
    effect: str | None
    input_spec: Any
    origin: Origin

    def __repr__(self) -> str:
        rows, columns = self.codes.shape[:2]
        return f"<Decoded {self.kind} of {self.origin.model}: {rows} × {columns} codes of {self.codes.shape[2]}>"


@dataclass(frozen=True, eq=False)
class Embedding(Shown):
    """Where samples lie along the first principal components of their codes: `coordinates` (sample, 2 or 3).

    `explained` (component,) is each one's share of the variance, `center` (number,) and `components` (component,
    number) give coordinates = (codes - center) @ components.T. `labels` (sample,) are names, `scores` (sample,) numbers
    to colour by, or None.
    """

    coordinates: Array
    explained: Array
    center: Array
    components: Array
    labels: tuple[str, ...] | None
    scores: Array | None
    layer: str
    origin: Origin

    def __repr__(self) -> str:
        said = f"{self.explained.sum():.0%} of the variance"
        return f"<Embedding of {len(self.coordinates):,} samples in {self.coordinates.shape[1]} dimensions: {said}>"


@dataclass(frozen=True, eq=False)
class CodeHealth(Shown):
    """Which numbers of a variational code are used.

    `divergences` (number,) is the mean KL from the prior over the samples, in nats; `spreads` (number,) the variance of
    the mean over the samples. A number is active where its spread is above `limit` (Burda, Grosse and Salakhutdinov
    2016), collapsed where its divergence is below `limit`: then it tells nothing about the sample.
    """

    divergences: Array
    spreads: Array
    limit: float
    samples: int
    status: Status
    origin: Origin

    @property
    def active(self) -> Array:
        """Whether each number follows the samples: (number,) bool."""
        return np.asarray(self.spreads > self.limit)

    @property
    def collapsed(self) -> Array:
        """Whether each number keeps to the prior whatever the sample: (number,) bool."""
        return np.asarray(self.divergences < self.limit)

    def __repr__(self) -> str:
        return f"<CodeHealth: {int(self.active.sum())} of {len(self.spreads)} numbers active: {self.status}>"


@dataclass(frozen=True, eq=False)
class WordNeighbours(Shown):
    """The words whose vectors point most nearly the same way: `neighbours`, nearest first, with their cosines.

    `asked` says near what: a word, or "a - b + c".
    """

    asked: str
    neighbours: tuple[str, ...]
    similarities: Array
    layer: str
    origin: Origin

    def __repr__(self) -> str:
        near = zip(self.neighbours[:5], self.similarities, strict=False)
        return f"<WordNeighbours of {self.asked}: {', '.join(f'{n} {s:.2f}' for n, s in near)}>"


@dataclass(frozen=True, eq=False)
class Restorations(Shown):
    """What comes back of samples that were spoiled: by noise of some standard deviation, or by hidden patches.

    `levels` (level,) are the standard deviations (in the network's units) or the hidden shares, by `kind` "noise" or
    "mask"; `clean` (sample, *input), `given` and `restored` (level, sample, *input). `errors` (level, sample) are mean
    squared errors of what came back against the clean sample, over the hidden places only where patches were hidden;
    `before` (level, sample) those of what was given.
    """

    kind: str
    levels: Array
    clean: Array
    given: Array
    restored: Array
    errors: Array
    before: Array
    input_spec: Any
    origin: Origin

    def psnr(self, span: float = 1.0) -> Array:
        """Give the peak signal-to-noise ratio of the mean error at each level, in decibels: (level,)."""
        return np.asarray(10 * np.log10(span**2 / np.maximum(self.errors.mean(1), 1e-12)))

    def __repr__(self) -> str:
        said = ", ".join(f"{lv:g}: {e:.3g}" for lv, e in zip(self.levels, self.errors.mean(1), strict=True))
        return f"<Restorations of {len(self.clean)} samples from {self.kind}, mean squared error {said}>"
