"""Anomalies: what an autoencoder does not give back, where, and whether that is more than normal samples show."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import Dash, Input, Output, State, dcc, html, no_update

from xaikit.anomaly import RULES
from xaikit.arrays import Array
from xaikit.errors import InputError, ParameterError, UnknownName
from xaikit.figures import (
    Badge,
    CurvePanel,
    ImagePanel,
    Legend,
    LinePanel,
    MapPanel,
    Panel,
    Trace,
    number,
    panels,
    percent,
    seconds,
    spoken,
)
from xaikit.inputs import Reconstruction, Series
from xaikit.jobs import Unit
from xaikit.results import AnomalyScores
from xaikit_app import thumbs, tiles, ui
from xaikit_app.normals import read_normal
from xaikit_app.own import Own
from xaikit_app.pages import View
from xaikit_app.parts import Part, fill
from xaikit_app.parts import register as register_parts
from xaikit_app.pictures import colour_bar, panel_body
from xaikit_app.services import Services
from xaikit_app.state import read
from xaikit_app.tasks import Description

PATH, TITLE, ICON, ORDER = "anomalies", "Anomalies", "pulse", 40
LEVELS = (0.9, 0.95, 0.99, 0.995, 0.999)
LARGEST = 10
"""How many of the largest contributions are listed."""
PATIENCE = 1.0
"""Seconds that a page waits for the normal samples before it is shown without."""


def lacks(description: Description) -> str | None:
    """Say why a model cannot find anomalies, or None."""
    if description.kind == "several" or not isinstance(description.outputs, Reconstruction):
        kind = "several things" if isinstance(description.outputs, dict) else type(description.outputs).__name__.lower()
        return f"it gives {kind}, not its input again; anomalies are what an autoencoder cannot give back"
    return None


def layout(view: View) -> Any:
    """Give the page."""
    rule, level = _asked(view)
    lead = "An autoencoder gives back what it has learned to expect. What comes back badly is unusual."
    places, machinery = fill(PATH, view, parts(view))
    _, why = thumbs.value_of(view)
    found = places.get("detail") or ui.hint(f"Nothing to score: {why}")
    return ui.page(
        "Anomalies",
        lead,
        html.Div(
            [
                html.Div(
                    [
                        ui.card(places.get("gallery") or thumbs.chooser(PATH, view), title="Sample"),
                        ui.card(_controls(view, rule, level), title="Threshold"),
                    ],
                    className="column",
                ),
                html.Section(found, **{"aria-label": "Score"}),
            ],
            className="two",
        ),
        html.Div(machinery),
    )


def register(app: Dash, services: Services) -> None:
    """Add the callbacks."""
    register_parts(app, services, PATH, parts, View)
    thumbs.register(app, services, PATH)
    place = (State("url", "pathname"), State("url", "search"))

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Input("anomalies-rule", "value"),
        Input("anomalies-level", "value"),
        *place,
        prevent_initial_call=True,
    )
    def choose(rule: str, level: str, path: str, search: str | None) -> Any:
        state = read(path, search)
        href = state.at(more={**state.more, "rule": rule, "level": level}).href
        return no_update if (rule, float(level)) == _rule_of(state.more) else href

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Input("anomalies-normal", "contents"),
        State("anomalies-normal", "filename"),
        *place,
        prevent_initial_call=True,
    )
    def learn(contents: str | None, filename: str | None, path: str, search: str | None) -> Any:
        if not contents:
            return no_update
        state = read(path, search)
        known = services.description(services.choose(state))
        if not isinstance(known, Description):
            return no_update
        normal = read_normal(contents, filename or "the upload", known.inputs, services.settings)
        return state.at(more={**state.more, "normal": services.own.put(normal)}).href


# ---------------------------------------------------------------- what is asked


def _rule_of(more: Any) -> tuple[str, float]:
    try:
        return more.get("rule", "quantile"), float(more.get("level", 0.99))
    except ValueError:
        raise ParameterError(f"level is a number between 0 and 1, not {more['level']!r}") from None


def _asked(view: View) -> tuple[str, float]:
    """Give rule and level of a view. Raises UnknownName, ParameterError."""
    rule, level = _rule_of(view.state.more)
    if rule not in RULES:
        raise UnknownName("rule", rule, RULES)
    if not 0 < level < 1:
        raise ParameterError(f"level is a share between 0 and 1, not {level:g}")
    return rule, level


def _normal(view: View) -> tuple[Array | None, str, bool]:
    """Give the normal samples with a word on them, and whether they are still on their way."""
    id = view.state.more.get("normal")
    if id is not None:
        if not id.startswith(Own.PREFIX):
            raise InputError("this link names normal samples that are not kept here; give them again")
        own = np.asarray(view.services.own.get(id))
        return own, f"{len(own):,} normal samples of your own", False
    if view.chosen.choice.model is not None:
        return None, "there are none for a model of your own", False
    found = view.services.normals.of(view.chosen.name)
    ready = found.ready.wait(PATIENCE)
    return found.samples, found.note, not ready


def parts(view: View) -> list[Part]:
    """Give the parts of the page: the scores of the gallery, and the chosen sample in detail."""
    rule, level = _asked(view)
    normal, _, coming = _normal(view)
    value, _ = thumbs.value_of(view)
    gallery = thumbs.shelf(view)
    samples = list(gallery.shown) if gallery is not None else []
    words = "Reading the normal samples" if coming else "Running the network on the normal samples"
    found = []
    if samples and (normal is not None or coming):
        ask = None if coming else _unit(view, [s.value for s in samples], normal, rule, level)
        ids = [s.id for s in samples]
        plain = thumbs.chooser(PATH, view)
        found.append(Part("gallery", ask, lambda r: _scored(view, ids, r), words, plain))
    if value is not None:
        ask = None if coming else _unit(view, [value], normal, rule, level)
        found.append(Part("detail", ask, lambda r: detail(view, r, normal is not None), words))
    return found


def _unit(view: View, samples: list[Any], normal: Array | None, rule: str, level: float) -> Unit:
    given = {"samples": samples, "normal": normal}
    return Unit(view.chosen.key, given, parameters={"rule": rule, "level": level}, task="app-anomaly")


# ---------------------------------------------------------------- what is shown


def _scored(view: View, ids: Sequence[str], scores: AnomalyScores) -> Any:
    notes = {id: _note(float(v), bool(f)) for id, v, f in zip(ids, scores.values, scores.flags, strict=True)}
    flagged = int(scores.flags.sum())
    return html.Div(
        [
            thumbs.chooser(PATH, view, notes),
            dmc.Text(f"{flagged} of {len(ids)} are flagged as anomalous.", size="sm", mt="xs"),
        ]
    )


def _note(score: float, flagged: bool) -> Any:
    mark = [html.Span("anomalous", className="flag")] if flagged else []
    return html.Span([html.Span(number(score), className="quiet"), *mark], className="thumb-note")


def detail(view: View, scores: AnomalyScores, known: bool) -> Any:
    """Give one sample: the verdict, and its panels; `known` says that there were normal samples to compare with."""
    figure = panels(scores)
    shown = [p for p in figure.panels if known or p.badge is None]
    if isinstance(scores.input_spec, Series):
        shown.insert(1, difference_over_time(scores))
    pictures = [p for p in shown if isinstance(p, ImagePanel | MapPanel)]
    drawn = [p for p in shown if not isinstance(p, ImagePanel | MapPanel)]
    diverging = [p.scale for p in shown if isinstance(p, MapPanel) and p.scale.kind == "diverging"]
    key = _key(figure.legend, diverging[0]) if diverging and figure.legend is not None else None
    return dmc.Stack(
        [
            _verdict(figure.panels, scores) if known else _unjudged(scores),
            key,
            html.Div([_panel(p) for p in pictures], className="panels pictures") if pictures else None,
            html.Div(
                [*(_panel(p) for p in drawn), ui.card(*_evidence(scores, figure.notes, known), title="Evidence")],
                className="panels",
            ),
            _largest(scores),
        ],
        gap="md",
    )


def _verdict(drawn: Any, scores: AnomalyScores) -> Any:
    badge = next((p.badge for p in drawn if p.badge is not None), Badge("none", ""))
    flagged = bool(scores.flags[0])
    said = badge.text.partition(": ")[2] or badge.text
    alert = dmc.Alert(
        said[:1].upper() + said[1:] + ".",
        title=f"{'Anomalous' if flagged else 'Normal'}: score {number(float(scores.values[0]))}, "
        f"threshold {number(scores.threshold)}",
        color="red" if flagged else "teal",
        variant="light",
        className="verdict-box anomalous" if flagged else "verdict-box normal",
    )
    return html.Div(alert, role="status", **{"data-testid": "verdict"})


def _unjudged(scores: AnomalyScores) -> Any:
    return ui.hint(
        "There are no normal samples to compare it with: give some, as one .npy array, and it gets a threshold.",
        f"Score {number(float(scores.values[0]))}",
    )


def _key(legend: Legend, scale: Any) -> Any:
    return colour_bar(scale, legend.low, legend.high)


def _panel(panel: Panel) -> Any:
    body = [
        dmc.Text(panel.title, fw=600),
        dmc.Text(panel.subtitle, size="xs", c="dimmed", mb=6) if panel.subtitle else None,
        panel_body(replace(panel, title="", subtitle="", facts=(), badge=None)),
        *(dmc.Text(fact, size="xs", c="dimmed", mt=4) for fact in panel.facts),
    ]
    return html.Div(
        dmc.Paper(body, withBorder=True, p="sm", radius="md"),
        className="explained whole" if isinstance(panel, LinePanel) else "explained",
        role="group",
        **{"aria-label": panel.title},
    )


def difference_over_time(scores: AnomalyScores) -> CurvePanel:
    """Give input minus reconstruction of a series, channel by channel, in the network's units."""
    gap = scores.difference[0]
    gap = gap.reshape(len(gap), -1)
    rate = scores.input_spec.rate
    x = np.arange(len(gap)) / (rate or 1)
    names = ["difference"] if gap.shape[1] == 1 else [f"channel {k}" for k in range(gap.shape[1])]
    traces = tuple(Trace(name, x, y, k) for k, (name, y) in enumerate(zip(names, gap.T, strict=True)))[:6]
    worst = int(np.nan_to_num(np.abs(gap)).max(1).argmax())
    return CurvePanel(
        title="Difference",
        subtitle="input − reconstruction",
        traces=traces,
        x_label="time (s)" if rate else "step",
        alt=f"Input minus reconstruction, {tiles.reach(gap)}, largest at step {worst}.",
    )


def _largest(scores: AnomalyScores) -> Any:
    parts_of = scores.contributions[0]
    total = float(parts_of.sum())
    order = np.argsort(-parts_of, axis=None, kind="stable")[:LARGEST]
    rows = []
    for place in order:
        at = np.unravel_index(int(place), parts_of.shape)
        value = float(parts_of[at])
        share = percent(value / total) if total else "–"
        where, given, back = _place(scores, at), float(scores.x[0][at]), float(scores.reconstruction[0][at])
        cells = (number(given), number(back), number(value), share)
        rows.append(html.Tr([html.Th(where, scope="row"), *(html.Td(cell, className="count") for cell in cells)]))
    names = ("Place", "Input", "Given back", "Contribution", "Share")
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in names]))
    words = (
        f"The {len(rows)} places with the largest contributions, in the network's units; all together are the score."
    )
    table = html.Table([head, html.Tbody(rows)], className="layer-table given")
    box = html.Div(table, className="scrolls", tabIndex=0, role="group", **{"aria-label": "Largest contributions"})
    return ui.card(dmc.Text(words, size="xs", c="dimmed"), box, title="Where the score comes from")


def _place(scores: AnomalyScores, at: tuple[Any, ...]) -> str:
    names = getattr(scores.input_spec, "names", None)
    if names is not None and len(at) == 1 and len(names) == scores.x.shape[1]:
        return str(names[int(at[0])])
    sizes = scores.contributions.shape[1:]
    axes = scores.axes[1:]
    said = [f"{axis} {int(i)}" for axis, i, n in zip(axes, at, sizes, strict=True) if n > 1]
    return ", ".join(said) or "the only one"


def _evidence(scores: AnomalyScores, notes: Sequence[str], known: bool) -> list[Any]:
    said = [dmc.Text(note, size="sm", mt="xs") for note in notes] if known else []
    return [ui.facts(_facts(scores, known)), *said]


def _facts(scores: AnomalyScores, known: bool) -> list[tuple[str, Any]]:
    o, cal = scores.origin, scores.calibration
    told: list[tuple[str, Any]] = [
        ("Model", f"{o.model}, {spoken(o.framework)}, {(o.fingerprint or 'no fingerprint')[:16]}")
    ]
    if known:
        told += [
            ("Rule", f"{cal.rule}, level {cal.level:g}" if cal.level is not None else cal.rule),
            ("Normal samples", f"{len(cal):,}, scores {number(float(cal.scores.min()))} to "
             f"{number(float(cal.scores.max()))}"),
            ("p-value", number(float(scores.p_values[0]))),
        ]  # fmt: skip
    return [*told, ("Time", f"{seconds(o.seconds)}, on {o.device}")]


# ---------------------------------------------------------------- the threshold


def _controls(view: View, rule: str, level: float) -> Any:
    _, note, coming = _normal(view)
    choices = sorted({*LEVELS, level})
    return dmc.Stack(
        [
            dmc.Select(
                id="anomalies-rule",
                label="Rule",
                data=[{"value": r, "label": spoken(r)} for r in RULES],
                value=rule,
                allowDeselect=False,
                size="xs",
            ),
            dmc.Select(
                id="anomalies-level",
                label="Share of normal samples that stays below",
                data=[{"value": f"{v:g}", "label": percent(v)} for v in choices],
                value=f"{level:g}",
                allowDeselect=False,
                size="xs",
            ),
            dmc.Text("Reading the normal samples …" if coming else f"From {note}.", size="xs", c="dimmed"),
            dcc.Upload(
                dmc.Button("Give normal samples of your own", variant="default", size="xs"),
                id="anomalies-normal",
                accept=".npy",
                multiple=False,
                className="give",
            ),
            dmc.Text(
                "One .npy array, samples first; best are ones that it was not trained with.", size="xs", c="dimmed"
            ),
        ],
        gap="xs",
    )
