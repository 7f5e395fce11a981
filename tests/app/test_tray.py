"""The tray, the words for where work stands, letters of pages, and compressed files, without a browser."""

import gzip
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("dash")

import xaikit as xk
from xaikit.errors import UnknownName
from xaikit.inputs import Classes, Image
from xaikit.jobs import Unit
from xaikit_app import Settings, create_app, keys, tray, ui
from xaikit_app.pages import GROUPS, group_of, pages
from xaikit_app.tray import Line, Note


@dataclass
class Standing:
    """A job as the words need it."""

    status: str
    place: int | None = None
    progress: tuple[int, int] | None = None
    left: float | None = None
    quiet: float | None = None
    seconds: float | None = None
    error: str | None = None


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (Standing("waiting", place=3), "waits for its turn, number 3"),
        (Standing("waiting"), "waits for its turn"),
        (Standing("running"), "running"),
        (Standing("running", progress=(2, 5), left=12.2), "running, 40 %, about 12 s left"),
        (Standing("running", progress=(2, 5), left=3700), "running, 40 %, about 1 h 2 min left"),
        (Standing("running", progress=(2, 5), left=9, quiet=90), "running, 40 %, no step for 2 min"),
        (Standing("running", progress=(1, 1)), "running"),
    ],
)
def test_where_work_stands_in_words(job: Standing, words: str) -> None:
    assert ui.standing(job) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (59.4, "59 s"), (59.6, "1 min"), (3599, "1 h"), (4500, "1 h 15 min")],
)
def test_a_time_that_is_roughly_known(seconds: float, words: str) -> None:
    assert ui.about(seconds) == words


def line(job: Standing | None, ago: float = 60.0) -> Line:
    return Line(Note("1", "LIME", "xo_cnn (torch)", "/explain?model=xo_cnn", time.time() - ago), job)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("job", "ago", "listed"),
    [
        (Standing("running"), 60, True),
        (Standing("running"), 0, False),
        (Standing("done", seconds=0.2), 60, False),
        (Standing("done", seconds=20.0), 60, True),
        (Standing("failed", error="no"), 0, True),
        (Standing("cancelled"), 60, False),
        (None, 0, True),
    ],
)
def test_the_tray_lists_what_is_worth_a_line(job: Standing | None, ago: float, listed: bool) -> None:
    assert line(job, ago).listed is listed


def test_the_tray_is_summed_up() -> None:
    found = [line(Standing("running")), line(Standing("waiting")), line(Standing("waiting")), line(None)]
    assert tray.said(found) == "1 at work, 2 in the queue, 1 lost"


def test_only_what_has_ended_since_is_news() -> None:
    failed = line(Standing("failed", error="no"))
    assert tray.news({"1": "running"}, [failed]) == "LIME has failed."
    assert tray.news({"1": "failed"}, [failed]) == tray.news({}, [failed]) == ""


def test_a_job_that_failed_says_why_and_leads_back() -> None:
    shown = str(tray.row(line(Standing("failed", error="it had no data"))))
    assert "it had no data" in shown
    assert "Try again" in shown
    assert "data-copy" in shown
    assert "href='/explain?model=xo_cnn'" in shown


def test_work_is_named_for_people() -> None:
    assert tray.named(Unit("m", None, "grad-cam")) == "Grad-CAM"
    assert tray.named(Unit("m", None, task="describe")) == "Loading the model"
    assert tray.named(Unit("m", None, task="app-thing-of-ours")) == "Thing of ours"


# ---------------------------------------------------------------- with an app


def slow(x: Any) -> Any:
    time.sleep(0.05)
    return np.stack([x.mean((1, 2, 3)), 1 - x.mean((1, 2, 3))], 1)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Any]:
    model = xk.wrap(slow, inputs=Image(8, 8, 1), outputs=Classes(("a", "b")), name="slow")
    app = create_app(Settings(models=(model,), cache=tmp_path))
    yield app
    app.services.close()


def heavy(seed: int = 0) -> Unit:
    return Unit("slow", np.full((8, 8, 1), 90, np.uint8), "rise", {"samples": 5000}, 0, seed)


def test_the_tray_has_the_work_of_its_own_session_alone(app: Any) -> None:
    services = app.services
    with app.server.test_request_context("/", headers={"Referer": "http://localhost/explain?model=slow"}):
        job = services.submit(heavy(), "Explaining")
        owner = tray.sessions.current()
        (found,) = tray.lines(services, owner, {})
    assert (found.note.words, found.note.href, found.note.model) == ("Explaining", "/explain?model=slow", "slow")
    assert found.open
    assert tray.lines(services, "another", {}) == []
    job.cancel()


def test_an_earlier_servers_work_is_told_in_the_words_that_the_browser_kept(app: Any) -> None:
    services = app.services
    with app.server.test_request_context("/"):
        job, owner = services.submit(heavy()), tray.sessions.current()
    services.notes.drop(owner, [job.id])  # as after a restart
    kept = {"jobs": {job.id: "running"}, "notes": {job.id: ["Explaining", "/explain"]}}
    (found,) = tray.lines(services, owner, kept)
    assert (found.note.words, found.note.href) == ("Explaining", "/explain")
    (bare,) = tray.lines(services, owner, {})
    assert (bare.note.words, bare.note.href) == ("RISE", "")
    job.cancel()


def test_a_link_of_another_site_is_no_way_back(app: Any) -> None:
    with app.server.test_request_context("/", headers={"Referer": "http://elsewhere.example//evil"}):
        job = app.services.submit(heavy(1))
        (note,) = app.services.notes.of(tray.sessions.current())
    assert note.href == ""
    job.cancel()


def test_scripts_go_out_compressed_and_answers_do_not(app: Any) -> None:
    client = app.server.test_client()
    plain = client.get("/assets/app.css", buffered=True)
    packed = client.get("/assets/app.css", buffered=True, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data) / 2
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    again = client.get(
        "/assets/app.css", buffered=True, headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]}
    )
    assert again.status_code == 304
    assert "Content-Encoding" not in client.get("/_dash-layout", headers={"Accept-Encoding": "gzip"}).headers


# ---------------------------------------------------------------- navigation


def test_every_page_stands_below_a_heading_and_has_a_letter_of_its_own() -> None:
    found = pages()
    order = [GROUPS.index(group_of(page)) for page in found.values()]
    assert order == sorted(order)
    letters = keys.letters(page.TITLE for page in found.values())
    assert len(set(letters.values())) == len(found)


def test_letters_that_are_taken_give_way() -> None:
    assert keys.letters(["Data", "Drift", "Dr", "D"]) == {"Data": "d", "Drift": "r", "Dr": "a", "D": "b"}


def test_a_group_that_is_none_is_told() -> None:
    class Odd:
        GROUP = "Explian"

    with pytest.raises(UnknownName, match="Explain"):
        group_of(Odd())  # type: ignore[arg-type]
