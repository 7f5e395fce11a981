"""Training curves from a Keras History, a CSV file, TensorBoard event files, or a card of the zoo."""

import csv
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from xaikit import zoo
from xaikit.data.files import is_number
from xaikit.errors import InputError, nearest
from xaikit.results import Curve, Curves, lowest
from xaikit.training_curves._events import scalars

TRAINING, VALIDATION = "training", "validation"
PARTS = {
    **dict.fromkeys(("train", "training"), TRAINING),
    **dict.fromkeys(("val", "valid", "validation"), VALIDATION),
    **dict.fromkeys(("test", "eval", "evaluation"), "test"),
}
"""What people call the parts of their data, as a whole word of a metric's or run's name."""
MISSING = ("", "na")
SEPARATORS = (",", ";", "\t")
EVENTS = "*tfevents*"
RATES = ("learning_rate", "lr")

Point = tuple[float, float]


def curves(source: Any) -> Curves:
    """The training curves of `source`: one Curve per metric and part (training, validation), over epochs or steps.

    source: a Keras History or its .history mapping (name → one number per epoch, "val_" for validation); the path of a
    file of keras.callbacks.CSVLogger; a TensorBoard event file or a folder with some, whose sub-folders are runs (Keras
    writes "train" and "validation"); the name of a zoo network, or its Card. Epochs count from 1, steps are as logged.
    A training that was taken up again at an earlier step replaces what was logged from there on; CSV rows whose epochs
    start over are numbered through; Keras' "evaluation_..._vs_iterations" is left out beside its epochs. `best` is the
    epoch of the lowest validation loss, for a card the one kept.

    Raises InputError for what is missing, empty or damaged.
    """
    if isinstance(source, zoo.Card):
        return _of_card(source)
    history = getattr(source, "history", source)
    if isinstance(history, Mapping):
        return _of_history(history, getattr(source, "epoch", None))
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"curves are read from a Keras History, a mapping, a path, a zoo name or Card, not {type(source).__name__}"
        )
    path = Path(source)
    if not path.exists():
        if isinstance(source, str) and source in zoo.names():
            return _of_card(zoo.card(source))
        raise InputError(
            f"{path} is neither a file or folder nor a network of the zoo{nearest(str(path), zoo.names())}"
        )
    return _of_path(path)


def _of_path(path: Path) -> Curves:
    if path.is_file():
        return _of_events({"": [path]}, path) if "tfevents" in path.name else _of_csv(path)
    runs: dict[str, list[Path]] = {}
    for file in sorted(p for p in path.rglob(EVENTS) if p.is_file()):
        folder = file.parent.relative_to(path).as_posix()
        runs.setdefault("" if folder == "." else folder, []).append(file)
    if not runs:
        raise InputError(f"the folder {path} holds no TensorBoard event file ({EVENTS})")
    return _of_events(runs, path)


# ---------------------------------------------------------------- Keras in memory, and cards


def _of_history(history: Mapping[str, Any], epochs: Sequence[int] | None) -> Curves:
    found = []
    for name, values in history.items():
        try:
            y = np.asarray(values, np.float64)
        except (TypeError, ValueError):
            raise InputError(f"the history's {name!r} holds no numbers") from None
        if y.ndim != 1:
            raise InputError(f"the history's {name!r} has shape {y.shape}; one number per epoch is expected")
        whole = epochs is not None and len(epochs) == len(y)
        steps = 1 + np.asarray(epochs if whole else range(len(y)))
        found.append(_curve(str(name), "epoch", steps, y))
    return _together(found, "Keras History")


def _of_card(card: zoo.Card) -> Curves:
    if card.trained is None:
        raise InputError(f"{card.name} is not trained, so it has no curve: xaikit zoo train {card.name}")
    columns: dict[str, list[Point]] = {}
    for number, epoch in enumerate(card.trained.curve, start=1):
        for name, value in epoch.items():
            if name != "seconds" and isinstance(value, int | float):
                columns.setdefault(name, []).append((number, float(value)))
    found = []
    for name, points in columns.items():
        metric, part = _metric_and_part(name)
        found.append(_points(metric, part, "epoch", points))
    kept = card.trained.best_epoch
    return _together(found, card.name, best=kept)


# ---------------------------------------------------------------- CSV


def _of_csv(path: Path) -> Curves:
    header, rows = _table(path)
    lowered = [name.strip().lower() for name in header]
    at = lowered.index("epoch") if "epoch" in lowered else None
    found = []
    for column, name in enumerate(header):
        if lowered[column] in ("epoch", "step"):
            continue
        cells = [(number, row[column].strip()) for number, row in enumerate(rows) if column < len(row)]
        kept = [(number, cell) for number, cell in cells if cell.lower() not in MISSING]
        if kept and all(cell.startswith("[") for _, cell in kept):
            continue  # CSVLogger writes arrays as "[...]": no curve
        points = [(_place(path, number, rows[number], at), _number(path, number, name, cell)) for number, cell in kept]
        if any(b[0] <= a[0] for a, b in pairwise(points)):
            points = [(k + 1.0, y) for k, (_, y) in enumerate(points)]
        if points:
            metric, part = _metric_and_part(name.strip())
            found.append(_points(metric, part, "epoch", points))
    return _together(found, str(path.name), nothing=f"{path} holds no numbers under its header {', '.join(header)!r}")


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no readable CSV file: {error}") from None
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise InputError(f"{path} is empty")
    separator = max(SEPARATORS, key=lines[0].count)
    header, *rows = csv.reader(lines, delimiter=separator)
    if "\0" in text or any(is_number(name) for name in header):
        raise InputError(f"{path} is no CSV file with names in its first line, such as epoch,loss,val_loss")
    if not rows:
        raise InputError(f"{path} has a header and no epoch yet")
    return header, rows


def _place(path: Path, number: int, row: Sequence[str], column: int | None) -> float:
    """The epoch of a row, counted from 1: of its own column, which Keras counts from 0, or the row's number."""
    return 1 + (number if column is None else _number(path, number, "epoch", row[column]))


def _number(path: Path, row: int, column: str, cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        raise InputError(f"{path}, line {row + 2}, column {column!r}: {cell!r} is no number") from None


# ---------------------------------------------------------------- TensorBoard


def _of_events(runs: Mapping[str, Sequence[Path]], source: Path) -> Curves:
    points: dict[tuple[str, str, str], list[Point]] = {}
    for run, files in runs.items():
        for file in files:
            for tag, step, value in scalars(file):
                metric, part, axis = _named(run, tag)
                points.setdefault((metric, part, axis), []).append((step + (axis == "epoch"), value))
    if any(axis == "epoch" for _, _, axis in points):
        points = {key: logged for key, logged in points.items() if not key[0].startswith("evaluation_")}
    found = [_points(*key, _taken_up(logged)) for key, logged in points.items()]
    many = sum(map(len, runs.values()))
    return _together(
        found, source.name or str(source), nothing=f"{source} holds {many} event file{'s' * (many > 1)} and no scalars"
    )


def _named(run: str, tag: str) -> tuple[str, str, str]:
    """Metric, part and axis of a tag: Keras writes "epoch_loss" into the runs "train" and "validation"."""
    *before, last = run.split("/")
    part = PARTS.get(last.lower())
    prefix = " ".join(before) if part else run
    axis = "epoch" if tag.startswith("epoch_") else "step"
    metric = tag.removeprefix("epoch_").removesuffix("_vs_iterations")
    if part is None:
        metric, part = _metric_and_part(metric)
    return metric, f"{prefix} {part}".strip() if prefix and prefix != "." else part, axis


def _taken_up(logged: Sequence[Point]) -> list[Point]:
    """Without the points that a training, taken up at an earlier step, went over again."""
    kept: list[Point] = []
    for point in logged:
        while kept and kept[-1][0] >= point[0]:
            kept.pop()
        kept.append(point)
    return kept


# ---------------------------------------------------------------- names and results


def _metric_and_part(name: str) -> tuple[str, str]:
    """ "val_loss", "Loss/val", "validation/loss" → ("loss" or "Loss", "validation"); others are of the training."""
    words = [w for w in re.split(r"[/_ ]", name) if w]
    for place in (0, -1):
        if len(words) > 1 and (part := PARTS.get(words[place].lower())):
            rest = words[1:] if place == 0 else words[:-1]
            return "_".join(rest), part
    return name, TRAINING


def _curve(name: str, axis: str, steps: Any, values: Any) -> Curve:
    return Curve(*_metric_and_part(name), axis, np.asarray(steps, np.float64), np.asarray(values, np.float64))


def _points(metric: str, part: str, axis: str, points: Iterable[Point]) -> Curve:
    steps, values = np.array(list(points), np.float64).reshape(-1, 2).T
    return Curve(metric, part, axis, steps.copy(), values.copy())


def _together(found: Sequence[Curve], source: str, *, best: float | None = None, nothing: str = "") -> Curves:
    found = [c for c in found if len(c.steps)]
    if not found:
        raise InputError(nothing or f"{source} holds no epoch")
    order = {TRAINING: 0, VALIDATION: 1}
    metrics = list(dict.fromkeys((c.metric, c.axis) for c in found))
    metrics.sort(key=lambda m: (m[0].lower() != "loss", "loss" not in m[0].lower(), m[0] in RATES))
    found = sorted(found, key=lambda c: (metrics.index((c.metric, c.axis)), order.get(c.part, 2), c.part))
    return Curves(tuple(found), source, best if best is not None else lowest(found))
