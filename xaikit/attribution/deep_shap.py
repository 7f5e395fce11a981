"""Deep SHAP: DeepLIFT averaged over a background."""

from dataclasses import dataclass
from typing import Any, ClassVar

from xaikit.attribution._method import Map, Method, Task, methods, parameter
from xaikit.attribution._native import against, maxima, require_rules
from xaikit.model import Model


@methods("deep-shap")
@dataclass(frozen=True, kw_only=True)
class DeepShap(Method):
    """An approximation of Shapley values: the mean of DeepLIFT over the samples of a background.

    Values have the shape of the encoded input and sum to f(x) - E[f(background)]; `quality["completeness_gap"]` is how
    much they miss it by, `completeness_gap_relative` the same over that difference. They are Shapley values where the
    network is linear, and an approximation elsewhere. Source: Lundberg and Lee, "A Unified Approach to Interpreting
    Model Predictions" (2017), section 4.2.
    """

    needs: ClassVar = frozenset({"pull", "native:deep-lift"})
    score: ClassVar = "logit"

    background: Any = parameter(None, "samples that stand for the data; None = as the baseline of the input")

    @classmethod
    def examine(cls, model: Model) -> str:
        super().examine(model)
        require_rules(model, "deep-shap")
        return maxima(model)

    def __call__(self, task: Task) -> Map:
        starts = task.baselines(self.background)
        values, quality = against(task, starts)
        return Map(values, quality=quality)
