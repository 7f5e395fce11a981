"""Numbers as small pictures, many beside each other on one scale, with the key to their colours."""

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from dash import dcc, html

from xaikit.arrays import Array
from xaikit.figures import Scale, limit_of, number, over, sign_colour, stops
from xaikit_app.pictures import data_url

MOST = 72
"""As many places as a small picture has across or down; larger ones are averaged."""


FRAME = (255, 120, 0)
COLUMN = 32
"""As many bars as stand below each other."""


@dataclass(frozen=True, eq=False)
class Tile:
    """One small picture: its source, what it shows in words, a name and a remark below it, and where it leads."""

    source: str
    alt: str
    name: str
    note: str = ""
    href: str | None = None
    chosen: bool = False
    places: str = ""
    """How places of a layer lie in the picture where it can be pointed at: "map" or "curve"."""


def scale_of(values: Iterable[Array], unit: str = "", robust: bool = True) -> Scale:
    """Choose one scale for arrays: around zero where a value is negative, else from zero on."""
    values = list(values)
    signed = any(bool((v < 0).any()) for v in values)
    return Scale(limit_of(values, robust), unit, "diverging" if signed else "sequential")


def reach(values: Array) -> str:
    """Say between which numbers values lie."""
    return f"from {number(float(values.min()))} to {number(float(values.max()))}"


def map_url(values: Array, scale: Scale, most: int | None = MOST) -> str:
    """Give numbers (row, column) as a picture with one pixel each, or fewer where there are over `most`."""
    from PIL import Image as Pillow

    shown = Pillow.fromarray(np.rint(255 * over(np.asarray(values, np.float64), scale)).astype(np.uint8))
    if most is not None and max(shown.size) > most:
        shown.thumbnail((most, most), Pillow.Resampling.BOX)
    return _url(shown)


def framed_url(picture: Array, frame: tuple[float, float, float, float] | None = None) -> str:
    """Give a picture (row, column, 3) uint8, enlarged where it is small, with a frame (top, left, bottom, right)."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    shown = Pillow.fromarray(picture)
    by = max(1, round(2 * MOST / max(shown.size)))
    shown = shown.resize((shown.width * by, shown.height * by), Pillow.Resampling.NEAREST)
    if frame is not None:
        top, left, bottom, right = (by * edge for edge in frame)
        ImageDraw.Draw(shown).rectangle((left, top, right - 1, bottom - 1), outline=FRAME, width=3)
    return _url(shown)


def colours_url(kernel: Array, limit: float, order: str) -> str:
    """Give a kernel (row, column, 3) over the colours of a picture as a colour picture; grey is zero."""
    from PIL import Image as Pillow

    rgb = kernel if order == "rgb" else kernel[..., ::-1]
    share = np.clip(0.5 + rgb / (2 * limit), 0, 1)
    return _url(Pillow.fromarray(np.rint(255 * share).astype(np.uint8)))


def curve_url(values: Array, low: float, high: float) -> str:
    """Give numbers in a row as a small line between `low` and `high`, with a line at zero where that is inside."""
    y = np.clip(np.nan_to_num(np.asarray(values, np.float64)), low, high)
    spread = (high - low) or 1.0
    across = np.linspace(2, 118, max(len(y), 2))
    points = " ".join(f"{a:.1f},{38 - 36 * (b - low) / spread:.1f}" for a, b in zip(across, y, strict=False))
    at_zero = 38 + 36 * low / spread
    zero = (
        f'<path d="M2 {at_zero:.1f}H118" stroke="#7a8794" stroke-width="0.6" stroke-dasharray="2 2"/>'
        if low < 0 < high
        else ""
    )
    line = f'<polyline points="{points}" fill="none" stroke="#3f7fd0" stroke-width="1.3"/>'
    drawn = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 40">{zero}{line}</svg>'
    return data_url(drawn.encode(), "svg+xml")


def grid(tiles: Iterable[Tile], label: str, kind: str = "") -> Any:
    """Give tiles as a list, each a link where it leads somewhere."""
    return html.Ul([html.Li(_tile(tile)) for tile in tiles], className=f"tiles {kind}", **{"aria-label": label})


def _tile(tile: Tile) -> Any:
    picture = html.Img(src=tile.source, alt=tile.alt, className="tile-picture")
    inside = [
        html.Span(picture, className="sight-map", **{"data-kind": tile.places}) if tile.places else picture,
        html.Span(tile.name, className="tile-name"),
        html.Span(tile.note, className="tile-note"),
    ]
    chosen = " chosen" if tile.chosen else ""
    if tile.href is None:
        return html.Div(inside, className=f"tile{chosen}")
    return dcc.Link(inside, href=tile.href, className=f"tile{chosen}", title=tile.alt)


def bars(rows: Iterable[tuple[str, str | None, float]], label: str) -> Any:
    """Give (name, address, value) as bars on one scale, in columns, each name a link where it leads somewhere.

    Bars begin on the left, or in the middle where a value is negative.
    """
    rows = list(rows)
    values = np.nan_to_num(np.array([v for _, _, v in rows], np.float64))
    limit, signed = float(np.abs(values).max(initial=0)) or 1.0, bool((values < 0).any())
    columns = [
        html.Div([cell for row in rows[k : k + COLUMN] for cell in _bar(*row, limit, signed)], className="bars narrow")
        for k in range(0, len(rows), COLUMN)
    ]
    return html.Div(columns, className="bar-columns", role="group", **{"aria-label": label})


def _bar(name: str, href: str | None, value: float, limit: float, signed: bool) -> list[Any]:
    drawn = float(np.nan_to_num(value))
    side = {"right": "50%"} if drawn < 0 else {"left": "50%" if signed else "0"}
    width = f"{100 * abs(drawn) / limit * (0.5 if signed else 1.0):.2f}%"
    fill = html.Span(className="bar-fill", style={**side, "width": width, "background": sign_colour(drawn)})
    track = "bar-track" if signed else "bar-track plain-track"
    return [
        dcc.Link(name, href=href, className="bar-name") if href else html.Span(name, className="bar-name"),
        html.Span(fill, className=track, **{"aria-hidden": "true"}),
        html.Span(number(float(value)), className="bar-number"),
    ]


def key(scale: Scale, low: str, high: str) -> Any:
    """Give the key to the colours of tiles: the numbers at its ends and at zero, with what they mean."""
    colours = []
    for place, (r, g, b, alpha) in stops(scale, count=17):
        mixed = np.array([r, g, b]) * alpha + (1 - alpha)
        colours.append(f"rgb({', '.join(str(round(255 * float(c))) for c in mixed)}) {100 * place:.0f}%")
    first = f"−{number(scale.limit)}" if scale.kind == "diverging" else "0"
    bar = html.Span(className="key-bar", style={"background": f"linear-gradient(90deg, {', '.join(colours)})"})
    unit = f" {scale.unit}" if scale.unit else ""
    ends = (f"{first} {low}".strip(), f"{number(scale.limit)}{unit} {high}".strip())
    told = f"Colours from {ends[0]} to {ends[1]}; what lies beyond takes the outermost colour."
    return html.Div(
        [html.Span(ends[0]), bar, html.Span(ends[1])], className="key", role="img", title=told, **{"aria-label": told}
    )


def _url(picture: Any) -> str:
    held = BytesIO()
    picture.save(held, "PNG")
    return data_url(held.getvalue())


__all__ = ["Tile", "bars", "colours_url", "curve_url", "framed_url", "grid", "key", "map_url", "reach", "scale_of"]
