"""The tail of normal scores: a generalised Pareto distribution of what exceeds a high score."""

from dataclasses import dataclass

import numpy as np

from xaikit.arrays import Array

START = 0.98
"""The tail begins at this quantile, or lower where the level asked for is not beyond it."""


@dataclass(frozen=True)
class Tail:
    """P(excess over `start` > y) = (1 + shape · y / scale)^(-1/shape), of the `count` largest among `total` scores."""

    start: float
    count: int
    total: int
    shape: float
    scale: float
    distance: float
    chance: float

    def exceeded_by(self, share: float) -> float:
        """Give the score that a `share` of normal samples exceeds (Siffer et al. 2017, eq. 1)."""
        ratio = share * self.total / self.count
        if abs(self.shape) < 1e-9:
            return float(self.start - self.scale * np.log(ratio))
        return float(self.start + self.scale / self.shape * (ratio**-self.shape - 1))


def fit_tail(scores: Array, level: float, quick: bool = False) -> Tail | None:
    """Fit the tail from which on the `level` quantile is found; None where fewer than two scores spread beyond it.

    By scipy, whose numbers other tools have too; `quick` by `pareto`, as resampling needs it, hardly different.
    """
    start = float(np.quantile(scores, min(START, max(0.0, 1 - 2 * (1 - level)))))
    excess = scores[scores > start] - start
    if len(excess) < 2 or excess.max() <= 0 or np.ptp(excess) == 0:
        return None
    shape, scale = pareto(excess) if quick else _by_scipy(excess)
    distance, chance = _distance(excess, shape, scale)
    return Tail(start, len(excess), len(scores), shape, scale, distance, chance)


def _by_scipy(excess: Array) -> tuple[float, float]:
    from scipy.stats import FitError, genpareto

    try:
        with np.errstate(all="ignore"):
            shape, _, scale = genpareto.fit(excess, floc=0)
    except FitError:
        return pareto(excess)
    return float(shape), float(scale)


def pareto(excess: Array) -> tuple[float, float]:
    """Give the shape and scale of the most likely generalised Pareto distribution of excesses (n,) above 0.

    With θ = shape / scale the best shape is the mean of log(1 + θ y), so that one number is searched for (Grimshaw
    1993); shapes below -1, where the likelihood has no bound, are left out.
    """
    from scipy.optimize import minimize_scalar

    y = np.asarray(excess, np.float64)
    longest = float(y.max())

    def lost(v: float) -> float:
        theta = np.expm1(v) / longest
        if abs(v) < 1e-7:
            return float(np.log(y.mean()) + 1)
        shape = float(np.mean(np.log1p(theta * y)))
        return float(np.log(shape / theta) + shape + 1) if shape > -1 else 1e100

    grid = np.linspace(-6, 6, 121)
    best = int(np.argmin([lost(v) for v in grid]))
    around = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    v = float(minimize_scalar(lost, bounds=around, method="bounded", options={"xatol": 1e-10}).x)
    if abs(v) < 1e-7:
        return 0.0, float(y.mean())
    theta = float(np.expm1(v)) / longest
    shape = float(np.mean(np.log1p(theta * y)))
    return shape, shape / theta


def survival(excess: Array, shape: float, scale: float) -> Array:
    """The share of the tail beyond each excess."""
    y = np.asarray(excess, np.float64) / scale
    if abs(shape) < 1e-9:
        return np.asarray(np.exp(-y))
    return np.asarray(np.maximum(1 + shape * y, 0) ** (-1 / shape))


def _distance(excess: Array, shape: float, scale: float) -> tuple[float, float]:
    """Kolmogorov and Smirnov's distance, and the chance of one as large, were shape and scale not fitted."""
    from scipy.stats import kstest

    found = kstest(excess, lambda y: 1 - survival(y, shape, scale))
    return float(found.statistic), float(found.pvalue)
