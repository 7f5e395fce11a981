"""The rows of the comparison, and the page that is made of them. Knows nothing of how they were measured."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from timing import Ratio

FIELDS = (
    "work",
    "network",
    "bare calls",
    "xaikit over bare calls",
    "peer over bare calls",
    "peer's time over xaikit's",
    "figure",
    "reached",
    "remark",
)


@dataclass(frozen=True)
class Figure:
    """A figure that is to be reached: what it is of, the bound, what was found; at most the bound, or at least."""

    of: str
    bound: float
    found: float
    unit: str = ""
    at_least: bool = False

    @property
    def reached(self) -> bool:
        return self.found >= self.bound if self.at_least else self.found <= self.bound

    def __str__(self) -> str:
        return f"{self.of} {'≥' if self.at_least else '≤'} {self.bound:g}{self.unit}"

    def outcome(self) -> str:
        return f"{'yes' if self.reached else '**no**'}, {number(self.found)}{self.unit}"


@dataclass(frozen=True)
class Row:
    """One work: seconds of the bare calls, what xaikit and each peer take over them, and the figures.

    `faster` holds how many times as long as xaikit each peer takes. What does not apply is None or empty.
    """

    work: str
    network: str
    bare: float | None = None
    ours: Ratio | None = None
    peers: Mapping[str, Ratio] = field(default_factory=dict)
    faster: Mapping[str, float] = field(default_factory=dict)
    figures: Sequence[Figure] = ()
    remark: str = ""

    def cells(self) -> tuple[str, ...]:
        """Give the text of every one of FIELDS."""
        return (
            self.work,
            self.network,
            "" if self.bare is None else f"{number(self.bare)} s",
            str(self.ours or ""),
            "; ".join(f"{name} {ratio}" for name, ratio in self.peers.items()),
            "; ".join(f"{name} {number(times)}×" for name, times in self.faster.items()),
            "; ".join(map(str, self.figures)),
            "; ".join(figure.outcome() for figure in self.figures),
            self.remark,
        )


def number(a: float) -> str:
    """Write a number with three digits that count."""
    return f"{a:.0f}" if abs(a) >= 100 else f"{a:.3g}"


def as_line(row: Row) -> str:
    """Give a row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") or "–" for cell in row.cells()) + " |"


def page(title: str, rows: Sequence[Row], conditions: Mapping[str, str]) -> str:
    """Give the page: what the columns mean, under which conditions it was measured, what was reached, and the table."""
    figures = [figure for row in rows for figure in row.figures]
    reached = sum(figure.reached for figure in figures)
    head = [
        title,
        *(f"* {name}: {value}" for name, value in conditions.items()),
        "",
        f"{reached} of {len(figures)} figures are reached.",
        "",
        f"| {' | '.join(FIELDS)} |",
        f"|{'---|' * len(FIELDS)}",
    ]
    return "\n".join([*head, *map(as_line, rows)]) + "\n"


def save(path: Path, rows: Mapping[str, Sequence[Row]], conditions: Mapping[str, str]) -> None:
    """Keep the rows of every case as JSON, so that a page can be made of them again."""
    kept = {"conditions": dict(conditions), "cases": {name: [asdict(row) for row in of] for name, of in rows.items()}}
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path) -> tuple[dict[str, list[Row]], dict[str, str]]:
    """Read what `save` has written."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    return {name: [_row(row) for row in rows] for name, rows in kept["cases"].items()}, kept["conditions"]


def _row(kept: Mapping[str, Any]) -> Row:
    ours = None if kept["ours"] is None else Ratio(*kept["ours"])
    peers = {name: Ratio(*ratio) for name, ratio in kept["peers"].items()}
    return Row(**{**kept, "ours": ours, "peers": peers, "figures": tuple(Figure(**f) for f in kept["figures"])})
