"""The layer graph of a network, and the geometry of each layer: plain data and arithmetic, NumPy only.

The walk that gives receptive fields comes with its first use.
"""

from typing import TYPE_CHECKING

from xaikit.graph._geometry import FOLDED, Geometry
from xaikit.graph._layers import GATE, Call, Layer, between, flattened, places
from xaikit.later import given_later

if TYPE_CHECKING:
    from xaikit.graph._fields import Affine, Misaligned, Node, fields

__all__ = [
    "FOLDED",
    "GATE",
    "Affine",
    "Call",
    "Geometry",
    "Layer",
    "Misaligned",
    "Node",
    "between",
    "fields",
    "flattened",
    "places",
]

__getattr__ = given_later(__name__, dict.fromkeys(("Affine", "Misaligned", "Node", "fields"), "xaikit.graph._fields"))
