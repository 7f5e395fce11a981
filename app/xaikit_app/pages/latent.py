"""Latent: what the few numbers of a code mean, where samples lie in it, and which of them are used."""

from collections.abc import Sequence
from math import prod
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import Dash, Input, Output, State, dcc, html, no_update

from xaikit.arrays import Array
from xaikit.errors import ParameterError, UnknownName, XaikitError
from xaikit.figures import number, percent
from xaikit.inputs import Image, Reconstruction, Series, Text
from xaikit.jobs import Unit
from xaikit.results import Decoded, Embedding, Gallery
from xaikit_app import choosing, thumbs, tiles, ui
from xaikit_app.exhibits import exhibits, folded
from xaikit_app.pages import View
from xaikit_app.parts import Part, fill
from xaikit_app.parts import register as register_parts
from xaikit_app.pictures import photo
from xaikit_app.samples import Sample
from xaikit_app.services import Services
from xaikit_app.several import several
from xaikit_app.snippets import snippet
from xaikit_app.state import read
from xaikit_app.work.describe import Description

PATH, TITLE, ICON, ORDER = "latent", "Latent", "latent", 47
GROUP = "Look inside"
LARGE = 2_000_000
"""Parameters from which on nothing runs before somebody asks for it."""
MANY = 150
FILMS = 8
"""As many numbers of a code as have a slider."""
SIZE = 11
LABELS = 10
COLOURS = ("#4263eb", "#d9480f", "#2b8a3e", "#9c36b5", "#c92a2a", "#0c8599", "#a67c00", "#5c940d", "#d6336c", "#7a8794")
RISING = ("#46327e", "#365c8d", "#1fa187", "#6ab037", "#c9a800")
"""Colours of small to large errors."""
WORD = 40


def lacks(description: Description) -> str | None:
    """Say why a model has no code to look at, or None."""
    if description.kind == "several":
        return "it takes several inputs, and a code is that of one"
    if not description.graph:
        return "its layers are not known, so no layer can be taken for a code"
    return None


# ---------------------------------------------------------------- what stands on the page


def layout(view: View) -> Any:
    """Give the page."""
    places, machinery = fill(PATH, view, parts(view))
    lead = (
        "What the few numbers of its code mean, and where samples lie among them."
        if restores(view.description)
        else "Where samples lie in one of its layers: near each other means alike to the network."
    )
    titles = (
        ("embed", "Where samples lie"),
        ("grid", "Two numbers of the code"),
        ("traverse", "One number at a time"),
        ("between", "From this sample to another"),
        ("gallery", "What comes back best and worst"),
        ("means", "The middle of every label"),
        ("sum", "One minus another plus a third"),
        ("health", "Which numbers are used"),
        ("capacity", "Whether it just copies"),
        ("restore", "Spoiled samples"),
        ("inpaint", "Patches filled in"),
        ("words", "Words that are near"),
    )
    before = {"embed": _embed_controls, "between": _other_control, "sum": _sum_controls, "restore": _restore_controls,
              "words": _word_controls}  # fmt: skip
    cards = [
        ui.card(before[name](view) if name in before else None, places[name], title=title)
        for name, title in titles
        if name in places
    ]
    hint = (
        [] if cards else [ui.hint("There are no samples of its kind here; upload one, or give some on the page Data.")]
    )
    return ui.page(
        "Latent",
        lead,
        html.Div(
            [
                html.Div([ui.card(thumbs.chooser(PATH, view), title="Sample")], className="column"),
                html.Div([*cards, *hint], className="column"),
            ],
            className="two",
        ),
        html.Div(machinery),
    )


def register(app: Dash, services: Services) -> None:
    """Add the callbacks."""
    register_parts(app, services, PATH, parts, View)
    thumbs.register(app, services, PATH)
    choosing.register(app, PATH)

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Input("latent-look", "n_clicks"),
        State("latent-word", "value"),
        State("latent-minus", "value"),
        State("latent-plus", "value"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def look(clicks: int | None, word: str, minus: str, plus: str, path: str, search: str | None) -> Any:
        if not clicks or not (word or "").strip():
            return no_update
        said = {"word": word, "minus": minus, "plus": plus}
        short = {name: (text or "").strip()[:WORD] or None for name, text in said.items()}
        return choosing.with_(read(path, search), short).href


def restores(description: Description) -> bool:
    """Whether a network gives its input again."""
    return isinstance(description.outputs, Reconstruction) and description.kind in ("Image", "Series", "Array", "Table")


def variational(description: Description) -> bool:
    """Whether the names of layers tell of a mean and the logarithm of a variance."""
    last = [layer.name.rpartition("/")[2].rpartition(".")[2].lower() for layer in description.graph]
    return any("var" in n for n in last) and any(n.endswith(("mean", "mu")) for n in last)


# ---------------------------------------------------------------- what is asked


def _numbers(view: View) -> tuple[int, int] | None:
    """Give the two numbers of the grid that the address names, or None. Raises ParameterError."""
    texts = [view.state.more.get(name) for name in ("across", "up")]
    if all(t is None for t in texts):
        return None
    across, up = (t if t is not None else str(k) for k, t in enumerate(texts))
    if not across.isdecimal() or not up.isdecimal() or across == up:
        raise ParameterError(f"across and up are two different numbers of the code, not {across!r} and {up!r}")
    return int(across), int(up)


def _choice(view: View, name: str, known: Sequence[str], default: str) -> str:
    text = view.state.more.get(name, default)
    if text not in known:
        raise UnknownName(name, text, known)
    return str(text)


def _layers(description: Description) -> list[str]:
    """Give the layers whose whole shape is known, widest first left out: those with no more numbers than the input."""
    inputs = prod(s for s in description.inputs.shape if s)
    sizes = {la.name: prod(s or 0 for s in la.shape) for la in description.graph if la.shape}
    return [n for n, size in sizes.items() if 1 < size <= max(inputs, 512)]


def _layer(view: View) -> str | None:
    """Give the layer of the embedding: the one in the address, None for the code; of a classifier the last but one."""
    known = _layers(view.description)
    if view.state.layer in known:
        return view.state.layer
    if restores(view.description) or not known:
        return None
    before = [la.name for la in view.description.graph if la.kind == "dense" and la.name in known]
    return before[-2] if len(before) > 1 else known[-2] if len(known) > 1 else known[-1]


def _sample_of(view: View, name: str, default: int) -> tuple[str | None, Any]:
    """Give the sample that an entry of the address names, else one of the gallery."""
    gallery = thumbs.shelf(view)
    shown = gallery.shown if gallery is not None else ()
    id = view.state.more.get(name) or (shown[default % len(shown)].id if shown else None)
    try:
        return id, None if id is None else view.services.sample(view.chosen, view.description, id)
    except XaikitError:
        return id, None


def parts(view: View) -> list[Part]:
    """Give the parts of the page."""
    known, many = view.description, list(several(view, MANY))
    value, _ = thumbs.value_of(view)
    values = [s.value for s in many]
    found = _embedding_part(view, many) if len(many) > 1 else []
    if restores(known) and values:
        if value is not None:
            found += _code_parts(view, value, values)
        found += _set_parts(view, many)
    if isinstance(known.inputs, Text) and known.inputs.vocabulary is not None and _has_words(known):
        found += _word_part(view)
    return found


def _has_words(description: Description) -> bool:
    return any(layer.kind == "embedding" for layer in description.graph)


def _part(
    view: View, name: str, given: Any, shown: Any, words: str, line: str, asks: str = "", cost: str = "", **said: Any
) -> Part:
    """Give a part whose result can be taken along, that asks first where the network is large."""
    size = view.description.parameters
    asks = asks or ("Show it" if size > LARGE else "")
    code = snippet(
        view, "from xaikit.anomaly import latent", *line.split("\n"), "xk.plot(result)", sample=thumbs.current(view)
    )
    unit = Unit(view.chosen.key, given, parameters=said, task=f"app-latent-{name}")
    cost = cost or (f"a network of {size:,} parameters" if asks else "")
    return Part(name, unit, shown, words, asks=asks, cost=cost, taken=True, code=code)


def _embedding_part(view: View, many: Sequence[Sample]) -> list[Part]:
    dimensions = int(_choice(view, "dimensions", ("2", "3"), "2"))
    layer, colour = _layer(view), _colour(view)
    labels = [s.label or "no label" for s in many] if any(s.label for s in many) else None
    asked: dict[str, Any] = {"dimensions": dimensions, "layer": layer, "labels": labels, "errors": colour == "error"}
    line = (
        f"samples = [x]  # here {len(many)} of the slice\nresult = latent.embed(model, samples, dimensions={dimensions}"
    )
    line += f", layer={layer!r})" if layer else ")"
    words = "Encoding the samples"
    return [_part(view, "embed", [s.value for s in many], lambda r: cloud(view, many, r), words, line, **asked)]


def _code_parts(view: View, value: Any, values: list[Any]) -> list[Part]:
    """Give the parts that begin at the chosen sample."""
    prior = variational(view.description)
    samples = "" if prior else ", samples=samples"
    known = "" if prior else "samples = [x]  # more of them say how far the code goes\n"
    numbers = _numbers(view)
    said: dict[str, Any] = {"numbers": list(numbers)} if numbers is not None else {}
    named = f", numbers={numbers}" if numbers is not None else ""
    line = f"{known}result = latent.grid(model, {SIZE}{named}{samples})"
    found = [
        _part(
            view, "grid", None if prior else values, lambda r: grid(view, r), "Decoding the grid", line,
            size=SIZE, **said,
        ),
        _part(
            view, "traverse", {"sample": value, "samples": values}, lambda r: films(view, r), "Decoding frames",
            f"{known}result = latent.traverse(model, x{samples}, steps=15)",
        ),
    ]  # fmt: skip
    _, other = _sample_of(view, "other", 1)
    if other is not None:
        given = {"from": value, "to": other}
        line = 'other = "your-other-input"\nresult = latent.interpolate(model, x, other, 11)'
        found.append(_part(view, "between", given, lambda r: between(view, r), "Decoding the way", line))
    a, b, c = (_sample_of(view, name, k)[1] for k, name in enumerate("abc"))
    if a is not None and b is not None and c is not None:
        line = 'a, b, c = x, "your-second-input", "your-third-input"\nresult = latent.arithmetic(model, a, b, c)'
        given = {"a": a, "b": b, "c": c}
        found.append(_part(view, "sum", given, lambda r: pictures_of(view, r), "Decoding the sum", line))
    return found


def _set_parts(view: View, many: Sequence[Sample]) -> list[Part]:
    """Give the parts that are of many samples."""
    values, known = [s.value for s in many], view.description
    given = f"samples = [x]  # here {len(many)} of the slice\n"
    cost = f"runs the network on {len(many)} samples"
    found = [
        _part(view, "gallery", values, lambda r: best_and_worst(view, many, r), "Running the network",
              f"{given}result = latent.gallery(model, samples)"),
    ]  # fmt: skip
    labels = [s.label for s in many]
    if len(set(filter(None, labels))) > 1 and all(labels):
        line = f"{given}labels = [...]  # the label of each\nresult = latent.means(model, samples, labels)"
        found.append(_part(view, "means", values, lambda r: pictures_of(view, r), "Encoding", line, labels=labels))
    if variational(known):
        line = f"{given}result = latent.health(model, samples)"
        found.append(_part(view, "health", values, exhibits, "Encoding the samples", line))
    line = f"{given}result = latent.capacity(model, samples)"
    found.append(
        _part(
            view,
            "capacity",
            values,
            exhibits,
            "Running the network on noise",
            line,
            "Try it on noise",
            f"{cost} and as many of noise",
        )
    )
    if isinstance(known.inputs, Image | Series):
        kind, few = _choice(view, "kind", ("noise", "mask"), "noise"), values[:6]
        line = f"result = latent.restore(model, x, {kind!r})"
        found.append(
            _part(
                view,
                "restore",
                few,
                exhibits,
                "Spoiling samples",
                line,
                "Spoil some samples",
                f"{len(few)} samples at five levels",
                kind=kind,
            )
        )
        patch = 4 if isinstance(known.inputs, Image) else max(2, known.inputs.steps // 20)
        line = f"result = latent.inpaint(model, x, patch={patch})"
        places = prod(-(-n // patch) for n in known.inputs.shape[:-1])
        words = f"{places:,} passes over {len(few)} samples, one for each patch"
        found.append(
            _part(view, "inpaint", few, exhibits, "Filling in patches", line, "Fill in patches", words, patch=patch)
        )
    return found


# ---------------------------------------------------------------- pictures


def _picture(spec: Any, values: Array, width: int = 84, ends: tuple[float, float] | None = None) -> str:
    """Give one sample in the network's units as a small picture: an image, or a line of its first channel."""
    if isinstance(spec, Image):
        shown = np.clip(spec.decode(values[None])[0], 0, 1 / spec.scale)
        return photo(shown, spec, width)
    line = np.asarray(values, np.float64).reshape(len(values), -1)[:, 0]
    low, high = ends or (float(line.min()), float(line.max()))
    return tiles.curve_url(line, low, high)


def _ends(values: Array) -> tuple[float, float]:
    return float(np.nanmin(values)), float(np.nanmax(values))


def grid(view: View, found: Decoded) -> Any:
    """Give what two numbers of the code are decoded to, each cell to be pointed at, and the lists to choose them by."""
    rows, columns, width = found.codes.shape
    ends = _ends(found.decoded)
    across, up = _axes(found)
    cells = []
    for r in range(rows):
        for c in range(columns):
            said = ", ".join(filter(None, (found.column_names[c], found.row_names[r]))).replace("-", "−")
            source = _picture(found.input_spec, found.decoded[r, c], 28, ends)
            cells.append(html.Img(src=source, alt=said, title=said, className="cell"))
    map_ = html.Div(
        cells,
        className="code-grid" if isinstance(found.input_spec, Image) else "code-grid lines",
        style={"--columns": columns},
        tabIndex=0,
        role="group",
        **{"aria-label": f"Grid of {rows} by {columns} decoded codes. Arrow keys walk through it."},
    )
    middle = _picture(found.input_spec, found.decoded[rows // 2, columns // 2], 160, ends)
    big = html.Figure(
        [
            html.Img(src=middle, alt="The cell that is pointed at", className="grid-big"),
            html.Figcaption("Point at a cell, or walk through the grid with the arrow keys.", className="grid-said"),
        ]
    )
    options = [(str(k), f"number {k}") for k in range(width)]
    picks = []
    if width > 1:
        picks = [
            choosing.pick(PATH, "across", "Across", options, str(across), w=130),
            choosing.pick(PATH, "up", "Up", options, str(up), w=130),
        ]
    prior = variational(view.description)
    reach = "5 % to 95 % of the prior" if prior else "5 % to 95 % of the codes of the samples"
    words = f"Both run over {reach}; the other {width - 2} of {width} numbers stay in their middle." if width > 2 else (
        f"They run over {reach}." if width == 2 else f"The only number runs over {reach}."
    )  # fmt: skip
    apart = float(np.square(found.decoded - found.decoded.mean((0, 1))).mean())
    told = f"Over the grid a place varies by {number(np.sqrt(apart))} on average (standard deviation, network units)."
    return dmc.Stack(
        [
            choosing.choices(*picks) if picks else None,
            dmc.Text(f"{words} {told}", size="sm"),
            html.Div([map_, big], className="grid-both"),
        ],
        gap="xs",
    )


def _axes(found: Decoded) -> tuple[int, int | None]:
    """Give the numbers that run across and up, as their names say ("z3 = -0.5")."""
    across, up = (names[0].partition(" =")[0].removeprefix("z") for names in (found.column_names, found.row_names))
    return int(across or 0), int(up) if up else None


def films(view: View, found: Decoded) -> Any:
    """Give a slider for each number of the code: its frames travel with the page."""
    count = min(len(found.codes), FILMS)
    ends = _ends(found.decoded)
    what = {"divergence": "divergence from the prior", "change": "change of the output"}.get(found.effect or "", "")
    shown = []
    for r in range(count):
        effect = f", {what} {number(float(found.effects[r]))}" if found.effects is not None else ""
        names = [f"{found.row_names[r]} = {name}" for name in found.column_names]
        shown.append(_film(found.input_spec, found.decoded[r], names, f"Number {found.row_names[r][1:]}{effect}", ends))
    left = f" The {count} with the largest {what} of {len(found.codes)} are shown." if count < len(found.codes) else ""
    words = f"Move a slider: one number of the sample's code changes, the others stay.{left}"
    moved = found.variances.reshape(len(found.codes), -1).mean(1)
    told = ", ".join(f"{found.row_names[r]} {number(float(moved[r]))}" for r in range(count))
    return dmc.Stack(
        [
            dmc.Text(words, size="sm"),
            html.Div(shown, className="films"),
            dmc.Text(f"Mean variance of a place along each: {told}.", size="xs", c="dimmed"),
        ],
        gap="xs",
    )


def _film(spec: Any, frames: Array, names: Sequence[str], title: str, ends: tuple[float, float]) -> Any:
    """Give frames of which one is seen, and the slider that chooses it; it starts in the middle."""
    at = len(frames) // 2
    pictures = [
        html.Img(
            src=_picture(spec, frame, 140, ends), alt=name, className="frame on" if k == at else "frame",
        )
        for k, (frame, name) in enumerate(zip(frames, names, strict=True))
    ]  # fmt: skip
    slider = html.Label(
        [
            html.Span(title, className="film-title"),
            dcc.Input(type="range", min=0, max=len(frames) - 1, step=1, value=at, className="film-slider"),
        ]
    )
    return html.Div(
        [html.Div(pictures, className="frames"), slider, html.Span(names[at], className="film-said", role="status")],
        className="film",
    )


def between(view: View, found: Decoded) -> Any:
    """Give the two ways from one sample to another, each as a row and with a slider."""
    ends, shown = _ends(found.decoded), []
    for r, name in enumerate(found.row_names):
        title = {"straight line": "Along a straight line", "arc": "Along an arc around zero"}.get(name, name)
        names = [f"{column} of the way" for column in found.column_names]
        shown.append(_film(found.input_spec, found.decoded[r], names, title, ends))
    gap = float(np.square(found.decoded[0] - found.decoded[1]).mean())
    distance = float(np.linalg.norm(found.codes[0, 0] - found.codes[0, -1]))
    words = f"Their codes are {number(distance)} apart. The two ways differ by {number(np.sqrt(gap))} at a place."
    return dmc.Stack([dmc.Text(words, size="sm"), html.Div(shown, className="films"), _rows(found)], gap="xs")


def _rows(found: Decoded) -> Any:
    """Give decoded codes as rows of pictures with their names."""
    ends, rows = _ends(found.decoded), []
    for r, name in enumerate(found.row_names):
        shown = [
            tiles.Tile(_picture(found.input_spec, v, 72, ends), f"{name}, {column}", column)
            for v, column in zip(found.decoded[r], found.column_names, strict=True)
        ]
        rows += [dmc.Text(name[:1].upper() + name[1:], size="xs", c="dimmed"), tiles.grid(shown, name, _kind(found))]
    return html.Div(rows)


def _kind(found: Any) -> str:
    return "" if isinstance(found.input_spec, Image) else "lines"


def pictures_of(view: View, found: Decoded) -> Any:
    """Give decoded codes as pictures in a row, with how far their codes are from zero."""
    lengths = np.linalg.norm(found.codes[0], axis=-1)
    told = ", ".join(f"{n} {number(float(v))}" for n, v in zip(found.column_names, lengths, strict=True))
    words = {
        "means": "The mean code of the samples with each label, decoded.",
        "arithmetic": "What tells the first from the second is given to the third.",
    }[found.kind]
    return dmc.Stack(
        [dmc.Text(words, size="sm"), _rows(found), dmc.Text(f"Length of the codes: {told}.", size="xs", c="dimmed")],
        gap="xs",
    )


def best_and_worst(view: View, many: Sequence[Sample], found: Gallery) -> Any:
    """Give the samples that come back best, as usual and worst, each beside what comes back and a link to it."""
    rows: list[Any] = []
    ends = _ends(found.x)
    for g, group in enumerate(found.groups):
        shown = []
        for i, position in enumerate(found.positions[g]):
            sample = many[int(position)]
            name = sample.label or sample.id
            error = number(float(found.errors[g, i]))
            pair = [
                html.Img(src=_picture(found.input_spec, v, 72, ends), alt=alt)
                for v, alt in ((found.x[g, i], f"{name}, given"), (found.reconstruction[g, i], f"{name}, came back"))
            ]
            link = dcc.Link(
                [
                    html.Span(pair, className="pair-of"),
                    html.Span(name, className="tile-name"),
                    html.Span(f"error {error}", className="tile-note"),
                ],
                href=view.state.at(sample=sample.id).href,
                className="tile",
                title=f"{sample.id}: error {error}",
            )
            shown.append(html.Li(link))
        rows += [
            dmc.Text(group.capitalize(), size="sm", fw=600),
            html.Ul(shown, className=f"tiles pairs-of {_kind(found)}", **{"aria-label": group}),
        ]
    words = (
        f"Of {found.samples} samples, given on the left and what came back on the right; median error "
        f"{number(found.median)}."
    )
    return dmc.Stack([dmc.Text(words, size="sm"), *rows], gap="xs")


# ---------------------------------------------------------------- where samples lie


def _colour(view: View) -> str:
    known = ("label", "error") if restores(view.description) else ("label",)
    return _choice(view, "colour", known, known[0] if view.state.more.get("colour") != "error" else known[-1])


def _embed_controls(view: View) -> Any:
    picks = [
        choosing.pick(PATH, "dimensions", "Shown in", (("2", "two dimensions"), ("3", "three dimensions")),
                      _choice(view, "dimensions", ("2", "3"), "2"), w=170),
    ]  # fmt: skip
    if restores(view.description):
        options = (("label", "their label"), ("error", "the error of what comes back"))
        picks.append(choosing.pick(PATH, "colour", "Coloured by", options, _colour(view), w=220))
    layers, layer = _layers(view.description), _layer(view)
    own = [("", "the code")] if restores(view.description) else []
    if layers:
        picks.append(
            choosing.pick(
                PATH, "layer", "Layer", [*own, *((n, n) for n in layers)], layer or "", w=220, searchable=True
            )
        )
    return choosing.choices(*picks)


def cloud(view: View, many: Sequence[Sample], found: Embedding) -> Any:
    """Give samples as points that lead to them; in three dimensions they can be turned."""
    points = np.asarray(found.coordinates, np.float64)
    size = float(np.abs(points).max()) or 1.0
    names, group = _groups(many, found)
    id, spec = thumbs.current(view), view.description.inputs
    shown = []
    for k, (sample, at) in enumerate(zip(many, points / size, strict=True)):
        x, y, z = (*at, 0.0)[:3]
        said = f"{sample.label + ', ' if sample.label else ''}{sample.id}"
        said += f", error {number(float(found.scores[k]))}" if found.scores is not None else ""
        picture = [html.Img(src=photo(spec.display(sample.value), spec, 48), alt="")] if spec.kind == "Image" else []
        link = dcc.Link(
            [
                html.Span(className="dot", style={"background": names[group[k]][1]}),
                html.Span([*picture, said], className="hint"),
            ],
            href=view.state.at(sample=sample.id).href,
            className="to-sample",
            title=said,
        )
        shown.append(
            html.Li(
                link,
                className="point chosen" if sample.id == id else "point",
                style={"left": f"{50 + 46 * x:.2f}%", "top": f"{50 - 46 * y:.2f}%"},
                **{"data-at": f"{x:.4f} {y:.4f} {z:.4f}", "aria-current": "true" if sample.id == id else "false"},
            )
        )
    deep = points.shape[1] == 3
    space = html.Ul(
        shown,
        className="cloud deep" if deep else "cloud",
        **{"aria-label": "Samples by their codes, each a link to it"},
        **({"tabIndex": 0, "data-turn": "30 20"} if deep else {}),
    )
    key = [
        html.Span([html.Span(className="dot", style={"background": colour}), name], className="board-name")
        for name, colour in names
    ]
    shares = [percent(float(v)) for v in found.explained]
    words = (
        f"{len(points)} samples along the first {len(shares)} principal components of {found.layer}, which hold "
        f"{', '.join(shares)} of the variance. Across: the first; up: the second"
        + ("; drag it or use the arrow keys to turn it." if deep else ".")
    )
    return dmc.Stack(
        [
            dmc.Text(words, size="sm"),
            html.Div(key, className="board-legend"),
            space,
            dmc.Text(_apart(many, points), size="sm"),
            _coordinates(many, found),
        ],
        gap="xs",
    )


def _groups(many: Sequence[Sample], found: Embedding) -> tuple[list[tuple[str, str]], list[int]]:
    """Give the names and colours of the groups, and the group of each sample: fifths of the error, or labels."""
    if found.scores is not None:
        edges = np.quantile(found.scores, np.linspace(0, 1, len(RISING) + 1))
        at = np.clip(np.searchsorted(edges, found.scores, side="right") - 1, 0, len(RISING) - 1)
        return [(f"error to {number(float(edges[g + 1]))}", RISING[g]) for g in range(len(RISING))], at.tolist()
    labels = [s.label or "no label" for s in many]
    counts = {n: labels.count(n) for n in dict.fromkeys(sorted(labels))}
    common = sorted(counts, key=lambda n: -counts[n])[: LABELS if len(counts) <= LABELS else LABELS - 1]
    named = [n for n in counts if n in common]
    names = [(n, COLOURS[k]) for k, n in enumerate(named)]
    if len(counts) > len(named):
        names.append(("others", COLOURS[-1]))
    return names, [named.index(n) if n in named else len(named) for n in labels]


def _apart(many: Sequence[Sample], points: Array) -> str:
    """Say how often the nearest other sample has the same label."""
    labels = np.array([s.label for s in many])
    if len(set(labels.tolist()) - {""}) < 2:
        return ""
    away = np.square(points[:, None] - points[None]).sum(-1)
    np.fill_diagonal(away, np.inf)
    same = float((labels[away.argmin(1)] == labels).mean())
    counts = np.array([np.mean(labels == n) for n in labels])
    chance = percent(float(counts.mean()))
    return f"The nearest other point has the same label for {percent(same)} of the samples; by chance for {chance}."


def _coordinates(many: Sequence[Sample], found: Embedding) -> Any:
    headers = ("sample", "label", *(f"component {k + 1}" for k in range(found.coordinates.shape[1])))
    headers = (*headers, *(("error",) if found.scores is not None else ()))
    rows = (
        (s.id, s.label, *map(float, at), *((float(found.scores[k]),) if found.scores is not None else ()))
        for k, (s, at) in enumerate(zip(many, found.coordinates, strict=True))
    )
    return folded(headers, rows, "Coordinates")


# ---------------------------------------------------------------- lists above the parts


def _samples_list(view: View) -> list[tuple[str, str]]:
    gallery = thumbs.shelf(view)
    shown = gallery.shown if gallery is not None else ()
    return [(s.id, f"{s.label} · {s.id}" if s.label else s.id) for s in shown]


def _pick_sample(view: View, name: str, label: str, default: int) -> Any:
    id, _ = _sample_of(view, name, default)
    options = _samples_list(view)
    options = options if any(v == id for v, _ in options) or id is None else [(id, id), *options]
    return choosing.pick(PATH, name, label, options, id or "", w=180)


def _other_control(view: View) -> Any:
    return choosing.choices(_pick_sample(view, "other", "The other sample", 1))


def _sum_controls(view: View) -> Any:
    names = (("a", "This"), ("b", "minus this"), ("c", "plus this"))
    return choosing.choices(*(_pick_sample(view, name, label, k) for k, (name, label) in enumerate(names)))


def _restore_controls(view: View) -> Any:
    options = (("noise", "noise is added"), ("mask", "patches are hidden"))
    kind = _choice(view, "kind", ("noise", "mask"), "noise")
    return choosing.choices(choosing.pick(PATH, "kind", "How", options, kind, w=180))


def _word_controls(view: View) -> Any:
    fields = [
        dmc.TextInput(
            id=f"latent-{name}",
            label=label,
            value=view.state.more.get(name, _first_word(view) if name == "word" else ""),
            size="xs",
            w=140,
            inputProps={"maxLength": WORD},
        )
        for name, label in (("word", "Word"), ("minus", "minus (or empty)"), ("plus", "plus (or empty)"))
    ]
    return choosing.choices(*fields, dmc.Button("Look", id="latent-look", size="xs"))


def _first_word(view: View) -> str:
    """Give a word to begin with: one that says something, else any that is no mark such as padding."""
    known = view.description.inputs.vocabulary
    return "good" if "good" in known else next((word for word in known if word.isalnum()), next(iter(known)))


def _word_part(view: View) -> list[Part]:
    word, minus, plus = (view.state.more.get(name) for name in ("word", "minus", "plus"))
    word = word or _first_word(view)
    both = bool(minus and plus)
    line = (
        f"result = latent.analogy(model, {minus!r}, {word!r}, {plus!r})"
        if both
        else f"result = latent.nearest_words(model, {word!r})"
    )
    given: dict[str, Any] = {"word": word, **({"minus": minus, "plus": plus} if both else {})}
    return [_part(view, "words", None, exhibits, "Comparing words", line, **given)]
