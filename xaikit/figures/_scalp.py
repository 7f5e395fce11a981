"""A map of the head as panels."""

import numpy as np

from xaikit.arrays import Array
from xaikit.figures._attribution import PER_ROW, SAMPLES, panels
from xaikit.figures._colours import limit_of
from xaikit.figures._data import Figure, Legend, MapPanel, Panel, Scale
from xaikit.figures._words import number, spoken, unit
from xaikit.results import ScalpMap

SIDE = 121
"""Places of the map on each side; the head fills most of them."""
REACH = 1.2
"""How far the map reaches from the middle, in radii of the head."""
DOT = 0.035
"""Half the width of an electrode's mark, in radii."""


@panels.register
def _scalp(result: ScalpMap, *, shared: bool = False) -> Figure:
    count = min(len(result), SAMPLES)
    limits = [limit_of([v], robust=False) for v in result.values[:count]]
    limits = [max(limits)] * count if shared else limits
    made: list[Panel] = [_head(result, i, Scale(limits[i], unit(result))) for i in range(count)]
    return Figure(
        title=f"{spoken(result.origin.method)} over the head",
        subtitle=f"{result.origin.model} · seen from above, the nose at the top",
        rows=tuple(tuple(made[k : k + PER_ROW]) for k in range(0, count, PER_ROW)),
        legend=Legend("diverging", _ticks(limits), "speaks against", "speaks for"),
        notes=(
            "Marks are the electrodes; between them colours are means weighted by the inverse square of the distance.",
        ),
    )


def _ticks(limits: list[float]) -> tuple[tuple[float, str], ...]:
    if len(set(limits)) > 1:
        return ((0.5, "0"),)
    return ((0.0, number(-limits[0])), (0.5, "0"), (1.0, number(limits[0])))


def _head(result: ScalpMap, i: int, scale: Scale) -> MapPanel:
    values = np.asarray(result.values[i], np.float64)
    first = int(np.argmax(np.abs(np.nan_to_num(values))))
    said = f"{result.names[first]} {number(float(values[first]))}"
    return MapPanel(
        values=_between(values, result.places),
        scale=scale,
        outlines=_marks(result.places),
        title=result.target_labels[i],
        subtitle=f"±{number(scale.limit)} {scale.unit}",
        facts=(f"strongest: {said}",),
        alt=f"A head from above; of {len(values)} electrodes the strongest is {said}.",
    )


def _grid() -> tuple[Array, Array]:
    """Give how far right and front every place of the map is: (SIDE, SIDE) each."""
    along = np.linspace(-REACH, REACH, SIDE)
    right, back = np.meshgrid(along, along)
    return right, -back


def _between(values: Array, places: Array) -> Array:
    """Interpolate over the head, and have 0 around it. Source: Shepard, "A two-dimensional interpolation function"
    (1968), with a power of two."""
    right, front = _grid()
    apart = (right[..., None] - places[:, 0]) ** 2 + (front[..., None] - places[:, 1]) ** 2
    weights = 1 / np.maximum(apart, 1e-6)
    found = (weights * values).sum(-1) / weights.sum(-1)
    return np.where(np.hypot(right, front) <= 1, found, 0.0)


def _marks(places: Array) -> Array:
    """Give labels whose borders are the head, the nose and the electrodes."""
    right, front = _grid()
    labels = (np.hypot(right, front) <= 1).astype(np.int32)
    labels[(front > 0.98) & (front < 1.15 - 1.2 * np.abs(right)) & (labels == 0)] = 2
    for k, (x, y) in enumerate(places):
        labels[(np.abs(right - x) <= DOT) & (np.abs(front - y) <= DOT)] = 3 + k
    return labels
