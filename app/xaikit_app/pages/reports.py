"""Reports: explain several inputs by several methods, watch that, and take along what is said of it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, dcc, html, no_update
from flask import Response, abort

from xaikit.errors import InputError, UsageError, XaikitError
from xaikit.figures import number, percent, seconds, spoken
from xaikit.jobs import Job, Unit
from xaikit_app import sessions, targets, thumbs, ui, watching
from xaikit_app.pages import View
from xaikit_app.services import Chosen, Services
from xaikit_app.state import State as Address
from xaikit_app.state import read
from xaikit_app.studies import FILES, KINDS, Kept, Read, Studies, file_of, made_forms, page_of, read_study
from xaikit_app.work.describe import Description
from xaikit_app.work.reports import StudyMade, attempt

PATH, TITLE, ICON, ORDER = "reports", "Reports", "report", 80
GROUP = "Work"
MOST_INPUTS, MOST_METHODS = 50, 8
FIRST_INPUTS = 2
NAMES = {"html": "Pages (zip)", "pdf": "PDF", "json": "JSON"}
STATES = {"done": "with a result", "failed": "without a result"}
LEVELS = {level: words.lower() for level, words in ui.WORDS.items()}
POLICY = (
    "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-same-origin"
)
"""A report holds what people gave: its pages run nothing, send nothing and load nothing but their own files."""


def lacks(description: Description) -> str | None:
    """Every model has this page: it also shows what was made of others."""
    return None


def layout(view: View) -> Any:
    """Give the page: the list and what makes a new report, or one study."""
    owner, studies = sessions.current(), Studies(view.services.settings)
    id = view.state.more.get("study")
    if id:
        return _one(view, studies.find(owner, id))
    lead = "Explain several inputs by several methods at once, and take the result along as pages, PDF or JSON."
    return ui.page(
        TITLE,
        lead,
        html.Div(
            [
                ui.card(_form(view), title="A new report"),
                ui.card(_list(view.state, studies.all(owner)), title="Reports made so far"),
            ],
            className="cards",
        ),
    )


# ---------------------------------------------------------------- a new one


def _form(view: View) -> Any:
    if view.chosen.choice.model is not None:
        return ui.hint(
            f"{view.chosen.name} was given to the app as an object. A report needs a model that can be loaded again: "
            "start the app with a name of the zoo or a file."
        )
    gallery = thumbs.shelf(view)
    if gallery is None:
        return ui.hint(f"{view.chosen.name} takes several inputs at once; make its report with: xaikit study run")
    samples = {sample.id: sample for sample in gallery.shown}
    present = view.state.sample
    first = ([present] if present else []) + [id for id in samples if id != present][: FIRST_INPUTS - bool(present)]
    options = [*([present] if present and present not in samples else []), *samples]
    if not options:
        return ui.hint("There are no samples of this kind here: give an input on Explain, then come back.")
    spec = view.description.inputs
    tiles = [
        dmc.Checkbox(
            id={"type": "reports-input", "sample": id},
            checked=id in first,
            label=[
                thumbs.small(samples[id].value, spec, "") if id in samples else None,
                html.Span(samples[id].label or id if id in samples else "yours", className="thumb-label"),
            ],
            size="xs",
            className="thumb pick",
        )
        for id in options
    ]
    served = [verdict.method for verdict in view.description.methods if verdict.serves]
    asked = [m for m in view.state.methods if m in served] or [m for m in FIRST if m in served][:2] or served[:2]
    return dmc.Stack(
        [
            html.Fieldset(
                [html.Legend("Inputs"), html.Div(tiles, className=f"thumbs {spec.kind.lower()}")], className="choice"
            ),
            dmc.MultiSelect(
                id="reports-methods",
                label="Methods",
                data=[{"value": m, "label": spoken(m)} for m in served],
                value=asked,
                maxValues=MOST_METHODS,
                searchable=True,
            ),
            _aim(view),
            dmc.TextInput(id="reports-title", label="Title", placeholder="by itself"),
            dmc.Group(
                [
                    dmc.NumberInput(id="reports-seed", label="Seed", value=view.state.seed, min=0, w=110),
                    dmc.TextInput(
                        id="reports-rules",
                        label="Rules it must hold",
                        description="By commas, as in status=fail:0.1 (at most a tenth may fail); empty: none",
                        className="grows",
                    ),
                ],
                align="flex-end",
            ),
            dmc.Checkbox(
                id="reports-checked",
                label="Check each explanation fully (faithfulness, stability, randomised weights)",
                description="Takes about ten times as long.",
            ),
            dmc.Group(
                [
                    dmc.Button("Make the report", id="reports-start"),
                    dmc.Text(_cost(view), size="xs", c="dimmed", className="grows"),
                ]
            ),
            html.Div(id="reports-said", role="alert"),
            dcc.Store(id="reports-view", data=[view.chosen.name, view.chosen.framework]),
        ],
        gap="sm",
    )


def _aim(view: View) -> Any:
    """Give the choice of what is explained of the answers."""
    chosen, options = view.state.target, targets.targets(view.description)
    if chosen and all(each["value"] != chosen for each in options):
        options = [{"value": chosen, "label": f"as chosen on Explain ({chosen})"}, *options]
    return dmc.Select(
        id="reports-target",
        label="What is explained",
        placeholder="the predicted class, or the only answer",
        data=options,
        value=chosen,
        clearable=True,
        searchable=True,
        disabled=not options,
    )


FIRST = ("integrated-gradients", "saliency", "occlusion", "kernel-shap", "lime")
"""Which methods are chosen where the address names none: the first two that the model can serve."""


def _cost(view: View) -> str:
    alone = view.services.settings.workers == 1
    waits = " Other work of this app waits meanwhile." if alone else ""
    return f"One unit for each input and method, from a part of a second to a minute each.{waits}"


def begin(services: Services, studies: Studies, chosen: Chosen, known: Description, asked: Mapping[str, Any]) -> str:
    """Write down a study and have it carried out; give its id. Raises UsageError for what was not chosen, QueueFull."""
    recipe = chosen.choice.recipes.get(chosen.framework)
    if recipe is None:
        raise UsageError(f"{chosen.name} cannot be loaded again, as a report needs: name a model of the zoo or a file")
    samples = list(asked["samples"])
    if len(samples) > MOST_INPUTS:
        raise UsageError(f"a report made here has at most {MOST_INPUTS} inputs, not {len(samples)}")
    inputs = {sample: services.sample(chosen, known, sample) for sample in samples}
    owner = sessions.current()
    told = {k: asked.get(k) for k in ("title", "checked", "rules", "seed")}
    target = targets.target_of(asked.get("target"), known)
    id, folder = studies.new(owner, recipe, inputs, asked["methods"], name=chosen.name, target=target, **told)
    return _submit(services, studies, id, chosen.key, {"folder": str(folder), **_code(services)})


def _code(services: Services) -> dict[str, bool]:
    return {"allow_code": True} if services.settings.allow_code else {}


def _submit(services: Services, studies: Studies, id: str, key: str, told: Mapping[str, Any]) -> str:
    task = "app-study-report" if "study" in told else "app-study"
    job = services.submit(Unit(key, None, parameters={**told, "attempt": attempt()}, task=task), "a report")
    studies.begun(id, job.id)
    return id


# ---------------------------------------------------------------- the list


def _list(state: Address, kept: Sequence[Kept]) -> Any:
    if not kept:
        return dmc.Text("None yet. What you make here is listed here, and kept.", c="dimmed", size="sm")
    rows = [
        html.Tr(
            [
                html.Th(dcc.Link(k.title, href=_href(state, k.id)), scope="row"),
                html.Td(k.model),
                html.Td(_when(k.created)),
                html.Td(", ".join(f.upper() for f in made_forms(k)) or "not ready"),
            ]
        )
        for k in kept
    ]
    return table(("Title", "Model", "Made", "There as"), rows, "Reports")


def _href(state: Address, id: str | None) -> str:
    more = {k: v for k, v in state.more.items() if k != "study"}
    return state.at(page=PATH, more={**more, "study": id} if id else more).href


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def table(heads: Sequence[str], rows: Sequence[Any], label: str) -> Any:
    """Give a table that scrolls in itself; `label` says what it holds."""
    head = html.Thead(html.Tr([html.Th(head, scope="col") for head in heads]))
    return html.Div(
        html.Table([head, html.Tbody(list(rows))], className="record-table"),
        className="scrolls tall",
        tabIndex=0,
        role="group",
        **{"aria-label": label},
    )


# ---------------------------------------------------------------- one study


def _one(view: View, kept: Kept) -> Any:
    job = view.services.found(kept.job)
    live = job is not None and not job.done
    return ui.page(
        kept.title,
        f"A study of {kept.model} by {', '.join(spoken(m) for m in kept.methods)}.",
        dcc.Link("All reports", href=_href(view.state, None), className="back-link"),
        watching.place(PATH, kept.job if live else None),
        html.Div(detail(view.services, kept, live), id="reports-detail"),
        dcc.Store(id="reports-study", data=kept.id),
    )


def detail(services: Services, kept: Kept, live: bool) -> Any:
    """Give what is known of a study: downloads, how many units have which outcome, errors, rules, units."""
    try:
        found = read_study(kept)
    except XaikitError as error:
        return ui.problem(error, "This study cannot be read")
    last = services.found(kept.job)
    failed = ui.problem(last.error, "The work on it ended early") if last is not None and last.error else None
    parts = [failed, _take(kept, found, live)]
    if found is None or not found.units:
        waits = "Its first results will stand here." if live else "Nothing has been calculated yet."
        return dmc.Stack([*parts, dmc.Text(waits, c="dimmed")])
    return dmc.Stack([*parts, html.Div([_counts(kept, found), _gate(found)], className="cards"), *_tables(found)])


def _take(kept: Kept, found: Read | None, live: bool) -> Any:
    forms = made_forms(kept)
    links = [html.A("Open the report", href=f"/reports/{kept.id}/pages/index.html", target="_blank", className="start")]
    links += [
        html.A(NAMES[f], href=f"/reports/{kept.id}/file/{f}", className="start", **{"data-form": f})
        for f in FILES
        if f in forms
    ]
    held = dmc.Group(links, gap="xs") if forms else dmc.Text("There is no report of it yet.", size="sm", c="dimmed")
    complete = found is not None and found.units >= kept.units and not found.states.get("failed")
    words = "Write the report" if kept.given else "Go on" if not complete else "Write the report anew"
    again = dmc.Button(words, id="reports-again", variant="default", size="sm", disabled=live)
    said = html.Div(id="reports-again-said", role="alert")
    return ui.card(dmc.Group([held, again], justify="space-between"), said, title="Take it along")


def _counts(kept: Kept, found: Read) -> Any:
    total = max(kept.units, found.units)
    pairs = [("units", f"{found.units:,} of {total:,}" if kept.units else f"{found.units:,}")]
    pairs += [(words, f"{found.states.get(state, 0):,}") for state, words in STATES.items()]
    there = {words: found.levels[level] for level, words in LEVELS.items() if level in found.levels}
    pairs += [(f"explanations: {words}", f"{count:,}") for words, count in there.items()]
    state = "at work" if found.at_work else "complete" if kept.units and found.units >= kept.units else ""
    pairs += [("state", state or "not at work")] if not kept.given or found.at_work else []
    return ui.card(ui.facts(pairs), title="How far it is")


def _gate(found: Read) -> Any:
    if not found.gate:
        return ui.card(dmc.Text("It has no rules to hold.", size="sm", c="dimmed"), title="Rules")
    rows = [
        html.Tr(
            [
                html.Th(html.Code(rule), scope="row"),
                html.Td(f"{count:,} of {found.units:,} units ({percent(count / max(found.units, 1))})"),
                html.Td("holds" if holds else "broken", className="holds" if holds else "broken"),
            ]
        )
        for rule, count, holds in found.gate
    ]
    return ui.card(table(("Rule", "Found", ""), rows, "Rules"), title="Rules")


def _tables(found: Read) -> list[Any]:
    errors = [
        html.Tr([html.Th(r["input"], scope="row"), html.Td(spoken(r["method"])), html.Td(r.get("error") or "")])
        for r in found.errors
    ]
    units = [_unit(row) for row in found.rows]
    said = f"The first {len(units):,} of {found.units:,}; the report has all."
    left = [dmc.Text(said, size="xs", c="dimmed")] if found.units > len(units) else []
    shown = table(("Input", "Method", "State", "Verdict", "Answer", "Time"), units, "Units")
    wrong = [ui.card(table(("Input", "Method", "Error"), errors, "Errors"), title="Errors")] if errors else []
    return [*wrong, ui.card(shown, *left, title="Units")]


def _unit(row: Mapping[str, Any]) -> Any:
    answer = row.get("predicted")
    share = row.get("probability")
    said = "" if answer is None else str(answer) + (f" ({number(share, 3)})" if isinstance(share, float) else "")
    took = row.get("seconds")
    return html.Tr(
        [
            html.Th(row["input"], scope="row"),
            html.Td(spoken(row["method"])),
            html.Td(STATES["failed" if row["state"] == "failed" else "done"]),
            html.Td(f"{ui.WORDS.get(row['status'], '')}" if row["status"] else "–"),
            html.Td(said or "–"),
            html.Td("–" if took is None else seconds(took)),
        ]
    )


# ---------------------------------------------------------------- what happens on it


def register(app: Dash, services: Services) -> None:
    """Add the callbacks, and the routes of what can be opened and taken along."""
    studies = Studies(services.settings)
    watching.register(app, services, PATH, _ended)
    _routes(app, studies)

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Output("reports-said", "children"),
        Input("reports-start", "n_clicks"),
        State({"type": "reports-input", "sample": ALL}, "checked"),
        State({"type": "reports-input", "sample": ALL}, "id"),
        State("reports-methods", "value"),
        State("reports-target", "value"),
        State("reports-title", "value"),
        State("reports-seed", "value"),
        State("reports-rules", "value"),
        State("reports-checked", "checked"),
        State("reports-view", "data"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def start(
        clicks: int | None,
        ticked: list[bool | None],
        ids: list[dict[str, str]],
        methods: list[str] | None,
        target: str | None,
        title: str | None,
        seed: Any,
        rules: str | None,
        checked: bool | None,
        shown: list[str],
        path: str,
        search: str | None,
    ) -> Any:
        if not clicks:
            return no_update, no_update
        asked = {
            "samples": [id["sample"] for id, on in zip(ids, ticked, strict=True) if on],
            "methods": list(methods or ()),
            "target": target,
            "title": title,
            "seed": int(seed or 0),
            "rules": [rule.strip() for rule in (rules or "").split(",") if rule.strip()],
            "checked": bool(checked),
        }
        try:
            id = begin(services, studies, *services.known(*shown), asked)
        except XaikitError as error:
            return no_update, ui.problem(error)
        return _href(read(path, search), id), None

    @app.callback(
        Output(f"{PATH}-job", "data", allow_duplicate=True),
        Output("reports-again-said", "children"),
        Input("reports-again", "n_clicks"),
        State("reports-study", "data"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def again(clicks: int | None, id: str, path: str, search: str | None) -> Any:
        if not clicks:
            return no_update, no_update
        try:
            kept = studies.find(sessions.current(), id)
            chosen = services.choose(read(path, search))
            told = _told_again(services, kept)
            _submit(services, studies, id, chosen.key if kept.given else _key_of(services, kept, chosen), told)
        except XaikitError as error:
            return no_update, ui.problem(error)
        return studies.find(sessions.current(), id).job, None

    @app.callback(
        Output("reports-detail", "children"),
        Input(f"{PATH}-ended", "data"),
        Input(f"{PATH}-poll", "n_intervals"),
        State("reports-study", "data"),
        State(f"{PATH}-job", "data"),
        prevent_initial_call=True,
    )
    def refresh(ended: str | None, polled: int | None, id: str, job: str | None) -> Any:
        if not job or (not ended and (polled or 0) % 5):
            return no_update
        live = services.found(job)
        return detail(services, studies.find(sessions.current(), id), live is not None and not live.done)


def _told_again(services: Services, kept: Kept) -> dict[str, Any]:
    if kept.given:
        return {"study": str(kept.study), "folder": str(kept.report)}
    return {"folder": str(kept.folder.parent), **_code(services)}


def _key_of(services: Services, kept: Kept, present: Chosen) -> str:
    """Give the model that a study is about, as units name it; any other serves where it is not on offer any more."""
    return services.choose(Address(model=kept.model)).key if kept.model in services.choices else present.key


def _ended(job: Job) -> Any:
    """Say what came of the work on a study."""
    if job.status == "cancelled":
        return ui.hint("You cancelled it. What was done is kept; it can go on from there.", "Not finished")
    if job.error:
        return ui.problem(job.error)
    made: StudyMade = job.result()
    if made.broken:
        return ui.problem("; ".join(made.broken), "Made, but rules are broken")
    if made.failed:
        return ui.hint(f"{made.failed:,} of {made.units:,} units have no result: see the errors below.", "Made")
    return ui.hint(f"All {made.units:,} units have a result.", "Made")


def _routes(app: Dash, studies: Studies) -> None:
    def kept_of(id: str) -> Kept:
        try:
            return studies.find(sessions.current(), id)
        except InputError:
            abort(404)

    @app.server.get("/reports/<id>/pages/<path:place>")
    def report_page(id: str, place: str) -> Response:
        path = page_of(kept_of(id), place)
        if path is None:
            abort(404)
        answer = Response(path.read_bytes(), mimetype=KINDS[path.suffix])
        answer.headers["Content-Security-Policy"] = POLICY
        answer.headers["Cache-Control"] = "private, no-cache"
        return answer

    @app.server.get("/reports/<id>/file/<form>")
    def report_file(id: str, form: str) -> Response:
        kept = kept_of(id)
        found = file_of(kept, form) if form in made_forms(kept) else None
        if found is None:
            abort(404)
        ending = "zip" if form == "html" else form
        answer = Response(found[0], mimetype=found[1])
        answer.headers["Content-Disposition"] = f'attachment; filename="xaikit-report-{kept.id[:8]}.{ending}"'
        return answer
