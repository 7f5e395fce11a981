"""The layers of any wrapped model as an architecture, so that they fold and are drawn as the zoo's own."""

from collections.abc import Iterable, Mapping
from typing import Any

from xaikit.graph import Layer
from xaikit.results import LayerNode
from xaikit.zoo.building import Architecture, Node, Weight

ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "mish", "tanh", "sigmoid", "softmax"),
    *("log_softmax", "softplus", "hardtanh", "hardswish", "hardsigmoid"),
)


def described(layer: Layer) -> LayerNode:
    """Give what a layer does, gives and holds, without what it sees."""
    parameters, trainable = layer.parameters, layer.trainable
    return LayerNode(layer.name, layer.kind, layer.parents, layer.shape, _said(layer), parameters, trainable)


def _said(layer: Layer) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if layer.geometry is not None and layer.geometry.kind in ("window", "transposed"):
        said = {"kernel": layer.geometry.size, "stride": layer.geometry.stride, "dilation": layer.geometry.dilation}
    last = layer.shape[layer.channel - 1] if layer.channel else layer.shape[-1] if layer.shape else None
    if layer.kind.startswith("conv"):
        said["filters"] = last
    if layer.kind in ("dense", "lstm", "gru", "rnn"):
        said["units"] = last
    if layer.kind == "embedding" and last and layer.parameters:
        said = {"vocabulary": layer.parameters // last, "size": last}
    return {k: v for k, v in said.items() if v}


def architecture_of(
    name: str, layers: Iterable[LayerNode], inputs: Mapping[str, tuple[int | None, ...]], outputs: Mapping[str, str]
) -> Architecture:
    """Give layers as an architecture; a layer without parents reads the first input."""
    entries = [Node("input", entry, (), {}, _shape(shape), {}) for entry, shape in inputs.items()]
    nodes = (*entries, *(_node(layer, next(iter(inputs))) for layer in layers))
    return Architecture(name, nodes, outputs)


def ends(layers: Iterable[LayerNode]) -> dict[str, str]:
    """Name the layers that no other reads, as outputs."""
    listed = list(layers)
    read = {p for layer in listed for p in layer.parents}
    last = [layer.name for layer in listed if layer.name not in read]
    return {"output" if len(last) == 1 else name: name for name in last}


def _node(layer: LayerNode, entry: str) -> Node:
    trained, kept = layer.trainable, layer.parameters - layer.trainable
    weights = {"trained": Weight((trained,), "zeros")} if trained else {}
    weights |= {"kept": Weight((kept,), "zeros", trainable=False)} if kept else {}
    said = {"kind": layer.kind} if layer.kind in ACTIVATIONS else layer.said
    op = "activation" if layer.kind in ACTIVATIONS else layer.kind
    return Node(op, layer.name, layer.parents or (entry,), said, _shape(layer.shape), weights)


def _shape(shape: tuple[int | None, ...]) -> Any:
    return tuple("?" if n is None else n for n in shape)
