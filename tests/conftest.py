"""What all tests share: quiet frameworks, drawing without a screen, and the folder with data sets."""

import os
import random
import re
import shutil
import sys
from collections.abc import Generator, Iterator
from functools import partialmethod
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

POLLING_MS = 100
"""How often a page is asked whether what a test waits for is so."""

NEEDS = {"torch": ("torch", "captum"), "keras": ("keras", "tensorflow", "h5py")}
"""The packages of each framework."""
ABSENT = {name: packages for name, packages in NEEDS.items() if not all(map(find_spec, packages))}

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

LONGEST = (
    *("app/test_every_page.py", "examples/test_notebooks.py", "app/test_shell_browser.py", "app/test_explaining.py"),
    *("zoo/test_pretrained.py", "zoo/test_shipped.py", "keras/test_geometry.py", "zoo/test_recipes.py", "test_site.py"),
    *("app/test_explain_kinds.py", "app/test_sequences_page_browser.py", "app/test_pages_browser.py"),
    *("app/test_inside_browser.py", "app/test_tables_pages_browser.py", "audit/test_concurrent.py"),
    *("app/test_hostile_browser.py", "study/test_distributed.py", "app/test_frame.py", "test_pages.py"),
    *("jobs/test_cluster.py", "jobs/test_pool.py", "jobs/test_owners.py", "zoo/test_classifiers.py", "test_readme.py"),
)
"""Files that take minutes: several processes begin with them, so that none is left with one at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first."""
    places = {name: place for place, name in enumerate(LONGEST)}
    folder = Path(__file__).parent
    items.sort(key=lambda item: places.get(item.path.relative_to(folder).as_posix(), len(places)))


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


def needed(said: str) -> str | None:
    """Name the framework whose absence an error speaks of; None where it is there, or another thing is wrong."""
    for name, packages in ABSENT.items():
        module = rf"No module named '({'|'.join(packages)})['.]"
        if re.search(rf"{module}|which is not installed: pip install 'xaikit\[[a-z,-]*\b{name}\b", said):
            return name
    return None


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """A file of tests that imports a framework which is not installed is skipped, whoever imports it."""
    report = yield
    if ABSENT and report.failed and (name := needed(str(report.longrepr))):
        report.outcome, report.longrepr = "skipped", (str(collector.path), 0, f"Skipped: needs {name}")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """A test that asks for a framework which is not installed is skipped, as long as the error says so."""
    report = yield
    if ABSENT and report.failed and call.excinfo and (name := needed(str(call.excinfo.value))):
        report.outcome, report.longrepr = "skipped", (str(item.path), 0, f"Skipped: needs {name}")
    return report


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
        # by default a condition is evaluated in every frame, which keeps a processor busy that the page needs
        waiting = partialmethod(sync_api.Page.wait_for_function, polling=POLLING_MS)
        sync_api.Page.wait_for_function = waiting
        yield browser
        browser.close()
