"""Partition SHAP: Owen values of parts that belong together in a hierarchy."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaikit.arrays import Array, leaves
from xaikit.attribution._games import HIDING, PARTS, completeness
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require
from xaikit.errors import Cancelled
from xaikit.perturb.evaluate import Evaluator, ask, evaluate_all
from xaikit.perturb.hierarchy import Hierarchy, Owen, by_correlation, by_linkage, by_place, centres, together
from xaikit.perturb.maskers import Masker, maskers
from xaikit.perturb.segments import Parts, cut, grid, paint

FINEST = 4096
"""Parts of an image, a series or a large array at most when no segments are given: pixels, or small blocks of them."""


@methods("partition-shap")
@dataclass(frozen=True, kw_only=True)
class PartitionShap(Method):
    """Owen values: Shapley values of parts that enter a coalition together with those next to them in a hierarchy.

    Down a binary tree, what a node adds is split between its two children, each with the mean of what it adds without
    and with the other. The nodes where most is to be split come first, a node that `samples` does not reach shares its
    credit evenly among its parts, and where the whole tree is reached the values are exact. Hidden parts are taken from
    the baseline as in kernel-shap. `part_values` (sample, part) sum to f(x) - f(b) to rounding.

    The tree of an Image halves its pixels (or blocks of them, at most 4096; or the `segments` given) along the longer
    axis, that of a Series or a Text its time; columns of a Table are clustered by their correlation over the background
    rows, complete linkage on 1 - |r|; several inputs are split from each other first. `quality` has
    "completeness_gap", "completeness_gap_relative", "resolved" (the share of the credit, in absolute value, that
    reached single parts) and "complete". Source: Owen, "Values of games with a priori unions" (1977); Lundberg's
    PartitionExplainer in the shap package for the hierarchy and the order of the splits.
    """

    samples: int = parameter(500, "coalitions of parts to ask the model about, at most")
    segments: Any = parameter(None, PARTS + "; None = the finest")
    baseline: Any = parameter(None, HIDING)
    hierarchy: Any = parameter(None, "a tree of the parts, as scipy's linkage matrix; None = by input")

    def __post_init__(self) -> None:
        require(self.samples >= 2, f"samples must be at least 2, not {self.samples}")

    def __call__(self, task: Task) -> Map:
        parts = cut(task, _finest(task) if self.segments is None else self.segments, FINEST, image="grid")
        hiding = maskers(task, parts, self.baseline)
        trees = [self._tree(task, p, m) for p, m in zip(parts, hiding, strict=True)]
        ends = [np.stack([np.ones(p.count, bool), np.zeros(p.count, bool)]) for p in parts]
        answers = ask(task, hiding, ends, due=self.samples)
        games = [Owen(t, m.varying, a.values) for t, m, a in zip(trees, hiding, answers, strict=True)]
        asked, known = _play(task, hiding, games, self.samples)
        values = [
            g.values() if a.known[:2].all() else np.full(len(g.varying), np.nan)
            for g, a in zip(games, answers, strict=True)
        ]
        quality = completeness(values, answers)
        complete = np.array([a.known.sum() for a in answers]) + known
        quality |= {"complete": complete / (2 + asked), "resolved": np.array([g.resolved for g in games])}
        return Map(**paint(task, parts, values), quality=quality)

    def _tree(self, task: Task, parts: Parts, masker: Masker) -> Hierarchy:
        if self.hierarchy is not None:
            return by_linkage(self.hierarchy, parts.count)
        several = isinstance(task.x, Mapping)
        kinds = {name: (task.spec[name] if several else task.spec).kind for name in parts.labels}
        return together(
            [
                by_correlation(masker.hidden[name], labels) if kinds[name] == "Table" else by_place(centres(labels))
                for name, labels in parts.labels.items()
            ]
        )


def _play(task: Task, hiding: list[Masker], games: list[Owen], samples: int) -> tuple[Array, Array]:
    """Let every game ask until its samples are spent, round by round over all of them.

    Gives (sample,) how many coalitions were asked for and how many answered. A game that lacks an answer, because the
    budget is over or the caller stopped, asks no more.
    """
    asked, known, stopped = np.zeros(len(games), int), np.zeros(len(games), int), []

    def progress(done: int, total: int) -> None:
        try:
            task.progress(int(asked.sum()) + done, (samples - 2) * len(games))
        except Cancelled:
            stopped.append(True)
            raise

    following = replace(task, progress=progress)
    evaluators = [Evaluator(following, i, masker, due=samples * masker.baselines) for i, masker in enumerate(hiding)]
    for e in evaluators:
        e.left -= 1 + e.masker.baselines
    while not stopped:
        masks = [g.ask(samples - 2 - n if n == k else 0) for g, n, k in zip(games, asked, known, strict=True)]
        if not any(map(len, masks)):
            break
        answers = evaluate_all(evaluators, masks)
        for i, (game, a) in enumerate(zip(games, answers, strict=True)):
            game.learn(a.values, a.known)
            asked[i] += len(a.known)
            known[i] += a.known.sum()
    cut_short = (asked != known) | bool(stopped)
    asked[cut_short & [bool(g.questions) for g in games]] = samples - 2
    return asked, known


def _finest(task: Task) -> Any:
    """Give the label maps of the smallest parts: pixels and steps, or blocks of them where they are too many."""
    several = isinstance(task.x, Mapping)
    found = {}
    for name, x in leaves(task.x):
        kind = (task.spec[name] if several else task.spec).kind
        space = {"Image": x.shape[1:3], "Series": x.shape[1:2]}.get(kind)
        if space:
            found[name] = grid(space, min(int(np.prod(space)), FINEST))
    return found if several else found.get("")
