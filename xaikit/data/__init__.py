"""Data sets to train and test with: from the folder that XAIKIT_DATA names, from a library, or drawn by code."""

from xaikit.data._folder import find, folder
from xaikit.data.drawings import draw, exact_x, xo
from xaikit.data.sets import CIFAR10, SETS, DataSet, Part, cats_vs_dogs, cifar10, load, mnist

__all__ = [
    "CIFAR10",
    "SETS",
    "DataSet",
    "Part",
    "cats_vs_dogs",
    "cifar10",
    "draw",
    "exact_x",
    "find",
    "folder",
    "load",
    "mnist",
    "xo",
]
