"""The painter of layer graphs: the layout of the diagram, drawn with any renderer."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.figures import GraphPanel, Trace
from xaikit.render._theme import Theme
from xaikit.render.diagram import TRUNK, Layout, Place, Point, layout, remark, stripe
from xaikit.results import LayerGraph
from xaikit.zoo.folding import Block, fold
from xaikit.zoo.graphs import architecture_of

TITLE, REMARK, BELOW = 12.5, 11.0, 10.5
"""Sizes of what is written in a box, and under it."""
BEND = np.linspace(0, 1, 9)[1:]


def blocks_of(graph: LayerGraph) -> tuple[Block, ...]:
    """Fold the layers of a graph: operations with what belongs to them, repeated blocks once."""
    return fold(architecture_of(graph.origin.model, graph.layers, graph.inputs, graph.outputs))


def remarks_of(graph: LayerGraph) -> dict[str, str]:
    """Say by layer what it sees."""
    return {layer.name: layer.remark for layer in graph.layers}


@lru_cache(maxsize=4)
def laid_out(panel: GraphPanel) -> Layout:
    """Lay out the graph of a panel, in design pixels."""
    return layout(blocks_of(panel.graph), panel.graph.outputs, remarks_of(panel.graph))


def paint(r: Any, canvas: Any, panel: GraphPanel, box: Any, theme: Theme) -> None:
    """Draw frames, edges, boxes and words."""
    laid, area = laid_out(panel), type(box)
    scale = min(1.0, box.width / laid.width)

    def placed(x: float, y: float, width: float, height: float) -> Any:
        return area(box.x + scale * x, box.y + scale * y, scale * width, scale * height)

    for frame in laid.frames:
        for edge in _outline(frame.x, frame.y, frame.width, frame.height):
            r.rectangle(canvas, placed(*edge), colour=theme.faint)
        _say(r, canvas, box, scale, frame.x + frame.width + 7, frame.y, f"× {frame.times}", 14, theme.ink, True, "left")
    for place in laid.places:
        r.rectangle(canvas, placed(place.x, place.y, place.width, place.height), colour=theme.faint)
        r.rectangle(canvas, placed(place.x + 2, place.y + 4, 4, place.height - 8), colour=stripe(place.unit))
    whole = placed(0, 0, laid.width, laid.height)
    trace = Trace("edges", *_traced(laid), colour=-1, silent=True)
    r.curve(canvas, whole, trace, limits=(0.0, laid.width, -laid.height, 0.0), colour=theme.muted, log=False)
    for place in laid.places:
        _words(r, canvas, box, scale, place, theme)


def _words(r: Any, canvas: Any, box: Any, scale: float, place: Place, theme: Theme) -> None:
    middle, beside = place.x + place.width / 2 + 2, remark(place.unit)
    top = place.y + place.height / 2 - (TITLE + 2 if beside else 0.62 * TITLE)
    _say(r, canvas, box, scale, middle, top, place.unit.title, TITLE, theme.ink, True, "center")
    if beside:
        _say(r, canvas, box, scale, middle, top + TITLE + 3, beside, REMARK, theme.muted, False, "center")
    foot = place.y + place.height + 2
    _say(r, canvas, box, scale, middle + 5, foot, place.below, BELOW, theme.muted, False, "left")
    if place.note:
        _say(r, canvas, box, scale, middle - 9, foot, place.note, BELOW, theme.muted, False, "right")


def _say(
    r: Any, canvas: Any, box: Any, scale: float, x: float, y: float, words: str, size: float, colour: str, bold: bool,
    anchor: str,
) -> None:  # fmt: skip
    left, top = box.x + scale * x, box.y + scale * y
    r.text(canvas, left, top, words, size=scale * size, colour=colour, bold=bold, anchor=anchor)


def _outline(x: float, y: float, width: float, height: float) -> Iterator[tuple[float, float, float, float]]:
    yield x, y, width, 1.5
    yield x, y + height - 1.5, width, 1.5
    yield x, y, 1.5, height
    yield x + width - 1.5, y, 1.5, height


def _traced(laid: Layout) -> tuple[Array, Array]:
    """Give all edges as one line that is broken between them; y counts upwards from minus the height."""
    lines = [*(_bent(points) for points in laid.edges), *(_turned(*turn) for turn in laid.turns)]
    broken = [np.concatenate([line, [[np.nan, np.nan]]]) for line in lines]
    points = np.concatenate(broken) if broken else np.full((1, 2), np.nan)
    return points[:, 0], -points[:, 1]


def _bent(points: Sequence[Point]) -> Array:
    """Follow an edge that leaves and enters vertically, turning in between, with a tip at its end."""
    found: list[Point] = [points[0]]
    for k, ((x0, y0), (x1, y1)) in enumerate(pairwise(points)):
        if abs(x0 - x1) >= 0.5:
            start = y0 + (TRUNK if k == 0 else 0.0)
            found.append((x0, start))
            eased = BEND**2 * (3 - 2 * BEND)
            found += [(x0 + e * (x1 - x0), start + t * (y1 - start)) for t, e in zip(BEND, eased, strict=True)]
        else:
            found.append((x1, y1))
    x, y = points[-1]
    return np.array([*found, (x - 3.5, y - 6), (x, y), (x + 3.5, y - 6)], float)


def _turned(start: Point, end: Point, between: float) -> Array:
    """Follow the edge from the foot of one column to the head of the next."""
    (x0, y0), (x1, y1) = start, end
    corners = [(x0, y0), (x0, y0 + 18), (between, y0 + 18), (between, y1 - 10), (x1, y1 - 10), (x1, y1)]
    return np.array([*corners, (x1 - 3.5, y1 - 6), (x1, y1), (x1 + 3.5, y1 - 6)], float)
