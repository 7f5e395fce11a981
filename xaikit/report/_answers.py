"""What a network says of one sample, and the sample itself, as a person reads and sees them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.figures import (
    CurvePanel,
    ImagePanel,
    MapPanel,
    Panel,
    Scale,
    Trace,
    class_colour,
    class_picture,
    limit_of,
    moment,
    number,
    percent,
    picture,
    time_axis,
)
from xaikit.figures import probability as written
from xaikit.inputs import Classes, Image, Masks, Reconstruction, Series, Table, Text, Values, top
from xaikit.results import Prediction

NAMES = 5
NUMBERS = 8
EXCERPT = 420
LINES = 4
"""How many channels of a series are drawn."""


@dataclass(frozen=True)
class Row:
    """One name with its number: as text, raw, and as share of a full bar where it is a probability."""

    name: str
    text: str
    value: float
    share: float | None = None


@dataclass(frozen=True)
class Answer:
    """What one output says: in short, what its numbers are, and the first of them."""

    output: str
    label: str
    score: str
    kind: str
    rows: tuple[Row, ...] = ()
    of: int = 0


@dataclass(frozen=True, eq=False)
class Given:
    """One input as a person sees it: panels, or text, or lines of names and values; `note` says what is left out."""

    name: str
    panels: tuple[Panel, ...] = ()
    text: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    note: str = ""


def answers(p: Prediction, i: int) -> tuple[Answer, ...]:
    """Give what every output says of sample `i`."""
    return tuple(_answer(name, spec, output, p, i) for name, spec, output in _each(p.output_spec, p.output, i))


def given(p: Prediction, i: int) -> tuple[Given, ...]:
    """Give what every input was in sample `i`."""
    return tuple(_given(name, spec, display) for name, spec, display in _each(p.input_spec, p.display, i))


def segmented(p: Prediction, i: int) -> tuple[Panel, ...]:
    """Give the best class of every pixel of sample `i` as a picture, where a network answers for pixels."""
    if not isinstance(p.output_spec, Masks) or isinstance(p.output, Mapping):
        return ()
    best = np.asarray(p.output[i]).argmax(-1)
    if best.ndim != 2:
        return ()
    names = p.output_spec.names
    there = [int(k) for k in np.argsort(-np.bincount(best.ravel(), minlength=len(names)), kind="stable")][:NAMES]
    told = ", ".join(f"{class_colour(k)[1]}: {p.output_spec.label(k)}" for k in there if (best == k).any())
    alt = f"The pixels by class: {told}."
    return (ImagePanel(image=class_picture(best), title="Best class of every pixel", subtitle=told, alt=alt),)


def restored(p: Prediction, i: int) -> tuple[Panel, ...]:
    """Give what a network that rebuilds its input gave back of sample `i`, and where the two differ; else nothing."""
    if not isinstance(p.output_spec, Reconstruction) or isinstance(p.x, Mapping) or isinstance(p.output, Mapping):
        return ()
    x, back = np.asarray(p.x[i], np.float64), np.asarray(p.output[i], np.float64)
    if x.shape != back.shape:
        return ()
    parts = np.abs(x - back) if p.output_spec.error == "mae" else np.square(x - back)
    shown = (
        np.asarray(p.input_spec.decode(np.asarray(p.output[i : i + 1]))[0]) if hasattr(p.input_spec, "decode") else back
    )
    if isinstance(p.input_spec, Image):
        return _restored_picture(p.input_spec, shown, parts.sum(-1))
    if isinstance(p.input_spec, Series):
        return _restored_series(p, i, shown, parts)
    return ()


def _each(spec: Any, values: Any, i: int) -> Iterator[tuple[str, Any, Any]]:
    """Give name, spec and value of sample `i`, of each where there are several."""
    if isinstance(values, Mapping):
        for name, value in values.items():
            yield str(name), spec[name] if isinstance(spec, Mapping) else spec, value[i]
    else:
        yield "", spec, values[i]


# ---------------------------------------------------------------- answers


def _answer(name: str, spec: Any, output: Any, p: Prediction, i: int) -> Answer:
    values = np.asarray(output, np.float64)
    if isinstance(spec, Classes) and values.ndim == 1:
        best = top(spec, values[None], NAMES)[0]
        rows = tuple(Row(label, written(score), score, score) for label, score in best)
        return Answer(name, rows[0].name, rows[0].text, "probability", rows, len(spec.names))
    if isinstance(spec, Classes):
        steps = values.reshape(-1, values.shape[-1]).argmax(-1)
        labels = [spec.label(int(k)) for k in steps]
        return Answer(name, ("" if max(map(len, labels)) == 1 else " ").join(labels), "", "best class at every place")
    if isinstance(spec, Masks):
        shares = np.bincount(values.argmax(-1).ravel(), minlength=len(spec.names)) / values[..., 0].size
        rows = tuple(
            Row(spec.label(int(k)), percent(float(shares[k])), float(shares[k]), float(shares[k]))
            for k in np.argsort(-shares, kind="stable")[:NAMES]
        )
        return Answer(name, rows[0].name, rows[0].text, "share of the pixels", rows, len(spec.names))
    if isinstance(spec, Reconstruction):
        return _error(name, spec, values, p, i)
    flat = values.ravel()
    named = isinstance(spec, Values) and len(spec.names) == flat.size
    rows = tuple(
        Row(str(spec.names[k]) if named else f"[{k}]", number(float(v), 4), float(v))
        for k, v in enumerate(flat[:NUMBERS])
    )
    if len(rows) == 1:
        return Answer(name, rows[0].name, rows[0].text, "number", rows, 1)
    shape = " × ".join(map(str, values.shape))
    return Answer(name, f"{shape} numbers", "", "number", rows, flat.size)


def _error(name: str, spec: Reconstruction, values: Array, p: Prediction, i: int) -> Answer:
    said = {"mse": "mean squared error", "mae": "mean absolute error"}[spec.error]
    if isinstance(p.x, Mapping) or np.shape(p.x[i]) != values.shape:
        return Answer(name, "a reconstruction", "", said)
    apart = np.asarray(p.x[i], np.float64) - values
    error = float(np.abs(apart).mean() if spec.error == "mae" else np.square(apart).mean())
    return Answer(name, "reconstruction error", number(error, 4), said, (Row(said, number(error, 4), error),), 1)


# ---------------------------------------------------------------- inputs


def _given(name: str, spec: Any, display: Any) -> Given:
    if isinstance(spec, Image):
        image = picture(np.asarray(display), spec.scale)
        size = f"{image.shape[1]} × {image.shape[0]} pixels, as the network is given it"
        return Given(name, (ImagePanel(image=image, title="Input", subtitle=size, alt="The picture that was given."),))
    if isinstance(spec, Text):
        words = [str(w) for w in spec.decode(np.asarray(display)[None])[0]] if not isinstance(display, str) else []
        text = display if isinstance(display, str) else " ".join(w for w in words if w)
        if len(text) <= EXCERPT:
            return Given(name, text=text)
        cut = text[:EXCERPT].rsplit(" ", 1)[0]
        return Given(name, text=f"{cut} …", note=f"The first {len(cut):,} of {len(text):,} characters; all below.")
    if isinstance(spec, Table):
        return Given(name, lines=tuple((str(n), _plain(display[n])) for n in spec.names))
    return _numbers(name, spec, np.asarray(display, np.float64))


def _numbers(name: str, spec: Any, values: Array) -> Given:
    if isinstance(spec, Series) or (values.ndim == 2 and values.shape[1] <= LINES < len(values)):
        lines = values.reshape(len(values), -1)
        x, label = time_axis(len(lines), getattr(spec, "rate", None))
        traces = tuple(
            Trace(f"channel {c}" if lines.shape[1] > 1 else "signal", x, lines[:, c], c)
            for c in range(min(lines.shape[1], LINES))
        )
        left = lines.shape[1] - len(traces)
        told = f"{len(lines):,} steps from {number(float(np.nanmin(lines)))} to {number(float(np.nanmax(lines)))}"
        panel = CurvePanel(traces=traces, x_label=label, title="Input", subtitle=told, alt=told)
        return Given(name, (panel,), note=f"{left} more channels are not drawn." if left else "")
    if values.ndim >= 2 and min(values.shape[:2]) > 1:
        plane = values.reshape(*values.shape[:2], -1).mean(-1)
        spread = float(plane.max() - plane.min()) or 1.0
        shape = " × ".join(map(str, values.shape))
        if len(plane) > plane.shape[1]:
            plane, shape = plane.T, f"{shape}, the first axis to the right"
        shown = ImagePanel(image=picture((plane - plane.min()) / spread, 1.0), title="Input", subtitle=shape, alt=shape)
        return Given(name, (shown,))
    flat = values.ravel()
    said = ", ".join(number(float(v)) for v in flat[:24])
    return Given(name, text=said, note=f"The first 24 of {flat.size:,} numbers." if flat.size > 24 else "")


def _plain(value: Any) -> str:
    return number(float(value), 4) if isinstance(value, int | float | np.number) else str(value)


# ---------------------------------------------------------------- reconstructions


def _restored_picture(spec: Image, back: Array, parts: Array) -> tuple[Panel, ...]:
    limit = limit_of([parts])
    came = picture(np.clip(back, 0, 1 / spec.scale), spec.scale)
    return (
        ImagePanel(image=came, title="Reconstruction", subtitle="what the network gives back", alt="What came back."),
        MapPanel(
            values=parts,
            scale=Scale(limit, "of error", "sequential"),
            opacity=1.0,
            title="Error",
            subtitle=f"at every place: 0 dark, {number(limit)} and above yellow",
            alt=f"The error at every place; the largest is {number(float(parts.max()))}.",
        ),
    )


def _restored_series(p: Prediction, i: int, back: Array, parts: Array) -> tuple[Panel, ...]:
    """The channel with the largest error, before and after, and its error."""
    lines = parts.reshape(len(parts), -1)
    channel = int(np.nan_to_num(lines.sum(0)).argmax())
    x, label = time_axis(len(lines), getattr(p.input_spec, "rate", None))
    before, after = (np.asarray(a, np.float64).reshape(len(lines), -1)[:, channel] for a in (p.display[i], back))
    of = f"channel {channel}" if lines.shape[1] > 1 else "the signal"
    worst = moment(float(x[int(np.nan_to_num(lines[:, channel]).argmax())]), label)
    return (
        CurvePanel(
            traces=(Trace("input", x, before, 0), Trace("reconstruction", x, after, 1, True)),
            title="Input and reconstruction",
            subtitle=of,
            x_label=label,
            alt=f"{of} and what the network gives back for it.",
        ),
        CurvePanel(
            traces=(Trace("error", x, lines[:, channel], 5),),
            title="Error",
            subtitle=f"at every step of {of}, in the network's units",
            x_label=label,
            alt=f"The error is largest at {worst}.",
        ),
    )
