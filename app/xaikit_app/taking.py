"""Taking a result along: its figure, its numbers, the result itself, and the code that makes it again."""

import csv
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO, StringIO
from typing import Any
from urllib.parse import urlencode

import numpy as np
from dash import Dash, dcc, html
from flask import Response, abort, request

from xaikit import storage
from xaikit.errors import UnknownName, XaikitError
from xaikit.figures import numbers_of, panels
from xaikit.render import draw, png
from xaikit_app import sessions
from xaikit_app.services import Services

NAME = re.compile(r"[\w][\w.-]{0,60}")
MAX_ROWS = 200_000
"""As many rows as a table of numbers has in a file; the result itself has all."""


def take_along(address: str | None, code: Sequence[str] = (), given: Mapping[str, str] | None = None) -> Any:
    """Give the links by which the result at an address can be taken along, and the code that makes it again.

    `given` names the files in which the inputs come along, by input; an only input is called "".
    """
    links = [
        html.A(words, href=link(address, name), download=f"xaikit-{address[:8]}-{name}", className="take")
        for name, words in (FORMS if address else {}).items()
        if address
    ]
    links += [_input_link(address, input, file) for input, file in (given or {}).items() if address]
    shown = [html.Div([html.Span("Take along:", className="quiet"), *links], className="take-along")] if links else []
    return html.Div([*shown, *([python(code)] if code else [])], className="taking")


def _input_link(address: str, input: str, file: str) -> Any:
    words = f"Input {input}" if input else "Input"
    href = link(address, "input", {"of": input, "as": file})
    return html.A(words, href=href, download=file, className="take")


def link(address: str, form: str, more: Mapping[str, str] | None = None) -> str:
    """Give the address at which the present session, and no other, has a result in one form."""
    return f"/take/{address}/{form}?{urlencode({**(more or {}), 'key': sessions.proof(address)})}"


def python(code: Sequence[str]) -> Any:
    """Give lines of Python, folded away, with a button that copies them."""
    text = "\n".join(code)
    copy = dcc.Clipboard(content=text, title="Copy the code", className="copy-code")
    shown = html.Div([copy, html.Pre(html.Code(text), tabIndex="0")], className="code")
    return html.Details([html.Summary("Python"), shown], className="numbers")


FORMS: Mapping[str, str] = {"figure.png": "PNG", "figure.svg": "SVG", "numbers.csv": "CSV", "result.zip": "Result"}
"""What a result can be taken along as, and what the links are called."""


def register(app: Dash, services: Services) -> None:
    """Add the route `/take/ADDRESS/FORM`, which answers the session that was given the link.

    Whoever can guess an input can work out its result's address, which is a hash of what was asked: it is no secret.
    """

    @app.server.get("/take/<address>/<form>")
    def take(address: str, form: str) -> Response:
        make = MAKERS.get(form)
        if make is None or not sessions.shows(address, request.args.get("key")):
            abort(404)
        try:
            result = services.result(address)
            if result is None:
                abort(404)
            data, kind = make(_of_input(result, request.args.get("of")) if form == "input" else result)
        except XaikitError:
            abort(404)
        answer = Response(data, mimetype=kind)
        named = request.args.get("as", "")
        file = named if NAME.fullmatch(named) else f"xaikit-{address[:8]}-{form}"
        answer.headers["Content-Disposition"] = f'attachment; filename="{file}"'
        answer.headers["Cache-Control"] = "private, max-age=3600"
        return answer


def _png(result: Any) -> tuple[bytes, str]:
    return png(panels(result)), "image/png"


def _svg(result: Any) -> tuple[bytes, str]:
    return draw(panels(result), "svg").encode(), "image/svg+xml"


def _csv(result: Any) -> tuple[bytes, str]:
    """Give the numbers of all panels, one table after the other, each below its panel's title."""
    held = StringIO()
    writer = csv.writer(held)
    for panel in panels(result).panels:
        found = numbers_of(panel, MAX_ROWS)
        if found is not None:
            writer.writerow([panel.title or panel.alt])
            writer.writerows([found.headers, *found.rows, ()])
    return held.getvalue().encode(), "text/csv"


def _zip(result: Any) -> tuple[bytes, str]:
    """Give the files that `xk.load` reads."""
    held = BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for suffix, data in storage.to_bytes(result).items():
            archive.writestr(f"result{suffix}", data)
    return held.getvalue(), "application/zip"


def _of_input(result: Any, input: str | None) -> Any:
    """Give the result for one of several inputs, or the only one. Raises UnknownName."""
    if not isinstance(result, Mapping):
        return result
    if input not in result:
        raise UnknownName("input", input or "", result)
    return result[input]


def _input(result: Any) -> tuple[bytes, str]:
    """Give the input of an explanation: a picture as PNG, another array as NPY, words as text, a row as CSV."""
    value, spec = result.display[0], result.input_spec
    if isinstance(value, str):
        return value.encode(), "text/plain"
    held = BytesIO()
    if isinstance(value, Mapping):
        table = StringIO()
        csv.writer(table).writerows([list(value), list(value.values())])
        return table.getvalue().encode(), "text/csv"
    array = np.asarray(value)
    if spec.kind == "Image" and array.dtype == np.uint8:
        from PIL import Image as Pillow

        Pillow.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(held, "PNG")
        return held.getvalue(), "image/png"
    np.save(held, array, allow_pickle=False)
    return held.getvalue(), "application/octet-stream"


MAKERS: Mapping[str, Callable[[Any], tuple[bytes, str]]] = {
    "figure.png": _png,
    "figure.svg": _svg,
    "numbers.csv": _csv,
    "result.zip": _zip,
    "input": _input,
}

__all__ = ["link", "python", "register", "take_along"]
