"""Pictures from files: digits, clothes, small photos, cats and dogs."""

import io
import sys
import zipfile
from collections.abc import Mapping
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from xaikit.arrays import Array
from xaikit.data._folder import find, folder, may_download
from xaikit.data._part import Part, Split
from xaikit.errors import DataError
from xaikit.inputs import Image

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FASHION = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
ENLARGED = 4


@cache
def mnist(split: Split = "train") -> Part:
    """Give handwritten digits, x (sample, 28, 28, 1) uint8 and y (sample,).

    From mnist.npz in the folder XAIKIT_DATA names, else through keras.datasets, which downloads it once.
    """
    return _bytes("mnist", split)


@cache
def fashion_mnist(split: Split = "train") -> Part:
    """Give small grey pictures of clothes, x (sample, 28, 28, 1) uint8 and y (sample,), the index in FASHION.

    From fashion_mnist.npz, with the arrays that mnist.npz has, else through keras.datasets. Xiao, Rasul and Vollgraf
    (2017), arXiv:1708.07747.
    """
    return _bytes("fashion_mnist", split)


@cache
def mnist_thickness(split: Split = "train") -> Part:
    """Give the digits of `mnist` with y = {"digit": (sample,) classes, "thickness": (sample, 1) of `thickness`}."""
    x, digits = mnist(split)
    measured = np.array([[thickness(digit[..., 0])] for digit in x], np.float32)
    return Part(x, {"digit": digits, "thickness": measured})


def thickness(digit: Array) -> float:
    """Give the mean thickness of the strokes of a picture (height, width) of bright ink on black, in pixels.

    It is twice the mean distance from the skeleton of the ink to its edge, in the picture enlarged four times; 0 for a
    picture without ink. Castro et al. (2019), "Morpho-MNIST", arXiv:1809.10780, section 3.
    """
    from scipy.ndimage import distance_transform_edt
    from skimage.morphology import skeletonize

    rows, columns = (_enlarging(size) for size in digit.shape)
    ink = rows.T @ np.asarray(digit, np.float64) @ columns >= 127.5
    if not ink.any():
        return 0.0
    return float(2 * distance_transform_edt(ink)[skeletonize(ink)].mean() / ENLARGED)  # type: ignore[no-untyped-call]


@cache
def _enlarging(size: int) -> Array:
    """The weights (pixel, fine pixel) of a linear interpolation between the centres of pixels."""
    places = (np.arange(size * ENLARGED) + 0.5) / ENLARGED - 0.5
    return np.stack([np.interp(places, np.arange(size), pixel) for pixel in np.eye(size)])


def _bytes(name: str, split: Split) -> Part:
    """Give a part of a set of 28×28 grey pictures that is an archive of arrays, or one of Keras' own."""
    try:
        path = find(f"{name}.npz", f"keras.datasets.{name} has it: pip install 'xaikit[keras]'")
    except DataError:
        if find_spec("keras") is None:
            raise
        x, y = _from_keras(name, split)
    else:
        arrays = _read_npz(path)
        x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
    return Part(np.asarray(x, np.uint8)[..., None], np.asarray(y, np.int64))


def _read_npz(path: Path) -> Mapping[str, Array]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in ("x_train", "y_train", "x_test", "y_test")}
    except (OSError, EOFError, TypeError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} is not a readable {path.name} with x_train, y_train, x_test, y_test: {error}"
        ) from None


def _from_keras(name: str, split: Split) -> Part:
    """Give a part of one of Keras' own sets, which are downloaded on first use."""
    if not may_download():
        raise DataError(f"{name} is not in the folder that XAIKIT_DATA names: put it there, or unset XAIKIT_DATA")
    try:
        with redirect_stdout(sys.stderr):  # Keras prints how far it is, and results go to stdout here
            train, test = import_module(f"keras.datasets.{name}").load_data()
    except Exception as error:
        raise DataError(
            f"{name} is not in the folder that XAIKIT_DATA names, and keras.datasets could not get it: {error}"
        ) from None
    x, y = train if split == "train" else test
    return Part(np.asarray(x), np.asarray(y, np.int64))


@cache
def cats_vs_dogs(split: Split = "train", size: int = 150) -> Part:
    """Give photos, x (sample, size, size, 3) uint8, cats first, and y (sample,): 0 for a cat, 1 for a dog.

    From cats_vs_dogs.zip in the folder XAIKIT_DATA names: train|test/cats|dogs/*.jpg, stretched to the size, bilinear.
    """
    path = find(
        "cats_vs_dogs.zip",
        "it holds train|test/cats|dogs/*.jpg, 1000 of each, from Kaggle: https://www.kaggle.com/c/dogs-vs-cats",
    )
    return pictures(path, split, ("cats", "dogs"), Image(size, size, 3))


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
            for label, kind in enumerate(folders):
                for name in sorted(archive.namelist()):
                    if name.startswith(f"{split}/{kind}/") and not name.endswith("/"):
                        x.append(spec.display(Pillow.open(io.BytesIO(archive.read(name)))))
                        y.append(label)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged: {error}") from None
    if len(set(y)) != len(folders):
        raise DataError(f"{path} lacks pictures under {' or '.join(f'{split}/{f}/' for f in folders)}")
    return Part(np.stack(x), np.array(y))


CLASSES = 1000


@cache
def imagenet(split: Split = "train") -> Part:
    """Give photos as the paths of their files, x (sample,), and y (sample,), the index of their folder by name.

    From the folder imagenet in the folder XAIKIT_DATA names: train|test/CLASS/*, one folder for each of the thousand
    classes (for the test, rename the validation photos' folder). Photos are read when they are needed. Russakovsky et
    al. (2015), "ImageNet Large Scale Visual Recognition Challenge".
    """
    home = folder()
    place = home / "imagenet" / split if home else None
    classes = sorted(f for f in place.iterdir() if f.is_dir()) if place and place.is_dir() else []
    if len(classes) != CLASSES:
        where = place or f"imagenet/{split} in a folder that XAIKIT_DATA names"
        raise DataError(
            f"{where} has {len(classes)} folders, expected one for each of ImageNet's {CLASSES} classes, with its "
            "photos; they come from https://www.image-net.org/download.php (ILSVRC 2012)"
        )
    found = [(str(file), label) for label, of_class in enumerate(classes) for file in sorted(of_class.iterdir())]
    if not found:
        raise DataError(f"{place} has no photos in its {CLASSES} folders")
    paths, labels = zip(*found, strict=True)
    return Part(np.array(paths, object), np.array(labels))
