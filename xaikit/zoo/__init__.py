"""Documented networks: built in either framework from one description, trained, with a card, loaded wrapped."""

from xaikit.zoo._public import build, card, load, names, train
from xaikit.zoo.cards import Card

__all__ = ["Card", "build", "card", "load", "names", "train"]
