"""Inside a network: its filters, what its layers give, what excites them most, and the concepts that they know."""

from xaikit.insight._activations import activations
from xaikit.insight._concepts import concepts
from xaikit.insight._filters import filters
from xaikit.insight._patches import top_patches
from xaikit.insight._receptive_field import receptive_field

__all__ = ["activations", "concepts", "filters", "receptive_field", "top_patches"]
