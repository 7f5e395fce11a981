"""Baselines: what stands in place of a hidden part, or where a path to the input starts."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors
from xaikit.errors import InputError, ParameterError, nearest
from xaikit.inputs import Image, InputSpec, Text

NAMED = ("mean", "blur", "zero", "encoded-zero", "noise", "resample")
DRAWS = 5
"""How many baselines are drawn unless another number is asked for."""


def baselines(value: Any, spec: Any, x: Tensors, seed: int = 0) -> Tensors:
    """Give the encoded baselines of every sample: (sample, baseline, *shape), or a mapping of such arrays.

    `value` is a number or an array in display units, a set of samples (a background), "mean" (each channel's mean over
    the sample), "blur" (Gaussian, σ = a tenth of each axis), "zero" (0 in display units), "encoded-zero" (0 as the
    network sees it), "noise" or ("noise", {"draws": 5}) (uniform over the display range of an Image, over each
    channel's range in the sample elsewhere, from `seed`), "resample" or ("resample", {"rows": background, "draws": 5})
    (each number drawn from those that its channel has anywhere in the background, or in the sample itself), a list with
    such names (all of them), for Text also texts, an id or "unknown", or None: the sample's mean for Image, the pad id
    for Text, the spec's background rows for Table, and 0 for everything else. For several inputs `value` may be a
    mapping by input name; their baselines belong together row by row. Raises ParameterError or InputError.
    """
    if isinstance(x, Mapping):
        own = by_input(value, x)
        return aligned({n: kept_pads(_baselines(own[n], spec[n], a, seed), spec[n], a) for n, a in x.items()})
    return kept_pads(_baselines(value, spec, x, seed), spec, x)


def by_input(value: Any, names: Iterable[str]) -> dict[str, Any]:
    """Give what is asked for each of several inputs: a mapping by their names says it, anything else is for all."""
    names = list(names)
    if isinstance(value, Mapping) and set(value) <= set(names):
        return {name: value.get(name) for name in names}
    return dict.fromkeys(names, value)


def kept_pads(found: Array, spec: InputSpec, x: Array) -> Array:
    """Leave padding what it is in every baseline (sample, baseline, *shape): it is no part of the sample."""
    present = spec.present(x)
    return found if present is None else np.where(over(present, x)[:, None], found, x[:, None])


def over(present: Array, values: Array) -> Array:
    """Give what is said of places (sample, *places) the axes of values (sample, *places, ...)."""
    return present.reshape(*present.shape, *(1,) * (values.ndim - present.ndim))


def aligned(found: Mapping[str, Array]) -> dict[str, Array]:
    """Give all inputs (sample, baseline, ...) the same number of baselines; a single one serves all rows."""
    count = max(a.shape[1] for a in found.values())
    if any(a.shape[1] not in (1, count) for a in found.values()):
        said = ", ".join(f"{name}: {a.shape[1]}" for name, a in found.items())
        raise ParameterError(f"the inputs have different numbers of baselines ({said}); their rows belong together")
    return {name: np.broadcast_to(a, (len(a), count, *a.shape[2:])) for name, a in found.items()}


def _baselines(value: Any, spec: InputSpec, x: Array, seed: int) -> Array:
    if _is_list(value, spec):
        if not len(value):
            raise ParameterError("the baseline is an empty list")
        return np.concatenate([_baselines(v, spec, x, seed) for v in value], axis=1)
    if spec.kind == "Table":
        return _background_rows(value, spec, x)
    if value is None:
        value = {"Image": "mean", "Text": getattr(spec, "pad", 0)}.get(spec.kind, "zero")
    if isinstance(spec, Text) and isinstance(value, str) and value not in NAMED:
        return _constant(spec.unknown, spec, x)[:, None] if value == "unknown" else _given([value], spec, x)
    name, parameters = _named(value)
    if name == "noise":
        return _noise(spec, x, seed, _draws(parameters))
    if name == "resample":
        return _resampled(spec, x, seed, _draws(parameters), parameters.get("rows"))
    if name is not None:
        return _of_sample(name, spec, x)[:, None]
    if np.isscalar(value):
        return _constant(_number(value), spec, x)[:, None]
    return _given(value, spec, x)


def _is_list(value: Any, spec: InputSpec) -> bool:
    """Whether this is a list of baselines: some of its entries are names, or numbers that are no sample together."""
    if not isinstance(value, list) or spec.kind in ("Text", "Table", "Raw"):
        return False
    numbers = all(isinstance(v, int | float) for v in value) and spec.shape != (len(value),)
    return numbers or any(v is None or _is_name(v) for v in value)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str))


def _named(value: Any) -> tuple[str | None, Mapping[str, Any]]:
    """Read a name, or a name with parameters; (None, {}) for anything else."""
    if not _is_name(value):
        return None, {}
    name, parameters = value if isinstance(value, tuple) else (value, {})
    if name not in NAMED:
        raise ParameterError(f"baseline {name!r} is not known{nearest(name, NAMED)}")
    known = {"noise": {"draws"}, "resample": {"draws", "rows"}}.get(name, set())
    if not isinstance(parameters, Mapping) or set(parameters) - known:
        takes = {"noise": "draws, a number from 1", "resample": "draws and rows"}.get(name, "no parameters")
        raise ParameterError(f"baseline {name!r} takes {takes}, not {parameters!r}")
    return name, parameters


def _draws(parameters: Mapping[str, Any]) -> int:
    draws = parameters.get("draws", DRAWS)
    if not isinstance(draws, int | np.integer) or isinstance(draws, bool) or draws < 1:
        raise ParameterError(f"it takes draws, a number from 1: ('noise', {{'draws': 5}}), not {draws!r}")
    return int(draws)


def _number(value: Any) -> float:
    if isinstance(value, bool | complex | bytes) or not np.isfinite(value):
        raise ParameterError(f"a baseline is a finite number, an array, or one of {', '.join(NAMED)}, not {value!r}")
    return float(value)


def _of_sample(name: str, spec: InputSpec, x: Array) -> Array:
    if name == "zero":
        return _constant(0.0, spec, x)
    if name == "encoded-zero":
        return np.zeros_like(x)
    _refuse_ids(name, x)
    space = tuple(i + 1 for i, axis in enumerate(spec.axes) if axis in ("height", "width", "time"))
    space = space or tuple(range(1, x.ndim))
    if name == "mean":
        return np.broadcast_to(x.mean(space, keepdims=True, dtype=np.float64), x.shape).astype(x.dtype)
    from scipy.ndimage import gaussian_filter

    sigma = [x.shape[i] / 10 if i in space else 0 for i in range(x.ndim)]
    return np.asarray(gaussian_filter(x.astype(np.float64), sigma, mode="nearest")).astype(x.dtype)


def _noise(spec: InputSpec, x: Array, seed: int, draws: int) -> Array:
    """Draw uniform noise, the stream anew for every sample: (sample, draw, *shape). Source: Sturmfels, Lundberg and
    Lee, "Visualizing the Impact of Feature Attribution Baselines" (2020), section "uniform"."""
    _refuse_ids("noise", x)
    share = np.random.default_rng(seed).random((draws, *x.shape[1:]))
    if isinstance(spec, Image):
        drawn = np.stack([spec.to_network(s / spec.scale) for s in share])
        return np.broadcast_to(drawn[None], (len(x), *drawn.shape)).astype(x.dtype)
    space = tuple(range(1, x.ndim - 1)) or tuple(range(1, x.ndim))
    low, high = x.min(space, keepdims=True)[:, None], x.max(space, keepdims=True)[:, None]
    return np.asarray(low + share * (high - low)).astype(x.dtype)


def _resampled(spec: InputSpec, x: Array, seed: int, draws: int, rows: Any) -> Array:
    """Draw every number from those of its channel, the stream anew for every sample: (sample, draw, *shape). Source:
    Tonekaboni et al., "What Went Wrong and When?" (2020), section 4, the augmented feature occlusion."""
    _refuse_ids("resample", x)
    background = None if rows is None else _given(rows, spec, x)[0]
    share = np.random.default_rng(seed).random((draws, *x.shape[1:]))
    present = spec.present(x)
    found = np.empty((len(x), *share.shape), x.dtype)
    for i, own in enumerate(x if present is None else [a[p] for a, p in zip(x, present, strict=True)]):
        pool = (own if background is None else background).reshape(-1, *x.shape[-1:] if x.ndim > 2 else (1,))
        pick = (share * len(pool)).astype(int)
        found[i] = np.take_along_axis(pool, pick.reshape(-1, pool.shape[1]), axis=0).reshape(share.shape)
    return found


def _refuse_ids(name: str, x: Array) -> None:
    if x.dtype.kind in "iu":
        raise ParameterError(f"baseline {name!r} makes no sense for integer inputs such as token ids")


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
    encoded = spec.encoded_background if value is None else spec.encode(rows)
    return np.broadcast_to(encoded[None], (len(x), *encoded.shape))
