"""Why one sample is anomalous: exact parts, what caused them, the least repair, and the nearest normal sample."""

import time
from math import ceil
from typing import Any

import numpy as np

from xaikit.anomaly._codes import code_layer, encode
from xaikit.anomaly._detector import Detector
from xaikit.anomaly._scores import CHUNK
from xaikit.arrays import Array, chunks
from xaikit.attribution._explain import explain as attribute
from xaikit.attribution._explain import origin_of
from xaikit.errors import InputError, NotSupported, ParameterError
from xaikit.inputs import Image, ReconstructionError, Series, Table
from xaikit.results import AnomalyExplanation, AnomalyScores, Attribution, Status

FEATURES = 64
"""Up to so many numbers each is a part of its own."""
SIDES = 7
WINDOWS = 20


def explain(
    detector: Detector,
    x: Any,
    *,
    method: str | None = None,
    parts: Array | None = None,
    limit: int | None = None,
    seed: int = 0,
    **parameters: Any,
) -> AnomalyExplanation:
    """Why one sample `x` is anomalous, and the least that would make it normal.

    method: how the error is attributed to the input, by default "integrated-gradients" from the nearest normal sample
    where the model has gradients and the score is the mean squared or absolute error; `parameters` are the method's.
    parts: integer labels (*input) of what is restored together; by default columns of a table, a grid of patches of a
    picture, windows of a series, single numbers of other inputs up to 64. limit: the most parts that are restored.

    Repair: the part is restored (replaced by its reconstruction) that lowers the score the most, and so on until the
    score is at most the threshold; then parts that are not needed are given back. Raises InputError for several
    samples.
    """
    start = time.perf_counter()
    scores = detector.score(x)
    if len(scores) != 1:
        raise InputError(f"one anomaly is explained at a time, and {len(scores)} are given: take one of them")
    labels, names = _parts(detector.model.inputs, scores, parts)
    if limit is not None and limit < 0:
        raise ParameterError(f"limit is the most parts that are restored, from 0 on, not {limit}")
    order, path, needed, repaired, calls = _repair(detector, scores, labels, len(names), limit)
    nearest, nearest_x, distances = _nearest(detector, scores.x)
    percentiles, part_percentiles = _percentiles(detector, scores.contributions[0], labels, len(names))
    attribution = _attributed(detector, x, scores, nearest_x, method, seed, parameters)
    final = float(detector.values(repaired[None])[0])
    reasons = list(scores.status.reasons)
    if scores.flags[0] and final > detector.threshold:
        reasons.append(f"restoring {len(order)} of {len(names)} parts leaves the score at {final:.4g}, still anomalous")
    if not scores.flags[0]:
        reasons.append("the sample is not anomalous: there is nothing to repair")
    return AnomalyExplanation(
        scores=scores,
        percentiles=percentiles,
        part_percentiles=part_percentiles,
        attribution=attribution,
        parts=labels,
        names=names,
        restored=order,
        path=path,
        needed=needed,
        repaired=repaired,
        repaired_score=final,
        nearest=nearest,
        nearest_x=nearest_x,
        distances=distances,
        status=Status("fail" if scores.status == "fail" else "warn" if reasons else "ok", tuple(reasons)),
        origin=origin_of(
            detector.model,
            scores.x,
            "anomaly-explanation",
            parameters={"error": detector.error.name, "method": attribution.origin.method if attribution else None},
            seconds=time.perf_counter() - start,
            calls=scores.origin.model_calls + calls,
            seed=seed,
        ),
    )


def _normals(detector: Detector) -> Array:
    if detector.normal is None:
        raise InputError("this detector does not hold its normal samples; make it by xk.anomaly.fit")
    return detector.normal


def _percentiles(detector: Detector, own: Array, labels: Array, count: int) -> tuple[Array, Array]:
    """The share of normal samples whose contribution is smaller, at every place and in every part."""
    normal, flat = _normals(detector), labels.ravel()
    sums = np.bincount(flat, own.ravel(), count)
    below, parts_below = np.zeros(own.shape), np.zeros(count)
    for s in chunks(len(normal), CHUNK):
        found = detector.error.parts(detector.model, normal[s]).places
        below += (found < own).sum(0)
        parts_below += sum(np.bincount(flat, f.ravel(), count) < sums for f in found)
    return below / len(normal), parts_below / len(normal)


def _parts(spec: Any, scores: AnomalyScores, given: Array | None) -> tuple[Array, tuple[str, ...]]:
    """Give the label of every place, and the names of the parts."""
    shape = scores.x.shape[1:]
    if given is not None:
        labels = np.asarray(given)
        if labels.shape != shape or labels.dtype.kind not in "iu" or labels.min() < 0:
            raise ParameterError(
                f"parts are whole numbers from 0 on of shape {shape}, not {labels.dtype} {labels.shape}"
            )
        return labels, tuple(f"part {i}" for i in range(int(labels.max()) + 1))
    if isinstance(spec, Table):
        return spec.parts, tuple(spec.columns)
    if isinstance(spec, Image):
        down, across = (max(1, ceil(n / SIDES)) for n in shape[:2])
        rows, columns = np.arange(shape[0]) // down, np.arange(shape[1]) // across
        labels = rows[:, None] * (columns[-1] + 1) + columns
        names = [
            f"rows {_span(r, down, shape[0])}, columns {_span(c, across, shape[1])}"
            for r in range(rows[-1] + 1)
            for c in range(columns[-1] + 1)
        ]
        return np.broadcast_to(labels[..., None], shape).copy(), tuple(names)
    if isinstance(spec, Series):
        size = max(1, ceil(shape[0] / WINDOWS))
        windows = np.arange(shape[0]) // size
        labels = windows[:, None] * shape[1] + np.arange(shape[1])
        channel = [f", channel {c}" if shape[1] > 1 else "" for c in range(shape[1])]
        return labels, tuple(f"steps {_span(w, size, shape[0])}{c}" for w in range(windows[-1] + 1) for c in channel)
    count = int(np.prod(shape))
    size = ceil(count / FEATURES)
    labels = (np.arange(count) // size).reshape(shape)
    ends = [(a, min(a + size, count) - 1) for a in range(0, count, size)]
    return labels, tuple(f"{a}" if a == b else f"{a}-{b}" for a, b in ends)


def _span(i: int, size: int, end: int) -> str:
    """Give the first and the last of the places of group `i`."""
    return f"{i * size}-{min((i + 1) * size, end) - 1}"


def _repair(
    detector: Detector, scores: AnomalyScores, labels: Array, count: int, limit: int | None
) -> tuple[tuple[int, ...], Array, tuple[int, ...], Array, int]:
    """Restore parts until the score is normal: their order, the scores on the way, those needed, and the sample."""
    x, back = np.asarray(scores.x[0]), np.asarray(scores.reconstruction[0], scores.x.dtype)
    masks = np.stack([labels == p for p in range(count)])
    order: list[int] = []
    path, calls = [float(scores.values[0])], 0
    most = count if limit is None else min(limit, count)
    while path[-1] > detector.threshold and len(order) < most:
        hidden = masks[order].any(0) if order else np.zeros(x.shape, bool)
        left = [p for p in range(count) if p not in order]
        found = detector.values(np.where(masks[left] | hidden, back, x))
        calls += len(left)
        order.append(left[int(np.argmin(found))])
        path.append(float(found.min()))
    needed = list(order)
    for p in order[:-1] if path[-1] <= detector.threshold else ():
        without = [q for q in needed if q != p]
        calls += 1
        if detector.values(np.where(masks[without].any(0), back, x)[None])[0] <= detector.threshold:
            needed = without
    repaired = np.where(masks[needed].any(0), back, x) if needed else x
    return tuple(order), np.array(path), tuple(needed), repaired, calls


def _nearest(detector: Detector, x: Array) -> tuple[Array, Array, Array]:
    """Give the nearest normal samples by input and by code: positions, samples, distances."""
    normal = _normals(detector)
    own = np.square(np.asarray(normal, np.float64) - x).reshape(len(normal), -1).sum(1)
    found, distances = [int(own.argmin())], [float(np.sqrt(own.min()))]
    try:
        layer = code_layer(detector.model)
        codes = np.concatenate([encode(detector.model, normal[s], layer) for s in chunks(len(normal), CHUNK)])
        apart = np.square(codes - encode(detector.model, x, layer)).sum(1)
        found, distances = [*found, int(apart.argmin())], [*distances, float(np.sqrt(apart.min()))]
    except NotSupported:  # a plain function shows no code
        found, distances = [*found, -1], [*distances, float("nan")]
    shown = [normal[i] if i >= 0 else np.full(x.shape[1:], np.nan) for i in found]
    return np.array(found), np.stack(shown), np.array(distances)


def _attributed(
    detector: Detector, x: Any, scores: AnomalyScores, nearest: Array, method: str | None, seed: int, parameters: Any
) -> Attribution | None:
    name: Any = detector.error.name
    spec = detector.model.inputs
    if name not in ("mse", "mae"):
        if method is not None:
            raise NotSupported(f"the score {name} is not attributed to the input; its exact contributions are given")
        return None
    if method is None and "pull" not in detector.model.can:
        return None
    if method is None and not parameters and not isinstance(spec, Table):
        parameters = {"baseline": spec.decode(nearest[:1])[0]}
    target: Any = ReconstructionError(name)
    found: Attribution = attribute(
        detector.model, x, method or "integrated-gradients", target, seed=seed, progress=False, **parameters
    )
    return found
