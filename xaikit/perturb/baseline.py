"""Baselines: what stands in place of a hidden part, or where a path to the input starts."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors
from xaikit.errors import InputError, ParameterError, nearest
from xaikit.inputs import InputSpec

NAMED = ("mean", "blur", "zero")


def baselines(value: Any, spec: Any, x: Tensors) -> Tensors:
    """Give the encoded baselines of every sample: (sample, baseline, *shape), or a mapping of such arrays.

    `value` is a number or an array in display units, a set of samples (a background), "mean" (each channel's mean over
    the sample), "blur" (Gaussian, σ = a tenth of each axis), "zero", or None: the sample's mean for Image, the pad id
    for Text, the spec's background rows for Table, and 0 for everything else. For several inputs `value` may be a
    mapping by input name. Raises ParameterError or InputError.
    """
    if isinstance(x, Mapping):
        by_name = value if isinstance(value, Mapping) and set(value) <= set(x) else dict.fromkeys(x, value)
        return {n: _baselines(by_name.get(n), spec[n], a) for n, a in x.items()}
    return _baselines(value, spec, x)


def _baselines(value: Any, spec: InputSpec, x: Array) -> Array:
    if spec.kind == "Table":
        return _background_rows(value, spec, x)
    if value is None:
        value = {"Image": "mean", "Text": getattr(spec, "pad", 0)}.get(spec.kind, "zero")
    if isinstance(value, str):
        return _named(value, spec, x)[:, None]
    if np.isscalar(value):
        return _constant(float(value), spec, x)[:, None]  # type: ignore[arg-type]
    return _given(value, spec, x)


def _named(value: str, spec: InputSpec, x: Array) -> Array:
    if value not in NAMED:
        raise ParameterError(f"baseline {value!r} is not known{nearest(value, NAMED)}")
    if value == "zero":
        return _constant(0.0, spec, x)
    if x.dtype.kind in "iu":
        raise ParameterError(f"baseline {value!r} makes no sense for integer inputs such as token ids")
    space = tuple(i + 1 for i, axis in enumerate(spec.axes) if axis in ("height", "width", "time"))
    space = space or tuple(range(1, x.ndim))
    if value == "mean":
        return np.broadcast_to(x.mean(space, keepdims=True, dtype=np.float64), x.shape).astype(x.dtype)
    from scipy.ndimage import gaussian_filter

    sigma = [x.shape[i] / 10 if i in space else 0 for i in range(x.ndim)]
    return np.asarray(gaussian_filter(x.astype(np.float64), sigma, mode="nearest")).astype(x.dtype)


def _constant(value: float, spec: InputSpec, x: Array) -> Array:
    shown = np.full(x.shape[1:], value)
    encoded = shown if spec.kind in ("Array", "Raw", "Text") else spec.to_network(shown)
    return np.broadcast_to(encoded.astype(x.dtype), x.shape).copy()


def _given(value: Any, spec: InputSpec, x: Array) -> Array:
    if spec.kind == "Raw":
        array = np.asarray(value)
        encoded = array[None] if array.shape == x.shape[1:] else array
    else:
        encoded = spec.encode(value)
    if encoded.shape[1:] != x.shape[1:]:
        raise InputError(f"the baseline has shape {encoded.shape[1:]}, the input {x.shape[1:]}")
    return np.broadcast_to(encoded[None].astype(x.dtype), (len(x), *encoded.shape))


def _background_rows(value: Any, spec: Any, x: Array) -> Array:
    rows = spec.background if value is None else value
    if rows is None:
        raise ParameterError(
            "hiding a column needs typical rows: give baseline=rows (a DataFrame or a list of rows), "
            "or wrap the model with xk.Table(columns, background=rows)"
        )
    if isinstance(rows, str) or np.isscalar(rows):
        raise ParameterError(f"the baseline of a Table is a set of rows, not {rows!r}")
    encoded = spec.encode(rows)
    return np.broadcast_to(encoded[None], (len(x), *encoded.shape))
