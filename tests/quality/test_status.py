"""The verdict on an explanation: its rules, its reasons, and how often it is wrong about exact results."""

import dataclasses
import time
from typing import Any

import numpy as np
import pytest

import xaikit as xk
from tests.analytic import Analytic
from tests.contract.nets import image_pair
from xaikit.errors import Cancelled, ParameterError
from xaikit.quality import stability
from xaikit.results import judge

pytestmark = pytest.mark.slow

ONES = np.ones((1, 3))


def told(**quality: float) -> Any:
    return judge({k: np.array([v]) for k, v in quality.items()}, ONES)


@pytest.mark.parametrize(
    ("quality", "level", "word"),
    [
        ({}, "ok", ""),
        ({"completeness_gap_relative": 0.009}, "ok", ""),
        ({"completeness_gap_relative": 0.02}, "warn", "completeness gap 2.0%"),
        ({"completeness_gap_relative": 0.06}, "fail", "completeness gap 6.0%"),
        ({"completeness_gap_relative": np.nan}, "fail", "completeness"),
        ({"relevance_absorbed": 0.4}, "ok", ""),
        ({"relevance_absorbed": 0.8}, "warn", "take 80% of the score"),
        ({"relevance_absorbed": np.nan}, "warn", "of the score"),
        ({"read": 0.5}, "ok", ""),
        ({"read": 0.2}, "warn", "knows 20% of the text"),
        ({"surrogate_r2": 0.6}, "ok", ""),
        ({"surrogate_r2": 0.4}, "warn", "R² = 0.40"),
        ({"surrogate_r2": 0.1}, "fail", "R² = 0.10"),
        ({"advantage": 2.0}, "ok", ""),
        ({"advantage": 0.2}, "fail", "no better than random maps"),
        ({"advantage": np.nan}, "ok", ""),
        ({"advantage": 1.3, "ranked_parts": 9}, "ok", ""),
        ({"advantage": 1.3, "ranked_parts": 784}, "fail", "no better than random maps"),
        ({"rank_agreement": 0.71}, "ok", ""),
        ({"rank_agreement": 0.5}, "warn", "rank agreement 0.50"),
        ({"rank_agreement": np.nan}, "ok", ""),
        ({"randomised_similarity": 0.9}, "warn", "hardly depends on the weights"),
        ({"randomised_similarity": 0.9, "ranked_parts": 6}, "ok", ""),
        ({"complete": 0.5}, "warn", "stopped early"),
    ],
)
def test_every_rule_has_its_level_and_its_words(quality: dict[str, float], level: str, word: str) -> None:
    status = told(**quality)
    assert status == level
    assert (len(status.reasons) == 0) == (level == "ok")
    assert not word or any(word in reason for reason in status.reasons)


def test_the_worst_sample_decides_and_fails_stand_first() -> None:
    status = judge({"surrogate_r2": np.array([0.9, 0.4]), "advantage": np.array([5.0, -1.0])}, np.ones((2, 3)))
    assert status == "fail"
    assert status.reasons[0].startswith("no better")
    assert len(status.reasons) == 2


def test_rounding_is_no_gap() -> None:
    """f(x) = 20.001 and f(b) = 20: the gap is a tenth of the difference, and float32's rounding."""
    assert told(completeness_gap=1e-4, completeness_gap_relative=0.1, score=20.001) == "ok"
    assert told(completeness_gap=0.1, completeness_gap_relative=0.1, score=20.0) == "fail"
    assert told(completeness_gap=1e-5, completeness_gap_relative=np.inf, score=20.0) == "ok"


@pytest.mark.parametrize("values", [[[np.nan, 1.0]], [[np.inf, 1.0]]])
def test_values_that_are_no_numbers_fail(values: Any) -> None:
    status = judge({}, np.array(values))
    assert (status, "not finite" in status.reasons[0]) == ("fail", True)


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "exact-shapley", "lime", "occlusion"])
def test_a_constant_model_is_told(method: str) -> None:
    model = Analytic(np.zeros((4, 1)), 3.0)
    e = xk.explain(model, np.ones((1, 4), np.float32), method, evidence="full")
    assert e.status == "warn"
    assert "does not react" in e.status.reasons[0]
    if "completeness_gap" in e.quality:
        assert "constant model" in e.status.reasons[0]


class Slow(Analytic):
    """A network that takes its time for each pass."""

    pause, largest = 0.06, 0

    def _forward(self, x: Any, *rest: Any) -> Any:
        time.sleep(self.pause)
        self.largest = max(self.largest, len(x))
        return super()._forward(x, *rest)


def test_full_evidence_is_in_quality_status_and_notes() -> None:
    model, x = image_pair("torch")
    free = xk.explain(model, x[:2], "lime", target=2, samples=100, segments=9)
    full = xk.explain(model, x[:2], "lime", target=2, samples=100, segments=9, evidence="full")
    assert "advantage" not in free.quality
    for key in ("deletion", "insertion", "random_deletion", "advantage", "rank_agreement", "randomised_similarity"):
        assert full.quality[key].shape == (2,)
    notes = full.origin.notes["evidence"]
    assert set(notes) == {"faithfulness", "randomisation", "stability"}
    assert notes["stability"]["model_calls"] > 0
    np.testing.assert_array_equal(full.values, free.values)
    assert full[0].quality["advantage"] == full.quality["advantage"][0]


@pytest.mark.parametrize("bound", [{"time_limit": 0.2}, {"max_batch": 3}])
def test_evidence_keeps_to_the_budget(bound: dict[str, Any]) -> None:
    slow, x = Slow(np.ones((6, 1))), np.ones((1, 6), np.float32)
    start = time.perf_counter()
    e = xk.explain(slow, x, "lime", samples=20, evidence="full", accelerate="none", **bound)
    notes = e.origin.notes["evidence"]
    assert slow.largest <= bound.get("max_batch", 1e9)
    if "time_limit" in bound:
        assert time.perf_counter() - start < 0.2 + 3 * Slow.pause
        assert notes["stability"] == {"skipped": "the time limit was over"}
        assert "rank_agreement" not in e.quality
    assert np.isfinite(e.values).all()


def test_a_cancelled_check_leaves_the_explanation() -> None:
    model, x, told = Analytic(np.ones((6, 1))), np.ones((1, 6), np.float32), []
    free = xk.explain(model, x, "lime", samples=20, progress=lambda done, total: told.append(done))
    own, told = len(told), []

    def stop(done: int, total: int) -> None:
        told.append(done)
        if len(told) > own:
            raise Cancelled("enough")

    e = xk.explain(model, x, "lime", samples=20, evidence="full", progress=stop)
    assert e.origin.notes["evidence"]["stability"] == {"skipped": "it was cancelled"}
    np.testing.assert_array_equal(e.values, free.values)


def test_chance_is_checked_only_where_it_has_a_part_and_weights_only_where_there_are_any() -> None:
    model = Analytic(np.random.default_rng(0).normal(size=(4, 1)))
    e = xk.explain(model, np.ones((1, 4), np.float32), "saliency", evidence="full")
    notes = e.origin.notes["evidence"]
    assert "draws no samples" in notes["stability"]["skipped"]
    assert "weights" in notes["randomisation"]["skipped"]
    assert not {"rank_agreement", "randomised_similarity"} & set(e.quality)


def test_columns_that_nothing_can_stand_in_for_are_not_hidden() -> None:
    columns = xk.Table({"a": xk.Number(), "b": xk.Number()})
    model = Analytic(np.ones((2, 1)), inputs=columns)
    e = xk.explain(model, {"a": 1.0, "b": 2.0}, "saliency", evidence="full")
    assert "typical rows" in e.origin.notes["evidence"]["faithfulness"]["skipped"]
    assert e.status == "ok"


@pytest.mark.filterwarnings("error")
def test_of_a_score_that_is_no_number_nothing_is_ok() -> None:
    model, x = Analytic(np.full((4, 1), np.nan)), np.ones((1, 4), np.float32)
    e = xk.explain(model, x, "lime", samples=20)
    assert e.status == "fail"
    for found in (xk.faithfulness(model, e), stability(model, e)):
        assert found.status == "fail"
    flat = dataclasses.replace(e, values=np.ones_like(e.values), quality={"score": np.array([np.nan])})
    assert judge(flat.quality, flat.values) == "fail"


def test_a_map_of_zeros_says_what_is_known_of_it() -> None:
    zeros = np.zeros((1, 3))
    assert "or has no gradient" in judge({}, zeros).reasons[0]
    apart = {"completeness_gap": np.array([0.4]), "completeness_gap_relative": np.array([1.0])}
    assert "another at the baseline" in " ".join(judge(apart, zeros).reasons)


def test_a_level_that_is_none_is_refused_before_anything_is_run() -> None:
    model = Analytic(np.ones((4, 1)))
    with pytest.raises(ParameterError, match="did you mean 'full'"):
        xk.explain(model, np.ones((1, 4), np.float32), "saliency", evidence="ful")
    assert model.rows == 0


@pytest.mark.parametrize(
    ("method", "parameters"),
    [("exact-shapley", {}), ("kernel-shap", {}), ("integrated-gradients", {"steps": 2000})],
)
def test_exact_results_raise_no_false_alarm(method: str, parameters: dict[str, Any]) -> None:
    """At most one in twenty of exact explanations of random networks is warned of."""
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(4, 10))
        net = Analytic(rng.normal(size=(n, 16)), rng.normal(size=16), rng.normal(size=(16, 2)))
        x = rng.normal(size=(1, n)).astype("f")
        alarms += xk.explain(net, x, method, target=0, evidence="full", **parameters).status != "ok"
    assert alarms <= 1
