"""What is decided, by which threshold, and what makes no sense of people and days."""

from datetime import date

import numpy as np
import pytest

from xaikit.audit._terms import RETENTION, Terms, decision_of, scores_of
from xaikit.errors import NotSupported, ParameterError
from xaikit.inputs import Classes, Values

TWO = Classes(["bad", "good"], form="sigmoid")
THREE = Classes(["a", "b", "c"], form="softmax")


@pytest.mark.parametrize(
    ("spec", "output", "threshold", "decision"),
    [
        (TWO, [0.6], None, "good"),
        (TWO, [0.6], 0.7, "bad"),
        (TWO, [0.7], 0.7, "good"),
        (TWO, [0.3], 0.2, "good"),
        (THREE, [0.2, 0.5, 0.3], None, "b"),
        (THREE, [0.2, 0.5, 0.3], 0.5, "b"),
        (THREE, [0.2, 0.5, 0.3], 0.6, "none"),
        (THREE, [np.nan, 0.5, 0.3], None, "none"),
        (Values(["price"]), [3.0], None, None),
        (Values(["price"]), [3.0], 3, "at least 3"),
        (Values(["price"]), [2.9], 3, "below 3"),
        (Values(["low", "high"]), [1.0, 2.0], None, None),
    ],
)
def test_the_decision(spec: object, output: list[float], threshold: float | None, decision: str | None) -> None:
    assert decision_of(spec, np.array([output]), threshold) == decision


def test_a_threshold_without_a_decision_is_refused() -> None:
    with pytest.raises(NotSupported, match="classes or with one value"):
        decision_of(Values(["low", "high"]), np.array([[1.0, 2.0]]), 0.5)


def test_every_class_has_a_score() -> None:
    names, scores = scores_of(TWO, np.array([[0.25]], np.float32)) or ((), np.empty(0))
    assert names == ("bad", "good")
    assert scores.tolist() == [0.75, 0.25]
    assert scores_of(THREE, {"one": np.zeros((1, 3))}) is None


def test_how_long_a_record_is_kept() -> None:
    today = date(2025, 1, 1)
    assert Terms(retention="short").kept_until(today) == "2025-07-03"
    assert Terms(retention="credit", until="2031-12-31").kept_until(today) == "2031-12-31"
    assert Terms().kept_until(today) is None
    assert [Terms(retention=c).kept_until(today) for c in RETENTION] == ["2025-07-03", "2030-01-01", "2035-01-02"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"author": " "}, "author is a text that says something"),
        ({"recipient": 7}, "recipient is a text"),
        ({"involvement": "decide"}, "did you mean 'decided'"),
        ({"threshold": float("nan")}, "a threshold is a number, not nan"),
        ({"threshold": "0.5"}, "a threshold is a number, not '0.5'"),
        ({"until": "2025-02-30"}, "until is a day, YYYY-MM-DD"),
        ({"until": "20250203"}, "until is a day, YYYY-MM-DD"),
        ({"retention": "ages"}, "needs a day, until; those with one: short, standard, long"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        Terms(**given)  # type: ignore[arg-type]
