"""Exact Shapley values: every coalition is asked for."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution._games import HIDING, PARTS, completeness
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require
from xaikit.perturb.coalitions import Weighted, exhaustive
from xaikit.perturb.evaluate import Answers, ask
from xaikit.perturb.maskers import maskers
from xaikit.perturb.segments import cut, paint
from xaikit.perturb.solvers import shapley_regression, shapley_values

MOST = 12
BLOCKS = 9
"""Parts of an image, a series or a large array when no segments are given."""


@methods("exact-shapley")
@dataclass(frozen=True, kw_only=True)
class ExactShapley(Method):
    """The Shapley values of at most 12 parts, from all 2^n coalitions.

    A part's value is its mean contribution over all orders in which parts can be shown; hidden parts are taken from the
    baseline (for a Table the mean over its background rows). `part_values` (sample, part) sum to f(x) - f(b); `values`
    paints them on the parts as in lime. Without `segments` an image or series is cut into 9 equal blocks. An evaluation
    that is cut short gives the Kernel SHAP regression over what was evaluated. `quality` has "completeness_gap",
    "completeness_gap_relative" and "complete". Source: Shapley, "A value for n-person games" (1953); Lundberg and Lee,
    "A Unified Approach to Interpreting Model Predictions" (2017), equation 4.
    """

    baseline: Any = parameter(None, HIDING)
    segments: Any = parameter(None, PARTS + "; None = by input")

    def __call__(self, task: Task) -> Map:
        parts = cut(task, self.segments, BLOCKS, image="grid")
        most = max(p.count for p in parts)
        require(
            most <= MOST, f"exact-shapley takes at most {MOST} parts, not {most}: use kernel-shap, or fewer segments"
        )
        games = [exhaustive(p.count) for p in parts]
        answers = ask(task, maskers(task, parts, self.baseline), [g.masks for g in games])
        values = [_solve(g, a) for g, a in zip(games, answers, strict=True)]
        return Map(**paint(task, parts, values), quality=completeness(values, answers))


def _solve(game: Weighted, answers: Answers) -> Array:
    known = answers.known
    if known.all():
        return shapley_values(game.masks, answers.values)
    if not known[:2].all():
        return np.full(game.masks.shape[1], np.nan)
    return shapley_regression(game.masks[known], answers.values[known], game.weights[known], game.drawn[known])[0]
