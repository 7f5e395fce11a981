"""A network's graph as SVG: layers from top to bottom, parallel branches side by side, repeated blocks once.

Layered drawing after Sugiyama, Tagawa and Toda (1981): every unit gets a row by its longest path, edges over several
rows run through places of their own, rows are ordered by the mean place of their neighbours, and places across are the
least-squares fit to the neighbours' that keeps the order and the gaps. Long networks continue in further columns.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise, zip_longest

import numpy as np

from xaikit.zoo.folding import Block, Unit

HEIGHT, TALL_HEIGHT, ROW_GAP = 30.0, 42.0, 30.0
GAP, LANE = 14.0, 14.0
"""Between boxes of a row, and the width of the place of an edge that passes it."""
FRAME = 11.0
TIMES = 34.0
"""Room beside a frame for the number of times."""
TRUNK = 14.0
"""How far an edge goes straight down before it turns, so that the shape is written beside it."""
COLUMN_GAP, MARGIN = 40.0, 16.0
WIDEST, SHORTEST = 1110.0, 520.0
"""How wide the columns may be together, and how short a column is not made."""
SWEEPS, ROUNDS = 12, 150
KINDS = {
    "conv": "#3f7fd0",
    "pool": "#2a9d6f",
    "dense": "#8b5cc7",
    "recurrent": "#d07a1e",
    "embedding": "#d07a1e",
    "attention": "#d07a1e",
    "add": "#8a929b",
    "concat": "#8a929b",
}
"""The colour of the stripe by a word in the operation's name; mid-tones that are seen on light and on dark."""
OTHER = "#8a929b"
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, 'Liberation Sans', sans-serif"

Lane = tuple[str, str, int]
Item = str | Lane
"""A unit by name, or the place of the edge (from, to) in a row."""
Point = tuple[float, float]
NO_NOTES: Mapping[str, str] = {}


@dataclass(frozen=True, eq=False)
class _Column:
    """Blocks that stand one above the other, placed: centre across of every item, and the row's number."""

    blocks: tuple[Block, ...]
    units: Mapping[str, Unit]
    rows: tuple[tuple[Item, ...], ...]
    x: Mapping[Item, float]
    edges: tuple[tuple[str, str], ...]
    width: float
    box: float


@dataclass(frozen=True, eq=False)
class Place:
    """Where a unit's box is: left, top, width and height; `end` names the output that it gives, `note` is what is said
    of it under the box, left of the edge."""

    unit: Unit
    x: float
    y: float
    width: float
    height: float
    end: str | None
    note: str

    @property
    def below(self) -> str:
        """What is written under the box, right of the edge: the shape, and the output."""
        said = _shape(self.unit)
        return f"{said} → {self.end}" if self.end and self.end != "output" else said

    @property
    def told(self) -> str:
        """The unit in a sentence."""
        said = f"{self.unit.name}: {self.unit.parameters:,} parameters, gives {_shape(self.unit)}"
        return f"{said}, {self.note}" if self.note else said


@dataclass(frozen=True, eq=False)
class Frame:
    """The frame around a repeated block, with how often it comes."""

    x: float
    y: float
    width: float
    height: float
    times: int


@dataclass(frozen=True, eq=False)
class Layout:
    """A network laid out: `edges` run by points from box to box, `turns` (start, end, across) between columns."""

    width: float
    height: float
    places: tuple[Place, ...]
    frames: tuple[Frame, ...]
    edges: tuple[tuple[Point, ...], ...]
    turns: tuple[tuple[Point, Point, float], ...]


def diagram(
    blocks: Sequence[Block], outputs: Mapping[str, str], title: str, notes: Mapping[str, str] = NO_NOTES
) -> str:
    """Draw folded blocks as one SVG element whose ink is the surrounding text's colour.

    outputs: which node is given back under which name; notes: what is said of a node beside its shape.
    """
    laid = layout(blocks, outputs, notes)
    canvas = [_frame(frame) for frame in laid.frames]
    canvas += [_edge(points) for points in laid.edges]
    canvas += [_unit(place) for place in laid.places]
    canvas += [_turn(*turn) for turn in laid.turns]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" viewBox="0 0 {laid.width:.1f} {laid.height:.1f}" '
        f'width="{laid.width:.0f}" height="{laid.height:.0f}" role="img" aria-label="{escape(title)}" '
        f'style="font-family:{escape(FONT)};fill:currentColor">{"".join(canvas)}</svg>'
    )


def layout(blocks: Sequence[Block], outputs: Mapping[str, str], notes: Mapping[str, str] = NO_NOTES) -> Layout:
    """Lay out folded blocks, in design pixels from the top left."""
    alias = {c.name: f.name for b in blocks for copy in b.copies for c, f in zip(copy, b.units, strict=True)}
    ends = {alias[u.name]: name for name, node in outputs.items() for b in blocks for u in b.copies[-1]
            if node in (n.name for n in u.nodes)}  # fmt: skip
    said = {u.name: noted(b, k, notes) for b in blocks for k, u in enumerate(b.units)}
    places: list[Place] = []
    frames: list[Frame] = []
    edges: list[tuple[Point, ...]] = []
    turns: list[tuple[Point, Point, float]] = []
    left, tallest = MARGIN, 0.0
    before: Point | None = None
    for column in _columns(blocks, alias, said):
        tops = _tops(column)
        foot = tops[-1] + _row_height(column, -1) + (ROW_GAP if ends.keys() & column.units.keys() else 6)
        boxes = _boxes(column, left, tops, ends, said)
        bottoms = {i: tops[r] + _row_height(column, r) for r, row in enumerate(column.rows) for i in row}
        frames += [_framed(b, column, left, tops, bottoms) for b in column.blocks if b.times > 1]
        edges += _routed(column, left, tops, bottoms)
        places += boxes.values()
        start = boxes[next(iter(column.units))]
        if before is not None:
            turns.append((before, (start.x + start.width / 2, start.y), left - COLUMN_GAP / 2))
        end = boxes[column.blocks[-1].units[-1].name]
        before = (end.x + end.width / 2, end.y + end.height)
        tallest = max(tallest, foot)
        left += column.width + COLUMN_GAP
    width = left - COLUMN_GAP + MARGIN
    return Layout(width, tallest + MARGIN, tuple(places), tuple(frames), tuple(edges), tuple(turns))


def noted(block: Block, place: int, notes: Mapping[str, str]) -> str:
    """Say what is said of a unit; of a repeated one from the first to the last time: "sees 27…35 /4"."""
    first, last = (notes.get(copy[place].nodes[-1].name, "") for copy in (block.copies[0], block.copies[-1]))
    words = list(zip_longest(first.split(), last.split(), fillvalue=""))
    return " ".join(a if a == b else f"{a}…{b}" for a, b in words)


def _boxes(
    column: _Column, left: float, tops: Sequence[float], ends: Mapping[str, str], notes: Mapping[str, str]
) -> dict[str, Place]:
    row_of = {i: r for r, row in enumerate(column.rows) for i in row}
    return {
        name: Place(
            unit,
            left + column.x[name] - column.box / 2,
            tops[row_of[name]],
            column.box,
            _row_height(column, row_of[name]),
            ends.get(name),
            notes[name],
        )
        for name, unit in column.units.items()
    }


def _routed(
    column: _Column, left: float, tops: Sequence[float], bottoms: Mapping[Item, float]
) -> Iterator[tuple[Point, ...]]:
    """Give the points of every edge: from the foot of a box, through the places of its own in each row, to a box."""
    row_of = {i: r for r, row in enumerate(column.rows) for i in row}
    for a, b in column.edges:
        points = [(left + column.x[a], bottoms[a])]
        for r in range(row_of[a] + 1, row_of[b]):
            x = left + column.x[(a, b, r)]
            points += [(x, tops[r]), (x, tops[r] + _row_height(column, r))]
        yield (*points, (left + column.x[b], tops[row_of[b]]))


# ---------------------------------------------------------------- columns


def _columns(blocks: Sequence[Block], alias: Mapping[str, str], notes: Mapping[str, str]) -> list[_Column]:
    """Lay out the blocks in as many columns as the width allows and the height asks for."""
    whole = [_laid_out(blocks, alias, notes)]
    height = _tops(whole[0])[-1]
    for count in range(min(5, int(height // SHORTEST)), 1, -1):
        parts = [_laid_out(part, alias, notes) for part in _even(blocks, count)]
        if max(_tops(c)[-1] for c in parts) > 1.4 * height / count:
            continue
        if sum(c.width for c in parts) + COLUMN_GAP * (len(parts) - 1) + 2 * MARGIN <= WIDEST:
            return parts
    return whole


def _even(blocks: Sequence[Block], count: int) -> list[Sequence[Block]]:
    """Cut the blocks into parts with about the same number of rows."""
    rows = np.cumsum([_depth(b) for b in blocks])
    cuts = [int(np.argmin(np.abs(rows - rows[-1] * k / count))) + 1 for k in range(1, count)]
    ends = sorted({0, *cuts, len(blocks)})
    return [blocks[a:b] for a, b in pairwise(ends)]


def _depth(block: Block) -> int:
    depth: dict[str, int] = {}
    for unit in block.units:
        depth[unit.name] = 1 + max((depth[p] for p in unit.parents if p in depth), default=0)
    return max(depth.values())


def _laid_out(blocks: Sequence[Block], alias: Mapping[str, str], notes: Mapping[str, str]) -> _Column:
    units = {u.name: u for b in blocks for u in b.units}
    edges = tuple((alias[p], u.name) for u in units.values() for p in u.parents if alias.get(p) in units)
    row: dict[str, int] = {}
    for block in blocks:
        floor = 1 + max(row.values(), default=-1)
        for u in block.units:
            row[u.name] = 1 + max((row[a] for a, b in edges if b == u.name), default=floor - 1)
    rows: list[list[Item]] = [[] for _ in range(1 + max(row.values()))]
    near: dict[Item, list[Item]] = {}
    for name, r in row.items():
        rows[r].append(name)
    for a, b in edges:
        chain: list[Item] = [a, *((a, b, r) for r in range(row[a] + 1, row[b])), b]
        for r, item in enumerate(chain[1:-1], start=row[a] + 1):
            rows[r].append(item)
        for upper, lower in pairwise(chain):
            near.setdefault(upper, []).append(lower)
            near.setdefault(lower, []).append(upper)
    box = min(240.0, max(104.0, max(max(_needed(u), 16 + 12.4 * len(notes[u.name])) for u in units.values())))
    _ordered(rows, near)
    x = _placed(rows, near, box)
    least = min(v - _wide(i, box) / 2 for i, v in x.items())
    most = max(v + _wide(i, box) / 2 for i, v in x.items())
    most = max(most, *(x[n] + 8 + 6.2 * len(_shape(u)) for n, u in units.items()))
    framed = any(b.times > 1 for b in blocks)
    x = {i: v - least + FRAME * framed for i, v in x.items()}
    width = most - least + (2 * FRAME + TIMES) * framed
    return _Column(tuple(blocks), units, tuple(map(tuple, rows)), x, edges, width, box)


def _ordered(rows: list[list[Item]], near: Mapping[Item, Sequence[Item]]) -> None:
    """Order every row by the mean place of its neighbours in the row before, then after, several times."""
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        order = range(1, len(rows)) if down else range(len(rows) - 2, -1, -1)
        for r in order:
            place = {item: k for k, item in enumerate(rows[r - 1 if down else r + 1])}
            share = {item: k for k, item in enumerate(rows[r])}
            centre = {
                item: float(np.mean([place[n] for n in near.get(item, ()) if n in place] or [share[item]]))
                for item in rows[r]
            }
            rows[r].sort(key=lambda item: (centre[item], isinstance(item, tuple), share[item]))


def _placed(rows: Sequence[Sequence[Item]], near: Mapping[Item, Sequence[Item]], box: float) -> dict[Item, float]:
    """Centres across: runs without branches are straight, and stand near the mean of what they are tied to.

    What stands alone in its row stands in the middle. The ties weaken with every round, so that in the end runs give
    way to each other and not to their ties.
    """
    runs = _runs(rows, near)
    run_of = {item: run for run in runs for item in run}
    alone = {row[0] for row in rows if len(row) == 1}
    x: dict[Item, float] = {}
    for row in rows:
        x |= dict(zip(row, _apart([0.0] * len(row), [1.0] * len(row), row, box), strict=True))
    for tie in np.linspace(1.0, 0.0, ROUNDS):
        wish: dict[Item, float] = {}
        for run in runs:
            tied = [x[n] for item in run for n in near.get(item, ()) if run_of[n] is not run]
            own = [x[item] for item in run]
            middle = (tie * sum(tied) + sum(own)) / (tie * len(tied) + len(own))
            wish |= dict.fromkeys(run, 0.0 if alone & {*run} else float(middle))
        for row in rows:
            weights = [float(len(run_of[item])) for item in row]
            x |= dict(zip(row, _apart([wish[item] for item in row], weights, row, box), strict=True))
    return x


def _runs(rows: Sequence[Sequence[Item]], near: Mapping[Item, Sequence[Item]]) -> list[tuple[Item, ...]]:
    """Chains of items that have one neighbour above and one below."""
    row_of = {item: r for r, row in enumerate(rows) for item in row}
    up = {i: [n for n in near.get(i, ()) if row_of[n] < row_of[i]] for i in row_of}
    down = {i: [n for n in near.get(i, ()) if row_of[n] > row_of[i]] for i in row_of}
    runs: list[list[Item]] = []
    home: dict[Item, list[Item]] = {}
    for item in (item for row in rows for item in row):
        chained = len(up[item]) == 1 and len(down[up[item][0]]) == 1
        run = home[up[item][0]] if chained else []
        if not chained:
            runs.append(run)
        run.append(item)
        home[item] = run
    return [tuple(run) for run in runs]


def _apart(wished: Sequence[float], weights: Sequence[float], row: Sequence[Item], box: float) -> list[float]:
    """The weighted least-squares fit to the wishes that keeps order and gaps: who would overlap is pooled."""
    gaps = [(_wide(a, box) + _wide(b, box)) / 2 + GAP for a, b in pairwise(row)]
    offset = np.concatenate([[0.0], np.cumsum(gaps)])
    pools: list[tuple[float, float, int]] = []
    for value, weight in zip(np.asarray(wished) - offset, weights, strict=True):
        mean, heavy, count = float(value), weight, 1
        while pools and pools[-1][0] >= mean:
            other, load, many = pools.pop()
            mean, heavy, count = (mean * heavy + other * load) / (heavy + load), heavy + load, count + many
        pools.append((mean, heavy, count))
    fitted = np.repeat([mean for mean, _, _ in pools], [count for _, _, count in pools])
    return [float(v) for v in fitted + offset]


def _wide(item: Item, box: float) -> float:
    return box if isinstance(item, str) else LANE


def _needed(unit: Unit) -> float:
    return 28 + max(7.4 * len(unit.title), 5.9 * len(remark(unit)))


def _shape(unit: Unit) -> str:
    return "×".join(map(str, unit.shape)) or "1"


def remark(unit: Unit) -> str:
    """Give what a unit does beside its main operation: "batch norm · ReLU"."""
    extras = [e for e in unit.extras if e != "pad"]
    return " · ".join(extras)


def _framed(block: Block, column: _Column, left: float, tops: Sequence[float], bottoms: Mapping[Item, float]) -> Frame:
    """Set a frame around the units of a block and the edges that pass inside it."""
    row_of = {i: r for r, row in enumerate(column.rows) for i in row}
    names = {u.name for u in block.units}
    inside: list[Item] = [*names]
    first, last = min(row_of[i] for i in names), max(row_of[i] for i in names)
    inside += [i for i in row_of if not isinstance(i, str) and i[1] in names and first <= row_of[i] <= last]
    x0 = left + min(column.x[i] - _wide(i, column.box) / 2 for i in inside) - FRAME
    x1 = left + max(column.x[i] + _wide(i, column.box) / 2 for i in inside) + FRAME
    y0, y1 = tops[first] - FRAME, max(bottoms[i] for i in names) + 18
    return Frame(x0, y0, x1 - x0, y1 - y0, block.times)


# ---------------------------------------------------------------- drawing


def _row_height(column: _Column, r: int) -> float:
    named = [column.units[i] for i in column.rows[r] if isinstance(i, str)]
    return TALL_HEIGHT if any(remark(u) for u in named) else HEIGHT


def _tops(column: _Column) -> list[float]:
    """The upper edge of every row; a frame needs more room above and below."""
    row_of = {i: r for r, row in enumerate(column.rows) for i in row}
    framed = [sorted(row_of[u.name] for u in b.units) for b in column.blocks if b.times > 1]
    starts, ends = {rows[0] for rows in framed}, {rows[-1] for rows in framed}
    tops, y = [], MARGIN
    for r in range(len(column.rows)):
        y += FRAME * (r in starts)
        tops.append(y)
        y += _row_height(column, r) + ROW_GAP + FRAME * (r in ends)
    return tops


def _unit(place: Place) -> str:
    unit, left, y, height = place.unit, place.x, place.y, place.height
    beside, x = remark(unit), place.x + place.width / 2
    lines = f'<text x="{x + 2:.1f}" y="{y + height / 2 + (-2.5 if beside else 4.2):.1f}" text-anchor="middle" {BOLD}>'
    lines += f"{escape(unit.title)}</text>"
    if beside:
        lines += f'<text x="{x + 2:.1f}" y="{y + height / 2 + 12.5:.1f}" text-anchor="middle" {QUIET}>'
        lines += f"{escape(beside)}</text>"
    left_of = f'<text x="{x - 5:.1f}" y="{y + height + 12:.1f}" text-anchor="end" {LABEL}>{escape(place.note)}</text>'
    left_of = left_of if place.note else ""
    return (
        f"<g><title>{escape(place.told)}</title>"
        f'<rect x="{left:.1f}" y="{y:.1f}" width="{place.width:.1f}" height="{height:.1f}" rx="6" {PAPER}/>'
        f'<path d="M{left + 3:.1f} {y + 6:.1f}v{height - 12:.1f}" style="stroke:{stripe(unit)};stroke-width:4;'
        f'stroke-linecap:round"/>{lines}'
        f'<text x="{x + 5:.1f}" y="{y + height + 12:.1f}" {LABEL}>{escape(place.below)}</text>{left_of}</g>'
    )


def stripe(unit: Unit) -> str:
    """Give the colour of a unit by what it does."""
    return next((c for word, c in KINDS.items() if word in unit.main.op), OTHER)


PAPER = 'style="fill:var(--card, Canvas);stroke:currentColor;stroke-opacity:0.35"'
BOLD = 'style="font-size:12.5px;font-weight:600"'
QUIET = 'style="font-size:11px;fill-opacity:0.75"'
LABEL = (
    'style="font-size:10.5px;fill-opacity:0.75;paint-order:stroke;stroke:var(--card, Canvas);stroke-width:3px;'
    'stroke-linejoin:round"'
)


def _edge(points: Sequence[tuple[float, float]]) -> str:
    """A line through the points that enters and leaves each vertically, with a tip at its end."""
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for k, ((x0, y0), (x1, y1)) in enumerate(pairwise(points)):
        if abs(x0 - x1) < 0.5:
            path += f"L{x1:.1f} {y1:.1f}"
            continue
        bend = y0 + (TRUNK if k == 0 else 0.0)
        middle = (bend + y1) / 2
        path += f"L{x0:.1f} {bend:.1f}C{x0:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {y1:.1f}"
    return f'<path d="{path}" {STROKE}/>' + _tip(*points[-1])


STROKE = 'style="fill:none;stroke:currentColor;stroke-opacity:0.5;stroke-width:1.3"'


def _tip(x: float, y: float) -> str:
    return f'<path d="M{x:.1f} {y:.1f}l-3.5 -6h7z" style="fill-opacity:0.6"/>'


def _turn(start: tuple[float, float], end: tuple[float, float], between: float) -> str:
    """The edge from the foot of one column to the head of the next, through the gap between them."""
    (x0, y0), (x1, y1) = start, end
    r = 8.0
    path = (
        f"M{x0:.1f} {y0:.1f}V{y0 + 18 - r:.1f}q0 {r} {r} {r}H{between - r:.1f}q{r} 0 {r} {-r}"
        f"V{y1 - 10 + r:.1f}"
        + (f"q0 {-r} {r} {-r}H{x1 - r:.1f}q{r} 0 {r} {r}" if x1 - between > 2 * r else f"L{x1:.1f} {y1 - 4:.1f}")
        + f"V{y1:.1f}"
    )
    return f'<path d="{path}" {STROKE}/>' + _tip(x1, y1)


def _frame(frame: Frame) -> str:
    return (
        f'<rect x="{frame.x:.1f}" y="{frame.y:.1f}" width="{frame.width:.1f}" height="{frame.height:.1f}" rx="10" '
        f'style="fill:currentColor;fill-opacity:0.045;stroke:currentColor;stroke-opacity:0.35;stroke-dasharray:4 3"/>'
        f'<text x="{frame.x + frame.width + 7:.1f}" y="{frame.y + 15:.1f}" style="font-size:14px;font-weight:700">'
        f"× {frame.times}</text>"
    )
