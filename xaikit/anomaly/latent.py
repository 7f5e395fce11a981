"""Views of a code: what its numbers mean, where samples lie in it, and which of them are used."""

import time
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from xaikit.anomaly._code_health import capacity, health
from xaikit.anomaly._codes import Code, coded, decode, encode, require_one_input, variational, variational_at, where
from xaikit.anomaly._detector import Detector
from xaikit.anomaly._gallery import gallery
from xaikit.anomaly._scores import divergence
from xaikit.anomaly._spoiled import inpaint, restore
from xaikit.anomaly._words import analogy, nearest_words
from xaikit.arrays import Array, Tensors
from xaikit.attribution._explain import origin_of, prepare, require_wrapped
from xaikit.errors import InputError, ParameterError, UnknownName
from xaikit.model import Model
from xaikit.results import Decoded, Embedding

__all__ = [
    "Code",
    "analogy",
    "arithmetic",
    "capacity",
    "embed",
    "gallery",
    "grid",
    "health",
    "inpaint",
    "interpolate",
    "means",
    "nearest_words",
    "restore",
    "to_normal",
    "traverse",
]


def grid(
    model: Model,
    size: int = 12,
    *,
    numbers: Sequence[int] | None = None,
    samples: Any = None,
    code: Code | str | None = None,
    detector: Detector | None = None,
) -> Decoded:
    """What two numbers of the code are decoded to, in a grid of size × size; a row where the code has one number.

    Of a variational autoencoder the numbers run over the quantiles 5 % to 95 % of their prior, so that every cell is
    equally likely, and the others are 0; of another one over the quantiles of the codes of `samples`, the others at
    their median. All cells are decoded in one batch. numbers: which two (or which one), by default the first. code: the
    layer of a code, or the layers of a variational one, where their names do not tell. detector: also gives the score
    of every cell. Raises NotSupported for a network without a code, ParameterError.
    """
    start = time.perf_counter()
    require_one_input(model, "grid")
    if size < 2:
        raise ParameterError(f"a grid has at least 2 cells on a side, not {size}")
    levels = np.linspace(0.05, 0.95, size)
    known = variational(model) if samples is None and code is None else coded(model, code)
    if samples is None:
        if not isinstance(known, Code):
            raise ParameterError(f"the code {known} has no prior: give samples=, whose codes say how far it goes")
        width = _width(model, known)
        middle, lines = np.zeros(width), np.tile([[NormalDist().inv_cdf(p)] for p in levels], width)
    else:
        codes = _finite(encode(model, np.asarray(prepare(model, samples)[0]), where(known)))
        width, middle, lines = codes.shape[1], np.median(codes, axis=0), np.quantile(codes, levels, axis=0)
    chosen = tuple(range(min(2, width))) if numbers is None else tuple(numbers)
    if len(set(chosen)) != len(chosen) or len(chosen) not in (1, 2) or not all(0 <= n < width for n in chosen):
        raise ParameterError(f"numbers are one or two different ones of 0 to {width - 1}, not {chosen}")
    across, up = chosen[0], chosen[1] if len(chosen) == 2 else None
    found = np.tile(middle, (1 if up is None else size, size, 1))
    found[..., across] = lines[:, across]
    rows: tuple[str, ...] = ("",)
    if up is not None:
        found[..., up] = lines[::-1, up, None]
        rows = _said(up, lines[::-1, up])
    return _decoded("grid", model, known, found, detector, rows, _said(across, lines[:, across]), start)


def interpolate(
    model: Model, a: Any, b: Any, steps: int = 9, *, code: Code | str | None = None, detector: Detector | None = None
) -> Decoded:
    """The ways from the code of sample `a` to that of `b`: a row along the straight line, and one along the arc.

    The arc (Shoemake 1985) keeps to the distance from 0 that codes of a normal distribution have; it is the line where
    both codes point the same way. detector: also gives the score of every step. Raises InputError, NotSupported.
    """
    start = time.perf_counter()
    require_one_input(model, "interpolate")
    known = coded(model, code)
    ends = [encode(model, np.asarray(prepare(model, x)[0]), where(known)) for x in (a, b)]
    if any(len(e) != 1 for e in ends):
        raise InputError(f"interpolate takes one sample and another one, not {len(ends[0])} and {len(ends[1])}")
    return _between("interpolation", model, known, ends[0][0], ends[1][0], steps, detector, start)


def to_normal(detector: Detector, x: Any, steps: int = 9, *, code: Code | str | None = None) -> Decoded:
    """The ways from the code of sample `x` to the nearest code of a normal one, with the score of every step.

    The normal samples are those that the detector was fitted on; the nearest one's position is
    `result.origin.notes["nearest"]`. What is decoded is of the kind that the network knows, so its score is lower than
    the sample's own, `notes["own_score"]`: the difference is what the code does not hold. Raises InputError for several
    samples, NotSupported for a network without a code.
    """
    start = time.perf_counter()
    model = detector.model
    require_one_input(model, "to_normal")
    if detector.normal is None:
        raise InputError("this detector does not hold its normal samples; make it by xk.anomaly.fit")
    known = coded(model, code)
    given = np.asarray(prepare(model, x)[0])
    own = encode(model, given, where(known))
    if len(own) != 1:
        raise InputError(f"to_normal starts from one sample, not {len(own)}")
    normal = encode(model, detector.normal, where(known))
    nearest = int(np.square(normal - own).sum(1).argmin())
    notes = {"nearest": nearest, "own_score": float(detector.values(given)[0])}
    found = _between("to-normal", model, known, own[0], normal[nearest], steps, detector, start)
    return replace(found, origin=replace(found.origin, notes=notes))


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
    model: Model,
    x: Any,
    samples: Any = None,
    *,
    steps: int = 9,
    reach: float = 3.0,
    by: Literal["divergence", "change"] | None = None,
    code: Code | str | None = None,
    detector: Detector | None = None,
) -> Decoded:
    """What sample `x` becomes as one number of its code changes and the others stay: a row for each number.

    Of a variational autoencoder the number runs from -reach to reach; of another one over the quantiles 1 % to 99 % of
    the codes of `samples`, which are needed then. by: rows are sorted by the mean "divergence" from the prior over
    `samples` (by default `x`), or by the mean squared "change" of the output from end to end; by default the divergence
    where there is a prior. `result.variances` says for each number which places it moves. Raises ParameterError.
    """
    start = time.perf_counter()
    require_one_input(model, "traverse")
    if steps < 2 or not reach > 0:
        raise ParameterError(f"steps are from 2 on and reach is above 0, not {steps} and {reach}")
    if by not in (None, "divergence", "change"):
        raise UnknownName("order of a traversal", by, ("divergence", "change"))
    encoded = np.asarray(prepare(model, x)[0])
    if len(encoded) != 1:
        raise InputError(f"traverse starts from one sample, not {len(encoded)}")
    known = coded(model, code)
    others = encoded if samples is None else np.asarray(prepare(model, samples)[0])
    own = _finite(encode(model, encoded, where(known)))[0]
    if isinstance(known, Code):
        lines = np.tile(np.linspace(-reach, reach, steps)[:, None], len(own))
        columns = tuple(f"{round(float(v), 9) + 0.0:.2g}" for v in lines[:, 0])
    elif samples is None:
        raise ParameterError("this code has no prior: give samples=, whose codes say how far it goes")
    else:
        shares = np.linspace(0.01, 0.99, steps)
        lines = np.quantile(_finite(encode(model, others, known)), shares, axis=0)
        columns = tuple(f"{p:.0%}" for p in shares)
    codes = np.tile(own, (len(own), steps, 1))
    each = np.arange(len(own))
    codes[each, :, each] = lines.T
    effect = by or ("divergence" if isinstance(known, Code) else "change")
    sizes = _divergences(model, others, known) if effect == "divergence" else _changes(model, codes, known)
    order = np.argsort(-sizes, kind="stable")
    rows = tuple(f"z{k}" for k in order)
    return _decoded("traversal", model, known, codes[order], detector, rows, columns, start, sizes[order], effect)


def _divergences(model: Model, x: Array, code: Code | str) -> Array:
    if not isinstance(code, Code):
        raise ParameterError("this code has no prior to diverge from: rows are sorted by the change of the output")
    return np.asarray(divergence(encode(model, x, code.mean), encode(model, x, code.log_variance)).mean(0))


def _changes(model: Model, codes: Array, code: Code | str) -> Array:
    count, _, width = codes.shape
    ends = decode(model, codes[:, [0, -1]].reshape(-1, width), code).reshape(count, 2, -1)
    return np.asarray(np.square(ends[:, 1] - ends[:, 0], dtype=np.float64).mean(1))


def means(
    model: Model,
    samples: Any,
    labels: Sequence[Any],
    *,
    code: Code | str | None = None,
    detector: Detector | None = None,
) -> Decoded:
    """What the mean code of every class is decoded to: one row, a column for each class.

    labels (sample,): the class of each sample. Raises InputError where they are not as many as the samples.
    """
    start = time.perf_counter()
    require_one_input(model, "means")
    known = coded(model, code)
    codes = encode(model, np.asarray(prepare(model, samples)[0]), where(known))
    own = np.array([str(v) for v in labels])
    if len(own) != len(codes):
        raise InputError(f"there are {len(own)} labels for {len(codes)} samples")
    names = tuple(dict.fromkeys(sorted(own)))
    found = np.stack([codes[own == n].mean(0) for n in names])[None]
    return _decoded("means", model, known, found, detector, ("mean code",), names, start)


def arithmetic(
    model: Model,
    a: Any,
    b: Any,
    c: Any,
    *,
    code: Code | str | None = None,
    detector: Detector | None = None,
) -> Decoded:
    """What a - b + c is decoded to, of the codes of three samples or of the mean codes of three lists of samples.

    What tells `a` from `b` is given to `c`, as with words (Mikolov et al. 2013; of pictures Radford, Metz and Chintala
    2016, section 6.3.2). One row: a, b, c, and the sum. Raises InputError, NotSupported.
    """
    start = time.perf_counter()
    require_one_input(model, "arithmetic")
    known = coded(model, code)
    plus, minus, other = (
        _finite(encode(model, np.asarray(prepare(model, x)[0]), where(known))).mean(0) for x in (a, b, c)
    )
    found = np.stack([plus, minus, other, plus - minus + other])[None]
    return _decoded("arithmetic", model, known, found, detector, ("code",), ("a", "b", "c", "a - b + c"), start)


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
    codes give the same picture. Of a variational code `result.covariances` say how far each sample's code spreads along
    them. Raises ParameterError, InputError for fewer than two samples.
    """
    start = time.perf_counter()
    require_wrapped(model, "anomaly.latent.embed")
    if dimensions not in (2, 3):
        raise ParameterError(f"dimensions is 2 or 3, not {dimensions}")
    encoded = prepare(model, samples)[0]
    known = coded(model, layer)
    layer = where(known)
    codes = _finite(encode(model, encoded, layer))
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
    explained = np.pad(sizes**2 / max(float((sizes**2).sum()), 1e-300), (0, max(0, dimensions - len(sizes))))
    seconds = time.perf_counter() - start
    return Embedding(
        coordinates=(codes - center) @ components.T,
        explained=explained[:dimensions],
        center=center,
        components=components,
        labels=None if labels is None else tuple(str(v) for v in labels),
        scores=None if scores is None else np.asarray(scores, np.float64),
        layer=layer,
        origin=origin_of(model, encoded, "embedding", parameters={"layer": layer}, seconds=seconds, calls=len(codes)),
        covariances=_covariances(model, encoded, known, components),
    )


def _covariances(model: Model, x: Tensors, code: Code | str, components: Array) -> Array | None:
    """Give the covariance of each sample's code along the components: (sample, component, component)."""
    own = variational_at(model, code)
    if own is None:
        return None
    variances = np.exp(encode(model, x, own.log_variance))
    return np.asarray(np.einsum("ak,nk,bk->nab", components, variances, components))


def _width(model: Model, code: Code) -> int:
    return int(np.prod([s for s in model.layers[code.mean].shape if s]))


def _finite(codes: Array) -> Array:
    lost = int((~np.isfinite(codes)).any(1).sum())
    if lost:
        raise InputError(f"the codes of {lost} of {len(codes)} samples are not finite")
    return codes


def _said(number: int, values: Array) -> tuple[str, ...]:
    return tuple(f"z{number} = {round(float(v), 2) + 0.0:.2f}" for v in values)


def _between(
    kind: str,
    model: Model,
    code: Code | str,
    a: Array,
    b: Array,
    steps: int,
    detector: Detector | None,
    start: float,
) -> Decoded:
    if steps < 2:
        raise ParameterError(f"steps counts both ends, so it is from 2 on, not {steps}")
    t = np.linspace(0, 1, steps)
    codes = np.stack([line(a, b, t), arc(a, b, t)])
    names = tuple(f"{v:.0%}" for v in t)
    return _decoded(kind, model, code, codes, detector, ("straight line", "arc"), names, start)


def _decoded(
    kind: str,
    model: Model,
    code: Code | str,
    codes: Array,
    detector: Detector | None,
    rows: tuple[str, ...],
    columns: tuple[str, ...],
    start: float,
    effects: Array | None = None,
    effect: str | None = None,
) -> Decoded:
    flat = codes.reshape(-1, codes.shape[-1])
    made = decode(model, flat, code)
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
        origin=origin_of(
            model,
            None,
            kind,
            parameters={"layer": code.z if isinstance(code, Code) else code},
            seconds=time.perf_counter() - start,
            calls=len(flat),
        ),
    )
