"""Explanations as cards: the map with its numbers, its verdict and how it came about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import html

from xaikit.arrays import agreement
from xaikit.figures import (
    Badge,
    BarPanel,
    MapPanel,
    Panel,
    Scale,
    answer_of,
    badge_of,
    number,
    numbers_of,
    panels,
    seconds,
    sizes_of,
    spoken,
)
from xaikit.figures import Numbers as Table
from xaikit.results import Attribution
from xaikit_app import exhibits, ui
from xaikit_app.pictures import colour_bar
from xaikit_app.probes import probed
from xaikit_app.strongest import summary
from xaikit_app.taking import take_along

AGREE = 1e-4
"""Up to where two frameworks count as giving the same map: max|a − b| / max|a|."""
ROWS = 12
"""As many rows as the table below a map has; the file has all."""
UNCHECKED = "Nothing about this map is checked without further model calls; “Check the evidence” does."


@dataclass(frozen=True, eq=False)
class Explained:
    """One explanation to show: of which framework and method, and whether it was in the store already.

    `input` names the input that it is about where there are several, `address` is that of the whole result, `code`
    makes it again, `given` names the files of its inputs, and `stale` says that it belongs to an earlier choice.
    """

    framework: str
    method: str
    result: Attribution
    stored: bool
    input: str = ""
    address: str | None = None
    code: Sequence[str] = ()
    given: Mapping[str, str] | None = None
    stale: bool = False

    @property
    def name(self) -> str:
        """What the card is called."""
        return f"{spoken(self.method)} · input {self.input}" if self.input else spoken(self.method)


def shown(found: Sequence[Explained], one_scale: bool) -> Any:
    """Give explanations side by side with what can be said about all of them."""
    several = len({e.framework for e in found}) > 1
    order = {key: k for k, key in enumerate(dict.fromkeys((e.method, e.input) for e in found))}
    found = sorted(found, key=lambda e: order[e.method, e.input])  # a method in both frameworks stands side by side
    drawn = _drawn(found, one_scale)
    cards = [_card(e, panel, several) for e, panel in zip(found, drawn, strict=True)]
    scales = {p.scale for p in drawn if hasattr(p, "scale")}
    key = _key(found, scales) if any(not isinstance(p, BarPanel) for p in drawn) else None
    return [key, *_agreements(found), html.Div(cards, className="maps pairs" if several else "maps")]


def _drawn(found: Sequence[Explained], one_scale: bool) -> list[Panel]:
    """Give the panel of each explanation, in order; its title is the method's name."""
    drawn: dict[tuple[str, str, str], Panel] = {}
    for input in dict.fromkeys(e.input for e in found):  # maps of several inputs have places of their own
        groups: dict[str, dict[str, Attribution]] = {}
        for e in found:
            if e.input == input:
                groups.setdefault(e.framework, {})[e.method] = e.result
        cells = iter(p for p in panels(groups, shared=one_scale).panels if p.badge is not None)
        drawn |= {(f, m, input): next(cells) for f, members in groups.items() for m in members}
    return [drawn[e.framework, e.method, e.input] for e in found]


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
    for name in dict.fromkeys(e.name for e in found):
        pair = [e for e in found if e.name == name]
        if len(pair) == 2:
            gap = apart(pair[0].result, pair[1].result)
            level = "same" if gap <= AGREE else "differ"
            names = " and ".join(spoken(e.framework) for e in pair)
            words = "give the same map" if level == "same" else "differ"
            text = f"{name}: {names} {words}, largest difference {number(gap, 2)} of the largest value."
            lines.append(html.Li(text, className=level))
    return [html.Ul(lines, className="agreements", **{"data-testid": "agreement"})] if lines else []


def apart(a: Attribution, b: Attribution) -> float:
    """Give max|a - b| / max|a| of two maps of one sample; infinite where their shapes differ."""
    return float(agreement(a.values, b.values).max()) if a.values.shape == b.values.shape else float("inf")


def _card(e: Explained, panel: Panel, several: bool) -> Any:
    tags = [ui.tag(spoken(e.framework))] if several else []
    tags += [ui.tag("stored", className="stored")] if e.stored else []
    tags += [ui.tag("of an earlier choice", className="of-before")]
    body = [
        html.Div([html.Strong(e.name), html.Span(tags, className="tags")], className="explained-head"),
        html.Div(probed(panel), className="body"),
        dmc.Text(panel.subtitle, size="xs", c="dimmed", mt=6),
        ui.verdict(judged(e.result)),
        html.P(summary(e.result, panel, bool(sizes_of(e.result))), className="strongest"),
        html.Details([html.Summary("Numbers"), ui.facts(numbers(e.result, panel))], className="numbers"),
        *_table(panel),
        take_along(e.address, e.code, e.given),
    ]
    wide = not hasattr(panel, "values") or isinstance(panel, BarPanel)
    kind = f"explained{' wide' if wide else ''}{' stale' if e.stale else ''}"
    return html.Div(
        dmc.Paper(body, withBorder=True, p="sm", radius="md"),
        className=kind,
        role="group",
        **{
            "data-testid": "attribution",
            "data-method": e.method,
            "data-framework": e.framework,
            "aria-label": f"{e.name}, {spoken(e.framework)}",
        },
    )


def judged(result: Attribution) -> Badge:
    """Give the verdict on an explanation in the words of the page."""
    badge = badge_of(result)
    return Badge("none", UNCHECKED) if badge.level == "none" else badge


def _table(panel: Panel) -> list[Any]:
    """Give the numbers that a panel draws as a table, of a map the largest."""
    found = numbers_of(panel)
    if found is None or not found.rows:
        return []
    rows = found.rows
    if isinstance(panel, MapPanel):
        sizes = np.abs(np.nan_to_num(np.array([row[-1] for row in rows], np.float64)))
        rows = tuple(rows[k] for k in np.argsort(-sizes, kind="stable")[:ROWS])
    few = Table(found.headers, rows[:ROWS], found.total)
    words = "Largest values" if isinstance(panel, MapPanel) else "Table"
    return [html.Details([html.Summary(words), exhibits.numbers_table(few, panel.title)], className="numbers")]


def numbers(r: Attribution, panel: Panel) -> list[tuple[str, Any]]:
    """List what is known of an explanation besides its map."""
    quality = {k: v for k, v in r.quality.items() if np.ndim(v) == 1 and len(v)}
    pairs: list[tuple[str, Any]] = [("explained for", answer_of(r, 0))]
    pairs += [(NAMES.get(k, k.replace("_", " ")), number(float(v[0]), 4)) for k, v in quality.items()]
    pairs += [("shown", "; ".join(panel.facts))] if panel.facts else []
    pairs += [("layer", r.layer)] if r.layer else []
    pairs += [("parameters", _parameters(r.origin.parameters))] if r.origin.parameters else []
    pairs += [("budget", _parameters(bounds))] if (bounds := r.origin.notes.get("budget")) else []
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


__all__ = ["Explained", "apart", "judged", "numbers", "shown"]
