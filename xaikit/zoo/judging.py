"""How well a network does on the test part of its data, in numbers that a card can keep."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.inputs import Classes, Masks, OutputSpec, Reconstruction

LARGEST_CONFUSION = 20
QUANTILES = (0, 5, 10, 25, 50, 75, 90, 95, 99, 100)
REPEATS = 1000


def judge(
    spec: Any, x: Array, y: Any, output: Any, naive: Array | None = None, weight: Array | None = None
) -> dict[str, Any]:
    """Give the metrics of a network's outputs on test samples.

    x: encoded inputs (sample, *shape); y: what is right, or a mapping by output; output: what the network gave, or a
    mapping by output; naive: what a forecast without a network would say; weight: the entries of x whose restoration
    counts (all of them). With several outputs, metrics by output.
    """
    if isinstance(spec, Mapping):
        return {name: judge(s, x, y[name], output[name]) for name, s in spec.items()}
    y, output = np.asarray(y), np.asarray(output)
    if isinstance(spec, Reconstruction):
        return _reconstructed(spec, x, y, output, np.ones_like(x) if weight is None else weight)
    return _judged(spec, y, output, naive)


def _judged(spec: OutputSpec, y: Array, output: Array, naive: Array | None) -> dict[str, Any]:
    if isinstance(spec, Masks):
        return _segmented(spec, y, output)
    if isinstance(spec, Classes):
        return _classified(spec, y, output) if y.ndim == 1 else _sequence(spec, y, output)
    return _estimated(y.reshape(output.shape), output, naive)


def _classified(spec: Classes, y: Array, output: Array) -> dict[str, Any]:
    """Accuracy and confusion matrix; top-5 accuracy of more than five classes, area under the ROC curve of two."""
    p = spec.probabilities(output)
    more: dict[str, Any] = {}
    if p.shape[-1] > 5:
        best = np.argpartition(-p, 5, axis=-1)[:, :5]
        more = {"top5_accuracy": float((best == y[:, None]).any(-1).mean())}
    if p.shape[-1] == 2:
        more = {"auc": auc(p[y == 0, 1], p[y == 1, 1])}
    return {**judged(tuple(map(str, spec.names)), y, p.argmax(-1)), **more}


def judged(classes: tuple[str, ...], truth: Array, said: Array) -> dict[str, Any]:
    """Give accuracy with its 95 % interval, number of samples, confusion matrix (row: truth, column: answer)."""
    right = int((truth == said).sum())
    return {
        "accuracy": right / len(truth),
        "interval_95": list(wilson(right, len(truth))),
        "samples": len(truth),
        "classes": list(classes),
        **({"confusion": confusion(len(classes), truth, said)} if len(classes) <= LARGEST_CONFUSION else {}),
    }


def confusion(classes: int, truth: Array, said: Array) -> list[list[int]]:
    """Give how often each class (row) was taken for each (column)."""
    counts = np.bincount(np.ravel(truth) * classes + np.ravel(said), minlength=classes * classes)
    return [[int(n) for n in row] for row in counts.reshape(classes, classes)]


def _sequence(spec: Classes, y: Array, output: Array) -> dict[str, Any]:
    """Sequences that are right at every step, steps that are right, and bits per step."""
    said = output.argmax(-1)
    exact = int((said == y).all(-1).sum())
    p = np.take_along_axis(spec.probabilities(output), y[..., None], -1)
    return {
        "exact_match": exact / len(y),
        "interval_95": list(wilson(exact, len(y))),
        "step_accuracy": float((said == y).mean()),
        "bits_per_step": float(-np.log2(np.maximum(p, 1e-12)).mean()),
        "samples": len(y),
    }


def _segmented(spec: Masks, y: Array, output: Array) -> dict[str, Any]:
    """Accuracy over pixels, and per class the intersection over the union of what is and what is said."""
    counts = np.array(confusion(len(spec.names), y, output.argmax(-1)))
    both = np.diag(counts)
    iou = both / np.maximum(counts.sum(0) + counts.sum(1) - both, 1)
    per_picture = (output.argmax(-1) == y).reshape(len(y), -1).mean(-1)
    return {
        "pixel_accuracy": float(both.sum() / counts.sum()),
        "interval_95": interval_of_mean(per_picture),
        "iou": {str(name): float(v) for name, v in zip(spec.names, iou, strict=True)},
        "mean_iou": float(iou.mean()),
        "samples": len(y),
    }


def _estimated(y: Array, output: Array, naive: Array | None) -> dict[str, Any]:
    """Error of numbers: RMSE, mean absolute error with its interval, and that of the naive forecast."""
    error = np.abs(output - y).reshape(len(y), -1).mean(-1)
    found = {
        "mae": float(error.mean()),
        "interval_95": interval_of_mean(error),
        "rmse": float(np.sqrt(np.square(output - y).mean())),
        "samples": len(y),
        "quantiles": quantiles(error),
    }
    if naive is not None:
        found |= {"naive_mae": float(np.abs(naive.reshape(y.shape) - y).mean())}
    return found


def _reconstructed(spec: Reconstruction, x: Array, y: Array, output: Array, weight: Array) -> dict[str, Any]:
    """Error of reconstruction per sample; where samples are labelled normal (0) or abnormal (1), how far apart."""
    off = output - x
    each = (np.square(off) if spec.error == "mse" else np.abs(off)).reshape(len(x), -1)
    error = np.average(each, axis=-1, weights=weight.reshape(len(x), -1))
    normal = error[y == 0] if set(np.unique(y)) == {0, 1} else error
    found = {
        spec.error: float(normal.mean()),
        "interval_95": interval_of_mean(normal),
        "samples": len(normal),
        "quantiles": quantiles(normal),
    }
    if len(normal) < len(error):
        abnormal = error[y == 1]
        found |= {
            "abnormal": {"samples": len(abnormal), spec.error: float(abnormal.mean()), "quantiles": quantiles(abnormal)}
        }
        found |= {"auc": auc(normal, abnormal)}
    return found


def auc(low: Array, high: Array) -> float:
    """Give the probability that a value of `high` exceeds one of `low` (Mann and Whitney 1947)."""
    low = np.sort(low)
    below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return float(below.mean() / (2 * len(low)))


def quantiles(values: Array) -> dict[str, float]:
    """Give the percentiles in QUANTILES, by percent."""
    return {str(q): float(v) for q, v in zip(QUANTILES, np.percentile(values, QUANTILES), strict=True)}


def interval_of_mean(values: Array) -> list[float]:
    """Give the 95 % bootstrap interval of a mean (Efron 1979, percentiles of 1000 resamples, seed 0)."""
    rng = np.random.default_rng(0)
    means = [float(rng.choice(values, len(values)).mean()) for _ in range(REPEATS)]
    return [float(v) for v in np.percentile(means, (2.5, 97.5))]


def wilson(right: int, samples: int, z: float = 1.959964) -> tuple[float, float]:
    """Give the score interval of a proportion (Wilson 1927), by default 95 %."""
    p = right / samples
    centre = p + z * z / (2 * samples)
    spread = z * math.sqrt(p * (1 - p) / samples + z * z / (4 * samples**2))
    return (centre - spread) / (1 + z * z / samples), (centre + spread) / (1 + z * z / samples)
