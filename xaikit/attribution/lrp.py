"""Layer-wise relevance propagation."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from xaikit.arrays import total
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require
from xaikit.attribution._native import native, require_rules
from xaikit.attribution.integrated_gradients import relative
from xaikit.model import Model

RULES = ("epsilon", "gamma", "alpha1-beta0")


@methods("lrp")
@dataclass(frozen=True, kw_only=True)
class Lrp(Method):
    """How the score is handed back from layer to layer, to each input in the share that it had in the output.

    Of a layer z_k = Σ_j a_j w_jk + b_k, input j gets Σ_k a_j w_jk R_k / (z_k + ε sign z_k): the rule "epsilon". "gamma"
    reads w + γ w⁺ for w in convolutions and dense layers, "alpha1-beta0" w⁺. Activations and pooled maxima pass on what
    they get. Values have the shape of the encoded input; what biases and ε take is lost:
    `quality["relevance_absorbed"]` is |f(x) - Σ values| over |f(x)|. Source: Bach et al., "On Pixel-Wise Explanations
    for Non-Linear Classifier Decisions by Layer-Wise Relevance Propagation" (2015), equation 58; Montavon et al.,
    "Layer-Wise Relevance Propagation: An Overview" (2019), section 10.2.
    """

    needs: ClassVar = frozenset({"pull", "native:lrp"})
    score: ClassVar = "logit"

    rule: str = parameter("epsilon", "what a layer's share is taken of: epsilon, gamma or alpha1-beta0", RULES)
    epsilon: float = parameter(1e-9, "what keeps denominators from 0; larger values leave noise out")
    gamma: float = parameter(0.25, "how much the rule gamma favours what speaks for a neuron")

    def __post_init__(self) -> None:
        require(self.rule in RULES, f"rule must be one of {', '.join(RULES)}, not {self.rule!r}")
        require(self.epsilon > 0, f"epsilon must be positive, not {self.epsilon}")
        require(self.gamma >= 0, f"gamma must not be negative, not {self.gamma}")

    @classmethod
    def examine(cls, model: Model) -> str:
        said = super().examine(model)
        require_rules(model, "lrp")
        return said

    def __call__(self, task: Task) -> Map:
        how = {"rule": self.rule, "epsilon": self.epsilon, "gamma": self.gamma}
        found = native(task, "lrp", task.x, np.arange(len(task)), **how)
        values = found.values
        if found.at_x is not None and not task.by_logits:
            task.remember(task.x, found.at_x.output, found.at_x.raw)
        score = task.value(task.x)
        return Map(values, quality={"relevance_absorbed": relative(np.abs(score - total(values)), score)})
