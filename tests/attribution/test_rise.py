"""RISE against its definition, with every mask written out, and its behaviour under a budget."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import image_pair
from xaikit.attribution.rise import Rise, _Axis
from xaikit.errors import Cancelled, NotSupported, ParameterError


def wrapped(score, spec):
    return xk.wrap(score, inputs=spec, outputs=xk.Values(["score"]), version="1")


class Seen:
    """A model that keeps what it was shown."""

    def __init__(self, score):
        self.score, self.rows = score, []

    def __call__(self, x):
        self.rows.append(x.copy())
        return self.score(x)

    @property
    def masks(self):
        """What share of a picture of ones on a baseline of zeros was shown, without the plain sample."""
        seen = np.concatenate(self.rows)
        return seen[~(seen == 1).reshape(len(seen), -1).all(1)]


def test_the_map_is_the_mean_of_masks_weighed_by_their_scores():
    def score(x):
        return x[:, 3:9, 2:5].mean((1, 2, 3)) ** 2

    seen = Seen(score)
    model = wrapped(seen, xk.Image(12, 10, 1, scale=1))
    ones = np.ones((12, 10, 1))
    found = xk.explain(model, ones, "rise", samples=300, baseline=0, cell=4, relative=False)
    masks = seen.masks[:, :, :, 0].astype(np.float64)
    assert len(masks) == 300
    scores = score(masks[..., None])
    expected = np.tensordot(scores, masks, 1) / (300 * 0.5)
    assert_allclose(found.values[0], expected, rtol=1e-4)
    spread = (scores[:, None, None] * masks).std(0, ddof=1) / np.sqrt(300)
    assert_allclose(found.quality["standard_error"], spread.mean() / (expected * 0.5).max(), rtol=1e-3)
    off = xk.explain(model, ones, "rise", samples=300, baseline=0, cell=4).values[0]
    assert_allclose(off, np.tensordot(scores - scores.mean(), masks, 1) / 150, atol=1e-5)


def test_masks_are_a_coarse_grid_brought_up_and_shifted():
    axis = _Axis(12, 4)
    assert axis.cells == 3
    # three cells over the sixteen steps of four: centres at 16/6, 48/6 and 80/6
    grid = np.array([0.0, 1.0, 0.0])
    whole = np.interp(np.arange(16) + 0.5, [16 / 6, 48 / 6, 80 / 6], grid)
    for shift in range(4):
        assert_allclose(axis.weights[shift] @ grid, whole[shift : shift + 12], atol=1e-6)
    assert_allclose(axis.weights.sum(2), 1, atol=1e-6)


@pytest.mark.parametrize("probability", [0.2, 0.5, 0.8])
def test_each_place_is_shown_with_the_probability(probability):
    seen = Seen(lambda x: x.sum((1, 2, 3)))
    model = wrapped(seen, xk.Image(14, 14, 1, scale=1))
    xk.explain(model, np.ones((14, 14, 1)), "rise", samples=3000, probability=probability, baseline=0)
    assert_allclose(seen.masks.mean(0), probability, atol=5 * 0.5 / np.sqrt(3000))


def test_where_the_score_looks_is_where_the_map_is_high():
    model = wrapped(lambda x: x[:, 20:28, 4:12].mean((1, 2, 3)), xk.Image(32, 32, 3, scale=1))
    found = xk.explain(model, np.ones((32, 32, 3)), "rise", samples=2000, baseline=0).values[0]
    assert found[20:28, 4:12].mean() > 4 * np.abs(found[:12, 20:]).mean()
    assert np.unravel_index(found.argmax(), found.shape)[0] in range(18, 30)


def test_a_series_is_masked_in_time_and_arrays_entry_by_entry():
    series = wrapped(lambda x: x[:, 30:40].sum((1, 2)), xk.Series(70, 2))
    found = xk.explain(series, np.ones((70, 2)), "rise", samples=1000)
    assert found.axes == ("sample", "time")
    assert 28 <= found.values[0].argmax() <= 42
    w = np.array([1.0, -2.0, 0.0])
    array = wrapped(lambda x: x @ w, xk.Array((3,)))
    found = xk.explain(array, [1.0, 1.0, 5.0], "rise", samples=4000, probability=0.25)
    assert_allclose(found.values[0], w * 0.75, atol=0.15)  # E[f | shown] - E[f] = (1 - p) w x


def test_named_axes_without_space_stay_whole():
    spec = xk.Array((16, 3), axes=("time", "channel"))
    found = xk.explain(wrapped(lambda x: x.sum((1, 2)), spec), np.ones((16, 3)), "rise", samples=50, cell=4)
    assert found.values.shape == (1, 16, 3)
    assert_array_equal(found.values, found.values[..., :1].repeat(3, -1))


def test_a_batch_has_the_masks_of_its_samples_alone_whatever_the_batch_size():
    model, x = image_pair("torch")
    batch = xk.explain(model, x, "rise", target=1, samples=300, seed=4).values
    model._batch, before = 7, model.batch_size
    try:
        small = xk.explain(model, x, "rise", target=1, samples=300, seed=4).values
    finally:
        model._batch = before
    assert_allclose(small, batch, atol=1e-5 * np.abs(batch).max())


def test_a_budget_is_kept_and_told():
    model, x = image_pair("torch")
    found = xk.explain(model, x[0], "rise", target=1, samples=1000, max_calls=200)
    assert found.origin.model_calls <= 203
    assert_allclose(found.quality["complete"], 0.2)
    assert found.status == "warn"
    with pytest.raises(ParameterError, match="max_calls=1 is too few: at least 2"):
        xk.explain(model, x[0], "rise", target=1, max_calls=1)


def test_stopping_gives_what_there_is():
    model, x = image_pair("torch")
    told = []

    def stop(done, total):
        told.append((done, total))
        if len(told) == 2:
            raise Cancelled("enough")

    model._batch, before = 50, model.batch_size
    try:
        found = xk.explain(model, x[:1], "rise", target=1, samples=1000, progress=stop)
    finally:
        model._batch = before
    assert told == [(50, 1000), (100, 1000)]
    assert found.status == "warn"
    assert_allclose(found.quality["complete"], 0.1)


def test_the_standard_error_falls_with_the_root_of_the_samples():
    model, x = image_pair("torch")
    few, many = (xk.explain(model, x[0], "rise", target=1, samples=n).quality["standard_error"] for n in (500, 8000))
    assert_allclose(few / many, 4, rtol=0.5)  # the largest value, which it is relative to, is noisy itself


def test_a_constant_model_has_a_map_of_zeros_and_says_so():
    found = xk.explain(wrapped(lambda x: np.ones(len(x)), xk.Image(8, 8, 1)), np.ones((8, 8), np.uint8), "rise")
    assert not found.values.any()
    assert found.status == "warn"
    assert "zero everywhere" in found.status.reasons[0]


def test_masks_are_made_as_they_are_needed():
    """Four thousand masks of 224 × 224 would take 800 MB."""
    model = wrapped(lambda x: x[:, ::16, ::16].mean((1, 2, 3)), xk.Image(224, 224))
    x = np.random.default_rng(0).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    tracemalloc.start()
    try:
        xk.explain(model, x, "rise", samples=128)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 250e6


def test_words_and_categories_are_refused():
    from tests.contract.nets import TABULAR

    row = {"age": 40.0, "job": "clerk"}
    with pytest.raises(NotSupported, match="for a Table use kernel-shap"):
        xk.explain(wrapped(lambda x: x.sum(1), TABULAR), row, "rise")
    with pytest.raises(NotSupported, match="for a Text use kernel-shap"):
        xk.explain(wrapped(lambda x: x.sum(1), xk.Text(4, {"a": 2})), "a a", "rise")


def test_of_several_inputs_the_pictures_are_masked():
    from tests.contract.nets import TABULAR

    model = xk.wrap(
        lambda x: x["picture"].mean((1, 2, 3)) * x["row"][:, 0],
        inputs={"picture": xk.Image(8, 8, 1), "row": TABULAR},
        outputs=xk.Values(["score"]),
        version="1",
    )
    x = {"picture": np.full((8, 8), 255, np.uint8), "row": {"age": 50.0, "job": "cook"}}
    found = xk.explain(model, x, "rise", samples=200, baseline=0)
    assert list(found) == ["picture"]
    assert found["picture"].values.shape == (1, 8, 8)
    assert found["picture"].values.any()


@pytest.mark.parametrize("wrong", [{"cell": 0}, {"cell": 99}, {"cell": (4,)}, {"cell": True}, {"cell": "4"}])
def test_cells_that_do_not_fit_are_refused(wrong):
    model, x = image_pair("torch")
    with pytest.raises(ParameterError, match="cell is a number of steps"):
        xk.explain(model, x, "rise", target=1, **wrong)


@pytest.mark.parametrize("wrong", [{"samples": 1}, {"probability": 0.0}, {"probability": 1.0}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ParameterError):
        Rise(**wrong)
