"""The pieces that pages are put together from; the only module besides the pages that names the component library."""

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import html

from xaikit.figures import Badge, probability

COLOURS = {"ok": "teal", "warn": "orange", "fail": "red", "none": "gray"}
WORDS = {"ok": "Holds", "warn": "Take care", "fail": "Do not trust", "none": "Not checked"}


def page(title: str, lead: Any, *children: Any) -> Any:
    """Give the frame of a page: its heading, one sentence on what it is for, and what it holds."""
    head = dmc.Stack([dmc.Title(title, order=1, className="page-title"), dmc.Text(lead, c="dimmed")], gap=4)
    return dmc.Stack([head, *children], gap="lg", className="page")


def card(*children: Any, title: Any = None, **how: Any) -> Any:
    """Give a bordered box, with a heading where it has one."""
    head = [dmc.Title(title, order=2, className="card-title")] if title is not None else []
    return dmc.Paper([*head, *children], withBorder=True, p="md", radius="md", **how)


def tag(text: str, **how: Any) -> Any:
    """Give a small label on a card."""
    return dmc.Badge(text, variant="light", color="gray", c="dimmed", radius="sm", tt="none", fw=500, **how)


def problem(text: Any, title: str = "That did not work", **how: Any) -> Any:
    """Give an error as people should see it: one line, in red, announced to screen readers."""
    alert = dmc.Alert(str(text), title=title, color="red", variant="light", className="problem")
    return html.Div(alert, role="alert", **how)


def hint(text: Any, title: str | None = None, **how: Any) -> Any:
    """Give a remark that is no error."""
    return dmc.Alert(text, title=title, color="blue", variant="light", **how)


def waiting(text: str) -> Any:
    """Say that something is on its way."""
    return html.Div(
        dmc.Group([dmc.Loader(size="sm"), dmc.Text(text, c="dimmed")], gap="sm"), className="waiting", role="status"
    )


def verdict(badge: Badge) -> Any:
    """Give a quality badge with its reasons beside it: never colour alone."""
    level = badge.level if badge.level in COLOURS else "none"
    return dmc.Group(
        [
            dmc.Badge(
                WORDS[level],
                color=COLOURS[level],
                variant="light",
                radius="sm",
                tt="none",
                className=f"verdict {level}",
            ),
            dmc.Text(badge.text, size="xs", c="dimmed", className="reasons"),
        ],
        gap="xs",
        wrap="nowrap",
        align="flex-start",
        className="judged",
    )


def shares(pairs: Sequence[tuple[str, float]], chosen: str | None = None) -> Any:
    """Give names with shares of one as bars, in the order given; `chosen` stands out."""
    rows = []
    for name, share in pairs:
        rows.append(
            html.Div(
                [
                    html.Span(name, className="share-name", title=name),
                    html.Span(
                        html.Span(className="share-fill", style={"width": f"{100 * min(max(share, 0), 1):.2f}%"}),
                        className="share-track",
                        **{"aria-hidden": "true"},
                    ),
                    html.Span(probability(share), className="share-number"),
                ],
                className="share chosen" if name == chosen else "share",
            )
        )
    return html.Div(rows, className="shares")


def facts(pairs: Sequence[tuple[str, Any]]) -> Any:
    """Give names with values, one below the other."""
    return html.Dl([cell for name, value in pairs for cell in (html.Dt(name), html.Dd(value))], className="facts")


def icon(name: str) -> Any:
    """Give one of the drawings in assets/app.css by name."""
    return html.Span(className=f"icon icon-{name}", **{"aria-hidden": "true"})
