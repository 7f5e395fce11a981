"""Receptive fields tried out on the network itself: which rows of the input does each unit react to?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from xaikit.arrays import Array, Tensors, each
from xaikit.graph import Layer, Node
from xaikit.graph._fields import NOTHING
from xaikit.insight._field_inputs import axes_given
from xaikit.model import Model
from xaikit.progress import Progress, bar
from xaikit.results import FieldCheck

BYTES = 2**28
"""What the activations of one chunk of a probe may hold."""
Extent = tuple[Array, Array]
"""For every unit the first and the last place that it reacts to: (*places) each; NOTHING and -1 where to none."""


@dataclass(frozen=True, eq=False)
class Probe:
    """The rows to try: of one input, along one of its axes; `place` is the axis's position in the array fed.

    `at` is the layer whose value is replaced, where the input is of whole numbers; None = the input itself.
    """

    input: str
    axis: str
    place: int
    count: int
    at: str | None = None


def checked(
    model: Model,
    layers: Mapping[str, Layer],
    nodes: Mapping[str, Node],
    inputs: Mapping[str, Mapping[str, int | None]],
    progress: Progress | bool | None,
) -> tuple[FieldCheck, ...]:
    """Compare the exact fields of all layers with what the network reacts to.

    One sample for each row (column, step) of each input, in which that row is NaN: a unit that sees it gives NaN,
    whatever the weights are. Where an operation swallows NaN, as TensorFlow's max pooling does, a copy of the network
    whose weights are positive and biases zero is shown samples that are zero but for one row. A unit that reacts to
    more than it should is tried with other numbers instead of NaN, which no mask undoes.
    """
    base = _base(model)
    model.run(base, at=list(layers)[:1])
    found: dict[str, dict[tuple[str, str], Extent]] = {n: {} for n in layers}
    swallowing: dict[str, str] = {}
    probes = list(_probes(model, layers, inputs, base))
    with bar(progress, "receptive fields") as shown:
        for i, probe in enumerate(probes):
            seen, swallowed = _by_nan(model, layers, base, probe)
            if swallowed:
                seen = _joined(seen, _by_positive(model, layers, base, probe))
                swallowing |= swallowed
            for name, extent in seen.items():
                found[name][probe.input, probe.axis] = extent
            shown(i + 1, len(probes))
    return tuple(
        _compared(model, layers[n], nodes[n], i, found[n], base, probes, swallowing) for n in layers for i in inputs
        if any(k[0] == i for k in nodes[n].edges)
    )  # fmt: skip


# --- what is shown to the network ------------------------------------------------------------------------------------


def _base(model: Model) -> Tensors:
    """Give one sample of numbers away from zero, that no layer makes infinite; of words and numbers of rows a blank."""
    rng = np.random.default_rng(0)
    blank = model._blank()  # type: ignore[attr-defined]
    drawn = {n: _drawn(a, rng) for n, a in (blank.items() if isinstance(blank, Mapping) else [("", blank)])}
    return drawn if isinstance(blank, Mapping) else drawn[""]


def _drawn(like: Array, rng: np.random.Generator) -> Array:
    return like if like.dtype.kind in "iub" else rng.uniform(0.25, 0.75, like.shape).astype(np.float32)


def _probes(
    model: Model, layers: Mapping[str, Layer], inputs: Mapping[str, Mapping[str, int | None]], base: Tensors
) -> Iterator[Probe]:
    for name, axes in inputs.items():
        given = base[name] if isinstance(base, Mapping) else base
        at = None
        order = list(range(1, given.ndim))
        if given.dtype.kind in "iub":
            at = next((n for n, layer in layers.items() if name in layer.parents and layer.kind == "embedding"), None)
            if at is None:
                continue
            order = [i for i, a in enumerate(layers[at].axes) if a not in ("sample", "channel")]
        elif given.ndim - 1 > len(axes):
            order = _placed(model, layers, name, axes)
        for place, (axis, count) in zip(order, axes.items(), strict=False):
            if count is not None:
                yield Probe(name, axis, place, count, at)


def _placed(model: Model, layers: Mapping[str, Layer], name: str, axes: Mapping[str, int | None]) -> list[int]:
    """Find the positions of the axes of an input in the array that is fed."""
    named = axes_given(model, layers)[name]
    return [1 + named.index(a) for a in axes]


def _rows(base: Tensors, probe: Probe, rows: Sequence[int], rest: Array | None, value: float) -> Array:
    """Give copies of what is probed, in each of which one row holds a value; `rest` replaces all the others."""
    given = rest if rest is not None else base[probe.input] if isinstance(base, Mapping) else base
    x = np.repeat(given, len(rows), axis=0)
    for k, row in enumerate(rows):
        np.moveaxis(x, probe.place, 1)[k, row] = value
    return x


def _run(model: Model, base: Tensors, probe: Probe, x: Array, at: Sequence[str]) -> Mapping[str, Array]:
    """Run copies of the base with `x` in the place that is probed."""
    every = each(lambda a: np.repeat(a, len(x), 0), base)
    if probe.at is not None:
        return model.run(every, at, {probe.at: x}).activations
    return model.run({**every, probe.input: x} if isinstance(every, Mapping) else x, at).activations


def _chunk(layers: Mapping[str, Layer], count: int) -> int:
    one = 4 * sum(int(np.prod([n or 1 for n in layer.shape], dtype=np.int64)) for layer in layers.values())
    return int(np.clip(BYTES // max(one, 1), 1, max(count, 1)))


# --- probes ----------------------------------------------------------------------------------------------------------


def _by_nan(
    model: Model, layers: Mapping[str, Layer], base: Tensors, probe: Probe
) -> tuple[dict[str, Extent], dict[str, str]]:
    """Give what units become NaN, and the layers in which NaN was lost, with the layer before each."""
    rest = _value_at(model, base, probe)
    found: dict[str, Extent] = {}
    gone: dict[str, str] = {}
    step = _chunk(layers, probe.count)
    for first in range(0, probe.count, step):
        rows = list(range(first, min(first + step, probe.count)))
        given = _run(model, base, probe, _rows(base, probe, rows, rest, np.nan), list(layers))
        marked = {n: _of_places(np.isnan(a), layers[n]) for n, a in given.items()}
        for name, seen in marked.items():
            found[name] = _extended(found.get(name), seen, rows)
            parents = [p for p in layers[name].parents if p in marked]
            if len(parents) == 1 and len(layers[name].parents) == 1 and not seen.any() and marked[parents[0]].any():
                gone[name] = parents[0]
            elif layers[name].parents == (probe.input,) and not seen.any() and probe.at is None:
                gone[name] = probe.input
    kept = {n: p for n, p in gone.items() if not (found[n][0] < NOTHING).any()}
    return found, kept


def _by_positive(model: Model, layers: Mapping[str, Layer], base: Tensors, probe: Probe) -> dict[str, Extent]:
    """Give what units a positive copy of the network changes, of samples that are even but for one row.

    They are once zero, where nothing is lost in rounding, and once half, where gates are open.
    """
    copy = positive(model, layers)
    like = _value_at(model, base, probe) if probe.at else _fed(base, probe)
    found: dict[str, Extent] = {}
    step = _chunk(layers, probe.count)
    for level in (0.0, 0.5):
        even = each(lambda a, v=level: a if a.dtype.kind in "iub" else np.full_like(a, v), base)
        rest = np.full_like(like, level)
        plain = _run(copy, even, probe, rest, list(layers))
        for first in range(0, probe.count, step):
            rows = list(range(first, min(first + step, probe.count)))
            given = _run(copy, even, probe, _rows(base, probe, rows, rest, 1.0), list(layers))
            for name, a in given.items():
                found[name] = _extended(found.get(name), _of_places(a != plain[name], layers[name]), rows)
    return found


def _fed(base: Tensors, probe: Probe) -> Array:
    return base[probe.input] if isinstance(base, Mapping) else base


def _value_at(model: Model, base: Tensors, probe: Probe) -> Array | None:
    """Give the value that is replaced where that is a layer's."""
    return None if probe.at is None else model.run(base, at=[probe.at]).activations[probe.at]


def positive(model: Model, layers: Mapping[str, Layer]) -> Model:
    """Give a copy whose kernels hold one over their inputs, whose biases are zero and whose norms change nothing."""
    weights = {}
    for name in layers:
        for weight, values in model.weights(name).items():
            weights[f"{name}/{weight}"] = _positive(weight, np.asarray(values), model.framework)
    return model.with_weights(weights)


def _positive(name: str, values: Array, framework: str) -> Array:
    word = name.rpartition("/")[2].rpartition(".")[2]
    if values.ndim < 2:
        ones = word in ("gamma", "moving_variance", "running_var", "scale", "weight")
        return np.full_like(values, float(ones)) if values.dtype.kind == "f" else values
    inputs = np.prod(values.shape[1:] if framework == "torch" else values.shape[:-1])
    return np.full_like(values, 1 / inputs)


def _of_places(marked: Array, layer: Layer) -> Array:
    """Say of every place whether any channel is marked: (sample, *places)."""
    if marked.ndim != len(layer.axes):
        return marked.reshape(len(marked), -1)
    marked = np.moveaxis(marked, layer.axes.index("sample"), 0) if "sample" in layer.axes else marked
    axes = [a for a in layer.axes if a != "sample"]
    return np.asarray(marked.any(1 + axes.index("channel"))) if "channel" in axes else marked


def _extended(extent: Extent | None, seen: Array, rows: Sequence[int]) -> Extent:
    if extent is None:
        extent = np.full(seen.shape[1:], NOTHING), np.full(seen.shape[1:], -1)
    lo, hi = extent
    for row, marked in zip(rows, seen, strict=True):
        lo = np.where(marked, np.minimum(lo, row), lo)
        hi = np.where(marked, np.maximum(hi, row), hi)
    return lo, hi


def _joined(one: Mapping[str, Extent], other: Mapping[str, Extent]) -> dict[str, Extent]:
    return {
        n: (np.minimum(lo, other[n][0]), np.maximum(hi, other[n][1])) if n in other else (lo, hi)
        for n, (lo, hi) in one.items()
    }


# --- comparison ------------------------------------------------------------------------------------------------------


def _compared(
    model: Model,
    layer: Layer,
    node: Node,
    name: str,
    found: Mapping[tuple[str, str], Extent],
    base: Tensors,
    probes: Sequence[Probe],
    swallowing: Mapping[str, str],
) -> FieldCheck:
    """Compare one layer with what was found; where it seems to see more than it should, with other numbers too."""
    beyond, short, units, first = 0, 0, 0, ""
    for (given, axis), (lo, hi) in found.items():
        if given != name or (given, axis) not in node.edges or not node.known:
            continue
        edges = node.edges[given, axis]
        shape = tuple(n or 0 for n in node.lengths)
        if lo.shape != shape:
            continue
        units = int(np.prod(shape))
        should_lo = np.broadcast_to(edges[0], shape)
        should_hi = np.broadcast_to(np.where(edges[0] < NOTHING, -edges[1], -1), shape)
        more = (lo < should_lo) | (hi > should_hi)
        less = ((lo > should_lo) | (hi < should_hi)) & ~more
        if more.any():
            probe = next(p for p in probes if (p.input, p.axis) == (given, axis))
            more &= _changes_beyond(model, layer, base, probe, should_lo, should_hi)
        beyond, short = beyond + int(more.sum()), short + int(less.sum())
        if (more | less).any() and not first:
            unit = tuple(int(i[0]) for i in np.nonzero(more | less))
            first = (
                f"unit {unit} along {axis}: {_range(should_lo[unit], should_hi[unit])} in theory, "
                f"{_range(lo[unit], hi[unit])} found"
            )
    verdict = "unprobed" if not units else "beyond" if beyond else "within" if short else "equal"
    return FieldCheck(layer.name, name, verdict, units, beyond or short, first, bool(node.bounds))


def _range(lo: int, hi: int) -> str:
    return "nothing" if hi < lo else f"{lo} to {hi}"


def _changes_beyond(model: Model, layer: Layer, base: Tensors, probe: Probe, lo: Array, hi: Array) -> Array:
    """Say which units change when only rows that they should not see get other numbers: (*places) bool."""
    rest = _value_at(model, base, probe)
    plain = _run(model, base, probe, rest if rest is not None else _fed(base, probe), [layer.name])[layer.name]
    limit = 1e-5 * max(float(np.abs(plain).max()), 1e-12)
    changed = np.zeros(lo.shape, bool)
    step = _chunk({layer.name: layer}, probe.count)
    for first in range(0, probe.count, step):
        rows = list(range(first, min(first + step, probe.count)))
        given = _run(model, base, probe, _rows(base, probe, rows, rest, 2.0), [layer.name])[layer.name]
        moved = _of_places(~(np.abs(given - plain) <= limit), layer)
        for row, at in zip(rows, moved, strict=True):
            changed |= at & ((row < lo) | (row > hi))
    return changed


def failures(checks: Sequence[FieldCheck]) -> tuple[str, ...]:
    """Say in words which layers see more than theory has."""
    return tuple(f"{c.layer} sees more than theory has: {c.example}" for c in checks if c.verdict == "beyond")
