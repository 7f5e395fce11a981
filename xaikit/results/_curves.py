"""How a network was trained: its losses and metrics, step by step."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import UnknownName
from xaikit.results._origin import Shown


@dataclass(frozen=True, eq=False)
class Curve:
    """One metric of one part of the data: `values` (point,) at `steps` (point,), which rise; `axis`: epoch or step.

    Epochs count from 1. `part` is "training" or "validation", after the run's name where there are several runs.
    """

    metric: str
    part: str
    axis: str
    steps: Array
    values: Array

    @property
    def name(self) -> str:
        """Metric and part: "loss/validation"."""
        return f"{self.metric}/{self.part}"


@dataclass(frozen=True, eq=False)
class Curves(Shown):
    """How a training went: its curves, where they were read, and `best`, the epoch or step of the best weights.

    `best` is None where there is no validation loss to judge by.
    """

    curves: tuple[Curve, ...]
    source: str
    best: float | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics, loss first."""
        return tuple(dict.fromkeys(c.metric for c in self.curves))

    def __getitem__(self, name: str) -> Curve:
        """Give one curve by metric and part, "loss/validation". Raises UnknownName."""
        for curve in self.curves:
            if curve.name == name:
                return curve
        raise UnknownName("curve", name, self)

    def __iter__(self) -> Iterator[str]:
        """Give the names of the curves."""
        return (curve.name for curve in self.curves)

    def __len__(self) -> int:
        """Count the curves."""
        return len(self.curves)

    def __repr__(self) -> str:
        best = "" if self.best is None else f", best {self.curves[0].axis} {self.best:g}"
        return f"<Curves {self.source}: {', '.join(self)}{best}>"


def lowest(curves: Iterable[Curve]) -> float | None:
    """Find the step of the lowest validation loss; None where no validation loss was kept, or it is no number."""
    for curve in curves:
        if curve.metric.lower() == "loss" and curve.part == "validation" and np.isfinite(curve.values).any():
            return float(curve.steps[np.nanargmin(np.where(np.isfinite(curve.values), curve.values, np.nan))])
    return None
