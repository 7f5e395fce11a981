"""Sequences: what is read, what is answered on the way, which units follow, attention, forecasts."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk

pytest.importorskip("dash")
pytest.importorskip("dash_mantine_components")
pytest.importorskip("torch")

import torch

from tests.app.test_pages_layouts import text, view_of, walk
from xaikit.errors import InputError, ParameterError
from xaikit.jobs import Unit
from xaikit_app import Settings
from xaikit_app.pages import sequences
from xaikit_app.services import Services
from xaikit_app.state import read
from xaikit_app.strips import strip

pytestmark = pytest.mark.slow
WORDS = {"good": 2, "bad": 3, "film": 4}


class Counting(torch.nn.Module):
    """Read words with an LSTM and classify the last state."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(5, 4)
        self.lstm = torch.nn.LSTM(4, 6, batch_first=True)
        self.head = torch.nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.lstm(self.embedding(x))[0][:, -1])


class Last(torch.nn.Module):
    """Forecast the last step plus one."""

    def forward(self, x: Any) -> Any:
        return x[:, -1] + 1


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    torch.manual_seed(0)
    models = (
        xk.wrap(Counting(), inputs=xk.Text(8, WORDS), outputs=xk.Classes(["no", "yes"]), name="reader"),
        xk.wrap(Last(), inputs=xk.Series(5, 1), outputs=xk.Values(["next"]), name="rising"),
        xk.wrap(torch.nn.Linear(3, 2), inputs=xk.Array((3,)), outputs=xk.Classes(["a", "b"]), name="dense"),
    )
    services = Services(Settings(models=models, cache=tmp_path_factory.mktemp("cache")))
    yield services
    services.close()


def drawn(services: Services, href: str, *heavy: str) -> Any:
    view = view_of(services, href)
    for part in sequences.parts(view):
        if not part.asks or part.name in heavy:
            services.submit(part.unit).wait(60)
    return sequences.layout(view).to_plotly_json()


def own(services: Services, said: str) -> str:
    return f"/sequences?model=reader&sample={services.own.put(said)}"


def test_only_what_reads_step_by_step_has_such_a_page(services: Services) -> None:
    assert sequences.lacks(view_of(services, "/sequences?model=reader").description) is None
    assert "reads an array all at once" in str(sequences.lacks(view_of(services, "/sequences?model=dense").description))


def test_tokens_have_their_ids_and_say_what_is_padding_cut_or_unknown(services: Services) -> None:
    page = drawn(services, own(services, "Good dull film"))
    said = text(page)
    assert "3 tokens with their ids" in said
    assert "5 places of padding (id 0) before them" in said
    assert "1 is not in the vocabulary (id 1)" in said
    chips = [c for c in walk(page) if str(c["props"].get("className", "")).startswith("token")]
    names = [c["props"]["children"] for c in chips if c["props"]["className"] in ("token-name", "token-id")]
    assert names == ["good", "2", "dull", "1", "film", "4"]
    assert "2 more at the beginning were cut off" in text(drawn(services, own(services, " ".join(["film"] * 10))))


def test_the_curve_says_the_score_of_every_beginning(services: Services) -> None:
    page = drawn(services, own(services, "good bad film"))
    strips = [c["props"] for c in walk(page) if c["props"].get("className") == "strip words"]
    said = json.loads(strips[0]["data-said"])
    view = view_of(services, own(services, "good bad film"))
    found = services.submit(next(p.unit for p in sequences.parts(view) if p.name == "prefixes")).result(60)
    assert len(said) == 3
    for words, score in zip(said, found.scores[0], strict=True):
        assert f"score {score:.3g}".replace("-", "−") in words


def test_states_show_the_gate_and_the_unit_of_the_address(services: Services) -> None:
    page = drawn(services, own(services, "good bad film") + "&gate=f&unit=2")
    said = text(page)
    assert "f of lstm (LSTM): 6 units down, 3 steps across" in said
    assert "f, unit 2" in said
    beyond = text(drawn(services, own(services, "good bad film") + "&gate=nothing&unit=99"))
    assert "c of lstm" in beyond


def test_units_in_order_of_strength_begin_with_the_largest(services: Services) -> None:
    view = view_of(services, "/sequences?model=reader&order=strength")
    values = np.array([[0.1, 0.2], [-3.0, 1.0], [2.0, 2.0]])
    assert list(sequences._ordered(view, values)) == [1, 2, 0]
    by_change = view_of(services, "/sequences?model=reader&order=activity")
    assert list(sequences._ordered(by_change, values)) == [1, 0, 2]


def test_the_units_that_follow_the_position_are_found(services: Services) -> None:
    asked = {"layer": "lstm", "gate": "c", "follow": "position"}
    unit = Unit("reader", "good bad film good bad film", parameters=asked, task="app-follow")
    found = services.submit(unit).result(60)
    states = services.submit(
        Unit("reader", "good bad film good bad film", parameters={"layer": "lstm"}, task="app-states")
    ).result(60)
    cells = states.values["c"][0, states.present[0]]
    expected = [np.corrcoef(cells[:, k], np.arange(6))[0, 1] for k in range(6)]
    assert_allclose(found.scores, expected, atol=1e-5)
    marked = Unit("reader", "good bad film", parameters={**asked, "follow": "=bad"}, task="app-follow")
    assert services.submit(marked).result(60).measure == "auroc"
    nowhere = Unit("reader", "good bad film", parameters={**asked, "follow": "=worse"}, task="app-follow")
    with pytest.raises(InputError, match="nowhere in this text"):
        services.submit(nowhere).result(60)


def test_a_forecast_is_fed_back(services: Services) -> None:
    unit = Unit("rising", np.arange(5.0)[:, None], parameters={"steps": 4}, task="app-forecast")
    found = services.submit(unit).result(60)
    assert_allclose(found.ahead[:, 0], [5, 6, 7, 8])
    assert found.once == 1


def test_a_text_that_is_typed_is_checked(services: Services) -> None:
    spec = view_of(services, "/sequences?model=reader").description.inputs
    assert sequences.typed("  good film ", spec) == "good film"
    for wrong in ("", None, "...", "x" * 30_000):
        with pytest.raises(InputError):
            sequences.typed(wrong, spec)


@pytest.mark.parametrize("query", ["follow=guess", "ahead=0", "ahead=x"])
def test_an_address_that_asks_for_what_is_not_there_is_refused(services: Services, query: str) -> None:
    model = "rising" if "ahead" in query else "reader"
    with pytest.raises(ParameterError):
        sequences.layout(view_of(services, f"/sequences?model={model}&{query}"))


def test_choices_become_entries_of_the_address() -> None:
    from xaikit_app.choosing import with_

    state = read("/sequences", "?model=m&gate=f&unit=3")
    found = with_(state, {"gate": None, "order": "strength", "layer": "lstm", "unit": None})
    assert found.href == "/sequences?model=m&layer=lstm&order=strength"


def test_words_of_a_strip_travel_as_data() -> None:
    said = ['<b>"x"</b>', "y"]
    page = strip(["a", "b"], said, [], "Two").to_plotly_json()
    box = next(c["props"] for c in walk(page) if c["props"].get("className") == "strip words")
    assert json.loads(box["data-said"]) == said
