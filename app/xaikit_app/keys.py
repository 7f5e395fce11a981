"""The keyboard: what each key does, the dialog that lists it, and the search of pages, models and layers."""

import re
from collections.abc import Iterable
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, html

from xaikit_app import ui

KEYS = (
    ("?", "this list"),
    ("/", "search pages, models and layers"),
    ("g, then a letter", "go to a page: the letters stand below"),
    ("j, k", "next and previous sample"),
    ("[, ]", "previous and next layer"),
    ("1 to 9", "choose or leave out a method"),
    ("r", "run what is chosen, or try again"),
    ("c", "copy the link to what you see"),
    ("Esc", "close a dialog, or cancel what runs"),
)


def letters(titles: Iterable[str]) -> dict[str, str]:
    """Give each title a letter of its own: the first of its letters that no title before it has."""
    taken: dict[str, str] = {}
    for title in titles:
        name = title.lower()
        free = [letter for letter in (*name, *"abcdefghijklmnopqrstuvwxyz") if letter.isalpha() and letter not in taken]
        if free:
            taken[free[0]] = title
    return {title: letter for letter, title in taken.items()}


def dialogs(titles: Iterable[str]) -> list[Any]:
    """Give the two dialogs, closed."""
    places = [(f"g, {letter}", title) for title, letter in letters(titles).items()]
    told = [
        _listed(KEYS),
        dmc.Title("Pages", order=3, className="family"),
        _listed(places),
        dmc.Switch(id="help-keys", checked=True, label="Single keys do this", mt="md"),
        html.P("Switched off, Esc still closes dialogs. In text fields all keys write.", className="quiet"),
    ]
    search = [
        dmc.TextInput(
            id="finder-text",
            placeholder="A page, a model or a layer",
            size="md",
            **{"aria-label": "Search pages, models and layers", "data-autofocus": True},
        ),
        html.Div(id="finder-said", className="unseen", role="status"),
        html.Ul(id="finder-list", role="listbox", **{"aria-label": "Found"}),
    ]
    close = {"aria-label": "Close"}
    return [
        dmc.Modal(told, id="help", title="Keyboard", opened=False, size="lg", closeButtonProps=close),
        dmc.Modal(search, id="finder", title="Go to", opened=False, size="lg", closeButtonProps=close),
    ]


def _listed(pairs: Iterable[tuple[str, str]]) -> Any:
    cells = [cell for keys, words in pairs for cell in (html.Dt(_caps(keys)), html.Dd(words))]
    return html.Dl(cells, className="keys")


def _caps(keys: str) -> list[Any]:
    """Write keys as keys, and the words between them as words."""
    shown: list[Any] = []
    for part in re.split("(, | to |, then a letter)", keys):
        shown.append(part if " " in part else dmc.Kbd(part))
    return shown


def register(app: Dash) -> None:
    """Add the callbacks, which all run in the browser."""
    for name, component, entry in (
        ("openHelp", "help-open", "n_clicks"),
        ("openFinder", "finder-open", "n_clicks"),
        ("finderOpened", "finder", "opened"),
        ("keysWanted", "help-keys", "checked"),
    ):
        app.clientside_callback(
            f"function (value) {{ window.dash_clientside.xaikitFrame.{name}(value); }}",
            Input(component, entry),
            prevent_initial_call=True,
        )


def openers() -> list[Any]:
    """Give the buttons that open the dialogs, for those who do not know the keys."""
    return [
        html.Button([ui.icon("search"), html.Span("Search"), dmc.Kbd("/")], id="finder-open", className="opener"),
        html.Button([ui.icon("keys"), html.Span("Keyboard"), dmc.Kbd("?")], id="help-open", className="opener"),
    ]


__all__ = ["KEYS", "dialogs", "letters", "openers", "register"]
