"""The weights that come with the package: what their cards say is what they do, in both frameworks."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit import data, wrapping, zoo
from xaikit.data import exact_x
from xaikit.zoo.judging import judged
from xaikit.zoo.networks import networks

from .conftest import adapter

REACHED = {
    "xo_cnn": 0.95,
    "mnist_cnn": 0.985,
    "cats_vs_dogs": 0.80,
    # Of 9,001 digits; of 60,000 the documented accuracies are 0.964 and 0.979.
    "mlp_mnist": 0.92,
    "mlp_mnist_dropout": 0.94,
    "mlp_mnist_wide": 0.945,
}
SOME = 200


@pytest.fixture(autouse=True)
def nothing_trained_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAIKIT_CACHE", str(tmp_path))


@pytest.fixture(
    scope="module", params=[pytest.param(n, marks=pytest.mark.slow) if n == "cats_vs_dogs" else n for n in REACHED]
)
def test_part(request: pytest.FixtureRequest) -> Iterator[tuple[str, data.Part]]:
    """The test samples of a network; nothing of them is kept after the module."""
    name = str(request.param)
    described = data.load(str(networks[name].data))
    if described.name != "xo":
        request.getfixturevalue("data_folder")
    for loader in (data.mnist, data.cats_vs_dogs):
        loader.cache_clear()
    yield name, described.read("test")
    for loader in (data.mnist, data.cats_vs_dogs):
        loader.cache_clear()


def outputs(name: str, framework: str, x: Any) -> Any:
    model = zoo.load(name, framework)
    return np.concatenate(
        [model.run(model.inputs.encode(part)).output for part in np.array_split(x, -(-len(x) // 500))]
    )


def test_the_accuracy_is_the_one_on_the_card(test_part: tuple[str, data.Part]) -> None:
    name, (x, y) = test_part
    spec = networks[name].outputs
    found = judged(tuple(spec.names), y, spec.predicted(outputs(name, wrapping.frameworks()[0], x)))
    stated = zoo.card(name).trained
    assert stated is not None
    assert found["accuracy"] >= REACHED[name]
    # One sample on the edge may fall to the other side on another processor.
    assert abs(found["accuracy"] - stated.metrics["accuracy"]) <= 1.5 / len(y)
    assert np.abs(np.subtract(found["confusion"], stated.metrics["confusion"])).sum() <= 2
    low, high = stated.metrics["interval_95"]
    assert low < stated.metrics["accuracy"] < high


def test_both_frameworks_predict_alike(test_part: tuple[str, data.Part], both: tuple[Any, Any]) -> None:
    name, (x, _) = test_part
    chosen = x[:: max(1, len(x) // SOME)]
    ours, theirs = (outputs(name, framework, chosen) for framework in ("torch", "keras"))
    assert ours.std() > 0.1
    assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("name", REACHED)
def test_shipped_files_pass_every_check(name: str, both: tuple[Any, Any]) -> None:
    stated = zoo.card(name).trained
    assert stated is not None
    shelf = files("xaikit_weights")
    assert [f.name for f in shelf.iterdir() if f.name.startswith(f"{name}-")] == [stated.file]
    models = [zoo.load(name, framework) for framework in ("torch", "keras")]
    assert {model.weights_id for model in models} == {stated.weights_id}
    architecture = networks[name].architecture
    for model in models:
        taken = adapter(model.framework).get_weights(model.net, architecture)  # type: ignore[attr-defined]
        assert zoo.building.weights_id(taken, name) == stated.weights_id


@pytest.mark.parametrize("name", REACHED)
def test_cards_say_what_a_reader_needs(name: str) -> None:
    card = zoo.card(name)
    assert card.trained is not None
    assert card.parameters == {
        "total": networks[name].architecture.total,
        "trainable": networks[name].architecture.trainable,
    }
    assert card.data is not None
    assert all(card.data[key] for key in ("origin", "licence", "split"))
    assert card.limits
    assert len(card.trained.curve) == card.trained.epochs
    losses = [epoch["validation_loss"] for epoch in card.trained.curve]
    assert card.trained.best_epoch == 1 + int(np.argmin(losses))
    confusion = np.array(card.trained.metrics["confusion"])
    assert confusion.sum() == card.trained.metrics["samples"]
    assert_allclose(np.trace(confusion) / confusion.sum(), card.trained.metrics["accuracy"])
    assert (card.inputs, card.outputs) == (networks[name].inputs, networks[name].outputs)


def test_the_exact_x_is_an_x(framework: str) -> None:
    model = zoo.load("xo_cnn", framework)
    output = model.run(model.inputs.encode(exact_x())).output
    assert_array_equal(model.outputs.predicted(output), [0])
    assert output[0, 0] > 0.9
