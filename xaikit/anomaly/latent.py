"""Views of a code: what its numbers mean, where samples lie in it, and which of them are used."""

import time
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from xaikit.anomaly._codes import code_layer, decode, decoding_layer, encode, variational
from xaikit.anomaly._detector import Detector
from xaikit.anomaly._reconstructing import hidden_places
from xaikit.anomaly._scores import divergence
from xaikit.arrays import Array
from xaikit.attribution._explain import origin_of, prepare, require_wrapped
from xaikit.errors import InputError, NotSupported, ParameterError, UnknownName
from xaikit.inputs import Image, Series, Text
from xaikit.model import Model
from xaikit.results import CodeHealth, Decoded, Embedding, Origin, Restorations, Status, WordNeighbours

UNUSED = 0.01
"""Nats, and variance, below which a number of a code tells nothing."""

__all__ = ["analogy", "embed", "grid", "health", "interpolate", "nearest_words", "restore", "traverse"]


def grid(
    model: Model, size: int = 12, *, numbers: tuple[int, int] = (0, 1), samples: Any = None, detector: Any = None
) -> Decoded:
    """What two numbers of the code are decoded to, in a grid of size × size.

    Of a variational autoencoder the numbers run over the quantiles 5 % to 95 % of their prior, so that every cell is
    equally likely, and the others are 0; of another one over the quantiles of the codes of `samples`, the others at
    their median. All cells are decoded in one batch. detector: also gives the score of every cell. Raises NotSupported
    for a network without a code, ParameterError.
    """
    start = time.perf_counter()
    _autoencoder(model, "grid")
    if size < 2:
        raise ParameterError(f"a grid has at least 2 cells on a side, not {size}")
    levels = np.linspace(0.05, 0.95, size)
    if samples is None:
        width = _width(model, variational(model).mean)
        middle = np.zeros(width)
        lines = [np.array([NormalDist().inv_cdf(p) for p in levels])] * 2
    else:
        codes = encode(model, np.asarray(prepare(model, samples)[0]))
        width, middle = codes.shape[1], np.median(codes, axis=0)
    if len(set(numbers)) != 2 or not all(0 <= n < width for n in numbers):
        raise ParameterError(f"numbers are two different ones of 0 to {width - 1}, not {numbers}")
    if samples is not None:
        lines = [np.quantile(codes[:, n], levels) for n in numbers]
    found = np.tile(middle, (size, size, 1))
    found[..., numbers[0]] = lines[0]
    found[..., numbers[1]] = lines[1][::-1, None]
    return _decoded(
        "grid",
        model,
        found,
        detector,
        tuple(f"z{numbers[1]} = {v:.2f}" for v in lines[1][::-1]),
        tuple(f"z{numbers[0]} = {v:.2f}" for v in lines[0]),
        start,
    )


def interpolate(model: Model, a: Any, b: Any, steps: int = 9, *, detector: Detector | None = None) -> Decoded:
    """The ways from the code of sample `a` to that of `b`: a row along the straight line, and one along the arc.

    The arc (Shoemake 1985) keeps to the distance from 0 that codes of a normal distribution have; it is the line where
    both codes point the same way. detector: also gives the score of every step. Raises InputError, NotSupported.
    """
    start = time.perf_counter()
    _autoencoder(model, "interpolate")
    if steps < 2:
        raise ParameterError(f"steps counts both ends, so it is from 2 on, not {steps}")
    ends = [encode(model, np.asarray(prepare(model, x)[0])) for x in (a, b)]
    if any(len(e) != 1 for e in ends):
        raise InputError("interpolate takes one sample and another one")
    t = np.linspace(0, 1, steps)
    codes = np.stack([line(ends[0][0], ends[1][0], t), arc(ends[0][0], ends[1][0], t)])
    names = tuple(f"{v:.0%}" for v in t)
    return _decoded("interpolation", model, codes, detector, ("straight line", "arc"), names, start)


def line(a: Array, b: Array, t: Array) -> Array:
    """Points at the shares `t` of the straight line from a to b: (step, number)."""
    return np.asarray(a + t[:, None] * (b - a))


def arc(a: Array, b: Array, t: Array) -> Array:
    """Points on the arc from a to b, at the shares `t` of its angle: (step, number)."""
    lengths = np.linalg.norm(a) * np.linalg.norm(b)
    angle = float(np.arccos(np.clip(a @ b / lengths, -1, 1))) if lengths > 0 else 0.0
    if np.sin(angle) < 1e-6:
        return line(a, b, t)
    return np.asarray((np.sin((1 - t) * angle)[:, None] * a + np.sin(t * angle)[:, None] * b) / np.sin(angle))


def traverse(
    model: Model, x: Any, samples: Any = None, *, steps: int = 9, reach: float = 3.0, detector: Detector | None = None
) -> Decoded:
    """What sample `x` becomes as one number of its code changes and the others stay: a row for each number.

    Of a variational autoencoder the number runs from -reach to reach, and rows are sorted by its mean divergence over
    `samples` (by default `x`); of another one it runs over the quantiles 1 % to 99 % of the codes of `samples`, which
    are needed then, and rows are sorted by the mean squared change of the output from end to end.
    """
    start = time.perf_counter()
    _autoencoder(model, "traverse")
    encoded = np.asarray(prepare(model, x)[0])
    if len(encoded) != 1:
        raise InputError(f"traverse starts from one sample, not {len(encoded)}")
    known = encoded if samples is None else np.asarray(prepare(model, samples)[0])
    own = encode(model, encoded)[0]
    try:
        code = variational(model)
        lines = np.tile(np.linspace(-reach, reach, steps), (len(own), 1))
        sizes: Array | None = divergence(encode(model, known, code.mean), encode(model, known, code.log_variance)).mean(
            0
        )
    except NotSupported:
        if samples is None:
            raise ParameterError("this code has no prior: give samples=, whose codes say how far it goes") from None
        lines, sizes = np.quantile(encode(model, known), np.linspace(0.01, 0.99, steps), axis=0).T, None
    codes = np.tile(own, (len(own), steps, 1))
    for k in range(len(own)):
        codes[k, :, k] = lines[k]
    if sizes is None:
        ends = decode(model, codes[:, [0, -1]].reshape(-1, len(own))).reshape(len(own), 2, -1)
        sizes = np.square(ends[:, 1] - ends[:, 0], dtype=np.float64).mean(1)
        effect = "change"
    else:
        effect = "divergence"
    order = np.argsort(-sizes, kind="stable")
    names = tuple(f"step {k}" for k in range(steps))
    return _decoded(
        "traversal", model, codes[order], detector, tuple(f"z{k}" for k in order), names, start, sizes[order], effect
    )


def embed(
    model: Model,
    samples: Any,
    *,
    dimensions: int = 2,
    labels: Sequence[Any] | None = None,
    scores: Array | None = None,
    layer: str | None = None,
) -> Embedding:
    """Where samples lie along the first 2 or 3 principal components of their codes, coloured by labels or scores.

    layer: any layer of any network, by default its code. A component's largest number is positive, so that the same
    codes give the same picture. Raises ParameterError, InputError for fewer than two samples.
    """
    start = time.perf_counter()
    require_wrapped(model, "anomaly.latent.embed")
    if dimensions not in (2, 3):
        raise ParameterError(f"dimensions is 2 or 3, not {dimensions}")
    x = np.asarray(prepare(model, samples)[0])
    if layer is not None and layer not in model.layers:
        raise UnknownName(f"layer of {model.name}", layer, model.layers)
    layer = layer or code_layer(model)
    codes = encode(model, x, layer)
    if len(codes) < 2:
        raise InputError("an embedding needs at least two samples")
    for name, given in (("labels", labels), ("scores", scores)):
        if given is not None and len(given) != len(codes):
            raise InputError(f"there are {len(given)} {name} for {len(codes)} samples")
    center = codes.mean(0)
    _, sizes, components = np.linalg.svd(codes - center, full_matrices=False)
    components = components[:dimensions]
    components = components * np.sign(components[np.arange(len(components)), np.abs(components).argmax(1)])[:, None]
    missing = dimensions - len(components)
    components = np.pad(components, ((0, missing), (0, 0)))
    explained = np.pad(sizes**2 / max(float((sizes**2).sum()), 1e-300), (0, missing))[:dimensions]
    return Embedding(
        coordinates=(codes - center) @ components.T,
        explained=explained,
        center=center,
        components=components,
        labels=None if labels is None else tuple(str(v) for v in labels),
        scores=None if scores is None else np.asarray(scores, np.float64),
        layer=layer,
        origin=_origin(model, x, "embedding", start, len(x)),
    )


def health(model: Model, samples: Any) -> CodeHealth:
    """Which numbers of a variational code are used for `samples`, and whether the code has collapsed.

    The status warns where numbers have collapsed, and fails where all have: then the decoder gives the same whatever
    the sample. Raises NotSupported for what is no variational autoencoder.
    """
    start = time.perf_counter()
    require_wrapped(model, "anomaly.latent.health")
    code = variational(model)
    x = np.asarray(prepare(model, samples)[0])
    if len(x) < 2:
        raise InputError("which numbers follow the samples is seen from at least two of them")
    run = model.run(x, at=(code.mean, code.log_variance))
    mean, log_variance = (
        np.asarray(run.activations[n], np.float64).reshape(len(x), -1) for n in (code.mean, code.log_variance)
    )
    divergences, spreads = divergence(mean, log_variance).mean(0), mean.var(0)
    lost = np.flatnonzero(divergences < UNUSED)
    said = f"{len(lost)} of {len(spreads)} numbers of the code have collapsed to the prior: "
    reasons = (said + ", ".join(f"z{k}" for k in lost[:8]),) if len(lost) else ()
    status = Status("fail" if len(lost) == len(spreads) else "warn" if len(lost) else "ok", reasons)
    return CodeHealth(divergences, spreads, UNUSED, len(x), status, _origin(model, x, "code-health", start, len(x)))


def nearest_words(model: Model, word: str, *, count: int = 10, layer: str | None = None) -> WordNeighbours:
    """The words whose vectors in the embedding layer have the largest cosine with that of `word`.

    Raises UnknownName for a word that is not in the vocabulary, NotSupported for a network without one.
    """
    return _words(model, {word: 1.0}, word, count, layer)


def analogy(model: Model, a: str, b: str, c: str, *, count: int = 10, layer: str | None = None) -> WordNeighbours:
    """The words nearest to b - a + c: what is to `c` as `b` is to `a` (Mikolov et al. 2013); these three are left out.

    Vectors have length one before they are added. Raises as `nearest_words`.
    """
    return _words(model, {b: 1.0, a: -1.0, c: 1.0}, f"{b} - {a} + {c}", count, layer)


def restore(
    model: Model, x: Any, kind: str = "noise", levels: Sequence[float] | None = None, *, patch: int = 4, seed: int = 0
) -> Restorations:
    """What a denoising or masked autoencoder gives back of samples that are spoiled more and more.

    kind: "noise" adds normally distributed numbers of the standard deviations `levels` (network units, by default 0 to
    0.8 of the samples' range), kept within that range; "mask" sets shares `levels` (by default 0.2 to 0.8) of the
    patches to 0, and only these places are judged. Raises UnknownName, ParameterError, NotSupported.
    """
    start = time.perf_counter()
    _autoencoder(model, "restore")
    if kind not in ("noise", "mask"):
        raise UnknownName("way to spoil samples", kind, ("noise", "mask"))
    clean = np.asarray(prepare(model, x)[0], np.float32)
    low, high = float(clean.min()), float(clean.max())
    rng = np.random.default_rng(seed)
    if kind == "noise":
        known = np.asarray((0, 0.1, 0.2, 0.4, 0.8) if levels is None else levels, np.float64)
        known = known * (high - low) if levels is None else known
        if not len(known) or (known < 0).any():
            raise ParameterError("levels are standard deviations from 0 on")
        noise = rng.standard_normal(clean.shape)
        given = np.stack([np.clip(clean + s * noise, low, high) for s in known])
        places = np.ones(given.shape, bool)
    else:
        if not isinstance(model.inputs, Image | Series):
            raise NotSupported(f"patches are of pictures and series, and {model.name} takes neither")
        known = np.asarray((0.2, 0.4, 0.6, 0.8) if levels is None else levels, np.float64)
        if not len(known) or (known <= 0).any() or (known >= 1).any():
            raise ParameterError("levels are hidden shares between 0 and 1")
        masks = [hidden_places(clean.shape[1:], patch, s, 1, seed)[0] for s in known]
        places = np.stack([np.broadcast_to(m, clean.shape) for m in masks])
        given = np.where(places, 0, clean)
    given = given.astype(np.float32)
    back = np.stack([np.asarray(model.run(g).output) for g in given])
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
        input_spec=model.inputs,
        origin=_origin(model, clean, "restorations", start, len(clean) * len(known), seed),
    )


def _autoencoder(model: Any, asked: str) -> None:
    require_wrapped(model, f"anomaly.latent.{asked}")
    if isinstance(model.inputs, Mapping) or not getattr(model.inputs, "shape", None):
        raise NotSupported(f"{model.name} has several inputs, or one of unknown shape: a code is decoded to one input")


def _width(model: Model, layer: str) -> int:
    return int(np.prod([s for s in model.layers[layer].shape if s]))


def _decoded(
    kind: str,
    model: Model,
    codes: Array,
    detector: Detector | None,
    rows: tuple[str, ...],
    columns: tuple[str, ...],
    start: float,
    effects: Array | None = None,
    effect: str | None = None,
) -> Decoded:
    flat = codes.reshape(-1, codes.shape[-1])
    made = decode(model, flat)
    scores = None if detector is None else detector.values(made).reshape(codes.shape[:2])
    return Decoded(
        kind=kind,
        codes=codes,
        decoded=made.reshape(*codes.shape[:2], *made.shape[1:]),
        scores=scores,
        threshold=None if detector is None else detector.threshold,
        row_names=rows,
        column_names=columns,
        effects=effects,
        effect=effect,
        input_spec=model.inputs,
        origin=_origin(model, None, kind, start, len(flat), layer=decoding_layer(model)),
    )


def _words(model: Model, weights: Mapping[str, float], asked: str, count: int, layer: str | None) -> WordNeighbours:
    start = time.perf_counter()
    require_wrapped(model, "anomaly.latent.nearest_words")
    spec = model.inputs
    if not isinstance(spec, Text) or spec.vocabulary is None:
        raise NotSupported(f"{model.name} has no vocabulary: wrap it with inputs=xk.Text(length, vocabulary=...)")
    found = [n for n, v in model.layers.items() if v.kind == "embedding"] if layer is None else [layer]
    if not found:
        raise NotSupported(f"{model.name} has no embedding layer")
    table = next((np.asarray(w, np.float64) for w in model.weights(found[0]).values() if w.ndim == 2), None)
    if table is None:
        raise NotSupported(f"the layer {found[0]} holds no vectors of words")
    if count < 1:
        raise ParameterError(f"count is from 1 on, not {count}")
    names = {i: w for w, i in spec.ids.items() if i < len(table)}
    asked_ids = {w: spec.ids.get(w.lower() if spec.lower else w) for w in weights}
    for word, i in asked_ids.items():
        if i is None or i not in names:
            raise UnknownName("word", word, tuple(names.values()))
    unit = table / np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-12)
    goal = sum(w * unit[asked_ids[word]] for word, w in weights.items())
    cosines = unit @ goal / max(float(np.linalg.norm(goal)), 1e-12)
    left_out = {*asked_ids.values(), spec.pad, spec.unknown}
    order = [int(i) for i in np.argsort(-cosines, kind="stable") if int(i) in names and int(i) not in left_out][:count]
    return WordNeighbours(
        asked, tuple(names[i] for i in order), cosines[order], found[0], _origin(model, None, "nearest-words", start, 0)
    )


def _origin(
    model: Model, x: Array | None, name: str, start: float, calls: int, seed: int = 0, **parameters: Any
) -> Origin:
    seconds = time.perf_counter() - start
    return origin_of(model, x, name, parameters=parameters, seconds=seconds, calls=calls, seed=seed)
