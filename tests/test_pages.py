"""The Python of the pages of docs/ runs as it stands; that of docs/methods/ is run by tests/test_method_pages.py."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.run_pages import blocks

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PAGES = [
    page.relative_to(ROOT).as_posix()
    for page in sorted((ROOT / "docs").rglob("*.md"))
    if "methods" not in page.parts and blocks(page.read_text(encoding="utf-8"))
]
NEED_DATA = ("docs/anomalies.md",)
"""Pages that read a data set from the folder that XAIKIT_DATA names."""
NEED_KERAS = ("docs/guide.md",)


WRONG = "# A page\n\n```python\nx = 1\n```\n\n```python\nprint(x)\nx / 0\n```\n"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The errors of all pages, by page, and of one that is wrong."""
    if find_spec("torch") is None or not hasattr(os, "fork"):
        pytest.skip("pages need torch, and processes of their own by fork, which this system does not have")
    wrong = tmp_path_factory.mktemp("pages") / "wrong.md"
    wrong.write_text(WRONG)
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "run_pages.py"), *PAGES, str(wrong)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {Path(line["page"]).name if line["page"] == str(wrong) else line["page"]: line["error"] for line in lines}


@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_the_page_runs(page: str, ran: dict[str, str]) -> None:
    if page in NEED_DATA and not os.environ.get("XAIKIT_DATA"):
        pytest.skip("XAIKIT_DATA names no folder with data sets")
    if page in NEED_KERAS and find_spec("keras") is None:
        pytest.skip("keras is not installed")
    assert ran[page] == ""


def test_a_block_that_fails_is_told_with_its_line(ran: dict[str, str]) -> None:
    assert "line 9" in ran["wrong.md"]
    assert "ZeroDivisionError" in ran["wrong.md"]
