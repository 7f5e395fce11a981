"""The command line, run in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.conftest import needed
from xaikit.cli import main
from xaikit.errors import MissingPackage

Run = Callable[..., tuple[Any, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Give a function from arguments to exit code, stdout and stderr, as into a file: without a terminal's width.

    Skips the test where the command needs a framework that is not installed.
    """
    monkeypatch.delenv("COLUMNS", raising=False)

    def call(*arguments: Any) -> tuple[Any, str, str]:
        with pytest.raises(SystemExit) as left:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        if left.value.code == MissingPackage.exit_code and (name := needed(said.err)):
            pytest.skip(f"needs {name}")
        return left.value.code, said.out, said.err

    return call


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """A folder with three pictures of the network's size."""
    folder = tmp_path / "digits"
    folder.mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 256, (28, 28)).astype(np.uint8)
        Pillow.fromarray(pixels).save(folder / f"{i}.png")
    return folder
