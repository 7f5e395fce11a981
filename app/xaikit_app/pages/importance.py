"""Importance and profiles: what a network's answers depend on, over a slice of the data and for one row of it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import dash_mantine_components as dmc
from dash import ALL, Dash, Input, Output, State, dcc, html, no_update

from xaikit.errors import ParameterError, XaikitError
from xaikit.inputs import Category, Classes, Values
from xaikit.jobs import Unit
from xaikit_app import cohorts, thumbs, ui
from xaikit_app.cohorts import Cohort
from xaikit_app.exhibits import exhibits
from xaikit_app.pages import View
from xaikit_app.parts import Part, fill
from xaikit_app.parts import register as register_parts
from xaikit_app.services import Services
from xaikit_app.snippets import snippet
from xaikit_app.state import read
from xaikit_app.targets import target_of
from xaikit_app.work.describe import Description

PATH, TITLE, ICON, ORDER = "importance", "Importance and profiles", "bars", 40
GROUP = "Explain"
ROWS, REPEATS, GRID = 200, 10, 20
MOST_ROWS, MOST_REPEATS = 20_000, 200
KINDS = {
    "partial-dependence": "mean answer for each value (partial dependence)",
    "ale": "mean effect of small steps (accumulated local effects)",
    "ceteris-paribus": "a line for every row (individual expectations)",
}
LINES = 30
"""As many rows as have lines of their own."""
VARIABLES = {
    "Series": {"windows:10": "ten windows of time", "channels": "channels", "bands": "bands of frequencies"},
    "Image": {
        "squares:4": "4 × 4 squares, row by row",
        "squares:7": "7 × 7 squares, row by row",
        "squares:2": "quarters, row by row",
    },
}
LOSSES = {
    "Classes": {"cross-entropy": "cross-entropy", "1-accuracy": "share of wrong answers", "1-auc": "1 − AUC"},
    "Values": {"rmse": "root mean squared error", "mae": "mean absolute error", "1-r2": "1 − R²"},
}


def lacks(description: Description) -> str | None:
    """Say why there is no importance for a model, or None."""
    if isinstance(description.inputs, Mapping):
        return "it takes several inputs at once, and importance is of one table, picture or series"
    if not isinstance(description.outputs, Classes | Values):
        return "it gives neither one class nor numbers, whose error could grow"
    if description.kind == "Text":
        return "the words of a text have no fixed places, so that a word cannot be exchanged with that of another text"
    if description.kind == "Array" and len(description.inputs.shape) == 1:
        return "its input is one long list of numbers without columns that have names"
    if description.layers and len(description.layers[-1]["shape"] or ()) > 1:
        return "it gives a sequence, not one answer"
    return None


def layout(view: View) -> Any:
    """Give the page."""
    lead = "What the answers depend on: over many rows, for one of them, and along single columns."
    gallery = thumbs.shelf(view)
    if gallery is not None and not gallery.ready.is_set():
        return ui.page(TITLE, lead, ui.waiting("Reading the data …"), dcc.Link("Look again", href=view.state.href))
    places, machinery = fill(PATH, view, parts(view))
    count = len(Cohort(view).found)
    if not count:
        return ui.page(TITLE, lead, ui.hint("There are no rows here: the slice is empty, or no data were found."))
    shown = [ui.card(_sizes(view, count), title="Rows")]
    shown += [
        _section("Importance", places.get("importance"), IMPORTANCE, _importance_controls, view),
        _section("Break-down of the chosen one", places.get("breakdown"), BREAK_DOWN, _break_down_controls, view),
        _section("Profiles", places.get("profile"), PROFILE, _profile_controls, view),
        _section("Two columns together", places.get("pair"), PAIR, _pair_controls, view),
        _section("Groups", places.get("fairness"), FAIRNESS, _fairness_controls, view),
    ]
    return ui.page(
        TITLE,
        lead,
        *(s for s in shown if s is not None),
        html.Div(machinery),
        dcc.Store(id={"type": "importance-view", "of": "page"}, data=view.state.href),
    )


IMPORTANCE = "How much worse the network does when the values of one thing are shuffled among the rows."
BREAK_DOWN = "The mean answer over the rows, and what each value of the chosen one adds to it."
PROFILE = "How the answer goes with a column while the others stay as they are."
PAIR = "What two columns do together beyond what each does alone, as accumulated local effects."
FAIRNESS = (
    "How the network does for each group of rows. The measures cannot all be equal; which one matters is not said here."
)


def _section(title: str, place: Any, words: str, controls: Callable[[View], Any], view: View) -> Any:
    if place is None:
        return None
    return ui.card(dmc.Text(words, size="sm", c="dimmed", mb="xs"), controls(view), place, title=title)


# ---------------------------------------------------------------- what is asked


def _number(view: View, name: str, default: int, most: int) -> int:
    text = view.state.more.get(name, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise ParameterError(f"{name} is a whole number from 1 to {most:,}, not {text!r}")
    return int(text)


def _chosen(view: View, name: str, known: Mapping[str, Any]) -> str:
    """Give the choice in an address, or the first. Raises ParameterError."""
    found = view.state.more.get(name) or next(iter(known))
    if found not in known:
        raise ParameterError(f"{name} is one of {', '.join(known)}, not {found[:40]!r}")
    return found


def _columns(view: View) -> list[str]:
    return list(view.description.inputs.columns) if view.description.kind == "Table" else []


def _variables(view: View) -> dict[str, str]:
    """Give the ways to cut an input that is no table."""
    kind = view.description.kind
    if kind == "Array":
        return VARIABLES["Series"]
    return dict(VARIABLES.get(kind, {}))


def _several(view: View, name: str, default: Sequence[str]) -> list[str]:
    known = _columns(view)
    asked = [c for c in view.state.more.get(name, "").split(",") if c] or list(default)
    wrong = next((c for c in asked if c not in known), None)
    if wrong is not None:
        raise ParameterError(f"{name} are columns of the model, and {wrong[:40]!r} is none")
    return asked


def parts(view: View) -> list[Part]:
    """Give the parts of the page that the model, its data and the slice allow."""
    x, y, _ = cohorts.labelled(view, _number(view, "rows", ROWS, MOST_ROWS), view.state.seed)
    if not x:
        return []
    table = view.description.kind == "Table"
    spec, seed = view.description.inputs, view.state.seed
    rows = [spec.display(row) for row in x] if table else x
    asked = {"variables": _chosen(view, "variables", found)} if (found := _variables(view)) else {}
    target = target_of(view.state.target, view.description)
    make = partial(Unit, view.chosen.key)
    known, parts = len(rows), []
    if y is not None and known > 1:
        repeats = _number(view, "repeats", REPEATS, MOST_REPEATS)
        how = {"loss": _chosen(view, "loss", LOSSES[view.description.outputs.kind]), "repeats": repeats, **asked}
        unit = make({"X": rows, "y": y}, parameters=how, seed=seed, task="app-importance")
        code = snippet(
            view, f"print(xk.importance(model, X, y, {how['loss']!r}, {repeats}, {seed}))  # X, y: rows and truth"
        )
        words = f"Find the importance over {known:,} rows"
        cost = f"Runs the network {repeats} times on all of them for each {'column' if table else 'part'}."
        parts.append(_part("importance", unit, words, cost, "Shuffling", code))
    value, _ = thumbs.value_of(view)
    if value is not None:
        together = view.state.more.get("interactions") == "1"
        how = {"interactions": together, **asked}
        row = spec.display(value) if table else value
        unit = make({"X": rows, "row": row}, parameters=how, target=target, seed=seed, task="app-break-down")
        code = snippet(view, f"print(xk.break_down(model, X, x, interactions={together}))", sample=thumbs.current(view))
        cost = "With interactions every pair is tried, which takes much longer." if together else "Takes some seconds."
        parts.append(_part("breakdown", unit, "Break the answer down", cost, "Breaking it down", code))
    return [*parts, *(_of_columns(view, rows, y, target) if table else [])]


def _of_columns(view: View, rows: list[Any], y: Any, target: Any) -> list[Part]:
    """Give the parts that only tables have."""
    columns, kind = _columns(view), _chosen(view, "kind", KINDS)
    chosen, seed = _several(view, "columns", columns[-2:]), view.state.seed
    make = partial(Unit, view.chosen.key, target=target, seed=seed)
    given: dict[str, Any] = {"X": rows}
    if kind == "ceteris-paribus":
        given["rows"] = rows[:LINES]
    how: dict[str, Any] = {"columns": chosen, "kind": kind, "grid": GRID}
    by = view.state.more.get("by")
    if by and by in columns and kind == "partial-dependence":
        how["by"] = by
    code = snippet(view, f'print(xk.profile(model, X, {chosen}, "{kind}"))  # X: rows of the data')
    cost = f"Runs the network at {GRID} values of each column."
    found = [
        _part(
            "profile",
            make(given, parameters=how, task="app-profile"),
            "Draw the profiles",
            cost,
            "Drawing profiles",
            code,
        )
    ]
    pair = _several(view, "pair", columns[-2:])
    if len(pair) == 2 and pair[0] != pair[1]:
        how = {"columns": [pair], "kind": "ale", "grid": 10}
        code = snippet(view, f'print(xk.profile(model, X, [{tuple(pair)}], "ale"))  # X: rows of the data')
        unit = make({"X": rows}, parameters=how, task="app-profile")
        words = f"Draw {pair[0]} and {pair[1]} together"
        found.append(_part("pair", unit, words, "Takes some seconds.", "Drawing both", code))
    if y is not None:
        group = view.state.more.get("group") or columns[0]
        unit = Unit(view.chosen.key, {"X": rows, "y": y}, parameters={"by": group}, task="app-fairness")
        code = snippet(view, f'print(xk.fairness(model, X, y, "{group}"))  # X, y: rows and truth')
        found.append(
            _part(
                "fairness",
                unit,
                f"Compare the groups by {group}",
                "Runs the network once on all rows.",
                "Comparing",
                code,
            )
        )
    return found


def _part(name: str, unit: Unit, asks: str, cost: str, waiting: str, code: Sequence[str]) -> Part:
    return Part(name, unit, exhibits, waiting, None, asks, cost, taken=True, code=code)


# ---------------------------------------------------------------- controls


def _entry(name: str) -> dict[str, str]:
    return {"type": "importance-entry", "name": name}


def _sizes(view: View, count: int) -> Any:
    rows = _number(view, "rows", ROWS, MOST_ROWS)
    taken = f"{min(rows, count):,} of the {count:,} rows of the slice are taken, drawn by the seed."
    words = f"{taken} More rows are more exact and slower."
    return dmc.Stack(
        [
            dmc.Text(words, size="sm", c="dimmed"),
            dmc.Group(
                [
                    dmc.NumberInput(
                        id=_entry("rows"),
                        label="Rows",
                        value=rows,
                        min=10,
                        max=MOST_ROWS,
                        size="xs",
                        w=110,
                        debounce=600,
                    ),
                    dmc.NumberInput(
                        id=_entry("seed"), label="Seed", value=view.state.seed, min=0, size="xs", w=110, debounce=600
                    ),
                    dcc.Link("Choose other rows", href=view.state.to("data").href, className="small-link"),
                ],
                gap="sm",
                align="end",
            ),
        ],
        gap="xs",
    )


def _select(name: str, label: str, data: Mapping[str, str], value: str | None, **how: Any) -> Any:
    options = [{"value": k, "label": v} for k, v in data.items()]
    how = {"allowDeselect": False, "w": 260, **how}
    return dmc.Select(id=_entry(name), label=label, data=options, value=value, size="xs", **how)


def _importance_controls(view: View) -> Any:
    losses = LOSSES[view.description.outputs.kind]
    repeats = _number(view, "repeats", REPEATS, MOST_REPEATS)
    controls = [
        _select("loss", "Measured by", losses, _chosen(view, "loss", losses)),
        dmc.NumberInput(
            id=_entry("repeats"),
            label="Repeats",
            value=repeats,
            min=1,
            max=MOST_REPEATS,
            size="xs",
            w=110,
            debounce=600,
        ),
    ]
    if found := _variables(view):
        controls.append(_select("variables", "Parts of the input", found, _chosen(view, "variables", found)))
    return dmc.Group(controls, gap="sm", mb="sm", align="end")


def _break_down_controls(view: View) -> Any:
    together = view.state.more.get("interactions") == "1"
    id = thumbs.current(view)
    said = dcc.Link(f"Choose another row than {_named(id)}", href=view.state.to("data").href, className="small-link")
    box = dmc.Checkbox(id=_entry("interactions"), label="Pairs that act together", checked=together, size="xs")
    return dmc.Group([box, said], gap="md", mb="sm")


def _named(id: str | None) -> str:
    return "yours" if id and id.startswith("own-") else id or "this"


def _profile_controls(view: View) -> Any:
    columns, groups = _columns(view), view.state.more.get("by")
    chosen, names = _several(view, "columns", columns[-2:]), {c: c for c in columns}
    return dmc.Group(
        [
            dmc.MultiSelect(
                id=_entry("columns"), label="Columns", data=columns, value=chosen, size="xs", w=260, maxValues=6
            ),
            _select("kind", "Drawn as", KINDS, _chosen(view, "kind", KINDS), w=370),
            _select("by", "Lines for groups by", names, groups, allowDeselect=True, clearable=True, w=170),
        ],
        gap="sm",
        mb="sm",
        align="end",
    )  # fmt: skip


def _pair_controls(view: View) -> Any:
    columns = _columns(view)
    pair = dmc.MultiSelect(
        id=_entry("pair"),
        label="Two columns",
        data=columns,
        value=_several(view, "pair", columns[-2:]),
        size="xs",
        w=260,
        maxValues=2,
    )
    return html.Div(pair, className="control-row")


def _fairness_controls(view: View) -> Any:
    spec = view.description.inputs
    columns = {n: n for n, c in spec.columns.items() if isinstance(c, Category)} | {n: n for n in _columns(view)}
    group = view.state.more.get("group") or next(iter(columns))
    return html.Div(_select("group", "Groups by", columns, group), className="control-row")


# ---------------------------------------------------------------- callbacks


def register(app: Dash, services: Services) -> None:
    """Add the callbacks."""
    register_parts(app, services, PATH, parts, View)

    @app.callback(
        Output("url", "href", allow_duplicate=True),
        Input({"type": "importance-entry", "name": ALL}, "value"),
        Input({"type": "importance-entry", "name": ALL}, "checked"),
        State({"type": "importance-entry", "name": ALL}, "id"),
        State({"type": "importance-view", "of": ALL}, "data"),
        prevent_initial_call=True,
    )
    def choose(values: list[Any], checked: list[Any], ids: list[dict[str, str]], shown_at: list[str]) -> Any:
        if not shown_at:  # the entries have gone with the page
            return no_update
        href = shown_at[0]
        path, _, search = href.partition("?")
        state = read(path, search)
        entered = {id["name"]: _text(v if c is None else c) for id, v, c in zip(ids, values, checked, strict=True)}
        shown = _view(services, href)
        try:
            now = {n: v for n, v in entered.items() if v and v != _default(shown, n)}
        except XaikitError:
            return no_update
        seed = int(now.pop("seed", "0"))
        rest = {k: v for k, v in state.more.items() if k not in entered}
        new = state.at(seed=seed, more={**rest, **now})
        return no_update if new.href == state.href else new.href


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else ""
    return ",".join(value) if isinstance(value, list) else "" if value is None else str(value)


def _default(view: View, name: str) -> str:
    """Give what an entry is where the address says nothing, as text."""
    columns, spec = _columns(view), view.description.inputs
    losses = LOSSES.get(view.description.outputs.kind, {})
    last = ",".join(columns[-2:])
    groups = [n for n in columns if isinstance(spec.columns[n], Category)] + columns
    known = {
        "rows": str(ROWS),
        "repeats": str(REPEATS),
        "seed": "0",
        "loss": next(iter(losses), ""),
        "kind": next(iter(KINDS)),
    }
    known |= {
        "columns": last,
        "pair": last,
        "variables": next(iter(_variables(view)), ""),
        "group": next(iter(groups), ""),
    }
    return known.get(name, "")


def _view(services: Services, href: str) -> View:
    path, _, search = href.partition("?")
    state = read(path, search)
    chosen = services.choose(state)
    return View(state, *services.known(chosen.name, chosen.framework), services)


__all__ = ["lacks", "layout", "parts", "register"]
