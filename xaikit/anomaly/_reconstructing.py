"""Forecasters and networks that fill in what is hidden, as networks that give their input again."""

from collections.abc import Callable
from math import ceil
from typing import Any

import numpy as np

from xaikit.anomaly._restoring import restoring
from xaikit.arrays import Array
from xaikit.attribution._explain import require_wrapped
from xaikit.errors import InputError, NotSupported, ParameterError
from xaikit.inputs import Image, Reconstruction, Series, Values
from xaikit.model import Model
from xaikit.wrapping import wrap


def forecasting(model: Model, error: Any = "mse") -> Model:
    """A forecaster as a model of series that are longer by what it forecasts, for `xk.anomaly.fit`.

    Its samples are (time, channel) with `steps` + h steps, h being how many steps the forecaster gives. What it
    gives back are the first steps as they are, and the forecast for the rest, so that the whole error is that of the
    forecast; the mean over all steps is divided by its share of them. The forecast is in the series' own units, as the
    model's output spec says. Raises NotSupported for what is no forecaster of a series.
    Source: Malhotra et al., "Long Short Term Memory Networks for Anomaly Detection in Time Series" (2015).
    """
    require_wrapped(model, "anomaly.forecasting")
    spec = model.inputs
    if not isinstance(spec, Series) or not isinstance(model.outputs, Values):
        raise NotSupported(f"{model.name} forecasts no series: it takes {_kind(spec)} and gives {_kind(model.outputs)}")
    shape = np.asarray(model.run(np.zeros((1, *spec.shape), np.float32)).output).shape[1:]
    ahead, rest = divmod(int(np.prod(shape)), spec.channels)
    if rest:
        raise NotSupported(f"{model.name} gives {shape} for {spec.channels} channels: no whole number of steps")
    longer = Series(spec.steps + ahead, spec.channels, spec.rate, spec.mean, spec.std)

    def filled(x: Any) -> Array:
        given = np.asarray(x, np.float32)
        forecast = np.asarray(model.run(given[:, : spec.steps]).output).reshape(len(given), ahead, spec.channels)
        return np.concatenate([given[:, : spec.steps], spec.to_network(forecast)], axis=1)

    return _wrapped(model, filled, longer, error, f"{model.name} forecast")


def masking(
    model: Model, patch: int = 4, *, hidden: float = 0.5, rounds: int = 6, value: float = 0.0, seed: int = 0
) -> Model:
    """A network that fills in hidden patches as a model that never sees the place it gives, for `xk.anomaly.fit`.

    In each of `rounds` passes a share `hidden` of the patches (squares of `patch` pixels, or as many steps) is replaced
    by `value` (in the network's units), so that every patch is hidden equally often; what comes back at a place is the
    mean of what the network gave where that place was hidden. An autoencoder that copies its input cannot copy so.
    Raises NotSupported for inputs that are neither pictures nor series, and ParameterError. Source: Zavrtanik, Kristan
    and Skočaj, "Reconstruction by inpainting for visual anomaly detection" (2021).
    """
    model = restoring(model, "anomaly.masking")
    spec = model.inputs
    if not isinstance(spec, Image | Series):
        raise NotSupported(f"{model.name} takes {_kind(spec)}: patches are of pictures and series")
    if not 0 < hidden < 1 or rounds < 1 or patch < 1:
        raise ParameterError(
            f"hidden is a share in 0..1, patch and rounds are from 1 on, not {hidden}, {patch}, {rounds}"
        )
    masks = hidden_places(spec.shape, patch, hidden, rounds, seed)

    def filled(x: Any) -> Array:
        given = np.asarray(x, np.float32)
        found = np.zeros(given.shape)
        for mask in masks:
            found += np.where(mask, np.asarray(model.run(np.where(mask, np.float32(value), given)).output), 0)
        return found / masks.sum(0)

    return _wrapped(model, filled, spec, model.outputs.error, f"{model.name} masked")


def hidden_places(shape: tuple[int, ...], patch: int, hidden: float, rounds: int, seed: int) -> Array:
    """Say in each round which places are hidden: (round, *space, 1) bool, every one in at least one round.

    The patches are shuffled once and hidden in runs of equal length that begin at equal distances.
    """
    space = shape[:-1]
    grid = [ceil(n / patch) for n in space]
    count = int(np.prod(grid))
    length = max(1, round(hidden * count))
    order = np.random.default_rng(seed).permutation(count)
    needed = max(rounds, ceil(count / length))
    masks = np.zeros((needed, count), bool)
    for k in range(needed):
        begin = k * count // needed
        masks[k, order[(begin + np.arange(length)) % count]] = True
    found = masks.reshape(needed, *grid)
    for axis, n in enumerate(space):
        found = found.repeat(patch, axis + 1).take(np.arange(n), axis + 1)
    return found[..., None]


def _wrapped(model: Model, function: Callable[[Any], Array], spec: Any, error: Any, name: str) -> Model:
    try:
        version: str | None = f"{name} of {model.fingerprint()}"
    except (NotSupported, InputError):
        version = None
    found: Model = wrap(function, inputs=spec, outputs=Reconstruction(error), name=name, version=version)
    return found


def _kind(spec: Any) -> str:
    return type(spec).__name__
