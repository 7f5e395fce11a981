"""Anomalies: what a network that gives its input again cannot give, and from where on that is unusual."""

from xaikit.anomaly import latent
from xaikit.anomaly._detector import Detector, fit
from xaikit.anomaly._explanation import explain
from xaikit.anomaly._metrics import evaluate, event_scores, pro
from xaikit.anomaly._reconstructing import forecasting, masking
from xaikit.anomaly._report import threshold_report
from xaikit.anomaly._scores import SCORES
from xaikit.anomaly._stream import stream
from xaikit.anomaly._thresholds import RULES, calibrate

__all__ = [
    "RULES",
    "SCORES",
    "Detector",
    "calibrate",
    "evaluate",
    "event_scores",
    "explain",
    "fit",
    "forecasting",
    "latent",
    "masking",
    "pro",
    "stream",
    "threshold_report",
]
