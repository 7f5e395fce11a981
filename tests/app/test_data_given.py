"""Sets of samples that people give, and what they change in one input."""

import base64
from io import BytesIO
from typing import Any

import numpy as np
import pytest

pytest.importorskip("dash")

import xaikit as xk
from xaikit.errors import InputError, UnknownName
from xaikit_app.edits import brushed, flattened
from xaikit_app.given import read_given
from xaikit_app.pages._changing import signed, without_words
from xaikit_app.pages.what_if import changes_of, range_of, written
from xaikit_app.settings import Settings

TABLE = xk.Table({"age": xk.Number(), "place": xk.Category(("land", "town")), "rooms": xk.Category((1, 2, 3))})
CLASSES = xk.Classes(["little", "much"])
SETTINGS = Settings(models=("xo_cnn",), max_upload_mb=1)


def sent(data: bytes) -> str:
    return f"data:application/octet-stream;base64,{base64.b64encode(data).decode()}"


def packed(**arrays: Any) -> str:
    held = BytesIO()
    np.savez(held, **arrays)
    return sent(held.getvalue())


def test_rows_with_their_truth_are_read() -> None:
    text = "age,place,rooms,label\n30,town,2,much\n41.5,land,1,little\n"
    found = read_given(sent(text.encode()), "rows.csv", TABLE, CLASSES, SETTINGS)
    assert found["samples"][0] == {"age": 30.0, "place": "town", "rooms": 2}
    assert (found["labels"], found["names"]) == ([1, 0], ["little", "much"])


def test_an_only_other_column_is_the_truth_and_numbers_are_values() -> None:
    text = "spent,rooms,place,age\n7,1,town,30\n8.5,3,land,20\n"
    found = read_given(sent(text.encode()), "rows.csv", TABLE, xk.Values(["spent"]), SETTINGS)
    assert (found["labels"], found["names"]) == ([7.0, 8.5], [])
    assert list(found["samples"][1].values()) == [20.0, "land", 3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("age,place\n30,town\n", "lacks the column 'rooms'"),
        ("age,place,rooms\n30,city,2\n", "line 2 of rows.csv: place is 'city', not one of land, town"),
        ("age,place,rooms\nmany,town,2\n", "line 2 of rows.csv: age is 'many', not a number"),
        ("age,place,rooms\n30,town,2\nnan,town,2\n", "line 3 of rows.csv: age is not finite"),
        ("age,place,rooms\n30,town\n", "line 2 of rows.csv has 2 cells, its header 3"),
        ("age,place,rooms\n", "no rows below its header"),
        ("age,place,rooms,label\n30,town,2,some\n", "'some', which is no class"),
    ],
)
def test_what_is_wrong_with_rows_is_said(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_given(sent(text.encode()), "rows.csv", TABLE, CLASSES, SETTINGS)


def test_arrays_with_their_truth_are_read() -> None:
    spec = xk.Image(4, 4, 1)
    x = np.arange(48, dtype=np.uint8).reshape(3, 4, 4, 1)
    found = read_given(packed(x=x, y=np.array([0, 1, 1])), "set.npz", spec, CLASSES, SETTINGS)
    assert (np.array(found["samples"], found["dtype"]) == x).all()
    assert found["labels"] == [0, 1, 1]


def test_archives_that_are_too_large_or_hold_something_else_are_refused() -> None:
    spec = xk.Image(4, 4, 1)
    held = BytesIO()
    np.savez_compressed(held, x=np.zeros((700_000, 4, 4, 1), np.uint8))
    for contents, said in (
        (sent(held.getvalue()), "unpacks to more than 8 MiB"),
        (packed(samples=np.zeros(3)), "give the samples as x"),
        (sent(b"PK\x03\x04 and nothing"), "cannot be read"),
        (packed(x=np.array(["a", "b"])), "of numbers"),
    ):
        with pytest.raises(InputError, match=said):
            read_given(contents, "set.npz", spec, CLASSES, SETTINGS)
    with pytest.raises(InputError, match="no set of samples"):
        read_given(sent(b"a,b"), "set.csv", spec, CLASSES, SETTINGS)


def test_a_brushed_region_alone_changes() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    region = "".join("1" if row < 2 and column < 2 else "0" for row in range(4) for column in range(4))
    for fill in ("blur", "mean", "noise", "black"):
        changed = brushed(picture, region, (4, 4), fill)
        assert changed.dtype == np.uint8
        assert (changed[4:] == picture[4:]).all()
        assert (changed[:4, 4:] == picture[:4, 4:]).all()
        assert (changed[:4, :4] != picture[:4, :4]).any()
    assert not brushed(picture, region, (4, 4), "black")[:4, :4].any()
    mean = np.rint(picture.mean((0, 1)))
    assert (brushed(picture, region, (4, 4), "mean")[0, 0] == mean).all()


@pytest.mark.parametrize(("region", "said"), [("0" * 16, "nothing is brushed"), ("01", "did not arrive whole")])
def test_a_region_has_to_be_there(region: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        brushed(np.zeros((8, 8, 1), np.uint8), region, (4, 4), "black")
    with pytest.raises(UnknownName):
        brushed(np.zeros((8, 8, 1), np.uint8), "1" * 16, (4, 4), "glitter")


def test_a_span_becomes_a_line_its_mean_or_zero() -> None:
    series = np.stack([np.arange(10.0) ** 2, np.ones(10)], 1)
    line = flattened(series, 3, 6, "line", 0)
    np.testing.assert_allclose(np.diff(line[3:7, 0]), np.diff(line[3:7, 0])[0])
    assert (line[:, 1] == 1).all()
    assert (line[3, 0], line[6, 0]) == (4.0, 49.0)
    assert not flattened(series, 0, 9, "zero").any()
    np.testing.assert_allclose(flattened(series, 2, 4, "mean")[3], series.mean(0))
    with pytest.raises(InputError, match="steps 0 to 9"):
        flattened(series, 5, 12, "zero")


def test_words_are_left_out_by_their_place() -> None:
    assert without_words("a good  good\nfilm", [2]) == "a good film"
    for out in ([], [0, 1, 2, 3]):
        with pytest.raises(InputError):
            without_words("a good good film", out)


def test_changes_are_written_and_read() -> None:
    changes = {"age": 30.5, "place": "town", "rooms": 2}
    assert changes_of(written(changes), TABLE) == changes
    assert written(changes) == "age:30.5;place:town;rooms:2"
    for text in ("height:3", "age:old", "place:city", "age:nan"):
        with pytest.raises(InputError):
            changes_of(text, TABLE)


def test_ranges_have_handy_steps() -> None:
    assert range_of([3.0, 7.0, 5.0]) == (3.0, 7.0, 1.0)
    assert range_of([0.25, 0.25])[1] > 0.25
    assert range_of([0.0, 0.5])[2] == pytest.approx(0.001)


def test_changes_have_their_sign() -> None:
    assert [signed(v) for v in (0.5, -0.5, 0.0)] == ["+0.5", "−0.5", "0"]
