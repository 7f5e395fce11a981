"""A golden case: what is calculated, what is right, and how far apart the two may be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import UnknownName
from xaikit.selftest._bench import Bench

NUMBERS, PARTS, EXACT = 1e-5, 1e-4, 0.0
"""Largest differences, relative to the largest right value: of outputs, gradients and what is made of them; of values
of parts, which are differences of answers or solutions of a regression; of whole numbers."""

Golden = Mapping[str, Array]
"""Stored arrays by name: the inputs as NETWORK/x, the right values by the names of the cases."""


@dataclass(frozen=True)
class Case:
    """One golden case. `name` is GROUP/WHAT, `compared` says in words what is compared with what.

    `given(bench, golden)` calculates an array on one framework, `right(golden)` is what it should be. The difference
    is max|given - right| / max|right|, absolute where all that is right is 0.
    """

    name: str
    compared: str
    tolerance: float
    given: Callable[[Bench, Golden], Any]
    right: Callable[[Golden], Any]

    @property
    def group(self) -> str:
        """What stands before the slash: cases of one network or one question."""
        return self.name.partition("/")[0]


_KNOWN: dict[str, Case] = {}
MODULES = ("_closed", "_stored")
"""Where cases are, in the order in which they are carried out."""
Calculation = Callable[[Bench, Golden], Any]


def closed(name: str, compared: str, right: Any, tolerance: float = NUMBERS) -> Callable[[Calculation], Calculation]:
    """Add a case whose right values follow on paper."""
    values = np.asarray(right, np.float64)
    return _adding(name, compared, tolerance, lambda golden: values)


def stored(name: str, compared: str, tolerance: float = NUMBERS) -> Callable[[Calculation], Calculation]:
    """Add a case whose right values are in the data file, under its own name."""
    return _adding(name, compared, tolerance, lambda golden: golden[name])


def _adding(
    name: str, compared: str, tolerance: float, right: Callable[[Golden], Any]
) -> Callable[[Calculation], Calculation]:
    def add(given: Calculation) -> Calculation:
        assert name not in _KNOWN, name
        _KNOWN[name] = Case(name, compared, tolerance, given, right)
        return given

    return add


def cases(only: tuple[str, ...] = ()) -> tuple[Case, ...]:
    """Give the golden cases in their order: all, or those of the names or groups in `only`. Raises UnknownName."""
    for module in MODULES:
        import_module(f"xaikit.selftest.{module}")
    known = sorted(_KNOWN.values(), key=lambda c: MODULES.index(c.given.__module__.rpartition(".")[2]))
    for asked in only:
        if asked not in {n for c in known for n in (c.name, c.group)}:
            raise UnknownName("golden case", asked, [*dict.fromkeys(c.group for c in known), *_KNOWN])
    return tuple(c for c in known if not only or c.name in only or c.group in only)
