"""What people may do wrong, or on purpose, in a real browser: each time there is a message, and a way on."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

pytest.importorskip("dash")
pytest.importorskip("torch")
pytest.importorskip("playwright.sync_api")

import xaikit as xk
import xaikit_app
from tests.app.conftest import PATIENCE_MS
from tests.app.test_uploads import array, header, picture, png
from xaikit.jobs import Unit
from xaikit_app.pages import pages
from xaikit_app.state import State

pytestmark = pytest.mark.slow
MARKUP = "<img src=x onerror=alert(1)>"
GONE = "not kept here any more"
LIMIT_MB = 1.0


def answer(x: Any) -> Any:
    shares = 1 / (1 + np.exp(-np.asarray(x, float).reshape(len(x), -1)[:, :1]))
    return np.concatenate([shares, 1 - shares], 1)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file whose name is markup."""
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(72, 2))
    path = tmp_path_factory.mktemp("models") / f"{MARKUP}.pt2"
    torch.export.save(torch.export.export(net.eval(), (torch.zeros(2, 1, 8, 8),)), path)
    return path


@pytest.fixture(scope="module")
def shown(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    labelled = xk.wrap(answer, inputs=xk.Image(6, 6, 1), outputs=xk.Classes([MARKUP, "<b>bold</b>"]), name="labels")
    settings = {"personal": False, "queue": 1, "max_upload_mb": LIMIT_MB, "max_pixels": 100_000}
    shown = xaikit_app.show(
        "xo_cnn", "mnist_cnn", str(program), labelled, cache=tmp_path_factory.mktemp("cache"), **settings
    )
    yield shown
    shown.close()


class Tab:
    """A page in a session of its own, under the policy of the app, with what that forbade and what ran anyhow."""

    def __init__(self, browser: Any, url: str) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.context.set_default_timeout(PATIENCE_MS)
        self.page, self.url, self.wrong = self.context.new_page(), url.rstrip("/"), []
        self.page.on("console", lambda m: self.wrong.append(m.text) if "Content Security Policy" in m.text else None)
        self.page.on("dialog", lambda d: self.wrong.append(f"a script ran: {d.message}"))

    def open(self, page: str, **query: str) -> Any:
        self.page.goto(f"{self.url}/{page}?{urlencode(query)}")
        self.page.wait_for_selector("h1")
        return self.page

    def give(self, name: str, data: bytes) -> None:
        """Upload a file on the page Explain."""
        self.page.get_by_role("tab", name="Upload").click()
        file = {"name": name, "mimeType": "application/octet-stream", "buffer": data}
        self.page.set_input_files(".takes-files input[type=file]", file)

    def says(self, words: str, where: str = "body") -> str:
        """Wait for words, and give the text around them."""
        found = self.page.locator(where).get_by_text(words).first
        found.wait_for()
        return str(found.inner_text())


@pytest.fixture
def tab(chromium: Any, shown: Any) -> Iterator[Tab]:
    tab = Tab(chromium, shown.url)
    yield tab
    tab.context.close()


def test_every_page_keeps_to_the_policy(tab: Tab) -> None:
    for path in pages():
        tab.open(path, model="xo_cnn", framework="torch")
        tab.page.wait_for_function("() => document.querySelector('h1') && !document.querySelector('#main .waiting')")
        assert tab.wrong == [], path


def test_names_and_labels_with_markup_are_text(tab: Tab, program: Path) -> None:
    page = tab.open("explain", model="labels")
    page.locator("#main").get_by_text(MARKUP).first.wait_for()
    assert page.locator("img[src=x]").count() == 0
    page = tab.open("overview", model=program.stem)
    page.wait_for_selector(".page-title")
    assert page.locator("img[src=x]").count() == 0
    page.wait_for_function("name => document.querySelector('#model').value === name", arg=program.stem)
    assert tab.wrong == []


BAD = {
    f"{MARKUP}.png": (b"words, words", f"{MARKUP}.png is not a picture: its content is text"),
    "bomb.png": (png(30_000, 30_000), "bomb.png holds far more pixels than may be read"),
    "large.png": (png(400, 400), "160,000 pixels; at most 100,000 are read"),
    "profile.png": (
        png(9, 9, b"\0\x01\x86\xa0zTXta\0\0" + zlib.compress(b"\0" * 2**25)),
        "cannot be read as a picture",
    ),
    "cut.jpg": (picture("JPEG")[:200], "cut.jpg cannot be read as a picture"),
    "claims.npy": (header("(1000000, 1000000)"), "its header says 8,000,000,000,000 bytes"),
    "pickle.npy": (header("(1,)", "|O") + b"\x80\x04N.", "without unpickling"),
    "empty.png": (b"", "empty.png is empty"),
    "heavy.png": (b"\0" * (2**20 + 1), "heavy.png has 1.0 MiB; an upload has at most 1 MiB"),
}


def test_bad_uploads_are_told_and_good_ones_go_on(tab: Tab) -> None:
    tab.open("explain", model="mnist_cnn", framework="torch")
    for name, (data, words) in BAD.items():
        tab.give(name, data)
        tab.says(words)
        assert "own-" not in tab.page.url
    assert tab.page.locator("img[src=x]").count() == 0
    tab.give("größe 数字.png", picture("PNG"))
    tab.page.wait_for_url("**sample=own-**")
    assert tab.wrong == []


@pytest.mark.parametrize(
    ("page", "query", "words"),
    [
        ("explain", {"model": "xo_cnn", "sample": "own-../../secret-key"}, GONE),
        ("explain", {"model": "xo_cnn", "sample": MARKUP}, "choose another one"),
        pytest.param("explain", {"model": MARKUP + "?"}, "This link does not lead anywhere", marks=pytest.mark.long),
        (MARKUP, {"model": "xo_cnn"}, "There is no such page"),
    ],
)
def test_broken_links_are_told_with_a_way_on(tab: Tab, page: str, query: dict[str, str], words: str) -> None:
    tab.open(page, **query)
    tab.says(words, "#main")
    assert tab.page.locator("img[src=x]").count() == 0
    links = tab.page.locator("#main a[href], #main button").count() + tab.page.locator("#nav a[href]").count()
    assert links > 0
    assert tab.wrong == []


def test_an_upload_is_kept_for_who_gave_it_and_no_other(tab: Tab, chromium: Any, shown: Any) -> None:
    tab.open("explain", model="mnist_cnn", framework="torch")
    tab.give("mine.png", picture("PNG"))
    tab.page.wait_for_url("**sample=own-**")
    address = tab.page.url
    tab.page.goto(address)
    tab.page.wait_for_selector("[data-testid=prediction] .share")
    assert tab.page.locator(f"text={GONE}").count() == 0
    other = Tab(chromium, shown.url)
    other.page.goto(address)
    theirs = other.says(GONE)
    other.open("explain", model="mnist_cnn", framework="torch", sample="own-" + "1" * 32)
    assert other.says(GONE) == theirs
    other.context.close()


def test_a_session_that_has_ended_is_told_and_a_reload_goes_on(tab: Tab) -> None:
    page = tab.open("explain", model="xo_cnn", framework="torch", sample="test-0", methods="occlusion")
    page.wait_for_selector("[data-testid=prediction] .share")
    tab.context.clear_cookies()
    page.click("#explain-run")
    bar = page.locator("#trouble")
    bar.get_by_text("The session of this page has ended").wait_for()
    assert bar.get_attribute("role") == "alert"
    bar.get_by_role("button", name="Reload").click()
    page.wait_for_selector("[data-testid=prediction] .share")
    assert bar.count() == 0
    assert "methods=occlusion" in page.url
    page.click("#explain-run")
    page.wait_for_selector("[data-testid=attribution] img")


def test_a_full_queue_is_told(tab: Tab, shown: Any) -> None:
    services = shown.app.services
    page = tab.open("explain", model="xo_cnn", framework="torch", sample="test-1", methods="occlusion", seed="77")
    page.wait_for_selector("[data-testid=prediction] .share")
    key = services.choose(State(model="xo_cnn", framework="torch")).key
    x = np.zeros((9, 9, 1))
    long = [Unit(key, x, "kernel-shap", {"samples": 400_000}, seed=seed) for seed in range(2)]
    jobs = [services.submit(long[0], owner="another")]
    while jobs[0].status == "waiting":
        page.wait_for_timeout(50)
    jobs.append(services.submit(long[1], owner="another"))
    try:
        page.click("#explain-run")
        tab.says("jobs are waiting already, as many as may: try again later")
    finally:
        for job in jobs:
            job.cancel()
    assert page.locator("#explain-run").is_enabled()
    while not all(job.done for job in jobs):
        page.wait_for_timeout(50)
    page.click("#explain-run")
    page.wait_for_selector("[data-testid=attribution] img")
    assert tab.wrong == []


def test_a_model_file_that_is_removed_while_the_app_runs_is_told(tab: Tab, program: Path) -> None:
    page = tab.open("explain", model=program.stem, framework="torch", methods="occlusion")
    page.get_by_role("tab", name="Upload").wait_for()
    content = program.read_bytes()
    program.unlink()
    try:
        tab.give("mine.npy", array(np.zeros((1, 8, 8))))
        page.wait_for_url("**sample=own-**")
        tab.says("there is no model file")
        assert page.locator("#nav a[href]").count() > 3
    finally:
        program.write_bytes(content)
    page.reload()
    page.wait_for_selector("[data-testid=prediction]")
