"""Explain: what the model answers to an input, and why, by one or several methods side by side."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update

from xaikit.attribution import families, methods
from xaikit.errors import UsageError, XaikitError
from xaikit.figures import spoken
from xaikit.inputs import Classes
from xaikit.jobs import Unit
from xaikit.quality import Verdict
from xaikit.results import Attribution
from xaikit_app import forms, targets, ui
from xaikit_app.pages import View
from xaikit_app.pages import _answering as answering
from xaikit_app.pages import _giving as giving
from xaikit_app.services import Chosen, Services
from xaikit_app.showing import Explained, shown
from xaikit_app.state import State as Address
from xaikit_app.tasks import Description

log = logging.getLogger(__name__)
PATH, TITLE, ICON, ORDER = "explain", "Explain", "bulb", 20
FIRST = ("integrated-gradients", "grad-cam", "kernel-shap", "lime", "occlusion")
"""Which methods are chosen where the address names none: the first two that the model can serve."""
POLL_MS = 250
PATIENCE = 1.0
"""Seconds that a page waits for its gallery before it is shown without."""


def lacks(description: Description) -> str | None:
    """Say why a model cannot be explained here, or None."""
    return "it has several inputs, and the app explains networks with one" if description.kind == "several" else None


# ---------------------------------------------------------------- what stands on the page


def layout(view: View) -> Any:
    """Give the page for a view: the input, the answer, the methods, and the results where they are stored."""
    state, description = view.state, view.description
    gallery = view.services.galleries.of(view.chosen.name, description)
    ready = gallery.ready.wait(PATIENCE)
    sample = state.sample or (gallery.shown[0].id if ready and gallery.shown else None)
    return ui.page(
        "Explain",
        f"What {view.chosen.name} answers to an input, and why.",
        dcc.Store(id="explain-view", data=[view.chosen.name, view.chosen.framework]),
        dcc.Store(id="explain-sample", data=sample),
        dcc.Store(id="explain-jobs", data=[]),
        dcc.Store(id="explain-predictions", data={}),
        dcc.Store(id="explain-clicked", data=0),
        dcc.Store(id="explain-drawing"),
        dcc.Store(id="explain-for"),
        dcc.Interval(id="explain-poll", interval=POLL_MS, disabled=True),
        dcc.Interval(id="explain-answer-poll", interval=POLL_MS, disabled=True),
        dcc.Interval(id="explain-gallery-poll", interval=POLL_MS, disabled=ready),
        html.Div(
            [
                html.Div([giving.card(view, gallery, sample), answering.card()], className="column"),
                html.Div([_method_card(view), _results(state)], className="column"),
            ],
            className="two",
        ),
    )


def _results(state: Address) -> Any:
    """Give the place of the explanations, which starts empty."""
    one_scale = dmc.Switch(
        id="explain-scale",
        checked=state.more.get("scale") != "own",
        label="One scale of colours for maps in the same unit",
        size="xs",
    )
    head = html.Div([dmc.Title("Why", order=2, className="card-title"), one_scale], className="results-head")
    late = "These maps are of an earlier choice. Press Explain for the present one."
    stale = html.Div(ui.hint(late), id="explain-stale", hidden=True)
    places = [html.Div(id="explain-running"), html.Div(id="explain-said"), head, stale, html.Div(id="explain-shown")]
    return html.Section(places, id="explain-results", **{"aria-live": "polite", "aria-label": "Explanations"})


def _method_card(view: View) -> Any:
    state, description = view.state, view.description
    served = [v.method for v in description.methods if v.serves]
    chosen = [m for m in state.methods if m in served] or [m for m in FIRST if m in served][:2]
    verdicts = {v.method: v for v in description.methods}
    groups = [_family(f, [verdicts[m] for m in ms], chosen, view) for f, ms in families(verdicts).items()]
    found = targets.targets(description)
    frameworks = view.chosen.choice.frameworks
    controls = [
        dmc.Select(
            id="explain-target",
            data=found,
            value=state.target or targets.default(description),
            label="Explain the score of",
            placeholder="the predicted class" if isinstance(description.outputs, Classes) else "the output",
            clearable=targets.default(description) is None,
            searchable=len(found) > 10,
            size="xs",
            w=170,
            style={"display": None if found else "none"},
        ),
        dmc.NumberInput(id="explain-seed", value=state.seed, min=0, max=2**32 - 1, label="Seed", size="xs", w=80),
        dmc.Switch(
            id="explain-both",
            checked=state.more.get("compare") == "both",
            label="Both frameworks",
            size="xs",
            style={"display": None if len(frameworks) > 1 else "none"},
        ),
        dmc.Tooltip(
            dmc.Switch(
                id="explain-evidence",
                checked=state.more.get("evidence") == "full",
                label="Check the evidence",
                size="xs",
            ),
            label="Also hides and shows the parts in the map's order beside random maps, takes other seeds, and gives "
            "the network random weights. It asks the network more often.",
            multiline=True,
            w=300,
            withArrow=True,
        ),
    ]
    unknown = [m for m in state.methods if m not in methods]
    wrong = [ui.problem(_unknown(unknown[0]), "This link names an unknown method")] if unknown else []
    head = [dmc.Title("Methods", order=2, className="card-title"), dmc.Button("Explain", id="explain-run", size="sm")]
    return ui.card(
        html.Div(head, className="card-head"),
        dmc.Group(controls, align="flex-end", gap="md", mb="md"),
        *wrong,
        *groups,
    )


def _family(family: str, verdicts: Sequence[Verdict], chosen: Sequence[str], view: View) -> Any:
    """Give the methods of one kind under its name; those that do not serve come last, once for each reason."""
    cards = [_method(v, v.method in chosen, view.state, view.description) for v in verdicts if v.serves]
    off: dict[str, list[str]] = {}
    for v in verdicts:
        if not v.serves:
            off.setdefault(_reason(v.remark, v.method), []).append(v.method)
    cards += [_not_served(names, reason) for reason, names in off.items()]
    title = dmc.Title(f"{family[0].upper()}{family[1:]}", order=3, className="family")
    return html.Section([title, html.Div(cards, className="methods")], **{"aria-label": f"Methods: {family}"})


def _unknown(name: str) -> str:
    try:
        methods[name]
    except XaikitError as error:
        return str(error)
    return ""


def _method(verdict: Verdict, chosen: bool, state: Address, description: Description) -> Any:
    method = verdict.method
    lead = (methods[method].__doc__ or "").strip().partition("\n")[0]
    box = dmc.Checkbox(
        id={"type": "explain-method", "method": method},
        checked=chosen,
        label=spoken(method),
        size="sm",
    )
    fields = forms.form(method, description, dict(state.parameters.get(method, {})), PATH)
    remark = f" Here it {verdict.remark}." if verdict.remark else ""
    about = html.P(f"{lead}{remark}", className="about")
    summary = html.Summary("About, parameters" if fields else "About")
    changed = bool(state.parameters.get(method))
    return html.Div(
        [box, html.Details([summary, about, html.Div(fields, className="fields")], open=changed)], className="method"
    )


def _not_served(names: Sequence[str], reason: str) -> Any:
    """Give methods that cannot explain the model, with what the doctor says of them."""
    boxes = [dmc.Checkbox(label=spoken(m), checked=False, disabled=True, size="sm") for m in names]
    about = dmc.Text(f"Not for this model: {reason}", size="xs", c="dimmed")
    return html.Div([dmc.Group(boxes, gap="lg", mb=4), about], className="method off")


def _reason(remark: str, method: str) -> str:
    """Shorten what the doctor says to what a card needs: the method is named by it, and the others stand beside it."""
    said = re.split(r"; use |: for an? ", remark)[0]
    return re.sub(rf"^{re.escape(method)} (cannot explain [^:]*: |(?=cannot))", "", said)


# ---------------------------------------------------------------- what happens on it


@dataclass(frozen=True)
class Asked:
    """What a person chose: model, sample, methods with their parameters, target, seed, and whether to check them."""

    chosen: tuple[Chosen, ...]
    description: Description
    sample: str
    parameters: Mapping[str, Mapping[str, Any]]
    target: str | None
    seed: int
    evidence: bool = False

    def units(self, services: Services) -> list[tuple[str, str, Unit]]:
        """Give (framework, method, unit) for every map that was asked for."""
        value = services.sample(self.chosen[0], self.description, self.sample)
        target = targets.target_of(self.target, self.description)
        checked = {"evidence": "full"} if self.evidence else {}
        return [
            (c.framework, method, Unit(c.key, value, method, {**given, **checked}, target, self.seed))
            for c in self.chosen
            for method, given in self.parameters.items()
        ]


def register(app: Dash, services: Services) -> None:
    """Add the callbacks."""
    giving.register(app, services)
    answering.register(app, services)
    _register_runs(app, services)


def _register_runs(app: Dash, services: Services) -> None:
    controls = (
        State("explain-view", "data"),
        State("explain-sample", "data"),
        State({"type": "explain-method", "method": ALL}, "checked"),
        State({"type": "explain-method", "method": ALL}, "id"),
        State({"type": "explain-parameter", "method": ALL, "name": ALL}, "value"),
        State({"type": "explain-parameter", "method": ALL, "name": ALL}, "checked"),
        State({"type": "explain-parameter", "method": ALL, "name": ALL}, "id"),
        State("explain-target", "value"),
        State("explain-seed", "value"),
        State("explain-both", "checked"),
        State("explain-evidence", "checked"),
    )
    results = (
        Output("explain-running", "children"),
        Output("explain-shown", "children"),
        Output("explain-jobs", "data"),
        Output("explain-poll", "disabled"),
        Output("explain-said", "children"),
        Output("explain-for", "data"),
        Output("explain-clicked", "data"),
    )

    def asked(given: Sequence[Any]) -> Asked:
        view, sample, checked, method_ids, values, ticks, ids, target, seed, both, evidence = given
        chosen, description = services.known(*view)
        entries = _entries(values, ticks, ids)
        wanted = [i["method"] for c, i in zip(checked, method_ids, strict=True) if c]
        parameters = {m: forms.filled(m, entries.get(m, {})) for m in wanted}
        models = services.both(chosen) if both else (chosen,)
        return Asked(models, description, sample or "", parameters, target, int(seed or 0), bool(evidence))

    # One callback for all that changes the results: of two answers under way Dash takes the later, so that nothing of
    # an earlier run comes back over a later one. Polling rests while an answer is under way.
    @app.callback(
        *results,
        Input("explain-run", "n_clicks"),
        Input("explain-poll", "n_intervals"),
        Input({"type": "explain-cancel", "job": ALL}, "n_clicks"),
        Input("explain-scale", "checked"),
        State("explain-jobs", "data"),
        State("explain-clicked", "data"),
        State("url", "search"),
        *controls,
        running=[(Output("explain-poll", "disabled"), True, False)],
    )
    def work(
        clicks: int | None,
        polled: int | None,
        cancels: list[int | None],
        one_scale: bool,
        jobs: list[dict[str, Any]],
        clicked: int,
        search: str | None,
        *given: Any,
    ) -> Any:
        cause = ctx.triggered_id
        if clicks and clicks != clicked:  # also when the answer to the click itself was overtaken by a later request
            return *start(jobs, given, one_scale), clicks
        if cause is None or not jobs:
            return *restore(search, given, one_scale), no_update
        if isinstance(cause, dict) and any(cancels):
            _let_go(services, cause["job"])
        return *_progress(services, jobs, one_scale, changed=cause == "explain-scale"), no_update, no_update

    def start(before: list[dict[str, Any]], given: Sequence[Any], one_scale: bool) -> Any:
        for old in before:
            _let_go(services, old["id"])
        try:
            wanted = asked(given)
            if not wanted.sample:
                raise UsageError("choose or give an input first")
            if not wanted.parameters:
                raise UsageError("choose at least one method first")
            jobs = _submitted(services, wanted)
        except XaikitError as error:
            return ui.problem(error), no_update, [], True, "", no_update
        return *_progress(services, jobs, one_scale, changed=True), choice(given)

    def restore(search: str | None, given: Sequence[Any], one_scale: bool) -> Any:
        """Show at once what a link names, where its results are stored; nothing is calculated unasked."""
        nothing = (no_update, no_update, no_update, True, no_update, no_update)
        if "methods=" not in (search or ""):
            return nothing
        try:
            wanted = asked(given)
            units = wanted.units(services) if wanted.sample else []
        except XaikitError as error:
            return ui.problem(error, "This link names something that is not here"), *nothing[1:]
        if not units or any(services.stored(unit) is None for _, _, unit in units):
            return nothing
        return *_progress(services, _submitted(services, wanted), one_scale, changed=True), choice(given)

    def choice(given: Sequence[Any]) -> list[Any]:
        """Give what maps belong to: sample, target and seed as the browser has them."""
        return [given[1], given[-4], given[-3]]

    app.clientside_callback(
        "function (...given) { return window.dash_clientside.xaikit.showResults(...given); }",
        Output("explain-results", "tabIndex"),
        Input("explain-running", "children"),
        Input("explain-shown", "children"),
        State("explain-run", "n_clicks"),
        prevent_initial_call=True,
    )

    app.clientside_callback(
        "function (...given) { return window.dash_clientside.xaikit.upToDate(...given); }",
        Output("explain-stale", "hidden"),
        Input("explain-for", "data"),
        Input("explain-sample", "data"),
        Input("explain-target", "value"),
        Input("explain-seed", "value"),
    )

    @app.callback(
        Output("view-changes", "data", allow_duplicate=True),
        Input("explain-sample", "data"),
        Input({"type": "explain-method", "method": ALL}, "checked"),
        Input({"type": "explain-parameter", "method": ALL, "name": ALL}, "value"),
        Input({"type": "explain-parameter", "method": ALL, "name": ALL}, "checked"),
        Input("explain-target", "value"),
        Input("explain-seed", "value"),
        Input("explain-both", "checked"),
        Input("explain-evidence", "checked"),
        Input("explain-scale", "checked"),
        State({"type": "explain-method", "method": ALL}, "id"),
        State({"type": "explain-parameter", "method": ALL, "name": ALL}, "id"),
        State("explain-view", "data"),
        prevent_initial_call="initial_duplicate",
    )
    def keep(
        sample: str | None,
        checked: list[bool],
        values: list[Any],
        ticks: list[Any],
        target: str | None,
        seed: Any,
        both: bool,
        evidence: bool,
        one_scale: bool,
        method_ids: list[dict[str, str]],
        ids: list[dict[str, str]],
        view: list[str],
    ) -> dict[str, Any]:
        wanted = [i["method"] for c, i in zip(checked, method_ids, strict=True) if c]
        entries = _entries(values, ticks, ids)
        given: dict[str, str] = {}
        for method in wanted:
            try:
                own = forms.filled(method, entries.get(method, {}))
            except XaikitError:
                continue
            given |= {f"{method}.{name}": json.dumps(value) for name, value in own.items()}
        return {
            "model": view[0],
            "framework": view[1],
            "sample": sample,
            "target": target,
            "methods": ",".join(wanted),
            "parameters": given,
            "seed": str(seed) if seed else None,
            "compare": "both" if both else None,
            "evidence": "full" if evidence else None,
            "scale": None if one_scale else "own",
        }


def _entries(values: list[Any], ticks: list[Any], ids: list[dict[str, str]]) -> dict[str, dict[str, Any]]:
    """Gather the entries of the forms by method; checkboxes have no value, the others no tick."""
    found: dict[str, dict[str, Any]] = {}
    for value, tick, i in zip(values, ticks, ids, strict=True):
        found.setdefault(i["method"], {})[i["name"]] = bool(tick) if forms.ticked(i["method"], i["name"]) else value
    return found


def _submitted(services: Services, wanted: Asked) -> list[dict[str, Any]]:
    """Have everything carried out that was asked for; a full queue keeps what was taken before."""
    jobs: list[dict[str, Any]] = []
    for framework, method, unit in wanted.units(services):
        job = services.submit(unit)
        jobs.append({"id": job.id, "framework": framework, "method": method, "stored": job.done})
    return jobs


def _let_go(services: Services, id: str) -> None:
    try:
        services.job(id).cancel()
    except XaikitError:  # it is so long ago that nobody remembers it
        return


def _progress(services: Services, jobs: list[dict[str, Any]], one_scale: bool, *, changed: bool) -> Any:
    """Give what runs, what is done (no_update while that is the same), the jobs, whether to rest, and a word on it."""
    live: list[dict[str, Any]] = []
    done: list[dict[str, Any]] = []
    for j in jobs:
        try:
            (done if services.job(j["id"]).done else live).append(j)
        except XaikitError:
            done.append(j)
    fresh = changed or len(done) != sum(j.get("seen", False) for j in jobs)
    noted = [{**j, "seen": j in done} for j in jobs]
    running = html.Div([_bar(services, j) for j in live], className="running") if live else None
    shown_ = _finished(services, done, one_scale) if fresh else no_update
    word = f"{len(done)} of {len(jobs)} done" if live else ""
    return running, shown_, noted, not live, word


def _bar(services: Services, j: dict[str, Any]) -> Any:
    """Give the progress of one job, with a button that cancels it."""
    job = services.job(j["id"])
    known = job.progress
    share = 100 * known[0] / known[1] if known and known[1] else 0
    words = {"waiting": "waits for its turn"}.get(job.status, f"{share:.0f} %" if known else "starting")
    return html.Div(
        [
            html.Span(f"{spoken(j['method'])}, {spoken(j['framework'])}", className="run-name"),
            dmc.Progress(
                value=share if known else 100 if job.status == "running" else 0,
                animated=not known,
                striped=not known,
                **{"aria-label": j["method"]},
            ),
            html.Span(words, className="run-word"),
            dmc.Button(
                "Cancel",
                id={"type": "explain-cancel", "job": j["id"]},
                size="compact-xs",
                variant="default",
                n_clicks=0,
            ),
        ],
        className="run",
        **{"data-testid": "running"},
    )


def _finished(services: Services, jobs: list[dict[str, Any]], one_scale: bool) -> Any:
    """Give the maps of the jobs that ended well, and a line for each that did not."""
    found, wrong = [], []
    for j in jobs:
        title = f"{spoken(j['method'])}, {spoken(j['framework'])}"
        try:
            job = services.job(j["id"])
            if not job.done:
                continue
            if job.status == "done" and isinstance(job.result(), Attribution):
                found.append(Explained(j["framework"], j["method"], job.result(), bool(j["stored"])))
            elif job.status == "cancelled":
                wrong.append(ui.hint("You cancelled it.", title))
            else:
                wrong.append(ui.problem(job.error or "it gave no map", title))
        except XaikitError:
            wrong.append(ui.hint("Its result is no longer at hand: press Explain again.", title))
    return [*wrong, *(_maps(found, one_scale) if found else [])]


def _maps(found: list[Explained], one_scale: bool) -> list[Any]:
    """Draw the maps together; where one cannot be drawn, each alone, so that it does not take the others with it."""
    try:
        return list(shown(found, one_scale))
    except Exception as error:
        log.exception("a map could not be drawn")
        if len(found) > 1:
            return [part for e in found for part in _maps([e], one_scale)]
        title = f"{spoken(found[0].method)}, {spoken(found[0].framework)}"
        return [ui.problem(f"It was calculated, but cannot be drawn: {error}", title)]
