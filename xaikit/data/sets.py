"""The data sets by name."""

from collections.abc import Callable, Mapping
from functools import partial

from xaikit.data._part import DataSet, Part, Split
from xaikit.data.dates import DATE_OUT, dates
from xaikit.data.drawings import xo
from xaikit.data.eeg import eeg
from xaikit.data.pictures import (
    CIFAR10,
    FASHION,
    cats_vs_dogs,
    cifar10,
    fashion_mnist,
    imagenet,
    mnist,
    mnist_thickness,
)
from xaikit.data.reviews import CHARACTERS, characters, imdb, imdb_multi_hot
from xaikit.data.series import art_daily, ecg5000_normal, naive, nyc_taxi
from xaikit.data.shapes import shapes
from xaikit.data.tables import german_credit
from xaikit.errors import UnknownName


def load(name: str) -> DataSet:
    """Give a data set by name. Raises UnknownName; reading a part raises DataError when its files are not there."""
    if name not in SETS:
        raise UnknownName("data set", name, SETS)
    return SETS[name]


def _xo(split: Split) -> Part:
    return Part(*(xo(2000, seed=0) if split == "train" else xo(1000, seed=1)))


def _reviews(name: str, classes: tuple[str, ...], split: str, read: Callable[[Split], Part]) -> DataSet:
    return DataSet(
        name=name,
        classes=classes,
        origin="Large Movie Review Dataset, Maas et al. (2011), https://ai.stanford.edu/~amaas/data/sentiment/, "
        "collected from IMDb",
        licence="published for research without stated terms; the reviews belong to their authors and are not part of "
        "this package, which holds only a list of their 9,998 most frequent words",
        split=split,
        read=read,
    )


def _photos(name: str, size: int) -> DataSet:
    return DataSet(
        name=name,
        classes=("cat", "dog"),
        origin="Kaggle, Dogs vs. Cats (2013), https://www.kaggle.com/c/dogs-vs-cats, from Microsoft's Asirra",
        licence="the competition's terms: research and education; the photos are not part of this package",
        split=f"1000 photos of each class for training, another 1000 of each for testing; {size}×{size} pixels",
        read=cats_vs_dogs if size == 150 else partial(cats_vs_dogs, size=size),
    )


SETS: Mapping[str, DataSet] = {
    "mnist": DataSet(
        name="mnist",
        classes=tuple("0123456789"),
        origin="MNIST, LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/",
        licence="CC BY-SA 3.0",
        split="as published: training digits (all 60,000, or the part that mnist.npz holds) and 10,000 test digits",
        read=mnist,
    ),
    "mnist_thickness": DataSet(
        name="mnist_thickness",
        classes=tuple("0123456789"),
        origin="MNIST, LeCun, Cortes and Burges, http://yann.lecun.com/exdb/mnist/; the thickness of the strokes is "
        "measured by xaikit.data.thickness",
        licence="CC BY-SA 3.0",
        split="as published: training digits (all 60,000, or the part that mnist.npz holds) and 10,000 test digits",
        read=mnist_thickness,
    ),
    "cifar10": DataSet(
        name="cifar10",
        classes=CIFAR10,
        origin="CIFAR-10, Krizhevsky (2009), https://www.cs.toronto.edu/~kriz/cifar.html",
        licence="published for research without stated terms; the photos are not part of this package",
        split="as published: 50,000 photos for training, 10,000 for testing",
        read=cifar10,
    ),
    "fashion_mnist": DataSet(
        name="fashion_mnist",
        classes=FASHION,
        origin="Fashion-MNIST, Xiao, Rasul and Vollgraf (2017), https://github.com/zalandoresearch/fashion-mnist",
        licence="MIT",
        split="as published: 60,000 pictures for training, 10,000 for testing",
        read=fashion_mnist,
    ),
    "cats_vs_dogs": _photos("cats_vs_dogs", 150),
    "cats_vs_dogs_180": _photos("cats_vs_dogs_180", 180),
    "cats_vs_dogs_96": _photos("cats_vs_dogs_96", 96),
    "imagenet": DataSet(
        name="imagenet",
        classes=(),
        origin="ImageNet, ILSVRC 2012, Russakovsky et al. (2015), https://www.image-net.org/",
        licence="ImageNet's terms of access: research and education; the photos are not part of this package",
        split="folders train and test of photos by class, as the user has them",
        read=imagenet,
    ),
    "imdb": _reviews(
        "imdb", ("negative", "positive"), "as published: 25,000 reviews for training, 25,000 of other films", imdb
    ),
    "imdb_multi_hot": _reviews(
        "imdb_multi_hot",
        ("negative", "positive"),
        "as published: 25,000 reviews for training, 25,000 of other films; which of 9,998 words occur in each",
        imdb_multi_hot,
    ),
    "characters": _reviews(
        "characters",
        CHARACTERS,
        "60,000 windows of 100 characters from the training reviews, 5,000 from the test reviews",
        characters,
    ),
    "german_credit": DataSet(
        name="german_credit",
        classes=("bad", "good"),
        origin="Statlog (German Credit Data), Hofmann (1994), UCI, nine of its columns in words, "
        "https://archive.ics.uci.edu/dataset/144/statlog+german+credit+data",
        licence="CC BY 4.0 at UCI, the worded columns under DbCL; the applicants are not part of this package",
        split="every fifth of each class for testing (200), the rest for training (800)",
        read=german_credit,
    ),
    "nyc_taxi": DataSet(
        name="nyc_taxi",
        classes=(),
        origin="New York City Taxi and Limousine Commission, July 2014 to January 2015, as half-hourly counts in the "
        "Numenta Anomaly Benchmark, https://github.com/numenta/NAB",
        licence="AGPL-3.0, as that repository; the counts are not part of this package",
        split="in time: windows before 20 December 2014 for training (8208), later ones for testing (2016), which hold "
        "the holidays and a blizzard",
        read=nyc_taxi,
        naive=naive,
    ),
    "ecg5000_normal": DataSet(
        name="ecg5000_normal",
        classes=("normal", "abnormal"),
        origin="ECG5000, Chen et al., from record chf07 of the BIDMC Congestive Heart Failure Database, "
        "https://timeseriesclassification.com/",
        licence="ODC-By 1.0 at PhysioNet; the beats are not part of this package",
        split="150 beats of the normal class for training; the other 350 of the published training file for testing, "
        "142 normal and 208 of four abnormal classes; all are of one patient",
        read=ecg5000_normal,
    ),
    "art_daily": DataSet(
        name="art_daily",
        classes=("normal", "abnormal"),
        origin="the artificial art_daily series of the Numenta Anomaly Benchmark, https://github.com/numenta/NAB",
        licence="AGPL-3.0, as that repository; the series are not part of this package",
        split="1250 days of the two series without an anomaly for training; 1068 days of two others for testing, "
        "48 of them abnormal, which overlap and hold the same two anomalies",
        read=art_daily,
    ),
    "eeg": DataSet(
        name="eeg",
        classes=("background", "discharge"),
        origin="drawn by xaikit.data.draw_eeg: 2 seconds at 50 Hz from 16 electrodes; no recording of a person, and "
        "nothing that is learned from it holds for one",
        licence="Apache-2.0, as this package",
        split="4000 drawings with seed 0 for training, 1000 with seed 1 for testing, half of each with a discharge",
        read=eeg,
    ),
    "shapes": DataSet(
        name="shapes",
        classes=("background", "shape"),
        origin="drawn by xaikit.data.draw_shapes: circles, rectangles and triangles over each other on a noisy ground, "
        "128×128 pixels, with the pixels that belong to a shape",
        licence="Apache-2.0, as this package",
        split="800 drawings with seed 0 for training, 200 with seed 1 for testing",
        read=shapes,
    ),
    "dates": DataSet(
        name="dates",
        classes=DATE_OUT,
        origin="written by xaikit.data.draw_dates: days from 1900 to 2099 in twenty forms of English or numbers, day "
        "before month unless the year comes first, and the same day in ISO 8601",
        licence="Apache-2.0, as this package",
        split="20,000 days for training, 2,000 other days for testing, drawn with seed 0",
        read=dates,
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
