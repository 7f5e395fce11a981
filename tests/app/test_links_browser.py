"""Addresses in a real browser: what is chosen on a page is in its address, and the address gives the page again."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

pytest.importorskip("torch")
pytest.importorskip("playwright.sync_api")

from tests.app.conftest import Served, Tab, serving, settle, tab_of
from tests.cases import some
from xaikit import data

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(data.folder() is None, reason="samples lie in the folder that XAIKIT_DATA names"),
]
CNN, TABLE, SERIES = "xo_cnn", "credit_mlp", "series_autoencoder"
CHANGES = re.compile(r"\s*(stored|Shown at once.*|[Tt]ook .*|[Aa]bout .*)|.*\d[\d.,]* (ms|s|min)\b.*")
"""What is said of times, and of results that were there before."""
VALUE = re.compile(r"[\w.,:;@+ -]{0,120}")
"""What a choice looks like in an address: names, ids and numbers, and no more of them than a line has."""


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(CNN, TABLE, SERIES, cache=tmp_path_factory.mktemp("links")) as app:
        yield app


@pytest.fixture
def fresh(chromium: Any, linked: Served) -> Iterator[Callable[[], Tab]]:
    """Open a tab in a session of its own, as often as it is called."""
    tabs: list[Tab] = []

    def opened() -> Tab:
        context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light", bypass_csp=True)
        tabs.append(tab_of(context, linked))
        return tabs[-1]

    yield opened
    for tab in tabs:
        tab.page.context.close()
    assert [c for tab in tabs for c in tab.complaints] == []


def said(page: Any) -> list[str]:
    """Give what a page says, line by line, without times; also what its controls hold."""
    settle(page)
    held = """all => all.filter(e => e.checkVisibility()).map(e =>
        (e.getAttribute("aria-label") || e.id) + " " + (/checkbox|radio/.test(e.type) ? e.checked : e.value))"""
    lines = [line.strip() for line in page.inner_text("#main").splitlines() if not CHANGES.fullmatch(line)]
    inputs = page.eval_on_selector_all("#main input:not([type=file])", held)
    steady = [re.sub(r"(mantine|input)-\w+(-\w+)?", "", line) for line in inputs]
    return [line for line in lines if line] + steady


def sample(page: Any, number: int = 2) -> None:
    page.locator("#main .thumbs .thumb").nth(number).click()
    page.wait_for_function("location.search.includes('sample=')")


def layer_and_unit(page: Any) -> None:
    page.keyboard.press("]")
    page.wait_for_function("location.search.includes('layer=')")
    sample(page)


def methods(page: Any) -> None:
    sample(page)
    settle(page)
    page.locator("input[type=checkbox][id*='explain-method'][id*='occlusion']").check()
    page.wait_for_function("location.search.includes('occlusion')")


def changed_row(page: Any) -> None:
    page.locator("#main [role=slider]").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("location.search.includes('change')")


def threshold(page: Any) -> None:
    page.locator("#anomalies-slider").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("location.search.includes('threshold=')")


MADE: dict[str, tuple[str, str, Callable[[Any], None] | None]] = {
    "explain": (CNN, "methods=saliency,lime&seed=4&view=expert&lime.samples=200", methods),
    "layers": (CNN, "", layer_and_unit),
    "convolution": (CNN, "layer=conv1&unit=1", sample),
    "compare": (CNN, "methods=saliency,occlusion&scale=own", None),
    "importance": (TABLE, "", None),
    "what-if": (TABLE, "", changed_row),
    "data": (TABLE, "", None),
    "anomalies": (SERIES, "level=0.95", threshold),
    "latent": (SERIES, "colour=error", None),
    "sequences": (SERIES, "", None),
    "overview": (SERIES, "", None),
    "curves": (CNN, "smooth=5", None),
    "audit": (CNN, "", None),
    "reports": (CNN, "", None),
}


@pytest.mark.parametrize("path", some(MADE, ["explain"]))
def test_an_address_gives_the_same_screen_in_a_fresh_session(fresh: Callable[[], Tab], path: str) -> None:
    model, query, choose = MADE[path]
    here = fresh()
    page = here.open(f"{path}?model={model}&framework=torch&{query}")
    settle(page)
    if choose is not None:
        choose(page)
    before, url = said(page), page.url
    there = fresh()
    assert said(there.open(url.removeprefix(here.url))) == before
    assert all(VALUE.fullmatch(value) for _, value in parse_qsl(urlsplit(url).query)), url
