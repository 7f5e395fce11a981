"""The notebooks in examples/ run from the first cell to the last, and are stored without outputs.

A notebook that has run is kept with its outputs in build/notebooks, or the folder that XAIKIT_NOTEBOOKS names: the docs
show it.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from xaikit import zoo
from xaikit.storage import write_atomically

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
KEPT = Path(os.environ.get("XAIKIT_NOTEBOOKS") or ROOT / "build" / "notebooks").absolute()
NOTEBOOKS = sorted(path.stem for path in EXAMPLES.glob("*.ipynb"))
NEEDS = {"keras": ("keras",), "torch": ("torch",), "sklearn": ("sklearn",), "xaikit_app": ("dash", "gunicorn")}
"""What has to be there for a notebook that imports a module."""
TIMEOUT = 180
"""Seconds that a notebook may take on two cores."""
PLOTLY = "application/vnd.plotly.v1+json"
WITHOUT_PICTURES = {"deploy_the_app"}


def read(name: str) -> Any:
    notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    return notebook


def code(name: str) -> str:
    return "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "code")


def shown(cell: Any) -> set[str]:
    """What a cell shows, by the kind of its outputs."""
    return {kind for output in cell.outputs for kind in output.get("data", {})}


def test_the_notebooks_are_these() -> None:
    assert NOTEBOOKS == [
        "a_photo",
        "a_review",
        "audit_credit",
        "brain_waves",
        "credit_refusal",
        "daily_series",
        "deploy_the_app",
        "digit_anomalies",
        "ecg_beats",
        "evidence",
        "inside_a_cnn",
        "one_class_digits",
        "reading_sequences",
        "report_at_scale",
        "your_keras_model",
        "your_pytorch_model",
    ]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_stored_without_outputs(name: str) -> None:
    stored = json.loads((EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in stored["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert [(cell["outputs"], cell["execution_count"]) for cell in cells] == [([], None)] * len(cells)
    assert all(not cell["metadata"] for cell in stored["cells"])
    assert stored["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_links_lead_to_files_that_are_there(name: str) -> None:
    text = "\n".join(cell.source for cell in read(name).cells if cell.cell_type == "markdown")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    assert all((EXAMPLES / link).is_file() for link in links)


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, needed in NEEDS.items():
        if re.search(rf"^(import|from) {module}\b", code(name), re.MULTILINE):
            for package in needed:
                pytest.importorskip(package, reason=f"the notebook needs {package}")
    if "data.load(" in code(name) and not os.environ.get("XAIKIT_DATA"):
        pytest.skip("XAIKIT_DATA names no folder with data sets, and tests download none")
    for network in re.findall(r'zoo\.load\("(\w+)"\)', code(name)):
        if zoo.card(network).trained is None:
            pytest.skip(f"there are no trained weights of {network}")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    notebook = read(name)
    NotebookClient(notebook, timeout=TIMEOUT, resources={"metadata": {"path": str(EXAMPLES)}}).execute()
    pictures = [cell for cell in notebook.cells if cell.cell_type == "code" and "image/png" in shown(cell)]
    assert len(pictures) >= (0 if name in WITHOUT_PICTURES else 2)
    drawn = [cell for cell in notebook.cells if cell.cell_type == "code" and PLOTLY in shown(cell)]
    assert all("image/png" in shown(cell) for cell in drawn)
    said = "".join(o.get("text", "") for c in notebook.cells if c.cell_type == "code" for o in c.outputs)
    assert "Warning" not in said
    KEPT.mkdir(parents=True, exist_ok=True)
    write_atomically(KEPT / f"{name}.ipynb", nbformat.writes(notebook).encode())
