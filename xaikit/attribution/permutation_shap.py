"""Permutation SHAP: what a part adds when it joins, averaged over random orders."""

from dataclasses import dataclass

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution._games import SampledGame, regressed, relative_error
from xaikit.attribution._method import methods, require
from xaikit.perturb.coalitions import Walks, Weighted, exhaustive, permutations
from xaikit.perturb.evaluate import Answers
from xaikit.perturb.maskers import Masker
from xaikit.perturb.solvers import walked

ROUNDS = 10
"""Orders, each with its reverse, unless another number of coalitions is asked for."""


@methods("permutation-shap")
@dataclass(frozen=True, kw_only=True)
class PermutationShap(SampledGame[Walks | Weighted]):
    """Shapley values of the parts: the mean of what each adds when it joins, over random orders of the parts.

    Every order is walked forwards and backwards, which makes the mean exact where no more than two parts interact.
    Where `samples` holds all coalitions they are enumerated instead, and the values are exact. A coalition's score is
    the mean over the baselines, as in kernel-shap. `part_values` (sample, part) sum to f(x) - f(b) to rounding;
    `values` paints them on the parts. `samples=None` is ten orders and their reverses; fewer than a pair of orders
    takes is one order.

    `quality` has "completeness_gap" and "completeness_gap_relative", "standard_error" (from the pairs, the mean over
    the parts relative to the largest value; 0 when exact, NaN for one pair) and "complete". Source: Castro, Gómez and
    Tejada, "Polynomial calculation of the Shapley value based on sampling" (2009), section 3; Mitchell, Cooper, Frank
    and Holmes, "Sampling permutations for Shapley value estimation" (2022), section 3, for the pairs.
    """

    def game(self, players: int, rng: np.random.Generator) -> Walks | Weighted:
        samples = 2 + 2 * ROUNDS * max(players - 1, 0) if self.samples is None else self.samples
        if samples >= 2 ** min(players, 40):
            return exhaustive(players)
        require(
            samples > players,
            f"an order of {players} parts takes {players + 1} coalitions: samples={samples} is too few",
        )
        return permutations(players, samples, rng)

    def solve(self, game: Walks | Weighted, masker: Masker, answers: Answers) -> tuple[Array, float]:
        if isinstance(game, Weighted):
            return regressed(game, masker, answers)
        values = np.zeros(masker.parts.count)
        if not answers.known[:2].all():
            return np.full_like(values, np.nan), np.nan
        phi, error = walked(game, answers.values, answers.known)
        values[masker.varying] = phi
        return values, relative_error(phi, error)
