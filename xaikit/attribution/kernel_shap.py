"""Kernel SHAP: Shapley values by weighted regression over coalitions of parts."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require
from xaikit.attribution.integrated_gradients import relative
from xaikit.perturb.coalitions import Weighted, shapley_kernel
from xaikit.perturb.evaluate import Answers, ask
from xaikit.perturb.maskers import Masker, maskers
from xaikit.perturb.segments import cut, paint
from xaikit.perturb.solvers import MOST_PAIRS, shapley_kriging, shapley_regression


@methods("kernel-shap")
@dataclass(frozen=True, kw_only=True)
class KernelShap(Method):
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

    stochastic: ClassVar = True

    samples: int | None = parameter(None, "coalitions of parts to ask the model about; None = 2·parts + 2048")
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
            return regressed(games[i], hiding[i], some)[1]

        masks = [over_all(g.masks, m) for g, m in zip(games, hiding, strict=True)]
        answers = ask(task, hiding, masks, error=error)
        found = [regressed(g, m, a) for g, m, a in zip(games, hiding, answers, strict=True)]
        values = [phi for phi, _ in found]
        quality = {**completeness(values, answers), "standard_error": np.array([error for _, error in found])}
        return Map(**paint(task, parts, values), quality=quality)

    def _game(self, task: Task, masker: Masker) -> Weighted:
        players = int(masker.varying.sum())
        samples = 2 * players + 2048 if self.samples is None else self.samples
        return shapley_kernel(players, min(samples, 2 ** min(players, 40)), task.rng())


def over_all(masks: Array, masker: Masker) -> Array:
    """Widen coalitions of the parts that matter to all parts; the others are always shown."""
    wide = np.ones((len(masks), masker.parts.count), bool)
    wide[:, masker.varying] = masks
    return wide


def regressed(game: Weighted, masker: Masker, answers: Answers) -> tuple[Array, float]:
    """Give the value of every part, and the relative standard error; NaN where there was too little to solve."""
    values, known = np.zeros(masker.parts.count), answers.known
    if not known[:2].all():
        return np.full_like(values, np.nan), np.nan
    drawn = game.drawn | ~known.all()  # cut short, even the enumerated sizes are but a sample
    pairs = known[: len(known) // 2 * 2].reshape(-1, 2).all(1)
    if drawn.any() and pairs.sum() <= MOST_PAIRS:
        rows = np.flatnonzero(np.repeat(pairs, 2))
        phi, error = shapley_kriging(game.masks[rows], answers.values[rows])
    else:
        weights = game.weights.copy()
        weights[game.drawn] *= game.drawn.sum() / max((game.drawn & known).sum(), 1)
        phi, error = shapley_regression(game.masks[known], answers.values[known], weights[known], drawn[known])
    values[masker.varying] = phi
    return values, relative_error(phi, error)


def relative_error(phi: Array, error: Array) -> float:
    """Give the mean standard error relative to the largest value."""
    largest = np.abs(phi).max(initial=0)
    return float(error.mean() / largest) if largest else 0.0


def completeness(values: list[Array], answers: list[Answers]) -> dict[str, Array]:
    """Compare the sum of the values with f(x) - f(b), the first two answers, for each sample."""
    difference = np.array([a.values[0] - a.values[min(1, len(a.values) - 1)] for a in answers])
    gap = np.abs(np.array([v.sum() for v in values]) - difference)
    return {
        "completeness_gap": gap,
        "completeness_gap_relative": relative(gap, difference),
        "complete": np.array([a.complete for a in answers]),
    }
