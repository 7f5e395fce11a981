"""The pages Overview, Layers and Anomalies, made for models of all kinds without a browser."""

import json
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk
from xaikit import data

pytest.importorskip("dash")
pytest.importorskip("dash_mantine_components")
torch = pytest.importorskip("torch")

from xaikit.errors import InputError, ParameterError, UnknownName  # noqa: E402
from xaikit.figures import BarPanel, MapPanel, Scale, measures, over  # noqa: E402
from xaikit.jobs import Unit  # noqa: E402
from xaikit_app import Settings, pictures, tiles  # noqa: E402
from xaikit_app.graphs import architecture_of  # noqa: E402
from xaikit_app.normals import from_training_data, read_normal  # noqa: E402
from xaikit_app.pages import View, anomalies, layers, overview  # noqa: E402
from xaikit_app.parts import Part, fill  # noqa: E402
from xaikit_app.pictures import panel_body  # noqa: E402
from xaikit_app.services import Services  # noqa: E402
from xaikit_app.state import State, read  # noqa: E402
from xaikit_app.thumbs import WORDS, beginning  # noqa: E402
from xaikit_app.work import anomalies as work_anomalies  # noqa: E402
from xaikit_app.work.describe import describe  # noqa: E402

STEPS = 24


class Residual(torch.nn.Module):
    """Three equal blocks with a shortcut, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.blocks = torch.nn.ModuleList(torch.nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.head = torch.nn.Linear(4 * 9 * 9, 2)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.first(x))
        for block in self.blocks:
            x = torch.relu(block(x) + x)
        return self.head(x.flatten(1)).softmax(-1)


class Recurrent(torch.nn.Module):
    """An LSTM over a series, whose last state is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = torch.nn.LSTM(2, 5, batch_first=True)
        self.head = torch.nn.Linear(5, 3)

    def forward(self, x: Any) -> Any:
        return self.head(self.lstm(x)[0][:, -1])


def averaging() -> torch.nn.Module:
    """A network that gives back the mean of a series, so that its error is the variance."""
    net = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(STEPS, STEPS, bias=False), torch.nn.Unflatten(1, (STEPS, 1))
    )
    with torch.no_grad():
        net[1].weight.fill_(1 / STEPS)
    return net


def keras_model() -> Any:
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.layers.Input((9, 9, 1)),
            keras.layers.Conv2D(3, 3, activation="relu", name="look"),
            keras.layers.Flatten(),
            keras.layers.Dense(2, activation="softmax", name="say"),
        ]
    )


def table_spec() -> xk.Table:
    return xk.Table({"age": xk.Number(mean=40.0, std=10.0), "sex": xk.Category(["f", "m"])})


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    torch.manual_seed(0)
    image = xk.Image(9, 9, 1, scale=1)
    models = (
        xk.wrap(Residual(), inputs=image, outputs=xk.Classes(["X", "O"]), name="residual"),
        xk.wrap(Recurrent(), inputs=xk.Series(STEPS, 2), outputs=xk.Classes(["a", "b", "c"]), name="recurrent"),
        xk.wrap(torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1)),
                inputs=table_spec(), outputs=xk.Values(["price"]), name="table"),
        xk.wrap(averaging(), inputs=xk.Series(STEPS, 1), outputs=xk.Reconstruction(), name="averaging"),
        xk.wrap(keras_model(), inputs=image, outputs=xk.Classes(["X", "O"]), name="own_keras"),
        xk.wrap(lambda x: x.reshape(len(x), -1)[:, :2], inputs=image, outputs=xk.Values(["a", "b"]), name="function"),
    )  # fmt: skip
    services = Services(Settings(models=models, cache=tmp_path_factory.mktemp("cache")))
    yield services
    services.close()


def view_of(services: Services, href: str) -> View:
    """Give the view of an address, once its model is described."""
    path, _, search = href.partition("?")
    state = read(path, search)
    chosen = services.choose(state)
    known = services.description(chosen)
    if not hasattr(known, "graph"):
        known = known.result(60)
    return View(state, chosen, known, services)


def drawn(services: Services, href: str) -> Any:
    """Give the layout of an address with all its parts filled in."""
    view = view_of(services, href)
    page = {"overview": overview, "layers": layers, "anomalies": anomalies}[view.state.page]
    if hasattr(page, "parts"):
        for part in page.parts(view):
            services.submit(part.unit).wait(60)
    return page.layout(view).to_plotly_json()


def walk(node: Any) -> Iterator[dict[str, Any]]:
    """Give the components of a layout in order."""
    if hasattr(node, "to_plotly_json"):
        node = node.to_plotly_json()
    if isinstance(node, dict) and "props" in node:
        yield node
        for value in node["props"].values():
            yield from walk(value)
    elif isinstance(node, list | tuple):
        for one in node:
            yield from walk(one)


def text(node: Any) -> str:
    """Give all words of a layout."""
    if hasattr(node, "to_plotly_json"):
        node = node.to_plotly_json()
    if isinstance(node, str | int | float):
        return str(node)
    if isinstance(node, list | tuple):
        return " ".join(text(one) for one in node)
    if isinstance(node, dict) and "props" in node:
        props = node["props"]
        return " ".join(text(props[k]) for k in ("title", "label", "children") if props.get(k) is not None)
    return ""


def having(node: Any, **props: str) -> list[dict[str, Any]]:
    """Give the components whose props have these words among theirs."""
    return [c["props"] for c in walk(node) if all(v in str(c["props"].get(k, "")).split() for k, v in props.items())]


def hrefs(node: Any) -> list[str]:
    return [str(c["props"]["href"]) for c in walk(node) if "href" in c["props"]]


# ---------------------------------------------------------------- all pages


ADDRESSES = [
    f"/{page}?model={model}"
    for model in ("residual", "recurrent", "table", "averaging", "own_keras")
    for page in ("overview", "layers")
]


@pytest.mark.parametrize("href", [*ADDRESSES, "/anomalies?model=averaging", "/overview?model=function"])
def test_every_page_has_a_heading_no_problem_and_words_for_every_picture(services: Services, href: str) -> None:
    page = drawn(services, href)
    assert len(having(page, className="page-title")) == 1
    assert not having(page, role="alert"), text(page)
    pictures = [c["props"] for c in walk(page) if c["type"] == "Img"]
    assert all("alt" in p for p in pictures)
    assert all(p["src"].startswith("data:image/") for p in pictures)


# ---------------------------------------------------------------- overview


def test_the_overview_of_a_network_of_the_zoo_says_what_its_card_says(tmp_path: Path) -> None:
    services = Services(Settings(models=("xo_cnn",), cache=tmp_path))
    try:
        view = View(State("overview"), services.choose(State()), describe(xk.zoo.load("xo_cnn", "torch")), services)
        page = overview.layout(view)
    finally:
        services.close()
    card = xk.zoo.card("xo_cnn")
    said = text(page)
    assert card.trained is not None
    for words in (card.title, card.trained.sha256, card.trained.date, "95 % interval", *card.limits):
        assert words in said
    found = measures(card.trained.metrics)[0]
    cells = [c["props"] for c in walk(page) if c["type"] == "Td" and "of this class" in str(c["props"].get("title"))]
    assert [int(c["children"].replace(",", "")) for c in cells] == [n for row in found.confusion for n in row]
    linked = {read("", h.partition("?")[2]).layer for h in hrefs(page)} - {None}
    assert linked == {layer.name for layer in view.description.graph}


@pytest.mark.parametrize(("model", "framework"), [("residual", "PyTorch"), ("own_keras", "Keras")])
def test_the_overview_of_a_model_of_ones_own_says_what_is_known(services: Services, model: str, framework: str) -> None:
    view = view_of(services, f"/overview?model={model}")
    said = text(overview.layout(view))
    assert framework in said
    assert str(view.description.fingerprint) in said
    assert f"{view.description.parameters:,}" in said
    assert "picture of 9×9 pixels, 1 channel" in said.lower() or "Picture of 9×9 pixels, 1 channel" in said


def test_the_doctor_says_of_every_method_whether_it_serves(services: Services) -> None:
    page = drawn(services, "/overview?model=residual")
    rows = [c for c in walk(having(page, className="doctor")[0]["children"]) if c["type"] == "Tr"]
    assert len(rows) == len(list(xk.methods))


def test_the_graph_of_a_model_of_ones_own_has_its_wiring_and_its_parameters(services: Services) -> None:
    known = view_of(services, "/overview?model=residual").description
    architecture = architecture_of(known)
    assert architecture is not None
    assert architecture.total == known.parameters == sum(p.numel() for p in Residual().parameters())
    adds = [node for node in architecture.nodes if node.op == "add"]
    assert [len(node.parents) for node in adds] == [2, 2, 2]
    assert [node.op for node in architecture.inputs] == ["input"]
    assert architecture.inputs[0].shape == (9, 9, 1)
    drawing = next(c["props"]["src"] for c in walk(drawn(services, "/overview?model=residual")) if c["type"] == "Img")
    assert "× 3" in b64decode(drawing.partition(",")[2]).decode()


# ---------------------------------------------------------------- layers


def test_filters_are_tiles_that_lead_to_their_units(services: Services) -> None:
    page = drawn(services, "/layers?model=residual&layer=blocks.1")
    grids = having(page, **{"aria-label": "blocks.1"}, className="tiles")
    maps, kernels = ([c["props"] for c in walk(grid["children"]) if c["type"] == "Link"] for grid in grids)
    for links in (maps, kernels):
        assert [read("", k["href"].partition("?")[2]).unit for k in links] == ["0", "1", "2", "3"]
    weights = xk.filters(services.local.models["residual"], "blocks.1").values  # type: ignore[union-attr]
    assert f"{np.abs(weights).max():.3g}"[:5] in text(page)


def test_a_unit_says_its_statistics_and_where_it_answers_most(services: Services) -> None:
    model = services.local.models["residual"]  # type: ignore[union-attr]
    page = drawn(services, "/layers?model=residual&layer=first&unit=2")
    said = text(page)
    norm = float(xk.filters(model, "first").statistics["norm"][2])
    assert f"{norm:.3g}" in said
    gallery = services.galleries.of("residual", view_of(services, "/layers?model=residual").description).shown
    peaks = [xk.activations(model, s.value, "first")["first"][0, ..., 2].max() for s in gallery]
    best = gallery[int(np.argmax(peaks))]
    seen = next(g for g in having(page, className="pairs"))
    first = next(c["props"] for c in walk(seen["children"]) if c["type"] == "Link")
    assert read("", first["href"].partition("?")[2]).sample == best.id
    assert f"{max(peaks):.3g}" in first["title"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("layer=frist", "did you mean 'first'"),
        ("layer=first&unit=4", "the units 0 to 3, there is no number 4"),
        ("layer=first&unit=x", "unknown unit 'x'"),
        ("layer=first&sample=photo-none", "has no sample 'photo-none'"),
    ],
)
def test_what_a_broken_link_names_is_said(services: Services, query: str, words: str) -> None:
    page = drawn(services, f"/layers?model=residual&{query}")
    assert words in text(page)
    assert having(page, className="layer-tree")


def test_a_layer_without_filters_names_the_nearest_that_have(services: Services) -> None:
    page = drawn(services, "/layers?model=recurrent&layer=lstm")
    assert "has no filters of its own" in text(page)
    offered = [c["props"] for c in walk(page) if c["type"] == "Anchor" and c["props"]["children"] == "head"]
    assert [read("", a["href"].partition("?")[2]).layer for a in offered] == ["head"]


def test_a_layer_over_time_is_drawn_as_lines_and_one_without_places_as_bars(services: Services) -> None:
    lines = drawn(services, "/layers?model=recurrent&layer=lstm")
    assert sum(c["type"] == "Img" for c in walk(having(lines, className="lines")[0]["children"])) == 5
    bars = having(drawn(services, "/layers?model=recurrent&layer=head"), className="bars")
    names = [c["props"]["children"] for c in walk(bars[0]["children"]) if c["props"].get("className") == "bar-name"]
    assert names == ["0 · a", "1 · b", "2 · c"]


def test_the_same_address_gives_the_same_page(services: Services) -> None:
    def stable(page: Any) -> str:
        return json.dumps([c["type"] for c in walk(page)]) + text(page)

    href = "/layers?model=residual&layer=blocks.0&unit=1"
    assert stable(drawn(services, href)) == stable(drawn(services, href))


# ---------------------------------------------------------------- anomalies


def test_only_what_gives_its_input_again_can_find_anomalies(services: Services) -> None:
    lacking = anomalies.lacks(view_of(services, "/overview?model=residual").description)
    assert lacking is not None
    assert "it gives classes" in lacking
    assert anomalies.lacks(view_of(services, "/overview?model=averaging").description) is None


def series(spread: float) -> Any:
    rng = np.random.default_rng(int(10 * spread))
    return spread * rng.standard_normal((40, STEPS, 1))


def test_an_outlier_is_flagged_and_its_score_is_that_of_the_network(services: Services) -> None:
    normal, outlier = services.own.put(series(0.1)), services.own.put(series(2.0)[0])
    href = f"/anomalies?model=averaging&normal={normal}&sample={outlier}"
    page = drawn(services, href)
    score = float(series(2.0)[0].var())
    threshold = float(np.quantile(series(0.1).reshape(40, -1).var(1), 0.99))
    verdict = having(page, className="anomalous")[0]
    assert " ".join(text(verdict["title"]).split()) == f"Anomalous : score {score:.3g}, threshold {threshold:.3g}"
    inside = services.own.put(series(0.1)[3])
    calm = drawn(services, f"/anomalies?model=averaging&normal={normal}&sample={inside}")
    assert having(calm, className="normal")
    assert not having(calm, className="anomalous")


def test_every_sample_of_the_gallery_says_whether_it_is_anomalous(services: Services) -> None:
    normal = services.own.put(series(0.1))
    page = drawn(services, f"/anomalies?model=averaging&normal={normal}")
    view = view_of(services, "/anomalies?model=averaging")
    shown = services.galleries.of("averaging", view.description).shown
    threshold = np.quantile(series(0.1).reshape(40, -1).var(1), 0.99)
    expected = sum(float(np.var(s.value)) > threshold for s in shown)
    assert f"{expected} of {len(shown)} are flagged" in text(page)
    assert sum(c["className"] == "flag" for c in having(page, className="flag")) == expected > 0


def test_without_normal_samples_there_is_a_score_but_no_verdict(services: Services) -> None:
    page = drawn(services, "/anomalies?model=averaging")
    assert "There are no normal samples to compare it with" in text(page)
    assert not having(page, className="verdict-box")


def test_contributions_are_listed_largest_first_and_sum_to_the_score(services: Services) -> None:
    normal, sample = services.own.put(series(0.1)), series(1.0)[0]
    given = {"samples": [sample], "normal": services.own.get(normal)}
    scores = services.submit(Unit("averaging", given, task="app-anomaly")).result(60)
    assert_allclose(scores.contributions.sum(), scores.values[0], rtol=1e-6)
    page = drawn(services, f"/anomalies?model=averaging&normal={normal}&sample={services.own.put(sample)}")
    worst = int(scores.contributions[0].argmax())
    rows = [c["props"]["children"] for c in walk(page) if c["type"] == "Th" and c["props"].get("scope") == "row"]
    assert rows[0] == f"time {worst}"
    curve = anomalies.difference_over_time(scores)
    assert_allclose(curve.traces[0].y, sample[:, 0] - sample.mean(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("rule=quantil", UnknownName),
        ("level=2", ParameterError),
        ("level=x", ParameterError),
        ("normal=no", InputError),
    ],
)
def test_a_link_that_asks_for_what_is_not_there_is_refused(services: Services, query: str, error: Any) -> None:
    view = view_of(services, f"/anomalies?model=averaging&{query}")
    with pytest.raises(error):
        anomalies.layout(view)


def test_normal_samples_run_once_for_all_that_is_scored_afterwards() -> None:
    calls: list[int] = []

    def counted(x: Any) -> Any:
        calls.append(len(x))
        return 0 * x

    model = xk.wrap(counted, inputs=xk.Series(STEPS, 1), outputs=xk.Reconstruction(), name="counted")
    for spread in (1.0, 2.0):
        unit = Unit("counted", {"samples": [series(spread)[0]], "normal": series(0.1)}, task="app-anomaly")
        work_anomalies.anomaly_scores(model, unit, lambda done, total: None)
    assert sum(n == 40 for n in calls) == 1


def test_uploads_of_normal_samples_are_arrays_of_several_samples() -> None:
    spec, settings = xk.Series(STEPS, 1), Settings(models=("xo_cnn",))

    def sent(content: bytes) -> str:
        import base64

        return "data:application/octet-stream;base64," + base64.b64encode(content).decode()

    held = BytesIO()
    np.save(held, series(1.0))
    assert_allclose(read_normal(sent(held.getvalue()), "normal.npy", spec, settings), series(1.0))
    with pytest.raises(InputError, match=r"is not a \.npy array"):
        read_normal(sent(b"no array"), "normal.npy", spec, settings)
    held = BytesIO()
    np.save(held, series(1.0)[0])
    with pytest.raises(InputError, match="samples × 24 × 1"):
        read_normal(sent(held.getvalue()), "normal.npy", spec, settings)


@pytest.mark.skipif(data.folder() is None, reason="needs XAIKIT_DATA")
def test_the_normal_samples_of_a_network_are_those_of_its_training() -> None:
    assert from_training_data("series_autoencoder").shape == (150, 140, 1)


# ---------------------------------------------------------------- pieces


def test_a_tile_has_the_colours_of_its_numbers() -> None:
    from PIL import Image as Pillow

    values, scale = np.array([[-1.0, 0.0], [0.5, 1.0]]), Scale(1.0)
    with Pillow.open(BytesIO(b64decode(tiles.map_url(values, scale).partition(",")[2]))) as picture:
        assert_allclose(np.asarray(picture), np.rint(255 * over(values, scale)), atol=0.5)


def test_one_scale_is_around_zero_only_where_something_is_negative() -> None:
    positive, signed = np.array([0.0, 3.0]), np.array([-2.0, 1.0])
    assert tiles.scale_of([positive], robust=False) == Scale(3.0, "", "sequential")
    assert tiles.scale_of([positive, signed], robust=False) == Scale(3.0, "", "diverging")


def test_bars_begin_in_the_middle_where_a_value_is_negative() -> None:
    def fills(values: list[float]) -> list[dict[str, str]]:
        shown = tiles.bars([("a", None, v) for v in values], "values")
        return [p["style"] for p in having(shown, className="bar-fill")]

    assert [f["width"] for f in fills([1.0, 2.0])] == ["50.00%", "100.00%"]
    assert [f["left"] for f in fills([1.0, 2.0])] == ["0", "0"]
    signed = fills([-1.0, 2.0])
    assert (signed[0]["right"], signed[1]["left"]) == ("50%", "50%")
    assert [f["width"] for f in signed] == ["25.00%", "50.00%"]


def test_bars_of_a_break_down_begin_where_the_one_above_ends() -> None:
    panel = BarPanel(labels=("mean", "a", "b"), values=np.array([0.0, 3.0, -1.0]), starts=np.array([1.0, 1.0, 4.0]))
    mark, up, down = (track.children[0].style for track in panel_body(panel).children[1::3])
    assert (mark["left"], mark["width"]) == ("0.00%", "0.00%")
    assert (up["left"], up["width"]) == ("0.00%", "100.00%")
    assert (down["left"], down["width"]) == ("66.67%", "33.33%")


def test_bars_that_are_means_show_what_they_are_the_means_of() -> None:
    panel = BarPanel(labels=("a",), values=np.array([1.0]), points=np.array([[0.0, 2.0]]), signed=False)
    bar, *strokes = panel_body(panel).children[1].children
    assert bar.style["width"] == "50.00%"
    assert [s.style["left"] for s in strokes] == ["0.00%", "100.00%"]


def test_a_text_is_cut_between_words() -> None:
    assert beginning("short") == "short"
    assert beginning("word, " * 20) == "word, " * 14 + "word …"
    assert beginning("x" * 200) == "x" * WORDS + " …"


def test_a_part_says_what_went_wrong_and_how_to_go_on(services: Services) -> None:
    view = view_of(services, "/layers?model=residual")
    unit = Unit("residual", None, parameters={"layer": "first", "first": 99}, task="app-filters")
    services.submit(unit).wait(60)
    places, machinery = fill("layers", view, [Part("x", unit, lambda r: r, "Waiting")])
    assert "there is no number 99" in text(places["x"])
    assert "Try again" in text(places["x"])
    assert next(c["props"] for c in walk(machinery) if c["type"] == "Interval")["disabled"] is True


def test_a_part_that_is_not_supported_is_a_remark_and_no_error(services: Services) -> None:
    view = view_of(services, "/layers?model=recurrent")
    unit = Unit("recurrent", None, parameters={"layer": "lstm"}, task="app-filters")
    services.submit(unit).wait(60)
    places, _ = fill("layers", view, [Part("x", unit, lambda r: r, "Waiting")])
    assert "has no filters" in text(places["x"])
    assert not having(places["x"], role="alert")


def test_tasks_refuse_parameters_that_they_do_not_have(services: Services) -> None:
    job = services.submit(Unit("residual", None, parameters={"layers": "first"}, task="app-filters"))
    job.wait(60)
    assert "app-filters has no parameter 'layers'; did you mean 'layer'" in str(job.error)


def test_addresses_of_units_keep_the_sample(services: Services) -> None:
    page = drawn(services, "/layers?model=residual&layer=first")
    sample = services.galleries.of("residual", view_of(services, "/layers?model=residual").description).shown[0].id
    units = [read("", unquote(h.partition("?")[2])) for h in hrefs(page) if "unit=" in h]
    assert units
    assert {u.sample for u in units} == {sample}


def test_a_map_is_drawn_once_and_anew_for_other_values_or_another_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    plain = pictures.picture_png
    monkeypatch.setattr(pictures, "picture_png", lambda panel, width: drawn.append(panel) or plain(panel, width))
    values = np.arange(12.0).reshape(3, 4) + 0.123
    first = panel_body(MapPanel(values=values, scale=Scale(12.0), alt="one"))
    same = panel_body(MapPanel(values=values.copy(), scale=Scale(12.0), alt="two", facts=("seed 1",)))
    assert len(drawn) == 1
    assert (first.src, first.alt, same.alt) == (same.src, "one", "two")
    others = [MapPanel(values=-values, scale=Scale(12.0)), MapPanel(values=values, scale=Scale(24.0))]
    assert len({first.src, *(panel_body(panel).src for panel in others)}) == 3
    assert len(drawn) == 3
