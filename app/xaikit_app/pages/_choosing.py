"""What to explain and how, on the page Explain: target, methods with their forms, budget, and what it will cost."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from xaikit.attribution import families, methods
from xaikit.errors import XaikitError
from xaikit.figures import spoken
from xaikit.inputs import Classes, Image
from xaikit.quality import Verdict
from xaikit_app import costs, forms, targets, ui
from xaikit_app.pages import View
from xaikit_app.state import State as Address
from xaikit_app.work.describe import Description

FIRST = ("integrated-gradients", "grad-cam", "kernel-shap", "lime", "occlusion")
"""Which methods are chosen where the address names none: the first ones that the model can serve."""
USUAL = ("integrated-gradients", "grad-cam", "kernel-shap", "lime", "occlusion", "saliency", "attention-rollout")
"""The methods that the guided view offers; the expert view has all."""
PLAIN: Mapping[str, str] = {
    "integrated-gradients": "Adds up how the answer changes on the way from an empty input to this one.",
    "grad-cam": "Shows where the last layer with places found what speaks for the answer.",
    "kernel-shap": "Shares the answer out among the parts, by hiding many sets of them.",
    "lime": "Hides random parts many times and fits a simple model to what happens.",
    "occlusion": "Hides one window after the other and sees what the answer loses.",
    "saliency": "Shows where a small change would move the answer most.",
    "attention-rollout": "Follows where the network looks, through all its layers of attention.",
}
EXPERT = ("seed", "evidence", *forms.BUDGET)
"""What in an address only the expert view shows."""


def level(state: Address) -> str:
    """Give the view that an address asks for: "guided", or "expert" where it says things that only that one shows."""
    asked = state.more.get("view")
    if asked in ("guided", "expert"):
        return asked
    special = state.seed or state.parameters or any(name in state.more for name in EXPERT)
    return "expert" if special else "guided"


def first_methods(description: Description) -> list[str]:
    """Give the methods to begin with that a model can serve.

    Grad-CAM comes last where the input is no picture: its map of a recurrent layer can be zero everywhere.
    """
    served = {v.method for v in description.methods if v.serves}
    picture = isinstance(description.inputs, Image)
    return [m for m in sorted(FIRST, key=lambda m: m == "grad-cam" and not picture) if m in served]


def card(view: View) -> Any:
    """Give the card with the target, the methods and the button that explains."""
    state, description = view.state, view.description
    served = [v.method for v in description.methods if v.serves]
    chosen = [m for m in state.methods if m in served] or first_methods(description)[:2]
    verdicts = {v.method: v for v in description.methods}
    groups = [_family(f, [verdicts[m] for m in ms], chosen, view) for f, ms in families(verdicts).items()]
    unknown = [m for m in state.methods if m not in methods]
    wrong = [ui.problem(_unknown(unknown[0]), "This link names an unknown method")] if unknown else []
    head = [dmc.Title("Methods", order=2, className="card-title"), dmc.Button("Explain", id="explain-run", size="sm")]
    more = "All methods, their parameters, the budget and further targets are in the expert view."
    return ui.card(
        html.Div(head, className="card-head"),
        html.Div([*_target(view), *_besides(view)], className="controls"),
        *wrong,
        html.Div(groups, className="families"),
        _budget(state),
        html.P(more, className="guided-only quiet"),
    )


def _target(view: View) -> list[Any]:
    """Give the controls that say which part of the answer is explained."""
    description = view.description
    pieces = targets.aim(view.state.target or targets.default(description))
    found, rivals, entries = targets.targets(description), targets.rivals(description), targets.entries(description)
    predicted = "the predicted class" if isinstance(description.outputs, Classes) else "the output"
    free = targets.default(description) is None
    first = _one_of("first", found, pieces.first, "Explain the score of", predicted, w=170, clearable=free)
    against = _one_of(
        "against", rivals, pieces.against, "against", "no other class", w=140, clearable=True, className="expert-only"
    )
    entry = _one_of(
        "entry", entries, pieces.entry, "entry", "the predicted", w=130, clearable=True, className="expert-only"
    )
    box = dmc.TextInput(
        id="explain-box",
        value=pieces.box or "",
        label="only in a box",
        placeholder="top, left, bottom, right",
        size="xs",
        w=170,
        style=_seen(targets.boxes(description)),
    )
    return [first, against, entry, box, dcc.Store(id="explain-target", data=pieces.text)]


def _one_of(piece: str, options: Sequence[Any], value: str | None, label: str, placeholder: str, **how: Any) -> Any:
    """Give the list for one piece of the target, hidden where there is nothing to choose."""
    return dmc.Select(
        id=f"explain-{piece}",
        data=options,
        value=value,
        label=label,
        placeholder=placeholder,
        searchable=len(options) > 10,
        size="xs",
        style=_seen(options),
        **how,
    )


def _seen(there: Any) -> dict[str, Any]:
    return {} if there else {"display": "none"}


def _besides(view: View) -> list[Any]:
    state = view.state
    seed = dmc.NumberInput(
        id="explain-seed",
        value=state.seed,
        min=0,
        max=2**32 - 1,
        label="Seed",
        size="xs",
        w=80,
        className="expert-only",
    )
    both = dmc.Switch(
        id="explain-both",
        checked=state.more.get("compare") == "both",
        label="Both frameworks",
        size="xs",
        style=_seen(len(view.chosen.choice.frameworks) > 1),
    )
    evidence = dmc.Switch(
        id="explain-evidence",
        checked=state.more.get("evidence") == "full",
        label="Check the evidence",
        size="xs",
    )
    about = (
        "Also hides and shows the parts in the map's order beside random maps, takes other seeds, and gives the "
        "network random weights. It asks the network more often."
    )
    tip = dmc.Tooltip(evidence, label=about, multiline=True, w=300, withArrow=True)
    return [seed, both, html.Div(tip)]


def _budget(state: Address) -> Any:
    """Give the fields of the budget that holds for all methods, folded away until one is set."""
    given = bounds(state)
    fields = html.Div(forms.budget_form(given, "explain"), className="fields")
    about = html.P("Holds for every method of a run. A method that is stopped shows what it found by then.")
    return html.Details([html.Summary("Budget"), about, fields], open=bool(given), className="budget expert-only")


def bounds(state: Address) -> dict[str, Any]:
    """Read the budget of an address; what makes no sense is left out."""
    given: dict[str, Any] = {}
    for name, field in forms.BUDGET.items():
        text = state.more.get(name)
        if text is None:
            continue
        try:
            given |= forms.budget(
                {name: text if field.choices else float(text) if "float" in field.type else int(text)}
            )
        except (ValueError, XaikitError):
            continue
    return given


def _family(family: str, verdicts: Sequence[Verdict], chosen: Sequence[str], view: View) -> Any:
    """Give the methods of one kind under its name; those that do not serve come last, once for each reason."""
    cards = [_method(v, v.method in chosen, view) for v in verdicts if v.serves]
    off: dict[str, list[str]] = {}
    for v in verdicts:
        if not v.serves:
            off.setdefault(_reason(v.remark, v.method), []).append(v.method)
    cards += [_not_served(names, reason) for reason, names in off.items()]
    usual = any(v.serves and (v.method in USUAL or v.method in chosen) for v in verdicts)
    title = dmc.Title(f"{family[0].upper()}{family[1:]}", order=3, className="family expert-only")
    return html.Section(
        [title, html.Div(cards, className="methods")],
        className="" if usual else "expert-only",
        **{"aria-label": f"Methods: {family}"},
    )


def _unknown(name: str) -> str:
    try:
        methods[name]
    except XaikitError as error:
        return str(error)
    return ""


def _method(verdict: Verdict, chosen: bool, view: View) -> Any:
    method, state, description = verdict.method, view.state, view.description
    lead = (methods[method].__doc__ or "").strip().partition("\n")[0]
    given = dict(state.parameters.get(method, {}))
    box = dmc.Checkbox(
        id={"type": "explain-method", "method": method},
        checked=chosen,
        label=spoken(method),
        size="sm",
    )
    cost = html.Span(
        cost_words(method, given, description, None),
        id={"type": "explain-cost", "method": method},
        className="cost",
    )
    plain = [html.P(PLAIN[method], className="about guided-only")] if method in PLAIN else []
    shown = bool(given) or level(state) == "expert"  # a hundred controls that nobody sees would hold up the page
    fields = forms.form(method, description, given, "explain") if shown else []
    remark = f" Here it {verdict.remark}." if verdict.remark else ""
    about = html.P(f"{lead}{remark}", className="about")
    summary = html.Summary("Parameters" if forms.has_parameters(method) else "About")
    details = html.Details(
        [summary, about, html.Div(fields, id={"type": "explain-fields", "method": method}, className="fields")],
        open=bool(given),
        className="expert-only",
    )
    kind = "method" if method in USUAL or chosen else "method expert-only"
    return html.Div([box, cost, *plain, details], className=kind)


def cost_words(method: str, given: Mapping[str, Any], description: Description, pace: Any) -> str:
    """Say what a slow method costs; "" for a quick one."""
    try:
        count = costs.calls(method, given, description)
    except (KeyError, ValueError, TypeError, IndexError):  # a parameter that the method will refuse
        return ""
    return costs.words(count, method, pace) if count >= costs.SLOW else ""


def _not_served(names: Sequence[str], reason: str) -> Any:
    """Give methods that cannot explain the model, with what the doctor says of them."""
    boxes = [dmc.Checkbox(label=spoken(m), checked=False, disabled=True, size="sm") for m in names]
    about = dmc.Text(f"Not for this model: {reason}", size="xs", c="dimmed")
    return html.Div([dmc.Group(boxes, gap="lg", mb=4), about], className="method off expert-only")


def _reason(remark: str, method: str) -> str:
    """Shorten what the doctor says to what a card needs: the method is named by it, and the others stand beside it."""
    said = re.split(r"; use |: for an? ", remark)[0]
    return re.sub(rf"^{re.escape(method)} (cannot explain [^:]*: |(?=cannot))", "", said)


__all__ = ["bounds", "card", "cost_words", "first_methods", "level"]
