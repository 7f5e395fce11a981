"""The numbers of a panel as a table: for who cannot see the picture, and for who wants to calculate on."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, zip_longest
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.figures._data import (
    BarPanel,
    CurvePanel,
    GridsPanel,
    LinePanel,
    MapPanel,
    MatrixPanel,
    Panel,
    ScorePanel,
    SpacePanel,
    StepsPanel,
    SurfacePanel,
    TablePanel,
    TextPanel,
    TilesPanel,
)

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Numbers:
    """A table: `headers` and `rows` of numbers and words, of which there are `total`, perhaps more than given."""

    headers: tuple[str, ...]
    rows: tuple[Row, ...]
    total: int

    @property
    def whole(self) -> bool:
        """Whether every row is there."""
        return len(self.rows) == self.total


def numbers_of(panel: Panel, most: int | None = None) -> Numbers | None:
    """Give what a panel draws as a table of at most `most` rows (None: all); None where it is a picture or a graph.

    Maps give one row per place, (row, column, value); series one per step; a map's numbers are the raw ones.
    """
    make = TABLES.get(type(panel))
    if make is None:
        return None
    headers, rows, total = make(panel)
    return Numbers(headers, tuple(islice(rows, most)), total)


Table = tuple[tuple[str, ...], Iterator[Row], int]


def _map(panel: MapPanel) -> Table:
    return ("row", "column", "value"), _cells(panel.values), panel.values.size


def _cells(values: Array, *before: Any) -> Iterator[Row]:
    return ((*before, int(r), int(c), float(v)) for (r, c), v in np.ndenumerate(values))


def _bars(panel: BarPanel) -> Table:
    headers: tuple[str, ...] = ("name", panel.unit or "value")
    columns: list[Any] = [panel.labels, (float(v) for v in panel.values)]
    if panel.intervals is not None:
        headers = (*headers, "from", "to")
        columns += [panel.intervals[:, 0].tolist(), panel.intervals[:, 1].tolist()]
    return headers, zip(*columns, strict=True), len(panel.labels)


def _surface(panel: SurfacePanel) -> Table:
    rows = ((name, *line) for name, line in zip(panel.rows, panel.values.tolist(), strict=True))
    return (panel.row_label or "row", *panel.columns), rows, len(panel.rows)


def _steps(panel: StepsPanel) -> Table:
    names = panel.rows or tuple(str(i) for i in range(len(panel.values)))
    rows = ((step, *line) for step, line in zip(panel.columns, panel.values.T.tolist(), strict=True))
    return (panel.x_label or "step", *names), rows, len(panel.columns)


def _table(panel: TablePanel) -> Table:
    return panel.headers, iter(panel.rows), len(panel.rows)


def _lines(panel: LinePanel) -> Table:
    headers = ("channel", panel.x_label, "value", "contribution")
    rows = (
        (line.name, float(x), float(y), float(c))
        for line in panel.lines
        for x, y, c in zip(line.x, line.y, line.contributions, strict=True)
    )
    return headers, rows, sum(len(line.x) for line in panel.lines)


def _curves(panel: CurvePanel) -> Table:
    traces = [t for t in panel.traces if not t.silent] or list(panel.traces)
    x_label = panel.x_label or "x"
    if all(np.array_equal(t.x, traces[0].x) for t in traces):
        columns = [traces[0].x.tolist(), *(t.y.tolist() for t in traces)]
        names = tuple(t.name or f"line {k}" for k, t in enumerate(traces, 1))
        return (x_label, *names), zip_longest(*columns), len(traces[0].x)
    rows = ((t.name, float(x), float(y)) for t in traces for x, y in zip(t.x, t.y, strict=True))
    return ("line", x_label, "value"), rows, sum(len(t.x) for t in traces)


def _space(panel: SpacePanel) -> Table:
    rows = ((c.name, *map(float, point)) for c in panel.clouds for point in c.points)
    return ("group", *panel.labels), rows, sum(len(c.points) for c in panel.clouds)


def _text(panel: TextPanel) -> Table:
    pieces = [(text, float(value)) for text, value in panel.pieces if value is not None]
    return ("word", "contribution"), iter(pieces), len(pieces)


def _scores(panel: ScorePanel) -> Table:
    return ("name", "share"), zip(panel.names, panel.scores, strict=True), len(panel.names)


def _matrix(panel: MatrixPanel) -> Table:
    rows = ((name, *line) for name, line in zip(panel.names, panel.values.tolist(), strict=True))
    return ("", *panel.names), rows, len(panel.names)


def _tiles(panel: TilesPanel) -> Table:
    """Give the names of pictures with what is written below them, and of numbers their range too."""
    rows = (
        (t.name, t.note, *((float(np.nanmin(t.values)), float(np.nanmax(t.values))) if t.values.ndim == 2 else ()))
        for t in panel.tiles
    )
    numeric = any(t.values.ndim == 2 for t in panel.tiles)
    return ("name", "note", *(("smallest", "largest") if numeric else ())), rows, len(panel.tiles)


def _grids(panel: GridsPanel) -> Table:
    rows = (cell for grid in panel.grids for cell in _cells(grid.values, grid.name))
    return ("grid", "row", "column", "value"), rows, sum(grid.values.size for grid in panel.grids)


TABLES: Mapping[type[Panel], Callable[[Any], Table]] = {
    MapPanel: _map,
    BarPanel: _bars,
    SurfacePanel: _surface,
    StepsPanel: _steps,
    TablePanel: _table,
    LinePanel: _lines,
    CurvePanel: _curves,
    SpacePanel: _space,
    TextPanel: _text,
    ScorePanel: _scores,
    MatrixPanel: _matrix,
    TilesPanel: _tiles,
    GridsPanel: _grids,
}

__all__ = ["Numbers", "numbers_of"]
