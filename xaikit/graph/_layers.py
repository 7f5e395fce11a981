"""The layers of a network as a graph: one node for each call, in call order; plain data, read off by an adapter."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

from xaikit.arrays import SPACE
from xaikit.graph._geometry import Geometry

Node = TypeVar("Node", bound=Hashable)
GATE = "gate"
"""The kind of what stands for a gate or a state inside a recurrent layer, at all its steps: "lstm/i", "gru/h"."""


class Call(Protocol):
    """What the walks over a graph read of a layer, or of an adapter's own record of one."""

    @property
    def kind(self) -> str: ...
    @property
    def parents(self) -> tuple[str, ...]: ...


def flattened(layers: Mapping[str, Call], name: str) -> str | None:
    """Name the layer or input whose places a layer reads in a row, flattened before it; None where none were."""
    flat = False
    while name in layers and len(layers[name].parents) == 1:
        name = layers[name].parents[0]
        kind = layers[name].kind if name in layers else "input"
        if kind in ("flatten", "reshape"):
            flat = True
        elif flat or kind not in ("dropout", "identity", "relu"):
            break
    return name if flat else None


def between(starts: Iterable[Node], ends: Iterable[Node], earlier: Callable[[Node], Iterable[Node]]) -> list[Node]:
    """List the nodes on any way from a start back to an end; `earlier` gives those that a node was made from.

    For the graphs of a framework, which may be thousands of nodes deep: nothing recurses.
    """
    goals, leads = set(ends), dict[Node, bool]()
    for start in starts:
        stack: list[tuple[Node, Iterator[Node]]] = [] if start in leads else [(start, iter(earlier(start)))]
        leads.setdefault(start, False)
        while stack:
            node, left = stack[-1]
            following = next(left, None)
            if following is None:
                stack.pop()
                leads[node] = node in goals or any(leads[n] for n in earlier(node))
            elif following not in leads:
                leads[following] = False
                stack.append((following, iter(earlier(following))))
    return [node for node, found in leads.items() if found]


@dataclass(frozen=True)
class Layer:
    """One call in the network, in call order.

    `name` is the framework's own ("features.0", "backbone/block5_conv2"), with ":1" for the second call of the same
    layer; `kind` a lower-case word ("conv", "dense", "relu", "max_pool", "lstm", "add", ...). `axes` names the axes
    of what `Model.run(at=[name])` gives, `shape` their lengths without the sample axis (None = varies);
    `parents` are names of layers or of inputs ("input" when there is one). `parameters` counts the numbers it owns.
    """

    name: str
    kind: str
    axes: tuple[str, ...]
    shape: tuple[int | None, ...]
    parents: tuple[str, ...] = ()
    geometry: Geometry | None = None
    parameters: int = 0
    trainable: int = 0
    config: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @cached_property
    def space(self) -> tuple[int, ...]:
        """The positions, among the array's axes, of the spatial ones."""
        return tuple(i for i, axis in enumerate(self.axes) if axis in SPACE)

    @property
    def channel(self) -> int | None:
        """The position of the channel axis, if there is one."""
        return self.axes.index("channel") if "channel" in self.axes else None


def places(axes: Sequence[str]) -> tuple[str, ...]:
    """List the axes of places: all but sample and channel."""
    return tuple(a for a in axes if a not in ("sample", "channel"))
