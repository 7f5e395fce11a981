"""Ways to give an input on the page Explain: samples, files, drawings, texts and rows."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import ALL, Dash, Input, Output, State, ctx, dcc, html, no_update

from xaikit.errors import InputError, XaikitError
from xaikit.inputs import Category
from xaikit_app import pictures, thumbs, ui
from xaikit_app.pages import View
from xaikit_app.samples import Gallery, Sample
from xaikit_app.services import Services
from xaikit_app.uploads import ACCEPTED, read_upload


def card(view: View, gallery: Gallery, sample: str | None) -> Any:
    """Give the card with the ways to give an input that fit the model."""
    kind = view.description.kind
    tabs = [("gallery", "Samples", html.Div(_thumbs(gallery, sample), id="explain-gallery"))]
    if kind in ACCEPTED:
        tabs.append(("upload", "Upload", _upload(view)))
    if kind == "Image" and view.description.inputs.shape[-1] == 1 and pictures.in_bytes(view.description.inputs):
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


def _thumbs(gallery: Gallery, chosen: str | None) -> Any:
    if not gallery.ready.is_set():
        return ui.waiting("Looking for samples …")
    if not gallery.shown:
        return dmc.Text("There are no samples of this kind here: give an input of your own.", c="dimmed", size="sm")
    spec = gallery.description.inputs
    shown = [_thumb(sample, spec, sample.id == chosen) for sample in gallery.shown]
    return [
        html.Div(shown, className=f"thumbs {spec.kind.lower()}"),
        dmc.Text(gallery.note, size="xs", c="dimmed", mt="xs"),
    ]


def _thumb(sample: Sample, spec: Any, chosen: bool) -> Any:
    return html.Button(
        [thumbs.small(sample.value, spec, ""), html.Span(sample.label, className="thumb-label")],
        id={"type": "explain-pick", "sample": sample.id},
        className="thumb chosen" if chosen else "thumb",
        n_clicks=0,
        type="button",
        **{"aria-pressed": str(chosen).lower(), "aria-label": f"sample {sample.label or sample.id}"},
    )


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


def register(app: Dash, services: Services) -> None:
    """Add the callbacks that turn what is given into the id of a sample."""
    note = (Output("explain-note", "children"), Output("explain-note", "hide"))
    give = partial(Output, "explain-sample", "data", allow_duplicate=True)

    def kept(view: list[str], make: Any) -> tuple[Any, str, bool]:
        """Keep an input that someone gave, or say why not."""
        try:
            _, description = services.known(*view)
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
        chosen, description = services.known(*view)
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
