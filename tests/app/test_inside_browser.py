"""Layers, Convolution and Training curves in a real browser: what is drawn there without asking the server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("dash")
pytest.importorskip("torch")
pytest.importorskip("playwright.sync_api")

import xaikit as xk
from tests.app.conftest import PATIENCE_MS
from tests.app.test_pages_browser import Tab

pytestmark = pytest.mark.slow
CNN = "xo_cnn"
FRAME = """(name) => { const box = document.querySelector(name + ' .sight-frame');
  return box && ['top', 'left', 'height', 'width'].map(side => parseFloat(box.style[side])); }"""


@pytest.fixture
def tab(chromium: Any, shown: Any) -> Iterator[Tab]:
    tab = Tab(chromium, shown.url)
    yield tab
    tab.context.close()
    assert tab.wrong == []


def counted(tab: Tab) -> list[str]:
    """Begin to count what the page asks the server; the tray of all work asks for itself."""
    tab.page.wait_for_load_state("networkidle")
    asked: list[str] = []
    tab.page.on("request", lambda r: None if "tray-" in (r.post_data or "") else asked.append(str(r.post_data)))
    return asked


def test_pointing_at_a_map_frames_what_is_seen_without_the_server(tab: Tab) -> None:
    page = tab.open(f"/layers?model={CNN}&framework=torch&layer=pool1&unit=1")
    page.wait_for_selector("[data-sight]", state="attached")
    asked = counted(tab)
    field = xk.receptive_field(xk.zoo.load(CNN, framework="torch"))
    chosen = page.locator(".sight-map.focusable")
    chosen.evaluate("one => one.scrollIntoView({block: 'center'})")
    box = chosen.bounding_box()
    for row, column in ((0, 0), (1, 3), (3, 2)):
        page.mouse.move(box["x"] + (column + 0.5) * box["width"] / 4, box["y"] + (row + 0.5) * box["height"] / 4)
        (top, left), (bottom, right) = field.box("pool1", (row, column))
        expected = [100 * n / 9 for n in (top, left, bottom - top + 1, right - left + 1)]
        np.testing.assert_allclose(page.evaluate(FRAME, ".sight-input"), expected, atol=0.01)
        words = f"sees rows {top} to {bottom}, columns {left} to {right} of the input."
        assert page.inner_text(".sight-words") == f"The unit at row {row}, column {column} {words}"
    box = page.locator(".sight-input").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    seeing = [u for u in np.ndindex(4, 4) if all(a <= 4 <= b for a, b in zip(*field.box("pool1", u), strict=True))]
    low, high = np.min(seeing, 0), np.max(seeing, 0)
    expected = [25 * low[0], 25 * low[1], 25 * (high[0] - low[0] + 1), 25 * (high[1] - low[1] + 1)]
    np.testing.assert_allclose(page.evaluate(FRAME, ".sight-map"), expected, atol=0.01)
    assert asked == []


def test_places_are_reached_by_the_arrow_keys_without_the_server(tab: Tab) -> None:
    page = tab.open(f"/layers?model={CNN}&framework=torch&layer=conv1")
    page.wait_for_selector("[data-sight]", state="attached")
    asked = counted(tab)
    page.focus(".sight-map.focusable")
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert "The unit at row 4, column 4 sees rows 4 to 6, columns 4 to 6" in page.inner_text(".sight-words")
    assert asked == []


def test_a_unit_has_one_page_under_both_of_its_addresses(tab: Tab) -> None:
    page = tab.open(f"/layers/{CNN}/conv1/2?framework=torch")
    assert "Unit 2 of conv1" in page.inner_text("#main")
    page.get_by_role("link", name="Previous unit").click()
    page.wait_for_selector("text=Unit 1 of conv1")
    assert tab.query["unit"] == "1"
    page.click("#layers-address")
    page.wait_for_function(f"() => location.pathname === '/layers/{CNN}/conv1/1'")
    tab.settle()
    assert "Unit 1 of conv1" in page.inner_text("#main")


def test_the_tree_folds_and_is_walked_by_keys(tab: Tab) -> None:
    page = tab.open(f"/layers?model={CNN}&framework=torch")
    page.wait_for_selector("[role=treeitem][tabindex='0']")
    focused = "() => document.activeElement.querySelector(':scope > .row .layer-name').innerText"
    page.focus("[role=treeitem][tabindex='0']")
    assert page.evaluate(focused) == "conv1"
    before = page.locator(".layer:visible").count()
    page.keyboard.press("ArrowRight")
    assert page.locator(".layer:visible").count() == before + 1
    page.keyboard.press("ArrowRight")
    assert page.evaluate(focused) == "conv1_relu"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.locator(".layer:visible").count() == before
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Layer dense1")


def test_a_convolution_is_followed_without_the_server_and_its_place_is_in_the_address(tab: Tab) -> None:
    page = tab.open(f"/convolution?model={CNN}&framework=torch&layer=conv1&unit=1&place=2,3")
    page.wait_for_selector(".stage-words")
    model = xk.zoo.load(CNN, framework="torch")
    asked = counted(tab)
    source = page.evaluate("() => document.querySelector('ul.thumbs [aria-current] a').title")
    sample = xk.data.load("xo").read("test").x[int(source.split("-")[1])]
    own = xk.activations(model, sample, "conv1")["conv1"][0][..., 1]
    page.focus(".stage-map >> nth=1")
    for key, place in (("ArrowRight", (2, 4)), ("ArrowDown", (3, 4)), ("ArrowLeft", (3, 3))):
        page.keyboard.press(key)
        words = page.inner_text(".stage-words")
        assert words.startswith(f"Row {place[0]}, column {place[1]}.")
        told = float(words.split("add up to ")[1].split(". ")[0].replace("−", "-"))
        assert abs(told - own[place]) < 0.006  # three figures are written
    page.wait_for_function("() => location.search.includes('place=3')")
    assert tab.query["place"] == "3,3"
    page.get_by_role("button", name="One step").click()
    assert page.inner_text(".stage-words").startswith("Row 3, column 4.")
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("() => document.querySelector('.stage-words').innerText.startsWith('Row 3, column 5.')")
    page.get_by_role("button", name="Pause").click()
    assert asked == []


def test_with_reduced_motion_nothing_plays(chromium: Any, shown: Any) -> None:
    context = chromium.new_context(reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{shown.url.rstrip('/')}/convolution?model={CNN}&framework=torch&layer=pool1")
    page.get_by_role("button", name="One step").wait_for()
    assert page.get_by_role("button", name="Play").count() == 0
    context.close()


def test_another_layer_and_channel_are_chosen(tab: Tab) -> None:
    page = tab.open(f"/convolution?model={CNN}&framework=torch")
    page.wait_for_selector(".stage-words")
    page.click("#convolution-layer")
    page.get_by_role("option", name="dense1").click()
    page.wait_for_selector("text=dense1 at work, unit 0")
    page.fill("#convolution-channel", "1")
    page.wait_for_selector("text=dense1 at work, unit 1")
    page.wait_for_selector(".stage-words")
    assert (tab.query["layer"], tab.query["unit"]) == ("dense1", "1")


@pytest.mark.long
def test_curves_of_files_are_added_and_smoothed_without_the_server(tab: Tab, tmp_path: Path) -> None:
    page = tab.open(f"/curves?model={CNN}&framework=torch")
    page.wait_for_selector(".curve-figure")
    (tmp_path / "first.json").write_text(
        json.dumps({"loss": [1, 0.5, 0.2], "val_loss": [1, 0.6, 0.7], "lr": [1, 1, 1]})
    )
    page.set_input_files("#curves-upload input", [tmp_path / "first.json"])
    page.wait_for_selector("text=first.json in words and numbers")
    (tmp_path / "<b>second.csv").write_text("epoch,loss,val_loss\n0,2,3\n1,1,2\n")
    page.set_input_files("#curves-upload input", [tmp_path / "<b>second.csv"])
    page.wait_for_selector("text=<b>second.csv in words and numbers")
    tab.settle()
    page.wait_for_selector(".curve-best")
    asked = counted(tab)
    lines = "() => [...document.querySelectorAll('.curve-figure path')].map(path => path.getAttribute('d')).join()"
    before = page.evaluate(lines)
    page.focus("#curves-smooth")
    page.keyboard.press("End")
    assert page.evaluate(lines) != before
    before = page.locator(".curve-figure").count()
    page.get_by_label("Lr", exact=True).uncheck()
    assert page.locator(".curve-figure").count() == before - 1
    page.focus(".curve-figure svg >> nth=0")
    page.keyboard.press("ArrowRight")
    assert "first.json, training 1" in page.inner_text(".curve-words")
    page.wait_for_function("() => location.search.includes('metrics=')")
    assert "lr" not in tab.query["metrics"].split(",")
    assert tab.query["smooth"] == "99"
    assert asked == []


def test_files_without_curves_are_refused_and_the_page_stays(tab: Tab, tmp_path: Path) -> None:
    page = tab.open(f"/curves?model={CNN}&framework=torch")
    (tmp_path / "no.csv").write_bytes(b"\x00\x01\x02 no numbers")
    page.set_input_files("#curves-upload input", tmp_path / "no.csv")
    page.wait_for_selector("text=That did not work")
    assert page.get_by_role("button", name="Add files").is_visible()


def test_a_unit_fits_a_narrow_screen(tab: Tab) -> None:
    tab.page.set_viewport_size({"width": 320, "height": 800})
    page = tab.open(f"/layers/{CNN}/conv1/0?framework=torch")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
