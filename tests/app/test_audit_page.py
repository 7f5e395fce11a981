"""The page Audit without a browser: records, what is said of them, work on them, letters and files to take along."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

import xaikit as xk
from xaikit import audit

pytest.importorskip("dash")
pytest.importorskip("dash_ag_grid")
pytest.importorskip("dash_mantine_components")
pytest.importorskip("sqlalchemy")
pytest.importorskip("torch")

from tests.audit.server import running
from xaikit.errors import ParameterError, UnknownName, UsageError
from xaikit.jobs import Unit
from xaikit_app import Settings, create_app, records
from xaikit_app.pages import View, _record
from xaikit_app.pages import audit as page
from xaikit_app.services import Services
from xaikit_app.shelf import KEPT, Held, Shelf
from xaikit_app.state import State
from xaikit_app.work.describe import Description, describe
from xaikit_app.work.reports import Recorded, record, replay, verify

pytestmark = pytest.mark.slow
PASSWORD = "zw3rg-nase"
MARKUP = "Ada <b onclick=alert(1)>x</b>"


def words(component: Any) -> str:
    return json.dumps(component, default=lambda c: c.to_plotly_json(), ensure_ascii=False)


def quiet(done: int, total: int) -> None:
    """Take no note of progress."""


@pytest.fixture(scope="module")
def network() -> Any:
    return xk.zoo.load("credit_mlp", framework="torch")


@pytest.fixture(scope="module")
def described(network: Any) -> Description:
    return describe(network)


@pytest.fixture(scope="module")
def filled(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1: a record with its input; 2: one with the hash of it only; 3: a review of the first."""
    path = tmp_path_factory.mktemp("audit") / "given.db"
    row = dict(network.inputs.background[0])
    told: dict[str, Any] = {"db": f"sqlite:///{path}", "source": "credit_mlp", "author": MARKUP}
    audit.record(network, row, "integrated-gradients", **told, recipient="no. 7", threshold=0.5)
    audit.record(network, row, "saliency", **told, keep_input=False)
    audit.review(told["db"], 1, reviewer="Bob", verdict="questioned", comment="<i>why</i>")
    return path


@pytest.fixture
def db(filled: Path, tmp_path: Path) -> str:
    return f"sqlite:///{copy(filled, tmp_path / 'given.db')}"


@pytest.fixture
def services(db: str, tmp_path: Path) -> Iterator[Services]:
    found = Services(Settings(models=("credit_mlp",), cache=tmp_path / "cache", audit=db, personal=True))
    yield found
    found.close()


def view_of(services: Services, described: Description, **more: str) -> View:
    state = State("audit", "credit_mlp", "torch", more=more)
    return View(state, services.choose(state), described, services)


def unit(task: str, **parameters: Any) -> Unit:
    return Unit("credit_mlp", None, parameters={**parameters, "attempt": "1"}, task=task)


# ---------------------------------------------------------------- the list


def test_records_are_listed_the_newest_first_with_what_happened_to_them(services: Services) -> None:
    given = records.chosen(services.settings, "local", None)
    rows = records.listed(given)
    assert [row["id"] for row in rows] == [2, 1]
    assert [row["input"] for row in rows] == ["hash only", "kept"]
    assert rows[1]["events"] == "review"
    assert rows[1]["author"] == MARKUP
    assert (rows[1]["model"], rows[1]["method"]) == ("credit_mlp", "Integrated gradients")


def test_only_the_newest_records_are_listed_where_there_are_many(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MOST", 1)
    assert [row["id"] for row in records.listed(records.chosen(services.settings, "local", None))] == [2]


def test_the_list_is_a_grid_with_filters_that_shows_text_as_text(services: Services, described: Description) -> None:
    shown = page.layout(view_of(services, described))
    told = words(shown)
    grid = words(page._records(records.chosen(services.settings, "local", None)))
    assert '"floatingFilter": true' in grid
    assert "markdown" not in grid.lower()
    assert '"dangerously_allow_code": false' in grid
    assert json.dumps(MARKUP) in grid
    assert "The database of this app" in told


def test_without_a_database_the_page_says_how_to_have_one_and_keeps_a_file_of_the_session(
    described: Description, tmp_path: Path
) -> None:
    alone = Services(Settings(models=("credit_mlp",), cache=tmp_path))
    told = words(page.layout(view_of(alone, described)))
    assert "xaikit app --audit sqlite:///audit.db" in told
    assert "There is no record yet" in told
    assert not (tmp_path / "audit").exists()
    mine = records.chosen(alone.settings, "one", None)
    other = records.chosen(alone.settings, "two", None)
    assert mine.url != other.url
    assert records.prepared(mine).endswith("/audit/one.db")
    with pytest.raises(UsageError, match="not started with"):
        records.chosen(alone.settings, "one", "given")
    assert "there is no record yet" in words(page.layout(view_of(alone, described, record="1")))
    alone.close()


# ---------------------------------------------------------------- a new record


def test_what_is_filled_in_becomes_a_record(services: Services, described: Description, network: Any) -> None:
    state = State("audit", "credit_mlp", "torch", target="1", seed=5, methods=("lime",))
    told = {"method": "lime", "author": f" {MARKUP} ", "recipient": " ", "involvement": "reviewed", "threshold": 0.6}
    own = records.chosen(services.settings, "local", "own")
    chosen = services.choose(state)
    asked = page.recorded(services, chosen, described, own, {**told, "full": False, "keep": True}, state)
    made = record(network, asked, quiet)
    assert made == Recorded(1, audit.read(own.url, 1).hash)
    kept = audit.read(own.url, 1)
    assert (kept.author, kept.recipient, kept.involvement, kept.threshold) == (MARKUP, None, "reviewed", 0.6)
    assert (kept.origin.method, kept.origin.seed, kept.target_label, kept.source) == ("lime", 5, "good", "credit_mlp")
    assert kept.privacy == "clear"
    again = page.recorded(services, chosen, described, own, {**told, "keep": False}, state)
    assert record(network, again, quiet).number == 2
    assert audit.read(own.url, 2).privacy == "hash"
    with pytest.raises(ParameterError, match="involvement"):
        record(network, page.recorded(services, chosen, described, own, {**told, "involvement": "odd"}, state), quiet)


def test_the_same_work_asked_twice_is_done_twice(services: Services, described: Description) -> None:
    state = State("audit", "credit_mlp", "torch")
    own, chosen = records.chosen(services.settings, "local", "own"), services.choose(state)
    asked = [page.recorded(services, chosen, described, own, {"method": "saliency"}, state) for _ in range(2)]
    assert asked[0].parameters["attempt"] != asked[1].parameters["attempt"]


# ---------------------------------------------------------------- one record


def test_a_record_shows_its_figures_facts_and_events_as_text(services: Services, described: Description) -> None:
    told = words(page.layout(view_of(services, described, record="1")))
    for shown in (MARKUP, "comment <i>why</i>", "no. 7", "Integrated gradients", "completeness gap"):
        assert json.dumps(shown)[1:-1] in told, shown
    assert "Markdown" not in told
    assert '"exhibits"' in told
    without = words(page.layout(view_of(services, described, record="2")))
    assert "The input is not here: only its hash was kept." in without


@pytest.mark.parametrize(("number", "said"), [("9", "unknown audit record"), ("x", "unknown"), ("3", "is an event")])
def test_what_is_no_record_is_said_with_a_way_back(
    services: Services, described: Description, number: str, said: str
) -> None:
    told = words(page.layout(view_of(services, described, record=number)))
    assert said in told
    assert "All records" in told


def test_a_replay_needs_a_model_that_the_app_offers(services: Services, network: Any, db: str, tmp_path: Path) -> None:
    kept = audit.read(db, 1)
    assert _record.replayed_by(services, kept)[0] == "credit_mlp (torch)"
    other = Services(Settings(models=("xo_cnn",), cache=tmp_path / "other"))
    with pytest.raises(UsageError, match="start it with -m credit_mlp"):
        _record.replayed_by(other, kept)
    other.close()


def test_replays_tell_their_verdicts(network: Any, db: str) -> None:
    same = replay(network, unit("app-replay", db=db, record=1), quiet)
    assert (same.verdict, same.reason) == ("equal", "")
    assert max(same.differences.values()) <= 1e-6
    assert "Equal" in words(page.replayed(same))
    assert replay(network, unit("app-replay", db=db, record=2), quiet).verdict == "impossible"
    other = replay(xk.zoo.load("xo_cnn", framework="torch"), unit("app-replay", db=db, record=1), quiet)
    assert other.verdict == "refused"
    assert "another model" in words(page.replayed(other))


def test_a_verification_shows_the_head_and_the_first_fault(network: Any, db: str) -> None:
    whole = verify(network, unit("app-verify", db=db, head=""), quiet)
    assert (whole.entries, whole.records, whole.fault, whole.guarded) == (3, 2, "", True)
    shown = words(page.verified(whole))
    assert whole.head in shown
    assert "The chain holds" in shown
    noted = verify(network, unit("app-verify", db=db, head=audit.read(db, 2).hash), quiet)
    assert noted.noted == 2
    with closing(sqlite3.connect(db.removeprefix("sqlite:///"))) as raw:
        for (trigger,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {trigger}")
        raw.execute("UPDATE audit_records SET author = 'Eve' WHERE id = 2")
        raw.commit()
    broken = verify(network, unit("app-verify", db=db, head=""), quiet)
    assert (broken.entry, broken.kind, broken.entries) == (2, "changed", 1)
    assert "The chain is broken" in words(page.verified(broken))


def test_unknown_parameters_of_the_work_are_refused(network: Any) -> None:
    from xaikit.jobs import tasks

    with pytest.raises(ParameterError, match="app-verify has no parameter 'hed'; did you mean 'head'"):
        tasks["app-verify"].parameters(unit("app-verify", hed="x"))
    with pytest.raises(UnknownName):
        tasks["app-reply"]


# ---------------------------------------------------------------- files to take along


def test_a_letter_is_shown_as_text_and_can_be_taken_along(db: str, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    letter = audit.letter(db, 1, contact="<b>tel.</b> 5", organisation="Bank & Co")
    told = words(_record.shown_letter(letter, shelf))
    assert "<b>tel.</b> 5" in told
    assert json.dumps(letter.title, ensure_ascii=False) in told
    assert [s.text for part in letter.sections for s in part.items if json.dumps(s.text)[1:-1] not in told] == []
    tokens = [part.partition('"')[0] for part in told.split("/audit/file/")[1:]]
    found = [shelf.get("local", token) for token in tokens]
    assert {held.name for held in found if held} >= {"letter-1-en.txt", "letter-1-en.html"}
    assert found[0] is not None
    assert found[0].data == letter.text.encode()


def test_a_file_is_given_to_its_session_alone_and_the_oldest_give_way(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    token = shelf.put("one", Held("a.txt", "text/plain", b"a"))
    assert shelf.get("one", token) == Held("a.txt", "text/plain", b"a")
    assert shelf.get("two", token) is None
    for wrong in ("", "../shelf/" + token, token[:-1], token.upper() + "0", "0" * 32):
        assert shelf.get("one", wrong) is None, wrong
    for _ in range(KEPT):
        shelf.put("one", Held("b.txt", "text/plain", b"b"))
    assert shelf.get("one", token) is None
    assert len(list((tmp_path / "shelf").iterdir())) == 2 * KEPT


def test_a_bundle_is_made_and_holds(db: str, tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    told = words(_record._bundled(records.Database("given", db, ""), 1, shelf))
    held = shelf.get("local", told.split("/audit/file/")[1].partition('"')[0])
    assert held is not None
    (tmp_path / held.name).write_bytes(held.data)
    checked = audit.check_bundle(tmp_path / held.name)
    assert (checked["ok"], checked["records"]) == (True, [1])
    assert checked["seal"] in told


def test_files_are_served_as_attachments_by_token_alone(services: Services) -> None:
    app = create_app(services.settings)
    client = app.server.test_client()
    token = Shelf(services.settings.folder / "shelf").put("local", Held("letter-1-en.html", "text/html", b"<b>x</b>"))
    answer = client.get(f"/audit/file/{token}")
    assert (answer.status_code, answer.mimetype, answer.data) == (200, "text/html", b"<b>x</b>")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="letter-1-en.html"'
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert client.get(f"/audit/file/{'0' * 32}").status_code == 404
    app.services.close()


# ---------------------------------------------------------------- a database with a password


@pytest.fixture(scope="module")
def secured() -> Iterator[str]:
    """The URL of a real database on a server, with a password."""
    pytest.importorskip("psycopg")
    with running() as server:
        if isinstance(server, str):
            pytest.skip(server)
        server.create("app")
        yield server.url("app").replace("audit@", f"audit:{PASSWORD}@", 1)


def test_a_password_stands_in_no_job_and_on_no_page(
    secured: str, described: Description, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    services = Services(Settings(models=("credit_mlp",), cache=tmp_path, audit=secured, personal=True))
    state, given = State("audit", "credit_mlp", "torch"), records.chosen(services.settings, "local", "given")
    chosen = services.choose(state)
    try:
        unit = page.recorded(services, chosen, described, given, {"method": "saliency", "keep": True}, state)
        job = services.submit(unit, owner="local")
        kept = b"".join(path.read_bytes() for path in (tmp_path / "jobs.db.units").iterdir())
        assert unit.parameters["db"].encode() in kept
        assert job.result(120).number == 1
        assert audit.read(secured, 1).source == "credit_mlp"
        told = {"db": given.name, "record": 1, "attempt": "1"}
        again = services.submit(Unit(chosen.key, None, parameters=told, task="app-replay"), owner="local")
        assert again.result(120).verdict == "equal"
        seen = words(page.layout(view_of(services, described, record="1"))) + words(
            page.layout(view_of(services, described))
        )
    finally:
        services.close()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert PASSWORD.encode() not in kept + written
    assert PASSWORD not in seen + caplog.text


def test_a_worker_that_was_not_told_the_password_says_so(network: Any) -> None:
    with pytest.raises(UsageError, match=r"not told the password of postgresql://u:\*\*\*@h/d: .*XAIKIT_APP_AUDIT"):
        verify(network, unit("app-verify", db="postgresql://u:***@h/d", head=""), quiet)
