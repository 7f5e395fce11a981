"""Rules of a study: what they count, when they are broken, and how they are written."""

import pytest

from xaikit.errors import ParameterError
from xaikit.study import Rule
from xaikit.study._gate import Gate

ROWS = [
    {"state": "done", "status": "ok", "quality": {"r2": 0.9}},
    {"state": "skipped", "status": "fail", "quality": {"r2": [0.9, 0.1]}},
    {"state": "done", "status": "warn", "quality": {"r2": None}},
    {"state": "failed"},
]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("status=fail", [0, 1, 0, 0]),
        ("status!=ok", [0, 1, 1, 0]),
        ("state=failed", [0, 0, 0, 1]),
        ("state=done", [1, 1, 1, 0]),
        ("r2<0.5", [0, 1, 0, 0]),
        ("r2 >= 0.9", [1, 1, 0, 0]),
        ("unknown>0", [0, 0, 0, 0]),
    ],
)
def test_what_a_rule_counts(text: str, holds: list[int]) -> None:
    assert [Rule.of(text).holds_of(row) for row in ROWS] == [bool(h) for h in holds]


@pytest.mark.parametrize(("share", "broken"), [("", True), (":0.2", True), (":0.25", False), (":1", False)])
def test_a_rule_is_broken_beyond_its_share_of_all_units(share: str, broken: bool) -> None:
    gate = Gate([Rule.of(f"status=fail{share}")])
    for row in ROWS:
        gate.see(row)
    assert bool(gate.broken()) == broken
    if broken:
        assert gate.broken()[0].endswith(": 1 of 4 units (25.0%)")


def test_nothing_is_broken_by_no_unit() -> None:
    assert Gate([Rule.of("status=fail")]).broken() == ()


@pytest.mark.parametrize("text", ["status=fail:0.1", "completeness_gap_relative>0.05:0", "state!=failed:1"])
def test_a_rule_is_written_as_it_is_read(text: str) -> None:
    assert str(Rule.of(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a rule is written as"),
        ("status", "a rule is written as"),
        ("status=fial", "did you mean 'fail'"),
        ("status>ok", "is asked for as status=ok"),
        ("r2<bad", "is compared with a number"),
        ("status=fail:2", "a number from 0 to 1"),
        ("status=fail:x", "a number from 0 to 1"),
        ("status=fail:nan", "a number from 0 to 1"),
    ],
)
def test_what_is_no_rule_is_told(text: str, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        Rule.of(text)
