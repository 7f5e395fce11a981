"""What a network gives back of samples that were spoiled, and of each place that it was not shown."""

import time
from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np

from xaikit.anomaly._codes import reconstructed, require_one_input
from xaikit.anomaly._reconstructing import hidden_places
from xaikit.arrays import Array
from xaikit.attribution._explain import origin_of, prepare
from xaikit.errors import NotSupported, ParameterError, UnknownName
from xaikit.inputs import Image, Series
from xaikit.model import Model
from xaikit.results import Inpainting, Restorations


def restore(
    model: Model, x: Any, kind: str = "noise", levels: Sequence[float] | None = None, *, patch: int = 4, seed: int = 0
) -> Restorations:
    """What a denoising or masked autoencoder gives back of samples that are spoiled more and more.

    kind: "noise" adds normally distributed numbers of the standard deviations `levels` (network units, by default 0 to
    0.8 of the samples' range), kept within that range; "mask" sets shares `levels` (by default 0.2 to 0.8) of the
    patches to 0, and only these places are judged. Raises UnknownName, ParameterError, NotSupported.
    """
    start = time.perf_counter()
    require_one_input(model, "restore")
    if kind not in ("noise", "mask"):
        raise UnknownName("way to spoil samples", kind, ("noise", "mask"))
    clean = np.asarray(prepare(model, x)[0], np.float32)
    known, given, places = (
        _noised(clean, levels, seed) if kind == "noise" else _hidden(model, clean, levels, patch, seed)
    )
    back = np.stack([reconstructed(model, g) for g in given])
    axes = tuple(range(2, given.ndim))
    counts = places.sum(axes)
    return Restorations(
        kind=kind,
        levels=known,
        clean=clean,
        given=given,
        restored=back,
        errors=(np.square(back - clean, dtype=np.float64) * places).sum(axes) / counts,
        before=(np.square(given - clean, dtype=np.float64) * places).sum(axes) / counts,
        hidden=places[:, 0, ..., :1] if kind == "mask" else None,
        input_spec=model.inputs,
        origin=origin_of(
            model,
            clean,
            "restorations",
            parameters={"kind": kind, "levels": known.tolist()} | ({"patch": patch} if kind == "mask" else {}),
            seconds=time.perf_counter() - start,
            calls=len(clean) * len(known),
            seed=seed,
        ),
    )


def _noised(clean: Array, levels: Sequence[float] | None, seed: int) -> tuple[Array, Array, Array]:
    low, high = float(clean.min()), float(clean.max())
    known = np.asarray((0, 0.1, 0.2, 0.4, 0.8) if levels is None else levels, np.float64)
    known = known * (high - low) if levels is None else known
    if not len(known) or not (known >= 0).all():
        raise ParameterError(f"levels are standard deviations from 0 on, not {levels}")
    noise = np.random.default_rng(seed).standard_normal(clean.shape)
    given = np.stack([np.clip(clean + s * noise, low, high) for s in known]).astype(np.float32)
    return known, given, np.ones(given.shape, bool)


def _hidden(
    model: Model, clean: Array, levels: Sequence[float] | None, patch: int, seed: int
) -> tuple[Array, Array, Array]:
    _require_places(model)
    known = np.asarray((0.2, 0.4, 0.6, 0.8) if levels is None else levels, np.float64)
    if not len(known) or not ((known > 0) & (known < 1)).all():
        raise ParameterError(f"levels are hidden shares between 0 and 1, not {levels}")
    masks = [hidden_places(clean.shape[1:], _patch(patch), s, 1, seed)[0] for s in known]
    places = np.stack([np.broadcast_to(m, clean.shape) for m in masks])
    return known, np.where(places, 0, clean).astype(np.float32), places


def inpaint(
    model: Model, x: Any, *, patch: int = 4, hidden: float | None = None, value: float = 0.0, seed: int = 0
) -> Inpainting:
    """What a network gives for every patch of a sample from its surroundings alone, and how far off that is.

    Each patch (a square of `patch` pixels, or as many steps) is replaced by `value` (network units), and what comes
    back there is kept; an anomaly that a plain reconstruction copies is not to be seen through it. hidden: the share of
    the patches that is replaced at a time, as a masked autoencoder was trained with; by default one patch. Raises
    ParameterError, and NotSupported for inputs that are neither pictures nor series.
    """
    start = time.perf_counter()
    require_one_input(model, "inpaint")
    _require_places(model)
    if hidden is not None and not 0 < hidden < 1:
        raise ParameterError(f"hidden is a share between 0 and 1, not {hidden}")
    given = np.asarray(prepare(model, x)[0], np.float32)
    shape = given.shape[1:]
    count = int(np.prod([ceil(n / _patch(patch)) for n in shape[:-1]]))
    masks = hidden_places(shape, patch, 1 / count if hidden is None else hidden, 1, seed)
    filled = np.zeros(given.shape)
    for mask in masks:
        shown = np.where(mask, np.float32(value), given)
        filled += np.where(mask, reconstructed(model, shown), 0)
    filled = (filled / masks.sum(0)).astype(np.float32)
    copied = reconstructed(model, given).astype(np.float32)
    return Inpainting(
        x=given,
        filled=filled,
        copied=copied,
        errors=np.square(filled - given, dtype=np.float64).mean(-1),
        copied_errors=np.square(copied - given, dtype=np.float64).mean(-1),
        patch=patch,
        hidden=1 / count if hidden is None else hidden,
        input_spec=model.inputs,
        origin=origin_of(
            model,
            given,
            "inpainting",
            parameters={"patch": patch, "hidden": hidden, "value": value},
            seconds=time.perf_counter() - start,
            calls=len(given) * (len(masks) + 1),
            seed=seed,
        ),
    )


def _require_places(model: Model) -> None:
    if not isinstance(model.inputs, Image | Series):
        raise NotSupported(f"patches are of pictures and series, and {model.name} takes neither")


def _patch(patch: int) -> int:
    if patch < 1:
        raise ParameterError(f"patch is a number of places from 1 on, not {patch}")
    return patch
