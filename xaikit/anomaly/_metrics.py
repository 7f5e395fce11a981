"""How well scores tell anomalies from normal samples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xaikit.anomaly._detector import Detector
from xaikit.anomaly._thresholds import SURE, best_f1
from xaikit.arrays import Array
from xaikit.attribution._explain import origin_of, prepare
from xaikit.errors import InputError, NotSupported, ParameterError
from xaikit.model import Model
from xaikit.results import Detection, Status


def evaluate(
    detector: Detector, normal: Any, anomalous: Any, *, k: int | None = None, draws: int = 200, seed: int = 0
) -> Detection:
    """How well a detector finds `anomalous` samples among `normal` ones that it was not fitted on, beside trivial ones.

    Both are samples as a person has them. The Detection has `scores` (detector, sample) and `labels` (sample,), True
    for an anomaly.

    The baselines: the mean squared distance from the mean of the normal samples that the detector was fitted on, the
    same network untrained (its weights drawn anew, where the model lets them be replaced), and random numbers. k: for
    the precision among the k largest scores, by default as many as there are anomalies. The interval of the AUROC is
    over `draws` resamplings. The status warns where the detector is no better than a baseline. Raises InputError where
    one of the two classes is empty, ParameterError for a k beyond the samples. Source: Mann and Whitney, "On a test of
    whether one of two random variables is stochastically larger than the other" (1947) for the AUROC.
    """
    parts = [np.asarray(prepare(detector.model, _some(x, kind))[0]) for x, kind in _kinds(normal, anomalous)]
    x, labels = np.concatenate(parts), np.repeat([False, True], [len(p) for p in parts])
    k = int(labels.sum()) if k is None else k
    if not 1 <= k <= len(x):
        raise ParameterError(f"k is a number of samples from 1 to {len(x)}, not {k}")
    scores = {detector.model.name: detector.values(x), **_baselines(detector, x, seed)}
    values = np.stack(list(scores.values()))
    if not np.isfinite(values).all():
        raise InputError(f"{int((~np.isfinite(values)).any(0).sum())} samples have no finite score")
    f1 = [best_f1(v[~labels], v[labels]) for v in values]
    aurocs = np.array([auroc(labels, v) for v in values])
    deployed = np.full(len(values), np.nan)
    deployed[0] = _f1(labels, values[0] > detector.threshold)
    return Detection(
        names=tuple(scores),
        scores=values,
        labels=labels,
        auroc=aurocs,
        auroc_interval=np.stack([_interval(labels, v, draws, seed) for v in values]),
        auprc=np.array([auprc(labels, v) for v in values]),
        best_f1=np.array([f for _, f in f1]),
        best_threshold=np.array([t for t, _ in f1]),
        deployed_f1=deployed,
        precision_at_k=np.array([labels[np.argsort(-v, kind="stable")[:k]].mean() for v in values]),
        fpr_at_95=np.array([fpr_at(labels, v) for v in values]),
        k=k,
        threshold=detector.threshold,
        status=_compared(tuple(scores), aurocs),
        origin=origin_of(
            detector.model,
            x,
            "anomaly",
            parameters={"error": detector.error.name, "rule": detector.calibration.rule, "draws": draws},
            seconds=0.0,
            calls=len(x) * detector.error.calls,
            seed=seed,
        ),
    )


def auroc(labels: Array, scores: Array) -> float:
    """The chance that an anomaly scores higher than a normal sample, ties counted half (Mann and Whitney 1947)."""
    from scipy.stats import rankdata

    bad, good = _counts(labels)
    return float((rankdata(scores)[labels].sum() - bad * (bad + 1) / 2) / (bad * good))


def auprc(labels: Array, scores: Array) -> float:
    """The mean precision over the anomalies, each at its own score (average precision); chance is the prevalence."""
    bad, _ = _counts(labels)
    caught, flagged = _curve(labels, scores)
    return float(np.sum(np.diff(caught, prepend=0) / bad * caught / flagged))


def fpr_at(labels: Array, scores: Array, recall: float = 0.95) -> float:
    """The share of normal samples flagged where at least `recall` of the anomalies are found."""
    bad, good = _counts(labels)
    caught, flagged = _curve(labels, scores)
    at = int(np.argmax(caught >= recall * bad - 1e-9))
    return float((flagged - caught)[at] / good)


def pro(maps: Array, masks: Array, limit: float = 0.3) -> float:
    """How much of each anomalous region is found, on average over regions and over false alarms up to `limit`.

    maps (sample, height, width) are scores of pixels, masks bool; regions are pixels of a mask that touch, also at
    corners. The area under mean covered share against the share of normal pixels flagged, up to `limit` and divided by
    it (Bergmann et al. 2021): 1 is perfect. Raises InputError without a region.
    """
    from scipy.ndimage import label

    maps, masks = np.asarray(maps, np.float64), np.asarray(masks, bool)
    if maps.shape != masks.shape or maps.ndim != 3:
        raise InputError(f"maps and masks are both (sample, height, width), not {maps.shape} and {masks.shape}")
    if not masks.any() or masks.all():
        raise InputError("the masks hold no anomalous, or no normal, pixel")
    weights, normal = np.zeros(maps.shape), (~masks) / (~masks).sum()
    count = 0
    for i, mask in enumerate(masks):
        found, number = label(mask, np.ones((3, 3)))
        sizes = np.bincount(found.ravel(), minlength=number + 1)
        weights[i] = np.where(mask, 1 / np.maximum(sizes[found], 1), 0)
        count += number
    order = np.argsort(-maps.ravel(), kind="stable")
    ranked = maps.ravel()[order]
    ends = np.append(ranked[1:] < ranked[:-1], True)
    false = np.append(0.0, np.cumsum(normal.ravel()[order])[ends])
    covered = np.append(0.0, np.cumsum(weights.ravel()[order])[ends] / count)
    before = false < limit
    reached = np.append(covered[before], np.interp(limit, false, covered))
    return float(np.trapezoid(reached, np.append(false[before], limit)) / limit)


def event_scores(flags: Array, truth: Array) -> dict[str, float]:
    """How well flagged steps (time,) bool find the true events, runs of `truth` (time,) bool.

    Event-wise: an event is found if any of its steps is flagged, and a run of flags is false if it touches no event;
    point-wise: steps counted one by one. "point_adjusted_f1_misleading" counts all steps of a found event as found:
    with long events random scores come near 1 (Kim et al. 2022), so it is given for comparison with papers only.
    Raises InputError where the two have different lengths, or the truth holds no event.
    """
    flags, truth = np.asarray(flags, bool), np.asarray(truth, bool)
    if flags.shape != truth.shape or flags.ndim != 1:
        raise InputError(f"flags and truth are both (time,), not {flags.shape} and {truth.shape}")
    if not truth.any():
        raise InputError("the truth holds no event: nothing can be found")
    events, alarms = runs(truth), runs(flags)
    found = sum(bool(flags[a:b].any()) for a, b in events)
    right = sum(bool(truth[a:b].any()) for a, b in alarms)
    adjusted = flags.copy()
    for a, b in events:
        adjusted[a:b] = flags[a:b].any()
    precision = right / len(alarms) if alarms else 0.0
    recall = found / len(events)
    return {
        "events": float(len(events)),
        "found": float(found),
        "false_events": float(len(alarms) - right),
        "event_precision": precision,
        "event_recall": recall,
        "event_f1": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        "point_f1": _f1(truth, flags),
        "point_adjusted_f1_misleading": _f1(truth, adjusted),
    }


def runs(flags: Array) -> list[tuple[int, int]]:
    """Give the first step and the one behind the last of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def untrained(model: Model, seed: int = 0) -> Model:
    """The same network with weights drawn anew: normal, of variance 2/(inputs + outputs); vectors keep their start.

    Vectors are biases, set to 0, and scales, which are near 1 and stay (Glorot and Bengio 2010). Raises NotSupported.
    """
    rng = np.random.default_rng(seed)
    drawn = {}
    for name in model.layers:
        for weight, values in model.weights(name).items():
            drawn[f"{name}/{weight}"] = _redrawn(np.asarray(values), weight, rng)
    return model.with_weights(drawn)


def _redrawn(values: Array, name: str, rng: np.random.Generator) -> Array:
    if values.ndim < 2:
        return np.zeros_like(values) if "bias" in name else values
    ends = sorted(values.shape, reverse=True)[:2]
    return np.asarray(rng.normal(0, np.sqrt(2 / sum(ends)), values.shape), values.dtype)


def _baselines(detector: Detector, x: Array, seed: int) -> Mapping[str, Array]:
    found = {}
    if detector.normal is not None:
        mean = detector.normal.mean(0, dtype=np.float64)
        found["distance to mean"] = np.square(x - mean).reshape(len(x), -1).mean(1)
    try:
        other = untrained(detector.model, seed)
        found["untrained network"] = np.square(np.asarray(other.run(x).output) - x).reshape(len(x), -1).mean(1)
    except NotSupported:
        pass  # a plain function has no weights to draw anew
    return found | {"random": np.random.default_rng(seed).random(len(x))}


def _compared(names: Sequence[str], aurocs: Array) -> Status:
    better = [f"{n} ({a:.3f})" for n, a in zip(names[1:], aurocs[1:], strict=True) if a >= aurocs[0]]
    reasons = [f"AUROC {aurocs[0]:.3f} is no better than that of {' and '.join(better)}"] if better else []
    if aurocs[0] < 0.5:
        reasons.append("normal samples score higher than anomalies: look whether the two are exchanged")
    return Status("warn" if reasons else "ok", tuple(reasons))


def _kinds(normal: Any, anomalous: Any) -> tuple[tuple[Any, str], ...]:
    return (normal, "normal"), (anomalous, "anomalous")


def _some(x: Any, kind: str) -> Any:
    if hasattr(x, "__len__") and not len(x):
        raise InputError(f"there is no {kind} sample: with labels of one class nothing can be told apart")
    return x


def _counts(labels: Array) -> tuple[int, int]:
    bad = int(np.sum(labels))
    if bad in (0, len(labels)):
        raise InputError("the labels are of one class: there must be normal and anomalous samples")
    return bad, len(labels) - bad


def _curve(labels: Array, scores: Array) -> tuple[Array, Array]:
    """Give the anomalies found and the samples flagged at every distinct score, from the largest down."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.diff(scores[order]) < 0, True)
    return np.cumsum(labels[order])[ends], np.arange(1, len(labels) + 1)[ends]


def _f1(labels: Array, flags: Array) -> float:
    both = int(np.sum(labels & flags))
    return 2 * both / int(labels.sum() + flags.sum()) if both else 0.0


def _interval(labels: Array, scores: Array, draws: int, seed: int) -> Array:
    """Give 90 % of the AUROCs over resamplings of both classes."""
    rng = np.random.default_rng(seed)
    good, bad = scores[~labels], scores[labels]
    truth = np.repeat([False, True], [len(good), len(bad)])
    found = [
        auroc(truth, np.concatenate([rng.choice(good, len(good)), rng.choice(bad, len(bad))])) for _ in range(draws)
    ]
    return np.asarray(np.quantile(found, [(1 - SURE) / 2, (1 + SURE) / 2]))
