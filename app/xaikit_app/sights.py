"""What units see of the input, for the browser to draw: the table of fields, and the pictures that are pointed at.

A `sight` encloses pictures of an input and of what a layer makes of it. Pointing at a place of one frames what belongs
to it on the other; the table of first and last places travels with the page, so that the server is not asked.
"""

import json
from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import html

from xaikit.results import Field, ReceptiveFields
from xaikit_app import tiles
from xaikit_app.pictures import photo, spark

MOST = 200_000
"""As many numbers as a table may have that goes to a browser."""
PIXELS = 280
SPOKEN = {"height": "rows", "width": "columns", "time": "steps", "token": "words"}


def sight(*inside: Any) -> Any:
    """Give what belongs together: an input, maps, and the table of fields, wherever they stand inside."""
    return html.Div(list(inside), className="sight")


def table(found: ReceptiveFields) -> Any:
    """Give the fields of one layer as a table for the browser, with a sentence on them and the line that answers."""
    layer = next(iter(found.fields))
    each = list(found.fields[layer].values())
    if not each:
        return dmc.Text("Its units see nothing of the input.", size="sm", c="dimmed")
    field = each[0]
    several = len(found.inputs) > 1
    said = [dmc.Text(said_of(f, several), size="sm", c="dimmed") for f in each]
    numbers = _numbers(field)
    if numbers is None:
        return html.Div(said)
    ask = "Point at a place, or focus a picture and use the arrow keys: what belongs to it is framed on the other one."
    return html.Div(
        [
            *said,
            html.Div(ask, className="sight-words", role="status", **{"data-said": ask}),
            html.Div(hidden=True, **{"data-sight": json.dumps(numbers, separators=(",", ":"))}),
        ]
    )


def said_of(field: Field, several: bool = False) -> str:
    """Say in a sentence what the units of a layer see of an input."""
    of = f"the input {field.input}" if several else "the input"
    if field.global_ and all(field.global_):
        return f"Every unit sees the whole of {of}."
    sizes = [f"{_size(field, i)} {SPOKEN.get(axis, axis)}" for i, axis in enumerate(field.axes)]
    steps = [s for s in field.stride if s is not None]
    apart = f", neighbours {' × '.join(f'{s:g}' for s in steps)} apart" if set(steps) - {1} else ""
    bound = " at most" if field.bounds else ""
    return f"A unit sees{bound} {' × '.join(sizes)} of {of}{apart}." if sizes else f"Every unit sees {of}."


def _size(field: Field, i: int) -> str:
    if field.global_[i]:
        return "all"
    size, span = field.size[i], field.sizes[i]
    if size is not None:
        return f"{size:g}"
    return f"up to {span[1]}" if span is not None else "some"


def _numbers(field: Field) -> dict[str, Any] | None:
    """Give the first and last places that units see, by axis of the input; None where they are not known."""
    arrays = [*field.lo, *field.hi]
    shape = [n for n in field.shape if n is not None]
    alike = all(a.size == 1 for a in arrays)  # nothing to point at: every unit sees the same
    if not field.known or not shape or len(shape) < len(field.shape) or alike or sum(a.size for a in arrays) > MOST:
        return None
    return {
        "axes": list(field.axes),
        "lengths": [int(n or 1) for n in field.lengths],
        "places": list(field.places),
        "shape": shape,
        "lo": [_flat(a) for a in field.lo],
        "hi": [_flat(a) for a in field.hi],
    }


def _flat(values: Any) -> dict[str, Any]:
    return {"shape": list(values.shape), "values": [int(v) for v in np.ravel(values)]}


# ---------------------------------------------------------------- pictures that can be pointed at


def pointed(picture: Any, label: str, kind: str = "map", of: str = "map", size: Sequence[int] = ()) -> Any:
    """Give a picture of an input or a map that can be pointed at, and walked over with the arrow keys.

    `kind` says how places lie in it: "map" (rows and columns), "curve" (steps across) or "words".
    """
    said = f"{label}: move over its places with the arrow keys"
    return html.Div(
        picture,
        className=f"sight-{of} focusable",
        tabIndex=0,
        role="application",
        **{"aria-label": said, "data-kind": kind},
    )


def input_figure(sample: Any, spec: Any) -> Any | None:
    """Give a sample as a figure that can be pointed at; None for one without places."""
    drawn = _drawn(sample, spec)
    if drawn is None:
        return None
    picture, kind = drawn
    words = " words" if kind == "words" else ""
    return html.Figure(
        [pointed(picture, "The sample", kind, "input"), html.Figcaption("The sample")], className=f"sample{words}"
    )


def _drawn(sample: Any, spec: Any) -> tuple[Any, str] | None:
    if spec.kind == "Image":
        return html.Img(src=photo(spec.display(sample), spec, PIXELS), alt="The sample", className="big"), "map"
    if spec.kind == "Text":
        placed = [(i, t[0]) for i, t in enumerate(spec.placed(sample)) if t is not None]
        return [html.Span(f"{word} ", **{"data-at": i}) for i, word in placed], "words"
    if spec.kind not in ("Series", "Array"):
        return None
    values = np.squeeze(np.asarray(sample, np.float64))
    if spec.kind == "Series" or values.ndim == 1:
        return html.Img(src=spark(values), alt="The sample", className="big line"), "curve"
    if values.ndim != 2:
        return None
    scale = tiles.scale_of([values])
    return html.Img(src=tiles.map_url(values, scale, None), alt="The sample", className=_big(values.shape)), "map"


def map_figure(values: Any, scale: Any, label: str, said: str) -> Any:
    """Give what a layer makes, (row, column) or (step,), as a large figure that can be pointed at."""
    if values.ndim == 1:
        low, high = float(values.min()), float(values.max())
        picture = html.Img(src=tiles.curve_url(values, low, high), alt=said, className="big line")
        return html.Figure([pointed(picture, label, "curve"), html.Figcaption(said)])
    picture = html.Img(src=tiles.map_url(values, scale, None), alt=said, className=_big(values.shape))
    return html.Figure([pointed(picture, label), html.Figcaption(said)])


def _big(shape: Sequence[int]) -> str:
    return "big tall" if shape[0] > 1.6 * shape[1] else "big"


__all__ = ["input_figure", "map_figure", "pointed", "said_of", "sight", "table"]
