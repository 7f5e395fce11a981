"""A folder of photos by class, as ImageNet's is, and what of it is read when."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image as Pillow

from xaikit import data, zoo
from xaikit.errors import DataError, InputError
from xaikit.inputs import Classes, Image
from xaikit.zoo import _public
from xaikit.zoo.networks import Network, networks


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A thousand folders; two photos in each of the first four, red in even ones and blue in odd ones."""
    for split in ("train", "test"):
        for number in range(1000):
            (tmp_path / "imagenet" / split / f"n{number:08d}").mkdir(parents=True)
        for number in range(4):
            for i in range(10 if split == "train" else 2):
                colour = (200 + i, 30, 30) if number % 2 == 0 else (30, 30, 200 + i)
                path = tmp_path / "imagenet" / split / f"n{number:08d}" / f"{i}.jpg"
                Pillow.new("RGB", (40 + i, 30), colour).save(path)
    monkeypatch.setenv("XAIKIT_DATA", str(tmp_path))
    data.imagenet.cache_clear()
    yield tmp_path / "imagenet"
    data.imagenet.cache_clear()


def test_photos_are_paths_and_labels_their_folders(photos: Path) -> None:
    x, y = data.load("imagenet").read("train")
    assert_array_equal(y, np.repeat(np.arange(4), 10))
    assert Path(x[-1]).parent.name == "n00000003"


def test_folders_must_be_a_thousand(photos: Path) -> None:
    (photos / "train" / "extra").mkdir()
    with pytest.raises(DataError, match=r"has 1001 folders, expected one for each of ImageNet's 1000 classes"):
        data.imagenet()


def test_empty_folders_are_said(photos: Path) -> None:
    for file in (photos / "test").rglob("*.jpg"):
        file.unlink()
    with pytest.raises(DataError, match="no photos"):
        data.imagenet("test")


def small(net: Any) -> Any:
    x = net.global_avg_pool(net.conv(net.input(8, 8, 3), 4, 3, activation="relu"))
    return net.dense(x, 1000, activation="softmax")


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_a_network_is_trained_on_them(photos: Path, framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos of several sizes are fitted when they are read; the test part judges."""
    recipe = replace(networks["alexnet"].recipe, batch=8, epochs=4, learning_rate=0.05, validation=0.2)
    spec = Image(8, 8, 3, mean=0.5, std=0.25, fit="crop")
    entry = Network("small", small, "t", "t", spec, Classes(1000, form="softmax"), "imagenet", recipe)
    monkeypatch.setitem(networks._known, "small", entry)
    monkeypatch.setenv("XAIKIT_CACHE", str(photos))
    read: list[int] = []
    encode = Image.encode

    def counted(self: Image, x: Any) -> Any:
        read.append(len(x))
        return encode(self, x)

    monkeypatch.setattr(Image, "encode", counted)
    model = zoo.train("small", framework)
    assert max(read) == 8
    trained = zoo.card("small").trained
    assert trained is not None
    assert trained.samples == {"training": 32, "validation": 8}
    assert trained.metrics["samples"] == 8
    assert "confusion" not in trained.metrics
    assert trained.metrics["top5_accuracy"] >= trained.metrics["accuracy"]
    assert model.name == "small"


def test_a_damaged_photo_is_named(photos: Path) -> None:
    broken = photos / "train" / "n00000000" / "0.jpg"
    broken.write_bytes(b"no photo")
    files = _public.Files(data.imagenet().x, Image(8, 8, 3))
    with pytest.raises(InputError, match=r"n00000000/0\.jpg"):
        files[np.array([0])]
