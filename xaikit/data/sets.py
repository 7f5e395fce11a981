"""Data sets with a training and a test part."""

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from xaikit.arrays import Array
from xaikit.data._folder import find
from xaikit.data.drawings import xo
from xaikit.errors import DataError, UnknownName
from xaikit.inputs import Image

Split = Literal["train", "test"]


class Part(NamedTuple):
    """Samples (sample, *shape) in display units, channels last, and their class indices (sample,)."""

    x: Array
    y: Array


@dataclass(frozen=True)
class DataSet:
    """A data set: its classes, where it comes from, under which terms, and how each part is read."""

    name: str
    classes: tuple[str, ...]
    origin: str
    licence: str
    split: str
    read: Callable[[Split], Part]


def load(name: str) -> DataSet:
    """Give a data set by name. Raises UnknownName; reading a part raises DataError when its files are not there."""
    if name not in SETS:
        raise UnknownName("data set", name, SETS)
    return SETS[name]


@cache
def mnist(split: Split = "train") -> Part:
    """Give handwritten digits, x (sample, 28, 28, 1) uint8 and y (sample,).

    From mnist.npz in the folder XAIKIT_DATA names, else through keras.datasets, which downloads it once.
    """
    try:
        path = find("mnist.npz", "keras.datasets.mnist has it: pip install 'xaikit[keras]'")
    except DataError:
        if find_spec("keras") is None:
            raise
        x, y = _from_keras("mnist", split)
    else:
        arrays = _read_npz(path)
        x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
    return Part(np.asarray(x, np.uint8)[..., None], np.asarray(y, np.int64))


def _read_npz(path: Path) -> Mapping[str, Array]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    except (OSError, EOFError, TypeError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not a readable mnist.npz with x_train, y_train, x_test, y_test: {error}") from None


def _from_keras(name: str, split: Split) -> Part:
    """Give a part of one of Keras' own sets, which are downloaded on first use."""
    try:
        train, test = import_module(f"keras.datasets.{name}").load_data()
    except Exception as error:
        raise DataError(
            f"{name} is not in the folder XAIKIT_DATA names, and keras.datasets could not get it: {error}"
        ) from error
    x, y = train if split == "train" else test
    return Part(np.asarray(x), np.asarray(y, np.int64))


@cache
def cats_vs_dogs(split: Split = "train") -> Part:
    """Give photos, x (sample, 150, 150, 3) uint8, cats first, and y (sample,): 0 for a cat, 1 for a dog.

    From cats_vs_dogs.zip in the folder XAIKIT_DATA names: train|test/cats|dogs/*.jpg, stretched to 150×150, bilinear.
    """
    path = find(
        "cats_vs_dogs.zip",
        "it holds train|test/cats|dogs/*.jpg, 1000 of each, from Kaggle: https://www.kaggle.com/c/dogs-vs-cats",
    )
    return pictures(path, split, ("cats", "dogs"), Image(150, 150, 3))


CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@cache
def cifar10(split: Split = "train") -> Part:
    """Give small photos of ten kinds, x (sample, 32, 32, 3) uint8 and y (sample,), the index in CIFAR10.

    From cifar10.zip in the folder XAIKIT_DATA names: train|test/CLASS/*.jpg; else through keras.datasets, which
    downloads it once.
    """
    try:
        path = find("cifar10.zip", "keras.datasets.cifar10 has it: pip install 'xaikit[keras]'")
    except DataError:
        if find_spec("keras") is None:
            raise
        x, y = _from_keras("cifar10", split)
        return Part(x, y.ravel())
    return pictures(path, split, CIFAR10, Image(32, 32, 3))


def pictures(path: Path, split: str, folders: tuple[str, ...], spec: Image) -> Part:
    """Give the pictures of an archive under split/folder/, fitted by the spec; the classes are the folders in order."""
    from PIL import Image as Pillow

    x, y = [], []
    try:
        with zipfile.ZipFile(path) as archive:
            for label, folder in enumerate(folders):
                for name in sorted(archive.namelist()):
                    if name.startswith(f"{split}/{folder}/") and not name.endswith("/"):
                        x.append(spec.display(Pillow.open(io.BytesIO(archive.read(name)))))
                        y.append(label)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged: {error}") from None
    if len(set(y)) != len(folders):
        raise DataError(f"{path} lacks pictures under {' or '.join(f'{split}/{f}/' for f in folders)}")
    return Part(np.stack(x), np.array(y))


def _xo(split: Split) -> Part:
    return Part(*(xo(2000, seed=0) if split == "train" else xo(1000, seed=1)))


SETS: Mapping[str, DataSet] = {
    "mnist": DataSet(
        name="mnist",
        classes=tuple("0123456789"),
        origin="MNIST, LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/",
        licence="CC BY-SA 3.0",
        split="as published: training digits (all 60,000, or the part that mnist.npz holds) and 10,000 test digits",
        read=mnist,
    ),
    "cifar10": DataSet(
        name="cifar10",
        classes=CIFAR10,
        origin="CIFAR-10, Krizhevsky (2009), https://www.cs.toronto.edu/~kriz/cifar.html",
        licence="published for research without stated terms; the photos are not part of this package",
        split="as published: 50,000 photos for training, 10,000 for testing",
        read=cifar10,
    ),
    "cats_vs_dogs": DataSet(
        name="cats_vs_dogs",
        classes=("cat", "dog"),
        origin="Kaggle, Dogs vs. Cats (2013), https://www.kaggle.com/c/dogs-vs-cats, from Microsoft's Asirra",
        licence="the competition's terms: research and education; the photos are not part of this package",
        split="1000 photos of each class for training, another 1000 of each for testing",
        read=cats_vs_dogs,
    ),
    "xo": DataSet(
        name="xo",
        classes=("X", "O"),
        origin="drawn by xaikit.data.xo: shifted, scaled, rotated, thicker letters of 9×9 pixels",
        licence="Apache-2.0, as this package",
        split="2000 drawings with seed 0 for training, 1000 with seed 1 for testing",
        read=_xo,
    ),
}
