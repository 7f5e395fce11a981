"""`xaikit study`: paths on stdout, progress on stderr, exit codes, and errors that say what to do."""

import json
from pathlib import Path

import pytest

from xaikit.cli import _study

pytestmark = pytest.mark.slow

pytest.importorskip("torch")


@pytest.fixture
def written(run, digits, tmp_path) -> Path:
    """A plan of two methods for three pictures."""
    path = tmp_path / "plan.toml"
    asked = ("--model", "mnist_cnn", "--framework", "torch", "--inputs", f"{digits}/*.png")
    code, out, err = run("study", "init", *asked, "--methods", "saliency,grad-cam", "-t", "3", "-o", path)
    assert (code, out, err) == (0, f"{path}\n", "")
    return path


def test_a_first_plan_can_be_run_and_teaches(run, written, tmp_path) -> None:
    text = written.read_text()
    assert "# faithfulness = true" in text
    assert text.count("[[methods]]\n") == 2
    code, _, err = run("study", "init", "--model", "m", "--inputs", "x", "--methods", "lime", "-o", written)
    assert (code, "is there already: --force replaces it" in err) == (2, True)
    code, out, err = run("study", "run", written, "-o", tmp_path / "out")
    assert (code, out) == (0, f"{tmp_path / 'out'}\n")
    assert "6 done, 0 failed, 0 were there" in err


def test_a_plan_in_another_folder_names_the_same_files(run, digits, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ("--model", "mnist_cnn", "--methods", "saliency", "--framework", "torch")
    code, _, _ = run("study", "init", *asked, "--inputs", "digits/*.png", "-o", "plans/plan.toml")
    assert code == 0
    assert 'inputs = "../digits/*.png"' in Path("plans/plan.toml").read_text()
    code, out, _ = run("study", "validate", "plans/plan.toml", "--json")
    assert (code, json.loads(out)["inputs"]) == (0, 3)


def test_wrong_parts_of_a_first_plan_are_told_before_it_is_written(run, tmp_path) -> None:
    path = tmp_path / "plan.toml"
    for methods, more, said in (
        ("lmie", (), "did you mean 'lime'"),
        ("lime", ("-p", "lime.smaples=3"), "did you mean 'samples'"),
        (",", (), "names no method"),
    ):
        code, out, err = run("study", "init", "--model", "m", "--inputs", "x", "--methods", methods, *more, "-o", path)
        assert (code, out, said in err, err.count("\n")) == (2, "", True, 1), err
    assert not path.exists()


def test_validate_tells_units_and_time(run, written, digits) -> None:
    code, out, err = run("study", "validate", written, "--json", "--workers", "2")
    data = json.loads(out)
    assert (code, err, data["ok"], data["inputs"], data["units"], data["checked"]) == (0, "", True, 3, 6, 3)
    assert set(data["seconds_per_unit"]) == {"saliency", "grad-cam"}
    expected = data["load_seconds"] * 2 + 3 * sum(data["seconds_per_unit"].values()) / 2
    assert data["estimated_seconds"] == pytest.approx(expected, abs=0.1)
    code, out, _ = run("study", "validate", written)
    assert code == 0
    assert "units      6" in out
    (digits / "1.png").write_bytes(b"no picture")
    code, out, _ = run("study", "validate", written)
    assert (code, "unreadable 1:" in out) == (3, True)


def test_validate_tells_what_will_not_do(run, written, digits, tmp_path) -> None:
    plan = tmp_path / "other.toml"
    plan.write_text(written.read_text().replace('"grad-cam"\ntarget = 3', '"rise"\ntarget = "ten"'))
    code, _, err = run("study", "validate", plan)
    assert (code, "rise of" in err, "ten" in err) == (2, True, True)
    for i in range(3):
        (digits / f"{i}.png").write_bytes(b"no picture")
    code, _, err = run("study", "validate", written)
    assert (code, "none of the inputs" in err) == (5, True)
    plan.write_text(written.read_text().replace("mnist_cnn", "mnist_cn"))
    code, _, err = run("study", "validate", plan)
    assert (code, "did you mean 'mnist_cnn'" in err) == (2, True)
    plan.write_text(written.read_text().replace('"mnist_cnn"', '"none.keras"'))
    assert run("study", "validate", plan)[0] == 5


def test_a_wrong_plan_has_its_line(run, written, tmp_path) -> None:
    text = written.read_text().replace('name = "grad-cam"', 'nmae = "grad-cam"')
    written.write_text(text)
    line = text[: text.index("nmae")].count("\n") + 1
    for command in ("validate", "run"):
        code, out, err = run("study", command, written, *(["-o", tmp_path / "out"] if command == "run" else []))
        assert (code, out) == (2, "")
        assert err == f"xaikit: {written}:{line}: methods[1].nmae: unknown field 'nmae'; did you mean 'name'?\n"


def test_exit_codes_of_a_run(run, written, digits, tmp_path) -> None:
    out = tmp_path / "out"
    (digits / "1.png").write_bytes(b"no picture")
    code, said, err = run("study", "run", written, "-o", out, "--json")
    data = json.loads(said)
    assert (code, data["units"], data["done"], data["failed"]) == (3, 6, 4, 2)
    assert "4 done, 2 failed" in err
    code, said, err = run("study", "run", written, "-o", out)
    assert (code, said, "--resume" in err) == (2, "", True)
    gate = ("--fail-on", "state=failed:0.3", "--fail-on", "status=ok:1")
    code, said, err = run("study", "run", written, "-o", out, "--resume", *gate)
    assert (code, said) == (4, f"{out}\n")
    assert "broken: state=failed:0.3: 2 of 6 units (33.3%)" in err
    code, _, err = run("study", "run", written, "-o", out, "--resume", "--fail-on", "status=fial")
    assert (code, "did you mean 'fail'" in err) == (2, True)
    written.write_text(written.read_text().replace("seed = 0", "seed = 7"))
    code, _, err = run("study", "run", written, "-o", out, "--resume")
    assert (code, "belongs to another plan: seed is 7 and not 0" in err) == (2, True)


def test_no_input_and_no_plan_are_told(run, written, digits, tmp_path) -> None:
    for picture in digits.iterdir():
        picture.unlink()
    code, _, err = run("study", "run", written, "-o", tmp_path / "out")
    assert (code, "no file is like" in err) == (5, True)
    assert run("study", "run", tmp_path / "none.toml", "-o", tmp_path / "out")[0] == 5


def test_merge_and_diff(run, written, digits, tmp_path) -> None:
    parts = []
    for i, name in enumerate(("0", "1")):
        plan = tmp_path / f"plan-{name}.toml"
        plan.write_text(written.read_text().replace("/*.png", f"/{name}.png"))
        parts.append(tmp_path / f"part-{i}")
        assert run("study", "run", plan, "-o", parts[-1])[0] == 0
    code, out, _ = run("study", "merge", *parts, "-o", tmp_path / "whole")
    assert (code, out) == (0, f"{tmp_path / 'whole'}\n")
    code, out, _ = run("study", "diff", tmp_path / "whole", parts[0], "--json")
    data = json.loads(out)
    assert (code, data["compared"], data["only_first"]) == (0, 2, 2)
    assert [m["largest_difference"] for m in data["methods"]] == [0, 0]
    code, out, _ = run("study", "diff", tmp_path / "whole", parts[0])
    assert code == 0
    assert "grad-cam" in out
    assert f"2 units are only in {tmp_path / 'whole'}" in out.replace("\n", "")


def test_a_study_at_a_url_is_run_compared_and_brought_home(run, written, tmp_path) -> None:
    pytest.importorskip("fsspec")
    url = f"memory://{tmp_path.name}/out"
    code, out, err = run("study", "run", written, "-o", url)
    assert (code, out, "6 done" in err) == (0, f"{url}\n", True)
    code, _, err = run("study", "run", written, "-o", url)
    assert (code, f"{url} holds results of this plan already" in err) == (2, True)
    code, out, _ = run("study", "merge", url, "-o", tmp_path / "home")
    assert (code, out) == (0, f"{tmp_path / 'home'}\n")
    code, out, _ = run("study", "diff", url, tmp_path / "home", "--json")
    assert (code, json.loads(out)["compared"]) == (0, 6)
    code, out, _ = run("study", "run", written, "-o", f"file://{tmp_path}/home", "--resume")
    assert (code, out) == (0, f"{tmp_path / 'home'}\n")


def test_what_does_not_go_together_with_a_scheduler_is_told(run, written, tmp_path) -> None:
    pytest.importorskip("distributed")
    to = ("-o", tmp_path / "out", "--scheduler")
    for more, said in (
        (("tcp://127.0.0.1:1", "--workers", 2), "leave --workers and --threads out"),
        (("127.0.0.1",), "has an address such as tcp://"),
    ):
        code, out, err = run("study", "run", written, *to, *more)
        assert (code, out, said in err, err.count("\n")) == (2, "", True, 1), err


def test_lines_of_progress_come_now_and_then(monkeypatch, capsys) -> None:
    """After twelve seconds 5 of 20 units took 3 s each: 15 are left, or 45 s."""
    from xaikit.study import Counts

    clock = iter([100.0, 100.0, 103.0, 106.0, 109.0, 112.0])
    monkeypatch.setattr(_study.time, "monotonic", lambda: next(clock))
    lines = _study._Lines()
    for done in range(1, 6):
        lines(Counts(20, done))
    assert capsys.readouterr().err == "xaikit: 5 of 20 units, 0 failed, about 45 s left\n"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.04, "0.0 s"), (9, "9.0 s"), (59, "59 s"), (120, "2 min"), (9000, "2.5 h")]
)
def test_times_are_told_as_people_do(seconds, said) -> None:
    assert _study.lasting(seconds) == said
