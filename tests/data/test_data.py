"""Data sets: drawn by code, from a folder, and what is said when they are not there."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image as Pillow

from tests.cases import some
from xaikit import data
from xaikit.data.pictures import pictures
from xaikit.errors import DataError, ParameterError, UnknownName
from xaikit.inputs import Image


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XAIKIT_DATA", str(tmp_path))
    data.mnist.cache_clear()
    data.cats_vs_dogs.cache_clear()
    return tmp_path


def test_letters_come_from_the_seed() -> None:
    x, y = data.xo(60, seed=3)
    assert x.shape == (60, 9, 9, 1)
    assert x.dtype == np.float32
    assert set(np.unique(x)) == {-1.0, 1.0}
    assert_array_equal(np.bincount(y), [30, 30])
    assert_array_equal(data.xo(60, seed=3)[0], x)
    assert not np.array_equal(data.xo(60, seed=4)[0], x)
    assert_array_equal(x[0, :, :, 0], data.exact_x())


def test_letters_move_grow_and_turn() -> None:
    plain = data.draw("x")
    assert_array_equal(data.draw("x", shift=(1, 0))[1:], plain[:-1])
    assert_array_equal(data.draw("x", angle=90), plain)
    assert (data.draw("x", thickness=2) > plain).any()
    assert (data.draw("x", thickness=2) >= plain).all()
    ring = data.draw("o")
    assert ring[4, 1] == ring[1, 4] == ring[4, 7] == 1.0
    assert ring[4, 4] == -1.0
    assert (data.draw("o", scale=0.7)[1] == -1.0).all()


def test_other_letters_are_refused() -> None:
    with pytest.raises(ParameterError, match="'x' or 'o', not 'z'"):
        data.draw("z")


def test_unknown_data_set() -> None:
    with pytest.raises(UnknownName, match="did you mean 'mnist'"):
        data.load("minst")


@pytest.mark.usefixtures("empty")
def test_what_is_missing_is_said() -> None:
    with pytest.raises(DataError, match=r"there is no cats_vs_dogs\.zip: put it into the folder.*kaggle"):
        data.cats_vs_dogs()


def test_without_a_folder_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XAIKIT_DATA", raising=False)
    assert data.folder() is None
    with pytest.raises(DataError, match="name it in XAIKIT_DATA"):
        data.find("x.csv", "draw it")


def test_digits_without_keras(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xaikit.data.pictures.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"no mnist\.npz"):
        data.mnist()


def test_digits_fall_back_on_keras(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digits = pytest.importorskip("keras.datasets.mnist")
    given = (np.zeros((2, 28, 28), np.uint8), np.array([3, 4])), (np.ones((1, 28, 28), np.uint8), np.array([5]))
    monkeypatch.setattr(digits, "load_data", lambda: given)
    part = data.mnist("test")
    assert part.x.shape == (1, 28, 28, 1)
    assert_array_equal(part.y, [5])
    data.mnist.cache_clear()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x93NUMPY"])
def test_damaged_digits(empty: Path, content: bytes) -> None:
    (empty / "mnist.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"not a readable mnist\.npz"):
        data.mnist()


def test_digits_are_bytes_with_a_channel(data_folder: Path) -> None:
    data.mnist.cache_clear()
    x, y = data.load("mnist").read("test")
    assert x.shape == (10_000, 28, 28, 1)
    assert x.dtype == np.uint8
    assert_array_equal(np.unique(y), np.arange(10))


def test_pictures_are_fitted_and_labelled(tmp_path: Path) -> None:
    path = tmp_path / "some.zip"
    rng = np.random.default_rng(0)
    photo = Pillow.fromarray(rng.integers(0, 255, (30, 40, 3), np.uint8))
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("test/dogs/1.png", "test/cats/2.png", "test/cats/1.png", "train/cats/1.png"):
            with archive.open(name, "w") as file:
                photo.save(file, "png")
    x, y = pictures(path, "test", ("cats", "dogs"), Image(10, 12, 3))
    assert_array_equal(y, [0, 0, 1])
    assert_array_equal(x[0], np.asarray(photo.resize((12, 10), Pillow.Resampling.BILINEAR)))
    with pytest.raises(DataError, match="lacks pictures under train/cats/ or train/dogs/"):
        pictures(path, "train", ("cats", "dogs"), Image(10, 12, 3))


def test_a_damaged_archive(tmp_path: Path) -> None:
    path = tmp_path / "some.zip"
    path.write_bytes(b"no zip")
    with pytest.raises(DataError, match="is damaged"):
        pictures(path, "test", ("cats", "dogs"), Image(10, 12, 3))


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_strokes_are_as_thick_as_they_were_drawn(width: int) -> None:
    upright = np.zeros((28, 28), np.uint8)
    upright[4:24, 10 : 10 + width] = 255
    assert_allclose(data.thickness(upright), width, rtol=0.02)
    assert_allclose(data.thickness(upright.T), width, rtol=0.02)
    y, x = np.mgrid[:28, :28]
    slanted = 255 * np.clip(width / 2 + 0.5 - abs(y - x) / np.sqrt(2), 0, 1)
    assert_allclose(data.thickness(slanted), width, atol=0.3)  # the edges lie between pixels


def test_no_ink_has_no_thickness() -> None:
    assert data.thickness(np.zeros((28, 28), np.uint8)) == 0.0


def test_digits_with_two_answers(empty: Path) -> None:
    digits = np.zeros((3, 28, 28), np.uint8)
    for i in range(3):
        digits[i, 4:24, 8 : 10 + i] = 255
    arrays = {"x_train": digits, "y_train": [7, 1, 1], "x_test": digits, "y_test": [0, 0, 0]}
    np.savez(empty / "mnist.npz", **arrays)
    data.mnist_thickness.cache_clear()
    x, y = data.load("mnist_thickness").read("train")
    for loader in (data.mnist, data.mnist_thickness):
        loader.cache_clear()
    assert x.shape == (3, 28, 28, 1)
    assert_array_equal(y["digit"], [7, 1, 1])
    assert_allclose(y["thickness"], [[2], [3], [4]], rtol=0.02)


@pytest.mark.slow
def test_real_digits_have_strokes_of_a_few_pixels(data_folder: Path) -> None:
    data.mnist.cache_clear()
    measured = [data.thickness(digit[..., 0]) for digit in data.mnist("test").x[:500]]
    assert min(measured) > 1
    assert max(measured) < 6
    assert 2 < np.median(measured) < 3


def test_clothes_are_read_like_digits(empty: Path) -> None:
    pictures = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    np.savez(empty / "fashion_mnist.npz", x_train=pictures, y_train=[9, 0], x_test=pictures, y_test=[1, 2])
    data.fashion_mnist.cache_clear()
    described = data.load("fashion_mnist")
    x, y = described.read("train")
    data.fashion_mnist.cache_clear()
    assert_array_equal(x[..., 0], pictures)
    assert [described.classes[i] for i in y] == ["ankle boot", "T-shirt"]


def test_every_set_says_where_it_comes_from() -> None:
    for name, described in data.SETS.items():
        assert described.name == name
        assert all(len(words) > 5 for words in (described.origin, described.split))
        assert described.licence
        assert len(set(described.classes)) == len(described.classes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"),
    some([("cats_vs_dogs", 150), ("cats_vs_dogs_96", 96), ("cats_vs_dogs_180", 180)], [("cats_vs_dogs_96", 96)]),
)
def test_photos_come_in_several_sizes(data_folder: Path, name: str, size: int) -> None:
    data.cats_vs_dogs.cache_clear()
    x, y = data.load(name).read("test")
    data.cats_vs_dogs.cache_clear()
    assert x.shape == (2000, size, size, 3)
    assert x.dtype == np.uint8
    assert_array_equal(np.bincount(y), [1000, 1000])
