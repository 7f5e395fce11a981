"""Threshold reports, explanations of one anomaly, metrics with baselines, and long series."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

import xaikit as xk
from tests.anomaly.nets import Linear, Variational, digits, flat, pictures
from tests.equality import same
from xaikit import anomaly
from xaikit.anomaly._metrics import _compared, _redrawn, auprc, auroc, fpr_at, runs
from xaikit.anomaly._stream import events_of
from xaikit.errors import InputError, NotSupported, ParameterError, UnknownName
from xaikit.render import draw, png
from xaikit.results import Status

pytestmark = pytest.mark.slow


def kept(result: Any, folder: Path) -> None:
    """It reads back equal, shows itself, and every renderer draws it."""
    assert same(result, xk.load(xk.save(result, folder / "r")))
    assert set(result._repr_mimebundle_()[0]) == {"text/plain", "image/png"}
    from xaikit.figures import panels

    for renderer in ("plotly", "svg", "none"):
        assert draw(panels(result), renderer)
    assert png(result, width=700).startswith(b"\x89PNG")


# ---------------------------------------------------------------- thresholds


def test_thresholds_stand_side_by_side_with_their_intervals(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scores = rng.exponential(size=400)
    report = anomaly.threshold_report(scores, level=0.95, draws=100)
    assert tuple(c.rule for c in report.calibrations) == anomaly.RULES
    for row, c in zip(report.table(), report.calibrations, strict=True):
        assert c.threshold == anomaly.calibrate(scores, c.rule, 0.95).threshold
        assert row["low"] < row["threshold"] * 1.02
        assert row["high"] > row["threshold"] * 0.98
    quantiles = report.intervals[0]
    # an order statistic of an exponential: sd sqrt(p / (1 - p) / n), 0.22 for p = 0.95
    assert_allclose(np.diff(quantiles), 2 * 1.645 * np.sqrt(19 / 400), rtol=0.4)
    assert_allclose(report.alerts[[0, 3, 4]], 0.05, atol=0.012)
    again = anomaly.threshold_report(scores, level=0.95, draws=100)
    assert_array_equal(report.intervals, again.intervals)
    kept(report, tmp_path)


def test_labels_add_a_rule_and_few_draws_are_refused() -> None:
    training, held_out, others = digits(0)
    report = xk.anomaly.fit(flat(training), held_out).thresholds(anomalous=others[:50], draws=20)
    assert [c.rule for c in report.calibrations][-1] == "best-f1"
    assert report.calibrations[-1].diagnostics["f1"] > 0.95
    with pytest.raises(ParameterError, match="at least 10 draws"):
        anomaly.threshold_report(np.arange(1.0, 99.0), draws=2)
    with pytest.raises(UnknownName):
        anomaly.threshold_report(np.arange(1.0, 99.0), ["median"])


# ---------------------------------------------------------------- one anomaly


def broken() -> tuple[Any, Any, Any]:
    """A detector of zeros, and a zero of which one corner was inverted."""
    training, held_out, _ = digits(0)
    detector = xk.anomaly.fit(Variational(training, 8).wrapped(), held_out)
    x = held_out[3].copy()
    x[[0, 1, 9]] = 1 - x[[0, 1, 9]]
    return detector, x, held_out


def test_a_repair_restores_the_places_that_were_changed(tmp_path: Path) -> None:
    detector, x, _ = broken()
    found = detector.explain(x)
    assert found.value > found.threshold >= found.repaired_score
    assert set(found.needed) <= {0, 1, 9}
    assert np.all(np.diff(found.path) < 0)
    assert_allclose(detector.score(found.repaired).values, found.repaired_score, rtol=1e-9)
    changed = np.flatnonzero(found.repaired != found.scores.x[0])
    assert set(changed) == set(found.needed)
    assert_allclose(found.repaired[changed], found.scores.reconstruction[0][changed], rtol=1e-6)
    kept(found, tmp_path)


def test_every_step_of_the_path_is_the_best_of_all_candidates() -> None:
    detector, x, _ = broken()
    found = detector.explain(x)
    given, back = found.scores.x[0], np.float32(found.scores.reconstruction[0])
    done: list[int] = []
    for part, after in zip(found.restored, found.path[1:], strict=True):
        tried = {}
        for p in range(64):
            y = given.copy()
            y[[*done, p]] = back[[*done, p]]
            tried[p] = float(detector.values(y[None])[0])
        assert tried[part] == min(v for p, v in tried.items() if p not in done)
        assert_allclose(after, tried[part], rtol=1e-9)
        done.append(part)


def test_percentiles_and_nearest_samples_are_counted_among_the_normal_ones() -> None:
    detector, x, held_out = broken()
    found = detector.explain(x)
    normal = detector.score(held_out).contributions
    assert_allclose(found.percentiles, (normal < found.scores.contributions[0]).mean(0))
    assert_allclose(found.part_percentiles, found.percentiles)
    assert_allclose(found.part_values.sum(), found.value)
    apart = np.square(np.float32(held_out) - found.scores.x).sum(1)
    assert found.nearest[0] == apart.argmin()
    assert_allclose(found.distances[0], np.sqrt(apart.min()), rtol=1e-6)
    assert found.nearest[1] >= 0
    assert_array_equal(found.nearest_x[0], np.float32(held_out)[found.nearest[0]])


def test_the_error_is_attributed_from_the_nearest_normal_sample() -> None:
    detector, x, held_out = broken()
    found = detector.explain(x)
    start = float(detector.score(held_out[found.nearest[0]]).values[0])
    # integrated gradients of a square along a line are exact
    assert_allclose(found.attribution.values.sum(), found.value - start, rtol=1e-3)


def test_pictures_and_series_are_repaired_by_patches_and_windows(tmp_path: Path) -> None:
    training, held_out, _ = digits(0)
    model = pictures(training)
    x = 16 * held_out[0].reshape(8, 8)
    x[:3, :2] = 16
    found = xk.anomaly.fit(model, list(16 * held_out.reshape(-1, 8, 8))).explain(x)
    assert found.attribution is None  # a plain function has no gradients
    assert found.nearest[1] == -1
    assert found.repaired_score <= found.threshold
    assert found.names[0] == "rows 0-1, columns 0-1"
    kept(found, tmp_path)
    t = np.arange(40)
    waves = np.stack([np.sin(t / 4 + p) for p in np.linspace(0, 6, 60)])[..., None]
    series = xk.wrap(
        Linear(waves.reshape(60, -1), 3), inputs=xk.Series(40, 1), outputs=xk.Reconstruction(), name="wave"
    )
    bad = waves[7].copy()
    bad[10:12] += 1
    noise = np.random.default_rng(0).normal(0, 0.1, waves.shape)
    told = xk.anomaly.fit(series, waves + noise).explain(bad)
    assert [told.names[p] for p in told.needed] == ["steps 10-11"]
    kept(told, tmp_path)


def test_a_normal_sample_several_samples_and_wrong_parts_are_told() -> None:
    detector, x, held_out = broken()
    normal = detector.explain(held_out[1])
    assert normal.restored == ()
    assert "not anomalous" in normal.status.reasons[-1]
    short = detector.explain(x, limit=1)
    assert len(short.restored) == 1
    assert "still anomalous" in short.status.reasons[-1]
    with pytest.raises(InputError, match="one anomaly"):
        detector.explain(held_out[:2])
    with pytest.raises(ParameterError, match="parts are whole numbers"):
        detector.explain(x, parts=np.zeros(3, int))
    halves = detector.explain(x, parts=np.repeat([0, 1], 32))
    assert halves.needed == (0,)


# ---------------------------------------------------------------- how well


@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.random(300) < 0.2
    scores = (rng.normal(size=300) + labels).round(1)  # with ties
    assert_allclose(auroc(labels, scores), roc_auc_score(labels, scores))
    assert_allclose(auprc(labels, scores), average_precision_score(labels, scores))
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert_allclose(fpr_at(labels, scores), false[true >= 0.95].min())


def test_a_detector_is_compared_with_trivial_ones(tmp_path: Path) -> None:
    training, held_out, others = digits(0)
    detector = xk.anomaly.fit(flat(training), training)
    found = detector.evaluate(held_out, others, draws=50)
    assert found.names == ("linear", "distance to mean", "random")
    labels = np.repeat([False, True], [len(held_out), len(others)])
    distance = np.square(np.concatenate([held_out, others]) - training.mean(0)).mean(1)
    assert_allclose(found.auroc[1], roc_auc_score(labels, distance), rtol=1e-9)
    assert found.auroc_interval[2, 0] < 0.5 < found.auroc_interval[2, 1]
    assert_allclose(found.prevalence, len(others) / len(labels))
    assert found.k == len(others)
    assert_allclose(found.precision_at_k[2], labels[np.argsort(-found.scores[2])[: found.k]].mean())
    assert found.status == "ok"
    flags = detector.score(np.concatenate([held_out, others])).flags
    assert_allclose(found.deployed_f1[0], 2 * (labels & flags).sum() / (labels.sum() + flags.sum()))
    assert len(found.table()) == 3
    kept(found, tmp_path)


def test_a_detector_that_is_no_better_than_a_distance_is_told_so() -> None:
    rng = np.random.default_rng(0)
    identity = xk.wrap(lambda x: np.asarray(x) * 0.999, inputs=xk.Array((4,)), outputs=xk.Reconstruction(), name="copy")
    normal, bad = rng.normal(5, 0.1, (100, 4)), rng.normal(0, 0.1, (50, 4))
    found = xk.anomaly.fit(identity, normal).evaluate(normal, bad)
    assert found.status == "warn"
    assert "no better than that of distance to mean" in found.status.reasons[0]
    with pytest.raises(InputError, match="labels of one class"):
        xk.anomaly.fit(identity, normal).evaluate(normal, [])


def test_the_share_of_anomalies_that_is_asked_for_is_enough() -> None:
    scores = np.append(np.arange(2.0, 22), 2.5)  # a normal sample between the 19th and the last of 20 anomalies
    labels = np.append(np.ones(20, bool), False)
    assert fpr_at(labels, scores, 0.95) == 0
    assert fpr_at(labels, scores, 0.96) == 1


def test_anomalies_that_are_none_are_told() -> None:
    training, _, _ = digits(0)
    detector = xk.anomaly.fit(flat(training), training)
    for asked in (detector.thresholds, lambda x: detector.using("best-f1", anomalous=x)):
        with pytest.raises(InputError, match="anomalous= holds no sample"):
            asked(training[:0])


@pytest.mark.parametrize(("other", "status"), [(0.69, "ok"), (0.7, "warn"), (0.71, "warn")])
def test_as_good_as_a_baseline_is_not_better(other: float, status: str) -> None:
    assert _compared(("network", "distance to mean"), np.array([0.7, other])) == Status(
        status, () if status == "ok" else (f"AUROC 0.700 is no better than that of distance to mean ({other:.3f})",)
    )


def test_weights_are_drawn_anew_by_their_inputs_and_outputs() -> None:
    drawn = _redrawn(np.zeros((300, 100)), "kernel", np.random.default_rng(0))
    assert_allclose(drawn.std(), np.sqrt(2 / 400), rtol=0.02)  # 30,000 draws: the deviation is known to 0.4 %
    assert not _redrawn(np.ones(3), "bias", np.random.default_rng(0)).any()
    assert _redrawn(np.ones(3), "gamma", np.random.default_rng(0)).all()


def test_classes_that_are_exchanged_are_told() -> None:
    training, held_out, others = digits(0)
    detector = xk.anomaly.fit(flat(training), training)
    assert detector.evaluate(held_out, others, draws=1).status == "ok"
    found = detector.evaluate(others, held_out, draws=1)
    assert found.auroc[0] < 0.5
    assert "exchanged" in found.status.reasons[-1]


def test_region_overlap_is_one_where_regions_come_first_and_counts_regions_alike() -> None:
    masks = np.zeros((2, 12, 12), bool)
    masks[0, :6, :6] = masks[1, 9:, 9:] = masks[1, 0, 0] = True
    assert_allclose(anomaly.pro(masks * 1.0, masks), 1.0)
    missed = masks * 1.0
    missed[1, 0, 0] = -1.0  # one region of three, of one pixel, comes last
    assert_allclose(anomaly.pro(missed, masks), 2 / 3, atol=1e-9)
    assert anomaly.pro(np.random.default_rng(0).random((2, 12, 12)), masks) < 0.4
    with pytest.raises(InputError, match="hold no anomalous"):
        anomaly.pro(missed, masks * False)


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    mask = np.zeros((1, 5, 5), bool)
    mask[0, 0, 0] = mask[0, 1, 1] = mask[0, 4, 4] = True
    maps = np.where(mask, 1.0, 2.0)
    maps[0, 0, 0] = 3  # half of the first region, and nothing of the second, comes before normal pixels
    assert_allclose(anomaly.pro(maps, mask), 1 / 4)


def test_what_is_found_after_too_many_false_alarms_does_not_count() -> None:
    mask = np.zeros((1, 3, 7), bool)
    mask[0, 1, 2] = True  # the tenth of 21 pixels, so after 9 of 20 false alarms: more than 30 %
    assert_allclose(anomaly.pro(-np.arange(21.0).reshape(mask.shape), mask), 0, atol=1e-12)
    assert_allclose(anomaly.pro(-np.arange(21.0).reshape(mask.shape), mask, limit=0.9), 0.5)


def test_events_are_counted_once_and_point_adjustment_flatters() -> None:
    truth = np.zeros(100, bool)
    truth[20:60] = truth[80:82] = True
    flags = np.zeros(100, bool)
    flags[[25, 70, 71]] = True
    found = anomaly.event_scores(flags, truth)
    assert (found["events"], found["found"], found["false_events"]) == (2, 1, 1)
    assert_allclose([found["event_precision"], found["event_recall"], found["event_f1"]], 0.5)
    assert_allclose(found["point_f1"], 2 / 45)
    assert_allclose(found["point_adjusted_f1_misleading"], 80 / 84)
    assert runs(truth) == [(20, 60), (80, 82)]
    with pytest.raises(InputError, match="no event"):
        anomaly.event_scores(flags, truth & False)


# ---------------------------------------------------------------- a long series


def wave(steps: int = 16, channels: int = 1) -> Any:
    t = np.arange(400)
    signal = np.stack([np.sin(t / 3 + c) for c in range(channels)], -1)
    windows = np.moveaxis(np.lib.stride_tricks.sliding_window_view(signal, steps, axis=0), -1, 1).copy()
    net = Linear(windows.reshape(len(windows), -1), 2)
    model = xk.wrap(net, inputs=xk.Series(steps, channels), outputs=xk.Reconstruction(), name="wave")
    return xk.anomaly.fit(
        model, windows + np.random.default_rng(0).normal(0, 0.01, windows.shape), "mean-sd", k=8
    ), signal


@pytest.mark.parametrize(
    ("how", "stride", "channels"), [("mean", 1, 1), ("min", 3, 1), ("max", 5, 2), ("median", 4, 1)]
)
def test_points_join_the_windows_over_them(how: str, stride: int, channels: int, tmp_path: Path) -> None:
    detector, signal = wave(channels=channels)
    signal = signal[:101].copy()
    signal[50:53] += 2
    found = detector.stream(signal if channels > 1 else signal[:, 0], stride=stride, how=how)
    assert_array_equal(found.starts, np.unique([*range(0, 86, stride), 85]))
    whole = detector.score(np.stack([signal[s : s + 16] for s in found.starts])).values
    assert_allclose(found.windows, whole, rtol=1e-5, atol=1e-12)
    for t in (0, 20, 51, 100):
        over = [w for s, w in zip(found.starts, found.windows, strict=True) if s <= t < s + 16]
        assert_allclose(found.points[t], getattr(np, how)(over))
    assert len(found.events) == 1
    assert found.events[0].start <= 51 < found.events[0].stop
    assert found.flags[found.events[0].peak]
    kept(found, tmp_path)


def test_events_are_runs_joined_over_small_gaps() -> None:
    points = np.array([0, 2, 2, 0, 3, 0, 0, 0, 2, np.nan, 0.0])
    assert [(e.start, e.stop, e.peak) for e in events_of(points, 1)] == [(1, 3, 1), (4, 5, 4), (8, 9, 8)]
    assert [(e.start, e.stop, e.peak) for e in events_of(points, 1, gap=1)] == [(1, 5, 4), (8, 9, 8)]
    assert [len(e) for e in events_of(points, 1, shortest=2)] == [2]


def test_series_that_cannot_be_scored_are_told() -> None:
    detector, signal = wave()
    with pytest.raises(InputError, match="less than the network's window of 16"):
        detector.stream(signal[:15])
    with pytest.raises(InputError, match="not finite"):
        detector.stream(np.where(np.arange(400) == 7, np.nan, signal[:, 0]))
    with pytest.raises(InputError, match="expected"):
        detector.stream(np.zeros((100, 3)))
    with pytest.raises(UnknownName, match="sum"):
        detector.stream(signal, how="sum")
    with pytest.raises(ParameterError, match="stride"):
        detector.stream(signal, stride=0)
    training, held_out, _ = digits(0)
    with pytest.raises(NotSupported, match="no series"):
        xk.anomaly.fit(flat(training), held_out).stream(signal)


def test_a_series_as_long_as_the_window_is_scored_in_the_units_of_the_network() -> None:
    spec = xk.Series(4, 1, mean=10, std=2)
    model = xk.wrap(lambda x: np.zeros_like(np.asarray(x)), inputs=spec, outputs=xk.Reconstruction(), name="none")
    detector = xk.anomaly.fit(model, [np.full((4, 1), 14.0)])
    found = detector.stream(np.full(4, 14.0))
    assert_allclose(found.windows, [4])  # (14 - 10) / 2, squared
    assert found.events == ()  # as high as the threshold is not above it
