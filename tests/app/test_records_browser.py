"""The pages Reports and Audit in a real browser: a report on two digits, and a record from its making to its letter."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dash")
pytest.importorskip("dash_ag_grid")
pytest.importorskip("sqlalchemy")
pytest.importorskip("torch")
pytest.importorskip("playwright.sync_api")

from tests.app.conftest import Tab
from xaikit import audit

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("data_folder")]
REPORTS, AUDIT = "reports?model=mnist_cnn&framework=torch", "audit?model=mnist_cnn&framework=torch"
EVIL = "<b>Two</b> digits <img src=x onerror=alert(1)>"


def downloaded(page: Any, link: str, folder: Path) -> Path:
    """Click a link that is a download, and give the file under the name that it came with."""
    with page.expect_download() as coming:
        page.click(link)
    path = folder / str(coming.value.suggested_filename)
    coming.value.save_as(path)
    return path


def fits_a_narrow_screen(page: Any) -> None:
    """Wait until a page is as wide as a narrow screen, once it has found its place there."""
    page.set_viewport_size({"width": 320, "height": 800})
    page.wait_for_function("() => document.documentElement.scrollWidth <= window.innerWidth")
    page.set_viewport_size({"width": 1280, "height": 900})


def test_a_report_on_two_digits_is_started_watched_opened_and_taken_along(tab: Tab, tmp_path: Path) -> None:
    page = tab.open(REPORTS)
    page.wait_for_selector(".pick input:checked")
    assert page.locator(".pick input:checked").count() == 2
    fits_a_narrow_screen(page)
    page.fill("#reports-title", EVIL)
    page.fill("#reports-rules", "status=fail:0.5")
    page.click("#reports-start")
    page.wait_for_selector("#reports-detail")
    assert page.inner_text("h1") == EVIL
    page.wait_for_selector("#reports-detail a[data-form=json]")
    page.wait_for_selector("#reports-work >> text=All 4 units have a result")
    assert "4 of 4" in page.inner_text("#reports-detail")
    assert page.locator("td.holds").count() == 1
    fits_a_narrow_screen(page)

    told = json.loads(downloaded(page, "a[data-form=json]", tmp_path).read_text())
    assert len(told["inputs"]) == 2
    with zipfile.ZipFile(downloaded(page, "a[data-form=html]", tmp_path)) as pages:
        assert "report/index.html" in pages.namelist()
    with page.context.expect_page() as coming:
        page.click("text=Open the report")
    report = coming.value
    report.wait_for_selector("text=At a glance")
    assert report.evaluate("getComputedStyle(document.body).backgroundColor") != "rgba(0, 0, 0, 0)"  # styled
    report.click("a[href^='inputs/'] >> nth=0")
    report.wait_for_selector("text=Saliency")
    report.close()

    address = page.url
    page.click("text=All reports")
    page.wait_for_selector(".record-table a")
    assert EVIL in page.inner_text(".record-table")
    page.goto(address)  # a link restores the screen
    page.wait_for_selector("a[data-form=json]")


def test_a_report_that_takes_long_is_cancelled_and_can_go_on(tab: Tab) -> None:
    page = tab.open(REPORTS + "&methods=kernel-shap,lime")
    page.wait_for_selector(".pick input:checked")
    page.click("label:has-text('Check each explanation fully')")
    page.click("#reports-start")
    page.click("#reports-work button:has-text('Cancel')")
    page.wait_for_selector("#reports-work >> text=You cancelled it")
    page.wait_for_selector("#reports-again:not([disabled])")
    assert page.inner_text("#reports-again") == "Go on"


@pytest.fixture
def record(tab: Tab) -> Any:
    """A record, made by the button, and opened by the keyboard."""
    page = tab.open(AUDIT)
    page.wait_for_selector("#audit-record")
    page.fill("#audit-author", EVIL)
    page.click("#audit-record")
    page.wait_for_selector("#audit-work >> text=was made")
    page.wait_for_selector("#audit-grid .ag-row")
    assert EVIL in page.inner_text("#audit-grid")
    fits_a_narrow_screen(page)
    page.click("#audit-verify")
    page.wait_for_selector("text=The chain holds")
    assert len(page.inner_text("[data-testid=head]")) == 64
    page.locator("#audit-grid .ag-row .ag-cell").first.focus()
    page.keyboard.press("Space")
    page.wait_for_selector("#audit-replay")
    return page


def test_a_record_is_made_verified_replayed_reviewed_and_told_in_a_letter(record: Any, tmp_path: Path) -> None:
    page = record
    assert EVIL in page.inner_text("#main")
    assert page.locator("#main img[src='x']").count() == 0
    page.wait_for_selector(".exhibit")
    fits_a_narrow_screen(page)
    page.click("#audit-replay")
    page.wait_for_selector(".replayed[data-verdict=equal]")

    page.click("#audit-review")
    page.wait_for_selector("#audit-review-said [role=alert]")  # nobody is named
    page.fill("#audit-reviewer", "Bob")
    page.fill("#audit-comment", EVIL)
    page.click("#audit-review")
    page.wait_for_selector("#audit-review-said >> text=On record")
    assert EVIL in page.inner_text("#audit-events")

    page.fill("#audit-contact", "tel. 555 0100")
    page.click("#audit-letter")
    page.wait_for_selector("#audit-letter-shown [role=alert]")  # it is not said what is favourable
    page.click("#audit-favourable")
    page.get_by_role("option", name="7", exact=True).click()
    page.wait_for_function("() => document.querySelector('#audit-favourable').value === '7'")
    page.click("#audit-letter")
    page.wait_for_selector(".letter h3")
    assert "tel. 555 0100" in page.inner_text(".letter")
    text = downloaded(page, "#audit-letter-shown a[data-form=txt]", tmp_path)
    assert text.name == f"letter-{page.url.partition('record=')[2].partition('&')[0]}-en.txt"
    assert "tel. 555 0100" in text.read_text()
    assert downloaded(page, "#audit-letter-shown a[data-form=html]", tmp_path).read_text().startswith("<!doctype html>")
    page.fill("#audit-channel", "post")
    page.click("#audit-sent")
    page.wait_for_selector("#audit-sent-said >> text=On record")
    page.wait_for_selector("#audit-events td:text-is('letter')")

    page.click("#audit-bundle")
    bundle = downloaded(page, "#audit-bundle-said a", tmp_path)
    assert audit.check_bundle(bundle)["ok"]
