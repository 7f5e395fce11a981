"""Explanations as cards: the map with its numbers, its verdict and how it came about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import html

from xaikit.figures import (
    BarPanel,
    Panel,
    Scale,
    answer_of,
    badge_of,
    number,
    panels,
    seconds,
    sizes_of,
    spoken,
)
from xaikit.results import Attribution
from xaikit_app import ui
from xaikit_app.pictures import colour_bar, panel_body

AGREE = 1e-4
"""Up to where two frameworks count as giving the same map: max|a − b| / max|a|."""


@dataclass(frozen=True, eq=False)
class Explained:
    """One explanation to show: of which framework and method, and whether it was in the store already."""

    framework: str
    method: str
    result: Attribution
    stored: bool


def shown(found: Sequence[Explained], one_scale: bool) -> Any:
    """Give explanations side by side with what can be said about all of them."""
    several = len({e.framework for e in found}) > 1
    order = {method: k for k, method in enumerate(dict.fromkeys(e.method for e in found))}
    found = sorted(found, key=lambda e: order[e.method])  # the same method in both frameworks stands side by side
    drawn = _drawn(found, one_scale)
    cards = [_card(e, panel, several) for e, panel in zip(found, drawn, strict=True)]
    scales = {p.scale for p in drawn if hasattr(p, "scale")}
    key = _key(found, scales) if any(not isinstance(p, BarPanel) for p in drawn) else None
    return [key, *_agreements(found), html.Div(cards, className="maps pairs" if several else "maps")]


def _drawn(found: Sequence[Explained], one_scale: bool) -> list[Panel]:
    """Give the panel of each explanation, in order; its title is the method's name."""
    groups: dict[str, dict[str, Attribution]] = {}
    for e in found:
        groups.setdefault(e.framework, {})[e.method] = e.result
    figure = panels(groups, shared=one_scale)
    cells = iter(p for p in figure.panels if p.badge is not None)
    placed = {(f, m): next(cells) for f, members in groups.items() for m in members}
    return [placed[e.framework, e.method] for e in found]


def _key(found: Sequence[Explained], scales: set[Scale]) -> Any:
    labels = {answer_of(e.result, 0).rsplit(" ", 1)[0] for e in found}
    label = f"“{labels.pop()}”" if len(labels) == 1 else "the class"
    classes = type(found[0].result.output_spec).__name__ == "Classes"
    signless = {sizes_of(e.result) for e in found}
    if len(signless) == 1 and (more := signless.pop()):
        return colour_bar(scales.pop() if len(scales) == 1 else None, "", more)
    words = (f"speaks against {label}", f"speaks for {label}") if classes else ("lowers", "raises")
    return colour_bar(scales.pop() if len(scales) == 1 else None, *words)


def _agreements(found: Sequence[Explained]) -> list[Any]:
    """Say for each method how far its maps in two frameworks are apart."""
    lines = []
    for method in dict.fromkeys(e.method for e in found):
        pair = [e for e in found if e.method == method]
        if len(pair) == 2:
            gap = apart(pair[0].result, pair[1].result)
            level = "same" if gap <= AGREE else "differ"
            names = " and ".join(spoken(e.framework) for e in pair)
            words = "give the same map" if level == "same" else "differ"
            text = f"{spoken(method)}: {names} {words}, largest difference {number(gap, 2)} of the largest value."
            lines.append(html.Li(text, className=level))
    return [html.Ul(lines, className="agreements", **{"data-testid": "agreement"})] if lines else []


def apart(a: Attribution, b: Attribution) -> float:
    """Give max|a − b| / max|a| of two maps of the same shape; infinite where the shapes differ."""
    if a.values.shape != b.values.shape:
        return float("inf")
    size = float(np.abs(a.values).max())
    gap = float(np.abs(a.values - b.values).max())
    return gap / size if size else (0.0 if gap == 0 else float("inf"))


def _card(e: Explained, panel: Panel, several: bool) -> Any:
    r = e.result
    title = [dmc.Text(spoken(e.method), fw=600, span=True)]
    tags = [ui.tag(spoken(e.framework))] if several else []
    tags += [ui.tag("stored", className="stored")] if e.stored else []
    body = [
        dmc.Group([html.Div(title), dmc.Group(tags, gap=4)], justify="space-between", wrap="nowrap", mb=6),
        html.Div(panel_body(panel), className="body"),
        dmc.Text(panel.subtitle, size="xs", c="dimmed", mt=6),
        ui.verdict(badge_of(r)),
        html.Details([html.Summary("Numbers"), ui.facts(numbers(r, panel))], className="numbers"),
        html.Details([html.Summary("Python"), html.Pre(html.Code(code(r)), tabIndex="0")], className="numbers"),
    ]
    wide = not hasattr(panel, "values") or isinstance(panel, BarPanel)
    return html.Div(
        dmc.Paper(body, withBorder=True, p="sm", radius="md"),
        className="explained wide" if wide else "explained",
        role="group",
        **{
            "data-testid": "attribution",
            "data-method": e.method,
            "data-framework": e.framework,
            "aria-label": f"{spoken(e.method)}, {spoken(e.framework)}",
        },
    )


def numbers(r: Attribution, panel: Panel) -> list[tuple[str, Any]]:
    """List what is known of an explanation besides its map."""
    quality = {k: v for k, v in r.quality.items() if np.ndim(v) == 1 and len(v)}
    pairs: list[tuple[str, Any]] = [("explained for", answer_of(r, 0))]
    pairs += [(NAMES.get(k, k.replace("_", " ")), number(float(v[0]), 4)) for k, v in quality.items()]
    pairs += [("shown", "; ".join(panel.facts))] if panel.facts else []
    pairs += [("layer", r.layer)] if r.layer else []
    pairs += [("parameters", _parameters(r.origin.parameters))] if r.origin.parameters else []
    pairs += [
        ("score", r.origin.score),
        ("seed", str(r.origin.seed)),
        ("model calls", f"{r.origin.model_calls:,}"),
        ("time", seconds(r.origin.seconds)),
        ("device", r.origin.device),
        ("model", (r.origin.fingerprint or "without a fingerprint")[:16]),
    ]
    return pairs


NAMES = {
    "score": "score of the input",
    "completeness_gap": "completeness gap",
    "completeness_gap_relative": "gap relative to f(x) − f(b)",
    "surrogate_r2": "surrogate R²",
    "complete": "share of model calls made",
}


def _parameters(given: Mapping[str, Any]) -> str:
    return ", ".join(f"{k} = {_short(v)}" for k, v in given.items())


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array {value.shape}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def code(r: Attribution) -> str:
    """Give the lines of Python that make the explanation again."""
    given = "".join(
        f", {k}={v!r}" for k, v in r.origin.parameters.items() if isinstance(v, str | int | float | bool | tuple)
    )
    target = r.target[0]
    return (
        "import xaikit as xk\n\n"
        f'model = xk.zoo.load("{r.origin.model}", framework="{r.origin.framework}")\n'
        f'result = xk.explain(model, x, "{r.origin.method}", target={target!r}, seed={r.origin.seed}{given})\n'
        "xk.plot(result)"
    )


__all__ = ["Explained", "apart", "code", "numbers", "shown"]
