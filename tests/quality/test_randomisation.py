"""Randomised weights: the cascade, its seed, and maps that do not care."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.analytic import Analytic
from tests.contract.nets import ADAPTERS, image_pair, state_of
from xaikit.attribution import Map, Method, methods
from xaikit.errors import NotSupported
from xaikit.quality import randomisation
from xaikit.quality._randomisation import renewed


@pytest.mark.parametrize("framework", ADAPTERS)
def test_layers_are_randomised_from_the_output_down(framework: str) -> None:
    model, x = image_pair(framework)
    e = xk.explain(model, x[:2], "saliency", target=2)
    before = state_of(model)
    found = randomisation(model, e)
    assert found.layers == ("head", "c2", "c1")
    assert found.rank.shape == found.rank_absolute.shape == found.ssim.shape == (3, 2)
    assert (np.abs(found.similarity) < 0.5).all()
    assert found.status == "ok"
    assert state_of(model) == before


def test_the_cascade_is_cumulative_and_its_seed_decides() -> None:
    model, x = image_pair("torch")
    e = xk.explain(model, x[:1], "saliency", target=2)
    rng = np.random.default_rng(3)
    new = {f"{layer}/{n}": renewed(a, rng) for layer in ("head", "c2") for n, a in model.weights(layer).items()}
    other = xk.explain(model.with_weights(new), x[:1], "saliency", target=2)
    found = randomisation(model, e, seed=3)
    a, b = (np.abs(m.values.sum(-1)).ravel() for m in (e, other))
    ranks = [np.argsort(np.argsort(v)) for v in (a, b)]
    assert_allclose(found.rank_absolute[1], np.corrcoef(*ranks)[0, 1], atol=1e-4)
    assert_array_equal(randomisation(model, e, seed=3).rank, found.rank)
    assert not np.array_equal(randomisation(model, e, seed=4).rank, found.rank)


def test_few_depths_end_with_all_layers_new() -> None:
    model, x = image_pair("torch")
    e = xk.explain(model, x[:1], "saliency", target=2)
    whole = randomisation(model, e)
    assert randomisation(model, e, depths=1).layers == ("c1",)
    assert_array_equal(randomisation(model, e, depths=1).rank[0], whole.rank[-1])


def test_a_map_of_the_input_alone_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Edges(Method):
        """The input itself."""

        def __call__(self, task: Any) -> Map:
            return Map(np.asarray(task.x, np.float32))

        @classmethod
        def parameters(cls) -> Any:
            return {}

        @classmethod
        def make(cls, parameters: Any) -> Any:
            return cls()

    monkeypatch.setitem(methods._known, "edges", Edges)
    model, x = image_pair("torch")
    found = randomisation(model, xk.explain(model, x[:1], "edges", target=2))
    assert_allclose(found.rank, 1)
    assert_allclose(found.ssim, 1)
    assert found.status == "warn"
    assert "hardly depends on the weights" in found.status.reasons[0]


def test_weights_keep_their_size_and_vectors_their_numbers() -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(2.0, 0.1, (40, 50)).astype("f")
    drawn = renewed(kernel, rng)
    assert_allclose([drawn.mean(), drawn.std()], [2.0, 0.1], rtol=0.05)
    assert np.abs(np.corrcoef(kernel.ravel(), drawn.ravel())[0, 1]) < 0.1
    assert drawn.dtype == kernel.dtype
    variance = np.arange(1.0, 9.0)
    assert_array_equal(np.sort(renewed(variance, rng)), variance)


def test_it_is_stored(tmp_path: Any) -> None:
    model, x = image_pair("torch")
    found = randomisation(model, xk.explain(model, x[:1], "saliency", target=2))
    back = xk.load(xk.save(found, tmp_path / "r"))
    assert_array_equal(back.rank, found.rank)
    assert back.layers == found.layers


def test_a_model_whose_weights_cannot_be_replaced_is_refused() -> None:
    model = Analytic(np.ones((3, 1)))
    with pytest.raises(NotSupported, match="weights"):
        randomisation(model, xk.explain(model, np.ones((1, 3), np.float32), "saliency"))
