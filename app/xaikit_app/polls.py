"""Looking after work that is under way: the browser asks again a while after each answer, one question at a time.

Dash counts only the last of several answers that are under way for a callback. A clock that ticks by itself would, on a
server that takes longer than its interval, overtake every answer with the next question, and nothing would ever be
shown. So a callback has `Input(id, "n_intervals")` and `Output(id, "disabled")` of a `clock`, and what it answers there
sets the next tick. Where no answer comes, a question is asked again after `LOST_MS`.
"""

from typing import Any

from dash import ALL, Dash, Input, State, dcc

PAUSE_MS = 250
LOST_MS = 10_000


def clock(id: Any, on: bool = False) -> Any:
    """Give a clock, `on` where there is something to look after from the beginning."""
    return dcc.Interval(id=id, interval=LOST_MS, disabled=not on)


def register(app: Dash, *ids: str, pause: int = PAUSE_MS) -> None:
    """Have these clocks tick so many milliseconds after each answer."""
    for id in ids:
        app.clientside_callback(
            f"function (off) {{ window.dash_clientside.xaikitPolls.set('{id}', off, {pause}); }}", Input(id, "disabled")
        )


def register_each(app: Dash, kind: str) -> None:
    """Have all clocks of a kind tick, whose ids are {"type": kind, "input": NAME}."""
    every = {"type": kind, "input": ALL}
    app.clientside_callback(
        f"function (off, ids) {{ window.dash_clientside.xaikitPolls.setEach(ids, off, {PAUSE_MS}); }}",
        Input(every, "disabled"),
        State(every, "id"),
    )


__all__ = ["clock", "register", "register_each"]
