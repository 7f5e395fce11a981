"""Recurrent layers, their gates, and how their steps lie on those of the input."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors
from xaikit.errors import NotSupported, UnknownName, UsageError
from xaikit.graph import GATE
from xaikit.inputs import InputSpec, Text
from xaikit.model import Model

CELLS: Mapping[str, tuple[str, ...]] = {
    "lstm": ("i", "f", "g", "o", "c", "h"),
    "gru": ("z", "r", "n", "h"),
    "rnn": ("h",),
}
WAYS = ("", "forward/", "backward/")
DEEPEST = 16
"""Layers stacked in one module that are looked for."""
STEPS = ("time", "token")


def gates_of(model: Model, layer: str) -> dict[str, str]:
    """Name the gates of a recurrent layer, each with the name under which the model gives it; {} for any other."""
    known = model.layers
    places = (*WAYS, *(f"l{k}/{way}" for k in range(DEEPEST) for way in WAYS))
    names = [place + gate for place in places for gate in ("i", "f", "g", "o", "c", "z", "r", "n", "h")]
    return {name: f"{layer}/{name}" for name in names if _is_gate(known, f"{layer}/{name}")}


def _is_gate(known: Mapping[str, Any], name: str) -> bool:
    return name in known and known[name].kind == GATE


def kind_of(gates: Mapping[str, str]) -> str:
    """Give what kind of cell has these gates."""
    plain = {name.rpartition("/")[2] for name in gates}
    return next(kind for kind, cell in CELLS.items() if set(cell) <= plain)


def recurrent(model: Model) -> dict[str, dict[str, str]]:
    """Give the recurrent layers in call order, each with its gates."""
    found = {name: gates_of(model, name) for name in model.layers}
    return {name: gates for name, gates in found.items() if gates}


def chosen(model: Model, layer: str | None) -> tuple[str, dict[str, str]]:
    """Give the layer asked for, or the only recurrent one, with its gates.

    Raises UsageError where there are several and none is named, UnknownName, and NotSupported for a layer or a network
    without gates that can be read.
    """
    known = recurrent(model)
    if layer is not None:
        if layer not in model.layers:
            raise UnknownName(f"layer of {model.name}", layer, known or model.layers)
        if layer not in known:
            others = f": {', '.join(known)} are" if known else ""
            raise NotSupported(f"{layer!r} of {model.name} is no recurrent layer whose gates are known{others}")
        return layer, known[layer]
    if not known:
        looped = [n for n, la in model.layers.items() if la.kind in CELLS or la.kind.endswith("_cell")]
        why = f": {looped[0]!r} is a cell of its own making, or one that the network calls by itself" if looped else ""
        raise NotSupported(f"{model.name} has no recurrent layer whose gates are known{why}; use xk.activations")
    if len(known) > 1:
        raise UsageError(f"{model.name} has {len(known)} recurrent layers, name one: {', '.join(known)}")
    return next(iter(known.items()))


def ways(gates: Mapping[str, str]) -> dict[str, list[str]]:
    """Group the gates of a layer by direction and depth: "" or "forward", "l1/backward", ... to their names."""
    found: dict[str, list[str]] = {}
    for name in gates:
        found.setdefault(name.rpartition("/")[0], []).append(name)
    return found


def on_input(model: Model, layer: str, steps: int) -> bool:
    """Whether the steps of a layer are those of the input: all on the way up have as many, in time or tokens."""
    known, seen, waiting = model.layers, set(), list(model.layers[layer].parents)
    while waiting:
        name = waiting.pop()
        if name in seen or name not in known:
            continue
        seen.add(name)
        above = known[name]
        if not any(a in STEPS and n == steps for a, n in zip(above.axes[1:], above.shape, strict=False)):
            return False
        waiting += above.parents
    return True


def tokens_of(model: Model, x: Tensors, display: Any) -> tuple[tuple[str, ...], ...] | None:
    """Give what the tokens of each text are called, "" for a pad; None where the input is no text."""
    spec = model.inputs
    if not isinstance(spec, Text):
        return None
    if spec.vocabulary is not None:
        return tuple(tuple(map(str, row)) for row in spec.decode(np.asarray(x)))
    return tuple(_placed(spec, text, row) for text, row in zip(display, np.asarray(x), strict=True))


def _placed(spec: Text, text: Any, ids: Array) -> tuple[str, ...]:
    """Name the tokens of a text whose tokenizer has ids of its own; of plain ids the numbers."""
    if isinstance(text, str):
        return tuple("" if t is None else t[0] for t in spec.placed(text))
    return tuple("" if i == spec.pad else str(int(i)) for i in ids)


def present_of(model: Model, x: Tensors, count: int, steps: int, aligned: bool) -> Array:
    """Say which steps are no padding: (sample, time); all of them where the input says nothing of it."""
    spec = model.inputs
    said = getattr(spec, "present", lambda x: None)(x) if aligned and isinstance(spec, InputSpec) else None
    if said is None or said.shape != (count, steps):
        return np.ones((count, steps), bool)
    return np.asarray(said, bool)


def placed(values: Sequence[Array], present: Array) -> list[Array]:
    """Put the steps of packed sequences where they stand in the input: each (sample, time, unit).

    A network that packs its sequences moves them to the front, where padding was before them; behind their ends all
    gates are exactly zero. The k-th step of such a sequence is the k-th of the input that is no padding.
    """
    together = np.concatenate(list(values), -1)
    filled = (together != 0).any(-1)
    rows = [i for i in range(len(filled)) if _is_moved(filled[i], present[i])]
    moved = [np.array(v) for v in values]
    for v, given in zip(moved, values, strict=True):
        for i in rows:
            v[i] = 0
            v[i, present[i]] = given[i, : int(present[i].sum())]
    return moved


def _is_moved(filled: Array, present: Array) -> bool:
    count = int(filled.sum())
    at_front = bool(filled[:count].all())
    return at_front and count == int(present.sum()) and not np.array_equal(filled, present)


def directions(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pair the forward and the backward state of each depth of a layer with two directions."""
    for name in names:
        if name.endswith("forward/h"):
            yield name, name.replace("forward", "backward")
