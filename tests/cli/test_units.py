"""`xaikit top-patches`, `unit-card` and `atlas`: files out, words on stderr, exit codes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image as Pillow

import xaikit as xk
from xaikit.cli._units import numbers_in
from xaikit.errors import NotSupported, ParameterError
from xaikit.report import _atlas

pytestmark = pytest.mark.slow


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """Pictures of the network's size in folders by class."""
    for i in range(4):
        folder = tmp_path / "digits" / str(i % 2)
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (28, 28)).astype(np.uint8)
        Pillow.fromarray(pixels).save(folder / f"{i}.png")
    return tmp_path / "digits"


def test_patches_of_some_channels_and_of_all(run: Any, digits: Path, tmp_path: Path) -> None:
    asked = ("top-patches", "mnist_cnn", digits, "--layer", "conv1_relu", "-k", "2", "-o", tmp_path)
    code, out, _ = run(*asked, "-c", "3,0-1")
    assert (code, Path(out.strip())) == (0, tmp_path / "conv1_relu.patches.json")
    some = xk.load(out.strip())
    assert list(some) == [3, 0, 1]
    assert some[3].projections is None
    assert (tmp_path / "conv1_relu.patches.png").exists()
    one = xk.load(run(*asked, "-c", "3", "--projection", "guided")[1].strip())
    assert_array_equal(one.values, some[3].values)
    assert (one.projection, set(one.sources) <= {"0/0.png", "1/1.png", "0/2.png", "1/3.png"}) == ("guided", True)
    none = xk.load(run(*asked, "-c", "3", "--projection", "none", "--per-sample", "2")[1].strip())
    assert none.projections is None
    assert len(xk.load(run(*asked)[1].strip())) == 32


def test_a_card(run: Any, digits: Path, tmp_path: Path) -> None:
    asked = ("unit-card", "mnist_cnn", "conv1_relu", "3", "-k", "2", "--steps", "2", "-o", tmp_path)
    code, out, err = run(*asked, "--inputs", digits, "--json")
    told = json.loads(out)
    assert (code, Path(told[0]["json"])) == (0, tmp_path / "conv1_relu.3.card.json")
    card = xk.load(told[0]["json"])
    assert card.text() in err
    assert len(card.patches) == 2
    assert card.optimum.trace.shape[1] == 2
    with Pillow.open(told[0]["png"]) as picture:
        assert picture.width > 900
    code, out, err = run(*asked, "--no-optimum")
    assert (code, xk.load(out.strip()).patches) == (0, None)
    assert "No patches: no samples were given" in err


def test_an_atlas_goes_on_and_is_extended(run: Any, digits: Path, tmp_path: Path) -> None:
    asked = ("atlas", "mnist_cnn", "-i", digits, "-l", "conv1_relu", "-k", "2", "--no-optimum", "-o", tmp_path / "a")
    code, out, err = run(*asked, "--channels", "0-2")
    assert (code, Path(out.strip())) == (0, tmp_path / "a" / "index.html")
    assert "conv1_relu" in err
    page = (tmp_path / "a" / "index.html").read_text()
    assert "--channels 0-2 " in page
    assert "--no-optimum" in page
    code, out, _ = run(*asked, "--channels", "0-4", "--json")
    told = json.loads(out)
    assert (code, told["made"], told["kept"], told["failed"]) == (0, 2, 3, [])
    code, out, err = run(*asked, "--channels", "0-4", "-k", "3")
    assert (code, out) == (2, "")
    assert "parameters k" in err


def test_units_that_fail_are_told_and_the_exit_code_is_3(
    run: Any, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards_of = _atlas.cards_of

    def failing(*asked: Any) -> Any:
        if 1 in asked[4]:
            raise NotSupported("not this one")
        return cards_of(*asked)

    monkeypatch.setattr(_atlas, "cards_of", failing)
    asked = ("atlas", "mnist_cnn", "-i", digits, "-l", "conv1_relu", "--no-optimum", "-o", tmp_path / "a")
    code, out, err = run(*asked, "--channels", "0,1")
    assert (code, Path(out.strip())) == (3, tmp_path / "a" / "index.html")
    assert "xaikit: unit 1 of conv1_relu: not this one" in err


def test_numbers() -> None:
    assert numbers_in("3") == [3]
    assert numbers_in("0-2, 7,1") == [0, 1, 2, 7, 1]
    assert numbers_in("3,3") == [3, 3]  # a place
    for wrong in ("", "a", "3-1", "-2", "1-"):
        with pytest.raises(ParameterError, match="written as 3,17 or 0-15"):
            numbers_in(wrong)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["top-patches", "mnist_cnn", "{digits}", "--layer", "conv1", "-c", "1-"], 2, "written as 3"),
        (["unit-card", "mnist_cnn", "conv1", "32", "--no-optimum"], 2, "has the channels 0 to 31, not 32"),
        (["unit-card", "mnist_cnn", "conv11", "3"], 2, "did you mean"),
        (["atlas", "mnist_cnn", "-i", "{digits}", "-l", "convv1"], 2, "did you mean"),
        (["atlas", "mnist_cnn", "-i", "{digits}", "-c", "0-99", "-l", "conv1"], 2, "channels 0 to 31, not 32"),
        (["atlas", "mnist_cnn", "-i", "{empty}"], 5, "holds no file"),
        (["atlas", "mnist_cnn"], 2, "Missing option"),
    ],
)
def test_mistakes(
    run: Any, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    found, out, err = run(*(a.format(digits=digits, empty=tmp_path / "empty") for a in arguments))
    assert (found, out) == (code, "")
    assert message in err
    assert "Traceback" not in err
