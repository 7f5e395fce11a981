"""What judges explanations: faithfulness, stability, randomisation, parity, comparison, summary."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import NotSupported, UnknownName, many
from xaikit.results._judging import judge, needed
from xaikit.results._origin import Origin, Shown, Status, alone


@dataclass(frozen=True, eq=False)
class Faithfulness(Shown):
    """What a score does when parts are taken away, or put in, in the order that an explanation gives them.

    `shares` (sample, point) of the parts are hidden (deletion) or shown (insertion), most important first; NaN where a
    sample has fewer points. `deletion_curves` and `insertion_curves` (sample, point) are the scores there;
    `random_deletion_curves` and `random_insertion_curves` (sample, map, point) those for random maps, which come in
    pairs of an order and its reverse. `comprehensiveness` (sample,) is how much the score loses without the strongest
    parts, `sufficiency` how much with them alone, each the mean over the shares in the origin. `infidelity` is the
    expected squared difference between what the map says of hidden parts and what the score does, and
    `infidelity_relative` the same over that of a map of zeros. `max_sensitivity` is the largest relative change of the
    map near the sample, NaN where it was not measured. `parts` (sample,) counts what was ranked, `explained` is the
    origin of the explanation.
    """

    shares: Array
    deletion_curves: Array
    insertion_curves: Array
    random_deletion_curves: Array
    random_insertion_curves: Array
    comprehensiveness: Array
    sufficiency: Array
    infidelity: Array
    infidelity_relative: Array
    max_sensitivity: Array
    parts: Array
    target_labels: tuple[str, ...]
    explained: Origin
    status: Status
    origin: Origin

    @property
    def deletion(self) -> Array:
        """The area under each deletion curve: (sample,). Lower is better."""
        return area(self.shares, self.deletion_curves)

    @property
    def insertion(self) -> Array:
        """The area under each insertion curve: (sample,). Higher is better."""
        return area(self.shares, self.insertion_curves)

    @property
    def random_deletion(self) -> Array:
        """The mean area under the deletion curves of random maps: (sample,)."""
        return area(self.shares[:, None], self.random_deletion_curves).mean(1)

    @property
    def random_insertion(self) -> Array:
        """The mean area under the insertion curves of random maps: (sample,)."""
        return area(self.shares[:, None], self.random_insertion_curves).mean(1)

    @property
    def gain(self) -> Array:
        """Insertion minus deletion: (sample,)."""
        return self.insertion - self.deletion

    @property
    def random_gains(self) -> Array:
        """Insertion minus deletion of each random map: (sample, map). Their mean is 0."""
        shares = self.shares[:, None]
        return area(shares, self.random_insertion_curves) - area(shares, self.random_deletion_curves)

    @property
    def advantage(self) -> Array:
        """The gain over that of random maps, in their standard deviations: (sample,).

        NaN where random maps do not differ: a score that does not change, or a single part.
        """
        spread = self.random_gains.std(1)
        size = np.max(np.nan_to_num(np.abs(self.random_deletion_curves)), axis=(1, 2))
        return np.divide(self.gain, spread, out=np.full(len(self), np.nan), where=spread > 1e-6 * size)

    @property
    def better(self) -> Array:
        """Whether the explanation is better than random maps: (sample,) bool; false where that cannot be told."""
        return self.advantage >= needed(self.parts)

    @property
    def quality(self) -> dict[str, Array]:
        """The numbers by name, as an Attribution's `quality` holds them: (sample,) each."""
        names = ("deletion", "insertion", "random_deletion", "random_insertion", "advantage", "comprehensiveness")
        found = {n: getattr(self, n) for n in (*names, "sufficiency", "infidelity_relative", "max_sensitivity")}
        return {**found, "ranked_parts": self.parts}

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.shares)

    def __getitem__(self, i: int) -> "Faithfulness":
        """Give sample `i` alone, still with a leading sample axis of one."""
        s = alone(i, len(self))
        arrays = {
            f.name: getattr(self, f.name)[s] for f in fields(self) if isinstance(getattr(self, f.name), np.ndarray)
        }
        own = replace(
            self,
            **arrays,
            target_labels=self.target_labels[s],
            explained=replace(self.explained, input_hash=self.explained.input_hash[s]),
            origin=replace(self.origin, input_hash=self.origin.input_hash[s]),
        )
        return replace(
            own, status=judge({"advantage": own.advantage, "ranked_parts": own.parts}, own.deletion_curves[:, :0])
        )

    def __iter__(self) -> Iterator["Faithfulness"]:
        """Give the samples one by one."""
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        areas = (
            ("deletion", self.deletion, self.random_deletion),
            ("insertion", self.insertion, self.random_insertion),
        )
        told = ", ".join(f"{name} {a.mean():.3g} (random {b.mean():.3g})" for name, a, b in areas)
        return f"<Faithfulness of {self.explained.method} for {many(len(self), 'sample')}: {told}: {self.status}>"


def area(shares: Array, curves: Array) -> Array:
    """Give the areas under curves (..., point) over shares by the trapezoidal rule: (...); none at NaN shares."""
    width = np.diff(shares, axis=-1)
    steps = width * (curves[..., 1:] + curves[..., :-1]) / 2
    return np.asarray(np.where(np.isnan(width), 0.0, steps).sum(-1))


@dataclass(frozen=True, eq=False)
class Stability(Shown):
    """How far an explanation depends on its seed.

    `agreement` (sample, seed, seed) is the Spearman rank correlation of the maps of every pair of seeds, in -1..1;
    `spread` (sample,) the standard deviation of a part's value over the seeds, on average over the parts, relative to
    the largest mean value.
    """

    seeds: tuple[int, ...]
    agreement: Array
    spread: Array
    target_labels: tuple[str, ...]
    explained: Origin
    status: Status
    origin: Origin

    @property
    def rank_agreement(self) -> Array:
        """The mean rank correlation over all pairs of seeds: (sample,)."""
        return np.asarray(self.agreement[:, *np.triu_indices(len(self.seeds), 1)].mean(1))

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.agreement)

    def __repr__(self) -> str:
        worst = float(self.rank_agreement.min())
        return f"<Stability of {self.explained.method} over {len(self.seeds)} seeds: {worst:.2f}: {self.status}>"


@dataclass(frozen=True, eq=False)
class Randomisation(Shown):
    """How an explanation changes while a network's layers lose what they learnt, from the output down.

    At each depth (depth,) all layers down to the one named in `layers` have new weights. `rank` (depth, sample) is the
    Spearman rank correlation with the explanation of the trained network, `rank_absolute` that of the sizes, `ssim` the
    structural similarity of the sizes (NaN where there is no picture). An explanation of the network falls towards 0.
    """

    layers: tuple[str, ...]
    rank: Array
    rank_absolute: Array
    ssim: Array
    target_labels: tuple[str, ...]
    explained: Origin
    status: Status
    origin: Origin

    @property
    def similarity(self) -> Array:
        """The rank correlation that is left when all layers are new: (sample,)."""
        return np.asarray(self.rank[-1])

    def __len__(self) -> int:
        """Count the samples."""
        return self.rank.shape[1]

    def __repr__(self) -> str:
        left = float(np.nanmax(self.similarity)) if np.isfinite(self.similarity).any() else float("nan")
        return f"<Randomisation of {self.explained.method} over {len(self.layers)} depths: {left:.2f}: {self.status}>"


@dataclass(frozen=True, eq=False)
class Parity(Shown):
    """How far two models, one network in two frameworks say, give the same explanations.

    All numbers are max|a - b| / max|a| of a sample. `outputs` (sample,) compares the outputs, `values` (method, sample)
    the explanations of each method. `flips` (sample,) bool marks samples where the outputs agree and the gradients do
    not: a ReLU or a maximum decided otherwise. `failed` says in words which methods could not be compared, and why.
    """

    models: tuple[str, str]
    methods: tuple[str, ...]
    outputs: Array
    values: Array
    flips: Array
    failed: Mapping[str, str]
    status: Status
    origin: Origin

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.outputs)

    def __repr__(self) -> str:
        a, b = self.models
        return f"<Parity of {a} and {b} in {many(len(self), 'sample')}, {int(self.flips.sum())} flips: {self.status}>"


@dataclass(frozen=True, eq=False)
class Comparison(Shown):
    """Several methods on the same samples: the results by method, and how far they agree.

    `agreement` (method, method) is the Spearman rank correlation of the signed maps in -1..1, the mean over samples;
    `agreement_absolute` that of their sizes. `faithfulness` holds each method's curves, measured on one score, and
    `failed` why the others gave nothing. The methods are named as asked, with their parameters where one occurs twice.
    """

    attributions: Mapping[str, Any]
    methods: tuple[str, ...]
    agreement: Array
    agreement_absolute: Array | None = None
    faithfulness: Mapping[str, Faithfulness] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    origin: Origin | None = None

    def __getitem__(self, method: str) -> Any:
        """Give the result of one method: an Attribution, or the Attributions of several inputs."""
        if method not in self.attributions:
            raise UnknownName("compared method", method, self.attributions)
        return self.attributions[method]

    def __iter__(self) -> Iterator[str]:
        """Give the names of the methods that have a result."""
        return iter(self.methods)

    def __len__(self) -> int:
        """Count the methods that have a result."""
        return len(self.methods)

    def __repr__(self) -> str:
        failed = f"; failed: {', '.join(self.failed)}" if self.failed else ""
        return f"<Comparison of {', '.join(self.methods)}{failed}>"


@dataclass(frozen=True, eq=False)
class Summary(Shown):
    """What a method attributes to every part on average over many samples, for each class that was explained.

    `magnitude` and `signed` (class, *part) are the means of |value| and of the value over the samples of a class, in
    units of the score; `magnitude_interval` and `signed_interval` (class, *part, 2) the ends of their confidence
    intervals of the given `level`, NaN for a single sample. `counts` (class, *part) says how many samples each mean is
    of. `axes` names the axes of the parts, `parts` the parts themselves where they have names (columns, words,
    features). `classes` are the explained targets, of `samples` (class,) samples each; `display` (class, *input) is the
    mean picture of each, None for other inputs.
    """

    magnitude: Array
    signed: Array
    magnitude_interval: Array
    signed_interval: Array
    counts: Array
    axes: tuple[str, ...]
    parts: tuple[str, ...]
    classes: tuple[str, ...]
    samples: Array
    level: float
    method: str
    display: Any
    input_spec: Any
    output_spec: Any
    status: Status
    origin: Origin

    def __len__(self) -> int:
        """Count the samples."""
        return int(self.samples.sum())

    def __getitem__(self, name: str) -> "Summary":
        """Give one class alone, still with a leading class axis of one. Raises UnknownName."""
        if name not in self.classes:
            raise UnknownName("summarised class", name, self.classes)
        i = self.classes.index(name)
        cut = {
            f: getattr(self, f)[i : i + 1]
            for f in ("magnitude", "signed", "magnitude_interval", "signed_interval", "counts", "samples", "classes")
        }
        return replace(self, **cut, display=None if self.display is None else self.display[i : i + 1])

    def __iter__(self) -> Iterator[str]:
        """Give the names of the classes."""
        return iter(self.classes)

    def ranking(self, name: str | None = None) -> Array:
        """Give the places of named parts, the most important first: (part,); of one class, or by the largest of all.

        Raises NotSupported where the parts have no names, UnknownName for a class.
        """
        if not self.parts:
            raise NotSupported(f"the parts of this summary are places ({', '.join(self.axes)}): they have no ranking")
        values = (self if name is None else self[name]).magnitude
        return np.argsort(-np.nan_to_num(values, nan=-np.inf).max(0), kind="stable")

    def __repr__(self) -> str:
        shape = dict(zip(("class", *self.axes), self.magnitude.shape, strict=True))
        return (
            f"<Summary of {self.method} in {self.origin.model} over {many(len(self), 'sample')} {shape}: {self.status}>"
        )
