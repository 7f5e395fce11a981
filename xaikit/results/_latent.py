"""What a code means: what codes are decoded to, where samples lie, which numbers are used, which words are near."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import NotSupported, many
from xaikit.results._origin import Origin, Shown, Status


@dataclass(frozen=True, eq=False)
class Decoded(Shown):
    """What codes in rows and columns are decoded to.

    `kind` is a "grid" of two numbers, an "interpolation", "to-normal" from an anomaly, a "traversal", or the "means" of
    classes.

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

    @property
    def variances(self) -> Array:
        """The variance of every place along each row, as of the number that a traversal changes: (row, *input)."""
        return np.asarray(self.decoded.var(axis=1, dtype=np.float64))

    def __repr__(self) -> str:
        rows, columns = self.codes.shape[:2]
        return f"<Decoded {self.kind} of {self.origin.model}: {rows} × {columns} codes of {self.codes.shape[2]}>"


@dataclass(frozen=True, eq=False)
class Embedding(Shown):
    """Where samples lie along the first principal components of their codes: `coordinates` (sample, 2 or 3).

    `explained` (component,) is each one's share of the variance, `center` (number,) and `components` (component,
    number) give coordinates = (codes - center) @ components.T. `labels` (sample,) are names, `scores` (sample,) numbers
    to colour by, or None. `covariances` (sample, component, component) are those of a variational code at each sample,
    None for another one.
    """

    coordinates: Array
    explained: Array
    center: Array
    components: Array
    labels: tuple[str, ...] | None
    scores: Array | None
    layer: str
    origin: Origin
    covariances: Array | None = None

    def ellipse(self, i: int, a: int = 0, b: int = 1, points: int = 33) -> Array:
        """Give the line of one standard deviation around sample `i` in components a and b: (point, 2), closed.

        Raises NotSupported for a code without a spread.
        """
        if self.covariances is None:
            raise NotSupported("the code is not variational: its samples are points, without a spread")
        sizes, axes = np.linalg.eigh(self.covariances[i][np.ix_([a, b], [a, b])])
        turn = np.linspace(0, 2 * np.pi, points)
        around = np.stack([np.cos(turn), np.sin(turn)], axis=1) * np.sqrt(np.maximum(sizes, 0))
        return np.asarray(self.coordinates[i, [a, b]] + around @ axes.T)

    def __repr__(self) -> str:
        said = f"{self.explained.sum():.0%} of the variance"
        return (
            f"<Embedding of {many(len(self.coordinates), 'sample')} in {self.coordinates.shape[1]} dimensions: {said}>"
        )


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

    `asked` says near what: a word, or "a - b + c"; `similarities` (neighbour,) are the cosines.
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
    `before` (level, sample) those of what was given. `hidden` (level, *space, 1) says which places were, None for
    noise.
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
    hidden: Array | None = None

    def psnr(self, span: float | None = None) -> Array:
        """Give the peak signal-to-noise ratio of the mean error at each level, in decibels: (level,).

        `span` is the largest difference that could be, by default the range of the clean samples.
        """
        return self._decibels(self.errors, span)

    def psnr_before(self, span: float | None = None) -> Array:
        """Give the same of the samples as they were given; infinite where nothing was spoiled."""
        return self._decibels(self.before, span)

    def _decibels(self, errors: Array, span: float | None) -> Array:
        own = float(self.clean.max() - self.clean.min()) if span is None else span
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(10 * np.log10(own**2 / errors.mean(1)))

    def __repr__(self) -> str:
        said = ", ".join(f"{lv:g}: {e:.3g}" for lv, e in zip(self.levels, self.errors.mean(1), strict=True))
        return f"<Restorations of {many(len(self.clean), 'sample')} from {self.kind}, mean squared error {said}>"


@dataclass(frozen=True, eq=False)
class Inpainting(Shown):
    """What a network gives for every patch that it was not shown, beside what it gives of the whole sample.

    `x`, `filled` (each patch from its surroundings) and `copied` (the plain reconstruction) are (sample, *input) in the
    network's units; `errors` and `copied_errors` (sample, *space) are squared, averaged over channels. `patch` is the
    side of a patch, `hidden` the share that was hidden at a time.
    """

    x: Array
    filled: Array
    copied: Array
    errors: Array
    copied_errors: Array
    patch: int
    hidden: float
    input_spec: Any
    origin: Origin

    @property
    def values(self) -> Array:
        """The mean error of the places filled in: (sample,)."""
        return np.asarray(self.errors.reshape(len(self.errors), -1).mean(1))

    def __repr__(self) -> str:
        return (
            f"<Inpainting of {many(len(self.x), 'sample')} in patches of {self.patch}: mean squared error "
            f"{self.errors.mean():.3g}, of the plain reconstruction {self.copied_errors.mean():.3g}>"
        )


@dataclass(frozen=True, eq=False)
class Gallery(Shown):
    """Samples that come back best, as usual and worst.

    `groups` (group,) are "best", "median" and "worst"; `positions` (group, sample) say which of the `samples` given
    they are, from good to bad; `x` and `reconstruction` (group, sample, *input) are in the network's units, `errors`
    (group, sample) by `error` ("mse" or "mae"), and `median` that of all samples.
    """

    groups: tuple[str, ...]
    positions: Array
    x: Array
    reconstruction: Array
    errors: Array
    median: float
    samples: int
    error: str
    input_spec: Any
    origin: Origin

    def __repr__(self) -> str:
        ends = f"{float(self.errors.min()):.3g} to {float(self.errors.max()):.3g}"
        return f"<Gallery of {self.samples:,} samples by {self.error}: {ends}, median {self.median:.3g}>"


@dataclass(frozen=True, eq=False)
class CodeCapacity(Shown):
    """Whether an autoencoder has learned to copy.

    `width` is how many numbers its narrowest layer has (None for a network without layers), `inputs` how many the input
    has; `errors` (sample,) those of the samples and `noise_errors` (draw,) those of uniform noise, each the mean over
    the input by `error` ("mse" or "mae").
    """

    width: int | None
    inputs: int
    errors: Array
    noise_errors: Array
    error: str
    status: Status
    origin: Origin

    @property
    def ratio(self) -> float:
        """How many times larger the mean error of noise is than that of the samples; 1 and below is an alarm."""
        own = float(self.errors.mean())
        return float(self.noise_errors.mean()) / own if own else float("inf")

    def __repr__(self) -> str:
        return (
            f"<CodeCapacity: {self.width} of {self.inputs} numbers, noise errs {self.ratio:.3g} times: {self.status}>"
        )
