"""Models of one's own on every page: a result, or a sentence that says why there is none; no surprise in the log."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("dash")
pytest.importorskip("torch")

import torch
from plotly.utils import PlotlyJSONEncoder
from torch import nn

import xaikit as xk
from xaikit.errors import ModelError, NotSupported
from xaikit_app import Settings
from xaikit_app.graphs import architecture_of
from xaikit_app.pages import View, pages
from xaikit_app.services import Services
from xaikit_app.shell import _body, _not_yet
from xaikit_app.state import State
from xaikit_app.work.describe import Description

pytestmark = pytest.mark.slow
PATIENCE = 180.0
ODD = ("<b>bold</b>", '"quoted"', "a, b", "x" * 200, "", "<script>document.title = 'run'</script>")


def small_cnn(channels: int, answers: int) -> Any:
    return nn.Sequential(
        *(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, answers)),
    ).eval()


class PhotoAndRow(nn.Module):
    """Two inputs, told apart by the names of its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self.photo, self.row = small_cnn(1, 3), nn.Linear(4, 3)

    def forward(self, photo: Any, row: Any) -> Any:
        return self.photo(photo) + self.row(row)


class TwoAnswers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.kind, self.age = small_cnn(3, 5), nn.Linear(5, 3), nn.Linear(5, 1)

    def forward(self, x: Any) -> Any:
        found = self.body(x)
        return {"kind": self.kind(found), "age": self.age(found)}


class Remembers(nn.Module):
    """A recurrent network that goes on from where the last call ended."""

    def __init__(self) -> None:
        super().__init__()
        self.cells, self.out, self.last = nn.GRU(2, 4, batch_first=True), nn.Linear(4, 2), None

    def forward(self, x: Any) -> Any:
        known = self.last if self.last is not None and self.last.shape[1] == len(x) else None
        steps, last = self.cells(x, known)
        self.last = last.detach()
        return self.out(steps[:, -1])


class Patches(nn.Module):
    """A small vision transformer: sixteen patches, four heads."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.heads = nn.Conv2d(3, 8, 4, 4), nn.MultiheadAttention(8, 4, batch_first=True)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return self.out((tokens + self.heads(tokens, tokens, tokens)[0]).mean(1))


class Fails(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(3, 2)

    def forward(self, x: Any) -> Any:
        raise RuntimeError("the <b>sensor</b> is missing")


class NoNumbers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = small_cnn(3, 3)

    def forward(self, x: Any) -> Any:
        return self.body(x) * float("nan")


def oddly_named() -> Any:
    """A thousand classes; those with the odd names win."""
    net = small_cnn(3, 1000)
    with torch.no_grad():
        net[-1].bias[: len(ODD)] += 9.0
    return net


def own_models() -> dict[str, Any]:
    people = tuple({"age": 20.0 + n, "pay": 900.0 + 40 * n, "sex": "fm"[n % 2]} for n in range(30))
    table = xk.Table(
        {"age": xk.Number(mean=35, std=9), "pay": xk.Number(mean=1500, std=350), "sex": xk.Category(["f", "m"])},
        background=people,
    )
    picture, three = xk.Image(16, 16, 3), xk.Classes(["a", "b", "c"], form="logits")
    two = xk.Classes(["up", "down"], form="logits")
    names = [*ODD, *(f"class {n}" for n in range(1000 - len(ODD)))]
    pixels = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1)).eval()
    again = nn.Sequential(nn.Conv1d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv1d(3, 2, 3, padding=1)).eval()
    described: dict[str, tuple[Any, Any, Any]] = {
        "regression": (lambda x: np.asarray(x) @ np.arange(4.0), table, xk.Values(["price"])),
        "bare": (small_cnn(3, 4), xk.Array((3, 16, 16)), None),
        "photo_and_row": (PhotoAndRow().eval(), {"photo": xk.Image(16, 16, 1), "row": table}, three),
        "two_answers": (TwoAnswers().eval(), picture, {"kind": three, "age": xk.Values(["years"])}),
        "remembers": (Remembers().eval(), xk.Series(12, 2), two),
        "patches": (Patches().eval(), picture, three),
        "pixels": (pixels, picture, xk.Masks(["ground", "thing"])),
        "again": (again, xk.Series(12, 2), xk.Reconstruction()),
        "half": (small_cnn(3, 3).half(), picture, three),
        "no_numbers": (NoNumbers().eval(), picture, three),
        "odd_names": (oddly_named(), picture, xk.Classes(names, form="logits")),
    }
    return {name: xk.wrap(net, inputs=i, outputs=o, name=name, version="1") for name, (net, i, o) in described.items()}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    services = Services(Settings(models=tuple(own_models().values()), cache=tmp_path_factory.mktemp("own"), queue=1000))
    yield services
    services.close()


def view_of(services: Services, model: str, page: str) -> View:
    chosen = services.choose(State(page, model))
    job = services.description(chosen)
    known = job if isinstance(job, Description) else job.result(PATIENCE)
    return View(State(page, model), chosen, known, services)


def said(component: Any) -> str:
    """Give all that a component says, as one text."""
    return json.dumps(component, cls=PlotlyJSONEncoder)


def results(services: Services, page: Any, view: View, body: str) -> list[str]:
    """Have all done that a page has places for; give what stands there then, or the reason why nothing does."""
    found = []
    for part in page.parts(view) if hasattr(page, "parts") else ():
        if part.unit is None or f'"data-part": "{page.PATH} {part.name}"' not in body:
            continue
        try:
            found.append(said(part.shown(services.submit(part.unit, part.waiting).result(PATIENCE))))
        except NotSupported as error:
            found.append(str(error))
    return found


@pytest.mark.parametrize("path", list(pages()))
@pytest.mark.parametrize("name", list(own_models()))
def test_every_page_has_its_results_or_says_why_not(
    services: Services, name: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    page, view = pages()[path], view_of(services, name, path)
    lacking = page.lacks(view.description)
    if lacking is not None:
        assert lacking.strip()
        return
    body = said(_body(view, pages()))
    assert "problem" not in re.findall(r'"className": "([^"]*)"', body), body
    assert all(text.strip() for text in results(services, page, view, body))
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    ("net", "inputs", "told"),
    [
        (Fails().eval(), xk.Array((3,)), "the <b>sensor</b> is missing"),
        (small_cnn(3, 4), None, "wrap it with inputs="),
    ],
)
def test_a_network_that_cannot_be_run_says_so_on_every_page(net: Any, inputs: Any, told: str, tmp_path: Path) -> None:
    model = xk.wrap(net, inputs=inputs, name="mine", version="1")
    services = Services(Settings(models=(model,), cache=tmp_path))
    try:
        chosen = services.choose(State("explain", "mine"))
        job = services.description(chosen)
        with pytest.raises(ModelError):
            job.result(PATIENCE)
        assert told in said(_not_yet("mine", services.description(chosen), State("explain", "mine")))
    finally:
        services.close()


def test_inputs_that_are_called_like_layers_have_places_of_their_own_in_the_graph(services: Services) -> None:
    drawn = architecture_of(view_of(services, "photo_and_row", "overview").description)
    assert drawn is not None
    assert [node.name for node in drawn.inputs] == ["photo", "input row"]
    assert drawn.by_name["row"].parents == ("input row",)
