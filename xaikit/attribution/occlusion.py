"""Occlusion: what the score loses when a window is hidden."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.attribution._method import Map, Method, Task, methods, parameter, require
from xaikit.perturb.evaluate import Answers, ask
from xaikit.perturb.maskers import maskers
from xaikit.perturb.segments import cut, paint
from xaikit.perturb.windows import Windows, windows


@methods("occlusion")
@dataclass(frozen=True, kw_only=True)
class Occlusion(Method):
    """f(x) - f(x with a window hidden), averaged at each place over the windows that cover it.

    Windows slide along height and width of an Image and along the time of a Series, over all channels; the last one of
    an axis is clipped where the input ends. Values are (sample, height, width) and (sample, time). A `window` or
    `stride` with an entry for every axis slides over the channels too, and values have the input's shape. A Table is
    hidden column by column: (sample, column); a Text token by token; other arrays along their axes of space or time
    where they name any, else along all axes. `quality["complete"]` is the share of windows that were evaluated; a place
    that none reached has 0.

    With `segments` one part at a time is hidden instead of a window, and has f(x) - f(x without it). Of a series these
    are "channels", "bands" of frequencies (taken out in the Fourier domain, where the phases of the others stay) or
    "bands-by-channel": (sample, channel), (sample, band) and (sample, band, channel); or a label map as in lime.
    Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks" (2014), section 4.2.
    """

    window: Any = parameter(
        None,
        "steps of a window on each axis of space or time, or a tuple (for all axes: over channels too); None = an "
        "eighth, or one entry",
    )
    stride: Any = parameter(None, "steps from one window to the next, or a tuple; None = half a window")
    baseline: Any = parameter(
        None,
        "what is put in a window: a number, an array, rows, 'mean', 'blur', 'inpaint', 'noise', 'resample', of a "
        "Series 'linear', 'reverse', of a Text 'drop'; None = by input",
    )

    segments: Any = parameter(
        None,
        "hide one part at a time, no windows: 'channels', 'bands', 'bands-by-channel' of a series, or as in lime",
    )

    def __post_init__(self) -> None:
        both = self.segments is not None and (self.window is not None or self.stride is not None)
        require(not both, "occlusion hides windows or segments: leave window and stride out, or segments")

    def __call__(self, task: Task) -> Map:
        if self.segments is not None:
            return self._one_by_one(task)
        cells, hidden = windows(task, self.window, self.stride)
        parts = [cells] * len(task)
        answers = ask(task, maskers(task, parts, self.baseline), [hidden] * len(task))
        found = paint(task, parts, [_mean_loss(hidden, a) for a in answers])
        quality = {"complete": np.array([a.complete for a in answers])}
        return Map(**_without_cells(found, task.spec), quality=quality)

    def _one_by_one(self, task: Task) -> Map:
        parts = cut(task, self.segments)
        masks = [np.concatenate([np.ones((1, p.count), bool), ~np.eye(p.count, dtype=bool)]) for p in parts]
        answers = ask(task, maskers(task, parts, self.baseline), masks)
        lost = [np.where(a.known[1:], a.values[0] - a.values[1:], np.nan) for a in answers]
        quality = {"complete": np.array([a.complete for a in answers])}
        return Map(**paint(task, parts, lost), quality=quality)


def _mean_loss(hidden: Windows, answers: Answers) -> Array:
    """Give f(x) - f(hidden) of every cell, over all inputs; NaN where not even f(x) is known."""
    losses, known = hidden.split(answers.values[0] - answers.values[1:]), hidden.split(answers.known[1:])
    means = np.concatenate([grid.mean(losses[n], known[n]) for n, grid in hidden.grids.items()])
    return means if answers.known[0] else np.full_like(means, np.nan)


def _without_cells(found: dict[str, Any], spec: Any) -> dict[str, Any]:
    """Drop the cells, which are no parts where windows overlap; a Table's columns are."""
    if isinstance(spec, Mapping):
        return {
            f: {n: v if spec[n].kind == "Table" or f in ("values", "axes") else None for n, v in m.items()}
            for f, m in found.items()
        }
    return found if spec.kind == "Table" else {**found, "parts": None, "part_values": None}
