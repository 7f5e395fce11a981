"""`xaikit layers -o`: the graph of layers as a page, a picture and numbers."""

from pathlib import Path

from xaikit.cli._explain import keep
from xaikit.cli._insight import tell
from xaikit.insight import layer_graph
from xaikit.model import Model
from xaikit.report import write_layers_page


def draw(model: Model, folder: Path, json_: bool) -> None:
    """Write the page, the picture and the numbers of a model's layers, and print their paths."""
    graph = layer_graph(model)
    written = keep(graph, folder / "layers")
    tell([{**written, "html": str(write_layers_page(folder / "layers.html", graph))}], json_)
