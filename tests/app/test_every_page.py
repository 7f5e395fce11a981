"""Every page on every kind of model in a real browser: it shows, complains of nothing, and everybody can use it.

One test walks through all pages of a model by the navigation, as a person does. Screenshots go into the folder that
XAIKIT_SCREENSHOTS names, where it does.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from tests.app.conftest import Served, Tab, serving, settle, tab_of
from tests.cases import some

pytestmark = pytest.mark.slow
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

KINDS = {
    "picture": "mnist_cnn",
    "masks": "unet",
    "two outputs": "mnist_two_heads",
    "text": "lstm_imdb",
    "attention": "seq2seq_dates",
    "table": "credit_mlp",
    "forecast": "gru_forecast",
    "signals": "eeg_cnn",
    "autoencoder": "series_autoencoder",
    "latent": "dense_vae",
}
ALWAYS = ("mnist_cnn", "dense_vae", "seq2seq_dates")
WIDE, TABLET, PHONE = 1440, 768, 320
SHOTS = os.environ.get("XAIKIT_SCREENSHOTS")
AXE = {"resultTypes": ["violations"], "preload": False}
ALIKE = "#main *:nth-child(n + 13)"
"""Of more than a dozen things in a row only the first are judged: the others are made the same way."""


@pytest.fixture(scope="module")
def all_kinds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(*KINDS.values(), cache=tmp_path_factory.mktemp("kinds")) as app:
        yield app


@pytest.fixture(scope="module")
def judged_before() -> set[str]:
    """The pages that were judged whole: each is once on the models of every day, and on all the others."""
    return set()


@pytest.fixture(scope="module")
def window(chromium: Any, all_kinds: Served) -> Iterator[Tab]:
    # Colours that fade from one theme to the other could be judged on their way.
    how = {"color_scheme": "light", "reduced_motion": "reduce", "bypass_csp": True}
    context = chromium.new_context(viewport={"width": WIDE, "height": 900}, **how)
    yield tab_of(context, all_kinds)
    context.close()


def wider_than_the_screen(page: Any) -> int:
    """Give by how many pixels a page can be moved sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def violations(page: Any, **only: Any) -> list[str]:
    """Give what axe finds on a page, one line for each element that it does not like."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(axe.Axe().axe_script)
    found = page.evaluate("how => axe.run(...how).then(seen => seen.violations)", [{"exclude": [[ALIKE]]}, AXE | only])
    return [f"{v['id']}: {node['target']} {node['failureSummary'][:200]}" for v in found for node in v["nodes"]]


def picture(page: Any, name: str) -> None:
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def in_theme(page: Any, theme: str) -> None:
    page.emulate_media(color_scheme=theme)
    page.wait_for_function("theme => document.documentElement.dataset.mantineColorScheme === theme", arg=theme)
    page.wait_for_function("() => !document.getAnimations().some((one) => one.playState === 'running')")


def at_width(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    settle(page)


def wrong(page: Any, name: str, whole: bool) -> dict[str, Any]:
    """Give what is wrong with the page that is shown; it is left wide and light, as it was."""
    found: dict[str, Any] = {"headings": page.locator("h1").count() - 1}
    found["problems"] = page.locator("#main .problem").all_inner_texts()
    if whole:
        found |= judged(page, name)
    return {what: seen for what, seen in found.items() if seen}


def judged(page: Any, name: str) -> dict[str, Any]:
    """Give what axe finds in both themes, and by how much a page is wider than narrow screens."""
    found: dict[str, Any] = {}
    picture(page, f"{name}-light-{WIDE}")
    found["light"] = violations(page)
    in_theme(page, "dark")
    picture(page, f"{name}-dark-{WIDE}")
    found["dark"] = violations(page, runOnly=["color-contrast"])  # the rest does not depend on colours
    in_theme(page, "light")
    for width in (TABLET, PHONE) if SHOTS else (PHONE,):
        at_width(page, width)
        found[f"sideways at {width}"] = wider_than_the_screen(page)
        picture(page, f"{name}-light-{width}")
    at_width(page, WIDE)
    return found


@pytest.mark.parametrize("model", some(KINDS.values(), ALWAYS), ids=KINDS.keys())
def test_every_page(window: Tab, judged_before: set[str], model: str) -> None:
    page, found = window.page, {}
    window.complaints.clear()
    window.open(f"overview?model={model}&framework=torch")
    page.wait_for_selector("#nav .nav-link")
    settle(page)
    reasons = page.locator("#nav .lacking .unseen").all_inner_texts()
    assert len(reasons) == page.locator("#nav .lacking").count()
    assert all(len(reason) > len(", not for this model: ") + 10 for reason in reasons)
    titles = page.locator("#nav .nav-link:not(.lacking)").evaluate_all("links => links.map(link => link.dataset.title)")
    assert len(titles) > 8
    for title in titles:
        page.click(f"#nav [data-title='{title}']")
        page.wait_for_selector(f"#nav [data-title='{title}'][aria-current=page]")
        settle(page)
        whole = bool(SHOTS) or model not in ALWAYS or title not in judged_before
        judged_before.add(title)
        found[title] = wrong(page, f"{page.url.removeprefix(window.url).split('?')[0].split('/')[0]}-{model}", whole)
        if window.complaints:
            found[title]["complaints"] = [*window.complaints]
            window.complaints.clear()
    assert {title: seen for title, seen in found.items() if seen} == {}
