"""An operation applied to what a person has, with every step."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xaikit.arrays import SPACE, Array
from xaikit.data.files import read_array
from xaikit.errors import InputError, ParameterError
from xaikit.inputs import picture_array
from xaikit.insight.operators._operation import Operation, operations
from xaikit.results import Steps

BATCHED = ("sample", *SPACE, "channel")


def explore(x: Any, operation: str, *, axes: Sequence[str] | None = None, **parameters: Any) -> Steps:
    """Apply an operation to a picture, a series or any array, as Steps that tell how every number came about.

    `x` is a picture file, a .npy file, a PIL picture or an array; `operation` a name from `xk.operations`, which
    describes the `parameters`. `axes` names the axes of `x` ("sample", "time", "depth", "height", "width", "channel"
    in any order); by default one axis is time, two are height and width, three end in the channel; normalisations take
    the first for the sample. Calculated in float64. Raises UnknownName, ParameterError, and InputError for an `x` that
    cannot be read or is not finite.

        steps = xk.explore("photo.jpg", "cross-correlation", kernel="sobel-x", padding="same")
        steps.step(10, 20)            the window, the products and their sum
        xk.plot(steps.at(10, 20))     the same, drawn
    """
    applied = operations[operation].make(parameters)
    values, display = _read(x)
    values, names = _laid(values, axes, applied)
    found = applied(values, names)
    output = found["output"]
    best = np.unravel_index(int(np.abs(output).argmax()), output.shape)
    recorded = {"x": values, "axes": names, "display": display, "parameters": applied.given(), **found}
    return Steps(operation=operation, shown=tuple(int(i) for i in best), **recorded)


def _read(x: Any) -> tuple[Array, Array | None]:
    """Give the numbers of what was given, and the picture (height, width, 3) uint8 if it was one."""
    if isinstance(x, str | os.PathLike) and Path(x).suffix.lower() == ".npy":
        x = read_array(Path(x))
    picture = picture_array(x)
    if picture is not None:
        return picture.astype(np.float64), np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3)))
    values = np.asarray(x)
    if values.dtype.kind not in "biuf" or not values.size:
        raise InputError(f"an operation takes numbers, not {type(x).__name__} {values.dtype} {values.shape}")
    if not np.isfinite(values).all():
        raise InputError("the array holds NaN or infinite values")
    grey = values.dtype == np.uint8 and (values.ndim == 2 or (values.ndim == 3 and values.shape[-1] in (1, 3)))
    shown = (values if values.ndim == 3 else values[..., None]) if grey else None
    display = None if shown is None else np.ascontiguousarray(np.broadcast_to(shown, (*shown.shape[:2], 3)))
    return values.astype(np.float64), display


def _laid(values: Array, axes: Sequence[str] | None, operation: Operation) -> tuple[Array, tuple[str, ...]]:
    """Bring an array to (sample, *space, channel), each as far as it is there, the channel always."""
    names = tuple(axes) if axes is not None else type(operation).axes.get(values.ndim, ())
    if len(names) != values.ndim or len(set(names)) < len(names) or not set(names) <= set(BATCHED):
        known = ", ".join(BATCHED)
        said = f"axes={list(axes)!r}" if axes is not None else "no axes"
        raise ParameterError(f"the array has {values.ndim} axes and {said} given: name each as one of {known}")
    if operation.windows and "sample" in names:
        raise ParameterError("this operation is explored on one sample: take x[i], and leave 'sample' out of axes")
    order = [names.index(a) for a in BATCHED if a in names]
    values, names = values.transpose(order), tuple(names[i] for i in order)
    return (values, names) if "channel" in names else (values[..., None], (*names, "channel"))
