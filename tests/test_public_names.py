"""The public names are these, each exists, and none can be overwritten by the import of a submodule."""

import subprocess
import sys
from pkgutil import iter_modules, walk_packages
from types import ModuleType

import pytest

import xaikit as xk

PUBLIC = [
    "Array",
    "At",
    "Category",
    "Classes",
    "Image",
    "Margin",
    "Masks",
    "Number",
    "Reconstruction",
    "ReconstructionError",
    "Region",
    "Series",
    "Table",
    "Text",
    "Values",
    "XaikitError",
    "activations",
    "anomaly",
    "app",
    "attention",
    "audit",
    "break_down",
    "compare",
    "concepts",
    "counterfactuals",
    "curves",
    "effective_field",
    "explain",
    "explore",
    "fairness",
    "faithfulness",
    "filters",
    "hidden_states",
    "importance",
    "kernels",
    "layer_graph",
    "layer_health",
    "load",
    "load_model",
    "maximize",
    "methods",
    "operations",
    "plot",
    "profile",
    "receptive_field",
    "recovery",
    "save",
    "scalp_map",
    "sequence",
    "study",
    "summary",
    "top_patches",
    "unit_card",
    "what_if",
    "wrap",
    "zoo",
]
MODULES = {"anomaly", "audit", "sequence", "study", "zoo"}
"""Public names that are submodules, and meant as such."""

SUBMODULES = [module.name for module in iter_modules(xk.__path__)]


def test_the_public_names_are_these() -> None:
    assert sorted(xk.__all__) == PUBLIC


def test_dir_shows_the_public_names() -> None:
    assert set(PUBLIC) <= set(dir(xk))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_exists(name: str) -> None:
    assert getattr(xk, name) is not None


@pytest.mark.parametrize("name", PUBLIC)
def test_only_meant_names_are_modules(name: str) -> None:
    assert (name in SUBMODULES) == isinstance(getattr(xk, name), ModuleType) == (name in MODULES)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        xk.no_such_name  # noqa: B018


def test_importing_every_submodule_changes_no_public_name() -> None:
    modules = [module.name for module in walk_packages(xk.__path__, "xaikit.")]
    program = f"""
import importlib, xaikit as xk
before = {{name: getattr(xk, name) for name in xk.__all__}}
for module in {modules!r}:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:  # what an extra brings
        if error.name.startswith("xaikit"):
            raise
print([name for name, value in before.items() if getattr(xk, name) is not value])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
