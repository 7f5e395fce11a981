"""Fairness: how a model does for groups of rows, with how sure that is."""

import time
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import InputError, ParameterError, TargetError
from xaikit.inputs import At, Classes
from xaikit.model import Model
from xaikit.results import Fairness
from xaikit.tabular._losses import auc, truth
from xaikit.tabular._profile import grouped
from xaikit.tabular._reading import about, answers, judged, output_of, questions, read
from xaikit.tabular._variables import frame_of

NORMAL = 1.959963984540054
"""The 0.975 quantile of the normal distribution."""
FEW = 30
OF_CLASSES = (
    "share that is positive",
    "share predicted positive",
    "true positive rate",
    "false positive rate",
    "accuracy",
    "AUC",
    "mean probability less share",
)
OF_VALUES = ("mean true", "mean predicted", "mean error", "mean absolute error")


def fairness(
    model: Model,
    X: Any,
    y: Any,
    by: Any,
    positive: Any = None,
    *,
    cutoff: float = 0.5,
    score: str | None = None,
    target: Any = None,
) -> Fairness:
    """Give how the model does for each group of rows, with 95 % intervals, as Fairness.

    X, y: rows and what is true of them, as in `xaikit.importance`. by: a column of X, whether or not the model uses it,
    or a label for every row; numbers of more than six values are cut at their thirds. positive: the class that is
    looked at (None: the second of two); a row is predicted positive from the probability `cutoff` on.

    For classes: the share that is positive and that is predicted so, true and false positive rates, accuracy (Wilson
    intervals), AUC (interval by DeLong's variance), and calibration, the mean probability less the share that is
    positive; for values the means, the mean error, predicted less true, and the mean absolute error (normal intervals).
    The measures cannot all be equal where the shares differ (Chouldechova, "Fair prediction with disparate impact",
    2017): which one matters is not said here.

    target: which of several values is looked at, and of a network with several outputs which of them, as
    `xk.At(output=..., index=...)` or its name; y may then be a mapping by output.

    Values are (group, measure). Status: warn for groups of fewer than 30 rows, and those without both classes. Raises
    InputError, ParameterError, TargetError. Source: Hardt, Price and Srebro, "Equality of Opportunity in Supervised
    Learning" (2016) for the rates; Wilson, "Probable inference, the law of succession, and statistical inference"
    (1927), and DeLong, DeLong and Clarke-Pearson (1988) for the intervals.
    """
    if not 0 < cutoff < 1:
        raise ParameterError(f"cutoff is a probability between 0 and 1, not {cutoff!r}")
    start = time.perf_counter()
    labels = _labels(X, by)
    x = read(model, X if labels is None else _without(model, X, by), "fairness")
    output, spec, entry = output_of(model, target)
    ask = questions(model, x, None if output is None else At(output), score)
    true = truth(spec, y, len(x), output)
    frame = frame_of(model.inputs, x)
    groups = _grouped(frame, x, by, labels)
    said = answers(ask, frame, frame.flatten(x)).astype(np.float64)
    classes = isinstance(spec, Classes)
    if classes:
        k = _positive(spec, entry if positive is None else positive)
        table = [_of_classes(true[g] == k, said[g, k], cutoff) for g in groups.values()]
    else:
        k = _value(spec, entry, ask.names)
        table = [_of_values(true[g, k], said[g, k]) for g in groups.values()]
    found = np.array(table, np.float64)
    small = [name for name, g in groups.items() if len(g) < FEW]
    one = [n for n, g in groups.items() if classes and len(np.unique(true[g] == k)) < 2]
    return Fairness(
        by=by if isinstance(by, str) else "group",
        groups=tuple(groups),
        counts=np.array([len(g) for g in groups.values()]),
        measures=OF_CLASSES if classes else OF_VALUES,
        values=found[..., 0],
        low=found[..., 1],
        high=found[..., 2],
        positive=ask.names[k] if classes else "",
        cutoff=cutoff,
        status=judged(
            (bool(small), f"fewer than {FEW} rows: {', '.join(small)}"),
            (bool(one), f"one class alone: {', '.join(one)}"),
            (len(groups) < 2, "there is one group alone"),
        ),
        origin=about(ask, x, "fairness", {"by": by if isinstance(by, str) else "group", "cutoff": cutoff}, start),
    )


def _positive(spec: Classes, positive: Any) -> int:
    if positive is not None:
        return spec.index(positive)
    if len(spec.names) != 2:
        raise ParameterError(f"choose the class that is looked at, positive=: {', '.join(map(str, spec.names))}")
    return 1


def _value(spec: Any, entry: Any, names: tuple[str, ...]) -> int:
    if entry is None and len(names) > 1:
        raise TargetError(f"the model has {len(names)} outputs; choose one as target: {', '.join(names)}")
    return 0 if entry is None else int(spec.index(entry))


def _labels(X: Any, by: Any) -> Array | None:
    """Give one label for every row where they are given, or in a column of a frame; None for a column's name."""
    if not isinstance(by, str):
        return np.asarray(by)
    if hasattr(X, "columns") and by in X.columns:
        return np.asarray(X[by].to_numpy())
    if isinstance(X, list) and X and all(isinstance(r, dict) and by in r for r in X):
        return np.array([r[by] for r in X])
    return None


def _without(model: Model, X: Any, by: Any) -> Any:
    """Leave a column out that the model does not know, and rows are grouped by."""
    known = getattr(model.inputs, "columns", None)
    if known is None or not isinstance(by, str) or by in known:
        return X
    if hasattr(X, "drop"):
        return X.drop(columns=[by])
    return [{n: v for n, v in row.items() if n != by} for row in X]


def _grouped(frame: Any, x: Array, by: Any, labels: Array | None) -> dict[str, Array]:
    if labels is None:
        variable = frame[by]
        numbers = variable.numbers(frame.flatten(x))
        if variable.kind != "category":
            return grouped(numbers)
        labels = np.array([variable.word(v) for v in numbers])
    if labels.shape != (len(x),):
        raise InputError(f"by has shape {labels.shape}: give a column's name, or one label for each of {len(x)} rows")
    return grouped(labels.astype(np.float64) if labels.dtype.kind in "iu" and len(np.unique(labels)) > 6 else labels)


Measure = tuple[float, float, float]
NOTHING: Measure = (np.nan, np.nan, np.nan)


def _of_classes(positive: Array, p: Array, cutoff: float) -> list[Measure]:
    predicted = p >= cutoff
    return [
        share(positive),
        share(predicted),
        share(predicted[positive]),
        share(predicted[~positive]),
        share(predicted == positive),
        area(positive, p),
        average(p - positive),
    ]


def _of_values(y: Array, f: Array) -> list[Measure]:
    return [average(y), average(f), average(f - y), average(np.abs(f - y))]


def share(seen: Array) -> Measure:
    """A share with its interval (Wilson, "Probable inference", 1927)."""
    n = len(seen)
    if not n:
        return NOTHING
    p, z2 = float(np.mean(seen)), NORMAL**2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = NORMAL * np.sqrt(p * (1 - p) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    return p, float(max(middle - half, 0.0)), float(min(middle + half, 1.0))


def average(values: Array) -> Measure:
    """A mean with its normal interval; none for a single value."""
    if not len(values):
        return NOTHING
    mean = float(np.mean(values))
    half = NORMAL * float(np.std(values, ddof=1)) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return mean, mean - half, mean + half


def area(positive: Array, p: Array) -> Measure:
    """The area under the ROC curve with its interval.

    DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated ROC curves" (1988).
    """
    found = auc(positive, p)
    n, m = int(positive.sum()), int((~positive).sum())
    if n < 2 or m < 2:
        return found, np.nan, np.nan
    low, high = np.sort(p[~positive]), np.sort(p[positive])
    above = (np.searchsorted(low, p[positive], "left") + np.searchsorted(low, p[positive], "right")) / (2 * m)
    below = 1 - (np.searchsorted(high, p[~positive], "left") + np.searchsorted(high, p[~positive], "right")) / (2 * n)
    half = NORMAL * np.sqrt(above.var(ddof=1) / n + below.var(ddof=1) / m)
    return found, float(max(found - half, 0.0)), float(min(found + half, 1.0))
