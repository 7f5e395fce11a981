"""Layers: what the layers of a network look for, and what they make of a sample; down to a single unit."""

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import Dash, Input, Output, dcc, html

from xaikit.arrays import Array
from xaikit.errors import UnknownName
from xaikit.figures import BarPanel, CurvePanel, TilesPanel, Trace, number, panels
from xaikit.graph import Layer
from xaikit.jobs import Unit
from xaikit.results import Activations, Filters, TopPatches
from xaikit_app import cohorts, sights, thumbs, tiles, ui
from xaikit_app.graphs import branches, kind_words, tree
from xaikit_app.pages import View, _deeper
from xaikit_app.parts import Part, fill
from xaikit_app.parts import register as register_parts
from xaikit_app.pictures import panel_body
from xaikit_app.samples import Sample
from xaikit_app.services import Services
from xaikit_app.snippets import snippet
from xaikit_app.tiles import Tile
from xaikit_app.work.describe import Description
from xaikit_app.work.layers import AT_WORK

PATH, TITLE, ICON, ORDER = "layers", "Layers", "layers", 30
GROUP = "Look inside"
AT_ONCE = 64
"""How many filters or maps are shown at a time."""
WITH_FILTERS = ("conv", "conv_transposed", "dense")
SLICES = 64
PATCHES = 48
"""As many samples a unit is shown without being asked."""


def lacks(description: Description) -> str | None:
    """Say why the inside of a model cannot be shown, or None."""
    return None if description.layers else "it is a function that gives answers, and shows no layers"


def layout(view: View) -> Any:
    """Give the page: the list of layers, and beside it the chosen layer or unit."""
    graph = view.description.graph
    lead = "What each layer looks for, and what it makes of a sample. Choose a layer, then one of its units."
    return ui.page("Layers", lead, html.Div([_list(view, graph), _beside(view, graph)], className="beside"))


def register(app: Dash, services: Services) -> None:
    """Add the callbacks."""
    register_parts(app, services, PATH, parts, View)
    thumbs.register(app, services, PATH)
    app.clientside_callback(
        "function (...given) { return window.dash_clientside.layers.ready(...given); }",
        Output("layers-count", "children"),
        Input("layers-search", "value"),
        Input("layers-list", "children"),
    )


# ---------------------------------------------------------------- the list


def _list(view: View, graph: Sequence[Layer]) -> Any:
    chosen = _name(view, graph)
    about = {layer.name: _about(layer) for layer in graph}
    hrefs = {layer.name: _to(view, layer=layer.name, unit=None) for layer in graph}
    return html.Nav(
        [
            dmc.TextInput(
                id="layers-search",
                placeholder="find by name or kind",
                size="xs",
                debounce=False,
                persistence=view.chosen.name,
                persistence_type="session",
                **{"aria-label": "Find a layer"},
            ),
            html.Div(f"{len(graph)} layers", id="layers-count", className="quiet", role="status"),
            tree(branches(view.description), chosen, about, hrefs, view.chosen.key),
        ],
        className="side",
        **{"aria-label": "Layers of the network"},
    )


def _about(layer: Layer) -> str:
    size = f" · {layer.parameters:,}" if layer.parameters else ""
    return f"{kind_words(layer.kind)} · {shape_of(layer)}{size}"


def shape_of(layer: Layer) -> str:
    """Write the shape of what a layer gives, "?" where it varies."""
    return " × ".join("?" if n is None else f"{n:,}" for n in layer.shape) or "1"


def _name(view: View, graph: Sequence[Layer]) -> str:
    """Name the chosen layer, or the first one with filters."""
    if view.state.layer:
        return str(view.state.layer)
    return next((la.name for la in graph if la.kind in WITH_FILTERS), graph[0].name)


def _to(view: View, **changes: Any) -> str:
    kept = (cohorts.KEY,) if "layer" in changes else (cohorts.KEY, "order")
    more = {k: v for k, v in view.state.more.items() if k in kept}
    return view.state.at(**{"more": more, "sample": thumbs.current(view), **changes}).href


# ---------------------------------------------------------------- a layer


def _beside(view: View, graph: Sequence[Layer]) -> Any:
    layer = next((la for la in graph if la.name == _name(view, graph)), None)
    if layer is None:
        error = UnknownName("layer", _name(view, graph), [la.name for la in graph])
        way_on = dmc.Anchor("Go on with the first layer", href=_to(view, layer=None, unit=None))
        return dmc.Stack([ui.problem(error, "There is no such layer"), way_on], gap="sm", className="main-side")
    if view.state.unit is not None and not view.state.unit.isdecimal():
        error = UnknownName("unit", view.state.unit, ())
        return dmc.Stack([ui.problem(error, "Units have numbers"), _up(view, layer)], gap="sm", className="main-side")
    places, machinery = fill(PATH, view, parts(view))
    cards = _unit(view, layer, places) if view.state.unit is not None else _layer(view, layer, graph, places)
    return dmc.Stack([*cards, html.Div(machinery)], gap="md", className="main-side")


def parts(view: View) -> list[Part]:
    """Give the parts of the page: the filters of the layer, and what it makes of the sample."""
    graph = view.description.graph
    layer = next((la for la in graph if la.name == _name(view, graph)), None)
    if layer is None:
        return []
    unit = int(view.state.unit) if view.state.unit is not None and view.state.unit.isdecimal() else None
    found = [*_filters_part(view, layer, unit), *_maps_part(view, layer, unit)]
    if unit is None:
        return [*found, *_deeper.of_layer(view, layer, _first(view), lambda k: _to(view, unit=str(k)))]
    return [*found, *_gallery_part(view, layer, unit), *_deeper.of_unit(view, layer, unit)]


def _filters_part(view: View, layer: Layer, unit: int | None) -> list[Part]:
    if layer.kind not in WITH_FILTERS:
        return []
    asked = {"layer": layer.name, "first": _first(view) if unit is None else unit}
    asked["count"] = AT_ONCE if unit is None else 1
    shown = (lambda r: _filters(view, r)) if unit is None else (lambda r: _kernel(r))
    ask = Unit(view.chosen.key, None, parameters=asked, task="app-filters")
    code = snippet(view, f'found = xk.filters(model, "{layer.name}")', "xk.plot(found)")
    return [Part("filters", ask, shown, "Reading the filters", taken=True, code=code)]


def _maps_part(view: View, layer: Layer, unit: int | None) -> list[Part]:
    value, _ = thumbs.value_of(view)
    if value is None:
        return []
    asked = {"layer": layer.name}
    ask = Unit(view.chosen.key, value, parameters=asked, task="app-activations")
    answer = (lambda r: _maps(view, layer, r)) if unit is None else (lambda r: _answer(view, layer, unit, r))
    lines = (f'found = xk.activations(model, x, "{layer.name}")', "xk.plot(found)")
    code = snippet(view, *lines, sample=thumbs.current(view))
    fields = Unit(view.chosen.key, None, parameters=asked, task="app-fields")
    return [
        Part("maps", ask, answer, "Running the network on the sample", taken=True, code=code),
        Part("fields", fields, sights.table, "Finding out what its units see"),
    ]


def _first(view: View) -> int:
    text = view.state.more.get("from", "0")
    return int(text) // AT_ONCE * AT_ONCE if text.isdecimal() and len(text) < 9 else 0


def _layer(view: View, layer: Layer, graph: Sequence[Layer], places: dict[str, Any]) -> list[Any]:
    head = ui.card(ui.facts(_facts(layer)), _at_work(view, layer), title=f"Layer {layer.name}")
    cards = [
        head,
        ui.card(_sampled(view, places), title="What it makes of a sample"),
        ui.card(places.get("filters") or _no_filters(view, layer, graph), title="Its filters"),
        ui.card(
            dmc.Text("Inputs made by climbing the gradient, each for one unit of this layer.", size="sm", c="dimmed"),
            places.get("gallery-optima") or _deeper.none_of(view, layer),
            title="What its units react to most",
        ),
    ]
    if "effective" in places:
        words = "The places of the input that really move its middle unit, over the samples."
        cards.append(ui.card(dmc.Text(words, size="sm", c="dimmed"), places["effective"], title="How far it looks"))
    if "health" in places:
        words = "Dead and saturated units and the flow of the gradient, over the samples."
        cards.append(ui.card(dmc.Text(words, size="sm", c="dimmed"), places["health"], title="How all layers do"))
    return cards


def _sampled(view: View, places: dict[str, Any]) -> Any:
    """Give the samples to choose from, and what is made of the chosen one beside what its units see."""
    shown = [sights.sight(places["fields"], places["maps"])] if "maps" in places else [_no_maps(view)]
    return dmc.Stack([thumbs.chooser(PATH, view), *shown], gap="md")


def _at_work(view: View, layer: Layer, unit: int | None = None) -> Any:
    """Give the link to the page on which a layer is followed, where it can be."""
    if layer.kind not in AT_WORK:
        return None
    state = view.state.at(page="convolution", layer=layer.name, unit=str(unit) if unit is not None else None, more={})
    return dmc.Text(
        dcc.Link("See it at work, place by place", href=state.at(sample=thumbs.current(view)).href), size="sm"
    )


def _facts(layer: Layer) -> list[tuple[str, Any]]:
    kept = f", {layer.trainable:,} of them trainable" if layer.trainable != layer.parameters else ""
    told: list[tuple[str, Any]] = [
        ("Kind", kind_words(layer.kind)),
        ("Gives", f"{shape_of(layer)} ({', '.join(layer.axes[1:]) or 'one number'})"),
        ("Reads", ", ".join(layer.parents) or "the input"),
        ("Parameters", f"{layer.parameters:,}{kept}"),
    ]
    if layer.geometry is not None and layer.geometry.kind in ("window", "transposed"):
        g = layer.geometry
        told.append(("Window", f"{_by(g.size)}, stride {_by(g.stride)}, dilation {_by(g.dilation or (1,))}"))
    return told


def _by(sizes: Sequence[int]) -> str:
    return str(sizes[0]) if len(set(sizes)) == 1 and len(sizes) == 1 else " × ".join(map(str, sizes))


def _no_filters(view: View, layer: Layer, graph: Sequence[Layer]) -> Any:
    names = [la.name for la in graph]
    having = [la.name for la in graph if la.kind in WITH_FILTERS]
    near = sorted(having, key=lambda n: abs(names.index(n) - names.index(layer.name)))[:3]
    said = f"This layer ({kind_words(layer.kind)}) has no filters of its own."
    links: list[Any] = [" The nearest that have: "] if near else []
    for i, name in enumerate(sorted(near, key=names.index)):
        links += [", "] * (i > 0) + [dmc.Anchor(name, href=_to(view, layer=name, unit=None), size="sm")]
    return ui.hint(html.Span([said, *links]))


def _no_maps(view: View) -> Any:
    if thumbs.shelf(view) is None:
        return None
    _, why = thumbs.value_of(view)
    return ui.hint(f"Nothing to show: {why}")


# ---------------------------------------------------------------- filters


def _filters(view: View, found: Filters) -> Any:
    scale = tiles.scale_of([found.values], "weight", robust=False)
    shown = [_filter_tile(view, found, i, scale.limit, scale) for i in range(len(found))]
    return dmc.Stack(
        [
            dmc.Text(_filter_words(found), size="sm", c="dimmed"),
            _pager(view, int(found.numbers[0]), len(found), found.total),
            _filter_key(found, scale),
            tiles.grid(shown, f"Filters of {found.layer}", "strips" if _rank(found) < 2 else ""),
        ],
        gap="sm",
    )


def _rank(found: Filters) -> int:
    return found.values.ndim - 2


def _filter_words(found: Filters) -> str:
    size = " × ".join(str(n) for n in found.values.shape[1:-1])
    channels = found.values.shape[-1]
    groups = f" in {found.groups} groups" if found.groups > 1 else ""
    each = (
        f"{size} over {channels} input channel{'s' * (channels != 1)}" if size else f"one weight per input, {channels}"
    )
    said = f"{found.total:,} filter{'s' * (found.total != 1)}{groups}, each {each}."
    if _rank(found) == 2 and channels > 1 and found.order is None:
        said += " A picture shows the input channel with the largest weights; its number stands below."
    if _rank(found) == 1:
        said += " A picture has time across and the input channels down."
    dead = int(found.statistics["dead"].sum())
    return said + (f" {dead} of those shown have hardly any weights." if dead else "")


def _filter_key(found: Filters, scale: Any) -> Any:
    if _colours(found):
        return dmc.Text(
            f"Colours as in the picture: middle grey is 0, full red, green or blue is +{number(scale.limit)}, "
            f"none is −{number(scale.limit)}.",
            size="xs",
        )
    return tiles.key(scale, "", "")


def _colours(found: Filters) -> bool:
    return found.order is not None and _rank(found) == 2


def _filter_tile(view: View, found: Filters, i: int, limit: float, scale: Any) -> Tile:
    kernel, unit = found.values[i], int(found.numbers[i])
    norm = number(float(found.statistics["norm"][i]))
    note, channel = f"norm {norm}", 0
    if _colours(found):
        source = tiles.colours_url(kernel, limit, str(found.order))
    else:
        if _rank(found) >= 2 and kernel.shape[-1] > 1:
            channel = int(found.strengths[i].argmax())
            note = f"input {int(found.inputs_of(i)[channel])}"
        source = tiles.map_url(_plane(kernel, channel), scale)
    return Tile(
        source,
        f"Filter {unit}, norm {norm}, weights {tiles.reach(kernel)}",
        f"{unit}",
        note,
        _to(view, unit=str(unit)),
    )


def _plane(kernel: Array, channel: int) -> Array:
    """Give the (row, column) of a kernel (*space, in): one channel of a picture's, else channels down."""
    rank = kernel.ndim - 1
    if rank == 0:
        return kernel[None]
    if rank == 1:
        return kernel.T
    plane = kernel[..., channel]
    return plane if rank == 2 else plane[plane.shape[0] // 2]


def _pager(view: View, first: int, count: int, total: int) -> Any:
    if total <= AT_ONCE:
        return None
    links: list[Any] = [dmc.Text(f"{first} to {first + count - 1} of {total:,}", size="sm")]
    for word, place in (("Earlier", first - AT_ONCE), ("Later", first + AT_ONCE)):
        if 0 <= place < total:
            more = {**view.state.more, "from": str(place)}
            links.append(dmc.Anchor(word, href=_to(view, more=more), size="sm"))
    return dmc.Group(links, gap="sm")


# ---------------------------------------------------------------- what a layer makes of a sample


def _maps(view: View, layer: Layer, found: Activations) -> Any:
    values = found[layer.name][0]
    if values.ndim > 3:
        return ui.hint(f"What {layer.name} gives has {values.ndim} axes, {shape_of(layer)}: it is not drawn here.")
    by = _order(view, values)
    flat = values.reshape(-1, values.shape[-1])
    rank = {"strongest": np.abs(flat).max(0), "varied": flat.var(0)}.get(by or "", -np.arange(values.shape[-1]))
    order = np.argsort(-rank, kind="stable")
    first = min(_first(view), (values.shape[-1] - 1) // AT_ONCE * AT_ONCE)
    some = order[first : first + AT_ONCE]
    said = {1: "unit", 2: "line", 3: "map"}[values.ndim]
    silent = int((np.abs(flat).max(0) == 0).sum())
    words = f"{values.shape[-1]:,} {said}{'s' * (values.shape[-1] != 1)}, {tiles.reach(values)}"
    words += f"; {silent} of them are zero everywhere." if silent else "."
    return dmc.Stack(
        [
            dmc.Group([dmc.Text(words, size="sm", c="dimmed"), _orders(view, values, by)], gap="md"),
            _pager(view, first, len(some), values.shape[-1]),
            *_drawn(view, values, some, layer),
        ],
        gap="sm",
    )


def _order(view: View, values: Array) -> str | None:
    """Say by what units are ordered; without places they do not vary over them."""
    by = view.state.more.get("order")
    return by if by == "strongest" or (by == "varied" and values.ndim > 1) else None


def _orders(view: View, values: Array, by: str | None) -> Any:
    ways: list[tuple[str, str | None]] = [("by number", None), ("strongest first", "strongest")]
    ways += [("most varied first", "varied")] if values.ndim > 1 else []
    links = []
    for word, value in ways:
        more = {k: v for k, v in view.state.more.items() if k not in ("order", "from")}
        more |= {"order": value} if value else {}
        here = value == by
        links.append(
            dmc.Text(word, size="sm", fw=600) if here else dmc.Anchor(word, href=_to(view, more=more), size="sm")
        )
    return dmc.Group(links, gap="xs", className="orders")


def _drawn(view: View, values: Array, some: Array, layer: Layer) -> list[Any]:
    if values.ndim == 1:
        rows = [(_unit_name(view, layer, int(k)), _to(view, unit=str(int(k))), float(values[k])) for k in some]
        return [tiles.bars(rows, f"What {layer.name} gives, unit by unit")]
    if values.ndim == 2:
        low, high = float(values.min()), float(values.max())
        words = f"Every line runs from {number(low)} at the bottom to {number(high)} at the top, first step to last."
        shown = [_curve_tile(view, values, int(k), low, high) for k in some]
        grid = tiles.grid(shown, f"What {layer.name} gives over time", "lines")
        return [_pair(view, layer, values, None), dmc.Text(words, size="xs"), grid]
    scale = tiles.scale_of([values], "activation")
    shown = [_map_tile(view, values, int(k), scale) for k in some]
    grid = tiles.grid(shown, f"Activation maps of {layer.name}")
    return [_pair(view, layer, values, None), tiles.key(scale, "", ""), grid]


def _pair(view: View, layer: Layer, values: Array, k: int | None) -> Any:
    """Give the sample beside what a unit makes of it, or all units on the average; both can be pointed at."""
    value, _ = thumbs.value_of(view)
    spec = view.description.inputs
    pair = [] if isinstance(spec, Mapping) else [sights.input_figure(value, spec)]
    if k is None:
        of, label = np.abs(values).mean(-1), f"Mean size over all units of {layer.name}"
        scale = tiles.scale_of([of], "activation")
    else:
        of, label = values[..., k], f"Unit {k} of {layer.name}"
        scale = tiles.scale_of([values], "activation")
    said = f"{label}: {' × '.join(map(str, of.shape))} places, {tiles.reach(of)}"
    pair.append(sights.map_figure(of, scale, label, said))
    return dmc.Group([p for p in pair if p is not None], gap="md", align="flex-start", className="pair")


def _unit_name(view: View, layer: Layer, k: int) -> str:
    """Name a unit by its number, and by its class where the layer gives the network's answer."""
    spec, last = view.description.outputs, view.description.graph[-1]
    names = getattr(spec, "names", ())
    return f"{k} · {names[k]}" if layer.name == last.name and k < len(names) and str(names[k]) != str(k) else str(k)


def _map_tile(view: View, values: Array, k: int, scale: Any) -> Tile:
    of = values[..., k]
    most = float(of.max())
    said = f"Unit {k}, from {number(float(of.min()))} to {number(most)}"
    return Tile(tiles.map_url(of, scale), said, str(k), f"max {number(most)}", _to(view, unit=str(k)), places="map")


def _curve_tile(view: View, values: Array, k: int, low: float, high: float) -> Tile:
    of = values[:, k]
    said = f"Unit {k}, {tiles.reach(of)}"
    most = f"max {number(float(of.max()))}"
    return Tile(tiles.curve_url(of, low, high), said, str(k), most, _to(view, unit=str(k)), places="curve")


# ---------------------------------------------------------------- a unit


def _unit(view: View, layer: Layer, places: dict[str, Any]) -> list[Any]:
    k = int(str(view.state.unit))
    count = _deeper.units_of(layer)
    around = [
        dmc.Anchor(word, href=_to(view, unit=str(place)), size="sm")
        for word, place in (("Previous unit", k - 1), ("Next unit", k + 1))
        if place >= 0 and (count is None or place < count)
    ]
    head = ui.card(
        html.Div([_up(view, layer), *around, _address(view, layer, k)], className="unit-ways"),
        _at_work(view, layer, k),
        title=f"Unit {k} of {layer.name}" + (f" ({count:,} units)" if count else ""),
    )
    if count is not None and k >= count:
        return [head, ui.problem(f"layer {layer.name!r} has the units 0 to {count - 1}, there is no number {k}")]
    cards = [head, ui.card(_sampled(view, places), title="On the sample")]
    titles = {
        "gallery": "Where it answers most",
        "filters": "Its weights",
        "optimum": "What it reacts to most",
        "card": "Its card",
    }
    return [*cards, *(ui.card(places[name], title=title) for name, title in titles.items() if name in places)]


def _address(view: View, layer: Layer, k: int) -> Any:
    """Give the unit's own address, by names alone."""
    state = view.state.at(model=view.chosen.name, layer=layer.name, unit=str(k))
    words = "Address of this unit"
    return dcc.Link(words, href=state.short, title=state.short, id="layers-address", className="own-address")


def _up(view: View, layer: Layer) -> Any:
    return dmc.Anchor(f"All of {layer.name}", href=_to(view, unit=None), size="sm")


def _kernel(found: Filters) -> Any:
    kernel, scale = found.values[0], tiles.scale_of([found.values], "weight", robust=False)
    strengths = found.strengths[0]
    told = [
        ("Norm", number(float(found.statistics["norm"][0]))),
        ("Weights", f"{kernel.size:,}, mean {number(float(kernel.mean()))}, {tiles.reach(kernel)}"),
        ("Near zero", f"{100 * float(found.statistics['sparsity'][0]):.1f} % of its weights"),
        ("Bias", "none" if found.bias is None else number(float(found.bias[0]))),
        ("Most alike", f"filter {int(found.statistics['nearest'][0])}, cosine "
         f"{number(float(found.statistics['similarity'][0]))}"),
    ]  # fmt: skip
    if found.total == 1:
        told = told[:-1]
    return dmc.Stack([ui.facts(told), *_slices(found, kernel, strengths, scale)], gap="sm")


def _slices(found: Filters, kernel: Array, strengths: Array, scale: Any) -> list[Any]:
    if kernel.ndim == 1 and len(kernel) <= SLICES:
        rows = [(f"input {int(c)}", None, float(kernel[c])) for c in np.argsort(-np.abs(kernel), kind="stable")]
        return [tiles.bars(rows, "Weights by input, largest first")]
    if kernel.ndim <= 2:
        url = tiles.map_url(_plane(kernel, 0), scale, None)
        words = "inputs across" if kernel.ndim == 1 else "time across, input channels down"
        return [tiles.key(scale, "", ""), html.Img(src=url, alt=f"Its weights, {words}", className="strip")]
    order = np.argsort(-strengths, kind="stable")[:SLICES]
    names = {0: "red", 1: "green", 2: "blue"} if found.order == "rgb" else {0: "blue", 1: "green", 2: "red"}
    shown = []
    for c in order:
        number_of = int(found.inputs_of(0)[c])
        name = names[int(c)] if found.order else f"input {number_of}"
        said = f"Weights on {name}, norm {number(float(strengths[c]))}"
        shown.append(Tile(tiles.map_url(_plane(kernel, int(c)), scale), said, name, number(float(strengths[c]))))
    left = f" The {SLICES} strongest of {len(strengths):,} are shown." if len(strengths) > SLICES else ""
    words = f"One picture for each input channel, strongest first, with its norm.{left}"
    return [dmc.Text(words, size="sm", c="dimmed"), tiles.key(scale, "", ""), tiles.grid(shown, "Weights by input")]


def _answer(view: View, layer: Layer, k: int, found: Activations) -> Any:
    values = found[layer.name][0]
    if k >= values.shape[-1]:
        return ui.problem(f"layer {layer.name!r} has the units 0 to {values.shape[-1] - 1}, there is no number {k}")
    of = values[..., k]
    rank = 1 + int((np.abs(values).reshape(-1, values.shape[-1]).max(0) > float(np.abs(of).max())).sum())
    told = [("Largest", number(float(of.max()))), ("Strength", f"number {rank} of {values.shape[-1]:,} in this layer")]
    if of.ndim:
        told[1:1] = [
            ("Mean", number(float(of.mean()))),
            ("Zero", f"{100 * float((of == 0).mean()):.0f} % of its places"),
        ]
    return dmc.Stack([ui.facts(told), *_answer_drawn(view, layer, k, values)], gap="sm")


def _answer_drawn(view: View, layer: Layer, k: int, values: Array) -> list[Any]:
    of = values[..., k]
    if of.ndim not in (1, 2):
        return []
    pair = _pair(view, layer, values, k)
    if of.ndim == 2:
        return [tiles.key(tiles.scale_of([values], "activation"), "", ""), pair]
    trace = Trace(f"unit {k}", np.arange(len(of), dtype=np.float64), of.astype(np.float64))
    alt = f"Unit {k} over {len(of)} steps, {tiles.reach(of)}"
    return [pair, panel_body(CurvePanel(traces=(trace,), x_label="step", alt=alt))]


# ---------------------------------------------------------------- over the gallery


def _gallery_part(view: View, layer: Layer, k: int) -> list[Part]:
    samples = _deeper.samples_of(view, PATCHES)
    if not samples:
        return []
    asked = {"layer": layer.name, "unit": k}
    ask = Unit(view.chosen.key, [s.value for s in samples], parameters=asked, task="app-patches")
    code = snippet(view, f'xk.plot(xk.top_patches(model, samples, "{layer.name}", {k}))')
    words = "Running the network on the samples"
    return [Part("gallery", ask, lambda r: _patches(view, samples, r), words, taken=True, code=code)]


def _patches(view: View, samples: Sequence[Sample], found: TopPatches) -> Any:
    """Give the gallery's samples in falling order of the unit's largest value, pictures with what it sees of them."""
    chosen = [samples[int(i)] for i in found.samples]
    names = [f"{s.label} ({s.id})" if s.label else s.id for s in chosen]
    hrefs = [_to(view, sample=s.id) for s in chosen]
    figure = panels(found)
    lead = dmc.Text(f"{figure.subtitle.rpartition(' · ')[2].capitalize()}.", size="sm", c="dimmed")
    notes = [dmc.Text(note, size="xs", c="dimmed") for note in figure.notes]
    drawn: list[Any] = []
    for panel in figure.panels:
        if isinstance(panel, TilesPanel):
            shown = [
                Tile(tiles.framed_url(t.values, t.frame), f"{name}, {t.note}", name, t.note, href)
                for t, name, href in zip(panel.tiles, names, hrefs, strict=False)
            ]
            drawn += [dmc.Text(f"{panel.title}: {panel.subtitle}", size="sm"), tiles.grid(shown, panel.title, "pairs")]
        elif isinstance(panel, BarPanel):
            rows = [(n, h, float(v)) for n, h, v in zip(names, hrefs, found.values, strict=True)]
            drawn.append(tiles.bars(rows, panel.title))
        else:
            drawn.append(panel_body(panel))
    return dmc.Stack([lead, *drawn, *notes], gap="sm")
