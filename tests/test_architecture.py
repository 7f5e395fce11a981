"""What the import contracts cannot see: that their lists, and those of the dependencies, are complete."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from pkgutil import iter_modules

import pytest

import xaikit

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = {contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}

FOR_ADAPTERS = {"accelerated", "model", "arrays", "graph", "masked", "errors", "untrusted", "zoo", "inputs"}
OF_THE_NOTEBOOK = {"IPython"}
"""Imported only where a notebook shows something, which brings it."""
OURS = {"xaikit", "xaikit_torch", "xaikit_keras", "xaikit_app", "xaikit_weights"}


def test_adapters_are_kept_from_every_other_module_of_the_core() -> None:
    modules = {f"xaikit.{module.name}" for module in iter_modules(xaikit.__path__)}
    allowed = {f"xaikit.{name}" for name in FOR_ADAPTERS}
    kept_from = {name for name in CONTRACTS["adapters"]["forbidden_modules"] if name.startswith("xaikit.")}
    assert kept_from == modules - allowed


def imported_roots(package: Path) -> set[str]:
    """Root names of everything that the package imports, also inside functions."""
    found = set()
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - OURS - OF_THE_NOTEBOOK


def distributions(*requirements: str) -> set[str]:
    return {normal("".join(c if c.isalnum() or c in "-_." else " " for c in r).split()[0]) for r in requirements}


def normal(name: str) -> str:
    return name.lower().replace("_", "-")


@pytest.mark.parametrize(
    ("package", "extras"),
    [
        ("xaikit", ["audit", "postgresql", "report", "distributed", "fast", "keras"]),
        ("adapters/xaikit_torch", ["torch", "fast"]),
        ("adapters/xaikit_keras", ["keras", "keras-cpu", "fast"]),
        ("app/xaikit_app", ["app"]),
    ],
)
def test_what_a_package_imports_is_declared(package: str, extras: list[str]) -> None:
    declared = PROJECT["project"]["dependencies"] + [
        requirement for extra in extras for requirement in PROJECT["project"]["optional-dependencies"][extra]
    ]
    providers = packages_distributions()
    undeclared = {
        root
        for root in imported_roots(ROOT / package)
        if not {normal(name) for name in providers.get(root, [root])} & distributions(*declared)
    }
    assert undeclared == set()
