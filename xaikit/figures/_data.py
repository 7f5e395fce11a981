"""Figures as data: what is shown, in numbers and words, before anything is drawn."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from xaikit.arrays import Array, upsample
from xaikit.results import LayerGraph


@dataclass(frozen=True)
class Scale:
    """Which colour a number gets: "diverging" runs from -limit over zero to limit, "sequential" from 0 to
    limit.

    `limit` is in the unit of the numbers, which `unit` names; what lies beyond takes the outermost colour.
    """

    limit: float
    unit: str = ""
    kind: Literal["diverging", "sequential"] = "diverging"

    @property
    def low(self) -> float:
        """The number at the lower end of the colours."""
        return -self.limit if self.kind == "diverging" else 0.0


@dataclass(frozen=True)
class Badge:
    """A verdict, "ok", "warn", "fail" or "none" where nothing could be checked, and its reasons in words."""

    level: str
    text: str


@dataclass(frozen=True)
class Legend:
    """The key to the colours: numbers or words at positions 0..1 along the bar, and what its ends mean."""

    kind: Literal["diverging", "sequential"]
    ticks: tuple[tuple[float, str], ...]
    low: str = ""
    high: str = ""
    shade: float = 1.0
    """How bright the background of the maps is on average, 0..1; the bar is drawn over the same."""
    opacity: float = 0.85


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """What every panel has: words above it, facts and a verdict below it, and `alt`, the panel told in
    words."""

    title: str = ""
    subtitle: str = ""
    facts: tuple[str, ...] = ()
    badge: Badge | None = None
    alt: str = ""


@dataclass(frozen=True)
class Frame:
    """A named box on a picture, (top, left, bottom, right) in its places; `colour` counts, below 0 is grey."""

    box: tuple[float, float, float, float]
    name: str = ""
    colour: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class ImagePanel(Panel):
    """A picture: `image` (height, width, 3) uint8, with a `frame` (top, left, bottom, right) in its places.

    `frames` are several, told apart by colours and names.
    """

    image: Array
    frame: tuple[float, float, float, float] | None = None
    frames: tuple[Frame, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class MapPanel(Panel):
    """Numbers with places, drawn as colours over a picture or over paper.

    `values` (row, column) are raw; they may have fewer places than the picture. `background` (height, width,
    3) uint8; `outlines` (height, width) integer labels whose borders are drawn; `frame` (top, left, bottom, right) in
    the places drawn. Zero is transparent, and the strongest values have the given `opacity`.
    """

    values: Array
    scale: Scale
    background: Array | None = None
    outlines: Array | None = None
    opacity: float = 0.85
    frame: tuple[float, float, float, float] | None = None
    frames: tuple[Frame, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of places as drawn: those of the picture, of the outlines, or of the values."""
        first = next(a for a in (self.background, self.outlines, self.values) if a is not None)
        return int(first.shape[0]), int(first.shape[1])

    @property
    def drawn(self) -> Array:
        """The values at every place of `shape`: interpolated between cell centres where the map is
        coarser."""
        whole: Array = upsample(self.values[None], self.shape)[0]
        return whole


@dataclass(frozen=True, kw_only=True, eq=False)
class BarPanel(Panel):
    """Signed numbers with labels, first at the top; `unit` says what they are, `ends` what lies on each side.

    `intervals` (bar, 2) are drawn as lines from the lower to the upper end, none where one is not finite. Where
    the numbers have no sign to show (`signed` false) the bars are grey. `points` (bar, point) are the single numbers
    that a bar is the mean of, drawn as strokes on it. With `starts` (bar,) bars begin there instead of at zero, as in a
    waterfall, and the axis covers no more than they do. `said` is written at the bars instead of their numbers.
    """

    labels: tuple[str, ...]
    values: Array
    unit: str = ""
    limit: float | None = None
    ends: tuple[str, str] = ("lowers", "raises")
    intervals: Array | None = None
    signed: bool = True
    points: Array | None = None
    starts: Array | None = None
    said: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class SurfacePanel(Panel):
    """Numbers by two named things, as colours: `values` (row, column), NaN where there is none.

    `rows` and `columns` are their labels, `row_label` and `column_label` what these are; with `written` the numbers
    stand in the cells.
    """

    values: Array
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    scale: Scale
    row_label: str = ""
    column_label: str = ""
    written: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class StepsPanel(Panel):
    """Numbers along the steps of a sequence: `values` (row, step), NaN where a step is masked.

    `columns` names every step, as by its token; `rows` the rows, none where they are many. `texts` (row, step) stand in
    the cells where they fit.
    """

    values: Array
    columns: tuple[str, ...]
    scale: Scale
    rows: tuple[str, ...] = ()
    texts: tuple[tuple[str, ...], ...] = ()
    x_label: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class TablePanel(Panel):
    """Words in rows below `headers`; those of `strong` cells (row, column) stand out."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    strong: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True, eq=False)
class Line:
    """One channel of a series: `y` at `x`, and for each point its contribution."""

    name: str
    x: Array
    y: Array
    contributions: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class LinePanel(Panel):
    """Series one above the other over the same axis, each over bands coloured by its contributions."""

    lines: tuple[Line, ...]
    scale: Scale
    x_label: str = "step"


@dataclass(frozen=True, eq=False)
class Trace:
    """A named line, `y` at `x`, broken where `y` is not finite; `colour` counts, `dashed` tells it without colour.

    A `colour` below 0 is grey, below -1 pale, and words are a colour themselves ("#2c728e"); without a name it is not
    in the key. `band`, its lower and upper edge at `x`, is drawn pale behind it. A `silent` one says nothing to who
    points at it.
    """

    name: str
    x: Array
    y: Array
    colour: int | str = 0
    dashed: bool = False
    band: tuple[Array, Array] | None = None
    silent: bool = False
    dots: bool = False

    @property
    def edge(self) -> tuple[Array, Array] | None:
        """The edge of the band, once around: (x, y), or None."""
        if self.band is None:
            return None
        there = np.isfinite(self.band[0]) & np.isfinite(self.band[1])
        x, low, high = self.x[there], self.band[0][there], self.band[1][there]
        return np.concatenate([x, x[::-1]]), np.concatenate([low, high[::-1]])


@dataclass(frozen=True)
class Mark:
    """A point that is pointed out, with its words."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class CurvePanel(Panel):
    """Lines over one pair of axes, with a key; the y axis may be logarithmic."""

    traces: tuple[Trace, ...]
    mark: Mark | None = None
    x_label: str = ""
    logarithmic: bool = False


@dataclass(frozen=True, eq=False)
class Cloud:
    """Named points in space, (point, 3); `colour` counts, and beyond the last one the shape of the points changes.

    A `colour` below 0 is grey, words are a colour themselves; without a name it is not in the key.
    """

    name: str
    points: Array
    colour: int | str = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class SpacePanel(Panel):
    """Points in a space that can be turned where a renderer allows it, else seen from one side, with a key.

    `labels` name the three axes, which all have the same scale.
    """

    clouds: tuple[Cloud, ...]
    labels: tuple[str, str, str]


@dataclass(frozen=True, kw_only=True, eq=False)
class TextPanel(Panel):
    """A text cut into `pieces` (string, contribution); None where nothing was attributed, as between
    words."""

    pieces: tuple[tuple[str, float | None], ...]
    scale: Scale


@dataclass(frozen=True, kw_only=True, eq=False)
class ScorePanel(Panel):
    """Names with scores in 0..1, best first; `chosen` is the name that is explained."""

    names: tuple[str, ...]
    scores: tuple[float, ...]
    chosen: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class MatrixPanel(Panel):
    """Numbers by row and column, each on its colour and written in it: `values` (row, column), NaN where there is none.

    `names` are those of the rows and of the columns, which are as many; columns are headed by the rows' numbers.
    """

    names: tuple[str, ...]
    values: Array
    scale: Scale


@dataclass(frozen=True, eq=False)
class Tile:
    """One small picture among many: numbers (row, column), or a picture (row, column, 3) uint8.

    `name` and `note` are written below it, `hint` is said when it is pointed at ("" = name and note); `frame` (top,
    left, bottom, right) in its own places is drawn on it.
    """

    values: Array
    name: str = ""
    note: str = ""
    scale: Scale | None = None
    frame: tuple[float, float, float, float] | None = None
    hint: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class TilesPanel(Panel):
    """Small pictures in rows of `across`; numbers take the colours of their own `scale`, or of the panel's.

    With `rows` and `columns` they lie close together, as on a map, and these are written at the left and below.
    """

    tiles: tuple[Tile, ...]
    across: int
    scale: Scale
    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    @property
    def aspect(self) -> float:
        """Height over width of every tile: that of the tallest."""
        return max(t.values.shape[0] / t.values.shape[1] for t in self.tiles)


@dataclass(frozen=True, kw_only=True, eq=False)
class GraphPanel(Panel):
    """The layers of a network from top to bottom, repeated blocks once, with what each gives and sees."""

    graph: LayerGraph


@dataclass(frozen=True, eq=False)
class Grid:
    """Numbers in cells: `values` (row, column), NaN where there is none; `marked` cells are framed."""

    values: Array
    scale: Scale
    name: str = ""
    marked: Array | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class GridsPanel(Panel):
    """Grids of numbers from left to right, with `signs` such as × and = between them."""

    grids: tuple[Grid, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Figure:
    """Rows of panels (None leaves a place empty), with what is said about all of them.

    Panels of one column are equally wide; rows `below` the others have widths of their own.
    """

    title: str
    rows: tuple[tuple[Panel | None, ...], ...]
    subtitle: str = ""
    legend: Legend | None = None
    notes: tuple[str, ...] = ()
    below: tuple[tuple[Panel, ...], ...] = ()

    @property
    def panels(self) -> Iterator[Panel]:
        """All panels, row by row."""
        return (panel for row in (*self.rows, *self.below) for panel in row if panel is not None)
