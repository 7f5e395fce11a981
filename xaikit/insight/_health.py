"""Whether signals and gradients come through a network: every layer measured over a data set, in one pass."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, chunks, length, rows
from xaikit.attribution import origin_of, require_wrapped
from xaikit.attribution._explain import input_hash
from xaikit.errors import NotSupported, UsageError, with_article
from xaikit.graph import Layer
from xaikit.insight._activations import channels_last, function_of
from xaikit.insight._asking import layers_named, require_layer
from xaikit.insight._loss import Loss
from xaikit.insight._samples import Samples, left_out
from xaikit.model import Model, require_layers
from xaikit.progress import Progress, bar
from xaikit.results import LayerHealth, LayerState, Status
from xaikit.results._functions import FUNCTIONS, function_named
from xaikit.results._numbers import Histogram, Moments

CHUNK = 64
"""Samples that are read at a time."""
HELD = 128 * 2**20
"""What the values and gradients of all layers may hold at a time."""
VANISHING, EXPLODING = 1e-3, 1e3
"""The ratio of the gradient's norm at the first layer with weights to that at the last that is judged."""
DEAD, SATURATED = 0.5, 0.5
"""The share of dead units, and of saturated values, over which a layer is pointed out."""
ENOUGH = 30
"""Samples from which a unit that was never above zero is held against a layer; of fewer many are missing by chance."""
IDS = frozenset(("string_lookup", "integer_lookup", "hashing", "cast", "argmax", "argmin"))
ENDS = ("softmax", "sigmoid", "log_softmax")
CELLS = ("lstm", "gru", "rnn", "bidirectional")
NORMS = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "normalization", "rescaling", "prelu")


def layer_health(
    model: Model,
    samples: Any,
    y: Any = None,
    layers: str | Sequence[str] | None = None,
    *,
    gradients: bool = True,
    progress: Progress | bool | None = None,
) -> LayerHealth:
    """Give how every layer does over `samples`, as LayerHealth: dead and saturated units, gradients, histograms.

    `samples` is a batch (sample, ...), a list, any iterable of samples or a folder, read in chunks; what is measured is
    exact, and memory does not grow with the number of samples. `layers` is a name or several; None = the layers with
    weights and the activation functions, in call order. `gradients=False` measures activations and weights alone.

    The gradient is that of each sample's own loss at the layers' outputs (mean over places of an output that has any).
    With `y` (class indices or names, 0 or 1 for every class, target values, or a mapping of these by output) the loss
    is the cross-entropy for Classes, the mean squared error for Values; for a Reconstruction its own error, without
    `y`. Without `y` it is the score that is explained: the logit of the predicted class, or the sum of Values.

    The verdict compares the norm of the gradient (the root of the mean over samples of the squared length, all values
    of a layer together) at the first layer with weights to be learnt, norms of values left out, with that at the last:
    "vanishing" where the ratio is under a thousandth, "exploding" over a thousand, "blocked" where it is zero, else
    "steady". A layer that the output does not depend on through its own value (a recurrent one whose last state alone
    is read) is left out. A unit is dead if it never exceeds zero on these samples, behind a function that gives zero
    for negative numbers (few samples, and those unlike the training data, leave more units at zero); saturated are
    values where the function is less than a twentieth as steep as it can be.

    Status: fail for values or gradients that are not finite, a layer all of whose units are dead, and a blocked
    gradient; warn for a vanishing or exploding one, a layer with over half of its units dead (from 30 samples on), over
    half of its values saturated, or files of a folder that cannot be read and are left out. Raises UnknownName,
    InputError for labels that do not fit, NotSupported for a model that only runs. Source: Glorot and Bengio,
    "Understanding the difficulty of training deep feedforward neural networks" (2010), sections 3 and 4; for dead
    units Lu et al., "Dying ReLU and Initialization" (2019).
    """
    require_wrapped(model, "layer_health")
    start = time.perf_counter()
    read = Samples(model, samples)
    gauges: dict[str, _Gauge] = {}
    loss: Loss | None = None
    hashes: list[str] = []
    why = "" if gradients else "gradients=False"
    with bar(progress, f"layers of {model.name}") as shown:
        for chunk in read.chunks(CHUNK):
            read.keep(())
            if not gauges:
                gauges = _gauges(model, layers, chunk.x)
                why = why or _without_gradients(model)
                loss = None if why else Loss.of(model, y)
            step = _step(gauges, chunk.x)
            for s in chunks(length(chunk.x), step):
                part, numbers = rows(chunk.x, s), chunk.numbers[s]
                said = _measure(model, gauges, None if why else loss, part, numbers)
                why = why or said
                hashes += [input_hash(rows(part, slice(i, i + 1))) for i in range(length(part))]
            shown(len(hashes), max(read.total, len(hashes)))
    if not hashes:
        raise read.none()
    if loss is not None:
        loss.require_all_used(len(hashes))
    said = loss.label if loss is not None and not why else ""
    states = {n: g.state(model) for n, g in gauges.items()}
    flow, ratio, ends = _flow(model, states) if said else ("unknown", float("nan"), ())
    origin = origin_of(
        model,
        None,
        "layer-health",
        parameters={"layers": tuple(states), "labels": y is not None, "gradients": gradients},
        seconds=time.perf_counter() - start,
        calls=len(hashes) * (2 if said else 1),
        score=loss.form if loss is not None else "output",
        notes={"no gradients": why} if why else {},
    )
    status = _status(states, len(hashes), flow, ratio, ends, why if gradients else "", left_out(read.unread))
    return LayerHealth(states, said, flow, ratio, ends, len(hashes), status, replace(origin, input_hash=tuple(hashes)))


# --- what is measured -------------------------------------------------------------------------------------------------


@dataclass
class _Gauge:
    """What is gathered of one layer. `enters` names what its function is applied to: another layer, or "" its own."""

    layer: Layer
    function: str | None
    enters: str | None
    kernel: Any = None
    moments: Moments | None = None
    activations: Histogram | None = None
    before: Histogram | None = None
    gradients: Histogram | None = None
    squares: float = 0.0
    samples: int = 0
    values: int = 0

    def see(self, values: Array, before: Array | None) -> None:
        """Take in values (sample, *space, channel), and what entered the function."""
        flat = FUNCTIONS[self.function].flat if self.function else (-np.inf, np.inf)
        moments = Moments.of(values.reshape(-1, values.shape[-1]), flat)
        self.moments = moments if self.moments is None else self.moments + moments
        self.activations = _joined(self.activations, values)
        if before is not None:
            self.before = _joined(self.before, before)
        self.samples += len(values)
        self.values += values.size

    def feel(self, gradient: Array) -> None:
        """Take in the gradient of every sample's loss."""
        self.gradients = _joined(self.gradients, gradient)
        self.squares += float(np.square(gradient, dtype=np.float64).sum())

    def state(self, model: Model) -> LayerState:
        """Give what was found."""
        assert self.moments is not None
        assert self.activations is not None
        statistics, function = self.moments.statistics(), FUNCTIONS.get(self.function or "")
        count = max(int(self.moments.count.sum()), 1)
        bounded = function is not None and np.isfinite(function.flat).any()
        return LayerState(
            layer=self.layer.name,
            kind=self.layer.kind,
            function=self.function,
            statistics=statistics,
            dead=float(statistics["dead"].mean()) if function is not None and function.rectifies else float("nan"),
            zeros=float(self.moments.zeros.sum() / count),
            saturated=float(self.moments.flat.sum() / count) if bounded else float("nan"),
            activations=self.activations,
            before=self.before,
            weights=_weights(model, self.layer),
            gradients=self.gradients,
            gradient=float(np.sqrt(self.squares / self.samples)) if self.gradients is not None else float("nan"),
            values=self.values / self.samples,
        )


def _joined(known: Histogram | None, values: Array) -> Histogram:
    found = Histogram.of(values)
    return found if known is None else known + found


def _gauges(model: Model, asked: str | Sequence[str] | None, x: Tensors) -> dict[str, _Gauge]:
    """Choose the layers, once the network is known."""
    model.run(rows(x, slice(0, 1)))  # a network that declares no input is known after its first call
    require_layers(model)
    known = model.layers
    if asked is not None:
        names = layers_named(model, asked)
        for name in names:
            require_layer(model, name)
    else:
        names = [n for n, layer in known.items() if layer.parameters or function_of(layer)]
    if not names:
        raise UsageError(f"{model.name} has no layer with weights or an activation function: name those to measure")
    return {n: _gauge(model, known[n]) for n in names if known[n].kind not in IDS}


def _gauge(model: Model, layer: Layer) -> _Gauge:
    function = function_of(layer)
    if function is None or len(layer.parents) != 1:
        return _Gauge(layer, function, None)
    if function_named(layer.kind) == function:
        return _Gauge(layer, function, layer.parents[0] if layer.parents[0] in model.layers else None)
    kernel = model.kernel(layer.name) if layer.kind in ("conv", "dense") else None
    return _Gauge(layer, function, None if kernel is None else layer.parents[0], kernel)


def _step(gauges: Mapping[str, _Gauge], x: Tensors) -> int:
    """Count the samples whose values and gradients are held at a time."""
    sizes = [int(np.prod([n or 1 for n in g.layer.shape], dtype=np.int64)) for g in gauges.values()]
    # float32 values, those before a function, gradients, and the float64 of one layer
    return int(np.clip(HELD // (12 * sum(sizes) + 16 * max(sizes)), 1, CHUNK))


def _measure(model: Model, gauges: Mapping[str, _Gauge], loss: Loss | None, x: Tensors, numbers: Sequence[int]) -> str:
    """Take in some samples; say why no gradient could be had, if none could."""
    known = model.layers
    entering = [g.enters for g in gauges.values() if g.enters is not None and g.enters in known]
    at = list(dict.fromkeys([*gauges, *entering]))
    ran = model.run(x, at=at, score=loss.form if loss is not None else "output")
    last = {n: channels_last(np.asarray(a), known[n]) for n, a in ran.activations.items()}
    for name, gauge in gauges.items():
        values = last[name] if last[name].ndim > 1 else last[name][:, None]
        gauge.see(values, _before(model, gauge, last, x))
    if loss is None:
        return ""
    seed = loss.seed(ran.output, x, numbers)
    try:
        found = model.pull(x, seed, wrt=list(gauges), score=loss.form).gradient
    except NotSupported as error:
        return str(error)
    for name, gradient in found.items():  # type: ignore[union-attr]
        felt = _at_logits(known[name], np.asarray(gradient), seed)
        if known[name].kind not in ENDS or felt.any():  # logits go past a last softmax or sigmoid
            gauges[name].feel(felt)
    return ""


def _at_logits(layer: Layer, gradient: Array, seed: Tensors) -> Array:
    """Give what enters a softmax or sigmoid inside the last layer, which the logits go past: the seed itself."""
    if layer.kind in ENDS or layer.config.get("activation") not in ENDS or gradient.any():
        return gradient
    own = seed.get(layer.name) if isinstance(seed, Mapping) else seed
    return gradient if own is None or np.shape(own) != gradient.shape else np.asarray(own)


def _before(model: Model, gauge: _Gauge, values: Mapping[str, Array], x: Tensors) -> Array | None:
    """Give what enters a layer's function: the value of the layer before, or what the layer itself computes."""
    if gauge.enters is None:
        return None
    if gauge.kernel is None:
        return values[gauge.enters]
    given = values.get(gauge.enters)
    if given is None and not isinstance(x, Mapping):
        given = np.asarray(x)
    if given is None:
        return None
    return linear_part(given, gauge.kernel, gauge.layer)


def linear_part(given: Array, kernel: Any, layer: Layer) -> Array | None:
    """Give what a dense layer or convolution computes before its function: (sample, *space, filter).

    None where its geometry is not that of plain windows.
    """
    added = 0.0 if kernel.bias is None else kernel.bias
    if kernel.values.ndim == 2:
        return np.asarray(given @ kernel.values.T + added) if given.shape[-1] == kernel.values.shape[1] else None
    g = layer.geometry
    plain = g is not None and g.kind == "window" and g.mode in ("", "same") and len(g.size) == given.ndim - 2
    if not plain or g is None or given.ndim != kernel.values.ndim:
        return None
    places = tuple(int(n or 0) for a, n in zip(layer.axes[1:], layer.shape, strict=True) if a != "channel")
    ends = zip(places, g.size, g.stride, g.padding, g.dilation, given.shape[1:-1], strict=True)
    # what hangs over the far end is filled up with zeros, whatever the padding says of it
    pads = [(b, max(0, (n - 1) * s + d * (k - 1) + 1 - b - size)) for n, k, s, (b, _), d, size in ends]
    padded = np.pad(given, [(0, 0), *pads, (0, 0)])
    weights = kernel.values.reshape(kernel.groups, -1, *kernel.values.shape[1:])
    total = np.zeros((len(given), *places, len(kernel.values)), np.float32)
    for tap in np.ndindex(*g.size):
        cut = tuple(
            slice(t * d, t * d + (n - 1) * s + 1, s)
            for t, d, n, s in zip(tap, g.dilation, places, g.stride, strict=True)
        )
        seen = padded[(slice(None), *cut)].reshape(len(given), *places, kernel.groups, -1)
        total += np.einsum("...gi,gfi->...gf", seen, weights[(slice(None), slice(None), *tap)]).reshape(total.shape)
    return np.asarray(total + added)


def _weights(model: Model, layer: Layer) -> Histogram | None:
    """Count the weights that multiply; where a layer has none, all that it owns."""
    if not layer.parameters:
        return None
    own = [a for a in map(np.asarray, model.weights(layer.name).values()) if a.dtype.kind == "f"]
    several = [a for a in own if a.ndim > 1] or own
    return Histogram.of(np.concatenate([a.ravel() for a in several])) if several else None


# --- verdicts ---------------------------------------------------------------------------------------------------------


def _without_gradients(model: Model) -> str:
    return "" if "pull" in model.can else f"{with_article(model.framework)} model has no gradients"


def _flow(model: Model, states: Mapping[str, LayerState]) -> tuple[str, float, tuple[str, ...]]:
    """Judge the gradient by the first and the last layer with weights: (verdict, ratio, their names)."""
    weighted = [s for n, s in states.items() if model.layers[n].parameters and s.kind not in NORMS]
    # a fixed layer, as one that brings outputs into their unit, is not learnt: its gradient is of no account
    learnt = [s for s in weighted if model.layers[s.layer].trainable]
    weighted = learnt if len(learnt) > 1 else weighted
    # a recurrent layer whose last state alone is read has no gradient at its sequence
    norms = {s.layer: s.gradient for s in weighted if s.gradients is not None and (s.gradient or s.kind not in CELLS)}
    reached = [n for n, norm in norms.items() if norm > 0]
    if not reached or not np.isfinite(list(norms.values())).all():
        return "unknown", float("nan"), ()
    first, last = next(iter(norms)), reached[-1]
    if first == last:
        return "unknown", float("nan"), ()
    ratio = float(norms[first] / norms[last])
    if ratio == 0:
        return "blocked", ratio, (first, last)
    return "vanishing" if ratio < VANISHING else "exploding" if ratio > EXPLODING else "steady", ratio, (first, last)


def _status(
    states: Mapping[str, LayerState], seen: int, flow: str, ratio: float, ends: tuple[str, ...], why: str, unread: str
) -> Status:
    fails, warns = [], []
    lost = [n for n, s in states.items() if s.statistics["lost"].any()]
    if lost:
        fails.append(f"values that are not finite begin at {lost[0]!r}")
    if any(s.gradients is not None and not np.isfinite(s.gradient) for s in states.values()):
        fails.append("the gradient holds values that are not finite")
    silent = [n for n, s in states.items() if s.dead == 1]
    if silent:
        fails.append(f"every unit is dead at {_listed(silent)}: nothing comes through")
    if flow == "blocked":
        fails.append(f"no gradient reaches {ends[0]!r}, though {ends[1]!r} has one")
    if flow in ("vanishing", "exploding"):
        warns.append(f"the gradient is {flow}: at {ends[0]!r} it is {ratio:.2g} times as long as at {ends[1]!r}")
    for what, share, limit in (
        ("of the units are dead", "dead", DEAD if seen >= ENOUGH else 1.0),
        ("of the values are saturated", "saturated", SATURATED),
    ):
        over = {n: getattr(s, share) for n, s in states.items() if limit < getattr(s, share) and n not in silent}
        if over:
            worst = max(over, key=lambda n: over[n])
            more = f", and over half at {len(over) - 1} more" if len(over) > 1 else ""
            warns.append(f"{over[worst]:.0%} {what} at {worst!r}{more}")
    if why:
        warns.append(f"no gradient was taken: {why}")
    if unread:
        warns.append(unread)
    return Status("fail" if fails else "warn" if warns else "ok", (*fails, *warns))


def _listed(names: Sequence[str], most: int = 4) -> str:
    left = len(names) - most
    return ", ".join(map(repr, names[:most])) + (f" and {left} more" if left > 0 else "")
