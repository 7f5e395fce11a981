"""Thresholds from the scores of normal samples."""

from collections.abc import Callable
from math import ceil
from statistics import NormalDist

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import InputError, ParameterError, UnknownName
from xaikit.results import Calibration, Status

FEW = 20
"""Below so many normal samples a standard deviation is known to no better than a sixth."""
SURE = 0.9


def quantile(scores: Array, level: float) -> float:
    """The `level` quantile, between two scores by linear interpolation (Hyndman and Fan 1996, definition 7)."""
    return float(np.quantile(scores, level))


def mean_sd(scores: Array, k: float) -> float:
    """The mean and `k` standard deviations of the scores (divided by n)."""
    return float(scores.mean() + k * scores.std())


def median_mad(scores: Array, k: float) -> float:
    """The median and `k` times 1.4826 median absolute deviations, which are a normal distribution's standard deviation.

    A few anomalous samples among the normal ones do not move it (Leys et al. 2013).
    """
    median = np.median(scores)
    return float(median + k * 1.4826 * np.median(np.abs(scores - median)))


DEVIATIONS: dict[str, Callable[[Array, float], float]] = {"mean-sd": mean_sd, "median-mad": median_mad}
RULES = ("quantile", *DEVIATIONS)


def calibrate(scores: Array, rule: str = "quantile", level: float | None = None, k: float | None = None) -> Calibration:
    """The threshold that a rule sets from the scores (sample,) of normal samples, and how far it can be trusted.

    rule: "quantile", "mean-sd" or "median-mad". level: the share of normal samples that should stay below (0.99 where
    neither is given); the rules with deviations take k from it as if scores were normally distributed, or `k` itself.

    The status warns where there are too few samples for the level, where the scores do not spread, and where they
    contradict the normal distribution. Raises UnknownName, ParameterError, and InputError for scores that are no finite
    numbers or too few to have a spread.
    """
    level = level_of(rule, level, k)
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise InputError(
            f"the scores of the normal samples must be one finite number per sample, not an array of {scores.shape} "
            f"with {int(np.isfinite(scores).sum())} finite numbers"
        )
    threshold = _threshold(scores, rule, level, k)
    above = int((scores > threshold).sum())
    alarms = share_interval(above, len(scores))
    reasons = _doubts(scores, rule, level, above, alarms)
    return Calibration(scores, rule, level, k, threshold, alarms, Status("warn" if reasons else "ok", reasons))


def level_of(rule: str, level: float | None, k: float | None) -> float | None:
    """Give the level, 0.99 where nothing was asked, or None where `k` stands for it; raises as `calibrate`."""
    if rule not in RULES:
        raise UnknownName("rule", rule, RULES)
    if k is not None:
        if rule == "quantile" or level is not None:
            raise ParameterError(f"k={k!r} is for the rules {' and '.join(DEVIATIONS)}, in place of a level")
        if not np.isfinite(k):
            raise ParameterError(f"k is a finite number of deviations, not {k!r}")
        return None
    level = 0.99 if level is None else float(level)
    if not 0 < level < 1:
        raise ParameterError(f"level is the share of normal samples below the threshold, between 0 and 1, not {level}")
    return level


def _threshold(scores: Array, rule: str, level: float | None, k: float | None) -> float:
    if rule == "quantile":
        return quantile(scores, level or 0.0)
    if len(scores) < 2:
        raise InputError(f"the rule {rule} needs at least two normal samples to have a spread; 'quantile' does not")
    return DEVIATIONS[rule](scores, NormalDist().inv_cdf(level) if level is not None else k or 0.0)


def share_interval(count: int, of: int) -> tuple[float, float]:
    """The 90 % interval of the share of which `count` in `of` were seen (Clopper and Pearson 1934)."""
    from scipy.stats import beta

    tail = (1 - SURE) / 2
    low = 0.0 if count == 0 else float(beta.ppf(tail, count, of - count + 1))
    high = 1.0 if count == of else float(beta.ppf(1 - tail, count + 1, of - count))
    return low, high


def _doubts(scores: Array, rule: str, level: float | None, above: int, alarms: tuple[float, float]) -> tuple[str, ...]:
    found, n = [], len(scores)
    if rule == "quantile" and level is not None and n < (needed := ceil(round(1 / (1 - level), 6))):
        found.append(
            f"a level of {level:g} needs at least {needed:,} normal samples, and there {_are(n)}: the threshold is "
            f"hardly more than their largest score, and up to {alarms[1]:.0%} of new normal samples may lie above it"
        )
    if rule in DEVIATIONS and n < FEW:
        found.append(f"a spread from {n} normal samples is a guess: at least {FEW} are needed")
    if rule in DEVIATIONS and level is not None and not alarms[0] <= 1 - level <= alarms[1]:
        found.append(
            f"{above / n:.1%} of the normal samples lie above the threshold, not {1 - level:.1%}: their scores are not "
            f"normally distributed, as {rule} takes them to be; 'quantile' does not"
        )
    if scores.max() == scores.min():
        found.append("all normal samples have the same score, so that any larger one is flagged")
    elif rule == "median-mad" and np.median(np.abs(scores - np.median(scores))) == 0:
        found.append("more than half of the normal samples have the same score, so that the MAD is zero")
    return tuple(found)


def _are(n: int) -> str:
    return "is 1" if n == 1 else f"are {n:,}"
