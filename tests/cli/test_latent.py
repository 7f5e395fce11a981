"""`xaikit anomaly latent`: every view is written, is what Python gives, and mistakes have exit codes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from xaikit.anomaly import latent
from xaikit.cli._latent import VIEWS

pytestmark = pytest.mark.slow

MODEL = ("dense_vae", "--framework", "torch")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: Any) -> Path:
    """A folder with pictures of light on black, their labels, and a detector of them."""
    folder = tmp_path_factory.mktemp("digits")
    rng = np.random.default_rng(0)
    pictures = (255 * rng.uniform(size=(12, 28, 28, 1)) ** 4).astype(np.uint8)
    np.save(folder / "all.npy", pictures)
    np.save(folder / "two.npy", pictures[:2])
    np.save(folder / "one.npy", pictures[:1])
    np.save(folder / "three.npy", pictures[:3])
    (folder / "labels.txt").write_text("\n".join(["a", "b", "c"] * 4) + "\n")
    model = xk.zoo.load("dense_vae", framework="torch")
    xk.save(xk.anomaly.fit(model, list(pictures)).record(), folder / "detector")
    return folder


@pytest.mark.parametrize("view", [v for v in VIEWS if v != "words"])
def test_every_view_is_written_as_numbers_and_picture(run: Any, digits: Path, tmp_path: Path, view: str) -> None:
    name = {"interpolate": "two.npy", "to-normal": "one.npy", "arithmetic": "three.npy"}.get(view, "all.npy")
    given = ("anomaly", "latent", *MODEL, str(digits / name), "--view", view)
    code, out, _ = run(
        *given, *("--labels", str(digits / "labels.txt"), "--detector", str(digits / "detector")),
        *("--size", "3", "--patch", "14", "-o", str(tmp_path), "--json"),
    )  # fmt: skip
    assert code == 0
    (written,) = json.loads(out)
    assert set(written) == {"json", "png"} | ({"html"} if view == "embed-3d" else set())
    assert Path(written["png"]).read_bytes().startswith(b"\x89PNG")
    found = xk.load(written["json"])
    if view == "embed-3d":
        assert found.labels == tuple(["a", "b", "c"] * 4)
        assert "scatter3d" in Path(written["html"]).read_text(encoding="utf-8")
    if view == "to-normal":
        assert found.kind == "to-normal"
        assert found.scores.shape == (2, 3)


def test_options_reach_the_view(run: Any, digits: Path, tmp_path: Path) -> None:
    model = xk.zoo.load("conv_vae", framework="torch")
    base = ("anomaly", "latent", "conv_vae", "--framework", "torch")
    code, out, _ = run(*base, "--view", "grid", "--numbers", "5,2", "--size", "2", "-o", str(tmp_path))
    assert code == 0
    found = xk.load(out.strip())
    assert_allclose(found.decoded, latent.grid(model, 2, numbers=(5, 2)).decoded, atol=1e-6)
    samples = str(digits / "all.npy")
    code, out, _ = run(*base, samples, "--view", "traverse", "--by", "change", "-o", str(tmp_path))
    assert xk.load(out.strip()).effect == "change"
    code, out, _ = run(*base, samples, "--view", "noise", "--levels", "0.3,0.5", "--seed", "3", "-o", str(tmp_path))
    noisy = xk.load(out.strip())
    assert_array_equal(noisy.levels, [0.3, 0.5])
    assert_array_equal(noisy.given, latent.restore(model, np.load(samples), "noise", [0.3, 0.5], seed=3).given)
    code, out, _ = run(*base, samples, "--view", "inpaint", "--patch", "7", "--hidden", "0.5", "-o", str(tmp_path))
    assert (xk.load(out.strip()).patch, xk.load(out.strip()).hidden) == (7, 0.5)
    named = ("--mean", "mean", "--log-variance", "log_variance", "--drawn", "z")
    code, out, _ = run(*base, samples, "--view", "health", *named, "-o", str(tmp_path))
    assert_allclose(xk.load(out.strip()).divergences, latent.health(model, np.load(samples)).divergences)


def test_folders_of_classes_are_labels(run: Any, digits: Path, tmp_path: Path) -> None:
    from PIL import Image

    for k, picture in enumerate(np.load(digits / "all.npy")[:4]):
        place = tmp_path / "pictures" / "ab"[k % 2] / f"{k}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture[..., 0]).save(place)
    given = ("anomaly", "latent", *MODEL, str(tmp_path / "pictures"), "-o", str(tmp_path))
    code, out, _ = run(*given, "--view", "means")
    assert code == 0
    assert xk.load(out.strip()).column_names == ("a", "b")


def test_words_have_neighbours_and_analogies(run: Any, tmp_path: Path) -> None:
    model = xk.zoo.load("lstm_imdb", framework="torch")
    given = ("anomaly", "latent", "lstm_imdb", "--framework", "torch", "--view", "words", "-o", str(tmp_path))
    code, out, _ = run(*given, "good")
    assert code == 0
    assert xk.load(out.strip()).neighbours == latent.nearest_words(model, "good").neighbours
    code, out, _ = run(*given, "good", "great", "bad")
    assert xk.load(out.strip()).neighbours == latent.analogy(model, "good", "great", "bad").neighbours
    code, _, err = run(*given, "good", "great")
    assert code == 2
    assert "one word, or three" in err


def test_mistakes_are_told_in_a_line(run: Any, digits: Path, tmp_path: Path) -> None:
    given = ("anomaly", "latent", *MODEL, "-o", str(tmp_path))
    samples = str(digits / "all.npy")
    for wrong, said in (
        (("--view", "embed"), "needs an INPUT"),
        ((samples, "--view", "interpolate"), "INPUT holds 12"),
        ((samples, "--view", "to-normal"), "needs --detector"),
        ((samples, "--view", "means"), "needs --labels"),
        ((samples, "--view", "health", "--mean", "mean"), "go together"),
        ((samples, "--view", "noise", "--levels", "much"), "numbers by commas"),
    ):
        code, _, err = run(*given, *wrong)
        assert code == 2
        assert said in err
    code, _, err = run(*given, samples, "--view", "embed", "--labels", str(digits / "none.txt"))
    assert code == 5
    assert "holds no labels" in err
    code, _, err = run(*given, samples, "--view", "embed", "--detector", str(tmp_path / "none"))
    assert code == 5


def test_an_alarm_is_said_beside_the_paths(run: Any, tmp_path: Path) -> None:
    code, out, err = run(
        *("anomaly", "latent", "denoising_autoencoder", "--framework", "torch", "--view", "capacity"),
        *("-o", str(tmp_path), str(_picture(tmp_path))),
    )
    assert code == 0
    assert "xaikit: warn: the narrowest layer has 784 numbers" in err
    assert xk.load(out.strip()).status == "warn"


def _picture(folder: Path) -> Path:
    x = np.zeros((1, 28, 28, 1), np.uint8)
    x[0, 8:20, 12:15] = 255
    np.save(folder / "one.npy", x)
    return folder / "one.npy"
