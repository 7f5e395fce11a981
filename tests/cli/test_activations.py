"""`xaikit activations` and `layer-health`: numbers and pictures out, paths on stdout."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image as Pillow

import xaikit as xk

pytestmark = pytest.mark.slow


def test_the_order_is_recorded_and_maps_are_capped(run: Any, digits: Path, tmp_path: Path) -> None:
    asked = ("-l", "conv2_relu", "--order", "sparsity", "--maps", "8", "--colours", "map", "-o", tmp_path)
    code, out, _ = run("activations", "mnist_cnn", digits / "0.png", *asked)
    assert (code, Path(out.strip())) == (0, tmp_path / "0.activations.json")
    assert xk.load(out.strip()).origin.parameters["order"] == "sparsity"
    full = run("activations", "mnist_cnn", digits / "0.png", "-l", "conv2_relu", "-o", tmp_path / "all")[1].strip()
    with Pillow.open(tmp_path / "0.activations.png") as few, Pillow.open(Path(full).with_suffix(".png")) as many:
        assert few.height < many.height


def test_one_input_against_another(run: Any, digits: Path, tmp_path: Path) -> None:
    asked = ("-l", "conv1_relu", "--against", digits / "1.png", "-o", tmp_path)
    code, out, _ = run("activations", "mnist_cnn", digits / "0.png", digits / "2.png", *asked)
    found = [xk.load(path) for path in out.split()]
    assert code == 0
    assert [(len(a), a.order) for a in found] == [(2, "difference")] * 2
    own = xk.activations(xk.zoo.load("mnist_cnn"), [str(digits / "2.png"), str(digits / "1.png")], "conv1_relu")
    assert_allclose(found[1].difference("conv1_relu"), own.difference("conv1_relu"), atol=1e-6)
    assert (tmp_path / "2.activations.png").exists()


def test_a_channel_over_the_input(run: Any, digits: Path, tmp_path: Path) -> None:
    asked = ("-l", "conv3_relu", "--over", "--channel", "5", "-o", tmp_path)
    code, out, _ = run("activations", "mnist_cnn", digits / "0.png", *asked)
    assert code == 0
    with Pillow.open(Path(out.strip()).with_suffix(".png")) as picture:
        assert picture.width > picture.height  # three panels side by side


@pytest.mark.parametrize("labels", [None, "names.txt", "numbers.npy"])
def test_the_health_of_layers_over_a_folder(run: Any, digits: Path, tmp_path: Path, labels: str | None) -> None:
    (tmp_path / "names.txt").write_text("7\n1\n2\n")
    np.save(tmp_path / "numbers.npy", np.array([7, 1, 2]))
    asked = () if labels is None else ("--truth", tmp_path / labels)
    code, out, err = run("layer-health", "mnist_cnn", digits, *asked, "-o", tmp_path, "--json")
    told = json.loads(out)
    assert code == 0
    assert Path(told["json"]) == tmp_path / "mnist_cnn.layer-health.json"
    found = xk.load(told["json"])
    assert found.loss == ("cross-entropy" if labels else "logit of the predicted class")
    files = [str(f) for f in sorted(digits.iterdir())]
    own = xk.layer_health(xk.zoo.load("mnist_cnn"), files, None if labels is None else [7, 1, 2])
    assert_allclose(told["ratio"], own.ratio, rtol=1e-5)
    assert [row["layer"] for row in told["layers"]] == list(own)
    assert (told["status"], told["flow"]) == (own.status, "steady")
    assert "conv1_relu" in err
    assert Path(told["png"]).exists()


def test_health_without_gradients(run: Any, digits: Path, tmp_path: Path) -> None:
    code, out, err = run("layer-health", "mnist_cnn", digits, "-l", "conv1", "--no-gradients", "-o", tmp_path)
    assert (code, list(xk.load(out.strip()))) == (0, ["conv1"])
    assert "not judged" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["activations", "mnist_cnn", "{digit}", "--over"], 2, "exactly one --layer"),
        (["activations", "mnist_cnn", "{digit}", "--channel", "3"], 2, "--over"),
        (["activations", "mnist_cnn", "{digit}", "-l", "dense1", "--over"], 2, "cannot be laid over"),
        (["activations", "mnist_cnn", "{digit}", "--order", "loudest"], 2, "loudest"),
        (["layer-health", "mnist_cnn", "{digit}", "--layer", "convv1"], 2, "did you mean"),
        (["layer-health", "mnist_cnn", "{digit}", "--truth", "gone.txt"], 5, "cannot be read"),
        (["layer-health", "mnist_cnn", "gone.png"], 5, "gone.png"),
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
