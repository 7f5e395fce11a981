"""What comes out of a network, and the names of its entries."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import ParameterError, TargetError, many, nearest
from xaikit.inputs._spec import plain

Form = Literal["softmax", "sigmoid", "logits"]


@dataclass(frozen=True)
class Named:
    """Outputs whose last axis has a name for every entry."""

    kind: ClassVar[str]
    names: tuple[Any, ...]

    def __init_subclass__(cls) -> None:
        cls.kind = cls.__name__

    def _store_names(self) -> None:
        if isinstance(self.names, str):
            raise ParameterError(f"{self.kind} takes a list of names, not the one string {self.names!r}")
        names = range(self.names) if isinstance(self.names, int) else self.names
        object.__setattr__(self, "names", tuple(names))
        if len(set(map(str, self.names))) != len(self.names):
            raise ParameterError(f"{self.kind} names must differ from each other: {self.names}")

    def __post_init__(self) -> None:
        self._store_names()

    def index(self, target: Any) -> int:
        """Give the index of a name, or check an index. Raises TargetError with the nearest name."""
        if isinstance(target, bool) or not isinstance(target, int | str | np.integer):
            raise TargetError(f"a target is an index or a name, not {target!r}")
        labels = [str(n) for n in self.names]
        if isinstance(target, str) and target in labels:
            return labels.index(target)
        number = int(target) if not isinstance(target, str) or target.lstrip("-").isdigit() else None
        if number is None:
            raise TargetError(f"there is no output {target!r}{nearest(str(target), labels)}")
        if not 0 <= number < len(labels):
            raise TargetError(
                f"there is no output {number}: this model has {many(len(labels), 'output')}, 0 to {len(labels) - 1}"
            )
        return number

    def label(self, index: int) -> str:
        """Give the name of an entry as text."""
        return str(self.names[index])

    def to_dict(self) -> dict[str, Any]:
        """Give the spec as JSON types, with its kind."""
        return {"kind": self.kind, **plain(dataclasses.asdict(self))}


@dataclass(frozen=True)
class Classes(Named):
    """Scores of classes. `form` says what the network gives: "softmax" or "sigmoid" probabilities, or "logits".

    A network with one sigmoid (or one logit) and two names has p(second name). With `form=None` the adapter finds it.
    """

    form: Form | None = None

    def __post_init__(self) -> None:
        self._store_names()
        if self.form not in (None, "softmax", "sigmoid", "logits"):
            raise ParameterError(f"Classes form must be softmax, sigmoid or logits, not {self.form!r}")

    def binary(self, width: int) -> bool:
        """Say whether one number stands for two classes."""
        return width == 1 and len(self.names) == 2

    def probabilities(self, output: Array) -> Array:
        """Turn raw network outputs (sample, width) into one probability per name (sample, name)."""
        p = self.of_logits(output) if self.form == "logits" else np.asarray(output, np.float64)
        return np.concatenate([1 - p, p], axis=-1) if self.binary(p.shape[-1]) else p

    def of_logits(self, logits: Array) -> Array:
        """Turn logits into probabilities of the network's own width, in float64."""
        single = self.form == "sigmoid" or logits.shape[-1] == 1
        return sigmoid(np.asarray(logits, np.float64)) if single else softmax(logits)

    def predicted(self, output: Array) -> Array:
        """Give the index of the most probable class of each sample: (sample,)."""
        return self.probabilities(output).argmax(-1)


@dataclass(frozen=True)
class Values(Named):
    """Numbers that are not class scores: regression, forecasts, embeddings."""


@dataclass(frozen=True)
class Reconstruction:
    """The input again; its `error` is "mse" (mean of squares) or "mae" (mean of absolute differences)."""

    kind: ClassVar[str] = "Reconstruction"
    error: Literal["mse", "mae"] = "mse"

    def __post_init__(self) -> None:
        if self.error not in ("mse", "mae"):
            raise ParameterError(f"Reconstruction error must be 'mse' or 'mae', not {self.error!r}")

    def to_dict(self) -> dict[str, Any]:
        """Give the spec as JSON types, with its kind."""
        return {"kind": self.kind, "error": self.error}


@dataclass(frozen=True)
class Masks(Named):
    """Class scores for every pixel: (sample, height, width, class)."""


OutputSpec = Classes | Values | Reconstruction | Masks
OutputSpecs = OutputSpec | Mapping[str, OutputSpec]


def softmax(logits: Array) -> Array:
    """Give exp(z_i) / sum exp(z_j) over the last axis, in float64."""
    if logits.ndim == 2 and len(logits) > logits.shape[1]:  # the longer axis last, for whole rows at a time
        return _softmax(np.array(logits.T, np.float64, order="C"), 0).T
    return _softmax(np.array(logits, np.float64), -1)


def _softmax(z: Array, axis: int) -> Array:
    """Turn logits in float64 into probabilities along an axis, in their place."""
    z -= z.max(axis, keepdims=True)
    np.exp(z, out=z)
    z /= z.sum(axis, keepdims=True)
    return z


def sigmoid(logits: Array) -> Array:
    """Give 1 / (1 + exp(-z)), stable for large |z|."""
    return np.asarray(0.5 * (1 + np.tanh(np.asarray(logits) / 2)))


def top(spec: Classes, output: Array, k: int = 5) -> list[list[tuple[str, float]]]:
    """List the `k` most probable (name, probability) of each sample, best first."""
    p = spec.probabilities(output)
    order = np.argsort(-p, axis=-1, kind="stable")[:, :k]
    return [[(spec.label(i), float(row[i])) for i in best] for row, best in zip(p, order, strict=True)]
