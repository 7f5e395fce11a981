"""What a calculation gives: frozen, labelled, in raw units, with its origin and the evidence for it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors
from xaikit.errors import NotSupported, ParameterError, UnknownName
from xaikit.inputs import Classes, top

GAP_FAIL, GAP_WARN = 0.05, 0.01
R2_FAIL, R2_WARN = 0.2, 0.5
GAP_ROUNDING = 1e-4
"""A completeness gap below this share of the scores is their rounding, however small their difference."""
ADVANTAGE_FAIL, ADVANTAGE_FAIL_MANY, MANY = 1.0, 1.64, 100
"""How many standard deviations above random maps an explanation must be, and with how many parts a fine one must.

The best order of few parts is not that far above random ones: of two, every second random order is the best.
"""
AGREEMENT_WARN = 0.7
RANDOMISED_WARN = 0.7
"""The rank correlation above which an explanation does not depend on what the network learnt."""


@dataclass(frozen=True)
class Origin:
    """How a result came about, in full: enough to make it again."""

    method: str
    parameters: Mapping[str, Any]
    score: str
    model: str
    framework: str
    fingerprint: str | None
    weights_id: str | None
    input_hash: tuple[str, ...]
    seed: int
    versions: Mapping[str, str]
    device: str
    seconds: float
    model_calls: int
    notes: Mapping[str, Any] = field(default_factory=dict)


class Status(str):
    """A verdict on a result, "ok", "warn" or "fail": a string with the `reasons` in words."""

    reasons: tuple[str, ...]

    def __new__(cls, level: str, reasons: tuple[str, ...] = ()) -> "Status":
        """Make a status of one of the three levels."""
        if level not in ("ok", "warn", "fail"):
            raise ValueError(f"a status is ok, warn or fail, not {level!r}")
        status = super().__new__(cls, level)
        status.reasons = tuple(reasons)
        return status

    def __reduce__(self) -> tuple[Any, ...]:
        return Status, (str(self), self.reasons)


@dataclass(frozen=True, eq=False)
class Attribution:
    """What every part of an input contributed to one score, for each sample.

    `values` (sample, *space) with `axes` names is what is drawn; raw and signed. Methods over parts (superpixels,
    columns) also give `part_values` (sample, part), NaN where a sample has fewer parts, and `parts`
    (sample, *space), the integer label of each place: completeness refers to `part_values`. `x` is the encoded
    input (sample, ...), `display` what a person sees, `prediction` the network's raw output (sample, ...),
    `target` the explained entry of each sample (an index, or xk.Margin, xk.At, ...), `quality` numbers per sample.
    `offsets` (sample, token, 2) of a Text is where each token starts and ends in the string of `display`, -1 for pads.
    """

    values: Array
    axes: tuple[str, ...]
    parts: Array | None
    part_values: Array | None
    x: Array
    display: Any
    input_spec: Any
    output_spec: Any
    prediction: Any
    target: tuple[Any, ...]
    quality: Mapping[str, Array]
    status: Status
    origin: Origin
    target_labels: tuple[str, ...] = ()
    layer: str | None = None
    offsets: Array | None = None

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.values)

    def __getitem__(self, i: int) -> "Attribution":
        """Give sample `i` alone, still with a leading sample axis of one."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"sample {i} of {len(self)}")
        s = slice(i, i + 1) if i != -1 else slice(i, None)
        return replace(
            self,
            values=self.values[s],
            parts=None if self.parts is None else self.parts[s],
            part_values=None if self.part_values is None else self.part_values[s],
            x=self.x[s],
            display=self.display[s],
            prediction=_cut(self.prediction, s),
            target=self.target[s],
            quality={k: v[s] for k, v in self.quality.items()},
            status=judge({k: v[s] for k, v in self.quality.items()}, self.values[s]),
            origin=replace(self.origin, input_hash=self.origin.input_hash[s]),
            target_labels=self.target_labels[s],
            offsets=None if self.offsets is None else self.offsets[s],
        )

    def __iter__(self) -> Iterator["Attribution"]:
        """Give the samples one by one."""
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        what = ", ".join(self.target_labels[:3]) + (", ..." if len(self.target_labels) > 3 else "")
        shape = dict(zip(self.axes, self.values.shape, strict=True))
        return f"<Attribution {self.origin.method} of {what} {shape}: {self.status}>"


class Attributions(Mapping[str, Attribution]):
    """One Attribution per input of a network with several inputs."""

    def __init__(self, each: Mapping[str, Attribution]) -> None:
        self._each = dict(each)

    def __getitem__(self, name: str) -> Attribution:
        if name not in self._each:
            raise UnknownName("input", name, self._each)
        return self._each[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._each)

    def __len__(self) -> int:
        return len(self._each)

    def __repr__(self) -> str:
        return f"<Attributions of {', '.join(self._each)}>"


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network says of samples: its raw `output` (sample, ...), by name where there are several.

    `x` is the encoded input (sample, ...), `display` what a person sees. For an autoencoder `output` is the
    reconstruction of `x`.
    """

    output: Tensors
    x: Tensors
    display: Any
    input_spec: Any
    output_spec: Any
    origin: Origin

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.origin.input_hash)

    def top(self, k: int = 5) -> list[list[tuple[str, float]]]:
        """List the `k` most probable (name, probability) of each sample.

        Raises NotSupported where there are no classes.
        """
        if not isinstance(self.output_spec, Classes) or isinstance(self.output, Mapping):
            raise NotSupported(f"{self.origin.model} gives no single set of class scores: there is no best class")
        return top(self.output_spec, self.output, k)

    def __repr__(self) -> str:
        return f"<Prediction of {self.origin.model} for {len(self)} samples>"


@dataclass(frozen=True, eq=False)
class Faithfulness:
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
        return self.advantage >= _needed(self.parts)

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
        if not -len(self) <= i < len(self):
            raise IndexError(f"sample {i} of {len(self)}")
        s = slice(i, i + 1) if i != -1 else slice(i, None)
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
        return f"<Faithfulness of {self.explained.method} for {len(self)} samples: {told}: {self.status}>"


def area(shares: Array, curves: Array) -> Array:
    """Give the areas under curves (..., point) over shares by the trapezoidal rule: (...); none at NaN shares."""
    width = np.diff(shares, axis=-1)
    steps = width * (curves[..., 1:] + curves[..., :-1]) / 2
    return np.asarray(np.where(np.isnan(width), 0.0, steps).sum(-1))


@dataclass(frozen=True, eq=False)
class Stability:
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
class Randomisation:
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
class Parity:
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
        return f"<Parity of {a} and {b} in {len(self)} samples, {int(self.flips.sum())} flips: {self.status}>"


@dataclass(frozen=True, eq=False)
class Comparison:
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
class Curve:
    """One metric of one part of the data: `values` (point,) at `steps` (point,), which rise; `axis`: epoch or step.

    Epochs count from 1. `part` is "training" or "validation", after the run's name where there are several runs.
    """

    metric: str
    part: str
    axis: str
    steps: Array
    values: Array

    @property
    def name(self) -> str:
        """Metric and part: "loss/validation"."""
        return f"{self.metric}/{self.part}"


@dataclass(frozen=True, eq=False)
class Curves:
    """How a training went: its curves, where they were read, and `best`, the epoch or step of the best weights.

    `best` is None where there is no validation loss to judge by.
    """

    curves: tuple[Curve, ...]
    source: str
    best: float | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics, loss first."""
        return tuple(dict.fromkeys(c.metric for c in self.curves))

    def __getitem__(self, name: str) -> Curve:
        """Give one curve by metric and part, "loss/validation". Raises UnknownName."""
        for curve in self.curves:
            if curve.name == name:
                return curve
        raise UnknownName("curve", name, self)

    def __iter__(self) -> Iterator[str]:
        """Give the names of the curves."""
        return (curve.name for curve in self.curves)

    def __len__(self) -> int:
        """Count the curves."""
        return len(self.curves)

    def __repr__(self) -> str:
        best = "" if self.best is None else f", best {self.curves[0].axis} {self.best:g}"
        return f"<Curves {self.source}: {', '.join(self)}{best}>"


@dataclass(frozen=True, eq=False)
class Calibration:
    """Where the threshold of an anomaly score comes from.

    `scores` (sample,) are those of the normal samples. `rule` set `threshold` from them: with `level`, the share of
    normal samples that should stay below, or with `k` deviations. `false_alarms` is the 90 % interval of the share of
    new normal samples that will be flagged (Clopper and Pearson 1934, from those of `scores` above the threshold).
    """

    scores: Array
    rule: str
    level: float | None
    k: float | None
    threshold: float
    false_alarms: tuple[float, float]
    status: Status

    def __len__(self) -> int:
        """Count the normal samples."""
        return len(self.scores)

    def __repr__(self) -> str:
        asked = f"level {self.level:g}" if self.k is None else f"k {self.k:g}"
        return f"<Calibration {self.rule} ({asked}) of {len(self)} normal samples: {self.threshold:.4g}, {self.status}>"


@dataclass(frozen=True, eq=False)
class AnomalyScores:
    """How far each sample is from what the network gives back, and whether that is more than normal samples show.

    `values` (sample,) are the reconstruction errors, `contributions` (sample, *input) with `axes` names their exact
    parts: those of a sample sum to its value, since each place's squared or absolute difference is divided by the
    number of places. `x` and `reconstruction` (sample, *input) are in the network's units, `display` is what a person
    sees. `error` is "mse" or "mae".
    """

    values: Array
    contributions: Array
    axes: tuple[str, ...]
    x: Array
    reconstruction: Array
    display: Any
    error: str
    calibration: Calibration
    input_spec: Any
    output_spec: Any
    status: Status
    origin: Origin

    @property
    def threshold(self) -> float:
        """The largest score that is still normal."""
        return self.calibration.threshold

    @property
    def flags(self) -> Array:
        """Whether each sample is anomalous: (sample,) bool. A score that is not a number is."""
        return ~(self.values <= self.threshold)

    @property
    def difference(self) -> Array:
        """Input minus reconstruction: (sample, *input), in the network's units."""
        return np.asarray(self.x, np.float64) - self.reconstruction

    @property
    def p_values(self) -> Array:
        """The share of normal samples with a score as high, the sample itself counted among them: (sample,).

        A conformal p-value (Bates et al. 2023, eq. 2): a new normal sample is at or below u with probability u at most.
        """
        normal = np.sort(self.calibration.scores)
        as_high = len(normal) - np.searchsorted(normal, self.values, side="left")
        return np.asarray((1 + as_high) / (1 + len(normal)))

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.values)

    def __getitem__(self, i: int) -> "AnomalyScores":
        """Give sample `i` alone, still with a leading sample axis of one."""
        if not -len(self) <= i < len(self):
            raise IndexError(f"sample {i} of {len(self)}")
        s = slice(i, i + 1) if i != -1 else slice(i, None)
        return replace(
            self,
            values=self.values[s],
            contributions=self.contributions[s],
            x=self.x[s],
            reconstruction=self.reconstruction[s],
            display=self.display[s],
            origin=replace(self.origin, input_hash=self.origin.input_hash[s]),
        )

    def __iter__(self) -> Iterator["AnomalyScores"]:
        """Give the samples one by one."""
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        flagged = f"{int(self.flags.sum())} of {len(self)} anomalous"
        return f"<AnomalyScores of {self.origin.model}: {flagged}, threshold {self.threshold:.4g}: {self.status}>"


@dataclass(frozen=True, eq=False)
class Filters:
    """The kernels of one layer: `values` (filter, *space, in), raw, with `axes` names, and `bias` (filter,) or None.

    `numbers` (filter,) are the filters' own numbers in the layer, since a part may be taken: `filters[64:128]`,
    `filters[[3, 5]]`; the layer has `total`. With `groups` > 1 a filter sees the `in` channels of its group only.
    `order` is "rgb" or "bgr" where the input channels are the colours of a picture, else None. `statistics` (filter,)
    by name, against the whole layer: "norm" (L2), "mean", "std", "sparsity" (share of weights under a thousandth of
    the layer's largest), "dead" (a norm under a thousandth of the median), and of the filter most alike "nearest" its
    number and "similarity" the cosine of the two.
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

    def __len__(self) -> int:
        """Count the filters."""
        return len(self.values)

    def __getitem__(self, index: Any) -> "Filters":
        """Give some filters by place: a number, a slice, a list of places or of truths."""
        i = _places(index, len(self), "filter")
        bias = None if self.bias is None else self.bias[i]
        statistics = {n: a[i] for n, a in self.statistics.items()}
        return replace(self, values=self.values[i], bias=bias, numbers=self.numbers[i], statistics=statistics)

    @property
    def strengths(self) -> Array:
        """The L2 norm of every filter over space, by input channel: (filter, in)."""
        return np.sqrt(np.sum(np.square(self.values, dtype=np.float64), axis=tuple(range(1, self.values.ndim - 1))))

    def strongest(self, by: str = "norm") -> "Filters":
        """Give the filters in falling order of one of the statistics. Raises UnknownName."""
        if by not in self.statistics:
            raise UnknownName("statistic", by, self.statistics)
        return self[np.argsort(-self.statistics[by], kind="stable")]

    def inputs_of(self, i: int) -> Array:
        """Give the numbers of the input channels that the filter at place `i` sees: (in,)."""
        width = self.values.shape[-1]
        return int(self.numbers[i]) * self.groups // self.total * width + np.arange(width)

    def __repr__(self) -> str:
        shape = dict(zip(self.axes, self.values.shape, strict=True))
        return f"<Filters of {self.layer!r} in {self.origin.model} {shape}>"


@dataclass(frozen=True, eq=False)
class Activations:
    """What layers give for samples: by layer `values` (sample, *space, channel), raw, whatever the network's layout.

    `axes` names the axes of each; the last is the channel, or the unit of a layer without places. `x` is the encoded
    input (sample, ...), `display` what a person sees.
    """

    values: Mapping[str, Array]
    axes: Mapping[str, tuple[str, ...]]
    x: Tensors
    display: Any
    input_spec: Any
    origin: Origin

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

        "mean", "std", "min", "max", "sparsity" (share that is zero), "positive" (share above zero), and "dead": zero
        at every place of every sample.
        """
        rows = self[layer].reshape(-1, self[layer].shape[-1])
        return {
            "mean": rows.mean(0, dtype=np.float64),
            "std": rows.std(0, dtype=np.float64),
            "min": rows.min(0),
            "max": rows.max(0),
            "sparsity": (rows == 0).mean(0),
            "positive": (rows > 0).mean(0),
            "dead": ~rows.any(0),
        }

    def ranking(self, layer: str, sample: int | None = None, by: str = "max") -> Array:
        """Give the channels' numbers, most active first: (channel,); by "max", "mean" or "mean-abs".

        Over all samples, or in one. Raises UnknownName.
        """
        if by not in ACTIVITY:
            raise UnknownName("measure of activity", by, ACTIVITY)
        values = self[layer] if sample is None else self[layer][sample][None]
        return np.argsort(-ACTIVITY[by](values.reshape(-1, values.shape[-1])), kind="stable")

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
        return (
            f"<Activations of {len(self)} samples in {self.origin.model}: {shapes}{', ...' * (len(self.values) > 4)}>"
        )


@dataclass(frozen=True, eq=False)
class TopPatches:
    """The places in a data set that excite one channel of a layer most, strongest first.

    `values` (patch,); `samples` (patch,) the numbers of their samples among the `seen`; `places` (patch, axis) where in
    the layer, whose places have the lengths `space` and the names `axes`; `boxes` (patch, axis, 2) the first and last
    place of the input that the unit sees, beyond the border where it sees padding, or None where it sees everything or
    that is not known. `x` (patch, ...) and `display` are the samples, whole.
    """

    values: Array
    samples: Array
    places: Array
    boxes: Array | None
    axes: tuple[str, ...]
    space: tuple[int, ...]
    layer: str
    channel: int
    seen: int
    x: Tensors
    display: Any
    input_spec: Any
    origin: Origin

    def __len__(self) -> int:
        """Count the patches."""
        return len(self.values)

    def patch(self, i: int) -> Array:
        """Give what the unit sees of patch `i`, in display units: (*space, channel), cut at the border of the input.

        Raises NotSupported where the box is not known.
        """
        if self.boxes is None:
            raise NotSupported(f"what a unit of {self.layer!r} sees is not known, or everything: take display[i]")
        return np.asarray(self.display[i])[tuple(slice(max(lo, 0), hi + 1) for lo, hi in self.boxes[i].tolist())]

    def __repr__(self) -> str:
        return f"<TopPatches of channel {self.channel} of {self.layer!r}: {len(self)} of {self.seen} samples>"


ACTIVITY: Mapping[str, Any] = {
    "max": lambda rows: rows.max(0),
    "mean": lambda rows: rows.mean(0, dtype=np.float64),
    "mean-abs": lambda rows: np.abs(rows).mean(0, dtype=np.float64),
}
"""What is called active: a function of values (place, channel) to (channel,)."""


def _places(index: Any, count: int, what: str) -> Array:
    """Turn an index into places 0..count-1. Raises IndexError."""
    index = [int(index)] if isinstance(index, int | np.integer) else index
    try:
        return np.arange(count)[index]
    except IndexError:
        raise IndexError(f"there are {count} {what}s: {index} is not among them") from None


def lowest(curves: Iterable[Curve]) -> float | None:
    """Find the step of the lowest validation loss; None where no validation loss was kept, or it is no number."""
    for curve in curves:
        if curve.metric.lower() == "loss" and curve.part == "validation" and np.isfinite(curve.values).any():
            return float(curve.steps[np.nanargmin(np.where(np.isfinite(curve.values), curve.values, np.nan))])
    return None


def by_column(result: Attribution, i: int) -> Array:
    """Give what each column of a table contributes to sample `i`: dummies of one column are added up."""
    if result.part_values is not None:
        return np.asarray(result.part_values[i], np.float64)
    values, spec = np.asarray(result.values[i], np.float64), result.input_spec
    if result.axes[1:] == ("column",):
        return values
    return np.array([values[spec.parts == c].sum() for c in range(len(spec.names))])


ABSORBED_WARN, READ_WARN = 0.5, 0.5
SCORES = ("score", "deletion", "insertion")
"""Numbers of `quality` that are scores of the model, or means of such."""


def judge(quality: Mapping[str, Array], values: Array) -> Status:
    """Turn evidence into a verdict; the worst sample decides.

    Fail: a value or score that is not finite, a completeness gap over 5 % of |f(x) - f(baseline)| and over rounding,
    R² < 0.2, or a map no better than random ones. Warn: a gap over 1 %, R² < 0.5, a rank agreement over seeds under
    0.7, a map that stays when the weights are random, a map of zeros, an evaluation that was cut short, biases
    that take over half of the relevance, or over half of a text unread.
    """
    fails, warns = [], []
    if not np.isfinite(values).all():
        fails.append("the map holds values that are not finite")
    elif values.size and np.any(np.abs(values).reshape(len(values), -1).max(1) == 0):
        warns.append(_silent(quality))
    if any(not np.isfinite(quality[key]).all() for key in SCORES if key in quality):
        fails.append("the score is not finite, or not while parts are hidden: what was measured of it says nothing")
    gap = float(np.max(_gaps(quality), initial=0.0))
    if not gap <= GAP_WARN:
        (fails if not gap <= GAP_FAIL else warns).append(f"completeness gap {gap:.1%} of f(x) - f(baseline)")
    r2 = _worst(quality, "surrogate_r2", np.min)
    if r2 is not None and not r2 >= R2_WARN:
        (fails if not r2 >= R2_FAIL else warns).append(f"the surrogate explains R² = {r2:.2f} of the model's changes")
    advantage, parts = _beside_parts(quality, "advantage", otherwise=0)
    short = advantage < _needed(parts)
    if short.any():
        fails.append(
            "no better than random maps: hiding and showing parts in its order changes the score "
            f"{advantage[short].min():.1f} standard deviations more than random orders do"
        )
    agreement = _worst(quality, "rank_agreement", _least)
    if agreement is not None and agreement < AGREEMENT_WARN:
        warns.append(f"other seeds give another order: rank agreement {agreement:.2f}")
    left, parts = _beside_parts(quality, "randomised_similarity", otherwise=MANY)
    kept = left > _by_chance(parts)
    if kept.any():
        warns.append(f"the map hardly depends on the weights: rank correlation {left[kept].max():.2f} with random ones")
    absorbed = _worst(quality, "relevance_absorbed", np.max)
    if absorbed is not None and not absorbed <= ABSORBED_WARN:
        warns.append(f"biases and ε take {absorbed:.0%} of the score: the values sum to what they leave")
    read = _worst(quality, "read", np.min)
    if read is not None and read < READ_WARN:
        warns.append(f"the network knows {read:.0%} of the text: the rest is cut off, or not in its vocabulary")
    complete = _worst(quality, "complete", np.min)
    if complete is not None and complete < 1:
        warns.append(f"stopped early: {complete:.0%} of the model calls were made")
    return Status("fail" if fails else "warn" if warns else "ok", (*fails, *warns))


def _beside_parts(quality: Mapping[str, Array], key: str, otherwise: int) -> tuple[Array, Array]:
    """Give numbers of samples, none where they were not measured, and how many parts each sample has."""
    numbers = np.asarray(quality.get(key, np.zeros(0)))
    parts = np.asarray(quality.get("ranked_parts", np.full(len(numbers), otherwise)))
    return numbers, parts[: len(numbers)]


def _needed(parts: Array) -> Array:
    return np.where(np.asarray(parts) >= MANY, ADVANTAGE_FAIL_MANY, ADVANTAGE_FAIL)


def _by_chance(parts: Array) -> Array:
    """The rank correlation above which maps are alike: 0.7, or what one in a hundred random maps of few parts has."""
    return np.maximum(RANDOMISED_WARN, 2.33 / np.sqrt(np.maximum(np.asarray(parts) - 1, 1)))


def _gaps(quality: Mapping[str, Array]) -> Array:
    """Give the relative completeness gaps (sample,), 0 where the gap is within the rounding of the scores."""
    relative = np.asarray(quality.get("completeness_gap_relative", np.zeros(0)), np.float64)
    gap, score = quality.get("completeness_gap"), quality.get("score")
    if gap is None or score is None or np.shape(score) != np.shape(relative):
        return relative
    difference = np.divide(gap, relative, out=np.zeros_like(relative), where=np.isfinite(relative) & (relative > 0))
    return np.where(gap <= GAP_ROUNDING * (np.abs(score) + np.abs(difference)), 0.0, relative)


def _silent(quality: Mapping[str, Array]) -> str:
    """Say what a map of zeros means."""
    if np.any(np.asarray(quality.get("cut", 0.0)) >= 1):
        return "the map is zero everywhere: all of it speaks against the score and is cut; relu=False shows it"
    said = "the map is zero everywhere: the score does not react to the input, or has no gradient there"
    if "cut" in quality:
        return "the map is zero everywhere: the score does not depend on that layer's places; name another layer"
    gap = quality.get("completeness_gap")
    if gap is None:
        return said
    if np.any(gap):
        return "the map is zero everywhere, though the score is another at the baseline: its gradient is cut off"
    return f"{said}; it is the same at the baseline, as of a constant model"


def _least(values: Array) -> float:
    """The smallest number; NaN, for what could not be measured, where there is none."""
    return float(np.min(values[np.isfinite(values)], initial=np.inf)) if np.isfinite(values).any() else float("nan")


def _worst(quality: Mapping[str, Array], key: str, choose: Any) -> float | None:
    return float(choose(quality[key])) if key in quality and len(quality[key]) else None


def _cut(prediction: Any, s: slice) -> Any:
    return {k: v[s] for k, v in prediction.items()} if isinstance(prediction, Mapping) else prediction[s]


@dataclass(frozen=True, eq=False)
class Summary:
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
        return f"<Summary of {self.method} in {self.origin.model} over {len(self)} samples {shape}: {self.status}>"


@dataclass(frozen=True, eq=False)
class Concepts:
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


SHOWN: tuple[type[Any], ...] = (
    Activations,
    AnomalyScores,
    Attribution,
    Attributions,
    Calibration,
    Comparison,
    Concepts,
    Curves,
    Faithfulness,
    Filters,
    Parity,
    Randomisation,
    Stability,
    Summary,
    TopPatches,
)
"""The results that a person looks at: each has panels and shows itself in a notebook."""
RESULTS: dict[str, type[Any]] = {c.__name__: c for c in (*SHOWN, Curve, Origin, Prediction) if c is not Attributions}
"""The dataclasses that are written to disk and read back, by name; Attributions are stored input by input."""
