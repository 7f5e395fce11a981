"""Why this prediction: one file per method, and `explain` that runs them by name."""

from xaikit.attribution._explain import explain, fingerprint, input_hash, prepare, versions
from xaikit.attribution._method import Map, Method, Parameter, Task, methods, parameter, require

__all__ = [
    "Map",
    "Method",
    "Parameter",
    "Task",
    "explain",
    "fingerprint",
    "input_hash",
    "methods",
    "parameter",
    "prepare",
    "require",
    "versions",
]
