"""The loss of every sample, as the gradient that goes in at the network's output."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xaikit.arrays import Array, Tensors, leaves
from xaikit.errors import InputError, UnknownName
from xaikit.inputs import Classes, Masks, Reconstruction, ScoreKind
from xaikit.inputs.outputs import sigmoid, softmax
from xaikit.model import Model


@dataclass
class Loss:
    """A loss for each output of a network; `label` says it in words, `form` is that in which outputs are asked for.

    `labels` has what was given for each output ("" for the only one), as an array (sample, ...).
    """

    specs: Mapping[str, Any]
    labels: Mapping[str, Array]
    form: ScoreKind
    label: str
    used: int = field(default=0)

    @classmethod
    def of(cls, model: Model, y: Any) -> "Loss":
        """Choose the loss by the output specs and by what labels there are."""
        several = isinstance(model.outputs, Mapping)
        specs = dict(model.outputs) if several else {"": model.outputs}
        if y is not None and several != isinstance(y, Mapping):
            wanted = f"a mapping with some of {', '.join(specs)}" if several else "one sequence"
            raise InputError(f"y is {wanted}, since {model.name} has {len(specs)} output{'s' * several}")
        given = {} if y is None else dict(y) if several else {"": y}
        for name in given:
            if name not in specs:
                raise UnknownName(f"output of {model.name}", name, specs)
        labels = {n: _numbers(v, specs[n]) for n, v in given.items()}
        form: ScoreKind = "logit" if any(isinstance(s, Classes) for s in specs.values()) else "output"
        said = dict.fromkeys(_said(s, n in labels) for n, s in specs.items() if n in labels or not labels)
        return cls(specs, labels, form, " + ".join(said))

    def seed(self, output: Tensors, x: Tensors, numbers: Sequence[int]) -> Tensors:
        """Give the derivative of each sample's loss by the output, for the samples of these numbers."""
        found = {}
        for name, values in leaves(output):
            y = self._of(name, values, numbers)
            skipped = bool(self.labels) and y is None
            made = np.zeros_like(values) if skipped else _derivative(self.specs[name], np.asarray(values), y, x)
            found[name] = np.asarray(made, np.float32)
        self.used = max(self.used, max(numbers) + 1)
        return found if isinstance(output, Mapping) else found[""]

    def _of(self, name: str, values: Array, numbers: Sequence[int]) -> Array | None:
        if name not in self.labels:
            return None
        labels = self.labels[name]
        if max(numbers) >= len(labels):
            raise InputError(f"y has {len(labels)} entries, and there are more samples than that")
        return np.asarray(labels[list(numbers)])

    def require_all_used(self, count: int) -> None:
        """Raise InputError where there are more labels than samples."""
        for labels in self.labels.values():
            if len(labels) > max(self.used, count):
                raise InputError(f"y has {len(labels)} entries for {count} samples")


def _numbers(y: Any, spec: Any) -> Array:
    """Turn labels into numbers: names into their indices."""
    a = np.asarray(y)
    if a.dtype.kind in "US" or (a.dtype == object and isinstance(spec, Classes)):
        a = np.vectorize(lambda label: spec.index(label) if isinstance(label, str) else label, otypes=[int])(a)
    if a.dtype.kind not in "biuf":
        raise InputError(f"y holds {a.dtype} values: give class indices or names, or target values")
    if a.dtype.kind == "f" and not np.isfinite(a).all():
        raise InputError("y holds values that are not finite")
    return a


def _said(spec: Any, labelled: bool) -> str:
    if isinstance(spec, Reconstruction):
        return f"reconstruction error ({spec.error})"
    if isinstance(spec, Classes | Masks):
        return "cross-entropy" if labelled else "logit of the predicted class"
    return "mean squared error" if labelled else "sum of the outputs"


def _derivative(spec: Any, values: Array, y: Array | None, x: Tensors) -> Array:
    if isinstance(spec, Reconstruction):
        return _of_error(spec.error, values, x if y is None else y)
    if isinstance(spec, Classes | Masks):
        return _of_classes(spec, values, y)
    if y is None:
        return np.ones_like(values)
    return _of_error("mse", values, y)


def _of_error(error: str, values: Array, wanted: Any) -> Array:
    wanted = np.asarray(wanted, np.float64)
    if wanted.size != values.size:
        raise InputError(f"y has shape {wanted.shape} for outputs of shape {values.shape}")
    off = values - wanted.reshape(values.shape)
    size = max(int(np.prod(values.shape[1:])), 1)
    return np.asarray(np.sign(off) if error == "mae" else 2 * off) / size


def _of_classes(spec: Any, logits: Array, y: Array | None) -> Array:
    """Give p - t, the derivative of the cross-entropy by the logits; without labels the predicted class' own."""
    width, places = logits.shape[-1], max(int(np.prod(logits.shape[1:-1])), 1)
    alone = isinstance(spec, Classes) and spec.binary(width)
    if y is None:
        chosen = np.where(logits > 0, 1.0, -1.0) if alone else np.eye(width)[logits.argmax(-1)]
        return np.asarray(chosen / places)
    independent = alone or getattr(spec, "form", None) == "sigmoid"
    p = sigmoid(logits.astype(np.float64)) if independent else softmax(logits)
    return np.asarray((p - _wanted(y, logits.shape, alone)) / places)


def _wanted(y: Array, shape: tuple[int, ...], alone: bool) -> Array:
    """Bring labels to the shape of the logits: indices as rows with a one, or shares as they are."""
    if y.size == int(np.prod(shape)) and (alone or y.shape == shape):
        return np.asarray(y.reshape(shape), np.float64)
    if y.size != int(np.prod(shape[:-1])):
        raise InputError(f"y has shape {y.shape} for outputs of shape {shape}: an index or a row for every sample")
    index = y.reshape(shape[:-1])
    if np.any(index != np.floor(index)) or index.min() < 0 or index.max() >= shape[-1]:
        raise InputError(f"y holds {y.min():g} to {y.max():g}; the classes are 0 to {shape[-1] - 1}")
    return np.asarray(np.eye(shape[-1])[index.astype(int)])
