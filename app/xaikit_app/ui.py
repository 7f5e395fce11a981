"""The pieces that pages are put together from; the only module besides the pages that names the component library."""

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import html

from xaikit.figures import Badge, probability, seconds

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


def progress(name: Any, job: Any, cancel: Any, *more: Any) -> Any:
    """Give a job that waits or runs: its name, a bar, where it stands, and the button with the id `cancel`."""
    steps = job.progress or (0, 0)
    known = job.status == "running" and steps[1] > 1
    bar = dmc.Progress(
        value=100 * steps[0] / steps[1] if known else 100 if job.status == "running" else 0,
        animated=job.status == "running" and not known,
        striped=job.status == "running" and not known,
        className="run-bar",
        **{"aria-label": "Progress"},
    )
    word = html.Span(standing(job), className="run-word", **{"aria-live": "off"})
    stop = dmc.Button("Cancel", id=cancel, size="compact-xs", variant="default", n_clicks=0)
    shown = [html.Span(name, className="run-name"), bar, word, html.Span([*more, stop], className="ways")]
    return html.Div(shown, className="run", **{"data-testid": "running"})


def standing(job: Any) -> str:
    """Say where a job stands: its place in the queue, or how far it is and how long it will take."""
    if job.status == "waiting":
        return f"waits for its turn, number {job.place}" if job.place else "waits for its turn"
    if job.status != "running":
        return str(job.status)
    done, total = job.progress or (0, 0)
    said = f"running, {100 * done / total:.0f} %" if total > 1 else "running"
    if job.quiet is not None and job.quiet > QUIET:
        return f"{said}, no step for {about(job.quiet)}"
    return said if job.left is None else f"{said}, about {about(job.left)} left"


QUIET = 20.0
"""Seconds without a step after which a job is said to be quiet."""


def about(time: float) -> str:
    """Write a duration that is only roughly known: "2 s", "3 min", "1 h 20 min"."""
    if time < 59.5:
        return f"{max(1, round(time))} s"
    minutes = round(time / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def stored(origin: Any) -> Any:
    """Say that a result was there before, and what it cost to make; None where that is not known."""
    took = getattr(origin, "seconds", None)
    if took is None:
        return None
    calls = getattr(origin, "model_calls", 0)
    made = f"took {seconds(took)}" + (f" and {calls:,} model call{'s' * (calls != 1)}" if calls else "")
    return html.P([tag("stored", className="stored"), f" Shown at once; making it {made}."], className="stored-word")


def copied(text: str, words: str = "Copy details") -> Any:
    """Give a button that copies a text."""
    return html.Button(words, type="button", className="plain-button", **{"data-copy": text})


def empty(text: Any, *ways: Any, title: str | None = None) -> Any:
    """Say that there is nothing to show yet, and how there will be something."""
    return _state("empty", "info", title, text, ways)


def not_supported(text: Any, *ways: Any, title: str = "Not for this model") -> Any:
    """Say why a model, an input or a result has no such thing."""
    return _state("not-supported", "info", title, text, ways)


def _state(kind: str, drawing: str, title: str | None, text: Any, ways: Sequence[Any]) -> Any:
    head = [html.Strong(title)] if title else []
    said = html.Div([*head, html.P(text), *([html.Div(list(ways), className="ways")] if ways else [])])
    return html.Div([icon(drawing), said], className=f"state {kind}")


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


def shares(
    pairs: Sequence[tuple[str, float]], chosen: str | None = None, colours: Mapping[str, str] | None = None
) -> Any:
    """Give names with shares of one as bars, in the order given; `chosen` stands out; `colours` are those of bars."""
    rows = []
    for name, share in pairs:
        bar = {"width": f"{100 * min(max(share, 0), 1):.2f}%", **({"background": colours[name]} if colours else {})}
        rows.append(
            html.Div(
                [
                    html.Span(name, className="share-name", title=name),
                    html.Span(
                        html.Span(className="share-fill", style=bar),
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


def quoted(words: Any) -> Any:
    """Give a text that went in; a long one scrolls in itself, also by keyboard."""
    return html.Blockquote(words, className="seen-text", tabIndex=0)


def explained(what: Any, words: str) -> Any:
    """Give something with words that appear while it is pointed at or has the focus."""
    shown = {"hover": True, "focus": True, "touch": True}
    return dmc.Tooltip(what, label=words, events=shown, multiline=True, w=240, withArrow=True, position="right")


def icon(name: str) -> Any:
    """Give one of the drawings in assets/app.css by name."""
    return html.Span(className=f"icon icon-{name}", **{"aria-hidden": "true"})
