"""Which part of the input one unit sees: a walk back from the unit, interval by interval."""

from collections.abc import Mapping, Sequence

from xaikit.arrays import SPACE
from xaikit.graph import Geometry, Layer

Interval = tuple[int, int]
Box = tuple[Interval, ...]


def field(layers: Mapping[str, Layer], layer: str, place: Sequence[int]) -> dict[str, Box | None]:
    """Give, by name of input, the box (first, last place along each axis) that a unit sees, padding included.

    None stands for the whole input: where a layer mixes all places, or in a way that is not known. A path through a
    gate with one place beside a path with many, as in squeeze-and-excitation, is left out: it scales what the others
    see. Source: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks" (2019).
    """
    wanted: dict[str, Box | None] = {layer: tuple((p, p) for p in place)}
    found: dict[str, Box | None] = {}
    for name in reversed(list(layers)) if layer in list(layers) else [layer]:
        if name not in wanted:
            continue
        seen = _back(layers[name].geometry, wanted.pop(name))
        for parent in _parents(layers, layers[name]):
            into = wanted if parent in layers else found
            into[parent] = _union(into[parent], seen) if parent in into else seen
    return found


def _back(geometry: Geometry | None, box: Box | None) -> Box | None:
    if box is None or geometry is None or geometry.kind in ("global", "unknown"):
        return None
    return geometry.sees(box)


def _parents(layers: Mapping[str, Layer], layer: Layer) -> tuple[str, ...]:
    """List what a layer reads, less the gates: a single place where others have many."""
    gates = [p for p in layer.parents if p in layers and set(_places(layers[p])) <= {1}]
    return tuple(p for p in layer.parents if p not in gates) or layer.parents


def _places(layer: Layer) -> tuple[int | None, ...]:
    return tuple(n for axis, n in zip(layer.axes[1:], layer.shape, strict=True) if axis in SPACE)


def _union(a: Box | None, b: Box | None) -> Box | None:
    if a is None or b is None or len(a) != len(b):
        return None
    return tuple((min(p[0], q[0]), max(p[1], q[1])) for p, q in zip(a, b, strict=True))
