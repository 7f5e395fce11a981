"""What a calculation gives: frozen, labelled, in raw units, with its origin and the evidence for it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors
from xaikit.errors import NotSupported, ParameterError, UnknownName
from xaikit.inputs import Classes, top

GAP_FAIL, GAP_WARN = 0.05, 0.01
R2_FAIL, R2_WARN = 0.2, 0.5


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
class Comparison:
    """Several methods on the same samples: the results by method, and how far they agree.

    `agreement` (method, method) is the mean Spearman rank correlation of the maps over samples, in -1..1.
    """

    results: Mapping[str, Attribution]
    methods: tuple[str, ...]
    agreement: Array

    def __getitem__(self, method: str) -> Attribution:
        """Give the result of one method."""
        if method not in self.results:
            raise UnknownName("compared method", method, self.results)
        return self.results[method]


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


def judge(quality: Mapping[str, Array], values: Array) -> Status:
    """Turn free evidence into a verdict; the worst sample decides.

    Fail: a value that is not finite, a completeness gap over 5 % of |f(x) - f(baseline)|, or R² < 0.2.
    Warn: a gap over 1 %, R² < 0.5, a map of zeros, or an evaluation that was cut short.
    """
    fails, warns = [], []
    if not np.isfinite(values).all():
        fails.append("the map holds values that are not finite")
    elif values.size and np.any(np.abs(values).reshape(len(values), -1).max(1) == 0):
        warns.append("the map is zero everywhere: the score does not react to the input")
    gap = _worst(quality, "completeness_gap_relative", np.max)
    if gap is not None and not gap <= GAP_WARN:
        (fails if not gap <= GAP_FAIL else warns).append(f"completeness gap {gap:.1%} of f(x) - f(baseline)")
    r2 = _worst(quality, "surrogate_r2", np.min)
    if r2 is not None and not r2 >= R2_WARN:
        (fails if not r2 >= R2_FAIL else warns).append(f"the surrogate explains R² = {r2:.2f} of the model's changes")
    complete = _worst(quality, "complete", np.min)
    if complete is not None and complete < 1:
        warns.append(f"stopped early: {complete:.0%} of the model calls were made")
    return Status("fail" if fails else "warn" if warns else "ok", (*fails, *warns))


def _worst(quality: Mapping[str, Array], key: str, choose: Any) -> float | None:
    return float(choose(quality[key])) if key in quality and len(quality[key]) else None


def _cut(prediction: Any, s: slice) -> Any:
    return {k: v[s] for k, v in prediction.items()} if isinstance(prediction, Mapping) else prediction[s]


SHOWN: tuple[type[Any], ...] = (
    Activations,
    AnomalyScores,
    Attribution,
    Attributions,
    Calibration,
    Comparison,
    Curves,
    Filters,
    TopPatches,
)
"""The results that a person looks at: each has panels and shows itself in a notebook."""
RESULTS: dict[str, type[Any]] = {c.__name__: c for c in (*SHOWN, Curve, Origin, Prediction) if c is not Attributions}
"""The dataclasses that are written to disk and read back, by name; Attributions are stored input by input."""
