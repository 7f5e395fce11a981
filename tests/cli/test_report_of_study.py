"""`xaikit report DIR`: the report of a study, and what is told on stdout and stderr about it."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import xaikit as xk
from tests.cli.conftest import Run
from tests.report.test_study_report import METHODS, Writer, result


@pytest.fixture
def run(run: Run) -> Run:
    return partial(run, "report")


@pytest.fixture
def study(tmp_path: Path) -> Writer:
    """Two inputs by two methods."""
    writer = Writer(tmp_path / "study", METHODS[:2], 2)
    for k, name in enumerate(writer.names):
        for method in METHODS[:2]:
            writer.put(name, method, result(method.name, k))
    return writer


def test_a_study_becomes_pages_print_and_json(run: Any, study: Writer, tmp_path: Path) -> None:
    code, out, _ = run(study.folder, "--format", "html,pdf,json")
    assert code == 0
    assert Path(out.strip()) == study.folder / "report" / "index.html"
    assert {"index.html", "report.json", "report.pdf"} <= {p.name for p in (study.folder / "report").iterdir()}
    data = json.loads((study.folder / "report" / "report.json").read_text())
    assert data["command"] == f"xaikit report {study.folder} --format html,pdf,json"
    code, out, _ = run(study.folder, "--format", "json", "-o", tmp_path / "other")
    assert (code, Path(out.strip())) == (0, tmp_path / "other" / "report.json")
    code, out, _ = run(study.folder, "--json")
    told = json.loads(out)
    assert (told["inputs"], told["explanations"], told["failed"], told["state"]) == (2, 4, 0, "complete")


def test_units_without_a_result_are_told_by_the_exit_code(run: Any, study: Writer) -> None:
    study.line(study.names[1], METHODS[1], state="failed", error="no luck")
    code, out, err = run(study.folder)
    assert (code, Path(out.strip()).exists()) == (3, True)
    assert "1 unit without a result" in err
    assert "no luck" in Path(out.strip()).read_text()


def test_what_was_done_for_the_size_is_told(run: Any, study: Writer) -> None:
    code, _, err = run(study.folder, "--max-mb", "0.04")
    assert code == 0
    assert "so that the pages have at most 0.04 MB" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("study", "--format", "htm"), "did you mean 'html'"),
        (("study", "--format", ","), "names no format"),
        (("study", "-m", "lime"), "-m is for inputs that are explained"),
        (("study", "-t", "cat"), "-t is for inputs"),
        (("study", "-o", "study"), "was not written by xaikit report"),
        (("study", "-o", "study/plan.toml"), "is a file"),
        (("empty",), "is no folder of a study"),
        (("mnist_cnn",), "Missing argument 'INPUT...'"),
        (("mnist_cnn", "x.png"), "Missing option '-m'"),
        (("mnist_cnn", "x.png", "-m", "lime", "--format", "pdf"), "a PDF is made of a study"),
    ],
)
def test_errors_are_told_and_leave_nothing(
    run: Any, study: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_a_study_that_was_run_is_reported_as_it_is(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tests.study.conftest import draw
    from xaikit.study import InputsPlan, MethodPlan, Plan

    draw(tmp_path / "digits", 2)
    (tmp_path / "digits" / "broken.png").write_bytes(b"no picture")
    methods = (MethodPlan("saliency"), MethodPlan("grad-cam", ["3", "5"]))
    plan = Plan("mnist_cnn", InputsPlan(("digits",)), methods, "torch", root=str(tmp_path))
    done = xk.study.run(plan, tmp_path / "out")
    code, out, _ = run(tmp_path / "out", "--format", "html,pdf,json")
    assert code == 3
    data = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    assert [m["column"] for m in data["methods"]] == ["Saliency", "Grad-CAM of 3", "Grad-CAM of 5"]
    assert data["study"]["units"] == {"planned": 9, "done": done.counts.done, "failed": done.counts.failed}
    assert [len(each["failed"]) for each in data["inputs"]] == [0, 0, 3]
    page = Path(out.strip()).read_text()
    assert "is not a picture" in page
    assert "Handwritten digits" in page
