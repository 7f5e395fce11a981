"""Explain: what the model answers to an input, and why, by one or several methods side by side."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update

from xaikit.errors import UsageError, XaikitError
from xaikit.figures import spoken
from xaikit.jobs import Unit
from xaikit.results import Attribution, Attributions
from xaikit_app import costs, forms, polls, snippets, targets, ui
from xaikit_app.pages import View
from xaikit_app.pages import _answering as answering
from xaikit_app.pages import _choosing as choosing
from xaikit_app.pages import _giving as giving
from xaikit_app.services import Chosen, Services
from xaikit_app.showing import Explained, shown
from xaikit_app.state import State as Address
from xaikit_app.work.describe import Description

log = logging.getLogger(__name__)
PATH, TITLE, ICON, ORDER = "explain", "Explain", "bulb", 20
GROUP = "Explain"
PATIENCE = 1.0
"""Seconds that a page waits for its gallery before it is shown without."""
PACE_S = 2.0
"""Seconds that the costs of methods wait for how fast the model is."""


def lacks(description: Description) -> str | None:
    """Say why a model cannot be explained here, or None."""
    return None if any(v.serves for v in description.methods) else "no method can explain a model of its kind"


# ---------------------------------------------------------------- what stands on the page


def layout(view: View) -> Any:
    """Give the page for a view: the input, the answer, the methods, and the results where they are stored."""
    state = view.state
    chosen = giving.first_of(view, PATIENCE)
    level = choosing.level(state)
    views = [{"value": "guided", "label": "Guided"}, {"value": "expert", "label": "Expert"}]
    switch = dmc.SegmentedControl(id="explain-level", data=views, value=level, size="xs", **{"aria-label": "View"})
    lead = html.Div([html.Span(f"What {view.chosen.name} answers to an input, and why."), switch], className="lead")
    columns = html.Div(
        [
            html.Div([giving.card(view, chosen), answering.card()], className="column"),
            html.Div([choosing.card(view), _results(state)], className="column"),
        ],
        className="two",
    )
    return ui.page(
        "Explain",
        lead,
        dcc.Store(id="explain-view", data=[view.chosen.name, view.chosen.framework]),
        dcc.Store(id="explain-sample", data=giving.joined(chosen)),
        dcc.Store(id="explain-jobs", data=[]),
        dcc.Store(id="explain-predictions", data={}),
        dcc.Store(id="explain-clicked", data=0),
        dcc.Store(id="explain-for"),
        polls.clock("explain-poll"),
        polls.clock("explain-answer-poll"),
        html.Div(columns, id="explain-page", className=f"explain-page {level}"),
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


# ---------------------------------------------------------------- what was asked for


@dataclass(frozen=True)
class Asked:
    """What a person chose: model, sample, methods with their parameters, target, seed, and whether to check them.

    `budget` holds what differs from no bounds at all, for every method.
    """

    chosen: tuple[Chosen, ...]
    description: Description
    sample: str
    parameters: Mapping[str, Mapping[str, Any]]
    target: str | None
    seed: int
    evidence: bool = False
    budget: Mapping[str, Any] | None = None

    def units(self, services: Services) -> list[tuple[str, str, Unit]]:
        """Give (framework, method, unit) for every map that was asked for."""
        value = services.sample(self.chosen[0], self.description, self.sample)
        target = targets.target_of(self.target, self.description)
        checked = {"evidence": "full"} if self.evidence else {}
        return [
            (
                c.framework,
                method,
                Unit(c.key, value, method, {**given, **self._bounds(method), **checked}, target, self.seed),
            )
            for c in self.chosen
            for method, given in self.parameters.items()
        ]

    def _bounds(self, method: str) -> dict[str, Any]:
        return forms.budget_for(method, self.budget or {})


@dataclass(frozen=True)
class Entered:
    """What the controls of the page hold, as the browser sends it."""

    view: list[str]
    sample: str | None
    checked: list[bool]
    method_ids: list[dict[str, str]]
    values: list[Any]
    ticks: list[Any]
    ids: list[dict[str, str]]
    target: str | None
    seed: Any
    both: bool
    evidence: bool
    bounds: list[Any]
    bound_ids: list[dict[str, str]]

    @property
    def wanted(self) -> list[str]:
        """The methods that are ticked."""
        return [i["method"] for c, i in zip(self.checked, self.method_ids, strict=True) if c]

    @property
    def forms(self) -> dict[str, dict[str, Any]]:
        """The entries of the forms by method; checkboxes have no value, the others no tick."""
        found: dict[str, dict[str, Any]] = {}
        for value, tick, i in zip(self.values, self.ticks, self.ids, strict=True):
            entry = bool(tick) if forms.ticked(i["method"], i["name"]) else value
            found.setdefault(i["method"], {})[i["name"]] = entry
        return found

    @property
    def budget(self) -> dict[str, Any]:
        """The fields of the budget that were set. Raises ParameterError."""
        return forms.budget({i["name"]: v for v, i in zip(self.bounds, self.bound_ids, strict=True)})

    def asked(self, services: Services) -> Asked:
        """Read it. Raises the errors of what makes no sense."""
        chosen, description = services.known(*self.view)
        entries = self.forms
        parameters = {m: forms.filled(m, entries.get(m, {})) for m in self.wanted}
        models = services.both(chosen) if self.both else (chosen,)
        seed, target, evidence = int(self.seed or 0), self.target, bool(self.evidence)
        return Asked(models, description, self.sample or "", parameters, target, seed, evidence, self.budget)

    def choice(self) -> dict[str, Any]:
        """Give what belongs into the address; what cannot be read is left out."""
        entries = self.forms
        given: dict[str, str] = {}
        for method in self.wanted:
            try:
                own = forms.filled(method, entries.get(method, {}))
            except XaikitError:
                continue
            given |= {f"{method}.{name}": json.dumps(value) for name, value in own.items()}
        try:
            budget = self.budget
        except XaikitError:
            budget = {}
        return {
            "model": self.view[0],
            "framework": self.view[1],
            "sample": self.sample,
            "target": self.target,
            "methods": ",".join(self.wanted),
            "parameters": given,
            "seed": str(self.seed) if self.seed else None,
            "compare": "both" if self.both else None,
            "evidence": "full" if self.evidence else None,
            **{name: str(budget[name]) if name in budget else None for name in forms.BUDGET},
        }


CONTROLS: tuple[tuple[Any, str], ...] = (
    ("explain-view", "data"),
    ("explain-sample", "data"),
    ({"type": "explain-method", "method": ALL}, "checked"),
    ({"type": "explain-method", "method": ALL}, "id"),
    ({"type": "explain-parameter", "method": ALL, "name": ALL}, "value"),
    ({"type": "explain-parameter", "method": ALL, "name": ALL}, "checked"),
    ({"type": "explain-parameter", "method": ALL, "name": ALL}, "id"),
    ("explain-target", "data"),
    ("explain-seed", "value"),
    ("explain-both", "checked"),
    ("explain-evidence", "checked"),
    ({"type": "explain-budget", "name": ALL}, "value"),
    ({"type": "explain-budget", "name": ALL}, "id"),
)
"""Where the fields of Entered stand on the page, in their order."""
FIXED = "explain-view"
"""What of them never changes, besides the ids."""


# ---------------------------------------------------------------- what happens


def register(app: Dash, services: Services) -> None:
    """Add the callbacks."""
    giving.register(app, services)
    answering.register(app, services)
    _register_choices(app, services)
    _register_runs(app, services)


def _register_choices(app: Dash, services: Services) -> None:
    @app.callback(
        Output("explain-target", "data"),
        Output("explain-first", "error"),
        Output("explain-box", "error"),
        Input("explain-first", "value"),
        Input("explain-against", "value"),
        Input("explain-entry", "value"),
        Input("explain-box", "value"),
        State("explain-view", "data"),
        prevent_initial_call=True,
    )
    def target(first: str | None, against: str | None, entry: str | None, box: str, view: list[str]) -> Any:
        pieces = targets.Aim(first, against, box or None, entry)
        try:
            text = pieces.text
            targets.target_of(text, services.known(*view)[1])
        except XaikitError as error:
            said = " ".join(str(error).split())
            return (no_update, None, said) if pieces.box else (no_update, said, None)
        return text, None, None

    changing = [Input(id, p) for id, p in CONTROLS if not _fixed(id, p)]
    fixed = [State(id, p) for id, p in CONTROLS if _fixed(id, p)]

    @app.callback(
        Output("view-changes", "data", allow_duplicate=True),
        Input("explain-scale", "checked"),
        Input("explain-level", "value"),
        *changing,
        *fixed,
        prevent_initial_call="initial_duplicate",
    )
    def keep(one_scale: bool, level: str, *given: Any) -> dict[str, Any]:
        choice = _entered(given).choice()
        return {**choice, "scale": None if one_scale else "own", "view": level}

    app.clientside_callback(
        "function (...given) { return window.dash_clientside.xaikitExplain.level(...given); }",
        Output("explain-page", "className"),
        Input("explain-level", "value"),
    )

    @app.callback(
        Output({"type": "explain-fields", "method": ALL}, "children"),
        Input("explain-level", "value"),
        State({"type": "explain-fields", "method": ALL}, "id"),
        State({"type": "explain-parameter", "method": ALL, "name": ALL}, "id"),
        State("explain-view", "data"),
        prevent_initial_call=True,
    )
    def fields(level: str, places: list[Any], ids: list[Any], view: list[str]) -> list[Any]:
        """Bring the forms that the guided view does without; those that are there keep what was filled in."""
        there, description = {i["method"] for i in ids}, services.known(*view)[1]
        missing = [level == "expert" and p["method"] not in there for p in places]
        return [
            forms.form(p["method"], description, {}, "explain") if lacks else no_update
            for p, lacks in zip(places, missing, strict=True)
        ]

    @app.callback(
        Output({"type": "explain-cost", "method": ALL}, "children"),
        Input("explain-predictions", "data"),
        Input({"type": "explain-parameter", "method": ALL, "name": ALL}, "value"),
        State({"type": "explain-parameter", "method": ALL, "name": ALL}, "checked"),
        State({"type": "explain-parameter", "method": ALL, "name": ALL}, "id"),
        State({"type": "explain-cost", "method": ALL}, "id"),
        State("explain-sample", "data"),
        State("explain-view", "data"),
        prevent_initial_call=True,
    )
    def cost(kept: Any, values: list[Any], ticks: list[Any], ids: list[Any], places: list[Any], *where: Any) -> Any:
        sample, view = where
        chosen, description = services.known(*view)
        entries = Entered(view, sample, [], [], values, ticks, ids, None, 0, False, False, [], []).forms
        pace = costs.pace_of(services, chosen, description, sample, PACE_S) if kept else None
        return [choosing.cost_words(c["method"], _read(c["method"], entries), description, pace) for c in places]


def _read(method: str, entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    try:
        return forms.filled(method, dict(entries.get(method, {})))
    except XaikitError:
        return {}


def _fixed(id: Any, property: str) -> bool:
    return property == "id" or id == FIXED


def _entered(given: Sequence[Any]) -> Entered:
    """Put what changes and what does not back into the order of Entered."""
    changing = iter(given[: sum(not _fixed(id, p) for id, p in CONTROLS)])
    fixed = iter(given[-sum(_fixed(id, p) for id, p in CONTROLS) :])
    return Entered(*(next(fixed) if _fixed(id, p) else next(changing) for id, p in CONTROLS))


def _register_runs(app: Dash, services: Services) -> None:
    polls.register(app, "explain-poll")
    results = (
        Output("explain-running", "children"),
        Output("explain-shown", "children"),
        Output("explain-jobs", "data"),
        Output("explain-poll", "disabled"),
        Output("explain-said", "children"),
        Output("explain-for", "data"),
        Output("explain-clicked", "data"),
    )

    # One callback for all that changes the results: of two answers under way Dash takes the later, so that nothing of
    # an earlier run comes back over a later one.
    @app.callback(
        *results,
        Input("explain-run", "n_clicks"),
        Input("explain-poll", "n_intervals"),
        Input("explain-scale", "checked"),
        State("explain-jobs", "data"),
        State("explain-clicked", "data"),
        State("url", "search"),
        *(State(id, p) for id, p in CONTROLS),
    )
    def work(
        clicks: int | None,
        polled: int | None,
        one_scale: bool,
        jobs: list[dict[str, Any]],
        clicked: int,
        search: str | None,
        *given: Any,
    ) -> Any:
        cause, entered = ctx.triggered_id, Entered(*given)
        show = _Shown(services, entered, one_scale)
        if clicks and clicks != clicked:  # also when the answer to the click itself was overtaken by a later request
            return *start(jobs, show), clicks
        if cause is None or not jobs:
            return *restore(search, show), no_update
        return *show.progress(jobs, changed=cause == "explain-scale"), no_update, no_update

    # A callback of its own, whose outcome the next question shows: a click on the way with an answer would be lost,
    # since that makes its button anew, unclicked.
    @app.callback(
        Input({"type": "explain-cancel", "job": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
    def cancel(clicks: list[int | None]) -> None:
        if any(clicks) and isinstance(ctx.triggered_id, dict):
            _let_go(services, ctx.triggered_id["job"])

    def start(before: list[dict[str, Any]], show: "_Shown") -> Any:
        for old in before:
            _let_go(services, old["id"])
        try:
            wanted = show.entered.asked(services)
            if not wanted.sample:
                raise UsageError("choose or give an input first")
            if not wanted.parameters:
                raise UsageError("choose at least one method first")
            jobs = _submitted(services, wanted, _last_good(services, before))
        except XaikitError as error:
            return ui.problem(error), no_update, [], True, "", no_update
        return *show.progress(jobs, changed=True), show.entered.choice()

    def restore(search: str | None, show: "_Shown") -> Any:
        """Show at once what a link names, where its results are stored; nothing is calculated unasked."""
        nothing = (no_update, no_update, no_update, True, no_update, no_update)
        if "methods=" not in (search or ""):
            return nothing
        try:
            wanted = show.entered.asked(services)
            units = wanted.units(services) if wanted.sample else []
        except XaikitError as error:
            return ui.problem(error, "This link names something that is not here"), *nothing[1:]
        if not units or any(services.stored(unit) is None for _, _, unit in units):
            return nothing
        return *show.progress(_submitted(services, wanted, {}), changed=True), show.entered.choice()

    app.clientside_callback(
        "function (...given) { return window.dash_clientside.xaikitExplain.showResults(...given); }",
        Output("explain-results", "tabIndex"),
        Input("explain-running", "children"),
        Input("explain-shown", "children"),
        State("explain-run", "n_clicks"),
        prevent_initial_call=True,
    )

    app.clientside_callback(
        "function (...given) { return window.dash_clientside.xaikitExplain.upToDate(...given); }",
        Output("explain-stale", "hidden"),
        Input("explain-for", "data"),
        Input("view-changes", "data"),
        Input("explain-shown", "children"),
    )


def _submitted(services: Services, wanted: Asked, before: Mapping[tuple[str, str], str]) -> list[dict[str, Any]]:
    """Have everything carried out that was asked for; a full queue keeps what was taken before."""
    jobs: list[dict[str, Any]] = []
    for framework, method, unit in wanted.units(services):
        job = services.submit(unit)
        one = {"id": job.id, "framework": framework, "method": method, "stored": job.done}
        jobs.append({**one, "before": before.get((framework, method)), "sample": wanted.sample})
    return jobs


def _last_good(services: Services, jobs: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Give by framework and method the last job that ended well: its map stays until there is a new one."""
    found = {}
    for j in jobs:
        good = next((id for id in (j["id"], j.get("before")) if _status(services, id) == "done"), None)
        if good:
            found[j["framework"], j["method"]] = good
    return found


def _status(services: Services, id: str | None) -> str:
    """Give the status of a job; one that nobody remembers any more is gone."""
    job = services.found(id)
    return "gone" if job is None else job.status


def _let_go(services: Services, id: str) -> None:
    if _status(services, id) != "gone":
        services.job(id).cancel()


@dataclass(frozen=True)
class _Shown:
    """What shows the work on one page: its services, what was entered there, and on how many scales."""

    services: Services
    entered: Entered
    one_scale: bool

    def progress(self, jobs: list[dict[str, Any]], *, changed: bool) -> Any:
        """Give what runs, what is done (no_update while that is the same), the jobs, whether to rest, and a word."""
        done = [j for j in jobs if _status(self.services, j["id"]) not in ("waiting", "running")]
        live = [j for j in jobs if j not in done]
        fresh = changed or len(done) != sum(j.get("seen", False) for j in jobs)
        noted = [{**j, "seen": j in done} for j in jobs]
        running = html.Div([self._bar(j) for j in live], className="running") if live else None
        word = f"{len(done)} of {len(jobs)} done" if live else ""
        return running, self._finished(jobs) if fresh else no_update, noted, not live, word

    def _bar(self, j: dict[str, Any]) -> Any:
        """Give the progress of one job, with a button that cancels it."""
        name = f"{spoken(j['method'])}, {spoken(j['framework'])}"
        return ui.progress(name, self.services.job(j["id"]), {"type": "explain-cancel", "job": j["id"]})

    def _finished(self, jobs: Sequence[dict[str, Any]]) -> Any:
        """Give the maps of the jobs that ended well, or of those before them, and a line for each that did not."""
        found: list[Explained] = []
        wrong = []
        for j in jobs:
            title = f"{spoken(j['method'])}, {spoken(j['framework'])}"
            status = _status(self.services, j["id"])
            good = j["id"] if status == "done" else j.get("before")
            if _status(self.services, good) == "done":
                found += self._maps_of(j, self.services.job(str(good)), stale=good != j["id"])
            if status == "failed":
                wrong.append(ui.problem(self.services.job(j["id"]).error or "it gave no map", title))
            elif status == "cancelled":
                wrong.append(ui.hint("You cancelled it.", title))
            elif status == "gone":
                wrong.append(ui.hint("Its result is no longer at hand: press Explain again.", title))
        return [*wrong, *(_maps(found, self.one_scale) if found else [])]

    def _maps_of(self, j: dict[str, Any], job: Any, stale: bool) -> list[Explained]:
        """Give the map of a job, or one for each of several inputs."""
        result = job.result()
        each = dict(result) if isinstance(result, Attributions) else {"": result}
        if not all(isinstance(e, Attribution) for e in each.values()):
            return []
        code, files = () if stale else self._code(j, job.unit), None if stale else self._files(j)
        stored = bool(j["stored"]) and not stale
        return [
            Explained(j["framework"], j["method"], e, stored, name, job.address, code, files, stale)
            for name, e in each.items()
        ]

    def _view(self, framework: str) -> View:
        chosen, description = self.services.known(self.entered.view[0], self.entered.view[1])
        state = Address(PATH, chosen.name, framework)
        same = next((c for c in self.services.both(chosen) if c.framework == framework), chosen)
        return View(state, same, description, self.services)

    def _code(self, j: dict[str, Any], unit: Unit) -> Sequence[str]:
        """Give the lines of Python that make a map again."""
        return snippets.snippet(self._view(j["framework"]), *snippets.explaining(unit), sample=j["sample"])

    def _files(self, j: dict[str, Any]) -> dict[str, str]:
        """Name the files in which the inputs of a map come along."""
        view, names = self._view(j["framework"]), giving.specs(self._view(j["framework"]).description)
        value = view.services.sample(view.chosen, view.description, j["sample"])
        ids = dict(part.partition(":")[::2] for part in j["sample"].split(","))
        each = {n: value[n] if n else value for n in names}
        return {n: snippets.file_name(each[n], names[n], ids.get(n, n) if n else j["sample"]) for n in names}


def _maps(found: list[Explained], one_scale: bool) -> list[Any]:
    """Draw the maps together; where one cannot be drawn, each alone, so that it does not take the others with it."""
    try:
        return list(shown(found, one_scale))
    except Exception as error:  # a map that fails must not take the others with it
        log.exception("a map could not be drawn")
        if len(found) > 1:
            return [part for e in found for part in _maps([e], one_scale)]
        title = f"{spoken(found[0].method)}, {spoken(found[0].framework)}"
        why = str(error) if isinstance(error, XaikitError) else f"an unforeseen {type(error).__name__}"
        return [ui.problem(f"It was calculated, but cannot be drawn: {why}", title)]
