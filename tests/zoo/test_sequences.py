"""The recurrent networks: masks, steps and states in both frameworks the same."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from xaikit.inputs import Series, Text, Values
from xaikit.zoo.networks import networks

from .parity import agree_by_name, outputs, samples, tokens

pytestmark = pytest.mark.slow

TEXTS = [name for name, entry in networks.items() if isinstance(entry.inputs, Text)]
FORECASTS = ["rnn_forecast", "lstm_forecast", "gru_forecast"]


@pytest.mark.parametrize("name", TEXTS)
def test_both_frameworks_read_padded_texts_alike(both: tuple[Any, Any], name: str) -> None:
    architecture = networks[name].architecture
    agree_by_name(both, architecture, tokens(architecture))


@pytest.mark.parametrize("name", TEXTS)
def test_the_vocabulary_and_the_classes_fit(name: str) -> None:
    entry = networks[name]
    embedding = next(n for n in entry.architecture.nodes if n.op == "embedding")
    assert len(entry.inputs.vocabulary) == embedding.parameters["vocabulary"]
    width = entry.architecture.last.shape[-1]
    assert len(entry.outputs.names) == (2 if width == 1 else width)


@pytest.mark.parametrize("name", ["lstm_imdb", "gru_imdb", "bilstm_imdb"])
def test_the_pads_of_a_review_do_not_count(backend: Any, name: str) -> None:
    """The same words in front, behind and spread over the pads have one answer."""
    architecture = networks[name].architecture
    words = np.random.default_rng(3).integers(2, 10_000, 30)
    x = np.zeros((3, 200), np.int64)
    x[0, :30] = x[1, -30:] = x[2, 5:155:5] = words
    answers = outputs(backend, architecture, x)["output"]
    assert_allclose(answers[1:], np.broadcast_to(answers[0], (2, 1)), atol=1e-6)


def test_the_end_of_a_long_review_is_read() -> None:
    spec = networks["lstm_imdb"].inputs
    long = "bad " * 300 + "good " * 200
    assert_array_equal(spec.encode(long), spec.encode("good " * 200))
    assert spec.encode("good")[0].nonzero()[0].tolist() == [0]


def test_a_character_has_no_influence_on_the_steps_before_it(backend: Any) -> None:
    architecture = networks["char_lstm"].architecture
    x = tokens(architecture)[:1].repeat(2, axis=0)
    x[1, 60] = 2 + (x[1, 60] - 1) % 40
    first, second = outputs(backend, architecture, x)["output"]
    assert_allclose(first[:60], second[:60], atol=1e-7)
    assert np.abs(first[60:] - second[60:]).max() > 1e-3


@pytest.mark.parametrize("name", FORECASTS)
def test_both_frameworks_forecast_alike(both: tuple[Any, Any], name: str) -> None:
    architecture = networks[name].architecture
    agree_by_name(both, architecture, samples(architecture, 4))


@pytest.mark.parametrize("name", FORECASTS)
def test_forecasts_come_in_the_units_of_the_series(backend: Any, name: str) -> None:
    """One more in the last dense layer is one standard deviation more, in passengers."""
    entry = networks[name]
    net, x = backend.build(entry.architecture), samples(entry.architecture, 2)
    weights = backend.get_weights(net, entry.architecture)
    before = outputs(backend, entry.architecture, x, weights)["output"]
    weights["dense1/bias"] = weights["dense1/bias"] + 1
    after = outputs(backend, entry.architecture, x, weights)["output"]
    assert_allclose(after - before, entry.inputs.std, rtol=1e-5)


def test_forecasters_are_comparable() -> None:
    entries = [networks[name] for name in FORECASTS]
    assert {e.architecture.by_name[e.architecture.nodes[1].name].shape for e in entries} == {(32,)}
    assert len({(e.data, e.recipe.epochs, e.inputs, e.outputs) for e in entries if e.recipe}) == 1
    assert isinstance(entries[0].inputs, Series)
    assert isinstance(entries[0].outputs, Values)


def test_all_that_the_dates_answer_knows_went_through_the_attention() -> None:
    nodes = networks["seq2seq_dates"].architecture.by_name
    node = networks["seq2seq_dates"].architecture.last
    while node.op != "attention":
        (parent,) = node.parents
        node = nodes[parent]
    assert node.parents == ("query", "annotations", "keys")
    assert node.shape == (10, 128)


def test_pads_behind_a_date_do_not_count(backend: Any) -> None:
    """With pads in front instead, the annotations of the characters and so the answers are the same."""
    entry = networks["seq2seq_dates"]
    x = entry.inputs.encode(["31 March 2084", "6.10.2098"])
    shifted = np.stack([np.roll(row, 7) for row in x])
    answers = [outputs(backend, entry.architecture, given)["output"] for given in (x, shifted)]
    assert_allclose(answers[0], answers[1], atol=1e-6)
    assert_allclose(answers[0].sum(-1), 1, atol=1e-6)
