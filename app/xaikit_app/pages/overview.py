"""Overview: what a model is, how well it does, what goes in and comes out, its layers, and what can explain it."""

from collections.abc import Callable, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, dcc, html

from xaikit import zoo
from xaikit.figures import (
    Measures,
    about_lines,
    error_curve,
    file_lines,
    measures,
    panels,
    percent,
    recipe_lines,
    spec_words,
    spoken,
    training_lines,
)
from xaikit.graph import Layer
from xaikit.inputs import specs_to_dict
from xaikit.training_curves import curves
from xaikit.zoo import Card
from xaikit.zoo.networks import networks
from xaikit_app import ui
from xaikit_app.graphs import architecture_of, drawn, kind_words
from xaikit_app.pages import View
from xaikit_app.pages.layers import shape_of
from xaikit_app.pictures import panel_body
from xaikit_app.services import Services
from xaikit_app.work.describe import Description

PATH, TITLE, ICON, ORDER = "overview", "Overview", "info", 10
GROUP = ""
MOST_CLASSES = 20
"""Up to so many classes, mistakes are shown as a table."""


def lacks(description: Description) -> str | None:
    """Say why a model has no overview: every model has one."""
    return None


def layout(view: View) -> Any:
    """Give the page."""
    card = card_of(view)
    known = view.description
    view.services.galleries.of(view.chosen.name, known)  # fills itself meanwhile, for the pages after this one
    title = card.title if card is not None else view.chosen.choice.title
    lead = _sentence(card.task) if card is not None else "Your own model: what is known of it."
    start = dmc.Group([_start(view, "explain", "Explain an answer"), _start(view, "layers", "Look inside")], gap="sm")
    results = _results(card) if card is not None and card.trained else []
    return ui.page(
        title,
        lead,
        start,
        html.Div(
            [
                *([html.Div([*results, *_limits(card)], className="column")] if results else []),
                html.Div(
                    [_about(card, known), *_training(card), *([] if results else _limits(card))], className="column"
                ),
            ],
            className="cards" if results else "cards alone",
        ),
        *_curves(card),
        *_graph(view, card),
        *_layers(view),
        _doctor(known),
    )


def register(app: Dash, services: Services) -> None:
    """Add the callbacks: there are none, the page is made from what is known."""


def card_of(view: View) -> Card | None:
    """Give the card of a network of the zoo; None for any other model."""
    recipes = view.chosen.choice.recipes.values()
    if view.chosen.choice.model is not None or any(recipe.is_file for recipe in recipes):
        return None
    return zoo.card(view.chosen.name)


def _start(view: View, page: str, words: str) -> Any:
    state = view.state
    href = type(state)(page, state.model, state.framework, state.sample).href
    return dcc.Link(words, href=href, className="start")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


# ---------------------------------------------------------------- results


def _results(card: Card) -> list[Any]:
    assert card.trained is not None
    return [_result(found) for found in measures(card.trained.metrics)]


def _result(found: Measures) -> Any:
    on = f"{found.samples:,} test samples" if found.samples else "the test samples"
    body: list[Any] = [dmc.Text(f"On {on}, which it never saw in training.", size="sm", c="dimmed")]
    body.append(ui.facts(found.rows))
    if found.each:
        body.append(ui.facts([(f"IoU of {name}", f"{value:.4g}") for name, value in found.each.items()]))
    if found.confusion:
        body.append(confusion(found))
    errors = error_curve(found)
    if errors is not None:
        body += [dmc.Text(_below(errors.title, errors.subtitle), size="sm", fw=600), panel_body(errors)]
    return ui.card(dmc.Stack(body, gap="sm"), title=found.output or "Test results", className="wide")


def _below(title: str, subtitle: str) -> str:
    return f"{title}, {subtitle}" if subtitle else title


def confusion(found: Measures, way: Callable[[str, str], str] | None = None) -> Any:
    """Give the table of mistakes: a row per true class, a column per answer; colour grows with the share's root.

    `way` gives the address of the samples of a true class with an answer; their number is then a link to them.
    """
    if len(found.classes) > MOST_CLASSES:
        return dmc.Text(f"{len(found.classes)} classes: too many for a table of mistakes here.", size="sm", c="dimmed")
    head = html.Thead(
        [
            html.Tr([html.Td(""), html.Th("Answer", colSpan=len(found.classes), scope="colgroup")]),
            html.Tr([html.Th("Truth", scope="col"), *(html.Th(name, scope="col") for name in found.classes)]),
        ]
    )
    rows = [
        html.Tr(
            [
                html.Th(name, scope="row"),
                *(_cell(_count(n, name, found.classes[k], way), sum(row), i == k, n) for k, n in enumerate(row)),
            ]
        )
        for i, (name, row) in enumerate(zip(found.classes, found.confusion, strict=False))
    ]
    words = "How often each class was answered; a stronger colour is a larger share of the class."
    table = html.Table([head, html.Tbody(rows)], className="confusion")
    box = html.Div(table, className="scrolls", tabIndex=0, role="group", **{"aria-label": "Table of answers by class"})
    return html.Div([dmc.Text(words, size="sm", c="dimmed", mb=4), box])


def _count(count: int, truth: str, answer: str, way: Callable[[str, str], str] | None) -> Any:
    if way is None or not count:
        return f"{count:,}"
    said = html.Span(f" of class {truth} answered {answer}", className="unseen")
    return dcc.Link([f"{count:,}", said], href=way(truth, answer))


def _cell(shown: Any, total: int, right: bool, count: int) -> Any:
    share = count / max(total, 1)
    strength = {"--share": f"{round(70 * share**0.5)}%"}
    kind = "right" if right else "wrong"
    return html.Td(shown, title=f"{percent(share)} of this class", style=strength, className=kind)


# ---------------------------------------------------------------- words


def _about(card: Card | None, known: Description) -> Any:
    facts: list[tuple[str, Any]] = [*about_lines(card.to_dict()).items()] if card is not None else []
    if card is None:
        facts = [
            ("Input", _sentence(spec_words(specs_to_dict(known.inputs)))),
            ("Output", _sentence(spec_words(specs_to_dict(known.outputs)))),
            ("Parameters", f"{known.parameters:,}"),
        ]
    facts += [
        ("Framework", f"{spoken(known.framework)}, on {known.device}"),
        ("Layout", (known.layout or "as given").replace("-", " ")),
    ]
    if card is None or card.trained is None:
        facts.append(("Fingerprint", known.fingerprint or "none: it is a function whose weights are not known"))
    return ui.card(ui.facts(facts), title="Network and data" if card is not None else "What is known")


def _training(card: Card | None) -> list[Any]:
    if card is None or card.trained is None:
        return []
    stored = card.to_dict()
    facts = ui.facts([*training_lines(stored["trained"]).items(), *file_lines(stored["trained"]).items()])
    recipe = html.Ul([html.Li(line) for line in recipe_lines(stored["recipe"])], className="plain")
    return [ui.card(facts, html.Details([html.Summary("Recipe"), recipe]), title="Training")]


def _limits(card: Card | None) -> list[Any]:
    if card is None or not card.limits:
        return []
    return [ui.card(html.Ul([html.Li(line) for line in card.limits], className="plain"), title="Limits")]


def _curves(card: Card | None) -> list[Any]:
    if card is None or card.trained is None or not card.trained.curve:
        return []
    drawings = [
        html.Figure([html.Figcaption(_below(panel.title, panel.subtitle)), panel_body(panel)])
        for panel in panels(curves(card)).panels
    ]
    return [ui.card(html.Div(drawings, className="curves"), title="Training curves")]


# ---------------------------------------------------------------- layers


def _graph(view: View, card: Card | None) -> list[Any]:
    known = view.description
    architecture = networks[view.chosen.name].architecture if card is not None else architecture_of(known)
    if architecture is None:
        return []
    words = f"The layers of {view.chosen.name}, from the input at the top; repeated blocks are drawn once."
    return [
        ui.card(
            dmc.Text(f"{words} The same is said in the table below.", size="sm", c="dimmed"),
            html.Div(
                drawn(architecture, words), className="scrolls", tabIndex=0, role="group", **{"aria-label": "Graph"}
            ),
            title="Graph",
        )
    ]


def _layers(view: View) -> list[Any]:
    graph = view.description.graph
    if not graph:
        return [ui.card(ui.hint("It is a function that gives answers, and shows no layers."), title="Layers")]
    total = view.description.parameters
    head = html.Thead(html.Tr([html.Th(n, scope="col") for n in ("Layer", "Kind", "Gives", "Parameters", "Share")]))
    table = html.Table([head, html.Tbody([_layer_row(view, la, total) for la in graph])], className="layer-table")
    box = html.Div(table, className="scrolls tall", tabIndex=0, role="group", **{"aria-label": "Table of layers"})
    return [ui.card(box, title=f"{len(graph)} layers, {total:,} parameters")]


def _layer_row(view: View, layer: Layer, total: int) -> Any:
    state = view.state
    href = type(state)("layers", state.model, state.framework, state.sample, layer=layer.name).href
    share = percent(layer.parameters / total) if total and layer.parameters else "–"
    return html.Tr(
        [
            html.Th(dcc.Link(layer.name, href=href), scope="row"),
            html.Td(kind_words(layer.kind)),
            html.Td(shape_of(layer)),
            html.Td(f"{layer.parameters:,}" if layer.parameters else "–", className="count"),
            html.Td(share, className="count"),
        ]
    )


# ---------------------------------------------------------------- the doctor


def _doctor(known: Description) -> Any:
    serving = [v for v in known.methods if v.serves]
    rows = [_verdict(v.method, v.serves, v.remark) for v in (*serving, *(v for v in known.methods if not v.serves))]
    found = html.Table(html.Tbody(rows), className="doctor")
    said = f"{len(serving)} of {len(known.methods)} methods can explain it"
    return ui.card(html.Details([html.Summary(said), found], id="overview-doctor"), title="Doctor")


def _verdict(method: str, serves: bool, remark: str) -> Any:
    badge = dmc.Badge("serves" if serves else "does not", color="teal" if serves else "gray", variant="light")
    return html.Tr([html.Th(spoken(method), scope="row"), html.Td(badge), html.Td(remark)])


__all__: Sequence[str] = ["confusion", "layout", "register"]
