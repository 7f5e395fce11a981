"""Dialects: the defaults of other libraries as named presets, so that a number printed elsewhere can be had here.

A dialect is parameters, a form of the output, and steps that are taken with the map at the end. It never changes what
a method is: what a library does differently under the same name is written down here and nowhere else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xaikit.arrays import Array, upsample
from xaikit.errors import ParameterError, nearest

CHANNEL = "channel"
SMALL = 1e-7
"""What min-max scaling adds to the range, in both libraries that scale."""


@dataclass(frozen=True)
class Drawn:
    """A map on its way to what a library prints: values (sample, *axes), the names of their axes, the input's size."""

    values: Array
    axes: tuple[str, ...]
    size: tuple[int, ...]


def absolute(drawn: Drawn) -> Drawn:
    """Drop the sign."""
    return Drawn(np.abs(drawn.values), drawn.axes, drawn.size)


def largest_channel(drawn: Drawn) -> Drawn:
    """Take the largest value over the channels."""
    if CHANNEL not in drawn.axes:
        return drawn
    axis = drawn.axes.index(CHANNEL)
    return Drawn(drawn.values.max(axis + 1), (*drawn.axes[:axis], *drawn.axes[axis + 1 :]), drawn.size)


def zero_to_one(drawn: Drawn) -> Drawn:
    """Scale every map to 0..1 by its own range."""
    axes = tuple(range(1, drawn.values.ndim))
    low = drawn.values.min(axes, keepdims=True)
    span = drawn.values.max(axes, keepdims=True) - low
    return Drawn((drawn.values - low) / (span + SMALL), drawn.axes, drawn.size)


def resized(drawn: Drawn) -> Drawn:
    """Bring the map to the input's size, linearly between the centres of cells."""
    return Drawn(upsample(drawn.values, drawn.size), drawn.axes, drawn.size) if drawn.size else drawn


def zoomed(drawn: Drawn) -> Drawn:
    """Bring the map to the input's size, linearly with corner laid on corner."""
    if not drawn.size:
        return drawn
    from scipy.ndimage import zoom

    factors = (1, *(n / m for n, m in zip(drawn.size, drawn.values.shape[1:], strict=True)))
    return Drawn(zoom(drawn.values, factors, order=1), drawn.axes, drawn.size)


Step = Callable[[Drawn], Drawn]


@dataclass(frozen=True)
class Dialect:
    """How a library calculates what has the name of a method: its defaults, in this package's words.

    `score` is the form of the output that it explains; `steps` turn the map into what it gives; `remark` says what
    cannot be the same, such as a random stream.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    score: str | None = "output"
    steps: tuple[Step, ...] = ()
    remark: str = ""


STREAM = "the library draws from its framework's random stream: equal on average, not number by number"
DIALECTS: dict[str, dict[str, Dialect]] = {
    "saliency": {
        "captum": Dialect(steps=(absolute,)),
        "tf-keras-vis": Dialect(steps=(absolute, largest_channel, zero_to_one)),
    },
    "gradient-x-input": {"captum": Dialect()},
    "integrated-gradients": {"captum": Dialect({"steps": 50, "baseline": "encoded-zero"})},
    "smooth-grad": {
        "captum": Dialect({"samples": 5, "noise": 1.0, "unit": "input", "form": "absolute"}, remark=STREAM),
        "tf-keras-vis": Dialect(
            {"samples": 20, "noise": 0.2, "unit": "range", "form": "absolute"},
            steps=(largest_channel, zero_to_one),
            remark=STREAM + "; the library smooths only when asked to, its examples with 20 copies",
        ),
    },
    "grad-cam": {
        "captum": Dialect({"relu": False, "upsample": False}),
        "tf-keras-vis": Dialect({"relu": True, "upsample": False}, steps=(zoomed, zero_to_one)),
        "pytorch-grad-cam": Dialect({"relu": True, "upsample": False}, steps=(zero_to_one, resized, zero_to_one)),
    },
    "layer-cam": {
        "pytorch-grad-cam": Dialect({"relu": True, "upsample": False}, steps=(zero_to_one, resized, zero_to_one)),
    },
    "guided-backprop": {"captum": Dialect()},
    "deconvnet": {"captum": Dialect()},
    "occlusion": {"captum": Dialect({"stride": 1, "baseline": "encoded-zero"}, remark="captum asks for a window")},
    "deep-lift": {"captum": Dialect({"baseline": "encoded-zero", "eps": 1e-10})},
    "gradient-shap": {"shap": Dialect({"samples": 200}, remark=STREAM)},
    "lime": {
        "captum": Dialect(
            {"samples": 25, "kernel_width": 1.0, "baseline": "encoded-zero", "penalty": "lasso", "alpha": 0.01},
            remark=STREAM + "; captum takes every number of the input for a part unless it is given a feature mask",
        ),
        "lime": Dialect(
            {"samples": 1000, "segments": "quickshift", "kernel_width": 0.25, "baseline": "mean"},
            score="probability",
            remark="for images; the same masks, bit by bit, for the same seed",
        ),
    },
    "kernel-shap": {
        "captum": Dialect({"samples": 25, "baseline": "encoded-zero"}, remark=STREAM),
        "shap": Dialect(
            {"samples": None},
            remark="without its selection of ten features (l1_reg=False there); equal where all coalitions fit",
        ),
    },
    "partition-shap": {"shap": Dialect({"samples": 500}, remark="equal for the same tree of parts")},
}
"""By method and library. Read from, and tested against, captum 0.9, shap 0.51, lime 0.2, tf-keras-vis 0.8 and
pytorch-grad-cam 1.5."""


def preset(method: str, dialect: Any) -> Dialect:
    """Give a method's dialect. Raises ParameterError with those that there are."""
    known = DIALECTS.get(method, {})
    if dialect in known:
        return known[dialect]
    if not known:
        raise ParameterError(f"{method} has no dialects: it has one definition here, and no library's default is kept")
    raise ParameterError(f"{method} has no dialect {dialect!r}{nearest(str(dialect), known)}")


def spoken(
    dialect: Dialect, values: Array, axes: tuple[str, ...], size: tuple[int, ...]
) -> tuple[Array, tuple[str, ...]]:
    """Take a dialect's steps with a map (sample, *axes); `size` is the input's along the axes without the channel."""
    drawn = Drawn(values, axes, size)
    for step in dialect.steps:
        drawn = step(drawn)
    return drawn.values.astype(values.dtype, copy=False), drawn.axes
