"""The factory, the services behind it, and how it is served."""

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import flask
import numpy as np
import pytest

import xaikit as xk
from xaikit.errors import InputError, TargetError, UnknownName, UsageError
from xaikit.inputs import At, Region
from xaikit.jobs import Unit
from xaikit_app import Settings, create_app, serve, show, taking
from xaikit_app import targets as target_list
from xaikit_app.own import Own
from xaikit_app.pages import pages
from xaikit_app.pages._giving import centred
from xaikit_app.pages.explain import _maps
from xaikit_app.services import Services
from xaikit_app.serving import exposed
from xaikit_app.showing import Explained
from xaikit_app.state import State
from xaikit_app.work.describe import Description, describe


def add(x: Any) -> Any:
    return np.asarray(x).reshape(len(x), -1)[:, :2]


def model(name: str = "adder", **specs: Any) -> Any:
    return xk.wrap(
        add, **{"inputs": xk.Image(6, 6, 1, scale=1.0), "outputs": xk.Values(["a", "b"]), **specs}, name=name
    )


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Any]:
    made = create_app(Settings(models=(model(),), cache=tmp_path))
    yield made
    made.services.close()


def test_apps_share_nothing(app: Any, tmp_path: Path) -> None:
    other = create_app(Settings(models=(model("other"),), cache=tmp_path / "other"))
    try:
        assert list(app.services.choices) == ["adder"]
        assert list(other.services.choices) == ["other"]
        app.services.own.put("mine")
        assert list((tmp_path / "other").glob("own/*")) == []
    finally:
        other.services.close()


def test_everything_comes_from_this_server(app: Any) -> None:
    client = app.server.test_client()
    page = client.get("/explain?model=adder")
    assert page.status_code == 200
    text = page.get_data(as_text=True)
    assert "https://" not in text
    assert 'src="//' not in text
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert client.get("/health").status_code == 200


def test_a_body_over_the_limit_is_not_read(tmp_path: Path) -> None:
    made = create_app(Settings(models=(model(),), cache=tmp_path, max_upload_mb=0.5))
    answer = made.server.test_client().post(
        "/_dash-update-component", data=b"x" * 3 * 2**20, content_type="application/json"
    )
    assert answer.status_code == 413
    made.services.close()


def test_pages_say_what_they_are() -> None:
    found = pages()
    assert "explain" in found
    for path, page in found.items():
        assert path == page.PATH
        assert page.TITLE
        assert page.ICON
        assert all(callable(f) for f in (page.lacks, page.layout, page.register))


def described(services: Services, state: State) -> Description:
    known = services.description(services.choose(state))
    if not isinstance(known, Description):
        known = known.result(30)
    assert isinstance(known, Description)
    return known


def test_a_model_object_is_described_and_explained_in_this_process(app: Any) -> None:
    services = app.services
    known = described(services, State())
    assert (known.name, known.kind) == ("adder", "Image")
    x = np.arange(36.0).reshape(6, 6, 1)
    job = services.submit(Unit("adder", x, "occlusion", {"window": 2, "baseline": 0.0}, target=1))
    result = job.result(30)
    assert result.target == (1,)
    assert result.values[0, 0, 1] == 1.0
    assert result.values[0, 5, 5] == 0
    assert services.job(job.id) is job


def test_a_job_of_this_process_is_found_there_where_others_have_jobs_too(tmp_path: Path) -> None:
    made = create_app(Settings(models=(model(), "xo_cnn"), cache=tmp_path))
    try:
        job = made.services.submit(Unit("adder", np.zeros((6, 6, 1)), task="predict"), owner="someone")
        assert job.result(30) is not None
        assert made.services.job(job.id, "someone").result(1) is not None
        assert [j.id for j in made.services.jobs("someone")] == [job.id]
    finally:
        made.services.close()


def test_what_one_session_asked_for_is_not_anothers(tmp_path: Path) -> None:
    made = create_app(Settings(models=(model(),), cache=tmp_path, personal=False))
    try:
        with made.server.test_request_context("/"):
            job = made.services.submit(Unit("adder", np.zeros((6, 6, 1)), "occlusion", {"window": 2}, target=1))
            address = "0" * 64  # the model is a function, whose results are not kept by themselves
            made.services.local.store.put(address, job.result(30))
            assert made.services.job(job.id) is job
            link = taking.link(address, "numbers.csv")
            session = dict(flask.session)
        with made.server.test_request_context("/"):
            assert made.services.found(job.id) is None
        mine, other = made.server.test_client(), made.server.test_client()
        with mine.session_transaction() as kept:
            kept.update(session)
        assert mine.get(link).status_code == 200
        assert mine.get(link.partition("?")[0]).status_code == 404
        assert other.get(link).status_code == 404
    finally:
        made.services.close()


def test_unknown_models_and_frameworks(app: Any) -> None:
    with pytest.raises(UnknownName, match="did you mean 'adder'"):
        app.services.choose(State(model="addr"))
    with pytest.raises(UnknownName, match="unknown framework 'jax'"):
        app.services.choose(State(framework="jax"))
    with pytest.raises(UnknownName, match="unknown job"):
        app.services.job("nobody")


@pytest.mark.parametrize("value", [np.arange(4, dtype=np.uint8), np.array([[0.5]]), "words", {"age": 3, "sex": "f"}])
def test_what_people_give_is_found_again(tmp_path: Path, value: Any) -> None:
    own = Own(tmp_path, Settings())
    found = Own(tmp_path, Settings()).get(own.put(value))
    if isinstance(value, np.ndarray):
        np.testing.assert_array_equal(found, value)
        assert found.dtype == value.dtype
    else:
        assert found == value


@pytest.mark.parametrize("id", ["own-" + "0" * 32, "own-x/../../secret", "own-", "test-1"])
def test_what_nobody_gave_is_not_found(tmp_path: Path, id: str) -> None:
    (tmp_path / "secret.json").write_text('{"value": "secret"}')
    (tmp_path / "own" / "own-x").mkdir(parents=True)
    with pytest.raises(InputError, match="not kept here any more"):
        Own(tmp_path / "own", Settings()).get(id)


def test_targets_as_short_texts() -> None:
    values = describe(model())
    assert target_list.targets(values) == [{"value": "0", "label": "a"}, {"value": "1", "label": "b"}]
    assert (target_list.default(values), target_list.target_of("1", values)) == ("0", 1)
    classes = replace(values, outputs=xk.Classes(["x", "o"]))
    assert (target_list.default(classes), target_list.target_of(None, classes)) == (None, None)
    both = replace(values, outputs={"left": xk.Values(["l"]), "right": xk.Classes(["c", "d"])})
    assert target_list.target_of("right.1", both) == At(output="right", index=1)
    masks = replace(values, outputs=xk.Masks(["ground", "thing"]))
    region = target_list.target_of("all-1", masks)
    assert isinstance(region, Region)
    assert (region.label, region.box) == (1, (0, 0, 6, 6))
    with pytest.raises(TargetError, match="no target '9'"):
        target_list.target_of("9", values)


def test_a_drawing_is_centred_by_its_mass() -> None:
    drawn = np.zeros((112, 112), np.uint8)
    drawn[4:64, 8:20] = 255
    small = centred(drawn, 28).astype(float)
    rows, columns = np.indices(small.shape)
    # Whole pixels: the middle is met to half of one.
    assert abs((small * rows).sum() / small.sum() - 13.5) <= 0.5
    assert abs((small * columns).sum() / small.sum() - 13.5) <= 0.5
    assert np.flatnonzero(small.any(1)).size == 20


def test_showing_serves_from_this_process(tmp_path: Path) -> None:
    shown = show(model(), cache=tmp_path)
    try:
        with urllib.request.urlopen(f"{shown.url}health", timeout=20) as answer:
            assert answer.status == 200
        page = shown._repr_html_()
        assert f'<iframe src="{shown.url}"' in page
        assert f'href="{shown.url}"' in page
        taken = Settings(models=(model(),), port=int(shown.url.rstrip("/").rpartition(":")[2]), cache=tmp_path)
        with pytest.raises(UsageError, match=r"cannot listen on 127\.0\.0\.1"):
            serve(taken)
    finally:
        shown.close()


@pytest.mark.parametrize(
    ("host", "told"), [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True)]
)
def test_an_open_address_is_warned_of(host: str, told: bool) -> None:
    assert (exposed(host) is not None) == told
    assert (exposed(host, "basic") is not None) == told


def test_an_open_address_without_a_login_is_warned_of_loudly() -> None:
    assert str(exposed("0.0.0.0")).startswith("WARNING: 0.0.0.0 can be reached from other machines")
    assert "let people log in" in str(exposed("0.0.0.0"))
    assert "put https before it" in str(exposed("0.0.0.0", "proxy"))


def test_the_core_finds_the_app_without_importing_it() -> None:
    program = "import sys, xaikit as xk; print(dir(xk.app), 'dash' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "['Settings', 'add_user', 'create_app', 'serve', 'show'] False", done.stderr


def test_the_app_of_the_core_is_this_one() -> None:
    assert (xk.app.Settings, xk.app.create_app, xk.app.show) == (Settings, create_app, show)
    with pytest.raises(AttributeError, match="it has Settings, add_user, create_app, serve, show"):
        xk.app.run  # noqa: B018


def test_without_dash_the_extra_is_named() -> None:
    program = (
        "import sys; sys.modules['dash_mantine_components'] = None\n"
        "import xaikit as xk\n"
        "try: xk.app.show\n"
        "except xk.XaikitError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.startswith("MissingPackage the web app needs dash_mantine_components"), done.stderr
    assert "pip install 'xaikit[app]'" in done.stdout


def test_a_map_that_cannot_be_drawn_leaves_the_others(app: Any) -> None:
    described(app.services, State())
    x = np.arange(36.0).reshape(6, 6, 1)
    good = app.services.submit(Unit("adder", x, "occlusion", target=0)).result(30)
    bad = replace(good, display=["no picture"])
    parts = _maps([Explained("", "occlusion", good, False), Explained("", "lime", bad, False)], True)
    text = str(parts)
    assert text.count("'data-testid': 'attribution'") + text.count("data-testid='attribution'") == 1
    assert "It was calculated, but cannot be drawn" in text
