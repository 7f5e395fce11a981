"""The Python of the README runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(), flags=re.DOTALL | re.MULTILINE)


def test_the_readme_has_an_example_for_each_framework() -> None:
    assert [
        bool(re.search(f"^import {name}$", block, re.MULTILINE))
        for name, block in zip(("keras", "torch"), BLOCKS, strict=True)
    ] == [True, True]


@pytest.mark.slow
@pytest.mark.parametrize("block", BLOCKS, ids=["keras", "torch"])
def test_the_example_runs(block: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", block],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(1, 64, 64")
