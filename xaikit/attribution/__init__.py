"""Why this prediction: one file per method, and `explain` that runs them by name."""

from xaikit.attribution._cam import choose_layer, laid_out
from xaikit.attribution._dialects import DIALECTS
from xaikit.attribution._explain import explain, origin_of, prepare, require_wrapped
from xaikit.attribution._families import FAMILIES, families
from xaikit.attribution._method import Map, Method, Parameter, Task, checked, described, methods, parameter, require
from xaikit.attribution._scalp import scalp_map

__all__ = [
    "DIALECTS",
    "FAMILIES",
    "Map",
    "Method",
    "Parameter",
    "Task",
    "checked",
    "choose_layer",
    "described",
    "explain",
    "families",
    "laid_out",
    "methods",
    "origin_of",
    "parameter",
    "prepare",
    "require",
    "require_wrapped",
    "scalp_map",
]
