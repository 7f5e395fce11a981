"""Places on a page that fill themselves: each shows the result of a unit as soon as there is one.

A page module has a function from a view to its parts, which must give the same for the same view. `fill` submits their
units and gives what is known at once; `register` adds the callback that brings the rest, and the one that cancels.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update

from xaikit.errors import NotSupported, UnknownName, XaikitError
from xaikit.jobs import Job, Unit
from xaikit_app import ui
from xaikit_app.services import Services
from xaikit_app.state import read
from xaikit_app.tasks import Description

POLL_MS = 250
AT_ONCE = 0.25
"""Seconds that a page waits for its parts before it is shown without them."""


@dataclass(frozen=True, eq=False)
class Part:
    """A place by name: the unit it waits for, what shows its result, and what stands there until then.

    A unit that is None cannot be made yet, and is asked for again later.
    """

    name: str
    unit: Unit | None
    shown: Callable[[Any], Any]
    waiting: str
    before: Any = None


Parts = Callable[[Any], Sequence[Part]]


def fill(page: str, view: Any, parts: Sequence[Part]) -> tuple[dict[str, Any], list[Any]]:
    """Submit the units of parts: give what stands at each place now, by name, and what keeps them up to date."""
    jobs = {part.name: view.services.submit(part.unit) for part in parts if part.unit is not None}
    until = time.monotonic() + AT_ONCE
    for job in jobs.values():
        job.wait(max(0.0, until - time.monotonic()))
    places = {
        part.name: html.Div(
            _shown(part, jobs.get(part.name), view.state.href, page),
            id={"type": f"{page}-part", "part": part.name},
            **{"aria-live": "polite"},
        )
        for part in parts
    }
    open_ = {p.name: jobs[p.name].id if p.name in jobs else "" for p in parts if not _settled(jobs.get(p.name))}
    kept = {"href": view.state.href, "jobs": open_}
    machinery = [
        dcc.Store(id=f"{page}-pending", data=kept),
        dcc.Interval(id=f"{page}-poll", interval=POLL_MS, disabled=not open_),
    ]
    return places, machinery


def register(app: Dash, services: Services, page: str, parts: Parts, view_of: Callable[..., Any]) -> None:
    """Add the callbacks of a page with parts; `view_of(state, chosen, description, services)` makes a view."""

    @app.callback(
        Output({"type": f"{page}-part", "part": ALL}, "children"),
        Output(f"{page}-pending", "data"),
        Output(f"{page}-poll", "disabled"),
        Input(f"{page}-poll", "n_intervals"),
        State(f"{page}-pending", "data"),
        State({"type": f"{page}-part", "part": ALL}, "id"),
        prevent_initial_call=True,
        running=[(Output(f"{page}-poll", "disabled"), True, False)],  # of answers under way only the last would count
    )
    def bring(_: int | None, kept: dict[str, Any], ids: list[dict[str, str]]) -> Any:
        path, _, search = kept["href"].partition("?")
        state = read(path, search)
        chosen = services.choose(state)
        known = services.description(chosen)
        if not isinstance(known, Description):
            return [no_update] * len(ids), no_update, no_update
        by_name = {part.name: part for part in parts(view_of(state, chosen, known, services))}
        left, children = dict(kept["jobs"]), []
        for name in (id["part"] for id in ids):
            if name not in left or name not in by_name:
                children.append(no_update)
                continue
            part = by_name[name]
            if not left[name] and part.unit is not None:
                left[name] = services.submit(part.unit).id
            job = _found(services, left[name])
            forgotten = bool(left[name]) and job is None
            children.append(_again(FORGOTTEN, state.href) if forgotten else _shown(part, job, state.href, page))
            if forgotten or _settled(job):
                del left[name]
        return children, {**kept, "jobs": left}, not left

    @app.callback(
        Output(f"{page}-poll", "n_intervals"),
        Input({"type": f"{page}-cancel", "part": ALL}, "n_clicks"),
        State(f"{page}-pending", "data"),
        prevent_initial_call=True,
    )
    def cancel(clicks: list[int | None], kept: dict[str, Any]) -> Any:
        if not any(clicks) or not isinstance(ctx.triggered_id, dict):
            return no_update
        job = _found(services, kept["jobs"].get(ctx.triggered_id["part"]))
        if job is not None:
            job.cancel()
        return 0


FORGOTTEN = "the app has forgotten this piece of work"


def _settled(job: Job | None) -> bool:
    return job is not None and job.done


def _found(services: Services, id: str | None) -> Job | None:
    if not id:
        return None
    try:
        return services.job(id)
    except UnknownName:
        return None


def _shown(part: Part, job: Job | None, href: str, page: str) -> Any:
    """Give what stands at a place: the result, where the work stands, or what went wrong, with a way on."""
    if job is None or not job.done:
        return html.Div([part.before, _progress(part, job, page)])
    if job.status == "cancelled":
        return _again("This was cancelled.", href, "Not done")
    try:
        return part.shown(job.result())
    except NotSupported as error:
        return ui.hint(str(error))
    except XaikitError as error:
        return _again(error, href)


def _progress(part: Part, job: Job | None, page: str) -> Any:
    if job is None:
        return ui.waiting(f"{part.waiting} …")
    said = part.waiting if job.status == "running" else f"{part.waiting} (waits for its turn)"
    done, total = job.progress or (0, 0)
    steps = f" {done:,} of {total:,}" if total > 1 else ""
    stop = dmc.Button("Cancel", id={"type": f"{page}-cancel", "part": part.name}, size="compact-xs", variant="default")
    return dmc.Group([ui.waiting(f"{said} …{steps}"), stop], gap="md")


def _again(error: Any, href: str, title: str = "That did not work") -> Any:
    """Give an error with a link that loads the same page anew, and so tries again."""
    return dmc.Stack([ui.problem(error, title), html.A("Try again", href=href, className="again")], gap="xs")


__all__ = ["Part", "fill", "register"]
