"""Losses of whole data sets: what a model's answers for rows are off by."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import InputError, ParameterError, UnknownName
from xaikit.inputs import Classes, Values

Loss = Callable[[Array, Array], float]
"""From what is true (row,) or (row, output) and what the model says (row, output) to a number, small if good."""

SMALLEST = 1e-12
"""A probability is no smaller than this in a cross-entropy, which would be infinite for one mistake."""


def cross_entropy(y: Array, p: Array) -> float:
    """Mean over rows of -log p(class that is true)."""
    return float(-np.log(np.clip(p[np.arange(len(y)), y], SMALLEST, None)).mean())


def wrong(y: Array, p: Array) -> float:
    """Share of rows whose most probable class is not the true one."""
    return float((p.argmax(1) != y).mean())


def one_minus_auc(y: Array, p: Array) -> float:
    """1 - area under the ROC curve, ties counted half; of several classes the mean of each against all others."""
    classes = [1] if p.shape[1] == 2 else list(range(p.shape[1]))
    areas = [auc(y == c, p[:, c]) for c in classes]
    return 1 - float(np.mean([a for a in areas if np.isfinite(a)] or [np.nan]))


def auc(positive: Array, score: Array) -> float:
    """Share of pairs (positive, negative) in which the positive has the higher score, ties half; NaN without pairs.

    Mann and Whitney (1947); Hanley and McNeil, "The meaning and use of the area under a ROC curve" (1982).
    """
    positive = np.asarray(positive, bool)
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    return float((ranks(score)[positive].sum() - n * (n + 1) / 2) / (n * m))


def ranks(values: Array) -> Array:
    """Give the rank of every number from 1 on; equal numbers share the mean of theirs."""
    _, group, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[group.reshape(-1)])


def rmse(y: Array, f: Array) -> float:
    """Root of the mean squared difference, of several outputs their mean."""
    return float(np.sqrt(((y - f) ** 2).mean(0)).mean())


def mse(y: Array, f: Array) -> float:
    """Mean squared difference over rows and outputs."""
    return float(((y - f) ** 2).mean())


def mae(y: Array, f: Array) -> float:
    """Mean absolute difference over rows and outputs."""
    return float(np.abs(y - f).mean())


def one_minus_r2(y: Array, f: Array) -> float:
    """Squared difference over that from the mean, of several outputs the mean."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float((((y - f) ** 2).sum(0) / ((y - y.mean(0)) ** 2).sum(0)).mean())


OF_CLASSES: dict[str, Loss] = {"cross-entropy": cross_entropy, "1-auc": one_minus_auc, "1-accuracy": wrong}
OF_VALUES: dict[str, Loss] = {"rmse": rmse, "mse": mse, "mae": mae, "1-r2": one_minus_r2}


def chosen(spec: Any, loss: Any) -> tuple[str, Loss]:
    """Give a loss and its name; None is the cross-entropy of classes and the RMSE of values. Raises UnknownName."""
    classes = isinstance(spec, Classes)
    known = OF_CLASSES if classes else OF_VALUES
    if callable(loss):
        narrow = not classes
        return getattr(loss, "__name__", type(loss).__name__), _checked(loss, narrow)
    if loss is None:
        loss = next(iter(known))
    if not isinstance(loss, str):
        raise ParameterError(f"loss is one of {', '.join(known)} or a function of (y, output), not {loss!r}")
    if loss not in known:
        raise UnknownName(f"loss of {'classes' if classes else 'values'}", loss, known)
    return loss, known[loss]


def _checked(loss: Callable[[Array, Array], Any], narrow: bool) -> Loss:
    def given(y: Array, f: Array) -> float:
        squeeze = narrow and f.shape[1] == 1
        value = loss(y[:, 0] if squeeze and y.ndim == 2 else y, f[:, 0] if squeeze else f)
        if np.ndim(value) != 0:
            raise ParameterError(f"the loss gives one number for all rows, not an array of shape {np.shape(value)}")
        return float(value)

    return given


def truth(spec: Any, y: Any, rows: int, output: str | None = None) -> Array:
    """Turn what is true of an output into class indices (row,) or values (row, output).

    `y` may be a mapping from the names of several outputs, of which `output` is taken. Raises InputError.
    """
    if isinstance(y, Mapping):
        if output not in y:
            raise InputError(
                f"y is of {', '.join(map(str, y))}: give one entry for every row of {output or 'the output'}"
            )
        y = y[output]
    a = np.asarray(y)
    if a.shape[:1] != (rows,):
        raise InputError(f"y has shape {a.shape} for {rows} rows: give one entry for every row")
    if isinstance(spec, Classes):
        if a.ndim == 2 and a.shape[1] == 1:
            a = a[:, 0]
        if a.ndim != 1:
            raise InputError(f"y is one class for every row, an index or a name, not an array of shape {a.shape}")
        return _indices(spec, a)
    width = len(spec.names) if isinstance(spec, Values) else 1
    if a.dtype.kind not in "biuf":
        raise InputError(f"y must hold numbers of this output, not {a.dtype}")
    a = np.asarray(a, np.float64).reshape(rows, -1)
    if a.shape[1] != width:
        raise InputError(f"y has {a.shape[1]} numbers for every row, and the model gives {width}")
    if not np.isfinite(a).all():
        raise InputError(f"y holds {int((~np.isfinite(a)).sum())} values that are NaN or infinite")
    return a


def _indices(spec: Classes, a: Array) -> Array:
    if a.dtype.kind == "f":
        if not np.isfinite(a).all() or (a != np.round(a)).any():
            raise InputError("y holds numbers that are no class indices; is this a model of xk.Values?")
        a = a.astype(int)
    labels: dict[Any, int] = {}
    for value in np.unique(a) if a.dtype.kind != "O" else dict.fromkeys(a.tolist()):
        plain = value.item() if isinstance(value, np.generic) else value
        named = [i for i, n in enumerate(spec.names) if n == plain]
        labels[plain] = named[0] if named else spec.index(int(plain) if isinstance(plain, bool) else plain)
    return np.array([labels[v] for v in a.tolist()])
