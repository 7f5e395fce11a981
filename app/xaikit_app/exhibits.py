"""Figures on a page: each with its title, its drawing, what it shows in words, and its numbers as a table."""

from collections.abc import Iterable, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import html

from xaikit.figures import Figure, MapPanel, Numbers, Panel, TablePanel, number, numbers_of, panels
from xaikit_app import ui
from xaikit_app.pictures import colour_bar, panel_body

Row = tuple[Any, ...]
MOST = 200
"""As many rows as a table on a page has; the whole is in the file that one can take along."""


def exhibit(panel: Panel, body: Any = None, *, caption: bool = True) -> Any:
    """Give one panel of a figure; `body` stands for its drawing where a page has a better one of its own."""
    head = [html.Figcaption(_title(panel))] if caption and (panel.title or panel.subtitle) else []
    scale = [colour_bar(panel.scale, "", "")] if isinstance(panel, MapPanel) and caption else []
    facts = [dmc.Text(fact, size="xs", c="dimmed") for fact in panel.facts]
    verdict = [ui.verdict(panel.badge)] if panel.badge is not None else []
    drawn = panel_body(panel) if body is None else body
    shape = "exhibit broad" if isinstance(panel, TablePanel) else "exhibit"
    return html.Figure([*head, drawn, *scale, *facts, *verdict, *in_words(panel)], className=shape)


def exhibits(shown: Any, *, title: bool = False) -> Any:
    """Give every panel of a Figure, or of a result that has one, with what is said about all of them."""
    figure = shown if isinstance(shown, Figure) else panels(shown)
    head = [dmc.Title(figure.title, order=3, className="family")] if title and figure.title else []
    lead = [dmc.Text(figure.subtitle, size="sm", c="dimmed")] if figure.subtitle else []
    notes = [dmc.Text(note, size="xs", c="dimmed") for note in figure.notes]
    drawn = html.Div([exhibit(panel) for panel in figure.panels], className="exhibits")
    return dmc.Stack([*head, *lead, drawn, *notes], gap="sm")


def in_words(panel: Panel) -> list[Any]:
    """Give a panel's summary and its numbers, folded away until somebody wants them."""
    found = numbers_of(panel, MOST)
    if found is None and not panel.alt:
        return []
    said = [html.P(panel.alt)] if panel.alt else []
    table = [numbers_table(found, panel.title or panel.alt)] if found is not None and found.rows else []
    words = "In words and numbers" if table else "In words"
    return [html.Details([html.Summary(words), *said, *table], className="numbers")]


def numbers_table(found: Numbers, label: str) -> Any:
    """Give numbers as a table that scrolls in itself; `label` says what they are."""
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in found.headers]))
    rows = html.Tbody([html.Tr([html.Td(_cell(value)) for value in row]) for row in found.rows])
    left = f"The first {len(found.rows):,} of {found.total:,} rows." if not found.whole else ""
    box = html.Div(
        html.Table([head, rows], className="plain-table"),
        className="scrolls tall",
        tabIndex=0,
        role="group",
        **{"aria-label": f"Numbers: {label}"[:120]},
    )
    return html.Div([box, *([dmc.Text(left, size="xs", c="dimmed")] if left else [])])


def folded(headers: Sequence[str], rows: Iterable[Row], label: str, summary: str = "In numbers") -> Any:
    """Give a table of a page's own, folded away below the words of `summary`; `label` says what it holds."""
    whole = tuple(rows)
    table = numbers_table(Numbers(tuple(headers), whole, len(whole)), label)
    return html.Details([html.Summary(summary), table], className="numbers")


def _title(panel: Panel) -> list[Any]:
    parts = [html.Strong(panel.title)] if panel.title else []
    return [*parts, *([html.Span(panel.subtitle, className="quiet")] if panel.subtitle else [])]


def _cell(value: Any) -> str:
    return number(value, 5) if isinstance(value, float) else "–" if value is None else str(value)


__all__ = ["exhibit", "exhibits", "folded", "in_words", "numbers_table"]
