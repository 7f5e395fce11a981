"""LIME: a linear model of the score around one sample, part by part."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xaikit.arrays import Array, chunks
from xaikit.attribution._games import HIDING, PARTS
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require
from xaikit.inputs import Table
from xaikit.perturb.bins import Bins, quartile_bins
from xaikit.perturb.coalitions import coin_flips
from xaikit.perturb.evaluate import Answers, ask
from xaikit.perturb.maskers import maskers
from xaikit.perturb.segments import Parts, cut, paint
from xaikit.perturb.solvers import Surrogate, surrogate

PENALTIES = ("ridge", "lasso")


@methods("lime")
@dataclass(frozen=True, kw_only=True)
class Lime(Method):
    """The coefficients of a ridge regression (alpha 1, or a lasso) of the score on which parts are shown.

    Each of `samples` coalitions shows every part with probability ½ and has the weight sqrt(exp(-d²/kernel_width²)),
    d its cosine distance from all parts. All parts keep their coefficient. Coalitions, weights and fit are those of the
    lime package for the same segments and seed. `part_values` (sample, part) are the coefficients, `values` paints them
    on the parts: images (sample, height, width), series (sample, time), tables (sample, column), texts (sample, token).

    `baseline="mean"` fills a hidden part of an Image with the part's own mean colour, and a Series with each channel's
    mean over the sample; elsewhere it stands for None: 0 for Array, padding for Text, and for Table the background
    rows, over which each coalition's score is averaged. `quality` has "surrogate_r2" (weighted), "intercept",
    "local_prediction" (the surrogate's score for the sample itself), "standard_error" (the mean over the parts,
    relative to the largest coefficient) and "complete". Source: Ribeiro, Singh and Guestrin, "Why Should I Trust You?"
    (2016), sections 3.3 and 3.4.

    With `discretized` a Table is asked about as by lime's tabular explainer: numbers are cut into quartiles of the
    background (by lime's discretizer), rows are drawn bin by bin as often as the background has them, and a column is
    shown where its bin is the sample's. The distance is the euclidean one as a share of the largest, so that
    kernel_width=0.75 is that package's default, and `baseline` may be the background.
    """

    stochastic: ClassVar = True

    samples: int = parameter(1000, "coalitions of parts to ask the model about")
    segments: Any = parameter(None, PARTS + "; None = by input")
    kernel_width: float = parameter(0.25, "how fast coalitions lose weight with their distance from the sample")
    baseline: Any = parameter("mean", HIDING)

    discretized: bool = parameter(False, "Table: draw rows by quartile bins, as lime's tabular explainer does")

    penalty: str = parameter(
        "ridge", "what keeps coefficients small: 'ridge' or 'lasso', which makes some of them 0", PENALTIES
    )
    alpha: float = parameter(1.0, "how strong the penalty is")

    def __post_init__(self) -> None:
        require(self.penalty in PENALTIES, f"penalty is one of {', '.join(PENALTIES)}, not {self.penalty!r}")
        require(0 <= self.alpha < np.inf, f"alpha must be a number that is not negative, not {self.alpha}")
        require(self.samples >= 2, f"samples must be at least 2, not {self.samples}")
        require(self.kernel_width > 0, f"kernel_width must be positive, not {self.kernel_width}")

    def __call__(self, task: Task) -> Map:
        parts = cut(task, self.segments)
        if self.discretized:
            require(isinstance(task.spec, Table), "discretized=True is for a Table: its numbers are cut into quartiles")
            rows = None if self.baseline is None or isinstance(self.baseline, str) else self.baseline
            bins = quartile_bins(task.spec, rows)
            return self._mapped(
                task, parts, [self._by_bins(task, i, bins) for i in range(len(task))], self._share(task)
            )
        masks = [coin_flips(self.samples, p.count, task.seed) for p in parts]

        def fit(i: int, a: Answers) -> Surrogate:
            scores = a.values[a.known]
            return surrogate(
                masks[i][a.known],
                scores,
                self.kernel_width,
                self.alpha,
                scale=_scale(task, scores),
                lasso=self.penalty == "lasso",
            )

        hiding = maskers(task, parts, own_means(self.baseline, task.spec))
        answers = ask(task, hiding, masks, error=lambda i, a: fit(i, a).error)
        return self._mapped(task, parts, [fit(i, a) for i, a in enumerate(answers)], [a.complete for a in answers])

    def _by_bins(self, task: Task, i: int, bins: Bins) -> Surrogate:
        asked = round(self.samples * self._share(task)[i])
        shown, x = bins.draw(task.display[i], asked, task.rng())
        scores = np.concatenate([task.value(x[s], np.full(len(x[s]), i)) for s in chunks(asked, 4096)])
        task.progress(i + 1, len(task))
        return surrogate(shown, scores, self.kernel_width, scale=_scale(task, scores), distance="euclidean")

    def _share(self, task: Task) -> list[float]:
        """How many of the rows the budget of calls allows, as a share, for each sample."""
        return [min(1.0, (task.max_calls or np.inf) / self.samples)] * len(task)

    def _mapped(self, task: Task, parts: list[Parts], fits: list[Surrogate], complete: list[float]) -> Map:
        quality = {
            "surrogate_r2": np.array([f.r2 for f in fits]),
            "intercept": np.array([f.intercept for f in fits]),
            "local_prediction": np.array([f.predicts for f in fits]),
            "standard_error": np.array([f.error for f in fits]),
            "complete": np.array(complete),
        }
        return Map(**paint(task, parts, [f.values for f in fits]), quality=quality)


def _scale(task: Task, scores: Array) -> float | None:
    """Give the scale of the scores' rounding where it is not their size: float32 logits of up to about 16."""
    return 16 * float(np.abs(scores * (1 - scores)).max(initial=0)) if task.by_logits else None


def own_means(baseline: Any, spec: Any) -> Any:
    """Read "mean" as LIME does, input by input."""
    if isinstance(spec, Mapping):
        asked = baseline if isinstance(baseline, Mapping) else dict.fromkeys(spec, baseline)
        return {name: own_means(asked.get(name, "mean"), s) for name, s in spec.items()}
    if not (isinstance(baseline, str) and baseline == "mean"):
        return baseline
    return {"Image": "segment-mean", "Series": "mean"}.get(spec.kind)
