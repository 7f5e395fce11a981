"""What one explanation says in words and numbers: its strongest parts."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xaikit.arrays import Array
from xaikit.figures import label_of, number
from xaikit.inputs import Classes, Image, Series, Table, Text
from xaikit.results import Attribution, by_column

STRONGEST = 10
CELLS = 8
"""Pixels are told in so many regions down and across, steps of a series in three times as many stretches."""
SAID = 2
"""How many parts for and against a sentence names."""


@dataclass(frozen=True)
class Part:
    """One part of an input: what it is called, where it is, its value, and its share of the sum of |values|."""

    name: str
    place: str
    value: float
    share: float

    @property
    def full(self) -> str:
        """Name and place."""
        return f"{self.name}, {self.place}" if self.place else self.name


@dataclass(frozen=True)
class Strongest:
    """The strongest parts, strongest first, out of `of`; `kind` says what a part is."""

    kind: str
    parts: tuple[Part, ...]
    of: int


def strongest(e: Attribution, count: int = STRONGEST) -> Strongest:
    """Give the strongest parts of an explanation of one sample.

    Parts are those of the method (superpixels, segments), columns, tokens, or single values; where there are too many
    of these, as for pixels and long series, regions and stretches, whose values are sums.
    """
    kind, values, name = _told(e)
    values = np.asarray(values, np.float64).ravel()
    sizes = np.nan_to_num(np.abs(values), posinf=np.finfo(np.float64).max)
    total = float(sizes.sum()) or 1.0
    best = [int(k) for k in np.argsort(-sizes, kind="stable")[:count] if sizes[k] > 0]
    parts = tuple(Part(*name(k), float(values[k]), float(sizes[k] / total)) for k in best)
    return Strongest(kind, parts, int(np.isfinite(values).sum()))


def sentence(e: Attribution, found: Strongest) -> str:
    """Say in one sentence what speaks most for the target and what against it."""
    label = label_of(e, 0)
    if not found.parts:
        return f"Nothing moves the score of {label}: every value is zero."
    for_it, against = (
        [f"{p.full} ({_signed(p.value)})" for p in found.parts if p.value * sign > 0][:SAID] for sign in (1, -1)
    )
    classes = isinstance(e.output_spec, Classes)
    favour, oppose = (f"speaks for {label}", "speaks against it") if classes else (f"raises {label}", "lowers it")
    said = [f"what {favour} most is {' and '.join(for_it)}"] if for_it else []
    said += (
        [f"what {oppose if for_it else oppose.replace('it', label)} most is {' and '.join(against)}"] if against else []
    )
    told = "; ".join(said)
    return f"{told[:1].upper()}{told[1:]}."


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value)


# ---------------------------------------------------------------- names of parts


Told = tuple[str, Array, Callable[[int], tuple[str, str]]]
"""What a part is, the values of all, and the name and place of each."""


def _told(e: Attribution) -> Told:
    spec, values, axes = e.input_spec, np.asarray(e.values[0], np.float64), e.axes[1:]
    if isinstance(spec, Table):
        row = e.display[0]
        return "column", by_column(e, 0), lambda k: (f"{spec.names[k]} = {_plain(row[spec.names[k]])}", "")
    if isinstance(spec, Text) and axes == ("token",):
        return _words(e, spec)
    if isinstance(spec, Image) or {"height", "width"} <= set(axes):
        return _regions(e, values, axes)
    if isinstance(spec, Series) or axes[:1] == ("time",):
        return _stretches(e, values, axes)
    shape = values.shape
    return "value", values, lambda k: (f"[{', '.join(str(int(n)) for n in np.unravel_index(k, shape))}]", "")


def _words(e: Attribution, spec: Text) -> Told:
    shown, values = e.display[0], np.asarray(e.values[0], np.float64)
    if not isinstance(shown, str):
        words = [str(w) for w in spec.decode(np.asarray(shown)[None])[0]]
        return "word", values, lambda k: (f"“{words[k]}”", f"word {k + 1}")
    there = [(k, shown[t[1] : t[2]]) for k, t in enumerate(spec.placed(shown)) if t is not None]
    return "word", values[[k for k, _ in there]], lambda k: (f"“{there[k][1]}”", f"word {k + 1}")


def _regions(e: Attribution, values: Array, axes: tuple[str, ...]) -> Told:
    if e.parts is not None and e.part_values is not None:
        parts = np.asarray(e.parts[0]).reshape(e.parts.shape[1], e.parts.shape[2], -1)[..., 0]
        return "part", np.asarray(e.part_values[0], np.float64), lambda k: _part_name(parts == k, k)
    others = tuple(a for a, name in enumerate(axes) if name not in ("height", "width"))
    plane = values.sum(others) if others else values
    rows, columns = (_cuts(n, CELLS) for n in plane.shape)
    sums = np.add.reduceat(np.add.reduceat(plane, rows[:-1], 0), columns[:-1], 1)

    def name(k: int) -> tuple[str, str]:
        i, j = divmod(k, sums.shape[1])
        where = _where((rows[i] + rows[i + 1]) / 2 / rows[-1], (columns[j] + columns[j + 1]) / 2 / columns[-1])
        return where, f"rows {_span(rows[i], rows[i + 1])}, cols {_span(columns[j], columns[j + 1])}"

    return "region", sums, name


def _part_name(inside: Array, k: int) -> tuple[str, str]:
    if not inside.any():
        return f"part {k}", ""
    down, across = (float((at + 0.5).mean() / n) for at, n in zip(np.nonzero(inside), inside.shape, strict=True))
    return f"part {k}", f"{_where(down, across)}, {100 * inside.mean():.2g} %"


def _where(down: float, across: float) -> str:
    """Name a place of a picture, given in 0..1 from the top and from the left."""
    vertical, horizontal = (min(int(3 * at), 2) for at in (down, across))
    if (vertical, horizontal) == (1, 1):
        return "centre"
    return f"{('upper', 'middle', 'lower')[vertical]} {('left', 'centre', 'right')[horizontal]}"


def _stretches(e: Attribution, values: Array, axes: tuple[str, ...]) -> Told:
    if e.parts is not None and e.part_values is not None:
        parts = np.asarray(e.parts[0]).reshape(len(e.parts[0]), -1)

        def segment(k: int) -> tuple[str, str]:
            steps, channels = np.nonzero(parts == k)
            if not len(steps):
                return f"part {k}", ""
            whole = parts.shape[1] == 1 or len(np.unique(channels)) == parts.shape[1]
            on = "" if whole else f"channel {', '.join(str(c) for c in np.unique(channels))}"
            return f"steps {_span(int(steps.min()), int(steps.max()) + 1)}", on

        return "stretch", np.asarray(e.part_values[0], np.float64), segment
    lines = values.reshape(len(values), -1)
    cuts = _cuts(len(lines), 3 * CELLS)
    sums = np.add.reduceat(lines, cuts[:-1], 0)

    def name(k: int) -> tuple[str, str]:
        i, c = divmod(k, sums.shape[1])
        return f"steps {_span(cuts[i], cuts[i + 1])}", f"channel {c}" if sums.shape[1] > 1 else ""

    return "stretch", sums, name


def _cuts(length: int, pieces: int) -> list[int]:
    """Cut a length into about equal pieces: where each begins, and the end."""
    pieces = min(pieces, length)
    return [round(k * length / pieces) for k in range(pieces + 1)]


def _span(start: int, end: int) -> str:
    return f"{start}" if end - start == 1 else f"{start}–{end - 1}"


def _plain(value: object) -> str:
    return number(float(value)) if isinstance(value, int | float | np.number) else str(value)
