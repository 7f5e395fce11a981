"""Convolution: one channel of a layer at work on a sample, place by place, with the numbers of this network."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import Dash, Input, Output, State, dcc, html

from xaikit.arrays import Array
from xaikit.errors import UnknownName
from xaikit.figures import Scale, number, stops
from xaikit.graph import Layer
from xaikit.jobs import Unit
from xaikit_app import thumbs, ui
from xaikit_app.graphs import kind_words
from xaikit_app.pages import View
from xaikit_app.parts import Part, fill
from xaikit_app.parts import register as register_parts
from xaikit_app.services import Services
from xaikit_app.snippets import snippet
from xaikit_app.taking import python
from xaikit_app.work.describe import Description
from xaikit_app.work.layers import AT_WORK, AtWork

PATH, TITLE, ICON, ORDER = "convolution", "Convolution explorer", "window", 35
GROUP = "Look inside"
CLOSE = 1e-4
"""Up to this share of the largest value two ways to calculate a layer count as equal."""
STOPS = 65


def lacks(description: Description) -> str | None:
    """Say why a model has nothing to follow, or None."""
    if not description.layers:
        return "it is a function that gives answers, and shows no layers"
    if not _followed(description.graph):
        return "none of its layers is a convolution, a pooling or a dense layer"
    return None


def layout(view: View) -> Any:
    """Give the page: what is followed, the sample, and the layer at work."""
    lead = (
        "Follow one channel of a layer over a sample: the window of the input, the weights it is multiplied by, "
        "and the number that comes out, at every place."
    )
    known = _followed(view.description.graph)
    layer = _layer(view, known)
    if layer is None:
        error = UnknownName("layer to be followed", str(view.state.layer), [la.name for la in known])
        here = view.state.at(layer=None, unit=None)
        return ui.page(TITLE, lead, ui.problem(error), dmc.Anchor("Go on with the first one", href=here.href))
    places, machinery = fill(PATH, view, parts(view))
    _, why = thumbs.value_of(view)
    stage = places.get("work") or ui.empty(f"There is nothing to follow: {why}")
    return ui.page(
        TITLE,
        lead,
        ui.card(_choice(view, known, layer), thumbs.chooser(PATH, view), title="What is followed"),
        ui.card(stage, title=f"{layer.name} at work, {_channel_word(layer)} {_channel(view)}"),
        html.Div(machinery),
    )


def register(app: Dash, services: Services) -> None:
    """Add the callbacks."""
    register_parts(app, services, PATH, parts, View)
    thumbs.register(app, services, PATH)
    app.clientside_callback(
        "function (...given) { return window.dash_clientside.convolution.choose(...given); }",
        Output("url", "href", allow_duplicate=True),
        Input("convolution-layer", "value"),
        Input("convolution-channel", "value"),
        State("convolution-chosen", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        "function (...given) { return window.dash_clientside.convolution.begin(...given); }",
        Output("convolution-stage", "data-ready"),
        Input("convolution-data", "data"),
    )


# ---------------------------------------------------------------- what is followed


def _followed(graph: Sequence[Layer]) -> list[Layer]:
    return [layer for layer in graph if layer.kind in AT_WORK]


def _layer(view: View, known: Sequence[Layer]) -> Layer | None:
    """Find the layer that is followed; of a layer that cannot be, the last before it that can."""
    name = view.state.layer
    if name is None:
        return known[0]
    chosen = next((la for la in known if la.name == name), None)
    names = [la.name for la in view.description.graph]
    if chosen is None and name in names:
        before = [la for la in known if names.index(la.name) < names.index(name)]
        return before[-1] if before else known[0]
    return chosen


def _channel(view: View) -> int:
    text = view.state.unit or "0"
    return int(text) if text.isdecimal() and len(text) < 9 else 0


def _channel_word(layer: Layer) -> str:
    return "unit" if layer.kind == "dense" else "channel"


def _choice(view: View, known: Sequence[Layer], layer: Layer) -> Any:
    count = layer.shape[-1] if layer.shape else None
    named = [{"value": la.name, "label": f"{la.name} · {kind_words(la.kind)}"} for la in known]
    href = view.state.at(page="layers", layer=layer.name, unit=str(_channel(view)), more={}).href
    return dmc.Group(
        [
            dmc.Select(
                id="convolution-layer",
                label="Layer",
                data=named,
                value=layer.name,
                searchable=True,
                allowDeselect=False,
                size="sm",
                w=260,
            ),
            dmc.NumberInput(
                id="convolution-channel",
                label=f"Output {_channel_word(layer)}" + (f", 0 to {count - 1}" if count else ""),
                value=_channel(view),
                min=0,
                max=count - 1 if count else None,
                allowDecimal=False,
                debounce=500,
                size="sm",
                w=180,
            ),
            dcc.Link("The page of this unit", href=href, className="convolution-back"),
            dcc.Store(id="convolution-chosen", data=[layer.name, _channel(view)]),
        ],
        gap="md",
        align="flex-end",
        mb="sm",
    )


def parts(view: View) -> list[Part]:
    """Give the part of the page: the layer at work."""
    layer = _layer(view, _followed(view.description.graph))
    value, _ = thumbs.value_of(view)
    if layer is None or value is None:
        return []
    asked: dict[str, Any] = {"layer": layer.name, "channel": _channel(view)}
    first = view.state.more.get("in", "")
    if first.isdecimal() and len(first) < 9:
        asked["first"] = int(first)
    ask = Unit(view.chosen.key, value, parameters=asked, task="app-convolution")
    return [Part("work", ask, lambda found: _shown(view, layer, found), "Running the network on the sample")]


# ---------------------------------------------------------------- the layer at work


def _shown(view: View, layer: Layer, found: AtWork) -> Any:
    words = _told(layer, found)
    return dmc.Stack(
        [
            dmc.Text(words, size="sm", c="dimmed"),
            html.Div(
                id="convolution-stage",
                className="stage",
                role="group",
                **{"aria-label": f"{layer.name} at work", "data-ready": ""},
            ),
            _check(found),
            dcc.Store(id="convolution-data", data=sent(view, found)),
            python(_code(view, layer, found)),
        ],
        gap="sm",
    )


def _told(layer: Layer, found: AtWork) -> str:
    """Say in words what the layer does, with its own sizes."""
    size = " × ".join(str(t.shape[1]) for t in found.taps[-max(found.rank, 1) :])
    inputs = f"{found.width} input channel{'s' * (found.width != 1)}"
    if found.rank == 0:
        return f"The unit multiplies each of {found.width} inputs by a weight and adds them up, with its bias."
    if found.flat:
        return f"The unit looks at the whole of what comes before it: one window of {size} over {inputs}."
    if found.rule in ("max", "average", "mean") or found.kernel is None:
        what = "largest" if found.rule == "max" else "mean"
        kind = kind_words(layer.kind).capitalize()
        return f"{kind}: it takes the {what} of each window of {size}, of this channel alone.{_steps(found)}"
    turned = " Each place gathers from the inputs that reach it." if layer.kind == "conv_transposed" else ""
    return f"{kind_words(layer.kind).capitalize()}: a window of {size} over {inputs}.{_steps(found)}{turned}"


def _steps(found: AtWork) -> str:
    outside = sum(int((t < 0).any()) for t in found.taps)
    stride = " × ".join(map(str, found.stride))
    said = f" It moves by {stride}." if found.stride and set(found.stride) != {1} else " It moves place by place."
    blank = "takes no part" if found.kernel is None else "counts as 0"
    return said + (f" Around the input lies padding, which {blank}." if outside else "")


def _check(found: AtWork) -> Any:
    """Say whether this arithmetic gives what the network itself gave."""
    if found.gap is None:
        return dmc.Text("The function inside this layer is not followed; its result is the network's.", size="xs")
    if found.gap <= CLOSE:
        words = (
            f"Checked at every place: the network itself gave the same, up to {number(found.gap, 1)} of the largest."
        )
        return dmc.Text(words if found.gap else "Checked at every place: the network itself gave the same.", size="xs")
    words = (
        f"The network gave other numbers here, up to {100 * found.gap:.0f} % of the largest value apart: "
        "it does more in this layer than what is shown."
    )
    return ui.hint(words)


def sent(view: View, found: AtWork) -> dict[str, Any]:
    """Give what a browser needs to follow every number: arrays as base64 of little-endian float32."""
    place = view.state.more.get("place", "")
    best = np.unravel_index(int(np.abs(found.sums).argmax()), found.sums.shape)
    at = [int(p) for p in place.split(",")] if _is_place(place, found.sums.shape) else [int(p) for p in best]
    first = view.state.more.get("in", "")
    return {
        "layer": found.layer,
        "kind": found.kind,
        "rule": found.rule,
        "rank": found.rank,
        "x": _sent(found.x),
        "shape": list(found.x.shape),
        "kernel": None if found.kernel is None else _sent(found.kernel),
        "inputs": [int(c) for c in found.inputs],
        "width": found.width,
        "bias": found.bias,
        "taps": [t.tolist() for t in found.taps],
        "spans": [s.tolist() for s in found.spans],
        "sums": _sent(found.sums),
        "out": list(found.sums.shape),
        "rest": None if found.rest is None else _sent(found.rest),
        "after": [
            {"name": name, "kind": kind_words(kind), "values": _sent(values)}
            for (name, kind), values in zip(found.after, found.then, strict=True)
        ],
        "at": at,
        "input": int(first) if first.isdecimal() and len(first) < 9 else None,
        "colours": {kind: _colours(kind) for kind in ("diverging", "sequential")},
    }


def _is_place(text: str, shape: tuple[int, ...]) -> bool:
    cells = text.split(",")
    whole = len(cells) == len(shape) and all(c.isdecimal() and len(c) < 9 for c in cells)
    return whole and all(int(c) < n for c, n in zip(cells, shape, strict=True))


def _sent(values: Array) -> str:
    return b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode("ascii")


def _colours(kind: Any) -> list[list[int]]:
    found = []
    for _, (r, g, b, alpha) in stops(Scale(1.0, kind=kind), count=STOPS):
        mixed = np.array([r, g, b]) * alpha + (1 - alpha)
        found.append([round(255 * float(c)) for c in mixed])
    return found


def _code(view: View, layer: Layer, found: AtWork) -> Sequence[str]:
    """Give the lines that show the same with the library; for what is not a plain convolution, the layer's numbers."""
    sample = thumbs.current(view)
    g, before = layer.geometry, layer.parents[0] if layer.parents else "input"
    plain = layer.kind == "conv" and g is not None and not found.flat and before != "input"
    if not plain or g is None:
        return snippet(view, f'xk.plot(xk.activations(model, x, "{layer.name}"))', sample=sample)
    padding = '"same"' if g.mode == "same" else repr(tuple(g.padding))
    return snippet(
        view,
        f'before = xk.activations(model, x, "{before}")["{before}"][0]',
        f'kernel = xk.filters(model, "{layer.name}")[[{found.channel}]]',
        f'steps = xk.explore(before, "cross-correlation", kernel=kernel, stride={g.stride}, padding={padding})',
        "xk.plot(steps)",
        sample=sample,
    )


__all__: Sequence[str] = ["layout", "parts", "register", "sent"]
