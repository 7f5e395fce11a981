"""A page's own choices: lists whose value is an entry of the address, and texts that become a sample."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State

from xaikit_app.state import PLAIN
from xaikit_app.state import State as Address


def pick(page: str, name: str, label: str, options: Iterable[tuple[str, str]], value: str, **how: Any) -> Any:
    """Give a list of options, (value, words) each; `name` is the entry of the address that it writes.

    Its id says what it shows now, so that a list which has just appeared is not taken for a choice.
    """
    return dmc.Select(
        id={"type": f"{page}-pick", "name": name, "now": value},
        label=label,
        data=[{"value": v, "label": words} for v, words in options],
        value=value,
        allowDeselect=False,
        size="xs",
        className="choosing",
        **how,
    )


def choices(*picks: Any) -> Any:
    """Give lists beside each other."""
    return dmc.Group([p for p in picks if p is not None], gap="sm", align="flex-end", className="picks")


def with_(state: Address, changes: Mapping[str, str | None]) -> Address:
    """Give a view with entries of its address changed, those of its own page too; None takes one away."""
    own = {k: v for k, v in changes.items() if k not in PLAIN}
    more = {k: v for k, v in {**state.more, **own}.items() if v is not None}
    plain: dict[str, Any] = {k: v for k, v in changes.items() if k in PLAIN}
    return replace(state, more=more, **plain)


def register(app: Dash, page: str) -> None:
    """Add the callback of a page's lists: a choice leads to the address that says it, without the server."""
    app.clientside_callback(
        "function (...given) { return window.dash_clientside.xaikitChoosing.choose(...given); }",
        Output("url", "href", allow_duplicate=True),
        Input({"type": f"{page}-pick", "name": ALL, "now": ALL}, "value"),
        State({"type": f"{page}-pick", "name": ALL, "now": ALL}, "id"),
        prevent_initial_call=True,
    )


__all__ = ["choices", "pick", "register", "with_"]
