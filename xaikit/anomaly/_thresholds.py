"""Thresholds from the scores of normal samples."""

from collections.abc import Callable, Mapping
from math import ceil
from statistics import NormalDist

import numpy as np

from xaikit.anomaly._tails import fit_tail
from xaikit.arrays import Array
from xaikit.errors import InputError, ParameterError, UnknownName
from xaikit.results import Calibration, Status

FEW = 20
"""Below so many normal samples a standard deviation is known to no better than a sixth."""
SURE = 0.9
FEW_IN_TAIL = 10
"""Below so many excesses the shape of a tail is a guess."""
APART = 5.0
"""From so many of their own standard deviations on, two groups of scores are two populations: one normal distribution
cut in the middle has 2.65, a uniform one 3.46."""


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


def alert_rate(scores: Array, level: float) -> float:
    """The smallest score that at most 1 - `level` of new normal samples exceed on average: the ⌈(n+1)·level⌉-th.

    So it holds for few samples too (split conformal prediction, Vovk et al. 2005), if there are 1/(1 - level) - 1
    of them; with fewer no score is high enough, and the largest is given.
    """
    place = ceil(round((len(scores) + 1) * level, 6))
    return float(np.sort(scores)[min(place, len(scores)) - 1])


def pot(scores: Array, level: float, quick: bool = False) -> tuple[float, dict[str, float]]:
    """The score that 1 - `level` of normal samples exceed, by the tail's distribution: peaks over threshold.

    It reaches beyond the largest score, where a quantile cannot (Siffer et al. 2017). Without a tail that spreads it is
    the quantile. With its diagnostics.
    """
    tail = fit_tail(scores, level, quick)
    if tail is None:
        return quantile(scores, level), {"start": quantile(scores, level), "excesses": 0.0}
    found = {
        "start": tail.start,
        "excesses": float(tail.count),
        "shape": tail.shape,
        "scale": tail.scale,
        "distance": tail.distance,
        "chance": tail.chance,
    }
    return tail.exceeded_by(1 - level), found


def best_f1(scores: Array, anomalous: Array) -> tuple[float, float]:
    """The threshold with the largest F1 of finding `anomalous` among both, and that F1.

    Of all cuts between two neighbouring scores the first best; the threshold is the larger normal side of the cut.
    """
    both = np.concatenate([scores, anomalous])
    bad = np.concatenate([np.zeros(len(scores)), np.ones(len(anomalous))])
    order = np.argsort(-both, kind="stable")
    caught = np.cumsum(bad[order])
    f1 = 2 * caught / (np.arange(1, len(both) + 1) + len(anomalous))
    ranked = both[order]
    ends = np.append(ranked[1:] < ranked[:-1], True)
    best = int(np.argmax(np.where(ends, f1, -1)))
    below = float(ranked[best + 1]) if best + 1 < len(ranked) else float(np.nextafter(ranked[best], -np.inf))
    return below, float(f1[best])


DEVIATIONS: dict[str, Callable[[Array, float], float]] = {"mean-sd": mean_sd, "median-mad": median_mad}
LEVELS: dict[str, Callable[[Array, float], float]] = {
    "quantile": quantile,
    "pot": lambda scores, level: pot(scores, level)[0],
    "alert-rate": alert_rate,
}
RULES = ("quantile", *DEVIATIONS, "pot", "alert-rate")
"""The rules that need normal samples only."""
LABELLED = "best-f1"
"""The rule that needs anomalies too."""


def calibrate(
    scores: Array,
    rule: str = "quantile",
    level: float | None = None,
    *,
    k: float | None = None,
    anomalous: Array | None = None,
    explained: float | None = None,
) -> Calibration:
    """The threshold that a rule sets from the scores (sample,) of normal samples, and how far it can be trusted.

    rule: "quantile"; "mean-sd" or "median-mad", a middle and k deviations; "pot", a quantile from the fitted tail, also
    beyond the largest score; "alert-rate", at most 1 - level of new normal samples on average, however few were seen;
    "best-f1", the largest F1 on the scores of `anomalous` samples beside the normal ones. level: the share of normal
    samples that should stay below (0.99 where neither is given); the rules with deviations take k from it as if scores
    were normally distributed, or `k` itself; "best-f1" takes neither. explained: the share of the normal samples'
    variance that the network gives back.

    The status warns where there are too few samples for the level, where the scores do not spread, where they
    contradict the normal distribution or the tail, where they look like those of two populations, as when there are
    anomalies among the normal samples, and where the network gives these back no better than their mean would. Raises
    UnknownName, ParameterError, and InputError for scores that are no finite numbers or too few to have a spread.
    Source: Leys et al., "Detecting outliers" (2013) for "median-mad"; Siffer et al., "Anomaly Detection in Streams with
    Extreme Value Theory" (2017) for "pot"; Vovk et al., "Algorithmic Learning in a Random World" (2005) for
    "alert-rate".
    """
    level = level_of(rule, level, k, anomalous is not None)
    scores = np.asarray(scores, np.float64)
    _require_numbers(scores, "normal")
    if anomalous is not None:
        anomalous = np.asarray(anomalous, np.float64)
        _require_numbers(anomalous, "anomalous")
    threshold, diagnostics = threshold_of(scores, rule, level, k, anomalous)
    above = int((scores > threshold).sum())
    alarms = share_interval(above, len(scores))
    reasons = (
        *_strange(explained),
        *_doubts(scores, rule, level, above, alarms),
        *_tail_doubts(rule, diagnostics),
        *_mixed(scores),
    )
    status = Status("warn" if reasons else "ok", reasons)
    return Calibration(scores, rule, level, k, threshold, alarms, status, anomalous, diagnostics, explained)


def _require_numbers(scores: Array, kind: str) -> None:
    if scores.ndim != 1 or not len(scores) or not np.isfinite(scores).all():
        raise InputError(
            f"the scores of the {kind} samples must be one finite number per sample, not an array of {scores.shape} "
            f"with {int(np.isfinite(scores).sum())} finite numbers"
        )


def level_of(rule: str, level: float | None, k: float | None, labelled: bool = False) -> float | None:
    """Give the level, 0.99 where nothing was asked, or None where `k` or labels stand for it; raises as `calibrate`."""
    if rule not in (*RULES, LABELLED):
        raise UnknownName("rule", rule, (*RULES, LABELLED))
    if rule == LABELLED and not labelled:
        raise ParameterError(f"the rule {rule} needs anomalous samples beside the normal ones: give anomalous=")
    if rule != LABELLED and labelled:
        raise ParameterError(f"anomalous samples are for the rule {LABELLED}; {rule} takes normal ones only")
    if rule == LABELLED:
        if level is not None or k is not None:
            raise ParameterError(f"the rule {rule} takes neither level nor k: the labels set the threshold")
        return None
    if k is not None:
        if rule not in DEVIATIONS or level is not None:
            raise ParameterError(f"k={k!r} is for the rules {' and '.join(DEVIATIONS)}, in place of a level")
        if not np.isfinite(k):
            raise ParameterError(f"k is a finite number of deviations, not {k!r}")
        return None
    level = 0.99 if level is None else float(level)
    if not 0 < level < 1:
        raise ParameterError(f"level is the share of normal samples below the threshold, between 0 and 1, not {level}")
    return level


def threshold_of(
    scores: Array,
    rule: str,
    level: float | None,
    k: float | None,
    anomalous: Array | None = None,
    quick: bool = False,
) -> tuple[float, Mapping[str, float]]:
    """Give the threshold of a rule, with its diagnostics; `quick` where it is one of many."""
    if rule == LABELLED and anomalous is not None:
        threshold, f1 = best_f1(scores, anomalous)
        return threshold, {"f1": f1, "anomalous_samples": float(len(anomalous))}
    if rule == "pot":
        return pot(scores, level or 0.0, quick)
    if rule in LEVELS:
        return LEVELS[rule](scores, level or 0.0), {}
    if len(scores) < 2:
        raise InputError(f"the rule {rule} needs at least two normal samples to have a spread; 'quantile' does not")
    return DEVIATIONS[rule](scores, NormalDist().inv_cdf(level) if level is not None else k or 0.0), {}


def share_interval(count: int, of: int) -> tuple[float, float]:
    """The 90 % interval of the share of which `count` in `of` were seen (Clopper and Pearson 1934)."""
    from scipy.stats import beta

    tail = (1 - SURE) / 2
    low = 0.0 if count == 0 else float(beta.ppf(tail, count, of - count + 1))
    high = 1.0 if count == of else float(beta.ppf(1 - tail, count + 1, of - count))
    return low, high


def _doubts(scores: Array, rule: str, level: float | None, above: int, alarms: tuple[float, float]) -> tuple[str, ...]:
    found, n = [], len(scores)
    short = level is not None and n < (needed := ceil(round(1 / (1 - level), 6)) - (rule == "alert-rate"))
    if rule in ("quantile", "alert-rate") and short:
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


def _strange(explained: float | None) -> tuple[str, ...]:
    if explained is None or explained > 0:
        return ()
    return (
        f"the network gives the normal samples back no better than their mean would (R² {explained:.2g}): it was "
        "trained on others, or they are not prepared as those were",
    )


def _tail_doubts(rule: str, diagnostics: Mapping[str, float]) -> tuple[str, ...]:
    if rule != "pot":
        return ()
    found, count = [], int(diagnostics["excesses"])
    if count < FEW_IN_TAIL:
        found.append(
            f"the tail is fitted to {count} normal scores: at least {FEW_IN_TAIL} are needed, so more normal samples"
        )
    elif diagnostics["chance"] < 0.01:
        found.append(
            f"the largest normal scores do not follow the fitted tail (distance {diagnostics['distance']:.2f}): "
            "'quantile' takes no shape for granted"
        )
    if diagnostics.get("shape", 0.0) > 0.5:
        found.append(f"the tail is heavy (shape {diagnostics['shape']:.2f}), so that few scores decide the threshold")
    return tuple(found)


def _mixed(scores: Array) -> tuple[str, ...]:
    """Say so where normal scores, on a logarithmic axis, fall into two groups far apart, or a few lie far outside."""
    n = len(scores)
    if n < FEW or scores.min() <= 0 or scores.max() == scores.min():
        return ()
    logs = np.sort(np.log(scores))
    count, apart = _upper_group(logs)
    if count >= max(3, 0.02 * n) and apart > APART:
        return (
            f"the normal samples fall into two groups, the upper one of {count} ({count / n:.0%}) with far larger "
            "scores: look whether there are anomalies among them",
        )
    low, high = np.quantile(logs, [0.25, 0.75])
    far = int((logs > high + 3 * (high - low)).sum())
    if far and far / n > 0.005:
        return (
            f"{far} of {n:,} normal samples have scores far outside the others' (beyond three times the middle half on "
            "a logarithmic axis): look whether they are anomalies",
        )
    return ()


def _upper_group(logs: Array) -> tuple[int, float]:
    """Cut sorted numbers where both sides vary least (Otsu 1979): count of the upper side, and how far apart."""
    n = len(logs)
    below = np.arange(1, n)
    sums, squares = np.cumsum(logs)[:-1], np.cumsum(logs**2)[:-1]
    low, high = sums / below, (logs.sum() - sums) / (n - below)
    within = (squares - below * low**2) + (np.sum(logs**2) - squares - (n - below) * high**2)
    cut = int(np.argmin(within))
    spread = np.sqrt(max(within[cut] / n, 1e-24))
    return n - 1 - cut, float((high[cut] - low[cut]) / spread)


def _are(n: int) -> str:
    return "is 1" if n == 1 else f"are {n:,}"
