"""The graph of any model: its layers as an architecture that folds, and the drawing in both themes."""

from typing import Any

from dash import html

from xaikit.graph import Layer
from xaikit.render.diagram import diagram
from xaikit.zoo.building import Architecture, Node, Weight
from xaikit.zoo.folding import WORDS, fold
from xaikit_app.pictures import data_url
from xaikit_app.tasks import Description

ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "mish", "tanh", "sigmoid", "softmax"),
    *("log_softmax", "softplus", "hardtanh", "hardswish", "hardsigmoid"),
)
INK = {"light": ("#16202b", "#ffffff"), "dark": ("#d5d9de", "#2e2e2e")}
"""Ink and paper of the drawing in each theme."""
MOST = 400
"""A graph of more layers would be drawn too small to be read."""


def architecture_of(description: Description) -> Architecture | None:
    """Give a model's layers as an architecture; None where it shows none, or too many to be drawn."""
    graph = description.graph
    if not 0 < len(graph) <= MOST:
        return None
    names = {layer.name for layer in graph}
    inputs = dict.fromkeys(p for layer in graph for p in layer.parents if p not in names) or {"input": None}
    specs = description.inputs if isinstance(description.inputs, dict) else dict.fromkeys(inputs, description.inputs)
    entries = [Node("input", name, (), {}, tuple(getattr(specs.get(name), "shape", ())), {}) for name in inputs]
    nodes = (*entries, *(_node(layer, next(iter(inputs))) for layer in graph))
    read = {p for node in nodes for p in node.parents}
    ends = [layer.name for layer in graph if layer.name not in read]
    return Architecture(description.name, nodes, {"output" if len(ends) == 1 else name: name for name in ends})


def _node(layer: Layer, entry: str) -> Node:
    """Give a layer as a node; one without parents reads the input."""
    shape = tuple("?" if n is None else n for n in layer.shape)
    trained, kept = layer.trainable, layer.parameters - layer.trainable
    weights = {"trained": Weight((trained,), "zeros")} if trained else {}
    weights |= {"kept": Weight((kept,), "zeros", trainable=False)} if kept else {}
    said = {"kind": layer.kind} if layer.kind in ACTIVATIONS else _parameters(layer)
    op = "activation" if layer.kind in ACTIVATIONS else layer.kind
    return Node(op, layer.name, layer.parents or (entry,), said, shape, weights)  # type: ignore[arg-type]


def _parameters(layer: Layer) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if layer.geometry is not None and layer.geometry.kind in ("window", "transposed"):
        said = {"kernel": layer.geometry.size, "stride": layer.geometry.stride, "dilation": layer.geometry.dilation}
    if layer.kind.startswith("conv") and layer.shape and layer.shape[-1]:
        said["filters"] = layer.shape[-1]
    if layer.kind == "dense" and layer.shape and layer.shape[-1]:
        said["units"] = layer.shape[-1]
    return {k: v for k, v in said.items() if v}


def kind_words(kind: str) -> str:
    """Say what kind of layer it is: "max pool", "ReLU"."""
    return WORDS.get(kind) or kind.replace("_", " ")


def drawn(architecture: Architecture, words: str) -> Any:
    """Draw an architecture as one picture for each theme, of which one is seen."""
    svg = diagram(fold(architecture), architecture.outputs, words)
    pictures = []
    for theme, (ink, paper) in INK.items():
        inked = svg.replace("var(--card, Canvas)", paper).replace("currentColor", ink)
        source = data_url(inked.encode(), "svg+xml")
        pictures.append(html.Img(src=source, alt=words, className=f"graph only-{theme}"))
    return html.Div(pictures)


__all__ = ["architecture_of", "drawn", "kind_words"]
