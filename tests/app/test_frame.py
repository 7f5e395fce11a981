"""Header, addresses and themes in a real browser."""

from typing import Any

import pytest

pytest.importorskip("torch")

from tests.cases import some

pytestmark = pytest.mark.slow
SCHEME = "document.documentElement.dataset.mantineColorScheme"


def test_an_unknown_model_is_told_and_the_app_goes_on(tab: Any) -> None:
    page = tab.open("explain?model=xo_cn")
    assert "unknown model 'xo_cn'; did you mean 'xo_cnn'?" in page.inner_text("#main")
    page.get_by_role("link", name="mnist_cnn").click()
    page.wait_for_function("location.search.includes('mnist_cnn')")
    page.goto(f"{tab.url}explain?model=xo_cnn&framework=tensorflow")
    page.wait_for_selector("text=unknown framework 'tensorflow'")


def test_an_unknown_page_leads_on(tab: Any) -> None:
    page = tab.open("explian?model=xo_cnn")
    assert "unknown page 'explian'; did you mean 'explain'?" in page.inner_text("#main")
    page.locator("#nav").get_by_role("link", name="Explain").click()
    page.wait_for_selector("#explain-run")


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ("sample=test-999999", "there is no number 999999"),
        pytest.param("sample=own-00000000000000000000000000000000", "not kept here any more", marks=pytest.mark.long),
        pytest.param("methods=lim", "did you mean 'lime'", marks=pytest.mark.long),
        pytest.param("sample=test-0&methods=lime&target=17", "no target '17'", marks=pytest.mark.long),
        ("sample=test-0&methods=lime&lime.samples=-5", "samples must be at least 2"),
    ],
)
def test_a_broken_link_says_what_is_wrong(tab: Any, search: str, told: str) -> None:
    page = tab.open(f"explain?model=xo_cnn&framework=torch&{search}")
    page.wait_for_selector(f".problem >> text={told}")


def test_models_and_frameworks_are_chosen_in_the_header(tab: Any) -> None:
    page = tab.open("explain?model=xo_cnn&framework=torch&sample=test-3&methods=saliency")
    page.click("#model")
    page.get_by_role("option", name="mnist_cnn").click()
    page.wait_for_function("location.search.startsWith('?model=mnist_cnn')")
    page.wait_for_selector("text=What mnist_cnn answers")
    assert "saliency" not in page.url
    page.go_back()
    page.wait_for_selector("text=What xo_cnn answers")
    assert "methods=saliency" in page.url


@pytest.mark.long
def test_links_to_pages_keep_model_and_input(tab: Any) -> None:
    page = tab.open("explain?model=xo_cnn&framework=torch")
    page.get_by_label("sample O").nth(1).click()
    page.wait_for_function("location.search.includes('sample=test-3')")
    for link in page.locator("#nav a").all():
        assert "model=xo_cnn" in link.get_attribute("href")
        assert "sample=test-3" in link.get_attribute("href")


def test_light_and_dark(chromium: Any, served: Any) -> None:
    context = chromium.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(f"{served.url}explain?model=xo_cnn")
    page.wait_for_selector("#explain-run")
    assert page.evaluate(SCHEME) == "dark"
    page.click("#scheme")
    page.wait_for_function(f"{SCHEME} == 'light'")
    page.reload()
    page.wait_for_selector("#explain-run")
    assert page.evaluate(SCHEME) == "light"
    context.close()


@pytest.mark.parametrize("width", some([320, 768, 1440], [320]))
def test_nothing_sticks_out_sideways(tab: Any, width: int) -> None:
    tab.page.set_viewport_size({"width": width, "height": 900})
    page = tab.open("explain?model=xo_cnn&framework=torch")
    page.wait_for_selector("[data-testid=prediction]")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_pages_fold_away_on_a_narrow_screen(tab: Any) -> None:
    tab.page.set_viewport_size({"width": 360, "height": 700})
    page = tab.open("explain?model=xo_cnn&framework=torch")
    page.wait_for_selector("[data-testid=prediction]")
    link = page.get_by_role("link", name="Explain", exact=True)
    link.wait_for(state="hidden")
    page.get_by_role("button", name="Pages").click()
    link.wait_for(state="visible")
