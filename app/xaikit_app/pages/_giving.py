"""Ways to give an input on the page Explain: samples, files, drawings, texts, rows, lines and numbers.

A network with several inputs has one giver for each. Their ids are {"type": "explain-…", "input": NAME}, where an only
input is called "". Each gives the id of a sample, in its store `explain-value`; together they are `explain-sample`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import ALL, MATCH, Dash, Input, Output, State, ctx, dcc, html, no_update

from xaikit.errors import InputError, XaikitError
from xaikit.inputs import Category
from xaikit_app import pictures, polls, thumbs, ui
from xaikit_app.pages import View
from xaikit_app.samples import Gallery, Sample
from xaikit_app.services import Services
from xaikit_app.uploads import ACCEPTED, read_upload, typed

MOST_NUMBERS = 200_000
"""As many characters of numbers as are read."""


def specs(description: Any) -> Mapping[str, Any]:
    """Give the spec of every input by name; an only input is called ""."""
    inputs = description.inputs
    return inputs if isinstance(inputs, Mapping) else {"": inputs}


def first_of(view: View, patience: float) -> dict[str, str | None]:
    """Give the sample that each input begins with: the one of the address, else the first of the gallery."""
    names = specs(view.description)
    if view.state.sample and len(names) == 1:
        return {"": view.state.sample} if "" in names else _parts_of(view.state.sample, names)
    said = _parts_of(view.state.sample or "", names)
    for name in names:
        gallery = view.services.gallery(view.chosen, view.description, name)
        if not said[name] and gallery.ready.wait(patience) and gallery.shown:
            said[name] = gallery.shown[0].id
    return said


def _parts_of(sample: str, names: Mapping[str, Any]) -> dict[str, str | None]:
    ids = dict(part.partition(":")[::2] for part in sample.split(",")) if sample else {}
    return {name: ids.get(name) for name in names}


def joined(ids: Mapping[str, str | None]) -> str | None:
    """Give the id of all inputs together; None while one is missing."""
    if not all(ids.values()):
        return None
    return next(iter(ids.values())) if list(ids) == [""] else ",".join(f"{n}:{id}" for n, id in ids.items())


def card(view: View, chosen: Mapping[str, str | None]) -> Any:
    """Give the card with the ways to give an input that fit the model, for each of its inputs."""
    givers = [_giver(view, name, spec, chosen.get(name)) for name, spec in specs(view.description).items()]
    return ui.card(*givers, title="Input" if len(givers) == 1 else f"{len(givers)} inputs")


def _id(what: str, input: str) -> dict[str, str]:
    return {"type": f"explain-{what}", "input": input}


def _outside(what: str, input: str) -> str:
    return f"explain-{what}-{input}" if input else f"explain-{what}"


def _giver(view: View, name: str, spec: Any, chosen: str | None) -> Any:
    gallery = view.services.gallery(view.chosen, view.description, name)
    kind = spec.kind
    tabs = [("gallery", "Samples", html.Div(_thumbs(gallery, name, chosen), id=_id("gallery", name)))]
    if kind in ACCEPTED:
        tabs.append(("upload", "Upload", _upload(view, name, kind)))
    if kind == "Image" and spec.shape[-1] == 1 and pictures.in_bytes(spec):
        tabs.append(("draw", "Draw", _pad(name)))
    if kind == "Text":
        tabs.append(("type", "Type", _typed(name)))
    if kind == "Table":
        tabs.append(("form", "Form", _row_form(spec, name)))
    if kind == "Series":
        tabs.append(("line", "Draw", _line(spec, name)))
    if kind in ("Series", "Array"):
        tabs.append(("numbers", "Numbers", _numbers(spec, name)))
    head = [html.H3(f"Input {name}", className="family")] if name else []
    note = dmc.Alert("", id=_id("note", name), color="red", variant="light", hide=True, mt="sm")
    return html.Section(
        [
            *head,
            dcc.Store(id=_id("value", name), data=chosen),
            dcc.Store(id=_id("drawing", name)),
            polls.clock(_id("gallery-poll", name), not gallery.ready.is_set()),
            dmc.Tabs(
                [
                    dmc.TabsList([dmc.TabsTab(label, value=value) for value, label, _ in tabs]),
                    *(dmc.TabsPanel(body, value=value, pt="sm", keepMounted=True) for value, _, body in tabs),
                ],
                value="gallery",
                keepMounted=True,
            ),
            html.Div(note, role="alert", id=_outside("note", name)),
        ],
        className="giver",
        **{"aria-label": f"Input {name}".strip(), "data-input": name},
    )


def _thumbs(gallery: Gallery, name: str, chosen: str | None) -> Any:
    if not gallery.ready.is_set():
        return ui.waiting("Looking for samples …")
    if not gallery.shown:
        return dmc.Text("There are no samples of this kind here: give an input of your own.", c="dimmed", size="sm")
    spec = gallery.description.inputs
    shown = [_thumb(sample, spec, name, sample.id == chosen) for sample in gallery.shown]
    return [
        html.Div(shown, className=f"thumbs {spec.kind.lower()}"),
        dmc.Text(gallery.note, size="xs", c="dimmed", mt="xs"),
    ]


def _thumb(sample: Sample, spec: Any, name: str, chosen: bool) -> Any:
    return html.Button(
        [thumbs.small(sample.value, spec, ""), html.Span(sample.label, className="thumb-label")],
        id={"type": "explain-pick", "input": name, "sample": sample.id},
        className="thumb chosen" if chosen else "thumb",
        n_clicks=0,
        type="button",
        **{"aria-label": f"sample {sample.label or sample.id}"},
    )


def _upload(view: View, name: str, kind: str) -> Any:
    settings = view.services.settings
    box = dcc.Upload(
        html.Div(["Drop a file here, or ", html.U("choose one")]),
        id=_id("upload", name),
        accept=ACCEPTED[kind],
        multiple=False,
        className="upload",
        className_active="upload over",
        style_active={},
        max_size=settings.max_upload_bytes,
    )
    limit = f"{ACCEPTED[kind].replace(',', ', ')}; at most {settings.max_upload_mb:g} MiB"
    return html.Div(
        [box, dmc.Text(limit, size="xs", c="dimmed", mt="xs")],
        id=_outside("upload", name),
        className="takes-files",
        **{"data-bytes": str(settings.max_upload_bytes), "data-input": name},
    )


def _pad(name: str) -> Any:
    pad = html.Canvas(
        id=_outside("pad", name),
        width=224,
        height=224,
        className="pad",
        tabIndex="0",
        role="img",
        **{"aria-label": "Drawing pad", "data-input": name},
    )
    return html.Div(
        [
            pad,
            dmc.Stack(
                [
                    dmc.Text("Draw with the mouse or a finger.", size="sm", c="dimmed"),
                    dmc.Button("Use the drawing", id=_id("use-drawing", name), size="xs"),
                    dmc.Button("Clear", id=_id("clear-pad", name), size="xs", variant="default"),
                ],
                gap="xs",
            ),
        ],
        className="drawing",
    )


def _line(spec: Any, name: str) -> Any:
    """Give a pad on which a series is drawn as a line, one channel at a time."""
    steps, channels = spec.shape
    low, high = (spec.decode(np.full((1, steps, channels), z))[0] for z in (-3.0, 3.0))
    pad = html.Canvas(
        id=_outside("line", name),
        width=320,
        height=140,
        className="line-pad",
        tabIndex="0",
        role="img",
        **{
            "aria-label": "Pad for a line",
            "data-input": name,
            "data-steps": str(steps),
            "data-channels": str(channels),
            "data-low": repr(float(low.min())),
            "data-high": repr(float(high.max())),
        },
    )
    which = dmc.NumberInput(
        id=_id("channel", name),
        value=0,
        min=0,
        max=channels - 1,
        label="Channel",
        size="xs",
        w=90,
        style={"display": None if channels > 1 else "none"},
    )
    ends = f"{steps:,} steps, from {float(low.min()):.4g} at the bottom to {float(high.max()):.4g} at the top"
    return dmc.Stack(
        [
            pad,
            dmc.Text(f"Draw with the mouse or a finger: {ends}.", size="xs", c="dimmed"),
            dmc.Group(
                [
                    which,
                    dmc.Button("Use the line", id=_id("use-line", name), size="xs"),
                    dmc.Button("Clear", id=_id("clear-line", name), size="xs", variant="default"),
                ],
                gap="xs",
                align="flex-end",
            ),
        ],
        gap="xs",
    )


def _numbers(spec: Any, name: str) -> Any:
    what = " × ".join(f"{n:,}" for n in spec.shape)
    rows = f"{what} numbers, one row of the first axis a line" if len(spec.shape) > 1 else f"{what} numbers"
    area = dmc.Textarea(
        id=_id("numbers", name),
        minRows=4,
        maxRows=10,
        autosize=True,
        placeholder="0.1, 0.4, 0.2 …",
        inputProps={"maxLength": MOST_NUMBERS},
        **{"aria-label": "Numbers"},
    )
    said = dmc.Text(f"{rows}, with commas, blanks or tabs between.", size="xs", c="dimmed")
    use = dmc.Button("Use the numbers", id=_id("use-numbers", name), size="xs", w="fit-content")
    return dmc.Stack([area, said, use], gap="xs")


def _typed(name: str) -> Any:
    area = dmc.Textarea(
        id=_id("text", name),
        autosize=True,
        minRows=4,
        maxRows=12,
        placeholder="Type or paste a text …",
        inputProps={"maxLength": 20_000},
        **{"aria-label": "Text"},
    )
    return dmc.Stack([area, dmc.Button("Use the text", id=_id("use-text", name), size="xs", w="fit-content")], gap="xs")


def _row_form(spec: Any, name: str) -> Any:
    first = spec.background[0] if spec.background else {}
    fields = [_column(column, known, first.get(column), name) for column, known in spec.columns.items()]
    use = dmc.Button("Use the row", id=_id("use-row", name), size="xs", w="fit-content")
    return dmc.Stack([dmc.SimpleGrid(fields, cols=2, spacing="xs"), use], gap="sm")


def _column(name: str, column: Any, value: Any, input: str) -> Any:
    common = {"id": {"type": "explain-column", "input": input, "name": name}, "label": name, "size": "xs"}
    if isinstance(column, Category):
        known = [str(v) for v in column.values]
        return dmc.Select(
            data=known, value=str(value) if value is not None else known[0], allowDeselect=False, **common
        )
    return dmc.NumberInput(value=column.mean if value is None else value, decimalScale=4, **common)


# ---------------------------------------------------------------- what happens


def register(app: Dash, services: Services) -> None:
    """Add the callbacks that turn what is given into the id of a sample."""
    _register_gallery(app, services)
    _register_makers(app, services)
    for name, output, inputs, states in CLIENT:
        app.clientside_callback(
            f"function (...given) {{ return window.dash_clientside.xaikitExplain.{name}(...given); }}",
            output,
            *inputs,
            *states,
            prevent_initial_call=True,
        )


def _of(what: str, property: str = "data") -> Any:
    return {"component_id": {"type": f"explain-{what}", "input": MATCH}, "component_property": property}


CLIENT: tuple[Any, ...] = (
    (
        "join",
        Output("explain-sample", "data"),
        (Input({"type": "explain-value", "input": ALL}, "data"),),
        (State({"type": "explain-value", "input": ALL}, "id"),),
    ),
    (
        "readPad",
        Output(**_of("drawing")),
        (Input(**_of("use-drawing", "n_clicks")),),
        (State(**_of("use-drawing", "id")),),
    ),
    (
        "clearPad",
        Output(**_of("drawing"), allow_duplicate=True),
        (Input(**_of("clear-pad", "n_clicks")),),
        (State(**_of("clear-pad", "id")),),
    ),
    (
        "readLine",
        Output(**_of("drawing"), allow_duplicate=True),
        (Input(**_of("use-line", "n_clicks")),),
        (State(**_of("use-line", "id")),),
    ),
    (
        "clearLine",
        Output(**_of("drawing"), allow_duplicate=True),
        (Input(**_of("clear-line", "n_clicks")),),
        (State(**_of("clear-line", "id")),),
    ),
    (
        "turnChannel",
        Output(**_of("drawing"), allow_duplicate=True),
        (Input(**_of("channel", "value")),),
        (State(**_of("channel", "id")),),
    ),
    (
        "mark",
        Output({"type": "explain-pick", "input": MATCH, "sample": ALL}, "className"),
        (Input(**_of("value")),),
        (State({"type": "explain-pick", "input": MATCH, "sample": ALL}, "id"),),
    ),
)
"""What the browser does by itself: a function of assets/explain.js, what it writes, and what it reads."""


def _register_gallery(app: Dash, services: Services) -> None:
    polls.register_each(app, "explain-gallery-poll")

    @app.callback(
        Output(**_of("gallery", "children")),
        Output(**_of("gallery-poll", "disabled")),
        Output(**_of("value"), allow_duplicate=True),
        Input(**_of("gallery-poll", "n_intervals")),
        State(**_of("gallery-poll", "id")),
        State("explain-view", "data"),
        State(**_of("value")),
        prevent_initial_call=True,
    )
    def fill(_: int, id: dict[str, str], view: list[str], sample: str | None) -> Any:
        gallery = services.gallery(*services.known(*view), id["input"])
        if not gallery.ready.is_set():
            return no_update, False, no_update
        first = sample or (gallery.shown[0].id if gallery.shown else None)
        return _thumbs(gallery, id["input"], first), True, first if first != sample else no_update

    @app.callback(
        Output(**_of("value"), allow_duplicate=True),
        Output(**_of("note", "hide"), allow_duplicate=True),
        Input({"type": "explain-pick", "input": MATCH, "sample": ALL}, "n_clicks"),
        prevent_initial_call=True,
    )
    def pick(clicks: list[int]) -> Any:
        if not any(clicks) or ctx.triggered_id is None:
            return no_update, no_update
        return ctx.triggered_id["sample"], True


def _register_makers(app: Dash, services: Services) -> None:
    """Add the callbacks that read what somebody gave, or say why it cannot be read."""
    written = (
        Output(**_of("value"), allow_duplicate=True),
        Output(**_of("note", "children"), allow_duplicate=True),
        Output(**_of("note", "hide"), allow_duplicate=True),
    )
    view = State("explain-view", "data")

    def kept(view: list[str], input: str, make: Any) -> tuple[Any, str, bool]:
        """Keep an input that someone gave, or say why not."""
        try:
            _, description = services.known(*view)
            spec = specs(description)[input]
            value = make(spec)
            spec.encode([value])
            return services.own.put(value), "", True
        except XaikitError as error:
            return no_update, " ".join(str(error).split()), False

    def when(button: str, *states: Any, make: Any) -> None:
        """Add the callback of a button beside which something was entered: `make` reads it by the spec."""

        @app.callback(
            *written,
            Input(**_of(button, "n_clicks")),
            State(**_of(button, "id")),
            view,
            *states,
            prevent_initial_call=True,
        )
        def use(clicks: int | None, id: dict[str, str], view: list[str], *entered: Any) -> Any:
            return kept(view, id["input"], partial(make, *entered)) if clicks else (no_update,) * 3

    column = {"type": "explain-column", "input": MATCH, "name": ALL}
    when("use-text", State(**_of("text", "value")), make=lambda text, spec: typed(text, spec, services.settings))
    when("use-row", State(column, "value"), State(column, "id"), make=_entered_row)
    when("use-numbers", State(**_of("numbers", "value")), make=numbers_of)

    @app.callback(
        *written,
        Output(**_of("upload", "contents")),
        Input(**_of("upload", "contents")),
        State(**_of("upload", "id")),
        State(**_of("upload", "filename")),
        view,
        prevent_initial_call=True,
    )
    def upload(contents: str | None, id: dict[str, str], filename: str | None, view: list[str]) -> Any:
        if not contents:
            return (no_update,) * 4
        name = str(filename or "the file")[:80]
        return *kept(view, id["input"], lambda spec: read_upload(contents, name, spec, services.settings)), None

    @app.callback(*written, Input(**_of("drawing")), State(**_of("drawing", "id")), view, prevent_initial_call=True)
    def draw(drawn: list[Any] | None, id: dict[str, str], view: list[str]) -> Any:
        if not drawn:
            return (no_update,) * 3
        return kept(view, id["input"], partial(_series if isinstance(drawn[0], list) else _drawing, drawn))

    @app.callback(Output(column, "value"), Input(**_of("value")), State(column, "id"), view, prevent_initial_call=True)
    def begin_with(sample: str | None, ids: list[dict[str, str]], view: list[str]) -> Any:
        """Fill the form with the chosen row, so that one can change a column of it."""
        if not sample or not ids:
            return [no_update] * len(ids)
        chosen, description = services.known(*view)
        name = ids[0]["input"]
        whole = services.sample(chosen, description, f"{name}:{sample}" if name else sample)
        spec = specs(description)[name]
        row = spec.display(whole[name] if name else whole)
        return [str(row[i["name"]]) if _is_category(spec, i["name"]) else row[i["name"]] for i in ids]


def _is_category(spec: Any, column: str) -> bool:
    return isinstance(spec.columns[column], Category)


def numbers_of(text: str | None, spec: Any) -> Any:
    """Read pasted numbers as one sample of a spec of arrays or series. Raises InputError."""
    words = (text or "").replace(",", " ").replace(";", " ").split()
    if not words:
        raise InputError("there are no numbers yet: paste some first")
    try:
        values = np.array([float(word) for word in words])
    except ValueError as error:
        raise InputError(f"these are not all numbers: {str(error).partition(': ')[2][:40]}") from None
    wanted = int(np.prod(spec.shape))
    if values.size != wanted:
        shape = " × ".join(f"{n:,}" for n in spec.shape)
        raise InputError(f"{values.size:,} numbers were given; the network takes {wanted:,} ({shape})")
    return spec.display(values.reshape(spec.shape))


def _series(drawn: list[list[float]], spec: Any) -> Any:
    """Turn the lines of the pad, one for each channel, into a series."""
    lines = np.asarray(drawn, np.float64)
    if lines.ndim != 2 or lines.T.shape != tuple(spec.shape):
        raise InputError("the line did not arrive whole: draw it again")
    return spec.display(lines.T)


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


def _entered_row(values: list[Any], ids: list[dict[str, str]], spec: Any) -> Any:
    return _row({i["name"]: v for i, v in zip(ids, values, strict=True)}, spec)


def _row(named: Mapping[str, Any], spec: Any) -> Any:
    """Turn the entries of the form into a row: categories by the text that stands for them."""
    row = dict(named)
    for name, column in spec.columns.items():
        if isinstance(column, Category):
            row[name] = next((v for v in column.values if str(v) == row.get(name)), row.get(name))
        elif row.get(name) in ("", None):
            raise InputError(f"column {name!r} is empty: give a number")
    return spec.display(row)
