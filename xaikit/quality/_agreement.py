"""How far two explanations agree in what they call important."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xaikit.arrays import Array, upsample
from xaikit.inputs import Image, Table, Text
from xaikit.results import Attribution, by_column


def rank_agreement(a: Array, b: Array) -> float:
    """Give Spearman's rank correlation of two maps in -1..1, ties at their mean rank.

    NaN where they have different places, a value is not finite, or a map is the same everywhere. Source: Spearman,
    "The proof and measurement of association between two things" (1904).
    """
    if a.shape != b.shape or a.size < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    x, y = (r - r.mean() for r in (_ranks(a), _ranks(b)))
    scale = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / scale if scale else float("nan")


def agreements(group: Sequence[Attribution | None], absolute: bool = False) -> Array:
    """Give the rank agreement of every pair of methods on one sample: (method, method), NaN where there is none.

    The group holds what each method says, None where it failed. Only results for the same target are compared;
    `absolute` compares the sizes of the values.
    """
    table = np.full((len(group), len(group)), np.nan)
    for i, first in enumerate(group):
        for j, second in enumerate(group[: i + 1]):
            if first is not None and second is not None and first.target_labels == second.target_labels:
                maps = paired([first], [second], 0)
                a, b = (np.abs(m) for m in maps) if absolute else maps
                table[i, j] = table[j, i] = rank_agreement(a, b)
    return table


def paired(first: Sequence[Attribution], second: Sequence[Attribution], i: int) -> tuple[Array, Array]:
    """Bring what two explanations say of sample `i` to one grid: two flat arrays, over all inputs.

    Where one is over parts and the other has a value at every place, the places of a part are added up; two over the
    same parts are compared part by part, and any others place by place, the coarser map interpolated.
    """
    both = [_pair(a, b, i) for a, b in zip(first, second, strict=True)]
    return np.concatenate([a for a, _ in both]), np.concatenate([b for _, b in both])


def comparable(e: Attribution, i: int = 0) -> Array:
    """Give the values of one sample as they are shown, flat: summed over channels, words without pads, columns."""
    return _places(e, i).ravel()


def _pair(a: Attribution, b: Attribution, i: int) -> tuple[Array, Array]:
    first, second = _over_parts(a, i), _over_parts(b, i)
    if first is not None and second is not None and np.array_equal(first[0], second[0]):
        return first[1], second[1]
    if (first is None) == (second is None) or isinstance(a.input_spec, Table | Text):
        return _on_one_grid(_places(a, i), _places(b, i))
    if first is None:
        y, x = _pair(b, a, i)
        return x, y
    labels, own = first
    places = _places(b, i)
    if labels.ndim != places.ndim:
        return _on_one_grid(_places(a, i), places)
    inside = labels >= 0
    return own, np.bincount(labels[inside], _fitted(places, labels.shape)[inside], minlength=len(own))


def _over_parts(e: Attribution, i: int) -> tuple[Array, Array] | None:
    """The label of every place and the value of every part of sample `i`, or None for a map without parts."""
    if e.parts is None or e.part_values is None:
        return None
    labels = np.asarray(e.parts[i])
    return labels, np.asarray(e.part_values[i], np.float64)[: labels.max() + 1]


def _on_one_grid(a: Array, b: Array) -> tuple[Array, Array]:
    if a.ndim == b.ndim:
        shape = tuple(max(n, m) for n, m in zip(a.shape, b.shape, strict=True))
        a, b = _fitted(a, shape), _fitted(b, shape)
    return a.ravel(), b.ravel()


def _fitted(values: Array, shape: tuple[int, ...]) -> Array:
    return values if values.shape == shape else upsample(values[None], shape)[0]


def _places(e: Attribution, i: int) -> Array:
    """One number for every place of sample `i`: channels summed, words without pads, columns of a table."""
    spec = e.input_spec
    if isinstance(spec, Table):
        return by_column(e, i)
    values, axes = np.asarray(e.values[i], np.float64), e.axes[1:]
    if isinstance(spec, Text) and isinstance(e.display[i], str) and values.shape == spec.shape:
        return values[[t is not None for t in spec.placed(e.display[i])]]
    if "channel" in axes and len(axes) > 1:
        values = values.sum(axes.index("channel"))
    return values


def structural_similarity(a: Attribution, b: Attribution, i: int) -> float:
    """Give the structural similarity of the sizes of two maps of a picture, each scaled to 0..1; NaN for other inputs.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity" (2004).
    """
    x, y = (np.abs(_places(e, i)) for e in (a, b))
    if not isinstance(a.input_spec, Image) or x.ndim != 2 or x.shape != y.shape or min(x.shape) < 7:
        return float("nan")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return float("nan")
    from skimage.metrics import structural_similarity as ssim

    x, y = (m / (m.max() or 1.0) for m in (x, y))
    return float(ssim(x, y, data_range=1.0))  # type: ignore[no-untyped-call]


def each_input(e: Any) -> dict[str, Attribution]:
    """Give the Attribution of every input by name; an only input is called ""."""
    return dict(e) if isinstance(e, Mapping) else {"": e}


def _ranks(values: Array) -> Array:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place.ravel()])
