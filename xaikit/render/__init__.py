"""Drawing: panels become a plotly Figure, a PNG made without a browser, or a list of what would be drawn.

Figures and renderers are imported by the first call, so that importing xaikit does not wait for them.
"""

from __future__ import annotations

import os
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xaikit.errors import MissingPackage, ParameterError, UnknownName
from xaikit.storage import write_atomically

if TYPE_CHECKING:
    from xaikit.figures import Figure, ImagePanel, Legend, MapPanel

RENDERERS = {"plotly": "_plotly", "matplotlib": "_matplotlib", "none": "_none", "svg": "_svg"}
"""Each renderer is a module with the functions of `_draw.Renderer`, imported when it is asked for."""


def draw(figure: Figure, renderer: str = "plotly", *, width: int | None = None, theme: str = "light") -> Any:
    """Draw a figure: a plotly Figure, a matplotlib Figure, an SVG as text, or for "none" nested plain data.

    `width` is in pixels (default: the figure's own, 460 to 1500); `theme` is "light" or "dark", for "svg" also
    "page": the variables that a page declares. Raises UnknownName, ParameterError for a width under 100,
    MissingPackage.
    """
    from xaikit.render import _draw
    from xaikit.render._theme import THEMES

    if theme not in THEMES and (renderer, theme) != ("svg", "page"):
        raise UnknownName("theme", theme, THEMES)
    if width is not None and not 100 <= width <= 20_000:
        raise ParameterError(f"width is a number of pixels from 100 to 20000, not {width!r}")
    return _draw.draw(figure, _renderer(renderer), width=width, theme=theme)


def plot(result: Any, *, shared: bool = False, width: int | None = None, theme: str = "light") -> Any:
    """Give a result as an interactive plotly Figure, whose traces hold the raw numbers.

    `result` is an Attribution, Attributions, a Comparison, or a mapping of them, as in
    `xaikit.figures.panels`, which also explains `shared`; a Figure of panels is drawn as it is. `width` is in
    pixels, `theme` "light" or "dark". A notebook also keeps it as a PNG, for pages that draw no plotly figures.
    Raises UsageError for what is no result, UnknownName for a theme, and ParameterError for a width out of range.
    """
    figure = _figure(result, shared)

    def again() -> Any:
        return draw(figure, "plotly", width=width, theme=theme)

    return again().pictured(again, lambda: png(figure, width=None if width is None else 2 * width, theme=theme))


def png(
    result: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    shared: bool = False,
    width: int | None = None,
    theme: str = "light",
) -> bytes:
    """Give a result as a PNG, `width` pixels wide (default: twice the figure's own, for sharp print), in
    bytes.

    With a `path` it is also written there, whole or not at all. Needs no browser and no display; the same
    result gives the same bytes with the same matplotlib.
    """
    from xaikit.render._layout import plan

    figure = _figure(result, shared)
    if width is None:
        width = round(2 * plan(figure).width)
    data = _encoded(draw(figure, "matplotlib", width=width, theme=theme), figure.title)
    if path is not None:
        write_atomically(Path(path), data)
    return data


def picture_png(panel: MapPanel | ImagePanel, width: int, colours: int | None = None) -> bytes:
    """Give one panel's map or picture alone as a PNG, edge to edge, without words.

    `colours` (up to 256) makes a smaller file with a palette of that many.
    """
    from xaikit.render import _draw

    drawn = _draw.draw_body(panel, _renderer("matplotlib"), width=width)
    return _encoded(drawn, panel.title, colours)


def body_box(figure: Figure) -> tuple[float, float, float, float]:
    """Give where the body of a figure's first panel lies in its SVG: from the left, from the top, width and height."""
    from xaikit.render._layout import plan

    body = plan(figure).cells[0].body
    return body.x, body.y, body.width, body.height


def legend_png(legend: Legend, width: int = 400, height: int = 16) -> bytes:
    """Give the bar of a legend as a PNG, without its words."""
    from xaikit.render import _draw

    return _saved(_draw.legend_image(legend, width, height), "legend", None)


def _figure(result: Any, shared: bool) -> Figure:
    from xaikit.figures import Figure, panels

    return result if isinstance(result, Figure) else panels(result, shared=shared)


def _renderer(name: str) -> Any:
    if name not in RENDERERS:
        raise UnknownName("renderer", name, RENDERERS)
    try:
        return import_module(f"xaikit.render.{RENDERERS[name]}")
    except ImportError as error:
        if (error.name or "").split(".")[0] != name:
            raise
        raise MissingPackage(name, "all", "drawing") from None


def _encoded(drawn: Any, title: str, colours: int | None = None) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(drawn)
    canvas.draw()
    return _saved(np.asarray(canvas.buffer_rgba())[..., :3], title, colours)


def _saved(pixels: Any, title: str, colours: int | None) -> bytes:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    said = PngInfo()
    said.add_itxt("Title", title)
    image = Image.fromarray(pixels.copy())
    if colours is not None:
        image = image.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)
    held = BytesIO()
    image.save(held, "PNG", pnginfo=said)
    return held.getvalue()


__all__ = ["RENDERERS", "body_box", "draw", "legend_png", "picture_png", "plot", "png"]
