"""Attention rollout against its formula, and the places that its tokens are laid on."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import xaikit as xk
from tests.contract.nets import ADAPTERS, image_pair
from tests.contract.transformers import SENTENCES, pictures, wrapped
from xaikit.arrays import agreement, upsample
from xaikit.errors import NotSupported, ParameterError, UnknownName

METHOD = "attention-rollout"


def mixed(model: Any, x: Any, residual: float, heads: Any) -> list[Any]:
    """Give every layer's mixing matrices, sample by sample and row by row as the paper writes them."""
    names = [n for n, layer in model.layers.items() if layer.kind == "attention_weights"]
    found = model.run(x, at=names).activations
    layers = []
    for name in names:
        rows = []
        for a in heads(found[name].astype(np.float64), axis=1):
            m = (1 - residual) * a + residual * np.eye(len(a))
            rows.append(m / m.sum(1)[:, None])
        layers.append(np.stack(rows))
    return layers


@pytest.mark.parametrize("framework", ADAPTERS)
@pytest.mark.parametrize("heads", ["mean", "max", "min"])
@pytest.mark.parametrize("residual", [0.0, 0.5])
def test_a_picture_is_read_from_its_class_token(framework: str, heads: str, residual: float) -> None:
    model = wrapped("vit", framework)
    result = xk.explain(model, pictures(), METHOD, heads=heads, residual=residual, upsample=False)
    first, second = mixed(model, model.inputs.encode(pictures()), residual, getattr(np, heads))
    expected = np.stack([b @ a for a, b in zip(first, second, strict=True)])[:, 0, 1:].reshape(3, 3, 3)
    assert_allclose(result.values, expected, rtol=1e-5)
    assert result.axes == ("sample", "height", "width")
    full = xk.explain(model, pictures(), METHOD, heads=heads, residual=residual)
    assert_allclose(full.values, upsample(expected.astype(np.float32), (12, 12)), rtol=1e-5)


@pytest.mark.parametrize("framework", ADAPTERS)
def test_a_text_is_the_mean_over_its_words_and_padding_is_exactly_zero(framework: str) -> None:
    model = wrapped("text", framework)
    result = xk.explain(model, SENTENCES, METHOD)
    ids = model.inputs.encode(SENTENCES)
    first, second = mixed(model, ids, 0.5, np.mean)
    for i, row in enumerate(ids):
        there = row != 0
        expected = (second[i] @ first[i])[there].mean(0)
        assert_allclose(result.values[i][there], expected[there], rtol=1e-5)
        assert_allclose(result.values[i].sum(), 1, atol=1e-6)
        assert_array_equal(result.values[i][~there], 0)


def test_the_frameworks_agree_and_the_target_does_not_matter() -> None:
    for kind, x in (("vit", pictures()), ("text", SENTENCES)):
        found = [xk.explain(wrapped(kind, f), x, METHOD, target=t) for f in ADAPTERS for t in ("a", "d")]
        assert agreement(found[0].values, found[2].values).max() <= 1e-5
        assert_array_equal(found[0].values, found[1].values)
        assert found[0].origin.notes["layers"] == [f"blocks.layers.{i}.self_attn/weights" for i in (0, 1)]


def test_discarding_leaves_the_largest_weights() -> None:
    model = wrapped("vit", "torch")
    x = model.inputs.encode(pictures())
    name = "blocks.layers.0.self_attn/weights"
    a = model.run(x, at=[name]).activations[name].mean(1, dtype=np.float64)
    kept = np.where(a >= np.sort(a, axis=-1)[..., 5:6], a, 0)  # half of ten tokens
    kept = (kept + np.eye(10)) / (kept + np.eye(10)).sum(-1, keepdims=True)
    result = xk.explain(model, pictures(), METHOD, discard=0.5, layers=name, upsample=False)
    assert_allclose(result.values.reshape(3, 9), kept[:, 0, 1:], rtol=1e-5)


def test_a_token_can_be_chosen() -> None:
    model = wrapped("text", "torch")
    ids = model.inputs.encode(SENTENCES)
    first, second = mixed(model, ids, 0.5, np.mean)
    result = xk.explain(model, SENTENCES, METHOD, position=-1)
    assert_allclose(result.values, (second @ first)[:, -1] * (ids != 0), rtol=1e-5)
    assert np.abs(result.values - xk.explain(model, SENTENCES, METHOD).values).max() > 1e-3
    with pytest.raises(ParameterError, match="position 6 is outside the 6 tokens"):
        xk.explain(model, SENTENCES, METHOD, position=6)


def test_networks_without_attention_are_refused() -> None:
    model, x = image_pair("torch")
    with pytest.raises(NotSupported, match="no layer of attention"):
        xk.explain(model, x, METHOD)
    with pytest.raises(UnknownName, match="attention"):
        xk.explain(wrapped("vit", "torch"), pictures(), METHOD, layers="no such layer")
    with pytest.raises(NotSupported, match="attention weights are"):
        xk.explain(wrapped("vit", "torch"), pictures(), METHOD, layers="patch")


def test_attention_from_one_sequence_to_another_must_be_left_out_by_name() -> None:
    import torch
    from torch import nn

    class Crossing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own = nn.MultiheadAttention(4, 2, batch_first=True)
            self.cross = nn.MultiheadAttention(4, 2, batch_first=True)

        def forward(self, x: Any) -> Any:
            y = self.own(x, x, x)[0]
            return self.cross(y[:, :2], y, y)[0].mean(1)

    torch.manual_seed(0)
    model = xk.wrap(Crossing(), inputs=xk.Series(5, 4))
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    with pytest.raises(NotSupported, match="from one sequence to another in cross/weights"):
        xk.explain(model, x, METHOD, target=0)
    result = xk.explain(model, x, METHOD, target=0, layers="own/weights")
    assert result.axes == ("sample", "time")
    assert_allclose(result.values.sum(), 1, atol=1e-6)


def test_attention_written_by_hand_is_rolled_out_when_it_is_named() -> None:
    import torch
    from torch import nn

    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.three, self.head = nn.Linear(4, 12), nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            q, k, v = self.three(x).chunk(3, -1)
            return self.head((torch.softmax(q @ k.transpose(1, 2), -1) @ v).mean(1))

    torch.manual_seed(0)
    model = xk.wrap(ByHand(), inputs=xk.Series(5, 4))
    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
    with pytest.raises(NotSupported, match="if 'softmax' gives them, name it in layers="):
        xk.explain(model, x, METHOD, target=0)
    weights = model.run(x, at=["softmax"]).activations["softmax"]
    result = xk.explain(model, x, METHOD, target=0, layers=["softmax"], residual=0.0)
    assert_allclose(result.values, weights.mean(1), rtol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"heads": "median"}, "mean, max, min"),
        ({"residual": 1.5}, "0..1"),
        ({"discard": 1.0}, "under 1"),
        ({"position": "last"}, "'mean'"),
    ],
)
def test_parameters_are_checked(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        xk.explain(wrapped("text", "torch"), SENTENCES, METHOD, **wrong)
