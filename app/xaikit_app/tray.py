"""The tray: the work of a session, wherever in the app it was asked for, where it stands and what became of it."""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update, set_props
from dash.exceptions import MissingCallbackContextException
from flask import has_request_context, request

from xaikit.figures import seconds, spoken
from xaikit.jobs import Job, Unit
from xaikit_app import polls, sessions, ui

PAUSE_MS = 1000
SHOWN_AFTER = 0.8
"""Seconds from which on work is worth a line; what is quicker would only flicker."""
LONG = 1.5
"""Seconds that work took whose result stays listed."""
LINGER = 4.0
"""Seconds that the tray goes on looking after the last thing that happened."""
MOST = 30
"""As many lines as the tray has; the oldest go first."""
OPEN = ("waiting", "running")
KNOWN = {"describe": "Loading the model", "predict": "Asking the model"}


@dataclass(frozen=True)
class Note:
    """What a job was asked for: in which words, by which view (its address, or ""), and when."""

    id: str
    words: str
    model: str
    href: str
    at: float


class Notes:
    """The notes of every session, the newest last."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, Note]] = {}
        self._lock = threading.Lock()

    def add(self, job: Job, words: str = "") -> None:
        """Note a job of the present session, and have its tray look."""
        unit = job.unit
        note = Note(job.id, words or named(unit), unit.model, _asking(), job.submitted)
        with self._lock:
            kept = self._kept.setdefault(sessions.current(), {})
            kept.setdefault(job.id, note)
            while len(kept) > MOST:
                del kept[next(iter(kept))]
        with suppress(MissingCallbackContextException):  # only a callback can wake a page
            set_props("tray-poll", {"disabled": False})

    def of(self, owner: str) -> list[Note]:
        """Give the notes of a session."""
        with self._lock:
            return list(self._kept.get(owner, {}).values())

    def drop(self, owner: str, ids: Iterable[str]) -> None:
        """Forget notes of a session."""
        with self._lock:
            for id in ids:
                self._kept.get(owner, {}).pop(id, None)


def named(unit: Unit) -> str:
    """Say what a unit does in a few words."""
    if unit.method:
        return spoken(unit.method)
    return KNOWN.get(unit.task) or unit.task.replace("app-", "").replace("-", " ").capitalize()


def _asking() -> str:
    """Give the address of the view that the present request comes from, within this server."""
    if not has_request_context() or not request.referrer:
        return ""
    found = urlsplit(request.referrer)
    own = found.netloc == request.host and not found.path.startswith("//")
    return urlunsplit(("", "", found.path, found.query, "")) if own else ""


# ---------------------------------------------------------------- what stands in it


def frame() -> list[Any]:
    """Give the tray, empty: a line that unfolds, what it holds, and a word for screen readers."""
    return [
        polls.clock("tray-poll", on=True),
        dcc.Store(id="tray-known", storage_type="local"),
        html.Div(id="tray-told", className="unseen", role="status"),
        html.Section(
            html.Details([html.Summary(id="tray-said"), html.Div(id="tray-list")], className="tray-box"),
            id="tray",
            hidden=True,
            **{"aria-label": "Work of this session"},
        ),
    ]


@dataclass(frozen=True)
class Line:
    """A note with its job; None where that is not known any more."""

    note: Note
    job: Job | None

    @property
    def status(self) -> str:
        """The job's status, or "lost"."""
        return self.job.status if self.job is not None else "lost"

    @property
    def open(self) -> bool:
        """Whether it waits or runs."""
        return self.status in OPEN

    @property
    def listed(self) -> bool:
        """Whether it is worth a line: not what is over in a moment, nor what was given up on purpose."""
        if self.open:
            return time.time() - self.note.at >= SHOWN_AFTER
        took = self.job.seconds if self.job is not None else None
        return self.status in ("failed", "lost") or (self.status == "done" and (took or 0.0) >= LONG)


def lines(services: Any, owner: str, known: Mapping[str, Any]) -> list[Line]:
    """Give the work of a session, the newest first.

    What an earlier server noted is gone with it, but not its jobs: `known`, as the browser kept it, says what they are.
    """
    found = {note.id: Line(note, services.found(note.id, owner)) for note in services.notes.of(owner)}
    before = known.get("jobs", {})
    for job in services.jobs(owner)[:MOST]:
        if job.id not in found and (not job.done or before.get(job.id) in OPEN):
            words, href = known.get("notes", {}).get(job.id) or (named(job.unit), "")
            found[job.id] = Line(Note(job.id, words, job.unit.model, href, job.submitted), job)
    return sorted(found.values(), key=lambda line: line.note.at, reverse=True)


def said(shown: Sequence[Line]) -> str:
    """Sum up the tray in a line."""
    counts = {status: sum(line.status == status for line in shown) for status in WORDS}
    return ", ".join(words.format(count) for status, words in WORDS.items() if (count := counts[status]))


WORDS = {
    "running": "{} at work",
    "waiting": "{} in the queue",
    "done": "{} done",
    "failed": "{} failed",
    "lost": "{} lost",
}


def row(line: Line) -> Any:
    """Give one line of the tray."""
    note, job = line.note, line.job
    name = html.Span([note.words, html.Span(f" {_model(note.model)}", className="quiet")], className="run-name")
    to_it = [dcc.Link("Show", href=note.href, className="tray-show")] if note.href else []
    if line.open and job is not None:
        return ui.progress(name, job, {"type": "tray-cancel", "job": note.id}, *to_it)
    if line.status == "done" and job is not None:
        took = html.Span(f"done in {seconds(job.seconds or 0)}", className="run-word")
        return html.Div([name, html.Span([took, *to_it], className="ways")], className="run")
    text = (job.error if job is not None else None) or "The app does not know this piece of work any more."
    again = [html.A("Try again", href=note.href, className="again")] if note.href else []
    ways = html.Span([ui.copied(f"{note.words}, {note.model}: {text}"), *again], className="ways")
    return html.Div([name, html.Span(text, className="run-wrong"), ways], className="run wrong")


def _model(key: str) -> str:
    name, _, framework = key.partition(" (")
    return f"{name}, {spoken(framework.rstrip(')'))}" if framework else name


def news(before: dict[str, str], now: Sequence[Line]) -> str:
    """Say what has changed since: what has ended, in words for who does not see the tray."""
    ended = {"done": "is done", "failed": "has failed", "lost": "was lost"}
    told = [
        f"{line.note.words} {ended[line.status]}."
        for line in now
        if line.status in ended and before.get(line.note.id) in ("waiting", "running")
    ]
    return " ".join(told)


def register(app: Dash, services: Any) -> None:
    """Add the callbacks."""
    polls.register(app, "tray-poll", pause=PAUSE_MS)

    @app.callback(
        Output("tray-said", "children"),
        Output("tray-list", "children"),
        Output("tray", "hidden"),
        Output("tray-told", "children"),
        Output("tray-known", "data"),
        Output("tray-poll", "disabled"),
        Input("tray-poll", "n_intervals"),
        Input({"type": "tray-clear", "all": ALL}, "n_clicks"),
        State("tray-known", "data"),
    )
    def look(_: int | None, clears: list[int | None], known: dict[str, Any] | None) -> Any:
        owner, before = sessions.current(), known or {}
        now = lines(services, owner, before)
        if isinstance(ctx.triggered_id, dict) and any(clears):
            services.notes.drop(owner, [line.note.id for line in now if not line.open])
            now = [line for line in now if line.open]
        shown = [line for line in now if line.listed]
        after = _known(now, before)
        rest = not any(line.open for line in now) and time.time() - after["at"] > LINGER
        told = news(before.get("jobs", {}), now)
        return said(shown), _listed(shown), not shown, told or no_update, after, rest

    # A callback of its own, whose outcome the next question shows: a click on the way with an answer would be lost,
    # since that makes its button anew, unclicked.
    @app.callback(
        Input({"type": "tray-cancel", "job": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
    def cancel(clicks: list[int | None]) -> None:
        if any(clicks) and isinstance(ctx.triggered_id, dict):
            job = services.found(ctx.triggered_id["job"], sessions.current())
            if job is not None:
                job.cancel()


def _known(now: Sequence[Line], before: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the browser keeps: how every job stands, what it is, and when something last changed."""
    statuses = {line.note.id: line.status for line in now}
    notes = {line.note.id: [line.note.words, line.note.href] for line in now}
    at = before.get("at", 0.0) if statuses == before.get("jobs") else time.time()
    return {"jobs": statuses, "notes": notes, "at": at}


def _listed(shown: Sequence[Line]) -> Any:
    over = any(not line.open for line in shown)
    clear = [html.Button("Clear what is over", id={"type": "tray-clear", "all": "over"}, className="plain-button")]
    return [*map(row, shown), *(clear if over else [])]


__all__ = ["Line", "Note", "Notes", "frame", "lines", "named", "news", "register", "row", "said"]
