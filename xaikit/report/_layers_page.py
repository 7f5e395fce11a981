"""The layers of a model as one page that folds and unfolds: the graph, and every stage of it layer by layer."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from xaikit.render.diagram import diagram, noted
from xaikit.render.graphs import blocks_of
from xaikit.report._page import rendered
from xaikit.results import LayerGraph
from xaikit.storage import write_atomically
from xaikit.zoo.folding import Block, Unit

MOST = 400
"""Units of a stage beyond which it is a table alone: a drawing would be too small to be read."""


@dataclass(frozen=True)
class Row:
    """One unit in the table of a stage."""

    name: str
    steps: str
    shape: str
    sees: str
    parameters: str


@dataclass(frozen=True)
class Stage:
    """A part of the network that folds: what it is in a line, its drawing with every copy, and its rows."""

    title: str
    times: int
    shape: str
    sees: str
    parameters: str
    drawing: str
    rows: tuple[Row, ...]


def write_layers_page(path: str | os.PathLike[str], graph: LayerGraph) -> Path:
    """Write one self-contained HTML page about the layers of a model, and give its absolute path.

    The page needs no network and no script, follows the reader's choice of light or dark, and prints. Nothing is left
    behind on an error.
    """
    blocks = blocks_of(graph)
    notes = {layer.name: layer.remark for layer in graph.layers}
    whole = sum(len(b.units) for b in blocks)
    words = {
        "graph": graph,
        "name": graph.origin.model,
        "drawing": diagram(blocks, graph.outputs, f"The layers of {graph.origin.model}", notes)
        if whole <= MOST
        else "",
        "stages": [_stage(part, graph, notes) for part in _stages(blocks)],
        "folded": any(b.times > 1 for b in blocks),
        "unaligned": [layer.name for layer in graph.layers if not layer.aligned],
        "bounds": [layer.name for layer in graph.layers if layer.bound],
    }
    target = Path(path).absolute()
    write_atomically(target, rendered("layers.html", words))
    return target


def _stages(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    """Cut the network into repeated blocks and what lies between them."""
    for repeated, members in groupby(blocks, lambda b: b.times > 1):
        run = list(members)
        yield from ([b] for b in run) if repeated else [run]


def _stage(blocks: Sequence[Block], graph: LayerGraph, notes: dict[str, str]) -> Stage:
    copies = [Block((copy,)) for b in blocks for copy in b.copies]
    units = [u for b in copies for u in b.units]
    first, last = units[0], units[-1]
    title = first.title if len(units) == 1 else f"{first.title} … {last.title}"
    return Stage(
        title=title,
        times=blocks[0].times,
        shape=_shape(last),
        sees=notes.get(last.nodes[-1].name, ""),
        parameters=f"{sum(u.parameters for u in units):,}",
        drawing=diagram(copies, graph.outputs, title, notes) if 1 < len(units) <= MOST else "",
        rows=tuple(_row(b, notes) for b in copies for b in _single(b)),
    )


def _single(block: Block) -> Iterator[Block]:
    return (Block(((unit,),)) for unit in block.units)


def _row(block: Block, notes: dict[str, str]) -> Row:
    (unit,) = block.units
    held = f"{unit.parameters:,}" if unit.parameters else "–"
    return Row(
        ", ".join(n.name for n in unit.nodes), " · ".join(unit.steps), _shape(unit), noted(block, 0, notes), held
    )


def _shape(unit: Unit) -> str:
    return " × ".join(f"{n:,}" if isinstance(n, int) else str(n) for n in unit.shape) or "1"
