"""Anomalies: what an autoencoder does not give back, where, and whether that is more than normal samples show."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import Dash, Input, Output, State, dcc, html, no_update

from xaikit.anomaly import RULES, SCORES
from xaikit.arrays import Array
from xaikit.errors import InputError, ParameterError, UnknownName, XaikitError
from xaikit.figures import (
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
    spell,
    spoken,
    time_axis,
)
from xaikit.inputs import Image, Reconstruction, Series, Values
from xaikit.jobs import Unit
from xaikit.results import AnomalyExplanation, AnomalyScores, Decoded, DetectorRecord, SeriesScores, ThresholdReport
from xaikit_app import boards, choosing, thumbs, tiles, ui
from xaikit_app.exhibits import exhibit, exhibits
from xaikit_app.normals import read_normal
from xaikit_app.own import Own
from xaikit_app.pages import View
from xaikit_app.parts import Part, fill
from xaikit_app.parts import register as register_parts
from xaikit_app.pictures import colour_bar, panel_body
from xaikit_app.samples import Sample
from xaikit_app.services import Services
from xaikit_app.several import several
from xaikit_app.snippets import snippet
from xaikit_app.state import read
from xaikit_app.taking import link, python
from xaikit_app.uploads import check_table, read_npy, received, shown_name
from xaikit_app.work.anomalies import by_hand
from xaikit_app.work.describe import Description

PATH, TITLE, ICON, ORDER = "anomalies", "Anomalies", "pulse", 40
GROUP = "Data"
LEVELS = (0.9, 0.95, 0.99, 0.995, 0.999)
LARGEST = 10
"""How many of the largest contributions are listed."""
PATIENCE = 1.0
"""Seconds that a page waits for the normal samples before it is shown without."""
COSTS = (10.0, 1.0)
"""What a missed anomaly and a false alarm cost, where the address does not say."""
ENDS = 500
"""As many samples of the slice as are joined to a stream."""
SPOKEN = {
    "mse": "mean squared error",
    "mae": "mean absolute error",
    "top-share": "mean of the largest squared errors",
    "standardised": "errors over their usual size",
    "ssim": "1 − structural similarity",
    "latent": "distance of the code from normal codes",
    "joint": "distance of the code and the error",
    "reconstruction-probability": "−log reconstruction probability",
    "elbo": "negative evidence bound",
}
SAMPLED = ("reconstruction-probability", "elbo")
RULED = {
    "quantile": "a quantile of normal scores",
    "mean-sd": "mean and standard deviations",
    "median-mad": "median and its deviations",
    "pot": "fitted tail of normal scores",
    "alert-rate": "an alert rate, however few",
}


def lacks(description: Description) -> str | None:
    """Say why a model cannot find anomalies, or None."""
    if _forecasts(description):
        return None
    if description.kind == "several" or not isinstance(description.outputs, Reconstruction):
        kind = "several things" if isinstance(description.outputs, dict) else type(description.outputs).__name__.lower()
        return f"it gives {kind}, not its input again; anomalies are what an autoencoder cannot give back"
    return None


def _forecasts(description: Description) -> bool:
    """Whether a network forecasts the series that it is given: what comes otherwise is unusual."""
    return isinstance(description.inputs, Series) and isinstance(description.outputs, Values)


def layout(view: View) -> Any:
    """Give the page."""
    lead = (
        "A forecaster says what should come. What comes otherwise is unusual."
        if _forecasts(view.description)
        else "An autoencoder gives back what it has learned to expect. What comes back badly is unusual."
    )
    places, machinery = fill(PATH, view, parts(view))
    _, why = thumbs.value_of(view)
    found = places.get("detail") or ui.hint(f"Nothing to score: {why or _too_short(view)}")
    return ui.page(
        "Anomalies",
        lead,
        html.Div(
            [
                html.Div(
                    [
                        ui.card(places.get("gallery") or thumbs.chooser(PATH, view), title="Sample"),
                        ui.card(_controls(view), title="Detector"),
                    ],
                    className="column",
                ),
                html.Div(
                    [
                        ui.card(_bad(view), places["board"], title="Scores and threshold")
                        if "board" in places
                        else None,
                        html.Section(found, **{"aria-label": "Score"}),
                        *_further(view, places),
                    ],
                    className="column",
                ),
            ],
            className="two",
        ),
        html.Div(machinery),
    )


def _further(view: View, places: dict[str, Any]) -> list[Any]:
    """Give the cards of what starts when somebody asks for it."""
    titles = (
        ("why", "Why it is unusual"),
        ("way", "The way to a normal sample"),
        ("stream", "A longer series"),
        ("thresholds", "All rules side by side"),
        ("detection", "How well it finds them"),
        ("record", "Take the detector along"),
    )
    before = {"stream": _stream_controls}
    return [
        ui.card(before[name](view) if name in before else None, places[name], title=title)
        for name, title in titles
        if name in places
    ]


def register(app: Dash, services: Services) -> None:
    """Add the callbacks."""
    register_parts(app, services, PATH, parts, View)
    thumbs.register(app, services, PATH)
    choosing.register(app, PATH)
    place = (State("url", "pathname"), State("url", "search"))

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
        normal = read_normal(contents, filename or "the upload", _spec(known), services.settings)
        return state.at(more={**state.more, "normal": services.own.put(normal)}).href

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Input("anomalies-series", "contents"),
        State("anomalies-series", "filename"),
        *place,
        prevent_initial_call=True,
    )
    def follow(contents: str | None, filename: str | None, path: str, search: str | None) -> Any:
        if not contents:
            return no_update
        state = read(path, search)
        known = services.description(services.choose(state))
        if not isinstance(known, Description):
            return no_update
        series = read_series(contents, filename, known.inputs, services.settings)
        return state.at(more={**state.more, "series": services.own.put(series)}).href


def read_series(contents: str, filename: str | None, spec: Any, settings: Any) -> Array:
    """Read an upload of a longer series: (time,) or (time, channel), as .npy or as .csv. Raises InputError."""
    name = shown_name(filename)
    data = received(contents, name, settings)
    if name.lower().endswith(".csv"):
        check_table(data, name, settings)
        lines = [line for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
        try:
            found = np.array([[float(cell) for cell in line.split(",")] for line in lines[_has_header(lines) :]])
        except ValueError:
            raise InputError(
                f"{name} holds something besides numbers: give steps as lines, channels as columns"
            ) from None
    else:
        found = np.asarray(read_npy(data, name, settings), np.float64)
    whole = found.reshape(len(found), -1) if found.ndim else found
    if whole.ndim != 2 or whole.shape[1] != spec.channels or len(whole) < spec.steps or not np.isfinite(whole).all():
        raise InputError(
            f"{name} holds {found.shape}; a longer series is finite numbers of at least {spec.steps:,} steps × "
            f"{spec.channels} channels"
        )
    return whole


def _has_header(lines: list[str]) -> int:
    """Give how many lines stand before the numbers: 1 where the first holds names, else 0."""
    try:
        [float(cell) for cell in lines[0].split(",")]
    except (ValueError, IndexError):
        return 1
    return 0


# ---------------------------------------------------------------- what is asked


def _rule_of(more: Any) -> tuple[str, float]:
    try:
        return more.get("rule", "quantile"), float(more.get("level", 0.99))
    except ValueError:
        raise ParameterError(f"level is a number between 0 and 1, not {more['level']!r}") from None


def _asked(view: View) -> dict[str, Any]:
    """Give rule, level, score and way of a view. Raises UnknownName, ParameterError."""
    more = view.state.more
    rule, level = _rule_of(more)
    if rule not in RULES:
        raise UnknownName("rule", rule, RULES)
    if not 0 < level < 1:
        raise ParameterError(f"level is a share between 0 and 1, not {level:g}")
    score = more.get("score") or None
    if score is not None and score not in scores_of(view.description):
        raise UnknownName("score", score, scores_of(view.description))
    ways = ways_of(view.description)
    through = more.get("through", next(iter(ways)))
    if through not in ways:
        raise UnknownName("way to give the input again", through, ways)
    return {"rule": rule, "level": level, "score": score, "through": through}


def scores_of(description: Description) -> dict[str, str]:
    """Give the scores that make sense for a network, with what they are."""
    names = {layer.name.rpartition("/")[2].rpartition(".")[2].lower() for layer in description.graph}
    drawn = any("var" in name for name in names) and any(name.endswith(("mean", "mu")) for name in names)
    left_out = () if drawn else SAMPLED
    pictures = isinstance(description.inputs, Image)
    return {n: SPOKEN.get(n, n) for n in SCORES if n not in left_out and (pictures or n != "ssim")}


def ways_of(description: Description) -> dict[str, str]:
    """Give the ways in which a network can give its input again; the first is the usual one."""
    if _forecasts(description):
        return {"forecast": "what it forecasts"}
    whole = {"whole": "the whole at once"}
    patches = {"masked": "each patch from its surroundings"} if isinstance(description.inputs, Image | Series) else {}
    return {**whole, **patches}


def _threshold(view: View) -> float | None:
    """Give the threshold that the address sets by hand, or None."""
    text = view.state.more.get("threshold")
    return None if not text else _number(text, "threshold", -np.inf)


def _prices(view: View) -> tuple[float, float]:
    """Give what a missed anomaly and a false alarm cost."""
    miss, alarm = (view.state.more.get(name) for name in ("miss", "alarm"))
    return (
        COSTS[0] if miss is None else _number(miss, "miss", 0.0),
        COSTS[1] if alarm is None else _number(alarm, "alarm", 0.0),
    )


def _number(text: str, name: str, least: float) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ParameterError(f"{name} is a number, not {text!r}") from None
    if not np.isfinite(value) or value < least:
        raise ParameterError(f"{name} is a finite number{' from 0 on' if least == 0 else ''}, not {text}")
    return value


def _spec(description: Description) -> Any:
    """Give the spec of what is scored: of a forecaster its series with the steps that it forecasts."""
    spec = description.inputs
    return replace(spec, steps=spec.steps + _steps_ahead(description)) if _forecasts(description) else spec


def _steps_ahead(description: Description) -> int:
    shape = description.layers[-1]["shape"] if description.layers else ()
    return max(1, int(np.prod([s for s in shape or () if s])) // description.inputs.channels)


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


def _longer(view: View, id: str | None, value: Any) -> Any:
    """Give a sample as it is scored: of a forecaster with what came after it, None where that is not known."""
    if not _forecasts(view.description) or value is None:
        return value
    whole = np.asarray(value, np.float64).reshape(-1, view.description.inputs.channels)
    kind, _, place = (id or "").rpartition("-")
    if kind != "test" or not place.isdecimal():
        return None
    for k in range(1, _steps_ahead(view.description) + 1):
        try:
            after = np.asarray(
                view.services.sample(view.chosen, view.description, f"test-{int(place) + k}"), np.float64
            )
        except XaikitError:
            return None
        if not np.allclose(after[:-1], whole[-len(after) + 1 :]):
            return None
        whole = np.concatenate([whole, after[-1:]])
    return whole


def _too_short(view: View) -> str:
    return f"what came after its {view.description.inputs.steps} steps is not known; choose a sample of the test data"


def _many(view: View) -> list[Sample]:
    """Give the samples of the slice, or some of all that the model has, with their labels."""

    def found() -> list[Sample]:
        longer = ((s, _longer(view, s.id, s.value)) for s in several(view))
        return [Sample(s.id, s.label, value) for s, value in longer if value is not None]

    return view.once("samples with what came after", found)


def parts(view: View) -> list[Part]:
    """Give the parts of the page: scores of the gallery and of the slice, the chosen sample, and what is heavier."""
    asked = _asked(view)
    _prices(view)  # a link with a wrong price is refused before anything runs
    normal, _, coming = _normal(view)
    id = thumbs.current(view)
    value = _longer(view, id, thumbs.value_of(view)[0])
    gallery = thumbs.shelf(view)
    shown = [(s.id, _longer(view, s.id, s.value)) for s in (gallery.shown if gallery is not None else ())]
    shown = [(i, v) for i, v in shown if v is not None]
    words = "Reading the normal samples" if coming else "Running the network on the normal samples"
    found = []
    if shown and (normal is not None or coming):
        ask = None if coming else _unit(view, [v for _, v in shown], normal, asked)
        ids = [i for i, _ in shown]
        found.append(Part("gallery", ask, lambda r: _scored(view, ids, r), words, thumbs.chooser(PATH, view)))
    if normal is not None or coming:
        many = [] if coming else _many(view)
        ask = _unit(view, [s.value for s in many], normal, asked) if many else None
        if coming or many:
            found.append(Part("board", ask, lambda r: _board(view, many, r), words))
    if value is not None:
        ask = None if coming else _unit(view, [value], normal, asked)
        code = snippet(
            view, *_making(view, asked, normal is not None), "scores = detector.score(x)", "xk.plot(scores)", sample=id
        )
        found.append(Part("detail", ask, lambda r: detail(view, r, normal is not None), words, taken=True, code=code))
    if normal is not None:
        found += _heavier(view, value, normal, asked)
    return found


def _unit(
    view: View, samples: list[Any], normal: Array | None, asked: dict[str, Any], task: str = "app-anomaly"
) -> Unit:
    given = {"samples": samples, "normal": normal}
    return Unit(view.chosen.key, given, parameters=asked, task=task)


def _making(view: View, asked: dict[str, Any], known: bool) -> list[str]:
    """Give the lines that make the detector again."""
    through = {"masked": "xk.anomaly.masking(model)", "forecast": "xk.anomaly.forecasting(model)"}
    lines = [f"model = {through[asked['through']]}"] if asked["through"] in through else []
    score = f', score="{asked["score"]}"' if asked["score"] else ""
    said = 'normal = "your-normal-samples.npy"  # samples that are as they should be' if known else "normal = [x]"
    fitted = f'detector = xk.anomaly.fit(model, normal, "{asked["rule"]}", {asked["level"]:g}{score})'
    own = _threshold(view)
    by = [f"# on the page the threshold was set by hand: {own:g}"] if own is not None else []
    return [*lines, said, fitted, *by]


def _heavier(view: View, value: Any, normal: Array, asked: dict[str, Any]) -> list[Part]:
    """Give the parts that start when somebody asks for them."""
    own = _threshold(view)
    with_own = {**asked, **({"threshold": own} if own is not None else {})}
    making, id = _making(view, asked, True), thumbs.current(view)
    found = []
    if value is not None:
        found.append(
            Part(
                "why",
                _unit(view, [value], normal, with_own, "app-anomaly-why"),
                lambda r: reasons(view, r),
                "Restoring parts one by one",
                asks="Say why",
                cost=f"runs the network some hundred times and once more over {len(normal):,} normal samples",
                taken=True,
                code=snippet(view, *making, "xk.plot(detector.explain(x))", sample=id),
            )
        )
        if asked["through"] == "whole":
            found.append(
                Part(
                    "way",
                    _unit(view, [value], normal, with_own, "app-anomaly-way"),
                    _way,
                    "Looking for the nearest normal code",
                    asks="Show the way",
                    cost=f"encodes {len(normal):,} normal samples",
                    taken=True,
                    code=snippet(view, *making, "xk.plot(xk.anomaly.latent.to_normal(detector, x))", sample=id),
                )
            )
    if isinstance(view.description.inputs, Series):
        found += _stream_part(view, normal, with_own)
    found.append(
        Part(
            "thresholds",
            _unit(view, [], normal, {k: asked[k] for k in ("level", "score", "through")}, "app-thresholds"),
            _rules,
            "Drawing the normal samples anew",
            asks="Compare the rules",
            cost="200 resamplings of the normal scores for each rule",
            taken=True,
            code=snippet(view, *making, f"xk.plot(detector.thresholds(level={asked['level']:g}))"),
        )
    )
    found += _labelled_part(view, normal, asked)
    found.append(
        Part(
            "record",
            _unit(view, [], normal, with_own, "app-detector"),
            lambda r: _recorded(view, r, normal, with_own),
            "Fitting the detector",
            asks="Make the file",
            cost="fits the detector on the normal samples",
        )
    )
    return found


def _labelled_part(view: View, normal: Array, asked: dict[str, Any]) -> list[Part]:
    many = _many(view)
    bad, _ = boards.labels_of([s.label for s in many], view.state.more.get("bad"))
    if bad is None or all(s.label == bad for s in many):
        return []
    given = {
        "normal": normal,
        "good": [s.value for s in many if s.label != bad],
        "bad": [s.value for s in many if s.label == bad],
    }
    return [
        Part(
            "detection",
            Unit(view.chosen.key, given, parameters=asked, task="app-detection"),
            exhibits,
            "Scoring labelled samples",
            asks="Compare with trivial detectors",
            cost=f"scores {len(many)} labelled samples, also with an untrained network",
            taken=True,
        )
    ]


# ---------------------------------------------------------------- what is shown


def _scored(view: View, ids: Sequence[str], scores: AnomalyScores) -> Any:
    scores = _judged(view, scores)
    notes = {id: _note(float(v), bool(f)) for id, v, f in zip(ids, scores.values, scores.flags, strict=True)}
    flagged = int(scores.flags.sum())
    return html.Div(
        [
            thumbs.chooser(PATH, view, notes),
            dmc.Text(f"{flagged} of {len(ids)} are flagged as anomalous.", size="sm", mt="xs", id="anomalies-flagged"),
        ]
    )


def _judged(view: View, scores: AnomalyScores) -> AnomalyScores:
    """Give scores with the threshold that was set by hand, where one was."""
    own = _threshold(view)
    return scores if own is None else replace(scores, calibration=by_hand(scores.calibration, own))


def _note(score: float, flagged: bool) -> Any:
    mark = html.Span("anomalous", className="flag" if flagged else "flag off")
    return html.Span(
        [html.Span(number(score), className="quiet"), mark], className="thumb-note", **{"data-score": repr(score)}
    )


def _bad(view: View) -> Any:
    """Give the list of labels of which one counts as an anomaly, where the samples have any."""
    labels = [s.label for s in _many(view)] if _normal(view)[0] is not None else []
    bad, counts = boards.labels_of(labels, view.state.more.get("bad"))
    if len(counts) < 2:
        return None
    options = [("none", "no label"), *((name, f"“{name}” ({count})") for name, count in counts.items())]
    return choosing.choices(choosing.pick(PATH, "bad", "What counts as an anomaly", options, bad or "none", w=210))


def _board(view: View, many: Sequence[Sample], scores: AnomalyScores) -> Any:
    """Give the scores of the slice among normal ones, with the threshold that moves."""
    found, own = _judged(view, scores), _threshold(view)
    bad, _ = boards.labels_of([s.label for s in many], view.state.more.get("bad"))
    labels = None if bad is None else np.array([s.label == bad for s in many])
    cal = scores.calibration
    rule = f"{RULED[cal.rule]}, level {percent(cal.level)}" if cal.level is not None else RULED[cal.rule]
    values = np.asarray(scores.values, np.float64)
    shown = boards.board(
        np.asarray(cal.scores, np.float64),
        values,
        [s.id for s in many],
        labels,
        found.threshold,
        _prices(view),
        "set by hand" if own is not None else rule,
        own is not None,
    )
    return html.Div([shown, *_unknown_costs(labels)])


def _unknown_costs(labels: Array | None) -> list[Any]:
    if labels is not None:
        return []
    words = "No label counts as an anomaly, so that only false alarms among the normal samples have a cost here."
    return [dmc.Text(words, size="xs", c="dimmed", mt="xs")]


def detail(view: View, scores: AnomalyScores, known: bool) -> Any:
    """Give one sample: the verdict, and its panels; `known` says that there were normal samples to compare with."""
    scores = _judged(view, scores)
    figure = panels(scores)
    shown = [p for p in figure.panels if p.badge is None]
    if isinstance(scores.input_spec, Series):
        shown.insert(1, difference_over_time(scores))
    pictures = [p for p in shown if isinstance(p, ImagePanel | MapPanel)]
    drawn = [p for p in shown if not isinstance(p, ImagePanel | MapPanel)]
    diverging = [p.scale for p in shown if isinstance(p, MapPanel) and p.scale.kind == "diverging"]
    key = _key(figure.legend, diverging[0]) if diverging and figure.legend is not None else None
    return dmc.Stack(
        [
            _verdict(scores) if known else _unjudged(scores),
            key,
            html.Div([_panel(p) for p in pictures], className="panels pictures") if pictures else None,
            html.Div(
                [
                    *(_panel(p) for p in drawn),
                    ui.card(*_evidence(scores, figure.notes, known, _threshold(view) is not None), title="Evidence"),
                ],
                className="panels",
            ),
            _largest(scores) if scores.contributions.any() else None,
        ],
        gap="md",
    )


def _verdict(scores: AnomalyScores) -> Any:
    own, flagged, threshold = float(scores.values[0]), bool(scores.flags[0]), scores.threshold
    normal = scores.calibration.scores
    below = int((normal < own).sum())
    rank = f"above {'all' if below == len(normal) else f'{below:,} of'} {len(normal):,} normal samples"
    times = (
        [html.Span(number(own / threshold), className="verdict-times"), " × the threshold, "] if threshold > 0 else []
    )
    said = [*times, f"{rank}." if times else f"{rank[:1].upper()}{rank[1:]}."]
    alert = dmc.Alert(
        html.Span(said) if np.isfinite(own) else "The score is not a number.",
        title=html.Span(
            [
                html.Span("Anomalous" if flagged else "Normal", className="verdict-word"),
                f": score {number(own)}, threshold ",
                html.Span(number(threshold), className="verdict-threshold"),
            ]
        ),
        color="red" if flagged else "teal",
        variant="light",
        className="verdict-box anomalous" if flagged else "verdict-box normal",
    )
    return html.Div(alert, role="status", **{"data-testid": "verdict", "data-verdict": repr(own)})


def _unjudged(scores: AnomalyScores) -> Any:
    return ui.hint(
        "There are no normal samples to compare it with: give some, as one .npy array, and it gets a threshold.",
        f"Score {number(float(scores.values[0]))}",
    )


# ---------------------------------------------------------------- why, and the way back


def reasons(view: View, found: AnomalyExplanation) -> Any:
    """Say in words why a sample is unusual and what would make it normal, with the figures that show it."""
    figure = panels(found)
    shown = [p for row in figure.below for p in row]
    return dmc.Stack(
        [
            html.Ul([html.Li(line) for line in why_lines(found)], className="reasons-list"),
            html.Div([exhibit(p) for p in shown], className="exhibits"),
            *(dmc.Text(note, size="xs", c="dimmed") for note in figure.notes),
        ],
        gap="sm",
    )


def why_lines(found: AnomalyExplanation) -> list[str]:
    """Give the sentences: how far off, where, whether that is unusual there, what repairs it, what is near."""
    values, ranks = found.part_values, found.part_percentiles
    total = float(values.sum()) or 1.0
    order = [int(p) for p in np.argsort(-values, kind="stable")[:3]]
    where = "; ".join(
        f"{found.names[p]} has {percent(float(values[p]) / total)} of it, more there than in "
        f"{percent(float(ranks[p]))} of the normal samples"
        for p in order
    )
    times = f", {number(found.value / found.threshold)} × the threshold" if found.threshold > 0 else ""
    lines = [
        f"Its score is {number(found.value)}{times}.",
        f"Where the error is: {where}.",
    ]
    repaired = found.repaired_score <= found.threshold
    if found.value <= found.threshold:
        lines.append("It is not above the threshold: there is nothing to repair.")
    elif repaired and found.needed:
        named = "; ".join(found.names[p] for p in found.needed[:4]) + (" and more" if len(found.needed) > 4 else "")
        lines.append(
            f"It would be normal (score {number(found.repaired_score)}) if {len(found.needed)} of {len(found.names)} "
            f"parts were as the network gives them back: {named}."
        )
    else:
        lines.append(
            f"Restoring {len(found.restored)} parts leaves its score at {number(found.repaired_score)}: no repair of "
            "parts makes it normal."
        )
    near = [
        f"by {kind} number {int(found.nearest[i])} (distance {number(float(found.distances[i]))})"
        for i, kind in enumerate(("input", "code"))
        if found.nearest[i] >= 0
    ]
    return [*lines, f"The nearest normal samples: {' and '.join(near)}."]


def _way(found: Decoded) -> Any:
    own, nearest = found.origin.notes.get("own_score"), found.origin.notes.get("nearest")
    words = (
        f"From its code to that of normal sample number {nearest}, step by step: by a straight line, and by an arc "
        f"that keeps the distance from zero. The sample itself scores {number(float(own or 0))}; what its code gives "
        "is already of the kind that the network knows, so that it scores less."
    )
    return dmc.Stack([dmc.Text(words, size="sm"), exhibits(found)], gap="sm")


# ---------------------------------------------------------------- rules, streams, the detector itself


def _rules(found: ThresholdReport) -> Any:
    rows = [
        html.Tr(
            [
                html.Th(RULED.get(row["rule"], row["rule"]), scope="row"),
                html.Td(number(row["threshold"], 4), className="count"),
                html.Td(f"{number(row['low'])} to {number(row['high'])}", className="count"),
                html.Td(percent(row["alert rate"]), className="count"),
            ]
        )
        for row in found.table()
    ]
    names = ("Rule", "Threshold", "90 % interval", "Alert rate")
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in names]))
    box = html.Div(
        html.Table([head, html.Tbody(rows)], className="layer-table given"),
        className="scrolls",
        tabIndex=0,
        role="group",
        **{"aria-label": "Thresholds by rule"},
    )
    return dmc.Stack([box, exhibits(found)], gap="sm")


STREAMED = {
    "stride": ("A window every", (1, 2, 5, 10, 20, 50), 1),
    "gap": ("Join events this near", (0, 2, 5, 10, 20, 50), 0),
    "shortest": ("Leave out events shorter than", (1, 2, 5, 10, 20, 50), 1),
}
HOW = {"mean": "mean of its windows", "median": "median of them", "min": "lowest of them", "max": "highest of them"}


def _stream_asked(view: View) -> dict[str, Any]:
    """Give stride, gap, shortest and how of a view. Raises ParameterError, UnknownName."""
    found: dict[str, Any] = {}
    for name, (_, _, default) in STREAMED.items():
        text = view.state.more.get(name, str(default))
        if not text.isdecimal() or int(text) < default or int(text) > 100_000:
            raise ParameterError(f"{name} is a whole number from {default} on, not {text!r}")
        found[name] = int(text)
    how = view.state.more.get("how", "mean")
    if how not in HOW:
        raise UnknownName("way to join windows", how, HOW)
    return {**found, "how": how}


def _stream_controls(view: View) -> Any:
    asked = _stream_asked(view)
    picks = [
        choosing.pick(
            PATH, name, label, [(str(v), f"{v} steps" if v != 1 else "1 step") for v in sorted({*values, asked[name]})],
            str(asked[name]), w=190,
        )
        for name, (label, values, _) in STREAMED.items()
    ]  # fmt: skip
    joined = choosing.pick(PATH, "how", "A step's score", list(HOW.items()), asked["how"], w=190)
    given = dcc.Upload(
        dmc.Button("Give a longer series", variant="default", size="xs"),
        id="anomalies-series",
        accept=".csv,.npy",
        multiple=False,
        className="give",
    )
    own = "Your own series." if view.state.more.get("series") else _joined_words(view)
    return dmc.Stack(
        [
            choosing.choices(*picks, joined),
            dmc.Group([given, dmc.Text(own, size="xs", c="dimmed")], gap="sm"),
        ],
        gap=4,
        mb="sm",
    )


def _joined_words(view: View) -> str:
    if _forecasts(view.description):
        return f"Without one of your own: the first {ENDS} steps of the test data."
    return "Without one of your own: the samples of the slice, one behind the other."


def _stream_part(view: View, normal: Array, asked: dict[str, Any]) -> list[Part]:
    series = _stream(view)
    if series is None:
        return []
    how = _stream_asked(view)
    given = {"series": series, "samples": [], "normal": normal}
    windows = 1 + (len(series) - _spec(view.description).steps) // how["stride"]
    said = "".join(f", {k}={v!r}" for k, v in how.items())
    lines = [*_making(view, asked, True), 'series = "your-series.npy"', f"xk.plot(detector.stream(series{said}))"]
    return [
        Part(
            "stream",
            Unit(view.chosen.key, given, parameters={**asked, **how}, task="app-stream"),
            events,
            "Scoring window after window",
            asks=f"Score {len(series):,} steps",
            cost=f"{windows:,} windows of {_spec(view.description).steps} steps",
            taken=True,
            code=snippet(view, *lines),
        )
    ]


def _stream(view: View) -> Array | None:
    """Give the longer series of a view: the one that somebody gave, else what the samples make together."""
    id, steps = view.state.more.get("series"), _spec(view.description).steps
    if id is not None:
        if not id.startswith(Own.PREFIX):
            raise InputError("this link names a series that is not kept here; give it again")
        found = np.asarray(view.services.own.get(id), np.float64)
    elif _forecasts(view.description):
        found = _joined(view)
    else:
        values = [np.asarray(s.value, np.float64).reshape(len(s.value), -1) for s in _many(view)]
        found = np.concatenate(values[: max(1, ENDS * 10 // max(steps, 1))]) if values else np.empty((0, 1))
    return found if len(found) >= steps else None


def _joined(view: View) -> Array:
    return view.once("the test data as one series", lambda: _one_series(view))


def _one_series(view: View) -> Array:
    """Give the test data of a forecaster as one series, as far as its windows follow each other."""
    channels = view.description.inputs.channels
    try:
        first = np.asarray(view.services.sample(view.chosen, view.description, "test-0"), np.float64)
        whole, last = [first.reshape(-1, channels)], first.reshape(-1, channels)
        for k in range(1, ENDS):
            after = np.asarray(view.services.sample(view.chosen, view.description, f"test-{k}"), np.float64).reshape(
                -1, channels
            )
            if not np.allclose(after[:-1], last[1:]):
                break
            whole.append(after[-1:])
            last = after
    except XaikitError:
        return np.empty((0, channels))
    return np.concatenate(whole)


def events(found: SeriesScores) -> Any:
    """Give a series with its scores, and its events as a table."""
    rows = [
        html.Tr(
            [
                html.Td(f"{e.start:,} to {e.stop - 1:,}"),
                html.Td(_lasts(e.stop - e.start, found.rate), className="count"),
                html.Td(f"{e.peak:,}", className="count"),
                html.Td(number(e.score), className="count"),
            ],
            className="events-row",
        )
        for e in sorted(found.events, key=lambda e: -e.score)
    ]
    names = ("Steps", "Lasts", "Highest at step", "Score")
    head = html.Thead(html.Tr([html.Th(name, scope="col") for name in names]))
    table = html.Div(
        html.Table([head, html.Tbody(rows)], className="layer-table given"),
        className="scrolls tall",
        tabIndex=0,
        role="group",
        **{"aria-label": "Events"},
    )
    share = float(found.flags.mean())
    words = (
        f"{len(found.events)} event{'s' * (len(found.events) != 1)} in {len(found):,} steps; {percent(share)} of the "
        f"steps are in one. Threshold {number(found.threshold)}."
    )
    shown = [dmc.Text(words, size="sm"), *([table] if rows else [])]
    return dmc.Stack([*shown, html.Div([exhibit(p) for p in panels(found).panels])], gap="sm")


def _recorded(view: View, found: DetectorRecord, normal: Array, asked: dict[str, Any]) -> Any:
    """Give the link to the detector's file and the code that reads it."""
    unit = _unit(view, [], normal, asked, "app-detector")
    address = view.services.submit(unit).address if view.services.stored(unit) is not None else None
    through = {"masked": "xk.anomaly.masking(model)", "forecast": "xk.anomaly.forecasting(model)"}.get(asked["through"])
    code = snippet(
        view,
        *([f"model = {through}"] if through else []),
        'record = xk.load("result.json")  # unpack the file beside it first',
        "detector = xk.anomaly.Detector.of(model, record)",
        "detector.score(x)",
    )
    cal = found.calibration
    words = (
        f"{SPOKEN.get(found.score, found.score)}, threshold {number(cal.threshold, 4)}, from {len(cal):,} normal "
        f"samples, for {found.model} with the weights {(found.fingerprint or 'that it has')[:16]}. The network is not "
        "part of it, the normal samples are."
    )
    if address is None:
        hint = "The model has no fingerprint, so that nothing of it is kept: make the detector by the code below."
        return dmc.Stack([dmc.Text(words, size="sm"), ui.hint(hint), python(code)], gap="xs")
    name = f"detector-{address[:8]}.zip"
    file = html.A("Detector (zip)", href=link(address, "result.zip"), download=name, className="take")
    return dmc.Stack([dmc.Text(words, size="sm"), html.Div(file, className="take-along"), python(code)], gap="xs")


# ---------------------------------------------------------------- drawing one sample


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


def _lasts(steps: int, rate: float | None) -> str:
    return spell(steps / rate) if rate else f"{steps:,} step{'s' * (steps != 1)}"


def difference_over_time(scores: AnomalyScores) -> CurvePanel:
    """Give input minus reconstruction of a series, channel by channel, in the network's units."""
    gap = scores.difference[0]
    gap = gap.reshape(len(gap), -1)
    x, label = time_axis(len(gap), scores.input_spec.rate)
    names = ["difference"] if gap.shape[1] == 1 else [f"channel {k}" for k in range(gap.shape[1])]
    traces = tuple(Trace(name, x, y, k) for k, (name, y) in enumerate(zip(names, gap.T, strict=True)))[:6]
    worst = int(np.nan_to_num(np.abs(gap)).max(1).argmax())
    return CurvePanel(
        title="Difference",
        subtitle="input − reconstruction",
        traces=traces,
        x_label=label,
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


def _evidence(scores: AnomalyScores, notes: Sequence[str], known: bool, by_hand: bool) -> list[Any]:
    said = [dmc.Text(note, size="sm", mt="xs") for note in notes] if known else []
    return [ui.facts(_facts(scores, known, by_hand)), *said]


def _facts(scores: AnomalyScores, known: bool, by_hand: bool) -> list[tuple[str, Any]]:
    o, cal = scores.origin, scores.calibration
    told: list[tuple[str, Any]] = [
        ("Model", f"{o.model}, {spoken(o.framework)}, {(o.fingerprint or 'no fingerprint')[:16]}")
    ]
    if known:
        told += [
            ("Rule", html.Span(_rule_words(cal.rule, cal.level, by_hand), className="verdict-rule")),
            ("Normal samples", f"{len(cal):,}, scores {number(float(cal.scores.min()))} to "
             f"{number(float(cal.scores.max()))}"),
            ("p-value", number(float(scores.p_values[0]))),
        ]  # fmt: skip
    return [*told, ("Time", f"{seconds(o.seconds)}, on {o.device}")]


def _rule_words(rule: str, level: float | None, by_hand: bool) -> str:
    if by_hand and level is not None:
        return f"set by hand, with {percent(level)} of the normal samples below it"
    return f"{rule}, level {level:g}" if level is not None else rule


# ---------------------------------------------------------------- the threshold


def _controls(view: View) -> Any:
    asked = _asked(view)
    rule, level = asked["rule"], asked["level"]
    _, note, coming = _normal(view)
    choices = sorted({*LEVELS, level})
    scores, ways = scores_of(view.description), ways_of(view.description)
    default = getattr(view.description.outputs, "error", "mse")
    return dmc.Stack(
        [
            choosing.pick(PATH, "score", "Score", list(scores.items()), asked["score"] or str(default)),
            choosing.pick(PATH, "through", "What comes back", list(ways.items()), asked["through"])
            if len(ways) > 1
            else None,
            choosing.pick(PATH, "rule", "Threshold by", [(r, RULED.get(r, spoken(r))) for r in RULES], rule),
            choosing.pick(
                PATH,
                "level",
                "Share of normal samples that stays below",
                [(f"{v:g}", percent(v)) for v in choices],
                f"{level:g}",
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
