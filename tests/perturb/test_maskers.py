"""Masked inputs: bit for bit the shown parts of x and the hidden parts of the baseline."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tests.perturb.questions import question
from xaikit.errors import InputError, ParameterError
from xaikit.inputs import Array, Image, Number, Series, Table, Text
from xaikit.perturb.maskers import Masker, maskers
from xaikit.perturb.segments import Parts, cut

RNG = np.random.default_rng(0)


def filled(masker, masks, which=None):
    which = np.zeros(len(masks), int) if which is None else which
    out = {n: np.full((len(masks), *x.shape), 99, x.dtype) for n, x in masker.x.items()}
    masker.filler()(masks, which, out)
    return out


def chosen(x, labels, hidden, masks, which):
    """The definition, row by row."""
    shown = np.concatenate([masks, np.ones((len(masks), 1), bool)], axis=1)[:, labels]
    shown = shown.reshape(*shown.shape, *(1,) * (x.ndim - labels.ndim))
    return np.stack([np.where(s, x, hidden[k]) for s, k in zip(shown, which, strict=True)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32, np.float16, np.int8])
@pytest.mark.parametrize("shape", [(17,), (16, 12, 3), (7, 5, 1), (224, 96, 3), (1,)])
@pytest.mark.parametrize("baselines", [1, 3])
def test_rows_are_exactly_what_the_definition_says(dtype, shape, baselines):
    x, hidden = RNG.normal(size=shape) * 50, RNG.normal(size=(baselines, *shape)) * 50
    x, hidden = x.astype(dtype), hidden.astype(dtype)
    labels = RNG.integers(-1, 9, shape[:2])
    labels.flat[0] = 8
    masks, which = RNG.random((20, 9)) < 0.5, RNG.integers(0, baselines, 20)
    masker = Masker({"": x}, Parts({"": labels}), {"": hidden})
    assert_array_equal(filled(masker, masks, which)[""], chosen(x, labels, hidden, masks, which))


@pytest.mark.parametrize("shape", [(17,), (16, 12, 3)])
@pytest.mark.parametrize("some", [slice(0, 3), slice(1, 3), slice(2, 3)])
def test_every_coalition_is_filled_with_all_of_some_baselines(shape, some):
    x, hidden = RNG.normal(size=shape).astype(np.float32), RNG.normal(size=(3, *shape)).astype(np.float32)
    labels = RNG.integers(-1, 9, shape[:2])
    labels.flat[0] = 8
    masks = RNG.random((20, 9)) < 0.5
    each = np.arange(3)[some]
    masker, out = Masker({"": x}, Parts({"": labels}), {"": hidden}), np.empty((20 * len(each), *shape), np.float32)
    masker.filler()(masks, some, {"": out})
    expected = chosen(x, labels, hidden, np.repeat(masks, len(each), axis=0), np.tile(each, 20))
    assert_array_equal(out, expected)


@pytest.mark.parametrize("side", ["left", "right"])
def test_several_rows_of_a_coalition_drop_the_same_words(side):
    x, hidden = np.array([1, 2, 3, 4]), np.zeros((2, 4), int)
    masker = Masker({"": x}, Parts({"": np.arange(4)}), {"": hidden}, dropped={"": side})
    out = np.empty((4, 4), int)
    masker.filler()(np.array([[1, 0, 1, 0], [0, 0, 0, 1]], bool), slice(0, 2), {"": out})
    kept = {"left": [[0, 0, 1, 3], [0, 0, 0, 4]], "right": [[1, 3, 0, 0], [4, 0, 0, 0]]}[side]
    assert_array_equal(out, np.repeat(kept, 2, axis=0))


def test_signed_zeros_and_tiny_numbers_are_kept():
    x, hidden = np.array([-0.0, 1e-40, 1.0], np.float32), np.array([[0.0, 1e30, -0.0]], np.float32)
    masker = Masker({"": x}, Parts({"": np.arange(3)}), {"": hidden})
    one = filled(masker, np.array([[True, True, False]]))[""][0]
    assert_array_equal(one.view(np.uint32), np.array([-0.0, 1e-40, -0.0], np.float32).view(np.uint32))


def test_parts_of_several_inputs_are_split_back():
    task = question({"a": np.array([[1, 2, 3.0]]), "b": np.array([[[4], [5.0]]])}, {"a": Array(3), "b": Series(2)})
    (masker,) = maskers(task, cut(task), {"a": -1})
    out = filled(masker, np.array([[1, 0, 0, 1, 0], [0, 1, 1, 0, 1]], bool))
    assert_array_equal(out["a"], [[1, -1, -1], [-1, 2, 3]])
    assert_array_equal(out["b"][..., 0], [[4, 0], [0, 5]])


def test_inputs_with_different_numbers_of_baselines():
    task = question({"a": np.zeros((1, 2)), "b": np.zeros((1, 3))}, {"a": Array(2), "b": Array(3)})
    one = maskers(task, cut(task), {"a": np.ones((4, 2))})[0]
    assert one.baselines == 4
    with pytest.raises(ParameterError, match="a: 4, b: 2"):
        maskers(task, cut(task), {"a": np.ones((4, 2)), "b": np.ones((2, 3))})


def test_varying_parts_are_those_whose_hiding_changes_something():
    task = question(np.array([[0.0, 1, 0, 2]]), Array(4))
    assert_array_equal(maskers(task, cut(task))[0].varying, [False, True, False, True])
    assert_array_equal(
        maskers(task, cut(task), np.array([[0.0, 1, 0, 2], [0, 1, 5, 2]]))[0].varying, [False, False, True, False]
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_segment_means_are_taken_in_display_units_and_type_as_lime_does(dtype):
    shown = RNG.integers(0, 256, (1, 4, 4, 3)).astype(dtype)
    labels = np.arange(16).reshape(4, 4) // 5
    spec = Image(4, 4, mean=(0.1, 0.2, 0.3), std=0.5, order="bgr")
    task = question(shown, spec)
    (masker,) = maskers(task, cut(task, labels), "segment-mean")
    expected = shown[0].copy()
    for part in range(4):
        expected[labels == part] = shown[0][labels == part].mean(0)
    assert_array_equal(masker.hidden[""], spec.encode(expected))


def test_segment_means_of_a_series_are_by_channel():
    task = question(np.array([[[1, 10], [3, 30], [5, 50.0]]]), Series(3, 2))
    (masker,) = maskers(task, cut(task, np.array([0, 0, 1])), "segment-mean")
    assert_array_equal(masker.hidden[""][0], [[2, 20], [2, 20], [5, 50]])


@pytest.mark.parametrize("channels_alike", [True, False])
def test_inpainting_a_series_interpolates_in_time(channels_alike):
    x = np.stack([np.arange(32.0), 100 - 3 * np.arange(32.0)], axis=-1)[None]
    labels = np.zeros((32, 2), int)
    labels[12:16, : 2 if channels_alike else 1] = 1
    task = question(x, Series(32, 2))
    (masker,) = maskers(task, cut(task, labels[:, 0] if channels_alike else labels), "inpaint")
    one = filled(masker, np.array([[True, False]]))[""][0]
    assert_array_equal(one[labels == 0], x[0][labels == 0])
    # The hole spans 4 steps of slopes 1 and 3.
    assert (np.abs(one - x[0])[12:16] < [4, 12]).all()
    assert np.abs(one - x[0]).max() > 0


@pytest.mark.parametrize("baseline", ["inpaint", "segment-mean", "blur"])
def test_baselines_that_make_no_sense_are_refused(baseline):
    task = question(np.array([[1, 2]]), Text(2))
    with pytest.raises(ParameterError):
        maskers(task, cut(task), baseline)


def test_an_empty_background_is_refused():
    spec = Table({"a": Number()})
    task = question(np.zeros((1, 1)), spec)
    with pytest.raises(InputError, match="empty"):
        maskers(task, cut(task), [])
    with pytest.raises(ParameterError, match="typical rows"):
        maskers(task, cut(task))


def ramp():
    """An image that rises evenly, so that what is missing can be told from what is shown."""
    rows, columns = np.mgrid[:32, :32]
    return np.stack([2.0 * rows + columns, 100 - rows, 3.0 * columns], axis=-1)[None]


def test_inpainting_keeps_what_is_shown_and_continues_it():
    task = question(ramp(), Image(32, 32, scale=1))
    labels = np.zeros((32, 32), int)
    labels[12:18, 12:18] = 1
    labels[0:4, 28:] = 2
    (masker,) = maskers(task, cut(task, labels), "inpaint")
    x = masker.x[""]
    one = filled(masker, np.array([[True, False, True]]))[""][0]
    assert_array_equal(one[labels != 1], x[labels != 1])
    # The hole spans 6 steps of a slope of 2 + 1: half its span is the error of a flat filling.
    assert np.abs(one - x)[labels == 1].max() < 6
    assert np.abs(x.mean((0, 1)) - x)[labels == 1].max() > 3


def test_inpainting_with_nothing_shown_gives_the_mean():
    task = question(ramp(), Image(32, 32, scale=1))
    (masker,) = maskers(task, cut(task, 4), "inpaint")
    none = filled(masker, np.zeros((1, masker.parts.count), bool))[""][0]
    assert_allclose(none, np.broadcast_to(masker.x[""].mean((0, 1)), none.shape), rtol=1e-5)


def test_masking_a_batch_takes_no_memory_but_a_block():
    x = RNG.random((224, 224, 3), np.float32)
    masker = Masker({"": x}, Parts({"": np.arange(224 * 224).reshape(224, 224) // 1000}), {"": 0 * x[None]})
    fill, out = masker.filler(), {"": np.empty((32, *x.shape), np.float32)}
    masks = RNG.random((32, masker.parts.count)) < 0.5
    tracemalloc.start()
    fill(masks, np.zeros(32, int), out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * x.nbytes


@pytest.mark.parametrize(
    ("side", "rows"),
    [
        ("left", [[0, 0, 5, 6, 7], [0, 0, 0, 5, 7], [0, 0, 0, 0, 0]]),
        ("right", [[5, 6, 7, 0, 0], [5, 7, 0, 0, 0], [0, 0, 0, 0, 0]]),
    ],
)
def test_tokens_that_are_dropped_leave_no_gap(side, rows):
    spec = Text(5, vocabulary={"a": 5, "b": 6, "c": 7}, pad_side=side)
    task = question(spec.encode(["a b c"]), spec)
    (masker,) = maskers(task, cut(task), "drop")
    assert_array_equal(filled(masker, np.array([[1, 1, 1], [1, 0, 1], [0, 0, 0]], bool))[""], rows)
    (swapped,) = maskers(task, cut(task), 0)
    assert masker.identity != swapped.identity


def test_a_text_loses_the_words_that_lime_removes():
    from lime.lime_text import IndexedString

    words = [f"w{i}" for i in range(12)]
    spec = Text(16, vocabulary={w: i + 2 for i, w in enumerate(words)})
    text = " ".join(words)
    task = question(spec.encode([text]), spec)
    (masker,) = maskers(task, cut(task), "drop")
    masks = RNG.random((30, 12)) < 0.5
    removed = [IndexedString(text, bow=True).inverse_removing(np.flatnonzero(~m)) for m in masks]
    assert_array_equal(filled(masker, masks)[""], np.concatenate([spec.encode([r]) for r in removed]))


def test_only_tokens_can_be_dropped():
    with pytest.raises(ParameterError, match="'drop' is for Text"):
        maskers(task := question(np.ones((1, 4)), Array(4)), cut(task), "drop")
