"""The example of docs/tables.md runs as it stands, and numbers come back in their own units."""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import xaikit as xk

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    (block,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), flags=re.DOTALL | re.MULTILINE)
    exec(compile(block, str(PAGE), "exec"), {})
    assert "'variable': 'checking_account'" in capsys.readouterr().out.splitlines()[0]


def test_every_function_is_on_the_page() -> None:
    from xaikit import tabular

    text = PAGE.read_text()
    assert all(f"| `{name}` |" in text for name in tabular.__all__)


def test_whole_numbers_are_whole_after_standardising() -> None:
    spec = xk.Table({"age": xk.Number(mean=35.9175, std=11.334822175490888)})
    model = xk.wrap(lambda x: x[:, 0], inputs=spec, outputs=xk.Values(["y"]))
    rows = [{"age": float(v)} for v in range(19, 76)]
    assert_array_equal(xk.profile(model, rows, "age", grid="observed").grid, np.arange(19, 76))
