"""Explain and Compare in a real browser on every kind of input, with models that answer at once."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("dash")
pytest.importorskip("playwright.sync_api")

from flask import request

import xaikit_app
from tests.app.conftest import PATIENCE_MS, Served, settle, tab_of
from tests.app.small_models import small_models
from tests.cases import some
from xaikit.jobs import Job
from xaikit_app import parts, shell
from xaikit_app.pages import _answering as answering

pytestmark = pytest.mark.slow
SHOWN = "[data-testid=attribution]"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    shown = xaikit_app.show(*small_models().values(), cache=tmp_path_factory.mktemp("kinds"))
    yield shown
    shown.close()


@pytest.fixture
def small(chromium: Any, shown: Any) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    tab = tab_of(context, Served(shown.url, None))  # type: ignore[arg-type]
    yield tab
    context.close()
    assert tab.complaints == []


def explained(page: Any, count: int) -> None:
    page.click("#explain-run")
    page.locator(SHOWN).nth(count - 1).wait_for(timeout=PATIENCE_MS)
    page.locator("[data-testid=running]").wait_for(state="detached")


def test_a_row_of_the_form_is_explained(small: Any) -> None:
    page = small.open("explain?model=rows&methods=exact-shapley")
    page.get_by_role("tab", name="Form").click()
    page.get_by_role("textbox", name="age", exact=True).fill("61")
    page.get_by_role("button", name="Use the row").click()
    page.wait_for_url("**sample=own-**")
    explained(page, 1)
    assert "age = 61" in page.inner_text(SHOWN)
    assert page.locator(f"{SHOWN} .strongest").inner_text().startswith("Speaks for ")


def test_the_form_begins_with_the_chosen_row(small: Any) -> None:
    page = small.open("explain?model=rows")
    page.get_by_label("sample row 1").click()
    page.get_by_role("tab", name="Form").click()
    page.wait_for_function("document.querySelector('.giver input[inputmode=decimal]').value == '50'")


def test_a_typed_text_is_explained_word_by_word(small: Any) -> None:
    page = small.open("explain?model=words&methods=occlusion")
    page.get_by_role("tab", name="Type").click()
    page.get_by_role("textbox", name="Text").fill("A good film <b>and</b> a bad one")
    page.get_by_role("button", name="Use the text").click()
    page.wait_for_url("**sample=own-**")
    explained(page, 1)
    assert "good" in page.locator(f"{SHOWN} mark").all_inner_texts()
    assert "<b>and</b>" in page.inner_text(SHOWN)


def test_a_line_that_is_drawn_becomes_a_series(small: Any, shown: Any) -> None:
    page = small.open("explain?model=waves&methods=occlusion")
    page.get_by_role("tab", name="Draw").click()
    box = page.locator("#explain-line").bounding_box()
    page.mouse.move(box["x"] + 2, box["y"] + box["height"] - 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 2, steps=8)
    page.mouse.up()
    page.get_by_role("button", name="Use the line").click()
    page.wait_for_url("**sample=own-**")
    explained(page, 1)
    id = page.url.partition("sample=")[2].partition("&")[0]
    folder = next(shown.app.services.own.folder.glob(f"*/{id}.json"))
    drawn = shown.app.services.own.get(id, folder.parent.name)
    assert np.all(np.diff(drawn[:, 0]) > 0)
    np.testing.assert_allclose([drawn[0, 0], drawn[-1, 0]], [-3, 3], atol=0.6)
    np.testing.assert_allclose(drawn[:, 1], 0)


def test_numbers_that_are_pasted_become_a_series_or_say_what_is_missing(small: Any) -> None:
    page = small.open("explain?model=waves&methods=occlusion")
    page.get_by_role("tab", name="Numbers").click()
    page.get_by_role("textbox", name="Numbers").fill("1 2 3")
    page.get_by_role("button", name="Use the numbers").click()
    page.wait_for_selector("text=3 numbers were given; the network takes 24 (12 × 2)")
    page.get_by_role("textbox", name="Numbers").fill("\n".join(f"{k}, {-k}" for k in range(12)))
    page.get_by_role("button", name="Use the numbers").click()
    page.wait_for_url("**sample=own-**")
    explained(page, 1)
    assert page.locator(f"{SHOWN} .map:visible").count() == 1


def test_several_inputs_have_a_giver_and_a_map_each(small: Any) -> None:
    page = small.open("explain?model=both&methods=occlusion")
    assert page.locator(".giver").count() == 2
    photo, row = page.locator(".giver[data-input=photo]"), page.locator(".giver[data-input=row]")
    for giver, count in ((photo, 36), (row, 3)):
        upload = giver.get_by_role("tab", name="Upload")
        assert upload.count() == 1
        if giver is row:
            giver.get_by_role("tab", name="Numbers").click()
            giver.get_by_role("textbox", name="Numbers").fill(" ".join(str(k) for k in range(count)))
            giver.get_by_role("button", name="Use the numbers").click()
    upload = photo.get_by_role("tab", name="Upload")
    upload.click()
    photo.locator("input[type=file]").set_input_files(
        {"name": "photo.npy", "mimeType": "application/octet-stream", "buffer": npy(np.ones((6, 6, 1)))}
    )
    page.wait_for_selector("[data-testid=prediction]")
    page.wait_for_url("**row%3Aown-**")
    explained(page, 2)
    assert page.locator(SHOWN).nth(0).get_attribute("aria-label").startswith("Occlusion · input photo")
    page.reload()
    page.locator(SHOWN).nth(1).wait_for()
    assert page.locator(".stored").count() == 2


def test_a_box_of_the_picture_is_explained(small: Any) -> None:
    page = small.open("explain?model=masks&methods=occlusion&target=all-1")
    upload(page, np.random.default_rng(0).random((6, 6, 1)))
    page.get_by_label("only in a box").fill("0,0,9,9")
    page.wait_for_selector("text=does not lie inside")
    page.get_by_label("only in a box").fill("0,1,3,4")
    page.wait_for_url("**target=box-1,0,1,3,4**")
    explained(page, 1)
    page.locator(SHOWN).get_by_text("Numbers").click()
    assert "thing in the region" in page.inner_text(SHOWN)


def test_an_answer_that_takes_longer_than_a_pause_is_shown_all_the_same(
    small: Any, shown: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def late() -> None:
        if b"explain-predictions" in request.get_data():
            asked.append(time.monotonic())
            time.sleep(1.0)

    monkeypatch.setitem(shown.app.server.before_request_funcs, None, [late])
    page = small.open("explain?model=masks&methods=occlusion&target=all-1")
    upload(page, np.random.default_rng(1).random((6, 6, 1)))
    assert 1 < len(asked) < 8, asked


def test_work_that_ends_while_its_place_is_made_is_shown_all_the_same(
    chromium: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def ending(where: Any, name: str) -> None:
        made = getattr(where, name)

        def make(*given: Any) -> Any:
            place = made(*given)
            for job in (job for one in given for job in (one if isinstance(one, list) else [one])):
                if isinstance(job, Job):
                    waited.append(name)
                    assert job.wait(60)
            return place

        monkeypatch.setattr(where, name, make)

    waited: list[str] = []
    for where, name in ((answering, "_answer"), (parts, "_shown"), (shell, "_not_yet")):
        ending(where, name)
    monkeypatch.setattr(parts, "AT_ONCE", 0.0)
    app = xaikit_app.show(small_models()["rows"], cache=tmp_path)
    tab = tab_of(chromium.new_context(bypass_csp=True), Served(app.url, None))  # type: ignore[arg-type]
    page = tab.open("explain?model=rows")
    page.wait_for_selector("[data-testid=prediction]")
    settle(tab.open("what-if?model=rows"))
    assert set(waited) == {"_answer", "_shown", "_not_yet"}
    assert tab.complaints == []
    page.context.close()
    app.close()


def test_a_matrix_is_made_and_its_link_restores_it(small: Any, chromium: Any, shown: Any) -> None:
    page = small.open("compare?model=waves&methods=occlusion,lime&lime.samples=60")
    page.get_by_role("button", name="Explain 6 maps").click()
    page.wait_for_selector("text=All 6 maps are stored")
    assert page.locator("[data-testid=cell]").count() == 6
    assert page.locator("#compare-agreement .exhibit").count() == 2
    page.locator(".compared .thumb").nth(2).click()
    page.wait_for_url("**inputs=**")
    page.wait_for_selector("text=All 4 maps are stored")
    page.get_by_role("button", name="against random ones").click()
    page.wait_for_selector("#compare-detail >> text=Deletion")
    page.locator("#compare-detail [data-testid=difference]").wait_for()
    page.wait_for_selector("text=All 4 maps are stored")
    settle(page)
    words = page.inner_text("#main")
    other = tab_of(chromium.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True), small)
    again = other.open(page.url.removeprefix(small.url))
    again.locator("[data-testid=cell]").nth(3).wait_for()
    again.wait_for_selector("text=All 4 maps are stored")
    settle(again)
    assert again.inner_text("#main") == words
    assert other.complaints == []
    again.context.close()


def test_a_matrix_can_be_cancelled_and_goes_on_from_there(small: Any) -> None:
    page = small.open("compare?model=pictures&methods=rise&rise.samples=3000000&seed=5")
    upload_to_compare = page.locator(".compared .thumb").count()
    assert upload_to_compare > 0
    page.get_by_role("button", name="Explain 3 maps").click()
    page.get_by_role("button", name="Cancel all").click()
    page.wait_for_selector("text=You cancelled the rest.")
    assert page.get_by_role("button", name="Explain 3 maps").is_visible()


@pytest.mark.parametrize("width", some([320, 768, 1440], [320]))
@pytest.mark.parametrize(
    "address",
    some(
        ["explain?model=words&methods=occlusion", "compare?model=words", "explain?model=both"], ["explain?model=both"]
    ),
)
def test_no_page_scrolls_sideways(chromium: Any, shown: Any, width: int, address: str) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme="dark", bypass_csp=True)
    tab = tab_of(context, Served(shown.url, None))  # type: ignore[arg-type]
    page = tab.open(address)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.complaints == []
    context.close()


def upload(page: Any, values: Any) -> None:
    page.get_by_role("tab", name="Upload").click()
    page.locator("#explain-upload input[type=file]").set_input_files(
        {"name": "input.npy", "mimeType": "application/octet-stream", "buffer": npy(values)}
    )
    page.wait_for_url("**sample=own-**")
    page.wait_for_selector("[data-testid=prediction]")


def npy(values: Any) -> bytes:
    """Write an array as the bytes of an .npy file."""
    from io import BytesIO

    held = BytesIO()
    np.save(held, values)
    return held.getvalue()
