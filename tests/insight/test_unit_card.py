"""A card of a unit: each part is what its own function gives, and what cannot be had is said in words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import ADAPTERS, IMAGE, image_pair
from tests.torch import nets as torch_nets
from xaikit.errors import NotSupported, ParameterError, UnknownName
from xaikit.results import UnitCard, field_words


def pictures(count: int) -> Any:
    return np.random.default_rng(8).integers(0, 256, (count, 12, 12, 3)).astype(np.uint8)


@pytest.mark.parametrize("framework", ADAPTERS)
def test_the_parts_are_those_of_their_own_functions(framework: str) -> None:
    model, _ = image_pair(framework)
    x, layer = pictures(6), "r2" if framework == "torch" else "c2"
    card = xk.unit_card(model, layer, 5, x, k=3, steps=4)
    values = xk.activations(model, x, layer)[layer][..., 5]
    assert_allclose(card.statistics["mean"], values.mean(), rtol=1e-5)
    assert_allclose(card.statistics["max"], values.max(), rtol=1e-6)
    assert_allclose(card.statistics["sparsity"], (values == 0).mean(), atol=1e-9)
    assert card.counts.sum() == (values != 0).sum()
    patches = xk.top_patches(model, x, layer, 5, k=3)
    assert card.patches is not None
    for name in ("values", "samples", "places", "boxes", "windows", "projections"):
        assert_array_equal(getattr(card.patches, name), getattr(patches, name))
    assert card.filter is not None
    assert_array_equal(card.filter.values, xk.filters(model, "c2")[5].values)
    assert (card.filter.layer, list(card.filter.numbers)) == ("c2", [5])
    (field,) = card.fields.values()
    assert (field.size, field.stride) == ((5, 5), (1, 1))
    assert card.optimum is not None
    assert card.opposite is not None
    alone = xk.maximize(model, layer, [5], "centre", steps=4, negative="both", like=list(patches.display))
    assert_allclose(card.optimum.image, alone.of(5).image, atol=1e-3)
    assert_allclose(card.opposite.image, alone.of(5, -1).image, atol=1e-3)
    assert_allclose(card.ratio, card.optimum.quality["activation"][0] / values.max(), rtol=1e-5)
    measured = xk.effective_field(model, x, layer)[layer]
    assert card.effective is not None
    assert_allclose(card.effective.energy, measured.energy, rtol=1e-5, atol=1e-6 * measured.energy.max())
    assert card.effective.unit == (4, 4)
    assert (card.missing, card.total, card.space, card.seen, card.status) == ({}, 8, (8, 8), 6, "ok")


def test_the_words_of_a_card() -> None:
    model, _ = image_pair("torch")
    card = xk.unit_card(model, "r2", 5, pictures(6), k=3, optimum=False)
    first, weights, sees, within, over, most, missing = card.text().splitlines()
    assert first == "Channel 5 of 8 in r2 (relu with 8 × 8 places) of pair."
    assert weights.startswith("Filter: 3 × 3 × 6 weights of c2, norm ")
    assert sees.endswith("5 × 5 pixels, stride 1.")
    assert within.endswith(" of 5.")
    assert "Over 6 samples: mean " in over
    assert most.startswith(f"Most excited by sample {card.patches.samples[0]} (")  # type: ignore[union-attr]
    assert missing == "No optimum: it was not asked for"
    assert repr(card) == "<UnitCard of channel 5 of 'r2' in pair: filter, fields, statistics, patches>"


def test_without_samples_the_rest_is_there() -> None:
    model, _ = image_pair("torch")
    card = xk.unit_card(model, "c1", 2, optimum=False)
    assert (card.patches, dict(card.statistics), card.seen, len(card.counts)) == (None, {}, 0, 0)
    assert card.missing["patches"] == "no samples were given (samples=)"
    assert card.filter is not None
    assert (card.ratio, card.space) == (None, (10, 10))


def test_what_a_dense_layer_and_a_pooling_lack() -> None:
    from torch import nn

    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(100, 3), nn.Softmax(-1))
    model = xk.wrap(net, inputs=IMAGE)
    pool = xk.unit_card(model, "2", 1, pictures(3), k=2, optimum=False)
    assert pool.filter is not None
    assert pool.filter.layer == "0"
    dense = xk.unit_card(model, "4", 2, pictures(3), k=2, steps=2)
    assert (dense.space, dense.patches.boxes, dense.optimum.place) == ((), None, None)  # type: ignore[union-attr]
    assert dense.text().startswith("Unit 2 of 3 in 4 (dense) of ")
    assert field_words(next(iter(dense.fields.values()))) == "everything"
    end = xk.unit_card(model, "5", 0, pictures(3), k=2, optimum=False)
    assert "'5'" in end.missing["filter"]
    assert "nearest that have" in end.missing["filter"]


def test_a_network_without_relus_has_no_projection_and_says_so() -> None:
    from torch import nn

    model = xk.wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh()), inputs=IMAGE)
    card = xk.unit_card(model, "1", 1, pictures(3), k=2, optimum=False)
    assert card.patches is not None
    assert card.patches.projections is None
    assert "tanh" in card.missing["projections"]


def test_tokens_have_no_optimum_and_a_series_has_one() -> None:
    import torch
    from torch import nn

    torch.manual_seed(1)
    words = xk.wrap(
        nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(24, 3)),
        inputs=xk.Text(6, dict(zip("abcdef", range(2, 8), strict=True))),
    )
    card = xk.unit_card(words, "2", 1, ["a b c", "d e f a"], k=2)
    assert card.optimum is None
    assert card.missing["optimum"]
    series = xk.wrap(torch_nets.seeded(torch_nets.Inplace), inputs=xk.Series(9, 2))
    found = xk.unit_card(series, "conv", 1, torch_nets.draw(4, 9, 2), k=2, steps=2)
    assert found.optimum is not None
    assert found.optimum.image.shape == (1, 9, 2)


def test_a_dead_unit_has_a_card_that_says_so() -> None:
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.ReLU())
    net[0].bias.data[1] = -1e3
    card = xk.unit_card(xk.wrap(net, inputs=IMAGE), "1", 1, pictures(4), k=2, steps=2)
    assert card.statistics["dead"] == 1
    assert (card.status, card.ratio) == ("warn", None)
    assert "dead in these data" in card.text()


def test_what_cannot_be_asked() -> None:
    model, _ = image_pair("torch")
    with pytest.raises(ParameterError, match="layer 'c1' has the channels 0 to 5, not 6"):
        xk.unit_card(model, "c1", 6)
    with pytest.raises(ParameterError, match="not True"):
        xk.unit_card(model, "c1", True)
    with pytest.raises(UnknownName, match="did you mean 'c1'"):
        xk.unit_card(model, "cl1", 0)
    with pytest.raises(NotSupported, match="shows no layers"):
        xk.unit_card(xk.wrap(lambda x: x[:, :2], inputs=xk.Array((4,))), "c1", 0)


def test_what_was_stored_reads_back_equal(tmp_path: Path) -> None:
    model, _ = image_pair("torch")
    card = xk.unit_card(model, "r2", 1, pictures(4), k=2, steps=2)
    back = xk.load(xk.save(card, tmp_path / "card"))
    assert isinstance(back, UnitCard)
    assert (back.statistics, back.missing, back.origin, back.text()) == (
        *(card.statistics, card.missing, card.origin, card.text()),
    )
    assert_array_equal(back.filter.values, card.filter.values)  # type: ignore[union-attr]
    assert_array_equal(back.patches.projections, card.patches.projections)  # type: ignore[union-attr]
    assert_array_equal(back.optimum.image, card.optimum.image)  # type: ignore[union-attr]
    (field,), (stored,) = card.fields.values(), back.fields.values()
    assert (stored.box((3, 3)), stored.size) == (field.box((3, 3)), field.size)
