"""The frame that a notebook shows, in a page of another port of the same machine, and one of a stranger."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

pytest.importorskip("dash")
pytest.importorskip("playwright.sync_api")

import xaikit_app
from tests.app.small_models import small_models
from tests.cases import some

pytestmark = pytest.mark.slow
FRAMED = "frame-ancestors"
REFUSED = "chrome-error://chromewebdata/"
"""Where a browser leads a frame that it may not show."""


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    shown = xaikit_app.show(small_models()["rows"], cache=tmp_path_factory.mktemp("notebook"))
    yield shown
    shown.close()


@pytest.fixture(scope="module")
def notebook(shown: Any) -> Iterator[int]:
    """Serve a page with what `show` gives a notebook, from a port of its own; give the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<!DOCTYPE html><title>notebook</title>{shown._repr_html_()}".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.mark.parametrize("host", some(["127.0.0.1", "localhost"], ["localhost"]))
def test_a_page_of_this_machine_shows_the_app_in_its_frame(chromium: Any, notebook: int, host: str) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(120_000)
    page, wrong = context.new_page(), []
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" and FRAMED in m.text else None)
    page.goto(f"http://{host}:{notebook}/")
    frame = page.frame_locator("iframe[title=xaikit]")
    frame.locator("h1").wait_for()
    frame.locator("#nav").get_by_role("link", name="Explain").click()
    frame.locator("[data-testid=prediction]").wait_for()
    frame.locator("#explain-run").click()
    frame.locator("[data-testid=attribution]").first.wait_for()
    assert page.get_by_role("link", name="Open in a tab of its own").get_attribute("rel") == "noopener"
    assert wrong == []
    context.close()


def test_a_page_of_another_machine_has_no_frame_of_it(chromium: Any, shown: Any) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(120_000)
    page = context.new_page()
    page.route("http://elsewhere.example/*", lambda r: r.fulfill(content_type="text/html", body=shown._repr_html_()))
    page.goto("http://elsewhere.example/")
    page.wait_for_function("frames.length == 1")
    assert page.frames[1].url == REFUSED
    assert page.frame_locator("iframe[title=xaikit]").locator("#main").count() == 0
    context.close()
