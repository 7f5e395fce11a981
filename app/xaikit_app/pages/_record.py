"""One record on the page Audit: its figures and facts, what happened to it, and what can be done with it."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html, no_update
from flask import Response, abort

from xaikit import audit
from xaikit.audit import AuditRecord
from xaikit.errors import UsageError, XaikitError
from xaikit.figures import spoken
from xaikit.inputs import Classes
from xaikit.jobs import Unit
from xaikit_app import exhibits, records, sessions, ui, watching
from xaikit_app.pages import View
from xaikit_app.records import Database
from xaikit_app.services import Services
from xaikit_app.shelf import Held, Shelf
from xaikit_app.state import State as Address
from xaikit_app.work.reports import attempt

PATH = "audit"
LANGUAGES = {"en": "English", "pl": "Polish"}
KINDS = {"text": ("txt", "text/plain"), "html": ("html", "text/html"), "pdf": ("pdf", "application/pdf")}
"""How the file of a letter ends, and its type."""


def href(state: Address, number: int | None) -> str:
    """Give the address of a record, or of the list."""
    more = {k: v for k, v in state.more.items() if k != "record"}
    return state.at(page=PATH, more={**more, "record": str(number)} if number is not None else more).href


def page(view: View, db: Database, number: int) -> Any:
    """Give the page of one record."""
    back = dcc.Link("All records", href=href(view.state, None), className="back-link")
    try:
        if not db.begun:
            raise UsageError("there is no record yet")
        record = audit.read(db.url, number)
        happened = audit.events(db.url, number)
    except XaikitError as error:
        return ui.page(f"Record {number}", "", back, ui.problem(error, "This record cannot be shown"))
    origin = record.origin
    lead = f"{origin.model} on {record.created[:10]}: {record.target_label}, as {spoken(origin.method)} explains it."
    return ui.page(
        f"Record {number}",
        lead,
        back,
        watching.place(PATH),
        html.Div(
            [
                ui.card(html.Div(_figure(record)), title="The explanation"),
                ui.card(*_facts(record), title="What it says"),
            ],
            className="cards",
        ),
        html.Div(
            [
                ui.card(_replay(view, record), title="Replay"),
                ui.card(_review(record), title="Review"),
                ui.card(_bundle(), title="Bundle"),
                ui.card(_letter(record), title="Letter", className="whole"),
            ],
            className="acts",
        ),
        ui.card(html.Div(events_table(happened), id="audit-events"), title="What happened afterwards"),
        dcc.Store(id="audit-one", data=[db.id, number]),
    )


def _figure(record: AuditRecord) -> Any:
    if record.x is None:
        return dmc.Text(f"The input is not here: {records.PRIVACY[record.privacy]}.", size="sm", c="dimmed")
    try:
        shown = [exhibits.exhibits(audit.explained(record))]
        if record.counterfactual is not None:
            shown += [dmc.Title("What would change the decision", order=3), exhibits.exhibits(record.counterfactual)]
        return shown
    except XaikitError as error:
        return ui.hint(f"This record cannot be drawn: {error}")


def _facts(record: AuditRecord) -> list[Any]:
    return [
        html.Details(
            [html.Summary(title), ui.facts(pairs)], open=title in ("Decision", "Evidence"), className="numbers"
        )
        for title, pairs in records.facts_of(record)
    ]


def events_table(happened: Any) -> Any:
    """Give what happened to a record as a table."""
    rows = records.told(happened)
    if not rows:
        return dmc.Text("Nothing yet: no review, letter or bundle.", size="sm", c="dimmed")
    head = html.Thead(html.Tr([html.Th(h, scope="col") for h in ("Entry", "When (UTC)", "What", "By", "Says")]))
    body = html.Tbody([html.Tr([html.Td(cell) for cell in row]) for row in rows])
    return html.Div(
        html.Table([head, body], className="record-table told"),
        className="scrolls",
        tabIndex=0,
        role="group",
        **{"aria-label": "What happened afterwards"},
    )


def _replay(view: View, record: AuditRecord) -> Any:
    words = "The model is asked the same question again, and the answers are compared number by number."
    try:
        key, name = replayed_by(view.services, record)
    except UsageError as error:
        return dmc.Stack([dmc.Text(words, size="sm"), ui.hint(str(error))], gap="xs")
    button = dmc.Button("Replay", id="audit-replay", variant="light")
    cost = f"With {name}; takes about as long as the record did."
    return dmc.Stack(
        [
            dmc.Text(words, size="sm"),
            dmc.Group([button, dmc.Text(cost, size="xs", c="dimmed")]),
            html.Div(id="audit-replay-said", role="alert"),
            dcc.Store(id="audit-key", data=key),
        ],
        gap="xs",
    )


def replayed_by(services: Services, record: AuditRecord) -> tuple[str, str]:
    """Find the model of the app that a record is of: what units call it, and what people do. Raises UsageError."""
    for choice in services.choices.values():
        sources = {recipe.name for recipe in choice.recipes.values()} | {choice.name}
        if record.source in sources or record.origin.model == choice.name:
            framework = (
                record.origin.framework if record.origin.framework in choice.frameworks else choice.frameworks[0]
            )
            found = services.choose(Address(model=choice.name, framework=framework))
            return found.key, f"{choice.name} in {spoken(framework)}"
    named = record.source or record.origin.model
    raise UsageError(f"the app does not offer {named}, of which the record is: start it with -m {named}")


def _review(record: AuditRecord) -> Any:
    text = {"w": "100%"}
    own = [] if record.author else [dmc.TextInput(id="audit-made-by", label="Who made the record", **text)]
    kept = [] if not record.author else [dcc.Store(id="audit-made-by")]
    by = f"It was made by {record.author}; another person reviews it." if record.author else NOBODY
    return dmc.Stack(
        [
            dmc.Text(by, size="sm"),
            html.Div(
                [
                    dmc.TextInput(id="audit-reviewer", label="Reviewer", **text),
                    dmc.Select(
                        id="audit-verdict",
                        label="Decision",
                        data=[{"value": v, "label": v} for v in audit.VERDICTS],
                        value=audit.VERDICTS[0],
                        allowDeselect=False,
                    ),
                    *own,
                ],
                className="form-grid",
            ),
            dmc.Textarea(id="audit-comment", label="In words", autosize=True, minRows=2),
            *kept,
            dmc.Group([dmc.Button("Put the review on record", id="audit-review", variant="light")]),
            html.Div(id="audit-review-said", **{"aria-live": "polite"}),
        ],
        gap="xs",
    )


NOBODY = "The record names nobody who made it: the review tells so, and another person reviews it."


def _letter(record: AuditRecord) -> Any:
    if record.decision is None:
        return dmc.Text("It holds no decision, as a model of classes makes: there is nothing to write.", size="sm")
    names = list(record.output_spec.names or ()) if isinstance(record.output_spec, Classes) else []
    text = {"w": "100%"}
    fields = [
        dmc.Select(
            id="audit-language",
            label="Language",
            data=[{"value": k, "label": v} for k, v in LANGUAGES.items()],
            value="en",
            allowDeselect=False,
        ),
        dmc.Select(id="audit-favourable", label="In favour of the person", data=names, clearable=True),
        dmc.TextInput(id="audit-organisation", label="Who decides", **text),
        dmc.TextInput(id="audit-contact", label="Whom to turn to", **text),
        dmc.TextInput(id="audit-addressee", label="To whom", value=record.recipient or "", **text),
    ]
    return dmc.Stack(
        [
            dmc.Text("One page for the person whom the record is about, in plain words.", size="sm"),
            html.Div(fields, className="form-grid"),
            dmc.Group([dmc.Button("Write the letter", id="audit-letter", variant="light")]),
            html.Div(id="audit-letter-shown", **{"aria-live": "polite"}),
        ],
        gap="xs",
    )


def _bundle() -> Any:
    words = "The record with all that is needed to check it, in one zip file: with Python alone, without xaikit."
    return dmc.Stack(
        [
            dmc.Text(words, size="sm"),
            dmc.Group([dmc.Button("Make the bundle", id="audit-bundle", variant="light")]),
            html.Div(id="audit-bundle-said", **{"aria-live": "polite"}),
        ],
        gap="xs",
    )


# ---------------------------------------------------------------- what happens on it


def register(app: Dash, services: Services, shelf: Shelf) -> None:
    """Add the callbacks of a record, and the route of what was made of it."""
    _register_replay(app, services)
    _register_review(app, services)
    _register_letter(app, services, shelf)
    _register_bundle(app, services, shelf)

    @app.server.get("/audit/file/<token>")
    def audit_file(token: str) -> Response:
        held = shelf.get(sessions.current(), token)
        if held is None:
            abort(404)
        answer = Response(held.data, mimetype=held.kind)
        answer.headers["Content-Disposition"] = f'attachment; filename="{held.name}"'
        answer.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
        answer.headers["Cache-Control"] = "private, no-store"
        return answer


def _tried(make: Callable[[], Any]) -> Any:
    """Give what something makes, or what went wrong."""
    try:
        return make()
    except XaikitError as error:
        return ui.problem(error)


def _register_replay(app: Dash, services: Services) -> None:
    @app.callback(
        Output(f"{PATH}-job", "data", allow_duplicate=True),
        Output("audit-replay-said", "children"),
        Input("audit-replay", "n_clicks"),
        State("audit-one", "data"),
        prevent_initial_call=True,
    )
    def replay(clicks: int | None, shown: list[Any]) -> Any:
        if not clicks:
            return no_update, no_update
        try:
            db, number = _shown(services, shown)
            key, _ = replayed_by(services, audit.read(db.url, number))
            told = {"db": db.name, "record": number, "attempt": attempt()}
            unit = Unit(key, None, parameters=told, task="app-replay")
            return services.submit(unit, f"the replay of record {number}").id, None
        except XaikitError as error:
            return no_update, ui.problem(error)


def _shown(services: Services, shown: list[Any]) -> tuple[Database, int]:
    """Give the database and number of the record that a page shows."""
    return records.chosen(services.settings, sessions.current(), str(shown[0])), int(shown[1])


def _register_review(app: Dash, services: Services) -> None:
    @app.callback(
        Output("audit-review-said", "children"),
        Output("audit-events", "children"),
        Input("audit-review", "n_clicks"),
        State("audit-reviewer", "value"),
        State("audit-verdict", "value"),
        State("audit-comment", "value"),
        State("audit-made-by", "value"),
        State("audit-one", "data"),
        prevent_initial_call=True,
    )
    def review(
        clicks: int | None, who: str | None, verdict: str, words: str | None, made_by: str | None, shown: list[Any]
    ) -> Any:
        if not clicks:
            return no_update, no_update
        try:
            db, number = _shown(services, shown)
            told = {"reviewer": (who or "").strip(), "verdict": verdict, "comment": (words or "").strip()}
            event = audit.review(db.url, number, author=(made_by or "").strip() or None, **told)
            return ui.hint(f"The review is entry {event.id} of the chain.", "On record"), _events(db, number)
        except XaikitError as error:
            return ui.problem(error), no_update


def _events(db: Database, number: int) -> Any:
    return events_table(audit.events(db.url, number))


def _register_letter(app: Dash, services: Services, shelf: Shelf) -> None:
    entries = tuple(State(f"audit-{name}", "value") for name in LETTER)

    @app.callback(
        Output("audit-letter-shown", "children"),
        Input("audit-letter", "n_clicks"),
        *entries,
        State("audit-one", "data"),
        prevent_initial_call=True,
    )
    def write(clicks: int | None, *given: Any) -> Any:
        if not clicks:
            return no_update
        *told, shown = given
        return _tried(lambda: shown_letter(_written(services, told, shown), shelf))

    @app.callback(
        Output("audit-sent-said", "children"),
        Output("audit-events", "children", allow_duplicate=True),
        Input("audit-sent", "n_clicks"),
        State("audit-channel", "value"),
        State("audit-sender", "value"),
        *entries,
        State("audit-one", "data"),
        prevent_initial_call=True,
    )
    def sent(clicks: int | None, channel: str | None, sender: str | None, *given: Any) -> Any:
        if not clicks:
            return no_update, no_update
        *told, shown = given
        try:
            db, number = _shown(services, shown)
            letter = _written(services, told, shown)
            who = {"author": (sender or "").strip() or None, "recipient": letter.addressee or None}
            event = audit.note_letter(db.url, letter, channel=(channel or "").strip(), formats=made_in(), **who)
            return ui.hint(f"That it was sent is entry {event.id} of the chain.", "On record"), _events(db, number)
        except XaikitError as error:
            return ui.problem(error), no_update


LETTER = ("language", "favourable", "organisation", "contact", "addressee")


def _written(services: Services, told: list[Any], shown: list[Any]) -> audit.Letter:
    db, number = _shown(services, shown)
    given = {name: (value or "").strip() or None for name, value in zip(LETTER, told, strict=True)}
    asked = {"organisation": given["organisation"], "contact": given["contact"], "recipient": given["addressee"]}
    return audit.letter(db.url, number, language=given["language"] or "en", favourable=given["favourable"], **asked)


def made_in() -> tuple[str, ...]:
    """Give the formats that a letter can be had in here."""
    from importlib.util import find_spec

    return tuple(name for name in audit.FORMATS if name != "pdf" or find_spec("fpdf"))


def shown_letter(letter: audit.Letter, shelf: Shelf) -> Any:
    """Show a letter, with what it can be taken along as, and the way to put on record that it was sent."""
    owner, links = sessions.current(), []
    for name in made_in():
        ending, kind = KINDS[name]
        held = Held(f"letter-{letter.record}-{letter.language}.{ending}", kind, letter.as_(name))
        links.append(_link(ending.upper(), shelf.put(owner, held)))
    text = {"size": "xs"}
    note = html.Div(
        [
            dmc.TextInput(id="audit-channel", label="Sent by", placeholder="post, e-mail", **text),
            dmc.TextInput(id="audit-sender", label="Who sends it", **text),
        ],
        className="form-grid",
    )
    sent = dmc.Button("Put on record that it was sent", id="audit-sent", size="xs", variant="default")
    return dmc.Stack(
        [
            _preview(letter),
            dmc.Group(links, gap="xs"),
            note,
            dmc.Group([sent]),
            html.Div(id="audit-sent-said", **{"aria-live": "polite"}),
        ],
        gap="sm",
    )


def _preview(letter: audit.Letter) -> Any:
    """Give a letter as it reads on paper."""
    head = [html.P(line) for line in (letter.organisation, letter.addressee) if line]
    body: list[Any] = []
    for section in letter.sections:
        body += [html.H4(section.title)] if section.title else []
        body += [html.P(" ".join(s.text for s in section.before))] if section.before else []
        body += [html.Ul([html.Li(s.text) for s in section.items])] if section.items else []
        body += [html.P(" ".join(s.text for s in section.after))] if section.after else []
    return html.Article(
        [*head, html.P(letter.dated), html.H3(letter.title), *body, html.P(letter.reference.text, className="quiet")],
        className="letter",
        lang=letter.language,
    )


def _link(words: str, token: str) -> Any:
    return html.A(words, href=f"/audit/file/{token}", className="start", **{"data-form": words.lower()})


def _register_bundle(app: Dash, services: Services, shelf: Shelf) -> None:
    @app.callback(
        Output("audit-bundle-said", "children"),
        Input("audit-bundle", "n_clicks"),
        State("audit-one", "data"),
        prevent_initial_call=True,
    )
    def bundle(clicks: int | None, shown: list[Any]) -> Any:
        return no_update if not clicks else _tried(lambda: _bundled(*_shown(services, shown), shelf))


def _bundled(db: Database, number: int, shelf: Shelf) -> Any:
    with TemporaryDirectory(prefix="xaikit-bundle-") as folder:
        made = audit.export(db.url, number, Path(folder) / f"record-{number}.zip")
        held = Held(made.path.name, "application/zip", made.path.read_bytes())
    pairs: list[tuple[str, Any]] = [
        ("seal", html.Span(made.seal, className="hash")),
        ("head of the chain", html.Span(made.head, className="hash")),
    ]
    words = f"Check it with: python -I {held.name}"
    return dmc.Stack(
        [
            ui.facts(pairs),
            dmc.Group([_link("ZIP", shelf.put(sessions.current(), held)), dmc.Text(words, size="xs", c="dimmed")]),
        ],
        gap="xs",
    )
