"""The renderer for pages: an SVG in text, whose colours may be the page's own variables."""

from base64 import b64encode
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from itertools import groupby
from typing import Literal

import numpy as np

from xaikit.arrays import Array
from xaikit.figures import Line, Scale, Trace, rgba
from xaikit.render._layout import BAND, BODY, INKED, WORD, Box
from xaikit.render._space import View
from xaikit.render._theme import Theme

FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, 'Liberation Sans', sans-serif"
MONO = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
ANCHORS = {"left": "start", "center": "middle", "right": "end"}


@dataclass
class Canvas:
    """Elements in the order of drawing, in design pixels."""

    width: float
    height: float
    scale: float
    paper: str
    title: str
    elements: list[str] = field(default_factory=list)


def start(width: float, height: float, *, scale: float, theme: Theme, title: str) -> Canvas:
    return Canvas(width, height, scale, theme.paper, title)


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
    weight = ";font-weight:650" if bold else ""
    canvas.elements.append(
        f'<text x="{x:.4g}" y="{y + size:.4g}" text-anchor="{ANCHORS[anchor]}" '
        f'style="fill:{colour};font-size:{size:g}px{weight}">{escape(words)}</text>'
    )


def rectangle(canvas: Canvas, box: Box, *, colour: str) -> None:
    canvas.elements.append(f'<rect {_place(box)} style="fill:{colour}"/>')


def picture(canvas: Canvas, box: Box, image: Array) -> None:
    _image(canvas, box, image)


def hints(canvas: Canvas, box: Box, words: list[list[str]]) -> None:
    down, across = box.height / len(words), box.width / len(words[0])
    for i, row in enumerate(words):
        for k, said in enumerate(row):
            if said:
                cell = Box(box.x + k * across, box.y + i * down, across, down)
                title = f"<title>{escape(said)}</title>"
                canvas.elements.append(f'<rect {_place(cell)} style="fill:transparent">{title}</rect>')


def heat(canvas: Canvas, box: Box, values: Array, *, scale: Scale, opacity: float, outlines: Array | None) -> None:
    _image(canvas, box, np.rint(255 * rgba(values, scale, opacity)).astype(np.uint8))
    if outlines is not None:
        across, down = box.width / values.shape[1], box.height / values.shape[0]
        path = "".join(
            f"M{box.x + a * across:.5g} {box.y + b * down:.5g}L{box.x + c * across:.5g} {box.y + d * down:.5g}"
            for (a, b), (c, d) in outlines
        )
        canvas.elements.append(f'<path d="{path}" style="fill:none;stroke:#1a212b;stroke-opacity:0.6"/>')


def bars(
    canvas: Canvas,
    box: Box,
    values: Array,
    *,
    limits: tuple[float, float],
    colours: list[str],
    labels: list[str],
) -> None:
    low, high = limits
    unit, each = box.width / (high - low), box.height / len(values)
    thick = each if len(values) == 1 else 0.66 * each
    for k, (value, colour, label) in enumerate(zip(values, colours, labels, strict=True)):
        left = box.x + (min(float(value), 0.0) - low) * unit
        place = Box(left, box.y + (k + 0.5) * each - thick / 2, abs(float(value)) * unit, thick)
        said = f"<title>{escape(label)}: {float(value):.4g}</title>"
        canvas.elements.append(f'<rect {_place(place)} style="fill:{colour}">{said}</rect>')


def polyline(canvas: Canvas, box: Box, line: Line, *, limits: tuple[float, float, float, float], colour: str) -> None:
    _path(canvas, box, line.x, np.asarray(line.y, np.float64), limits, f"stroke:{colour};stroke-width:1.4")


def curve(
    canvas: Canvas, box: Box, trace: Trace, *, limits: tuple[float, float, float, float], colour: str, log: bool
) -> None:
    y = np.where(np.isfinite(trace.y), trace.y, np.nan)
    if trace.edge is not None:
        around, heights = trace.edge
        level = np.log10(heights) if log else heights
        _path(canvas, box, around, level, limits, f"fill:{colour};fill-opacity:{BAND}")
    if trace.dots:
        apart = np.repeat(trace.x, 2), np.column_stack([y, np.full(len(y), np.nan)]).ravel()
        _path(canvas, box, apart[0], np.log10(apart[1]) if log else apart[1], limits, f"stroke:{colour};stroke-width:4")
        return
    dash = ";stroke-dasharray:7 4" if trace.dashed else ""
    _path(canvas, box, trace.x, np.log10(y) if log else y, limits, f"stroke:{colour};stroke-width:2{dash}")


def space(canvas: Canvas, box: Box, view: View) -> None:
    lines = "".join(f"M{a:.5g} {b:.5g}L{c:.5g} {d:.5g}" for (a, b), (c, d) in view.grid(box))
    canvas.elements.append(f'<path d="{lines}" style="fill:none;stroke:{view.faint}"/>')
    for dots in view.dots(box):
        cap = "round" if dots.symbol == "circle" else "square"
        path = "".join(f"M{x:.5g} {y:.5g}h0" for x, y in dots.places)
        style = f"fill:none;stroke-linecap:{cap};stroke:{dots.colour};stroke-opacity:{dots.opacity:.2f}"
        canvas.elements.append(f'<path d="{path}" style="{style};stroke-width:{dots.size:.3g}"/>')
    for x, y, said, name in view.words(box):
        colour = view.ink if name else view.muted
        text(canvas, x, y - 0.62 * BODY, said, size=BODY, colour=colour, bold=False, anchor="center")


def marks(
    canvas: Canvas,
    boxes: list[Box],
    words: list[str],
    values: list[float | None],
    *,
    scale: Scale,
    colour: str,
) -> None:
    for box, word, value in zip(boxes, words, values, strict=True):
        if value is not None:
            red, green, blue, alpha = rgba(np.array(value), scale, INKED)
            fill = f"rgba({255 * red:.0f},{255 * green:.0f},{255 * blue:.0f},{alpha:.3f})"
            canvas.elements.append(f'<rect {_place(box)} style="fill:{fill}"/>')
        canvas.elements.append(
            f'<text x="{box.x:.5g}" y="{box.y + 0.68 * box.height:.5g}" xml:space="preserve" '
            f'style="fill:{colour};font:{WORD:g}px {MONO}">{escape(word)}</text>'
        )


def finish(canvas: Canvas) -> str:
    size = f'width="{canvas.width * canvas.scale:.0f}" height="{canvas.height * canvas.scale:.0f}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {canvas.width:.5g} {canvas.height:.5g}" {size} '
        f'role="img" aria-label="{escape(canvas.title)}" style="font-family:{escape(FONT)};background:{canvas.paper}">'
        + "".join(canvas.elements)
        + "</svg>"
    )


def _path(canvas: Canvas, box: Box, x: Array, y: Array, limits: tuple[float, float, float, float], style: str) -> None:
    """Draw a line through the finite points, broken at the others; a point without neighbours is a dot."""
    left, right, low, high = limits
    across = box.x + (np.asarray(x, np.float64) - left) / (right - left) * box.width
    down = box.y + (high - y) / (high - low) * box.height
    path = ""
    for finite, members in groupby(range(len(down)), lambda k: bool(np.isfinite(down[k]))):
        points = [f"{across[k]:.5g} {down[k]:.5g}" for k in members]
        if finite:
            path += "M" + "L".join(points if len(points) > 1 else points * 2)
    canvas.elements.append(f'<path d="{path}" style="fill:none;stroke-linejoin:round;stroke-linecap:round;{style}"/>')


def _image(canvas: Canvas, box: Box, image: Array) -> None:
    from PIL import Image

    held = BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(held, "PNG", optimize=True)
    source = "data:image/png;base64," + b64encode(held.getvalue()).decode("ascii")
    sharp = "image-rendering:pixelated" if min(image.shape[:2]) < 64 else ""
    canvas.elements.append(f'<image {_place(box)} preserveAspectRatio="none" href="{source}" style="{sharp}"/>')


def _place(box: Box) -> str:
    return f'x="{box.x:.5g}" y="{box.y:.5g}" width="{max(box.width, 0):.5g}" height="{max(box.height, 0):.5g}"'
