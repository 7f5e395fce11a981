"""Attributions of sequences by time, by channel, and by both."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from xaikit.errors import UnknownName

WEIGHTS = np.random.default_rng(0).normal(size=(6, 3))
X = np.random.default_rng(1).normal(size=(2, 6, 3)).astype(np.float32)
OWN = WEIGHTS * X


def model() -> Any:
    return xk.wrap(
        lambda a: (a * WEIGHTS).sum((1, 2))[:, None], inputs=xk.Series(6, 3, rate=10.0), outputs=xk.Values(["y"])
    )


def test_by_time_by_channel_and_by_both() -> None:
    e = xk.explain(model(), X, "occlusion", window=(1, 1), stride=(1, 1))
    assert_allclose(e.by("time").values, OWN.sum(2), atol=1e-5)
    assert_allclose(e.by("channel").values, OWN.sum(1), atol=1e-5)
    assert_allclose(e.by("channel", "time").values, OWN, atol=1e-5)
    assert_allclose(e.by("channel", sizes=True).values, np.abs(OWN).sum(1), atol=1e-5)
    assert e.by("time").axes == ("sample", "time")
    assert e.by("channel").origin.notes["summed over"] == ["time"]
    with pytest.raises(UnknownName, match="time"):
        e.by("tim")


def test_parts_keep_their_sums() -> None:
    """What is painted on the places of a part is shared among them."""
    labels = np.arange(18).reshape(6, 3) // 6 * 3 + np.arange(3)
    e = xk.explain(model(), X, "exact-shapley", segments=labels)
    assert_allclose(e.by("channel").values, OWN.sum(1), atol=1e-5)
    assert_allclose(e.by("time").values.sum(1), OWN.sum((1, 2)), atol=1e-5)
    windows = xk.explain(model(), X, "kernel-shap", segments=2)
    assert_allclose(windows.by("time").values.sum(1), OWN.sum((1, 2)), atol=1e-5)


def test_each_is_drawn_judged_and_stored(tmp_path: Any) -> None:
    whole = xk.explain(model(), X, "occlusion", window=(1, 1), stride=(1, 1))
    for e in (whole.by("time"), whole.by("channel"), whole.by("channel", sizes=True)):
        back = xk.load(xk.save(e, tmp_path / "e"))
        assert_array_equal(back.values, e.values)
        assert len(xk.plot(back).data) > 0
    assert xk.faithfulness(model(), whole.by("channel")).parts.tolist() == [3, 3]
    assert xk.faithfulness(model(), whole.by("time")).parts.tolist() == [6, 6]
