"""Documented networks: built in either framework from one description, trained, with a card, loaded wrapped."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from xaikit.zoo.cards import Card

if TYPE_CHECKING:
    from xaikit.zoo._public import build, card, load, names, train

__all__ = ["Card", "build", "card", "load", "names", "train"]


def __getattr__(name: str) -> Any:
    """Import the functions with their first use: data, recipes and training come with them."""
    if name not in __all__:
        raise AttributeError(f"module 'xaikit.zoo' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module("xaikit.zoo._public"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
