"""From quality figures to a verdict: the thresholds, and the reasons in words."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.results._origin import Status

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
    elif values.size and not values.reshape(len(values), -1).any(1).all():
        warns.append(_silent(quality))
    if any(not np.isfinite(quality[key]).all() for key in SCORES if key in quality):
        fails.append("the score is not finite, or not while parts are hidden: what was measured of it says nothing")
    gap = float(np.max(_gaps(quality), initial=0.0)) if "completeness_gap_relative" in quality else 0.0
    if not gap <= GAP_WARN:
        (fails if not gap <= GAP_FAIL else warns).append(f"completeness gap {gap:.1%} of f(x) - f(baseline)")
    r2 = _worst(quality, "surrogate_r2", np.min)
    if r2 is not None and not r2 >= R2_WARN:
        (fails if not r2 >= R2_FAIL else warns).append(f"the surrogate explains R² = {r2:.2f} of the model's changes")
    if "advantage" in quality:
        advantage, parts = _beside_parts(quality, "advantage", otherwise=0)
        short = advantage < needed(parts)
        if short.any():
            fails.append(
                "no better than random maps: hiding and showing parts in its order changes the score "
                f"{advantage[short].min():.1f} standard deviations more than random orders do"
            )
    agreement = _worst(quality, "rank_agreement", _least)
    if agreement is not None and agreement < AGREEMENT_WARN:
        warns.append(f"other seeds give another order: rank agreement {agreement:.2f}")
    if "randomised_similarity" in quality:
        left, parts = _beside_parts(quality, "randomised_similarity", otherwise=MANY)
        kept = left > _by_chance(parts)
        if kept.any():
            alike = f"rank correlation {left[kept].max():.2f} with random ones"
            warns.append(f"the map hardly depends on the weights: {alike}")
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
    """Give numbers of samples, and how many parts each sample has."""
    numbers = np.asarray(quality[key])
    parts = np.asarray(quality.get("ranked_parts", np.full(len(numbers), otherwise)))
    return numbers, parts[: len(numbers)]


def needed(parts: Array) -> Array:
    return np.where(np.asarray(parts) >= MANY, ADVANTAGE_FAIL_MANY, ADVANTAGE_FAIL)


def _by_chance(parts: Array) -> Array:
    """The rank correlation above which maps are alike: 0.7, or what one in a hundred random maps of few parts has."""
    return np.maximum(RANDOMISED_WARN, 2.33 / np.sqrt(np.maximum(np.asarray(parts) - 1, 1)))


def _gaps(quality: Mapping[str, Array]) -> Array:
    """Give the relative completeness gaps (sample,), 0 where the gap is within the rounding of the scores."""
    relative = np.asarray(quality["completeness_gap_relative"], np.float64)
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
