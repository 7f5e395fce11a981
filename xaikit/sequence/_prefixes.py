"""What a network predicts when it has read only the beginning of a sequence."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from xaikit.arrays import Array, chunks, length
from xaikit.attribution import origin_of, prepare, require_wrapped
from xaikit.errors import InputError, ModelError, NotSupported, ParameterError, TargetError
from xaikit.inputs import At, Series, Text
from xaikit.model import Model
from xaikit.results import Prefixes
from xaikit.sequence._flow import scores_at, stepped
from xaikit.sequence._layers import on_input, recurrent, tokens_of, ways
from xaikit.wrapping import wrap

AT_ONCE = 512
"""So many prefixes are asked about at once."""


def prefixes(model: Model, x: Any, target: Any = None, *, every: int = 1) -> Prefixes:
    """Give the score of `target` for growing beginnings of every sample, as Prefixes: `scores` (sample, prefix).

    `target` is as in `xk.explain`: None takes the class predicted for the whole. `every` leaves out lengths, never the
    whole. What has not been read is padding, on the side where the input spec puts it. A series without padding is
    answered from the state after so many steps where the network reads the last state alone, from the answers at every
    step where these do not hang on later steps, and is cut otherwise.
    Scores are logits of classes where the network has them. The states of stateful networks begin anew every time.

    Raises InputError for an input without steps, TargetError, and NotSupported where a network takes no shorter series.
    """
    require_wrapped(model, "prefixes")
    if every < 1:
        raise ParameterError(f"every is at least 1, not {every!r}")
    spec = model.inputs
    if not isinstance(spec, Text | Series):
        kind = getattr(spec, "kind", "several inputs")
        raise InputError(f"{model.name} takes {kind}: prefixes need Text or a Series")
    start = time.perf_counter()
    encoded, display = prepare(model, x)
    x = np.asarray(encoded)
    output = model.run(x).output
    if isinstance(output, Mapping):
        raise NotSupported(f"{model.name} has several outputs ({', '.join(output)}): wrap it with one of them")
    scores = scores_at(model, target, x, output)
    there = spec.present(x)
    there = np.ones(x.shape[:2], bool) if there is None else np.asarray(there)
    cut = [_lengths(int(n), every) for n in there.sum(1)]
    index = np.repeat(np.arange(len(x)), [len(c) for c in cut])
    kept = np.concatenate(cut)
    each = np.ndim(output) == 3 and np.shape(output)[1] == x.shape[1]
    padded = isinstance(spec, Text) or spec.pad is not None
    asked = target if isinstance(target, list) else [target]
    if each and not padded and any(isinstance(t, At) and t.step is not None for t in asked):
        raise TargetError(f"{model.name} answers at every step: each prefix is asked at its last one, leave step= out")
    given, how = _answers(model, x, there, index, kept, scores.kind, each)
    if stepped(model, target, x, output) is not target and each:
        given = _as_if_last(given, x.shape[1], _padded_before(spec, there), index, kept)
    found = scores.value(given, x[index], index)
    values, lengths = _table(found, kept, index, len(x))
    return Prefixes(
        scores=values,
        lengths=lengths,
        tokens=tokens_of(model, x, display),
        target=tuple(score.label for score in scores.each),
        how=how,
        x=encoded,
        display=display,
        input_spec=spec,
        output_spec=model.outputs,
        origin=origin_of(
            model,
            encoded,
            "prefixes",
            parameters={"target": target, "every": every},
            seconds=time.perf_counter() - start,
            calls=length(x) + len(kept),
            score=scores.kind,
        ),
    )


def _lengths(steps: int, every: int) -> Array:
    """Give the lengths of the prefixes of so many steps, the whole always the last."""
    return np.unique([*range(every, steps + 1, every), max(steps, 1)])


def _answers(
    model: Model, x: Array, there: Array, index: Array, kept: Array, kind: Any, each: bool
) -> tuple[Array, str]:
    """Ask about all prefixes; say how the rest was taken away. `each`: the network answers at each step."""
    spec = model.inputs
    if isinstance(spec, Text) or spec.pad is not None:
        made = (_padded(spec, x, there, index[s], kept[s]) for s in chunks(len(index), AT_ONCE))
        return _joined([model.run(part, score=kind).output for part in made]), "the rest is padding"
    found = _last_state(model, x)
    if found is not None:
        state, place = found
        return _from_states(model, state, place, x, index, kept, kind), f"read from {state!r} after so many steps"
    every = _as_read(model, x, kind) if each else None
    if every is not None:
        return every[index, kept - 1][:, None], "answered at every step from what was read until then"
    return _cut(model, x, index, kept, kind, each), "the series ends there"


def _padded(spec: Any, x: Array, there: Array, index: Array, kept: Array) -> Array:
    """Give the first `kept` steps of each sample that are no padding, and padding for the rest.

    Of a series the padding stays on the side where the sample has some, and comes after it where it has none.
    """
    empty = spec.pad if isinstance(spec, Text) else spec.to_network(np.full(spec.shape, spec.pad))[0]
    made = np.empty((len(index), *x.shape[1:]), x.dtype)
    made[:] = empty
    steps, before = x.shape[1], _padded_before(spec, there)
    for row, i, n in zip(made, index, kept, strict=True):
        read = np.flatnonzero(there[i])[:n]
        row[steps - len(read) :] = x[i, read] if before[i] else row[steps - len(read) :]
        if not before[i]:
            row[: len(read)] = x[i, read]
    return made


def _padded_before(spec: Any, there: Array) -> Array:
    """Say of each sample whether its prefixes have their padding before them: (sample,) bool."""
    return np.full(len(there), spec.pad_side == "left") if isinstance(spec, Text) else ~there[:, 0]


def _last_state(model: Model, x: Array) -> tuple[str, str] | None:
    """Name the state that the whole answer hangs on at its last step alone, and where it is put; None without any.

    That is so if the states of all other steps can be thrown away, and nothing goes around the layer. It is put in the
    place of what the layer gives, or, where the network reads more of the layer than that, of the state inside.
    """
    for layer, gates in reversed(list(recurrent(model).items())):
        along = list(ways(gates))
        if any("ward" in way for way in along) or not on_input(model, layer, x.shape[1]):
            continue
        state = gates[f"{along[-1]}/h".removeprefix("/")]
        ran = model.run(x[:1], at=[state])
        held = ran.activations[state]
        if held.shape[1] != x.shape[1]:
            continue
        for place in (layer, state):
            if not _fits(model, place, held):
                continue
            put = _put(model, place, held[:, -1])
            if put.ndim == 3:
                put[:, :-1] = 0
            other = model.run(np.zeros_like(x[:1]), patch={place: put}).output
            if np.allclose(np.asarray(other), np.asarray(ran.output), rtol=1e-4, atol=1e-6):
                return state, place
    return None


def _fits(model: Model, place: str, held: Array) -> bool:
    return model.layers[place].shape in (held.shape[1:], held.shape[-1:])


def _put(model: Model, place: str, last: Array) -> Array:
    """Give what stands in the place of a layer's output when its last state is this: (sample, unit) or with steps."""
    shape = model.layers[place].shape
    return last if len(shape) == 1 else np.repeat(last[:, None], int(shape[0] or 1), axis=1)


def _from_states(model: Model, state: str, place: str, x: Array, index: Array, kept: Array, kind: Any) -> Array:
    """Answer with the state after each prefix in the place of the last one."""
    held = model.run(x, at=[state]).activations[state]
    parts = list(chunks(len(index), AT_ONCE))
    put = [{place: _put(model, place, held[index[s], kept[s] - 1])} for s in parts]
    return _joined([model.run(x[index[s]], patch=p, score=kind).output for s, p in zip(parts, put, strict=True)])


def _as_read(model: Model, x: Array, kind: Any) -> Array | None:
    """Give the answers at every step of the input, if what comes later changes none of them; else None.

    Tried by putting other steps behind the first, the middle and the last but one.
    """
    given = np.asarray(model.run(x, score=kind).output)
    steps = x.shape[1]
    for n in {1, steps // 2, steps - 1} - {0, steps}:
        other = x[:1].copy()
        other[:, n:] = x[:1, n:][:, ::-1] + 1
        moved = np.asarray(model.run(other, score=kind).output)
        if not np.allclose(moved[:, :n], given[:1, :n], rtol=1e-4, atol=1e-6):
            return None
    return given


def _joined(answers: list[Any]) -> Array:
    return np.concatenate([np.asarray(a) for a in answers])


def _cut(model: Model, x: Array, index: Array, kept: Array, kind: Any, each: bool) -> Array:
    """Answer for shorter series, each length behind a wrapper of its own; of answers at every step the last."""
    spec: Any = model.inputs
    answers: dict[int, Array] = {}
    for n in np.unique(kept):
        rows = np.flatnonzero(kept == n)
        try:
            shorter: Any = model if n == spec.steps else _rewrapped(model, replace(spec, steps=int(n)))
            found = np.asarray(shorter.run(x[index[rows], :n], score=kind).output)
        except (ModelError, InputError) as error:
            raise NotSupported(
                f"{model.name} takes no series of {n} of its {spec.steps} steps ({error}): wrap it with "
                "xk.Series(..., pad=...) if it knows padding"
            ) from None
        found = found[:, -1:] if each else found
        if answers and found.shape[1:] != next(iter(answers.values())).shape:
            raise NotSupported(f"{model.name} gives outputs of another shape for {n} of its {spec.steps} steps")
        answers.update(zip(rows.tolist(), found, strict=True))
    return np.stack([answers[k] for k in range(len(kept))])


def _rewrapped(model: Any, spec: Series) -> Model:
    if not hasattr(model, "net"):
        raise ModelError("it cannot be wrapped anew")
    return wrap(model.net, inputs=spec, outputs=model.outputs, layout=model.layout)


def _as_if_last(given: Array, steps: int, before: Array, index: Array, kept: Array) -> Array:
    """Put the answer at the last step that was read at all steps: the score is taken at one of them."""
    if given.shape[1] != steps:  # they were cut, and have their last answer alone
        return np.repeat(given, steps, axis=1)
    last = np.where(before[index], steps - 1, kept - 1)
    return np.repeat(given[np.arange(len(given)), last][:, None], steps, axis=1)


def _table(found: Array, kept: Array, index: Array, count: int) -> tuple[Array, Array]:
    widest = int(np.bincount(index).max())
    values, lengths = np.full((count, widest), np.nan), np.zeros((count, widest), np.int64)
    for i in range(count):
        own = index == i
        values[i, : own.sum()], lengths[i, : own.sum()] = found[own], kept[own]
    return values, lengths
