"""`xaikit maximize`: pictures and figures of quality out, and a failed run is an exit code."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

import xaikit as xk


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """A folder with three dark pictures of the network's size."""
    folder = tmp_path / "digits"
    folder.mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 30, (28, 28)).astype(np.uint8)
        Pillow.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def test_channels_of_a_layer_beside_samples(run: Any, digits: Path, tmp_path: Path) -> None:
    asked = ("conv2_relu", "-c", "0-1,5", "--like", digits, "--steps", 20, "--negative", "-o", tmp_path, "--json")
    code, out, _ = run("maximize", "mnist_cnn", *asked)
    told = json.loads(out)
    assert [row["name"] for row in told["rows"][::2]] == ["channel 0", "channel 1", "channel 5"]
    assert code == (3 if told["status"] == "fail" else 0)
    ratios = ["activation_ratio" in row for row in told["rows"]]
    assert ratios == [row["best"] > 0 for row in told["rows"]]  # there is no multiple of what is below zero
    assert any(ratios)
    assert Path(told["png"]).exists()
    assert len(xk.load(told["json"])) == 6


def test_classes_without_samples_are_a_warning(run: Any, tmp_path: Path) -> None:
    code, out, said = run("maximize", "mnist_cnn", "-t", "3", "-t", "8", "--steps", 20, "-o", tmp_path)
    assert (code, Path(out.strip())) == (0, tmp_path / "classes.maximum.json")
    assert "like=" in said
    assert xk.load(out.strip()).names == ("3", "8")


def test_a_failed_run_has_its_exit_code(run: Any, tmp_path: Path) -> None:
    Pillow.fromarray(np.tile(np.array([0, 255], np.uint8), (28, 14))).save(tmp_path / "stripes.png")
    asked = ("conv1_relu", "--like", tmp_path / "stripes.png", "--steps", 1, "-o", tmp_path)
    code, _, said = run("maximize", "mnist_cnn", *asked)
    assert code == 3
    assert "times that of the best sample" in said


@pytest.mark.parametrize(
    ("asked", "said"),
    [(("conv9",), "conv3"), (("-c", "1"), "layer"), (("conv1", "-c", "x"), "0-15"), (("-t", "12"), "0 to 9")],
)
def test_mistakes_are_one_line(run: Any, asked: tuple[str, ...], said: str) -> None:
    code, _, error = run("maximize", "mnist_cnn", *asked)
    assert code == 2
    assert said in error
