"""Importing xaikit brings nothing heavy: what it loads is told here, what it takes by benchmarks/imports.py."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    *("torch", "captum", "tensorflow", "keras", "shap", "lime", "numba", "onnxruntime"),
    *("plotly", "matplotlib", "dash", "flask", "jinja2", "rich", "click", "tqdm", "PIL"),
    *("skimage", "scipy", "sklearn", "pandas", "dask", "xaikit_torch", "xaikit_keras", "xaikit_app"),
}
AT_ONCE = {"arrays", "errors", "inputs", "later", "render", "results", "storage", "untrusted", "zoo"}
"""What describes inputs, keeps results and shows them; whatever calculates comes with its first use."""

CHILD = "import json, sys, xaikit; print(json.dumps(sorted(sys.modules)))"


@pytest.fixture(scope="module")
def imported() -> set[str]:
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, check=True)
    return set(json.loads(done.stdout))


def test_import_brings_nothing_heavy(imported: set[str]) -> None:
    assert {name.partition(".")[0] for name in imported} & HEAVY == set()


def test_import_loads_only_what_describes_and_keeps(imported: set[str]) -> None:
    ours = {name.split(".")[1] for name in imported if name.startswith("xaikit.")}
    assert ours <= AT_ONCE


def test_import_loads_few_modules_beyond_numpy(imported: set[str]) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD.replace("xaikit", "numpy")], capture_output=True, check=True)
    assert len(imported - set(json.loads(done.stdout))) < 80
