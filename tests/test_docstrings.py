"""Every public name says what it gives: shapes and axes, the errors it raises, and where its formula comes from."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

import xaikit as xk
from xaikit import results

DATA = {
    "x",
    "X",
    "y",
    "samples",
    "series",
    "normal",
    "anomalous",
    "scores",
    "values",
    "flags",
    "truth",
    "maps",
    "masks",
}
"""Parameters that hold arrays, or what becomes one."""

SHAPE = re.compile(
    r"\((?:sample|row|time|height|step|part|patch|group|output|concept|counterfactual|detector|\*)|shape"
)
"""How a docstring names the axes of an array, as (sample, *space, channel)."""

SOURCE = re.compile(r"Source: |\b(?:18|19|20)\d\d\b|Raises as `")

OWN = {
    "curves",  # what was recorded while a network was trained
    "anomaly.explain",  # the attribution is a method's; the repair is a greedy search, as it says
    "anomaly.stream",  # means, medians and extremes over windows
    "sequence.prefixes",  # the network's answers to beginnings
    "activations",  # what the network gives
    "explain",  # each method has its own
    "explore",  # each operation has its own
    "layer_graph",
    "scalp_map",  # sums at places that are given
    "unit_card",  # filters, receptive field, patches and optimum have their own
}
"""What calculates by no formula of others. Wrapping, storage, drawing, studies, records and the zoo are no formulas."""

KEEPERS = ("audit.", "study.", "zoo.", "load", "save", "wrap", "plot")

CALM = {"audit.explained", "audit.without_password"}
"""Functions that have nothing to refuse."""


def _public() -> dict[str, Any]:
    """The functions and classes that a user meets: of xaikit, its public modules, results, methods and operations."""
    found: dict[str, Any] = {}
    for name in xk.__all__:
        value = getattr(xk, name)
        if isinstance(value, ModuleType):
            found |= {f"{name}.{inner}": getattr(value, inner) for inner in value.__all__}
        else:
            found[name] = value
    found |= {f"results.{name}": getattr(results, name) for name in results.__all__}
    found |= {f"methods[{name}]": cls for name, cls in xk.methods.items()}
    found |= {f"operations[{name}]": cls for name, cls in xk.operations.items()}
    return {name: value for name, value in found.items() if inspect.isclass(value) or inspect.isfunction(value)}


PUBLIC = _public()
FUNCTIONS = {name: f for name, f in PUBLIC.items() if inspect.isfunction(f) and not name.startswith("results.")}
CLASSES = {name: cls for name, cls in PUBLIC.items() if inspect.isclass(cls)}


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that xaikit defines on a class, as functions."""
    for base in cls.__mro__:
        if base.__module__.startswith("xaikit"):
            for name, value in vars(base).items():
                function = getattr(value, "fget", None) or getattr(value, "__func__", value)
                if not name.startswith("_") and inspect.isfunction(function):
                    yield name, function


def _documented(cls: type, name: str) -> str:
    """The docstring of a method, its own or that of the class that declares it."""
    found = (vars(base)[name] for base in cls.__mro__ if name in vars(base))
    texts = (getattr(getattr(value, "fget", value), "__doc__", None) for value in found)
    return next((text for text in texts if text), "")


def _raises(function: Any) -> list[str]:
    """What a function raises itself, without what is raised by those that it calls."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    raised = (node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call))
    return [
        name for call in raised if (name := ast.unparse(call.func)) not in ("NotImplementedError", "AssertionError")
    ]


def test_every_public_name_has_a_docstring_of_its_own() -> None:
    def generated(value: Any, text: str) -> bool:
        return text.startswith(f"{value.__name__}(")  # what dataclasses make of their fields

    texts = {name: (value, (value.__doc__ or "").strip()) for name, value in PUBLIC.items()}
    assert [name for name, (value, text) in texts.items() if not text or generated(value, text)] == []


def test_every_public_method_and_property_has_one() -> None:
    members = [(name, cls, member) for name, cls in CLASSES.items() for member, _ in _members(cls)]
    assert [f"{name}.{member}" for name, cls, member in members if not _documented(cls, member).strip()] == []


def test_a_function_of_data_names_axes() -> None:
    takers = [name for name, f in FUNCTIONS.items() if DATA & set(inspect.signature(f).parameters)]
    assert len(takers) > 30
    assert [name for name in takers if not SHAPE.search(FUNCTIONS[name].__doc__ or "")] == []


def test_a_class_says_what_its_arrays_are() -> None:
    silent, count = [], 0
    for name, cls in CLASSES.items():
        text = " ".join(base.__doc__ or "" for base in cls.__mro__ if base.__module__.startswith("xaikit"))
        arrays = [f.name for f in fields(cls) if "ndarray" in str(f.type)] if is_dataclass(cls) else []
        silent += [f"{name}.{field}" for field in arrays if not re.search(rf"\b{field}\b", text)]
        count += len(arrays)
    assert count > 100
    assert silent == []


def test_a_function_says_what_it_raises() -> None:
    takers = {name: f for name, f in FUNCTIONS.items() if inspect.signature(f).parameters}
    assert {name for name, f in takers.items() if "Raises" not in (f.__doc__ or "")} == CALM


def test_a_method_that_raises_says_so() -> None:
    raising = [(name, cls, member) for name, cls in CLASSES.items() for member, f in _members(cls) if _raises(f)]
    assert len(raising) > 30
    said = {f"{name}.{member}": _documented(cls, member) + (cls.__doc__ or "") for name, cls, member in raising}
    assert [place for place, text in said.items() if "aise" not in text] == []


def test_a_calculation_has_a_source() -> None:
    calculations = {name: f for name, f in FUNCTIONS.items() if not name.startswith(KEEPERS)}
    assert {name for name, f in calculations.items() if not SOURCE.search(f.__doc__ or "")} == OWN


def test_a_method_of_explanation_has_a_source_and_says_what_its_parameters_are() -> None:
    methods = {name: cls for name, cls in CLASSES.items() if name.startswith("methods[")}
    assert [name for name, cls in methods.items() if not re.search(r"Source:\s", cls.__doc__ or "")] == []
    asked = {f"{name} {p.name}": p.help for name, cls in methods.items() for p in cls.parameters().values()}
    assert [place for place, text in asked.items() if len(text) < 10] == []
