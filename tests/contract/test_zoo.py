"""Trained networks on real inputs: both frameworks, and a sample alone and in a batch, give one explanation."""

import os
from functools import cache
from typing import Any

import numpy as np
import pytest

import xaikit as xk
from tests.cases import some
from xaikit import data
from xaikit.arrays import agreement
from xaikit.attribution._families import FAMILIES
from xaikit.perturb.memory import MEMORY

pytestmark = pytest.mark.slow

COUNTS = {"xo_cnn": 40, "mnist_cnn": 40, "cats_vs_dogs": 3}
FEW: dict[str, dict[str, Any]] = {
    "lime": {"samples": 100},
    "kernel-shap": {"samples": 100},
    "exact-shapley": {"segments": 6},
    "permutation-shap": {"samples": 100},
    "partition-shap": {"samples": 100},
    "gradient-shap": {"samples": 50},
    "rise": {"samples": 200},
    "smooth-grad": {"samples": 5},
    "integrated-gradients": {"steps": 20},
}
PATHS = ("integrated-gradients", "gradient-shap")
"""Of these a sample is many gradients along a path, any of which may meet a ReLU or a pooling on the brink."""
NOT_FOR_PICTURES = {"attention-rollout", *FAMILIES["step by step"]}
ALL = [(name, method) for name in COUNTS for method in xk.methods if method not in NOT_FOR_PICTURES]
CASES = some(ALL, [case for case in ALL if case[0] != "cats_vs_dogs" or case[1] in ("saliency", "grad-cam", "lime")])


@cache
def inputs(name: str, method: str) -> Any:
    """Give real inputs in display units: test digits, test photos of both kinds, drawings not trained on.

    Between black and white every pooling of a drawing is of equal sums, and rounding alone, which is another on every
    processor, decides which of them passes the gradient on. So drawings that are shaded on the way get some noise.
    """
    if name == "xo_cnn":
        x = data.xo(COUNTS[name], seed=12345)[0]
        return x + 0.1 * np.random.default_rng(0).standard_normal(x.shape) if method in PATHS else x
    if not os.environ.get("XAIKIT_DATA"):
        pytest.skip("XAIKIT_DATA names no folder with the test set")
    x = data.load({"mnist_cnn": "mnist"}.get(name, name)).read("test").x
    return x[:: len(x) // COUNTS[name]][: COUNTS[name]]


@cache
def model(name: str, framework: str) -> Any:
    return xk.zoo.load(name, framework)


@cache
def explained(name: str, framework: str, method: str) -> Any:
    MEMORY.clear()  # what another method, or an accelerated copy, was asked before is another test's
    return xk.explain(model(name, framework), inputs(name, method), method, **FEW.get(method, {}))


def compared(result: Any) -> Any:
    """Give the values of the parts where there are parts, else the map."""
    return result.values if result.part_values is None else np.nan_to_num(result.part_values)


@pytest.mark.parametrize(("name", "method"), CASES)
def test_the_frameworks_agree(name: str, method: str) -> None:
    """Gradients to 1e-5, parts to 1e-4; where a ReLU or a pooling decides otherwise they cannot: at most 1 %.

    Along a path that is 1 % of the gradients; on photos, of which there are few, a bound of its own.
    """
    a, b = (explained(name, framework, method) for framework in ("torch", "keras"))
    bound = 1e-5 if a.part_values is None and "pull" in xk.methods[method].needs else 1e-4
    gaps = agreement(compared(a), compared(b))
    flips = 0.1 if method in PATHS else 0.01
    if name == "cats_vs_dogs" and method in (*PATHS, "lrp"):
        bound = 2e-3
    assert (gaps > bound).sum() <= flips * len(gaps), gaps.max()
    assert a.target == b.target
    assert agreement(a.prediction, b.prediction).max() <= 1e-5


@pytest.mark.parametrize(("name", "method"), CASES)
def test_alone_as_in_a_batch(name: str, method: str) -> None:
    batch = compared(explained(name, "torch", method))
    MEMORY.clear()  # or the sample alone would read the answers that the batch had
    for i in (0, 2):
        alone = compared(xk.explain(model(name, "torch"), inputs(name, method)[i], method, **FEW.get(method, {})))
        assert agreement(batch[i : i + 1, : alone.shape[1]], alone).max() <= 1e-6


def test_what_is_compared_is_not_nothing() -> None:
    for framework in ("torch", "keras"):
        maps = np.abs(compared(explained("xo_cnn", framework, "occlusion"))).reshape(COUNTS["xo_cnn"], -1)
        assert np.median(maps.max(1)) > 1e-3
