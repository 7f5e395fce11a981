"""Anomalies: what a threshold does and costs, thresholds by hand, forecasters, streams and words on why."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk

pytest.importorskip("dash")
pytest.importorskip("dash_mantine_components")

from tests.app.test_pages_layouts import text, view_of, walk
from xaikit.errors import InputError, ParameterError, UnknownName
from xaikit.jobs import Unit
from xaikit_app import Settings, boards
from xaikit_app.pages import anomalies
from xaikit_app.services import Services
from xaikit_app.work.anomalies import by_hand

pytestmark = pytest.mark.slow
STEPS = 24
NORMAL = np.array([1.0, 2.0, 3.0, 4.0])
SCORES = np.array([0.5, 2.5, 5.0, 8.0])
BAD = np.array([False, True, True, False])


def flat(x: Any) -> Any:
    """Give back the mean of a series, so that its error is the variance."""
    return np.repeat(np.asarray(x).mean(1, keepdims=True), STEPS, axis=1)


def last(x: Any) -> Any:
    """Forecast that all stays as it is."""
    return np.asarray(x)[:, -1]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    series = xk.Series(STEPS, 1)
    models = (
        xk.wrap(flat, inputs=series, outputs=xk.Reconstruction(), name="flat", version="1"),
        xk.wrap(last, inputs=series, outputs=xk.Values(["next"]), name="last", version="1"),
    )
    services = Services(Settings(models=models, cache=tmp_path_factory.mktemp("cache")))
    yield services
    services.close()


def noise(spread: float, count: int = 40) -> Any:
    return spread * np.random.default_rng(0).standard_normal((count, STEPS, 1))


# ---------------------------------------------------------------- the board


def test_a_threshold_is_counted_against_labels() -> None:
    found = boards.counted(2.5, NORMAL, SCORES, BAD)
    assert (found.alarms, found.flagged) == (2, 2)
    assert (found.missed, found.found, found.false, found.right) == (1, 1, 1, 1)
    assert boards.cost(found, miss=10, alarm=2) == (10 + 2) / 4
    unknown = boards.counted(2.5, NORMAL, SCORES, None)
    assert unknown.labelled == 0
    assert boards.cost(unknown, miss=10, alarm=2) == 2 * 2 / 4


def test_a_score_that_is_no_number_is_flagged() -> None:
    assert boards.counted(10.0, NORMAL, np.array([np.nan, 1.0]), np.array([True, False])).found == 1


@pytest.mark.parametrize(("miss", "alarm"), [(10.0, 1.0), (1.0, 10.0), (1.0, 1.0)])
def test_the_cheapest_threshold_is_that_of_a_search_over_all(miss: float, alarm: float) -> None:
    at, least = boards.cheapest(NORMAL, SCORES, BAD, miss, alarm)
    fine = [boards.cost(boards.counted(t, NORMAL, SCORES, BAD), miss, alarm) for t in np.linspace(0, 9, 2000)]
    assert_allclose(least, min(fine))
    assert_allclose(boards.cost(boards.counted(at, NORMAL, SCORES, BAD), miss, alarm), least)


@pytest.mark.parametrize("groups", [(NORMAL, SCORES), (np.array([1e-4, 1.0]), SCORES), (np.ones(3), np.ones(2))])
def test_an_axis_gives_back_the_scores_it_was_asked_for(groups: Any) -> None:
    axis = boards.Axis.of(*groups)
    whole = np.concatenate(groups)
    assert_allclose(axis.score(axis.share(whole)), whole)
    assert ((axis.share(whole) >= 0) & (axis.share(whole) <= 1)).all()
    assert axis.logarithmic == (whole.min() > 0 and whole.max() / whole.min() > boards.WIDE)


def test_a_label_that_is_called_so_counts_as_an_anomaly_until_another_is_named() -> None:
    labels = ["normal", "abnormal", "abnormal"]
    assert boards.labels_of(labels, None) == ("abnormal", {"abnormal": 2, "normal": 1})
    assert boards.labels_of(labels, "normal")[0] == "normal"
    assert boards.labels_of(labels, "none")[0] is None
    assert boards.labels_of(["3", "4"], None)[0] is None


# ---------------------------------------------------------------- thresholds by hand


def test_a_threshold_by_hand_has_the_alarms_of_the_normal_samples_above_it() -> None:
    calibration = xk.anomaly.calibrate(np.arange(100.0), "quantile", 0.9)
    found = by_hand(calibration, 79.5)
    assert (found.threshold, found.level) == (79.5, 0.8)
    low, high = found.false_alarms
    assert low < 0.2 < high
    none, every = by_hand(calibration, 1000.0).false_alarms, by_hand(calibration, -1.0).false_alarms
    assert_allclose(none, (0, 1 - 0.05**0.01))
    assert_allclose(every, (0.05**0.01, 1))
    with pytest.raises(InputError, match="finite"):
        by_hand(calibration, float("nan"))


def drawn(services: Services, href: str, *heavy: str) -> Any:
    view = view_of(services, href)
    for part in anomalies.parts(view):
        if part.unit is not None and (not part.asks or part.name in heavy):
            services.submit(part.unit).wait(60)
    return anomalies.layout(view).to_plotly_json()


def test_the_threshold_of_the_address_decides_every_verdict(services: Services) -> None:
    normal, sample = services.own.put(noise(0.1)), services.own.put(noise(2.0)[0])
    href = f"/anomalies?model=flat&normal={normal}&sample={sample}"
    assert "Anomalous" in text(drawn(services, href))
    by = text(drawn(services, f"{href}&threshold=1000"))
    assert "Normal : score" in by
    assert "0 of 12 are flagged" in by or "0 of 4 are flagged" in by
    assert "set by hand" in by


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("threshold=x", ParameterError),
        ("threshold=inf", ParameterError),
        ("miss=-1", ParameterError),
        ("score=sme", UnknownName),
        ("score=elbo", UnknownName),
        ("through=walls", UnknownName),
        ("how=best", UnknownName),
        ("stride=0", ParameterError),
        ("series=no", InputError),
    ],
)
def test_an_address_that_asks_for_what_is_not_there_is_refused(services: Services, query: str, error: Any) -> None:
    view = view_of(services, f"/anomalies?model=flat&normal={services.own.put(noise(0.1))}&{query}")
    with pytest.raises(error):
        anomalies.layout(view)


# ---------------------------------------------------------------- reasons, streams, forecasters


def test_reasons_are_said_in_words_that_agree_with_the_explanation(services: Services) -> None:
    spike = noise(0.1)[0].copy()
    spike[5] += 4
    given = {"samples": [spike], "normal": noise(0.1)}
    found = services.submit(Unit("flat", given, task="app-anomaly-why")).result(60)
    lines = anomalies.why_lines(found)
    assert found.names[int(found.part_values.argmax())] in lines[1]
    assert f"{len(found.needed)} of {len(found.names)} parts" in lines[2]
    inside = {"samples": [noise(0.1)[0]], "normal": noise(0.2)}
    calm = services.submit(Unit("flat", inside, task="app-anomaly-why")).result(60)
    assert "nothing to repair" in anomalies.why_lines(calm)[2]


def test_a_longer_series_has_its_events_in_a_table(services: Services) -> None:
    whole = 0.1 * np.random.default_rng(1).standard_normal((200, 1))
    whole[100:104] += 3
    normal, series = services.own.put(noise(0.1)), services.own.put(whole)
    page = drawn(services, f"/anomalies?model=flat&normal={normal}&series={series}&how=min", "stream")
    assert "1 event in 200 steps" in text(page)
    rows = [c for c in walk(page) if c["props"].get("className") == "events-row"]
    assert len(rows) == 1


def test_a_forecaster_is_scored_by_what_came(services: Services) -> None:
    view = view_of(services, "/anomalies?model=last")
    assert anomalies.lacks(view.description) is None
    rising = np.repeat(np.arange(STEPS + 1.0)[None, :, None], 5, 0)
    given = {"samples": [rising[0]], "normal": rising}
    unit = Unit("last", given, parameters={"through": "forecast"}, task="app-anomaly")
    scores = services.submit(unit).result(60)
    assert_allclose(scores.values, [1 / (STEPS + 1)], rtol=1e-5)


def test_the_detector_that_is_taken_along_scores_as_the_page_does(services: Services) -> None:
    given = {"samples": [], "normal": noise(0.1)}
    record = services.submit(Unit("flat", given, task="app-detector")).result(60)
    model = xk.wrap(flat, inputs=xk.Series(STEPS, 1), outputs=xk.Reconstruction(), name="flat", version="1")
    detector = xk.anomaly.Detector.of(model, record)
    assert_allclose(detector.score(noise(2.0)[0]).values, noise(2.0)[0].var(), rtol=1e-5)


def test_a_series_that_is_uploaded_is_numbers_and_long_enough() -> None:
    import base64

    spec, settings = xk.Series(3, 1), Settings(models=("xo_cnn",))

    def sent(content: str) -> str:
        return "data:text/csv;base64," + base64.b64encode(content.encode()).decode()

    found = anomalies.read_series(sent("value\n1\n2\n3\n4\n"), "a.csv", spec, settings)
    assert_allclose(found, [[1], [2], [3], [4]])
    for content, words in (
        ("1\nx\n3\n", "besides numbers"),
        ("1\n2\n", "at least 3 steps"),
        ("1,2\n3,4\n5,6", "1 channels"),
    ):
        with pytest.raises(InputError, match=words):
            anomalies.read_series(sent(content), "a.csv", spec, settings)
