"""Temporal integrated gradients: the steps of a sequence come one after the other, the future is not there yet."""

from dataclasses import dataclass

import numpy as np

from xaikit.arrays import Array, length
from xaikit.attribution._method import Map, Task, methods
from xaikit.attribution._stepwise import OneStepAtATime
from xaikit.attribution.integrated_gradients import completeness


@methods("temporal-integrated-gradients")
@dataclass(frozen=True, kw_only=True)
class TemporalIntegratedGradients(OneStepAtATime):
    """How the score f builds up as a sequence arrives: step t goes from its baseline to x_t, those before it are x,
    those after it still at their baselines.

    (x_t - b_t) · ∫₀¹ ∂f/∂x_t (x before t, b after t, step t at b_t + α(x_t - b_t)) dα, by Gauss-Legendre quadrature;
    the mean over several baselines. The future is held at its baseline where the original cuts it off, which networks
    of a fixed length cannot take. So each step gets exactly what it adds to the prefix before it, and values, which
    have the shape of the encoded input, sum to f(x) - f(b): `quality["completeness_gap"]` is how much they miss it by,
    `completeness_gap_relative` the same over |f(x) - f(b)|; `step_gap` is the largest miss of a single step,
    `step_gap_relative` the same over the largest rise of one. Made for causal networks with an answer at the end.

    For token ids the step is a token's embedding, its value is the sum over the channels (sample, token), and pads have
    exactly 0. Source: Enguehard, "Time Interpret: a Unified Model Interpretability Library for Time Series" (2023),
    section on temporal integrated gradients; Sundararajan, Taly and Yan (2017) for the integral.
    """

    def __call__(self, task: Task) -> Map:
        starts = task.baselines(self.baseline)
        values, gaps = self.integrated(task, starts, _prefix)
        quality = completeness(task, values, starts) if length(values) else {}
        return Map(values, quality={**quality, **gaps})


def _prefix(x: Array, baseline: Array, t: int) -> Array:
    return np.concatenate([x[: t + 1], baseline[t + 1 :]])
