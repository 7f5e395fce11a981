"""Samples and maps as pictures for pages: data URLs, small enough to travel with the page."""

import pickle
import re
from base64 import b64encode
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
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
    TablePanel,
    TextPanel,
    number,
    picture,
    rgba,
    sign_colour,
    stops,
)
from xaikit.render import body_box, draw, picture_png

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
    return enlarged(picture(np.asarray(display), spec.scale), width)


def enlarged(image: Any, width: int) -> str:
    """Give a picture (height, width, 3) uint8 as a data URL, about `width` pixels wide; as with `photo`."""
    from PIL import Image as Pillow

    shown = Pillow.fromarray(image)
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
        wordless = replace(panel, subtitle="", facts=(), badge=None, alt="")
        return html.Img(src=_drawn(_Drawing(wordless)), alt=panel.alt, className="map")
    if isinstance(panel, TextPanel):
        return _text(panel)
    if isinstance(panel, BarPanel):
        return _bars(panel)
    if isinstance(panel, TablePanel):
        return _table(panel)
    bare = Figure("", ((replace(panel, title="", subtitle="", facts=(), badge=None),),))
    images = [
        html.Img(src=data_url(_cut(bare, theme).encode(), "svg+xml"), alt=panel.alt, className=f"map only-{theme}")
        for theme in THEMES
    ]
    return html.Div(images)


@dataclass(frozen=True)
class _Drawing:
    """A panel that equals every other of which the same would be drawn."""

    panel: Panel = field(compare=False)
    content: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "content", sha256(pickle.dumps(self.panel)).digest())


@lru_cache(256)
def _drawn(drawing: _Drawing) -> str:
    """Draw a map or a picture; one that is shown again is at hand, as drawing takes longer than all else then."""
    assert isinstance(drawing.panel, MapPanel | ImagePanel)
    return data_url(picture_png(drawing.panel, WIDTH))


def _cut(bare: Figure, theme: str) -> str:
    """Draw a figure of one panel, cut out of its margins and without paper of its own."""
    svg: str = draw(bare, "svg", theme=theme)
    left, top, across, down = body_box(bare)
    x, y, width, height = left - LABELS, top - EDGE, across + LABELS + EDGE, down + 2 * EDGE
    seen = f'viewBox="{x:g} {y:g} {width:g} {height:g}" width="{width:.0f}" height="{height:.0f}"'
    return PAPER.sub("background:none", VIEW.sub(seen, svg, count=1), count=1)


def _text(panel: TextPanel) -> Any:
    pieces = [
        text if value is None else html.Mark(text, style=_ink(value, panel.scale), title=number(value))
        for text, value in panel.pieces
    ]
    return html.Div(pieces, className="marked", tabIndex=0, role="group", **{"aria-label": panel.alt})


def _ink(value: float, scale: Scale) -> dict[str, str]:
    red, green, blue, alpha = rgba(np.array(value), scale)
    background = np.array([red, green, blue]) * alpha + (1 - alpha)
    dark = float(background @ np.array([0.299, 0.587, 0.114])) < 0.5
    colour = ", ".join(str(round(255 * float(c))) for c in background)
    return {"backgroundColor": f"rgb({colour})", "color": "#ffffff" if dark else "#16202b"}


def _bars(panel: BarPanel) -> Any:
    low, high = _ends(panel)
    starts = np.zeros(len(panel.values)) if panel.starts is None else np.nan_to_num(panel.starts)
    said = panel.said or tuple(number(float(value)) for value in panel.values)
    middle = panel.signed and panel.starts is None
    rows = []
    for k, (label, value, word) in enumerate(zip(panel.labels, panel.values, said, strict=True)):
        length = float(np.nan_to_num(value))
        colour = sign_colour(length) if panel.signed and length else "var(--x-quiet)"
        style = {**_across(starts[k], starts[k] + length, low, high), "background": colour}
        drawn = [html.Span(style=style, className="bar-fill" if middle or length else "bar-fill bar-mark")]
        if panel.intervals is not None and np.isfinite(panel.intervals[k]).all():
            first, last = panel.intervals[k]
            drawn.append(html.Span(style=_across(first, last, low, high), className="bar-interval"))
        for point in () if panel.points is None else panel.points[k][np.isfinite(panel.points[k])]:
            drawn.append(html.Span(style=_across(point, point, low, high), className="bar-stroke"))
        rows += [
            html.Span(label, className="bar-name", title=label),
            html.Span(drawn, className="bar-track" if middle else "bar-track plain-track", **{"aria-hidden": "true"}),
            html.Span(word, className="bar-number"),
        ]
    return html.Div(rows, className="bars" if panel.signed else "bars counts", **{"aria-label": panel.alt})


def _ends(panel: BarPanel) -> tuple[float, float]:
    """Give what lies on the left and the right end of bars: zero in the middle where they are signed."""
    values = np.nan_to_num(np.asarray(panel.values, np.float64))
    if panel.starts is not None:
        starts = np.nan_to_num(panel.starts)
        places = np.concatenate([starts, starts + values])
        return float(places.min()), float(places.max())
    beside = [values, *(np.ravel(more) for more in (panel.intervals, panel.points) if more is not None)]
    limit = (
        panel.limit or float(np.abs(np.nan_to_num(np.concatenate(beside), posinf=0, neginf=0)).max(initial=0)) or 1.0
    )
    return (-limit if panel.signed else 0.0), limit


def _across(begin: float, end: float, low: float, high: float) -> dict[str, str]:
    """Give where something lies on a track from `low` to `high`."""
    first, last = np.clip(sorted((begin, end)), low, high)
    per_unit = 100 / ((high - low) or 1.0)
    return {"left": f"{(first - low) * per_unit:.2f}%", "width": f"{(last - first) * per_unit:.2f}%"}


def _table(panel: TablePanel) -> Any:
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in panel.headers]))
    rows = [
        html.Tr([html.Td(html.Strong(word) if (r, c) in panel.strong else word) for c, word in enumerate(row)])
        for r, row in enumerate(panel.rows)
    ]
    table = html.Table([head, html.Tbody(rows)], className="plain-table drawn-table")
    name = {"aria-label": panel.alt or panel.title or "Table"}
    return html.Div(table, className="scrolls", tabIndex=0, role="group", **name)


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
