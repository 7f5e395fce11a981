"""Forms made from the parameter fields of methods, and back from what was filled in to parameters."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import dash_mantine_components as dmc

from xaikit.attribution import DIALECTS, Parameter, methods
from xaikit.errors import ParameterError
from xaikit.perturb.budget import Budget
from xaikit.perturb.copies import KINDS
from xaikit_app.work.describe import Description

TRIED = (-1, 0, 1, 2)
QUOTED = re.compile(r"'([^']+)'")
SPATIAL = {"height", "width", "time", "token"}
WEIGHTS = {"target", "source"}
"""Axes of a layer that gives attention weights."""
DIALECT = Parameter(
    "dialect", "str | None", None, "another library's defaults where nothing else is chosen; None = its own"
)
BUDGET: dict[str, Parameter] = {
    p.name: p
    for p in (
        Parameter("max_calls", "int | None", None, "model calls of methods that perturb; None = as many as they take"),
        Parameter("max_batch", "int | None", None, "rows of one pass through the network; None = by its size"),
        Parameter("time_limit", "float | None", None, "seconds; what was found by then is shown; None = no limit"),
        Parameter("tolerance", "float | None", None, "stop sampling at this relative standard error; None = draw all"),
        Parameter("accelerate", "str", "auto", "the copy that methods without gradients run", KINDS),
    )
}
"""The fields of the budget that holds for all methods of a run."""
LEAST = {"max_calls": 0, "max_batch": 1}


def budget_form(given: Mapping[str, Any], page: str) -> list[Any]:
    """Give one control for each field of the budget. The ids are {"type": "PAGE-budget", "name": ...}."""
    return [
        _bound(p, given.get(p.name, p.default), {"type": f"{page}-budget", "name": p.name}) for p in BUDGET.values()
    ]


def budget(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Turn what was filled in into the fields of the budget that differ from the defaults. Raises ParameterError."""
    read = {name: _read(p, entries.get(name, p.default)) for name, p in BUDGET.items()}
    given = {name: value for name, value in read.items() if value != BUDGET[name].default}
    Budget(**{name: value for name, value in given.items() if name != "accelerate"})
    if given.get("accelerate", "auto") not in KINDS:
        raise ParameterError(f"accelerate must be one of {', '.join(KINDS)}, not {given['accelerate']!r}")
    return given


def budget_for(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what a method has no use for: one that follows gradients runs no copy."""
    return {k: v for k, v in given.items() if k != "accelerate" or "pull" not in methods[method].needs}


def _bound(parameter: Parameter, value: Any, id: dict[str, str]) -> Any:
    common = {
        "id": id,
        "label": parameter.name.replace("_", " "),
        "description": _sentence(parameter.help),
        "size": "xs",
    }
    if parameter.choices:
        return dmc.Select(data=list(parameter.choices), value=value, allowDeselect=False, **common)
    whole = parameter.type.startswith("int")
    low = LEAST.get(parameter.name, 0)
    shown = "" if value is None else value
    return dmc.NumberInput(value=shown, min=low, allowDecimal=not whole, placeholder="no limit", **common)


def form(method: str, description: Description, given: dict[str, Any], page: str) -> list[Any]:
    """Give one control for each parameter of a method, filled with what is given, else with the defaults.

    The last chooses the dialect where the method has some. The ids are {"type": "PAGE-parameter", "method": ...,
    "name": ...}.
    """
    known = _known(method)
    return [_control(method, p, description, given.get(name, p.default), page) for name, p in known.items()]


def has_parameters(method: str) -> bool:
    """Whether there is anything to fill in for a method."""
    return bool(_known(method))


def filled(method: str, entries: dict[str, Any]) -> dict[str, Any]:
    """Turn what was filled in into the parameters that differ from the defaults. Raises ParameterError."""
    known = _known(method)
    read = {name: _read(known[name], value) for name, value in entries.items() if name in known}
    given = {name: value for name, value in read.items() if value != known[name].default}
    methods[method].make(given)
    return given


def _known(method: str) -> dict[str, Parameter]:
    spoken = {DIALECT.name: replace(DIALECT, choices=tuple(DIALECTS[method]))} if method in DIALECTS else {}
    return {**methods[method].parameters(), **spoken}


def ticked(method: str, name: str) -> bool:
    """Whether a parameter is a box to tick."""
    return _known(method)[name].type == "bool"


@cache
def least(method: str, name: str) -> int | None:
    """Find the least whole number that a method takes for a parameter; None where there is no bound.

    The bound is what the method itself refuses, so that it is said in one place.
    """
    taken = [n for n in TRIED if _takes(method, name, n)]
    return None if not taken or taken[0] == TRIED[0] else taken[0]


def _takes(method: str, name: str, value: int) -> bool:
    try:
        methods[method].make({name: value})
    except ParameterError:
        return False
    return True


def _control(method: str, parameter: Parameter, description: Description, value: Any, page: str) -> Any:
    kind = parameter.type
    common: dict[str, Any] = {
        "id": {"type": f"{page}-parameter", "method": method, "name": parameter.name},
        "label": parameter.name.replace("_", " "),
        "description": _sentence(parameter.help),
        "size": "xs",
    }
    if kind == "bool":
        return dmc.Checkbox(checked=bool(value), **common)
    if parameter.choices:
        optional = parameter.default is None
        common["placeholder"] = "its own" if optional else None
        return dmc.Select(data=list(parameter.choices), value=value, clearable=optional, **common)
    if parameter.name in ("layer", "layers"):
        return _layers(parameter, description, value, common)
    if kind in ("int", "float", "int | None", "float | None"):
        whole = kind.startswith("int")
        low = least(method, parameter.name)
        return dmc.NumberInput(
            value="" if value is None else value,
            min=low,
            step=1 if whole else 0.05,
            allowDecimal=not whole,
            placeholder="by itself",
            **common,
        )
    shown = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    words = QUOTED.findall(parameter.help)
    return dmc.Autocomplete(data=words, value=shown, placeholder="by itself", **common)


def _layers(parameter: Parameter, description: Description, value: Any, common: dict[str, Any]) -> Any:
    """Give the choice of a layer, or of several where the method takes such."""
    axes = WEIGHTS if parameter.name == "layers" else SPATIAL
    names = [layer.name for layer in description.graph if axes & set(layer.axes)]
    if parameter.name == "layers":  # where it is not known what is attention, any softmax may be
        names = names or [layer.name for layer in description.graph if layer.kind == "softmax"]
    how = {"data": names, "clearable": True, "searchable": True, "placeholder": "by itself", **common}
    if parameter.type != "Any":
        return dmc.Select(value=value, **how)
    return dmc.MultiSelect(value=[value] if isinstance(value, str) else list(value or ()), **how)


def _read(parameter: Parameter, value: Any) -> Any:
    """Turn the value of a control into that of a parameter: an empty one is None, a text may be a number or a list."""
    if value in ("", None, []):
        return None if "None" in parameter.type or parameter.type == "Any" else parameter.default
    if isinstance(value, list):
        return tuple(value)
    if "int" in parameter.type and "str" in parameter.type:
        return int(value) if str(value).lstrip("-").isdecimal() else value
    if parameter.type.startswith("float") and isinstance(value, int):
        return float(value)
    if parameter.type != "Any" or not isinstance(value, str):
        return value
    try:
        read = json.loads(value)
    except ValueError:
        return value
    return tuple(read) if isinstance(read, list) else read


def _sentence(text: str) -> str:
    return text.replace("None = ", "empty: ")


__all__ = ["BUDGET", "budget", "budget_for", "budget_form", "filled", "form", "has_parameters", "least", "ticked"]
