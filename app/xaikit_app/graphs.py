"""The graph of any model: its layers as an architecture that folds, and the drawing in both themes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dash import dcc, html

from xaikit.graph import GATE, Layer
from xaikit.render.diagram import diagram
from xaikit.zoo.building import Architecture
from xaikit.zoo.folding import WORDS, Block, Unit, fold
from xaikit.zoo.graphs import architecture_of as architecture_from
from xaikit.zoo.graphs import described, ends
from xaikit_app.pictures import data_url
from xaikit_app.work.describe import Description

INK = {"light": ("#16202b", "#ffffff"), "dark": ("#d5d9de", "#2e2e2e")}
"""Ink and paper of the drawing in each theme."""
MOST = 400
"""A graph of more layers would be drawn too small to be read."""


@dataclass(frozen=True)
class Branch:
    """A piece of the folded graph: a layer, or a block without one, with what it unfolds to."""

    name: str
    layer: str | None
    inner: "tuple[Branch, ...]" = ()


def architecture_of(description: Description) -> Architecture | None:
    """Give a model's layers as an architecture; None where it shows none, or too many to be drawn."""
    graph = description.graph
    return _architecture(description, graph) if 0 < len(graph) <= MOST else None


def _architecture(description: Description, graph: Sequence[Layer]) -> Architecture:
    given = description.inputs if isinstance(description.inputs, Mapping) else {}
    graph, called = _apart(graph, given)
    names = {layer.name for layer in graph}
    inputs = dict.fromkeys(p for layer in graph for p in layer.parents if p not in names) or {"input": None}
    specs = {called[name]: spec for name, spec in given.items()} or dict.fromkeys(inputs, description.inputs)
    shapes = {name: tuple(getattr(specs.get(name), "shape", ())) for name in inputs}
    nodes = [described(layer) for layer in graph]
    return architecture_from(description.name, nodes, shapes, ends(nodes))


def _apart(graph: Sequence[Layer], inputs: Mapping[str, Any]) -> tuple[list[Layer], dict[str, str]]:
    """Tell inputs from layers of the same name: give the layers, and what each input is called.

    What reads such a name before its layer was called reads the input.
    """
    names = {layer.name for layer in graph}
    called = {name: f"input {name}" if name in names else name for name in inputs}
    before: set[str] = set()
    told = []
    for layer in graph:
        parents = tuple(p if p in before else called.get(p, p) for p in layer.parents)
        told.append(replace(layer, parents=parents))
        before.add(layer.name)
    return told, called


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


# ---------------------------------------------------------------- the tree


def branches(description: Description) -> tuple[Branch, ...]:
    """Fold the layers of a model: repeated blocks once with their copies inside, an operation with what follows it.

    The gates of a recurrent layer are inside of it.
    """
    graph = description.graph
    gates: dict[str, list[str]] = {}
    named = {layer.name for layer in graph if layer.kind != GATE}
    for layer in graph:
        if layer.kind == GATE:
            owner = max((n for n in named if layer.name.startswith(f"{n}/")), key=len, default=layer.name)
            gates.setdefault(owner, []).append(layer.name)
    kept = [layer for layer in graph if layer.kind != GATE or layer.name in gates]
    found = [b for block in fold(_architecture(description, kept)) for b in _of_block(block, gates)]
    return tuple(found)


def _of_block(block: Block, gates: Mapping[str, Sequence[str]]) -> list[Branch]:
    if block.times == 1:
        return _of_units(block.units, gates)
    copies = [_of_units(copy, gates) for copy in block.copies]
    if len(copies[0]) == 1:
        return [Branch(f"{block.times} equal layers", None, tuple(b for copy in copies for b in copy))]
    inner = [Branch(f"{k} of {block.times}", None, tuple(copy)) for k, copy in enumerate(copies, start=1)]
    return [Branch(f"{block.times} equal blocks of {_count(copies[0])} layers", None, tuple(inner))]


def _of_units(units: Sequence[Unit], gates: Mapping[str, Sequence[str]]) -> list[Branch]:
    return [_of_unit(unit, gates) for unit in units if unit.main.op != "input"]


def _of_unit(unit: Unit, gates: Mapping[str, Sequence[str]]) -> Branch:
    beside = [n.name for n in unit.nodes if n is not unit.main]
    inner = [*gates.get(unit.main.name, ()), *beside]
    return Branch(unit.main.name, unit.main.name, tuple(Branch(n, n) for n in inner if n != unit.main.name))


def _count(found: Sequence[Branch]) -> int:
    return sum((b.layer is not None) + _count(b.inner) for b in found)


def tree(found: Sequence[Branch], chosen: str, about: Mapping[str, str], hrefs: Mapping[str, str], model: str) -> Any:
    """Give branches as a tree that folds, open where the chosen layer is; `about` and `hrefs` are by layer."""
    items = [_item(b, chosen, about, hrefs, str(k), 1) for k, b in enumerate(found)]
    return html.Ul(
        items,
        id="layers-list",
        className="layer-tree",
        role="tree",
        **{"aria-label": "Layers of the network", "data-model": model},
    )


def _item(b: Branch, chosen: str, about: Mapping[str, str], hrefs: Mapping[str, str], place: str, level: int) -> Any:
    head: Any = html.Span(b.name, className="block-name twist-name")
    if b.layer is not None:
        words = [html.Span(b.name, className="layer-name"), html.Span(about[b.layer], className="layer-about")]
        head = dcc.Link(words, href=hrefs[b.layer], className="layer chosen" if b.layer == chosen else "layer")
    twist = html.Span(className="twist" if b.inner else "twist none", **{"aria-hidden": "true"})
    inside = [_item(c, chosen, about, hrefs, f"{place}.{k}", level + 1) for k, c in enumerate(b.inner)]
    said = {"aria-level": str(level), "data-key": place}
    if b.layer == chosen:
        said |= {"aria-selected": "true", "aria-current": "true"}
    if b.inner:
        said["aria-expanded"] = "true" if any(_holds(c, chosen) for c in b.inner) else "false"
    group = [html.Ul(inside, role="group")] if inside else []
    return html.Li([html.Div([twist, head], className="row"), *group], role="treeitem", tabIndex=-1, **said)


def _holds(b: Branch, layer: str) -> bool:
    return b.layer == layer or any(_holds(c, layer) for c in b.inner)


__all__ = ["Branch", "architecture_of", "branches", "drawn", "kind_words", "tree"]
