"""What-if: an input is changed, and the network says what that does to its answer."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update

from xaikit.errors import InputError, XaikitError
from xaikit.figures import number
from xaikit.inputs import Category, Classes, Values
from xaikit.jobs import Job, Unit
from xaikit.results import Counterfactuals, Profile, WhatIf
from xaikit_app import cohorts, polls, thumbs, tiles, ui
from xaikit_app.cohorts import Term
from xaikit_app.exhibits import exhibits
from xaikit_app.pages import View, _changing
from xaikit_app.pages._changing import signed
from xaikit_app.parts import Part, fill
from xaikit_app.parts import register as register_parts
from xaikit_app.services import Services
from xaikit_app.snippets import snippet
from xaikit_app.state import read
from xaikit_app.taking import take_along
from xaikit_app.targets import target_of
from xaikit_app.work.describe import Description

PATH, TITLE, ICON, ORDER = "what-if", "What-if", "sliders", 30
GROUP = "Explain"
CHANGE, PIN = "change", "start"
"""The entries of an address with the changes of a row, and with those that are part of the start."""
ROWS = 400
"""As many rows of the data as a change is compared with."""
GRID = 15
OTHER = "the second most probable"
PATIENCE = 1.5
"""Seconds that the answer to a change is waited for before the page shows that it is on its way."""


def lacks(description: Description) -> str | None:
    """Say why a model's inputs cannot be changed here, or None."""
    if isinstance(description.inputs, Mapping):
        return "it takes several inputs at once, and one of a kind is changed here"
    return None


def layout(view: View) -> Any:
    """Give the page."""
    table = view.description.kind == "Table"
    lead = "Change the input and see what the network answers then."
    value, why = thumbs.value_of(view)
    if value is None:
        return ui.page(
            TITLE, lead, ui.hint(f"Nothing to change: {why}"), ui.card(thumbs.chooser(PATH, view), title="Input")
        )
    places, machinery = fill(PATH, view, parts(view))
    body = _table(view, places) if table else _other(view, value, places)
    return ui.page(TITLE, lead, body, html.Div(machinery), dcc.Store(id="what-if-view", data=view.state.href))


def register(app: Dash, services: Services) -> None:
    """Add the callbacks."""
    register_parts(app, services, PATH, parts, View)
    thumbs.register(app, services, PATH)
    _changing.register(app, services, partial(_view, services))
    _register_live(app, services)
    _register_nearest(app, services)


def parts(view: View) -> list[Part]:
    """Give the parts: for a table a curve below each column, for another input the answers before and after."""
    value, _ = thumbs.value_of(view)
    if value is None:
        return []
    if view.description.kind != "Table":
        return _changing.parts(view, value)
    rows = _rows(view)
    if not rows:
        return []
    names = list(view.description.inputs.columns)
    given = {"X": rows, "rows": [_start(view)]}
    asked = {"columns": names, "kind": "ceteris-paribus", "grid": GRID}
    unit = Unit(view.chosen.key, given, parameters=asked, target=_target(view), task="app-profile")
    return [Part(f"curve-{k}", unit, partial(_curve, view, name), "Curve") for k, name in enumerate(names)]


def _other(view: View, value: Any, places: Mapping[str, Any]) -> Any:
    return html.Div(
        [
            html.Div(
                [
                    ui.card(_changing.editor(view, value), title="Change it"),
                    ui.card(thumbs.chooser(PATH, view), title="Start from another input"),
                ],
                className="column",
            ),
            ui.card(places["answers"], title="Answer"),
        ],
        className="two",
    )


def _view(services: Services, href: str) -> View:
    """Give the view of an address. Raises UnknownName, UsageError."""
    path, _, search = href.partition("?")
    state = read(path, search)
    chosen = services.choose(state)
    return View(state, *services.known(chosen.name, chosen.framework), services)


# ---------------------------------------------------------------- rows: what is chosen


def _rows(view: View) -> list[Any]:
    """Give the rows that a change is compared with: those of the slice, or all, at most ROWS of them."""
    spec = view.description.inputs
    return [spec.display(row) for row in cohorts.labelled(view, ROWS)[0]]


def _row(view: View) -> dict[str, Any]:
    """Give the chosen row by column. Raises InputError."""
    value, why = thumbs.value_of(view)
    if value is None:
        raise InputError(why or "no row is chosen")
    row: dict[str, Any] = view.description.inputs.display(value)
    return row


def _start(view: View) -> dict[str, Any]:
    """Give the row that changes are counted from: the chosen one with what was taken into the start."""
    return {**_row(view), **changes_of(view.state.more.get(PIN), view.description.inputs)}


def changes_of(text: str | None, spec: Any) -> dict[str, Any]:
    """Read changes from an address, `age:30;sex:male`. Raises InputError, ParameterError, UnknownName."""
    found = {}
    for term in cohorts.terms(text):
        if term.operator != ":" or term.name not in spec.columns:
            raise InputError(f"this link changes {term.name!r}, which is no column of this model")
        found[term.name] = _value(term.value, spec.columns[term.name], term.name)
    return found


def _value(text: Any, column: Any, name: str) -> Any:
    if isinstance(column, Category):
        known = {str(v): v for v in column.values}
        if str(text) not in known:
            raise InputError(f"{name} is one of {', '.join(known)}, not {str(text)[:40]!r}")
        return known[str(text)]
    try:
        value = float(text)
    except (TypeError, ValueError):
        raise InputError(f"{name} is a number, not {str(text)[:40]!r}") from None
    if not np.isfinite(value):
        raise InputError(f"{name} is a number, not {text}")
    return value


def written(changes: Mapping[str, Any]) -> str:
    """Write changes for an address."""
    return cohorts.text_of(Term(n, ":", f"{v:.6g}" if isinstance(v, float) else str(v)) for n, v in changes.items())


def _target(view: View) -> Any:
    return target_of(view.state.target, view.description)


# ---------------------------------------------------------------- rows: the page


def _table(view: View, places: Mapping[str, Any]) -> Any:
    rows = _rows(view)
    start = _start(view)
    now = {**start, **changes_of(view.state.more.get(CHANGE), view.description.inputs)}
    columns = view.description.inputs.columns
    if not rows:
        return ui.hint("The slice is empty, so there is nothing to compare a change with.")
    controls = [
        html.Div([_control(name, column, rows, now[name]), places.get(f"curve-{k}")], className="what-if-column")
        for k, (name, column) in enumerate(columns.items())
    ]
    return html.Div(
        [
            html.Div(
                [
                    ui.card(html.Div(controls, className="what-if-columns"), _ways(view), title="Change the row"),
                    ui.card(thumbs.chooser(PATH, view), title="Start from another row"),
                ],
                className="column",
            ),
            html.Div(
                [
                    ui.card(
                        html.Div(id="what-if-busy", role="status"),
                        html.Div(ui.waiting("Asking the network …"), id="what-if-live", **{"aria-live": "polite"}),
                        title="Answer",
                    ),
                    ui.card(_nearest_form(view, rows, start), html.Div(id="what-if-found"), title="The nearest change"),
                ],
                className="column",
            ),
            dcc.Store(id="what-if-job"),
            dcc.Store(id="what-if-search"),
            polls.clock("what-if-live-poll"),
            polls.clock("what-if-nearest-poll"),
        ],
        className="two wide-left",
    )


def _ways(view: View) -> Any:
    rest = {k: v for k, v in view.state.more.items() if k not in (CHANGE, PIN)}
    pinned = view.state.more.get(PIN)
    said = dmc.Text(f"Changes are counted from a start of your own: {_in_words(pinned)}.", size="xs", c="dimmed")
    return dmc.Stack(
        [
            dmc.Group(
                [
                    dmc.Button("Reset", id="what-if-reset", size="xs", variant="default", n_clicks=0),
                    dmc.Button(
                        "Count changes from here on", id="what-if-pin", size="xs", variant="default", n_clicks=0
                    ),
                    *([dcc.Link("Back to the row itself", href=view.state.at(more=rest).href)] if pinned else []),
                ],
                gap="xs",
            ),
            *([said] if pinned else []),
        ],
        gap=4,
        mt="md",
    )


def _in_words(text: str | None) -> str:
    return ", ".join(f"{t.name} {t.value}" for t in cohorts.terms(text))


def _control(name: str, column: Any, rows: Sequence[Mapping[str, Any]], value: Any) -> Any:
    """Give a slider within the range of the data, or a choice."""
    id = {"type": "what-if-value", "name": name}
    if isinstance(column, Category):
        data = [str(v) for v in column.values]
        return dmc.Select(id=id, label=name, data=data, value=str(value), allowDeselect=False, size="xs")
    low, high, step = range_of([float(row[name]) for row in rows] + [float(value)])
    return html.Div(
        [
            dmc.Text(name, size="xs", fw=500, id=f"what-if-name-{name}"),
            dmc.Slider(
                id=id,
                min=low,
                max=high,
                step=step,
                value=float(value),
                marks=[{"value": v, "label": number(v, 4)} for v in (low, high)],
                updatemode="mouseup",
                labelAlwaysOn=True,
                precision=max(0, -int(np.floor(np.log10(step)))),
                className="what-if-slider",
                thumbLabel=name,
                size="sm",
            ),
        ]
    )


def range_of(values: Sequence[float]) -> tuple[float, float, float]:
    """Give the least and largest of values with a handy step: 1 for whole numbers."""
    low, high = min(values), max(values)
    if all(v == int(v) for v in values):
        return low, max(high, low + 1), 1.0
    high = high if high > low else low + 1
    step = 10.0 ** np.floor(np.log10((high - low) / 100))
    return low, high, float(step)


def _curve(view: View, name: str, profile: Profile) -> Any:
    """Give how the answer goes with one column while the others stay, small below its control."""
    effect = profile[name]
    k = _output(profile.outputs, view, effect.starts[0] if len(effect.starts) else None)
    y = np.asarray(effect.curves[0, k] if len(effect.curves) else effect.values[k], float)
    at = int(y.argmax())
    best = effect.grid[0][at]
    place = str(best) if effect.kinds[0] == "category" else number(float(best))
    words = f"{profile.outputs[k]} goes from {number(float(y.min()))} to {number(float(y.max()))}; largest at {place}."
    drawn = html.Img(
        src=tiles.curve_url(y, float(y.min()), float(y.max()) or 1.0), alt=words, className="what-if-curve"
    )
    return html.Div([drawn, html.Span(words, className="quiet")], className="curve-below")


def _output(outputs: Sequence[str], view: View, start: Any) -> int:
    """Give the output that is looked at: the target, else the one that is largest at the start."""
    names = list(outputs)
    target = view.state.target
    if target and target.isdecimal() and int(target) < len(names):
        return int(target)
    return int(np.argmax(start)) if start is not None and isinstance(view.description.outputs, Classes) else 0


# ---------------------------------------------------------------- rows: the live answer


def _unit(view: View, changes: Mapping[str, Any]) -> Unit:
    start = _start(view)
    same = dict([next(iter(start.items()))])  # a change that changes nothing asks for the row as it is
    given, asked = {"X": _rows(view), "row": start}, {"changes": dict(changes) or same}
    return Unit(view.chosen.key, given, parameters=asked, target=_target(view), task="app-what-if")


def _register_live(app: Dash, services: Services) -> None:
    polls.register(app, "what-if-live-poll")

    @app.callback(
        Output("what-if-live", "children"),
        Output("what-if-busy", "children"),
        Output("what-if-job", "data"),
        Output("what-if-live-poll", "disabled"),
        Output("view-changes", "data", allow_duplicate=True),
        Input({"type": "what-if-value", "name": ALL}, "value"),
        Input("what-if-live-poll", "n_intervals"),
        State({"type": "what-if-value", "name": ALL}, "id"),
        State("what-if-job", "data"),
        State("what-if-view", "data"),
        prevent_initial_call="initial_duplicate",
    )
    def answer(values: list[Any], _: int | None, ids: list[dict[str, str]], kept: Any, href: str) -> Any:
        if not values:
            return no_update, no_update, no_update, True, no_update
        view = _view(services, href)
        try:
            changes = _entered(view, ids, values)
            text = written(changes)
            polled = ctx.triggered_id == "what-if-live-poll" and kept and kept["change"] == text
            job = services.job(kept["job"]) if polled else services.submit(_unit(view, changes))
            job.wait(PATIENCE)
            told = {"job": job.id, "change": text}
            address = {"model": view.chosen.name, CHANGE: text or None}
            if not job.done:
                return no_update, ui.waiting("Asking the network …"), told, False, address
            return _live(view, job, changes), None, told, True, address
        except XaikitError as error:
            return no_update, ui.problem(error), None, True, no_update

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Input("what-if-reset", "n_clicks"),
        Input("what-if-pin", "n_clicks"),
        State({"type": "what-if-value", "name": ALL}, "value"),
        State({"type": "what-if-value", "name": ALL}, "id"),
        State("what-if-view", "data"),
        prevent_initial_call=True,
    )
    def reset(reset: int | None, pin: int | None, values: list[Any], ids: list[dict[str, str]], href: str) -> Any:
        view = _view(services, href)
        rest = {k: v for k, v in view.state.more.items() if k != CHANGE}
        if reset and ctx.triggered_id == "what-if-reset":
            return view.state.at(more={**rest, "again": str(reset)}).href
        if pin and ctx.triggered_id == "what-if-pin":
            before = changes_of(view.state.more.get(PIN), view.description.inputs)
            text = written({**before, **_entered(view, ids, values)})
            return view.state.at(more={**rest, PIN: text} if text else rest).href
        return no_update


def _entered(view: View, ids: Sequence[Mapping[str, str]], values: Sequence[Any]) -> dict[str, Any]:
    """Give what differs from the start. Raises InputError."""
    start, columns = _start(view), view.description.inputs.columns
    found = {id["name"]: _value(v, columns[id["name"]], id["name"]) for id, v in zip(ids, values, strict=True)}
    return {n: v for n, v in found.items() if not _same(v, start[n])}


def _same(a: Any, b: Any) -> bool:
    return bool(np.isclose(float(a), float(b))) if isinstance(a, float) else bool(a == b)


def _live(view: View, job: Job, changes: Mapping[str, Any]) -> Any:
    result: WhatIf = job.result()
    before, after = result.of(result.target)
    if not changes:
        rows = [(n, float(v)) for n, v in zip(result.outputs, result.before, strict=True)]
        shown = ui.shares(rows, result.target) if isinstance(view.description.outputs, Classes) else _numbers(rows)
        return html.Div([shown, dmc.Text("Change a value, and the answer follows.", size="sm", c="dimmed", mt="sm")])
    words = f"{result.target}: from {number(before)} to {number(after)}, a change of {signed(after - before)}."
    off = "The changed row is further from the data than 99 % of its rows: the network was never tested there."
    code = snippet(
        view,
        f"print(xk.what_if(model, X, x, {dict(changes)!r}))  # X: rows of the data",
        sample=thumbs.current(view),
    )
    return html.Div(
        [
            html.P(words, className="said-change", **{"data-testid": "change"}),
            ui.hint(off) if result.off_data else None,
            exhibits(result),
            take_along(job.address, code),
        ]
    )


def _numbers(rows: Sequence[tuple[str, float]]) -> Any:
    return ui.facts([(name, number(value)) for name, value in rows])


# ---------------------------------------------------------------- rows: the nearest change


def _nearest_form(view: View, rows: Sequence[Mapping[str, Any]], start: Mapping[str, Any]) -> Any:
    spec, outputs = view.description.inputs, view.description.outputs
    lead = "Looks for the smallest changes after which the answer is another one. Takes some seconds."
    if not isinstance(outputs, Classes | Values):
        return dmc.Text("The network gives no class or number that could be asked for.", size="sm", c="dimmed")
    if isinstance(outputs, Classes):
        names = [str(n) for n in outputs.names]
        wanted: list[Any] = [
            dmc.Select(
                id="what-if-wanted",
                label="Wanted answer",
                data=[OTHER, *names],
                value=OTHER,
                size="xs",
                allowDeselect=False,
            ),
            dmc.NumberInput(
                id="what-if-least", label="With a probability of at least", value="", min=0, max=1, step=0.05, size="xs"
            ),
            html.Div(dmc.NumberInput(id="what-if-most", value=""), hidden=True),
        ]
    else:
        names = [str(n) for n in outputs.names]
        wanted = [
            dmc.Select(
                id="what-if-wanted", label="Wanted value of", data=names, value=names[0], size="xs", allowDeselect=False
            ),
            dmc.NumberInput(id="what-if-least", label="From", value="", size="xs"),
            dmc.NumberInput(id="what-if-most", label="To", value="", size="xs"),
        ]
    wanted += [
        dmc.NumberInput(
            id="what-if-count", label="How many ways", value=3, min=1, max=10, allowDecimal=False, size="xs"
        ),
        dmc.NumberInput(
            id="what-if-columns",
            label="Columns that change at most",
            value=3,
            min=1,
            max=6,
            allowDecimal=False,
            size="xs",
        ),
        dmc.MultiSelect(
            id="what-if-fixed", label="Columns that must not change", data=list(spec.columns), value=[], size="xs"
        ),
    ]
    return dmc.Stack(
        [
            dmc.Text(lead, size="sm", c="dimmed"),
            dmc.SimpleGrid(wanted, cols={"base": 1, "sm": 2}, spacing="xs"),
            html.Details(
                [html.Summary("Limits of the columns"), html.Div(_limits(spec, rows, start))], className="numbers"
            ),
            dmc.Button("Find the nearest changes", id="what-if-find", size="sm", w="fit-content", n_clicks=0),
        ],
        gap="xs",
    )


def _limits(spec: Any, rows: Sequence[Mapping[str, Any]], start: Mapping[str, Any]) -> list[Any]:
    found = []
    for name, column in spec.columns.items():
        id = {"type": "what-if-limit", "name": name}
        if isinstance(column, Category):
            data = [str(v) for v in column.values]
            found.append(dmc.MultiSelect(id=id, label=f"{name} may be", data=data, value=data, size="xs"))
            continue
        low, high, step = range_of([float(row[name]) for row in rows] + [float(start[name])])
        precision = max(0, -int(np.floor(np.log10(step))))
        slider = dmc.RangeSlider(
            id=id,
            min=low,
            max=high,
            step=step,
            value=[low, high],
            minRange=0,
            precision=precision,
            size="sm",
            thumbFromLabel=f"{name} from",
            thumbToLabel=f"{name} to",
        )
        found.append(html.Div([dmc.Text(f"{name} lies within", size="xs", fw=500), slider], className="what-if-limit"))
    return found


def _register_nearest(app: Dash, services: Services) -> None:
    polls.register(app, "what-if-nearest-poll")

    @app.callback(
        Output("what-if-found", "children"),
        Output("what-if-search", "data"),
        Output("what-if-nearest-poll", "disabled"),
        Input("what-if-find", "n_clicks"),
        Input("what-if-nearest-poll", "n_intervals"),
        Input({"type": "what-if-stop", "n": ALL}, "n_clicks"),
        State("what-if-search", "data"),
        State("what-if-wanted", "value"),
        State("what-if-least", "value"),
        State("what-if-most", "value"),
        State("what-if-count", "value"),
        State("what-if-columns", "value"),
        State("what-if-fixed", "value"),
        State({"type": "what-if-limit", "name": ALL}, "value"),
        State({"type": "what-if-limit", "name": ALL}, "id"),
        State("what-if-view", "data"),
        prevent_initial_call=True,
    )
    def find(
        clicks: int | None, _: int | None, stops: list[int | None], kept: Any, wanted: str, least: Any, most: Any,
        count: Any, columns: Any, fixed: list[str] | None, limits: list[Any], ids: list[dict[str, str]], href: str,
    ) -> Any:  # fmt: skip
        view = _view(services, href)
        cause = ctx.triggered_id
        try:
            if cause == "what-if-find" and clicks:
                bounds = {id["name"]: value for id, value in zip(ids, limits, strict=True)}
                asked = {"count": int(count or 3), "most": int(columns or 3), "immutable": list(fixed or ())}
                unit = _search(view, wanted, _bound(least), _bound(most), bounds, asked)
                job = services.submit(unit)
                job.wait(PATIENCE)
            elif kept:
                job = services.job(kept)
                if isinstance(cause, dict) and any(stops):
                    job.cancel()
            else:
                return no_update, no_update, True
            if not job.done:
                return ui.progress("Looking for changes", job, {"type": "what-if-stop", "n": 0}), job.id, False
            if job.status == "cancelled":
                return dmc.Text("You cancelled this.", size="sm"), None, True
            return _found(view, job), None, True
        except XaikitError as error:
            return ui.problem(error), None, True


def _bound(value: Any) -> float | None:
    return None if value in (None, "") else float(value)


def _search(
    view: View, wanted: str, least: float | None, most: float | None, bounds: Mapping[str, Any], asked: dict[str, Any]
) -> Unit:
    spec, outputs = view.description.inputs, view.description.outputs
    if isinstance(outputs, Classes):
        asked |= {"wanted": None if wanted == OTHER else wanted, "at_least": least}
    else:
        if least is None and most is None:
            raise InputError("say from where, or up to where, the value is wanted")
        asked["wanted"] = [wanted, least, most] if len(outputs.names) > 1 else [least, most]
    numbers = {n: [float(v) for v in b] for n, b in bounds.items() if not isinstance(spec.columns[n], Category)}
    chosen = {n: b for n, b in bounds.items() if isinstance(spec.columns[n], Category)}
    asked |= {
        "ranges": {n: tuple(b) for n, b in numbers.items()},
        "allowed": {n: [_value(v, spec.columns[n], n) for v in b] for n, b in chosen.items()},
    }
    given = {"X": _rows(view), "row": _start(view)}
    return Unit(view.chosen.key, given, parameters=asked, seed=view.state.seed, task="app-nearest")


def _found(view: View, job: Job) -> Any:
    result: Counterfactuals = job.result()
    if not result.found:
        words = f"No such change was found: the nearest that was reached is {number(result.best)}. Allow more columns."
        return ui.hint(words)
    ways = [html.Li(_way(view, result, k)) for k in range(len(result))]
    code = snippet(view, f'print(xk.counterfactuals(model, X, x, "{result.wanted}"))  # X: rows of the data',
                   sample=thumbs.current(view))  # fmt: skip
    words = "The distance, or cost: standard deviations of the data for numbers, 1 for another category, 0.1 a column."
    note = html.P(words, className="quiet")
    return html.Div([html.Ul(ways, className="ways-found"), note, exhibits(result), take_along(job.address, code)])


def _way(view: View, result: Counterfactuals, k: int) -> Any:
    row = dict(zip(result.columns, result.rows[k], strict=True))
    start = _start(view)
    changed = {n: _value(v, view.description.inputs.columns[n], n) for n, v in row.items()}
    changed = {n: v for n, v in changed.items() if not _same(v, start[n])}
    words = ", ".join(f"{name} from {a} to {b}" for name, a, b in result.changes[k])
    said = (
        f"{words}: {result.wanted} {number(float(result.scores[k]))}, at a distance of {number(float(result.costs[k]))}"
    )
    off = " Outside the data." if result.off_data[k] else ""
    href = view.state.at(more={**view.state.more, CHANGE: written(changed)}).href
    return [html.Span(f"{said}.{off} "), dcc.Link("Load into the controls", href=href)]


__all__ = ["changes_of", "lacks", "layout", "parts", "range_of", "register", "written"]
