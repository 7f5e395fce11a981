"""The layer graph of a network, and the geometry of each layer: plain data and arithmetic, NumPy only."""

from xaikit.graph._fields import Affine, Misaligned, Node, fields, places
from xaikit.graph._geometry import FOLDED, Geometry
from xaikit.graph._layers import Call, Layer, between, flattened

__all__ = [
    "FOLDED",
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
