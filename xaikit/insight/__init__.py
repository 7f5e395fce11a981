"""Inside a network: the filters of its layers, what they give for samples, and what excites them most."""

from xaikit.insight._activations import activations
from xaikit.insight._filters import filters
from xaikit.insight._patches import top_patches

__all__ = ["activations", "filters", "top_patches"]
