"""What all tests share: quiet frameworks, drawing without a screen, and the folder with data sets."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder that XAIKIT_DATA names; skips the test where there is none."""
    named = os.environ.get("XAIKIT_DATA")
    if not named:
        pytest.skip("XAIKIT_DATA names no folder with data sets")
    return Path(named)
