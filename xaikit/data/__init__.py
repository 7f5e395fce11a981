"""Data sets to train and test with: from the folder that XAIKIT_DATA names, from a library, or drawn by code."""

from xaikit.data._folder import find, folder, local_only
from xaikit.data._part import DataSet, Part
from xaikit.data.dates import DATE_IN, DATE_OUT, alignment, draw_dates
from xaikit.data.drawings import draw, exact_x, xo
from xaikit.data.eeg import ELECTRODES, Waves, draw_eeg
from xaikit.data.pictures import (
    CIFAR10,
    FASHION,
    cats_vs_dogs,
    cifar10,
    fashion_mnist,
    imagenet,
    mnist,
    mnist_thickness,
    thickness,
)
from xaikit.data.reviews import (
    CHARACTERS,
    characters,
    imdb,
    imdb_multi_hot,
    imdb_words,
    most_frequent,
    multi_hot,
    plain_letters,
)
from xaikit.data.series import Recording, art_daily, ecg5000_normal, naive, nyc_taxi, read_series
from xaikit.data.sets import SETS, load
from xaikit.data.shapes import SHAPES, Scenes, draw_shapes
from xaikit.data.tables import german_credit, german_table

__all__ = [
    "CHARACTERS",
    "CIFAR10",
    "DATE_IN",
    "DATE_OUT",
    "ELECTRODES",
    "FASHION",
    "SETS",
    "SHAPES",
    "DataSet",
    "Part",
    "Recording",
    "Scenes",
    "Waves",
    "alignment",
    "art_daily",
    "cats_vs_dogs",
    "characters",
    "cifar10",
    "draw",
    "draw_dates",
    "draw_eeg",
    "draw_shapes",
    "ecg5000_normal",
    "exact_x",
    "fashion_mnist",
    "find",
    "folder",
    "german_credit",
    "german_table",
    "imagenet",
    "imdb",
    "imdb_multi_hot",
    "imdb_words",
    "load",
    "local_only",
    "mnist",
    "mnist_thickness",
    "most_frequent",
    "multi_hot",
    "naive",
    "nyc_taxi",
    "plain_letters",
    "read_series",
    "thickness",
    "xo",
]
