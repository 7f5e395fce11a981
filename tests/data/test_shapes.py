"""Shapes: the class of every pixel is the one that was drawn there."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from skimage.measure import label, regionprops

from xaikit import data

pytestmark = pytest.mark.slow


def test_pictures_come_from_the_seed() -> None:
    x, y = data.draw_shapes(6, seed=2)
    assert x.shape == (6, 128, 128, 3)
    assert x.dtype == np.uint8
    assert y.shape == (6, 128, 128)
    assert_array_equal(data.draw_shapes(6, seed=2).x, x)
    assert not np.array_equal(data.draw_shapes(6, seed=3).x, x)


def test_the_classes_are_where_the_colours_are() -> None:
    for picture, classes in zip(*data.draw_shapes(30, seed=1, noise=0.0, lines=0), strict=True):
        ground = picture[classes == 0]
        assert (ground == ground[0]).all()
        assert (abs(picture[classes > 0].astype(int) - ground[0]).max(axis=1) > 30).all()
        colours = np.unique(picture[classes > 0], axis=0)
        for colour in colours:  # one colour, one shape, one class
            assert len(np.unique(classes[(picture == colour).all(axis=2)])) == 1


def test_each_class_has_its_form() -> None:
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: [], 3: []}
    for classes in data.draw_shapes(200, seed=4).y:
        pieces = label(classes > 0)
        kinds = np.unique(classes[classes > 0])
        inside = not (classes[[0, -1]].any() or classes[:, [0, -1]].any())
        if pieces.max() == len(kinds) == 1 and inside:
            (piece,) = regionprops(pieces)
            ellipse = np.pi / 4 * piece.axis_major_length * piece.axis_minor_length
            found[int(kinds[0])].append((piece.area / ellipse, piece.axis_major_length / piece.axis_minor_length))
    assert min(map(len, found.values())) >= 3
    # Against the ellipse with the same second moments: a disk fills it, a rectangle 3/π, a triangle 3√3/(2π) of it.
    share, stretch = np.array([np.median(found[k], axis=0) for k in (1, 2, 3)]).T
    assert_allclose(share, [1.0, 3 / np.pi, 3 * np.sqrt(3) / (2 * np.pi)], atol=0.02)
    assert stretch[0] < 1.02
    assert stretch[1] > 1.3


def test_lines_belong_to_the_ground() -> None:
    with_lines = data.draw_shapes(40, seed=0, noise=0.0)
    colours = [len(np.unique(p[c == 0], axis=0)) for p, c in zip(*with_lines, strict=True)]
    assert max(colours) > 1


def test_every_class_is_in_most_pictures() -> None:
    _, y = data.draw_shapes(100, seed=0)
    counts = np.bincount(y.ravel(), minlength=4) / y.size
    assert len(data.SHAPES) == 4
    assert 0.8 < counts[0] < 0.95
    assert counts[1:].min() > 0.02
    assert min((y == k).any(axis=(1, 2)).mean() for k in range(4)) > 0.5


def test_the_set() -> None:
    described = data.load("shapes")
    assert described.classes == ("background", "shape")
    x, y = described.read("test")
    described.read.cache_clear()  # type: ignore[attr-defined]
    assert x.shape == (200, 128, 128, 3)
    assert_array_equal(y, data.draw_shapes(200, seed=1).y > 0)
    assert not {p.tobytes() for p in x} & {p.tobytes() for p in data.draw_shapes(100, seed=0).x}
