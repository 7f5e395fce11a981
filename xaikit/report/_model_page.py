"""One page about one network of the zoo: what it is, how well it does, how it was trained, what it answers."""

import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.figures import (
    Figure,
    ImagePanel,
    Measures,
    Panel,
    about_lines,
    class_picture,
    file_lines,
    measures,
    number,
    panels,
    percent,
    picture,
    probability,
    recipe_lines,
    training_lines,
)
from xaikit.figures._cards import error_curve
from xaikit.inputs import Classes, Image, Masks, Reconstruction, Table, Text
from xaikit.render import draw, picture_png
from xaikit.render.diagram import diagram
from xaikit.report._page import rendered
from xaikit.storage import write_atomically
from xaikit.training_curves import curves
from xaikit.zoo import Card
from xaikit.zoo.building import Architecture
from xaikit.zoo.folding import Block, Unit, fold
from xaikit.zoo.samples import Answered

THUMBNAIL = 200
CHARACTERS = 420
"""How many characters of a text are shown."""
CHANNELS, SERIES = 3, 250
"""How many channels of a series are drawn, and how long it may be without axes of time."""


def write_model_page(
    path: str | os.PathLike[str],
    card: Card,
    architecture: Architecture,
    answered: Answered | None = None,
    unanswered: str = "",
) -> Path:
    """Write one self-contained HTML page about a network of the zoo, and give its absolute path.

    `answered` are test samples with the network's answers; without them `unanswered` says why. The page needs no
    network and no script, follows the reader's choice of light or dark, and prints. Nothing is left behind on an error.
    """
    blocks = fold(architecture)
    stored = card.to_dict()
    trained = stored["trained"]
    samples = _samples(card, answered) if answered else []
    words = {
        "card": card,
        "about": about_lines(stored),
        "training": training_lines(trained) if trained else {},
        "files": file_lines(trained) if trained else {},
        "recipe": recipe_lines(stored["recipe"]) if stored["recipe"] else (),
        "results": [_result(m) for m in (measures(trained["metrics"]) if trained else ())],
        "curves": _svg(*panels(curves(card)).panels) if trained and trained["curve"] else (),
        "graph": diagram(blocks, architecture.outputs, f"The layers of {card.name}"),
        "layers": [_rows(block) for block in blocks],
        "folded": any(block.times > 1 for block in blocks),
        "totals": (f"{architecture.total:,}", f"{architecture.trainable:,}"),
        "samples": samples,
        "least": max((s.width for s in samples), default=0),
        "asked": answered,
        "unanswered": unanswered,
    }
    target = Path(path).absolute()
    write_atomically(target, rendered("model.html", words))
    return target


def _svg(*drawn: Panel) -> tuple[str, ...]:
    return tuple(draw(Figure("", ((panel,),)), "svg", theme="page") for panel in drawn)


# ---------------------------------------------------------------- results


@dataclass(frozen=True)
class Cell:
    """A cell of a confusion matrix: how many, which share of the row, both as text, and the strength of its colour.

    The colour grows with the root of the share, so that rare mistakes are seen beside the diagonal.
    """

    count: str
    share: str
    strength: int
    right: bool

    @classmethod
    def of(cls, count: int, total: int, right: bool) -> "Cell":
        """Make the cell of a row with so many samples."""
        share = count / max(total, 1)
        return cls(f"{count:,}", percent(share) if count else "0 %", round(55 * share**0.5), right)


@dataclass(frozen=True)
class Result:
    """What is shown of one output's test results.

    `heat` holds, row by row, the cells of the confusion matrix.
    """

    measures: Measures
    heat: tuple[tuple[str, tuple[Cell, ...]], ...]
    quantiles: str


def _result(found: Measures) -> Result:
    rows = tuple(
        (name, tuple(Cell.of(n, sum(row), i == k) for k, n in enumerate(row)))
        for i, (name, row) in enumerate(zip(found.classes, found.confusion, strict=False))
    )
    errors = error_curve(found)
    return Result(found, rows, _svg(errors)[0] if errors else "")


# ---------------------------------------------------------------- layers


@dataclass(frozen=True)
class Row:
    """One unit in the table of layers."""

    name: str
    also: str
    kind: str
    shape: str
    each: str
    parameters: str
    trainable: str


def _rows(block: Block) -> tuple[int, tuple[Row, ...]]:
    return block.times, tuple(_row(unit, k, block) for k, unit in enumerate(block.units))


def _row(unit: Unit, place: int, block: Block) -> Row:
    others = [copy[place].name for copy in block.copies[1:]]
    return Row(
        name=unit.name,
        also=", ".join(others),
        kind=" · ".join(unit.steps),
        shape=" × ".join(f"{n:,}" for n in unit.shape) or "1",
        each=f"{unit.parameters:,}" if unit.parameters else "–",
        parameters=f"{block.times * unit.parameters:,}" if unit.parameters else "–",
        trainable=f"{block.times * unit.trainable:,}" if unit.parameters else "–",
    )


# ---------------------------------------------------------------- samples


Pictures = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Sample:
    """One test sample: pictures as (source, what they show), text, a drawing, (name, value) lines, the verdict."""

    number: int
    pictures: Pictures = ()
    text: str = ""
    drawing: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    right: bool | None = None

    @property
    def width(self) -> int:
        """How many pixels it needs across."""
        if self.text or len(self.pictures) > 2:
            return 300
        return 240 if self.drawing or len(self.pictures) > 1 or "time" in self.pictures[0][1] else 150

    def with_more(
        self, lines: Sequence[tuple[str, str]], pictures: Pictures = (), drawing: str = "", right: bool | None = None
    ) -> "Sample":
        """Give the sample with what is said of one more output; it is right when all are."""
        known = [r for r in (self.right, right) if r is not None]
        return replace(
            self,
            pictures=self.pictures + pictures,
            drawing=drawing or self.drawing,
            lines=(*self.lines, *lines),
            right=all(known) if known else None,
        )


def _samples(card: Card, answered: Answered) -> list[Sample]:
    return [_sample(card, answered, i) for i in range(len(answered.x))]


def _sample(card: Card, answered: Answered, i: int) -> Sample:
    sample = _shown(answered.index[i], card.inputs, answered.x[i])
    outputs = card.outputs if isinstance(card.outputs, Mapping) else {"": card.outputs}
    for name, spec in outputs.items():
        truth = (answered.truth[name] if name else answered.truth)[i]
        output = np.asarray(answered.output[name] if name else answered.output)[i]
        if isinstance(spec, Reconstruction):
            sample = _restored(
                sample, card.inputs, output, np.asarray(answered.encoded[i]), np.asarray(answered.given[i])
            )
        elif isinstance(spec, Masks):
            sample = _masked(sample, truth, output.argmax(-1))
        else:
            said, known, right = _said(spec, truth, output)
            sample = sample.with_more([(f"{name} says".strip(), said), (f"{name} is".strip(), known)], right=right)
    return sample


def _shown(number: int, spec: Any, x: Any) -> Sample:
    """Show what was given as a picture, a text or a drawing."""
    if isinstance(spec, Image):
        return Sample(number, ((_inline(picture(np.asarray(x), spec.scale)), "the input"),))
    if isinstance(spec, Text):
        words = x if isinstance(x, str) else " ".join(map(str, x))
        return Sample(number, text=words if len(words) <= CHARACTERS else words[:CHARACTERS].rstrip() + " …")
    if isinstance(spec, Table):
        row = x if isinstance(x, Mapping) else dict(zip(spec.names, np.asarray(x, object), strict=True))
        return Sample(number, text="; ".join(f"{name} {row[name]}" for name in spec.names))
    values = np.asarray(x, np.float64)
    if values.ndim == 1 and values.size > SERIES:
        return Sample(number, text=f"{values.size:,} numbers, {np.count_nonzero(values):,} of them not zero")
    if values.ndim <= 2 and (values.ndim == 1 or values.shape[1] <= CHANNELS):
        return Sample(number, drawing=sparkline(values.reshape(len(values), -1)))
    plane = values.reshape(values.shape[0], values.shape[1], -1).mean(-1).T
    spread = float(plane.max() - plane.min()) or 1.0
    return Sample(number, ((_inline(picture((plane - plane.min()) / spread, 1.0)), "the input, time to the right"),))


def _restored(sample: Sample, spec: Any, output: Array, encoded: Array, given: Array) -> Sample:
    """Add what came back of the input, and how far it is off."""
    lines = [("mean squared error", number(float(np.mean(np.square(output - encoded)))))]
    if not isinstance(spec, Image):
        pair = encoded.reshape(len(encoded), -1)[:, :1], output.reshape(len(output), -1)[:, :1]
        return sample.with_more(lines, drawing=sparkline(*pair))
    shown = {"given back": output} if np.array_equal(given, encoded) else {"as given": given, "given back": output}
    most = 1 / spec.scale
    pictures = tuple(
        (_inline(picture(np.clip(np.asarray(spec.decode(values[None])[0]), 0, most), spec.scale)), what)
        for what, values in shown.items()
    )
    return sample.with_more(lines, pictures)


def _masked(sample: Sample, truth: Array, said: Array) -> Sample:
    pictures = (_mask(truth, "what is there"), _mask(said, "what the network says"))
    return sample.with_more([("pixels right", percent(float((said == truth).mean())))], pictures)


def _said(spec: Any, truth: Any, output: Array) -> tuple[str, str, bool | None]:
    """What the network says, what is so, and whether it is right (None for numbers)."""
    if isinstance(spec, Classes):
        names = [str(n) for n in spec.names]
        if output.ndim > 1:
            steps = output.argmax(-1)
            said, known = ("".join(names[int(k)] for k in line) for line in (steps, np.ravel(truth)))
            return said, known, bool((steps == np.ravel(truth)).all())
        p = spec.probabilities(output[None])[0]
        best = int(p.argmax())
        return f"{names[best]} {probability(float(p[best]))}", names[int(truth)], best == int(truth)
    said, known = (", ".join(number(float(v)) for v in np.ravel(a)[:6]) for a in (output, truth))
    return said, known, None


def _mask(classes: Array, what: str) -> tuple[str, str]:
    return _inline(class_picture(classes)), what


def _inline(image: Array) -> str:
    data = picture_png(ImagePanel(image=image, title="sample"), THUMBNAIL)
    return "data:image/png;base64," + b64encode(data).decode("ascii")


def sparkline(values: Array, second: Array | None = None, width: float = 230.0, height: float = 90.0) -> str:
    """Draw a series (step, channel) as a small SVG; `second`, what was given back, is dashed."""
    drawn = [(values[:, c], c, False) for c in range(min(values.shape[1], CHANNELS))]
    drawn += [] if second is None else [(second[:, 0], 1, True)]
    finite = np.concatenate([line[np.isfinite(line)] for line, _, _ in drawn])
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    spread = (high - low) or 1.0
    paths = ""
    for line, colour, dashed in drawn:
        x = np.linspace(3, width - 3, len(line))
        y = 6 + (high - np.nan_to_num(line, nan=low)) / spread * (height - 12)
        points = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
        dash = ";stroke-dasharray:5 3" if dashed else ""
        paths += f'<path d="M{points}" style="fill:none;stroke:var(--line{colour});stroke-width:1.6{dash}"/>'
    told = f"a series of {len(values)} steps between {number(low)} and {number(high)}"
    told += ", and dashed what was given back" if second is not None else ""
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(told)}">{paths}</svg>'
