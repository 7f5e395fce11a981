"""The pages Data, What-if and Importance in a real browser: a network of pictures, and a function of rows."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("dash")
pytest.importorskip("torch")
pytest.importorskip("playwright.sync_api")

from tests.app.conftest import PATIENCE_MS, settle

pytestmark = pytest.mark.slow


@pytest.fixture
def page(chromium: Any, shown: Any) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page, wrong = context.new_page(), []
    page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: wrong.append(str(e)))
    page.on("response", lambda r: wrong.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    yield page
    context.close()
    assert wrong == []


def open_(page: Any, shown: Any, address: str) -> Any:
    page.goto(shown.url.rstrip("/") + address)
    page.wait_for_selector(".page-title")
    return page


def told(page: Any) -> dict[str, str]:
    return {k: v[0] for k, v in parse_qs(urlsplit(page.url).query).items()}


def test_the_network_is_asked_about_all_and_its_mistakes_become_a_slice_of_every_page(page: Any, shown: Any) -> None:
    open_(page, shown, "/data?model=xo_cnn")
    page.wait_for_selector(".ag-row .cell-picture")
    assert page.locator(".mark-right").count() == 0
    page.get_by_role("button", name="Ask the network about all 1,000").click()
    page.wait_for_selector(".mark-right")
    page.wait_for_selector("text=are answered right")
    page.locator("#data-what").click()
    page.get_by_role("option", name="label", exact=True).click()
    page.locator("#data-value input").first.click()
    page.get_by_role("option", name="O", exact=True).click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Add the filter").click()
    page.wait_for_selector("[data-testid=slice]")
    assert "of 1,000 samples" in page.inner_text("[data-testid=slice]")
    settle(page)
    page.wait_for_selector(".ag-row[row-index='2'] .cell-picture")  # a row that is still to come cannot be chosen
    page.locator(".ag-row[row-index='2']").click()
    page.wait_for_selector("text=Chosen sample: test-")
    settle(page)
    assert told(page)["sample"].startswith("test-")
    page.get_by_role("link", name="Explain this sample").click()
    page.wait_for_selector("#explain-answer")
    settle(page)
    assert (told(page)["slice"], page.locator("[data-testid=slice] .chip").count()) == ("label:O", 1)
    page.locator("[data-testid=slice] .chip").click()
    page.wait_for_selector("[data-testid=slice]", state="detached")


def test_a_row_is_chosen_by_keyboard_and_rows_are_sorted(page: Any, shown: Any) -> None:
    open_(page, shown, "/data?model=spending")
    page.wait_for_selector(".ag-row")
    head = page.locator(".ag-header-cell[col-id='c:age']")
    head.click()
    page.wait_for_function(
        "() => document.querySelector('.ag-row[row-index=\"0\"] [col-id=\"c:age\"]').innerText === '20'"
    )
    head.click()
    page.wait_for_function(
        "() => document.querySelector('.ag-row[row-index=\"0\"] [col-id=\"c:age\"]').innerText === '69'"
    )
    page.locator(".ag-row[row-index='0'] [col-id='c:age']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.wait_for_selector("text=Chosen sample: row-")


def test_fifty_thousand_rows_of_ones_own_are_read_block_by_block(page: Any, shown: Any) -> None:
    lines = "".join(f"{20 + i % 40},town,2,{i % 7}\n" for i in range(50_000))
    open_(page, shown, "/data?model=spending")
    file = {"name": "rows.csv", "mimeType": "text/csv", "buffer": f"age,place,rooms,truth\n{lines}".encode()}
    page.locator("#data-upload input[type=file]").set_input_files(file)
    page.wait_for_selector("text=Ask the network about all 50,000")
    page.wait_for_function("() => dash_ag_grid.getApi('data-grid').getDisplayedRowCount() === 50000")
    assert page.locator(".ag-row").count() < 100
    page.evaluate("() => dash_ag_grid.getApi('data-grid').ensureIndexVisible(49999)")
    page.wait_for_selector(".ag-row[row-index='49999'] [col-id='number']:has-text('49999')")
    assert told(page)["slice"].startswith("set:own-")


def test_a_file_that_is_no_set_is_refused_in_words(page: Any, shown: Any) -> None:
    open_(page, shown, "/data?model=spending")
    file = {"name": "rows.csv", "mimeType": "text/csv", "buffer": b"age,place,rooms\n30,moon,2\n"}
    page.locator("#data-upload input[type=file]").set_input_files(file)
    page.wait_for_selector("#data-note [role=alert]")
    assert "place is 'moon', not one of land, town" in page.inner_text("#data-note")


def test_a_slider_changes_the_answer_and_the_link_restores_it(page: Any, shown: Any) -> None:
    open_(page, shown, "/what-if?model=spending&sample=row-1")
    page.wait_for_selector("text=Change a value, and the answer follows.")
    page.wait_for_selector(".what-if-curve")
    page.get_by_role("slider", name="age", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("[data-testid=change]")
    words = page.inner_text("[data-testid=change]")
    assert words == "spent: from 63 to 66, a change of +3."
    page.wait_for_function("() => location.search.includes('change=')")
    page.reload()
    page.wait_for_selector("[data-testid=change]")
    assert page.inner_text("[data-testid=change]") == words
    page.get_by_role("button", name="Count changes from here on").click()
    page.wait_for_selector("text=Changes are counted from a start of your own: age 22.")
    page.wait_for_selector("text=Change a value, and the answer follows.")


def test_the_nearest_change_is_found_and_loaded(page: Any, shown: Any) -> None:
    open_(page, shown, "/what-if?model=spending&sample=row-0")
    page.wait_for_selector("text=Change a value, and the answer follows.")
    page.locator("#what-if-least").fill("60")
    page.get_by_role("button", name="Find the nearest changes").click()
    page.wait_for_selector(".ways-found li")
    page.get_by_role("link", name="Load into the controls").first.click()
    page.wait_for_selector("[data-testid=change]")
    found = re.search(r"from 20 to ([\d.]+)", page.inner_text("[data-testid=change]"))
    assert found is not None
    assert float(found[1]) >= 60


def test_a_region_is_put_away_and_explain_opens_what_is_left(page: Any, shown: Any) -> None:
    open_(page, shown, "/what-if?model=xo_cnn&sample=test-0")
    page.wait_for_selector("#what-if-brush")
    page.get_by_role("button", name="Replace the region").click()
    page.wait_for_selector("text=nothing is brushed yet")
    box = page.locator("#what-if-brush").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 200, steps=4)
    page.mouse.up()
    page.get_by_role("button", name="Replace the region").click()
    page.wait_for_selector("[data-testid=change]")
    words = page.inner_text("[data-testid=change]")
    assert (told(page)["from"], page.locator(".before-after figure").count()) == ("test-0", 3)
    page.reload()
    page.wait_for_selector("[data-testid=change]")
    assert page.inner_text("[data-testid=change]") == words
    page.get_by_role("link", name="Explain it as it is now").click()
    page.wait_for_selector("#explain-answer [data-testid=prediction]")
    assert told(page)["sample"].startswith("own-")


def test_a_box_by_numbers_does_without_a_mouse(page: Any, shown: Any) -> None:
    open_(page, shown, "/what-if?model=xo_cnn&sample=test-0")
    page.wait_for_selector("#what-if-brush")
    page.get_by_text("A box by numbers").press("Enter")
    page.get_by_role("button", name="Add the box").press("Enter")
    page.get_by_role("button", name="Replace the region").press("Enter")
    page.wait_for_selector("[data-testid=change]")


def test_importance_and_profiles_start_when_asked_and_are_stored(page: Any, shown: Any) -> None:
    open_(page, shown, "/importance?model=xo_cnn&rows=40&repeats=2&variables=squares:2")
    ask = page.get_by_role("button", name="Find the importance over 40 rows")
    ask.wait_for()
    assert page.locator(".exhibits").count() == 0
    ask.click()
    page.wait_for_selector(".exhibits")
    page.get_by_role("button", name="Break the answer down").click()
    page.wait_for_function("() => document.querySelectorAll('.exhibits').length === 2")
    page.reload()
    page.wait_for_function("() => document.querySelectorAll('.exhibits').length === 2")
    assert page.locator(".stored").count() > 0


def test_a_table_has_profiles_for_the_columns_that_are_chosen(page: Any, shown: Any) -> None:
    open_(page, shown, "/importance?model=spending&columns=age&kind=ale")
    page.get_by_role("button", name="Draw the profiles").click()
    page.wait_for_selector(".exhibits")
    page.get_by_role("button", name="Draw place and rooms together").wait_for()
    assert page.get_by_role("button", name="Find the importance").count() == 0  # nobody knows what its rows spent
