"""What sequence models do step by step: gates, gradients along time, answers so far, attention."""

from xaikit.sequence._attention import attention
from xaikit.sequence._flow import gradient_flow
from xaikit.sequence._prefixes import prefixes
from xaikit.sequence._states import hidden_states
from xaikit.sequence._units import following_units

__all__ = ["attention", "following_units", "gradient_flow", "hidden_states", "prefixes"]
