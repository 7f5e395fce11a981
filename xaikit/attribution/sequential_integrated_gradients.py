"""Sequential integrated gradients: one step of a sequence at a time comes from its baseline, the others stay."""

from dataclasses import dataclass

from xaikit.arrays import Array
from xaikit.attribution._method import Map, Task, methods
from xaikit.attribution._stepwise import OneStepAtATime


@methods("sequential-integrated-gradients")
@dataclass(frozen=True, kw_only=True)
class SequentialIntegratedGradients(OneStepAtATime):
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

    def __call__(self, task: Task) -> Map:
        values, quality = self.integrated(task, task.baselines(self.baseline), _as_they_are)
        return Map(values, quality=quality)


def _as_they_are(x: Array, baseline: Array, t: int) -> Array:
    return x
