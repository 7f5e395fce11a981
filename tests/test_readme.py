"""The Python of the README runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(), flags=re.DOTALL | re.MULTILINE)


BEGINNINGS = {
    "keras": "(1, 64, 64",
    "torch": "(1, 64, 64",
    "which holds": "[[1. ",
    "texts": "A     ",
    "many samples": "<Summary of saliency in xo_cnn over 200 samples",
    "inside": "(3, 3) (1, 1) ((0, 0), (2, 2))",
    "tables": "checking_account",
    "study": "Counts(units=18, done=18, failed=0, skipped=0)",
    "audit": "Example Bank",
    "zoo": "0.8",
}
"""What the example of a name prints first."""


def test_the_readme_has_an_example_for_each_framework_and_the_zoo() -> None:
    marks = {
        "keras": "^import keras$",
        "torch": "^import torch$",
        "which holds": r"xk\.compare.*xk\.faithfulness.*evidence=\"full\"",
        "texts": r"\.offsets",
        "many samples": r"xk\.summary.*xk\.concepts",
        "inside": r"xk\.receptive_field.*xk\.maximize",
        "tables": r"xk\.importance.*xk\.counterfactuals",
        "study": r"xk\.study\.run",
        "audit": r"audit\.record.*audit\.letter.*audit\.replay.*audit\.export",
        "zoo": r"xk\.zoo\.build",
    }
    how = re.MULTILINE | re.DOTALL
    found = [bool(re.search(marks[name], block, how)) for name, block in zip(marks, BLOCKS, strict=True)]
    assert found == [True] * len(marks)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "block"), list(zip(BEGINNINGS, BLOCKS, strict=True)), ids=BEGINNINGS)
def test_the_example_runs(name: str, block: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", block],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(BEGINNINGS[name])
