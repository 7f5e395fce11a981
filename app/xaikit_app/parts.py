"""Places on a page that fill themselves: each shows the result of a unit as soon as there is one.

A page module has a function from a view to its parts, which must give the same for the same view. `fill` submits their
units and gives what is known at once; `register` adds the callback that brings the rest, and the one that cancels.
What is heavy `asks` first: it shows a stored result at once, and starts only when its button is pressed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, Patch, State, ctx, dcc, html, no_update

from xaikit.errors import JobError, NotSupported, XaikitError
from xaikit.jobs import Job, Unit
from xaikit_app import polls, ui
from xaikit_app.services import Services
from xaikit_app.state import read
from xaikit_app.taking import take_along
from xaikit_app.work.describe import Description

AT_ONCE = 0.25
"""Seconds that a page waits for its parts before it is shown without them."""


@dataclass(frozen=True, eq=False)
class Part:
    """A place by name: the unit it waits for, what shows its result, and what stands there until then.

    A unit that is None cannot be made yet, and is asked for again later. With `asks`, the words of a button, nothing
    starts before that is pressed; `cost` says beside it what it takes. Where a result can be taken along it has links
    for that below it, and its `code`.
    """

    name: str
    unit: Unit | None
    shown: Callable[[Any], Any]
    waiting: str
    before: Any = None
    asks: str = ""
    cost: str = ""
    taken: bool = False
    code: Sequence[str] = ()


Parts = Callable[[Any], Sequence[Part]]


def fill(page: str, view: Any, parts: Sequence[Part]) -> tuple[dict[str, Any], list[Any]]:
    """Submit the units of parts: give what stands at each place now, by name, and what keeps them up to date."""
    services = view.services
    jobs = {p.name: _asked(services, p) for p in parts if p.unit is not None and _may_start(services, p)}
    until = time.monotonic() + AT_ONCE
    for job in jobs.values():
        if isinstance(job, Job):
            job.wait(max(0.0, until - time.monotonic()))
    # Before what is shown: a job that ends in between is looked after once more.
    due = [p.name for p in parts if (p.name in jobs or not p.asks) and not _settled(jobs.get(p.name))]
    places = {
        part.name: html.Div(
            _shown(part, jobs.get(part.name), page),
            id={"type": f"{page}-part", "part": part.name},
            className="part",
            **{"aria-live": "polite", "data-part": f"{page} {part.name}"},
        )
        for part in parts
    }
    open_ = {name: known.id if isinstance(known := jobs.get(name), Job) else "" for name in due}
    kept = {"href": view.state.href, "jobs": open_}
    machinery = [
        dcc.Store(id=f"{page}-pending", data=kept),
        polls.clock(f"{page}-poll", bool(open_)),
    ]
    return places, machinery


def register(app: Dash, services: Services, page: str, parts: Parts, view_of: Callable[..., Any]) -> None:
    """Add the callbacks of a page with parts; `view_of(state, chosen, description, services)` makes a view."""
    polls.register(app, f"{page}-poll")

    @app.callback(
        Output({"type": f"{page}-part", "part": ALL}, "children"),
        Output(f"{page}-pending", "data"),
        Output(f"{page}-poll", "disabled"),
        Input(f"{page}-poll", "n_intervals"),
        Input({"type": f"{page}-ask", "part": ALL}, "n_clicks"),
        State(f"{page}-pending", "data"),
        State({"type": f"{page}-part", "part": ALL}, "id"),
        prevent_initial_call=True,
    )
    def bring(_: int | None, asked: list[int | None], kept: dict[str, Any], ids: list[dict[str, str]]) -> Any:
        cause = ctx.triggered_id
        if isinstance(cause, dict) and not any(asked):  # a button that has just appeared
            return [no_update] * len(ids), no_update, not kept["jobs"]
        path, _, search = kept["href"].partition("?")
        state = read(path, search)
        chosen = services.choose(state)
        known = services.description(chosen)
        if not isinstance(known, Description):
            return [no_update] * len(ids), no_update, False
        by_name = {part.name: part for part in parts(view_of(state, chosen, known, services))}
        left, children = dict(kept["jobs"]), []
        changes = Patch()  # others may be under way that were asked for meanwhile: the store is changed, not replaced
        if isinstance(cause, dict):
            left[cause["part"]] = ""
        for name in (id["part"] for id in ids):
            if name not in left or name not in by_name:
                children.append(no_update)
                continue
            part = by_name[name]
            job: Job | XaikitError | None = services.found(left[name])
            if left[name] and job is None:
                job = JobError(FORGOTTEN)
            elif job is None and part.unit is not None:
                job = _asked(services, part)
                left[name] = changes["jobs"][name] = job.id if isinstance(job, Job) else ""
            settled = _settled(job)  # before what is shown: it may end in between
            children.append(_shown(part, job, page))
            if settled:
                del left[name]
                del changes["jobs"][name]
        return children, changes, not left

    app.clientside_callback(
        "function (kept) { return !kept || !Object.keys(kept.jobs).length; }",
        Output(f"{page}-poll", "disabled", allow_duplicate=True),
        Input(f"{page}-pending", "data"),
        prevent_initial_call=True,
    )

    @app.callback(
        Input({"type": f"{page}-cancel", "part": ALL}, "n_clicks"),
        State(f"{page}-pending", "data"),
        prevent_initial_call=True,
    )
    def cancel(clicks: list[int | None], kept: dict[str, Any]) -> None:
        if any(clicks) and isinstance(ctx.triggered_id, dict):
            job = services.found(kept["jobs"].get(ctx.triggered_id["part"]))
            if job is not None:
                job.cancel()


FORGOTTEN = "the app does not know this piece of work any more"


def _may_start(services: Services, part: Part) -> bool:
    """Whether a part needs no leave: it is light, or its result is stored."""
    return not part.asks or (part.unit is not None and services.stored(part.unit) is not None)


def _asked(services: Services, part: Part) -> Job | XaikitError:
    """Submit the unit of a part, or give the reason why that cannot be done now."""
    assert part.unit is not None
    try:
        return services.submit(part.unit, part.waiting)
    except XaikitError as error:
        return error


def _settled(job: Job | XaikitError | None) -> bool:
    return isinstance(job, XaikitError) or (job is not None and job.done)


def _shown(part: Part, job: Job | XaikitError | None, page: str) -> Any:
    """Give what stands at a place: the result, where the work stands, or what went wrong, with a way on."""
    if isinstance(job, XaikitError):
        return _again(part, page, job)
    if job is None and part.asks:
        return html.Div([part.before, _asking(part, page), _earlier(part, page)])
    if job is None or not job.done:
        return html.Div([part.before, _progress(part, job, page), _earlier(part, page)])
    if job.status == "cancelled":
        return _again(part, page, "You cancelled this.", "Not done")
    try:
        result = job.result()
        return [_cost(part, job, result), part.shown(result), _taking(part, job)]
    except NotSupported as error:
        return ui.not_supported(str(error))
    except XaikitError as error:
        return _again(part, page, error)


def _cost(part: Part, job: Job, result: Any) -> Any:
    """Say what it cost to make a result that was there before, where that is worth a word."""
    return ui.stored(getattr(result, "origin", None)) if job.stored and (part.asks or part.taken) else None


def _taking(part: Part, job: Job) -> Any:
    return take_along(job.address, part.code) if part.taken or part.code else None


def _asking(part: Part, page: str) -> Any:
    """Give the button that starts a heavy part, with what it takes."""
    button = dmc.Button(part.asks, id={"type": f"{page}-ask", "part": part.name}, size="sm", variant="light")
    cost = part.cost[:1].upper() + part.cost[1:].removesuffix(".") + "." * bool(part.cost)
    return dmc.Group([button, dmc.Text(cost, size="xs", c="dimmed")], gap="sm", className="asking")


def _progress(part: Part, job: Job | None, page: str) -> Any:
    if job is None:
        return ui.waiting(f"{part.waiting} …")
    return html.Div(ui.progress(part.waiting, job, {"type": f"{page}-cancel", "part": part.name}), className="waiting")


def _earlier(part: Part, page: str) -> Any:
    """Give the place where the browser keeps the last good result, dimmed, until the new one is there."""
    return html.Div(className="earlier", **{"data-earlier": f"{page} {part.name}"})


def _again(part: Part, page: str, error: Any, title: str = "That did not work") -> Any:
    """Give an error with a button that tries again, and one that copies what it says."""
    ask = dmc.Button("Try again", id={"type": f"{page}-ask", "part": part.name}, size="compact-sm", variant="default")
    ways = [ask, *([ui.copied(f"{part.waiting}: {error}")] if isinstance(error, XaikitError) else [])]
    return dmc.Stack([ui.problem(error, title), dmc.Group(ways, gap="sm")], gap="xs", className="failed")


__all__ = ["Part", "fill", "register"]
