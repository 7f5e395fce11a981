"""The layer graph of a network, and the geometry of each layer: plain data and arithmetic, NumPy only.

The walk that gives receptive fields comes with its first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from xaikit.graph._geometry import FOLDED, Geometry
from xaikit.graph._layers import Call, Layer, between, flattened, places

if TYPE_CHECKING:
    from xaikit.graph._fields import Affine, Misaligned, Node, fields

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


def __getattr__(name: str) -> Any:
    if name not in ("Affine", "Misaligned", "Node", "fields"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module("xaikit.graph._fields"), name)
    return found
