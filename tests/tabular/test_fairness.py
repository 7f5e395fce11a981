"""Fairness: rates, areas and calibration of groups, their intervals, and groups that tell nothing."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import roc_auc_score

import xaikit as xk
from tests.tabular.models import of, softmax3
from xaikit.errors import InputError, ParameterError, TargetError


def biased() -> tuple[Any, Any, Any, Any]:
    """A model of two classes that gives the second group less than it deserves."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 400)
    score = rng.uniform(size=400)
    y = (rng.uniform(size=400) < score).astype(int)
    X = np.stack([score, group], 1).astype(np.float32)
    model = xk.wrap(
        lambda x: np.clip(np.asarray(x, np.float64)[:, 0] - 0.2 * x[:, 1], 0, 1),
        inputs=xk.Array((2,)),
        outputs=xk.Classes(["no", "yes"], form="sigmoid"),
    )
    return model, X, y, np.array(["first", "second"])[group]


def test_rates_by_group() -> None:
    model, X, y, group = biased()
    found = xk.fairness(model, X, y, group)
    p = model.run(X).output[:, 0].astype(np.float64)
    assert found.groups == ("first", "second")
    for i, name in enumerate(found.groups):
        own = group == name
        said, true = p[own] >= 0.5, y[own] == 1
        expected = [
            true.mean(), said.mean(), said[true].mean(), said[~true].mean(), (said == true).mean(),
            roc_auc_score(true, p[own]), (p[own] - true).mean(),
        ]  # fmt: skip
        assert_allclose(found.values[i], expected, atol=1e-9)
        assert found.counts[i] == own.sum()
    assert (found.low < found.values).all()
    assert (found.values < found.high).all()
    _, low, high = found.of("mean probability less share")["second"]
    assert low < -0.1
    assert high < 0
    assert found.status == "ok"
    assert found.positive == "yes"


def test_intervals_cover_what_is_true() -> None:
    from xaikit.tabular._fairness import area, share

    rng = np.random.default_rng(0)
    shares = [share(rng.uniform(size=40) < 0.9)[1:] for _ in range(400)]
    assert 0.92 < np.mean([low <= 0.9 <= high for low, high in shares]) < 0.985
    true = 0.7602499  # Φ(1/√2): normal scores one apart
    areas = []
    for _ in range(300):
        y = np.arange(80) < 40
        areas.append(area(y, rng.normal(size=80) + y)[1:])
    assert 0.91 < np.mean([low <= true <= high for low, high in areas]) < 0.985


def test_columns_that_the_model_does_not_know() -> None:
    pandas = pytest.importorskip("pandas")
    spec = xk.Table({"a": xk.Number(), "b": xk.Number()})
    model = xk.wrap(lambda x: x[:, 0] + x[:, 1], inputs=spec, outputs=xk.Values(["y"]))
    frame = pandas.DataFrame({"a": np.arange(8.0), "b": 1.0, "town": list("xyxyxyxy")})
    found = xk.fairness(model, frame, np.arange(8.0), "town")
    assert found.groups == ("x", "y")
    assert found.by == "town"
    assert_allclose([v for v, _, _ in found.of("mean error").values()], [1, 1])
    assert found.status == "warn"
    assert "fewer than 30" in found.status.reasons[0]
    rows = frame.to_dict("records")
    assert_allclose(xk.fairness(model, rows, np.arange(8.0), "town").values, found.values)


def test_groups_that_tell_nothing() -> None:
    model, X, y, _ = biased()
    y = np.where(X[:, 1] == 1, 1, y)
    found = xk.fairness(model, X, y, "1")
    assert any("one class alone: 1" in r for r in found.status.reasons)
    value, low, high = found.of("false positive rate")["1"]
    assert np.isnan([value, low, high]).all()
    assert found.table()[1]["AUC"] is None


def test_several_classes_and_bad_input() -> None:
    model = softmax3()
    X = np.random.default_rng(0).normal(size=(60, 4))
    y = np.random.default_rng(1).integers(0, 3, 60)
    with pytest.raises(ParameterError, match="positive="):
        xk.fairness(model, X, y, np.arange(60) % 2)
    assert xk.fairness(model, X, y, np.arange(60) % 2, positive="b").positive == "b"
    with pytest.raises(InputError, match="one label for each"):
        xk.fairness(model, X, y, np.arange(3), positive="b")
    with pytest.raises(ParameterError, match="cutoff"):
        xk.fairness(model, X, y, "0", cutoff=1.0)
    with pytest.raises(TargetError, match="2 outputs"):
        xk.fairness(of(lambda x: x, 2, ("a", "b")), X[:, :2], X[:, :2], "0")


def test_a_row_at_the_cutoff_is_predicted_positive() -> None:
    model, X, y, group = biased()
    X = np.stack([np.full(400, 0.5), np.zeros(400)], 1).astype(np.float32)
    assert xk.fairness(model, X, y, group).of("share predicted positive")["first"][0] == 1


def test_an_area_of_unequal_classes_has_its_own_interval() -> None:
    """Placements of 5 positives and 60 negatives, pair by pair."""
    from xaikit.tabular._fairness import NORMAL, area

    rng = np.random.default_rng(0)
    positive, p = np.arange(65) < 5, rng.normal(size=65)
    above = (p[positive][:, None] > p[~positive]).astype(float)
    half = NORMAL * np.sqrt(above.mean(1).var(ddof=1) / 5 + above.mean(0).var(ddof=1) / 60)
    found, low, _ = area(positive, p)
    assert_allclose([found, found - low], [above.mean(), half], atol=1e-12)
