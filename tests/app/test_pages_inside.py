"""The pages Layers, Convolution and Training curves, made for models of several kinds without a browser."""

import json
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk

pytest.importorskip("dash")
pytest.importorskip("dash_mantine_components")
torch = pytest.importorskip("torch")

from tests.app.test_pages_layouts import Recurrent, having, hrefs, text, view_of, walk  # noqa: E402
from xaikit.errors import InputError, NotSupported, ParameterError  # noqa: E402
from xaikit.jobs import Unit  # noqa: E402
from xaikit_app import Settings, sights  # noqa: E402
from xaikit_app.graphs import Branch, branches  # noqa: E402
from xaikit_app.pages import convolution, curves, layers  # noqa: E402
from xaikit_app.parts import fill  # noqa: E402
from xaikit_app.services import Services  # noqa: E402
from xaikit_app.state import read  # noqa: E402
from xaikit_app.work import layers as work_layers  # noqa: E402
from xaikit_app.work.describe import describe  # noqa: E402

pytestmark = pytest.mark.slow

STEPS, SIDE = 12, 9
X = np.random.default_rng(0).random((SIDE, SIDE, 2))


class Mixed(torch.nn.Module):
    """A layer of every kind that can be followed."""

    def __init__(self) -> None:
        super().__init__()
        self.strided = torch.nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.grouped = torch.nn.Conv2d(4, 6, 3, padding=2, dilation=2, groups=2, bias=False)
        self.norm = torch.nn.BatchNorm2d(6)
        self.wider = torch.nn.ConvTranspose2d(6, 3, 2, stride=2)
        self.largest = torch.nn.MaxPool2d(3, stride=2, padding=1)
        self.mean = torch.nn.AvgPool2d(2, stride=1, padding=1)
        self.head = torch.nn.Linear(3 * 6 * 6, 5)
        self.last = torch.nn.Linear(5, 2)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.strided(x))
        x = torch.relu(self.norm(self.grouped(x)))
        x = self.mean(self.largest(self.wider(x)))
        return self.last(torch.relu(self.head(x.flatten(1))))


class Deep(torch.nn.Module):
    """Eighty equal blocks of a convolution, a norm and an activation."""

    def __init__(self) -> None:
        super().__init__()
        blocks = [
            torch.nn.Sequential(torch.nn.Conv2d(2, 2, 3, padding=1), torch.nn.BatchNorm2d(2), torch.nn.ReLU())
            for _ in range(80)
        ]
        self.blocks = torch.nn.Sequential(*blocks)

    def forward(self, x: Any) -> Any:
        return self.blocks(x).mean((2, 3))


def mixed() -> Any:
    torch.manual_seed(0)
    net = Mixed().eval()
    torch.nn.init.uniform_(net.norm.running_mean)
    return xk.wrap(net, inputs=xk.Image(SIDE, SIDE, 2, scale=1), outputs=xk.Values(["a", "b"]), name="mixed")


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    models = (
        mixed(),
        xk.wrap(Recurrent(), inputs=xk.Series(STEPS, 2), outputs=xk.Classes(["a", "b", "c"]), name="recurrent"),
        xk.wrap(lambda x: x.reshape(len(x), -1)[:, :2], inputs=xk.Image(SIDE, SIDE, 2, scale=1),
                outputs=xk.Values(["a", "b"]), name="function"),
    )  # fmt: skip
    services = Services(Settings(models=models, cache=tmp_path_factory.mktemp("cache")))
    yield services
    services.close()


def followed(model: Any, layer: str, channel: int = 0, **more: Any) -> work_layers.AtWork:
    unit = Unit("m", X, parameters={"layer": layer, "channel": channel, **more}, task="app-convolution")
    return work_layers.at_work(model, unit, lambda *_: None)


def calculated(found: work_layers.AtWork, row: int, column: int) -> float:
    """Do what the browser does: multiply the window by the kernel and add up."""
    total = 0.0 if found.rest is None else float(found.rest[row, column])
    values = []
    for a, r in enumerate(found.taps[0][row]):
        for b, c in enumerate(found.taps[1][column]):
            if r >= 0 and c >= 0:
                weights = 1.0 if found.kernel is None else found.kernel[a, b]
                values.append(float((found.x[r, c] * weights).sum()))
    if found.kernel is None:
        return max(values) if found.rule == "max" else float("nan")
    return total + sum(values) + found.bias


# ---------------------------------------------------------------- a layer at work


@pytest.mark.parametrize("layer", ["strided", "grouped", "wider", "largest", "head", "last"])
def test_what_the_browser_adds_up_is_what_the_network_gave(layer: str) -> None:
    model = mixed()
    found = followed(model, layer, 1)
    own = xk.activations(model, X, layer)[layer][0][..., 1].reshape(found.sums.shape)
    ours = np.array([[calculated(found, r, c) for c in range(own.shape[1])] for r in range(own.shape[0])])
    assert_allclose(ours, own, atol=1e-5)  # sums of float32 products
    assert_allclose(found.sums, own, atol=1e-5)
    assert found.gap is not None
    assert found.gap < 1e-5


def test_a_mean_counts_its_padding_as_the_network_does() -> None:
    model = mixed()
    found = followed(model, "mean", 2)
    assert_allclose(found.sums, xk.activations(model, X, "mean")["mean"][0][..., 2], atol=1e-6)


def test_what_follows_a_layer_is_told_up_to_its_activation() -> None:
    found = followed(mixed(), "grouped", 4)
    assert [kind for _, kind in found.after] == ["batch_norm", "relu"]
    assert list(found.inputs) == [2, 3]
    assert_allclose(found.then[1], np.maximum(found.then[0], 0))


def test_channels_that_there_is_no_room_for_are_summed_before(monkeypatch: pytest.MonkeyPatch) -> None:
    model, whole = mixed(), followed(mixed(), "head")
    monkeypatch.setattr(work_layers, "MOST_NUMBERS", 40)
    found = followed(model, "head")
    assert found.x.shape[-1] == 1 < whole.x.shape[-1] == found.width
    assert_allclose(calculated(found, 0, 0), calculated(whole, 0, 0), rtol=1e-5)
    assert followed(model, "head", first=2).inputs.tolist() == [2]
    assert followed(model, "head", first=0).inputs.tolist() == [0]


def test_a_layer_or_channel_that_cannot_be_followed_is_refused() -> None:
    model = mixed()
    with pytest.raises(ParameterError, match="channels 0 to 3"):
        followed(model, "strided", 4)
    with pytest.raises(NotSupported, match="'batch_norm' layer"):
        followed(model, "norm")


def test_the_explorer_says_sizes_and_that_the_numbers_were_checked(services: Services) -> None:
    view = view_of(services, "/convolution?model=mixed&layer=strided&unit=1&place=0,2")
    found = followed(mixed(), "strided", 1)
    layer = next(la for la in view.description.graph if la.name == "strided")
    shown = convolution._shown(view, layer, found)
    said = text(shown)
    assert "a window of 3 × 3 over 2 input channels" in said
    assert "moves by 2 × 2" in said
    assert "padding, which counts as 0" in said
    assert "the network itself gave the same" in said
    sent = convolution.sent(view, found)
    assert sent["at"] == [0, 2]
    assert len(sent["sums"]) == len(b64encode(bytes(4 * found.sums.size)))


@pytest.mark.parametrize("place", ["9,9", "x", "1", "1,2,3"])
def test_a_place_that_is_not_there_gives_the_largest(services: Services, place: str) -> None:
    view = view_of(services, f"/convolution?model=mixed&layer=strided&place={place}")
    found = followed(mixed(), "strided")
    best = np.unravel_index(np.abs(found.sums).argmax(), found.sums.shape)
    assert convolution.sent(view, found)["at"] == list(best)


def test_pages_say_which_models_they_are_not_for(services: Services) -> None:
    function = view_of(services, "/layers?model=function").description
    assert "shows no layers" in str(convolution.lacks(function))
    assert convolution.lacks(view_of(services, "/layers?model=recurrent").description) is None
    assert curves.lacks(function) is None


# ---------------------------------------------------------------- the tree, addresses, and what units see


def leaves(found: tuple[Branch, ...]) -> list[str]:
    return [n for b in found for n in ([b.layer] if b.layer else []) + leaves(b.inner)]


def test_equal_blocks_fold_and_unfold_to_every_layer_once() -> None:
    model = xk.wrap(Deep(), inputs=xk.Image(8, 8, 2, scale=1), outputs=xk.Values(["a", "b"]), name="deep")
    known = describe(model)
    start = time.perf_counter()
    found = branches(known)
    assert time.perf_counter() - start < 2  # 240 layers fold in a fraction of a second
    assert len(found) < 5
    assert any(b.layer is None and "80 equal" in b.name for b in found)
    assert sorted(leaves(found)) == sorted(layer.name for layer in known.graph)


def test_gates_stand_inside_of_their_layer(services: Services) -> None:
    found = branches(view_of(services, "/layers?model=recurrent").description)
    lstm = next(b for b in found if b.layer == "lstm")
    assert {"lstm/i", "lstm/f", "lstm/g", "lstm/o"} <= {b.layer for b in lstm.inner}
    assert sorted(leaves(found)) == sorted(
        la.name for la in view_of(services, "/layers?model=recurrent").description.graph
    )


def test_a_unit_has_an_address_by_names_that_leads_to_it(services: Services) -> None:
    by_query = read("/layers", "?model=mixed&layer=strided&unit=3")
    assert by_query.short == "/layers/mixed/strided/3"
    assert read(by_query.short, "") == by_query
    odd = by_query.at(layer="block/1.conv 2")
    assert read(odd.short, "").layer == "block/1.conv 2"
    assert read("/layers/mixed/strided/3", "?unit=1").unit == "1"
    page = layers.layout(view_of(services, "/layers/mixed/strided/3"))
    assert "Unit 3 of strided" in text(page)
    assert "/layers/mixed/strided/3" in hrefs(page)


@pytest.mark.parametrize("layer", ["strided", "grouped", "wider", "mean"])
def test_the_table_of_the_browser_has_the_fields_of_the_library(layer: str) -> None:
    model = mixed()
    unit = Unit("m", None, parameters={"layer": layer}, task="app-fields")
    found = work_layers.fields_of(model, unit, lambda *_: None)
    (holder,) = [c["props"] for c in walk(sights.table(found)) if "data-sight" in c["props"]]
    table = json.loads(holder["data-sight"])
    rf = xk.receptive_field(model)
    for place in np.ndindex(*table["shape"]):
        lo, hi = rf.box(layer, tuple(int(p) for p in place))
        for axis in range(2):
            for name, expected in (("lo", lo), ("hi", hi)):
                array = np.reshape(table[name][axis]["values"], table[name][axis]["shape"])
                at = tuple(p if n > 1 else 0 for p, n in zip(place, array.shape, strict=True))
                assert array[at] == expected[axis]


def test_a_layer_without_places_is_told_in_words() -> None:
    unit = Unit("m", None, parameters={"layer": "head"}, task="app-fields")
    shown = sights.table(work_layers.fields_of(mixed(), unit, lambda *_: None))
    assert "Every unit sees the whole of the input." in text(shown)
    assert not [c for c in walk(shown) if "data-sight" in c["props"]]


def test_nothing_heavy_starts_unasked(services: Services) -> None:
    sample = services.own.put(X)
    view = view_of(services, f"/layers?model=mixed&layer=strided&unit=1&sample={sample}")
    parts = layers.parts(view)
    heavy = [p.name for p in parts if p.asks]
    assert heavy == ["optimum"]
    assert all(p.cost for p in parts if p.asks)
    places, _ = fill("layers", view, parts)
    assert "Make the input it reacts to most" in text(places["optimum"])
    assert services.stored(next(p.unit for p in parts if p.name == "optimum")) is None


def test_inputs_that_were_made_lead_to_their_units(services: Services) -> None:
    view = view_of(services, "/layers?model=mixed&layer=strided")
    part = next(p for p in layers.parts(view) if p.name == "gallery-optima")
    unit = Unit(part.unit.model, [X], parameters={**part.unit.parameters, "steps": 3}, task="app-maximize")
    found = work_layers.optima(mixed(), unit, lambda *_: None)
    linked = [read("", h.partition("?")[2]).unit for h in hrefs(part.shown(found))]
    assert [u for u in linked if u is not None] == ["0", "1", "2", "3"]


def test_a_maximisation_reports_its_steps_and_can_be_stopped() -> None:
    class Enough(Exception):
        pass

    seen: list[tuple[int, int]] = []

    def progress(done: int, total: int) -> None:
        seen.append((done, total))
        if len(seen) == 3:
            raise Enough

    unit = Unit("m", [X], parameters={"layer": "strided", "units": [0], "steps": 50}, task="app-maximize")
    with pytest.raises(Enough):
        work_layers.optima(mixed(), unit, progress)
    assert seen[-1][0] < seen[-1][1]


def test_units_are_ordered_by_strength_or_by_variance(services: Services) -> None:
    sample = services.own.put(X)
    found = xk.activations(mixed(), X, "strided")["strided"][0].reshape(-1, 4)
    for by, rank in (("strongest", np.abs(found).max(0)), ("varied", found.var(0))):
        view = view_of(services, f"/layers?model=mixed&layer=strided&order={by}&sample={sample}")
        part = next(p for p in layers.parts(view) if p.name == "maps")
        services.submit(part.unit).wait(60)
        tiles = having(part.shown(services.stored(part.unit)), className="tile-name")
        assert [int(t["children"]) for t in tiles] == np.argsort(-rank, kind="stable").tolist()


# ---------------------------------------------------------------- training curves

HISTORY = {"loss": [1.0, 0.5, 0.3], "val_loss": [1.1, 0.6, 0.9], "accuracy": [0.2, 0.5, 0.8]}


def given(data: str) -> str:
    return "data:text/plain;base64," + b64encode(data.encode()).decode()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("history.json", json.dumps(HISTORY)),
        ("history.json", json.dumps({"history": HISTORY, "epoch": [0, 1, 2]})),
        ("log.csv", "epoch,loss,val_loss,accuracy\n0,1.0,1.1,0.2\n1,0.5,0.6,0.5\n2,0.3,0.9,0.8\n"),
    ],
)
def test_files_of_a_training_become_runs_that_are_kept(services: Services, name: str, data: str) -> None:
    found = curves.uploaded(given(data), name, services.settings)
    assert_allclose(found["loss/validation"].values, HISTORY["val_loss"])
    id = services.own.put(curves.stored(found, name))
    view = view_of(services, f"/curves?model=mixed&runs={id}&smooth=40&metrics=loss")
    ((_, title, run),), wrong = curves.runs_of(view)
    assert (title, wrong, run.best) == (name, [], 2)
    sent = curves.sent(view, [(id, title, run)])
    assert (sent["smooth"], sent["metrics"], sent["runs"][0]["best"]) == (40, ["loss"], 2)
    assert "a sign of overfitting" in text(curves.layout(view))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("x.json", "{not json", "not a JSON file"),
        ("x.json", '{"loss": 3}', "no history of Keras"),
        ("x.csv", "a,b\n", "x.csv"),
        ("events.out.tfevents.1", "rubbish", "events.out.tfevents.1"),
    ],
)
def test_files_that_hold_no_curves_are_refused_by_name(services: Services, name: str, data: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        curves.uploaded(given(data), name, services.settings)


def test_a_run_that_is_no_curve_or_gone_is_said_and_the_page_stays(services: Services) -> None:
    sample = services.own.put(X)
    page = curves.layout(view_of(services, f"/curves?model=mixed&runs={sample},own-{'0' * 32}"))
    said = text(page)
    assert "names an input, and no training curves" in said
    assert "is not kept here any more" in said
    assert "has no training curves of its own" in said


def test_long_curves_are_thinned_and_gaps_stay(services: Services) -> None:
    many = np.arange(5000, dtype=float)
    many[2] = np.nan
    curve = SimpleNamespace(metric="loss", part="training", axis="step", steps=np.arange(5000.0), values=many)
    thin = curves._thinned(curve)
    assert len(thin["values"]) <= curves.POINTS
    assert (thin["steps"][0], thin["steps"][-1]) == (0, 4999)
    short = SimpleNamespace(metric="loss", part="training", axis="step", steps=np.arange(5.0), values=many[:5])
    assert curves._thinned(short)["values"] == [0.0, 1.0, None, 3.0, 4.0]


def test_the_curves_of_a_card_are_those_of_its_network(tmp_path: Path) -> None:
    services = Services(Settings(models=("xo_cnn", "mnist_cnn"), cache=tmp_path, workers=1))
    try:
        chosen = services.choose(read("/curves", "?model=mnist_cnn"))
        view = SimpleNamespace(state=read("/curves", "?model=mnist_cnn"), chosen=chosen, services=services)
        ((id, name, run),), _ = curves.runs_of(view)
        assert (id, name) == ("card", "mnist_cnn")
        assert run.best == xk.zoo.card("mnist_cnn").trained.best_epoch
    finally:
        services.close()
