"""Samples to choose from: a gallery of links, each the address of the same view of another sample, and an upload."""

import time
from collections.abc import Mapping
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import Dash, Input, Output, State, dcc, html, no_update

from xaikit.errors import InputError, XaikitError
from xaikit_app import ui
from xaikit_app.own import Own
from xaikit_app.pictures import photo, spark
from xaikit_app.samples import Gallery, Sample
from xaikit_app.services import Services
from xaikit_app.state import State as Address
from xaikit_app.state import read
from xaikit_app.uploads import ACCEPTED, read_upload
from xaikit_app.work.describe import Description

PATIENCE = 8.0
"""Seconds from the start of a gallery that pages wait for it; after them they are shown without."""
THUMB = 72
WORDS = 90
"""How many characters of a text a thumbnail shows."""


def shelf(view: Any) -> Gallery | None:
    """Give the gallery of a view's model once it is filled; None for a model that takes several inputs."""
    if isinstance(view.description.inputs, Mapping):
        return None
    gallery: Gallery = view.services.galleries.of(view.chosen.name, view.description)
    gallery.ready.wait(max(0.0, gallery.started + PATIENCE - time.monotonic()))
    return gallery


def current(view: Any) -> str | None:
    """Give the id of the sample that a view shows: the one in its address, else the first of the gallery.

    Of a model with several inputs it is the first of the gallery of each.
    """
    if view.state.sample:
        return str(view.state.sample)
    if isinstance(view.description.inputs, Mapping):
        return _first_of_each(view)
    gallery = shelf(view)
    return gallery.shown[0].id if gallery is not None and gallery.shown else None


def _first_of_each(view: Any) -> str | None:
    found = {name: view.services.gallery(view.chosen, view.description, name) for name in view.description.inputs}
    for gallery in found.values():
        gallery.ready.wait(max(0.0, gallery.started + PATIENCE - time.monotonic()))
    if not all(gallery.shown for gallery in found.values()):
        return None
    return ",".join(f"{name}:{gallery.shown[0].id}" for name, gallery in found.items())


def value_of(view: Any) -> tuple[Any, str | None]:
    """Give the chosen sample, or None with the reason why there is none."""
    id = current(view)
    if id is None:
        gallery = shelf(view)
        if gallery is not None and not gallery.ready.is_set():
            return None, "its samples are still being read; open the page again in a moment"
        one = "upload one" if gallery is not None else "give one for each of its inputs on the page Explain"
        return None, f"there are no samples of its kind here; {one}"
    try:
        return view.services.sample(view.chosen, view.description, id), None
    except XaikitError as error:
        return None, str(error)


def chooser(page: str, view: Any, notes: Mapping[str, Any] | None = None) -> Any:
    """Give the gallery of a view with the upload; `notes` are written below the samples that they name."""
    gallery = shelf(view)
    if gallery is None:
        return ui.hint(f"{view.chosen.name} takes several inputs at once: choose one of each on the page Explain.")
    id, spec = current(view), view.description.inputs
    samples = list(gallery.shown)
    if id is not None and all(s.id != id for s in samples):
        samples = [*_other(view, id), *samples]
    tiles = [_tile(s, spec, view.state, s.id == id, (notes or {}).get(s.id)) for s in samples]
    given = dcc.Upload(
        dmc.Button("Upload another", variant="default", size="xs"),
        id=f"{page}-upload",
        accept=ACCEPTED.get(view.description.kind, ".npy"),
        multiple=False,
        className="give",
    )
    note = dmc.Text(gallery.note, size="xs", c="dimmed") if gallery.note else None
    return dmc.Stack(
        [
            html.Ul(tiles, className=f"thumbs {spec.kind.lower()}", **{"aria-label": "Samples"}),
            dmc.Group([given, note], gap="md"),
        ],
        gap="xs",
    )


def register(app: Dash, services: Services, page: str) -> None:
    """Add the callback of a page's upload: what was given becomes the sample of its address."""

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Input(f"{page}-upload", "contents"),
        State(f"{page}-upload", "filename"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def take(contents: str | None, filename: str | None, path: str, search: str | None) -> Any:
        if not contents:
            return no_update
        state = read(path, search)
        chosen = services.choose(state)
        known = services.description(chosen)
        if not isinstance(known, Description):
            return no_update
        return state.at(sample=services.own.put(uploaded(services, known.inputs, contents, filename))).href


def uploaded(services: Services, spec: Any, contents: str, filename: str | None) -> Any:
    """Read an upload that is one sample. Raises InputError."""
    return read_upload(contents, filename or "the upload", spec, services.settings)


def small(value: Any, spec: Any, words: str) -> Any:
    """Give a sample as something small to look at; `words` say what it is, or stand for it where it does not fit."""
    try:
        return _drawn(value, spec, words)
    except InputError:
        return html.Span(words, className="thumb-text")


def _drawn(value: Any, spec: Any, words: str) -> Any:
    if spec.kind == "Image":
        return html.Img(src=photo(spec.display(value), spec, THUMB), alt=words)
    drawn = np.squeeze(value) if spec.kind in ("Series", "Array") else np.zeros(())
    if 1 <= drawn.ndim <= 2:
        return html.Img(src=spark(drawn), alt=words)
    return html.Span(beginning(in_words(value, spec)), className="thumb-text")


def beginning(text: str) -> str:
    """Give the first words of a text, none of them cut, with a sign that it goes on where it does."""
    if len(text) <= WORDS:
        return text
    return (text[: WORDS + 1].rpartition(" ")[0] or text[:WORDS]).rstrip(",;") + " …"


def in_words(value: Any, spec: Any) -> str:
    """Give a text, or a row or array in a few words."""
    if isinstance(value, str):
        return value
    if spec.kind == "Table":
        return ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in spec.display(value).items())
    return f"array {np.shape(value)}"


def _other(view: Any, id: str) -> list[Sample]:
    """Give the sample of an address that is not in the gallery, unless it is gone."""
    try:
        value = view.services.sample(view.chosen, view.description, id)
    except InputError:
        return []
    return [Sample(id, "yours" if id.startswith(Own.PREFIX) else id, value)]


def _tile(sample: Sample, spec: Any, state: Address, chosen: bool, note: Any) -> Any:
    words = f"sample {sample.label}" if sample.label else f"sample {sample.id}"
    link = dcc.Link(
        [small(sample.value, spec, words), html.Span(sample.label or sample.id, className="thumb-label"), note],
        href=state.at(sample=sample.id).href,
        className="thumb chosen" if chosen else "thumb",
        title=sample.id,
    )
    return html.Li(link, **({"aria-current": "true"} if chosen else {}))


__all__ = ["chooser", "current", "in_words", "register", "shelf", "small", "value_of"]
