"""Thresholds: closed forms, published numbers, and what cannot be promised is said."""

import re
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import binom

from tests.anomaly.nets import digits, flat
from xaikit import anomaly
from xaikit.anomaly import calibrate
from xaikit.anomaly._thresholds import share_interval
from xaikit.errors import InputError, ParameterError, UnknownName

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
