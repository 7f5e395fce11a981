"""The renderer that draws nothing: it lists what would be drawn, for tests and for other programs."""

from typing import Any, Literal

from xaikit.arrays import Array
from xaikit.figures import Line, Scale, Trace
from xaikit.render._layout import Box
from xaikit.render._space import View
from xaikit.render._theme import Theme

Canvas = dict[str, Any]


def start(width: float, height: float, *, scale: float, theme: Theme, title: str) -> Canvas:
    return {"width": width, "height": height, "scale": scale, "title": title, "items": []}


def text(
    canvas: Canvas,
    x: float,
    y: float,
    words: str,
    *,
    size: float,
    colour: str,
    bold: bool,
    anchor: Literal["left", "center", "right"],
) -> None:
    _add(canvas, "text", x=x, y=y, words=words, size=size, colour=colour, bold=bold, anchor=anchor)


def rectangle(canvas: Canvas, box: Box, *, colour: str) -> None:
    _add(canvas, "rectangle", box=box, colour=colour)


def picture(canvas: Canvas, box: Box, image: Array) -> None:
    _add(canvas, "picture", box=box, image=image)


def hints(canvas: Canvas, box: Box, words: list[list[str]]) -> None:
    _add(canvas, "hints", box=box, words=words)


def heat(canvas: Canvas, box: Box, values: Array, *, scale: Scale, opacity: float, outlines: Array | None) -> None:
    _add(canvas, "heat", box=box, values=values, scale=scale, opacity=opacity, outlines=outlines)


def bars(
    canvas: Canvas,
    box: Box,
    values: Array,
    *,
    limits: tuple[float, float],
    colours: list[str],
    labels: list[str],
) -> None:
    _add(canvas, "bars", box=box, values=values, limits=limits, colours=colours, labels=labels)


def polyline(canvas: Canvas, box: Box, line: Line, *, limits: tuple[float, float, float, float], colour: str) -> None:
    _add(canvas, "polyline", box=box, line=line, limits=limits, colour=colour)


def curve(
    canvas: Canvas, box: Box, trace: Trace, *, limits: tuple[float, float, float, float], colour: str, log: bool
) -> None:
    _add(canvas, "curve", box=box, trace=trace, limits=limits, colour=colour, log=log)


def space(canvas: Canvas, box: Box, view: View) -> None:
    _add(canvas, "space", box=box, view=view)


def marks(
    canvas: Canvas,
    boxes: list[Box],
    words: list[str],
    values: list[float | None],
    *,
    scale: Scale,
    colour: str,
) -> None:
    _add(canvas, "marks", boxes=boxes, words=words, values=values, scale=scale, colour=colour)


def finish(canvas: Canvas) -> Canvas:
    return canvas


def _add(canvas: Canvas, kind: str, **what: Any) -> None:
    canvas["items"].append({"kind": kind, **what})
