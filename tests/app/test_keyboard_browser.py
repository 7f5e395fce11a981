"""The app without a mouse: everything is reached by keys, the focus is seen, and every control has a name."""

import io
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")
pytest.importorskip("playwright.sync_api")

from tests.app.conftest import Served, Tab, serving, settle, tab_of
from xaikit import data

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(data.folder() is None, reason="samples lie in the folder that XAIKIT_DATA names"),
]
CNN, SERIES, TABLE = "xo_cnn", "series_autoencoder", "credit_mlp"
MOST = 120
"""So many stops a page may have before what is looked for."""
CONTROLS = "button|link|textbox|combobox|checkbox|radio|slider|switch|tab|spinbutton|searchbox|treeitem|option"
UNNAMED = re.compile(rf"^\s*- ({CONTROLS})( \[[^\]]*\])*:?$", re.MULTILINE)
HERE = "document.activeElement"


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(CNN, SERIES, TABLE, cache=tmp_path_factory.mktemp("keys")) as app:
        yield app


@pytest.fixture
def tab(chromium: Any, walked: Served) -> Iterator[Tab]:
    context = chromium.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme="light", reduced_motion="reduce", bypass_csp=True
    )
    found = tab_of(context, walked)
    yield found
    context.close()
    assert found.complaints == []


def reach(page: Any, selector: str, key: str = "Tab") -> None:
    """Press a key until the focus is on what a selector names."""
    for _ in range(MOST):
        page.keyboard.press(key)
        if page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            return
    raise AssertionError(f"{selector} is not reached by {key}")


def around(page: Any) -> dict[str, float]:
    """Give the part of the screen where the focus is, with what stands around it."""
    found: dict[str, float] = page.evaluate(
        """() => {
            const boxes = [document.activeElement, document.activeElement.parentElement].map(
                e => e.getBoundingClientRect());
            const x = Math.max(0, Math.min(...boxes.map(b => b.left)) - 12);
            const y = Math.max(0, Math.min(...boxes.map(b => b.top)) - 12);
            const right = Math.min(innerWidth, Math.max(...boxes.map(b => b.right)) + 12);
            const bottom = Math.min(innerHeight, Math.max(...boxes.map(b => b.bottom)) + 12);
            return { x, y, width: Math.max(1, right - x), height: Math.max(1, bottom - y) };
        }"""
    )
    return found


def is_seen(page: Any) -> bool:
    """Say whether the screen looks different for where the focus is."""
    where = around(page)

    def look() -> Any:
        shot = page.screenshot(animations="disabled", caret="hide", clip=where)
        return np.asarray(Image.open(io.BytesIO(shot)).convert("L"), np.int16)

    with_focus = look()
    page.evaluate(f"window.held = {HERE}; window.held.blur()")
    without = look()
    page.evaluate("window.held.focus({ preventScroll: true })")
    return int((np.abs(with_focus - without) > 24).sum()) >= 40


def test_from_the_address_bar_to_an_explanation_that_is_taken_along(tab: Tab) -> None:
    page = tab.open(f"overview?model={SERIES}&framework=torch")
    settle(page)
    page.keyboard.press("Tab")
    assert page.evaluate(f"{HERE}.innerText") == "Skip to the page"
    reach(page, "#model")
    page.keyboard.type(CNN)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_function("model => location.search.includes('model=' + model)", arg=CNN)
    settle(page)
    reach(page, '#nav a[data-title="Explain"]')
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-testid=prediction]")
    page.wait_for_function(f"{HERE}.tagName == 'H1'")
    settle(page)
    reach(page, "#main .thumbs .thumb:not(.chosen)")
    page.keyboard.press("Enter")
    page.wait_for_function("location.search.includes('sample=')")
    settle(page)
    reach(page, "#explain-run")
    box = "input[type=checkbox][id*='explain-method'][id*='occlusion']"
    reach(page, box)
    page.keyboard.press("Space")
    page.wait_for_function("location.search.includes('occlusion')")
    settle(page)
    reach(page, "#explain-run", "Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-testid=attribution][data-method=occlusion]")
    settle(page)
    reach(page, "#explain-shown .numbers summary")
    page.keyboard.press("Enter")
    page.wait_for_selector("#explain-shown .numbers[open]")
    reach(page, "#explain-shown .taking a")
    with page.expect_download() as taken:
        page.keyboard.press("Enter")
    assert taken.value.suggested_filename.endswith(".png")
    settle(page)
    page.keyboard.press("?")
    page.wait_for_selector("[role=dialog] >> text=next and previous sample")
    page.wait_for_function(f"{HERE}.closest('[role=dialog]')")  # or Escape goes to the page behind it
    page.keyboard.press("Escape")
    page.wait_for_selector("[role=dialog]", state="detached")
    page.wait_for_function(f"{HERE}.matches('#explain-shown .taking a')")


def test_what_is_opened_stays_open_and_in_focus_when_the_next_map_comes(tab: Tab) -> None:
    page = tab.open(f"explain?model={CNN}&framework=torch&sample=test-3&methods=occlusion,rise&rise.samples=1000000")
    settle(page)
    page.click("#explain-run")
    page.wait_for_selector("[data-testid=attribution][data-method=occlusion]")
    page.focus("#explain-shown .numbers summary")
    page.evaluate(f"window.first = {HERE}")
    page.keyboard.press("Enter")
    assert page.locator("[data-testid=attribution]").count() == 1
    page.wait_for_selector("[data-testid=attribution][data-method=rise]")
    settle(page)
    assert not page.evaluate("window.first.isConnected")
    opened = page.locator("#explain-shown .numbers[open]")
    assert opened.count() == 1
    assert page.evaluate(f"{HERE}.closest('[data-testid=attribution]').dataset.method") == "occlusion"
    page.keyboard.press("Enter")
    assert opened.count() == 0


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("explain", CNN),
        pytest.param("layers", CNN, marks=pytest.mark.long),
        pytest.param("anomalies", SERIES, marks=pytest.mark.long),
    ],
)
def test_the_focus_is_seen_at_every_stop_and_comes_to_an_end(tab: Tab, path: str, model: str) -> None:
    page = tab.open(f"{path}?model={model}&framework=torch")
    settle(page)
    unseen, stops = [], 0
    while stops < MOST:
        page.keyboard.press("Tab")
        if page.evaluate(f"{HERE} === document.body"):
            break
        stops += 1
        if not is_seen(page):
            unseen.append(page.evaluate(f"{HERE}.outerHTML.slice(0, 200)"))
    assert unseen == []
    assert 20 < stops < MOST
    assert UNNAMED.findall(page.locator("body").aria_snapshot()) == []


@pytest.mark.parametrize("path", ["layers", "convolution"])
def test_the_next_layer_comes_by_a_key_and_the_focus_stays(tab: Tab, path: str) -> None:
    page = tab.open(f"{path}?model={CNN}&framework=torch&layer=conv1")
    settle(page)
    reach(page, "#main .thumbs .thumb")
    page.keyboard.press("]")
    page.wait_for_function("!/layer=conv1(&|$)/.test(location.search)")
    page.wait_for_function(f"{HERE}.matches('#main .thumbs .thumb')")
    page.keyboard.press("[")
    page.wait_for_function("/layer=conv1(&|$)/.test(location.search)")


@pytest.mark.long
def test_a_unit_is_opened_from_its_map_and_a_threshold_moves_by_arrows(tab: Tab) -> None:
    page = tab.open(f"layers?model={CNN}&framework=torch&layer=conv1")
    settle(page)
    reach(page, "#main .tiles a, #main a.tile, #main .tile a")
    page.keyboard.press("Enter")
    page.wait_for_function("location.search.includes('unit=')")
    page.wait_for_selector("text=of conv1")
    tab.open(f"anomalies?model={SERIES}&framework=torch")
    settle(page)
    reach(page, "#main [role=slider], #main input[type=range]")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("location.search.includes('threshold=')")
