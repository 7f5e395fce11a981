"""Inside a network: its filters, what its layers give, what excites them most, and the concepts that they know."""

from xaikit.insight._activations import activations
from xaikit.insight._concepts import concepts
from xaikit.insight._effective_field import effective_field
from xaikit.insight._filters import filters
from xaikit.insight._health import layer_health
from xaikit.insight._layer_graph import layer_graph
from xaikit.insight._maximize import maximize
from xaikit.insight._patches import top_patches
from xaikit.insight._receptive_field import receptive_field
from xaikit.insight._unit_card import unit_card
from xaikit.insight.operators import explore, kernels, operations

__all__ = [
    "activations",
    "concepts",
    "effective_field",
    "explore",
    "filters",
    "kernels",
    "layer_graph",
    "layer_health",
    "maximize",
    "operations",
    "receptive_field",
    "top_patches",
    "unit_card",
]
