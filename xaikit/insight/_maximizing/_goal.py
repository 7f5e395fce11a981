"""What is asked to be large, as an objective with its words: channels, units, directions or classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import numpy as np

from xaikit.arrays import Array, Tensors, concatenate, each
from xaikit.attribution._explain import logits_of
from xaikit.errors import NotSupported, ParameterError, TargetError
from xaikit.graph import Layer
from xaikit.inputs import Classes, LinearScore, ScoreKind, resolve
from xaikit.insight._asking import channels_named, require_layer
from xaikit.insight._maximizing._objectives import Channels, Directions, Objective, Target
from xaikit.model import Model

MOST_ROWS = 256
"""How many pictures are made at once; more would take hours, and are asked for in parts."""
Sign = bool | Literal["both"]


@dataclass(frozen=True, eq=False)
class Goal:
    """An objective with its words."""

    objective: Objective
    names: tuple[str, ...]
    numbers: tuple[int | None, ...]
    listed: tuple[int, ...] | None = None
    place: tuple[int, ...] | None = None
    targets: tuple[Any, ...] | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


def goal_of(
    model: Model,
    blank: Tensors,
    layer: str | None,
    channel: Any,
    unit: Any,
    target: Any,
    direction: Any,
    negative: Sign,
) -> Goal:
    """Give what is asked for as a Goal; `blank` is one input of the right shape.

    Raises UnknownName, NotSupported, ParameterError and TargetError for what the model does not have.
    """
    signs = {False: (1,), True: (-1,), "both": (1, -1)}[negative]
    if layer is None:
        return _of_output(model, blank, target, signs)
    require_layer(model, layer)
    tapped = _tapped(model, layer, unit or negative or None if direction is None else None)
    value = model.run(blank, at=[tapped.name]).activations[tapped.name]
    if value.ndim < 2:
        raise NotSupported(f"layer {layer!r} gives one number for a sample: it has no channels or units")
    at = -1 if tapped.channel is None else tapped.channel
    places = tuple(n for i, n in enumerate(value.shape) if i and i != at % value.ndim)
    place = _place(layer, places, unit)
    flat = None if place is None else int(np.ravel_multi_index(place, places))
    notes = {} if tapped.name == layer else {"tapped": tapped.name}
    count, word = value.shape[at], "channel" if places else "unit"
    if direction is not None:
        vectors = _vectors(direction, count, layer)
        doubled = np.repeat(vectors, len(signs), axis=0)
        sign = np.tile(np.array(signs, np.float32), len(vectors))
        objective: Objective = Directions(of=tapped.name, signs=sign, layer=tapped, place=flat, vectors=doubled)
        names = [f"direction {i + 1}" if len(vectors) > 1 else "the direction" for i in range(len(vectors))]
        return Goal(objective, _signed(names, signs), (None,) * len(sign), place=place, notes=notes)
    chosen = channels_named(channel, count, layer)
    every, sign = np.repeat(chosen, len(signs)), np.tile(np.array(signs, np.float32), len(chosen))
    objective = Channels(of=tapped.name, signs=sign, layer=tapped, place=flat, channels=every, shape=value.shape[1:])
    before = _tapped(model, layer, unit="centre")
    opened = objective if before is tapped else replace(objective, of=before.name, layer=before)
    objective = replace(objective, opened=None if opened is objective else opened)
    names = [f"{word} {c}" for c in chosen]
    return Goal(objective, _signed(names, signs), tuple(map(int, every)), tuple(map(int, chosen)), place, notes=notes)


def _tapped(model: Model, name: str, unit: Any) -> Layer:
    """Give the layer itself, or for a unit of a ReLU the layer whose values it cuts: both are largest together.

    So too where the least is sought, of which a ReLU leaves nothing. A mean of cut values is not the mean of the
    values, so it stays what was asked for.
    """
    layer = model.layers[name]
    if unit is None and layer.space:
        return layer
    parent = model.layers[layer.parents[0]] if len(layer.parents) == 1 and layer.parents[0] in model.layers else None
    before = layer.kind == "relu" and parent is not None and (parent.shape, parent.axes) == (layer.shape, layer.axes)
    return parent if before and parent is not None else layer


def _signed(names: Sequence[str], signs: Sequence[int]) -> tuple[str, ...]:
    return tuple(name if sign > 0 else f"{name}, least" for name in names for sign in signs)


def _place(layer: str, places: tuple[int, ...], unit: Any) -> tuple[int, ...] | None:
    if unit is None:
        return None
    if not places:
        raise ParameterError(f"layer {layer!r} has no places: leave unit= out")
    if isinstance(unit, str):
        if unit not in ("centre", "center"):
            raise ParameterError(f"unit is a place such as {tuple(n // 2 for n in places)}, or 'centre', not {unit!r}")
        return tuple(n // 2 for n in places)
    given = np.atleast_1d(np.asarray(unit))
    fits = given.dtype.kind in "iu" and given.shape == (len(places),)
    if not fits or not all(0 <= p < n for p, n in zip(given, places, strict=True)):
        ends = " × ".join(f"0..{n - 1}" for n in places)
        raise ParameterError(f"layer {layer!r} has the places {ends}, not {unit!r}")
    return tuple(int(p) for p in given)


def _vectors(direction: Any, count: int, layer: str) -> Array:
    try:
        vectors = np.atleast_2d(np.asarray(direction, np.float32))
    except (TypeError, ValueError):
        raise ParameterError(f"direction holds numbers, one per channel of {layer!r}, not {direction!r}") from None
    if vectors.ndim != 2 or vectors.shape[1] != count:
        raise ParameterError(
            f"layer {layer!r} has {count} channels; a direction has as many numbers, not {vectors.shape}"
        )
    if not np.isfinite(vectors).all() or not vectors.any(1).all():
        raise ParameterError("a direction has finite numbers that are not all zero")
    return vectors


def _of_output(model: Model, blank: Tensors, target: Any, signs: Sequence[int]) -> Goal:
    output = model.run(blank).output
    spec = model.outputs
    kind: ScoreKind = "output"
    classes = isinstance(spec, Classes | Mapping)
    if classes and logits_of(model, blank, output) is not None:
        kind = "logit"
    if target is None:
        if isinstance(spec, Mapping) or not hasattr(spec, "names") or np.asarray(output).ndim != 2:
            raise TargetError(f"{model.name} has no single row of outputs: choose target=, as xk.At(...), or a layer")
        target = list(range(len(spec.names)))
    asked = list(target) if isinstance(target, list | tuple | range | np.ndarray) else [target]
    if not asked:
        raise TargetError("there is no target in the list")
    if len(asked) * len(signs) > MOST_ROWS:
        raise ParameterError(
            f"{len(asked)} classes are too many for one call (at most {MOST_ROWS}): choose some, target=[...]"
        )
    repeated = each(lambda a: np.repeat(np.asarray(a)[:1], len(asked), axis=0), output)
    scores = resolve(asked, spec, repeated, kind)
    if not scores.linear:
        raise TargetError("an error of reconstruction grows without end: choose one of the outputs, or a layer")
    each_score = [cast(LinearScore, s) for s in scores.each for _ in signs]
    sign = np.tile(np.array(signs, np.float32), len(asked))
    stacked = [
        each(lambda w, v=v: np.asarray(w, np.float32)[None] * v, s.weights)
        for s, v in zip(each_score, sign, strict=True)
    ]
    offsets = np.array([s.offset * v for s, v in zip(each_score, sign, strict=True)])
    objective = Target(signs=sign, score=kind, weights=concatenate(stacked), offsets=offsets)
    names = [s.label for s in scores.each]
    targets = tuple(s.target for s in each_score)
    return Goal(
        objective,
        _signed(names, signs),
        tuple(t if isinstance(t, int) else None for t in targets),
        targets=targets,
    )
