"""Which part of the input one unit sees."""

from collections.abc import Mapping, Sequence

from xaikit.graph import Layer, fields

Box = tuple[tuple[int, int], ...]


def field(
    layers: Mapping[str, Layer], inputs: Mapping[str, Mapping[str, int | None]], layer: str, place: Sequence[int]
) -> dict[str, Box | None]:
    """Give, by name of input, the box (first, last place along each axis) that a unit sees, padding included.

    None stands for the whole input: where a layer mixes all places, or in a way that is not known. Gates are left
    out: they scale what the others see. Source: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional
    Neural Networks" (2019).
    """
    node = fields(layers, inputs, local=True)[layer]
    names = dict.fromkeys(name for name, _ in node.affine)
    return {n: None if {k for k in node.mixed if k[0] == n} else node.reach(n, place) for n in names}
