"""What an output looks like, known without running the model: enough to say which entry of it is explained."""

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from xaikit.arrays import Array, Tensors, each, leaves, length, rows
from xaikit.inputs import At, Margin, Masks
from xaikit.model import Model
from xaikit.perturb.budget import unbounded

_SEEN: WeakKeyDictionary[Model, dict[Any, Tensors]] = WeakKeyDictionary()
"""By model, and by the shapes and types of its inputs: zeros in the shape of the output for one sample."""

_FITS: WeakKeyDictionary[Model, dict[Any, bool]] = WeakKeyDictionary()
"""By the same: whether the logits have given the probabilities of every sample that was tried."""


def is_named(target: Any) -> bool:
    """Whether a target, or each of a list, says itself which entry is meant; else it is the predicted class."""
    if isinstance(target, list | np.ndarray):
        return all(is_named(t) for t in target)
    if isinstance(target, At):
        return target.index is not None
    return None not in (target.a, target.b) if isinstance(target, Margin) else target is not None


def output_like(model: Model, x: Tensors) -> Tensors | None:
    """Give zeros shaped like the model's output for `x`; a model is run once, on one sample, for every shape of `x`.

    None where the shape may depend on more: an answer at every step of a text may be as long as the text.
    """
    known = _SEEN.get(unbounded(model), {}).get(_key(x))
    if known is None:
        note_output(model, x, model.run(rows(x, slice(0, 1))).output)
        known = _SEEN[unbounded(model)][_key(x)]
    specs = model.outputs
    for name, a in leaves(known):
        if a.ndim > 2 and not isinstance(specs[name] if name else specs, Masks):
            return None
    return each(lambda a: _repeated(a, length(x)), known)


def is_known(model: Model, x: Tensors) -> bool:
    """Say whether a model has said something of inputs like `x` before."""
    return _key(x) in _SEEN.get(unbounded(model), {})


def note_output(model: Model, x: Tensors, output: Tensors) -> None:
    """Take note of what a model has said of `x`."""
    known = _SEEN.setdefault(unbounded(model), {})
    known.setdefault(_key(x), each(lambda a: np.zeros((1, *a.shape[1:]), a.dtype), output))


def fits_logits(model: Model, x: Tensors) -> bool:
    """Say whether a model's logits have given its probabilities for all inputs like `x` by now; none does not count."""
    return _FITS.get(unbounded(model), {}).get(_key(x), False)


def note_logits(model: Model, x: Tensors, fit: bool) -> None:
    """Take note of whether the logits have given the probabilities of `x`."""
    known = _FITS.setdefault(unbounded(model), {})
    known[_key(x)] = fit and known.get(_key(x), True)


def _key(x: Tensors) -> Any:
    return tuple((name, a.shape[1:], a.dtype) for name, a in leaves(x))


def _repeated(row: Array, count: int) -> Array:
    return row if count == 1 else np.broadcast_to(row, (count, *row.shape[1:]))
