"""Numbers along the steps of a sequence: a row for each unit or answer, a column for each step, with its token."""

from itertools import pairwise
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.figures import StepsPanel, number

TEXT, LINE = 12.0, 17.0
WIDEST, NARROWEST = 1000.0, 460.0
NAMED, LEAST, TALL = 22.0, 2.0, 150.0
"""The height of a row with a name, the least of one without, and of all those without names."""
STAGGER = 4
"""Lines over which the names of steps may be spread, so that all of them find room."""
MASKED = "#e4e7ea"
HINTS = 4000
DARK = 0.62
"""From this share of the scale on a colour is so dark that words on it are white; of viridis up to it."""


def width_of(panel: StepsPanel) -> float:
    """Give the width at which the names of steps have room, as far as that is not too wide."""
    longest = max((len(c) for c in panel.columns), default=1)
    each = max(9.0, 0.6 * TEXT * longest / 2 + 6)
    return float(min(WIDEST, max(NARROWEST, _names(panel) + each * panel.values.shape[1])))


def height_of(panel: StepsPanel, width: float) -> float:
    """Give the height of the rows and the names below them."""
    return _row(panel) * len(panel.values) + LINE * (_lines(panel, width) + bool(panel.x_label)) + 8


def _names(panel: StepsPanel) -> float:
    return 10 + 0.58 * TEXT * max((len(r) for r in panel.rows), default=0)


def _row(panel: StepsPanel) -> float:
    return NAMED if panel.rows else float(np.clip(TALL / len(panel.values), LEAST, NAMED))


def _across(panel: StepsPanel, width: float) -> float:
    return (width - _names(panel)) / panel.values.shape[1]


def _room(panel: StepsPanel) -> float:
    """Give the room that the longest name of a step needs; characters of a text stand closer than words."""
    longest = max((len(c) for c in panel.columns), default=1)
    return 0.6 * TEXT * longest + (5 if longest > 1 else 0)


def _lines(panel: StepsPanel, width: float) -> int:
    return int(np.clip(np.ceil(_room(panel) / _across(panel, width)), 1, STAGGER))


def paint(r: Any, canvas: Any, panel: StepsPanel, box: Any, theme: Any) -> None:
    """Draw the cells, grey where they are masked, the words in them, and the names of rows and steps."""
    left, high, across = _names(panel), _row(panel), _across(panel, box.width)
    rows, columns = panel.values.shape
    zone = type(box)(box.x + left, box.y, across * columns, high * rows)
    r.rectangle(canvas, zone, colour="#ffffff")
    there = np.isfinite(panel.values)
    r.heat(canvas, zone, np.where(there, panel.values, 0.0), scale=panel.scale, opacity=0.95, outlines=None)
    for top, bottom, start, end in _gaps(there):
        gap = type(box)(zone.x + start * across, zone.y + top * high, (end - start) * across, (bottom - top) * high)
        r.rectangle(canvas, gap, colour=MASKED)
    for k, name in enumerate(panel.rows):
        y = zone.y + (k + 0.5) * high - 0.62 * TEXT
        r.text(canvas, zone.x - 6, y, name, size=TEXT, colour=theme.ink, bold=False, anchor="right")
    _written(r, canvas, panel, zone, high, across)
    _steps(r, canvas, panel, zone, across, theme, _lines(panel, box.width))
    if panel.values.size <= HINTS:
        r.hints(canvas, zone, [[_hint(panel, i, j) for j in range(columns)] for i in range(rows)])


def _gaps(there: Array) -> list[tuple[int, int, int, int]]:
    """Give the masked cells as few rectangles: rows that are masked alike share theirs."""
    changes = [0, *(1 + np.flatnonzero((there[1:] != there[:-1]).any(1))), len(there)]
    found = []
    for top, bottom in pairwise(changes):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], ~there[top], [0]]).astype(int)))
        found += [(int(top), int(bottom), int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return found


def _written(r: Any, canvas: Any, panel: StepsPanel, zone: Any, high: float, across: float) -> None:
    for i, row in enumerate(panel.texts):
        for j, word in enumerate(row):
            if word and 0.6 * TEXT * len(word) <= across:
                share = abs(panel.values[i, j]) / panel.scale.limit
                dark = share < 1 - DARK if panel.scale.kind == "sequential" else share > DARK
                x, y = zone.x + (j + 0.5) * across, zone.y + (i + 0.5) * high - 0.62 * TEXT
                ink = "#ffffff" if dark else "#16202b"
                r.text(canvas, x, y, word, size=TEXT, colour=ink, bold=False, anchor="center")


def _steps(r: Any, canvas: Any, panel: StepsPanel, zone: Any, across: float, theme: Any, lines: int) -> None:
    """Write the names of steps below, spread over some lines; of more than have room every so many."""
    every = int(np.ceil(_room(panel) / (across * lines)))
    shown = range(0, len(panel.columns), every)
    for n, k in enumerate(shown):
        y = zone.y + zone.height + 4 + LINE * (n % lines)
        x = zone.x + (k + 0.5) * across
        r.text(canvas, x, y, panel.columns[k], size=TEXT, colour=theme.ink, bold=False, anchor="center")
    if panel.x_label:
        below = zone.y + zone.height + 4 + LINE * lines
        r.text(canvas, zone.x, below, panel.x_label, size=TEXT, colour=theme.muted, bold=False, anchor="left")


def _hint(panel: StepsPanel, i: int, j: int) -> str:
    row = panel.rows[i] if panel.rows else str(i)
    value = panel.values[i, j]
    said = number(float(value)) if np.isfinite(value) else "masked"
    word = f" {panel.texts[i][j]}" if panel.texts else ""
    return f"{row}, {j}: {panel.columns[j] if panel.columns else ''}{word} {said}"
