"""The layer graph of a network, and the geometry of each layer: plain data, read off by an adapter."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from xaikit.arrays import SPACE

Node = TypeVar("Node", bound=Hashable)
GeometryKind = Literal["window", "transposed", "pointwise", "global", "upsample", "unknown"]


@dataclass(frozen=True)
class Geometry:
    """How the places of a layer's output look at the places of its input, one entry per spatial axis.

    `kind`: "window" (convolution, pooling), "transposed", "upsample" (stride is the factor), "pointwise" (a place
    sees the same place), "global" (every place sees all), "unknown" (an upper bound: all). `padding` is
    (before, after) in input places.
    """

    kind: GeometryKind
    size: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    padding: tuple[tuple[int, int], ...] = ()
    dilation: tuple[int, ...] = ()

    def output_size(self, places: tuple[int, ...]) -> tuple[int, ...]:
        """Count the output places of a window layer: floor((n + p - d(k-1) - 1)/s) + 1 on each axis."""
        if self.kind != "window":
            raise ValueError(f"output_size is defined for windows, not for {self.kind!r}")
        return tuple(
            (n + sum(p) - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(places, self.size, self.stride, self.padding, self.dilation, strict=True)
        )

    def sees(self, box: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        """Give the input places, first and last along each axis, that a box of output places looks at.

        They may lie outside the input, where its padding is. "global" and "unknown" have no box: ValueError.
        """
        if self.kind == "pointwise":
            return box
        if self.kind not in ("window", "transposed", "upsample"):
            raise ValueError(f"sees is defined for windows, not for {self.kind!r}")
        axes = zip(box, self.size, self.stride, self.padding, self.dilation, strict=True)
        return tuple(_SEEN[self.kind](lo, hi, k, s, p[0], d) for (lo, hi), k, s, p, d in axes)


def _window(lo: int, hi: int, k: int, s: int, p: int, d: int) -> tuple[int, int]:
    return lo * s - p, hi * s - p + d * (k - 1)


def _transposed(lo: int, hi: int, k: int, s: int, p: int, d: int) -> tuple[int, int]:
    """Input i reaches the outputs i·s - p + d·j for j = 0..k-1."""
    return -(-(lo + p - d * (k - 1)) // s), (hi + p) // s


def _upsample(lo: int, hi: int, k: int, s: int, p: int, d: int) -> tuple[int, int]:
    """Output o has its centre at (o + 1/2)/s - 1/2 and takes the k nearest inputs."""
    if k == 1:
        return lo // s, hi // s
    return (2 * lo + 1 - s) // (2 * s) - k // 2 + 1, (2 * hi + 1 - s) // (2 * s) + k // 2


_SEEN = {"window": _window, "transposed": _transposed, "upsample": _upsample}


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

    @property
    def space(self) -> tuple[int, ...]:
        """The positions, among the array's axes, of the spatial ones."""
        return tuple(i for i, axis in enumerate(self.axes) if axis in SPACE)

    @property
    def channel(self) -> int | None:
        """The position of the channel axis, if there is one."""
        return self.axes.index("channel") if "channel" in self.axes else None
