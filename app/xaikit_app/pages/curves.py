"""Training curves: those of a network's card and of files that people give, over each other."""

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import Dash, Input, Output, State, dcc, html, no_update

from xaikit import zoo
from xaikit.errors import InputError, XaikitError
from xaikit.figures import panels
from xaikit.results import Curve, Curves
from xaikit.training_curves import curves
from xaikit_app import ui
from xaikit_app.exhibits import in_words
from xaikit_app.pages import View
from xaikit_app.services import Chosen, Services
from xaikit_app.settings import Settings
from xaikit_app.state import State as Address
from xaikit_app.state import read
from xaikit_app.taking import python
from xaikit_app.uploads import received, shown_name
from xaikit_app.work.describe import Description

PATH, TITLE, ICON, ORDER = "curves", "Training curves", "curve", 50
GROUP = "Look inside"
MOST_RUNS = 8
POINTS = 2000
"""As many points of a curve are drawn; a longer one is thinned out evenly."""
CARD = "card"
"""The id of the run that a card of the zoo tells, in `card` for the model's own or `card-NAME`."""


def lacks(description: Description) -> str | None:
    """Say why a model has no such page: any may, since curves are also read from files."""
    return None


def layout(view: View) -> Any:
    """Give the page: the runs, their curves over each other, and each in words and numbers."""
    found, wrong = runs_of(view)
    lead = "How training went: of this network, and of files from your own training, over each other."
    stage = _stage(view, found) if found else _nothing(view)
    return ui.page(
        TITLE,
        lead,
        ui.card(_runs(view, found), *[ui.problem(text) for text in wrong], _giver(view), title="Runs"),
        ui.card(stage, title="Curves"),
        *[_told(name, run) for _, name, run in found],
    )


def register(app: Dash, services: Services) -> None:
    """Add the callbacks: files that are given become runs of the address; everything else is drawn in the browser."""

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Input("curves-upload", "contents"),
        State("curves-upload", "filename"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def take(contents: list[str] | None, names: list[str] | None, path: str, search: str | None) -> Any:
        if not contents:
            return no_update
        state = read(path, search)
        ids = asked(state, services.choose(state))
        for data, name in zip(contents, names or [], strict=False):
            found = uploaded(data, name, services.settings)
            ids.append(services.own.put(stored(found, shown_name(name))))
        return _at(state, ids)

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Input("curves-add", "value"),
        State("url", "pathname"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def add(name: str | None, path: str, search: str | None) -> Any:
        if not name:
            return no_update
        state = read(path, search)
        return _at(state, [*asked(state, services.choose(state)), f"{CARD}-{name}"])

    app.clientside_callback(
        "function (...given) { return window.dash_clientside.curves.begin(...given); }",
        Output("curves-stage", "data-ready"),
        Input("curves-data", "data"),
    )


# ---------------------------------------------------------------- which runs


def asked(state: Address, chosen: Chosen) -> list[str]:
    """List the ids of the runs that an address names; without any, the card of its model where it has one."""
    given = [id for id in state.more.get("runs", "").split(",") if id]
    return list(dict.fromkeys(given or ([CARD] if _has_card(chosen) else [])))[:MOST_RUNS]


def _has_card(chosen: Chosen) -> bool:
    recipes = chosen.choice.recipes.values()
    own = chosen.choice.model is not None or any(recipe.is_file for recipe in recipes)
    return not own and bool(getattr(zoo.card(chosen.name).trained, "curve", ()))


def runs_of(view: View) -> tuple[list[tuple[str, str, Curves]], list[str]]:
    """Give the runs of a view, (id, name, curves) each, and what is wrong with those that are not there."""
    found, wrong = [], []
    for id in asked(view.state, view.chosen):
        try:
            found.append((id, *_run(view, id)))
        except XaikitError as error:
            wrong.append(str(error))
    return found, wrong


def _run(view: View, id: str) -> tuple[str, Curves]:
    if id == CARD or id.startswith(f"{CARD}-"):
        name = id.partition("-")[2] or view.chosen.name
        return name, curves(zoo.card(name))
    return kept(view.services.own.get(id))


def _at(state: Address, ids: Sequence[str]) -> str:
    more = {**state.more, "runs": ",".join(dict.fromkeys(ids))}
    return state.at(page=PATH, more=more).href


# ---------------------------------------------------------------- files that are given


def uploaded(contents: str, filename: str | None, settings: Settings) -> Curves:
    """Read an upload: a CSV of a logger, TensorBoard's events, or a Keras history as JSON. Raises InputError."""
    name = shown_name(filename)
    data = received(contents, name, settings)
    if data.lstrip()[:1] == b"{":
        return _history(data, name)
    kept_name = "upload.tfevents" if "tfevents" in str(filename) else "upload.csv"
    with TemporaryDirectory() as folder:
        path = Path(folder) / kept_name
        path.write_bytes(data)
        try:
            return curves(path)
        except InputError as error:
            raise InputError(str(error).replace(str(path), name)) from None
        except (UnicodeDecodeError, ValueError):
            raise InputError(f"{name} is neither a CSV file of numbers nor a TensorBoard event file") from None


def _history(data: bytes, name: str) -> Curves:
    try:
        said = json.loads(data)
    except ValueError:
        raise InputError(f"{name} is not a JSON file that can be read") from None
    history = said.get("history", said)
    if not isinstance(history, dict) or not history or not all(isinstance(v, list) for v in history.values()):
        raise InputError(f"{name} is no history of Keras: a list of numbers for each metric is expected")
    return curves(history)


def stored(found: Curves, name: str) -> dict[str, Any]:
    """Give curves as plain data."""
    listed = [
        {"metric": c.metric, "part": c.part, "axis": c.axis, "steps": c.steps.tolist(), "values": c.values.tolist()}
        for c in found.curves
    ]
    return {"name": name, "curves": listed, "best": found.best}


def kept(said: Any) -> tuple[str, Curves]:
    """Give the name and the curves of plain data. Raises InputError for data of another kind."""
    if not isinstance(said, dict) or "curves" not in said:
        raise InputError("this link names an input, and no training curves")
    listed = tuple(
        Curve(c["metric"], c["part"], c["axis"], np.asarray(c["steps"], float), np.asarray(c["values"], float))
        for c in said["curves"]
    )
    return said["name"], Curves(listed, said["name"], said["best"])


# ---------------------------------------------------------------- what is shown


def _runs(view: View, found: Sequence[tuple[str, str, Curves]]) -> Any:
    if not found:
        return dmc.Text("No run is shown yet.", size="sm", c="dimmed")
    ids = [id for id, _, _ in found]
    items = [
        html.Li(
            [
                html.Span(className=f"run-mark run-{k}", **{"aria-hidden": "true"}),
                html.Strong(name),
                html.Span(panels(run).subtitle, className="quiet"),
                dcc.Link("Leave out", href=_at(view.state, [i for i in ids if i != id]), className="leave-out")
                if len(ids) > 1
                else None,
            ]
        )
        for k, (id, name, run) in enumerate(found)
    ]
    return html.Ul(items, className="runs")


def _giver(view: View) -> Any:
    shown = asked(view.state, view.chosen)
    names = [n for n in zoo.names() if f"{CARD}-{n}" not in shown and n != view.chosen.name]
    trained = [n for n in names if getattr(zoo.card(n).trained, "curve", ())]
    given = dcc.Upload(
        dmc.Button("Add files", variant="default", size="xs"), id="curves-upload", multiple=True, className="give"
    )
    words = "CSV of Keras' CSVLogger or of Lightning, TensorBoard event files, or a Keras history as JSON."
    if len(shown) >= MOST_RUNS:
        return dmc.Text(f"{MOST_RUNS} runs are the most that are shown at once.", size="xs", c="dimmed")
    another = dmc.Select(
        id="curves-add",
        data=trained,
        placeholder="add a network of the zoo",
        searchable=True,
        size="xs",
        w=220,
        **{"aria-label": "Add the curves of a network of the zoo"},
    )
    return dmc.Group([given, another, dmc.Text(words, size="xs", c="dimmed")], gap="md", mt="sm")


def _nothing(view: View) -> Any:
    return ui.empty(
        f"{view.chosen.name} has no training curves of its own. Add files of a training, or a network of the zoo."
    )


def _stage(view: View, found: Sequence[tuple[str, str, Curves]]) -> Any:
    return html.Div(
        [
            html.Div(
                id="curves-stage", className="curves-stage", role="group", **{"aria-label": "Curves", "data-ready": ""}
            ),
            dcc.Store(id="curves-data", data=sent(view, found)),
        ]
    )


def sent(view: View, found: Sequence[tuple[str, str, Curves]]) -> dict[str, Any]:
    """Give what the browser draws: the runs with their curves, and what the address chose."""
    smooth = view.state.more.get("smooth", "0")
    return {
        "runs": [
            {"name": name, "best": run.best, "curves": [_thinned(c) for c in run.curves]} for _, name, run in found
        ],
        "smooth": min(int(smooth), 99) if smooth.isdecimal() and len(smooth) < 4 else 0,
        "metrics": [m for m in view.state.more.get("metrics", "").split(",") if m],
    }


def _thinned(curve: Curve) -> dict[str, Any]:
    keep = np.unique(np.linspace(0, len(curve.steps) - 1, min(len(curve.steps), POINTS)).astype(int))
    values = [float(v) if np.isfinite(v) else None for v in curve.values[keep]]
    return {
        "metric": curve.metric,
        "part": curve.part,
        "axis": curve.axis,
        "steps": [float(s) for s in curve.steps[keep]],
        "values": values,
    }


def _told(name: str, run: Curves) -> Any:
    figure = panels(run)
    notes = [dmc.Text(note, size="sm") for note in figure.notes]
    longest = max(len(c.steps) for c in run.curves)
    thin = (
        [dmc.Text(f"Drawn with {POINTS:,} of {longest:,} points.", size="xs", c="dimmed")] if longest > POINTS else []
    )
    panel_words = [
        html.Div([html.Strong(panel.title), *in_words(panel)], className="run-words") for panel in figure.panels
    ]
    code = ["import xaikit as xk", "", f'found = xk.curves("{name}")', "xk.plot(found)"]
    lead = dmc.Text(f"{figure.subtitle[:1].upper()}{figure.subtitle[1:]}.", size="sm", c="dimmed")
    return ui.card(lead, *notes, *thin, *panel_words, python(code), title=f"{name} in words and numbers")


__all__: Sequence[str] = ["asked", "kept", "layout", "register", "runs_of", "sent", "stored", "uploaded"]
