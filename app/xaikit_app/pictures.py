"""Samples and maps as pictures for pages: data URLs, small enough to travel with the page."""

import re
from base64 import b64encode
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from dash import html

from xaikit.figures import (
    BarPanel,
    Figure,
    ImagePanel,
    MapPanel,
    Panel,
    Scale,
    TextPanel,
    number,
    picture,
    rgba,
    sign_colour,
    stops,
)
from xaikit.render import draw, picture_png
from xaikit.render._layout import plan

WIDTH = 420
SMALL = 64
THEMES = ("light", "dark")
EDGE, LABELS = 6.0, 24.0
"""What is left of the margins around a drawing, and on its left, where long numbers of an axis end."""
VIEW, PAPER = re.compile(r'viewBox="[^"]*" width="\d+" height="\d+"'), re.compile(r"background:#[0-9a-f]{6}")
"""Where an SVG says its size, and its paper."""


def data_url(data: bytes, kind: str = "png") -> str:
    """Give bytes as a data URL."""
    return f"data:image/{kind};base64,{b64encode(data).decode('ascii')}"


def in_bytes(spec: Any) -> bool:
    """Whether the display units of an Image spec are 0 to 255."""
    return bool(spec.scale < 0.1)


def photo(display: Any, spec: Any, width: int) -> str:
    """Give a displayed image as a data URL, about `width` pixels wide; small ones keep their pixels' edges."""
    from PIL import Image as Pillow

    shown = Pillow.fromarray(picture(np.asarray(display), spec.scale))
    if shown.width <= SMALL:
        factor = max(1, width // shown.width)
        shown = shown.resize((shown.width * factor, shown.height * factor), Pillow.Resampling.NEAREST)
    else:
        shown.thumbnail((width, width))
    held = BytesIO()
    shown.save(held, "PNG")
    return data_url(held.getvalue())


def spark(values: Any) -> str:
    """Give a series (time[, channel]) as a small drawing of its first channels, in the colour of quiet text."""
    y = np.asarray(values, np.float64)
    y = (y[:, None] if y.ndim == 1 else y.reshape(len(y), -1))[:, :6]
    low, high = float(y.min()), float(y.max())
    across = np.linspace(2, 118, len(y))
    lines = []
    for channel in y.T:
        down = 38 - 36 * (channel - low) / ((high - low) or 1.0)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))
        lines.append(f'<polyline points="{points}" fill="none" stroke="#7a8794" stroke-width="1.2"/>')
    drawn = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 40">{"".join(lines)}</svg>'
    return data_url(drawn.encode(), "svg+xml")


def panel_body(panel: Panel) -> Any:
    """Give what a panel draws, without its words."""
    if isinstance(panel, MapPanel | ImagePanel):
        return html.Img(src=data_url(picture_png(panel, WIDTH)), alt=panel.alt, className="map")
    if isinstance(panel, TextPanel):
        return _text(panel)
    if isinstance(panel, BarPanel):
        return _bars(panel)
    bare = Figure("", ((replace(panel, title="", subtitle="", facts=(), badge=None),),))
    images = [
        html.Img(src=data_url(_cut(bare, theme).encode(), "svg+xml"), alt=panel.alt, className=f"map only-{theme}")
        for theme in THEMES
    ]
    return html.Div(images)


def _cut(bare: Figure, theme: str) -> str:
    """Draw a figure of one panel, cut out of its margins and without paper of its own."""
    box = plan(bare).cells[0].body
    svg: str = draw(bare, "svg", theme=theme)
    x, y, width, height = box.x - LABELS, box.y - EDGE, box.width + LABELS + EDGE, box.height + 2 * EDGE
    seen = f'viewBox="{x:g} {y:g} {width:g} {height:g}" width="{width:.0f}" height="{height:.0f}"'
    return PAPER.sub("background:none", VIEW.sub(seen, svg, count=1), count=1)


def _text(panel: TextPanel) -> Any:
    pieces = [
        text if value is None else html.Mark(text, style=_ink(value, panel.scale), title=number(value))
        for text, value in panel.pieces
    ]
    return html.Div(pieces, className="marked", **{"aria-label": panel.alt})


def _ink(value: float, scale: Scale) -> dict[str, str]:
    red, green, blue, alpha = rgba(np.array(value), scale)
    background = np.array([red, green, blue]) * alpha + (1 - alpha)
    dark = float(background @ np.array([0.299, 0.587, 0.114])) < 0.5
    colour = ", ".join(str(round(255 * float(c))) for c in background)
    return {"backgroundColor": f"rgb({colour})", "color": "#ffffff" if dark else "#16202b"}


def _bars(panel: BarPanel) -> Any:
    limit = panel.limit or float(np.nanmax(np.abs(panel.values), initial=0)) or 1.0
    rows = []
    for label, value in zip(panel.labels, panel.values, strict=True):
        share = 50 * min(abs(float(np.nan_to_num(value))) / limit, 1.0)
        side = {"left": "50%"} if value >= 0 else {"right": "50%"}
        style = {**side, "width": f"{share:.2f}%", "background": sign_colour(float(value))}
        rows += [
            html.Span(label, className="bar-name", title=label),
            html.Span(html.Span(style=style, className="bar-fill"), className="bar-track", **{"aria-hidden": "true"}),
            html.Span(number(float(value)), className="bar-number"),
        ]
    return html.Div(rows, className="bars", **{"aria-label": panel.alt})


def colour_bar(scale: Scale | None, low: str, high: str) -> Any:
    """Give the key to the colours; without a scale its ends say "range", which is printed with each map."""
    shown = scale or Scale(1.0)
    paper = np.array([1.0, 1.0, 1.0])
    colours = []
    for place, (r, g, b, alpha) in stops(shown, count=17):
        mixed = np.array([r, g, b]) * alpha + (1 - alpha) * paper
        colours.append(f"rgb({', '.join(str(round(255 * float(c))) for c in mixed)}) {100 * place:.0f}%")
    ends = (f"−{number(scale.limit)}", f"+{number(scale.limit)}") if scale else ("−range", "+range")
    unit = f" ({scale.unit})" if scale and scale.unit else ""
    return html.Div(
        [
            html.Span(low, className="key-word"),
            html.Span(ends[0], className="key-number"),
            html.Span(className="key-bar", style={"background": f"linear-gradient(90deg, {', '.join(colours)})"}),
            html.Span(ends[1], className="key-number"),
            html.Span(f"{high}{unit}", className="key-word"),
        ],
        className="key",
    )
