"""Cases of a test: which of them run always, and which are more of the same, marked `long` (see CONTRIBUTING.md)."""

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def some(cases: Iterable[Any], always: Collection[Any]) -> list[Any]:
    """Give all cases for `parametrize`, of which those not in `always` are marked long. Raises KeyError for a typo."""
    every = list(cases)
    missing = [case for case in always if case not in every]
    if missing:
        raise KeyError(f"no such cases: {missing}")
    return [case if case in always else _long(*case) if isinstance(case, tuple) else _long(case) for case in every]


def _long(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.long)
