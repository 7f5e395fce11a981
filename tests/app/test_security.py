"""What the server lets in, what it says to others, and what its pages may load: as plain requests."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xaikit as xk
from xaikit_app import Settings, create_app
from xaikit_app.security import TOKEN

CALLBACK = "/_dash-update-component"
HTML = {"Accept": "text/html"}


def add(x: Any) -> Any:
    return np.asarray(x).reshape(len(x), -1)[:, :2]


def made(folder: Path, **settings: Any) -> Any:
    model = xk.wrap(add, inputs=xk.Image(6, 6, 1, scale=1.0), outputs=xk.Values(["a", "b"]), name="adder")
    return create_app(Settings(models=(model,), cache=folder, **settings))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    app = made(tmp_path_factory.mktemp("app"), max_upload_mb=0.5)
    yield app
    app.services.close()


def opened(app: Any, **request: Any) -> tuple[Any, dict[str, str]]:
    """A browser that has a page of the app, with the header that the page's script adds."""
    client = app.server.test_client()
    page = client.get("/explain", **request).get_data(as_text=True)
    found = re.search(r'name="xaikit-token" content="([0-9a-f]{64})"', page)
    assert found is not None
    return client, {TOKEN: found[1]}


def choice(app: Any, path: str = "/explain") -> dict[str, Any]:
    """What a page sends when it is opened: the callback that fills it, as the app itself lists it."""
    listed = app.callback_map.items()
    output, callback = next((o, c) for o, c in listed if "main.children" in o and "url.pathname" in str(named(c)))
    values = {"url.pathname": path, "url.search": "?model=adder"}
    places = [dict(zip(("id", "property"), o.rsplit(".", 1), strict=True)) for o in output.strip(".").split("...")]
    return {
        "output": output,
        "outputs": places,
        "inputs": [{**i, "value": values.get(f"{i['id']}.{i['property']}")} for i in callback["inputs"]],
        "changedPropIds": ["url.pathname"],
        "state": [{**i, "value": None} for i in callback["state"]],
    }


def named(callback: Any) -> list[str]:
    return [f"{i['id']}.{i['property']}" for i in callback["inputs"]]


def test_a_page_of_the_app_is_answered(app: Any) -> None:
    client, own = opened(app)
    answer = client.post(CALLBACK, json=choice(app), headers=own)
    assert answer.status_code == 200
    assert "adder" in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://localhost"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Referer": "http://localhost/explain"}, 200),
        ({"Origin": "http://elsewhere.example"}, 403),
        ({"Origin": "http://localhost:8051"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Referer": "http://elsewhere.example/explain"}, 403),
        ({TOKEN: "0" * 64}, 401),
        ({TOKEN: ""}, 401),
    ],
)
def test_only_pages_of_the_app_may_change_something(app: Any, headers: dict[str, str], status: int) -> None:
    client, own = opened(app)
    assert client.post(CALLBACK, json=choice(app), headers={**own, **headers}).status_code == status


def test_the_token_of_another_session_is_worth_nothing(app: Any) -> None:
    _, own = opened(app)
    other, _ = opened(app)
    answer = other.post(CALLBACK, json=choice(app), headers=own)
    assert answer.status_code == 401
    assert answer.json["error"]["title"] == "The session of this page has ended"


def test_a_session_that_has_ended_is_told(app: Any) -> None:
    client, own = opened(app)
    client.delete_cookie(app.server.config["SESSION_COOKIE_NAME"])
    answer = client.post(CALLBACK, json=choice(app), headers=own)
    assert answer.status_code == 401
    assert "Reload it to go on" in answer.json["error"]["text"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_a_form_of_any_site_can_send_is_not_read(app: Any, kind: str) -> None:
    client, own = opened(app)
    assert client.post(CALLBACK, data=b"{}", content_type=kind, headers=own).status_code == 415


def test_the_app_of_one_person_needs_the_token_too(tmp_path: Path) -> None:
    app = made(tmp_path, personal=True)
    client, own = opened(app)
    assert client.post(CALLBACK, json=choice(app), headers=own).status_code == 200
    assert client.post(CALLBACK, json=choice(app)).status_code == 401
    app.services.close()


# ---------------------------------------------------------------- names that the app answers as


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8050", 200), ("localhost:8050", 200), ("[::1]:8050", 200), ("rebound.example", 400)],
)
def test_no_site_can_point_its_name_at_this_machine(app: Any, host: str, status: int) -> None:
    answer = app.server.test_client().get("/explain", headers={"Host": host, **HTML})
    assert answer.status_code == status
    assert (status == 200) or "The app does not answer as rebound.example" in answer.text


def test_the_names_can_be_told(tmp_path: Path) -> None:
    app = made(tmp_path, hosts=("explain.example",))
    client = app.server.test_client()
    assert client.get("/explain", headers={"Host": "explain.example"}).status_code == 200
    assert client.get("/explain", headers={"Host": "localhost"}).status_code == 400
    app.services.close()


# ---------------------------------------------------------------- headers


def policy_of(answer: Any) -> dict[str, list[str]]:
    parts = (part.split() for part in answer.headers["Content-Security-Policy"].split(";"))
    return {name: allowed for name, *allowed in parts}


ROUTES = ["/", "/explain", "/_dash-layout", "/_dash-dependencies", "/assets/app.css", "/assets/nothing.js", "/health"]


@pytest.mark.parametrize("path", ROUTES)
def test_every_answer_has_the_headers(app: Any, path: str) -> None:
    answer = app.server.test_client().get(path, buffered=True)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in answer.headers["Permissions-Policy"]
    policy = policy_of(answer)
    assert policy["default-src"] == ["'none'"]
    assert policy["connect-src"] == policy["form-action"] == policy["frame-ancestors"] == ["'self'"]
    assert policy["base-uri"] == policy["object-src"] == ["'none'"]
    assert "'unsafe-inline'" not in policy["script-src"]
    assert "'unsafe-eval'" not in policy["script-src"]


def test_every_script_of_a_page_is_marked_anew(app: Any) -> None:
    client = app.server.test_client()
    seen = set()
    for _ in range(2):
        answer = client.get("/explain")
        (nonce,) = set(re.findall(r'<script nonce="([\w-]+)"', answer.text))
        assert answer.text.count("<script") == answer.text.count(f'<script nonce="{nonce}"') > 3
        assert policy_of(answer)["script-src"] == ["'self'", f"'nonce-{nonce}'"]
        seen.add(nonce)
    assert len(seen) == 2


def test_only_a_notebook_may_frame_the_app(tmp_path: Path) -> None:
    app = made(tmp_path, personal=True)
    framed = policy_of(app.server.test_client().get("/"))["frame-ancestors"]
    assert "http://localhost:*" in framed
    assert not any("*" in f and "localhost" not in f and "127.0.0.1" not in f for f in framed)
    app.services.close()


def test_pages_are_not_kept_by_caches_but_files_may_be(app: Any) -> None:
    client = app.server.test_client()
    assert client.get("/explain").headers["Cache-Control"] == "no-store"
    assert client.get("/_dash-layout").headers["Cache-Control"] == "no-store"
    assert client.get("/assets/app.css", buffered=True).headers["Cache-Control"] != "no-store"


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/assets/nothing.js", 404, "There is nothing at this address"),
        ("GET", "/assets/../settings.py", 404, "There is nothing"),
        ("GET", "/assets/%2e%2e/settings.py", 404, "There is nothing"),
        ("GET", "/_dash-component-suites/flask/app.py", 404, "There is nothing"),
        ("GET", "/_dash-component-suites/dash/dash.py", 404, "There is nothing"),
        ("GET", "/_reload-hash", 404, "There is nothing"),
        ("GET", "/_mcp", 404, "There is nothing"),
        ("DELETE", "/explain", 405, "That cannot be done at this address"),
        ("PUT", "/_dash-layout", 405, "That cannot be done"),
    ],
)
@pytest.mark.parametrize("accept", ["text/html", "*/*"])
def test_errors_are_short_and_the_apps_own(
    app: Any, method: str, path: str, status: int, words: str, accept: str
) -> None:
    client, own = opened(app)
    kind = {} if method == "GET" else {"json": {}}
    answer = client.open(path, method=method, headers={**own, "Accept": accept}, **kind)
    assert answer.status_code == status
    assert words in answer.text
    assert len(answer.text) < 1200
    for secret in ("Traceback", "werkzeug", "registered", "site-packages"):
        assert secret not in answer.text


def test_an_unforeseen_error_stays_in_the_log(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    client, own = opened(app)
    with caplog.at_level(logging.ERROR):
        answer = client.post(CALLBACK, json={"output": "no.such", "inputs": "nonsense"}, headers=own)
    assert answer.status_code == 500
    assert answer.json["error"] == {"title": "Something went wrong on the server", "text": "Its log has the details."}
    assert "Traceback" in caplog.text


def test_what_is_no_json_is_refused_in_words(app: Any) -> None:
    client, own = opened(app)
    answer = client.post(CALLBACK, data=b"{", content_type="application/json", headers=own)
    assert answer.status_code == 400
    assert answer.json["error"]["title"] == "That request makes no sense"


def test_a_body_over_the_limit_is_not_read(app: Any) -> None:
    client, own = opened(app)
    answer = client.post(CALLBACK, data=b"x" * 2 * 2**20, content_type="application/json", headers=own)
    assert answer.status_code == 413
    assert answer.json["error"]["title"] == "That is too large"


def test_markup_in_an_address_is_not_in_the_page(app: Any) -> None:
    answer = app.server.test_client().get("/<script>alert(1)</script>?model=<img src=x onerror=alert(1)>")
    assert "alert" not in answer.text


def test_nothing_is_for_debugging(app: Any) -> None:
    assert not app.server.debug
    assert not app.server.testing
    page = app.server.test_client().get("/").text
    assert '"hot_reload"' not in page
    assert '"ui":false' in page.replace(" ", "")


# ---------------------------------------------------------------- health


def test_health_says_that_it_lives_and_no_more(app: Any) -> None:
    client = app.server.test_client()
    assert client.get("/health").json == {"status": "alive"}
    assert client.get("/ready").json["status"] == "ready"
    assert "Set-Cookie" not in client.get("/health").headers


def test_an_app_that_cannot_write_is_not_ready(tmp_path: Path) -> None:
    app = made(tmp_path / "app")
    try:
        for path in sorted((tmp_path / "app").rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        (tmp_path / "app").rmdir()
        (tmp_path / "app").write_text("a file where the folder was")
        answer = app.server.test_client().get("/ready")
        assert (answer.status_code, answer.json["status"], answer.json["store"]) == (503, "not ready", False)
    finally:
        app.services.close()


# ---------------------------------------------------------------- below a path


@pytest.fixture(scope="module")
def below(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    app = made(tmp_path_factory.mktemp("below"), prefix="/xaikit/")
    yield app
    app.services.close()


@pytest.mark.parametrize("stripped", [False, True])
def test_the_app_stands_below_a_path_whether_or_not_the_proxy_takes_it_away(below: Any, stripped: bool) -> None:
    root = "/" if stripped else "/xaikit/"
    client = below.server.test_client()
    page = client.get(f"{root}explain").text
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert sources
    assert [source for source in sources if not source.startswith(("/xaikit/", "data:"))] == []
    assert client.get(sources[-1]).status_code == 200
    assert client.get(f"{root}health").json == {"status": "alive"}


def test_links_in_the_parts_of_a_page_have_the_path(below: Any) -> None:
    client = below.server.test_client()
    found = re.search(r'xaikit-token" content="(\w+)"', client.get("/xaikit/", base_url="http://localhost").text)
    assert found is not None
    asked = choice(below, "/xaikit/explain")
    answer = client.post(f"/xaikit{CALLBACK}", json=asked, headers={TOKEN: found[1]})
    links = [link.replace("\\u002f", "/") for link in re.findall(r'"href":\s*"([^"]+)"', answer.text)]
    assert links
    assert [link for link in links if not link.startswith("/xaikit/")] == []
    assert not any(link.startswith("/xaikit/xaikit") for link in links)
    assert "There is no such page" not in answer.text
    assert '"href":"/xaikit/"' in client.get("/xaikit/_dash-layout").text.replace("\\u002f", "/")


def test_the_path_without_its_slash_leads_to_it(below: Any) -> None:
    answer = below.server.test_client().get("/xaikit")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/xaikit/")


def test_the_cookie_stays_below_the_path(below: Any) -> None:
    assert "Path=/xaikit/" in below.server.test_client().get("/xaikit/").headers["Set-Cookie"]
