"""Permutation SHAP: what a part adds when it joins, averaged over random orders."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require
from xaikit.attribution.kernel_shap import completeness, over_all, regressed, relative_error
from xaikit.perturb.coalitions import Walks, Weighted, exhaustive, permutations
from xaikit.perturb.evaluate import Answers, ask
from xaikit.perturb.maskers import Masker, maskers
from xaikit.perturb.segments import cut, paint
from xaikit.perturb.solvers import walked

ROUNDS = 10
"""Orders, each with its reverse, unless another number of coalitions is asked for."""


@methods("permutation-shap")
@dataclass(frozen=True, kw_only=True)
class PermutationShap(Method):
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

    stochastic: ClassVar = True

    samples: int | None = parameter(None, "coalitions of parts to ask the model about; None = ten orders both ways")
    segments: Any = parameter(
        None, "parts: a number, 'slic', 'quickshift', 'felzenszwalb', 'grid', or a label map; None = by input"
    )
    baseline: Any = parameter(
        None, "what stands in place of a hidden part: a number, an array, 'mean', 'blur', 'inpaint', 'drop', rows"
    )

    def __post_init__(self) -> None:
        require(self.samples is None or self.samples >= 2, f"samples must be at least 2, not {self.samples}")

    def __call__(self, task: Task) -> Map:
        parts = cut(task, self.segments)
        hiding = maskers(task, parts, self.baseline)
        games = [self._game(task, masker) for masker in hiding]

        def error(i: int, some: Answers) -> float:
            return _solve(games[i], hiding[i], some)[1]

        masks = [over_all(g.masks, m) for g, m in zip(games, hiding, strict=True)]
        answers = ask(task, hiding, masks, error=error)
        found = [_solve(g, m, a) for g, m, a in zip(games, hiding, answers, strict=True)]
        values = [phi for phi, _ in found]
        quality = {**completeness(values, answers), "standard_error": np.array([error for _, error in found])}
        return Map(**paint(task, parts, values), quality=quality)

    def _game(self, task: Task, masker: Masker) -> Walks | Weighted:
        players = int(masker.varying.sum())
        samples = 2 + 2 * ROUNDS * max(players - 1, 0) if self.samples is None else self.samples
        if samples >= 2 ** min(players, 40):
            return exhaustive(players)
        require(
            samples > players,
            f"an order of {players} parts takes {players + 1} coalitions: samples={samples} is too few",
        )
        return permutations(players, samples, task.rng())


def _solve(game: Walks | Weighted, masker: Masker, answers: Answers) -> tuple[Array, float]:
    """Give the value of every part, and the relative standard error; NaN where not even f(x) and f(b) are known."""
    if isinstance(game, Weighted):
        return regressed(game, masker, answers)
    values = np.zeros(masker.parts.count)
    if not answers.known[:2].all():
        return np.full_like(values, np.nan), np.nan
    phi, error = walked(game, answers.values, answers.known)
    values[masker.varying] = phi
    return values, relative_error(phi, error)
