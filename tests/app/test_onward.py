"""The ways on from a page lead to pages that there are and that the model has."""

from dataclasses import dataclass, field
from typing import Any

from xaikit.figures import Measures
from xaikit_app.onward import WAYS, onward
from xaikit_app.pages import pages
from xaikit_app.pages.overview import confusion
from xaikit_app.state import State


@dataclass
class Seen:
    """A view as far as the ways on ask about it."""

    state: State
    description: Any = None


@dataclass
class Place:
    lacking: str | None = None
    asked: list[Any] = field(default_factory=list)

    def lacks(self, description: Any) -> str | None:
        self.asked.append(description)
        return self.lacking


def test_every_way_leads_from_a_page_to_another_one() -> None:
    found = pages()
    for path, ways in WAYS.items():
        assert {path, *(to for to, _ in ways)} <= set(found)
        assert path not in [to for to, _ in ways]
    assert set(found) - set(WAYS) == {"reports", "audit"}  # what people came for lies there


def test_a_way_carries_the_sample_and_leaves_out_what_the_model_lacks() -> None:
    view = Seen(State("anomalies", "net", sample="test-3"))
    shown = onward(view, {"explain": Place(), "what-if": Place("it has none"), "audit": Place()})
    links = [item.children for item in shown.children[1].children]
    assert [link.href for link in links] == ["/explain?model=net&sample=test-3", "/audit?model=net&sample=test-3"]
    assert onward(view, {"what-if": Place("it has none")}) is None
    assert onward(Seen(State("reports", "net")), {"explain": Place()}) is None


def test_a_number_of_mistakes_leads_to_its_samples() -> None:
    found = Measures("", (), 3, ("cat", "dog"), ((1, 2), (0, 0)))
    rows = confusion(found, lambda truth, answer: f"/{truth}-{answer}").children[1].children.children[1].children
    cells = [cell.children for row in rows for cell in row.children[1:]]
    assert [getattr(cell, "href", cell) for cell in cells] == ["/cat-cat", "/cat-dog", "0", "0"]
