"""The graph of any model: its layers as an architecture that folds, and the drawing in both themes."""

from typing import Any

from dash import html

from xaikit.render.diagram import diagram
from xaikit.zoo.building import Architecture
from xaikit.zoo.folding import WORDS, fold
from xaikit.zoo.graphs import architecture_of as architecture_from
from xaikit.zoo.graphs import described, ends
from xaikit_app.pictures import data_url
from xaikit_app.tasks import Description

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
    shapes = {name: tuple(getattr(specs.get(name), "shape", ())) for name in inputs}
    nodes = [described(layer) for layer in graph]
    return architecture_from(description.name, nodes, shapes, ends(nodes))


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
