"""The pages of docs/ that are made from the code say what the code says now."""

import re
import runpy
from pathlib import Path

import pytest

import xaikit as xk

DOCS = Path(__file__).parents[1] / "docs"
GENERATED = runpy.run_path(str(DOCS / "generate.py"))
PAGES = GENERATED["PAGES"]


NEW = "run: python docs/generate.py"
NEEDS_NETWORKS = ("methods.md",)


@pytest.mark.parametrize("name", [name for name in PAGES if name not in NEEDS_NETWORKS])
def test_a_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), NEW


def test_every_method_has_its_place_on_the_page_and_in_the_readme() -> None:
    page, readme = (path.read_text(encoding="utf-8") for path in (DOCS / "methods.md", DOCS.parent / "README.md"))
    assert sorted(re.findall(r"^### (.*)$", page, re.MULTILINE)) == list(xk.methods), NEW
    assert sorted(re.findall(r"\(docs/methods\.md#([a-z0-9-]+)\)", readme)) == list(xk.methods), NEW
    assert page.count("\nSource: ") == len(xk.methods)


@pytest.mark.slow
def test_what_the_doctor_says_of_networks_in_both_frameworks_is_up_to_date() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("keras")
    for name in NEEDS_NETWORKS:
        assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), NEW
    assert (DOCS.parent / "README.md").read_text(encoding="utf-8") == GENERATED["readme"](), NEW
    for path, text in GENERATED["method_files"]().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: {NEW}"
