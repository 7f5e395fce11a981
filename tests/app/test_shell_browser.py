"""What all pages share, in a real browser: navigation, keys, search, the tray, earlier results, widths and paper."""

import os
import signal
from typing import Any

import pytest

pytest.importorskip("torch")

from tests.cases import some

pytestmark = pytest.mark.slow
CNN = "model=xo_cnn&framework=torch"
TITLE = "document.title"
FOCUS = "[document.activeElement.tagName, document.activeElement.innerText]"
LONG = "methods=kernel-shap&kernel-shap.samples=400000&sample=test-1&view=expert"
"""Work that is not over before it is cancelled, on a network of milliseconds."""
ANSWERS = "**/_dash-update-component*"
CANCEL = "#tray .run button[id*=tray-cancel]"


def start(tab: Any, more: str = "") -> Any:
    """Open Explain for long work, begin it, and wait until the tray has it."""
    if not os.environ.get("XAIKIT_DATA"):
        pytest.skip("XAIKIT_DATA names no folder with data sets, of which a digit is explained")
    page = tab.open(f"explain?model=mnist_cnn&framework=torch&{LONG}{more}")
    page.wait_for_selector("[data-testid=prediction]")
    page.keyboard.press("r")
    page.wait_for_selector("#tray:not([hidden])")
    page.click("#tray-said")
    page.wait_for_selector("#tray .run >> text=Kernel SHAP")
    return page


def cancel_all(page: Any) -> None:
    """Leave nothing behind for the next test."""
    buttons = page.locator(CANCEL)
    while left := buttons.count():
        buttons.first.click()
        page.wait_for_function("([where, left]) => document.querySelectorAll(where).length < left", arg=[CANCEL, left])


# ---------------------------------------------------------------- navigation


def test_pages_stand_in_groups_and_one_that_is_missing_says_why(tab: Any) -> None:
    page = tab.open(f"overview?{CNN}")
    page.wait_for_selector("#nav h2 >> text=Look inside")
    link = page.locator("#nav a.lacking", has_text="Anomalies")
    link.focus()
    page.wait_for_selector("[role=tooltip] >> text=it gives classes")
    page.keyboard.press("Enter")
    page.wait_for_selector("#main .state >> text=it gives classes")
    assert page.locator("#nav [aria-current=page]").inner_text().startswith("Anomalies")


def test_a_page_has_a_title_and_its_heading_the_focus(tab: Any) -> None:
    page = tab.open(f"overview?{CNN}")
    assert page.evaluate(TITLE) == "Overview · xo_cnn · xaikit"
    page.locator("#nav").get_by_role("link", name="Layers").click()
    page.wait_for_selector("h1 >> text=Layers")
    page.wait_for_function("document.activeElement.tagName == 'H1'")
    assert page.evaluate(TITLE) == "Layers · xo_cnn · xaikit"
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('#main').contains(document.activeElement)")


def test_what_is_chosen_goes_from_page_to_page_and_back(tab: Any) -> None:
    page = tab.open(f"layers?{CNN}&layer=conv1&unit=2&sample=test-3")
    page.wait_for_selector("text=Unit 2 of conv1")
    page.keyboard.press("g")
    page.keyboard.press("e")
    page.wait_for_selector("#explain-run")
    for part in ("sample=test-3", "layer=conv1", "unit=2"):
        assert part in page.url
    page.go_back()
    page.wait_for_selector("text=Unit 2 of conv1")
    page.go_forward()
    page.wait_for_selector("#explain-run")
    page.locator("#nav").get_by_role("link", name="Layers").click()
    page.wait_for_selector("text=Unit 2 of conv1")
    assert "sample=test-3" in page.url


def test_a_link_restores_what_was_chosen_in_a_fresh_session(tab: Any, chromium: Any) -> None:
    page = tab.open(f"explain?{CNN}&view=expert&methods=saliency,lime&sample=test-3&target=X&seed=4")
    page.wait_for_selector("[data-testid=prediction]")
    page.locator("[id*='explain-method'][id*='occlusion']").check()
    page.wait_for_function("location.search.includes('occlusion')")
    context = chromium.new_context()
    other = context.new_page()
    other.goto(page.url)
    other.wait_for_selector("[data-testid=prediction]")
    ticked = "all => all.filter(b => b.checked).map(b => JSON.parse(b.id).method).sort()"
    boxes = "input[type=checkbox][id*='explain-method']"
    assert other.eval_on_selector_all(boxes, ticked) == ["lime", "occlusion", "saliency"]
    assert page.eval_on_selector_all(boxes, ticked) == other.eval_on_selector_all(boxes, ticked)
    assert other.input_value("#explain-seed") == "4"
    context.close()


# ---------------------------------------------------------------- keys


def test_help_opens_closes_and_gives_the_focus_back(tab: Any) -> None:
    page = tab.open(f"layers?{CNN}")
    page.focus("#help-open")
    page.keyboard.press("?")
    page.wait_for_selector("[role=dialog] >> text=next and previous sample")
    assert page.evaluate("document.querySelector('[role=dialog]').contains(document.activeElement)")
    page.keyboard.press("Escape")
    page.wait_for_selector("[role=dialog]", state="detached")
    page.wait_for_function("document.activeElement.id == 'help-open'")


def test_single_keys_can_be_switched_off_for_good(tab: Any) -> None:
    page = tab.open(f"layers?{CNN}")
    page.click("#help-open")
    page.locator("#help-keys").evaluate("box => box.click()")
    page.wait_for_function("localStorage.getItem('xaikit-keys') == 'off'")
    page.keyboard.press("Escape")
    page.wait_for_selector("[role=dialog]", state="detached")
    page.reload()
    page.wait_for_selector(".page-title")
    page.keyboard.press("/")
    page.keyboard.press("g")
    page.keyboard.press("o")
    page.click("#help-open")
    page.wait_for_selector("#help-keys:not(:checked)", state="attached")
    assert page.locator("#finder-text").count() == 0
    assert "/layers" in page.url


def test_in_a_text_field_keys_write(tab: Any) -> None:
    page = tab.open(f"layers?{CNN}")
    page.focus("#layers-search")
    page.keyboard.type("g?/r1")
    assert page.input_value("#layers-search") == "g?/r1"
    assert page.locator("[role=dialog]").count() == 0


def test_keys_walk_through_samples_layers_and_methods(tab: Any) -> None:
    page = tab.open(f"layers?{CNN}&layer=conv1")
    page.wait_for_selector("#main .thumbs .thumb.chosen")
    page.keyboard.press("j")
    page.wait_for_function("location.search.includes('sample=')")
    second = page.url
    page.keyboard.press("j")
    page.wait_for_function("before => location.href != before", arg=second)
    page.keyboard.press("k")
    page.wait_for_function("before => location.href == before", arg=second)
    page.keyboard.press("]")
    page.wait_for_function("!location.search.includes('layer=conv1&') && !location.search.endsWith('layer=conv1')")
    page.goto(f"{tab.url}explain?{CNN}&view=expert&methods=saliency")
    page.wait_for_selector("[data-testid=prediction]")
    first = "input[type=checkbox][id*='explain-method']:not(:disabled)"
    before = page.locator(first).first.is_checked()
    page.keyboard.press("1")
    page.wait_for_function(f'document.querySelector("{first}").checked != {str(before).lower()}')


def test_keys_go_on_from_the_address_where_the_server_takes_long(tab: Any) -> None:
    page = tab.open(f"layers?{CNN}&layer=conv1&sample=test-0")
    page.wait_for_selector("#main .thumbs .thumb.chosen")
    held: list[Any] = []
    page.route(ANSWERS, lambda route: held.append(route))
    for key, sample in (("j", "test-1"), ("j", "test-2"), ("k", "test-1")):
        page.keyboard.press(key)
        page.wait_for_function("s => location.search.includes('sample=' + s)", arg=sample, timeout=20_000)
        page.wait_for_timeout(2100)
    assert page.locator("#main .thumb.chosen").get_attribute("title") == "test-0"
    assert held
    page.unroute(ANSWERS)
    page.wait_for_selector("#main .thumb.chosen[title=test-1]")


def test_the_search_finds_pages_models_and_layers(tab: Any) -> None:
    page = tab.open(f"overview?{CNN}")
    page.keyboard.press("/")
    page.wait_for_selector("#finder-list [role=option]")
    assert page.evaluate("document.activeElement.id") == "finder-text"
    page.keyboard.type("no such thing")
    page.wait_for_selector("#finder-said >> text=Nothing here", state="attached")
    page.fill("#finder-text", "conv1")
    page.wait_for_selector("#finder-list [aria-selected=true] >> text=conv1")
    page.keyboard.press("ArrowDown")
    chosen = page.locator("#finder-list [aria-selected=true]")
    assert chosen.get_attribute("id") == page.get_attribute("#finder-text", "aria-activedescendant")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Layer conv1")
    page.keyboard.press("/")
    page.wait_for_selector("#finder-list [role=option]")
    page.fill("#finder-text", "mnist")
    page.keyboard.press("Enter")
    page.wait_for_function("location.search.includes('model=mnist_cnn')")


# ---------------------------------------------------------------- work


def test_work_is_in_the_tray_on_every_page_and_after_a_reload_until_it_is_cancelled(tab: Any) -> None:
    page = start(tab)
    page.locator("#nav").get_by_role("link", name="Layers").click()
    page.wait_for_selector("h1 >> text=Layers")
    page.reload()
    page.wait_for_selector("#tray:not([hidden]) >> text=at work")
    page.click("#tray-said")
    line = page.locator("#tray .run", has_text="Kernel SHAP")
    assert "mnist_cnn, PyTorch" in line.inner_text()
    assert "running" in line.inner_text()
    line.get_by_role("link", name="Show").click()
    page.wait_for_function("location.search.includes('methods=kernel-shap')")
    page.locator("#tray .run", has_text="Kernel SHAP").get_by_role("button", name="Cancel").click()
    page.locator("#tray .run", has_text="Kernel SHAP").wait_for(state="detached")


@pytest.mark.long
def test_what_waits_says_its_place(tab: Any) -> None:
    page = start(tab, "&seed=11")
    page.goto(f"{tab.url}explain?model=mnist_cnn&framework=torch&{LONG}&seed=12")
    page.wait_for_selector("[data-testid=prediction], .answer .waiting")
    page.click("#explain-run")
    page.wait_for_selector("text=waits for its turn, number")
    page.keyboard.press("Escape")
    page.wait_for_selector("#explain-results >> text=You cancelled it")
    page.wait_for_selector("#tray:not([hidden])")
    page.click("#tray-said")
    cancel_all(page)


def test_what_fails_is_told_and_can_be_tried_again(tab: Any, served: Any) -> None:
    page = start(tab, "&seed=21")
    page.wait_for_selector("#tray .run >> text=running")
    line = page.locator("#tray .run.wrong", has_text="Kernel SHAP")
    while not line.count():  # a piece of work whose process ends may be begun once more
        for pid in served.workers():
            os.kill(pid, signal.SIGKILL)
        page.wait_for_timeout(200)
    assert line.get_by_role("link", name="Try again").get_attribute("href").startswith("/explain?model=mnist_cnn")
    assert "Kernel SHAP" in line.get_by_role("button", name="Copy details").get_attribute("data-copy")
    page.get_by_role("button", name="Clear what is over").click()
    line.wait_for(state="detached")


def test_an_earlier_result_stays_dimmed_until_the_new_one_is_there(tab: Any) -> None:
    page = tab.open("layers?model=mnist_cnn&framework=torch&layer=conv1")
    maps = "[data-part='layers maps']"
    page.wait_for_selector(f"{maps} .tile img")
    busy = tab.page.context.new_page()
    busy.goto(f"{tab.url}explain?model=mnist_cnn&framework=torch&{LONG}&seed=31")
    busy.wait_for_selector("[data-testid=prediction]")
    busy.keyboard.press("r")
    busy.wait_for_selector("[data-testid=running] >> text=running")
    busy.close()
    page.locator("#main .thumbs .thumb").nth(5).click()
    page.wait_for_selector(f"{maps} .earlier-box img", state="attached")
    assert page.locator(f"{maps} .earlier-box").evaluate("box => box.inert")
    assert "earlier choice" in page.inner_text(f"{maps} .earlier")
    page.wait_for_selector("#tray:not([hidden]) >> text=at work")
    page.click("#tray-said")
    page.locator("#tray .run", has_text="Kernel SHAP").get_by_role("button", name="Cancel").click()
    page.wait_for_selector(".earlier-box", state="detached")
    page.wait_for_selector(f"{maps} .tile img")


# ---------------------------------------------------------------- the look


@pytest.mark.parametrize("width", some([320, 768], [320]))
def test_dialogs_and_tray_fit_every_width(tab: Any, width: int) -> None:
    tab.page.set_viewport_size({"width": width, "height": 700})
    page = tab.open(f"layers?{CNN}")
    page.keyboard.press("?")
    page.wait_for_selector("[role=dialog]")
    box = page.locator("[role=dialog]").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_on_paper_there_is_the_page_alone(tab: Any) -> None:
    page = tab.open(f"layers?{CNN}")
    page.emulate_media(media="print")
    assert not page.is_visible("header")
    assert not page.is_visible("#nav")
    assert page.is_visible("h1")


def test_dashs_own_parts_follow_the_theme(tab: Any) -> None:
    page = tab.open(f"overview?{CNN}")
    ground = "getComputedStyle(document.documentElement).getPropertyValue('--Dash-Fill-Inverse-Strong').trim()"
    light = page.evaluate(ground)
    page.click("#scheme")
    page.wait_for_function("document.documentElement.dataset.mantineColorScheme == 'dark'")
    assert page.evaluate(ground) != light
