"""Sequences, Latent and Anomalies in a real browser: what moves under the hand, and what the address keeps."""

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("dash")
pytest.importorskip("torch")
pytest.importorskip("playwright.sync_api")

from tests.app.test_pages_browser import Tab
from xaikit import data

pytestmark = pytest.mark.slow
needs_data = pytest.mark.skipif(data.folder() is None, reason="heartbeats lie in the folder that XAIKIT_DATA names")
DATES, SERIES, DIGITS = "seq2seq_dates", "series_autoencoder", "dense_vae"


@pytest.fixture
def tab(chromium: Any, shown: Any) -> Iterator[Tab]:
    tab = Tab(chromium, shown.url)
    yield tab
    tab.context.close()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        pytest.param(f"/sequences?model={DATES}", "Each answer's strongest look", marks=pytest.mark.long),
        pytest.param(f"/latent?model={DIGITS}&dimensions=3", "principal components", marks=pytest.mark.long),
        pytest.param(f"/anomalies?model={SERIES}", "Expected cost per sample", marks=[needs_data, pytest.mark.long]),
    ],
)
def test_a_page_keeps_its_address_and_fits_a_narrow_screen(tab: Tab, address: str, words: str) -> None:
    tab.page.set_viewport_size({"width": 320, "height": 900})
    page = tab.open(address)
    page.wait_for_function("words => document.querySelector('#main').innerText.includes(words)", arg=words)
    assert page.locator("#main .problem").count() == 0
    assert page.locator("#main img:not([alt])").count() == 0
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert {k: v for k, v in tab.query.items() if k != "framework"} == dict(
        pair.split("=") for pair in address.partition("?")[2].split("&")
    )
    assert tab.wrong == []


ALONE = ("look", "strip", "slider", "typed", "film", "cell", "cloud")
"""What the parts that move by themselves are called."""


def asked(page: Any) -> list[str]:
    """Keep what a page asks the server for on behalf of what moves in it, from now on."""
    found: list[str] = []

    def keep(request: Any) -> None:
        said = request.post_data or ""
        if "/_dash-update" in request.url and any(name in said for name in ALONE):
            found.append(said)

    page.on("request", keep)
    return found


def test_an_answer_that_is_pointed_at_highlights_its_sources_without_the_server(tab: Tab) -> None:
    page = tab.open(f"/sequences?model={DATES}")
    requests = asked(page)
    page.locator(".look").first.focus()
    page.wait_for_selector(".look.on")
    assert "looks at" in page.inner_text(".looks .strip-said")
    shares = page.locator(".source").evaluate_all("all => all.map(s => Number(s.style.getPropertyValue('--share')))")
    assert abs(sum(shares) - 1) < 0.02
    assert requests == []


def test_a_strip_is_walked_along_with_the_arrow_keys(tab: Tab) -> None:
    page = tab.open(f"/sequences?model={DATES}")
    page.locator(".strip").first.focus()
    page.keyboard.press("ArrowRight")
    first = page.inner_text(".strip-said >> nth=0")
    assert "1 of" in first
    page.keyboard.press("End")
    assert page.inner_text(".strip-said >> nth=0") != first


def test_a_gate_and_a_unit_are_kept_in_the_address(tab: Tab) -> None:
    page = tab.open(f"/sequences?model={DATES}")
    page.get_by_role("textbox", name="Gate or state").click()
    page.get_by_role("option", name="backward · z").click()
    page.wait_for_url("**gate=backward%2Fz**")
    tab.settle()
    page.locator(".units a").first.click()
    page.wait_for_url("**unit=**")
    tab.settle()
    page.wait_for_function("() => document.querySelector('.strip-row')")
    assert tab.query["gate"] == "backward/z"
    assert tab.wrong == []


def test_a_text_of_ones_own_is_read(tab: Tab) -> None:
    page = tab.open(f"/sequences?model={DATES}")
    page.fill("#sequences-text", "3 may 1999")
    page.click("#sequences-use")
    page.wait_for_url("**sample=own-**")
    page.wait_for_function("() => document.querySelector('#main').innerText.includes('10 characters with their ids')")
    page.wait_for_function("() => document.querySelector('#main').innerText.includes('1999-05-03')")
    page.fill("#sequences-text", "   ")
    page.click("#sequences-use")
    page.wait_for_selector("text=there is no text yet")


@needs_data
@pytest.mark.long
def test_the_threshold_moves_without_the_server_and_its_link_restores_it(chromium: Any, shown: Any, tab: Tab) -> None:
    page = tab.open(f"/anomalies?model={SERIES}")
    page.wait_for_selector(".board-curve polyline")
    before = page.inner_text("#anomalies-flagged")
    requests = asked(page)
    page.locator("#anomalies-slider").focus()
    page.keyboard.press("Home")
    page.wait_for_function("was => document.querySelector('#anomalies-flagged').innerText !== was", arg=before)
    assert page.inner_text("#anomalies-flagged") == "12 of 12 are flagged as anomalous."
    assert page.inner_text(".verdict-word") == "Anomalous"
    assert page.locator(".flag:visible").count() == 12
    assert requests == []
    page.wait_for_url("**threshold=**")
    page.click(".board-cheapest")
    page.wait_for_function("() => document.querySelector('.board-rule').innerText.includes('cheapest')")
    said, cost = page.inner_text(".board-counts"), page.inner_text(".board-cost")
    again = Tab(chromium, shown.url)
    other = again.open(page.url.removeprefix(tab.url))
    assert other.inner_text(".board-counts") == said
    assert other.inner_text(".board-cost") == cost
    again.context.close()
    page.locator("a.thumb").nth(1).click()
    page.wait_for_url("**sample=**")
    assert "threshold" in tab.query
    assert tab.wrong == []


@needs_data
def test_reasons_are_given_when_they_are_asked_for(tab: Tab) -> None:
    page = tab.open(f"/anomalies?model={SERIES}&sample=test-142")
    page.get_by_role("button", name="Say why").click()
    page.wait_for_selector(".reasons-list")
    assert "Where the error is" in page.inner_text(".reasons-list")
    page.get_by_role("button", name="Make the file").click()
    page.wait_for_selector("text=Detector (zip)")
    with page.expect_download() as got:
        page.get_by_role("link", name="Detector (zip)").click()
    assert got.value.suggested_filename.endswith(".zip")


def test_sliders_and_grids_of_a_code_move_without_the_server(tab: Tab) -> None:
    page = tab.open(f"/latent?model={DIGITS}")
    page.wait_for_selector(".film-slider, .film input")
    requests = asked(page)
    film = page.locator(".film").first
    before = film.locator(".film-said").inner_text()
    film.locator("input").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("was => document.querySelector('.film .film-said').innerText !== was", arg=before)
    assert film.locator(".frame:visible").count() == 1
    page.locator(".code-grid").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(".cell.on")
    assert page.inner_text(".grid-said").startswith("z0 =")
    assert requests == []


@pytest.mark.long
def test_a_point_chooses_its_sample_and_a_cloud_turns(tab: Tab) -> None:
    page = tab.open(f"/latent?model={DIGITS}&dimensions=3")
    page.wait_for_selector(".cloud.deep[data-ready]")
    places = "() => [...document.querySelectorAll('.point')].map(p => p.style.left).join()"
    before = page.evaluate(places)
    page.locator(".cloud").focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate(places) != before
    page.locator(".to-sample").nth(1).focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**sample=**")
    tab.settle()
    assert tab.wrong == []
