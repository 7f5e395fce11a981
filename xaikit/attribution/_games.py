"""What the sampled Shapley methods share: a game for every sample, asked about together, and solved."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution._method import Map, Method, Task, parameter, require
from xaikit.attribution.integrated_gradients import relative
from xaikit.perturb.coalitions import Walks, Weighted
from xaikit.perturb.evaluate import Answers, ask
from xaikit.perturb.maskers import Masker, maskers
from xaikit.perturb.segments import cut, paint
from xaikit.perturb.solvers import MOST_PAIRS, shapley_kriging, shapley_regression

PARTS = (
    "parts: a number, 'slic', 'quickshift', 'felzenszwalb', 'grid', 'channels', 'bands', 'bands-by-channel', or a "
    "label map"
)
HIDING = (
    "what stands in place of a hidden part: a number, an array, rows, 'mean', 'blur', 'inpaint', 'noise', "
    "'resample', of a Series 'linear', 'reverse', of a Text 'drop'"
)
"""What all methods that hide parts say of these and of their baseline."""

G = TypeVar("G", bound=Walks | Weighted)


@dataclass(frozen=True, kw_only=True)
class SampledGame(Method, Generic[G]):
    """Shapley values of parts by some of their coalitions: a subclass says which, and makes values of the answers."""

    stochastic: ClassVar = True

    samples: int | None = parameter(None, "coalitions of parts to ask the model about; None = by the number of parts")
    segments: Any = parameter(None, PARTS + "; None = by input")
    baseline: Any = parameter(None, HIDING)

    def __post_init__(self) -> None:
        require(self.samples is None or self.samples >= 2, f"samples must be at least 2, not {self.samples}")

    def __call__(self, task: Task) -> Map:
        parts = cut(task, self.segments)
        hiding = maskers(task, parts, self.baseline)
        games = [self.game(int(masker.varying.sum()), task.rng()) for masker in hiding]

        def error(i: int, some: Answers) -> float:
            return self.solve(games[i], hiding[i], some)[1]

        masks = [over_all(g.masks, m) for g, m in zip(games, hiding, strict=True)]
        answers = ask(task, hiding, masks, error=error)
        found = [self.solve(g, m, a) for g, m, a in zip(games, hiding, answers, strict=True)]
        values = [phi for phi, _ in found]
        quality = {**completeness(values, answers), "standard_error": np.array([error for _, error in found])}
        return Map(**paint(task, parts, values), quality=quality)

    @abstractmethod
    def game(self, players: int, rng: np.random.Generator) -> G:
        """Give the coalitions of the parts that matter; the first shows all of them, the second none."""

    @abstractmethod
    def solve(self, game: G, masker: Masker, answers: Answers) -> tuple[Array, float]:
        """Give the value of every part, and the relative standard error; NaN where there was too little to solve."""


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
