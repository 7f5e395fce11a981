"""What workers do for the page Anomalies: detectors, what they say of samples and series, and why."""

from dataclasses import replace
from functools import lru_cache

import numpy as np

from xaikit.anomaly import Detector, calibrate, fit, forecasting, latent, masking
from xaikit.arrays import Array
from xaikit.errors import InputError, UnknownName
from xaikit.jobs import Unit
from xaikit.model import Model, canonical_hash
from xaikit.progress import Progress
from xaikit.results import (
    AnomalyExplanation,
    AnomalyScores,
    Calibration,
    Decoded,
    Detection,
    DetectorRecord,
    SeriesScores,
    ThresholdReport,
)
from xaikit_app.work._asking import Known, add, asked

DETECTOR = {"rule": "quantile", "level": 0.99, "score": None, "through": "whole", "threshold": None}
"""What makes a detector; a `threshold` that is given stands in place of the rule's."""
KNOWN: Known = {
    "app-anomaly": DETECTOR,
    "app-anomaly-why": DETECTOR,
    "app-anomaly-way": DETECTOR,
    "app-detector": DETECTOR,
    "app-detection": DETECTOR,
    "app-thresholds": DETECTOR,
    "app-stream": {**DETECTOR, "stride": 1, "how": "mean", "gap": 0, "shortest": 1},
}
TAIL = 0.05
"""What lies beyond each end of an interval of 90 %."""
THROUGH = ("whole", "masked", "forecast")
"""How a network gives its input again: at once, each patch from its surroundings, or what it forecasts."""


def anomaly_scores(model: Model, unit: Unit, progress: Progress) -> AnomalyScores:
    """Score `samples` with a detector that was fitted on `normal` samples; None: on themselves, for want of any."""
    return _detector(model, unit, progress).score(unit.input["samples"])


def reasons(model: Model, unit: Unit, progress: Progress) -> AnomalyExplanation:
    """Say why one sample is anomalous, and the least that would make it normal."""
    return _detector(model, unit, progress).explain(unit.input["samples"][0], seed=unit.seed)


def way(model: Model, unit: Unit, progress: Progress) -> Decoded:
    """Give the way from a sample to the nearest normal one, through the code."""
    return latent.to_normal(_detector(model, unit, progress), unit.input["samples"][0])


def record(model: Model, unit: Unit, progress: Progress) -> DetectorRecord:
    """Give the detector itself, to be taken along."""
    return _detector(model, unit, progress).record()


def detection(model: Model, unit: Unit, progress: Progress) -> Detection:
    """Say how well the detector tells the `bad` samples from the `good` ones, beside trivial detectors."""
    found = _detector(model, unit, progress)
    return found.evaluate(unit.input["good"], unit.input["bad"], seed=unit.seed)


def thresholds(model: Model, unit: Unit, progress: Progress) -> ThresholdReport:
    """Set the thresholds of all rules side by side."""
    return _detector(model, unit, progress).thresholds(level=asked(unit, KNOWN)["level"], seed=unit.seed)


def series_scores(model: Model, unit: Unit, progress: Progress) -> SeriesScores:
    """Score a series that is longer than the network's window, with its events."""
    said = asked(unit, KNOWN)
    how = {name: said[name] for name in ("stride", "how", "gap", "shortest")}
    return _detector(model, unit, progress).stream(unit.input["series"], progress=progress, **how)


def _detector(model: Model, unit: Unit, progress: Progress) -> Detector:
    said = asked(unit, KNOWN)
    if said["through"] not in THROUGH:
        raise UnknownName("way to give the input again", said["through"], THROUGH)
    normal = unit.input["normal"]
    normal = np.asarray(unit.input["samples"] if normal is None else normal)
    detector = _fitted(_Normal(model, normal, said["through"], said["score"], progress))
    found = detector.using(said["rule"], said["level"])
    if said["threshold"] is None:
        return found
    return replace(found, calibration=by_hand(found.calibration, said["threshold"]))


def by_hand(calibration: Calibration, threshold: float) -> Calibration:
    """Give a calibration whose threshold a person has set; its level is the share of normal samples below it."""
    if not np.isfinite(threshold):
        raise InputError("a threshold is a finite number")
    above, n = int((calibration.scores > threshold).sum()), len(calibration)
    rare = TAIL ** (1 / n)  # the ends of an interval of Clopper and Pearson where none or all were seen
    if 0 < above < n:
        alarms = calibrate(calibration.scores, "quantile", 1 - above / n).false_alarms
    else:
        alarms = (0.0, 1 - rare) if above == 0 else (rare, 1.0)
    return replace(
        calibration,
        rule="quantile",
        threshold=float(threshold),
        level=1 - above / n,
        k=None,
        false_alarms=alarms,
        diagnostics={},
    )


class _Normal:
    """Normal samples of a model and what is asked of it, equal to others of the same content."""

    def __init__(self, model: Model, normal: Array, through: str, score: str | None, progress: Progress) -> None:
        self.model, self.normal, self.through, self.score, self.progress = model, normal, through, score, progress
        self.key = (id(model), canonical_hash({"": normal}), through, score)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Normal) and self.key == other.key


@lru_cache(maxsize=2)
def _fitted(of: _Normal) -> Detector:
    """Run the network over normal samples, once for all that is scored afterwards."""
    model = {"whole": lambda m: m, "masked": masking, "forecast": forecasting}[of.through](of.model)
    return fit(model, of.normal, score=of.score, progress=of.progress)


add(
    KNOWN,
    {
        "app-anomaly": anomaly_scores,
        "app-anomaly-why": reasons,
        "app-anomaly-way": way,
        "app-detector": record,
        "app-detection": detection,
        "app-thresholds": thresholds,
        "app-stream": series_scores,
    },
    3,
)
