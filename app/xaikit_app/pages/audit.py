"""Audit: explained predictions on record, in a chain that shows later changes; replay, review, letters, bundles."""

import json
from collections.abc import Mapping
from typing import Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html, no_update

from xaikit import audit
from xaikit.errors import UsageError, XaikitError
from xaikit.figures import spoken
from xaikit.inputs import Classes
from xaikit.jobs import Job, Unit
from xaikit_app import forms, records, sessions, targets, thumbs, ui, watching
from xaikit_app.pages import View
from xaikit_app.pages import _record as one
from xaikit_app.records import Database
from xaikit_app.services import Chosen, Services
from xaikit_app.shelf import Shelf
from xaikit_app.state import State as Address
from xaikit_app.state import read
from xaikit_app.work.describe import Description
from xaikit_app.work.reports import Recorded, Replayed, Verified, attempt

PATH, TITLE, ICON, ORDER = "audit", "Audit", "seal", 90
GROUP = "Work"
COLUMNS = (
    ("id", "No.", 80),
    ("created", "Created (UTC)", 190),
    ("model", "Model", 150),
    ("method", "Method", 180),
    ("target", "Explained for", 130),
    ("decision", "Decision", 110),
    ("status", "Verdict", 100),
    ("author", "By", 110),
    ("input", "Input", 110),
    ("events", "Afterwards", 150),
)
PAGE = 20
COLOURS = {
    "backgroundColor": "var(--mantine-color-body)",
    "foregroundColor": "var(--mantine-color-text)",
    "borderColor": "var(--mantine-color-default-border)",
    "accentColor": "var(--x-accent)",
    "fontFamily": "inherit",
}
THEME = f"themeQuartz.withParams({json.dumps(COLOURS)})"


def lacks(description: Description) -> str | None:
    """Every model has this page: records of others are shown on it too."""
    return None


def layout(view: View) -> Any:
    """Give the page: the list of records with what can be done about the chain, or one record."""
    missing = records.ready()
    if missing is not None:
        return ui.page(TITLE, LEAD, ui.hint(missing, "Records cannot be kept here yet"))
    db = records.chosen(view.services.settings, sessions.current(), view.state.more.get("db"))
    asked = view.state.more.get("record", "")
    if asked:
        return one.page(view, db, int(asked) if asked.isdecimal() else 0)
    return ui.page(
        TITLE,
        LEAD,
        html.Div(
            [
                ui.card(*_database(view, db), title="Database"),
                ui.card(_recording(view), title="Put an explanation on record"),
            ],
            className="cards",
        ),
        watching.place(PATH),
        ui.card(html.Div(_records(db), id="audit-records"), title="Records"),
        dcc.Store(id="audit-db", data=db.id),
    )


LEAD = (
    "What a model said of one input, and why, goes on record in a chain of hashes: whoever changes, removes or inserts "
    "an entry later breaks it."
)


def _database(view: View, db: Database) -> list[Any]:
    known = records.databases(view.services.settings, sessions.current())
    choice = dmc.Select(
        id="audit-choose",
        label="Which",
        data=[{"value": d.id, "label": d.title} for d in known.values()],
        value=db.id,
        allowDeselect=False,
    )
    without = dmc.Text(
        [
            "The records below are in a file of this app. To work on a database of yours, start the app with ",
            html.Code("xaikit app --audit sqlite:///audit.db"),
            ", or with the URL of a PostgreSQL database.",
        ],
        size="sm",
        c="dimmed",
    )
    verify = dmc.Group(
        [
            dmc.TextInput(
                id="audit-head",
                label="Head noted earlier",
                placeholder="64 digits, if you have one",
                className="grows",
            ),
            dmc.Button("Verify the chain", id="audit-verify", variant="light", disabled=not db.begun),
        ],
        align="flex-end",
    )
    return [dmc.Stack([choice if len(known) > 1 else without, verify, html.Div(id="audit-said", role="alert")])]


def _recording(view: View) -> Any:
    value, why = thumbs.value_of(view)
    if why is not None or isinstance(view.description.inputs, Mapping):
        said = why or f"{view.chosen.name} takes several inputs at once; record it with: xaikit audit record"
        return ui.hint(f"There is no input to record: {said}.")
    served = [verdict.method for verdict in view.description.methods if verdict.serves]
    method = next((m for m in (*view.state.methods, *FIRST) if m in served), served[0] if served else None)
    if method is None:
        return ui.hint(f"No method can explain {view.chosen.name}.")
    spec = view.description.inputs
    shown = html.Div(thumbs.small(value, spec, thumbs.in_words(value, spec)[:80]), className="seen-small")
    two = isinstance(view.description.outputs, Classes) and len(view.description.outputs.names or ()) == 2
    text = {"w": "100%"}
    fields = [
        dmc.Select(
            id="audit-method",
            label="Method",
            data=[{"value": m, "label": spoken(m)} for m in served],
            value=method,
            allowDeselect=False,
            searchable=True,
        ),
        dmc.TextInput(id="audit-author", label="Made by", placeholder="your name", **text),
        dmc.TextInput(id="audit-recipient", label="About or for whom", placeholder="a file number", **text),
        dmc.Select(
            id="audit-involvement",
            label="Part of a person",
            data=[{"value": k, "label": words} for k, words in audit.INVOLVEMENT.items()],
            placeholder="not said",
            clearable=True,
        ),
        dmc.NumberInput(
            id="audit-threshold",
            label="Threshold",
            placeholder="the model's own",
            min=0,
            max=1,
            step=0.05,
            disabled=not two,
        ),
        dmc.Select(
            id="audit-retention",
            label="Kept",
            placeholder="no period given",
            data=[{"value": k, "label": f"{k}: {days:,} days"} for k, days in audit.RETENTION.items()],
            clearable=True,
        ),
    ]
    go_on = "To choose another input, target or parameters, go to Explain first: this page takes what is chosen there."
    return dmc.Stack(
        [
            dmc.Group([shown, dmc.Text(go_on, size="xs", c="dimmed", className="grows")]),
            html.Div(fields, className="form-grid"),
            dmc.Checkbox(
                id="audit-full",
                label="With full evidence: checks, a second method, a counterfactual where there is one",
                description="Takes ten times as long or more.",
            ),
            dmc.Checkbox(
                id="audit-keep",
                label="Keep the input, not only its hash",
                checked=True,
                description="A replay needs it.",
            ),
            dmc.Group([dmc.Button("Record this explanation", id="audit-record")]),
            html.Div(id="audit-record-said", role="alert"),
            dcc.Store(id="audit-view", data=[view.chosen.name, view.chosen.framework]),
        ],
        gap="sm",
    )


FIRST = ("integrated-gradients", "kernel-shap", "saliency", "occlusion")


def _records(db: Database) -> Any:
    try:
        rows = records.listed(db)
    except XaikitError as error:
        return ui.problem(error, "The records cannot be read")
    if not rows:
        return dmc.Text("There is no record yet. The first one starts the chain.", c="dimmed", size="sm")
    grid = dag.AgGrid(
        id="audit-grid",
        rowData=rows,
        columnDefs=[
            {
                "field": field,
                "headerName": head,
                "width": width,
                "filter": NUMERIC if field == "id" else "agTextColumnFilter",
            }
            for field, head, width in COLUMNS
        ],
        defaultColDef={"sortable": True, "resizable": True, "floatingFilter": True},
        dashGridOptions={
            "theme": {"function": THEME},
            "rowSelection": {"mode": "singleRow", "checkboxes": False, "enableClickSelection": True},
            "pagination": len(rows) > PAGE,
            "paginationPageSize": PAGE,
            "paginationPageSizeSelector": [PAGE, 100],
            "domLayout": "autoHeight",
        },
        getRowId="`${params.data.id}`",
        className="record-grid",
        style={"height": None},
        dangerously_allow_code=False,
    )
    count = "One record." if len(rows) == 1 else f"{len(rows):,} records, the newest first."
    said = f"{count} Choose one to open it; with the keyboard by the space bar."
    return [dmc.Text(said, size="xs", c="dimmed", mb="xs"), grid]


NUMERIC, WORDS = "agNumberColumnFilter", "agTextColumnFilter"

# ---------------------------------------------------------------- what happens on it


def register(app: Dash, services: Services) -> None:
    """Add the callbacks, and the route of what can be taken along."""
    watching.register(app, services, PATH, ended)
    one.register(app, services, Shelf(services.settings.folder / "shelf"))
    _register_list(app, services)
    _register_work(app, services)


def _register_list(app: Dash, services: Services) -> None:
    place = (State("url", "pathname"), State("url", "search"))

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Input("audit-grid", "selectedRows"),
        *place,
        prevent_initial_call=True,
    )
    def choose(rows: list[dict[str, Any]] | None, path: str, search: str | None) -> Any:
        return one.href(read(path, search), int(rows[0]["id"])) if rows else no_update

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Input("audit-choose", "value"),
        State("audit-db", "data"),
        *place,
        prevent_initial_call=True,
    )
    def other(id: str | None, shown: str, path: str, search: str | None) -> Any:
        state = read(path, search)
        return no_update if not id or id == shown else state.at(more={**state.more, "db": id}).href

    @app.callback(
        Output("audit-records", "children"),
        Output("audit-verify", "disabled"),
        Input(f"{PATH}-ended", "data"),
        State("audit-db", "data"),
        prevent_initial_call=True,
    )
    def refresh(ended: str | None, id: str) -> Any:
        job = services.found(ended)
        if job is None or job.unit.task != "app-record":
            return no_update, no_update
        db = records.chosen(services.settings, sessions.current(), id)
        return _records(db), not db.begun


def _register_work(app: Dash, services: Services) -> None:
    @app.callback(
        Output(f"{PATH}-job", "data", allow_duplicate=True),
        Output("audit-said", "children"),
        Input("audit-verify", "n_clicks"),
        State("audit-head", "value"),
        State("audit-db", "data"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def verify(clicks: int | None, head: str | None, id: str, path: str, search: str | None) -> Any:
        if not clicks:
            return no_update, no_update
        try:
            db = records.chosen(services.settings, sessions.current(), id)
            noted = "".join((head or "").split()).lower()
            if noted and (len(noted) != 64 or set(noted) - set("0123456789abcdef")):
                raise UsageError("a head is a hash of 64 hexadecimal digits, as a verification shows it")
            told = {"db": db.name, "head": noted, "attempt": attempt()}
            job = services.submit(
                Unit(services.choose(read(path, search)).key, None, parameters=told, task="app-verify")
            )
        except XaikitError as error:
            return no_update, ui.problem(error)
        return job.id, None

    @app.callback(
        Output(f"{PATH}-job", "data", allow_duplicate=True),
        Output("audit-record-said", "children"),
        Input("audit-record", "n_clicks"),
        State("audit-method", "value"),
        State("audit-author", "value"),
        State("audit-recipient", "value"),
        State("audit-involvement", "value"),
        State("audit-threshold", "value"),
        State("audit-retention", "value"),
        State("audit-full", "checked"),
        State("audit-keep", "checked"),
        State("audit-view", "data"),
        State("audit-db", "data"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def record(clicks: int | None, *given: Any) -> Any:
        if not clicks:
            return no_update, no_update
        *entries, shown, id, path, search = given
        try:
            chosen, known = services.known(*shown)
            db = records.chosen(services.settings, sessions.current(), id)
            told = dict(zip(ENTRIES, entries, strict=True))
            job = services.submit(recorded(services, chosen, known, db, told, read(path, search)), "a record")
        except XaikitError as error:
            return no_update, ui.problem(error)
        return job.id, None


ENTRIES = ("method", "author", "recipient", "involvement", "threshold", "retention", "full", "keep")


def recorded(
    services: Services, chosen: Chosen, known: Description, db: Database, told: Mapping[str, Any], state: Address
) -> Unit:
    """Give the unit that puts the explanation of an address on record. Raises UsageError, UnknownName."""
    view = View(state.at(model=chosen.name, framework=chosen.framework), chosen, known, services)
    value, why = thumbs.value_of(view)
    if why is not None:
        raise UsageError(f"there is no input to record: {why}")
    method = str(told["method"])
    terms = {name: told[name] for name in ("involvement", "retention") if told.get(name)}
    terms |= {name: text for name in ("author", "recipient") if (text := (told.get(name) or "").strip())}
    if told.get("threshold") not in (None, ""):
        terms["threshold"] = float(told["threshold"])
    recipe = chosen.choice.recipes.get(chosen.framework)
    asked = {
        "db": records.prepared(db),
        "source": None if recipe is None else recipe.name,
        "parameters": dict(forms.filled(method, dict(state.parameters.get(method, {})))),
        "terms": {**terms, "evidence": "full" if told.get("full") else "free", "keep_input": bool(told.get("keep"))},
        "attempt": attempt(),
    }
    return Unit(chosen.key, value, method, asked, targets.target_of(state.target, known), state.seed, "app-record")


def ended(job: Job) -> Any:
    """Say what came of a piece of work."""
    if job.status == "cancelled":
        return ui.hint("You cancelled it; nothing was recorded.", "Not done")
    if job.error:
        return ui.problem(job.error)
    result = job.result()
    if isinstance(result, Recorded):
        return ui.hint(
            ["Its hash is ", html.Span(result.hash, className="hash"), "."], f"Record {result.number} was made"
        )
    return verified(result) if isinstance(result, Verified) else replayed(result)


def verified(found: Verified) -> Any:
    """Say what was found out about a chain."""
    if found.fault:
        return ui.problem(
            f"{found.fault} ({found.kind}; {found.entries:,} entries before it are whole)", "The chain is broken"
        )
    pairs = [
        ("entries", f"{found.entries:,}, of which {found.records:,} are records"),
        ("head", html.Span(found.head, className="hash", **{"data-testid": "head"})),
    ]
    pairs += [("the head you gave", f"is that of entry {found.noted}")] if found.noted is not None else []
    pairs += [] if found.guarded else [("note", "the database itself no longer refuses changes")]
    words = "Note the head elsewhere: only so it can be seen later if entries at the end were cut off."
    return ui.card(ui.facts(pairs), dmc.Text(words, size="xs", c="dimmed", mt="xs"), title="The chain holds")


def replayed(found: Replayed) -> Any:
    """Say how a replay went."""
    title, level = REPLAYS[found.verdict]
    pairs = [("model", f"as loaded now, in {spoken(found.framework)}")]
    pairs += [("allowed difference", f"{found.tolerance:g}")] if found.tolerance is not None else []
    pairs += [(f"difference of the {name}", f"{value:.3g}") for name, value in found.differences.items()]
    pairs += [(f"{name} then, now", f"{then}, {now}") for name, (then, now) in found.changes.items()]
    said = [dmc.Text(found.reason, size="sm", mb="xs")] if found.reason else []
    body = [*said, ui.facts(pairs)]
    return dmc.Alert(
        body, title=title, color=level, variant="light", className="replayed", **{"data-verdict": found.verdict}
    )


REPLAYS = {
    "equal": ("Equal: the model says the same again", "teal"),
    "differs": ("Different: the model says something else now", "red"),
    "refused": ("Refused: this is another model or input", "orange"),
    "impossible": ("Impossible: something that is needed is not there", "orange"),
}
"""The verdicts of a replay in words, with their colours."""
