"""Solvers: from coalitions and what the model said of them to one value per part."""

from dataclasses import dataclass
from functools import cache
from math import factorial
from typing import Literal

import numpy as np

from xaikit.arrays import Array, chunks
from xaikit.perturb.coalitions import Walks


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A linear model of the masked scores: `values` (part,), `intercept`, its weighted `r2`, what it `predicts` for the
    sample itself, and the standard `error` of its values, the mean over the parts relative to the largest value."""

    values: Array
    intercept: float
    r2: float
    predicts: float
    error: float


def surrogate(
    masks: Array,
    scores: Array,
    kernel_width: float,
    alpha: float = 1.0,
    scale: float | None = None,
    distance: Literal["cosine", "euclidean"] = "cosine",
    lasso: bool = False,
) -> Surrogate:
    """Fit scores (coalition,) on masks (coalition, part) by ridge regression, near coalitions first.

    A coalition has the weight sqrt(exp(-d²/kernel_width²)), d its cosine distance from all parts, or the euclidean one
    as a share of the largest. Equal to the lime package's fit with all features. Source: Ribeiro, Singh and Guestrin,
    "Why Should I Trust You?" (2016), sections 3.3 and 3.4. Fewer than two coalitions give NaN. `scale` is the size of
    the scores, of which float32's rounding is a share: by default their largest; of probabilities p that were taken
    from logits, p(1 - p) times the logits' own.
    Errors hold whatever the variance of the residuals: White, "A heteroskedasticity-consistent covariance matrix
    estimator" (1980), theorem 1.
    """
    y, parts = np.asarray(scores, np.float64), masks.shape[1]
    if len(y) < 2:
        return Surrogate(np.full(parts, np.nan), np.nan, np.nan, np.nan, np.nan)
    weights = weights_of(masks, kernel_width, distance)
    mean = float(np.average(y, weights=weights))
    yc, root = y - mean, np.sqrt(weights)
    if np.ptp(y) == 0:
        return Surrogate(np.zeros(parts), mean, 1.0, mean, 0.0)
    # All sums of the normal equations are in one product of a matrix with itself, which takes BLAS half the time.
    A = _beside(masks, np.stack([np.ones(len(y)), yc], axis=1), root)
    gram = A.T @ A
    total = gram[parts, parts]
    middle = gram[parts, :parts] / total
    normal = gram[:parts, :parts] - total * np.outer(middle, middle)
    inverse = np.linalg.inv(normal + alpha * np.eye(parts))
    values = _lasso(masks - middle, yc, weights, alpha) if lasso else inverse @ gram[parts + 1, :parts]
    intercept = float(mean - middle @ values)
    residual = yc - (A @ np.concatenate([values, [-middle @ values, 0]])) / root
    return Surrogate(
        values,
        intercept,
        _r2(yc, residual, weights, np.abs(y).max() if scale is None else scale),
        float(intercept + values.sum()),
        _relative(inverse, masks, middle, weights * residual, values),
    )


def weights_of(masks: Array, kernel_width: float, distance: str = "cosine") -> Array:
    """Give the weight of every coalition by its distance from all parts, as in `surrogate`: (coalition,)."""
    shown = np.count_nonzero(masks, axis=1) / max(masks.shape[1], 1)
    apart = (1 - np.sqrt(shown)) ** 2 if distance == "cosine" else 1 - shown
    return np.asarray(np.sqrt(np.exp(-apart / kernel_width**2)))


def _beside(masks: Array, columns: Array, factor: Array) -> Array:
    """Give rows of bools beside columns of numbers, each row times its factor, in the columns' type."""
    parts = masks.shape[1]
    found = np.empty((len(masks), parts + columns.shape[1]), columns.dtype)
    found[:, :parts], found[:, parts:] = masks, columns
    found *= factor[:, None]
    return found


def _lasso(Z: Array, y: Array, weights: Array, alpha: float) -> Array:
    """Give the coefficients b that make Σ w (y - Z b)² / (2 Σ w) + alpha |b|₁ least; Z and y are centred.

    Source: Tibshirani, "Regression Shrinkage and Selection via the Lasso" (1996), section 1.
    """
    from sklearn.linear_model import Lasso

    found = Lasso(alpha=alpha, fit_intercept=False, tol=1e-10, max_iter=100_000).fit(Z, y, sample_weight=weights)
    return np.asarray(found.coef_)


def _relative(inverse: Array, masks: Array, middle: Array, pull: Array, values: Array) -> float:
    """Give the mean standard error of inverse · Σ pull (mask - middle), relative to the largest value.

    The terms of the sum are independent. Without spare ones beyond the coefficients fitted to them the residuals say
    nothing, and the error is NaN.
    """
    count, parts = masks.shape
    largest, most = np.abs(values).max(initial=0), np.abs(pull).max(initial=0)
    if count - parts - 1 < 1:
        return float("nan")
    if not largest or not most:
        return 0.0
    # An error needs no more digits than float32 has, with the largest term as the unit.
    B = _beside(masks, np.ones((count, 1), np.float32), (pull / most).astype(np.float32))
    sums = (B.T @ B).astype(np.float64)
    cross = np.outer(sums[parts, :parts], middle)
    scatter = sums[:parts, :parts] - cross - cross.T + sums[parts, parts] * np.outer(middle, middle)
    variance = np.einsum("ij,ij->i", inverse @ scatter, inverse)
    error = np.sqrt(np.maximum(variance, 0) * (count / (count - parts - 1))).mean() * most
    return float(error / largest)


def _r2(centred: Array, residual: Array, weights: Array, scale: float) -> float:
    """The weighted share of variance explained; 1 where scores of this scale do not vary beyond float32's rounding."""
    variance, left = np.average(centred**2, weights=weights), np.average(residual**2, weights=weights)
    rounding = (4 * np.finfo(np.float32).eps * scale) ** 2
    return 1.0 if variance <= rounding else float(1 - left / variance)


def shapley_values(masks: Array, scores: Array) -> Array:
    """Give the Shapley values (part,) of a game of which all 2^n coalitions are known.

    φ_k = Σ over coalitions S without k of |S|! (n - |S| - 1)!/n! · (v(S ∪ k) - v(S)). Source: Shapley, "A value for
    n-person games" (1953).
    """
    n = masks.shape[1]
    weight = np.array([factorial(s) * factorial(n - s - 1) / factorial(n) for s in range(n)])
    size = masks.sum(1)
    joins = weight[np.maximum(size - 1, 0)][:, None] * masks
    lacks = weight[np.minimum(size, n - 1)][:, None] * ~masks
    return np.asarray(np.asarray(scores, np.float64) @ (joins - lacks))


def walked(game: Walks, scores: Array, known: Array) -> tuple[Array, Array]:
    """Give the mean of what each part adds when it joins (part,), and its standard error over the pairs of orders.

    Orders of which a coalition is not `known` are left out; if no order is whole, the first one stands with what is
    known, and what lies between is shared evenly among the parts that joined there. Source: Castro, Gómez and Tejada,
    "Polynomial calculation of the Shapley value based on sampling" (2009), section 3.
    """
    orders, n = game.orders, game.masks.shape[1]
    ends = np.broadcast_to([[1], [0]], (2, len(orders)))
    between = np.arange(2, len(game.masks)).reshape(len(orders), -1)
    rows = np.concatenate([ends[:1].T, between, ends[1:].T], axis=1)
    path, whole = np.asarray(scores, np.float64)[rows], known[rows].all(1)
    if not whole.any():
        at = np.flatnonzero(known[rows[0]])
        path, orders, whole = np.interp(np.arange(n + 1), at, path[0, at])[None], orders[:1], np.ones(1, bool)
    gains = np.empty(orders.shape)
    np.put_along_axis(gains, orders, np.diff(path, axis=1), axis=1)
    both = whole[: len(whole) // 2 * 2].reshape(-1, 2).all(1)
    pairs = gains[: 2 * len(both)].reshape(-1, 2, n)[both].mean(1)
    return gains[whole].mean(0), standard_error(pairs)


def standard_error(draws: Array) -> Array:
    """Give the standard error of the mean over independent draws (draw, ...); NaN for fewer than two."""
    if len(draws) < 2:
        return np.full(draws.shape[1:], np.nan)
    return np.asarray(draws.std(0, ddof=1) / np.sqrt(len(draws)))


def shapley_regression(masks: Array, scores: Array, weights: Array, drawn: Array) -> tuple[Array, Array]:
    """Give estimated Shapley values (part,) and their standard errors (part,).

    The first row of `masks` shows all parts, the second none; the others come with their weights. Minimises
    Σ w (v(z) - v(∅) - z·φ)² under Σφ = v(all) - v(∅), which is built in: φ is the even share plus a vector that sums
    to 0. Exact when all coalitions are there. Errors count only what was `drawn`, pair by pair of complements.
    Source: Lundberg and Lee (2017), theorem 2; Covert and Lee, "Improving KernelSHAP" (2021), section 3.2.
    """
    n = masks.shape[1]
    if n == 0:
        return np.zeros(0), np.zeros(0)
    difference = scores[0] - scores[1]
    even = np.full(n, difference / n)
    if n == 1 or len(masks) == 2:
        return even, np.zeros(n) if n == 1 else np.full(n, np.nan)
    Z, w, drawn = masks[2:].astype(np.float64), weights[2:], drawn[2:]
    y = scores[2:] - scores[1] - Z @ even
    Z -= Z.mean(1, keepdims=True)
    # Singular by construction: the even share is its null vector, whose eigenvalue is rounding and must be cut.
    inverse = np.linalg.pinv((Z.T * w) @ Z, rcond=1e-10, hermitian=True)
    beyond = inverse @ (Z.T @ (w * y))
    beyond -= beyond.mean()
    if not drawn.any():
        return even + beyond, np.zeros(n)
    influence = (Z * (w * (y - Z @ beyond))[:, None])[drawn] @ inverse
    return even + beyond, _pairwise_error(influence, spare=len(Z) // 2 - (n - 1))


MOST_PAIRS = 2000
"""So many pairs are solved with their covariance; of more, whose matrix would take long, the plain regression is near
enough."""
REFINED_PAIRS = 200
"""So many are solved twice, where it is quick and the first values are rough: the second time by the first values."""
ORDERS = 1.0
"""How far the prior of `shapley_kriging` reaches: the sum of the parts' shares in it."""
BLOCK = 128
"""So many rows of the covariance are made at once."""
NUGGET = 0.01
"""The share of the prior variance that a coalition keeps for itself, so that nearly equal ones are no contradiction."""


def shapley_kriging(masks: Array, scores: Array) -> tuple[Array, Array]:
    """Give estimated Shapley values (part,) and their standard errors (part,) from pairs of complements.

    The first row of `masks` shows all parts, the second none; each other pair of rows is a coalition and its
    complement. With parts written as ±1, only interactions of an odd number of parts have Shapley values, and half the
    difference of a pair holds just these: single effects, which are fitted by generalised least squares, and
    interactions of three and more, which are random with a variance that falls with their order and is larger among
    parts of large values. The values are the best linear prediction, and they sum to v(all) - v(∅). Source: Rasmussen
    and Williams, "Gaussian Processes for Machine Learning" (2006), section 2.7; Covert and Lee, "Improving KernelSHAP"
    (2021), section 4.2, for the pairs.
    """
    signs = np.where(masks[::2], 1.0, -1.0)
    odd = np.asarray(scores[::2] - scores[1::2], np.float64) / 2
    n = signs.shape[1]
    if not np.isfinite(odd).all():
        return np.full(n, np.nan), np.full(n, np.nan)
    share = _shares(np.linalg.lstsq(signs, odd, rcond=1e-10)[0])
    if len(odd) <= REFINED_PAIRS:
        share = _shares(_predicted(signs, odd, ORDERS * share)[0])
    phi, error = _predicted(signs, odd, ORDERS * share)
    return phi + (2 * odd[0] - phi.sum()) / n, error  # the sum is there already, but for rounding


def _shares(values: Array) -> Array:
    """Turn values into shares of the prior: by their size, and none of them nothing."""
    size, n = np.abs(values), len(values)
    share = np.maximum(size / max(size.sum(), 1e-300), 0.1 / n)
    return np.asarray(share / share.sum())


def _predicted(signs: Array, odd: Array, strength: Array) -> tuple[Array, Array]:
    """Predict from the odd parts (pair,) of the scores at `signs` (pair, part).

    The prior variance of the interaction of the parts in U is the product of their strengths: the covariance of two
    pairs is Π(1 + λ s s'), less its even part and its linear one. The Shapley value of a product of k signs is 2/k for
    each of its parts, hence the integral over u of k u^(k-1).
    """
    from scipy.linalg import cholesky, solve_triangular

    strength = np.minimum(strength, 0.9)
    pairs, n = signs.shape
    covariance = np.empty((pairs, pairs))
    half = np.sqrt(1 - strength**2).prod() / 2
    for s in chunks(pairs, BLOCK):
        block = covariance[s, s.start :]  # the other triangle is not read
        np.matmul(signs[s] * np.arctanh(strength), signs[s.start :].T, out=block)
        np.exp(block, out=block)  # the hyperbolic sine of it, in less time than np.sinh takes
        block *= half
        block -= half**2 / block
        block -= (signs[s] * strength) @ signs[s.start :].T
    nugget = np.full(pairs, NUGGET * covariance[0, 0])
    nugget[0] = 0  # all against none is met exactly
    covariance[np.diag_indices(pairs)] += nugget + 1e-12
    factor = cholesky(covariance.T, lower=True, overwrite_a=True, check_finite=False)  # .T: LAPACK's order of columns
    towards = 2 * sum(w * _others(u * strength, signs) for u, w in _nodes()) * strength * signs
    white = solve_triangular(factor, np.column_stack([signs, odd, towards]), lower=True, check_finite=False)
    design, seen, known = white[:, :n], white[:, n], white[:, n + 1 :]
    single = np.linalg.lstsq(design, seen, rcond=1e-10)[0]
    left = seen - design @ single
    if pairs <= n:
        return 2 * single + known.T @ left, np.full(n, np.nan)
    ones = np.ones((1, n))
    prior = 4 * strength * sum(w * x * _others(u * v * strength, ones)[0] for u, w in _nodes() for v, x in _nodes())
    open_ = 2 * np.eye(n) - design.T @ known
    doubt = (
        prior
        - (known**2).sum(0)
        + (open_ * (np.linalg.pinv(design.T @ design, rcond=1e-10, hermitian=True) @ open_)).sum(0)
    )
    scale = left @ left / (pairs - n)
    return 2 * single + known.T @ left, np.sqrt(np.maximum(doubt, 0) * scale)


def _others(strength: Array, signs: Array) -> Array:
    """Give, for each part, the products of an even number, two or more, of the other parts, summed: (pair, part)."""
    more, less = 1 + strength * signs, 1 - strength * signs
    product = more.prod(1, keepdims=True)
    other = (1 - strength**2).prod() / product  # the product of `less`, as more · less = 1 - λ²
    return np.asarray((product / more + other / less) / 2 - 1)


@cache
def _nodes() -> tuple[tuple[float, float], ...]:
    """Nodes and weights of a Gauss quadrature on [0, 1], exact for interactions of up to ten parts."""
    at, weights = np.polynomial.legendre.leggauss(5)
    return tuple(zip(((at + 1) / 2).tolist(), (weights / 2).tolist(), strict=True))


def _pairwise_error(influence: Array, spare: int) -> Array:
    """Standard error of a sum over independent pairs of consecutive rows: (part,).

    `spare` is how many pairs there are beyond the coefficients fitted to them; without any the residuals say nothing,
    and the error is NaN.
    """
    pairs = influence[: len(influence) // 2 * 2].reshape(-1, 2, influence.shape[1]).sum(1)
    if spare < 1 or len(pairs) < 2:
        return np.full(influence.shape[1], np.nan)
    return np.asarray(pairs.std(0, ddof=1) * np.sqrt(len(pairs) * (1 + (influence.shape[1] - 1) / spare)))
