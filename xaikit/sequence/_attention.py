"""Where attention looked."""

import time
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, length
from xaikit.attribution import origin_of, prepare, require_wrapped
from xaikit.errors import NotSupported, UnknownName, UsageError
from xaikit.model import Model
from xaikit.results import AttentionMap, Status
from xaikit.sequence._layers import present_of, tokens_of

SUM = 1e-3
"""How far a row may be from one and still be a distribution; half precision leaves 1e-3 at most."""
MASKED = 1e-6
"""What a masked step may still weigh: e^-1e4 and its like are zero, but frameworks differ in what they add."""
NOTICED = 0.01
"""The share of attention on padding that is worth a warning."""


def attention(model: Model, x: Any, layer: str | None = None) -> AttentionMap:
    """Give where attention looked, as AttentionMap: `weights` (sample, *head, target step, source step).

    Additive, dot-product and multi-head attention of either framework, by the name of the layer or of its weights;
    `layer=None` is the only one. Of attention that sums a sequence up, name its softmax: it has one target step. Masked
    cells, of padding and of steps to come, are NaN; the others of a row sum to one. It says where the network looked,
    not why it answered: the same answer may come from other weights (Jain and Wallace 2019, "Attention is not
    Explanation").

    Raises UsageError that lists the layers where there are several, UnknownName, InputError, and NotSupported for a
    network or a layer without attention. Sources: Bahdanau, Cho and Bengio (2015), section 3.1; Vaswani et al. (2017),
    section 3.2.
    """
    require_wrapped(model, "attention")
    start = time.perf_counter()
    encoded, display = prepare(model, x)
    prediction = model.run(encoded).output
    name = _chosen(model, layer)
    given = _by_target(model.run(encoded, at=[name]).activations[name])
    if given.ndim not in (3, 4) or not _are_shares(given):
        raise NotSupported(f"{name!r} of {model.name} gives {given.shape}, no weights of attention that sum to one")
    targets, sources = given.shape[-2:]
    known = model.layers[name]
    ends = {n: _on_input(model, known.parents, n) for n in (targets, sources)}
    there = present_of(model, encoded, len(given), sources, ends[sources])
    asked = present_of(model, encoded, len(given), targets, ends[targets])
    on_pads = _on_padding(given, there, asked)
    weights = _masked(given, there, asked, on_pads)
    tokens = tokens_of(model, encoded, display)
    return AttentionMap(
        weights=weights,
        axes=("sample", "head", "target", "source") if given.ndim == 4 else ("sample", "target", "source"),
        layer=name,
        source=_names(tokens if ends[sources] else None, there),
        target=_names((tokens if ends[targets] else None) or _answers(model, prediction, targets), asked),
        x=encoded,
        display=display,
        input_spec=model.inputs,
        output_spec=model.outputs,
        status=_status(on_pads),
        origin=origin_of(
            model,
            encoded,
            "attention",
            parameters={"layer": name},
            seconds=time.perf_counter() - start,
            calls=2 * length(encoded),
        ),
    )


def _chosen(model: Model, layer: str | None) -> str:
    known = _weights_of(model)
    if layer is None:
        if not known:
            inner = list(model.layers.items())[:-1]  # the last is the answer
            squares = [n for n, la in inner if la.kind == "softmax" and len(la.shape) in (1, 2, 3)]
            hint = f"if {squares[0]!r} gives its weights, name it" if squares else "use xk.activations, or xk.explain"
            raise NotSupported(f"{model.name} has no layer of attention whose weights are known; {hint}")
        if len(known) > 1:
            raise UsageError(f"{model.name} has {len(known)} layers of attention, name one: {', '.join(known)}")
        return known[0]
    for name in (f"{layer}/weights", f"{layer}.weights", layer):
        if name in model.layers:
            return name
    raise UnknownName(f"attention of {model.name}", layer, known or model.layers)


def _weights_of(model: Model) -> list[str]:
    """List the layers that give weights of attention: those inside attention, and softmaxes named so over two steps."""
    return [
        name
        for name, la in model.layers.items()
        if la.kind == "attention_weights"
        or (la.kind == "softmax" and name.rpartition(".")[2] == "weights" and len(la.shape) in (2, 3))
    ]


def _by_target(given: Array) -> Array:
    """Give weights that sum a sequence up, (sample, source) or (sample, source, 1), one step of the target."""
    if given.ndim == 3 and given.shape[-1] == 1 < given.shape[1]:
        return given.transpose(0, 2, 1)
    return given[:, None] if given.ndim == 2 else given


def _are_shares(given: Array) -> bool:
    sums = given.astype(np.float64).sum(-1)
    finite = np.isfinite(given).all(-1)
    whole = (np.abs(sums - 1) < SUM) | (sums == 0) | ~finite  # a row without anything to look at is zero or NaN
    return bool(whole.all() and finite.any() and (given[finite] >= 0).all())


def _on_input(model: Model, parents: tuple[str, ...], steps: int) -> bool:
    """Whether one of the sequences that attention reads has as many steps, and they are those of the input."""
    whole = getattr(model.inputs, "shape", ())[:1] == (steps,)
    return whole and any(_reaches(model, parent, steps) for parent in parents)


def _reaches(model: Model, layer: str, steps: int) -> bool:
    """Whether a layer's steps lead to those of the input on some way that keeps their number."""
    known, seen, waiting = model.layers, set(), [layer]
    while waiting:
        name = waiting.pop()
        if name not in known:
            return True
        if name in seen or steps not in known[name].shape:
            continue
        seen.add(name)
        waiting += known[name].parents
    return False


def _on_padding(given: Array, there: Array, asked: Array) -> float:
    """Give the mean share of attention that steps which are no padding pay to padding."""
    rows = given if given.ndim == 3 else given.mean(1)
    lost = np.where(there[:, None], 0.0, np.nan_to_num(rows)).sum(-1)
    return float(lost[asked].mean()) if asked.any() else 0.0


def _masked(given: Array, there: Array, asked: Array, on_pads: float) -> Array:
    """Put NaN where nothing may be looked at, and bring the rows to one."""
    rows = given.astype(np.float64)
    heads = (slice(None), None) if given.ndim == 4 else (slice(None),)
    hidden = np.zeros(given.shape, bool)
    if on_pads < MASKED:
        hidden |= ~there[:, None][heads]
    hidden |= ~asked[..., None][heads]
    hidden |= _to_come(rows)
    rows = np.where(hidden | ~np.isfinite(rows), np.nan, rows)
    sums = np.nansum(rows, axis=-1, keepdims=True)
    return np.divide(rows, sums, out=np.full_like(rows, np.nan), where=sums > 0)


def _to_come(rows: Array) -> Array:
    """Mark the cells above the diagonal where all of them are exactly zero: a mask of the steps to come."""
    targets, sources = rows.shape[-2:]
    above = np.triu(np.ones((targets, sources), bool), 1)
    causal = targets == sources > 1 and not np.nan_to_num(rows)[..., above].any()
    return np.broadcast_to(above if causal else np.zeros_like(above), rows.shape)


def _names(tokens: Any, present: Array) -> tuple[tuple[str, ...], ...]:
    if tokens is not None:
        return tuple(tuple(row) for row in tokens)
    return tuple(tuple(str(k) if there else "" for k, there in enumerate(row)) for row in present)


def _answers(model: Model, prediction: Tensors, targets: int) -> Any:
    """Name the steps of an output that has as many: by the class predicted there; None for any other output."""
    spec: Any = model.outputs
    if getattr(spec, "kind", "") != "Classes" or not isinstance(prediction, np.ndarray):
        return None
    if prediction.ndim != 3 or prediction.shape[1] != targets:
        return None
    return [[spec.label(int(k)) for k in row] for row in spec.predicted(prediction)]


def _status(on_pads: float) -> Status:
    if on_pads > NOTICED:
        return Status("warn", (f"{on_pads:.0%} of the attention is on padding: the network does not mask it",))
    return Status("ok")
