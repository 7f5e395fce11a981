"""Kernel SHAP: Shapley values by weighted regression over coalitions of parts."""

from dataclasses import dataclass

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution._games import SampledGame, regressed
from xaikit.attribution._method import methods
from xaikit.perturb.coalitions import Weighted, shapley_kernel
from xaikit.perturb.evaluate import Answers
from xaikit.perturb.maskers import Masker


@methods("kernel-shap")
@dataclass(frozen=True, kw_only=True)
class KernelShap(SampledGame[Weighted]):
    """Shapley values of the parts, estimated by regression with the Shapley kernel; exact when all coalitions fit.

    Of a game too large for that, coalitions are drawn by the kernel, and the interactions between three and more parts,
    which the plain regression takes for noise, are predicted too: `xaikit.perturb.solvers.shapley_kriging` (the plain
    regression from 4000 coalitions on). Coalitions come in pairs of complements, outer sizes are enumerated, and parts
    whose hiding changes nothing are left out and get 0. `samples=None` is 2·parts + 2048, at most 2^parts.

    A coalition's score is the mean over the baselines (for a Table its background rows), with the hidden parts taken
    from them. `part_values` (sample, part) sum to f(x) - f(b) to rounding; `values` paints them on the parts as in
    lime.

    `quality` has "completeness_gap" and "completeness_gap_relative", "standard_error" (the mean over the parts,
    relative to the largest value; 0 when exact) and "complete". Source: Lundberg and Lee, "A Unified Approach to
    Interpreting Model Predictions" (2017), theorem 2.
    """

    def game(self, players: int, rng: np.random.Generator) -> Weighted:
        samples = 2 * players + 2048 if self.samples is None else self.samples
        return shapley_kernel(players, min(samples, 2 ** min(players, 40)), rng)

    def solve(self, game: Weighted, masker: Masker, answers: Answers) -> tuple[Array, float]:
        return regressed(game, masker, answers)
