"""Detectors: contributions sum to the score, anomalies are found, and results keep and show themselves."""

from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image as Pillow
from sklearn.metrics import roc_auc_score

import xaikit as xk
from tests.anomaly.nets import digits, flat, pictures
from xaikit.errors import InputError, NotSupported, ParameterError, UsageError


@pytest.fixture(scope="module")
def zeros() -> tuple[Any, Any, Any]:
    return digits(0)


@pytest.mark.parametrize("error", ["mse", "mae"])
def test_contributions_sum_to_the_mean_error_of_every_sample(zeros: Any, error: Any) -> None:
    training, held_out, others = zeros
    model = flat(training, error=error)
    x = np.concatenate([held_out, others[:200]])
    scores = xk.anomaly.fit(model, training).score(x)
    difference = np.float32(x).astype(np.float64) - model.run(np.float32(x)).output
    errors = difference**2 if error == "mse" else np.abs(difference)
    # the same float64 numbers, summed in another order
    assert_allclose(scores.values, errors.mean(1), rtol=1e-12)
    assert_array_equal(scores.contributions.sum(1), scores.values)
    assert_array_equal(scores.contributions, errors / 64)
    assert_array_equal(scores.difference, difference)


@pytest.mark.parametrize(
    ("digit", "auroc"),
    list(enumerate([1.0000, 0.9985, 0.9971, 0.9906, 0.9999, 0.9962, 0.9997, 0.9999, 0.9733, 0.9927])),
)
def test_the_published_ranking_of_a_linear_autoencoder(digit: int, auroc: float) -> None:
    training, held_out, others = digits(digit)
    scores = xk.anomaly.fit(flat(training), training).score(np.concatenate([held_out, others]))
    found = roc_auc_score(np.arange(len(scores)) >= len(held_out), scores.values)
    assert_allclose(found, auroc, atol=5.1e-5)  # printed to four places


def test_flags_are_scores_above_the_threshold(zeros: Any) -> None:
    training, held_out, others = zeros
    scores = xk.anomaly.fit(flat(training), held_out, level=0.9).score(np.concatenate([held_out, others]))
    assert_array_equal(scores.flags, scores.values > scores.threshold)
    # 8.9 of 89 lie above the 0.9 quantile of themselves
    assert scores.flags[: len(held_out)].sum() == 9
    assert scores.flags[len(held_out) :].mean() > 0.99


def test_p_values_count_the_normal_samples_that_score_as_high(zeros: Any) -> None:
    training, held_out, others = zeros
    detector = xk.anomaly.fit(flat(training), held_out)
    scores = detector.score(others[:50])
    normal = detector.calibration.scores
    mixed = replace(scores, values=np.concatenate([scores.values, normal[:5]]))
    expected = [(1 + sum(n >= v for n in normal)) / (1 + len(normal)) for v in mixed.values]
    assert_allclose(mixed.p_values, expected)


def test_a_batch_and_one_sample_score_alike(zeros: Any) -> None:
    training, held_out, _ = zeros
    detector = xk.anomaly.fit(flat(training), held_out)
    whole = detector.score(held_out[:3])
    for i, one in enumerate(whole):
        alone = detector.score(held_out[i])
        assert len(one) == len(alone) == 1
        assert_allclose(alone.contributions, one.contributions, rtol=1e-6, atol=1e-12)
        assert alone.origin.input_hash == one.origin.input_hash


def test_pictures_come_as_paths_pillow_pictures_arrays_and_lists(zeros: Any, tmp_path: Path) -> None:
    training, held_out, _ = zeros
    detector = xk.anomaly.fit(pictures(training), list(16 * held_out.reshape(-1, 8, 8)))
    given = np.uint8(16 * held_out[0].reshape(8, 8))
    Pillow.fromarray(given).save(tmp_path / "zero.png")
    forms = [given, tmp_path / "zero.png", Pillow.fromarray(given), [given], given[None, :, :, None]]
    found = [detector.score(x) for x in forms]
    assert [s.contributions.shape for s in found] == [(1, 8, 8, 1)] * len(forms)
    assert {float(s.values[0]) for s in found} == {float(found[0].values[0])}
    assert found[0].axes == ("sample", "height", "width", "channel")


def test_another_rule_does_not_run_the_network_again(zeros: Any) -> None:
    training, held_out, _ = zeros
    calls = []
    net = flat(training).net

    def counted(x: Any) -> Any:
        calls.append(len(x))
        return net(x)

    model = xk.wrap(counted, inputs=xk.Array((64,)), outputs=xk.Reconstruction())
    detector = xk.anomaly.fit(model, held_out)
    before = sum(calls)
    other = detector.using("median-mad", k=3)
    assert sum(calls) == before
    assert other.threshold == xk.anomaly.fit(model, held_out, "median-mad", k=3).threshold != detector.threshold


@pytest.mark.parametrize("score", ["mse", "mae"])
def test_the_share_of_the_variance_that_comes_back_is_measured(zeros: Any, score: str) -> None:
    x = zeros[0]
    detector = xk.anomaly.fit(flat(x), x, score=score)
    found = np.square(np.asarray(detector.model.run(x).output) - x).sum()
    variance = np.square(x - x.mean(0)).sum() * len(x) / (len(x) - 1)
    assert_allclose(detector.calibration.explained, 1 - found / variance, rtol=1e-6)  # network in 32 bits
    assert detector.calibration.explained > 0.5


def test_a_network_that_does_not_give_the_normal_samples_back_is_told_whatever_the_rule(zeros: Any) -> None:
    x = zeros[0]
    inverted = xk.wrap(lambda given: 1 - np.asarray(given), inputs=xk.Array((64,)), outputs=xk.Reconstruction())
    detector = xk.anomaly.fit(inverted, x, level=0.9)
    said = "gives the normal samples back no better than their mean would"
    assert said in detector.status.reasons[0]
    assert said in detector.using("median-mad", k=3).status.reasons[0]
    assert xk.anomaly.fit(inverted, x[:19], level=0.9).calibration.explained is None  # too few to know their variance
    assert xk.anomaly.fit(inverted, np.repeat(x[:1], 30, 0), level=0.9).calibration.explained is None


def test_many_normal_samples_are_scored_in_pieces_with_progress(zeros: Any) -> None:
    training, held_out, _ = zeros
    told: list[tuple[int, int]] = []
    many = np.tile(held_out, (20, 1))
    detector = xk.anomaly.fit(flat(training), many, progress=lambda done, total: told.append((done, total)))
    assert told == [(1024, 1780), (1780, 1780)]
    assert_allclose(detector.calibration.scores, np.tile(detector.score(held_out).values, 20), rtol=1e-6)


def test_scores_read_back_equal(zeros: Any, tmp_path: Path) -> None:
    training, held_out, others = zeros
    scores = xk.anomaly.fit(flat(training), held_out, "mean-sd", k=3).score(others[:4])
    back = xk.load(xk.save(scores, tmp_path / "scores"))
    for name in ("values", "contributions", "x", "reconstruction", "display", "flags", "p_values"):
        assert_array_equal(getattr(back, name), getattr(scores, name))
    assert_array_equal(back.calibration.scores, scores.calibration.scores)
    for name in ("axes", "error", "threshold", "input_spec", "output_spec", "status", "origin"):
        assert getattr(back, name) == getattr(scores, name)
    assert back.status.reasons == scores.status.reasons
    assert (back.calibration.k, back.calibration.level, back.calibration.false_alarms) == (
        3,
        None,
        scores.calibration.false_alarms,
    )


def test_the_result_says_how_it_came_about_and_is_frozen(zeros: Any) -> None:
    training, held_out, _ = zeros
    scores = xk.anomaly.fit(flat(training), held_out).score(held_out[0])
    assert scores.origin.method == "anomaly"
    assert scores.origin.parameters == {"rule": "quantile", "level": 0.99, "k": None, "error": "mse"}
    assert scores.origin.model_calls == 1
    assert scores.status == "warn"
    assert "there are 89" in scores.status.reasons[0]
    with pytest.raises(FrozenInstanceError):
        scores.values = np.zeros(1)
    with pytest.raises(IndexError):
        scores[1]
    assert "1 anomalous" in repr(scores)


def test_a_score_that_is_no_number_is_flagged_and_fails() -> None:
    net = lambda x: np.where(np.asarray(x) > 2, np.nan, np.asarray(x) * 0.9)  # noqa: E731
    model = xk.wrap(net, inputs=xk.Array((3,)), outputs=xk.Reconstruction())
    detector = xk.anomaly.fit(model, np.random.default_rng(0).random((200, 3)))
    scores = detector.score([[0.5, 0.5, 3.0], [0.1, 0.1, 0.1]])
    assert_array_equal(scores.flags, [True, False])
    assert scores.status == "fail"
    with pytest.raises(InputError, match="no finite numbers for 1 normal"):
        xk.anomaly.fit(model, [[0.5, 0.5, 3.0], [0.1, 0.1, 0.1]])


def test_what_does_not_reconstruct_is_refused() -> None:
    with pytest.raises(UsageError, match=r"anomaly.fit takes a wrapped model"):
        xk.anomaly.fit(lambda x: x, [[1.0]])  # type: ignore[arg-type]
    values = xk.wrap(lambda x: np.asarray(x), inputs=xk.Array((3,)), outputs=xk.Values(["a", "b", "c"]))
    with pytest.raises(NotSupported, match=r"outputs=xk\.Reconstruction"):
        xk.anomaly.fit(values, [[1.0, 2.0, 3.0]])


def test_a_mistake_in_the_rule_is_said_before_the_network_runs(zeros: Any) -> None:
    calls = []
    model = xk.wrap(lambda x: calls.append(len(x)) or np.asarray(x), inputs=xk.Array((3,)), outputs=xk.Reconstruction())
    assert model.outputs.error == "mse"
    before = len(calls)
    with pytest.raises(ParameterError):
        xk.anomaly.fit(model, np.ones((5, 3)), level=99)
    assert len(calls) == before


@pytest.mark.parametrize(("x", "said"), [([], "no sample"), ([[1.0, np.nan, 0.0]], "NaN"), ([[1.0, 2.0]], "shape")])
def test_wrong_samples_are_said(x: Any, said: str) -> None:
    model = xk.wrap(lambda x: np.asarray(x), inputs=xk.Array((3,)), outputs=xk.Reconstruction())
    with pytest.raises(InputError, match=said):
        xk.anomaly.fit(model, x)


@pytest.mark.slow
def test_heartbeats(data_folder: Path) -> None:
    from xaikit import data

    model = xk.zoo.load("series_autoencoder")
    test = data.load("ecg5000_normal").read("test")
    normal, other = test.x[test.y == 0], test.x[test.y == 1]
    detector = xk.anomaly.fit(model, normal[::2])
    scores = detector.score(np.concatenate([normal[1::2], other]))
    truth = np.arange(len(scores)) >= len(normal[1::2])
    assert roc_auc_score(truth, scores.values) > 0.95
    assert detector.status == "warn"
