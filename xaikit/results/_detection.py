"""What is said about detectors: thresholds side by side, one anomaly explained, how well they find, a long series."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import many
from xaikit.results._anomaly import AnomalyScores, Calibration
from xaikit.results._attribution import Attribution
from xaikit.results._origin import Origin, Shown, Status


@dataclass(frozen=True, eq=False)
class DetectorRecord:
    """A fitted detector without its network: what is kept to score with it later.

    `score` names the score and `state` has its parameters and what it has learned, `normal` (sample, *input) are the
    normal samples in the network's units, `fingerprint` is that of the network, None for one that has none, and
    `output` names which of several outputs is the reconstruction.
    """

    score: str
    state: Mapping[str, Any]
    normal: Array | None
    calibration: Calibration
    model: str
    fingerprint: str | None
    output: str | None = None

    def __repr__(self) -> str:
        return f"<DetectorRecord of {self.model} by {self.score}: {self.calibration!r}>"


@dataclass(frozen=True, eq=False)
class ThresholdReport(Shown):
    """The thresholds of several rules on the same normal scores, each with what chance would change.

    `calibrations` has one entry for each rule. `intervals` (rule, 2) are 90 % intervals of the thresholds over `draws`
    resamplings of the normal samples (Efron 1979), `alerts` (rule,) the share of samples left out of a draw that its
    threshold flags, on average, and `alert_intervals` (rule, 2) 90 % of these shares.
    """

    calibrations: tuple[Calibration, ...]
    intervals: Array
    alerts: Array
    alert_intervals: Array
    draws: int
    seed: int
    status: Status

    def table(self) -> list[dict[str, Any]]:
        """Give a row for each rule."""
        return [
            {
                "rule": c.rule,
                "threshold": c.threshold,
                "low": float(self.intervals[i, 0]),
                "high": float(self.intervals[i, 1]),
                "alert rate": float(self.alerts[i]),
                "alert low": float(self.alert_intervals[i, 0]),
                "alert high": float(self.alert_intervals[i, 1]),
                "status": str(c.status),
                "reasons": list(c.status.reasons),
            }
            for i, c in enumerate(self.calibrations)
        ]

    def __repr__(self) -> str:
        rules = ", ".join(f"{c.rule} {c.threshold:.4g}" for c in self.calibrations)
        return f"<ThresholdReport of {len(self.calibrations[0])} normal samples: {rules}: {self.status}>"


@dataclass(frozen=True, eq=False)
class AnomalyExplanation(Shown):
    """Why one sample is anomalous, and the least that would make it normal.

    `scores` is of this sample alone: its contributions are exact. `percentiles` (*input) is the share of normal samples
    whose contribution at a place is smaller. `attribution` says what in the input caused the error, where the model has
    gradients (None elsewhere).

    Repair: `parts` (*input) numbers the features that are restored together, `names` names them, `part_percentiles`
    (part,) is the share of normal samples with a smaller sum there; `restored` are those that were, in turn, each the
    one whose replacement by its reconstruction lowers the score the most; `path` (step + 1,) are the scores from the
    sample's own on, `needed` the restored parts that suffice, `repaired` (*input) the sample with these restored, and
    `repaired_score` its score.

    Nearest normal samples: `nearest` (2,) are their positions among the normal ones, by the distance of inputs and of
    codes, -1 where there is no code; `nearest_x` (2, *input) what they are, `distances` (2,) how far they are.
    """

    scores: AnomalyScores
    percentiles: Array
    attribution: Attribution | None
    parts: Array
    names: tuple[str, ...]
    part_percentiles: Array
    restored: tuple[int, ...]
    path: Array
    needed: tuple[int, ...]
    repaired: Array
    repaired_score: float
    nearest: Array
    nearest_x: Array
    distances: Array
    status: Status
    origin: Origin

    @property
    def value(self) -> float:
        """The score of the sample."""
        return float(self.scores.values[0])

    @property
    def threshold(self) -> float:
        """The largest score that is still normal."""
        return self.scores.threshold

    @property
    def part_values(self) -> Array:
        """The contribution of every part: (part,); they sum to the score's share of the input."""
        flat = self.scores.contributions[0].ravel()
        return np.asarray(np.bincount(self.parts.ravel(), flat, len(self.names)))

    def __repr__(self) -> str:
        named = ", ".join(self.names[p] for p in self.needed[:3]) + ", ..." * (len(self.needed) > 3)
        repair = f"normal without {named}" if self.repaired_score <= self.threshold else "no repair makes it normal"
        said = "nothing to repair" if self.value <= self.threshold else repair
        return f"<AnomalyExplanation: score {self.value:.4g}, threshold {self.threshold:.4g}; {said}: {self.status}>"


@dataclass(frozen=True, eq=False)
class Detection(Shown):
    """How well detectors tell anomalies from normal samples, beside trivial ones.

    `names` (detector) are the fitted one first, then baselines; `scores` (detector, sample), `labels` (sample,) bool,
    True for an anomaly. One number for each detector: `auroc` with its 90 % interval `auroc_interval` (detector, 2),
    `auprc` (whose chance level is `prevalence`), `best_f1` with its threshold `best_threshold`, `deployed_f1` at the
    fitted threshold (NaN for baselines), `precision_at_k`, and `fpr_at_95`, the false alarms where 95 % are found.
    """

    names: tuple[str, ...]
    scores: Array
    labels: Array
    auroc: Array
    auroc_interval: Array
    auprc: Array
    best_f1: Array
    best_threshold: Array
    deployed_f1: Array
    precision_at_k: Array
    fpr_at_95: Array
    k: int
    threshold: float
    status: Status
    origin: Origin

    @property
    def prevalence(self) -> float:
        """The share of anomalies, which is what chance reaches as AUPRC and precision."""
        return float(self.labels.mean())

    def table(self) -> list[dict[str, Any]]:
        """Give a row for each detector."""
        columns = ("auroc", "auprc", "best_f1", "best_threshold", "deployed_f1", "precision_at_k", "fpr_at_95")
        return [
            {"detector": name, **{c: float(getattr(self, c)[i]) for c in columns}, "prevalence": self.prevalence}
            for i, name in enumerate(self.names)
        ]

    def __repr__(self) -> str:
        said = ", ".join(f"{n} {a:.3f}" for n, a in zip(self.names, self.auroc, strict=True))
        return f"<Detection of {int(self.labels.sum())} anomalies in {len(self.labels)}: AUROC {said}: {self.status}>"


@dataclass(frozen=True)
class Event:
    """Steps in a row that are anomalous, `start` to `stop` (not included), with the largest score and where it is."""

    start: int
    stop: int
    peak: int
    score: float

    def __len__(self) -> int:
        """Count the steps."""
        return self.stop - self.start


@dataclass(frozen=True, eq=False)
class SeriesScores(Shown):
    """Scores along a series that is longer than the network's window.

    `signal` (time, channel) is in the series' own units; `starts` (window,) is where each window begins, `windows`
    (window,) what it scores; `points` (time,) is the `how` ("mean", "median", "min", "max") of the windows that cover a
    step, NaN where none does. `events` are runs of steps above the threshold.
    """

    signal: Array
    starts: Array
    windows: Array
    points: Array
    events: tuple[Event, ...]
    how: str
    steps: int
    calibration: Calibration
    rate: float | None
    status: Status
    origin: Origin
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def threshold(self) -> float:
        """The largest score that is still normal."""
        return self.calibration.threshold

    @property
    def flags(self) -> Array:
        """Whether each step lies in an event: (time,) bool."""
        found = np.zeros(len(self.points), bool)
        for e in self.events:
            found[e.start : e.stop] = True
        return found

    def __len__(self) -> int:
        """Count the steps."""
        return len(self.points)

    def __repr__(self) -> str:
        n = len(self.events)
        return f"<SeriesScores of {len(self):,} steps: {many(n, 'event')}, {self.status}>"
