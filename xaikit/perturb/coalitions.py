"""Coalitions: which parts are shown, row by row. (coalition, part) bool, True where a part is shown."""

from dataclasses import dataclass
from itertools import chain, combinations, islice
from math import comb

import numpy as np

from xaikit.arrays import Array

ENUMERATE = 4096
"""Of a size with no more subsets than this, distinct ones are drawn; of a larger one, repetitions are allowed."""


def coin_flips(samples: int, parts: int, seed: int) -> Array:
    """Give the lime package's coalitions for a seed: each part shown with probability ½, in the first row all."""
    masks = np.random.RandomState(seed).randint(0, 2, samples * parts).reshape(samples, parts).astype(bool)
    masks[0] = True
    return masks


@dataclass(frozen=True, eq=False)
class Walks:
    """Orders of the parts, and the coalitions that they pass through when one part after the other is shown.

    `orders` (order, part) hold the parts in the order in which they join. The first row of `masks` shows everything,
    the second nothing; then come, order by order, the parts - 1 coalitions between nothing and everything.
    """

    orders: Array
    masks: Array


def permutations(parts: int, samples: int, rng: np.random.Generator) -> Walks:
    """Give random orders, each followed by its reverse, that pass through at most `samples` coalitions.

    Where they are too few for an order and its reverse there is one order; one part has one.
    """
    rounds = max(1, (samples - 2) // max(1, 2 * (parts - 1)) if parts > 1 else 1)
    drawn = np.array([rng.permutation(parts) for _ in range(rounds)]).reshape(rounds, parts)
    orders = np.stack([drawn, drawn[:, ::-1]], axis=1).reshape(-1, parts)
    if 2 + len(orders) * (parts - 1) > samples:
        orders = orders[:1]
    rank = np.argsort(orders, axis=1)
    between = rank[:, None, :] < np.arange(1, max(parts, 1))[None, :, None]
    return Walks(
        orders, np.concatenate([np.ones((1, parts), bool), np.zeros((1, parts), bool), between.reshape(-1, parts)])
    )


@dataclass(frozen=True, eq=False)
class Weighted:
    """Coalitions with their share of the Shapley kernel.

    The first row of `masks` shows everything, the second nothing (both with weight 0: they are constraints), then come
    pairs of a coalition and its complement. `weights` (coalition,) sum to 1. `drawn` (coalition,) marks the pairs that
    stand for sizes too large to be enumerated.
    """

    masks: Array
    weights: Array
    drawn: Array


def shapley_kernel(parts: int, samples: int, rng: np.random.Generator) -> Weighted:
    """Give coalitions for a regression with the Shapley kernel, at most `samples` of them.

    A size s and its complement have the weight (parts - 1)/(s (parts - s)). Sizes are enumerated from the outermost
    while the budget holds them; what is left of the budget is spread over the others, in pairs of complements, in
    proportion to the root of their weight: between the kernel itself, which leaves the middle sizes to few, and the
    leverage scores, by which all sizes are alike. Source: Lundberg and Lee, "A Unified Approach to Interpreting Model
    Predictions" (2017), theorem 2; Covert and Lee, "Improving KernelSHAP" (2021), section 4.2, for the pairs; Musco and
    Witter, "Provably accurate Shapley value estimation via leverage score sampling" (2025), section 3.
    """
    sizes = np.arange(1, parts // 2 + 1)
    share = np.where(2 * sizes == parts, 1.0, 2.0) / (sizes * (parts - sizes))
    share = share / share.sum() if len(share) else share
    often = share * np.sqrt(sizes * (parts - sizes))
    left = max(0, (samples - 2) // 2)
    pairs, weights, drawn = [np.ones((1, parts), bool)], [np.zeros(1)], [np.zeros(1, bool)]
    full = 0
    for s in range(1, parts // 2 + 1):
        total = _pairs(parts, s)
        if left * often[full] / often[full:].sum() < total * (1 - 1e-9):
            break
        pairs.append(_all_of(parts, s))
        weights.append(np.full(total, share[full] / total))
        drawn.append(np.zeros(total, bool))
        left, full = left - total, full + 1
    if left and full < len(sizes):
        some, which = _draw(parts, sizes[full:], often[full:], left, rng)
        pairs.append(some)
        weights.append((share[full:] / np.maximum(np.bincount(which, minlength=len(sizes) - full), 1))[which])
        drawn.append(np.ones(left, bool))
    half = np.concatenate(pairs)
    masks = np.stack([half, ~half], axis=1).reshape(2 * len(half), parts)
    whole = np.repeat(np.concatenate(weights), 2) / 2
    if parts == 0:
        return Weighted(masks[:1], whole[:1], np.zeros(1, bool))
    return Weighted(masks, whole / max(whole.sum(), 1e-300), np.repeat(np.concatenate(drawn), 2))


def exhaustive(parts: int) -> Weighted:
    """Give all 2^parts coalitions with their share of the Shapley kernel, the outer sizes first."""
    return shapley_kernel(parts, 2**parts, np.random.default_rng(0))


def _pairs(parts: int, size: int) -> int:
    """How many pairs of a coalition of this size and its complement there are."""
    return comb(parts - 1, size - 1) if 2 * size == parts else comb(parts, size)


def _all_of(parts: int, size: int) -> Array:
    """One coalition of each pair of a size; of half the parts, the one that holds part 0."""
    middle = 2 * size == parts
    chosen = combinations(range(1, parts), size - 1) if middle else combinations(range(parts), size)
    total = _pairs(parts, size)
    index = np.fromiter(chain.from_iterable(islice(chosen, total)), int).reshape(total, -1)
    masks = np.zeros((total, parts), bool)
    np.put_along_axis(masks, index, True, axis=1)
    masks[:, 0] |= middle
    return masks


def _draw(parts: int, sizes: Array, often: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw `count` coalitions and tell the place of each one's size among `sizes`.

    The sizes come by systematic sampling: each in proportion to how `often` it is wanted, to within one.
    """
    place = (np.arange(count) + rng.random()) / count
    chosen = np.searchsorted(np.cumsum(often) / often.sum(), place, side="right").clip(max=len(sizes) - 1)
    found = [
        _draw_of(parts, int(s), int(n), rng)
        for s, n in zip(sizes, np.bincount(chosen, minlength=len(sizes)), strict=True)
        if n
    ]
    # In random order, so that an evaluation that is cut short has a fair share of every size.
    order = rng.permutation(count)
    return np.concatenate(found)[order], chosen[order]


def _draw_of(parts: int, size: int, count: int, rng: np.random.Generator) -> Array:
    """Draw coalitions of one size; distinct ones where all can be listed."""
    total = _pairs(parts, size)
    if total <= ENUMERATE:
        return _all_of(parts, size)[rng.choice(total, count, replace=count > total)]
    masks = np.zeros((count, parts), bool)
    np.put_along_axis(masks, rng.random((count, parts)).argsort(axis=1)[:, :size], True, axis=1)
    return masks
