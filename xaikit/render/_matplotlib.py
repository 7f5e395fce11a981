"""The renderer for PNG: matplotlib's own objects on the Agg canvas, with no global state, browser or
display."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from xaikit.arrays import Array
from xaikit.figures import Line, Scale, Trace, rgba
from xaikit.render._layout import BAND, BODY, INKED, WORD, Box
from xaikit.render._pictures import smooth
from xaikit.render._space import View
from xaikit.render._theme import Theme
from xaikit.render._web import OUTLINE

DPI = 72
"""At which a point is a pixel, so that sizes are given in pixels throughout."""
MARKERS = {"circle": "o", "square": "s", "diamond": "D"}


@dataclass
class Canvas:
    """One axes over the whole figure, in design pixels from the top left; `scale` real pixels each.

    `drawn` counts what was drawn, so that later things lie over earlier ones.
    """

    figure: Figure
    axes: Axes
    width: float
    height: float
    scale: float
    drawn: int = 0

    def next(self) -> int:
        """Give the place of the next thing in the stack."""
        self.drawn += 1
        return self.drawn


def start(width: float, height: float, *, scale: float, theme: Theme, title: str) -> Canvas:
    # The added thousandth keeps the width from being cut to the pixel below.
    size = ((round(width * scale) + 1e-3) / DPI, (round(height * scale) + 1e-3) / DPI)
    figure = Figure(figsize=size, dpi=DPI, facecolor=theme.paper)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    figure.set_label(title)
    return Canvas(figure, axes, width, height, scale)


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
    # From the baseline: a line's top would depend on its letters. A "$" means no formula.
    canvas.axes.text(
        x,
        y + size,
        words,
        fontsize=size * canvas.scale,
        color=colour,
        weight="bold" if bold else "normal",
        ha=anchor,
        va="baseline",
        parse_math=False,
        zorder=canvas.next(),
    )


def rectangle(canvas: Canvas, box: Box, *, colour: str) -> None:
    canvas.axes.add_patch(
        Rectangle((box.x, box.y), box.width, box.height, facecolor=colour, linewidth=0, zorder=canvas.next())
    )


def picture(canvas: Canvas, box: Box, image: Array) -> None:
    _show(canvas, box, image, "bicubic" if smooth(image) else "nearest")


def hints(canvas: Canvas, box: Box, words: list[list[str]]) -> None:
    """A printed picture cannot be pointed at."""


def heat(canvas: Canvas, box: Box, values: Array, *, scale: Scale, opacity: float, outlines: Array | None) -> None:
    larger = box.width * canvas.scale >= values.shape[1]
    _show(canvas, box, rgba(values, scale, opacity), "nearest" if larger else "antialiased")
    if outlines is not None:
        per_place = (box.width / values.shape[1], box.height / values.shape[0])
        lines = outlines * per_place + (box.x, box.y)
        width = 0.8 * canvas.scale
        canvas.axes.add_collection(
            LineCollection(list(lines), colors=[OUTLINE], linewidths=width, zorder=canvas.next())
        )


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
    each, per_unit = box.height / len(values), box.width / (high - low)
    thick = each if len(values) == 1 else 0.66 * each
    for k, (value, colour) in enumerate(zip(values, colours, strict=True)):
        place = (box.x - low * per_unit, box.y + (k + 0.5) * each - thick / 2)
        canvas.axes.add_patch(
            Rectangle(place, float(value) * per_unit, thick, facecolor=colour, linewidth=0, zorder=canvas.next())
        )


def polyline(canvas: Canvas, box: Box, line: Line, *, limits: tuple[float, float, float, float], colour: str) -> None:
    left, right, low, high = limits
    x = box.x + (line.x - left) / (right - left) * box.width
    y = box.y + (high - line.y) / (high - low) * box.height
    canvas.axes.plot(x, y, color=colour, linewidth=1.4 * canvas.scale, solid_joinstyle="round", zorder=canvas.next())


def curve(
    canvas: Canvas, box: Box, trace: Trace, *, limits: tuple[float, float, float, float], colour: str, log: bool
) -> None:
    left, right, low, high = limits
    x = box.x + (trace.x - left) / (right - left) * box.width
    y = box.y + (high - _heights(trace.y, log)) / (high - low) * box.height
    if trace.edge is not None:
        around, heights = trace.edge
        canvas.axes.fill(
            box.x + (around - left) / (right - left) * box.width,
            box.y + (high - _heights(heights, log)) / (high - low) * box.height,
            color=colour,
            alpha=BAND,
            linewidth=0,
            zorder=canvas.next(),
        )
    canvas.axes.plot(
        x,
        y,
        color=colour,
        linewidth=2 * canvas.scale,
        linestyle="none" if trace.dots else (0, (4, 2.2)) if trace.dashed else "-",
        dash_capstyle="butt",
        marker="o" if len(x) == 1 or trace.dots else None,
        markersize=(3.6 if trace.dots else 6) * canvas.scale,
        markeredgewidth=0,
        zorder=canvas.next(),
    )


def space(canvas: Canvas, box: Box, view: View) -> None:
    lines = LineCollection(
        list(view.grid(box)), colors=[view.faint], linewidths=0.9 * canvas.scale, zorder=canvas.next()
    )
    canvas.axes.add_collection(lines)
    for dots in view.dots(box):
        canvas.axes.scatter(
            dots.places[:, 0],
            dots.places[:, 1],
            s=(dots.size * canvas.scale) ** 2,
            color=dots.colour,
            alpha=dots.opacity,
            marker=MARKERS[dots.symbol],
            linewidths=0,
            zorder=canvas.next(),
        )
    for x, y, said, name in view.words(box):
        colour = view.ink if name else view.muted
        text(canvas, x, y - 0.62 * BODY, said, size=BODY, colour=colour, bold=False, anchor="center")


def _heights(y: Array, log: bool) -> Array:
    y = np.where(np.isfinite(y), y, np.nan)
    return np.log10(y) if log else y


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
            fill: Any = tuple(rgba(np.array(value), scale, INKED))
            shape = Rectangle((box.x, box.y), box.width, box.height, facecolor=fill, linewidth=0, zorder=canvas.next())
            canvas.axes.add_patch(shape)
        canvas.axes.text(
            box.x,
            box.y + 0.68 * box.height,
            word,
            fontsize=WORD * canvas.scale,
            color=colour,
            family="DejaVu Sans Mono",
            va="baseline",
            parse_math=False,
            zorder=canvas.next(),
        )


def finish(canvas: Canvas) -> Figure:
    canvas.axes.set(xlim=(0, canvas.width), ylim=(canvas.height, 0))
    return canvas.figure


def _show(canvas: Canvas, box: Box, image: Array, interpolation: str) -> None:
    canvas.axes.imshow(
        image,
        extent=(box.x, box.x + box.width, box.y + box.height, box.y),
        aspect="auto",
        interpolation=interpolation,
        zorder=canvas.next(),
    )
