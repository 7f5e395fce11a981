"""Inputs that are changed on the page What-if and kept as inputs of one's own: pictures, texts and series."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import Dash, Input, Output, State, dcc, html, no_update

from xaikit.arrays import Array
from xaikit.errors import InputError, XaikitError
from xaikit.figures import BarPanel, number
from xaikit.jobs import Unit
from xaikit.results import Prediction
from xaikit_app import pictures, thumbs, tiles, ui
from xaikit_app.edits import GRID, PICTURE_FILLS, SERIES_FILLS, brushed, flattened
from xaikit_app.exhibits import exhibit
from xaikit_app.pages import View
from xaikit_app.parts import Part
from xaikit_app.services import Services
from xaikit_app.snippets import snippet
from xaikit_app.work.data import names_of, output_of, scored

FROM = "from"
"""The entry of an address that names the input which the present one was made from."""
LARGEST = 6
WORD = re.compile(r"\S+")
MOST_WORDS = 600
SHOWN = 320


def editor(view: View, value: Any) -> Any:
    """Give the means to change an input of the model's kind."""
    kind = view.description.kind
    made = {"Image": _brush, "Text": _words}.get(kind, _span)
    if kind not in ("Image", "Text") and np.ndim(value) < 2:
        return ui.hint("Its input is one long list of numbers without an order in time: there is no span to make flat.")
    return dmc.Stack([made(view, value), html.Div(id="what-if-note"), _ways(view)], gap="sm")


def _ways(view: View) -> Any:
    """Give the links back to the start and to other pages."""
    start = view.state.more.get(FROM)
    rest = {k: v for k, v in view.state.more.items() if k != FROM}
    links = [dcc.Link("Explain it as it is now", href=view.state.to("explain").href, className="start")]
    if start:
        links += [
            dcc.Link("Back to the start", href=view.state.at(sample=start, more=rest).href, className="start"),
            dcc.Link("Compare with this from now on", href=view.state.at(more=rest).href, className="start"),
        ]
    return dmc.Group(links, gap="xs")


# ---------------------------------------------------------------- the means to change it


def _brush(view: View, value: Any) -> Any:
    spec = view.description.inputs
    shown = spec.display(value)
    height, width = np.shape(shown)[:2]
    canvas = html.Canvas(
        id="what-if-brush",
        width=SHOWN,
        height=max(1, round(SHOWN * height / width)),
        className="brush-pad",
        **{"data-rows": min(GRID, height), "data-columns": min(GRID, width), "data-size": 12, "aria-hidden": "true"},
    )
    box = [
        dmc.NumberInput(id=f"what-if-{name}", label=f"{name} (%)", value=start, min=0, max=100, size="xs", w=80)
        for name, start in (("left", 25), ("top", 25), ("width", 25), ("height", 25))
    ]
    by_box = dmc.Group(
        [*box, dmc.Button("Add the box", id="what-if-box", size="xs", variant="default")], gap="xs", align="end"
    )
    return dmc.Stack(
        [
            dmc.Text("Draw over what is to be put away.", size="sm"),
            html.Div([html.Img(src=pictures.photo(shown, spec, SHOWN), alt="the input"), canvas], className="brush"),
            dmc.Group(
                [
                    dmc.NumberInput(
                        id="what-if-size", label="Brush (% of the width)", value=12, min=1, max=60, size="xs", w=150
                    ),
                    _fill_choice(PICTURE_FILLS),
                ],
                gap="sm",
                align="end",
            ),
            html.Details([html.Summary("A box by numbers"), by_box], className="numbers"),
            dmc.Group(
                [
                    dmc.Button("Replace the region", id="what-if-apply", size="sm", n_clicks=0),
                    dmc.Button("Clear", id="what-if-clear", size="sm", variant="default", n_clicks=0),
                ],
                gap="xs",
            ),
            dcc.Store(id="what-if-region"),
        ],
        gap="xs",
    )


def _fill_choice(fills: Mapping[str, str]) -> Any:
    data = [{"value": k, "label": v} for k, v in fills.items()]
    return dmc.Select(
        id="what-if-fill", label="Put there", data=data, value=next(iter(fills)), allowDeselect=False, size="xs", w=170
    )


def _words(view: View, value: Any) -> Any:
    text = str(value)
    words = WORD.findall(text)[:MOST_WORDS]
    buttons = [html.Button(word, type="button", **{"aria-pressed": "false"}) for word in words]
    left = (
        f" The first {MOST_WORDS} words; change the others in the text." if len(WORD.findall(text)) > MOST_WORDS else ""
    )
    return dmc.Stack(
        [
            dmc.Text(f"Press words to leave them out.{left}", size="sm"),
            html.Div(buttons, id="what-if-words", className="word-buttons"),
            dmc.Button("Leave them out", id="what-if-leave", size="sm", w="fit-content", n_clicks=0),
            dmc.Textarea(
                id="what-if-text", label="Or change the text", value=text, autosize=True, minRows=3, maxRows=10
            ),
            dmc.Button("Use this text", id="what-if-use", size="sm", w="fit-content", variant="default", n_clicks=0),
            dcc.Store(id="what-if-out"),
        ],
        gap="xs",
    )


def _span(view: View, value: Any) -> Any:
    steps = len(value)
    names = ["all", *map(str, range(np.shape(value)[1]))]
    channel = dmc.Select(
        id="what-if-channel", label="Channel", data=names, value="all", allowDeselect=False, size="xs", w=110
    )
    return dmc.Stack(
        [
            html.Img(src=pictures.spark(np.squeeze(value)), alt="the input as a line", className="span-line"),
            dmc.Text("Steps that are made flat", size="sm", id="what-if-span-name"),
            dmc.RangeSlider(
                id="what-if-span", min=0, max=steps - 1, step=1, minRange=0, value=[steps // 3, steps // 2], mb="md",
                marks=[{"value": k, "label": str(k)} for k in (0, steps // 2, steps - 1)],
                thumbFromLabel="first step", thumbToLabel="last step",
            ),
            dmc.Group([_fill_choice(SERIES_FILLS), channel], gap="sm"),
            dmc.Button("Make it flat", id="what-if-flat", size="sm", w="fit-content", n_clicks=0),
        ],
        gap="xs",
    )  # fmt: skip


# ---------------------------------------------------------------- what is asked and shown


def parts(view: View, value: Any) -> list[Part]:
    """Give the part with the answers before and after."""
    start = view.state.more.get(FROM)
    before = view.services.sample(view.chosen, view.description, start) if start else None
    samples = [value] if before is None else [before, value]
    unit = Unit(view.chosen.key, samples, task="predict")
    code = snippet(view, "print(model.run(model.inputs.encode([x])).output)", sample=thumbs.current(view))
    return [Part("answers", unit, partial(_shown, view), "Asking the network", code=code)]


def _shown(view: View, prediction: Prediction) -> Any:
    name, spec = output_of(prediction.output_spec)
    output = prediction.output[name] if isinstance(prediction.output, Mapping) else prediction.output
    found, texts = scored(spec, np.asarray(output), np.asarray(prediction.x))
    names = ("mean probability",) if texts else names_of(spec)
    if len(found) == 1:
        hint = dmc.Text("Change it, and both answers stand here.", size="sm", c="dimmed")
        return dmc.Stack([_one(names, found[0], texts, spec.kind == "Classes" or bool(texts)), hint], gap="sm")
    return dmc.Stack(
        [_seen(view, prediction), _both(names, found[0], found[1], texts, spec.kind == "Classes" and not texts)],
        gap="md",
    )


def _one(names: tuple[str, ...], values: Array, texts: list[str], shares: bool) -> Any:
    order = np.argsort(-values, kind="stable")[:LARGEST]
    said = [dmc.Code(texts[0], block=True)] if texts else []
    pairs = [(names[k], float(values[k])) for k in order]
    shown = ui.shares(pairs) if shares else ui.facts([(name, number(value)) for name, value in pairs])
    return html.Div([*said, shown])


def _both(names: tuple[str, ...], before: Array, after: Array, texts: list[str], chosen: bool) -> Any:
    """Give two answers side by side, the largest change in words, and the changes as bars."""
    gap = after - before
    first = int(before.argmax()) if len(before) > 1 else 0
    order = np.argsort(-np.maximum(np.abs(before), np.abs(after)), kind="stable")[:LARGEST]
    old, new = number(float(before[first])), number(float(after[first]))
    words = f"{names[first]}: from {old} to {new}, a change of {signed(gap[first])}."
    if chosen and int(after.argmax()) != first:
        words += f" The answer is now {names[int(after.argmax())]}."
    rows = [
        html.Tr(
            [
                html.Th(names[k], scope="row"),
                *(html.Td(number(float(v[k]))) for v in (before, after)),
                html.Td(signed(gap[k])),
            ]
        )
        for k in order
    ]
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in ("Output", "Before", "After", "Change")]))
    table = html.Table([head, html.Tbody(rows)], className="plain-table")
    panel = BarPanel(
        title="Change of the answer",
        labels=tuple(names[k] for k in order),
        values=gap[order].astype(float),
        alt=words,
    )
    said = [dmc.Code(f"{texts[0]}\n{texts[1]}", block=True)] if texts else []
    return dmc.Stack(
        [
            html.P(words, className="said-change", **{"data-testid": "change"}),
            *said,
            html.Div(table, className="scrolls"),
            exhibit(panel),
        ],
        gap="sm",
    )


def signed(value: float) -> str:
    """Write a change with its sign."""
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{number(abs(float(value)))}"


def _seen(view: View, prediction: Prediction) -> Any:
    """Give the input before and after, and where they differ."""
    spec = view.description.inputs
    before, after = prediction.display[0], prediction.display[1]
    if spec.kind == "Image":
        gap = np.abs(np.asarray(after, np.float64) - np.asarray(before, np.float64)).mean(-1)
        scale = tiles.scale_of([gap], robust=False)
        shown = [
            ("before", pictures.photo(before, spec, 150)),
            ("after", pictures.photo(after, spec, 150)),
            ("difference", tiles.map_url(gap, scale)),
        ]
        return html.Div([_tile(name, source) for name, source in shown], className="before-after")
    if spec.kind == "Text":
        kept = set(WORD.findall(str(after)))
        pieces = [w if w.strip() in kept or not w.strip() else html.Del(w) for w in re.findall(r"\S+|\s+", str(before))]
        return ui.quoted(pieces)
    shown = [("before", pictures.spark(np.squeeze(before))), ("after", pictures.spark(np.squeeze(after)))]
    return html.Div([_tile(name, source) for name, source in shown], className="before-after")


def _tile(name: str, source: str) -> Any:
    return html.Figure([html.Img(src=source, alt=f"the input {name}"), html.Figcaption(name)])


# ---------------------------------------------------------------- callbacks


def register(app: Dash, services: Services, view_of: Callable[[str], View]) -> None:
    """Add the callbacks that turn a change into an input of one's own."""
    _register_pictures(app)
    took = (Output("url", "href", allow_duplicate=True), Output("what-if-note", "children", allow_duplicate=True))

    def changed(href: str, make: Callable[[View, Any], Any]) -> Any:
        """Keep a changed input, and give the address that shows it beside the one it was made from."""
        view = view_of(href)
        id = thumbs.current(view)
        try:
            value, why = thumbs.value_of(view)
            if value is None:
                raise InputError(why or "there is no input to change")
            new = make(view, value)
            view.description.inputs.encode([new])
            kept = services.own.put(new)
        except XaikitError as error:
            return no_update, ui.problem(error, "This change cannot be made")
        more = {**view.state.more, FROM: view.state.more.get(FROM, id or "")}
        return view.state.at(sample=kept, more=more).href, None

    @app.callback(*took, Input("what-if-region", "data"), State("what-if-view", "data"), prevent_initial_call=True)
    def brush(region: dict[str, Any] | None, href: str) -> Any:
        if not region:
            return no_update, no_update
        size = (int(region["rows"]), int(region["columns"]))
        return changed(
            href,
            lambda view, value: brushed(
                np.asarray(view.description.inputs.display(value)), str(region["cells"]), size, str(region["fill"])
            ),
        )

    @app.callback(*took, Input("what-if-out", "data"), State("what-if-view", "data"), prevent_initial_call=True)
    def leave(told: dict[str, Any] | None, href: str) -> Any:
        return (
            changed(href, lambda _, value: without_words(str(value), told["out"])) if told else (no_update, no_update)
        )

    @app.callback(
        *took, Input("what-if-use", "n_clicks"), State("what-if-text", "value"), State("what-if-view", "data"),
        prevent_initial_call=True,
    )  # fmt: skip
    def use(clicks: int | None, text: str | None, href: str) -> Any:
        return changed(href, lambda _, __: str(text or "")[:20_000]) if clicks else (no_update, no_update)

    @app.callback(
        *took,
        Input("what-if-flat", "n_clicks"),
        State("what-if-span", "value"),
        State("what-if-fill", "value"),
        State("what-if-channel", "value"),
        State("what-if-view", "data"),
        prevent_initial_call=True,
    )
    def flat(clicks: int | None, span: list[int], fill: str, channel: str, href: str) -> Any:
        if not clicks:
            return no_update, no_update
        at = None if channel == "all" else int(channel)
        return changed(href, lambda _, value: flattened(np.asarray(value), int(span[0]), int(span[1]), fill, at))


def _register_pictures(app: Dash) -> None:
    calls = (
        ("size", [Input("what-if-size", "value")]),
        ("clear", [Input("what-if-clear", "n_clicks")]),
        (
            "box",
            [
                Input("what-if-box", "n_clicks"),
                *(State(f"what-if-{n}", "value") for n in ("left", "top", "width", "height")),
            ],
        ),
    )
    for name, given in calls:
        app.clientside_callback(
            f"function (...given) {{ return window.dash_clientside.xaikitWhatIf.{name}(...given); }}",
            Output("what-if-brush", "title", allow_duplicate=True),
            *given,
            prevent_initial_call=True,
        )
    app.clientside_callback(
        "function (...given) { return window.dash_clientside.xaikitWhatIf.region(...given); }",
        Output("what-if-region", "data"),
        Input("what-if-apply", "n_clicks"),
        State("what-if-fill", "value"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        "function (...given) { return window.dash_clientside.xaikitWhatIf.words(...given); }",
        Output("what-if-out", "data"),
        Input("what-if-leave", "n_clicks"),
        prevent_initial_call=True,
    )


def without_words(text: str, out: list[int]) -> str:
    """Leave words out of a text by their numbers. Raises InputError where none, or all, are chosen."""
    gone = {int(k) for k in out}
    if not gone:
        raise InputError("no word is chosen yet: press those that are to be left out")
    kept = [word for k, word in enumerate(WORD.findall(text)) if k not in gone]
    if not kept:
        raise InputError("at least one word has to stay")
    return " ".join(kept)


__all__ = ["editor", "parts", "register", "signed", "without_words"]
