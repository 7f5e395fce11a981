"""Thresholds: closed forms, published numbers, and what cannot be promised is said."""

import re
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import binom, genpareto
from sklearn.metrics import f1_score

from tests.anomaly.nets import digits, flat
from xaikit import anomaly
from xaikit.anomaly import calibrate
from xaikit.anomaly._tails import Tail, fit_tail, pareto
from xaikit.anomaly._thresholds import best_f1, share_interval
from xaikit.errors import InputError, ParameterError, UnknownName

pytestmark = pytest.mark.slow

SCORES = np.array([1.0, 2.0, 3.0, 4.0, 10.0] * 40)


def test_each_rule_is_its_formula() -> None:
    assert calibrate(np.arange(201.0), level=0.95).threshold == 190.0
    assert_allclose(calibrate(SCORES, "mean-sd", k=2).threshold, 4 + 2 * np.sqrt(10))
    assert_allclose(calibrate(SCORES, "median-mad", k=2).threshold, 3 + 2 * 1.4826 * 1)


@pytest.mark.parametrize("rule", ["mean-sd", "median-mad"])
def test_a_level_stands_for_the_deviations_of_a_normal_distribution(rule: str) -> None:
    scores = np.array([NormalDist(5, 0.5).inv_cdf((i + 0.5) / 4000) for i in range(4000)])
    found = calibrate(scores, rule, 0.99)
    # 4000 equally probable points have the distribution's spread to a thousandth
    assert_allclose(found.threshold, NormalDist(5, 0.5).inv_cdf(0.99), rtol=1e-3)
    assert found.status == "ok"


def test_anomalies_among_the_normal_samples_do_not_move_the_median_rule() -> None:
    polluted = np.append(SCORES, [1e6] * 5)
    assert_allclose(calibrate(polluted, "median-mad", k=3).threshold, calibrate(SCORES, "median-mad", k=3).threshold)
    assert calibrate(polluted, "mean-sd", k=3).threshold > 1e5


def test_the_published_thresholds_of_a_linear_autoencoder() -> None:
    training, held_out, _ = digits(0)
    detector = anomaly.fit(flat(training), training, level=0.95)
    rules: list[dict[str, Any]] = [{"level": 0.95}, {"rule": "mean-sd", "k": 1}, {"rule": "mean-sd", "k": 3}]
    using = [detector.using(**rule) for rule in rules]
    # printed to eight places
    assert_allclose([d.threshold for d in using], [0.01055957, 0.00816780, 0.01321006], atol=5e-9)
    assert_allclose([d.score(held_out).flags.mean() for d in using], [0.1685, 0.3146, 0.0899], atol=5e-5)


@pytest.mark.parametrize(("above", "of"), [(0, 20), (3, 50), (20, 20), (1, 1)])
def test_false_alarms_are_the_shares_under_which_the_count_is_no_surprise(above: int, of: int) -> None:
    low, high = share_interval(above, of)
    assert (low == 0.0) if above == 0 else np.isclose(binom.sf(above - 1, of, low), 0.05)
    assert (high == 1.0) if above == of else np.isclose(binom.cdf(above, of, high), 0.05)


@pytest.mark.parametrize(
    ("scores", "asked", "said"),
    [
        (np.arange(99.0), {"level": 0.99}, "a level of 0.99 needs at least 100 normal samples, and there are 99"),
        (np.arange(1.0), {"level": 0.5}, "there is 1:"),
        (np.arange(19.0), {"rule": "mean-sd", "k": 3}, "from 19 normal samples is a guess"),
        (np.arange(200.0) ** 6, {"rule": "median-mad", "level": 0.99}, "not normally distributed"),
        (np.ones(200), {"level": 0.9}, "the same score"),
        (np.append(np.ones(150), np.arange(50.0)), {"rule": "median-mad", "k": 3}, "the MAD is zero"),
    ],
)
def test_a_threshold_that_cannot_be_trusted_says_so(scores: Any, asked: dict[str, Any], said: str) -> None:
    found = calibrate(scores, **asked)
    assert found.status == "warn"
    assert re.search(re.escape(said), " ".join(found.status.reasons))


def test_enough_samples_are_no_reason_to_warn() -> None:
    for scores, asked in ((np.arange(100.0), {"level": 0.99}), (np.arange(1000.0), {"level": 0.999})):
        assert calibrate(scores, **asked).status == "ok"


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        ({"rule": "quantil"}, UnknownName, "did you mean 'quantile'"),
        ({"level": 1.0}, ParameterError, "between 0 and 1"),
        ({"level": float("nan")}, ParameterError, "between 0 and 1"),
        ({"k": 3}, ParameterError, "for the rules mean-sd and median-mad"),
        ({"rule": "mean-sd", "k": 3, "level": 0.9}, ParameterError, "in place of a level"),
        ({"rule": "mean-sd", "k": float("inf")}, ParameterError, "finite"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=re.escape(said)):
        calibrate(SCORES, **asked)


@pytest.mark.parametrize("scores", [[], [[1.0]], [1.0, np.nan]])
def test_scores_must_be_numbers_for_samples(scores: Any) -> None:
    with pytest.raises(InputError, match="one finite number per sample"):
        calibrate(np.array(scores))


def test_one_sample_has_no_spread() -> None:
    with pytest.raises(InputError, match="at least two"):
        calibrate(np.ones(1), "mean-sd", k=3)


def exponential(n: int = 10_000) -> Any:
    """The quantiles of an exponential distribution in the middle of n equal shares."""
    return -np.log1p(-(np.arange(n) + 0.5) / n)


@pytest.mark.parametrize(("share", "threshold"), [(1e-3, 6.888087), (1e-4, 9.099971)])
def test_published_thresholds_over_a_tail(share: float, threshold: float) -> None:
    found = calibrate(exponential(), "pot", 1 - share)
    assert_allclose(found.threshold, threshold, atol=5.1e-7)  # printed to six places
    told = found.diagnostics
    assert_allclose([told["start"], told["shape"], told["scale"]], [3.909626, -0.012978, 1.013686], atol=5.1e-7)
    assert told["excesses"] == 200
    assert found.status == "ok"


def test_the_quick_fit_of_a_tail_is_at_least_as_likely() -> None:
    for seed, shape in enumerate([-0.3, 0.0, 0.2, 0.8]):
        excess = genpareto.rvs(shape, scale=2.0, size=400, random_state=seed)
        ours = genpareto.logpdf(excess, *_at(pareto(excess))).sum()
        scipys = genpareto.logpdf(excess, *genpareto.fit(excess, floc=0)).sum()
        assert ours >= scipys - 1e-6
        assert_allclose(pareto(excess)[0], shape, atol=0.2)  # two standard errors, (1 + shape)/20 each


def _at(tail: tuple[float, float]) -> tuple[float, float, float]:
    return tail[0], 0.0, tail[1]


def test_a_tail_of_few_or_of_another_shape_is_told() -> None:
    few = calibrate(np.linspace(1, 2, 100), "pot")
    assert "the tail is fitted to 2 normal scores" in few.status.reasons[0]
    steps = np.concatenate([np.linspace(0, 1, 9000), np.repeat([2.0, 3.0], 500)])
    assert any("do not follow the fitted tail" in r for r in calibrate(steps, "pot", 0.95).status.reasons)
    heavy = np.random.default_rng(0).pareto(0.8, 5000) + 1
    assert any("the tail is heavy" in r for r in calibrate(heavy, "pot").status.reasons)
    same = calibrate(np.ones(50), "pot")
    assert same.threshold == 1.0


def test_the_alert_rate_holds_on_average_for_few_samples_too() -> None:
    rng = np.random.default_rng(0)
    rates = {"quantile": [], "alert-rate": []}  # type: dict[str, list[float]]
    for _ in range(3000):
        scores = rng.exponential(size=39)
        for rule, found in rates.items():
            found.append(np.exp(-calibrate(scores, rule, 0.9).threshold))
    # the 36th of 39: exactly 0.1; a quantile between two of them is too low. Standard error 0.001
    assert_allclose(np.mean(rates["alert-rate"]), 0.1, atol=0.004)
    assert np.mean(rates["quantile"]) > 0.11


def test_too_few_samples_for_an_alert_rate_are_told() -> None:
    assert "needs at least 99 normal samples" in calibrate(np.arange(1.0, 91.0), "alert-rate").status.reasons[0]
    assert calibrate(np.linspace(1, 2, 99), "alert-rate").status == "ok"


def test_best_f1_is_the_best_of_all_cuts() -> None:
    rng = np.random.default_rng(0)
    normal, bad = rng.normal(0, 1, 80).round(1), rng.normal(1.5, 1, 30).round(1)
    found = calibrate(normal, "best-f1", anomalous=bad)
    both, y = np.concatenate([normal, bad]), np.repeat([0, 1], [80, 30])
    every = [f1_score(y, both > cut) for cut in [*np.unique(both), both.min() - 1]]
    assert_allclose(found.diagnostics["f1"], max(every))
    assert_allclose(f1_score(y, both > found.threshold), max(every))
    assert "labels" in repr(found)


def test_rules_with_labels_and_without_are_told_apart() -> None:
    with pytest.raises(ParameterError, match="needs anomalous samples"):
        calibrate(np.arange(1.0, 50.0), "best-f1")
    with pytest.raises(ParameterError, match="takes normal ones only"):
        calibrate(np.arange(1.0, 50.0), "quantile", anomalous=np.ones(3))
    with pytest.raises(ParameterError, match="neither level nor k"):
        calibrate(np.arange(1.0, 50.0), "best-f1", 0.9, anomalous=np.ones(3))
    with pytest.raises(InputError, match="anomalous"):
        calibrate(np.arange(1.0, 50.0), "best-f1", anomalous=np.zeros(0))


def test_anomalies_among_the_normal_samples_are_told() -> None:
    rng = np.random.default_rng(0)
    for draw in (rng.lognormal, rng.exponential, rng.random):
        assert calibrate(draw(size=500)).status == "ok"
    mixed = np.concatenate([rng.lognormal(size=300), 1000 * rng.lognormal(size=60)])
    assert "two groups, the upper one of 60 (17%)" in calibrate(mixed).status.reasons[-1]
    far = np.concatenate([rng.lognormal(0, 0.3, size=300), np.full(3, 1e3)])
    assert "3 of 303 normal samples have scores far outside" in calibrate(far, "median-mad", k=5).status.reasons[-1]


def test_the_alert_rate_counts_the_new_sample_too() -> None:
    assert calibrate(np.arange(1.0, 11), "alert-rate", 0.9).threshold == 10  # the ceil(11 * 0.9)-th of ten


def test_equal_scores_are_on_one_side_of_the_best_cut() -> None:
    threshold, f1 = best_f1(np.array([0.0, 1, 1]), np.array([1.0, 1, 2]))
    assert (threshold, f1) == (0, 3 / 4)  # all ones are flagged, or none: 2 · 3 / (5 + 3)


def test_an_exponential_tail_is_the_limit_of_a_generalised_pareto_one() -> None:
    exponential, near = (Tail(1.0, 20, 1000, shape, 2.0, 0, 0).exceeded_by(0.001) for shape in (0.0, 1e-7))
    assert_allclose(exponential, 1 + 2 * np.log(20))
    assert_allclose(near, exponential, rtol=1e-6)


def test_the_tail_begins_behind_its_start() -> None:
    tail = fit_tail(np.arange(101.0), 0.99)
    assert tail is not None
    assert (tail.start, tail.count) == (98, 2)


def test_scores_at_the_threshold_are_no_false_alarms() -> None:
    assert calibrate(np.ones(30)).false_alarms[0] == 0


def test_a_share_of_the_variance_above_zero_is_enough() -> None:
    spread = np.random.default_rng(0).gamma(9, size=300)
    assert calibrate(spread, explained=0.01).status == "ok"
    assert "R² 0" in calibrate(spread, explained=0.0).status.reasons[0]


@pytest.mark.parametrize(("far", "told"), [(1.75, False), (2.4, True)])
def test_scores_are_far_outside_from_three_times_the_middle_half_on(far: float, told: bool) -> None:
    logs = np.append(np.linspace(0, 1, 201), [far, far])  # the middle half is 0.5 wide and ends at 0.75
    assert any("far outside" in r for r in calibrate(np.exp(logs)).status.reasons) == told


@pytest.mark.parametrize(("count", "told"), [(16, False), (17, True)])
def test_few_scores_are_no_mixture(count: int, told: bool) -> None:
    scores = np.append(np.linspace(1, 2, count), [1e6, 2e6, 3e6])
    assert any("two groups" in r for r in calibrate(scores).status.reasons) == told
