"""Temporal integrated gradients: the steps of a sequence come one after the other, the future is not there yet."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from xaikit.arrays import Array, concatenate, length
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require, sample_by_sample
from xaikit.attribution._stepwise import missed, one_step_at_a_time, require_steps
from xaikit.attribution.integrated_gradients import completeness
from xaikit.model import Model


@methods("temporal-integrated-gradients")
@dataclass(frozen=True, kw_only=True)
class TemporalIntegratedGradients(Method):
    """How the score f builds up as a sequence arrives: step t goes from its baseline to x_t, those before it are x,
    those after it still at their baselines.

    (x_t - b_t) · ∫₀¹ ∂f/∂x_t (x before t, b after t, step t at b_t + α(x_t - b_t)) dα, by Gauss-Legendre quadrature;
    the mean over several baselines. The future is held at its baseline where the original cuts it off, which networks
    of a fixed length cannot take. So each step gets exactly what it adds to the prefix before it, and values, which
    have the shape of the encoded input, sum to f(x) - f(b): `quality["completeness_gap"]` is how much they miss it by;
    `step_gap` is the largest miss of a single step. Made for causal networks with an answer at the end.

    For token ids the step is a token's embedding, its value is the sum over the channels (sample, token), and pads have
    exactly 0. Source: Enguehard, "Time Interpret: a Unified Model Interpretability Library for Time Series" (2023),
    section on temporal integrated gradients; Sundararajan, Taly and Yan (2017) for the integral.
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
        found = sample_by_sample(task, lambda i: one_step_at_a_time(task, starts, i, self.steps, _prefix))
        parts, sums, rises = zip(*found, strict=True)
        values = concatenate(list(parts))
        quality = completeness(task, values, starts) if length(values) else {}
        return Map(values, quality={**quality, **missed(sums, rises)})


def _prefix(x: Array, baseline: Array, t: int) -> Array:
    return np.concatenate([x[: t + 1], baseline[t + 1 :]])
