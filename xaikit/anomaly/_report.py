"""Thresholds side by side, with what chance would change."""

from collections.abc import Sequence

import numpy as np

from xaikit.anomaly._thresholds import LABELLED, RULES, SURE, calibrate, threshold_of
from xaikit.arrays import Array
from xaikit.errors import ParameterError
from xaikit.results import Calibration, Status, ThresholdReport


def threshold_report(
    scores: Array,
    rules: Sequence[str] | None = None,
    level: float = 0.99,
    *,
    anomalous: Array | None = None,
    draws: int = 200,
    seed: int = 0,
) -> ThresholdReport:
    """The thresholds of several rules on the scores (sample,) of normal samples, with their intervals.

    rules: by default all that need normal samples only, and "best-f1" where the scores of `anomalous` samples are
    given. Each of `draws` times the samples are drawn anew, with replacement, and the threshold set again; the samples
    that a draw has left out, about a third, say which share it would flag. Raises as `calibrate`.
    Source: Efron, "Bootstrap methods: another look at the jackknife" (1979).
    """
    if draws < 10:
        raise ParameterError(f"an interval needs at least 10 draws, not {draws}")
    rules = (*RULES, *([LABELLED] if anomalous is not None else [])) if rules is None else tuple(rules)
    found = tuple(
        calibrate(scores, r, None if r == LABELLED else level, anomalous=anomalous if r == LABELLED else None)
        for r in rules
    )
    drawn = [_drawn(c, draws, seed) for c in found]
    tails = [(1 - SURE) / 2, (1 + SURE) / 2]
    worst = [c.status for c in found if c.status != "ok"]
    reasons = tuple(dict.fromkeys(f"{c.rule}: {r}" for c in found for r in c.status.reasons))
    return ThresholdReport(
        found,
        np.array([np.quantile(t, tails) for t, _ in drawn]),
        np.array([a.mean() for _, a in drawn]),
        np.array([np.quantile(a, tails) for _, a in drawn]),
        draws,
        seed,
        Status("warn" if worst else "ok", reasons),
    )


def _drawn(c: Calibration, draws: int, seed: int) -> tuple[Array, Array]:
    """Give the threshold of every draw, and the share of what it has left out that lies above it."""
    rng, n = np.random.default_rng(seed), len(c)
    thresholds, alerts = np.zeros(draws), np.zeros(draws)
    for i in range(draws):
        chosen = rng.integers(0, n, n)
        others = None if c.anomalous is None else rng.choice(c.anomalous, len(c.anomalous))
        thresholds[i] = threshold_of(c.scores[chosen], c.rule, c.level, c.k, others, quick=True)[0]
        left = np.delete(c.scores, chosen)
        alerts[i] = np.mean((left if len(left) else c.scores) > thresholds[i])
    return thresholds, alerts
