"""`xaikit explore` and `operations`: numbers and pictures in, steps and their picture out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image as Pillow

import xaikit as xk


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    Pillow.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_numbers(run: Any, tmp_path: Path) -> None:
    code, out, _ = run("explore", "1,10,1,1,1", "cross-correlation", "--kernel", "mean-3", "-o", tmp_path)
    assert (code, Path(out.strip())) == (0, tmp_path / "numbers.cross-correlation.json")
    assert_allclose(xk.load(out.strip()).output[:, 0], [4, 4, 1])
    assert (tmp_path / "numbers.cross-correlation.png").exists()
    _, out, _ = run("explore", "1,2;3,4", "upsample-nearest", "-p", "factor=(1, 2)", "-o", tmp_path)
    assert_array_equal(xk.load(out.strip()).output[..., 0], [[1, 1, 2, 2], [3, 3, 4, 4]])


def test_a_photo_in_grey_at_one_place(run: Any, photo: Path, tmp_path: Path) -> None:
    asked = ("--kernel", "sobel-x", "--grey", "-p", "padding=same", "--at", "3,4", "-o", tmp_path, "--json")
    code, out, _ = run("explore", photo, "cross-correlation", *asked)
    (told,) = json.loads(out)
    steps = xk.load(told["json"])
    assert (code, steps.shown, steps.x.shape) == (0, (3, 4, 0), (20, 30, 1))
    with Pillow.open(told["png"]) as picture:
        assert picture.width > 400


def test_operations_and_kernels_are_listed(run: Any) -> None:
    _, out, _ = run("operations", "--json")
    assert [o["name"] for o in json.loads(out)] == list(xk.operations)
    _, out, _ = run("operations", "--kernels", "--json")
    assert {k["name"]: k["weights"] for k in json.loads(out)} == {n: k.tolist() for n, k in xk.kernels.items()}
    _, out, _ = run("operations", "max-pool", "--json")
    assert [p["name"] for p in json.loads(out)["parameters"]] == ["size", "stride", "padding", "ceil", "dilation"]
    for arguments in ((), ("--kernels",), ("max-pool",)):
        code, out, _ = run("operations", *arguments)
        assert (code, "max-pool" in out or "sobel-x" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["1,2", "convolve"], 2, "did you mean 'convolution'"),
        (["1,2", "max-pool", "-p", "sise=2"], 2, "did you mean 'size'"),
        (["1,2", "max-pool", "--at", "one"], 2, "takes whole numbers by commas"),
        (["1,2", "max-pool", "--at", "7"], 2, "it has no place 7"),
        (["1,2;3", "max-pool"], 5, "have 2, 1 columns"),
        (["cat", "max-pool"], 5, "INPUT is a picture"),
        (["gone.png", "max-pool"], 5, "no file gone.png"),
        (["gone.png", "max-pool", "--grey"], 5, "no file gone.png"),
    ],
)
def test_mistakes(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found, out, err = run("explore", *arguments)
    assert (found, out) == (code, "")
    assert message in err
