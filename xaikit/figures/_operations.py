"""Operations as panels: the input with the window, the weights, the products, and the output with their place."""

from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.figures._attribution import panels
from xaikit.figures._colours import limit_of
from xaikit.figures._data import (
    CurvePanel,
    Figure,
    Grid,
    GridsPanel,
    ImagePanel,
    MapPanel,
    Mark,
    Panel,
    Scale,
    Trace,
)
from xaikit.figures._words import number, spoken
from xaikit.results import Step, Steps

SMALL = 12
"""So many rows and columns are shown as numbers, more as a map."""
CHANNELS = 3
"""So many channels of a window are shown, those that give most."""
WIDE = 11
"""A window with more columns is shown as a map of its own."""
FRAME = 40
"""The frame on a picture is at least this part of its longer side."""
RESULT = {
    "sum": "sum",
    "mean": "mean",
    "correlation": "correlation",
    "max": "largest",
    "min": "smallest",
    "norm": "Lp norm",
    "copy": "copy",
    "softmax": "share",
    "normalise": "normalised",
    "function": "value",
}


@panels.register
def _steps(result: Steps, *, shared: bool = False) -> Figure:
    """The input and the output with the place that is shown, and how its number comes about."""
    step = result.step(*result.shown)
    if result.rule == "function":
        rows: tuple[tuple[Panel, ...], ...] = (_whole(result, step), (_curve(result, step),))
    else:
        rows = (_whole(result, step), *((panel,) for panel in _windows(result, step)))
    shapes = " → ".join(" × ".join(map(str, a.shape)) for a in (result.x, result.output))
    return Figure(
        title=f"{spoken(result.operation)}{_named(result)}",
        subtitle=f"{_settings(result)}{shapes} ({', '.join(result.axes)})",
        rows=(rows[0],),
        below=rows[1:],
        notes=_about(result, step),
    )


def _named(result: Steps) -> str:
    names = [result.parameters.get(n) for n in ("kernel", "function")]
    return "".join(f": {name}" for name in names if isinstance(name, str))


def _settings(result: Steps) -> str:
    plain = {
        n: v
        for n, v in result.parameters.items()
        if n not in ("kernel", "function") and isinstance(v, int | str | tuple)
    }
    said = [
        f"{n.replace('_', ' ')} {v}" for n, v in plain.items() if v not in (False, "zero", ()) and (n, v) not in PLAIN
    ]
    return f"{', '.join(said)} · " if said else ""


PLAIN = (("stride", 1), ("dilation", 1), ("groups", 1), ("output_padding", 0), ("padding", "valid"))
"""Settings that need no words."""


def _about(result: Steps, step: Step) -> tuple[str, ...]:
    where = ", ".join(f"{a} {p}" for a, p in zip(result.axes, step.place, strict=True))
    notes = [f"Shown: {where}, which is {number(step.value, 4)}; steps.at(...) shows another place."]
    said = _sum_in_words(result, step)
    if said:
        notes.append(said)
    outside = int((~step.there).sum())
    if outside and np.isfinite(result.fill):
        notes.append(
            f"{outside} of {step.there.size} places of the window have no input and count as {number(result.fill)}."
        )
    elif outside:
        notes.append(f"{outside} of {step.there.size} places of the window lie in the padding, which takes no part.")
    return tuple(notes)


def _sum_in_words(result: Steps, step: Step) -> str:
    facts = {n: number(v, 4) for n, v in step.facts.items()}
    if result.rule == "normalise":
        scaled = f" · {facts['scale']} + {facts['shift']}" if step.facts["scale"] != 1 or step.facts["shift"] else ""
        mean = f"({facts['x']} − {facts['mean']})" if step.facts["mean"] else facts["x"]
        return f"{mean} / {facts['std']}{scaled} = {number(step.value, 4)}, over {step.window.size} values."
    if result.rule == "softmax":
        return f"exp({facts['x']}) as a share of the sum over {step.window.size} values: {number(step.value, 4)}."
    if result.rule == "function":
        return f"At {number(float(step.window[0]), 4)} the derivative is {facts.get('derivative', '–')}."
    if step.products is None or result.rule == "correlation":
        return ""
    total = float(step.products.sum())
    bias = f" + bias {facts['bias']}" if "bias" in facts else ""
    if result.rule == "mean":
        return f"{step.products.size} products sum to {number(total, 4)}; their mean is {number(step.value, 4)}."
    return (
        f"{step.products.size} products sum to {number(total, 4)}{bias}{f' = {number(step.value, 4)}' if bias else ''}."
    )


# ---------------------------------------------------------------- input and output


def _whole(result: Steps, step: Step) -> tuple[Panel, ...]:
    """The input with what is read, and the output with the place that it becomes."""
    channel = _main_channel(result, step)
    before = _flat(result.x, result, step.box, channel)
    after = _flat(result.output, result, np.array(step.place)[:, None] + [[0, 0]], step.place[-1])
    both = (("Input", result.x, channel), ("Output", result.output, step.place[-1]))
    words = tuple(w if _table(result) else _shape(w, a, c) for w, a, c in both)
    if max(*before[0].shape, *after[0].shape) <= SMALL:
        robust = limit_of([before[0]], robust=False), limit_of([after[0]], robust=False)
        kinds = [Scale(m, kind="diverging") for m in robust]
        grids = tuple(Grid(v, s, w, m) for (v, m), s, w in zip((before, after), kinds, words, strict=True))
        return (GridsPanel(grids=grids, signs=("→",), alt=f"{words[0]} becomes {words[1]}."),)
    series = result.x.ndim == 2 and result.axes[0] == "time"
    if series:
        return (_series(result, step, channel),)
    return tuple(
        _picture(result, array, *flat, title)
        for array, flat, title in zip((result.x, result.output), (before, after), words, strict=True)
    )


def _table(result: Steps) -> bool:
    """Whether samples and channels are shown as rows and columns."""
    return "group" in (result.parts or {}) and result.x.ndim <= 2


def _shape(title: str, values: Array, channel: int) -> str:
    many = values.shape[-1] > 1
    return f"{title}{f', channel {channel} of {values.shape[-1]}' if many else ''}"


def _main_channel(result: Steps, step: Step) -> int:
    """Give the input channel that adds most to the number shown."""
    if not result.taps:
        return min(step.place[-1], result.x.shape[-1] - 1)
    seen = step.window if step.products is None else step.products
    finite = np.where(np.isfinite(seen), np.abs(seen), 0.0)
    return int(result.channels(step.place[-1])[finite.reshape(-1, seen.shape[-1]).sum(0).argmax()])


def _flat(values: Array, result: Steps, box: Array, channel: int) -> tuple[Array, Array]:
    """Give one channel as rows and columns, or all channels of samples, with what of it is marked."""
    marked = np.zeros(values.shape, bool)
    if values is result.x and "group" in (result.parts or {}):
        group = (result.parts or {})["group"]
        marked = group == group[result.shown]
    elif len(box) == values.ndim:
        marked[tuple(slice(max(lo, 0), hi + 1) for lo, hi in box.tolist())] = True
    else:
        marked[_read(result, box)] = True
    if _table(result):
        return np.atleast_2d(values), np.atleast_2d(marked)
    plane, mark = values[..., channel], marked[..., channel]
    while plane.ndim > 2:
        middle = int(np.argmax(mark.reshape(len(mark), -1).any(1)))
        plane, mark = plane[middle], mark[middle]
    return np.atleast_2d(plane), np.atleast_2d(mark)


def _read(result: Steps, box: Array) -> Any:
    """Index the places of the input that the window reads."""
    reads = [t[p] for t, p in zip(result.taps, result.shown, strict=False)]
    return np.ix_(*(np.unique(r[r >= 0]) for r in reads))


def _picture(result: Steps, values: Array, plane: Array, mark: Array, title: str) -> Panel:
    frame = _frame(mark)
    size = f"{plane.shape[1]} × {plane.shape[0]} places"
    shown = _as_picture(result, values)
    if shown is not None:
        return ImagePanel(
            image=shown, frame=frame, title=title.split(",")[0], subtitle=size, alt=f"{title}, a picture."
        )
    low = float(plane.min())
    limit = limit_of([plane], robust=plane.size > 1000)
    scale = Scale(limit, kind="diverging" if low < 0 else "sequential")
    said = f"±{number(limit)}" if low < 0 else f"0 to {number(limit)}"
    return MapPanel(
        values=plane,
        scale=scale,
        opacity=1.0,
        frame=frame,
        title=title,
        subtitle=f"{size} · colours {said}",
        alt=f"{title}, from {number(low)} to {number(float(plane.max()))}.",
    )


def _as_picture(result: Steps, values: Array) -> Array | None:
    """Give values as a picture, if a picture was given and they still could be one."""
    if result.display is None or values.ndim != 3:
        return None
    if values is result.x:
        return result.display
    if values.shape[-1] not in (1, 3) or values.min() < -0.5 or values.max() > 255.5:
        return None
    shades = np.rint(values).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(shades, (*shades.shape[:2], 3)))


def _frame(mark: Array) -> tuple[float, float, float, float] | None:
    """Give the frame around what is marked, large enough to be seen; None if nothing is."""
    rows, columns = np.flatnonzero(mark.any(1)), np.flatnonzero(mark.any(0))
    if not len(rows):
        return None
    least = max(mark.shape) / FRAME
    top, bottom = _widened(float(rows[0]), float(rows[-1] + 1), least, mark.shape[0])
    left, right = _widened(float(columns[0]), float(columns[-1] + 1), least, mark.shape[1])
    return top, left, bottom, right


def _widened(low: float, high: float, least: float, most: int) -> tuple[float, float]:
    more = max(least - (high - low), 0.0) / 2
    return max(low - more, 0.0), min(high + more, float(most))


def _series(result: Steps, step: Step, channel: int) -> CurvePanel:
    """The series before and after over the same axis: an output stands in the middle of what it reads."""
    x, y = result.x[:, channel], result.output[:, step.place[-1]]
    at = result.spans[0].mean(1) if result.spans else np.arange(len(y), dtype=np.float64)
    steps = np.arange(len(x), dtype=np.float64)
    lo, hi = step.box[0]
    window = np.where((steps >= lo) & (steps <= hi), x, np.nan)
    return CurvePanel(
        traces=(
            Trace("input", steps, x, -1),
            Trace("window", steps, window, 1),
            Trace("output", at, y, 0),
        ),
        mark=Mark(float(at[step.place[0]]), step.value, number(step.value, 3)),
        x_label="step",
        title="Input and output",
        alt=f"A series of {len(x)} steps and the {len(y)} that it becomes.",
    )


# ---------------------------------------------------------------- one step


def _windows(result: Steps, step: Step) -> tuple[Panel, ...]:
    """What is read, what it is multiplied by, and what comes out, for the channels that give most."""
    if not result.taps:
        return ()
    window = np.where(step.there[..., None], step.window, result.fill)
    channels = result.channels(step.place[-1])
    size = step.window if step.products is None else step.products
    given = np.where(np.isfinite(size), np.abs(size), 0.0).reshape(-1, size.shape[-1]).sum(0)
    chosen = sorted(np.argsort(-given, kind="stable")[:CHANNELS].tolist())
    scales = tuple(_scale(a) for a in (window, step.weights, step.products))
    rows = [_row(result, step, window, scales, c, int(channels[c]), c == chosen[-1]) for c in chosen]
    left = len(channels) - len(chosen)
    if left and rows:
        last = rows[-1]
        said = (f"The {len(chosen)} of {len(channels)} input channels that give most are shown.",)
        rows[-1] = GridsPanel(grids=last.grids, signs=last.signs, title=last.title, facts=said, alt=last.alt)
    return tuple(rows)


def _row(
    result: Steps, step: Step, window: Array, scales: tuple[Scale, ...], c: int, channel: int, last: bool
) -> GridsPanel:
    many = result.kernel is not None and window.shape[-1] > 1
    grids = [Grid(_plane(window[..., c]), scales[0], f"window, channel {channel}" if many else "window")]
    signs = []
    if step.weights is not None and step.products is not None:
        grids += [
            Grid(_plane(step.weights[..., c]), scales[1], "weights"),
            Grid(_plane(step.products[..., c]), scales[2], "products"),
        ]
        signs += ["×", "="]
    if last:
        value = np.array([[step.value]])
        grids.append(Grid(value, _scale(value), RESULT[result.rule]))
        signs.append("→")
    if sum(g.values.shape[1] for g in grids) > 3 * WIDE:
        grids, signs = grids[-1:] if last else grids[:1], []
    return GridsPanel(
        grids=tuple(grids),
        signs=tuple(signs),
        title="One step" if not many or c == 0 else "",
        alt=f"What channel {channel} gives to {number(step.value)}.",
    )


def _scale(values: Array | None) -> Scale:
    return Scale(1.0 if values is None else limit_of([values], robust=False))


def _plane(values: Array) -> Array:
    """Give a window as rows and columns; one of a volume as its planes side by side."""
    return np.atleast_2d(values) if values.ndim <= 2 else _plane(np.concatenate(list(values), -1))


def _curve(result: Steps, step: Step) -> CurvePanel:
    """A function and its derivative, with the value that is shown."""
    x, y, slope = (result.parts or {})["curve"]
    at = float(step.window[0])
    return CurvePanel(
        traces=(Trace("function", x, y, 0), Trace("derivative", x, slope, 1, dashed=True)),
        mark=Mark(at, step.value, f"{number(at)} → {number(step.value)}"),
        x_label="x",
        title="Function and derivative",
        alt=f"The function from {number(float(x[0]))} to {number(float(x[-1]))} with its derivative.",
    )
