"""The pages Overview, Layers and Anomalies in a real browser, on a CNN and an autoencoder."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

pytest.importorskip("dash")
pytest.importorskip("torch")
pytest.importorskip("playwright.sync_api")

from tests.app.conftest import PATIENCE_MS, settle
from xaikit.jobs import Unit

pytestmark = pytest.mark.slow
CNN, AUTOENCODER = "xo_cnn", "series_autoencoder"


class Tab:
    """A page of the browser that keeps what it complained of, and every request that left this machine."""

    def __init__(self, browser: Any, url: str, theme: str = "light") -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=theme)
        self.context.set_default_timeout(PATIENCE_MS)
        self.page, self.url = self.context.new_page(), url.rstrip("/")
        self.wrong: list[str] = []
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda e: self.wrong.append(str(e)))
        self.page.on("request", self._leaves)

    def _leaves(self, request: Any) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", None):
            self.wrong.append(request.url)

    def open(self, address: str) -> Any:
        self.page.goto(self.url + address)
        return self.settle()

    def settle(self) -> Any:
        settle(self.page)
        return self.page

    def words(self) -> str:
        """Give the words on the page once they stay the same for a while, but not that results were there before."""
        before, now = "", self.page.inner_text("#main")
        while before != now:
            self.page.wait_for_timeout(400)
            before, now = now, self.page.inner_text("#main")
        lines = [line.strip() for line in str(now).splitlines() if line.strip()]
        return "\n".join(line for line in lines if line != "stored" and not line.startswith("Shown at once"))

    @property
    def query(self) -> dict[str, str]:
        return {k: v[0] for k, v in parse_qs(urlsplit(self.page.url).query).items()}


@pytest.fixture
def tab(chromium: Any, shown: Any) -> Iterator[Tab]:
    tab = Tab(chromium, shown.url)
    yield tab
    tab.context.close()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (f"/overview?model={CNN}", "95 % interval"),
        pytest.param(f"/overview?model={AUTOENCODER}", "abnormal samples", marks=pytest.mark.long),
        (f"/layers?model={CNN}&unit=0", "Where it answers most"),
        pytest.param(f"/layers?model={AUTOENCODER}&layer=code", "8 units", marks=pytest.mark.long),
    ],
)
def test_what_a_page_shows_of_a_model_of_its_kind(tab: Tab, address: str, words: str) -> None:
    page = tab.open(address)
    assert words in page.inner_text("#main")
    assert page.locator("#main .problem").count() == 0
    assert page.locator("#main img:not([alt])").count() == 0
    broken = "() => [...document.images].filter(i => i.checkVisibility() && !i.naturalWidth).length"
    assert page.evaluate(broken) == 0
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert tab.wrong == []


def test_anomalies_says_why_a_network_that_classifies_has_none(tab: Tab) -> None:
    page = tab.open(f"/anomalies?model={CNN}")
    assert "it gives classes, not its input again" in page.inner_text("#main")
    assert page.locator("#nav a.lacking", has_text="Anomalies").count() == 1


def test_a_layer_and_a_unit_have_addresses_that_restore_them(chromium: Any, shown: Any, tab: Tab) -> None:
    page = tab.open(f"/layers?model={CNN}")
    name = page.locator(".layer:visible .layer-name").nth(1).inner_text()
    page.locator(".layer:visible").nth(1).click()
    page.wait_for_function(f"() => document.querySelector('#main').innerText.includes('Layer {name}')")
    tab.settle()
    assert tab.query["layer"] == name
    page.locator(".tiles a.tile").first.click()
    page.wait_for_function(f"() => document.querySelector('#main').innerText.includes('Unit 0 of {name}')")
    tab.settle()
    assert (tab.query["layer"], tab.query["unit"]) == (name, "0")
    again = Tab(chromium, shown.url)
    other = again.open(page.url.removeprefix(tab.url))
    assert again.words() == tab.words()
    assert other.locator("#main img").evaluate_all("all => all.map(i => i.src)") == page.locator(
        "#main img"
    ).evaluate_all("all => all.map(i => i.src)")
    again.context.close()


def test_the_list_of_layers_is_found_in_without_the_server(tab: Tab) -> None:
    page = tab.open(f"/layers?model={CNN}")
    settle(page)
    everything = page.locator(".layer").count()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.post_data or request.url))
    page.fill("#layers-search", "softmax")
    page.wait_for_function("() => document.querySelector('#layers-count').innerText.includes(' of ')")
    found = page.locator("[role=treeitem].hit").count()
    assert 0 < found < everything
    assert page.locator("[role=treeitem].hit > .row > .layer:visible").count() == found
    assert page.inner_text("#layers-count") == f"{found} of {everything} layers"
    assert not [what for what in asked if "tray-poll" not in what]


def test_layers_and_units_are_reached_by_the_keyboard(tab: Tab) -> None:
    page = tab.open(f"/layers?model={CNN}")
    page.wait_for_selector("[role=treeitem][tabindex='0']")
    page.focus("#layers-search")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    focused = page.evaluate("() => document.activeElement.querySelector('.layer-name')?.innerText")
    assert focused == page.locator(".layer .layer-name").nth(1).inner_text()
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => document.querySelector('#main').innerText.includes('Layer {focused}')")
    assert tab.query["layer"] == focused


@pytest.mark.long
def test_an_outlier_is_flagged_and_another_threshold_says_otherwise(tab: Tab, shown: Any) -> None:
    rng = np.random.default_rng(0)
    normal = shown.app.services.own.put(0.1 * rng.standard_normal((60, 140, 1)))
    outlier = shown.app.services.own.put(3.0 * rng.standard_normal((140, 1)))
    page = tab.open(f"/anomalies?model={AUTOENCODER}&normal={normal}&sample={outlier}")
    assert page.locator(".verdict-box.anomalous").count() == 1
    assert "60 normal samples of your own" in page.inner_text("#main")
    before = page.inner_text("[data-testid=verdict]")
    page.get_by_role("textbox", name="Share of normal samples that stays below").click()
    page.get_by_role("option", name="90 %", exact=True).click()
    page.wait_for_function(
        "before => document.querySelector('[data-testid=verdict]')?.innerText !== before", arg=before
    )
    tab.settle()
    assert tab.query["level"] == "0.9"
    assert tab.wrong == []


def test_an_upload_that_is_no_sample_is_refused_and_the_page_stays(tab: Tab, tmp_path: Path) -> None:
    page = tab.open(f"/anomalies?model={AUTOENCODER}")
    before = page.url
    (tmp_path / "bad.csv").write_text("no numbers at all\n")
    page.set_input_files("#anomalies-upload input", tmp_path / "bad.csv")
    page.wait_for_selector("text=That did not work")
    page = tab.open(f"/anomalies?model={AUTOENCODER}")
    (tmp_path / "short.npy").write_bytes(b"not an array")
    page.set_input_files("#anomalies-normal input", tmp_path / "short.npy")
    page.wait_for_selector("text=is not a .npy array")
    assert page.url == before
    assert page.locator("[data-testid=verdict], .mantine-Alert-root").first.is_visible()


def test_an_upload_becomes_the_sample_of_the_address(tab: Tab, tmp_path: Path) -> None:
    page = tab.open(f"/layers?model={AUTOENCODER}")
    np.save(tmp_path / "wave.npy", np.sin(np.linspace(0, 9, 140))[:, None])
    page.set_input_files("#layers-upload input", tmp_path / "wave.npy")
    page.wait_for_selector(".thumb.chosen:has-text('yours')")
    tab.settle()
    assert tab.query["sample"].startswith("own-")
    assert tab.wrong == []


@pytest.mark.long
def test_a_worker_that_is_killed_is_said_and_the_next_try_works(tab: Tab, shown: Any) -> None:
    services = shown.app.services
    page = tab.open(f"/layers?model={AUTOENCODER}&layer=dense1")
    os.kill(services.pool.processes[0], signal.SIGKILL)
    page.goto(f"{tab.url}/layers?model={AUTOENCODER}&layer=dense2")
    killed = page.locator("text=was killed by SIGKILL")
    while not killed.count():  # each fresh worker, in the middle of its first job
        for pid in services.pool.processes if services.pool._slots[0].loading else ():
            os.kill(pid, signal.SIGKILL)
        page.wait_for_timeout(20)
    page.get_by_role("button", name="Try again").first.click()
    page.wait_for_selector(".tiles.strips")
    tab.settle()
    assert page.locator("#main .problem").count() == 0
    assert tab.wrong == []


@pytest.mark.long
def test_what_waits_can_be_cancelled(tab: Tab, shown: Any) -> None:
    services = shown.app.services
    services.submit(Unit(f"{CNN} (torch)", None, task="describe")).result(PATIENCE_MS / 1000)
    tab.open(f"/layers?model={AUTOENCODER}&layer=dense1")
    pid = services.pool.processes[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        tab.page.goto(f"{tab.url}/layers?model={AUTOENCODER}&layer=dense3")
        tab.page.locator("#main").get_by_role("button", name="Cancel").last.click()
        tab.page.wait_for_selector("text=You cancelled this.")
    finally:
        with suppress(ProcessLookupError):  # a worker that does not answer is killed after a while
            os.kill(pid, signal.SIGCONT)


def test_a_link_with_what_is_not_there_gives_a_message_and_a_way_on(tab: Tab) -> None:
    page = tab.open(f"/layers?model={CNN}&layer=nothing")
    assert "There is no such layer" in page.inner_text("#main")
    page.get_by_role("link", name="Go on with the first layer").click()
    page.wait_for_selector("text=Its filters")
    page = tab.open(f"/anomalies?model={AUTOENCODER}&rule=guess")
    assert "unknown rule 'guess'" in page.inner_text("#main")
    assert page.get_by_role("link", name="Go on from here").is_visible()
