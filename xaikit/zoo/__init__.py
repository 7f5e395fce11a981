"""Documented networks: built in either framework from one description, trained, with a card, loaded wrapped."""

from typing import TYPE_CHECKING

from xaikit.later import given_later
from xaikit.zoo.cards import Card

if TYPE_CHECKING:
    from xaikit.zoo._public import build, card, load, names, train

__all__ = ["Card", "build", "card", "load", "names", "train"]

__getattr__ = given_later(__name__, dict.fromkeys(__all__, "xaikit.zoo._public"))
"""The functions come with their first use: data, recipes and training come with them."""


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
