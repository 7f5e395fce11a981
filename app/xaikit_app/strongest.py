"""What a map says in words: its strongest parts, where they are, and how much of the whole they are."""

from collections.abc import Sequence

import numpy as np

from xaikit.arrays import Array
from xaikit.figures import BarPanel, LinePanel, MapPanel, Panel, SurfacePanel, TextPanel, label_of, number, percent
from xaikit.results import Attribution

NAMED = 3
"""As many parts as a summary names for each side."""
REGIONS = (("upper left", "upper middle", "upper right"), ("left", "centre", "right"))
GRID = 3


def summary(result: Attribution, panel: Panel, signless: bool = False) -> str:
    """Name the strongest parts of an explanation of one sample, for and against, with their values."""
    parts = _parts(result, panel)
    if parts is None:
        return panel.alt
    names, values = parts
    values = np.nan_to_num(np.asarray(values, np.float64))
    total = float(np.abs(values).sum())
    if not total:
        return "Every value is zero: no part of the input counts for this answer."
    if signless:
        return f"Most weight: {_listed(names, values, np.argsort(-np.abs(values), kind='stable')[:NAMED].tolist())}."
    said = []
    for words, side in zip(_sides(result), (values, -values), strict=True):
        order = [int(k) for k in np.argsort(-side, kind="stable")[:NAMED] if side[k] > 0]
        said += [f"{words}: {_listed(names, values, order)}."] if order else [f"{words}: nothing."]
    share = percent(float(values.clip(0).sum()) / total)
    return f"{' '.join(said)} {share} of all contributions are positive."


def _sides(result: Attribution) -> tuple[str, str]:
    """Say what positive and negative values do to what is explained."""
    label = label_of(result, 0)
    if type(result.output_spec).__name__ in ("Classes", "Masks"):
        return f"Speaks for {label}", f"Speaks against {label}"
    return f"Raises {label}", f"Lowers {label}"


def _listed(names: Sequence[str], values: Array, order: Sequence[int]) -> str:
    return ", ".join(f"{names[k]} ({number(float(values[k]))})" for k in order)


def _parts(result: Attribution, panel: Panel) -> tuple[Sequence[str], Array] | None:
    if isinstance(panel, BarPanel):
        return panel.labels, panel.values
    if isinstance(panel, TextPanel):
        words = [(text.strip(), value) for text, value in panel.pieces if value is not None and text.strip()]
        return [f"“{word}”" for word, _ in words], np.array([value for _, value in words])
    if isinstance(panel, LinePanel):
        return _stretches(panel)
    if isinstance(panel, SurfacePanel):
        return [f"{panel.row_label} {row}".strip() for row in panel.rows], np.nansum(panel.values, 1)
    if isinstance(panel, MapPanel):
        return _regions(panel.values) if result.parts is None else _segments(result, panel)
    return None


def _regions(values: Array) -> tuple[Sequence[str], Array]:
    """Add a map up over a grid of three by three."""
    held = np.zeros((GRID, GRID))
    rows, columns = ((np.arange(n) * GRID) // n for n in values.shape)
    np.add.at(held, (rows[:, None], columns[None]), np.nan_to_num(values))
    lower = tuple(name.replace("upper", "lower") for name in REGIONS[0])
    names = [f"the {name}" for row in (*REGIONS, lower) for name in row]
    return names, held.ravel()


def _segments(result: Attribution, panel: MapPanel) -> tuple[Sequence[str], Array]:
    """Name the parts that were hidden and shown by the rows and columns that they reach over."""
    if result.parts is None or result.part_values is None or np.ndim(result.parts[0]) != 2:
        return _regions(panel.values)
    labels = np.asarray(result.parts[0])
    values = np.asarray(result.part_values[0], np.float64)[: labels.max() + 1]
    names = []
    for part in range(len(values)):
        rows, columns = np.nonzero(labels == part)
        names.append(
            f"rows {rows.min()} to {rows.max()}, columns {columns.min()} to {columns.max()}" if rows.size else "nothing"
        )
    return names, values


def _stretches(panel: LinePanel) -> tuple[Sequence[str], Array]:
    """Add a series up over stretches of a twelfth of its time, for each channel."""
    names, values = [], []
    for line in panel.lines:
        x, own = np.asarray(line.x, np.float64), np.nan_to_num(np.asarray(line.contributions, np.float64))
        for piece in np.array_split(np.arange(len(x)), min(12, len(x))):
            where = f"{number(float(x[piece[0]]))} to {number(float(x[piece[-1]]))}"
            channel = f"{line.name}, " if len(panel.lines) > 1 else ""
            names.append(f"{channel}{panel.x_label} {where}")
            values.append(float(own[piece].sum()))
    return names, np.array(values)


__all__ = ["summary"]
