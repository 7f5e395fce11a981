"""Models of one's own from files in a real browser: a Keras network, and one whose class has to be imported."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("keras")

from tests.app.conftest import Served, Tab, serving, settle, tab_of

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[2] / "examples"
WINES = EXAMPLES / "my_model_keras" / "wine_keras" / "model.toml"
DIGITS = EXAMPLES / "my_model_torch" / "digits_torch" / "model.toml"


@pytest.fixture(scope="module")
def served(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Both, with leave to import."""
    with serving(str(WINES), str(DIGITS), cache=tmp_path_factory.mktemp("own"), more=["--allow-code"]) as app:
        yield app


@pytest.fixture(scope="module")
def careful(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Both, without."""
    with serving(str(DIGITS), str(WINES), cache=tmp_path_factory.mktemp("careful")) as app:
        yield app


def explained(page: Any, method: str) -> Any:
    page.locator(f"input[type=checkbox][id*='explain-method'][id*='\"{method}\"']").check()
    page.click("#explain-run")
    return page.wait_for_selector(f"[data-testid=attribution][data-method={method}]")


def test_a_keras_network_for_rows_is_explored(tab: Tab) -> None:
    page = tab.open("overview?model=wine_keras")
    page.wait_for_function("document.querySelector('#main').innerText.includes('alcalinity_of_ash')")
    assert page.locator("#main .problem").count() == 0
    tab.open("explain?model=wine_keras")
    page.wait_for_selector("#main .thumbs .thumb, #main .ag-row")
    settle(page)
    page.locator("#main .thumbs .thumb, #main .ag-row").first.click()
    page.wait_for_selector("[data-testid=prediction]")
    assert "second" in page.inner_text("[data-testid=prediction]")
    assert "proline" in explained(page, "integrated-gradients").inner_text()
    tab.open("layers?model=wine_keras")
    settle(page)
    assert page.locator("#main .problem").count() == 0


def test_a_network_whose_class_is_imported_reads_a_picture_that_is_given(tab: Tab) -> None:
    page = tab.open("explain?model=digits_torch")
    page.wait_for_selector("#main input[type=file]", state="attached")
    settle(page)
    page.set_input_files("#main input[type=file]", str(EXAMPLES / "my_model_torch" / "seven.png"))
    page.wait_for_selector("[data-testid=prediction]")
    settle(page)
    assert page.inner_text("[data-testid=prediction]").split()[0] == "7"
    explained(page, "grad-cam")


def test_code_that_nobody_allowed_is_told_and_the_other_model_works(chromium: Any, careful: Served) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    tab = tab_of(context, careful)
    page = tab.open("overview?model=digits_torch")
    page.wait_for_selector("#main .problem")
    told = page.inner_text("#main .problem")
    assert "names a factory" in told
    assert "--allow-code" in told
    tab.open("overview?model=wine_keras")
    page.wait_for_function("document.querySelector('#main').innerText.includes('alcalinity_of_ash')")
    assert page.locator("#main .problem").count() == 0
    context.close()
    assert tab.complaints == []
