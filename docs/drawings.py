"""Draw docs/drawings/: the layers by the import contracts, and the way to a method: python docs/drawings.py.

The colours are variables of the site's light and dark palettes, with those of the light one where there is no site.
"""

import ast
import tomllib
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = Path(__file__).parent / "drawings"
INK, ROW, EDGE, MARK = "var(--ink, #1c2b30)", "var(--row, #e8f1f3)", "var(--edge, #5b8791)", "var(--mark, #ffe2a8)"
GROUND = "var(--md-default-bg-color, #fff)"
SIZE = 14
"""Of letters, in pixels; they are taken to be 0.6 of it wide, as those of a typewriter are."""


def contracts() -> Mapping[str, Mapping[str, object]]:
    """Give the import contracts by their ids."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {c["id"]: c for c in project["tool"]["importlinter"]["contracts"]}


def rows_of(layers: Sequence[str]) -> list[list[list[str]]]:
    """Give the rows from the top: groups that may not know each other, of modules that may."""
    return [[[n.strip(" ()") for n in group.split(":")] for group in row.split("|")] for row in layers]


def sentence(module: str) -> str:
    """Give the first line of a module's docstring; nothing of one that is not there."""
    path = ROOT / "xaikit" / module
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not path.is_file():
        return ""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


def svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """Give a drawing as it stands in a page: no line is empty, so that Markdown leaves it alone."""
    head = (
        f'<svg class="drawn" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'role="img" aria-label="{escape(title)}" font-family="var(--md-text-font, sans-serif)" font-size="{SIZE}">'
    )
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def box(x: float, y: float, width: float, height: float, fill: str, edge: str = EDGE) -> str:
    """Draw a rectangle."""
    place = f'x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
    return f'<rect {place} rx="5" fill="{fill}" stroke="{edge}"/>'


def words(x: float, y: float, text: str, *, anchor: str = "middle", more: str = "") -> str:
    """Write a line; y is its middle."""
    return f'<text x="{x:g}" y="{y + 0.35 * SIZE:g}" text-anchor="{anchor}" fill="{INK}"{more}>{escape(text)}</text>'


def line(x: float, y: float, to_x: float, to_y: float, more: str = "") -> str:
    """Draw a straight line."""
    return f'<line x1="{x:g}" y1="{y:g}" x2="{to_x:g}" y2="{to_y:g}" stroke="{EDGE}" stroke-width="1.5"{more}/>'


CORE, STEP, TALL, LEFT, PAD = 720, 46, 30, 12, 16
"""Pixels: width of the core, from row to row, a box's height, the margin, and the room beside a box's name."""


def layers() -> str:
    """Draw the rows of the core, the app above them, and the adapters beside them."""
    known = contracts()
    rows = rows_of(_texts(known["layers"]["layers"]))
    hidden = {n.removeprefix("xaikit.") for n in _texts(known["adapters"]["forbidden_modules"])}
    top, side = 64, LEFT + CORE + 26
    bottom = top + STEP * len(rows)
    parts = [
        box(LEFT, 10, CORE, TALL, ROW),
        words(LEFT + CORE / 2, 10 + TALL / 2, "xaikit_app: the app, which reaches frameworks only through xaikit"),
    ]
    for i, row in enumerate(rows):
        y = top + i * STEP
        parts += [f'<rect x="{LEFT}" y="{y - 4}" width="{CORE}" height="{TALL + 8}" rx="6" fill="{ROW}"/>']
        parts += [words(LEFT + 16, y + TALL / 2, str(len(rows) - 1 - i), more=' opacity="0.7"')]
        parts += _row(row, y, hidden)
    below = rows.index(next(row for row in rows if any("zoo" in group for group in row)))
    y = top + below * STEP
    for n, name in enumerate(_texts(known["siblings"]["modules"])):
        x = side + n * 62
        parts += [box(x, y - 4, 48, bottom - y - 4, GROUND)]
        middle = (y + bottom - 8) / 2
        parts += [words(x + 24, middle, name, more=f' transform="rotate(90 {x + 24:g} {middle:g})"')]
    width = side + 62 * len(_texts(known["siblings"]["modules"])) - 2
    parts += [
        box(LEFT, bottom + 8, 22, 16, MARK),
        words(LEFT + 30, bottom + 16, "what an adapter may import of the core", anchor="start"),
        line(LEFT + 330, bottom + 16, LEFT + 352, bottom + 16),
        words(LEFT + 360, bottom + 16, "may know each other; others of one row may not", anchor="start"),
    ]
    return svg(width, bottom + 36, "The layers of xaikit: a module imports only from rows below its own", parts)


def _texts(given: object) -> list[str]:
    return [str(text) for text in given] if isinstance(given, list) else []


def _row(row: Sequence[Sequence[str]], y: float, hidden: set[str]) -> list[str]:
    """Draw the modules of a row, in its middle; those that may know each other are joined."""
    wide = {name: 0.6 * SIZE * len(name) + PAD for group in row for name in group}
    total = sum(wide.values()) + 14 * (len(wide) - 1)
    x, parts = LEFT + (CORE - total) / 2, []
    for group in row:
        for n, name in enumerate(group):
            if n:
                parts.append(line(x - 14, y + TALL / 2, x, y + TALL / 2))
            fill = GROUND if name in hidden else MARK
            inside = [box(x, y, wide[name], TALL, fill), words(x + wide[name] / 2, y + TALL / 2, name)]
            parts += [f"<g><title>{escape(sentence(name))}</title>", *inside, "</g>"]
            x += wide[name] + 14
    return parts


WAYS: Sequence[tuple[str, str, Mapping[str, str]]] = (
    (
        "Where,\nat a glance?",
        "A network with\nconvolutions?",
        {"yes": "grad-cam\nlayer-cam", "no": "occlusion\nlime"},
    ),
    (
        "How much, so that\nit adds up?",
        "At most 12 parts,\nor columns?",
        {
            "yes": "exact-shapley",
            "no, gradients": "integrated-gradients\ndeep-lift",
            "no, answers alone": "kernel-shap",
        },
    ),
    (
        "What happens\nwithout a part?",
        "Can parts stand in\nfor one another?",
        {"yes": "partition-shap\nkernel-shap", "no": "occlusion"},
    ),
    (
        "Which\nfine detail?",
        "Does it give\ngradients?",
        {"yes": "integrated-gradients\nsmooth-grad", "no": "rise\nlime"},
    ),
)
"""What one wants to know, what to ask next, and the methods for each answer."""
COLUMN, GAP = 180, 14
"""Pixels: the width of a way, and the room between two."""


def choosing() -> str:
    """Draw the ways from what one wants to know to methods."""
    width = LEFT * 2 + COLUMN * len(WAYS) + GAP * (len(WAYS) - 1)
    middle = width / 2
    parts = [
        box(middle - 130, 8, 260, 32, ROW),
        words(middle, 24, "What do you want to know?", more=' font-weight="bold"'),
    ]
    lowest = 0.0
    for n, way in enumerate(WAYS):
        x = LEFT + n * (COLUMN + GAP)
        parts += [line(middle, 40, x + COLUMN / 2, 66)]
        drawn, y = _way(x, *way)
        parts, lowest = [*parts, *drawn], max(lowest, y)
    return svg(width, lowest + 8, "The way from what you want to know to a method", parts)


def _way(x: float, wanted: str, asked: str, answers: Mapping[str, str]) -> tuple[list[str], float]:
    """Draw one way at x; give its parts and where it ends."""
    middle = x + COLUMN / 2
    parts = [*_lines(x, 66, wanted, ROW, ' font-weight="bold"'), line(middle, 114, middle, 128)]
    parts += _lines(x, 128, asked, GROUND)
    y = 176.0
    for answer, names in answers.items():
        parts += [line(x + 20, y, x + 20, y + 24)]
        parts += [words(x + 30, y + 12, answer, anchor="start", more=' opacity="0.8"')]
        parts += _lines(x, y + 24, names, MARK)
        y += 24 + 12 + 18 * len(names.split("\n"))
    return parts, y


def _lines(x: float, y: float, text: str, fill: str, more: str = "") -> list[str]:
    """Draw a box with lines of text."""
    lines = text.split("\n")
    inside = [words(x + COLUMN / 2, y + 15 + 18 * i, said, more=more) for i, said in enumerate(lines)]
    return [box(x, y, COLUMN, 12 + 18 * len(lines), fill), *inside]


DRAWINGS: Mapping[str, Callable[[], str]] = {"layers.svg": layers, "choosing.svg": choosing}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, drawing in DRAWINGS.items():
        (FOLDER / name).write_text(drawing(), encoding="utf-8")
