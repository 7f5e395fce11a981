"""What one map says more than another: the difference of two panels of the same kind."""

from dataclasses import replace
from typing import Any

import numpy as np

from xaikit.arrays import Array, upsample
from xaikit.errors import UsageError
from xaikit.figures import BarPanel, LinePanel, MapPanel, Panel, Scale, TextPanel, limit_of, number

SHARES = "share of each map's largest value"


def difference(first: Panel, second: Panel) -> Panel:
    """Give first minus second as a panel: of raw values in the same unit, else of shares of each map's largest value.

    Raises UsageError for panels that cannot be set against each other.
    """
    if type(first) is not type(second):
        raise UsageError("these two explanations are of different kinds, and have no difference that can be drawn")
    unit, other = unit_of(first), unit_of(second)
    raw = unit == other
    a, b = (values_of(p) if raw else shares(values_of(p)) for p in (first, second))
    a, b = _fitted(first, second, a, b)
    gap = a - b
    unit = unit if raw else SHARES
    scale = Scale(limit_of([gap]), unit)
    most = number(float(np.nanmax(np.abs(gap), initial=0)))
    words = {
        "title": f"{first.title} minus {second.title}",
        "subtitle": f"±{number(scale.limit)} {unit}",
        "facts": (),
        "badge": None,
        "alt": f"{first.title} minus {second.title}: the largest difference is {most}, {unit}.",
    }
    return _drawn(first, gap, scale, words)


def unit_of(panel: Any) -> str:
    """Say what one number of a panel is."""
    return str(panel.unit if isinstance(panel, BarPanel) else panel.scale.unit)


def values_of(panel: Any) -> Array:
    """Give the numbers of a panel; of bars and words in the order in which they are drawn."""
    if isinstance(panel, TextPanel):
        return np.array([v for _, v in panel.pieces if v is not None], np.float64)
    if isinstance(panel, LinePanel):
        return np.stack([np.asarray(line.contributions, np.float64) for line in panel.lines])
    if isinstance(panel, BarPanel | MapPanel):
        return np.asarray(panel.values, np.float64)
    raise UsageError("explanations of this kind have no difference that can be drawn")


def shares(values: Array) -> Array:
    """Give values as shares of the largest."""
    return np.asarray(values / (float(np.nanmax(np.abs(values), initial=0)) or 1.0))


def _fitted(first: Any, second: Any, a: Array, b: Array) -> tuple[Array, Array]:
    """Bring two panels' values to the same places."""
    if isinstance(first, BarPanel):
        if set(first.labels) != set(second.labels):
            raise UsageError("these two explanations name different parts, and have no difference that can be drawn")
        return a, b[[second.labels.index(label) for label in first.labels]]
    if isinstance(first, MapPanel) and a.shape != b.shape:
        size = tuple(max(n, m) for n, m in zip(a.shape, b.shape, strict=True))
        a, b = (v if v.shape == size else upsample(v[None], size)[0] for v in (a, b))
    if a.shape != b.shape:
        raise UsageError("these two explanations have different places, and no difference that can be drawn")
    return a, b


def _drawn(panel: Any, gap: Array, scale: Scale, words: dict[str, Any]) -> Panel:
    if isinstance(panel, BarPanel):
        order = np.argsort(-np.abs(gap), kind="stable")
        labels = tuple(panel.labels[k] for k in order)
        return replace(panel, labels=labels, values=gap[order], unit=scale.unit, limit=None, **words)
    if isinstance(panel, TextPanel):
        own = iter(gap)
        pieces = tuple((text, None if v is None else float(next(own))) for text, v in panel.pieces)
        return replace(panel, pieces=pieces, scale=scale, **words)
    if isinstance(panel, LinePanel):
        lines = tuple(replace(line, contributions=own) for line, own in zip(panel.lines, gap, strict=True))
        return replace(panel, lines=lines, scale=scale, **words)
    drawn: Panel = replace(panel, values=gap, scale=scale, outlines=None, **words)
    return drawn


__all__ = ["difference", "shares", "unit_of", "values_of"]
