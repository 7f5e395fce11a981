"""Parity of one network in two frameworks."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import xaikit as xk
from tests.analytic import Analytic
from tests.contract.nets import image_pair
from xaikit.quality import parity

KERNEL = np.random.default_rng(0).normal(size=(5, 6))
READOUT = np.random.default_rng(1).normal(size=(6, 1))
X = np.random.default_rng(2).normal(size=(4, 5)).astype("f")


def test_torch_and_keras_agree() -> None:
    (a, x), (b, _) = (image_pair(f) for f in ("torch", "keras"))
    found = parity(a, b, x, ["integrated-gradients", ("lime", {"segments": 9, "samples": 50})], target=2)
    assert found.status == "ok"
    assert found.models == ("pair (torch)", "pair (keras)")
    assert found.outputs.max() <= 1e-5
    assert found.values.shape == (2, 3)
    assert 0 < found.values.max() <= 1e-4
    assert not found.flips.any()


def test_other_weights_are_told() -> None:
    a, b = Analytic(KERNEL, 0.0, READOUT), Analytic(KERNEL * 1.01, 0.0, READOUT)
    found = parity(a, b, X, ["saliency"])
    assert found.status == "fail"
    assert "outputs are" in found.status.reasons[0]
    assert any(r.startswith("saliency is") for r in found.status.reasons)


def test_a_decision_that_flips_is_counted_and_left_out() -> None:
    """A unit that stands within rounding of zero is on in one network and off in the other."""
    kernel = np.concatenate([KERNEL, np.zeros((5, 1))], axis=1)
    kernel[:, -1] = 1.0
    readout = np.concatenate([READOUT, [[1.0]]])
    off = np.zeros(7)
    off[-1] = -float(X[0].sum())
    a, b = (Analytic(kernel, off + e * np.eye(7)[-1], readout) for e in (1e-6, -1e-6))
    found = parity(a, b, X, ["saliency"])
    assert_array_equal(found.flips, [True, False, False, False])
    assert found.values[0, 0] > 1e-3
    assert found.status == "ok"  # one sample may flip
    everywhere = parity(a, b, np.repeat(X[:1], 4, 0), ["saliency"])
    assert (everywhere.status, "flip" in everywhere.status.reasons[0]) == ("fail", True)


def test_a_method_that_one_model_cannot_serve_is_named(tmp_path: Any) -> None:
    a = Analytic(KERNEL, 0.0, READOUT)
    found = parity(a, a, X, ["grad-cam", "occlusion"])
    assert found.methods == ("occlusion",)
    assert "no layer" in found.failed["grad-cam"]
    back = xk.load(xk.save(found, tmp_path / "p"))
    assert_array_equal(back.values, found.values)
    assert (back.models, back.status) == (found.models, found.status)


@pytest.mark.parametrize("methods", [["saliency"], [("saliency", {})]])
def test_names_and_pairs_are_taken(methods: Any) -> None:
    a = Analytic(KERNEL, 0.0, READOUT)
    assert parity(a, a, X, methods).methods == ("saliency",)
