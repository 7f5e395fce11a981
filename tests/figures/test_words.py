"""Numbers and names in words."""

import numpy as np
import pytest

from xaikit.figures import moment, number, percent, probability, reading, seconds, spell, spoken, time_axis


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0213, "0.0213"),
        (-0.5, "−0.5"),
        (999.6, "1,000"),
        (-1250.0, "−1,250"),
        (0.99996, "1"),
        (1.23e-5, "1.23×10⁻⁵"),
        (-4e12, "−4.00×10¹²"),
        (np.nan, "not a number"),
        (-np.inf, "−∞"),
    ],
)
def test_numbers_have_three_figures(value: float, text: str) -> None:
    assert number(value) == text


def test_zero_has_no_sign() -> None:
    assert number(-0.0) == "0"


@pytest.mark.parametrize(
    ("p", "text"),
    [(0.97, "0.97"), (1.0, "1.00"), (0.0, "0.00"), (0.998, "0.998"), (0.99999, ">0.999"), (0.0001, "<0.001")],
)
def test_a_probability_is_not_rounded_to_certainty(p: float, text: str) -> None:
    assert probability(p) == text


@pytest.mark.parametrize(("value", "text"), [(0.0123, "12 ms"), (1.83, "1.8 s"), (600.0, "10.0 min")])
def test_durations(value: float, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(("share", "text"), [(0.0, "0 %"), (0.00042, "0.042 %"), (1e-9, "<0.01 %"), (0.5, "50 %")])
def test_percentages(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("name", "text"), [("grad-cam", "Grad-CAM"), ("torch", "PyTorch"), ("integrated-gradients", "Integrated gradients")]
)
def test_names_are_written_as_people_do(name: str, text: str) -> None:
    assert spoken(name) == text


def test_every_method_is_told_how_to_be_read_in_two_sentences() -> None:
    from xaikit.attribution import methods

    told = {name: reading(name) for name in methods}
    assert all(text.rstrip(".").count(". ") == 1 for text in told.values())
    assert len(set(told.values())) == len(told)


@pytest.mark.parametrize(
    ("steps", "rate", "last", "label"),
    [
        (140, None, 139, "step"),
        (768, 128.0, 767 / 128, "time (s)"),
        (300, 1.0, 299 / 60, "time (min)"),
        (48, 1 / 3600, 47.0, "time (h)"),
        (120, 1 / 3600, 119 / 24, "time (days)"),
        (24, 1 / 86400, 23.0, "time (days)"),
    ],
)
def test_steps_lie_at_times_in_a_unit_that_suits_the_whole(
    steps: int, rate: float | None, last: float, label: str
) -> None:
    x, told = time_axis(steps, rate)
    assert told == label
    assert len(x) == steps
    assert x[-1] == pytest.approx(last)
    assert moment(3.5, told) == ("step 3.5" if rate is None else f"3.5 {told[6:-1]}")


@pytest.mark.parametrize(
    ("value", "text"),
    [(1 / 128, "0.00781 s"), (59, "59 s"), (90, "1.5 min"), (3600, "1 h"), (86400, "1 day"), (2 * 86400, "2 days")],
)
def test_a_stretch_of_time(value: float, text: str) -> None:
    assert spell(value) == text
