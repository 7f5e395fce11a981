"""Attributions of electrodes on the head, where somebody has said where they sit."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from xaikit.data.eeg import PLACES
from xaikit.errors import ParameterError
from xaikit.figures import MapPanel, panels
from xaikit.figures._scalp import REACH, SIDE

X = np.random.default_rng(0).normal(size=(2, 30, 16)).astype(np.float32)
WEIGHTS = np.random.default_rng(1).normal(size=(30, 16))


def explained(**how: Any) -> Any:
    model = xk.wrap(
        lambda a: (a * WEIGHTS).sum((1, 2))[:, None], inputs=xk.Series(30, 16, rate=30.0), outputs=xk.Values(["y"])
    )
    return xk.explain(model, X, "occlusion", **how)


@pytest.mark.parametrize("how", [{"segments": "channels"}, {"window": (1, 1), "stride": (1, 1)}])
def test_each_electrode_has_its_sum_at_its_place(how: Any) -> None:
    found = xk.scalp_map(explained(**how), PLACES)
    assert_allclose(found.values, (X * WEIGHTS).sum(1), atol=1e-4)
    assert found.names == tuple(PLACES)
    panel = panels(found).rows[0][1]
    assert isinstance(panel, MapPanel)
    for k, (right, front) in enumerate(PLACES.values()):
        row, column = (round((v + REACH) / (2 * REACH) * (SIDE - 1)) for v in (-front, right))
        if np.hypot(right, front) < 0.97:
            near = panel.values[row - 1 : row + 2, column - 1 : column + 2]
            assert np.abs(near - found.values[1, k]).min() < 0.1 * np.abs(found.values[1]).max()
    assert panel.values[0, 0] == 0  # beside the head there is nothing


def test_bands_are_summed_and_it_is_stored_and_drawn(tmp_path: Any) -> None:
    found = xk.scalp_map(explained(segments="bands-by-channel"), np.array(list(PLACES.values())))
    assert found.values.shape == (2, 16)
    assert found.names[3] == "channel 3"
    back = xk.load(xk.save(found, tmp_path / "head"))
    assert_array_equal(back.values, found.values)
    assert_array_equal(back.places, found.places)
    assert len(xk.plot(back).data) > 0


@pytest.mark.parametrize(
    ("places", "why"),
    [
        ({"Cz": (0, 0)}, "1 places belong to one axis"),
        (np.zeros((16, 3)), "right, front"),
        (["Fp1"] * 16, "right, front"),
        (np.full((16, 2), 90.0), "radii of the head"),
    ],
)
def test_places_that_do_not_fit(places: Any, why: str) -> None:
    with pytest.raises(ParameterError, match=why):
        xk.scalp_map(explained(segments="channels"), places)
