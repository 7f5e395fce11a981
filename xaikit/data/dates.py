"""Dates as people write them, and which of the letters tell which digit of the date in ISO 8601."""

import re
from datetime import date, timedelta
from functools import cache

import numpy as np

from xaikit.arrays import Array
from xaikit.data._part import Part, Split
from xaikit.errors import ParameterError

DATE_OUT = (*"0123456789", "-")
DATE_IN = ("[pad]", "[unknown]", *" 0123456789abcdefghijklmnopqrstuvwxyz,./-")
LONGEST = 30
FIRST, LAST = date(1900, 1, 1), date(2099, 12, 31)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
FORMS = (
    "{d} {month} {y}",
    "{d} {mon} {y}",
    "{nth} {month} {y}",
    "{nth} of {month} {y}",
    "the {nth} of {month}, {y}",
    "{month} {d}, {y}",
    "{month} {nth}, {y}",
    "{mon} {d} {y}",
    "{mon}. {d}, {y}",
    "{dd}-{mon}-{y}",
    "{dd}.{mm}.{y}",
    "{d}.{m}.{y}",
    "{dd}/{mm}/{y}",
    "{d}/{m}/{y}",
    "{y}/{mm}/{dd}",
    "{y} {month} {d}",
    "{weekday} {d} {month} {y}",
    "{weekday}, {month} {d}, {y}",
    "{wkd} {d} {mon} {y}",
    "{wkd}, {dd}.{mm}.{y}",
)
NUMBERS = re.compile(r"(?<!\d)(\d{4}|\d{1,2})(?!\d)")
NAMES = re.compile(rf"\b({'|'.join(m[:3] for m in MONTHS)})[a-z]*", re.IGNORECASE)

Span = tuple[int, int]


def draw_dates(n: int, seed: int = 0) -> tuple[Array, Array]:
    """Draw n days from 1900 to 2099, no day twice, and write each in one of FORMS, in small, mixed or capital letters.

    Gives texts (n,) of at most 30 characters in an object array, and (n, 10) indices in DATE_OUT: the day in ISO 8601.
    The year always has four digits. Where the month is a number, the day comes before it, unless the year comes first.
    """
    days = (LAST - FIRST).days + 1
    if not 0 < n <= days:
        raise ParameterError(f"from 1900 to 2099 there are {days} days, {n} cannot be drawn")
    rng = np.random.default_rng(seed)
    drawn = [FIRST + timedelta(days=int(i)) for i in rng.permutation(days)[:n]]
    forms, cases = rng.integers(len(FORMS), size=n), rng.choice(3, size=n, p=[0.5, 0.4, 0.1])
    texts = [
        (str, str.lower, str.upper)[case](written(day, FORMS[form]))
        for day, form, case in zip(drawn, forms, cases, strict=True)
    ]
    return np.array(texts, object), np.array([[DATE_OUT.index(c) for c in day.isoformat()] for day in drawn])


def written(day: date, form: str) -> str:
    """Write a day in one of FORMS, with its own weekday where the form has one."""
    month, weekday = MONTHS[day.month - 1], WEEKDAYS[day.weekday()]
    return form.format(
        y=f"{day.year:04}",
        m=day.month,
        mm=f"{day.month:02}",
        mon=month[:3],
        month=month,
        d=day.day,
        dd=f"{day.day:02}",
        nth=f"{day.day}{_ending(day.day)}",
        weekday=weekday,
        wkd=weekday[:3],
    )


def _ending(number: int) -> str:
    return "th" if 11 <= number <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def alignment(text: str) -> tuple[Span | None, ...]:
    """Give, for each of the 10 characters of the date in ISO 8601, where in the text it is said: (start, end) or None.

    A digit is said by the same digit; both digits of a month by its name or its only digit, both digits of a day below
    10 by its only digit; a hyphen by nothing. Weekdays say nothing. Raises ParameterError for a text in another form.
    """
    numbers = [m.span() for m in NUMBERS.finditer(text)]
    years = [s for s in numbers if s[1] - s[0] == 4]
    others = [s for s in numbers if s[1] - s[0] < 4]
    names = [m.span() for m in NAMES.finditer(text)]
    if len(years) != 1 or len(names) + len(others) != 2 or not others:
        raise ParameterError(f"{text!r} is no date with a day, a month and a year of four digits")
    year = years[0]
    month, day = (names[0], others[0]) if names else (others if year < others[0] else others[::-1])
    digits: list[Span | None] = [(i, i + 1) for i in range(*year)]
    return (*digits, None, *_both(text, month), None, *_both(text, day))


def _both(text: str, span: Span) -> tuple[Span, Span]:
    start, end = span
    return ((start, start + 1), (start + 1, end)) if text[start:end].isdigit() and end - start == 2 else (span, span)


@cache
def dates(split: Split = "train") -> Part:
    """Give what `draw_dates` draws with seed 0: 20,000 days for training, then 2,000 for testing."""
    texts, digits = draw_dates(22_000, seed=0)
    chosen = slice(20_000) if split == "train" else slice(20_000, None)
    return Part(texts[chosen], digits[chosen])
