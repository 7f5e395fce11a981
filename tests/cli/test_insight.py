"""`xaikit filters`, `activations` and `top-patches`: results and pictures out, paths on stdout."""

import json
from pathlib import Path
from typing import Any

import pytest
from numpy.testing import assert_array_equal
from PIL import Image as Pillow

import xaikit as xk

pytestmark = pytest.mark.slow


def test_filters(run: Any, tmp_path: Path) -> None:
    code, out, _ = run("filters", "mnist_cnn", "conv1", "-o", tmp_path)
    assert (code, Path(out.strip())) == (0, tmp_path / "conv1.filters.json")
    assert_array_equal(xk.load(out.strip()).values, xk.filters(xk.zoo.load("mnist_cnn"), "conv1").values)
    with Pillow.open(tmp_path / "conv1.filters.png") as picture:
        assert picture.width > 400


def test_filters_by_activation_as_a_table(run: Any, digits: Path, tmp_path: Path) -> None:
    asked = ("--inputs", digits, "--by", "active", "--table", "-o", tmp_path)
    code, out, _ = run("filters", "mnist_cnn", "conv1", *asked, "--json")
    rows = json.loads(out)
    assert (code, len(rows)) == (0, 32)
    assert [r["active"] for r in rows] == sorted((r["active"] for r in rows), reverse=True)
    assert xk.load(tmp_path / "conv1.filters").by == "active"
    code, out, _ = run("filters", "mnist_cnn", "conv1", *asked)
    assert (code, "most alike" in out, len(out.splitlines())) == (0, True, 32 + 4)


def test_filters_before_and_after_and_by_pattern(run: Any, tmp_path: Path) -> None:
    code, out, _ = run("filters", "mnist_cnn", "conv3", "--before", "mnist_cnn", "-o", tmp_path)
    assert (code, xk.load(out.strip()).by) == (0, "change")
    assert run("filters", "mnist_cnn", "conv3", "--show", "components", "-o", tmp_path / "components")[0] == 0
    code, out, _ = run("filters", "mlp_mnist", "dense1", "--shape", "14,56,1", "-o", tmp_path)
    assert (code, xk.load(out.strip()).values.shape) == (0, (32, 14, 56, 1))


def test_activations_of_two_layers(run: Any, digits: Path, tmp_path: Path) -> None:
    layers = ("-l", "conv1_relu", "-l", "conv2_relu")
    code, out, _ = run(
        "activations", "mnist_cnn", digits / "0.png", digits / "1.png", *layers, "-o", tmp_path, "--json"
    )
    told = json.loads(out)
    assert code == 0
    assert [Path(t["json"]).name for t in told] == ["0.activations.json", "1.activations.json"]
    assert list(xk.load(told[1]["json"])) == ["conv1_relu", "conv2_relu"]
    assert all(Path(t["png"]).exists() for t in told)


def test_patches_of_a_folder_and_of_files_are_the_same(run: Any, digits: Path, tmp_path: Path) -> None:
    asked = ("--layer", "conv2_relu", "--channel", "4", "-k", "2", "-o", tmp_path)
    folder = xk.load(run("top-patches", "mnist_cnn", digits, *asked)[1].strip())
    files = xk.load(run("top-patches", "mnist_cnn", *sorted(digits.iterdir()), *asked)[1].strip())
    assert len(folder) == 2
    assert_array_equal(folder.values, files.values)
    assert_array_equal(folder.samples, files.samples)
    assert (tmp_path / "conv2_relu.4.patches.png").exists()


def test_a_summary_of_a_folder(run: Any, digits: Path, tmp_path: Path) -> None:
    asked = ("--method", "integrated-gradients", "-p", "steps=4", "--target", "7", "-o", tmp_path / "out")
    code, out, _ = run("summary", "mnist_cnn", digits, *asked)
    assert (code, Path(out.strip())) == (0, tmp_path / "out" / "integrated-gradients.summary.json")
    told = xk.load(out.strip())
    files = [str(f) for f in sorted(digits.iterdir())]
    own = xk.summary(xk.zoo.load("mnist_cnn"), files, "integrated-gradients", "7", steps=4)
    assert_array_equal(told.magnitude, own.magnitude)
    assert told.classes == ("7",)
    assert (tmp_path / "out" / "integrated-gradients.summary.png").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["filters", "mnist_cnn", "pool1"], 2, "nearest that have"),
        (["filters", "mnist_cnn", "conv11"], 2, "did you mean"),
        (["filters", "mnist_cnn", "conv1", "--by", "activation"], 2, "needs samples="),
        (["filters", "mnist_cnn", "conv1", "--before", "mlp_mnist"], 2, "unknown layer of mlp_mnist 'conv1'"),
        (["filters", "mlp_mnist", "dense1", "--shape", "28x28"], 2, "whole numbers by commas"),
        (["activations", "mnist_cnn", "gone.png"], 5, "no file gone.png"),
        (["activations", "mnist_cnn", "{digit}", "--layer", "convv1"], 2, "did you mean"),
        (["top-patches", "mnist_cnn", "{digit}", "--layer", "conv1", "--channel", "99"], 2, "has the channels 0 to 31"),
    ],
)
def test_mistakes(
    run: Any, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found, out, err = run(*(a.format(digit=digits / "0.png") for a in arguments))
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err


def test_layers_are_drawn_as_a_graph(run: Any, tmp_path: Path) -> None:
    code, out, _ = run("layers", "mnist_cnn", "-o", tmp_path, "--json")
    (told,) = json.loads(out)
    assert code == 0
    graph = xk.load(tmp_path / "layers")
    assert list(graph) == list(xk.zoo.load("mnist_cnn").layers)
    page = Path(told["html"]).read_text()
    assert all(f"{name}" in page for name in graph)
    with Pillow.open(tmp_path / "layers.png") as picture:
        assert picture.height > picture.width
