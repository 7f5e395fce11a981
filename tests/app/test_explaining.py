"""The page Explain in a real browser."""

import os
import signal
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest
from PIL import Image as Pillow

import xaikit as xk
from tests.app.conftest import settle
from xaikit.attribution._families import FAMILIES

pytestmark = pytest.mark.slow
SHOWN = "[data-testid=attribution]"
RUNNING = "[data-testid=running]"
TWO = "explain?model=xo_cnn&framework=torch&sample=test-0&methods=integrated-gradients,occlusion"
LONG = "explain?model=mnist_cnn&framework=torch&methods=kernel-shap&kernel-shap.samples=400000&seed="


def explained(page: Any, count: int) -> None:
    """Press Explain and wait for that many maps, and for nothing to be under way."""
    page.click("#explain-run")
    page.wait_for_function(
        f"document.querySelectorAll('{SHOWN}').length == {count} && !document.querySelector('{RUNNING}')"
    )
    settle(page)  # maps that were stored and shown before are made anew


def pictures(page: Any) -> list[str]:
    return [str(s) for s in page.eval_on_selector_all(f"{SHOWN} img", "images => images.map(i => i.src)")]


def test_two_methods_side_by_side_and_from_the_store(tab: Any) -> None:
    page = tab.open("explain?model=xo_cnn")
    page.get_by_label("sample O").first.click()
    page.wait_for_selector("[data-testid=prediction] .share.chosen >> text=O")
    page.get_by_label("Grad-CAM", exact=True).uncheck(force=True)
    page.get_by_label("Occlusion", exact=True).check(force=True)
    explained(page, 2)
    ours = page.locator(f"{SHOWN}[data-method=integrated-gradients]")
    ours.get_by_text("Numbers").click()
    numbers = ours.inner_text()
    assert "completeness gap" in ours.locator(".reasons").inner_text()
    for fact in ("explained for", "O ", "completeness gap", "seed", "model calls", "time", "steps = 50"):
        assert fact in numbers
    assert page.locator(".stored").count() == 0
    assert "methods=occlusion,integrated-gradients" in page.url
    before = pictures(page)
    page.click("#explain-run")
    page.wait_for_selector(".stored")
    assert pictures(page) == before
    assert len(set(before)) == 2


def test_a_link_shows_the_same_in_a_fresh_session(tab: Any, chromium: Any, served: Any) -> None:
    page = tab.open(TWO)
    explained(page, 2)
    other = chromium.new_context().new_page()
    other.goto(page.url)
    other.wait_for_selector(SHOWN)
    assert pictures(other) == pictures(page)
    assert other.locator(f"{SHOWN} .reasons").all_inner_texts() == page.locator(f"{SHOWN} .reasons").all_inner_texts()
    other.context.close()


@pytest.mark.long
def test_parameters_and_targets_travel_in_the_link(tab: Any) -> None:
    page = tab.open("explain?model=xo_cnn&framework=torch&sample=test-0&target=1&seed=3&methods=lime&lime.samples=77")
    explained(page, 1)
    page.locator(SHOWN).get_by_text("Numbers").click()
    numbers = page.inner_text(SHOWN)
    assert "samples = 77" in numbers
    assert "O " in numbers
    assert "lime.samples=77" in page.url
    assert "seed=3" in page.url
    assert "target=1" in page.url


def test_maps_of_an_earlier_input_say_so(tab: Any) -> None:
    page = tab.open(TWO)
    explained(page, 2)
    assert page.locator("#explain-stale").is_hidden()
    page.get_by_label("sample O").first.click()
    page.wait_for_selector("#explain-stale:not([hidden])")
    explained(page, 2)
    page.wait_for_selector("#explain-stale[hidden]", state="attached")


def test_a_map_of_other_parameters_says_so(tab: Any) -> None:
    page = tab.open(f"{TWO}&view=expert")
    explained(page, 2)
    card = page.locator(".method", has=page.get_by_label("Integrated gradients", exact=True))
    card.locator("summary").click()
    card.get_by_label("steps").fill("20")
    page.locator(f"{SHOWN}.changed[data-method=integrated-gradients]").wait_for()
    assert page.locator(f"{SHOWN}.changed").count() == 1
    assert page.locator("#explain-stale").is_hidden()
    card.get_by_label("steps").fill("50")
    page.locator(f"{SHOWN}.changed").wait_for(state="detached")


def test_the_budget_holds_for_every_method_and_stays_in_the_link(tab: Any) -> None:
    page = tab.open("explain?model=xo_cnn&framework=torch&sample=test-0&methods=rise&view=expert")
    page.locator(".budget summary").click()
    page.locator(".budget").get_by_label("max calls").fill("50")
    page.wait_for_url("**max_calls=50**")
    explained(page, 1)
    page.locator(SHOWN).get_by_text("Numbers").click()
    assert "max_calls = 50" in page.inner_text(SHOWN)
    assert "share of model calls made" in page.inner_text(SHOWN)
    page.reload()
    assert page.locator(".budget").get_by_label("max calls").input_value() == "50"


def test_the_guided_view_has_few_controls_and_the_link_says_which(tab: Any) -> None:
    page = tab.open("explain?model=xo_cnn&framework=torch&sample=test-0")
    assert page.get_by_label("Seed").is_hidden()
    few = page.locator(".method:visible").count()
    samples = page.locator("input[id*='explain-parameter'][id*='\"lime\"'][id*='samples']")
    assert samples.count() == 0
    page.locator("#explain-level").get_by_text("Expert").click()
    page.wait_for_url("**view=expert**")
    samples.wait_for(state="attached")
    page.get_by_label("LIME", exact=True).check()
    page.locator(".method", has=page.get_by_label("LIME", exact=True)).get_by_text("Parameters").click()
    samples.fill("200")
    page.wait_for_url("**lime.samples=200**")
    page.locator("#explain-level").get_by_text("Guided").click()
    page.locator("#explain-level").get_by_text("Expert").click()
    page.wait_for_url("**view=expert**")
    assert samples.input_value() == "200"
    assert page.get_by_label("Seed").is_visible()
    assert page.locator(".method:visible").count() > 2 * few > 0
    assert "about 200 model calls" in page.locator(".method", has=page.get_by_label("LIME", exact=True)).inner_text()


def test_a_class_against_another_is_explained(tab: Any) -> None:
    page = tab.open("explain?model=xo_cnn&framework=torch&sample=test-0&methods=saliency&target=0-1")
    explained(page, 1)
    page.locator(SHOWN).get_by_text("Numbers").click()
    assert "X - O" in page.inner_text(SHOWN)
    assert "target=0-1" in page.url


def test_the_value_under_the_pointer_and_under_the_arrow_keys(tab: Any, tmp_path: Path) -> None:
    page = tab.open("explain?model=xo_cnn&framework=torch&sample=test-0&methods=integrated-gradients")
    explained(page, 1)
    taken = saved(page, "Result", tmp_path)
    values = loaded(taken).values[0].sum(-1)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    map_ = page.locator(".probe img")
    box = map_.bounding_box()
    map_.hover(position={"x": box["width"] * 4.5 / 9, "y": box["height"] * 2.5 / 9})
    said = page.inner_text(".probe-word")
    assert said.startswith("Row 2, column 4: ")
    shown_ = float(said.rpartition(" ")[2].replace("\u2212", "-"))
    np.testing.assert_allclose(shown_, values[2, 4], rtol=5e-3, atol=1e-9)
    page.focus(".probe")
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".probe-word").startswith("Row 2, column 5: ")
    assert not [url for url in asked if "_dash" in url and "poll" in url]


def saved(page: Any, link: str, folder: Path) -> Path:
    """Take something along and give the file."""
    with page.expect_download() as waiting:
        page.locator(SHOWN).first.locator(".take", has_text=link).click()
    path = folder / waiting.value.suggested_filename
    waiting.value.save_as(path)
    return path


def fetched(page: Any, link: str) -> bytes:
    """Give what a link of the first map leads to, asked for in the page's own session."""
    href = page.locator(SHOWN).first.locator(".take", has_text=link).get_attribute("href")
    answer = page.request.get(urljoin(page.url, href))
    assert answer.ok
    assert "attachment" in answer.headers["content-disposition"]
    return bytes(answer.body())


def loaded(path: Path) -> Any:
    """Unpack a result that was taken along, and load it."""
    with zipfile.ZipFile(path) as archive:
        archive.extractall(path.parent)
    return xk.load(path.parent / "result")


def test_what_is_taken_along_holds_the_result(tab: Any, tmp_path: Path) -> None:
    page = tab.open("explain?model=xo_cnn&framework=torch&sample=test-0&methods=integrated-gradients")
    explained(page, 1)
    result = loaded(saved(page, "Result", tmp_path))
    assert result.origin.method == "integrated-gradients"
    with Pillow.open(BytesIO(fetched(page, "PNG"))) as picture:
        assert min(picture.size) > 100
    assert fetched(page, "SVG").decode().startswith("<svg")
    rows = [line.split(",") for line in fetched(page, "CSV").decode().splitlines()]
    own = [(int(r[0]), int(r[1]), float(r[2])) for r in rows if len(r) == 3 and r[0].isdecimal()]
    places = np.zeros((9, 9))
    for row, column, value in own:
        places[row, column] = value
    assert len(own) == 81
    np.testing.assert_allclose(places, result.values[0].sum(-1), rtol=1e-12)


@pytest.mark.long
def test_the_code_gives_the_same_map_from_the_input_that_is_taken_along(tab: Any, tmp_path: Path) -> None:
    page = tab.open("explain?model=mnist_cnn&framework=torch&methods=grad-cam")
    page.get_by_role("tab", name="Upload").click()
    box = page.locator("#explain-upload input[type=file]")
    box.set_input_files({"name": "digit.png", "mimeType": "image/png", "buffer": png()})
    page.wait_for_url("**sample=own-**")
    explained(page, 1)
    saved(page, "Input", tmp_path)
    expected = loaded(saved(page, "Result", tmp_path)).values
    page.locator(f"{SHOWN} summary", has_text="Python").click()
    code = page.locator(f"{SHOWN} .code code").inner_text()
    program = f"{code}\nxk.save(result, 'again')\n"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{code}\n{done.stderr}"
    np.testing.assert_allclose(xk.load(tmp_path / "again").values, expected, atol=1e-6)


def test_both_frameworks_agree_on_screen(tab: Any) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("keras")
    page = tab.open("explain?model=xo_cnn&framework=torch&sample=test-0&methods=occlusion&compare=both")
    explained(page, 2)
    assert "PyTorch and Keras give the same map" in page.inner_text("[data-testid=agreement]")
    assert page.locator("[data-testid=prediction]").count() == 2


def test_cancelling_leaves_the_rest(tab: Any) -> None:
    page = tab.open(f"{LONG}1")
    page.click("#explain-run")
    page.wait_for_selector(f"{RUNNING} .run-word:has-text('%')")
    page.locator(RUNNING).get_by_role("button", name="Cancel").click()
    page.wait_for_selector("text=You cancelled it.")
    page.get_by_label("Kernel SHAP", exact=True).uncheck(force=True)
    page.get_by_label("Saliency", exact=True).check(force=True)
    explained(page, 1)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="workers are found through /proc")
@pytest.mark.long
def test_a_killed_worker_is_told_and_replaced(tab: Any, served: Any) -> None:
    page = tab.open(f"{LONG}2")
    page.click("#explain-run")
    page.wait_for_selector(f"{RUNNING} .run-word:has-text('%')")
    for pid in served.workers():
        os.kill(pid, signal.SIGKILL)
    page.wait_for_selector(".problem >> text=was killed by SIGKILL")
    page.get_by_label("Kernel SHAP", exact=True).uncheck(force=True)
    page.get_by_label("Saliency", exact=True).check(force=True)
    explained(page, 1)


def test_evidence_and_dialects_are_asked_for_by_the_form(tab: Any) -> None:
    page = tab.open("explain?model=xo_cnn&framework=torch&sample=test-0&methods=saliency&view=expert")
    card = page.locator(".method", has=page.get_by_label("Saliency", exact=True))
    card.locator("summary").first.click()
    card.get_by_role("combobox", name="dialect").or_(card.get_by_label("dialect")).first.click()
    page.get_by_role("option", name="captum").click()
    page.get_by_label("Check the evidence").check(force=True)
    page.wait_for_function("location.search.includes('evidence=full') && location.search.includes('saliency.dialect')")
    explained(page, 1)
    page.locator(SHOWN).get_by_text("Numbers").click()
    numbers = page.inner_text(SHOWN)
    assert "Not checked" not in numbers
    for fact in ("deletion", "insertion", "dialect = captum", "output"):
        assert fact in numbers


def test_methods_stand_by_family_and_what_cannot_serve_says_why(tab: Any) -> None:
    page = tab.open("explain?model=xo_cnn&framework=torch&view=expert")
    families = page.locator("section[aria-label^='Methods: ']")
    assert families.count() == len(FAMILIES)
    off = page.locator("section[aria-label='Methods: attention'] .off")
    assert "no layer of attention" in off.inner_text()
    assert off.get_by_role("checkbox").is_disabled()
    assert page.locator(SHOWN).count() == 0


def test_uploads(tab: Any) -> None:
    page = tab.open("explain?model=mnist_cnn")
    page.get_by_role("tab", name="Upload").click()
    box = page.locator("#explain-upload input[type=file]")
    box.set_input_files({"name": "digit.png", "mimeType": "image/png", "buffer": png()})
    page.wait_for_function("location.search.includes('sample=own-')")
    page.wait_for_selector("[data-testid=prediction]")
    kept = page.url
    box.set_input_files({"name": "notes.png", "mimeType": "image/png", "buffer": b"not a picture at all"})
    page.wait_for_selector("text=notes.png is not a picture: its content is text")
    damaged = png()[:60] + b"\0" * 40
    box.set_input_files({"name": "half.png", "mimeType": "image/png", "buffer": damaged})
    page.wait_for_selector("#explain-note >> text=half.png")
    assert page.url == kept


def test_a_file_over_the_limit_stays_in_the_browser(tab: Any, tmp_path: Path) -> None:
    page = tab.open("explain?model=mnist_cnn")
    page.get_by_role("tab", name="Upload").click()
    large = tmp_path / "large.png"
    with large.open("wb") as file:
        file.truncate(50 * 2**20)
    sent: list[int] = []
    page.on("request", lambda r: sent.append(len(r.post_data_buffer or b"")))
    page.locator("#explain-upload input[type=file]").set_input_files(large)
    page.wait_for_selector("text=large.png has 50.0 MiB; an upload has at most 2 MiB")
    assert max(sent, default=0) < 2**20


def test_a_drawing_is_answered(tab: Any) -> None:
    page = tab.open("explain?model=mnist_cnn&framework=torch")
    page.get_by_role("tab", name="Draw").click()
    page.get_by_role("button", name="Use the drawing").click()
    page.wait_for_selector("text=the pad is empty")
    box = page.locator("#explain-pad").bounding_box()
    left, top = box["x"], box["y"]
    page.mouse.move(left + 40, top + 30)
    page.mouse.down()
    page.mouse.move(left + 120, top + 30, steps=6)
    page.mouse.move(left + 75, top + 140, steps=8)
    page.mouse.up()
    page.get_by_role("button", name="Use the drawing").click()
    page.wait_for_selector("[data-testid=prediction] .share.chosen .share-name >> text=7")


def png() -> bytes:
    """A bright stroke on black."""
    pixels = np.zeros((40, 40), np.uint8)
    pixels[5:35, 18:23] = 255
    held = BytesIO()
    Pillow.fromarray(pixels).save(held, "PNG")
    return held.getvalue()
