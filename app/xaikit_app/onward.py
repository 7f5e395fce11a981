"""The ways on from a page: what people who have seen it want next, with the same selection."""

from collections.abc import Mapping
from typing import Any, Protocol

from dash import dcc, html

WAYS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "overview": (("explain", "Explain one answer"), ("data", "See what it gets wrong"), ("layers", "Look inside")),
    "explain": (
        ("what-if", "Change this input"),
        ("compare", "Compare methods on several inputs"),
        ("audit", "Put it on record, and write a letter"),
    ),
    "compare": (("explain", "Explain one of them"), ("reports", "Make a report of them")),
    "what-if": (("explain", "Explain the answer"), ("audit", "Put it on record, and write a letter")),
    "importance": (("data", "See which samples are wrong more often"), ("what-if", "Change one row")),
    "layers": (("data", "Choose among all samples"), ("explain", "Explain the answer")),
    "convolution": (("layers", "See all layers"),),
    "sequences": (("explain", "Explain the answer"), ("what-if", "Change this input")),
    "latent": (("anomalies", "Is it unusual?"), ("layers", "Look inside")),
    "curves": (("data", "See what it gets wrong"), ("layers", "Look inside")),
    "anomalies": (("explain", "Explain this sample"), ("what-if", "Change it"), ("audit", "Put it on record")),
    "data": (("compare", "Compare methods on these samples"), ("reports", "Make a report")),
}
"""By page, the pages that come next most often and what one does there."""


class _Page(Protocol):
    def lacks(self, description: Any) -> str | None: ...


def onward(view: Any, found: Mapping[str, _Page]) -> Any:
    """Give the links from a page to those that come next and that the model has, or None where there is none."""
    ways = [
        html.Li(dcc.Link(words, href=view.state.to(path).href))
        for path, words in WAYS.get(view.state.page, ())
        if path in found and not found[path].lacks(view.description)
    ]
    return html.Nav([html.Span("Next:"), html.Ul(ways)], className="onward", **{"aria-label": "Next"}) if ways else None


__all__ = ["WAYS", "onward"]
