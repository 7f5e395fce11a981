"""`xaikit report`: paths on stdout, the rest on stderr, exit codes, and errors that say what to do."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.cli.conftest import Run
from xaikit.cli._report import parsed
from xaikit.errors import ParameterError, UnknownName

pytestmark = pytest.mark.slow

pytest.importorskip("torch")


@pytest.fixture
def run(run: Run) -> Run:
    return partial(run, "report")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        Pillow.fromarray(rng.integers(0, 256, (28, 28)).astype(np.uint8)).save(folder / f"{name}.png")
    return folder


def test_a_folder_becomes_a_page_and_a_broken_file_among_it_is_told(run, photos, tmp_path):
    """The exit code tells that something is missing; what was made is there, and made again it is read."""
    (photos / "broken.png").write_bytes(b"no picture")
    out, cache = tmp_path / "out", tmp_path / "cache"
    asked = ("mnist_cnn", photos, "-m", "saliency,lime", "-p", "lime.samples=50", "-t", "3", "--framework", "torch")
    code, said, err = run(*asked, "-o", out, "--cache", cache)
    assert code == 3
    assert Path(said.strip()) == out / "index.html"
    assert "predict of broken" in err
    data = json.loads((out / "report.json").read_text())
    assert [s["title"] for s in data["samples"]] == ["a", "b"]
    assert {r["target"] for s in data["samples"] for r in s["results"]} == {3}
    assert data["methods"][1]["parameters"]["samples"] == 50
    assert data["command"].startswith(f"xaikit report mnist_cnn {photos} --methods saliency,lime")
    (photos / "broken.png").unlink()
    code, said, err = run(*asked, "-o", out, "--cache", cache, "--json")
    told = json.loads(said)
    assert code == 0
    assert (told["inputs"], told["explanations"], told["failed"]) == (2, 4, [])
    assert told["page"] == str(out / "index.html")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("mnist_cnn", "x.png", "-m", "limee"), 2, "did you mean 'lime'"),
        (("mnist_cnn", "x.png", "-m", "lime", "-p", "samples=3"), 2, "METHOD.NAME=VALUE"),
        (("mnist_cnn", "x.png", "-m", "lime", "-p", "rise.samples=3"), 2, "was not asked for"),
        (("mnist_cnn", "x.png", "-m", "lime", "-p", "lime.sample=3"), 2, "samples"),
        (("mnist_cnn", "x.png", "-m", ","), 2, "at least one"),
        (("mnist_cnnn", "x.png", "-m", "lime"), 2, "did you mean 'mnist_cnn'"),
        (("none.toml", "x.png", "-m", "lime"), 5, "there is no model file"),
        (("mnist_cnn", "x.png", "-m", "lime"), 5, "there is no file x.png"),
        (("mnist_cnn", "empty", "-m", "lime"), 5, "holds no file to explain"),
        (("mnist_cnn", "x.png", "-m", "lime", "-o", "file"), 2, "is a file"),
        (("mnist_cnn", "x.png", "-m", "lime", "-o", "mine"), 2, "not written by xaikit report"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(run, tmp_path, monkeypatch, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file").touch()
    Path("mine").mkdir()
    Path("mine/index.html").write_text("mine")
    options = () if "-o" in arguments else ("-o", "out")
    left, out, err = run(*arguments, *options, "--cache", tmp_path / "cache")
    assert left == code
    assert words in err.splitlines()[-1]
    assert out == ""
    assert not Path("out").exists()
    assert Path("mine/index.html").read_text() == "mine"


def test_help_teaches_with_examples(run):
    code, out, _ = run("--help")
    assert code == 0
    assert out.count("xaikit report ") >= 2
    assert "--methods" in out


def test_parameters_are_given_by_method():
    assert parsed(["lime.samples=5", "lime.kernel_width=0.5"], ["lime", "occlusion"]) == {
        "lime": {"samples": 5, "kernel_width": 0.5}
    }
    with pytest.raises(ParameterError, match="NAME=VALUE"):
        parsed(["lime.samples"], ["lime"])
    with pytest.raises(UnknownName, match="unknown method"):
        parsed([], ["nothing"])
