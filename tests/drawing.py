"""Random choices drawn by hypothesis, under the names of NumPy's generator: a failing network is shrunk."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

RANDOM = settings(derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
"""The same networks in every run, however long one takes."""


class Drawn:
    """What the builders of random networks ask of a generator."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = data.draw

    def integers(self, low: int, high: int | None = None, size: int | None = None) -> Any:
        """Draw whole numbers from `low` to below `high`; with one bound from 0 on."""
        first, last = (0, low - 1) if high is None else (low, high - 1)
        each = st.integers(first, last)
        if size is None:
            return np.int64(self.draw(each))
        return np.array(self.draw(st.lists(each, min_size=size, max_size=size)), np.int64)

    def choice(self, options: Sequence[Any]) -> Any:
        """Draw one of several."""
        return self.draw(st.sampled_from(list(options)))

    def random(self) -> float:
        """Draw a number from 0 to below 1."""
        return self.draw(st.integers(0, 9)) / 10

    def uniform(self, low: float, high: float, shape: Any) -> Any:
        """Give numbers that need not shrink: the values of weights."""
        return np.random.default_rng(0).uniform(low, high, shape)
