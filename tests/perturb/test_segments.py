"""Parts: how samples of every kind are cut, and how values are laid back on their places."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.perturb.questions import question
from xaikit.errors import ParameterError, UnknownName
from xaikit.inputs import Array, Category, Image, Number, Series, Table, Text
from xaikit.perturb.segments import cut, grid, paint

NAMES = ["slic", "quickshift", "felzenszwalb", "grid"]


def photo(size):
    from skimage.data import astronaut
    from skimage.transform import resize

    return np.rint(resize(astronaut(), (size, size)) * 255)


def image(x, **how):
    height, width, channels = x.shape[1:]
    return question(x, Image(height, width, channels), **how)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [28, 64])
def test_every_segmentation_numbers_its_parts_from_zero(name, size):
    (parts,) = cut(image(photo(size)[None]), name)
    labels = parts.labels[""]
    assert labels.shape == (size, size)
    assert_array_equal(np.unique(labels), np.arange(parts.count))
    assert 4 <= parts.count <= 160


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("what", ["noise", "even"])
def test_the_default_is_about_fifty_superpixels_whatever_the_image(channels, what):
    x = (
        np.random.default_rng(0).integers(0, 256, (1, 28, 28, channels))
        if what == "noise"
        else np.full((1, 28, 28, channels), 7)
    )
    assert 25 <= cut(image(x))[0].count <= 60


def test_a_number_asks_for_that_many_parts():
    task = image(photo(64)[None])
    few, many = cut(task, 10)[0].count, cut(task, 100)[0].count
    assert 5 <= few <= 15
    assert 50 <= many <= 130


def test_parameters_reach_the_segmentation():
    task = image(photo(64)[None])
    for asked in (
        ("slic", {"n_segments": 9, "compactness": 1e4}),
        {"name": "slic", "n_segments": 9, "compactness": 1e4},
    ):
        # So compact that colour has no say: the even grid but for the pixels on its lines.
        assert (cut(task, asked)[0].labels[""] == grid((64, 64), 9)).mean() > 0.9
    with pytest.raises(ParameterError, match="tightness"):
        cut(task, ("slic", {"tightness": 3}))
    with pytest.raises(UnknownName, match="slic"):
        cut(task, "slick")


def test_quickshift_depends_on_the_seed_alone():
    x = np.full((1, 32, 32, 3), 100)
    one, same, other = (cut(image(x, seed=s), "quickshift")[0].labels[""] for s in (1, 1, 2))
    assert_array_equal(one, same)
    assert (one != other).any()


def test_an_own_map_is_numbered_in_the_order_of_its_labels_and_negative_places_are_no_part():
    given = np.array([[7, 7, -3], [2, 2, 100]])
    (parts,) = cut(image(np.zeros((1, 2, 3, 1))), given)
    assert_array_equal(parts.labels[""], [[1, 1, -1], [0, 0, 2]])
    one, two = cut(image(np.zeros((2, 2, 3, 1))), np.stack([given, 0 * given]))
    assert (one.count, two.count) == (3, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((3, 2), int), "shape"),
        (np.zeros((2, 3)), "integers"),
        (np.full((2, 3), -1), "no part"),
        (0, "at least 1"),
        (2.5, "label map"),
    ],
)
def test_what_is_no_segmentation_is_refused(given, message):
    with pytest.raises(ParameterError, match=message):
        cut(image(np.zeros((1, 2, 3, 1))), given)


def test_a_series_is_cut_into_equal_windows_over_all_channels():
    task = question(np.zeros((1, 40, 2)), Series(40, 2))
    assert_array_equal(cut(task)[0].labels[""], np.arange(40) // 2)
    assert_array_equal(cut(task, 4)[0].labels[""], np.arange(40) // 10)
    own = np.arange(80).reshape(40, 2) // 20
    assert_array_equal(cut(task, own)[0].labels[""], own)
    with pytest.raises(ParameterError, match="Image"):
        cut(task, "slic")


def test_a_table_is_cut_into_columns_never_dummies():
    spec = Table({"age": Number(), "sex": Category(["m", "f"]), "size": Number()})
    (parts,) = cut(question(np.zeros((1, 4)), spec))
    assert_array_equal(parts.labels[""], [0, 1, 1, 2])
    with pytest.raises(ParameterError, match="columns"):
        cut(question(np.zeros((1, 4)), spec), 2)


def test_a_text_is_cut_into_tokens_without_padding():
    x = np.array([[0, 0, 5, 9], [3, 4, 5, 9], [0, 0, 0, 0]])
    labels = [p.labels[""] for p in cut(question(x, Text(4)))]
    assert_array_equal(labels, [[-1, -1, 0, 1], [0, 1, 2, 3], [0, 1, 2, 3]])


def test_arrays_are_cut_into_entries_or_where_large_into_blocks():
    def parts(shape, axes=None, asked=None):
        return cut(question(np.zeros((1, *shape)), Array(shape, axes)), asked)[0]

    assert_array_equal(parts((300,)).labels[""], np.arange(300))
    assert parts((4, 5)).count == 20
    large = parts((3, 64, 64))
    assert large.count == 49
    assert (large.labels[""] == large.labels[""][:1]).all()
    named = parts((3, 8, 8), ("channel", "height", "width"), 4).labels[""]
    assert_array_equal(named[1], grid((8, 8), 4))
    assert parts((6,), asked=3).count == 3


def test_parts_of_several_inputs_are_numbered_on_and_painted_back():
    x = {"a": np.zeros((2, 3)), "b": np.zeros((2, 4, 1))}
    task = question(x, {"a": Array(3), "b": Series(4)})
    parts = cut(task, {"b": np.array([0, 0, 1, -1])})
    assert parts[0].slices == {"a": slice(0, 3), "b": slice(3, 5)}
    found = paint(task, parts, [np.array([1.0, 2, 3, 4, 5])] * 2)
    assert_array_equal(found["values"]["a"], [[1, 2, 3]] * 2)
    assert_array_equal(found["values"]["b"], [[4, 4, 5, 0]] * 2)
    assert found["axes"] == {"a": ("axis 0",), "b": ("time",)}


def test_samples_with_fewer_parts_are_padded_with_nan():
    task = question(np.array([[0, 5], [6, 7]]), Text(2))
    found = paint(task, cut(task), [np.array([3.0]), np.array([1.0, 2.0])])
    assert_array_equal(found["values"], [[0, 3], [1, 2]])
    assert_array_equal(found["part_values"], [[3, np.nan], [1, 2]])
