"""How unusual samples are, and which of their parts make them so."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.results._origin import Origin, Shown, Status, alone


@dataclass(frozen=True, eq=False)
class Calibration(Shown):
    """Where the threshold of an anomaly score comes from.

    `scores` (sample,) are those of the normal samples. `rule` set `threshold` from them: with `level`, the share of
    normal samples that should stay below, or with `k` deviations. `false_alarms` is the 90 % interval of the share of
    new normal samples that will be flagged (Clopper and Pearson 1934, from those of `scores` above the threshold).

    `anomalous` (sample,) are the scores of known anomalies, which the rule "best-f1" takes. `diagnostics` are numbers
    that the rule has found on its way: for "pot" where the tail begins, how many scores it has, its shape and scale,
    and how far the fitted tail is from them (Kolmogorov and Smirnov's distance, with what chance would give); for
    "best-f1" the F1. `explained` is the share of the normal samples' variance that the network gives back (R²), None
    where that was not measured.
    """

    scores: Array
    rule: str
    level: float | None
    k: float | None
    threshold: float
    false_alarms: tuple[float, float]
    status: Status
    anomalous: Array | None = None
    diagnostics: Mapping[str, float] = field(default_factory=dict)
    explained: float | None = None

    def __len__(self) -> int:
        """Count the normal samples."""
        return len(self.scores)

    def __repr__(self) -> str:
        asked = f"k {self.k:g}" if self.k is not None else "labels" if self.level is None else f"level {self.level:g}"
        return f"<Calibration {self.rule} ({asked}) of {len(self)} normal samples: {self.threshold:.4g}, {self.status}>"


@dataclass(frozen=True, eq=False)
class AnomalyScores(Shown):
    """How far each sample is from what the network gives back, and whether that is more than normal samples show.

    `values` (sample,) are the reconstruction errors, `contributions` (sample, *input) with `axes` names their exact
    parts: those of a sample sum to its value, since each place's squared or absolute difference is divided by the
    number of places. `x` and `reconstruction` (sample, *input) are in the network's units, `display` is what a person
    sees. `error` is the name of the score, of `xk.anomaly.SCORES`.

    Scores of the code (its distance from normal ones, its divergence) have parts in `code` (sample, number) too: there
    `contributions` and `code` together sum to the value.
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
    code: Array | None = None

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
        s = alone(i, len(self))
        return replace(
            self,
            values=self.values[s],
            contributions=self.contributions[s],
            x=self.x[s],
            reconstruction=self.reconstruction[s],
            display=self.display[s],
            code=None if self.code is None else self.code[s],
            origin=replace(self.origin, input_hash=self.origin.input_hash[s]),
        )

    def __iter__(self) -> Iterator["AnomalyScores"]:
        """Give the samples one by one."""
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        flagged = f"{int(self.flags.sum())} of {len(self)} anomalous"
        return f"<AnomalyScores of {self.origin.model}: {flagged}, threshold {self.threshold:.4g}: {self.status}>"
