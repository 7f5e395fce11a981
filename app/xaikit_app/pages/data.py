"""Data: all samples that a model is tested with, what the network says of them, and slices for every page."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
import numpy as np
from dash import ALL, Dash, Input, Output, State, dcc, html, no_update

from xaikit.arrays import Array
from xaikit.errors import InputError, XaikitError
from xaikit.figures import BarPanel, Measures, number, probability
from xaikit_app import cohorts, pictures, thumbs, ui
from xaikit_app.cohorts import Cohort, Term
from xaikit_app.exhibits import exhibit
from xaikit_app.given import MOST, TAKEN, read_given
from xaikit_app.pages import View
from xaikit_app.pages.overview import confusion
from xaikit_app.parts import Part, fill
from xaikit_app.parts import register as register_parts
from xaikit_app.samples import home
from xaikit_app.services import Services
from xaikit_app.state import read
from xaikit_app.work.data import output_of
from xaikit_app.work.describe import Description

PATH, TITLE, ICON, ORDER = "data", "Data and cohorts", "grid", 50
GROUP = "Data"
BLOCK = 50
"""As many rows as are fetched at a time."""
PICTURE = 40
WORDS = 160
BARS = 24
"""As many bars as a figure of classes has; of more, the most frequent."""
BANDS = 4
"""Into how many parts of equal size the rows are cut by a column of numbers."""


def lacks(description: Description) -> str | None:
    """Say why a model has no table of samples, or None."""
    if isinstance(description.inputs, Mapping):
        return "it takes several inputs at once, and a table of samples has those of one"
    return None


def layout(view: View) -> Any:
    """Give the page."""
    lead = "The samples that this network is tested with. A slice of them goes along to every other page."
    gallery = thumbs.shelf(view)
    if gallery is not None and not gallery.ready.is_set():
        return ui.page(TITLE, lead, ui.waiting("Reading the data …"), _again(view))
    cohort = Cohort(view)
    if not cohort.stock.count:
        words = "There are no samples of its kind here. Give some of your own."
        return ui.page(TITLE, lead, ui.hint(words), ui.card(_upload(view), title="Samples of your own"))
    places, machinery = fill(PATH, view, parts(view))
    return ui.page(
        TITLE,
        lead,
        html.Div(
            [
                ui.card(_about(cohort), places["answers"], title="Samples"),
                ui.card(_filters(cohort), title="Slice"),
            ],
            className="cards",
        ),
        ui.card(_table(view, cohort), title="Table"),
        html.Section(html.Div(_chosen(view), id="data-chosen"), **{"aria-label": "Chosen sample"}),
        ui.card(html.Div(_said(cohort), id="data-said"), title="What the slice holds"),
        html.Div(machinery),
        dcc.Store(id="data-view", data=view.state.href),
        dcc.Store(id="data-refreshed"),
        dcc.Store(id="data-kept", storage_type="session"),
    )


def _again(view: View) -> Any:
    return dcc.Link("Look again", href=view.state.at(more={**view.state.more, "again": "1"}).href)


def parts(view: View) -> list[Part]:
    """Give the part that asks the network about all samples."""
    cohort = Cohort(view)
    count = cohort.stock.count
    ask = f"Ask the network about all {count:,}" if count > 1 else "Ask the network"
    cost = "Runs it once on each; small networks take seconds, large ones minutes. The answers are kept."
    return [Part("answers", cohort.unit, _answered, "Asking the network about all samples", None, ask, cost)]


def _answered(answers: Any) -> Any:
    words = f"The network was asked about all {len(answers):,} samples."
    return html.Div([dmc.Text(words, size="sm"), dcc.Store(id={"type": "data-answered", "n": 0}, data=len(answers))])


# ---------------------------------------------------------------- callbacks


def register(app: Dash, services: Services) -> None:
    """Add the callbacks."""
    register_parts(app, services, PATH, parts, View)
    _register_table(app, services)
    _register_filters(app, services)

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Output("data-note", "children"),
        Input("data-upload", "contents"),
        State("data-upload", "filename"),
        State("data-view", "data"),
        prevent_initial_call=True,
    )
    def take(contents: str | None, filename: str | None, href: str) -> Any:
        if not contents:
            return no_update, no_update
        view = _view(services, href)
        try:
            known = view.description
            kept = services.own.put(read_given(contents, filename, known.inputs, known.outputs, services.settings))
        except XaikitError as error:
            return no_update, ui.problem(error, "This file cannot be used")
        return view.state.at(sample=None, more={**view.state.more, cohorts.KEY: f"set:{kept}"}).href, None


def _register_table(app: Dash, services: Services) -> None:
    @app.callback(
        Output("data-grid", "getRowsResponse"),
        Input("data-grid", "getRowsRequest"),
        State("data-view", "data"),
        prevent_initial_call=True,
    )
    def rows(request: Mapping[str, Any] | None, href: str) -> Any:
        if not request:
            return no_update
        view = _view(services, href)
        return _rows(view, Cohort(view), request)

    @app.callback(
        Output("view-changes", "data", allow_duplicate=True),
        Output("data-chosen", "children"),
        Input("data-grid", "selectedRows"),
        State("data-view", "data"),
        prevent_initial_call=True,
    )
    def choose(chosen: list[dict[str, Any]] | None, href: str) -> Any:
        if not chosen:
            return no_update, no_update
        view = _view(services, href)
        id = chosen[0]["id"]
        now = View(view.state.at(sample=id), view.chosen, view.description, services)
        return {"model": view.chosen.name, "sample": id}, _chosen(now)

    app.clientside_callback(
        "function (found) { return window.dash_clientside.xaikitData.refresh((found || [])[0], 'data-grid'); }",
        Output("data-refreshed", "data"),
        Input({"type": "data-answered", "n": ALL}, "data"),
    )

    @app.callback(
        Output("data-said", "children"),
        Output("data-what", "data"),
        Input("data-refreshed", "data"),
        State("data-view", "data"),
        prevent_initial_call=True,
    )
    def tell(answered: int | None, href: str) -> Any:
        cohort = Cohort(_view(services, href))
        return _said(cohort), _kinds(cohort)


def _register_filters(app: Dash, services: Services) -> None:
    @app.callback(
        Output("data-value", "children"),
        Input("data-what", "value"),
        State("data-view", "data"),
        prevent_initial_call=True,
    )
    def ask(name: str | None, href: str) -> Any:
        return _control(Cohort(_view(services, href)), name)

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Output("data-note", "children", allow_duplicate=True),
        Input("data-add", "n_clicks"),
        State("data-what", "value"),
        State({"type": "data-entry", "name": ALL}, "value"),
        State({"type": "data-entry", "name": ALL}, "id"),
        State("data-view", "data"),
        prevent_initial_call=True,
    )
    def add(clicks: int | None, what: str | None, values: list[Any], ids: list[dict[str, str]], href: str) -> Any:
        if not clicks or not what:
            return no_update, no_update
        view = _view(services, href)
        entered = {id["name"]: value for id, value in zip(ids, values, strict=True)}
        try:
            before = [
                t for t in cohorts.terms(view.state.more.get(cohorts.KEY)) if t.name != "random" or what != "random"
            ]
            found = [*before, *_entered(what, entered)]
            href = cohorts.with_terms(view, dict.fromkeys(found))
            path, _, search = href.partition("?")
            _ = Cohort(View(read(path, search), view.chosen, view.description, services)).found
        except XaikitError as error:
            return no_update, ui.problem(error, "This filter cannot be used")
        return href, None

    app.clientside_callback(
        "function (...given) { return window.dash_clientside.xaikitData.keepSlice(...given); }",
        Output("data-kept", "data"),
        Input("data-keep", "n_clicks"),
        State("data-name", "value"),
        State("data-kept", "data"),
        State("model", "value"),
        prevent_initial_call=True,
    )

    @app.callback(Output("data-slices", "children"), Input("data-kept", "data"), State("data-view", "data"))
    def list_kept(kept: list[dict[str, str]] | None, href: str) -> Any:
        view = _view(services, href)
        mine = [s for s in kept or () if s.get("model") == view.chosen.name]
        return [_kept_link(view, s) for s in mine]


def _view(services: Services, href: str) -> View:
    """Give the view of an address. Raises UnknownName, UsageError."""
    path, _, search = href.partition("?")
    state = read(path, search)
    chosen = services.choose(state)
    return View(state, *services.known(chosen.name, chosen.framework), services)


def _kept_link(view: View, kept: Mapping[str, str]) -> Any:
    try:
        found = cohorts.terms(kept["slice"])
    except XaikitError:
        return None
    words = ", ".join(term.words for term in found)
    return html.Li(
        [dcc.Link(kept["name"], href=cohorts.with_terms(view, found)), html.Span(f" {words}", className="quiet")]
    )


# ---------------------------------------------------------------- about the samples


def _about(cohort: Cohort) -> Any:
    stock, view = cohort.stock, cohort.view
    if cohort.given is not None:
        source = "given by you, kept for this session"
    else:
        gallery = thumbs.shelf(view)
        source = gallery.note if gallery is not None and gallery.note else "examples"
    known = (
        "of every sample" if stock.labels is not None else "given as numbers" if stock.y is not None else "not known"
    )
    facts = ui.facts([("Samples", f"{stock.count:,}"), ("Source", source.rstrip(".")), ("Truth", known)])
    back = [dcc.Link("Back to the test data", href=cohorts.with_terms(view, ()))] if cohort.given is not None else []
    return dmc.Stack([facts, dmc.Group([_upload(view), *back], gap="md"), html.Div(id="data-note")], gap="xs", mb="sm")


def _upload(view: View) -> Any:
    kind = view.description.kind
    taken = TAKEN.get(kind, ".npz,.npy")
    columns = (
        "a column for each input, and one with the truth" if kind == "Table" else "a column text and a column label"
    )
    form = columns if taken == ".csv" else "x holds the samples, y the truth"
    words = (
        f"{taken.replace(',', ' or ')}: {form}; at most {MOST:,} samples, {view.services.settings.max_upload_mb:g} MiB"
    )
    return dmc.Stack(
        [
            dcc.Upload(
                dmc.Button("Give samples of your own", variant="default", size="xs"),
                id="data-upload",
                accept=taken,
                multiple=False,
                className="give",
            ),
            dmc.Text(words, size="xs", c="dimmed"),
        ],
        gap=4,
    )


# ---------------------------------------------------------------- the slice


def _filters(cohort: Cohort) -> Any:
    chips = cohorts.chips(cohort.view)
    shown = html.Div(chips, className="chips") if chips else dmc.Text("No filter: all samples.", size="sm", c="dimmed")
    return dmc.Stack(
        [
            shown,
            dmc.Select(
                id="data-what",
                label="Filter by",
                data=_kinds(cohort),
                placeholder="what the samples differ in",
                size="xs",
                searchable=True,
                maw=320,
            ),
            html.Div(id="data-value", className="filter-values"),
            dmc.Button("Add the filter", id="data-add", size="xs", w="fit-content", n_clicks=0),
            dmc.Group(
                [
                    dmc.TextInput(
                        id="data-name", placeholder="a name for this slice", size="xs", **{"aria-label": "Name"}
                    ),
                    dmc.Button("Keep the slice", id="data-keep", size="xs", variant="default", n_clicks=0),
                ],
                gap="xs",
            ),
            html.Ul(id="data-slices", className="plain"),
        ],
        gap="xs",
    )


def _kinds(cohort: Cohort) -> list[dict[str, str]]:
    known = [{"value": n, "label": cohorts.ALONE.get(n) or cohorts.SPOKEN.get(n, n)} for n in cohort.known]
    return [*known, {"value": "random", "label": "a random part"}]


def _control(cohort: Cohort, name: str | None) -> Any:
    """Give the controls with which a filter by one thing is filled in."""
    if name is None:
        return None
    if name == "random":
        count = dmc.NumberInput(id=_entry("count"), label="How many", value=100, min=1, allowDecimal=False, size="xs")
        seed = dmc.NumberInput(id=_entry("seed"), label="Seed", value=0, min=0, allowDecimal=False, size="xs")
        return dmc.Group([count, seed], gap="xs")
    kind = cohort.known.get(name)
    if kind == "choice":
        return dmc.MultiSelect(
            id=_entry("choice"),
            label="One of",
            data=list(cohort.choices(name)),
            size="xs",
            searchable=True,
            clearable=True,
        )
    if kind == "words":
        return dmc.TextInput(id=_entry("words"), label="A word", size="xs")
    if kind == "number":
        values = np.asarray(cohort.numbers(name), np.float64)
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        note = f"They lie between {number(low)} and {number(high)}."
        least = dmc.NumberInput(id=_entry("least"), label="From", size="xs", decimalScale=6)
        most = dmc.NumberInput(id=_entry("most"), label="To", size="xs", decimalScale=6)
        return dmc.Stack([dmc.Group([least, most], gap="xs"), dmc.Text(note, size="xs", c="dimmed")], gap=4)
    return None


def _entry(name: str) -> dict[str, str]:
    return {"type": "data-entry", "name": name}


def _entered(what: str, entered: Mapping[str, Any]) -> list[Term]:
    """Turn what was filled in into terms. Raises InputError where nothing was."""
    if what in cohorts.ALONE:
        return [Term(what)]
    if what == "random":
        return [Term("random", ":", f"{int(entered.get('count') or 0)}@{int(entered.get('seed') or 0)}")]
    if entered.get("choice"):
        return [Term(what, ":", "\0".join(entered["choice"]))]
    if str(entered.get("words") or "").strip():
        return [Term(what, ":", entered["words"].strip())]
    bounds = ((">=", entered.get("least")), ("<=", entered.get("most")))
    found = [Term(what, operator, f"{value:g}") for operator, value in bounds if value not in (None, "")]
    if not found:
        raise InputError("fill in what the filter is to look for")
    return found


# ---------------------------------------------------------------- the table


def _table(view: View, cohort: Cohort) -> Any:
    try:
        count = len(cohort.found)
    except XaikitError as error:
        return ui.problem(error, "This slice cannot be shown")
    if not count:
        return ui.hint("No sample meets all these filters. Remove one of them.")
    kind = view.description.kind
    grid = dag.AgGrid(
        id="data-grid",
        columnDefs=_columns(cohort),
        defaultColDef={"sortable": True, "resizable": True, "filter": False, "suppressHeaderMenuButton": True},
        rowModelType="infinite",
        getRowId="params.data.id",
        dashGridOptions={
            "cacheBlockSize": BLOCK,
            "maxBlocksInCache": 10,
            "infiniteInitialRowCount": min(count, BLOCK),
            "rowHeight": 48 if kind in ("Image", "Series", "Array") else 36,
            "rowSelection": {"mode": "singleRow", "checkboxes": False, "enableClickSelection": True},
            "theme": {"function": "themeQuartz.withParams(" + THEME + ")"},
        },
        className="data-grid",
        style={"height": "26rem", "width": "100%"},
    )
    words = f"{count:,} samples. Click a row, or reach it with the arrow keys and press space: every page shows it."
    return html.Div([dmc.Text(words, size="sm", c="dimmed", mb="xs"), grid])


THEME = (
    "{backgroundColor: 'var(--mantine-color-body)', foregroundColor: 'var(--mantine-color-text)', "
    "borderColor: 'var(--x-line)', headerBackgroundColor: 'var(--x-soft)', accentColor: 'var(--x-accent)', "
    "oddRowBackgroundColor: 'var(--mantine-color-body)', browserColorScheme: 'inherit', fontFamily: 'inherit', "
    "wrapperBorderRadius: 8}"
)
NUMBER = {"type": "rightAligned", "width": 110}


def _columns(cohort: Cohort) -> list[dict[str, Any]]:
    spec, stock = cohort.spec, cohort.stock
    found: list[dict[str, Any]] = [{"field": "number", "headerName": "Number", "width": 95, "type": "rightAligned"}]
    if spec.kind != "Table":
        wide = {"flex": 1, "minWidth": 260} if spec.kind == "Text" else {"flex": 1, "minWidth": 130}
        found.append(
            {"field": "sample", "headerName": "Sample", "sortable": False, "cellRenderer": "XaikitSample", **wide}
        )
    if stock.labels is not None:
        found.append({"field": "label", "headerName": "Label", "width": 120})
    outputs = output_of(cohort.view.description.outputs)[1]
    found.append(
        {"field": "answer", "headerName": "Error" if outputs.kind == "Reconstruction" else "Answer", "width": 130}
    )
    if outputs.kind in ("Classes", "Masks"):
        found.append({"field": "p", "headerName": "Probability" if outputs.kind == "Classes" else "Share", **NUMBER})
    if outputs.kind == "Classes" and stock.labels is not None:
        found.append({"field": "mark", "headerName": "Right", "width": 110, "cellRenderer": "XaikitMark"})
    if spec.kind == "Table":
        for name in spec.columns:
            found.append({"field": f"c:{name}", "headerName": name, "width": 140})
    return found


def _rows(view: View, cohort: Cohort, request: Mapping[str, Any]) -> dict[str, Any]:
    """Give the rows of a block in the order that is asked for."""
    order = _sorted(cohort, request.get("sortModel") or [])
    first = max(0, int(request.get("startRow") or 0))
    chosen = order[first : first + min(int(request.get("endRow") or first + BLOCK) - first, 4 * BLOCK)]
    with home(view.services.galleries.home):
        rows = [_row(cohort, int(i)) for i in chosen]
    return {"rowData": rows, "rowCount": len(order)}


def _sorted(cohort: Cohort, model: Sequence[Mapping[str, str]]) -> Array:
    """Order the samples of the slice as the table asks; what cannot be compared stays as it is."""
    found = cohort.found
    for key in reversed(model):
        values = _keys(cohort, str(key.get("colId", "")))
        if values is None:
            continue
        place = np.argsort(values[found], kind="stable")
        found = found[place if key.get("sort") == "asc" else place[::-1]]
    return found


def _keys(cohort: Cohort, column: str) -> Array | None:
    said = cohort.answers
    if column == "number":
        return np.arange(cohort.stock.count)
    if column == "label":
        return cohort.stock.labels
    if column == "answer" and said is not None:
        return said.predicted if said.kind in ("classes", "shares") else said.scores[:, 0]
    if column == "p" and said is not None:
        return said.sure
    if column == "mark":
        return cohort.right
    if column.startswith("c:") and column[2:] in cohort.spec.columns:
        values = cohort.column(column[2:])
        return np.array(
            [str(v) for v in values] if cohort.known[column[2:]] == "choice" else [float(v) for v in values]
        )
    return None


def _row(cohort: Cohort, i: int) -> dict[str, Any]:
    """Give one row: plain values, and the sample as something small to look at."""
    sample, spec, said = cohort.stock.take(i), cohort.spec, cohort.answers
    row: dict[str, Any] = {"id": sample.id, "number": i, "label": sample.label}
    if spec.kind == "Table":
        row |= {f"c:{name}": value for name, value in spec.display(sample.value).items()}
    else:
        row["sample"] = _cell(sample.value, spec, f"sample {i}")
    if said is not None:
        row["answer"] = answer_in_words(said, i)
        if said.kind in ("classes", "shares", "steps"):
            row["p"] = probability(float(said.sure[i]))
        if cohort.right is not None:
            row["mark"] = "right" if cohort.right[i] else "wrong"
    return row


def answer_in_words(said: Any, i: int) -> str:
    """Give an answer in a few words."""
    if said.texts:
        return str(said.texts[i])[:WORDS]
    if said.kind in ("classes", "shares"):
        return str(said.names[int(said.predicted[i])])
    return ", ".join(number(float(v)) for v in said.scores[i][:3])


def _cell(value: Any, spec: Any, words: str) -> dict[str, str]:
    try:
        if spec.kind == "Image":
            return {"src": pictures.photo(spec.display(value), spec, PICTURE), "words": words}
        drawn = np.squeeze(value) if spec.kind in ("Series", "Array") else np.zeros(())
        if 1 <= drawn.ndim <= 2 and len(drawn) <= 2000:
            return {"src": pictures.spark(drawn), "words": words}
    except InputError:
        return {"words": "does not fit this network"}
    return {"words": thumbs.in_words(value, spec)[:WORDS]}


# ---------------------------------------------------------------- the chosen sample


def _chosen(view: View) -> Any:
    """Give the sample of the view in large, with the way to the pages that look into it."""
    id = view.state.sample
    if not id:
        return None
    try:
        value = view.services.sample(view.chosen, view.description, id)
    except XaikitError as error:
        return ui.hint(str(error))
    spec = view.description.inputs
    if spec.kind == "Table":
        seen = ui.facts([(k, f"{v:g}" if isinstance(v, float) else str(v)) for k, v in spec.display(value).items()])
    elif spec.kind == "Text":
        seen = ui.quoted(thumbs.in_words(value, spec))
    else:
        seen = html.Div(thumbs.small(value, spec, f"sample {id}"), className="chosen-picture")
    ways = [("explain", "Explain this sample"), ("what-if", "Change it"), ("layers", "Look inside")]
    links = [dcc.Link(words, href=view.state.to(path).href, className="start") for path, words in ways]
    return ui.card(dmc.Stack([seen, dmc.Group(links, gap="xs")], gap="sm"), title=f"Chosen sample: {_short(id)}")


def _short(id: str) -> str:
    return (
        f"yours{id[id.index('.') :]}"
        if id.startswith("own-") and "." in id
        else "yours"
        if id.startswith("own-")
        else id
    )


# ---------------------------------------------------------------- what the slice holds


def _said(cohort: Cohort) -> Any:
    """Give the distributions of labels and answers, the mistakes, and where they are frequent."""
    try:
        found = cohort.found
    except XaikitError as error:
        return ui.hint(str(error))
    if not len(found):
        return dmc.Text("Nothing: the slice is empty.", size="sm", c="dimmed")
    shown = [*_labels(cohort, found), *_answers(cohort, found)]
    if cohort.answers is None:
        shown.append(ui.hint("Ask the network about all samples, and its answers are compared with the truth here."))
    return html.Div(shown, className="exhibits") if shown else dmc.Text("No labels are known.", size="sm", c="dimmed")


def _labels(cohort: Cohort, found: Array) -> list[Any]:
    labels = cohort.stock.labels
    if labels is None or not cohort.stock.classes:
        return []
    return [_counted("Labels", labels[found], cohort.stock.classes)]


def _answers(cohort: Cohort, found: Array) -> list[Any]:
    said = cohort.answers
    if said is None:
        return []
    shown = []
    if said.kind == "classes":
        shown.append(_counted("Answers", said.predicted[found], said.names))
    elif said.kind != "steps":
        shown.append(_spread("Errors" if cohort.errors is not None else "Answers", cohort, found))
    if cohort.right is not None:
        shown.append(_mistakes(cohort, found))
    shown += _by_column(cohort, found)
    return shown


def _counted(title: str, values: Array, names: Sequence[str]) -> Any:
    counts = Counter(int(v) for v in values)
    order = [k for k, _ in counts.most_common(BARS)]
    order = sorted(order) if len(counts) <= BARS else order
    left = f", the {BARS} most frequent of {len(counts)}" if len(counts) > BARS else ""
    first = max(counts, key=lambda k: counts[k])
    panel = BarPanel(
        title=title,
        subtitle=f"how many of {len(values):,}{left}",
        labels=tuple(str(names[k]) for k in order),
        values=np.array([counts[k] for k in order], float),
        signed=False,
        said=tuple(f"{counts[k]:,}" for k in order),
        alt=f"{title} of {len(values):,} samples: {names[first]} is the most frequent with {counts[first]:,}.",
    )
    return exhibit(panel)


def _spread(title: str, cohort: Cohort, found: Array) -> Any:
    """Give how numbers are spread: how many lie in each of ten steps."""
    said = cohort.answers
    assert said is not None
    values = (cohort.errors if cohort.errors is not None else said.scores[:, 0])[found]
    counts, edges = np.histogram(values, bins=min(10, max(1, len(values) // 5)))
    labels = tuple(f"{number(float(a))} to {number(float(b))}" for a, b in pairwise(edges))
    middle = number(float(np.median(values)))
    unusual = ""
    if said.kind == "error" and np.isfinite(said.limit):
        flagged = int((values > said.limit).sum())
        unusual = f"{flagged:,} are above {number(said.limit)}, which 99 % of normal samples stay below."
    panel = BarPanel(
        title=title,
        subtitle=f"how many of {len(values):,}",
        labels=labels,
        values=counts.astype(float),
        signed=False,
        said=tuple(f"{int(n):,}" for n in counts),
        alt=f"{title} of {len(values):,} samples: the middle is {middle}. {unusual}".strip(),
        facts=(unusual,) if unusual else (),
    )
    return exhibit(panel)


def _mistakes(cohort: Cohort, found: Array) -> Any:
    said, right, labels = cohort.answers, cohort.right, cohort.stock.labels
    assert said is not None
    assert right is not None
    assert labels is not None
    n = len(said.names)
    table = np.zeros((n, n), int)
    np.add.at(table, (labels[found], said.predicted[found]), 1)
    measured = Measures("", (), len(found), tuple(said.names), tuple(tuple(int(v) for v in row) for row in table))
    words = f"{int(right[found].sum()):,} of {len(found):,} are answered right, {int((~right[found]).sum()):,} wrong."
    state, texts = cohort.view.state, [term for term in cohort.terms if term.name not in ("label", "answer")]

    def way(truth: str, answer: str) -> str:
        chosen = [*texts, Term("label", ":", truth), Term("answer", ":", answer)]
        return str(state.at(sample=None, more={**state.more, cohorts.KEY: cohorts.text_of(chosen)}).href)

    return html.Div(
        [
            dmc.Text("Mistakes", fw=600),
            dmc.Text(f"{words} A number in the table leads to its samples.", size="sm"),
            confusion(measured, way),
        ],
        className="exhibit",
    )


def _by_column(cohort: Cohort, found: Array) -> list[Any]:
    """Give the share of mistakes, or the mean error, for each value of a table's columns; strongest columns first."""
    wrong = ~cohort.right if cohort.right is not None else cohort.errors
    if wrong is None or cohort.spec.kind != "Table":
        return []
    values = np.asarray(wrong, np.float64)[found]
    groups = []
    for name in cohort.spec.columns:
        rows = _parts_of(cohort, name, found)
        means = [(label, float(values[at].mean()), int(at.sum())) for label, at in rows if at.any()]
        groups.append((max(m for _, m, _ in means) - min(m for _, m, _ in means), name, means))
    groups.sort(key=lambda g: -g[0])
    what = "Share of wrong answers" if cohort.right is not None else "Mean error"
    return [
        exhibit(
            BarPanel(
                title=f"{what} by {name}",
                subtitle=f"over all {number(float(values.mean()))}",
                labels=tuple(f"{label} ({count:,})" for label, _, count in means),
                values=np.array([mean for _, mean, _ in means]),
                signed=False,
                alt=f"{what} by {name}: " + "; ".join(f"{label} {number(mean)}" for label, mean, _ in means) + ".",
            )
        )
        for _, name, means in groups[:4]
    ]


def _parts_of(cohort: Cohort, name: str, found: Array) -> list[tuple[str, Array]]:
    """Cut samples by a column: by its categories, or by quarters of its numbers."""
    column = cohort.column(name)
    if cohort.known[name] == "choice":
        texts = np.array([str(column[i]) for i in found])
        return [(value, texts == value) for value in cohort.choices(name)]
    numbers = np.array([float(column[i]) for i in found])
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, BANDS + 1)))
    if len(edges) < 3:
        return [(number(float(numbers.mean())), np.ones(len(numbers), bool))]
    at = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
    return [(f"{number(float(edges[k]))} to {number(float(edges[k + 1]))}", at == k) for k in range(len(edges) - 1)]


__all__ = ["lacks", "layout", "parts", "register"]
