"""Forecasters and networks that fill in, as models that give their input again."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from xaikit.anomaly._reconstructing import hidden_places
from xaikit.errors import NotSupported, ParameterError


def last(steps: int = 4, ahead: int = 1) -> Any:
    """A forecaster that says that nothing changes, in the series' own units: mean 10, standard deviation 2."""
    return xk.wrap(
        lambda x: np.repeat(np.asarray(x)[:, -1] * 2 + 10, ahead, 1),
        inputs=xk.Series(steps, 1, mean=10, std=2),
        outputs=xk.Values([f"t{k}" for k in range(ahead)]),
        name="last",
        version="1",
    )


@pytest.mark.parametrize("ahead", [1, 3])
def test_the_error_of_a_forecast_is_the_score(ahead: int) -> None:
    model = xk.anomaly.forecasting(last(4, ahead))
    x = np.random.default_rng(0).normal(10, 2, (30, 4 + ahead, 1))
    scores = xk.anomaly.fit(model, x).score(x)
    expected = np.square((x[:, 4:] - x[:, 3:4]) / 2).sum((1, 2)) / (4 + ahead)
    assert_allclose(scores.values, expected, rtol=1e-5)
    assert_array_equal(scores.contributions[:, :4], 0)
    assert scores.origin.model == "last forecast"
    assert scores.origin.fingerprint is not None


def test_a_place_that_is_given_back_was_not_seen() -> None:
    """A network that copies its input gives back what hides it, wherever a place was hidden."""
    copy = xk.wrap(lambda x: np.asarray(x), inputs=xk.Image(8, 8, 1), outputs=xk.Reconstruction(), name="copy")
    x = np.random.default_rng(0).integers(1, 256, (5, 8, 8, 1)).astype(np.uint8)
    back = xk.anomaly.masking(copy, patch=2, value=0.25).run(np.float32(x / 255)).output
    assert_array_equal(back, 0.25)


def test_a_network_that_fills_in_by_the_visible_mean() -> None:
    def fill(x: Any) -> Any:
        x = np.asarray(x, np.float64)
        seen = x > 0
        return np.broadcast_to(x.sum((1, 2), keepdims=True) / np.maximum(seen.sum((1, 2), keepdims=True), 1), x.shape)

    model = xk.wrap(fill, inputs=xk.Series(12, 1), outputs=xk.Reconstruction(), name="mean")
    x = np.ones((2, 12, 1))
    x[1, 3:6] = 5.0
    scores = xk.anomaly.fit(xk.anomaly.masking(model, patch=3), x[:1]).score(x)
    assert_allclose(scores.values[0], 0, atol=1e-12)
    assert scores.contributions[1, 3:6].min() >= 3.9 * scores.contributions[1, 6:].max()


@pytest.mark.parametrize(("patch", "hidden", "rounds"), [(4, 0.5, 6), (3, 0.6, 1), (5, 0.05, 2), (1, 0.9, 4)])
def test_every_place_is_hidden_and_every_round_hides_the_share(patch: int, hidden: float, rounds: int) -> None:
    masks = hidden_places((20, 12, 1), patch, hidden, rounds, 0)
    assert masks.shape[1:] == (20, 12, 1)
    assert masks.any(0).all()
    cells = masks[:, ::patch, ::patch, 0].reshape(len(masks), -1)
    assert set(cells.sum(1)) == {max(1, round(hidden * cells.shape[1]))}


def test_mistakes_are_said() -> None:
    with pytest.raises(NotSupported, match="forecasts no series"):
        xk.anomaly.forecasting(xk.wrap(lambda x: x, inputs=xk.Array((3,)), outputs=xk.Values(["a", "b", "c"])))
    with pytest.raises(NotSupported, match="no whole number of steps"):
        xk.anomaly.forecasting(
            xk.wrap(lambda x: np.zeros((len(x), 3)), inputs=xk.Series(4, 2), outputs=xk.Values(["a", "b", "c"]))
        )
    with pytest.raises(NotSupported, match="gives Values, not its input again"):
        xk.anomaly.masking(last())
    with pytest.raises(NotSupported, match="takes Array: patches are of pictures and series"):
        xk.anomaly.masking(xk.wrap(lambda x: x, inputs=xk.Array((3,)), outputs=xk.Reconstruction()))
    copy = xk.wrap(lambda x: x, inputs=xk.Series(8, 1), outputs=xk.Reconstruction())
    with pytest.raises(ParameterError, match="hidden"):
        xk.anomaly.masking(copy, hidden=1.0)
