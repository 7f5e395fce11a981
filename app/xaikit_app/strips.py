"""Numbers below the tokens or steps of a sequence: curves, maps and words in columns that all stand in one row.

A strip scrolls in itself. Who points at a column, or walks there with the arrow keys, reads below it what is said of
it; nothing of that goes to the server (assets/sequences.js).
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from dash import html

from xaikit.arrays import Array
from xaikit.figures import Scale
from xaikit_app.pictures import data_url
from xaikit_app.tiles import map_url

CELLS = 40_000
"""As many numbers of a map as travel with the page, to be read where one points; of a larger one only the picture."""
EVERY = 10
"""Where steps have no names, every such one has its number."""


def strip(names: Sequence[str], said: Sequence[str], rows: Sequence[Any], label: str, kind: str = "words") -> Any:
    """Give rows of equal columns above their names; `said` is read of each column that is pointed at.

    `kind` says how wide the columns are: "words" (names stand upright), "letters" or "steps".
    """
    shown = [n if kind != "steps" or k % EVERY == 0 else "" for k, n in enumerate(names)]
    cells = [html.Span(name, className="strip-name") for name in shown]
    inside = html.Div(
        [*rows, html.Div(cells, className="strip-names"), html.Span(className="strip-mark")],
        className="strip-inside",
        style={"--columns": len(names)},
    )
    box = html.Div(
        inside,
        className=f"strip {kind}",
        tabIndex=0,
        role="group",
        **{"aria-label": f"{label}. Arrow keys walk along it.", "data-said": json.dumps(list(said))},
    )
    start = html.Div("Point at it, or walk along it with the arrow keys.", className="strip-said", **{"role": "status"})
    return html.Div([box, start], className="strip-whole")


def curve(values: Array, alt: str, colour: str = "#3f7fd0") -> Any:
    """Give one number for each column as a line, with a line at zero where that is inside; NaN breaks it."""
    y = np.asarray(values, np.float64)
    known = y[np.isfinite(y)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    spread = (high - low) or 1.0

    def down(v: float) -> float:
        return 96 - 92 * (v - low) / spread

    lines, run = [], []
    for k, v in enumerate([*y, np.nan]):
        if np.isfinite(v):
            run.append(f"{10 * k + 5},{down(float(v)):.1f}")
        elif run:
            lines.append(" ".join(run))
            run = []
    drawn = "".join(
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8" '
        'vector-effect="non-scaling-stroke"/>'
        for points in lines
    )
    zero = (
        f'<path d="M0 {down(0):.1f}H{10 * len(y)}" stroke="#7a8794" stroke-width="1" stroke-dasharray="3 3" '
        'vector-effect="non-scaling-stroke"/>'
        if low < 0 < high
        else ""
    )
    whole = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {10 * len(y)} 100" preserveAspectRatio="none">'
        f"{zero}{drawn}</svg>"
    )
    return html.Img(src=data_url(whole.encode(), "svg+xml"), alt=alt, className="strip-curve")


def heat(values: Array, scale: Scale, names: Sequence[str], alt: str, chosen: int | None = None) -> Any:
    """Give numbers (row, column) as a map; `names` are those of the rows, of which one may be marked as chosen."""
    rows = len(values)
    height = max(3, min(12, 420 // max(rows, 1)))
    picture = html.Img(src=map_url(values, scale, None), alt=alt, className="strip-map")
    mark = [html.Span(className="strip-row", style={"--row": chosen})] if chosen is not None else []
    small = values.size <= CELLS
    told = {"data-names": json.dumps(list(names))} if small else {}
    told |= {"data-values": json.dumps([[float(f"{v:.3g}") for v in row] for row in values])} if small else {}
    return html.Div([picture, *mark], className="strip-rows", style={"--rows": rows, "--high": f"{height}px"}, **told)


def words(columns: Sequence[Sequence[tuple[str, float]]]) -> Any:
    """Give some words with shares of one for each column, below each other; a larger share is darker."""
    most = max((len(column) for column in columns), default=0)
    rows = []
    for rank in range(most):
        cells = [
            html.Span(
                column[rank][0],
                className="strip-word dark" if column[rank][1] > 0.5 else "strip-word",
                style={"--share": f"{100 * column[rank][1]:.0f}%"},
            )
            for column in columns
        ]
        rows.append(html.Div(cells, className="strip-words"))
    return html.Div(rows)


__all__ = ["curve", "heat", "strip", "words"]
