"""What a data set of rows says of a model: importance, break-down, profiles, what-if, counterfactuals, fairness."""

from xaikit.tabular._break_down import break_down
from xaikit.tabular._counterfactuals import counterfactuals
from xaikit.tabular._fairness import fairness
from xaikit.tabular._importance import importance
from xaikit.tabular._profile import profile
from xaikit.tabular._what_if import what_if

__all__ = ["break_down", "counterfactuals", "fairness", "importance", "profile", "what_if"]
