"""Sequential integrated gradients: one step of a sequence at a time comes from its baseline, the others stay."""

from dataclasses import dataclass
from typing import Any, ClassVar

from xaikit.arrays import Array, concatenate
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require, sample_by_sample
from xaikit.attribution._stepwise import missed, one_step_at_a_time, require_steps
from xaikit.model import Model


@methods("sequential-integrated-gradients")
@dataclass(frozen=True, kw_only=True)
class SequentialIntegratedGradients(Method):
    """How the score f builds up while one step t of a sequence goes from its baseline b_t to x_t, all others being x.

    (x_t - b_t) · ∫₀¹ ∂f/∂x_t (x with step t at b_t + α(x_t - b_t)) dα, for every step by itself, by Gauss-Legendre
    quadrature; the mean over several baselines. The way stays near real sentences, where that of integrated-gradients
    leads through sentences of half-words. Values have the shape of the encoded input. A step's values sum to
    f(x) - f(x with the step at its baseline), not all of them to f(x) - f(b): `quality["step_gap"]` is the largest miss
    of a step, `step_gap_relative` the same over the largest such difference. It costs a way for each step.

    For token ids the step is a token's embedding, its value is the sum over the channels (sample, token), and pads have
    exactly 0. Source: Enguehard, "Sequential Integrated Gradients: a simple but effective method for explaining
    language models" (2023), section 2.2, without its last scaling to length one.
    """

    needs: ClassVar = frozenset({"pull"})
    score: ClassVar = "logit"
    tokens: ClassVar = "sum"

    steps: int = parameter(10, "points on the path of each step")
    baseline: Any = parameter(
        None, "where a step starts: a number (an id for Text), an array, a background, 'mean', 'zero'; None = by input"
    )

    def __post_init__(self) -> None:
        require(self.steps >= 1, f"steps must be at least 1, not {self.steps}")

    @classmethod
    def examine(cls, model: Model) -> str:
        """Say how the method would treat this model. Raises NotSupported where there is no order of steps."""
        require_steps(model, cls)
        return super().examine(model)

    def __call__(self, task: Task) -> Map:
        starts = task.baselines(self.baseline)
        found = sample_by_sample(task, lambda i: one_step_at_a_time(task, starts, i, self.steps, _as_they_are))
        values, sums, rises = zip(*found, strict=True)
        return Map(concatenate(list(values)), quality=missed(sums, rises))


def _as_they_are(x: Array, baseline: Array, t: int) -> Array:
    return x
