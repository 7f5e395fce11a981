"""Budget: how much work is begun, and when what is there is enough."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, cast

import numpy as np

from xaikit.arrays import Array, Tensors, chunks, length, rows
from xaikit.errors import ParameterError, TimeUp
from xaikit.model import Model, Pull, Run, patch_rows
from xaikit.perturb.question import Question

SHARES = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
"""After which shares of all samples it is asked whether they suffice."""


def growing(total: int, least: int = 1) -> Iterator[slice]:
    """Cut `total` samples into the slices after which it is asked whether they suffice; the first has `least`."""
    start = 0
    for share in SHARES:
        stop = min(total, max(least, int(np.ceil(share * total))))
        if stop > start:
            yield slice(start, stop)
            start = stop


@dataclass(frozen=True)
class Reached:
    """How many samples there are, and whether fewer than asked for suffice (`enough`) or time was up."""

    count: int
    total: int
    enough: bool

    @property
    def complete(self) -> float:
        """The share of what was needed."""
        return 1.0 if self.enough else self.count / self.total


def until(task: Question, total: int, batch: int, more: Callable[[slice], None], error: Callable[[], float]) -> Reached:
    """Call `more` with slices of at most `batch` of `total` samples until they suffice, and say how far it went.

    They suffice when `error()`, the standard error relative to the largest value, is at most the task's `tolerance`; it
    is asked for after growing shares, and without a tolerance never. When time is up what is there must do; raises
    TimeUp where there is nothing.
    """
    count = 0
    for share in growing(total, least=2) if task.tolerance is not None else [slice(0, total)]:
        for s in chunks(share.stop - share.start, batch):
            try:
                more(slice(share.start + s.start, share.start + s.stop))
            except TimeUp:
                if not count:
                    raise
                return Reached(count, total, False)
            count = share.start + s.stop
        if task.tolerance is not None and error() <= task.tolerance:
            break
    return Reached(count, total, True)


@dataclass(frozen=True)
class Budget:
    """How much a question may cost; None = no bound. Raises ParameterError for what is no bound.

    `max_calls` model calls for each sample (methods that perturb), `max_batch` rows of one pass, `time_limit` seconds
    for the whole call, `tolerance` the standard error, relative to the largest value, at which sampling stops.
    """

    max_calls: int | None = None
    max_batch: int | None = None
    time_limit: float | None = None
    tolerance: float | None = None

    def __post_init__(self) -> None:
        _check("max_calls", self.max_calls, Integral, 0, "a whole number of model calls")
        _check("max_batch", self.max_batch, Integral, 1, "a whole number of rows, at least 1")
        _check("time_limit", self.time_limit, Real, 0, "a number of seconds above 0", strict=True)
        _check("tolerance", self.tolerance, Real, 0, "a relative standard error above 0, as 0.02", strict=True)

    def deadline(self, start: float) -> float:
        """Say when time is up for work begun at `start`, both by time.perf_counter."""
        return np.inf if self.time_limit is None else start + self.time_limit

    def bound(self, model: Model, start: float) -> Model:
        """Give the model with its passes bounded."""
        if self.max_batch is None and self.time_limit is None:
            return model
        return cast(Model, Bounded(model, self.max_batch, self.deadline(start)))

    def timed(self, model: Model, start: float) -> Model:
        """Give the model with its passes bounded, the forward ones too once time is up."""
        if self.max_batch is None and self.time_limit is None:
            return model
        return cast(Model, Timed(model, self.max_batch, self.deadline(start)))

    @property
    def note(self) -> dict[str, Any]:
        """What an origin records: the bounds that were set."""
        return {name: value for name, value in vars(self).items() if value is not None}


def _check(name: str, value: Any, kind: Any, least: float, said: str, strict: bool = False) -> None:
    if value is None:
        return
    fits = isinstance(value, kind) and not isinstance(value, bool) and (value > least if strict else value >= least)
    if not (fits and value < np.inf):
        raise ParameterError(f"{name} is {said}, or None, not {value!r}")


class Bounded:
    """A model whose passes have at most so many rows, and that pulls nothing back once time is up; else the same.

    Only `pull` heeds the deadline: the few forward passes that make evidence of what is there are still made.
    """

    def __init__(self, model: Model, most: int | None, deadline: float) -> None:
        self._model, self._most, self._deadline = model, most, deadline

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @property
    def unbounded(self) -> Model:
        """The model itself."""
        return self._model

    @property
    def batch_size(self) -> int:
        """How many samples one chunk has."""
        size = self._model.batch_size
        return size if self._most is None else min(size, self._most)

    def run(self, x: Tensors, at: Any = (), patch: Mapping[str, Array] = {}, **how: Any) -> Run:
        """Run the model, so many rows at a time."""
        parts = [
            self._model.run(rows(x, s), at, patch_rows(patch, s), **how) for s in chunks(length(x), self.batch_size)
        ]
        return Run.join(parts)

    def pull(self, x: Tensors, seed: Any, *, patch: Mapping[str, Array] = {}, **how: Any) -> Pull:
        """Pull back, so many rows at a time; raises TimeUp after the deadline."""
        parts = []
        for s in chunks(length(x), max(1, self.batch_size // 2)):
            if time.perf_counter() >= self._deadline:
                raise TimeUp("the time limit was over before there was anything to return: give a longer time_limit")
            own = seed if callable(seed) else rows(seed, s)
            parts.append(self._model.pull(rows(x, s), own, patch=patch_rows(patch, s), **how))
        return Pull.join(parts)


class Timed(Bounded):
    """A bounded model that does nothing more once time is up, nor do its likes with other weights."""

    @property
    def deadline(self) -> float:
        """When time is up, by time.perf_counter."""
        return self._deadline

    def run(self, x: Tensors, at: Any = (), patch: Mapping[str, Array] = {}, **how: Any) -> Run:
        """Run the model; raises TimeUp after the deadline."""
        if time.perf_counter() >= self._deadline:
            raise TimeUp("the time limit was over")
        return super().run(x, at, patch, **how)

    def with_weights(self, weights: Mapping[str, Array]) -> Model:
        """Give the same network with other weights, in the same bounds."""
        return cast(Model, Timed(self._model.with_weights(weights), self._most, self._deadline))


def unbounded(model: Model) -> Model:
    """Give the model itself: its copies and what it said are kept for it, however it was bounded."""
    return model.unbounded if isinstance(model, Bounded) else model
