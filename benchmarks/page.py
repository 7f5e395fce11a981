"""The rows of the comparison, and the page that is made of them. Knows nothing of how they were measured."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from timing import Ratio

LESS = 0.95
"""What takes less than this share of xaikit's time or memory, or has less than this share of its error, is better."""
ROUNDING = 1e-5
"""An error of this share of the largest value is float32's: neither side of it is better."""
PAGE_MIB = 1.0
"""Differences of memory below this are the system's pages."""
XAIKIT = "xaikit"
ABSENT = "not compared"
"""The condition that says which peers were not there; it is known in full only when a run has tried them all."""

FIELDS = (
    "work",
    "network",
    "bare calls",
    "xaikit over bare calls",
    "peer over bare calls",
    "peer's time over xaikit's",
    "peak memory",
    "accuracy",
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

    `faster` holds how many times as long as xaikit each peer takes. By side, xaikit's named so: `memory` the MiB that
    the process grew at the peak, `errors` the largest distance from the exact answer over the largest exact value,
    `agreement` the correlation of a map with xaikit's. What does not apply is None or empty.
    """

    work: str
    network: str
    bare: float | None = None
    ours: Ratio | None = None
    peers: Mapping[str, Ratio] = field(default_factory=dict)
    faster: Mapping[str, float] = field(default_factory=dict)
    figures: Sequence[Figure] = ()
    remark: str = ""
    memory: Mapping[str, float] = field(default_factory=dict)
    errors: Mapping[str, float] = field(default_factory=dict)
    agreement: Mapping[str, float] = field(default_factory=dict)

    def cells(self) -> tuple[str, ...]:
        """Give the text of every one of FIELDS."""
        return (
            self.work,
            self.network,
            "" if self.bare is None else f"{number(self.bare)} s",
            str(self.ours or ""),
            "; ".join(f"{name} {ratio}" for name, ratio in self.peers.items()),
            "; ".join(f"{name} {number(times)}×" for name, times in self.faster.items()),
            "; ".join(f"{name} {number(mib)} MiB" for name, mib in self.memory.items()),
            "; ".join([*(f"{n} off by {e:.0e}" for n, e in self.errors.items()), *self._agreed()]),
            "; ".join(map(str, self.figures)),
            "; ".join(figure.outcome() for figure in self.figures),
            self.remark,
        )

    def _agreed(self) -> list[str]:
        return [f"{name} agrees to {r:.4f}" for name, r in self.agreement.items()]

    def losses(self) -> list[str]:
        """Say in which respect which peer is better, and which figure is missed."""
        found = [f"{name} takes {number(t)}× xaikit's time" for name, t in self.faster.items() if t < LESS]
        for name, mib in self.memory.items():
            own = self.memory.get(XAIKIT, mib)
            if mib < LESS * own and own - mib > PAGE_MIB:
                found.append(f"{name} takes {number(mib)} MiB, xaikit {number(own)}")
        for name, error in self.errors.items():
            own = self.errors.get(XAIKIT, error)
            if error < LESS * own and own > ROUNDING:
                found.append(f"{name} is off by {error:.0e}, xaikit by {own:.0e}")
        return found + [f"{f} is missed with {number(f.found)}{f.unit}" for f in self.figures if not f.reached]


class Measured(NamedTuple):
    """What one run has measured: rows by case, and the conditions."""

    cases: Mapping[str, Sequence[Row]]
    conditions: Mapping[str, str]

    @property
    def rows(self) -> list[Row]:
        return [row for of in self.cases.values() for row in of]


def number(a: float) -> str:
    """Write a number with three digits that count."""
    return f"{a:.0f}" if abs(a) >= 100 else f"{a:.3g}"


def as_line(row: Row) -> str:
    """Give a row of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") or "–" for cell in row.cells()) + " |"


def page(title: str, runs: Sequence[Measured]) -> str:
    """Give the page: what the columns mean, where xaikit loses, and for every run its conditions and its table."""
    rows = [row for run in runs for row in run.rows]
    figures = [figure for row in rows for figure in row.figures]
    reached = sum(figure.reached for figure in figures)
    lines = [title, f"{_won(rows)} {reached} of {len(figures)} figures are reached.", "", *_lost(rows)]
    for run in runs:
        lines += ["", f"## Measured on {run.conditions.get('date', 'a day that was not noted')}", ""]
        lines += [f"* {name}: {value}" for name, value in run.conditions.items()]
        lines += ["", f"| {' | '.join(FIELDS)} |", f"|{'---|' * len(FIELDS)}", *map(as_line, run.rows)]
    return "\n".join(lines) + "\n"


def _won(rows: Sequence[Row]) -> str:
    """Count the comparisons of time: with every peer in every row, each way of calling it by itself."""
    times = [t for row in rows for t in row.faster.values()]
    ahead, behind = sum(t > 1 / LESS for t in times), sum(t < LESS for t in times)
    return (
        f"Of {len(times)} comparisons of time xaikit is faster in {ahead}, the peer in {behind}; the others are even "
        f"to within {1 - LESS:.0%}."
    )


def _lost(rows: Sequence[Row]) -> list[str]:
    """List where a peer is better, or a figure is missed: made of the numbers, so that nothing is left out."""
    lost = [f"* {row.work} ({row.network}): {'; '.join(said)}." for row in rows if (said := row.losses())]
    says = f"In {len(lost)} of {len(rows)} rows a peer takes less than {LESS:g} of xaikit's time or memory, is nearer"
    return ["## Where we lose", "", f"{says} to the exact answer, or a figure is missed:", "", *lost]


def save(path: Path, runs: Sequence[Measured]) -> None:
    """Keep runs as JSON, so that a page can be made of them again."""
    kept = [
        {"conditions": dict(r.conditions), "cases": {n: [asdict(row) for row in of] for n, of in r.cases.items()}}
        for r in runs
    ]
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load(path: Path) -> list[Measured]:
    """Read what `save` has written."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    return [Measured({n: [_row(row) for row in rows] for n, rows in r["cases"].items()}, r["conditions"]) for r in kept]


def added(runs: Sequence[Measured], new: Measured, order: Sequence[str]) -> list[Measured]:
    """Put what was measured in front of older runs, whose rows of the same cases go; `order` is that of the cases.

    It joins the last run where the conditions are the same: numbers of two kinds make no table.
    """
    older = [Measured({n: of for n, of in r.cases.items() if n not in new.cases}, r.conditions) for r in runs]
    same = next((r for r in older if _but_absent(r.conditions) == _but_absent(new.conditions)), None)
    cases = {**(same.cases if same else {}), **new.cases}
    first = Measured({name: cases[name] for name in order if name in cases}, new.conditions)
    known = [Measured({n: of for n, of in r.cases.items() if n in order}, r.conditions) for r in older if r is not same]
    return [first, *(r for r in known if r.cases)]


def _but_absent(conditions: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in conditions.items() if name != ABSENT}


def _row(kept: Mapping[str, Any]) -> Row:
    ours = None if kept["ours"] is None else Ratio(*kept["ours"])
    peers = {name: Ratio(*ratio) for name, ratio in kept["peers"].items()}
    return Row(**{**kept, "ours": ours, "peers": peers, "figures": tuple(Figure(**f) for f in kept["figures"])})
