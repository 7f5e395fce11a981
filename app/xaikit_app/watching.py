"""One piece of work at a time that a page starts by a button: where it stands, how to give it up, and what came of it.

The page has `place(PATH)` where that is to be seen. A callback that starts something writes `job.id` into the store
"PATH-job"; once the work has ended, what `shown` makes of the job stands there, and "PATH-ended" has its id.
"""

from collections.abc import Callable
from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update

from xaikit.figures import seconds
from xaikit.jobs import Job
from xaikit_app import polls, ui
from xaikit_app.services import Services

GONE = "The app has forgotten this piece of work: start it again."


def place(page: str, job: str | None = None) -> Any:
    """Give the place of a page's work; `job` is the id of what is under way already."""
    return html.Div(
        [
            html.Div(id=f"{page}-work", **{"aria-live": "polite"}),
            dcc.Store(id=f"{page}-job", data=job),
            dcc.Store(id=f"{page}-ended"),
            polls.clock(f"{page}-poll", bool(job)),
        ]
    )


def register(app: Dash, services: Services, page: str, shown: Callable[[Job], Any]) -> None:
    """Add the callback that follows a page's work."""
    polls.register(app, f"{page}-poll")

    @app.callback(
        Output(f"{page}-work", "children"),
        Output(f"{page}-poll", "disabled"),
        Output(f"{page}-ended", "data"),
        Input(f"{page}-job", "data"),
        Input(f"{page}-poll", "n_intervals"),
        Input({"type": f"{page}-stop", "job": ALL}, "n_clicks"),
        State(f"{page}-ended", "data"),
    )
    def follow(id: str | None, _: int | None, stops: list[int | None], ended: str | None) -> Any:
        if not id:
            return no_update, True, no_update
        job = services.found(id)
        if job is None:
            return ui.hint(GONE), True, id
        if isinstance(ctx.triggered_id, dict) and any(stops):
            job.cancel()
        if not job.done:
            return progress(job, page), False, no_update
        return (no_update if ended == id else shown(job)), True, id


def progress(job: Job, page: str) -> Any:
    """Say where a job stands, with a button that gives it up."""
    done, total = job.progress or (0, 0)
    bar = dmc.Progress(
        value=100 * done / total if total else 100,
        animated=not total,
        striped=not total,
        **{"aria-label": "How much is done"},
    )
    stop = dmc.Button("Cancel", id={"type": f"{page}-stop", "job": job.id}, size="compact-sm", variant="default")
    said = html.Span(words(job), className="work-words")
    return html.Div([bar, dmc.Group([said, stop], justify="space-between")], className="work", role="status")


def words(job: Job) -> str:
    """Say where a job stands in a few words."""
    if job.status == "waiting":
        return f"Waits for its turn{'' if job.place is None else f', place {job.place} in the queue'}"
    done, total = job.progress or (0, 0)
    if not total:
        return "Starting"
    left = "" if job.left is None or done >= total else f", about {seconds(max(1.0, round(job.left)))} left"
    return f"{done:,} of {total:,} done{left}"


__all__ = ["place", "progress", "register", "words"]
