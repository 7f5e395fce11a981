"""Where everything goes: boxes in design pixels, from the top left, computed once for every renderer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TypeVar

from xaikit.figures import (
    BarPanel,
    Cloud,
    CurvePanel,
    Figure,
    GraphPanel,
    GridsPanel,
    ImagePanel,
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
    Trace,
)
from xaikit.render import grids, steps
from xaikit.render.graphs import laid_out

MARGIN, GAP, ROW_GAP = 28.0, 22.0, 26.0
TITLE, SUBTITLE, HEAD, BODY = 21.0, 14.0, 15.5, 13.0
LEADING = 1.35
LEGEND_WIDTH, LEGEND_HEIGHT = 440.0, 14.0
BAR, SCORE, LANE, AXIS, CURVE = 27.0, 44.0, 130.0, 40.0, 250.0
FLATTEST, TALLEST = 0.12, 1.5
"""Height over width of pictures: flatter ones are stretched, taller ones made narrower."""
LABELS = 0.36
"""The share of a bar panel's width that its labels take, up to half of it where they are long."""


@dataclass(frozen=True)
class Box:
    """A rectangle: its top left corner, width and height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Words:
    """Lines of text from a top left corner (or top centre) downwards."""

    x: float
    y: float
    lines: tuple[str, ...]
    size: float
    bold: bool = False
    muted: bool = False

    @property
    def height(self) -> float:
        """How far down the lines reach."""
        return len(self.lines) * self.size * LEADING


@dataclass(frozen=True)
class Cell:
    """One panel's place: words above, the body's box, words and a badge below."""

    panel: Panel
    head: tuple[Words, ...]
    body: Box
    foot: tuple[Words, ...]
    badge: Words | None


@dataclass(frozen=True)
class Plan:
    """A laid-out figure."""

    width: float
    height: float
    head: tuple[Words, ...]
    cells: tuple[Cell, ...]
    legend: Box | None
    foot: tuple[Words, ...]


def plan(figure: Figure) -> Plan:
    """Lay out a figure: columns as wide as their widest panel, rows as high as their highest."""
    widths = _widths(figure.rows)
    apart = [(row, _widths((row,))) for row in figure.below]
    width = 2 * MARGIN + max(sum(w) + GAP * (len(w) - 1) for w in (widths, *(w for _, w in apart)))
    inner = width - 2 * MARGIN
    head = tuple(_stack(MARGIN, MARGIN, [(figure.title, TITLE, True), (figure.subtitle, SUBTITLE, False)], inner))
    y = _bottom(head, MARGIN) + ROW_GAP * 0.7
    cells: list[Cell] = []
    for row in figure.rows:
        placed, y = _row(row, widths, y)
        cells += placed
    legend = None
    if figure.legend is not None:
        across = min(LEGEND_WIDTH, inner - 40)
        legend = Box((width - across) / 2, y + 1.6 * BODY * LEADING, across, LEGEND_HEIGHT)
        y = legend.y + LEGEND_HEIGHT + 2 * BODY * LEADING
    if apart:
        y += ROW_GAP
    for row, own in apart:
        placed, y = _row(row, own, y)
        cells += placed
    foot = tuple(_stack(MARGIN, y + 4, [(note, BODY, False) for note in figure.notes], inner))
    return Plan(width, _bottom(foot, y) + MARGIN * 0.8, head, tuple(cells), legend, foot)


def label_width(panel: BarPanel, width: float) -> float:
    """Give the room for the labels of bars."""
    needed = 10 + 0.58 * BODY * max((len(label) for label in panel.labels), default=0)
    return min(max(needed, LABELS * width), 0.5 * width)


def _widths(rows: Sequence[tuple[Panel | None, ...]]) -> list[float]:
    columns = max(len(row) for row in rows)
    picture = {1: 460.0, 2: 380.0, 3: 330.0}.get(columns, 268.0 if columns <= 5 else 240.0)
    widths = [0.0] * columns
    for row in rows:
        for c, panel in enumerate(row):
            if panel is not None:
                widths[c] = max(widths[c], _natural_width(panel, picture, columns))
    if sum(widths) < 460:
        widths[0] += 460 - sum(widths)
    return widths


def _natural_width(panel: Panel, picture: float, columns: int) -> float:
    if isinstance(panel, BarPanel):
        return 560.0 if columns <= 2 else 440.0
    if isinstance(panel, CurvePanel):
        return 520.0 if columns <= 3 else 380.0
    if isinstance(panel, SpacePanel):
        return 760.0
    if isinstance(panel, GraphPanel):
        return laid_out(panel).width
    if isinstance(panel, SurfacePanel):
        return 460.0 if not panel.written else cell_names(panel) + CELL * len(panel.columns)
    if isinstance(panel, TablePanel):
        return max(320.0, sum(column_widths(panel)))
    if isinstance(panel, MatrixPanel):
        return MATRIX_NAMES + 78.0 * len(panel.names)
    if isinstance(panel, GridsPanel):
        return grids.width_of(panel)
    if isinstance(panel, StepsPanel):
        return steps.width_of(panel)
    if isinstance(panel, TilesPanel):
        return min(TILES, max(260.0, TILE * panel.across))
    if isinstance(panel, LinePanel | TextPanel):
        return 760.0 if columns <= 2 else 520.0
    return min(picture, 330.0) if isinstance(panel, ScorePanel) else picture


def _row(row: tuple[Panel | None, ...], widths: list[float], y: float) -> tuple[list[Cell], float]:
    places = [MARGIN + sum(widths[:c]) + GAP * c for c in range(len(row))]
    present = [(p, x, widths[c]) for c, (p, x) in enumerate(zip(row, places, strict=True)) if p is not None]
    heads = [tuple(_stack(x, y, [(p.title, HEAD, True), (p.subtitle, BODY, False)], w)) for p, x, w in present]
    top = max(_bottom(h, y) for h in heads) + 6
    bodies = [_body(p, x, top, w) for p, x, w in present]
    cells = []
    for (p, x, w), head, body in zip(present, heads, bodies, strict=True):
        below = body.y + body.height + 8
        foot = tuple(_stack(x, below, [(fact, BODY, False) for fact in p.facts], w))
        badge = None
        if p.badge is not None:
            lines = _lines(f"{MARKS[p.badge.level]} {p.badge.text}", w, BODY)
            badge = Words(x, _bottom(foot, below) + 2, lines, BODY)
        sunk = y + (max(_bottom(h, y) for h in heads) - _bottom(head, y))
        cells.append(Cell(p, tuple(_moved(h, sunk - y) for h in head), body, foot, badge))
    ends = [_bottom((*c.foot, *([c.badge] if c.badge else [])), c.body.y + c.body.height) for c in cells]
    return cells, max(ends) + ROW_GAP


MARKS = {"ok": "✓", "warn": "▲", "fail": "✗", "none": "○"}
"""A sign for each verdict, so that it does not hang on colour."""


def _body(panel: Panel, x: float, y: float, width: float) -> Box:
    if isinstance(panel, MapPanel | ImagePanel):
        rows, columns = panel.shape if isinstance(panel, MapPanel) else panel.image.shape[:2]
        aspect = max(rows / columns, FLATTEST)
        height = min(width * aspect, TALLEST * width)
        return Box(x, y, height / aspect, height)
    return Box(x, y, width, _height(panel, width))


def _height(panel: Panel, width: float) -> float:
    if isinstance(panel, BarPanel):
        return BAR * len(panel.labels) + AXIS
    if isinstance(panel, ScorePanel):
        return SCORE * len(panel.names)
    if isinstance(panel, GraphPanel):
        return laid_out(panel).height * min(1.0, width / laid_out(panel).width)
    if isinstance(panel, LinePanel):
        return LANE * len(panel.lines) + AXIS
    if isinstance(panel, SurfacePanel):
        return (BAR * len(panel.rows) if panel.written else CURVE + KEY) + AXIS + KEY
    if isinstance(panel, TablePanel):
        return KEY * (len(panel.rows) + 1) + 6
    if isinstance(panel, MatrixPanel):
        return MATRIX_ROW * (len(panel.names) + 1)
    if isinstance(panel, CurvePanel):
        return CURVE + KEY * len(keys(panel.traces, width)) + AXIS
    if isinstance(panel, SpacePanel):
        return SPACE * width + KEY * len(keys(panel.clouds, width))
    if isinstance(panel, TilesPanel):
        return tiled(panel, width)[-1].y + tiled(panel, width)[-1].height + KEY
    if isinstance(panel, GridsPanel):
        return grids.height_of(panel, width)
    if isinstance(panel, StepsPanel):
        return steps.height_of(panel, width)
    if isinstance(panel, TextPanel):
        return flow(panel, width)[-1][1].y + 2.4 * WORD
    raise TypeError(f"no height is known for a {type(panel).__name__}")


TILES, TILE, BETWEEN = 900.0, 150.0, 10.0
"""The widest panel of tiles, the widest tile, and the room between tiles."""


CLOSE = 2.0
"""The room between tiles whose rows and columns are named."""


def row_names(panel: TilesPanel) -> float:
    """Give the room for the names of the rows of tiles."""
    return min(220.0, 14 + 0.56 * BODY * max(len(name) for name in panel.rows)) if panel.rows else 0.0


def tiled(panel: TilesPanel, width: float) -> list[Box]:
    """Set tiles in rows of equal boxes, from (0, 0); the words of each stand below it, or those of all at the edges."""
    left, named = row_names(panel), bool(panel.rows or panel.columns)
    between = CLOSE if named else BETWEEN
    side = (width - left - between * (panel.across - 1)) / panel.across
    height = side * min(max(panel.aspect, FLATTEST), TALLEST)
    places = [divmod(k, panel.across) for k in range(len(panel.tiles))]
    if named:
        return [Box(left + c * (side + CLOSE), r * (height + CLOSE), side, height) for r, c in places]
    return [Box(c * (side + BETWEEN), r * (height + KEY + BETWEEN / 2), side, height) for r, c in places]


CELL = 84.0
"""The width of a cell with a number in it."""


def cell_names(panel: SurfacePanel) -> float:
    """Give the room for the labels of a surface's rows."""
    longest = max((len(name) for name in panel.rows), default=0)
    return min(220.0, 16 + 0.56 * BODY * longest) + (20.0 if panel.row_label else 0.0)


def column_widths(panel: TablePanel) -> list[float]:
    """Give the room for every column of a table."""
    columns = zip(panel.headers, *panel.rows, strict=True)
    return [22 + 0.57 * BODY * max(len(word) for word in column) for column in columns]


BAND = 0.18
"""The opacity of a band behind a line."""
SPACE = 0.8
"""Height over width of a view of points in space."""
MATRIX_NAMES, MATRIX_ROW = 190.0, 34.0
"""The room for the names of a matrix' rows, and the height of each row."""
KEY = 24.0
SAMPLE = 34.0
"""Height of a line of a key, and width of the piece of line before each name."""


Keyed = TypeVar("Keyed", Trace, Cloud)


def keys(members: Sequence[Keyed], width: float) -> list[list[tuple[Keyed, float]]]:
    """Set the names of lines or points in rows, each with its place across."""
    rows: list[list[tuple[Keyed, float]]] = [[]]
    x = 0.0
    for member in members:
        if not member.name:
            continue
        needed = SAMPLE + 0.56 * BODY * len(member.name) + 26
        if rows[-1] and x + needed > width:
            rows.append([])
            x = 0.0
        rows[-1].append((member, x))
        x += needed
    return rows


WORD = 15.0
INKED = 0.7
"""The opacity of the colours behind words, which must stay readable on the strongest."""
MONO = 0.603
"""Width of a character of a monospaced font, per unit of its size."""


def flow(panel: TextPanel, width: float) -> list[tuple[tuple[str, float | None], Box]]:
    """Set a text in lines of monospaced characters: every piece with its box, from (0, 0)."""
    step, line = MONO * WORD, 2.1 * WORD
    room = max(1, int(width / step))
    placed: list[tuple[tuple[str, float | None], Box]] = []
    column, row = 0, 0
    for text, value in panel.pieces:
        for part in _breakable(text, value):
            if column + len(part.rstrip()) > room and column:
                column, row = 0, row + 1
            shown = part if column else part.lstrip()
            if shown:
                box = Box(column * step, row * line, len(shown) * step, 1.6 * WORD)
                placed.append(((shown, value), box))
            column += len(shown)
    return placed or [(("", None), Box(0, 0, 0, 0))]


def _breakable(text: str, value: float | None) -> Iterator[str]:
    """A word stays whole; what stands between words may break after its spaces."""
    if value is not None:
        yield text
        return
    rest = " ".join(text.split("\n"))
    while rest:
        cut = rest.find(" ", 1) + 1 or len(rest)
        yield rest[:cut]
        rest = rest[cut:]


def _stack(x: float, y: float, texts: list[tuple[str, float, bool]], width: float) -> Iterator[Words]:
    for text, size, bold in texts:
        if text:
            words = Words(x, y, _lines(text, width, size * (1.08 if bold else 1)), size, bold, not bold)
            yield words
            y += words.height + 2


def _lines(text: str, width: float, size: float) -> tuple[str, ...]:
    return tuple(wrap(text, max(8, int(width / (0.535 * size))))) or ("",)


def _bottom(words: tuple[Words, ...], otherwise: float) -> float:
    return max((w.y + w.height for w in words), default=otherwise)


def _moved(words: Words, down: float) -> Words:
    return Words(words.x, words.y + down, words.lines, words.size, words.bold, words.muted)
