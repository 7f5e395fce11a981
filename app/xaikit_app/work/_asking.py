"""What the app's tasks may be asked: their parameters with defaults, which become part of a result's address."""

from collections.abc import Callable, Mapping
from typing import Any

from xaikit.errors import ParameterError, nearest
from xaikit.jobs import Task, Unit, tasks

Known = Mapping[str, Mapping[str, Any]]


def asked(unit: Unit, known: Known) -> dict[str, Any]:
    """Give a unit's parameters, with the task's defaults for those left out. Raises ParameterError."""
    defaults = known[unit.task]
    for name in unit.parameters:
        if name not in defaults:
            raise ParameterError(f"{unit.task} has no parameter {name!r}{nearest(name, defaults)}")
    return {**defaults, **unit.parameters}


def add(known: Known, runs: Mapping[str, Callable[..., Any]], format: int) -> None:
    """Register tasks; `format` is raised when one of them gives something else than before."""

    def address(unit: Unit) -> Mapping[str, Any]:
        return {**asked(unit, known), "format": format}

    for name, run in runs.items():
        tasks(name)(Task(run, address))


__all__ = ["Known", "add", "asked"]
