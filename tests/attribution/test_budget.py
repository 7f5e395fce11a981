"""One budget for every method: model calls, rows of a pass, time, tolerance."""

import time
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import image_pair, linear_net
from xaikit.arrays import agreement
from xaikit.errors import ParameterError, TimeUp
from xaikit.perturb.memory import MEMORY

FORWARD = ("lime", "kernel-shap", "permutation-shap", "occlusion", "rise")
SAMPLING: dict[str, dict[str, Any]] = {
    "lime": {"samples": 2000, "segments": 12},
    "kernel-shap": {"samples": 1500, "segments": 12},
    "permutation-shap": {"samples": 3000, "segments": 12},
    "rise": {"samples": 8000, "cell": 4},
    "smooth-grad": {"samples": 400, "noise": 0.3},
}
"""Methods that draw samples, with so many that a tolerance leaves some out."""


@pytest.fixture(autouse=True)
def _empty_memory():
    MEMORY.clear()


def noisy(x: Any) -> Any:
    """A function of a row whose parts interact, so that every estimate has an error."""
    flat = x.reshape(len(x), -1)
    return np.sin(flat.sum(1, keepdims=True)) + flat[:, :1] * flat[:, -1:]


class Clock:
    """A clock that stands still unless it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    stopped = Clock()
    monkeypatch.setattr(time, "perf_counter", stopped)
    return stopped


class Counting:
    """A function that keeps the sizes of its batches, each of which takes a second by a clock."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock, self.batches = clock or Clock(), []

    def __call__(self, x: Any) -> Any:
        self.clock.now += 1
        self.batches.append(len(x))
        return noisy(x)


def slowly(model: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every pass back take a second by the clock."""
    backward = type(model)._backward

    def slow(*arguments: Any) -> Any:
        clock.now += 1
        return backward(*arguments)

    monkeypatch.setattr(type(model), "_backward", slow)


def wrapped(f: Any, shape: tuple[int, ...] = (8,)) -> Any:
    return xk.wrap(f, inputs=xk.Array(shape))


X = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)


@pytest.mark.parametrize("method", FORWARD)
def test_no_pass_has_more_rows_than_max_batch_and_the_numbers_stay(method):
    f = Counting()
    free = xk.explain(wrapped(f), X, method)
    assert max(f.batches) > 7
    f.batches.clear()
    MEMORY.clear()
    bounded = xk.explain(wrapped(f), X, method, max_batch=7)
    assert max(f.batches) == 7
    assert agreement(free.values, bounded.values).max() <= 1e-6
    assert bounded.origin.notes["budget"] == {"max_batch": 7}
    assert "budget" not in free.origin.notes


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "smooth-grad", "grad-cam"])
def test_gradient_methods_heed_max_batch(method, monkeypatch):
    model, x = image_pair("torch")
    free = xk.explain(model, x, method, target=2)
    seen: list[int] = []
    forward, backward = type(model)._forward, type(model)._backward
    monkeypatch.setattr(type(model), "_forward", lambda s, x, *a: (seen.append(len(x)), forward(s, x, *a))[1])
    monkeypatch.setattr(type(model), "_backward", lambda s, x, *a: (seen.append(len(x)), backward(s, x, *a))[1])
    bounded = xk.explain(model, x, method, target=2, max_batch=2)
    assert max(seen) <= 2
    assert agreement(free.values, bounded.values).max() <= 1e-5  # batches of other sizes round otherwise


@pytest.mark.parametrize("method", ["lime", "kernel-shap", "permutation-shap", "rise"])
def test_a_time_limit_ends_perturbation_with_what_there_is(method, clock):
    f = Counting(clock)
    found = xk.explain(wrapped(f), X[:1], method, max_batch=4, time_limit=20)
    assert clock.now <= 22  # one batch more than the limit, and what evidence takes
    assert 0 < found.quality["complete"][0] < 1
    assert found.status in ("warn", "fail")
    assert any("stopped early" in reason for reason in found.status.reasons)


def test_a_time_limit_leaves_out_samples_of_gradient_methods(clock, monkeypatch):
    model, x = image_pair("torch")
    whole = xk.explain(model, x, "integrated-gradients", target=2, steps=8, max_batch=8)
    slowly(model, clock, monkeypatch)
    some = xk.explain(model, x, "integrated-gradients", target=2, steps=8, max_batch=8, time_limit=3)
    assert_array_equal(some.quality["complete"], [1, 0, 0])  # two passes back for each sample, of four points
    assert np.isnan(some.values[1:]).all()
    assert_allclose(some.values[:1], whole.values[:1], atol=1e-6)
    assert some.status == "fail"


def test_smooth_grad_gives_the_mean_over_the_copies_that_it_had_time_for(clock, monkeypatch):
    model, x = image_pair("torch")
    slowly(model, clock, monkeypatch)
    found = xk.explain(model, x[0], "smooth-grad", target=2, samples=40, max_batch=8, time_limit=5)
    assert_array_equal(found.quality["complete"], [0.4])  # two passes back for eight copies; the third pair came late
    same = xk.explain(model, x[0], "smooth-grad", target=2, samples=16)
    assert agreement(same.values, found.values).max() <= 1e-5


@pytest.mark.parametrize("method", ["lime", "saliency", "rise", "smooth-grad", "integrated-gradients"])
def test_time_that_is_up_before_anything_was_found_is_an_error(method):
    model, x = image_pair("torch")
    with pytest.raises(TimeUp, match="time limit was over before"):
        xk.explain(model, x[0], method, target=2, time_limit=1e-6)


@pytest.mark.parametrize("method", SAMPLING)
def test_a_tolerance_stops_sampling_when_the_error_is_small(method):
    model, x = image_pair("torch")
    full = xk.explain(model, x[0], method, target=2, **SAMPLING[method])
    error = float(full.quality["standard_error"][0])
    MEMORY.clear()
    found = xk.explain(model, x[0], method, target=2, tolerance=1.9 * error, **SAMPLING[method])
    assert found.origin.model_calls < 0.8 * full.origin.model_calls
    assert found.quality["standard_error"][0] <= 1.9 * error
    assert found.quality["complete"][0] == 1
    assert not any("stopped early" in reason for reason in found.status.reasons)
    assert agreement(full.values, found.values).max() <= 25 * error  # the largest of many errors, not their mean


@pytest.mark.parametrize("method", SAMPLING)
def test_a_tolerance_out_of_reach_draws_all_samples_and_changes_nothing(method):
    model, x = image_pair("torch")
    few = {**SAMPLING[method], "samples": 200}
    full = xk.explain(model, x, method, target=2, **few)
    MEMORY.clear()
    found = xk.explain(model, x, method, target=2, tolerance=1e-9, **few)
    assert found.origin.model_calls == full.origin.model_calls
    assert agreement(full.values, found.values).max() <= 1e-5  # shares end batches elsewhere


def test_each_sample_stops_when_its_own_error_is_small():
    model, x = image_pair("torch")
    alone = [xk.explain(model, row, "lime", target=2, tolerance=0.05, **SAMPLING["lime"]) for row in x]
    MEMORY.clear()
    batch = xk.explain(model, x, "lime", target=2, tolerance=0.05, **SAMPLING["lime"])
    assert agreement(batch.values, np.concatenate([a.values for a in alone])).max() <= 1e-5
    assert_array_equal(
        np.isclose(batch.quality["standard_error"], [a.quality["standard_error"][0] for a in alone], rtol=1e-3), True
    )


def test_an_exact_answer_needs_no_error():
    model, _ = linear_net("torch")
    found = xk.explain(model, np.ones((1, 4), np.float32), "kernel-shap", target=1, tolerance=0.01)
    assert_allclose(found.quality["standard_error"], 0, atol=1e-6)
    assert found.quality["complete"][0] == 1


@pytest.mark.parametrize(
    ("bound", "value"),
    [
        ("max_calls", -1),
        ("max_calls", 2.5),
        ("max_batch", 0),
        ("max_batch", True),
        ("time_limit", 0),
        ("time_limit", "soon"),
        ("time_limit", float("nan")),
        ("tolerance", -0.1),
        ("tolerance", 0),
    ],
)
def test_a_bound_that_makes_no_sense_is_refused(bound, value):
    with pytest.raises(ParameterError, match=f"{bound} is"):
        xk.explain(wrapped(noisy), X, "lime", **{bound: value})
