"""The layers of a network as a graph: what each does, gives, holds and sees."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from xaikit.errors import UnknownName, many
from xaikit.results._origin import Origin, Shown


@dataclass(frozen=True)
class LayerNode:
    """One layer: what it does (`kind`, with `said`, such as kernel and stride), reads, gives and holds.

    `shape` is without the sample axis, None = varies. `sees` is its receptive field along each axis of the first
    input, in input places, and `step` how far the fields of neighbours lie apart; None where the layer has no such
    field. `whole`: it mixes all places; `varies`: `sees` is the largest of fields of different sizes; `aligned`: the
    branches that it joins lie in line; `bound`: `sees` is an upper bound.
    """

    name: str
    kind: str
    parents: tuple[str, ...]
    shape: tuple[int | None, ...]
    said: Mapping[str, Any] = field(default_factory=dict)
    parameters: int = 0
    trainable: int = 0
    sees: tuple[int, ...] | None = None
    step: tuple[float, ...] | None = None
    whole: bool = False
    varies: bool = False
    aligned: bool = True
    bound: bool = False

    @property
    def remark(self) -> str:
        """What the layer sees, in a few words: "sees 19 /4" (19 places, 4 apart); empty where nothing is known."""
        if self.whole:
            return "sees all" if not self.bound else "may see all"
        if self.sees is None:
            return ""
        said = f"sees {'up to ' * self.varies}{times(self.sees)}"
        if self.step is not None and any(s != 1 for s in self.step):
            said += f" /{times(self.step)}"
        return said if self.aligned else f"{said}, out of line"


def times(sizes: tuple[float, ...]) -> str:
    """Write sizes: 3×3 where they differ or are several, one number where they are equal."""
    return f"{sizes[0]:g}" if len(set(sizes)) == 1 else "×".join(f"{n:g}" for n in sizes)


@dataclass(frozen=True, eq=False)
class LayerGraph(Shown):
    """The layers of a network in call order; `inputs` gives the shape of each input, `outputs` which layer gives it."""

    layers: tuple[LayerNode, ...]
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: Mapping[str, str]
    origin: Origin

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def trainable(self) -> int:
        """Number of weights that training changes."""
        return sum(layer.trainable for layer in self.layers)

    def __len__(self) -> int:
        """Count the layers."""
        return len(self.layers)

    def __iter__(self) -> Iterator[str]:
        """Give the names of the layers in call order."""
        return (layer.name for layer in self.layers)

    def __getitem__(self, name: str) -> LayerNode:
        """Give a layer by name."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise UnknownName("layer", name, list(self))

    def table(self) -> list[dict[str, Any]]:
        """Give one row for each layer: name, kind, parents, shape, parameters, and what it sees."""
        return [
            {
                "name": layer.name,
                "kind": layer.kind,
                "parents": list(layer.parents),
                "shape": list(layer.shape),
                "parameters": layer.parameters,
                "trainable": layer.trainable,
                "sees": None if layer.sees is None else list(layer.sees),
                "step": None if layer.step is None else list(layer.step),
                "remark": layer.remark,
            }
            for layer in self.layers
        ]

    def __repr__(self) -> str:
        return f"<LayerGraph of {self.origin.model}: {many(len(self), 'layer')}, {self.parameters:,} parameters>"
