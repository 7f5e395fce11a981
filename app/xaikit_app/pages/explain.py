"""Explain: what the model answers to an input, and why, by one or several methods side by side."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update

from xaikit.attribution import methods
from xaikit.errors import InputError, UsageError, XaikitError
from xaikit.figures import number, spoken
from xaikit.inputs import Category, Classes, Masks, Reconstruction
from xaikit.jobs import Job, Unit
from xaikit.results import Attribution, Prediction
from xaikit_app import forms, pictures, targets, ui
from xaikit_app.pages import View
from xaikit_app.samples import Gallery, Sample
from xaikit_app.services import Chosen, Services
from xaikit_app.showing import Explained, shown
from xaikit_app.state import State as Address
from xaikit_app.tasks import Description
from xaikit_app.uploads import ACCEPTED, read_upload

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
        dcc.Store(id="explain-predictions", data=[]),
        dcc.Store(id="explain-drawing"),
        dcc.Store(id="explain-for"),
        dcc.Interval(id="explain-poll", interval=POLL_MS, disabled=True),
        dcc.Interval(id="explain-answer-poll", interval=POLL_MS, disabled=True),
        dcc.Interval(id="explain-gallery-poll", interval=POLL_MS, disabled=ready),
        html.Div(
            [
                html.Div([_input_card(view, gallery, sample), _answer_card()], className="column"),
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


def _input_card(view: View, gallery: Gallery, sample: str | None) -> Any:
    kind = view.description.kind
    tabs = [("gallery", "Samples", html.Div(_thumbs(gallery, sample), id="explain-gallery"))]
    if kind in ACCEPTED:
        tabs.append(("upload", "Upload", _upload(view)))
    if kind == "Image" and view.description.inputs.shape[-1] == 1 and _bytes(view.description.inputs):
        tabs.append(("draw", "Draw", _pad()))
    if kind == "Text":
        tabs.append(("type", "Type", _typed()))
    if kind == "Table":
        tabs.append(("form", "Form", _row_form(view.description.inputs)))
    return ui.card(
        dmc.Tabs(
            [
                dmc.TabsList([dmc.TabsTab(label, value=value) for value, label, _ in tabs]),
                *(dmc.TabsPanel(body, value=value, pt="sm", keepMounted=True) for value, _, body in tabs),
            ],
            value="gallery",
            keepMounted=True,
        ),
        html.Div(dmc.Alert("", id="explain-note", color="red", variant="light", hide=True, mt="sm"), role="alert"),
        title="Input",
    )


def _bytes(spec: Any) -> bool:
    """Whether a picture's display units are 0 to 255."""
    return bool(spec.scale < 0.1)


def _thumbs(gallery: Gallery, chosen: str | None) -> Any:
    if not gallery.ready.is_set():
        return ui.waiting("Looking for samples …")
    if not gallery.shown:
        return dmc.Text("There are no samples of this kind here: give an input of your own.", c="dimmed", size="sm")
    spec = gallery.description.inputs
    thumbs = [_thumb(sample, spec, sample.id == chosen) for sample in gallery.shown]
    return [
        html.Div(thumbs, className=f"thumbs {spec.kind.lower()}"),
        dmc.Text(gallery.note, size="xs", c="dimmed", mt="xs"),
    ]


def _thumb(sample: Sample, spec: Any, chosen: bool) -> Any:
    return html.Button(
        [_small(sample.value, spec), html.Span(sample.label, className="thumb-label")],
        id={"type": "explain-pick", "sample": sample.id},
        className="thumb chosen" if chosen else "thumb",
        n_clicks=0,
        type="button",
        **{"aria-pressed": str(chosen).lower(), "aria-label": f"sample {sample.label or sample.id}"},
    )


def _small(value: Any, spec: Any) -> Any:
    if spec.kind == "Image":
        return html.Img(src=pictures.photo(spec.display(value), spec, 84), alt="")
    if spec.kind in ("Series", "Array") and np.ndim(value) <= 2:
        return html.Img(src=pictures.spark(value), alt="")
    return html.Span(_words(value, spec)[:90], className="thumb-text")


def _words(value: Any, spec: Any) -> str:
    """Give a text, or a row or array in a few words."""
    if isinstance(value, str):
        return value
    if spec.kind == "Table":
        return ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{v}" for k, v in spec.display(value).items())
    return f"array {np.shape(value)}"


def _upload(view: View) -> Any:
    kind, limit = view.description.kind, view.services.settings.max_upload_mb
    return [
        dcc.Upload(
            html.Div(["Drop a file here, or ", html.U("choose one")]),
            id="explain-upload",
            accept=ACCEPTED[kind],
            multiple=False,
            className="upload",
            className_active="upload over",
            style_active={},
            max_size=view.services.settings.max_upload_bytes,
        ),
        dmc.Text(f"{ACCEPTED[kind].replace(',', ', ')}; at most {limit:g} MiB", size="xs", c="dimmed", mt="xs"),
        html.Span(
            id="explain-upload-limit", **{"data-bytes": str(view.services.settings.max_upload_bytes), "hidden": True}
        ),
    ]


def _pad() -> Any:
    return html.Div(
        [
            html.Canvas(
                id="explain-pad",
                width=224,
                height=224,
                className="pad",
                tabIndex="0",
                role="img",
                **{"aria-label": "Drawing pad"},
            ),
            dmc.Stack(
                [
                    dmc.Text("Draw with the mouse or a finger.", size="sm", c="dimmed"),
                    dmc.Button("Use the drawing", id="explain-use-drawing", size="xs"),
                    dmc.Button("Clear", id="explain-clear-pad", size="xs", variant="default"),
                ],
                gap="xs",
            ),
        ],
        className="drawing",
    )


def _typed() -> Any:
    return dmc.Stack(
        [
            dmc.Textarea(
                id="explain-text",
                autosize=True,
                minRows=4,
                maxRows=12,
                placeholder="Type or paste a text …",
                inputProps={"maxLength": 20_000},
                **{"aria-label": "Text"},
            ),
            dmc.Button("Use the text", id="explain-use-text", size="xs", w="fit-content"),
        ],
        gap="xs",
    )


def _row_form(spec: Any) -> Any:
    first = spec.background[0] if spec.background else {}
    fields = [_column(name, column, first.get(name)) for name, column in spec.columns.items()]
    return dmc.Stack(
        [
            dmc.SimpleGrid(fields, cols=2, spacing="xs"),
            dmc.Button("Use the row", id="explain-use-row", size="xs", w="fit-content"),
        ],
        gap="sm",
    )


def _column(name: str, column: Any, value: Any) -> Any:
    common = {"id": {"type": "explain-column", "name": name}, "label": name, "size": "xs"}
    if isinstance(column, Category):
        known = [str(v) for v in column.values]
        return dmc.Select(
            data=known, value=str(value) if value is not None else known[0], allowDeselect=False, **common
        )
    return dmc.NumberInput(value=column.mean if value is None else value, decimalScale=4, **common)


def _answer_card() -> Any:
    return ui.card(html.Div(ui.waiting("Asking the network …"), id="explain-answer"), title="Answer")


def _method_card(view: View) -> Any:
    state, description = view.state, view.description
    served = [v.method for v in description.methods if v.serves]
    chosen = [m for m in state.methods if m in served] or [m for m in FIRST if m in served][:2]
    ordered = sorted(description.methods, key=lambda v: not v.serves)
    cards = [_method(v, v.method in chosen, state, description) for v in ordered]
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
    ]
    unknown = [m for m in state.methods if m not in methods]
    wrong = [ui.problem(_unknown(unknown[0]), "This link names an unknown method")] if unknown else []
    head = [dmc.Title("Methods", order=2, className="card-title"), dmc.Button("Explain", id="explain-run", size="sm")]
    return ui.card(
        html.Div(head, className="card-head"),
        dmc.Group(controls, align="flex-end", gap="md", mb="md"),
        *wrong,
        html.Div(cards, className="methods"),
    )


def _unknown(name: str) -> str:
    try:
        methods[name]
    except XaikitError as error:
        return str(error)
    return ""


def _method(verdict: Any, chosen: bool, state: Address, description: Description) -> Any:
    method = verdict.method
    lead = (methods[method].__doc__ or "").strip().partition("\n")[0]
    box = dmc.Checkbox(
        id={"type": "explain-method", "method": method},
        checked=chosen and verdict.serves,
        disabled=not verdict.serves,
        label=spoken(method),
        description=None if verdict.serves else f"Not for this model: {_reason(verdict.remark)}",
        size="sm",
    )
    if not verdict.serves:
        return html.Div(box, className="method off")
    fields = forms.form(method, description, dict(state.parameters.get(method, {})), PATH)
    remark = f" Here it {verdict.remark}." if verdict.remark else ""
    about = html.P(f"{lead}{remark}", className="about")
    summary = html.Summary("About, parameters" if fields else "About")
    changed = bool(state.parameters.get(method))
    return html.Div(
        [box, html.Details([summary, about, html.Div(fields, className="fields")], open=changed)], className="method"
    )


def _reason(remark: str) -> str:
    """Shorten what the doctor says to what a card needs: the other methods stand beside it."""
    said = remark.partition("; use ")[0]
    return said.partition(": ")[2] or said


# ---------------------------------------------------------------- what happens on it


@dataclass(frozen=True)
class Asked:
    """What a person chose: model, sample, methods with their parameters, target and seed."""

    chosen: tuple[Chosen, ...]
    description: Description
    sample: str
    parameters: Mapping[str, Mapping[str, Any]]
    target: str | None
    seed: int

    def units(self, services: Services) -> list[tuple[str, str, Unit]]:
        """Give (framework, method, unit) for every map that was asked for."""
        value = services.sample(self.chosen[0], self.description, self.sample)
        target = targets.target_of(self.target, self.description)
        return [
            (c.framework, method, Unit(c.key, value, method, dict(given), target, self.seed))
            for c in self.chosen
            for method, given in self.parameters.items()
        ]


def register(app: Dash, services: Services) -> None:
    """Add the callbacks."""
    _register_inputs(app, services)
    _register_answer(app, services)
    _register_runs(app, services)


def _described(services: Services, view: Sequence[str]) -> tuple[Chosen, Description]:
    chosen = services.choose(Address(model=view[0], framework=view[1]))
    known = services.description(chosen)
    if not isinstance(known, Description):
        raise UsageError(f"{view[0]} is still being loaded: try again in a moment")
    return chosen, known


def _register_inputs(app: Dash, services: Services) -> None:
    note = (Output("explain-note", "children"), Output("explain-note", "hide"))
    give = partial(Output, "explain-sample", "data", allow_duplicate=True)

    def kept(view: list[str], make: Any) -> tuple[Any, str, bool]:
        """Keep an input that someone gave, or say why not."""
        try:
            _, description = _described(services, view)
            value = make(description.inputs)
            description.inputs.encode([value])
            return services.own.put(value), "", True
        except XaikitError as error:
            return no_update, " ".join(str(error).split()), False

    @app.callback(
        Output("explain-gallery", "children"),
        Output("explain-gallery-poll", "disabled"),
        give(),
        Input("explain-gallery-poll", "n_intervals"),
        State("explain-view", "data"),
        State("explain-sample", "data"),
        prevent_initial_call=True,
    )
    def fill(_: int, view: list[str], sample: str | None) -> Any:
        chosen, description = _described(services, view)
        gallery = services.galleries.of(chosen.name, description)
        if not gallery.ready.is_set():
            return no_update, False, no_update
        first = sample or (gallery.shown[0].id if gallery.shown else None)
        return _thumbs(gallery, first), True, first if first != sample else no_update

    @app.callback(
        give(),
        Output("explain-note", "hide", allow_duplicate=True),
        Input({"type": "explain-pick", "sample": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
    def pick(clicks: list[int]) -> Any:
        if not any(clicks) or ctx.triggered_id is None:
            return no_update, no_update
        return ctx.triggered_id["sample"], True

    @app.callback(
        Output({"type": "explain-pick", "sample": ALL}, "className"),
        Input("explain-sample", "data"),
        State({"type": "explain-pick", "sample": ALL}, "id"),
        prevent_initial_call=True,
    )
    def mark(sample: str | None, ids: list[dict[str, str]]) -> list[str]:
        return ["thumb chosen" if i["sample"] == sample else "thumb" for i in ids]

    @app.callback(
        give(),
        *(Output(o.component_id, o.component_property, allow_duplicate=True) for o in note),
        Output("explain-upload", "contents"),
        Input("explain-upload", "contents"),
        State("explain-upload", "filename"),
        State("explain-view", "data"),
        prevent_initial_call=True,
    )
    def upload(contents: str | None, filename: str | None, view: list[str]) -> Any:
        if not contents:
            return (no_update,) * 4
        name = str(filename or "the file")[:80]
        return *kept(view, lambda spec: read_upload(contents, name, spec, services.settings)), None

    @app.callback(
        give(),
        *(Output(o.component_id, o.component_property, allow_duplicate=True) for o in note),
        Input("explain-drawing", "data"),
        State("explain-view", "data"),
        prevent_initial_call=True,
    )
    def draw(pixels: list[int] | None, view: list[str]) -> Any:
        return kept(view, partial(_drawing, pixels)) if pixels else (no_update,) * 3

    @app.callback(
        give(),
        *(Output(o.component_id, o.component_property, allow_duplicate=True) for o in note),
        Input("explain-use-text", "n_clicks"),
        State("explain-text", "value"),
        State("explain-view", "data"),
        prevent_initial_call=True,
    )
    def typed(clicks: int | None, text: str | None, view: list[str]) -> Any:
        return kept(view, lambda spec: spec.display(text or "")) if clicks else (no_update,) * 3

    @app.callback(
        give(),
        *(Output(o.component_id, o.component_property, allow_duplicate=True) for o in note),
        Input("explain-use-row", "n_clicks"),
        State({"type": "explain-column", "name": ALL}, "value"),
        State({"type": "explain-column", "name": ALL}, "id"),
        State("explain-view", "data"),
        prevent_initial_call=True,
    )
    def row(clicks: int | None, values: list[Any], ids: list[dict[str, str]], view: list[str]) -> Any:
        named = {i["name"]: v for i, v in zip(ids, values, strict=True)}
        return kept(view, partial(_row, named)) if clicks else (no_update,) * 3

    app.clientside_callback(
        "function (...given) { return window.dash_clientside.xaikit.readPad(...given); }",
        Output("explain-drawing", "data"),
        Input("explain-use-drawing", "n_clicks"),
        State("explain-view", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        "function (...given) { return window.dash_clientside.xaikit.clearPad(...given); }",
        Output("explain-drawing", "data", allow_duplicate=True),
        Input("explain-clear-pad", "n_clicks"),
        prevent_initial_call=True,
    )


def _drawing(pixels: list[int], spec: Any) -> Any:
    """Turn the pad's pixels, bright ink on black, into a picture of the spec's size."""
    side = round(len(pixels) ** 0.5)
    if side * side != len(pixels) or not 8 <= side <= 512:
        raise InputError("the drawing did not arrive whole: draw it again")
    drawn = np.clip(np.asarray(pixels, np.int64), 0, 255).astype(np.uint8).reshape(side, side)
    if not drawn.any():
        raise InputError("the pad is empty: draw something first")
    return spec.display(centred(drawn, spec.shape[0])[..., None])


def centred(drawn: Any, size: int) -> Any:
    """Bring a drawing into the form that handwritten digits have: 20/28 of the side, its mass in the middle.

    `drawn` (row, column) uint8, bright ink on black; gives (size, size) uint8. LeCun, Bottou, Bengio and Haffner,
    "Gradient-Based Learning Applied to Document Recognition" (1998), section III.A.
    """
    from PIL import Image as Pillow

    rows, columns = np.flatnonzero(drawn.any(1)), np.flatnonzero(drawn.any(0))
    ink = drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    factor = size * 20 / 28 / max(ink.shape)
    height, width = (max(1, round(n * factor)) for n in ink.shape)
    small = np.asarray(Pillow.fromarray(ink).resize((width, height), Pillow.Resampling.BOX), np.float64)
    total = max(small.sum(), 1e-9)
    middle = (small.sum(1) @ np.arange(height) / total, small.sum(0) @ np.arange(width) / total)
    top, left = (int(np.clip(round((size - 1) / 2 - m), 0, size - n)) for m, n in zip(middle, small.shape, strict=True))
    out = np.zeros((size, size), np.uint8)
    out[top : top + height, left : left + width] = np.rint(small)
    return out


def _row(named: Mapping[str, Any], spec: Any) -> Any:
    """Turn the entries of the form into a row: categories by the text that stands for them."""
    row = dict(named)
    for name, column in spec.columns.items():
        if isinstance(column, Category):
            row[name] = next((v for v in column.values if str(v) == row.get(name)), row.get(name))
        elif row.get(name) in ("", None):
            raise InputError(f"column {name!r} is empty: give a number")
    return spec.display(row)


# ---------------------------------------------------------------- the answer


def _register_answer(app: Dash, services: Services) -> None:
    @app.callback(
        Output("explain-answer", "children"),
        Output("explain-predictions", "data"),
        Output("explain-answer-poll", "disabled"),
        Input("explain-sample", "data"),
        Input("explain-both", "checked"),
        Input("explain-answer-poll", "n_intervals"),
        State("explain-predictions", "data"),
        State("explain-view", "data"),
        running=[(Output("explain-answer-poll", "disabled"), True, False)],
    )
    def ask(sample: str | None, both: bool, polled: int | None, ids: list[str], view: list[str]) -> Any:
        if not sample:
            return dmc.Text("Choose or give an input.", c="dimmed", size="sm"), [], True
        try:
            chosen, description = _described(services, view)
            value = services.sample(chosen, description, sample)
            if ctx.triggered_id == "explain-answer-poll" and ids:
                jobs = [services.job(id) for id in ids]
            else:
                wanted = _frameworks(services, chosen, both)
                jobs = [services.submit(Unit(c.key, value, task="predict")) for c in wanted]
        except XaikitError as error:
            return ui.problem(error, "This input cannot be used"), [], True
        return _answer(jobs, description, value), [job.id for job in jobs], all(job.done for job in jobs)


def _frameworks(services: Services, chosen: Chosen, both: bool) -> tuple[Chosen, ...]:
    """Give the model in the frameworks that are compared, the chosen one first."""
    others = [f for f in chosen.choice.frameworks if f != chosen.framework] if both else []
    return (chosen, *(services.choose(Address(model=chosen.name, framework=f)) for f in others))


def _answer(jobs: Sequence[Job], description: Description, value: Any) -> Any:
    """Give the input as the network sees it, and what it answers in every framework."""
    said = []
    for job in jobs:
        if job.status == "done":
            said.append(_said(job.result(), len(jobs) > 1))
        elif job.done:
            said.append(ui.problem(job.error or "it was given up", "The network gave no answer"))
        else:
            said.append(ui.waiting("Asking the network …"))
    return html.Div([_seen(value, description), html.Div(said, className="said")], className="answer")


def _seen(value: Any, description: Description) -> Any:
    spec = description.inputs
    if spec.kind == "Image":
        height, width = spec.shape[:2]
        alt = f"the input, {width} × {height} pixels"
        return html.Img(src=pictures.photo(spec.display(value), spec, 168), alt=alt, className="seen")
    if spec.kind in ("Series", "Array") and np.ndim(value) <= 2:
        return html.Img(src=pictures.spark(value), alt="the input as a line", className="seen line")
    if spec.kind == "Table":
        return ui.facts([(k, f"{v:g}" if isinstance(v, float) else str(v)) for k, v in spec.display(value).items()])
    return html.Blockquote(_words(value, spec), className="seen-text")


def _said(prediction: Prediction, named: bool) -> Any:
    head = [dmc.Text(spoken(prediction.origin.framework), size="xs", c="dimmed")] if named else []
    return html.Div([*head, *_outputs(prediction)], **{"data-testid": "prediction"})


def _outputs(prediction: Prediction) -> list[Any]:
    output, spec = prediction.output, prediction.output_spec
    if isinstance(output, Mapping):
        return [_one_output(name, np.asarray(values)[0], spec[name]) for name, values in output.items()]
    return [_one_output("", np.asarray(output)[0], spec, prediction)]


def _one_output(name: str, values: Any, spec: Any, prediction: Prediction | None = None) -> Any:
    head = [dmc.Text(name, fw=600, size="sm")] if name else []
    if isinstance(spec, Classes) and values.ndim == 1:
        p = spec.probabilities(values[None])[0]
        best = np.argsort(-p, kind="stable")[:5]
        pairs = [(spec.label(int(k)), float(p[k])) for k in best]
        return html.Div([*head, ui.shares(pairs, pairs[0][0])])
    if isinstance(spec, Classes) and values.ndim == 2:
        text = "".join(spec.label(int(k)) for k in values.argmax(-1))
        return html.Div([*head, dmc.Code(text, block=True)])
    if isinstance(spec, Masks):
        share = np.bincount(values.argmax(-1).ravel(), minlength=values.shape[-1]) / values[..., 0].size
        return html.Div([*head, ui.shares([(spec.label(k), float(s)) for k, s in enumerate(share)])])
    if isinstance(spec, Reconstruction) and prediction is not None:
        return _reconstruction(prediction, values, spec)
    names = [str(n) for n in getattr(spec, "names", range(values.size))]
    flat = values.ravel()[: len(names)]
    return html.Div([*head, ui.facts([(n, number(float(v))) for n, v in zip(names, flat, strict=False)][:12])])


def _reconstruction(prediction: Prediction, values: Any, spec: Reconstruction) -> Any:
    """Give what an autoencoder makes of the input, with its error."""
    gap = values.astype(np.float64) - np.asarray(prediction.x)[0]
    error = float(np.mean(gap**2) if spec.error == "mse" else np.mean(np.abs(gap)))
    own = prediction.input_spec
    decoded = own.decode(values[None])[0]
    if own.kind == "Image":
        shown_ = np.clip(decoded, 0, 1 / own.scale) if _bytes(own) else decoded
        drawn = html.Img(src=pictures.photo(shown_, own, 168), alt="the reconstruction", className="seen")
    else:
        drawn = html.Img(src=pictures.spark(decoded), alt="the reconstruction as a line", className="seen line")
    return html.Div([drawn, ui.facts([(f"reconstruction error ({spec.error})", number(error))])])


# ---------------------------------------------------------------- runs


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
    )
    results = (
        Output("explain-running", "children"),
        Output("explain-shown", "children"),
        Output("explain-jobs", "data"),
        Output("explain-poll", "disabled"),
        Output("explain-said", "children"),
        Output("explain-for", "data"),
    )

    def asked(given: Sequence[Any]) -> Asked:
        view, sample, checked, method_ids, values, ticks, ids, target, seed, both = given
        chosen, description = _described(services, view)
        entries = _entries(values, ticks, ids)
        wanted = [i["method"] for c, i in zip(checked, method_ids, strict=True) if c]
        parameters = {m: forms.filled(m, entries.get(m, {})) for m in wanted}
        return Asked(
            _frameworks(services, chosen, bool(both)), description, sample or "", parameters, target, int(seed or 0)
        )

    # One callback for all that changes the results: of two answers under way Dash takes the later, so that nothing of
    # an earlier run comes back over a later one. Polling rests while an answer is under way.
    @app.callback(
        *results,
        Input("explain-run", "n_clicks"),
        Input("explain-poll", "n_intervals"),
        Input({"type": "explain-cancel", "job": ALL}, "n_clicks"),
        Input("explain-scale", "checked"),
        State("explain-jobs", "data"),
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
        search: str | None,
        *given: Any,
    ) -> Any:
        cause = ctx.triggered_id
        if cause == "explain-run" and clicks:
            return start(jobs, given, one_scale)
        if cause is None or not jobs:
            return restore(search, given, one_scale)
        if isinstance(cause, dict) and any(cancels):
            _let_go(services, cause["job"])
        return *_progress(services, jobs, one_scale, changed=cause == "explain-scale"), no_update

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
        return [given[1], given[-3], given[-2]]

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
            "scale": None if one_scale else "own",
        }


def _entries(values: list[Any], ticks: list[Any], ids: list[dict[str, str]]) -> dict[str, dict[str, Any]]:
    """Gather the entries of the forms by method; checkboxes have no value, the others no tick."""
    found: dict[str, dict[str, Any]] = {}
    for value, tick, i in zip(values, ticks, ids, strict=True):
        boolean = methods[i["method"]].parameters()[i["name"]].type == "bool"
        found.setdefault(i["method"], {})[i["name"]] = bool(tick) if boolean else value
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
    maps = shown(found, one_scale) if found else []
    return [*wrong, *maps]
