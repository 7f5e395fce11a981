"""Latent: tasks of codes in closed form, and the page for an autoencoder, a classifier and a text."""

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

from tests.app.test_pages_layouts import hrefs, text, view_of, walk
from xaikit.errors import ParameterError, UnknownName
from xaikit.jobs import Unit
from xaikit_app import Settings
from xaikit_app.pages import latent
from xaikit_app.samples import Sample
from xaikit_app.services import Services

pytestmark = pytest.mark.slow
STEPS = 6


def narrow() -> torch.nn.Module:
    """Keep the first two steps of a series, and give them back three times."""
    net = torch.nn.Sequential()
    net.add_module("flat", torch.nn.Flatten())
    net.add_module("code", torch.nn.Linear(STEPS, 2, bias=False))
    net.add_module("wide", torch.nn.Linear(2, STEPS, bias=False))
    net.add_module("back", torch.nn.Unflatten(1, (STEPS, 1)))
    with torch.no_grad():
        net.code.weight.copy_(torch.eye(2, STEPS))
        net.wide.weight.copy_(torch.eye(2).repeat(3, 1))
    return net


class Words(torch.nn.Module):
    """Three vectors of words, of which two point the same way; their sum is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(5, 2)
        self.head = torch.nn.Linear(2, 2)
        with torch.no_grad():
            self.embedding.weight.copy_(torch.tensor([[0, 0], [0, 0], [1, 0], [2, 0.1], [0, 1]]))

    def forward(self, x: Any) -> Any:
        return self.head(self.embedding(x).sum(1))


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    torch.manual_seed(0)
    text_spec = xk.Text(4, {"good": 2, "fine": 3, "bad": 4})
    models = (
        xk.wrap(narrow(), inputs=xk.Series(STEPS, 1), outputs=xk.Reconstruction(), name="narrow"),
        xk.wrap(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(STEPS, 4), torch.nn.Linear(4, 2)),
                inputs=xk.Series(STEPS, 1), outputs=xk.Classes(["a", "b"]), name="classes"),
        xk.wrap(Words(), inputs=text_spec, outputs=xk.Classes(["a", "b"]), name="words"),
        xk.wrap(lambda x: x, inputs=xk.Series(STEPS, 1), outputs=xk.Reconstruction(), name="plain"),
    )  # fmt: skip
    services = Services(Settings(models=models, cache=tmp_path_factory.mktemp("cache")))
    yield services
    services.close()


def done(services: Services, model: str, task: str, given: Any, **asked: Any) -> Any:
    return services.submit(Unit(model, given, parameters=asked, task=task)).result(60)


def drawn(services: Services, href: str) -> Any:
    view = view_of(services, href)
    for part in latent.parts(view):
        if not part.asks:
            services.submit(part.unit).wait(60)
    return latent.layout(view).to_plotly_json()


def samples(count: int = 5) -> list[Any]:
    return list(np.random.default_rng(0).standard_normal((count, STEPS, 1)))


def test_a_network_without_layers_has_no_such_page(services: Services) -> None:
    assert "layers are not known" in str(latent.lacks(view_of(services, "/latent?model=plain").description))
    assert latent.lacks(view_of(services, "/latent?model=classes").description) is None


def test_what_is_decoded_is_the_code_three_times(services: Services) -> None:
    a, b = samples(2)
    found = done(services, "narrow", "app-latent-between", {"from": a, "to": b}, steps=3)
    assert_allclose(found.decoded[0, 1, :2, 0], (a[:2, 0] + b[:2, 0]) / 2, rtol=1e-5)
    assert_allclose(found.decoded[0, 1, 2:4], found.decoded[0, 1, :2], rtol=1e-6)
    given = {"a": a, "b": b, "c": b}
    added = done(services, "narrow", "app-latent-sum", given)
    assert_allclose(added.decoded[0, 3, :2], a[:2], rtol=1e-5)


def test_errors_colour_the_samples_and_are_those_of_the_network(services: Services) -> None:
    given = samples()
    found = done(services, "narrow", "app-latent-embed", given, layer="code", errors=True)
    x = np.stack(given)
    assert_allclose(found.scores, np.square(np.tile(x[:, :2], (1, 3, 1)) - x).mean((1, 2)), rtol=1e-5)
    plain = done(services, "classes", "app-latent-embed", given, layer="1", errors=True)
    assert plain.scores is None


def test_near_words_and_analogies(services: Services) -> None:
    near = done(services, "words", "app-latent-words", None, word="good")
    assert near.neighbours[0] == "fine"
    with pytest.raises(UnknownName, match="wonderful"):
        done(services, "words", "app-latent-words", None, word="wonderful")


def test_an_autoencoder_has_all_its_views(services: Services) -> None:
    page = drawn(services, "/latent?model=narrow")
    said = text(page)
    for title in ("Where samples lie", "Two numbers of the code", "One number at a time", "What comes back best"):
        assert title in said
    assert len([c for c in walk(page) if c["props"].get("className") == "cell"]) == latent.SIZE**2
    frames = [c for c in walk(page) if str(c["props"].get("className", "")).split()[:1] == ["frame"]]
    assert len(frames) == 2 * 15 + 2 * 11
    shelf = view_of(services, "/latent?model=narrow").services.galleries
    gallery = shelf.of("narrow", view_of(services, "/latent?model=narrow").description).shown
    links = [h for h in hrefs(page) if "/latent" in h and "sample=" in h]
    assert all(any(f"sample={s.id}" in h for h in links) for s in gallery)


def test_a_classifier_has_an_embedding_of_a_layer_of_ones_choice(services: Services) -> None:
    page = text(drawn(services, "/latent?model=classes&layer=1"))
    assert "principal components of 1," in page
    assert "Two numbers of the code" not in page


def test_the_share_of_neighbours_with_the_same_label_is_counted() -> None:
    many = [Sample(str(k), label, None) for k, label in enumerate("aabb")]
    points = np.array([[0.0, 0], [0, 1], [9, 0], [9, 1]])
    assert "for 100 %" in latent._apart(many, points)
    assert "for 0 %" in latent._apart(many, points[[0, 2, 1, 3]])
    assert latent._apart([Sample("0", "", None)] * 4, points) == ""


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("across=1&up=1", ParameterError),
        ("across=x", ParameterError),
        ("dimensions=4", UnknownName),
        ("colour=red", UnknownName),
        ("kind=dust", UnknownName),
    ],
)
def test_an_address_that_asks_for_what_is_not_there_is_refused(services: Services, query: str, error: Any) -> None:
    with pytest.raises(error):
        latent.layout(view_of(services, f"/latent?model=narrow&{query}"))
