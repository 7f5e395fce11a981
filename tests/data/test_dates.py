"""Dates: what is written is what is meant, and the letters that say it are known."""

from datetime import date, timedelta

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from xaikit import data
from xaikit.data.dates import FORMS, LONGEST, MONTHS, WEEKDAYS, alignment, draw_dates, written
from xaikit.errors import ParameterError
from xaikit.inputs import Text

pytestmark = pytest.mark.slow


def iso(digits: np.ndarray) -> str:
    return "".join(data.DATE_OUT[i] for i in digits)


def said(text: str) -> str:
    """Read a date from the spans alone, as the convention says."""
    spans = alignment(text)
    parts = [None if span is None else text[slice(*span)] for span in spans]
    month, day = parts[5:7], parts[8:10]
    if month[0].isalpha():
        month = list(f"{[m[:3].lower() for m in MONTHS].index(month[0][:3].lower()) + 1:02}")
    elif spans[5] == spans[6]:
        month = ["0" * (2 - len(month[0])) + month[0]]
    if spans[8] == spans[9]:
        day = ["0" + day[0]]
    return "".join(p or "-" for p in [*parts[:5], *month, None, *day])


def test_some_dates_as_they_are_written() -> None:
    day = date(2005, 5, 3)
    texts = [written(day, form) for form in FORMS]
    assert {"3rd of May 2005", "May 3, 2005", "03.05.2005", "Tuesday 3 May 2005", "2005/05/03"} <= set(texts)
    endings = [written(date(2001, 1, d), "{nth}") for d in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 30)]
    assert endings == ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd", "30th"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_short_and_can_be_read_back(form: str) -> None:
    for i in range(0, 73_000, 97):
        day = date(1900, 1, 1) + timedelta(days=i)
        text = written(day, form)
        assert len(text) <= LONGEST
        assert said(text) == said(text.lower()) == said(text.upper()) == day.isoformat()


def test_the_letters_that_say_a_digit() -> None:
    text = "Tuesday 3 May 2005"
    assert alignment(text) == (
        *((14, 15), (15, 16), (16, 17), (17, 18)),
        *(None, (10, 13), (10, 13)),
        *(None, (8, 9), (8, 9)),
    )
    assert alignment("03.11.2005")[5:] == ((3, 4), (4, 5), None, (0, 1), (1, 2))
    assert alignment("2005/11/03")[5:] == ((5, 6), (6, 7), None, (8, 9), (9, 10))


@pytest.mark.parametrize("text", ["3 may 05", "May 2005", "soon", "3 May 2005 or 2006", "1 2 3 2005", ""])
def test_other_texts_have_no_alignment(text: str) -> None:
    with pytest.raises(ParameterError, match="is no date"):
        alignment(text)


def test_drawn_dates() -> None:
    texts, digits = draw_dates(3000, seed=5)
    assert digits.shape == (3000, 10)
    assert [said(text) for text in texts] == [iso(row) for row in digits]
    assert len({iso(row) for row in digits}) == 3000
    again = draw_dates(3000, seed=5)
    assert_array_equal(again[0], texts)
    assert_array_equal(again[1], digits)
    assert sum(text == text.lower() for text in texts) > 1000
    assert sum(text != text.lower() and text != text.upper() for text in texts) > 500
    assert {iso(row)[:2] for row in digits} == {"19", "20"}


def test_no_letter_of_a_weekday_says_anything() -> None:
    for text in draw_dates(500, seed=6)[0]:
        start = next((len(d) for day in WEEKDAYS for d in (day, day[:3]) if text.lower().startswith(d.lower())), 0)
        assert all(span is None or span[0] >= start for span in alignment(text))


def test_more_days_than_there_are() -> None:
    assert len(draw_dates(73_049)[0]) == 73_049
    with pytest.raises(ParameterError, match="there are 73049 days, 73050 cannot be drawn"):
        draw_dates(73_050)


def test_the_parts_share_no_day() -> None:
    described = data.load("dates")
    training, test = described.read("train"), described.read("test")
    assert training.y.shape == (20_000, 10)
    assert test.y.shape == (2_000, 10)
    assert not {iso(row) for row in training.y} & {iso(row) for row in test.y}
    assert {iso(row)[4] + iso(row)[7] for row in training.y} == {"--"}
    ids = Text(LONGEST, vocabulary=data.DATE_IN, tokenizer="characters", pad_side="right").encode(training.x)
    assert not (ids == 1).any()
