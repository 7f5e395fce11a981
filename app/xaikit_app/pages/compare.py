"""Compare: methods × inputs side by side, how far they agree, their curves beside random maps, their differences."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update

from xaikit.errors import QueueFull, UsageError, XaikitError
from xaikit.figures import BarPanel, answer_of, panels, spoken
from xaikit.inputs import Classes
from xaikit_app import cohorts, costs, exhibits, polls, snippets, targets, thumbs, ui
from xaikit_app.differences import difference
from xaikit_app.pages import View
from xaikit_app.pages._matrix import MOST, Cell, Matrix, whole
from xaikit_app.pages.explain import lacks as lacks_explanations
from xaikit_app.pictures import colour_bar
from xaikit_app.probes import probed
from xaikit_app.services import Services
from xaikit_app.showing import judged
from xaikit_app.state import State as Address
from xaikit_app.state import read
from xaikit_app.taking import python
from xaikit_app.work.describe import Description

PATH, TITLE, ICON, ORDER = "compare", "Compare", "columns", 25
GROUP = "Explain"
CURVE_CALLS = 700
"""About so many model calls the curves of one map take, with those of random maps."""


def lacks(description: Description) -> str | None:
    """Say why a model has nothing to compare, or None."""
    if description.kind == "several":
        return "it takes several inputs, and the matrix has one input in a row"
    return lacks_explanations(description)


# ---------------------------------------------------------------- what stands on the page


def layout(view: View) -> Any:
    """Give the page for a view: what is compared, and of that what is stored."""
    matrix = whole(view)
    if isinstance(matrix, XaikitError):
        anew = dcc.Link("Begin anew", href=Address(PATH, view.chosen.name, view.chosen.framework).href)
        return ui.page("Compare", "", ui.problem(matrix, "This link names something that is not here"), anew)
    parts = _parts(matrix, {})
    return ui.page(
        "Compare",
        f"What several methods say of the same inputs of {view.chosen.name}.",
        dcc.Store(id="compare-jobs", data={}),
        polls.clock("compare-poll"),
        _choices(matrix),
        html.Div(parts[0], id="compare-work", **{"aria-live": "polite"}),
        ui.card(html.Div(parts[1], id="compare-grid"), title="Maps"),
        ui.card(html.Div(parts[2], id="compare-agreement"), title="How far they agree"),
        ui.card(_which(matrix), html.Div(parts[3], id="compare-detail"), title="One input in detail"),
    )


def _choices(matrix: Matrix) -> Any:
    state, view = matrix.state, matrix.view
    offered = [{"value": m, "label": spoken(m)} for m in matrix.served]
    chosen = dmc.MultiSelect(
        id="compare-methods",
        data=offered,
        value=matrix.methods,
        maxValues=MOST,
        searchable=True,
        label="Methods",
        size="xs",
        className="grows",
    )
    found = targets.targets(view.description)
    target = dmc.Select(
        id="compare-target",
        data=found,
        value=targets.aim(state.target).text or targets.default(view.description),
        label="Explain the score of",
        placeholder="the predicted class",
        clearable=targets.default(view.description) is None,
        searchable=len(found) > 10,
        size="xs",
        w=180,
        style={} if found else {"display": "none"},
    )
    both = dmc.Switch(
        id="compare-both",
        checked=state.more.get("compare") == "both",
        label="Both frameworks",
        size="xs",
        style={} if len(view.chosen.choice.frameworks) > 1 else {"display": "none"},
    )
    scale = dmc.Switch(
        id="compare-scale",
        checked=state.more.get("scale") != "own",
        label="One scale for maps in the same unit",
        size="xs",
    )
    words = (
        f"Up to {MOST} methods and {MOST} inputs. Their parameters, seed and budget are those of this link; "
        "they are set on the page Explain."
    )
    return ui.card(
        cohorts.bar(view),
        html.Div([chosen, target, both, scale], className="controls"),
        html.Div(_thumbs(matrix), className=f"thumbs {view.description.kind.lower()} compared", role="group"),
        html.P([words, " ", dcc.Link("Go to Explain", href=state.to("explain").href)], className="quiet"),
        title="What is compared",
    )


def _thumbs(matrix: Matrix) -> list[Any]:
    spec = matrix.view.description.inputs
    offered = {sample.id: sample for sample in matrix.offered}
    named = [(id, offered[id].label if id in offered else "yours") for id in dict.fromkeys([*offered, *matrix.inputs])]
    values = {**{id: s.value for id, s in offered.items()}, **matrix.values}
    return [
        html.Button(
            [thumbs.small(values[id], spec, ""), html.Span(label, className="thumb-label")],
            id={"type": "compare-input", "sample": id},
            className="thumb chosen" if id in matrix.inputs else "thumb",
            n_clicks=0,
            type="button",
            **{"aria-pressed": str(id in matrix.inputs).lower(), "aria-label": f"sample {label or id}"},
        )
        for id, label in named
    ]


def _which(matrix: Matrix) -> Any:
    """Give the choice of the input in detail, and of the two maps whose difference is drawn."""
    if not matrix.inputs:
        return None
    labels = {sample.id: sample.label for sample in matrix.offered}
    inputs = [{"value": id, "label": f"{labels[id]} ({id})" if labels.get(id) else id} for id in matrix.inputs]
    columns = [{"value": c.key, "label": c.title} for c in matrix.columns]
    of, (first, second) = _detail(matrix), _pair(matrix)
    several = {} if len(columns) > 1 else {"display": "none"}
    picks = [
        ("of", "Input", inputs, of, {}),
        ("first", "Difference of", columns, first, several),
        ("second", "minus", columns, second, several),
    ]
    return dmc.Group(
        [
            dmc.Select(
                id={"type": "compare-pick", "name": name},
                label=label,
                data=data,
                value=value,
                allowDeselect=False,
                size="xs",
                w=210,
                style=style,
            )
            for name, label, data, value, style in picks
        ],
        gap="md",
        mb="md",
    )


def _detail(matrix: Matrix) -> str:
    asked = matrix.state.more.get("of")
    return asked if asked in matrix.inputs else matrix.inputs[0]


def _pair(matrix: Matrix) -> tuple[str, str]:
    keys = [c.key for c in matrix.columns]
    first = matrix.state.more.get("first", keys[0])
    second = matrix.state.more.get("second", keys[-1])
    return (first if first in keys else keys[0]), (second if second in keys else keys[-1])


# ---------------------------------------------------------------- what fills it


def _parts(matrix: Matrix, failed: Mapping[str, str]) -> tuple[Any, Any, Any, Any]:
    """Give what stands in the four places: the button, the maps, the agreement, the input in detail."""
    if not matrix.inputs:
        nothing = ui.empty("There are no inputs to compare here: choose others, or give some on the page Explain.")
        return None, nothing, None, None
    return _button(matrix), _grid(matrix, failed), _agreement(matrix), _in_detail(matrix)


def _pace(matrix: Matrix) -> Any:
    view, first = matrix.view, matrix.inputs[0]
    return costs.pace_of(view.services, view.chosen, view.description, first, 0.3)


def _button(matrix: Matrix) -> Any:
    missing = matrix.missing
    if not missing:
        return html.P(f"All {len(matrix.cells)} maps are stored, and shown at once.", className="quiet")
    count = f"the {len(missing)} missing maps" if len(missing) < len(matrix.cells) else f"{len(missing)} maps"
    ask = dmc.Button(
        f"Explain {count if len(missing) > 1 else 'the missing map'}", id={"type": "compare-run", "what": "maps"}
    )
    return dmc.Group([ask, dmc.Text(matrix.cost(missing, _pace(matrix)), size="xs", c="dimmed")], gap="sm")


def _grid(matrix: Matrix, failed: Mapping[str, str]) -> Any:
    head = html.Tr([html.Th("Input", scope="col"), *(html.Th(c.title, scope="col") for c in matrix.columns)])
    rows = [html.Tr([_given(matrix, id), *(_cell(matrix, c, failed) for c in matrix.row(id))]) for id in matrix.inputs]
    drawn = list(matrix.drawn.values())
    scales = {p.scale for p in drawn if hasattr(p, "scale")}
    ends = ("against", "for") if isinstance(matrix.view.description.outputs, Classes) else ("lowers", "raises")
    key = colour_bar(scales.pop() if len(scales) == 1 else None, *ends) if scales else None
    kind = "wide" if any(isinstance(p, BarPanel) or not hasattr(p, "values") for p in drawn) else "small"
    table = html.Table([html.Thead(head), html.Tbody(rows)], className=f"matrix {kind}")
    label = {"aria-label": "Maps by input and method"}
    return [key, html.Div(table, className="scrolls", tabIndex=0, role="group", **label)]


def _given(matrix: Matrix, id: str) -> Any:
    spec = matrix.view.description.inputs
    label = next((s.label for s in matrix.offered if s.id == id), "")
    found = next((matrix.found[c.key] for c in matrix.row(id) if c.key in matrix.found), None)
    said = [html.Span(answer_of(found, 0), className="quiet")] if found is not None else []
    name = html.Span(label or id, className="thumb-label")
    return html.Th([thumbs.small(matrix.values[id], spec, f"the input {label or id}"), name, *said], scope="row")


def _cell(matrix: Matrix, cell: Cell, failed: Mapping[str, str]) -> Any:
    result, panel = matrix.found.get(cell.key), matrix.drawn.get(cell.key)
    if result is None or panel is None:
        why = failed.get(cell.key)
        return html.Td(html.Span(why or "not explained yet", className="cell-error" if why else "quiet"))
    state = matrix.state.at(sample=cell.sample, methods=(cell.column.method,), framework=cell.column.chosen.framework)
    badge = judged(result)
    words = html.Span(ui.WORDS.get(badge.level, ""), className=f"cell-verdict {badge.level}", title=badge.text)
    link = dcc.Link("Open", href=state.to("explain").href, className="cell-link")
    label = {"data-cell": cell.key, "data-testid": "cell", "aria-label": f"{cell.column.title}: {panel.alt}"[:300]}
    return html.Td([probed(panel), html.Div([words, link], className="cell-foot")], **label)


def _agreement(matrix: Matrix) -> Any:
    made = [matrix.agreement(matrix.inputs), matrix.agreement(matrix.inputs, absolute=True)]
    drawn = [exhibits.exhibit(panel) for panel in made if panel is not None]
    said = [html.Li(line) for line in matrix.frameworks()]
    lines = [html.Ul(said, className="agreements", **{"data-testid": "agreement"})] if said else []
    if not drawn:
        return [*lines, ui.empty("Two methods have to explain the same input before their agreement can be told.")]
    return [*lines, html.Div(drawn, className="exhibits")]


def _in_detail(matrix: Matrix) -> Any:
    of = _detail(matrix)
    return [
        _difference(matrix, of),
        html.H3("Against random maps", className="family"),
        _curves(matrix, of),
        _code(matrix, of),
    ]


def _difference(matrix: Matrix, of: str) -> Any:
    first, second = (matrix.drawn.get(f"{of} {key}") for key in _pair(matrix))
    if len(matrix.columns) < 2 or _pair(matrix)[0] == _pair(matrix)[1]:
        return ui.empty("Choose two different maps to see their difference.")
    if first is None or second is None:
        return ui.empty("Both maps have to be explained before their difference can be drawn.")
    try:
        gap = difference(*(_titled(matrix, p, key) for p, key in zip((first, second), _pair(matrix), strict=True)))
    except UsageError as error:
        return ui.hint(str(error))
    shown = exhibits.exhibit(gap, probed(gap))
    return html.Div(shown, className="difference", **{"data-testid": "difference"})


def _titled(matrix: Matrix, panel: Any, key: str) -> Any:
    return replace(panel, title=next(c.title for c in matrix.columns if c.key == key))


def _curves(matrix: Matrix, of: str) -> Any:
    row = [c for c in matrix.row(of) if c.key in matrix.found]
    known = matrix.tried(of)
    left = [c for c in row if c.column.name not in known]
    found = matrix.comparison(of)
    shown = []
    if found is not None:
        below = [p for panel_row in panels(found).below for p in panel_row if p is not None]
        shown = [html.Div([exhibits.exhibit(p) for p in below if hasattr(p, "traces")], className="exhibits")]
    if not row:
        return ui.empty("There are no maps of this input yet.")
    if not left:
        return html.Div(shown)
    count = f"Check {len(left)} map{'s' * (len(left) > 1)} against random ones"
    ask = dmc.Button(count, id={"type": "compare-run", "what": "curves"}, size="sm", variant="light")
    calls = f"about {CURVE_CALLS * len(left):,} model calls, besides those of the maps"
    about = html.P("Parts are hidden, or shown, in the order of a map and in random orders.", className="quiet")
    return html.Div([*shown, about, dmc.Group([ask, dmc.Text(calls, size="xs", c="dimmed")], gap="sm")])


def _code(matrix: Matrix, of: str) -> Any:
    cells = matrix.row(of)
    own = [c.unit for c in cells if c.column.chosen == matrix.view.chosen]
    asked = [f'("{u.method}", {dict(u.parameters)!r})' if u.parameters else f'"{u.method}"' for u in own]
    target = f", target={snippets.spoken_value(own[0].target)}" if own and own[0].target is not None else ""
    line = f"result = xk.compare(model, x, [{', '.join(asked)}]{target}, seed={matrix.state.seed})"
    return python(snippets.snippet(matrix.view, line, "figure = xk.plot(result)", sample=of))


# ---------------------------------------------------------------- what happens


def register(app: Dash, services: Services) -> None:
    """Add the callbacks."""
    _register_choices(app)
    _register_work(app, services)


def _register_choices(app: Dash) -> None:
    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Input("compare-methods", "value"),
        Input("compare-target", "value"),
        Input("compare-both", "checked"),
        Input("compare-scale", "checked"),
        Input({"type": "compare-input", "sample": ALL}, "n_clicks"),
        Input({"type": "compare-pick", "name": ALL}, "value"),
        State({"type": "compare-input", "sample": ALL}, "id"),
        State({"type": "compare-input", "sample": ALL}, "className"),
        State({"type": "compare-pick", "name": ALL}, "id"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def choose(
        methods: list[str],
        target: str | None,
        both: bool,
        one_scale: bool,
        clicks: list[int],
        picked: list[str],
        ids: list[dict[str, str]],
        classes: list[str],
        picks: list[dict[str, str]],
        path: str,
        search: str | None,
    ) -> Any:
        state, cause = read(path, search), ctx.triggered_id
        chosen = [i["sample"] for i, c in zip(ids, classes, strict=True) if "chosen" in c]
        if isinstance(cause, dict) and cause["type"] == "compare-input":
            if not any(clicks):
                return no_update
            chosen = _toggled(chosen, cause["sample"])
        own = {i["name"]: value for i, value in zip(picks, picked, strict=True)}
        wanted = {
            "inputs": ",".join(chosen),
            "compare": "both" if both else None,
            "scale": None if one_scale else "own",
        }
        more = {k: v for k, v in {**state.more, **own, **wanted}.items() if v}
        new = state.at(methods=tuple(methods or ()), target=target, more=more)
        return no_update if new.href == state.href else new.href


def _toggled(chosen: Sequence[str], id: str) -> list[str]:
    """Take an input out, or put it in; one stays, and of too many the first goes."""
    if id in chosen:
        return [c for c in chosen if c != id] or [id]
    return [*chosen, id][-MOST:]


def _register_work(app: Dash, services: Services) -> None:
    polls.register(app, "compare-poll")
    places = ("compare-work", "compare-grid", "compare-agreement", "compare-detail")

    @app.callback(
        *(Output(place, "children") for place in places),
        Output("compare-jobs", "data"),
        Output("compare-poll", "disabled"),
        Input({"type": "compare-run", "what": ALL}, "n_clicks"),
        Input("compare-poll", "n_intervals"),
        State("compare-jobs", "data"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def work(
        runs: list[int | None],
        _: int | None,
        jobs: dict[str, Any],
        path: str,
        search: str | None,
    ) -> Any:
        matrix = _of(services, read(path, search))
        cause, said = ctx.triggered_id, None
        pressed = isinstance(cause, dict)
        if pressed and any(runs):
            jobs, said = _started(services, matrix, cause["what"])
        elif pressed or not jobs:
            return (no_update,) * 5 + (not jobs,)
        left = [key for key, id in jobs["ids"].items() if not _ended(services, id)]
        done = len(jobs["ids"]) - len(left)
        fresh = not left or done != jobs.get("done")
        filled = _parts(matrix, _failures(services, jobs)) if fresh else (no_update,) * 4
        first = [said, _progress(services, jobs, left)] if left else [said, *_outcome(services, jobs), filled[0]]
        return first, *filled[1:], {**jobs, "done": done} if left else {}, not left

    # A callback of its own, whose outcome the next question shows: a click on the way with an answer would be lost,
    # since that makes its button anew, unclicked.
    @app.callback(
        Input({"type": "compare-cancel", "which": ALL}, "n_clicks"),
        State("compare-jobs", "data"),
        prevent_initial_call=True,
    )
    def cancel(clicks: list[int | None], jobs: dict[str, Any]) -> None:
        if any(clicks) and jobs:
            _cancelled(services, jobs)


def _of(services: Services, state: Address) -> Matrix:
    chosen, description = services.known(services.choose(state).name, services.choose(state).framework)
    return Matrix(View(state, chosen, description, services))


def _started(services: Services, matrix: Matrix, what: str) -> tuple[dict[str, Any], Any]:
    """Have the missing maps, or curves, made; a full queue keeps what was taken before, and is told of."""
    if what == "curves":
        of = _detail(matrix)
        cells = [c for c in matrix.row(of) if c.key in matrix.found and c.column.name not in matrix.tried(of)]
        units = {c.key: c.curves for c in cells}
    else:
        units = {c.key: c.unit for c in matrix.missing}
    ids: dict[str, str] = {}
    said = None
    for key, unit in units.items():
        try:
            ids[key] = services.submit(unit).id
        except QueueFull as error:
            said = ui.problem(error, "Not all of it was taken")
            break
    return {"ids": ids, "done": -1, "what": what}, said


def _ended(services: Services, id: str) -> bool:
    """Whether a job has ended, also where it is so long ago that nobody remembers it."""
    job = services.found(id)
    return job is None or job.done


def _cancelled(services: Services, jobs: Mapping[str, Any]) -> None:
    for id in jobs.get("ids", {}).values():
        if not _ended(services, id):
            services.job(id).cancel()


def _failures(services: Services, jobs: Mapping[str, Any]) -> dict[str, str]:
    """Give for each cell that failed the reason."""
    found = {}
    for key, id in jobs["ids"].items():
        job = services.found(id)
        if job is not None and job.status == "failed":
            found[key] = job.error or "it gave no map"
    return found


def _progress(services: Services, jobs: Mapping[str, Any], left: Sequence[str]) -> Any:
    """Give how far all cells are together, with the time left, and the button that cancels them."""
    total = len(jobs["ids"])
    shares = []
    for id in jobs["ids"].values():
        job = services.job(id) if not _ended(services, id) else None
        steps = job.progress if job is not None else None
        shares.append(1.0 if job is None else steps[0] / steps[1] if steps and steps[1] else 0.0)
    running = next((j for j in (services.job(jobs["ids"][key]) for key in left) if j.status == "running"), None)
    now = f", now {running.unit.title.partition(' on ')[0]}: {ui.standing(running)}" if running is not None else ""
    bar = dmc.Progress(value=100 * sum(shares) / total, **{"aria-label": "Progress of all cells"})
    stop = dmc.Button("Cancel all", id={"type": "compare-cancel", "which": "all"}, size="compact-sm", variant="default")
    words = html.Span(f"{total - len(left)} of {total} done{now}", className="run-word")
    return html.Div([bar, dmc.Group([words, stop], justify="space-between")], **{"data-testid": "running"})


def _outcome(services: Services, jobs: Mapping[str, Any]) -> list[Any]:
    """Say what did not work, once all has ended."""
    wrong = _failures(services, jobs)
    states = [job.status for id in jobs["ids"].values() if (job := services.found(id)) is not None]
    said = [ui.problem("; ".join(dict.fromkeys(wrong.values())), f"{len(wrong)} of them failed")] if wrong else []
    return [*said, *([ui.hint("You cancelled the rest.")] if "cancelled" in states else [])]
