"""What all input specs share: from a person's samples to a batch, checked, and back."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from xaikit.arrays import Array, stacked
from xaikit.errors import InputError, UnknownName


class InputSpec(ABC):
    """What goes into a network: how one sample looks to a person, and how it looks to the network.

    `shape` and `axes` describe one encoded sample; the batch has a leading "sample" axis.
    """

    kind: ClassVar[str]
    zero_baseline: ClassVar[bool] = True

    if TYPE_CHECKING:  # a property in one spec, a field in another

        @property
        def shape(self) -> tuple[int, ...]:
            """The shape of one encoded sample, channels last."""

        @property
        def axes(self) -> tuple[str, ...]:
            """The names of the axes of `shape`."""

    @abstractmethod
    def samples(self, x: Any) -> list[Any]:
        """Split what a person gives (one sample, a batch, a list) into single samples. Raises InputError."""

    @abstractmethod
    def display(self, sample: Any) -> Any:
        """Give one sample as a person sees it, in display units and of the spec's size. Raises InputError."""

    @abstractmethod
    def to_network(self, display: Any) -> Array:
        """Turn one displayed sample into the numbers that the network takes, of shape `shape`."""

    @abstractmethod
    def decode(self, encoded: Array) -> Array:
        """Undo `encode`: a batch (sample, *shape) in display units."""

    def present(self, encoded: Array) -> Array | None:
        """Say where a batch (sample, *shape) holds something: (sample, *places) bool; None where nothing is padded."""
        return None

    def show(self, x: Any) -> Any:
        """Give all samples of `x` as a person sees them: an array (sample, *shape) or a list."""
        return np.stack([np.asarray(self.display(s)) for s in self._some(x)])

    def encode(self, x: Any) -> Array:
        """Turn samples into the network's numbers: (sample, *shape), channels last.

        Raises InputError for a missing or corrupt file, a wrong shape, values that are not finite, or no sample.
        """
        return self._encoded([self.display(s) for s in self._some(x)])

    def prepare(self, x: Any) -> tuple[Array, Any]:
        """Give both the encoded batch and its display, reading every sample once."""
        shown = [self.display(s) for s in self._some(x)]
        return self._encoded(shown), self._gather(shown)

    def _encoded(self, shown: list[Any]) -> Array:
        with np.errstate(over="ignore"):
            encoded = stacked([self.to_network(d) for d in shown])
        if encoded.dtype.kind == "f" and not np.isfinite(encoded).all():
            raise InputError("the sample holds values too large for the network's float32: check their units")
        return encoded

    def _gather(self, shown: list[Any]) -> Any:
        return stacked([np.asarray(d) for d in shown])

    def _some(self, x: Any) -> list[Any]:
        found = self.samples(x)
        if not found:
            raise InputError("there is no sample to work on: the batch is empty")
        return found

    def to_dict(self) -> dict[str, Any]:
        """Give the spec as JSON types, with its kind."""
        return {"kind": self.kind, **plain(dataclasses.asdict(self))}  # type: ignore[call-overload]


def plain(value: Any) -> Any:
    """Turn tuples, arrays and NumPy numbers into lists and numbers that JSON knows."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(v) for v in value]
    return value


def frozen(value: Any) -> Any:
    """Turn lists into tuples, all the way down, so that a frozen spec can be compared and hashed."""
    if isinstance(value, Mapping):
        return {k: frozen(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return frozen(value.tolist())
    return tuple(frozen(v) for v in value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def finite(values: Array, what: str) -> Array:
    """Return `values`, or raise InputError that counts those that are NaN or infinite."""
    if values.dtype.kind in "fc":
        wrong = int(values.size - np.isfinite(values).sum())
        if wrong:
            raise InputError(f"{what} holds {wrong} values that are NaN or infinite; clean or impute them first")
    return values


def numeric(value: Any, what: str) -> Array:
    """Turn nested numbers into an array, or raise InputError."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        said = "its parts have different lengths" if "inhomogeneous" in str(error) else error
        raise InputError(f"{what} is not a regular array of numbers: {said}") from None
    except (RuntimeError, TypeError) as error:  # a tensor that follows gradients, or lies on a GPU
        raise InputError(f"{what} cannot be read as numbers: {error}") from None
    if array.dtype.kind not in "biuf":
        of = "" if array.ndim == 0 else f" of {array.dtype}"
        raise InputError(f"{what} must hold numbers, not {type(value).__name__}{of}")
    return array


def channels_last_hint(given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """What to do with an array whose channels come first, for the end of a message; "" for any other."""
    first = len(given) == len(wanted) > 1 and given[0] == wanted[-1] and given[-1] != wanted[-1]
    return "; it looks channels-first: use np.moveaxis(x, 0, -1)" if first else ""


def split(x: Any, ndim: int, what: str, expected: tuple[int, ...]) -> list[Any]:
    """Split into samples: `ndim` axes are one sample, one more is a batch, a list is a list of samples."""
    if isinstance(x, list) and not (ndim and x and np.isscalar(x[0])):
        return x
    array = numeric(x, what)
    if array.ndim == ndim:
        return [array]
    if array.ndim == ndim + 1:
        return list(array)
    raise InputError(
        f"{what} has shape {array.shape}; one sample has {ndim} axes {expected}, a batch {ndim + 1} (sample first)"
    )


def spec_from(kinds: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
    """Rebuild a spec of one of `kinds` from `to_dict`'s output."""
    fields = dict(data)
    kind = fields.pop("kind", None)
    if kind not in kinds:
        raise UnknownName("kind of spec", kind, kinds)
    cls = kinds[kind]
    known = [f.name for f in dataclasses.fields(cls)]
    for name in fields:
        if name not in known:
            raise UnknownName(f"field of {kind}", name, known)
    return cls(**{k: frozen(v) for k, v in fields.items()})
