"""Rows of a table: credit applicants, their columns and the two parts."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit import data
from xaikit.data.tables import COUNTS, DECILES, stratified
from xaikit.errors import DataError
from xaikit.inputs import Number, specs_from_dict


@pytest.fixture
def applicants(data_folder: Path) -> Iterator[tuple[data.Part, data.Part]]:
    data.german_credit.cache_clear()
    described = data.load("german_credit")
    yield described.read("train"), described.read("test")
    data.german_credit.cache_clear()


def test_both_parts_have_the_same_share_of_good_risks(applicants: tuple[data.Part, data.Part]) -> None:
    training, test = applicants
    assert training.x.shape == (800, 9)
    assert_array_equal(np.bincount(training.y), [240, 560])
    assert_array_equal(np.bincount(test.y), [60, 140])


def test_the_columns_hold_the_statistics_of_the_training_part(applicants: tuple[data.Part, data.Part]) -> None:
    table = data.german_table()
    numbers = {name: column for name, column in table.columns.items() if isinstance(column, Number)}
    assert list(numbers) == ["credit_amount", "duration", "age"]
    for name, column in numbers.items():
        values = applicants[0].x[:, table.names.index(name)].astype(float)
        assert_allclose([column.mean, column.std], [values.mean(), values.std()], rtol=1e-12)


def test_every_category_occurs_and_every_row_can_be_encoded(applicants: tuple[data.Part, data.Part]) -> None:
    table = data.german_table()
    encoded = table.encode(applicants[0].x)
    assert encoded.shape == (800, 29)
    assert (encoded.any(axis=0)).all()
    assert table.show(applicants[0].x[0]) == [
        {
            "sex": "male",
            "job": 2,
            "housing": "own",
            "saving_accounts": "not_known",
            "checking_account": "little",
            "credit_amount": 1169.0,
            "duration": 6.0,
            "purpose": "radio/TV",
            "age": 67.0,
        }
    ]
    assert table.encode(applicants[1].x).shape == (200, 29)


def test_the_columns_survive_json() -> None:
    table = data.german_table()
    assert specs_from_dict(json.loads(json.dumps(table.to_dict()))) == table


@pytest.mark.usefixtures("data_folder")
def test_what_is_written_of_the_applicants_is_so() -> None:
    x = dict(zip(data.german_table().names, data.german_credit("train").x.T, strict=True))
    for name, counts in COUNTS.items():
        assert {value: int((x[name] == value).sum()) for value in counts} == counts
    for name, deciles in DECILES.items():
        assert_allclose(np.percentile(x[name].astype(float), range(0, 101, 10)), deciles, rtol=1e-4)


def test_the_background_is_distributed_like_the_applicants_and_is_none_of_them() -> None:
    rows = data.german_table().background
    assert len(rows) == 40
    for name, counts in COUNTS.items():
        shares = np.array([sum(row[name] == value for row in rows) for value in counts]) / 40
        assert_allclose(shares, np.array(list(counts.values())) / 800, atol=1.01 / 40)
    for name, deciles in DECILES.items():
        assert abs(np.median([row[name] for row in rows]) - deciles[5]) <= 0.05 * deciles[5]
    amounts, ages = ([row[name] for row in rows] for name in ("credit_amount", "age"))
    assert abs(np.corrcoef(amounts, ages)[0, 1]) < 0.4


def test_a_fifth_of_each_class_is_for_testing() -> None:
    y = np.repeat([0, 1], [10, 40])
    training, test = stratified(y, "train"), stratified(y, "test")
    assert_array_equal(np.sort(np.concatenate([training, test])), np.arange(50))
    assert_array_equal(np.bincount(y[test]), [2, 8])
    assert_array_equal(stratified(y, "test"), test)


def test_missing_applicants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAIKIT_DATA", str(tmp_path))
    data.german_credit.cache_clear()
    with pytest.raises(DataError, match=r"no tabular/german\.csv: put it into.*archive\.ics\.uci\.edu"):
        data.german_credit()


@pytest.mark.parametrize(
    "content",
    ["", "risk,sex\n1,male\n", "risk,{names}\n1,{nobody}\n", "risk,{names}\n1\n"],
)
def test_damaged_applicants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    names = ",".join(data.german_table().names)
    nobody = "woman,2,own,rich,rich,100,6,car,30"
    (tmp_path / "tabular").mkdir()
    (tmp_path / "tabular" / "german.csv").write_text(content.format(names=names, nobody=nobody))
    monkeypatch.setenv("XAIKIT_DATA", str(tmp_path))
    data.german_credit.cache_clear()
    with pytest.raises(DataError, match=r"not a readable german\.csv"):
        data.german_credit()
