"""Maps whose raw numbers one can point at: the numbers travel with the picture, so that nothing is asked for."""

from base64 import b64encode
from dataclasses import replace
from typing import Any

import numpy as np
from dash import html

from xaikit.arrays import Array
from xaikit.figures import MapPanel, Panel, TextPanel
from xaikit_app.pictures import panel_body

EXACT = 10_000
"""Maps of at most so many places travel as float32, larger ones as 16 bits of their largest value."""
UNREAD = 160
"""Longer stretches of a text that the network does not read are cut."""
MOST = 400_000
"""Larger maps are shown without their numbers; the file has them."""


def probed(panel: Panel) -> Any:
    """Give what a panel draws; a map says its value under the pointer, and under the arrow keys."""
    if isinstance(panel, TextPanel):
        panel = replace(panel, pieces=tuple(_cut(text, value) for text, value in panel.pieces))
    drawn = panel_body(panel)
    if not isinstance(panel, MapPanel) or panel.values.ndim != 2 or panel.values.size > MOST:
        return drawn
    rows, columns = panel.values.shape
    spot = html.Span(className="probe-spot", hidden=True, **{"aria-hidden": "true"})
    box = html.Div(
        [drawn, spot],
        className="probe",
        tabIndex=0,
        role="application",
        **{
            "aria-label": f"{panel.title or 'Map'}: values by the arrow keys",
            "data-rows": str(rows),
            "data-columns": str(columns),
            **packed(panel.values),
        },
    )
    return html.Div([box, html.Div("Point at the map for its values", className="probe-word", **{"aria-live": "off"})])


def _cut(text: str, value: float | None) -> tuple[str, float | None]:
    """Shorten a long stretch of words that have no value."""
    if value is not None or len(text) <= UNREAD:
        return text, value
    left = len(text) - UNREAD // 2
    return f"[{left:,} characters that the network does not read] … {text[left:].lstrip()}", None


def packed(values: Array) -> dict[str, str]:
    """Give numbers as attributes of an element: their bytes, of which kind, and what 1 stands for."""
    raw = np.asarray(values, np.float64)
    if raw.size <= EXACT:
        return {"data-values": _text(raw.astype("<f4")), "data-kind": "f4", "data-unit": "1"}
    top = float(np.nanmax(np.abs(raw), initial=0)) or 1.0
    whole = np.rint(np.nan_to_num(raw) / top * 32767).astype("<i2")
    return {"data-values": _text(whole), "data-kind": "i2", "data-unit": repr(top / 32767)}


def _text(values: Array) -> str:
    return b64encode(values.tobytes()).decode("ascii")


__all__ = ["packed", "probed"]
