"""What all tests share: quiet frameworks, drawing without a screen, and the folder with data sets."""

import os
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _begin_randomness_anew() -> None:
    """Draw the same weights in every run of a test: Keras seeds its layers from `random`, torch has its own stream."""
    random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def pytest_collectstart() -> None:
    """Networks that a file of tests makes as it is imported."""
    _begin_randomness_anew()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Networks that a test or its fixtures make."""
    _begin_randomness_anew()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder that XAIKIT_DATA names; skips the test where there is none."""
    named = os.environ.get("XAIKIT_DATA")
    if not named:
        pytest.skip("XAIKIT_DATA names no folder with data sets")
    return Path(named)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """One browser for a process of tests: a second one beside it would not start."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium to test pages with")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield browser
        browser.close()
