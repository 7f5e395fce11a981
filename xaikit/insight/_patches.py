"""The places in a data set that excite one channel most, and what the unit sees there."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from xaikit.arrays import Tensors, length, rows
from xaikit.attribution import origin_of, prepare, require_wrapped
from xaikit.errors import InputError, ParameterError
from xaikit.inputs import InputSpec
from xaikit.insight._activations import axes_of, channels_last
from xaikit.insight._field import field
from xaikit.model import Model
from xaikit.progress import Progress, bar
from xaikit.results import TopPatches

CHUNK = 64
"""Samples that are read at a time."""
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")


@dataclass(frozen=True)
class _Hit:
    """One place of one sample; the encoded sample and its display are kept beside it."""

    value: float
    sample: int
    place: tuple[int, ...]
    x: Tensors
    display: Any

    @property
    def rank(self) -> tuple[Any, ...]:
        """The highest first; of equals the earlier sample and place."""
        return (-self.value, self.sample, self.place)


def top_patches(
    model: Model,
    samples: Any,
    layer: str,
    channel: int,
    k: int = 9,
    *,
    per_sample: int = 1,
    progress: Progress | bool | None = None,
) -> TopPatches:
    """Give the `k` places with the strongest activation of a channel, as TopPatches, strongest first.

    `samples` is a batch, a list, any iterable of samples, or a folder of pictures; it is read in chunks, and the
    answer is exact. At most `per_sample` places of one sample are taken. Each comes with the box of the input that the
    unit sees, where the layers between tell it. Raises UnknownName, ParameterError for a channel that the layer has
    not, InputError where there is no sample. Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional
    Networks" (2014), section 4.
    """
    require_wrapped(model, "top_patches")
    for name, number in (("k", k), ("per_sample", per_sample)):
        if not isinstance(number, int | np.integer) or number < 1:
            raise ParameterError(f"{name} is a whole number from 1 on, not {number!r}")
    start = time.perf_counter()
    best: list[_Hit] = []
    seen = 0
    given, total = _listed(model, samples)
    with bar(progress, f"top patches of {layer}") as shown:
        for chunk in given:
            x, display = prepare(model, chunk)
            hits = _hits(model, x, display, layer, channel, per_sample, seen)
            best = sorted([*best, *hits], key=lambda h: h.rank)[:k]
            seen += length(x)
            shown(seen, max(total, seen))
    if not best:
        raise InputError("there is no sample to look at: the list or folder is empty")
    return _result(model, best, layer, channel, seen, {"k": k, "per_sample": per_sample}, start)


def _listed(model: Model, samples: Any) -> tuple[Iterator[Any], int]:
    """Give the samples in chunks, and how many there are; 0 = not known."""
    if isinstance(samples, Mapping):
        return iter([samples]), 0
    if isinstance(samples, str | Path) and Path(samples).is_dir():
        samples = sorted(p for p in Path(samples).iterdir() if p.suffix.lower() in PICTURES)
    if not isinstance(samples, list) and (not isinstance(samples, Iterable) or _is_one_value(samples)):
        samples = model.inputs.samples(samples)
    return _chunked(samples), len(samples) if isinstance(samples, list) else 0


def _is_one_value(samples: Any) -> bool:
    """Whether a spec takes this apart: arrays, tables and text, not a stream of samples."""
    return isinstance(samples, str | Path) or hasattr(samples, "__array__") or hasattr(samples, "columns")


def _chunked(samples: Iterable[Any]) -> Iterator[list[Any]]:
    stream = iter(samples)
    while chunk := list(islice(stream, CHUNK)):
        yield chunk


def _hits(
    model: Model, x: Tensors, display: Any, layer: str, channel: int, per_sample: int, first: int
) -> Iterator[_Hit]:
    """Find the strongest places of every sample of one chunk."""
    run = model.run(x, at=[layer])
    values = channels_last(run.activations[layer], model.layers[layer])
    if not isinstance(channel, int | np.integer) or not 0 <= channel < values.shape[-1]:
        raise ParameterError(f"layer {layer!r} has the channels 0 to {values.shape[-1] - 1}, not {channel!r}")
    maps = values[..., channel]
    flat = np.nan_to_num(maps.reshape(len(maps), -1), nan=-np.inf)
    for i, row in enumerate(flat):
        for at in np.argsort(-row, kind="stable")[:per_sample]:
            place = tuple(int(n) for n in np.unravel_index(at, maps.shape[1:])) if maps.ndim > 1 else ()
            yield _Hit(float(row[at]), first + i, place, rows(x, slice(i, i + 1)), _one(display, i))


def _one(display: Any, i: int) -> Any:
    return {n: d[i] for n, d in display.items()} if isinstance(display, Mapping) else display[i]


def _result(
    model: Model, best: list[_Hit], layer: str, channel: int, seen: int, parameters: Mapping[str, Any], start: float
) -> TopPatches:
    x = _together([h.x for h in best], np.concatenate)
    display = _together([h.display for h in best], lambda each: np.stack(each) if _arrays(each) else list(each))
    described = model.layers[layer]
    boxes = [_box(model, layer, h.place) for h in best]
    return TopPatches(
        values=np.array([h.value for h in best]),
        samples=np.array([h.sample for h in best]),
        places=np.array([h.place for h in best], int).reshape(len(best), -1),
        boxes=None if any(b is None for b in boxes) else np.array(boxes),
        axes=axes_of(described)[1:-1],
        space=tuple(int(n or 0) for a, n in zip(described.axes[1:], described.shape, strict=True) if a != "channel")[
            : len(best[0].place)
        ],
        layer=layer,
        channel=int(channel),
        seen=seen,
        x=x,
        display=display,
        input_spec=model.inputs,
        origin=origin_of(
            model,
            x,
            "top-patches",
            parameters={"layer": layer, "channel": int(channel), **parameters},
            seconds=time.perf_counter() - start,
            calls=seen,
        ),
    )


def _box(model: Model, layer: str, place: tuple[int, ...]) -> tuple[tuple[int, int], ...] | None:
    """Give what a unit sees of the only input; None where that is not known, or the input has no places."""
    spec = model.inputs
    if not isinstance(spec, InputSpec) or spec.kind not in ("Image", "Series") or not place:
        return None
    inputs = {"input": dict(zip(spec.axes[:-1], spec.shape[:-1], strict=True))}
    found = field(model.layers, inputs, layer, place)
    box = next(iter(found.values())) if len(found) == 1 else None
    return box if box is not None and len(box) == len(spec.shape) - 1 else None


def _arrays(values: list[Any]) -> bool:
    return all(isinstance(v, np.ndarray | np.generic) for v in values)


def _together(each: list[Any], join: Any) -> Any:
    """Join samples one below the other, input by input where there are several."""
    if isinstance(each[0], Mapping) and isinstance(next(iter(each[0].values())), np.ndarray | np.generic):
        return {n: join([e[n] for e in each]) for n in each[0]}
    return join(each)
