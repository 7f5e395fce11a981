"""How results show themselves in a notebook."""

from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from xaikit.results import DISPLAY
from xaikit.zoo.cards import Card

Bundle = tuple[dict[str, str], dict[str, dict[str, int]]]


def register() -> None:
    """Teach results to show themselves as a picture and cards as a page; drawing is imported at that moment."""
    DISPLAY.append(_mimebundle)
    card: Any = Card
    card._repr_html_ = _html


def _html(self: Any) -> str:
    from xaikit.render._card import card_html

    return card_html(self)


def _mimebundle(self: Any, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None) -> Bundle:
    """Give the result as text and PNG, at half the pixels' size so that it is sharp on dense screens."""
    from xaikit.figures import panels
    from xaikit.render import png
    from xaikit.render._layout import plan

    wanted = [k for k in ("text/plain", "image/png") if _asked(k, include, exclude)]
    data, size = {"text/plain": repr(self)}, {}
    if "image/png" in wanted:
        figure = panels(self)
        data["image/png"] = b64encode(png(figure)).decode("ascii")
        size["image/png"] = {"width": round(plan(figure).width)}
    return {k: v for k, v in data.items() if k in wanted}, size


def _asked(kind: str, include: Iterable[str] | None, exclude: Iterable[str] | None) -> bool:
    return (include is None or kind in include) and (exclude is None or kind not in exclude)
