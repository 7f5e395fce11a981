"""Grids of numbers side by side, with signs between them: a window, its weights, their products."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.figures import Grid, GridsPanel, number

CELL, LEAST, WIDEST = 46.0, 27.0, 1000.0
"""The side of a cell, the least that has room for its number, and the widest panel."""
SIGN, NAME, TEXT = 34.0, 22.0, 12.5
FULL = 0.72
"""From this share of the scale on a colour is so dark that numbers on it are white."""
INK = "#16202b"
"""Of numbers and frames: the cells are light in every theme."""


def width_of(panel: GridsPanel) -> float:
    """Give the width at which cells have their full size, as far as that is not too wide."""
    needed = sum(_slot(g, CELL) for g in panel.grids) + SIGN * (len(panel.grids) - 1)
    return float(min(WIDEST, max(260.0, needed)))


def height_of(panel: GridsPanel, width: float) -> float:
    """Give the height of the tallest grid under its name."""
    return NAME + _side(panel, width) * max(g.values.shape[0] for g in panel.grids)


def _slot(grid: Grid, side: float) -> float:
    """Give the room that a grid takes across: its cells, or its name where that is wider."""
    return max(side * grid.values.shape[1], 0.58 * TEXT * len(grid.name) + 4)


def _side(panel: GridsPanel, width: float) -> float:
    """Give the largest side of a cell, up to the full one, with which all grids fit."""
    room = width - SIGN * (len(panel.grids) - 1)
    named = [g for g in panel.grids if _slot(g, 0) > CELL * g.values.shape[1]]
    left = room - sum(_slot(g, 0) for g in named)
    columns = sum(g.values.shape[1] for g in panel.grids if g not in named)
    return min(CELL, left / columns if columns else room)


def paint(r: Any, canvas: Any, panel: GridsPanel, box: Any, theme: Any) -> None:
    """Draw the grids from left to right, each under its name."""
    side, x = _side(panel, box.width), box.x
    tallest = max(g.values.shape[0] for g in panel.grids)
    for k, grid in enumerate(panel.grids):
        rows, columns = grid.values.shape
        top = box.y + NAME + side * (tallest - rows) / 2
        if k:
            middle = box.y + NAME + side * tallest / 2 - 11
            sign = panel.signs[k - 1]
            r.text(canvas, x + SIGN / 2, middle, sign, size=18, colour=theme.muted, bold=False, anchor="center")
            x += SIGN
        _grid(r, canvas, grid, type(box)(x, top, side * columns, side * rows), theme)
        x += _slot(grid, side)


def _grid(r: Any, canvas: Any, grid: Grid, zone: Any, theme: Any) -> None:
    rows, columns = grid.values.shape
    side, make = zone.width / columns, type(zone)
    r.text(canvas, zone.x, zone.y - NAME + 2, grid.name, size=TEXT, colour=theme.muted, bold=False, anchor="left")
    r.rectangle(canvas, zone, colour="#ffffff")
    shown = np.where(np.isfinite(grid.values), grid.values, 0.0)
    r.heat(canvas, zone, shown, scale=grid.scale, opacity=0.85, outlines=None)
    for k in range(rows + 1):
        r.rectangle(canvas, make(zone.x, zone.y + k * side - 0.5, zone.width, 1), colour=theme.faint)
    for k in range(columns + 1):
        r.rectangle(canvas, make(zone.x + k * side - 0.5, zone.y, 1, zone.height), colour=theme.faint)
    if side >= LEAST:
        _numbers(r, canvas, grid, zone, side)
    if grid.marked is not None:
        for left, up, across, down in _edges(grid.marked):
            edge = make(zone.x + left * side - 1.5, zone.y + up * side - 1.5, across * side + 3, down * side + 3)
            r.rectangle(canvas, edge, colour=INK)


def _numbers(r: Any, canvas: Any, grid: Grid, zone: Any, side: float) -> None:
    size = min(TEXT, side * 0.3)
    for (row, column), value in np.ndenumerate(grid.values):
        strong = np.isfinite(value) and abs(value) > FULL * grid.scale.limit and grid.scale.kind == "diverging"
        dark = grid.scale.kind == "sequential" and value < 0.5 * grid.scale.limit
        at = zone.x + (column + 0.5) * side, zone.y + (row + 0.5) * side - 0.62 * size
        said = short(float(value))
        r.text(canvas, *at, said, size=size, colour="#ffffff" if strong or dark else INK, bold=False, anchor="center")


def short(value: float) -> str:
    """Write a number so that it fits into a cell; a dash where there is none."""
    if not np.isfinite(value):
        return "–"
    return number(value, 2 if abs(value) < 1 else 3 if abs(value) < 1000 else 4)


def _edges(marked: Array) -> Iterator[tuple[float, float, float, float]]:
    """Give the sides between marked cells and others, in cells: (left, top, across, down)."""
    around = np.pad(marked.astype(bool), 1)
    for row, column in np.argwhere(around[:-1] != around[1:]):
        yield column - 1.0, float(row), 1.0, 0.0
    for row, column in np.argwhere(around[:, :-1] != around[:, 1:]):
        yield float(column), row - 1.0, 0.0, 1.0
