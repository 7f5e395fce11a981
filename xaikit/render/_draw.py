"""From a figure to a renderer's calls: what is drawn is decided here, once, in design pixels."""

from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np

from xaikit.arrays import Array
from xaikit.figures import (
    BarPanel,
    CurvePanel,
    Figure,
    GraphPanel,
    GridsPanel,
    ImagePanel,
    Legend,
    Line,
    LinePanel,
    MapPanel,
    MatrixPanel,
    Panel,
    Scale,
    ScorePanel,
    SpacePanel,
    StepsPanel,
    SurfacePanel,
    TablePanel,
    TextPanel,
    Tile,
    TilesPanel,
    Trace,
    borders,
    brief,
    number,
    over,
    probability,
    sign_colour,
)
from xaikit.render import graphs, grids, steps
from xaikit.render._layout import (
    AXIS,
    BAR,
    BETWEEN,
    BODY,
    CLOSE,
    FLATTEST,
    KEY,
    LANE,
    LEADING,
    MATRIX_NAMES,
    MATRIX_ROW,
    SAMPLE,
    SCORE,
    TALLEST,
    Box,
    Cell,
    Words,
    cell_names,
    column_widths,
    flow,
    keys,
    label_width,
    plan,
    row_names,
    tiled,
)
from xaikit.render._space import View, cube_of, symbol_of
from xaikit.render._sprite import sprite
from xaikit.render._theme import PAGE, THEMES, Theme

Anchor = Literal["left", "center", "right"]
NAMED, NOTED = 30.0, 60.0
"""How wide a tile must be to have its name, and its note, below it."""


class Renderer(Protocol):
    """What a renderer can do: twelve functions of a module. Boxes and places are in design pixels from the
    top left."""

    def start(self, width: float, height: float, *, scale: float, theme: Theme, title: str) -> Any:
        """Give an empty canvas; `scale` is how many real pixels a design pixel has."""

    def text(
        self,
        canvas: Any,
        x: float,
        y: float,
        words: str,
        *,
        size: float,
        colour: str,
        bold: bool,
        anchor: Anchor,
    ) -> None:
        """Write one line whose top is at `y`."""

    def rectangle(self, canvas: Any, box: Box, *, colour: str) -> None:
        """Fill a box."""

    def picture(self, canvas: Any, box: Box, image: Array) -> None:
        """Show an image (height, width, 3 or 4) uint8 in a box."""

    def hints(self, canvas: Any, box: Box, words: list[list[str]]) -> None:
        """Say words when a cell of the box, cut into rows and columns, is pointed at; "" says nothing."""

    def heat(
        self, canvas: Any, box: Box, values: Array, *, scale: Scale, opacity: float, outlines: Array | None
    ) -> None:
        """Colour values (row, column) in a box, over what is there; outlines (segment, end, xy) in their
        places."""

    def bars(
        self,
        canvas: Any,
        box: Box,
        values: Array,
        *,
        limits: tuple[float, float],
        colours: list[str],
        labels: list[str],
    ) -> None:
        """Draw horizontal bars from zero, one below the other."""

    def polyline(
        self, canvas: Any, box: Box, line: Line, *, limits: tuple[float, float, float, float], colour: str
    ) -> None:
        """Draw a line in a box that covers limits (x from, x to, y from, y to)."""

    def curve(
        self, canvas: Any, box: Box, trace: Trace, *, limits: tuple[float, float, float, float], colour: str, log: bool
    ) -> None:
        """Draw a trace in a box that covers limits, which are powers of ten in y where `log`; dots if it is short."""

    def space(self, canvas: Any, box: Box, view: View) -> None:
        """Draw points in space in a box, with axes: to be turned, or as seen from one side."""

    def marks(
        self,
        canvas: Any,
        boxes: list[Box],
        words: list[str],
        values: list[float | None],
        *,
        scale: Scale,
        colour: str,
    ) -> None:
        """Write words in monospaced type, each on its contribution's colour."""

    def finish(self, canvas: Any) -> Any:
        """Give what was drawn."""


def draw(figure: Figure, renderer: Renderer, *, width: int | None = None, theme: str = "light") -> Any:
    """Draw a figure with a renderer, `width` real pixels wide (default: one per design pixel)."""
    laid, colours = plan(figure), PAGE if theme == "page" else THEMES[theme]
    scale = 1.0 if width is None else width / laid.width
    canvas = renderer.start(laid.width, laid.height, scale=scale, theme=colours, title=figure.title)
    for words in (*laid.head, *laid.foot):
        _write(renderer, canvas, words, colours)
    for cell in laid.cells:
        _cell(renderer, canvas, cell, colours)
    if laid.legend is not None and figure.legend is not None:
        _legend(renderer, canvas, laid.legend, figure.legend, colours)
    return renderer.finish(canvas)


def draw_body(panel: MapPanel | ImagePanel, renderer: Renderer, *, width: int) -> Any:
    """Draw the picture or map of one panel alone, edge to edge, `width` pixels wide."""
    rows, columns = panel.shape if isinstance(panel, MapPanel) else panel.image.shape[:2]
    box = Box(0, 0, width, round(width * rows / columns))
    canvas = renderer.start(box.width, box.height, scale=1.0, theme=THEMES["light"], title=panel.title)
    PAINTERS[type(panel)](renderer, canvas, panel, box, THEMES["light"])
    return renderer.finish(canvas)


def _cell(r: Renderer, canvas: Any, cell: Cell, theme: Theme) -> None:
    for words in (*cell.head, *cell.foot):
        _write(r, canvas, words, theme)
    PAINTERS[type(cell.panel)](r, canvas, cell.panel, cell.body, theme)
    if cell.badge is not None and cell.panel.badge is not None:
        _write(r, canvas, cell.badge, theme, theme.verdict(cell.panel.badge.level))


def _write(r: Renderer, canvas: Any, words: Words, theme: Theme, colour: str | None = None) -> None:
    ink = colour or (theme.muted if words.muted else theme.ink)
    for k, line in enumerate(words.lines):
        y = words.y + k * words.size * LEADING
        r.text(canvas, words.x, y, line, size=words.size, colour=ink, bold=words.bold, anchor="left")


# ---------------------------------------------------------------- one painter per kind of panel


def _image(r: Renderer, canvas: Any, panel: ImagePanel, box: Box, theme: Theme) -> None:
    r.picture(canvas, box, panel.image)
    _framed(r, canvas, panel, box, panel.image.shape[:2], theme)


def _map(r: Renderer, canvas: Any, panel: MapPanel, box: Box, theme: Theme) -> None:
    if panel.background is not None:
        r.picture(canvas, box, panel.background)
    else:
        r.rectangle(canvas, box, colour="#ffffff")
    outlines = None if panel.outlines is None else borders(panel.outlines)
    r.heat(canvas, box, panel.drawn, scale=panel.scale, opacity=panel.opacity, outlines=outlines)
    _framed(r, canvas, panel, box, panel.shape, theme)


def _framed(
    r: Renderer, canvas: Any, panel: ImagePanel | MapPanel, box: Box, shape: tuple[int, ...], theme: Theme
) -> None:
    """Draw the frame of a picture or map, light around dark so that it stands out on both."""
    if panel.frame is not None:
        zone = _within(box, panel.frame, *shape)
        _frame(r, canvas, Box(zone.x - 2, zone.y - 2, zone.width + 4, zone.height + 4), 2, "#ffffff")
        _frame(r, canvas, zone, 2, theme.accent)
    for named in panel.frames:
        zone = _within(box, named.box, *shape)
        _frame(r, canvas, Box(zone.x - 1, zone.y - 1, zone.width + 2, zone.height + 2), 1, "#ffffff")
        _frame(r, canvas, zone, 2, _ink(named.colour, theme))
    taken: list[Box] = []
    for named in sorted(panel.frames, key=lambda f: f.box[0]):
        if named.name:
            place = _beside(_within(box, named.box, *shape), 0.58 * BODY * len(named.name) + 8, box, taken)
            taken.append(place)
            r.rectangle(canvas, place, colour="#ffffff")
            r.rectangle(canvas, Box(place.x, place.y, 3, place.height), colour=_ink(named.colour, theme))
            r.text(canvas, place.x + 6, place.y + 1, named.name, size=BODY, colour="#16202b", bold=False, anchor="left")


def _beside(zone: Box, width: float, box: Box, taken: list[Box]) -> Box:
    """Find a place for a name at a corner of a frame, where no other name is; further down where all are taken."""
    height = BODY + 5
    right, bottom = zone.x + zone.width, zone.y + zone.height
    corners = [
        (x, y) for y in (zone.y - height, bottom, zone.y + 2, bottom - height - 2)
        for x in (zone.x, right - width, right + 2, zone.x - width - 2)
    ]  # fmt: skip
    corners += [(right + 2, zone.y + k * height) for k in range(-12, 13)]
    places = [Box(x, y, width, height) for x, y in corners]
    inside = [p for p in places if p.x >= box.x and p.y >= box.y and p.x + width <= box.x + box.width]
    inside = [p for p in inside if p.y + height <= box.y + box.height] or places[:1]
    return next((p for p in inside if not any(_overlap(p, t) for t in taken)), inside[0])


def _overlap(a: Box, b: Box) -> bool:
    across = a.x < b.x + b.width and b.x < a.x + a.width
    return across and a.y < b.y + b.height and b.y < a.y + a.height


def _ink(number: int | str, theme: Theme) -> str:
    """Give the colour of a numbered line; grey below 0, pale below -1; words are a colour themselves."""
    if isinstance(number, str):
        return number
    if number < -1:
        return theme.faint
    return theme.muted if number < 0 else theme.series[number % len(theme.series)]


def _bars(r: Renderer, canvas: Any, panel: BarPanel, box: Box, theme: Theme) -> None:
    if panel.starts is not None:
        _waterfall(r, canvas, panel, box, theme)
        return
    values = np.asarray(panel.values, np.float64)
    sizes = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    reach = sizes if panel.intervals is None else _reach(sizes, panel.intervals)
    if panel.points is not None:
        reach = _reach(reach, np.stack([panel.points.min(1), panel.points.max(1)], 1))
    limit = panel.limit or float(np.abs(reach).max()) or 1.0
    low, high = (-limit if reach.min() < 0 else 0.0), (limit if reach.max() > 0 or reach.min() >= 0 else 0.0)
    room = 4.6 * BODY
    across = label_width(panel, box.width)
    left = box.x + across + (room if low < 0 else 8)
    zone = Box(left, box.y, box.x + box.width - left - (room if high > 0 else 8), BAR * len(values))
    x0, per_unit = zone.x - low / (high - low) * zone.width, zone.width / (high - low)
    labels = list(panel.labels)
    colours = [sign_colour(v) if panel.signed else theme.muted for v in sizes]
    r.bars(canvas, zone, sizes, limits=(low, high), colours=colours, labels=labels)
    r.rectangle(canvas, Box(x0 - 0.6, zone.y, 1.2, zone.height), colour=theme.muted)
    if panel.intervals is not None:
        _whiskers(r, canvas, zone, x0 + np.clip(panel.intervals, low, high) * per_unit, theme.ink)
    if panel.points is not None:
        _strokes(r, canvas, zone, x0 + np.clip(panel.points, low, high) * per_unit, theme.ink)
    fits = int((across - 10) / (0.58 * BODY))
    for k, (label, value) in enumerate(zip(labels, values, strict=True)):
        y = zone.y + (k + 0.5) * BAR - BODY * 0.62
        name = label if len(label) <= fits else label[: fits - 1] + "…"
        end = box.x + across
        r.text(canvas, end, y, name, size=BODY, colour=theme.ink, bold=False, anchor="right")
        tip = x0 + np.clip(reach[k], low, high) * per_unit + (-6 if value < 0 else 6)
        side: Anchor = "right" if value < 0 else "left"
        shown = panel.said[k] if panel.said else ("+" if value > 0 and panel.signed else "") + number(float(value))
        r.text(canvas, tip, y, shown, size=BODY, colour=theme.muted, bold=False, anchor=side)
    below = zone.y + zone.height + 8
    for word, place, side in ((panel.ends[0], x0 - 10, "right"), (panel.ends[1], x0 + 10, "left")):
        if word and (low < 0 if side == "right" else high > 0):
            arrow = f"← {word}" if side == "right" else f"{word} →"
            r.text(canvas, place, below, arrow, size=BODY, colour=theme.muted, bold=False, anchor=side)


def _strokes(r: Renderer, canvas: Any, zone: Box, x: Array, colour: str) -> None:
    """Draw the single numbers that bars are means of, as short strokes at x (bar, point)."""
    for k, places in enumerate(x):
        y = zone.y + (k + 0.5) * BAR
        for place in places[np.isfinite(places)]:
            r.rectangle(canvas, Box(float(place) - 0.6, y - 5, 1.2, 10), colour=colour)


def _waterfall(r: Renderer, canvas: Any, panel: BarPanel, box: Box, theme: Theme) -> None:
    """Bars that each begin where the one above ends, joined by thin lines; the first and last are marks."""
    assert panel.starts is not None
    values, starts = np.nan_to_num(panel.values), np.nan_to_num(panel.starts)
    ends = starts + values
    low, high = float(min(starts.min(), ends.min())), float(max(starts.max(), ends.max()))
    if low == high:
        low, high = low - 1, high + 1
    across, said = label_width(panel, box.width), panel.said or tuple(number(float(v)) for v in values)
    before, behind = (
        16 + 0.62 * BODY * max((len(w) for w, v in zip(said, values, strict=True) if (v < 0) == left), default=0)
        for left in (True, False)
    )
    zone = Box(box.x + across + before, box.y, box.width - across - before - behind, BAR * len(values))
    per_unit = zone.width / (high - low)
    fits = int((across - 10) / (0.58 * BODY))
    for k, (start, end, value) in enumerate(zip(starts, ends, values, strict=True)):
        left, right = (zone.x + (v - low) * per_unit for v in sorted((float(start), float(end))))
        y = zone.y + k * BAR
        tip = zone.x + (float(end) - low) * per_unit
        if value:
            part = Box(left, y + 0.17 * BAR, max(right - left, 0.5), 0.66 * BAR)
            limits = (min(float(value), 0.0), max(float(value), 0.0))
            drawn, colours = np.array([value]), [sign_colour(float(value))]
            r.bars(canvas, part, drawn, limits=limits, colours=colours, labels=[panel.labels[k]])
        else:
            r.rectangle(canvas, Box(tip - 1.5, y + 0.1 * BAR, 3, 0.8 * BAR), colour=theme.ink)
        if k + 1 < len(values):
            r.rectangle(canvas, Box(tip - 0.5, y + 0.83 * BAR, 1, 0.34 * BAR), colour=theme.muted)
        name = panel.labels[k] if len(panel.labels[k]) <= fits else panel.labels[k][: fits - 1] + "…"
        words = y + 0.5 * BAR - BODY * 0.62
        r.text(canvas, box.x + across, words, name, size=BODY, colour=theme.ink, bold=False, anchor="right")
        place, side = (left - 6, "right") if value < 0 else (right + 6, "left")
        colour = theme.ink if not value else theme.muted
        r.text(canvas, place, words, said[k], size=BODY, colour=colour, bold=not value, anchor=side)  # type: ignore[arg-type]


def _surface(r: Renderer, canvas: Any, panel: SurfacePanel, box: Box, theme: Theme) -> None:
    """Cells of colour with their labels on the left and below, as many as there is room for."""
    left, below = cell_names(panel), AXIS + KEY
    zone = Box(box.x + left, box.y, box.width - left - 6, box.height - below)
    high, wide = len(panel.rows), len(panel.columns)
    r.rectangle(canvas, zone, colour="#ffffff")
    shown = np.where(np.isfinite(panel.values), panel.values, 0.0)
    r.heat(canvas, zone, shown, scale=panel.scale, opacity=0.9, outlines=None)
    down, across = zone.height / high, zone.width / wide
    fits = int((left - 16) / (0.56 * BODY))
    for k in range(0, high, max(1, int(np.ceil(KEY / down)))):
        y = zone.y + (k + 0.5) * down - BODY * 0.62
        name = panel.rows[k] if len(panel.rows[k]) <= fits else panel.rows[k][: fits - 1] + "…"
        r.text(canvas, zone.x - 8, y, name, size=BODY, colour=theme.ink, bold=False, anchor="right")
    end, widest = zone.y + zone.height, max(len(name) for name in panel.columns)
    room = 0.58 * BODY * widest + 10
    if room > across and (panel.written or across > 5 * BODY):  # every column has a name, cut to its width
        room, widest = across, max(3, int(across / (0.58 * BODY)) - 1)
    for k in range(0, wide, max(1, int(np.ceil(room / across)))):
        name = panel.columns[k] if len(panel.columns[k]) <= widest else panel.columns[k][: widest - 1] + "…"
        x = zone.x + (k + 0.5) * across
        r.text(canvas, x, end + 6, name, size=BODY, colour=theme.ink, bold=False, anchor="center")
    middle, beneath = zone.x + zone.width / 2, end + 8 + BODY * LEADING
    said = " · ".join(
        f"{word} {name}" for word, name in (("across:", panel.column_label), ("up:", panel.row_label)) if name
    )
    r.text(canvas, middle, beneath, said, size=BODY, colour=theme.muted, bold=False, anchor="center")
    for i, row in enumerate(panel.values if panel.written else ()):
        for j, value in enumerate(row):
            x, y = zone.x + (j + 0.5) * across, zone.y + (i + 0.5) * down - BODY * 0.62
            ink = "#ffffff" if abs(shown[i, j]) > 0.85 * panel.scale.limit else "#16202b"
            text = number(float(value), 2) if np.isfinite(value) else "–"
            r.text(canvas, x, y, text, size=BODY, colour=ink, bold=False, anchor="center")


def _table(r: Renderer, canvas: Any, panel: TablePanel, box: Box, theme: Theme) -> None:
    """Words in columns; the first is set to the left, the others to the right."""
    widths = column_widths(panel)
    squeeze = min(1.0, box.width / sum(widths))
    x = box.x
    for c, (header, width) in enumerate(zip(panel.headers, widths, strict=True)):
        side: Anchor = "left" if c == 0 else "right"
        place = x if c == 0 else x + width * squeeze - 8
        fits = max(3, int((width * squeeze - 10) / (0.55 * BODY)))
        for k, word in enumerate((header, *(row[c] for row in panel.rows))):
            y = box.y + KEY * k + 3 + (4 if k else 0)
            strong = k > 0 and (k - 1, c) in panel.strong
            colour = theme.muted if k == 0 else theme.ink
            text = word if len(word) <= fits else word[: fits - 1] + "…"
            r.text(canvas, place, y, text, size=BODY, colour=colour, bold=strong, anchor=side)
        x += width * squeeze
    r.rectangle(canvas, Box(box.x, box.y + KEY, sum(widths) * squeeze, 1), colour=theme.muted)


def _reach(values: Array, intervals: Array) -> Array:
    """Give the end of every bar's interval that is further from zero; the bar's own where it has none."""
    ends = np.where(values < 0, intervals[:, 0], intervals[:, 1])
    return np.where(np.isfinite(intervals).all(1), ends, values)


def _whiskers(r: Renderer, canvas: Any, zone: Box, x: Array, colour: str) -> None:
    """Draw the intervals of bars as lines from x to x (bar, 2), with a short stroke at both ends."""
    for k, (left, right) in enumerate(x):
        y = zone.y + (k + 0.5) * BAR
        if np.isfinite(left) and np.isfinite(right):
            r.rectangle(canvas, Box(float(left), y - 0.7, float(right - left), 1.4), colour=colour)
            for end in (left, right):
                r.rectangle(canvas, Box(float(end) - 0.7, y - 4, 1.4, 8), colour=colour)


def _scores(r: Renderer, canvas: Any, panel: ScorePanel, box: Box, theme: Theme) -> None:
    step = SCORE
    for k, (name, score) in enumerate(zip(panel.names, panel.scores, strict=True)):
        y, chosen = box.y + k * step, name == panel.chosen
        end = box.x + box.width
        fits = int((box.width - 50) / (0.6 * BODY))
        shown = name if len(name) <= fits else name[: fits - 1] + "…"
        r.text(canvas, box.x, y + 2, shown, size=BODY + 0.5, colour=theme.ink, bold=chosen, anchor="left")
        said = probability(score)
        r.text(canvas, end, y + 2, said, size=BODY + 0.5, colour=theme.ink, bold=chosen, anchor="right")
        track = Box(box.x, y + 23, box.width, 9)
        r.rectangle(canvas, track, colour=theme.faint)
        colour = theme.accent if chosen else theme.muted
        r.bars(canvas, track, np.array([score]), limits=(0.0, 1.0), colours=[colour], labels=[name])


def _lines(r: Renderer, canvas: Any, panel: LinePanel, box: Box, theme: Theme) -> None:
    axis = 74.0
    for k, line in enumerate(panel.lines):
        lane = Box(box.x + axis, box.y + k * LANE, box.width - axis, LANE - 16)
        limits = (*_half_steps(line.x), *_padded(line.y))
        r.rectangle(canvas, lane, colour="#ffffff")
        r.heat(canvas, lane, line.contributions[None], scale=panel.scale, opacity=0.9, outlines=None)
        r.rectangle(canvas, Box(lane.x, lane.y + lane.height, lane.width, 1), colour=theme.faint)
        r.polyline(canvas, lane, line, limits=limits, colour="#16202b")
        for value in (float(np.nanmax(line.y)), float(np.nanmin(line.y))):
            y = lane.y + (limits[3] - value) / (limits[3] - limits[2]) * lane.height - BODY * 0.6
            said = number(value)
            r.text(canvas, lane.x - 8, y, said, size=BODY, colour=theme.muted, bold=False, anchor="right")
        if len(panel.lines) > 1:
            y = lane.y + lane.height / 2 - BODY * 0.6
            r.text(canvas, lane.x - 8, y, line.name[:9], size=BODY, colour=theme.ink, bold=False, anchor="right")
    low, high = _half_steps(panel.lines[0].x)
    end = box.y + LANE * len(panel.lines) - 16
    for tick in _ticks(low, high):
        x = box.x + axis + (tick - low) / (high - low) * (box.width - axis)
        r.rectangle(canvas, Box(x - 0.5, end, 1, 5), colour=theme.muted)
        r.text(canvas, x, end + 8, number(tick), size=BODY, colour=theme.muted, bold=False, anchor="center")
    middle = box.x + axis + (box.width - axis) / 2
    below = end + 8 + BODY * LEADING
    r.text(canvas, middle, below, panel.x_label, size=BODY, colour=theme.muted, bold=False, anchor="center")


def _curves(r: Renderer, canvas: Any, panel: CurvePanel, box: Box, theme: Theme) -> None:
    """A key, a frame with round numbers, the lines, and the point that is pointed out."""
    rows = keys(panel.traces, box.width)
    for row, members in enumerate(rows):
        for trace, across in members:
            y, colour = box.y + KEY * row, _line_colour(trace, theme)
            _sample(r, canvas, Box(box.x + across, y + 0.55 * BODY, SAMPLE - 8, 2), trace, colour)
            r.text(
                canvas, box.x + across + SAMPLE, y, trace.name, size=BODY, colour=theme.ink, bold=False, anchor="left"
            )
    axis = 62.0
    top = box.y + KEY * len(rows) + 4
    zone = Box(box.x + axis, top, box.width - axis - 6, box.y + box.height - AXIS - top)
    limits = _limits(panel)
    left, right, low, high = limits
    for tick, said in _levels(low, high, panel.logarithmic):
        y = zone.y + (high - tick) / (high - low) * zone.height
        r.rectangle(canvas, Box(zone.x, y - 0.5, zone.width, 1), colour=theme.faint)
        r.text(canvas, zone.x - 8, y - BODY * 0.62, said, size=BODY, colour=theme.muted, bold=False, anchor="right")
    end = zone.y + zone.height
    for tick, said in _steps(panel):
        x = zone.x + (tick - left) / (right - left) * zone.width
        r.rectangle(canvas, Box(x - 0.5, end, 1, 5), colour=theme.muted)
        r.text(canvas, x, end + 8, said, size=BODY, colour=theme.muted, bold=False, anchor="center")
    r.rectangle(canvas, Box(zone.x, end, zone.width, 1), colour=theme.muted)
    middle, below = zone.x + zone.width / 2, end + 8 + BODY * LEADING
    r.text(canvas, middle, below, panel.x_label, size=BODY, colour=theme.muted, bold=False, anchor="center")
    if panel.mark is not None:
        x = zone.x + (panel.mark.x - left) / (right - left) * zone.width
        r.rectangle(canvas, Box(x - 0.6, zone.y, 1.2, zone.height), colour=theme.muted)
    for trace in panel.traces:
        r.curve(canvas, zone, trace, limits=limits, colour=_line_colour(trace, theme), log=panel.logarithmic)
    if panel.mark is not None:
        _pointed_out(r, canvas, panel, zone, limits, theme)


def _space(r: Renderer, canvas: Any, panel: SpacePanel, box: Box, theme: Theme) -> None:
    """A key, and the points in a cube whose three axes have one scale."""
    rows = keys(panel.clouds, box.width)
    for row, members in enumerate(rows):
        for cloud, across in members:
            x, y = box.x + across, box.y + KEY * row
            _key_dot(r, canvas, Box(x + SAMPLE - 16, y + 0.3 * BODY, 9, 9), symbol_of(cloud), _ink(cloud.colour, theme))
            r.text(canvas, x + SAMPLE, y, cloud.name, size=BODY, colour=theme.ink, bold=False, anchor="left")
    centre, half = cube_of(panel.clouds)
    view = View(
        clouds=panel.clouds,
        colours=[_ink(c.colour, theme) for c in panel.clouds],
        labels=panel.labels,
        centre=centre,
        half=half,
        ticks=[[(t, brief(t)) for t in _ticks(c - half, c + half, 4)] for c in centre.tolist()],
        ink=theme.ink,
        muted=theme.muted,
        faint=theme.faint,
    )
    top = box.y + KEY * len(rows)
    r.space(canvas, Box(box.x, top, box.width, box.y + box.height - top), view)


def _key_dot(r: Renderer, canvas: Any, box: Box, symbol: str, colour: str) -> None:
    """A dot of the key in the shape of its points, built of strips."""
    middle, radius = box.y + box.height / 2, box.height / 2
    for k in range(int(box.height)):
        y = box.y + k + 0.5 - middle
        reach = {"circle": np.sqrt(max(radius**2 - y**2, 0)), "diamond": radius - abs(y)}.get(symbol, 0.85 * radius)
        if symbol != "square" or abs(y) < 0.9 * radius:
            strip = Box(box.x + radius - float(reach), box.y + k, 2 * float(reach), 1.05)
            r.rectangle(canvas, strip, colour=colour)


def _pointed_out(
    r: Renderer, canvas: Any, panel: CurvePanel, zone: Box, limits: tuple[float, float, float, float], theme: Theme
) -> None:
    assert panel.mark is not None
    left, right, low, high = limits
    value = float(np.log10(panel.mark.y)) if panel.logarithmic else panel.mark.y
    x = zone.x + (panel.mark.x - left) / (right - left) * zone.width
    y = zone.y + (high - value) / (high - low) * zone.height
    r.rectangle(canvas, Box(x - 4, y - 4, 8, 8), colour=theme.ink)
    after = x < zone.x + zone.width / 2
    place = zone.y + (2 if y > zone.y + zone.height / 2 else zone.height - 1.6 * BODY)
    side: Anchor = "left" if after else "right"
    said = panel.mark.text
    r.text(canvas, x + (8 if after else -8), place, said, size=BODY, colour=theme.ink, bold=False, anchor=side)


def _sample(r: Renderer, canvas: Any, box: Box, trace: Trace, colour: str) -> None:
    if trace.dots:
        _key_dot(r, canvas, Box(box.x + box.width - 10, box.y - 2, 7, 7), "circle", colour)
        return
    pieces = 3 if trace.dashed else 1
    step = box.width / pieces
    for k in range(pieces):
        r.rectangle(
            canvas, Box(box.x + k * step, box.y, step * (0.62 if trace.dashed else 1), box.height), colour=colour
        )


def _line_colour(trace: Trace, theme: Theme) -> str:
    return _ink(trace.colour, theme)


def _limits(panel: CurvePanel) -> tuple[float, float, float, float]:
    """The ranges of a curve panel's axes, in powers of ten where y is logarithmic."""
    x = np.concatenate([t.x for t in panel.traces])
    levels = [a for t in panel.traces for a in (t.y, *(t.band or ()))]
    y = np.concatenate([a[np.isfinite(a)] for a in levels])
    y = np.log10(y) if panel.logarithmic else y
    left, right = float(x.min()), float(x.max())
    aside = 0.02 * (right - left) or 1.0
    low, high = _padded(y) if len(y) else (0.0, 1.0)
    if len(y) and y.min() == y.max() and not panel.logarithmic:
        around = abs(float(y[0])) / 10 or 1.0
        low, high = float(y[0]) - around, float(y[0]) + around
    if len(y) and not panel.logarithmic and y.min() >= 0:
        low = max(low, 0.0)
    return left - aside, right + aside, low, high


def _levels(low: float, high: float, logarithmic: bool) -> list[tuple[float, str]]:
    if not logarithmic:
        return [(tick, brief(tick)) for tick in _ticks(low, high, 5)]
    step = max(1, round((high - low) / 5))
    return [(p, brief(10.0**p)) for p in range(int(np.ceil(low)), int(np.floor(high)) + 1, step)]


def _steps(panel: CurvePanel) -> list[tuple[float, str]]:
    """Round numbers between the first point and the last; whole ones where all points are at whole numbers."""
    x = np.concatenate([t.x for t in panel.traces])
    first, last = float(x.min()), float(x.max())
    ticks = _ticks(first, last) if last > first else [first]
    if np.all(np.mod(x, 1) == 0):
        return [(tick, f"{tick:,.0f}") for tick in ticks if tick.is_integer()]
    return [(tick, brief(tick)) for tick in ticks]


def _matrix(r: Renderer, canvas: Any, panel: MatrixPanel, box: Box, theme: Theme) -> None:
    """Numbers on their colours; a column is headed by the number that its name has in the rows."""
    count = len(panel.names)
    zone = Box(box.x + MATRIX_NAMES, box.y + MATRIX_ROW, box.width - MATRIX_NAMES, box.height - MATRIX_ROW)
    across = zone.width / count
    r.rectangle(canvas, zone, colour="#ffffff")
    shown = np.nan_to_num(panel.values)
    r.heat(canvas, zone, shown, scale=panel.scale, opacity=0.85, outlines=None)
    fits = int((MATRIX_NAMES - 16) / (0.55 * BODY))
    for i, name in enumerate(panel.names):
        said = f"{i + 1}  {name}"
        said = said if len(said) <= fits else f"{said[: fits - 1]}…"
        y = zone.y + (i + 0.5) * MATRIX_ROW - BODY * 0.62
        head = zone.x + (i + 0.5) * across
        r.text(canvas, box.x, y, said, size=BODY, colour=theme.ink, bold=False, anchor="left")
        top = box.y + 0.5 * (MATRIX_ROW - BODY)
        r.text(canvas, head, top, f"{i + 1}", size=BODY, colour=theme.muted, bold=False, anchor="center")
        for j, value in enumerate(panel.values[i]):
            x = zone.x + (j + 0.5) * across
            ink = "#ffffff" if abs(shown[i, j]) > 0.85 * panel.scale.limit else "#16202b"
            text = number(float(value), 2) if np.isfinite(value) else "–"
            r.text(canvas, x, y, text, size=BODY, colour=ink, bold=False, anchor="center")


def _text(r: Renderer, canvas: Any, panel: TextPanel, box: Box, theme: Theme) -> None:
    placed = flow(panel, box.width)
    boxes = [Box(box.x + b.x, box.y + b.y, b.width, b.height) for _, b in placed]
    r.rectangle(canvas, box, colour="#ffffff")
    words, values = [w for (w, _), _ in placed], [v for (_, v), _ in placed]
    r.marks(canvas, boxes, words, values, scale=panel.scale, colour="#16202b")


def _tiles(r: Renderer, canvas: Any, panel: TilesPanel, box: Box, theme: Theme) -> None:
    """All tiles as one picture, with their names below them and what they say when pointed at."""
    places = tiled(panel, box.width)
    zones = [_zone(tile, place) for tile, place in zip(panel.tiles, places, strict=True)]
    r.picture(canvas, box, sprite(panel.tiles, zones, (box.width, box.height), panel.scale))
    for tile, place, zone in zip(panel.tiles, places, zones, strict=True):
        there = Box(box.x + zone.x, box.y + zone.y, zone.width, zone.height)
        if tile.frame is not None:
            _frame(r, canvas, _within(there, tile.frame, *tile.values.shape[:2]), 2, theme.accent)
        y = box.y + place.y + place.height + 4
        if place.width >= NAMED:
            r.text(canvas, there.x, y, tile.name, size=BODY - 1, colour=theme.ink, bold=False, anchor="left")
        if place.width >= NOTED:
            right = box.x + place.x + place.width
            r.text(canvas, right, y, tile.note, size=BODY - 1, colour=theme.muted, bold=False, anchor="right")
    down, across = places[-1].y + places[0].height, panel.across
    below = places[across].y if len(places) > across else down
    left, between = row_names(panel), CLOSE if panel.rows or panel.columns else BETWEEN
    grid = Box(box.x + left, box.y, box.width - left + between, below * (-(-len(places) // across)))
    _edges(r, canvas, panel, box, places, theme)
    hints = [tile.hint or " · ".join(filter(None, (tile.name, tile.note))) for tile in panel.tiles]
    hints += [""] * (-len(hints) % across)
    r.hints(canvas, grid, [hints[k : k + across] for k in range(0, len(hints), across)])


def _edges(r: Renderer, canvas: Any, panel: TilesPanel, box: Box, places: list[Box], theme: Theme) -> None:
    """Write the names of rows at the left, and of columns below, as many as there is room for."""
    fits = int((row_names(panel) - 12) / (0.56 * BODY))
    for name, place in zip(panel.rows, places[:: panel.across], strict=False):
        shown = name if len(name) <= fits else name[: fits - 1] + "…"
        y = box.y + place.y + place.height / 2 - 0.62 * BODY
        r.text(canvas, box.x + place.x - 8, y, shown, size=BODY, colour=theme.ink, bold=False, anchor="right")
    bottom = box.y + places[-1].y + places[-1].height + 4
    widest = max((len(name) for name in panel.columns), default=0)
    across = places[0].width + CLOSE
    every, fits = max(1, int(np.ceil((0.58 * BODY * widest + 8) / across))), widest
    if every > 1 and across > 5 * BODY:  # every column has a name, cut to its width
        every, fits = 1, int(across / (0.58 * BODY)) - 1
    for k, name in enumerate(panel.columns):
        if k % every == 0:
            x = box.x + places[k].x + places[k].width / 2
            shown = name if len(name) <= fits else name[: fits - 1] + "…"
            r.text(canvas, x, bottom, shown, size=BODY, colour=theme.ink, bold=False, anchor="center")


def _zone(tile: Tile, place: Box) -> Box:
    """Give the part of a tile's place that it fills with its own proportions."""
    rows, columns = tile.values.shape[:2]
    if rows / columns < FLATTEST or rows / columns > TALLEST:
        return place
    height = min(place.height, place.width * rows / columns)
    return Box(place.x, place.y, height * columns / rows, height)


def _within(zone: Box, frame: tuple[float, float, float, float], rows: int, columns: int) -> Box:
    """Give the box of a frame that is counted in the places of a picture in `zone`."""
    top, left, bottom, right = frame
    down, across = zone.height / rows, zone.width / columns
    return Box(zone.x + left * across, zone.y + top * down, (right - left) * across, (bottom - top) * down)


def _frame(r: Renderer, canvas: Any, box: Box, thick: float, colour: str) -> None:
    """Draw the four sides of a box, inside it."""
    for y in (box.y, box.y + box.height - thick):
        r.rectangle(canvas, Box(box.x, y, box.width, thick), colour=colour)
    for x in (box.x, box.x + box.width - thick):
        r.rectangle(canvas, Box(x, box.y, thick, box.height), colour=colour)


PAINTERS: dict[type[Panel], Callable[..., None]] = {
    ImagePanel: _image,
    MapPanel: _map,
    BarPanel: _bars,
    ScorePanel: _scores,
    LinePanel: _lines,
    CurvePanel: _curves,
    MatrixPanel: _matrix,
    SpacePanel: _space,
    SurfacePanel: _surface,
    TablePanel: _table,
    TextPanel: _text,
    TilesPanel: _tiles,
    GraphPanel: graphs.paint,
    GridsPanel: grids.paint,
    StepsPanel: steps.paint,
}


def legend_image(legend: Legend, width: int = 256, height: int = 1) -> Array:
    """Give the legend's bar as a picture (height, width, 3) uint8, over the shade that the maps lie on."""
    at = np.linspace(-1 if legend.kind == "diverging" else 0, 1, width)
    row = over(at, Scale(1.0, kind=legend.kind), legend.shade, legend.opacity)
    return np.repeat(np.rint(255 * row).astype(np.uint8)[None], height, axis=0)


def _legend(r: Renderer, canvas: Any, box: Box, legend: Legend, theme: Theme) -> None:
    r.picture(canvas, box, legend_image(legend))
    for place, label in legend.ticks:
        x = box.x + place * box.width
        r.rectangle(canvas, Box(x - 0.5, box.y + box.height, 1, 4), colour=theme.muted)
        below = box.y + box.height + 6
        r.text(canvas, x, below, label, size=BODY, colour=theme.muted, bold=False, anchor="center")
    above = box.y - 1.5 * BODY
    r.text(canvas, box.x, above, legend.low, size=BODY, colour=theme.ink, bold=False, anchor="left")
    right = box.x + box.width
    r.text(canvas, right, above, legend.high, size=BODY, colour=theme.ink, bold=False, anchor="right")


def _half_steps(x: Array) -> tuple[float, float]:
    """The axis from half a step before the first point to half a step after the last."""
    step = float(x[1] - x[0]) if len(x) > 1 else 1.0
    return float(x[0]) - step / 2, float(x[-1]) + step / 2


def _padded(y: Array) -> tuple[float, float]:
    low, high = float(np.nanmin(y)), float(np.nanmax(y))
    space = 0.12 * (high - low) or 1.0
    return low - space, high + space


def _ticks(low: float, high: float, count: int = 6) -> list[float]:
    """About `count` round numbers (1, 2 or 5 times a power of ten) between low and high."""
    rough = (high - low) / count
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(m for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first = int(np.ceil(low / step))
    return [k * float(step) for k in range(first, int(np.floor(high / step)) + 1)]
