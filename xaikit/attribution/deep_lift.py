"""DeepLIFT: what each input value contributes to the difference from a baseline."""

from dataclasses import dataclass
from typing import Any, ClassVar

from xaikit.attribution._method import Map, Method, Task, methods, parameter, require
from xaikit.attribution._native import against, maxima, require_rules
from xaikit.model import Model


@methods("deep-lift")
@dataclass(frozen=True, kw_only=True)
class DeepLift(Method):
    """How the rise of the score over a baseline is passed back through the layers, by the rescale rule.

    A linear layer passes contributions on by its weights, an activation as Δoutput / Δinput (its derivative where
    |Δinput| < eps). Values have the shape of the encoded input and sum to f(x) - f(b): `quality["completeness_gap"]`
    is how much they miss it by, `completeness_gap_relative` the same over |f(x) - f(b)|. With several baselines they
    are the mean. Two passes forwards and one back. Networks with layers that have no rule (recurrent cells, attention,
    normalisation over the sample) are refused. Source: Shrikumar, Greenside and Kundaje, "Learning Important Features
    Through Propagating Activation Differences" (2017), section 3.5.1.
    """

    needs: ClassVar = frozenset({"pull", "native:deep-lift"})
    score: ClassVar = "logit"

    baseline: Any = parameter(
        None, "what the input is compared with: a number, an array, 'mean', 'blur' or 'zero'; None = by input"
    )
    eps: float = parameter(1e-10, "below this change of its input an activation passes on by its derivative")

    def __post_init__(self) -> None:
        require(self.eps >= 0, f"eps must not be negative, not {self.eps}")

    @classmethod
    def examine(cls, model: Model) -> str:
        super().examine(model)
        require_rules(model, "deep-lift")
        return maxima(model)

    def __call__(self, task: Task) -> Map:
        starts = task.baselines(self.baseline)
        values, quality = against(task, starts, eps=self.eps)
        return Map(values, quality=quality)
