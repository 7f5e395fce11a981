"""The page Reports without a browser: what it offers, studies written down and carried out, files to take along."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

import xaikit as xk
from xaikit import data

pytest.importorskip("dash")
pytest.importorskip("dash_mantine_components")
pytest.importorskip("torch")

from tests.report.test_study_report import METHODS, Writer, result
from xaikit.errors import Cancelled, InputError, ParameterError, UnknownName, UsageError
from xaikit.inputs import target_to_json
from xaikit.jobs import Unit
from xaikit_app import Settings, create_app
from xaikit_app.pages import View, reports
from xaikit_app.services import Services
from xaikit_app.settings import choices
from xaikit_app.state import State
from xaikit_app.studies import Kept, Read, Studies, file_of, made_forms, page_of, read_study
from xaikit_app.targets import target_of
from xaikit_app.work.describe import Description, describe
from xaikit_app.work.reports import StudyMade, carry_out, report_of

pytestmark = pytest.mark.slow
TITLE = "<b>Two</b> letters <script>alert(1)</script>"


def words(component: Any) -> str:
    return json.dumps(component, default=lambda c: c.to_plotly_json(), ensure_ascii=False)


@pytest.fixture(scope="module")
def network() -> Any:
    return xk.zoo.load("xo_cnn", framework="torch")


@pytest.fixture(scope="module")
def described(network: Any) -> Description:
    return describe(network)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    found = Services(Settings(models=("xo_cnn",), cache=tmp_path_factory.mktemp("cache"), personal=True))
    yield found
    found.close()


def _read(kept: Kept) -> Read:
    found = read_study(kept)
    assert found is not None
    return found


def view_of(services: Services, described: Description, **more: str) -> View:
    state = State("reports", "xo_cnn", "torch", more=more)
    return View(state, services.choose(state), described, services)


@pytest.fixture(scope="module")
def made(services: Services, network: Any, described: Description) -> Kept:
    """A study of two letters, carried out, with its report."""
    gallery = services.galleries.of("xo_cnn", described)
    assert gallery.ready.wait(60)
    studies, recipe = Studies(services.settings), services.choices["xo_cnn"].recipes["torch"]
    inputs = {sample.id: sample.value for sample in gallery.shown[:2]}
    asked = {"title": TITLE, "rules": ["status=fail:0.1", "score>0:0"], "seed": 3}
    id, folder = studies.new("local", recipe, inputs, ["saliency", "integrated-gradients"], **asked)
    steps: list[tuple[int, int]] = []
    unit = Unit("xo_cnn", None, parameters={"folder": str(folder), "attempt": "1"}, task="app-study")
    found = carry_out(network, unit, lambda done, total: steps.append((done, total)))
    assert steps == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    assert (found.units, found.failed) == (4, 0)
    assert len(found.broken) == 1
    assert found.broken[0].startswith("score>0:0")
    return studies.find("local", id)


def test_the_form_offers_the_methods_that_serve_and_ticks_two_inputs(
    services: Services, described: Description
) -> None:
    page = words(reports.layout(view_of(services, described)))
    served = {v.method for v in described.methods if v.serves}
    form = json.loads(words(reports._form(view_of(services, described))))["props"]["children"]
    offered = {each["value"] for each in form[1]["props"]["data"]}
    assert [each["label"] for each in form[2]["props"]["data"]][-2:] == ["X", "O"]
    assert offered == served
    assert len(form[1]["props"]["value"]) == 2
    assert words(form[0]).count('"checked": true') == 2
    assert "Make the report" in page


def test_the_present_sample_and_methods_are_taken_over(services: Services, described: Description) -> None:
    state = State("reports", "xo_cnn", "torch", sample="test-7", methods=("lime",))
    form = words(reports._form(View(state, services.choose(state), described, services)))
    ticked = [part for part in form.split('"sample": ') if '"checked": true' in part.split('"sample"')[0]]
    assert '"value": ["lime"]' in form
    assert any(part.startswith('"test-7"') for part in ticked) or '"test-7"' in form.split('"checked": true')[0]


def test_a_model_that_was_given_as_an_object_says_what_to_do(tmp_path: Path, network: Any) -> None:
    found = Services(Settings(models=(network,), cache=tmp_path))
    state = State("reports", network.name)
    view = View(state, found.choose(state), describe(network), found)
    assert "start the app with a name of the zoo or a file" in words(reports._form(view))
    found.close()


def test_what_was_not_chosen_is_told_before_anything_is_written(
    services: Services, described: Description, tmp_path: Path
) -> None:
    studies = Studies(Settings(cache=tmp_path))
    chosen = services.choose(State(model="xo_cnn", framework="torch"))
    for asked, error, told in (
        ({"samples": [], "methods": ["lime"]}, UsageError, "at least one input"),
        ({"samples": ["test-0"], "methods": []}, UsageError, "at least one method"),
        ({"samples": ["test-0"], "methods": ["lime"], "rules": ["status=odd"]}, ParameterError, "rule"),
        ({"samples": [f"test-{i}" for i in range(51)], "methods": ["lime"]}, UsageError, "at most 50"),
        ({"samples": ["own-../../x"], "methods": ["lime"]}, InputError, "not kept here"),
    ):
        with pytest.raises(error, match=told):
            reports.begin(services, studies, chosen, described, asked)
    assert not (tmp_path / "studies").exists()


def test_a_study_shows_its_counts_rules_and_units_and_its_title_as_text(
    services: Services, described: Description, made: Kept
) -> None:
    page = reports.layout(view_of(services, described, study=made.id))
    told = words(page)
    assert json.dumps(TITLE, ensure_ascii=False) in told
    assert "Markdown" not in told
    assert "dangerously" not in told
    assert "4 of 4" in told
    assert '"holds"' in told
    assert '"broken"' in told
    assert told.count("inputs/001-") == 2
    found = _read(made)
    assert found.gate == (("status=fail:0.1", 0, True), ("score>0:0", 4, False))
    assert (found.states["done"], found.at_work, len(found.rows)) == (4, False, 4)


def test_the_report_is_there_in_all_forms(made: Kept) -> None:
    assert set(made_forms(made)) >= {"html", "json"}
    pages, kind = file_of(made, "html") or (b"", "")
    assert kind == "application/zip"
    names = ZipFile(BytesIO(pages)).namelist()
    assert {"report/index.html", "report/style.css", "report/inputs/00001.html"} <= set(names)
    told, kind = file_of(made, "json") or (b"", "")
    assert kind == "application/json"
    assert [each["name"] for each in json.loads(told)["inputs"]] == [r["input"] for r in _read(made).rows[::2]]
    assert file_of(made, "exe") is None


def test_only_the_reports_own_pages_are_found(made: Kept) -> None:
    assert page_of(made, "index.html") == made.report / "index.html"
    assert page_of(made, "inputs/00002.html") == made.report / "inputs" / "00002.html"
    for place in ("../about.json", "../study.toml", "/etc/passwd", "inputs/../index.html", "report.json", "none.html"):
        assert page_of(made, place) is None, place
    (made.report / "link.html").symlink_to(made.folder / "plan.toml")
    assert page_of(made, "link.html") is None
    (made.report / "link.html").unlink()


def test_another_session_does_not_see_a_study(services: Services, made: Kept) -> None:
    studies = Studies(services.settings)
    assert [k.id for k in studies.all("local")] == [made.id]
    assert studies.all("somebody") == []
    for owner, id in (("somebody", made.id), ("local", "0" * 32), ("local", "../studies"), ("local", "")):
        with pytest.raises(InputError, match="not kept here"):
            studies.find(owner, id)


def test_a_study_that_was_cancelled_goes_on_where_it_was(services: Services, network: Any) -> None:
    studies, recipe = Studies(services.settings), services.choices["xo_cnn"].recipes["torch"]
    inputs = {f"draw-{i}": picture for i, picture in enumerate(data.xo(3)[0])}
    id, folder = studies.new("other", recipe, inputs, ["saliency"])

    def stop(done: int, total: int) -> None:
        if done == 2:
            raise Cancelled("the job was cancelled")

    unit = Unit("xo_cnn", None, parameters={"folder": str(folder), "attempt": "1"}, task="app-study")
    with pytest.raises(Cancelled):
        carry_out(network, unit, stop)
    kept = studies.find("other", id)
    assert _read(kept).units == 2
    told = words(reports.detail(services, kept, live=False))
    assert '"Go on"' in told
    assert "There is no report of it yet" in told
    assert carry_out(network, unit, lambda done, total: None) == StudyMade(3, 0, (), ("html", "pdf", "json"))


def test_what_is_explained_goes_into_the_plan(tmp_path: Path) -> None:
    model = xk.zoo.load("seq2seq_dates", framework="torch")
    studies, recipe = Studies(Settings(cache=tmp_path)), choices(Settings(models=("seq2seq_dates",)))["seq2seq_dates"]
    aim = target_of("@2.3", describe(model))
    text = data.draw_dates(1)[0][0]
    id, folder = studies.new("local", recipe.recipes["torch"], {"date": str(text)}, ["saliency"], target=aim)
    unit = Unit("seq2seq_dates", None, parameters={"folder": str(folder), "attempt": "1"}, task="app-study")
    assert carry_out(model, unit, lambda done, total: None).failed == 0
    assert [row["target"] for row in _read(studies.find("local", id)).rows] == [target_to_json(aim)]


def test_rows_and_texts_become_inputs_of_a_plan(tmp_path: Path) -> None:
    studies = Studies(Settings(cache=tmp_path))
    model = xk.zoo.load("credit_mlp", framework="torch")
    recipe = choices(Settings(models=("credit_mlp",)))["credit_mlp"].recipes
    rows = {f"row-{i}": row for i, row in enumerate(model.inputs.background[:2])}
    id, folder = studies.new("local", recipe["torch"], rows, ["saliency"])
    unit = Unit("credit_mlp", None, parameters={"folder": str(folder), "attempt": "1"}, task="app-study")
    assert carry_out(model, unit, lambda done, total: None).units == 2
    found = _read(studies.find("local", id))
    assert [row["input"] for row in found.rows] == ["001-row-0", "002-row-1"]
    assert found.errors == ()
    _, texts = studies.new("local", recipe["torch"], {"a": "one", "b": "two"}, ["saliency"])
    assert sorted(p.read_text() for p in (texts / "inputs").glob("*.txt")) == ["one", "two"]


# ---------------------------------------------------------------- a study of somebody's own


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Two inputs by two methods, one of which failed."""
    writer = Writer(tmp_path / "mine", METHODS[:2], 2)
    for k, name in enumerate(writer.names):
        for method in METHODS[:2]:
            writer.put(name, method, result(method.name, k))
    writer.line(writer.names[1], METHODS[1], state="failed", error="<i>no luck</i>")
    return writer.folder


def test_a_given_study_is_shown_and_its_report_is_written_elsewhere(
    given: Path, tmp_path: Path, described: Description, network: Any
) -> None:
    found = Services(Settings(models=("xo_cnn",), cache=tmp_path / "cache", study=(given,)))
    studies = Studies(found.settings)
    kept = studies.find("anybody", "given-1")
    assert [k.title for k in studies.all("anybody")] == ["mine"]
    told = words(reports.layout(view_of(found, described, study="given-1")))
    assert json.dumps("<i>no luck</i>") in told
    assert "Write the report" in told
    before = sorted(p.name for p in given.rglob("*"))
    parameters = reports._told_again(found, kept)
    unit = Unit("xo_cnn", None, parameters={**parameters, "attempt": "1"}, task="app-study-report")
    assert report_of(network, unit, lambda done, total: None).failed == 1
    assert sorted(p.name for p in given.rglob("*")) == before
    assert "html" in made_forms(kept)
    assert page_of(kept, "index.html") is not None
    found.close()


# ---------------------------------------------------------------- over HTTP


@pytest.fixture(scope="module")
def client(services: Services, made: Kept) -> Iterator[Any]:
    app = create_app(services.settings)
    yield app.server.test_client()
    app.services.close()


def test_pages_are_served_so_that_they_can_do_nothing(client: Any, made: Kept) -> None:
    for place, kind in (("index.html", "text/html"), ("style.css", "text/css"), ("inputs/00001.html", "text/html")):
        answer = client.get(f"/reports/{made.id}/pages/{place}")
        assert (answer.status_code, answer.mimetype) == (200, kind)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "sandbox" in policy
        assert "allow-scripts" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_files_are_served_as_attachments_by_id_and_form_alone(client: Any, made: Kept) -> None:
    answer = client.get(f"/reports/{made.id}/file/json")
    assert answer.headers["Content-Disposition"] == f'attachment; filename="xaikit-report-{made.id[:8]}.json"'
    assert answer.mimetype == "application/json"
    for place in (
        f"{made.id}/file/exe",
        f"{made.id}/pages/report.json",
        f"{'0' * 32}/file/json",
        "given-1/file/json",
    ):
        assert client.get(f"/reports/{place}").status_code == 404, place
    for place in ("file/..%2fabout.json", "pages/..%2f..%2fabout.json", "pages/..%2fstudy.toml"):
        assert b"saliency" not in client.get(f"/reports/{made.id}/{place}").data, place


def test_a_job_of_an_unknown_parameter_is_refused() -> None:
    from xaikit.jobs import tasks

    with pytest.raises(ParameterError, match="has no parameter 'foldr'; did you mean 'folder'"):
        tasks["app-study"].parameters(Unit("xo_cnn", None, parameters={"foldr": "x"}, task="app-study"))
    with pytest.raises(UnknownName):
        tasks["app-studies"]
