"""Sessions: what someone gave is found again by the same session, and by no other."""

import os
import stat
import time
from pathlib import Path
from typing import Any

import flask
import pytest

from xaikit.errors import InputError, ParameterError, UsageError
from xaikit_app import sessions
from xaikit_app.own import Own
from xaikit_app.settings import Settings

GONE = "not kept here any more"


def server(folder: Path, **settings: Any) -> flask.Flask:
    made = flask.Flask("tested")
    sessions.start(made, Settings(cache=folder, **settings))
    made.add_url_rule("/who", view_func=sessions.current)
    return made


@pytest.fixture
def app(tmp_path: Path) -> flask.Flask:
    return server(tmp_path)


def test_a_browser_keeps_its_session_and_two_browsers_have_two(app: flask.Flask) -> None:
    one, two = app.test_client(), app.test_client()
    first = one.get("/who").text
    assert len(first) == 32
    assert one.get("/who").text == first
    assert two.get("/who").text != first


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(app: flask.Flask) -> None:
    said = app.test_client().get("/who").headers["Set-Cookie"]
    assert "HttpOnly" in said
    assert "SameSite=Lax" in said
    assert "Secure" not in said
    assert "Secure" in app.test_client().get("/who", base_url="https://somewhere").headers["Set-Cookie"]


def test_the_cookie_is_sent_once(app: flask.Flask) -> None:
    client = app.test_client()
    client.get("/who")
    assert "Set-Cookie" not in client.get("/who").headers


def test_a_restart_keeps_sessions_and_their_secret_is_private(tmp_path: Path) -> None:
    before, after = server(tmp_path), server(tmp_path)
    client = before.test_client()
    known = client.get("/who").text
    name = before.config["SESSION_COOKIE_NAME"]
    again = after.test_client()
    again.set_cookie(name, client.get_cookie(name).value)  # type: ignore[union-attr]
    assert again.get("/who").text == known
    assert stat.S_IMODE((tmp_path / "secret-key").stat().st_mode) == 0o600


def test_a_cookie_that_was_changed_is_worth_nothing(app: flask.Flask) -> None:
    client = app.test_client()
    known = client.get("/who").text
    name = app.config["SESSION_COOKIE_NAME"]
    value = client.get_cookie(name).value  # type: ignore[union-attr]
    forged = app.test_client()
    forged.set_cookie(name, value[:-2] + ("aa" if value[-2:] != "aa" else "bb"))
    assert forged.get("/who").text != known


def test_apps_on_one_machine_do_not_mix_their_cookies(tmp_path: Path) -> None:
    made = [
        server(tmp_path / "one"),
        server(tmp_path / "two"),
        server(tmp_path / "one", port=8051),
        server(tmp_path / "one", prefix="/xaikit/"),
    ]
    assert len({app.config["SESSION_COOKIE_NAME"] for app in made}) == len(made)


def test_the_app_of_one_person_needs_no_cookie(tmp_path: Path) -> None:
    answer = server(tmp_path, personal=True).test_client().get("/who")
    assert answer.text == sessions.LOCAL == sessions.current()
    assert "Set-Cookie" not in answer.headers


def test_tokens_belong_to_their_session(app: flask.Flask) -> None:
    with app.test_request_context():
        mine = sessions.token()
        assert sessions.proven(mine)
        assert not sessions.proven(None)
        assert not sessions.proven("ü")
    with app.test_request_context():
        assert not sessions.proven(mine)


def test_what_another_session_gave_is_refused_like_what_nobody_gave(app: flask.Flask, tmp_path: Path) -> None:
    own = Own(tmp_path / "own", Settings())
    with app.test_request_context():
        id = own.put("mine")
        assert own.get(id) == "mine"
    said = []
    with app.test_request_context():
        for asked in (id, "own-" + "0" * 32):
            with pytest.raises(InputError, match=GONE) as caught:
                own.get(asked)
            said.append(str(caught.value))
    assert said[0] == said[1]
    with pytest.raises(InputError, match=GONE):
        own.get(id)


def test_what_is_old_is_forgotten(tmp_path: Path) -> None:
    own = Own(tmp_path, Settings(keep_days=1))
    id = own.put("old")
    (path,) = tmp_path.glob("*/own-*.json")
    os.utime(path, (0, time.time() - 86_500))
    with pytest.raises(InputError, match=GONE):
        own.get(id)
    own.put("new")
    assert not path.exists()


def aged(own: Own, value: str, session: str, age: float) -> str:
    id = own.put(value, session)
    os.utime(own.folder / session / f"{id}.json", (0, time.time() - age))
    return id


def test_a_session_keeps_so_much_and_the_oldest_gives_way(tmp_path: Path) -> None:
    own = Own(tmp_path, Settings(max_session_mb=0.001))
    other = aged(own, "x" * 400, "b", 90)
    first, second = aged(own, "x" * 400, "a", 60), aged(own, "y" * 400, "a", 30)
    third = own.put("z" * 400, "a")
    with pytest.raises(InputError, match=GONE):
        own.get(first, "a")
    assert [own.get(i, "a")[0] for i in (second, third)] == ["y", "z"]
    assert own.get(other, "b")
    with pytest.raises(InputError, match=r"0\.0 MiB as it is kept; 0\.001 MiB is the most"):
        own.put("x" * 2000, "a")


def test_all_sessions_together_keep_so_much(tmp_path: Path) -> None:
    own = Own(tmp_path, Settings(max_kept_mb=0.001))
    first = aged(own, "x" * 400, "a", 60)
    second = aged(own, "y" * 400, "b", 30)
    third = own.put("z" * 400, "c")
    with pytest.raises(InputError, match=GONE):
        own.get(first, "a")
    assert (own.get(second, "b")[0], own.get(third, "c")[0]) == ("y", "z")


def test_a_secret_that_cannot_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="secret of the sessions cannot be kept"):
        sessions.kept_secret(tmp_path / "file" / "secret-key")
    (tmp_path / "secret-key").write_text("short")
    with pytest.raises(UsageError, match="holds no secret of at least 32"):
        sessions.kept_secret(tmp_path / "secret-key")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"secret": "short"}, "at least 32 characters"),
        ({"prefix": "xaikit"}, "a slash at both ends"),
        ({"prefix": "/a//b/"}, "a slash at both ends"),
        ({"keep_days": 0}, "keep_days must be above 0"),
        ({"max_session_mb": 0}, "max_session_mb must be positive"),
        ({"max_pixels": -1}, "max_pixels must be positive"),
    ],
)
def test_settings_out_of_range_are_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ParameterError, match=told):
        Settings(**given)


def test_secrets_are_not_shown() -> None:
    assert "s" * 40 not in repr(Settings(secret="s" * 40))
