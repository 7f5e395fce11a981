"""Logins: by a file of users, by a trusted proxy, and not by anything else."""

import re
import stat
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.app.test_security import CALLBACK, HTML, choice, made
from xaikit.cli._app import app as command
from xaikit.errors import InputError, ParameterError, UsageError
from xaikit_app.logins import SHORTEST, Tries, Users, local_path
from xaikit_app.security import TOKEN
from xaikit_app.settings import Settings

WORD = "correct horse"
ROUTES = ["/", "/explain", "/_dash-layout", "/_dash-dependencies", "/assets/app.css", "/_favicon.ico", "/take/x/y"]


@pytest.fixture
def users(tmp_path: Path) -> Users:
    users = Users(tmp_path / "users")
    users.add("ada", WORD)
    return users


@pytest.fixture
def app(tmp_path: Path, users: Users) -> Iterator[Any]:
    app = made(tmp_path / "app", auth="basic", users=users.path)
    yield app
    app.services.close()


def log_in(client: Any, name: str = "ada", word: str = WORD, goal: str = "/explain?seed=3") -> Any:
    form = client.get("/login", query_string={"next": goal}, headers=HTML)
    found = re.search(r'name="token" value="(\w+)"', form.text)
    assert found is not None
    return client.post("/login", data={"token": found[1], "next": goal, "name": name, "password": word}, headers=HTML)


# ---------------------------------------------------------------- the file


def test_users_are_kept_without_their_passwords(users: Users) -> None:
    text = users.path.read_text()
    assert text.startswith("ada:scrypt:")
    assert WORD not in text
    assert stat.S_IMODE(users.path.stat().st_mode) == 0o600
    assert users.right("ada", WORD)
    assert not users.right("ada", WORD + " ")
    assert not users.right("bob", WORD)
    assert not users.right("bob", "nobody has this password")


def test_another_password_and_another_user_are_seen_without_a_restart(users: Users) -> None:
    mark = users.mark("ada")
    other = Users(users.path)
    other.add("ada", "another password")
    other.add("bob", WORD)
    assert users.right("ada", "another password")
    assert not users.right("ada", WORD)
    assert users.right("bob", WORD)
    assert users.mark("ada") != mark
    assert users.mark("eve") is None


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\nb", "<b>", "x" * 65])
def test_names_are_plain(users: Users, name: str) -> None:
    with pytest.raises(InputError, match="a name has letters, digits"):
        users.add(name, WORD)


@pytest.mark.parametrize("word", ["", "x" * (SHORTEST - 1), "x" * 1025])
def test_passwords_have_a_length(users: Users, word: str) -> None:
    with pytest.raises(InputError, match="a password has 8 to 1024 characters"):
        users.add("bob", word)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="users cannot be read"):
        Users(tmp_path / "nobody").right("ada", WORD)


def test_the_command_line_adds_users(tmp_path: Path) -> None:
    path = tmp_path / "users"
    done = CliRunner().invoke(command, ["--users", str(path), "--add-user", "ada"], input=f"{WORD}\n")
    assert done.exit_code == 0, done.output
    assert Users(path).right("ada", WORD)
    assert WORD not in done.output
    done = CliRunner().invoke(command, ["--add-user", "ada"])
    assert done.exit_code == 2
    assert "--users FILE" in done.output


# ---------------------------------------------------------------- tries


def test_wrong_tries_have_to_wait_longer_and_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("xaikit_app.logins.time.time", lambda: now[0])
    tries, seen = Tries(tmp_path / "tries.db"), []
    for _ in range(8):
        tries.note("ada", "10.0.0.1")
        seen.append(Tries(tmp_path / "tries.db").wait("ada", "10.0.0.1"))
    assert seen == [0, 0, 0, 0, 1, 2, 4, 8]
    assert tries.wait("ada", "10.0.0.2") == 0
    assert tries.wait("bob", "10.0.0.1") == 0
    now[0] += 9
    assert tries.wait("ada", "10.0.0.1") == 0
    tries.note("ada", "10.0.0.1")
    tries.forget("ada", "10.0.0.1")
    assert tries.wait("ada", "10.0.0.1") == 0


def test_many_names_from_one_address_and_one_name_from_many_have_to_wait(tmp_path: Path) -> None:
    tries = Tries(tmp_path / "tries.db")
    for i in range(20):
        tries.note(f"name{i}", "10.0.0.1")
    assert tries.wait("another", "10.0.0.1") > 0
    assert tries.wait("another", "10.0.0.2") == 0
    for i in range(50):
        tries.note("ada", f"10.0.1.{i}")
    assert tries.wait("ada", "10.0.2.1") > 0


def test_old_tries_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("xaikit_app.logins.time.time", lambda: now[0])
    tries = Tries(tmp_path / "tries.db")
    for _ in range(30):
        tries.note("ada", "10.0.0.1")
    assert tries.wait("ada", "10.0.0.1") == 900
    now[0] += 901
    assert tries.wait("ada", "10.0.0.1") == 0


# ---------------------------------------------------------------- the app with users


@pytest.mark.parametrize("path", ROUTES)
def test_every_route_asks_who_one_is(app: Any, path: str) -> None:
    client = app.server.test_client()
    assert client.get(path).status_code == 401
    page = client.get(path, headers=HTML)
    assert page.status_code == 302
    assert page.headers["Location"].startswith("/login?next=")
    assert client.get("/health").json == {"status": "alive"}
    assert client.get("/ready").status_code == 200


def test_nothing_can_be_changed_without_a_login(app: Any) -> None:
    client = app.server.test_client()
    form = client.get("/login", headers=HTML).text
    token = re.search(r'name="token" value="(\w+)"', form)
    assert token is not None
    answer = client.post(CALLBACK, json=choice(app), headers={TOKEN: token[1]})
    assert answer.status_code == 401
    assert answer.json["error"]["title"] == "You are not logged in"


def test_who_logs_in_goes_on_where_the_link_led(app: Any) -> None:
    client = app.server.test_client()
    answer = log_in(client)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/explain?seed=3")
    page = client.get("/explain?seed=3")
    assert page.status_code == 200
    assert "ada" in client.get("/_dash-layout").text
    assert "Log out" in client.get("/_dash-layout").text


def test_logging_in_begins_another_session(app: Any) -> None:
    client = app.server.test_client()
    with client.session_transaction() as before:
        before["id"] = "planted"
    log_in(client)
    with client.session_transaction() as after:
        assert after["id"] != "planted"
        assert after["user"] == "ada"


@pytest.mark.parametrize(("name", "word"), [("ada", "wrong password"), ("bob", WORD), ("", ""), ("ada' OR 1=1", WORD)])
def test_what_is_wrong_is_told_alike(app: Any, name: str, word: str) -> None:
    client = app.server.test_client()
    answer = log_in(client, name, word)
    assert answer.status_code == 401
    assert "The name or the password is not right." in answer.text
    assert client.get("/explain").status_code == 401


def test_after_some_wrong_tries_even_the_right_one_waits(app: Any) -> None:
    client = app.server.test_client()
    for _ in range(5):
        assert log_in(client, word="wrong password").status_code == 401
    answer = log_in(client)
    assert answer.status_code == 429
    assert "Too many tries" in answer.text
    assert int(answer.headers["Retry-After"]) >= 1


def test_logging_out_ends_it_and_no_other_site_can_do_that(app: Any) -> None:
    client = app.server.test_client()
    log_in(client)
    assert client.post("/logout", data={"token": "0" * 64}).status_code == 403
    with client.session_transaction() as known:
        assert known["user"] == "ada"
    token = re.search(r'xaikit-token" content="(\w+)"', client.get("/explain").text)
    assert token is not None
    assert client.post("/logout", data={"token": token[1]}, headers={"Origin": "http://e.example"}).status_code == 403
    assert client.post("/logout", data={"token": token[1]}).headers["Location"] == "/login"
    assert client.get("/explain").status_code == 401


def test_another_password_ends_the_sessions_of_the_old_one(app: Any, users: Users) -> None:
    client = app.server.test_client()
    log_in(client)
    assert client.get("/explain").status_code == 200
    Users(users.path).add("ada", "another password")
    assert client.get("/explain").status_code == 401


def test_scripts_may_send_name_and_password(app: Any) -> None:
    client = app.server.test_client()

    def sent(word: str) -> Any:
        given = b64encode(f"ada:{word}".encode()).decode()
        return client.get("/explain", headers={"Authorization": f"Basic {given}"})

    assert sent(WORD).status_code == 200
    fresh = app.server.test_client()
    assert fresh.get("/explain", headers={"Authorization": "Basic nonsense"}).status_code == 401
    assert "WWW-Authenticate" not in fresh.get("/explain").headers


@pytest.mark.parametrize(
    ("goal", "led"),
    [
        ("/explain?model=x", "/explain?model=x"),
        ("//elsewhere.example/", "/"),
        ("https://elsewhere.example/", "/"),
        ("/\\elsewhere.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("", "/"),
        ("//[", "/"),
        (None, "/"),
    ],
)
def test_a_login_leads_nowhere_else(goal: str | None, led: str) -> None:
    assert local_path(goal, "/") == led


def test_a_login_below_a_path_leads_below_it() -> None:
    assert local_path("/xaikit/explain", "/xaikit/") == "/xaikit/explain"
    assert local_path("/other/explain", "/xaikit/") == "/xaikit/"


# ---------------------------------------------------------------- a proxy that knows who someone is


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    app = made(tmp_path_factory.mktemp("proxied"), auth="proxy", trusted_proxy=("10.1.0.0/16", "unix"))
    yield app
    app.services.close()


@pytest.mark.parametrize(
    ("address", "name", "status"),
    [
        ("10.1.2.3", "ada", 200),
        ("", "ada", 200),
        ("10.1.2.3", "", 401),
        ("10.2.2.3", "ada", 401),
        ("127.0.0.1", "ada", 401),
        ("::1", "ada", 401),
    ],
)
def test_a_name_is_believed_from_the_proxy_alone(proxied: Any, address: str, name: str, status: int) -> None:
    headers = {"X-Remote-User": name, "X-Forwarded-For": "10.1.0.9"}
    client = proxied.server.test_client()
    answer = client.get("/explain", headers=headers, environ_base={"REMOTE_ADDR": address})
    assert answer.status_code == status
    layout = client.get("/_dash-layout", headers=headers, environ_base={"REMOTE_ADDR": address}).text
    assert ("logged in as ada" in layout) == (status == 200)
    assert "Log out" not in layout


def test_another_name_begins_another_session(proxied: Any) -> None:
    client = proxied.server.test_client()
    seen = []
    for name in ("ada", "bob"):
        client.get("/explain", headers={"X-Remote-User": name}, environ_base={"REMOTE_ADDR": "10.1.2.3"})
        with client.session_transaction() as known:
            seen.append(known["id"])
    assert seen[0] != seen[1]


def test_https_before_the_app_is_known_from_the_proxy_alone(proxied: Any) -> None:
    headers = {"X-Remote-User": "ada", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "explain.example"}
    client = proxied.server.test_client()
    answer = client.get("/explain", headers=headers, environ_base={"REMOTE_ADDR": "10.1.2.3"})
    assert "Secure" in answer.headers["Set-Cookie"]
    token = re.search(r'xaikit-token" content="(\w+)"', answer.text)
    assert token is not None
    own = {**headers, TOKEN: token[1], "Origin": "https://explain.example"}
    cookie = answer.headers["Set-Cookie"].split(";")[0]
    sent = {"headers": {**own, "Cookie": cookie}, "environ_base": {"REMOTE_ADDR": "10.1.2.3"}}
    assert proxied.server.test_client(use_cookies=False).post(CALLBACK, json=choice(proxied), **sent).status_code == 200


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"auth": "magic"}, "auth is one of none, basic, proxy, not 'magic'"),
        ({"auth": "basic"}, "auth basic needs a file of users"),
        ({"auth": "proxy"}, "auth proxy needs the address of the proxy"),
        ({"trusted_proxy": ("nginx",)}, "addresses, networks or unix, not 'nginx'"),
        ({"auth": "proxy", "trusted_proxy": ("unix",), "personal": True}, "nobody to log in"),
    ],
)
def test_settings_that_would_let_anybody_in_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        Settings(**given)
