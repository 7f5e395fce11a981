"""Sequences: what a network reads, what it answers as it reads, and what its states and its attention do meanwhile."""

import json
from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import Dash, Input, Output, State, dcc, html, no_update

from xaikit.arrays import Array
from xaikit.errors import InputError, ParameterError, XaikitError, with_article
from xaikit.figures import CurvePanel, Scale, Trace, number, panels, probability, spell, spoken
from xaikit.graph import Layer
from xaikit.inputs import Classes, Series, Text, Values
from xaikit.jobs import Unit
from xaikit.results import AttentionMap, GradientFlow, HiddenStates, Prediction, Prefixes, UnitScores
from xaikit_app import choosing, strips, thumbs, tiles, ui
from xaikit_app.exhibits import exhibit, exhibits, folded, in_words
from xaikit_app.pages import View
from xaikit_app.parts import Part, fill
from xaikit_app.parts import register as register_parts
from xaikit_app.services import Services
from xaikit_app.snippets import snippet
from xaikit_app.state import read
from xaikit_app.targets import target_of, targets
from xaikit_app.work.describe import Description
from xaikit_app.work.sequences import FOLLOW, Forecast

PATH, TITLE, ICON, ORDER = "sequences", "Sequences", "steps", 45
GROUP = "Look inside"
CELLS = ("lstm", "gru", "rnn")
GATES = {
    "i": "input gate: how much of the new is written",
    "f": "forget gate: how much of the memory is kept",
    "g": "candidate: what would be written",
    "o": "output gate: how much of the memory is shown",
    "c": "cell: the memory",
    "z": "update gate: how much of the old state is kept",
    "r": "reset gate: how much of the old state is seen",
    "n": "candidate: what would be the new state",
    "h": "state: what the layer gives",
}
SHARES = ("i", "f", "o", "z", "r")
"""Gates whose numbers are shares of one."""
ORDERS = (("number", "by number"), ("strength", "strongest first"), ("activity", "most changing first"))
STRONGEST = 12
EXPECTED = 5
LONGEST = 20_000
"""Characters of a text that can be typed."""
LARGE = 2_000_000
"""Parameters from which on a network is not run over every beginning before somebody asks for it."""
HORIZON = (12, 24, 48, 96)


def lacks(description: Description) -> str | None:
    """Say why a model has no sequence to follow, or None."""
    if description.kind == "several":
        return "it takes several inputs, and this page follows one sequence"
    if isinstance(description.inputs, Text | Series) or recurrent(description) or attentive(description):
        return None
    return f"it reads {with_article(description.kind.lower())} all at once, with no recurrent layer and no attention"


def recurrent(description: Description) -> dict[str, list[str]]:
    """Give the recurrent layers by name, each with its gates."""
    gates = [layer.name for layer in description.graph if layer.kind == "gate"]
    found = {
        layer.name: [g.removeprefix(f"{layer.name}/") for g in gates if g.startswith(f"{layer.name}/")]
        for layer in description.graph
        if layer.kind in CELLS
    }
    return {name: own for name, own in found.items() if own}


def attentive(description: Description) -> list[str]:
    """Give the names of the layers that are weights of attention."""
    return [la.name for la in description.graph if la.kind == "attention_weights" or _is_softmax_of_weights(la)]


def _is_softmax_of_weights(layer: Layer) -> bool:
    named = layer.name.rpartition(".")[2] == "weights"
    return layer.kind == "softmax" and named and len(layer.shape or ()) in (2, 3)


# ---------------------------------------------------------------- what stands on the page


def layout(view: View) -> Any:
    """Give the page."""
    places, machinery = fill(PATH, view, parts(view))
    value, why = thumbs.value_of(view)
    shown = _cards(view, value, places) if value is not None else [ui.hint(f"Nothing to read: {why}")]
    return ui.page(
        "Sequences",
        "What the network reads step by step, and what it makes of it on the way.",
        html.Div(
            [
                html.Div([ui.card(thumbs.chooser(PATH, view), title="Sample"), *_typing(view)], className="column"),
                html.Div(shown, className="column"),
            ],
            className="two",
        ),
        html.Div(machinery),
    )


def _cards(view: View, value: Any, places: dict[str, Any]) -> list[Any]:
    known = view.description
    found = [ui.card(_read(view, value), title="What it reads")]
    if "prefixes" in places:
        found.append(ui.card(_asked_about(view), places["prefixes"], title="The answer as it reads"))
    for name, title in (("next", _next_title(view)), ("forecast", "Forecast"), ("attention", "Where it looked")):
        if name in places:
            found.append(ui.card(*_before(view, name), places[name], title=title))
    if "states" in places:
        found.append(ui.card(_inside(view), places["states"], title="States and gates"))
        found.append(ui.card(_following(view), places["follow"], title="Units that follow"))
        found.append(ui.card(places["flow"], title="How far back the answer reaches"))
    elif not recurrent(known):
        found.append(ui.hint("There is no recurrent layer whose states and gates are known.", "No states"))
    return found


def _before(view: View, name: str) -> list[Any]:
    if name == "attention":
        return [_heads(view)]
    if name == "forecast":
        ahead = [(str(n), f"{n} steps") for n in HORIZON]
        return [choosing.choices(choosing.pick(PATH, "ahead", "How far", ahead, str(_ahead(view))))]
    return []


def register(app: Dash, services: Services) -> None:
    """Add the callbacks."""
    register_parts(app, services, PATH, parts, View)
    thumbs.register(app, services, PATH)
    choosing.register(app, PATH)

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Input("sequences-use", "n_clicks"),
        State("sequences-text", "value"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def use(clicks: int | None, text: str | None, path: str, search: str | None) -> Any:
        if not clicks:
            return no_update
        state = read(path, search)
        known = services.description(services.choose(state))
        if not isinstance(known, Description):
            return no_update
        return state.at(sample=services.own.put(typed(text, known.inputs))).href

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Input("sequences-mark", "n_clicks"),
        State("sequences-marked", "value"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def mark(clicks: int | None, text: str | None, path: str, search: str | None) -> Any:
        if not clicks or not (text or "").strip(" "):
            return no_update
        return choosing.with_(read(path, search), {"follow": f"={(text or '')[:40]}"}).href

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Input("sequences-unit", "value"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def look_at(unit: Any, path: str, search: str | None) -> Any:
        state = read(path, search)
        asked = str(int(unit)) if isinstance(unit, int | float) else None
        return no_update if asked is None or asked == state.unit else state.at(unit=asked).href


def typed(text: str | None, spec: Any) -> str:
    """Check a text that was typed. Raises InputError for one that is empty or too long."""
    said = (text or "").strip()
    if len(said) > LONGEST:
        raise InputError(f"the text has {len(said):,} characters; at most {LONGEST:,} are read here")
    if not said:
        raise InputError("there is no text yet: type or paste some")
    spec.encode([said])
    return said


def _typing(view: View) -> list[Any]:
    if not isinstance(view.description.inputs, Text) or view.description.inputs.vocabulary is None:
        return []
    value, _ = thumbs.value_of(view)
    box = dmc.Textarea(
        id="sequences-text",
        value=value if isinstance(value, str) else "",
        autosize=True,
        minRows=3,
        maxRows=10,
        placeholder="Type or paste a text …",
        inputProps={"maxLength": LONGEST},
        **{"aria-label": "A text of your own"},
    )
    use = dmc.Button("Read this text", id="sequences-use", size="xs", w="fit-content")
    return [ui.card(dmc.Stack([box, use], gap="xs"), title="A text of your own")]


# ---------------------------------------------------------------- what is asked


def _layer(view: View) -> str | None:
    """Give the recurrent layer of a view: the one in its address, or the first."""
    known = recurrent(view.description)
    asked = (view.state.layer or "").partition("/")[0]
    return next((n for n in known if n in (view.state.layer, asked)), next(iter(known), None))


def _gate(view: View) -> str | None:
    """Give the gate of a view: the one in its address, else the memory of an LSTM or the state."""
    layer = _layer(view)
    if layer is None:
        return None
    gates = recurrent(view.description)[layer]
    asked = view.state.more.get("gate")
    plain = [g.rpartition("/")[2] for g in gates]
    return asked if asked in gates else gates[plain.index("c" if "c" in plain else "h")]


def _unit_of(view: View) -> int | None:
    text = view.state.unit
    return int(text) if text is not None and text.isdecimal() else None


def _ahead(view: View) -> int:
    text = view.state.more.get("ahead", "24")
    if not text.isdecimal() or not 1 <= int(text) <= 500:
        raise ParameterError(f"ahead is a number of steps from 1 to 500, not {text!r}")
    return int(text)


def _follow(view: View) -> str:
    text = view.state.more.get("follow", FOLLOW[0])
    if text not in FOLLOW and not text.startswith("="):
        raise ParameterError(f"follow is one of {', '.join(FOLLOW)}, or = and the tokens that are marked, not {text!r}")
    return text


def _head(view: View) -> int | None:
    text = view.state.more.get("head", "")
    return int(text) if text.isdecimal() else None


def _target(view: View) -> Any:
    """Give the target of the address where this model has it, else None: its own answer decides."""
    try:
        return target_of(view.state.target, view.description)
    except XaikitError:
        return None


def _by_steps(view: View) -> bool:
    """Whether the network gives classes at several steps."""
    layers = view.description.layers
    return isinstance(view.description.outputs, Classes) and bool(layers) and len(layers[-1]["shape"] or ()) == 2


def parts(view: View) -> list[Part]:
    """Give the parts of the page."""
    value, _ = thumbs.value_of(view)
    if value is None:
        return []
    known, key, sample = view.description, view.chosen.key, thumbs.current(view)
    asks = "Follow it step by step" if known.parameters > LARGE else ""
    cost = f"runs the network once for every beginning, {known.parameters:,} parameters" if asks else ""
    given = {"target": _target(view)} if _target(view) is not None else {}
    named = f", {given['target']!r}" if given else ""
    found = []

    def part(name: str, task: str, shown: Any, words: str, *lines: str, **asked: Any) -> Part:
        code = snippet(view, "from xaikit import sequence", *lines, "xk.plot(result)", sample=sample)
        unit = Unit(key, value, parameters=asked, task=task)
        return Part(name, unit, shown, words, asks=asks, cost=cost, taken=bool(lines), code=code if lines else ())

    if isinstance(known.inputs, Text | Series) and isinstance(known.outputs, Classes | Values):
        every = max(1, -(-known.inputs.shape[0] // 400))
        line = f"result = sequence.prefixes(model, x{named}" + (f", every={every})" if every > 1 else ")")
        words = "Running the network on every beginning"
        found.append(part("prefixes", "app-prefixes", lambda r: so_far(view, r), words, line, every=every, **given))
    if _by_steps(view):
        found.append(Part("next", Unit(key, value, task="predict"), lambda r: expected(view, r), "Running the network"))
    if isinstance(known.inputs, Series) and isinstance(known.outputs, Values):
        shown = _truth(view, sample)
        steps = _ahead(view)
        words = "Forecasting step by step"
        found.append(part("forecast", "app-forecast", lambda r: forecasts(view, r, shown), words, steps=steps))
    if attention := _attention_layer(view):
        line = f"result = sequence.attention(model, x, {attention!r})"
        words = "Reading the weights of attention"
        found.append(part("attention", "app-attention", lambda r: looked(view, r), words, line, layer=attention))
    if layer := _layer(view):
        line = f"result = sequence.hidden_states(model, x, {layer!r})"
        found.append(part("states", "app-states", lambda r: inside(view, r), "Reading the gates", line, layer=layer))
        found += _heavier(view, value, layer, given)
    return found


def _heavier(view: View, value: Any, layer: str, given: dict[str, Any]) -> list[Part]:
    """Give the parts that start when somebody asks for them."""
    key, sample, gate, follow = view.chosen.key, thumbs.current(view), _gate(view), _follow(view)
    asked = {"layer": layer, "gate": gate, "follow": follow, **given}
    found = [
        Part(
            "follow",
            Unit(key, value, parameters=asked, task="app-follow"),
            lambda r: followed(view, r),
            "Comparing every unit with 500 rotations",
            asks="Find the units",
            cost="about a second",
            taken=True,
        )
    ]
    line = f"result = sequence.gradient_flow(model, x, {layer!r}{', target=' + repr(given['target']) if given else ''})"
    found.append(
        Part(
            "flow",
            Unit(key, value, parameters={"layer": layer, **given}, task="app-flow"),
            flows,
            "Following the gradient back",
            asks="Follow the gradient back",
            cost="one pass through the network and back",
            taken=True,
            code=snippet(view, "from xaikit import sequence", line, "xk.plot(result)", sample=sample),
        )
    )
    return found


# ---------------------------------------------------------------- what is read


def _read(view: View, value: Any) -> Any:
    spec = view.description.inputs
    if not isinstance(spec, Text):
        return _series(view, value)
    ids = np.asarray(spec.encode([value]))[0]
    names = [str(t) for t in spec.decode(ids[None])[0]] if spec.vocabulary is not None else [str(i) for i in ids]
    own = _own_names(spec, value, names)
    chips = [
        html.Li(
            [html.Span(_visible(own[k]), className="token-name"), html.Span(str(int(i)), className="token-id")],
            className="token unknown" if int(i) == spec.unknown else "token",
            title=f"place {k + 1}, id {int(i)}" + (", not in the vocabulary" if int(i) == spec.unknown else ""),
        )
        for k, i in enumerate(ids)
        if int(i) != spec.pad
    ]
    box = html.Ul(chips, className="tokens", tabIndex=0, **{"aria-label": "Tokens with their ids"})
    return dmc.Stack([dmc.Text(_counted(spec, value, ids), size="sm"), box], gap="xs")


def _own_names(spec: Text, value: Any, names: list[str]) -> list[str]:
    """Give what stood in the text at each place, also where the vocabulary does not have it."""
    if not isinstance(value, str):
        return names
    return [name if token is None else token[0] for name, token in zip(names, spec.placed(value), strict=True)]


def _visible(token: str) -> str:
    return "␣" if token == " " else token


def _counted(spec: Text, value: Any, ids: Array) -> str:
    read, unknown = int((ids != spec.pad).sum()), int((ids == spec.unknown).sum())
    said = [f"{read:,} {_tokens(spec, read)} with their ids"]
    if read < len(ids):
        side = {"left": "before", "right": "after"}[spec.pad_side]
        said.append(f"{len(ids) - read:,} places of padding (id {spec.pad}) {side} them")
    cut = spec.remarks([value]).get("truncated") if isinstance(value, str) else None
    if cut:
        side = {"left": "beginning", "right": "end"}[cut["side"]]
        said.append(f"{cut['tokens'][0]:,} more at the {side} were cut off: it reads {spec.length:,} at most")
    if unknown:
        are = "is" if unknown == 1 else "are"
        said.append(f"{unknown:,} {are} not in the vocabulary (id {spec.unknown}), all the same to the network")
    return "; ".join(said) + "."


def _tokens(spec: Text, count: int) -> str:
    name = "character" if spec.tokenizer == "characters" else "token"
    return name if count == 1 else f"{name}s"


def _series(view: View, value: Any) -> Any:
    spec = view.description.inputs
    y = np.asarray(value, np.float64).reshape(len(value), -1)
    panel = CurvePanel(
        traces=tuple(Trace(f"channel {c}", np.arange(len(y)), y[:, c], c) for c in range(min(y.shape[1], 6))),
        x_label="step",
        alt=f"{len(y)} steps of {y.shape[1]} channel{'s' * (y.shape[1] != 1)}, {tiles.reach(y)}.",
    )
    rate = getattr(spec, "rate", None)
    every = f", one every {spell(1 / rate)}" if rate else ""
    return dmc.Stack([dmc.Text(f"{len(y):,} steps{every}.", size="sm"), exhibit(panel)], gap="xs")


def _names_of(view: View, value: Any, present: Array) -> tuple[list[str], str]:
    """Give what the steps that are no padding are called, and how wide they are written."""
    spec = view.description.inputs
    if isinstance(spec, Text):
        ids = np.asarray(spec.encode([value]))
        names = [str(t) for t in spec.decode(ids)[0]] if spec.vocabulary is not None else [str(i) for i in ids[0]]
        own = _own_names(spec, value, names)
        shown = [_visible(own[k]) for k in np.flatnonzero(present)]
        return shown, "letters" if spec.tokenizer == "characters" else "words"
    return [str(k) for k in np.flatnonzero(present)], "steps"


# ---------------------------------------------------------------- the answer so far


def _asked_about(view: View) -> Any:
    options = [(t["value"], t["label"]) for t in targets(view.description)]
    if len(options) < 2 or (_by_steps(view) and isinstance(view.description.inputs, Text) and len(options) > 40):
        return None
    chosen = view.state.target if any(v == view.state.target for v, _ in options) else ""
    own = ("", "what it answers in the end")
    return choosing.choices(
        choosing.pick(PATH, "target", "Score of", [own, *options], chosen or "", w={"base": "100%", "sm": 260})
    )


def so_far(view: View, found: Prefixes) -> Any:
    """Give the score after every step that was read, above the tokens."""
    value, _ = thumbs.value_of(view)
    scores = found.scores[0][np.isfinite(found.scores[0])]
    lengths = found.lengths[0][: len(scores)].astype(int)
    there = view.description.inputs.present(np.asarray(found.x))
    present = np.ones(np.asarray(found.x).shape[1], bool) if there is None else np.asarray(there)[0]
    names, kind = _names_of(view, value, present)
    names = [names[min(n, len(names)) - 1] for n in lengths] if names else [str(n) for n in lengths]
    change = np.diff(scores, prepend=np.nan)
    said = [
        f"{name!r} read, {n} of {lengths[-1]}: score {number(float(s))}"
        + ("" if np.isnan(c) else f", changed by {_signed(float(c))}")
        for name, n, s, c in zip(names, lengths, scores, change, strict=True)
    ]
    panel = next(iter(panels(found).panels))
    line = strips.curve(scores, panel.alt)
    ends = html.Div(
        [html.Span(number(float(scores.max()))), html.Span(number(float(scores.min())))], className="strip-ends"
    )
    words = (
        f"The {_score_name(found.origin.score)} of {_quoted(found.target[0])} after every beginning; {found.how}. "
        f"{' '.join(panel.facts)}"
    )
    return dmc.Stack(
        [
            dmc.Text(words, size="sm"),
            html.Div([ends, strips.strip(names, said, [line], "Score after every beginning", kind)], className="ruled"),
            _largest_changes([f"step {n}" for n in names] if kind == "steps" else names, change),
            *in_words(panel),
        ],
        gap="xs",
    )


def _score_name(score: str | None) -> str:
    return {"logit": "score (the logit)", "output": "output"}.get(score or "", score or "score")


def _quoted(label: str) -> str:
    return f"“{label}”" if label.strip() else "a space"


def _signed(value: float) -> str:
    return ("+" if value >= 0 else "−") + number(abs(value))


def _largest_changes(names: Sequence[str], change: Array) -> Any:
    """Say which tokens moved the score most, both ways."""
    order = [int(k) for k in np.argsort(-np.nan_to_num(np.abs(change)), kind="stable")[:8] if np.nan_to_num(change[k])]
    if not order:
        return dmc.Text("The score does not change on the way.", size="sm")
    told = [
        f"{names[k]} {_signed(float(change[k]))}"
        if not names[k].isdecimal()
        else f"step {names[k]} {_signed(float(change[k]))}"
        for k in order
    ]
    return dmc.Text(f"It changed most at: {', '.join(told)}.", size="sm")


# ---------------------------------------------------------------- what is expected at each step


def _next_title(view: View) -> str:
    return "What it expects next" if _reads_as_it_answers(view) else "What it answers, step by step"


def _reads_as_it_answers(view: View) -> bool:
    """Whether the network answers at each step of its input."""
    return bool(view.description.layers[-1]["shape"][0] == view.description.inputs.shape[0])


def expected(view: View, found: Prediction) -> Any:
    """Give the most probable answers at each step."""
    spec = view.description.outputs
    shares = np.asarray(spec.probabilities(np.asarray(found.output)[0]))
    steps = np.arange(len(shares))
    value, _ = thumbs.value_of(view)
    names, kind = [str(k + 1) for k in steps], "letters"
    if _reads_as_it_answers(view) and isinstance(view.description.inputs, Text):
        present = np.asarray(view.description.inputs.present(view.description.inputs.encode([value])))[0]
        steps = np.flatnonzero(present)
        names, kind = _names_of(view, value, present)
    order = np.argsort(-shares, axis=-1, kind="stable")[:, :EXPECTED]
    columns = [[(_visible(spec.label(int(k))), float(shares[s, k])) for k in order[s]] for s in steps]
    said = [
        f"{'after ' + repr(name) if _reads_as_it_answers(view) else 'step ' + name}: "
        + ", ".join(f"{label} {probability(p)}" for label, p in column)
        for name, column in zip(names, columns, strict=True)
    ]
    sure = float(np.mean([column[0][1] for column in columns]))
    first = "".join(column[0][0] for column in columns)
    words = f"The {len(columns[0])} most probable answers at each step, best first; darker is more probable."
    best = f"The best of each: {first}." if not _reads_as_it_answers(view) else _hits(names, columns)
    mean = f"Its best answer has {probability(sure)} on average."
    rows = (
        (name, *(f"{label} {probability(p)}" for label, p in column))
        for name, column in zip(names, columns, strict=True)
    )
    headers = ("step" if kind == "letters" else "token", *(f"{k + 1}." for k in range(len(columns[0]))))
    return dmc.Stack(
        [
            dmc.Text(f"{words} {best} {mean}", size="sm"),
            strips.strip(names, said, [strips.words(columns)], "Most probable answers", kind),
            folded(headers, rows, "Most probable answers"),
        ],
        gap="xs",
    )


def _hits(names: Sequence[str], columns: Sequence[Sequence[tuple[str, float]]]) -> str:
    """Say how often what came next was the best answer before it."""
    pairs = list(zip(columns[:-1], names[1:], strict=True))
    right = sum(column[0][0] == name for column, name in pairs)
    return f"What came next was its best answer in {right} of {len(pairs)} steps." if pairs else ""


# ---------------------------------------------------------------- forecasts


def _truth(view: View, sample: str | None) -> Array | None:
    """Give what came after a sample of the test data, where the samples are windows one step apart."""
    kind, _, place = (sample or "").rpartition("-")
    if kind != "test" or not place.isdecimal():
        return None
    try:
        whole = np.asarray(view.services.sample(view.chosen, view.description, f"test-{place}"), np.float64)
        steps, found = _ahead(view), []
        for k in range(1, steps + 1):
            after = np.asarray(
                view.services.sample(view.chosen, view.description, f"test-{int(place) + k}"), np.float64
            )
            if not np.allclose(after[:-1], whole[1:]):
                break
            found.append(after[-1])
            whole = after
    except XaikitError:
        return np.stack(found) if found else None
    return np.stack(found) if found else None


def forecasts(view: View, found: Forecast, truth: Array | None) -> Any:
    """Give the series, what is forecast behind it, and what came where that is known."""
    n, channels = found.given.shape
    before, ahead = np.arange(n), np.arange(n - 1, n + len(found.ahead))
    traces = []
    for c in range(min(channels, 2)):
        traces.append(Trace("given" if channels == 1 else f"given, channel {c}", before, found.given[:, c], 2 * c))
        joined = np.concatenate([found.given[-1:, c], found.ahead[:, c]])
        traces.append(Trace("forecast" if channels == 1 else f"forecast, channel {c}", ahead, joined, 2 * c + 1, True))
    told = f"The first {found.once}" if found.once > 1 else "The first"
    words = (
        f"{told} of {len(found.ahead)} steps is forecast from the series alone; each later one from forecasts before "
        "it too, so errors add up."
    )
    error = ""
    if truth is not None and len(truth):
        known = np.asarray(truth).reshape(len(truth), -1)[: len(found.ahead)]
        traces.append(Trace("what came", np.arange(n, n + len(known)), known[:, 0], 5))
        gap = np.abs(known - found.ahead[: len(known)])
        error = (
            f" What came is known for {len(known)} steps: the first is off by {number(float(gap[0].mean()))}, "
            f"all by {number(float(gap.mean()))} on average."
        )
    last = number(float(found.ahead[-1, 0]))
    panel = CurvePanel(
        traces=tuple(traces),
        x_label="step",
        alt=f"The forecast begins at {number(float(found.ahead[0, 0]))} and ends at {last}.{error}",
    )
    return dmc.Stack([dmc.Text(words + error, size="sm"), exhibit(panel)], gap="xs")


# ---------------------------------------------------------------- attention


def _attention_layer(view: View) -> str | None:
    known = attentive(view.description)
    asked = view.state.more.get("attention")
    return asked if asked in known else next(iter(known), None)


def _heads(view: View) -> Any:
    known = attentive(view.description)
    layer = _attention_layer(view)
    shape = next((la.shape for la in view.description.graph if la.name == layer), ()) or ()
    heads = int(shape[0] or 0) if len(shape) == 3 else 0
    picks = []
    if len(known) > 1:
        picks.append(choosing.pick(PATH, "attention", "Layer", [(n, n) for n in known], str(layer)))
    if heads:
        options = [("mean", "mean of all"), *((str(k), f"head {k}") for k in range(heads))]
        head = _head(view)
        picks.append(choosing.pick(PATH, "head", "Head", options, "mean" if head is None else str(head)))
    return choosing.choices(*picks) if picks else None


def looked(view: View, found: AttentionMap) -> Any:
    """Give the targets, each of which shows its sources when it is pointed at, and the whole as a map."""
    head = _head(view) if "head" in found.axes else None
    weights = found.head(head)[0]
    asked, seen = (np.flatnonzero(np.isfinite(weights).any(axis)) for axis in (1, 0))
    shown = np.nan_to_num(weights[np.ix_(asked, seen)])
    target = [_visible(found.target[0][k]) for k in asked]
    source = [_visible(found.source[0][k]) for k in seen]
    peaks = shown.argmax(1)
    looks = [
        html.Button(name, type="button", className="look", title=_look(name, source, row), **{"data-look": str(k)})
        for k, (name, row) in enumerate(zip(target, shown, strict=True))
    ]
    together = html.Div(
        [
            html.Div([html.Span("answered", className="looks-word"), *looks], className="looks-row"),
            html.Div(
                [html.Span("read", className="looks-word"), *(html.Span(s, className="source") for s in source)],
                className="looks-row",
            ),
            html.Div("Point at an answer to see what it looked at.", className="strip-said", role="status"),
        ],
        className="looks",
        **{
            "data-weights": json.dumps([[float(f"{v:.3g}") for v in row] for row in shown]),
            "data-said": json.dumps([_look(n, source, row) for n, row in zip(target, shown, strict=True)]),
        },
    )
    pairs = ", ".join(f"{t} at {source[int(p)]}" for t, p in zip(target, peaks, strict=True))
    spread = found.entropy[0] if found.entropy.ndim == 2 else np.nanmean(found.entropy[0], axis=0)
    words = (
        f"Each answer's strongest look: {pairs}. The looks spread over {number(float(2 ** np.nanmean(spread)), 2)} "
        "places on average."
    )
    drawn = list(panels(found).panels)
    panel = drawn[min(head or 0, len(drawn) - 1)]
    return dmc.Stack(
        [
            together,
            dmc.Text(words, size="sm"),
            exhibit(panel),
            dmc.Text("It says where the network looked, not why it answered.", size="xs", c="dimmed"),
        ],
        gap="sm",
    )


def _look(name: str, source: Sequence[str], row: Array) -> str:
    order = np.argsort(-row, kind="stable")[:4]
    said = ", ".join(f"{source[int(k)]} (place {int(k) + 1}) {probability(float(row[k]))}" for k in order if row[k] > 0)
    return f"{name} looks at {said}"


# ---------------------------------------------------------------- states and gates


def _inside(view: View) -> Any:
    known = recurrent(view.description)
    layer, gate = str(_layer(view)), str(_gate(view))
    order = view.state.more.get("order", "number")
    picks = []
    if len(known) > 1:
        picks.append(choosing.pick(PATH, "layer", "Layer", [(n, n) for n in known], layer))
    options = [(g, _gate_words(g)) for g in known[layer]]
    picks.append(choosing.pick(PATH, "gate", "Gate or state", options, gate, w={"base": "100%", "sm": 330}))
    picks.append(choosing.pick(PATH, "order", "Units", ORDERS, order if order in dict(ORDERS) else "number"))
    return choosing.choices(*picks)


def _gate_words(gate: str) -> str:
    way, _, plain = gate.rpartition("/")
    return f"{way + ' · ' if way else ''}{plain} · {GATES.get(plain, plain)}"


def inside(view: View, found: HiddenStates) -> Any:
    """Give one gate of a layer: units by steps, and one unit as a line and in the text."""
    gate = str(_gate(view))
    there = np.flatnonzero(found.present[0])
    values = found.values[gate][0, there].T.astype(np.float64)
    order, unit = _ordered(view, values), _unit_of(view)
    unit = unit if unit is not None and unit < len(values) else None
    value, _ = thumbs.value_of(view)
    on_input = found.tokens is not None or found.steps == len(np.asarray(view.description.inputs.encode([value]))[0])
    names, kind = _names_of(view, value, found.present[0]) if on_input else ([str(k + 1) for k in there], "steps")
    plain = gate.rpartition("/")[2]
    scale = Scale(1.0, "", "sequential") if plain in SHARES else tiles.scale_of([values], "", robust=True)
    panel = next(p for p in panels(found).panels if p.title.startswith(f"{gate} ·"))
    at = int(np.flatnonzero(order == unit)[0]) if unit is not None else None
    rows: list[Any] = [strips.heat(values[order], scale, [f"unit {k}" for k in order], panel.alt, at)]
    said = [f"{name!r}: mean {number(float(m))}" for name, m in zip(names, values.mean(0), strict=True)]
    if unit is not None:
        rows.insert(0, strips.curve(values[unit], f"Unit {unit}, {tiles.reach(values[unit])}"))
        own = zip(said, values[unit], strict=True)
        said = [f"{word}; unit {unit}: {number(float(v))}" for word, v in own]
    words = (
        f"{gate} of {found.layer} ({found.kind.upper()}): {len(values)} units down, {len(there)} steps across. "
        "Press a row to look at its unit."
    )
    picker = dmc.NumberInput(
        id="sequences-unit",
        value="" if unit is None else unit,
        min=0,
        max=len(values) - 1,
        label="Unit",
        size="xs",
        w=90,
        clampBehavior="strict",
        debounce=True,
    )
    shown = [
        dmc.Text(words, size="sm"),
        dmc.Group([picker, _strongest(view, values)], gap="md", align="flex-end"),
        tiles.key(scale, "", ""),
        html.Div(strips.strip(names, said, rows, f"{gate} of {found.layer}", kind), className="states-strip"),
        *in_words(panel),
    ]
    if found.status.reasons:
        shown.append(dmc.Text(f"Caution: {'; '.join(found.status.reasons)}.", size="sm"))
    if unit is not None:
        shown.append(exhibits(found.unit(unit, gate=gate), title=True))
    return dmc.Stack(shown, gap="xs")


def _ordered(view: View, values: Array) -> Array:
    """Give the units in the order asked for: by number, by their largest size, or by how much they change."""
    order = view.state.more.get("order")
    if order == "strength":
        return np.argsort(-np.abs(values).max(1), kind="stable")
    if order == "activity":
        return np.argsort(-values.std(1), kind="stable")
    return np.arange(len(values))


def _strongest(view: View, values: Array) -> Any:
    order = np.argsort(-values.std(1), kind="stable")[:STRONGEST]
    links = [
        html.Li(
            dcc.Link(
                str(int(k)),
                href=view.state.at(unit=str(int(k))).href,
                title=f"varies by {number(float(values[k].std()))}",
            )
        )
        for k in order
    ]
    return html.Div(
        [dmc.Text("Those that change most:", size="sm", span=True), html.Ul(links, className="units")],
        className="unit-list",
    )


# ---------------------------------------------------------------- which units follow


def _following(view: View) -> Any:
    follow = _follow(view)
    named = {"answer": "the answer so far", "change": "how the answer changes", "position": "how much has been read"}
    options = [(k, named[k]) for k in FOLLOW]
    if follow.startswith("="):
        options.append((follow, f"the marked: {follow[1:]}"))
    own = []
    if isinstance(view.description.inputs, Text):
        letters = view.description.inputs.tokenizer == "characters"
        own = [
            dmc.TextInput(
                id="sequences-marked",
                label="Or mark characters" if letters else "Or mark words",
                placeholder=". , ! ?" if letters else "not never no",
                size="xs",
                inputProps={"maxLength": 40},
                value=follow[1:] if follow.startswith("=") else "",
            ),
            dmc.Button("Mark", id="sequences-mark", size="xs", variant="default"),
        ]
    return choosing.choices(choosing.pick(PATH, "follow", "Which units follow", options, follow), *own)


def followed(view: View, found: UnitScores) -> Any:
    """Give the units that follow best, each a link to it, with the whole as bars."""
    best = found.order[:STRONGEST]
    sure = int((found.p_values < 0.05).sum())
    rows = [
        (
            f"unit {int(k)}",
            view.state.at(unit=str(int(k))).href,
            float(found.scores[k]) - (found.measure == "auroc") / 2,
        )
        for k in best
    ]
    what = "area under the ROC curve − 0.5" if found.measure == "auroc" else "correlation"
    words = (
        f"{sure} of {len(found.scores)} units of {found.gate} follow it more than chance would (p below 0.05, for the "
        f"best of all units over {found.rotations:,} rotations). Bars: {what}."
    )
    panel = next(iter(panels(found).panels))
    return dmc.Stack(
        [dmc.Text(words, size="sm"), tiles.bars(rows, "Units that follow best"), *in_words(panel)], gap="xs"
    )


def flows(found: GradientFlow) -> Any:
    """Give how large the gradient is by how far back it has come."""
    model = f"{found.origin.model}, {spoken(found.origin.framework)}"
    return dmc.Stack([exhibits(found), dmc.Text(model, size="xs", c="dimmed")], gap="xs")
