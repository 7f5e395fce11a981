"""`xaikit compare`: measures on stdout, failures on stderr, exit codes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

import xaikit as xk

pytest.importorskip("torch")


@pytest.fixture
def digit(tmp_path):
    place = tmp_path / "digit.png"
    Pillow.fromarray(np.random.default_rng(0).integers(0, 256, (28, 28)).astype(np.uint8)).save(place)
    return place


def test_methods_are_measured_written_and_drawn(run, digit, tmp_path):
    asked = ("mnist_cnn", digit, "-m", "saliency,lime", "-p", "lime.samples=50", "-t", "3", "--framework", "torch")
    code, out, err = run("compare", *asked, "-o", tmp_path / "out")
    path = Path(out.splitlines()[0])
    assert (code, err) == (0, "")
    assert path == tmp_path / "out" / "digit.comparison.json"
    found = xk.load(path)
    assert found.methods == ("saliency", "lime")
    assert found["lime"].origin.parameters["samples"] == 50
    assert found["lime"].target_labels == ("3",)
    assert path.with_suffix(".png").exists()
    assert f"{found.faithfulness['lime'].deletion[0]:.3g}" in out
    assert f"{found.agreement[0, 1]:.2f}" in out


def test_a_method_that_cannot_is_told_and_the_exit_code_is_3(run, digit, tmp_path):
    asked = ("mnist_cnn", digit, "-m", "exact-shapley,saliency", "-p", "exact-shapley.segments=40")
    code, out, err = run("compare", *asked, "--framework", "torch", "-o", tmp_path, "--json")
    (told,) = json.loads(out)
    assert code == 3
    assert [m["method"] for m in told["methods"]] == ["saliency"]
    assert "at most 12 parts" in told["failed"]["exact-shapley"]
    assert "exact-shapley of digit: " in err


def test_an_unknown_method_is_a_usage_error(run, digit):
    code, out, err = run("compare", "mnist_cnn", digit, "-m", "lime,limee", "--framework", "torch")
    assert (code, out) == (2, "")
    assert "did you mean 'lime'" in err


def test_explain_takes_full_evidence(run, digit, tmp_path):
    asked = ("mnist_cnn", digit, "-m", "saliency", "--framework", "torch", "--evidence", "full", "-o", tmp_path)
    code, out, _ = run("explain", *asked)
    assert code == 0
    assert "advantage" in xk.load(out.strip()).quality
